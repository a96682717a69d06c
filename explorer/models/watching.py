"""Watching a network run: what each of its modules does, call by call.

A module is often used more than once in one pass: a net may have one pooling, one ReLU, one attention layer
for all its depth. So what a module did is told by the module and the number of the call: "pool" is its first
call, "pool:2" its second. Whoever hooks modules to read what went through them does it with `watching`.

`walk` is the other way to look on: at one of explorer's own networks from stage to stage, with no hook.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

from torch import Tensor, nn


class Turn(NamedTuple):
    """One call of a module: the path it was given, and which of its calls in this pass it is, from 1."""

    path: str
    call: int

    @property
    def name(self) -> str:
        """Unique in a pass: the path, and from the second call on its number, as in "pool:2"."""
        return self.path if self.call == 1 else f"{self.path}:{self.call}"


@contextmanager
def watching(
    modules: Mapping[str, nn.Module],
    *,
    before: Callable[[Turn, nn.Module, tuple, dict], Any] | None = None,
    after: Callable[[Turn, nn.Module, tuple, Any], Any] | None = None,
) -> Iterator[None]:
    """Calls `before(turn, module, inputs, options)` as one of the modules begins, and as it ends
    `after(turn, module, inputs, output)`: what that returns, unless None, takes the output's place.

    Calls are counted by module in the order in which they begin; a module that stands in two places counts as
    one, under the path that comes first. Calls inside of calls are told apart, and one that fails is counted
    too, with the output None. Only this thread's calls are seen: another may run the same modules meanwhile.
    No hook is left behind.
    """
    paths = {module: path for path, module in reversed(modules.items())}
    begun = dict.fromkeys(paths, 0)
    running: dict[nn.Module, list[Turn]] = {module: [] for module in paths}
    thread = threading.get_ident()

    def begin(module: nn.Module, inputs: tuple, options: dict) -> None:
        if threading.get_ident() == thread:
            begun[module] += 1
            running[module].append(turn := Turn(paths[module], begun[module]))
            if before is not None:
                before(turn, module, inputs, options)

    def end(module: nn.Module, inputs: tuple, output: Any) -> Any:
        if threading.get_ident() != thread or not running[module]:  # not begun: another hook refused the call
            return None
        turn = running[module].pop()
        return after(turn, module, inputs, output) if after is not None else None

    hooks = []
    try:
        for module in paths:
            hooks.append(module.register_forward_pre_hook(begin, with_kwargs=True))
            # also after an error, which the network may catch: or the next end would be taken for this one's
            hooks.append(module.register_forward_hook(end, always_call=True))
        yield
    finally:
        for hook in hooks:
            hook.remove()


def walk(
    model: nn.Module,
    x: Tensor,
    *,
    before: Callable[[Any], Any] | None = None,
    after: Callable[[Any, Tensor], Any] | None = None,
    first: int | None = None,
) -> Any:
    """One pass from stage to stage, to the end: returns the final features, as `forward_features` gives them.

    before: called with each stage ahead of its layers
    after:  called with each stage and its map, ahead of the next layer, which may work in place on that map
    first:  only so many stages; then nothing behind them runs, and None comes back
    Raises RuntimeError where somebody looks on and `forward_stages` yields more or fewer maps than there are
    stages, or one that is no map of so many channels as the table of stages says.
    """
    whose = f"{type(model).__name__}.forward_stages"
    way, watched = model.forward_stages(x), bool(before or after)
    for stage in model.stage_table[:first] if watched else ():
        if before is not None:
            before(stage)
        found = next(way, None)
        if found is None:
            raise RuntimeError(f"{whose} yielded fewer maps than the model has stages: none for "
                               f"{stage.name!r}")
        _check_map(whose, stage, found)
        if after is not None:
            after(stage, found)
        del found  # else it stays in memory while the next layers run
    if first is not None:
        return way.close()
    while True:
        try:
            next(way)
        except StopIteration as end:  # a generator hands its `return` value over in here
            return end.value
        if watched:
            raise RuntimeError(f"{whose} yielded more maps than the model has stages")


def _check_map(whose: str, stage: Any, found: Any) -> None:
    """Raise RuntimeError where a stage's map is another than the table of stages says."""
    shape = list(getattr(found, "shape", ()))
    if len(shape) != 4:
        what = f"of shape {shape}" if isinstance(found, Tensor) else f"of type {type(found).__name__}"
        raise RuntimeError(f"{whose} yielded something {what} for {stage.name!r}: expected a map "
                           f"[B, {stage.channels}, H, W], so reshape tokens into one before the yield")
    if shape[1] != stage.channels:
        raise RuntimeError(f"{whose} yielded a map of {shape[1]} channels for {stage.name!r}, and the table "
                           f"of stages says {stage.channels}: write Stage({stage.name!r}, {stage.module!r}, "
                           f"{shape[1]}, {stage.reduction}), or yield another map")
