"""CaiT against timm."""

from __future__ import annotations

import pytest
import torch

import explorer.models as ours
from explorer.models import attention
from explorer.models.backbones.cait import VARIANTS
from tests.models import family_checks as check
from tests.models.oracle import (
    TOLERANCE,
    drop_path_rates,
    dropout_rates,
    randomise,
    relative_error,
    same_weights,
    without_initialisation,
)

timm = pytest.importorskip("timm")

NAME = "cait_xxs24_224"
SMALL = {"img_size": 48, "depth": 2}


def pair(name=NAME, **options):
    with without_initialisation():
        return ours.create_model(name, **options), timm.create_model(name, **options)


@pytest.mark.parametrize("options", [
    {"norm": True}, {"output_fmt": "NLC"}, {"indices": 1, "stop_early": True},
], ids=str)
def test_tokens_on_the_way_equal_timms(options):
    mine, theirs = pair(**SMALL)
    same_weights(mine, theirs)
    x = check.photos(48)
    with torch.no_grad():
        own, other = (model.forward_intermediates(x, intermediates_only=True, **options)
                      for model in (mine, theirs))
    for a, b in zip(own, other, strict=True):
        assert relative_error(a, b) < TOLERANCE


@pytest.mark.parametrize("name", VARIANTS)
def test_learnt_factors_start_as_timms_do(name):
    options = {"img_size": 16, "depth": 1, "depth_token_only": 1, "num_classes": 0}
    mine, theirs = ours.create_model(name, **options), timm.create_model(name, **options)
    for own, other in ((mine.blocks[0], theirs.blocks[0]),
                       (mine.blocks_token_only[0], theirs.blocks_token_only[0])):
        assert torch.equal(own.gamma_1, other.gamma_1) and torch.equal(own.gamma_2, other.gamma_2)


def test_dropout_and_dropped_branches_equal_timms():
    rates = {"drop_rate": 0.1, "pos_drop_rate": 0.2, "proj_drop_rate": 0.3, "attn_drop_rate": 0.4,
             "drop_path_rate": 0.5}
    with torch.device("meta"):
        mine, theirs = pair(**rates)
    awake = {path: rate for path, rate in dropout_rates(mine).items() if rate}
    assert awake == {path: rate for path, rate in dropout_rates(theirs).items() if rate}
    assert drop_path_rates(mine) == pytest.approx(drop_path_rates(theirs))


def test_patches_do_not_hear_the_class_token():
    model = pair(**SMALL)[0].eval()
    randomise(model)
    x = check.photos(48)
    with torch.no_grad():
        before = model.forward_features(x)
        model.cls_token.add_(1)
        after = model.forward_features(x)
    assert torch.equal(before[:, 1:], after[:, 1:]) and not torch.allclose(before[:, 0], after[:, 0])


def test_the_attention_of_every_block_can_be_shown():
    model = pair(**SMALL)[0]
    randomise(model)
    found = attention.attention_maps(model, check.photos(48))
    assert [m.weights.shape[2:] for m in found.values()] == [(9, 9), (9, 9), (1, 10), (1, 10)]
    for one in found.values():
        assert torch.allclose(one.weights.sum(-1), torch.ones(one.weights.shape[:-1]), atol=1e-5)
    assert found["blocks.0.attn"].grid == (3, 3)


def test_talking_heads_mix_the_weights_that_are_shown_once_more_and_then_the_values():
    model = pair(**SMALL)[0].eval()
    randomise(model)
    layer, x = model.blocks[0].attn, torch.randn(2, 9, 192)
    with torch.no_grad():
        again = layer.proj_w(layer.attention_weights(x).permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        mixed = (again @ layer.queries_keys_values(x)[2]).transpose(1, 2).flatten(2)
        assert relative_error(layer(x), layer.proj(mixed)) < TOLERANCE


def test_the_last_blocks_mix_values_by_the_weights_that_are_shown():
    model = pair(**SMALL)[0].eval()
    randomise(model)
    layer, x = model.blocks_token_only[0].attn, torch.randn(2, 10, 192)
    with torch.no_grad():
        mixed = (layer.attention_weights(x) @ layer.heads(layer.v(x))).transpose(1, 2).flatten(2)
        assert relative_error(layer(x), layer.proj(mixed)) < TOLERANCE


def test_weights_for_another_size_get_their_positions_resized(tmp_path):
    trained = ours.create_model(NAME, **SMALL)
    torch.save(trained.state_dict(), tmp_path / "weights.pth")
    model = ours.create_model(NAME, checkpoint_path=tmp_path / "weights.pth", img_size=(64, 96), depth=2)
    assert model.pos_embed.shape == (1, 24, 192)
    assert model.load_report.adapted == ["pos_embed: from a grid of 3 x 3 patches to 4 x 6"]


@pytest.mark.parametrize(("options", "words"), [
    ({"global_pool": "max"}, "Unknown pooling 'max'"),
    ({"num_heads": 5}, "192 channels can't be shared by 5 heads"),
])
def test_what_it_can_not_do_is_said_at_once(options, words):
    with pytest.raises(ValueError, match=words):
        ours.create_model(NAME, depth=1, **options)
