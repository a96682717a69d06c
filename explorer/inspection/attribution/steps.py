"""Occlusion while it goes on, in the frame of the photo: what a panel draws of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from explorer.inspection.attribution.occlusion import Square, Step
from explorer.inspection.look.frame import Box, laid_over


def in_frame(on_step: Callable[[Step], None] | None, photo: tuple[int, int], frame: Box,
             size: Sequence[int]) -> Callable[[Step], None] | None:
    """`on_step` for steps in the frame of a network's input; None where nobody listens.

    photo: (width, height);  frame: the box of the photo that the input is of
    size:  the input's (height, width)
    """
    if on_step is None:
        return None
    listener = on_step
    left, top, right, bottom = frame
    across, down = (right - left) / size[1], (bottom - top) / size[0]

    def placed(square: Square) -> Square:
        x = [min(max(left + across * one, 0.0), float(photo[0])) for one in square[::2]]
        y = [min(max(top + down * one, 0.0), float(photo[1])) for one in square[1::2]]
        return x[0], y[0], x[1], y[1]

    def told(step: Step) -> None:
        heat = torch.nan_to_num(step.heat.relu(), posinf=0.0)
        most = float(heat.max())
        heat = torch.from_numpy(laid_over((heat / most if most > 0 else heat).numpy(), photo, frame))
        squares = tuple(placed(square) for square in step.squares)
        listener(Step(heat.clamp_(0, 1), squares, step.scores, step.score))

    return told
