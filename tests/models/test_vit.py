"""Vision transformers: what the general parity tests do not reach."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import explorer.models as ours
from explorer.models import weights
from explorer.models.backbones.vit import VARIANTS, VisionTransformer
from explorer.models.layers.transformer import (
    Attention,
    PatchEmbed,
    SwiGLUPacked,
    resample_abs_pos_embed,
    resample_patch_embed,
)
from tests.models.oracle import randomise, relative_error, same_weights

timm = pytest.importorskip("timm")

TOLERANCE = 1e-5
NAME = "vit_tiny_patch16_224"


def small(name: str = NAME, **options):
    """Two random blocks in evaluation mode, for photos of 32 x 32 unless told otherwise."""
    model = ours.create_model(name, **{"img_size": 32, "depth": 2, **options}).eval()
    randomise(model)
    return model


def photo(height: int = 32, width: int | None = None, count: int = 2) -> torch.Tensor:
    return torch.randn(count, 3, height, width or height, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def saved(tmp_path):
    """Write a model's tensors to a file; the path."""
    def save(model_or_state, name="weights.pth"):
        state = model_or_state.state_dict() if isinstance(model_or_state, nn.Module) else model_or_state
        torch.save(state, tmp_path / name)
        return tmp_path / name
    return save


# --- the model --------------------------------------------------------------------------------------------


def test_a_subclass_with_its_own_head_works_as_in_the_article():
    class CustomModel(ours.VisionTransformer):
        def __init__(self, num_classes, **kwargs):
            super().__init__(**kwargs)
            self.head = torch.nn.Linear(self.head.in_features, num_classes)

    model = CustomModel(img_size=224, patch_size=16, embed_dim=768, depth=12, num_heads=12, num_classes=100)
    model.eval()
    with torch.no_grad():
        assert model(photo(224, count=1)).shape == (1, 100)


def _settings(model) -> dict:
    """What a model is set to do that the shapes of its tensors don't tell."""
    first = model.blocks[0]
    probe = torch.linspace(-3, 3, 13)
    return {
        "heads": first.attn.num_heads, "scale": first.attn.scale, "pool": model.global_pool,
        "prefix": model.num_prefix_tokens, "prefix has no position": model.no_embed_class,
        "img_size": model.patch_embed.img_size, "patch_size": model.patch_embed.patch_size,
        "dynamic": model.patch_embed.dynamic_img_size if hasattr(model.patch_embed, "dynamic_img_size")
        else model.dynamic_img_size,
        "eps": [m.eps for m in model.modules() if isinstance(m, nn.LayerNorm)],
        "activation": first.mlp.act(probe).tolist(),
        "layer scale": [m.init_values if hasattr(m, "init_values") else m.gamma[0].item()
                        for m in model.modules() if type(m).__name__ == "LayerScale"],
        "include prefix": model.pool_include_prefix,
    }


@pytest.mark.parametrize("name", VARIANTS)
def test_settings_that_no_shape_shows_equal_timms(name):
    narrow = {"embed_dim": 4 * VARIANTS[name]["num_heads"], "depth": 2}
    mine, theirs = _settings(ours.create_model(name, **narrow)), _settings(timm.create_model(name, **narrow))
    assert mine["layer scale"] == pytest.approx(theirs["layer scale"], rel=1e-6)
    assert mine["activation"] == pytest.approx(theirs["activation"], rel=1e-6)
    assert {k: v for k, v in mine.items() if k not in ("layer scale", "activation")} == \
        {k: v for k, v in theirs.items() if k not in ("layer scale", "activation")}


def test_fresh_weights_are_small_and_biases_zero():
    model = ours.create_model("vit_small_patch14_reg4_dinov2", img_size=28, depth=2, num_classes=10)
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            assert not parameter.any(), name
        elif name.endswith("gamma"):
            assert torch.all(parameter == 1e-5), name
        elif name in ("cls_token", "reg_token"):
            assert 0 < parameter.abs().max() < 1e-4, name
        elif parameter.ndim == 2:
            assert parameter.std().item() == pytest.approx(0.02, rel=0.05), name
    assert model.pos_embed.std().item() == pytest.approx(0.02, rel=0.1)


