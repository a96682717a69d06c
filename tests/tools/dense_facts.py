"""What is published of networks for boxes and masks, in the words of `ModelConfig`: `build_weights_table.py`
puts it into the table. Facts of the libraries that publish them; a name without weights says what photos it
is made for.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from effdet import get_efficientdet_config
from torchvision import models

from explorer.models import weights
from explorer.models.catalog import FAMILY_OF
from explorer.models.create import create_model

#: The 20 classes of Pascal VOC, and what is none of them.
VOC = ("background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow",
       "dining table", "dog", "horse", "motorbike", "person", "potted plant", "sheep", "sofa", "train",
       "tv monitor")
#: The 80 classes of COCO as it numbers them, from 1, with gaps.
COCO = ("background", *models.get_weight("RetinaNet_ResNet50_FPN_Weights.COCO_V1").meta["categories"][1:])
#: What torchvision's weights need beyond the name: the network was trained with BatchNorm that neither learns
#: nor counts, that of the first ones without an epsilon.
NEEDED: dict[str, tuple[tuple[str, Any], ...]] = {
    "retinanet_resnet50_fpn": (("frozen_norm", True), ("norm_eps", 0.0)),
}


def torchvision_tags(name: str) -> dict[str, dict[str, Any]]:
    """What torchvision says of its detectors' weights."""
    (entry,) = models.get_model_weights(name)
    assert entry.meta["categories"][1:] == [*COCO[1:]], name
    facts = {"url": entry.url, "origin_url": "https://github.com/pytorch/vision", "license": "bsd-3-clause",
             "metrics": (("box AP", entry.meta["_metrics"]["COCO-val2017"]["box_map"]),)}
    return {"tv_coco": facts | ({"build_options": NEEDED[name]} if name in NEEDED else {})}


#: Box AP on COCO val2017 of EfficientDet's published weights, as effdet measures them.
EFFDET_AP = {"efficientdet_d0": 33.6, "efficientdet_d1": 39.4, "tf_efficientdet_d0": 34.2,
             "tf_efficientdet_d1": 40.1, "tf_efficientdet_d2": 43.4, "tf_efficientdet_d3": 47.1,
             "tf_efficientdet_d4": 49.2, "tf_efficientdet_lite0": 27.1}
EFFDET = ("efficientdet_d0", "efficientdet_d1", "efficientdet_d2", "efficientdet_d3", "efficientdet_d4",
          "tf_efficientdet_d0", "tf_efficientdet_d1", "tf_efficientdet_d2", "tf_efficientdet_d3",
          "tf_efficientdet_d4", "tf_efficientdet_lite0")


def effdet_common(name: str) -> dict[str, Any]:
    """What photos effdet prepares for a name. Its classes are COCO's without a background."""
    config = get_efficientdet_config(name)
    colours = {key: tuple(config[key]) for key in ("mean", "std") if config.get(key) is not None}
    return {"input_size": (3, *config.image_size), "num_classes": len(COCO) - 1, "labels": COCO[1:],
            "first_conv": "backbone.conv_stem", "classifier": "class_net.predict.conv_pw", **colours}


def effdet_tags(name: str) -> dict[str, dict[str, Any]]:
    """effdet's weights of a name, those of the paper's authors where it begins with tf_."""
    return {"effdet_coco": {
        "url": get_efficientdet_config(name).url, "license": "apache-2.0",
        "origin_url": "https://github.com/rwightman/efficientdet-pytorch",
        "metrics": (("box AP", EFFDET_AP[name]),)}}


#: What a name without weights is made for, by task.
MADE_FOR: dict[str, dict[str, Any]] = {
    "segmentation": {"input_size": (3, 256, 256), "crop_pct": 1.0, "num_classes": len(VOC), "labels": VOC,
                     "has_weights": False},
    "detection": {"input_size": (3, 800, 1333), "crop_pct": 1.0, "num_classes": len(COCO), "labels": COCO,
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


#: What comes along with explorer, and the facts that `teach_shipped.py` has written beside it.
SHIPPED = Path(weights.__file__).parent / "shipped"


def shipped_tags(name: str) -> dict[str, dict[str, Any]]:
    """The weights of a name that come along with explorer."""
    found = {}
    for file in sorted(SHIPPED.glob(f"{name}.*.json")):
        told = json.loads(file.read_text(encoding="utf-8"))
        data = told["data"]
        found[told["name"].partition(".")[2]] = {
            "input_size": told["input_size"], "mean": told["mean"], "std": told["std"],
            "interpolation": told["interpolation"], "num_classes": len(told["labels"]),
            "labels": told["labels"], "license": "apache-2.0",
            "metrics": told["scores on the held-out photos, %"],
            "notes": f"They find {told['finds']}. They come along with explorer, which taught them on "
                     f"{data['to learn from']} photos in {round(told['cpu seconds'] / 60)} minutes of one "
                     f"CPU thread, and measured them on {data['held out']} others. The photos: "
                     f"{data['source']}, {data['licence']}.",
        }
    return found


#: name -> tag -> the facts of these weights, the default first.
PUBLISHED: dict[str, dict[str, dict[str, Any]]] = {
    **{name: torchvision_tags(name) for name in ("retinanet_resnet50_fpn", "retinanet_resnet50_fpn_v2")},
    **{name: effdet_tags(name) for name in EFFDET_AP},
    **{name: torchvision_masks(name) for name in (
        "deeplabv3_resnet50", "deeplabv3_resnet101", "deeplabv3_mobilenet_v3_large", "fcn_resnet50",
        "fcn_resnet101", "lraspp_mobilenet_v3_large")},
    **{name: shipped_tags(name) for name in ("unet_lite0", "retinanet_lite0")},
}
#: YOLO's classes are COCO's without gaps, its photos are grey where there is no picture, and not normalised.
YOLO = {"input_size": (3, 640, 640), "num_classes": 80,
        "labels": tuple(name for name in COCO[1:] if name != "N/A"),
        "mean": (0.0,) * 3, "std": (1.0,) * 3, "first_conv": "model.0.conv", "classifier": "model.24.m"}
#: What a name is made for beyond its task: any backbone may stand under it, and photos may be smaller.
OWN = {
    "retinanet": {"input_size": (3, 640, 640)},
    "efficientdet": effdet_common("efficientdet_d0"),
    **{name: effdet_common(name) for name in EFFDET},
    **{f"yolov5{size}": YOLO for size in "nsmlx"},
}


def dense_entry(name: str) -> dict[str, Any]:
    """Parameters, common facts and tags of a network for boxes or masks."""
    common, tags = MADE_FOR[FAMILY_OF[name].task] | OWN.get(name, {}), PUBLISHED.get(name, {})
    if tags:
        common = {key: value for key, value in common.items() if key != "has_weights"}
    classes = (common | next(iter(tags.values()), {}))["num_classes"]  # those of the default weights
    with torch.device("meta"):
        model = create_model(name, num_classes=classes)
    return {"params": sum(p.numel() for p in model.parameters()), "common": common,
            "tags": tags or {"untrained": {}}}
