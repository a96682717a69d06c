"""Photos in a row, each with its name and what is said about it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape
from typing import Protocol

from PIL import Image

from explorer.data.errors import ImageError
from explorer.display.draw import data_uri, thumbnail

SIDE = 112  # pixels


class Row(Protocol):
    """A photo that something is said about."""

    @property
    def index(self) -> int: ...

    @property
    def name(self) -> str: ...


def gallery_html(rows: Sequence[tuple[Row, str]], open_photo: Callable[[int], Image.Image] | None) -> str:
    """rows: (the photo, what is said about it);  open_photo: index -> photo; None where there are none."""
    return ("<div style='display:flex;flex-wrap:wrap;gap:8px'>"
            f"{''.join(_figure(row, said, open_photo) for row, said in rows)}</div>")


def _figure(row: Row, said: str, open_photo: Callable[[int], Image.Image] | None) -> str:
    picture = ""
    if open_photo is not None:
        try:
            small = data_uri(thumbnail(open_photo(row.index), SIDE), format="JPEG")
            picture = f"<img alt='{escape(row.name)}' style='max-width:100%' src='{small}'>"
        except ImageError:  # moved since; its name is still there
            pass
    return (f"<figure style='margin:0;width:9em;font-size:.85em;overflow-wrap:anywhere'>{picture}"
            f"<figcaption>{escape(row.name)}: {escape(said)}</figcaption></figure>")
