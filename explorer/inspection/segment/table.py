"""What a network found in many photos: `SegmentationTable`, a row a photo."""

from __future__ import annotations

import csv
import io
import json
import os
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from explorer.arguments import checked
from explorer.data.tables import safe_cell
from explorer.files import given_path, make_folder, write_text, write_whole
from explorer.inspection.look.table import AnswerTable
from explorer.inspection.segment.result import Segmentation


@dataclass(frozen=True)
class SegmentationRow:
    """One photo of a table.

    name:  its file name (within the folder), or "image 3" for a picture that has none
    found: its mask; None if the picture could not be opened
    error: why it could not be opened, in one sentence, else ""
    """

    name: str
    found: Segmentation | None
    error: str = ""
    thumbnail: str = field(default="", repr=False, compare=False)  # a data URI, for the first rows


@dataclass(repr=False)
class SegmentationTable(AnswerTable[SegmentationRow]):
    """The masks of several photos, in the order of the photos. Iterates over its rows.

    labels: of all classes;  ignored: how many files of the folder are no pictures
    notes:  as in `Segmentation`
    """

    labels: tuple[str, ...] = ()

    all_in = "to_csv() and save()"

    @checked
    def to_csv(self, path: str | os.PathLike) -> None:
        """Write a line for each class in a photo: name, label, index, pixels, share; and a line an error.

        share: of the photo's pixels, 0 to 1. A name or label that a spreadsheet would take for a formula has
        an apostrophe in front.
        """
        write_text(given_path(path), self._csv())

    def _csv(self) -> str:
        file = io.StringIO(newline="")
        writer = csv.writer(file)
        writer.writerow(["name", "label", "index", "pixels", "share", "error"])
        for row in self.rows:
            if row.found is None:
                writer.writerow([safe_cell(row.name), "", "", "", "", safe_cell(row.error)])
                continue
            for part in row.found.as_rows():
                writer.writerow([safe_cell(row.name), safe_cell(part["label"]), part["index"], part["pixels"],
                                 part["share"], ""])
        return file.getvalue()

    def to_json(self) -> str:
        """[{"name", "classes": [{"label", "index", "pixels", "share"}], "error"}], the largest first."""
        rows = [{"name": row.name, "classes": [] if row.found is None else row.found.as_rows(),
                 "error": row.error or None} for row in self.rows]
        return json.dumps(rows, ensure_ascii=False, indent=1)

    @checked
    def save(self, folder: str | os.PathLike) -> Path:
        """Write every mask as a PNG of class indices with colours, and "masks.csv", the table, beside them.

        A mask is called as its photo: "trip/a.jpg" becomes "trip/a.png"; where two would have the same name,
        the photo's ending stays in it. Returns the folder, which is made where it is not there.
        Raises DiskError where it can't be written, ValueError for more than 256 classes.
        """
        target = make_folder(given_path(folder, "folder"))
        for name, row in zip(self._file_names(), self.rows):
            if row.found is None:
                continue
            picture, path = row.found.picture(), target.joinpath(*PurePosixPath(name).parts)
            make_folder(path.parent)
            write_whole(path, lambda beside, picture=picture: picture.save(beside, "PNG"))
        write_text(target / "masks.csv", self._csv())
        return target

    def _file_names(self) -> list[str]:
        """A name a row, "trip/a.png", each once; of a full path the file's name alone."""
        names, taken = [], set()
        for row in self.rows:
            place = PurePosixPath(row.name.replace("\\", "/"))
            if place.is_absolute() or ":" in place.parts[0] or ".." in place.parts:
                place = PurePosixPath(place.name)
            name, number = str(place.with_suffix(".png")), 2
            if name.lower() in taken:
                name = f"{place}.png"
            while name.lower() in taken:
                name, number = f"{place}-{number}.png", number + 1
            taken.add(name.lower())
            names.append(name)
        return names

    def _answer(self, row: SegmentationRow) -> str:
        """"background 80%, cat 20%", or why there is no answer."""
        return f"⚠ {row.error}" if row.found is None else row.found.in_words
