"""EdgeNeXt against timm, and its attention between channels by what it promises."""

from __future__ import annotations

import pytest
import torch

import explorer.models as ours
from explorer.models.backbones.edgenext import VARIANTS, CrossCovarianceAttn, PositionalEncodingFourier
from tests.models import family_checks as check
from tests.models.oracle import (
    TOLERANCE,
    check_gradients_equal,
    check_numbers,
    check_same_start,
    drop_path_rates,
    randomise,
    relative_error,
)

timm = pytest.importorskip("timm")

SMALL = {"depths": (1, 2, 2, 2), "dims": (8, 16, 20, 40)}  # the third stage's last group of channels is narrower


def pair(name: str, **options):
    return ours.create_model(name, **options), timm.create_model(name, **options)


@pytest.mark.parametrize(("name", "size", "options"), [
    ("edgenext_xx_small", 64, {}), ("edgenext_xx_small", 71, SMALL),           # ... and pixels left over
    ("edgenext_small", 64, {**SMALL, "dims": (8, 16, 24, 40)}),                # eight heads
    ("edgenext_small_rw", 65, {**SMALL, "dims": (8, 16, 32, 64)}),             # overlapping stem, blocks that halve
    ("edgenext_xx_small", 64, {**SMALL, "global_pool": "max"}),
], ids=str)
def test_numbers_equal_timms_on_every_code_path(name, size, options):
    check_numbers(*pair(name, **options), size)


@pytest.mark.parametrize("name", VARIANTS)
def test_settings_that_no_shape_shows_equal_timms(name):
    check.check_settings(name, timm)


@pytest.mark.parametrize("options", [{"in_chans": 1}, {"in_chans": 4}, {"num_classes": 5}, {"num_classes": 0},
                                     {"num_classes": 0, "global_pool": ""}], ids=str)
def test_numbers_equal_timms_with_other_inputs_and_outputs(options):
    check.check_other_channels(*pair("edgenext_xx_small", **SMALL, **options), 64)


@pytest.mark.parametrize("name", ["edgenext_xx_small", "edgenext_small_rw"])
def test_one_training_step_leaves_the_same_gradients_as_timms(name):
    options = SMALL if name == "edgenext_xx_small" else {**SMALL, "dims": (8, 16, 32, 64)}
    check_gradients_equal(*pair(name, **options, num_classes=3), 64)


@pytest.mark.parametrize("name", ["edgenext_xx_small", "edgenext_small_rw"])
def test_fresh_weights_are_spread_as_timms(name):
    check_same_start(*pair(name))


def test_drop_path_rates_equal_timms():
    mine, theirs = pair("edgenext_xx_small", drop_path_rate=0.3)
    assert drop_path_rates(mine) == pytest.approx(drop_path_rates(theirs))
    assert max(drop_path_rates(mine).values()) == pytest.approx(0.3)


def test_a_gradient_reaches_every_parameter():
    check.check_gradients(ours.create_model("edgenext_xx_small", **SMALL, num_classes=2), 64)


@pytest.mark.parametrize("name", ["edgenext_xx_small", "edgenext_small_rw"])
def test_a_new_network_can_start_to_learn(name):
    check.check_fresh(ours.create_model(name), 64)


def test_it_compiles_as_one_graph():
    check.check_compiles(ours.create_model("edgenext_xx_small", **SMALL), 64)


def test_a_saved_model_comes_back_whole(tmp_path):
    check.check_loads("edgenext_xx_small", 64, tmp_path)


def test_maps_are_as_the_table_promises():
    check.check_features("edgenext_small_rw", 64)


def test_a_new_classifier_keeps_dtype_device_and_pooling():
    model = ours.create_model("edgenext_xx_small", **SMALL, global_pool="max").to(torch.float64)
    model.reset_classifier(3)
    assert model.num_classes == 3 and model.head.global_pool.pool_type == "max"
    assert model(check.photos(64).double()).shape == (2, 3)
    model.to("meta").reset_classifier(4)
    assert model.get_classifier().weight.is_meta


@pytest.mark.parametrize(("name", "options", "message"), [
    ("edgenext_xx_small", {"stem": "deep"}, "Unknown stem 'deep'"),
    ("edgenext_xx_small", {"num_heads": 5}, "can't be shared by 5 heads"),
    ("edgenext_xx_small", {"output_stride": 16}, "can't trade stride"),
    ("edgenext_small_rw", {"depths": (1, 1, 1, 1)}, "2 blocks or more"),
], ids=str)
def test_impossible_options_are_refused_with_a_sentence(name, options, message):
    with pytest.raises(ValueError, match=message):
        ours.create_model(name, **options)


# --- attention between channels ---------------------------------------------------------------------------


@pytest.fixture
def attention():
    module = CrossCovarianceAttn(8, 2)
    randomise(module)
    return module


def test_the_weights_of_each_channel_sum_to_1_and_are_those_that_forward_uses(attention):
    x = torch.randn(3, 10, 8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        weights = attention.channel_weights(x)
        assert weights.shape == (3, 2, 4, 4) and torch.allclose(weights.sum(-1), torch.ones(3, 2, 4))
        values = attention.queries_keys_values(x)[2]  # [B, heads, C/heads, N]
        mixed = (weights @ values).flatten(1, 2).transpose(1, 2)
        assert relative_error(attention(x), attention.proj(mixed)) < TOLERANCE


def test_the_order_of_places_means_nothing_to_attention_between_channels(attention):
    x = torch.randn(1, 10, 8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert relative_error(attention(x.flip(1)), attention(x).flip(1)) < TOLERANCE


def test_every_place_has_a_code_of_its_own():
    codes = PositionalEncodingFourier(64)(5, 7)
    assert codes.shape == (1, 64, 5, 7)
    assert len({tuple(code) for code in codes[0].flatten(1).T.round(decimals=4).tolist()}) == 35
