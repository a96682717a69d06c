"""The photos that a channel answers to most, and where in them.

    top_photos(model, "holiday/", "layer4", 17)          # what does channel 17 answer to?
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from explorer.arguments import checked
from explorer.data.images import ImageError
from explorer.data.photos import collect
from explorer.data.transforms import crop_box
from explorer.display import draw
from explorer.display.draw import outlined
from explorer.display.html import notes_html, picture_html, title_html
from explorer.display.words import counted
from explorer.inspection.look.bodies import features_config
from explorer.inspection.look.faster import Faster
from explorer.inspection.look.frame import Box, covered, covered_box
from explorer.inspection.look.model import as_model, evaluating, model_name, notes_on
from explorer.inspection.look.own_inputs import stage_config, transform_for
from explorer.models.contract import VisionModel, parameter_place
from explorer.models.surgery.inside import stages_in_words

THUMBNAIL = 320  # the longer side, in pixels, of the photos that `top_photos` keeps


@dataclass(frozen=True, eq=False)
class TopPhoto:
    """A photo and where in it a channel is strongest.

    name, file: of the photo (file None where it has none);  value: the channel's largest value
    box:     the place's own share of the photo, (left, top, right, bottom) in the photo's pixels. What the
             network looked at for it is wider; how much, grows with the depth
    size:    (width, height) of the photo;  thumbnail: a small copy of it
    """

    name: str
    file: Path | None
    value: float
    box: tuple[float, float, float, float]
    size: tuple[int, int]
    thumbnail: Image.Image

    @property
    def place(self) -> tuple[float, float]:
        """The middle of the box, (x, y) in the photo's pixels."""
        return (self.box[0] + self.box[2]) / 2, (self.box[1] + self.box[3]) / 2

    def marked(self, side: int = 224) -> Image.Image:
        """The small photo with a frame around the place."""
        x, y = (self.thumbnail.size[i] / self.size[i] for i in (0, 1))
        box = (self.box[0] * x, self.box[1] * y, self.box[2] * x, self.box[3] * y)
        return outlined(self.thumbnail, box, side=side)


@dataclass(frozen=True, eq=False, repr=False)
class TopPhotos(Sequence):
    """The photos that a channel answers to most, strongest first: a sequence of `TopPhoto`.

    seen: how many photos were looked at;  problems: [(name, why)] of those that could not be
    stopped: whether it ended before the last photo
    """

    model_name: str
    stage: str
    channel: int
    photos: tuple[TopPhoto, ...]
    seen: int
    problems: tuple[tuple[str, str], ...] = ()
    stopped: bool = False
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.photos)

    def __getitem__(self, index):
        return self.photos[index]

    @property
    def caption(self) -> str:
        """What is shown, in a line."""
        ends = ", stopped before the last one" if self.stopped else ""
        broken = f", {len(self.problems)} could not be looked at" if self.problems else ""
        return (f"{self.model_name}: {self.stage}, channel {self.channel}, strongest of "
                f"{counted(self.seen, 'photo')}{ends}{broken}")

    def __repr__(self) -> str:
        return f"TopPhotos({self.caption})"

    def _repr_html_(self) -> str:
        notes = notes_html(self.notes)
        shown = "".join(picture_html(one.marked(160), f"{one.value:.3g}: {one.name}", format="JPEG")
                        for one in self)
        broken = "".join(f"<li>{escape(name)}: {escape(why)}</li>" for name, why in self.problems[:5])
        broken = f"<ul>{broken}</ul>" if broken else ""
        return (f"<div>{title_html(self.caption)}{notes}"
                f"<div style='display:flex;flex-wrap:wrap;gap:8px'>{shown}</div>{broken}</div>")


