"""`cluster.predict`: any number of photos, from a folder or an object store, to a table in Parquet files.

Ray Data hands out lists of names, some thousand photos a list. A worker opens the photos of its list, a batch
ahead of the network, and writes one file of answers for it: memory holds two batches of photos a worker,
however many there are. A file appears when it is whole and is named after its photos. So a worker that is
lost is done again by another one, into the same file; and a second call with the same output does what is
missing, and nothing else.
"""

from __future__ import annotations

import copy
import hashlib
import itertools
import json
import logging
import os
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import torch
from torch import Tensor

from explorer._threads import thread_count
from explorer.cluster.connection import ClusterError, connect, find_ray
from explorer.data.folders import is_picture, why_passed_over
from explorer.data.images import ImageError, load_image
from explorer.data.reading import group_by_group, photo_threads
from explorer.display.words import is_out_of_memory, natural_key
from explorer.files import given_path
from explorer.inspection.look.answers import Prediction, check_topk, top_predictions
from explorer.inspection.look.model import as_model, model_name, notes_on, outputs_of
from explorer.inspection.look.own_inputs import preparation_of, transform_for
from explorer.inspection.look.predicting import PredictionRow, PredictionTable
from explorer.inspection.look.table import ROWS_SHOWN
from explorer.models.contract import VisionModel, evaluation, parameter_place

MANIFEST = "explorer.json"
TRIES = 3  # to read a photo: a disk far away may be busy


@dataclass(frozen=True)
class Predicted:
    """Where the answers are, and how many. Iterates over them, row by row as `explorer.predict` gives them.

    photos: all in `output`;  errors: those that could not be opened;  new: those of this call
    seconds: what it took
    """

    output: str
    model_name: str
    photos: int
    errors: int
    new: int
    seconds: float
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return self.photos

    def __iter__(self) -> Iterator[PredictionRow]:
        from pyarrow import parquet

        system, folder = _place(self.output)
        for part in _parts(system, folder):
            with system.open(part, "rb") as file:
                for row in parquet.read_table(file).to_pylist():
                    values = row.get("values") or itertools.repeat(None)  # files of before know none
                    best = map(Prediction, row["labels"], row["indices"], row["probabilities"], row["logits"],
                               values)
                    yield PredictionRow(row["name"], list(best), row["error"] or "")

    def _repr_html_(self) -> str:
        rows = list(itertools.islice(self, ROWS_SHOWN))
        more = (f"The first {len(rows)} of {self.photos} photos; all are in "
                f"{self.output}.",) if self.photos > len(rows) else ()
        return PredictionTable(self.model_name, rows, notes=self.notes + more)._repr_html_()


