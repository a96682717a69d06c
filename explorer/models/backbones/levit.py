"""LeViT: a transformer in a convolutional network's clothing, built for speed.

A few small convolutions shrink the photo to 14 x 14 places before attention begins, and the map
shrinks twice more: there, every second place asks all places. Positions are learnt biases for each
distance, BatchNorm replaces LayerNorm (once trained it melts into the layer before it), and keys
are narrower than values, which saves most of the time.

Graham et al., "LeViT: a Vision Transformer in ConvNet's Clothing for Faster Inference", 2021,
https://arxiv.org/abs/2104.01136. Parameter names are timm's: the `levit_conv` models are the same
networks with 1 x 1 convolutions on maps in place of linear layers on tokens.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Generator, Sequence
from typing import Any

from torch import Tensor, nn

from explorer.models.contract import Stage, VisionModel, parameter_place
from explorer.models.layers.activations import create_act
from explorer.models.layers.distance_attention import DistanceAttention, Size
from explorer.models.layers.drop import DropPath
from explorer.models.layers.transformer import to_pair


class ConvNorm(nn.Module):
    """A convolution and BatchNorm: [B, in, H, W] -> [B, out, H/stride, W/stride].

    `linear`: the name in checkpoints.
    """

    def __init__(self, in_chans: int, out_chans: int, *, kernel: int = 1, stride: int = 1):
        super().__init__()
        self.linear = nn.Conv2d(in_chans, out_chans, kernel, stride=stride, padding=kernel // 2,
                                bias=False)
        self.bn = nn.BatchNorm2d(out_chans)

    def forward(self, x: Tensor) -> Tensor:
        return self.bn(self.linear(x))


class LinearNorm(nn.Module):
    """A linear layer and BatchNorm over all tokens of all photos: [B, N, in] -> [B, N, out]."""

    def __init__(self, in_chans: int, out_chans: int):
        super().__init__()
        self.linear = nn.Linear(in_chans, out_chans, bias=False)
        self.bn = nn.BatchNorm1d(out_chans)

    def forward(self, x: Tensor) -> Tensor:
        x = self.linear(x)
        return self.bn(x.flatten(0, 1)).reshape(x.shape)


def mixer(in_chans: int, out_chans: int, *, maps: bool) -> nn.Module:
    """What mixes the channels of each place, on maps or on tokens."""
    return ConvNorm(in_chans, out_chans) if maps else LinearNorm(in_chans, out_chans)


def make_stem(in_chans: int, dim: int, *, stride: int, act: str) -> nn.Sequential:
    """3 x 3 convolutions that halve the map and double the channels: [B, in_chans, H, W]
    -> [B, dim, H/s, W/s].
    """
    if stride not in (8, 16):
        raise ValueError(f"stem_stride is {stride}: LeViT's stems shrink the photo 8 or 16 times.")
    steps = 3 if stride == 8 else 4
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    before = in_chans
    for i in range(1, steps + 1):
        chans = dim // 2 ** (steps - i)
        layers[f"conv{i}"] = ConvNorm(before, chans, kernel=3, stride=2)
        if i < steps:
            layers[f"act{i}"] = create_act(act)
        before = chans
    return nn.Sequential(layers)


# --- attention ------------------------------------------------------------------------------------


class Attention(DistanceAttention):
    """Every place asks all others: tokens [B, N, C] or a map [B, C, H, W] -> the same shape."""

    def __init__(self, dim: int, num_heads: int, key_dim: int, *, ratio: int, size: Size,
                 maps: bool, act: str):
        super().__init__(num_heads, key_dim, ratio * key_dim, size=size)
        self.qkv = mixer(dim, num_heads * (2 * key_dim + self.value_dim), maps=maps)
        inner = num_heads * self.value_dim
        self.proj = nn.Sequential(OrderedDict(act=create_act(act), ln=mixer(inner, dim, maps=maps)))

    def queries_keys_values(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return self.heads(self.qkv(x)).split((self.key_dim, self.key_dim, self.value_dim), dim=3)


class Subsample(nn.Module):
    """Every second row and column of tokens [B, H * W, C], or of a map [B, C, H, W]."""

    def __init__(self, size: Size):
        super().__init__()
        self.size = size

    def forward(self, x: Tensor) -> Tensor:
        if x.ndim == 4:
            return x[:, :, ::2, ::2]
        return x.unflatten(1, self.size)[:, ::2, ::2].flatten(1, 2)


class AttentionDownsample(DistanceAttention):
    """Every second place asks all: [B, N, C] -> [B, N / 4, out], or a map [B, C, H, W]
    -> [B, out, H/2, W/2].
    """

    def __init__(self, dim: int, dim_out: int, key_dim: int, *, ratio: int, size: Size, maps: bool,
                 act: str):
        super().__init__(dim // key_dim, key_dim, ratio * key_dim, size=size, stride=2)
        inner = self.num_heads * self.value_dim
        self.kv = mixer(dim, self.num_heads * key_dim + inner, maps=maps)
        asks = mixer(dim, self.num_heads * key_dim, maps=maps)
        self.q = nn.Sequential(OrderedDict(down=Subsample(size), ln=asks))
        self.proj = nn.Sequential(OrderedDict(act=create_act(act),
                                              ln=mixer(inner, dim_out, maps=maps)))

    def queries_keys_values(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        key, value = self.heads(self.kv(x)).split((self.key_dim, self.value_dim), dim=3)
        return self.heads(self.q(x)), key, value


# --- blocks ---------------------------------------------------------------------------------------


class LevitMlp(nn.Module):
    """Two layers for each place, the middle twice as wide; shape stays."""

    def __init__(self, dim: int, *, maps: bool, act: str):
        super().__init__()
        self.ln1 = mixer(dim, 2 * dim, maps=maps)
        self.act = create_act(act)
        self.ln2 = mixer(2 * dim, dim, maps=maps)

    def forward(self, x: Tensor) -> Tensor:
        return self.ln2(self.act(self.ln1(x)))


class LevitBlock(nn.Module):
    """Attention, then an MLP, each a correction added to its input; shape stays."""

    def __init__(self, dim: int, num_heads: int, key_dim: int, *, size: Size, maps: bool, act: str,
                 drop_path: float):
        super().__init__()
        self.attn = Attention(dim, num_heads, key_dim, ratio=2, size=size, maps=maps, act=act)
        self.drop_path1 = DropPath(drop_path) if drop_path else nn.Identity()
        self.mlp = LevitMlp(dim, maps=maps, act=act)
        self.drop_path2 = DropPath(drop_path) if drop_path else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.drop_path1(self.attn(x))
        return x + self.drop_path2(self.mlp(x))


class LevitDownsample(nn.Module):
    """Attention that shrinks the map, without a shortcut, then an MLP with one."""

    def __init__(self, dim: int, dim_out: int, key_dim: int, *, size: Size, maps: bool, act: str,
                 drop_path: float):
        super().__init__()
        self.attn_downsample = AttentionDownsample(dim, dim_out, key_dim, ratio=4, size=size,
                                                   maps=maps, act=act)
        self.mlp = LevitMlp(dim_out, maps=maps, act=act)
        self.drop_path = DropPath(drop_path) if drop_path else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        x = self.attn_downsample(x)
        return x + self.drop_path(self.mlp(x))


class LevitStage(nn.Module):
    """A smaller map, then blocks."""

    def __init__(self, downsample: nn.Module, blocks: Sequence[nn.Module]):
        super().__init__()
        self.downsample = downsample
        self.blocks = nn.Sequential(*blocks)

    def forward(self, x: Tensor) -> Tensor:
        return self.blocks(self.downsample(x))


class NormLinear(nn.Module):
    """BatchNorm, dropout and a linear layer: [B, C] -> [B, num_classes]."""

    def __init__(self, dim: int, num_classes: int, drop_rate: float):
        super().__init__()
        self.bn = nn.BatchNorm1d(dim)
        self.drop = nn.Dropout(drop_rate)
        self.linear = nn.Linear(dim, num_classes)
        nn.init.trunc_normal_(self.linear.weight, std=0.02)
        nn.init.zeros_(self.linear.bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(self.drop(self.bn(x)))


# --- the model ------------------------------------------------------------------------------------


class LeViT(VisionModel):
    """Photo [B, in_chans, H, W] -> logits [B, num_classes].

    img_size:    side of the photo in pixels, or (height, width); the model is built for that size
    embed_dim, depth, num_heads: channels, blocks and heads of each stage
    key_dim:     numbers in each head's keys; its values have twice as many
    stem_stride: 16, or 8 for maps of twice the size
    maps:        1 x 1 convolutions on maps in place of linear layers on tokens: the same numbers
    distilled:   a second classifier, which learns from a teacher; the answer is the mean of both
    drop_rate, drop_path_rate: dropout in front of the classifier, of whole branches

    `forward_features` gives tokens [B, N, C], or a map [B, C, h, w] with `maps`; stages are maps.
    """

    fixed_image_size = True
    feature_names = "model."

    def __init__(
        self,
        img_size: int | tuple[int, int] = 224,
        *,
        embed_dim: Sequence[int] = (128, 256, 384),
        depth: Sequence[int] = (2, 3, 4),
        num_heads: Sequence[int] = (4, 6, 8),
        key_dim: int = 16,
        stem_stride: int = 16,
        act: str = "hard_swish",
        maps: bool = False,
        distilled: bool = False,
        num_classes: int = 1000,
        in_chans: int = 3,
        global_pool: str = "avg",
        drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
    ):
        super().__init__()
        if not len(embed_dim) == len(depth) == len(num_heads):
            raise ValueError(f"embed_dim {embed_dim}, depth {depth} and num_heads {num_heads} must "
                             "have one entry for each stage.")
        self.img_size, self.maps, self.distilled = to_pair(img_size), maps, distilled
        self.in_chans, self.num_features, self.drop_rate = in_chans, embed_dim[-1], drop_rate
        #: Whether training gives both answers, for a loss with a teacher; see
        #: `set_distilled_training`.
        self.distilled_training = False
        self.stem = make_stem(in_chans, embed_dim[0], stride=stem_stride, act=act)

        size: Size = tuple(-(-side // stem_stride) for side in self.img_size)
        options = dict(maps=maps, act=act, drop_path=drop_path_rate)
        stages, table, before, reduction = [], [], embed_dim[0], stem_stride
        for i, (dim, blocks, heads) in enumerate(zip(embed_dim, depth, num_heads)):
            downsample: nn.Module = nn.Identity()
            if i:
                downsample = LevitDownsample(before, dim, key_dim, size=size, **options)
                size, reduction = tuple(-(-side // 2) for side in size), 2 * reduction
            stages.append(LevitStage(downsample, [
                LevitBlock(dim, heads, key_dim, size=size, **options) for _ in range(blocks)]))
            table.append((Stage(f"stages.{i}", f"stages.{i}", dim, reduction), size))
            before = dim
        # the name in checkpoints; the contract's stages are in `stage_table`
        self.stages = nn.Sequential(*stages)
        self.stage_table = tuple(stage for stage, _ in table)
        self.sizes = tuple(size for _, size in table)
        self.init_weights()
        self.reset_classifier(num_classes, global_pool)

    def init_weights(self) -> None:
        """PyTorch's own; the branches beside a shortcut start as nothing."""
        for module in self.modules():
            if isinstance(module, LevitMlp):
                nn.init.zeros_(module.ln2.bn.weight)
            elif isinstance(module, Attention):
                nn.init.zeros_(module.proj.ln.bn.weight)

    def set_distilled_training(self, enable: bool = True) -> None:
        """While training, give the two answers (logits, distillation logits) instead of their mean.

        One learns from the labels, the other from a teacher. Evaluation gives the mean in any case.
        """
        if enable and not self.distilled:
            raise ValueError("This model has no second classifier: create one such as levit_128s.")
        self.distilled_training = enable

    def forward_stages(self, x: Tensor) -> Generator[Tensor, None, Tensor]:
        if tuple(x.shape[-2:]) != self.img_size:
            height, width = x.shape[-2:]
            raise ValueError(
                f"This model reads photos of {self.img_size[0]} x {self.img_size[1]} pixels; "
                f"got {height} x {width}. Resize the photo, or create the model with "
                f"img_size=({height}, {width})."
            )
        x = self.stem(x)  # [B, C, H/16, W/16]
        if not self.maps:
            x = x.flatten(2).transpose(1, 2)  # [B, N, C]
        for stage, size in zip(self.stages, self.sizes):
            x = stage(x)
            # stages.0 [B, C, H/16, W/16] ...
            yield x if self.maps else x.transpose(1, 2).unflatten(2, size)
        return x

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor | tuple[Tensor, Tensor]:
        if self.global_pool == "avg":
            x = x.mean(dim=(-2, -1) if self.maps else 1)
        if pre_logits:
            return x
        if self.distilled and self.training and self.distilled_training:
            return self.head(x), self.head_dist(x)
        return self.forward_classifier(x)

    def forward_classifier(self, pre_logits: Tensor) -> Tensor:
        logits = self.head(pre_logits)
        return (logits + self.head_dist(pre_logits)) / 2 if self.distilled else logits

    def get_classifier(self) -> nn.Module:
        """The last layer; both classifiers, as a ModuleList, where there are two."""
        return nn.ModuleList((self.head, self.head_dist)) if self.distilled else self.head

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        pool = self.global_pool if global_pool is None else global_pool
        if pool not in ("avg", ""):
            raise ValueError(f'global_pool is {pool!r}: LeViT has "avg", '
                             'and "" (none) without a classifier.')
        if num_classes and not pool:
            raise ValueError('A linear classifier needs pooled features: '
                             'use num_classes=0 with global_pool="".')
        self.num_classes, self.global_pool = num_classes, pool
        for name in ("head", "head_dist") if self.distilled else ("head",):
            head: nn.Module = nn.Identity()
            if num_classes:
                head = NormLinear(self.num_features, num_classes, self.drop_rate)
            setattr(self, name, head.to(**parameter_place(self)).train(self.training))

    def adapt_state_dict(self, state: dict[str, Tensor], report: Any) -> dict[str, Tensor]:
        """Linear layers as 1 x 1 convolutions and the other way round; no norm of a classifier that
        is not there.
        """
        own = self.state_dict()
        adapted = {}
        for key, value in state.items():
            if (key.endswith("attention_bias_idxs") or key.startswith("head")
                and isinstance(self.head, nn.Identity)):
                continue
            if key in own and value.shape != own[key].shape and {value.ndim,
                                                                 own[key].ndim} == {2, 4} \
                    and value.numel() == own[key].numel():
                value = value.reshape(own[key].shape)
            adapted[key] = value
        return adapted


