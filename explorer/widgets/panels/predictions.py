"""Predictions: what the network saw, what it says, and how the photo was prepared."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

import ipywidgets as W

from explorer.inspection import draw
from explorer.widgets.panels.base import Panel, labelled
from explorer.widgets.session import Session

if TYPE_CHECKING:  # importing it loads torch: the dashboard is on the screen before that
    from explorer.inspection.look import Look, Prediction


def bars_html(predictions: list[Prediction], *, logits: bool = False) -> str:
    """The likeliest classes as a list with bars; names are untrusted text."""
    from explorer.inspection.look import percent

    rows = []
    for p in predictions:
        value = percent(p.probability) + (f" &nbsp; logit {p.logit:.2f}" if logits else "")
        rows.append(
            f'<li><span class="vx-name">{escape(p.label)}</span><span class="vx-value">{value}</span>'
            f'<span class="vx-track"><span class="vx-bar" style="width:{p.probability:.2%}"></span></span></li>'
        )
    return f'<ol class="vx-predictions" aria-label="Predictions, most likely first">{"".join(rows)}</ol>'


def steps_html(look: Look) -> str:
    """The preprocessing as a strip of pictures and sentences."""
    figures, rest = [], []
    for step in look.steps:
        size = " × ".join(map(str, step.shape))
        low, high = step.value_range
        facts = f"{size}, values {low:.3g} to {high:.3g}"
        if step.image is not None:
            source = draw.data_uri(draw.thumbnail(step.image, 128), format="JPEG")
            figures.append(
                f'<figure><img alt="" src="{source}"><figcaption><b>{escape(step.name)}</b>: '
                f"{escape(step.sentence)}<br>{facts}</figcaption></figure>"
            )
        else:
            rest.append(f"<li><b>{escape(step.name)}</b>: {escape(step.sentence)}; {facts}</li>")
    return (f'<div class="vx-strip">{"".join(figures)}</div>'
            f'<ol class="vx-steps" start="{len(figures) + 1}">{"".join(rest)}</ol>')


class PredictionsPanel(Panel):
    title = "Predictions"
    draw_on = ("look",)

    def __init__(self, session: Session):
        self.photo = W.Image(format="jpeg", layout=W.Layout(width="224px", height="auto", max_width="100%"))
        self.caption = W.HTML()
        self.bars = W.HTML(layout=W.Layout(width="100%"))
        self.notes = W.HTML()
        self.steps = W.HTML()
        self.topk = labelled("Show", W.Dropdown, options=[("top 3", 3), ("top 5", 5), ("top 10", 10)], value=5,
                             layout=W.Layout(width="112px"))
        self.logits = W.Checkbox(description="logits", indent=False, layout=W.Layout(width="auto"))
        self.prepared = W.Checkbox(description="how the photo was prepared", indent=False,
                                   layout=W.Layout(width="auto"))
        controls = W.HBox([self.topk, self.logits, self.prepared], layout=W.Layout(flex_flow="row wrap"))
        controls.add_class("vx-controls")
        left = W.VBox([self.photo, self.caption], layout=W.Layout(flex="0 1 auto"))
        right = W.VBox([self.notes, self.bars, controls], layout=W.Layout(flex="1 1 260px", min_width="0"))
        row = W.HBox([left, right], layout=W.Layout(flex_flow="row wrap", grid_gap="16px"))
        self.body = W.VBox([row, self.steps])
        self.empty = W.HTML('<span class="vx-soft">Choose a photo: its predictions appear here.</span>')
        super().__init__(session, [self.empty, self.body])
        self.on_choice(self.topk)
        self.on_choice(self.logits)
        self.on_choice(self.prepared)

    def draw(self) -> None:
        look = self.session.look
        self.empty.layout.display = "none" if look else ""
        self.body.layout.display = "" if look else "none"
        if look is None:
            return
        from explorer.inspection.look import top_predictions

        self.photo.value = draw.jpeg_bytes(look.seen)
        height, width = look.input.shape[-2:]
        name = escape(self.session.image_name)
        self.caption.value = (f'<div class="vx-caption"><span title="{name}">{name}</span>'
                              f'<span class="vx-soft">The network sees {width} × {height} pixels</span></div>')
        self.notes.value = "".join(f'<div class="vx-note">{escape(note)}</div>' for note in look.notes)
        if look.predictions:
            best = top_predictions(look.logits, look.labels, self.topk.value)
            self.bars.value = bars_html(best, logits=self.logits.value)
        else:
            self.bars.value = '<span class="vx-soft">This model has no classifier: look at its feature maps.</span>'
        self.steps.value = steps_html(look) if self.prepared.value else ""
