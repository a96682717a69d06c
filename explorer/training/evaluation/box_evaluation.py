"""`DetectionEvaluation`: what a detector found in photos whose boxes are known, to look at and to keep.

    result.map, result.ap50, result.per_class["cat"].ap, result.per_size["small"]
    result.mask_map                         # of the masks in the boxes, where there are some
    result.at(score=0.5).precision          # and recall, f1; the network does not run for it
    result.confusion                        # [K + 1, K + 1], "background" last
    result.worst[0], result.overlay(result.worst[0])

One can also be made of somebody else's boxes.
"""

from __future__ import annotations

import copy
import csv
import io
import os
from collections.abc import Sequence
from dataclasses import asdict
from types import ModuleType
from typing import TYPE_CHECKING, Any

from PIL import Image

from explorer.arguments import checked, number, words
from explorer.data.tables import safe_cell
from explorer.files import given_path, write_text
from explorer.training.evaluation.box_answers import BoxAnswers
from explorer.training.evaluation.place_figures import PhotoOfBoxes, photo_index

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class DetectionEvaluation(BoxAnswers):
    """What a detector found in photos whose boxes are known. It shows itself in a notebook.

    classes:     names of the data's classes, in index order
    found:       of each photo, with the labels of `classes`;  truth: its boxes
    names, files: of the photos; files is empty where they have none
    score:       boxes from here on count in `precision`, `recall`, `f1`, `above_score`, `confusion`, `rows`
                 and `worst`; the average precisions take all. `at` gives the same with another
    notes, broken, model_name, data_name, split, throughput, data: as in `Evaluation`

    `map` is COCO's AP: the mean over classes and over IoU 0.50, 0.55, ..., 0.95 of the average precision,
    with 100 boxes a photo; `ap50` and `ap75` at one IoU; `mask_map`, `mask_ap50` and `mask_ap75` the same of
    the masks in the boxes, where network and data have some. All are pycocotools' own, and None where there
    is no box at all. Raises DataError where pycocotools is missing, when they are asked for.
    """

    # --- another score ------------------------------------------------------------------------------------

    @checked(score=number(0, 1))
    def at(self, *, score: float) -> DetectionEvaluation:
        """The same boxes, of which those from another score on count; the network does not run."""
        other = copy.copy(self)
        for name in ("_pairs", "confusion", "rows"):  # they follow from it
            other.__dict__.pop(name, None)
        other.score = score
        return other

    # --- a photo of it ----------------------------------------------------------------------

    def overlay(self, row: PhotoOfBoxes | int, *, names: bool = True) -> Image.Image:
        """A photo with the boxes that were found from `score` on in their colours, with their names and
        scores if `names`, and the true ones dashed in white. Raises ImageError where it can't be opened any
        more, ValueError without `data`.
        """
        from explorer.training.evaluation.box_report import drawn

        return drawn(self, photo_index(row, len(self)), names=names)

    # --- to keep ------------------------------------------------------------------------------------------

    def _figures(self) -> dict[str, Any]:
        return {
            "map": self.map, "ap50": self.ap50, "ap75": self.ap75,
            "mask_map": self.mask_map, "mask_ap50": self.mask_ap50, "mask_ap75": self.mask_ap75,
            "per_size": self.per_size,
            "per_class": {name: asdict(one) for name, one in self.per_class.items()},
            "score": self.score, "precision": self.precision, "recall": self.recall, "f1": self.f1,
            "above_score": {name: asdict(one) for name, one in self.above_score.items()},
            "confusion": self.confusion.tolist(),
            "worst": [{**asdict(row), "f1": row.f1} for row in self.worst],
        }

    @staticmethod
    def _report() -> ModuleType:
        from explorer.training.evaluation import box_report

        return box_report

    @checked
    def to_csv(self, path: str | os.PathLike) -> None:
        """Write a line a photo: name, file, right, confused, missed, invented, f1.

        A name that a spreadsheet would take for a formula has an apostrophe in front.
        """
        file = io.StringIO(newline="")
        writer = csv.writer(file)
        writer.writerow(["name", "file", "right", "confused", "missed", "invented", "f1"])
        for row in self.rows:
            cells = (row.name, row.file, row.right, row.confused, row.missed, row.invented, row.f1)
            writer.writerow(list(map(safe_cell, cells)))
        write_text(given_path(path), file.getvalue())

    @checked(classes=words, iou=number(0.5, 0.95))
    def plot(self, classes: Sequence[str] | None = None, *, iou: float | None = 0.5) -> Figure:
        """Precision against recall, a curve a class. classes: None takes the ten with the lowest AP."""
        from explorer.training.evaluation.box_report import plot_curves

        return plot_curves(self, classes, 0.5 if iou is None else iou)
