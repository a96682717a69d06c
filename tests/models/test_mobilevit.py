"""MobileViT: numbers on every code path, and what a family must do beyond them."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import explorer.models as ours
from explorer.models.backbones.mobilevit import VARIANTS, LinearSelfAttention, MobileViT, fold, unfold
from explorer.models.layers.transformer import Attention
from tests.models import family_checks as check
from tests.models.oracle import (
    TOLERANCE,
    drop_path_rates,
    randomise,
    relative_error,
    same_weights,
    without_initialisation,
)

timm = pytest.importorskip("timm")

ONE, TWO = "mobilevit_xxs", "mobilevitv2_050"
NARROW = {"chans": (8, 8, 16, 16, 24), "dims": (8, 12, 16), "first_depths": (1, 2), "depths": (1, 1, 1)}


def pair(name: str, **options):
    """Ours and timm's, with weights that nobody has drawn."""
    with without_initialisation():
        return tuple(library.create_model(name, **options) for library in (ours, timm))


def small(name: str, **options) -> MobileViT:
    """Narrow and shallow, in evaluation mode."""
    model = ours.create_model(name, **{**NARROW, **options}).eval()
    randomise(model)
    return model


@pytest.mark.parametrize("name", [ONE, TWO])
def test_numbers_equal_timms_for_photos_that_are_no_square(name):
    mine, theirs = pair(name)
    same_weights(mine, theirs)
    x = torch.randn(2, 3, 64, 104, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        assert relative_error(mine(x), theirs(x)) < TOLERANCE


def _settings(model) -> dict:
    """What a model is set to do that the shapes of its tensors don't tell."""
    return {
        "eps": [module.eps for module in model.modules() if isinstance(module, (nn.LayerNorm, nn.GroupNorm))],
        "groups": [module.num_groups for module in model.modules() if isinstance(module, nn.GroupNorm)],
        "heads": [module.num_heads for module in model.modules() if hasattr(module, "num_heads")],
        "silu": sum(isinstance(module, nn.SiLU) for module in model.modules()),
        **check.settings(model),
    }


@pytest.mark.parametrize("name", VARIANTS)
def test_settings_that_no_shape_shows_equal_timms(name):
    with torch.device("meta"):
        mine, theirs = pair(name)
    assert _settings(mine) == _settings(theirs)


@pytest.mark.parametrize("name", [ONE, TWO])
def test_drop_path_rates_equal_timms_where_there_is_a_shortcut(name):
    with torch.device("meta"):
        mine, theirs = pair(name, drop_path_rate=0.3, drop_rate=0.1)
    expected = drop_path_rates(theirs)
    # timm drops what nothing stands beside, too: there, a photo would be lost
    alone = {f"{path}.drop_path" for path, module in mine.named_modules()
             if getattr(module, "has_shortcut", True) is False}
    assert len(alone) >= 4
    rates = {path: rate for path, rate in expected.items() if path not in alone}
    assert drop_path_rates(mine) == pytest.approx(rates) and mine.head.drop.p == 0.1


# --- patches and attention ----------------------------------------------------------------------------------


def test_places_at_the_same_corner_of_all_patches_meet():
    x = torch.arange(24.0).reshape(1, 1, 4, 6)
    corners = unfold(x)
    assert corners[0, 0].tolist() == [
        [0, 2, 4, 12, 14, 16], [1, 3, 5, 13, 15, 17], [6, 8, 10, 18, 20, 22], [7, 9, 11, 19, 21, 23]]
    assert torch.equal(fold(corners, (4, 6)), x)


@pytest.mark.parametrize(("name", "kind", "shape"), [  # 8: 2 photos with 4 corners each
    (ONE, Attention, (8, 4, 16, 16)), (TWO, LinearSelfAttention, (8, 1, 16, 16)),
])
def test_attention_can_be_looked_at(name, kind, shape):
    model = small(name)
    layers = [module for module in model.modules() if isinstance(module, kind)]
    seen = []
    layers[0].register_forward_pre_hook(lambda layer, inputs: seen.append(layer.attention_weights(inputs[0])))
    with torch.no_grad():
        model(check.photos(64))
    assert len(layers) == 3 and seen[0].shape == shape
    assert torch.allclose(seen[0].sum(-1), torch.ones(shape[:-1]))


def test_linear_attention_is_attention_with_equal_rows():
    layer = LinearSelfAttention(6)
    randomise(layer)
    x = torch.randn(2, 6, 4, 5, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        _, key, value = layer.queries_keys_values(x)
        keys = key.permute(0, 2, 3, 1).flatten(0, 1)                  # [B * P, N, C]
        taken = (layer.attention_weights(x)[:, 0] @ keys).unflatten(0, (2, 4)).permute(0, 3, 1, 2)
        assert relative_error(layer(x), layer.out_proj(value.relu() * taken)) < TOLERANCE


# --- what is refused ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("options", "message"), [
    ({"version": 3}, "version is 3: MobileViT has 1 and 2"),
    ({"dims": (8, 8)}, "MobileViT has five stages"),
])
def test_options_that_make_no_network_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        MobileViT(**options)


def test_the_class_is_public():
    assert ours.MobileViT is MobileViT
