"""Heat maps of single pixels, from gradients: if this pixel changed a little, how would the score change?

All give raw [C, H, W], signed, over the network's input. captum does the sums over many passes (integrated
gradients, SmoothGrad, GradientSHAP); the plain gradient and guided backpropagation are a few lines here.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from explorer.inspection.look.model import model_name
from explorer.inspection.look.passes import Passes
from explorer.models.watching import Turn, watching

#: What stands for "nothing there": a colour of the photo, 0..1, or None for the mean of the training photos.
FILLS: dict[str, float | None] = {"grey": None, "black": 0.0, "white": 1.0}
RECTIFIERS = (nn.ReLU, nn.ReLU6)


def empty_photo(photo: Tensor, fill: str, config: dict[str, Any]) -> Tensor:
    """An input [C, H, W] of one colour, normalised by `config`; "grey" is zero, the training photos' mean."""
    if fill not in FILLS:
        raise ValueError(f"Unknown fill {fill!r}: expected {', '.join(map(repr, FILLS))}.")
    value = FILLS[fill]
    if value is None:
        return torch.zeros_like(photo)
    mean, std = (torch.tensor(config[key], dtype=torch.float32)[:, None, None] for key in ("mean", "std"))
    return ((value - mean) / std).expand_as(photo).clone()


def saliency(passes: Passes, photo: Tensor, target: int) -> Tensor:
    """d score / d input. Simonyan et al., Deep Inside Convolutional Networks (2013)."""
    with torch.inference_mode(False), torch.enable_grad():
        x = photo[None].clone().requires_grad_()
        (gradient,) = torch.autograd.grad(passes.differentiable(x)[0, target], x)
    return gradient[0]


def input_x_gradient(passes: Passes, photo: Tensor, target: int) -> Tensor:
    """Gradient times input. Shrikumar et al., Not Just a Black Box (2016)."""
    return photo * saliency(passes, photo, target)


def guided_backprop(passes: Passes, photo: Tensor, target: int) -> Tensor:
    """The gradient, of which each ReLU lets only the positive part pass. Springenberg et al. (ICLR 2015).

    ReLU6 counts as ReLU. The hook sits on the tensor that a ReLU gives, so a ReLU may work in place.
    Raises ValueError for a network without ReLU.
    """
    layers = rectifiers(passes.model)
    if not layers:
        raise ValueError(
            f"{model_name(passes.model)} has no ReLU layers, which guided backpropagation "
            'is about: its activations are of another kind. Use method="saliency" or "integrated_gradients", '
            "or a network such as resnet50 or vgg16."
        )

    def keep_positive(_turn: Turn, _layer: nn.Module, _inputs: tuple, output: Any) -> None:
        if isinstance(output, Tensor) and output.requires_grad:
            output.register_hook(lambda gradient: gradient.clamp_min(0))

    with watching({str(number): layer for number, layer in enumerate(layers)}, after=keep_positive):
        return saliency(passes, photo, target)


def rectifiers(model: nn.Module) -> list[nn.Module]:
    """The ReLU layers of a network."""
    return [module for module in model.modules() if isinstance(module, RECTIFIERS)]


def smooth_grad(
    passes: Passes, photo: Tensor, target: int, *, samples: int = 25, noise: float = 0.15, seed: int = 0,
    batch_size: int = 8,
) -> Tensor:
    """The mean gradient of noisy copies of the photo. Smilkov et al., SmoothGrad (2017).

    noise: standard deviation, as a share of the range from the input's lowest to its highest value
    """
    from captum.attr import NoiseTunnel, Saliency

    check_samples(samples, noise, batch_size)
    passes.expect(samples)
    with quiet_captum(seed):
        return NoiseTunnel(Saliency(passes.differentiable)).attribute(
            photo[None].clone().requires_grad_(), nt_type="smoothgrad", nt_samples=samples,
            nt_samples_batch_size=min(batch_size, samples), stdevs=noise * float(photo.max() - photo.min()),
            target=target, abs=False,
        )[0].detach()


def integrated_gradients(
    passes: Passes, photo: Tensor, baseline: Tensor, target: int, *, steps: int = 50, batch_size: int = 8
) -> tuple[Tensor, float]:
    """Gradients summed on the way from a baseline to the photo. Sundararajan et al. (ICML 2017).

    Returns (raw, delta). All of raw together should be the score's difference between photo and baseline
    ("completeness"); delta says by how much it is not. More steps make it smaller.
    """
    from captum.attr import IntegratedGradients

    check_count("steps", steps)
    check_count("batch_size", batch_size)
    passes.expect(steps + 2)  # and the two ends, for the delta
    with quiet_captum():
        raw, delta = IntegratedGradients(passes.differentiable).attribute(
            photo[None].clone().requires_grad_(), baselines=baseline[None], target=target, n_steps=steps,
            internal_batch_size=batch_size, return_convergence_delta=True,
        )
    return raw[0].detach().float(), float(delta[0])


def gradient_shap(
    passes: Passes, photo: Tensor, baselines: Tensor, target: int, *, samples: int = 25, noise: float = 0.09,
    seed: int = 0, batch_size: int = 8,
) -> Tensor:
    """Gradients at random points between the photo, with noise, and random baselines [N, C, H, W]; their mean
    times the difference to the baseline. Lundberg and Lee (NeurIPS 2017), as GradientExplainer.

    noise: standard deviation, as a share of the input's range
    """
    from captum.attr import GradientShap

    check_samples(samples, noise, batch_size)
    passes.expect(samples)
    total, done = torch.zeros_like(photo), 0
    with quiet_captum(seed):
        while done < samples:
            count = min(batch_size, samples - done)
            total += count * GradientShap(passes.differentiable).attribute(
                photo[None].clone().requires_grad_(), baselines=baselines, target=target, n_samples=count,
                stdevs=noise * float(photo.max() - photo.min()),
            )[0].detach().float()
            done += count
    return total / samples


@contextmanager
def quiet_captum(seed: int | None = None) -> Iterator[None]:
    """captum's random numbers from `seed`, its remarks unsaid; torch's and numpy's own stay as they were."""
    drawn = np.random.get_state()
    with torch.random.fork_rng(devices=[], enabled=seed is not None), warnings.catch_warnings(), \
            torch.inference_mode(False), torch.enable_grad():
        warnings.simplefilter("ignore")
        if seed is not None:
            torch.manual_seed(seed)
            np.random.seed(seed)
        try:
            yield
        finally:
            if seed is not None:
                np.random.set_state(drawn)


def check_samples(samples: int, noise: float, batch_size: int) -> None:
    check_count("samples", samples)
    check_count("batch_size", batch_size)
    if isinstance(noise, bool) or not isinstance(noise, (int, float)) or not 0 <= noise < math.inf:
        raise ValueError(f"noise is {noise!r}: expected a share of the input's range, from 0, such as 0.15.")


def check_count(what: str, count: int) -> None:
    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        raise ValueError(f"{what} is {count!r}: expected a whole number from 1.")
