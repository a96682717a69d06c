"""EfficientViT of Microsoft: a transformer counted in milliseconds, not in multiplications.

Its authors measured where the time goes: in moving tensors about more than in arithmetic. So most
layers are plain mobile convolutions on maps that are small from the start, a sixteenth of the
photo's side, and each block has one attention only. There every head gets its own share of the
channels and adds what the head before it has found, so that no two heads compute the same, and the
last one has looked several times.

Liu et al., "EfficientViT: Memory Efficient Vision Transformer with Cascaded Group Attention", 2023,
https://arxiv.org/abs/2305.07027. Parameter names are timm's. The other EfficientViT, of MIT, is in
`explorer/models/backbones/efficientvit_mit.py`.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Generator, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from explorer.models.contract import Stage, VisionModel, parameter_place
from explorer.models.layers.channel_attention import SEModule
from explorer.models.layers.conv_same import create_conv2d
from explorer.models.layers.pool import create_classifier
from explorer.models.layers.windows import window_partition, window_reverse

# --- blocks ---------------------------------------------------------------------------------------


class ConvNorm(nn.Module):
    """Convolution and BatchNorm: [B, in_chans, H, W] -> [B, out_chans, H/stride, W/stride].

    scale: what the norm multiplies with at first; 0 where a residual branch shall start as nothing.
    """

    def __init__(self, in_chans: int, out_chans: int, kernel: int = 1, *, stride: int = 1,
                 groups: int = 1, scale: float = 1.0):
        super().__init__()
        self.conv = create_conv2d(in_chans, out_chans, kernel, stride=stride, groups=groups)
        self.bn = nn.BatchNorm2d(out_chans)
        nn.init.constant_(self.bn.weight, scale)

    def forward(self, x: Tensor) -> Tensor:
        return self.bn(self.conv(x))


class ConvMlp(nn.Module):
    """Two layers for each place by itself: [B, C, H, W] -> the same shape."""

    def __init__(self, dim: int):
        super().__init__()
        self.pw1 = ConvNorm(dim, 2 * dim)
        self.act = nn.ReLU()
        self.pw2 = ConvNorm(2 * dim, dim, scale=0.0)

    def forward(self, x: Tensor) -> Tensor:
        return self.pw2(self.act(self.pw1(x)))


class Residual(nn.Module):
    """A layer beside a shortcut: [B, C, H, W] -> the same shape."""

    def __init__(self, layer: nn.Module):
        super().__init__()
        self.m = layer

    def forward(self, x: Tensor) -> Tensor:
        return x + self.m(x)


class CascadedGroupAttention(nn.Module):
    """Attention among all places of a map of one size: [B, C, s, s] -> the same shape.

    Head i reads the i-th share of the channels plus the result of head i - 1. Its queries are
    filtered among neighbours first; a learnt number for each distance in rows and columns is added
    to the scores.

    kernels: sizes of the heads' filters, so also their number;  key_dim: numbers of a query;  size:
             s
    """

    def __init__(self, dim: int, *, kernels: tuple[int, ...], key_dim: int, size: int):
        super().__init__()
        heads = len(kernels)
        if dim % heads:
            raise ValueError(f"{dim} channels can't be shared by {heads} heads: "
                             f"use a divisor of {dim}.")
        self.num_heads, self.key_dim, self.value_dim, self.size = heads, key_dim, dim // heads, size
        self.scale = key_dim**-0.5
        self.attention_biases = nn.Parameter(torch.zeros(heads, size * size))
        self.qkvs = nn.ModuleList(ConvNorm(self.value_dim, 2 * key_dim + self.value_dim)
                                  for _ in kernels)
        self.dws = nn.ModuleList(ConvNorm(key_dim, key_dim, kernel, groups=key_dim)
                                 for kernel in kernels)
        self.proj = nn.Sequential(nn.ReLU(), ConvNorm(dim, dim, scale=0.0))
        self.register_buffer("attention_bias_idxs", distances(size), persistent=False)

    def heads(self, x: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """For each head in turn: its weights [B, N, N] and its result [B, C / heads, s, s]; N
        places.
        """
        result = 0
        for i, share in enumerate(x.chunk(self.num_heads, dim=1)):
            query, key, value = self.qkvs[i](share + result).split((self.key_dim, self.key_dim,
                                                                    self.value_dim), 1)
            query = self.dws[i](query)
            scores = (query.flatten(2) * self.scale).transpose(1, 2) @ key.flatten(2)
            weights = (scores + self.attention_biases[i][self.attention_bias_idxs]).softmax(dim=-1)
            result = (value.flatten(2) @ weights.transpose(1, 2)).unflatten(2, x.shape[-2:])
            yield weights, result

    def attention_weights(self, x: Tensor) -> Tensor:
        """How much each place (row) takes from each place (column): [B, heads, N, N]; every row
        sums to 1.

        x: the map [B, C, s, s] that `forward` gets; N = s * s.
        """
        return torch.stack([weights for weights, _ in self.heads(x)], dim=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.proj(torch.cat([result for _, result in self.heads(x)], dim=1))


def distances(size: int) -> Tensor:
    """For each two places of a `size` x `size` map the number of their distance, rows * size +
    columns: [N, N].
    """
    # On the CPU even where the model is built on `meta`: these numbers are in no checkpoint.
    row, column = torch.meshgrid(*[torch.arange(size, device="cpu")] * 2, indexing="ij")
    row, column = row.flatten(), column.flatten()
    return (row[:, None] - row).abs() * size + (column[:, None] - column).abs()


class LocalWindowAttention(nn.Module):
    """Attention within windows of the size that its biases are made for: [B, C, H, W] -> the same
    shape.
    """

    def __init__(self, dim: int, *, kernels: tuple[int, ...], key_dim: int, size: int):
        super().__init__()
        self.attn = CascadedGroupAttention(dim, kernels=kernels, key_dim=key_dim, size=size)

    def forward(self, x: Tensor) -> Tensor:
        batch, _, height, width = x.shape
        side = self.attn.size
        if (height, width) == (side, side):
            return self.attn(x)
        bottom, right = -height % side, -width % side
        x = F.pad(x, (0, right, 0, bottom)).permute(0, 2, 3, 1)  # whole windows, [B, H', W', C]
        windows = window_partition(x, (side, side))  # [B, windows, side * side, C]
        count = windows.shape[1]
        # [B * windows, C, side, side]
        maps = windows.flatten(0, 1).transpose(1, 2).unflatten(2, (side, side))
        tokens = self.attn(maps).flatten(2).transpose(1, 2).unflatten(0, (batch, count))
        x = window_reverse(tokens, (side, side), (height + bottom, width + right))
        return x[:, :height, :width].permute(0, 3, 1, 2)


class EfficientVitBlock(nn.Module):
    """Convolutions and an MLP, one attention, convolutions and an MLP: [B, C, H, W] -> the same
    shape.
    """

    def __init__(self, dim: int, *, kernels: tuple[int, ...], key_dim: int, size: int):
        super().__init__()
        self.dw0 = Residual(ConvNorm(dim, dim, 3, groups=dim, scale=0.0))
        self.ffn0 = Residual(ConvMlp(dim))
        self.mixer = Residual(LocalWindowAttention(dim, kernels=kernels, key_dim=key_dim,
                                                   size=size))
        self.dw1 = Residual(ConvNorm(dim, dim, 3, groups=dim, scale=0.0))
        self.ffn1 = Residual(ConvMlp(dim))

    def forward(self, x: Tensor) -> Tensor:
        return self.ffn1(self.dw1(self.mixer(self.ffn0(self.dw0(x)))))


class PatchMerging(nn.Module):
    """Halve the map with a mobile block and channel attention: [B, in_chans, H, W]
    -> [B, out_chans, H/2, W/2].
    """

    def __init__(self, in_chans: int, out_chans: int):
        super().__init__()
        middle = 4 * in_chans
        self.conv1 = ConvNorm(in_chans, middle)
        self.act = nn.ReLU()
        self.conv2 = ConvNorm(middle, middle, 3, stride=2, groups=middle)
        self.se = SEModule(middle, 1 / 4)
        self.conv3 = ConvNorm(middle, out_chans)

    def forward(self, x: Tensor) -> Tensor:
        x = self.act(self.conv1(x))
        return self.conv3(self.se(self.act(self.conv2(x))))


def downsample(in_chans: int, out_chans: int) -> nn.Sequential:
    """Convolution and MLP, halving, convolution and MLP."""
    def refine(dim: int) -> nn.Sequential:
        return nn.Sequential(Residual(ConvNorm(dim, dim, 3, groups=dim)), Residual(ConvMlp(dim)))

    return nn.Sequential(OrderedDict(
        res1=refine(in_chans), patchmerge=PatchMerging(in_chans, out_chans),
        res2=refine(out_chans)))


class NormLinear(nn.Module):
    """BatchNorm, dropout and the classifier: [B, C] -> [B, num_classes]."""

    def __init__(self, in_features: int, num_classes: int, *, drop_rate: float):
        super().__init__()
        self.bn = nn.BatchNorm1d(in_features)
        self.drop = nn.Dropout(drop_rate)
        self.linear = nn.Linear(in_features, num_classes)
        nn.init.trunc_normal_(self.linear.weight, std=0.02)
        nn.init.zeros_(self.linear.bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(self.drop(self.bn(x)))


# --- the model ------------------------------------------------------------------------------------


class EfficientViTM(VisionModel):
    """Photo [B, in_chans, H, W] -> logits [B, num_classes]. Any size is taken: maps are filled up
    to whole windows.

    img_size: the side in pixels, or (height, width), of the photos that the windows are cut for
    widths:   channels of the three stages;  depths: their blocks
    kernels:  per stage, the filter of each attention head
    key_dim:  numbers of a query;  window: largest side of a window
    """

    fixed_image_size = True
    feature_names = "_"

    def __init__(
        self,
        *,
        num_classes: int = 1000,
        in_chans: int = 3,
        global_pool: str = "avg",
        img_size: int | tuple[int, int] = 224,
        widths: tuple[int, int, int] = (64, 128, 192),
        depths: tuple[int, int, int] = (1, 2, 3),
        kernels: tuple[tuple[int, ...], ...] = ((5, 5, 5, 5),) * 3,
        key_dim: int = 16,
        window: int = 7,
        drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
    ):
        super().__init__()
        if drop_path_rate:
            raise ValueError("EfficientViT knows no stochastic depth: leave drop_path_rate at 0.")
        self.num_classes, self.in_chans, self.drop_rate = num_classes, in_chans, drop_rate
        self.img_size = (img_size, img_size) if isinstance(img_size, int) else tuple(img_size)

        layers: OrderedDict[str, nn.Module] = OrderedDict()
        chans = in_chans
        for i in range(4):  # each halves
            out = widths[0] // 2 ** (3 - i)
            layers[f"conv{i + 1}"] = ConvNorm(chans, out, 3, stride=2)
            if i < 3:
                layers[f"relu{i + 1}"] = nn.ReLU()
            chans = out
        self.patch_embed = nn.Sequential(layers)

        stages, table = [], []
        for i, (width, depth, stage_kernels) in enumerate(zip(widths, depths, kernels)):
            reduction = 16 * 2**i
            side = min(window, math.ceil(min(self.img_size) / reduction))
            stages.append(nn.Sequential(OrderedDict(
                downsample=downsample(chans, width) if i else nn.Identity(),
                blocks=nn.Sequential(*(
                    EfficientVitBlock(width, kernels=stage_kernels, key_dim=key_dim, size=side)
                    for _ in range(depth)
                )),
            )))
            table.append(Stage(f"stage{i + 1}", f"stages.{i}", width, reduction))
            chans = width
        # the checkpoint's name; the stages' table is `stage_table`
        self.stages = nn.Sequential(*stages)
        self.stage_table = table
        self.num_features = chans
        self._create_head(num_classes, global_pool)

    def _create_head(self, num_classes: int, pool_type: str) -> None:
        self.global_pool, _ = create_classifier(self.num_features, num_classes, pool_type,
                                                device="meta")
        width = self.num_features * self.global_pool.feat_mult()
        self.head = (NormLinear(width, num_classes, drop_rate=self.drop_rate) if num_classes
                     else nn.Identity())

    def forward_stages(self, x: Tensor) -> Generator[Tensor, None, Tensor]:
        x = self.patch_embed(x)
        for stage in self.stages:
            x = stage(x)
            yield x  # [B, C1, H/16, W/16], [B, C2, H/32, W/32], [B, C3, H/64, W/64]
        return x

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        x = self.global_pool(x)  # [B, C, H, W] -> [B, C]
        return x if pre_logits else self.head(x)

    def forward_classifier(self, pre_logits: Tensor) -> Tensor:
        return self.head(pre_logits)

    def get_classifier(self) -> nn.Module:
        return self.head.linear if self.num_classes else self.head

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        place, training = parameter_place(self), self.head.training
        self._create_head(num_classes,
                          self.global_pool.pool_type if global_pool is None else global_pool)
        self.head.to(**place).train(training)
        self.num_classes = num_classes

    def adapt_state_dict(self, state: dict[str, Tensor], report: Any) -> dict[str, Tensor]:
        """Trained tensors with our names -> those that fit this model's windows; see `LoadReport`.

        A place is as large as before, so what was learnt of near places holds: a smaller window
        leaves the far ones out, and in a larger one, what is farther than any was gets the number
        of the farthest.
        """
        own, state = dict(self.named_parameters()), dict(state)
        for key in [key for key in state if key.endswith("attention_biases") and key in own]:
            old, new = math.isqrt(state[key].shape[1]), math.isqrt(own[key].shape[1])
            if old != new:
                near = torch.arange(new).clamp(max=old - 1)
                state[key] = state[key].unflatten(1, (old, old))[:, near][:, :, near].flatten(1)
                report.adapted.append(f"{key}: from windows of {old} x {old} places to {new} x "
                                      f"{new}")
        return state


MODEL = EfficientViTM


def _row(widths: tuple[int, ...], depths: tuple[int, ...],
         *kernels: tuple[int, ...]) -> dict[str, Any]:
    return dict(widths=widths, depths=depths, kernels=kernels)


VARIANTS: dict[str, dict[str, Any]] = {
    "efficientvit_m0": _row((64, 128, 192), (1, 2, 3), *[(5, 5, 5, 5)] * 3),
    "efficientvit_m1": _row((128, 144, 192), (1, 2, 3), (7, 5), (7, 5, 3), (7, 5, 3)),
    "efficientvit_m2": _row((128, 192, 224), (1, 2, 3), (7, 5, 3, 3), (7, 5, 3), (7, 5)),
    "efficientvit_m3": _row((128, 240, 320), (1, 2, 3), (5, 5, 5, 5), (5, 5, 5), (5, 5, 5, 5)),
    "efficientvit_m4": _row((128, 256, 384), (1, 2, 3), *[(7, 5, 3, 3)] * 3),
    "efficientvit_m5": _row((192, 288, 384), (1, 3, 4), (7, 5, 3), (7, 5, 3), (7, 5, 3, 3)),
}
