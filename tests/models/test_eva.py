"""EVA and its relatives: what the general parity tests do not reach."""

from __future__ import annotations

import pytest
import torch

import explorer.models as ours
from explorer.models.backbones.eva import VARIANTS, RotaryAttention
from explorer.models.layers.attention_pool import AttentionPool
from explorer.models.layers.rotary import AxialRotary, CentredRotary, MixedRotary, rotate_pairs
from tests.models import family_checks
from tests.models.oracle import TOLERANCE, drop_path_rates, randomise, relative_error, same_weights

timm = pytest.importorskip("timm")

NAME = "eva02_tiny_patch14_224"
NARROW = {"img_size": 42, "depth": 2, "embed_dim": 48, "num_heads": 3, "patch_size": 14, "num_classes": 5}
POOLED = {"embed_dim": 96, "num_heads": 6}  # eight heads pool


def both(name: str = NAME, **options):
    return tuple(library.create_model(name, **{**NARROW, **options}) for library in (ours, timm))


@pytest.mark.parametrize("name", [
    NAME, "vit_small_patch16_rope_mixed_ape_224", "vit_small_patch16_dinov3",
    "vit_pe_spatial_tiny_patch16_512",
])
def test_a_photo_that_is_no_square_gives_timms_numbers_and_maps(name):
    mine, theirs = both(name, img_size=(28, 56))
    same_weights(mine, theirs)
    x = torch.randn(2, 3, 28, 56, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        assert relative_error(mine(x), theirs(x)) < TOLERANCE
        maps = mine.forward_intermediates(x, intermediates_only=True)
        for own, other in zip(maps, theirs.forward_intermediates(x, intermediates_only=True), strict=True):
            assert relative_error(own, other) < TOLERANCE


@pytest.mark.parametrize(("name", "size"), [
    ("vit_small_patch16_dinov3", (56, 28)), ("vit_small_patch16_lingbot", (42, 42)),
    ("eva_giant_patch14_224", (28, 70)), (NAME, (28, 70)), ("vit_small_patch16_rope_mixed_ape_224", (28, 70)),
], ids=str)
def test_photos_of_any_size_give_timms_numbers(name, size):
    mine, theirs = both(name, dynamic_img_size=True)
    same_weights(mine, theirs)
    x = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        assert relative_error(mine(x), theirs(x)) < TOLERANCE
    assert not mine.fixed_image_size


def _settings(model) -> dict:
    """What a model is set to do that the shapes of its tensors don't tell."""
    block = model.blocks[0]
    gamma = getattr(block, "gamma_1", None)
    return {
        "heads": block.attn.num_heads, "pool": model.global_pool, "prefix": model.num_prefix_tokens,
        "scale": block.attn.scale, "layer scale": None if gamma is None else gamma[0].item(),
        "img_size": tuple(model.patch_embed.img_size), "patch_size": tuple(model.patch_embed.patch_size),
        "pool heads": getattr(model.attn_pool, "num_heads", None),
        "eps": [m.eps for m in model.modules() if type(m).__name__ in ("LayerNorm", "RmsNorm", "RMSNorm")],
    }


@pytest.mark.parametrize("name", VARIANTS)
def test_settings_and_angles_that_no_shape_shows_equal_timms(name):
    narrow = {"embed_dim": 8 * VARIANTS[name]["num_heads"], "depth": 2}
    if "sapiens2" in name:  # one number a block by default
        narrow["num_kv_heads"] = VARIANTS[name]["num_heads"]
    mine, theirs = ours.create_model(name, **narrow), timm.create_model(name, **narrow)
    assert _settings(mine) == _settings(theirs)
    dynamic = "dynamic_img_size" in VARIANTS[name]
    assert mine.patch_embed.dynamic_img_size == theirs.dynamic_img_size == dynamic
    assert mine.blocks[0].attn.halves == getattr(theirs.blocks[0].attn, "rotate_half", False)
    if mine.rope is not None and not isinstance(mine.rope, MixedRotary):
        turn = mine.eval().rope(mine.patch_embed.grid_size)
        known = theirs.eval().rope.get_embed(mine.patch_embed.grid_size)
        sine, cosine = known.chunk(2, dim=-1)  # with each angle twice, as neighbours or half a head apart
        first = slice(0, sine.shape[-1] // 2) if mine.blocks[0].attn.halves else slice(None, None, 2)
        assert relative_error(turn[0], cosine[:, first]) < TOLERANCE
        assert relative_error(turn[1], sine[:, first]) < TOLERANCE


def test_mixed_rotary_speeds_start_as_timms_do_in_directions_drawn_by_chance():
    mine, theirs = both("vit_small_patch16_rope_mixed_224")
    speeds, known = (model.rope.freqs.detach().square().sum(0).sqrt() for model in (mine, theirs))
    assert relative_error(speeds, known) < TOLERANCE
    x, y = mine.rope.freqs.detach().unflatten(-1, (2, -1)).unbind(0)  # [depth, heads, 2, D / 4] each
    between = x[:, :, 0] * x[:, :, 1] + y[:, :, 0] * y[:, :, 1]
    assert between.abs().max() < 1e-5  # the two axes are at right angles
    assert (y / x)[:, :, 0, 0].unique().numel() == 2 * 3


def test_drop_path_rates_equal_timms():
    mine, theirs = both(depth=4, drop_path_rate=0.3)
    assert drop_path_rates(mine) == pytest.approx(drop_path_rates(theirs))


def test_feature_networks_need_no_pooling_and_give_the_maps_that_the_table_promises():
    options = {**NARROW, **POOLED}
    del options["num_classes"]
    family_checks.check_features("vit_pe_core_base_patch16_224", 42, **options)
    features = ours.create_model("vit_pe_core_base_patch16_224", features_only=True, **options)
    assert features.model.attn_pool is None


def test_another_pooling_replaces_attention_and_cannot_come_back():
    mine, theirs = both("vit_pe_core_base_patch16_224", **POOLED)
    mine.reset_classifier(3, "avg"), theirs.reset_classifier(3, "avg")
    same_weights(mine, theirs)
    with torch.no_grad():
        assert relative_error(mine(family_checks.photos(42)), theirs(family_checks.photos(42))) < TOLERANCE
    with pytest.raises(ValueError, match='built without attention that pools.*"avg"'):
        mine.reset_classifier(3, "map")


@pytest.mark.parametrize(("options", "message"), [
    ({"rope": "polar"}, "Unknown rotary positions 'polar'.*'centred'"),
    ({"mlp": "conv"}, "Unknown MLP 'conv'.*'swiglu'"),
    ({"num_kv_heads": (3, 3, 3)}, "3 entries for 2 blocks"),
    ({"num_kv_heads": 2}, "3 heads and 2 heads of keys don't fit"),
    ({"embed_dim": 42}, "A head has 14 numbers.*multiple of 4"),
])
def test_impossible_options_are_refused_with_a_sentence(options, message):
    with pytest.raises(ValueError, match=message):
        ours.create_model(NAME, **{**NARROW, **options})


# --- looking inside -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [
    {}, {"key_bias": True, "qk_norm": True}, {"fused": False, "num_kv_heads": 1, "scale_norm": True},
    {"halves": True},
], ids=str)
def test_attention_weights_are_those_that_forward_uses(options):
    layer = RotaryAttention(24, 3, num_prefix_tokens=1, **options).eval()
    randomise(layer)
    x = torch.randn(2, 7, 24, generator=torch.Generator().manual_seed(5))
    turn = AxialRotary(8)((2, 3))
    with torch.no_grad():
        matrix = layer.attention_weights(x, turn)
        assert matrix.shape == (2, 3, 7, 7)
        assert torch.allclose(matrix.sum(-1), torch.ones(2, 3, 7))
        _, _, value = layer.queries_keys_values(x, turn)
        by_hand = layer.proj(layer.norm((matrix @ value).transpose(1, 2).flatten(2)))
        assert relative_error(layer(x, turn), by_hand) < TOLERANCE
        assert not torch.allclose(matrix, layer.attention_weights(x), atol=1e-3)


