"""Dashboard: lays the panels out around one session; holds no logic of its own."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import ipywidgets as W

from explorer import _memory
from explorer.display.views import SHARED_STYLE
from explorer.files import given_path, write_text
from explorer.models.config import check_input_size
from explorer.widgets.checks import check_labels, check_model, check_second, check_two
from explorer.widgets.export import page_html, snapshot_html
from explorer.widgets.gallery import first_photo, gallery
from explorer.widgets.lesson_note import LessonNote
from explorer.widgets.lessons import USUAL, check_lesson, find_lesson
from explorer.widgets.lifetime import Replaced, close_whole
from explorer.widgets.panels.base import Panel
from explorer.widgets.panels.basic.noticing import Noticing
from explorer.widgets.panels.basic.panel import NO_VIEWS, BasicPanel
from explorer.widgets.panels.beside import Beside, pair_tabs
from explorer.widgets.panels.camera.panel import CameraPanel
from explorer.widgets.panels.compare.panel import ComparePanel
from explorer.widgets.panels.detect.panel import DetectPanel
from explorer.widgets.panels.draw.panel import DrawPanel
from explorer.widgets.panels.embeddings.panel import EmbeddingsPanel
from explorer.widgets.panels.ensemble.panel import EnsemblePanel
from explorer.widgets.panels.evaluate.panel import EvaluatePanel
from explorer.widgets.panels.explain.tab import ExplainTab
from explorer.widgets.panels.images import ImagesPanel
from explorer.widgets.panels.learn.panel import FinetunePanel
from explorer.widgets.panels.learn.started import Newcomers
from explorer.widgets.panels.modules.panel import ModulesPanel
from explorer.widgets.panels.picker.panel import PickerPanel
from explorer.widgets.panels.predictions import PredictionsPanel
from explorer.widgets.panels.runs.panel import RunsPanel
from explorer.widgets.panels.saved import Saved
from explorer.widgets.panels.search.panel import SearchPanel
from explorer.widgets.panels.segment.panel import SegmentPanel
from explorer.widgets.panels.stages import StagesPanel
from explorer.widgets.panels.teach.panel import TeachPanel
from explorer.widgets.panels.work import said_html
from explorer.widgets.panels.working import WorkingLine
from explorer.widgets.parts.slider_names import SliderNames
from explorer.widgets.session import CLOSED, Session
from explorer.widgets.status import status_html

HERE = Path(__file__).parent

#: A tab each: (title, class). An attribute of the dashboard is called like the class: `stages` is a
#: StagesPanel.
TABS: tuple[tuple[str, type], ...] = (
    ("Feature maps", StagesPanel),
    ("Modules", ModulesPanel),
    ("Explain", ExplainTab),
    ("Camera", CameraPanel),
    ("Teach", TeachPanel),
    ("Draw", DrawPanel),
    ("Detect", DetectPanel),
    ("Segment", SegmentPanel),
    ("Compare", ComparePanel),
    ("Embeddings", EmbeddingsPanel),
    ("Train", FinetunePanel),
    ("Search", SearchPanel),
    ("Runs", RunsPanel),
    ("Evaluate", EvaluatePanel),
    ("Ensemble", EnsemblePanel),
)

_MADE = Replaced()


class Dashboard(W.VBox):
    """The app: pick a model, choose a photo, see what happens inside.

        dash = explorer.Dashboard()                     # in the last line of a cell it shows itself
        dash.session.model = "tf_efficientnet_lite2"    # all that a click can do, a cell can do
        dash.session.image = "my photo.jpg"
        dash.wait()
        dash.session.look.predictions

    model:      a name, opened with its trained weights, or any torch.nn.Module that you built
    images:     the gallery: a folder or a list of photos; without it the bundled ones
    labels:     class names in index order, where the model has none of its own
    models:     two names or models instead of `model`: side by side, both follow every photo
    input_size: (channels, height, width) in pixels, where the model's own is not what you want
    lesson:     what the menu "Lesson" offers, such as "fool it": photo, models, tab and settings at once,
                with a sentence on what to do and one on what to see. What you give takes the place of the
                lesson's own: `images`; `model` where it is about one, `models` where it is about two
    basic:      True: basic mode, on core ipywidgets alone, with pictures made in Python. A page that can't
                load the whole dashboard is noticed within seconds, and gets it without being asked

    A cell that runs again closes the dashboard that it made before; those of other cells live on.
    Raises ValueError for an unknown model or lesson, a lesson about another number of models, a folder
    without photos, labels that are too few or too many, or an input size that is none. What goes wrong later
    is a sentence above the panels; `wait()` raises it.
    """

    def __init__(self, model: Any = USUAL, images: Any = None, *, models: Sequence[Any] | None = None,
                 labels: Sequence[str] | None = None, input_size: Sequence[int] | None = None,
                 lesson: str | None = None, basic: bool = False):
        # refused before anything is built
        input_size, photos = check_input_size(input_size), gallery(images)
        plan = check_lesson(lesson, model, models)
        model, beside = check_two(model, models)
        model = check_model(model, input_size)
        beside = None if beside is None else check_second(beside, input_size)
        labels = check_labels(labels, model)
        _MADE.close_former()
        self.session = Session(labels=labels, input_size=input_size, photos=photos)
        self.picker = PickerPanel(self.session)
        self.images = ImagesPanel(self.session)
        self.predictions = PredictionsPanel(self.session)
        # beside the model, where coming and going moves nothing
        self.working = WorkingLine(self._sessions, self.session.lock)
        plain, style = self.working.layout, self.working.style  # for all: each is a widget of its own
        self.status, self.message = (W.HTML(layout=plain, style=style) for _ in range(2))

        self.second: Beside | None = None  # the second model, where one is beside the first
        self.add_second = W.Button(description="+ second model", layout=self.picker.opener.layout,
                                   tooltip="Choose one in the list, then: Put beside the first")
        self.add_second.add_class("vx-quiet")
        self.note = LessonNote(self)
        self.head = W.Box(self._in_head(self.add_second), layout=plain)
        self.head.add_class("vx-head")
        self.tabs = W.Tab([panel(self.session) for _, panel in TABS], titles=[title for title, _ in TABS])
        for panel in self.tabs.children:
            setattr(self, called(panel), panel)
        self.ways = W.VBox([self.predictions], layout=plain)  # what comes into it moves no tabs
        self.rows = W.VBox([self.picker, self.message, self.note, self.images, self.ways, self.tabs],
                           layout=plain)
        for rows in (self.ways, self.rows):
            rows.add_class("vx-rows")
        sheet = W.HTML(f"<style>{styles()}</style>", layout=plain, style=style)
        self.whole = (sheet, self.head, self.rows, SliderNames(layout=plain))
        super().__init__(self.whole)
        self.add_class("vx-dashboard")
        self._closed = self._wants_basic = False
        self.basic: BasicPanel | None = None  # once it was asked for, or the page needs it
        self.noticing = Noticing(self.images.gallery, self.session.lock, self._lay_out)
        self.saved = Saved(self._sessions, self.note.html)  # its picture, for where no kernel runs
        _MADE.keep(self)
        _memory.keep()

        self.tabs.observe(self._open_tab, "selected_index")
        self.session.observe(self._bring_to_front, ["tab"])
        self.session.observe(self.working.follow, ["busy"])
        self.session.observe(self._show_status, ["look", "model_name", "busy"])
        self.session.observe(self._show_error, ["error"])
        self.session.observe(self.saved.later, ["look"])
        actions = self.picker.actions
        actions.problem.observe(self._show_error, "value")  # what it says itself is not said twice
        for button in (actions.open_trained, actions.open_random):
            button.on_msg(self._clicked)
        self.session.observe(self._change_second, ["beside"])
        self.add_second.on_click(lambda _: self.picker.tell(self.picker.unfold))
        self._show_status()
        self._newcomers = Newcomers(self.session)  # runs that began elsewhere, or will
        if plan is not None:
            self.note.begin(plan, model, beside)
        else:
            self.session.open_model(model)
            if self.session.gallery:
                title, source = first_photo(self.session.gallery)
                self.session.open_image(source, title)
            self.session.beside = beside
        if basic:
            self.show_basic()

    # --- what a cell can do -----------------------------------------------------------------------------

    def wait(self, timeout: float | None = 120) -> None:
        """Block until what was asked for is on the screen.
        Raises ExplorerError with the reason if it can't be done.
        """
        self.session.wait(timeout)
        if (second := self.second) is not None:
            second.wait(timeout)
        self.saved.at_first()

    def load(self, source: Any) -> None:
        """Show another photo: anything that explorer.load_image takes.
        Raises TraitError if it is no picture.
        """
        self.session.image = source

    @property
    def lesson(self) -> str | None:
        """The name of the lesson that is shown, None for none. Set one to begin it; None takes its sentences
        away, and all else stays as it is. Raises ValueError for an unknown one.
        """
        return None if self.note.lesson is None else self.note.lesson.name

    @lesson.setter
    def lesson(self, name: str | None) -> None:
        self.note.end() if name is None else self.note.begin(find_lesson(name))

    def snapshot(self):
        """What is shown now as plain HTML and PNG, for a notebook that is read where no kernel runs (GitHub):
        the lesson, photo, answers and stages, then each tab that shows something: its heat map, curves,
        tables, and the lines that give them again.
        """
        from IPython.display import HTML

        return HTML(snapshot_html(*self._sessions(), panels=panels_in(self.tabs), above=self.note.html()))

    def export_html(self, path: str | Path) -> Path:
        """Write what `snapshot` gives as a page of its own; the path of the file."""
        path = given_path(path)
        panels = panels_in(self.tabs)
        write_text(path, page_html(*self._sessions(), panels=panels, above=self.note.html()))
        return path

    def show_basic(self, on: bool = True) -> None:
        """Show basic mode, core ipywidgets and pictures made in Python, in the place of the whole dashboard;
        or that again (False). Photo, models and runs stay as they are. Raises RuntimeError once it is closed.
        """
        with self.session.lock:
            if self._closed:
                raise RuntimeError(CLOSED)
            self._wants_basic = on
            if not on:
                self.noticing.again()
            self._lay_out()

    def close(self) -> None:
        """End what is being done, free the model and remove every widget. May be called twice."""
        if getattr(self, "_closed", True):  # closed before, or never finished
            return
        self._closed = True
        self.noticing.close()
        self.saved.close()
        self.note.end()
        self._newcomers.close()
        self.session.close()
        if self.second is not None:
            self.second.close()
        close_whole(self)
        super().close()
        _memory.give_back()

    def _ipython_display_(self) -> None:
        self.saved.show({"text/plain": CLOSED} if self._closed else self._repr_mimebundle_() or {})

    def __repr__(self) -> str:
        models = " beside ".join(one.model_name or "no model yet" for one in self._sessions())
        return f"Dashboard({models}, {self.session.image_name or 'no photo yet'})"

    def _sessions(self) -> list[Session]:
        """That of the first model, and that of the second where there is one."""
        second = self.second
        return [self.session] if second is None else [self.session, second.session]

    def _in_head(self, second: W.Button) -> list[W.Widget]:
        """The first line. second: the button about the second model"""
        return [self.picker.opener, second, self.note.menu, self.working, self.status]

    # --- basic mode -------------------------------------------------------------------------------------

    def _lay_out(self) -> None:
        """The whole dashboard, or basic mode where that was asked for or the page can load no more."""
        shown = self.whole
        if self._wants_basic or self.noticing.missing:
            basic = self._basic_panel()
            basic.say(missing=self.noticing.missing)
            shown = (self.whole[0], self.working, self.message, self.note, basic)
        if shown != self.children:
            self.children = shown
        if self.basic is not None:
            self.basic.seen(self.in_basic)
        self._show_error()
        self._open_tab()
        self.note.laid_out()

    def _basic_panel(self) -> BasicPanel:
        if self.basic is None:
            back = partial(self.show_basic, False)
            self.basic = BasicPanel(self.session, take=self.images.take, back=back)
            self.basic.show_second(self.second and self.second.session)
        return self.basic

    @property
    def in_basic(self) -> bool:
        """Whether basic mode is shown."""
        return self.children[-1] is self.basic

    # --- a second model ---------------------------------------------------------------------------------

    def _change_second(self, change: Any) -> None:
        """Put another model beside the first, or take it away."""
        with self.session.lock:
            before, self.second = self.second, None
            if change["new"] is not None:
                self.second = Beside(self.session, change["new"])
                self.second.session.observe(self.working.follow, ["busy"])
                self.second.session.observe(self.saved.later, ["look"])
            chip = self.add_second if self.second is None else self.second.line
            self.head.children = self._in_head(chip)
            ways = [self.predictions, self.second]
            self.ways.children = [way for way in ways if way is not None]
            if self.basic is not None:
                self.basic.show_second(self.second and self.second.session)
            pair_tabs(self.tabs, self.rows, self.second)
            if before is not None:
                before.close()
            self._open_tab()
            self.working.follow()  # what was done for the former one is no longer said
            self.saved.later()

    # --- status ------------------------------------------------------------------------------------------

    def _bring_to_front(self, change) -> None:
        if change["new"] in self.tabs.titles:
            self.tabs.selected_index = self.tabs.titles.index(change["new"])

    def _open_tab(self, _change=None) -> None:
        """Panels are built when they are first looked at; some rest while they are out of sight."""
        front = None if self.in_basic else self.tabs.children[self.tabs.selected_index or 0]
        for panel in sorted(self.tabs.children, key=lambda panel: panel is front):
            panel.seen(panel is front)

    def _show_status(self, _change=None) -> None:
        self.status.value = status_html(self.session)

    def _show_error(self, _change=None) -> None:
        said = self.picker.actions.problem.value and not self.in_basic
        problems = [self.session.error] if self.session.error and not said else []
        if self.noticing.missing:
            problems.insert(0, NO_VIEWS)
        self.message.value = "".join(said_html(text, wrong=True) for text in problems)

    def _clicked(self, *_message) -> None:
        """A click proves that a browser shows the dashboard:
        if the views have not loaded there, they can't.
        """
        self.noticing.say()


def called(panel: W.Widget) -> str:
    """The name of a panel among the attributes of its dashboard: "stages" for a StagesPanel."""
    return type(panel).__name__.removesuffix("Panel").removesuffix("Tab").lower()


def panels_in(widget: W.Widget) -> list[Panel]:
    """The panels inside a widget, itself among them, in their order, however many boxes are around them; a
    panel comes before those that stand in it.
    """
    inside = [panel for child in getattr(widget, "children", ()) for panel in panels_in(child)]
    return [widget, *inside] if isinstance(widget, Panel) else inside


def styles() -> str:
    """What all panels share, then what each brings along."""
    sheets = [HERE / "style.css", *sorted((HERE / "panels").rglob("*.css"))]
    return "\n".join([SHARED_STYLE, *(sheet.read_text(encoding="utf-8") for sheet in sheets)])
