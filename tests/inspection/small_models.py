"""Small networks for the tests of heat maps, and one whose evidence is known."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image
from torch import nn

from explorer.models import ModelConfig, Stage, VisionModel
from tests.models.samples import small


def tiny(module: str, **options) -> VisionModel:
    """A network of that family file with random weights, for small photos: the look's photo has its size."""
    model, photos = small(module, **options)
    grey = {"mean": (0.5,), "std": (0.5,)} if model.in_chans == 1 else {}
    model.config = model.config.with_(input_size=tuple(photos.shape[1:]), **grey)
    return model.eval()


def noise_photo(width: int = 96, height: int = 80, seed: int = 0) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 255, (height, width, 3), dtype=np.uint8))


class RedNet(VisionModel):
    """Class 1 is "how much red": its evidence is known. Works in place wherever it can.

    Its map has two channels, how much redder or bluer than grey by more than 0.9, each the mean over 8 x 8
    pixels.
    """

    def __init__(self, crop_mode: str = "center", crop_pct: float = 1.0):
        super().__init__()
        self.stages = (Stage("colour", "act", 2, 1), Stage("squares", "pool", 2, 8))
        self.num_classes, self.num_features, self.in_chans = 2, 2, 3
        self.conv, self.act, self.pool = nn.Conv2d(3, 2, 1), nn.ReLU(inplace=True), nn.AvgPool2d(8)
        self.fc = nn.Linear(2, 2)
        with torch.no_grad():  # pixels come as they are, 0..1: grey ones give nothing
            self.conv.weight.copy_(torch.tensor([[2.0, -1, -1], [-1, -1, 2]])[:, :, None, None])
            self.conv.bias.fill_(-0.9)
            self.fc.weight.copy_(torch.tensor([[0.0, 3], [3, 0]]))
            self.fc.bias.zero_()
        self.config = ModelConfig(
            architecture="red_net",
            input_size=(3, 64, 64),
            mean=(0, 0, 0),
            std=(1, 1, 1),
            crop_pct=crop_pct,
            crop_mode=crop_mode,
            labels=("blue", "red"),
        )

    def forward_stages(self, x):
        x = self.act(self.conv(x))
        yield x  # [B, 2, H, W]
        x = self.pool(x)
        yield x  # [B, 2, H/8, W/8]
        return x

    def forward_head(self, x, pre_logits=False):
        x = x.mean((2, 3))
        return x if pre_logits else self.fc(x)

    def get_classifier(self):
        return self.fc


def told(outputs: str, labels: tuple[str, ...], **scale) -> VisionModel:
    """`RedNet` with the first len(labels) of the scores (red, blue, red - blue), and with what they mean.

    Of a yes or no the score is how much red there is, and half of what a photo of one colour has is neither
    yes nor no.
    """
    model = RedNet()
    width = 1 if outputs == "yes/no" else len(labels)
    model.fc = nn.Linear(2, width)
    with torch.no_grad():
        model.fc.weight.copy_(torch.tensor([[3.0, 0], [0, 3], [3, -3]])[:width])
        model.fc.bias.fill_(-1.0 if outputs != "numbers" else 0.0)
    model.notice_head()
    model.config = model.config.with_(outputs=outputs, labels=labels, num_classes=width, **scale)
    return model.eval()


def red_and_blue(width: int = 64) -> Image.Image:
    """Grey, with a red square at the upper left and a blue one at the lower right."""
    picture = Image.new("RGB", (width, width), (90, 90, 90))
    picture.paste((250, 20, 20), (8, 8, 24, 24))
    picture.paste((20, 20, 250), (40, 40, 56, 56))
    return picture
