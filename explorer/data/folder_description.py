"""What a folder of photos means, as a person reads it: its classes, its parts, and what is left out."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

from explorer.data.folders import LeftOut, below, listed, printable
from explorer.display.html import cells_html, notes_html, row_html, sentences_html, table_html
from explorer.display.words import counted

ROWS_SHOWN = 24             # classes in the table of a notebook; the rest is counted


@dataclass(frozen=True)
class Part:
    """The photos of one split, or of all.

    role:   "train", "val" or "test"; "all" where the folder is not split
    folder: which folder was taken for it
    names, files, labels: of each photo, by class and in natural order: its path below `folder`, its file, its
            class index
    """

    role: str
    folder: Path
    names: tuple[str, ...] = field(repr=False)
    files: tuple[Path, ...] = field(repr=False)
    labels: tuple[int, ...] = field(repr=False)

    def __len__(self) -> int:
        return len(self.files)


@dataclass(frozen=True, repr=False)
class FolderDescription:
    """What `describe` found. Shows itself in a notebook as a table.

    photos:   every picture file of the folder, in natural order, labelled or not
    classes:  the names, in the order of the alphabet; each has photos. () where nobody says what they show
    parts:    the labelled photos: of "train", "val" and "test" where somebody has split them, else of "all";
              () without classes
    left_out: files and folders that are not taken, with the reason
    notes:    further sentences that a reader must know
    problem:  why nothing can be learnt from the folder, with what to do; "" where something can
    """

    folder: Path
    photos: tuple[Path, ...]
    classes: tuple[str, ...]
    parts: tuple[Part, ...]
    left_out: tuple[LeftOut, ...]
    notes: tuple[str, ...] = ()
    problem: str = ""

    @property
    def splits(self) -> dict[str, Path]:
        """Which folder was taken for "train", "val", "test"; {} where nobody has split them."""
        return {part.role: part.folder for part in self.parts if part.role != "all"}

    @property
    def counts(self) -> dict[str, dict[str, int]]:
        """Photos of each class in each part."""
        found = {part.role: Counter(part.labels) for part in self.parts}
        return {name: {role: count[i] for role, count in found.items()}
                for i, name in enumerate(self.classes)}

    @property
    def sentences(self) -> tuple[str, ...]:
        """What was left out, and the notes."""
        return (*map(str, self.left_out), *self.notes)

    def part(self, role: str) -> Part | None:
        return next((part for part in self.parts if part.role == role), None)

    def place(self, part: Part) -> str:
        """A part's folder as seen from the described one: "Train", "train/images"; "" for itself."""
        return printable(below(str(self.folder), str(part.folder)))

    def __repr__(self) -> str:
        return f"FolderDescription({printable(str(self.folder))!r}, {self._summary()})"

    def _summary(self) -> str:
        facts = [counted(len(self.photos), "photo")]
        if self.parts:
            facts.append(f"{len(self.classes)} class{'es' * (len(self.classes) != 1)}")
        facts += [f"{part.role}: {len(part):,} in {self.place(part)}" for part in self.parts
                  if part.role != "all"]
        if self.left_out:
            facts.append(f"{sum(one.count for one in self.left_out):,} left out")
        return ", ".join(facts)

    def _repr_mimebundle_(self, include=None, exclude=None) -> dict[str, str]:
        lines = [repr(self), self.problem, *self.sentences]
        return {"text/plain": "\n".join(filter(None, lines)), "text/html": self._repr_html_()}

    def _repr_html_(self) -> str:
        """Tables without script: photos of each class in each part; what was left out, and why."""
        parts = [f"<p style='margin:.3em 0'><b>{escape(printable(str(self.folder)))}</b>: "
                 f"{escape(self._summary())}</p>"]
        if self.problem:
            parts.append(notes_html([self.problem]))
        if self.parts:
            rows = "".join(row_html(name, [f"{count:,}" for count in counts.values()])
                           for name, counts in list(self.counts.items())[:ROWS_SHOWN])
            parts.append(table_html(("class", *(part.role for part in self.parts)), rows, left=1))
            rest = len(self.classes) - ROWS_SHOWN
            parts.append(sentences_html([f"and {rest} more classes"] if rest > 0 else []))
        if self.left_out:
            rows = "".join(f"<tr>{cells_html((listed(one.names, one.count), one.why), left=2)}</tr>"
                           for one in self.left_out)
            parts.append(table_html(("left out", "why"), rows))
        return f"<div>{''.join(parts)}{sentences_html(self.notes)}</div>"
