"""What a detector found in many photos: `DetectionTable`, a row a photo."""

from __future__ import annotations

import csv
import io
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from html import escape
from typing import Any

from explorer.arguments import checked
from explorer.data.tables import safe_cell
from explorer.display.html import LINE, RichRepr, notes_html
from explorer.display.words import counted
from explorer.files import given_path, write_text
from explorer.inspection.detect.records import coco_record
from explorer.inspection.detect.result import Detections

ROWS_SHOWN = 50  # in a notebook; the table itself has all


@dataclass(frozen=True)
class DetectionRow:
    """One photo of a table.

    name:  its file name (within the folder), or "image 3" for a picture that has none
    found: what was found in it; None if the picture could not be opened
    error: why it could not be opened, in one sentence, else ""
    """

    name: str
    found: Detections | None
    error: str = ""
    thumbnail: str = field(default="", repr=False, compare=False)  # a data URI, for the first rows

    @property
    def counts(self) -> Counter[str]:
        """How many of each class."""
        return Counter(self.found.labels if self.found is not None else ())


@dataclass(repr=False)
class DetectionTable(RichRepr):
    """The boxes in several photos, in the order of the photos. Iterates over its rows.

    names: of all classes;  ignored: how many files of the folder are no pictures;  notes: as in `Detections`
    """

    model_name: str
    names: tuple[str, ...] = ()
    rows: list[DetectionRow] = field(default_factory=list)
    ignored: int = 0
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[DetectionRow]:
        return iter(self.rows)

    def __getitem__(self, index):
        return self.rows[index]

    @property
    def errors(self) -> list[DetectionRow]:
        """The rows of the pictures that could not be opened."""
        return [row for row in self.rows if row.error]

    @checked
    def to_csv(self, path: str | os.PathLike) -> None:
        """Write a line a box: name, label, index, score, left, top, right, bottom; and a line an error.

        Pixels of the photo. A name or label that a spreadsheet would take for a formula has an apostrophe in
        front. A photo in which nothing was found has a line with its name alone.
        """
        file = io.StringIO(newline="")
        writer = csv.writer(file)
        facts = ("label", "index", "score", "left", "top", "right", "bottom")
        writer.writerow(["name", *facts, "error"])
        for row in self.rows:
            if row.found is None or not len(row.found):
                writer.writerow([safe_cell(row.name), *[""] * len(facts), safe_cell(row.error)])
                continue
            found = row.found
            lines = zip(found.labels, found.indices.tolist(), found.scores.tolist(), found.boxes.tolist())
            for label, index, score, box in lines:
                writer.writerow([safe_cell(row.name), safe_cell(label), index, score, *box, ""])
        write_text(given_path(path), file.getvalue())

    def to_coco(self) -> dict[str, Any]:
        """COCO's dict of images, annotations and categories, with a score each: what its tools read."""
        found = [(row.name, row.found) for row in self.rows if row.found is not None]
        return coco_record(found, self.names)

    def __repr__(self) -> str:
        return f"DetectionTable({self.model_name!r}, {self._summary()})"

    def _summary(self) -> str:
        boxes = sum(len(row.found) for row in self.rows if row.found is not None)
        parts = [counted(len(self.rows), "photo"), counted(boxes, "thing")]
        if self.errors:
            parts.append(f"{len(self.errors)} could not be opened")
        if self.ignored:
            parts.append(f"{counted(self.ignored, 'other file')} ignored")
        return ", ".join(parts)

    def __str__(self) -> str:
        lines = [f"{self.model_name}: {self._summary()}", *self.notes]
        return "\n".join([*lines, *(f"{row.name}  {_answer(row)}" for row in self.rows)])

    def _repr_html_(self) -> str:
        """A plain HTML table, without script, of the first rows."""
        cell = "text-align:left;padding:4px 8px;vertical-align:middle"
        body = []
        for row in self.rows[:ROWS_SHOWN]:
            picture = f"<img alt='' src='{row.thumbnail}'>" if row.thumbnail else ""
            name = f"<th scope='row' style='{cell};font-weight:normal'>{escape(row.name)}</th>"
            said = escape(_answer(row))
            body.append(f"<tr><td style='{cell}'>{picture}</td>{name}<td style='{cell}'>{said}</td></tr>")
        left_out = len(self.rows) - len(body)
        more = f"<p>… and {left_out} more: see to_csv() and to_coco().</p>" if left_out else ""
        title = f"<b>{escape(self.model_name)}</b>: {escape(self._summary())}"
        return (f"<div><p style='{LINE}'>{title}</p>{notes_html(self.notes)}"
                f"<table style='border-collapse:collapse'><tbody>{''.join(body)}</tbody></table>{more}</div>")


def _answer(row: DetectionRow) -> str:
    """"3 person, 1 dog", or why there is no answer."""
    if row.error:
        return f"⚠ {row.error}"
    return ", ".join(f"{count} {label}" for label, count in row.counts.most_common()) or "nothing"