MODEL = LeViT


# --- variants -------------------------------------------------------------------------------------

_TAUGHT = dict(depth=(4, 4, 4), key_dim=32, distilled=True)
_384 = dict(_TAUGHT, embed_dim=(384, 512, 768), num_heads=(6, 9, 12))
_512 = dict(key_dim=64, act="silu", depth=(4, 4, 4))
_256D = dict(key_dim=32, act="silu", depth=(4, 8, 6))
_ON_TOKENS: dict[str, dict[str, Any]] = {
    "levit_128s": dict(distilled=True),
    "levit_128": dict(depth=(4, 4, 4), num_heads=(4, 8, 12), distilled=True),
    "levit_192": dict(_TAUGHT, embed_dim=(192, 288, 384), num_heads=(3, 5, 6)),
    "levit_256": dict(_TAUGHT, embed_dim=(256, 384, 512), num_heads=(4, 6, 8)),
    "levit_384": dict(_384),
    "levit_384_s8": dict(_384, stem_stride=8, act="silu"),
    "levit_512_s8": dict(_512, embed_dim=(512, 640, 896), num_heads=(8, 10, 14), stem_stride=8),
    "levit_512": dict(_512, embed_dim=(512, 768, 1024), num_heads=(8, 12, 16)),
    "levit_256d": dict(_256D, embed_dim=(256, 384, 512), num_heads=(4, 6, 8)),
    "levit_512d": dict(_256D | dict(key_dim=64), embed_dim=(512, 640, 768), num_heads=(8, 10, 12)),
}

VARIANTS: dict[str, dict[str, Any]] = {
    **_ON_TOKENS,
    **{name.replace("levit_", "levit_conv_"): dict(row, maps=True)
       for name, row in _ON_TOKENS.items()},
}
