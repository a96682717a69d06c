"""RetinaNet: every place of every level says at once what is there, and learns mostly from its mistakes.

A pyramid of maps, nine anchors at each place, and two small towers of convolutions that all levels
share: one says which class, the other how the box differs from the anchor. Of a hundred thousand
anchors nearly all see nothing; the focal loss counts what is answered well already as next to
nothing, so that these do not drown the few that see something.

Lin et al., "Focal Loss for Dense Object Detection", 2017, https://arxiv.org/abs/1708.02002. As
torchvision has it, whose names the parameters have: `retinanet_resnet50_fpn`, and its `_v2` with
GroupNorm in the towers, from Zhang et al., "Bridging the Gap Between Anchor-based and Anchor-free
Detection via Adaptive Training Sample Selection", 2019, https://arxiv.org/abs/1912.02424.
"""

from __future__ import annotations

import math
import re
from collections.abc import Generator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.ops import generalized_box_iou_loss, sigmoid_focal_loss

from explorer.models.body import levels_of, walk_body
from explorer.models.config import ModelConfig
from explorer.models.contract import Stage, VisionModel, parameter_place
from explorer.models.detection.anchors import over_grid, shapes_around_zero
from explorer.models.detection.candidates import Candidates, best_pairs, joined
from explorer.models.detection.coding import decode, encode
from explorer.models.detection.detector import Detector
from explorer.models.detection.frozen import freeze_norms
from explorer.models.detection.matching import NOTHING, UNCLEAR, match
from explorer.models.detection.placing import Placement, clip
from explorer.models.detection.pyramid import FeaturePyramid

OCTAVES = (1.0, 2 ** (1 / 3), 2 ** (2 / 3))  # sizes of the anchors of one shape
RATIOS = (0.5, 1.0, 2.0)  # height to width
RARE = 0.01  # how likely an untrained network thinks each class: else its first steps are all noise


class Tower(nn.Module):
    """3 x 3 convolutions with ReLU, [B, width, H, W] -> the same, with GroupNorm in between or none."""

    def __init__(self, width: int, depth: int, norm: bool):
        super().__init__()
        self.conv = nn.Sequential(*(nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1, bias=not norm),
            *([nn.GroupNorm(32, width)] if norm else []), nn.ReLU(inplace=True),
        ) for _ in range(depth)))
        for layer in self.conv.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.normal_(layer.weight, std=0.01)
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x)


