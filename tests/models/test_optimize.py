"""`optimize`: the same numbers from a faster network, of every family file."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

import explorer
from explorer.models.layers import BatchNormAct2d, Conv2dSame, ConvNormAct
from explorer.models.surgery.optimized import find_pairs
from tests.models.oracle import randomise, relative_error
from tests.models.samples import ONE_A_FILE, small

TOLERANCE = 1e-4  # relative, in float32: a few roundings, through a hundred layers
EXACT = 1e-7  # in float64


def norms(model: nn.Module) -> list[str]:
    return [path for path, m in model.named_modules() if isinstance(m, nn.BatchNorm2d)]


@pytest.mark.parametrize("module", ONE_A_FILE)
def test_an_optimized_network_gives_the_same_numbers_everywhere(module):
    model, photos = small(module)
    model.train()
    if norms(model):  # in double precision: random weights let some networks magnify every rounding
        model, photos = model.double(), photos.double()
    exact = EXACT if photos.dtype == torch.float64 else TOLERANCE
    state = {key: value.clone() for key, value in model.state_dict().items()}
    fast = explorer.optimize(model, example=photos)
    assert model.training and all(torch.equal(value, state[key]) for key, value in model.state_dict().items())
    assert not any(m.training for m in fast.modules())
    assert fast.stage_table == model.stage_table and fast.config == model.config
    with torch.no_grad():
        model.eval()
        features, maps = model.forward_intermediates(photos)
        fast_features, fast_maps = fast.forward_intermediates(photos)
        assert relative_error(fast_features, features) < exact
        assert len(maps) == len(fast_maps)
        for mine, plain in zip(fast_maps, maps):
            assert relative_error(mine, plain) < exact
        assert relative_error(fast.forward_head(fast_features, pre_logits=True),
                              model.forward_head(features, pre_logits=True)) < exact
    report = fast.optimize_report
    assert report.error < exact and report.norms_left == len(norms(fast))
    assert report.folded or report.reparameterized or len(norms(model)) == report.norms_left
    assert report.parameters == tuple(sum(p.numel() for p in m.parameters()) for m in (model, fast))


@pytest.mark.parametrize(("name", "left"), [
    ("resnet18", 0), ("tf_efficientnet_lite0", 0), ("mobilenetv3_small_100", 0), ("densenet121", 62),
])
def test_every_norm_behind_a_convolution_is_folded(name, left):
    model = explorer.create_model(name)
    randomise(model)
    fast = explorer.optimize(model, example=torch.randn(1, 3, 64, 64))
    report = fast.optimize_report
    assert (report.norms_left, report.folded) == (left, len(norms(model)) - left)
    assert f"{report.folded} BatchNorm layers folded" in str(report)


@pytest.mark.parametrize("name", ["repvgg_a0", "mobileone_s0"])
def test_branches_become_one_convolution(name):
    model = explorer.create_model(name)
    randomise(model)
    report = explorer.optimize(model, example=torch.randn(1, 3, 64, 64)).optimize_report
    assert report.reparameterized >= 20 and report.norms_left == 0
    assert report.parameters[1] < report.parameters[0]


def test_the_activation_behind_a_norm_stays_under_its_name():
    model = nn.Sequential(ConvNormAct(3, 4, 3, act_layer=nn.SiLU), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
                          nn.Linear(4, 2))
    randomise(model)
    fast = explorer.optimize(explorer.wrap(model, input_size=32))
    block = fast.module[0]
    assert isinstance(block.bn, nn.SiLU) and block.conv.bias is not None and fast.optimize_report.folded == 1


def test_maps_features_and_a_look_work_as_before():
    model = explorer.create_model("resnet10t", features_only=True, out_indices=(3, 1))
    randomise(model)
    fast, photos = explorer.optimize(model), torch.randn(1, 3, 96, 96)
    assert fast.optimize_report.folded > 0 and norms(fast) == []
    for mine, plain in zip(fast(photos), model.eval()(photos), strict=True):
        assert relative_error(mine, plain) < TOLERANCE
    model = explorer.create_model("resnet10t")
    randomise(model)
    import numpy as np

    photo = np.random.default_rng(0).integers(0, 256, (80, 100, 3), dtype=np.uint8)
    mine, plain = explorer.look(explorer.optimize(model), photo), explorer.look(model, photo)
    assert mine.stages.keys() == plain.stages.keys() and relative_error(mine.logits, plain.logits) < TOLERANCE


def test_a_convolution_that_somebody_else_reads_too_is_left_alone():
    class Forked(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.norm = nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4)
            self.shared, self.twice = nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4)
            self.last, self.last_norm = nn.Conv2d(4, 4, 2, stride=2), nn.BatchNorm2d(4)
            self.fc = nn.Linear(4, 2)

        def forward(self, x):
            x = self.conv(x)
            x = self.norm(x) + x  # read twice
            x = self.twice(self.shared(self.twice(self.shared(x))))  # run twice
            return self.fc(self.last_norm(self.last(x)).mean((2, 3)))

    model = Forked()
    randomise(model)
    wrapped = explorer.wrap(model, input_size=32)
    pairs = find_pairs(copy.deepcopy(wrapped).eval(), torch.randn(1, 3, 32, 32))
    assert pairs == [("module.last", "module.last_norm")]
    fast = explorer.optimize(wrapped)
    assert norms(fast) == ["module.norm", "module.twice"] and fast.optimize_report.error < 1e-5


def test_a_map_that_the_network_shows_is_not_changed():
    model = explorer.create_model("torchvision/resnet18")
    randomise(model)
    fast = explorer.optimize(model, example=torch.randn(1, 3, 64, 64))
    photos = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        for mine, plain in zip(fast.forward_stages(photos), model.eval().forward_stages(photos), strict=True):
            assert relative_error(mine, plain) < TOLERANCE
    assert norms(fast) == []


def test_a_convolution_that_normalises_its_weights_is_left_alone():
    class Standardised(nn.Conv2d):
        def forward(self, x):
            weight = self.weight - self.weight.mean((1, 2, 3), keepdim=True)
            return nn.functional.conv2d(x, weight, self.bias)

    model = nn.Sequential(Standardised(3, 4, 3), nn.BatchNorm2d(4), Conv2dSame(4, 4, 3, stride=2),
                          BatchNormAct2d(4), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
    randomise(model)
    fast = explorer.optimize(explorer.wrap(model, input_size=32))
    assert norms(fast) == ["module.1"] and isinstance(fast.module[3], nn.ReLU)


def test_a_copy_that_would_answer_otherwise_is_never_given_out(monkeypatch):
    import explorer.models.surgery.optimized as optimizing

    monkeypatch.setattr(optimizing, "fold_batch_norm", lambda weight, norm, bias: (2 * weight, norm.bias))
    model = explorer.create_model("resnet10t")
    randomise(model)
    with pytest.raises(RuntimeError, match="The optimized resnet10t.* does not give the original's scores"):
        explorer.optimize(model, example=torch.randn(1, 3, 64, 64))


def test_optimizing_twice_changes_nothing_more():
    model = explorer.create_model("resnet10t")
    randomise(model)
    once = explorer.optimize(model, example=torch.randn(1, 3, 64, 64), channels_last=False)
    twice = explorer.optimize(once, example=torch.randn(1, 3, 64, 64))
    assert twice.optimize_report.folded == 0 and not once.optimize_report.channels_last
    assert once.conv1[0].weight.is_contiguous() and twice.optimize_report.channels_last


def test_frozen_layers_stay_frozen_and_half_precision_is_kept():
    model = explorer.create_model("resnet10t", dtype=torch.bfloat16)
    randomise(model)
    model.freeze("layer1")
    fast = explorer.optimize(model, example=torch.randn(1, 3, 64, 64, dtype=torch.bfloat16))
    assert not fast.layer1[0].conv1.bias.requires_grad and fast.layer2[0].conv1.bias.requires_grad
    assert {p.dtype for p in fast.parameters()} == {torch.bfloat16}


def test_a_plain_module_is_told_to_be_wrapped():
    with pytest.raises(TypeError, match=r"explorer.wrap\(module\)"):
        explorer.optimize(nn.Linear(2, 2))
