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

import io
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter

from explorer.arguments import checked
from explorer.data.transforms import create_transform, crop_box
from explorer.display import draw
from explorer.display.html import notes_html, picture_html
from explorer.inspection.experiments.perturb import (
    curve_html,
    logits_of,
    look_before,
    mean_colour,
    numbers_html,
)
from explorer.inspection.look.answers import Prediction, answer_of, said
from explorer.inspection.look.looking import prepare
from explorer.inspection.look.model import as_model, evaluating
from explorer.inspection.look.result import Look
from explorer.models.contract import VisionModel

NO_FLIP = ("This model gives numbers: they change little by little, so there is no answer that could flip. "
           "explorer.robustness shows how they change.")
THUMBNAIL = 96  # the longer side, in pixels, of the picture that each point of a curve keeps


@dataclass(frozen=True)
class Kind:
    """One way to spoil a photo.

    unit:    what a value means;  values: the usual scan, from mild to strong
    start:   the value that changes nothing (for JPEG: next to nothing)
    limits:  the smallest and the largest value allowed;  step: how closely `find_flip` looks
    apply:   (photo, value, seed) -> photo of the same size
    fine:    whether it spoils single pixels, which shrinking a large photo averages away again
    in_pixels: whether `values` are pixels of a photo whose short side has 224, to be scaled with the photo
    whole:   whether only whole numbers have a meaning
    """

    name: str
    title: str
    unit: str
    values: tuple[float, ...]
    start: float
    limits: tuple[float, float]
    step: float
    apply: Callable[[Image.Image, float, int], Image.Image] = field(repr=False)
    fine: bool = False
    in_pixels: bool = False
    whole: bool = False

    def scan(self, photo: Image.Image) -> tuple[float, ...]:
        """The usual values for a photo of that size."""
        if not self.in_pixels:
            return self.values
        scale = min(photo.size) / 224
        return tuple(float(f"{value * scale:.3g}") for value in self.values)


def _rotate(photo: Image.Image, degrees: float, seed: int) -> Image.Image:
    # The corners get the mean colour: black ones would be a second, stronger change.
    return photo.rotate(degrees, Image.Resampling.BICUBIC, fillcolor=mean_colour(photo))


def _blur(photo: Image.Image, radius: float, seed: int) -> Image.Image:
    return photo.filter(ImageFilter.GaussianBlur(radius))


def _noise(photo: Image.Image, std: float, seed: int) -> Image.Image:
    # One draw of noise for all strengths, only scaled: so that a curve shows the strength and not the luck.
    pixels = np.asarray(photo, np.float32)
    noise = np.random.default_rng(seed).standard_normal(pixels.shape, np.float32)
    return Image.fromarray(np.rint(pixels + 255 * std * noise).clip(0, 255).astype(np.uint8))


def _jpeg(photo: Image.Image, quality: float, seed: int) -> Image.Image:
    buffer = io.BytesIO()
    photo.save(buffer, "JPEG", quality=int(quality))
    return Image.open(buffer).convert("RGB")


def _brightness(photo: Image.Image, factor: float, seed: int) -> Image.Image:
    return ImageEnhance.Brightness(photo).enhance(factor)


def _drop(photo: Image.Image, share: float, seed: int) -> Image.Image:
    # Every pixel has its own number, drawn once: what a small share drops, a larger one drops too.
    pixels = np.array(photo)
    pixels[np.random.default_rng(seed).random(pixels.shape[:2]) < share] = 0
    return Image.fromarray(pixels)