def predict(
    model: VisionModel | str,
    images: str | os.PathLike,
    *,
    output: str | os.PathLike,
    batch_size: int = 32,
    workers: int | None = None,
    topk: int = 5,
    cpus_per_worker: int = 1,
    device: str | None = None,
    photos_per_file: int = 1024,
    progress: Callable[[int, int], None] | None = None,
) -> Predicted:
    """Classify all photos of a folder or an object store on a Ray cluster; the answers go to Parquet files.

    model:   as in `explorer.predict`
    images:  a folder, or an address that fsspec knows ("s3://bucket/photos", "gs://...",
             "zip://::photos.zip"), searched with all below it for picture files. All computers of the cluster
             must reach it
    output:  a folder or an address for the answers, one row a photo: name, labels, indices, probabilities,
             logits, values (lists,
             best first; values of a model that gives numbers, which have no probabilities), error (a
             sentence where the photo can't be opened, else null). Photos that are there are not done again
    batch_size: photos that go through the network together
    workers: by default as many as the cluster has room for
    cpus_per_worker: threads that open photos, and that the network uses on a CPU
    device:  "cpu", "cuda" (one GPU a worker), or by default "cuda" where the cluster has GPUs
    photos_per_file: of the answers; at most so many per worker are done again after a crash
    progress: called with (photos done, all photos) as files are finished

    Raises FileNotFoundError where there are no photos, ValueError for impossible numbers, a model without
    classifier, or an output of another model; ClusterError where the workers fail; ModuleNotFoundError
    without Ray.
    """
    started = time.monotonic()
    find_ray()
    check_topk(topk)
    for name, value in (("batch_size", batch_size), ("photos_per_file", photos_per_file)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ValueError(f"{name} is {value!r}: give a whole number from 1.")
    if device not in (None, "cpu", "cuda"):
        raise ValueError(f"device is {device!r}: expected 'cpu', or 'cuda' for one GPU a worker.")
    model = as_model(model)
    if not model.num_classes:
        raise ValueError("This model has no classifier (num_classes=0), so there is nothing to predict.")
    ray = connect(workers, cpus=cpus_per_worker, gpus=int(device == "cuda"))
    import pyarrow

    room = ray.cluster_resources()
    on_gpu = device == "cuda" or (device is None and room.get("GPU", 0) >= (workers or 1))
    source, root = _place(images)
    names = _pictures(source, root)
    target, folder = _place(output)
    _claim(target, folder, {"model": model_name(model), "weights": _fingerprint(model), "topk": topk}, output)
    done, errors = _done(target, folder)
    missing = [name for name in names if name not in done]
    lists = [missing[i:i + photos_per_file] for i in range(0, len(missing), photos_per_file)]
    finished = len(names) - len(missing)
    if lists:
        if workers is None:
            workers = int(room["GPU"]) if on_gpu else max(1, int(room.get("CPU", 1)) // cpus_per_worker)
        portable = model if parameter_place(model)["device"].type == "cpu" else copy.deepcopy(model).cpu()
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        logging.getLogger("ray.data").setLevel(logging.WARNING)  # its plans are not what a notebook is for
        answers = ray.data.from_arrow([pyarrow.table({"name": part}) for part in lists]).map_batches(
            _Worker, batch_size=None, zero_copy_batch=True, num_cpus=cpus_per_worker, num_gpus=int(on_gpu),
            compute=ray.data.ActorPoolStrategy(size=min(workers, len(lists))),
            fn_constructor_kwargs={"model": ray.put(portable), "source": source, "root": root,
                                   "target": target, "folder": folder, "topk": topk, "batch_size": batch_size,
                                   "threads": cpus_per_worker, "device": "cuda" if on_gpu else "cpu"},
        )
        try:
            for row in answers.iter_rows():
                finished += row["photos"]
                errors += row["errors"]
                if progress is not None:
                    progress(finished, len(names))
        except ray.exceptions.RayError as error:
            said = str(error).strip().splitlines() or [type(error).__name__]
            reason = said[-1][:300]
            if is_out_of_memory(error):
                reason = "there is not enough memory. Give a smaller batch_size."
            raise ClusterError(f"The workers failed: {reason} What is finished is in '{output}': call again "
                               "to do the rest."
                               ) from error
    return Predicted(str(output), model_name(model), len(done) + len(missing), errors, len(missing),
                     time.monotonic() - started, notes_on(model))


class _Worker:
    """One worker: a list of names in, a file of answers out. Ray keeps it, and its network, for many."""

    def __init__(self, model: Any, source: Any, root: str, target: Any, folder: str, topk: int,
                 batch_size: int, threads: int, device: str):
        import ray

        threads = thread_count(threads, 1)
        torch.set_num_threads(threads)
        self.model = ray.get(model).to(device)
        self.source, self.root, self.target, self.folder = source, root, target, folder
        self.topk, self.batch_size = topk, batch_size
        self.transform = transform_for(self.model)
        self.outputs = outputs_of(self.model)
        self.pool = photo_threads(threads)

    def __call__(self, block: dict[str, Any]) -> dict[str, Any]:
        names = [str(name) for name in block["name"]]
        groups = [names[i:i + self.batch_size] for i in range(0, len(names), self.batch_size)]
        rows: list[dict[str, Any]] = []
        for group, opened in zip(groups, group_by_group(self._open, groups, self.pool)):
            rows += self._answers(group, opened)
        self._write(names, rows)
        return {"photos": [len(rows)], "errors": [sum(row["error"] is not None for row in rows)]}

    def _open(self, name: str) -> Tensor | str:
        """A photo, ready for the network [C, H, W]; or a sentence."""
        for attempt in range(TRIES):
            try:
                photo = load_image(self.source.cat_file(f"{self.root}/{name}" if self.root else name))
                return self.transform(photo)
            except ImageError as error:
                return str(error)
            except OSError as error:
                sentence = f"The file could not be read ({type(error).__name__}: {str(error)[:200]})."
                if attempt + 1 < TRIES:
                    time.sleep(0.2 * 4**attempt)
        return sentence

    def _answers(self, names: Sequence[str], opened: Sequence[Tensor | str]) -> Iterator[dict[str, Any]]:
        tensors = [photo for photo in opened if isinstance(photo, Tensor)]
        logits: Iterator[Tensor] = iter(())
        if tensors:
            with evaluation(self.model), torch.inference_mode():
                inputs = torch.stack(tensors).to(**parameter_place(self.model))
                logits = iter(self.model(inputs).float().cpu())
        for name, photo in zip(names, opened):
            best = [] if isinstance(photo, str) else top_predictions(next(logits), self.outputs, self.topk)
            yield {"name": name, "labels": [p.label for p in best], "indices": [p.index for p in best],
                   "probabilities": [p.probability for p in best], "logits": [p.logit for p in best],
                   "values": [p.value for p in best if p.value is not None],
                   "error": photo if isinstance(photo, str) else None}

    def _write(self, names: Sequence[str], rows: list[dict[str, Any]]) -> None:
        """Into a file whose name follows from the photos': doing them again overwrites it with the same."""
        import pyarrow
        from pyarrow import parquet

        schema = pyarrow.schema([
            ("name", pyarrow.string()), ("labels", pyarrow.list_(pyarrow.string())),
            ("indices", pyarrow.list_(pyarrow.int32())), ("probabilities", pyarrow.list_(pyarrow.float64())),
            ("logits", pyarrow.list_(pyarrow.float64())), ("values", pyarrow.list_(pyarrow.float64())),
            ("error", pyarrow.string())])
        key = hashlib.sha256("\n".join(names).encode("utf-8", "surrogateescape")).hexdigest()[:20]
        whole = f"{self.folder}/part-{key}.parquet"
        # On a disk the file is renamed when it is whole; an object store shows it only then, by its nature.
        local = _is_local(self.target)
        path = f"{self.folder}/.{key}.{uuid.uuid4().hex[:8]}" if local else whole
        with self.target.open(path, "wb") as file:
            parquet.write_table(pyarrow.Table.from_pylist(rows, schema), file)
        if local:
            os.replace(path, whole)


# --- places -------------------------------------------------------------------------------------------------


def _place(address: str | os.PathLike) -> tuple[Any, str]:
    """(fsspec's file system, path in it) of a folder or an address."""
    from fsspec.core import url_to_fs

    text = os.fspath(address)
    if "://" not in text and "::" not in text:
        text = os.path.abspath(given_path(text, "a folder"))
    try:
        system, path = url_to_fs(text)
    except (ImportError, ValueError) as error:  # it names the package that is missing, or the protocol
        raise ValueError(f"'{address}' can't be opened: {error}") from error
    return system, path.rstrip("/")


def _is_local(system: Any) -> bool:
    return "file" in ((system.protocol,) if isinstance(system.protocol, str) else system.protocol)


def _pictures(system: Any, root: str) -> list[str]:
    """Names below `root` of all picture files, in natural order; nothing hidden, or left by a program."""
    start = f"{root}/" if root else ""
    names = [path.removeprefix(start) for path in system.find(root)]
    found = [name for name in names
             if is_picture(name) and not any(map(why_passed_over, PurePosixPath(name).parts))]
    if not found:
        raise FileNotFoundError(f"There are no picture files in '{root}' ({len(names)} files of other "
                                "kinds). Give a folder of photos, or an address such as s3://bucket/photos.")
    return sorted(found, key=natural_key)


def _parts(system: Any, folder: str) -> list[str]:
    system.invalidate_cache()  # others have written
    return sorted(path for path in system.find(folder) if PurePosixPath(path).match("part-*.parquet"))


def _done(system: Any, folder: str) -> tuple[set[str], int]:
    """(names of the photos that have an answer, how many of the answers are errors)."""
    from pyarrow import parquet

    names: set[str] = set()
    errors = 0
    for part in _parts(system, folder):
        with system.open(part, "rb") as file:
            table = parquet.read_table(file, columns=["name", "error"])
        names.update(table["name"].to_pylist())
        errors += len(table) - table["error"].null_count
    return names, errors


def _claim(system: Any, folder: str, facts: dict[str, Any], output: Any) -> None:
    """Make the output this model's own, or see that it is."""
    path = f"{folder}/{MANIFEST}"
    if system.exists(path):
        before = json.loads(system.cat_file(path))
        if before != facts:
            key = next(key for key in facts if before.get(key) != facts[key])
            raise ValueError(f"'{output}' holds the answers of another model or setting ({key} was "
                             f"{before.get(key)!r}, and is {facts[key]!r}): give another output.")
        return
    system.makedirs(folder, exist_ok=True)
    system.pipe_file(path, json.dumps(facts).encode())


def _fingerprint(model: VisionModel) -> str:
    """Tells one set of weights from another, with what photos are prepared for and what the scores mean."""
    digest = hashlib.sha256(repr(sorted(preparation_of(model).items())).encode())
    if model.config.outputs:
        config = model.config
        digest.update(repr((config.outputs, config.number_mean, config.number_std)).encode())
    for name, value in model.state_dict().items():
        digest.update(name.encode())
        if value.ndim:
            digest.update(value.detach().cpu().contiguous().view(torch.uint8).numpy())
        else:
            digest.update(repr(value.item()).encode())
    return digest.hexdigest()[:20]
