"""Reading weight files that anybody may have written: the tables of tensors in them.

    found = read_checkpoint("last.ckpt")
    found.tables                     {"state_dict": {"model.conv1.weight": ..., ...}, ...}

Which table and which names are a model's own is another question, see `explorer.models.weights.choosing`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from explorer.files import given_path
from explorer.models.weights.kinds import MOST_GROWTH, SPARE_BYTES, read_content
from explorer.models.weights.pickled import Opaque
from explorer.models.weights.report import WeightsError, unreadable

if TYPE_CHECKING:
    from torch import Tensor


# Tables deeper inside a file are not looked for, nor more of them than that.
MOST_DEPTH, MOST_TABLES = 4, 1000


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


def as_checkpoint(found: Checkpoint | Mapping[str, Tensor]) -> Checkpoint:
    """A plain table of tensors as a file that holds nothing else."""
    return found if isinstance(found, Checkpoint) else Checkpoint("the table of tensors", {"": dict(found)})


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
    except Exception as error:  # whatever a hostile file can raise; its text would send the reader astray
        raise unreadable(path, f"it is damaged, or was cut off: {type(error).__name__}") from None
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


def unpack(content: Any, name: str = "the file") -> Checkpoint:
    """The tables of tensors in what a file held, however deep. Raises WeightsError where there is none."""
    if not isinstance(content, Mapping):
        raise WeightsError(
            f"'{name}' holds a {type(content).__name__}, not a table of tensors by name. "
            "Save `model.state_dict()` and try again."
        )
    tables = dict(_tables(content, "", 0, set()))
    if not tables:
        arrays = sum(isinstance(value, Opaque) for value in content.values())
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
            without = "without numbers (on `meta`)" if value.is_meta else "sparse"
            kind = "quantised" if value.is_quantized else without
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