@checked
def top_photos(
    model: VisionModel | str,
    photos: Any,
    stage: str,
    channel: int,
    *,
    count: int = 9,
    batch_size: int = 32,
    should_stop: Callable[[], bool] | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> TopPhotos:
    """The photos of a folder on which one channel of a stage reaches its highest values, and where in them.

    photos:  a folder, a list of photos, or a PhotoSet: what `run_folder` takes
    channel: its number in the stage's maps [C, H, W], from 0
    count:   how many to keep;  batch_size: how many photos are in memory and go through the network together

    The network runs only as far as the stage. A photo whose channel holds NaN everywhere is among the
    problems. on_progress(done, total) after each batch; should_stop() -> True ends it with what was found.

    The strongest photos show one end of what a channel does, and a few photos always have something in
    common: look at more than one folder before giving a channel a name.
    Raises ValueError for an unknown stage, a channel it does not have, or photos that there are not.
    Source: Zhou et al. 2015, "Object Detectors Emerge in Deep Scene CNNs"; Zeiler and Fergus 2014, figure 2.
    """
    model = as_model(model, task=None)
    names = [one.name for one in model.stage_table]
    if stage not in names:
        raise ValueError(f"{model_name(model)} has no stage {stage!r}. {stages_in_words(names)}")
    depth = names.index(stage)
    channels = model.stage_table[depth].channels
    if isinstance(channel, bool) or not isinstance(channel, int) or not 0 <= channel < channels:
        raise ValueError(f"There is no channel {channel!r}: stage {stage} has {channels}, so give 0 to "
                         f"{channels - 1}.")
    collection = collect(photos)
    config, transform = stage_config(model, stage, features_config(model)), transform_for(model)

    channel_maps = Faster(model, lambda net, inputs: (_channel_maps(net, inputs, depth, channel),))
    best: list[tuple[float, int, TopPhoto]] = []  # a heap, the weakest first; the earlier photo wins a tie
    problems: list[tuple[str, str]] = []
    done = seen = 0
    while done < len(collection) and not (should_stop and should_stop()):
        batch, tensors = [], []
        for index in range(done, min(done + batch_size, len(collection))):
            try:
                photo = collection.open_one(index)
                tensors.append(transform(photo))
            except ImageError as error:
                problems.append((collection.names[index], str(error)))
                continue
            batch.append((index, photo.size, draw.thumbnail(photo, THUMBNAIL)))
        done = min(done + batch_size, len(collection))
        seen += len(batch)
        maps: Any = []
        if tensors:
            (found_maps,) = channel_maps(torch.stack(tensors), following=len(collection) - done)
            maps = torch.from_numpy(found_maps)
        for (index, size, thumbnail), one in zip(batch, maps):
            if one.isnan().all():
                why = "The channel is not a number anywhere on this photo."
                problems.append((collection.names[index], why))
                continue
            place = int(one.nan_to_num(nan=-math.inf, posinf=math.inf, neginf=-math.inf).argmax())
            value = float(one.flatten()[place])
            if len(best) < count or (value, -index) > best[0][:2]:
                stride = model.stage_table[depth].reduction
                covers = covered(one.shape, config["input_size"][1:], [stride])
                box = _place_box(place, one.shape, covered_box(crop_box(size, config), covers), size)
                name, file = collection.names[index], collection.files[index]
                found = TopPhoto(name, file, value, box, size, thumbnail)
                (heapq.heappush if len(best) < count else heapq.heapreplace)(best, (value, -index, found))
        if on_progress:
            on_progress(done, len(collection))
    hits = tuple(found for _, _, found in sorted(best, key=lambda row: row[:2], reverse=True))
    return TopPhotos(
        model_name=model_name(model), stage=stage, channel=channel, photos=hits, seen=seen,
        problems=tuple(problems), stopped=done < len(collection), notes=notes_on(model),
    )


def _channel_maps(model: VisionModel, inputs: Tensor, depth: int, channel: int) -> np.ndarray:
    """One channel of stage number `depth` for photos [B, C, H, W] -> [B, H, W], float32.

    No layer behind the stage runs.
    """
    batch = inputs.to(**parameter_place(model))
    with evaluating(model), torch.inference_mode():
        walk = model.forward_stages(batch)
        for _ in range(depth):
            next(walk)
        maps = next(walk)[:, channel].float().cpu().clone()
        walk.close()
    return maps.numpy()


def _place_box(place: int, shape: Sequence[int], seen: Box, size: tuple[int, int]) -> Box:
    """Place number `place` of a map [H, W] that covers `seen` of a photo of `size` -> its box in there."""
    row, column = divmod(place, shape[1])
    width, height = (seen[2] - seen[0]) / shape[1], (seen[3] - seen[1]) / shape[0]
    left, top = seen[0] + column * width, seen[1] + row * height
    corners = zip((left, top, left + width, top + height), (*size, *size))
    left, top, right, bottom = (float(min(max(0, corner), end)) for corner, end in corners)
    return left, top, right, bottom
