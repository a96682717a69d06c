"""The heat map as a result of the exported network: the pass, and behind one stage the way back.

    found = Heated(part, source, outputs)(image, class_weights, direction)   # {..., "heat": [1, h, w]}

It is Grad-CAM as `explorer.explain` draws it, with the same zeros added to the same stage's map
(`look.tail`), for the score <class_weights, logits> + <direction, embedding>. While torch runs it, every
operator is written down, those of the gradient too; that record is what is exported.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.fx.experimental.proxy_tensor import make_fx
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import _disable_current_modes

from explorer.inspection.attribution.tasks import Task
from explorer.inspection.export.backward import backward_table
from explorer.inspection.export.parts import Portable
from explorer.inspection.look.model import outputs_of
from explorer.inspection.look.passes import Passes
from explorer.inspection.look.tail import Watch, begin_notes, layout_of, walk
from explorer.models.contract import Stage, VisionModel
from explorer.models.outputs import Outputs
from explorer.models.surgery.inside import stage_modules
from explorer.models.watching import watching

HEAT = "heat"


@dataclass(frozen=True)
class Source:
    """Where a model's heat map is drawn from: what `explorer.explain` takes where nobody says.

    stage: its name;  at_module: whether the module that makes its map is watched, not the map itself
    notes: sentences that go with it
    """

    stage: str
    at_module: bool
    notes: tuple[str, ...] = ()


def asked_by(
    model: VisionModel, photos: Tensor, prepared: dict[str, Any]
) -> tuple[Source, Tensor, Tensor]:
    """(where from, the map [C, h, w], the gradient of the likeliest class's score with respect to it).

    photos: prepared, [1, C, H, W]. Raises ValueError where no gradient leads to a stage's map.
    """
    task = Task(model, photos[0], photos[0], prepared, None, None, Passes(model), outputs_of(model))
    map_, gradient, stage, notes = task.map_with_gradient()
    *_, tail = walk(model, photos[0], stage=stage, only=(stage,))
    reached = tail is not None and tail.gradient(task.class_index(), task.outputs.evidence) is not None
    return Source(stage, not reached, tuple(notes)), map_, gradient


class Heated:
    """`Portable` with one result more: "heat" [1, h, w], 0 to 1, the most of it as 1.

    class_weights [1, W] and direction [1, D] say for which score; where both are zero it is that of the
    likeliest class, of numbers the first.
    """

    def __init__(self, part: Portable, source: Source, outputs: Outputs):
        self.part, self.source, self.outputs = part, source, outputs

    def __call__(self, image: Tensor, class_weights: Tensor, direction: Tensor) -> dict[str, Tensor]:
        wanted, kept = self.source.stage, []
        model = self.part.model
        network, _ = stage_modules(model)
        row = next(row for row in model.stage_table if row.name == wanted)
        watch = Watch(row) if self.source.at_module or network is not model else None

        def before(stage: Stage) -> None:
            if stage.name == wanted and watch is None:  # as in `look.tail`
                torch.set_grad_enabled(True)

        def after(stage: Stage, feature_map: Tensor) -> None:
            if stage.name == wanted:
                kept.append(feature_map.detach().clone())
                kept.append(begin_notes(feature_map) if watch is None else None)

        parts: dict[str, nn.Module] = {row.module: network.get_submodule(row.module)} if watch else {}
        with torch.no_grad(), watching(parts, after=watch):
            results = self.part.watched(image, before=before, after=after)
        feature_map, notes = kept
        if watch is not None and watch.leaf is not None:
            layout = layout_of(tuple(watch.leaf.shape), feature_map.shape[1:])
            notes = (watch.leaf, layout) if layout is not None else None
        if notes is None:
            raise ValueError(f"the map of {wanted!r} can't be told from what its module gives")
        leaf, as_map = notes
        gradient = self._gradient(results, class_weights, direction, leaf)
        gradient = plain_view(tuple(leaf.shape), as_map, feature_map.shape)(gradient)
        heat = scaled((feature_map * gradient.mean((2, 3), keepdim=True)).sum(1))
        return {name: found.detach() for name, found in results.items()} | {HEAT: heat}

    def _gradient(
        self, results: dict[str, Tensor], class_weights: Tensor, direction: Tensor, leaf: Tensor
    ) -> Tensor:
        """Of the score with respect to the zeros that were added to the map, as these lie."""
        logits, embedding = results["logits"], results["embedding"]
        asked = (class_weights != 0).any() | (direction != 0).any()
        weights = torch.where(asked, class_weights, self.usual(logits.detach()))
        with torch.enable_grad():
            score = (weights * logits).sum() + (direction * embedding).sum()
            (gradient,) = torch.autograd.grad(score, leaf)
        return gradient

    def usual(self, logits: Tensor) -> Tensor:
        """The weights that ask for the likeliest class, [1, W]."""
        if self.outputs.kind == "yes/no":
            return torch.where(logits > 0, 1.0, -1.0)
        places = torch.arange(logits.shape[-1])[None]
        wanted = 0 if self.outputs.numbers else logits.argmax(-1, keepdim=True)
        return (places == wanted).to(logits.dtype)


def scaled(cam: Tensor) -> Tensor:
    """What is above zero of maps [1, h, w], the most of it as 1."""
    heat = cam.relu()
    return heat / heat.amax((1, 2), keepdim=True).clamp_min(1e-30)


def plain_view(
    shape: tuple[int, ...], as_map: Callable[[Tensor], Tensor], map_shape: torch.Size
) -> Callable[[Tensor], Tensor]:
    """`as_map`, which turns a tensor of `shape` into a map [1, C, h, w], without a word of where numbers lie
    in memory: other programs lay them out as they like.
    """
    with _disable_current_modes():
        places = torch.arange(math.prod(shape)).view(shape)
        wanted = as_map(places)
        usual = layout_of(shape, map_shape[1:])
        if usual is not None and torch.equal(usual(places), wanted):
            return usual
    return lambda gradient: gradient.reshape(-1)[wanted]


def recorded(heated: Heated, inputs: tuple[Tensor, Tensor, Tensor]) -> nn.Module:
    """The same as a graph of plain operators, without a gradient to be asked for: made for these shapes."""
    names: list[str] = []

    def run(*given: Tensor) -> tuple[Tensor, ...]:
        found = heated(*given)
        names[:] = found
        return tuple(found.values())

    with plainly():
        graph = make_fx(run, decomposition_table=backward_table())(*inputs)
    return _Named(graph, names)


class _Named(nn.Module):
    """A record whose results have names."""

    def __init__(self, record: nn.Module, names: list[str]):
        super().__init__()
        self.record, self.names = record, names

    def forward(self, image: Tensor, class_weights: Tensor, direction: Tensor) -> dict[str, Tensor]:
        return dict(zip(self.names, self.record(image, class_weights, direction)))


@contextmanager
def plainly() -> Iterator[None]:
    """Attention as products and a softmax, which have a way back that can be written down."""
    fast = torch.backends.mha.get_fastpath_enabled()
    with ExitStack() as ends:
        ends.callback(torch.backends.mha.set_fastpath_enabled, fast)
        torch.backends.mha.set_fastpath_enabled(False)
        ends.enter_context(sdpa_kernel(SDPBackend.MATH))
        yield


