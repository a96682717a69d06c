"""ResNet V2 and BiT against timm; weight standardisation and the norms by their formulas."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch.nn import functional as F

import explorer.models as ours
from explorer.models.backbones.resnetv2 import VARIANTS
from explorer.models.layers import FilterResponseNormTlu2d, GroupNormAct, StdConv2d
from tests.models import family_checks as check
from tests.models.oracle import (
    TOLERANCE,
    check_gradients_equal,
    check_numbers,
    check_same_start,
    drop_path_rates,
    relative_error,
    same_weights,
)

timm = pytest.importorskip("timm")

FLAT = (1, 2, 1, 1)  # blocks in the four stages: with and without a shortcut of its own


def pair(name: str, depths: tuple[int, ...] = FLAT, **options):
    """Our model and timm's, with few blocks. Its BiT names have all of theirs; the parts fit another name too."""
    mine = ours.create_model(name, depths=depths, **options)
    if name.endswith("_bit"):
        layers = timm.layers
        options |= {"width_factor": VARIANTS[name]["width_factor"], "stem_type": "fixed",
                    "norm_layer": partial(layers.GroupNormAct, num_groups=32),
                    "conv_layer": partial(layers.StdConv2d, eps=1e-8)}
        name = "resnetv2_50"
    return mine, timm.create_model(name, layers=depths, **options)


@pytest.mark.parametrize(("name", "size", "options"), [
    ("resnetv2_18", 65, {}), ("resnetv2_18d", 64, {}),                     # basic blocks, both stems
    ("resnetv2_50", 64, {}), ("resnetv2_50d", 65, {}), ("resnetv2_50t", 64, {}),
    ("resnetv2_50d_gn", 64, {}), ("resnetv2_50d_evos", 64, {}), ("resnetv2_50d_frn", 64, {}),
    ("resnetv2_50x1_bit", 64, {}), ("resnetv2_152x2_bit", 33, {}),         # standardised, wider
    ("resnetv2_18", 64, {"output_stride": 8}), ("resnetv2_50d", 65, {"output_stride": 16}),
    ("resnetv2_50d_gn", 64, {"output_stride": 8}), ("resnetv2_50x1_bit", 64, {"output_stride": 16}),
    ("resnetv2_18", 64, {"global_pool": "catavgmax"}), ("resnetv2_18d", 64, {"global_pool": "max"}),
], ids=str)
def test_numbers_equal_timms_on_every_code_path(name, size, options):
    check_numbers(*pair(name, **options), size)


def test_logits_of_a_whole_bit_equal_timms():
    mine, theirs = (library.create_model("resnetv2_50x1_bit") for library in (ours, timm))
    same_weights(mine.double(), theirs.double())  # fifty layers of GroupNorm magnify float32's rounding
    with torch.no_grad():
        x = check.photos(64).double()
        assert relative_error(mine(x), theirs(x)) < TOLERANCE


@pytest.mark.parametrize("name", [name for name in VARIANTS if not name.startswith("resnetv2_1") or "_18" in name])
def test_settings_that_no_shape_shows_equal_timms(name):
    check.check_settings(name, timm)


@pytest.mark.parametrize("options", [{"in_chans": 1}, {"in_chans": 4}, {"num_classes": 5}, {"num_classes": 0},
                                     {"num_classes": 0, "global_pool": ""}], ids=str)
@pytest.mark.parametrize("name", ["resnetv2_18d", "resnetv2_50x1_bit"])
def test_numbers_equal_timms_with_other_inputs_and_outputs(name, options):
    check.check_other_channels(*pair(name, **options), 64)


def test_without_pooling_every_place_gets_its_logits():
    model = ours.create_model("resnetv2_18", depths=FLAT, global_pool="", num_classes=5).eval()
    pooled = ours.create_model("resnetv2_18", depths=FLAT, num_classes=5).eval()
    pooled.load_state_dict(model.state_dict())
    with torch.no_grad():
        everywhere = model(check.photos(64))
        assert everywhere.shape == (2, 5, 2, 2)  # a linear classifier commutes with the mean
        assert relative_error(everywhere.mean((2, 3)), pooled(check.photos(64))) < TOLERANCE


@pytest.mark.parametrize("name", ["resnetv2_18", "resnetv2_50d_evos", "resnetv2_50x1_bit"])
def test_one_training_step_leaves_the_same_gradients_as_timms(name):
    check_gradients_equal(*pair(name, num_classes=3), 64)


@pytest.mark.parametrize("name", ["resnetv2_18d", "resnetv2_50d_frn", "resnetv2_50x1_bit"])
def test_fresh_weights_are_spread_as_timms(name):
    check_same_start(*pair(name))


@pytest.mark.parametrize("name", ["resnetv2_50", "resnetv2_50d_frn", "resnetv2_50x1_bit"])
def test_a_gradient_reaches_every_parameter(name):
    check.check_gradients(ours.create_model(name, depths=FLAT, num_classes=2), 64)


