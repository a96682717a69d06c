"""MobileNetV4 against timm, and what its training and its attention need."""

from __future__ import annotations

import pytest
import torch

import explorer.models as ours
from explorer.models.backbones.mobilenetv4 import MultiQueryAttention2d, Uib, UniversalInvertedResidual
from tests.models import family_checks as check
from tests.models.oracle import TOLERANCE, randomise, relative_error, same_weights, without_initialisation

timm = pytest.importorskip("timm")


def build(library, name, **options):
    with without_initialisation():
        return library.create_model(name, **options)


def test_drop_path_rates_equal_timms_where_there_is_a_shortcut():
    name = "mobilenetv4_hybrid_medium"
    with torch.device("meta"):
        mine, theirs = (build(library, name, drop_path_rate=0.3) for library in (ours, timm))
    theirs = dict(theirs.named_modules())
    mine = {path: layer.drop_prob for path, layer in mine.named_modules()
            if type(layer).__name__ == "DropPath"}
    assert len(mine) == 1 + 11 + 15 and mine == pytest.approx({path: theirs[path].drop_prob for path in mine})


@pytest.mark.parametrize("aa", ["", "avg"])
def test_traded_strides_keep_the_map_large(aa):
    model = build(ours, "mobilenetv4_hybrid_medium_075", output_stride=8, aa=aa, num_classes=0).eval()
    assert [row.reduction for row in model.stages] == [2, 4, 8, 8, 8]
    with torch.no_grad():
        _, maps = model.forward_intermediates(check.photos(64))
    assert [m.shape[-1] for m in maps] == [32, 16, 8, 8, 8]


def test_traded_strides_leave_the_numbers_at_the_old_places():
    """On the grid of the strided network the dilated one agrees with it, away from the borders."""
    name = "mobilenetv4_conv_small_035"
    dilated, strided = build(ours, name, output_stride=16), build(ours, name)
    same_weights(dilated, strided)
    x = check.photos(640, count=1)
    with torch.no_grad():
        fine, coarse = dilated.forward_features(x), strided.forward_features(x)
    assert fine.shape[-1] == 40 and coarse.shape[-1] == 20
    assert relative_error(fine[..., ::2, ::2][..., 9:11, 9:11], coarse[..., 9:11, 9:11]) < 1e-4


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
    ({"global_pool": ""}, "num_classes=0"), ({"output_stride": 4}, "offer 8, 16 and 32"),
    ({"aa": "max"}, 'use "avg"'),
], ids=str)
def test_what_cannot_be_built_is_said(options, message):
    with pytest.raises(ValueError, match=message):
        ours.create_model("mobilenetv4_conv_small_035", **options)


def test_a_halving_block_needs_its_middle_filter():
    with pytest.raises(ValueError, match="give mid"):
        UniversalInvertedResidual(8, 8, start=3, mid=0, expand=4, stride=2, dilation=1, aa="",
                                  layer_scale=0.0, act_layer="relu", drop_path=0.0)


def test_pooling_to_another_width_is_possible_from_the_start_only():
    model = build(ours, "mobilenetv4_conv_small_035", global_pool="catavgmax").eval()
    assert model(check.photos(64)).shape == (2, 1000)
    with pytest.raises(ValueError, match="create the model with it"):
        model.reset_classifier(3, "avg")
