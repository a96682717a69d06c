"""The controls of the tab "Draw": the way to draw, what for, how large, how long."""

from __future__ import annotations

from typing import Any

import ipywidgets as W

from explorer.widgets.panels.base import labelled

FEATURES, FOOLING, STYLE = "features", "fooling", "style"
METHODS = (("Feature visualization", FEATURES), ("Fooling picture", FOOLING), ("Style transfer", STYLE))
CLASS, CHANNEL = "class", "channel"
NOISE, PHOTO = "noise", "photo"
USUAL = 0  # of the size; with None a menu would show nothing
SIDES = (96, 128, 160, 224, 320, 448)
MOST_NAMES = 2000  # classes that are offered while a name is typed
WEIGHTS = (("1 : 10", 0.1), ("1 : 1", 1.0), ("10 : 1", 10.0), ("100 : 1", 100.0), ("1,000 : 1", 1000.0))


class Fields:
    """All controls, and the box that shows those of the chosen method."""

    def __init__(self) -> None:
        def wide() -> W.Layout:  # one each: they are shown and hidden one by one
            return W.Layout(width="auto")

        self.method = labelled("Method", W.Dropdown, options=METHODS, layout=wide())
        self.what = labelled("Draw", W.Dropdown, options=[("a class", CLASS), ("a channel", CHANNEL)],
                             layout=wide())
        self.target = labelled("Class", W.Combobox, continuous_update=False, ensure_option=False,
                               layout=wide())
        self.stage = labelled("Stage", W.Dropdown, options=[], layout=wide())
        self.channel = labelled("Channel", W.BoundedIntText, min=0, max=0, layout=wide())
        self.begin = labelled("Begin with", W.Dropdown, layout=wide(),
                              options=[("noise", NOISE), ("the photo on the screen", PHOTO)])
        self.style = labelled("Style of", W.Dropdown, options=[], layout=wide())
        self.scene = labelled("Content from", W.Dropdown, options=[], layout=wide())
        self.textures = labelled("Style from", W.SelectMultiple, options=[], rows=4, layout=wide())
        self.weight = labelled("Style : content", W.Dropdown, options=list(WEIGHTS), value=10.0,
                               layout=wide())
        self.size = labelled("Size", W.Dropdown, options=[("usual", USUAL)], layout=wide())
        self.steps = labelled("Steps", W.BoundedIntText, min=1, max=5000, layout=wide())
        self.seed = labelled("Seed", W.BoundedIntText, min=0, max=9999, layout=wide())
        self.box = W.Box([self.method, self.what, self.target, self.stage, self.channel, self.begin,
                          self.style, self.scene, self.textures, self.weight, self.size, self.steps,
                          self.seed])
        self.box.add_class("vx-fields")

    @property
    def all(self) -> tuple[W.Widget, ...]:
        return self.box.children

    @property
    def of_class(self) -> bool:
        """Whether a class, or a number, is drawn."""
        return self.method.value != STYLE and self.what.value == CLASS

    @property
    def of_channel(self) -> bool:
        return self.method.value != STYLE and self.what.value == CHANNEL

    def show(self) -> None:
        """Show the controls that count for what is chosen."""
        style = self.method.value == STYLE
        shown = {self.what: not style, self.target: self.of_class, self.stage: self.of_channel,
                 self.channel: self.of_channel, self.begin: self.method.value == FOOLING, self.style: style,
                 self.scene: style, self.textures: style, self.weight: style, self.seed: True}
        for control, yes in shown.items():
            control.layout.display = "" if yes else "none"

    @property
    def usual_steps(self) -> int:
        """How many are taken where nobody says."""
        from explorer.inspection.drawing.methods import METHODS as KNOWN

        way = KNOWN[self.method.value]
        from_photo = self.method.value == STYLE or self.method.value == FOOLING and self.begin.value == PHOTO
        return (way.from_photo if from_photo else way.steps) or 1


def exchange(control: Any, options: Any, value: Any) -> None:
    """Other options, and one of them chosen: what was chosen where that is still there."""
    kept = control.value
    known = [one[1] if isinstance(one, tuple) else one for one in options]
    if tuple(options) != tuple(control.options):
        control.options = options
    if kept in known and kept is not None:
        control.value = kept
    elif value in known:
        control.value = value
