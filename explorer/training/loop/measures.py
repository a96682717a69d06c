"""The figure that a run is judged by beside its loss: right answers of classes, the mean error of numbers, the
average precision of boxes, the overlap of masks.

    measure = measure_of(run)                     # of a run, one from a folder, or anything with a `history`
    measure.text(run.history[-1][measure.judged]) # '93.3 %', or '0.42'
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from explorer.display.html import cells_html, table_html


@dataclass(frozen=True)
class Measure:
    """How a figure is called, read and written.

    key:    what a row of `run.history`, and a `Batch`, call it;  judged: that of the validation photos
    name:   in a sentence, a legend or a heading;  word: in a narrow table
    higher: whether more is better;  share: whether it is one, 0..1, which is shown in percent
    noun:   what the model's answers are, in the plural
    learnt: whether batches that are learnt from have one too, not only the photos to judge by
    """

    key: str
    name: str
    word: str
    higher: bool
    share: bool
    noun: str = "classes"
    learnt: bool = True

    @property
    def judged(self) -> str:
        return f"val_{self.key}"

    def text(self, value: float | None) -> str:
        """For a person: "93.3 %", or a number with three digits."""
        if value is None or not math.isfinite(value):
            return "–"
        return f"{100 * value:.1f} %" if self.share else f"{value:.3g}"

    def says(self, value: float | None) -> str:
        """As a phrase: "93.3 % right", "MAE 0.42", "AP50 61.0 %"."""
        return f"{self.text(value)} right" if self.key == "top1" else f"{self.word} {self.text(value)}"


TOP1 = Measure("top1", "right answers", "right", higher=True, share=True)
MAE = Measure("mae", "mean absolute error", "MAE", higher=False, share=False, noun="numbers")
# Of boxes, as COCO and Pascal VOC count it; of masks, over the classes that there are. Both need answers in
# full, which a batch that is learnt from does not give.
AP50 = Measure("ap50", "average precision at IoU 0.5", "AP50", higher=True, share=True, learnt=False)
MIOU = Measure("miou", "mean IoU", "mIoU", higher=True, share=True, learnt=False)
MEASURES = (TOP1, MAE, AP50, MIOU)
#: task of a model -> its measure, where classes and numbers have their own
OF_TASK = {"detection": AP50, "segmentation": MIOU}


def best_of(history: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    """The row of the best epoch so far; None before the first."""
    return next((row for row in reversed(history) if row.get("best")), None)


def best_text(run: Any) -> str:
    """The figure of a run's best epoch: "93.3 %", "MAE 0.42", "AP50 61.0 %". It must have one."""
    measure = measure_of(run)
    text = measure.text(run.best.get(measure.judged))
    return text if measure is TOP1 else f"{measure.word} {text}"


def measure_in(row: Mapping[str, Any]) -> Measure:
    """The one that a row of a history has."""
    return next((measure for measure in MEASURES if row.get(measure.judged) is not None), TOP1)


def measure_of(run: Any) -> Measure:
    """The one of a run, also of one that was opened from a folder, or of which only the history is known."""
    if run.history:
        return measure_in(run.history[0])
    model = getattr(run, "model", None)
    if (measure := OF_TASK.get(getattr(model, "task", ""))) is not None:
        return measure
    return MAE if getattr(getattr(model, "config", None), "outputs", "") == "numbers" else TOP1


def epochs_html(run: Any, *, seconds: bool = False) -> str:
    """The figures of every epoch as a table, the best in bold. seconds: also how long each took"""
    measure = measure_of(run)
    parts = part_names(run)
    rows = []
    for row in run.history:
        values = [str(row["epoch"] + 1), f"{row['loss']:.3f}"]
        values += [f"{row['parts'][name]:.3f}" if name in (row.get("parts") or {}) else "–" for name in parts]
        values += [measure.text(row[measure.key])] if measure.learnt else []
        values += [f"{row['val_loss']:.3f}", measure.text(row[measure.judged])]
        values += [f"{row['seconds']:.1f}"] if seconds else []
        weight = "bold" if row is run.best else "normal"
        rows.append(f"<tr style='font-weight:{weight}'>{cells_html(values)}</tr>")
    titles = ["epoch", "loss", *map(part_words, parts), *[measure.word] * measure.learnt, "loss, judged",
              f"{measure.word}, judged"]
    return table_html(titles + ["seconds"] * seconds, "".join(rows), left=0)


def part_names(run: Any) -> list[str]:
    """The parts that the loss of a run has, in their order; [] of a loss in one piece, as of classes."""
    return list(dict.fromkeys(name for row in run.history for name in row.get("parts") or ()))


def part_words(name: str) -> str:
    """A part of the loss for a person: "loss_box_reg" is "box reg"."""
    return name.removeprefix("loss_").replace("_", " ")
