"""One photo, one forward pass, one `Look`: all that a person may want to see of it.

    seen = look("tf_efficientnet_lite0", "cat.jpg")
    seen.predictions[0]          # Prediction(label='tabby', index=281, probability=0.61, logit=9.3)
    seen.stages["stage3"]        # that stage's feature maps [C, H, W]
    seen.mosaic("stage3")        # the same as a picture

Everything that draws or compares reads the `Look`; nothing runs the model a second time for what it holds.
"""

from __future__ import annotations

import math
import threading
import time
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from html import escape
from typing import Any
from weakref import WeakKeyDictionary

import torch
from PIL import Image
from torch import Tensor, nn

from explorer.arguments import checked
from explorer.data.images import load_image
from explorer.data.labels import labels_for
from explorer.data.transforms import Step, create_transform, preprocessing_steps, resolve_data_config
from explorer.display import draw
from explorer.display.html import (
    RichRepr,
    bar_html,
    cell_html,
    cells_html,
    name_html,
    notes_html,
    picture_html,
    side_by_side_html,
    table_html,
    title_html,
)
from explorer.display.words import number_text, percent
from explorer.inspection.look.tail import Tail, default_stage, fingerprint, ordinary, walk
from explorer.models.config import ModelConfig
from explorer.models.contract import VisionModel, evaluation, parameter_place
from explorer.models.create import create_model
from explorer.models.outputs import Outputs, read_outputs
from explorer.models.surgery.inside import backbone, stages_in_words

STAGES_SHOWN = 8  # at most, in a notebook: a large transformer has dozens


@dataclass(frozen=True)
class Prediction:
    """One class with what the model thinks of it; or one number that it gives.

    label: its name; index: its place among the labels; probability: 0..1, by a softmax over all classes or, where several
    may hold at once, by a sigmoid of its own; logit: the raw score (of a "no" the contrary of that of the "yes")
    value: of a model that gives numbers the number, in its own unit; its probability is NaN. None for a class
    """

    label: str
    index: int
    probability: float
    logit: float
    value: float | None = field(default=None, repr=False)

    def __repr__(self) -> str:
        answer = f"probability={self.probability}, logit={self.logit}" if self.value is None else f"value={self.value}"
        return f"Prediction(label={self.label!r}, index={self.index}, {answer})"

    @property
    def text(self) -> str:
        """The answer for a person: "61.3 %", or the number."""
        return percent(self.probability) if self.value is None else number_text(self.value)


@dataclass(frozen=True)
class Origin:
    """Where a look comes from: the model as it was then, and the end of its pass for heat maps (`inspection.tail`)."""

    model: weakref.ref[nn.Module]
    fingerprint: tuple[Any, ...] | None
    tail: Tail | None

    def is_still(self, model: nn.Module) -> bool:
        """Whether that very model, unchanged since, would give the same numbers again."""
        return self.model() is model and self.fingerprint is not None and self.fingerprint == fingerprint(model)


