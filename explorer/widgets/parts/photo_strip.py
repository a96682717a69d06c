"""Small photos in rows, with a line of text under each:
samples of a data set, variants of a photo, predictions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import traitlets as t

from .base import ExplorerPart


@dataclass(frozen=True)
class Caption:
    """What stands under a photo.
    right: True or False gives it a sign, a word and a frame; title: on hovering.
    """

    text: str = ""
    right: bool | None = None
    title: str = ""


class PhotoStrip(ExplorerPart, files="photo_strip"):
    """Photos that are only looked at.
    The pictures travel once; ``caption`` exchanges the texts alone, which are small.

    ``label``: what a screen reader calls the row. ``side``: of a photo's square in pixels. ``whole``:
               nothing is cut off to fill it. ``show`` and ``caption`` may be called from any thread.
    """


    label = t.Unicode("Photos", help="what the photos are").tag(sync=True)
    side = t.Int(84, min=24, max=512, help="height of a photo in pixels").tag(sync=True)

    whole = t.Bool(False, help="all of each photo, with room beside it; False: the middle").tag(sync=True)

    _pictures = t.Dict().tag(sync=True, echo_update=False)
    _captions = t.List().tag(sync=True, echo_update=False)

    def show(self, pictures: Sequence[bytes], captions: Sequence[Caption]) -> None:
        """Show photos, each the bytes of a small JPEG or PNG, with one caption each."""
        _same(pictures, captions)
        with self._lock:
            if not self._closed:
                self._captions = [asdict(caption) for caption in captions]
                sizes = [len(data) for data in pictures]
                self._pictures = {"sizes": sizes, "data": b"".join(pictures)} if pictures else {}

    def caption(self, captions: Sequence[Caption]) -> None:
        """Other texts under the photos that are there. Raises ValueError for another number of them."""
        _same(self._pictures.get("sizes", ()), captions)
        with self._lock:
            if not self._closed:
                self._captions = [asdict(caption) for caption in captions]

    @property
    def captions(self) -> tuple[Caption, ...]:
        return tuple(Caption(**facts) for facts in self._captions)

    def _release(self) -> None:
        self._pictures, self._captions = {}, []

    def __repr__(self) -> str:
        return f"PhotoStrip({self.label!r}, {len(self._captions)} photos)"


def _same(pictures: Sequence, captions: Sequence) -> None:
    if len(pictures) != len(captions):
        raise ValueError(f"{len(captions)} captions do not fit {len(pictures)} photos: give one for each.")
