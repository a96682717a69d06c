"""ResNet and its relatives: how they start and how they train, which tests of predictions do not reach."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from explorer.models.create import create_model
from tests.models.oracle import drop_path_rates

timm = pytest.importorskip("timm")


def test_every_fresh_block_is_the_identity():
    model = create_model("resnet26").eval()
    x = torch.rand(2, 256, 8, 8)
    assert torch.equal(model.layer1[1](x), x)
    assert not torch.equal(model.layer1[1].conv3.weight, torch.zeros_like(model.layer1[1].conv3.weight))


@pytest.mark.parametrize("name", ["resnet18", "resnet26"])  # two blocks, each with a branch of its own
def test_drop_path_rates_equal_timms(name):
    mine = drop_path_rates(create_model(name, drop_path_rate=0.3))
    assert len(mine) == 7  # all but the first of eight
    assert mine == pytest.approx(drop_path_rates(timm.create_model(name, drop_path_rate=0.3)))


@pytest.mark.parametrize("name", ["resnet18", "resnet26"])
def test_a_dropped_branch_leaves_its_input_while_training_only(name):
    block = create_model(name, drop_path_rate=0.3).layer4[1]
    nn.init.ones_(block.last_norm.weight)  # fresh, the branch adds nothing
    block.drop_path.drop_prob = 1.0
    x = torch.rand(2, block.last_norm.num_features, 4, 4)
    assert torch.equal(block.train()(x), x)
    assert not torch.equal(block.eval()(x), x)


def test_dropout_before_the_classifier_acts_while_training_only():
    model = create_model("resnet10t", drop_rate=0.5, num_classes=0)
    features = torch.ones(1, 512, 2, 2)
    assert set(model.train().forward_head(features).unique().tolist()) == {0.0, 2.0}
    assert torch.equal(model.eval().forward_head(features), torch.ones(1, 512))
