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
import itertools
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

from PIL import Image, ImageOps

from explorer.arguments import checked
from explorer.display.words import nearest

from .errors import ImageError

# Pillow warns from here on (256 MiB of pixels), and a warning silenced in one thread is silenced in all.
MAX_PIXELS = 89_478_485
# What is read at most from a stream that cannot seek (a socket, a pipe): no photo is larger.
MAX_STREAM_BYTES = 512 * 1024 * 1024

# Raster formats that Pillow decodes by itself. HEIF is there once a person has registered pillow-heif.
FORMATS = ("JPEG", "MPO", "PNG", "GIF", "BMP", "DIB", "WEBP", "AVIF", "HEIF", "TIFF", "JPEG2000", "PPM",
           "TGA", "ICO", "PCX", "SGI", "QOI")

_URL = re.compile(r"^[a-z][a-z0-9+.\-]+://|^data:", re.IGNORECASE)
_SAVE_AS = "save it as PNG or JPEG"


@checked
def load_image(source: Any, *, max_pixels: int = MAX_PIXELS, channels: int | None = None,
               bands: Sequence[int] | None = None) -> Image.Image:
    """Open `source` as an upright RGB photo, fully loaded and independent of where it came from.

    source: a path (str or Path), the bytes of a file (bytes, bytearray, memoryview), a file opened with "rb",
        a PIL image,
        a numpy array: [H, W] or [H, W, 1 | 3 | 4] of uint8, uint16, bool, or float in 0..1,
        a torch tensor: [H, W], [C, H, W] or [1, C, H, W] of the same types, C = 1, 3 or 4.
        An array or tensor of other channels is a picture of bands, [C, H, W] or [H, W, C]: see `explorer.data.bands`.
    max_pixels: a picture with more pixels is refused, from its header, before it is decoded.
    channels: how many channels the picture must have for a model that reads other than photos; needed of four, which
        could be RGB with transparency.
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
        _check_size(image.size, max_pixels, "The picture")
        photo = _clean(_to_rgb(image))
        if (four := _four_bands(source)) is not None:  # for a network that reads four: it knows them to be no transparency
            photo.four_bands = four
        return photo
    except ImageError:
        raise
    except MemoryError as error:
        raise ImageError("There is not enough memory to open this picture: make it smaller first.") from error
    except Exception as error:
        # A decoder fed with broken data may raise nearly anything; the cause stays attached for the log.
        raise ImageError(
            f"This {type(source).__name__} could not be read as a picture ({type(error).__name__}): "
            f"open it in a picture program and {_SAVE_AS}."
        ) from error


def _bands(source: Any, max_pixels: int, channels: int | None, bands: Sequence[int] | None) -> Image.Image | None:
    """A picture of other channels than a photo's; None for what is to be opened as a photo."""
    wanted = channels if channels not in (None, 1, 3) else None
    if wanted == 4 and isinstance(source, Image.Image) and hasattr(source, "four_bands"):
        from .bands import check_bands

        source = check_bands(source, 4)
    if isinstance(source, Image.Image) and type(source).__name__ == "BandImage":
        from .bands import band_image, check_bands

        picture = check_bands(source, wanted) if wanted is not None else source
        return picture if bands is None else band_image(picture.values, _three(bands, len(picture.values)))
    tensor = _is_instance(source, "torch", "Tensor")
    if not tensor and not _is_instance(source, "numpy", "ndarray"):
        return None  # a file, or a PIL image: what a network of more channels says of it, its transform knows
    shape = tuple(source.shape)
    if len(shape) == 4 and shape[0] == 1:
        source, shape = source[0], shape[1:]
    sides = (shape[0], shape[-1])
    if len(shape) != 3 or 0 in shape or wanted is None and bool({1, 3, 4} & ({shape[0]} if tensor else set(sides))):
        return None
    if wanted is None and tensor and shape[2] in (1, 3, 4):
        return None  # the channels stand at the end: `_tensor_to_array` has the right words for it
    from .bands import MOST_BANDS, band_image, read_bands

    if min(sides) > MOST_BANDS:
        raise ImageError(f"A picture of shape {list(shape)} has {min(sides)} bands: at most {MOST_BANDS} can be read.")
    array = _numbers_of(source) if tensor else source
    try:
        # A row of bands is shorter than the picture's sides, or it is no row of bands.
        if wanted is None and min(sides) > shape[1]:
            return None
        _check_size((shape[1], max(sides)), max_pixels, "The picture")
        if array.size > 4 * max_pixels:  # as much memory as the largest photo takes, in floats
            raise ImageError(f"A picture of {min(sides)} bands and shape {list(shape)} is too large: cut it into tiles first, of at "
                             f"most {4 * max_pixels / 1e6:.3g} million numbers.")
        values = read_bands(array, wanted, True if tensor else None)
        return band_image(values, _three(bands, len(values)))
    except ImageError:
        raise
    except ValueError as error:
        raise ImageError(str(error)) from None


