"""`DetectionEvaluation`: what a detector found in photos whose boxes are known, to look at and to keep.

    result.map, result.ap50, result.per_class["cat"].ap, result.per_size["small"]
    result.confusion                        # [K + 1, K + 1], "background" last
    result.worst[0], result.overlay(result.worst[0])

One can also be made of somebody else's boxes.
"""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from PIL import Image

from explorer.arguments import checked, number, words
from explorer.data.tables import safe_cell
from explorer.display.html import RichRepr
from explorer.files import given_path, write_text
from explorer.training.evaluation.box_answers import BoxAnswers
from explorer.training.evaluation.figures import plain
from explorer.training.evaluation.place_figures import PhotoOfBoxes, photo_index

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class DetectionEvaluation(BoxAnswers, RichRepr):
    """What a detector found in photos whose boxes are known. It shows itself in a notebook.

    classes:     names of the data's classes, in index order
    found:       of each photo, with the labels of `classes`;  truth: its boxes
    names, files: of the photos; files is empty where they have none
    score:       boxes from here on count in `confusion`, `rows` and `worst`; the average precisions take all
    notes, broken, model_name, data_name, split, throughput, data: as in `Evaluation`

    `map` is COCO's AP: the mean over classes and over IoU 0.50, 0.55, ..., 0.95 of the average precision,
    with 100 boxes a photo; `ap50` and `ap75` at one IoU. They are torchmetrics' over pycocotools' own.
    All are None where there is no box at all. Raises DataError where pycocotools is missing, when they are
    asked for.
    """

    # --- a photo of it ----------------------------------------------------------------------

    def overlay(self, row: PhotoOfBoxes | int) -> Image.Image:
        """A photo with the boxes that were found from `score` on in their colours, and the true ones dashed
        in white. Raises ImageError where it can't be opened any more, ValueError without `data`.
        """
        from explorer.training.evaluation.box_report import drawn

        return drawn(self, photo_index(row, len(self)))

    # --- to keep ------------------------------------------------------------------------------------------

    def as_dict(self) -> dict[str, Any]:
        """All figures as plain values, for JSON: None where not defined."""
        return plain({
            "model": self.model_name, "data": self.data_name, "split": self.split, "photos": len(self),
            "classes": list(self.classes), "map": self.map, "ap50": self.ap50, "ap75": self.ap75,
            "per_size": self.per_size,
            "per_class": {name: asdict(one) for name, one in self.per_class.items()},
            "score": self.score, "confusion": self.confusion.tolist(),
            "worst": [{**asdict(row), "f1": row.f1} for row in self.worst],
            "throughput": asdict(self.throughput) if self.throughput else None,
            "broken": [{"name": name, "error": sentence} for name, sentence in self.broken],
            "notes": list(self.notes),
        })

    def to_json(self) -> str:
        """`as_dict` as text."""
        return json.dumps(self.as_dict(), ensure_ascii=False, indent=1)

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

    # --- to look at ---------------------------------------------------------------------------------------

    def __repr__(self) -> str:
        from explorer.training.evaluation.box_report import headline

        return f"DetectionEvaluation({self.model_name!r}, {self.data_name!r}, {headline(self)})"

    def __str__(self) -> str:
        from explorer.training.evaluation.box_report import as_text

        return as_text(self)

    def _repr_html_(self) -> str:
        from explorer.training.evaluation.box_report import as_html

        return as_html(self)
