"""Torchvision's detectors behind explorer's: create_model("torchvision/fasterrcnn_resnet50_fpn").

    model.module           torchvision's own, in the same face as our `Detector`

Labels count from 0 as everywhere in explorer. Where the module keeps its first class for "nothing is here",
a network for three kinds of things has four classes inside, and the first is not told. As torchvision
trained them, with the 91 of COCO, labels are COCO's numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models import detection
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.roi_heads import maskrcnn_inference
from torchvision.ops import remove_small_boxes

from explorer.models.config import ModelConfig
from explorer.models.contract import Stage, parameter_place
from explorer.models.detection.candidates import Candidates, best_pairs, joined
from explorer.models.detection.detector import Detector, check_targets
from explorer.models.detection.placing import Placement, clip, fit_short_side, resize
from explorer.models.doors.torchvision_reading import levels_read, log_odds_of, stages_of
from explorer.models.watching import Turn, watching


class TorchvisionDetector(Detector):
    """Torchvision's module behind the contract; the module itself is `.module`.

    module:      as torchvision builds it;  build: the same with another number of classes
    num_classes: kinds of things;  config: preprocessing, labels, origin
    """

    body_name = "module.backbone"

    def __init__(self, module: nn.Module, build: Any, num_classes: int, config: ModelConfig):
        super().__init__()
        self.module, self._build = module, build
        self.num_classes, self.in_chans = num_classes, config.input_size[0]
        self.in_two = isinstance(module, detection.FasterRCNN)
        heads = module.roi_heads if self.in_two else module
        self.score_threshold, self.iou_threshold = heads.score_thresh, heads.nms_thresh
        self.max_boxes = heads.detections_per_img
        self.size_multiple = module.transform.size_divisible
        self.placing = "short side" if module.transform.fixed_size is None else "exactly"
        self.stages = stages_of(module.backbone, self.in_chans)
        self.num_features = self.stages[-1].channels
        self.config = config.with_(num_classes=num_classes)

    @property
    def body_paths(self) -> tuple[str, ...]:
        inner = "body" if hasattr(self.module.backbone, "body") else "features"
        return (f"module.backbone.{inner}",)

    @property
    def body_stages(self) -> tuple[Stage, ...]:
        """Those ahead of its pyramid, or of what SSD puts behind its backbone."""
        inside = tuple(path.removeprefix("module.") for path in self.body_paths)
        return tuple(stage for stage in self.stages if stage.module.startswith(inside))

    # --- its last layer -----------------------------------------------------------------------------------

    @property
    def counts_nothing(self) -> int:
        """1 where the module's first class is "nothing is here" and is not told, else 0."""
        with_nothing = self.in_two or isinstance(self.module, detection.ssd.SSD)
        return int(with_nothing and self.columns == self.num_classes + 1)

    @property
    def columns(self) -> int:
        """How many classes the module itself counts."""
        last, module = self.get_classifier(), self.module
        if self.in_two:
            return last.out_features
        if isinstance(module, detection.ssd.SSD):
            return module.head.classification_head.num_columns
        return module.head.classification_head.num_classes

    def classes_in(self, state: Mapping[str, Tensor]) -> int:
        """How many kinds of things a file is for, by the first tensor of the module's that it has larger or
        smaller.
        """
        for name, own in self.module.state_dict().items():
            given = state.get(name)
            if given is not None and given.ndim and own.ndim and given.shape[0] != own.shape[0]:
                columns = given.shape[0] * self.columns // own.shape[0]
                return columns - columns_for(self.module, 0)
        return self.num_classes

    def get_classifier(self) -> nn.Module:
        if self.in_two:
            return self.module.roi_heads.box_predictor.cls_score
        head = self.module.head.classification_head
        return head.module_list if isinstance(self.module, detection.ssd.SSD) else head.cls_logits

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        """Put fresh layers on for other classes, wherever the module has a row a class.

        Raises ValueError for a pooling, and for 0.
        """
        if global_pool:
            raise ValueError(f"global_pool is {global_pool!r}: a network for boxes pools nothing, so leave "
                             "it out.")
        if not num_classes:
            raise ValueError(f"{self.config.architecture} can't be without classes; features_only=True gives "
                             "its maps.")
        fresh = self._build(columns_for(self.module, num_classes)).to(**parameter_place(self))
        exchange_layers(self.module, fresh)
        self.num_classes = num_classes

    def remove_head(self) -> None:
        """Take all away but the backbone and its pyramid."""
        for name in ("head", "rpn", "roi_heads"):
            if hasattr(self.module, name):
                setattr(self.module, name, nn.Identity())
        self.num_classes = 0

    def _count_scores(self, head: nn.Module | None) -> int:
        return self.num_classes

    # --- photos -> maps -> raw numbers --------------------------------------------------------------------

    def place(self, photo: Tensor) -> tuple[Tensor, Placement]:
        fixed = self.module.transform.fixed_size  # (width, height)
        height, width = photo.shape[-2:]
        if fixed is None:
            sides = self.config.input_size[1:]
            return fit_short_side(photo, min(sides), max(sides))
        inside = fixed[1], fixed[0]
        return resize(photo, inside), Placement((height, width), inside,
                                                (inside[0] / height, inside[1] / width))

    def forward_stages(self, x: Tensor) -> Generator[Tensor, None, Any]:
        """The maps of one whole run: a foreign module can't be stopped half-way, but it runs only once."""
        with self._keeping_stages() as kept:
            found = self.module.backbone(x)
        for stage in self.stages:
            yield kept[stage.module]
        return found if isinstance(found, Mapping) else {"0": found}

    @contextmanager
    def _keeping_stages(self) -> Iterator[dict[str, Tensor]]:
        """The map of each stage, by its module's path, once that has run."""
        kept: dict[str, Tensor] = {}

        def keep(turn: Turn, _part: nn.Module, _inputs: tuple, output: Tensor) -> None:
            kept[turn.name] = output.clone()  # the next layer may work in place

        parts = {stage.module: self.module.get_submodule(stage.module) for stage in self.stages}
        with watching(parts, after=keep):
            yield kept

    def forward_head(self, x: Any, pre_logits: bool = False) -> Any:
        name = self.config.architecture
        raise TypeError(f"{name} is torchvision's own, and its head runs with the photos' frames alone, "
                        "so nothing can be folded or asked behind its maps. explorer.detect "
                        "and explorer.look run it as it is; retinanet_resnet50_fpn can be optimized.")

    def forward_raw(self, x: Tensor) -> dict[str, Any]:
        return self._raw(x, [tuple(x.shape[-2:])] * len(x))

    def see(
        self, batch: Tensor, places: Sequence[Placement], after: Callable[[Stage, Tensor], Any] | None = None,
        before: Callable[[Stage], Any] | None = None, proposals: Tensor | None = None,
    ) -> dict[str, Any]:
        """proposals: [M, 4] xyxy, which a network in two stages takes for each photo in place of its own"""
        insides = [place.inside for place in places]
        if after is None:
            return self._raw(batch, insides, proposals)
        with self._keeping_stages() as kept:
            raw = self._raw(batch, insides, proposals)
        for stage in self.stages:
            after(stage, kept[stage.module])
        return raw

    def _raw(
        self, x: Tensor, insides: Sequence[tuple[int, int]], proposals: Tensor | None = None
    ) -> dict[str, Any]:
        found = self.module.backbone(x)
        maps = found if isinstance(found, Mapping) else {"0": found}
        if not self.num_classes:
            return dict(maps)
        photos = ImageList(x, [*insides])
        if self.in_two:
            return self._raw_in_two(photos, maps, proposals)
        levels = [*maps.values()]
        anchors = self.module.anchor_generator(photos, levels)[0]
        places = [level.shape[-2] * level.shape[-1] for level in levels]
        return {**self.module.head(levels), "anchors": anchors, "places": places}

    def _raw_in_two(
        self, photos: ImageList, maps: Mapping[str, Tensor], given: Tensor | None = None
    ) -> dict[str, Any]:
        """First where something might be, if that is not given, then what it is and where exactly."""
        heads = self.module.roi_heads
        if photos.tensors.is_meta:  # shapes alone, of which nobody can say where something might be
            self.module.rpn.head([*maps.values()])
            proposals = [photos.tensors.new_zeros(self.module.rpn.post_nms_top_n(), 4)] * len(photos.tensors)
            side, width = heads.box_roi_pool.output_size[0], maps["0"].shape[1]
            found = photos.tensors.new_zeros(sum(map(len, proposals)), width, side, side)
        else:
            proposals = [given] * len(photos.tensors)
            if given is None:
                proposals, _ = self.module.rpn(photos, maps)
            found = heads.box_roi_pool(maps, proposals, photos.image_sizes)
        boxes = heads.box_head(found)
        logits, deltas = heads.box_predictor(boxes)
        return {"class_logits": logits, "box_regression": deltas, "proposals": proposals, "maps": maps}

    def anchor_levels(self, raw: Any, size: Sequence[int]) -> list[Tensor]:
        """Of FCOS, which has points to start from, squares as large as a step."""
        if self.in_two:
            return [raw["proposals"][0]]
        counts = self._level_of(raw).bincount(minlength=len(raw["places"])).tolist()
        return [*raw["anchors"].split(counts)]

    # --- raw numbers -> boxes -----------------------------------------------------------------------------

    @property
    def preselection(self) -> tuple[str, int]:
        if self.in_two:
            return super().preselection
        of = "of a class" if isinstance(self.module, detection.ssd.SSD) else "of a level"
        return of, self.module.topk_candidates

    def decoded(self, raw: Any, size: Sequence[int]) -> tuple[Tensor, Tensor]:
        if self.in_two:
            return super().decoded(raw, size)
        logits, deltas, middles = raw["cls_logits"], raw["bbox_regression"], raw.get("bbox_ctrness")
        coder, anchors = self.module.box_coder, raw["anchors"]
        decode = coder.decode_single if middles is None else coder.decode
        boxes = torch.stack([decode(each, anchors) for each in deltas])
        if isinstance(self.module, detection.ssd.SSD):
            nothing, scores = logits.softmax(-1).tensor_split([1], dim=-1)
            if not self.counts_nothing:
                scores = torch.cat((torch.zeros_like(nothing), scores), dim=-1)
            return boxes, scores
        scores = logits.sigmoid()
        return boxes, scores if middles is None else torch.sqrt(scores * middles.sigmoid())

    def candidates(
        self, raw: Any, size: Sequence[int], places: Sequence[Placement], *,
        score_threshold: float | None = None,
    ) -> list[Candidates]:
        least = self.score_threshold if score_threshold is None else score_threshold
        if self.in_two:
            every = self._of_proposals(raw, places, least)
        elif isinstance(self.module, detection.ssd.SSD):
            every = self._of_default_boxes(raw, places, least)
        else:
            every = self._of_levels(raw, places, least)
        if not self.counts_nothing:
            return every
        return [Candidates(**{**vars(found), "labels": found.labels - 1}) for found in every]

    def _of_proposals(self, raw: Any, places: Sequence[Placement], least: float) -> list[Candidates]:
        """Of networks in two stages: every proposal may be of any class."""
        coder, proposals = self.module.roi_heads.box_coder, raw["proposals"]
        counts = [len(each) for each in proposals]
        boxes = coder.decode(raw["box_regression"], proposals).split(counts)
        scores = raw["class_logits"].softmax(-1).split(counts)
        found = []
        for one, score, starts, place in zip(boxes, scores, proposals, places):
            index, label = torch.nonzero(score[:, 1:] > least, as_tuple=True)
            label = label + 1
            chosen = clip(one[index, label], place.inside)
            large = remove_small_boxes(chosen, min_size=1e-2)
            nowhere = torch.full_like(index, -1)
            every = Candidates(chosen, score[index, label], label, nowhere, index, starts[index])
            found.append(every.take(large))
        return found

    def _of_default_boxes(self, raw: Any, places: Sequence[Placement], least: float) -> list[Candidates]:
        """Of SSD: a softmax at every default box, of each class the best."""
        anchors, most = raw["anchors"], self.module.topk_candidates
        level_of = self._level_of(raw)
        found = []
        for logits, deltas, place in zip(raw["cls_logits"], raw["bbox_regression"], places):
            boxes = clip(self.module.box_coder.decode_single(deltas, anchors), place.inside)
            scores, index = logits.softmax(-1)[:, 1:].topk(min(most, len(anchors)), dim=0)  # [most, K]
            label = torch.arange(1, index.shape[1] + 1, device=index.device).expand_as(index)
            scores = scores.T  # class by class
            good = scores > least
            index, label = index.T[good], label.T[good]
            found.append(Candidates(boxes[index], scores[good], label, level_of[index], index))
        return found

    def _of_levels(self, raw: Any, places: Sequence[Placement], least: float) -> list[Candidates]:
        """Of FCOS and RetinaNet: a yes or no for each class, and of each level the best."""
        counts = self._level_of(raw).bincount(minlength=len(raw["places"])).tolist()
        anchors, most = raw["anchors"].split(counts), self.module.topk_candidates
        middles, coder = raw.get("bbox_ctrness"), self.module.box_coder  # FCOS alone has the former
        decode = coder.decode_single if middles is None else coder.decode
        found = []
        for number, place in enumerate(places):
            logits = raw["cls_logits"][number]
            if middles is not None:  # how near to a thing's middle: the score is the root of the product
                both = torch.sqrt(logits.sigmoid() * middles[number].sigmoid())
                logits = torch.special.logit(both.double())
            parts, first = [], 0
            rows = zip(logits.split(counts), raw["bbox_regression"][number].split(counts), anchors)
            for level, (scores, deltas, around) in enumerate(rows):
                best, index, label = best_pairs(scores, least, most)
                boxes = clip(decode(deltas[index], around[index]), place.inside)
                levels = torch.full_like(index, level)
                parts.append(Candidates(boxes, best.to(boxes), label, levels, first + index))
                first += len(around)
            found.append(joined(parts))
        return found

    def log_odds(self, raw: Any, found: Candidates) -> Tensor:
        return log_odds_of(self.module, raw, found.anchors, found.labels + self.counts_nothing)

    def score_again(
        self, batch: Tensor, places: Sequence[Placement], found: Candidates,
        after: Callable[[Stage, Tensor], Any] | None = None, before: Callable[[Stage], Any] | None = None,
    ) -> Tensor:
        """As `Detector.score_again`; in two stages of the same proposals, whatever the first sees now."""
        if not self.in_two:
            return super().score_again(batch, places, found, after, before)
        raw = self.see(batch, places, after, before, found.starts)
        return self.log_odds(raw, replace(found, anchors=torch.arange(len(found), device=batch.device)))

    @property
    def level_stages(self) -> tuple[str, ...]:
        return levels_read(self.module, self.stages) or super().level_stages

    def stage_of(self, found: Candidates) -> str:
        if self.in_two:  # a proposal is read from the level that its size is for
            pool = self.module.roi_heads.box_roi_pool
            level = 0 if pool.map_levels is None else pool.map_levels([found.starts[:1]])
            found = replace(found, levels=torch.as_tensor(level).reshape(1))
        return super().stage_of(found)

    def _level_of(self, raw: Any) -> Tensor:
        """Of each anchor its level, from the finest: [N]."""
        at_a_place = [1] * len(raw["places"])
        if not isinstance(self.module, detection.fcos.FCOS):  # which has no boxes to start from, but points
            at_a_place = self.module.anchor_generator.num_anchors_per_location()
        counts = torch.tensor([places * each for places, each in zip(raw["places"], at_a_place)])
        return torch.repeat_interleave(torch.arange(len(counts)), counts).to(raw["anchors"].device)

    @property
    def has_masks(self) -> bool:
        return self.in_two and self.module.roi_heads.has_mask()

    def with_masks(
        self, raw: Any, found: Sequence[Candidates], places: Sequence[Placement]
    ) -> list[Candidates]:
        if not self.has_masks:
            return [*found]
        heads = self.module.roi_heads
        boxes, insides = [each.boxes for each in found], [place.inside for place in places]
        logits = heads.mask_predictor(heads.mask_head(heads.mask_roi_pool(raw["maps"], boxes, insides)))
        labels = [each.labels + self.counts_nothing for each in found]
        return [Candidates(**{**vars(each), "masks": masks[:, 0]})
                for each, masks in zip(found, maskrcnn_inference(logits, labels))]

    # --- learning -----------------------------------------------------------------------------------------

    def loss(
        self, images: Sequence[Tensor], targets: Sequence[Mapping[str, Tensor]]
    ) -> dict[str, Tensor]:
        check_targets(images, targets, self.num_classes)
        where, transform = parameter_place(self), self.module.transform
        if self.has_masks and not all(isinstance(target.get("masks"), Tensor) for target in targets):
            raise ValueError(f"{self.config.architecture} learns masks too: give masks [N, height, width] of "
                             "0 and 1 beside boxes and labels.")
        moved = []
        for target in targets:
            labels = target["labels"].to(where["device"], torch.int64) + self.counts_nothing
            moved.append({"boxes": target["boxes"].to(**where).reshape(-1, 4), "labels": labels,
                          **({"masks": target["masks"].to(where["device"])} if self.has_masks else {})})
        sides = self.config.input_size[1:]
        if transform.fixed_size is None:
            transform.min_size, transform.max_size = (min(sides),), max(sides)
        with self._answering_with_losses():
            return self.module([photo.to(**where) for photo in images], moved)

    def loss_and_found(
        self, images: Sequence[Tensor], targets: Sequence[Mapping[str, Tensor]]
    ) -> tuple[dict[str, Tensor], list[dict[str, Tensor]]]:
        """Two passes: its own modules give losses or boxes, and never both."""
        return self.loss(images, targets), self(images)

    @contextmanager
    def _answering_with_losses(self) -> Iterator[None]:
        """Its parts give losses in training mode alone; layers such as BatchNorm keep the mode they have."""
        parts = [getattr(self.module, name, None) for name in ("rpn", "roi_heads")]
        parts = [part for part in (self.module, *parts) if part is not None]
        before = [part.training for part in parts]
        for part in parts:
            part.training = True
        try:
            yield
        finally:
            for part, mode in zip(parts, before):
                part.training = mode


def columns_for(module: nn.Module, num_classes: int) -> int:
    """How many classes a module has for so many kinds of things: one more where it counts "nothing" too."""
    return num_classes + int(isinstance(module, (detection.FasterRCNN, detection.ssd.SSD)))


def exchange_layers(module: nn.Module, fresh: nn.Module) -> None:
    """Take over every layer of a freshly built twin whose shape is another, and its counts of classes."""
    for path, layer in [*fresh.named_modules()]:
        own = module.get_submodule(path)
        shapes = [[value.shape for value in part.parameters(recurse=False)] for part in (own, layer)]
        if shapes[0] != shapes[1]:
            owner, _, name = path.rpartition(".")
            setattr(module.get_submodule(owner), name, layer.train(own.training))
        for count in ("num_classes", "num_columns"):
            if isinstance(getattr(layer, count, None), int):
                setattr(own, count, getattr(layer, count))
