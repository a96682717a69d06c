"""The blocks of CoAtNet, MaxViT and their relatives: convolutions, and attention near and far.

All blocks: a map [B, in_chans, H, W] -> [B, out_chans, H/stride, W/stride], beside a shortcut.
    conv         how convolution blocks are built (`ConvOptions`)
    attention    how attention blocks are built (`AttentionOptions`)
    size         rows and columns of the map that comes out; attention knows offsets only up to it
    drop_path    how often a whole branch is dropped while training

They stand in a file of their own because the family has many kinds of them; the models are in
`maxvit.py`.

Dai et al., "CoAtNet", 2021, https://arxiv.org/abs/2106.04803; Tu et al., "MaxViT", 2022,
https://arxiv.org/abs/2204.01697. Parameter names are timm's.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from explorer.models.layers.activations import create_act
from explorer.models.layers.channel_attention import SEModule, make_divisible
from explorer.models.layers.conv_norm_act import BatchNormAct2d
from explorer.models.layers.conv_same import create_conv2d
from explorer.models.layers.drop import DropPath
from explorer.models.layers.norm import LayerNorm2d
from explorer.models.layers.relative_position import create_rel_pos
from explorer.models.layers.transformer import LayerScale, LayerScale2d, Mlp
from explorer.models.layers.windows import window_partition, window_reverse

Size = tuple[int, int]


@dataclass(frozen=True)
class ConvOptions:
    """How the convolution blocks are built; the defaults are CoAtNet's.

    kind:          "mbconv" (MobileNetV2's block) or "convnext"
    expand_output: the middle is `expand_ratio` times as wide as what comes out, not as what goes in
    pre_act:       an activation behind the first norm;  bias: of the last convolution and of the
                   shortcut's
    shrink:        what halves the map in the branch: "dw", the depthwise convolution, or "pool", an
                   average before all
    shortcut_pool: what halves it beside the branch: "avg2" or "max";  padding: "" symmetric, "same"
                   TensorFlow's
    se_ratio:      width of the channel attention's small layer, as a share; se_early: it stands in
                   front of the norm
    layer_scale:   start of the learnt factors on the branch (ConvNeXt only)
    """

    kind: str = "mbconv"
    expand_ratio: float = 4.0
    expand_output: bool = True
    pre_act: bool = False
    bias: bool = True
    shrink: str = "dw"
    shortcut_pool: str = "avg2"
    padding: str = ""
    se_ratio: float = 0.25
    se_early: bool = False
    se_act: str = "silu"
    act: str = "gelu"
    norm_eps: float = 1e-5
    layer_scale: float = 1e-6


@dataclass(frozen=True)
class AttentionOptions:
    """How the attention blocks are built; the defaults are CoAtNet's.

    head_dim:      channels of each head
    expand_first:  where a block widens the map, queries, keys and values are wide already; else
                   only the result
    head_first:    how a checkpoint orders them: each head's query, key and value together, or all
                   queries first
    pool:          what halves the map: "avg2" or "max";  shortcut_bias: of the convolution that
                   widens the shortcut
    position:      "bias", "bias_tf" or "mlp" (see `layers/relative_position.py`);  position_hidden:
                   width of the last
    grid_only:     MaxViT's block without attention in windows, with the grid alone
    norm:          "layer", or "batch" (CoAtNet only)
    layer_scale:   start of the learnt factors on the branches; None: no factors
    """

    head_dim: int = 32
    head_first: bool = True
    expand_first: bool = True
    expand_ratio: float = 4.0
    shortcut_bias: bool = True
    pool: str = "avg2"
    position: str = "bias"
    position_hidden: int = 512
    grid_only: bool = False
    act: str = "gelu"
    norm: str = "layer"
    norm_eps: float = 1e-6
    layer_scale: float | None = None


def create_drop_path(rate: float) -> nn.Module:
    return DropPath(rate) if rate else nn.Identity()


# --- small parts ----------------------------------------------------------------------------------


class LayerNormAct2d(LayerNorm2d):
    """LayerNorm over the channels of each place, then an activation: [B, C, H, W] -> the same."""

    def __init__(self, num_channels: int, eps: float = 1e-6, *, act_layer: str = "gelu"):
        super().__init__(num_channels, eps=eps)
        self.act = create_act(act_layer)

    def forward(self, x: Tensor) -> Tensor:
        return self.act(super().forward(x))


class ConvMlp(nn.Module):
    """Two layers for each place of a map by itself: [B, C, H, W] -> the same."""

    def __init__(self, dim: int, hidden: int, *, act_layer: str):
        super().__init__()
        self.fc1 = nn.Conv2d(dim, hidden, 1)
        self.act = create_act(act_layer)
        self.fc2 = nn.Conv2d(hidden, dim, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(self.act(self.fc1(x)))


class Downsample2d(nn.Module):
    """Half the map by pooling, and a 1 x 1 convolution where it gets wider: [B, in, H, W]
    -> [B, out, H/2, W/2].
    """

    def __init__(self, in_chans: int, out_chans: int, *, pool: str, bias: bool = True):
        super().__init__()
        if pool not in ("avg2", "max"):
            raise ValueError(f"Unknown pooling {pool!r}. Known: avg2, max.")
        self.pool = nn.AvgPool2d(2) if pool == "avg2" else nn.MaxPool2d(3, stride=2, padding=1)
        self.expand = (nn.Conv2d(in_chans, out_chans, 1, bias=bias) if in_chans != out_chans
                       else nn.Identity())

    def forward(self, x: Tensor) -> Tensor:
        return self.expand(self.pool(x))


# --- convolution blocks ---------------------------------------------------------------------------


class MbConvBlock(nn.Module):
    """Norm, widen, look around in each channel, weigh the channels, narrow: MobileNetV2's block
    with its norm first.
    """

    def __init__(self, in_chans: int, out_chans: int, *, stride: int, conv: ConvOptions,
                 drop_path: float):
        super().__init__()
        middle = make_divisible((out_chans if conv.expand_output else in_chans) * conv.expand_ratio)
        se_width = int(conv.se_ratio * (out_chans if conv.expand_output else middle))
        by_pool = conv.shrink == "pool"

        def norm(channels: int, apply_act: bool = True) -> nn.Module:
            return BatchNormAct2d(channels, eps=conv.norm_eps, act_layer=conv.act,
                                  apply_act=apply_act)

        self.shortcut: nn.Module = nn.Identity()
        if stride == 2:
            self.shortcut = Downsample2d(in_chans, out_chans, pool=conv.shortcut_pool,
                                         bias=conv.bias)
        self.pre_norm = norm(in_chans, conv.pre_act)
        self.down = (Downsample2d(in_chans, in_chans, pool="avg2") if stride == 2 and by_pool
                     else nn.Identity())
        self.conv1_1x1 = nn.Conv2d(in_chans, middle, 1, bias=False)
        self.norm1 = norm(middle)
        self.conv2_kxk = create_conv2d(middle, middle, 3, stride=1 if by_pool else stride,
                                       padding=conv.padding, groups=middle)
        # Two names for one thing at two places, as checkpoints have them.
        se = SEModule(middle, rd_channels=se_width, act_layer=conv.se_act)
        self.se_early = se if conv.se_early else None
        self.norm2 = norm(middle)
        self.se = None if conv.se_early else se
        self.conv3_1x1 = nn.Conv2d(middle, out_chans, 1, bias=conv.bias)
        self.drop_path = create_drop_path(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        shortcut = self.shortcut(x)
        x = self.down(self.pre_norm(x))
        x = self.norm1(self.conv1_1x1(x))  # [B, in, H, W] -> [B, middle, H, W]
        x = self.conv2_kxk(x)              # [B, middle, H/s, W/s]
        x = self.norm2(x if self.se_early is None else self.se_early(x))
        x = self.conv3_1x1(x if self.se is None else self.se(x))
        return shortcut + self.drop_path(x)


class ConvNeXtBlock(nn.Module):
    """A wide depthwise convolution, a norm, and an MLP at each place: ConvNeXt's block, which may
    halve the map.
    """

    def __init__(self, in_chans: int, out_chans: int, *, stride: int, conv: ConvOptions,
                 drop_path: float):
        super().__init__()
        self.shortcut: nn.Module = nn.Identity()
        if stride == 2:
            self.shortcut = Downsample2d(in_chans, out_chans, pool=conv.shortcut_pool,
                                         bias=conv.bias)
        self.conv_dw = nn.Conv2d(in_chans, out_chans, 7, stride=stride, padding=3, groups=in_chans)
        self.norm = LayerNorm2d(out_chans, eps=conv.norm_eps)
        self.mlp = ConvMlp(out_chans, int(out_chans * conv.expand_ratio), act_layer=conv.act)
        self.ls = LayerScale2d(out_chans, conv.layer_scale)
        self.drop_path = create_drop_path(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        return self.shortcut(x) + self.drop_path(self.ls(self.mlp(self.norm(self.conv_dw(x)))))


CONV_BLOCKS = {"mbconv": MbConvBlock, "convnext": ConvNeXtBlock}


# --- attention ------------------------------------------------------------------------------------


class RelativeAttention(nn.Module):
    """Attention that knows offsets: what windows and whole maps share.

    Subclasses make queries, keys and values of their input, and put the result back into its shape.
    """

    #: The layer that mixes the channels of each place.
    layer: type[nn.Module]

    def __init__(self, dim: int, dim_out: int, *, size: Size, attention: AttentionOptions):
        super().__init__()
        inner = dim_out if attention.expand_first and dim_out > dim else dim
        if inner % attention.head_dim:
            raise ValueError(f"{inner} channels don't make heads of {attention.head_dim}: "
                             "use a multiple of it.")
        self.num_heads, self.head_first = inner // attention.head_dim, attention.head_first
        self.scale = attention.head_dim**-0.5
        kernel = (1,) if self.layer is nn.Conv2d else ()
        self.qkv = self.layer(dim, 3 * inner, *kernel)
        self.rel_pos = create_rel_pos(attention.position, size, self.num_heads,
                                      hidden=attention.position_hidden)
        self.proj = self.layer(inner, dim_out, *kernel)

    def tokens_qkv(self, x: Tensor) -> Tensor:
        """Queries, keys and values of each place, side by side [B, N, 3 * C], from the input of
        `forward`.
        """
        raise NotImplementedError(f"{type(self).__name__} must define tokens_qkv")

    def queries_keys_values(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Three tensors [B, heads, N, C / heads], from the input of `forward`."""
        qkv = self.tokens_qkv(x)
        if self.head_first:
            qkv = qkv.unflatten(2, (self.num_heads, 3, -1)).transpose(2, 3)
        else:
            qkv = qkv.unflatten(2, (3, self.num_heads, -1))
        # [B, N, 3, heads, C / heads] -> [3, B, heads, N, C / heads]
        return qkv.permute(2, 0, 3, 1, 4).unbind(0)

    def attention_weights(self, x: Tensor) -> Tensor:
        """How much each place (row) takes from each other (column): [B, heads, N, N]; every row
        sums to 1.

        x: what `forward` gets; with windows, B counts photos times windows.
        """
        query, key, _ = self.queries_keys_values(x)
        return (query * self.scale @ key.transpose(-2, -1) + self.rel_pos()).softmax(dim=-1)

    def attend(self, x: Tensor) -> Tensor:
        """The values of all places, mixed for each: [B, N, C]."""
        query, key, value = self.queries_keys_values(x)
        x = F.scaled_dot_product_attention(query, key, value, attn_mask=self.rel_pos())
        return x.transpose(1, 2).flatten(2)


class MapAttention(RelativeAttention):
    """Every place of a map looks at all others: [B, C, H, W] -> [B, dim_out, H, W]."""

    layer = nn.Conv2d

    def tokens_qkv(self, x: Tensor) -> Tensor:
        return self.qkv(x).flatten(2).transpose(1, 2)

    def forward(self, x: Tensor) -> Tensor:
        # [B, N, C] -> [B, C, H, W]
        mixed = self.attend(x).transpose(1, 2).unflatten(2, x.shape[-2:])
        return self.proj(mixed)


class WindowAttention(RelativeAttention):
    """Every place of a window looks at the others in it: [B * windows, N, C]
    -> [B * windows, N, dim_out].
    """

    layer = nn.Linear

    def tokens_qkv(self, x: Tensor) -> Tensor:
        return self.qkv(x)

    def forward(self, x: Tensor) -> Tensor:
        return self.proj(self.attend(x))


def in_windows(attention: nn.Module, x: Tensor, window: Size) -> Tensor:
    """Attention in each window of neighbours: [B, H, W, C] -> [B, H, W, out].

    H, W are multiples of the window.
    """
    windows = window_partition(x, window)  # [B, windows, N, C]
    mixed = attention(windows.flatten(0, 1)).unflatten(0, windows.shape[:2])
    return window_reverse(mixed, window, x.shape[1:3])


def in_grid(attention: nn.Module, x: Tensor, grid: Size) -> Tensor:
    """Attention among places that stand far apart: [B, H, W, C] -> [B, H, W, out].

    A grid of h x w points lies over the whole map; the places on its points look at each other.
    Moved by one place it is the next group, until every place has been in one.
    """
    (rows, columns), (height, width) = grid, x.shape[1:3]
    # how far the points are apart, and so how many groups there are
    high, wide = height // rows, width // columns
    x = x.unflatten(2, (columns, wide)).unflatten(1, (rows, high))  # [B, h, H/h, w, W/w, C]
    groups = x.permute(0, 2, 4, 1, 3, 5).flatten(3, 4)  # [B, H/h, W/w, N, C]
    mixed = attention(groups.flatten(0, 2)).unflatten(0, groups.shape[:3])
    mixed = mixed.unflatten(3, grid).permute(0, 3, 1, 4, 2, 5)  # [B, h, H/h, w, W/w, out]
    return mixed.flatten(3, 4).flatten(1, 2)


# --- attention blocks -----------------------------------------------------------------------------


def create_layer_scale(dim: int, start: float | None, *, tokens: bool) -> nn.Module:
    if start is None:
        return nn.Identity()
    return LayerScale(dim, start) if tokens else LayerScale2d(dim, start)


class TransformerBlock2d(nn.Module):
    """CoAtNet's second half: attention over the whole map, then an MLP, each beside a shortcut."""

    def __init__(self, in_chans: int, out_chans: int, *, stride: int, size: Size,
                 attention: AttentionOptions, drop_path: float):
        super().__init__()

        def norm(channels: int) -> nn.Module:
            kind = nn.BatchNorm2d if attention.norm == "batch" else LayerNorm2d
            return kind(channels, eps=attention.norm_eps)

        self.shortcut: nn.Module = nn.Identity()
        self.norm1 = norm(in_chans)
        if stride == 2:
            self.shortcut = Downsample2d(in_chans, out_chans, pool=attention.pool,
                                         bias=attention.shortcut_bias)
            down = Downsample2d(in_chans, in_chans, pool=attention.pool)
            self.norm1 = nn.Sequential(OrderedDict(norm=self.norm1, down=down))
        self.attn = MapAttention(in_chans, out_chans, size=size, attention=attention)
        self.ls1 = create_layer_scale(out_chans, attention.layer_scale, tokens=False)
        self.drop_path1 = create_drop_path(drop_path)
        self.norm2 = norm(out_chans)
        self.mlp = ConvMlp(out_chans, int(out_chans * attention.expand_ratio),
                           act_layer=attention.act)
        self.ls2 = create_layer_scale(out_chans, attention.layer_scale, tokens=False)
        self.drop_path2 = create_drop_path(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        x = self.shortcut(x) + self.drop_path1(self.ls1(self.attn(self.norm1(x))))
        return x + self.drop_path2(self.ls2(self.mlp(self.norm2(x))))


class PlaceMixer(nn.Module):
    """Attention among some of a map's places, then an MLP, each beside a shortcut: [B, H, W, C]
    -> the same.

    attentions: what a kind of it calls `WindowAttention` for, by name; `mix` says who looks at whom
    """

    def __init__(self, dim: int, attentions: dict[str, nn.Module], *, window: Size,
                 attention: AttentionOptions, drop_path: float):
        super().__init__()
        self.window = window
        self.norm1 = nn.LayerNorm(dim, eps=attention.norm_eps)
        for name, layer in attentions.items():
            self.add_module(name, layer)
        self.ls1 = create_layer_scale(dim, attention.layer_scale, tokens=True)
        self.drop_path1 = create_drop_path(drop_path)
        self.norm2 = nn.LayerNorm(dim, eps=attention.norm_eps)
        self.mlp = Mlp(dim, int(dim * attention.expand_ratio), act_layer=attention.act)
        self.ls2 = create_layer_scale(dim, attention.layer_scale, tokens=True)
        self.drop_path2 = create_drop_path(drop_path)

    def mix(self, x: Tensor) -> Tensor:
        """What the places of [B, H, W, C] take from each other: the same shape."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.drop_path1(self.ls1(self.mix(self.norm1(x))))
        return x + self.drop_path2(self.ls2(self.mlp(self.norm2(x))))


class PartitionAttention(PlaceMixer):
    """Attention in windows, or on a grid: [B, H, W, C] -> the same."""

    def __init__(self, dim: int, *, window: Size, grid: bool, attention: AttentionOptions,
                 drop_path: float):
        attentions = {"attn": WindowAttention(dim, dim, size=window, attention=attention)}
        super().__init__(dim, attentions, window=window, attention=attention, drop_path=drop_path)
        self.partition = in_grid if grid else in_windows

    def mix(self, x: Tensor) -> Tensor:
        return self.partition(self.attn, x, self.window)


class ParallelPartitionAttention(PlaceMixer):
    """Windows and grid at the same time: each gives half of the channels. [B, H, W, C] -> the same.
    """

    def __init__(self, dim: int, *, window: Size, attention: AttentionOptions, drop_path: float):
        attentions = {name: WindowAttention(dim, dim // 2, size=window, attention=attention)
                      for name in ("attn_block", "attn_grid")}
        super().__init__(dim, attentions, window=window, attention=attention, drop_path=drop_path)

    def mix(self, x: Tensor) -> Tensor:
        near = in_windows(self.attn_block, x, self.window)
        far = in_grid(self.attn_grid, x, self.window)
        return torch.cat((near, far), dim=-1)


class MaxVitBlock(nn.Module):
    """MaxViT's block: a convolution block, attention in windows (near), attention on a grid (far).
    """

    def __init__(self, in_chans: int, out_chans: int, *, stride: int, window: Size,
                 conv: ConvOptions, attention: AttentionOptions, drop_path: float):
        super().__init__()
        self.conv = CONV_BLOCKS[conv.kind](in_chans, out_chans, stride=stride, conv=conv,
                                           drop_path=drop_path)
        options = dict(window=window, attention=attention, drop_path=drop_path)
        self.attn_block = (None if attention.grid_only
                           else PartitionAttention(out_chans, grid=False, **options))
        self.attn_grid = PartitionAttention(out_chans, grid=True, **options)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x).permute(0, 2, 3, 1)  # [B, C, H, W] -> [B, H, W, C]
        if self.attn_block is not None:
            x = self.attn_block(x)
        return self.attn_grid(x).permute(0, 3, 1, 2)


class ParallelMaxVitBlock(nn.Module):
    """Two convolution blocks, then windows and grid side by side: fewer steps one after the other.
    """

    def __init__(self, in_chans: int, out_chans: int, *, stride: int, window: Size,
                 conv: ConvOptions, attention: AttentionOptions, drop_path: float):
        super().__init__()
        block = CONV_BLOCKS[conv.kind]
        self.conv = nn.Sequential(
            block(in_chans, out_chans, stride=stride, conv=conv, drop_path=drop_path),
            block(out_chans, out_chans, stride=1, conv=conv, drop_path=drop_path),
        )
        self.attn = ParallelPartitionAttention(out_chans, window=window, attention=attention,
                                               drop_path=drop_path)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x).permute(0, 2, 3, 1)  # [B, C, H, W] -> [B, H, W, C]
        return self.attn(x).permute(0, 3, 1, 2)
