"""Photos to learn from and photos to judge by: which are which, and how sure a share of right answers is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from explorer.inspection.features.result import Features

SHARE = 0.2                          # held out where the folder has no val part of its own


def labels_of_features(features: Any) -> tuple[np.ndarray, tuple[str, ...]]:
    """(class index of each photo, class names). Raises ValueError where there is nothing to tell apart."""
    if not isinstance(features, Features):
        raise ValueError(f"Expected the features that explorer.run_folder gives, not "
                         f"{type(features).__name__}.")
    if features.labels is None:
        raise ValueError("These photos have no labels: give a folder that holds one folder of photos for "
                         "each class.")
    labels = features.labels.numpy()
    if len(np.unique(labels)) < 2:
        raise ValueError("These photos are all of one class: there is nothing to tell apart. "
                         "Add photos of another.")
    return labels, features.classes


class Parts(NamedTuple):
    """x, y: embeddings [n, D] and classes [n] to learn from;  x_val, y_val: to judge by;  how: in words"""

    x: np.ndarray
    y: np.ndarray
    x_val: np.ndarray
    y_val: np.ndarray
    how: str


def parts_of(features: Features, labels: np.ndarray, val: Any, seed: int) -> Parts:
    """What to learn from and what to judge by; val: as in `linear_probe`."""
    x = features.embeddings
    if isinstance(val, Features):
        if val.classes != features.classes or val.embeddings.shape[1] != features.embeddings.shape[1]:
            raise ValueError("val has other classes or vectors of another length: make both with the same "
                             "model, from folders whose class folders are called alike.")
        y_val, _ = labels_of_features(val)
        return Parts(x, labels, val.embeddings, y_val, "judged by photos of another folder")
    if val is None and features.held_out is not None:
        held = features.held_out.numpy()
        if held.any() and not held.all():
            _check_learnable(labels[~held])
            how = "judged by the folder's own val part"
            return Parts(x[~held], labels[~held], x[held], labels[held], how)
    share = SHARE if val is None else val
    if isinstance(share, bool) or not isinstance(share, (int, float)) or not 0 < share < 1:
        raise ValueError(f"val is {val!r}: expected features, or a share between 0 and 1 such as 0.2.")
    judge = np.zeros(len(labels), dtype=bool)
    judge[stratified(labels, share, seed)] = True
    if not judge.any():
        raise ValueError("Each class has one photo: there are none to judge by. Add some.")
    how = f"judged by a share of {share:g} of each class, seed {seed}"
    return Parts(x[~judge], labels[~judge], x[judge], labels[judge], how)


def _check_learnable(labels: np.ndarray) -> None:
    if len(np.unique(labels)) < 2:
        raise ValueError("The photos to learn from are all of one class: add photos of another.")


def stratified(labels: np.ndarray, share: float, seed: int) -> np.ndarray:
    """Indices of a share of each class, drawn by `seed`: at least one photo where it has two, never all."""
    random = np.random.default_rng(seed)
    kept = []
    for label in np.unique(labels):
        group = random.permutation(np.flatnonzero(labels == label))
        kept.append(group[:min(max(round(share * len(group)), int(len(group) > 1)), len(group) - 1)])
    return np.sort(np.concatenate(kept))


def draw_photos(labels: np.ndarray, count: int, seeds: Sequence[int]) -> np.ndarray:
    """Indices of `count` photos of each class, drawn by these numbers."""
    random = np.random.default_rng(list(seeds))
    return np.concatenate([random.choice(np.flatnonzero(labels == label), count, replace=False)
                           for label in np.unique(labels)])


def wilson(right: int, count: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share: E. B. Wilson, J. American Statistical Association 22, 1927."""
    z, share = 1.959964, right / count
    middle = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z / (1 + z * z / count) * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    return max(0.0, middle - half), min(1.0, middle + half)
