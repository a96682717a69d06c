"""Networks without normalisation against timm."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import explorer.models as ours
from explorer.models.backbones.nfnet import GAMMA, NFNet, ScaledStdConv2d
from explorer.models.layers.activations import create_act
from tests.models import family_checks as check
from tests.models.oracle import drop_path_rates, without_initialisation

timm = pytest.importorskip("timm")

# A small network with each stem, attention and activation.
SMALL = {
    "deep": dict(depths=(1, 2, 1, 1), channels=(32, 48, 64, 64), stem_chans=16, num_features=40, ratio=0.5,
                 group_size=8, gamma_in_act=True, skipinit=True, extra_conv=True, same=True),
    "7x7": dict(depths=(1, 1, 2, 1), channels=(32, 48, 64, 64), stem="7x7", stem_chans=16, num_features=0,
                attn="eca", act_layer="relu"),
    "3x3": dict(depths=(2, 1, 1, 1), channels=(16, 24, 32, 40), stem="3x3", stem_chans=16, num_features=48,
                ratio=2.25, from_input=True, group_size=8, act_layer="silu"),
}


def pair(name, **options):
    with without_initialisation():
        return ours.create_model(name, **options), timm.create_model(name, **options)


@pytest.fixture(params=SMALL)
def small(request):
    return NFNet(num_classes=2, **SMALL[request.param])


# --- against timm -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [
    "nf_regnet_b3", "nf_ecaresnet101", "nfnet_f2", "dm_nfnet_f2", "eca_nfnet_l2",
])
def test_predicted_deviations_and_factors_equal_timms(name):
    with torch.device("meta"):
        mine, theirs = pair(name)
    scales = [module.scale for module in mine.modules() if isinstance(module, ScaledStdConv2d)]
    assert scales == pytest.approx([m.scale for m in theirs.modules()
                                    if type(m).__name__.startswith("ScaledStdConv")])
    for own, other in zip(mine.stages, theirs.stages, strict=True):
        assert [block.beta for block in own] == pytest.approx([block.beta for block in other])


def test_branches_are_dropped_as_often_as_timms():
    with torch.device("meta"):
        mine, theirs = pair("nf_regnet_b1", drop_path_rate=0.3)
    assert drop_path_rates(mine) == pytest.approx(drop_path_rates(theirs))


# --- parts --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", GAMMA)
def test_the_factor_makes_good_what_the_activation_takes_away(name):
    x = torch.randn(1_000_000, generator=torch.Generator().manual_seed(0))
    assert float((create_act(name)(x) * GAMMA[name]).std()) == pytest.approx(1, abs=0.01)


def test_filters_have_mean_zero_and_keep_a_signals_deviation():
    layer = ScaledStdConv2d(64, 128, 3)
    nn.init.normal_(layer.weight, mean=0.3, std=5)
    nn.init.zeros_(layer.bias)
    with torch.no_grad():
        assert layer.standardised_weight().mean((1, 2, 3)).abs().max() < 1e-5
        y = layer(torch.randn(2, 64, 32, 32))[..., 1:-1, 1:-1]  # the padding's zeros say nothing
    assert float(y.std()) == pytest.approx(1, abs=0.03)


def test_the_signal_grows_from_block_to_block_as_predicted():
    torch.manual_seed(0)
    model = NFNet(depths=(1, 4, 1, 1), channels=(128, 128, 128, 128), stem="7x7", stem_chans=128,
                  num_features=0, attn="", act_layer="relu", ratio=1.0)
    for block in (block for stage in model.stages for block in stage):
        nn.init.ones_(block.conv3.gain)  # awake, as after training
    read = []

    def read_deviation(block, inputs) -> None:
        read.append(float(inputs[0].std()) * block.beta)

    for block in model.stages[1][1:]:
        block.register_forward_pre_hook(read_deviation)
    with torch.no_grad():
        model.eval()(check.photos(128))
    same = [read[0]] * 3  # the max pool in front makes it larger by a constant
    assert read == pytest.approx(same, rel=0.02)
    betas = [block.beta for block in model.stages[1][1:]]
    assert betas == pytest.approx([1.04**-0.5, 1.08**-0.5, 1.12**-0.5])


# --- as a family --------------------------------------------------------------------------------------------


def test_every_parameter_gets_a_gradient(small):
    check.check_gradients(small, 64)


def test_a_new_network_passes_its_input_on(small):
    small.eval()
    block = small.stages[1][-1]
    x = torch.randn(2, block.conv1.in_channels, 4, 4)
    if block.downsample is None:
        assert torch.equal(block(x), x)
    else:
        assert torch.equal(block(x), block.downsample(block.act1(x) * block.beta))


def test_it_compiles_without_a_graph_break():
    check.check_compiles(NFNet(num_classes=2, **SMALL["deep"]), 64)


def test_a_new_classifier_keeps_its_place(small):
    small.reset_classifier(5, "max")
    small.to(torch.float64).reset_classifier(3)
    assert small.get_classifier().weight.dtype == torch.float64 and small.head.global_pool.pool_type == "max"
    small.to("meta").reset_classifier(4)
    assert small.get_classifier().weight.is_meta and small.num_classes == 4


@pytest.mark.parametrize(("options", "words"), [
    ({"output_stride": 4}, "NFNets offer 8, 16 and 32"),
    ({"act_layer": "mish"}, "The factor for 'mish' is unknown"),
    ({"attn": "cbam"}, "Unknown channel attention 'cbam'"), ({"stem": "flat"}, 'Use "deep", "7x7" or "3x3"'),
])
def test_unknown_options_are_refused(options, words):
    with pytest.raises(ValueError, match=words):
        ours.create_model("nf_regnet_b0", **options)
