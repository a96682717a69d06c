"""MIT's EfficientViT against timm, and what its training and its attention need."""

from __future__ import annotations

import pytest
import torch

import explorer.models as ours
from explorer.models.backbones.efficientvit_mit import LiteMLA
from tests.models import family_checks as check
from tests.models.oracle import TOLERANCE, randomise, relative_error, without_initialisation

SMALL = "efficientvit_b0"


def build(library, name, **options):
    with without_initialisation():
        return library.create_model(name, **options)


def test_the_maps_alone_need_nothing_of_the_head():
    keys = build(ours, SMALL, features_only=True).state_dict()
    assert not any(key.startswith("model.head") for key in keys)


def test_the_pooling_may_change_with_the_classifier():
    model = ours.create_model(SMALL).eval()
    features = check.photos(4, in_chans=128)
    with torch.no_grad():
        before = model.forward_head(features, pre_logits=True)
        model.reset_classifier(1000, "max")
        assert not torch.allclose(model.forward_head(features, pre_logits=True), before)


@pytest.mark.parametrize("size", [(3, 5), (6, 6)])
def test_attention_weights_give_the_same_result_as_forward(size):
    layer = LiteMLA(16, head_dim=8, norm_eps=1e-5)
    randomise(layer)
    layer.eval()
    x = torch.randn(2, 16, *size, generator=torch.Generator().manual_seed(0))
    places = size[0] * size[1]
    with torch.no_grad():
        matrix, (_, _, value) = layer.attention_weights(x), layer.queries_keys_values(x)
        assert matrix.shape == (2, 4, places, places) and (matrix >= 0).all()
        assert (matrix.sum(-1) <= 1 + 1e-5).all() and float(matrix.sum(-1).median()) > 0.99
        mixed = (matrix @ value).transpose(2, 3).reshape(2, 32, *size)  # [B, heads, places, 8] -> channels
        assert relative_error(layer.proj(mixed), layer(x)) < TOLERANCE


def test_attention_takes_half_precision():
    """The sums over all places are taken in single precision, as they may pass 65504."""
    layer = LiteMLA(16, head_dim=8, norm_eps=1e-5).eval()
    x = 300 * torch.rand(1, 16, 16, 16, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        exact = layer(x)
        rough = layer.half()(x.half())
    assert rough.dtype == torch.float16 and torch.isfinite(rough).all()
    assert relative_error(rough.float(), exact) < 0.02


def test_dropout_works_inside_the_head():
    model = ours.create_model(SMALL, drop_rate=1.0, num_classes=3).train()
    logits = model.forward_head(check.photos(4, in_chans=128))
    assert torch.equal(logits, model.get_classifier().bias.expand(2, 3))


@pytest.mark.parametrize(("options", "message"), [
    ({"global_pool": ""}, "avgmax"), ({"global_pool": "catavgmax"}, "one number a channel"),
    ({"output_stride": 16}, "can't trade stride"), ({"drop_path_rate": 0.1}, "leave drop_path_rate at 0"),
    ({"head_dim": 5}, "no whole number of heads"),
], ids=str)
def test_what_cannot_be_built_is_said(options, message):
    with pytest.raises(ValueError, match=message):
        ours.create_model(SMALL, **options)
