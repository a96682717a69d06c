"""EfficientNets with a part exchanged, pruned ones, and those with conditional convolutions, against timm."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import explorer.models as ours
from explorer.models.backbones.condconv import CondConv2d
from explorer.models.backbones.efficientnet_pruned import Kept, pruned
from explorer.models.backbones.efficientnet_relatives import FoldedSeparable
from explorer.models.layers import GlobalContext
from tests.models.oracle import TOLERANCE, drop_path_rates, randomise, relative_error, without_initialisation

timm = pytest.importorskip("timm")


FEW = ["efficientnet_b0_gn", "gc_efficientnetv2_rw_t", "efficientnet_x_b3", "efficientnet_b1_pruned",
       "efficientnet_cc_b0_4e"]  # one of each kind


def pair(name, **options):
    with without_initialisation():
        return ours.create_model(name, **options), timm.create_model(name, **options)


# --- against timm -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FEW)
def test_branches_are_dropped_as_often_as_timms(name):
    with torch.device("meta"):
        mine, theirs = pair(name, drop_path_rate=0.3)
    shortcuts = {path for path, module in mine.named_modules() if getattr(module, "has_shortcut", False)}
    wanted = {path: rate for path, rate in drop_path_rates(theirs).items()
              if path.removesuffix(".drop_path") in shortcuts}
    assert wanted and drop_path_rates(mine) == pytest.approx(wanted)


# --- parts --------------------------------------------------------------------------------------------------


def test_each_photo_is_answered_by_filters_of_its_own():
    layer, x = CondConv2d(4, 6, 3, experts=2), torch.randn(1, 4, 5, 5)
    routing = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.25, 0.5]])
    with torch.no_grad():
        first, second, mixed = layer(x.expand(3, -1, -1, -1), routing)
        plain = nn.functional.conv2d(x, layer.weight[0].view(6, 4, 3, 3), padding=1)[0]
    assert relative_error(first, plain) < TOLERANCE
    assert relative_error(mixed, 0.25 * first + 0.5 * second) < TOLERANCE  # mixing filters mixes answers


def test_depthwise_and_strided_mixtures_equal_the_plain_convolution():
    layer, x = CondConv2d(4, 4, 3, experts=1, stride=2, groups=4, padding="same"), torch.randn(2, 4, 6, 7)
    with torch.no_grad():
        plain = nn.functional.conv2d(nn.functional.pad(x, (1, 1, 0, 1)), layer.weight.view(4, 1, 3, 3),
                                     stride=2, groups=4)
        assert relative_error(layer(x, torch.ones(2, 1)), plain) < TOLERANCE


def test_folding_needs_a_stride_of_two():
    with pytest.raises(ValueError, match="stride is 1: folding 2 x 2 pixels halves the map, so use 2"):
        FoldedSeparable(4, 8, stride=1, norm=nn.BatchNorm2d, attend=lambda *_: nn.Identity())


def test_global_context_with_scale_weighs_each_channel_alike_at_every_place():
    layer, x = GlobalContext(8, 4, scale=True), torch.rand(2, 8, 5, 3) + 1
    randomise(layer)
    with torch.no_grad():
        weights = layer(x) / x
    assert torch.allclose(weights, weights[..., :1, :1].expand_as(weights), atol=1e-6)
    assert weights.min() > 0 and weights.max() < 1 and weights.std() > 0.01


def test_widths_for_another_number_of_blocks_are_refused():
    with pytest.raises(ValueError, match="A stage of 2 blocks needs as many widths in kept, not 1"):
        pruned((Kept(12, (48,)),) * 6, width=1.0, depth=1.0)


def test_channels_come_in_steps_of_the_divisor():
    with torch.device("meta"):
        model = ours.create_model("efficientnet_b3_gn")
    assert [stage.channels % 16 for stage in model.stage_table] == [0] * 5
