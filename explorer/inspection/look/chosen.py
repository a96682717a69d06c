"""The outputs of modules that somebody chose, kept while a look runs: `look(model, photo, at=[...])`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from explorer.display.words import did_you_mean
from explorer.inspection.look.model import model_name
from explorer.inspection.look.tail import ordinary
from explorer.models.doors.maps import map_layout
from explorer.models.watching import Turn, watching


def find_modules(model: nn.Module, names: Sequence[str] | str) -> list[tuple[str, Turn]]:
    """(each name, the module's path and which of its calls is meant); "pool:2" is the second of `pool`.

    Raises ValueError for a name of no module, with the nearest.
    """
    paths, found = {path for path, _ in model.named_modules() if path}, []
    for name in dict.fromkeys([names] if isinstance(names, str) else names):
        path, _, call = name.partition(":")
        if path not in paths or call and (not call.isdecimal() or int(call) < 1):
            raise ValueError(f"at names {name[:80]!r}, and {model_name(model)} has no such module."
                             f"{did_you_mean(name, paths)} explorer.module_tree(model) shows them all; maps "
                             "of stages are in look.stages anyway.")
        found.append((name, Turn(path, int(call or 1))))
    return found


@contextmanager
def keeping(model: Any, chosen: Sequence[tuple[str, Turn]]
            ) -> Iterator[Callable[[tuple[int, int]], dict[str, Tensor]]]:
    """For the `with` block, what chosen modules give is kept; yields what hands it over, by name, and wants
    to know how high and wide the network's input was: a network for masks reads each photo in its own shape.

    A map is [C, H, W], whichever way it lies in the network; tokens are [N, C] and a vector is [C], of the
    first photo. That raises ValueError for a module that did not run, or gave no tensor.
    """
    wanted = {turn for _, turn in chosen}
    outputs: dict[Turn, Tensor] = {}

    def after(turn: Turn, _module: nn.Module, _inputs: tuple, output: Any) -> None:
        if turn in wanted and isinstance(output, Tensor) and output.ndim and turn not in outputs:
            outputs[turn] = ordinary(output[0].detach().clone())  # the next layer may work in place

    def given(sides: tuple[int, int]) -> dict[str, Tensor]:
        for name, turn in chosen:
            if turn not in outputs:
                raise ValueError(f"at names {name!r}, which gives no tensor in a pass of "
                                 f"{model_name(model)}, or does not run so often in one: "
                                 "choose another module.")
        return {name: _as_map(outputs[turn], sides) for name, turn in chosen}

    # A module that stands in two places counts as one, under the path that was asked for.
    parts = {turn.path: model.get_submodule(turn.path) for _, turn in chosen}
    with watching(parts, after=after):
        yield given


def _as_map(found: Tensor, sides: tuple[int, int]) -> Tensor:
    """A map as [C, H, W], whichever way it lies in the network; anything else as it is."""
    channels_last = map_layout(tuple(found.shape), sides) == "NHWC"
    return found.permute(2, 0, 1).contiguous() if channels_last else found
