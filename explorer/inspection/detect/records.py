"""Detections as COCO writes them: images, annotations and categories."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

NO_CLASS = ("background", "N/A")  # gaps in COCO's own numbering


def coco_record(photos: Iterable[tuple[str, Any]], names: Sequence[str]) -> dict[str, Any]:
    """{"images", "annotations", "categories"} of (file name, the `Detections` in it).

    A category's id is the class's index, which are COCO's own for networks that were trained on it.
    """
    images, annotations = [], []
    for image_id, (file_name, found) in enumerate(photos, start=1):
        width, height = found.size
        images.append({"id": image_id, "file_name": file_name, "width": width, "height": height})
        masks = found.masks
        rows = zip(found.boxes.tolist(), found.indices.tolist(), found.scores.tolist())
        for position, ((left, top, right, bottom), index, score) in enumerate(rows):
            wide, high = right - left, bottom - top
            told = {"id": len(annotations) + 1, "image_id": image_id, "category_id": index,
                    "bbox": [left, top, wide, high], "area": wide * high, "iscrowd": 0, "score": score}
            if masks is not None:
                mask = masks[position].numpy()
                told |= {"segmentation": run_lengths(mask), "area": int(mask.sum())}
            annotations.append(told)
    categories = [{"id": index, "name": name} for index, name in enumerate(names) if name not in NO_CLASS]
    return {"images": images, "annotations": annotations, "categories": categories}


def run_lengths(mask: np.ndarray) -> dict[str, Any]:
    """A mask [H, W] of yes and no as COCO's uncompressed run lengths: column by column, beginning with no."""
    flat = np.concatenate(([False], mask.astype(bool).ravel(order="F")))
    changes = np.flatnonzero(flat[1:] != flat[:-1])
    runs = np.diff(np.concatenate(([0], changes, [mask.size])))
    return {"size": [int(side) for side in mask.shape], "counts": runs.tolist()}
