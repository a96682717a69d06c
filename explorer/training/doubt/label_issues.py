"""`label_errors`: photos whose labels are likely wrong, by confident learning.

    found = explorer.cross_validate("tf_efficientnet_lite0", "my photos").label_errors()
    found.rows[0]                                 # given "roses", looks like "tulips"
    explorer.label_errors(result)                 # of any evaluation of photos not learnt from

A model that never learnt from a photo, and that is surer of another class than it mostly is of its own
photos, speaks against the label. The ways in which labels are mixed up are counted, so that a class that is
hard to see is not blamed.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from PIL import Image

from explorer.arguments import checked, shown
from explorer.data.tables import safe_cell
from explorer.display.html import RichRepr, notes_html, row_html, side_by_side_html, table_html, title_html
from explorer.display.words import counted, percent
from explorer.files import given_path, write_text
from explorer.training.doubt.gallery import gallery_html
from explorer.training.doubt.same_photos import how_to_judge
from explorer.training.evaluation.evaluation import Evaluation

SHOWN, PAIRS = 12, 10
LEAST = 2e-6  # a threshold is no lower: a class that nobody believes in proves nothing


@dataclass(frozen=True)
class LabelIssue:
    """A photo whose label is likely wrong.

    index: its place in the evaluation;  given, suggested: what its label says, what the model says
    p_given, p_suggested: the model's probability of each;  margin: the first minus the second: the lower, the
    likelier is the label wrong
    """

    index: int
    name: str
    file: str
    given: str
    suggested: str
    p_given: float
    p_suggested: float

    @property
    def margin(self) -> float:
        return self.p_given - self.p_suggested


@dataclass(frozen=True, repr=False, eq=False)
class LabelErrors(RichRepr):
    """Labels that are likely wrong, the surest first.

    rows:    the photos;  photos: of how many
    confident: [K, K] counts: rows are given labels, columns what they confidently are; [K, 2, 2] for photos
               with several classes, (no, yes) for each class
    joint:   the same as estimated shares of all photos
    share:   the estimated share of labels that are wrong, 0..1
    """

    rows: tuple[LabelIssue, ...]
    photos: int
    classes: tuple[str, ...]
    confident: np.ndarray
    joint: np.ndarray
    model_name: str = ""
    notes: tuple[str, ...] = ()
    _open: Callable[[int], Image.Image] | None = field(default=None, repr=False)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def share(self) -> float:
        tables = self.joint if self.joint.ndim == 3 else self.joint[None]
        return float(np.mean([1 - table.trace() for table in tables]))

    @property
    def sentence(self) -> str:
        """The result in words."""
        return (f"{counted(len(self.rows), 'label')} of {self.photos:,} "
                f"{'is' if len(self.rows) == 1 else 'are'} likely wrong (estimated share of wrong labels: "
                f"{percent(self.share)})")

    def to_csv(self, path: str | os.PathLike) -> None:
        """Write a line a photo, to be checked by somebody. A name that a spreadsheet would take for a
        formula has an apostrophe in front.
        """
        file = io.StringIO(newline="")
        writer = csv.writer(file)
        writer.writerow(["name", "file", "given", "suggested", "probability given", "probability suggested"])
        for row in self.rows:
            cells = (row.name, row.file, row.given, row.suggested, row.p_given, row.p_suggested)
            writer.writerow(list(map(safe_cell, cells)))
        write_text(given_path(path), file.getvalue())

    def open_photo(self, row: LabelIssue) -> Image.Image:
        """That photo, upright RGB. Raises ImageError where it is gone, ValueError where none were given."""
        if self._open is None:
            raise ValueError("These labels have no photos, only their probabilities.")
        return self._open(row.index)

    def __repr__(self) -> str:
        return f"LabelErrors({self.sentence})"

    def _repr_html_(self) -> str:
        first = [(row, f"given {row.given}, looks like {row.suggested} ({percent(row.p_suggested)})")
                 for row in self.rows[:SHOWN]]
        counts: dict[tuple[str, str], int] = {}
        for row in self.rows:
            counts[row.given, row.suggested] = counts.get((row.given, row.suggested), 0) + 1
        pairs = sorted(counts.items(), key=lambda pair: -pair[1])[:PAIRS]
        rows = "".join(row_html(given, [suggested, f"{count:,}"], left=1) for (given, suggested), count in
                       pairs)
        table = table_html(("given", "looks like", "photos"), rows, left=2) if rows else ""
        return (f"<div>{title_html(self.sentence + '.')}{notes_html(self.notes)}"
                f"{side_by_side_html(table + gallery_html(first, self._open), gap=24)}</div>")


@checked
def label_errors(result: Evaluation) -> LabelErrors:
    """Photos whose labels are likely wrong: those that confidently belong to another class.

    result: of photos that the model has not learnt from, such as the out-of-fold answers of
            `cross_validate`. Of several classes a photo each yes or no is judged by itself

    What comes back has the photos in `.rows`, the likeliest error first.
    Raises ValueError for numbers, and where a class has no photo at all to tell how sure the model is of it.
    Source: C. G. Northcutt, L. Jiang, I. L. Chuang, Confident Learning: Estimating Uncertainty in Dataset
            Labels, 2021, arXiv 1911.00068, section 3 (the confident joint and its off-diagonal counts).
    """
    if not isinstance(result, Evaluation):
        raise TypeError(f"result is {shown(result)}: expected the result of explorer.evaluate, or of "
                        f"explorer.cross_validate (its .evaluation), for classes.{how_to_judge(result)}")
    p = result.probabilities.double().numpy()
    rows: list[LabelIssue] = []
    if result.multi_label:
        tables = []
        for k, name in enumerate(result.classes):
            labels = result.labels[:, k].numpy()
            two = np.stack((1 - p[:, k], p[:, k]), 1)
            table, off = confident_joint(labels, two)
            tables.append((table, _joint(table, labels)))
            rows += [_issue(result, i, (f"not {name}", name), labels, two, to) for i, to in off]
        confident, joint = (np.stack(each) for each in zip(*tables))
    else:
        labels = result.labels.numpy()
        confident, off = confident_joint(labels, p)
        joint = _joint(confident, labels)
        rows = [_issue(result, i, result.classes, labels, p, to) for i, to in off]
    notes = []
    if result.split in ("train", "all"):
        notes.append("Some of these photos may have been learnt from, labels and all: a model forgives the "
                     "errors that it knows by heart. The answers of explorer.cross_validate are of photos "
                     "that were not.")
    data = result.data
    rows.sort(key=lambda row: row.margin)
    return LabelErrors(tuple(rows), len(result), result.classes, confident, joint, result.model_name,
                       tuple(notes), None if data is None else data.open_one)


def confident_joint(labels: np.ndarray, p: np.ndarray) -> tuple[np.ndarray, list[tuple[int, int]]]:
    """(counts [K, K], [(photo, class)] of those that count beside the diagonal).

    A photo counts for class j where p[:, j] reaches the mean of the photos that are labelled j; of several
    such classes for the likeliest. Classes without photos are nobody's. labels: [N];  p: [N, K]
    """
    count = p.shape[1]
    has = np.bincount(labels, minlength=count) > 0
    bars = np.array([max(p[labels == j, j].mean(), LEAST) if has[j] else np.inf for j in range(count)])
    reached = p >= bars - 1e-6  # means of equal numbers differ in the last digit
    best = np.where(reached, p, -1.0).argmax(1)
    table, off = np.zeros((count, count), dtype=np.int64), []
    for i in np.flatnonzero(reached.any(1)).tolist():
        table[labels[i], best[i]] += 1
        # where the likeliest class of all is the given one, the label is not doubted
        if best[i] != labels[i] and p[i].argmax() != labels[i]:
            off.append((i, int(best[i])))
    return table, off


def _joint(table: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Counts as shares of all photos: each row as many as have that label, all together 1."""
    given = np.bincount(labels, minlength=len(table)).astype(float)
    sums = table.sum(1)
    rows = np.where(sums[:, None] > 0, table / np.maximum(sums, 1)[:, None], np.eye(len(table)))
    return rows * given[:, None] / given.sum()


def _issue(result: Evaluation, i: int, classes: tuple[str, ...], labels: np.ndarray, p: np.ndarray,
           to: int) -> LabelIssue:
    file = str(result.files[i]) if result.files else ""
    given = int(labels[i])
    return LabelIssue(i, result.names[i], file, classes[given], classes[to], float(p[i, given]),
                      float(p[i, to]))
