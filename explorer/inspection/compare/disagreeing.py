"""Where several models disagree: the photos of a comparison, sorted by how far apart the answers are."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from html import escape
from itertools import combinations
from typing import TYPE_CHECKING, overload

import numpy as np
from PIL import Image

from explorer.data.images import ImageError
from explorer.data.labels import class_key
from explorer.display.draw import thumbnail
from explorer.display.html import RichRepr, picture_html, plain_table, sentences_html
from explorer.display.words import counted, percent
from explorer.inspection.compare.answers import Answers
from explorer.inspection.compare.divergence import divergences_of, of_one_kind
from explorer.inspection.compare.facts import Disagreement
from explorer.inspection.compare.page import CELL, head_cell, region

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHOWN = 8    # photos in a notebook and in a figure
SIDE = 96    # pixels of a photo there
OF_NUMBERS = ("The models give numbers: the photos are sorted by how far these are apart, as the mean "
              "distance of two models, in their own unit.")
SIGNS = {True: "✓ right", False: "✗ wrong", None: ""}


@dataclass(frozen=True, eq=False, repr=False)
class Disagreements(Sequence[Disagreement], RichRepr):
    """The photos of a comparison, those first on which the models are farthest apart; it is a sequence.

    names:    all models, in the order of each row's answers
    together: those whose divergence it is: the most that know the same classes
    left_out: (model, why) of the others
    """

    rows: tuple[Disagreement, ...]
    names: tuple[str, ...]
    together: tuple[str, ...]
    left_out: tuple[tuple[str, str], ...]
    _opens: Callable[[str], Image.Image] = field(repr=False)

    @overload
    def __getitem__(self, index: int) -> Disagreement: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[Disagreement, ...]: ...

    def __getitem__(self, index: int | slice) -> Disagreement | tuple[Disagreement, ...]:
        return self.rows[index]

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Disagreement]:
        return iter(self.rows)

    def __repr__(self) -> str:
        first = f"; most on {self.rows[0].photo!r}" if self.rows else ""
        return f"Disagreements({counted(len(self), 'photo')}, {counted(len(self.names), 'model')}{first})"

    @property
    def most(self) -> float:
        """The largest divergence there can be, in bits: log2 of how many models are held together; 0 of none.
        """
        return math.log2(len(self.together)) if self.together else 0.0

    @property
    def of_numbers(self) -> bool:
        """Whether the models give numbers, so that photos come in the order of their `distance`."""
        shares = [share for row in self.rows for share in row.shares]
        return any(row.distance for row in self.rows) and all(share is None for share in shares)

    @property
    def sentences(self) -> tuple[str, ...]:
        """What the numbers mean, and which models have no part in them."""
        if self.of_numbers:
            return (OF_NUMBERS,)
        said = [f"{name} is left out of the bits: {why}" for name, why in self.left_out]
        if not self.together:
            return ("No two of the models know the same classes, so there are no bits; the photos are sorted "
                    "by how many first answers differ.", *said)
        return (f"Bits say how far apart the answers of {counted(len(self.together), 'model')} are "
                f"(Jensen-Shannon divergence): 0 where they are the same, at most {self.most:.3g} where they "
                "have nothing in common.", *said)

    def picture(self, photo: str, side: int = SIDE) -> Image.Image:
        """One of the photos, small; grey where it is gone."""
        try:
            return thumbnail(self._opens(photo).convert("RGB"), side)
        except (ImageError, OSError):
            return Image.new("RGB", (side, side), "grey")

    # --- on paper ---

    def figure(self, *, limit: int = SHOWN) -> Figure:
        """The first photos as a matplotlib Figure to keep, each with every model's answer."""
        from matplotlib.figure import Figure

        from explorer.inspection.compare.charts import captioned

        shown = self.rows[:limit]
        size = 2.2 + 1.9 * len(self.names), 1.1 + 0.95 * len(shown)
        figure = Figure(figsize=size, layout="constrained")
        grid = figure.subplots(len(shown), 1 + len(self.names), squeeze=False)
        for row, places in zip(shown, grid):
            for axes in places:
                axes.axis("off")
            places[0].imshow(np.asarray(self.picture(row.photo)))
            bits = "" if row.bits is None else f", {row.bits:.2f} bits"
            places[0].set_title(f"{row.photo}{bits}", fontsize=7, loc="left")
            for axes, text in zip(places[1:], self._cells(row)):
                axes.text(0.5, 0.5, "\n".join(text), ha="center", va="center", fontsize=8, wrap=True)
        for axes, name in zip(grid[0][1:], self.names):
            axes.set_title(name, fontsize=8)
        figure.suptitle("Where the models disagree most", fontsize=11)
        more = [f"The first {len(shown)} of {counted(len(self), 'photo')}."] if len(shown) < len(self) else []
        return captioned(figure, [*self.sentences, *more])

    def _repr_html_(self) -> str:
        """The first photos and every model's answers as plain HTML: no script, right in light and dark."""
        head = "".join(head_cell(text, "col", "") for text in ("photo", "bits", *self.names))
        body = "".join(map(self._row_html, self.rows[:SHOWN]))
        left = len(self) - SHOWN
        more = [f"… and {counted(left, 'photo')} on which they are closer."] if left > 0 else []
        table = region("Where the models disagree", plain_table(head, body))
        return f"<div>{table}{sentences_html([*more, *self.sentences])}</div>"

    def _row_html(self, row: Disagreement) -> str:
        picture = picture_html(self.picture(row.photo), row.photo, format="JPEG")
        bits = "–" if row.bits is None else f"{row.bits:.2f}"
        cells = [picture, escape(bits), *("<br>".join(map(escape, text)) for text in self._cells(row))]
        return f"<tr>{''.join(f'<td style={CELL!r}>{cell}</td>' for cell in cells)}</tr>"

    @staticmethod
    def _cells(row: Disagreement) -> list[list[str]]:
        """Of each model the lines: what it answers, how sure it is, whether that is right."""
        return [[line for line in (answer, "" if share is None else percent(share), SIGNS[right]) if line]
                for answer, share, right in zip(row.answers, row.shares, row.right)]


