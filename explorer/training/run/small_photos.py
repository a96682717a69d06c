"""Photos with boxes or masks, no larger than a network sees them, and kept open while there is room."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from explorer.data.errors import ImageError
from explorer.data.folders import NAMED, DataError
from explorer.data.places.place_set import Boxes, PlaceSet, PlaceSplits, Size
from explorer.data.places.shapes import runs_of, shape_mask
from explorer.data.reading import in_order
from explorer.inspection.detect.detecting import photo_tensor
from explorer.inspection.segment.preparing import Preparation
from explorer.models.detection.detector import Detector

KEPT_BYTES = 512 * 1024 * 1024  # decoded photos and masks that are kept in memory, at most
Shrink = Callable[[Image.Image], Image.Image]


class SmallPhotos(Sequence):
    """(photo, its boxes or mask) by index, as `PlaceSet` opens them, made small; kept while `room` lasts.

    outlines: whether those of things with boxes are wanted too
    """

    def __init__(self, places: PlaceSet, shrink: Shrink, room: int = KEPT_BYTES, *, outlines: bool = False):
        self.places, self.shrink, self.room, self.outlines = places, shrink, room, outlines
        self._kept: dict[int, tuple[Image.Image, Any]] = {}
        self._guard = threading.Lock()

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index: int) -> tuple[Image.Image, Any]:
        """Raises ImageError as `PlaceSet` does."""
        pair = self._kept.get(index)
        if pair is None:
            pair = smaller(*self.places[index], self.shrink, outlines=self.outlines)
            taken = pair[0].width * pair[0].height * (3 + isinstance(pair[1], np.ndarray))
            with self._guard:
                if index not in self._kept and taken <= self.room:
                    self._kept[index] = pair
                    self.room -= taken
        return pair

    def without(self, broken: Sequence[int]) -> SmallPhotos:
        """All but these; what is kept stays."""
        chosen = [index for index in range(len(self)) if index not in set(broken)]
        found = SmallPhotos(self.places.subset(chosen), self.shrink, self.room, outlines=self.outlines)
        found._kept = {new: self._kept[old] for new, old in enumerate(chosen) if old in self._kept}
        return found


def smaller(photo: Image.Image, places: Any, shrink: Shrink, *,
            outlines: bool = False) -> tuple[Image.Image, Any]:
    """The photo as `shrink` makes it, and its boxes or mask at that size."""
    small = shrink(photo)
    if small.size == photo.size:
        return small, places
    if isinstance(places, Boxes):
        across, down = small.width / photo.width, small.height / photo.height
        return small, replace(places, boxes=places.boxes * (across, down, across, down),
                              areas=places.areas * across * down,
                              shapes=_small_shapes(places.shapes, photo.size, small.size) if outlines
                              else None)
    mask = Image.fromarray(places).resize(small.size, Image.Resampling.NEAREST)
    return small, np.array(mask)


def _small_shapes(shapes: tuple[Any, ...] | None, size: Size, wanted: Size) -> tuple[Any, ...] | None:
    """Outlines in a photo of one (width, height) as run lengths in one of another."""
    if shapes is None:
        return None
    found = []
    for shape in shapes:
        mask = None if shape is None else shape_mask(shape, size)
        resized = None if mask is None else Image.fromarray(mask).resize(wanted, Image.Resampling.NEAREST)
        found.append(None if resized is None else runs_of(np.array(resized)))
    return tuple(found)


def as_detector_sees(model: Detector) -> Shrink:
    """Makes photos as small as the detector itself does before its first layer; smaller ones stay."""
    def shrink(photo: Image.Image) -> Image.Image:
        with torch.no_grad():
            batch, (place,) = model.prepare([photo_tensor(photo, model.in_chans)])
        (height, width), (top, left) = place.inside, place.corner
        if height > photo.height or width > photo.width or (width, height) == photo.size:
            return photo
        return picture(batch[0, :, top:top + height, left:left + width], model.config.mean, model.config.std)

    return shrink


def as_segmenter_sees(prepare: Preparation) -> Shrink:
    """As `as_detector_sees`, of a network for masks."""
    def shrink(photo: Image.Image) -> Image.Image:
        seen, (height, width) = prepare(photo)
        if height > photo.height or width > photo.width or (width, height) == photo.size:
            return photo
        return picture(seen[:, :height, :width], prepare.config["mean"], prepare.config["std"])

    return shrink


def picture(seen: Tensor, mean: Sequence[float], std: Sequence[float]) -> Image.Image:
    """What a network sees [C, H, W], C 1 or 3, as a photo in RGB again."""
    channels = len(seen)
    if len(mean) != channels:  # a grey twin of an RGB model: the mean over its bands
        mean, std = (sum(mean) / len(mean),) * channels, (sum(std) / len(std),) * channels
    pixels = seen.float().cpu() * torch.tensor(std)[:, None, None] + torch.tensor(mean)[:, None, None]
    array = (pixels.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()
    return Image.fromarray(array if channels == 3 else array.repeat(3, axis=2))


def opened_small(splits: PlaceSplits, shrink: Shrink, *, outlines: bool, threads: int,
                 asked_to_stop: Callable[[], bool] = lambda: False,
                 ) -> Generator[tuple[int, int], None, tuple[PlaceSplits, SmallPhotos, SmallPhotos] | None]:
    """Opens every photo once. Yields (photos done, of how many); returns (the splits without those that can't
    be opened, which notes name, photos to learn from, photos to judge by), or None where it was asked to
    stop.

    Raises DataError where too few are left.
    """
    parts = [SmallPhotos(splits.train, shrink, outlines=outlines),
             SmallPhotos(splits.val, shrink, KEPT_BYTES // 2, outlines=outlines)]
    total, done, first = sum(map(len, parts)), 0, ""
    notes = list(splits.notes)
    for number, part in enumerate(parts):
        broken: dict[int, str] = {}

        def look(index: int, part: SmallPhotos = part) -> tuple[int, str]:
            try:
                part[index]
            except ImageError as error:
                return index, str(error)
            return index, ""

        for index, sentence in in_order(look, range(len(part)), ahead=2 * threads, threads=threads):
            if asked_to_stop():
                return None
            if sentence:
                broken[index] = sentence
            done += 1
            yield done, total
        names, first = part.places.names, first or next(iter(broken.values()), "")
        notes += [f"Left out, {names[i]}: {sentence}" for i, sentence in list(broken.items())[:NAMED]]
        if len(broken) > NAMED:
            notes.append(f"Left out: {len(broken) - NAMED} more photos that can't be opened.")
        parts[number] = part.without([*broken]) if broken else part
    train, val = parts
    if not len(train) or not len(val):
        why = f" What is wrong with the first: {first}" if first else ""
        raise DataError(f"Of '{splits.name}' {len(train)} photos to learn from and {len(val)} to judge by "
                        f"can be used: give one at least of both.{why}")
    return replace(splits, train=train.places, val=val.places, notes=tuple(notes)), train, val
