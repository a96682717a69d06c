"""Tables of photos: a column of files, beside it numbers or class names, and where wanted a column of splits.

    table = read_table("houses.csv", target="price")        # or a pandas DataFrame
    table.kind, table.classes                               # 'numbers', ('price',)
    table.notes                                             # which rows were left out, and why

The first line names the columns. A file is sought beside the table, or in `root`; whatever it is, it is
opened as a picture or not at all. No photo is opened here.
"""

from __future__ import annotations

import csv
import io
import os
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from explorer.display.words import natural_key
from explorer.files import given_path

from .folders import DataError, is_picture

FILE_NAMES = ("file", "filename", "file name", "filepath", "file path", "path", "image", "image path", "image file",
              "image name", "img", "img path", "photo", "picture", "foto", "bild", "datei")
LABEL_NAMES = ("label", "labels", "class", "class name", "category", "klasse", "species")
OUTPUTS = ("one", "yes/no", "several", "numbers")
SPLIT_NAMES = ("split", "set", "subset", "partition")
ROLES = {"train": ("train", "training", "trn", "learn"), "val": ("val", "valid", "validation", "dev", "eval"),
         "test": ("test", "testing", "tst", "holdout")}
COUNTERS = ("", "index", "id", "row", "nr", "no")  # number the rows, and say nothing of the photos
EMPTY = ("", "nan", "<na>", "nat")
# Where a number is not known; any of these may be a class.
NO_NUMBER = (*EMPTY, "na", "n/a", "null", "none", "-", "--", "?")
DELIMITERS = ",;\t|"
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
COMMA = re.compile(r"[+-]?\d*,\d+", re.ASCII)
GROUPED = re.compile(r"[+-]?\d{1,3}(,\d{3})+", re.ASCII)  # 1,234 may be a thousand, or one and a bit
MOST_BYTES = 256 * 1024**2   # of a table's file
MOST_ROWS = 2_000_000
MOST_COLUMNS = 10_000
MOST_NUMBERS = 1_000         # that are learnt at once
LARGEST = 1e30               # a float32, squared in a loss, ends not far above
SHOWN = 5                    # lines or columns that a sentence names; the rest it counts


@dataclass(frozen=True)
class PhotoTable:
    """What a table says: photos, each with numbers or classes.

    kind:    "numbers", "one" (a class each) or "several" (columns of 0 and 1, one a class)
    classes: the names of the numbers, or of the classes in index order
    files, names, labels, roles: of each photo its path, what the table calls it, its numbers (or class index,
             or the indices of its classes), and "train", "val" or "test" ("" where the table has no such
             column)
    notes:   sentences on what was left out, and how the columns were read
    """

    name: str
    kind: str
    classes: tuple[str, ...]
    files: tuple[Path, ...] = field(repr=False)
    names: tuple[str, ...] = field(repr=False)
    labels: tuple[Any, ...] = field(repr=False)
    roles: tuple[str, ...] = field(repr=False)
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.files)


def is_frame(data: Any) -> bool:
    """Whether it is a table in memory, as pandas and polars have them."""
    has_columns = hasattr(data, "columns") and hasattr(data, "__getitem__")
    return not isinstance(data, type) and has_columns and len(getattr(data, "shape", ())) == 2


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


def _reader_of(table: Any, root: str | os.PathLike | None) -> _Reader:
    if is_frame(table):
        called, folder = type(table).__name__, Path.cwd()
        cells, lines = _of_frame(table, called)
        notes: list[str] = []
    else:
        path = given_path(table, "table")
        called, folder = path.name, path.parent
        cells, lines, notes = _of_file(path)
    return _Reader(called, cells, lines, folder if root is None else given_path(root, "root"), notes)


# --- cells: {column: its words}, and what to call each row --------------------------------------------------


def _of_frame(frame: Any, called: str) -> tuple[dict[str, list[str]], list[str]]:
    count, names = frame.shape[0], [str(name) for name in frame.columns]
    _check_columns(called, names)
    if count > MOST_ROWS:
        raise DataError(f"{called} has {count:,} rows: expected {MOST_ROWS:,} at most.")
    cells = {name: ["" if cell is None else str(cell).strip() for cell in frame[key]]
             for name, key in zip(names, frame.columns)}
    return cells, [f"row {number}" for number in range(count)]


