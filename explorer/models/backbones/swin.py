"""Swin Transformer: attention in windows, and a pyramid of maps.

Attention between all patches costs the square of their number. Swin lets each patch attend only to
the others in its small window, and moves the windows by half their side in every second block, so
that neighbours exchange what they know. Between the stages four patches become one, as in a
convolutional network: large maps first, small ones later, which is what detectors and segmenters
want.

Liu et al., "Swin Transformer: Hierarchical Vision Transformer using Shifted Windows", 2021,
https://arxiv.org/abs/2103.14030; the S3 variants: Chen et al., "Searching the Search Space of
Vision Transformer", 2021, https://arxiv.org/abs/2111.14725. Parameter names are timm's. Maps are
channels-last inside, [B, H, W, C].
"""

from __future__ import annotations

import math
import re
from collections.abc import Generator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from explorer.models.contract import Stage, VisionModel
from explorer.models.layers.drop import DropPath, drop_path_rates
from explorer.models.layers.init import init_linear
from explorer.models.layers.pool import ClassifierHead
from explorer.models.layers.relative_position import resize_bias_table
from explorer.models.layers.transformer import Mlp, PatchEmbed
from explorer.models.layers.windows import (
    fit_window,
    relative_position_index,
    shifted_window_mask,
    window_partition,
    window_reverse,
)


class MapPatchEmbed(PatchEmbed):
    """Patches as a channels-last map with a norm: [B, in_chans, H, W] -> [B, H/p, W/p, embed_dim].
    """

    def __init__(self, img_size: int | tuple[int, int], patch_size: int, *, in_chans: int,
                 embed_dim: int):
        super().__init__(img_size, patch_size, in_chans=in_chans, embed_dim=embed_dim)
        self.norm = nn.LayerNorm(embed_dim)

    def forward(self, x: Tensor) -> Tensor:
        if tuple(x.shape[-2:]) != self.img_size:
            raise ValueError(
                f"This model reads photos of {self.img_size[0]} x {self.img_size[1]} pixels; "
                f"got {x.shape[-2]} x {x.shape[-1]}. Resize the photo, or create the model with "
                f"img_size=({x.shape[-2]}, {x.shape[-1]})."
            )
        return self.norm(self.proj(x).permute(0, 2, 3, 1))


