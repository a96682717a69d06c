"""Views of "Inside the model" that the look alone is enough for: colours of a stage, first filters, activations."""

from __future__ import annotations

import math
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

import ipywidgets as W

from explorer.display.words import counted, seconds_text
from explorer.widgets.panels.inside_block import (
    SIDE,
    Block,
    button,
    list_lines,
    picture,
    pictures,
    row,
    side_by_side,
    with_imports,
)
from explorer.widgets.panels.work import notes_html
from explorer.widgets.snippets import call, literal, model_lines, setup_lines

if TYPE_CHECKING:
    from explorer.inspection.inside.components import PcaPicture
    from explorer.inspection.inside.filters import Filters
    from explorer.inspection.inside.statistics import Activations, StageActivations
    from explorer.inspection.look.result import Look

TOGETHER = 8          # photos with common colours, the one on the screen among them
FINE = 12             # places a side: enough to recognise things by
SHEET = 460           # pixels, about, of the picture of all filters
HISTOGRAMS = 30       # stages in an exported figure
CHANNELS = ("red", "green", "blue")
SINGLE = "This model makes no map of more than one place, so there is nothing to compare."


class StageButtons(W.ToggleButtons):
    """The stages of the model on the screen; another model keeps the depth that was chosen."""

    def __init__(self):
        super().__init__(options=[], tooltips=[])
        self.add_class("vx-stages")
        self.offering = False

    def offer(self, look: Look, names: list[str], *, first: int) -> None:
        """first: number of the one that is chosen where none was chosen before."""
        if tuple(names) == tuple(self.options):
            return
        steps = len(self.options) - 1
        share = self.index / steps if steps > 0 else first / max(1, len(names) - 1)
        self.offering = True
        try:
            self.options = names
            self.tooltips = [" × ".join(map(str, look.stages[name].shape)) for name in names]
            self.value = names[round(share * (len(names) - 1))] if names else None
        finally:
            self.offering = False


class Together(Block):
    """A view of the photo on the screen alone or, on a click, together with photos of the gallery, each of which costs a pass."""

    words, tooltip, most = "", "", 1  # of the button; how many other photos at most

    def __init__(self, panel):
        super().__init__(panel)
        self.cost, self.together = W.HTML(), False
        self.more, self.alone, self.stop = button(self.words, tooltip=self.tooltip), button("This photo alone"), button("Stop")
        self.line = row(self.more, self.alone, self.stop, self.cost)
        self.more.on_click(lambda _: self._set_together(True))
        self.alone.on_click(lambda _: self._set_together(False))
        self.stop.on_click(lambda _: self.panel.stop())

    def follow(self, look: Look, model: Any) -> None:
        """Another photo is shown alone again: the passes for the others are not asked for by that."""
        if self.wanted is not None and self.wanted[0] != self.panel.turn:
            self.together = False
        number = len(self.panel.others(look)[:self.most])
        self.cost.value = (f'<span class="vx-soft">{counted(number, "other photo")}, a pass each where it was not looked at '
                           f'yet: at most about {seconds_text(number * look.timing["forward"])}.</span>' if number else "")
        self.ask(look, model)

    def ask(self, look: Look | None, model: Any) -> None:
        """Draw it, unless it is there already."""

    def _set_together(self, together: bool) -> None:
        with self.session.lock:
            self.together = together
            self.ask(self.session.look, self.session.model)

    def busy(self, running: bool) -> None:
        def there(part: W.Widget, is_there: bool) -> None:
            part.layout.display = "" if is_there else "none"

        there(self.more, not self.together and bool(self.panel.photos))
        there(self.cost, not self.together)
        there(self.alone, self.together)
        there(self.stop, self.together and running)


# --- colours of a stage -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Coloured:
    """pictures: of the photo on the screen, then of others;  seen: what the network saw of each;  others: their numbers"""

    pictures: tuple[PcaPicture, ...]
    seen: tuple[Any, ...]
    titles: tuple[str, ...]
    stage: str
    others: tuple[int, ...] = ()
    problems: tuple[str, ...] = ()


