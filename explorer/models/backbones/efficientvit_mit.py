"""EfficientViT of MIT: attention whose cost grows with the photo's size, not with its square.

Plain attention compares every place with every other: twice the side, sixteen times the work.
Without the softmax, the keys and values of all places can be summed up once in one small matrix,
from which each place then reads; what is lost in sharpness comes back by small convolutions between
the places, on two scales. So attention is affordable on the large maps that finding and outlining
things need.

Cai et al., "EfficientViT: Multi-Scale Linear Attention for High-Resolution Dense Prediction", 2022,
https://arxiv.org/abs/2205.14756. Parameter names are timm's. The other EfficientViT, of Microsoft,
is in `explorer/models/backbones/efficientvit_msra.py`.
"""

from __future__ import annotations

from collections.abc import Generator
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from explorer.models.contract import Stage, VisionModel, parameter_place
from explorer.models.layers.activations import create_act
from explorer.models.layers.conv_same import create_conv2d
from explorer.models.layers.pool import SelectAdaptivePool2d

# --- blocks ---------------------------------------------------------------------------------------


class ConvNormAct(nn.Module):
    """Convolution, BatchNorm and activation, each of the latter two where it is wanted.

    [B, in_chans, H, W] -> [B, out_chans, H/stride, W/stride]. Without a norm, the convolution may
    have a `bias`.
    """

    def __init__(self, in_chans: int, out_chans: int, kernel: int = 1, *, stride: int = 1,
                 groups: int = 1, bias: bool = False, norm: bool = True, act: str = "",
                 eps: float = 1e-5):
        super().__init__()
        self.conv = create_conv2d(in_chans, out_chans, kernel, stride=stride, groups=groups,
                                  bias=bias)
        self.norm = nn.BatchNorm2d(out_chans, eps=eps) if norm else nn.Identity()
        self.act = create_act(act)

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.norm(self.conv(x)))


class SeparableConv(nn.Module):
    """Filter each channel by itself, then mix the channels: [B, C, H, W] -> the same shape."""

    def __init__(self, chans: int, *, act: str, eps: float):
        super().__init__()
        self.depth_conv = ConvNormAct(chans, chans, 3, groups=chans, act=act, eps=eps)
        self.point_conv = ConvNormAct(chans, chans, eps=eps)

    def forward(self, x: Tensor) -> Tensor:
        return self.point_conv(self.depth_conv(x))


class ConvPair(nn.Module):
    """Two full 3 x 3 convolutions: [B, C, H, W] -> the same shape."""

    def __init__(self, chans: int, *, act: str, eps: float):
        super().__init__()
        self.conv1 = ConvNormAct(chans, chans, 3, act=act, eps=eps)
        self.conv2 = ConvNormAct(chans, chans, 3, eps=eps)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv2(self.conv1(x))


class MBConv(nn.Module):
    """Widen, filter each channel by itself, narrow: [B, in_chans, H, W]
    -> [B, out_chans, H/stride, W/stride].

    fewer_norms: in the small maps' blocks only the last convolution has a norm, and the others have
                 biases.
    """

    def __init__(self, in_chans: int, out_chans: int, *, stride: int, expand: int,
                 fewer_norms: bool, act: str, eps: float):
        super().__init__()
        middle = in_chans * expand
        inner = partial(ConvNormAct, bias=fewer_norms, norm=not fewer_norms, act=act, eps=eps)
        self.inverted_conv = inner(in_chans, middle)
        self.depth_conv = inner(middle, middle, 3, stride=stride, groups=middle)
        self.point_conv = ConvNormAct(middle, out_chans, eps=eps)

    def forward(self, x: Tensor) -> Tensor:
        return self.point_conv(self.depth_conv(self.inverted_conv(x)))


class FusedMBConv(nn.Module):
    """Widen and filter in one full convolution, then narrow: what a GPU likes on large maps."""

    def __init__(self, in_chans: int, out_chans: int, *, stride: int, expand: int, act: str,
                 eps: float):
        super().__init__()
        self.spatial_conv = ConvNormAct(in_chans, in_chans * expand, 3, stride=stride, act=act,
                                        eps=eps)
        self.point_conv = ConvNormAct(in_chans * expand, out_chans, eps=eps)

    def forward(self, x: Tensor) -> Tensor:
        return self.point_conv(self.spatial_conv(x))


