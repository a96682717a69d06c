"""MobileNetV4 against timm, and what its training and its attention need."""

from __future__ import annotations

import pytest
import torch

import explorer.models as ours
from explorer.models.backbones.mobilenetv4 import MultiQueryAttention2d, Uib, UniversalInvertedResidual
from tests.models import family_checks as check
from tests.models.oracle import (
    TOLERANCE,
    check_gradients_equal,
    check_numbers,
    check_same_start,
    randomise,
    relative_error,
    same_weights,
    without_initialisation,
)

timm = pytest.importorskip("timm")


def build(library, name, **options):
    with without_initialisation():
        return library.create_model(name, **options)


@pytest.mark.parametrize(("name", "size", "options"), [
    ("mobilenetv4_conv_small", 65, {}),                    # full convolutions in front; three kinds of blocks
    ("mobilenetv4_conv_small_035", 64, {"global_pool": "max"}),
    ("mobilenetv4_conv_small_050", 64, {"global_pool": "avgmax"}),
    ("mobilenetv4_conv_medium", 64, {}),                   # a fused block, and the block without filters
    ("mobilenetv4_conv_aa_medium", 96, {}), ("mobilenetv4_conv_blur_medium", 65, {}),
    ("mobilenetv4_conv_large", 32, {}),
    ("mobilenetv4_hybrid_medium", 64, {}), ("mobilenetv4_hybrid_medium_075", 97, {}),  # attention, odd maps
    ("mobilenetv4_hybrid_large_075", 64, {}),              # GELU, other heads
], ids=lambda value: str(value).replace(" ", ""))
def test_numbers_equal_timms(name, size, options):
    check_numbers(build(ours, name, **options), build(timm, name, **options), size)


@pytest.mark.parametrize("name", ours.list_models(family="mobilenetv4"))
def test_every_convolution_is_set_as_timms(name):
    check.check_settings(name, timm)


@pytest.mark.parametrize("options", [{"in_chans": 1}, {"in_chans": 4}, {"num_classes": 5}, {"num_classes": 0},
                                     {"num_classes": 0, "global_pool": ""}], ids=str)
def test_numbers_equal_timms_with_other_inputs_and_outputs(options):
    name = "mobilenetv4_conv_small_035"
    check.check_other_channels(build(ours, name, **options), build(timm, name, **options), 64)


@pytest.mark.parametrize("name", ["mobilenetv4_conv_small_035", "mobilenetv4_hybrid_medium_075"])
def test_one_training_step_leaves_the_same_gradients_and_statistics_as_timms(name):
    check_gradients_equal(build(ours, name, num_classes=3), build(timm, name, num_classes=3), 64)


def test_new_networks_start_as_timms_do():
    name = "mobilenetv4_hybrid_medium_075"
    check_same_start(ours.create_model(name), timm.create_model(name))


def test_a_gradient_reaches_every_parameter():
    check.check_gradients(build(ours, "mobilenetv4_hybrid_medium_075", num_classes=2), 64)


@pytest.mark.parametrize("name", ["mobilenetv4_conv_small", "mobilenetv4_hybrid_medium_075"])
def test_a_new_network_can_start_to_learn(name):
    check.check_fresh(ours.create_model(name), 64)


def test_drop_path_rates_equal_timms_where_there_is_a_shortcut():
    name = "mobilenetv4_hybrid_medium"
    with torch.device("meta"):
        mine, theirs = (build(library, name, drop_path_rate=0.3) for library in (ours, timm))
    theirs = dict(theirs.named_modules())
    mine = {path: layer.drop_prob for path, layer in mine.named_modules() if type(layer).__name__ == "DropPath"}
    assert len(mine) == 1 + 11 + 15 and mine == pytest.approx({path: theirs[path].drop_prob for path in mine})


@pytest.mark.parametrize("aa", ["", "avg"])
def test_traded_strides_keep_the_map_large(aa):
    model = build(ours, "mobilenetv4_hybrid_medium_075", output_stride=8, aa=aa, num_classes=0).eval()
    assert [row.reduction for row in model.stages] == [2, 4, 8, 8, 8]
    with torch.no_grad():
        _, maps = model.forward_intermediates(check.photos(64))
    assert [m.shape[-1] for m in maps] == [32, 16, 8, 8, 8]


