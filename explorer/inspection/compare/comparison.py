"""Models side by side: what `compare` found, to be asked, drawn and written down."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from explorer.data.tables import safe_cell
from explorer.display.html import RichRepr
from explorer.display.words import counted
from explorer.inspection.compare.answers import Answers
from explorer.inspection.compare.disagreeing import Disagreements, disagreements_of
from explorer.inspection.compare.page import comparison_html

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(eq=False, repr=False)
class Comparison(Answers, RichRepr):
    """What `compare` found: the `Answers`, with the speed of each model, charts, tables and a page.

    Its fields are those of `Answers`.
    """

    def __repr__(self) -> str:
        return f"Comparison({', '.join(self.names)}; {counted(len(self.photos), 'photo')})"

    def disagreements(self) -> Disagreements:
        """All photos, those first on which the models are farthest apart: by the Jensen-Shannon divergence of
        their answers in bits, from 0 to log2 of the number of models; among equals by how many pairs give
        different first answers, and how sure they are. Of models that give numbers, where these are farthest
        apart.

        Models that know other classes than the most do have no part in the bits: `.left_out` names them.
        """
        return disagreements_of(self)

    # --- on paper ---

    def photos_csv(self) -> str:
        """A line a photo with every model's first answer, and how far apart the models are, in bits."""
        file = io.StringIO()
        writer = csv.writer(file, lineterminator="\n")
        heads = [f"{name}{what}" for name in self.names for what in ("", " probability")]
        writer.writerow(["photo", "right", *map(safe_cell, heads), "divergence_bits"])
        bits = {row.photo: row.bits for row in self.disagreements()}
        for j, photo in enumerate(self.photos):
            answers = [cell for i in range(len(self)) for cell in self._first(i, j)]
            right = " / ".join(sorted(self.truth[j])) if self.truth else ""
            apart = bits[photo]
            writer.writerow(map(safe_cell, [photo, right, *answers, "" if apart is None else apart]))
        return file.getvalue()

    def _first(self, model: int, photo: int) -> tuple[str, Any]:
        index = int(self.top1[model][photo])
        if index < 0:
            return self.answer(model, photo), ""
        return self.labels[model][index], float(self.probabilities(model, photo)[index])

    def figure(self, kind: str = "scatter", **options: Any) -> Figure:
        """One side of the comparison as a matplotlib Figure to keep: `.savefig("it.png")` or "it.svg".

        kind: "scatter" (x, y as in `points`), "predictions" (photo, topk), "agreement",
              "maps" (stride, photo, limit), "cams" (photo, target), "disagreements" (limit)
        """
        from explorer.inspection.compare.charts import KINDS

        if kind == "disagreements":
            return self.disagreements().figure(**options)
        if kind not in KINDS:
            raise ValueError(f"kind is {kind!r}: expected one of {', '.join(KINDS)}, disagreements.")
        return KINDS[kind](self, **options)

    def _repr_html_(self) -> str:
        """Table, answers to the first photo, agreement as plain HTML: no script, right in light and dark."""
        return comparison_html(self)
