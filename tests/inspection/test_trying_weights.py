"""Weights tried on answers that are there: against numpy, and against the functions that a cell has."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from explorer.inspection.weighing.answers import MemberAnswers
from explorer.inspection.weighing.trying import Weighing
from explorer.models.ensembles.fitting import slope_left
from explorer.models.outputs import Outputs


def answers(photos=60, members=3, classes=4, seed=0, combine="mean"):
    random = torch.Generator().manual_seed(seed)
    truth = torch.randint(classes, (photos,), generator=random)
    logits = 2 * torch.randn(members, photos, classes, generator=random)
    logits[:, torch.arange(photos), truth] += torch.linspace(0.5, 1.5, members)[:, None]
    outputs = Outputs("one", tuple(f"kind {i}" for i in range(classes)))
    names = tuple("abcdefgh"[:members])
    return MemberAnswers(names, tuple(f"{i}.jpg" for i in range(photos)), logits, truth, outputs, combine)


def softmax(x):
    up = np.exp(x - x.max(-1, keepdims=True))
    return up / up.sum(-1, keepdims=True)


@pytest.mark.parametrize("combine", ["mean", "logits", "vote"])
def test_what_follows_from_the_weights_is_what_numpy_says(combine):
    given = answers()
    weighing, weights = Weighing(given), np.array([0.5, 0.6, 0.9])
    tried, shares = weighing.weigh(list(weights), combine), weights / weights.sum()
    logits, truth = given.logits.double().numpy(), given.truth.numpy()
    p = softmax(logits)
    mixed = (shares[:, None, None] * (np.eye(4)[p.argmax(-1)] if combine == "vote" else p)).sum(0)
    if combine == "logits":
        mixed = softmax((shares[:, None, None] * logits).sum(0))
    elif combine == "vote":
        mixed = mixed + 1e-6 * (shares[:, None, None] * p).sum(0)  # of equal votes the probabilities decide
    right = mixed.argmax(-1) == truth
    alone = p.argmax(-1) == truth
    best = alone.mean(1).argmax()
    assert tried.said.tolist() == mixed.argmax(-1).tolist() and weighing.best == best
    assert tried.accuracy == pytest.approx(right.mean()) and weighing.scores == pytest.approx(alone.mean(1))
    assert list(tried.fixed) == np.flatnonzero(right & ~alone[best]).tolist() and tried.fixed
    assert list(tried.broken) == np.flatnonzero(~right & alone[best]).tolist()
    said = np.array([*p.argmax(-1), mixed.argmax(-1)])
    table = (said[:, None] == said[None]).mean(-1)
    np.testing.assert_allclose(weighing.agreement, table[:3, :3])
    np.testing.assert_allclose(tried.agreement, table[3, :3])
    if combine != "vote":
        assert tried.loss == pytest.approx(-np.log(mixed[np.arange(60), truth]).mean(), rel=1e-5)
        sure = tried.probability(7, given.outputs)
        assert sure == pytest.approx(mixed[7].max(), rel=1e-5)


def test_one_member_alone_is_that_member():
    weighing = Weighing(answers())
    for i in range(3):
        tried = weighing.weigh([float(i == j) for j in range(3)])
        assert tried.accuracy == weighing.scores[i] and tried.agreement[i] == 1
        assert tried.loss == pytest.approx(weighing.losses[i], rel=1e-6)
    assert not weighing.weigh([float(weighing.best == j) for j in range(3)]).fixed


@pytest.mark.parametrize("combine", ["mean", "logits"])
def test_fitted_weights_are_the_best_and_what_they_are_worth_is_judged_by_others(combine):
    given = answers(photos=81)
    weighing = Weighing(given)
    fitted = weighing.fit(combine)
    assert slope_left(fitted, list(given.logits), given.truth, given.outputs, combine) < 1e-6
    here, across = weighing.weigh(fitted, combine), weighing.across(combine)
    assert here.loss < weighing.weigh(None, combine).loss and across[1] > here.loss
    first, second = weighing.halves
    assert sorted([*first.tolist(), *second.tolist()]) == list(range(81))
    counts = [np.bincount(given.truth[half], minlength=4) for half in (first, second)]
    assert abs(counts[0] - counts[1]).max() <= 1


def test_too_few_photos_and_none_are_said():
    assert Weighing(answers(photos=3)).across("mean") is None
    with pytest.raises(ValueError, match="no photo"):
        Weighing(answers(photos=0))
    with pytest.raises(ValueError, match="not negative"):
        Weighing(answers()).weigh([0.0, 0.0, 0.0])


def test_a_yes_or_no_is_weighed_too():
    raw = torch.tensor([[[2.0], [-1.0], [0.5]], [[-3.0], [-2.0], [1.0]]])
    outputs = Outputs("yes/no", ("no", "yes"))
    truth = torch.tensor([0, 0, 1])
    weighing = Weighing(MemberAnswers(("a", "b"), ("x", "y", "z"), raw, truth, outputs, "mean"))
    assert weighing.best == 1 and weighing.weigh([1, 0]).said.tolist() == [1, 0, 1]
    assert weighing.weigh([0.1, 0.9]).accuracy == 1 and weighing.weigh([1, 0]).broken == (0,)

def test_another_name_of_a_way_is_that_way_and_no_way_is_a_sentence():
    given = answers()
    for other, own in (("hard", "vote"), ("Hard voting", "vote"), ("soft", "mean")):
        assert torch.equal(given.combined(combine=other), given.combined(combine=own))
    assert not torch.equal(given.combined(combine="hard"), given.combined())
    for call in (lambda: given.accuracy(combine="median"), lambda: Weighing(given).weigh(combine="median"),
                 lambda: Weighing(given).fit("median")):
        with pytest.raises(ValueError, match="combine is 'median': expected one of 'mean', 'logits', 'vote'"):
            call()


@pytest.mark.parametrize("kind, says", [("several", "several classes at once"), ("numbers", "regression")])
def test_answers_of_which_none_is_fixed_or_broken_are_a_sentence(kind, says):
    given = answers()
    other = replace(given, truth=torch.zeros(60, 4), outputs=Outputs(kind, given.outputs.labels))
    with pytest.raises(ValueError, match=f"{says}.*not one class of several"):
        Weighing(other)
