"""Vision Transformer: a photo read like a sentence.

The photo is cut into patches, and each becomes a word (a token). In every block, attention lets
each token gather what it needs from all others, however far away, and a small network works on it.
There is no built-in idea of "near": a learnt position, added to each token, says where its patch
was.

A class token, without a patch of its own, collects what the classifier needs; later work takes the
mean of all patches instead (GAP), learns without labels (DINOv2, CLIP), or adds registers, spare
tokens to scribble on.

Dosovitskiy et al., "An Image is Worth 16x16 Words", 2020, https://arxiv.org/abs/2010.11929;
for the relatives see `explorer/models/catalog/`. Parameter names are timm's.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from explorer.models.layers.attention_pool import AttentionPool
from explorer.models.layers.drop import drop_path_rates
from explorer.models.layers.init import init_linear
from explorer.models.layers.transformer import Mlp, PatchEmbed, QuickGELU, SwiGLUPacked
from explorer.models.layers.transformer_block import Block
from explorer.models.tokens import TokenModel


class VisionTransformer(TokenModel):
    """Photo [B, in_chans, H, W] -> logits [B, num_classes].

    img_size:         side of the photo in pixels, or (height, width); the model is built for that
                      size
    patch_size:       side of a patch in pixels, or (height, width); where it does not divide
                      img_size, what is left over at the right and at the bottom is not read
    embed_dim, depth, num_heads: numbers in a token, blocks, and heads of attention in each
    mlp_ratio:        how many times wider than a token the MLP's middle is
    global_pool:      "token" (the class token), "avg", "max" or "avgmax" of the patches,
                      "map" (attention that pools), "" (logits for all tokens)
    class_token, reg_tokens: whether there is a class token, and how many registers behind it
    no_embed_class:   only patches get a position; otherwise class token and registers have one too
    pre_norm:         a norm in front of the blocks (CLIP);  qk_norm: one on queries and keys
    embed_norm:       a norm of the patches, before they get a position
    scale_norms:      norms inside both branches too (BEiT 3)
    final_norm:       whether the tokens are normalised at the end
    fc_norm:          whether that norm sits behind the pooling; by default where patches are pooled
    pool_include_prefix: whether class token and registers are pooled too
    init_values:      start of the learnt factors on every branch (LayerScale); None: no such
                      factors
    dynamic_img_size: take any photo whose sides are multiples of the patch, resizing the positions
                      on the fly
    drop_rate, pos_drop_rate, proj_drop_rate, attn_drop_rate, drop_path_rate: dropout in front of
                      the classifier, behind the positions, in the branches, of attention weights,
                      of whole branches

    Tokens come in this order: class token, registers, patches row by row; so the first
    `num_prefix_tokens` are no patches. The way through the blocks is `TokenModel`'s.
    """

    pools = ("token", "avg", "max", "avgmax", "map", "")

    def __init__(
        self,
        img_size: int | tuple[int, int] = 224,
        patch_size: int | tuple[int, int] = 16,
        *,
        in_chans: int = 3,
        num_classes: int = 1000,
        global_pool: str = "token",
        embed_dim: int = 768,
        depth: int = 12,
        num_heads: int = 12,
        mlp_ratio: float = 4.0,
        qkv_bias: bool = True,
        qk_norm: bool = False,
        proj_bias: bool = True,
        init_values: float | None = None,
        class_token: bool = True,
        reg_tokens: int = 0,
        no_embed_class: bool = False,
        pre_norm: bool = False,
        embed_norm: Any = None,
        scale_norms: bool = False,
        final_norm: bool = True,
        fc_norm: bool | None = None,
        pool_include_prefix: bool = False,
        dynamic_img_size: bool = False,
        drop_rate: float = 0.0,
        pos_drop_rate: float = 0.0,
        proj_drop_rate: float = 0.0,
        attn_drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
        act_layer: Any = nn.GELU,
        norm_layer: Any = partial(nn.LayerNorm, eps=1e-6),
        mlp_layer: Any = Mlp,
    ):
        super().__init__()
        self.num_classes, self.in_chans = num_classes, in_chans
        self.num_features = self.embed_dim = embed_dim
        self.has_class_token, self.num_reg_tokens = class_token, reg_tokens
        self.num_prefix_tokens = int(class_token) + reg_tokens
        self.no_embed_class, self.pool_include_prefix = no_embed_class, pool_include_prefix
        self.global_pool = self._check_pool(global_pool)
        self.fixed_image_size = not dynamic_img_size

        self.patch_embed = PatchEmbed(img_size, patch_size, in_chans=in_chans, embed_dim=embed_dim,
                                      bias=not pre_norm, dynamic_img_size=dynamic_img_size,
                                      norm_layer=embed_norm)
        self.num_prefix_positions = 0 if no_embed_class else self.num_prefix_tokens
        positions = self.num_prefix_positions + self.patch_embed.num_patches
        self.cls_token = nn.Parameter(torch.zeros(1, 1, embed_dim)) if class_token else None
        self.reg_token = nn.Parameter(torch.zeros(1, reg_tokens, embed_dim)) if reg_tokens else None
        self.pos_embed = nn.Parameter(torch.zeros(1, positions, embed_dim))
        self.pos_drop = nn.Dropout(pos_drop_rate)
        self.norm_pre = norm_layer(embed_dim) if pre_norm else nn.Identity()
        self.blocks = nn.Sequential(*(
            self.new_block(index, embed_dim, num_heads, mlp_ratio=mlp_ratio, qkv_bias=qkv_bias,
                           qk_norm=qk_norm, proj_bias=proj_bias, init_values=init_values,
                           proj_drop=proj_drop_rate, attn_drop=attn_drop_rate, drop_path=rate,
                           act_layer=act_layer, norm_layer=norm_layer, mlp_layer=mlp_layer,
                           scale_norms=scale_norms)
            for index, rate in enumerate(drop_path_rates(drop_path_rate, (depth,))[0])
        ))
        if fc_norm is None:
            fc_norm = global_pool in ("avg", "max", "avgmax")
        self.norm = norm_layer(embed_dim) if final_norm and not fc_norm else nn.Identity()
        self.attn_pool = None
        if global_pool == "map":
            self.attn_pool = AttentionPool(embed_dim, num_heads, mlp_ratio=mlp_ratio,
                                           norm_layer=norm_layer, act_layer=act_layer)
        self.fc_norm = norm_layer(embed_dim) if final_norm and fc_norm else nn.Identity()
        self.head_drop = nn.Dropout(drop_rate)
        self.head = self._new_head()
        self.stages = self.block_stages()
        self.init_weights()

    def new_block(self, index: int, dim: int, num_heads: int, **options: Any) -> nn.Module:
        """Block number `index`, [B, N, C] -> [B, N, C]; a family with other blocks overrides this.
        """
        return Block(dim, num_heads, **options)

    def init_weights(self) -> None:
        """Small normal weights as in the paper's own code; extra tokens start at almost nothing."""
        nn.init.trunc_normal_(self.pos_embed, std=0.02)
        for token in (self.cls_token, self.reg_token):
            if token is not None:
                nn.init.normal_(token, std=1e-6)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                init_linear(module)
        if self.attn_pool is not None:
            self.attn_pool.init_weights()
        patches = self.patch_embed.proj
        nn.init.trunc_normal_(patches.weight, std=patches.weight[0].numel() ** -0.5)
        if patches.bias is not None:
            nn.init.zeros_(patches.bias)