@dataclass(eq=False, repr=False)
class Look(RichRepr):
    """What one forward pass over one photo showed. All tensors are float32 on the CPU.

    model_name:  e.g. "resnet50.a1_in1k"; without the tag where no weights were loaded
    predictions: the likeliest classes, best first; empty for a model without classifier
    stages:      name -> feature maps [C, H, W], in network order
    embedding:   the vector in front of the classifier, [D]
    logits:      one raw score a class or number, [K]; of a yes or no the one score
    input:       what went into the network: the normalised photo [C, H, W]
    image:       the photo as it was opened, upright RGB
    seen:        the part of it that the network saw, resized and cropped
    outputs:     what the logits mean (`explorer.models.outputs.Outputs`), and the names of all K classes
    config:      the preprocessing: keyword arguments of `explorer.data.create_transform`
    timing:      seconds for "preprocess" and "forward"; the "device"; on a CPU also torch's "threads"
    notes:       sentences that a reader of the predictions must know, e.g. that the weights are random
    """

    model_name: str
    predictions: list[Prediction]
    stages: dict[str, Tensor]
    embedding: Tensor
    logits: Tensor
    input: Tensor
    image: Image.Image
    seen: Image.Image
    outputs: Outputs
    config: dict[str, Any]
    timing: dict[str, Any]
    notes: tuple[str, ...] = field(default=())

    _origin = None  # an `Origin`, on the look itself: copies and saved looks hold the numbers alone

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_origin"}

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of all K classes, or of the numbers."""
        return self.outputs.labels

    @property
    def probabilities(self) -> Tensor:
        """Of each class, [K]. Raises ValueError for a model that gives numbers."""
        return self.outputs.probabilities(self.logits)

    @cached_property
    def steps(self) -> list[Step]:
        """How the photo became the input, step by step (worked out when first asked for)."""
        return preprocessing_steps(self.image, self.config)

    @checked
    def mosaic(
        self,
        stage: str,
        *,
        sort: str = "channel",
        scale: str = "own",
        colormap: str = "viridis",
        limit: int | None = None,
        cell: int | None = None,
    ) -> Image.Image:
        """The feature maps of one stage as one picture; the options are those of `draw.mosaic`."""
        if stage not in self.stages:
            raise ValueError(f"{self.model_name} has no stage {stage!r}. {stages_in_words(self.stages)}")
        maps = self.stages[stage]
        return draw.mosaic(maps, sort=sort, scale=scale, colormap=colormap, limit=limit, cell=cell)

    def __repr__(self) -> str:
        best = self.predictions[0] if self.predictions else None
        top = f"top-1 {best.label!r} {best.text}" if best else "no classifier"
        if self.outputs.numbers:
            top = ", ".join(f"{number.label} {number.text}" for number in self.predictions[:3])
        return f"Look({self.model_name!r}, {top}, {len(self.stages)} stages)"

    def _repr_html_(self) -> str:
        """The photo, the predictions and the stages as plain HTML: no script, and right in light and dark."""
        height, width = self.input.shape[-2:]
        caption = f"What the network saw, {width} x {height} pixels"
        photo = picture_html(draw.thumbnail(self.seen, 224), caption, format="JPEG")
        notes = notes_html(self.notes)
        style = "margin:.3em 8px;font-size:.85em;max-width:34em"
        meaning = f"<p style='{style}'>{escape(self.outputs.meaning)}</p>" if self.outputs.meaning else ""
        facts = f"{self.model_name}, {1000 * self.timing['forward']:.0f} ms on {self.timing['device']}"
        names = list(self.stages)
        step = max(1, -(-len(names) // STAGES_SHOWN))  # a network without maps has no stages
        shown = names[::-1][::step][::-1]  # the last one always
        stages = "".join(_stage_html(name, self.stages[name]) for name in shown)
        if step > 1:
            stages += f"<p>{len(shown)} of {len(names)} stages; the others: look.mosaic(name).</p>"
        return (
            f"<div>{title_html(facts)}{notes}"
            f"{side_by_side_html(f'{photo}<div>{predictions_html(self.predictions)}{meaning}</div>')}"
            f"<div style='display:flex;flex-wrap:wrap;gap:12px;margin-top:8px'>{stages}</div></div>"
        )


@checked
def look(model: VisionModel | str, image: Any, *, topk: int = 5, bands: Sequence[int] | None = None) -> Look:
    """Show one photo to a model and keep what happened on the way.

    model: an explorer model, or a name such as "tf_efficientnet_lite0", created with its trained weights
    image: anything `load_image` takes; of a model of other than one or three channels a tensor [C, H, W] or an array
    bands: of such a picture the three that are shown, as red, green and blue; None: the first three
    topk:  how many predictions, at most as many as there are classes

    The model runs once, in evaluation mode and without gradients, on the device and with the dtype that its
    weights have; its training flags are put back afterwards. Calls from several threads take turns.
    Raises ImageError for what is no picture, WeightsError where weights can't be had, ValueError for a model
    that has a classifier but does not pool.
    """
    check_topk(topk)
    model = as_model(model)
    photo = photo_for(model, image, bands)

    started = time.perf_counter()
    config = resolve_data_config({}, model=model)
    seen, tensor = prepare(photo, create_transform(**config))
    prepared = time.perf_counter()
    with evaluating(model):
        entered = time.perf_counter()
        begin = default_stage(model) if model.num_classes and model.stage_table else ""
        maps, embedding, logits, tail = walk(model, tensor, stage=begin)
        finished = time.perf_counter()
        origin = Origin(weakref.ref(model), fingerprint(model), tail)

    stages = {name: ordinary(feature_map) for name, feature_map in maps.items()}
    embedding, logits = ordinary(embedding), ordinary(logits)
    outputs = outputs_of(model)
    timing = {"preprocess": prepared - started, "forward": finished - entered, "device": _device_name(model)}
    if timing["device"] == "cpu":
        timing["threads"] = torch.get_num_threads()
    found = Look(
        model_name=model_name(model), predictions=top_predictions(logits, outputs, topk), stages=stages,
        embedding=embedding, logits=logits, input=tensor, image=photo, seen=seen, outputs=outputs,
        config=config, timing=timing, notes=notes_on(model, logits),
    )
    found._origin = origin
    return found


# --- what `predict` and the other ways of looking need too -------------------------------------------------


_locks: WeakKeyDictionary[nn.Module, threading.RLock] = WeakKeyDictionary()
_locks_guard = threading.Lock()


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Evaluation mode for the `with` block, one thread at a time for each model.

    Without the lock, one thread's end would switch the other back to training in mid-pass.
    """
    with _locks_guard:
        lock = _locks.setdefault(model, threading.RLock())
    with lock, evaluation(model):
        yield


