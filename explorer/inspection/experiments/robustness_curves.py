"""How much a photo can be turned, blurred or spoilt before a model changes its mind.

    robustness("tf_efficientnet_lite0", "cat.jpg", "rotate")      # a curve: p(cat) at every angle
    find_flip("tf_efficientnet_lite0", "cat.jpg", "blur")         # where the answer changes, narrowed down

These are changes that a camera, a phone or the web makes. Each is done to the photo itself, before resize and
crop.

Source of the idea: Hendrycks and Dietterich 2019, "Benchmarking Neural Network Robustness to Common
Corruptions and Perturbations" (their fixed five strengths make a benchmark over many photos; here one photo
is taken apart).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from PIL import Image

from explorer.arguments import checked
from explorer.data.transforms import crop_box
from explorer.display import draw
from explorer.display.html import notes_html, picture_html, title_html
from explorer.inspection.experiments.before import logits_of, look_before
from explorer.inspection.experiments.changes import curve_html, numbers_html
from explorer.inspection.experiments.spoiling import Kind, check_strength, known_kind
from explorer.inspection.look.answers import Prediction, answer_of, said
from explorer.inspection.look.model import as_model, evaluating
from explorer.inspection.look.own_inputs import transform_for
from explorer.inspection.look.result import Look
from explorer.models.contract import VisionModel

THUMBNAIL = 96  # the longer side, in pixels, of the picture that each point of a curve keeps


@dataclass(frozen=True)
class Point:
    """What a model says at one strength.

    value:       the strength, in the unit of the kind
    probability: of the answer that the untouched photo was given, NaN where that is a number
    best:        the likeliest class here. Where several may hold at once, what is said of the untouched
                 photo's likeliest: it, or "not ..."; of numbers the first, with its `value`
    flipped:     whether that is another answer than for the untouched photo; of numbers never
    picture:     the photo as it is here, small
    """

    value: float
    probability: float
    best: Prediction
    flipped: bool
    picture: Image.Image = field(repr=False, compare=False)


@dataclass(frozen=True, eq=False, repr=False)
class RobustnessCurve:
    """A model's answers for one photo, spoilt more and more.

    kind: see `KINDS`;  seed: of what is drawn at random;  reference: the answer for the untouched photo, as
          `Point.best`
    points: in the order of the values asked for;  stopped: whether some are missing
    """

    model_name: str
    kind: Kind
    seed: int
    reference: Prediction
    points: tuple[Point, ...]
    notes: tuple[str, ...] = ()
    stopped: bool = False

    @property
    def values(self) -> tuple[float, ...]:
        return tuple(point.value for point in self.points)

    @property
    def probabilities(self) -> tuple[float, ...]:
        return tuple(point.probability for point in self.points)

    @property
    def numbers(self) -> tuple[float, ...]:
        """The number at each point; empty for a model that tells classes."""
        return tuple(point.best.value for point in self.points if point.best.value is not None)

    @property
    def first_flip(self) -> Point | None:
        """The first point, in the order of the scan, with another answer; None where all agree."""
        return next((point for point in self.points if point.flipped), None)

    def __repr__(self) -> str:
        flip = self.first_flip
        end = f"{flip.best.label!r} at {flip.value:g}" if flip else "no other answer"
        if self.numbers:
            end = f"from {self.points[0].best.text} to {self.points[-1].best.text}"
        return (f"RobustnessCurve({self.model_name!r}, {self.kind.name!r}, {len(self.points)} values, "
                f"{self.reference.label!r}, {end})")

    def _repr_html_(self) -> str:
        if self.numbers:
            numbers = [(f"{p.value:g}", p.best.text) for p in self.points]
            table = numbers_html(self.kind.name, self.reference.label, numbers)
        else:
            rows = [(f"{p.value:g}", p.probability, p.best.label, p.flipped) for p in self.points]
            table = curve_html(self.kind.name, self.reference.label, rows)
        title = f"{self.model_name}: {self.kind.title.lower()}, {self.kind.unit}"
        notes = notes_html(self.notes)
        step = max(1, -(-len(self.points) // 6))
        strip = "".join(picture_html(point.picture, f"{point.value:g}", format="JPEG")
                        for point in self.points[::step])
        return (f"<div>{title_html(title)}{notes}"
                f"<div style='display:flex;flex-wrap:wrap;gap:6px'>{strip}</div>"
                f"{table}</div>")


@checked
def robustness(
    model: VisionModel | str,
    image: Any,
    kind: str,
    *,
    values: Sequence[float] | None = None,
    seed: int = 0,
    look: Look | None = None,
    should_stop: Callable[[], bool] | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> RobustnessCurve:
    """The probability of the first answer, or the number, while a photo is spoilt more and more.

    kind:   "rotate", "blur", "noise", "jpeg", "brightness" or "drop"; units and usual values are in `KINDS`
    values: the strengths to try, in that order; None: the usual ones, from nothing to much
    seed:   for noise and dropped pixels: the same seed spoils the same pixels, only more
    look:   the Look of this model at the untouched photo, where there is one: saves a pass

    One pass a value. on_progress(done, total) after each; should_stop() -> True ends it with what is there.
    Raises ValueError for an unknown kind, a value outside its limits or a model without classifier.
    """
    known = known_kind(kind)
    if values is not None:
        for value in values:
            check_strength(known, value)
        if not len(values):
            raise ValueError("values is empty: give at least one strength, or None for the usual ones.")
    model = as_model(model)
    before = look_before(model, image, look)
    values = tuple(known.scan(before.image) if values is None else values)
    probe = AtStrength(model, before, known, seed)
    points: list[Point] = []
    for value in values:
        if should_stop and should_stop():
            break
        points.append(probe(value))
        if on_progress:
            on_progress(len(points), len(values))
    return RobustnessCurve(before.model_name, known, seed, probe.reference, tuple(points),
                           before.notes + _shrunk(known, before), stopped=len(points) < len(values))


class AtStrength:
    """Asks a model about one photo at one strength after another."""

    def __init__(self, model: VisionModel, before: Look, kind: Kind, seed: int):
        self.model, self.before, self.kind, self.seed = model, before, kind, seed
        self.transform = transform_for(model)
        self.reference = answer_of(before.logits, before.outputs)

    def __call__(self, value: float) -> Point:
        value = float(value)  # Pillow takes no number of numpy's
        photo = self.kind.apply(self.before.image, value, self.seed)
        tensor = self.transform(photo)
        with evaluating(self.model):
            logits = logits_of(self.model, tensor)
        outputs, reference = self.before.outputs, self.reference
        best = answer_of(logits, outputs, reference.index)
        flipped = said(best) != said(reference)
        if outputs.numbers:
            probability = math.nan
        elif outputs.several:
            probability = 1 - best.probability if flipped else best.probability
        else:
            probability = float(outputs.probabilities(logits)[reference.index])
        return Point(value, probability, best, flipped, draw.thumbnail(photo, THUMBNAIL))


def _shrunk(kind: Kind, before: Look) -> tuple[str, ...]:
    left, top, right, bottom = crop_box(before.image.size, before.config)
    zoom = min((right - left) / before.seen.width, (bottom - top) / before.seen.height)
    if not kind.fine or zoom < 2:
        return ()
    sentence = (f"The network sees this photo {zoom:.1f} times smaller, which averages out what is done to "
                "single pixels: the same strength would do more to a smaller photo.")
    return (sentence,)
