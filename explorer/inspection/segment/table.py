"""What a network found in many photos: `SegmentationTable`, a row a photo."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from html import escape
from pathlib import Path, PurePosixPath

from explorer.arguments import checked
from explorer.data.tables import safe_cell
from explorer.display.html import LINE, RichRepr, notes_html
from explorer.display.words import counted, percent
from explorer.files import given_path, make_folder, write_text, write_whole
from explorer.inspection.segment.result import Segmentation

ROWS_SHOWN = 50  # in a notebook; the table itself has all
CLASSES_SHOWN = 5  # of one photo


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
class SegmentationTable(RichRepr):
    """The masks of several photos, in the order of the photos. Iterates over its rows.

    labels: of all classes;  ignored: how many files of the folder are no pictures
    notes:  as in `Segmentation`
    """

    model_name: str
    labels: tuple[str, ...] = ()
    rows: list[SegmentationRow] = field(default_factory=list)
    ignored: int = 0
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[SegmentationRow]:
        return iter(self.rows)

    def __getitem__(self, index):
        return self.rows[index]

    @property
    def errors(self) -> list[SegmentationRow]:
        """The rows of the pictures that could not be opened."""
        return [row for row in self.rows if row.error]

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
            for index in row.found.found:
                pixels = int(row.found.counts[index])
                share = pixels / row.found.mask.numel()
                label = safe_cell(self.labels[index])
                writer.writerow([safe_cell(row.name), label, index, pixels, share, ""])
        return file.getvalue()

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

    def __repr__(self) -> str:
        return f"SegmentationTable({self.model_name!r}, {self._summary()})"

    def _summary(self) -> str:
        parts = [counted(len(self.rows), "photo")]
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
        more = f"<p>… and {left_out} more: see to_csv() and save().</p>" if left_out else ""
        title = f"<b>{escape(self.model_name)}</b>: {escape(self._summary())}"
        return (f"<div><p style='{LINE}'>{title}</p>{notes_html(self.notes)}"
                f"<table style='border-collapse:collapse'><tbody>{''.join(body)}</tbody></table>{more}</div>")


def _answer(row: SegmentationRow) -> str:
    """"background 80%, cat 20%", or why there is no answer."""
    if row.found is None:
        return f"⚠ {row.error}"
    shares = list(row.found.shares.items())
    more = f" and {len(shares) - CLASSES_SHOWN} more" if len(shares) > CLASSES_SHOWN else ""
    return ", ".join(f"{label} {percent(share)}" for label, share in shares[:CLASSES_SHOWN]) + more
