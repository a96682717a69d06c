"""COCO's average precision of boxes, and of the masks in them: pycocotools' own evaluation.

Lin et al., "Microsoft COCO", 2014, https://arxiv.org/abs/1405.0312.
"""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np

from explorer.data.folders import DataError
from explorer.data.places.place_set import Boxes, Shape
from explorer.training.evaluation.place_figures import FoundBoxes

SIZES = {"small": 1, "medium": 2, "large": 3}  # places in COCO's table; 0 is all
_TALK = threading.Lock()


@dataclass(frozen=True, eq=False)
class Averages:
    """COCO's tables for K classes, with 100 boxes a photo; -1 where a class has no thing of that size.

    precision: [10 IoU, 101 recalls, K, 4 sizes];  recall: [10 IoU, K, 4 sizes]
    """

    precision: np.ndarray = field(repr=False)
    recall: np.ndarray = field(repr=False)

    def at(self, iou: slice = slice(None), classes: Any = slice(None), size: int = 0) -> float:
        """The average precision, a mean over what is asked for; NaN where nothing of it is known."""
        return _mean(self.precision[iou][:, :, classes, size])

    def recall_of(self, place: int) -> float:
        return _mean(self.recall[:, place, 0])


def _mean(table: np.ndarray) -> float:
    known = table[table > -1]
    return float(known.mean()) if known.size else float("nan")


def check_pycocotools() -> None:
    """Raise DataError, with what to do, where pycocotools can't be imported."""
    try:
        import pycocotools.cocoeval  # noqa: F401  # also the part that is compiled
    except ImportError as error:
        raise DataError("The average precision of boxes is pycocotools', which is not installed here "
                        f"({error}): run `pip install pycocotools`, and start the kernel anew.") from None


def averages(found: Sequence[FoundBoxes], truth: Sequence[Boxes], classes: int, *,
             masks: bool = False) -> Averages:
    """What COCOeval says of the boxes, or of the masks in them. Raises DataError without pycocotools.

    masks: of those that were found, and the outlines of the true ones, each a run-length code; at no time is
           more than one of them a picture
    """
    check_pycocotools()
    from pycocotools.cocoeval import COCOeval

    told = Averages(-np.ones((10, 101, classes, 4)), -np.ones((10, classes, 4)))
    if not any(map(len, (*found, *truth))):
        return told
    with _silence():
        judge = COCOeval(_index(truth, classes, masks), _index(found, classes, masks),
                         "segm" if masks else "bbox")
        judge.params.imgIds, judge.params.catIds = [*range(len(truth))], [*range(classes)]
        judge.evaluate()
        judge.accumulate()
    return Averages(judge.eval["precision"][..., -1], judge.eval["recall"][..., -1])


def _index(photos: Sequence[FoundBoxes] | Sequence[Boxes], classes: int, masks: bool) -> Any:
    from pycocotools import mask as codes
    from pycocotools.coco import COCO

    rows: list[dict[str, Any]] = []
    for image, one in enumerate(photos):
        sides = one.boxes[:, 2:] - one.boxes[:, :2]
        areas = one.areas if isinstance(one, Boxes) else np.prod(sides, axis=1)
        boxes = np.concatenate([one.boxes[:, :2], sides], 1)
        inside = cast("Sequence[Any]", one.shapes) if masks else ()
        for place, label in enumerate(one.labels.tolist()):
            row = {"id": len(rows) + 1, "image_id": image, "category_id": label, "iscrowd": 0,
                   "bbox": boxes[place].tolist(), "area": float(areas[place])}
            if isinstance(one, Boxes):
                row["iscrowd"] = int(one.crowd[place])
            else:
                row["score"] = float(one.scores[place])
            if masks:
                row["segmentation"] = inside[place]
                if isinstance(one, FoundBoxes):
                    row["area"] = float(codes.area(inside[place]))
            rows.append(row)
    told = COCO()
    # the sizes are in the codes, and pycocotools reads these here without use
    told.dataset = {"info": {}, "images": [{"id": i, "height": 0, "width": 0} for i in range(len(photos))],
                    "annotations": rows, "categories": [{"id": i} for i in range(classes)]}
    told.createIndex()
    return told


def code_of(shape: Shape, height: int, width: int) -> dict[str, Any]:
    """An outline as COCO's run-length code {"size": [H, W], "counts": bytes}, by pycocotools' own raster."""
    from pycocotools import mask as codes

    if isinstance(shape, dict):
        counts = shape["counts"]
        return codes.frPyObjects(shape, height, width) if isinstance(counts, list) else \
            {"size": shape["size"], "counts": counts.encode() if isinstance(counts, str) else counts}
    return codes.merge(codes.frPyObjects([polygon.tolist() for polygon in shape], height, width))


def code_of_mask(mask: np.ndarray) -> dict[str, Any]:
    """bool [H, W] as a run-length code."""
    from pycocotools import mask as codes

    return codes.encode(np.asfortranarray(mask.astype(np.uint8)))


class _NotOurs:
    """A stream for the words of other threads: those of this one go nowhere."""

    def __init__(self, stream: Any):
        self.stream, self.ours = stream, threading.get_ident()

    def write(self, text: str) -> int:
        return len(text) if threading.get_ident() == self.ours else self.stream.write(text)

    def flush(self) -> None:
        self.stream.flush()


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """pycocotools prints how long it took; cells that run meanwhile keep their words."""
    with _TALK, contextlib.redirect_stdout(cast("Any", _NotOurs(sys.stdout))):
        yield
