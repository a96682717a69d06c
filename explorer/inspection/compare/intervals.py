"""How far a mean over photos would move with other photos of the kind: bootstrap intervals."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from explorer.display.words import number_text, percent

LEVEL = 0.95
TOGETHER = 4_000_000  # drawn photos in memory at a time


@dataclass(frozen=True)
class Interval:
    """A mean over the photos, and between which bounds it lies in 95 of 100 draws of as many photos."""

    value: float
    low: float
    high: float

    def text(self, *, shares: bool) -> str:
        """In words. shares: the values are shares, to be shown in percent"""
        write = percent if shares else number_text
        return f"{write(self.value)} ({write(self.low)} to {write(self.high)})"


def bootstrapped_shares(both: int, first: int, second: int, neither: int, draws: int,
                        seed: int) -> list[Interval]:
    """The intervals of two shares and of their difference, second minus first, of photos of which so many
    have both, one alone, or none. Drawing photos is drawing these four counts, and much quicker.
    """
    counts = np.array([both, first, second, neither])
    drawn = np.random.default_rng(seed).multinomial(counts.sum(), counts / counts.sum(), draws)
    take = np.array([[1, 1, 0, 0], [1, 0, 1, 0], [0, -1, 1, 0]]).T
    low, high = np.quantile(drawn @ take / counts.sum(), [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    return [Interval(*map(float, row)) for row in zip(counts @ take / counts.sum(), low, high)]


def bootstrapped(columns: np.ndarray, draws: int, seed: int) -> list[Interval]:
    """The interval of each column's mean. columns: [N, F], a row a photo; rows are drawn as they are, so
    that figures of the same photo stay together (paired).

    Source: B. Efron, Bootstrap methods: another look at the jackknife, 1979 (percentile interval).
    """
    count, random = len(columns), np.random.default_rng(seed)
    means = np.empty((draws, columns.shape[1]))
    step = max(TOGETHER // count, 1)
    for start in range(0, draws, step):
        size = min(step, draws - start)
        chosen = random.integers(0, count, (size, count))
        for column in range(columns.shape[1]):
            means[start:start + size, column] = columns[:, column][chosen].mean(1)
    low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    return [Interval(*map(float, row)) for row in zip(columns.mean(0), low, high)]
