"""Ways to spoil a photo, as a camera, a phone or the web does: turned, blurred, noisy, compressed, dark.

    perturb(photo, "rotate", 30)          # a spoilt copy; `KINDS` says what a value means
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter

from explorer.display.draw import mean_colour


@dataclass(frozen=True)
class Kind:
    """One way to spoil a photo.

    unit:    what a value means;  values: the usual scan, from mild to strong
    start:   the value that changes nothing (for JPEG: next to nothing)
    limits:  the smallest and the largest value allowed;  step: how closely `find_flip` looks
    apply:   (photo, value, seed) -> photo of the same size
    fine:    whether it spoils single pixels, which shrinking a large photo averages away again
    in_pixels: whether `values` are pixels of a photo whose short side has 224, to be scaled with the photo
    whole:   whether only whole numbers have a meaning
    """

    name: str
    title: str
    unit: str
    values: tuple[float, ...]
    start: float
    limits: tuple[float, float]
    step: float
    apply: Callable[[Image.Image, float, int], Image.Image] = field(repr=False)
    fine: bool = False
    in_pixels: bool = False
    whole: bool = False

    def scan(self, photo: Image.Image) -> tuple[float, ...]:
        """The usual values for a photo of that size."""
        if not self.in_pixels:
            return self.values
        scale = min(photo.size) / 224
        return tuple(float(f"{value * scale:.3g}") for value in self.values)


def _rotate(photo: Image.Image, degrees: float, seed: int) -> Image.Image:
    # The corners get the mean colour: black ones would be a second, stronger change.
    return photo.rotate(degrees, Image.Resampling.BICUBIC, fillcolor=mean_colour(photo))


def _blur(photo: Image.Image, radius: float, seed: int) -> Image.Image:
    return photo.filter(ImageFilter.GaussianBlur(radius))


def _noise(photo: Image.Image, std: float, seed: int) -> Image.Image:
    # One draw of noise for all strengths, only scaled: so that a curve shows the strength and not the luck.
    pixels = np.asarray(photo, np.float32)
    noise = np.random.default_rng(seed).standard_normal(pixels.shape, np.float32)
    return Image.fromarray(np.rint(pixels + 255 * std * noise).clip(0, 255).astype(np.uint8))


def _jpeg(photo: Image.Image, quality: float, seed: int) -> Image.Image:
    buffer = io.BytesIO()
    photo.save(buffer, "JPEG", quality=int(quality))
    return Image.open(buffer).convert("RGB")


def _brightness(photo: Image.Image, factor: float, seed: int) -> Image.Image:
    return ImageEnhance.Brightness(photo).enhance(factor)


def _drop(photo: Image.Image, share: float, seed: int) -> Image.Image:
    # Every pixel has its own number, drawn once: what a small share drops, a larger one drops too.
    pixels = np.array(photo)
    pixels[np.random.default_rng(seed).random(pixels.shape[:2]) < share] = 0
    return Image.fromarray(pixels)


KINDS: dict[str, Kind] = {kind.name: kind for kind in (
    Kind("rotate", "Rotate", "degrees, counter-clockwise", (0, 5, 10, 15, 20, 30, 45, 60, 90, 120, 150, 180),
         0, (-360, 360), 0.5, _rotate),
    Kind("blur", "Blur", "radius of the Gaussian, in pixels of the photo",
         (0, 0.5, 1, 1.5, 2, 3, 4, 6, 8, 12), 0, (0, math.inf), 0.05, _blur, in_pixels=True),
    Kind("noise", "Noise", "standard deviation, for pixels in 0..1",
         (0, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.6), 0, (0, math.inf), 0.005, _noise, fine=True),
    Kind("jpeg", "JPEG", "quality, 100 to 1", (100, 90, 75, 50, 30, 20, 15, 10, 7, 5, 3, 1),
         100, (1, 100), 1, _jpeg, fine=True, whole=True),
    Kind("brightness", "Brightness", "factor: 1 as it is, 0 black",
         (1, 0.8, 0.6, 0.4, 0.3, 0.2, 0.15, 0.1, 0.05), 1, (0, math.inf), 0.005, _brightness),
    Kind("drop", "Dropped pixels", "share of the pixels made black",
         (0, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9), 0, (0, 1), 0.005, _drop, fine=True),
)}


def perturb(photo: Image.Image, kind: str, value: float, *, seed: int = 0) -> Image.Image:
    """A spoilt copy of an RGB photo, of the same size; see `KINDS` for the kinds and what a value means."""
    known = known_kind(kind)
    check_strength(known, value)
    return known.apply(photo, float(value), seed)


def known_kind(kind: str) -> Kind:
    """The kind by its name. Raises ValueError for an unknown one."""
    if kind not in KINDS:
        raise ValueError(f"Unknown kind {kind!r}: expected one of {', '.join(KINDS)}.")
    return KINDS[kind]


def check_strength(kind: Kind, value: float) -> None:
    low, high = kind.limits
    number = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
    right = number and math.isfinite(value) and low <= value <= high
    if not right or kind.whole and value != int(value):
        allowed = f"from {low:g}" + (f" to {high:g}" if math.isfinite(high) else "")
        what = "whole number" if kind.whole else "number"
        raise ValueError(f"{kind.name} by {value!r}: expected a {what} {allowed} ({kind.unit}).")
