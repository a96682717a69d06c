"""The parts of a vision transformer: patches in, attention, a small network for each token.

Tokens are [B, N, C]: N vectors of C numbers for each photo. Parameter names are timm's.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from explorer.models.layers.activations import create_act


def to_pair(value: int | tuple[int, int]) -> tuple[int, int]:
    """(height, width) of one number or of two."""
    return (value, value) if isinstance(value, int) else (int(value[0]), int(value[1]))


# --- from a photo to tokens -------------------------------------------------------------------------------


class PatchEmbed(nn.Module):
    """Cut the photo into patches, each a token: [B, in_chans, H, W] -> [B, H/p * W/p, embed_dim].

    One convolution whose stride is its kernel does both. Tokens come row by row, from the top left. Where a
    patch does not divide `img_size`, the rest at the right and at the bottom is not read, as in timm and as
    SigLIP's weights for 14 in 384 want it: 64 pixels in patches of 15 are 4, and 4 pixels are left over.
    Raises ValueError for a photo of another size than `img_size`; with `dynamic_img_size`, for one whose
    sides are no multiples of the patch.
    """

    def __init__(
        self,
        img_size: int | tuple[int, int] = 224,
        patch_size: int | tuple[int, int] = 16,
        *,
        in_chans: int = 3,
        embed_dim: int = 768,
        bias: bool = True,
        dynamic_img_size: bool = False,
        norm_layer: Any = None,
    ):
        """norm_layer: a norm of the tokens, where the family has one here."""
        super().__init__()
        self.img_size, self.patch_size = to_pair(img_size), to_pair(patch_size)
        self.dynamic_img_size = dynamic_img_size
        (height, width), (ph, pw) = self.img_size, self.patch_size
        if min(ph, pw) < 1 or height < ph or width < pw:
            raise ValueError(f"A photo of {height} x {width} pixels holds no patch of {ph} x {pw}.")
        self.grid_size = (height // ph, width // pw)
        self.num_patches = self.grid_size[0] * self.grid_size[1]
        self.proj = nn.Conv2d(in_chans, embed_dim, self.patch_size, stride=self.patch_size, bias=bias)
        self.norm = None if norm_layer is None else norm_layer(embed_dim)

    def grid(self, height: int, width: int) -> tuple[int, int]:
        """Rows and columns of patches of a photo of that size; raises ValueError where it doesn't fit."""
        ph, pw = self.patch_size
        if not self.dynamic_img_size:
            if (height, width) != self.img_size:
                raise ValueError(
                    f"This model reads photos of {self.img_size[0]} x {self.img_size[1]} pixels; "
                    f"got {height} x {width}. Resize the photo, or create the model with "
                    f"img_size=({height}, {width}) or dynamic_img_size=True."
                )
        elif height % ph or width % pw:
            near = (max(1, round(height / ph)) * ph, max(1, round(width / pw)) * pw)
            raise ValueError(
                f"A photo of {height} x {width} pixels can't be cut into whole patches of {ph} x {pw}. "
                f"Resize it, e.g. to {near[0]} x {near[1]}."
            )
        return height // ph, width // pw

    def forward(self, x: Tensor) -> Tensor:
        self.grid(*x.shape[-2:])
        x = self.proj(x).flatten(2).transpose(1, 2)  # [B, C, H/p, W/p] -> [B, N, C]
        return x if self.norm is None else self.norm(x)


