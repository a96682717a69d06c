"""What a model says of many photos, a row a photo: what its tables share, whatever they hold."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from html import escape
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from explorer.display.html import LINE, RichRepr, notes_html
from explorer.display.words import counted

ROWS_SHOWN = 50  # in a notebook; the table itself has all


class AnswerRow(Protocol):
    """A photo of a table: what it is called, why it could not be opened ("" where it could), and a data URI
    of a small picture, or "".
    """

    @property
    def name(self) -> str: ...

    @property
    def error(self) -> str: ...

    @property
    def thumbnail(self) -> str: ...


Row = TypeVar("Row", bound=AnswerRow)


@dataclass(repr=False)
class AnswerTable(RichRepr, Generic[Row]):
    """The answers for several photos, in the order of the photos. Iterates over its rows.

    ignored: how many files of the folder are no pictures;  notes: what a reader of the answers must know
    """

    model_name: str
    rows: list[Row] = field(default_factory=list)
    ignored: int = 0
    notes: tuple[str, ...] = ()

    #: Where all rows are to be had, in the words behind "see".
    all_in: ClassVar[str] = "to_csv()"

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows)

    def __getitem__(self, index):
        return self.rows[index]

    @property
    def errors(self) -> list[Row]:
        """The rows of the pictures that could not be opened."""
        return [row for row in self.rows if row.error]

    # --- what a table says of its own -----------------------------------------------------------------------

    def _answer(self, row: Any) -> str:
        """A row's answer, or why there is none, as text."""
        raise NotImplementedError(f"{type(self).__name__} must define _answer")

    def _answer_html(self, row: Any) -> str:
        """A row's answer as HTML; the names in it are untrusted text."""
        return escape(self._answer(row))

    def _counts(self) -> list[str]:
        """How much there is, for the summary: "3 photos"."""
        return [counted(len(self.rows), "photo")]

    def _names_shown(self) -> list[str]:
        """What each row is called in a notebook."""
        return [row.name for row in self.rows]

    # --- what follows from it -------------------------------------------------------------------------------

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.model_name!r}, {self._summary()})"

    def _summary(self) -> str:
        parts = self._counts()
        if self.errors:
            parts.append(f"{len(self.errors)} could not be opened")
        if self.ignored:
            parts.append(f"{counted(self.ignored, 'other file')} ignored")
        return ", ".join(parts)

    def __str__(self) -> str:
        lines = [f"{self.model_name}: {self._summary()}", *self.notes]
        return "\n".join([*lines, *(f"{row.name}  {self._answer(row)}" for row in self.rows)])

    def _repr_html_(self) -> str:
        """A plain HTML table, without script, of the first rows."""
        cell = "text-align:left;padding:4px 8px;vertical-align:middle"
        body = []
        for row, shown in zip(self.rows[:ROWS_SHOWN], self._names_shown()):
            picture = f"<img alt='' src='{row.thumbnail}'>" if row.thumbnail else ""
            answer = f"⚠ {escape(row.error)}" if row.error else self._answer_html(row)
            name = f"<th scope='row' style='{cell};font-weight:normal'>{escape(shown)}</th>"
            body.append(f"<tr><td style='{cell}'>{picture}</td>{name}<td style='{cell}'>{answer}</td></tr>")
        left_out = len(self.rows) - len(body)
        more = f"<p>… and {left_out} more: see {self.all_in}.</p>" if left_out else ""
        title = f"<b>{escape(self.model_name)}</b>: {escape(self._summary())}"
        return (f"<div><p style='{LINE}'>{title}</p>{notes_html(self.notes)}"
                f"<table style='border-collapse:collapse'><tbody>{''.join(body)}</tbody></table>{more}</div>")
