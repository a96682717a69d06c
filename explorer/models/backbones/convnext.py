"""ConvNeXt: what a plain convolutional network can do with a transformer's manners.

Its authors took a ResNet and changed one habit at a time towards a transformer's: patches instead
of a stem, 7 x 7 filters for each channel by itself, a small network at each place that widens four
times, LayerNorm, GELU, and fewer of both. The result equals a transformer of its size, with nothing
but convolutions. Version 2 learns from hidden patches first, and adds a norm that makes the
channels compete.

Liu et al., "A ConvNet for the 2020s", 2022, https://arxiv.org/abs/2201.03545; Woo et al., "ConvNeXt
V2", 2023, https://arxiv.org/abs/2301.00808. Parameter names are timm's.
"""

from __future__ import annotations

from collections.abc import Generator
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from explorer.models.contract import Stage, VisionModel
from explorer.models.layers.activations import create_act
from explorer.models.layers.channel_attention import make_divisible
from explorer.models.layers.conv_same import create_conv2d
from explorer.models.layers.drop import DropPath, drop_path_rates
from explorer.models.layers.norm import GlobalResponseNorm, create_norm2d
from explorer.models.layers.norm_head import NormHead
from explorer.models.layers.pool import ClassifierHead

# --- blocks ---------------------------------------------------------------------------------------


class Mlp(nn.Module):
    """Widen, bend, narrow: the same small network at every place of the map.

    [B, H, W, C] -> the same with linear layers; [B, C, H, W] -> the same with `conv_mlp`, where the
    layers are 1 x 1 convolutions: equal arithmetic, and the shape of their weights is the
    checkpoints'.
    """

    def __init__(self, dim: int, hidden: int, *, conv_mlp: bool, grn: bool, act_layer: str):
        super().__init__()
        linear = partial(nn.Conv2d, kernel_size=1) if conv_mlp else nn.Linear
        self.fc1 = linear(dim, hidden)
        self.act = create_act(act_layer)
        if grn:
            self.grn = GlobalResponseNorm(hidden, channels_last=not conv_mlp)
        self.fc2 = linear(hidden, dim)

    def forward(self, x: Tensor) -> Tensor:
        x = self.act(self.fc1(x))
        if hasattr(self, "grn"):
            x = self.grn(x)
        return self.fc2(x)


class ConvNeXtBlock(nn.Module):
    """Look around with a large filter for each channel, then think at each place; add to the input.

    [B, C, H, W] -> [B, C, H, W]
    """

    def __init__(self, dim: int, *, kernel_size: int, dilation: int, conv_mlp: bool, grn: bool,
                 init_value: float | None, act_layer: str, norm_layer: str, norm_eps: float,
                 drop_path: float):
        super().__init__()
        self.conv_mlp = conv_mlp
        self.conv_dw = create_conv2d(dim, dim, kernel_size, dilation=dilation, groups=dim,
                                     bias=True)
        self.norm = (create_norm2d(norm_layer, dim, eps=norm_eps) if conv_mlp
                     else nn.LayerNorm(dim, eps=norm_eps))
        self.mlp = Mlp(dim, 4 * dim, conv_mlp=conv_mlp, grn=grn, act_layer=act_layer)
        # LayerScale: every block starts close to the identity. Version 2 does without.
        self.gamma = (nn.Parameter(torch.full((dim,), init_value)) if init_value is not None
                      else None)
        self.drop_path = DropPath(drop_path) if drop_path else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x
        x = self.conv_dw(x)
        if self.conv_mlp:
            x = self.mlp(self.norm(x))
        else:
            x = x.permute(0, 2, 3, 1)  # [B, C, H, W] -> [B, H, W, C], as linear layers want it
            x = self.mlp(self.norm(x)).permute(0, 3, 1, 2)
        if self.gamma is not None:
            x = x * self.gamma[:, None, None]
        return shortcut + self.drop_path(x)


class ConvNeXtStage(nn.Module):
    """Halve the map where shapes change, then blocks: [B, in, H, W]
    -> [B, out, H/stride, W/stride].
    """

    def __init__(self, in_chans: int, out_chans: int, *, stride: int, first_dilation: int,
                 dilation: int, drop_path_rates: list[float], norm_layer: str, norm_eps: float,
                 **block_options: Any):
        super().__init__()
        if in_chans == out_chans and stride == 1 and dilation == 1:
            self.downsample: nn.Module = nn.Identity()
        else:
            kernel = 2 if stride > 1 or first_dilation != dilation else 1
            self.downsample = nn.Sequential(
                create_norm2d(norm_layer, in_chans, eps=norm_eps),
                # 2 x 2 at stride 1 needs a row and a column more, or the map would shrink
                create_conv2d(in_chans, out_chans, kernel, stride=stride, dilation=first_dilation,
                              padding="same" if dilation > 1 else 0, bias=True),
            )
        self.blocks = nn.Sequential(*[
            ConvNeXtBlock(out_chans, dilation=dilation, drop_path=rate, norm_layer=norm_layer,
                          norm_eps=norm_eps, **block_options)
            for rate in drop_path_rates
        ])

    def forward(self, x: Tensor) -> Tensor:
        return self.blocks(self.downsample(x))


