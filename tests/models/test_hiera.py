"""Hiera: what the general parity tests do not reach."""

from __future__ import annotations

import math

import pytest
import torch

import explorer.models as ours
from explorer.models.backbones.hiera import VARIANTS, PooledAttention
from tests.models import family_checks
from tests.models.oracle import (
    TOLERANCE,
    drop_path_rates,
    randomise,
    relative_error,
    same_weights,
    without_initialisation,
)

timm = pytest.importorskip("timm")

NAME, ABSWIN = "hiera_tiny_224", "hiera_small_abswin_256"
NARROW = {"img_size": (64, 64), "embed_dim": 16, "num_heads": 2, "num_classes": 5}
DEPTHS = (1, 2, 2, 1)


def both(name: str = NAME, **options):
    """Ours and timm's, whose word for depths is another."""
    depths = options.pop("depths", DEPTHS)
    options = {**NARROW, **options}
    return (ours.create_model(name, depths=depths, **options),
            timm.create_model(name, stages=depths, **options))


@pytest.mark.parametrize("name", [NAME, ABSWIN])
def test_a_photo_that_is_no_square_gives_timms_numbers_and_maps(name):
    mine, theirs = both(name, img_size=(64, 96))
    same_weights(mine, theirs)
    x = torch.randn(2, 3, 64, 96, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        assert relative_error(mine(x), theirs(x)) < TOLERANCE
        maps = mine.forward_intermediates(x, intermediates_only=True)
        for own, other in zip(maps, theirs.forward_intermediates(x, intermediates_only=True), strict=True):
            assert relative_error(own, other) < TOLERANCE
    assert maps[0].shape == (2, 16, 16, 24)


@pytest.mark.parametrize("name", VARIANTS)
def test_settings_that_no_shape_shows_equal_timms(name):
    with torch.device("meta"), without_initialisation():
        mine, theirs = ours.create_model(name), timm.create_model(name)
    for own, other in zip(mine.blocks, theirs.blocks, strict=True):
        assert (own.attn.num_heads, own.attn.scale) == (other.attn.heads, other.attn.scale)
        assert own.attn.pool == (other.attn.q_stride == 4)
        assert (own.attn.window is not None) == other.attn.use_mask_unit_attn
        if own.attn.window:
            assert own.attn.window**2 == other.attn.window_size * other.attn.q_stride
        assert own.norm1.eps == other.norm1.eps
    assert tuple(4 * side for side in mine.grid) == mine.img_size
    assert list(mine.grid) == list(theirs.tokens_spatial_shape)


def test_drop_path_rates_equal_timms():
    mine, theirs = both(drop_path_rate=0.3)
    assert drop_path_rates(mine) == pytest.approx(drop_path_rates(theirs))


def test_a_new_model_can_start_to_learn():
    model = both()[0].train()
    torch.manual_seed(0)
    loss = torch.nn.functional.cross_entropy(model(family_checks.photos(64)), torch.tensor([0, 1]))
    assert loss.item() == pytest.approx(math.log(5))  # it knows nothing of the five classes
    loss.backward()
    assert model.head.fc.weight.grad.abs().max() > 1e-3


def test_a_new_classifier_keeps_dtype_pooling_and_device():
    model = both()[0].to(torch.float64)
    model.reset_classifier(3)
    assert model.head.fc.weight.dtype == torch.float64 and model.head.global_pool == "avg"
    model.to("meta").reset_classifier(4, "max")
    assert model.head.fc.weight.is_meta and model.head.global_pool == "max"


@pytest.mark.parametrize(("options", "message"), [
    ({"img_size": 100}, "multiples of 32, e.g. 96 x 96"),
    ({"global_pool": "token"}, "Unknown pooling 'token'.*'avg'"),
    ({"embed_dim": 15}, "15 channels can't be shared by 2 heads"),
])
def test_impossible_options_are_refused_with_a_sentence(options, message):
    with pytest.raises(ValueError, match=message):
        ours.create_model(NAME, depths=DEPTHS, **{**NARROW, **options})


def test_a_photo_of_another_size_is_refused_with_the_way_out():
    with pytest.raises(ValueError, match=r"64 x 64 pixels; got 96 x 96.*img_size=\(96, 96\)"):
        both()[0](family_checks.photos(96))


# --- looking inside -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("window", "pool", "shape"), [
    (4, False, (2, 2, 3, 16, 16)), (4, True, (2, 2, 3, 4, 16)), (None, False, (2, 1, 3, 32, 32)),
    (None, True, (2, 1, 3, 8, 32)),
])
def test_attention_weights_are_those_that_forward_uses(window, pool, shape):
    layer = PooledAttention(12, 24, 3, window=window, pool=pool).eval()
    randomise(layer)
    x = torch.randn(2, 4, 8, 12, generator=torch.Generator().manual_seed(5))
    with torch.no_grad():
        matrix = layer.attention_weights(x)
        assert matrix.shape == shape
        assert torch.allclose(matrix.sum(-1), torch.ones(shape[:-1]))
        _, _, value = layer.queries_keys_values(x)
        taken = (matrix @ value).transpose(2, 3).flatten(3)  # [B, windows, queries, C]
        if window is None:
            by_hand = layer.proj(taken[:, 0])  # row by row of the map
        else:  # windows side by side
            side = 2 if pool else 4
            by_hand = layer.proj(taken.unflatten(2, (side, side)).transpose(1, 2).flatten(2, 3)).flatten(1, 2)
        assert relative_error(layer(x).flatten(1, 2), by_hand) < TOLERANCE


