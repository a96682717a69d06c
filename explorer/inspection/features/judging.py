"""Photos to learn from and photos to judge by: which are which, and how sure a share of right answers is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from explorer.data.bursts import bursts_of, held_back, of_one_burst, one_burst
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
    """x, y: embeddings [n, D] and classes [n] to learn from;  x_val, y_val: to judge by;  how: in words
    bursts, bursts_val: equal for the photos of one burst, of those to learn from and those to judge by
    notes: sentences on what can't be judged
    """

    x: np.ndarray
    y: np.ndarray
    x_val: np.ndarray
    y_val: np.ndarray
    how: str
    bursts: np.ndarray
    bursts_val: np.ndarray
    notes: tuple[str, ...] = ()


def parts_of(features: Features, labels: np.ndarray, val: Any, seed: int) -> Parts:
    """What to learn from and what to judge by; val: as in `linear_probe`."""
    x, bursts = features.embeddings, bursts_in(features)
    if isinstance(val, Features):
        if val.classes != features.classes or val.embeddings.shape[1] != features.embeddings.shape[1]:
            raise ValueError("val has other classes or vectors of another length: make both with the same "
                             "model, from folders whose class folders are called alike.")
        y_val, _ = labels_of_features(val)
        return Parts(x, labels, val.embeddings, y_val, "judged by photos of another folder", bursts,
                     bursts_in(val))
    if val is None and features.held_out is not None:
        held = features.held_out.numpy()
        if held.any() and not held.all():
            _check_learnable(labels[~held])
            how = "judged by the folder's own val part"
            return Parts(x[~held], labels[~held], x[held], labels[held], how, bursts[~held],
                         bursts[held])
    share = SHARE if val is None else val
    if isinstance(share, bool) or not isinstance(share, (int, float)) or not 0 < share < 1:
        raise ValueError(f"val is {val!r}: expected features, or a share between 0 and 1 such as 0.2.")
    judge = np.zeros(len(labels), dtype=bool)
    judge[stratified(labels, share, seed, bursts)] = True
    single = len(np.unique(bursts)) == len(bursts)
    if not judge.any():
        each = "photo" if single else "burst, which is never split"
        raise ValueError(f"Each class has one {each}: there are none to judge by. Add some.")
    whole = "" if single else ", in whole bursts"
    how = f"judged by a share of {share:g} of each class, seed {seed}{whole}"
    alone = of_one_burst(units_in(bursts), labels.tolist(), features.classes)
    return Parts(x[~judge], labels[~judge], x[judge], labels[judge], how, bursts[~judge],
                 bursts[judge], (one_burst(alone),) if alone else ())


def bursts_in(features: Features) -> np.ndarray:
    """The burst of each photo, [N]: see `explorer.data.bursts`."""
    return np.array(bursts_of(features.names, features.files), dtype=np.int64)


def units_in(bursts: np.ndarray) -> list[list[int]]:
    """The indices of the photos of each burst, in the order of the first of each."""
    units: dict[int, list[int]] = {}
    for index, burst in enumerate(bursts.tolist()):
        units.setdefault(burst, []).append(index)
    return [*units.values()]


def _check_learnable(labels: np.ndarray) -> None:
    if len(np.unique(labels)) < 2:
        raise ValueError("The photos to learn from are all of one class: add photos of another.")


def stratified(labels: np.ndarray, share: float, seed: int, bursts: np.ndarray | None = None) -> np.ndarray:
    """Indices of a share of each class, drawn by `seed`: at least one photo where it has two, never all.

    bursts: [N], equal for photos of one burst, which are never split; None: each photo is by itself
    """
    bursts = np.arange(len(labels)) if bursts is None else bursts
    random = np.random.default_rng(seed)
    kept: list[int] = []
    for label in np.unique(labels):
        places = np.flatnonzero(labels == label)
        units = units_in(bursts[places])
        drawn = [units[place] for place in random.permutation(len(units))]
        kept += [int(places[i]) for i in held_back(drawn, share, left=1)]
    return np.sort(np.array(kept, dtype=np.int64))


def draw_photos(labels: np.ndarray, count: int, seeds: Sequence[int]) -> np.ndarray:
    """Indices of `count` photos of each class, drawn by these numbers."""
    random = np.random.default_rng(list(seeds))
    return np.concatenate([random.choice(np.flatnonzero(labels == label), count, replace=False)
                           for label in np.unique(labels)])


def interval_of(right: np.ndarray, bursts: np.ndarray) -> tuple[float, float]:
    """Between which a share of right answers lies with 95 % certainty, as far as the number of photos tells;
    those of one burst are nearly the same picture and tell no more than one of them.

    right: of each judged photo, [n] bool;  bursts: [n], equal for photos of one burst
    Source: the effective size of a sample of clusters, with what is in one taken for the same: L. Kish,
    Survey Sampling, Wiley 1965, section 5.4. Where each photo is by itself it is their number.
    """
    sizes = np.unique(bursts, return_counts=True)[1]
    count = int(sizes.sum()) ** 2 / int((sizes ** 2).sum())
    return wilson(int(right.sum()) * count / len(right), count)


def wilson(right: float, count: float) -> tuple[float, float]:
    """Wilson's 95 % interval of a share: E. B. Wilson, J. American Statistical Association 22, 1927."""
    z, share = 1.959964, right / count
    middle = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z / (1 + z * z / count) * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    return max(0.0, middle - half), min(1.0, middle + half)
