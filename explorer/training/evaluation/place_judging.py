"""Every photo through a network for boxes or masks once, and what it found held against what is there."""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from explorer._threads import thread_count
from explorer.data.errors import ImageError
from explorer.data.folders import DataError
from explorer.data.labels import match_names
from explorer.data.places.opening import open_places
from explorer.data.places.place_set import IGNORED, Boxes, PlaceSet, PlaceSplits
from explorer.data.reading import in_order
from explorer.inspection.detect.detecting import as_detector, photo_tensor
from explorer.inspection.detect.detecting import names_of as names_of_boxes
from explorer.inspection.detect.detecting import notes_on as notes_on_boxes
from explorer.inspection.look.model import evaluating, model_name
from explorer.inspection.segment.pixels import mean_known, pixel_counts, shares_of, totals_of
from explorer.inspection.segment.preparing import preparation
from explorer.inspection.segment.segmenting import as_segmenter, segment_in
from explorer.inspection.segment.segmenting import names_of as names_of_masks
from explorer.inspection.segment.segmenting import notes_on as notes_on_masks
from explorer.models.contract import VisionModel, parameter_place
from explorer.models.detection.detector import Detector
from explorer.models.detection.masks import one_over_photo
from explorer.models.surgery.optimized import tensors_in
from explorer.training.evaluation.box_evaluation import DetectionEvaluation
from explorer.training.evaluation.coco_tables import check_pycocotools, code_of, code_of_mask
from explorer.training.evaluation.figures import WORST, Throughput
from explorer.training.evaluation.mask_evaluation import MaskEvaluation
from explorer.training.evaluation.matching import NAMED
from explorer.training.evaluation.place_evaluation import Told
from explorer.training.evaluation.place_figures import FoundBoxes

AHEAD = 4  # photos that are opened while the network looks at another
Progress = Callable[[int, int], None] | None
Asked = Callable[[], bool] | None


def judge_places(
    model: VisionModel, data: Any, *, called: str = "", split: str = "val", seed: int = 0,
    on_progress: Progress = None, should_stop: Asked = None,
) -> DetectionEvaluation | MaskEvaluation:
    """Judge a network for boxes or masks by photos whose boxes or masks are known, photo by photo.

    data:   whatever `open_places` takes, of which `split` ("val", "train", "all") is judged; one set is
            judged whole
    called: what to call the model; "": its own name
    on_progress, should_stop: as in `evaluate`, after each photo
    """
    opened = open_places(data, model.task, seed=seed)
    if isinstance(opened, PlaceSplits):
        photos, data_name, notes, judged = opened.part(split), opened.name, opened.notes, split
    else:
        photos, notes, judged = opened, opened.notes, "all"
        data_name = Path(data).name if isinstance(data, (str, Path)) else opened.name or type(data).__name__
    if not len(photos):
        raise DataError("There are no photos to judge by: give some with their boxes or masks.")
    judge = _judge_boxes if model.task == "detection" else _judge_masks
    walk = _Walk(photos, on_progress, should_stop)
    return judge(model, photos, walk, called or model_name(model), data_name, judged, [*notes])


# --- the walk ---------------------------------------------------------------------------------------------


