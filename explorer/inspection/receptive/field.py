"""The receptive field of one cell, which shows itself in a notebook: `ReceptiveField`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from html import escape
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from explorer.arguments import checked, whole
from explorer.display import draw
from explorer.display.html import LINE, RichRepr, notes_html, picture_html, title_html
from explorer.inspection.receptive.reach import CUT

Box = tuple[float, float, float, float]  # left, top, right, bottom
SIDE = 320  # pixels of a picture in a notebook


@dataclass(frozen=True, eq=False)
class Fields:
    """The rectangles of all cells of a map: edges [8, rows, columns], as in `reach.Reach`.

    input_size: (height, width) of what the network reads
    photo: (its size (width, height), the part of it that the network reads, in its pixels); None for no photo
    """

    edges: Tensor
    input_size: tuple[int, int]
    photo: tuple[tuple[int, int], Box] | None = None

    @property
    def grid(self) -> tuple[int, int]:
        rows, columns = self.edges.shape[1:]
        return rows, columns

    def check(self, stage: str, row: int, column: int) -> None:
        """Raise ValueError for a cell that the map has not."""
        rows, columns = self.grid
        for word, given, count in (("row", row, rows), ("column", column, columns)):
            if not 0 <= given < count:
                raise ValueError(f"{word} is {given}: the map of {stage} has {rows} rows and {columns} "
                                 f"columns, counted from 0, so {word} is from 0 to {count - 1}.")

    def spans(self) -> tuple[list[tuple[float, float]], list[tuple[float, float]]] | None:
        """((left, right) of each column, (top, bottom) of each row), in the input's pixels, cut at its edges.

        None where they do not stand for all cells: in one column, or in one row, they differ.
        """
        top, bottom, left, right = self.edges[:CUT]
        alike = [torch.equal(edge, edge[:, :1].expand_as(edge)) for edge in (top, bottom)]
        alike += [torch.equal(edge, edge[:1].expand_as(edge)) for edge in (left, right)]
        if not all(alike):
            return None
        columns = zip((0.0 - left[0]).tolist(), right[0].tolist(), strict=True)
        rows = zip((0.0 - top[:, 0]).tolist(), bottom[:, 0].tolist(), strict=True)
        return list(columns), list(rows)

    def of(self, row: int, column: int) -> dict[str, Any]:
        """What a `ReceptiveField` says of a cell."""
        edges = self.edges[:, row, column].tolist()
        height, width = self.input_size
        box = _box(edges[:CUT])
        everything = box == (0.0, 0.0, width, height) and all(edge == math.inf for edge in edges[CUT:])
        unclipped = _box(edges[CUT:]) if all(map(math.isfinite, edges)) else None
        in_photo = unclipped_in_photo = None
        if self.photo is not None:
            size, frame = self.photo
            in_photo = _within(_stretched(box, self.input_size, frame), size)
            unclipped_in_photo = unclipped and _stretched(unclipped, self.input_size, frame)
        return {"row": row, "column": column, "box": box, "unclipped": unclipped, "everything": everything,
                "photo_box": in_photo, "photo_unclipped": unclipped_in_photo}


@dataclass(eq=False, repr=False)
class ReceptiveField(RichRepr):
    """Which pixels one cell of a map is computed from. Boxes are (left, top, right, bottom), and the pixels
    in them are left <= x < right, top <= y < bottom.

    model_name, stage: what was asked;  row, column: of the cell, from 0
    box:        in pixels of the network's input, cut at its edges
    unclipped:  the same as if the picture went on: what a cell in the middle of a larger one would read. None
                where the cell reads everything, or where it can't be told
    everything: whether the cell reads the whole picture, however large it is: by attention over all places,
                or a pooling over all of them that is applied to each (squeeze and excitation)
    image:      the photo; None where none was given
    seen:       the part of it that the network reads, resized
    photo_box, photo_unclipped: the same boxes in the photo's own pixels, the first cut at its edges
    effective:  [H, W] in 0..1 over the input: how strongly each pixel moves the cell, by gradient, relative
                to the pixel that moves it most. None where it was not asked for
    photos:     how many photos that is the mean of; 0 for noise
    notes:      sentences that a reader must know
    ungated:    whether numbers that are pooled from all places and multiplied to each were left out of it
    """

    model_name: str
    stage: str
    row: int
    column: int
    box: Box
    unclipped: Box | None
    everything: bool
    fields: Fields = field(repr=False)
    image: Image.Image | None = None
    seen: Image.Image | None = None
    photo_box: Box | None = None
    photo_unclipped: Box | None = None
    effective: Tensor | None = None
    photos: int = 0
    notes: tuple[str, ...] = ()
    ungated: bool = False

    @checked(row=whole(0), column=whole(0))
    def at(self, row: int, column: int) -> ReceptiveField:
        """That of another cell of the same map, without another pass; its effective field isn't there."""
        self.fields.check(self.stage, row, column)
        return replace(self, **self.fields.of(row, column), effective=None, photos=0)

    @property
    def input_size(self) -> tuple[int, int]:
        """(height, width) of what the network reads, in pixels."""
        return self.fields.input_size

    @property
    def grid(self) -> tuple[int, int]:
        """(rows, columns) of the map."""
        return self.fields.grid

    @property
    def size(self) -> tuple[float, float] | None:
        """(height, width) of the unclipped box, in pixels of the input; None where there is none."""
        if self.unclipped is None:
            return None
        left, top, right, bottom = self.unclipped
        return bottom - top, right - left

    @property
    def effective_side(self) -> float | None:
        """Side in pixels of a square as large as the pixels that move the cell by more than 4.55 % of what
        the strongest does, the threshold of Luo et al. 2016; None where it was not asked for. """
        if self.effective is None:
            return None
        return float((self.effective > 1 - 0.9545).sum()) ** 0.5

    @property
    def text(self) -> str:
        """What was found, in a sentence."""
        height, width = self.input_size
        cell = f"Row {self.row}, column {self.column} of {self.stage}"
        if self.everything:
            return f"{cell} reads everything: all {width} x {height} pixels, however large the picture."
        left, top, right, bottom = (f"{edge:.0f}" for edge in self.box)
        if float(left) >= float(right) or float(top) >= float(bottom):
            return f"{cell} reads no pixel of the picture."
        found = f"{cell} reads the pixels from {left} to {right} across and from {top} to {bottom} down"
        if self.unclipped is not None and self.unclipped != self.box:
            down, across = self.size or (0, 0)
            found += f", a part of a field of {across:.0f} x {down:.0f} that reaches over the edge"
        return f"{found} (of {width} x {height})."

    def overlay(self) -> Image.Image:
        """What the network read, RGB, in its size, with a frame around the box, and the effective field,
        where there is one, as heat over it. """
        height, width = self.input_size
        picture = self.seen or Image.new("RGB", (width, height), (128, 128, 128))
        picture = picture.convert("RGB").resize((width, height))
        if self.effective is not None:
            picture = draw.heated(picture, np.sqrt(self.effective.numpy()), alpha=0.6)
        return draw_box(picture, self.box)

    def __repr__(self) -> str:
        return f"ReceptiveField({self.model_name}: {self.text})"

    def _repr_html_(self) -> str:
        height, width = self.input_size
        zoom = max(1, SIDE // max(height, width))
        style = f"width:{min(SIDE, width * zoom)}px;image-rendering:{'pixelated' if zoom > 1 else 'auto'}"
        picture = picture_html(self.overlay(), self.caption, style=style)
        return (f"<div>{title_html(self.model_name)}<p style='{LINE}'>{escape(self.text)}</p>"
                f"{notes_html(self.notes)}{picture}</div>")

    @property
    def caption(self) -> str:
        """What the picture shows."""
        height, width = self.input_size
        words = "Framed: the receptive field"
        if self.effective is not None:
            count = "one photo" if self.photos == 1 else f"{self.photos} photos" if self.photos else "noise"
            words += (f"; bright: how strongly a pixel moves the cell (mean of {count}), "
                      f"in all about {self.effective_side:.0f} x {self.effective_side:.0f} pixels")
        return f"{words}. The network's input, {width} x {height} pixels"


def draw_box(picture: Image.Image, box: Box) -> Image.Image:
    """A copy with a frame around a box, white in black, which is seen on dark and on light."""
    framed = picture.copy()
    left, top, right, bottom = box
    if right <= left or bottom <= top:
        return framed
    pen = ImageDraw.Draw(framed)
    corners = (left, top, max(left, right - 1), max(top, bottom - 1))
    pen.rectangle(corners, outline="white", width=2 if right - left > 8 else 1)
    pen.rectangle([edge + shift for edge, shift in zip(corners, (-1, -1, 1, 1))], outline="black")
    return framed


def _box(edges: Sequence[float]) -> Box:
    top, bottom, left, right = edges
    if min(edges) == -math.inf:  # it reads nothing
        return 0.0, 0.0, 0.0, 0.0
    return 0.0 - left, 0.0 - top, right, bottom


def _stretched(box: Box, size: tuple[int, int], frame: Box) -> Box:
    """A box in pixels of the input (height, width), in those of the photo of which that is the `frame`."""
    x, y = (frame[2] - frame[0]) / size[1], (frame[3] - frame[1]) / size[0]
    return frame[0] + box[0] * x, frame[1] + box[1] * y, frame[0] + box[2] * x, frame[1] + box[3] * y


def _within(box: Box, size: tuple[int, int]) -> Box:
    left, top, right, bottom = (min(max(edge, 0.0), float(side)) for edge, side in zip(box, size * 2))
    return left, top, right, bottom
