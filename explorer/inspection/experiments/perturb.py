"""Change a photo and look again: a region masked out, or every pixel pushed a little in the worst direction.

    mask_region("tf_efficientnet_lite0", "cat.jpg", (80, 40, 200, 160))     # does it still see the cat?
    fgsm("tf_efficientnet_lite0", "cat.jpg", epsilon=2 / 255)                # a change that nobody sees

Both are experiments, where a heat map is only a claim: what a network needs is what it can't do without.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from html import escape
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFilter, ImageStat
from torch import Tensor, nn

from explorer.arguments import checked
from explorer.data.transforms import crop_box
from explorer.display import draw
from explorer.display.html import (
    BLUE,
    ORANGE,
    bar_html,
    cell_html,
    cells_html,
    name_html,
    notes_html,
    picture_html,
    row_html,
    side_by_side_html,
    table_html,
    title_html,
)
from explorer.display.words import number_text, percent
from explorer.inspection.attribution.explaining import find_class
from explorer.inspection.look.answers import Prediction, answer_of, said, top_predictions
from explorer.inspection.look.looking import look as look_at
from explorer.inspection.look.model import as_model, evaluating, model_name, outputs_of
from explorer.inspection.look.passes import expect_way_back, way_back
from explorer.inspection.look.result import Look, is_at
from explorer.models.contract import VisionModel, parameter_place
from explorer.models.outputs import Outputs

FILLS = ("blur", "grey", "mean")
GREY = (128, 128, 128)
EPSILONS = tuple(step / 255 for step in (0, 0.25, 0.5, 1, 2, 4, 8, 16))

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Change:
    """What one class's probability was before and after; label, index: which class. number: it is a number,
    in its own unit.
    """

    label: str
    index: int
    before: float
    after: float
    number: bool = False

    @property
    def texts(self) -> tuple[str, str]:
        """(before, after) for a person: "61.3 %", or the number."""
        text = number_text if self.number else percent
        return text(self.before), text(self.after)


# --- masking a region ---------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False, repr=False)
class MaskedLook:
    """A photo as it is and with one region masked.

    before, after: the two Looks;  box: the region (left, top, right, bottom), whole pixels of the photo
    fill:  what the region was filled with
    notes: what a reader must know, e.g. that the network never saw the region
    """

    before: Look
    after: Look
    box: tuple[int, int, int, int]
    fill: str
    notes: tuple[str, ...] = ()

    @property
    def picture(self) -> Image.Image:
        """The masked photo, in the photo's own size."""
        return self.after.image

    @cached_property
    def answers(self) -> tuple[Prediction, Prediction]:
        """What was said before and is said now; where several classes may hold at once, of the one that was
        likeliest.
        """
        before, after = self.before, self.after
        first = answer_of(before.logits, before.outputs)
        return first, answer_of(after.logits, after.outputs, first.index)

    @cached_property
    def changes(self) -> tuple[Change, ...]:
        """The likeliest classes of both Looks, those from before first: what became of each probability."""
        return changes_of(self.before.logits, self.after.logits, self.before.outputs,
                        [p.index for p in (*self.before.predictions, *self.after.predictions)])

    def __repr__(self) -> str:
        changed = _in_short(self.changes)
        return f"MaskedLook({self.before.model_name!r}, box {self.box}, {self.fill!r}, {changed})"

    def _repr_html_(self) -> str:
        pictures = (_html(outlined(self.before.image, self.box), "The photo; the frame is the region")
                    + _html(self.after.image, f"Looked at again: {self.fill}"))
        return _result_html(self.before.model_name, pictures, self.changes, (*self.before.notes, *self.notes))


@checked
def mask_region(
    model: VisionModel | str,
    image: Any,
    box: Sequence[float],
    *,
    fill: str = "blur",
    look: Look | None = None,
) -> MaskedLook:
    """Hide one region of a photo and look again.

    box:  (left, top, right, bottom) in the photo's own pixels; what lies outside of the photo is cut off
    fill: "blur" (a Gaussian of a sixth of the region's longer side: little that is new, so the kindest),
          "grey" (mid grey), or "mean" (the mean colour of the photo)
    look: the Look of this model at this photo, where there is one: saves a pass

    A patch of one colour is itself something that the network never saw in training, and may change the
    answer for that reason alone: compare two fills, and a region of the same size elsewhere. Raises
    ValueError for a box that is no rectangle within the photo, an unknown fill or another photo's Look.
    Source: Zeiler and Fergus 2014, "Visualizing and Understanding Convolutional Networks", section 4.2, where
    it is a grey square.
    """
    if fill not in FILLS:
        *others, last = map(repr, FILLS)
        raise ValueError(f"Unknown fill {fill!r}: expected {', '.join(others)} or {last}.")
    model = as_model(model)
    before = look_before(model, image, look)
    region = _within(box, before.image.size)
    masked = masked_photo(before.image, region, fill)
    after = look_at(model, masked, topk=max(1, len(before.predictions)))
    notes = ()
    if not _overlap(region, crop_box(before.image.size, before.config)):
        notes = ("The network never sees this region: it lies in the margin that is cut off beforehand.",)
    return MaskedLook(before, after, region, fill, notes)