class Colours(Together):
    name, menu = "colours", "Colours of a stage"
    words, tooltip, most = "With the gallery's photos", "Common colours: they mean the same in all photos", TOGETHER - 1
    about = "Places of like colour look alike to the model at this depth."

    def __init__(self, panel):
        super().__init__(panel)
        self.stage, self.facts, self.view = StageButtons(), W.HTML(), W.HTML()
        self.children = [self.stage, self.view, self.facts, self.line, self.progress, self.problem]
        self.stage.observe(self._changed, "value")

    def follow(self, look: Look, model: Any) -> None:
        names = [name for name, maps in look.stages.items() if maps[0].numel() > 1]
        fine = [number for number, name in enumerate(names) if min(look.stages[name].shape[1:]) >= FINE]
        self.stage.offer(look, names, first=fine[-1] if fine else len(names) - 1)
        if self.stage.value is None:
            return self.clear(SINGLE)
        super().follow(look, model)

    def _changed(self, _change: Any = None) -> None:
        with self.session.lock:
            if not self.stage.offering:
                self.ask(self.session.look, self.session.model)

    def ask(self, look: Look | None, model: Any) -> None:
        stage, together = self.stage.value, self.together
        key = (self.panel.turn, stage, together)
        if look is None or stage is None or self.wanted == key:
            return
        name, photos = self.session.image_name, self.panel.photos

        def step(job):
            from explorer.inspection.inside.components import pca_rgb_many

            others, problems = self.panel.look_at_others(job, look, model, self.most) if together else ({}, [])
            looks = [look, *others.values()]
            return Coloured(tuple(pca_rgb_many(looks, stage)), tuple(one.seen for one in looks),
                            (name, *(photos[i][0] for i in others)), stage, tuple(others), tuple(problems))

        self.panel.ask(self, key, step, long=together)

    def empty(self) -> None:
        self.view.value = self.facts.value = ""

    def show(self, found: Coloured) -> None:
        first, parts = found.pictures[0], []
        side = SIDE if len(found.pictures) == 1 else SIDE // 2
        for one, seen, title in zip(found.pictures, found.seen, found.titles):
            channels, (columns, rows) = first.components.shape[1], one.picture.size
            words = f"{rows} × {columns} places, {channels} channels" if side == SIDE else ""
            parts.append('<div class="vx-inside-pair">' + picture(seen, title, side=side, format="JPEG")
                         + picture(one.picture, words, alt=f"{found.stage} of {title} in colours", side=side, crisp=True)
                         + "</div>")
        self.view.value = pictures(parts)
        bars = "".join(f'<li><span>{name}</span><i class="vx-inside-{name}" style="width:{100 * share:.1f}%"></i>'
                       f"<b>{100 * share:.1f} %</b></li>" for name, share in zip(CHANNELS, first.explained))
        rest = 1 - sum(first.explained)
        together = f" over {counted(len(found.pictures), 'photo')} together" if len(found.pictures) > 1 else ""
        self.facts.value = (
            f"{notes_html(self.session.look.notes)}<p>Share of the variance{together} that each colour stands for; the other "
            f'{100 * rest:.1f} % cannot be seen here.</p><ul class="vx-inside-shares">{bars}</ul>{notes_html(found.problems)}')

    def code(self) -> str:
        found, lines = self.shown, setup_lines(self.session)
        if not found.others:
            return "\n".join([*lines, f"explorer.pca_rgb(explorer.look(model, photo), {literal(found.stage)})"])
        photos = list_lines(["photo"], [self.panel.photos[i] for i in found.others])
        return "\n".join([*with_imports(lines, "from explorer.inspection.inside.components import pca_rgb_many"), *photos,
                          f"pca_rgb_many([explorer.look(model, one) for one in photos], {literal(found.stage)})"])

    def figure(self) -> Any:
        found = self.shown
        images = []
        for one, seen in zip(found.pictures, found.seen):
            images += [seen, one.enlarged(max(seen.size))]
        return side_by_side(images, columns=2 if len(found.pictures) < 3 else 4)

    def heading(self) -> str:
        return f"Colours of {self.shown.stage}" if self.shown else self.menu

    def caption(self) -> str:
        found = self.shown
        shares = ", ".join(f"{name} {100 * share:.1f} %" for name, share in zip(CHANNELS, found.pictures[0].explained))
        together = f" of {counted(len(found.pictures), 'photo')} together" if len(found.pictures) > 1 else ""
        return f"First three principal components of {found.stage}{together}; share of the variance: {shares}."


# --- first filters ------------------------------------------------------------------------------------------------


