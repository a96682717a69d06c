"""Reading weight files that anybody may have written: what a file is, and the tables of tensors in it.

A file is known by how it begins, not by its suffix. Nothing in it runs: PyTorch files are opened with
`weights_only=True`, and the few harmless classes that training programs leave in them are read as plain data,
without the classes themselves. What does not open is told in one sentence: what it is, and what to do.

    found = read_checkpoint("last.ckpt")
    found.tables                     {"state_dict": {"model.conv1.weight": ..., ...}, ...}

Which table and which names are a model's own is another question, see `explorer.models.weights.fitting`.
"""

from __future__ import annotations

import threading
import zipfile
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from explorer.files import given_path

if TYPE_CHECKING:
    from torch import Tensor

# Tables deeper inside a file are not looked for, nor more of them than that.
MOST_DEPTH, MOST_TABLES = 4, 1000
# So many bytes may come from one byte of a file: tied weights are written once, compressed files are rare.
MOST_GROWTH = 4
SPARE_BYTES = 1024**2


class WeightsError(RuntimeError):
    """Weights that can't be had, can't be trusted or don't fit; the message says what to do."""


@dataclass
class Checkpoint:
    """What a weight file holds.

    name:   the file's, for sentences
    tables: tensors by name, for each place in the file: "" is the file itself, "state_dict" or
            "ema.model" one further inside
    chosen: the place that a reader chose by "file.pth#place", else None
    """

    name: str
    tables: dict[str, dict[str, Tensor]]
    chosen: str | None = None


def read_checkpoint(path: str | Path) -> Checkpoint:
    """The tables of tensors in a weight file, on the CPU.

    path: "file.ckpt#place" chooses one table by its place, such as "teacher" or "state_dict"
    Raises WeightsError for what is no weight file, is damaged, or would need code to open.
    """
    path, chosen = _split(path)
    if path.is_dir():
        raise WeightsError(f"'{path}' is a folder. Give the path of the weight file in it.")
    if not path.is_file():
        raise WeightsError(f"There is no weight file at '{path}'. Check the path.")
    try:
        content, size = read_content(path), path.stat().st_size
    except WeightsError:
        raise
    except OSError as error:
        raise WeightsError(f"'{path}' can't be opened: {error.strerror or type(error).__name__}.") from None
    except (
        Exception
    ) as error:  # whatever a hostile or broken file can raise; its text would send the reader astray
        raise _unreadable(path, f"it is damaged, or was cut off: {type(error).__name__}") from None
    found = unpack(content, path.name)
    found.chosen = chosen
    for table in found.tables.values():
        check_sizes(table, path.name, size)
    return found


def _split(path: str | Path) -> tuple[Path, str | None]:
    """(the file, the place in it) of "file.pth#place"; a file may have a # in its own name."""
    whole = given_path(path, "the weight file's path")
    before, mark, place = whole.name.rpartition("#")
    if mark and before and not whole.exists():
        return whole.with_name(before), place
    return whole, None


def _unreadable(path: Path, what: str, advice: str = "") -> WeightsError:
    return WeightsError(
        f"'{path.name}' can't be read as weights ({what}). {advice}{' ' if advice else ''}It must be a"
        " .safetensors file, or a PyTorch file that holds tensors only; a file that needs code to open is"
        " refused."
    )


# --- what a file is -------------------------------------------------------------------------------------

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
        raise _unreadable(path, "it is empty", _AGAIN)
    with path.open("rb") as file:
        start = file.read(512)
    # First of all: a .safetensors file begins with a length, which may look like any other beginning.
    if start[8:9] == b"{" and (start[4:8] == bytes(4) or not start.startswith(b"\x80")):
        from safetensors.torch import load_file

        return load_file(path)
    for beginning, what, advice in BEGINNINGS:
        if start.startswith(beginning):
            raise _unreadable(path, what, advice)
    if start.startswith(b"PK\x03\x04"):
        _check_zip(path, size)
        return _torch_load(path)
    if start.startswith(b"\x80"):
        return _torch_load(path)
    if start[257:262] == b"ustar":
        raise _unreadable(
            path,
            "it is a tar archive",
            "PyTorch wrote such files until 2017: save it again with a newer one, or "
            "unpack it and give the file inside.",
        )
    if start[4:8] == b"TFL3":
        raise _unreadable(path, "it is a TensorFlow Lite model", _NOT_TORCH)
    if (
        start[:1] == b"\x08"
        and start[2:3] in (b"\x12", b"\x1a", b"\x22", b"\x2a", b"\x3a", b"\x42")
        or path.suffix == ".onnx"
    ):
        raise _unreadable(path, "it is an ONNX model", "Take the PyTorch weights that it was made from.")
    text = start.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith((b"<!doctype", b"<html", b"<?xml", b"<head")):
        raise _unreadable(
            path,
            "it is a web page, such as a server's error message",
            "Open the address in a browser, and download the file itself.",
        )
    if _is_text(start):
        raise _unreadable(path, "it is a text file", "")
    raise _unreadable(path, "it is no file of a kind that is known, or its beginning is damaged", "")


