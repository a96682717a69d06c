"""Surgery on any backbone: what comes first, freezing, rates by layer, and less memory while training.

All of it starts from one question, "which parameter is used when?", and answers it by watching one pass through an
empty copy of the network. So nothing here knows a family by name, and other libraries' models behind explorer's doors
are cut open in the same way.

    model.freeze()                       # all but the classifier
    model.freeze("layer3")               # everything up to and including that stage
    model.set_grad_checkpointing()       # larger batches, a little slower
    groups = explorer.parameter_groups(model, lr=1e-3, layer_decay=0.75)     # early layers learn slowly
"""

from __future__ import annotations

import copy
import math
import re
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.optim.swa_utils import AveragedModel
from torch.utils.checkpoint import checkpoint

from explorer.arguments import checked, network, number, words
from explorer.display.words import did_you_mean
from explorer.models.watching import Turn, walk, watching

# --- which parameter is used when -------------------------------------------------------------------------


@dataclass
class Timeline:
    """One pass, in ticks of a clock that counts every module's beginning and end.

    begins, ends: when each module that ran first began, by path; when each of its calls ended ("pool:2")
    stage_ends:   when each stage's map was ready;  features_end: when all but the head was done
    """

    begins: dict[str, int] = field(default_factory=dict)
    ends: dict[str, int] = field(default_factory=dict)
    stage_ends: list[int] = field(default_factory=list)
    features_end: int = 0
    root: str = ""  # path of the network itself: "module" behind explorer's doors
    untold: set[int] = field(default_factory=set)  # stages of a foreign network that no module ends

    def first_use(self, name: str) -> float:
        """When a parameter is first needed: as soon as its module runs, or the nearest module around it that does.

        The network's own parameters (a class token) are needed at once; what never runs, such as the side
        classifiers of GoogLeNet outside of training, comes last.
        """
        home = owner = name.rpartition(".")[0]
        while home not in ("", self.root) and home not in self.begins:
            home = home.rpartition(".")[0]
        if home in ("", self.root) and owner not in ("", self.root):
            return math.inf
        return self.begins.get(home, 0)


def timeline(model: nn.Module) -> Timeline:
    """Watch one pass through an empty copy of the model; the model itself is not touched and no weight is copied."""
    empty = empty_copy(model).eval()
    network, _ = stage_modules(empty)
    found, clock = Timeline(root="module" if network is not empty else ""), 0

    def begin(turn: Turn, *_: Any) -> None:
        nonlocal clock
        clock += 1
        found.begins.setdefault(turn.path, clock)

    def end(turn: Turn, *_: Any) -> None:
        nonlocal clock
        clock += 1
        found.ends[turn.name] = clock

    place = next(((p.device, p.dtype) for p in empty.parameters() if p.is_floating_point()), ("meta", torch.float32))
    x = torch.zeros(1, *photo_size(empty), device=place[0], dtype=place[1])
    with torch.no_grad(), watching(dict(empty.named_modules()), before=begin, after=end):
        if network is empty:
            features = walk(empty, x, after=lambda *_: found.stage_ends.append(clock))
            found.features_end = clock
            empty.forward_head(features)
        else:  # a foreign network: its stages are the modules that the door found
            network(x)
            turns = [Turn(f"module.{row.module}", row.call).name for row in empty.stage_table]
            found.stage_ends = [found.ends.get(turn, clock) for turn in turns]
            found.untold = {i for i, turn in enumerate(turns) if turn not in found.ends}
            heads = {id(m) for m in empty.get_classifier().modules()} if empty.num_classes else set()
            starts = [found.begins[path] for path, m in empty.named_modules() if id(m) in heads and path in found.begins]
            found.features_end = min(starts, default=clock + 1)
    return found


def empty_copy(model: nn.Module) -> nn.Module:
    """A copy whose tensors have shapes but no numbers (torch's `meta` device)."""
    def empty(tensor: Tensor) -> Tensor:
        return torch.empty_like(tensor, device="meta", requires_grad=False)

    # deepcopy looks into `memo` before it copies a thing: so it finds the empty tensors, and copies no weight
    memo: dict[int, Any] = {id(p): nn.Parameter(empty(p), requires_grad=False) for p in model.parameters()}
    memo |= {id(b): empty(b) for b in model.buffers()}
    return copy.deepcopy(model, memo)


def stage_modules(model: nn.Module) -> tuple[nn.Module, list[str]]:
    """(the network, the path in it of the module that ends each stage)."""
    inner = getattr(model, "module", None)
    return (inner if isinstance(inner, nn.Module) else model), [stage.module for stage in model.stage_table]


