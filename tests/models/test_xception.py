"""Xception, the first one and the aligned ones: numbers on every code path, and what goes beyond them."""

from __future__ import annotations

import pytest
import torch

import explorer.models as ours
from explorer.models.backbones import xception_aligned
from tests.models import family_checks as check
from tests.models.oracle import TOLERANCE, relative_error, same_weights

timm = pytest.importorskip("timm")

ALIGNED = list(xception_aligned.VARIANTS)


def pair(name: str, **options):
    return ours.create_model(name, **options), timm.create_model(name, **options)


@pytest.mark.parametrize("name", ALIGNED)
@pytest.mark.parametrize("output_stride", [16, 8])
def test_strides_are_traded_for_dilation_where_timm_trades_them(name, output_stride):
    check.check_settings(name, timm, output_stride=output_stride)
    with torch.device("meta"):
        mine, theirs = pair(name, output_stride=output_stride)
    assert mine.feature_info.reduction() == [row["reduction"] for row in theirs.feature_info]


def test_drop_path_rates_equal_timms():
    with torch.device("meta"):
        rates = [[getattr(block.drop_path, "drop_prob", 0) for block in model.blocks
                  if hasattr(block, "drop_path")]
                 for model in pair("xception41", drop_path_rate=0.3)]
    assert rates[0] == pytest.approx(rates[1]) and rates[0][-1] == pytest.approx(0.3)


def test_drop_path_does_nothing_in_evaluation():
    mine, theirs = pair("xception41", drop_path_rate=0.3)
    same_weights(mine, theirs)
    with torch.no_grad():
        assert relative_error(mine(check.photos(32)), theirs(check.photos(32))) < TOLERANCE


@pytest.mark.parametrize(("name", "options", "message"), [
    ("legacy_xception", {"drop_path_rate": 0.1}, "no stochastic depth"),
    ("legacy_xception", {"output_stride": 16}, "can't trade stride"),
    ("xception41", {"output_stride": 4}, "offers 8, 16 and 32"),
], ids=str)
def test_impossible_options_are_refused_with_a_sentence(name, options, message):
    with pytest.raises(ValueError, match=message):
        ours.create_model(name, **options)
