"""What a frozen body saw once: through which copy it looked, and how often an epoch goes over it."""

from __future__ import annotations

import copy

import pytest
import torch

import explorer
from explorer.data.datasets import Splits
from explorer.training.loop.recipe import Recipe
from explorer.training.loop.sources import FeatureSource
from explorer.training.loop.team import Alone
from explorer.training.run import training
from tests.training.test_finetune import painted, run, small


@pytest.fixture
def colours() -> Splits:
    return Splits("colours", painted(24), painted(12, seed=1))


def test_an_epoch_goes_over_the_features_of_few_photos_until_it_has_forty_batches(colours):
    done = run(small(), colours, epochs=1).wait()
    assert done.started.batches == len(done.batches) == 42  # 14 rounds of 3
    views, labels = torch.arange(2 * 5).view(2, 5, 1), torch.arange(5)
    source = FeatureSource(views, labels, views[0], labels, Recipe(batch_size=2, rounds=4), Alone())
    epoch = list(source.batches(1))
    assert len(source) == len(epoch) == 8  # a last lone photo joins the batch before
    rounds = [torch.cat([labels for _, labels in epoch[i:i + 2]]) for i in range(0, 8, 2)]
    assert all(sorted(order.tolist()) == [0, 1, 2, 3, 4] for order in rounds)
    assert len({tuple(order.tolist()) for order in rounds}) == 4
    seen = [{int(x) for inputs, _ in epoch[i:i + 2] for x in inputs} for i in range(0, 8, 2)]
    assert seen[0] | seen[1] == seen[2] | seen[3] == set(range(10))  # both views in two rounds
    for start in (0, 1, 3, 7):
        found = list(source.batches(1, start))
        assert [x.tolist() for x, _ in found] == [x.tolist() for x, _ in epoch[start:]]


def test_a_frozen_body_looks_through_its_kept_copy(colours, monkeypatch):
    model, looks = small(), []
    kept = explorer.optimize(model)
    monkeypatch.setattr(training, "stand_in", lambda net: kept)
    plain = kept.forward_features
    monkeypatch.setattr(kept, "forward_features", lambda x: looks.append(len(x)) or plain(x))
    run(model, colours, epochs=1).wait()
    assert sum(looks) == 2 + len(colours.train) + len(colours.val)  # two more to compare by


def test_a_copy_that_says_something_else_does_not_look(colours, monkeypatch):
    model, wrong = small(), explorer.optimize(small())
    with torch.no_grad():
        for weight in wrong.parameters():
            weight.mul_(0.5)
    right = run(copy.deepcopy(model), colours, epochs=1).wait()
    monkeypatch.setattr(training, "stand_in", lambda net: wrong)
    found = run(model, colours, epochs=1).wait()
    for one, other in zip(found.batches, right.batches, strict=True):
        assert one.loss == pytest.approx(other.loss, rel=1e-3)
