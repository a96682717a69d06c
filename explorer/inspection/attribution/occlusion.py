"""Occlusion: cover one square of the photo after another, and see how far the score falls.

The plainest of all heat maps: no gradient, nothing of the network's inside, only its answers. It costs a pass
a square.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from explorer.inspection.look.passes import Passes, Stopped

Square = tuple[float, float, float, float]  # left, top, right, bottom


@dataclass(frozen=True, eq=False)
class Step:
    """How far occlusion has come: what a batch of squares gave.

    heat:    how far the score fell, of all squares so far: in the network's frame [H, W], as `occlusion`
             gives it; in `explain(on_step=)` as `Attribution.heatmap`, 1 the most so far
    squares: those of this batch in their order, in pixels of that frame
    scores:  the class's score with each of them covered;  score: with nothing covered
    """

    heat: Tensor
    squares: tuple[Square, ...]
    scores: tuple[float, ...]
    score: float


def places(length: int, window: int, stride: int) -> list[int]:
    """Where windows begin along a side: every `stride` pixels, the last one as far as the end."""
    last = max(length - window, 0)
    return [*range(0, last, stride), last]


def windows(size: tuple[int, int], window: int | None, stride: int | None) -> tuple[int, int]:
    """(side of a square, steps between squares) in pixels of the input [H, W]; checked, or chosen where None.

    By default an eighth of the shorter side, and half of that.
    """
    short = min(size)
    window = max(short // 8, 1) if window is None else window
    stride = max(window // 2, 1) if stride is None else stride
    for what, value, most in (("window", window, short), ("stride", stride, window)):
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
            why = ", so that squares leave no gap" if what == "stride" else ""
            raise ValueError(f"{what} is {value!r}: expected pixels of the network's input, a whole number "
                             f"from 1 to {most}{why}.")
    return window, stride


def occlusion(
    passes: Passes, photo: Tensor, fill: Tensor, target: int, *, window: int, stride: int,
    batch_size: int = 16,
) -> tuple[Tensor, list[str]]:
    """How far the score falls when a pixel is covered: the mean over all squares on it, [H, W], with notes.

    photo, fill: the network's input [C, H, W], and what covers it
    Source: Zeiler and Fergus (ECCV 2014), section 4.2.
    After each batch `passes.on_step` is called with a `Step`.
    When asked to stop it answers with the squares that are done, 0 elsewhere. Raises Stopped where none is.
    """
    height, width = photo.shape[-2:]
    rows, columns = places(height, window, stride), places(width, window, stride)
    corners = [(top, left) for top in rows for left in columns]
    passes.expect(len(corners) + 1)
    score = passes.logits(photo[None])[0, target]
    falls, covers, done = torch.zeros(height, width), torch.zeros(height, width), 0
    while done < len(corners) and not passes.stopped:
        chosen = corners[done : done + batch_size]
        covered = photo.repeat(len(chosen), 1, 1, 1)
        for picture, (top, left) in zip(covered, chosen):
            area = (..., slice(top, top + window), slice(left, left + window))
            picture[area] = fill[area]
        scores = passes.logits(covered)[:, target]
        for fall, (top, left) in zip(score - scores, chosen):
            area = (slice(top, top + window), slice(left, left + window))
            falls[area] += fall
            covers[area] += 1
        done += len(chosen)
        if passes.on_step is not None:
            squares = tuple((left, top, left + window, top + window) for top, left in chosen)
            seen = tuple(scores.tolist())
            passes.on_step(Step(falls / covers.clamp_min(1), squares, seen, float(score)))
    if not done:
        raise Stopped("Stopped before the first square was covered: there is no heat map yet.")
    notes = []
    if done < len(corners):
        notes.append(f"Stopped early: {done} of {len(corners)} squares were covered, from the top; "
                     "the rest is 0.")
    return falls / covers.clamp_min(1), notes
