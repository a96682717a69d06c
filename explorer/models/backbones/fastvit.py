"""FastViT: a transformer's frame, made of convolutions that can be folded away.

A transformer's block mixes places, then channels, each beside a shortcut; on large maps attention
costs too much, and every shortcut is one more trip to memory. FastViT's RepMixer mixes places with
a 3 x 3 depthwise convolution, arranged so that its shortcut, norms and learnt scale are all linear:
`reparameterize` leaves one convolution. Attention remains on the last, small map of the larger
networks, where it is cheap; the "mci" networks are MobileCLIP's image encoders.

Vasu et al., "FastViT: A Fast Hybrid Vision Transformer using Structural Reparameterization", 2023,
https://arxiv.org/abs/2303.14189; mci: Vasu et al., "MobileCLIP", 2023,
https://arxiv.org/abs/2311.17049, and Faghri et al., "MobileCLIP2", 2025,
https://arxiv.org/abs/2508.20691. Parameter names are timm's.
"""

from __future__ import annotations

from collections.abc import Collection, Generator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from explorer.models.contract import Stage, VisionModel
from explorer.models.layers.activations import create_act
from explorer.models.layers.channel_attention import SEModule
from explorer.models.layers.conv_norm_act import ConvNormAct
from explorer.models.layers.drop import DropPath, drop_path_rates
from explorer.models.layers.norm import LayerNorm2d
from explorer.models.layers.pool import ClassifierHead
from explorer.models.layers.reparam import (
    Filters,
    add_filters,
    fold_conv_norm,
    fold_identity,
    identity_weight,
    make_conv,
    pad_weight,
    reparameterize_parts,
)
from explorer.models.layers.transformer import Attention

HEAD_CHANNELS = 32  # of each head of attention


# --- convolutions with branches -------------------------------------------------------------------
#
# Each has `reparameterize`, which replaces its branches in place by one convolution with the same
# answers in evaluation; a second call does nothing. The rules of the algebra are in
# `layers/reparam.py`.


class MobileOneBlock(nn.Module):
    """MobileOne's block with one copy: [B, in_chans, H, W] -> [B, out_chans, H/stride, W/stride].

    A convolution, beside it a 1 x 1 convolution where the kernel is larger (`scale`) and a
    BatchNorm alone where the shape stays; then squeeze-and-excitation and the activation. Without
    `conv` only the BatchNorm is there.
    """

    def __init__(self, in_chans: int, out_chans: int, kernel: int, *, stride: int = 1,
                 groups: int = 1, conv: bool = True, scale: bool = True, se: bool = False,
                 act: str = "gelu"):
        super().__init__()
        self.kernel, self.stride, self.groups = kernel, stride, groups
        self.se = SEModule(out_chans, 1 / 16, rd_divisor=1) if se else nn.Identity()
        same = stride == 1 and in_chans == out_chans
        self.identity = nn.BatchNorm2d(out_chans) if same else None
        self.conv_kxk = self.conv_scale = None
        if conv:  # a list of one: checkpoints have room for MobileOne's copies
            self.conv_kxk = nn.ModuleList([
                ConvNormAct(in_chans, out_chans, kernel, stride=stride, groups=groups,
                            apply_act=False)
            ])
            if scale and kernel > 1:
                self.conv_scale = ConvNormAct(in_chans, out_chans, 1, stride=stride, groups=groups,
                                              apply_act=False)
        self.act = create_act(act)
        self.reparam_conv = None

    def forward(self, x: Tensor) -> Tensor:
        if self.reparam_conv is not None:
            return self.act(self.se(self.reparam_conv(x)))
        branches = [] if self.identity is None else [self.identity(x)]
        if self.conv_scale is not None:
            branches.append(self.conv_scale(x))
        if self.conv_kxk is not None:
            branches.append(self.conv_kxk[0](x))
        return self.act(self.se(sum(branches)))

    def filters(self) -> Filters:
        """The one convolution that its branches add up to, as filters
        [out, in / groups, kernel, kernel] and bias.

        Each branch is one convolution once its BatchNorm is folded in; smaller filters get zeros
        around them:
            K * x + b_k   +   S * x + b_s   +   E * x + b_e   =   (K + S + E) * x  +  (b_k + b_s +
            b_e)
        """
        if self.reparam_conv is not None:
            return self.reparam_conv.weight, self.reparam_conv.bias
        branches = [] if self.identity is None else [fold_identity(self.identity, self.groups)]
        branches += [fold_conv_norm(conv) for conv in (self.conv_scale, *(self.conv_kxk or ()))
                     if conv is not None]
        return add_filters(branches, self.kernel)

    @torch.no_grad()
    def reparameterize(self) -> None:
        if self.reparam_conv is None:
            like = self.identity if self.conv_kxk is None else self.conv_kxk
            self.reparam_conv = make_conv(self.filters(), like=like, stride=self.stride,
                                          groups=self.groups)
            del self.identity, self.conv_kxk, self.conv_scale