class RetinaNet(Detector):
    """Photos -> boxes; `forward_raw` of a batch gives `cls_logits` [B, N, num_classes] and
    `bbox_regression` [B, N, 4] of its N anchors, and the `grids` (rows, columns) of its five levels.

    body:        a backbone without head, with maps of strides 8, 16 and 32
    width:       channels of the pyramid and the towers;  depth: convolutions of a tower
    p6_from_c5:  level 6 is made from the backbone's last map, else from the pyramid's level 5
    head_norm:   GroupNorm in the towers
    box_loss:    "l1" of the coded boxes, or "giou", Rezatofighi et al. 2019
    frozen_norm: the backbone's BatchNorm layers stay as they are trained, which small batches want
    norm_eps:    their epsilon, where weights were trained with another
    anchor_scale: side of the smallest anchor of a level, in strides
    drop_rate:   of the maps in front of the last layers
    """

    classifier_path = "head.classification_head.cls_logits"
    body_name = "backbone.body"
    #: Of each level so many pairs of anchor and class become candidates.
    most_of_a_level = 1000

    def __init__(
        self,
        body: VisionModel,
        *,
        num_classes: int = 91,
        width: int = 256,
        depth: int = 4,
        p6_from_c5: bool = False,
        head_norm: bool = False,
        box_loss: str = "l1",
        frozen_norm: bool = False,
        norm_eps: float | None = None,
        anchor_scale: float = 4.0,
        drop_rate: float = 0.0,
    ):
        super().__init__()
        if box_loss not in ("l1", "giou"):
            raise ValueError(f"Unknown box_loss {box_loss!r}: expected 'l1' or 'giou'.")
        self.num_classes, self.num_features = num_classes, width
        self.box_loss, self.anchor_scale, self.drop_rate = box_loss, anchor_scale, drop_rate
        self.backbone = nn.Module()
        if frozen_norm:
            freeze_norms(body, norm_eps)
        own = self.take_body(body)
        by_stride = levels_of(self.body, (8, 16, 32))
        if len(by_stride) < 3:
            raise ValueError("RetinaNet reads maps of strides 8, 16 and 32 pixels, and this backbone has "
                             f"{', '.join(str(stage.reduction) for stage in own)}: leave output_stride "
                             "away, or give another backbone.")
        self.levels = tuple(by_stride.values())
        chans = [own[index].channels for index in self.levels]
        self.backbone.fpn = FeaturePyramid(chans, width, p6_from_c5=p6_from_c5)
        made = zip(("p5", "p4", "p3", "p6", "p7"), self.backbone.fpn.order, (32, 16, 8, 64, 128))
        self.stages = (*own, *(Stage(name, f"backbone.fpn.{module}", width, stride)
                               for name, module, stride in made))

        self.strides = (8, 16, 32, 64, 128)
        self.anchors_at_a_place = len(OCTAVES) * len(RATIOS)
        classes, boxes = Tower(width, depth, head_norm), Tower(width, depth, head_norm)
        self.head = nn.ModuleDict({"classification_head": classes, "regression_head": boxes})
        classes.cls_logits = self._last_conv(num_classes)
        boxes.bbox_reg = nn.Conv2d(width, 4 * self.anchors_at_a_place, 3, padding=1)
        nn.init.normal_(boxes.bbox_reg.weight, std=0.01)
        nn.init.zeros_(boxes.bbox_reg.bias)
        self.config = ModelConfig(input_size=(self.in_chans, 800, 1333), num_classes=num_classes, labels=())

    def _last_conv(self, num_classes: int) -> nn.Module:
        if not num_classes:
            return nn.Identity()
        last = nn.Conv2d(self.num_features, num_classes * self.anchors_at_a_place, 3, padding=1)
        nn.init.normal_(last.weight, std=0.01)
        nn.init.constant_(last.bias, -math.log((1 - RARE) / RARE))
        return last

    # --- photos -> maps -> raw numbers of each anchor -------------------------------------------------

    def forward_stages(self, x: Tensor) -> Generator[Tensor, None, list[Tensor]]:
        maps = yield from walk_body(self.body, x, self.levels)
        return (yield from self.backbone.fpn.walk(maps))  # p3 to p7

    def forward_head(self, x: list[Tensor], pre_logits: bool = False) -> Any:
        """The pyramid's maps -> the raw numbers of each anchor; without classes the maps themselves."""
        if pre_logits or not self.num_classes:
            return x
        classes, boxes = self.head["classification_head"], self.head["regression_head"]
        scores = [classes.cls_logits(self._dropped(classes(level))) for level in x]
        deltas = [boxes.bbox_reg(self._dropped(boxes(level))) for level in x]
        return {"cls_logits": self._by_anchor(scores, self.num_classes),
                "bbox_regression": self._by_anchor(deltas, 4),
                "grids": tuple(tuple(level.shape[-2:]) for level in x)}

    def _dropped(self, x: Tensor) -> Tensor:
        return F.dropout(x, self.drop_rate, self.training) if self.drop_rate else x

    def _by_anchor(self, maps: Sequence[Tensor], numbers: int) -> Tensor:
        """Maps [B, A * n, H, W] of all levels -> [B, N, n]: level by level, row by row, A at each place."""
        rows = [level.unflatten(1, (-1, numbers)).permute(0, 3, 4, 1, 2).flatten(1, 3) for level in maps]
        return torch.cat(rows, dim=1)

    def anchors(self, grids: Sequence[Sequence[int]], size: Sequence[int]) -> list[Tensor]:
        """Of each level the anchors [n, 4] xyxy, in pixels of a batch of `size` (height, width)."""
        levels = []
        for stride, (rows, columns) in zip(self.strides, grids):
            sides = [int(self.anchor_scale * octave * stride) for octave in OCTAVES]
            shapes = shapes_around_zero(sides, RATIOS)
            steps = size[0] // rows, size[1] // columns  # a grid that was rounded up is closer
            levels.append(over_grid(shapes.to(parameter_place(self)["device"]), (rows, columns), steps))
        return levels

    def anchor_levels(self, raw: Mapping[str, Any], size: Sequence[int]) -> list[Tensor]:
        return self.anchors(raw["grids"], size)

    @classmethod
    def matched(cls, boxes: Tensor, levels: Sequence[Tensor], size: Sequence[int]) -> Tensor:
        return match(boxes, torch.cat([*levels]))

    # --- raw numbers -> boxes -------------------------------------------------------------------------

    @property
    def preselection(self) -> tuple[str, int]:
        return "of a level", self.most_of_a_level

    def decoded(self, raw: Mapping[str, Any], size: Sequence[int]) -> tuple[Tensor, Tensor]:
        deltas = raw["bbox_regression"]
        anchors = torch.cat(self.anchors(raw["grids"], size))
        return decode(deltas, anchors.to(deltas)), raw["cls_logits"].sigmoid()

    def candidates(
        self, raw: Mapping[str, Any], size: Sequence[int], places: Sequence[Placement], *,
        score_threshold: float | None = None,
    ) -> list[Candidates]:
        least = self.score_threshold if score_threshold is None else score_threshold
        levels = self.anchors(raw["grids"], size)
        counts = [len(level) for level in levels]
        found = []
        for logits, deltas, place in zip(raw["cls_logits"], raw["bbox_regression"], places):
            parts, first = [], 0
            rows = zip(levels, logits.split(counts), deltas.split(counts))
            for level, (anchors, scores, moves) in enumerate(rows):
                best, index, labels = best_pairs(scores, least, self.most_of_a_level)
                boxes = clip(decode(moves[index], anchors[index].to(moves)), place.inside)
                parts.append(Candidates(boxes, best, labels, torch.full_like(index, level), first + index))
                first += len(anchors)
            found.append(joined(parts))
        return found

    def log_odds(self, raw: Mapping[str, Any], found: Candidates) -> Tensor:
        return raw["cls_logits"][:, found.anchors, found.labels]

    # --- raw numbers and truth -> loss ----------------------------------------------------------------

    def loss_of(
        self, raw: Mapping[str, Any], size: Sequence[int], targets: Sequence[Mapping[str, Tensor]],
    ) -> dict[str, Tensor]:
        anchors = torch.cat(self.anchors(raw["grids"], size))
        classes, boxes = [], []
        for logits, deltas, truth in zip(raw["cls_logits"], raw["bbox_regression"], targets):
            which = match(truth["boxes"], anchors)  # [N]: the thing that each anchor has to find
            finds = torch.nonzero(which > NOTHING)[:, 0]
            wanted = torch.zeros_like(logits)
            wanted[finds, truth["labels"][which[finds]]] = 1
            many = max(1, len(finds))
            costs = sigmoid_focal_loss(logits, wanted).sum(dim=1) * (which != UNCLEAR)
            classes.append(costs.sum() / many)
            boxes.append(self._box_loss(deltas[finds], truth["boxes"][which[finds]], anchors[finds]) / many)
        return {"classification": torch.stack(classes).mean(), "bbox_regression": torch.stack(boxes).mean()}

    def _box_loss(self, deltas: Tensor, boxes: Tensor, anchors: Tensor) -> Tensor:
        """deltas: what was answered [n, 4];  boxes: the truth [n, 4] xyxy;  anchors [n, 4] xyxy."""
        anchors = anchors.to(deltas)
        if self.box_loss == "giou":
            return generalized_box_iou_loss(decode(deltas, anchors), boxes, reduction="sum")
        return F.l1_loss(deltas, encode(boxes, anchors), reduction="sum")

    # --- surgery --------------------------------------------------------------------------------------

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        """Put a fresh layer on for other classes; 0 removes it. There is no pooling to choose."""
        if global_pool:
            raise ValueError(f"global_pool is {global_pool!r}: a network for boxes pools nothing, so "
                             "leave it out.")
        owner, name = self._last_layer("reset_classifier")
        setattr(owner, name, self._last_conv(num_classes).to(**parameter_place(self)))
        self.num_classes = num_classes

    def remove_head(self) -> None:
        """Take both towers away: the pyramid's maps stay."""
        self.head, self.num_classes = nn.ModuleDict(), 0

    def _count_scores(self, head: nn.Module | None) -> int:
        return head.out_channels // self.anchors_at_a_place if isinstance(head, nn.Conv2d) else 0