@dataclass
class _Walk:
    """Opens the photos ahead, and keeps what became of them."""

    photos: PlaceSet
    on_progress: Progress
    should_stop: Asked
    seen: list[int] = field(default_factory=list)
    broken: list[tuple[str, str]] = field(default_factory=list)
    done: int = 0
    seconds: float = 0.0
    in_network: float = 0.0

    def __iter__(self) -> Iterator[tuple[int, Image.Image, Any]]:
        """(index, photo, its boxes or mask) of each that opens; the time between two is the network's."""
        def opened(index: int) -> tuple[int, Any, str]:  # in a thread
            try:
                return index, self.photos[index], ""
            except ImageError as error:
                return index, None, str(error)

        started, count = time.perf_counter(), len(self.photos)
        rows = in_order(opened, range(count), ahead=AHEAD)
        try:
            for index, pair, sentence in rows:
                if pair is None:
                    self.broken.append((self.photos.names[index], sentence))
                else:
                    entered = time.perf_counter()
                    yield index, *pair
                    self.in_network += time.perf_counter() - entered
                    self.seen.append(index)
                self.done += 1
                if self.on_progress is not None:
                    self.on_progress(self.done, count)
                if self.should_stop is not None and self.should_stop():
                    break
        finally:
            rows.close()  # type: ignore[attr-defined]  # a generator
            self.seconds = time.perf_counter() - started

    def told(self, model: VisionModel, called: str, data_name: str, split: str, notes: list[str]) -> Told:
        """What was left out, and how fast it was. Raises DataError where no photo could be opened."""
        count = len(self.photos)
        if not self.seen:
            first = f" The first: {self.broken[0][1]}" if self.broken else ""
            raise DataError(f"None of the {self.done} photos could be judged.{first}")
        if self.done < count:
            notes.append(f"Stopped after {self.done} of {count} photos, in the order of the data.")
        notes += [f"Left out, {name}: {sentence}" for name, sentence in self.broken[:NAMED]]
        if len(self.broken) > NAMED:
            notes.append(f"Left out: {len(self.broken) - NAMED} more photos; see `broken`.")
        photos = self.photos.subset(self.seen)
        device = str(parameter_place(model)["device"])
        pace = Throughput(self.done / max(self.seconds, 1e-9), self.seconds, self.in_network,
                          thread_count(None, 8), torch.get_num_threads(), device)
        return Told(names=photos.names, files=photos.files, notes=tuple(dict.fromkeys(notes)),
                     broken=tuple(self.broken), model_name=called, data_name=data_name, split=split,
                     throughput=pace, data=photos)


# --- which class is which ---------------------------------------------------------------------------------


def matched(own: Sequence[str], named: bool, photos: PlaceSet) -> tuple[list[int | None], list[str]]:
    """(the model's index of each class of the data, None where it has none; notes).

    A name stands for itself, whatever the order, as in `evaluate`; where one side has no names, the classes
    are taken in their order. Raises DataError where no class is known.
    """
    theirs = photos.classes
    if named and photos.named:
        places = match_names(own, theirs)
        if all(place is None for place in places):
            raise DataError(f"The model knows {_some(own)}, and the data has {_some(theirs)}: none is the "
                            f"same. "
                            "Teach it these first (finetune), or name the data's classes as the model's.")
        return places, []
    if len(theirs) > len(own):
        raise DataError(f"The model knows {len(own)} classes and the data has {len(theirs)}, and one of both "
                        f"has "
                        "no names for them: give both the same ones.")
    who = "The model has no names for its classes" if not named else "The data has no names for its classes"
    if len(theirs) < len(own) and not named:
        who = f"The model has no names for its {len(own)} classes, of which the data has {len(theirs)}"
    return list(range(len(theirs))), [f"{who}: they are taken to be the same in their order."]


def _some(names: Sequence[str]) -> str:
    return f"{len(names)} classes ({', '.join(names[:5])}{', ...' if len(names) > 5 else ''})"


def _refuse_unknown(unknown: Sequence[str], own: Sequence[str]) -> None:
    if unknown:
        raise DataError(f"The model knows {_some(own)}, but not {', '.join(map(repr, unknown[:5]))}"
                        f"{', ...' if len(unknown) > 5 else ''}. Teach it these first (finetune), or name "
                        f"them "
                        "as its classes.")


# --- boxes ------------------------------------------------------------------------------------------------


def _judge_boxes(model: Any, photos: PlaceSet, walk: _Walk, called: str, data_name: str, split: str,
                 notes: list[str]) -> DetectionEvaluation:
    check_pycocotools()  # before the photos, not after them
    net = as_detector(model)
    if net.in_chans not in (1, 3):
        raise ValueError(f"{called} reads {net.in_chans} channels, and photos with boxes have three.")
    own = names_of_boxes(net)
    places, more = matched(own, bool(net.config.labels), photos)
    counts = photos.counts()
    unknown = [name for name, place in zip(photos.classes, places) if place is None and counts[name]]
    _refuse_unknown(unknown, own)
    theirs = np.full(net.num_classes, -1, np.int64)
    for index, place in enumerate(places):
        if place is not None:
            theirs[place] = index
    outlined = net.has_masks and any(one.shapes is not None for one in photos.boxes or ())
    found: list[FoundBoxes] = []
    truth: list[Boxes] = []
    other = 0
    for index, photo, boxes in walk:
        one = _found_in(net, photo, outlined, photos.names[index])
        one = replace(one, labels=theirs[one.labels])
        known = one.labels >= 0
        other += int((~known).sum())
        found.append(one.take(known))
        truth.append(_in_codes(boxes, photo.size) if outlined else boxes)
    if other:
        more.append(f"{other:,} boxes of classes that the data does not have are left out of all figures.")
    bare = sum(len(one) for one in truth if one.shapes is None) if outlined else 0
    if bare:
        more.append(f"The average precision of masks is left out: {bare:,} of "
                    f"{sum(map(len, truth)):,} things have no outline.")
    told = walk.told(net, called, data_name, split, [*notes_on_boxes(net), *notes, *more])
    return DetectionEvaluation(photos.classes, found, truth, **told)


