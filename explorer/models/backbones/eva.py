"""EVA and its relatives: plain vision transformers, most of them with rotary positions.

EVA trains a plain vision transformer by masked image modelling: patches are hidden, and it predicts
CLIP's features of them, which teaches a large network more than predicting pixels. EVA-02 rebuilds
the block with what language models had found: rotary position embeddings, which turn queries and
keys by where their patch is (see `layers/rotary.py`), an MLP with a gate (SwiGLU), and norms inside
both branches. The same block, with one part or another, makes DINOv3, Perception Encoder, Sapiens 2
and the rotary ViTs; a row of the table at the end says which.

Fang et al., "EVA: Exploring the Limits of Masked Visual Representation Learning at Scale", 2022,
https://arxiv.org/abs/2211.07636; "EVA-02: A Visual Representation for Neon Genesis", 2023,
https://arxiv.org/abs/2303.11331; for the relatives see the catalog. Parameter names are timm's.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from explorer.models.layers.attention_pool import AttentionPool
from explorer.models.layers.drop import DropPath, drop_path_rates
from explorer.models.layers.init import init_linear, rescale_branches
from explorer.models.layers.rotary import AxialRotary, CentredRotary, MixedRotary, Turn
from explorer.models.layers.rotary_attention import RotaryAttention
from explorer.models.layers.swiglu import SwiGLU
from explorer.models.layers.transformer import Mlp, PatchEmbed, SwiGLUPacked
from explorer.models.tokens import TokenModel


class Block(nn.Module):
    """Attention, then an MLP, each a correction added to its input: [B, N, C] -> [B, N, C].

    make_attention, make_mlp: give the layers;  init_values: starts of the learnt factors on both
                              branches
    """

    def __init__(self, dim: int, *, make_attention: Any, make_mlp: Any, norm_layer: Any,
                 drop_path: float, init_values: float | None, attn_only_layer_scale: bool):
        super().__init__()
        self.gamma_1 = nn.Parameter(torch.full((dim,), float(init_values))) if init_values else None
        second = init_values and not attn_only_layer_scale
        self.gamma_2 = nn.Parameter(torch.full((dim,), float(init_values))) if second else None
        self.norm1 = norm_layer(dim)
        self.attn = make_attention()
        self.drop_path1 = DropPath(drop_path) if drop_path else nn.Identity()
        self.norm2 = norm_layer(dim)
        self.mlp = make_mlp()
        self.drop_path2 = DropPath(drop_path) if drop_path else nn.Identity()

    def forward(self, x: Tensor, turn: Turn | None = None) -> Tensor:
        branch = self.attn(self.norm1(x), turn)
        x = x + self.drop_path1(branch if self.gamma_1 is None else self.gamma_1 * branch)
        branch = self.mlp(self.norm2(x))
        return x + self.drop_path2(branch if self.gamma_2 is None else self.gamma_2 * branch)


class PostNormBlock(nn.Module):
    """The block with its norms behind the branches, as the largest EVA-02 has it: [B, N, C]
    -> [B, N, C].
    """

    def __init__(self, dim: int, *, make_attention: Any, make_mlp: Any, norm_layer: Any,
                 drop_path: float):
        super().__init__()
        self.attn = make_attention()
        self.norm1 = norm_layer(dim)
        self.drop_path1 = DropPath(drop_path) if drop_path else nn.Identity()
        self.mlp = make_mlp()
        self.norm2 = norm_layer(dim)
        self.drop_path2 = DropPath(drop_path) if drop_path else nn.Identity()

    def forward(self, x: Tensor, turn: Turn | None = None) -> Tensor:
        x = x + self.drop_path1(self.norm1(self.attn(x, turn)))
        return x + self.drop_path2(self.norm2(self.mlp(x)))


@dataclass(frozen=True)
class Rotary:
    """Which rotary positions a network has; see `layers/rotary.py`.

    kind:       "axial", "centred" or "mixed"
    grid:       rows and columns of patches in training; those of any photo are spread over it
                ("axial")
    offset:     the number of the first row and column;  rows_first: rows turn the first pairs
                ("axial")
    rescale:    while training, positions are stretched by up to this factor ("centred")
    """

    kind: str
    temperature: float = 10000.0
    grid: tuple[int, int] | None = None
    offset: float = 0.0
    rows_first: bool = True
    rescale: float | None = None

    def layer(self, head_dim: int, *, depth: int, num_heads: int) -> nn.Module:
        """What gives the angles of a grid of patches; raises ValueError with the known names."""
        if self.kind == "axial":
            return AxialRotary(head_dim, temperature=self.temperature, trained_grid=self.grid,
                               offset=self.offset, rows_first=self.rows_first)
        if self.kind == "centred":
            return CentredRotary(head_dim, temperature=self.temperature, rescale=self.rescale)
        if self.kind == "mixed":
            return MixedRotary(head_dim, depth=depth, num_heads=num_heads,
                               temperature=self.temperature)
        raise ValueError(
            f"Unknown rotary positions {self.kind!r}. Use None, 'axial', 'centred' or 'mixed'."
        )


class Eva(TokenModel):
    """Photo [B, in_chans, H, W] -> logits [B, num_classes].

    img_size, patch_size, embed_dim, depth, num_heads, mlp_ratio, init_values, class_token,
    reg_tokens, no_embed_class, dynamic_img_size, drop rates: as in `VisionTransformer`
    num_kv_heads:  heads of keys and values, one number or one a block; None: as many as of queries
    qkv_fused, key_bias, qk_norm, scale_attn: see `RotaryAttention`
    mlp:           "mlp"; "swiglu"; "swiglu_norm" with a norm inside; "swiglu_packed", both halves
                   in one matrix
    align_to:      the gate's width is rounded up to a multiple of it
    post_norm:     norms behind the branches instead of in front of them
    abs_positions: a learnt position is added to each patch
    rope:          rotary positions, a `Rotary` or its kind alone; None: no rotary positions
    halves:        which numbers of a query form a pair, see `rotate_pairs`
    attn_only_layer_scale: learnt factors on attention only
    pre_norm, final_norm: a norm in front of the blocks; one at the end
    fc_norm:       whether the norm at the end sits behind the pooling; by default where patches are
                   averaged
    global_pool:   "avg", "max" or "avgmax" of the patches, "token", "map" (attention with
                   `pool_heads` heads), ""
    head_init_scale: a fresh classifier is made so many times smaller: it starts by knowing nothing
    """

    pools = ("token", "avg", "max", "avgmax", "map", "")
    map_sees_prefix = True

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
        num_kv_heads: int | Sequence[int] | None = None,
        qkv_bias: bool = True,
        qkv_fused: bool = True,
        key_bias: bool = False,
        qk_norm: bool = False,
        scale_attn: bool = False,
        mlp: str = "mlp",
        mlp_ratio: float = 4.0,
        align_to: int = 1,
        init_values: float | None = None,
        attn_only_layer_scale: bool = False,
        post_norm: bool = False,
        class_token: bool = True,
        reg_tokens: int = 0,
        no_embed_class: bool = False,
        abs_positions: bool = True,
        rope: Rotary | str | None = None,
        halves: bool = False,
        pre_norm: bool = False,
        final_norm: bool = True,
        fc_norm: bool | None = None,
        pool_heads: int = 8,
        dynamic_img_size: bool = False,
        drop_rate: float = 0.0,
        pos_drop_rate: float = 0.0,
        proj_drop_rate: float = 0.0,
        attn_drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
        head_init_scale: float = 0.001,
        norm_layer: Any = partial(nn.LayerNorm, eps=1e-6),
    ):
        super().__init__()
        self.num_classes, self.in_chans = num_classes, in_chans
        self.head_init_scale = head_init_scale
        self.num_features = self.embed_dim = embed_dim
        self.has_class_token, self.num_reg_tokens = class_token, reg_tokens
        self.num_prefix_tokens = int(class_token) + reg_tokens
        self.no_embed_class, self.pool_include_prefix = no_embed_class, False
        self.num_prefix_positions = 0 if no_embed_class else self.num_prefix_tokens
        self.fixed_image_size = not dynamic_img_size
        self.global_pool = self._check_pool(global_pool)

        self.patch_embed = PatchEmbed(img_size, patch_size, in_chans=in_chans, embed_dim=embed_dim,
                                      bias=not pre_norm, dynamic_img_size=dynamic_img_size)
        positions = self.num_prefix_positions + self.patch_embed.num_patches
        self.cls_token = nn.Parameter(torch.zeros(1, 1, embed_dim)) if class_token else None
        self.reg_token = nn.Parameter(torch.zeros(1, reg_tokens, embed_dim)) if reg_tokens else None
        self.pos_embed = (nn.Parameter(torch.zeros(1, positions, embed_dim)) if abs_positions
                          else None)
        self.pos_drop = nn.Dropout(pos_drop_rate)
        if isinstance(rope, str):
            rope = Rotary(rope)
        self.rope = rope and rope.layer(embed_dim // num_heads, depth=depth, num_heads=num_heads)
        self.norm_pre = norm_layer(embed_dim) if pre_norm else nn.Identity()

        make_attention = partial(
            RotaryAttention, embed_dim, num_heads, qkv_bias=qkv_bias, fused=qkv_fused,
            key_bias=key_bias, qk_norm=qk_norm, scale_norm=scale_attn, halves=halves,
            norm_layer=norm_layer, num_prefix_tokens=self.num_prefix_tokens,
            attn_drop=attn_drop_rate, proj_drop=proj_drop_rate)
        make_mlp = partial(create_mlp, mlp, embed_dim, int(embed_dim * mlp_ratio),
                           norm_layer=norm_layer, align_to=align_to, drop=proj_drop_rate)
        block = PostNormBlock if post_norm else partial(
            Block, init_values=init_values, attn_only_layer_scale=attn_only_layer_scale)
        rates = drop_path_rates(drop_path_rate, (depth,))[0]
        self.blocks = nn.ModuleList(
            block(embed_dim, make_mlp=make_mlp, norm_layer=norm_layer, drop_path=rate,
                  make_attention=partial(make_attention, num_kv_heads=kv_heads))
            for rate, kv_heads in zip(rates, heads_of_blocks(num_kv_heads, depth))
        )
        if fc_norm is None:
            fc_norm = global_pool == "avg"
        self.norm = norm_layer(embed_dim) if final_norm and not fc_norm else nn.Identity()
        self.attn_pool = None
        if global_pool == "map":
            self.attn_pool = AttentionPool(embed_dim, pool_heads, norm_layer=norm_layer)
        self.fc_norm = norm_layer(embed_dim) if final_norm and fc_norm else nn.Identity()
        self.head_drop = nn.Dropout(drop_rate)
        self.head = self._new_head()
        self.stages = self.block_stages()
        self.init_weights()

    def init_weights(self) -> None:
        """Small normal weights; the deeper a block, the smaller what it adds at first."""
        for module in self.modules():
            if isinstance(module, nn.Linear):
                init_linear(module)
        for token in (self.pos_embed, self.cls_token, self.reg_token):
            if token is not None:
                nn.init.trunc_normal_(token, std=0.02)
        for layer in (self.rope, self.attn_pool):
            if hasattr(layer, "init_weights"):
                layer.init_weights()
        rescale_branches(self.blocks)
        if self.num_classes:
            with torch.no_grad():
                self.head.weight.mul_(self.head_init_scale)

    def walk_blocks(self, tokens: Tensor, grid: tuple[int, int]) -> Iterator[Tensor]:
        """The tokens [B, prefix + N, C] behind each block; the angles of the grid's patches are
        made once.
        """
        if self.rope is None:
            turns = [None] * len(self.blocks)
        elif isinstance(self.rope, MixedRotary):
            turns = list(zip(*self.rope(grid)))  # each block has its own
        else:
            turns = [self.rope(grid, tokens.device)] * len(self.blocks)
        for block, turn in zip(self.blocks, turns):
            tokens = block(tokens, turn)
            yield tokens


def create_mlp(kind: str, dim: int, hidden: int, *, norm_layer: Any, align_to: int,
               drop: float) -> nn.Module:
    """The small network behind attention, by name; raises ValueError with the known names."""
    if kind == "mlp":
        return Mlp(dim, hidden, drop=drop)
    if kind == "swiglu_packed":
        return SwiGLUPacked(dim, 2 * hidden, drop=drop)
    if kind in ("swiglu", "swiglu_norm"):
        inside = norm_layer if kind == "swiglu_norm" else None
        return SwiGLU(dim, hidden, norm_layer=inside, align_to=align_to, drop=drop)
    raise ValueError(f"Unknown MLP {kind!r}. Use 'mlp', 'swiglu', "
                     "'swiglu_norm' or 'swiglu_packed'.")


def heads_of_blocks(num_kv_heads: int | Sequence[int] | None, depth: int) -> Sequence[int | None]:
    """Heads of keys and values in each block."""
    if num_kv_heads is None or isinstance(num_kv_heads, int):
        return [num_kv_heads] * depth
    if len(num_kv_heads) != depth:
        raise ValueError(
            f"num_kv_heads has {len(num_kv_heads)} entries for {depth} blocks: give one number, "
            "or one a block."
        )
    return num_kv_heads


MODEL = Eva


# --- variants -------------------------------------------------------------------------------------

_TINY = dict(embed_dim=192, num_heads=3)
_SMALL = dict(embed_dim=384, num_heads=6)
_MEDIUM = dict(embed_dim=512, num_heads=8)
_MEDIUM_DEEP = dict(_MEDIUM, depth=20, qkv_bias=False)
_BETWIXT = dict(embed_dim=640, num_heads=10)
_BASE = dict(embed_dim=768, num_heads=12)
_LARGE = dict(embed_dim=1024, depth=24, num_heads=16)
_HUGE = dict(embed_dim=1280, depth=32, num_heads=20)
_GIANT = dict(embed_dim=1408, depth=40, num_heads=16, mlp_ratio=48 / 11, patch_size=14)
_ENORMOUS = dict(embed_dim=1792, depth=64, num_heads=16, mlp_ratio=60 / 7, patch_size=14)
_GIGANTIC = dict(embed_dim=1536, num_heads=16, mlp_ratio=35 / 6, patch_size=14,
                 class_token=False, rope=Rotary("axial", grid=(32, 32), rows_first=False))

_1280 = dict(embed_dim=1280, depth=32, num_heads=16)
_1536 = dict(embed_dim=1536, depth=40, num_heads=24)
_2432 = dict(embed_dim=2432, depth=56, num_heads=32)
_7B = dict(embed_dim=4096, depth=40, num_heads=32, mlp_ratio=2, mlp="swiglu", align_to=64)

_EVA02 = dict(patch_size=14, rope=Rotary("axial", grid=(16, 16)), mlp_ratio=8 / 3)
_EVA02_SMALL = dict(_EVA02, mlp="swiglu_packed")
_EVA02_LARGE = dict(_EVA02, mlp="swiglu_norm", qkv_fused=False)
_EVA02_CLIP = dict(_EVA02_LARGE, scale_attn=True, global_pool="token")

_EPS5 = partial(nn.LayerNorm, eps=1e-5)
_DINO3 = dict(rope=Rotary("centred", temperature=100.0), halves=True, abs_positions=False,
              init_values=1e-5, reg_tokens=4, fc_norm=False, dynamic_img_size=True,
              norm_layer=_EPS5)
_DINO3_PLAIN = dict(_DINO3, img_size=256, qkv_bias=False)
_DINO3_BIAS = dict(_DINO3, img_size=256)
_PLUS = dict(mlp="swiglu", align_to=8)
_LINGBOT = dict(_DINO3, global_pool="token", img_size=512)

_ROPE = dict(rope=Rotary("axial", temperature=100.0, rows_first=False), key_bias=True,
             init_values=1e-5, global_pool="token", abs_positions=False)
_ROPE_APE = dict(_ROPE, abs_positions=True, no_embed_class=True)
_MIXED = dict(_ROPE, rope=Rotary("mixed", temperature=10.0))
_MIXED_APE = dict(_MIXED, abs_positions=True, no_embed_class=True)
_ROPE_GAP = dict(img_size=256, rope=Rotary("axial", grid=(16, 16)), class_token=False,
                 abs_positions=False, init_values=1e-5)

_PE = dict(key_bias=True, pre_norm=True, norm_layer=_EPS5)
_PE14, _PE24, _PE32 = (Rotary("axial", grid=(side, side), offset=1.0, rows_first=False)
                       for side in (14, 24, 32))
_336 = dict(patch_size=14, img_size=336, rope=_PE24)
_448 = dict(img_size=448, init_values=0.1)
_PE_CORE = dict(_PE, global_pool="map")
# language models and maps read the tokens
_PE_DENSE = dict(_PE, final_norm=False, fc_norm=False, rope=_PE32)

_SAPIENS = dict(img_size=(1024, 768), rope=Rotary("centred", temperature=100.0, rescale=2.0),
                halves=True, abs_positions=False, key_bias=True, qkv_fused=False, qk_norm=True,
                mlp="swiglu_packed", init_values=1.0, attn_only_layer_scale=True, reg_tokens=8,
                global_pool="token", dynamic_img_size=True,
                norm_layer=partial(nn.RMSNorm, eps=1e-6))


def _fewer_keys(depth: int, heads: int) -> dict[str, Any]:
    """Half as many heads of keys and values in all blocks but the first and the last eight."""
    return dict(num_kv_heads=(heads,) * 8 + (heads // 2,) * (depth - 16) + (heads,) * 8)


VARIANTS: dict[str, dict[str, Any]] = {
    "eva_giant_patch14_224": dict(_GIANT),
    "eva_giant_patch14_336": dict(_GIANT, img_size=336),
    "eva_giant_patch14_560": dict(_GIANT, img_size=560),
    "eva_giant_patch14_clip_224": dict(_GIANT, global_pool="token"),

    "eva02_tiny_patch14_224": dict(_TINY, **_EVA02_SMALL),
    "eva02_small_patch14_224": dict(_SMALL, **_EVA02_SMALL),
    "eva02_base_patch14_224": dict(_BASE, **_EVA02_LARGE),
    "eva02_large_patch14_224": dict(_LARGE, **_EVA02_LARGE),
    "eva02_tiny_patch14_336": dict(_TINY, **_EVA02_SMALL, img_size=336),
    "eva02_small_patch14_336": dict(_SMALL, **_EVA02_SMALL, img_size=336),
    "eva02_base_patch14_448": dict(_BASE, **_EVA02_LARGE, img_size=448),
    "eva02_large_patch14_448": dict(_LARGE, **_EVA02_LARGE, img_size=448),
    "eva02_base_patch16_clip_224": dict(_BASE, **{**_EVA02_CLIP, "patch_size": 16}),
    "eva02_large_patch14_clip_224": dict(_LARGE, **_EVA02_CLIP),
    "eva02_large_patch14_clip_336": dict(_LARGE, **_EVA02_CLIP, img_size=336),
    "eva02_enormous_patch14_clip_224": dict(_ENORMOUS, post_norm=True, global_pool="token"),

    "vit_small_patch16_rope_224": dict(_SMALL, **_ROPE),
    "vit_base_patch16_rope_224": dict(_BASE, **_ROPE),
    "vit_large_patch16_rope_224": dict(_LARGE, **_ROPE),
    "vit_small_patch16_rope_ape_224": dict(_SMALL, **_ROPE_APE),
    "vit_base_patch16_rope_ape_224": dict(_BASE, **_ROPE_APE),
    "vit_large_patch16_rope_ape_224": dict(_LARGE, **_ROPE_APE),
    "vit_small_patch16_rope_mixed_224": dict(_SMALL, **_MIXED),
    "vit_base_patch16_rope_mixed_224": dict(_BASE, **_MIXED),
    "vit_large_patch16_rope_mixed_224": dict(_LARGE, **_MIXED),
    "vit_small_patch16_rope_mixed_ape_224": dict(_SMALL, **_MIXED_APE),
    "vit_base_patch16_rope_mixed_ape_224": dict(_BASE, **_MIXED_APE),
    "vit_large_patch16_rope_mixed_ape_224": dict(_LARGE, **_MIXED_APE),
    "vit_medium_patch16_rope_reg1_gap_256": dict(_MEDIUM, **_ROPE_GAP, reg_tokens=1),
    "vit_mediumd_patch16_rope_reg1_gap_256": dict(_MEDIUM_DEEP, **_ROPE_GAP, reg_tokens=1),
    "vit_betwixt_patch16_rope_reg4_gap_256": dict(_BETWIXT, **_ROPE_GAP, reg_tokens=4),
    "vit_base_patch16_rope_reg1_gap_256": dict(_BASE, **_ROPE_GAP, reg_tokens=1),

    "vit_small_patch16_dinov3": dict(_SMALL, **_DINO3_PLAIN),
    "vit_small_plus_patch16_dinov3": dict(_SMALL, **_DINO3_PLAIN, **_PLUS),
    "vit_base_patch16_dinov3": dict(_BASE, **_DINO3_PLAIN),
    "vit_large_patch16_dinov3": dict(_LARGE, **_DINO3_PLAIN),
    "vit_huge_plus_patch16_dinov3": dict(_HUGE, **_DINO3_PLAIN, **_PLUS),
    "vit_7b_patch16_dinov3": dict(_7B, **_DINO3_PLAIN),
    "vit_tiny_patch16_dinov3_qkvb": dict(_TINY, **_DINO3_BIAS),
    "vit_small_patch16_dinov3_qkvb": dict(_SMALL, **_DINO3_BIAS),
    "vit_small_plus_patch16_dinov3_qkvb": dict(_SMALL, **_DINO3_BIAS, **_PLUS),
    "vit_base_patch16_dinov3_qkvb": dict(_BASE, **_DINO3_BIAS),
    "vit_large_patch16_dinov3_qkvb": dict(_LARGE, **_DINO3_BIAS),
    "vit_huge_plus_patch16_dinov3_qkvb": dict(_HUGE, **_DINO3_BIAS, **_PLUS),

    "vit_small_patch16_lingbot": dict(_SMALL, **_LINGBOT),
    "vit_base_patch16_lingbot": dict(_BASE, **_LINGBOT),
    "vit_large_patch16_lingbot": dict(_LARGE, **_LINGBOT),
    "vit_giant_patch16_lingbot": dict(_1536, **_LINGBOT, **_PLUS, mlp_ratio=8 / 3, qkv_bias=False),

    "vit_pe_core_tiny_patch16_384": dict(_TINY, **_PE_CORE, img_size=384, rope=_PE24),
    "vit_pe_core_small_patch16_384": dict(_SMALL, **_PE_CORE, img_size=384, rope=_PE24),
    "vit_pe_core_base_patch16_224": dict(_BASE, **_PE_CORE, rope=_PE14),
    "vit_pe_core_large_patch14_336": dict(_LARGE, **_PE_CORE, **_336),
    "vit_pe_core_gigantic_patch14_448": dict(_PE_CORE | _GIGANTIC, depth=50, img_size=448),
    "vit_pe_lang_large_patch14_448": dict(_LARGE | dict(depth=23), **_PE_DENSE, **_448,
                                          patch_size=14),
    "vit_pe_lang_gigantic_patch14_448": dict(_PE_DENSE | _GIGANTIC, depth=47, **_448),
    "vit_pe_spatial_tiny_patch16_512": dict(_TINY, **_PE_DENSE, img_size=512),
    "vit_pe_spatial_small_patch16_512": dict(_SMALL, **_PE_DENSE, img_size=512),
    "vit_pe_spatial_base_patch16_512": dict(_BASE, **_PE_DENSE, img_size=512),
    "vit_pe_spatial_large_patch14_448": dict(_LARGE, **_PE_DENSE, patch_size=14, img_size=448),
    "vit_pe_spatial_gigantic_patch14_448": dict(_PE_DENSE | _GIGANTIC, depth=50, **_448),

    "vit_base_patch16_sapiens2": dict(_BASE, **_SAPIENS),
    "vit_large_patch16_sapiens2": dict(_LARGE, **_SAPIENS, **_fewer_keys(24, 16)),
    "vit_huge_patch16_sapiens2": dict(_1280, **_SAPIENS, **_fewer_keys(32, 16)),
    "vit_giant_patch16_sapiens2": dict(_1536, **_SAPIENS, **_fewer_keys(40, 24)),
    "vit_5b_patch16_sapiens2": dict(_2432, **_SAPIENS, **_fewer_keys(56, 32)),
}


# --- names in other people's files ----------------------------------------------------------------


def _rename(state: dict[str, Tensor], pairs: Sequence[tuple[str, str]],
            drop: Sequence[str]) -> dict[str, Tensor]:
    """Parts of names replaced, in order; tensors whose name holds a word in `drop` are left out."""
    mapped = {}
    for key, value in state.items():
        if any(word in key for word in drop):
            continue
        for theirs, ours in pairs:
            key = key.replace(theirs, ours)
        mapped[key] = value
    return mapped


def _from_eva02(state: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    """The names in EVA-02's own files, with three matrices and two biases; tables of angles are
    made anew here.
    """
    state = {key.removeprefix("visual."): value for key, value in state.items()}
    pairs = [(".inner_attn_ln.", ".norm."), (".ffn_ln.", ".norm."), (".mlp.w1.", ".mlp.fc1_g."),
             (".mlp.w2.", ".mlp.fc1_x."), (".mlp.w3.", ".mlp.fc2.")]
    row = VARIANTS[name]
    if not row.get("qkv_fused", True):
        pairs += [(".attn.q_bias", ".attn.q_proj.bias"), (".attn.v_bias", ".attn.v_proj.bias")]
    mapped = _rename(state, pairs, ("rope.freqs", "mask_token"))
    joins = []
    if row.get("qkv_fused", True):
        joins.append((".attn.qkv.weight", [f".attn.{part}_proj.weight" for part in "qkv"]))
    if row.get("mlp") == "swiglu_packed":
        joins += [(f".mlp.fc1.{kind}", [f".mlp.fc1_{part}.{kind}" for part in "gx"])
                  for kind in ("weight", "bias")]
    for whole, parts in joins:
        for key in [key for key in mapped if key.endswith(parts[0])]:
            block = key.removesuffix(parts[0])
            mapped[block + whole] = torch.cat([mapped.pop(block + part) for part in parts])
    return mapped


def _from_dinov3(state: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    """The names in DINOv3's own files, where the keys' bias is there and masked."""
    pairs = [("storage_tokens", "reg_token"), (".ls1.gamma", ".gamma_1"),
             (".ls2.gamma", ".gamma_2"), (".mlp.w1.", ".mlp.fc1_g."), (".mlp.w2.", ".mlp.fc1_x."),
             (".mlp.w3.", ".mlp.fc2.")]
    mapped = _rename(state, pairs, ("bias_mask", "rope_embed", "mask_token"))
    for key in [key for key in mapped if key.endswith(".attn.qkv.bias")]:
        query, _, value = mapped.pop(key).chunk(3)
        if VARIANTS[name].get("qkv_bias", True):
            attention = key.removesuffix("qkv.bias")
            mapped |= {attention + "q_bias": query, attention + "v_bias": value}
    return mapped


KEY_MAPS = {"eva02": _from_eva02, "dinov3": _from_dinov3}
