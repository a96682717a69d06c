"""How strongly the photo on the screen would ask each layer to change;
curves of other models can stay beside it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

import ipywidgets as W

from explorer.display.words import seconds_text
from explorer.widgets.panels.base import labelled
from explorer.widgets.panels.inside.block import Block, Host, button, row
from explorer.widgets.panels.work import notes_html, said_html
from explorer.widgets.parts.live_chart import LiveChart
from explorer.widgets.snippets import call, literal, setup_lines

if TYPE_CHECKING:
    from explorer.inspection.inside.flow import GradientFlow
    from explorer.inspection.look.result import Look

MOST_KEPT = 3
MOST_NAMES = 2000
PASSES = 3          # a pass forward and one backward cost about that many passes


@dataclass(frozen=True)
class Flow:
    """One curve: what it is called, the lines that set it up,
    and whether these give it when another model is there.
    """

    name: str
    found: GradientFlow
    lines: tuple[str, ...]
    options: dict[str, Any]

    @property
    def lasting(self) -> bool:
        return not any("dash." in line for line in self.lines)


class Gradients(Block):
    name, menu = "gradients", "Gradient flow"
    about = "How strongly each layer would be asked to change by this photo, from one backward pass."

    def __init__(self, panel: Host):
        super().__init__(panel)
        self.target = labelled("Class", W.Combobox, continuous_update=False, ensure_option=False,
                               placeholder="the likeliest; or type a name",
                               layout=W.Layout(width="min(340px, 100%)"))
        self.go = button("Compute", primary=True)
        self.keep = button("Keep this curve", tooltip="It stays beside the next model's", disabled=True)
        self.forget = button("Forget the others")
        self.cost, self.facts, self.table = W.HTML(), W.HTML(), W.HTML()
        self.chart = LiveChart(title="Mean absolute gradient", x_label="layer", switches=["log"],
                               empty="Press Compute.", height=260, lock=self.session.lock)
        self.chart.log = True
        self.kept: list[Flow] = []
        self.turn, self.classless = 0, False
        self.children = [row(self.target, self.go, self.cost), self.problem, self.chart,
                         row(self.keep, self.forget), self.facts, self.table]
        self.target.observe(self._retarget, "value")
        self.go.on_click(lambda _: self._ask())
        self.keep.on_click(lambda _: self._keep())
        self.forget.on_click(lambda _: self._forget())
        self.busy(False)

    def follow(self, look: Look, model: Any) -> None:
        names = tuple(dict.fromkeys(look.labels)) if len(look.labels) <= MOST_NAMES else ()
        if names != self.target.options:
            self.target.options = names
        self.target.description = look.outputs.noun.capitalize()
        usual = "the first" if look.outputs.numbers else "the likeliest"
        self.target.placeholder = f"{usual}; or type a name"
        seconds = seconds_text(PASSES * look.timing["forward"])
        cost = f"A pass forward and one backward, about as long as {PASSES} passes: {seconds}."
        self.classless = look.finds_places
        self.target.layout.display = "none" if self.classless else ""
        self.cost.value = "" if self.classless else f'<span class="vx-soft">{cost}</span>'
        if self.classless:
            things = "boxes" if look.detections is not None else "masks"
            self.clear(f"{look.model_name} finds {things}, and the gradients are those of a class's score: "
                       "choose a model that finds classes.")
        elif self.turn != self.panel.turn:
            self.clear()

    def _retarget(self, _change: Any = None) -> None:
        with self.session.lock:
            if self.shown is not None:  # it was asked for once; another class of the same photo follows
                self._ask()

    def _ask(self) -> None:
        from explorer.inspection.look.targets import find_class

        with self.session.lock:
            look, model, text = self.session.look, self.session.model, self.target.value.strip()
            if look is None:
                return
            options: dict[str, Any] = {}
            if text:
                try:
                    chosen = int(text) if text.isdecimal() and text not in look.labels else text
                    options["target"] = find_class(chosen, look.labels, look.outputs.noun)
                except (ValueError, IndexError) as error:
                    self.clear()
                    self.complain(str(error))
                    return
            name, lines = self.session.model_name, tuple(setup_lines(self.session))

            def step(job):
                from explorer.inspection.inside.flow import gradient_flow

                return Flow(name, gradient_flow(model, look.image, look=look, **options), lines, options)

            self.panel.ask(self, (self.panel.turn, text), step)

    def busy(self, running: bool) -> None:
        self.go.disabled = running or self.classless
        self.keep.disabled = running or self.shown is None or self.is_kept or len(self.kept) >= MOST_KEPT
        self.forget.layout.display = "" if self.kept else "none"

    def clear(self, why: str = "") -> None:
        self.turn = self.panel.turn
        super().clear(why)

    def empty(self) -> None:
        self.facts.value = self.table.value = ""
        self._draw_chart()
        self.busy(False)

    def show(self, found: Flow) -> None:
        self._draw_chart()
        self.facts.value = flow_html(found.found)
        self.table.value = layers_html(found.found)
        self.busy(False)

    def _keep(self) -> None:
        with self.session.lock:
            if self.shown is None or self.is_kept or len(self.kept) >= MOST_KEPT:
                return
            self.kept.append(self.shown)
            self._draw_chart()
            self.busy(self.running)
            self.panel.changed()

    def _forget(self) -> None:
        with self.session.lock:
            self.kept = []
            self._draw_chart()
            self.busy(self.running)
            self.panel.changed()

    @property
    def is_kept(self) -> bool:
        return any(one is self.shown for one in self.kept)

    @property
    def flows(self) -> list[Flow]:
        """All that is drawn, the present one last."""
        return [*(one for one in self.kept if one is not self.shown), *([self.shown] if self.shown else [])]

    def _draw_chart(self) -> None:
        flows = self.flows
        curves = {}
        for number, one in enumerate(flows, 1):
            name = f"{number}. {one.name}: " if len(flows) > 1 else ""
            curves |= {name + group: points for group, points in curves_of(one.found).items()}
        self.chart.replace(curves)

    def code(self) -> str:
        *kept, present = self.flows
        last = call("explorer.gradient_flow", "model", "photo", options=present.options)
        if not kept:
            return "\n".join([*present.lines, last])
        lines = ["import explorer", "", "flows = []  # in the order of the curves"]
        for one in [*kept, present]:
            if one is present or one.lasting:
                lines += [line for line in one.lines if line not in ("import explorer", "")]
                again = call("explorer.gradient_flow", "model", "photo", options=one.options)
                lines.append(f"flows.append({again})")
            else:
                why = "what was on the screen then has no name to open it by"
                lines.append(f"# not {literal(one.name)}: {why}")
        return "\n".join([*lines, "flows"])

    def figure(self) -> Any:
        from matplotlib.figure import Figure

        from explorer.widgets.export import shortened, titled

        figure = Figure(figsize=(8, 4), layout="constrained")
        place = figure.subplots()
        flows = self.flows
        for number, one in enumerate(flows):
            for (group, points), style in zip(curves_of(one.found).items(), ("-", ":", "--")):
                label = f"{shortened(one.name, 30)}: {group}" if len(flows) > 1 else group
                place.semilogy(*zip(*points), style, marker=".", color=f"C{number}", label=label)
        place.set(xlabel="layer, in the order that the photo meets them", ylabel="mean absolute gradient")
        place.grid(alpha=0.3)
        place.spines[["top", "right"]].set_visible(False)
        place.legend(fontsize=8, frameon=False)
        return titled(figure, self.heading())

    def caption(self) -> str:
        found = self.shown.found
        what = f"Gradient of {found.what} = {found.loss:.3g}"
        return f"{what} at the parameters of each layer, mean of absolute values."

    def release(self) -> None:
        super().release()
        self.kept = []


def group_of(kind: str) -> str:
    """Scales and shifts of a normalisation have gradients of another size than weights:
    they are another curve.
    """
    if "norm" in kind.lower():
        return "normalisation"
    return "weights" if "conv" in kind.lower() or "linear" in kind.lower() else "other parameters"


def curves_of(found: GradientFlow) -> dict[str, list[tuple[float, float]]]:
    """(number of the layer, mean absolute gradient) by kind of layer;
    a log axis has no place for zero or NaN.
    """
    curves: dict[str, list[tuple[float, float]]] = {}
    for number, layer in enumerate(found.layers):
        if 0 < layer.mean_abs < math.inf:
            curves.setdefault(group_of(layer.kind), []).append((number, layer.mean_abs))
    order = ("weights", "normalisation", "other parameters")
    return {name: curves[name] for name in order if name in curves}


def flow_html(found: GradientFlow) -> str:
    """What the curve says, in words; names of classes are untrusted."""
    weights = [(found[int(number)].path, size) for number, size in curves_of(found).get("weights", ())]
    what = f"<b>{escape(found.label)}</b>" if found.number else f"−log p(<b>{escape(found.label)}</b>)"
    parts = [f"Gradient of {what} = {found.loss:.3g} at {len(found)} layers, in the order "
             "that the photo meets them."]
    if len(weights) > 1:
        (first, begin), (last, end) = weights[0], weights[-1]
        parts.append(f"The weights of {escape(first)} get {begin:.2g}, those of {escape(last)} {end:.2g}: "
                     f"{ratio_text(begin / end)}.")
    silent = [layer.path for layer in found.layers if layer.mean_abs == 0]
    broken = [layer.path for layer in found.layers if not math.isfinite(layer.mean_abs)]
    if silent:
        parts.append(f"Nothing reaches {escape(some(silent))}.")
    problem = said_html(f"Not finite at {some(broken)}.", wrong=True) if broken else ""
    return f"{problem}<p>{' '.join(parts)}</p>{notes_html(found.notes)}"


def ratio_text(ratio: float) -> str:
    times = max(ratio, 1 / ratio)
    text = f"{times:,.0f}" if times >= 10 else f"{times:.1f}"
    return f"{text} times as much at the {'start as at the end' if ratio >= 1 else 'end as at the start'}"


def some(names: list[str], most: int = 4) -> str:
    names = [name or "the network's own parameters" for name in names]
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def layers_html(found: GradientFlow) -> str:
    rows = "".join(
        f'<tr><td>{number}</td><th scope="row">{escape(layer.path or "(the network itself)")}</th>'
        f"<td>{escape(layer.kind)}</td><td>{layer.parameters:,}</td><td>{layer.mean_abs:.2e}</td></tr>"
        for number, layer in enumerate(found.layers))
    titles = ("", "layer", "kind", "parameters", "mean |gradient|")
    head = "".join(f'<th scope="col">{title}</th>' for title in titles)
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
    return (f"<details><summary>All {len(found)} layers</summary>"
            f'<div class="vx-inside-scroll vx-inside-tall">{table}</div></details>')
