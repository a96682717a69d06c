"""Open any picture a person may hand over, safely: the result is always an upright RGB photo of its own.

    photo = load_image("holiday.jpg")          # also bytes, an open file, a PIL image, an array, a tensor

A picture file is somebody else's data, so nothing about it is taken on trust: its size is read from the
header before a single pixel is decoded, only raster picture formats are tried (no EPS, no PDF: those start
other programs), and whatever goes wrong comes back as one `ImageError`, one sentence that says what to do.

Colours are taken as they are stored: an embedded ICC profile is not applied, as in torchvision and timm, so
that a model sees the numbers it was trained with.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence
from typing import Any

from PIL import Image

from explorer.arguments import checked
from explorer.data.bands import MOST_BANDS, BandImage, band_image, check_bands, read_bands
from explorer.data.errors import ImageError
from explorer.data.picture_arrays import from_array, numbers_of_tensor, tensor_to_array
from explorer.data.picture_files import (
    MAX_PIXELS,
    SAVE_AS,
    check_size,
    decode,
    open_path,
    open_stream,
    upright,
)
from explorer.data.picture_modes import clean, to_rgb


@checked
def load_image(source: Any, *, max_pixels: int = MAX_PIXELS, channels: int | None = None,
               bands: Sequence[int] | None = None) -> Image.Image:
    """Open `source` as an upright RGB photo, fully loaded and independent of where it came from.

    source: a path (str or Path), the bytes of a file (bytes, bytearray, memoryview), a file opened with "rb",
        a PIL image,
        a numpy array: [H, W] or [H, W, 1 | 3 | 4] of uint8, uint16, bool, or float in 0..1,
        a torch tensor: [H, W], [C, H, W] or [1, C, H, W] of the same types, C = 1, 3 or 4.
        An array or tensor of other channels is a picture of bands, [C, H, W] or [H, W, C]: see
        `explorer.data.bands`.
    max_pixels: a picture with more pixels is refused, from its header, before it is decoded.
    channels: how many channels the picture must have for a model that reads other than photos; needed of
        four, which could be RGB with transparency.
    bands: of a picture of bands the three that are shown, as red, green and blue; None: the first three.

    What becomes of what Pillow calls modes:
        transparency (LA, La, PA, RGBA, RGBa, a transparent palette entry or colour) is laid over white;
        16-bit grey (I;16, and I from a PNG or PGM file) is scaled from 0..65535 to 0..255, not clipped;
        other 32-bit integers (I) mean 0..255 if all values fit, else 0..65535 if they fit, else the darkest
            value becomes black and the brightest white;
        floats (F) mean 0..1 if all values fit, else 0..255 if they fit, else darkest to brightest;
        of an animation or a multi-page TIFF the first frame is taken (of a PIL image: the frame it is at).

    Raises ImageError with one sentence for anything else: a missing, empty, broken, too large or non-picture
    source, a web address, an array of another shape or range, NaN. Neither the source nor any setting of
    Pillow is ever changed.
    """
    try:
        if (picture := _bands(source, max_pixels, channels, bands)) is not None:
            return picture
        image = _open(source, max_pixels)
        if not image.width or not image.height:
            raise ImageError(f"The picture is empty ({image.width} x {image.height}): choose another one.")
        check_size(image.size, max_pixels, "The picture")
        photo = clean(to_rgb(image))
        # for a network that reads four: it knows them to be no transparency
        if (four := _four_bands(source)) is not None:
            photo.four_bands = four  # pyright: ignore[reportAttributeAccessIssue]  # no field of Pillow's
        return photo
    except ImageError:
        raise
    except MemoryError as error:
        raise ImageError("There is not enough memory to open this picture: make it smaller first.") from error
    except Exception as error:
        # A decoder fed with broken data may raise nearly anything; the cause stays attached for the log.
        raise ImageError(
            f"This {type(source).__name__} could not be read as a picture ({type(error).__name__}): "
            f"open it in a picture program and {SAVE_AS}."
        ) from error


def _bands(source: Any, max_pixels: int, channels: int | None,
           bands: Sequence[int] | None) -> Image.Image | None:
    """A picture of other channels than a photo's; None for what is to be opened as a photo."""
    wanted = channels if channels not in (None, 1, 3) else None
    if isinstance(source, Image.Image):
        shown = check_bands(source, 4) if wanted == 4 and hasattr(source, "four_bands") else source
        if not isinstance(shown, BandImage):
            return None  # what a network of more channels says of it, its transform knows
        picture = check_bands(shown, wanted) if wanted is not None else shown
        return picture if bands is None else band_image(picture.values, _three(bands, len(picture.values)))
    tensor = _is_instance(source, "torch", "Tensor")
    if not tensor and not _is_instance(source, "numpy", "ndarray"):
        return None  # a file
    shape = tuple(source.shape)
    if len(shape) == 4 and shape[0] == 1:
        source, shape = source[0], shape[1:]
    sides = (shape[0], shape[-1])
    like_a_photo = bool({1, 3, 4} & ({shape[0]} if tensor else set(sides)))
    if len(shape) != 3 or 0 in shape or wanted is None and like_a_photo:
        return None
    if wanted is None and tensor and shape[2] in (1, 3, 4):
        return None  # the channels stand at the end: `tensor_to_array` has the right words for it
    if min(sides) > MOST_BANDS:
        raise ImageError(f"A picture of shape {list(shape)} has {min(sides)} bands: "
                         f"at most {MOST_BANDS} can be read.")
    array = numbers_of_tensor(source) if tensor else source
    try:
        # A row of bands is shorter than the picture's sides, or it is no row of bands.
        if wanted is None and min(sides) > shape[1]:
            return None
        check_size((shape[1], max(sides)), max_pixels, "The picture")
        if array.size > 4 * max_pixels:  # as much memory as the largest photo takes, in floats
            raise ImageError(f"A picture of {min(sides)} bands and shape {list(shape)} is too large: "
                             f"cut it into tiles first, of at most {4 * max_pixels / 1e6:.3g} million "
                             "numbers.")
        values = read_bands(array, wanted, True if tensor else None)
        return band_image(values, _three(bands, len(values)))
    except ImageError:
        raise
    except ValueError as error:
        raise ImageError(str(error)) from None


