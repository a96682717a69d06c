"""Where a transformer looks: the attention of every block, on request.

The fast way to compute attention never holds its weights in memory, so there is nothing to read off
afterwards. Every attention layer here has a method that computes them again, `attention_weights`; it gets
exactly what the layer got.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from explorer.arguments import batch, checked, network
from explorer.models.contract import evaluation, resolve_indices
from explorer.models.surgery.inside import backbone
from explorer.models.surgery.staged import Staged
from explorer.models.watching import Turn, watching


def parents(path: str) -> list[str]:
    """The paths of the modules around the one at `path`, the nearest first, the network itself ("") last."""
    names = path.split(".")
    return [".".join(names[:count]) for count in range(len(names) - 1, -1, -1)]


@dataclass(frozen=True)
class AttentionMap:
    """How much each token (row) takes from each token (column), in one layer; every row sums to 1.

    (But for differential attention, which takes one map away from another, and linear attention, with a
    little less.)

    path:    of the layer, e.g. "blocks.3.attn"; with the number of the call where it runs again, "attn:2"
    weights: [B, heads, N, N]; where attention stays in windows [B * windows, heads, N, N], photo by photo, in
             each the windows row by row. Columns may be fewer than rows, where keys are read from a smaller
             map, or more, where a class token or the places of a smaller map ask
    windows: how many windows a photo has, 1 where every token sees all
    prefix:  how many tokens stand for no patch (class token, registers); the first ones
    grid:    rows and columns of the places that the other N - prefix columns of `weights` stand for, in the
             photo or in a window; None where they form no rectangle that is known
    window:  what of windows is known, in rows and columns of the map: "size" of one, "shift" of all,
             "map_size", and "padded_size", the map filled up to whole windows
    strided: whether a window's places are spread over the whole map (MaxViT's grids), not neighbours
    """

    path: str
    weights: Tensor
    windows: int = 1
    prefix: int = 0
    grid: tuple[int, int] | None = None
    window: dict[str, tuple[int, int]] | None = None
    strided: bool = False


@checked(model=network, image_tensor=batch)
def attention_maps(
    model: nn.Module, image_tensor: Tensor, *, blocks: int | Sequence[int] | None = None
) -> dict[str, AttentionMap]:
    """The attention weights of a transformer for photos [B, C, H, W]: path of the layer -> `AttentionMap`.

    blocks: which attention layers, by number from the first, negative from the last; an int n: the last n;
            None: all

    In evaluation mode and without gradients; the model is left as it was. Raises ValueError for a network
    without attention, IndexError for a layer that there is not. `explorer.attention_maps` takes a photo, too.
    """
    network = backbone(model)
    modules = dict(network.named_modules())
    asked: dict[str, Any] = {path: getattr(m, "attention_weights", None) for path, m in modules.items()}
    layers = [(path, m) for path, m in modules.items() if callable(asked[path])]
    name = network.config.name or type(network).__name__
    inner = getattr(network, "module", None)
    kinds = {type(part).__name__ for part in inner.modules()} if isinstance(inner, nn.Module) else ()
    if not layers and any("attention" in kind.lower() for kind in kinds):
        raise ValueError(
            f"{name} is another library's model, whose attention layers keep their weights to themselves. "
            "Take one of explorer's own transformers; often it has the same name without the library's in "
            "front."
        )
    if not layers:
        raise ValueError(
            f"{name} has no attention layers whose weights could be shown. Take a transformer, such as "
            "vit_tiny_patch16_224, deit_tiny_patch16_224 or swin_tiny_patch4_window7_224; what a "
            "convolutional network answers to is in its feature maps (explorer.look)."
        )
    chosen = [layers[index] for index in resolve_indices(blocks, len(layers), "blocks")]
    found: list[tuple[Turn, Tensor]] = []
    sizes: list[tuple[int, int]] = []  # rows and columns of the stages' maps

    def keep(turn: Turn, layer: nn.Module, inputs: tuple, options: dict) -> None:
        # with the same mask, if there is one
        found.append((turn, asked[turn.path](*inputs, **options)))

    with torch.no_grad(), evaluation(network), watching(dict(chosen), before=keep):
        features, maps = network.forward_intermediates(image_tensor)
        sizes = [tuple(each.shape[-2:]) for each in maps]
        network.forward_head(features)
    if blocks is not None:  # in the order asked for; otherwise in that of the network
        paths = [path for path, _ in chosen]
        found.sort(key=lambda each: paths.index(each[0].path))
    return {turn.name: describe(network, turn, weights, image_tensor, sizes) for turn, weights in found}


def describe(
    network: Staged, turn: Turn, weights: Tensor, photos: Tensor, sizes: Sequence[tuple[int, int]]
) -> AttentionMap:
    """The weights [B, heads, N, N] or [B, windows, heads, N, N] with what is known of their places.

    sizes: rows and columns of the stages' maps in that pass
    """
    path = turn.name
    if weights.ndim == 5:
        weights = weights.flatten(0, 1)  # [B * windows, heads, N, N]
    windows, (asking, tokens) = len(weights) // len(photos), weights.shape[-2:]
    around = [network.get_submodule(place) for place in parents(turn.path)]
    block = around[0]
    facts = {"size": getattr(block, "window_size", getattr(block, "window", None)),
             "shift": getattr(block, "shift_size", None), "map_size": getattr(block, "input_size", None),
             "padded_size": getattr(block, "padded_size", None)}
    known = {key: tuple(value) for key, value in facts.items() if isinstance(value, (tuple, list))}
    if windows > 1 or "size" in known:
        return AttentionMap(path, weights, windows, 0, known.get("size"), known or None, "attn_grid" in path)
    counts = (getattr(place, "num_prefix_tokens", None) for place in around)
    prefix = next((count for count in counts if count is not None), 0)
    height, width = photos.shape[-2:]
    # between two stages there may be maps that no stage shows: those of the strides, rounded up
    strides = sorted({stage.reduction for stage in network.stage_table})
    for grid in dict.fromkeys([*sizes, *((-(-height // stride), -(-width // stride)) for stride in strides)]):
        for before in dict.fromkeys((prefix, 0, asking)):  # the last: class tokens that ask alone
            if grid[0] * grid[1] == tokens - before:
                return AttentionMap(path, weights, windows, before, grid)
    return AttentionMap(path, weights, windows, prefix)
