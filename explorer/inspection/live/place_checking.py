"""Does a page with boxes or masks say what torch says? Asked with every photo that is in it."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torchvision.ops import box_iou

from explorer.display.words import counted
from explorer.inspection.detect.detecting import detect
from explorer.inspection.export.formats import OnnxFile
from explorer.inspection.export.parts import Portable
from explorer.inspection.export.places import framed, read_boxes
from explorer.inspection.live.checking import Report, advice, compare_maps
from explorer.inspection.live.modelled import Entry
from explorer.inspection.live.photos import PagePhoto
from explorer.inspection.look.model import evaluating
from explorer.inspection.segment.enlarging import mask_of
from explorer.inspection.segment.segmenting import segment, two_classes
from explorer.models.detection.detector import Detector
from explorer.models.detection.placing import Placement
from explorer.models.segmentation.segmenter import Segmenter


def check_places(entry: Entry, photos: Sequence[PagePhoto], report: Report) -> list[dict[str, Any]]:
    """What torch says of each photo in the page's frame: boxes, [left, top, right, bottom, score, index], or
    the runs of the mask, [index, length, ...]; into `report`, how far the page's network is from that.

    Raises ValueError where it is too far.
    """
    model = entry.leaving.model
    assert isinstance(model, Detector | Segmenter)
    high, wide = entry.facts["preprocessing"]["input_size"][1:]
    part, expected, own = Portable(entry.leaving), [], _Agreement()
    with tempfile.TemporaryDirectory(prefix="explorer-live-") as folder:
        file = Path(folder, "net.onnx")
        file.write_bytes(entry.graph)
        run = OnnxFile().runner(file)
        for photo in photos:
            with evaluating(model), torch.no_grad():
                image, place = framed(model, photo.picture, (high, wide))
                wanted = part(image)
            found = run({"image": image}, list(wanted))
            compare_maps(wanted, found, report)
            how = _boxes if isinstance(model, Detector) else _masks
            told, same, difference = how(entry, photo, place, wanted, found, own)
            report.photos += 1
            report.same_top += same
            report.largest_difference = max(report.largest_difference, difference)
            if not same or not difference <= report.limit:
                raise ValueError(f"{entry.leaving.name} would not say in a browser what it says here, so the "
                                 f"page was not written: “{photo.title}” differs by {difference:.2g}, and "
                                 f"{report.limit:g} is allowed.{advice(report)}")
            expected.append(told)
    _say(entry, report, own, (high, wide))
    return expected


@dataclass
class _Agreement:
    """How often the page's frame gives what explorer gives with a frame made for the photo.

    photos: that it was asked for;  same: of them, to the last box, or pixel;  least: share of equal pixels
    """

    photos: int = 0
    same: int = 0
    least: float = 1.0


def _boxes(
    entry: Entry, photo: PagePhoto, place: Placement, wanted: dict[str, Tensor], found: dict[str, Tensor],
    own: _Agreement,
) -> tuple[dict[str, Any], bool, float]:
    told = entry.facts["boxes"]
    here, there = (read_boxes(each["boxes"][0], each["scores"][0], told, place) for each in (wanted, found))
    usual = detect(entry.leaving.model, photo.picture)
    own.photos += 1
    own.same += len(usual) == len(here) and bool(torch.allclose(usual.boxes, here.boxes, atol=0.01))
    rows = [[*(round(side, 3) for side in box), round(score, 5), index] for box, score, index
            in zip(here.boxes.tolist(), here.scores.tolist(), here.labels.tolist())]
    low = read_boxes(found["boxes"][0], found["scores"][0], told | {"score_threshold": told["lowest"]}, place)
    overlaps = box_iou(here.boxes, low.boxes) * (here.labels[:, None] == low.labels)
    same, difference = True, 0.0
    for number, score in enumerate(here.scores.tolist()):
        best = int(overlaps[number].argmax()) if len(low) else -1
        if best >= 0 and overlaps[number, best] > 0.5:
            difference = max(difference, abs(float(low.scores[best]) - score))
        else:
            same = same and score <= told["score_threshold"] + 0.01
    return {"boxes": rows, "found": len(there)}, same, difference


def _masks(
    entry: Entry, photo: PagePhoto, place: Placement, wanted: dict[str, Tensor], found: dict[str, Tensor],
    own: _Agreement,
) -> tuple[dict[str, Any], bool, float]:
    (high, wide), size = place.inside, place.photo
    here, there = (mask_of(two_classes(each["scores"][0, :, :high, :wide]), size) for each in (wanted, found))
    usual = segment(entry.leaving.model, photo.picture)
    equal = float((usual.mask == here).double().mean())
    own.photos += 1
    own.same += equal == 1
    own.least = min(own.least, equal)
    runs = [number for index, run in groupby(here.flatten().tolist()) for number in (index, len([*run]))]
    difference = float((here != there).double().mean())
    return {"runs": runs}, True, difference


def _say(entry: Entry, report: Report, own: _Agreement, frame: tuple[int, int]) -> None:
    photos, (high, wide) = counted(report.photos, "photo"), frame
    if isinstance(entry.leaving.model, Detector):
        report.said.append(f"Of {photos} the network in this page found every box that PyTorch finds; the "
                           f"largest difference of a score is {report.largest_difference:.2g}.")
        same = ("explorer.detect finds the same boxes, to a hundredth of a pixel, in "
                f"{own.same} of {own.photos}")
    else:
        report.said.append(f"Of {photos} the network in this page gave the mask that PyTorch gives, but for "
                           f"{100 * report.largest_difference:.2g} % of a photo's pixels at most.")
        same = f"explorer.segment gives the same mask to {own.same} of {own.photos}"
        if own.same < own.photos:
            same += f", and to the others one that agrees in {100 * own.least:.1f} % of the pixels or more"
    report.said.append(f"This page looks at every photo in a frame of {wide} x {high} pixels, where explorer "
                       f"takes one that is made for the photo; {same}.")
    if report.largest_map:
        report.said.append(f"The maps differ from PyTorch's by {100 * report.largest_map:.2g} % of the "
                           "largest number of a map at most.")
