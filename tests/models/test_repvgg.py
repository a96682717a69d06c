"""RepVGG and MobileOne against timm, and their branches folded into one convolution."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import explorer.models as ours
from explorer.models.backbones.mobileone import MobileOne, MobileOneBlock
from explorer.models.backbones.repvgg import RepVGG, RepVggBlock
from explorer.models.layers import reparam
from tests.models import family_checks as check
from tests.models.oracle import (
    drop_path_rates,
    randomise,
    relative_error,
    same_weights,
    without_initialisation,
)

timm = pytest.importorskip("timm")

# The published networks with groups or channel attention are large: single blocks of theirs.
BLOCKS = [("repvgg_b1g4", "stages.0.1"), ("repvgg_b1g4", "stages.0.2"), ("repvgg_d2se", "stem"),
          ("repvgg_d2se", "stages.0.1"), ("repvgg_d2se", "stages.1.0"), ("mobileone_s4", "stages.2.18"),
          ("mobileone_s4", "stages.2.19"), ("mobileone_s4", "stages.3.0")]
# Small networks with all of it.
SMALL = {
    "repvgg": (RepVGG, dict(depths=(1, 3, 1, 1), width=0.25, last_width=0.25, groups=4, se=True)),
    "mobileone": (MobileOne, dict(depths=(1, 2, 1, 1), widths=(16, 32, 32, 48), copies=3, se=(0, 1, 0, 1))),
}


def pair(name, **options):
    with without_initialisation():
        return ours.create_model(name, **options), timm.create_model(name, **options)


@pytest.fixture(params=SMALL)
def small(request):
    kind, options = SMALL[request.param]
    return kind(num_classes=5, **options)


def outputs(model, x):
    with torch.no_grad():
        return [model(x), model.forward_features(x), *model.forward_intermediates(x, intermediates_only=True)]


# --- against timm -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "block"), BLOCKS)
def test_blocks_of_large_networks_equal_timms(name, block):
    with torch.device("meta"):
        models = pair(name)
    mine, theirs = (model.get_submodule(block).to_empty(device="cpu") for model in models)
    same_weights(mine, theirs)
    conv = next(part for part in mine.modules() if isinstance(part, nn.Conv2d))
    x = torch.randn(2, conv.in_channels, 6, 6, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        assert relative_error(mine(x), theirs(x)) < 1e-5


@pytest.mark.parametrize("name", ["repvgg_a0", "mobileone_s0"])
def test_dropped_branches_equal_timms(name):
    with torch.device("meta"):
        mine, theirs = pair(name, drop_path_rate=0.3)
    assert drop_path_rates(mine) == pytest.approx(drop_path_rates(theirs))


# --- folding ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["repvgg_a0", "mobileone_s0"])
def test_a_folded_network_is_timms_folded_network(name):
    mine, theirs = pair(name)
    same_weights(mine, theirs)
    mine.reparameterize()
    theirs = timm.utils.reparameterize_model(theirs)
    assert list(mine.state_dict()) == list(theirs.state_dict())
    for (key, own), other in zip(mine.state_dict().items(), theirs.state_dict().values()):
        assert relative_error(own, other) < 1e-5, key
    assert check.settings(mine) == check.settings(theirs)


@pytest.mark.parametrize("size", [32, 45])
def test_a_folded_network_gives_the_same_answers(small, size):
    randomise(small)
    small.eval()
    x = check.photos(size)
    before = outputs(small, x)
    small.reparameterize()
    for now, then in zip(outputs(small, x), before, strict=True):
        assert relative_error(now, then) < 1e-4
    assert not any(isinstance(part, nn.BatchNorm2d) for part in small.modules())


def test_a_folded_network_with_dilation_gives_the_same_answers():
    model = ours.create_model("repvgg_a0", output_stride=8, num_classes=3)
    randomise(model)
    model.eval()
    x = check.photos(40)
    before = outputs(model, x)
    model.reparameterize()
    for now, then in zip(outputs(model, x), before, strict=True):
        assert relative_error(now, then) < 1e-4


def test_folding_twice_changes_nothing(small):
    small.reparameterize()
    state = copy.deepcopy(small.state_dict())
    small.reparameterize()
    assert list(small.state_dict()) == list(state)
    assert all(torch.equal(now, state[key]) for key, now in small.state_dict().items())


def test_a_file_of_a_folded_network_loads_after_folding(small):
    kind, options = SMALL["repvgg" if isinstance(small, RepVGG) else "mobileone"]
    randomise(small)
    small.eval().reparameterize()
    fresh = kind(num_classes=5, **options).eval()
    fresh.reparameterize()
    fresh.load_state_dict(small.state_dict(), strict=True)
    assert torch.equal(fresh(check.photos(32)), small(check.photos(32)))


def test_a_folded_network_keeps_dtype_device_mode_and_what_is_frozen(small):
    small.to(torch.float64).eval().stem.requires_grad_(False)
    small.reparameterize()
    assert {p.dtype for p in small.parameters()} == {torch.float64}
    assert not any(part.training for part in small.modules())
    assert not any(p.requires_grad for p in small.stem.parameters())
    assert all(p.requires_grad for p in small.stages.parameters())


def test_networks_fold_on_meta(small):
    small.to("meta").reparameterize()
    assert all(tensor.is_meta for tensor in small.state_dict().values())


def test_a_folded_network_takes_a_new_classifier_and_compiles(small):
    small.reparameterize()
    small.reset_classifier(4)
    check.check_compiles(small, 32)


def test_features_of_a_folded_network_are_the_same():
    model = ours.create_model("repvgg_a0", features_only=True).eval()
    x = check.photos(32)
    with torch.no_grad():
        before = model(x)
        model.model.reparameterize()
        for now, then in zip(model(x), before, strict=True):
            assert relative_error(now, then) < 1e-4


def test_batch_norm_in_evaluation_is_folded_with_the_bias_in_front_of_it():
    conv, norm = nn.Conv2d(4, 6, 3, groups=2), nn.BatchNorm2d(6)
    layers = nn.Sequential(conv, norm).eval()
    randomise(layers)
    weight, bias = reparam.fold_batch_norm(conv.weight, norm, conv.bias)
    x = torch.randn(2, 4, 5, 5)
    with torch.no_grad():
        assert relative_error(F.conv2d(x, weight, bias, groups=2), layers(x)) < 1e-5


@pytest.mark.parametrize("groups", [1, 2, 6])
def test_identity_filters_copy_every_channel(groups):
    x = torch.randn(2, 6, 3, 3)
    assert torch.equal(F.conv2d(x, reparam.identity_weight(6, groups), groups=groups), x)


def test_filters_without_a_common_middle_are_refused():
    for size in (4, 1):
        with pytest.raises(ValueError, match="A 3 x 3 filter has no place in the middle"):
            reparam.pad_weight(torch.zeros(1, 1, 3, 3), size)


def test_half_precision_is_folded_without_losing_more_than_it_must():
    block = RepVggBlock(8, 8).eval()
    randomise(block)
    x = torch.randn(1, 8, 6, 6)
    with torch.no_grad():
        wanted = block(x)
        block.bfloat16().reparameterize()
        assert block.reparam_conv.weight.dtype == torch.bfloat16
        assert relative_error(block(x.bfloat16()).float(), wanted) < 0.03


# --- as a family --------------------------------------------------------------------------------------------


def test_every_parameter_gets_a_gradient(small):
    check.check_gradients(small, 64)


def test_a_folded_network_still_learns(small):
    small.reparameterize()
    small.train()(check.photos(32)).square().mean().backward()
    assert all(parameter.grad is not None for parameter in small.parameters())


def test_it_compiles_into_one_graph(small):
    check.check_compiles(small, 32)


def test_a_new_classifier_keeps_its_place(small):
    small.reset_classifier(5, "max")
    small.to(torch.float64).reset_classifier(3)
    assert small.get_classifier().weight.dtype == torch.float64 and small.head.global_pool.pool_type == "max"
    small.to("meta").reset_classifier(4)
    assert small.get_classifier().weight.is_meta


def test_mobileone_says_that_it_can_not_dilate():
    with pytest.raises(ValueError, match="mobileone_s0 can't trade stride for dilation"):
        ours.create_model("mobileone_s0", output_stride=16)


def test_repvgg_refuses_another_output_stride():
    with pytest.raises(ValueError, match="output_stride is 4: RepVGG offers 8, 16 and 32"):
        ours.create_model("repvgg_a0", output_stride=4)


def test_the_classes_are_public():
    assert (ours.RepVGG, ours.MobileOne) == (RepVGG, MobileOne)
    assert MobileOneBlock(4, 4, 3)(torch.zeros(1, 4, 5, 5)).shape == (1, 4, 5, 5)
