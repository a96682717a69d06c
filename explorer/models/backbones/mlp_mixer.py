"""MLP-Mixer: a photo without convolution and without attention.

The photo is cut into patches, and two small networks take turns: one mixes the patches, channel by
channel, with the same learnt weights for every photo; the other mixes the channels, patch by patch.
That so plain a network comes close to a vision transformer showed how much of the transformer's
success is its shape (patches, residual blocks, norms). ResMLP mixes patches with a single linear
layer; gMLP lets one half of the channels open and close the other.

Tolstikhin et al., "MLP-Mixer: An all-MLP Architecture for Vision", 2021,
https://arxiv.org/abs/2105.01601; Touvron et al., "ResMLP", 2021, https://arxiv.org/abs/2105.03404;
Liu et al., "Pay Attention to MLPs", 2021, https://arxiv.org/abs/2105.08050. Parameter names are
timm's.
"""

from __future__ import annotations

from collections.abc import Generator
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from explorer.models.contract import Stage, VisionModel, parameter_place
from explorer.models.layers.activations import create_act
from explorer.models.layers.drop import DropPath
from explorer.models.layers.transformer import Mlp, PatchEmbed

POOLS = ("avg", "")
Norm = partial(nn.LayerNorm, eps=1e-6)


def path(rate: float) -> nn.Module:
    return DropPath(rate) if rate else nn.Identity()


# --- small networks -------------------------------------------------------------------------------


