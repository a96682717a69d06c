"""CLIP's ResNets: a ResNet that learnt from captions, and asks instead of averaging.

CLIP trains a network for photos and one for sentences together: a photo's vector should be near
that of its own caption, and far from those of all others. Its ResNets have three small convolutions
in front, average before they halve so that no pixel is skipped, and end with attention: the mean of
the map asks all places, and the answer is the photo's vector. The "gap" networks have the plain
mean instead, "mlp" a classifier with a hidden layer.

Radford et al., "Learning Transferable Visual Models From Natural Language Supervision", 2021,
https://arxiv.org/abs/2103.00020. Parameter names are timm's.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from explorer.models.contract import Stage, VisionModel, parameter_place
from explorer.models.layers.activations import create_act
from explorer.models.layers.conv_norm_act import ConvNormAct
from explorer.models.layers.drop import DropPath, drop_path_rates
from explorer.models.layers.pool import ClassifierHead, SelectAdaptivePool2d
from explorer.models.layers.transformer import resample_abs_pos_embed

HEAD_CHANNELS = 64  # of each head of attention


def halve(stride: int) -> nn.Module:
    """The mean of 2 x 2 pixels where a map shrinks."""
    return nn.AvgPool2d(2) if stride == 2 else nn.Identity()


class PooledConv(ConvNormAct):
    """A 3 x 3 convolution with norm and activation that sees every pixel, then halves:
    [B, C, H/stride, W/stride].
    """

    def __init__(self, in_chans: int, out_chans: int, *, stride: int, act_layer: str):
        super().__init__(in_chans, out_chans, 3, act_layer=act_layer)
        self.aa = halve(stride)

    def forward(self, x: Tensor) -> Tensor:
        return self.aa(super().forward(x))


class Shortcut(nn.Module):
    """The shortcut where shapes change: average, then convolve; [B, in, H, W]
    -> [B, out, H/stride, W/stride].
    """

    def __init__(self, in_chans: int, out_chans: int, *, stride: int):
        super().__init__()
        self.pool = halve(stride)
        self.conv = ConvNormAct(in_chans, out_chans, 1, apply_act=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(self.pool(x))


class Bottleneck(nn.Module):
    """Narrow, filter, widen beside a shortcut: [B, in_chans, H, W]
    -> [B, out_chans, H/stride, W/stride].
    """

    def __init__(self, in_chans: int, out_chans: int, *, stride: int, act_layer: str,
                 drop_path: float):
        super().__init__()
        same, middle = stride == 1 and in_chans == out_chans, out_chans // 4
        self.shortcut = nn.Identity() if same else Shortcut(in_chans, out_chans, stride=stride)
        self.conv1_1x1 = ConvNormAct(in_chans, middle, 1, act_layer=act_layer)
        self.conv2_kxk = PooledConv(middle, middle, stride=stride, act_layer=act_layer)
        self.conv3_1x1 = ConvNormAct(middle, out_chans, 1, apply_act=False)
        self.drop_path = DropPath(drop_path) if drop_path else nn.Identity()
        self.act = create_act(act_layer, inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        branch = self.conv3_1x1(self.conv2_kxk(self.conv1_1x1(x)))
        return self.act(self.drop_path(branch) + self.shortcut(x))


# --- heads ----------------------------------------------------------------------------------------


class AttentionPool(nn.Module):
    """The mean of a map asks all its places: [B, C, H, W] -> [B, num_classes], or [B, C] without a
    last layer.

    grid: rows and columns of the map that its learnt positions are for; they are resized for
          another map.
    """

    def __init__(self, dim: int, num_classes: int, grid: tuple[int, int], drop_rate: float):
        super().__init__()
        self.dim, self.grid, self.num_heads = dim, grid, dim // HEAD_CHANNELS
        self.pos_embed = nn.Parameter(torch.zeros(grid[0] * grid[1] + 1, dim))
        self.q, self.k, self.v = nn.Linear(dim, dim), nn.Linear(dim, dim), nn.Linear(dim, dim)
        self.drop = nn.Dropout(drop_rate)
        self.proj = nn.Linear(dim, num_classes) if num_classes else nn.Identity()

    def reset(self, num_classes: int, *, device=None, dtype=None) -> None:
        """A fresh last layer."""
        self.proj = (nn.Linear(self.dim, num_classes, device=device, dtype=dtype) if num_classes
                     else nn.Identity())

    def forward(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        size = tuple(x.shape[-2:])
        x = x.flatten(2).transpose(1, 2)  # [B, C, H, W] -> [B, N, C]
        x = torch.cat((x.mean(1, keepdim=True), x), dim=1)  # [B, 1 + N, C]
        x = x + resample_abs_pos_embed(self.pos_embed[None], size, old_size=self.grid)
        query, key, value = (
            # [B, heads, N, C / heads]
            layer(tokens).unflatten(2, (self.num_heads, HEAD_CHANNELS)).transpose(1, 2)
            for layer, tokens in ((self.q, x[:, :1]), (self.k, x), (self.v, x))
        )
        answer = F.scaled_dot_product_attention(query, key, value)  # [B, heads, 1, C / heads]
        answer = self.drop(answer.flatten(1))  # [B, C]
        return answer if pre_logits else self.proj(answer)


class MlpHead(nn.Module):
    """Pool, norm, a hidden layer, classify: [B, C, H, W] -> [B, num_classes]."""

    def __init__(self, dim: int, num_classes: int, pool_type: str, drop_rate: float, *, hidden: int,
                 act_layer: str):
        super().__init__()
        if pool_type not in ("avg", "max", "avgmax"):
            raise ValueError(f'This head pools by "avg", "max" or "avgmax"; got {pool_type!r}.')
        self.hidden = hidden
        self.global_pool = SelectAdaptivePool2d(pool_type)
        self.norm = nn.BatchNorm2d(dim)
        self.pre_logits = nn.Sequential()
        self.pre_logits.add_module("fc", nn.Linear(dim, hidden))
        self.pre_logits.add_module("act", create_act(act_layer))
        self.drop = nn.Dropout(drop_rate)
        self.fc = nn.Linear(hidden, num_classes) if num_classes else nn.Identity()

    def reset(self, num_classes: int, *, device=None, dtype=None) -> None:
        """A fresh last layer; norm and hidden layer stay."""
        self.fc = (nn.Linear(self.hidden, num_classes, device=device, dtype=dtype) if num_classes
                   else nn.Identity())

    def forward(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        x = self.norm(self.global_pool(x)).flatten(1)  # [B, C, 1, 1] -> [B, C]
        x = self.drop(self.pre_logits(x))
        return x if pre_logits else self.fc(x)


# --- the model ------------------------------------------------------------------------------------


class ClipResNet(VisionModel):
    """Photo [B, in_chans, H, W] -> [B, num_classes]; for CLIP's own weights that is the photo's
    vector, not logits.

    depths:      blocks in each of the four stages;  width: channels of the stem, a quarter of the
                 first stage's
    global_pool: "attn" for CLIP's attention, or a plain pooling
    hidden:      neurons of a hidden layer in the head; 0: none
    img_size:    side of the photos that attention's positions are for, in pixels; others are taken
                 too
    """

    feature_names = "_"

    def __init__(
        self,
        *,
        depths: tuple[int, int, int, int] = (3, 4, 6, 3),
        width: int = 64,
        num_classes: int = 1000,
        in_chans: int = 3,
        global_pool: str = "attn",
        hidden: int = 0,
        img_size: int | tuple[int, int] = 224,
        act_layer: str = "relu",
        drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
    ):
        super().__init__()
        if num_classes < 0:
            raise ValueError(f"num_classes is {num_classes}: give 0 (no classifier) or more.")
        self.num_classes, self.in_chans, self.drop_rate = num_classes, in_chans, drop_rate
        self.stem = nn.Sequential()
        for i, (before, after, stride) in enumerate((
            (in_chans, width // 2, 2), (width // 2, width // 2, 1), (width // 2, width, 1)
        ), start=1):
            self.stem.add_module(f"conv{i}",
                                 ConvNormAct(before, after, 3, stride=stride, act_layer=act_layer))
        self.stem.add_module("pool", nn.AvgPool2d(2))

        table, stages, chans = [Stage("stem", "stem.conv3", width, 2)], [], width
        rates = drop_path_rates(drop_path_rate, depths)
        for i, depth in enumerate(depths):
            blocks = []
            for j in range(depth):
                blocks.append(Bottleneck(chans, 4 * width * 2**i,
                                         stride=2 if i > 0 and j == 0 else 1, act_layer=act_layer,
                                         drop_path=rates[i][j]))
                chans = 4 * width * 2**i
            stages.append(nn.Sequential(*blocks))
            table.append(Stage(f"stages.{i}", f"stages.{i}" if i < 3 else "final_conv", chans,
                               4 * 2**i))
        # the name in checkpoints; the contract's are in `stage_table`
        self.stages = nn.Sequential(*stages)
        self.final_conv = nn.Identity()  # named by timm's table as the last map's place
        self.stage_table = table
        self.num_features = chans
        if global_pool == "attn":
            height, side = (img_size, img_size) if isinstance(img_size, int) else img_size
            self.head: nn.Module = AttentionPool(chans, num_classes, (height // 32, side // 32),
                                                 drop_rate)
        elif hidden:
            self.head = MlpHead(chans, num_classes, global_pool, drop_rate, hidden=hidden,
                                act_layer=act_layer)
        else:
            self.head = ClassifierHead(chans, num_classes, global_pool, drop_rate)
        self.init_weights()

    @property
    def head_hidden_size(self) -> int:
        return self.head.hidden if isinstance(self.head, MlpHead) else self.num_features

    def init_weights(self) -> None:
        """He initialisation by fan-out; blocks start as their shortcuts, attention with numbers of
        size 1/sqrt(C).
        """
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            elif isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=0.01)
                nn.init.zeros_(module.bias)
        for module in self.modules():
            if isinstance(module, Bottleneck):
                nn.init.zeros_(module.conv3_1x1.bn.weight)
            elif isinstance(module, AttentionPool):
                for weight in (module.pos_embed, module.q.weight, module.k.weight, module.v.weight):
                    nn.init.trunc_normal_(weight, std=module.dim**-0.5)

    def forward_stages(self, x: Tensor) -> Generator[Tensor, None, Tensor]:
        x = self.stem.conv3(self.stem.conv2(self.stem.conv1(x)))
        yield x  # stem      [B, 64, H/2, W/2]
        x = self.stem.pool(x)
        for stage in self.stages:
            x = stage(x)
            yield x  # stages.0 [B, 256, H/4, W/4] ... stages.3 [B, 2048, H/32, W/32]
        return self.final_conv(x)

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        return self.head(x, pre_logits=pre_logits)

    def get_classifier(self) -> nn.Module:
        return self.head.proj if isinstance(self.head, AttentionPool) else self.head.fc

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        if isinstance(self.head, ClassifierHead) and global_pool != "attn":
            self.head.reset(num_classes, global_pool, **parameter_place(self))
        elif global_pool is None:
            self.head.reset(num_classes, **parameter_place(self))
        else:
            raise ValueError(
                f"global_pool={global_pool!r} would be another head than the one that was trained: "
                "leave it out, or create the model with it."
            )
        self.num_classes = num_classes

    def remove_head(self) -> None:
        self.head = ClassifierHead(self.num_features, 0, "avg", self.drop_rate)
        self.num_classes = 0


MODEL = ClipResNet

_X4 = dict(depths=(4, 6, 10, 6), width=80, img_size=288)
_X16 = dict(depths=(6, 8, 18, 8), width=96, img_size=384)
_X64 = dict(depths=(3, 15, 36, 10), width=128, img_size=448)

VARIANTS: dict[str, dict[str, Any]] = {
    "resnet50_clip": dict(),
    "resnet101_clip": dict(depths=(3, 4, 23, 3)),
    "resnet50x4_clip": dict(_X4),
    "resnet50x16_clip": dict(_X16),
    "resnet50x64_clip": dict(_X64),
    "resnet50_clip_gap": dict(global_pool="avg"),
    "resnet101_clip_gap": dict(depths=(3, 4, 23, 3), global_pool="avg"),
    "resnet50x4_clip_gap": dict(_X4, global_pool="avg"),
    "resnet50x16_clip_gap": dict(_X16, global_pool="avg"),
    "resnet50x64_clip_gap": dict(_X64, global_pool="avg"),
    "resnet50_mlp": dict(global_pool="avg", hidden=1024),
}