MODEL = VisionTransformer


# --- variants -------------------------------------------------------------------------------------

_TINY = dict(embed_dim=192, num_heads=3)
_WEE = dict(embed_dim=256, depth=14, num_heads=4, mlp_ratio=5)
_LITTLE = dict(embed_dim=320, depth=14, num_heads=5, mlp_ratio=5.6)
_SMALL = dict(embed_dim=384, num_heads=6)
_MEDIUM = dict(embed_dim=512, num_heads=8)
_BETWIXT = dict(embed_dim=640, num_heads=10)
_BASE = dict(embed_dim=768, num_heads=12)
_PLUS = dict(embed_dim=896, num_heads=14)
_LARGE = dict(embed_dim=1024, depth=24, num_heads=16)
_SO400M = dict(embed_dim=1152, depth=27, num_heads=16, mlp_ratio=3.7362)
_HUGE = dict(embed_dim=1280, depth=32, num_heads=16)
_SO150M = dict(embed_dim=896, depth=18, num_heads=14, mlp_ratio=18 / 7)
_SO150M2 = dict(embed_dim=832, depth=21, num_heads=13, mlp_ratio=34 / 13)
_GIANT = dict(embed_dim=1408, depth=40, num_heads=16, mlp_ratio=48 / 11)
_GIANTOPT = dict(embed_dim=1536, depth=40, num_heads=16)
_GIGANTIC = dict(embed_dim=1664, depth=48, num_heads=16, mlp_ratio=64 / 13)

