"""Pictures as tensors of pixels in 0..1, and back."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from explorer.data.bands import band_image


def as_pixels(picture: Image.Image) -> Tensor:
    """PIL -> [C, H, W] in 0..1."""
    values = torch.from_numpy(np.array(picture)).float().div(255)
    return values[None] if values.ndim == 2 else values.permute(2, 0, 1)


def as_picture(pixels: Tensor) -> Image.Image:
    """[C, H, W] in 0..1 -> RGB picture, rounded to 8 bits; of other than 1 or 3 channels three are shown."""
    if len(pixels) not in (1, 3):
        return band_image(pixels.float().cpu().numpy())
    values = pixels.mul(255).round().clamp(0, 255).byte().expand(3, -1, -1)
    return Image.fromarray(np.ascontiguousarray(values.permute(1, 2, 0).cpu().numpy()))
