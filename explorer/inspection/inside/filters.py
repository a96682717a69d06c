"""What the first layer looks for: its kernels as pictures.

    first_filters("tf_efficientnet_lite0")

The first convolution (a transformer's patch embedding is one too) is the only layer whose weights can be
looked at as they are, because what it reads are the photo's own pixels. A trained network has edges, spots
and colour contrasts there; noise in many of the kernels is a sign of too little training. Deeper kernels
read channels that have no colour.
Source: Krizhevsky et al. 2012, "ImageNet Classification with Deep Convolutional Neural Networks", figure 3.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image
from torch import Tensor, nn

from explorer.arguments import checked
from explorer.display import draw
from explorer.display.html import notes_html, picture_html
from explorer.inspection.look.model import as_model, model_name, notes_on
from explorer.models.contract import VisionModel

CELL = 24     # pixels that a small kernel is enlarged to, about
ZERO = 128    # the grey that stands for a weight of zero


@dataclass(frozen=True, eq=False, repr=False)
class Filters:
    """The kernels of a network's first convolution.

    picture: all of them side by side as RGB
    weights: [count, channels, height, width], float32;  path: of the layer, e.g. "conv1"
    shown:   how many kernels are in the picture;  notes: what a reader must know
    With three channels a kernel is a colour picture. Otherwise each of its channels is a grey one, in a row.
    """

    model_name: str
    path: str
    weights: Tensor
    picture: Image.Image
    shown: int
    notes: tuple[str, ...] = ()

    @property
    def count(self) -> int:
        return len(self.weights)

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of a kernel, in pixels of the network's input."""
        height, width = self.weights.shape[-2:]
        return height, width

    @property
    def caption(self) -> str:
        """What is shown, in a line."""
        height, width = self.size
        what = f"{self.count} filters"
        if self.shown < self.count:
            what = f"{self.shown} of {what}"
        return f"{self.model_name}: {what} of {self.path}, {height} x {width} pixels; grey is zero"

    def __repr__(self) -> str:
        return f"Filters({self.caption})"

    def _repr_html_(self) -> str:
        notes = notes_html(self.notes)
        picture = picture_html(self.picture, self.caption, style="image-rendering:pixelated")
        return f"<div>{notes}{picture}</div>"


@checked
def first_filters(
    model: VisionModel | str, *, limit: int | None = None, cell: int = CELL, columns: int | None = None
) -> Filters:
    """The kernels of the layer that reads the photo, as pictures: grey is zero.

    limit:   show only the first so many;  None: all
    cell:    small kernels are enlarged to about that many pixels, by a whole factor
    columns: kernels in a row; None: about as many as there are rows

    Each kernel has its own scale, from its largest absolute weight to minus that. Where several
    convolutions read the photo (RepVGG's branches), it is the one that the network lists first.
    Raises ValueError for a network without a convolution over the photo, with what it begins with.
    """
    model = as_model(model, task=None)
    path, layer = first_convolution(model)
    weights = layer.weight.detach().float().cpu().clone()  # [count, channels, height, width]
    chosen = weights if limit is None else weights[:limit]
    picture = kernels_picture(chosen, cell=cell, columns=columns)
    return Filters(model_name(model), path, weights, picture, len(chosen), notes_on(model))


def first_convolution(model: nn.Module) -> tuple[str, nn.Conv2d]:
    """(path, layer) of the convolution that reads the photo. Raises ValueError where there is none."""
    for path, layer in model.named_modules():
        if isinstance(layer, nn.Conv2d) and layer.groups == 1 and layer.in_channels == model.in_chans:
            return path, layer
    first = next(((path, m) for path, m in model.named_modules()
                  if path and next(m.parameters(recurse=False), None) is not None), None)
    begins = f"it begins with {first[0]} ({type(first[1]).__name__})" if first else "it has no weights"
    raise ValueError(f"{model_name(model)} has no convolution that reads the photo's {model.in_chans} "
                     f"channels, so its first weights are no pictures: {begins}.")


def kernels_picture(weights: Tensor, *, cell: int = CELL, columns: int | None = None) -> Image.Image:
    """Kernels [N, C, h, w] -> one RGB picture, with a pixel of space between them."""
    values = weights.numpy()
    colour = values.shape[1] == 3
    if not colour and values.shape[1] > 1:
        columns = columns or max(1, round(values.shape[0] ** 0.5 / values.shape[1]))  # kernels in a row
        columns *= values.shape[1]
    finite = np.isfinite(values)
    largest = np.where(finite, np.abs(values), 0).max(axis=(1, 2, 3), keepdims=True)  # [N, 1, 1, 1]
    shares = np.where(finite, values, 0) / np.where(largest > 0, largest, 1)  # -1..1
    tiles = np.rint(ZERO + 127 * shares).astype(np.uint8)
    # [N, C, h, w] -> tiles [N or N * C, h, w, 3]
    if colour:
        tiles, broken = tiles.transpose(0, 2, 3, 1), ~finite.all(axis=1)
    else:
        tiles = tiles.reshape(-1, *tiles.shape[2:], 1).repeat(3, axis=3)
        broken = ~finite.reshape(-1, *finite.shape[2:])
    tiles[broken] = draw.NOT_FINITE_COLOUR
    zoom = max(1, cell // max(tiles.shape[1:3]))
    return Image.fromarray(_tiled(tiles.repeat(zoom, axis=1).repeat(zoom, axis=2), columns))


def _tiled(tiles: np.ndarray, columns: int | None, gap: int = 1) -> np.ndarray:
    """[N, h, w, 3] -> [rows * (h + gap) - gap, columns * (w + gap) - gap, 3]."""
    count, height, width, _ = tiles.shape
    across = min(count, columns or round(count ** 0.5))
    rows = -(-count // across)
    canvas = np.zeros((rows * across, height + gap, width + gap, 3), np.uint8)  # black: grey means zero
    canvas[:count, :height, :width] = tiles
    canvas = canvas.reshape(rows, across, height + gap, width + gap, 3).swapaxes(1, 2)
    return canvas.reshape(rows * (height + gap), across * (width + gap), 3)[:-gap, :-gap]