def test_drop_path_rates_equal_timms_and_evaluation_drops_nothing():
    options = dict(img_size=32, depth=4, drop_path_rate=0.3, drop_rate=0.2, pos_drop_rate=0.1,
                   proj_drop_rate=0.1, attn_drop_rate=0.1)
    mine, theirs = ours.create_model(NAME, **options), timm.create_model(NAME, **options)

    def rates(model):
        return [getattr(branch, "drop_prob", 0) for b in model.blocks
                for branch in (b.drop_path1, b.drop_path2)]

    assert rates(mine) == pytest.approx(rates(theirs)) and rates(mine)[-1] == pytest.approx(0.3)
    assert (mine.head_drop.p, mine.pos_drop.p) == (theirs.head_drop.p, theirs.pos_drop.p)
    first = mine.blocks[0]
    assert (first.attn.attn_drop.p, first.mlp.drop1.p, first.attn.proj_drop.p) == (0.1, 0.1, 0.1)
    x = photo()
    with torch.no_grad():
        assert not torch.equal(mine(x), mine(x))
        same_weights(mine, theirs)
        assert relative_error(mine(x), theirs(x)) < TOLERANCE


def test_without_pooling_every_token_gets_logits_as_in_timm():
    options = dict(img_size=32, depth=2, global_pool="", num_classes=5)
    mine, theirs = ours.create_model(NAME, **options), timm.create_model(NAME, **options)
    same_weights(mine, theirs)
    with torch.no_grad():
        assert mine(photo()).shape == (2, 5, 5)
        assert relative_error(mine(photo()), theirs(photo())) < TOLERANCE


@pytest.mark.parametrize(("name", "pools"), [
    (NAME, ("avg", "max", "token", "")), ("vit_medium_patch16_reg4_gap_256", ("avgmax", "")),
])
def test_reset_classifier_switches_the_pooling_as_timm_does(name, pools):
    mine, theirs = (library.create_model(name, img_size=32, depth=1) for library in (ours, timm))
    for pool in pools:
        mine.reset_classifier(3, pool), theirs.reset_classifier(3, pool)
        same_weights(mine, theirs)  # strict: the same norms are left
        with torch.no_grad():
            assert relative_error(mine(photo()), theirs(photo())) < TOLERANCE
    assert mine.global_pool == pools[-1] and mine.get_classifier() is mine.head


def test_reset_classifier_keeps_dtype_and_device():
    model = small().to(torch.float64)
    model.reset_classifier(4)
    assert model.head.weight.dtype == torch.float64
    assert model(photo().double()).dtype == torch.float64
    with torch.device("meta"):
        probe = ours.create_model(NAME)
    probe.reset_classifier(4)
    assert probe.head.weight.device.type == "meta"


@pytest.mark.parametrize(("options", "message"), [
    ({"global_pool": "mean"}, "Unknown pooling 'mean'.*'map'"),
    ({"class_token": False}, "no class token"),
    ({"num_heads": 5}, "divisor of 192"),
    ({"num_classes": -1}, "num_classes is -1"),
    ({"img_size": 8}, "holds no patch"),
    ({"mlp_layer": SwiGLUPacked, "embed_dim": 3, "num_heads": 1, "mlp_ratio": 1}, "even number"),
])
def test_impossible_options_are_refused_with_a_sentence(options, message):
    with pytest.raises(ValueError, match=message):
        small(**options)


def test_a_refused_pooling_leaves_the_classifier_as_it_was():
    model = small("vit_medium_patch16_reg4_gap_256")
    before = model.head
    with pytest.raises(ValueError, match="no class token"):
        model.reset_classifier(3, "token")
    assert model.head is before and model.global_pool == "avg" and model.num_classes == 1000


