"""The fields for the options that a method of explanation has of its own, such as the square of occlusion."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import ipywidgets as W

from explorer.widgets.lifetime import close_whole
from explorer.widgets.panels.base import labelled

if TYPE_CHECKING:
    from explorer.inspection.attribution.methods import Method

NOT_ASKED = ("batch_size", "query")  # options that have no field


class OwnOptions(W.Box):
    """fields: a field of each option of the chosen method;  changed: called when the reader changes one"""

    def __init__(self, changed: Callable[[Any], None]):
        self.changed = changed
        self.fields: dict[str, W.Widget] = {}
        super().__init__()
        self.add_class("vx-fields")

    def offer(self, method: Method) -> None:
        """Show the fields of another method, in place of those before."""
        old = self.children
        self.fields = {name: control_for(name, default) for name, default in method.options.items()
                       if name not in NOT_ASKED}
        self.children = list(self.fields.values())
        close_whole(*old)
        for control in self.fields.values():
            control.observe(self.changed, "value")

    def chosen(self, method: Method) -> dict[str, Any]:
        """The options of the method whose fields these are that are not the usual ones.

        Raises ValueError for one that is no number.
        """
        usual = method.options
        values = {name: value_of(control, usual[name]) for name, control in self.fields.items()}
        return {name: value for name, value in values.items() if value != usual[name]}


def control_for(name: str, default: Any) -> W.Widget:
    """A field for one option of a method."""
    words = {"block": "Block", "head": "Head", "channels": "Channels", "window": "Square", "stride": "Step"}
    title = words.get(name, name.replace("_", " ").capitalize())
    hints = {"block": "-1: the last", "head": "all, their mean", "channels": "all",
             "window": "an eighth of the side", "stride": "half a square"}
    if isinstance(default, str):
        from explorer.inspection.attribution.gradients import FILLS

        return labelled(title, W.Dropdown, options=list(FILLS), value=default, layout=W.Layout(width="auto"))
    return labelled(title, W.Text, value="", continuous_update=False, layout=W.Layout(width="auto"),
                    placeholder=hints.get(name, f"{default}"), tooltip=f"Usual: {hints.get(name, default)}")


def value_of(control: W.Widget, default: Any) -> Any:
    """What is typed, as a number of the default's kind; the default where nothing is.
    Raises ValueError for no number.
    """
    if isinstance(default, str):
        return control.value
    text = control.value.strip()
    if not text:
        return default
    whole = not isinstance(default, float)
    try:
        return int(text) if whole else float(text)
    except ValueError:
        kind = "a whole number" if whole else "a number"
        raise ValueError(f"{control.description} is {text!r}: expected {kind}, or nothing for the usual "
                         "value.") from None
