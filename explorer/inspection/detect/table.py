"""What a detector found in many photos: `DetectionTable`, a row a photo."""

from __future__ import annotations

import csv
import io
import json
import os
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from explorer.arguments import checked
from explorer.data.tables import safe_cell
from explorer.display.words import counted
from explorer.files import given_path, write_text
from explorer.inspection.detect.records import coco_record
from explorer.inspection.detect.result import Detections
from explorer.inspection.look.table import AnswerTable


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
class DetectionTable(AnswerTable[DetectionRow]):
    """The boxes in several photos, in the order of the photos. Iterates over its rows.

    names: of all classes;  ignored: how many files of the folder are no pictures;  notes: as in `Detections`
    """

    names: tuple[str, ...] = ()

    all_in = "to_csv() and to_coco()"

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

    def to_json(self) -> str:
        """[{"name", "boxes": [{"label", "index", "score", "box": [left, top, right, bottom]}], "error"}]."""
        rows = [{"name": row.name, "boxes": [] if row.found is None else row.found.as_rows(),
                 "error": row.error or None} for row in self.rows]
        return json.dumps(rows, ensure_ascii=False, indent=1)

    def to_coco(self) -> dict[str, Any]:
        """COCO's dict of images, annotations and categories, with a score each: what its tools read."""
        found = [(row.name, row.found) for row in self.rows if row.found is not None]
        return coco_record(found, self.names)

    def _counts(self) -> list[str]:
        boxes = sum(len(row.found) for row in self.rows if row.found is not None)
        return [*super()._counts(), counted(boxes, "thing")]

    def _answer(self, row: DetectionRow) -> str:
        """"3 person, 1 dog", or why there is no answer."""
        return f"⚠ {row.error}" if row.found is None else row.found.in_words