def resample_abs_pos_embed(
    posemb: Tensor,
    new_size: tuple[int, int],
    *,
    old_size: tuple[int, int] | None = None,
    num_prefix_tokens: int = 1,
    interpolation: str = "bicubic",
    antialias: bool = True,
) -> Tensor:
    """Position embeddings [1, prefix + N, C] for another grid of patches, resized as if they were a picture.

    new_size, old_size: rows and columns of patches; the old grid is a square where it is not given.
    The first `num_prefix_tokens` belong to no patch and stay. Raises ValueError where the old grid can't be.
    """
    prefix, patches = posemb[:, :num_prefix_tokens], posemb[:, num_prefix_tokens:]
    count = patches.shape[1]
    if old_size is None:
        side = int(count**0.5)
        old_size = (side, side)
    if old_size[0] * old_size[1] != count:
        raise ValueError(
            f"{count} position embeddings don't form a grid of {old_size[0]} x {old_size[1]} patches: give "
            "old_size=(rows, columns), or another num_prefix_tokens."
        )
    if tuple(new_size) == tuple(old_size):
        return posemb
    picture = patches.reshape(1, *old_size, -1).permute(0, 3, 1, 2)  # [1, N, C] -> [1, C, rows, columns]
    picture = F.interpolate(picture.float(), size=tuple(new_size), mode=interpolation, antialias=antialias)
    patches = picture.flatten(2).transpose(1, 2).to(posemb.dtype)
    return torch.cat((prefix, patches), dim=1)


def resample_patch_embed(
    weight: Tensor, new_size: tuple[int, int], *, interpolation: str = "bicubic", antialias: bool = True
) -> Tensor:
    """Patch filters [C, in, h, w] for patches of another size: [C, in, *new_size].

    A resized filter on a resized patch should answer what the old filter answers on the old patch. The
    filters that come closest are given by the pseudo-inverse of the resizing, which is a linear map.
    Beyer et al., "FlexiViT: One Model for All Patch Sizes", 2023, section 3.4.
    """
    old_size = tuple(weight.shape[-2:])
    if tuple(new_size) == old_size:
        return weight
    pixels = old_size[0] * old_size[1]
    # Resizing each patch that has one white pixel gives the matrix of the resizing, a row for each old pixel.
    basis = torch.eye(pixels).reshape(pixels, 1, *old_size)
    resize = F.interpolate(basis, size=tuple(new_size), mode=interpolation, antialias=antialias).flatten(1)
    inverse = torch.linalg.pinv(resize)  # [new pixels, old pixels]
    resized = weight.float().flatten(2) @ inverse.T  # [C, in, old pixels] -> [C, in, new pixels]
    return resized.unflatten(2, tuple(new_size)).to(weight.dtype)


# --- blocks of tokens ---------------------------------------------------------------------------------------