def disagreements_of(result: Answers) -> Disagreements:
    """All photos of a comparison, sorted: see `Comparison.disagreements`."""
    telling = [i for i, labels in enumerate(result.labels) if labels]
    together, left_out = of_one_kind(result.names, result.keys, result.outputs)
    logits, keys = [result.logits[i] for i in together], [result.keys[i] for i in together]
    outputs = [meaning for i in together if (meaning := result.outputs[i]) is not None]
    bits = divergences_of(logits, outputs, keys) if together else None
    right = np.stack([result.right(i) for i in range(len(result))])  # [M, N]
    rows = []
    for j, photo in enumerate(result.photos):
        said = [result.keys[i][result.top1[i][j]] for i in telling]
        differ = [first != second for first, second in combinations(said, 2)]
        sure = {i: float(result.probabilities(i, j).max()) for i in telling}
        rows.append(Disagreement(
            photo, share=float(np.mean(differ)) if differ else 0.0,
            confidence=float(np.mean([*sure.values()])) if sure else 0.0, distance=_distance(result, j),
            answers=tuple(result.answer(i, j) for i in range(len(result))),
            bits=None if bits is None or math.isnan(bits[j]) else float(bits[j]),
            shares=tuple(map(sure.get, range(len(result)))),
            right=tuple(None if np.isnan(one) else bool(one) for one in right[:, j]),
            truth=_truth_by_name(result, j)))
    rows.sort(key=_how_far, reverse=True)
    names = tuple(result.names[i] for i in together)
    return Disagreements(tuple(rows), result.names, names, tuple(left_out), result.picture)


def _how_far(row: Disagreement) -> list[float]:
    """What rows are sorted by: what is no number (NaN) has no place in an order, and counts as 0."""
    numbers = (row.bits or 0.0, row.share, row.distance, row.confidence)
    return [0.0 if math.isnan(number) else number for number in numbers]


def _distance(result: Answers, photo: int) -> float:
    """Of the numbers that at least two models give, the first's mean distance; 0 without any."""
    for row in result.numbers(photo):
        values = [value for value in row.values if value is not None]
        if len(values) > 1:
            return float(np.mean([abs(first - second) for first, second in combinations(values, 2)]))
    return 0.0


def _truth_by_name(result: Answers, photo: int) -> tuple[str, ...]:
    """The right classes of a photo, sorted, spelled as a model does that knows them."""
    truth = result.truth[photo] if result.truth else frozenset()
    spelled = {class_key(label): label for labels in reversed(result.labels) for label in labels}
    return tuple(sorted(spelled.get(key, key) for key in truth))
