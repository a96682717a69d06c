"""`Evaluation`: what a model made of photos whose classes are known, to look at and to keep.

    result.top1, result.per_class["daisy"].recall
    result.most_confused[0]                # Confused(true='roses', predicted='tulips', count=7, share=0.35)
    result.photos("roses", "tulips")       # the photos behind that cell

One can also be made of somebody else's probabilities.
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
from explorer.training.evaluation.class_answers import ClassAnswers
from explorer.training.evaluation.figures import plain

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Evaluation(ClassAnswers, RichRepr):
    """What a model made of photos whose classes are known. It shows itself in a notebook.

    classes:       names in index order
    probabilities: [N, K] float32; multi-label: a probability for each class by itself
    labels:        the true classes: indices [N] int64, or for multi-label rows of 0 and 1 [N, K]
    losses:        cross-entropy of each photo, [N], in nats; multi-label: the mean over its yes-or-no answers
    names, files:  of the photos; files is empty where they have none
    notes:         sentences that a reader of the figures must know;  broken: (name, why) of photos that were
                   left out
    topk:          the k of the second accuracy that is shown;  tta: whether mirror images were looked at too

    With several classes a photo (multi-label) top1, top5, confusion and most_confused are None: there is no
    one answer.
    `exact_match` and `mean_average_precision` are for these alone. With as few as k classes top-k is None: it
    is always 1.
    """

    # --- to keep ----------------------------------------------------------------------------------------

    def as_dict(self) -> dict[str, Any]:
        """All figures as plain values, for JSON: None where not defined. All photos: `rows`, `to_csv`."""
        per_class = {
            name: {**asdict(figures), "roc_area": self.roc[name].area if name in self.roc else None,
                   "average_precision": self.pr[name].area if name in self.pr else None}
            for name, figures in self.per_class.items()
        }
        confusion, confused = self.confusion, self.most_confused
        facts = {
            "model": self.model_name, "data": self.data_name, "split": self.split, "photos": len(self),
            "tta": self.tta, "classes": list(self.classes), "top1": self.top1,
            "top1_interval": self.top1_interval, "top5": self.top5, "loss": self.loss,
            "balanced": self.balanced, "exact_match": self.exact_match,
            "mean_average_precision": self.mean_average_precision,
            "calibration": asdict(self.calibration), "per_class": per_class,
            "confusion": None if confusion is None else confusion.tolist(),
            "most_confused": None if confused is None else [asdict(pair) for pair in confused],
            "worst": [asdict(row) for row in self.worst],
            "throughput": asdict(self.throughput) if self.throughput else None,
            "broken": [{"name": name, "error": sentence} for name, sentence in self.broken],
            "notes": list(self.notes),
        }
        if self.topk not in (1, 5):
            facts[f"top{self.topk}"] = self.top(self.topk)
        return plain(facts)

    def to_csv(self, path: str | os.PathLike) -> None:
        """Write a line a photo: name, file, true and predicted class, its probability, loss, right.

        A name that a spreadsheet would take for a formula has an apostrophe in front.
        """
        file = io.StringIO(newline="")
        writer = csv.writer(file)
        writer.writerow(["name", "file", "true", "predicted", "probability", "loss", "right"])
        for row in self.rows:
            cells = (row.name, row.file, row.true, row.predicted, row.probability, row.loss, int(row.right))
            writer.writerow(list(map(safe_cell, cells)))
        write_text(given_path(path), file.getvalue())

    def plot_confusion(self) -> Figure:
        """The confusion matrix; shades are shares of the true class. Raises ValueError for multi-label."""
        from explorer.training.evaluation import charts

        return charts.plot_confusion(self)

    def plot_reliability(self) -> Figure:
        """Confidence against the share of right answers."""
        from explorer.training.evaluation import charts

        return charts.plot_reliability(self)

    def plot_roc(self, classes: Sequence[str] | None = None) -> Figure:
        """ROC curves; classes: of these alone (None: of the ten with the smallest area)."""
        from explorer.training.evaluation import charts

        return charts.plot_curves(self, "roc", classes)

    def plot_pr(self, classes: Sequence[str] | None = None) -> Figure:
        """Precision against recall; classes: as in `plot_roc`."""
        from explorer.training.evaluation import charts

        return charts.plot_curves(self, "pr", classes)

    def plot(self, classes: Sequence[str] | None = None) -> Figure:
        """All of these charts in one figure; classes: of the curves, as in `plot_roc`."""
        from explorer.training.evaluation import charts

        return charts.plot_overview(self, classes)

    # --- to look at -------------------------------------------------------------------------------------

    def __repr__(self) -> str:
        from explorer.training.evaluation.report import headline

        return f"Evaluation({self.model_name!r}, {self.data_name!r}, {headline(self)})"

    def __str__(self) -> str:
        from explorer.training.evaluation.report import as_text

        return as_text(self)

    def _repr_html_(self) -> str:
        from explorer.training.evaluation.report import as_html

        return as_html(self)
