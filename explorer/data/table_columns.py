"""From a table of words to photos with numbers or classes: which column is what, which rows count."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from explorer.data.folders import DataError, is_picture
from explorer.display.words import natural_key

FILE_NAMES = ("file", "filename", "file name", "filepath", "file path", "path", "image", "image path",
              "image file", "image name", "img", "img path", "photo", "picture", "foto", "bild", "datei")
LABEL_NAMES = ("label", "labels", "class", "class name", "category", "klasse", "species")
OUTPUTS = ("one", "yes/no", "several", "numbers")
SPLIT_NAMES = ("split", "set", "subset", "partition")
ROLES = {"train": ("train", "training", "trn", "learn"), "val": ("val", "valid", "validation", "dev", "eval"),
         "test": ("test", "testing", "tst", "holdout")}
COUNTERS = ("", "index", "id", "row", "nr", "no")  # number the rows, and say nothing of the photos
EMPTY = ("", "nan", "<na>", "nat")
# Where a number is not known; any of these may be a class.
NO_NUMBER = (*EMPTY, "na", "n/a", "null", "none", "-", "--", "?")
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
COMMA = re.compile(r"[+-]?\d*,\d+", re.ASCII)
GROUPED = re.compile(r"[+-]?\d{1,3}(,\d{3})+", re.ASCII)  # 1,234 may be a thousand, or one and a bit
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


class TableReader:
    """One table on its way to a `PhotoTable`. cells: {column: a word a row};  lines: what each row is called
    """

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
            classes = tuple(sorted(set(words),
                                   key=natural_key if all(map(NUMBER.fullmatch, words)) else None))
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
            for name in self.cells:
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


def _plain(name: str) -> str:
    """"Image_Path" and "image path" are one."""
    return " ".join(re.sub(r"[_\W]+", " ", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)).lower().split())


def _role(word: str) -> str:
    return next((role for role, words in ROLES.items() if _plain(word) in words), "")


def _few(names: Sequence[str], most: int = SHOWN) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