def from_torchvision(state: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    """Names from before torchvision 0.13, which its published files have still: a layer was not yet in a
    sequence of its own.
    """
    if "backbone.fpn.inner_blocks.0.weight" not in state:
        return state
    renamed = {}
    for key, value in state.items():
        key = re.sub(r"(fpn\.(?:inner|layer)_blocks\.\d+)\.(weight|bias)$", r"\1.0.\2", key)
        key = re.sub(r"(_head\.conv\.)(\d+)\.(weight|bias)$",
                     lambda found: f"{found[1]}{int(found[2]) // 2}.0.{found[3]}", key)
        renamed[key] = value
    return renamed


KEY_MAPS = {"torchvision": from_torchvision}
MODEL = RetinaNet
VARIANTS = {
    "retinanet": dict(backbone="resnet50"),
    "retinanet_resnet50_fpn": dict(backbone="resnet50"),
    "retinanet_resnet50_fpn_v2": dict(backbone="resnet50", p6_from_c5=True, head_norm=True, box_loss="giou"),
    # small enough to come along with explorer, trained: 4 M parameters; it finds smaller things too
    "retinanet_lite0": dict(backbone="tf_efficientnet_lite0", width=64, depth=2, head_norm=True,
                            box_loss="giou", anchor_scale=2.5),
}