def as_model(model: VisionModel | str) -> VisionModel:
    """The model itself, seen through torch's wrappers, or a new one with trained weights by its name.

    Raises TypeError for anything else, ValueError for a model without weights or an unknown name.
    """
    if isinstance(model, str):
        return create_model(model, pretrained=True).eval()
    if not isinstance(model, nn.Module):
        raise TypeError(
            f"Expected a model made by explorer.create_model, or a name such as 'resnet50', "
            f"not {type(model).__name__}."
        )
    try:
        model = backbone(model)
    except TypeError as error:
        raise TypeError(f"Expected a model made by explorer.create_model. {error}") from None
    if parameter_place(model)["device"].type == "meta":
        raise ValueError("This model has shapes but no weights (it is on the 'meta' device): create it "
                         "without torch.device('meta'), or load weights into it.")
    model.notice_head()
    return model


def model_name(model: nn.Module) -> str:
    """What to call a model: the full name of the weights it has, "resnet18 (mine.pth)" for a file's, else its architecture."""
    config = getattr(model, "config", None)
    if not isinstance(config, ModelConfig) or not config.architecture:
        return type(model).__name__
    if model.load_report is None:
        return config.architecture
    return config.name if config.tag else model.load_report.name or config.architecture


def outputs_of(model: VisionModel) -> Outputs:
    """What the model's scores mean, and what they are called: the one answer that everybody reads."""
    width = model.num_classes
    return read_outputs(model.config, width, labels_for(width) if width == 1000 else None)


def labels_of(model: VisionModel) -> tuple[str, ...]:
    """One name for each of the model's classes or numbers; see `outputs_of`."""
    return outputs_of(model).labels


def notes_on(model: VisionModel, scores: Tensor | None = None) -> tuple[str, ...]:
    """What a reader of the predictions must know about the weights and the names.

    scores: the raw ones that are shown, in any shape: where they are no numbers, that is said first
    """
    notes = []
    if model.load_report is None:
        what = "predictions" if model.num_classes else "features"
        notes.append(f"No weights were loaded into this model: unless it was trained here, its {what} mean nothing.")
    else:
        notes += [f"{text}." for text in model.load_report.noted]
        notes += [f"Not loaded: {text}." for text in model.load_report.skipped]
    config = model.config
    if model.num_classes and not outputs_of(model).named:
        one = model.num_classes == 1
        called = "score is" if one else f"{model.num_classes} {'numbers' if config.outputs == 'numbers' else 'classes'} are"
        notes.append(f"Nobody said what this head's {called} called: explorer.wrap(model, labels=[...]) names "
                     f"{'it' if one else 'them'}.")
    elif config.labels == () and not model.num_classes:
        notes.append("The classifier was taken away, so this model gives features and no predictions.")
    if model.num_classes == 1 and not config.outputs:
        notes.append("One score without a sigmoid behind it: it is read as a yes or no. If it is a number, say so: "
                     'explorer.wrap(model, outputs="numbers").')
    # A file whose numbers are none is noted already; weights also break in memory, by training or by hand.
    if scores is not None and not torch.isfinite(scores).all() and not any("NaN" in note for note in notes):
        notes.insert(0, "The model's scores are no numbers (NaN or infinite), so its answers mean nothing: its weights "
                        "are broken, or too large for their precision.")
    return tuple(notes)