def _numbers_of(tensor: Any) -> Any:
    """A tensor as an array; numpy knows no bfloat16."""
    tensor = tensor.detach().cpu()
    return tensor.float().numpy() if tensor.is_floating_point() else tensor.numpy()


def _four_bands(source: Any) -> Any:
    """A tensor or array of four channels as an array [4, H, W] of its own; None for anything else."""
    if isinstance(source, Image.Image):
        return getattr(source, "four_bands", None)
    if _is_instance(source, "torch", "Tensor"):
        values = _numbers_of(source[0] if source.ndim == 4 else source)
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
        raise ImageError(f"bands is {bands!r}: give the three to show as red, green and blue, each from 0 to {count - 1}.")
    return chosen


# --- Where a picture comes from -------------------------------------------------------------------


def _open(source: Any, max_pixels: int) -> Image.Image:
    """Return a loaded, upright PIL image in whatever mode it has."""
    if isinstance(source, Image.Image):
        _check_size(source.size, max_pixels, "The picture")
        return _upright(source)
    if isinstance(source, (bytes, bytearray, memoryview)):
        return _decode(io.BytesIO(bytes(source)), "The data", max_pixels)
    if isinstance(source, (str, os.PathLike)):
        return _open_path(os.fsdecode(source), max_pixels)
    if _is_instance(source, "torch", "Tensor"):
        return _from_array(_tensor_to_array(source), max_pixels, "tensor")
    if _is_instance(source, "numpy", "ndarray"):
        return _from_array(source, max_pixels, "array")
    if hasattr(source, "read"):
        return _open_file(source, max_pixels)
    raise ImageError(
        f"A picture cannot be made from a {type(source).__name__}: give a path, the bytes of a file, "
        "a file opened with 'rb', a PIL image, a numpy array or a torch tensor."
    )


def _is_instance(value: Any, module: str, name: str) -> bool:
    """isinstance without an import: while nobody has imported the module, no value of its types exists."""
    # While another thread imports the module it is there without its types: then, too, no such value exists.
    return module in sys.modules and isinstance(value, getattr(sys.modules[module], name, ()))


def _open_path(path: str, max_pixels: int) -> Image.Image:
    if _URL.match(path):
        raise ImageError(f"{_shown(path)} is a web address: download the picture first, then give the file.")
    if "\0" in path or not path:
        raise ImageError(f"{_shown(path)} is not a file name: give the path of a picture file.")
    file = Path(path)
    try:
        file = file.expanduser()
        if file.is_dir():
            raise ImageError(f"{_shown(path)} is a folder: name one picture in it.")
        if not file.exists():
            raise ImageError(
                f"There is no file {_shown(path)}{_nearest(file)}: check the name and the folder "
                f"(you are in {_shown(Path.cwd())})."
            )
        if not file.is_file():
            raise ImageError(f"{_shown(path)} is a device or a pipe: give the path of a picture file.")
        with open(file, "rb") as stream:
            return _decode(stream, _shown(path), max_pixels)
    except PermissionError as error:
        raise ImageError(f"You may not read {_shown(path)}: change its permissions or copy it.") from error
    except (OSError, RuntimeError) as error:  # a name too long, a disk that went away, `~nobody`
        raise ImageError(f"{_shown(path)} could not be opened ({type(error).__name__}): "
                         "check the name, or copy the file to another folder.") from error


def _nearest(file: Path) -> str:
    """A hint such as ` (did you mean 'cat.jpg'?)` from the names in the same folder; "" if none is near."""
    try:
        names = [entry.name for entry in itertools.islice(file.parent.iterdir(), 2000)]
    except OSError:
        return ""
    near = nearest(file.name, names, cutoff=0.75)
    return f" (did you mean {_shown(near[0])}?)" if near else ""


def _open_file(stream: Any, max_pixels: int) -> Image.Image:
    """A file object: read from its start if it can seek, and leave it where it was found."""
    if getattr(stream, "closed", False):
        raise ImageError("The file is closed already: open it again with open(path, 'rb').")
    if isinstance(stream, io.TextIOBase):
        raise ImageError("The file is open in text mode: open it with open(path, 'rb').")
    if not (hasattr(stream, "seekable") and stream.seekable()):
        data = stream.read(MAX_STREAM_BYTES + 1)
        if not isinstance(data, bytes):
            raise ImageError(f"The file gives {type(data).__name__}, not bytes: use open(path, 'rb').")
        if len(data) > MAX_STREAM_BYTES:
            raise ImageError(f"The file is longer than {MAX_STREAM_BYTES >> 20} MB: make it smaller first.")
        return _decode(io.BytesIO(data), "The file", max_pixels)
    position = stream.tell()
    try:
        return _decode(stream, "The file", max_pixels)
    finally:
        stream.seek(position)


