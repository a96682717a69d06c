"""From what Pillow calls modes (transparency, palettes, 16 bits, CMYK) to RGB."""

from __future__ import annotations

from PIL import Image

from explorer.data.picture_arrays import finite_range, scale_range


def to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I") or image.mode == "F":
        return deep_to_grey(image).convert("RGB")
    if not image.has_transparency_data:
        return image.convert("RGB")
    if image.mode == "La":  # the only mode with no direct way to RGBA
        image = image.convert("LA")
    image = image.convert("RGBA")
    white = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(white, image).convert("RGB")


def deep_to_grey(image: Image.Image) -> Image.Image:
    """16- and 32-bit pixels -> 8-bit grey, by the ranges that `load_image` states."""
    import numpy as np

    values = np.asarray(image)  # [H, W]
    low, high = finite_range(values, "The picture")
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format in ("PNG", "PPM")):
        limits = (0, 65535)
    else:
        ranges = ((0, 1), (0, 255)) if image.mode == "F" else ((0, 255), (0, 65535))
        limits = next((r for r in ranges if r[0] <= low and high <= r[1]), (low, high))
    pixels = scale_range(values, *limits)
    transparent = image.info.get("transparency")  # one grey value that a 16-bit PNG calls see-through
    if isinstance(transparent, int):
        pixels[values == transparent] = 255
    return Image.fromarray(pixels)


def clean(image: Image.Image) -> Image.Image:
    """Drop EXIF and the like: the orientation is applied, and a notebook needs no GPS position."""
    image.info = {}
    return image