class GluMlp(nn.Module):
    """An MLP whose second half opens and closes the first: [..., in] -> [..., in];
    `hidden_features` counts both.
    """

    def __init__(self, in_features: int, hidden_features: int, *, act_layer: Any = nn.SiLU,
                 drop: float = 0.0):
        super().__init__()
        self.fc1 = nn.Linear(in_features, hidden_features)
        self.act = create_act(act_layer)
        self.drop1 = nn.Dropout(drop)
        self.fc2 = nn.Linear(hidden_features // 2, in_features)
        self.drop2 = nn.Dropout(drop)

    def forward(self, x: Tensor) -> Tensor:
        values, gate = self.fc1(x).chunk(2, dim=-1)
        return self.drop2(self.fc2(self.drop1(values * self.act(gate))))


class SpatialGatingUnit(nn.Module):
    """Half of the channels, mixed over all patches, opens and closes the others: [B, N, C]
    -> [B, N, C / 2].
    """

    def __init__(self, dim: int, num_patches: int):
        super().__init__()
        self.norm = nn.LayerNorm(dim // 2)
        self.proj = nn.Linear(num_patches, num_patches)

    def forward(self, x: Tensor) -> Tensor:
        values, gate = x.chunk(2, dim=-1)
        gate = self.proj(self.norm(gate).transpose(-1, -2)).transpose(-1, -2)
        return values * gate


class GatedMlp(nn.Module):
    """An MLP with a gate over the patches in its middle: [B, N, C] -> [B, N, C]."""

    def __init__(self, dim: int, hidden_features: int, num_patches: int, *, drop: float = 0.0):
        super().__init__()
        self.fc1 = nn.Linear(dim, hidden_features)
        self.act = nn.GELU()
        self.drop1 = nn.Dropout(drop)
        self.gate = SpatialGatingUnit(hidden_features, num_patches)
        self.fc2 = nn.Linear(hidden_features // 2, dim)
        self.drop2 = nn.Dropout(drop)

    def forward(self, x: Tensor) -> Tensor:
        x = self.gate(self.drop1(self.act(self.fc1(x))))
        return self.drop2(self.fc2(x))


class Affine(nn.Module):
    """A factor and a summand for each channel, in place of a norm: [B, N, C] -> [B, N, C]."""

    def __init__(self, dim: int):
        super().__init__()
        self.alpha = nn.Parameter(torch.ones(1, 1, dim))
        self.beta = nn.Parameter(torch.zeros(1, 1, dim))

    def forward(self, x: Tensor) -> Tensor:
        return torch.addcmul(self.beta, self.alpha, x)


# --- blocks ---------------------------------------------------------------------------------------


class MixerBlock(nn.Module):
    """Mix the patches, then the channels, each a correction added to its input: [B, N, C]
    -> [B, N, C].

    mlp_ratio: how wide the middle of each MLP is, as a multiple of C.
    """

    norm_layer = Norm

    def __init__(self, dim: int, num_patches: int, *, mlp_ratio: tuple[float, float],
                 mlp_layer: Any = Mlp, drop: float = 0.0, drop_path: float = 0.0):
        super().__init__()
        tokens, channels = (int(ratio * dim) for ratio in mlp_ratio)
        self.norm1 = Norm(dim)
        self.mlp_tokens = mlp_layer(num_patches, tokens, drop=drop)
        self.drop_path = path(drop_path)
        self.norm2 = Norm(dim)
        self.mlp_channels = mlp_layer(dim, channels, drop=drop)

    def forward(self, x: Tensor) -> Tensor:
        # over N, for each channel
        mixed = self.mlp_tokens(self.norm1(x).transpose(1, 2)).transpose(1, 2)
        x = x + self.drop_path(mixed)
        return x + self.drop_path(self.mlp_channels(self.norm2(x)))


class ResBlock(nn.Module):
    """ResMLP's block: one linear layer over the patches, then an MLP over the channels: [B, N, C]
    -> [B, N, C].

    init_values: start of the learnt factors on both branches; the deeper the network, the smaller.
    """

    norm_layer = Affine

    def __init__(self, dim: int, num_patches: int, *, mlp_ratio: float = 4.0,
                 init_values: float = 1e-4, drop: float = 0.0, drop_path: float = 0.0):
        super().__init__()
        self.norm1 = Affine(dim)
        self.linear_tokens = nn.Linear(num_patches, num_patches)
        self.drop_path = path(drop_path)
        self.norm2 = Affine(dim)
        self.mlp_channels = Mlp(dim, int(mlp_ratio * dim), drop=drop)
        self.ls1 = nn.Parameter(torch.full((dim,), float(init_values)))
        self.ls2 = nn.Parameter(torch.full((dim,), float(init_values)))

    def forward(self, x: Tensor) -> Tensor:
        mixed = self.linear_tokens(self.norm1(x).transpose(1, 2)).transpose(1, 2)
        x = x + self.drop_path(self.ls1 * mixed)
        return x + self.drop_path(self.ls2 * self.mlp_channels(self.norm2(x)))


class SpatialGatingBlock(nn.Module):
    """gMLP's block: a single MLP whose gate sees all patches: [B, N, C] -> [B, N, C]."""

    norm_layer = Norm

    def __init__(self, dim: int, num_patches: int, *, mlp_ratio: float = 6.0, drop: float = 0.0,
                 drop_path: float = 0.0):
        super().__init__()
        self.norm = Norm(dim)
        self.mlp_channels = GatedMlp(dim, int(mlp_ratio * dim), num_patches, drop=drop)
        self.drop_path = path(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.drop_path(self.mlp_channels(self.norm(x)))


# --- the model ------------------------------------------------------------------------------------


class MlpMixer(VisionModel):
    """Photo [B, in_chans, H, W] -> logits [B, num_classes].

    img_size:   side of the photo in pixels, or (height, width); the layers over the patches are
                built for that size
    patch_size: side of a patch in pixels;  embed_dim: numbers in a patch;  num_blocks: how many
                blocks
    block:      MixerBlock, ResBlock or SpatialGatingBlock, with `block_options`
    global_pool: "avg", or "" for logits of each patch
    drop_rate, proj_drop_rate, drop_path_rate: dropout in front of the classifier, in the branches,
                of whole branches, the same in every block
    """

    classifier_path = "head"
    pyramid = False
    fixed_image_size = True
    feature_names = "model."

    def __init__(
        self,
        img_size: int | tuple[int, int] = 224,
        patch_size: int = 16,
        *,
        in_chans: int = 3,
        num_classes: int = 1000,
        global_pool: str = "avg",
        embed_dim: int = 512,
        num_blocks: int = 8,
        block: Any = MixerBlock,
        block_options: dict[str, Any] | None = None,
        drop_rate: float = 0.0,
        proj_drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
    ):
        super().__init__()
        self.num_classes, self.in_chans = num_classes, in_chans
        self.num_features = self.embed_dim = embed_dim
        self.global_pool = _check_pool(global_pool)
        self.stem = PatchEmbed(img_size, patch_size, in_chans=in_chans, embed_dim=embed_dim)
        if block_options is None:
            block_options = {"mlp_ratio": (0.5, 4.0)} if block is MixerBlock else {}
        self.blocks = nn.Sequential(*(
            block(embed_dim, self.stem.num_patches, **block_options, drop=proj_drop_rate,
                  drop_path=drop_path_rate)
            for _ in range(num_blocks)
        ))
        self.norm = block.norm_layer(embed_dim)
        self.head_drop = nn.Dropout(drop_rate)
        self.head = self._new_head()
        self.stages = tuple(Stage(f"block{i}", f"blocks.{i}", embed_dim, patch_size)
                            for i in range(num_blocks))
        self.init_weights()

    def _new_head(self) -> nn.Module:
        """It starts at zero, as in the paper: a fresh network gives each class the same chance."""
        if self.num_classes < 0:
            raise ValueError(f"num_classes is {self.num_classes}: give 0 (no classifier) or more.")
        if not self.num_classes:
            return nn.Identity()
        head = nn.Linear(self.embed_dim, self.num_classes, **parameter_place(self))
        nn.init.zeros_(head.weight)
        nn.init.zeros_(head.bias)
        return head

    def init_weights(self) -> None:
        """Glorot's weights for the layers; all gates start open."""
        for name, module in self.named_modules():
            if isinstance(module, nn.Linear) and name != "head":
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)
        for module in self.modules():
            if isinstance(module, GluMlp):
                with torch.no_grad():
                    gate = module.fc1.weight.shape[0] // 2
                    module.fc1.weight[gate:].normal_(std=1e-6)
                    module.fc1.bias[gate:].fill_(1)
            elif isinstance(module, SpatialGatingUnit):
                nn.init.normal_(module.proj.weight, std=1e-6)
                nn.init.ones_(module.proj.bias)
        patches = self.stem.proj
        nn.init.trunc_normal_(patches.weight, std=patches.weight[0].numel() ** -0.5)
        nn.init.zeros_(patches.bias)

    def forward_stages(self, x: Tensor) -> Generator[Tensor, None, Tensor]:
        x = self.stem(x)  # [B, N, C]
        for block in self.blocks:
            x = block(x)
            yield x.transpose(1, 2).unflatten(2, self.stem.grid_size)  # block0 ... [B, C, H/p, W/p]
        return self.norm(x)  # [B, N, C]

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        if self.global_pool:
            x = x.mean(dim=1)  # [B, C]
        x = self.head_drop(x)
        return x if pre_logits else self.head(x)

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        if global_pool is not None:
            self.global_pool = _check_pool(global_pool)
        self.num_classes = num_classes
        self.head = self._new_head()

    def adapt_state_dict(self, state: dict[str, Tensor], report: Any) -> dict[str, Tensor]:
        """Weights as they are; raises ValueError where they mix another number of patches."""
        for ends in ("mlp_tokens.fc2.weight", "linear_tokens.weight", "gate.proj.weight"):
            trained = {len(value) for key, value in state.items() if key.endswith(ends)}
            if trained - {self.stem.num_patches}:
                raise ValueError(
                    f"they mix {max(trained)} patches, this model {self.stem.num_patches}, "
                    "and nobody can know how. Leave img_size and patch_size at those of the "
                    "weights."
                )
        return state


def _check_pool(global_pool: str) -> str:
    if global_pool not in POOLS:
        raise ValueError(f"Unknown pooling {global_pool!r}. "
                         f"Use one of {', '.join(map(repr, POOLS))}.")
    return global_pool


MODEL = MlpMixer


# --- variants -------------------------------------------------------------------------------------

_SMALL = dict(embed_dim=512, num_blocks=8)
_BASE = dict(embed_dim=768, num_blocks=12)
_LARGE = dict(embed_dim=1024, num_blocks=24)
_GLU = dict(embed_dim=384, block_options=dict(mlp_ratio=(1.0, 4.0), mlp_layer=GluMlp))


def _res(depth: int, init_values: float, **more: Any) -> dict[str, Any]:
    options = dict(init_values=init_values)
    return {"embed_dim": 384, "num_blocks": depth, "block": ResBlock, "block_options": options,
            **more}


VARIANTS: dict[str, dict[str, Any]] = {
    "mixer_s32_224": dict(_SMALL, patch_size=32),
    "mixer_s16_224": dict(_SMALL),
    "mixer_b32_224": dict(_BASE, patch_size=32),
    "mixer_b16_224": dict(_BASE),
    "mixer_l32_224": dict(_LARGE, patch_size=32),
    "mixer_l16_224": dict(_LARGE),
    "gmixer_12_224": dict(_GLU, num_blocks=12),
    "gmixer_24_224": dict(_GLU, num_blocks=24),

    "resmlp_12_224": _res(12, 1e-4),
    "resmlp_24_224": _res(24, 1e-5),
    "resmlp_36_224": _res(36, 1e-6),
    "resmlp_big_24_224": _res(24, 1e-6, embed_dim=768, patch_size=8),

    "gmlp_ti16_224": dict(embed_dim=128, num_blocks=30, block=SpatialGatingBlock),
    "gmlp_s16_224": dict(embed_dim=256, num_blocks=30, block=SpatialGatingBlock),
    "gmlp_b16_224": dict(embed_dim=512, num_blocks=30, block=SpatialGatingBlock),
}


# --- names in other people's files ----------------------------------------------------------------


def _from_facebook(state: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    """The names in ResMLP's own files."""
    pairs = (("patch_embed.", "stem."), (".attn.", ".linear_tokens."), (".mlp.", ".mlp_channels."),
             (".gamma_", ".ls"))
    mapped = {}
    for key, value in state.items():
        for theirs, ours in pairs:
            key = key.replace(theirs, ours)
        mapped[key] = value.reshape(1, 1, -1) if key.endswith((".alpha", ".beta")) else value
    return mapped


KEY_MAPS = {"facebook": _from_facebook}
