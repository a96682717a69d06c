"""Rates by layer: early layers learn slowly.

    groups = explorer.parameter_groups(model, lr=1e-3, layer_decay=0.75)
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import Any

from torch import nn

from explorer.arguments import checked, network, number, words
from explorer.models.surgery.inside import backbone
from explorer.models.surgery.layer_order import find_layers
from explorer.models.surgery.matching import match_parameters


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
    """Parameter name -> number of its layer:
    0 for the stem, then a number for each block, the head's last.
    """
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
UNDECAYED = ("pos_embed", "cls_token", "dist_token", "reg_token", "relative_position_bias_table",
             "logit_scale")
#: Small networks that compute such positions.
UNDECAYED_MODULES = ("cpb_mlp", "rel_pos")


def no_weight_decay(model: nn.Module) -> set[str]:
    """Names of parameters that weight decay would hurt:
    positions, tokens, relative positions, temperatures.
    """
    return {
        name for name, _ in model.named_parameters()
        if name.rpartition(".")[2].startswith(UNDECAYED) or set(name.split(".")) & set(UNDECAYED_MODULES)
    }


@checked(model=network, lr=number(0, above=True), weight_decay=number(0),
         layer_decay=number(0, 1, above=True), head_lr=number(0, above=True), no_weight_decay=words)
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
    layer_decay:      each layer learns at this share of the next one's rate, from 0 (not included) to 1. What
                      the first layers know, edges and colours, serves any task; the last ones have to change
    head_lr:          the head's own rate, for a fresh classifier; None: as the layers' order says
    no_weight_decay:  patterns of further parameters without weight decay. Norms, biases and
                      `model.no_weight_decay()` never have any

    A group is a dict: "params", "lr", "weight_decay", and "layer", "param_names" for the reader.
    Frozen parameters are in none. Raises ValueError for a rate that can't be, and for a pattern that nothing
    matches.
    """
    model = backbone(model)
    for option, value in (("lr", lr), ("head_lr", head_lr), ("weight_decay", weight_decay)):
        if value is not None and not value >= 0:
            raise ValueError(f"{option} is {value}: give 0 or more.")
    if layer_decay is not None and not 0 < layer_decay <= 1:
        raise ValueError(f"layer_decay is {layer_decay}: each layer's share of the next one's rate, so above "
                         "0 up to 1.")
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
        rate = lr if layer_decay is None or layer is None else lr * layer_decay ** (head - layer)
        if head_lr is not None and layer == head:
            rate = head_lr
        decay = 0.0 if parameter.ndim <= 1 or name in undecayed else weight_decay
        group = groups.setdefault((layer, decay > 0), {
            "params": [], "lr": rate, "weight_decay": decay, "layer": layer, "param_names": [],
        })
        group["params"].append(parameter)
        group["param_names"].append(name)
    return list(groups.values())
