"""The features of many photos: worked out once, kept on disk, never all in memory.

    features = run_folder("tf_efficientnet_lite0", "holiday/")
    features.embeddings                  # [N, D] float32, in a file that is mapped into memory
    features.logits                      # [N, K]
    features.problems                    # [(name, why)] of the photos that could not be opened

A photo is known by the SHA-256 of its file, a model by that of its weights, its layers and the preprocessing:
whatever was worked out before, for whichever folder, is read and not computed. New rows reach the disk in
chunks, each written whole or not at all, so a run that was stopped or killed goes on where it was. One photo
that the cache knows is always looked at again: where the model answers otherwise by now (its code was changed),
what is kept for it is thrown away.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import shutil
import tempfile
import time
import uuid
import zipfile
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import reduce
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from explorer.arguments import checked
from explorer.data.collection import describe, is_many
from explorer.data.datasets import BUNDLED, PhotoSet, Splits, labelled, open_data
from explorer.data.folders import printable
from explorer.data.images import ImageError, load_image
from explorer.data.photo_sets import Joined, joined
from explorer.data.reading import in_order
from explorer.data.transforms import create_transform, resolve_data_config
from explorer.display.html import RichRepr, notes_html
from explorer.display.words import counted
from explorer.files import given_path, remove_stale, write_whole
from explorer.inspection.look.faster import Faster, far
from explorer.inspection.look.looking import as_model, evaluating, labels_of, model_name, notes_on
from explorer.models.contract import VisionModel, parameter_place

log = logging.getLogger(__name__)

FORMAT = "1"          # of the chunks; another number, and what is on disk is not looked at
CHUNK_ROWS = 256      # photos that a killed run can lose, at most
CHUNK_SECONDS = 10.0  # and the seconds of its work
MOST_CHUNK_BYTES = 1024**3  # of a file that is still read


class StoreError(RuntimeError):
    """Features that can't be kept or read; the message is one sentence with what to do next."""


# --- which photos -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Collection:
    """Photos in their order, by whatever way they were given.

    files: the path of each, None where it has none;  labels: one class index each, or None
    held_out: for each photo whether it belongs to the part to judge by; None where nobody has split them
    """

    names: tuple[str, ...]
    open_one: Callable[[int], Image.Image] = field(repr=False)
    files: tuple[Path | None, ...] = ()
    labels: tuple[int, ...] | None = None
    classes: tuple[str, ...] = ()
    held_out: tuple[bool, ...] | None = None

    def __len__(self) -> int:
        return len(self.names)


def collect(photos: Any) -> Collection:
    """What `run_folder` takes, as a Collection. Raises ValueError where there are no photos."""
    if isinstance(photos, Collection):
        return photos
    if isinstance(photos, Splits):
        return _both(photos.train, photos.val)
    if isinstance(photos, PhotoSet):
        return _of_photo_set(photos)
    if isinstance(photos, str) and photos in BUNDLED:
        return collect(open_data(photos))
    if isinstance(photos, (str, os.PathLike)):
        path = given_path(photos, "photos")
        if path.is_dir():
            return _of_folder(path)
        if not path.is_file():
            raise ValueError(f"There is no folder '{path}'. Give a folder with photos, a list of photos, or one of the names "
                             f"{', '.join(BUNDLED)}.")
        photos = [path]
    if isinstance(photos, np.ndarray) and photos.ndim == 4:  # a stack of photos
        return _of_list(list(photos))
    return _of_list(list(photos) if is_many(photos) else [photos])


def _of_list(items: list[Any]) -> Collection:
    if not items:
        raise ValueError("There are no photos in this list: give some, or a folder.")
    files = tuple(Path(os.fspath(item)).expanduser() if isinstance(item, (str, os.PathLike)) else None
                  for item in items)
    short = [f"image {number}" if file is None else file.name for number, file in enumerate(files, 1)]
    count = Counter(short)
    names = tuple(name if count[name] == 1 or file is None else str(file) for name, file in zip(short, files))
    return Collection(names, lambda i: load_image(items[i]), files)


