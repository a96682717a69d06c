"""What a network for masks strives for: cross-entropy, Dice and focal loss over the pixels that count.

    parts = mask_loss(model(batch), masks, loss="ce+dice")   # {"ce": ..., "dice": ...}
    sum(parts.values()).backward()
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

IGNORED = 255  # of a pixel that counts neither way
AUX_WEIGHT = 0.4  # of the auxiliary head: Zhao et al. 2017 (PSPNet), section 4
GAMMA = 2.0  # of the focal loss: Lin et al. 2017, section 5.1
SMALLEST = 1e-7  # what Dice divides by at least


def cross_entropy(scores: Tensor, target: Tensor) -> Tensor:
    """The mean over all pixels that count, of all photos together."""
    return _mean_of_counted(_surprise(scores, target), target)


def focal(scores: Tensor, target: Tensor) -> Tensor:
    """The cross-entropy of each pixel times (1 - p)^2, p the probability of its true class: pixels that are
    right and sure hardly count. The mean over the pixels that count.

    Lin et al. 2017, https://arxiv.org/abs/1708.02002, equation 4, of several classes as of two.
    """
    surprise = _surprise(scores, target)
    return _mean_of_counted((1 - torch.exp(-surprise)) ** GAMMA * surprise, target)


def dice(scores: Tensor, target: Tensor) -> Tensor:
    """1 less the Dice coefficient, 2 |A and B| / (|A| + |B|), of each class's probabilities with its pixels
    in the whole batch; the mean over the classes, where one that has no pixel there costs nothing.

    Milletari et al. 2016 (V-Net), https://arxiv.org/abs/1606.04797, without the squares below the line, as
    segmentation-models-pytorch has it.
    """
    counted = target != IGNORED
    probabilities = scores.softmax(1) * counted[:, None]  # [B, K, H, W]
    truth = F.one_hot(target.where(counted, 0), scores.shape[1]).movedim(-1, 1) * counted[:, None]
    over = (0, 2, 3)
    both = (probabilities * truth).sum(over)
    together = probabilities.sum(over) + truth.sum(over)
    costs = 1 - 2 * both / together.clamp(min=SMALLEST)
    return (costs * (truth.sum(over) > 0)).mean()


LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"ce": cross_entropy, "dice": dice, "focal": focal}


def parts_of(loss: str) -> tuple[str, ...]:
    """"ce+dice" -> ("ce", "dice"). Raises ValueError for names that are no loss, and for one given twice."""
    names = tuple(part.strip() for part in loss.split("+")) if isinstance(loss, str) else ()
    if not names or any(name not in LOSSES for name in names) or len({*names}) < len(names):
        raise ValueError(f"loss is {loss!r}: for masks give {', '.join(LOSSES)}, or several of them joined "
                         "by +, such as 'ce+dice'.")
    return names


def mask_loss(
    scores: Tensor | dict[str, Tensor], target: Tensor, *, loss: str = "ce+dice"
) -> dict[str, Tensor]:
    """The parts of the loss, each one number with the way back; their sum is what learns.

    scores: [B, K, H, W], or a dict of them, "out" and "aux", as a network with an auxiliary head gives
    target: int64 [B, H, W] of class indices, `IGNORED` where nothing counts
    loss:   "ce", "dice" or "focal", or several joined by "+"
    An auxiliary head's whole loss times 0.4 is the part "aux". Where no pixel counts all parts are 0.
    Raises ValueError for another loss, shape or class.
    """
    names = parts_of(loss)
    given = scores if isinstance(scores, dict) else {"out": scores}
    _check_target(given["out"], target)
    parts = {name: LOSSES[name](given["out"].float(), target) for name in names}
    if "aux" in given:
        beside = given["aux"].float()
        parts["aux"] = AUX_WEIGHT * torch.stack([LOSSES[name](beside, target) for name in names]).sum()
    return parts


def _surprise(scores: Tensor, target: Tensor) -> Tensor:
    """-log p of each pixel's true class [B, H, W]; 0 where it does not count."""
    return F.cross_entropy(scores, target, ignore_index=IGNORED, reduction="none")


def _mean_of_counted(costs: Tensor, target: Tensor) -> Tensor:
    return costs.sum() / (target != IGNORED).sum().clamp(min=1)


def _check_target(scores: Tensor, target: Tensor) -> None:
    photos, classes, *size = scores.shape
    if target.dtype != torch.int64 or target.shape != (photos, *size):
        raise ValueError(f"The masks are {target.dtype} {list(target.shape)}, and the scores "
                         f"{list(scores.shape)}: give int64 {[photos, *size]}, a class for each pixel.")
    strange = (target != IGNORED) & ((target < 0) | (target >= classes))
    if bool(strange.any()):
        raise ValueError(f"A mask has the class {int(target[strange][0])}: this network has {classes} "
                         f"classes, so masks hold 0 to {classes - 1}, and {IGNORED} where nothing counts.")
