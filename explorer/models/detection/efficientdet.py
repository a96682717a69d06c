"""EfficientDet: a small backbone, a pyramid that talks both ways, and one rule that scales it all.

An EfficientNet gives maps of three sizes, a BiFPN makes five of them that know of each other
(`bifpn.py`), and two small heads, the same for all levels, say at nine anchors of each place which
class is there and how its box differs from the anchor. From d0 to d7 the photo, the backbone, the
pyramid and the heads grow together, by one number.

Tan et al., "EfficientDet: Scalable and Efficient Object Detection", 2019,
https://arxiv.org/abs/1911.09070. As effdet has it, whose names the parameters have. Those that
begin with `tf_` have TensorFlow's padding, as the weights of the paper's authors need it.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Generator, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.ops import box_iou, sigmoid_focal_loss

from explorer.models.body import levels_of, walk_body
from explorer.models.config import ModelConfig
from explorer.models.contract import Stage, VisionModel, parameter_place
from explorer.models.detection.anchors import over_grid
from explorer.models.detection.bifpn import NORM, BiFpn, Style
from explorer.models.detection.candidates import Candidates, best_pairs
from explorer.models.detection.coding import decode, encode, in_full
from explorer.models.detection.detector import Detector
from explorer.models.detection.placing import Placement, clip, fit_top_left
from explorer.models.layers.activations import create_act
from explorer.models.layers.separable_conv import SeparableConv2d

OCTAVES = (1.0, 2 ** (1 / 3), 2 ** (2 / 3))          # sizes of the anchors of one shape
SHAPES = ((1.0, 1.0), (1.4, 0.7), (0.7, 1.4))        # width and height of the anchors of one size
RARE = 0.01  # how likely an untrained network thinks each class: else its first steps are all noise


class HeadNet(nn.Module):
    """Maps [B, width, H, W] of all levels -> maps [B, answers, H, W].

    The convolutions are the same for all levels; each level has BatchNorms of its own, because
    small and large things make numbers of different spread.
    """

    def __init__(self, style: Style, levels: int, depth: int, answers: int, drop_rate: float):
        super().__init__()
        conv = partial(SeparableConv2d, style.width, padding=style.padding)
        self.conv_rep = nn.ModuleList(conv(style.width, bias=style.extra_bias)
                                      for _ in range(depth))
        self.bn_rep = nn.ModuleList(
            nn.ModuleList(nn.Sequential(OrderedDict(bn=nn.BatchNorm2d(style.width, **NORM)))
                          for _ in range(levels)) for _ in range(depth))
        self.act = create_act(style.act_layer, inplace=True)
        self.drop = nn.Dropout(drop_rate)
        self.predict = conv(answers, bias=True)

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        answers = []
        for level, x in enumerate(maps):
            for conv, norms in zip(self.conv_rep, self.bn_rep):
                x = self.act(norms[level](conv(x)))
            answers.append(self.predict(self.drop(x)))
        return answers


class EfficientDet(Detector):
    """Photos -> boxes; `forward_raw` of a batch gives, of each level from stride 8 to 128,
    `class_maps` [B, 9 * num_classes, H, W] and `box_maps` [B, 9 * 4, H, W].

    body:         a backbone without head, with maps of strides 8, 16 and 32
    width, cells: channels and rounds of the BiFPN;  depth: convolutions of a head
    anchor_scale: side of the smallest anchor of a level, in strides
    weighted:     maps that meet in the pyramid have learned weights, else they are added
    act_layer, padding, extra_bias: see `bifpn.Style`
    drop_rate:    of the maps in front of the last layers
    """

    classifier_path = "class_net.predict.conv_pw"
    size_multiple = 1  # photos are placed on a canvas of the size that the network is made for
    score_threshold = 0.0
    iou_threshold = 0.5
    max_boxes = 100
    #: So many pairs of anchor and class become candidates.
    most_candidates = 5000
    placing, cut = "top left", "edge"

    def __init__(
        self,
        body: VisionModel,
        *,
        num_classes: int = 90,
        width: int = 64,
        cells: int = 3,
        depth: int = 3,
        anchor_scale: float = 4.0,
        weighted: bool = True,
        act_layer: str = "silu",
        padding: str = "",
        extra_bias: bool = False,
        drop_rate: float = 0.0,
    ):
        super().__init__()
        self.num_classes, self.num_features = num_classes, width
        self.anchor_scale, self.drop_rate = anchor_scale, drop_rate
        own = self.take_body(body)
        by_stride = levels_of(self.body, (8, 16, 32))
        if not by_stride or [*by_stride] != [8, 16, 32][:len(by_stride)]:
            has = ", ".join(str(stage.reduction) for stage in own)
            raise ValueError("EfficientDet reads maps of strides 8, 16 and 32 pixels, and this "
                             f"backbone has {has}: give another, such as efficientnet_b0.")
        self.levels = tuple(by_stride.values())
        self.strides = (8, 16, 32, 64, 128)
        self.anchors_at_a_place = len(OCTAVES) * len(SHAPES)

        style = Style(width, act_layer, padding, extra_bias)
        self.fpn = BiFpn([own[index].channels for index in self.levels], style,
                         levels=len(self.strides), cells=cells, weighted=weighted)
        self.stages = (*own, *(Stage(f"p{level}", f"fpn.{module}", width, 2**level)
                               for level, module in enumerate(self.fpn.order, start=3)))
        head = partial(HeadNet, style, len(self.strides), depth, drop_rate=drop_rate)
        self.class_net = head(answers=1)
        self.box_net = head(answers=4 * self.anchors_at_a_place)
        self.init_weights()
        self.class_net.predict.conv_pw = self.last_layer(num_classes)
        self.config = ModelConfig(input_size=(self.in_chans, 512, 512), num_classes=num_classes,
                                  labels=())

    def init_weights(self) -> None:
        """Of all but the backbone: a signal keeps its size on the way."""
        for part in (self.fpn, self.class_net, self.box_net):
            for layer in part.modules():
                if isinstance(layer, nn.Conv2d):
                    nn.init.normal_(layer.weight, std=layer.weight[0].numel() ** -0.5)
                    if layer.bias is not None:
                        nn.init.zeros_(layer.bias)

    def last_layer(self, num_classes: int) -> nn.Module:
        if not num_classes:
            return nn.Identity()
        last = nn.Conv2d(self.num_features, num_classes * self.anchors_at_a_place, 1)
        nn.init.normal_(last.weight, std=0.01)
        nn.init.constant_(last.bias, -math.log((1 - RARE) / RARE))
        return last

    # --- photos -> maps -> raw numbers of each anchor -------------------------------------------

    def place(self, photo: Tensor) -> tuple[Tensor, Placement]:
        """The photo [C, H, W] at the top left of a canvas as `config.input_size` has it, in the
        mean colour.
        """
        colour = [round(255 * value) / 255 for value in self._by_channel(self.config.mean)]
        return fit_top_left(photo, self.config.input_size[1:], colour)

    def forward_stages(self, x: Tensor) -> Generator[Tensor, None, list[Tensor]]:
        maps = yield from walk_body(self.body, x, self.levels)
        return (yield from self.fpn.walk(maps))  # p3 to p7

    def forward_head(self, x: list[Tensor], pre_logits: bool = False) -> Any:
        """The pyramid's maps -> the raw maps of each level; without classes the pyramid's."""
        if pre_logits or not self.num_classes:
            return x
        return {"class_maps": self.class_net(x), "box_maps": self.box_net(x)}

    def anchors(self, grids: Sequence[Sequence[int]], size: Sequence[int]) -> Tensor:
        """All anchors [N, 4] xyxy in pixels of a batch of `size` (height, width): level by level,
        row by row, and at each place three sizes of three shapes.
        """
        levels = []
        for rows, columns in grids:
            down, across = size[0] / rows, size[1] / columns
            sides = [(across * octave * wide, down * octave * high)
                     for octave in OCTAVES for wide, high in SHAPES]
            half = torch.tensor(sides, dtype=torch.float64) * self.anchor_scale / 2
            middle = torch.tensor((across / 2, down / 2), dtype=torch.float64)
            shapes = torch.cat((middle - half, middle + half), dim=1)  # of the first place
            levels.append(over_grid(shapes, (rows, columns), (down, across)))
        return torch.cat(levels).to(parameter_place(self)["device"], torch.float32)

    def anchor_levels(self, raw: Mapping[str, Any], size: Sequence[int]) -> list[Tensor]:
        grids = [tuple(level.shape[-2:]) for level in raw["class_maps"]]
        counts = [rows * columns * self.anchors_at_a_place for rows, columns in grids]
        return [*self.anchors(grids, size).split(counts)]

    @classmethod
    def matched(cls, boxes: Tensor, levels: Sequence[Tensor], size: Sequence[int]) -> Tensor:
        return assign(boxes, torch.cat([*levels]))

    # --- raw numbers -> boxes -------------------------------------------------------------------

    @property
    def preselection(self) -> tuple[str, int]:
        return "of all", self.most_candidates

    def decoded(self, raw: Mapping[str, list[Tensor]], size: Sequence[int]) -> tuple[Tensor, Tensor]:
        grids = [tuple(level.shape[-2:]) for level in raw["class_maps"]]
        moves = in_full(self._by_anchor(raw["box_maps"], 4))[..., [1, 0, 3, 2]]
        boxes = decode(moves, self.anchors(grids, size).to(moves), largest=math.inf)
        return boxes, self._by_anchor(raw["class_maps"], self.num_classes).sigmoid()

    def candidates(
        self, raw: Mapping[str, list[Tensor]], size: Sequence[int], places: Sequence[Placement], *,
        score_threshold: float | None = None,
    ) -> list[Candidates]:
        least = self.score_threshold if score_threshold is None else score_threshold
        grids = [tuple(level.shape[-2:]) for level in raw["class_maps"]]
        anchors = self.anchors(grids, size)
        found, kinds = [], self.num_classes
        for index, place in enumerate(places):
            classes = [self._by_place(level[index], kinds) for level in raw["class_maps"]]
            boxes = [self._by_place(level[index], 4) for level in raw["box_maps"]]
            found.append(self._candidates_of(classes, boxes, anchors, place, least))
        return found

    def _by_place(self, level: Tensor, numbers: int) -> Tensor:
        """A map [A * n, H, W] as [H, W, A, n], in the order of the anchors; nothing is copied."""
        return level.unflatten(0, (self.anchors_at_a_place, numbers)).permute(2, 3, 0, 1)

    def _candidates_of(self, classes: list[Tensor], boxes: list[Tensor], anchors: Tensor,
                       place: Placement, least: float) -> Candidates:
        """Of one photo. classes, boxes: maps [H, W, A, n] of each level"""
        # The best pairs of anchor and class are among the anchors whose best class is best: only
        # their scores, a tenth of all, are looked at one by one.
        highest = torch.cat([level.amax(dim=-1).flatten() for level in classes])  # [N]
        index = highest.topk(min(self.most_candidates, len(highest))).indices.sort().values
        counts = [level[..., 0].numel() for level in classes]
        ends = torch.tensor(counts, device=index.device).cumsum(0)
        levels = torch.bucketize(index, ends, right=True)
        logits, moves = (self._rows(maps, index, levels, ends) for maps in (classes, boxes))
        scores, which, labels = best_pairs(logits, least, self.most_candidates)
        index = index[which]
        deltas = moves[which][:, [1, 0, 3, 2]]  # down before across, in these maps
        found = decode(deltas, anchors[index].to(deltas), largest=math.inf)
        inside = tuple(side * scale for side, scale in zip(place.photo, place.scale))
        return Candidates(clip(found, inside), scores, labels, levels[which], index)

    def log_odds(self, raw: Mapping[str, list[Tensor]], found: Candidates) -> Tensor:
        return self._by_anchor(raw["class_maps"], self.num_classes)[:, found.anchors, found.labels]

    @staticmethod
    def _rows(maps: list[Tensor], index: Tensor, levels: Tensor, ends: Tensor) -> Tensor:
        """Of maps [H, W, A, n] the rows [M, n] of the anchors `index`, which ascend.

        levels: of each the number of its map;  ends: how many anchors the maps up to each have
        """
        rows = []
        for number, level in enumerate(maps):
            _, columns, each, _ = level.shape
            own = index[levels == number] - (ends[number - 1] if number else 0)
            place = torch.div(own, each, rounding_mode="floor")
            row = torch.div(place, columns, rounding_mode="floor")
            rows.append(level[row, place % columns, own % each])
        return in_full(torch.cat(rows))

    # --- raw numbers and truth -> loss ----------------------------------------------------------

    def loss_of(
        self, raw: Mapping[str, list[Tensor]], size: Sequence[int],
        targets: Sequence[Mapping[str, Tensor]],
    ) -> dict[str, Tensor]:
        """`classification`: focal loss of all anchors (alpha 0.25, gamma 1.5); `bbox_regression`:
        Huber loss of those that have to find something, times 50. Both a found anchor, as the
        paper's authors train it.
        """
        anchors = self.anchors([level.shape[-2:] for level in raw["class_maps"]], size)
        logits, deltas = (self._by_anchor(raw[name], numbers)  # [B, N, K], [B, N, 4]
                          for name, numbers in (("class_maps", self.num_classes), ("box_maps", 4)))
        wanted, differences, found = torch.zeros_like(logits), [], 1
        for index, truth in enumerate(targets):
            which = assign(truth["boxes"], anchors)
            finds = torch.nonzero(which >= 0)[:, 0]
            wanted[index, finds, truth["labels"][which[finds]]] = 1
            coded = encode(truth["boxes"][which[finds]], anchors[finds].to(deltas))[:, [1, 0, 3, 2]]
            told = deltas[index, finds]
            differences.append(F.huber_loss(told, coded, delta=0.1, reduction="sum"))
            found += len(finds)
        focal = sigmoid_focal_loss(logits, wanted, alpha=0.25, gamma=1.5, reduction="sum")
        return {"classification": focal / found,
                "bbox_regression": 50 * torch.stack(differences).sum() / (4 * found)}

    def _by_anchor(self, maps: Sequence[Tensor], numbers: int) -> Tensor:
        """Maps [B, A * n, H, W] of all levels -> [B, N, n], in the order of the anchors."""
        places = [level.unflatten(1, (-1, numbers)).permute(0, 3, 4, 1, 2) for level in maps]
        return torch.cat([level.flatten(1, 3) for level in places], dim=1)

    # --- surgery --------------------------------------------------------------------------------

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        """Put a fresh layer on for other classes; 0 removes it. There is no pooling to choose."""
        if global_pool:
            raise ValueError(f"global_pool is {global_pool!r}: a network for boxes pools nothing, "
                             "so leave it out.")
        owner, name = self._last_layer("reset_classifier")
        setattr(owner, name, self.last_layer(num_classes).to(**parameter_place(self)))
        self.num_classes = num_classes

    def remove_head(self) -> None:
        """Take both heads away: the pyramid's maps stay."""
        self.class_net, self.box_net, self.num_classes = nn.Identity(), nn.Identity(), 0

    def _count_scores(self, head: nn.Module | None) -> int:
        return head.out_channels // self.anchors_at_a_place if isinstance(head, nn.Conv2d) else 0