def check_topk(topk: int) -> None:
    if isinstance(topk, bool) or not isinstance(topk, int) or topk < 1:
        raise ValueError(f"topk is {topk!r}: expected how many predictions to give, a number from 1.")


def photo_for(model: VisionModel, image: Any, bands: Sequence[int] | None = None) -> Image.Image:
    """What `load_image` makes of a picture for this model: with as many bands as it reads, where it reads no photos."""
    return load_image(image, channels=model.in_chans, bands=bands)


def is_at(seen: Look, image: Any) -> bool:
    """Whether a look is at this photo, pixel by pixel; None stands for the look's own. Raises TypeError for no `Look`."""
    if not isinstance(seen, Look):
        raise TypeError(f"look= takes what explorer.look(model, photo) gives, not {type(seen).__name__}.")
    if image is None or image is seen.image:
        return True
    photo = load_image(image, channels=len(seen.input))
    return photo.size == seen.image.size and photo.tobytes() == seen.image.tobytes()


def prepare(photo: Image.Image, transform: Any) -> tuple[Image.Image, Tensor]:
    """(what the network sees as a picture, the same as its input [C, H, W])."""
    value: Any = photo
    for step in transform.transforms:
        if isinstance(value, Image.Image):
            photo = value
        value = step(value)
    return photo, value


def top_predictions(logits: Tensor, outputs: Outputs, topk: int) -> list[Prediction]:
    """The best `topk` of raw scores [W], best first; fewer where there are fewer classes. Numbers: all, as they come."""
    logits = logits.float()
    if outputs.numbers:
        return [Prediction(label, i, math.nan, score, value) for i, (label, score, value) in
                enumerate(zip(outputs.labels, logits.tolist(), outputs.values(logits.double()).tolist()))]
    probabilities, scores = outputs.probabilities(logits), outputs.evidence(logits)
    best = scores.topk(min(topk, len(scores)))
    return [Prediction(outputs.labels[i], i, float(probabilities[i]), score)
            for score, i in zip(best.values.tolist(), best.indices.tolist())]


def answer_of(logits: Tensor, outputs: Outputs, about: int | None = None) -> Prediction:
    """What a photo is said to be, from raw scores [W]: the likeliest class, or the first number.

    Where several classes may hold at once there is no one answer, so it is a yes or no to one class:
    `about`, by default the likeliest. The no is called "not ...".
    """
    first = top_predictions(logits, outputs, 1)[0]
    if not outputs.several:
        return first
    index = first.index if about is None else about
    score = float(logits[index])
    yes = Prediction(outputs.labels[index], index, float(outputs.probabilities(logits)[index]), score)
    if score < 0:
        return replace(yes, label=f"not {yes.label}", probability=1 - yes.probability, logit=-score)
    return yes


def said(answer: Prediction) -> tuple[int, str]:
    """What two answers have in common that say the same."""
    return answer.index, answer.label


def _device_name(model: nn.Module) -> str:
    return str(parameter_place(model)["device"])


# --- HTML ---------------------------------------------------------------------------------------------


def predictions_html(predictions: Sequence[Prediction]) -> str:
    """A table with a bar for each prediction; the numbers are text. Numbers that a model gives have no bar:
    they know no end.
    """
    if not predictions:
        return "<p>This model has no classifier: it gives features, not predictions.</p>"
    if predictions[0].value is not None:
        rows = "".join(f"<tr>{name_html(p.label)}{cell_html(f'<b>{escape(p.text)}</b>', style='text-align:right')}</tr>"
                       for p in predictions)
        return table_html(("number", "value"), rows)
    rows = "".join(f"<tr>{name_html(p.label)}{cell_html(bar_html(p.probability), style='width:12em')}"
                   f"{cells_html((percent(p.probability), f'{p.logit:.2f}'))}</tr>" for p in predictions)
    return table_html(("class", "", "probability", "logit"), rows)


def _stage_html(name: str, maps: Tensor, *, limit: int = 48, cell: int = 28) -> str:
    channels, height, width = maps.shape
    shown = f"{channels} channels" if channels <= limit else f"the {limit} strongest of {channels} channels"
    picture = draw.palette_mosaic(maps, columns=8, limit=limit, cell=cell)
    return picture_html(picture, f"{name}: {shown}, {height} x {width}", style="image-rendering:pixelated")