def _is_text(start: bytes) -> bool:
    return all(
        byte in b"\t\r\n" or 32 <= byte < 127 or byte >= 128 for byte in start
    ) and not start.startswith(b"\x80")


def _check_zip(path: Path, size: int) -> None:
    """Raise WeightsError for a zip archive that is not `torch.save`'s, or that unpacks to far more."""
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        raise _unreadable(path, "it is damaged, or was cut off", _AGAIN) from None
    names = {entry.filename for entry in entries}
    ends = {name.partition("/")[2] for name in names}
    if "constants.pkl" in ends or any(end.startswith("code/") for end in ends):
        raise _unreadable(
            path,
            "it is a TorchScript archive: a program with its weights",
            "Where you trust it: torch.save(torch.jit.load(path).state_dict(), 'weights.pth').",
        )
    if any(
        end.rpartition("/")[2] in ("archive_format", "serialized_exported_program.json")
        for end in names | ends
    ):
        raise _unreadable(
            path,
            "it is a program of torch.export, with its weights",
            "Where you trust it: torch.save(dict(torch.export.load(path).state_dict), 'weights.pth').",
        )
    if "model.weights.h5" in names:
        raise _unreadable(path, "it is a Keras model", _NOT_TORCH)
    if names and all(name.endswith(".npy") for name in names):
        raise _unreadable(
            path, "it is an .npz file of numpy arrays", "Save a table of tensors with torch.save."
        )
    if "data.pkl" not in ends:
        raise _unreadable(path, "it is a zip archive", _UNPACK)
    if sum(entry.file_size for entry in entries) > MOST_GROWTH * size + SPARE_BYTES:
        raise _unreadable(path, f"its {size / 1e6:,.1f} MB would unpack to far more")


# --- PyTorch's files -------------------------------------------------------------------------------------


class _Opaque:
    """Stands in for an object of a harmless class; nothing of it is kept."""

    def __new__(cls, *args: Any) -> _Opaque:
        return object.__new__(cls)

    def __init__(self, *args: Any):
        pass

    def __setstate__(self, state: Any) -> None:
        pass


class _Table:
    """Stands in for a dict of a harmless class: a plain one that the file then fills."""

    def __new__(cls, *args: Any) -> OrderedDict:
        return OrderedDict()


# What training programs put beside the tensors. None of these classes is imported or run: the names are read
# as data.
HARMLESS: dict[str, type] = {
    "argparse.Namespace": _Opaque,
    "types.SimpleNamespace": _Opaque,  # the settings of timm's and many other scripts
    **{
        f"numpy.{core}.multiarray.{name}": _Opaque
        for core in ("core", "_core")
        for name in ("scalar", "_reconstruct")
    },
    "numpy.dtype": _Opaque,
    "numpy.ndarray": _Opaque,  # best metrics, as numpy's numbers and arrays
    **{f"pathlib.{kind}Path": _Opaque for kind in ("Posix", "Windows", "PurePosix", "PureWindows", "")},
    **{
        f"pathlib._local.{kind}Path": _Opaque for kind in ("Posix", "Windows", "PurePosix", "PureWindows", "")
    },
    "collections.defaultdict": _Table,
    **{
        f"builtins.{name}": _Opaque
        for name in ("list", "dict", "tuple", "int", "float", "str", "bool", "slice", "range")
    },
    "datetime.datetime": _Opaque,
    "datetime.timedelta": _Opaque,
    "datetime.date": _Opaque,
    "torch.torch_version.TorchVersion": _Opaque,
    "typing.Any": _Opaque,
}
# Whole packages of this kind: Lightning keys its callbacks by class, omegaconf holds the settings of a run.
HARMLESS_PACKAGES = (
    "pytorch_lightning",
    "lightning",
    "lightning_fabric",
    "lightning_utilities",
    "omegaconf",
    "numpy.dtypes",
    "yacs",
    "ml_collections",
    "addict",
    "easydict",
    "mmengine.config",
    "timm.utils.metrics",
    "torch.optim.lr_scheduler",
)
_one_at_a_time = threading.Lock()  # torch keeps one list of allowed names for the whole process


