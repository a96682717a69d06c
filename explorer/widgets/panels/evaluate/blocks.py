"""How the evaluation is laid out: blocks with a heading, in pairs that stack where the page is narrow."""

from __future__ import annotations

import ipywidgets as W


def block(title: str, *children: W.Widget) -> W.VBox:
    box = W.VBox([W.HTML(f"<h3>{title}</h3>"), *children])
    box.add_class("vx-eval-block")
    return box


def head(box: W.VBox, title: str) -> None:
    """Give a block another heading."""
    box.children[0].value = f"<h3>{title}</h3>"


def pair(*blocks: W.Widget) -> W.Box:
    box = W.Box(blocks)
    box.add_class("vx-eval-pair")
    return box


def controls(*children: W.Widget) -> W.HBox:
    box = W.HBox(children, layout=W.Layout(flex_flow="row wrap"))
    box.add_class("vx-controls")
    return box


def wide_button(text: str, why: str = "", *, hidden: bool = False) -> W.Button:
    layout = W.Layout(width="auto", display="none" if hidden else None)
    button = W.Button(description=text, tooltip=why, layout=layout)
    button.add_class("vx-open")
    return button


def show_if(wanted: bool, *widgets: W.Widget) -> None:
    for widget in widgets:
        widget.layout.display = "" if wanted else "none"
