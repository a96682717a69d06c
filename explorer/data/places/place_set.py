"""Photos with boxes or with masks, and what one learns from beside what one is judged by."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from explorer.data.bursts import burst_notes, held_back, units_of
from explorer.data.errors import ImageError
from explorer.data.folders import DataError
from explorer.data.labels import match_names
from explorer.data.photo_sets import Chosen, Splits

IGNORED = 255  # in a mask: pixels that count neither way
Size = tuple[int, int]  # width, height
#: Polygons, each float64 [x, y, x, y, ...], or COCO's run lengths {"size": [H, W], "counts": list or text}.
Shape = tuple[np.ndarray, ...] | dict[str, Any]


@dataclass(frozen=True, eq=False)
class Boxes:
    """The boxes of one photo: N of them.

    boxes:  float64 [N, 4], left, top, right, bottom in the upright photo's pixels
    labels: int64 [N], indices into the class names
    crowd:  bool [N]: it counts neither as found nor as missed, e.g. a crowd that is one box
    areas:  float64 [N], of the thing itself in pixels where somebody measured it, else of its box
    shapes: of each thing its outline, see `shapes.kept_shape`, None for one without; None where nobody has
            outlined any
    """

    boxes: np.ndarray
    labels: np.ndarray
    crowd: np.ndarray
    areas: np.ndarray
    shapes: tuple[Shape | None, ...] | None = None

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, eq=False, repr=False)
class PlaceSet(Sequence):
    """Photos with what is where in them. `places[i]` opens one: (upright RGB photo, its `Boxes` or its mask).

    classes:  names in index order; of masks the first is mostly "background"
    names:    what to call each photo, for its file a path below the folder
    open_one: index -> PIL image; raises ImageError for a broken one
    boxes:    of each photo; None where they are masks
    open_mask: index -> uint8 [H, W] of class indices, `IGNORED` where nothing counts; None where they are
              boxes
    files:    the path of each photo, empty where they have none
    sizes:    (width, height) of each photo as the boxes or masks have it; empty where nobody says
    named:    False where nobody said what the classes are called
    notes:    what was left out, and why
    name:     what to call the set, where it has a name
    """

    classes: tuple[str, ...]
    names: tuple[str, ...]
    open_one: Callable[[int], Image.Image]
    boxes: tuple[Boxes, ...] | None = None
    open_mask: Callable[[int], np.ndarray] | None = None
    files: tuple[Path, ...] = ()
    sizes: tuple[Size | None, ...] = field(default=())
    named: bool = True
    notes: tuple[str, ...] = ()
    name: str = ""

    def __post_init__(self) -> None:
        """Raises DataError for two classes of one name."""
        twice = next((one for one, count in Counter(self.classes).items() if count > 1), None)
        if twice is not None:
            raise DataError(f"Two of the {len(self.classes)} classes are called {twice[:60]!r}: give each a "
                            "name of its own.")

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> tuple[Image.Image, Boxes | np.ndarray]:
        """Raises ImageError where the photo or its mask can't be opened, or one has another size."""
        index = range(len(self))[index]
        photo = self.open_one(index)
        stated = self.sizes[index] if self.sizes else None
        if stated is not None and stated != photo.size:
            raise ImageError(f"'{self.names[index]}' has {photo.width} x {photo.height} pixels, and what is "
                             f"known of it is for {stated[0]} x {stated[1]}: give the photo as it was when "
                             f"it "
                             "was annotated.")
        return photo, self.truth(index, photo.size)

    def truth(self, index: int, size: Size) -> Boxes | np.ndarray:
        """The boxes or the mask of a photo of that (width, height)."""
        if self.open_mask is None:
            assert self.boxes is not None  # one of both is there
            return self.boxes[index]
        mask = self.open_mask(index)
        high, wide = mask.shape
        if (wide, high) != size:
            raise ImageError(f"The mask of '{self.names[index]}' has {wide} x {high} pixels, and the photo "
                             f"{size[0]} x {size[1]}: a mask says for each pixel of the photo what it is.")
        return mask

    @property
    def task(self) -> str:
        """"detection" or "segmentation"."""
        return "detection" if self.open_mask is None else "segmentation"

    @property
    def kind(self) -> str:
        """"boxes" or "masks"."""
        return "boxes" if self.open_mask is None else "masks"

    def with_classes(self, classes: Sequence[str]) -> PlaceSet:
        """The same photos with the same classes in this order and spelling. Raises ValueError for others."""
        places = match_names(classes, self.classes)
        if len(classes) != len(self.classes) or None in places:
            raise ValueError(f"The classes are {', '.join(self.classes)}: give these in another order.")
        table = np.array(places, np.int64)
        masks = None if self.open_mask is None else MovedMask(self.open_mask, tuple(table.tolist()))
        boxes = None if self.boxes is None else tuple(
            replace(one, labels=table[one.labels]) for one in self.boxes)
        return replace(self, classes=tuple(classes), boxes=boxes, open_mask=masks)

    def subset(self, indices: Sequence[int]) -> PlaceSet:
        """The photos at `indices`, in that order."""
        chosen = tuple(indices)
        pick = lambda values: tuple(values[i] for i in chosen) if values else ()
        return replace(
            self, names=pick(self.names), open_one=Chosen(self.open_one, chosen), files=pick(self.files),
            sizes=pick(self.sizes), boxes=None if self.boxes is None else pick(self.boxes),
            open_mask=None if self.open_mask is None else ChosenMask(self.open_mask, chosen))

    def counts(self) -> dict[str, int]:
        """Boxes of each class, without those that do not count. Of masks: {} (they are not opened for it)."""
        if self.boxes is None:
            return {}
        found = np.zeros(len(self.classes), np.int64)
        for one in self.boxes:
            np.add.at(found, one.labels[~one.crowd], 1)
        return dict(zip(self.classes, found.tolist()))

    def __repr__(self) -> str:
        what = "boxes" if self.open_mask is None else "masks"
        return f"PlaceSet({len(self)} photos with {what}, {len(self.classes)} classes)"