def _of_photo_set(photos: PhotoSet) -> Collection:
    files = photos.files or (None,) * len(photos)
    # A photo with several classes at once, or with numbers, has no one label; its features are worth as much.
    labels = photos.labels if photos.kind == "one" else None
    return Collection(photos.names, photos.open_one, files, labels, () if labels is None else photos.classes)


def _both(train: PhotoSet, val: PhotoSet) -> Collection:
    first, second = _of_photo_set(train), _of_photo_set(val)

    labels = None if first.labels is None or second.labels is None else first.labels + second.labels
    twice = {*first.names} & {*second.names}
    names = (*(f"train/{n}" if n in twice else n for n in first.names),
             *(f"val/{n}" if n in twice else n for n in second.names))
    return Collection(names, Joined(train, val), first.files + second.files, labels,
                      () if labels is None else first.classes,
                      (False,) * len(train) + (True,) * len(val))


def _of_folder(folder: Path) -> Collection:
    """With labels where all photos have one, as `describe` says, of two classes at least; else without."""
    described = describe(folder)
    if not described.photos:
        raise ValueError(f"'{folder}' holds no photos, nor do its subfolders: give a folder with some.")
    if len(described.classes) > 1 and sum(map(len, described.parts)) == len(described.photos):
        learnt, *judged = (labelled(described, part.role) for part in described.parts)
        if judged and "train" in described.splits:
            return _both(learnt, reduce(joined, judged))
        return _of_photo_set(labelled(described))
    names = tuple(printable(file.relative_to(folder).as_posix()) for file in described.photos)
    return Collection(names, lambda i: load_image(described.photos[i]), described.photos)


# --- what comes back ----------------------------------------------------------------------------------------


@dataclass(eq=False, repr=False)
class Features(RichRepr):
    """What a model makes of many photos, in their order; those that could not be opened are left out.

    names:      what each photo is called;  files: its path, or None
    labels:     class index of each, LongTensor [N], or None where the photos have none;  classes: what they
                are called
    held_out:   BoolTensor [N], True for photos of the folder's own val part; None where it has none
    embeddings: the vector in front of the classifier, [N, D] float32;  logits: [N, K] float32. Both are in a
                file that is mapped into memory (np.memmap); writing to them changes nothing on disk
    class_names: of the logits
    problems:   [(name, why)] of photos that were left out
    computed:   how many photos went through the network now; the others were known
    complete:   False where it was stopped before the last photo
    seconds:    wall time;  notes: sentences that a reader must know;  disk: bytes kept for this model;
                cache_dir: where
    """

    model_name: str
    names: tuple[str, ...]
    files: tuple[Path | None, ...]
    labels: Tensor | None
    classes: tuple[str, ...]
    held_out: Tensor | None
    embeddings: np.ndarray
    logits: np.ndarray
    class_names: tuple[str, ...]
    problems: list[tuple[str, str]]
    computed: int
    complete: bool
    seconds: float
    notes: tuple[str, ...] = ()
    disk: int = 0
    cache_dir: Path | None = None
    _open: Callable[[int], Image.Image] | None = None

    def __len__(self) -> int:
        return len(self.names)

    def open_photo(self, index: int) -> Image.Image:
        """The photo of a row, upright RGB. Raises ImageError where its file has gone meanwhile."""
        return self._open(range(len(self))[index])

    def subset(self, indices: Sequence[int]) -> Features:
        """The rows at `indices`, in that order; their numbers are in memory."""
        chosen = [range(len(self))[int(index)] for index in indices]
        return replace(
            self, names=tuple(self.names[i] for i in chosen), files=tuple(self.files[i] for i in chosen),
            labels=None if self.labels is None else self.labels[chosen],
            held_out=None if self.held_out is None else self.held_out[chosen],
            embeddings=np.array(self.embeddings[chosen]),
            logits=np.array(self.logits[chosen]), computed=min(self.computed, len(chosen)), _open=lambda i: self._open(chosen[i]))

    @property
    def sentence(self) -> str:
        """What was done, in a line, with a size note."""
        known = len(self) - self.computed
        parts = [f"{counted(len(self), 'photo')} in {self.seconds:.1f} s"]
        if known > 0:
            parts.append(f"{known:,} known before")
        if self.problems:
            parts.append(f"{len(self.problems)} could not be opened")
        if not self.complete:
            parts.append("stopped before the end")
        if self.disk:
            parts.append(f"{self.disk / 1e6:.1f} MB kept for this model")
        return ", ".join(parts)

    def __repr__(self) -> str:
        return f"Features({self.model_name!r}, {self.sentence})"

    def _repr_html_(self) -> str:
        shape = f"embeddings {list(self.embeddings.shape)}, logits {list(self.logits.shape)}"
        labels = f", {len(self.classes)} classes" if self.labels is not None else ""
        notes = notes_html(self.notes)
        broken = "".join(f"<li>{escape(name)}: {escape(why)}</li>" for name, why in self.problems[:5])
        return (f"<div><p style='margin:.3em 0'><b>{escape(self.model_name)}</b>: {escape(self.sentence)}</p>"
                f"<p style='margin:.3em 0'>{shape}{labels}</p>{notes}{f'<ul>{broken}</ul>' if broken else ''}</div>")


