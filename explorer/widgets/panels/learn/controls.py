"""Controls whose labels stand in a column of their own, as the Train and Search tabs have them."""

from __future__ import annotations

from typing import Any

import ipywidgets as W

LABEL = "128px"


def field(kind: type, description: str, why: str = "", *, goes: bool = False, label: str = LABEL,
          **options: Any) -> Any:
    """goes: whether it comes and goes, and is away at first;  label: how wide that is"""
    layout = W.Layout(width="auto", display="none" if goes else None)
    return kind(description=description, tooltip=why or description, layout=layout,
                style={"description_width": label}, **options)


def text(description: str, placeholder: str, why: str = "", *, goes: bool = False,
         label: str = LABEL) -> W.Text:
    return field(W.Text, description, why, goes=goes, label=label, placeholder=placeholder,
                 continuous_update=False)


def tick(description: str, why: str | None = None, *, value: bool = False) -> W.Checkbox:
    wide = W.Layout(width="auto")
    return W.Checkbox(value=value, description=description, indent=False, tooltip=why, layout=wide)


def offer(control: W.Dropdown, options: Any) -> None:
    """Other options; what was chosen stays where it is among them, else the first is."""
    if tuple(options) == tuple(control.options):
        return
    before = control.value
    control.options = options
    values = [one[1] if isinstance(one, tuple) else one for one in options]
    if before in values:
        control.value = before
