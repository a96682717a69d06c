"""Features on the disk: rows of a photo's file and a model, in chunks that are written whole or not at all.

    cache_size(), clear_cache()        # bytes that all of them take; delete them

A photo is known by the SHA-256 of its file, a model by that of its weights, its layers and the preprocessing.
"""

from __future__ import annotations

import hashlib
import logging
import os
import tempfile
import time
import uuid
import zipfile
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from explorer.files import given_path, remove_stale, user_cache, write_whole
from explorer.models.contract import VisionModel

log = logging.getLogger(__name__)

FORMAT = "1"          # of the chunks; another number, and what is on disk is not looked at
CHUNK_ROWS = 256      # photos that a killed run can lose, at most
CHUNK_SECONDS = 10.0  # and the seconds of its work
MOST_CHUNK_BYTES = 1024**3  # of a file that is still read


class StoreError(RuntimeError):
    """Features that can't be kept or read; the message is one sentence with what to do next."""


def default_cache_dir() -> Path:
    """Where features are kept unless told otherwise: `explorer/features` in the user's cache folder."""
    return user_cache("features")


def cache_root(cache_dir: str | os.PathLike | None) -> Path:
    return default_cache_dir() if cache_dir is None else given_path(cache_dir, "cache_dir")


def cache_size(cache_dir: str | os.PathLike | None = None) -> int:
    """Bytes that all kept features take on disk."""
    root = cache_root(cache_dir)
    return sum(file.stat().st_size for file in _chunks_in(root, "*/"))


def clear_cache(cache_dir: str | os.PathLike | None = None) -> int:
    """Delete all kept features and nothing else, to be worked out anew when needed; the bytes given back."""
    root = cache_root(cache_dir)
    size = cache_size(root)
    for file in _chunks_in(root, "*/"):
        file.unlink(missing_ok=True)
        with suppress(OSError):  # other files are in there
            file.parent.rmdir()
    return size


def _chunks_in(folder: Path, below: str = "") -> list[Path]:
    """The chunks of a folder: plain files, since a pipe of that name would be waited for."""
    return sorted(file for file in folder.glob(f"{below}chunk-*.npz") if file.is_file())