# --- on disk ------------------------------------------------------------------------------------------------


def default_cache_dir() -> Path:
    """Where features are kept unless told otherwise: `explorer/features` in the user's cache folder."""
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache", "explorer", "features").expanduser()


def _root(cache_dir: str | os.PathLike | None) -> Path:
    return default_cache_dir() if cache_dir is None else given_path(cache_dir, "cache_dir")


def cache_size(cache_dir: str | os.PathLike | None = None) -> int:
    """Bytes that all kept features take on disk."""
    root = _root(cache_dir)
    return sum(file.stat().st_size for file in _chunks_in(root, "*/"))


def clear_cache(cache_dir: str | os.PathLike | None = None) -> int:
    """Delete all kept features, and nothing else; the bytes that this gave back. They are worked out anew when needed."""
    root = _root(cache_dir)
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

    Each holds `keys` [n, 32] uint8, `embeddings` [n, D] and `logits` [n, K]. Only whole numbers and floats are
    read (no pickles), and only files whose checksums are right. Several processes may write to the same folder:
    every chunk has a name of its own.
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
        with tempfile.TemporaryFile(dir=folder):  # a folder that can't be written says so now, not after the first chunk
            pass
        for file in _chunks_in(folder):
            self._learn(file)

    def _learn(self, file: Path) -> None:
        try:
            if file.stat().st_size > MOST_CHUNK_BYTES:
                raise ValueError("too large")
            with zipfile.ZipFile(file) as archive:  # compressed ones, that could unfold without end, are not unfolded
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
        """A chunk that was there. Raises StoreError where another process has taken it away, or changed it."""
        try:
            parts = self._parts(file)
            if (parts[1].shape[1], parts[2].shape[1]) != self.widths:
                raise ValueError("of another width")
            return parts
        except Exception as error:
            raise StoreError(f"'{file}' was taken away or changed while it was used ({error}): run it again.") from error

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
        """Write what waits as one chunk: under another name first, so that it is there whole or not at all."""
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
        with tempfile.TemporaryFile(dir=self.folder) as first, tempfile.TemporaryFile(dir=self.folder) as second:
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


# --- through the network ------------------------------------------------------------------------------------


