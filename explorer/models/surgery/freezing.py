"""Freezing: what training shall leave alone.

    model.freeze()                       # all but the classifier
    model.freeze("layer3")               # everything up to and including that stage
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn
from torch.nn.modules.batchnorm import _NormBase

from explorer.arguments import checked, network
from explorer.display.words import did_you_mean
from explorer.models.surgery.clock import Timeline, timeline
from explorer.models.surgery.inside import backbone, stages_in_words
from explorer.models.surgery.matching import match_parameters
from explorer.models.surgery.staged import Staged


@checked(model=network)
def freeze(model: nn.Module, up_to: str | None = None, *, modules: str | Sequence[str] = ()) -> None:
    """Parameters that training shall leave alone, and BatchNorm statistics with them.

    up_to:   the last stage that is frozen, by the name in `model.stage_table`, or a module's path: it and all
             that the photo meets before it;  None: everything but the classifier
    modules: patterns such as "layer1.*" or "*.bn?" instead: exactly these modules and parameters

    Freezing adds to what is frozen already; `unfreeze` takes it all back. A BatchNorm layer whose parameters
    are frozen stays in evaluation, also after `model.train()`: otherwise its statistics would drift away from
    weights that can't follow. Raises ValueError for an unknown name, with the stages and the nearest names.
    """
    model = backbone(model)
    patterns = [modules] if isinstance(modules, str) else list(modules)
    if patterns and up_to is not None:
        raise ValueError("Give up_to=, the last stage to freeze, or modules=, patterns of what to freeze; "
                         "not both.")
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
            module.frozen_statistics = True  # pyright: ignore[reportArgumentType]  # torch's stub: no bool
            module.eval()


@checked(model=network)
def unfreeze(model: nn.Module, *, modules: str | Sequence[str] = ()) -> None:
    """Let everything learn again, BatchNorm statistics included.

    Or only what matches the patterns in `modules`.
    """
    model = backbone(model)
    patterns = [modules] if isinstance(modules, str) else list(modules)
    chosen = match_parameters(model, patterns) if patterns else {name for name, _ in model.named_parameters()}
    for name, parameter in model.named_parameters():
        if name in chosen and parameter.is_floating_point():
            parameter.requires_grad_(True)
    for path, module in model.named_modules():
        own = [name for name, _ in module.named_parameters(prefix=path)]
        if getattr(module, "frozen_statistics", False) and chosen.issuperset(own):
            module.frozen_statistics = False  # pyright: ignore[reportArgumentType]  # torch's stub: no bool
            module.train(model.training)


def keep_frozen_statistics(model: nn.Module) -> None:
    """Put BatchNorm layers that `freeze` froze back into evaluation; `VisionModel.train` ends with this."""
    for module in model.modules():
        if getattr(module, "frozen_statistics", False):
            module.eval()


def end_of(model: Staged, name: str, run: Timeline) -> int:
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
