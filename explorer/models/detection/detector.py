"""`Detector`: what every network for boxes shares: a backbone, a pyramid of maps, and what is read off them.

    found = model([photo, photo])           # photos [3, H, W] in 0..1, of any sizes
    found[0]["boxes"]                       # [N, 4] left, top, right, bottom, in that photo's own pixels
    found[0]["scores"], found[0]["labels"]  # [N] descending; [N] indices into the class names

    batch, places = model.prepare(photos)   # [B, 3, H, W] as the network wants it, and where each photo lies
    raw = model.forward_raw(batch)          # the family's raw maps
    found = model.candidates(raw, batch.shape[-2:], places)          # some thousand possible boxes a photo
    model.select(found[0], score_threshold=0.3, iou_threshold=0.5)   # those that stay, without a new pass

    model.loss(photos, targets)             # {"classification": ..., "bbox_regression": ...}

Labels are indices into the class names, from 0: a network with `num_classes=3` finds three kinds of things,
0, 1 and 2. The names that torchvision trained on COCO have 91 classes, as COCO numbers them: 0 is
"background" and never found, and some numbers have no class.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from explorer.models.body import OverBody
from explorer.models.contract import Stage, parameter_place
from explorer.models.detection.candidates import Candidates, without_overlaps
from explorer.models.detection.masks import over_photo
from explorer.models.detection.placing import Placement, fit_inside, fit_short_side, in_one_batch
from explorer.models.watching import walk


class Detector(OverBody):
    """Base class of the networks for boxes. A family sets, in its `__init__`, after `take_body`:

        stages          what `take_body` gave, and its own pyramid's
        num_features    channels of the pyramid's maps
        classifier_path where the layer is whose channels are the classes

    and writes `forward_stages`, which returns the pyramid's maps, `forward_head`, `candidates`, `log_odds`,
    `anchor_levels` and `loss_of`; where photos are prepared otherwise `place`, and where the best are chosen
    otherwise `select`.

    `score_threshold`, `iou_threshold` and `max_boxes` are what the family's authors publish their numbers
    with; they may be set on a model too.
    """

    task = "detection"
    body_name = "backbone"
    #: What height and width of a batch are a multiple of.
    size_multiple = 32
    score_threshold = 0.05
    iou_threshold = 0.5
    max_boxes = 300
    #: Whether it gives a mask for each box too: see `with_masks`.
    has_masks = False
    #: How a photo comes into what the network sees, for whoever does it without torch: "short side",
    #: "top left", "letterbox" or "exactly".
    placing = "short side"
    #: Where a candidate is cut off: at the "pixels" of the photo's picture, at its "edge", which may lie
    #: within a pixel, or "nowhere".
    cut = "pixels"

    # --- what a family writes -----------------------------------------------------------------------------

    def candidates(
        self, raw: Any, size: Sequence[int], places: Sequence[Placement], *,
        score_threshold: float | None = None,
    ) -> list[Candidates]:
        """The possible boxes of each photo, in the network's pixels, cut off where its picture ends.

        raw:    what `forward_raw` gave for a batch of `size` (height, width);  places: as `prepare` gave them
        score_threshold: only those with a better score; None: the family's own
        """
        raise NotImplementedError(f"{type(self).__name__} must define candidates")

    def log_odds(self, raw: Any, found: Candidates) -> Tensor:
        """ln(s / (1 - s)) of the scores s that candidates have now, with the way back: [B, M].

        raw: what `forward_raw` gave for a batch;  found: candidates of one of its photos, or of another one
        of that size: their `anchors` and `labels` count
        """
        raise NotImplementedError(f"{type(self).__name__} must define log_odds")

    def loss_of(
        self, raw: Any, size: Sequence[int], targets: Sequence[Mapping[str, Tensor]]
    ) -> dict[str, Tensor]:
        """The parts of the loss, each one number with the way back, to be summed.

        targets: `boxes` [N, 4] xyxy in the network's pixels and `labels` [N] of each photo
        """
        raise NotImplementedError(f"{type(self).__name__} must define loss_of")

    def anchor_levels(self, raw: Any, size: Sequence[int]) -> list[Tensor]:
        """What the answers for one photo start from: of each level the anchors [n, 4] xyxy in the network's
        pixels, in the order that `Candidates.anchors` counts them. Of a network in two stages its proposals.

        raw: what `forward_raw` gave for that photo in a batch of `size` (height, width)
        """
        raise NotImplementedError(f"{type(self).__name__} must define anchor_levels")

    @classmethod
    def matched(cls, boxes: Tensor, levels: Sequence[Tensor], size: Sequence[int]) -> Tensor | None:
        """For each of the anchors of all levels [N] the number of the box [M, 4] that it has to find in
        training, else `matching.NOTHING` or `matching.UNCLEAR`. None where a foreign library decides that.

        boxes: in the network's pixels;  levels, size: as of `anchor_levels`
        """
        return None

    def place(self, photo: Tensor) -> tuple[Tensor, Placement]:
        """A photo [C, H, W] in 0..1 at the size that the network wants: the short and the longest long side
        are those of `config.input_size`.
        """
        sides = self.config.input_size[1:]
        return fit_short_side(photo, min(sides), max(sides))

    @classmethod
    def select(
        cls, found: Candidates, *, score_threshold: float, iou_threshold: float, limit: int | None = None
    ) -> Candidates:
        """Of the candidates of a photo those that are shown, best first.

        A better score than `score_threshold`, of each heap of one class the best, `limit` at most (None: as
        the family has it). It needs the candidates alone, and no network.
        """
        return without_overlaps(found, score_threshold=score_threshold, iou_threshold=iou_threshold,
                                limit=cls.max_boxes if limit is None else limit)

    def decoded(self, raw: Any, size: Sequence[int]) -> tuple[Tensor, Tensor]:
        """(boxes [B, N, 4] xyxy in the network's pixels, scores [B, N, K], 0 to 1) of every place that the
        network answers for, in the order of `anchor_levels`: nothing is cut off, nothing is left out.

        raw: what `forward_raw` gave for a batch of `size` (height, width). Raises NotImplementedError, with a
        sentence, for a network whose boxes are not told from fixed places.
        """
        raise NotImplementedError("how many boxes it looks at depends on the photo")

    @property
    def preselection(self) -> tuple[str, int]:
        """Which boxes become candidates, and how many of them at most: the best pairs of box and class "of a
        level" or "of all", the best boxes "of a class", or "of a box" its best class (0: all of them).
        """
        return "of all", 0

    # --- what follows from it -----------------------------------------------------------------------------

    def forward(
        self, images: Sequence[Tensor] | Tensor, targets: Sequence[Mapping[str, Tensor]] | None = None
    ) -> Any:
        """Photos -> what was found in them.

        images:  a list of photos [C, H, W] in 0..1, of any sizes -> a list of dicts `boxes` [N, 4] xyxy in
                 the photo's pixels, `scores` [N] descending, `labels` [N]. A batch [B, C, H, W] is what the
                 network sees, normalised already -> its raw maps, as `forward_raw` gives them
        targets: in training: `boxes` and `labels` of each photo -> the parts of the loss, as `loss`
        """
        if isinstance(images, Tensor):
            return self.forward_raw(images)
        self.check_head()
        if targets is not None:
            return self.loss(images, targets)
        return [answer(found, place) for found, place in self.find(images)] if images else []

    def find(self, images: Sequence[Tensor], *, masks: bool = True) -> list[tuple[Candidates, Placement]]:
        """(what is shown of each photo, in the network's pixels, and where the photo lies in them).

        images: photos [C, H, W] in 0..1, one at least;  masks: False leaves them out where it has some
        """
        self.check_head()
        batch, places = self.prepare(images)
        return self.kept(self.see(batch, places), batch.shape[-2:], places, masks=masks)

    def found_in(self, raw: Any, size: Sequence[int], places: Sequence[Placement]) -> list[dict[str, Tensor]]:
        """The boxes of each photo, as `forward` tells them. raw, size, places: as `candidates` takes them"""
        return [answer(found, place) for found, place in self.kept(raw, size, places)]

    def kept(self, raw: Any, size: Sequence[int], places: Sequence[Placement], *,
             masks: bool = True) -> list[tuple[Candidates, Placement]]:
        """As `find`, of raw maps. raw, size, places: as `candidates` takes them"""
        kept = [self.select(found, score_threshold=self.score_threshold, iou_threshold=self.iou_threshold,
                            limit=self.max_boxes)
                for found in self.candidates(raw, size, places)]
        return [*zip(self.with_masks(raw, kept, places) if masks else kept, places)]

    def see(
        self, batch: Tensor, places: Sequence[Placement], after: Callable[[Stage, Tensor], Any] | None = None,
        before: Callable[[Stage], Any] | None = None,
    ) -> Any:
        """The raw maps of a batch, for networks that look where the photos end in it too.

        after:  called with each stage and its map, ahead of the next layer, which may work in place on it
        before: called with each stage ahead of its layers, where these run one by one
        """
        return self.forward_head(walk(self, batch, before=before, after=after))

    def score_again(
        self, batch: Tensor, places: Sequence[Placement], found: Candidates,
        after: Callable[[Stage, Tensor], Any] | None = None, before: Callable[[Stage], Any] | None = None,
    ) -> Tensor:
        """`log_odds` [B, M] of candidates of a former pass, for a batch of changed photos of that size: of
        what is at the same places now.
        """
        return self.log_odds(self.see(batch, places, after, before), found)

    @property
    def level_stages(self) -> tuple[str, ...]:
        """The stages whose maps the levels are, from the finest."""
        levels = [stage for stage in self.stage_table if re.fullmatch(r"p\d", stage.name)]
        return tuple(stage.name for stage in sorted(levels, key=lambda stage: stage.reduction))

    def stage_of(self, found: Candidates) -> str:
        """The stage whose map the first of the candidates was read from; "" where none is that level's."""
        level, stages = int(found.levels[0]), self.level_stages
        return stages[level] if 0 <= level < len(stages) else ""

    def with_masks(
        self, raw: Any, found: Sequence[Candidates], places: Sequence[Placement]
    ) -> list[Candidates]:
        """The candidates of each photo with a mask each, of a network that has masks; else as they are."""
        return [*found]

    def forward_raw(self, x: Tensor) -> Any:
        """A batch [B, C, H, W], normalised, -> the family's raw maps."""
        return self.forward_head(self.forward_features(x))

    def loss(
        self, images: Sequence[Tensor], targets: Sequence[Mapping[str, Tensor]]
    ) -> dict[str, Tensor]:
        """The parts of the loss, each one number with the way back; their sum is what learns.

        images:  photos [C, H, W] in 0..1
        targets: of each photo `boxes` [N, 4] xyxy in its pixels, and `labels` [N], indices of the classes;
                 N may be 0
        Raises ValueError for boxes without area, and labels that the network does not have.
        """
        self.check_head()
        check_targets(images, targets, self.num_classes)
        batch, places = self.prepare(images)
        return self.loss_of(self.forward_raw(batch), batch.shape[-2:], self._moved(targets, places))

    def loss_and_found(
        self, images: Sequence[Tensor], targets: Sequence[Mapping[str, Tensor]]
    ) -> tuple[dict[str, Tensor], list[dict[str, Tensor]]]:
        """(the parts of the loss as `loss`, the boxes of each photo as `forward`), by one pass."""
        self.check_head()
        check_targets(images, targets, self.num_classes)
        batch, places = self.prepare(images)
        raw, size = self.see(batch, places), batch.shape[-2:]
        return self.loss_of(raw, size, self._moved(targets, places)), self.found_in(raw, size, places)

    def _moved(
        self, targets: Sequence[Mapping[str, Tensor]], places: Sequence[Placement]
    ) -> list[dict[str, Tensor]]:
        """Boxes and labels of each photo, the boxes in the network's pixels."""
        where = parameter_place(self)
        return [{"boxes": place.into(target["boxes"].to(**where).reshape(-1, 4)),
                 "labels": target["labels"].to(where["device"], torch.int64)}
                for target, place in zip(targets, places)]

    def check_head(self) -> None:
        """Raise ValueError, with what to do, where the layer that tells the classes was taken off."""
        if not self.num_classes:
            raise ValueError("This model has no last layer (num_classes=0), so it finds no boxes: give it "
                             "one with model.reset_classifier(num_classes).")

    def prepare(
        self, images: Sequence[Tensor], frame: tuple[int, int] | None = None
    ) -> tuple[Tensor, list[Placement]]:
        """Photos [C, H, W] in 0..1 -> (what the network sees [B, C, H, W], where in it each photo lies).

        frame: (height, width) of what the network sees, whatever the photos are: those that it does not hold
               become smaller. None: as the photos need it
        Raises TypeError or ValueError for what are no such photos.
        """
        check_photos(images, self.in_chans)
        where, fixed = parameter_place(self), self.only_size
        photos = [photo.to(**where) for photo in images]
        placed = [self.place(photo) if fixed is None else fit_inside(photo, fixed) for photo in photos]
        if frame is not None:
            placed = [made if made[1].fits(frame) else fit_inside(photo, frame)
                      for photo, made in zip(photos, placed)]
        ready = [self.normalise(photo) for photo, _ in placed]
        return in_one_batch(ready, self.size_multiple, frame or fixed), [place for _, place in placed]

    def normalise(self, photo: Tensor) -> Tensor:
        """[C, H, W] in 0..1 -> less the mean, by the standard deviation, as the weights want it."""
        mean, std = (self._by_channel(values) for values in (self.config.mean, self.config.std))
        return (photo - photo.new_tensor(mean)[:, None, None]) / photo.new_tensor(std)[:, None, None]

    def _by_channel(self, values: Sequence[float]) -> Sequence[float]:
        if len(values) == self.in_chans:
            return values
        return (sum(values) / len(values),) * self.in_chans  # a grey or many-channel twin of an RGB model


def answer(found: Candidates, place: Placement) -> dict[str, Tensor]:
    """What was found in one photo, in its own pixels; `masks` [N, 1, H, W] in 0..1, if it has any."""
    boxes = place.out_of(found.boxes)
    told = {"boxes": boxes, "scores": found.scores, "labels": found.labels}
    if found.masks is not None:
        told["masks"] = over_photo(found.masks, boxes, place.photo)[:, None]
    return told


def check_photos(images: Any, in_chans: int) -> None:
    """Raise TypeError or ValueError, in a sentence, unless these are photos [C, H, W] in 0..1."""
    wanted = f"a list of photos, tensors [{in_chans}, height, width] with values from 0 to 1"
    if not isinstance(images, Sequence) or isinstance(images, (str, bytes)):
        raise TypeError(f"A detector takes {wanted}, not a {type(images).__name__}.")
    if not images:
        raise ValueError(f"A detector takes {wanted}: this list is empty.")
    for photo in images:
        if not isinstance(photo, Tensor):
            raise TypeError(f"A detector takes {wanted}; in this list is a {type(photo).__name__}.")
        if photo.ndim != 3 or photo.shape[0] != in_chans or not photo.numel():
            raise ValueError(f"A detector takes {wanted}; in this list is one of shape {list(photo.shape)}.")
        if not photo.is_floating_point():
            raise TypeError(f"A detector takes {wanted}; in this list is one of whole numbers: divide it by "
                            "255.")


def check_targets(images: Any, targets: Any, num_classes: int) -> None:
    """Raise TypeError or ValueError, in a sentence, unless a detector can learn these boxes."""
    wanted = "for each photo a dict with boxes [N, 4] (left, top, right, bottom in its pixels) and labels [N]"
    if not isinstance(targets, Sequence) or not all(isinstance(target, Mapping) for target in targets):
        raise TypeError(f"targets are {wanted}, not {type(targets).__name__}.")
    if len(targets) != len(images):
        raise ValueError(f"There are {len(images)} photos and {len(targets)} targets: give {wanted}.")
    for number, target in enumerate(targets):
        boxes, labels = target.get("boxes"), target.get("labels")
        if not isinstance(boxes, Tensor) or not isinstance(labels, Tensor):
            raise TypeError(f"targets are {wanted}; number {number} lacks one of the two as a tensor.")
        if boxes.numel() != 4 * len(labels) or labels.ndim != 1:
            raise ValueError(f"targets are {wanted}; number {number} has boxes {list(boxes.shape)} and "
                             f"labels {list(labels.shape)}.")
        if not len(labels):
            continue
        sides = boxes.reshape(-1, 4)[:, 2:] - boxes.reshape(-1, 4)[:, :2]
        right = (sides > 0) & sides.isfinite()
        if not bool(right.all()):
            box = boxes.reshape(-1, 4)[int((~right.all(dim=1)).nonzero()[0])]
            shown = ", ".join(f"{float(side):.1f}" for side in box)
            raise ValueError(f"A box of photo {number} has no area: {shown}. A box is left, top, right, "
                             "bottom in pixels, and right and bottom are larger.")
        if int(labels.min()) < 0 or int(labels.max()) >= num_classes:
            strange = int(labels.min()) if int(labels.min()) < 0 else int(labels.max())
            raise ValueError(f"A label of photo {number} is {strange}: this network has {num_classes} "
                             f"classes, so labels are 0 to {num_classes - 1}.")
