"""Visformer: numbers on every code path, and what a family must do beyond them."""

from __future__ import annotations

import pytest
import torch

import explorer.models as ours
from explorer.models import weights
from explorer.models.backbones.visformer import MapAttention, Visformer
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

NAME = "visformer_tiny"
NARROW = {"init_channels": 8, "embed_dim": 24, "num_heads": 3, "depth": (1, 1, 1), "img_size": 64}


def pair(name: str = NAME, **options):
    """Ours and timm's, with weights that nobody has drawn; shallow, so that rounding stays small."""
    options = {"img_size": 64, "depth": (2, 2, 2), **options}
    with without_initialisation():
        return tuple(library.create_model(name, **options) for library in (ours, timm))


def small(**options) -> Visformer:
    """Narrow and shallow, in evaluation mode."""
    model = ours.create_model(NAME, **{**NARROW, **options}).eval()
    randomise(model)
    return model


def test_numbers_equal_timms_for_photos_that_are_no_square():
    mine, theirs = pair(img_size=(64, 96))
    same_weights(mine, theirs)
    x = torch.randn(2, 3, 64, 96, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        assert relative_error(mine(x), theirs(x)) < TOLERANCE


@pytest.mark.parametrize("name", [NAME, "visformer_small"])
def test_settings_that_no_shape_shows_equal_timms(name):
    check.check_settings(name, timm)
    with torch.device("meta"):
        models = pair(name, depth=(7, 4, 4))
    heads = [[module.num_heads for module in model.modules() if hasattr(module, "num_heads")]
             for model in models]
    assert heads[0] == heads[1] and len(heads[0]) == 8


def test_drop_path_rates_equal_timms():
    with torch.device("meta"):
        mine, theirs = pair(drop_path_rate=0.3, drop_rate=0.1)
    assert drop_path_rates(mine) == pytest.approx(drop_path_rates(theirs)) and mine.head_drop.p == 0.1


def test_positions_learnt_for_another_photo_size_are_stretched():
    state = small().state_dict()
    with torch.no_grad():
        brighter = torch.linspace(0, 1, 8)[None, None, None]  # to the right
        state["pos_embed1"] = brighter.expand(1, 12, 8, 8)
    larger = ours.create_model(NAME, **{**NARROW, "img_size": 128})
    report = weights.LoadReport(source="here", name=NAME)
    larger.load_state_dict(larger.adapt_state_dict(state, report))
    rows = larger.pos_embed1[0, 0]
    assert rows.shape == (16, 16) and torch.allclose(rows, rows[:1].expand(16, -1), atol=1e-5)
    assert (rows[0].diff() > 0).all() and rows[0, 7] < 0.5 < rows[0, 8]
    assert len(report.adapted) == 3 and report.adapted[0] == "pos_embed1: from 8 x 8 places to 16 x 16"


def test_attention_can_be_looked_at():
    model = small()
    layers = [module for module in model.modules() if isinstance(module, MapAttention)]
    seen = {}

    def keep(layer, inputs, output):
        mixed = layer.attention_weights(inputs[0]) @ layer.queries_keys_values(inputs[0])[2]
        expected = layer.proj(mixed.transpose(2, 3).flatten(1, 2).unflatten(2, inputs[0].shape[-2:]))
        seen[layer] = (layer.attention_weights(inputs[0]), relative_error(output, expected))

    for layer in layers:
        layer.register_forward_hook(keep)
    with torch.no_grad():
        model(check.photos(64))
    assert len(seen) == 2 and seen[layers[0]][0].shape == (2, 3, 16, 16)
    for found, error in seen.values():
        assert torch.allclose(found.sum(-1), torch.ones(found.shape[:-1])) and error < TOLERANCE


@pytest.mark.parametrize(("options", "message"), [
    ({"img_size": 16}, "img_size is 16: the last map"),
    ({"depth": (1, 1)}, "number of blocks in each of three"),
    ({"num_heads": 5}, "384 channels can't be shared by 5 heads"),
])
def test_options_that_make_no_network_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        Visformer(**options)


def test_photos_of_another_size_are_refused_with_a_way_out():
    with pytest.raises(ValueError, match=r"64 x 64 pixels; got 96 x 96.*img_size=\(96, 96\)"):
        small()(check.photos(96))


def test_the_class_is_public():
    assert ours.Visformer is Visformer
