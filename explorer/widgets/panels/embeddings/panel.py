"""Embeddings: every photo of a folder as a point, its neighbours, and what the features know of the classes.

Nothing starts by itself: the reader presses a button. Slow work is done one thing at a time and can be
stopped, while the pictures that somebody points at are fetched beside it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from html import escape
from typing import Any

import ipywidgets as W

from explorer.display.words import sentence_of
from explorer.widgets.jobs import Job
from explorer.widgets.panels.base import Panel, labelled
from explorer.widgets.panels.embeddings.guide import GUIDE
from explorer.widgets.panels.embeddings.neighbours import NEIGHBOURS, Neighbours
from explorer.widgets.panels.embeddings.sources import DATA, FOLDER, Source, source_of
from explorer.widgets.panels.embeddings.words import (
    about_html,
    budget_curve,
    possible_budgets,
    probe_html,
    spread,
)
from explorer.widgets.panels.work import Work
from explorer.widgets.parts.scatter import Scatter
from explorer.widgets.session import Session
from explorer.widgets.snippets import call, literal, model_lines

MAPS = {"a projection (PCA)": "pca", "neighbours stay together (t-SNE)": "tsne", "likewise (UMAP)": "umap"}
OFFLINE = tuple(f"tf_efficientnet_lite{number}" for number in range(3))  # their weights need no network
MOST_MAPPED = 5000  # points of a map; of more photos, these are spread evenly over all
MOST_ALIKE = 128    # photos by which the stages of two models are compared
OF_CLASSES = ("How well a logistic regression and a vote of the neighbours tell the classes apart, and how "
              "many labels that takes.")
OF_STAGES = "How alike the stages of the dashboard's model and of another one place these photos."
GONE = ("# The model that this was worked out with is no longer on the screen, and no name gives it "
        "again.")
NO_LABELS = "These photos have no labels: a folder with one folder a class has them."


@dataclass(frozen=True, eq=False)
class Shown:
    """What the points on the screen are of. lines: Python for `model`."""

    photos: Any  # explorer.inspection.features.embeddings.Embeddings
    source: Source
    lines: tuple[str, ...]


class EmbeddingsPanel(Panel):
    name = "Embeddings"
    guide = GUIDE
    nothing_yet = "Nothing is shown here yet: press Embed first."
    draw_on = ("model", "model_name", "compare")  # two models may have one name

    def __init__(self, session: Session):
        self.shown: Shown | None = None
        self.map: Any = None                # Map2D
        self.probe: Any = None
        self.knn: Any = None
        self.alike: Any = None              # StageSimilarity
        self._alike_code: tuple[str, ...] = ()
        self._alike_model: Any = None
        self._budgets: list[int] = []
        super().__init__(session)
        self.add_class("vx-embeddings")

    def make(self) -> None:
        wide, lock = W.Layout(width="auto"), self.session.lock
        self.data = labelled("Photos", W.Dropdown, options=[*DATA.items()], layout=wide)
        self.folder = labelled("Folder", W.Text, continuous_update=False,
                               placeholder="a folder with photos, or with one folder a class",
                               layout=W.Layout(width="min(420px, 100%)", display="none"))
        self.go = W.Button(description="Embed", button_style="primary", layout=wide)
        self.work = self.line(Work, busy=self._set_busy,
                              tooltip="After the present batch; what is done is kept")
        self.progress, self.message, self.stop = self.work.progress, self.work.message, self.work.button
        self.method = labelled("Map", W.Dropdown, options=[*MAPS.items()], layout=wide)
        self.about, self.stale, self.map_note = (W.HTML() for _ in range(3))
        self.scatter = Scatter(title="Photos", equal=True, ticks=False, pictures=True, height=430, lock=lock,
                               empty="Press Embed: every photo becomes a point.")
        self.near = Neighbours(self, self.scatter)
        self.judge = W.Button(
            description="Probe", disabled=True, layout=wide,
            tooltip="Logistic regression and neighbours' vote on the photos' vectors; takes labels")
        self.judged = W.HTML(soft(OF_CLASSES))
        self.curve = Scatter(title="Linear probe by labels", x_label="labelled photos of each class",
                             y_label="right", y_unit="percent", log_x=True, height=260, empty="", lock=lock,
                             layout=W.Layout(display="none"))
        self.other = labelled("with", W.Combobox, options=[], placeholder="a model's name",
                              ensure_option=False, continuous_update=False,
                              layout=W.Layout(width="min(300px, 100%)"))
        self.match = W.Button(description="Compare stages", layout=wide,
                              tooltip="Linear CKA between all stages of both models")
        self.matrix = W.HTML(soft(OF_STAGES))
        for button in (self.go, self.stop, self.near.open, self.judge, self.match):
            button.add_class("vx-open")

        left = block("", self.scatter, self.map_note)
        right = block("Nearest photos (cosine distance)", self.near.note, self.near.strip, self.near.open)
        known = block("What the vectors know of the classes (linear probe, k-NN)", row(self.judge),
                      self.judged, self.curve)
        stages = block("Stages of two models (linear CKA)", row(self.other, self.match), self.matrix)
        first, second = W.Box([left, right]), W.Box([known, stages])
        first.add_class("vx-embed-map")
        second.add_class("vx-embed-pair")
        self.fill([row(self.data, self.folder, self.go, self.stop, self.method), self.progress, self.message,
                   self.stale, self.about, first, second])

        self.data.observe(self._choose_data, "value")
        self.method.observe(lambda _: self._ask_map(), "value")
        self.go.on_click(lambda _: self._ask_embed())
        self.judge.on_click(lambda _: self._ask_probe())
        self.match.on_click(lambda _: self._ask_match())

    def draw(self) -> None:
        """Another model is on the screen, or others are ticked."""
        now, names = self.session.model_name, dict.fromkeys([*self.session.compare, *OFFLINE])
        self.other.options = tuple(name for name in names if now.partition(".")[0] != name)
        self.other.placeholder = self.other.options[0]  # what an empty field means
        text = ""
        if self.shown is not None and self.shown.photos.model is not self.session.model:
            old = self.shown.photos.features.model_name
            what = f"the vectors of {escape(old)}" if old != now else "those of the model before"
            text = f"These are {what}. Press Embed for those of {escape(now)}."
        self.stale.value = f'<div class="vx-note">{text}</div>' if text else ""

    def _choose_data(self, _change: Any = None) -> None:
        self.folder.layout.display = "" if self.data.value == FOLDER else "none"

    # --- slow work: one thing at a time ---------------------------------------------------------------------

    def _start(self, compute: Callable[[Job], Any], show: Callable[[Any], None], doing: str) -> None:
        with self.session.lock:
            if not self.work.wanted:
                self.work.say("")
                self.work.start(compute, show, doing=doing)

    def _set_busy(self, busy: bool) -> None:
        features = self.shown.photos.features if self.shown else None
        self.go.disabled = self.match.disabled = self.method.disabled = busy
        self.judge.disabled = busy or features is None or features.labels is None
        if not busy:
            self._redraw()

    def _chosen(self) -> tuple[Source, Any, tuple[str, ...]] | None:
        """(the photos that are asked for, the model on the screen, lines for it); None, and why is said."""
        try:
            source = source_of(self.data.value, self.folder.value, self.session.gallery)
            if self.session.model is None:
                raise ValueError("No model is open yet: choose one above.")
        except (ValueError, TypeError) as error:
            self.work.say(sentence_of(error), wrong=True)
            return None
        return source, self.session.model, tuple(model_lines(self.session))

    # --- points ---

    def _ask_embed(self) -> None:
        with self.session.lock:
            if chosen := self._chosen():
                self._start(partial(self._embed, *chosen, self.method.value), self._show_map,
                            "opening the photos")

    def _embed(self, source: Source, model: Any, lines: tuple[str, ...], method: str,
               job: Job) -> tuple[Any, list[int]] | None:
        """Photos become vectors, and these become points."""
        from explorer.inspection.features.embeddings import embed

        told = partial(job.progress, what="photos")
        photos = embed(model, source.photos, on_progress=told, should_stop=job.ended)
        job.tell(self._show_photos, Shown(photos, source, lines))
        return self._map(photos, method, job) if len(photos) and not job.stale else None

    def _show_photos(self, shown: Shown) -> None:
        features = shown.photos.features
        self.shown = shown
        self.map = self.probe = self.knn = None
        self.curve.layout.display = "none"
        self.judged.value = "" if features.labels is not None else soft(NO_LABELS)
        self.about.value = about_html(features, shown.source.title)
        self.near.show_of(shown.photos)

    def _ask_map(self) -> None:
        with self.session.lock:
            if self.shown is not None:
                step = partial(self._map, self.shown.photos, self.method.value)
                self._start(step, self._show_map, "drawing the map")

    def _map(self, photos: Any, method: str, job: Job) -> tuple[Any, list[int]]:
        """(the map, which photo each of its points is)."""
        rows = spread(len(photos), MOST_MAPPED)
        if method != "pca":
            first = " The first one takes half a minute." if method == "umap" else ""
            job.tell(self._say_slow, first)
        some = photos if len(rows) == len(photos) else type(photos)(photos.features.subset(rows))
        return some.map2d(method), rows

    def _say_slow(self, more: str) -> None:
        self.progress.value = f'<span class="vx-busy" role="status">drawing the map …{more}</span>'

    def _show_map(self, outcome: tuple[Any, list[int]] | None) -> None:
        if outcome is None:  # of no photo
            return
        (self.map, rows), features = outcome, self.shown.photos.features
        labels = features.labels[rows].tolist() if features.labels is not None else ()
        whole = len(rows) == len(features)
        some = "" if whole else f" {len(rows):,} of {len(features):,} photos, spread evenly."
        self.scatter.title = f"{self.map.title} of {len(rows):,} photos"
        self.scatter.x_label, self.scatter.y_label = self.map.axes()
        self.scatter.show(*self.map.points.T.tolist(), labels=[features.names[i] for i in rows],
                          groups=labels, group_names=features.classes if labels else ())
        self.map_note.value = soft(self.map.note + some)
        self.near.place(rows)

    # --- what the vectors know of the classes ---

    def _ask_probe(self) -> None:
        with self.session.lock:
            if self.shown is not None:
                step = partial(self._probe, self.shown.photos.features)
                self._start(step, self._show_probe, "fitting a regression")

    def _probe(self, features: Any, job: Job) -> tuple[Any, Any, list[int]]:
        from explorer.inspection.features.probes import linear_probe
        from explorer.inspection.features.votes import knn_accuracy

        budgets, told = possible_budgets(features), partial(job.progress, what="regressions")
        knn = knn_accuracy(features)
        probe = linear_probe(features, labels_per_class=budgets, on_progress=told, should_stop=job.ended)
        return probe, knn, budgets

    def _show_probe(self, outcome: tuple[Any, Any, list[int]]) -> None:
        self.probe, self.knn, self._budgets = outcome
        self.judged.value = probe_html(self.probe, self.knn)
        self.curve.layout.display = "" if self.probe.budget else "none"
        points, options = budget_curve(self.probe)
        self.curve.show(*points, **options)

    # --- stages of two models ---

    def _ask_match(self) -> None:
        with self.session.lock:
            if chosen := self._chosen():
                name = self.other.value.strip() or self.other.options[0]
                self._start(partial(self._match, *chosen, name), self._show_match, "opening the other model")

    def _match(self, source: Source, model: Any, lines: tuple[str, ...], name: str,
               job: Job) -> tuple[Any, Any, tuple[str, ...]]:
        """(the similarity, the model on the screen, lines that give it)."""
        from explorer.inspection.features.similarity import compare_stages
        from explorer.inspection.look.model import as_model
        from explorer.widgets.checks import check_model

        told, options = partial(job.progress, what="photos"), {"limit": MOST_ALIKE}
        alike = compare_stages(model, as_model(check_model(name)), source.photos, **options,
                               should_stop=job.ended, on_progress=told)
        code = call("explorer.compare_stages", "model", literal(name), source.expression, options=options)
        return alike, model, (*lines, code)

    def _show_match(self, outcome: tuple[Any, Any, tuple[str, ...]]) -> None:
        self.alike, self._alike_model, self._alike_code = outcome
        self.matrix.value = self.alike._repr_html_()

    # --- code and figure ------------------------------------------------------------------------------------

    def code(self) -> str:
        lines: list[str] = []
        shown = self.shown
        for used, model in ((shown.lines, shown.photos.model) if shown else ((), None),
                            (self._alike_code, self._alike_model)):
            if any("dash.session.model" in line for line in used) and model is not self.session.model:
                return GONE
        if shown is not None:
            lines += [*shown.lines, f"photos = explorer.embed(model, {shown.source.expression})"]
            if self.map is not None and len(self.near.rows) == len(shown.photos):
                lines.append(call("photos.map2d", literal(self.map.method)))
            if self.near.chosen is not None:
                lines.append(f"photos.nearest({self.near.chosen}, {NEIGHBOURS})")
            if self.probe is not None:
                options = {"labels_per_class": self._budgets} if self._budgets else {}
                lines += [call("explorer.linear_probe", "photos.features", options=options),
                          "explorer.knn_accuracy(photos.features)"]
        if self.alike is not None:
            same = [line for line in self._alike_code if line not in lines]
            lines += ["", *same] if lines else same
        return "\n".join(["import explorer", "", *lines]) if lines else ""

    def figure(self) -> Any:
        drawn = [one for one in (self.map, self.probe, self.alike) if one is not None]
        if not drawn:
            return None
        from matplotlib.figure import Figure

        from explorer.display.charts import no_formulas

        figure = Figure(figsize=(7.2 * len(drawn), 5.4), layout="constrained")
        for one, axes in zip(drawn, figure.subplots(1, len(drawn), squeeze=False)[0]):
            one.plot(axes)
        return no_formulas(figure)

    def heading(self) -> str:
        names = [self.shown.photos.features.model_name] if self.shown else []
        return ": ".join([self.called, *names])

    def caption(self) -> str:
        parts = []
        if self.shown is not None:
            features = self.shown.photos.features
            photos = f"{self.shown.source.title}, {len(features):,}"
            parts.append(f"Model: {features.model_name}. Photos: {photos}.")
        if self.map is not None:
            parts.append(f"{self.map.title}, seed {self.map.seed}. {self.map.note}")
        if self.probe is not None:
            parts.append(f"{self.probe.sentence}; C = {self.probe.C:g}. {self.knn.sentence}.")
        if self.alike is not None:
            parts.append(f"{self.alike.name_a} and {self.alike.name_b}: {self.alike.caption}.")
        return " ".join(parts)

    def forget(self) -> None:
        self.shown = self.map = self.probe = self.knn = self.alike = self._alike_model = None
        if self.built:
            self.near.photos = None


def soft(text: str) -> str:
    return f'<span class="vx-soft">{escape(text)}</span>'


def row(*controls: W.Widget) -> W.HBox:
    box = W.HBox(controls, layout=W.Layout(flex_flow="row wrap"))
    box.add_class("vx-controls")
    return box


def block(title: str, *children: W.Widget) -> W.VBox:
    box = W.VBox([*([W.HTML(f"<h3>{title}</h3>")] if title else []), *children])
    box.add_class("vx-embed-block")
    return box
