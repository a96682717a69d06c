"""The numbers of an ensemble, against numpy's: how scores are combined, and which weights are the best."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from explorer.models.ensembles.combining import combine_scores
from explorer.models.ensembles.fitting import fit_simplex, loss_of, onto_simplex, slope_left
from explorer.models.outputs import Outputs

NAMES = ("ant", "bee", "cat", "dog")
RAWS = [torch.tensor(rows) for rows in np.random.default_rng(1).normal(0, 3, (3, 20, 4))]
WEIGHTS = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
ONE, SEVERAL = Outputs("one", NAMES), Outputs("several", NAMES)


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def test_the_mean_of_probabilities_and_of_logits_are_numpys():
    arrays, w = [raw.numpy() for raw in RAWS], WEIGHTS.numpy()
    mean = sum(share * softmax(x) for share, x in zip(w, arrays))
    found = combine_scores(RAWS, ONE, "mean", WEIGHTS)
    assert np.allclose(ONE.probabilities(found).numpy(), mean, atol=1e-12)
    logits = softmax(sum(share * x for share, x in zip(w, arrays)))
    assert np.allclose(ONE.probabilities(combine_scores(RAWS, ONE, "logits", WEIGHTS)).numpy(), logits)


def test_sigmoids_are_averaged_each_by_itself():
    mean = sum(share * sigmoid(raw.numpy()) for share, raw in zip(WEIGHTS.numpy(), RAWS))
    found = combine_scores(RAWS, SEVERAL, "mean", WEIGHTS)
    assert np.allclose(SEVERAL.probabilities(found).numpy(), mean, atol=1e-12)
    yes = Outputs("yes/no", ("no", "yes"))
    found = combine_scores([raw[:, :1] for raw in RAWS], yes, "mean", WEIGHTS)
    assert np.allclose(yes.probabilities(found)[:, 1].numpy(), mean[:, 0], atol=1e-12)


def test_votes_are_counted_and_equal_ones_go_by_the_probabilities():
    found = ONE.probabilities(combine_scores(RAWS, ONE, "vote", WEIGHTS)).numpy()
    counted = sum(share * np.eye(4)[raw.numpy().argmax(-1)] for share, raw in zip(WEIGHTS.numpy(), RAWS))
    assert np.abs(found - counted).max() < 2e-5
    tied = [torch.tensor([[3.0, 2.9, 0.0]]), torch.tensor([[0.0, 1.0, 0.5]])]
    three = Outputs("one", ("a", "b", "c"))
    share = three.probabilities(combine_scores(tied, three, "vote", torch.ones(2)))
    assert share.argmax() == 1 and torch.allclose(share[0, :2], torch.tensor(0.5), atol=1e-4)
    several = combine_scores(RAWS, SEVERAL, "vote", torch.ones(3))
    assert torch.equal(several > 0, sum((raw > 0).int() for raw in RAWS) >= 2)


def test_weights_by_class_count_for_their_class_alone():
    by_class = torch.tensor(np.random.default_rng(2).random((3, 4)))
    shares = by_class.numpy() / by_class.numpy().sum(0)
    mean = sum(share * softmax(raw.numpy()) for share, raw in zip(shares, RAWS))
    found = ONE.probabilities(combine_scores(RAWS, ONE, "mean", by_class)).numpy()
    assert np.allclose(found, mean / mean.sum(-1, keepdims=True), atol=1e-12)


def test_a_member_without_weight_changes_nothing_and_leaves_gradients_whole():
    own = [raw.clone().requires_grad_() for raw in RAWS]
    found = combine_scores(own, ONE, "mean", torch.tensor([1.0, 0.0, 0.0]))
    assert torch.allclose(found, RAWS[0].log_softmax(-1))
    found[:, 0].sum().backward()
    assert all(torch.isfinite(raw.grad).all() for raw in own) and not own[1].grad.any()


def test_probabilities_that_would_round_to_zero_keep_their_logarithm():
    sure = [torch.tensor([[200.0, 0.0]]), torch.tensor([[220.0, 0.0]])]
    found = combine_scores(sure, Outputs("one", ("a", "b")), "mean", torch.ones(2))
    assert float(found[0, 1]) == pytest.approx(-200 - np.log(2), abs=1e-3)


# --- fitted weights -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["mean", "logits"])
@pytest.mark.parametrize("outputs", [ONE, SEVERAL], ids=["one", "several"])
def test_fitted_weights_are_the_best_on_the_simplex(how, outputs):
    chance = np.random.default_rng(3)
    right = torch.tensor(chance.integers(0, 4, 200))
    truth = right if outputs is ONE else torch.tensor(chance.integers(0, 2, (200, 4)))
    known = nn.functional.one_hot(right, 4) if outputs is ONE else 2 * truth - 1
    raws = [torch.tensor(chance.normal(0, 2, (200, 4))) + known * good for good in (3.0, 2.0, -0.5, 1.0)]
    weights = fit_simplex(raws, truth, outputs, how)
    assert float(weights.sum()) == pytest.approx(1) and bool((weights >= 0).all())
    assert slope_left(weights, raws, truth, outputs, how) < 1e-6
    best = loss_of(weights, raws, truth, outputs, how)
    for _ in range(30):  # convex: no other weights do better
        other = torch.tensor(chance.dirichlet(np.ones(4)))
        assert loss_of(other, raws, truth, outputs, how) >= best - 1e-12
    combined = combine_scores(raws, outputs, how, weights)
    if outputs is ONE:
        assert best == pytest.approx(float(nn.functional.cross_entropy(combined, truth)), abs=1e-9)


def test_votes_can_not_be_fitted():
    with pytest.raises(ValueError, match="no slope"):
        fit_simplex(RAWS, torch.zeros(20), ONE, "vote")


def test_the_nearest_point_of_the_simplex():
    assert onto_simplex(np.array([0.2, 0.3, 0.5])) == pytest.approx([0.2, 0.3, 0.5])
    assert onto_simplex(np.array([2.0, 0.0, 0.0])) == pytest.approx([1, 0, 0])