class PatchMerging(nn.Module):
    """Four neighbours become one patch: [B, H, W, C] -> [B, H/2, W/2, out]; an odd side gets a row
    of zeros.
    """

    def __init__(self, dim: int, out_dim: int):
        super().__init__()
        self.norm = nn.LayerNorm(4 * dim)
        self.reduction = nn.Linear(4 * dim, out_dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.reduction(self.norm(gather_neighbours(x)))


def gather_neighbours(x: Tensor) -> Tensor:
    """Squares of 2 x 2 places side by side: [B, H, W, C] -> [B, H/2, W/2, 4C], column by column of
    the square.
    """
    _, height, width, _ = x.shape
    x = F.pad(x, (0, 0, 0, width % 2, 0, height % 2))
    return torch.cat((x[:, 0::2, 0::2], x[:, 1::2, 0::2], x[:, 0::2, 1::2], x[:, 1::2, 1::2]),
                     dim=-1)


class WindowAttention(nn.Module):
    """Self-attention among the N tokens of each window: [B, windows, N, C] -> [B, windows, N, C].

    A learnt number for each offset between two tokens is added to how well they fit; so the network
    knows where in the window they are. Section 3.2 of the paper.
    """

    def __init__(self, dim: int, num_heads: int, window_size: tuple[int, int], *,
                 qkv_bias: bool = True, attn_drop: float = 0.0, proj_drop: float = 0.0):
        super().__init__()
        if dim % num_heads:
            raise ValueError(f"{dim} channels can't be shared by {num_heads} heads: "
                             f"use a divisor of {dim}.")
        self.num_heads, self.window_size = num_heads, window_size
        self.scale = (dim // num_heads) ** -0.5
        h, w = window_size
        self.relative_position_bias_table = nn.Parameter(torch.zeros((2 * h - 1) * (2 * w - 1),
                                                                     num_heads))
        self.register_buffer("relative_position_index", relative_position_index(window_size),
                             persistent=False)
        self.qkv = nn.Linear(dim, 3 * dim, bias=qkv_bias)
        self.attn_drop = nn.Dropout(attn_drop)
        self.proj = nn.Linear(dim, dim)
        self.proj_drop = nn.Dropout(proj_drop)

    def position_bias(self, mask: Tensor | None = None) -> Tensor:
        """What is added to the fit of each two tokens: [1 or windows, heads, N, N]; -infinity where
        `mask` is.
        """
        table = self.relative_position_bias_table
        bias = table[self.relative_position_index.to(table.device)]  # [N, N, heads]
        return hide(bias.permute(2, 0, 1)[None], mask)

    def queries_keys_values(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Three tensors [B, windows, heads, N, C / heads] of tokens [B, windows, N, C]."""
        # [B, windows, N, 3, heads, C / heads]
        qkv = self.qkv(x).unflatten(3, (3, self.num_heads, -1))
        return qkv.permute(3, 0, 1, 4, 2, 5).unbind(0)

    def attention_weights(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """How much each token (row) takes from each in its window: [B, windows, heads, N, N]; rows
        sum to 1.

        x, mask: what `forward` gets.
        """
        query, key, _ = self.queries_keys_values(x)
        fit = query * self.scale @ key.transpose(-2, -1)
        return (fit + self.position_bias(mask)).softmax(dim=-1)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """mask: True where two tokens must not see each other, [windows, N, N]."""
        query, key, value = self.queries_keys_values(x)
        x = F.scaled_dot_product_attention(
            query, key, value, attn_mask=self.position_bias(mask),
            dropout_p=self.attn_drop.p if self.training else 0.0,
        )  # [B, windows, heads, N, C / heads]
        return self.proj_drop(self.proj(x.transpose(2, 3).flatten(3)))


def hide(bias: Tensor, mask: Tensor | None) -> Tensor:
    """A bias [1, heads, N, N], minus infinity where `mask` [windows, N, N] is True:
    [windows, heads, N, N].
    """
    return bias if mask is None else bias.masked_fill(mask.to(bias.device)[:, None], float("-inf"))


class WindowBlock(nn.Module):
    """The way through a block's windows: pad, shift, cut, attend, and all of it back.

    input_size: rows and columns of the map that the block is built for.
    """

    def __init__(self, input_size: tuple[int, int], window_size: int, *, shift: bool):
        super().__init__()
        self.input_size = input_size
        self.window_size, self.shift_size = fit_window(window_size, shift, input_size)
        #: Rows below and columns to the right that fill the last windows.
        self.padding = tuple(-side % window for side, window in zip(input_size, self.window_size))
        self.padded_size = tuple(side + more for side, more in zip(input_size, self.padding))
        mask = shifted_window_mask(self.padded_size, self.window_size, self.shift_size)
        self.register_buffer("attn_mask", mask, persistent=False)

    def to_windows(self, x: Tensor) -> Tensor:
        """A map [B, H, W, C] -> windows of tokens [B, windows, N, C], shifted in every second
        block.
        """
        if any(self.shift_size):
            x = x.roll((-self.shift_size[0], -self.shift_size[1]), dims=(1, 2))
        x = F.pad(x, (0, 0, 0, self.padding[1], 0, self.padding[0]))
        return window_partition(x, self.window_size)

    def to_map(self, windows: Tensor) -> Tensor:
        """What `to_windows` cut, put together again: [B, windows, N, C] -> [B, H, W, C]."""
        height, width = self.input_size
        x = window_reverse(windows, self.window_size, self.padded_size)[:, :height, :width]
        return x.roll(self.shift_size, dims=(1, 2)) if any(self.shift_size) else x


class SwinBlock(WindowBlock):
    """Attention in windows, then an MLP, each a correction added to its input: [B, H, W, C]
    -> [B, H, W, C].
    """

    def __init__(self, dim: int, num_heads: int, input_size: tuple[int, int], window_size: int, *,
                 shift: bool, mlp_ratio: float, qkv_bias: bool, proj_drop: float, attn_drop: float,
                 drop_path: float):
        super().__init__(input_size, window_size, shift=shift)
        self.norm1 = nn.LayerNorm(dim)
        self.attn = WindowAttention(dim, num_heads, self.window_size, qkv_bias=qkv_bias,
                                    attn_drop=attn_drop, proj_drop=proj_drop)
        self.drop_path1 = DropPath(drop_path) if drop_path else nn.Identity()
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = Mlp(dim, int(dim * mlp_ratio), drop=proj_drop)
        self.drop_path2 = DropPath(drop_path) if drop_path else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        mixed = self.to_map(self.attn(self.to_windows(self.norm1(x)), self.attn_mask))
        x = x + self.drop_path1(mixed)
        return x + self.drop_path2(self.mlp(self.norm2(x)))


class SwinStage(nn.Module):
    """Fewer, wider patches, then blocks whose windows move: [B, H, W, C] -> [B, H/2, W/2, out]."""

    def __init__(self, downsample: nn.Module, blocks: Sequence[nn.Module]):
        super().__init__()
        self.downsample = downsample
        self.blocks = nn.Sequential(*blocks)

    def forward(self, x: Tensor) -> Tensor:
        return self.blocks(self.downsample(x))


class SwinTransformer(VisionModel):
    """Photo [B, in_chans, H, W] -> logits [B, num_classes].

    img_size:    side of the photo in pixels, or (height, width); the model is built for that size
    patch_size:  side of a patch in pixels
    embed_dim:   numbers in a patch of the first stage; each later stage doubles it
    depths, num_heads: blocks, and heads of attention, in each stage
    window_size: side of a window in patches, one for all stages or one for each; no larger than the
                 stage's map
    mlp_ratio:   how many times wider than a patch the MLP's middle is
    drop_rate, proj_drop_rate, attn_drop_rate, drop_path_rate: dropout in front of the classifier,
                 in the branches, of attention weights, of whole branches
    block, downsample, stage_options: the parts, and more options for each stage's blocks (see
        `swinv2.py`)

    `forward_features` gives a channels-last map [B, H/32, W/32, C], as timm does; stages are
    [B, C, H, W].
    """

    classifier_path = "head.fc"
    fixed_image_size = True
    feature_names = "_"

    def __init__(
        self,
        img_size: int | tuple[int, int] = 224,
        patch_size: int = 4,
        *,
        in_chans: int = 3,
        num_classes: int = 1000,
        global_pool: str = "avg",
        embed_dim: int = 96,
        depths: Sequence[int] = (2, 2, 6, 2),
        num_heads: Sequence[int] = (3, 6, 12, 24),
        window_size: int | Sequence[int] = 7,
        mlp_ratio: float = 4.0,
        qkv_bias: bool = True,
        drop_rate: float = 0.0,
        proj_drop_rate: float = 0.0,
        attn_drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
        block: Any = SwinBlock,
        downsample: Any = PatchMerging,
        stage_options: Sequence[dict[str, Any]] | None = None,
    ):
        super().__init__()
        depths, num_heads = tuple(depths), tuple(num_heads)
        same = isinstance(window_size, int)
        windows = (window_size,) * len(depths) if same else tuple(window_size)
        more = stage_options or [{}] * len(depths)
        if not len(depths) == len(num_heads) == len(windows) == len(more):
            raise ValueError(
                f"depths {depths}, num_heads {num_heads} and window_size {windows} must have one "
                "entry for each stage."
            )
        self.num_classes, self.in_chans, self.drop_rate = num_classes, in_chans, drop_rate
        self.embed_dim, self.num_features = embed_dim, embed_dim * 2 ** (len(depths) - 1)

        self.patch_embed = MapPatchEmbed(img_size, patch_size, in_chans=in_chans,
                                         embed_dim=embed_dim)
        size, dim = self.patch_embed.grid_size, embed_dim
        rates = drop_path_rates(drop_path_rate, depths)
        layers, stages = [], []
        for i, depth in enumerate(depths):
            merge: nn.Module = nn.Identity()
            if i:
                merge = downsample(dim, 2 * dim)
                size, dim = ((size[0] + 1) // 2, (size[1] + 1) // 2), 2 * dim
            layers.append(SwinStage(merge, [
                block(dim, num_heads[i], size, windows[i], shift=j % 2 == 1, mlp_ratio=mlp_ratio,
                      qkv_bias=qkv_bias, proj_drop=proj_drop_rate, attn_drop=attn_drop_rate,
                      drop_path=rates[i][j], **more[i])
                for j in range(depth)
            ]))
            stages.append(Stage(f"layers{i}", f"layers.{i}", dim, patch_size * 2**i))
        self.layers = nn.Sequential(*layers)
        self.norm = nn.LayerNorm(dim)
        self.head = ClassifierHead(dim, num_classes, global_pool, drop_rate)
        self.stages = tuple(stages)
        self.init_weights()

    def init_weights(self) -> None:
        """Small normal weights and biases of zero, as in the paper's own code."""
        for module in self.modules():
            if isinstance(module, nn.Linear):
                init_linear(module)
            elif isinstance(module, WindowAttention):
                nn.init.trunc_normal_(module.relative_position_bias_table, std=0.02)

    def forward_stages(self, x: Tensor) -> Generator[Tensor, None, Tensor]:
        x = self.patch_embed(x)  # [B, H/4, W/4, C]
        for layer in self.layers:
            x = layer(x)
            yield x.permute(0, 3, 1, 2)  # layers0 [B, C, H/4, W/4] ... layers3 [B, 8C, H/32, W/32]
        return self.norm(x)  # [B, H/32, W/32, 8C]

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        if self.head.global_pool.pool_type:  # unpooled, the map stays channels-last
            x = x.permute(0, 3, 1, 2)
        return super().forward_head(x, pre_logits)

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        super().reset_classifier(num_classes, global_pool)
        if num_classes:
            init_linear(self.head.fc)

    def adapt_state_dict(self, state: dict[str, Tensor], report: Any) -> dict[str, Tensor]:
        """Trained tensors with our names -> those that fit this model's windows; see `LoadReport`.
        """
        state = {key: value for key, value in state.items() if not key.endswith(FIXED)}
        own = dict(self.named_parameters())
        for key in [key for key in state if key.endswith("relative_position_bias_table")
                    and key in own]:
            window = self.get_submodule(key.rpartition(".")[0]).window_size
            side = (math.isqrt(len(state[key])) + 1) // 2
            oblong = window[0] != window[1]
            if (side, side) == window or oblong and len(state[key]) == len(own[key]):
                continue
            state[key] = resize_bias_table(state[key], window)
            size = f"{window[0]} x {window[1]}"
            report.adapted.append(f"{key}: from windows of {side} x {side} patches to {size}")
        return state


#: Ends of names of tensors that follow from the window size, which some files hold all the same.
FIXED = ("relative_position_index", "relative_coords_table", "attn_mask")


MODEL = SwinTransformer


# --- variants -------------------------------------------------------------------------------------

_TINY = dict(embed_dim=96, depths=(2, 2, 6, 2), num_heads=(3, 6, 12, 24))
_SMALL = dict(embed_dim=96, depths=(2, 2, 18, 2), num_heads=(3, 6, 12, 24))
_BASE = dict(embed_dim=128, depths=(2, 2, 18, 2), num_heads=(4, 8, 16, 32))
_LARGE = dict(embed_dim=192, depths=(2, 2, 18, 2), num_heads=(6, 12, 24, 48))
_SEARCHED_BASE = dict(embed_dim=96, depths=(2, 2, 30, 2), num_heads=(3, 6, 12, 24))

VARIANTS: dict[str, dict[str, Any]] = {
    "swin_tiny_patch4_window7_224": dict(_TINY),
    "swin_small_patch4_window7_224": dict(_SMALL),
    "swin_base_patch4_window7_224": dict(_BASE),
    "swin_base_patch4_window12_384": dict(_BASE, window_size=12, img_size=384),
    "swin_large_patch4_window7_224": dict(_LARGE),
    "swin_large_patch4_window12_384": dict(_LARGE, window_size=12, img_size=384),

    "swin_s3_tiny_224": dict(_TINY, window_size=(7, 7, 14, 7)),
    "swin_s3_small_224": dict(_SMALL, window_size=(14, 14, 14, 7)),
    "swin_s3_base_224": dict(_SEARCHED_BASE, window_size=(7, 7, 14, 7)),
}


# --- names in other people's files ----------------------------------------------------------------


def from_microsoft(state: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    """The names in the paper's own files, where patches merge at the end of a stage, not at the
    start of the next.
    """
    mapped = {}
    for key, value in state.items():
        if match := re.match(r"layers\.(\d+)\.downsample\.(.*)", key):
            key = f"layers.{int(match[1]) + 1}.downsample.{match[2]}"
        elif key in ("head.weight", "head.bias"):
            key = key.replace("head.", "head.fc.")
        mapped[key] = value
    return mapped


def from_torchvision(state: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    """torchvision's names of the same layers: there, `features` holds patches, blocks and merging
    in turn.
    """
    outside = (("features.0.0.", "patch_embed.proj."), ("features.0.2.", "patch_embed.norm."),
               ("head.", "head.fc."))
    mapped = {}
    for key, value in state.items():
        if match := re.match(r"features\.([1-9]\d*)\.(.*)", key):
            place, rest = int(match[1]), match[2]
            if place % 2 == 0:
                mapped[f"layers.{place // 2}.downsample.{rest}"] = value
                continue
            rest = rest.replace(".mlp.0.", ".mlp.fc1.").replace(".mlp.3.", ".mlp.fc2.")
            mapped[f"layers.{place // 2}.blocks.{rest}"] = value
            continue
        for theirs, ours in outside:
            if key.startswith(theirs):
                key = ours + key.removeprefix(theirs)
                break
        mapped[key] = value
    return mapped


KEY_MAPS = {"microsoft": from_microsoft, "torchvision": from_torchvision}
