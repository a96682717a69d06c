"""Vision transformers with another block, and attention that pools: what the general tests do not reach."""

from __future__ import annotations

import pytest
import torch

import explorer.models as ours
from explorer.models.backbones import vit_relatives
from explorer.models.backbones.vit_relatives import VARIANTS, DifferentialAttention, ParallelBlock
from explorer.models.layers.transformer import Attention, Mlp
from tests.models import family_checks
from tests.models.oracle import TOLERANCE, check_same_start, drop_path_rates, randomise, relative_error

timm = pytest.importorskip("timm")

TWIN, POST, PARALLEL = "vit_small_patch16_18x2_224", "vit_base_patch16_rpn_224", "vit_base_patch16_xp_224"
DIFFERENTIAL, BOTH = "vit_dwee_patch16_reg1_gap_256", "vit_dpwee_patch16_reg1_gap_256"
MAPS = ["vit_base_patch16_siglip_224", "vit_so400m_patch16_siglip_256", "vit_so150m_patch16_reg4_map_256"]
NARROW = {"img_size": 42, "depth": 2, "embed_dim": 48, "num_heads": 3, "patch_size": 14, "num_classes": 5}


def both(name: str, **options):
    return tuple(library.create_model(name, **{**NARROW, **options}) for library in (ours, timm))


@pytest.mark.parametrize("name", VARIANTS)
def test_settings_that_no_shape_shows_equal_timms(name):
    narrow = {"embed_dim": 8 * VARIANTS[name].get("num_heads", 12), "depth": 3}
    mine, theirs = ours.create_model(name, **narrow), timm.create_model(name, **narrow)
    for own, other in zip(mine.blocks, theirs.blocks, strict=True):
        own, other = (getattr(block, "attns", [block])[0] for block in (own, other))
        own, other = getattr(own, "attn", own), getattr(other, "attn", other)
        assert (own.num_heads, own.scale) == (other.num_heads, other.scale)
        assert getattr(own, "lambda_init", None) == pytest.approx(getattr(other, "lambda_init", None))
    eps = [[m.eps for m in model.modules() if type(m).__name__ in ("LayerNorm", "RmsNorm", "RMSNorm")]
           for model in (mine, theirs)]
    assert eps[0] == eps[1]
    assert mine.patch_embed.img_size == theirs.patch_embed.img_size
    assert (mine.global_pool, mine.num_prefix_tokens) == (theirs.global_pool, theirs.num_prefix_tokens)


@pytest.mark.parametrize(("name", "part"), [
    (TWIN, "blocks"), (POST, "blocks"), (PARALLEL, "blocks"), (MAPS[0], "attn_pool"),
])
def test_fresh_blocks_start_as_timms_do(name, part):
    torch.manual_seed(0)  # timm's draws hold a stray 2.0 now and then
    check_same_start(*(getattr(model, part) for model in both(name, embed_dim=192, num_heads=6)))


def test_fresh_differential_attention_starts_with_small_numbers_as_in_the_paper():
    torch.manual_seed(0)
    numbers = torch.cat([value for name, value in both(BOTH, depth=8)[0].named_parameters()
                         if "lambda" in name])
    assert numbers.std().item() == pytest.approx(0.1, rel=0.2) and abs(numbers.mean().item()) < 0.03


@pytest.mark.parametrize("name", [TWIN, PARALLEL, BOTH])
def test_drop_path_rates_equal_timms(name):
    mine, theirs = both(name, depth=3, drop_path_rate=0.3)
    assert drop_path_rates(mine) == pytest.approx(drop_path_rates(theirs))


def test_feature_networks_need_no_pooling_and_give_the_maps_that_the_table_promises():
    options = {key: value for key, value in NARROW.items() if key != "num_classes"}
    family_checks.check_features(MAPS[0], 42, **options)
    assert ours.create_model(MAPS[0], features_only=True, **options).model.attn_pool is None


@pytest.mark.parametrize(("options", "message"), [
    ({"block": "spiral"}, "Unknown block 'spiral'.*'twin'"),
    ({"scale_norms": True}, 'needs block="plain"'),
    ({"block": "differential", "embed_dim": 9}, "9 channels can't be shared by 3 pairs"),
    ({"block": "parallel", "embed_dim": 10}, "10 channels can't be shared by 3 heads"),
])
def test_impossible_options_are_refused_with_a_sentence(options, message):
    with pytest.raises(ValueError, match=message):
        ours.create_model(TWIN, **{**NARROW, **options})


# --- looking inside -----------------------------------------------------------------------------------------


BLOCK_OPTIONS = dict(mlp_ratio=2.0, qkv_bias=True, qk_norm=True, proj_bias=True, init_values=None,
                     proj_drop=0.0, attn_drop=0.0, drop_path=0.0, act_layer=torch.nn.GELU,
                     norm_layer=torch.nn.LayerNorm, mlp_layer=Mlp)


def tokens() -> torch.Tensor:
    return torch.randn(2, 7, 24, generator=torch.Generator().manual_seed(5))


def test_attention_weights_of_a_parallel_block_are_those_that_forward_uses():
    block = ParallelBlock(24, 3, **BLOCK_OPTIONS).eval()
    randomise(block)
    with torch.no_grad():
        matrix = block.attention_weights(tokens())
        assert matrix.shape == (2, 3, 7, 7) and torch.allclose(matrix.sum(-1), torch.ones(2, 3, 7))
        middle, _, _, value = block.split(tokens())
        taken = block.attn_out_proj((matrix @ value).transpose(1, 2).flatten(2))
        by_hand = tokens() + taken + block.mlp_out_proj(block.mlp_act(middle))
        assert relative_error(block(tokens()), by_hand) < TOLERANCE


def test_attention_weights_of_a_difference_are_those_that_forward_uses():
    layer = DifferentialAttention(24, 3, index=1, qkv_bias=True, qk_norm=False, proj_bias=True, attn_drop=0.0,
                                  proj_drop=0.0, norm_layer=torch.nn.LayerNorm).eval()
    randomise(layer)
    with torch.no_grad():
        matrix = layer.attention_weights(tokens())
        amount = vit_relatives.strength(layer)
        assert matrix.shape == (2, 3, 7, 7)
        assert torch.allclose(matrix.sum(-1), (1 - amount).expand(2, 3, 7), atol=1e-6)
        _, _, value = layer.queries_keys_values(tokens())
        taken = layer.sub_norm(matrix @ value) * (1 - layer.lambda_init)
        assert relative_error(layer(tokens()), layer.proj(taken.transpose(1, 2).flatten(2))) < TOLERANCE


def test_a_norm_inside_attention_stands_in_front_of_the_last_layer():
    layer = Attention(24, 3, scale_norm=True).eval()
    randomise(layer)
    with torch.no_grad():
        _, _, value = layer.queries_keys_values(tokens())
        taken = (layer.attention_weights(tokens()) @ value).transpose(1, 2).flatten(2)
        assert relative_error(layer(tokens()), layer.proj(layer.norm(taken))) < TOLERANCE