def test_traded_strides_leave_the_numbers_at_the_old_places():
    """Where a dilated network looks, the strided one looks too: away from the borders they agree on its grid."""
    name = "mobilenetv4_conv_small_035"
    dilated, strided = build(ours, name, output_stride=16), build(ours, name)
    same_weights(dilated, strided)
    x = check.photos(640, count=1)
    with torch.no_grad():
        fine, coarse = dilated.forward_features(x), strided.forward_features(x)
    assert fine.shape[-1] == 40 and coarse.shape[-1] == 20
    assert relative_error(fine[..., ::2, ::2][..., 9:11, 9:11], coarse[..., 9:11, 9:11]) < 1e-4


def test_it_compiles_without_a_graph_break():
    check.check_compiles(build(ours, "mobilenetv4_hybrid_medium_075"), 64)


def test_a_checkpoint_fills_every_tensor(tmp_path):
    check.check_loads("mobilenetv4_conv_small_035", 64, tmp_path)


@pytest.mark.parametrize("name", ["mobilenetv4_conv_small_050", "mobilenetv4_hybrid_medium_075"])
def test_the_maps_are_as_the_table_promises(name):
    check.check_features(name, 64)


def test_a_new_classifier_keeps_its_place():
    check.check_new_classifier_keeps_its_place(ours.create_model("mobilenetv4_conv_small_035", global_pool="max"))


@pytest.mark.parametrize("kv_stride", [1, 2])
def test_attention_weights_are_those_that_forward_uses(kv_stride):
    layer = MultiQueryAttention2d(12, num_heads=3, key_dim=5, kv_stride=kv_stride)
    randomise(layer)
    layer.eval()
    x = torch.randn(2, 12, 6, 4, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        matrix, (_, _, value) = layer.attention_weights(x), layer.queries_keys_values(x)
        assert matrix.shape == (2, 3, 24, 24 // kv_stride**2)
        assert torch.allclose(matrix.sum(-1), torch.ones(2, 3, 24), atol=1e-6)
        mixed = (matrix @ value).permute(0, 1, 3, 2).reshape(2, 15, 6, 4)  # [B, heads, H * W, 5] -> channels
        assert relative_error(layer.output(mixed), layer(x)) < TOLERANCE


def test_every_head_reads_the_same_keys():
    layer = MultiQueryAttention2d(8, num_heads=4, key_dim=2, kv_stride=1)
    with torch.no_grad():  # all heads ask the same question
        layer.query.proj.weight.copy_(layer.query.proj.weight[:2].repeat(4, 1, 1, 1))
        matrix = layer.attention_weights(torch.randn(1, 8, 3, 3, generator=torch.Generator().manual_seed(0)))
    assert torch.allclose(matrix[:, :1].expand_as(matrix), matrix)


@pytest.mark.parametrize(("row", "filters"), [(Uib(3, 5), 2), (Uib(0, 3), 1), (Uib(5, 0), 1), (Uib(0, 0), 0)])
def test_each_of_the_two_filters_may_be_left_out(row, filters):
    block = UniversalInvertedResidual(8, 8, **row._asdict(), stride=1, dilation=1, aa="", layer_scale=0.0,
                                      act_layer="relu", drop_path=0.0)
    depthwise = [m for m in block.modules() if isinstance(m, torch.nn.Conv2d) and m.groups > 1]
    assert len(depthwise) == filters
    assert block(torch.randn(2, 8, 7, 7)).shape == (2, 8, 7, 7)


@pytest.mark.parametrize(("options", "message"), [
    ({"global_pool": ""}, "num_classes=0"), ({"output_stride": 4}, "offer 8, 16 and 32"), ({"aa": "max"}, 'use "avg"'),
], ids=str)
def test_what_cannot_be_built_is_said(options, message):
    with pytest.raises(ValueError, match=message):
        ours.create_model("mobilenetv4_conv_small_035", **options)


def test_a_halving_block_needs_its_middle_filter():
    with pytest.raises(ValueError, match="give mid"):
        UniversalInvertedResidual(8, 8, start=3, mid=0, expand=4, stride=2, dilation=1, aa="", layer_scale=0.0,
                                  act_layer="relu", drop_path=0.0)


def test_pooling_to_another_width_is_possible_from_the_start_only():
    model = build(ours, "mobilenetv4_conv_small_035", global_pool="catavgmax").eval()
    assert model(check.photos(64)).shape == (2, 1000)
    with pytest.raises(ValueError, match="create the model with it"):
        model.reset_classifier(3, "avg")
