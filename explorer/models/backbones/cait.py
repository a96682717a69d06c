"""CaiT: a vision transformer that goes deeper, and asks its question at the end.

Two changes let 48 blocks learn where 24 did not before. Each branch is multiplied by learnt factors
that start near zero (LayerScale), so a deep network begins almost as no network at all. And the
class token, which has to sum up, comes in only behind the blocks in which patches talk to each
other: two last blocks, in which it alone asks and changes. The heads of attention may also mix,
before and after their softmax.

Touvron et al., "Going deeper with Image Transformers", 2021, https://arxiv.org/abs/2103.17239;
Shazeer et al., "Talking-Heads Attention", 2020, https://arxiv.org/abs/2003.02436. Parameter names
are timm's.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from explorer.models.layers.drop import DropPath
from explorer.models.layers.init import init_linear
from explorer.models.layers.transformer import Mlp, PatchEmbed
from explorer.models.tokens import TokenModel

# --- blocks ---------------------------------------------------------------------------------------


def check_heads(dim: int, num_heads: int) -> None:
    if dim % num_heads:
        raise ValueError(f"{dim} channels can't be shared by {num_heads} heads: "
                         f"use a divisor of {dim}.")


class TalkingHeads(nn.Module):
    """Self-attention whose heads mix: [B, N, C] -> [B, N, C].

    `proj_l` mixes what they think of each pair of tokens in front of the softmax, `proj_w` behind
    it.
    """

    def __init__(self, dim: int, num_heads: int, *, attn_drop: float, proj_drop: float):
        super().__init__()
        check_heads(dim, num_heads)
        self.num_heads, self.scale = num_heads, (dim // num_heads) ** -0.5
        self.qkv = nn.Linear(dim, 3 * dim)
        self.attn_drop = nn.Dropout(attn_drop)
        self.proj = nn.Linear(dim, dim)
        self.proj_l = nn.Linear(num_heads, num_heads)
        self.proj_w = nn.Linear(num_heads, num_heads)
        self.proj_drop = nn.Dropout(proj_drop)

    def queries_keys_values(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Three tensors [B, heads, N, C / heads] of tokens [B, N, C]."""
        return self.qkv(x).unflatten(2, (3, self.num_heads, -1)).permute(2, 0, 3, 1, 4).unbind(0)

    def attention_weights(self, x: Tensor) -> Tensor:
        """How much each token (row) takes from each token (column): [B, heads, N, N]; every row
        sums to 1.

        x: the tokens that `forward` gets. As the softmax gives them, before the heads mix a second
           time.
        """
        query, key, _ = self.queries_keys_values(x)
        return self.weigh(query, key).permute(0, 3, 1, 2)

    def weigh(self, query: Tensor, key: Tensor) -> Tensor:
        """[B, N, N, heads]: heads last, for the layers that mix them."""
        # [B, heads, N, N] -> heads last
        scores = (query * self.scale @ key.transpose(-2, -1)).permute(0, 2, 3, 1)
        return self.proj_l(scores).softmax(dim=2)  # over the columns

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = self.queries_keys_values(x)
        # [B, heads, N, N]
        weights = self.attn_drop(self.proj_w(self.weigh(query, key)).permute(0, 3, 1, 2))
        return self.proj_drop(self.proj((weights @ value).transpose(1, 2).flatten(2)))


