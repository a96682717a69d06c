"""CoAtNet, MaxViT and their relatives: numbers on every code path, and what a family must do beyond them."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import explorer.models as ours
from explorer.models import weights
from explorer.models.backbones.maxvit import VARIANTS, MaxVit
from explorer.models.backbones.maxvit_blocks import (
    ConvOptions,
    MapAttention,
    WindowAttention,
    in_grid,
    in_windows,
)
from explorer.models.layers.relative_position import (
    RelPosBias,
    RelPosBiasTf,
    RelPosMlp,
    create_rel_pos,
    log_offsets,
)
from tests.models import family_checks as check
from tests.models.oracle import (
    TOLERANCE,
    check_same_start,
    drop_path_rates,
    randomise,
    relative_error,
    same_weights,
    without_initialisation,
)

timm = pytest.importorskip("timm")

NARROW = {"stem_width": (16, 32), "embed_dim": (32, 32, 64, 64), "depths": (1, 1, 2, 2), "img_size": 64}


def pair(name: str, **options):
    """Ours and timm's, narrow, with weights that nobody has drawn."""
    with without_initialisation():
        return tuple(library.create_model(name, **{**NARROW, **options}) for library in (ours, timm))


def small(name: str, **options) -> MaxVit:
    """Narrow and shallow, in evaluation mode."""
    model = ours.create_model(name, **{**NARROW, **options}).eval()
    randomise(model)
    return model


@pytest.mark.parametrize("name", ["coatnet_0_224", "coatnet_rmlp_nano_rw_224", "maxvit_tiny_tf_224",
                                  "maxvit_tiny_rw_224"])
