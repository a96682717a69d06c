"""Teach: classes that are collected with the camera or from files; they lie on the disk from the first photo.

What learns from them stands below, and needs of this panel no more than this:

    panel.shelf                      # ClassShelf: classes, photos (path, burst), add, ...
    panel.on_photos(act)             # act() under the lock, whenever photos or classes have changed
    panel.on_frame(act)              # act(number, jpeg) answers each with panel.camera.answer(number, ...)
    panel.want_frames(True)          # also while no button is held
    panel.keep(name, jpeg)           # the frame becomes a photo of the class
    panel.warn(sentences)            # what to know of the photos
    panel.left.children = [panel.camera, ...]    # below the camera, in sight while it is on
    panel.below.children = [...]
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import ipywidgets as W

from explorer.data.class_shelf import ClassShelf, ShelfPhoto
from explorer.data.shelf_homes import Former, discard_home, last_home, leave_home, new_home, take_home
from explorer.display.words import counted, sentence_of
from explorer.widgets.jobs import Job
from explorer.widgets.panels.base import Panel
from explorer.widgets.panels.camera import frames
from explorer.widgets.panels.taking_home import Home, home_of
from explorer.widgets.panels.teach import words
from explorer.widgets.panels.teach.guide import GUIDE
from explorer.widgets.panels.teach.holding import Holding
from explorer.widgets.panels.teach.lesson import Lesson
from explorer.widgets.panels.teach.sheet import sheet_of, small_pictures, thumbnail
from explorer.widgets.parts.camera import Camera
from explorer.widgets.parts.class_shelf import ShelfView
from explorer.widgets.session import Session

log = logging.getLogger(__name__)

MOST_WAIT = 20   # photos that wait to be written: more frames than that are left out
LEAST_SIDE = 240  # pixels of a frame's shorter side

FIRST = ("Class 1", "Class 2")


class TeachPanel(Panel):
    name = "Teach"
    draw_on = ("model",)
    guide = GUIDE
    nothing_yet = "No photo was collected yet: hold a class's button, or drop photos on it."

    def __init__(self, session: Session):
        self.camera: Camera | None = None
        self.shelf: ClassShelf | None = None
        self.lesson: Lesson | None = None
        self._former: Former | None = None
        self._left: Path | None = None  # the folder that was home before, where it holds photos
        self._wanted = False  # whether what learns wants frames
        self._hear_photos: list[Callable[[], None]] = []
        self._hear_frame: Callable[[int, bytes], None] | None = None
        self._number, self._waiting = count(), 0
        super().__init__(session)
        self.add_class("vx-teach")

    def make(self) -> None:
        lock = self.session.lock
        self.shelf = ClassShelf(new_home())
        for name in FIRST:
            self.shelf.add_class(name)
        self.holding = Holding(self.shelf)
        self.keeping = self.line(failed=self._complain)
        self.reading = self.line(failed=self._complain)
        self.camera = Camera(lock=lock, hint=words.CAMERA_OFF, live=False, pace=10, freezes=False)
        self.cards = ShelfView(lock=lock)
        self.below = W.VBox()
        self.below.add_class("vx-teach-below")
        self.left = W.VBox([self.camera])
        self.left.add_class("vx-teach-left")
        row = W.Box([self.left, self.cards])
        row.add_class("vx-teach-row")
        self.fill([row, self.below])
        self.camera.on_frame(self._take)
        self.when(self.camera, self._camera_changed, "state")
        self.cards.on_act(hold=partial(self.tell, self._hold), photo=self._take_file,
                          add=partial(self._change, ClassShelf.add_class),
                          rename=partial(self._change, ClassShelf.rename_class),
                          remove=partial(self._change, ClassShelf.remove_class),
                          drop=partial(self._change, ClassShelf.remove),
                          undo=partial(self._change, ClassShelf.undo),
                          save=self._save, load=self._load, reopen=self._reopen,
                          dismiss=partial(self.tell, self._dismiss))
        self.lesson = Lesson(self)
        self.show_classes()
        self.reading.start(lambda job: last_home(), self._offer, key="former")

    def draw(self) -> None:
        """Another model reads frames of another size."""
        model = self.session.model
        self.camera.side = max(LEAST_SIDE, 0 if frames.unfit(model) else frames.side_for(model))
        self.lesson.draw()

    def forget(self) -> None:
        if self.camera is not None:
            self.camera.off()
            self.holding.end()
            self.shelf.forget_removed()
            (leave_home if len(self.shelf) else discard_home)(self.shelf.folder)
        if self.lesson is not None:
            self.lesson.forget()
        self._hear_frame = None
        self._hear_photos.clear()

    # --- for what learns from the photos --------------------------------------------------------------------

    def on_photos(self, act: Callable[[], None]) -> None:
        """Call `act()` under the lock whenever the photos or the classes have changed."""
        self._hear_photos.append(act)

    def on_frame(self, act: Callable[[int, bytes], None]) -> None:
        """Hand frames of the camera to `act(number, jpeg)`, in the thread of the message, while they are
        wanted; it answers each with `camera.answer`.
        """
        self._hear_frame = act

    def want_frames(self, wanted: bool) -> None:
        """Whether frames are wanted also while no button is held."""
        with self.session.lock:
            self._wanted = wanted
            self._ask_for_frames()

    def warn(self, sentences: Sequence[str]) -> None:
        """Say what to know of the photos, in place of what was said before."""
        with self.session.lock:
            if not self.gone:
                self.cards.warnings = list(sentences)

    def keep(self, name: str, data: bytes, burst: int | None = None) -> None:
        """Make a picture a photo of a class, in the background. burst: None for one that came alone."""
        with self.session.lock:
            self._waiting += 1
        self._later(lambda job: self._written(name, data, burst), self._show_photo)

    # --- for a cell -----------------------------------------------------------------------------------------

    def save(self, folder: str | os.PathLike) -> Path:
        """Put the collection into a new folder, whole or not at all; its path. New photos go there, too.

        Raises ValueError where there are no photos, or the folder holds anything, and DiskError where it
        can't be written: then everything stays as it was.
        """
        self.build()
        self.keeping.wait()
        path = self._save_into(folder)
        self.tell(self.show_classes)
        return path

    def load(self, folder: str | os.PathLike) -> None:
        """Show the photos of a folder of class folders, and collect into it from now on.

        Raises DataError for what is no folder, or can't be read.
        """
        self.build()
        self.keeping.wait()
        self._loaded(folder)
        self.tell(self._show_loaded)

    # --- frames ---------------------------------------------------------------------------------------------

    def _camera_changed(self) -> None:
        self.cards.live = self.camera.state == "live"
        if not self.cards.live and self.holding.wants_frames:
            self._let_go()

    def _ask_for_frames(self) -> None:
        if self.camera is not None and not self.gone:
            self.camera.live = self._wanted or self.holding.wants_frames

    def _hold(self, name: str, on: bool) -> None:
        """A class's button is held, or let go."""
        if on:
            self.holding.press(name)
        else:
            self.holding.release(name)
        self._ask_for_frames()

    def _let_go(self) -> None:
        """Nothing is collected any more, whatever the reader holds."""
        self.holding.end()
        self.cards.let_go()
        self._ask_for_frames()

    def _take(self, number: int, data: bytes) -> None:
        """In the thread of the message."""
        with self.session.lock:
            if self.gone:
                return
            found = self.holding.frame_for(room=self._waiting < MOST_WAIT)
            if found is not None:
                self.keep(found[0], data, found[1])
            self._ask_for_frames()
            collects = self.holding.wants_frames  # several a second: then nobody waits for an answer
            hear = self._hear_frame if self._wanted and not collects else None
        if hear is None:
            self.camera.answer(number)
        else:
            hear(number, data)

    # --- photos ---------------------------------------------------------------------------------------------

    def _later(self, compute: Callable[[Job], Any], show: Callable[[Any], None]) -> None:
        """Do it after everything that was asked for before: each has a key of its own, so none gives way."""
        self.keeping.start(compute, show, key=next(self._number))

    def _written(self, name: str, data: bytes, burst: int | None) -> tuple[str, ShelfPhoto, bytes]:
        try:
            photo = self.shelf.add(name, data, burst)
            return name, photo, thumbnail(data)
        finally:
            with self.session.lock:
                self._waiting -= 1

    def _show_photo(self, found: tuple[str, ShelfPhoto, bytes]) -> None:
        name, photo, picture = found
        self.show_classes({photo.key: picture}, only=name)

    def _take_file(self, number: int, name: str, known: bool, data: bytes) -> None:
        """A file from the page: it sends the next one when this one is answered."""
        self._later(lambda job: self._file_written(number, name, known, data), lambda found: None)

    def _file_written(self, number: int, name: str, known: bool, data: bytes) -> None:
        problem = ""
        try:
            if not known:
                name = self.shelf.class_called(name)
            photo = self.shelf.add(name, data)
            self.tell(self._show_photo, (name, photo, thumbnail(data)))
        except Exception as error:
            log.info("a photo could not be taken in", exc_info=error)
            problem = sentence_of(error, unexpected="A photo could not be taken in ({problem}).")
        self.cards.took(number, problem)

    def _change(self, act: Callable[..., Any], *given: Any) -> None:
        """Change the shelf, in turn, and show it."""
        self._later(lambda job: act(self.shelf, *given), lambda found: self.show_classes())

    # --- what is shown --------------------------------------------------------------------------------------

    def show_classes(self, pictures: dict[int, bytes] | None = None, only: str = "") -> None:
        """The classes, and the photos of all of them or of one. pictures: new small ones by key"""
        names = [only] if only in self.shelf.classes else list(self.shelf.classes)
        photos = {name: [(one.key, one.burst) for one in self.shelf.photos(name)] for name in names}
        self.cards.show(photos, pictures or {})
        self.cards.classes = [{"name": name, "count": number} for name, number in self.shelf.counts.items()]
        self.cards.removed, self.cards.home = self.shelf.removed, words.home_text(self.shelf)
        for act in list(self._hear_photos):
            act()
        self.changed()

    def _complain(self, error: BaseException) -> None:
        self._let_go()
        self.cards.say(sentence_of(error), error=True)
        self.show_classes()

    # --- folders --------------------------------------------------------------------------------------------

    def _save(self, folder: str) -> None:
        self._later(lambda job: self._save_into(folder), self._saved)

    def _save_into(self, folder: str | os.PathLike) -> Path:
        before = self.shelf.folder
        path = self.shelf.save(folder, still_read=self.lesson.reads(before))
        self.tell(self.lesson.moved, before, path)
        return path

    def _saved(self, path: Path) -> None:
        self.cards.say(f"Saved in '{path}'; new photos go there too.")
        self.show_classes()

    def _load(self, folder: str) -> None:
        self._later(lambda job: self._loaded(folder), lambda found: self._show_loaded())

    def _loaded(self, folder: str | os.PathLike) -> None:
        before, left = self.shelf.folder, bool(len(self.shelf))
        self.shelf.load(folder)
        if self.shelf.folder != before:
            take_home(self.shelf.folder)
            leave_home(before)
            self._left = before if left else None

    def _show_loaded(self) -> None:
        self._let_go()
        self._dismiss()
        self.cards.clear()
        while len(self.shelf.classes) < len(FIRST):  # there have to be two to tell apart
            self.shelf.add_class()
        self.show_classes()
        self.cards.say(words.loaded_text(self.shelf, self._left))
        self.reading.start(self._read_pictures, key="pictures")

    def _read_pictures(self, job: Job) -> None:
        """Small pictures of photos that came with a folder, some at a time."""
        wanted = [one for name in self.shelf.classes for one in self.shelf.photos(name)
                  if not self.cards.has(one.key)]
        for start in range(0, len(wanted), MOST_WAIT):
            found = small_pictures(wanted[start:start + MOST_WAIT])
            if not job.tell(self.cards.show, {}, found):
                return

    def _offer(self, former: Former | None) -> None:
        if former is None or len(self.shelf):
            return
        self._former, self.cards.offer = former, words.offer_text(former)

    def _reopen(self) -> None:
        if self._former is not None:
            self._load(str(self._former.folder))

    def _dismiss(self) -> None:
        self._former, self.cards.offer = None, ""

    # --- code and figure ------------------------------------------------------------------------------------

    def code(self) -> str:
        return "" if self.lesson is None or not len(self.shelf) else self.lesson.code()

    def to_take_home(self) -> Home | str:
        run = None if self.lesson is None else self.lesson.run
        return home_of(run) if run is not None and run.best else words.NOTHING_LEARNT

    def figure(self) -> Any:
        """Some photos of each class."""
        if self.shelf is None or not len(self.shelf):
            return None
        return sheet_of({name: self.shelf.photos(name) for name in self.shelf.classes})

    def heading(self) -> str:
        return "Collected photos"

    def caption(self) -> str:
        if self.shelf is None:
            return ""
        said = ", ".join(f"{name}: {counted(number, 'photo')}" for name, number in self.shelf.counts.items())
        return f"Some of the photos of each class. {said}."
