"""Activations: how the numbers of each stage are spread, and which channels stay silent."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

import ipywidgets as W

from explorer.display.words import counted
from explorer.widgets.gallery import NO_PHOTOS, Gallery
from explorer.widgets.panels.inside.block import Host
from explorer.widgets.panels.inside.together import Together
from explorer.widgets.panels.photo_code import list_lines
from explorer.widgets.panels.work import notes_html, said_html

if TYPE_CHECKING:
    from explorer.inspection.inside.statistics import Activations, StageActivations
    from explorer.inspection.look.result import Look

HISTOGRAMS = 30  # stages in an exported figure


@dataclass(frozen=True)
class Spread:
    """What was found, over the photo on the screen and others of the gallery."""

    activations: Activations
    others: Gallery = NO_PHOTOS
    problems: tuple[str, ...] = ()


class Activity(Together):
    name, menu = "activations", "Activations"
    words, tooltip, most = "Over the gallery's photos", "Which channels are silent on all of them?", 1000
    about = "How the numbers of each stage are spread, and which channels stay silent."

    def __init__(self, panel: Host):
        super().__init__(panel)
        self.view = W.HTML()
        self.children = [self.line, self.progress, self.problem, self.view]

    def follow(self, look: Look, model: Any) -> None:
        if not look.stages:
            return self.clear("This model makes no maps: it has no layer with places side by side.")
        super().follow(look, model)

    def ask(self, look: Look | None, model: Any) -> None:
        key = (self.panel.turn, self.together)
        if look is None or self.wanted == key:
            return

        def compute(looks: list[Look], others: Gallery, problems: tuple[str, ...]) -> Spread:
            from explorer.inspection.inside.statistics import activations

            return Spread(activations(looks), others, problems)

        self.work_at(key, look, model, compute)

    def empty(self) -> None:
        self.view.value = ""

    def show(self, found: Spread) -> None:
        self.view.value = activations_html(found.activations, found.problems)

    def code(self) -> str:
        lines, others = self.ran.setup, self.shown.others
        if not others:
            return "\n".join([*lines, "explorer.activations(explorer.look(model, photo))"])
        last = "explorer.activations([explorer.look(model, one) for one in photos])"
        return "\n".join([*lines, *list_lines(["photo"], others), last])

    def figure(self) -> Any:
        from matplotlib.figure import Figure

        from explorer.widgets.export import ACCENT, titled

        stages = list(self.shown.activations.stages.values())
        stages = stages[::-(-len(stages) // HISTOGRAMS)]
        columns = min(5, len(stages))
        rows = -(-len(stages) // columns)
        figure = Figure(figsize=(2.5 * columns, 1.9 * rows + 0.5), layout="constrained")
        places = figure.subplots(rows, columns, squeeze=False).ravel()
        for place, stage in zip(places, stages):
            place.stairs(stage.counts ** 0.5, stage.edges, fill=True, color=ACCENT)
            place.set_yticks([])
            place.tick_params(labelsize=7)
            words = f"{stage.name}\nmean {stage.mean:.3g}, std {stage.std:.3g}, zeros {stage.zeros:.0%}"
            place.set_title(words, fontsize=7, parse_math=False)
            place.spines[["top", "right", "left"]].set_visible(False)
        for place in places[len(stages):]:
            place.set_visible(False)
        return titled(figure, self.heading())

    def caption(self) -> str:
        found = self.shown.activations
        over = counted(found.photos, "photo")
        return f"Histograms over {over}; bars are as high as the root of their counts."


def activations_html(found: Activations, problems: tuple[str, ...] = ()) -> str:
    """Bars over depth, then a table of all stages; a warning above where numbers are not finite."""
    from explorer.display.words import percent
    from explorer.inspection.inside.statistics import histogram_html

    stages = list(found.stages.values())
    parts = []
    if found.not_finite:
        where = ", ".join(stage.name for stage in stages if stage.nans + stage.infinities)
        parts.append(said_html(
            f"{found.not_finite:,} numbers are NaN or infinite, first of all in {where}. From there on "
            "nothing means anything: look for a learning rate that was too high, half precision, or broken "
            "weights.",
            wrong=True))
    parts.append(notes_html(problems))
    on = "this photo" if found.photos == 1 else f"any of {counted(found.photos, 'photo')}"
    parts.append('<div class="vx-inside-depth">'
                 + depth_bars("spread (standard deviation)", stages, [s.std for s in stages],
                              [f"{s.std:.3g}" for s in stages])
                 + depth_bars("zeros", stages, [s.zeros for s in stages],
                              [percent(s.zeros) for s in stages], top=1)
                 + depth_bars("channels never above 0", stages, [len(s.dead) / s.channels for s in stages],
                              [f"{len(s.dead)} of {s.channels}" for s in stages], top=1) + "</div>")
    rows = "".join(
        f'<tr><th scope="row">{escape(s.name)}</th><td>{histogram_html(s, width=96)}</td>'
        f"<td>{s.edges[0]:.3g}</td><td>{s.edges[-1]:.3g}</td><td>{s.mean:.3g}</td><td>{s.std:.3g}</td>"
        f"<td>{percent(s.zeros)}</td><td{dead_title(s)}>{len(s.dead)} of {s.channels}</td>"
        + (f"<td>{s.nans + s.infinities:,}</td>" if found.not_finite else "") + "</tr>" for s in stages)
    titles = ["stage", "histogram", "lowest", "highest", "mean", "std", "zeros", "never above 0",
              *(["not finite"] if found.not_finite else [])]
    head = "".join(f'<th scope="col">{title}</th>' for title in titles)
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
    parts.append(f'<div class="vx-inside-scroll">{table}</div>'
                 f'<p class="vx-soft">Never above 0: on no place of {on}. Behind a ReLU such a channel is '
                 "silent; behind GELU or SiLU it may still speak. Histogram bars are as high as the root of "
                 "their counts; the line is zero.</p>")
    return "".join(parts)


def dead_title(stage: StageActivations) -> str:
    """The numbers of the silent channels, to read on hovering."""
    if not stage.dead:
        return ""
    shown = ", ".join(map(str, stage.dead[:40]))
    return f' title="channels {shown}{", …" if len(stage.dead) > 40 else ""}"'


def depth_bars(
    title: str, stages: list[StageActivations], values: list[float], texts: list[str], *, top: float = 0
) -> str:
    """One small bar chart over the stages; top: the value of a full bar, 0 for the largest."""
    finite = [value for value in values if value == value]
    share = top == 1
    top = top or max(finite, default=0) or 1
    heights = [100 * min(1, value / top) if value == value else 0 for value in values]
    bars = "".join(f'<i title="{escape(stage.name)}: {escape(text)}"><b style="height:{height:.1f}%"></b></i>'
                   for stage, height, text in zip(stages, heights, texts))
    most = max(finite, default=0)
    highest = "none" if not most else f"up to {100 * most:.3g} %" if share else f"up to {most:.3g}"
    said = "; ".join(f"{stage.name} {text}" for stage, text in zip(stages, texts))
    first, last = escape(stages[0].name), escape(stages[-1].name)
    wide = max(190, 46 * len(stages))
    return (f'<figure role="img" style="max-width:{wide}px" aria-label="{title}: {escape(said)}">'
            f"<figcaption>{title}: {highest}</figcaption>"
            f'<div class="vx-inside-bars">{bars}</div>'
            f'<div class="vx-inside-ends vx-soft"><span>{first}</span><span>{last}</span></div></figure>')