class Chunks:
    """The rows of one model on disk, in files `chunk-*.npz`.

    Each holds `keys` [n, 32] uint8, `embeddings` [n, D] and `logits` [n, K]. Only whole numbers and floats
    are read (no pickles), and only files whose checksums are right. Several processes may write to the same
    folder: every chunk has a name of its own.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self.known: dict[bytes, tuple[Path, int]] = {}  # key of a photo -> its chunk and row
        self.widths: tuple[int, int] | None = None      # D, K
        self._keys: list[bytes] = []
        # embeddings [b, D], logits [b, K], not yet on disk
        self._rows: list[tuple[np.ndarray, np.ndarray]] = []
        self._written = time.monotonic()
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        remove_stale(folder, r"chunk-[0-9a-f]{32}\.npz")  # what a killed run began
        # A folder that can't be written says so now, not after the first chunk.
        with tempfile.TemporaryFile(dir=folder):
            pass
        for file in _chunks_in(folder):
            self._learn(file)

    def _learn(self, file: Path) -> None:
        try:
            if file.stat().st_size > MOST_CHUNK_BYTES:
                raise ValueError("too large")
            # Compressed ones, that could unfold without end, are not unfolded.
            with zipfile.ZipFile(file) as archive:
                if any(part.compress_type for part in archive.infolist()) or archive.testzip():
                    raise ValueError("damaged")
            keys, embeddings, logits = self._parts(file)
            ours = keys.dtype == np.uint8 and embeddings.dtype == logits.dtype == np.float32
            alike = keys.shape[1:] == (32,) and len(keys) == len(embeddings) == len(logits)
            if not ours or not alike or embeddings.ndim != 2 or logits.ndim != 2:
                raise ValueError("not ours")
            widths = embeddings.shape[1], logits.shape[1]
            if self.widths not in (None, widths):
                raise ValueError("of another width")
        except Exception as error:  # whatever a damaged file can raise
            log.warning("%s is not used: %s", file, error)
            return
        self.widths = widths
        self.known.update({key.tobytes(): (file, row) for row, key in enumerate(keys)})

    @staticmethod
    def _parts(file: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        with np.load(file, allow_pickle=False) as chunk:
            return chunk["keys"], chunk["embeddings"], chunk["logits"]

    def _read(self, file: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """A chunk that was there. Raises StoreError where another process took it away or changed it."""
        try:
            parts = self._parts(file)
            if (parts[1].shape[1], parts[2].shape[1]) != self.widths:
                raise ValueError("of another width")
            return parts
        except Exception as error:
            problem = f"'{file}' was taken away or changed while it was used ({error}): run it again."
            raise StoreError(problem) from error

    def row(self, key: bytes) -> tuple[np.ndarray, np.ndarray]:
        """(embedding [D], logits [K]) of a known photo."""
        file, row = self.known[key]
        _, embeddings, logits = self._read(file)
        return embeddings[row], logits[row]

    def add(self, keys: Sequence[bytes], embeddings: np.ndarray, logits: np.ndarray) -> None:
        """Take rows in; they are on disk after a few more, or after `flush`."""
        self._keys += keys
        self._rows.append((embeddings, logits))
        if len(self._keys) >= CHUNK_ROWS or time.monotonic() - self._written > CHUNK_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Write what waits as one chunk, under another name first: it is there whole or not at all."""
        if not self._keys:
            return
        keys = np.frombuffer(b"".join(self._keys), np.uint8).reshape(-1, 32)
        embeddings, logits = (np.concatenate(parts) for parts in zip(*self._rows))
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)  # another process may have cleared it away
        target = self.folder / f"chunk-{uuid.uuid4().hex}.npz"

        def write(beside: Path) -> None:
            with open(beside, "wb") as file:
                np.savez(file, keys=keys, embeddings=embeddings, logits=logits)

        write_whole(target, write)
        self.widths = embeddings.shape[1], logits.shape[1]
        self.known.update({key: (target, row) for row, key in enumerate(self._keys)})
        self._keys, self._rows, self._written = [], [], time.monotonic()

    def forget(self) -> None:
        """Delete every chunk of this model."""
        for file in _chunks_in(self.folder):
            file.unlink(missing_ok=True)
        self.known, self.widths = {}, None

    def gather(self, keys: Sequence[bytes], widths: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
        """(embeddings [N, D], logits [N, K]) of known photos, in that order, one chunk in memory at a time.

        They lie in nameless files beside the chunks, which vanish with the arrays.
        """
        places: dict[Path, list[tuple[int, int]]] = {}
        for place, key in enumerate(keys):
            file, row = self.known[key]
            places.setdefault(file, []).append((row, place))
        if not keys:
            return np.zeros((0, widths[0]), np.float32), np.zeros((0, widths[1]), np.float32)
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        nameless = partial(tempfile.TemporaryFile, dir=self.folder)
        with nameless() as first, nameless() as second:
            for file, rows in places.items():
                _, *parts = self._read(file)
                for part, target in zip(parts, (first, second)):
                    widths = (part.shape[1], widths[1]) if target is first else (widths[0], part.shape[1])
                    for row, place in rows:
                        target.seek(place * part.shape[1] * 4)
                        target.write(part[row].tobytes())
            first.flush()
            second.flush()
            return tuple(np.memmap(file, np.float32, mode="c", shape=(len(keys), width)) if width
                         else np.zeros((len(keys), 0), np.float32)
                         for file, width in zip((first, second), widths))

    def size(self) -> int:
        return sum(file.stat().st_size for file in _chunks_in(self.folder))


def model_key(model: VisionModel, config: dict[str, Any]) -> str:
    """Tells one model from another: weights, layers, and what photos are prepared for. Hexadecimal."""
    digest = hashlib.sha256(f"{FORMAT} {sorted(config.items())} {type(model).__qualname__} {model}".encode())
    digest.update(model.config.outputs.encode())  # "numbers" keep what a sigmoid at the end makes of them
    for name, value in model.state_dict().items():
        digest.update(f" {name} ".encode())
        if isinstance(value, Tensor):
            digest.update(f"{value.dtype} {list(value.shape)} ".encode())
            digest.update(value.detach().cpu().reshape(-1).contiguous().view(torch.uint8).numpy())
        else:
            digest.update(repr(value).encode())
    return digest.hexdigest()
