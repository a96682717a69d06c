"""Embeddings: every photo of a folder as a point, its neighbours, and what the features know of the classes.

Nothing starts by itself: the reader presses a button. Slow work is done one thing at a time and can be stopped,
while the pictures that somebody points at are fetched beside it.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from html import escape
from pathlib import Path
from typing import Any

import ipywidgets as W

from explorer.display import draw
from explorer.files import given_path
from explorer.widgets.jobs import Job
from explorer.widgets.panels.base import Panel, labelled
from explorer.widgets.panels.work import Work, said_html
from explorer.widgets.parts.photo_strip import Caption, PhotoStrip
from explorer.widgets.parts.scatter import Scatter
from explorer.widgets.session import Session
from explorer.widgets.snippets import call, literal, model_lines

log = logging.getLogger(__name__)

FLOWERS, GALLERY, FOLDER = "flowers5", "the gallery", "a folder"
DATA = {"flowers5: five flowers, bundled": FLOWERS, "the photos of the gallery": GALLERY,
        "a folder of your own": FOLDER}
MAPS = {"PCA: a projection": "pca", "t-SNE: neighbours stay together": "tsne", "UMAP: likewise": "umap"}
OFFLINE = tuple(f"tf_efficientnet_lite{number}" for number in range(3))  # their weights need no network
NEIGHBOURS = 8
MOST_MAPPED = 5000  # points of a map; of more photos, these are spread evenly over all
MOST_ALIKE = 128    # photos by which the stages of two models are compared
BUDGETS = (1, 2, 5, 10, 20, 50, 100)
SIDE = 128          # of a thumbnail, in pixels

GUIDE = """
    <p><b>What you see.</b> Before a network names a photo, it sums it up in a vector of a few hundred to a few thousand numbers,
    the <i>embedding</i>. Photos that it takes for alike have vectors in about the same direction. The map squeezes these vectors
    into a plane: <b>PCA</b> is a plain projection; <b>t-SNE</b>
    (<a href="https://www.jmlr.org/papers/v9/vandermaaten08a.html">van der Maaten and Hinton, 2008</a>) and <b>UMAP</b>
    (<a href="https://arxiv.org/abs/1802.03426">McInnes and others, 2018</a>) keep neighbours together. Click a point for its
    nearest photos by cosine distance, measured in all dimensions and not on the map.</p>
    <p><b>Probe and neighbours.</b> A linear probe is a logistic regression on the frozen vectors
    (<a href="https://arxiv.org/abs/1805.08974">Kornblith and others, 2018</a>); in the vote of the nearest neighbours nothing is
    learnt at all (<a href="https://arxiv.org/abs/1805.01978">Wu and others, 2018</a>). The curve shows how many labelled photos
    of each class it takes; each dot is one draw of them.</p>
    <p><b>Stages of two models.</b> Linear CKA asks whether two stages place the same photos alike: 1 means the same but for a
    rotation and a scale (<a href="https://arxiv.org/abs/1905.00414">Kornblith and others, 2019</a>), estimated in batches
    without bias (<a href="https://arxiv.org/abs/2010.15327">Nguyen and others, 2020</a>).</p>
    <p><b>What it does not prove.</b> A plane can't hold a thousand dimensions. Distances between groups and the sizes of groups
    mean little in t-SNE and UMAP, and groups can appear where there are none. A low probe does not say that fine-tuning would
    fail. A high CKA does not say that two models make the same mistakes.</p>"""


@dataclass(frozen=True, eq=False)
class Shown:
    """What the points on the screen are of. expression, lines: Python for the photos, and for `model`."""

    photos: Any  # explorer.inspection.features.embeddings.Embeddings
    source: Any
    expression: str
    title: str
    lines: tuple[str, ...]


class EmbeddingsPanel(Panel):
    name = "Embeddings"
    guide = GUIDE
    nothing_yet = "Nothing is shown here yet: press Embed first."
    draw_on = ("model", "model_name", "compare")  # two models may have one name

    def __init__(self, session: Session, photos: Sequence[tuple[str, Any]] | None = None):
        """photos: (title, source) of each photo of the gallery; None for the session's."""
        self.photos = session.photos if photos is None else photos
        self.shown: Shown | None = None
        self.map: Any = None                # Map2D
        self.rows: list[int] = []           # which photo each point of the map is
        self.probe: Any = None
        self.knn: Any = None
        self.alike: Any = None              # StageSimilarity
        self._alike_code: tuple[str, ...] = ()
        self._alike_model: Any = None
        self._budgets: list[int] = []
        self._chosen: int | None = None     # the photo whose neighbours are shown
        super().__init__(session)
        self.add_class("vx-embeddings")

    def make(self) -> None:
        wide, lock = W.Layout(width="auto"), self.session.lock
        self.data = labelled("Photos", W.Dropdown, options=[*DATA.items()], layout=wide)
        self.folder = labelled("Folder", W.Text, placeholder="a folder with photos, or with one folder a class",
                               continuous_update=False,
                               layout=W.Layout(width="min(420px, 100%)", display="none"))
        self.go = W.Button(description="Embed", button_style="primary", layout=wide)
        self.work = self.line(Work, busy=self._set_busy, tooltip="Behind the present batch; what is done is kept")
        self.seeking, self.painting = self.line(failed=self._tell), self.line()
        self.progress, self.message, self.stop = self.work.progress, self.work.message, self.work.button
        self.method = labelled("Map", W.Dropdown, options=[*MAPS.items()], layout=wide)
        self.about, self.stale, self.map_note = (W.HTML() for _ in range(3))
        self.scatter = Scatter(title="Photos", equal=True, ticks=False, pictures=True, height=430, lock=lock,
                               empty="Press Embed: every photo becomes a point.")
        self.chosen_note = W.HTML('<span class="vx-soft">Click a point: its nearest photos appear here.</span>')
        self.near = PhotoStrip(label="The chosen photo and its nearest ones", side=92, lock=lock)
        self.open = W.Button(description="Open in the dashboard",
                             layout=W.Layout(width="auto", display="none"),
                             tooltip="Makes the chosen photo the one that all panels show")
        self.judge = W.Button(description="Probe", disabled=True, layout=wide,
                              tooltip="Logistic regression and neighbours' vote on the photos' vectors; takes labels")
        self.judged = W.HTML('<span class="vx-soft">How well a logistic regression and a vote of the neighbours tell the classes '
                             "apart, and how many labels that takes.</span>")
        self.curve = Scatter(title="Linear probe by labels", x_label="labelled photos of each class",
                             y_label="right", y_unit="percent", log_x=True, height=260, empty="", lock=lock,
                             layout=W.Layout(display="none"))
        self.other = labelled("with", W.Combobox, options=[], placeholder="a model's name",
                              ensure_option=False,
                              continuous_update=False, layout=W.Layout(width="min(300px, 100%)"))
        self.match = W.Button(description="Compare stages", layout=wide,
                              tooltip="Linear CKA between all stages of both models")
        self.matrix = W.HTML('<span class="vx-soft">How alike the stages of the dashboard\'s model and of another one place these '
                             "photos.</span>")
        for button in (self.go, self.stop, self.open, self.judge, self.match):
            button.add_class("vx-open")

        def row(*controls: W.Widget) -> W.HBox:
            box = W.HBox(controls, layout=W.Layout(flex_flow="row wrap"))
            box.add_class("vx-controls")
            return box

        def block(title: str, *children: W.Widget) -> W.VBox:
            box = W.VBox([W.HTML(f"<h3>{title}</h3>") if title else W.HTML(), *children])
            box.add_class("vx-embed-block")
            return box

        left = W.VBox([self.scatter, self.map_note])
        right = block("Nearest photos", self.chosen_note, self.near, self.open)
        left.add_class("vx-embed-block")
        first, second = W.Box([left, right]), W.Box([
            block("What the vectors know of the classes", row(self.judge), self.judged, self.curve),
            block("Stages of two models", row(self.other, self.match), self.matrix)])
        first.add_class("vx-embed-map")
        second.add_class("vx-embed-pair")
        self.fill([row(self.data, self.folder, self.go, self.stop, self.method), self.progress, self.message,
                   self.stale,
                   self.about, first, second])

        self.data.observe(self._choose_data, "value")
        self.method.observe(
            lambda _: self.shown and self._start(self._map, self._show_map, "drawing the map"), "value")
        self.go.on_click(lambda _: self._start(self._embed, self._show_map, "opening the photos"))
        self.judge.on_click(lambda _: self._start(self._probe, self._show_probe, "fitting a regression"))
        self.match.on_click(lambda _: self._start(self._match, self._show_match, "opening the other model"))
        self.open.on_click(lambda _: self._open())
        self.scatter.on_hover(lambda point: self.painting.start(partial(self._paint, point)))
        self.scatter.on_pick(lambda point: self.choose(self.rows[point]))

    def draw(self) -> None:
        """Another model is on the screen, or others are ticked."""
        now, names = self.session.model_name, dict.fromkeys([*self.session.compare, *OFFLINE])
        self.other.options = tuple(name for name in names if now.partition(".")[0] != name)
        self.other.placeholder = self.other.options[0]  # what an empty field means
        if self.shown is not None and self.shown.photos.model is not self.session.model:
            old = self.shown.photos.features.model_name
            what = f"the vectors of {escape(old)}" if old != now else "those of the model before"
            self.stale.value = f'<div class="vx-note">These are {what}. Press Embed for those of {escape(now)}.</div>'
        else:
            self.stale.value = ""

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

    def _source(self) -> tuple[Any, str, str]:
        """(the photos that are asked for, Python for them, what they are called). Raises ValueError where none are named."""
        if self.data.value == FLOWERS:
            return FLOWERS, literal(FLOWERS), FLOWERS
        if self.data.value == FOLDER:
            text = self.folder.value.strip()
            if not text:
                raise ValueError("Type the path of a folder with photos; with one folder a class they can be probed, too.")
            path = str(given_path(text, "the folder"))
            return path, literal(path), Path(path).name
        if not self.photos:
            raise ValueError("The gallery has no photos: choose others beside 'Photos'.")
        from explorer.data.images import load_image
        from explorer.data.samples import sample_photos
        from explorer.inspection.features.store import Collection

        sources = [source for _, source in self.photos]
        files = tuple(Path(source) if isinstance(source, (str, Path)) else None for source in sources)
        bundled = files == tuple(photo.path for photo in sample_photos())
        photos = Collection(tuple(title for title, _ in self.photos),
                            lambda index: load_image(sources[index]), files)
        expression = "explorer.sample_photos()" if bundled else "[source for _, source in dash.images.photos]"
        return photos, expression, "the bundled photos" if bundled else "the gallery's photos"

    def _model(self) -> Any:
        if self.session.model is None:
            raise ValueError("No model is open yet: choose one above.")
        return self.session.model

    def _embed(self, job: Job) -> tuple[Any, list[int]] | None:
        """Photos become vectors, and these become points."""
        from explorer.inspection.features.embeddings import embed

        with self.session.lock:
            source, expression, title = self._source()
            model, lines = self._model(), tuple(model_lines(self.session))
        photos = embed(model, source, on_progress=partial(job.progress, what="photos"), should_stop=job.ended)
        job.tell(self._show_photos, Shown(photos, source, expression, title, lines))
        return self._map(job) if len(photos) and not job.stale else None

    def _show_photos(self, shown: Shown) -> None:
        features = shown.photos.features
        self.shown = shown
        self.map = self.probe = self.knn = None
        self.curve.layout.display = "none"
        self.judged.value = "" if features.labels is not None else (
            '<span class="vx-soft">These photos have no labels: a folder with one folder a class has them.'
            "</span>")
        self.about.value = about_html(features, shown.title)
        self._forget_choice()

    def _map(self, job: Job) -> tuple[Any, list[int]]:
        """(the map, which photo each of its points is)."""
        photos, method = self.shown.photos, self.method.value
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
        (self.map, self.rows), features = outcome, self.shown.photos.features
        labels = features.labels[self.rows].tolist() if features.labels is not None else ()
        left, below = self.map.axes()
        whole = len(self.rows) == len(features)
        some = "" if whole else f" {len(self.rows):,} of {len(features):,} photos, spread evenly."
        self.scatter.title = f"{self.map.title} of {len(self.rows):,} photos"
        self.scatter.x_label, self.scatter.y_label = left, below
        self.scatter.show(*self.map.points.T.tolist(), labels=[features.names[i] for i in self.rows],
                          groups=labels, group_names=features.classes if labels else ())
        self.map_note.value = f'<span class="vx-soft">{escape(self.map.note + some)}</span>'
        if self._chosen is not None:
            self.choose(self._chosen)

    def _probe(self, job: Job) -> tuple[Any, Any, list[int]]:
        from explorer.inspection.features.probes import knn_accuracy, linear_probe

        features = self.shown.photos.features
        budgets, told = possible_budgets(features), partial(job.progress, what="regressions")
        knn = knn_accuracy(features)
        probe = linear_probe(features, labels_per_class=budgets, on_progress=told, should_stop=job.ended)
        return probe, knn, budgets

    def _show_probe(self, outcome: tuple[Any, Any, list[int]]) -> None:
        probe, knn, _ = self.probe, self.knn, self._budgets = outcome
        notes = "".join(f'<div class="vx-note">{escape(note)}</div>' for note in probe.notes)
        worst = sorted(probe.per_class.items(), key=lambda item: item[1] if item[1] == item[1] else 2)[:3]
        hardest = ", ".join(f"{name} {share:.0%}" for name, share in worst if share == share)
        self.judged.value = (f'<p>{escape(probe.sentence)}.</p><p>{escape(knn.sentence)}.</p>'
                             f'<p class="vx-soft">Hardest for the probe: {escape(hardest)}.</p>{notes}')
        self._draw_curve()

    def _draw_curve(self) -> None:
        """The label budget: each draw a dot, their means on a line that ends at all labels."""
        budget, probe = self.probe.budget, self.probe
        self.curve.layout.display = "" if budget else "none"
        draws = [(point.labels_per_class, share) for point in budget for share in point.accuracies]
        whole = probe.learnt / len(probe.per_class)
        means = [(point.labels_per_class, point.mean) for point in budget] + [(whole, probe.accuracy)]
        points = [*draws, *means]
        names = [f"{count} labels a class, one draw" for count, _ in draws] + [
            f"{point.labels_per_class} labels a class, mean of {len(point.accuracies)} draws"
            for point in budget] + [
            f"all {probe.learnt:,} labels"]
        self.curve.show([x for x, _ in points], [y for _, y in points], labels=names,
                        groups=[0] * len(draws) + [1] * len(budget) + [2],
                        group_names=["one draw", "mean", "all labels"],
                        sizes=[3.0] * len(draws) + [6.0] * len(means), line=range(len(draws), len(points)))

    def _match(self, job: Job) -> tuple[Any, Any, tuple[str, ...]]:
        from explorer.inspection.features.similarity import compare_stages
        from explorer.inspection.look.looking import as_model
        from explorer.widgets.session import check_model

        with self.session.lock:
            name = self.other.value.strip() or self.other.options[0]
            source, expression, _ = self._source()
            model, lines = self._model(), tuple(model_lines(self.session))
        alike = compare_stages(model, as_model(check_model(name)), source, limit=MOST_ALIKE,
                               should_stop=job.ended, on_progress=partial(job.progress, what="photos"))
        options = {"limit": MOST_ALIKE}
        code = call("explorer.compare_stages", "model", literal(name), expression, options=options)
        return alike, model, (*lines, code)

    def _show_match(self, outcome: tuple[Any, Any, tuple[str, ...]]) -> None:
        self.alike, self._alike_model, self._alike_code = outcome
        self.matrix.value = self.alike._repr_html_()

    # --- one photo ------------------------------------------------------------------------------------------

    def choose(self, index: int) -> None:
        """Show the nearest photos of photo `index`; worked out in the background."""
        shown = self.shown
        self.seeking.start(partial(self._seek, shown, index), partial(self._show_near, shown, index))

    def _seek(self, shown: Shown | None, index: int, _job: Job) -> tuple[list[Any], list[bytes]] | None:
        """(the neighbours, pictures of the photo and of them)."""
        if shown is None or not 0 <= index < len(shown.photos):
            return None
        found = shown.photos.nearest(index, NEIGHBOURS)
        return found, [picture(shown.photos.features, i) for i in (index, *(one.index for one in found))]

    def _show_near(self, shown: Shown, index: int, outcome: tuple[list[Any], list[bytes]] | None) -> None:
        if outcome is None or shown is not self.shown:
            return
        (found, pictures), features = outcome, shown.photos.features
        own = features.classes[features.labels[index]] if features.labels is not None else ""
        captions = [Caption(f"chosen: {own}" if own else "chosen", title=features.names[index])] + [
            Caption(f"{one.label} {one.distance:.3f}".strip(), title=one.name) for one in found]
        same = sum(one.label == own for one in found)
        # a file may have gone meanwhile
        kept = [(data, caption) for data, caption in zip(pictures, captions) if data]
        self._chosen = index
        place = {row: point for point, row in enumerate(self.rows)}
        self.scatter.mark(place.get(index, -1), [place[one.index] for one in found if one.index in place])
        self.near.show([data for data, _ in kept], [caption for _, caption in kept])
        of_class = f" {same} of {len(found)} have its class, {escape(own)}." if own else ""
        self.chosen_note.value = (f"<div>The nearest photos to <b>{escape(features.names[index])}</b>, with "
                                  f"their cosine distances.{of_class}</div>")
        self.open.layout.display = ""
        self.changed()

    def _tell(self, error: BaseException) -> None:
        self.chosen_note.value = said_html(str(error), wrong=True)

    def _forget_choice(self) -> None:
        self._chosen = None
        self.near.show([], [])
        self.open.layout.display = "none"
        self.chosen_note.value = '<span class="vx-soft">Click a point: its nearest photos appear here.</span>'

    def _paint(self, point: int, _job: Job) -> None:
        shown, rows = self.shown, self.rows
        if shown is None or point >= len(rows):
            return
        self.scatter.picture(point, picture(shown.photos.features, rows[point]))

    def _open(self) -> None:
        with self.session.lock:
            shown, index = self.shown, self._chosen
        if shown is None or index is None:
            return
        features = shown.photos.features
        try:
            file = features.files[index]
            source = file if file is not None and file.is_file() else features.open_photo(index)
        except Exception as error:
            log.warning("%s", error, exc_info=error)
            self._tell(error)
            return
        self.session.open_image(source, features.names[index].rpartition("/")[2])

    # --- code and figure ------------------------------------------------------------------------------------

    def code(self) -> str:
        lines: list[str] = []
        shown = self.shown
        for used, model in ((shown.lines, shown.photos.model) if shown else ((), None),
                            (self._alike_code, self._alike_model)):
            if any("dash.session.model" in line for line in used) and model is not self.session.model:
                return "# The model that this was worked out with is no longer on the screen, and no name gives it again."
        if shown is not None:
            lines += [*shown.lines, f"photos = explorer.embed(model, {shown.expression})"]
            if self.map is not None and len(self.rows) == len(shown.photos):
                lines.append(call("photos.map2d", literal(self.map.method)))
            if self._chosen is not None:
                lines.append(f"photos.nearest({self._chosen}, {NEIGHBOURS})")
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

        from explorer.inspection.features.embeddings import no_formulas

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
            parts.append(f"Model: {features.model_name}. Photos: {self.shown.title}, {len(features):,}.")
        if self.map is not None:
            parts.append(f"{self.map.title}, seed {self.map.seed}. {self.map.note}")
        if self.probe is not None:
            parts.append(f"{self.probe.sentence}; C = {self.probe.C:g}. {self.knn.sentence}.")
        if self.alike is not None:
            parts.append(f"{self.alike.name_a} and {self.alike.name_b}: {self.alike.caption}.")
        return " ".join(parts)

    def forget(self) -> None:
        self.shown = self.map = self.probe = self.knn = self.alike = self._alike_model = None


