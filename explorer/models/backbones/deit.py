"""DeiT: a vision transformer that learns from ImageNet alone.

The first vision transformer needed 300 million photos. DeiT keeps the network and changes how it is
taught: strong augmentation, and a convolutional network as its teacher. A second extra token, the
distillation token, learns to say what the teacher says, while the class token learns the label; a
photo's prediction is the mean of both answers. DeiT III drops the teacher again: simpler
augmentation and LayerScale are enough.

Touvron et al., "Training data-efficient image transformers & distillation through attention", 2020,
https://arxiv.org/abs/2012.12877, and "DeiT III: Revenge of the ViT", 2022,
https://arxiv.org/abs/2204.07118. Parameter names are timm's.
The network is `VisionTransformer`, of the same family, with one more token.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from explorer.models.backbones.vit import VisionTransformer
from explorer.models.layers.init import init_linear
from explorer.models.tokens import TwoTokens


class DeiT(TwoTokens, VisionTransformer):
    """Photo [B, in_chans, H, W] -> logits [B, num_classes].

    distilled: a distillation token behind the class token, with a classifier of its own
               (`head_dist`)

    All other options are `VisionTransformer`'s.
    """

    extra_tokens = ("cls_token", "dist_token", "reg_token")

    def __init__(self, *args: Any, distilled: bool = False, **options: Any):
        self.distilled = distilled
        #: Whether training gives both answers, for a loss with a teacher; see
        #: `set_distilled_training`.
        self.distilled_training = False
        super().__init__(*args, **options)
        self.dist_token = None
        if distilled:
            positions = self.pos_embed.shape[1] + (not self.no_embed_class)
            self.pos_embed = nn.Parameter(torch.zeros(1, positions, self.embed_dim))
            self.dist_token = nn.Parameter(torch.zeros(1, 1, self.embed_dim))
            self.num_prefix_tokens += 1
            self.num_prefix_positions += not self.no_embed_class
            self.head_dist = self._new_head()
            self.init_weights()

    def _check_pool(self, global_pool: str) -> str:
        if self.distilled and global_pool != "token":
            raise ValueError(
                f'global_pool is {global_pool!r}, '
                'but a distilled model reads its class and distillation tokens: '
                'leave it at "token".'
            )
        return super()._check_pool(global_pool)

    def init_weights(self) -> None:
        super().init_weights()
        if getattr(self, "dist_token", None) is not None:
            nn.init.trunc_normal_(self.dist_token, std=0.02)

    def set_distilled_training(self, enable: bool = True) -> None:
        """While training, give the two answers (logits, distillation logits) instead of their mean.

        One learns from the labels, the other from a teacher. Evaluation gives the mean in any case.
        """
        if enable and not self.distilled:
            raise ValueError(
                "This model has no distillation token: create one such as "
                "deit_tiny_distilled_patch16_224."
            )
        self.distilled_training = enable

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        super().reset_classifier(num_classes, global_pool)
        if self.distilled:
            self.head_dist = self._new_head()
            if num_classes:
                init_linear(self.head_dist)


MODEL = DeiT


# --- variants -------------------------------------------------------------------------------------

_TINY = dict(embed_dim=192, num_heads=3)
_SMALL = dict(embed_dim=384, num_heads=6)
_MEDIUM = dict(embed_dim=512, num_heads=8)
_BASE = dict(embed_dim=768, num_heads=12)
_LARGE = dict(embed_dim=1024, depth=24, num_heads=16)
_HUGE = dict(embed_dim=1280, depth=32, num_heads=16, patch_size=14)
_THREE = dict(no_embed_class=True, init_values=1e-6)

VARIANTS: dict[str, dict[str, Any]] = {
    "deit_tiny_patch16_224": dict(_TINY),
    "deit_small_patch16_224": dict(_SMALL),
    "deit_base_patch16_224": dict(_BASE),
    "deit_base_patch16_384": dict(_BASE, img_size=384),

    "deit_tiny_distilled_patch16_224": dict(_TINY, distilled=True),
    "deit_small_distilled_patch16_224": dict(_SMALL, distilled=True),
    "deit_base_distilled_patch16_224": dict(_BASE, distilled=True),
    "deit_base_distilled_patch16_384": dict(_BASE, img_size=384, distilled=True),

    "deit3_small_patch16_224": dict(_SMALL, **_THREE),
    "deit3_small_patch16_384": dict(_SMALL, **_THREE, img_size=384),
    "deit3_medium_patch16_224": dict(_MEDIUM, **_THREE),
    "deit3_base_patch16_224": dict(_BASE, **_THREE),
    "deit3_base_patch16_384": dict(_BASE, **_THREE, img_size=384),
    "deit3_large_patch16_224": dict(_LARGE, **_THREE),
    "deit3_large_patch16_384": dict(_LARGE, **_THREE, img_size=384),
    "deit3_huge_patch14_224": dict(_HUGE, **_THREE),
}


# --- names in other people's files ----------------------------------------------------------------


def _from_facebook(state: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    """The names in DeiT III's own files; the first DeiT's are ours."""
    return {key.replace(".gamma_1", ".ls1.gamma").replace(".gamma_2", ".ls2.gamma"): value
            for key, value in state.items()}


KEY_MAPS = {"facebook": _from_facebook}
