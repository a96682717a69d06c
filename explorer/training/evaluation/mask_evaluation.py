"""`MaskEvaluation`: what a network for masks made of photos whose masks are known, to look at and to keep.

    result.miou, result.dice, result.accuracy, result.per_class["nucleus"].iou
    result.confusion                        # [K, K] pixels
    result.worst[0], result.overlay(result.worst[0])
    result.per_class_of(result.rows[0])["nucleus"].iou      # of a class in one photo

All figures follow from counts of pixels, which are exact. One can also be made of somebody else's counts.
"""

from __future__ import annotations

import csv
import io
import os
from dataclasses import asdict
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from explorer.arguments import checked
from explorer.data.tables import safe_cell
from explorer.files import given_path, write_text
from explorer.inspection.segment.pixels import shares_of
from explorer.training.evaluation.mask_answers import MaskAnswers
from explorer.training.evaluation.place_figures import PhotoOfMasks, photo_index

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class MaskEvaluation(MaskAnswers):
    """What a network for masks made of photos whose masks are known. It shows itself in a notebook.

    classes:   the model's, in index order
    confusion: int64 [K, K], pixels of all photos: rows what they are, columns what was said (`pixel_counts`)
    totals:    int64 [N, 3, K], of each photo the pixels of each class that are right, that are it, and that
               were said to be it (`totals_of`)
    judged:    indices of the classes that the data has: the means are over these; None: all
    masks:     index -> what was said of that photo as a mask, of the worst ones alone
    names, files, notes, broken, model_name, data_name, split, throughput, data: as in `Evaluation`

    `miou` is the mean IoU over the classes that occur or were said, `dice` that of their Dice, over all
    photos' pixels together; `accuracy` is the share of pixels that are right. Pixels that are 255 in a true
    mask count nowhere. They are torchmetrics' macro Jaccard index, F1 and micro accuracy. None where no pixel
    counts.
    """

    # --- a photo of it ----------------------------------------------------------------------

    def overlay(self, row: PhotoOfMasks | int) -> Image.Image:
        """A photo with the mask that was said in colours, and the outline of the true one in white.

        Raises ValueError for a photo whose mask was not kept (those of `worst` are), or without `data`;
        ImageError where it can't be opened any more.
        """
        from explorer.training.evaluation.mask_report import drawn

        index = photo_index(row, len(self))
        if self.data is None or index not in self.masks:
            raise ValueError(f"The mask of photo {index} was not kept: those of the worst photos are.")
        return drawn(self, index)

    # --- to keep ------------------------------------------------------------------------------------------

    def _figures(self) -> dict[str, Any]:
        return {
            "miou": self.miou, "dice": self.dice, "accuracy": self.accuracy,
            "per_class": {name: asdict(one) for name, one in self.per_class.items()},
            "confusion": self.confusion.tolist(), "worst": [asdict(row) for row in self.worst],
        }

    @staticmethod
    def _report() -> ModuleType:
        from explorer.training.evaluation import mask_report

        return mask_report

    @checked
    def to_csv(self, path: str | os.PathLike) -> None:
        """Write a line a photo: name, file, iou, accuracy, and the IoU of each class that the data has.

        A name that a spreadsheet would take for a formula has an apostrophe in front.
        """
        file = io.StringIO(newline="")
        writer = csv.writer(file)
        head = ["name", "file", "iou", "accuracy", *(f"iou of {self.classes[k]}" for k in self.judged)]
        writer.writerow(list(map(safe_cell, head)))
        for row, ious in zip(self.rows, shares_of(self.totals)["iou"]):
            values = [row.iou, row.accuracy, *(float(ious[k]) for k in self.judged)]
            cells = ["" if np.isnan(value) else value for value in values]
            writer.writerow([safe_cell(row.name), safe_cell(row.file), *cells])
        write_text(given_path(path), file.getvalue())

    def plot(self) -> Figure:
        """The IoU of each class as bars, the lowest first; 30 at most."""
        from explorer.training.evaluation.mask_report import plot_classes

        return plot_classes(self)
