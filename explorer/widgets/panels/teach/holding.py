"""A class's button that is held: which frames of the camera become photos, and of which class and burst."""

from __future__ import annotations

import time
from dataclasses import dataclass

from explorer.data.class_shelf import ClassShelf

GAP = 0.2   # seconds between two photos while a button is held, at least
LATE = 3.0  # seconds after which a button that was only tapped waits no more for its frame


@dataclass
class _Held:
    """taken: photos so far;  at: when the last one was;  let_go: when it was let go before there was one"""

    name: str
    burst: int
    taken: int = 0
    at: float = float("-inf")
    let_go: float | None = None


class Holding:
    """One button at a time; each time that one is pressed is a burst. Used under the session's lock."""

    def __init__(self, shelf: ClassShelf):
        self.shelf = shelf
        self._held: _Held | None = None

    @property
    def wants_frames(self) -> bool:
        return self._held is not None

    def press(self, name: str) -> None:
        self._held = _Held(name, self.shelf.new_burst())

    def release(self, name: str) -> None:
        """Let go; one that was only tapped still gets its frame."""
        held = self._held
        if held is None or held.name != name:
            return
        if held.taken:
            self._held = None
        else:
            held.let_go = time.monotonic()

    def end(self) -> None:
        """No button is held any more, and none waits for a frame."""
        self._held = None

    def frame_for(self, *, room: bool) -> tuple[str, int] | None:
        """(class, burst) of which the frame that has come is a photo; None where it is none.
        room: whether another photo may wait to be written
        """
        held, now = self._held, time.monotonic()
        if held is None or now - held.at < GAP:
            return None
        if held.let_go is not None:
            self._held = None
            if now - held.let_go > LATE:
                return None
        if not room:
            return None
        held.taken, held.at = held.taken + 1, now
        return held.name, held.burst