def _check_finite(finite: bool, name: str) -> None:
    if not finite:
        raise ValueError(f"The model's scores are not finite for '{name}': its weights are broken, or too "
                         "large for their precision. A training with too large steps does that.")


def _found_in(net: Detector, photo: Image.Image, outlined: bool, name: str) -> FoundBoxes:
    """The boxes of one photo, with the masks in them as run-length codes where they are asked for.

    Each mask is a picture of the photo's size for as long as it is packed, and only one of them.
    """
    with evaluating(net), torch.inference_mode():
        batch, places = net.prepare([photo_tensor(photo, net.in_chans)])
        raw = net.see(batch, places)
        # such a score is above no threshold: the boxes would just be missing
        _check_finite(not any(bool(part.isnan().any()) for part in tensors_in(raw)), name)
        kept, place = net.kept(raw, batch.shape[-2:], places, masks=outlined)[0]
        boxes = place.out_of(kept.boxes)
        codes = None
        if outlined and kept.masks is not None:
            codes = tuple(code_of_mask((one_over_photo(mask, box, place.photo) > 0.5).cpu().numpy())
                          for mask, box in zip(kept.masks, boxes))
    return FoundBoxes(boxes.double().cpu().numpy(), kept.scores.double().cpu().numpy(),
                      kept.labels.cpu().numpy(), codes)


def _in_codes(boxes: Boxes, size: tuple[int, int]) -> Boxes:
    """With outlines as run-length codes; without any where one of them has none."""
    shapes = boxes.shapes or ()
    if not len(boxes) or len(shapes) < len(boxes) or any(shape is None for shape in shapes):
        return replace(boxes, shapes=None)
    width, height = size
    return replace(boxes, shapes=tuple(code_of(shape, height, width) for shape in shapes if shape))


# --- masks ------------------------------------------------------------------------------------------------


def _judge_masks(model: Any, photos: PlaceSet, walk: _Walk, called: str, data_name: str, split: str,
                 notes: list[str]) -> MaskEvaluation:
    net = as_segmenter(model)
    own = names_of_masks(net)
    prepare = preparation(net)
    places, more = matched(own, bool(net.config.labels), photos)
    if not net.config.labels:
        own = (*photos.classes, *own[len(photos.classes):])
    table = np.full(256, len(own), np.int64)  # a class that the model has not
    table[IGNORED] = -1
    for index, place in enumerate(places):
        if place is not None:
            table[index] = place
    confusion = np.zeros((len(own), len(own)), np.int64)
    totals: list[np.ndarray] = []
    judged = sorted(place for place in places if place is not None)
    worst: list[tuple[float, int, np.ndarray]] = []
    unknown: set[int] = set()
    for index, photo, truth in walk:
        there = np.unique(truth)
        unknown |= {int(value) for value in there if value != IGNORED and table[value] == len(own)}
        _refuse_unknown([photos.classes[value] for value in sorted(unknown)], own)
        seen = segment_in(net, photo, prepare)[1]
        _check_finite(bool(seen.scores is not None and seen.scores.isfinite().all()), photos.names[index])
        said = seen.mask.numpy()
        matrix = pixel_counts(said, table[truth], len(own), ignored=-1)
        iou = mean_known(shares_of(totals_of(matrix))["iou"][judged])
        if not np.isnan(iou):
            heapq.heappush(worst, (-iou, -len(totals), said))
            if len(worst) > WORST:
                heapq.heappop(worst)
        confusion += matrix
        totals.append(totals_of(matrix))
    told = walk.told(net, called, data_name, split, [*notes_on_masks(net), *notes, *more])
    kept = {-position: mask for _, position, mask in worst}
    return MaskEvaluation(own, confusion, np.stack(totals), judged=judged, masks=kept, **told)
