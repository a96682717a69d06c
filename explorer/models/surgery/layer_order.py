"""The order of layers, from the photo to the scores: stem, blocks, head."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from torch import nn

from explorer.models.surgery.clock import Timeline, timeline
from explorer.models.surgery.inside import stage_modules

ROW = (nn.Sequential, nn.ModuleList)


@dataclass(frozen=True)
class Part:
    """A piece of the network that is not cut further.

    time:    when its first parameter is used;  composite: whether it is made of other modules
    in_row:  whether it stands in a row of blocks;  beside: path of a stage next to whose blocks it stands, or
             ""
    """

    path: str
    time: float
    composite: bool
    is_filter: bool  # a lone convolution or linear layer
    in_row: bool
    beside: str


@dataclass
class Layers:
    """Paths of modules and parameters, from the photo to the scores.

    stem, head: their paths;  blocks: the paths of each block;  block_stage: the stage that each belongs to;
    block_modules: those of them that are one module with an input and an output of its own
    """

    stem: list[str] = field(default_factory=list)
    blocks: list[list[str]] = field(default_factory=list)
    block_stage: list[int] = field(default_factory=list)
    block_modules: list[str] = field(default_factory=list)
    head: list[str] = field(default_factory=list)


def find_layers(model: nn.Module) -> Layers:
    """Stem, blocks in network order, and head.

    A block is what a family stacks in a row (`layer1.0`, `blocks.3`), or a whole stage where nothing is
    stacked. What stands beside the blocks goes with one: a downsampling with the block behind it, a norm with
    the one before.
    """
    run = timeline(model)
    parts = sorted(find_parts(model, run), key=lambda part: part.time)
    body = [part for part in parts if part.time < run.features_end]
    layers = Layers(head=[part.path for part in parts if part.time >= run.features_end])

    stem_end = end_of_stem(model, body, run)
    own = [name for name, _ in stage_modules(model)[0].named_parameters(recurse=False)]
    layers.stem = [f"{run.root}.{name}".lstrip(".") for name in own]
    layers.stem += [part.path for part in body if part.time < stem_end]
    waiting: list[str] = []  # what goes with the next block
    begun: set[str] = set()  # stages that have a block
    for part in body:
        if part.time < stem_end:
            continue
        behind_all_stages = not part.in_row and part.time > max(run.stage_ends, default=math.inf)
        starts = (part.composite or part.is_filter) and not part.beside and not behind_all_stages
        if starts:
            layers.blocks.append([*waiting, part.path])
            layers.block_stage.append(sum(end <= part.time for end in run.stage_ends))
            if part.composite:
                layers.block_modules.append(part.path)
            waiting = []
            begun |= {part.path.rpartition(".")[0].rpartition(".")[0]}
        elif part.beside and part.beside not in begun:
            waiting.append(part.path)
        else:
            (layers.blocks[-1] if layers.blocks else layers.stem).append(part.path)
    (layers.blocks[-1] if layers.blocks else layers.stem).extend(waiting)
    return layers


def end_of_stem(model: nn.Module, body: Sequence[Part], run: Timeline) -> float:
    """When the stem is over: where the first row of blocks begins, or the stage called "stem" ends."""
    ends = [*run.stage_ends, math.inf]
    rows = [part.time for part in body if part.beside or (part.in_row and part.composite)]
    if rows:
        stem_stages = 1 if rows[0] >= ends[0] else 0
        if body[0].time < rows[0] < ends[stem_stages]:
            return rows[0]
    if model.stage_table and model.stage_table[0].name == "stem":
        return ends[0]
    firsts = [part.time for part in body if part.composite or part.is_filter]
    return firsts[1] if len(firsts) > 1 else math.inf


def find_parts(model: nn.Module, run: Timeline) -> Iterator[Part]:
    """Cut the network into its parts, in the order of definition: see `Part`."""
    network, stages = stage_modules(model)
    uses = {name: run.first_use(name) for name, _ in model.named_parameters()}

    def first_use(path: str) -> float:
        return min(time for name, time in uses.items() if name.startswith(f"{path}."))

    def visit(
        path: str, module: nn.Module, *, first: bool = False, in_row: bool = False, beside: str = ""
    ) -> Iterator[Part]:
        learning = [(name, child) for name, child in module.named_children() if has_parameters(child)]
        children = [(f"{path}.{name}", child) for name, child in learning]
        inside = path.removeprefix(run.root).lstrip(".")
        several_stages = sum(stage.startswith(f"{inside}.") for stage in stages) > 1
        all_composite = bool(children) and all(is_composite(child) for _, child in children)
        row = getattr(module, "blocks", None)
        if several_stages or (isinstance(module, ROW) and all_composite and not first):
            for place, child in children:
                yield from visit(place, child, in_row=isinstance(module, ROW))
        elif isinstance(row, ROW):
            for place, child in children:
                if child is row:
                    for name, block in row.named_children():
                        yield from visit(f"{place}.{name}", block, in_row=True)
                else:
                    yield from visit(place, child, first=True, beside=path)
            own = [name for name, _ in module.named_parameters(recurse=False)]
            for name in own:
                place = f"{path}.{name}"
                yield Part(place, uses[place], False, False, False, path)
        elif has_parameters(module):
            yield Part(path, first_use(path), is_composite(module),
                       isinstance(module, (nn.Conv2d, nn.Linear)), in_row, beside)

    first = True
    for name, child in network.named_children():
        if has_parameters(child):
            yield from visit(f"{run.root}.{name}".lstrip("."), child, first=first)
            first = False


def has_parameters(module: nn.Module) -> bool:
    return next(module.parameters(), None) is not None


def is_composite(module: nn.Module) -> bool:
    """Whether a module is made of others that learn; a norm with its activation inside is not."""
    return any(has_parameters(child) for child in module.children())
