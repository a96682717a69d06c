"""BEiT: a transformer that learns by filling in what is hidden, as language models do.

Four of ten patches are covered, and the network says which "visual word" each covered patch is, out
of a dictionary of 8192 words that another network has learnt; no labels are needed. BEiT v2 makes
the words themselves more meaningful, by distilling them from CLIP. A patch has no position of its
own here: every block adds a learnt number to how well two patches fit, one for each offset between
them ("relative position bias").

Bao et al., "BEiT: BERT Pre-Training of Image Transformers", 2021, https://arxiv.org/abs/2106.08254;
Peng et al., "BEiT v2: Masked Image Modeling with Vector-Quantized Visual Tokenizers", 2022,
https://arxiv.org/abs/2208.06366. Parameter names are timm's.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from explorer.models.layers.drop import DropPath, drop_path_rates
from explorer.models.layers.init import init_linear, rescale_branches
from explorer.models.layers.relative_position import resize_bias_table
from explorer.models.layers.transformer import Mlp, PatchEmbed
from explorer.models.layers.windows import relative_position_index
from explorer.models.tokens import TokenModel


class BiasedAttention(nn.Module):
    """Self-attention that knows how far apart two patches are: [B, 1 + N, C] -> [B, 1 + N, C].

    grid: rows and columns of patches. The table has a row for each offset between two patches, and
          three more:
    from the class token to a patch, from a patch to the class token, and from the class token to
    itself.
    """

    def __init__(self, dim: int, num_heads: int, grid: tuple[int, int], *, qkv_bias: bool = True,
                 attn_drop: float = 0.0, proj_drop: float = 0.0):
        super().__init__()
        if dim % num_heads:
            raise ValueError(f"{dim} channels can't be shared by {num_heads} heads: "
                             f"use a divisor of {dim}.")
        self.num_heads, self.grid = num_heads, grid
        self.scale = (dim // num_heads) ** -0.5
        # Keys have no bias: it would add the same number to every fit of a query, which
        # softmax takes away again.
        self.q_bias = nn.Parameter(torch.zeros(dim)) if qkv_bias else None
        self.v_bias = nn.Parameter(torch.zeros(dim)) if qkv_bias else None
        offsets = (2 * grid[0] - 1) * (2 * grid[1] - 1)
        self.relative_position_bias_table = nn.Parameter(torch.zeros(offsets + 3, num_heads))
        self.register_buffer("relative_position_index", bias_index(grid), persistent=False)
        self.qkv = nn.Linear(dim, 3 * dim, bias=False)
        self.attn_drop = nn.Dropout(attn_drop)
        self.proj = nn.Linear(dim, dim)
        self.proj_drop = nn.Dropout(proj_drop)

    def queries_keys_values(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Three tensors [B, heads, N, C / heads] of tokens [B, N, C]."""
        bias = None
        if self.q_bias is not None:
            bias = torch.cat((self.q_bias, torch.zeros_like(self.q_bias), self.v_bias))
        # [B, N, 3, heads, C / heads]
        qkv = F.linear(x, self.qkv.weight, bias).unflatten(2, (3, self.num_heads, -1))
        return qkv.permute(2, 0, 3, 1, 4).unbind(0)

    def position_bias(self) -> Tensor:
        """What is added to the fit of each two tokens: [1, heads, N, N]."""
        table = self.relative_position_bias_table
        return table[self.relative_position_index.to(table.device)].permute(2, 0, 1)[None]

    def attention_weights(self, x: Tensor) -> Tensor:
        """How much each token (row) takes from each token (column): [B, heads, N, N]; every row
        sums to 1.

        x: the tokens [B, N, C] that `forward` gets; dropout is left out here.
        """
        query, key, _ = self.queries_keys_values(x)
        return (query * self.scale @ key.transpose(-2, -1) + self.position_bias()).softmax(dim=-1)

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = self.queries_keys_values(x)
        x = F.scaled_dot_product_attention(
            query, key, value, attn_mask=self.position_bias(),
            dropout_p=self.attn_drop.p if self.training else 0.0,
        )  # [B, heads, N, C / heads]
        return self.proj_drop(self.proj(x.transpose(1, 2).flatten(2)))