def photo_size(model: nn.Module) -> tuple[int, int, int]:
    """(C, H, W) of a photo that the model takes: as it was built for, or else as its weights expect."""
    height, width = model.config.input_size[1:]
    for module in model.modules():
        built_for = getattr(module, "img_size", None)
        if isinstance(built_for, (tuple, list)) and len(built_for) == 2:
            height, width = built_for
            break
    return model.in_chans, int(height), int(width)


def look_through(module: nn.Module) -> nn.Module:
    """What is inside torch's own wrappers, one in the other too: they change no answer.

    DataParallel, DistributedDataParallel, AveragedModel, and what torch.compile gives.
    """
    while True:
        if isinstance(module, (nn.DataParallel, nn.parallel.DistributedDataParallel, AveragedModel)):
            module = module.module
        elif isinstance(compiled := getattr(module, "_orig_mod", None), nn.Module):
            module = compiled
        else:
            return module


def backbone(model: nn.Module) -> nn.Module:
    """The `VisionModel` in what a user has: itself, in torch's wrappers, or in a `features_only` model.

    TypeError for others.
    """
    inner = look_through(model) if isinstance(model, nn.Module) else None
    for candidate in (inner, getattr(inner, "model", None)):
        if isinstance(candidate, nn.Module) and hasattr(candidate, "stage_table"):
            return candidate
    raise TypeError(
        f"{type(model).__name__} has no stages that explorer knows: put it behind explorer's contract with "
        "explorer.wrap(module) first."
    )


# --- freezing ---------------------------------------------------------------------------------------------


@checked(model=network)
def freeze(model: nn.Module, up_to: str | None = None, *, modules: str | Sequence[str] = ()) -> None:
    """Parameters that training shall leave alone, and BatchNorm statistics with them.

    up_to:   the last stage that is frozen, by the name in `model.stage_table`, or a module's path: it and all that the
             photo meets before it;  None: everything but the classifier
    modules: patterns such as "layer1.*" or "*.bn?" instead: exactly these modules and parameters

    Freezing adds to what is frozen already; `unfreeze` takes it all back. A BatchNorm layer whose parameters are
    frozen stays in evaluation, also after `model.train()`: otherwise its statistics would drift away from weights that
    can't follow. Raises ValueError for an unknown name, with the stages and the nearest names.
    """
    model = backbone(model)
    patterns = [modules] if isinstance(modules, str) else list(modules)
    if patterns and up_to is not None:
        raise ValueError("Give up_to=, the last stage to freeze, or modules=, patterns of what to freeze; not both.")
    if patterns:
        chosen = match_parameters(model, patterns)
    elif up_to is None:
        head = {id(p) for p in model.get_classifier().parameters()}
        chosen = {name for name, p in model.named_parameters() if id(p) not in head}
    else:
        run = timeline(model)
        end = end_of(model, up_to, run)
        chosen = {name for name, _ in model.named_parameters() if run.first_use(name) < end}
    for name, parameter in model.named_parameters():
        if name in chosen:
            parameter.requires_grad_(False)
    for path, module in model.named_modules():
        own = [name for name, _ in module.named_parameters(prefix=path)]
        if isinstance(module, _NormBase) and module.track_running_stats and own and chosen.issuperset(own):
            module.frozen_statistics = True
            module.eval()


@checked(model=network)
def unfreeze(model: nn.Module, *, modules: str | Sequence[str] = ()) -> None:
    """Let everything learn again, BatchNorm statistics included; or only what matches the patterns in `modules`."""
    model = backbone(model)
    patterns = [modules] if isinstance(modules, str) else list(modules)
    chosen = match_parameters(model, patterns) if patterns else {name for name, _ in model.named_parameters()}
    for name, parameter in model.named_parameters():
        if name in chosen and parameter.is_floating_point():
            parameter.requires_grad_(True)
    for path, module in model.named_modules():
        own = [name for name, _ in module.named_parameters(prefix=path)]
        if getattr(module, "frozen_statistics", False) and chosen.issuperset(own):
            module.frozen_statistics = False
            module.train(model.training)


def keep_frozen_statistics(model: nn.Module) -> None:
    """Put BatchNorm layers that `freeze` froze back into evaluation; `VisionModel.train` ends with this."""
    for module in model.modules():
        if getattr(module, "frozen_statistics", False):
            module.eval()


def end_of(model: nn.Module, name: str, run: Timeline) -> int:
    """The tick at which a stage's map, or else the module of that path, is ready."""
    stages = [stage.name for stage in model.stage_table]
    if name in stages and stages.index(name) not in run.untold:
        return run.stage_ends[stages.index(name)]
    for path in (name, f"{run.root}.{name}"):
        if path in run.ends:
            return run.ends[path]
        inside = [end for other, end in run.ends.items() if other.startswith(f"{path}.")]
        if inside:  # a list of modules never runs itself
            return max(inside)
    hint = did_you_mean(str(name), [*stages, *run.ends], 3)
    raise ValueError(
        f"{model.config.name or type(model).__name__} has no stage or module {name!r}.{hint} "
        f"{stages_in_words(stages)}"
    )