class LargeKernelConv(nn.Module):
    """A 7 x 7 depthwise convolution, trained with a 3 x 3 one beside it: [B, in, H, W]
    -> [B, out, H/2, W/2].

    A large filter alone learns the near neighbourhood badly; the small one is added to its middle
    afterwards.
    """

    def __init__(self, in_chans: int, out_chans: int, *, se: bool, act: str | None):
        super().__init__()
        self.groups = in_chans
        self.large_conv = ConvNormAct(in_chans, out_chans, 7, stride=2, padding=3, groups=in_chans,
                                      apply_act=False)
        self.small_conv = ConvNormAct(in_chans, out_chans, 3, stride=2, padding=1, groups=in_chans,
                                      apply_act=False)
        self.se = SEModule(out_chans, 1 / 4) if se else nn.Identity()
        self.act = create_act(act)
        self.reparam_conv = None

    def forward(self, x: Tensor) -> Tensor:
        if self.reparam_conv is not None:
            return self.act(self.se(self.reparam_conv(x)))
        return self.act(self.se(self.large_conv(x) + self.small_conv(x)))

    @torch.no_grad()
    def reparameterize(self) -> None:
        if self.reparam_conv is None:
            filters = add_filters([fold_conv_norm(self.large_conv),
                                   fold_conv_norm(self.small_conv)], 7)
            self.reparam_conv = make_conv(filters, like=self.large_conv, stride=2,
                                          groups=self.groups)
            del self.large_conv, self.small_conv


class Scale(nn.Module):
    """A learnt factor for each channel, small at first: [B, C, H, W] -> [B, C, H, W]."""

    def __init__(self, dim: int, init_value: float = 1e-5):
        super().__init__()
        self.gamma = nn.Parameter(torch.full((dim, 1, 1), init_value))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gamma


class RepMixer(nn.Module):
    """x + scale * (mixer(x) - norm(x)): mix places with a 3 x 3 filter in each channel,
    [B, C, H, W] -> the same.
    """

    def __init__(self, dim: int):
        super().__init__()
        self.norm = MobileOneBlock(dim, dim, 3, groups=dim, conv=False, act="")
        self.mixer = MobileOneBlock(dim, dim, 3, groups=dim, act="")
        self.layer_scale = Scale(dim)
        self.reparam_conv = None

    def forward(self, x: Tensor) -> Tensor:
        if self.reparam_conv is not None:
            return self.reparam_conv(x)
        return x + self.layer_scale(self.mixer(x) - self.norm(x))

    @torch.no_grad()
    def reparameterize(self) -> None:
        """One convolution for all of it, shortcut included.

        The mixer is M * x + m and the norm N * x + n, once their own branches are added up. I
        copies each channel:
            x + g (M * x + m - N * x - n)   =   (I + g (M - N)) * x  +  g (m - n)
        """
        if self.reparam_conv is not None:
            return
        (mixer, mixer_bias), (norm, norm_bias) = self.mixer.filters(), self.norm.filters()
        scale = self.layer_scale.gamma.to(mixer.dtype)  # [C, 1, 1]
        copy = identity_weight(len(scale), len(scale), device=mixer.device, dtype=mixer.dtype)
        weight = pad_weight(copy, 3) + scale[..., None] * (mixer - norm)
        self.reparam_conv = make_conv((weight, scale.flatten() * (mixer_bias - norm_bias)),
                                      like=self.mixer, groups=len(scale))
        del self.norm, self.mixer, self.layer_scale


