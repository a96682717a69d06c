"""EdgeNeXt against timm, and its attention between channels by what it promises."""

from __future__ import annotations

import pytest
import torch

import explorer.models as ours
from explorer.models.backbones.edgenext import CrossCovarianceAttn, PositionalEncodingFourier
from tests.models.oracle import TOLERANCE, drop_path_rates, randomise, relative_error

timm = pytest.importorskip("timm")


def pair(name: str, **options):
    return ours.create_model(name, **options), timm.create_model(name, **options)


def test_drop_path_rates_equal_timms():
    mine, theirs = pair("edgenext_xx_small", drop_path_rate=0.3)
    assert drop_path_rates(mine) == pytest.approx(drop_path_rates(theirs))
    assert max(drop_path_rates(mine).values()) == pytest.approx(0.3)


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