def masked_photo(photo: Image.Image, box: tuple[int, int, int, int], fill: str) -> Image.Image:
    """A copy of an RGB photo with the region filled; `box` lies inside it. Fills as in `mask_region`."""
    masked = photo.copy()
    left, top, right, bottom = box
    if fill == "blur":
        radius = max(right - left, bottom - top) / 6
        margin = math.ceil(3 * radius)  # further away a Gaussian is nearly zero: why blur the whole photo
        around = (max(0, left - margin), max(0, top - margin),
                  min(photo.width, right + margin), min(photo.height, bottom + margin))
        blurred = photo.crop(around).filter(ImageFilter.GaussianBlur(radius))
        x, y = left - around[0], top - around[1]
        masked.paste(blurred.crop((x, y, x + right - left, y + bottom - top)), (left, top))
    else:
        masked.paste(GREY if fill == "grey" else mean_colour(photo), box)
    return masked


def mean_colour(photo: Image.Image) -> tuple[int, ...]:
    """The mean of all pixels, (red, green, blue) in 0..255."""
    return tuple(round(value) for value in ImageStat.Stat(photo).mean)


def outlined(photo: Image.Image, box: Sequence[float], *, side: int = 224) -> Image.Image:
    """A small copy of a photo with a frame around `box` (the photo's pixels), seen on dark and on light."""
    small = draw.thumbnail(photo, side)
    x, y = small.width / photo.width, small.height / photo.height
    left, top = min(box[0] * x, small.width - 1), min(box[1] * y, small.height - 1)
    right, bottom = min(box[2] * x, small.width) - 1, min(box[3] * y, small.height) - 1
    corners = (left, top, max(left, right), max(top, bottom))
    pen = ImageDraw.Draw(small)
    pen.rectangle([corner + shift for corner, shift in zip(corners, (-1, -1, 1, 1))], outline="black")
    pen.rectangle(corners, outline="white")
    return small


def _within(box: Sequence[float], size: tuple[int, int]) -> tuple[int, int, int, int]:
    """The whole pixels of a photo (width, height) that a box covers; at least one."""
    try:
        left, top, right, bottom = (float(value) for value in box)
    except (TypeError, ValueError):
        left = top = right = bottom = math.nan
    if not all(map(math.isfinite, (left, top, right, bottom))) or left >= right or top >= bottom:
        raise ValueError(f"The box is {box!r}: expected (left, top, right, bottom) in the photo's pixels, "
                         "with left < right and top < bottom.")
    width, height = size
    if right <= 0 or bottom <= 0 or left >= width or top >= height:
        raise ValueError(f"The box {box!r} lies outside of the photo, which is {width} x {height} pixels.")
    left, top = min(max(0, round(left)), width - 1), min(max(0, round(top)), height - 1)
    return left, top, max(left + 1, min(width, round(right))), max(top + 1, min(height, round(bottom)))


