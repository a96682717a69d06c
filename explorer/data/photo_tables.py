"""Tables of photos: a column of files, beside it numbers or class names, and where wanted a column of splits.

    table = read_table("houses.csv", target="price")        # or a pandas DataFrame
    table.kind, table.classes                               # 'numbers', ('price',)
    table.notes                                             # which rows were left out, and why

The first line names the columns. A file is sought beside the table, or in `root`; whatever it is, it is
opened as a picture or not at all. No photo is opened here.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from explorer.data.folders import DataError
from explorer.data.table_cells import cells_of_file, cells_of_frame, is_frame
from explorer.data.table_columns import OUTPUTS, PhotoTable, TableReader
from explorer.files import given_path


def read_table(table: Any, *, target: str | Sequence[str] | None = None, file: str | None = None,
               split: str | None = None, root: str | os.PathLike | None = None,
               outputs: str | None = None) -> PhotoTable:
    """Read a table of photos: a CSV file (comma, semicolon or tab; decimal point or comma), or a DataFrame.

    target:  the column that is to be learnt, or a list of them. None: a column called label, class or
             category; else all columns of numbers; else the one column of words
    file:    the column of the photos' files; None: one with a usual name (file, path, image, ...), else the
             one whose words end like pictures
    split:   the column that says train, val or test; None: one called split or set, where there is one
    root:    the folder that the files are in; None: the table's own, of a DataFrame the current one
    outputs: "numbers" reads numbers also from a column called label; "one" and "yes/no" class names from one
             of numbers; "several" columns of 0 and 1, one a class

    A row without its file, or with an empty cell, is left out and named in `notes`. Raises DataError, with
    the line, for a word among numbers, an infinite number, a row that has other columns, a photo that two
    rows tell different things of; and for what is no table.
    """
    if outputs not in (None, *OUTPUTS):
        raise DataError(f"outputs is {outputs!r}: expected one of {', '.join(map(repr, OUTPUTS))}.")
    return _reader_of(table, root).read(target, file, split, outputs)


def read_table_for(table: Any, names: Sequence[str]) -> PhotoTable:
    """The table as one who judges these numbers reads it: by the columns of that name, if all are there."""
    reader = _reader_of(table, None)
    there = names and set(names) <= reader.cells.keys()
    return reader.read(list(names) if there else None, None, None, "numbers")


def _reader_of(table: Any, root: str | os.PathLike | None) -> TableReader:
    if is_frame(table):
        called, folder = type(table).__name__, Path.cwd()
        cells, lines = cells_of_frame(table, called)
        notes: list[str] = []
    else:
        path = given_path(table, "table")
        called, folder = path.name, path.parent
        cells, lines, notes = cells_of_file(path)
    return TableReader(called, cells, lines, folder if root is None else given_path(root, "root"), notes)
