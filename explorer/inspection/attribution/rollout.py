"""What a transformer's attention says of a photo: one head of one block, or the flow through all (rollout).

Attention weights say how a layer mixes its tokens. They are the same whatever class is asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn

from explorer.inspection.look.model import evaluating
from explorer.models.attention import AttentionMap, attention_maps
from explorer.models.contract import VisionModel, parameter_place


def read_attention(model: VisionModel, photo: Tensor) -> dict[str, AttentionMap]:
    """Every layer's attention for one input [C, H, W], float32 on the CPU; see `attention_maps`. One pass."""
    with evaluating(model):
        maps = attention_maps(model, photo[None].to(**parameter_place(model)))
    return {path: replace(each, weights=each.weights.float().cpu()) for path, each in maps.items()}


def rollout(maps: Mapping[str, AttentionMap], *, reads_class_token: bool) -> Tensor:
    """Which patches the photo's summary comes from, through all blocks: [rows, columns], together 1 or less.

    Abnar and Zuidema, Quantifying Attention Flow in Transformers (ACL 2020), section 3: each layer's mean
    over heads, half of it replaced by the identity, for the way past the layer; then the product of all
    layers.

    reads_class_token: whether the classifier reads the first token, or else the mean of the patches
    Raises ValueError where tokens don't stay the same from first to last block, or attention is no mixture.
    """
    layers = list(maps.values())
    if why := why_no_rollout(layers):
        raise ValueError(why)
    flow = torch.eye(layers[0].weights.shape[-1])
    for layer in layers:
        mixed = 0.5 * layer.weights[0].mean(0) + 0.5 * torch.eye(len(flow))  # [N, N]
        flow = (mixed / mixed.sum(-1, keepdim=True)) @ flow
    prefix = layers[0].prefix
    summary = flow[0] if reads_class_token else flow[prefix:].mean(0)  # [N]
    return summary[prefix:].unflatten(0, layers[0].grid)


def why_no_rollout(layers: list[AttentionMap]) -> str:
    """Why attention can't be followed through these layers, in a sentence; "" where it can."""
    instead = ('Use method="gradcam", or a plain transformer such as vit_tiny_patch16_224 or '
               'deit_tiny_patch16_224; method="attention" shows one layer.')
    if any(layer.windows > 1 for layer in layers):
        return ("Attention rollout follows tokens that all see each other; "
                "this network's attention stays in windows. "
                + instead)
    shapes = {tuple(layer.weights.shape[-2:]) for layer in layers}
    first = layers[0]
    if len(shapes) > 1 or first.weights.shape[-1] != first.weights.shape[-2] or first.grid is None:
        return ("Attention rollout follows the same tokens from the first block to the last; this network's "
                "tokens change on the way. " + instead)
    if any((layer.weights < 0).any() for layer in layers):
        return ("Attention rollout multiplies shares; this network takes one attention map away from "
                "another, so there are negative ones. " + instead)
    return ""


def attention_of(
    maps: Mapping[str, AttentionMap], *, head: int | None = None, block: int = -1,
    query: tuple[int, int] | None = None,
) -> Tensor:
    """How much one head of one block takes from each place, for the first photo: [rows, columns].

    head:  its number, None for the mean of all;  block: number of the attention layer, negative from the last
    query: for which place (row, column) of the grid; None: for the class token, where there is one, or else
           the mean over all places
    Layers whose attention stays in windows show, for every place, the mean that its own window takes from it.
    Raises IndexError for a head, block or place that there is not, ValueError where the tokens' places aren't
    known.
    """
    layers = list(maps.values())
    if not -len(layers) <= block < len(layers):
        raise IndexError(f"Block {block} is outside of the {len(layers)} attention layers: use "
                         f"{-len(layers)} to {len(layers) - 1}.")
    layer = layers[block]
    heads = layer.weights.shape[1]
    if head is not None and not -heads <= head < heads:
        raise IndexError(f"{layer.path} has {heads} heads; got head {head}: use 0 to {heads - 1}, "
                         "or None for their mean.")
    weights = layer.weights.mean(1) if head is None else layer.weights[:, head]  # [windows, N, N]
    if not has_places(layer):
        others = [number for number, other in enumerate(layers) if has_places(other)]
        instead = f"take block {others[-1]}" if others else "no block does; Grad-CAM shows a map"
        raise ValueError(f"{layer.path} mixes tokens whose places in the photo aren't known: {instead}.")
    if layer.windows > 1:
        if query is not None:
            raise ValueError("A query place is for attention among all places; "
                             "this layer's stays in windows.")
        return _from_windows(layer, weights)
    rows = weights[0][:, layer.prefix:]  # [N, places]
    if query is not None:
        if weights.shape[-2] != weights.shape[-1]:
            raise ValueError(f"In {layer.path} not every place asks, so none can be picked as query.")
        row, column = query
        if not (0 <= row < layer.grid[0] and 0 <= column < layer.grid[1]):
            raise IndexError(f"The grid has {layer.grid[0]} rows and {layer.grid[1]} columns; "
                             f"there is no place {query}.")
        found = rows[layer.prefix + row * layer.grid[1] + column]
    else:
        found = rows[0] if layer.prefix else rows[layer.prefix:].mean(0)
    return found.unflatten(0, layer.grid)


def has_places(layer: AttentionMap) -> bool:
    """Whether it is known where in the photo the tokens are that a layer takes from."""
    tokens = layer.weights.shape[-1]
    if layer.windows == 1:
        return layer.grid is not None and layer.grid[0] * layer.grid[1] + layer.prefix == tokens
    size, padded = _window_and_map(layer)
    whole = size and padded and padded[0] % size[0] == 0 and padded[1] % size[1] == 0
    return bool(whole and not layer.strided and layer.windows * size[0] * size[1] == padded[0] * padded[1]
                and tokens == size[0] * size[1])


def _window_and_map(layer: AttentionMap) -> tuple[tuple[int, int] | None, tuple[int, int] | None]:
    """Rows and columns of a window, and of the map filled up to whole windows; None where unknown."""
    facts = layer.window or {}
    return facts.get("size"), facts.get("padded_size", facts.get("map_size"))


def _from_windows(layer: AttentionMap, weights: Tensor) -> Tensor:
    """The mean that each place's window takes from it: [windows, N, N] made one map [rows, columns]."""
    facts = layer.window or {}
    size, padded = _window_and_map(layer)
    down, across = padded[0] // size[0], padded[1] // size[1]
    taken = weights.mean(1).unflatten(1, size).unflatten(0, (down, across))  # [down, across, h, w]
    taken = taken.permute(0, 2, 1, 3).reshape(padded)
    if "shift" in facts:  # windows were cut after all was moved up and to the left
        taken = taken.roll(facts["shift"], (0, 1))
    rows, columns = facts.get("map_size", padded)
    return taken[:rows, :columns]


def reads_class_token(model: nn.Module) -> bool:
    """Whether a transformer's classifier reads the class token alone."""
    return getattr(model, "global_pool", None) == "token"
