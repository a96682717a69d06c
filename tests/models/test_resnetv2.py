"""ResNet V2 and BiT against timm; weight standardisation and the norms by their formulas."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch.nn import functional as F

import explorer.models as ours
from explorer.models.backbones.resnetv2 import VARIANTS
from explorer.models.layers import FilterResponseNormTlu2d, GroupNormAct, StdConv2d
from tests.models import family_checks as check
from tests.models.oracle import TOLERANCE, drop_path_rates, relative_error, same_weights

timm = pytest.importorskip("timm")

FLAT = (1, 2, 1, 1)  # blocks in the four stages: with and without a shortcut of its own


def pair(name: str, depths: tuple[int, ...] = FLAT, **options):
    """Our model and timm's, with few blocks.

    Its BiT names have all of theirs; the parts fit another name too.
    """
    mine = ours.create_model(name, depths=depths, **options)
    if name.endswith("_bit"):
        layers = timm.layers
        options |= {"width_factor": VARIANTS[name]["width_factor"], "stem_type": "fixed",
                    "norm_layer": partial(layers.GroupNormAct, num_groups=32),
                    "conv_layer": partial(layers.StdConv2d, eps=1e-8)}
        name = "resnetv2_50"
    return mine, timm.create_model(name, layers=depths, **options)


def test_logits_of_a_whole_bit_equal_timms():
    mine, theirs = (library.create_model("resnetv2_50x1_bit") for library in (ours, timm))
    same_weights(mine.double(), theirs.double())  # fifty layers of GroupNorm magnify float32's rounding
    with torch.no_grad():
        x = check.photos(64).double()
        assert relative_error(mine(x), theirs(x)) < TOLERANCE


def test_without_pooling_every_place_gets_its_logits():
    model = ours.create_model("resnetv2_18", depths=FLAT, global_pool="", num_classes=5).eval()
    pooled = ours.create_model("resnetv2_18", depths=FLAT, num_classes=5).eval()
    pooled.load_state_dict(model.state_dict())
    with torch.no_grad():
        everywhere = model(check.photos(64))
        assert everywhere.shape == (2, 5, 2, 2)  # a linear classifier commutes with the mean
        assert relative_error(everywhere.mean((2, 3)), pooled(check.photos(64))) < TOLERANCE


def test_drop_path_rates_equal_timms():
    mine, theirs = pair("resnetv2_50", (2, 2, 2, 2), drop_path_rate=0.3)
    assert drop_path_rates(mine) == pytest.approx(drop_path_rates(theirs))
    assert max(drop_path_rates(mine).values()) == pytest.approx(0.3)


@pytest.mark.parametrize(("options", "message"), [
    ({"norm": "layer"}, "Unknown norm 'layer'. Known: batch"), ({"stem": "flat"}, "Unknown stem 'flat'"),
    ({"output_stride": 4}, "output_stride is 4"), ({"num_classes": -1}, "num_classes is -1"),
], ids=str)
def test_impossible_options_are_refused_with_a_sentence(options, message):
    with pytest.raises(ValueError, match=message):
        ours.create_model("resnetv2_18", **options)


# --- the layers -------------------------------------------------------------------------------------------


def test_standardised_filters_have_mean_0_and_variance_1_whatever_is_stored():
    conv = StdConv2d(3, 4, 3, padding=1)
    with torch.no_grad():
        conv.weight.mul_(7).add_(2)
        filters = conv.standardised_weight().flatten(1)
        assert filters.mean(1).abs().max() < 1e-6
        assert (filters.var(1, correction=0) - 1).abs().max() < 1e-3
        x = check.photos(8)
        assert torch.equal(conv(x), F.conv2d(x, filters.reshape(4, 3, 3, 3), padding=1))


def test_standardised_filters_do_not_care_how_large_the_stored_ones_are():
    conv = StdConv2d(3, 4, 3, eps=0.0)
    x = check.photos(8)
    with torch.no_grad():
        before = conv(x)
        conv.weight.mul_(10)
        assert relative_error(conv(x), before) < TOLERANCE


def test_filter_response_norm_gives_channels_of_power_1_above_the_threshold():
    norm = FilterResponseNormTlu2d(3, eps=0.0)
    with torch.no_grad():
        norm.tau.fill_(-torch.inf)
        assert (norm(5 * check.photos(16) + 3).square().mean((2, 3)) - 1).abs().max() < 1e-5
        norm.tau.copy_(torch.tensor([-1.0, 0.0, 1.0]))
        assert norm(check.photos(16)).amin((0, 2, 3)).tolist() == [-1.0, 0.0, 1.0]


def test_group_norm_with_its_activation_is_group_norm_then_relu():
    norm = GroupNormAct(8, num_groups=4)
    x = torch.randn(2, 8, 5, 5, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert relative_error(norm(x), F.group_norm(x, 4).relu()) < TOLERANCE
        alone = GroupNormAct(8, num_groups=4, apply_act=False)
        assert relative_error(alone(x), F.group_norm(x, 4)) < TOLERANCE


@pytest.mark.parametrize(("mine", "theirs"), [
    (lambda: FilterResponseNormTlu2d(8), lambda: timm.layers.FilterResponseNormTlu2d(8)),
    (lambda: GroupNormAct(8, num_groups=2), lambda: timm.layers.GroupNormAct(8, num_groups=2)),
    (lambda: StdConv2d(8, 4, 3, padding=1), lambda: timm.layers.StdConv2d(8, 4, 3, padding=1)),
], ids=["frn", "group", "std_conv"])
def test_each_layer_gives_timms_numbers(mine, theirs):
    mine, theirs = mine(), theirs()
    same_weights(mine, theirs)
    x = torch.randn(2, 8, 7, 7, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        assert relative_error(mine(x), theirs(x)) < TOLERANCE
