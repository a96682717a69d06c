"""Augmentation: the ways a photo may be varied and still show the same, from torchvision's v2 transforms.

    views = preview(photo, "standard", config)      # eight variants of one photo, to look at
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms import v2

from explorer.data.bands import BandsToTensor
from explorer.data.transforms import create_transform

AUGMENTATIONS: dict[str, str] = {
    "none": "as the photo will be seen later: resized, and cropped in the middle",
    "light": "a crop of 70 to 100 % of the photo, mirrored or not",
    "standard": "a crop of 35 to 100 %, mirrored or not, brightness, contrast and colours a little different",
    "strong": "one of many changes at any strength (TrivialAugment), and a patch erased now and then",
    "cifar": "shifted by up to an eighth, mirrored or not: for photos of a few dozen pixels",
}

Augmentation = str | Callable[[Image.Image], Any]


def create_augmentation(augment: Augmentation, config: Mapping[str, Any]) -> Callable[[Image.Image], Tensor]:
    """PIL image -> [C, H, W] float32, normalised as `config` (see `explorer.data.resolve_data_config`) says.

    augment: a name in AUGMENTATIONS, or any function of a PIL image that gives a PIL image; explorer then
             resizes and normalises. Randomness comes from torch's global generator. Raises ValueError for an
             unknown name.
    """
    evaluation = create_transform(**config)
    if callable(augment):
        return v2.Compose([augment, evaluation])
    if augment not in AUGMENTATIONS:
        raise ValueError(f"Unknown augmentation {augment!r}. Known: {', '.join(AUGMENTATIONS)}, or a "
                         "function of a PIL image.")
    if augment == "none":
        return evaluation
    channels, *size = config["input_size"]
    mode = v2.InterpolationMode(config["interpolation"])
    mirror, normalise = v2.RandomHorizontalFlip(), v2.Normalize(config["mean"], config["std"])
    steps: list[Any] = {
        "light": [v2.RandomResizedCrop(size, (0.7, 1.0), interpolation=mode, antialias=True), mirror],
        "standard": [v2.RandomResizedCrop(size, (0.35, 1.0), interpolation=mode, antialias=True), mirror,
                     v2.ColorJitter(0.3, 0.3, 0.3)],
        "strong": [v2.RandomResizedCrop(size, (0.25, 1.0), interpolation=mode, antialias=True), mirror,
                   v2.TrivialAugmentWide()],
        "cifar": [v2.Resize(size, mode, antialias=True),
                  v2.RandomCrop(size, [side // 8 for side in size[::-1]]), mirror],
    }[augment]
    if channels not in (1, 3):
        if augment not in ("light", "cifar"):
            raise ValueError(f"augment={augment!r} changes colours, and this model reads {channels} "
                             "channels: take 'light', 'cifar' or 'none'.")
        return v2.Compose([BandsToTensor(channels), v2.ToImage(), *steps, normalise, v2.ToPureTensor()])
    grey = [v2.Grayscale(1)] if channels == 1 else []
    steps = [*grey, *steps, v2.ToImage(), v2.ToDtype(torch.float32, scale=True), normalise]
    if augment == "strong":
        steps.append(v2.RandomErasing(0.25))
    return v2.Compose([*steps, v2.ToPureTensor()])


def preview(photo: Image.Image, augment: Augmentation, config: Mapping[str, Any], *, count: int = 8,
            seed: int = 0) -> list[Image.Image]:
    """`count` variants of a photo as pictures, drawn by `seed`; torch's own randomness is left as it was."""
    plain = {**config, "mean": (0.0,) * config["input_size"][0], "std": (1.0,) * config["input_size"][0]}
    transform = create_augmentation(augment, plain)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return [v2.functional.to_pil_image(transform(photo).clamp(0, 1)) for _ in range(count)]
