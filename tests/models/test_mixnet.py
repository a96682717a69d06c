"""MixNet against timm, and what its training needs."""

from __future__ import annotations

import pytest
import torch

import explorer.models as ours
from explorer.models.backbones.mixnet import MixedConv, shares
from explorer.models.layers.conv_same import create_conv2d
from tests.models import family_checks as check
from tests.models.oracle import (
    TOLERANCE,
    check_gradients_equal,
    check_numbers,
    check_same_start,
    randomise,
    relative_error,
    without_initialisation,
)

timm = pytest.importorskip("timm")

SMALL = "mixnet_s"


def build(library, name, **options):
    with without_initialisation():
        return library.create_model(name, **options)


@pytest.mark.parametrize(("name", "size", "options"), [
    (SMALL, 65, {}), (SMALL, 64, {"global_pool": "catavgmax"}),
    ("mixnet_m", 64, {}),
    ("mixnet_xl", 32, {}),                             # scaled width and depth: parts that are not equal
    ("tf_mixnet_s", 65, {}), ("tf_mixnet_m", 64, {}),  # "same" padding of every kernel
], ids=lambda value: str(value).replace(" ", ""))
def test_numbers_equal_timms(name, size, options):
    check_numbers(build(ours, name, **options), build(timm, name, **options), size)


@pytest.mark.parametrize("name", ours.list_models(family="mixnet"))
def test_every_convolution_is_set_as_timms(name):
    check.check_settings(name, timm)


@pytest.mark.parametrize("options", [{"in_chans": 1}, {"in_chans": 4}, {"num_classes": 5}, {"num_classes": 0},
                                     {"num_classes": 0, "global_pool": ""}], ids=str)
def test_numbers_equal_timms_with_other_inputs_and_outputs(options):
    check.check_other_channels(build(ours, SMALL, **options), build(timm, SMALL, **options), 64)


def test_one_training_step_leaves_the_same_gradients_and_statistics_as_timms():
    check_gradients_equal(build(ours, SMALL, num_classes=3), build(timm, SMALL, num_classes=3), 64)


def test_new_networks_start_as_timms_do():
    check_same_start(ours.create_model(SMALL), timm.create_model(SMALL))


def test_a_new_network_can_start_to_learn():
    check.check_fresh(ours.create_model(SMALL), 64)


def test_a_gradient_reaches_every_parameter():
    check.check_gradients(build(ours, SMALL, num_classes=2), 64)


@pytest.mark.parametrize(("name", "stride"), [(SMALL, 16), ("mixnet_m", 8)])
def test_traded_strides_give_timms_maps(name, stride):
    mine = build(ours, name, features_only=True, output_stride=stride).eval()
    theirs = build(timm, name, features_only=True, output_stride=stride).eval()
    randomise(theirs)
    assert mine.model.load_state_dict(theirs.state_dict(), strict=False).unexpected_keys == []
    with torch.no_grad():
        maps = mine(check.photos(64))
        assert maps[-1].shape[-1] == 64 // stride
        for own, other in zip(maps, theirs(check.photos(64)), strict=True):
            assert relative_error(own, other) < TOLERANCE


def test_it_compiles_without_a_graph_break():
    check.check_compiles(build(ours, "tf_mixnet_s", depth=0.3), 64)


def test_a_checkpoint_fills_every_tensor(tmp_path):
    check.check_loads(SMALL, 64, tmp_path)


def test_the_maps_are_as_the_table_promises():
    check.check_features(SMALL, 64)


@pytest.mark.parametrize(("channels", "count", "wanted"), [(12, 3, [4, 4, 4]), (14, 4, [5, 3, 3, 3]), (5, 1, [5])])
def test_what_is_left_over_goes_to_the_first_share(channels, count, wanted):
    assert shares(channels, count) == wanted


def test_each_share_is_filtered_by_its_own_kernel():
    layer = MixedConv(4, 4, (1, 3), conv=create_conv2d, depthwise=True)
    x = torch.zeros(1, 4, 5, 5)
    x[..., 2, 2] = 1
    with torch.no_grad():
        seen = (layer(x) != 0).flatten(2).sum(-1)
    assert seen.tolist() == [[1, 1, 9, 9]]