def _decode(stream: BinaryIO, name: str, max_pixels: int) -> Image.Image:
    """Decode the first frame of a picture file. `name` begins the sentence of an error."""
    stream.seek(0)
    head = stream.read(512)
    if not head:
        raise ImageError(f"{name} has no content (0 bytes): choose another file, or download it again.")
    stream.seek(0)

    Image.init()  # registers Pillow's own plugins; a second call does nothing
    formats = [name for name in FORMATS if name in Image.OPEN]
    try:
        image = Image.open(stream, formats=formats)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageError(f"{name} has more pixels than Pillow allows: make it smaller first.") from error
    except Exception as error:
        raise ImageError(f"{name} {_what_it_is(head)}.") from error

    _check_size(image.size, max_pixels, name)
    try:
        image.load()
    except Image.DecompressionBombError as error:
        raise ImageError(f"{name} has more pixels than Pillow allows: make it smaller first.") from error
    except MemoryError:
        raise
    except Exception as error:
        raise ImageError(f"{name} is broken or cut off (it starts as {image.format}): "
                         "download or copy it again.") from error
    return _upright(image)


def _check_size(size: tuple[int, int], max_pixels: int, name: str) -> None:
    width, height = size
    if width * height > max_pixels:
        raise ImageError(f"{name} has {width} x {height} pixels, more than the limit of "
                         f"{max_pixels / 1e6:.3g} million: make it smaller first.")


def _what_it_is(head: bytes) -> str:
    """Say from its first bytes what a file is that is no picture, and what to do about it."""
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    brand = head[8:12] if head[4:8] == b"ftyp" else b""
    if head.startswith(b"%PDF"):
        return "is a PDF, not a picture: export the page as PNG or JPEG"
    if head.startswith((b"%!PS", b"\xc5\xd0\xd3\xc6")):
        return f"is PostScript, a drawing and not a photo: {_SAVE_AS}"
    if text.startswith((b"<!doctype html", b"<html")):
        return "is a web page, not a picture: save the picture itself, not the page around it"
    if b"<svg" in text:
        return "is an SVG, a drawing and not a photo: export it as PNG"
    if brand in (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"):
        return "is a HEIC photo: save it as JPEG, or install pillow-heif and call its register_heif_opener()"
    if brand in (b"avif", b"avis"):
        return "is an AVIF picture that cannot be opened here: save it as JPEG, or update Pillow"
    if brand or head[8:12] == b"AVI " or head.startswith(b"\x1aE\xdf\xa3"):
        return "is a film, not a picture: save one frame as PNG or JPEG"
    if head.startswith(b"8BPS"):
        return f"is a Photoshop file: {_SAVE_AS}"
    if head.startswith(b"\x93NUMPY"):
        return "is a numpy file: give the array, load_image(numpy.load(path))"
    if head.startswith((b"PK\x03\x04", b"\x1f\x8b", b"7z\xbc\xaf", b"Rar!")):
        return "is an archive, not a picture: unpack it and choose one picture"
    if _is_text(head):
        return "is a text file, not a picture: choose a picture file such as PNG or JPEG"
    return f"is broken or not a picture format known here: open it in a picture program and {_SAVE_AS}"


def _is_text(head: bytes) -> bool:
    try:
        text = head.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start < len(head) - 3:  # a character cut in two by the end of what was read is still text
            return False
        text = head[:error.start].decode("utf-8")
    return all(character.isprintable() or character in "\t\r\n\f" for character in text)


def _shown(name: str | os.PathLike) -> str:
    """A file name fit for a message: quoted, control characters escaped, a long one without its middle."""
    quoted = repr(os.fspath(name))
    return quoted if len(quoted) <= 80 else f"{quoted[:38]}...{quoted[-38:]}"


# --- Arrays and tensors ---------------------------------------------------------------------------


def _tensor_to_array(tensor: Any) -> Any:
    """A tensor as an array with the channels last: [C, H, W] -> [H, W, C]."""
    shape = tuple(tensor.shape)
    if tensor.ndim == 4:
        if shape[0] != 1:
            raise ImageError(f"A tensor of shape {list(shape)} is {shape[0]} pictures: give one, tensor[0].")
        tensor = tensor[0]
    if tensor.ndim == 3:
        if tensor.shape[0] not in (1, 3, 4):
            hint = ": use tensor.permute(2, 0, 1)" if tensor.shape[2] in (1, 3, 4) else ""
            raise ImageError(
                f"A tensor of shape {list(shape)} is not one picture: expected [1 | 3 | 4, H, W]{hint}."
            )
        tensor = tensor.permute(1, 2, 0)  # [C, H, W] -> [H, W, C]
    if tensor.ndim != 2 and tensor.ndim != 3:
        raise ImageError(
            f"A tensor of shape {list(shape)} is not one picture: expected [H, W], [C, H, W] or [1, C, H, W]."
        )
    return _numbers_of(tensor)


def _from_array(array: Any, max_pixels: int, kind: str) -> Image.Image:
    """[H, W] or [H, W, 1 | 3 | 4] -> PIL image in mode L, RGB or RGBA."""
    import numpy as np

    shape = list(array.shape)
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (1, 3, 4)):
        hint = ""
        if array.ndim == 3 and array.shape[0] in (1, 3, 4):
            hint = ": use array.transpose(1, 2, 0)"
        elif array.ndim == 4:
            hint = ": give one picture of the batch, array[0]"
        raise ImageError(
            f"An array of shape {shape} is not one picture: expected [H, W], [H, W, 1], [H, W, 3] "
            f"or [H, W, 4]{hint}."
        )
    if 0 in array.shape:
        raise ImageError(f"The {kind} is empty (shape {shape}): give a picture with at least one pixel.")
    _check_size((array.shape[1], array.shape[0]), max_pixels, f"The {kind}")

    if array.dtype == np.bool_:
        pixels = array.astype(np.uint8) * 255
    elif array.dtype == np.uint8:
        pixels = array
    elif array.dtype == np.uint16:
        pixels = _scale(array, 0, 65535)
    elif array.dtype.kind == "f":
        low, high = _finite_range(array, f"The {kind}")
        # Resizing overshoots by a rounding error; anything more is another range and would be guessed at.
        if low < -1e-3 or high > 1 + 1e-3:
            raise ImageError(
                f"The {kind} has values from {low:.4g} to {high:.4g}: expected floats in 0..1 or uint8 "
                "(divide by 255, or undo the normalisation first)."
            )
        pixels = _scale(array, 0.0, 1.0)
    else:
        raise ImageError(
            f"A picture cannot be made from a {kind} of {array.dtype}: "
            "expected uint8 in 0..255, uint16, bool, or floats in 0..1."
        )
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[:, :, 0]
    return Image.fromarray(pixels)  # may share the array's memory: the way to RGB makes the copy


