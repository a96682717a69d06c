"""Short hexadecimal texts that tell weights, photos and functions from others, in any process.

    of_tensors(model.state_dict())        # the numbers themselves, not where they are
    of_photos(splits.train)               # names, labels, file sizes, and what is in a few of them
    of_function(my_augmentation)          # the code and all that it holds on to, not only its name
"""

from __future__ import annotations

import functools
import hashlib
import os
import random
import re
import sys
import sysconfig
import types
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from explorer.data.photo_sets import PhotoSet
from explorer.data.places.place_set import PlaceSet

SAMPLED = 8    # photos of a set that are opened
DEEPEST = 12   # a function that holds a function that holds ...
_ADDRESS = re.compile(r"\bat 0x[0-9a-fA-F]+")


def of_tensors(tensors: Mapping[str, Any]) -> str:
    """Tells tables of tensors apart by names, shapes, types and every number."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        value = tensors[name]
        digest.update(f" {name} ".encode())
        if isinstance(value, Tensor):
            digest.update(f"{value.dtype} {list(value.shape)} ".encode())
            digest.update(value.detach().cpu().reshape(-1).contiguous().view(torch.uint8).numpy())
        else:
            digest.update(repr(value).encode())
    return digest.hexdigest()[:16]


def of_shapes(tensors: Mapping[str, Any]) -> str:
    """Tells networks apart by the names and shapes of what they hold."""
    facts = sorted((name, list(getattr(value, "shape", ()))) for name, value in tensors.items())
    return hashlib.sha256(repr(facts).encode()).hexdigest()[:16]


def of_photos(photos: PhotoSet | PlaceSet) -> str:
    """Tells sets of photos apart: the names, labels and file sizes of all, and the content of a few.

    The same photos in another folder, or on another computer, are the same. Photos that are different each
    time they are opened (a data set with a random transform) are known by their names and labels alone.
    """
    labels = photos.labels if isinstance(photos, PhotoSet) else _of_boxes(photos)
    digest = hashlib.sha256(repr((photos.names, labels)).encode())
    count = len(photos)
    chosen = sorted({round(i * (count - 1) / max(SAMPLED - 1, 1)) for i in range(min(SAMPLED, count))})
    if photos.files:
        digest.update(repr([_size(path) for path in photos.files]).encode())
        for path in (photos.files[i] for i in chosen):
            digest.update(path.read_bytes() if _size(path) else b"")
    else:
        first = [_pixels(photos, i) for i in chosen]
        if first == [_pixels(photos, i) for i in chosen]:
            digest.update(repr(first).encode())
    return digest.hexdigest()[:16]


def _of_boxes(photos: PlaceSet) -> str:
    """Tells boxes apart; "" of masks, which lie in files of their own."""
    digest = hashlib.sha256()
    for one in photos.boxes or ():
        for values in (one.boxes, one.labels, one.crowd):
            digest.update(f"{values.shape}".encode() + np.ascontiguousarray(values).tobytes())
    return digest.hexdigest() if photos.boxes is not None else ""


def _size(path: Path) -> int:
    try:
        return path.stat().st_size if path.is_file() else 0
    except OSError:  # taken away meanwhile: the run will say so
        return 0


def _pixels(photos: PhotoSet | PlaceSet, index: int) -> str:
    try:
        photo = photos.open_one(index)
        return hashlib.sha256(f"{photo.mode} {photo.size} ".encode() + photo.tobytes()).hexdigest()
    except Exception as error:  # a broken photo, or a data set's own trouble: the run will say so
        return type(error).__name__


# --- functions ----------------------------------------------------------------------------------------------


def name_of(function: Callable[..., Any]) -> str:
    """"module.qualified_name" of a function, or of an object's class."""
    named = function if hasattr(function, "__qualname__") else type(function)
    return f"{named.__module__}.{named.__qualname__}"


def of_function(function: Callable[..., Any]) -> str:
    """Tells functions, or objects that can be called, apart by their code and the values they hold.

    The same in another process, for one version of Python. Code that was installed counts by its name.
    """
    return hashlib.sha256("\n".join(_described(function, set(), 0)).encode()).hexdigest()[:16]


def _described(value: Any, seen: set[int], depth: int) -> Iterable[str]:
    """What a value is, in lines that hold no address and depend on no order of a set."""
    if value is None or isinstance(value, (bool, int, float, complex, str, bytes)):
        yield repr(value)
    elif isinstance(value, types.CodeType):
        names = (value.co_names, value.co_varnames, value.co_freevars)
        yield f"code {value.co_name} {value.co_code.hex()} {names}"
        for constant in value.co_consts:
            yield from _described(constant, seen, depth + 1)
    elif id(value) in seen or depth > DEEPEST:
        yield type(value).__qualname__
    else:
        seen.add(id(value))
        yield from _parts(value, seen, depth + 1)