_GAP = dict(class_token=False, global_pool="avg", fc_norm=False)
_SCALED_GAP = dict(_GAP, qkv_bias=False, init_values=1e-6)
_DINO = dict(init_values=1e-5)
_SWIGLU = dict(embed_dim=1536, depth=40, num_heads=24, mlp_ratio=16 / 3, mlp_layer=SwiGLUPacked,
               act_layer="silu")
_REG4 = dict(reg_tokens=4, no_embed_class=True)
_REG1 = dict(reg_tokens=1, no_embed_class=True)
_TIPS = dict(_REG1, init_values=1.0)
_RADIO = dict(reg_tokens=7, no_embed_class=True, final_norm=False)
_POOLED = dict(class_token=False, global_pool="avg")
_CLIP = dict(pre_norm=True, norm_layer=nn.LayerNorm)
_QUICK = dict(_CLIP, act_layer=QuickGELU)
_TANH = dict(act_layer=partial(nn.GELU, approximate="tanh"))
_GELU_TANH = dict(_GAP, **_TANH)
_MAP = dict(class_token=False, global_pool="map")

_SO150M2_REG = dict(_DINO, **_POOLED, qkv_bias=False, reg_tokens=1)
_INTERN = dict(init_values=0.1, final_norm=False, dynamic_img_size=True)


def _row(size: dict, patch_size: int, img_size: int, *more: dict, **options: Any) -> dict[str, Any]:
    """A variant's options; what stands further right wins."""
    merged = {**size, "patch_size": patch_size, "img_size": img_size}
    for part in more:
        merged |= part
    return merged | options