# --- plain functions ----------------------------------------------------------------------------------------


def about_html(features: Any, title: str) -> str:
    """What was embedded, in a line; the broken photos by name."""
    facts = f"<b>{escape(title)}</b>, {escape(features.model_name)}: {escape(features.sentence)}; vectors of " \
            f"{features.embeddings.shape[1]:,} numbers."
    notes = "".join(f'<div class="vx-note">{escape(note)}</div>' for note in features.notes)
    broken = [f"<li>{escape(name)}: {escape(why)}</li>" for name, why in features.problems[:5]]
    if len(features.problems) > 5:
        broken.append(f"<li>and {len(features.problems) - 5} more</li>")
    problems = f'<ul class="vx-run-notes">{"".join(broken)}</ul>' if broken else ""
    return f"<p>{facts}</p>{notes}{problems}"


def picture(features: Any, index: int) -> bytes:
    """A small JPEG of a photo; empty where it can't be opened any more."""
    try:
        return draw.jpeg_bytes(draw.thumbnail(features.open_photo(index), SIDE))
    except (OSError, ValueError) as error:
        log.info("no picture: %s", error)
        return b""


def spread(count: int, most: int) -> list[int]:
    """At most `most` of `count` places, evenly over all."""
    used = min(count, most)
    return [number * count // used for number in range(used)]


def possible_budgets(features: Any) -> list[int]:
    """Numbers of labels a class for the curve: those that every class can give, with some photos left."""
    labels = features.labels if features.held_out is None else features.labels[~features.held_out]
    share = 0.8 if features.held_out is None else 1.0  # a probe learns from, without a val part
    fewest = math.floor(share * int(labels.bincount()[labels.bincount() > 0].min())) if len(labels) else 0
    return [count for count in BUDGETS if count < fewest]