def _overlap(one: Sequence[float], other: Sequence[float]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


# --- the fast gradient sign method --------------------------------------------------------------------------


@dataclass(frozen=True, eq=False, repr=False)
class Perturbed:
    """What the network sees, before and after a step of `fgsm`.

    epsilon: how far each value was moved at most, for values in 0..1
    aim:     the class in question, or the number;  towards: whether its probability was to rise, else to fall
    before, after: the likeliest classes, best first;  changes: what became of their probabilities
    answers: what was said before and is said now; where several classes may hold at once, of the class in
             question
    original, picture: what the network saw and sees, as pictures (rounded to 8 bits; it gets `input`)
    noise:   the difference, amplified `amplified` times, with grey for "no change"
    input:   what went into the network the second time: normalised [C, H, W]
    """

    model_name: str
    epsilon: float
    aim: Prediction
    towards: bool
    before: list[Prediction]
    after: list[Prediction]
    answers: tuple[Prediction, Prediction]
    changes: tuple[Change, ...]
    original: Image.Image
    picture: Image.Image
    noise: Image.Image
    amplified: float
    input: Tensor
    notes: tuple[str, ...] = ()

    @property
    def fooled(self) -> bool:
        """Whether the likeliest class is another one now; where several may hold at once, whether a yes to
        the class in question became a no, or the other way round. Numbers decide nothing: False."""
        return said(self.answers[0]) != said(self.answers[1])

    def __repr__(self) -> str:
        return f"Perturbed({self.model_name!r}, epsilon {_in_255(self.epsilon)}, {_in_short(self.changes)})"

    def _repr_html_(self) -> str:
        ways = ("smaller", "larger") if self.aim.value is not None else ("away from", "towards")
        step = ways[self.towards]
        times = f", {self.amplified:.3g} times as strong" if self.amplified else ""
        pictures = (_html(self.original, "What the network saw") + _html(self.noise, f"The change{times}")
                    + _html(self.picture, f"What it sees now: epsilon {_in_255(self.epsilon)}, "
                                          f"{step} {self.aim.label}"))
        return _result_html(self.model_name, pictures, self.changes, self.notes)


@dataclass(frozen=True, eq=False, repr=False)
class PerturbedSweep(Sequence):
    """`fgsm` with several epsilons: a sequence of `Perturbed`. stopped: whether some are missing."""

    results: tuple[Perturbed, ...]
    stopped: bool = False

    def __len__(self) -> int:
        return len(self.results)

    def __getitem__(self, index):
        return self.results[index]

    def __iter__(self) -> Iterator[Perturbed]:
        return iter(self.results)

    @property
    def first_fooled(self) -> Perturbed | None:
        """The smallest epsilon tried at which the likeliest class is another one; None: at none."""
        return min((one for one in self if one.fooled), key=lambda one: one.epsilon, default=None)

    def __repr__(self) -> str:
        found = self.first_fooled
        end = f"another answer from {_in_255(found.epsilon)} on" if found else "the same answer for all"
        if self[0].changes[0].number:
            end = f"{self[0].aim.label!r} {self[0].changes[0].texts[1]} to {self[-1].changes[0].texts[1]}"
        return f"PerturbedSweep({len(self)} epsilons, {end})"

    def _repr_html_(self) -> str:
        if self[0].changes[0].number:
            numbers = [(_in_255(one.epsilon), one.changes[0].texts[1]) for one in self]
            return f"<div>{numbers_html('epsilon', self[0].aim.label, numbers)}</div>"
        rows = [(_in_255(one.epsilon), one.changes[0].after, one.after[0].label, one.fooled) for one in self]
        return f"<div>{curve_html('epsilon', self[0].aim.label, rows)}</div>"


@checked
def fgsm(
    model: VisionModel | str,
    image: Any,
    *,
    epsilon: float = 2 / 255,
    target: int | str | None = None,
    towards: int | str | None = None,
    look: Look | None = None,
) -> Perturbed:
    """The fast gradient sign method: move every value of a photo by epsilon, the way that hurts most.

    x' = clip(x + epsilon * sign(gradient of the loss -log p(target)), 0, 1), on what the network sees after
    resize and crop, for values in 0..1 (before normalisation). One gradient. A number falls, or with
    `towards` rises.

    epsilon: 0..1; a step of an 8-bit picture is 1/255
    target:  the class whose probability shall fall, by index or name; None: the likeliest one
    towards: a class whose probability shall rise, in place of `target`
    look:    the Look of this model at this photo, where there is one

    A small network on a laptop falls for 1/255 or 2/255. That says that its decision is brittle in
    directions which no camera takes; `robustness` asks about the ones a camera does take. The model, its
    flags and gradients stay untouched.
    Raises ValueError for an epsilon outside 0..1, an unknown class, or a model without an answer that could
    change.
    Source: Goodfellow et al. 2014, "Explaining and Harnessing Adversarial Examples"; `towards` is the
    one-step target class method of Kurakin et al. 2016, "Adversarial Machine Learning at Scale".
    """
    return fgsm_sweep(model, image, epsilons=(epsilon,), target=target, towards=towards, look=look)[0]


def fgsm_sweep(
    model: VisionModel | str,
    image: Any,
    *,
    epsilons: Sequence[float] = EPSILONS,
    target: int | str | None = None,
    towards: int | str | None = None,
    look: Look | None = None,
    should_stop: Callable[[], bool] | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> PerturbedSweep:
    """`fgsm` for several epsilons: one gradient for all, and one pass each.

    on_progress(done, total) after each epsilon; should_stop() -> True ends it, and what is done is kept.
    """
    if not len(epsilons):
        raise ValueError("No epsilon was given: expected at least one number in 0..1, such as 2/255.")
    for epsilon in epsilons:
        number = isinstance(epsilon, (int, float, np.integer, np.floating)) and not isinstance(epsilon, bool)
        if not number or not 0 <= epsilon <= 1:
            raise ValueError(f"epsilon is {epsilon!r}: expected a number in 0..1, such as 2/255.")
    if target is not None and towards is not None:
        raise ValueError("Give target=, the class to move away from, or towards=, one to move to; not both.")
    model = as_model(model)
    if not model.num_classes:
        raise ValueError("This model tells 0 classes apart: there is no decision to change. Take a model with a "
                         "classifier.")
    before = look_before(model, image, look)
    outputs = before.outputs
    index = class_index(target if towards is None else towards, before)
    aim = next(one for one in top_predictions(before.logits, outputs, len(outputs)) if one.index == index)

    pixels = _as_pixels(before.seen)  # [C, H, W] in 0..1
    mean, std = (torch.tensor(before.config[key]).float().view(-1, 1, 1) for key in ("mean", "std"))
    with evaluating(model):
        gradient = _loss_gradient(model, (pixels - mean) / std, outputs, index)
    # Normalisation multiplies by 1 / std, above zero: the sign for the values in 0..1 is the same.
    direction = gradient.sign() if towards is None else -gradient.sign()
    notes = before.notes
    if not gradient.isfinite().all():
        raise ValueError("The gradient of this model at this photo is not a number: its weights or maps "
                         "hold NaN or infinite values (see explorer.activations).")
    if not gradient.any():
        notes += ("The gradient is zero everywhere, so nothing was changed: the loss is flat here.",)
    results = []
    for done, epsilon in enumerate(epsilons, start=1):
        epsilon = float(epsilon)
        moved = (pixels + epsilon * direction).clamp(0, 1)
        tensor = (moved - mean) / std
        with evaluating(model):  # for each pass: others may look through the model in between
            logits = logits_of(model, tensor)
        after = top_predictions(logits, outputs, max(5, len(before.predictions)))
        best = [index, *(p.index for p in (*before.predictions, *after))]
        amplified = 0.5 / epsilon if epsilon else 0.0
        results.append(Perturbed(
            model_name=before.model_name, epsilon=epsilon, aim=aim, towards=towards is not None,
            before=before.predictions, after=after,
            answers=(answer_of(before.logits, outputs, index), answer_of(logits, outputs, index)),
            changes=changes_of(before.logits, logits, outputs, best),
            original=before.seen.convert("RGB"), picture=_as_picture(moved),
            noise=_as_picture(0.5 + amplified * (moved - pixels)), amplified=amplified, input=tensor,
            notes=notes,
        ))
        if on_progress:
            on_progress(done, len(epsilons))
        if should_stop and done < len(epsilons) and should_stop():
            break
    return PerturbedSweep(tuple(results), stopped=len(results) < len(epsilons))


WITHOUT_GRADIENT = "An adversarial example (FGSM) is made from that gradient; explorer.robustness needs the answers alone."


def _loss_gradient(model: nn.Module, tensor: Tensor, outputs: Outputs, index: int) -> Tensor:
    """Gradient at the input [C, H, W] of a loss that points the same way as -log p(index), on the CPU.

    The loss is -log(p / (1 - p)): its gradient is that of -log p, divided by 1 - p. For a network that is
    entirely sure, 1 - p is rounded to zero, and with it the gradient of -log p; here the direction stays.
    That of a number is the number, made smaller.
    """
    with torch.inference_mode(False), torch.enable_grad(), way_back(WITHOUT_GRADIENT):
        tensor = tensor[None].to(**parameter_place(model)).clone().requires_grad_()
        logits = model(tensor.clone())[0].float()
        expect_way_back(logits, tensor, WITHOUT_GRADIENT)
        loss = -outputs.log_odds(logits, index)
        (gradient,) = torch.autograd.grad(loss, tensor)  # of nothing else: no parameter's .grad is written
    return gradient[0].float().cpu()


def _as_pixels(picture: Image.Image) -> Tensor:
    """PIL -> [C, H, W] in 0..1."""
    values = torch.from_numpy(np.array(picture)).float().div(255)
    return values[None] if values.ndim == 2 else values.permute(2, 0, 1)


def _as_picture(pixels: Tensor) -> Image.Image:
    """[1 | 3, H, W] in 0..1 -> RGB picture."""
    values = pixels.mul(255).round().clamp(0, 255).byte().expand(3, -1, -1)
    return Image.fromarray(np.ascontiguousarray(values.permute(1, 2, 0).numpy()))


# --- what other experiments need too -----------------------------------------------------------------------


def look_before(model: VisionModel, image: Any, look: Look | None) -> Look:
    """The Look to start from: the given one, or a new one where none is given or the model has changed since.

    Raises ValueError for a Look of another model or photo, and for a model without classifier.
    """
    if not model.num_classes:
        raise ValueError("This model has no classifier (num_classes=0), so it has no answer that could "
                         "change: create it with its classes.")
    if model.in_chans not in (1, 3):
        raise ValueError(f"This model reads {model.in_chans} channels: only photos of one or three can be painted on and spoilt.")
    if look is None:
        return look_at(model, image)
    if not is_at(look, image):
        raise ValueError("The given Look is of another photo: leave look= out, or give the photo that was looked "
                         "at (look.image).")
    if look.model_name != model_name(model) or len(look.logits) != model.num_classes:
        raise ValueError(f"The given Look is of {look.model_name} with {len(look.logits)} classes, not of "
                         f"{model_name(model)} with {model.num_classes}: leave look= out, or look again.")
    # not trained since, nor a Look that was saved
    known = look._origin is not None and look._origin.is_still(model)
    if not known or look.outputs != outputs_of(model):
        return look_at(model, look.image, topk=max(1, len(look.predictions)))
    return look


def class_index(target: int | str | None, before: Look) -> int:
    """Which class is meant: an index, a name or a part of one as in `explain`, or None for the likeliest;
    which number.
    """
    outputs = before.outputs
    if target is None:
        return int(outputs.likeliest(before.logits))
    return find_class(target, outputs.labels, outputs.noun)


def logits_of(model: nn.Module, tensor: Tensor) -> Tensor:
    """One photo's input [C, H, W] -> logits [K], float32 on the CPU; the caller holds `evaluating`."""
    with torch.inference_mode():
        logits = model(tensor[None].to(**parameter_place(model)))[0].float().cpu()
    return logits.clone()  # outside of the inference mode: an ordinary tensor


def changes_of(before: Tensor, after: Tensor, outputs: Outputs, indices: Sequence[int]) -> tuple[Change, ...]:
    """What became of these classes or numbers between two rows of raw scores [W]."""
    read = outputs.values if outputs.numbers else outputs.probabilities
    was, now = read(before), read(after)
    return tuple(Change(outputs.labels[i], i, float(was[i]), float(now[i]), outputs.numbers)
                 for i in dict.fromkeys(indices))


# --- HTML ---------------------------------------------------------------------------------------------------


def _in_short(changes: Sequence[Change]) -> str:
    before, after = changes[0].texts
    return f"{changes[0].label!r} {before} -> {after}"


def _in_255(epsilon: float) -> str:
    return f"{255 * epsilon:.3g}/255"


def _html(image: Image.Image, caption: str) -> str:
    return picture_html(draw.thumbnail(image, 224), caption)


def _result_html(name: str, pictures: str, changes: Sequence[Change], notes: Sequence[str]) -> str:
    warnings = notes_html(notes)
    both = side_by_side_html(f"{pictures}{changes_html(changes)}")
    return f"<div>{title_html(name)}{warnings}{both}</div>"


def changes_html(changes: Sequence[Change]) -> str:
    """A table of probabilities before and after, with two bars a class, or of numbers; what they are is
    text.
    """
    numbers = any(change.number for change in changes)  # which have no end that a bar could reach
    rows = []
    for change in changes:
        both = f"{bar_html(change.before, '#9aa5b1')}{bar_html(change.after)}"
        bars = "" if numbers else cell_html(both, style="width:12em")
        rows.append(f"<tr>{name_html(change.label)}{bars}{cells_html(change.texts)}</tr>")
    titles = ("number", "before", "after") if numbers else ("class", "", "before", "after")
    return table_html(titles, "".join(rows))


def curve_html(what: str, label: str, rows: Sequence[tuple[str, float, str, bool]]) -> str:
    """A table of a curve: (value, p of the class `label`, the likeliest class, whether it is another)."""
    body = "".join(
        f"<tr>{name_html(value)}{cell_html(bar_html(p, ORANGE if other else BLUE), style='width:12em')}"
        f"{cells_html([percent(p)])}{cell_html(f'<b>{escape(best)}</b>' if other else escape(best))}</tr>"
        for value, p, best, other in rows
    )
    return table_html((what, f"p({label})", "", "likeliest"), body)


def numbers_html(what: str, label: str, rows: Sequence[tuple[str, str]]) -> str:
    """A table of a number's curve: (value, the number `label` there)."""
    return table_html((what, label), "".join(row_html(value, [number]) for value, number in rows))