VARIANTS: dict[str, dict[str, Any]] = {
    "vit_tiny_patch16_224": _row(_TINY, 16, 224),
    "vit_tiny_patch16_384": _row(_TINY, 16, 384),
    "vit_small_patch32_224": _row(_SMALL, 32, 224),
    "vit_small_patch32_384": _row(_SMALL, 32, 384),
    "vit_small_patch16_224": _row(_SMALL, 16, 224),
    "vit_small_patch16_384": _row(_SMALL, 16, 384),
    "vit_small_patch8_224": _row(_SMALL, 8, 224),
    "vit_base_patch32_224": _row(_BASE, 32, 224),
    "vit_base_patch32_384": _row(_BASE, 32, 384),
    "vit_base_patch16_224": _row(_BASE, 16, 224),
    "vit_base_patch16_384": _row(_BASE, 16, 384),
    "vit_base_patch8_224": _row(_BASE, 8, 224),
    "vit_large_patch32_224": _row(_LARGE, 32, 224),
    "vit_large_patch32_384": _row(_LARGE, 32, 384),
    "vit_large_patch16_224": _row(_LARGE, 16, 224),
    "vit_large_patch16_384": _row(_LARGE, 16, 384),
    "vit_large_patch14_224": _row(_LARGE, 14, 224),
    "vit_huge_patch14_224": _row(_HUGE, 14, 224),
    "vit_giant_patch14_224": _row(_GIANT, 14, 224),
    "vit_gigantic_patch14_224": _row(_GIGANTIC, 14, 224),
    "vit_base_patch16_224_miil": _row(_BASE, 16, 224, qkv_bias=False),
    "vit_base_patch16_plus_240": _row(_PLUS, 16, 240, init_values=1e-5),
    "vit_base_patch32_plus_256": _row(_PLUS, 32, 256, init_values=1e-5),
    "vit_small_patch16_36x1_224": _row(_SMALL, 16, 224, depth=36, init_values=1e-5),
    "vit_intern300m_patch14_448": _row(_LARGE, 14, 448, **_INTERN),

    "vit_base_patch16_gap_224": _row(_BASE, 16, 224, _GAP, num_heads=16),
    "vit_medium_patch16_gap_240": _row(_MEDIUM, 16, 240, _SCALED_GAP),
    "vit_medium_patch16_gap_256": _row(_MEDIUM, 16, 256, _SCALED_GAP),
    "vit_medium_patch16_gap_384": _row(_MEDIUM, 16, 384, _SCALED_GAP),
    "vit_betwixt_patch16_gap_256": _row(_BETWIXT, 16, 256, _SCALED_GAP),
    "vit_huge_patch14_gap_224": _row(_HUGE, 14, 224, _GAP),
    "vit_huge_patch16_gap_448": _row(_HUGE, 16, 448, _GAP),
    "vit_giant_patch16_gap_224": _row(_GIANT, 16, 224, _GAP),

    "vit_small_patch14_dinov2": _row(_SMALL, 14, 518, _DINO),
    "vit_base_patch14_dinov2": _row(_BASE, 14, 518, _DINO),
    "vit_large_patch14_dinov2": _row(_LARGE, 14, 518, _DINO),
    "vit_giant_patch14_dinov2": _row(_SWIGLU, 14, 518, _DINO),

    "vit_small_patch14_reg4_dinov2": _row(_SMALL, 14, 518, _DINO, _REG4),
    "vit_base_patch14_reg4_dinov2": _row(_BASE, 14, 518, _DINO, _REG4),
    "vit_large_patch14_reg4_dinov2": _row(_LARGE, 14, 518, _DINO, _REG4),
    "vit_giant_patch14_reg4_dinov2": _row(_SWIGLU, 14, 518, _DINO, _REG4),
    "vit_medium_patch16_reg4_gap_256": _row(_MEDIUM, 16, 256, _DINO, _REG4, _POOLED),
    "vit_base_patch16_reg4_gap_256": _row(_BASE, 16, 256, _REG4, _POOLED),
    "vit_betwixt_patch16_reg1_gap_256": _row(_BETWIXT, 16, 256, _DINO, _REG1, _POOLED),
    "vit_betwixt_patch16_reg4_gap_256": _row(_BETWIXT, 16, 256, _DINO, _REG4, _POOLED),
    "vit_betwixt_patch16_reg4_gap_384": _row(_BETWIXT, 16, 384, _DINO, _REG4, _POOLED),
    "vit_wee_patch16_reg1_gap_256": _row(_WEE, 16, 256, _DINO, _REG1, _POOLED),
    "vit_little_patch16_reg1_gap_256": _row(_LITTLE, 16, 256, _DINO, _REG1, _POOLED),
    "vit_little_patch16_reg4_gap_256": _row(_LITTLE, 16, 256, _DINO, _REG4, _POOLED),
    "vit_medium_patch16_reg1_gap_256": _row(_MEDIUM, 16, 256, _DINO, _REG1, _POOLED),
    "vit_mediumd_patch16_reg4_gap_256": _row(_MEDIUM, 16, 256, _DINO, _REG4, _POOLED, depth=20),
    "vit_mediumd_patch16_reg4_gap_384": _row(_MEDIUM, 16, 384, _DINO, _REG4, _POOLED, depth=20),
    "vit_so150m_patch16_reg4_map_256": _row(_SO150M, 16, 256, _MAP, reg_tokens=4),
    "vit_so150m_patch16_reg4_gap_256": _row(_SO150M, 16, 256, _GAP, reg_tokens=4),
    "vit_so150m_patch16_reg4_gap_384": _row(_SO150M, 16, 384, _GAP, reg_tokens=4),
    "vit_so150m2_patch16_reg1_gap_256": _row(_SO150M2, 16, 256, **_SO150M2_REG),
    "vit_so150m2_patch16_reg1_gap_384": _row(_SO150M2, 16, 384, **_SO150M2_REG),
    "vit_so150m2_patch16_reg1_gap_448": _row(_SO150M2, 16, 448, **_SO150M2_REG),
    "vit_base_patch14_reg1_tipsv2": _row(_BASE, 14, 448, _TIPS),
    "vit_large_patch14_reg1_tipsv2": _row(_LARGE, 14, 448, _TIPS),
    "vit_so400m_patch14_reg1_tipsv2": _row(_SO400M, 14, 448, _TIPS),
    "vit_giant_patch14_reg1_tipsv2": _row(_SWIGLU, 14, 448, _TIPS),
    "vit_base_patch16_radio_v3": _row(_BASE, 16, 512, _RADIO, init_values=1e-5),
    "vit_large_patch16_radio_v3": _row(_LARGE, 16, 512, _RADIO, init_values=1e-5),
    "vit_huge_patch16_radio_v3": _row(_HUGE, 16, 512, _RADIO),
    "vit_giant_patch16_radio_v3": _row(_GIANTOPT, 16, 512, _RADIO, num_heads=24),
    "vit_huge_patch16_radio_v4": _row(_HUGE, 16, 512, _RADIO, reg_tokens=9),
    "vit_so400m_patch16_radio_v4": _row(_SO400M, 16, 512, _RADIO, reg_tokens=9),

    "vit_xsmall_patch16_clip_224": _row(dict(embed_dim=256, depth=10, num_heads=4), 16, 224, _CLIP),
    "vit_medium_patch32_clip_224": _row(_MEDIUM, 32, 224, _CLIP),
    "vit_medium_patch16_clip_224": _row(_MEDIUM, 16, 224, _CLIP),
    "vit_betwixt_patch32_clip_224": _row(_BETWIXT, 32, 224, _CLIP),
    "vit_base_patch32_clip_224": _row(_BASE, 32, 224, _CLIP),
    "vit_base_patch32_clip_256": _row(_BASE, 32, 256, _CLIP),
    "vit_base_patch32_clip_384": _row(_BASE, 32, 384, _CLIP),
    "vit_base_patch32_clip_448": _row(_BASE, 32, 448, _CLIP),
    "vit_base_patch16_clip_224": _row(_BASE, 16, 224, _CLIP),
    "vit_base_patch16_clip_384": _row(_BASE, 16, 384, _CLIP),
    "vit_base_patch16_plus_clip_240": _row(_PLUS, 16, 240, _CLIP),
    "vit_large_patch14_clip_224": _row(_LARGE, 14, 224, _CLIP),
    "vit_large_patch14_clip_336": _row(_LARGE, 14, 336, _CLIP),
    "vit_huge_patch14_clip_224": _row(_HUGE, 14, 224, _CLIP),
    "vit_huge_patch14_clip_336": _row(_HUGE, 14, 336, _CLIP),
    "vit_huge_patch14_clip_378": _row(_HUGE, 14, 378, _CLIP),
    "vit_giant_patch14_clip_224": _row(_GIANT, 14, 224, _CLIP),
    "vit_gigantic_patch14_clip_224": _row(_GIGANTIC, 14, 224, _CLIP),
    "vit_gigantic_patch14_clip_378": _row(_GIGANTIC, 14, 378, _CLIP),
    "vit_base_patch32_clip_quickgelu_224": _row(_BASE, 32, 224, _QUICK),
    "vit_base_patch16_clip_quickgelu_224": _row(_BASE, 16, 224, _QUICK),
    "vit_large_patch14_clip_quickgelu_224": _row(_LARGE, 14, 224, _QUICK),
    "vit_large_patch14_clip_quickgelu_336": _row(_LARGE, 14, 336, _QUICK),
    "vit_huge_patch14_clip_quickgelu_224": _row(_HUGE, 14, 224, _QUICK),
    "vit_huge_patch14_clip_quickgelu_378": _row(_HUGE, 14, 378, _QUICK),
    "vit_gigantic_patch14_clip_quickgelu_224": _row(_GIGANTIC, 14, 224, _QUICK),

    "eva_large_patch14_196": _row(_LARGE, 14, 196, global_pool="avg"),
    "eva_large_patch14_336": _row(_LARGE, 14, 336, global_pool="avg"),

    "flexivit_small": _row(_SMALL, 16, 240, no_embed_class=True),
    "flexivit_base": _row(_BASE, 16, 240, no_embed_class=True),
    "flexivit_large": _row(_LARGE, 16, 240, no_embed_class=True),

    "vit_base_patch32_siglip_256": _row(_BASE, 32, 256, _MAP, _TANH),
    "vit_base_patch16_siglip_224": _row(_BASE, 16, 224, _MAP),
    "vit_base_patch16_siglip_256": _row(_BASE, 16, 256, _MAP),
    "vit_base_patch16_siglip_384": _row(_BASE, 16, 384, _MAP),
    "vit_base_patch16_siglip_512": _row(_BASE, 16, 512, _MAP),
    "vit_large_patch16_siglip_256": _row(_LARGE, 16, 256, _MAP),
    "vit_large_patch16_siglip_384": _row(_LARGE, 16, 384, _MAP),
    "vit_large_patch16_siglip_512": _row(_LARGE, 16, 512, _MAP, _TANH),
    "vit_so400m_patch14_siglip_224": _row(_SO400M, 14, 224, _MAP),
    "vit_so400m_patch14_siglip_378": _row(_SO400M, 14, 378, _MAP),
    "vit_so400m_patch14_siglip_384": _row(_SO400M, 14, 384, _MAP),
    "vit_so400m_patch16_siglip_256": _row(_SO400M, 16, 256, _MAP, _TANH),
    "vit_so400m_patch16_siglip_384": _row(_SO400M, 16, 384, _MAP, _TANH),
    "vit_so400m_patch16_siglip_512": _row(_SO400M, 16, 512, _MAP, _TANH),
    "vit_giantopt_patch16_siglip_256": _row(_GIANTOPT, 16, 256, _MAP, _TANH),
    "vit_giantopt_patch16_siglip_384": _row(_GIANTOPT, 16, 384, _MAP, _TANH),
    "vit_base_patch32_siglip_gap_256": _row(_BASE, 32, 256, _GELU_TANH),
    "vit_base_patch16_siglip_gap_224": _row(_BASE, 16, 224, _GAP),
    "vit_base_patch16_siglip_gap_256": _row(_BASE, 16, 256, _GAP),
    "vit_base_patch16_siglip_gap_384": _row(_BASE, 16, 384, _GAP),
    "vit_base_patch16_siglip_gap_512": _row(_BASE, 16, 512, _GAP),
    "vit_large_patch16_siglip_gap_256": _row(_LARGE, 16, 256, _GAP),
    "vit_large_patch16_siglip_gap_384": _row(_LARGE, 16, 384, _GAP),
    "vit_large_patch16_siglip_gap_512": _row(_LARGE, 16, 512, _GELU_TANH),
    "vit_so400m_patch14_siglip_gap_224": _row(_SO400M, 14, 224, _GAP),
    "vit_so400m_patch14_siglip_gap_378": _row(_SO400M, 14, 378, _GAP),
    "vit_so400m_patch14_siglip_gap_384": _row(_SO400M, 14, 384, _GAP),
    "vit_so400m_patch14_siglip_gap_448": _row(_SO400M, 14, 448, _GAP),
    "vit_so400m_patch14_siglip_gap_896": _row(_SO400M, 14, 896, _GAP),
    "vit_so400m_patch16_siglip_gap_256": _row(_SO400M, 16, 256, _GELU_TANH),
    "vit_so400m_patch16_siglip_gap_384": _row(_SO400M, 16, 384, _GELU_TANH),
    "vit_so400m_patch16_siglip_gap_512": _row(_SO400M, 16, 512, _GELU_TANH),
    "vit_giantopt_patch16_siglip_gap_256": _row(_GIANTOPT, 16, 256, _GELU_TANH),
    "vit_giantopt_patch16_siglip_gap_384": _row(_GIANTOPT, 16, 384, _GELU_TANH),
}


