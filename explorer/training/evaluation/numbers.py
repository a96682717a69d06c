"""`NumberEvaluation`: what a model made of photos whose numbers are known, to look at and to keep.

    result.mae, result.rmse, result.r2            # over all numbers; of each: result.per_number["price"]
    result.worst[0]                               # the photo that it is furthest off for
    result.plot()                                 # predicted against true

One can also be made of somebody else's answers.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from explorer.data.tables import safe_cell
from explorer.display.html import RichRepr
from explorer.files import given_path, write_text
from explorer.training.evaluation.figures import plain
from explorer.training.evaluation.number_answers import NumberAnswers

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class NumberEvaluation(NumberAnswers, RichRepr):
    """What a model made of photos whose numbers are known. It shows itself in a notebook.

    numbers:   what the K numbers are called
    predicted, truth: [N, K] float64, each number in its own unit
    scale:     a standard deviation for each number, by which errors of different numbers compare: that of the
               photos that were learnt from; () takes that of `truth`
    names, files, notes, broken, model_name, data_name, split, tta, throughput, data: as in `Evaluation`

    `mae`, `rmse` and `r2` are means over the numbers, as scikit-learn has them by default; with one number
    they are its own.
    """

    # --- to keep ----------------------------------------------------------------------------------------

    def as_dict(self) -> dict[str, Any]:
        """All figures as plain values, for JSON: None where not defined. All photos: `rows`, `to_csv`."""
        return plain({
            "model": self.model_name, "data": self.data_name, "split": self.split, "photos": len(self),
            "tta": self.tta,
            "numbers": list(self.numbers), "mae": self.mae, "rmse": self.rmse, "r2": self.r2,
            "per_number": {name: asdict(figures) for name, figures in self.per_number.items()},
            "worst": [asdict(row) for row in self.worst],
            "throughput": asdict(self.throughput) if self.throughput else None,
            "broken": [{"name": name, "error": sentence} for name, sentence in self.broken],
            "notes": list(self.notes),
        })

    def to_csv(self, path: str | os.PathLike) -> None:
        """Write a line a photo: name, file; of each number the truth, the answer, the difference; the error.

        A name that a spreadsheet would take for a formula has an apostrophe in front.
        """
        file = io.StringIO(newline="")
        writer = csv.writer(file)
        head = [f"{what} {name}" for name in self.numbers for what in ("true", "predicted", "difference")]
        writer.writerow(list(map(safe_cell, ["name", "file", *head, "error"])))
        for row in self.rows:
            pairs = zip(row.true, row.predicted)
            values = [value for true, said in pairs for value in (true, said, said - true)]
            writer.writerow([safe_cell(row.name), safe_cell(row.file), *values, row.error])
        write_text(given_path(path), file.getvalue())

    def plot(self, numbers: Sequence[str] | None = None) -> Figure:
        """Predicted against true, a chart a number. numbers: of these; None: of the nine with the lowest R².
        """
        from explorer.training.evaluation import number_report

        return number_report.plot(self, numbers)

    # --- to look at -------------------------------------------------------------------------------------

    def __repr__(self) -> str:
        from explorer.training.evaluation.number_report import headline

        return f"NumberEvaluation({self.model_name!r}, {self.data_name!r}, {headline(self)})"

    def __str__(self) -> str:
        from explorer.training.evaluation.number_report import as_text

        return as_text(self)

    def _repr_html_(self) -> str:
        from explorer.training.evaluation.number_report import as_html

        return as_html(self)