@dataclass(frozen=True)
class ChosenMask:
    """Opens some of another's masks, under new indices."""

    open_mask: Callable[[int], np.ndarray]
    indices: tuple[int, ...] = field(repr=False)

    def __call__(self, index: int) -> np.ndarray:
        return self.open_mask(self.indices[index])


@dataclass(frozen=True)
class MovedMask:
    """Opens another's masks, with each class under the index that `places` has for it."""

    open_mask: Callable[[int], np.ndarray]
    places: tuple[int, ...]

    def __call__(self, index: int) -> np.ndarray:
        table = np.arange(256, dtype=np.uint8)
        table[:len(self.places)] = self.places
        return table[self.open_mask(index)]


@dataclass(frozen=True)
class PlaceSplits:
    """Photos with boxes or masks to learn from, and others to judge by.

    notes: sentences on what was left out, and how it was split
    """

    name: str
    train: PlaceSet
    val: PlaceSet
    notes: tuple[str, ...] = ()

    @property
    def classes(self) -> tuple[str, ...]:
        return self.train.classes

    def part(self, split: str) -> PlaceSet:
        """"train", "val", or "all" of them."""
        if split != "all":
            return self.train if split == "train" else self.val
        return joined_places(self.train, self.val)

    def __repr__(self) -> str:
        return (f"PlaceSplits({self.name!r}, {len(self.train)} to learn from, {len(self.val)} to judge by, "
                f"{len(self.classes)} classes)")


#: What one learns from and is judged by, whatever it is.
AnySplits = Splits | PlaceSplits


@dataclass(frozen=True)
class _Behind:
    """Opens what one set has, and behind its last one what another has."""

    first: Callable[[int], Any]
    count: int
    second: Callable[[int], Any]

    def __call__(self, index: int) -> Any:
        return self.first(index) if index < self.count else self.second(index - self.count)


def joined_places(first: PlaceSet, second: PlaceSet) -> PlaceSet:
    """Two sets of the same classes and kind, one behind the other."""
    if first.task != second.task or first.classes != second.classes:
        raise DataError("The photos to learn from and those to judge by have other classes, or boxes here "
                        "and "
                        "masks there: give both with the same ones.")
    count = len(first)
    masks, boxes = None, None
    if first.open_mask is not None and second.open_mask is not None:
        masks = _Behind(first.open_mask, count, second.open_mask)
    if first.boxes is not None and second.boxes is not None:
        boxes = first.boxes + second.boxes
    return PlaceSet(first.classes, first.names + second.names,
                    _Behind(first.open_one, count, second.open_one), boxes, masks,
                    first.files + second.files if first.files and second.files else (),
                    (first.sizes or (None,) * count) + (second.sizes or (None,) * len(second)), first.named,
                    tuple(dict.fromkeys((*first.notes, *second.notes))))


def held_out(name: str, places: PlaceSet, val_share: float, seed: int) -> PlaceSplits:
    """A share of the photos, drawn by `seed`, is kept to judge by; those of one burst are never split.

    Raises DataError for fewer than two, or one burst alone.
    """
    if len(places) < 2:
        raise DataError(f"'{name}' has {len(places)} usable photos: give two at least, one to learn from and "
                        "one to judge by.")
    units = units_of(places.names, places.files)
    if len(units) < 2:
        raise DataError(f"The photos of '{name}' are of one burst, which is never split: give photos of "
                        "another, one to learn from and one to judge by.")
    draw, count = random.Random(seed), min(max(1, round(val_share * len(units))), len(units) - 1)
    single = len(units) == len(places)
    kept = {i for unit in draw.sample(units, count) for i in unit} if single else \
        {*held_back(draw.sample(units, len(units)), val_share)}
    note = f"{len(kept)} of {len(places)} photos are held out to judge by, drawn by seed {seed}."
    return PlaceSplits(name, places.subset([i for i in range(len(places)) if i not in kept]),
                       places.subset(sorted(kept)), (*places.notes, note, *burst_notes(units)))
