"""ReXNet against timm, and its channels along a straight line."""

from __future__ import annotations

import pytest
import torch

import explorer.models as ours
from explorer.models.backbones.rexnet import VARIANTS, LinearBottleneck
from tests.models import family_checks as check
from tests.models.oracle import (
    check_gradients_equal,
    check_numbers,
    check_same_start,
    drop_path_rates,
    randomise,
)

timm = pytest.importorskip("timm")


def pair(name: str, **options):
    return ours.create_model(name, **options), timm.create_model(name, **options)


@pytest.mark.parametrize(("name", "size", "options"), [
    ("rexnet_100", 65, {}), ("rexnetr_100", 64, {}), ("rexnetr_130", 64, {"global_pool": "catavgmax"}),
], ids=str)
def test_numbers_equal_timms_on_every_code_path(name, size, options):
    check_numbers(*pair(name, **options), size)


@pytest.mark.parametrize("name", VARIANTS)
def test_settings_that_no_shape_shows_equal_timms(name):
    check.check_settings(name, timm)


@pytest.mark.parametrize("options", [{"in_chans": 1}, {"in_chans": 4}, {"num_classes": 5}, {"num_classes": 0},
                                     {"num_classes": 0, "global_pool": ""}], ids=str)
def test_numbers_equal_timms_with_other_inputs_and_outputs(options):
    check.check_other_channels(*pair("rexnet_100", **options), 64)


def test_one_training_step_leaves_the_same_gradients_as_timms():
    check_gradients_equal(*pair("rexnet_100", num_classes=3, drop_rate=0.0), 64)


def test_fresh_weights_are_spread_as_timms():
    check_same_start(*pair("rexnet_100"))


def test_drop_path_rates_equal_timms():
    mine, theirs = pair("rexnet_100", drop_path_rate=0.3)
    assert drop_path_rates(mine) == pytest.approx(drop_path_rates(theirs))
    assert max(drop_path_rates(mine).values()) == pytest.approx(0.3)


def test_a_gradient_reaches_every_parameter():
    check.check_gradients(ours.create_model("rexnet_100", num_classes=2), 64)


def test_a_new_network_can_start_to_learn():
    check.check_fresh(ours.create_model("rexnet_100"), 64)


def test_it_compiles_as_one_graph():
    model = ours.create_model("rexnet_100", global_pool="", num_classes=0)
    model.features = model.features[:5]  # every kind of block; tracing all of them takes long
    check.check_compiles(model, 64)


def test_a_saved_model_comes_back_whole(tmp_path):
    check.check_loads("rexnet_100", 64, tmp_path)


def test_maps_are_as_the_table_promises():
    check.check_features("rexnet_100", 64)


def test_a_new_classifier_keeps_dtype_device_and_pooling():
    model = ours.create_model("rexnet_100", global_pool="max").to(torch.float64)
    model.reset_classifier(3)
    assert model.num_classes == 3 and model.head.global_pool.pool_type == "max"
    assert model.get_classifier().weight.dtype == torch.float64
    model.to("meta").reset_classifier(4)
    assert model.get_classifier().weight.is_meta


def test_channels_grow_by_the_same_number_from_block_to_block():
    model = ours.create_model("rexnet_100")
    widths = [block.conv_pwl.out_channels for block in model.features[:-1]]
    assert (widths[0], widths[-1]) == (16, 185)
    assert {after - before for before, after in zip(widths, widths[1:])} == {11, 12}  # 11.25, rounded


def test_the_shortcut_adds_the_input_to_the_first_channels_and_leaves_the_new_ones():
    block = LinearBottleneck(4, 24, 6, stride=1, se=0, drop_path=0.0)
    randomise(block)
    x = check.photos(8, in_chans=4)
    with torch.no_grad():
        summed = block.eval()(x)
        block.use_shortcut = False
        alone = block(x)
    assert torch.equal(summed[:, 4:], alone[:, 4:]) and torch.equal(summed[:, :4], alone[:, :4] + x)
