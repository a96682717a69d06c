"""Numbers in place of classes: what a dataset says of its photos, and which of them are held out.

    rows, names = numbers_of_rows(dataset)        # ((12.5,), (3.0,)), ('number',)
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from typing import Any

from explorer.data.folders import DataError
from explorer.data.table_columns import LARGEST, MOST_NUMBERS

LOOKED_AT = 16  # rows that are opened to see whether they have numbers


def tells_numbers(dataset: Any) -> bool:
    """Whether most of its labels can be no classes: fractions, or rows of other numbers than 0 and 1.

    A single one among class indices is a mistake, which whoever reads it as classes names by its row.
    """
    inner = getattr(dataset, "dataset", dataset)  # of a Subset
    if getattr(inner, "classes", None) or getattr(inner, "column_names", None):
        return False  # it names its classes, or says itself what its columns are
    given = _given(dataset)
    try:
        few = range(min(len(dataset), LOOKED_AT))
        rows = given if given is not None else [_number_part(dataset, i) for i in few]
    except (DataError, TypeError, NotImplementedError):  # it is no dataset of numbers, whatever else it is
        return False
    return bool(rows) and 2 * sum(_no_class(_plain(row)) for row in rows) >= len(rows)


def numbers_of_rows(dataset: Any) -> tuple[tuple[tuple[float, ...], ...], tuple[str, ...]]:
    """(the numbers of each row, their names): "number", or "number 0", ... where `classes` has none.

    Raises DataError for the first row without numbers, or with another count of them than the first.
    """
    kind = type(dataset).__name__
    if not (hasattr(dataset, "__len__") and hasattr(dataset, "__getitem__")):
        raise DataError(f"Expected a table, or a dataset of (picture, number), not {kind}.")
    given = _given(dataset)
    rows: list[tuple[float, ...]] = []
    for i in range(len(dataset)):
        told = _plain(given[i] if given is not None else _number_part(dataset, i))
        row = told if isinstance(told, (list, tuple)) else [told]
        if not row or not all(_is_number(value) for value in row):
            raise DataError(f"Row {i} of {kind} has {str(told)[:60]} beside its picture: expected a number, "
                            f"or a row of them, none of which is NaN, infinite or above {LARGEST:g}.")
        if len(row) > MOST_NUMBERS:
            raise DataError(f"Row {i} of {kind} has {len(row):,} numbers: expected {MOST_NUMBERS:,} at most.")
        if rows and len(row) != len(rows[0]):
            raise DataError(f"Row {i} of {kind} has {len(row)} numbers, and the rows before it "
                            f"{len(rows[0])}.")
        rows.append(tuple(map(float, row)))
    if not rows:
        raise DataError(f"{kind} has no rows.")
    width, names = len(rows[0]), getattr(dataset, "classes", None)
    if not isinstance(names, Sequence) or isinstance(names, str) or len(names) != width:
        names = ["number"] if width == 1 else [f"number {i}" for i in range(width)]
    return tuple(rows), tuple(map(str, names))


def spread_over(numbers: Sequence[float], share: float, draw: random.Random) -> set[int]:
    """Places of a share of the numbers, one drawn from each of as many neighbourhoods; at least one of two.
    """
    order = sorted(range(len(numbers)), key=numbers.__getitem__)
    count = max(round(share * len(order)), int(len(order) > 1))
    cuts = [len(order) * i // count for i in range(count + 1)] if count else [0]
    return {draw.choice(order[start:stop]) for start, stop in zip(cuts, cuts[1:])}


def _given(dataset: Any) -> Sequence[Any] | None:
    """The numbers of all rows, where a dataset has them beside its pictures and changes none."""
    if getattr(dataset, "target_transform", None) is not None:
        return None
    inner, chosen = getattr(dataset, "dataset", None), _plain(getattr(dataset, "indices", None))
    if inner is not None and isinstance(chosen, (list, tuple, range)):  # a Subset, or what random_split gives
        rows = _given(inner)
        return None if rows is None else [rows[i] for i in chosen]
    for name in ("targets", "labels"):
        rows = _plain(getattr(dataset, name, None))
        if isinstance(rows, (list, tuple)) and len(rows) == len(dataset):
            return rows
    return None


def _number_part(dataset: Any, index: int) -> Any:
    called = f"Row {index} of {type(dataset).__name__}"
    try:
        row = dataset[index]
    except Exception as error:  # whatever somebody else's code raises
        raise DataError(f"{called} can't be read: {type(error).__name__}: {str(error)[:200]}") from error
    if isinstance(row, Mapping) or not isinstance(row, (tuple, list)) or len(row) < 2:
        raise DataError(f"{called} is no pair: expected (picture, number), or (picture, row of numbers).")
    return row[1]


def _plain(value: Any) -> Any:
    return value.tolist() if hasattr(value, "tolist") else value


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and math.isfinite(value) and abs(value) <= LARGEST


def _no_class(row: Any) -> bool:
    if isinstance(row, (list, tuple)):
        return bool(row) and all(isinstance(value, (int, float))
                                 for value in row) and any(value not in (0, 1) for value in row)
    return isinstance(row, float) and math.isfinite(row) and not row.is_integer()
