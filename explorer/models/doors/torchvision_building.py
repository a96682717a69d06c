"""Building torchvision's detectors, with its weights, class names and preprocessing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torchvision import models

from explorer.models.catalog.detection import BEHIND_TORCHVISION
from explorer.models.config import ModelConfig
from explorer.models.detection.frozen import freeze_norms
from explorer.models.doors.given import with_classes
from explorer.models.doors.torchvision_detectors import TorchvisionDetector
from explorer.models.weights.choosing import usual_table
from explorer.models.weights.downloading import download_url
from explorer.models.weights.report import LoadReport

#: Names of COCO's classes as torchvision counts them, 0 being "background".
COCO_CLASSES = 91
#: Torchvision's detectors that there are, behind the door: its own RetinaNets too.
DETECTORS = (*BEHIND_TORCHVISION, "retinanet_resnet50_fpn", "retinanet_resnet50_fpn_v2")
#: Those whose published weights were trained with BatchNorm that neither learns nor counts -> its epsilon.
FROZEN = {"retinanet_resnet50_fpn": 0.0, "fasterrcnn_resnet50_fpn": 0.0, "maskrcnn_resnet50_fpn": 0.0,
          "fcos_resnet50_fpn": 1e-5, "fasterrcnn_mobilenet_v3_large_fpn": 1e-5,
          "fasterrcnn_mobilenet_v3_large_320_fpn": 1e-5}


def detector_builder(architecture: str, *, frozen: bool = False) -> Callable[..., nn.Module]:
    """What builds torchvision's module with random numbers, for so many classes as it counts them itself.

    frozen: its BatchNorm layers as the published weights have them
    """
    def build(num_classes: int = COCO_CLASSES) -> nn.Module:
        module = models.get_model(architecture, weights=None, weights_backbone=None, num_classes=num_classes)
        if frozen and architecture in FROZEN:
            freeze_norms(module.backbone, FROZEN[architecture])
        return module

    return build


def create_detector(
    architecture: str, entry: Any, pretrained: bool, *, num_classes: int | None, in_chans: int,
    cache_dir: str | None = None, size: tuple[int, int] | None = None,
) -> TorchvisionDetector:
    """A detector of torchvision's.

    entry:       torchvision's own entry of a set of weights, which `pretrained` loads
    num_classes: kinds of things; None: the 91 of COCO, as torchvision counts them
    size:        (height, width) that photos are prepared for, where not the usual
    Raises ValueError for what it can't be built with, WeightsError where weights can't be had.
    """
    if in_chans != 3:
        raise ValueError(f"torchvision's {architecture} reads photos of 3 channels: leave in_chans out.")
    build = detector_builder(architecture, frozen=pretrained)
    with torch.random.fork_rng(devices=[], enabled=pretrained):
        module = build()
    config = _config(architecture, entry, module, size)
    report = None
    if pretrained:
        state = usual_table(download_url(entry.url, cache_dir)).state
        module.load_state_dict(state, strict=True)  # its parts know the names they had in former versions
        report = LoadReport(f"torchvision's {entry}", name=config.name, loaded=len(state))
    model = TorchvisionDetector(module, build, COCO_CLASSES, config)
    model.load_report = report
    return with_classes(model, num_classes)


def _config(architecture: str, entry: Any, module: nn.Module, size: tuple[int, int] | None) -> ModelConfig:
    transform, labels = module.transform, ("background", *entry.meta["categories"][1:])
    fixed = transform.fixed_size
    if size is not None and fixed is not None:
        raise ValueError(f"torchvision's {architecture} is built for photos of {fixed[1]} x {fixed[0]} "
                         "pixels, and makes every photo that size: leave img_size out.")
    usual = (fixed[1], fixed[0]) if fixed else (transform.min_size[0], transform.max_size)
    metrics = entry.meta["_metrics"]["COCO-val2017"]
    told = {"box AP": metrics.get("box_map"), "mask AP": metrics.get("mask_map")}
    return ModelConfig(
        architecture=f"torchvision/{architecture}", tag=entry.name, url=entry.url, license="bsd-3-clause",
        input_size=(3, *(size or usual)), crop_pct=1.0, mean=tuple(transform.image_mean),
        std=tuple(transform.image_std), num_classes=len(labels), labels=labels, 
        metrics=tuple((what, value) for what, value in told.items() if value is not None),
    )