def test_a_photo_of_another_size_is_refused_with_both_ways_out():
    message = r"32 x 32 pixels; got 48 x 32.*img_size=\(48, 32\) or dynamic_img_size=True"
    with pytest.raises(ValueError, match=message):
        small()(photo(48, 32))


# --- photos of any size ------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"no_embed_class": True}, {"reg_tokens": 2}], ids=str)
@pytest.mark.parametrize("size", [(48, 80), (32, 16), (32, 32)], ids=str)
def test_dynamic_photo_sizes_give_timms_numbers_and_maps(options, size):
    options = {"img_size": 32, "depth": 2, "dynamic_img_size": True, **options}
    mine, theirs = ours.create_model(NAME, **options), timm.create_model(NAME, **options)
    same_weights(mine, theirs)
    x = photo(*size)
    with torch.no_grad():
        assert relative_error(mine(x), theirs(x)) < TOLERANCE
        maps = mine.forward_intermediates(x, intermediates_only=True)
        for own, other in zip(maps, theirs.forward_intermediates(x, intermediates_only=True), strict=True):
            assert relative_error(own, other) < TOLERANCE
    assert not mine.fixed_image_size


def test_a_dynamic_photo_of_broken_patches_is_refused_with_the_nearest_size():
    with pytest.raises(ValueError, match="50 x 80 .*patches of 16 x 16.*e.g. to 48 x 80"):
        small(dynamic_img_size=True)(photo(50, 80))


def test_a_photo_that_is_no_square_gives_timms_numbers():
    mine, theirs = (library.create_model(NAME, img_size=(32, 64), depth=2) for library in (ours, timm))
    same_weights(mine, theirs)
    with torch.no_grad():
        assert relative_error(mine(photo(32, 64)), theirs(photo(32, 64))) < TOLERANCE
    assert mine.forward_intermediates(photo(32, 64))[1][0].shape == (2, 192, 2, 4)


def test_another_image_size_is_the_size_that_photos_are_prepared_for():
    assert ours.create_model(NAME, img_size=32, depth=1).config.input_size == (3, 32, 32)
    assert ours.create_model(NAME, img_size=(32, 64), depth=1).config.input_size == (3, 32, 64)
    assert ours.create_model(NAME, depth=1).config.input_size == (3, 224, 224)


@pytest.mark.parametrize("new", [(7, 7), (20, 20), (9, 13)], ids=str)
@pytest.mark.parametrize("prefix", [0, 1, 5])
def test_resampled_positions_equal_timms(new, prefix):
    positions = torch.randn(1, prefix + 14 * 14, 8, generator=torch.Generator().manual_seed(3))
    theirs = timm.layers.resample_abs_pos_embed(positions, list(new), num_prefix_tokens=prefix)
    mine = resample_abs_pos_embed(positions, new, num_prefix_tokens=prefix)
    assert relative_error(mine, theirs) < TOLERANCE


def test_positions_keep_their_dtype_and_a_wrong_grid_is_refused():
    positions = torch.randn(1, 17, 8, dtype=torch.float16)
    assert resample_abs_pos_embed(positions, (2, 2)).dtype == torch.float16
    with pytest.raises(ValueError, match="17 position embeddings don't form a grid of 4 x 4"):
        resample_abs_pos_embed(positions, (2, 2), num_prefix_tokens=0)


@pytest.mark.parametrize("new", [(8, 8), (20, 20), (14, 7)], ids=str)
def test_resampled_patch_filters_equal_timms(new):
    filters = torch.randn(4, 3, 16, 16, generator=torch.Generator().manual_seed(3))
    theirs = timm.layers.resample_patch_embed(filters, list(new))
    # the pseudo-inverse is ill-conditioned, so not TOLERANCE
    assert relative_error(resample_patch_embed(filters, new), theirs) < 1e-4


