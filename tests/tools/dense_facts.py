"""What is published of networks for boxes and masks, in the words of `ModelConfig`: `build_weights_table.py`
puts it into the table. Facts of the libraries that publish them; a name without weights says what photos it is
made for.
"""

from __future__ import annotations

from typing import Any

import torch

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
#: name -> tag -> the facts of these weights, the default first.
PUBLISHED: dict[str, dict[str, dict[str, Any]]] = {}


def dense_entry(name: str) -> dict[str, Any]:
    """Parameters, common facts and tags of a network for boxes or masks."""
    common, tags = MADE_FOR[FAMILY_OF[name].task], PUBLISHED.get(name, {})
    if tags:
        common = {key: value for key, value in common.items() if key != "has_weights"}
    with torch.device("meta"):
        model = create_model(name, num_classes=common["num_classes"])
    return {"params": sum(p.numel() for p in model.parameters()), "common": common,
            "tags": tags or {"untrained": {}}}