KINDS: dict[str, Kind] = {kind.name: kind for kind in (
    Kind("rotate", "Rotate", "degrees, counter-clockwise", (0, 5, 10, 15, 20, 30, 45, 60, 90, 120, 150, 180),
         0, (-360, 360), 0.5, _rotate),
    Kind("blur", "Blur", "radius of the Gaussian, in pixels of the photo",
         (0, 0.5, 1, 1.5, 2, 3, 4, 6, 8, 12), 0, (0, math.inf), 0.05, _blur, in_pixels=True),
    Kind("noise", "Noise", "standard deviation, for pixels in 0..1",
         (0, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.6), 0, (0, math.inf), 0.005, _noise, fine=True),
    Kind("jpeg", "JPEG", "quality, 100 to 1", (100, 90, 75, 50, 30, 20, 15, 10, 7, 5, 3, 1),
         100, (1, 100), 1, _jpeg, fine=True, whole=True),
    Kind("brightness", "Brightness", "factor: 1 as it is, 0 black",
         (1, 0.8, 0.6, 0.4, 0.3, 0.2, 0.15, 0.1, 0.05), 1, (0, math.inf), 0.005, _brightness),
    Kind("drop", "Dropped pixels", "share of the pixels made black",
         (0, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9), 0, (0, 1), 0.005, _drop, fine=True),
)}


def perturb(photo: Image.Image, kind: str, value: float, *, seed: int = 0) -> Image.Image:
    """A spoilt copy of an RGB photo, of the same size; see `KINDS` for the kinds and what a value means."""
    known = known_kind(kind)
    _check(known, value)
    return known.apply(photo, float(value), seed)


def known_kind(kind: str) -> Kind:
    """The kind by its name. Raises ValueError for an unknown one."""
    if kind not in KINDS:
        raise ValueError(f"Unknown kind {kind!r}: expected one of {', '.join(KINDS)}.")
    return KINDS[kind]


def _check(kind: Kind, value: float) -> None:
    low, high = kind.limits
    number = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
    right = number and math.isfinite(value) and low <= value <= high
    if not right or kind.whole and value != int(value):
        allowed = f"from {low:g}" + (f" to {high:g}" if math.isfinite(high) else "")
        what = "whole number" if kind.whole else "number"
        raise ValueError(f"{kind.name} by {value!r}: expected a {what} {allowed} ({kind.unit}).")


