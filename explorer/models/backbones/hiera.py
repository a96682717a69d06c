"""Hiera: a pyramid of attention without the bells and whistles.

Transformers with a pyramid, such as Swin, had gathered shifted windows, relative positions and
convolutions to learn from ImageNet. Hiera takes all of that away and lets the network learn it
instead, by filling in photos of which six parts of ten are covered (MAE). What is left: attention
inside small windows while maps are large, attention over the whole map later, and a step to a
smaller map by taking the strongest of four neighbouring queries.

Ryali et al., "Hiera: A Hierarchical Vision Transformer without the Bells-and-Whistles", 2023,
https://arxiv.org/abs/2306.00989; positions of the "abswin" variants: Bolya et al., "Window
Attention is Bugged: How not to Interpolate Position Embeddings", 2023,
https://arxiv.org/abs/2311.05613. Parameter names are timm's. Maps are channels-last inside,
[B, H, W, C].
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from explorer.models.contract import Stage, VisionModel, parameter_place
from explorer.models.layers.drop import DropPath, drop_path_rates
from explorer.models.layers.init import init_linear, rescale_branches
from explorer.models.layers.transformer import LayerScale, Mlp, resample_abs_pos_embed, to_pair
from explorer.models.layers.windows import window_partition, window_reverse

# patches on a side of the window that the first stage attends in; MAE covers whole windows
UNIT = 8
POOLS = ("avg", "max", "avgmax", "")


def strongest_of_four(x: Tensor) -> Tensor:
    """The largest of each 2 x 2 places, in every channel: [B, H, W, C] -> [B, H/2, W/2, C]."""
    return x.unflatten(2, (-1, 2)).unflatten(1, (-1, 2)).amax(dim=(2, 4))


def mean_of_four(x: Tensor) -> Tensor:
    """The mean of each 2 x 2 places: [B, H, W, C] -> [B, H/2, W/2, C]."""
    return x.unflatten(2, (-1, 2)).unflatten(1, (-1, 2)).mean(dim=(2, 4))


class PooledAttention(nn.Module):
    """Self-attention in windows or over the whole map: [B, H, W, in] -> [B, H, W, C].

    window: patches on a window's side; None: the map is one window
    pool:   the strongest of four neighbouring queries asks for all of them: [B, H, W, in]
            -> [B, H/2, W/2, C]
    """

    def __init__(self, in_dim: int, dim: int, num_heads: int, *, window: int | None, pool: bool):
        super().__init__()
        if dim % num_heads:
            raise ValueError(f"{dim} channels can't be shared by {num_heads} heads: "
                             f"use a divisor of {dim}.")
        self.num_heads, self.window, self.pool = num_heads, window, pool
        self.scale = (dim // num_heads) ** -0.5
        self.qkv = nn.Linear(in_dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def queries_keys_values(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Three tensors [B, windows, heads, N, C / heads] of a map [B, H, W, in].

        Of pooled queries there are a quarter as many.
        """
        query, key, value = self.qkv(x).chunk(3, dim=-1)  # [B, H, W, C] each
        size = self.window_of(x)
        query_size = size
        if self.pool:
            query, query_size = strongest_of_four(query), (size[0] // 2, size[1] // 2)

        def heads(part: Tensor, window: tuple[int, int]) -> Tensor:
            part = window_partition(part, window)  # [B, windows, N, C]
            return part.unflatten(3, (self.num_heads, -1)).transpose(2, 3)

        return heads(query, query_size), heads(key, size), heads(value, size)

    def window_of(self, x: Tensor) -> tuple[int, int]:
        """Rows and columns of a window on the map [B, H, W, in]."""
        return (x.shape[1], x.shape[2]) if self.window is None else (self.window, self.window)

    def attention_weights(self, x: Tensor) -> Tensor:
        """How much each query (row) takes from each place of its window (column):
        [B, windows, heads, N, N].

        x: the map that `forward` gets. Every row sums to 1; a layer that pools has a quarter of the
           rows.
        """
        query, key, _ = self.queries_keys_values(x)
        return (query * self.scale @ key.transpose(-2, -1)).softmax(dim=-1)

    def forward(self, x: Tensor) -> Tensor:
        window, size, step = self.window_of(x), x.shape[1:3], 2 if self.pool else 1
        x = F.scaled_dot_product_attention(*self.queries_keys_values(x))
        x = x.transpose(2, 3).flatten(3)  # [B, windows, N, C]
        x = window_reverse(x, (window[0] // step, window[1] // step),
                           (size[0] // step, size[1] // step))
        return self.proj(x)


class Block(nn.Module):
    """Attention, then an MLP: [B, H, W, in] -> [B, H, W, C], or [B, H/2, W/2, C] where a new stage
    begins.

    expand_proj: how the shortcut grows there: by a learnt layer and the strongest of four;
                 otherwise the strongest and the mean of four, side by side
    """

    def __init__(self, in_dim: int, dim: int, num_heads: int, *, window: int | None, pool: bool,
                 expand_proj: bool, mlp_ratio: float, init_values: float | None, drop_path: float):
        super().__init__()
        self.grows, self.pool = in_dim != dim, pool
        self.norm1 = nn.LayerNorm(in_dim, eps=1e-6)
        self.proj = nn.Linear(in_dim, dim) if self.grows and expand_proj else None
        self.attn = PooledAttention(in_dim, dim, num_heads, window=window, pool=pool)
        self.ls1 = LayerScale(dim, init_values) if init_values else nn.Identity()
        self.drop_path1 = DropPath(drop_path) if drop_path else nn.Identity()
        self.norm2 = nn.LayerNorm(dim, eps=1e-6)
        self.mlp = Mlp(dim, int(dim * mlp_ratio))
        self.ls2 = LayerScale(dim, init_values) if init_values else nn.Identity()
        self.drop_path2 = DropPath(drop_path) if drop_path else nn.Identity()

    def shortcut(self, x: Tensor, normed: Tensor) -> Tensor:
        if not self.grows:
            return x
        if self.proj is not None:
            return strongest_of_four(self.proj(normed))
        return torch.cat((strongest_of_four(x), mean_of_four(x)), dim=-1)

    def forward(self, x: Tensor) -> Tensor:
        normed = self.norm1(x)
        x = self.shortcut(x, normed) + self.drop_path1(self.ls1(self.attn(normed)))
        return x + self.drop_path2(self.ls2(self.mlp(self.norm2(x))))


class PatchEmbed(nn.Module):
    """Overlapping patches of 7 x 7 pixels, one every four: [B, in_chans, H, W]
    -> [B, H/4, W/4, dim].
    """

    def __init__(self, in_chans: int, dim: int):
        super().__init__()
        self.proj = nn.Conv2d(in_chans, dim, 7, stride=4, padding=3)

    def forward(self, x: Tensor) -> Tensor:
        return self.proj(x).permute(0, 2, 3, 1)


class Head(nn.Module):
    """Pooling, norm, dropout and classifier: [B, N, C] -> [B, num_classes]."""

    def __init__(self, dim: int, num_classes: int, global_pool: str, drop_rate: float):
        super().__init__()
        self.global_pool = global_pool
        self.norm = nn.LayerNorm(dim, eps=1e-6)
        self.drop = nn.Dropout(drop_rate)
        self.fc = nn.Linear(dim, num_classes) if num_classes else nn.Identity()

    def forward(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        if self.global_pool == "avg":
            x = x.mean(dim=1)
        elif self.global_pool == "max":
            x = x.amax(dim=1)
        elif self.global_pool:
            x = 0.5 * (x.amax(dim=1) + x.mean(dim=1))
        x = self.drop(self.norm(x))
        return x if pre_logits else self.fc(x)


class Hiera(VisionModel):
    """Photo [B, in_chans, H, W] -> logits [B, num_classes].

    img_size:   side of the photo in pixels, or (height, width), multiples of 32; the model is built
                for that size
    embed_dim, num_heads: of the first stage; both double from stage to stage
    depths:     blocks in each stage. The first two attend in windows, the last two over the whole
                map; a stage's first block still has the manner of the stage before
    global_positions: None: one position for each patch. (rows, columns): a small grid that is
                stretched over the photo, and positions inside a window that repeat in every window
                ("abswin")
    expand_proj: see `Block`;  init_values: start of the learnt factors on every branch (LayerScale)
    global_pool: "avg", "max", "avgmax" or ""
    balanced_init: start from weights that keep a signal's strength, as the "abswin" variants do
    """

    classifier_path = "head.fc"
    fixed_image_size = True
    feature_names = "model."

    def __init__(
        self,
        img_size: int | tuple[int, int] = 224,
        *,
        in_chans: int = 3,
        num_classes: int = 1000,
        global_pool: str = "avg",
        embed_dim: int = 96,
        num_heads: int = 1,
        depths: tuple[int, ...] = (2, 3, 16, 3),
        mlp_ratio: float = 4.0,
        global_positions: tuple[int, int] | None = None,
        expand_proj: bool = True,
        init_values: float | None = None,
        drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
        balanced_init: bool = False,
    ):
        super().__init__()
        self.img_size = to_pair(img_size)
        if any(side < 32 or side % 32 for side in self.img_size):
            near = " x ".join(str(max(1, round(side / 32)) * 32) for side in self.img_size)
            raise ValueError(
                f"img_size is {self.img_size[0]} x {self.img_size[1]}: "
                f"windows of {UNIT} patches of 4 pixels need multiples of 32, e.g. {near}."
            )
        self._check_head(num_classes, global_pool)
        self.num_classes, self.in_chans, self.balanced_init = num_classes, in_chans, balanced_init
        self.num_features = embed_dim * 2 ** (len(depths) - 1)
        self.grid = (self.img_size[0] // 4, self.img_size[1] // 4)

        self.pos_embed_win = None
        if global_positions is None:
            self.pos_embed = nn.Parameter(torch.zeros(1, self.grid[0] * self.grid[1], embed_dim))
        else:
            self.pos_embed = nn.Parameter(torch.zeros(1, embed_dim, *global_positions))
            self.pos_embed_win = nn.Parameter(torch.zeros(1, embed_dim, UNIT, UNIT))
        self.patch_embed = PatchEmbed(in_chans, embed_dim)
        self.blocks, stages = nn.ModuleList(), []
        in_dim = embed_dim
        for number, rates in enumerate(drop_path_rates(drop_path_rate, depths)):
            dim = embed_dim * 2**number
            for index, rate in enumerate(rates):
                before = max(number - 1, 0) if index == 0 else number  # whose map the block reads
                self.blocks.append(Block(
                    in_dim, dim, num_heads * 2**number,
                    window=UNIT // 2**before if before < 2 else None,
                    pool=in_dim != dim, expand_proj=expand_proj, mlp_ratio=mlp_ratio,
                    init_values=init_values, drop_path=rate))
                in_dim = dim
            stages.append(Stage(f"stage{number}", f"blocks.{len(self.blocks) - 1}", dim,
                                4 * 2**number))
        self.stages = tuple(stages)
        self.head = Head(self.num_features, num_classes, global_pool, drop_rate)
        self.init_weights()

    @staticmethod
    def _check_head(num_classes: int, global_pool: str) -> None:
        if num_classes < 0:
            raise ValueError(f"num_classes is {num_classes}: give 0 (no classifier) or more.")
        if global_pool not in POOLS:
            raise ValueError(f"Unknown pooling {global_pool!r}. "
                             f"Use one of {', '.join(map(repr, POOLS))}.")

    def init_weights(self) -> None:
        """Weights of the paper's own code, or balanced ones; the deeper a block, the smaller what
        it adds at first.

        A fresh classifier is all zeros: it starts by knowing nothing.
        """
        for positions in (self.pos_embed, self.pos_embed_win):
            if positions is not None:
                nn.init.trunc_normal_(positions, std=0.02)
        patches = self.patch_embed.proj
        if self.balanced_init:
            # the cut at two deviations takes some of it away
            spread = patches.weight[0].numel() ** -0.5 / 0.8796
            nn.init.trunc_normal_(patches.weight, std=spread, a=-2 * spread, b=2 * spread)
            nn.init.zeros_(patches.bias)
        else:
            nn.init.trunc_normal_(patches.weight, std=0.02)
        for name, module in self.named_modules():
            if not isinstance(module, nn.Linear):
                continue
            if self.balanced_init:  # as strong a signal behind a layer as in front of it
                nn.init.xavier_uniform_(module.weight)
                if ".mlp." in name:
                    nn.init.normal_(module.bias, std=1e-6)
                else:
                    nn.init.zeros_(module.bias)
            else:
                nn.init.trunc_normal_(module.weight, std=0.02)
                nn.init.constant_(module.bias, 0.02)
        rescale_branches(self.blocks)
        if self.num_classes:
            nn.init.zeros_(self.head.fc.weight)
            nn.init.zeros_(self.head.fc.bias)

    def positions(self) -> Tensor:
        """Position of each patch: [1, H/4, W/4, C]."""
        if self.pos_embed_win is None:
            return self.pos_embed.unflatten(1, self.grid)
        stretched = F.interpolate(self.pos_embed, size=self.grid, mode="bicubic", antialias=True)
        inside = self.pos_embed_win.tile(1, 1, self.grid[0] // UNIT, self.grid[1] // UNIT)
        return (stretched + inside).permute(0, 2, 3, 1)

    def forward_stages(self, x: Tensor) -> Generator[Tensor, None, Tensor]:
        if tuple(x.shape[-2:]) != self.img_size:
            raise ValueError(
                f"This model reads photos of {self.img_size[0]} x {self.img_size[1]} pixels; "
                f"got {x.shape[-2]} x {x.shape[-1]}. Resize the photo, or create the model with "
                f"img_size=({x.shape[-2]}, {x.shape[-1]})."
            )
        x = self.patch_embed(x) + self.positions()  # [B, H/4, W/4, C]
        ends = {int(stage.module.removeprefix("blocks.")) for stage in self.stages}
        for number, block in enumerate(self.blocks):
            x = block(x)
            if number in ends:
                # stage0 [B, C, H/4, W/4] ... stage3 [B, 8C, H/32, W/32]
                yield x.permute(0, 3, 1, 2)
        return x.flatten(1, 2)  # [B, N, 8C]

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        pool = self.head.global_pool if global_pool is None else global_pool
        self._check_head(num_classes, pool)
        self.num_classes, self.head.global_pool = num_classes, pool
        self.head.fc = nn.Identity()
        if num_classes:
            self.head.fc = nn.Linear(self.num_features, num_classes, **parameter_place(self))
            init_linear(self.head.fc)

    def adapt_state_dict(self, state: dict[str, Tensor], report: Any) -> dict[str, Tensor]:
        """Positions for another size of photo; those of "abswin" are stretched at every use and fit
        as they are.
        """
        state = dict(state)
        positions = state.get("pos_embed")
        if positions is None or self.pos_embed_win is not None:
            return state
        if positions.ndim == 3 and positions.shape != self.pos_embed.shape:
            state["pos_embed"] = resample_abs_pos_embed(positions, self.grid, num_prefix_tokens=0)
            report.adapted.append(
                f"pos_embed: from {positions.shape[1]} patches to a grid of {self.grid[0]} x "
                f"{self.grid[1]}"
            )
        return state


MODEL = Hiera


# --- variants -------------------------------------------------------------------------------------

_ABSWIN = dict(img_size=256, init_values=1e-5, balanced_init=True)

VARIANTS: dict[str, dict[str, Any]] = {
    "hiera_tiny_224": dict(depths=(1, 2, 7, 2)),
    "hiera_small_224": dict(depths=(1, 2, 11, 2)),
    "hiera_base_224": dict(depths=(2, 3, 16, 3)),
    "hiera_base_plus_224": dict(embed_dim=112, num_heads=2, depths=(2, 3, 16, 3)),
    "hiera_large_224": dict(embed_dim=144, num_heads=2, depths=(2, 6, 36, 4)),
    "hiera_huge_224": dict(embed_dim=256, num_heads=4, depths=(2, 6, 36, 4)),
    "hiera_small_abswin_256": dict(_ABSWIN, depths=(1, 2, 11, 2), global_positions=(16, 16),
                                   expand_proj=False),
    "hiera_base_abswin_256": dict(_ABSWIN, depths=(2, 3, 16, 3), global_positions=(14, 14)),
}


# --- names in other people's files ----------------------------------------------------------------


def _from_facebook(state: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    """The names in Hiera's own files."""
    starts = (("head.projection.", "head.fc."), ("encoder_norm.", "head.norm."),
              ("norm.", "head.norm."))
    mapped = {}
    for key, value in state.items():
        for theirs, ours in starts:
            if key.startswith(theirs):
                key = ours + key.removeprefix(theirs)
                break
        mapped[key] = value
    return mapped


KEY_MAPS = {"facebook": _from_facebook}