def test_a_window_does_not_see_another():
    layer = PooledAttention(12, 12, 3, window=4, pool=False).eval()
    randomise(layer)
    x = torch.randn(1, 8, 8, 12, generator=torch.Generator().manual_seed(5))
    changed = x.clone()
    changed[:, :4, :4] += 1
    with torch.no_grad():
        differs = (layer(x) != layer(changed)).any(-1)[0]
    assert differs[:4, :4].all() and differs.sum() == 16


# --- trained weights ----------------------------------------------------------------------------------------


def test_positions_are_resized_for_another_photo(tmp_path):
    source = both()[0].eval()
    randomise(source)
    with torch.no_grad():
        source.pos_embed.copy_(source.pos_embed[:, :1].expand_as(source.pos_embed))  # the same everywhere
    torch.save(source.state_dict(), tmp_path / "weights.pth")
    larger = {**NARROW, "depths": DEPTHS, "img_size": 96}
    mine = ours.create_model(NAME, checkpoint_path=tmp_path / "weights.pth", **larger)
    assert mine.load_report.adapted == ["pos_embed: from 256 patches to a grid of 24 x 24"]
    assert torch.allclose(mine.pos_embed, source.pos_embed[:, :1].expand_as(mine.pos_embed), atol=1e-5)


def test_positions_of_abswin_fit_any_photo_as_they_are(tmp_path):
    source = both(ABSWIN)[0]
    torch.save(source.state_dict(), tmp_path / "weights.pth")
    larger = {**NARROW, "depths": DEPTHS, "img_size": 96}
    mine = ours.create_model(ABSWIN, checkpoint_path=tmp_path / "weights.pth", **larger)
    assert mine.load_report.adapted == [] and torch.equal(mine.pos_embed, source.pos_embed)


def test_files_with_the_authors_own_names_load(tmp_path):
    source = both()[0].eval()
    randomise(source)
    theirs = {key.replace("head.fc.", "head.projection.").replace("head.norm.", "norm."): value
              for key, value in source.state_dict().items()}
    torch.save(theirs, tmp_path / "weights.pth")
    mine = ours.create_model(NAME, checkpoint_path=tmp_path / "weights.pth", depths=DEPTHS, **NARROW).eval()
    assert torch.equal(mine(family_checks.photos(64)), source(family_checks.photos(64)))
