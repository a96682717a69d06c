"""Class activation maps: where in a stage's map is what speaks for a class?

Each channel of a deep map has learnt to answer to something: an ear, a wheel. A class activation map adds the
channels up, each with a weight that says how much it matters for the class. The methods differ in that weight
alone:

    Grad-CAM    the mean gradient of the class's score over the channel's places
    Grad-CAM++  the positive gradients, places where little else is active counting more
    Layer-CAM   each place its own gradient, where that is positive
    Score-CAM   no gradient: the score of the photo when only the channel's places can be seen

All take a map A [C, h, w] and a gradient of the same shape, and give [h, w], not yet cut off below zero.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from explorer.inspection.look.passes import Passes, Stopped


def grad_cam(maps: Tensor, gradient: Tensor) -> Tensor:
    """Selvaraju et al., Grad-CAM (ICCV 2017), section 3, before the ReLU."""
    weights = gradient.mean((1, 2))  # [C]
    return torch.einsum("c,chw->hw", weights, maps)


def grad_cam_plus_plus(maps: Tensor, gradient: Tensor) -> Tensor:
    """Chattopadhyay et al., Grad-CAM++ (WACV 2018), equations 10 and 19, before the last ReLU."""
    second, third = gradient**2, gradient**3
    total = maps.sum((1, 2), keepdim=True)  # of each channel
    below = 2 * second + total * third
    shares = torch.where(gradient != 0, second / (below + 1e-6), 0)
    weights = (shares * gradient.relu()).sum((1, 2))  # [C]
    return torch.einsum("c,chw->hw", weights, maps)


def layer_cam(maps: Tensor, gradient: Tensor) -> Tensor:
    """Jiang et al., LayerCAM (TIP 2021), equations 6 and 7, before the last ReLU."""
    return (gradient.relu() * maps).sum(0)


def score_cam(
    passes: Passes, photo: Tensor, maps: Tensor, target: int, *, channels: int | None = None,
    batch_size: int = 16, unit: float = 1.0,
) -> tuple[Tensor, list[str]]:
    """Wang et al., Score-CAM (CVPRW 2020), before the ReLU, with sentences on what is left out.

    photo:    the network's input [C, H, W];  maps: of the stage, [channels, h, w]
    channels: only so many, those whose values spread most; None: all
    unit:     what a score is measured in: a number's own step, so that pounds and kilograms give one map

    One pass a channel: the photo, darkened where the channel is silent. Its score, in a softmax over all
    channels, is the channel's weight. When asked to stop it answers with the channels that are done. Raises
    Stopped where none is.
    """
    spread = maps.amax((1, 2)) - maps.amin((1, 2))  # [channels]
    order = spread.argsort(descending=True, stable=True)[:channels]
    passes.expect(len(order))
    scores: list[Tensor] = []
    for chosen in order.split(batch_size):
        if passes.stopped:
            break
        masks = maps[chosen][:, None]
        masks = F.interpolate(masks, photo.shape[-2:], mode="bilinear", align_corners=False)  # [B, 1, H, W]
        lowest, highest = masks.amin((2, 3), keepdim=True), masks.amax((2, 3), keepdim=True)
        masks = (masks - lowest) / (highest - lowest).clamp_min(1e-8)  # 0..1, once it is as fine as the photo
        scores.append(passes.logits(masks * photo)[:, target])
    if not scores:
        raise Stopped("Stopped before the first channel was done: there is no heat map yet.")
    weights = (torch.cat(scores) / unit).softmax(0)
    done = order[:len(weights)]
    notes = []
    if len(done) < len(maps):
        why = "Stopped early" if len(done) < len(order) else "As asked for"
        notes.append(f"{why}: the {len(done)} channels whose values spread most, of {len(maps)}, "
                     "are in this map.")
    return torch.einsum("c,chw->hw", weights, maps[done]), notes
