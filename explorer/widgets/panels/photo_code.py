"""Lines of Python that define photos of the gallery: bundled ones by name, files by path, others by title."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from explorer.widgets.snippets import LINE, literal

BUNDLED = "bundled = {one.name: one for one in explorer.sample_photos()}"  # they know what they show


def bundled_photo(source: Any) -> Any:
    """The bundled photo that is opened from this path; None for any other source."""
    from explorer.data.samples import sample_photos

    if not isinstance(source, (str, os.PathLike)):
        return None
    return next((photo for photo in sample_photos() if os.fspath(photo) == os.fspath(source)), None)


def all_bundled(photos: Sequence[tuple[str, Any]]) -> bool:
    """Whether these are the bundled photos, all of them and in their order."""
    from explorer.data.samples import sample_photos

    sources = [os.fspath(one) for _, one in photos if isinstance(one, (str, os.PathLike))]
    return len(sources) == len(photos) and sources == [os.fspath(photo) for photo in sample_photos()]


def list_lines(first: Sequence[str], photos: Sequence[tuple[str, Any]]) -> list[str]:
    """Lines that define `photos`, a list: expressions as they are,
    then (title, source) of photos of the gallery.
    """
    if not first and all_bundled(photos):
        return ["photos = explorer.sample_photos()"]
    return _lines([*first, *(_expression(title, source) for title, source in photos)])


def chosen_lines(photos: Sequence[tuple[str, Any]]) -> list[str]:
    """The same for some that were chosen one by one, each under a name that can be taken away again."""
    return _lines([_expression(title, source) for title, source in photos])


def _lines(texts: Sequence[str]) -> list[str]:
    lines = [BUNDLED] if any(text.startswith("bundled[") for text in texts) else []
    short = f"photos = [{', '.join(texts)}]"
    long = ["photos = [", *(f"    {text}," for text in texts), "]"]
    return lines + ([short] if len(short) <= LINE else long)


def _expression(title: str, source: Any) -> str:
    if not isinstance(source, (str, os.PathLike)):
        return f"dict(dash.session.gallery)[{literal(title)}]"
    photo = bundled_photo(source)
    return literal(source) if photo is None else f"bundled[{literal(photo.name)}]"
