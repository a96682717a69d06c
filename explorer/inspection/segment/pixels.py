"""Two masks pixel by pixel: what is counted, and the figures that follow from it."""

from __future__ import annotations

import numpy as np

from explorer.data.places.place_set import IGNORED


def pixel_counts(said: np.ndarray, truth: np.ndarray, classes: int, *, ignored: int = IGNORED) -> np.ndarray:
    """int64 [K, K]: pixels by true class (row) and by what was said (column), the `ignored` ones left out.

    said, truth: class indices [H, W], of `said` all below K
    """
    counted = truth != ignored
    cells = truth[counted].astype(np.int64) * classes + said[counted]
    return np.bincount(cells, minlength=classes * classes).reshape(classes, classes)


def totals_of(matrix: np.ndarray) -> np.ndarray:
    """[3, K] of a confusion matrix [K, K]: each class's pixels that are right, that are it, that were said.
    """
    return np.stack([np.diag(matrix), matrix.sum(1), matrix.sum(0)])


def shares_of(totals: np.ndarray) -> dict[str, np.ndarray]:
    """Of `totals_of` [..., 3, K] the figures of each class [..., K], NaN where nothing is divided by."""
    right, true, said = np.moveaxis(totals.astype(np.float64), -2, 0)

    def divided(above: np.ndarray, under: np.ndarray) -> np.ndarray:
        return np.divide(above, under, out=np.full(above.shape, np.nan), where=under > 0)

    return {"iou": divided(right, true + said - right), "dice": divided(2 * right, true + said),
            "precision": divided(right, said), "recall": divided(right, true)}


def mean_known(values: np.ndarray) -> float:
    """The mean of those that are no NaN; NaN of none."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else float("nan")