def assign(boxes: Tensor, anchors: Tensor) -> Tensor:
    """For each of the anchors [N, 4] the number of the box [M, 4] it has to find, -1 for none: [N].

    That is the box it overlaps most, by half or more (intersection over union); and each box goes
    to the anchor that overlaps it most, however little that is.
    """
    if not len(boxes):
        return torch.full((len(anchors),), -1, device=anchors.device)
    overlap = box_iou(boxes, anchors.to(boxes))  # [M, N]
    most, which = overlap.max(dim=0)
    which = torch.where(most >= 0.5, which, -1)
    best = overlap.argmax(dim=1).flip(0)  # where two boxes want one anchor, the first one has it
    which[best] = torch.arange(len(boxes), device=which.device).flip(0)
    return which


def _from_effdet(state: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    """effdet's own names, less what its training and prediction benches put around the network."""
    named = {key.removeprefix("model."): value for key, value in state.items()}
    own = ("backbone.", "fpn.", "class_net.", "box_net.")
    return {key: value for key, value in named.items() if key.startswith(own)}


KEY_MAPS = {"effdet": _from_effdet}
MODEL = EfficientDet

_TF = dict(padding="same", extra_bias=True)
_SIZES = {  # of the pyramid and the heads: table 1 of the paper
    "d0": dict(width=64, cells=3, depth=3),
    "d1": dict(width=88, cells=4, depth=3),
    "d2": dict(width=112, cells=5, depth=3),
    "d3": dict(width=160, cells=6, depth=4),
    "d4": dict(width=224, cells=7, depth=4),
}
VARIANTS: dict[str, dict[str, Any]] = {
    "efficientdet": dict(_SIZES["d0"], backbone="efficientnet_b0"),
    "efficientdet_d0": dict(_SIZES["d0"], backbone="efficientnet_b0"),
    "efficientdet_d1": dict(_SIZES["d1"], backbone="efficientnet_b1"),
    "efficientdet_d2": dict(_SIZES["d2"], backbone="efficientnet_b2"),
    "efficientdet_d3": dict(_SIZES["d3"], backbone="efficientnet_b3"),
    # effdet's has TensorFlow's pyramid over PyTorch's backbone
    "efficientdet_d4": dict(_SIZES["d4"], backbone="efficientnet_b4", **_TF),
    "tf_efficientdet_d0": dict(_SIZES["d0"], backbone="tf_efficientnet_b0", **_TF),
    "tf_efficientdet_d1": dict(_SIZES["d1"], backbone="tf_efficientnet_b1", **_TF),
    "tf_efficientdet_d2": dict(_SIZES["d2"], backbone="tf_efficientnet_b2", **_TF),
    "tf_efficientdet_d3": dict(_SIZES["d3"], backbone="tf_efficientnet_b3", **_TF),
    "tf_efficientdet_d4": dict(_SIZES["d4"], backbone="tf_efficientnet_b4", **_TF),
    "tf_efficientdet_lite0": dict(_SIZES["d0"], backbone="tf_efficientnet_lite0", act_layer="relu6",
                                  weighted=False, anchor_scale=3.0, **_TF),
}
