"""Dual path networks against timm."""

from __future__ import annotations

import pytest
import torch

import explorer.models as ours
from explorer.models.backbones.dpn import DualPathBlock, Width
from tests.models import family_checks as check
from tests.models.oracle import TOLERANCE, randomise, relative_error, without_initialisation

timm = pytest.importorskip("timm")

SMALL, SPLIT = "dpn68", "dpn48b"


def pair(name, **options):
    with without_initialisation():
        return ours.create_model(name, **options), timm.create_model(name, **options)


def test_the_first_channels_are_a_sum_and_the_others_lie_side_by_side():
    block = DualPathBlock(14, Width(8, 10, 2), groups=1, first=False, stride=1, split=False).eval()
    randomise(block)
    x = torch.randn(1, 14, 4, 4)
    with torch.no_grad():
        y, found = block(x), block.c1x1_c(block.c3x3_b(block.c1x1_a(x)))
    assert y.shape == (1, 16, 4, 4)
    assert relative_error(y[:, :10], x[:, :10] + found[:, :10]) < TOLERANCE
    assert torch.equal(y[:, 10:14], x[:, 10:]) and torch.equal(y[:, 14:], found[:, 10:])


def test_without_pooling_every_place_is_classified():
    model = pair(SPLIT, global_pool="")[0].eval()
    with torch.no_grad():
        assert model(check.photos(64)).shape == (2, 1000, 2, 2)


def test_options_it_does_not_know_are_refused():
    with pytest.raises(ValueError, match="leave drop_path_rate at 0"):
        ours.create_model(SMALL, drop_path_rate=0.1)
    with pytest.raises(ValueError, match="output_stride=16 is not possible"):
        ours.create_model(SMALL, output_stride=16)


def test_only_the_blocks_that_open_a_stage_have_a_projection():
    with torch.device("meta"):
        model = ours.create_model(SMALL)
    opening = [name for name, block in model.features.named_children() if getattr(block, "project", "")]
    assert opening == ["conv2_1", "conv3_1", "conv4_1", "conv5_1"]
