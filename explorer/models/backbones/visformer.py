"""Visformer: step by step from a transformer to a ResNet, keeping at each step what helps.

The authors turn one into the other in eight small changes and measure each with few and with many
training photos. What comes out on top has a transformer's attention on the small maps only,
convolutions with groups in place of attention on the large one, and BatchNorm throughout. It learns
from few photos as a ResNet does, and gets better with more as a transformer does.

Chen et al., "Visformer: The Vision-friendly Transformer", 2021, https://arxiv.org/abs/2104.12533.
Parameter names are timm's.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from explorer.models.contract import Stage, VisionModel
from explorer.models.layers.drop import DropPath, drop_path_rates
from explorer.models.layers.init import init_linear
from explorer.models.layers.pool import create_classifier
from explorer.models.layers.transformer import resample_abs_pos_embed, to_pair


class SpatialMlp(nn.Module):
    """Two layers at each place; with `groups`, a 3 x 3 convolution between looks around:
    [B, C, H, W] -> the same.
    """

    def __init__(self, dim: int, hidden: int, *, groups: int):
        super().__init__()
        self.conv1 = nn.Conv2d(dim, hidden, 1, bias=False)
        self.conv2 = (nn.Conv2d(hidden, hidden, 3, padding=1, groups=groups, bias=False) if groups
                      else None)
        self.conv3 = nn.Conv2d(hidden, dim, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = F.gelu(self.conv1(x))
        if self.conv2 is not None:
            x = F.gelu(self.conv2(x))
        return self.conv3(x)


class MapAttention(nn.Module):
    """Every place of a map looks at all others: [B, C, H, W] -> [B, C, H, W]."""

    def __init__(self, dim: int, num_heads: int):
        super().__init__()
        if dim % num_heads:
            raise ValueError(f"{dim} channels can't be shared by {num_heads} heads: "
                             f"use a divisor of {dim}.")
        self.num_heads, self.scale = num_heads, (dim // num_heads) ** -0.5
        self.qkv = nn.Conv2d(dim, 3 * dim, 1, bias=False)
        self.proj = nn.Conv2d(dim, dim, 1, bias=False)

    def queries_keys_values(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Three tensors [B, heads, N, C / heads] of a map [B, C, H, W] with N places."""
        # [B, 3, heads, C / heads, N]
        qkv = self.qkv(x).flatten(2).unflatten(1, (3, self.num_heads, -1))
        return qkv.permute(1, 0, 2, 4, 3).unbind(0)

    def attention_weights(self, x: Tensor) -> Tensor:
        """How much each place (row) takes from each other (column): [B, heads, N, N]; every row
        sums to 1.

        x: the map that `forward` gets.
        """
        query, key, _ = self.queries_keys_values(x)
        return (query * self.scale @ key.transpose(-2, -1)).softmax(dim=-1)

    def forward(self, x: Tensor) -> Tensor:
        # [B, heads, N, C / heads]
        mixed = F.scaled_dot_product_attention(*self.queries_keys_values(x))
        return self.proj(mixed.transpose(2, 3).flatten(1, 2).unflatten(2, x.shape[-2:]))


class Block(nn.Module):
    """Attention (where there is one), then an MLP, each a correction added to its input;
    [B, C, H, W] -> the same.
    """

    def __init__(self, dim: int, *, num_heads: int, hidden: int, groups: int, drop_path: float):
        """num_heads 0: no attention; groups 0: no convolution in the MLP."""
        super().__init__()
        self.drop_path = DropPath(drop_path) if drop_path else nn.Identity()
        self.norm1 = nn.BatchNorm2d(dim) if num_heads else None
        self.attn = MapAttention(dim, num_heads) if num_heads else None
        self.norm2 = nn.BatchNorm2d(dim)
        self.mlp = SpatialMlp(dim, hidden, groups=groups)

    def forward(self, x: Tensor) -> Tensor:
        if self.attn is not None:
            x = x + self.drop_path(self.attn(self.norm1(x)))
        return x + self.drop_path(self.mlp(self.norm2(x)))


class PatchEmbed(nn.Module):
    """Squares of `patch` x `patch` places become one: [B, in, H, W]
    -> [B, out, H / patch, W / patch].
    """

    def __init__(self, in_chans: int, out_chans: int, patch: int):
        super().__init__()
        self.proj = nn.Conv2d(in_chans, out_chans, patch, stride=patch)
        self.norm = nn.BatchNorm2d(out_chans)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.proj(x))


