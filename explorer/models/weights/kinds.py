"""What a weight file is: known by how it begins, not by its suffix.

What does not open is told in one sentence: what it is, and what to do.
"""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

from explorer.models.weights.pickled import load_pickled
from explorer.models.weights.report import unreadable

# So many bytes may come from one byte of a file: tied weights are written once, compressed files are rare.
MOST_GROWTH = 4
SPARE_BYTES = 1024**2


_AGAIN = "Download or copy it again."
_UNPACK = "Unpack it first, and give the file inside."
_NOT_TORCH = "Take the PyTorch or safetensors version of these weights."
# (how a file begins, what it is, what to do)
BEGINNINGS: tuple[tuple[bytes, str, str], ...] = (
    (
        b"version https://git-lfs",
        "it is a git-lfs pointer: a few lines that stand for the real file",
        "Fetch the file itself with `git lfs pull`.",
    ),
    (b"\x89HDF\r\n\x1a\n", "it is an HDF5 file, as Keras writes it", _NOT_TORCH),
    (b"\x93NUMPY", "it is a numpy array", "Save a table of tensors with torch.save."),
    (b"\x1f\x8b", "it is packed with gzip", _UNPACK),
    (b"BZh", "it is packed with bzip2", _UNPACK),
    (b"\xfd7zXZ", "it is packed with xz", _UNPACK),
    (b"\x28\xb5\x2f\xfd", "it is packed with zstd", _UNPACK),
    (b"7z\xbc\xaf\x27\x1c", "it is a 7z archive", _UNPACK),
    (b"Rar!", "it is a RAR archive", _UNPACK),
    (b"GGUF", "it is a GGUF file", _NOT_TORCH),
    (b"%PDF", "it is a PDF document", ""),
    (b"\x89PNG", "it is a picture", ""),
    (b"\xff\xd8\xff", "it is a picture", ""),
)


def read_content(path: Path) -> Any:
    """What is in the file, as it was saved.

    Raises WeightsError for what is known to be no weight file, else whatever the reader of its kind raises.
    """
    size = path.stat().st_size
    if not size:
        raise unreadable(path, "it is empty", _AGAIN)
    with path.open("rb") as file:
        start = file.read(512)
    # First of all: a .safetensors file begins with a length, which may look like any other beginning.
    if start[8:9] == b"{" and (start[4:8] == bytes(4) or not start.startswith(b"\x80")):
        from safetensors.torch import load_file

        return load_file(path)
    for beginning, what, advice in BEGINNINGS:
        if start.startswith(beginning):
            raise unreadable(path, what, advice)
    if start.startswith(b"PK\x03\x04"):
        _check_zip(path, size)
        return load_pickled(path)
    if start.startswith(b"\x80"):
        return load_pickled(path)
    if start[257:262] == b"ustar":
        raise unreadable(
            path,
            "it is a tar archive",
            "PyTorch wrote such files until 2017: save it again with a newer one, or "
            "unpack it and give the file inside.",
        )
    if start[4:8] == b"TFL3":
        raise unreadable(path, "it is a TensorFlow Lite model", _NOT_TORCH)
    onnx = start[:1] == b"\x08" and start[2:3] in (b"\x12", b"\x1a", b"\x22", b"\x2a", b"\x3a", b"\x42")
    if onnx or path.suffix == ".onnx":
        raise unreadable(path, "it is an ONNX model", "Take the PyTorch weights that it was made from.")
    text = start.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith((b"<!doctype", b"<html", b"<?xml", b"<head")):
        raise unreadable(
            path,
            "it is a web page, such as a server's error message",
            "Open the address in a browser, and download the file itself.",
        )
    if _is_text(start):
        raise unreadable(path, "it is a text file", "")
    raise unreadable(path, "it is no file of a kind that is known, or its beginning is damaged", "")


def _is_text(start: bytes) -> bool:
    printable = all(byte in b"\t\r\n" or 32 <= byte < 127 or byte >= 128 for byte in start)
    return printable and not start.startswith(b"\x80")


def _check_zip(path: Path, size: int) -> None:
    """Raise WeightsError for a zip archive that is not `torch.save`'s, or that unpacks to far more."""
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        raise unreadable(path, "it is damaged, or was cut off", _AGAIN) from None
    names = {entry.filename for entry in entries}
    ends = {name.partition("/")[2] for name in names}
    if "constants.pkl" in ends or any(end.startswith("code/") for end in ends):
        raise unreadable(
            path,
            "it is a TorchScript archive: a program with its weights",
            "Where you trust it: torch.save(torch.jit.load(path).state_dict(), 'weights.pth').",
        )
    last_words = {end.rpartition("/")[2] for end in names | ends}
    if last_words & {"archive_format", "serialized_exported_program.json"}:
        raise unreadable(
            path,
            "it is a program of torch.export, with its weights",
            "Where you trust it: torch.save(dict(torch.export.load(path).state_dict), 'weights.pth').",
        )
    if "model.weights.h5" in names:
        raise unreadable(path, "it is a Keras model", _NOT_TORCH)
    if names and all(name.endswith(".npy") for name in names):
        raise unreadable(
            path, "it is an .npz file of numpy arrays", "Save a table of tensors with torch.save."
        )
    if "data.pkl" not in ends:
        raise unreadable(path, "it is a zip archive", _UNPACK)
    if sum(entry.file_size for entry in entries) > MOST_GROWTH * size + SPARE_BYTES:
        raise unreadable(path, f"its {size / 1e6:,.1f} MB would unpack to far more")