class FirstFilters(Block):
    name, menu = "filters", "First filters"
    about = "What the layer that reads the photo's own pixels looks for. Grey is a weight of zero."
    of_photo = False

    def __init__(self, panel):
        super().__init__(panel)
        self.view = W.HTML()
        self.cell, self.columns = 24, None
        self.children = [self.problem, self.view]

    def follow(self, look: Look, model: Any) -> None:
        key = self.panel.models
        if self.wanted == key:
            return

        def step(job):
            from explorer.inspection.inside.filters import first_convolution, first_filters

            weights = first_convolution(model)[1].weight
            kernels = weights.shape[0] * (1 if weights.shape[1] == 3 else weights.shape[1])
            self.cell = max(12, min(56, round(SHEET / kernels ** 0.5)))
            self.columns = even_columns(kernels) if kernels == len(weights) else None
            return first_filters(model, **self.options)

        self.panel.ask(self, key, step)

    def empty(self) -> None:
        self.view.value = ""

    def show(self, found: Filters) -> None:
        height, width = found.size
        channels = found.weights.shape[1]
        kind = "Each is a colour picture" if channels == 3 else f"Each is {counted(channels, 'grey picture')} in a row"
        sheet = picture(found.picture, alt=found.caption, side=found.picture.width, crisp=True)
        self.view.value = (f"{notes_html(found.notes)}{sheet}<p><b>{found.count}</b> filters of {escape(found.path)}, {height} × "
                           f"{width} pixels. {kind}, on its own scale, from its largest weight to minus that.</p>")

    @property
    def options(self) -> dict[str, int]:
        return {"cell": self.cell} | ({"columns": self.columns} if self.columns else {})

    def code(self) -> str:
        call_text = call("explorer.first_filters", "model", options=self.options)
        return "\n".join(["import explorer", "", *model_lines(self.session), call_text])

    def figure(self) -> Any:
        return self.shown.picture

    def caption(self) -> str:
        return f"{self.shown.caption}."


def even_columns(count: int) -> int | None:
    """So many that no row stays short, and the sheet is at most twice as wide as high; None where that can't be."""
    return next((columns for columns in range(math.isqrt(count - 1) + 1, count + 1) if count % columns == 0
                 and columns ** 2 <= 2 * count), None)


# --- activations --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Spread:
    """What was found, over the photo on the screen and others of the gallery, by their numbers."""

    activations: Activations
    others: tuple[int, ...] = ()
    problems: tuple[str, ...] = ()


class Activity(Together):
    name, menu = "activations", "Activations"
    words, tooltip, most = "Over the gallery's photos", "Which channels are silent on all of them?", 1000
    about = "How the numbers of each stage are spread, and which channels stay silent."

    def __init__(self, panel):
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
        together = self.together

        def step(job):
            from explorer.inspection.inside.statistics import activations

            others, problems = self.panel.look_at_others(job, look, model, self.most) if together else ({}, [])
            return Spread(activations([look, *others.values()]), tuple(others), tuple(problems))

        self.panel.ask(self, key, step, long=together)

    def empty(self) -> None:
        self.view.value = ""

    def show(self, found: Spread) -> None:
        self.view.value = activations_html(found.activations, found.problems)

    def code(self) -> str:
        lines = setup_lines(self.session)
        if not self.shown.others:
            return "\n".join([*lines, "explorer.activations(explorer.look(model, photo))"])
        photos = list_lines(["photo"], [self.panel.photos[i] for i in self.shown.others])
        return "\n".join([*lines, *photos, "explorer.activations([explorer.look(model, one) for one in photos])"])

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
        return f"Histograms over {counted(found.photos, 'photo')}; bars are as high as the root of their counts."


def activations_html(found: Activations, problems: tuple[str, ...] = ()) -> str:
    """Bars over depth, then a table of all stages; a warning above where numbers are not finite."""
    from explorer.display.words import percent
    from explorer.inspection.inside.statistics import histogram_html

    stages = list(found.stages.values())
    parts = []
    if found.not_finite:
        where = ", ".join(stage.name for stage in stages if stage.nans + stage.infinities)
        parts.append(f'<div class="vx-error" role="alert">{found.not_finite:,} numbers are NaN or infinite, first of all in '
                     f"{escape(where)}. From there on nothing means anything: look for a learning rate that was too high, half "
                     "precision, or broken weights.</div>")
    parts.append(notes_html(problems))
    on = "this photo" if found.photos == 1 else f"any of {counted(found.photos, 'photo')}"
    parts.append('<div class="vx-inside-depth">'
                 + depth_bars("spread (standard deviation)", stages, [s.std for s in stages],
                              [f"{s.std:.3g}" for s in stages])
                 + depth_bars("zeros", stages, [s.zeros for s in stages], [percent(s.zeros) for s in stages], top=1)
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
    parts.append(f'<div class="vx-inside-scroll"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'
                 f'<p class="vx-soft">Never above 0: on no place of {on}. Behind a ReLU such a channel is silent; behind GELU '
                 "or SiLU it may still speak. Histogram bars are as high as the root of their counts; the line is zero.</p>")
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
    return (f'<figure role="img" style="max-width:{max(190, 46 * len(stages))}px" aria-label="{title}: {escape(said)}">'
            f"<figcaption>{title}: {highest}</figcaption>"
            f'<div class="vx-inside-bars">{bars}</div>'
            f'<div class="vx-inside-ends vx-soft"><span>{first}</span><span>{last}</span></div></figure>')
