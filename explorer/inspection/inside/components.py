"""What a stage tells apart, as one colour picture: the first three principal components of its maps.

    pca_rgb(look("vit_small_patch16_224", "dog.jpg"))          # parts that are alike have like colours
    pca_rgb_many([first, second], "blocks.11")                # the same colours mean the same in both

A stage has hundreds of channels at every place, more than an eye can compare. The three directions in which
the places of a photo differ most are turned into red, green and blue. It is the picture that DINO made
famous: with a network that learnt without labels, the object stands out from the background, and like parts
of several animals share a colour.

Sources: Caron et al. 2021, "Emerging Properties in Self-Supervised Vision Transformers" (DINO);
Oquab et al. 2023, "DINOv2: Learning Robust Visual Features without Supervision", figure 1 (three components
as colours, several photos jointly; they leave the background out first, here all places take part).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from explorer.display import draw
from explorer.display.html import LINE, picture_html
from explorer.display.words import percent
from explorer.inspection.look.result import Look
from explorer.models.surgery.inside import stages_in_words

PERCENTILES = (1, 99)  # of each component: the values that become no colour and full colour
SIDE = 224             # about how many pixels the longer side of a picture has in a notebook


@dataclass(frozen=True, eq=False, repr=False)
class PcaPicture:
    """Three principal components of a stage's maps as red, green and blue.

    picture:    RGB, one pixel a place of the map;  enlarged(): to look at
    explained:  the share of the variance that each of the three components has, 0..1; over all photos where
                several were taken together
    scores:     the places' coordinates on the three components, float32 [3, H, W]
    components: the three directions, [3, C], each of length 1 with its largest entry positive;  mean: [C]
    stage, model_name: whose maps, "" where maps were given;  photos: how many were taken together
    A place that is not finite is magenta; a component that does not exist (fewer places or channels) is mid
    grey.
    """

    picture: Image.Image
    explained: tuple[float, float, float]
    scores: np.ndarray
    components: np.ndarray
    mean: np.ndarray
    stage: str = ""
    model_name: str = ""
    photos: int = 1

    def enlarged(self, side: int = SIDE) -> Image.Image:
        """The picture with every place as a square, as large as fits into `side` by a whole factor."""
        factor = max(1, side // max(self.picture.size))
        return self.picture.resize([factor * n for n in self.picture.size], Image.Resampling.NEAREST)

    @property
    def caption(self) -> str:
        """What is shown, in a line."""
        shares = ", ".join(percent(share) for share in self.explained)
        what = ": ".join(filter(None, (self.model_name, self.stage))) or "maps"
        together = f" (of {self.photos} photos together)" if self.photos > 1 else ""
        return f"{what}: red, green and blue explain {shares} of the variance{together}"

    def __repr__(self) -> str:
        return f"PcaPicture({self.caption})"

    def _repr_html_(self) -> str:
        return picture_html(self.enlarged(), self.caption, style="image-rendering:pixelated")


@dataclass(frozen=True, eq=False, repr=False)
class PcaPictures(Sequence):
    """What `pca_rgb_many` gives: a sequence of `PcaPicture`s whose colours mean the same."""

    pictures: tuple[PcaPicture, ...]

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, index):
        return self.pictures[index]

    def __repr__(self) -> str:
        return f"PcaPictures({len(self)} photos, {self[0].caption})"

    def _repr_html_(self) -> str:
        shown = "".join(picture_html(one.enlarged(), f"photo {number}", style="image-rendering:pixelated")
                        for number, one in enumerate(self, start=1))
        return (f"<div><p style='{LINE}'>{escape(self[0].caption)}</p>"
                f"<div style='display:flex;flex-wrap:wrap;gap:12px'>{shown}</div></div>")


def pca_rgb(look_or_maps: Look | Any, stage: str | None = None) -> PcaPicture:
    """The first three principal components of a stage's maps over its places, as a colour picture.

    look_or_maps: a Look, or maps [C, H, W] (a tensor or an array)
    stage:        of the Look; None: the last one whose map has more than one place

    A colour says only "alike" or "different" within this picture; components have no meaning of their own,
    and their order is by variance, not by importance to the decision. Signs are fixed: the largest entry of
    each component is positive. Each component runs from its 1st to its 99th percentile.
    Raises ValueError for an unknown stage, another shape or a map of a single place.
    """
    return pca_rgb_many([look_or_maps], stage)[0]


def pca_rgb_many(looks: Sequence[Look | Any], stage: str | None = None) -> PcaPictures:
    """`pca_rgb` of several photos with common components and a common scale: a colour means the same in all.

    looks: Looks of one model, or maps [C, H, W] with the same C; heights and widths may differ
    """
    looks = list(looks)
    if not looks:
        raise ValueError("There is nothing to draw: give at least one Look, or maps of shape [C, H, W].")
    named = [_maps_of(one, stage) for one in looks]
    names = {(name, stage_name) for name, stage_name, _ in named}
    if len(names) > 1:
        raise ValueError("These Looks are of different models or stages: common colours need channels that "
                         "mean the same. Take Looks of one model, and name the stage.")
    ((name, stage_name),) = names
    maps = [one for _, _, one in named]
    if len({len(one) for one in maps}) > 1:
        raise ValueError(f"These maps have {', '.join(str(len(one)) for one in maps)} channels: common "
                         "components need the same number.")
    if sum(one[0].numel() for one in maps) < 2:
        raise ValueError(f"A map of {len(maps[0])} channels at a single place has nothing to compare: take "
                         "an earlier stage.")

    places = torch.cat([one.flatten(1).T for one in maps]).double()  # [N, C]
    finite = places.isfinite().all(1)
    mean, components, (red, green, blue) = principal_components(places[finite])
    scores = (places - mean) @ components.T  # [N, 3]
    colours = _colours(scores, finite)

    pictures, start = [], 0
    for one in maps:
        height, width = one.shape[1:]
        rows = slice(start, start + height * width)
        start = rows.stop
        pictures.append(PcaPicture(
            picture=Image.fromarray(colours[rows].reshape(height, width, 3)), explained=(red, green, blue),
            scores=scores[rows].T.reshape(3, height, width).float().numpy(),
            components=components.float().numpy(), mean=mean.float().numpy(),
            stage=stage_name, model_name=name, photos=len(maps),
        ))
    return PcaPictures(tuple(pictures))


def principal_components(places: Tensor, count: int = 3) -> tuple[Tensor, Tensor, tuple[float, ...]]:
    """Rows [N, C] in float64 -> (their mean [C], components [count, C], the share of the variance of each).

    Missing components (fewer rows or channels, or no variance left) are zero. The sign: the largest entry is
    positive.
    """
    if not len(places):
        raise ValueError("No place of these maps has finite values only: the network's numbers are NaN or "
                         "infinite.")
    mean = places.mean(0)
    centred = places - mean
    components, shares = centred.new_zeros(count, centred.shape[1]), [0.0] * count
    scale = centred.abs().max()
    if scale == 0:
        return mean, components, tuple(shares)
    centred = centred / scale  # so that squares of huge or tiny numbers stay numbers
    # The smaller of the two matrices of scalar products has the same eigenvalues as the larger one.
    wide = centred.shape[1] > len(centred)
    values, vectors = torch.linalg.eigh(centred @ centred.T if wide else centred.T @ centred)  # ascending
    total = float(centred.square().sum())
    for i in range(min(count, len(values))):
        value = float(values[-1 - i])
        if value <= 1e-12 * float(values[-1]):
            break  # rounding, no direction
        vector = vectors[:, -1 - i]
        direction = centred.T @ vector if wide else vector
        direction = direction / direction.norm()
        components[i] = direction * direction[direction.abs().argmax()].sign()
        shares[i] = value / total
    return mean, components, tuple(shares)


def _colours(scores: Tensor, finite: Tensor) -> np.ndarray:
    """Scores [N, 3] -> uint8 [N, 3]."""
    low, high = np.percentile(scores[finite].numpy(), PERCENTILES, axis=0)  # [3] each
    flat = high - low <= 0
    shares = (np.where(finite[:, None].numpy(), scores.numpy(), low) - low) / np.where(flat, 1, high - low)
    shares[:, flat] = 0.5
    colours = np.rint(255 * shares.clip(0, 1)).astype(np.uint8)
    colours[~finite.numpy()] = draw.NOT_FINITE_COLOUR
    return colours


def _maps_of(one: Look | Any, stage: str | None) -> tuple[str, str, Tensor]:
    """(model, stage, maps [C, H, W] float32) of a Look or of maps."""
    if isinstance(one, Look):
        if not one.stages:
            raise ValueError(f"{one.model_name} has no stages, so there are no maps to colour places of.")
        if stage is None:
            spatial = [name for name, maps in one.stages.items() if maps[0].numel() > 1]
            stage = (spatial or list(one.stages))[-1]
        elif stage not in one.stages:
            raise ValueError(f"{one.model_name} has no stage {stage!r}. {stages_in_words(one.stages)}")
        return one.model_name, stage, one.stages[stage]
    shape = list(getattr(one, "shape", ()))
    if not isinstance(one, (Tensor, np.ndarray)) or len(shape) != 3 or 0 in shape:
        given = f"shape {shape}" if shape else type(one).__name__
        raise ValueError(f"Expected a Look, or maps of shape [channels, height, width]; got {given}.")
    if isinstance(one, np.ndarray):
        if one.dtype.kind not in "fiub":
            raise ValueError(f"Expected maps of real numbers, got an array of {one.dtype}.")
        one = torch.from_numpy(np.ascontiguousarray(one, np.float32))
    return "", stage or "", one.detach().cpu().float()
