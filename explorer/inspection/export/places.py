"""Networks for boxes and for masks as a file has them: one frame for all photos, raw answers, how to go on.

    frame = frame_of(model, [(300, 400)])            # (256, 320): what the file's network sees
    batch, place = framed(model, photo, frame)       # a photo in it, and where
    found = read_boxes(results, told["boxes"], place)    # from the file's raw boxes to those that are shown
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from explorer.data.transforms import resolve_data_config
from explorer.inspection.detect.detecting import photo_tensor
from explorer.inspection.detect.result import LOWEST
from explorer.inspection.segment.preparing import MOST_LONG, preparation
from explorer.models.contract import VisionModel
from explorer.models.detection.candidates import Candidates, without_overlaps
from explorer.models.detection.detector import Detector
from explorer.models.detection.placing import Placement, clip
from explorer.models.segmentation.segmenter import Segmenter

SHOWN_FROM = 0.3  # the score of a box that is shown, as `explorer.detect` has it where nobody says
GREY = 114  # of 255, around a photo in a letterbox
GREY_INPUT = {"mean": (0.0,), "std": (1.0,)}


def frame_of(model: Detector | Segmenter, sizes: Sequence[tuple[int, int]] = ()) -> tuple[int, int]:
    """The (height, width) that holds what the network sees of photos of these sizes, (height, width) each; of
    none: of a photo as its weights expect it.
    """
    if (only := model.only_size) is not None:
        return only
    sizes = [*dict.fromkeys(sizes)] or [usual_size(model)]
    seen = [_seen_size(model, size) for size in sizes]
    return max(high for high, _ in seen), max(wide for _, wide in seen)


def usual_size(model: VisionModel) -> tuple[int, int]:
    height, width = resolve_data_config({}, model=model)["input_size"][1:]
    return height, width


def _seen_size(model: Detector | Segmenter, size: tuple[int, int]) -> tuple[int, int]:
    if isinstance(model, Detector):
        batch, _ = model.prepare([torch.zeros(model.in_chans, *size)])
        return batch.shape[-2], batch.shape[-1]
    prepare = preparation(model)
    grey = replace(prepare, config=prepare.config | GREY_INPUT | {"input_size": (1, *usual_size(model))})
    seen, _ = grey(Image.new("L", size[::-1]))
    return seen.shape[-2], seen.shape[-1]


def framed(
    model: Detector | Segmenter, photo: Image.Image, frame: tuple[int, int]
) -> tuple[Tensor, Placement]:
    """(what the network sees of a photo in that frame [1, C, H, W], where the photo lies in it).

    As `explorer.detect` and `explorer.segment` prepare it; smaller where the frame does not hold that.
    """
    if isinstance(model, Detector):
        batch, (place,) = model.prepare([photo_tensor(photo, model.in_chans)], frame)
        return batch, place
    prepare = preparation(model)
    seen, inside = prepare(photo)
    if seen.shape[-2] > frame[0] or seen.shape[-1] > frame[1]:
        seen, inside = replace(prepare, exactly=frame)(photo)
    seen = F.pad(seen, (0, frame[1] - seen.shape[-1], 0, frame[0] - seen.shape[-2]))
    size = photo.height, photo.width
    return seen[None], Placement(size, inside, (inside[0] / size[0], inside[1] / size[1]))


def place_preprocessing(model: Detector | Segmenter, frame: tuple[int, int]) -> dict[str, Any]:
    """How a photo becomes the input, ready for JSON: beside what `resolve_data_config` gives

    crop_mode: "whole", all of the photo in its own proportions;  input_size: (C, *frame)
    short, long: what its short side becomes, and what its long one is at most, in pixels
    made_for:  (height, width) that its weights expect: more is no use
    placing:   of a network for boxes see `Detector.placing`; "inside" where it takes one size alone; of a
               network for masks "resized", by Pillow
    around:    what is around the photo, a number a channel, as the network sees it
    """
    config = dict(resolve_data_config({}, model=model))
    sides, around, placing = config["input_size"][1:], (0.0,) * model.in_chans, "resized"
    short, long = min(sides), MOST_LONG * min(sides)
    if isinstance(model, Detector):
        placing, long = model.placing, max(sides)
        if placing == "top left":
            around = model.normalise(torch.tensor([round(255 * value) / 255 for value in config["mean"]])
                                     [:model.in_chans, None, None])[:, 0, 0].tolist()
        elif placing == "letterbox":
            grey = torch.full((model.in_chans, 1, 1), GREY / 255)
            around = model.normalise(grey)[:, 0, 0].tolist()
        elif model.only_size is not None:
            placing = "inside"
    elif model.only_size is not None:
        short = 0  # the frame alone decides
    return config | {"input_size": (model.in_chans, *frame), "crop_pct": 1.0, "crop_mode": "whole",
                     "short": short, "long": long, "made_for": tuple(sides), "placing": placing,
                     "around": tuple(around)}


def box_facts(model: Detector, frame: Sequence[int]) -> dict[str, Any]:
    """How to go on from the raw boxes, ready for JSON.

    candidates: which of them count, and how many at most, see `Detector.preselection`
    levels:     how many of the boxes, from the first, belong to each level
    lowest:     the score above which they count at all;  score_threshold: above which they are shown
    iou_threshold, most: of the boxes of one class that overlap by more the best stays, and so many in all
    cut:        where they end, see `Detector.cut`
    """
    which, most = model.preselection
    levels = model.anchor_levels(model.forward_raw(torch.zeros(1, model.in_chans, *frame)), frame)
    return {"candidates": [which, most], "levels": [len(level) for level in levels],
            "lowest": min(LOWEST, model.score_threshold), "score_threshold": SHOWN_FROM,
            "iou_threshold": model.iou_threshold, "most": model.max_boxes, "cut": model.cut}


def how_to_go_on(told: Mapping[str, Any]) -> str:
    """The same in a sentence, for whoever opens the file."""
    which, most = told["candidates"]
    best = f"the best {most} pairs of box and class {which}" if most else "of a box its best class"
    return ("The boxes are raw: left, top, right and bottom in pixels of the input, of every place that the "
            f"network answers for, with a score for each class. Keep scores above {told['lowest']:g} "
            f"({best}), and of boxes of one class that overlap by more than {told['iou_threshold']:g} "
            f"(intersection over union) the best, {told['most']} in all.")


@torch.no_grad()
def read_boxes(
    boxes: Tensor, scores: Tensor, told: Mapping[str, Any], place: Placement
) -> Candidates:
    """The boxes that are shown, in the photo's own pixels, from what a file gives for one photo.

    boxes: [N, 4] xyxy in the network's pixels;  scores: [N, K];  told: as `box_facts` has it
    """
    which, most = told["candidates"]
    if which == "of a box":
        best, label = scores.max(dim=1)
        rows, labels = torch.arange(len(boxes)), label
        order = best.argsort(descending=True, stable=True)
        rows, labels, best = rows[order], labels[order], best[order]
    else:
        parts, first = [], 0
        dim, lengths = (1, [1] * scores.shape[1]) if which == "of a class" else \
            (0, told["levels"] if which == "of a level" else [len(boxes)])
        for part in scores.split(lengths, dim=dim):
            flat, classes = part.flatten(), part.shape[1]
            found, index = flat.topk(min(most, len(flat)) if most else len(flat))
            row, label = torch.div(index, classes, rounding_mode="floor"), index % classes
            parts.append((found, row + first * (1 - dim), label + first * dim))
            first += lengths[len(parts) - 1]
        best, rows, labels = (torch.cat(column) for column in zip(*parts))
    good = best > told["lowest"]
    rows, labels, best = rows[good], labels[good], best[good]
    chosen = boxes[rows]
    if told["cut"] == "pixels":
        chosen = clip(chosen, place.inside)
    elif told["cut"] == "edge":
        chosen = clip(chosen, [side * scale for side, scale in zip(place.photo, place.scale)])
    found = Candidates(chosen, best, labels, torch.zeros_like(labels), rows)
    kept = without_overlaps(found, score_threshold=told["lowest"], iou_threshold=told["iou_threshold"],
                            limit=told["most"])
    kept = kept.take(kept.scores > told["score_threshold"])
    return replace(kept, boxes=place.out_of(kept.boxes))


__all__ = ["box_facts", "frame_of", "framed", "how_to_go_on", "place_preprocessing", "read_boxes"]
