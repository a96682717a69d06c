"""Dual path networks against timm."""

from __future__ import annotations

import pytest
import torch

import explorer.models as ours
from explorer.models.backbones.dpn import VARIANTS, DualPathBlock, Width
from tests.models import family_checks as check
from tests.models.oracle import (
    TOLERANCE,
    check_gradients_equal,
    check_numbers,
    randomise,
    relative_error,
    without_initialisation,
)

timm = pytest.importorskip("timm")

SMALL, SPLIT = "dpn68", "dpn48b"


def pair(name, **options):
    with without_initialisation():
        return ours.create_model(name, **options), timm.create_model(name, **options)


@pytest.mark.parametrize(("name", "size", "options"), [
    (SMALL, 65, {}), (SMALL, 64, {"global_pool": "catavgmax"}),
    (SPLIT, 65, {}),  # two convolutions end a block; SiLU at both ends of the network
    ("dpn92", 32, {}),
], ids=lambda value: str(value).replace(" ", ""))
def test_numbers_equal_timms(name, size, options):
    check_numbers(*pair(name, **options), size)


@pytest.mark.parametrize("name", VARIANTS)
def test_every_convolution_is_set_as_timms(name):
    check.check_settings(name, timm)


@pytest.mark.parametrize("options", [{"in_chans": 1}, {"in_chans": 4}, {"num_classes": 5}, {"num_classes": 0}], ids=str)
def test_numbers_equal_timms_with_other_inputs_and_outputs(options):
    check.check_other_channels(*pair(SPLIT, **options), 32)


def test_one_training_step_leaves_the_same_gradients_and_statistics_as_timms():
    check_gradients_equal(*pair(SPLIT, num_classes=3), 64)


def test_the_first_channels_are_a_sum_and_the_others_lie_side_by_side():
    block = DualPathBlock(14, Width(8, 10, 2), groups=1, first=False, stride=1, split=False).eval()
    randomise(block)
    x = torch.randn(1, 14, 4, 4)
    with torch.no_grad():
        y, found = block(x), block.c1x1_c(block.c3x3_b(block.c1x1_a(x)))
    assert y.shape == (1, 16, 4, 4)
    assert relative_error(y[:, :10], x[:, :10] + found[:, :10]) < TOLERANCE
    assert torch.equal(y[:, 10:14], x[:, 10:]) and torch.equal(y[:, 14:], found[:, 10:])


def test_a_new_network_can_start_to_learn():
    check.check_fresh(ours.create_model(SMALL), 64)


@pytest.mark.parametrize("name", [SMALL, SPLIT])
def test_a_gradient_reaches_every_parameter(name):
    check.check_gradients(pair(name, num_classes=2)[0], 64)


def test_it_compiles_without_a_graph_break():
    check.check_compiles(pair(SPLIT)[0], 32)


def test_a_checkpoint_fills_every_tensor(tmp_path):
    check.check_loads(SMALL, 64, tmp_path)


@pytest.mark.parametrize("name", [SMALL, SPLIT])
def test_the_maps_are_as_the_table_promises(name):
    check.check_features(name, 64)


def test_a_new_classifier_keeps_its_place():
    check.check_new_classifier_keeps_its_place(pair(SPLIT, global_pool="max")[0])


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