def _torch_load(path: Path) -> Any:
    import torch
    from torch import serialization

    asked = _asked_for(path)
    allowed = dict(HARMLESS)
    for name in asked:
        if name.startswith(tuple(f"{package}." for package in HARMLESS_PACKAGES)):
            allowed[name] = _Table if name.lower().endswith(("dict", "dictconfig", "confignode")) else _Opaque
    refused = sorted(asked - allowed.keys())
    module = next((name for name in refused if name.startswith("torch.nn.modules.")), None)
    if module:
        raise _unreadable(
            path,
            f"it holds a whole model, whose classes are programs: {', '.join(refused[:3])}",
            "Save its tensors instead: torch.save(model.state_dict(), 'weights.pth').",
        )
    try:
        names = serialization.safe_globals([(stand_in, name) for name, stand_in in allowed.items()])
        with _one_at_a_time, names, path.open("rb") as file:  # by its content: torch would believe the suffix
            return torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:
        name = refused[0] if refused else _refused_class(error)
        if name is None:
            raise
        advice = "Save its tensors alone: torch.save(model.state_dict(), 'weights.pth')."
        if name.startswith(("numpy.", "builtins.")):
            advice = "Save tensors and plain numbers only, such as model.state_dict()."
        raise _unreadable(path, f"opening it would run {name[:80]}, which is no tensor", advice) from None


def _asked_for(path: Path) -> set[str]:
    """The classes and functions that a PyTorch file names beyond tensors; empty where it can't be asked."""
    from torch import serialization

    try:
        return set(serialization.get_unsafe_globals_in_checkpoint(path))
    except Exception:  # an older format, or damaged: `torch.load` tells
        return set()


def _refused_class(error: Exception) -> str | None:
    """The class that torch's unpickler refused, from its own words; None where that was not the reason."""
    import re

    found = re.search(r"GLOBAL ([\w.]+) (?:was not an allowed|whose module)", str(error))
    return found[1] if found else None


# --- tables in it ------------------------------------------------------------------------------------------


def unpack(content: Any, name: str = "the file") -> Checkpoint:
    """The tables of tensors in what a file held, however deep. Raises WeightsError where there is none."""
    if not isinstance(content, Mapping):
        raise WeightsError(
            f"'{name}' holds a {type(content).__name__}, not a table of tensors by name. "
            "Save `model.state_dict()` and try again."
        )
    tables = dict(_tables(content, "", 0, set()))
    if not tables:
        arrays = sum(isinstance(value, _Opaque) for value in content.values())
        but = f": {arrays} entries are numpy arrays or other objects" if arrays else ""
        raise WeightsError(f"'{name}' holds no tensors{but}. Save `model.state_dict()` and try again.")
    return Checkpoint(name, tables)


def _tables(
    content: Mapping, place: str, depth: int, seen: set[int]
) -> Iterable[tuple[str, dict[str, Tensor]]]:
    import torch

    if id(content) in seen or depth > MOST_DEPTH or len(seen) > MOST_TABLES:
        return
    seen.add(id(content))
    # "n_averaged": torch's AveragedModel counts its steps beside the weights
    tensors = {
        str(key): value
        for key, value in content.items()
        if isinstance(value, torch.Tensor) and key != "n_averaged"
    }
    if tensors:
        yield place, tensors
    for key, value in content.items():
        if isinstance(key, str) and isinstance(value, Mapping):  # an optimizer numbers its tables
            yield from _tables(value, f"{place}.{key}" if place else key, depth + 1, seen)


def check_sizes(tensors: Mapping[str, Tensor], name: str, size: int | None = None) -> None:
    """Raise WeightsError for tensors that claim more numbers than they have, before anybody copies them.

    A tensor of stride 0 shows one number a million times: a few bytes in the file, gigabytes in a model.
    size: of the file, in bytes; None where there is none, so that the tensors' own memory decides
    """
    import torch

    storages: dict[int, int] = {}
    claimed = 0
    for key, value in tensors.items():
        if value.layout != torch.strided or value.is_quantized or value.is_meta or value.is_nested:
            kind = (
                "quantised"
                if value.is_quantized
                else "without numbers (on `meta`)" if value.is_meta else "sparse"
            )
            raise WeightsError(
                f"'{name}' can't be used: its tensor {key[:80]!r} is {kind}. Save dense tensors of numbers."
            )
        storage = value.untyped_storage()
        storages[storage.data_ptr()] = storage.nbytes()
        claims = value.numel() * value.element_size()
        claimed += claims
        if claims > storage.nbytes():
            raise WeightsError(
                f"'{name}' can't be used: its tensor {key[:80]!r} claims {value.numel():,} numbers, and the"
                f" file holds {storage.nbytes() // value.element_size():,} of them. Save it with"
                " .contiguous()."
            )
    there = sum(storages.values()) if size is None else size
    if claimed > MOST_GROWTH * there + SPARE_BYTES:
        raise WeightsError(
            f"'{name}' can't be used: its tensors claim {claimed / 1e9:,.1f} GB, and the file has "
            f"{there / 1e6:,.1f} MB. Save each tensor with .clone()."
        )