# --- looking inside ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("qk_norm", [False, True])
def test_attention_weights_are_those_that_forward_uses(qk_norm):
    layer = Attention(24, num_heads=3, qkv_bias=True, qk_norm=qk_norm).eval()
    randomise(layer)
    x = torch.randn(2, 7, 24, generator=torch.Generator().manual_seed(5))
    with torch.no_grad():
        matrix = layer.attention_weights(x)
        assert matrix.shape == (2, 3, 7, 7)
        assert torch.allclose(matrix.sum(-1), torch.ones(2, 3, 7))
        _, _, value = layer.queries_keys_values(x)
        by_hand = layer.proj((matrix @ value).transpose(1, 2).flatten(2))
        assert relative_error(layer(x), by_hand) < TOLERANCE


@pytest.mark.parametrize("options", [
    {"norm": True}, {"output_fmt": "NLC"}, {"return_prefix_tokens": True},
    {"norm": True, "output_fmt": "NLC", "return_prefix_tokens": True},
], ids=str)
@pytest.mark.parametrize("name", [NAME, "vit_small_patch14_reg4_dinov2", "vit_medium_patch16_reg4_gap_256"])
def test_forward_intermediates_knows_timms_options(name, options):
    mine, theirs = (library.create_model(name, img_size=32, depth=3, patch_size=16)
                    for library in (ours, timm))
    same_weights(mine, theirs)
    with torch.no_grad():
        final, own = mine.forward_intermediates(photo(), [0, 2], **options)
        their_final, other = theirs.forward_intermediates(photo(), indices=[0, 2], **options)
    assert relative_error(final, their_final) < TOLERANCE
    assert len(own) == len(other) == 2
    for a, b in zip(own, other):
        pairs = zip(a, b, strict=True) if options.get("return_prefix_tokens") else [(a, b)]
        assert all(relative_error(x, y) < TOLERANCE for x, y in pairs)


def test_maps_are_the_patches_row_by_row():
    model = small(img_size=(32, 48))
    with torch.no_grad():
        final, (block_map,) = model.forward_intermediates(photo(32, 48), 1, norm=True)
    assert block_map.shape == (2, 192, 2, 3)
    assert torch.equal(block_map[:, :, 1, 0], final[:, model.num_prefix_tokens + 3])


def test_both_ways_to_the_maps_agree_and_keep_the_order_asked_for():
    model = small("vit_small_patch14_reg4_dinov2", img_size=28, depth=3)
    with torch.no_grad():
        walked = list(model.forward_stages(photo(28)))
        asked = model.forward_intermediates(photo(28), [2, 0], intermediates_only=True)
    assert torch.equal(asked[0], walked[2]) and torch.equal(asked[1], walked[0])


def test_stopping_early_never_runs_the_later_blocks():
    model = small()
    model.blocks[1].register_forward_hook(lambda *_: pytest.fail("the second block ran"))
    with torch.no_grad():
        maps = model.forward_intermediates(photo(), [0], stop_early=True, intermediates_only=True)
        assert maps[0].shape == (2, 192, 2, 2)
        features = ours.FeatureNet(model, [0])(photo())
    assert torch.equal(features[0], maps[0])


def test_an_unknown_output_format_is_refused():
    with pytest.raises(ValueError, match="Unknown output_fmt 'NHWC'.*'NCHW'.*'NLC'"):
        small().forward_intermediates(photo(), output_fmt="NHWC")


# --- trained weights, other options -----------------------------------------------------------------------


def timm_from_file(path, **options):
    """timm's model with the weights of a file, adapted by timm's own filter."""
    overlay = {"file": str(path)}
    return timm.create_model(NAME, pretrained=True, pretrained_cfg_overlay=overlay, depth=2, **options).eval()


