"""One photo, one pass, boxes: in the photo's own pixels, with names and scores.

    found = detect("retinanet_resnet50_fpn", "street.jpg")     # Detections, which show themselves
    found.boxes, found.labels, found.scores
    found.at(score_threshold=0.6)                              # another threshold, without a second pass
    detect(model, "photos/").to_csv("boxes.csv")               # a folder: a table
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from explorer.arguments import checked, number
from explorer.data.bands import BandsToTensor
from explorer.data.images import load_image
from explorer.inspection.detect.result import LOWEST, Detections
from explorer.inspection.detect.table import DetectionRow, DetectionTable
from explorer.inspection.look.many import asked_one_by_one, is_one, named_photos
from explorer.inspection.look.model import as_finder, evaluating, model_name, weight_notes
from explorer.inspection.look.table import ROWS_SHOWN
from explorer.models.contract import Stage, VisionModel, parameter_place
from explorer.models.detection.candidates import Candidates, joined
from explorer.models.detection.detector import Detector
from explorer.models.detection.placing import Placement
from explorer.models.surgery.optimized import tensors_in

MOST_MASKS = 100  # of one photo: each takes about as long as a small network
BROKEN = ("The model's scores are no numbers (NaN), so its boxes mean nothing: its weights are broken, or "
          "too large for their precision.")
AHEAD = 4  # photos that are opened while the network looks at another


@checked(score_threshold=number(0, 1), iou_threshold=number(0, 1))
def detect(
    model: VisionModel | str, image: Any, *, score_threshold: float = 0.3, iou_threshold: float | None = None
) -> Detections | DetectionTable:
    """Find things in one photo, or in many.

    model: a detector of `create_model`, or a name, created with its trained weights
    image: anything `load_image` takes -> `Detections`; a list (or another iterable) of these, or a folder ->
           `DetectionTable`. A folder is searched with its subfolders for picture files, in natural order; a
           picture that can't be opened becomes a row that says why
    score_threshold: only boxes with a better score, 0 to 1
    iou_threshold:   of two boxes of one class that overlap by more (intersection over union, 0 to 1) the
                     better stays; None: as the network's authors have it

    The network runs once a photo, photo by photo, so that what it finds does not depend on their company. All
    candidates above a score of 0.02 are kept: `Detections.at` chooses among them anew without a pass.
    Raises TypeError for a model that finds no boxes, ImageError for what is no picture, WeightsError where
    weights can't be had.
    """
    if score_threshold is None:
        raise TypeError("score_threshold is None: expected a number from 0 to 1.")
    model = as_detector(model)
    iou_threshold = model.iou_threshold if iou_threshold is None else iou_threshold
    thresholds: dict[str, Any] = {"score_threshold": float(score_threshold),
                                  "iou_threshold": float(iou_threshold)}
    if is_one(image):
        return detect_in(model, load_image(image, channels=model.in_chans), **thresholds)[1]
    table = DetectionTable(model_name(model), names=names_of(model), notes=notes_on(model))
    named, _, table.ignored = named_photos(image)
    for name, found, error in asked_one_by_one(
            lambda photo: detect_in(model, photo, **thresholds)[1], named, channels=model.in_chans,
            ahead=AHEAD):
        if found is None:
            table.rows.append(DetectionRow(name, None, error))
            continue
        picture = found.thumbnail() if len(table) < ROWS_SHOWN else ""
        table.rows.append(DetectionRow(name, found.without_photo(), thumbnail=picture))
    return table


def detect_in(
    model: Detector, photo: Image.Image, *, score_threshold: float, iou_threshold: float,
    after: Callable[[Stage, Tensor], Any] | None = None,
) -> tuple[Tensor, Detections]:
    """(what the network saw [C, H, W], what it found) of one photo.

    after: called with each stage and its map on the way, see `Detector.see`
    """
    started = time.perf_counter()
    with evaluating(model), torch.no_grad():
        batch, places = model.prepare([photo_tensor(photo, model.in_chans)])
        prepared = time.perf_counter()
        raw = model.see(batch, places, after)
        found = read_off(model, photo, raw, batch, places, score_threshold=score_threshold,
                         iou_threshold=iou_threshold)
        finished = time.perf_counter()
    timing = {"preprocess": prepared - started, "forward": finished - prepared,
              "device": str(parameter_place(model)["device"])}
    return batch[0], replace(found, timing=timing)


@torch.no_grad()
def read_off(
    model: Detector, photo: Image.Image, raw: Any, batch: Tensor, places: Sequence[Placement], *,
    score_threshold: float, iou_threshold: float,
) -> Detections:
    """What a photo's raw maps say: what `model.see` gave for the batch [1, C, H, W] that it is."""
    broken = any(bool(part.isnan().any()) for part in tensors_in(raw))
    lowest = min(LOWEST, model.score_threshold, score_threshold)
    frame = (batch.shape[-2], batch.shape[-1])
    found = model.candidates(raw, frame, places, score_threshold=lowest)[0]
    levels = tuple(level.cpu() for level in model.anchor_levels(raw, frame))
    if model.has_masks:
        found = model.with_masks(raw, [worth_a_mask(model, found)], places)[0]
    return Detections(
        model_name=model_name(model), image=photo, size=photo.size, candidates=found.on_cpu(),
        place=places[0], names=names_of(model), score_threshold=score_threshold,
        iou_threshold=iou_threshold, lowest=lowest, limit=model.max_boxes, kind=type(model),
        frame=frame, levels=levels, notes=((BROKEN,) if broken else ()) + notes_on(model),
    )


def worth_a_mask(model: Detector, found: Candidates) -> Candidates:
    """Those that get a mask: all that the network's own thresholds keep, and the best of the others up to
    `MOST_MASKS`.
    """
    kept = model.select(found, score_threshold=0.0, iou_threshold=model.iou_threshold, limit=MOST_MASKS)
    several = int(found.labels.max()) + 1 if len(found) else 1  # a candidate is one of a row and a class
    others = ~torch.isin(found.anchors * several + found.labels, kept.anchors * several + kept.labels)
    rest = found.take(others)
    return joined([kept, rest.take(rest.scores.argsort(descending=True)[:MOST_MASKS - len(kept)])])


def photo_tensor(photo: Image.Image, channels: int = 3) -> Tensor:
    """A photo [C, H, W] in 0..1; of other than one or three channels a picture's bands, as they are.

    Raises ImageError for a picture that has no such bands.
    """
    if channels not in (1, 3):
        return BandsToTensor(channels)(photo)
    pixels = np.asarray(photo.convert("L" if channels == 1 else "RGB"))
    pixels = pixels[:, :, None] if pixels.ndim == 2 else pixels
    return torch.from_numpy(pixels.transpose(2, 0, 1).astype(np.float32)) / 255


def as_detector(model: VisionModel | str) -> Detector:
    """The detector itself, seen through torch's wrappers, or a new one with trained weights by its name.

    Raises TypeError, with what to do, for a model of another task, or no model, ValueError for one that can
    find none.
    """
    opened = as_finder(model, Detector, "explorer.detect takes as its model a network that finds boxes, such "
                                        "as retinanet_resnet50_fpn")
    opened.check_head()
    return opened


def names_of(model: Detector) -> tuple[str, ...]:
    """One name for each class; "class 3" where nobody said."""
    labels = model.config.labels or ()
    return tuple(labels[index] if index < len(labels) else f"class {index}"
                 for index in range(model.num_classes))


def notes_on(model: Detector) -> tuple[str, ...]:
    """What a reader of the boxes must know about the weights."""
    return weight_notes(model, "boxes")
