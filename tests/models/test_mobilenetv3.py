"""MobileNetV3, FBNetV3 and LCNet against timm, and what their training needs."""

from __future__ import annotations

import pytest
import torch

import explorer.models as ours
from explorer.models.backbones.mobilenetv3 import MobileNetV3
from explorer.models.layers.mobile_rows import Row, spread
from tests.models import family_checks as check
from tests.models.oracle import TOLERANCE, relative_error, same_weights

timm = pytest.importorskip("timm")


@pytest.mark.parametrize(("name", "stride"), [("mobilenetv3_large_100", 16), ("mobilenetv3_small_050", 8)])
def test_traded_strides_keep_the_map_large_and_its_numbers_at_the_old_places(name, stride):
    """On the grid of the strided network the dilated one agrees with it, away from the borders."""
    dilated, strided = ours.create_model(name, output_stride=stride), ours.create_model(name)
    same_weights(dilated, strided)
    assert max(row.reduction for row in dilated.stages) == stride
    remove_attention(dilated), remove_attention(strided)  # its means are of all places
    x = check.photos(512, count=1)
    with torch.no_grad():
        fine, coarse = dilated.forward_features(x), strided.forward_features(x)
    assert fine.shape[-1] == 512 // stride and coarse.shape[-1] == 16
    step = 32 // stride
    assert relative_error(fine[..., ::step, ::step][..., 7:9, 7:9], coarse[..., 7:9, 7:9]) < 1e-3


def remove_attention(model: torch.nn.Module) -> None:
    for stage in model.blocks:
        for block in stage:
            if hasattr(block, "se"):
                block.se = torch.nn.Identity()


@pytest.mark.parametrize("name", ["mobilenetv3_small_050", "fbnetv3_b"])
def test_one_training_step_leaves_the_same_gradients_and_statistics_as_timms(name):
    mine, theirs = (library.create_model(name, num_classes=3) for library in (ours, timm))
    same_weights(mine, theirs)
    x = check.photos(64, count=4).double()  # BatchNorm over four small photos magnifies every rounding
    for model in (mine, theirs):
        model.double().train()(x).square().mean().backward()
    for (key, own), other in zip(mine.named_parameters(), theirs.parameters()):
        assert relative_error(own.grad, other.grad) < TOLERANCE, key
    for (key, own), other in zip(mine.named_buffers(), theirs.buffers()):
        assert relative_error(own.double(), other.double()) < TOLERANCE, key


def test_initial_weights_are_as_wide_as_timms():
    mine, theirs = (library.create_model("mobilenetv3_large_100").state_dict() for library in (ours, timm))
    for key, value in mine.items():
        assert float(value.float().std(correction=0)) == pytest.approx(
            float(theirs[key].float().std(correction=0)), rel=0.3, abs=1e-3), key


def test_drop_path_rates_equal_timms():
    mine, theirs = (library.create_model("mobilenetv3_large_100", drop_path_rate=0.3)
                    for library in (ours, timm))
    rates = [(own.drop_path.drop_prob, other.drop_path.drop_prob)
             for pair in zip(mine.blocks, theirs.blocks) for own, other in zip(*pair)
             if own.has_shortcut and getattr(other.drop_path, "drop_prob", 0.0)]
    assert len(rates) == 9 and max(own for own, _ in rates) > 0.2
    assert [own for own, _ in rates] == pytest.approx([other for _, other in rates])


def test_pooling_to_another_width_is_possible_from_the_start_only():
    model = ours.create_model("mobilenetv3_small_050", global_pool="catavgmax").eval()
    assert model(check.photos(64)).shape == (2, 1000)
    with pytest.raises(ValueError, match="create the model with it"):
        model.reset_classifier(3, "avg")


@pytest.mark.parametrize(("options", "message"), [
    ({"global_pool": ""}, "num_classes=0"), ({"output_stride": 4}, "offer 8, 16 and 32"),
    ({"keep": ("head",)}, 'use "stem"'),
], ids=str)
def test_what_cannot_be_built_is_said(options, message):
    with pytest.raises(ValueError, match=message):
        ours.create_model("mobilenetv3_small_050", **options)


def test_an_unknown_block_is_named():
    with pytest.raises(ValueError, match="Unknown block 'round'. Known: separable"):
        MobileNetV3(architecture=[[Row("round", 3, 2, 1, 8, 1)]])


@pytest.mark.parametrize(("repeats", "times", "wanted"), [
    ((3,), 1.0, [3]), ((3,), 1.2, [4]), ((1, 1, 2), 1.0, [1, 1, 2]), ((1, 1, 2), 1.2, [1, 2, 2]),
    ((1, 1), 1.0, [1, 1]), ((1, 1), 0.1, [1, 1]),
])
def test_a_scaled_stage_shares_its_blocks_among_its_rows(repeats, times, wanted):
    from math import ceil

    assert spread(repeats, times=times, rounding=ceil) == wanted