def stages_in_words(names: Collection[str]) -> str:
    """The sentence behind "has no stage of that name": which there are."""
    return f"Its stages: {', '.join(names)}." if names else "It has none: no layer gives a map with places."


def match_parameters(model: nn.Module, patterns: Sequence[str]) -> set[str]:
    """Names of the parameters that match a pattern, or that lie in a module that does. ValueError where none does."""
    chosen: set[str] = set()
    names = [name for name, _ in model.named_parameters()]
    for pattern in patterns:
        places = [path for path, _ in model.named_modules() if path and fnmatchcase(path, pattern)]
        found = {name for name in names if fnmatchcase(name, pattern)}
        found |= {name for name in names for path in places if name.startswith(f"{path}.")}
        if not found:
            hint = did_you_mean(pattern, [path for path, _ in model.named_modules()], 3, cutoff=0.5)
            raise ValueError(
                f"No module and no parameter matches {pattern!r}.{hint} See the paths in dict(model.named_modules())."
            )
        chosen |= found
    return chosen


# --- the order of layers ----------------------------------------------------------------------------------

ROW = (nn.Sequential, nn.ModuleList)


@dataclass(frozen=True)
class Part:
    """A piece of the network that is not cut further.

    time:    when its first parameter is used;  composite: whether it is made of other modules
    in_row:  whether it stands in a row of blocks;  beside: path of a stage next to whose blocks it stands, or ""
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

    A block is what a family stacks in a row (`layer1.0`, `blocks.3`), or a whole stage where nothing is stacked.
    What stands beside the blocks goes with one: a downsampling with the block behind it, a norm with the one before.
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

    def visit(path: str, module: nn.Module, *, first: bool = False, in_row: bool = False, beside: str = "") -> Iterator[Part]:
        children = [(f"{path}.{name}", child) for name, child in module.named_children() if has_parameters(child)]
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


# --- rates by layer ---------------------------------------------------------------------------------------


def group_matcher(model: nn.Module, coarse: bool = False) -> dict[str, Any]:
    """The order of layers as timm writes it: regular expressions for the stem and for each block, in order.

    What they don't match is the head. coarse: one entry for each stage instead of each block.
    For `timm.models.group_parameters` and `timm.optim.param_groups_layer_decay`.
    """
    layers = find_layers(model)

    def pattern(paths: Sequence[str]) -> str:
        return rf"^(?:{'|'.join(re.escape(path) for path in paths)})(?:\.|$)"

    blocks: list[list[str]] = layers.blocks
    if coarse:
        by_stage: dict[int, list[str]] = {}
        for stage, paths in zip(layers.block_stage, layers.blocks):
            by_stage.setdefault(stage, []).extend(paths)
        blocks = list(by_stage.values())
    return {
        "stem": pattern(layers.stem) if layers.stem else None,
        "blocks": [(pattern(paths), (i,)) for i, paths in enumerate(blocks)],
    }


def layer_ids(model: nn.Module) -> dict[str, int]:
    """Parameter name -> number of its layer: 0 for the stem, then a number for each block, the head's last."""
    layers = find_layers(model)
    layer_of = {path: 0 for path in layers.stem}
    layer_of |= {path: i for i, paths in enumerate(layers.blocks, start=1) for path in paths}
    head = len(layers.blocks) + 1

    def layer(path: str) -> int:  # the parameter's own, or that of the part it lies in
        while path and path not in layer_of:
            path = path.rpartition(".")[0]
        return layer_of.get(path, head)

    return {name: layer(name) for name, _ in model.named_parameters()}


#: Ends of names of what is no weight of a layer, but a learnt position, token, distance or temperature.
UNDECAYED = ("pos_embed", "cls_token", "dist_token", "reg_token", "relative_position_bias_table", "logit_scale")
#: Small networks that compute such positions.
UNDECAYED_MODULES = ("cpb_mlp", "rel_pos")


def no_weight_decay(model: nn.Module) -> set[str]:
    """Names of parameters that weight decay would hurt: positions, tokens, relative positions, temperatures."""
    return {
        name for name, _ in model.named_parameters()
        if name.rpartition(".")[2].startswith(UNDECAYED) or set(name.split(".")) & set(UNDECAYED_MODULES)
    }


@checked(model=network, lr=number(0, above=True), weight_decay=number(0), layer_decay=number(0, 1, above=True),
         head_lr=number(0, above=True), no_weight_decay=words)
