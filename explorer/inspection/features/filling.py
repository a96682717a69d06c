"""The pass over many photos: what the cache lacks goes through the network, a batch at a time.

One photo that the cache knows is always looked at again: where the model answers otherwise by now (its code
was changed), what is kept for it is thrown away.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from explorer.data.images import ImageError
from explorer.data.photos import Collection
from explorer.inspection.features.cache import Chunks
from explorer.inspection.look.bodies import body_vectors
from explorer.inspection.look.faster import Faster, far
from explorer.inspection.look.many import Row, answered
from explorer.inspection.look.model import model_name, not_pooled
from explorer.models.body import OverBody
from explorer.models.contract import VisionModel, parameter_place

log = logging.getLogger(__name__)


def vectors_and_logits(model: VisionModel, batch: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Photos [B, C, H, W] -> (embeddings [B, D], logits [B, K]), float32 in numpy.

    Of a network for boxes or masks its body's (`look.bodies`), and no logits. The caller has put the model
    into evaluation, without gradients.
    """
    if isinstance(model, OverBody):
        found = body_vectors(model, batch.to(**parameter_place(model))).float().cpu().numpy()
        return found, np.empty((len(found), 0), np.float32)
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
        raise not_pooled(logits)
    return vectors.float().cpu().numpy(), logits.float().cpu().numpy()


def _differs(kept: tuple[np.ndarray, np.ndarray], now: tuple[np.ndarray, np.ndarray],
             model: VisionModel) -> bool:
    """Whether a model gives another row than the one kept, by more than other hardware's rounding."""
    limit = 1e-3 if parameter_place(model)["dtype"] == torch.float32 else 5e-2
    return any(far(one, other[0]) > limit for one, other in zip(kept, now))


@dataclass
class _Opened:
    """A photo that was opened: its key, or why it can't be opened."""

    key: bytes = b""
    problem: str = ""


class Filling:
    """Works out what the chunks lack.

    keys: of each photo seen, in order;  problems: [(name, why)] of those that could not be opened
    computed: how many went through the network
    """

    def __init__(self, chunks: Chunks, model: VisionModel, photos: Collection, transform: Any):
        self.chunks, self.model, self.photos, self.transform = chunks, model, photos, transform
        self.keys: list[bytes] = []
        self.problems: list[tuple[str, str]] = []
        self.computed = 0
        self._walker = Faster(model, vectors_and_logits)
        self._confirmed = not chunks.known  # what is known was compared with what the model says today

    def run(
        self, batch_size: int, on_progress: Callable[[int, int], None] | None,
        should_stop: Callable[[], bool] | None,
    ) -> bool:
        """See the photos one after another; whether all were seen before it was stopped."""
        total = len(self.photos)
        groups = answered(self._walker, self._opened, range(total), batch_size=batch_size, total=total)
        seen = 0
        for group in groups:
            self._take(seen, group)
            seen += len(group)
            if on_progress is not None:
                on_progress(seen, total)
            if seen < total and should_stop is not None and should_stop():
                groups.close()
                return False
        return True

    def _prepare(self, index: int) -> Tensor:
        return self.transform(self.photos.open_one(index))

    def _opened(self, index: int) -> tuple[_Opened, Tensor | None]:  # in a thread
        """A photo, and its input [C, H, W] unless it is known."""
        try:
            file = self.photos.files[index]
            if file is not None and file.is_file():
                with open(file, "rb") as stream:
                    key = hashlib.file_digest(stream, "sha256").digest()
                return _Opened(key), None if key in self.chunks.known else self._prepare(index)
            photo = self.photos.open_one(index)
            key = hashlib.sha256(f"pixels {photo.size} ".encode() + photo.tobytes()).digest()
            return _Opened(key), None if key in self.chunks.known else self.transform(photo)
        except (ImageError, OSError) as error:
            return _Opened(problem=str(error)), None

    def _take(self, first: int, group: list[tuple[_Opened, Row | None]]) -> None:
        """Photos that were opened, from number `first` on: each has run, is known, or is a problem."""
        new: list[tuple[bytes, Row]] = []
        for index, (opened, row) in enumerate(group, start=first):
            if not opened.problem and row is None:
                try:
                    self._confirm(index, opened)
                    if opened.key not in self.chunks.known:  # it was forgotten meanwhile
                        row = tuple(each[0] for each in self._walker(self._prepare(index)[None]))
                except ImageError as error:
                    opened.problem = str(error)
            if opened.problem:
                self.problems.append((self.photos.names[index], opened.problem))
            elif row is not None:
                new.append((opened.key, row))
            self.keys.append(opened.key)
        if new:
            vectors, logits = map(np.stack, zip(*(row for _, row in new)))
            self.chunks.add([key for key, _ in new], vectors, logits)
            self.computed += len(new)

    def _confirm(self, index: int, opened: _Opened) -> None:
        """See, once, that the model still says of a known photo what is kept for it; else forget it all."""
        if self._confirmed:
            return
        self._confirmed = True
        now = self._walker(self._prepare(index)[None])
        if _differs(self.chunks.row(opened.key), now, self.model):
            log.warning("%s answers otherwise than before: its kept features are thrown away",
                        model_name(self.model))
            self.chunks.forget()
