"""Xception, the first one and the aligned ones: numbers on every code path, and what a family must do beyond them."""

from __future__ import annotations

import pytest
import torch

import explorer.models as ours
from explorer.models.backbones import xception, xception_aligned
from tests.models import family_checks as check
from tests.models.oracle import TOLERANCE, check_numbers, relative_error, same_weights

timm = pytest.importorskip("timm")

ALIGNED = list(xception_aligned.VARIANTS)


def pair(name: str, **options):
    return ours.create_model(name, **options), timm.create_model(name, **options)


@pytest.mark.parametrize(("name", "size", "options"), [
    ("legacy_xception", 64, {}), ("legacy_xception", 35, {"global_pool": "catavgmax"}),
    ("xception41", 33, {"global_pool": "max"}),
    ("xception71", 32, {}),                                   # entry blocks without a stride
    ("xception41p", 64, {}),                                  # norm and activation first
    ("xception41", 64, {"output_stride": 16}), ("xception41p", 64, {"output_stride": 8}),
], ids=str)
def test_numbers_equal_timms_on_every_code_path(name, size, options):
    check_numbers(*pair(name, **options), size)


@pytest.mark.parametrize("name", [*xception.VARIANTS, *ALIGNED])
def test_settings_that_no_shape_shows_equal_timms(name):
    check.check_settings(name, timm)


@pytest.mark.parametrize("name", ALIGNED)
@pytest.mark.parametrize("output_stride", [16, 8])
def test_strides_are_traded_for_dilation_where_timm_trades_them(name, output_stride):
    check.check_settings(name, timm, output_stride=output_stride)
    with torch.device("meta"):
        mine, theirs = pair(name, output_stride=output_stride)
    assert mine.feature_info.reduction() == [row["reduction"] for row in theirs.feature_info]


@pytest.mark.parametrize("name", ["legacy_xception", "xception41p"])
@pytest.mark.parametrize("in_chans", [1, 4])
def test_numbers_equal_timms_for_photos_that_are_not_rgb(name, in_chans):
    check.check_other_channels(*pair(name, in_chans=in_chans), 32)


def test_drop_path_rates_equal_timms():
    with torch.device("meta"):
        rates = [[getattr(block.drop_path, "drop_prob", 0) for block in model.blocks if hasattr(block, "drop_path")]
                 for model in pair("xception41", drop_path_rate=0.3)]
    assert rates[0] == pytest.approx(rates[1]) and rates[0][-1] == pytest.approx(0.3)


def test_drop_path_does_nothing_in_evaluation():
    mine, theirs = pair("xception41", drop_path_rate=0.3)
    same_weights(mine, theirs)
    with torch.no_grad():
        assert relative_error(mine(check.photos(32)), theirs(check.photos(32))) < TOLERANCE


@pytest.mark.parametrize("name", ["legacy_xception", "xception41", "xception41p"])
def test_a_gradient_reaches_every_parameter(name):
    check.check_gradients(ours.create_model(name, num_classes=5), 64)


@pytest.mark.parametrize("name", ["legacy_xception", "xception41", "xception41p"])
def test_fresh_weights_give_sane_logits(name):
    check.check_fresh(ours.create_model(name), 64)


def test_it_compiles_as_one_graph():
    check.check_compiles(ours.create_model("xception41p", middle=1), 64)


@pytest.mark.parametrize("name", ["legacy_xception", "xception41"])
def test_a_saved_model_comes_back_whole(name, tmp_path):
    check.check_loads(name, 64, tmp_path)


@pytest.mark.parametrize("options", [{}, {"output_stride": 8}], ids=str)
def test_maps_are_as_the_table_promises(options):
    check.check_features("xception41", 64, middle=1, **options)


@pytest.mark.parametrize("name", ["legacy_xception", "xception41"])
def test_a_new_classifier_keeps_dtype_and_device(name):
    model = ours.create_model(name, global_pool="max")
    pooling = model.global_pool if name == "legacy_xception" else model.head.global_pool
    model.to(torch.float64).reset_classifier(3)
    kept = model.global_pool if name == "legacy_xception" else model.head.global_pool
    assert model.get_classifier().weight.dtype == torch.float64 and kept.pool_type == pooling.pool_type == "max"
    model.to("meta").reset_classifier(4)
    assert model.get_classifier().weight.is_meta


@pytest.mark.parametrize(("name", "options", "message"), [
    ("legacy_xception", {"drop_path_rate": 0.1}, "no stochastic depth"),
    ("legacy_xception", {"output_stride": 16}, "can't trade stride"),
    ("xception41", {"output_stride": 4}, "offers 8, 16 and 32"),
], ids=str)
def test_impossible_options_are_refused_with_a_sentence(name, options, message):
    with pytest.raises(ValueError, match=message):
        ours.create_model(name, **options)
