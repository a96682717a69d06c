"""The vectors of collected photos, of each photo once: what the answer of the nearest ones needs."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from explorer.data.class_shelf import ShelfPhoto
    from explorer.inspection.features.result import Features

log = logging.getLogger(__name__)

TOGETHER = 8  # photos that go through the network at once: whoever wants an end waits for no more


@dataclass(frozen=True)
class Known:
    """features: vectors and classes of the photos that could be opened;  photos: these, in the same order"""

    features: Features
    photos: tuple[ShelfPhoto, ...]

    @property
    def answers(self) -> bool:
        """Whether there are two classes to tell apart."""
        return len(set(self.features.labels.tolist())) > 1


class Bank:
    """Keeps the vector of every photo of one model. For one job at a time."""

    def __init__(self) -> None:
        self._model: Any = None
        self._vectors: dict[int, np.ndarray | None] = {}  # by the photo's key; None: it can't be opened

    def forget(self) -> None:
        self._model, self._vectors = None, {}

    def know(self, model: Any, photos: Mapping[str, Sequence[ShelfPhoto]],
             ended: Callable[[], bool]) -> Known | None:
        """What a model makes of the photos of each class; None where it was asked to end before that.

        What it has worked out until then is kept.
        """
        import torch

        from explorer.data.images import ImageError
        from explorer.inspection.features.filling import vectors_and_logits
        from explorer.inspection.look.faster import Faster
        from explorer.inspection.look.looking import photo_for
        from explorer.inspection.look.own_inputs import transform_for

        if model is not self._model:
            self._model, self._vectors = model, {}
        there = [photo for some in photos.values() for photo in some]
        self._vectors = {photo.key: self._vectors[photo.key] for photo in there if photo.key in self._vectors}
        new = [photo for photo in there if photo.key not in self._vectors]
        faster, prepare = Faster(model, vectors_and_logits), transform_for(model)
        for start in range(0, len(new), TOGETHER):
            if ended():
                return None
            opened = []
            for photo in new[start:start + TOGETHER]:
                try:
                    opened.append((photo.key, prepare(photo_for(model, photo.path))))
                except (ImageError, OSError) as error:  # deleted meanwhile
                    log.info("a collected photo can't be opened", exc_info=error)
                    self._vectors[photo.key] = None
            if opened:
                vectors = faster(torch.stack([one for _, one in opened]), following=len(new) - start)[0]
                self._vectors.update(zip((key for key, _ in opened), vectors))
        return self._known(model, photos)

    def _known(self, model: Any, photos: Mapping[str, Sequence[ShelfPhoto]]) -> Known:
        import torch

        from explorer.data.images import load_image
        from explorer.inspection.features.result import Features
        from explorer.inspection.look.model import model_name

        rows = [(label, f"{name}: photo {place}", photo)  # as the cards call them
                for label, (name, some) in enumerate(photos.items()) for place, photo in enumerate(some, 1)
                if self._vectors[photo.key] is not None]
        known = tuple(photo for _, _, photo in rows)
        vectors = np.stack([self._vectors[photo.key] for photo in known]) if known else np.zeros((0, 1))
        files = tuple(photo.path for photo in known)
        features = Features(
            model_name=model_name(model), names=tuple(name for _, name, _ in rows),
            files=files, labels=torch.tensor([label for label, _, _ in rows], dtype=torch.long),
            classes=tuple(photos), held_out=None, embeddings=vectors, logits=vectors[:, :0], class_names=(),
            problems=[], computed=len(known), complete=True, seconds=0.0,
            _open=lambda index: load_image(files[index]))
        return Known(features, known)