class Visformer(VisionModel):
    """Photo [B, in_chans, H, W] -> logits [B, num_classes].

    img_size:      side of the photo in pixels, or (height, width); the model is built for that size
    init_channels: of the first convolution;  embed_dim: of the middle stage, half of it before,
                   twice behind
    depth:         blocks of each of the three stages;  num_heads: of attention, in the last two
    group:         groups of the first stage's 3 x 3 convolutions
    drop_rate, drop_path_rate: dropout in front of the classifier, of whole branches
    """

    classifier_path = "head"
    fixed_image_size = True
    feature_names = "model."

    def __init__(
        self,
        img_size: int | tuple[int, int] = 224,
        *,
        init_channels: int = 32,
        embed_dim: int = 384,
        depth: Sequence[int] = (7, 4, 4),
        num_heads: int = 6,
        group: int = 8,
        num_classes: int = 1000,
        in_chans: int = 3,
        global_pool: str = "avg",
        drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
    ):
        super().__init__()
        if len(depth) != 3:
            raise ValueError(f"depth is {depth}: "
                             "give the number of blocks in each of three stages.")
        self.img_size = to_pair(img_size)
        if min(self.img_size) < 32:
            raise ValueError(f"img_size is {img_size}: the last map is a 32nd of the photo, "
                             "so give 32 or more.")
        self.num_classes, self.in_chans, self.drop_rate = num_classes, in_chans, drop_rate
        dims = (embed_dim // 2, embed_dim, 2 * embed_dim)
        self.num_features = dims[-1]
        rates = drop_path_rates(drop_path_rate, tuple(depth))

        height, width = ((side + 1) // 2 for side in self.img_size)  # the stem halves the photo
        patches = (4, 2, 2)
        for i, (dim, patch) in enumerate(zip(dims, patches), 1):
            height, width = height // patch, width // patch
            setattr(self, f"pos_embed{i}", nn.Parameter(torch.zeros(1, dim, height, width)))
        self.stem = nn.Sequential(
            nn.Conv2d(in_chans, init_channels, 7, stride=2, padding=3, bias=False),
            nn.BatchNorm2d(init_channels),
            nn.ReLU(inplace=True),
        )
        before, stages, reduction = init_channels, [], 2
        for i, (dim, patch) in enumerate(zip(dims, patches), 1):
            first = i == 1
            setattr(self, f"patch_embed{i}", PatchEmbed(before, dim, patch))
            setattr(self, f"stage{i}", nn.Sequential(*(
                Block(dim, num_heads=0 if first else num_heads, hidden=dim * (2 if first else 4),
                      groups=group if first else 0, drop_path=rate)
                for rate in rates[i - 1]
            )))
            before, reduction = dim, reduction * patch
            stages.append(Stage(f"stage{i}", f"stage{i}", dim, reduction))
        self.norm = nn.BatchNorm2d(dims[-1])
        self.global_pool, self.head = create_classifier(dims[-1], num_classes, global_pool)
        self.head_drop = nn.Dropout(drop_rate)
        self.stages = tuple(stages)
        self.init_weights()

    def init_weights(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        for position in (self.pos_embed1, self.pos_embed2, self.pos_embed3):
            nn.init.trunc_normal_(position, std=0.02)
        init_linear(self.head)

    def forward_stages(self, x: Tensor) -> Generator[Tensor, None, Tensor]:
        if tuple(x.shape[-2:]) != self.img_size:
            height, width = x.shape[-2:]
            raise ValueError(
                f"This model reads photos of {self.img_size[0]} x {self.img_size[1]} pixels; "
                f"got {height} x {width}. Resize the photo, or create the model with "
                f"img_size=({height}, {width})."
            )
        x = self.stem(x)                                            # [B, 32, H/2, W/2]
        x = self.stage1(self.patch_embed1(x) + self.pos_embed1)
        yield x                                                     # stage1 [B, C/2, H/8, W/8]
        x = self.stage2(self.patch_embed2(x) + self.pos_embed2)
        yield x                                                     # stage2 [B, C, H/16, W/16]
        x = self.stage3(self.patch_embed3(x) + self.pos_embed3)
        yield x                                                     # stage3 [B, 2C, H/32, W/32]
        return self.norm(x)

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        x = self.head_drop(self.global_pool(x))
        return x if pre_logits else self.head(x)

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        super().reset_classifier(num_classes, global_pool)
        init_linear(self.head)

    def adapt_state_dict(self, state: dict[str, Tensor], report: Any) -> dict[str, Tensor]:
        """Trained position embeddings, resized as pictures where this model reads photos of another
        size.
        """
        state = dict(state)
        for key in ("pos_embed1", "pos_embed2", "pos_embed3"):
            new = tuple(getattr(self, key).shape[-2:])
            if key in state and state[key].shape[-2:] != new:
                old = tuple(state[key].shape[-2:])
                tokens = state[key].flatten(2).transpose(1, 2)  # [1, C, h, w] -> [1, N, C]
                tokens = resample_abs_pos_embed(tokens, new, old_size=old, num_prefix_tokens=0)
                state[key] = tokens.transpose(1, 2).unflatten(2, new)
                report.adapted.append(f"{key}: from {old[0]} x {old[1]} places to {new[0]} x "
                                      f"{new[1]}")
        return state


MODEL = Visformer


# --- variants -------------------------------------------------------------------------------------

VARIANTS: dict[str, dict[str, Any]] = {
    "visformer_tiny": dict(init_channels=16, embed_dim=192, num_heads=3),
    "visformer_small": dict(),
}