class LiteMLA(nn.Module):
    """Multi-scale linear attention: [B, C, H, W] -> the same shape.

    A place's weight for another is relu(query) . relu(key), as a share of the sum over all places.
    That is no softmax, and so (query . key) value may be computed as query (key . value), where the
    bracket is the same for every place.
    A second set of heads reads queries, keys and values that a 5 x 5 filter has mixed among
    neighbours.

    head_dim: numbers of one head;  eps keeps a place that nobody suits from dividing by zero.
    """

    eps = 1e-5

    def __init__(self, dim: int, *, head_dim: int, norm_eps: float):
        super().__init__()
        if dim % head_dim:
            raise ValueError(f"{dim} channels are no whole number of heads of {head_dim}: "
                             "use a divisor as head_dim.")
        heads = dim // head_dim
        self.head_dim = head_dim
        self.qkv = ConvNormAct(dim, 3 * dim, norm=False)
        self.aggreg = nn.ModuleList([nn.Sequential(
            create_conv2d(3 * dim, 3 * dim, 5, groups=3 * dim),
            nn.Conv2d(3 * dim, 3 * dim, 1, groups=3 * heads, bias=False),
        )])
        self.proj = ConvNormAct(2 * dim, dim, eps=norm_eps)  # the heads of both scales

    def queries_keys_values(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Three tensors [B, 2 * C / head_dim, H * W, head_dim] of a map [B, C, H, W]; the first two
        are 0 or more.
        """
        near = self.qkv(x)
        both = torch.cat((near, self.aggreg[0](near)), dim=1)  # [B, 6 * C, H, W]
        # each head has its query, key and value side by side: [B, heads, H * W, 3 * head_dim]
        heads = both.flatten(2).unflatten(1, (-1, 3 * self.head_dim)).transpose(2, 3)
        if heads.dtype == torch.float16:
            heads = heads.float()  # sums over all places may be too large for it
        query, key, value = heads.chunk(3, dim=-1)
        return F.relu(query), F.relu(key), value

    def attention_weights(self, x: Tensor) -> Tensor:
        """How much each place (row) takes from each place (column): [B, heads, H * W, H * W].

        x: the map [B, C, H, W] that `forward` gets. A row sums to 1, or to less where hardly any
           key suits: then
        `eps` counts. `forward` gives the same result without ever computing this matrix.
        """
        query, key, _ = self.queries_keys_values(x)
        scores = query @ key.transpose(-2, -1)
        return scores / (scores.sum(dim=-1, keepdim=True) + self.eps)

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = self.queries_keys_values(x)
        # a column of ones, under which the sum of the weights comes out
        value = F.pad(value, (0, 1), value=1.0)
        read = query @ (key.transpose(-2, -1) @ value)  # [B, heads, H * W, head_dim + 1]
        mixed = read[..., :-1] / (read[..., -1:] + self.eps)
        mixed = mixed.transpose(2, 3).flatten(1, 2).unflatten(2, x.shape[-2:])  # [B, 2 * C, H, W]
        return self.proj(mixed.to(x.dtype))


class ResidualBlock(nn.Module):
    """A block beside a shortcut, or without one where the shape changes."""

    def __init__(self, main: nn.Module, *, shortcut: bool = True):
        super().__init__()
        self.main, self.has_shortcut = main, shortcut

    def forward(self, x: Tensor) -> Tensor:
        return x + self.main(x) if self.has_shortcut else self.main(x)


class EfficientVitBlock(nn.Module):
    """Attention for what is far away, then a mobile block for what is near: [B, C, H, W] -> the
    same shape.
    """

    def __init__(self, dim: int, *, head_dim: int, expand: int, act: str, eps: float):
        super().__init__()
        self.context_module = ResidualBlock(LiteMLA(dim, head_dim=head_dim, norm_eps=eps))
        self.local_module = ResidualBlock(
            MBConv(dim, dim, stride=1, expand=expand, fewer_norms=True, act=act, eps=eps))

    def forward(self, x: Tensor) -> Tensor:
        return self.local_module(self.context_module(x))


# --- the model ------------------------------------------------------------------------------------


class Head(nn.Module):
    """Widen, pool, one hidden layer, classifier: [B, C, H, W] -> [B, num_classes]."""

    def __init__(self, in_chans: int, widths: tuple[int, int], num_classes: int, *, pool_type: str,
                 drop_rate: float, act: str, eps: float):
        super().__init__()
        # the usual epsilon, whatever the body has
        self.in_conv = ConvNormAct(in_chans, widths[0], act=act)
        self.global_pool = self.create_pool(pool_type)
        self.classifier = nn.Sequential(
            nn.Linear(widths[0], widths[1], bias=False),
            nn.LayerNorm(widths[1], eps=eps),
            create_act(act),
            nn.Dropout(drop_rate),
            nn.Linear(widths[1], num_classes) if num_classes else nn.Identity(),
        )

    @staticmethod
    def create_pool(pool_type: str) -> SelectAdaptivePool2d:
        pool = SelectAdaptivePool2d(pool_type, flatten=True)
        if not pool.pool_type or pool.feat_mult() != 1:
            raise ValueError('The hidden layer reads one number a channel: '
                             f'global_pool is {pool_type!r}, but may be "avg", "max" or "avgmax".')
        return pool

    def forward(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        x = self.global_pool(self.in_conv(x))
        return self.classifier[:-1](x) if pre_logits else self.classifier(x)


class EfficientViT(VisionModel):
    """Photo [B, in_chans, H, W] -> logits [B, num_classes].

    widths:    channels of the stem and of the four stages
    depths:    blocks of each stage behind the first, which halves
    expand:    per stage, how much wider the middle of the first block is, and of the others
    large:     the "l" networks: full convolutions in the stem and the first two stages, attention
               in the last only
    head_dim:  numbers of one attention head;  head: widths of the head's two layers
    """

    feature_names = "_"

    def __init__(
        self,
        *,
        num_classes: int = 1000,
        in_chans: int = 3,
        global_pool: str = "avg",
        widths: tuple[int, int, int, int, int] = (8, 16, 32, 64, 128),
        depths: tuple[int, int, int, int] = (1, 1, 2, 2),
        expand: tuple[tuple[int, int], ...] = ((4, 4),) * 4,
        large: bool = False,
        head_dim: int = 16,
        head: tuple[int, int] = (1024, 1280),
        act_layer: str = "hard_swish",
        norm_eps: float = 1e-5,
        drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
    ):
        super().__init__()
        if drop_path_rate:
            raise ValueError("EfficientViT knows no stochastic depth: leave drop_path_rate at 0.")
        self.num_classes, self.in_chans = num_classes, in_chans
        parts = dict(act=act_layer, eps=norm_eps)
        self.stem = nn.Sequential()
        self.stem.add_module("in_conv", ConvNormAct(in_chans, widths[0], 3, stride=2, **parts))
        first = ConvPair if large else SeparableConv
        self.stem.add_module("res0", ResidualBlock(first(widths[0], **parts)))

        stages, table, chans = [], [], widths[0]
        for i, (width, depth, (first, others)) in enumerate(zip(widths[1:], depths, expand)):
            attends = i == 3 if large else i >= 2
            if large and i < 2:
                conv = partial(FusedMBConv, **parts)
            else:
                conv = partial(MBConv, fewer_norms=i >= 2, **parts)
            blocks = [ResidualBlock(conv(chans, width, stride=2, expand=first), shortcut=False)]
            for _ in range(depth):
                if attends:
                    blocks.append(EfficientVitBlock(width, head_dim=head_dim, expand=others,
                                                    **parts))
                else:
                    blocks.append(ResidualBlock(conv(width, width, stride=1, expand=others)))
            stage = nn.Sequential()
            stage.add_module("blocks", nn.Sequential(*blocks))
            stages.append(stage)
            table.append(Stage(f"stage{i + 1}", f"stages.{i}", width, 4 * 2**i))
            chans = width
        # the checkpoint's name; the stages' table is `stage_table`
        self.stages = nn.Sequential(*stages)
        self.stage_table = table
        self.num_features, self._hidden = chans, head[1]
        self.head = Head(chans, head, num_classes, pool_type=global_pool, drop_rate=drop_rate,
                         **parts)

    @property
    def global_pool(self) -> SelectAdaptivePool2d:
        return self.head.global_pool

    @property
    def head_hidden_size(self) -> int:
        return self._hidden

    def forward_stages(self, x: Tensor) -> Generator[Tensor, None, Tensor]:
        x = self.stem(x)
        for stage in self.stages:
            x = stage(x)
            # [B, C1, H/4, W/4], [B, C2, H/8, W/8], [B, C3, H/16, W/16], [B, C4, H/32, W/32]
            yield x
        return x

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        return self.head(x, pre_logits)

    def get_classifier(self) -> nn.Module:
        return self.head.classifier[-1]

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        if global_pool is not None:
            self.head.global_pool = Head.create_pool(global_pool)
        place = parameter_place(self)
        last = nn.Linear(self._hidden, num_classes, **place) if num_classes else nn.Identity()
        self.head.classifier[-1] = last
        self.num_classes = num_classes

    def remove_head(self) -> None:
        """The head's two layers go too: up to half of all parameters, and no map depends on them.
        """
        super().remove_head()
        self.head.in_conv, self.head.classifier = nn.Identity(), nn.Sequential(nn.Identity())


MODEL = EfficientViT

_L = dict(large=True, head_dim=32, expand=((16, 4), (16, 4), (16, 4), (24, 6)),
          act_layer="gelu_tanh", norm_eps=1e-7)


def _row(widths: tuple[int, ...], depths: tuple[int, ...], head: tuple[int, int],
         **options: Any) -> dict[str, Any]:
    return dict(options, widths=widths, depths=depths, head=head)


VARIANTS: dict[str, dict[str, Any]] = {
    "efficientvit_b0": _row((8, 16, 32, 64, 128), (1, 1, 2, 2), (1024, 1280), head_dim=16),
    "efficientvit_b1": _row((16, 32, 64, 128, 256), (1, 2, 3, 4), (1536, 1600), head_dim=16),
    "efficientvit_b2": _row((24, 48, 96, 192, 384), (2, 3, 4, 6), (2304, 2560), head_dim=32),
    "efficientvit_b3": _row((32, 64, 128, 256, 512), (3, 5, 6, 9), (2304, 2560), head_dim=32),
    "efficientvit_l1": _row((32, 64, 128, 256, 512), (1, 1, 6, 6), (3072, 3200), **_L),
    "efficientvit_l2": _row((32, 64, 128, 256, 512), (2, 2, 8, 8), (3072, 3200), **_L),
    "efficientvit_l3": _row((64, 128, 256, 512, 1024), (2, 2, 8, 8), (6144, 6400), **_L),
}
