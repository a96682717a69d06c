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
from tests.models import family_checks as check
from tests.models.oracle import (
    TOLERANCE,
    check_gradients_equal,
    check_numbers,
    check_same_start,
    drop_path_rates,
    randomise,
    relative_error,
    without_initialisation,
)

timm = pytest.importorskip("timm")

PATHS = [
    ("efficientnet_b0_gn", 64, {}),
    ("efficientnet_b0_g8_gn", 65, {}),     # filters that see groups
    ("efficientnet_b0_g16_evos", 64, {}),  # ... with BatchNorm
    ("efficientnet_b3_gn", 32, {}),        # channels in steps of 16
    ("efficientnet_blur_b0", 65, {}), ("efficientnet_blur_b0", 64, {"output_stride": 8}),
    ("gc_efficientnetv2_rw_t", 65, {}),
    ("efficientnet_x_b3", 64, {}), ("efficientnet_x_b3", 65, {}), ("efficientnet_x_b3", 64, {"output_stride": 8}),
    ("efficientnet_h_b5", 32, {}),
    ("efficientnet_b1_pruned", 65, {}), ("efficientnet_b1_pruned", 64, {"output_stride": 8}),
    ("efficientnet_b3_pruned", 32, {"global_pool": "max"}),
    ("efficientnet_cc_b0_4e", 65, {}),
    ("tf_efficientnet_cc_b0_4e", 65, {}), ("tf_efficientnet_cc_b0_4e", 64, {"output_stride": 8}),
]

NAMES = [
    "efficientnet_b0_gn", "efficientnet_b0_g8_gn", "efficientnet_b0_g16_evos", "efficientnet_b3_gn",
    "efficientnet_b3_g8_gn", "efficientnet_blur_b0", "gc_efficientnetv2_rw_t", "efficientnet_x_b3",
    "efficientnet_x_b5", "efficientnet_h_b5", "efficientnet_b1_pruned", "efficientnet_b2_pruned", "efficientnet_b3_pruned",
    "efficientnet_es_pruned", "efficientnet_el_pruned", "efficientnet_l2", "tf_efficientnet_l2",
    "tf_efficientnet_cc_b0_8e", "tf_efficientnet_cc_b1_8e",
]

FEW = ["efficientnet_b0_gn", "gc_efficientnetv2_rw_t", "efficientnet_x_b3", "efficientnet_b1_pruned",
       "efficientnet_cc_b0_4e"]  # one of each kind


def pair(name, **options):
    with without_initialisation():
        return ours.create_model(name, **options), timm.create_model(name, **options)


# --- against timm ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "size", "options"), PATHS, ids=lambda value: str(value).replace(" ", ""))
def test_numbers_equal_timms(name, size, options):
    check_numbers(*pair(name, **options), size)


@pytest.mark.parametrize("name", NAMES)
def test_settings_that_no_shape_shows_equal_timms(name):
    check.check_settings(name, timm)


@pytest.mark.parametrize("in_chans", [1, 4])
@pytest.mark.parametrize("name", ["efficientnet_x_b3", "tf_efficientnet_cc_b0_4e"])
def test_numbers_equal_timms_with_other_channels(name, in_chans):
    check.check_other_channels(*pair(name, in_chans=in_chans), 32)


@pytest.mark.parametrize("name", ["gc_efficientnetv2_rw_t", "efficientnet_x_b3", "efficientnet_cc_b0_4e"])
def test_gradients_and_statistics_equal_timms(name):
    check_gradients_equal(*pair(name, num_classes=3), 64)


@pytest.mark.parametrize("name", ["efficientnet_b0_gn", "gc_efficientnetv2_rw_t", "efficientnet_x_b3",
                                  "efficientnet_cc_b0_4e"])
def test_new_networks_start_as_timms_do(name):
    torch.manual_seed(0)
    check_same_start(ours.create_model(name), timm.create_model(name))


@pytest.mark.parametrize("name", FEW)
def test_branches_are_dropped_as_often_as_timms(name):
    with torch.device("meta"):
        mine, theirs = pair(name, drop_path_rate=0.3)
    shortcuts = {path for path, module in mine.named_modules() if getattr(module, "has_shortcut", False)}
    wanted = {path: rate for path, rate in drop_path_rates(theirs).items()
              if path.removesuffix(".drop_path") in shortcuts}
    assert wanted and drop_path_rates(mine) == pytest.approx(wanted)


# --- parts ----------------------------------------------------------------------------------------------------


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
        plain = nn.functional.conv2d(nn.functional.pad(x, (1, 1, 0, 1)), layer.weight.view(4, 1, 3, 3), stride=2,
                                     groups=4)
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
    assert 0 < weights.min() and weights.max() < 1 and weights.std() > 0.01


def test_widths_for_another_number_of_blocks_are_refused():
    with pytest.raises(ValueError, match="A stage of 2 blocks needs as many widths in kept, not 1"):
        pruned((Kept(12, (48,)),) * 6, width=1.0, depth=1.0)


def test_channels_come_in_steps_of_the_divisor():
    with torch.device("meta"):
        model = ours.create_model("efficientnet_b3_gn")
    assert [stage.channels % 16 for stage in model.stage_table] == [0] * 5


# --- as a family ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FEW)
def test_a_gradient_reaches_every_parameter(name):
    check.check_gradients(pair(name, num_classes=2)[0], 64)


@pytest.mark.parametrize("name", FEW)
def test_a_new_network_can_start_to_learn(name):
    check.check_fresh(ours.create_model(name), 64)


def test_it_compiles_as_one_graph():
    check.check_compiles(pair("tf_efficientnet_cc_b0_4e")[0], 32)


@pytest.mark.parametrize("name", ["efficientnet_b1_pruned", "efficientnet_cc_b0_4e", "efficientnet_b0_gn"])
def test_a_saved_model_comes_back_whole(name, tmp_path):
    check.check_loads(name, 32, tmp_path)


@pytest.mark.parametrize("name", FEW)
def test_maps_are_as_the_table_promises(name):
    check.check_features(name, 64)


def test_a_new_classifier_keeps_dtype_device_and_pooling():
    check.check_new_classifier_keeps_its_place(pair("efficientnet_b1_pruned", global_pool="max")[0])