@pytest.mark.parametrize("name", ["resnetv2_18", "resnetv2_50d_gn", "resnetv2_50x1_bit"])
def test_a_new_network_can_start_to_learn(name):
    check.check_fresh(ours.create_model(name, depths=FLAT), 64)


def test_drop_path_rates_equal_timms():
    mine, theirs = pair("resnetv2_50", (2, 2, 2, 2), drop_path_rate=0.3)
    assert drop_path_rates(mine) == pytest.approx(drop_path_rates(theirs))
    assert max(drop_path_rates(mine).values()) == pytest.approx(0.3)


def test_it_compiles_as_one_graph():
    check.check_compiles(ours.create_model("resnetv2_50x1_bit", depths=FLAT), 64)


def test_a_saved_model_comes_back_whole(tmp_path):
    check.check_loads("resnetv2_50x1_bit", 64, tmp_path, depths=FLAT)


@pytest.mark.parametrize("name", ["resnetv2_18", "resnetv2_18d", "resnetv2_50x1_bit"])
def test_maps_are_as_the_table_promises(name):
    check.check_features(name, 64, depths=FLAT)


def test_a_new_classifier_keeps_dtype_device_and_pooling():
    model = ours.create_model("resnetv2_18", depths=FLAT, global_pool="max").to(torch.float64)
    model.reset_classifier(3)
    assert model.num_classes == 3 and model.head.global_pool.pool_type == "max"
    assert model(check.photos(64).double()).shape == (2, 3)
    model.to("meta").reset_classifier(4)
    assert model.get_classifier().weight.is_meta


@pytest.mark.parametrize(("options", "message"), [
    ({"norm": "layer"}, "Unknown norm 'layer'. Known: batch"), ({"stem": "flat"}, "Unknown stem 'flat'"),
    ({"output_stride": 4}, "output_stride is 4"), ({"num_classes": -1}, "num_classes is -1"),
], ids=str)
def test_impossible_options_are_refused_with_a_sentence(options, message):
    with pytest.raises(ValueError, match=message):
        ours.create_model("resnetv2_18", **options)


# --- the layers -------------------------------------------------------------------------------------------


def test_standardised_filters_have_mean_0_and_variance_1_whatever_is_stored():
    conv = StdConv2d(3, 4, 3, padding=1)
    with torch.no_grad():
        conv.weight.mul_(7).add_(2)
        filters = conv.standardised_weight().flatten(1)
        assert filters.mean(1).abs().max() < 1e-6
        assert (filters.var(1, correction=0) - 1).abs().max() < 1e-3
        x = check.photos(8)
        assert torch.equal(conv(x), F.conv2d(x, filters.reshape(4, 3, 3, 3), padding=1))


def test_standardised_filters_do_not_care_how_large_the_stored_ones_are():
    conv = StdConv2d(3, 4, 3, eps=0.0)
    x = check.photos(8)
    with torch.no_grad():
        before = conv(x)
        conv.weight.mul_(10)
        assert relative_error(conv(x), before) < TOLERANCE


def test_filter_response_norm_gives_channels_of_power_1_above_the_threshold():
    norm = FilterResponseNormTlu2d(3, eps=0.0)
    with torch.no_grad():
        norm.tau.fill_(-torch.inf)
        assert (norm(5 * check.photos(16) + 3).square().mean((2, 3)) - 1).abs().max() < 1e-5
        norm.tau.copy_(torch.tensor([-1.0, 0.0, 1.0]))
        assert norm(check.photos(16)).amin((0, 2, 3)).tolist() == [-1.0, 0.0, 1.0]


def test_group_norm_with_its_activation_is_group_norm_then_relu():
    norm = GroupNormAct(8, num_groups=4)
    x = torch.randn(2, 8, 5, 5, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert relative_error(norm(x), F.group_norm(x, 4).relu()) < TOLERANCE
        assert relative_error(GroupNormAct(8, num_groups=4, apply_act=False)(x), F.group_norm(x, 4)) < TOLERANCE


@pytest.mark.parametrize(("mine", "theirs"), [
    (lambda: FilterResponseNormTlu2d(8), lambda: timm.layers.FilterResponseNormTlu2d(8)),
    (lambda: GroupNormAct(8, num_groups=2), lambda: timm.layers.GroupNormAct(8, num_groups=2)),
    (lambda: StdConv2d(8, 4, 3, padding=1), lambda: timm.layers.StdConv2d(8, 4, 3, padding=1)),
], ids=["frn", "group", "std_conv"])
def test_each_layer_gives_timms_numbers(mine, theirs):
    mine, theirs = mine(), theirs()
    same_weights(mine, theirs)
    x = torch.randn(2, 8, 7, 7, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        assert relative_error(mine(x), theirs(x)) < TOLERANCE