def bias_index(grid: tuple[int, int]) -> Tensor:
    """Which row of the table belongs to each two tokens, [1 + N, 1 + N]: the class token first,
    then the patches.
    """
    with torch.device("cpu"):  # a buffer that no checkpoint fills
        between = relative_position_index(grid)  # [N, N]
        offsets, patches = (2 * grid[0] - 1) * (2 * grid[1] - 1), len(between)
        index = torch.empty(1 + patches, 1 + patches, dtype=between.dtype)
        index[1:, 1:] = between
        index[0, :], index[:, 0], index[0, 0] = offsets, offsets + 1, offsets + 2
    return index


class Block(nn.Module):
    """Attention, then an MLP, each scaled by learnt factors and added to its input: [B, N, C]
    -> [B, N, C].
    """

    def __init__(self, dim: int, num_heads: int, grid: tuple[int, int], *, mlp_ratio: float,
                 qkv_bias: bool, init_values: float | None, proj_drop: float, attn_drop: float,
                 drop_path: float):
        super().__init__()
        self.gamma_1 = nn.Parameter(torch.full((dim,), float(init_values))) if init_values else None
        self.gamma_2 = nn.Parameter(torch.full((dim,), float(init_values))) if init_values else None
        self.norm1 = nn.LayerNorm(dim, eps=1e-6)
        self.attn = BiasedAttention(dim, num_heads, grid, qkv_bias=qkv_bias, attn_drop=attn_drop,
                                    proj_drop=proj_drop)
        self.drop_path1 = DropPath(drop_path) if drop_path else nn.Identity()
        self.norm2 = nn.LayerNorm(dim, eps=1e-6)
        self.mlp = Mlp(dim, int(dim * mlp_ratio), drop=proj_drop)
        self.drop_path2 = DropPath(drop_path) if drop_path else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        branch = self.attn(self.norm1(x))
        x = x + self.drop_path1(branch if self.gamma_1 is None else self.gamma_1 * branch)
        branch = self.mlp(self.norm2(x))
        return x + self.drop_path2(branch if self.gamma_2 is None else self.gamma_2 * branch)


