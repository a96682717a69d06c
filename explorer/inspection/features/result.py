"""What a model makes of many photos: the `Features`, which show themselves in a notebook."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from html import escape
from pathlib import Path

import numpy as np
from PIL import Image
from torch import Tensor

from explorer.data.errors import ImageError
from explorer.display.html import LINE, RichRepr, notes_html
from explorer.display.words import counted


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
        """The photo of a row, upright RGB. Raises ImageError where its file has gone meanwhile, and for
        features that were made without photos.
        """
        if self._open is None:
            raise ImageError("These features were made without their photos, so none can be opened: "
                             "take those of explorer.run_folder.")
        return self._open(range(len(self))[index])

    def subset(self, indices: Sequence[int]) -> Features:
        """The rows at `indices`, in that order; their numbers are in memory."""
        chosen = [range(len(self))[int(index)] for index in indices]
        return replace(
            self,
            names=tuple(self.names[i] for i in chosen),
            files=tuple(self.files[i] for i in chosen),
            labels=None if self.labels is None else self.labels[chosen],
            held_out=None if self.held_out is None else self.held_out[chosen],
            embeddings=np.array(self.embeddings[chosen]),
            logits=np.array(self.logits[chosen]),
            computed=min(self.computed, len(chosen)),
            _open=lambda i: self.open_photo(chosen[i]),
        )

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
        broken = f"<ul>{broken}</ul>" if broken else ""
        return (f"<div><p style='{LINE}'><b>{escape(self.model_name)}</b>: {escape(self.sentence)}</p>"
                f"<p style='{LINE}'>{shape}{labels}</p>{notes}{broken}</div>")
