"""A heat map of a box or a region: an `Attribution` that shows what it was asked about."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw
from torch import Tensor
from torch.nn import functional as F

from explorer.display import draw
from explorer.display.html import LINE, notes_html, picture_html, side_by_side_html
from explorer.inspection.attribution.methods import METHODS, passes_text
from explorer.inspection.attribution.result import Attribution, heat_html
from explorer.inspection.look.frame import Box

SIDE = 320  # pixels of the longer side of a picture in a notebook
WHITE, BLACK = (255, 255, 255), (0, 0, 0)  # a line of both is seen on every photo and every heat


@dataclass(eq=False, repr=False)
class PlaceAttribution(Attribution):
    """Where in a photo the score of one box, or of a class in a region, comes from, as one method sees it.

    As an `Attribution`; and
    asked:   what was asked, in words: "score 0.93 of 'RBC' in the box (12, 30, 80, 99)"
    probability: the box's score, or how likely the class is in the region on average, 0 to 1
    number:  which of the boxes, from the best; None for a region
    outline: what is drawn around it: a box (left, top, right, bottom) or a point (x, y) in the photo's
             pixels, or a mask [H, W]
    heatmap: 1 is the most within the photo
    """

    asked: str = ""
    probability: float = 0.0
    number: int | None = None
    outline: Box | tuple[float, float] | Tensor | None = None

    @property
    def caption(self) -> str:
        """The method, the stage and what was asked, in a line."""
        stage = f", stage {self.stage}" if self.stage else ""
        return f"{self.title}{stage}: {self.asked}"

    def overlay(self, alpha: float = 0.5, colormap: str = "magma", *, outline: bool = True) -> Image.Image:
        """The photo with the heat map on it, RGB, in the photo's size; outline: with a line around what was
        asked about. The rest as in `Attribution.overlay`.
        """
        picture = super().overlay(alpha, colormap)
        return outlined(picture, self.outline) if outline and self.outline is not None else picture

    def plot(self, *, side: float = 5.0) -> Any:
        """Photo and heat side by side, a figure of matplotlib's; side: of each, in inches."""
        from matplotlib.figure import Figure

        figure = Figure(figsize=(2 * side, side * self.image.height / self.image.width + 0.6),
                        layout="constrained")
        small = self.shrunk(1200)
        for axes, picture in zip(figure.subplots(1, 2), (small.photo_with_outline(), small.overlay())):
            axes.imshow(picture)
            axes.axis("off")
        figure.suptitle(self.caption, wrap=True)
        return figure

    def save(self, path: str | os.PathLike) -> Path:
        """Write the overlay as a picture file, by its ending; the heat itself is `.heatmap`."""
        from explorer.files import given_path

        file = given_path(path, "path")
        self.overlay().save(file)
        return file

    def photo_with_outline(self) -> Image.Image:
        photo = self.image.convert("RGB")
        return outlined(photo, self.outline) if self.outline is not None else photo

    def shrunk(self, side: int) -> PlaceAttribution:
        """The same for a photo whose longer side has at most so many pixels, for a screen."""
        scale = side / max(self.image.size)
        if scale >= 1:
            return self
        image, outline = draw.thumbnail(self.image, side), self.outline
        width, height = image.size
        heat = F.adaptive_avg_pool2d(self.heatmap[None], (height, width))[0]
        if isinstance(outline, Tensor):
            outline = F.adaptive_avg_pool2d(outline[None].float(), (height, width))[0] >= 0.5
        elif outline is not None:
            outline = tuple(value * scale for value in outline)
        return replace(self, image=image, heatmap=heat, outline=outline)

    def __repr__(self) -> str:
        return f"PlaceAttribution({self.caption!r}, {self.model_name!r}, {passes_text(self.passes)})"

    def _repr_html_(self) -> str:
        facts = [self.model_name, self.asked, *([f"stage {self.stage}"] if self.stage else []),
                 passes_text(self.passes), f"{1000 * self.seconds:.0f} ms"]
        small = self.shrunk(SIDE)
        photo = picture_html(small.photo_with_outline(), "The photo", format="JPEG")
        heat = heat_html(small.overlay(), f"{self.title}: the brighter, the more it counts")
        said = f"<b>{escape(self.title)}</b> · {escape(' · '.join(facts))}"
        limits = escape(METHODS[self.method].limits)
        return (f"<div><p style='{LINE}'>{said}</p>{notes_html(self.notes)}{side_by_side_html(photo + heat)}"
                f"<p style='{LINE};font-size:.85em'>{limits}</p></div>")


def outlined(picture: Image.Image, outline: Any) -> Image.Image:
    """A copy of an RGB picture with a box, a point or a mask's border drawn over it, white beside black."""
    picture = picture.copy()
    unit = max(1, round(max(picture.size) / 300))  # a large photo is shown small
    if isinstance(outline, Tensor):
        return _with_border(picture, outline.numpy(), unit)
    pen = ImageDraw.Draw(picture)
    if len(outline) == 2:
        x, y = outline
        for reach, colour in ((4 * unit, BLACK), (3 * unit, WHITE)):
            pen.ellipse((x - reach, y - reach, x + reach, y + reach), outline=colour, width=unit)
        return picture
    left, top, right, bottom = outline
    for out, colour in ((unit, BLACK), (0, WHITE)):
        corners = left - out, top - out, max(left, right - 1) + out, max(top, bottom - 1) + out
        pen.rectangle(corners, outline=colour, width=unit)
    return picture


def _with_border(picture: Image.Image, mask: np.ndarray, unit: int) -> Image.Image:
    """White just inside of the mask's border, black just outside."""
    pixels = np.array(picture)
    pixels[_grown(mask, unit) & ~mask] = BLACK
    pixels[mask & _grown(~mask, unit)] = WHITE
    return Image.fromarray(pixels)


def _grown(mask: np.ndarray, reach: int) -> np.ndarray:
    """Where within `reach` pixels, down and across, there is a yes."""
    for axis in (0, 1):
        ends = [(0, 0), (0, 0)]
        ends[axis] = (reach + 1, reach)
        many = np.cumsum(np.pad(mask, ends), axis=axis, dtype=np.int32)
        length, window = mask.shape[axis], 2 * reach + 1
        mask = many.take(range(window, window + length), axis) > many.take(range(length), axis)
    return mask