@pytest.mark.parametrize("options", [
    {"img_size": 48}, {"img_size": (32, 80)}, {"img_size": 32, "patch_size": 8},
], ids=str)
def test_weights_for_another_size_are_adapted_as_timm_does(saved, options):
    path = saved(small(img_size=224))
    mine = ours.create_model(NAME, checkpoint_path=path, depth=2, **options).eval()
    theirs = timm_from_file(path, **options)
    size = options["img_size"]
    x = photo(*((size, size) if isinstance(size, int) else size))
    with torch.no_grad():
        assert relative_error(mine(x), theirs(x)) < 1e-4
    assert any(line.startswith("pos_embed: from a grid of 14 x 14") for line in mine.load_report.adapted)
    told = [line for line in mine.load_report.adapted if line.startswith("patch_embed")]
    assert bool(told) == ("patch_size" in options)


def test_weights_of_the_same_options_are_taken_as_they_are(saved):
    source = small()
    mine = ours.create_model(NAME, checkpoint_path=saved(source), img_size=32, depth=2).eval()
    assert torch.equal(mine(photo()), source(photo()))
    assert mine.load_report.adapted == [] and mine.load_report.skipped == []


def test_weights_for_a_photo_that_is_no_square_load_at_the_same_size_only(saved):
    source = small(img_size=(32, 48))
    path = saved(source)
    same = ours.create_model(NAME, checkpoint_path=path, img_size=(32, 48), depth=2).eval()
    assert torch.equal(same(photo(32, 48)), source(photo(32, 48)))
    with pytest.raises(ours.WeightsError, match="form no square"):
        ours.create_model(NAME, checkpoint_path=path, img_size=48, depth=2)


def test_as_many_patches_on_another_grid_are_mentioned(saved):
    path = saved(small(img_size=64))  # 4 x 4 patches
    mine = ours.create_model(NAME, checkpoint_path=path, img_size=(32, 128), depth=2)
    assert mine.load_report.adapted == ["pos_embed: read as a grid of 2 x 8 patches, though 4 x 4 fits too"]


@pytest.mark.parametrize(("trained", "wanted"), [(False, True), (True, False)])
def test_positions_of_extra_tokens_move_without_changing_a_number(saved, trained, wanted):
    source = small(reg_tokens=2, no_embed_class=trained)
    options = dict(img_size=32, depth=2, reg_tokens=2, no_embed_class=wanted)
    mine = ours.create_model(NAME, checkpoint_path=saved(source), **options)
    with torch.no_grad():
        assert relative_error(mine.eval()(photo()), source(photo())) < TOLERANCE


def test_a_model_without_class_token_leaves_the_trained_one_out(saved):
    source = small()
    options = dict(img_size=32, depth=2, class_token=False, global_pool="avg", fc_norm=False)
    mine = ours.create_model(NAME, checkpoint_path=saved(source), **options)
    assert mine.load_report.skipped == ["cls_token: this model has no class token"]
    assert torch.equal(mine.pos_embed, source.pos_embed[:, 1:])


def test_the_trained_norm_moves_behind_the_pooling_where_patches_are_pooled(saved):
    source = small()
    options = {"img_size": 32, "depth": 2, "global_pool": "avg"}
    mine = ours.create_model(NAME, checkpoint_path=saved(source), **options).eval()
    assert mine.load_report.adapted == ["norm: used as fc_norm, behind the pooling"]
    with torch.no_grad():
        tokens = source.blocks[1](source.blocks[0](source.embed(photo())))
        assert relative_error(mine(photo()), source.head(source.norm(tokens[:, 1:].mean(1)))) < TOLERANCE
    back = ours.create_model(NAME, checkpoint_path=saved(mine), img_size=32, depth=2).eval()
    assert torch.equal(back(photo()), source(photo()))
    assert back.load_report.adapted == ["fc_norm: used as norm, in front of the pooling"]


def test_weights_with_another_number_of_registers_are_refused(saved):
    path = saved(small(reg_tokens=2, no_embed_class=True))
    with pytest.raises(ours.WeightsError, match="reg_token"):
        ours.create_model(NAME, checkpoint_path=path, img_size=32, depth=2)


