"""Models side by side: what `compare` found, to be asked, drawn and written down."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from explorer.data.tables import safe_cell
from explorer.display.html import RichRepr
from explorer.display.words import counted
from explorer.files import given_path, write_text
from explorer.inspection.compare.answers import Answers, Progress, why
from explorer.inspection.compare.facts import COLUMNS
from explorer.inspection.compare.page import comparison_html
from explorer.inspection.compare.speed import REPEATS, WARM_UP, measure_speeds

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MANY_AT_ONCE = 8  # photos in a pass whose throughput is measured


@dataclass(eq=False, repr=False)
class Comparison(Answers, RichRepr):
    """What `compare` found: the `Answers`, with the speed of each model, charts, tables and a page.

    Its fields are those of `Answers`.
    """

    def __repr__(self) -> str:
        return f"Comparison({', '.join(self.names)}; {counted(len(self.photos), 'photo')})"

    # --- speed ---

    def measure(self, *, warm_up: int = WARM_UP, repeats: int = REPEATS, many: int = MANY_AT_ONCE,
                on_progress: Progress | None = None, should_stop: Callable[[], bool] | None = None) -> None:
        """Measure the speed of all models, which take turns: passes over one photo, then over `many` at once.

        What fails is a sentence in `problems`; what is stopped keeps the passes that were timed.
        """
        for what, batch in (("latency", 1), ("throughput", many)):
            working = list(range(len(self)))
            heard = on_progress and partial(_heard_timing, on_progress, batch)
            while working:
                try:
                    speeds = measure_speeds(
                        [self.models[i] for i in working], batch_size=batch, warm_up=warm_up, repeats=repeats,
                        on_progress=heard, should_stop=should_stop)
                except (ValueError, RuntimeError, MemoryError) as error:
                    working = self._without_the_one_that_fails(working, batch, error)
                    continue
                for i, speed in zip(working, speeds):
                    if speed is not None:
                        self.rows[i] = replace(self.rows[i], **{what: speed})
                break

    def _without_the_one_that_fails(self, working: list[int], batch: int, error: Exception) -> list[int]:
        """Those that manage a pass over so many photos; the others are named in `problems`."""
        able = []
        for i in working:
            try:
                measure_speeds([self.models[i]], batch_size=batch, warm_up=0, repeats=1)
                able.append(i)
            except (ValueError, RuntimeError, MemoryError) as its_own:
                problem = f"Not timed with {counted(batch, 'photo')}: {why(its_own)}"
                self.problems.append((self.names[i], problem))
        if len(able) == len(working):  # not the fault of one alone
            raise error
        return able

    # --- on paper ---

    def to_csv(self, path: str | os.PathLike | None = None, *, of: str = "models") -> str:
        """The table with full numbers, or with of="photos" a line a photo with every model's first answer.

        Written into `path` too, where one is given.
        """
        if of not in ("models", "photos"):
            raise ValueError(f"of is {of!r}: expected 'models' or 'photos'.")
        file = io.StringIO()
        writer = csv.writer(file, lineterminator="\n")
        if of == "models":
            writer.writerow([column.key for column in COLUMNS])
            writer.writerows([safe_cell(column.value(row)) for column in COLUMNS] for row in self.rows)
        else:
            heads = [f"{name}{what}" for name in self.names for what in ("", " probability")]
            writer.writerow(["photo", "right", *map(safe_cell, heads)])
            for j, photo in enumerate(self.photos):
                answers = [cell for i in range(len(self)) for cell in self._first(i, j)]
                right = " / ".join(sorted(self.truth[j])) if self.truth else ""
                writer.writerow(map(safe_cell, [photo, right, *answers]))
        if path is not None:
            write_text(given_path(path), file.getvalue())
        return file.getvalue()

    def _first(self, model: int, photo: int) -> tuple[str, Any]:
        index = int(self.top1[model][photo])
        if index < 0:
            return self.answer(model, photo), ""
        return self.labels[model][index], float(self.probabilities(model, photo)[index])

    def to_markdown(self) -> str:
        """The table as Markdown, with what the numbers mean below it."""
        columns, rows = self.table()

        def line(cells: Sequence[str]) -> str:
            return "| " + " | ".join(" ".join(cell.replace("|", "\\|").split()) for cell in cells) + " |"

        below = "".join(f"\n{sentence}\n" for sentence in self.captions)
        return "\n".join([line(columns), "|" + "---|" * len(columns), *map(line, rows)]) + "\n" + below

    def figure(self, kind: str = "scatter", **options: Any) -> Figure:
        """One side of the comparison as a matplotlib Figure to keep: `.savefig("it.png")` or "it.svg".

        kind: "scatter" (x, y as in `points`), "predictions" (photo, topk), "agreement",
              "maps" (stride, photo, limit), "cams" (photo, target)
        """
        from explorer.inspection.compare.charts import KINDS

        if kind not in KINDS:
            raise ValueError(f"kind is {kind!r}: expected one of {', '.join(KINDS)}.")
        return KINDS[kind](self, **options)

    def _repr_html_(self) -> str:
        """Table, answers to the first photo, agreement as plain HTML: no script, right in light and dark."""
        return comparison_html(self)


def _heard_timing(on_progress: Progress, batch: int, done: int, total: int) -> None:
    on_progress(done, total, f"timing passes over {counted(batch, 'photo')}")
