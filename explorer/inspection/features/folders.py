"""The features of many photos: worked out once, kept on disk, never all in memory.

    features = run_folder("tf_efficientnet_lite0", "holiday/")
    features.embeddings                  # [N, D] float32, in a file that is mapped into memory
    features.logits                      # [N, K]
    features.problems                    # [(name, why)] of the photos that could not be opened

A photo is known by the SHA-256 of its file, a model by that of its weights, its layers and the preprocessing:
whatever was worked out before, for whichever folder, is read and not computed. New rows reach the disk in
chunks, each written whole or not at all, so a run that was stopped or killed goes on where it was. One photo
that the cache knows is always looked at again: where the model answers otherwise by now (its code was
changed), what is kept for it is thrown away.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from explorer.arguments import checked
from explorer.data.photos import collect
from explorer.inspection.features.cache import Chunks, StoreError, cache_root, model_key
from explorer.inspection.features.filling import Filling
from explorer.inspection.features.result import Features
from explorer.inspection.look.bodies import classes_of
from explorer.inspection.look.model import as_model, evaluating, model_name, notes_on
from explorer.inspection.look.own_inputs import preparation_of, transform_for
from explorer.models.contract import VisionModel


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

    A network for boxes or masks has no logits, and its embeddings are the means of its backbone's deepest
    map; a photo is seen as a square, cut out of its middle at the network's own scale.

    A broken photo is left out and named in `problems`. Raises ValueError where there is no photo, or none
    that can be opened, WeightsError where weights can't be had, StoreError where `cache_dir` can't be
    written.
    """
    started = time.perf_counter()
    photos, model = collect(photos), as_model(model, task=None)
    config, transform = preparation_of(model), transform_for(model)
    notes, classes = list(notes_on(model)), classes_of(model)
    with evaluating(model):
        key = model_key(model, config)
    folder = f"{re.sub(r'[^0-9A-Za-z._-]+', '_', model_name(model))[:60]}-{key[:24]}"
    root, borrowed = cache_root(cache_dir), None
    try:
        try:
            chunks = Chunks(root / folder)
        except OSError as error:
            if cache_dir is not None:
                raise
            notes.append(f"'{root}' can't be written ({error.strerror}), "
                         "so these features are not kept for the next time.")
            borrowed = tempfile.mkdtemp(prefix="explorer-")
            chunks = Chunks(Path(borrowed, folder))
        filling = Filling(chunks, model, photos, transform)
        try:
            complete = filling.run(batch_size, on_progress, should_stop)
        finally:
            chunks.flush()
        kept = [index for index, one in enumerate(filling.keys) if one in chunks.known]
        if complete and not kept:
            name, why = filling.problems[0]
            raise ValueError(f"None of the {len(photos)} photos could be opened. The first, {name}: {why}")
        widths = chunks.widths or (model.head_hidden_size, len(classes))
        embeddings, logits = chunks.gather([filling.keys[index] for index in kept], widths)
        disk = 0 if borrowed else chunks.size()
    except OSError as error:
        raise StoreError(f"The features could not be kept in '{root}' ({error.strerror or error}): make room "
                         "there, or give another cache_dir.") from error
    finally:
        if borrowed:
            shutil.rmtree(borrowed, ignore_errors=True)

    def of(values: Sequence[Any]) -> tuple[Any, ...]:
        return tuple(values[index] for index in kept)

    return Features(
        model_name=model_name(model),
        names=of(photos.names),
        files=of(photos.files),
        labels=None if photos.labels is None else torch.tensor(of(photos.labels), dtype=torch.long),
        classes=photos.classes,
        held_out=None if photos.held_out is None else torch.tensor(of(photos.held_out), dtype=torch.bool),
        embeddings=embeddings,
        logits=logits,
        class_names=classes,
        problems=filling.problems,
        computed=filling.computed,
        complete=complete,
        seconds=time.perf_counter() - started,
        notes=tuple(notes),
        disk=disk,
        cache_dir=None if borrowed else root,
        _open=lambda index: photos.open_one(kept[index]),
    )
