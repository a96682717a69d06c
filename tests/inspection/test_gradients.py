"""Heat maps of pixels are captum's, leave the model alone and can be stopped."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from explorer.inspection.attribution.explaining import explain
from explorer.inspection.look.looking import look
from explorer.inspection.look.passes import Stopped
from tests.inspection.small_models import noise_photo, tiny
from tests.models.oracle import relative_error

captum = pytest.importorskip("captum.attr")
PHOTO = noise_photo()
TARGET = 2


@pytest.fixture(scope="module", params=["resnet", "vit"])
def model(request):
    return tiny(request.param)


def x_of(model) -> torch.Tensor:
    return look(model, PHOTO).input[None].clone().requires_grad_()


def test_saliency_is_captums(model):
    found = explain(model, PHOTO, method="saliency", target=TARGET)
    wanted = captum.Saliency(model).attribute(x_of(model), target=TARGET, abs=False)[0]
    assert found.raw.shape == (3, 64, 64) and relative_error(found.raw, wanted) < 1e-5


def test_input_times_gradient_is_captums(model):
    found = explain(model, PHOTO, method="input_x_gradient", target=TARGET)
    wanted = captum.InputXGradient(model).attribute(x_of(model), target=TARGET)[0]
    assert relative_error(found.raw, wanted.detach()) < 1e-5


def test_integrated_gradients_are_captums_and_tell_what_is_missing(model):
    found = explain(
        model, PHOTO, method="integrated_gradients", target=TARGET, steps=12, baseline="grey", batch_size=5
    )
    x = x_of(model)
    wanted, delta = captum.IntegratedGradients(model).attribute(
        x, torch.zeros_like(x), TARGET, n_steps=12, return_convergence_delta=True)
    assert relative_error(found.raw, wanted[0].detach().float()) < 1e-4
    with torch.no_grad():
        rise = float((model(x) - model(torch.zeros_like(x)))[0, TARGET])
    assert found.details["sum"] - found.details["delta"] == pytest.approx(rise, abs=1e-4)
    assert found.details["delta"] == pytest.approx(float(delta), abs=1e-4)
    assert "Completeness" in found.notes[0]
    assert found.passes == 12 + 2


def test_the_baseline_is_a_colour_of_the_photo():
    model = tiny("resnet")
    black = explain(model, PHOTO, method="integrated_gradients", target=TARGET, steps=3, baseline="black")
    mean, std = (torch.tensor(model.config.as_timm()[key])[:, None, None] for key in ("mean", "std"))
    wanted = captum.IntegratedGradients(model).attribute(
        x_of(model), ((0 - mean) / std).expand(1, 3, 64, 64), TARGET, n_steps=3)
    assert relative_error(black.raw, wanted[0].detach().float()) < 1e-4
    with pytest.raises(ValueError, match="Unknown fill 'pink': expected 'grey', 'black', 'white'"):
        explain(model, PHOTO, method="integrated_gradients", baseline="pink")


def test_smoothgrad_is_captums_noise_tunnel(model):
    found = explain(
        model, PHOTO, method="smoothgrad", target=TARGET, samples=6, batch_size=6, seed=5, noise=0.1
    )
    x = x_of(model)
    with torch.random.fork_rng():
        torch.manual_seed(5)
        wanted = captum.NoiseTunnel(captum.Saliency(model)).attribute(
            x, nt_samples=6, stdevs=0.1 * float(x.detach().max() - x.detach().min()), target=TARGET, abs=False
        )[0]
    assert relative_error(found.raw, wanted.detach()) < 1e-4 and found.passes == 6


def test_gradient_shap_is_captums():
    model = tiny("resnet")
    found = explain(
        model, PHOTO, method="gradient_shap", target=TARGET, samples=7, batch_size=7, seed=3, baseline="grey"
    )
    x = x_of(model)
    with torch.random.fork_rng():
        torch.manual_seed(3)
        np.random.seed(3)  # captum draws from both
        wanted = captum.GradientShap(model).attribute(
            x,
            torch.zeros_like(x),
            n_samples=7,
            stdevs=0.09 * float(x.detach().max() - x.detach().min()),
            target=TARGET,
        )[0]
    assert relative_error(found.raw, wanted.detach()) < 1e-4


def test_random_numbers_come_from_the_seed_and_torchs_own_are_left_alone():
    model, state, numpys = tiny("resnet"), torch.get_rng_state(), np.random.get_state()[1].copy()
    one, same, other = (explain(model, PHOTO, method="smoothgrad", target=TARGET, samples=2, seed=seed).raw
                        for seed in (1, 1, 2))
    assert torch.equal(one, same) and not torch.equal(one, other)
    explain(model, PHOTO, method="gradient_shap", target=TARGET, samples=2)
    assert torch.equal(torch.get_rng_state(), state) and np.array_equal(np.random.get_state()[1], numpys)


@pytest.mark.parametrize("inplace", [True, False])
def test_guided_backpropagation_is_captums_though_a_relu_works_in_place(inplace):
    model = tiny("resnet")
    relus = [part for part in model.modules() if isinstance(part, nn.ReLU)]
    for relu in relus:
        relu.inplace = False
    wanted = captum.GuidedBackprop(model).attribute(x_of(model), target=TARGET)[0]
    for relu in relus:
        relu.inplace = inplace
    found = explain(model, PHOTO, method="guided_backprop", target=TARGET)
    assert relus and relative_error(found.raw, wanted.detach()) < 1e-5
    assert [relu.inplace for relu in relus] == [inplace] * len(relus)
    assert not any(part._forward_hooks for part in model.modules())


def test_a_network_without_relu_is_told_what_else_there_is():
    with pytest.raises(ValueError, match='has no ReLU layers.*Use method="saliency"'):
        explain(tiny("vit"), PHOTO, method="guided_backprop", target=TARGET)


@pytest.mark.parametrize("method", ["smoothgrad", "integrated_gradients", "gradient_shap"])
def test_methods_of_many_passes_tell_how_far_they_are_and_can_be_stopped(method):
    model, steps = tiny("resnet"), []
    explain(
        model, PHOTO, method=method, target=TARGET, batch_size=4, on_progress=lambda *step: steps.append(step)
    )
    total = steps[-1][1]
    assert steps[0] == (0, total) and steps[-1] == (total, total)
    assert [s[0] for s in steps] == sorted(s[0] for s in steps)
    with pytest.raises(Stopped, match="before the heat map was complete"):
        explain(model, PHOTO, method=method, target=TARGET, should_stop=lambda: True)


@pytest.mark.parametrize(("method", "option"), [("smoothgrad", "samples"), ("integrated_gradients", "steps"),
                                                ("gradient_shap", "batch_size")])
@pytest.mark.parametrize("wrong", [0, 2.5, True])
def test_a_count_that_is_none_is_refused(method, option, wrong):
    with pytest.raises(ValueError, match=f"{option} is {wrong}: expected a whole number from 1"):
        explain(tiny("resnet"), PHOTO, method=method, **{option: wrong})


@pytest.mark.parametrize("wrong", [-0.1, float("nan"), "much"])
def test_a_noise_that_is_none_is_refused(wrong):
    with pytest.raises(ValueError, match="noise is .*: expected a share"):
        explain(tiny("resnet"), PHOTO, method="smoothgrad", noise=wrong)
