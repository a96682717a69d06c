"""What every comparison has, whatever its models answer with: sizes, speeds, and their table."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import ClassVar

from explorer.data.tables import safe_cell
from explorer.display.words import counted, sentence_of
from explorer.files import given_path, write_text
from explorer.inspection.compare.facts import (
    ACCURACIES,
    COLUMNS,
    COSTS,
    Axis,
    Column,
    ModelRow,
    Point,
    pareto_front,
)
from explorer.inspection.compare.joining import place_of
from explorer.inspection.compare.speed import REPEATS, WARM_UP, measure_speeds
from explorer.models.contract import VisionModel

FEW = 16              # photos of which all is kept, and
MOST_LOOKS = 64       # of all models together: a Look of a large network takes 10 to 20 MB

Progress = Callable[[int, int, str], None]  # done, of how many, of what


@dataclass(eq=False, repr=False, kw_only=True)
class Compared:
    """Several models that were shown the same photos. A model has the same place in all lists; a photo too.

    rows:     a ModelRow a model
    photos:   what each photo is called
    problems: (model or photo, why it is left out)
    notes:    sentences that a reader must know
    models:   the models themselves
    """

    rows: list[ModelRow]
    photos: tuple[str, ...]
    problems: list[tuple[str, str]]
    notes: tuple[str, ...]
    models: tuple[VisionModel, ...] = field(repr=False)

    kind: ClassVar[str] = "classes"  # what the models answer with: or "boxes", or "masks"
    columns: ClassVar[tuple[Column, ...]] = COLUMNS
    accuracies: ClassVar[dict[str, Axis]] = ACCURACIES
    many_at_once: ClassVar[int] = 8  # photos in a pass whose throughput is measured; 0: it is not

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(row.name for row in self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def standing(self) -> tuple[str, ...]:
        """Whether the best of the models really is better than the others; () where nobody judges them."""
        return ()

    # --- size, speed, accuracy ---

    @property
    def conditions(self) -> str:
        """What the speeds were measured on, in a sentence; "" where nothing was measured."""
        speeds = [row.latency or row.throughput for row in self.rows if row.latency or row.throughput]
        return speeds[0].conditions if speeds else ""

    @property
    def accuracy(self) -> str:
        """Which of `accuracies` the scatter shows unless told otherwise."""
        return "published"

    def points(self, x: str = "", y: str = "") -> tuple[list[Point], list[tuple[str, str]]]:
        """(the models that have both figures, those that have not with the reason).

        x: a key of COSTS, by default "latency" where it was measured, else "parameters"
        y: a key of `accuracies`, by default `accuracy`
        """
        x, y = self.axes(x, y)
        placed, left_out = [], []
        for row in self.rows:
            cost, value = COSTS[x].of(row), self.accuracies[y].of(row)
            if cost is None:
                left_out.append((row.name, COSTS[x].missing))
            elif value is None:
                left_out.append((row.name, self.accuracies[y].missing))
            else:
                placed.append((row.name, cost, value))
        best = pareto_front([(cost, value) for _, cost, value in placed])
        return [Point(name, cost, value, i in best) for i, (name, cost, value) in enumerate(placed)], left_out

    def axes(self, x: str, y: str) -> tuple[str, str]:
        x = x or ("latency" if any(row.latency for row in self.rows) else "parameters")
        y = y or self.accuracy
        for what, word, known in (("x", x, COSTS), ("y", y, self.accuracies)):
            if word not in known:
                raise ValueError(f"{what} is {word!r}: expected one of {', '.join(known)}.")
        return x, y

    # --- speed ---

    def measure(self, *, warm_up: int = WARM_UP, repeats: int = REPEATS, many: int | None = None,
                on_progress: Progress | None = None, should_stop: Callable[[], bool] | None = None) -> None:
        """Measure the speed of all models, which take turns: passes over one photo, then over `many` at once.

        many: 0 leaves the latter out;  None: as the kind of models has it

        What fails is a sentence in `problems`; what is stopped keeps the passes that were timed.
        """
        many = self.many_at_once if many is None else many
        for what, batch in (("latency", 1), ("throughput", many))[:2 if many else 1]:
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

    def table(self) -> tuple[list[str], list[list[str]]]:
        """(columns, a row of texts a model), as shown; columns in which no model has anything stay away."""
        shown = [column for column in self.columns if any(column.text(row) for row in self.rows)]
        texts = [[column.text(row) or "–" for column in shown] for row in self.rows]
        return [column.title for column in shown], texts

    @property
    def captions(self) -> list[str]:
        """What the numbers mean, what they were measured on, and what is left out, in sentences."""
        sentences = [f"Compared with {counted(len(self.photos), 'photo')}.", *self.notes, *self.standing]
        if self.conditions:
            sentences.append(f"Speed: {self.conditions}")
        return sentences + [f"{who}: {why}" for who, why in self.problems]

    def to_markdown(self) -> str:
        """The table as Markdown, with what the numbers mean below it."""
        columns, rows = self.table()

        def line(cells: Sequence[str]) -> str:
            return "| " + " | ".join(" ".join(cell.replace("|", "\\|").split()) for cell in cells) + " |"

        below = "".join(f"\n{sentence}\n" for sentence in self.captions)
        return "\n".join([line(columns), "|" + "---|" * len(columns), *map(line, rows)]) + "\n" + below

    def to_csv(self, path: str | os.PathLike | None = None, *, of: str = "models") -> str:
        """The table with full numbers, or with of="photos" a line a photo with every model's answer.

        Written into `path` too, where one is given.
        """
        if of not in ("models", "photos"):
            raise ValueError(f"of is {of!r}: expected 'models' or 'photos'.")
        text = self.models_csv() if of == "models" else self.photos_csv()
        if path is not None:
            write_text(given_path(path), text)
        return text

    def models_csv(self) -> str:
        file = io.StringIO()
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([column.key for column in self.columns])
        writer.writerows([safe_cell(column.value(row)) for column in self.columns] for row in self.rows)
        return file.getvalue()

    def photos_csv(self) -> str:
        raise NotImplementedError(f"{type(self).__name__} must define photos_csv")

    # --- names ---

    def model_index(self, model: str | int) -> int:
        return place_of(model, self.names, "model")

    def photo_index(self, photo: str | int) -> int:
        return place_of(photo, self.photos, "photo")


def _heard_timing(on_progress: Progress, batch: int, done: int, total: int) -> None:
    on_progress(done, total, f"timing passes over {counted(batch, 'photo')}")


def why(error: BaseException) -> str:
    """What went wrong with one of several models or photos, beside whose name it stands."""
    return sentence_of(error, scarce="There is not enough memory for it.", unexpected="{problem}")