class Attention(nn.Module):
    """Multi-head self-attention: [B, N, C] -> [B, N, C].

    Every token asks (query) and offers (key, value); it receives the mean of all values, weighted by how well
    its query fits their keys. Each of `num_heads` does so on its own C / num_heads numbers.
    Vaswani et al., "Attention Is All You Need", 2017, section 3.2.
    """

    def __init__(
        self,
        dim: int,
        num_heads: int = 8,
        *,
        qkv_bias: bool = False,
        qk_norm: bool = False,
        proj_bias: bool = True,
        attn_drop: float = 0.0,
        proj_drop: float = 0.0,
        norm_layer: Any = nn.LayerNorm,
        scale_norm: bool = False,
    ):
        """qk_norm: normalise queries and keys, which keeps very large models stable; attn_drop: of weights.

        scale_norm: normalise what the heads give, too ("sub-norm")
        """
        super().__init__()
        if dim % num_heads:
            raise ValueError(f"{dim} channels can't be shared by {num_heads} heads: use a divisor of {dim}.")
        self.num_heads, self.head_dim = num_heads, dim // num_heads
        self.scale = self.head_dim**-0.5
        self.qkv = nn.Linear(dim, 3 * dim, bias=qkv_bias)
        self.q_norm = norm_layer(self.head_dim) if qk_norm else nn.Identity()
        self.k_norm = norm_layer(self.head_dim) if qk_norm else nn.Identity()
        self.attn_drop = nn.Dropout(attn_drop)
        self.norm = norm_layer(dim) if scale_norm else None
        self.proj = nn.Linear(dim, dim, bias=proj_bias)
        self.proj_drop = nn.Dropout(proj_drop)

    def queries_keys_values(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Three tensors [B, heads, N, C / heads] of tokens [B, N, C]."""
        # [B, N, 3 * C] -> [B, N, 3, heads, C / heads] -> [3, B, heads, N, C / heads]
        qkv = self.qkv(x).unflatten(2, (3, self.num_heads, self.head_dim)).permute(2, 0, 3, 1, 4)
        query, key, value = qkv.unbind(0)
        return self.q_norm(query), self.k_norm(key), value

    def attention_weights(self, x: Tensor) -> Tensor:
        """How much each token (row) takes from each token (column): [B, heads, N, N]; every row sums to 1.

        x: the tokens [B, N, C] that `forward` gets. `forward` uses the same weights without ever holding this
        matrix in memory; dropout is left out here.
        """
        query, key, _ = self.queries_keys_values(x)
        return (query * self.scale @ key.transpose(-2, -1)).softmax(dim=-1)

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = self.queries_keys_values(x)
        dropout = self.attn_drop.p if self.training else 0.0
        x = F.scaled_dot_product_attention(query, key, value, dropout_p=dropout)  # [B, heads, N, C / heads]
        x = x.transpose(1, 2).flatten(2)  # [B, N, C]
        if self.norm is not None:
            x = self.norm(x)
        return self.proj_drop(self.proj(x))


class LayerScale(nn.Module):
    """A learnt factor for each channel of a residual branch, small at first: [..., C] -> [..., C].

    Touvron et al., "Going deeper with Image Transformers", 2021.
    """

    def __init__(self, dim: int, init_values: float = 1e-5):
        super().__init__()
        self.gamma = nn.Parameter(torch.full((dim,), float(init_values)))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gamma


class LayerScale2d(LayerScale):
    """A learnt factor for each channel of a map: [B, C, H, W] -> the same."""

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gamma[:, None, None]


class Mlp(nn.Module):
    """Two layers with an activation between them, for each token by itself: [..., in] -> [..., out].

    hidden_features and out_features are in_features where they are not given; `norm_layer`: a norm of the
    middle.
    """

    def __init__(
        self,
        in_features: int,
        hidden_features: int | None = None,
        out_features: int | None = None,
        *,
        act_layer: str | type[nn.Module] = nn.GELU,
        bias: bool = True,
        drop: float = 0.0,
        norm_layer: Any = None,
    ):
        super().__init__()
        hidden_features = hidden_features or in_features
        self.fc1 = nn.Linear(in_features, hidden_features, bias=bias)
        self.act = create_act(act_layer)
        self.drop1 = nn.Dropout(drop)
        self.norm = None if norm_layer is None else norm_layer(hidden_features)
        self.fc2 = nn.Linear(hidden_features, out_features or in_features, bias=bias)
        self.drop2 = nn.Dropout(drop)

    def forward(self, x: Tensor) -> Tensor:
        x = self.drop1(self.act(self.fc1(x)))
        return self.drop2(self.fc2(x if self.norm is None else self.norm(x)))


class SwiGLUPacked(nn.Module):
    """An MLP whose one half opens and closes the other: [..., in] -> [..., out].

    `fc1` holds both halves in one matrix, so `hidden_features` counts both and must be even.
    Shazeer, "GLU Variants Improve Transformer", 2020.
    """

    def __init__(
        self,
        in_features: int,
        hidden_features: int | None = None,
        out_features: int | None = None,
        *,
        act_layer: str | type[nn.Module] = nn.SiLU,
        bias: bool = True,
        drop: float = 0.0,
    ):
        super().__init__()
        hidden_features = hidden_features or in_features
        if hidden_features % 2:
            raise ValueError(f"hidden_features is {hidden_features}: two halves need an even number.")
        self.fc1 = nn.Linear(in_features, hidden_features, bias=bias)
        self.act = create_act(act_layer)
        self.drop1 = nn.Dropout(drop)
        self.fc2 = nn.Linear(hidden_features // 2, out_features or in_features, bias=bias)
        self.drop2 = nn.Dropout(drop)

    def forward(self, x: Tensor) -> Tensor:
        gate, values = self.fc1(x).chunk(2, dim=-1)
        x = self.drop1(self.act(gate) * values)
        return self.drop2(self.fc2(x))


class QuickGELU(nn.Module):
    """x * sigmoid(1.702 x), an approximation of GELU that OpenAI's CLIP was trained with."""

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(1.702 * x)
