"""`uncertain`: the photos that a model, or several of them, are least sure of: those to label next.

    explorer.uncertain("tf_efficientnet_lite0", "new photos/")           # by the entropy of its answer
    explorer.uncertain([a, b, c], "new photos/")                         # by what the members disagree about
    explorer.uncertain(model, "new photos/", passes=20)                  # by dropout that stays on

A photo that everybody finds hard (a blurred one) and one that the members disagree about are two things: the
entropy of the mean answer counts both, the mutual information only the second, which a label can settle.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from explorer.arguments import checked, shown, whole
from explorer.data.photos import collect
from explorer.data.tables import safe_cell
from explorer.display.html import RichRepr, notes_html, row_html, table_html, title_html
from explorer.display.words import counted, number_text, percent
from explorer.files import given_path, write_text
from explorer.models.ensembles.given import named_members
from explorer.models.outputs import Outputs
from explorer.training.doubt.gallery import gallery_html
from explorer.training.doubt.members import asked_all, asked_often, parted

BY = {"entropy": "how open the answer is", "disagreement": "how much the members disagree",
      "margin": "how close the second class comes", "spread": "how far the members' answers lie apart"}
SHOWN, TABLE = 12, 20


@dataclass(frozen=True)
class UncertainPhoto:
    """One photo and how sure its answer is.

    index: its place among the photos that were given;  answer: the likeliest class of the mean answer, of
           numbers the mean itself;  probability: of it (None for numbers)
    entropy: of the mean answer, in nats;  disagreement: the part of it that comes from the members not saying
           the same (mutual information, BALD), in nats
    margin: the likeliest class's probability minus the second's
    spread: the standard deviation of the members' probability for the answer; of numbers that of the number,
           of several numbers the mean
    """

    index: int
    name: str
    file: str
    answer: str
    probability: float | None
    entropy: float | None
    disagreement: float | None
    margin: float | None
    spread: float


@dataclass(eq=False, repr=False)
class Uncertainty(RichRepr):
    """What members say of photos, and where they are least sure. It shows itself in a notebook.

    answers: [M, N, K] float64: of each member the probabilities, or numbers in their own unit
    weights: how much each member counts, [M], adding up to 1; None: all the same
    classes: names of the K;  members: names of the M, or of the passes
    names, files: of the photos, in their order;  problems: [(name, why)] of those that were left out
    by:      what `rows` are sorted by: "entropy", "disagreement" (mutual information, BALD), "margin" or
             "spread"
    rows:    all photos, the least sure first

    Source: N. Houlsby et al., Bayesian Active Learning for Classification and Preference Learning, 2011,
            arXiv 1112.5745.
    """

    answers: Tensor
    outputs: Outputs
    members: tuple[str, ...]
    names: tuple[str, ...]
    files: tuple[str, ...]
    by: str
    problems: list[tuple[str, str]] = field(default_factory=list)
    notes: tuple[str, ...] = ()
    _open: Callable[[int], Image.Image] | None = None
    weights: Tensor | None = None

    def __len__(self) -> int:
        return len(self.names)

    @property
    def classes(self) -> tuple[str, ...]:
        return self.outputs.labels

    @cached_property
    def mean(self) -> Tensor:
        """The mean answer, [N, K]."""
        return self._over_members(self.answers)

    @cached_property
    def entropy(self) -> Tensor:
        """Of the mean answer, [N] in nats; of several classes at once summed over the classes."""
        return self._entropy(self.mean)

    @cached_property
    def disagreement(self) -> Tensor:
        """The mutual information of answer and member (BALD), [N] in nats, at least 0."""
        return (self.entropy - self._over_members(self._entropy(self.answers))).clamp(min=0)

    @cached_property
    def margin(self) -> Tensor:
        """How far the likeliest class is before the second, [N]; of several at once how far the least sure
        one is from one half.
        """
        self._check_classes()
        if self.outputs.several:
            return 2 * (self.mean - 0.5).abs().amin(1)
        first, second = self.mean.topk(2, 1).values.unbind(1)
        return first - second

    @cached_property
    def spread(self) -> Tensor:
        """The standard deviation over the members, [N]; 0 for a single one."""
        apart = self._over_members((self.answers - self.mean) ** 2).sqrt()
        if self.outputs.numbers or self.outputs.several:
            return apart.mean(1)
        return apart.gather(1, self.mean.argmax(1, keepdim=True))[:, 0]

    def _over_members(self, values: Tensor) -> Tensor:
        """[M, ...] -> [...]: the mean, each member counting as much as it does."""
        if self.weights is None:
            return values.mean(0)
        return torch.tensordot(self.weights.to(values), values, dims=1)

    @cached_property
    def rows(self) -> list[UncertainPhoto]:
        worst = getattr(self, self.by)
        order = worst.argsort(descending=self.by != "margin", stable=True).tolist()
        return [self._row(i) for i in order]

    def _row(self, i: int) -> UncertainPhoto:
        mean = self.mean[i]
        if self.outputs.numbers:
            said = ", ".join(f"{name} {number_text(value)}" for name, value in
                             zip(self.classes, mean.tolist()))
            return UncertainPhoto(i, self.names[i], self.files[i], said, None, None, None, None,
                                  float(self.spread[i]))
        if self.outputs.several:
            yes = (mean > 0.5).nonzero()[:, 0].tolist()
            said = ", ".join(self.classes[k] for k in yes) or "none of them"
            p = float(torch.maximum(mean, 1 - mean).amin())
        else:
            best = int(mean.argmax())
            said, p = self.classes[best], float(mean[best])
        return UncertainPhoto(i, self.names[i], self.files[i], said, p, float(self.entropy[i]),
                              float(self.disagreement[i]), float(self.margin[i]), float(self.spread[i]))

    def _entropy(self, p: Tensor) -> Tensor:
        """[..., K] -> [...]"""
        self._check_classes()
        own = -torch.special.xlogy(p, p)
        return (own - torch.special.xlogy(1 - p, 1 - p)).sum(-1) if self.outputs.several else own.sum(-1)

    def _check_classes(self) -> None:
        if self.outputs.numbers:
            raise ValueError("Numbers have no entropy, disagreement or margin: ask for their spread.")

    def open_photo(self, row: UncertainPhoto) -> Image.Image:
        """That photo, upright RGB. Raises ImageError where it is gone, ValueError where none were given."""
        if self._open is None:
            raise ValueError("These answers have no photos, only their numbers.")
        return self._open(row.index)

    def to_csv(self, path: str | os.PathLike) -> None:
        """Write a line a photo, the least sure first. A name that a spreadsheet would take for a formula has
        an apostrophe in front.
        """
        file = io.StringIO(newline="")
        writer = csv.writer(file)
        writer.writerow(["name", "file", "answer", "probability", "entropy", "disagreement", "margin",
                         "spread"])
        for row in self.rows:
            figures = (row.probability, row.entropy, row.disagreement, row.margin, row.spread)
            writer.writerow([*map(safe_cell, (row.name, row.file, row.answer)),
                             *("" if one is None else one for one in figures)])
        write_text(given_path(path), file.getvalue())

    @property
    def sentence(self) -> str:
        """What it is, in words."""
        said = f"{counted(len(self.members), 'answer')} for each of {counted(len(self), 'photo')}"
        return f"{said}; the least sure first, by {self.by}: {BY[self.by]}."

    def __repr__(self) -> str:
        first = f" First: {self.rows[0].name}, {self._said(self.rows[0])}." if self.rows else ""
        return f"Uncertainty({self.sentence}{first})"

    def _said(self, row: UncertainPhoto) -> str:
        sure = "" if row.probability is None else f" ({percent(row.probability)})"
        value = getattr(row, self.by)
        return f"{row.answer}{sure}, {self.by} {number_text(value)}"

    def _repr_html_(self) -> str:
        left_out = [f"Left out, {name}: {why}" for name, why in self.problems[:5]]
        if len(self.problems) > 5:
            left_out.append(f"Left out: {len(self.problems) - 5} more photos that can't be opened.")
        figures = ("probability", "entropy", "margin")
        if len(self.members) > 1:
            figures = ("spread",) if self.outputs.numbers else (*figures, "disagreement", "spread")
        rows = "".join(row_html(row.name, [row.answer, *(number_text(getattr(row, one)) for one in figures)],
                                left=1) for row in self.rows[:TABLE])
        shown = gallery_html([(row, self._said(row)) for row in self.rows[:SHOWN]], self._open)
        return (f"<div>{title_html(self.sentence)}{notes_html([*self.notes, *left_out])}{shown}"
                f"{table_html(('photo', 'answer', *figures), rows, left=2)}</div>")


@checked(passes=whole(2, 10_000))
def uncertain(
    models: Any, photos: Any, *, by: str | None = None, passes: int | None = None, batch_size: int = 32,
    seed: int = 0, cache_dir: str | os.PathLike | None = None,
    on_progress: Callable[[int, int], None] | None = None, should_stop: Callable[[], bool] | None = None,
) -> Uncertainty:
    """Sort photos by how unsure the answers are. No labels are needed, and those that are there are ignored.

    models: a model, its name or a run, or several, in a list or a dict, of the same classes in any order.
            Of an `explorer.Ensemble` that takes the mean its members are asked, each counting as it does
    photos: whatever `run_folder` takes: a folder, a list of photos, a data set
    by:     "entropy", "disagreement", "margin" or "spread"; None: disagreement where there are several
            answers a photo, else entropy; of numbers spread
    passes: so many passes through one model with its dropout on (Monte-Carlo dropout), drawn by `seed`. None:
            one pass a model, whose scores are kept in `cache_dir` as `run_folder` does
    on_progress, should_stop: called after every batch, on_progress with (photos done, photos in all); True
            from should_stop ends it with the photos that all have answered to

    What comes back has the photos in `.rows`, the least sure first.
    Raises ValueError for a net without dropout where passes are wanted, for one model of numbers without
    passes (it has no doubt to show), for members of other classes; a member that can't be asked is named.
    """
    if by is not None and (not isinstance(by, str) or by not in BY):
        raise ValueError(f"by is {shown(by)}: expected one of {', '.join(BY)}.")
    members, found, weights = named_members(models, alone=True), collect(photos), None
    if passes is not None and len(members) > 1:
        raise ValueError(f"passes={passes} is for one model with dropout, and models are {len(members)}: "
                         "leave passes out.")
    heard = {"on_progress": on_progress, "should_stop": should_stop}
    if passes is not None:
        [(name, model)] = members.items()
        said = asked_often(name, model, found, passes, batch_size=batch_size, seed=seed, **heard)
    else:
        members, weights = parted(members)
        said = asked_all(members, found, batch_size=batch_size, cache_dir=cache_dir, **heard)
    if weights is not None:  # where it was stopped, not all members have answered
        own = weights[:len(said.answers)]
        weights = own / own.sum() if own.sum() > 0 else None
    by = by or _measure(said.outputs, len(said.answers))
    if (said.outputs.numbers or by in ("disagreement", "spread")) and len(said.answers) < 2:
        if len(members) > 1:
            raise ValueError(f"Stopped before two members had answered, and one answer a photo has no {by}.")
        raise ValueError(f"One answer a photo has no {by}: give several models, or passes=20 for one with "
                         "dropout.")
    if said.outputs.numbers and by != "spread":
        raise ValueError(f"by={by!r} is for classes, and the models give numbers: take by='spread'.")
    seen = len(said.kept) + len(said.problems)
    notes = (f"Stopped after {seen} of {len(found)} photos.",) if seen < len(found) else ()
    files = tuple(str(found.files[i] or "") if found.files else "" for i in said.kept)
    places: Mapping[int, int] = dict(enumerate(said.kept))
    names = tuple(found.names[i] for i in said.kept)
    return Uncertainty(said.answers, said.outputs, said.names, names, files, by, said.problems, notes,
                       lambda index: found.open_one(places[index]), weights)


def _measure(outputs: Outputs, answers: int) -> str:
    """What is sorted by where nobody says."""
    if outputs.numbers:
        return "spread"
    return "disagreement" if answers > 1 else "entropy"
