"""The lines behind "Show code": they define `model` and `photo` exactly as they are on the screen.

    lines = [*setup_lines(session), "explorer.look(model, photo)"]

What has a name (a model with published weights, a bundled photo, a file) is opened by its name. What has none
(random weights, a model that was built or trained here, a photo from the clipboard) is read from the
dashboard itself, by the name `dash`. Whatever comes from outside, such as the names of files and classes,
goes in through `literal` only.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from explorer.widgets.session import Session

MOST_LABELS = 12  # more class names than this are read from the dashboard
LINE = 100        # a call that is longer stands on several lines

RANDOM = "# random weights: only the very model on the screen gives these numbers"
BUILT = "# the model on the screen: it was built or trained here, no name gives it again"
ON_SCREEN = "dash.session.image"  # the photo is that of both models where there are two


def setup_lines(session: Session) -> list[str]:
    """`import explorer`, the model and the photo; none while one of them is missing."""
    if session.look is None:
        return []
    return ["import explorer", "", *model_lines(session), *photo_lines(session)]


def model_lines(session: Session) -> list[str]:
    """Lines that define `model`; none while there is no model."""
    model = session.model
    if model is None:
        return []
    if not session.model_source:
        return [RANDOM if session.random_weights else BUILT, f"model = {session.place}.model"]
    published = call("explorer.create_model", literal(session.model_source), options={"pretrained": True})
    lines = [f"model = {published}"]
    # what the Dashboard was told about every model; labels only where this one had none of its own
    changes = []
    if session.labels is not None and model.config.labels == session.labels:
        names = literal(session.labels) if len(session.labels) <= MOST_LABELS else f"{session.place}.labels"
        changes.append(f"labels={names}")
    if session.input_size is not None:
        changes.append(f"input_size={literal(session.input_size)}")
    if changes:
        lines.append(f"model.config = {call('model.config.with_', *changes)}")
    return lines


def photo_lines(session: Session) -> list[str]:
    """Lines that define `photo`, for all that takes a picture; none while there is no photo."""
    if session.image is None:
        return []
    expression = photo_expression(session.image_source)
    lines = [f"photo = {expression}"]
    return lines if expression != ON_SCREEN else ["# the photo on the screen: it came without a file", *lines]


def photo_expression(source: Any) -> str:
    """An expression for the photo that was opened from a file; for any other, the one on the screen."""
    if not isinstance(source, (str, os.PathLike)):
        return ON_SCREEN
    from explorer.data.samples import sample_photos

    path = os.fsdecode(source)
    for photo in sample_photos():
        if str(photo.path) == path:
            return f"{{one.name: one for one in explorer.sample_photos()}}[{literal(photo.name)}]"
    return literal(path) if Path(path).expanduser().is_file() else ON_SCREEN


def literal(value: Any) -> str:
    """A value as Python writes it: strings in double quotes where nothing in them needs an escape."""
    if isinstance(value, str):
        plain = value.isprintable() and not {'"', "\\"} & {*value}
        return f'"{value}"' if plain else repr(value)
    if isinstance(value, os.PathLike):
        return literal(os.fsdecode(value))
    if isinstance(value, tuple):
        return f"({', '.join(map(literal, value))}{',' * (len(value) == 1)})"
    if isinstance(value, list):
        return f"[{', '.join(map(literal, value))}]"
    return repr(value)


def call(function: str, *arguments: str, options: Mapping[str, Any] | None = None) -> str:
    """A call as text: `arguments` are expressions as they are, `options` are keywords with values."""
    given = [*arguments, *(f"{name}={literal(value)}" for name, value in (options or {}).items())]
    line = f"{function}({', '.join(given)})"
    return line if len(line) <= LINE else "\n".join([f"{function}(", *(f"    {one}," for one in given), ")"])