def vectors_and_logits(model: VisionModel, batch: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Photos [B, C, H, W] -> (embeddings [B, D], logits [B, K]), float32 in numpy."""
    with evaluating(model), torch.inference_mode():
        features = model.forward_features(batch.to(**parameter_place(model)))
        if model.num_classes:
            vectors, logits = model.forward_vector_and_logits(features)
        else:
            vectors = model.forward_head(features, pre_logits=True)
            logits = vectors.new_empty(len(batch), 0)
        # a model that doesn't pool: [B, C, H, W] or, a transformer's tokens, [B, N, C]
        if vectors.ndim > 2:
            vectors = vectors.mean((2, 3)) if vectors.ndim == 4 else vectors.mean(1)
        if logits.ndim > 2:
            raise ValueError(f"This model gives logits of shape {list(logits.shape[1:])} for one photo, not one score a "
                             'class: create it with a global_pool, e.g. "avg".')
        return vectors.float().cpu().numpy(), logits.float().cpu().numpy()


def _differs(kept: tuple[np.ndarray, np.ndarray], now: tuple[np.ndarray, np.ndarray],
             model: VisionModel) -> bool:
    """Whether a model gives another row than the one that is kept, by more than rounding on other hardware explains."""
    limit = 1e-3 if parameter_place(model)["dtype"] == torch.float32 else 5e-2
    return any(far(one, other[0]) > limit for one, other in zip(kept, now))


@dataclass
class _Opened:
    """A photo on its way: its key, and its input [C, H, W] unless it is known; or why it can't be opened."""

    key: bytes = b""
    tensor: Tensor | None = None
    problem: str = ""


@checked
def run_folder(
    model: VisionModel | str, photos: Any, *, batch_size: int = 32,
    cache_dir: str | os.PathLike | None = None,
    on_progress: Callable[[int, int], None] | None = None, should_stop: Callable[[], bool] | None = None,
) -> Features:
    """Embeddings and logits of many photos; those that were worked out before are read from the disk.

    model:      an explorer model, or a name, created with its trained weights
    photos:     a folder (with one folder a class, or train/ and val/ with these, its photos have labels), a
                bundled name such as "flowers5", a list of anything that `load_image` takes, an explorer.data
                PhotoSet or Splits
    batch_size: photos that go through the network together; about three times as many are in memory at a time
    cache_dir:  where the features are kept; by default `default_cache_dir()`
    on_progress, should_stop: called after every batch, on_progress with (photos done, photos in all); True
                from should_stop ends it, keeping what is done

    A broken photo is left out and named in `problems`. Raises ValueError where there is no photo, or none
    that can be opened, WeightsError where weights can't be had, StoreError where `cache_dir` can't be
    written.
    """
    if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
        raise ValueError(f"batch_size is {batch_size!r}: expected how many photos go together, from 1.")
    started = time.perf_counter()
    photos, model = collect(photos), as_model(model)
    config = resolve_data_config({}, model=model)
    transform = create_transform(**config)
    notes = list(notes_on(model))
    with evaluating(model):
        key = model_key(model, config)
    folder = f"{re.sub(r'[^0-9A-Za-z._-]+', '_', model_name(model))[:60]}-{key[:24]}"
    root, borrowed = _root(cache_dir), None
    try:
        try:
            chunks = Chunks(root / folder)
        except OSError as error:
            if cache_dir is not None:
                raise
            notes.append(f"'{root}' can't be written ({error.strerror}), so these features are not kept for the next time.")
            borrowed = tempfile.mkdtemp(prefix="explorer-")
            chunks = Chunks(Path(borrowed, folder))
        try:
            keys, problems, computed, complete = _fill(chunks, model, photos, transform, batch_size,
                                                       on_progress, should_stop)
        finally:
            chunks.flush()
        kept = [index for index, one in enumerate(keys) if one in chunks.known]
        if complete and not kept:
            name, why = problems[0]
            raise ValueError(f"None of the {len(photos)} photos could be opened. The first, {name}: {why}")
        widths = chunks.widths or (model.head_hidden_size, model.num_classes)
        embeddings, logits = chunks.gather([keys[index] for index in kept], widths)
        disk = 0 if borrowed else chunks.size()
    except OSError as error:
        raise StoreError(f"The features could not be kept in '{root}' ({error.strerror or error}): make room there, or give "
                         "another cache_dir.") from error
    finally:
        if borrowed:
            shutil.rmtree(borrowed, ignore_errors=True)

    def of(values: Sequence[Any]) -> tuple[Any, ...]:
        return tuple(values[index] for index in kept)

    return Features(
        model_name=model_name(model), names=of(photos.names), files=of(photos.files),
        labels=None if photos.labels is None else torch.tensor(of(photos.labels), dtype=torch.long),
        classes=photos.classes,
        held_out=None if photos.held_out is None else torch.tensor(of(photos.held_out), dtype=torch.bool),
        embeddings=embeddings, logits=logits, class_names=labels_of(model) if model.num_classes else (),
        problems=problems, computed=computed, complete=complete, seconds=time.perf_counter() - started,
        notes=tuple(notes), disk=disk,
        cache_dir=None if borrowed else root, _open=lambda index: photos.open_one(kept[index]),
    )


def _fill(
    chunks: Chunks, model: VisionModel, photos: Collection, transform: Any, batch_size: int,
    on_progress: Callable[[int, int], None] | None, should_stop: Callable[[], bool] | None,
) -> tuple[list[bytes], list[tuple[str, str]], int, bool]:
    """Work out what the chunks lack: (the key of each photo seen, problems, how many were computed, whether all were seen)."""
    checked = not chunks.known  # whether what is known has been compared with what the model says today
    walker = Faster(model, vectors_and_logits)
    keys: list[bytes] = []
    problems: list[tuple[str, str]] = []
    waiting: list[tuple[bytes, Tensor]] = []
    computed = 0

    def prepare(index: int) -> Tensor:
        return transform(photos.open_one(index))

    def one(index: int) -> _Opened:  # in a thread
        try:
            file = photos.files[index]
            if file is not None and file.is_file():
                with open(file, "rb") as stream:
                    key = hashlib.file_digest(stream, "sha256").digest()
                return _Opened(key, None if key in chunks.known else prepare(index))
            photo = photos.open_one(index)
            key = hashlib.sha256(f"pixels {photo.size} ".encode() + photo.tobytes()).digest()
            return _Opened(key, None if key in chunks.known else transform(photo))
        except (ImageError, OSError) as error:
            return _Opened(problem=str(error))

    def run(following: int) -> None:
        nonlocal computed
        if waiting:
            batch = torch.stack([tensor for _, tensor in waiting])
            chunks.add([key for key, _ in waiting], *walker(batch, following=following))
            computed += len(waiting)
            waiting.clear()

    for index, opened in enumerate(in_order(one, range(len(photos)), ahead=2 * batch_size)):
        try:
            if not opened.problem and opened.tensor is None and not checked:
                checked = True
                tensor = prepare(index)
                if _differs(chunks.row(opened.key), walker(tensor[None]), model):
                    log.warning("%s answers otherwise than before: its kept features are thrown away",
                                model_name(model))
                    chunks.forget()
            if not opened.problem and opened.tensor is None and opened.key not in chunks.known:
                opened.tensor = prepare(index)  # it was forgotten meanwhile
        except ImageError as error:
            opened.problem = str(error)
        if opened.problem:
            problems.append((photos.names[index], opened.problem))
        elif opened.tensor is not None:
            waiting.append((opened.key, opened.tensor))
        keys.append(opened.key)
        last = index + 1 == len(photos)
        if len(waiting) == batch_size or last:
            run(len(photos) - index - 1)
        if (index + 1) % batch_size == 0 or last:
            if on_progress is not None:
                on_progress(index + 1 - len(waiting), len(photos))
            if not last and should_stop is not None and should_stop():
                return keys, problems, computed, False
    return keys, problems, computed, True


__all__ = ["Collection", "Features", "StoreError", "cache_size", "clear_cache", "collect",
           "default_cache_dir", "run_folder"]
