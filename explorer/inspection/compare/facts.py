"""What a comparison says of each model, and how it is written down: costs, accuracies, columns, front."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from explorer.inspection.compare.speed import Speed


@dataclass(frozen=True)
class ModelRow:
    """The facts about one model of a comparison; None where they are not known.

    parameters:   numbers that were learnt;  macs: multiply-adds of one photo of `input_size` (channels,
                  height, width)
    weight_bytes: of the file that its weights make
    published:    per cent of right first answers on ImageNet-1k, as the publisher of these very weights says;
                  of boxes the average precision, of masks the mean IoU, in per cent
    num_classes:  that it tells apart: 2 of a yes or no, 0 where it gives numbers or features
    right, judged: how many photos got the right first answer, of those whose class it knows by name
    latency:      the Speed of a pass over one photo;  throughput: over several at once
    notes:        what a reader must know, e.g. that the weights are random
    found:        of networks for boxes, how many things they found in all photos; of those for masks, how
                  many classes
    """

    name: str
    parameters: int
    macs: int | None
    weight_bytes: int
    input_size: tuple[int, int, int]
    num_classes: int
    published: float | None = None
    right: int | None = None
    judged: int = 0
    latency: Speed | None = None
    throughput: Speed | None = None
    notes: tuple[str, ...] = ()
    found: int | None = None

    @property
    def measured(self) -> float | None:
        """Per cent of right first answers on the photos given; None where no class is known by name."""
        return 100 * self.right / self.judged if self.judged and self.right is not None else None


@dataclass(frozen=True)
class ClassRow:
    """One class on the common axis. shares: by each model its probability, 0..1; None where it is unknown."""

    label: str
    shares: tuple[float | None, ...]
    right: bool | None = None


@dataclass(frozen=True)
class NumberRow:
    """One number that models give for a photo. values: by each model, in its unit; None: it gives none."""

    label: str
    values: tuple[float | None, ...]


@dataclass(frozen=True)
class Disagreement:
    """How far models are apart on one photo.

    photo:      what it is called
    share:      of the pairs of models, those whose first answers have different names, 0..1
    confidence: the mean probability that models give their own first answers, 0..1; 0 where none tells
                classes
    distance:   the mean distance of two models' numbers, in the number's unit; 0 where no two give the same
    answers:    each model's first answer, or its numbers; "" for one without a classifier
    bits:       the Jensen-Shannon divergence of the models that know the same classes; None where no two do,
                and where one of them answers with what is no number
    shares:     the probability of each first answer, 0..1; None where there is none
    right:      whether each first answer is right; None where nobody knows
    truth:      the right classes by name, none where nobody says
    """

    photo: str
    share: float
    confidence: float
    distance: float
    answers: tuple[str, ...]
    bits: float | None = None
    shares: tuple[float | None, ...] = ()
    right: tuple[bool | None, ...] = ()
    truth: tuple[str, ...] = ()


@dataclass(frozen=True)
class Point:
    """A model in the plane of cost and accuracy. front: no other is both cheaper and at least as right, or as
    cheap and more right."""

    name: str
    x: float
    y: float
    front: bool


# --- cost, accuracy, columns: one row each ------------------------------------------------------------------


@dataclass(frozen=True)
class Axis:
    """A figure to place a model by. title: with its unit; missing: why a model may have none."""

    title: str
    of: Callable[[ModelRow], float | None]
    missing: str


def _peak_megabytes(row: ModelRow) -> float | None:
    peak = row.latency.peak_memory if row.latency else None
    return None if peak is None else peak / 1e6


COSTS: dict[str, Axis] = {
    "latency": Axis("milliseconds a photo, measured here",
                    lambda row: 1000 * row.latency.latency if row.latency else None,
                    "its speed was not measured"),
    "parameters": Axis("million parameters", lambda row: row.parameters / 1e6,
                       "its parameters were not counted"),
    "macs": Axis("billion multiply-adds a photo",
                 lambda row: row.macs / 1e9 if row.macs is not None else None,
                 "its multiply-adds can't be counted"),
    "size": Axis("megabytes of weights", lambda row: row.weight_bytes / 1e6, "its size is not known"),
    "memory": Axis("megabytes at the peak of a pass, measured here",
                   _peak_megabytes,
                   "its memory was not measured"),
}
ACCURACIES: dict[str, Axis] = {
    "published": Axis("top-1 on ImageNet, %, published", lambda row: row.published,
                      "no accuracy is published for its weights as they are here"),
    "measured": Axis("right first answers, %, on the photos given", lambda row: row.measured,
                     "none of the photos has a class that it knows by name"),
}

UNPUBLISHED = "no {} is published for its weights as they are here"
AVERAGE_PRECISION = {"published": Axis("average precision of the boxes, %, published",
                                       lambda row: row.published, UNPUBLISHED.format("average precision"))}
MEAN_IOU = {"published": Axis("mean IoU, %, published", lambda row: row.published,
                              UNPUBLISHED.format("mean IoU"))}


def pareto_front(points: Sequence[tuple[float, float]]) -> set[int]:
    """Indices of the (cost, value) points that no other beats: as cheap and as good, and better in one."""
    return {i for i, (cost, value) in enumerate(points)
            if not any(c <= cost and v >= value and (c < cost or v > value) for c, v in points)}


@dataclass(frozen=True)
class Column:
    """key: its name in the CSV, with the unit; title and text: as it is shown; value: the full number."""

    key: str
    title: str
    value: Callable[[ModelRow], Any]
    text: Callable[[ModelRow], str]


def _shown(number: Callable[[ModelRow], float | None], form: str) -> Callable[[ModelRow], str]:
    def text(row: ModelRow) -> str:
        value = number(row)
        return "" if value is None else form.format(value)

    return text


def _latency_text(row: ModelRow) -> str:
    if row.latency is None:
        return ""
    low, high = row.latency.quartiles
    return f"{1000 * row.latency.latency:.3g} ms ({1000 * low:.3g} to {1000 * high:.3g})"


def _throughput_text(row: ModelRow) -> str:
    speed = row.throughput
    return f"{speed.photos_per_second:.3g} ({speed.batch_size} at once)" if speed else ""


def _quartile(place: int) -> Callable[[ModelRow], float | None]:
    return lambda row: 1000 * row.latency.quartiles[place] if row.latency else None


def _of_speed(name: str, fact: str) -> Callable[[ModelRow], Any]:
    def value(row: ModelRow) -> Any:
        speed = getattr(row, name)
        return None if speed is None else getattr(speed, fact)

    return value


def _hidden(row: ModelRow) -> str:
    return ""  # in the CSV only


COLUMNS: tuple[Column, ...] = (
    Column("model", "model", lambda row: row.name, lambda row: row.name),
    Column("parameters", "parameters", lambda row: row.parameters,
           _shown(COSTS["parameters"].of, "{:.3g} M")),
    Column("multiply_adds", "multiply-adds", lambda row: row.macs, _shown(COSTS["macs"].of, "{:.3g} G")),
    Column("weight_bytes", "weights", lambda row: row.weight_bytes, _shown(COSTS["size"].of, "{:.3g} MB")),
    Column("input_pixels", "photo", lambda row: " x ".join(map(str, row.input_size[1:])),
           lambda row: " × ".join(map(str, row.input_size[1:]))),
    Column("classes", "classes", lambda row: row.num_classes, lambda row: str(row.num_classes)),
    Column("published_top1_percent", "top-1 published", lambda row: row.published,
           _shown(ACCURACIES["published"].of, "{:.1f} %")),
    Column("right", "right here", lambda row: row.right,
           lambda row: f"{row.right} of {row.judged}" if row.judged else ""),
    Column("judged", "", lambda row: row.judged, _hidden),
    Column("latency_ms", "one photo, median (quartiles)", COSTS["latency"].of, _latency_text),
    Column("latency_low_quartile_ms", "", _quartile(0), _hidden),
    Column("latency_high_quartile_ms", "", _quartile(1), _hidden),
    Column("photos_per_second", "photos a second", _of_speed("throughput", "photos_per_second"),
           _throughput_text),
    Column("photos_at_once", "", _of_speed("throughput", "batch_size"), _hidden),
    Column("peak_memory_bytes", "peak memory", _of_speed("latency", "peak_memory"),
           _shown(COSTS["memory"].of, "{:.3g} MB")),
    Column("device", "", _of_speed("latency", "device"), _hidden),
    Column("threads", "", _of_speed("latency", "threads"), _hidden),
)


def _place_columns(published: Column, found: str) -> tuple[Column, ...]:
    """`COLUMNS` for networks that find places: another figure is published, and nothing is judged here."""
    own = {"published_top1_percent": published,
           "right": Column(f"{found}_found", f"{found} found", lambda row: row.found,
                           lambda row: "" if row.found is None else f"{row.found:,}")}
    left = ("judged", "photos_per_second", "photos_at_once")
    return tuple(own.get(column.key, column) for column in COLUMNS if column.key not in left)


BOX_COLUMNS = _place_columns(
    Column("published_box_ap_percent", "box AP published", lambda row: row.published,
           _shown(AVERAGE_PRECISION["published"].of, "{:.1f} %")), "boxes")
MASK_COLUMNS = _place_columns(
    Column("published_miou_percent", "mIoU published", lambda row: row.published,
           _shown(MEAN_IOU["published"].of, "{:.1f} %")), "classes")
