"""Predictions: what the network saw, what it says, and how the photo was prepared."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

import ipywidgets as W

from explorer.display import draw
from explorer.inspection.receptive.reads import reads_of
from explorer.widgets import export
from explorer.widgets.jobs import Line
from explorer.widgets.panels.base import Panel, labelled
from explorer.widgets.panels.explain.asking import asked_by
from explorer.widgets.panels.flowing import stops_of
from explorer.widgets.panels.work import notes_html
from explorer.widgets.parts.answers import Answer, Answers
from explorer.widgets.parts.flow import Flow, Seen
from explorer.widgets.session import Session
from explorer.widgets.snippets import call, setup_lines

if TYPE_CHECKING:  # importing it loads torch: the dashboard is on the screen before that
    from explorer.inspection.look.answers import Prediction
    from explorer.inspection.look.result import Look
    from explorer.models.outputs import Outputs

MOST_LIKELY = "Predictions, most likely first"


def answers_of(predictions: list[Prediction], *, logits: bool = False) -> list[Answer]:
    """The likeliest classes with bars, or numbers without."""
    found = []
    for one in predictions:
        number = one.value is not None  # a number has no end that a bar could reach
        logit = f"  logit {one.logit:.2f}" if logits and not number else ""
        found.append(Answer(one.label, one.text + logit, None if number else one.probability))
    return found


def meaning_html(outputs: Outputs) -> str:
    """What the answers are, where they are no shares of 100 %; names are untrusted text."""
    return f'<p class="vx-soft">{escape(outputs.meaning)}</p>' if outputs.meaning else ""


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


def _means(name: str, index: int, look: Look) -> bool:
    """Whether whoever asks for this name gets that class: two may bear it, or one of the same letters."""
    try:
        return asked_by(name, look) == {"target": index}
    except ValueError:
        return False


class PredictionsPanel(Panel):
    title = "Predictions"
    draw_on = ("look", "stage")
    guide = """
        <p><b>What you see.</b> The part of the photo that the network got; what comes out of its stages, the
        four strongest maps of each, coarser from left to right (÷8: one cell for 8 × 8 pixels); and the
        classes that it finds likeliest. A click on a stage opens all its maps, a click on an answer shows
        where in the photo it comes from. The frame on the photo is what the cell under the pointer is
        computed from, its <i>receptive field</i>. “Edges”, “textures”, “patterns”, “parts” and “objects” are
        the headings under which <a href="https://distill.pub/2017/feature-visualization/">Olah and others,
        2017</a> show what one network's layers answer to: a rule of thumb, not a measurement of this one.
        <br>The last layer gives every class a score, the <i>logit</i>; softmax turns all scores into
        shares that add up to 100 %. Where several classes may be there at once, a sigmoid gives each class
        a share of its own, and where the answer is yes or no, one sigmoid gives the share of the yes.
        Numbers that a model works out stand as they are.</p>
        <p><b>What it does not prove.</b> 90 % does not mean right nine times out of ten: modern networks
        are surer of themselves than they are right (<a href="https://arxiv.org/abs/1706.04599">Guo and
        others, 2017: On Calibration of Modern Neural Networks</a>). The shares are shared out among the
        classes that the model knows: a photo of anything else gets one of them too, often with a high share
        (<a href="https://arxiv.org/abs/1610.02136">Hendrycks and Gimpel, 2017</a>). And a right answer may
        rest on the background: see what changes with another photo.</p>"""

    def __init__(self, session: Session):
        self._drawn: Look | None = None            # whose photo and stops the page has
        self._best: list[Prediction] = []          # the answers on the page
        self._reader: Line | None = None           # finds out what the cells of a map read ...
        self._read: Any = None                     # ... of this model, so far
        plain = W.Layout()                         # of all that always shows: each is a widget of its own
        self.flow = Flow(lock=session.lock, layout=plain)
        self.answers = Answers(lock=session.lock, layout=plain)
        self.meaning = W.HTML(layout=plain)
        self.notes, self.steps = (W.HTML(layout=plain, style=self.meaning.style) for _ in range(2))
        self.topk = labelled("Show", W.Dropdown, options=[("top 3", 3), ("top 5", 5), ("top 10", 10)],
                             value=5, layout=W.Layout(width="112px"))
        self.logits = W.Checkbox(description="logits", indent=False, layout=W.Layout(width="auto"))
        self.prepared = W.Checkbox(description="how the photo was prepared", indent=False,
                                   layout=W.Layout(width="auto"))
        controls = W.HBox([self.topk, self.logits, self.prepared], layout=W.Layout(flex_flow="row wrap"))
        controls.add_class("vx-controls")
        right = W.VBox([self.notes, self.answers, self.meaning, controls], layout=plain)
        row = W.Box([self.flow, right], layout=plain)
        row.add_class("vx-way")
        self.body = W.VBox([row, self.steps])
        self.empty = W.HTML('<span class="vx-soft">Choose a photo: its predictions appear here.</span>',
                            style=self.meaning.style)
        super().__init__(session, [self.empty, self.body])
        self.on_choice(self.topk)
        self.on_choice(self.logits)
        self.on_choice(self.prepared)
        self.add_class("vx-story")
        self.flow.on_open(session.show_stage)
        self.flow.on_hover(self._find_reads)
        self.answers.on_pick(self._ask_about)

    def draw(self) -> None:
        look = self.session.look
        self.empty.layout.display = "none" if look else ""
        self.body.layout.display = "" if look else "none"
        if look is None:
            return
        from explorer.inspection.look.answers import top_predictions

        if look is not self._drawn:
            self._draw_way(look)
        self.flow.mark(self.session.stage)
        self.notes.value = notes_html(look.notes)
        self._best, text = [], ""
        if look.predictions:
            self._best = top_predictions(look.logits, look.outputs, self.topk.value)
        else:
            text = "This model has no classifier: look at its feature maps."
            if look.finds_places:
                boxes = look.detections is not None
                tab = "Detect" if boxes else "Segment"
                see = f"see the tab {tab}." if self.session.first is None else \
                    f"the tab {tab} shows those of the first model."
                text = f"This model finds {'boxes' if boxes else 'masks'}: {see}"
        label = "Numbers that the model gives" if look.outputs.numbers else MOST_LIKELY
        self.answers.show(answers_of(self._best, logits=self.logits.value),
                          label=f"{label}: {look.model_name}")
        self.meaning.value = f'<span class="vx-soft">{text}</span>' if text else meaning_html(look.outputs)
        all_shown = look.outputs.numbers or len(look.outputs) <= 3
        self.topk.layout.display = "none" if all_shown else ""
        self.logits.layout.display = "none" if look.outputs.numbers or look.finds_places else ""
        self.prepared.layout.display = "none" if look.finds_places else ""
        self.steps.value = steps_html(look) if self.prepared.value else ""

    def _find_reads(self) -> None:
        """The pointer is on a map: find out, once for a model, which part of the photo its cells read."""
        with self.session.lock:
            if self._reader is None:
                self._reader = self.line()
            model, look = self.session.model, self.session.look
            if look is None or model is self._read:
                return
            self._read = model
            names, size = self.flow.stops, look.input.shape[-2:]
            self._reader.start(lambda job: reads_of(model, names, size), self.flow.frame)

    def _draw_way(self, look: Look) -> None:
        """The photo and the stops of another look."""
        before, self._drawn = self._drawn, look
        height, width = look.input.shape[-2:]
        if self.session.model is not self._read or before is None or before.input.shape != look.input.shape:
            if self._reader is not None:
                self._reader.drop()  # what is found out now is of the former model, or of another shape
            self._read = None
            self.flow.frame({})
        seen = Seen(draw.jpeg_bytes(look.seen), self.session.image_name,
                    f"The network sees {width} × {height} pixels")
        stops, note = stops_of(look, self.session.model)
        self.flow.label = f"From the photo to the answer: {look.model_name}"
        self.flow.show(stops, seen=seen, note=note)

    def _ask_about(self, index: int) -> None:
        """A click on an answer: where in the photo does it come from?"""
        with self.session.lock:
            if index < len(self._best):
                one, look = self._best[index], self.session.look
                if look is not None:
                    clear = _means(one.label, one.index, look)
                    self.session.ask_class(one.label if clear else str(one.index))

    def forget(self) -> None:
        self._drawn, self._best, self._read = None, [], None

    # --- code and figure ---

    def code(self) -> str:
        lines = setup_lines(self.session)
        if not lines:
            return ""
        lines.append(f"look = {call('explorer.look', 'model', 'photo', options={'topk': self.topk.value})}")
        if self.prepared.value:
            lines.append("look.steps  # how the photo was prepared")
        # a model without classifier has no predictions
        look = self.session.look
        answers = {"detections": look.detections, "segmentation": look.segmentation,
                   "predictions": look.predictions or None}
        found = next((name for name, answer in answers.items() if answer is not None), "embedding")
        lines.append(f"look.{found}")
        return "\n".join(lines)

    def figure(self) -> Any:
        look = self.session.look
        if look is None:
            return None
        from matplotlib.figure import Figure

        from explorer.inspection.look.answers import top_predictions

        best = top_predictions(look.logits, look.outputs, self.topk.value) if look.predictions else []
        figure = Figure(figsize=(9 if best else 3.4, max(3.2, 0.36 * len(best) + 1.1)), layout="constrained")
        places = figure.subplots(1, 2, width_ratios=(2, 3)) if best else [figure.subplots()]
        places[0].imshow(look.seen)
        places[0].set_axis_off()
        if best and look.outputs.numbers:
            places[1].set_axis_off()
            for row, one in enumerate(best):
                text = f"{export.shortened(one.label)}: {one.text}"
                height = 0.9 - 0.8 * row / max(len(best), 4)
                places[1].text(0, height, text, fontsize=12, transform=places[1].transAxes, parse_math=False)
        elif best:
            bars = places[1]
            shown = bars.barh(range(len(best)), [one.probability for one in best], color=export.ACCENT)
            values = [one.text + (f"  logit {one.logit:.2f}" if self.logits.value else "") for one in best]
            bars.bar_label(shown, values, padding=4, fontsize=9)
            bars.set_yticks(range(len(best)), [export.shortened(one.label) for one in best])
            bars.invert_yaxis()
            bars.set(xlim=(0, 1.4), xticks=(0, 0.5, 1))  # the numbers stand at the right of the bars
            bars.set_xlabel(f"probability ({look.outputs.squash})", x=0.5 / 1.4)
            bars.spines[["top", "right"]].set_visible(False)
            bars.spines["bottom"].set_bounds(0, 1)
        return export.titled(figure, self.heading())

    def caption(self) -> str:
        look = self.session.look
        if look is None:
            return super().caption()
        if look.finds_places:
            return " ".join([super().caption(), *look.notes])
        c = look.config
        numbers = {name: ", ".join(f"{value:.4g}" for value in c[name]) for name in ("mean", "std")}
        settings = (f"Preprocessing: {c['interpolation']}, crop {c['crop_pct']:g} ({c['crop_mode']}), "
                    f"mean {numbers['mean']}, std {numbers['std']}")
        return " ".join(filter(None, [super().caption(), f"{settings}.", look.outputs.meaning, *look.notes]))
