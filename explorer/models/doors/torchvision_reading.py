"""What torchvision's detectors read: their backbones' stages, the levels, the scores in the raw maps."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models import detection

from explorer.models.contract import Stage
from explorer.models.detection.candidates import log_odds
from explorer.models.doors.first_run import Watched, record
from explorer.models.doors.stages import find_stages


def levels_read(module: nn.Module, stages: Sequence[Stage]) -> tuple[str, ...]:
    """The names of the stages that its levels are, from the finest, "" for one that is none; () of those
    whose levels are p3 and so on.
    """
    if isinstance(module, detection.ssd.SSD):  # which reads some of the backbone's, and all behind
        return tuple(stage.name for stage in stages
                     if re.fullmatch(r"features(\.[01])?|extra\.\d", stage.name))
    if not isinstance(module, detection.FasterRCNN):
        return ()
    names = {stage.module: stage.name for stage in stages}
    read = module.roi_heads.box_roi_pool.featmap_names
    return tuple(names.get(f"backbone.fpn.layer_blocks.{name}", "") for name in read)


def log_odds_of(module: nn.Module, raw: Mapping[str, Any], anchors: Tensor, columns: Tensor) -> Tensor:
    """`Detector.log_odds` [B, M] of rows [M] of the raw maps and the module's own numbers of classes [M]."""
    in_two = isinstance(module, detection.FasterRCNN)
    logits = raw["class_logits" if in_two else "cls_logits"]
    if in_two:  # the rows of all photos, one behind the other
        logits = logits.unflatten(0, (len(raw["proposals"]), -1))
    logits = logits[:, anchors]  # [B, M, K]
    own = F.one_hot(columns, logits.shape[-1]).bool()  # [M, K]
    asked = logits[:, own]
    if in_two or isinstance(module, detection.ssd.SSD):  # a softmax: against all others
        return asked - logits.masked_fill(own, -torch.inf).logsumexp(-1)
    if "bbox_ctrness" not in raw:
        return asked
    middle = raw["bbox_ctrness"][:, anchors, 0]
    return log_odds((F.logsigmoid(asked) + F.logsigmoid(middle)) / 2)


def stages_of(backbone: nn.Module, in_chans: int) -> tuple[Stage, ...]:
    """The stages of the backbone, and the levels of its pyramid in the order in which they are made."""
    side = 256 if hasattr(backbone, "fpn") else 320  # a small photo that it takes, to see its maps once
    calls, _, _ = record(backbone, (in_chans, side, side))
    below = [call for call in calls if not call.path.startswith("fpn.")]
    own, _ = find_stages(Watched(below, (in_chans, side, side), 0))
    stages = [replace(stage, module=f"backbone.{stage.module}") for stage in own]
    for call in calls:
        if re.fullmatch(r"fpn\.(layer_blocks\.\d+|extra_blocks\.p\d)", call.path):
            channels, rows, _ = call.shape_out
            name = f"p{(side // rows).bit_length() - 1}"  # of stride 8 it is p3
            name += "_fine" if name == stages[-1].name else ""  # MobileNet's has two of one size
            stages.append(Stage(name, f"backbone.{call.path}", channels, side // rows))
    return tuple(stages)
