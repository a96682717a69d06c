"""Several models and the same photos, side by side: answers, heat maps, feature maps, agreement, size, speed and accuracy.

The models run when a button is pressed, never because another photo was chosen; what is shown says which photo it belongs to.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from html import escape
from typing import TYPE_CHECKING, Any

import ipywidgets as W
import traitlets as t

from explorer.display.words import counted, sentence_of
from explorer.models.card import model_card
from explorer.models.names import list_models, split_door
from explorer.models.weights.packaged import names_here
from explorer.widgets.export import file_name
from explorer.widgets.jobs import Job
from explorer.widgets.lifetime import close_whole
from explorer.widgets.panels.base import Panel, labelled
from explorer.widgets.panels.work import Work, busy_html
from explorer.widgets.parts.downloads import Downloads
from explorer.widgets.parts.scatter import Scatter
from explorer.widgets.parts.sort_table import SortTable
from explorer.widgets.session import MAX_COMPARED, Session
from explorer.widgets.snippets import literal, photo_lines

if TYPE_CHECKING:
    from explorer.inspection.compare.comparison import Comparison

MOST_LISTED = 300   # photos in the drop-down
SCREEN, GALLERY, FOLDER = "screen", "gallery", "folder"
BUNDLED = "bundled = {one.name: one for one in explorer.sample_photos()}"  # they know what they show
VIEWS = (("Predictions", "predictions"), ("Heat maps", "cams"), ("Feature maps", "maps"), ("Agreement", "agreement"),
         ("Table", "table"), ("Accuracy and cost", "scatter"))
X_AXES = (("time of a photo", "latency"), ("parameters", "parameters"), ("multiply-adds", "macs"), ("size of the weights", "size"),
          ("peak memory", "memory"))
Y_AXES = (("published, on ImageNet", "published"), ("measured, on these photos", "measured"))
FILES = {"Answers as CSV": ("answers.csv", "text/csv"), "Table as Markdown": ("table.md", "text/markdown")}

GUIDE = """
<p><b>What you see.</b> Each model looks at the same photos once. <i>Predictions</i>: the likeliest classes
of all models on one axis; models that know different classes are joined by the classes' names. <i>Heat
maps</i>: where each model's answer comes from (<a href="https://arxiv.org/abs/1610.02391">Grad-CAM,
Selvaraju et al., 2017</a>). <i>Feature maps</i>: what each model makes of the photo at the same stride,
that is, with the same number of pixels to a step. <i>Agreement</i>: on how many photos two models give the
same answer. <i>Accuracy and cost</i>: the dashed line joins the models that no other beats in both (the
Pareto front); a disc is as large as the model has parameters.</p>
<p><b>How speed is measured.</b> The models take turns, pass by pass, after a few to warm up; shown are the
median and the quartiles, with the number of threads. Peak memory is the weights and the most that the
tensors of a pass take at any moment (on a GPU: that PyTorch's allocator gave out); what single operations
work in is not counted.</p>
<p><b>What it does not prove.</b></p>
<ul>
<li><b>Speed belongs to this computer.</b> Another processor, more threads or a GPU can turn the order
round; parameters and multiply-adds alone do not tell it either (<a
href="https://arxiv.org/abs/2110.12894">Dehghani et al., The Efficiency Misnomer, 2021</a>).</li>
<li><b>Published accuracy</b> is that of ImageNet's validation photos. On new photos of the same classes all
models do worse, by unequal amounts (<a href="https://arxiv.org/abs/1902.10811">Recht et al., 2019</a>), and
on your task the order may differ.</li>
<li><b>Two that agree may both be wrong.</b> Good models agree often for the simple reason that both are
often right (<a href="https://arxiv.org/abs/2006.16736">Geirhos et al., Beyond accuracy, 2020</a>).</li>
<li><b>One photo says little.</b> 3 of 4 right is no accuracy; take a folder.</li>
<li><b>Channel 5 of one model has nothing to do with channel 5 of another.</b> Look at what kinds of things
there are.</li>
</ul>
"""


@dataclass(frozen=True)
class Asked:
    """What a comparison was asked for: names, whether the model on the screen is among them, and photos by a key."""

    names: tuple[str, ...]
    own: str
    photos: tuple[Any, ...]


@dataclass(frozen=True)
class Shown:
    """What is on the page, and the lines that give it again."""

    result: Comparison
    asked: Asked
    lines: tuple[str, ...]
    about: str


# --- what is said: plain functions ---------------------------------------------------------------------------


def default_names() -> tuple[str, ...]:
    """The models whose weights came with installed packages: these work in any classroom."""
    return tuple(name.partition(".")[0] for name in names_here())


def not_here(names: Sequence[str]) -> list[str]:
    """Those of the names whose weights are not on this computer."""
    missing = []
    for name in names:
        if split_door(name)[0]:
            continue  # another library looks after its own weights
        card = model_card(name)
        if not card.here:
            missing.append(name)
    return missing


def weights_sentence(names: Sequence[str]) -> str:
    """What is missing for these models, in one sentence; "" where nothing is."""
    missing = not_here(names)
    if not missing:
        return ""
    few = len(missing) == 1
    return (f"The weights of {', '.join(missing)} are not on this computer: Compare downloads them where there is a network, "
            f"and leaves {'it' if few else 'them'} out where there is none.")


def progress_html(done: int, total: int, what: str) -> str:
    bar = f'<progress max="{max(total, 1)}" value="{done}" aria-label="done"></progress>'
    return (f'<div class="vx-cmp-progress" role="status">{bar} '
            f'<span class="vx-soft">{escape(what)}{f", {done} of {total}" if total > 1 else ""}</span></div>')


def table_rows(result: Comparison) -> tuple[list[tuple[str, str]], list[list[Any]]]:
    """(columns with their kinds, rows of plain values) for a table that is sorted by numbers."""
    columns = [("model", "text"), ("parameters, M", "number"), ("multiply-adds, G", "number"), ("weights, MB", "number"),
               ("photo, px", "count"), ("classes", "count"), ("top-1 published", "share"), ("right here", "share"), ("of photos", "count"),
               ("ms a photo", "number"), ("quartiles, ms", "text"), ("photos a second", "number"), ("peak memory, MB", "number")]
    rows = []
    for row in result.rows:
        speed, many = row.latency, row.throughput
        low, high = speed.quartiles if speed else (0, 0)
        rows.append([
            row.name, row.parameters / 1e6, None if row.macs is None else row.macs / 1e9, row.weight_bytes / 1e6, row.input_size[-1],
            row.num_classes, None if row.published is None else row.published / 100,
            None if row.measured is None else row.measured / 100, row.judged or None,
            1000 * speed.latency if speed else None, f"{1000 * low:.3g} to {1000 * high:.3g}" if speed else None,
            many.photos_per_second if many else None, speed.peak_memory / 1e6 if speed and speed.peak_memory else None,
        ])
    kept = [index for index in range(len(columns)) if any(row[index] is not None for row in rows)]
    return [columns[index] for index in kept], [[row[index] for index in kept] for row in rows]


# --- the panel -----------------------------------------------------------------------------------------------


class ComparePanel(Panel):
    name = "Comparison"
    guide = GUIDE
    nothing_yet = "Nothing is compared yet: press Compare first."
    draw_on = ("compare", "look", "image_name", "model_name")

    def __init__(self, session: Session, photos: Sequence[tuple[str, Any]] | None = None):
        """photos: (title, source) of each in the gallery; None for the session's."""
        self.gallery = list(session.photos if photos is None else photos)
        self.compare: W.Button | None = None
        self.shown: Shown | None = None
        self._filling = False
        self._placed: tuple[str, ...] = ()  # the points of the scatter
        super().__init__(session)
        self.add_class("vx-cmp")

    def make(self) -> None:
        self.work = self.line(Work, sentence=self._sentence, busy=lambda _running: self.draw(),
                              meter=lambda _job, *far: progress_html(*far))
        self.progress, self.message, self.stop = self.work.progress, self.work.message, self.work.button
        self.pictures = self.line()  # heat maps, files

        def auto() -> W.Layout:  # one each: some of them come and go
            return W.Layout(width="auto")

        self.chips = W.HBox()
        self.chips.add_class("vx-cmp-chips")
        self.add = labelled("Add a model", W.Combobox, placeholder="type part of a name", options=tuple(list_models()),
                            ensure_option=False, continuous_update=False, layout=W.Layout(width="min(320px, 100%)"))
        self.own = W.Checkbox(description="and the model on the screen", indent=False, layout=auto())
        self.about_models = W.HTML()
        sources = [("the photo on the screen", SCREEN), ("photos of the gallery", GALLERY), ("a folder", FOLDER)]
        self.source = labelled("Photos", W.Dropdown, options=sources, layout=W.Layout(width="min(280px, 100%)"))
        self.several = W.SelectMultiple(options=[(title, index) for index, (title, _) in enumerate(self.gallery)],
                                        value=tuple(range(min(4, len(self.gallery)))), rows=7, layout=W.Layout(width="min(320px, 100%)"))
        self.several_hint = W.HTML('<span class="vx-soft">Hold Ctrl (⌘ on a Mac) or ⇧ to choose several.</span>')
        self.folder = labelled("Folder", W.Text, placeholder="a folder with photos, or flowers5", continuous_update=False,
                               layout=W.Layout(width="min(420px, 100%)"))
        self.compare = W.Button(description="Compare", button_style="primary", layout=auto())
        self.measure = W.Button(description="Measure speed", layout=auto(), tooltip="Times the models here, taking turns")
        self.stale, self.about = W.HTML(), W.HTML()
        self.view = W.ToggleButtons(options=VIEWS)
        self.view.add_class("vx-stages")
        self.photo = labelled("Photo", W.Dropdown, options=[("", 0)], layout=W.Layout(width="min(340px, 100%)"))
        self.topk = labelled("Show", W.Dropdown, options=[("top 3", 3), ("top 5", 5), ("top 10", 10)], value=5, layout=auto())
        self.target = labelled("Class", W.Combobox, placeholder="each model's own first answer", ensure_option=False,
                               continuous_update=False, layout=W.Layout(width="min(360px, 100%)"))
        self.stride = labelled("Stride", W.SelectionSlider, options=[1], readout=True, continuous_update=False,
                               layout=W.Layout(width="min(380px, 100%)"))
        self.x = labelled("Cost", W.Dropdown, options=X_AXES, layout=auto())
        self.y = labelled("Accuracy", W.Dropdown, options=Y_AXES, layout=auto())
        self.picture = W.HTML()
        self.table = SortTable(label="Models compared", lock=self.session.lock)
        self.scatter = Scatter(title="Accuracy and cost", names=True, height=380, lock=self.session.lock,
                               empty="No model has both figures.")
        self.below = W.HTML()
        self.files = Downloads(offers=list(FILES), label="Download the comparison", lock=self.session.lock)
        choose = _line([self.add, self.own])
        photos = _line([self.source, self.folder, W.VBox([self.several, self.several_hint])])
        photos.add_class("vx-cmp-photos")
        buttons = _line([self.compare, self.measure, self.stop, self.progress])
        options = _line([self.photo, self.topk, self.target, self.stride, self.x, self.y])
        self.body = W.VBox([self.stale, self.view, options, self.picture, self.table, self.scatter, self.below,
                            self.files, self.about])
        self.body.add_class("vx-cmp-body")
        self.body.layout.display = "none"
        self.fill([self.chips, choose, self.about_models, photos, buttons, self.message, self.body])

        self.add.observe(self._added, "value")
        self.own.observe(self._redraw, "value")
        for control in (self.source, self.several, self.folder):
            control.observe(self._redraw, "value")
        self.compare.on_click(lambda _: self._ask(speed=False))
        self.measure.on_click(lambda _: self._ask(speed=True))
        for control in (self.view, self.photo, self.topk, self.target, self.stride, self.x, self.y):
            control.observe(self._show_view, "value")
        self.table.on_pick(lambda index: self._open(self.shown.result.names[index]))
        self.scatter.on_pick(lambda index: self._open(self._placed[index]))
        self.files.on_ask(self._save)

    # --- which models, which photos ---

    @property
    def names(self) -> tuple[str, ...]:
        """The models that are compared: the ticked ones, or those whose weights are installed."""
        return self.session.compare or default_names()

    def draw(self) -> None:
        """Follow the ticks, the photo and the model on the screen; no model runs for that."""
        names = self.names
        if tuple(chip.description for chip in self.chips.children) != names:
            gone = self.chips.children
            self.chips.children = [self._chip(name) for name in names]
            close_whole(*gone)
        ticked = bool(self.session.compare)
        lines = [] if ticked else ["No model is ticked: these are here with their weights. Tick others under Model, or add them here."]
        lines += [weights_sentence(names)]
        self.about_models.value = "".join(f'<div class="vx-soft">{escape(line)}</div>' for line in lines if line)
        on_screen = self.session.model_name
        self.own.description = f"and the model on the screen, {on_screen}" if on_screen else "and the model on the screen"
        self.own.layout.display = "" if self._own_name() else "none"
        self.several.layout.display = self.several_hint.layout.display = "" if self.source.value == GALLERY else "none"
        self.folder.layout.display = "" if self.source.value == FOLDER else "none"
        count = len(names) + bool(self.own.value and self._own_name())
        ready = self._photos_key() is not None
        why = ("Tick one model more: a comparison takes two." if count < 2 else f"At most {MAX_COMPARED} models: take one away."
               if count > MAX_COMPARED else "" if ready else "Choose a photo first.")
        for button in (self.compare, self.measure):
            button.disabled = self.work.wanted or bool(why)
            button.tooltip = why or ("Times the models here, taking turns" if button is self.measure else "Shows the photos to all models")
        self._show_stale()

    def _chip(self, name: str) -> W.Button:
        chip = W.Button(description=name, icon="times", tooltip=f"Take {name} away", layout=W.Layout(width="auto"))
        chip.add_class("vx-cmp-chip")
        chip.on_click(lambda _: self._wish(tuple(one for one in self.names if one != name)))
        return chip

    def _added(self, change: Any) -> None:
        name = change["new"].strip()
        if not name:
            return
        with self.session.lock:
            self.add.value = ""
            if name not in self.names:
                self._wish((*self.names, name))

    def _wish(self, names: tuple[str, ...]) -> None:
        """Compare these from now on: they are ticked in the picker too."""
        try:
            self.session.compare = names
            self.work.say("")
        except t.TraitError as error:
            self.work.say(str(error), wrong=True)

    def _own_name(self) -> str:
        """What the model on the screen is called beside the others; "" where it is among them already, or there is none."""
        session = self.session
        if session.model is None or session.model_source and session.model_source in self.names:
            return ""
        name = session.model_name
        return f"{name} (on the screen)" if name in self.names else name

    def _photos_key(self) -> tuple[Any, ...] | None:
        """Tells one choice of photos from another; None while there is none."""
        if self.source.value == SCREEN:
            return None if self.session.image is None else (SCREEN, id(self.session.image), self.session.image_name)
        if self.source.value == GALLERY:
            return (GALLERY, *self.several.value) if self.several.value else None
        return (FOLDER, self.folder.value.strip()) if self.folder.value.strip() else None

    def _wanted(self) -> Asked | None:
        key = self._photos_key()
        own = self._own_name() if self.own.value else ""
        return None if key is None else Asked(self.names, own, key)

    def _models(self, asked: Asked) -> tuple[dict[str, Any], list[str]]:
        """({name: name or a model that is open already}, lines that define `models`)."""
        kept = dict(zip(self.shown.result.names, self.shown.result.models)) if self.shown else {}
        as_published = self.session.labels is None and self.session.input_size is None
        if self.session.model_source and self.session.model is not None and as_published:
            kept[self.session.model_source] = self.session.model
        models: dict[str, Any] = {name: kept.get(name, name) for name in asked.names}
        if not asked.own:
            return models, [f"models = {literal(list(asked.names))}"]
        models[asked.own] = self.session.model
        pairs = ", ".join([*(f"{literal(name)}: {literal(name)}" for name in asked.names), f"{literal(asked.own)}: dash.session.model"])
        return models, [f"models = {{{pairs}}}"]

    def _photos(self) -> tuple[Any, list[str], str]:
        """(what `compare` takes, lines that define `photos`, in words)."""
        from explorer.data.samples import sample_photos

        bundled = {os.fspath(photo): photo for photo in sample_photos()}

        def known(source: Any) -> Any:
            return bundled.get(os.fspath(source)) if isinstance(source, (str, os.PathLike)) else None

        session = self.session
        if self.source.value == SCREEN:
            photo = known(session.image_source)
            if photo is not None:
                return photo, [BUNDLED, f"photos = bundled[{literal(photo.name)}]"], f"the photo {session.image_name}"
            lines = photo_lines(session)
            return {session.image_name: session.image}, [*lines[:-1], lines[-1].replace("photo = ", "photos = ", 1)], \
                f"the photo {session.image_name}"
        if self.source.value == GALLERY:
            chosen = [self.gallery[index] for index in self.several.value]
            texts = []
            for title, source in chosen:
                photo = known(source)
                texts.append(f"bundled[{literal(photo.name)}]" if photo is not None else literal(os.fspath(source))
                             if isinstance(source, (str, os.PathLike)) else f"dict(dash.images.photos)[{literal(title)}]")
            lines = [BUNDLED] if any(text.startswith("bundled[") for text in texts) else []
            short = f"photos = [{', '.join(texts)}]"
            lines += [short] if len(short) <= 100 else ["photos = [", *(f"    {text}," for text in texts), "]"]
            photos = {title: known(source) or source for title, source in chosen}
            return photos, lines, f"{counted(len(chosen), 'photo')} of the gallery"
        folder = self.folder.value.strip()
        return folder, [f"photos = {literal(folder)}"], f"the photos in {folder}"

    # --- running ---

    def _ask(self, *, speed: bool) -> None:
        """Start in the background; what is shown already is only timed, not shown the photos again."""
        with self.session.lock:
            asked = self._wanted()
            if self.work.wanted or asked is None:
                return
            models, lines = self._models(asked)
            photos, more, about = self._photos()
            fresh = self.shown is not None and self.shown.asked == asked
            self.work.say("")
            shown = self.shown.result if speed and fresh else None
            step = partial(self._compare, shown, asked, models, photos, (*lines, *more), about, speed)
            self.work.start(step, self._timed)

    def _compare(self, shown: Comparison | None, asked: Asked, models: dict[str, Any], photos: Any,
                 lines: tuple[str, ...], about: str, speed: bool, job: Job) -> tuple[Comparison, bool] | None:
        """(what was timed, whether that was stopped); before that the photos go to the models, where they did not."""
        from explorer.inspection.compare.comparing import compare
        from explorer.inspection.look.passes import Stopped

        try:
            if shown is None:
                shown = compare(models, photos, measure=False, on_progress=job.progress,
                                should_stop=job.ended)
                job.tell(self._show, Shown(shown, asked, lines, about))
            if speed and not job.ended():
                shown.measure(on_progress=job.progress, should_stop=job.ended)
                return shown, job.stopped
        except Stopped as stopped:  # before anything was done
            job.tell(self.work.say, str(stopped))
        return None

    def _show(self, shown: Shown) -> None:
        self.shown = shown
        self._offer()
        self._show_view()

    def _timed(self, outcome: tuple[Comparison, bool] | None) -> None:
        if outcome is None or self.shown is None or self.shown.result is not outcome[0]:
            return
        result, stopped = outcome
        self._filling = True
        if any(row.latency for row in result.rows):
            self.x.value = "latency"
            self.view.value = "scatter"
        self._filling = False
        self._show_view()
        if stopped:
            self.work.say("Stopped: the times are those of the passes that were made.")

    def _sentence(self, error: BaseException) -> str:
        return sentence_of(error, scarce="There is not enough memory for that. Compare fewer or smaller models.")

    # --- showing ---

    def _offer(self) -> None:
        """What can be chosen now; the lock is held."""
        result, chosen = self.shown.result, self.photo.value
        self._filling = True
        try:
            names = result.photos[:MOST_LISTED]
            self.photo.options = [(name, index) for index, name in enumerate(names)]
            self.photo.value = chosen if chosen is not None and chosen < len(names) else 0
            known = {label for outputs in result.outputs if outputs is not None for label in outputs.labels}
            self.target.options = tuple(sorted(known, key=str.casefold))
            if result.looks:
                stride = self.stride.value
                self.stride.options = [(f"{one} px", one) for one in result.strides]
                again = stride in result.strides and stride > 1
                self.stride.value = stride if again else max(result.strides, default=None)
            self.x.value = "latency" if any(row.latency for row in result.rows) else "parameters"
            self.y.value = result.accuracy
        finally:
            self._filling = False

    def _show_view(self, _change: Any = None) -> None:
        """Draw the chosen side of what is there; only heat maps take a while."""
        with self.session.lock:
            if self._filling or self.gone or self.shown is None:
                return
            result, view = self.shown.result, self.view.value
            self.body.layout.display = ""
            one_photo = view in ("predictions", "cams", "maps")
            for control, wanted in ((self.photo, one_photo and len(result.photos) > 1), (self.topk, view == "predictions"),
                                    (self.target, view == "cams"), (self.stride, view == "maps" and bool(result.looks)),
                                    (self.x, view == "scatter"), (self.y, view == "scatter"), (self.table, view == "table"),
                                    (self.scatter, view == "scatter")):
                control.layout.display = "" if wanted else "none"
            self.below.value = ""
            draw = getattr(self, f"_draw_{view}")
            try:
                draw(result)
            except ValueError as error:
                self.picture.value = f'<div class="vx-note">{escape(str(error))}</div>'
            self.about.value = self._about_html(result)
            self._show_stale()
            self.changed()

    def _about_html(self, result: Comparison) -> str:
        problems = "".join(f'<div class="vx-note"><b>{escape(who)}</b>: {escape(why)}</div>' for who, why in result.problems)
        sentences = [f"Shown: {self.shown.about}.", *result.notes] + ([f"Speed: {result.conditions}"] if result.conditions else [])
        return problems + f'<div class="vx-soft vx-cmp-about">{"".join(f"<p>{escape(text)}</p>" for text in sentences)}</div>'

    def _draw_predictions(self, result: Comparison) -> None:
        from explorer.display.draw import thumbnail
        from explorer.display.html import picture_html
        from explorer.inspection.compare.figures import answers_html

        photo = self.photo.value
        picture = ""
        if result.looks:
            small = thumbnail(result.looks[0][photo].image, 224)
            picture = picture_html(small, result.photos[photo], format="JPEG")
        bars = answers_html(result, photo, topk=self.topk.value)
        self.picture.value = f'<div class="vx-cmp-photo">{picture}<div>{bars}</div></div>'

    def _draw_cams(self, result: Comparison) -> None:
        result._needs_looks("Heat maps")
        self.picture.value = busy_html("drawing heat maps")
        photo, target = self.photo.value, self.target.value.strip() or None
        self.pictures.start(partial(self._cams, result, photo, target),
                            partial(self._show_cams, result, photo, target), key="heat maps")

    def _cams(self, result: Comparison, photo: int, target: str | None, job: Job) -> str:
        from explorer.inspection.compare.figures import cams_html

        found = result.cams(photo, target=target, should_stop=job.ended)
        return "" if job.stale else cams_html(result, found)

    def _show_cams(self, result: Comparison, photo: int, target: str | None, html: str) -> None:
        now = (self.view.value, self.photo.value, self.target.value.strip() or None)
        if self.shown is not None and self.shown.result is result and now == ("cams", photo, target):
            self.picture.value = html
            self.below.value = ('<p class="vx-soft">Bright: what spoke for the class. Each map has its own scale, '
                                "so that brightness does not compare between models; places do.</p>")

    def _draw_maps(self, result: Comparison) -> None:
        from explorer.inspection.compare.figures import maps_html

        result._needs_looks("Feature maps")
        self.picture.value = maps_html(result, self.stride.value, self.photo.value)
        self.below.value = ('<p class="vx-soft">The last map of each model at this stride, its strongest channels. Each channel '
                            "has its own colours, from its lowest value to its highest.</p>")

    def _draw_agreement(self, result: Comparison) -> None:
        from explorer.inspection.compare.figures import agreement_html

        self.picture.value = agreement_html(result)

    def _draw_table(self, result: Comparison) -> None:
        self.picture.value = ""
        columns, rows = table_rows(result)
        self.table.show(columns, rows, csv=result.to_csv())
        self.below.value = '<p class="vx-soft">A press on a name opens the model in all panels.</p>'

    def _draw_scatter(self, result: Comparison) -> None:
        from explorer.inspection.compare.facts import ACCURACIES, COSTS

        self.picture.value = ""
        points, left_out = result.points(self.x.value, self.y.value)
        xs = [point.x for point in points]
        sizes = {row.name: row.parameters for row in result.rows}
        largest = max(sizes.values())
        self._placed = tuple(point.name for point in points)
        with self.scatter.hold_sync():
            self.scatter.x_label, self.scatter.y_label = COSTS[self.x.value].title, ACCURACIES[self.y.value].title
            self.scatter.log_x = bool(xs) and min(xs) > 0 and max(xs) / min(xs) > 10
        self.scatter.show(
            xs, [point.y for point in points], labels=self._placed, groups=[result.names.index(name) for name in self._placed],
            sizes=[4 + 12 * (sizes[name] / largest) ** 0.5 for name in self._placed],
            shapes=["circle"] * len(points), line=sorted((i for i, point in enumerate(points) if point.front), key=lambda i: xs[i]))
        front = [point.name for point in points if point.front]
        lines = [f"On the Pareto front: {', '.join(front)}. Of the others, each is beaten in one and not better in the other."
                 if front and len(front) < len(points) else "All of them are on the Pareto front: each is the best for what it costs."
                 if points else "No model can be placed."]
        if left_out:
            lines.append("Not placed: " + "; ".join(f"{name}, because {why}" for name, why in left_out) + ".")
        self.below.value = "".join(f'<p class="vx-soft">{escape(line)}</p>' for line in lines)

    def _show_stale(self) -> None:
        """Say what is shown where something else would be compared now."""
        if self.shown is None:
            return
        asked = self._wanted()
        if asked == self.shown.asked or asked is None or self.work.wanted:
            self.stale.value = ""
            return
        other = []
        if asked.photos != self.shown.asked.photos:
            other.append("other photos are chosen now" if asked.photos[0] != SCREEN else
                         f"the photo on the screen is {self.session.image_name} now")
        if (asked.names, asked.own) != (self.shown.asked.names, self.shown.asked.own):
            other.append("other models are chosen now")
        text = f"This is {self.shown.about} with {', '.join(self.shown.result.names)}; {' and '.join(other)}. Press Compare."
        self.stale.value = f'<div class="vx-note" role="status">{escape(text)}</div>'

    # --- what the reader does ---

    def _open(self, name: str) -> None:
        """Make a compared model the one that all panels show."""
        with self.session.lock:
            if self.shown is None or name not in self.shown.result.names:
                return
            asked, result = self.shown.asked, self.shown.result
            self.session.open_model(name if name in asked.names else result.models[result.names.index(name)])
        self.work.say(f"All panels show {name} now.")

    def _save(self, offer: str) -> None:
        self.pictures.start(partial(self._write, offer, self.shown), key=offer)

    def _write(self, offer: str, shown: Shown | None, _job: Job) -> None:
        if shown is None:
            self.files.problem(self.nothing_yet)
            return
        ending, mime = FILES[offer]
        text = shown.result.to_csv(of="photos") if offer == "Answers as CSV" else shown.result.to_markdown()
        self.files.answer(f"comparison-{ending}", mime, text.encode())

    # --- to keep ---

    def code(self) -> str:
        if self.shown is None:
            return ""
        result, view = self.shown.result, self.view.value
        lines = ["import explorer", "", *self.shown.lines, "result = explorer.compare(models, photos, measure=False)"]
        if result.conditions:
            lines.append("result.measure()  # times differ from one run to the next")
        last = {
            "predictions": (f"result.predictions({self.photo.value}, topk={self.topk.value})"
                            if any(result.labels) else f"result.numbers({self.photo.value})"),
            "cams": f"[one.overlay() for one in result.cams({self.photo.value}{self._target_code()})]",
            "maps": f"result.maps({self.stride.value}, {self.photo.value})",
            "agreement": "result.agreement" if any(result.labels) else "result.differences",
            "table": "print(result.to_markdown())",
            "scatter": f"result.points({literal(self.x.value)}, {literal(self.y.value)})",
        }[view]
        figure = f"result.figure({literal(view)}{self._figure_code()})" if view != "table" else ""
        return "\n".join([*lines, last, *filter(None, [figure])])

    def _target_code(self) -> str:
        target = self.target.value.strip()
        return f", target={literal(target)}" if target else ""

    def _figure_options(self) -> dict[str, Any]:
        photo = {"photo": self.photo.value}
        return {
            "predictions": {**photo, "topk": self.topk.value}, "cams": {**photo, "target": self.target.value.strip() or None},
            "maps": {"stride": self.stride.value, **photo}, "scatter": {"x": self.x.value, "y": self.y.value},
        }.get(self.view.value, {})

    def _figure_code(self) -> str:
        return "".join(f", {name}={literal(value)}" for name, value in self._figure_options().items() if value is not None)

    def figure(self) -> Any:
        if self.shown is None:
            return None
        if self.view.value == "table":
            from explorer.widgets.export import table_figure

            columns, rows = self.shown.result.table()
            return table_figure(columns, rows, title="Models compared", right=range(1, len(columns)))
        return self.shown.result.figure(self.view.value, **self._figure_options())

    def caption(self) -> str:
        if self.shown is None:
            return super().caption()
        result = self.shown.result
        speed = f" {result.conditions}" if result.conditions and self.view.value == "table" else ""
        return f"Models: {', '.join(result.names)}. Photos: {self.shown.about}.{speed}"

    def heading(self) -> str:
        titles = {key: text for text, key in VIEWS}
        return f"{titles[self.view.value]} of {len(self.shown.result)} models" if self.shown else self.called

    def _file_name(self) -> str:
        return file_name(self.called, self.view.value) if self.shown is not None else super()._file_name()

    def forget(self) -> None:
        self.shown = None


def _line(children: Sequence[W.Widget]) -> W.HBox:
    box = W.HBox(children)
    box.add_class("vx-line")
    return box