# --- the model ------------------------------------------------------------------------------------


def create_stem(kind: str, in_chans: int, out_chans: int, *, norm: nn.Module,
                act_layer: str) -> nn.Sequential:
    """[B, in_chans, H, W] -> [B, out_chans, H/4, W/4], by patches or by two overlapping
    convolutions.

    kind: "patch"; "overlap"; "overlap_tiered", whose first convolution has half the channels;
          "overlap_act",
    with an activation between the two.
    """
    if kind == "patch":
        return nn.Sequential(nn.Conv2d(in_chans, out_chans, 4, stride=4), norm)
    if kind not in ("overlap", "overlap_tiered", "overlap_act"):
        raise ValueError(f"Unknown stem {kind!r}. Known: patch, overlap, overlap_tiered, "
                         "overlap_act.")
    middle = make_divisible(out_chans // 2) if kind == "overlap_tiered" else out_chans
    layers: list[nn.Module] = [nn.Conv2d(in_chans, middle, 3, stride=2, padding=1)]
    if kind == "overlap_act":
        layers.append(create_act(act_layer))
    return nn.Sequential(*layers, nn.Conv2d(middle, out_chans, 3, stride=2, padding=1), norm)


class ConvNeXt(VisionModel):
    """Photo [B, in_chans, H, W] -> logits [B, num_classes].

    depths, dims:    blocks and channels of the four stages;  kernel_size: of the depthwise filters
    stem:            see `create_stem`
    conv_mlp:        1 x 1 convolutions in place of linear layers, for the small variants
    use_grn:         global response norm in each block (version 2)
    ls_init_value:   what LayerScale starts from; None for none (version 2)
    norm_layer:      "layer", "rms" or "simple";  norm_eps: its epsilon
    head_norm_first: normalise the map before it is pooled, not the pooled vector
    head_hidden:     a layer of so many channels before the classifier
    output_stride:   32, 16 or 8: later stages dilate instead of halving
    """

    classifier_path = "head.fc"
    supports_output_stride = True
    feature_names = "_"

    def __init__(
        self,
        *,
        depths: tuple[int, ...] = (3, 3, 9, 3),
        dims: tuple[int, ...] = (96, 192, 384, 768),
        num_classes: int = 1000,
        in_chans: int = 3,
        global_pool: str = "avg",
        output_stride: int = 32,
        kernel_size: int = 7,
        stem: str = "patch",
        conv_mlp: bool = False,
        use_grn: bool = False,
        ls_init_value: float | None = 1e-6,
        act_layer: str = "gelu",
        norm_layer: str = "layer",
        norm_eps: float = 1e-6,
        head_norm_first: bool = False,
        head_hidden: int = 0,
        drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
    ):
        super().__init__()
        if output_stride not in (8, 16, 32):
            raise ValueError(f"output_stride is {output_stride}: ConvNeXts offer 8, 16 and 32.")
        if norm_layer != "layer" and not conv_mlp:
            raise ValueError(f"norm_layer {norm_layer!r} works on maps: use it with conv_mlp=True.")
        self.num_classes, self.in_chans = num_classes, in_chans
        norm = partial(create_norm2d, norm_layer, eps=norm_eps)
        self.stem = create_stem(stem, in_chans, dims[0], norm=norm(dims[0]), act_layer=act_layer)

        layers, stages = [], []
        chans, stride_so_far, dilation = dims[0], 4, 1
        for i, (dim, rates) in enumerate(zip(dims, drop_path_rates(drop_path_rate, depths))):
            stride, before = (2 if i else 1), dilation
            if stride_so_far * stride > output_stride:
                dilation, stride = dilation * stride, 1
            stride_so_far *= stride
            layers.append(ConvNeXtStage(
                chans, dim, stride=stride, first_dilation=before, dilation=dilation,
                drop_path_rates=rates, kernel_size=kernel_size, conv_mlp=conv_mlp, grn=use_grn,
                init_value=ls_init_value, act_layer=act_layer, norm_layer=norm_layer,
                norm_eps=norm_eps,
            ))
            stages.append(Stage(f"stages.{i}", f"stages.{i}", dim, stride_so_far))
            chans = dim
        # the name in checkpoints; the contract's stages are in `stage_table`
        self.stages = nn.Sequential(*layers)
        self.stage_table = stages
        self.num_features = chans

        if head_norm_first:
            self.norm_pre: nn.Module = norm(chans)
            self.head: nn.Module = ClassifierHead(chans, num_classes, global_pool, drop_rate)
        else:
            self.norm_pre = nn.Identity()
            self.head = NormHead(chans, num_classes, global_pool, hidden=head_hidden,
                                 norm_layer=norm_layer, norm_eps=norm_eps, act_layer=act_layer,
                                 drop_rate=drop_rate)
        self.init_weights()

    @property
    def head_hidden_size(self) -> int:
        return getattr(self.head, "num_features", self.num_features)

    def init_weights(self) -> None:
        """Small normal weights and no bias anywhere: LayerNorm sets the scale."""
        for module in self.modules():
            if isinstance(module, (nn.Conv2d, nn.Linear)):
                nn.init.trunc_normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)

    def forward_stages(self, x: Tensor) -> Generator[Tensor, None, Tensor]:
        x = self.stem(x)  # [B, C, H/4, W/4]
        for stage in self.stages:
            x = stage(x)
            yield x  # stages.0 [B, C, H/4, W/4] ... stages.3 [B, 8 * C, H/32, W/32]
        return self.norm_pre(x)


