"""Photos with what they are, what they were taken for and how sure the model was; a click picks one."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import traitlets as t

from .base import ExplorerPart

log = logging.getLogger(__name__)

@dataclass(frozen=True)
class Answer:
    """What stands under a photo: its class, what it was taken for, how sure; name: on hovering.

    right: None for a number, which is near or far: then `sure` says how far off it is.
    lines: what stands there instead, for a photo that is more than right or wrong
    """

    true: str
    said: str
    sure: str
    right: bool | None
    name: str = ""
    lines: tuple[str, ...] = ()


class JudgedPhotos(ExplorerPart, files="judged_photos"):
    """Small photos in rows.
    ``selected`` is the picked one, -1 for none; ``on_pick`` calls back with its index.

    ``label``: what a screen reader calls them. ``note``: a line above them. ``show`` and ``pictures`` may
               be called from any thread; ``pictures`` exchanges the pictures of the same photos, such as
               for heat maps.
    """

    _reader_traits = ("selected",)

    label = t.Unicode("Photos", help="what the photos are").tag(sync=True)
    note = t.Unicode("", help="a line above the photos").tag(sync=True)
    selected = t.Int(-1, min=-1, help="number of the picked photo, -1 for none").tag(sync=True)

    _answers = t.List().tag(sync=True, echo_update=False)
    _pictures = t.Dict().tag(sync=True, echo_update=False)

    @t.validate("selected")
    def _a_photo(self, proposal):
        if proposal["value"] >= len(self._answers):
            raise t.TraitError(f"There is no photo {proposal['value']}: there are {len(self._answers)}.")
        return int(proposal["value"])

    def __init__(self, **kwargs):
        self._callbacks: list[Callable[[int], None]] = []
        super().__init__(**kwargs)

    def show(self, photos: Sequence[tuple[bytes, Answer]], *, note: str = "") -> None:
        """Show photos: (the bytes of a small JPEG or PNG, what stands under it) of each.
        None is picked then.
        """
        with self._lock:
            if not self._closed:
                self.note, self.selected = note, -1
                self._answers = [asdict(answer) for _, answer in photos]
                self._pictures = packed([data for data, _ in photos])

    def pictures(self, pictures: Sequence[bytes]) -> None:
        """Other pictures of the same photos. Raises ValueError for another number of them."""
        with self._lock:
            if len(pictures) != len(self._answers):
                raise ValueError(f"{len(pictures)} pictures do not fit {len(self._answers)} photos: "
                                 "give one for each.")
            if not self._closed:
                self._pictures = packed(pictures)

    @property
    def answers(self) -> tuple[Answer, ...]:
        """What stands under the photos that are shown."""
        return tuple(Answer(**facts) for facts in self._answers)

    def on_pick(self, callback: Callable[[int], None]) -> None:
        """Call ``callback(index)`` for each pick, in whichever thread the kernel handles messages in."""
        self._callbacks.append(callback)

    def _on_message(self, kind, content, buffers) -> None:
        if kind != "pick":
            return super()._on_message(kind, content, buffers)
        index = content.get("index")
        if type(index) is not int or not 0 <= index < len(self._answers):
            log.warning("%r: there is no photo %r to pick", self, index)
            return
        self._choose("selected", index)  # the page shows it already
        for callback in list(self._callbacks):
            callback(index)

    def _release(self) -> None:
        self._callbacks, self._answers, self._pictures = [], [], {}

    def __repr__(self) -> str:
        return f"JudgedPhotos({self.label!r}, {len(self._answers)} photos)"


def packed(pictures: Sequence[bytes]) -> dict:
    return {"sizes": [len(data) for data in pictures], "data": b"".join(pictures)} if pictures else {}