def _parts(value: Any, seen: set[int], depth: int) -> Iterable[str]:
    if isinstance(value, os.PathLike):  # it remembers what it was asked
        yield f"path {os.fspath(value)!r}"
    elif isinstance(value, Tensor):
        yield f"tensor {of_tensors({'': value})}"
    elif isinstance(value, np.ndarray):
        yield f"array {value.dtype} {value.shape} {hashlib.sha256(np.ascontiguousarray(value)).hexdigest()}" \
            if value.dtype != object else f"array {value.shape}"
    elif isinstance(value, (set, frozenset)):
        yield f"{type(value).__qualname__} of {len(value)}"
        yield from sorted("\n".join(_described(item, set(seen), depth)) for item in value)
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield f"{key!r}:" if isinstance(key, (str, int)) else f"{type(key).__qualname__}:"
            yield from _described(item, seen, depth)
    elif isinstance(value, (list, tuple)):
        yield f"{type(value).__qualname__} of {len(value)}"
        for item in value:
            yield from _described(item, seen, depth)
    elif isinstance(value, functools.partial):
        yield from _described([value.func, value.args, value.keywords], seen, depth)
    elif isinstance(value, types.MethodType):
        yield from _described([value.__func__, value.__self__], seen, depth)
    elif isinstance(value, types.FunctionType):
        yield f"function {value.__qualname__}"
        if not _installed(value.__module__):
            yield from _function(value, seen, depth)
    elif isinstance(value, (type, types.ModuleType, types.BuiltinFunctionType)):
        name = getattr(value, "__qualname__", value.__name__)
        yield f"{type(value).__name__} {getattr(value, '__module__', '')} {name}"
        if isinstance(value, type) and not _installed(value.__module__):
            yield from _class(value, seen, depth)
    else:
        yield from _object(value, seen, depth)


def _function(function: types.FunctionType, seen: set[int], depth: int) -> Iterable[str]:
    """Its code, its defaults, what it closes over, and the values of the module that it names."""
    code = function.__code__
    yield from _described(code, seen, depth)
    yield from _described([function.__defaults__, function.__kwdefaults__], seen, depth)
    for cell in function.__closure__ or ():
        try:
            content = cell.cell_contents
        except ValueError:  # not filled yet
            continue
        yield from () if isinstance(content, _FILLED) else _described(content, seen, depth)
    for name in sorted(_names(code)):
        content = function.__globals__.get(name)
        yield f"{name}:"
        yield from () if isinstance(content, _FILLED) else _described(content, seen, depth)


_FILLED = (list, dict, set)  # what a function may fill as it goes is no setting of it


def _names(code: types.CodeType) -> set[str]:
    """The names that code, and the code in it, looks up."""
    inner = [_names(part) for part in code.co_consts if isinstance(part, types.CodeType)]
    return set(code.co_names).union(*inner)


def _class(kind: type, seen: set[int], depth: int) -> Iterable[str]:
    for name, value in sorted(vars(kind).items()):
        value = getattr(value, "__func__", getattr(value, "fget", value))  # of methods and properties
        if isinstance(value, (types.FunctionType, bool, int, float, str, tuple, list, dict)) and \
                name not in _NOT_CODE:
            yield f"{name}:"
            yield from _described(value, seen, depth)
    for base in kind.__bases__:
        yield from _described(base, seen, depth)


_NOT_CODE = ("__module__", "__doc__", "__firstlineno__", "__static_attributes__", "__dict__", "__weakref__",
             "__annotations__")


def _object(value: Any, seen: set[int], depth: int) -> Iterable[str]:
    """Its class and its state: of torch's and everybody's transforms that is what they were made with."""
    yield from _described(type(value), seen, depth)
    if isinstance(value, (random.Random, np.random.Generator, np.random.RandomState, torch.Generator)):
        return  # sources of randomness move on
    if not hasattr(value, "__dict__") and not hasattr(type(value), "__slots__"):
        if type(value).__repr__ is not object.__repr__:
            yield _ADDRESS.sub("", repr(value))  # such as a number of numpy's
        return
    slots = getattr(type(value), "__slots__", ())
    slots = {name: getattr(value, name) for name in slots if hasattr(value, name)}
    for name, item in sorted({**slots, **getattr(value, "__dict__", {})}.items()):
        yield f"{name}:"
        yield from _described(item, seen, depth)


@functools.cache
def _installed(module: str | None) -> bool:
    """Whether a module is Python's own or was installed: its name says what it does."""
    top = (module or "").partition(".")[0]
    if top in sys.builtin_module_names or top in sys.stdlib_module_names and top != "__main__":
        return True
    file = getattr(sys.modules.get(top), "__file__", None)
    if top in ("", "__main__") or not file:
        return False
    places = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    return any(Path(file).resolve().is_relative_to(Path(place).resolve()) for place in places)
