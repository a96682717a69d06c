"""One photo, one pass, a mask: what every pixel is a part of, in the photo's own frame.

    found = segment("deeplabv3_resnet50", "street.jpg")     # a Segmentation, which shows itself
    found.mask, found.labels, found.shares
    found.probabilities("person")                           # [H, W], 0 to 1
    segment(model, "photos/").save("masks/")                # a folder: masks as PNG files beside a table
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from explorer.arguments import checked
from explorer.data.images import load_image
from explorer.display import draw
from explorer.inspection.look.many import asked_one_by_one, is_one, named_photos
from explorer.inspection.look.model import as_finder, evaluating, model_name, weight_notes
from explorer.inspection.look.table import ROWS_SHOWN
from explorer.inspection.segment.enlarging import mask_of
from explorer.inspection.segment.preparing import Preparation, preparation
from explorer.inspection.segment.result import Segmentation
from explorer.inspection.segment.table import SegmentationRow, SegmentationTable
from explorer.models.contract import Stage, VisionModel, parameter_place
from explorer.models.segmentation.segmenter import Segmenter
from explorer.models.watching import walk

AHEAD = 2  # photos that are opened while the network looks at another


@checked
def segment(model: VisionModel | str, image: Any) -> Segmentation | SegmentationTable:
    """Say of every pixel of a photo, or of many, what it is a part of.

    model: a network for masks of `create_model`, or a name, created with its trained weights
    image: anything `load_image` takes -> `Segmentation`; a list (or another iterable) of these, or a folder
           -> `SegmentationTable`. A folder is searched with its subfolders for picture files, in natural
           order; a picture that can't be opened becomes a row that says why

    The network sees the whole photo in its proportions, its short side as the weights expect it, and runs
    once a photo. Its scores are enlarged to the photo band by band, so that a large photo needs little
    memory.
    Raises TypeError for a model that finds no masks, ImageError for what is no picture, WeightsError where
    weights can't be had, ValueError for a model without a last layer.
    """
    model = as_segmenter(model)
    prepare = preparation(model)
    if is_one(image):
        return segment_in(model, load_image(image, channels=model.in_chans), prepare)[1]
    table = SegmentationTable(model_name(model), labels=names_of(model), notes=notes_on(model))
    named, _, table.ignored = named_photos(image)
    for name, found, error in asked_one_by_one(
            lambda photo: segment_in(model, photo, prepare)[1], named, channels=model.in_chans, ahead=AHEAD):
        if found is None:
            table.rows.append(SegmentationRow(name, None, error))
            continue
        small = draw.thumbnail(found.overlay(), 96) if len(table) < ROWS_SHOWN else None
        uri = "" if small is None else draw.data_uri(small, format="JPEG")
        table.rows.append(SegmentationRow(name, found.without_photo(), thumbnail=uri))
    return table


def segment_in(
    model: Segmenter, photo: Image.Image, prepare: Preparation,
    after: Callable[[Stage, Tensor], Any] | None = None,
) -> tuple[Tensor, Segmentation]:
    """(what the network saw [C, H, W], what it found) of one photo.

    after: called with each stage and its map on the way, ahead of the next layer, which may work in place
    """
    started = time.perf_counter()
    seen, (height, width) = prepare(photo)
    prepared = time.perf_counter()
    with evaluating(model), torch.inference_mode():
        features = walk(model, seen[None].to(**parameter_place(model)), after=after)
        raw = model.enlarge(model.forward_head(features), seen.shape[-2:])
        finished = time.perf_counter()
        scores = two_classes(raw[0, :, :height, :width].float().cpu())
        mask = mask_of(scores, (photo.height, photo.width))
    timing = {"preprocess": prepared - started, "forward": finished - prepared,
              "device": str(parameter_place(model)["device"])}
    return seen, Segmentation(
        model_name=model_name(model), image=photo, size=photo.size, mask=mask.clone(), labels=names_of(model),
        scores=scores.clone(), timing=timing, notes=notes_on(model, scores),
    )


def two_classes(scores: Tensor) -> Tensor:
    """[K, h, w] as it is; one score alone, a yes or no, beside the zero that it is measured by: [2, h, w]."""
    return torch.cat((torch.zeros_like(scores), scores)) if len(scores) == 1 else scores


def as_segmenter(model: VisionModel | str) -> Segmenter:
    """The network for masks itself, seen through torch's wrappers, or a new one with trained weights by name.

    Raises TypeError, with what to do, for a model of another task or no model, ValueError for one that can
    give no mask.
    """
    opened = as_finder(model, Segmenter, "explorer.segment takes a network that finds masks, such as "
                                         "deeplabv3_resnet50 or unet_resnet34")
    if not opened.num_classes:
        raise ValueError("This model has no last layer (num_classes=0), so it gives no mask: give it one "
                         "with model.reset_classifier(num_classes).")
    return opened


def names_of(model: Segmenter) -> tuple[str, ...]:
    """One name for each class of the mask; "class 3" where nobody said."""
    labels = model.config.labels or ()
    if model.num_classes == 1 and len(labels) < 2:
        return "background", labels[0] if labels else "class 1"
    return tuple(labels[index] if index < len(labels) else f"class {index}"
                 for index in range(max(model.num_classes, 2)))


def notes_on(model: Segmenter, scores: Tensor | None = None) -> tuple[str, ...]:
    """What a reader of the mask must know about the weights, and about scores that are no numbers."""
    notes = [*weight_notes(model, "masks")]
    if scores is not None and not torch.isfinite(scores).all():
        notes.insert(0, "The model's scores are no numbers (NaN or infinite), so its mask means nothing: its "
                        "weights are broken, or too large for their precision.")
    return tuple(notes)
