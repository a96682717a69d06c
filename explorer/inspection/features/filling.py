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
from explorer.data.reading import in_order
from explorer.inspection.features.cache import Chunks
from explorer.inspection.look.faster import Faster, far
from explorer.inspection.look.model import evaluating, model_name, not_pooled
from explorer.models.contract import VisionModel, parameter_place

log = logging.getLogger(__name__)


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
            raise not_pooled(logits)
        return vectors.float().cpu().numpy(), logits.float().cpu().numpy()


def _differs(kept: tuple[np.ndarray, np.ndarray], now: tuple[np.ndarray, np.ndarray],
             model: VisionModel) -> bool:
    """Whether a model gives another row than the one kept, by more than other hardware's rounding."""
    limit = 1e-3 if parameter_place(model)["dtype"] == torch.float32 else 5e-2
    return any(far(one, other[0]) > limit for one, other in zip(kept, now))


@dataclass
class _Opened:
    """A photo on its way: its key, and its input [C, H, W] unless it is known; or why it can't be opened."""

    key: bytes = b""
    tensor: Tensor | None = None
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
        self._waiting: list[tuple[bytes, Tensor]] = []

    def run(
        self, batch_size: int, on_progress: Callable[[int, int], None] | None,
        should_stop: Callable[[], bool] | None,
    ) -> bool:
        """See the photos one after another; whether all were seen before it was stopped."""
        total = len(self.photos)
        opened = in_order(self._open, range(total), ahead=2 * batch_size)
        for seen, one in enumerate(opened, start=1):
            self._take(seen - 1, one)
            last = seen == total
            if len(self._waiting) == batch_size or last:
                self._compute(following=total - seen)
            if seen % batch_size and not last:
                continue
            if on_progress is not None:
                on_progress(seen - len(self._waiting), total)
            if not last and should_stop is not None and should_stop():
                return False
        return True

    def _prepare(self, index: int) -> Tensor:
        return self.transform(self.photos.open_one(index))

    def _open(self, index: int) -> _Opened:  # in a thread
        try:
            file = self.photos.files[index]
            if file is not None and file.is_file():
                with open(file, "rb") as stream:
                    key = hashlib.file_digest(stream, "sha256").digest()
                return _Opened(key, None if key in self.chunks.known else self._prepare(index))
            photo = self.photos.open_one(index)
            key = hashlib.sha256(f"pixels {photo.size} ".encode() + photo.tobytes()).digest()
            return _Opened(key, None if key in self.chunks.known else self.transform(photo))
        except (ImageError, OSError) as error:
            return _Opened(problem=str(error))

    def _take(self, index: int, opened: _Opened) -> None:
        """A photo that was opened: it waits for its batch, is known already, or is a problem."""
        if not opened.problem and opened.tensor is None:
            try:
                self._confirm(index, opened)
                if opened.key not in self.chunks.known:
                    opened.tensor = self._prepare(index)  # it was forgotten meanwhile
            except ImageError as error:
                opened.problem = str(error)
        if opened.problem:
            self.problems.append((self.photos.names[index], opened.problem))
        elif opened.tensor is not None:
            self._waiting.append((opened.key, opened.tensor))
        self.keys.append(opened.key)

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

    def _compute(self, *, following: int) -> None:
        if not self._waiting:
            return
        batch = torch.stack([tensor for _, tensor in self._waiting])
        rows = self._walker(batch, following=following)
        self.chunks.add([key for key, _ in self._waiting], *rows)
        self.computed += len(self._waiting)
        self._waiting.clear()