def _of_file(path: Path) -> tuple[dict[str, list[str]], list[str], list[str]]:
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


# --- what the columns are -----------------------------------------------------------------------------------


class _Reader:
    """One table on its way to a `PhotoTable`. cells: {column: a word a row};  lines: what each row is called"""

    def __init__(self, called: str, cells: dict[str, list[str]], lines: list[str], root: Path,
                 notes: list[str]):
        self.called, self.cells, self.lines, self.root, self.notes = called, cells, lines, root, notes
        if not lines:
            raise DataError(f"'{called}' has no rows.")

    def read(self, target: str | Sequence[str] | None, file: str | None, split: str | None,
             outputs: str | None) -> PhotoTable:
        file = self.column("file", file) if file is not None else self.find_files()
        if split is not None:
            split = self.column("split", split)
        else:
            split = next((name for name in self.cells if name != file and self.splits_rows(name)), None)
        others = [name for name in self.cells if name not in (file, split)]
        if not others:
            raise DataError(f"'{self.called}' has nothing beside the column of files {file!r}: expected "
                            "numbers or class names.")
        targets = self.given(target, others) if target is not None else self.find_targets(others, outputs)
        kind = self.kind_of(targets, outputs)
        left_out = [name for name in others if name not in targets]
        if left_out and target is None:
            self.notes.append(f"Learnt from '{self.called}': {_few(targets)}. Left out: {_few(left_out)}; "
                              "read_table(..., target=...) chooses others.")
        kept = self.with_files(file, targets, EMPTY if kind == "one" else NO_NUMBER)
        roles = self.roles(split, kept)
        if kind == "numbers":
            classes, labels = tuple(targets), self.numbers(targets, kept)
        elif kind == "several":
            classes, labels = tuple(targets), self.flags(targets, kept)
        else:
            words = [self.cells[targets[0]][row] for row in kept]
            if len(set(words)) == len(words) > 2:
                raise DataError(f"'{self.called}' has another word in each row of {targets[0]!r}, such as "
                                f"{words[0]!r}: no class has a second photo. Choose another column, or give "
                                "outputs='numbers' if these are numbers.")
            classes = tuple(sorted(set(words), key=natural_key if all(map(NUMBER.fullmatch, words)) else None))
            index = {name: i for i, name in enumerate(classes)}
            labels = tuple(index[word] for word in words)
        kept, labels, roles = self.without_doubles(file, kept, labels, roles)
        names = tuple(self.cells[file][row] for row in kept)
        return PhotoTable(self.called, kind, classes, tuple(self.place(name) for name in names), names,
                          labels, roles, tuple(self.notes))

    def column(self, what: str, name: Any) -> str:
        if name not in self.cells:
            raise DataError(f"'{self.called}' has no column {name!r} for {what}: its columns are "
                            f"{_few(list(self.cells), 20)}.")
        return name

    def given(self, target: Any, others: Sequence[str]) -> list[str]:
        names = [target] if isinstance(target, str) else target
        if not isinstance(names, (list, tuple)) or not names:
            raise DataError(f"target is {target!r}: expected the name of a column, or a list of names, of "
                            f"{_few(list(others), 20)}.")
        for name in names:
            if self.column("target", name) not in others:
                raise DataError(f"target {name!r} is the column of the files, or of the splits: choose "
                                "another one.")
        return list(dict.fromkeys(names))

    def find_files(self) -> str:
        for usual in FILE_NAMES:
            for name, words in self.cells.items():
                if _plain(name) == usual and not self.numeric(name):
                    return name
        shares = {name: sum(map(is_picture, words)) / len(words) for name, words in self.cells.items()}
        best = max(shares, key=shares.__getitem__)
        if shares[best] < 0.5:
            raise DataError(f"'{self.called}' has no column of files that could be told by its name or its "
                            f"words: its columns are {_few(list(self.cells), 20)}. Say which one it is: "
                            "read_table(..., file=...).")
        return best

    def find_targets(self, others: Sequence[str], outputs: str | None) -> list[str]:
        labels = [name for name in others if _plain(name) in LABEL_NAMES]
        numeric = [name for name in others if self.numeric(name)]
        plain = [name for name in numeric if _plain(name) not in COUNTERS
                 and not name.lower().startswith("unnamed:")]
        words = [name for name in others if name not in numeric]
        if outputs in (None, "one", "yes/no") and len(labels) == 1:
            return labels
        if outputs in (None, "numbers", "several") and plain:
            return plain
        if outputs in (None, "one", "yes/no"):
            found = words if len(words) == 1 else others if len(others) == 1 else []
            if found:
                return list(found)
            raise DataError(f"'{self.called}' has several columns that could be learnt: "
                            f"{_few(list(others), 20)}. Say which one: read_table(..., target=...).")
        raise DataError(f"'{self.called}' has no column of numbers beside its files: there are "
                        f"{_few(list(others), 20)}.")

    def splits_rows(self, name: str) -> bool:
        """Whether a column is called split and most of its words are train, val or test."""
        roles = [bool(_role(cell)) for cell in self.cells[name]] if _plain(name) in SPLIT_NAMES else []
        return sum(roles) > len(roles) / 2

    def kind_of(self, targets: Sequence[str], outputs: str | None) -> str:
        if len(targets) > MOST_NUMBERS:
            raise DataError(f"'{self.called}' has {len(targets):,} columns to learn: expected "
                            f"{MOST_NUMBERS:,} at most.")
        if outputs in ("numbers", "several"):
            return outputs
        labelled = len(targets) == 1 and (outputs is not None or _plain(targets[0]) in LABEL_NAMES
                                          or not self.numeric(targets[0]))
        if labelled:
            if outputs is None and self.numeric(targets[0]):
                self.notes.append(f"{targets[0]!r} was read as class names. If they are numbers to be "
                                  "estimated, say so: outputs='numbers'.")
            return "one"
        if outputs is not None:
            raise DataError(f"outputs={outputs!r} learns one column of class names, not {len(targets)}: "
                            f"{_few(list(targets))}.")
        return "numbers"

    def numeric(self, name: str) -> bool:
        """Whether most of a column's words are numbers; the others then are mistakes, not names."""
        words = [word for word in self.cells[name] if word.lower() not in NO_NUMBER]
        return bool(words) and sum(bool(NUMBER.fullmatch(w) or COMMA.fullmatch(w) or GROUPED.fullmatch(w))
                                   for w in words) > len(words) / 2

    # --- rows ---

    def place(self, name: str) -> Path:
        """Where a photo is. Tables that Windows has written divide folders by a backslash."""
        path = self.root / name
        return self.root / name.replace("\\", "/") if "\\" in name and not os.path.isfile(path) else path

    def with_files(self, file: str, targets: Sequence[str], unknown: Sequence[str]) -> list[int]:
        """The rows whose photo is there and whose cells are filled. unknown: what an empty cell may hold"""
        empty = [row for row in range(len(self.lines)) if self.cells[file][row].lower() in EMPTY or any(
            self.cells[name][row].lower() in unknown for name in targets)]
        gone = set(empty)
        absent = [row for row in range(len(self.lines)) if row not in gone
                  and not os.path.isfile(self.place(self.cells[file][row]))]
        gone.update(absent)
        kept = [row for row in range(len(self.lines)) if row not in gone]
        if not kept and absent:
            raise DataError(f"No photo of '{self.called}' is there, such as '{self.cells[file][absent[0]]}' "
                            f"({self.lines[absent[0]]}): they are sought in '{self.root}'. Say where they "
                            "are: read_table(..., root=...).")
        if not kept:
            raise DataError(f"Every row of '{self.called}' has an empty cell, such as "
                            f"{self.lines[empty[0]]}: nothing is left to learn from.")
        for rows, why in ((empty, "a cell is empty"), (absent, "there is no such file")):
            if rows:
                self.notes.append(f"Left out of '{self.called}', since {why}: "
                                  f"{_few([self.lines[row] for row in rows])}.")
        return kept

    def roles(self, split: str | None, kept: Sequence[int]) -> tuple[str, ...]:
        if split is None:
            return ("",) * len(kept)
        roles = tuple(_role(self.cells[split][row]) for row in kept)
        if "" in roles:
            row = kept[roles.index("")]
            raise DataError(f"'{self.called}', {self.lines[row]}: {split!r} is {self.cells[split][row]!r}, "
                            "expected train, val or test.")
        return roles

    def numbers(self, targets: Sequence[str], kept: Sequence[int]) -> tuple[tuple[float, ...], ...]:
        return tuple(zip(*(self.numbers_in(name, kept) for name in targets)))

    def numbers_in(self, name: str, kept: Sequence[int]) -> list[float]:
        words = [self.cells[name][row] for row in kept]
        commas = [word for word in words if "," in word]
        if commas and (any("." in word for word in words) or all(map(GROUPED.fullmatch, commas))):
            row = next(row for row in kept if "," in self.cells[name][row])
            raise DataError(f"'{self.called}', {self.lines[row]}: {name!r} is {self.cells[name][row]!r}, "
                            f"whose comma may divide thousands or be a decimal comma. Write such numbers "
                            "with a decimal point, and nothing between thousands.")
        numbers = []
        for row, word in zip(kept, words):
            plain = word.replace(",", ".", 1)
            if not NUMBER.fullmatch(plain):
                raise DataError(f"'{self.called}', {self.lines[row]}: {name!r} is {word[:60]!r}, expected a "
                                f"number such as 12.5, without a unit. Leave the cell empty where it is not "
                                "known.")
            numbers.append(float(plain))
            if abs(numbers[-1]) > LARGEST:
                raise DataError(f"'{self.called}', {self.lines[row]}: {name!r} is {word[:60]!r}, too large "
                                f"to be learnt: expected at most {LARGEST:g}.")
        return numbers

    def flags(self, targets: Sequence[str], kept: Sequence[int]) -> tuple[tuple[int, ...], ...]:
        yes = {"1": True, "1.0": True, "true": True, "yes": True, "0": False, "0.0": False, "false": False,
               "no": False}
        rows = []
        for row in kept:
            found = []
            for i, name in enumerate(targets):
                if (word := self.cells[name][row].lower()) not in yes:
                    raise DataError(f"'{self.called}', {self.lines[row]}: {name!r} is {word!r}, expected 0 "
                                    f"or 1: with outputs='several' each column is a class that a photo has "
                                    "or has not.")
                found += [i] * yes[word]
            rows.append(tuple(found))
        return tuple(rows)

    def without_doubles(self, file: str, kept: list[int], labels: tuple,
                        roles: tuple) -> tuple[list[int], tuple, tuple]:
        """A row that says the same again is left out; one that says another thing of a photo is refused."""
        first: dict[str, int] = {}
        chosen, doubles = [], []
        for i, row in enumerate(kept):
            before = first.setdefault(os.path.normpath(self.place(self.cells[file][row])), i)
            if before == i:
                chosen.append(i)
            elif (labels[i], roles[i]) == (labels[before], roles[before]):
                doubles.append(self.lines[row])
            else:
                raise DataError(f"'{self.called}' says two things of '{self.cells[file][row]}', in "
                                f"{self.lines[kept[before]]} and {self.lines[row]}: keep one of them.")
        if doubles:
            self.notes.append(f"Left out of '{self.called}', since an earlier row says the same: "
                              f"{_few(doubles)}.")
        return [kept[i] for i in chosen], tuple(labels[i] for i in chosen), tuple(roles[i] for i in chosen)


# --- words --------------------------------------------------------------------------------------------------


def _plain(name: str) -> str:
    """"Image_Path" and "image path" are one."""
    return " ".join(re.sub(r"[_\W]+", " ", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)).lower().split())


def _role(word: str) -> str:
    return next((role for role, words in ROLES.items() if _plain(word) in words), "")


def _few(names: Sequence[str], most: int = SHOWN) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