def test_attention_that_pools_shows_its_weights():
    layer = AttentionPool(24, 3).eval()
    randomise(layer)
    x = torch.randn(2, 7, 24, generator=torch.Generator().manual_seed(5))
    with torch.no_grad():
        matrix = layer.attention_weights(x)
        assert matrix.shape == (2, 3, 1, 7)
        _, _, value = layer.queries_keys_values(x)
        answer = layer.proj((matrix @ value).transpose(1, 2).flatten(2))
        assert relative_error(layer(x), (answer + layer.mlp(layer.norm(answer)))[:, 0]) < TOLERANCE


@pytest.mark.parametrize("halves", [False, True])
@pytest.mark.parametrize("rotary", [
    AxialRotary(16), AxialRotary(16, rows_first=False, offset=1.0),
    MixedRotary(16, depth=1, num_heads=2),
], ids=lambda rotary: type(rotary).__name__)
def test_how_well_turned_patches_fit_depends_on_their_distance_alone(rotary, halves):
    turn = rotary((4, 4))
    if isinstance(rotary, MixedRotary):
        turn = tuple(part[0].detach() for part in turn)
    query, key = torch.randn(2, 1, 2, 1, 16, generator=torch.Generator().manual_seed(0))
    queries, keys = (rotate_pairs(x.expand(1, 2, 16, 16), turn, halves=halves) for x in (query, key))
    fit = queries @ keys.transpose(-2, -1)
    fit = fit.unflatten(-1, (4, 4)).unflatten(2, (4, 4))  # row, column; row, column
    assert torch.allclose(fit[:, :, 0, 0, 1, 2], fit[:, :, 2, 1, 3, 3], atol=1e-4)
    assert not torch.allclose(fit[:, :, 0, 0, 1, 2], fit[:, :, 0, 0, 2, 1], atol=1e-2)