def parameter_groups(
    model: nn.Module,
    *,
    lr: float,
    weight_decay: float = 0.0,
    layer_decay: float | None = None,
    head_lr: float | None = None,
    no_weight_decay: Collection[str] = (),
) -> list[dict[str, Any]]:
    """Groups for any optimizer of PyTorch, each parameter that learns in exactly one.

        torch.optim.AdamW(parameter_groups(model, lr=1e-3, weight_decay=0.05, layer_decay=0.75))

    lr, weight_decay: of the last block, and of all without layer_decay
    layer_decay:      each layer learns at this share of the next one's rate, from 0 (not included) to 1. What the
                      first layers know, edges and colours, serves any task; the last ones have to change
    head_lr:          the head's own rate, for a fresh classifier; None: as the layers' order says
    no_weight_decay:  patterns of further parameters without weight decay. Norms, biases and
                      `model.no_weight_decay()` never have any

    A group is a dict: "params", "lr", "weight_decay", and "layer", "param_names" for the reader.
    Frozen parameters are in none. Raises ValueError for a rate that can't be, and for a pattern that nothing matches.
    """
    model = backbone(model)
    for option, value in (("lr", lr), ("head_lr", head_lr), ("weight_decay", weight_decay)):
        if value is not None and not value >= 0:
            raise ValueError(f"{option} is {value}: give 0 or more.")
    if layer_decay is not None and not 0 < layer_decay <= 1:
        raise ValueError(f"layer_decay is {layer_decay}: each layer's share of the next one's rate, so above 0 up to 1.")
    patterns = [no_weight_decay] if isinstance(no_weight_decay, str) else list(no_weight_decay)
    undecayed = model.no_weight_decay() | (match_parameters(model, patterns) if patterns else set())
    layered = layer_decay is not None or head_lr is not None
    ids = layer_ids(model) if layered else {}
    # of a network without a head (features alone) the last block is the last layer
    head = max(ids.values(), default=0)
    groups: dict[tuple[int | None, bool], dict[str, Any]] = {}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        layer = ids.get(name)
        rate = lr if layer_decay is None else lr * layer_decay ** (head - layer)
        if head_lr is not None and layer == head:
            rate = head_lr
        decay = 0.0 if parameter.ndim <= 1 or name in undecayed else weight_decay
        group = groups.setdefault((layer, decay > 0), {
            "params": [], "lr": rate, "weight_decay": decay, "layer": layer, "param_names": [],
        })
        group["params"].append(parameter)
        group["param_names"].append(name)
    return list(groups.values())


# --- gradient checkpointing -------------------------------------------------------------------------------


class Checkpointed:
    """Stands in for a block's `forward` while it trains: keeps only what goes in, and computes the rest again later.

    Chen et al., "Training Deep Nets with Sublinear Memory Cost", 2016.
    """

    def __init__(self, block: nn.Module):
        self.block = block

    def __call__(self, *inputs: Any, **options: Any) -> Any:
        forward = partial(type(self.block).forward, self.block)
        if not (self.block.training and torch.is_grad_enabled()):
            return forward(*inputs, **options)
        return checkpoint(forward, *inputs, use_reentrant=False, **options,
                          context_fn=lambda: (nullcontext(), without_statistics(self.block)))


@contextmanager
def without_statistics(block: nn.Module) -> Iterator[None]:
    """BatchNorm layers inside leave their statistics alone: the second time is the same batch again."""
    norms = [m for m in block.modules() if isinstance(m, _NormBase) and m.training and m.track_running_stats]
    before = [(norm, norm.momentum, norm.num_batches_tracked) for norm in norms]
    for norm in norms:
        norm.momentum, norm.num_batches_tracked = 0.0, None
    try:
        yield
    finally:
        for norm, momentum, batches in before:
            norm.momentum, norm.num_batches_tracked = momentum, batches


def set_grad_checkpointing(model: nn.Module, enable: bool = True) -> None:
    """Train with less memory: what happens inside a block is not kept for the backward pass, but computed again.

    Same loss, same gradients, BatchNorm statistics and dropout, for about a third more time. Does nothing in
    evaluation. Raises ValueError for a network that is a plain chain of layers, without blocks to compute again.
    """
    blocks = [model.get_submodule(path) for path in find_layers(model).block_modules] if enable else []
    if enable and not blocks:
        raise ValueError(
            f"{model.config.name or type(model).__name__} is a plain chain of layers, without blocks that could be "
            "computed again in the backward pass: it can't trade time for memory. Use a smaller batch or photo."
        )
    for module in model.modules():
        if isinstance(vars(module).get("forward"), Checkpointed):
            del module.forward
    for block in blocks:
        block.forward = Checkpointed(block)