# --- a curve ------------------------------------------------------------------------------------------------


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
        return (f"<div><p style='margin:.3em 0'><b>{escape(title)}</b></p>{notes}"
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
            _check(known, value)
        if not len(values):
            raise ValueError("values is empty: give at least one strength, or None for the usual ones.")
    model = as_model(model)
    before = look_before(model, image, look)
    values = tuple(known.scan(before.image) if values is None else values)
    probe = _Probe(model, before, known, seed)
    points: list[Point] = []
    for value in values:
        if should_stop and should_stop():
            break
        points.append(probe(value))
        if on_progress:
            on_progress(len(points), len(values))
    return RobustnessCurve(before.model_name, known, seed, probe.reference, tuple(points),
                           before.notes + _shrunk(known, before), stopped=len(points) < len(values))


class _Probe:
    """Asks a model about one photo at one strength after another."""

    def __init__(self, model: VisionModel, before: Look, kind: Kind, seed: int):
        self.model, self.before, self.kind, self.seed = model, before, kind, seed
        self.transform = create_transform(**before.config)
        self.reference = answer_of(before.logits, before.outputs)

    def __call__(self, value: float) -> Point:
        value = float(value)  # Pillow takes no number of numpy's
        photo = self.kind.apply(self.before.image, value, self.seed)
        _, tensor = prepare(photo, self.transform)
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


# --- the point where the answer changes --------------------------------------------------------------------


@dataclass(frozen=True, eq=False, repr=False)
class Flip:
    """Where a model changes its answer, on one scan.

    found:       whether any value of the scan gave another answer
    last_same:   the last strength known to give the first answer; None: even the weakest gave another
    first_other: the Point with the other answer nearest to it; None where nothing was found
    curve:       the scan;  passes: how many strengths were tried in all
    """

    curve: RobustnessCurve
    last_same: float | None
    first_other: Point | None
    passes: int

    @property
    def found(self) -> bool:
        return self.first_other is not None

    @property
    def sentence(self) -> str:
        """What was found, and what that proves."""
        kind, first = self.curve.kind, self.curve.reference.label
        if self.first_other is None:
            rest = " (it was stopped before its end)" if self.curve.stopped else ""
            return (f"{kind.title}: no value of this scan changes the answer {first!r}{rest}. Values between "
                    "those that were tried may.")
        other, value = self.first_other.best.label, self.first_other.value
        if self.last_same is None:
            return (f"{kind.title}: already {value:g}, the weakest that was tried, turns {first!r} into "
                    f"{other!r}.")
        return (f"{kind.title}: {first!r} at {self.last_same:.4g}, {other!r} at {value:.4g} ({kind.unit}). "
                "It is the first change found on this scan: a smaller one may hide between values that were "
                "not tried.")

    def __repr__(self) -> str:
        return f"Flip({self.sentence})"

    def _repr_html_(self) -> str:
        picture = ""
        if self.first_other is not None:
            point = self.first_other
            caption = f"{point.value:.4g}: {point.best.label} {point.best.text}"
            picture = picture_html(point.picture, caption, format="JPEG")
        return f"<div><p><b>{escape(self.sentence)}</b></p>{picture}{self.curve._repr_html_()}</div>"


@checked
def find_flip(
    model: VisionModel | str,
    image: Any,
    kind: str,
    *,
    values: Sequence[float] | None = None,
    step: float | None = None,
    seed: int = 0,
    look: Look | None = None,
    curve: RobustnessCurve | None = None,
    should_stop: Callable[[], bool] | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> Flip:
    """The strength at which a model changes its answer: a scan, and then halving between the two neighbours.

    values: the scan, as in `robustness`; the search is between the last value with the first answer and the
            first with another one
    step:   how closely to narrow it down; None: the kind's own (`KINDS`), never less than 1 for whole numbers
    curve:  a scan of this model at this photo that was already made: saves its passes (its kind and seed
            count)

    It is the first change found on that scan and not a proof that no smaller one exists: answers may change
    back and forth. on_progress counts the values of the scan and then the halvings; should_stop() -> True
    ends with what is known.
    Raises ValueError as `robustness` does, for a step that is not above zero, and for a model that gives
    numbers: they change little by little, and no answer flips.
    """
    known = known_kind(kind)
    if step is not None and not (isinstance(step, (int, float)) and 0 < step < math.inf):
        raise ValueError(f"step is {step!r}: expected a number above zero ({known.unit}).")
    if curve is not None and not isinstance(curve, RobustnessCurve):
        raise TypeError(f"curve is a {type(curve).__name__}: expected what explorer.robustness gives, or None.")
    if curve is not None and curve.kind.name != kind:
        raise ValueError(f"The given curve is about {curve.kind.name}, not {kind}.")
    model = as_model(model)
    before = look_before(model, image, look)
    if before.outputs.numbers:
        raise ValueError(NO_FLIP)
    if curve is None:
        curve = robustness(model, before.image, kind, values=values, seed=seed, look=before,
                           should_stop=should_stop, on_progress=on_progress)
    probe = _Probe(model, before, known, curve.seed)
    if curve.model_name != before.model_name or said(curve.reference) != said(probe.reference):
        raise ValueError(f"The given curve is of {curve.model_name} and the answer "
                         f"{curve.reference.label!r}: not of this model at this photo.")
    if known.whole:
        step = max(1.0, step or 0)
    elif step is None:
        step = known.step * (min(before.image.size) / 224 if known.in_pixels else 1)

    at = next((i for i, point in enumerate(curve.points) if point.flipped), None)
    passes = len(curve.points)
    if at is None:
        return Flip(curve, None, None, passes)
    other = curve.points[at]
    if at:
        same = curve.points[at - 1].value
    elif other.value != known.start and not known.whole:
        same = known.start  # changes nothing, so gives the first answer
    else:
        return Flip(curve, None, other, passes)
    halvings = max(0, math.ceil(math.log2(abs(other.value - same) / step)))
    for done in range(1, halvings + 1):
        middle = (same + other.value) / 2
        middle = round(middle) if known.whole else middle
        if middle in (same, other.value) or should_stop and should_stop():
            break
        point = probe(middle)
        passes += 1
        same, other = (same, point) if point.flipped else (middle, other)
        if on_progress:
            on_progress(len(curve.points) + done, len(curve.points) + halvings)
    return Flip(curve, float(same), other, passes)
