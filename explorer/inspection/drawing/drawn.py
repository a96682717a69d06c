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
from explorer.inspection.drawing.methods import Method

SHOWN = 320  # pixels of the longer side in a notebook
ENDINGS = {".png": "PNG", ".jpg": "JPEG", ".webp": "WEBP"}


@dataclass(eq=False, repr=False)
class DrawnPicture(RichRepr):
    """The picture that something in a network answers to most.

    model_name: which network;  words: what it is drawn for, "the class 'beagle'"
    measure:    what was raised: "the score (logit)", "the number" in its own unit, "the channel's mean"
    image:      the picture, RGB;  pixels: the same as the network reads it before normalisation, [C, H, W]
    score:      the measure of `image` as it is
    history:    the measure in each step, of the picture as it was shaken then
    probability: the share that the network gives that class for `image`; None for channels and numbers
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
    probability: float | None = None
    stopped: bool = False
    notes: tuple[str, ...] = ()

    @property
    def steps(self) -> int:
        """How many were taken."""
        return len(self.history)

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
        title = title_html(f"{self.model_name}: drawn for {self.words}")
        curve = curve_html(self.history, self.measure)
        both = side_by_side_html(f"{picture}<div>{curve}</div>")
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