def test_numbers_equal_timms_for_photos_that_are_no_square(name):
    mine, theirs = pair(name, img_size=(64, 96))
    same_weights(mine, theirs)
    x = torch.randn(2, 3, 64, 96, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        assert relative_error(mine(x), theirs(x)) < TOLERANCE


def test_unpooled_features_equal_timms():
    mine, theirs = pair("maxvit_tiny_rw_224", num_classes=0, global_pool="")
    same_weights(mine, theirs)
    with torch.no_grad():
        assert mine(check.photos(64)).shape == (2, 64, 2, 2)
        assert relative_error(mine(check.photos(64)), theirs(check.photos(64))) < TOLERANCE


@pytest.mark.parametrize("name", ["coatnet_1_rw_224", "maxvit_tiny_tf_224"])
def test_a_training_step_gives_timms_gradients_and_statistics(name):
    mine, theirs = pair(name)
    same_weights(mine, theirs)
    x = check.photos(64, count=4).double()  # BatchNorm over four small photos magnifies every rounding
    for model in (mine, theirs):
        model.double().train()(x).square().mean().backward()
    for (key, own), other in zip(mine.named_parameters(), theirs.parameters(), strict=True):
        assert relative_error(own.grad, other.grad) < TOLERANCE, key
    for (key, own), other in zip(mine.state_dict().items(), theirs.state_dict().values(), strict=True):
        assert relative_error(own.double(), other.double()) < TOLERANCE, key


def _settings(model) -> dict:
    """What a model is set to do that the shapes of its tensors don't tell."""
    norms = (nn.LayerNorm, nn.BatchNorm2d)
    return {
        "eps": [module.eps for module in model.modules() if isinstance(module, norms)],
        "heads": [module.num_heads for module in model.modules() if hasattr(module, "num_heads")
                  and hasattr(module, "qkv")],
        "head_first": [module.head_first for module in model.modules() if hasattr(module, "head_first")],
        "windows": [tuple(module.rel_pos.window_size) for module in model.modules()
                    if hasattr(module, "rel_pos")],
        "pooling": [type(module).__name__.removesuffix("Same") for module in model.modules()
                    if isinstance(module, (nn.AvgPool2d, nn.MaxPool2d))],
        "silu": sum(isinstance(module, nn.SiLU) for module in model.modules()),
        "relu": sum(isinstance(module, nn.ReLU) for module in model.modules()),
        **check.settings(model),
    }


@pytest.mark.parametrize("name", VARIANTS)
def test_settings_that_no_shape_shows_equal_timms(name):
    depths = (1, 1, 2, 2) if name == "coatnet_nano_cc_224" else (1, 1, 1, 1)
    with torch.device("meta"), without_initialisation():
        mine, theirs = (library.create_model(name, depths=depths) for library in (ours, timm))
    assert _settings(mine) == _settings(theirs)


def test_drop_path_rates_equal_timms():
    with torch.device("meta"):
        mine, theirs = pair("maxvit_tiny_tf_224", drop_path_rate=0.3, drop_rate=0.1)
    assert drop_path_rates(mine) == pytest.approx(drop_path_rates(theirs))
    assert max(drop_path_rates(mine).values()) == pytest.approx(0.3) and mine.head.drop.p == 0.1


@pytest.mark.parametrize("name", ["coatnet_3_rw_224", "maxvit_rmlp_small_rw_224", "maxxvit_rmlp_nano_rw_256",
                                  "maxvit_tiny_tf_224"])
def test_fresh_weights_are_drawn_as_timms_are(name):
    torch.manual_seed(0)
    options = {**NARROW, "depths": (1, 1, 1, 1)}
    mine, theirs = (library.create_model(name, **options) for library in (ours, timm))
    with torch.no_grad():
        for bias in theirs.parameters():  # it draws some biases from a millionth around 0, which ours are
            if bias.abs().max() < 1e-4 and not (bias == bias.flatten()[0]).all() or bias.numel() == 1:
                bias.zero_()
    check_same_start(mine, theirs)


@pytest.mark.parametrize("name", ["coatnet_0_rw_224", "maxvit_tiny_rw_224", "maxvit_tiny_tf_224",
                                  "coatnet_rmlp_nano_rw_224"])
def test_weights_for_another_photo_size_are_adapted_as_timm_does(name):
    from timm.models.maxxvit import checkpoint_filter_fn

    mine, theirs = pair(name, img_size=128)
    state = small(name).state_dict()
    report = weights.LoadReport(source="here", name=name)
    adapted = mine.adapt_state_dict(dict(state), report)
    for key, value in checkpoint_filter_fn(dict(state), theirs).items():
        assert relative_error(adapted[key], value) < 1e-4, key
    mine.load_state_dict(adapted, strict=True)
    biases = [key for key in state if key.endswith("bias_table")]
    assert len(report.adapted) == len(biases) and bool(biases) == ("rmlp" not in name)


def test_a_linear_layer_of_a_file_may_be_a_convolution_here():
    model = small("coatnet_0_rw_224")
    state = {key: value[:, :, 0, 0] if key.endswith(("qkv.weight", "proj.weight")) else value
             for key, value in model.state_dict().items()}
    adapted = model.adapt_state_dict(state, weights.LoadReport(source="here", name=""))
    model.load_state_dict(adapted, strict=True)


# --- attention ----------------------------------------------------------------------------------------------


def _mixed(layer, x: torch.Tensor) -> torch.Tensor:
    """What attention should give: the values, mixed by `attention_weights`, through the last layer."""
    values = layer.queries_keys_values(x)[2]
    tokens = (layer.attention_weights(x) @ values).transpose(1, 2).flatten(2)
    return layer.proj(tokens.transpose(1, 2).unflatten(2, x.shape[-2:]) if x.ndim == 4 else tokens)


@pytest.mark.parametrize(("name", "kind", "shape"), [
    ("coatnet_0_rw_224", MapAttention, (2, 1, 16, 16)),       # the whole map of 4 x 4 places
    ("maxvit_tiny_tf_224", WindowAttention, (128, 1, 4, 4)),  # 2 photos with 8 x 8 windows of 2 x 2 places
])
def test_attention_can_be_looked_at(name, kind, shape):
    model = small(name)
    layers = [module for module in model.modules() if isinstance(module, kind)]
    seen = {}

    def keep(layer, inputs, output):
        seen.setdefault(layer, (layer.attention_weights(inputs[0]), _mixed(layer, inputs[0]), output))

    for layer in layers:
        layer.register_forward_hook(keep)
    with torch.no_grad():
        model(check.photos(64))
    assert len(seen) == len(layers) >= 4
    assert seen[layers[0]][0].shape == shape
    for found, expected, output in seen.values():
        assert torch.allclose(found.sum(-1), torch.ones(found.shape[:-1]))
        assert relative_error(output, expected) < TOLERANCE


def test_windows_hold_neighbours_and_the_grid_holds_places_far_apart():
    x = torch.arange(16.0).reshape(1, 4, 4, 1)
    seen = []

    class Look(nn.Module):
        def forward(self, groups):
            seen.append(groups[..., 0].tolist())
            return groups

    assert torch.equal(in_windows(Look(), x, (2, 2)), x) and torch.equal(in_grid(Look(), x, (2, 2)), x)
    assert seen[0][0] == [0, 1, 4, 5] and seen[1][0] == [0, 2, 8, 10] and seen[1][1] == [1, 3, 9, 11]


@pytest.mark.parametrize("kind", [RelPosBias, RelPosBiasTf, RelPosMlp])
def test_the_same_offset_has_the_same_bias(kind):
    layer = kind((2, 3), 4).eval()
    randomise(layer)
    bias = layer()
    assert bias.shape == (1, 4, 6, 6)
    assert torch.equal(bias[..., 0, 1], bias[..., 4, 5])       # from a place to the one on its right
    assert not torch.equal(bias[..., 0, 1], bias[..., 1, 0])   # and back


def test_tensorflows_biases_count_offsets_the_other_way_round():
    one, other = RelPosBias((2, 3), 4), RelPosBiasTf((2, 3), 4)
    with torch.no_grad():
        other.relative_position_bias_table.copy_(one.relative_position_bias_table.T.reshape(4, 3, 5))
    assert torch.equal(other(), one().transpose(2, 3))


def test_offsets_are_logarithms_with_a_sign():
    offsets = log_offsets((1, 3))
    assert offsets.shape == (1, 5, 2) and not offsets[..., 0].any()
    assert offsets[0, :, 1].exp()[2:].tolist() == pytest.approx([1, 2, 3])
    assert offsets[0, :2, 1].tolist() == (-offsets[0, 3:, 1].flip(0)).tolist()


# --- what is refused ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "size"), [("coatnet_0_rw_224", 128), ("maxvit_tiny_tf_224", 96)])
def test_photos_of_another_size_are_refused_with_a_way_out(name, size):
    sentence = rf"64 x 64 pixels; got {size} x {size}.*img_size=\({size}, {size}\)"
    with pytest.raises(ValueError, match=sentence):
        small(name)(check.photos(size))


@pytest.mark.parametrize(("options", "message"), [
    ({"img_size": 70}, r"img_size is 70: .* multiples of 32, e.g. \(64, 64\)"),
    ({"depths": (1, 1)}, "must have one entry for each stage"),
    ({"block_type": ("C", "C", "X", "T")}, "Unknown block 'X'. Known: C, T, M, PM"),
    ({"conv": ConvOptions(kind="dense")}, "Unknown convolution block 'dense'. Known: mbconv, convnext"),
    ({"conv": ConvOptions(shortcut_pool="min")}, "Unknown pooling 'min'"),
    ({"embed_dim": (32, 32, 48, 64)}, "48 channels don't make heads of 32"),
    ({"weight_init": "zero"}, "Unknown weight_init 'zero'"),
])
def test_options_that_make_no_network_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        MaxVit(**{**NARROW, **options})


def test_unknown_relative_positions_are_refused():
    with pytest.raises(ValueError, match="Unknown relative position 'sine'. Known: bias, bias_tf, mlp"):
        create_rel_pos("sine", (2, 2), 1)


def test_the_class_is_public():
    assert ours.MaxVit is MaxVit
