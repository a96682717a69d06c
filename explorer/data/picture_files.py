"""From a file, or the bytes of one, to a picture: opened safely, and refused with the right word."""

from __future__ import annotations

import io
import itertools
import os
import re
from pathlib import Path
from typing import Any, BinaryIO

from PIL import Image, ImageOps

from explorer.data.errors import ImageError
from explorer.display.words import nearest

# Pillow warns from here on (256 MiB of pixels), and a warning silenced in one thread is silenced in all.
MAX_PIXELS = 89_478_485
# What is read at most from a stream that cannot seek (a socket, a pipe): no photo is larger.
MAX_STREAM_BYTES = 512 * 1024 * 1024
# Raster formats that Pillow decodes by itself. HEIF is there once a person has registered pillow-heif.
FORMATS = ("JPEG", "MPO", "PNG", "GIF", "BMP", "DIB", "WEBP", "AVIF", "HEIF", "TIFF", "JPEG2000", "PPM",
           "TGA", "ICO", "PCX", "SGI", "QOI")
_URL = re.compile(r"^[a-z][a-z0-9+.\-]+://|^data:", re.IGNORECASE)
SAVE_AS = "save it as PNG or JPEG"


def open_path(path: str, max_pixels: int) -> Image.Image:
    if _URL.match(path):
        raise ImageError(f"{shown_name(path)} is a web address: download the picture first, "
                         "then give the file.")
    if "\0" in path or not path:
        raise ImageError(f"{shown_name(path)} is not a file name: give the path of a picture file.")
    file = Path(path)
    try:
        file = file.expanduser()
        if file.is_dir():
            raise ImageError(f"{shown_name(path)} is a folder: name one picture in it.")
        if not file.exists():
            raise ImageError(
                f"There is no file {shown_name(path)}{_nearest(file)}: check the name and the folder "
                f"(you are in {shown_name(Path.cwd())})."
            )
        if not file.is_file():
            raise ImageError(f"{shown_name(path)} is a device or a pipe: give the path of a picture file.")
        with open(file, "rb") as stream:
            return decode(stream, shown_name(path), max_pixels)
    except PermissionError as error:
        shown = shown_name(path)
        raise ImageError(f"You may not read {shown}: change its permissions or copy it.") from error
    except (OSError, RuntimeError) as error:  # a name too long, a disk that went away, `~nobody`
        raise ImageError(f"{shown_name(path)} could not be opened ({type(error).__name__}): "
                         "check the name, or copy the file to another folder.") from error


def _nearest(file: Path) -> str:
    """A hint such as ` (did you mean 'cat.jpg'?)` from the names in the same folder; "" if none is near."""
    try:
        names = [entry.name for entry in itertools.islice(file.parent.iterdir(), 2000)]
    except OSError:
        return ""
    near = nearest(file.name, names, cutoff=0.75)
    return f" (did you mean {shown_name(near[0])}?)" if near else ""


def open_stream(stream: Any, max_pixels: int) -> Image.Image:
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
        return decode(io.BytesIO(data), "The file", max_pixels)
    position = stream.tell()
    try:
        return decode(stream, "The file", max_pixels)
    finally:
        stream.seek(position)


def decode(stream: BinaryIO, name: str, max_pixels: int) -> Image.Image:
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

    check_size(image.size, max_pixels, name)
    try:
        image.load()
    except Image.DecompressionBombError as error:
        raise ImageError(f"{name} has more pixels than Pillow allows: make it smaller first.") from error
    except MemoryError:
        raise
    except Exception as error:
        raise ImageError(f"{name} is broken or cut off (it starts as {image.format}): "
                         "download or copy it again.") from error
    return upright(image)


def check_size(size: tuple[int, int], max_pixels: int, name: str) -> None:
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
        return f"is PostScript, a drawing and not a photo: {SAVE_AS}"
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
        return f"is a Photoshop file: {SAVE_AS}"
    if head.startswith(b"\x93NUMPY"):
        return "is a numpy file: give the array, load_image(numpy.load(path))"
    if head.startswith((b"PK\x03\x04", b"\x1f\x8b", b"7z\xbc\xaf", b"Rar!")):
        return "is an archive, not a picture: unpack it and choose one picture"
    if _is_text(head):
        return "is a text file, not a picture: choose a picture file such as PNG or JPEG"
    return f"is broken or not a picture format known here: open it in a picture program and {SAVE_AS}"


def _is_text(head: bytes) -> bool:
    try:
        text = head.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start < len(head) - 3:  # a character cut in two by the end of what was read is still text
            return False
        text = head[:error.start].decode("utf-8")
    return all(character.isprintable() or character in "\t\r\n\f" for character in text)


def shown_name(name: str | os.PathLike) -> str:
    """A file name fit for a message: quoted, control characters escaped, a long one without its middle."""
    quoted = repr(os.fspath(name))
    return quoted if len(quoted) <= 80 else f"{quoted[:38]}...{quoted[-38:]}"


def upright(image: Image.Image) -> Image.Image:
    """A copy, turned as its camera said (EXIF orientation)."""
    image.load()  # before the orientation is read: some formats turn themselves while loading
    try:
        upright = ImageOps.exif_transpose(image)
    except Exception:
        upright = image.copy()  # a damaged EXIF block is no reason to refuse a photo whose pixels are fine
    upright.format = image.format  # the meaning of mode I depends on it
    return upright
