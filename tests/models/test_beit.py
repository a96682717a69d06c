"""BEiT: what the general parity tests do not reach."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import explorer.models as ours
from explorer.models.backbones.beit import VARIANTS, BiasedAttention
from tests.models import family_checks
from tests.models.oracle import TOLERANCE, drop_path_rates, randomise, relative_error, same_weights

timm = pytest.importorskip("timm")

NAME = "beit_base_patch16_224"
NARROW = {"img_size": 48, "depth": 2, "embed_dim": 48, "num_heads": 3}


def both(name: str = NAME, **options):
    return tuple(library.create_model(name, **{**NARROW, **options}) for library in (ours, timm))


def test_a_photo_that_is_no_square_gives_timms_numbers():
    mine, theirs = both(img_size=(32, 64))
    same_weights(mine, theirs)
    x = torch.randn(2, 3, 32, 64, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        assert relative_error(mine(x), theirs(x)) < TOLERANCE
        maps = mine.forward_intermediates(x, intermediates_only=True)
        for own, other in zip(maps, theirs.forward_intermediates(x, intermediates_only=True), strict=True):
            assert relative_error(own, other) < TOLERANCE


@pytest.mark.parametrize("name", VARIANTS)
def test_settings_that_no_shape_shows_equal_timms(name):
    narrow = {"embed_dim": 4 * VARIANTS[name]["num_heads"], "depth": 2}

    def settings(model):
        block = model.blocks[0]
        return (block.attn.num_heads, block.attn.scale, block.gamma_1[0].item(), model.global_pool,
                model.patch_embed.img_size, model.patch_embed.patch_size,
                [m.eps for m in model.modules() if isinstance(m, nn.LayerNorm)])

    with torch.device("cpu"):
        assert settings(ours.create_model(name, **narrow)) == settings(timm.create_model(name, **narrow))


def test_drop_path_rates_equal_timms():
    mine, theirs = both(depth=4, drop_path_rate=0.3)
    assert drop_path_rates(mine) == pytest.approx(drop_path_rates(theirs))


def test_attention_weights_are_those_that_forward_uses():
    layer = BiasedAttention(24, 3, (2, 3)).eval()
    randomise(layer)
    x = torch.randn(2, 7, 24, generator=torch.Generator().manual_seed(5))
    with torch.no_grad():
        matrix = layer.attention_weights(x)
        assert matrix.shape == (2, 3, 7, 7)
        assert torch.allclose(matrix.sum(-1), torch.ones(2, 3, 7))
        _, _, value = layer.queries_keys_values(x)
        by_hand = layer.proj((matrix @ value).transpose(1, 2).flatten(2))
        assert relative_error(layer(x), by_hand) < TOLERANCE


def test_position_biases_are_the_class_tokens_or_the_offsets():
    layer = BiasedAttention(2, 1, (1, 2))  # class token, left patch, right patch
    with torch.no_grad():
        # offset -1, 0, 1; from the class token, to it, from it to itself
        layer.relative_position_bias_table.copy_(torch.arange(6.0)[:, None])
    assert layer.position_bias()[0, 0].tolist() == [[5, 3, 3], [4, 1, 0], [4, 2, 1]]


# --- trained weights ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [80, 32])
def test_biases_are_resized_for_another_photo_as_timm_does(tmp_path, size):
    source = both(img_size=64)[0]
    randomise(source)
    torch.save(source.state_dict(), tmp_path / "weights.pth")
    options = {**NARROW, "img_size": size}
    mine = ours.create_model(NAME, checkpoint_path=tmp_path / "weights.pth", **options).eval()
    overlay = {"file": str(tmp_path / "weights.pth")}
    theirs = timm.create_model(NAME, pretrained=True, pretrained_cfg_overlay=overlay, **options).eval()
    x = family_checks.photos(size)
    with torch.no_grad():
        assert relative_error(mine(x), theirs(x)) < 1e-4
    new = 2 * (size // 16) - 1
    assert mine.load_report.adapted == [f"relative position biases: from 49 offsets to {new} x {new}"]


def test_a_file_whose_blocks_share_one_table_loads(tmp_path):
    source = both()[0].eval()
    randomise(source)
    state = source.state_dict()
    shared = state["blocks.0.attn.relative_position_bias_table"]
    state = {key: value for key, value in state.items() if not key.endswith("bias_table")}
    state |= {"rel_pos_bias.relative_position_bias_table": shared,
              "rel_pos_bias.relative_position_index": torch.zeros(10, 10, dtype=torch.int64)}
    torch.save(state, tmp_path / "weights.pth")
    mine = ours.create_model(NAME, checkpoint_path=tmp_path / "weights.pth", **NARROW).eval()
    with torch.no_grad():
        source.blocks[1].attn.relative_position_bias_table.copy_(shared)
        assert torch.equal(mine(family_checks.photos(48)), source(family_checks.photos(48)))
