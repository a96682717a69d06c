"""Learning-rate schedules, as factors 0..1 of the rate: functions of the step, to be drawn beforehand.

    factor = schedule("cosine", total=120, warmup=12)
    factor(0), factor(60), factor(119)
    held(factor, 90, cycle=10)(119)          # as the weights of the last steps are averaged
"""

from __future__ import annotations

import math
from collections.abc import Callable

SCHEDULES = ("constant", "step", "cosine", "one_cycle")
SWA_RATES = ("constant", "cyclic")
LOWEST = 0.01  # of a cycle, as a share of its highest rate: Izmailov et al. go from 0.05 to 0.0005


def schedule(name: str, *, total: int, warmup: int = 0, steps: int = 3,
             gamma: float = 0.1) -> Callable[[int], float]:
    """step -> factor of the learning rate.

    constant   1 throughout
    step       1, then `gamma` times less at each of `steps` equal parts of the run
    cosine     half a cosine from 1 to 0 (Loshchilov and Hutter, SGDR, https://arxiv.org/abs/1608.03983)
    one_cycle  up for three tenths of the run from 1/25, down to almost 0 (Smith,
               https://arxiv.org/abs/1708.07120)
    warmup: steps of a straight line from 0 to 1 before; one_cycle has its own. Raises ValueError for an
            unknown name.
    """
    if name not in SCHEDULES:
        raise ValueError(f"Unknown schedule {name!r}. Known: {', '.join(SCHEDULES)}.")
    total, warmup = max(total, 1), 0 if name == "one_cycle" else warmup
    length = max(total - warmup, 1)

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / (warmup + 1)
        part = min((step - warmup) / length, 1.0)
        if name == "constant":
            return 1.0
        if name == "step":
            return gamma ** int(part * steps)
        if name == "cosine":
            return (1 + math.cos(math.pi * part)) / 2
        if part < 0.3:
            return _between(1 / 25, 1.0, part / 0.3)
        return _between(1.0, 1 / 250_000, (part - 0.3) / 0.7)

    return factor


def held(factor: Callable[[int], float], first: int, *, cycle: int = 0) -> Callable[[int], float]:
    """A schedule whose rate stays, from step `first` on, what it is there: for weights to average. Where it
    is still rising there, as in a warm-up, it rises to its top before it stays.

    cycle: steps in which it falls along a straight line, to a hundredth, before it is high again; 0: none.
           A cycle of one step has no line
    Source: Izmailov et al., Averaging Weights Leads to Wider Optima and Better Generalization, 2018, 3.1.
    """
    top = first
    while factor(top + 1) > factor(top):
        top += 1

    def value(step: int) -> float:
        if step < top or cycle < 2:
            return factor(min(step, top))
        share = ((step - first) % cycle + 1) / cycle
        return factor(top) * (1 - share + share * LOWEST)

    return value


def _between(start: float, end: float, part: float) -> float:
    """From start to end along half a cosine."""
    return end + (start - end) * (1 + math.cos(math.pi * part)) / 2