class ConditionalPosition(nn.Module):
    """Tells each place where it is, from its neighbourhood up to the edge: [B, C, H, W] -> the
    same.

    x + a 7 x 7 depthwise convolution of x, which is one convolution: (I + K) * x + k.
    Chu et al., "Conditional Positional Encodings for Vision Transformers", 2021.
    """

    def __init__(self, dim: int):
        super().__init__()
        self.pos_enc = nn.Conv2d(dim, dim, 7, padding=3, groups=dim)
        self.reparam_conv = None

    def forward(self, x: Tensor) -> Tensor:
        return x + self.pos_enc(x) if self.reparam_conv is None else self.reparam_conv(x)

    @torch.no_grad()
    def reparameterize(self) -> None:
        if self.reparam_conv is None:
            weight, bias = self.pos_enc.weight, self.pos_enc.bias
            copy = identity_weight(len(bias), len(bias), device=weight.device, dtype=weight.dtype)
            self.reparam_conv = make_conv((weight + pad_weight(copy, 7), bias), like=self.pos_enc,
                                          groups=len(bias))
            del self.pos_enc


# --- blocks ---------------------------------------------------------------------------------------


class MapAttention(Attention):
    """Self-attention between all places of a map, in heads of 32 channels: [B, C, H, W]
    -> [B, C, H, W].
    """

    def __init__(self, dim: int):
        super().__init__(dim, dim // HEAD_CHANNELS)

    def queries_keys_values(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        # [B, C, H, W] -> [B, N, C]
        return super().queries_keys_values(x.flatten(2).transpose(1, 2))

    def forward(self, x: Tensor) -> Tensor:
        # [B, N, C] -> [B, C, H, W]
        return super().forward(x).transpose(1, 2).unflatten(2, x.shape[-2:])


class ConvMlp(nn.Module):
    """Look around once more in each channel, then mix the channels: [B, C, H, W] -> [B, C, H, W].
    """

    def __init__(self, dim: int, hidden: int, *, drop: float):
        super().__init__()
        self.conv = ConvNormAct(dim, dim, 7, groups=dim, apply_act=False)
        self.fc1 = nn.Conv2d(dim, hidden, 1)
        self.act = nn.GELU()
        self.fc2 = nn.Conv2d(hidden, dim, 1)
        self.drop = nn.Dropout(drop)

    def forward(self, x: Tensor) -> Tensor:
        x = self.drop(self.act(self.fc1(self.conv(x))))
        return self.drop(self.fc2(x))


class RepMixerBlock(nn.Module):
    """RepMixer for the places, an MLP for the channels: [B, C, H, W] -> [B, C, H, W]."""

    def __init__(self, dim: int, hidden: int, *, drop: float, drop_path: float):
        super().__init__()
        self.token_mixer = RepMixer(dim)
        self.mlp = ConvMlp(dim, hidden, drop=drop)
        self.layer_scale = Scale(dim)
        self.drop_path = DropPath(drop_path) if drop_path else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        x = self.token_mixer(x)
        return x + self.drop_path(self.layer_scale(self.mlp(x)))


class AttentionBlock(nn.Module):
    """Attention for the places, an MLP for the channels: [B, C, H, W] -> [B, C, H, W]."""

    def __init__(self, dim: int, hidden: int, *, layer_norm: bool, drop: float, drop_path: float):
        super().__init__()
        self.norm = LayerNorm2d(dim, eps=1e-5) if layer_norm else nn.BatchNorm2d(dim)
        self.token_mixer = MapAttention(dim)
        self.layer_scale_1 = Scale(dim)
        self.drop_path1 = DropPath(drop_path) if drop_path else nn.Identity()
        self.mlp = ConvMlp(dim, hidden, drop=drop)
        self.layer_scale_2 = Scale(dim)
        self.drop_path2 = DropPath(drop_path) if drop_path else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.drop_path1(self.layer_scale_1(self.token_mixer(self.norm(x))))
        return x + self.drop_path2(self.layer_scale_2(self.mlp(x)))


class Downsampling(nn.Module):
    """A large filter halves the map, a 1 x 1 convolution mixes the channels: [B, in, H, W]
    -> [B, out, H/2, W/2].
    """

    def __init__(self, in_chans: int, out_chans: int, *, se: bool, act: str | None):
        super().__init__()
        self.proj = nn.Sequential(
            LargeKernelConv(in_chans, out_chans, se=se, act=act),
            MobileOneBlock(out_chans, out_chans, 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.proj(x)


class FastVitStage(nn.Module):
    """A smaller map, its positions where attention follows, then blocks: [B, in, H, W]
    -> [B, out, H/2, W/2].
    """

    def __init__(self, downsample: nn.Module, position: nn.Module, blocks: Sequence[nn.Module]):
        super().__init__()
        self.downsample = downsample
        self.pos_emb = position
        self.blocks = nn.Sequential(*blocks)

    def forward(self, x: Tensor) -> Tensor:
        return self.blocks(self.pos_emb(self.downsample(x)))


# --- the model ------------------------------------------------------------------------------------


class FastViT(VisionModel):
    """Photo [B, in_chans, H, W] -> logits [B, num_classes].

    depths:      blocks in each stage;  width: channels of the first, doubled from stage to stage
    mlp_ratio:   how many times wider the MLPs are inside
    attention:   how many of the last stages mix places by attention, not by RepMixer
    layer_norm:  LayerNorm in front of attention, not BatchNorm
    stem_scale:  1 x 1 branches beside the stem's 3 x 3 convolutions
    down_act:    an activation behind each convolution that halves the map
    down_se:     the stages in which squeeze-and-excitation follows that convolution
    drop_rate, proj_drop_rate, drop_path_rate: dropout in front of the classifier, in the MLPs, of
        whole branches
    """

    classifier_path = "head.fc"
    feature_names = "_"

    def __init__(
        self,
        *,
        depths: Sequence[int] = (2, 2, 6, 2),
        width: int = 64,
        mlp_ratio: float = 4,
        attention: int = 0,
        layer_norm: bool = False,
        stem_scale: bool = True,
        down_act: bool = False,
        down_se: Collection[int] = (),
        num_classes: int = 1000,
        in_chans: int = 3,
        global_pool: str = "avg",
        drop_rate: float = 0.0,
        proj_drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
    ):
        super().__init__()
        self.num_classes, self.in_chans, self.drop_rate = num_classes, in_chans, drop_rate
        self.stem = nn.Sequential(
            MobileOneBlock(in_chans, width, 3, stride=2, scale=stem_scale),
            MobileOneBlock(width, width, 3, stride=2, groups=width, scale=stem_scale),
            MobileOneBlock(width, width, 1),
        )
        table, stages, chans = [], [], width
        rates = drop_path_rates(drop_path_rate, tuple(depths))
        for i in range(len(depths)):
            downsample: nn.Module = nn.Identity()  # the stem has halved twice already
            if i:
                downsample = Downsampling(chans, 2 * chans, se=i in down_se,
                                          act="gelu" if down_act else None)
                chans *= 2
            hidden, options = int(chans * mlp_ratio), dict(drop=proj_drop_rate)
            if i < len(depths) - attention:
                position: nn.Module = nn.Identity()
                blocks = [RepMixerBlock(chans, hidden, drop_path=rate, **options)
                          for rate in rates[i]]
            else:
                position = ConditionalPosition(chans)
                blocks = [AttentionBlock(chans, hidden, layer_norm=layer_norm, drop_path=rate,
                                         **options)
                          for rate in rates[i]]
            stages.append(FastVitStage(downsample, position, blocks))
            table.append(Stage(f"stages.{i}", f"stages.{i}", chans, 4 * 2**i))
        # the name in checkpoints; the contract's are in `stage_table`
        self.stages = nn.Sequential(*stages)
        self.stage_table = table
        self.num_features = 2 * chans
        self.final_conv = MobileOneBlock(chans, self.num_features, 3, groups=chans, se=True)
        self.head = ClassifierHead(self.num_features, num_classes, global_pool, drop_rate)
        self.init_weights()

    @property
    def default_out_indices(self) -> tuple[int, ...]:
        """Maps of a quarter to a 32nd of the photo's side: the largest networks have one more,
        smaller than those.
        """
        return (0, 1, 2, 3)

    def init_weights(self) -> None:
        """Truncated normal weights of deviation 0.02 in MLPs, attention and classifier; elsewhere
        PyTorch's own.
        """
        layers = [module for module in self.modules() if isinstance(module, nn.Linear)]
        for mlp in (module for module in self.modules() if isinstance(module, ConvMlp)):
            layers += [mlp.conv.conv, mlp.fc1, mlp.fc2]
        for layer in layers:
            nn.init.trunc_normal_(layer.weight, std=0.02)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)

    def reparameterize(self) -> None:
        """Fold all branches into single convolutions, in place; outputs in evaluation stay the
        same. For predicting.

        A file of an already re-parameterised FastViT is loaded by calling this first, then
        `load_state_dict`.
        """
        reparameterize_parts(self)

    def forward_stages(self, x: Tensor) -> Generator[Tensor, None, Tensor]:
        x = self.stem(x)  # [B, width, H/4, W/4]
        for stage in self.stages:
            x = stage(x)
            yield x  # stages.0 [B, width, H/4, W/4] ... stages.3 [B, 8 * width, H/32, W/32]
        return self.final_conv(x)  # [B, 16 * width, H/32, W/32]


MODEL = FastViT

_MCI = dict(mlp_ratio=3, attention=1, down_act=True, down_se=(2, 3))
_MCI_LARGE = dict(attention=2, layer_norm=True, stem_scale=False, down_act=True)

VARIANTS: dict[str, dict[str, Any]] = {
    "fastvit_t8": dict(depths=(2, 2, 4, 2), width=48, mlp_ratio=3),
    "fastvit_t12": dict(depths=(2, 2, 6, 2), mlp_ratio=3),
    "fastvit_s12": dict(depths=(2, 2, 6, 2)),
    "fastvit_sa12": dict(depths=(2, 2, 6, 2), attention=1),
    "fastvit_sa24": dict(depths=(4, 4, 12, 4), attention=1),
    "fastvit_sa36": dict(depths=(6, 6, 18, 6), attention=1),
    "fastvit_ma36": dict(depths=(6, 6, 18, 6), width=76, attention=1),
    "fastvit_mci0": dict(_MCI, depths=(2, 6, 10, 2)),
    "fastvit_mci1": dict(_MCI, depths=(4, 12, 20, 4)),
    "fastvit_mci2": dict(_MCI, depths=(4, 12, 24, 4), width=80),
    "fastvit_mci3": dict(_MCI_LARGE, depths=(2, 12, 24, 4, 2), width=96),
    "fastvit_mci4": dict(_MCI_LARGE, depths=(2, 12, 24, 4, 4), width=128),
}
