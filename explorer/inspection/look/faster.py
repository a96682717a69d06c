"""A faster copy of a model that stands in for it while many photos go through."""

from __future__ import annotations

import logging
from collections.abc import Callable

import numpy as np
from torch import Tensor, nn

from explorer.inspection.look.model import evaluating
from explorer.models.contract import VisionModel
from explorer.models.surgery.optimized import optimize

log = logging.getLogger(__name__)

WORTH_OPTIMIZING = 64  # photos from which making a faster copy of the model pays
SAME = 1e-5            # difference of its numbers, as a share of the largest, up to which it may stand in

Run = Callable[[VisionModel, Tensor], tuple[np.ndarray, ...]]


class Faster:
    """Runs batches through a model: through itself or, where many photos follow, a copy with folded norms.

    The copy (see `explorer.optimize`: channels-last, norms part of their convolutions) is made once, of the
    model as it is then, and stands in only where the first photos show that its numbers are the same (to
    `SAME`).
    """

    def __init__(self, model: VisionModel, run: Run):
        self.model, self.fast, self._run, self._tried = model, None, run, False

    def __call__(self, batch: Tensor, *, following: int = 0) -> tuple[np.ndarray, ...]:
        """What `run` gives for photos [B, C, H, W]. following: how many photos may come after these."""
        if not self._tried and following >= WORTH_OPTIMIZING:
            self._tried, self.fast = True, self._copy(batch[:2])
        return self._run(self.fast or self.model, batch)

    def _copy(self, few: Tensor) -> VisionModel | None:
        if not any(isinstance(part, nn.modules.batchnorm._BatchNorm) or hasattr(part, "reparameterize")
                   for part in self.model.modules()):
            return None  # nothing can be folded
        try:
            with evaluating(self.model):
                fast = optimize(self.model)
            pairs = zip(self._run(fast, few), self._run(self.model, few), strict=True)
            if all(far(one, other) <= SAME for one, other in pairs):
                return fast
        except (RuntimeError, ValueError, TypeError) as error:
            log.info("no faster copy: %s", error)
        return None


def far(one: np.ndarray, other: np.ndarray) -> float:
    """Largest difference as a share of the largest number; infinite for another shape or NaN on one side."""
    if one.shape != other.shape or not np.array_equal(np.isfinite(one), np.isfinite(other)):
        return float("inf")
    scale = max(float(np.abs(other[np.isfinite(other)]).max(initial=0.0)), 1e-12)
    return float(np.abs(np.where(np.isfinite(one), one - other, 0)).max(initial=0.0)) / scale
