"""Answers of several models side by side: classes and numbers are joined by their names, not their places."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

import numpy as np
import torch

from explorer.data.labels import class_key
from explorer.models.outputs import Outputs

CHUNK = 1024  # rows of logits that are in memory at a time
NAMED = 8     # models or photos that an error names


def distinct(labels: Sequence[str], *, numbered: str = "{} #{}", fold: bool = True) -> tuple[str, ...]:
    """A key for each label; the second of a name gets a number, so that it stays a class of its own."""
    seen: dict[str, int] = {}
    keys = []
    for label in labels:
        key = class_key(label) if fold else label
        seen[key] = seen.get(key, 0) + 1
        keys.append(key if seen[key] == 1 else numbered.format(key, seen[key]))
    return tuple(keys)


def class_sets_note(names: Sequence[str], keys: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """A sentence where the models know different classes. keys: of each, what joins its classes."""
    sets = {frozenset(each) for each in keys if each}
    if len(sets) < 2:
        return ()
    counts = ", ".join(f"{name} {len(each)}" for name, each in zip(names, keys) if each)
    common = len(frozenset.intersection(*sets))
    return (f"The models know different classes ({counts}); {common} {'has' if common == 1 else 'have'} the "
            "same name in all. Classes are joined by name, and an answer that another model can't give is no "
            "agreement.",)


def first_answers(logits: np.ndarray, outputs: Outputs | None) -> np.ndarray:
    """First answers int64 [N] of logits [N, W], which may lie on the disk; -1 where there are no classes."""
    if outputs is None or outputs.numbers:
        return np.full(len(logits), -1)
    parts = [outputs.likeliest(torch.from_numpy(np.array(logits[start:start + CHUNK]))).numpy()
             for start in range(0, len(logits), CHUNK)]
    return np.concatenate(parts) if parts else np.empty(0, dtype=np.int64)


def agreement_of(keys: Sequence[Sequence[str]], answers: Sequence[np.ndarray]) -> np.ndarray:
    """Share of the photos on which two models' first answers have the same name: float64 [M, M], 0..1.

    keys: of each model, what its classes are joined by; none for one without classes, whose shares are NaN
    answers: of each model, its first answers int64 [N]
    """
    number: dict[str, int] = {}
    for key in chain.from_iterable(keys):
        number.setdefault(key, len(number))
    said = []  # the answers as numbers of names, int [N]; None without classes
    for own, first in zip(keys, answers):
        names = np.array([number[key] for key in own], dtype=np.int64)
        said.append(names[first] if len(names) else None)
    table = np.full((len(said), len(said)), np.nan)
    for i, first in enumerate(said):
        for j, second in enumerate(said):
            if first is not None and second is not None:
                table[i, j] = (first == second).mean()
    return table


def differences_of(logits: Sequence[np.ndarray], outputs: Sequence[Outputs | None]) -> np.ndarray:
    """The mean distance of two models' numbers of one name over the photos: float64 [M, M], in their unit.

    NaN where they give no number of the same name; of several that both give, it is the first's.
    """
    columns: list[dict[str, np.ndarray]] = []
    for raw, meaning in zip(logits, outputs):
        if meaning is None or not meaning.numbers:
            columns.append({})
            continue
        values = meaning.values(torch.from_numpy(np.array(raw, np.float64))).numpy()  # [N, K]: few columns
        columns.append(dict(zip(distinct(meaning.labels), values.T)))
    table = np.full((len(columns), len(columns)), np.nan)
    for i, first in enumerate(columns):
        for j, second in enumerate(columns):
            common = next((key for key in first if key in second), None)
            if common is not None:
                table[i, j] = np.abs(first[common] - second[common]).mean()
    return table


def place_of(what: str | int, known: Sequence[str], kind: str) -> int:
    """The number of a model or photo, given that or its name. Raises ValueError where there is none."""
    if isinstance(what, str) and what in known:
        return known.index(what)
    number = isinstance(what, (int, np.integer)) and not isinstance(what, bool)
    if number and -len(known) <= what < len(known):
        return int(what) % len(known)
    shown = ", ".join(known[:NAMED]) + (f" and {len(known) - NAMED} more" if len(known) > NAMED else "")
    raise ValueError(f"There is no {kind} {what!r} in this comparison. It has {shown}; or give a number from "
                     f"0 to {len(known) - 1}.")