MODEL = ConvNeXt

# The sizes: blocks and channels of the four stages.
_ATTO = dict(depths=(2, 2, 6, 2), dims=(40, 80, 160, 320), conv_mlp=True)
_FEMTO = dict(depths=(2, 2, 6, 2), dims=(48, 96, 192, 384), conv_mlp=True)
_PICO = dict(depths=(2, 2, 6, 2), dims=(64, 128, 256, 512), conv_mlp=True)
_NANO = dict(depths=(2, 2, 8, 2), dims=(80, 160, 320, 640), conv_mlp=True)
_TINY = dict(depths=(3, 3, 9, 3), dims=(96, 192, 384, 768))
_SMALL = dict(depths=(3, 3, 27, 3), dims=(96, 192, 384, 768))
_BASE = dict(depths=(3, 3, 27, 3), dims=(128, 256, 512, 1024))
_LARGE = dict(depths=(3, 3, 27, 3), dims=(192, 384, 768, 1536))
_ZEPTO = dict(depths=(2, 2, 4, 2), dims=(32, 64, 128, 256), conv_mlp=True)
_V2 = dict(use_grn=True, ls_init_value=None)

VARIANTS: dict[str, dict[str, Any]] = {
    "convnext_zepto_rms": dict(_ZEPTO, norm_layer="simple"),
    "convnext_zepto_rms_ols": dict(_ZEPTO, norm_layer="simple", stem="overlap_act"),
    "convnext_atto": dict(_ATTO),
    "convnext_atto_ols": dict(_ATTO, stem="overlap_tiered"),
    "convnext_atto_rms": dict(_ATTO, norm_layer="rms"),
    "convnext_femto": dict(_FEMTO),
    "convnext_femto_ols": dict(_FEMTO, stem="overlap_tiered"),
    "convnext_pico": dict(_PICO),
    "convnext_pico_ols": dict(_PICO, stem="overlap_tiered"),
    "convnext_nano": dict(_NANO),
    "convnext_nano_ols": dict(_NANO, stem="overlap"),
    "convnext_tiny": dict(_TINY),
    "convnext_tiny_hnf": dict(_TINY, conv_mlp=True, head_norm_first=True),
    "convnext_small": dict(_SMALL),
    "convnext_base": dict(_BASE),
    "convnext_large": dict(_LARGE),
    "convnext_large_mlp": dict(_LARGE, head_hidden=1536),
    "convnext_xlarge": dict(depths=(3, 3, 27, 3), dims=(256, 512, 1024, 2048)),
    "convnext_xxlarge": dict(depths=(3, 4, 30, 3), dims=(384, 768, 1536, 3072), norm_eps=1e-5),

    "convnextv2_atto": dict(_ATTO, **_V2),
    "convnextv2_femto": dict(_FEMTO, **_V2),
    "convnextv2_pico": dict(_PICO, **_V2),
    "convnextv2_nano": dict(_NANO, **_V2),
    "convnextv2_tiny": dict(_TINY, **_V2),
    "convnextv2_small": dict(_SMALL, **_V2),
    "convnextv2_base": dict(_BASE, **_V2),
    "convnextv2_large": dict(_LARGE, **_V2),
    "convnextv2_huge": dict(depths=(3, 3, 27, 3), dims=(352, 704, 1408, 2816), **_V2),
}


def _from_torchvision(state: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    """torchvision counts stem, stages and the halvings between them in one row of `features`.

    Raises ValueError for a key that such a file does not have.
    """
    layers = {"block.0": "conv_dw", "block.2": "norm", "block.3": "mlp.fc1", "block.5": "mlp.fc2"}
    heads = {"classifier.0": "head.norm", "classifier.2": "head.fc"}
    mapped = {}
    for key, value in state.items():
        layer, _, kind = key.rpartition(".")
        if layer in heads:
            mapped[f"{heads[layer]}.{kind}"] = value
            continue
        try:
            _, place, index, *rest = key.split(".")
            stage = int(place) // 2
            if place == "0":
                mapped[f"stem.{index}.{kind}"] = value
            elif int(place) % 2 == 0:
                mapped[f"stages.{stage}.downsample.{index}.{kind}"] = value
            elif rest == ["layer_scale"]:
                mapped[f"stages.{stage}.blocks.{index}.gamma"] = value.flatten()
            else:
                layer = layers[".".join(rest[:-1])]
                mapped[f"stages.{stage}.blocks.{index}.{layer}.{kind}"] = value
        except (KeyError, ValueError):
            raise ValueError(f"{key!r} is no tensor of {name!r} as torchvision saves it.") from None
    return mapped


KEY_MAPS = {"torchvision": _from_torchvision}