# --- names in other people's files ----------------------------------------------------------------


def _from_torchvision(state: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    """torchvision's names of the same layers."""
    inside = (("ln_1.", "norm1."), ("ln_2.", "norm2."), ("self_attention.in_proj_", "attn.qkv."),
              ("self_attention.out_proj.", "attn.proj."), ("mlp.0.", "mlp.fc1."),
              ("mlp.3.", "mlp.fc2."), ("mlp.linear_1.", "mlp.fc1."), ("mlp.linear_2.", "mlp.fc2."))
    outside = (("class_token", "cls_token"), ("conv_proj.", "patch_embed.proj."),
               ("encoder.pos_embedding", "pos_embed"), ("encoder.ln.", "norm."),
               ("heads.head.", "head."))
    block = "encoder.layers.encoder_layer_"
    mapped = {}
    for key, value in state.items():
        start, names, rest = "", outside, key
        if key.startswith(block):
            number, _, rest = key.removeprefix(block).partition(".")
            start, names = f"blocks.{number}.", inside
        for theirs, ours in names:
            if rest.startswith(theirs):
                rest = ours + rest.removeprefix(theirs)
                break
        mapped[start + rest] = value
    return mapped


def _from_dinov2(state: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    """The names in DINOv2's own files."""
    pairs = (("register_tokens", "reg_token"), (".mlp.w12.", ".mlp.fc1."),
             (".mlp.w3.", ".mlp.fc2."))
    mapped = {}
    for key, value in state.items():
        for theirs, ours in pairs:
            key = key.replace(theirs, ours)
        mapped[key] = value
    return mapped


KEY_MAPS = {"torchvision": _from_torchvision, "dinov2": _from_dinov2}
