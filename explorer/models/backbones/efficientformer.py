"""EfficientFormer: which parts of a transformer are slow on a phone, and what is left without them.

The authors measure each operation on a phone. What costs time is not attention itself but big
patches, LayerNorm and changing between maps and tokens. So the network stays a map with pooling and
BatchNorm nearly to the end, turns into tokens once, and has a few blocks of real attention on the
last, smallest map.

Li et al., "EfficientFormer: Vision Transformers at MobileNet Speed", 2022,
https://arxiv.org/abs/2206.01191. Parameter names are timm's.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any

from torch import Tensor, nn

from explorer.models.contract import Stage, VisionModel, parameter_place
from explorer.models.layers.distance_attention import DistanceAttention
from explorer.models.layers.drop import DropPath, drop_path_rates
from explorer.models.layers.init import init_linear
from explorer.models.layers.pool import Pooling
from explorer.models.layers.transformer import LayerScale, LayerScale2d, Mlp, to_pair

LAYER_SCALE = 1e-5  # start of the learnt factors on the branches


class Stem(nn.Sequential):
    """Two convolutions, each of which halves the map: [B, in_chans, H, W] -> [B, dim, H/4, W/4]."""

    def __init__(self, in_chans: int, dim: int):
        super().__init__()
        for i, (before, after) in enumerate(((in_chans, dim // 2), (dim // 2, dim)), 1):
            self.add_module(f"conv{i}", nn.Conv2d(before, after, 3, stride=2, padding=1))
            self.add_module(f"norm{i}", nn.BatchNorm2d(after))
            self.add_module(f"act{i}", nn.ReLU())


class Downsample(nn.Module):
    """A strided convolution and BatchNorm: [B, C, H, W] -> [B, out, H/2, W/2]."""

    def __init__(self, dim: int, out: int):
        super().__init__()
        self.conv = nn.Conv2d(dim, out, 3, stride=2, padding=1)
        self.norm = nn.BatchNorm2d(out)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.conv(x))


class MapMlp(nn.Module):
    """Two layers at each place of a map, a BatchNorm behind each: [B, C, H, W] -> the same."""

    def __init__(self, dim: int, hidden: int):
        super().__init__()
        self.fc1 = nn.Conv2d(dim, hidden, 1)
        self.norm1 = nn.BatchNorm2d(hidden)
        self.act = nn.GELU()
        self.fc2 = nn.Conv2d(hidden, dim, 1)
        self.norm2 = nn.BatchNorm2d(dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm2(self.fc2(self.act(self.norm1(self.fc1(x)))))


class MapBlock(nn.Module):
    """The mean of the neighbours, then an MLP, each a correction added to its input: [B, C, H, W]
    -> the same.
    """

    def __init__(self, dim: int, *, drop_path: float):
        super().__init__()
        self.token_mixer = Pooling(dim)
        self.ls1 = LayerScale2d(dim, LAYER_SCALE)
        self.drop_path1 = DropPath(drop_path) if drop_path else nn.Identity()
        self.mlp = MapMlp(dim, 4 * dim)
        self.ls2 = LayerScale2d(dim, LAYER_SCALE)
        self.drop_path2 = DropPath(drop_path) if drop_path else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.drop_path1(self.ls1(self.token_mixer(x)))
        return x + self.drop_path2(self.ls2(self.mlp(x)))


class TokenAttention(DistanceAttention):
    """Every place asks all others, with LeViT's biases for distances: [B, N, C] -> [B, N, C]."""

    def __init__(self, dim: int, size: tuple[int, int]):
        super().__init__(num_heads=8, key_dim=32, value_dim=128, size=size)
        # checkpoints hold it
        self.register_buffer("attention_bias_idxs", self.attention_bias_idxs, persistent=True)
        self.qkv = nn.Linear(dim, self.num_heads * (2 * self.key_dim + self.value_dim))
        self.proj = nn.Linear(self.num_heads * self.value_dim, dim)

    def queries_keys_values(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return self.heads(self.qkv(x)).split((self.key_dim, self.key_dim, self.value_dim), dim=3)


class TokenBlock(nn.Module):
    """Attention, then an MLP, each behind a norm and added to its input: [B, N, C] -> [B, N, C]."""

    def __init__(self, dim: int, size: tuple[int, int], *, drop_path: float):
        super().__init__()
        self.norm1 = nn.LayerNorm(dim)
        self.token_mixer = TokenAttention(dim, size)
        self.ls1 = LayerScale(dim, LAYER_SCALE)
        self.drop_path1 = DropPath(drop_path) if drop_path else nn.Identity()
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = Mlp(dim, 4 * dim)
        self.ls2 = LayerScale(dim, LAYER_SCALE)
        self.drop_path2 = DropPath(drop_path) if drop_path else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.drop_path1(self.ls1(self.token_mixer(self.norm1(x))))
        return x + self.drop_path2(self.ls2(self.mlp(self.norm2(x))))


class Flat(nn.Module):
    """A map as tokens: [B, C, H, W] -> [B, N, C]."""

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(2).transpose(1, 2)


class EfficientFormerStage(nn.Module):
    """A smaller map, then blocks; in the last stage, the last `num_vit` of them work on tokens,
    which come out.
    """

    def __init__(self, downsample: nn.Module, blocks: Sequence[nn.Module]):
        super().__init__()
        self.downsample = downsample
        self.blocks = nn.Sequential(*blocks)

    def forward(self, x: Tensor) -> Tensor:
        return self.blocks(self.downsample(x))


class EfficientFormer(VisionModel):
    """Photo [B, in_chans, H, W] -> logits [B, num_classes], the mean of two classifiers.

    img_size:           side of the photo in pixels, or (height, width); the model is built for that
                        size
    depths, embed_dims: blocks and channels of the four stages
    num_vit:            how many of the last blocks have attention
    drop_rate, drop_path_rate: dropout in front of the classifiers, of whole branches

    `forward_features` gives tokens [B, N, C], as timm does; stages are maps.
    """

    fixed_image_size = True
    feature_names = "model."

    def __init__(
        self,
        img_size: int | tuple[int, int] = 224,
        *,
        depths: Sequence[int] = (3, 2, 6, 4),
        embed_dims: Sequence[int] = (48, 96, 224, 448),
        num_vit: int = 1,
        num_classes: int = 1000,
        in_chans: int = 3,
        global_pool: str = "avg",
        drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
    ):
        super().__init__()
        if not len(depths) == len(embed_dims) == 4:
            raise ValueError(f"depths {depths} and embed_dims {embed_dims} must have one entry for "
                             "each of four stages.")
        if not 1 <= num_vit <= depths[-1]:
            raise ValueError(f"num_vit is {num_vit}: of the last {depths[-1]} blocks, "
                             f"1 to {depths[-1]} have attention.")
        self.img_size = to_pair(img_size)
        self.in_chans, self.num_features = in_chans, embed_dims[-1]
        #: Whether training gives both answers, for a loss with a teacher; see
        #: `set_distilled_training`.
        self.distilled_training = False
        #: Rows and columns of the last map.
        self.last_size = tuple(-(-side // 32) for side in self.img_size)

        self.stem = Stem(in_chans, embed_dims[0])
        rates = drop_path_rates(drop_path_rate, tuple(depths))
        stages, table = [], []
        for i, dim in enumerate(embed_dims):
            downsample = Downsample(embed_dims[i - 1], dim) if i else nn.Identity()
            pooled = depths[i] - (num_vit if i == 3 else 0)
            blocks: list[nn.Module] = [MapBlock(dim, drop_path=rate) for rate in rates[i][:pooled]]
            if i == 3:
                blocks += [Flat(), *(TokenBlock(dim, self.last_size, drop_path=rate)
                                     for rate in rates[i][pooled:])]
            stages.append(EfficientFormerStage(downsample, blocks))
            table.append(Stage(f"stages.{i}", f"stages.{i}", dim, 4 * 2**i))
        # the name in checkpoints; the contract's stages are in `stage_table`
        self.stages = nn.Sequential(*stages)
        self.stage_table = table
        self.norm = nn.LayerNorm(embed_dims[-1])
        self.head_drop = nn.Dropout(drop_rate)
        self.init_weights()
        self.reset_classifier(num_classes, global_pool)

    def init_weights(self) -> None:
        """Small linear layers; convolutions as PyTorch has them."""
        for module in self.modules():
            init_linear(module)

    def set_distilled_training(self, enable: bool = True) -> None:
        """While training, give the two answers (logits, distillation logits) instead of their mean.

        One learns from the labels, the other from a teacher. Evaluation gives the mean in any case.
        """
        self.distilled_training = enable

    def forward_stages(self, x: Tensor) -> Generator[Tensor, None, Tensor]:
        if tuple(x.shape[-2:]) != self.img_size:
            height, width = x.shape[-2:]
            raise ValueError(
                f"This model reads photos of {self.img_size[0]} x {self.img_size[1]} pixels; "
                f"got {height} x {width}. Resize the photo, or create the model with "
                f"img_size=({height}, {width})."
            )
        x = self.stem(x)
        for stage in self.stages[:-1]:
            x = stage(x)
            yield x  # stages.0 [B, 48, H/4, W/4] ... stages.2 [B, 224, H/16, W/16]
        x = self.stages[-1](x)  # [B, N, C]
        yield x.transpose(1, 2).unflatten(2, self.last_size)  # stages.3 [B, 448, H/32, W/32]
        return self.norm(x)

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor | tuple[Tensor, Tensor]:
        if self.global_pool == "avg":
            x = x.mean(dim=1)
        x = self.head_drop(x)
        if pre_logits:
            return x
        if self.training and self.distilled_training:
            return self.head(x), self.head_dist(x)
        return self.forward_classifier(x)

    def forward_classifier(self, pre_logits: Tensor) -> Tensor:
        return (self.head(pre_logits) + self.head_dist(pre_logits)) / 2

    def get_classifier(self) -> nn.Module:
        """Both classifiers."""
        return nn.ModuleList((self.head, self.head_dist))

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        pool = self.global_pool if global_pool is None else global_pool
        if pool not in ("avg", ""):
            raise ValueError(f'global_pool is {pool!r}: EfficientFormer has "avg", '
                             'and "" (none) without a classifier.')
        if num_classes and not pool:
            raise ValueError('A linear classifier needs pooled features: '
                             'use num_classes=0 with global_pool="".')
        self.num_classes, self.global_pool = num_classes, pool
        for name in ("head", "head_dist"):
            head = (nn.Linear(self.num_features, num_classes, **parameter_place(self))
                    if num_classes else nn.Identity())
            setattr(self, name, head)
            init_linear(head)

    def adapt_state_dict(self, state: dict[str, Tensor], report: Any) -> dict[str, Tensor]:
        """The numbers of the distances follow from the size of the photo: this model's own,
        whatever a file holds.
        """
        return {**state, **{key: value for key, value in self.named_buffers()
                            if key.endswith("attention_bias_idxs")}}


MODEL = EfficientFormer


# --- variants -------------------------------------------------------------------------------------

VARIANTS: dict[str, dict[str, Any]] = {
    "efficientformer_l1": dict(),
    "efficientformer_l3": dict(depths=(4, 4, 12, 6), embed_dims=(64, 128, 320, 512), num_vit=4),
    "efficientformer_l7": dict(depths=(6, 6, 18, 8), embed_dims=(96, 192, 384, 768), num_vit=8),
}
