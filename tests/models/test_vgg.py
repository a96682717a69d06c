"""VGG: how it starts and how it trains, which tests of predictions do not reach."""

from __future__ import annotations

import pytest
import torch

from explorer.models.create import create_model
from tests.models.oracle import TOLERANCE, check_same_start, dropout_rates, relative_error

timm = pytest.importorskip("timm")


@pytest.fixture(scope="module")
def vggs():
    """(ours, timm's) with dropout, fresh."""
    return create_model("vgg11_bn", drop_rate=0.3), timm.create_model("vgg11_bn", drop_rate=0.3)


def test_fresh_vgg_is_distributed_as_timms(vggs):
    check_same_start(*vggs)


def test_vgg_drops_where_timms_does(vggs):
    mine, theirs = map(dropout_rates, vggs)
    assert mine == theirs and set(mine.values()) == {0.3}


def test_maps_in_training_mode_equal_timms(vggs):  # BatchNorm goes by the statistics of the batch
    mine, theirs = vggs
    mine.load_state_dict(theirs.state_dict())
    x = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        own, wanted = mine.train().forward_features(x), theirs.train().forward_features(x)
        assert relative_error(own, wanted) < TOLERANCE


def test_maps_alone_need_none_of_the_two_large_layers():
    net = create_model("vgg11", features_only=True)
    assert sum(p.numel() for p in net.parameters()) == sum(p.numel() for p in net.model.features.parameters())
