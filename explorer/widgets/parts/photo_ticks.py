"""Small photos of which the reader ticks some: a click ticks one, or takes its tick away."""

from __future__ import annotations

from collections.abc import Sequence

import traitlets as t

from .base import ExplorerPart
from .judged_photos import packed


class PhotoTicks(ExplorerPart, files="photo_ticks"):
    """Thumbnails in rows. ``value`` holds the numbers of those that are ticked, in their order.

    The titles are there before the pictures: ``show`` gives the former, ``pictures`` the latter, once each,
    from any thread. ``label`` is what a screen reader calls them.
    """

    _reader_traits = ("value",)

    label = t.Unicode("Photos", help="what the photos are").tag(sync=True)
    value = t.List(t.Int(), help="numbers of the ticked photos").tag(sync=True)
    titles = t.List(t.Unicode(), help="what each photo is called; see show").tag(sync=True, echo_update=False)

    _pictures = t.Dict().tag(sync=True, echo_update=False)

    @t.validate("value")
    def _photos_there(self, proposal):
        chosen = sorted({*proposal["value"]})
        if chosen and not 0 <= chosen[0] <= chosen[-1] < len(self.titles):
            raise t.TraitError(f"There are {len(self.titles)} photos to tick, so none is number "
                               f"{next(one for one in chosen if not 0 <= one < len(self.titles))}.")
        return chosen

    def show(self, titles: Sequence[str], ticked: Sequence[int]) -> None:
        """Other photos, with those that are ticked first; their pictures follow."""
        with self._lock:
            if not self._closed:
                with self.hold_sync():
                    self._pictures, self.value = {}, []
                    self.titles = [str(title) for title in titles]
                    self.value = list(ticked)

    def pictures(self, pictures: Sequence[bytes]) -> None:
        """The bytes of a small JPEG or PNG of each. Raises ValueError for another number of them."""
        with self._lock:
            if len(pictures) != len(self.titles):
                raise ValueError(f"{len(pictures)} pictures do not fit {len(self.titles)} photos: give one "
                                 "for each.")
            if not self._closed:
                self._pictures = packed(pictures)

    @property
    def pictured(self) -> bool:
        """Whether the pictures of the photos are there."""
        return len(self._pictures.get("sizes", ())) == len(self.titles)

    def _release(self) -> None:
        self._pictures, self.value, self.titles = {}, [], []

    def __repr__(self) -> str:
        return f"PhotoTicks({self.label!r}, {len(self.value)} of {len(self.titles)})"