class Beit(TokenModel):
    """Photo [B, in_chans, H, W] -> logits [B, num_classes].

    img_size:       side of the photo in pixels, or (height, width); the model is built for that
                    size
    patch_size:     side of a patch in pixels, or (height, width)
    embed_dim, depth, num_heads, mlp_ratio, init_values: as in `VisionTransformer`
    global_pool:    "avg" (the mean of the patches, with a norm behind it), "max", "avgmax", "token"
                    or ""
    drop_rate, pos_drop_rate, proj_drop_rate, attn_drop_rate, drop_path_rate: dropout in front of
                    the classifier, of patches' numbers, in the branches, of attention weights, of
                    whole branches
    head_init_scale: a fresh classifier is made so many times smaller: it starts by knowing nothing
    """

    extra_tokens = ("cls_token",)

    def __init__(
        self,
        img_size: int | tuple[int, int] = 224,
        patch_size: int | tuple[int, int] = 16,
        *,
        in_chans: int = 3,
        num_classes: int = 1000,
        global_pool: str = "avg",
        embed_dim: int = 768,
        depth: int = 12,
        num_heads: int = 12,
        mlp_ratio: float = 4.0,
        qkv_bias: bool = True,
        init_values: float | None = None,
        drop_rate: float = 0.0,
        pos_drop_rate: float = 0.0,
        proj_drop_rate: float = 0.0,
        attn_drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
        head_init_scale: float = 0.001,
    ):
        super().__init__()
        self.num_classes, self.in_chans = num_classes, in_chans
        self.head_init_scale = head_init_scale
        self.num_features = self.embed_dim = embed_dim
        self.has_class_token, self.num_prefix_tokens = True, 1
        self.no_embed_class, self.num_prefix_positions, self.pool_include_prefix = True, 0, False
        self.global_pool = self._check_pool(global_pool)

        self.patch_embed = PatchEmbed(img_size, patch_size, in_chans=in_chans, embed_dim=embed_dim)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, embed_dim))
        self.pos_embed = None  # the bias in each block says where a patch is
        self.pos_drop, self.norm_pre = nn.Dropout(pos_drop_rate), nn.Identity()
        self.blocks = nn.ModuleList(
            Block(embed_dim, num_heads, self.patch_embed.grid_size, mlp_ratio=mlp_ratio,
                  qkv_bias=qkv_bias, init_values=init_values, proj_drop=proj_drop_rate,
                  attn_drop=attn_drop_rate, drop_path=rate)
            for rate in drop_path_rates(drop_path_rate, (depth,))[0]
        )
        pooled = global_pool in ("avg", "max", "avgmax")
        self.norm = nn.Identity() if pooled else nn.LayerNorm(embed_dim, eps=1e-6)
        self.attn_pool = None
        self.fc_norm = nn.LayerNorm(embed_dim, eps=1e-6) if pooled else nn.Identity()
        self.head_drop = nn.Dropout(drop_rate)
        self.head = self._new_head()
        self.stages = self.block_stages()
        self.init_weights()

    def init_weights(self) -> None:
        """Small normal weights; the deeper a block, the smaller what it adds at first."""
        for module in self.modules():
            if isinstance(module, nn.Linear):
                init_linear(module)
        nn.init.trunc_normal_(self.cls_token, std=0.02)
        rescale_branches(self.blocks)
        if self.num_classes:
            with torch.no_grad():
                self.head.weight.mul_(self.head_init_scale)

    def adapt_state_dict(self, state: dict[str, Tensor], report: Any) -> dict[str, Tensor]:
        """As in every plain transformer; the biases are resized for another grid of patches."""
        state = super().adapt_state_dict(state, report)
        for number, block in enumerate(self.blocks):
            name = f"blocks.{number}.attn.relative_position_bias_table"
            # older files: the grid, no weight
            state.pop(f"blocks.{number}.attn.relative_position_index", None)
            table, own = state.get(name), block.attn.relative_position_bias_table
            if table is None or table.shape == own.shape:
                continue
            sides = tuple(2 * side - 1 for side in block.attn.grid)
            state[name] = torch.cat((resize_bias_table(table[:-3], block.attn.grid), table[-3:]))
            if number == 0:
                report.adapted.append(
                    f"relative position biases: from {len(table) - 3} offsets to {sides[0]} x "
                    f"{sides[1]}"
                )
        return state


MODEL = Beit


# --- variants -------------------------------------------------------------------------------------

_BASE = dict(embed_dim=768, depth=12, num_heads=12)
_LARGE = dict(embed_dim=1024, depth=24, num_heads=16, init_values=1e-5)

VARIANTS: dict[str, dict[str, Any]] = {
    "beit_base_patch16_224": dict(_BASE, init_values=0.1),
    "beit_base_patch16_384": dict(_BASE, init_values=0.1, img_size=384),
    "beit_large_patch16_224": dict(_LARGE),
    "beit_large_patch16_384": dict(_LARGE, img_size=384),
    "beit_large_patch16_512": dict(_LARGE, img_size=512),

    "beitv2_base_patch16_224": dict(_BASE, init_values=1e-5),
    "beitv2_large_patch16_224": dict(_LARGE),
}


# --- names in other people's files ----------------------------------------------------------------


def _from_microsoft(state: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    """The names in files whose blocks share one table of biases, as those before fine-tuning do."""
    shared = state.pop("rel_pos_bias.relative_position_bias_table", None)
    mapped = {key: value for key, value in state.items()
              if not key.endswith("relative_position_index")}
    if shared is not None:
        for number in {key.split(".")[1] for key in mapped if key.startswith("blocks.")}:
            mapped[f"blocks.{number}.attn.relative_position_bias_table"] = shared.clone()
    return mapped


KEY_MAPS = {"microsoft": _from_microsoft}
