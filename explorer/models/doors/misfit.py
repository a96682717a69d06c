"""Where a foreign module stops on a photo that does not fit: in which of its parts, and with what shapes."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from explorer.models.contract import evaluation
from explorer.models.watching import Turn, watching


def where_it_stops(module: nn.Module, photos: Tensor) -> str:
    """The part that fails on these photos [B, C, H, W] and what it got, in words; "" where none fails."""
    parts = {path: part for path, part in module.named_modules() if path}
    failed: list[tuple[str, nn.Module, str]] = []
    gave: list[tuple[str, str]] = []

    def begin(_turn: Turn, _part: nn.Module, _inputs: tuple, _options: dict) -> None:
        failed.clear()

    def end(turn: Turn, part: nn.Module, inputs: tuple, output: Any) -> None:
        if isinstance(output, Tensor):
            failed.clear()
            gave.append((turn.name, str(list(output.shape))))
        elif output is None and not failed:  # the innermost of those that an error ends comes first
            got = [str(list(one.shape)) for one in inputs if isinstance(one, Tensor)]
            failed.append((turn.name, part, " and ".join(got)))

    try:
        with evaluation(module), torch.no_grad(), watching(parts, before=begin, after=end):
            module(photos)
    except Exception:  # anybody's code, and the caller has its error already
        if failed and not [*failed[0][1].children()]:
            path, part, got = failed[0]
            return f"its part {path!r}, {part}," + (f" got {got}" if got else " stops")
        inside = f"{failed[0][0]}." if failed else ""
        told = " and ".join(f"{path!r} gave {shape}" for path, shape in gave[-2:] if path.startswith(inside))
        whose = f"the forward of its part {failed[0][0]!r}" if failed else "its own forward"
        return f"it stops in {whose}" + (f", where {told}" if told else "")
    return ""
