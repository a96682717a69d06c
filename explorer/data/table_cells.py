"""A table of words: read from a CSV file or a DataFrame, before anybody knows what its columns mean."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from explorer.data.folders import DataError, is_picture

DELIMITERS = ",;\t|"
MOST_BYTES = 256 * 1024**2   # of a table's file
MOST_ROWS = 2_000_000
MOST_COLUMNS = 10_000


def is_frame(data: Any) -> bool:
    """Whether it is a table in memory, as pandas and polars have them."""
    has_columns = hasattr(data, "columns") and hasattr(data, "__getitem__")
    return not isinstance(data, type) and has_columns and len(getattr(data, "shape", ())) == 2


def cells_of_frame(frame: Any, called: str) -> tuple[dict[str, list[str]], list[str]]:
    count, names = frame.shape[0], [str(name) for name in frame.columns]
    _check_columns(called, names)
    if count > MOST_ROWS:
        raise DataError(f"{called} has {count:,} rows: expected {MOST_ROWS:,} at most.")
    cells = {name: ["" if cell is None else str(cell).strip() for cell in frame[key]]
             for name, key in zip(names, frame.columns)}
    return cells, [f"row {number}" for number in range(count)]


def cells_of_file(path: Path) -> tuple[dict[str, list[str]], list[str], list[str]]:
    text, notes = _text_of(path)
    first = next((line for line in text.splitlines() if line.strip()), "")
    if not first:
        raise DataError(f"'{path.name}' is empty: expected a first line with the names of the columns, such "
                        "as file,price.")
    # Names of columns seldom hold a sign that divides columns; numbers, with a decimal comma, do.
    divider = max(DELIMITERS, key=lambda sign: len(next(csv.reader([first], delimiter=sign), [])))
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=divider, skipinitialspace=True)
    rows: list[list[str]] = []
    lines: list[str] = []
    try:
        for row in reader:
            if any(cell.strip() for cell in row):
                rows.append([cell.strip() for cell in row])
                lines.append(f"line {reader.line_num}")
            if len(rows) > MOST_ROWS:
                raise DataError(f"'{path.name}' has more than {MOST_ROWS:,} rows, the most that are read.")
    except csv.Error as error:
        line = reader.line_num
        raise DataError(f"'{path.name}' can't be read as a table: {error} (line {line}).") from None
    names = rows.pop(0)
    header = lines.pop(0)
    pictures = [name for name in names if is_picture(name)]
    if pictures:
        raise DataError(f"'{path.name}' begins with {pictures[0]!r}, not with the names of its columns: put "
                        f"a first line such as file{divider}price above it.")
    if len(names) < 2:
        raise DataError(f"'{path.name}' has one column, {names[0]!r}: expected a column of files, and beside "
                        f"it numbers or class names, divided by a comma, a semicolon or a tab.")
    _check_columns(f"'{path.name}'", names)
    for row, line in zip(rows, lines):
        if len(row) != len(names):
            raise DataError(f"'{path.name}', {line}: {len(row)} cells, but {header} names {len(names)} "
                            f"columns. A cell that holds {divider!r} needs quotation marks around it.")
    return {name: [row[i] for row in rows] for i, name in enumerate(names)}, lines, notes


def _text_of(path: Path) -> tuple[str, list[str]]:
    if path.is_dir():
        raise DataError(f"'{path}' is a folder: expected a table of photos, such as a CSV file.")
    if not path.is_file():
        raise DataError(f"There is no table '{path}'.")
    try:
        if path.stat().st_size > MOST_BYTES:
            raise DataError(f"'{path.name}' is larger than {MOST_BYTES // 1024**2} MB, the most that is read "
                            "as a table.")
        raw = path.read_bytes()
    except OSError as error:
        raise DataError(f"'{path}' can't be read: {error.strerror or error}.") from None
    wide = raw.startswith((b"\xff\xfe", b"\xfe\xff"))
    if not wide and (b"\0" in raw or raw.startswith(b"PK\x03\x04")):
        raise DataError(f"'{path.name}' is no text, so no table that can be read here. Save it as CSV, or "
                        "give a pandas DataFrame.")
    try:
        return raw.decode("utf-16" if wide else "utf-8-sig"), []
    except UnicodeDecodeError:
        pass
    try:
        return raw.decode("cp1252"), [f"'{path.name}' is not written in UTF-8: it was read as Windows-1252, "
                                      "as older programs save it."]
    except UnicodeDecodeError:
        raise DataError(f"'{path.name}' is neither UTF-8 nor Windows-1252 text: save it as CSV in "
                        "UTF-8.") from None


def _check_columns(called: str, names: Sequence[str]) -> None:
    if len(names) > MOST_COLUMNS:
        raise DataError(f"{called} has {len(names):,} columns: expected {MOST_COLUMNS:,} at most.")
    twice = next((name for name, count in Counter(names).items() if name and count > 1), None)
    if twice is not None:
        raise DataError(f"{called} has two columns called {twice!r}: give each a name of its own.")