def test_torchvision_weights_give_torchvisions_numbers(saved):
    torchvision = pytest.importorskip("torchvision")
    theirs = torchvision.models.VisionTransformer(
        image_size=32, patch_size=16, num_layers=2, num_heads=3, hidden_dim=192, mlp_dim=768, num_classes=7)
    randomise(theirs)
    theirs.eval()
    mine = ours.create_model(NAME, checkpoint_path=saved(theirs), img_size=32, depth=2).eval()
    with torch.no_grad():
        assert relative_error(mine(photo()), theirs(photo())) < TOLERANCE


@pytest.mark.parametrize("name", [
    "vit_small_patch14_dinov2", "vit_small_patch14_reg4_dinov2", "vit_giant_patch14_reg4_dinov2",
])
def test_files_with_dinov2s_own_names_load(saved, name):
    options = {"img_size": 28, "depth": 2, "embed_dim": 96}
    source = small(name, **options)
    state = {}
    for key, value in source.state_dict().items():
        if "giant" in name:
            key = key.replace("mlp.fc1", "mlp.w12").replace("mlp.fc2", "mlp.w3")
        state[key.replace("reg_token", "register_tokens")] = value
    if "reg4" in name:  # their class token has a position, as in the model without registers
        position = torch.randn(1, 1, 96, generator=torch.Generator().manual_seed(4))
        state["cls_token"] = state["cls_token"] - position
        state["pos_embed"] = torch.cat((position, state["pos_embed"]), dim=1)
    state["mask_token"] = torch.zeros(1, 96)
    mine = ours.create_model(name, checkpoint_path=saved(state), **options).eval()
    with torch.no_grad():
        assert relative_error(mine(photo(28)), source(photo(28))) < TOLERANCE
    assert mine.load_report.skipped == ["mask_token: used only while DINOv2 learns"]


def test_one_channel_photos_and_another_size_together(saved):
    path = saved(small())
    mine = ours.create_model(NAME, checkpoint_path=path, img_size=48, depth=2, in_chans=1).eval()
    assert mine(photo(48)[:, :1]).shape == (2, 1000)
    assert len(mine.load_report.adapted) == 2


def test_the_conversion_table_is_open_to_users():
    theirs = {"encoder.ln.weight": torch.ones(3), "heads.head.bias": torch.ones(2)}
    assert sorted(weights.convert(NAME, theirs, "torchvision")) == ["head.bias", "norm.weight"]


# --- tools of torch ---------------------------------------------------------------------------------------


def test_it_exports():
    model = small()
    exported = torch.export.export(model, (photo(),)).module()
    with torch.no_grad():
        assert relative_error(exported(photo()), model(photo())) < TOLERANCE


def test_flops_are_counted_on_meta_as_the_paper_counts_them():
    from torch.utils.flop_counter import FlopCounterMode

    with torch.device("meta"):
        model, x = ours.create_model("vit_base_patch16_224").eval(), torch.empty(1, 3, 224, 224)
    with FlopCounterMode(display=False) as counter:
        model(x)
    tokens, dim, patches = 197, 768, 196
    layers = tokens * dim * (3 * dim + dim + 8 * dim)  # qkv, proj, two of the MLP
    attention = 2 * tokens * tokens * dim  # queries by keys, weights by values
    expected = 2 * (patches * dim * dim + 12 * (layers + attention) + dim * 1000)
    assert counter.get_total_flops() == expected


def test_patches_are_cut_row_by_row():
    layer = PatchEmbed(4, 2, in_chans=1, embed_dim=4, bias=False)
    with torch.no_grad():
        layer.proj.weight.copy_(torch.eye(4).reshape(4, 1, 2, 2))  # each token is its patch's four pixels
    pixels = torch.arange(16.0).reshape(1, 1, 4, 4)
    assert layer(pixels)[0].tolist() == [[0, 1, 4, 5], [2, 3, 6, 7], [8, 9, 12, 13], [10, 11, 14, 15]]


def test_the_class_is_public():
    assert ours.VisionTransformer is VisionTransformer
