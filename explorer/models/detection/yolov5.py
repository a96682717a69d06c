"""YOLOv5: one pass, three grids, and boxes told from the cell that a thing's middle lies in.

"You only look once": there is no second network that looks at proposals. The backbone stacks C3
blocks, which send half of the channels past the work; a pool of several sizes (SPPF) widens the
view of the coarsest map; and a pyramid goes up to fine maps and down again. Each cell of the three
grids says, for three anchors, where the box is, whether there is anything at all (objectness), and
which class it is.

Redmon et al., "You Only Look Once: Unified, Real-Time Object Detection", 2015,
https://arxiv.org/abs/1506.02640; Wang et al., "CSPNet", 2019, https://arxiv.org/abs/1911.11929;
Liu et al., "Path Aggregation Network for Instance Segmentation", 2018,
https://arxiv.org/abs/1803.01534. YOLOv5 has no paper: this is written from the published
descriptions of its releases 6 and 7 and their figures, in words of its own; names of parameters and
their counts are those of its files.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from explorer.models.config import ModelConfig
from explorer.models.contract import Stage, parameter_place
from explorer.models.detection.candidates import Candidates, log_odds
from explorer.models.detection.coding import in_full
from explorer.models.detection.detector import Detector, check_photos
from explorer.models.detection.placing import Placement, fit_inside, in_frame
from explorer.models.detection.yolo_loss import asked_of, yolo_loss
from explorer.models.layers.conv_norm_act import BatchNormAct2d

STRIDES = (8, 16, 32)
#: Width and height in pixels of the three anchors of each grid, the finest first.
ANCHORS = (((10, 13), (16, 30), (33, 23)),
           ((30, 61), (62, 45), (59, 119)),
           ((116, 90), (156, 198), (373, 326)))
PLACE = 5  # numbers of a box besides its classes: x, y, width, height, objectness


class Conv(nn.Module):
    """Convolution -> BatchNorm -> SiLU: [B, in_chans, H, W] -> [B, chans, H/stride, W/stride]."""

    def __init__(self, in_chans: int, chans: int, kernel: int = 1, stride: int = 1,
                 padding: int | None = None):
        super().__init__()
        padding = kernel // 2 if padding is None else padding
        self.conv = nn.Conv2d(in_chans, chans, kernel, stride, padding, bias=False)
        self.bn = BatchNormAct2d(chans, eps=1e-3, momentum=0.03, act_layer="silu")

    def forward(self, x: Tensor) -> Tensor:
        return self.bn(self.conv(x))


class Bottleneck(nn.Module):
    """Mix the channels, then look around: [B, C, H, W] -> the same, with a shortcut or without."""

    def __init__(self, chans: int, shortcut: bool):
        super().__init__()
        self.cv1, self.cv2 = Conv(chans, chans, 1), Conv(chans, chans, 3)
        self.shortcut = shortcut

    def forward(self, x: Tensor) -> Tensor:
        found = self.cv2(self.cv1(x))
        return x + found if self.shortcut else found


class C3(nn.Module):
    """Half of the channels through bottlenecks, half past them.

    [B, in_chans, H, W] -> [B, chans, H, W]
    """

    def __init__(self, in_chans: int, chans: int, depth: int, shortcut: bool = True):
        super().__init__()
        half = chans // 2
        self.cv1, self.cv2 = Conv(in_chans, half), Conv(in_chans, half)
        self.cv3 = Conv(2 * half, chans)
        self.m = nn.Sequential(*(Bottleneck(half, shortcut) for _ in range(depth)))

    def forward(self, x: Tensor) -> Tensor:
        return self.cv3(torch.cat((self.m(self.cv1(x)), self.cv2(x)), dim=1))


class SPPF(nn.Module):
    """A map beside its maxima over 5, 9 and 13 places: [B, in_chans, H, W] -> [B, chans, H, W].

    Pools of 5 one behind the other see 9 and 13: spatial pyramid pooling, made fast.
    """

    def __init__(self, in_chans: int, chans: int):
        super().__init__()
        half = in_chans // 2
        self.cv1, self.cv2 = Conv(in_chans, half), Conv(4 * half, chans)

    def forward(self, x: Tensor) -> Tensor:
        seen = [self.cv1(x)]
        for _ in range(3):
            seen.append(F.max_pool2d(seen[-1], 5, stride=1, padding=2))
        return self.cv2(torch.cat(seen, dim=1))


class EnlargeTo(nn.Module):
    """A map at the size of another, each place repeated: [B, C, h, w] -> [B, C, H, W]."""

    def forward(self, x: Tensor, like: Tensor) -> Tensor:
        return F.interpolate(x, size=like.shape[-2:], mode="nearest")


class Beside(nn.Module):
    """Two maps of one size, the channels of one behind those of the other."""

    def forward(self, x: Tensor, other: Tensor) -> Tensor:
        return torch.cat((x, other), dim=1)


class Answers(nn.Module):
    """The last layer of each grid: maps [B, C, H, W] -> [B, 3, H, W, 5 + num_classes]."""

    def __init__(self, chans: Sequence[int], num_classes: int):
        super().__init__()
        pixels = torch.tensor(ANCHORS, dtype=torch.float32)  # [3 grids, 3 anchors, 2]
        self.register_buffer("anchors", pixels / torch.tensor(STRIDES)[:, None, None])  # in cells
        self.m = nn.ModuleList(last_layer(width, stride, num_classes)
                               for width, stride in zip(chans, STRIDES))

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        return [layer(x).unflatten(1, (len(ANCHORS[0]), -1)).permute(0, 1, 3, 4, 2)
                for layer, x in zip(self.m, maps)]


def last_layer(in_chans: int, stride: int, num_classes: int) -> nn.Conv2d:
    """[B, in_chans, H, W] -> [B, 3 * (5 + num_classes), H, W].

    It starts from the thought that a photo of 640 pixels shows some eight things, of any class.
    """
    layer = nn.Conv2d(in_chans, len(ANCHORS[0]) * (PLACE + num_classes), 1)
    with torch.no_grad():
        start = layer.bias.view(len(ANCHORS[0]), -1)
        start[:, 4] += math.log(8 / (640 / stride) ** 2)
        start[:, PLACE:] -= math.log(max(num_classes, 2) - 1)
    return layer


class YOLOv5(Detector):
    """Photos -> boxes; `forward_raw` of a batch gives three maps [B, 3, H, W, 5 + num_classes], of
    strides 8, 16 and 32: x, y, width, height, objectness and classes, all before the sigmoid.

    width, depth: multipliers of channels and of the bottlenecks in a block
    drop_rate:    of the maps in front of the last layers
    """

    classifier_path = "model.24.m"
    body_name = ""  # none of its own: it is one network
    supports_output_stride = False
    score_threshold = 0.25
    iou_threshold = 0.45
    max_boxes = 1000
    placing, cut = "letterbox", "nowhere"
    untrained_because = (
        "YOLOv5 has no weights here: the published files can't be opened without their own code, "
        "which is AGPL-3.0, and so are they. If that licence suits you, save their state dict with "
        'that code, torch.save(model.state_dict(), "yolov5.pt"), and give '
        'checkpoint_path="yolov5.pt": the names fit. Or leave pretrained away and train it.')

    def __init__(
        self,
        *,
        width: float = 1.0,
        depth: float = 1.0,
        num_classes: int = 80,
        in_chans: int = 3,
        drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
    ):
        super().__init__()
        if drop_path_rate:
            raise ValueError("YOLOv5 has no paths to drop: leave drop_path_rate away.")
        self.num_classes, self.in_chans, self.drop_rate = num_classes, in_chans, drop_rate
        full = (64, 128, 256, 512, 1024)
        c1, c2, c3, c4, c5 = (math.ceil(chans * width / 8) * 8 for chans in full)
        d3, d6, d9 = (max(round(blocks * depth), 1) for blocks in (3, 6, 9))
        self.model = nn.Sequential(
            Conv(in_chans, c1, 6, 2, 2),                      # 0   [B, c1, H/2, W/2]
            Conv(c1, c2, 3, 2), C3(c2, c2, d3),               # 1   [B, c2, H/4, W/4]
            Conv(c2, c3, 3, 2), C3(c3, c3, d6),               # 3   [B, c3, H/8, W/8]
            Conv(c3, c4, 3, 2), C3(c4, c4, d9),               # 5   [B, c4, H/16, W/16]
            Conv(c4, c5, 3, 2), C3(c5, c5, d3), SPPF(c5, c5),  # 7   [B, c5, H/32, W/32]
            Conv(c5, c4), EnlargeTo(), Beside(), C3(2 * c4, c4, d3, False),     # 10  up to H/16
            Conv(c4, c3), EnlargeTo(), Beside(), C3(2 * c3, c3, d3, False),     # 14  up to H/8
            Conv(c3, c3, 3, 2), Beside(), C3(2 * c3, c4, d3, False),            # 18  down to H/16
            Conv(c4, c4, 3, 2), Beside(), C3(2 * c4, c5, d3, False),            # 21  down to H/32
            Answers((c3, c4, c5), num_classes),               # 24
        )
        self.num_features = c5
        shown = (("stem", 0, c1, 2), ("c2", 2, c2, 4), ("c3", 4, c3, 8), ("c4", 6, c4, 16),
                 ("c5", 9, c5, 32), ("p3", 17, c3, 8), ("p4", 20, c4, 16), ("p5", 23, c5, 32))
        self.stages = tuple(Stage(name, f"model.{place}", chans, stride)
                            for name, place, chans, stride in shown)
        self.config = ModelConfig(input_size=(in_chans, 640, 640), mean=(0.0,) * 3, std=(1.0,) * 3,
                                  num_classes=num_classes, labels=())

    @property
    def body_paths(self) -> tuple[str, ...]:
        """The layers ahead of the pyramid, 0 to 9."""
        return tuple(f"model.{index}" for index in range(10))

    # --- photos -> maps -> raw numbers of each anchor -------------------------------------------

    def prepare(
        self, images: Sequence[Tensor], frame: tuple[int, int] | None = None
    ) -> tuple[Tensor, list[Placement]]:
        """Photos [C, H, W] in 0..1 -> (a batch, where in it each photo lies): the long side as
        `config.input_size` has it, in the middle of grey, and the grey no larger than strides need.
        """
        check_photos(images, self.in_chans)
        where = parameter_place(self)
        most = self.config.input_size[1:]
        if frame is not None:
            most = tuple(map(min, zip(most, frame)))
        fitted = [fit_inside(photo.to(**where), most)[0] for photo in images]
        frame = frame or tuple(-(-max(photo.shape[side] for photo in fitted) // self.size_multiple)
                               * self.size_multiple for side in (-2, -1))
        placed = [in_frame(small, photo.shape[-2:], frame, 114 / 255)
                  for small, photo in zip(fitted, images)]
        batch = torch.stack([self.normalise(photo) for photo, _ in placed])
        return batch, [place for _, place in placed]

    def forward_stages(self, x: Tensor) -> Generator[Tensor, None, list[Tensor]]:
        layers = self.model
        shown, deep = (0, 2, 4, 6, 9), []
        for index in range(10):
            x = layers[index](x)
            if index in shown:
                yield x
                deep.append(x)  # stem, c2 ... c5
        c3, c4 = deep[2:4]
        top = layers[10](x)                                                   # [B, c4, H/32, W/32]
        middle = layers[14](layers[13](layers[12](layers[11](top, c4), c4)))  # [B, c3, H/16, W/16]
        p3 = layers[17](layers[16](layers[15](middle, c3), c3))
        yield p3                                                              # [B, c3, H/8, W/8]
        p4 = layers[20](layers[19](layers[18](p3), middle))
        yield p4                                                              # [B, c4, H/16, W/16]
        p5 = layers[23](layers[22](layers[21](p4), top))
        yield p5                                                              # [B, c5, H/32, W/32]
        return [p3, p4, p5]

    def forward_head(self, x: list[Tensor], pre_logits: bool = False) -> Any:
        """The pyramid's maps -> the raw maps of each grid; without classes the pyramid's."""
        if pre_logits or not self.num_classes:
            return x
        return self.model[24]([F.dropout(level, self.drop_rate, self.training) for level in x])

    def decode(self, raw: Sequence[Tensor]) -> Tensor:
        """Raw maps of all grids -> [B, N, 5 + num_classes]: left, top, right and bottom in the
        network's pixels, objectness and classes, 0 to 1. Grid by grid, anchor by anchor, row by
        row.
        """
        grids = []
        for level, shapes, stride in zip(raw, self.model[24].anchors, STRIDES):
            level = in_full(level)
            rows, columns = level.shape[2:4]
            y, x = torch.meshgrid(torch.arange(rows, device=level.device),
                                  torch.arange(columns, device=level.device), indexing="ij")
            cell = torch.stack((x, y), dim=-1).to(level)  # [H, W, 2]
            found = level.sigmoid()
            middle = (2 * found[..., :2] - 0.5 + cell) * stride  # up to half a cell outside its own
            wide = (2 * found[..., 2:4]) ** 2 * shapes[:, None, None].to(level)  # none to 4 anchors
            half = wide * stride / 2
            boxes = torch.cat((middle - half, middle + half, found[..., 4:]), dim=-1)
            grids.append(boxes.flatten(1, 3))
        return torch.cat(grids, dim=1)

    def anchor_levels(self, raw: Sequence[Tensor], size: Sequence[int]) -> list[Tensor]:
        """A sigmoid of one half means the anchor itself, around the middle of its cell."""
        counts = [level[0, ..., 0].numel() for level in raw]
        return [*self.decode([torch.zeros_like(level[:1]) for level in raw])[0, :, :4].split(counts)]

    @classmethod
    def matched(cls, boxes: Tensor, levels: Sequence[Tensor], size: Sequence[int]) -> Tensor:
        return torch.cat([asked_of(boxes, anchors, (size[0] // stride, size[1] // stride), stride)
                          for anchors, stride in zip(levels, STRIDES)])

    # --- raw numbers -> boxes -------------------------------------------------------------------

    @property
    def preselection(self) -> tuple[str, int]:
        return "of a box", 0

    def decoded(self, raw: Sequence[Tensor], size: Sequence[int]) -> tuple[Tensor, Tensor]:
        answers = self.decode(raw)
        return answers[..., :4], answers[..., 4:5] * answers[..., PLACE:]

    def candidates(
        self, raw: Sequence[Tensor], size: Sequence[int], places: Sequence[Placement], *,
        score_threshold: float | None = None,
    ) -> list[Candidates]:
        """One an anchor, with its best class: score = objectness times class."""
        least = self.score_threshold if score_threshold is None else score_threshold
        counts = torch.tensor([level[0, ..., 0].numel() for level in raw])
        levels = torch.arange(len(raw)).repeat_interleave(counts).to(raw[0].device)
        found = []
        for answers in self.decode(raw):
            scores, labels = answers[:, PLACE:].max(dim=1)
            scores = scores * answers[:, 4]
            index = torch.nonzero(scores > least)[:, 0]
            index = index[scores[index].argsort(descending=True, stable=True)]
            found.append(Candidates(answers[index, :4], scores[index], labels[index], levels[index],
                                    index))
        return found

    def log_odds(self, raw: Sequence[Tensor], found: Candidates) -> Tensor:
        answers = torch.cat([in_full(level).flatten(1, 3) for level in raw], dim=1)  # [B, N, 5 + K]
        there, kind = (answers[:, found.anchors, which] for which in (4, PLACE + found.labels))
        return log_odds(F.logsigmoid(there) + F.logsigmoid(kind))  # of objectness times class

    # --- raw numbers and truth -> loss ----------------------------------------------------------

    def loss_of(
        self, raw: Sequence[Tensor], size: Sequence[int], targets: Sequence[Mapping[str, Tensor]]
    ) -> dict[str, Tensor]:
        return yolo_loss(raw, self.model[24].anchors, STRIDES, targets)

    # --- surgery --------------------------------------------------------------------------------

    def get_classifier(self) -> nn.Module:
        return self.model[24].m

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        """Put fresh layers on for other classes, which keep what they know of boxes and of whether
        there is anything; 0 leaves just that. There is no pooling to choose.
        """
        if global_pool:
            raise ValueError(f"global_pool is {global_pool!r}: a network for boxes pools nothing, "
                             "so leave it out.")
        for index, (old, stride) in enumerate(zip(self.model[24].m, STRIDES)):
            fresh = last_layer(old.in_channels, stride, num_classes).to(**parameter_place(self))
            with torch.no_grad():
                for new, known in ((fresh.weight, old.weight), (fresh.bias, old.bias)):
                    kept = known.unflatten(0, (len(ANCHORS[0]), -1))[:, :PLACE]
                    new.unflatten(0, (len(ANCHORS[0]), -1))[:, :PLACE] = kept
            self.model[24].m[index] = fresh
        self.num_classes = num_classes

    def remove_head(self) -> None:
        """Take the last layers away: the pyramid's maps stay."""
        self.model[24], self.num_classes = nn.Identity(), 0

    def _count_scores(self, head: nn.Module | None) -> int:
        if not isinstance(head, nn.ModuleList):
            return 0
        return head[0].out_channels // len(ANCHORS[0]) - PLACE

    def adapt_state_dict(self, state: dict[str, Tensor], report: Any) -> dict[str, Tensor]:
        """Trained last layers of other classes -> what they know of boxes, where this model has no
        classes yet.
        """
        state = dict(state)
        for name, own in self.state_dict().items():
            given = state.get(name)
            if name.startswith("model.24.m.") and given is not None and given.shape != own.shape:
                rows = len(ANCHORS[0])
                if len(own) == rows * PLACE and not len(given) % rows:
                    state[name] = given.unflatten(0, (rows, -1))[:, :PLACE].flatten(0, 1)
        return state


KEY_MAPS = {"yolov5": lambda state, name: state}
MODEL = YOLOv5
VARIANTS = {
    "yolov5n": dict(width=0.25, depth=0.33),
    "yolov5s": dict(width=0.5, depth=0.33),
    "yolov5m": dict(width=0.75, depth=0.67),
    "yolov5l": dict(width=1.0, depth=1.0),
    "yolov5x": dict(width=1.25, depth=1.33),
}
