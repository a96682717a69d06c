"""MobileViT: attention for phones, between MobileNetV2's convolutions.

A small map is cut into patches of 2 x 2 places, and places at the same corner of all patches look
at each other: the convolutions around have told each place what its three neighbours know, so a
quarter of the work is enough. Version 2 drops the matrix of who looks at whom: every place gives
one number, the softmax of these numbers makes one summary of the photo, and that summary opens and
closes the channels everywhere; the cost grows with the places, not their square.

Mehta and Rastegari, "MobileViT: Light-weight, General-purpose, and Mobile-friendly Vision
Transformer", 2021, https://arxiv.org/abs/2110.02178, and "Separable Self-attention for Mobile
Vision Transformers", 2022, https://arxiv.org/abs/2206.02680. Parameter names are timm's.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from explorer.models.contract import Stage, VisionModel
from explorer.models.layers.channel_attention import make_divisible
from explorer.models.layers.conv_norm_act import ConvNormAct
from explorer.models.layers.drop import DropPath, drop_path_rates
from explorer.models.layers.pool import ClassifierHead
from explorer.models.layers.transformer import Attention, Mlp

PATCH = 2  # rows and columns of a patch


class BottleneckBlock(nn.Module):
    """Widen, filter each channel by itself, narrow again: [B, in, H, W]
    -> [B, out, H/stride, W/stride].

    MobileNetV2's block, with the parameter names that these checkpoints carry.
    """

    def __init__(self, in_chans: int, out_chans: int, *, stride: int, expand: int,
                 drop_path: float):
        super().__init__()
        middle = make_divisible(in_chans * expand)
        self.has_shortcut = stride == 1 and in_chans == out_chans
        self.conv1_1x1 = ConvNormAct(in_chans, middle, act_layer="silu")
        self.conv2_kxk = ConvNormAct(middle, middle, 3, stride=stride, groups=middle,
                                     act_layer="silu")
        self.conv3_1x1 = ConvNormAct(middle, out_chans, apply_act=False)
        self.drop_path = DropPath(drop_path) if drop_path and self.has_shortcut else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x
        x = self.conv3_1x1(self.conv2_kxk(self.conv1_1x1(x)))
        return shortcut + self.drop_path(x) if self.has_shortcut else x


# --- patches --------------------------------------------------------------------------------------


def unfold(x: Tensor) -> Tensor:
    """A map [B, C, H, W] as places of patches [B, C, P, N]: the P corners of a patch, the N
    patches.
    """
    x = x.unflatten(3, (-1, PATCH)).unflatten(2, (-1, PATCH))  # [B, C, H/2, 2, W/2, 2]
    return x.permute(0, 1, 3, 5, 2, 4).flatten(4, 5).flatten(2, 3)


def fold(x: Tensor, size: tuple[int, int]) -> Tensor:
    """What `unfold` cut, put together again: [B, C, P, N] -> [B, C, H, W]."""
    # [B, C, 2, 2, H/2, W/2]
    x = x.unflatten(3, (size[0] // PATCH, size[1] // PATCH)).unflatten(2, (PATCH, PATCH))
    return x.permute(0, 1, 4, 2, 5, 3).flatten(4, 5).flatten(2, 3)


def whole_patches(size: Sequence[int]) -> tuple[int, int]:
    """The next size up that patches fill."""
    return tuple(math.ceil(side / PATCH) * PATCH for side in size)


# --- version 1 ------------------------------------------------------------------------------------


class TransformerBlock(nn.Module):
    """Attention, then an MLP, each a correction added to its input: [B * P, N, C] -> [B * P, N, C].
    """

    def __init__(self, dim: int, *, drop_path: float):
        super().__init__()
        self.norm1 = nn.LayerNorm(dim)
        self.attn = Attention(dim, num_heads=4, qkv_bias=True)
        self.drop_path1 = DropPath(drop_path) if drop_path else nn.Identity()
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = Mlp(dim, 2 * dim, act_layer="silu")
        self.drop_path2 = DropPath(drop_path) if drop_path else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.drop_path1(self.attn(self.norm1(x)))
        return x + self.drop_path2(self.mlp(self.norm2(x)))


class MobileVitBlock(nn.Module):
    """Look around by convolution, look far by attention, and join both with the input: [B, C, H, W]
    -> the same.
    """

    def __init__(self, chans: int, dim: int, *, depth: int, drop_path: float):
        super().__init__()
        self.conv_kxk = ConvNormAct(chans, chans, 3, act_layer="silu")
        self.conv_1x1 = nn.Conv2d(chans, dim, 1, bias=False)
        self.transformer = nn.Sequential(*(TransformerBlock(dim, drop_path=drop_path)
                                           for _ in range(depth)))
        self.norm = nn.LayerNorm(dim)
        self.conv_proj = ConvNormAct(dim, chans, act_layer="silu")
        self.conv_fusion = ConvNormAct(2 * chans, chans, 3, act_layer="silu")

    def forward(self, x: Tensor) -> Tensor:
        shortcut, size = x, x.shape[-2:]
        x = self.conv_1x1(self.conv_kxk(x))  # [B, C, H, W] -> [B, dim, H, W]
        whole = whole_patches(size)
        if whole != size:
            x = F.interpolate(x, size=whole, mode="bilinear", align_corners=False)
        x = unfold(x).permute(0, 2, 3, 1)  # [B, P, N, dim]
        corners = x.shape[1]
        x = self.norm(self.transformer(x.flatten(0, 1)))  # every corner by itself: [B * P, N, dim]
        x = fold(x.unflatten(0, (-1, corners)).permute(0, 3, 1, 2), whole)
        if whole != size:
            x = F.interpolate(x, size=size, mode="bilinear", align_corners=False)
        return self.conv_fusion(torch.cat((shortcut, self.conv_proj(x)), dim=1))


# --- version 2 ------------------------------------------------------------------------------------


class LinearSelfAttention(nn.Module):
    """Self-attention that costs as much as it has places: [B, C, P, N] -> [B, C, P, N].

    Every place gives one number, its weight; the keys, summed up with these weights, are a summary
    [C] of all N places, and each place takes from it what its own values let through.
    """

    def __init__(self, dim: int):
        super().__init__()
        self.dim = dim
        self.qkv_proj = nn.Conv2d(dim, 1 + 2 * dim, 1)
        self.out_proj = nn.Conv2d(dim, dim, 1)

    def queries_keys_values(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """[B, 1, P, N], and twice [B, C, P, N]."""
        return self.qkv_proj(x).split((1, self.dim, self.dim), dim=1)

    def attention_weights(self, x: Tensor) -> Tensor:
        """How much each place (row) takes from each other (column): [B * P, 1, N, N]; every row
        sums to 1.

        x: [B, C, P, N], as `forward` gets it. All rows are equal, which is why `forward` needs only
           one of them.
        """
        weights = self.queries_keys_values(x)[0].softmax(dim=-1)  # [B, 1, P, N]
        count = weights.shape[-1]
        return weights.transpose(1, 2).flatten(0, 1)[:, :, None].expand(-1, -1, count, -1)

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = self.queries_keys_values(x)
        summary = (key * query.softmax(dim=-1)).sum(dim=-1, keepdim=True)  # [B, C, P, 1]
        return self.out_proj(F.relu(value) * summary)


class ConvMlp(nn.Module):
    """`Mlp` for each place: [B, C, P, N] -> [B, C, P, N]."""

    def __init__(self, dim: int, hidden: int):
        super().__init__()
        self.fc1 = nn.Conv2d(dim, hidden, 1)
        self.act = nn.SiLU()
        self.fc2 = nn.Conv2d(hidden, dim, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(self.act(self.fc1(x)))


class LinearTransformerBlock(nn.Module):
    """`TransformerBlock` with the attention of version 2: [B, C, P, N] -> [B, C, P, N]."""

    def __init__(self, dim: int, *, drop_path: float):
        super().__init__()
        self.norm1 = nn.GroupNorm(1, dim)  # over all channels and places of a photo
        self.attn = LinearSelfAttention(dim)
        self.drop_path1 = DropPath(drop_path) if drop_path else nn.Identity()
        self.norm2 = nn.GroupNorm(1, dim)
        self.mlp = ConvMlp(dim, 2 * dim)
        self.drop_path2 = DropPath(drop_path) if drop_path else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.drop_path1(self.attn(self.norm1(x)))
        return x + self.drop_path2(self.mlp(self.norm2(x)))


class MobileVitV2Block(nn.Module):
    """Look around in each channel, then far by linear attention: [B, C, H, W] -> [B, C, H, W], H, W
    made even.
    """

    def __init__(self, chans: int, dim: int, *, depth: int, drop_path: float):
        super().__init__()
        self.conv_kxk = ConvNormAct(chans, chans, 3, groups=chans, act_layer="silu")
        self.conv_1x1 = nn.Conv2d(chans, dim, 1, bias=False)
        self.transformer = nn.Sequential(*(LinearTransformerBlock(dim, drop_path=drop_path)
                                           for _ in range(depth)))
        self.norm = nn.GroupNorm(1, dim)
        self.conv_proj = ConvNormAct(dim, chans, apply_act=False)

    def forward(self, x: Tensor) -> Tensor:
        whole = whole_patches(x.shape[-2:])
        if whole != x.shape[-2:]:
            x = F.interpolate(x, size=whole, mode="bilinear", align_corners=True)
        x = self.conv_1x1(self.conv_kxk(x))
        x = self.norm(self.transformer(unfold(x)))  # [B, dim, P, N]
        return self.conv_proj(fold(x, whole))


ATTENTION_BLOCKS = {1: MobileVitBlock, 2: MobileVitV2Block}


# --- the model ------------------------------------------------------------------------------------


class MobileViT(VisionModel):
    """Photo [B, in_chans, H, W] -> logits [B, num_classes].

    version:      1 or 2, the kind of attention
    stem:         channels of the first convolution;  chans: of each stage's map
    dims:         channels of the attention blocks, which end the last three stages
    first_depths: convolution blocks in the first two stages;  depths: transformer blocks in each of
                  the last three
    expand:       how many times wider a convolution block's middle is
    final:        channels of a last 1 x 1 convolution; 0: none
    drop_rate, drop_path_rate: dropout in front of the classifier, of whole branches
    """

    classifier_path = "head.fc"
    feature_names = "_"

    def __init__(
        self,
        *,
        version: int = 1,
        stem: int = 16,
        chans: Sequence[int] = (32, 64, 96, 128, 160),
        dims: Sequence[int] = (144, 192, 240),
        first_depths: Sequence[int] = (1, 3),
        depths: Sequence[int] = (2, 4, 3),
        expand: int = 4,
        final: int = 640,
        num_classes: int = 1000,
        in_chans: int = 3,
        global_pool: str = "avg",
        drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
    ):
        super().__init__()
        if version not in ATTENTION_BLOCKS:
            raise ValueError(f"version is {version!r}: MobileViT has 1 and 2.")
        if not (len(chans), len(dims), len(first_depths), len(depths)) == (5, 3, 2, 3):
            raise ValueError("MobileViT has five stages, two without attention and three with: "
                             f"give 5 chans, 3 dims, 2 first_depths and 3 depths, not {chans}, "
                             f"{dims}, {first_depths} and {depths}.")
        self.num_classes, self.in_chans, self.drop_rate = num_classes, in_chans, drop_rate
        self.num_features = final or chans[-1]
        self.stem = ConvNormAct(in_chans, stem, 3, stride=2, act_layer="silu")
        rates = drop_path_rates(drop_path_rate, (*first_depths, 2, 2, 2))
        stages, table, width = [], [], stem
        for i, out in enumerate(chans):
            stage = []
            for j in range(first_depths[i] if i < 2 else 1):
                stride = 2 if i and not j else 1
                stage.append(BottleneckBlock(width, out, stride=stride, expand=expand,
                                             drop_path=rates[i][j]))
                width = out
            if i >= 2:
                stage.append(ATTENTION_BLOCKS[version](out, dims[i - 2], depth=depths[i - 2],
                                                       drop_path=rates[i][-1]))
            stages.append(nn.Sequential(*stage))
            table.append(Stage(f"stages.{i}", f"stages.{i}", out, 2 * 2**i))
        # the name in checkpoints; the contract's stages are in `stage_table`
        self.stages = nn.Sequential(*stages)
        self.final_conv = ConvNormAct(width, final, act_layer="silu") if final else nn.Identity()
        table[-1] = Stage("final_conv", "final_conv", self.num_features, 32)
        self.stage_table = table
        self.head = ClassifierHead(self.num_features, num_classes, global_pool, drop_rate)
        self.init_weights()

    def init_weights(self) -> None:
        """Convolutions by their fan-out, small linear layers; a block with a shortcut starts as
        that shortcut.
        """
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                fan_out = math.prod(module.kernel_size) * module.out_channels // module.groups
                nn.init.normal_(module.weight, std=math.sqrt(2 / fan_out))
            elif isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=0.01)
            if isinstance(module, (nn.Conv2d, nn.Linear)) and module.bias is not None:
                nn.init.zeros_(module.bias)
        for module in self.modules():
            if isinstance(module, BottleneckBlock) and module.has_shortcut:
                nn.init.zeros_(module.conv3_1x1.bn.weight)

    def forward_stages(self, x: Tensor) -> Generator[Tensor, None, Tensor]:
        x = self.stem(x)  # [B, 16, H/2, W/2]
        for stage in self.stages[:-1]:
            x = stage(x)
            yield x       # stages.0 [B, 32, H/2, W/2] ... stages.3 [B, 128, H/16, W/16]
        x = self.final_conv(self.stages[-1](x))
        yield x           # final_conv [B, 640, H/32, W/32]
        return x


MODEL = MobileViT


# --- variants -------------------------------------------------------------------------------------


def _v2(width: float) -> dict[str, Any]:
    """Version 2 at `width` times its channels."""
    chans = tuple(int(c * width) for c in (64, 128, 256, 384, 512))
    return dict(version=2, stem=int(32 * width), chans=chans, dims=tuple(c // 2 for c in chans[2:]),
                first_depths=(1, 2), expand=2, final=0)


VARIANTS: dict[str, dict[str, Any]] = {
    "mobilevit_xxs": dict(chans=(16, 24, 48, 64, 80), dims=(64, 80, 96), expand=2, final=320),
    "mobilevit_xs": dict(chans=(32, 48, 64, 80, 96), dims=(96, 120, 144), final=384),
    "mobilevit_s": dict(),

    "mobilevitv2_050": _v2(0.5),
    "mobilevitv2_075": _v2(0.75),
    "mobilevitv2_100": _v2(1.0),
    "mobilevitv2_125": _v2(1.25),
    "mobilevitv2_150": _v2(1.5),
    "mobilevitv2_175": _v2(1.75),
    "mobilevitv2_200": _v2(2.0),
}