def test_turning_keeps_the_length_of_every_vector():
    x = torch.randn(2, 3, 6, 16, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(rotate_pairs(x, AxialRotary(16)((2, 3))).norm(dim=-1), x.norm(dim=-1), atol=1e-5)


def test_centred_positions_are_stretched_by_chance_in_training_only():
    rotary = CentredRotary(16, rescale=2.0)
    torch.manual_seed(0)
    first, second = rotary((3, 3)), rotary((3, 3))
    assert not torch.allclose(first[0], second[0])
    assert torch.equal(first[0][4], torch.ones(8))  # the middle stays where it is
    rotary.eval()
    assert torch.equal(rotary((3, 3))[0], rotary((3, 3))[0])


# --- trained weights ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [
    "eva_giant_patch14_224", NAME, "vit_small_patch16_rope_mixed_ape_224", "vit_pe_spatial_tiny_patch16_512",
])
def test_weights_for_another_size_are_adapted_as_timm_does(tmp_path, name):
    source = both(name, img_size=70)[0]
    randomise(source)
    torch.save(source.state_dict(), tmp_path / "weights.pth")
    mine = ours.create_model(name, checkpoint_path=tmp_path / "weights.pth", **NARROW).eval()
    overlay = {"file": str(tmp_path / "weights.pth"), "num_classes": 5}
    theirs = timm.create_model(name, pretrained=True, pretrained_cfg_overlay=overlay, **NARROW).eval()
    x = family_checks.photos(42)
    with torch.no_grad():
        assert relative_error(mine(x), theirs(x)) < 1e-4


def _in_eva02s_names(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Our tensors as EVA-02's own files hold them."""
    theirs = {}
    for key, value in state.items():
        if ".attn.qkv.weight" in key:
            theirs |= {key.replace("qkv", f"{part}_proj"): t for part, t in zip("qkv", value.chunk(3))}
        elif ".mlp.fc1." in key:
            theirs |= {key.replace("fc1", part): t for part, t in zip(("w1", "w2"), value.chunk(2))}
        else:
            for ours_, other in ((".mlp.norm.", ".mlp.ffn_ln."), (".attn.norm.", ".attn.inner_attn_ln."),
                                 ("q_proj.bias", "q_bias"), ("v_proj.bias", "v_bias"), ("fc1_g", "w1"),
                                 ("fc1_x", "w2"), ("mlp.fc2", "mlp.w3")):
                key = key.replace(ours_, other)
            theirs[key] = value
    return theirs | {"rope.freqs_cos": torch.zeros(9, 8), "blocks.0.attn.rope.freqs_sin": torch.zeros(9, 8)}


def _in_dinov3s_names(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Our tensors as DINOv3's own files hold them; the keys' bias there is masked, whatever it holds."""
    theirs = {"mask_token": torch.zeros(1, 48), "rope_embed.periods": torch.zeros(4)}
    gated = any("fc1_g" in key for key in state)
    for key, value in state.items():
        if key.endswith("q_bias"):
            bias = torch.cat((value, torch.ones_like(value), state[key.replace("q_bias", "v_bias")]))
            theirs |= {key.replace("q_bias", "qkv.bias"): bias, key.replace("q_bias", "qkv.bias_mask"): bias}
        elif not key.endswith("v_bias"):
            for ours_, other in (("reg_token", "storage_tokens"), ("gamma_1", "ls1.gamma"),
                                 ("gamma_2", "ls2.gamma"), ("fc1_g", "w1"), ("fc1_x", "w2")):
                key = key.replace(ours_, other)
            theirs[key.replace("fc2", "w3") if gated else key] = value
    return theirs


@pytest.mark.parametrize(("name", "write"), [
    (NAME, _in_eva02s_names), ("eva02_base_patch16_clip_224", _in_eva02s_names),
    ("vit_small_patch16_dinov3_qkvb", _in_dinov3s_names),
    ("vit_small_plus_patch16_dinov3_qkvb", _in_dinov3s_names),
])
def test_files_with_the_authors_own_names_load(tmp_path, name, write):
    source = both(name)[0].eval()
    randomise(source)
    torch.save(write(source.state_dict()), tmp_path / "weights.pth")
    mine = ours.create_model(name, checkpoint_path=tmp_path / "weights.pth", **NARROW).eval()
    assert torch.equal(mine(family_checks.photos(42)), source(family_checks.photos(42)))
