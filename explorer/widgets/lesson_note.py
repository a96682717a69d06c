"""The lesson that a dashboard shows: the menu that begins one, and two sentences above the panels.

A lesson asks for its photo and its models as a reader does, and sets the rest once they are there. After that
everything is the reader's again; closing it takes the sentences away, and nothing else.
"""

from __future__ import annotations

import copy
from html import escape
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import ipywidgets as W

from explorer.widgets.gallery import first_photo, same_file
from explorer.widgets.lessons import LESSONS, Lesson, find_lesson

if TYPE_CHECKING:
    from explorer.models.contract import VisionModel

CLOSES = "Close; all stays as it is"
NO_CROP = ("{model} does not read one crop of the photo, so there is nothing to compare: begin this lesson "
           "with a single network for classes.")
IN_WHOLE = "Basic mode lacks the controls for this: they are set, and wait in the whole dashboard."
STAYS = "Takes these sentences away. Photo, models and settings stay as they are now."


class LessonNote(W.Box):
    """What to do and what to see, empty while there is no lesson.

    dash: the Dashboard, in which the settings of a lesson have their places
    menu: begins one;  lesson: the one that is shown, or None
    """

    def __init__(self, dash: Any):
        self.dash = dash
        self.lesson: Lesson | None = None
        self._waits = False        # for the photo and the models: the settings come then
        self._unset = False        # its settings wait for the whole dashboard: in basic mode no tab is built
        self._source: Any = None   # the lesson's photo, where the reader has it at hand
        self._model: Any = None    # what was asked for
        self._before: Any = None   # the model that was there until then, perhaps of the same name
        self.text: W.HTML | None = None
        self.shut: W.Button | None = None
        self.menu = W.Dropdown(description="Lesson", layout=dash.working.layout,
                               options=[("none", ""), *((name, name) for name in LESSONS)])
        self.menu.add_class("vx-lesson-menu")
        super().__init__(layout=dash.working.layout)
        self.menu.observe(self._chosen, "value")
        dash.session.observe(self._came, ["look"])
        dash.session.observe(lambda _: self._say(), ["beside"])

    def begin(self, lesson: Lesson, model: Any = None, beside: Any = None) -> None:
        """Ask for all that the lesson is about. model, beside: in place of the lesson's own"""
        session = self.dash.session
        with session.lock:
            wanted = lesson.models[0] if model is None else model
            session.open_model(wanted)
            self.lesson, self._waits, self._unset = lesson, True, False
            self._model, self._before = wanted, session.model
            at_hand = dict(session.gallery).get(lesson.photo)
            self._source = at_hand if same_file(at_hand, bundled(lesson.photo)) else None
            self._say()
            if self._source is not None:
                session.open_image(self._source, lesson.photo)
            elif not session.photo_asked_for and session.gallery:
                title, source = first_photo(session.gallery)
                session.open_image(source, title)
            session.beside = beside if beside is not None else lesson.models[1] if lesson.models[1:] else None

    def end(self) -> None:
        """Take the sentences away; all else stays as it is."""
        with self.dash.session.lock:
            self.lesson, self._waits, self._unset = None, False, False
            self._source = self._model = self._before = None
            self._say()
            self.dash.saved.later()  # the sentences stand above the picture, too

    def html(self) -> str:
        """The sentences, for where no widget is; "" while there is no lesson."""
        if (lesson := self.lesson) is None:
            return ""
        session = self.dash.session
        see = lesson.see if self._as_set(lesson) else lesson.elsewhere
        if lesson.whole and session.model is not None and not self._waits and not crops(session.model):
            see = NO_CROP.format(model=session.model_name)
        whole = f"<p>{IN_WHOLE}</p>" if self.dash.in_basic and lesson.by_tab else ""
        return (f"<p><b>{escape(lesson.name.capitalize())}.</b> {escape(lesson.do)}</p>{whole}"
                f"<p><b>What to see.</b> {escape(see)}</p>")

    def laid_out(self) -> None:
        """Set what waits for the whole dashboard, where that is shown; the lock is held."""
        if self._unset and not self.dash.in_basic:
            self._unset = False
            self._set(self.lesson)
        self._say()

    # --- following the reader and the session ---

    def _chosen(self, change: Any) -> None:
        shown = "" if self.lesson is None else self.lesson.name
        if change["new"] == shown:
            return
        if change["new"]:
            self.begin(find_lesson(change["new"]))
        else:
            self.end()

    def _shut(self, _button: W.Button) -> None:
        """The button goes with the sentences: who pressed it by keyboard goes on at the menu."""
        self.end()
        self.menu.focus()

    def _came(self, _change: Any) -> None:
        """Another look is on the screen: that of the lesson, or of what the reader has chosen since."""
        session, lesson = self.dash.session, self.lesson
        if lesson is None or session.look is None:
            return
        if self._waits and self._there():
            self._waits, self._before = False, None
            if lesson.whole and crops(session.model):
                session.beside = whole_photo(session.model)
            self._unset = True
            self.laid_out()
        elif self._waits and not self._wanted(lesson):
            self._waits, self._before = False, None
        self._say()

    def _wanted(self, lesson: Lesson) -> bool:
        """Whether nobody has asked for another photo or model since the lesson began."""
        session = self.dash.session
        photo = self._source is None or session.photo_asked_for == lesson.photo
        return photo and session.model_asked_for == self._model

    def _there(self) -> bool:
        session = self.dash.session
        photo = self._source is None or same_file(self._source, session.image_source)
        opened = session.model_source == self._model and session.model is not self._before
        return photo and (opened or session.model is self._model)

    def _as_set(self, lesson: Lesson) -> bool:
        """Whether the photo and the models are those that the lesson's own sentence is about."""
        if self._source is None or self._model != lesson.models[0]:
            return False
        return (self._waits or self._there()) and lesson.models[1:] in ((), (self.dash.session.beside,))

    def _set(self, lesson: Lesson) -> None:
        session, own = self.dash.session, self._source is not None and self._there()
        session.show_tab("Explain")
        session.asked_class = lesson.asks if own else ""
        for path, value in (*lesson.settings, *(lesson.with_photo if own else ())):
            place, _, name = path.rpartition(".")
            holder = attrgetter(place)(self.dash)
            if callable(method := getattr(holder, name)):
                method(*value)
            else:
                setattr(holder, name, value)

    def _say(self) -> None:
        if self.lesson is not None and self.text is None:
            self.text = W.HTML(layout=self.layout, style=self.dash.working.style)
            self.shut = W.Button(description=CLOSES, tooltip=STAYS, layout=self.layout)
            self.shut.add_class("vx-quiet")
            self.shut.on_click(self._shut)
        if self.text is not None:
            self.text.value = self.html()
        self.children = () if self.lesson is None else (self.text, self.shut)
        (self.remove_class if self.lesson is None else self.add_class)("vx-lesson")
        self.menu.value = "" if self.lesson is None else self.lesson.name


def bundled(title: str) -> Any:
    """The file of the bundled photo of that title."""
    from explorer.data.samples import sample_photos

    return next(photo.path for photo in sample_photos() if photo.title == title)


def crops(model: VisionModel) -> bool:
    """Whether a model reads one crop of a photo: one that finds places does not, nor several networks."""
    return model.task == "classification" and not hasattr(model, "members")


def whole_photo(model: VisionModel) -> VisionModel:
    """The same network, which is given the whole photo, between bars where it is no square."""
    other = copy.deepcopy(model)
    tag = ", ".join(filter(None, [model.config.tag, "whole photo"]))
    other.config = model.config.with_(crop_pct=1.0, crop_mode="border", tag=tag)
    return other
