"""What a lesson stands on: the panel that collects the photos, as far as what learns from them knows it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import ipywidgets as W

from explorer.data.class_shelf import ClassShelf
from explorer.widgets.jobs import Line
from explorer.widgets.parts.camera import Camera
from explorer.widgets.session import Session


class Ground(Protocol):
    """See `TeachPanel`, and `Panel` for what all panels have."""

    session: Session
    shelf: ClassShelf
    camera: Camera
    left: W.VBox
    below: W.VBox
    keeping: Line
    gone: bool

    def line(self, **options: Any) -> Line: ...

    def tell(self, show: Callable[..., None], *given: Any) -> None: ...

    def when(self, control: W.Widget, call: Callable[[], None], name: str = "value") -> None: ...

    def changed(self) -> None: ...

    def show_classes(self) -> None: ...

    def on_photos(self, act: Callable[[], None]) -> None: ...

    def on_frame(self, act: Callable[[int, bytes], None]) -> None: ...

    def want_frames(self, wanted: bool) -> None: ...

    def warn(self, sentences: Sequence[str]) -> None: ...

    def keep(self, name: str, data: bytes, burst: int | None = None) -> None: ...
