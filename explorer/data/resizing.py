"""The two steps of evaluation: the photo is resized, and its middle is cut out."""

from __future__ import annotations

import math
from collections.abc import Sequence

from PIL import Image

from explorer.data.bands import check_photo
from explorer.data.images import ImageError

DEFAULT_CROP_PCT = 0.875
INTERPOLATIONS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
    "box": Image.Resampling.BOX,
    "hamming": Image.Resampling.HAMMING,
}
CROP_MODES = ("center", "squash", "border")
# A photo 100000 pixels wide and 2 high would grow to gigabytes on its way to a crop of 224 x 224.
_MAX_RESIZED_PIXELS = 100_000_000


class Resize:
    """Scale a photo so that it fits `size` (height, width) in one of four ways.

    fit: "short"    the short side becomes size[0]; the long side follows, rounded down (torchvision's rule)
         "cover"    the photo covers `size`, aspect ratio kept
         "contain"  the photo fits inside `size`, aspect ratio kept
         "exact"    becomes exactly `size`, aspect ratio not kept
    """

    def __init__(self, size: tuple[int, int], *, fit: str, interpolation: str):
        self.size, self.fit, self.interpolation = size, fit, interpolation

    def output_size(self, image_size: tuple[int, int]) -> tuple[int, int]:
        """(width, height) -> (width, height)."""
        width, height = image_size
        target_height, target_width = self.size
        if self.fit == "exact":
            return target_width, target_height
        if self.fit == "short":
            side = target_height
            if width <= height:
                return side, int(side * height / width)
            return int(side * width / height), side
        # How many photo pixels go into one. Divided in this order, halves round as they do in timm.
        shrink_x, shrink_y = width / target_width, height / target_height
        shrink = min(shrink_x, shrink_y) if self.fit == "cover" else max(shrink_x, shrink_y)
        return max(1, round(width / shrink)), max(1, round(height / shrink))

    def __call__(self, image: Image.Image) -> Image.Image:
        size = self.output_size(check_photo(image).size)
        if size[0] * size[1] > _MAX_RESIZED_PIXELS:
            raise ImageError(
                f"A photo of {image.width} x {image.height} pixels is too long and thin to be resized "
                f"(to {size[0]} x {size[1]}): cut out the part you mean first."
            )
        return image.resize(size, INTERPOLATIONS[self.interpolation])

    def __repr__(self) -> str:
        size = self.size[0] if self.fit == "short" else self.size
        return f"Resize({size}, fit={self.fit!r}, interpolation={self.interpolation!r})"


class CenterCrop:
    """Cut `size` (height, width) from the middle; `fill` (R, G, B) surrounds a photo that is smaller."""

    def __init__(self, size: tuple[int, int], *, fill: tuple[int, ...] = (0, 0, 0)):
        self.size, self.fill = size, fill

    def box(self, image_size: tuple[int, int]) -> tuple[int, int, int, int]:
        """(left, top, right, bottom) in pixels; reaches outside a photo that is smaller than the crop."""
        (width, height), (crop_height, crop_width) = image_size, self.size
        left, top = _middle(width, crop_width), _middle(height, crop_height)
        return left, top, left + crop_width, top + crop_height

    def __call__(self, image: Image.Image) -> Image.Image:
        left, top, right, bottom = self.box(image.size)
        if left >= 0 and top >= 0 and right <= image.width and bottom <= image.height:
            return image.crop((left, top, right, bottom))
        fill = self.fill if image.mode == "RGB" else self.fill[0]
        canvas = Image.new(image.mode, (right - left, bottom - top), fill)
        canvas.paste(image, (-left, -top))
        return canvas

    def __repr__(self) -> str:
        return f"CenterCrop({self.size}" + (f", fill={self.fill})" if any(self.fill) else ")")


def _middle(length: int, crop: int) -> int:
    """Where a centred crop begins. An odd rest: a crop rounds half to even, a border is wider at the end."""
    return round((length - crop) / 2) if length >= crop else -((crop - length) // 2)


def evaluation_steps(
    size: tuple[int, int],
    interpolation: str,
    crop_pct: float | None,
    crop_mode: str | None,
    mean: Sequence[float],
) -> tuple[Resize, CenterCrop]:
    """The resize and the crop for `size` (height, width), by timm's rules."""
    crop_pct, crop_mode = crop_pct or DEFAULT_CROP_PCT, crop_mode or "center"
    if crop_pct < 0:
        raise ValueError(f"crop_pct is {crop_pct}: expected a share above 0, such as {DEFAULT_CROP_PCT}.")
    if crop_mode not in CROP_MODES:
        raise ValueError(f"Unknown crop_mode {crop_mode!r}: expected one of {', '.join(CROP_MODES)}.")
    known_interpolation(interpolation)

    scaled = (math.floor(size[0] / crop_pct), math.floor(size[1] / crop_pct))
    if crop_mode == "squash":
        return Resize(scaled, fit="exact", interpolation=interpolation), CenterCrop(size)
    if crop_mode == "border":
        grey = tuple(round(255 * value) for value in mean)  # becomes 0 after normalisation
        return Resize(scaled, fit="contain", interpolation=interpolation), CenterCrop(size, fill=grey)
    fit = "short" if size[0] == size[1] else "cover"
    return Resize(scaled, fit=fit, interpolation=interpolation), CenterCrop(size)


def known_interpolation(name: str) -> str:
    if name not in INTERPOLATIONS:
        raise ValueError(f"Unknown interpolation {name!r}: expected one of {', '.join(INTERPOLATIONS)}.")
    return name
