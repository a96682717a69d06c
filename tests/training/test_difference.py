"""`differ`: McNemar against statsmodels, paired intervals against numpy, and what can't be compared."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import explorer
from explorer.inspection.compare.difference import standing_of
from explorer.inspection.compare.mcnemar import mcnemar
from tests.html import parse


def judged(right: np.ndarray, name: str, classes=("cat", "dog"), *, names=None) -> explorer.Evaluation:
    """Two classes, photo i is of class i % 2; right: [N] of 0 and 1."""
    count = len(right)
    labels = torch.arange(count) % 2
    said = torch.where(torch.from_numpy(right.astype(bool)), labels, 1 - labels)
    if tuple(classes) == ("dog", "cat"):  # the same photos, told by a model with another order
        labels, said = 1 - labels, 1 - said
    probabilities = torch.nn.functional.one_hot(said, 2).float() * 0.6 + 0.2
    return explorer.Evaluation(tuple(classes), probabilities, labels, torch.zeros(count),
                               names or tuple(f"{i}.png" for i in range(count)), model_name=name)


def numbers(predicted: np.ndarray, truth: np.ndarray, name: str) -> explorer.NumberEvaluation:
    return explorer.NumberEvaluation(
        numbers=("age",), predicted=torch.from_numpy(predicted)[:, None],
        truth=torch.from_numpy(truth)[:, None], names=tuple(map(str, range(len(truth)))), model_name=name)


@pytest.fixture
def answers() -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    return random.random(200) < 0.7, random.random(200) < 0.85


@pytest.mark.parametrize("first, second", [(0, 1), (3, 12), (40, 25), (1, 0), (200, 260), (7, 8)])
def test_mcnemar_is_that_of_statsmodels(first, second):
    oracle = pytest.importorskip("statsmodels.stats.contingency_tables")
    table, found = [[10, first], [second, 4]], mcnemar(first, second)
    exact, corrected = oracle.mcnemar(table, exact=True), oracle.mcnemar(table, exact=False, correction=True)
    assert found.exact == pytest.approx(exact.pvalue, rel=1e-12)
    assert found.statistic == pytest.approx(corrected.statistic, rel=1e-12)
    assert found.corrected == pytest.approx(corrected.pvalue, rel=1e-12)


@pytest.mark.parametrize("count", [0, 1, 30])
def test_equal_counts_tell_of_no_difference(count):
    found = mcnemar(count, count)
    assert (found.exact, found.corrected) == (pytest.approx(1), 1)


def test_the_intervals_are_those_of_a_paired_bootstrap(answers):
    a, b = answers
    found = explorer.differ(judged(a, "a"), judged(b, "b"), draws=4000)
    random = np.random.default_rng(99)  # other draws: the same intervals but for their noise
    chosen = random.integers(0, 200, (4000, 200))
    for interval, values in ((found.first, a), (found.difference, b.astype(float) - a)):
        low, high = np.quantile(values[chosen].mean(1), [0.025, 0.975])
        assert interval.value == pytest.approx(values.mean())
        assert interval.low == pytest.approx(low, abs=0.006)
        assert interval.high == pytest.approx(high, abs=0.006)
    assert found == explorer.differ(judged(a, "a"), judged(b, "b"), draws=4000)
    assert found.better == "b" and found.real


def test_the_table_counts_the_photos_and_names_them(answers):
    a, b = answers
    found = explorer.differ(judged(a, "a"), judged(b, "b"))
    assert (found.both, found.neither) == ((a & b).sum(), (~a & ~b).sum())
    assert [row.index for row in found.only_first] == np.flatnonzero(a & ~b).tolist()
    assert [row.index for row in found.only_second] == np.flatnonzero(b & ~a).tolist()
    assert all(row.right for row in (*found.only_first, *found.only_second))


def test_photos_in_another_order_and_classes_in_another_order_are_the_same(answers):
    a, b = answers
    names = tuple(f"{i}.png" for i in range(200))
    turned = judged(b[::-1], "b", ("dog", "cat"), names=names[::-1])
    # 200 photos: turned around, odd ones stand where even ones stood
    turned.labels, turned.probabilities = 1 - turned.labels, turned.probabilities.flip(1)
    turned.__dict__.pop("predicted", None)
    there, here = explorer.differ(judged(a, "a"), turned), explorer.differ(judged(a, "a"), judged(b, "b"))
    assert there.test == here.test and there.difference == here.difference


def test_other_photos_and_other_truths_are_refused(answers):
    a, b = answers
    with pytest.raises(ValueError, match="different photos .1 photo in the first alone, 1 in the second"):
        explorer.differ(judged(a, "a"), judged(b, "b", names=("x", *(f"{i}.png" for i in range(1, 200)))))
    with pytest.raises(ValueError, match="different truths of '0.png' .cat and dog"):
        explorer.differ(judged(a, "a"), judged(b, "b", ("dog", "bird")))
    with pytest.raises(ValueError, match="no figure in common"):
        explorer.differ(judged(a, "a"), numbers(np.ones(200), np.ones(200), "n"))
    with pytest.raises(ValueError, match="different photos"):
        explorer.differ(judged(a, "a"), judged(b[:100], "b"))


def test_numbers_are_compared_by_their_absolute_error():
    random = np.random.default_rng(0)
    truth = random.normal(30, 5, 120)
    first, second = truth + random.normal(0, 3, 120), truth + random.normal(0, 1, 120)
    found = explorer.differ(numbers(first, truth, "coarse"), numbers(second, truth, "fine"))
    gain = np.abs(second - truth).mean() - np.abs(first - truth).mean()
    assert found.difference.value == pytest.approx(gain)
    assert found.test is None and found.better == "fine" and found.real
    assert "absolute error" in str(found) and "nan" not in str(found)


def test_photos_with_several_classes_count_where_all_is_right():
    truth = torch.tensor([[1, 0], [1, 1], [0, 0], [0, 1]])
    close = torch.tensor([[0.9, 0.1], [0.9, 0.4], [0.2, 0.1], [0.1, 0.9]])
    made = [explorer.Evaluation(("cat", "dog"), p, truth, torch.zeros(4), tuple("abcd"), model_name=n)
            for p, n in ((close, "close"), (truth.float() * 0.8 + 0.1, "right"))]
    found = explorer.differ(*made)
    assert (found.test.first, found.test.second, found.both) == (0, 1, 3)


def test_it_shows_itself_and_escapes_names(answers):
    a, b = answers
    found = explorer.differ(judged(a, "<b>a</b>"), judged(b, "<b>a</b>"))
    html = found._repr_html_()
    parse(html)
    assert "<b>a</b>" not in html and "(second)" in html
    assert "real" in str(found) and "95 %" in str(found)
    alike = explorer.differ(judged(a, "a"), judged(a, "b"))
    assert alike.better == "" and "same" in alike.sentence and not alike.real and alike.notes


def test_the_best_of_several_is_not_called_ahead_of_one_that_is_as_good():
    rights = {"a": np.arange(60) < 40, "b": np.arange(60) >= 20, "c": np.arange(60) < 5}
    best, twin, worse = (judged(right, name) for name, right in rights.items())
    tie, gap = explorer.differ(best, twin), explorer.differ(best, worse)
    assert standing_of("a", [("b", tie), ("c", gap)]) == (
        "a is right most often, as often as b, and is really better than c (p = below 0.001): McNemar's "
        "exact test, corrected for 2 tests (Holm).")
    assert standing_of("a", [("b", tie), ("d", tie)]).startswith("a is right most often, as often as b, d: M")
    assert "may be ahead" not in standing_of("a", [("b", tie), ("d", tie)])