class ClassAttention(nn.Module):
    """The class token asks, itself and all patches answer: [B, 1 + N, C] -> [B, 1, C].

    One question instead of N, so the cost grows with N and not with its square.
    """

    def __init__(self, dim: int, num_heads: int):
        super().__init__()
        check_heads(dim, num_heads)
        self.num_heads, self.scale = num_heads, (dim // num_heads) ** -0.5
        self.q, self.k, self.v = (nn.Linear(dim, dim) for _ in range(3))
        self.proj = nn.Linear(dim, dim)

    def heads(self, x: Tensor) -> Tensor:
        """[B, N, C] -> [B, heads, N, C / heads]."""
        return x.unflatten(2, (self.num_heads, -1)).transpose(1, 2)

    def attention_weights(self, x: Tensor) -> Tensor:
        """How much the class token takes from itself and each patch: [B, heads, 1, 1 + N]; the row
        sums to 1.
        """
        query, key = self.heads(self.q(x[:, :1])), self.heads(self.k(x))
        return (query * self.scale @ key.transpose(-2, -1)).softmax(dim=-1)

    def forward(self, x: Tensor) -> Tensor:
        query = self.heads(self.q(x[:, :1]))
        key, value = self.heads(self.k(x)), self.heads(self.v(x))
        answer = F.scaled_dot_product_attention(query, key, value)  # [B, heads, 1, C / heads]
        return self.proj(answer.transpose(1, 2).flatten(2))


class Block(nn.Module):
    """Attention, then an MLP; `gamma_1` and `gamma_2` scale each channel of what they add:
    [B, N, C] -> [B, N, C].
    """

    def __init__(self, dim: int, num_heads: int, *, mlp_ratio: float, init_values: float,
                 proj_drop: float = 0.0, attn_drop: float = 0.0, drop_path: float = 0.0,
                 norm_layer: Any):
        super().__init__()
        self.norm1 = norm_layer(dim)
        self.attn: nn.Module = TalkingHeads(dim, num_heads, attn_drop=attn_drop,
                                            proj_drop=proj_drop)
        self.drop_path = DropPath(drop_path) if drop_path else nn.Identity()
        self.norm2 = norm_layer(dim)
        self.mlp = Mlp(dim, int(dim * mlp_ratio), drop=proj_drop)
        self.gamma_1 = nn.Parameter(torch.full((dim,), float(init_values)))
        self.gamma_2 = nn.Parameter(torch.full((dim,), float(init_values)))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.drop_path(self.gamma_1 * self.attn(self.norm1(x)))
        return x + self.drop_path(self.gamma_2 * self.mlp(self.norm2(x)))


class ClassBlock(Block):
    """A block that changes the class token alone."""

    def __init__(self, dim: int, num_heads: int, **options: Any):
        super().__init__(dim, num_heads, **options)
        self.attn = ClassAttention(dim, num_heads)

    def forward(self, token: Tensor, patches: Tensor) -> Tensor:
        """The class token [B, 1, C], the patches [B, N, C] -> the class token."""
        together = torch.cat((token, patches), dim=1)
        token = token + self.gamma_1 * self.attn(self.norm1(together))
        return token + self.gamma_2 * self.mlp(self.norm2(token))


# --- the model ------------------------------------------------------------------------------------


class CaiT(TokenModel):
    """Photo [B, in_chans, H, W] -> logits [B, num_classes].

    img_size, patch_size: sides in pixels, or (height, width); the model is built for that size
    embed_dim, num_heads: numbers in a token, heads of attention
    depth, depth_token_only: blocks for the patches, and then for the class token
    mlp_ratio, mlp_ratio_token_only: how many times wider than a token the middle of their MLPs is
    global_pool:   "token" (the class token), "avg" of the patches, "" (logits for all tokens)
    init_values:   start of the learnt factors on every branch
    drop_rate, pos_drop_rate, proj_drop_rate, attn_drop_rate, drop_path_rate: dropout in front of
                   the classifier, behind the positions, in the branches, of attention weights, of
                   whole branches (all alike)

    In the blocks there are patches only; the features have the class token in front of them.
    """

    pools = ("token", "avg", "")
    extra_tokens = ()  # none goes through the blocks

    def __init__(
        self,
        img_size: int | tuple[int, int] = 224,
        patch_size: int | tuple[int, int] = 16,
        *,
        embed_dim: int = 768,
        depth: int = 12,
        depth_token_only: int = 2,
        num_heads: int = 12,
        mlp_ratio: float = 4.0,
        mlp_ratio_token_only: float = 4.0,
        init_values: float = 1e-5,
        num_classes: int = 1000,
        in_chans: int = 3,
        global_pool: str = "token",
        drop_rate: float = 0.0,
        pos_drop_rate: float = 0.0,
        proj_drop_rate: float = 0.0,
        attn_drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
    ):
        super().__init__()
        self.num_classes, self.in_chans = num_classes, in_chans
        self.num_features = self.embed_dim = embed_dim
        self.has_class_token, self.no_embed_class, self.pool_include_prefix = True, True, False
        self.num_prefix_tokens = self.num_prefix_positions = 0
        self.global_pool = self._check_pool(global_pool)
        norm = partial(nn.LayerNorm, eps=1e-6)
        block = dict(init_values=init_values, norm_layer=norm)

        self.patch_embed = PatchEmbed(img_size, patch_size, in_chans=in_chans, embed_dim=embed_dim)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, embed_dim))
        self.pos_embed = nn.Parameter(torch.zeros(1, self.patch_embed.num_patches, embed_dim))
        self.pos_drop, self.norm_pre = nn.Dropout(pos_drop_rate), nn.Identity()
        self.blocks = nn.Sequential(*(
            Block(embed_dim, num_heads, mlp_ratio=mlp_ratio, proj_drop=proj_drop_rate,
                  attn_drop=attn_drop_rate, drop_path=drop_path_rate, **block)
            for _ in range(depth)
        ))
        self.blocks_token_only = nn.ModuleList(
            ClassBlock(embed_dim, num_heads, mlp_ratio=mlp_ratio_token_only, **block)
            for _ in range(depth_token_only)
        )
        self.norm = norm(embed_dim)
        self.attn_pool, self.fc_norm = None, nn.Identity()
        self.head_drop = nn.Dropout(drop_rate)
        self.head = self._new_head()
        self.stages = self.block_stages()
        self.init_weights()

    def init_weights(self) -> None:
        for parameter in (self.pos_embed, self.cls_token):
            nn.init.trunc_normal_(parameter, std=0.02)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                init_linear(module)

    def finish(self, tokens: Tensor) -> Tensor:
        """The patches [B, N, C] -> class token and patches [B, 1 + N, C]."""
        token = self.cls_token.expand(tokens.shape[0], -1, -1)
        for block in self.blocks_token_only:
            token = block(token, tokens)
        return self.norm(torch.cat((token, tokens), dim=1))

    def pool(self, tokens: Tensor) -> Tensor:
        return tokens[:, 1:].mean(dim=1) if self.global_pool == "avg" else super().pool(tokens)


MODEL = CaiT

_XXS, _XS = dict(embed_dim=192, num_heads=4), dict(embed_dim=288, num_heads=6)
_S, _M = dict(embed_dim=384, num_heads=8), dict(embed_dim=768, num_heads=16)

VARIANTS: dict[str, dict[str, Any]] = {
    "cait_xxs24_224": dict(_XXS, depth=24),
    "cait_xxs24_384": dict(_XXS, depth=24, img_size=384),
    "cait_xxs36_224": dict(_XXS, depth=36),
    "cait_xxs36_384": dict(_XXS, depth=36, img_size=384),
    "cait_xs24_384": dict(_XS, depth=24, img_size=384),
    "cait_s24_224": dict(_S, depth=24),
    "cait_s24_384": dict(_S, depth=24, img_size=384),
    "cait_s36_384": dict(_S, depth=36, img_size=384, init_values=1e-6),
    "cait_m36_384": dict(_M, depth=36, img_size=384, init_values=1e-6),
    "cait_m48_448": dict(_M, depth=48, img_size=448, init_values=1e-6),
}
