"""Several detectors as one: each sees the photo in its own way, and their boxes are fused."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from explorer.models.config import ModelConfig
from explorer.models.contract import Stage, parameter_place
from explorer.models.detection.candidates import Candidates
from explorer.models.detection.detector import Detector, check_photos
from explorer.models.detection.placing import Placement, in_one_batch
from explorer.models.ensembles.aligning import same_kinds
from explorer.models.ensembles.box_fusion import SAME_THING, fuse_boxes
from explorer.models.ensembles.holding import ARCHITECTURE, Holding
from explorer.models.ensembles.members import check_channels, check_members, stages_of


class DetectorEnsemble(Holding, Detector):
    """Several networks for boxes as one `Detector`, joined by weighted box fusion; see `explorer.Ensemble`.

    Each member's boxes are chosen by its own rule first. `fusion_iou` says from which overlap on two boxes
    are around one thing. What is fused overlaps no more than that, so nothing is suppressed afterwards
    (`iou_threshold` is 1): another one, given to `explorer.detect`, suppresses among the fused boxes.
    """

    body_name = "members.0"
    size_multiple = 1
    iou_threshold = 1.0
    fusion_iou = SAME_THING

    def __init__(self, members: Mapping[str, Detector], *, combine: str = "mean", weights: Any = None):
        """Raises ValueError, with the member's name, for one that can't take part."""
        super().__init__()
        check_members(members)
        models, self.names = list(members.values()), tuple(members)
        first = models[0]
        if combine != "mean":
            raise ValueError(f"combine is {combine!r}: detectors are joined by weighted box fusion, "
                             "combine='mean'.")
        self.combine = combine
        self.kinds = [same_kinds(first, model, name, self.names[0]) for name, model in members.items()]
        check_channels(members)
        if masked := next((name for name, model in members.items() if model.has_masks), ""):
            raise ValueError(f"The member {masked} finds a mask for each box too, and masks can't be fused: "
                             "give detectors that find boxes alone.")
        self.members = nn.ModuleList(models)
        self.in_chans, self.num_classes = first.in_chans, first.num_classes
        self.num_features = first.num_features
        self.max_boxes = max(model.max_boxes for model in models)
        self.score_threshold = min(model.score_threshold for model in models)
        self.stages = tuple(stage for number, (name, model) in enumerate(members.items())
                            for stage in stages_of(name, number, model))
        self.register_buffer("weights", self._read(weights))
        own = first.config
        self.config = ModelConfig(
            architecture=ARCHITECTURE, num_classes=self.num_classes, labels=own.labels,
            input_size=own.input_size, mean=(0.0,) * first.in_chans, std=(1.0,) * first.in_chans,
            build_options=(("combine", combine), ("names", self.names)),
            members=tuple(model.config.with_(num_classes=model.num_classes) for model in models))

    def prepare(
        self, images: Sequence[Tensor], frame: tuple[int, int] | None = None
    ) -> tuple[Tensor, list[Placement]]:
        """Photos [C, H, W] in 0..1 -> (the photos as they are, in one batch; where in it each lies)."""
        check_photos(images, self.in_chans)
        photos = [photo.to(**parameter_place(self)) for photo in images]
        return in_one_batch(photos, 1), [_in_place(photo.shape[-2:]) for photo in photos]

    def _prepared(self, batch: Tensor, places: Sequence[Placement]) -> list[tuple[Tensor, list[Placement]]]:
        """What each member sees of the photos in a batch."""
        photos = [photo[:, :place.photo[0], :place.photo[1]] for photo, place in zip(batch, places)]
        return [model.prepare(photos) for model in self.members]

    def see(
        self, batch: Tensor, places: Sequence[Placement], after: Callable[[Stage, Tensor], Any] | None = None,
        before: Callable[[Stage], Any] | None = None,
    ) -> list[tuple[Any, tuple[int, int], list[Placement]]]:
        """Of each member: its raw maps, the size of what it saw, and where the photos lie in that."""
        found, first = [], 0
        for model, (own, own_places) in zip(self.members, self._prepared(batch, places)):
            rows = self.stages[first:first + len(model.stage_table)]
            first += len(rows)
            of = dict(zip((stage.name for stage in model.stage_table), rows))
            told = None if after is None else lambda stage, made, of=of: after(of[stage.name], made)
            asked = None if before is None else lambda stage, of=of: before(of[stage.name])
            raw = model.see(own, own_places, told, asked)
            found.append((raw, tuple(own.shape[-2:]), own_places))
        return found

    def forward_stages(self, x: Tensor) -> Generator[Tensor, None, list[Any]]:
        places, found = [_in_place(x.shape[-2:]) for _ in x], []
        for model, (own, own_places) in zip(self.members, self._prepared(x, places)):
            found.append(((yield from model.forward_stages(own)), tuple(own.shape[-2:]), own_places))
        return found

    def forward_head(self, x: Sequence[Any], pre_logits: bool = False) -> list[Any]:
        return [(model.forward_head(features), size, places)
                for model, (features, size, places) in zip(self.members, x)]

    def candidates(
        self, raw: Any, size: Sequence[int], places: Sequence[Placement], *,
        score_threshold: float | None = None,
    ) -> list[Candidates]:
        """The fused boxes of each photo, in the photo's pixels; `anchors` count them."""
        lowest = self.score_threshold if score_threshold is None else score_threshold
        chosen: list[list[Candidates]] = [[] for _ in places]
        for model, (own, own_size, own_places) in zip(self.members, raw):
            possible = model.candidates(own, own_size, own_places, score_threshold=lowest)
            for kept, found, place in zip(chosen, possible, own_places):
                best = model.select(found, score_threshold=lowest, iou_threshold=model.iou_threshold,
                                    limit=model.max_boxes)
                kept.append(Candidates(place.out_of(best.boxes), best.scores, best.labels, best.levels,
                                       best.anchors))
        return [self._fused(kept) for kept in chosen]

    def _fused(self, found: Sequence[Candidates]) -> Candidates:
        of_all = []
        for one, kinds in zip(found, self.kinds):
            labels = torch.tensor(kinds, device=one.labels.device)[one.labels]
            of_all.append((one.boxes, one.scores, labels))
        boxes, scores, labels = ([part[known] for part, known in zip(column, [one[2] >= 0 for one in of_all])]
                                 for column in zip(*of_all))
        boxes, scores, labels = fuse_boxes(boxes, scores, labels, self.weights, iou_threshold=self.fusion_iou)
        return Candidates(boxes, scores, labels, torch.full_like(labels, -1),
                          torch.arange(len(labels), device=labels.device))

    def anchor_levels(self, raw: Any, size: Sequence[int]) -> list[Tensor]:
        """[]: a fused box starts from boxes, and these from each member's own anchors."""
        return []

    def loss(self, images: Sequence[Tensor], targets: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
        """Raises ValueError: its members are trained, one by one."""
        raise ValueError("An ensemble of detectors is not trained as a whole: train each of its members, "
                         f"{', '.join(self.names)}.")

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        """Raises ValueError: its members have the classifiers."""
        raise ValueError("An ensemble of detectors has no classifier of its own: give its members others, "
                         "model.member(name).reset_classifier(num_classes), and make the ensemble anew.")

    def get_classifier(self) -> nn.ModuleList:
        """The members' classifiers, in a list."""
        return nn.ModuleList(model.get_classifier() for model in self.members)

    @property
    def only_size(self) -> None:
        """It takes photos of any size; its members see to theirs."""
        return None


def _in_place(size: Sequence[int]) -> Placement:
    """Where a photo lies that is seen as it is."""
    height, width = size
    return Placement((height, width), (height, width), (1.0, 1.0))