def _four_bands(source: Any) -> Any:
    """A tensor or array of four channels as an array [4, H, W] of its own; None for anything else."""
    if isinstance(source, Image.Image):
        return getattr(source, "four_bands", None)
    if _is_instance(source, "torch", "Tensor"):
        values = numbers_of_tensor(source[0] if source.ndim == 4 else source)
    elif _is_instance(source, "numpy", "ndarray"):
        values = source.transpose(2, 0, 1) if source.ndim == 3 else source
    else:
        return None
    return values.copy() if values.ndim == 3 and len(values) == 4 else None


def _three(bands: Sequence[int] | None, count: int) -> tuple[int, ...] | None:
    if bands is None:
        return None
    chosen = tuple(bands) if isinstance(bands, Sequence) and not isinstance(bands, str) else ()
    if len(chosen) != 3 or not all(type(one) is int and 0 <= one < count for one in chosen):
        raise ImageError(f"bands is {bands!r}: give the three to show as red, green and blue, "
                         f"each from 0 to {count - 1}.")
    return chosen


# --- Where a picture comes from -------------------------------------------------------------------


def _open(source: Any, max_pixels: int) -> Image.Image:
    """Return a loaded, upright PIL image in whatever mode it has."""
    if isinstance(source, Image.Image):
        check_size(source.size, max_pixels, "The picture")
        return upright(source)
    if isinstance(source, (bytes, bytearray, memoryview)):
        return decode(io.BytesIO(bytes(source)), "The data", max_pixels)
    if isinstance(source, (str, os.PathLike)):
        return open_path(os.fsdecode(source), max_pixels)
    if _is_instance(source, "torch", "Tensor"):
        return from_array(tensor_to_array(source), max_pixels, "tensor")
    if _is_instance(source, "numpy", "ndarray"):
        return from_array(source, max_pixels, "array")
    if hasattr(source, "read"):
        return open_stream(source, max_pixels)
    raise ImageError(
        f"A picture cannot be made from a {type(source).__name__}: give a path, the bytes of a file, "
        "a file opened with 'rb', a PIL image, a numpy array or a torch tensor."
    )


def _is_instance(value: Any, module: str, name: str) -> bool:
    """isinstance without an import: while nobody has imported the module, no value of its types exists."""
    # While another thread imports the module it is there without its types: then, too, no such value exists.
    return module in sys.modules and isinstance(value, getattr(sys.modules[module], name, ()))
