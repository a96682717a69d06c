"""What a network found to be where in one photo: a `Segmentation`, which shows itself in a notebook."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from numbers import Integral
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor

from explorer.arguments import checked, number
from explorer.data.images import load_image
from explorer.display import draw
from explorer.display.colours import Colour, hex_of
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
from explorer.display.words import did_you_mean, percent
from explorer.inspection.segment.colours import colour_of, tinted
from explorer.inspection.segment.enlarging import probability_of
from explorer.inspection.segment.judging import JudgedMask, judge

NAMED = 5   # classes of a photo that are told in a line
SIDE = 512  # pixels of the longer side of a picture in a notebook


@dataclass(eq=False, repr=False)
class Segmentation(RichRepr):
    """What every pixel of one photo is a part of. All tensors are on the CPU.

    model_name: e.g. "deeplabv3_resnet50.coco_voc_labels"
    image:      the photo, None in a table;  size: its (width, height) in pixels
    mask:       [H, W], the index of each pixel's class, in the photo's own frame: uint8, or int64 of more
                than 256 classes
    labels:     the names of all classes, by index
    scores:     float32 [K, h, w], the network's raw scores for the photo at the size that it saw; None in a
                table
    timing:     seconds for "preprocess" and "forward"; the "device"
    notes:      sentences that a reader of the mask must know, e.g. that the weights are random
    """

    model_name: str
    image: Image.Image | None
    size: tuple[int, int]
    mask: Tensor
    labels: tuple[str, ...]
    scores: Tensor | None = None
    timing: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    # --- what was found -----------------------------------------------------------------------------------

    @cached_property
    def counts(self) -> np.ndarray:
        """How many pixels each class has, [K]."""
        return np.bincount(self.mask.numpy().ravel(), minlength=len(self.labels))

    @property
    def found(self) -> list[int]:
        """The indices of the classes that there are, the largest first."""
        order = np.argsort(-self.counts, kind="stable")
        return [int(index) for index in order if self.counts[index]]

    @property
    def shares(self) -> dict[str, float]:
        """Class -> its share of the pixels, 0 to 1; only those that there are, the largest first."""
        shares: dict[str, float] = {}
        for index in self.found:
            label = self.labels[index]
            shares[label] = shares.get(label, 0.0) + float(self.counts[index] / self.mask.numel())
        return shares

    def as_rows(self) -> list[dict[str, Any]]:
        """A dict for each class that there is, the largest first: label, index, pixels, share (0 to 1)."""
        counts = [(index, int(self.counts[index])) for index in self.found]
        return [{"label": self.labels[index], "index": index, "pixels": pixels,
                 "share": pixels / self.mask.numel()} for index, pixels in counts]

    @property
    def in_words(self) -> str:
        """The largest classes with their shares: "background 80 %, cat 20 %"."""
        shares = list(self.shares.items())
        more = f" and {len(shares) - NAMED} more" if len(shares) > NAMED else ""
        return ", ".join(f"{label} {percent(share)}" for label, share in shares[:NAMED]) + more

    def probabilities(self, label: str | int) -> Tensor:
        """How likely each pixel is a part of that class: float32 [H, W], 0 to 1, in the photo's own frame.

        label: the name of a class, or its index
        Raises ValueError for a class that the network doesn't know, or of a table, which keeps no scores.
        """
        index = self.index_of(label)
        if self.scores is None:
            raise ValueError("A table keeps the masks alone: call explorer.segment with this one photo for "
                             "its probabilities.")
        width, height = self.size
        return probability_of(self.scores, (height, width), index)

    def index_of(self, label: str | int) -> int:
        """The index of a class by its name, or itself. Raises ValueError for one that there is not."""
        if isinstance(label, str) and label in self.labels:
            return self.labels.index(label)
        index = int(label) if isinstance(label, Integral) and not isinstance(label, bool) else -1
        if 0 <= index < len(self.labels):
            return index
        if isinstance(label, str):
            near = did_you_mean(label, self.labels)
            raise ValueError(f"There is no class {label[:60]!r}.{near} Its names are in .labels.")
        raise ValueError(f"label is {str(label)[:60]!r}: give a class's name, or its index from 0 to "
                         f"{len(self.labels) - 1}.")

    def judged(self, truth: Any, *, classes: Sequence[str] | None = None) -> JudgedMask:
        """The mask beside the one that is known: IoU of each class, and where they differ.

        truth:   [H, W] of class indices, an array or a tensor; 255 where nothing counts
        classes: names of the truth's classes, where they are not the network's own
        Raises ValueError for a mask of another size, and for classes that the network does not know.
        """
        return judge(self.mask.numpy(), truth, self.labels, classes)

    @property
    def colours(self) -> dict[int, Colour]:
        """Index -> (red, green, blue) of the classes that are coloured: those found, but the background."""
        return {index: colour_of(index) for index in self.found
                if index or self.labels[0] != "background"}

    # --- pictures -----------------------------------------------------------------------------------------

    @checked(opacity=number(0, 1))
    def overlay(
        self, opacity: float = 0.55, *, classes: Sequence[str | int] | None = None,
        image: Any = None,
    ) -> Image.Image:
        """The photo with the mask over it, RGB, in the photo's size.

        opacity: from 0, the photo alone, to 1, the colours alone
        classes: names or indices of those that are coloured; None: all but the background
        image:   the photo, anything that `load_image` takes, where the mask is of a table, which holds none
        """
        photo = self.image if image is None else load_image(image)
        if photo is None:
            raise ValueError("A table holds no photos: give this one's, as in "
                             "overlay(image=explorer.load_image(path)).")
        if photo.size != self.size:
            raise ValueError(f"The mask is of a photo of {self.size[0]} x {self.size[1]} pixels; this image "
                             f"has {photo.width} x {photo.height}.")
        if isinstance(classes, (str, int)):
            classes = [classes]
        if isinstance(classes, bytes) or classes is not None and not isinstance(classes, Iterable):
            raise TypeError(f"classes is {str(classes)[:60]}: give a list of names or indices of classes.")
        colours = self.colours if classes is None else {
            index: colour_of(index) for index in map(self.index_of, classes)}
        return tinted(photo, self.mask.numpy(), colours, opacity)

    def picture(self) -> Image.Image:
        """The mask as a picture of class indices with a palette, as data sets of masks have it.

        Read back with numpy it is the mask itself. Raises ValueError for more than 256 classes.
        """
        if len(self.labels) > 256:
            raise ValueError(f"A picture with a palette holds 256 classes, and there are {len(self.labels)}: "
                             "keep .mask instead.")
        height, width = self.mask.shape
        picture = Image.frombytes("P", (width, height), self.mask.numpy().tobytes())
        palette = [colour_of(index) for index in range(len(self.labels))]
        if self.labels[:1] == ("background",):
            palette[0] = (0, 0, 0)
        picture.putpalette([value for colour in palette for value in colour])
        return picture

    def without_photo(self) -> Segmentation:
        """The mask and no more, for a table of many photos."""
        return replace(self, image=None, scores=None)

    # --- words --------------------------------------------------------------------------------------------

    def __repr__(self) -> str:
        found = ", ".join(f"{label} {percent(share)}" for label, share in list(self.shares.items())[:5])
        return f"Segmentation({self.model_name!r}, {self.size[0]} x {self.size[1]}: {found})"

    def _repr_html_(self) -> str:
        """The photo with its mask beside a legend with the classes' shares: plain HTML, without script."""
        rows = []
        for index in self.found:
            colour = hex_of(self.colours[index]) if index in self.colours else "transparent"
            style = f"width:1em;height:1em;border:1px solid #888;background:{colour}"
            share = self.counts[index] / self.mask.numel()
            rows.append(f"<tr>{cell_html(f'<div style={style!r}></div>')}{name_html(self.labels[index])}"
                        f"{cells_html([percent(share)])}{cell_html(bar_html(share), style='width:8em')}</tr>")
        legend = table_html(("", "class", "share", ""), "".join(rows), left=2)
        shown = ""
        if self.image is not None:
            small = draw.thumbnail(self.overlay(), SIDE)
            shown = picture_html(small, f"What {self.model_name} sees where", format="JPEG")
        title = title_html(f"{self.model_name}: {len(self.found)} of {len(self.labels)} classes")
        return f"<div>{title}{notes_html(self.notes)}{side_by_side_html(shown + legend)}</div>"

