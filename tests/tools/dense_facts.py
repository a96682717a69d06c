"""What is published of networks for boxes and masks, in the words of `ModelConfig`: `build_weights_table.py`
puts it into the table. Facts of the libraries that publish them; a name without weights says what photos it
is made for.
"""

from __future__ import annotations

from typing import Any

import torch
from torchvision import models

from explorer.models.catalog import FAMILY_OF
from explorer.models.create import create_model

#: The 20 classes of Pascal VOC, and what is none of them.
VOC = ("background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow",
       "dining table", "dog", "horse", "motorbike", "person", "potted plant", "sheep", "sofa", "train",
       "tv monitor")
#: What a name without weights is made for, by task.
MADE_FOR: dict[str, dict[str, Any]] = {
    "segmentation": {"input_size": (3, 256, 256), "crop_pct": 1.0, "num_classes": len(VOC), "labels": VOC,
                     "has_weights": False},
}


def torchvision_masks(name: str) -> dict[str, dict[str, Any]]:
    """What torchvision says of the weights of a network for masks: whole photos, 520 pixels high or wide."""
    (entry,) = models.get_model_weights(name)
    assert [label.replace(" ", "") for label in VOC[1:]] == entry.meta["categories"][1:], name
    preset, measured = entry.transforms(), entry.meta["_metrics"]["COCO-val2017-VOC-labels"]
    return {"coco_voc_labels": {
        "input_size": (3, *preset.resize_size * 2), "mean": tuple(preset.mean), "std": tuple(preset.std),
        "interpolation": preset.interpolation.value, "url": entry.url,
        "origin_url": "https://github.com/pytorch/vision", "license": "bsd-3-clause",
        "metrics": (("mIoU", measured["miou"]), ("pixel accuracy", measured["pixel_acc"])),
    }}


#: name -> tag -> the facts of these weights, the default first.
PUBLISHED: dict[str, dict[str, dict[str, Any]]] = {
    name: torchvision_masks(name) for name in (
        "deeplabv3_resnet50", "deeplabv3_resnet101", "deeplabv3_mobilenet_v3_large", "fcn_resnet50",
        "fcn_resnet101", "lraspp_mobilenet_v3_large")
}


def dense_entry(name: str) -> dict[str, Any]:
    """Parameters, common facts and tags of a network for boxes or masks."""
    common, tags = MADE_FOR[FAMILY_OF[name].task], PUBLISHED.get(name, {})
    if tags:
        common = {key: value for key, value in common.items() if key != "has_weights"}
    with torch.device("meta"):
        model = create_model(name, num_classes=common["num_classes"])
    return {"params": sum(p.numel() for p in model.parameters()), "common": common,
            "tags": tags or {"untrained": {}}}
