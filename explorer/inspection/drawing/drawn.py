"""A picture that was drawn by optimisation, which shows itself in a notebook: `DrawnPicture`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

from PIL import Image
from torch import Tensor

from explorer.arguments import checked
from explorer.display.html import (
    BLUE,
    RichRepr,
    notes_html,
    picture_html,
    sentences_html,
    side_by_side_html,
    title_html,
)
from explorer.display.words import counted, number_text, percent
from explorer.files import given_path, write_whole
from explorer.inspection.drawing.ascent import Sofar
from explorer.inspection.drawing.methods import Method
from explorer.inspection.experiments.changes import Change, changes_html, changes_of
from explorer.inspection.look.answers import Prediction, predictions_html, top_predictions
from explorer.inspection.look.pixels import as_picture, as_pixels
from explorer.models.outputs import Outputs

SHOWN = 320  # pixels of the longer side in a notebook
ENDINGS = {".png": "PNG", ".jpg": "JPEG", ".webp": "WEBP"}


@dataclass(frozen=True, eq=False)
class Answers:
    """Raw scores [W] of a picture, and what they mean."""

    outputs: Outputs
    scores: Tensor

    @property
    def row(self) -> tuple[Tensor, Outputs]:
        return self.scores, self.outputs


@dataclass(eq=False, repr=False)
class DrawnPicture(RichRepr):
    """The picture that something in a network answers to most, or a photo in another's style.

    model_name: which network;  words: what it is drawn for, "the class 'beagle'"
    measure:    what was raised: "the score (logit)", "the number" in its own unit, "the channel's mean"; or
                "the loss", which falls
    image:      the picture, RGB;  pixels: the same as the network reads it before normalisation, [C, H, W]
    score:      the measure of `image` as it is
    history:    the measure in each step, of the picture as it was shaken then
    target:     the index of the class or number; None for others
    answers:    what the network says of `image`, `before_answers` of `before`; None where it was not asked
    before:     the photo that it began with, None for noise
    method:     how it was drawn, one of `METHODS`;  seed: as asked
    stopped:    whether it ended before the last step
    notes:      sentences that a reader must know
    """

    model_name: str
    words: str
    measure: str
    image: Image.Image
    pixels: Tensor = field(repr=False)
    score: float
    history: tuple[float, ...]
    seed: int
    method: Method
    seconds: float
    target: int | None = None
    answers: Answers | None = None
    before: Image.Image | None = None
    before_answers: Answers | None = None
    stopped: bool = False
    notes: tuple[str, ...] = ()
    sofar: Sofar | None = field(default=None, repr=False)  # to go on from

    @property
    def steps(self) -> int:
        """How many were taken."""
        return len(self.history)

    @property
    def probability(self) -> float | None:
        """The share that the network gives the class for `image`; None for channels, numbers and styles."""
        if self.answers is None or self.target is None or self.answers.outputs.numbers:
            return None
        return float(self.answers.outputs.probabilities(self.answers.scores)[self.target])

    @property
    def predictions(self) -> list[Prediction]:
        """The five likeliest classes of `image`, as it is, without resizing; [] where there are none."""
        return [] if self.answers is None else top_predictions(*self.answers.row, 5)

    @property
    def changes(self) -> tuple[Change, ...]:
        """What became of the answer to `before`: the class in question, and the likeliest before and now."""
        was, now = self.before_answers, self.answers
        if was is None or now is None or self.target is None:
            return ()
        best = [one.index for answers in (was, now) for one in top_predictions(*answers.row, 3)]
        return changes_of(was.scores, now.scores, now.outputs, [self.target, *best])

    @property
    def difference(self) -> tuple[Image.Image, float] | None:
        """(what was changed of `before`, amplified so that the largest change is black or white and grey is
        none; how many times it is amplified). None where it began with noise, and of other than 1 or 3
        channels, which are shown each in its own range.
        """
        if self.before is None or len(self.pixels) not in (1, 3):
            return None
        change = as_pixels(self.image) - as_pixels(self.before)
        largest = float(change.abs().max())
        times = 0.5 / largest if largest else 0.0
        return as_picture(0.5 + times * change), times

    @property
    def text(self) -> str:
        """What came of it, in a sentence."""
        found = f"{self.measure} went from {number_text(self.history[0])} to {number_text(self.score)}"
        if self.probability is not None:
            found += f"; the network is {percent(self.probability)} sure of it"
        return f"{found[0].upper()}{found[1:]}, in {counted(self.steps, 'step')}."

    @checked
    def save(self, path: str | os.PathLike) -> Path:
        """Write the picture as a PNG, JPEG or WebP file, by the name's ending. Returns the path.

        Raises ValueError for another ending, DiskError where it can't be written.
        """
        target = given_path(path)
        ending = ENDINGS.get(target.suffix.lower())
        if ending is None:
            raise ValueError(f"path is {str(path)!r}: a picture is saved as a {', '.join(ENDINGS)} file.")
        write_whole(target, lambda beside: self.image.save(beside, ending))
        return target

    def __repr__(self) -> str:
        return f"DrawnPicture({self.model_name}, {self.words}: {self.text})"

    def _repr_html_(self) -> str:
        width, height = self.image.size
        zoom = max(1.0, SHOWN / max(width, height))
        caption = f"{width} x {height} pixels, seed {self.seed} ({self.method.title})"
        picture = picture_html(self.image, caption, style=f"width:{width * zoom:.0f}px")
        if self.before is not None:
            picture = picture_html(self.before, "Before", style=f"width:{width * zoom:.0f}px") + picture
        if self.before_answers is not None and (difference := self.difference) is not None:
            amplified = f"The difference, {number_text(difference[1])} times amplified; grey is none"
            picture += picture_html(difference[0], amplified, style=f"width:{width * zoom:.0f}px")
        title = title_html(f"{self.model_name}: drawn for {self.words}")
        curve = curve_html(self.history, self.measure)
        says = changes_html(self.changes) if self.changes else predictions_html(self.predictions)
        said = says if self.answers is not None else ""
        both = side_by_side_html(f"{picture}<div>{curve}{said}</div>")
        words = sentences_html([self.text])
        behind = sentences_html([self.method.meaning, f"Source: {self.method.source}."])
        return f"<div>{title}{words}{notes_html(self.notes)}{both}{behind}</div>"


def curve_html(values: Sequence[float], words: str, *, width: int = 260, height: int = 90) -> str:
    """What became of a number from step to step, as a small drawing with its lowest and highest value."""
    low, high = min(values), max(values)
    span, last = high - low or 1.0, max(1, len(values) - 1)
    points = " ".join(f"{4 + i / last * (width - 8):.1f},{4 + (high - value) / span * (height - 8):.1f}"
                      for i, value in enumerate(values))
    text = f"{words} in each step, from {number_text(low)} to {number_text(high)}"
    text = text[0].upper() + text[1:]
    line = f"<polyline points='{points}' fill='none' stroke='{BLUE}' stroke-width='1.5'/>"
    return (f"<figure style='margin:0'><svg role='img' aria-label='{escape(text)}' width='{width}' "
            f"height='{height}'><title>{escape(text)}</title>{line}</svg>"
            f"<figcaption style='font-size:.85em;max-width:{width}px'>{escape(text)}</figcaption></figure>")
