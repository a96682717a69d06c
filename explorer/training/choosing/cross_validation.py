"""`CrossValidation`: what every fold said, their mean and spread, and an honest answer to each photo."""

from __future__ import annotations

import csv
import io
import os
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from explorer.arguments import checked
from explorer.display.charts import no_formulas
from explorer.display.html import (
    BLUE,
    ORANGE,
    RichRepr,
    notes_html,
    row_html,
    sentences_html,
    side_by_side_html,
    table_html,
    title_html,
)
from explorer.display.words import counted, number_text, percent
from explorer.files import given_path, write_text
from explorer.models.contract import VisionModel
from explorer.training.choosing.scored import Judged, figure_of
from explorer.training.doubt.label_issues import LabelErrors, label_errors
from explorer.training.evaluation.evaluation import Evaluation

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, eq=False)
class Fold:
    """number, repeat: from 1;  learnt: photos that were learnt from
    result:  the evaluation of the fold's own photos
    history: an epoch a row, as `Run.history`; no epoch was chosen by it
    """

    number: int
    repeat: int
    learnt: int
    result: Judged
    history: list[dict[str, Any]]

    @property
    def value(self) -> float:
        """The figure of this fold."""
        return figure_of(self.result)[1]


@dataclass(frozen=True, eq=False, repr=False)
class CrossValidation(RichRepr):
    """A model and its settings, judged by every photo once. It shows itself in a notebook.

    folds:      one `Fold` each, of all repeats
    evaluation: the out-of-fold answers to all photos (of the first repeat), each by a model that has not
                learnt from it: confusion, worst photos and all else that an evaluation has
    model:      learnt from all photos (refit=True), or None; the folds say how good such a model is
    figure:     what the folds are told by: "top-1 accuracy", "share with all classes right", "mean absolute
                error"
    settings:   those of `finetune` that were given
    """

    name: str
    data_name: str
    folds: tuple[Fold, ...]
    evaluation: Judged
    settings: dict[str, Any]
    seconds: float
    notes: tuple[str, ...] = ()
    model: VisionModel | None = None

    @property
    def figure(self) -> str:
        return figure_of(self.evaluation)[0]

    @property
    def values(self) -> list[float]:
        """The figure of each fold."""
        return [fold.value for fold in self.folds]

    @property
    def mean(self) -> float:
        """Over the folds."""
        return statistics.fmean(self.values)

    @property
    def spread(self) -> float:
        """The standard deviation over the folds (divided by n - 1); 0 for a single one."""
        return statistics.stdev(self.values) if len(self.folds) > 1 else 0.0

    @property
    def sentence(self) -> str:
        """The result in words."""
        judged = counted(len(self.evaluation), "photo")
        return (f"{self.name} on {self.data_name}: {self.figure} {self.text(self.mean)}, give or take "
                f"{self.text(self.spread)} from fold to fold ({counted(len(self.folds), 'fold')}, {judged}, "
                "each judged by a model that has not learnt from it)")

    def text(self, value: float) -> str:
        """A value of the figure in words."""
        return percent(value) if isinstance(self.evaluation, Evaluation) else number_text(value)

    def label_errors(self) -> LabelErrors:
        """Photos whose labels are likely wrong; see `explorer.label_errors`."""
        if not isinstance(self.evaluation, Evaluation):
            raise ValueError("Label errors are found among classes, and these photos have numbers: look at "
                             "evaluation.worst.")
        return label_errors(self.evaluation)

    @checked
    def to_csv(self, path: str | os.PathLike) -> None:
        """Write a line a fold; `evaluation.to_csv` writes a line a photo."""
        file = io.StringIO(newline="")
        writer = csv.writer(file)
        writer.writerow(["fold", "repeat", "learnt from", "judged", self.figure, "seconds"])
        for fold in self.folds:
            seconds = fold.history[-1]["seconds"] if fold.history else ""
            writer.writerow([fold.number, fold.repeat, fold.learnt, len(fold.result), fold.value, seconds])
        write_text(given_path(path), file.getvalue())

    def plot(self) -> Figure:
        """Each fold's figure and validation loss; for one class a photo also the out-of-fold confusion."""
        from explorer.training.evaluation.charts import Chart, draw_confusion

        both = isinstance(self.evaluation, Evaluation) and not self.evaluation.multi_label
        chart = Chart(15 if both else 10, 4.5)
        first, second, *third = chart.subplots(1, 3 if both else 2)
        first.plot(range(1, len(self.folds) + 1), self.values, "o", color=BLUE)
        first.axhline(self.mean, color=ORANGE, label=f"mean {self.text(self.mean)}")
        first.axhspan(self.mean - self.spread, self.mean + self.spread, color=ORANGE, alpha=0.15,
                      label=f"spread {self.text(self.spread)}")
        first.set(xlabel="fold", ylabel=self.figure, title=self.name)
        first.set_xticks(range(1, len(self.folds) + 1))
        first.legend(fontsize="small")
        for fold in self.folds:
            second.plot([row["epoch"] + 1 for row in fold.history], [row["val_loss"] for row in fold.history],
                        alpha=0.7, label=f"fold {fold.number}")
        second.set(xlabel="epoch", ylabel="loss of the fold's own photos", title="Loss by epoch")
        if isinstance(self.evaluation, Evaluation) and third:
            draw_confusion(third[0], self.evaluation)
            third[0].set_title("Out-of-fold answers")
        return no_formulas(chart)

    def __repr__(self) -> str:
        return f"CrossValidation({self.sentence})"

    def _repr_html_(self) -> str:
        from explorer.training.evaluation.report import confusion_html

        rows = "".join(_row(fold, self.text, several=self.folds[-1].repeat > 1) for fold in self.folds)
        parts = table_html(("fold", "learnt from", "judged", self.figure), rows, left=1)
        if isinstance(self.evaluation, Evaluation) and not self.evaluation.multi_label:
            parts += confusion_html(self.evaluation)
        given = ", ".join(f"{key}={value!r}" for key, value in self.settings.items())
        told = [f"Settings: {given}."] if given else []
        return (f"<div>{title_html(self.sentence + '.')}{notes_html(self.notes)}{sentences_html(told)}"
                f"{side_by_side_html(parts, gap=24)}</div>")


def _row(fold: Fold, text: Any, *, several: bool) -> str:
    name = f"{fold.number}, repeat {fold.repeat}" if several else str(fold.number)
    cells: Sequence[str] = (f"{fold.learnt:,}", f"{len(fold.result):,}", text(fold.value))
    return row_html(name, cells)