def _scale(values: Any, low: float, high: float) -> Any:
    """Map low..high to 0..255, rounded, clipped: uint8 of the same shape."""
    import numpy as np

    scaled = (values.astype(np.float64) - low) * 255 / ((high - low) or 1)  # one flat colour has no span
    return np.clip(np.rint(scaled), 0, 255).astype(np.uint8)


def _finite_range(values: Any, name: str) -> tuple[float, float]:
    low, high = float(values.min()), float(values.max())
    if not (abs(low) < float("inf") and abs(high) < float("inf")):  # NaN compares false too
        raise ImageError(f"{name} holds NaN or infinite values: replace them first (numpy.nan_to_num).")
    return low, high


# --- Modes to RGB ---------------------------------------------------------------------------------


def _upright(image: Image.Image) -> Image.Image:
    """A copy, turned as its camera said (EXIF orientation)."""
    image.load()  # before the orientation is read: some formats turn themselves while loading
    try:
        upright = ImageOps.exif_transpose(image)
    except Exception:
        upright = image.copy()  # a damaged EXIF block is no reason to refuse a photo whose pixels are fine
    upright.format = image.format  # the meaning of mode I depends on it
    return upright


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I") or image.mode == "F":
        return _deep_to_grey(image).convert("RGB")
    if not image.has_transparency_data:
        return image.convert("RGB")
    if image.mode == "La":  # the only mode with no direct way to RGBA
        image = image.convert("LA")
    image = image.convert("RGBA")
    white = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(white, image).convert("RGB")


def _deep_to_grey(image: Image.Image) -> Image.Image:
    """16- and 32-bit pixels -> 8-bit grey, by the ranges that `load_image` states."""
    import numpy as np

    values = np.asarray(image)  # [H, W]
    low, high = _finite_range(values, "The picture")
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format in ("PNG", "PPM")):
        limits = (0, 65535)
    else:
        ranges = ((0, 1), (0, 255)) if image.mode == "F" else ((0, 255), (0, 65535))
        limits = next((r for r in ranges if r[0] <= low and high <= r[1]), (low, high))
    pixels = _scale(values, *limits)
    transparent = image.info.get("transparency")  # one grey value that a 16-bit PNG calls see-through
    if isinstance(transparent, int):
        pixels[values == transparent] = 255
    return Image.fromarray(pixels)


def _clean(image: Image.Image) -> Image.Image:
    """Drop EXIF and the like: the orientation is applied, and a notebook needs no GPS position."""
    image.info = {}
    return image
