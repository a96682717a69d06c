"""McNemar's test: whether two models that were asked about the same photos err unequally often.

Photos about which both are right, or both wrong, say nothing. Of the others each model should win half, if
the two were equally good.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class McNemar:
    """first, second: photos about which the first, the second alone is right
    exact:     the p-value by the binomial distribution, two-sided
    statistic, corrected: chi-squared with continuity correction, and its p-value, for many such photos
    """

    first: int
    second: int
    exact: float
    statistic: float
    corrected: float


def mcnemar(first: int, second: int) -> McNemar:
    """The test of so many photos about which one model alone is right.

    Equal counts have a p-value of 1, as in R; where they differ, the values are those of statsmodels.
    Source: Q. McNemar, Note on the sampling error of the difference between correlated proportions, 1947;
            A. L. Edwards, Note on the correction for continuity, 1948.
    """
    from scipy.stats import binom, chi2

    count = first + second
    exact = min(1.0, 2 * float(binom.cdf(min(first, second), count, 0.5))) if count else 1.0
    statistic = (abs(first - second) - 1) ** 2 / count if first != second else 0.0
    return McNemar(first, second, exact, statistic, float(chi2.sf(statistic, 1)))
