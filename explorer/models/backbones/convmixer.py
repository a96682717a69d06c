"""ConvMixer: the plan of a vision transformer, built of convolutions alone.

The photo is cut into patches, as for a vision transformer, and the map keeps that size to the end:
no attention, and no pyramid. Each block mixes places, by a large depthwise convolution beside a
shortcut, and then channels, by a 1 x 1 convolution. That is about as accurate as the transformers
of its time, so the paper concludes that much of their success comes from cutting the photo into
patches.

Trockman and Kolter, "Patches Are All You Need?", 2022, https://arxiv.org/abs/2201.09792. Parameter
names are timm's, which are those of the authors' own code.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from torch import Tensor, nn

from explorer.models.contract import Stage, VisionModel
from explorer.models.layers.activations import create_act
from explorer.models.layers.pool import create_classifier


class Residual(nn.Module):
    """fn(x) + x."""

    def __init__(self, fn: nn.Module):
        super().__init__()
        self.fn = fn

    def forward(self, x: Tensor) -> Tensor:
        return self.fn(x) + x


def mixer(dim: int, kernel_size: int, act_layer: str) -> nn.Sequential:
    """Look around, then mix channels: [B, dim, H, W] -> the same shape.

    The norm comes behind the activation.
    """
    return nn.Sequential(
        Residual(nn.Sequential(
            nn.Conv2d(dim, dim, kernel_size, groups=dim, padding="same"), create_act(act_layer),
            nn.BatchNorm2d(dim),
        )),
        nn.Conv2d(dim, dim, 1), create_act(act_layer), nn.BatchNorm2d(dim),
    )


class ConvMixer(VisionModel):
    """Photo [B, in_chans, H, W] -> logits [B, num_classes].

    dim: channels from the first layer to the last;  depth: blocks
    kernel_size: side of the depthwise filters;  patch_size: side of the patches in pixels
    """

    classifier_path = "head"
    pyramid = False  # every stage has the same size
    feature_names = "model."

    def __init__(
        self,
        *,
        dim: int = 768,
        depth: int = 32,
        kernel_size: int = 9,
        patch_size: int = 7,
        num_classes: int = 1000,
        in_chans: int = 3,
        global_pool: str = "avg",
        act_layer: str = "gelu",
        drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
    ):
        super().__init__()
        if drop_path_rate:
            raise ValueError("ConvMixer is built without stochastic depth: "
                             "leave drop_path_rate at 0.")
        self.num_classes, self.in_chans, self.num_features = num_classes, in_chans, dim
        self.stem = nn.Sequential(
            nn.Conv2d(in_chans, dim, patch_size, stride=patch_size), create_act(act_layer),
            nn.BatchNorm2d(dim),
        )
        self.blocks = nn.Sequential(*(mixer(dim, kernel_size, act_layer) for _ in range(depth)))
        self.stages = tuple(Stage(f"block{i + 1}", f"blocks.{i}", dim, patch_size)
                            for i in range(depth))
        self.head_drop = nn.Dropout(drop_rate)
        self.global_pool, self.head = create_classifier(dim, num_classes, global_pool)
        self.init_weights()

    def init_weights(self) -> None:
        """He initialisation for convolutions, small normal weights for the classifier."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                nn.init.zeros_(module.bias)
            elif isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=0.01)
                nn.init.zeros_(module.bias)

    def forward_stages(self, x: Tensor) -> Generator[Tensor, None, Tensor]:
        x = self.stem(x)  # [B, dim, H/p, W/p], and so to the end
        for block in self.blocks:
            x = block(x)
            yield x
        return x

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        x = self.head_drop(self.global_pool(x))  # [B, dim, h, w] -> [B, dim]
        return x if pre_logits else self.head(x)


MODEL = ConvMixer

VARIANTS: dict[str, dict[str, Any]] = {
    "convmixer_768_32": dict(dim=768, depth=32, kernel_size=7, patch_size=7, act_layer="relu"),
    "convmixer_1024_20_ks9_p14": dict(dim=1024, depth=20, kernel_size=9, patch_size=14),
    "convmixer_1536_20": dict(dim=1536, depth=20, kernel_size=9, patch_size=7),
}
