"""Who takes part in an ensemble, and the photos that its members are asked about."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from html import escape
from typing import Any

import ipywidgets as W
import traitlets as t

from explorer.models.names import list_models
from explorer.models.tasks import task_of_name
from explorer.widgets.checks import MAX_COMPARED
from explorer.widgets.lifetime import close_whole
from explorer.widgets.panels.base import Panel, labelled
from explorer.widgets.panels.compare.choosing import at_most, line
from explorer.widgets.panels.compare.words import default_names, not_here
from explorer.widgets.panels.ensemble.words import (
    not_a_member,
    reason_against,
    runs_left_out,
    weights_sentence,
)
from explorer.widgets.panels.evaluate.photo_choices import CHOICES, FOLDER, OWN
from explorer.widgets.panels.evaluate.subject import photos_of, run_behind, run_line
from explorer.widgets.panels.learn.task_choices import DATA
from explorer.widgets.snippets import literal

BUNDLED, NONE = "bundled", "none"
SOURCES = (("bundled photos of one ImageNet class each", BUNDLED),
           ("those that a run did not learn from", OWN), *DATA.items(),
           ("none, only the photo on the screen", NONE))
PARTS = (("held out to judge by (validation)", "val"), ("all of them", "all"))
CLASSES = "classification"


@dataclass(frozen=True)
class Member:
    """One that can be ticked. opens: gives the network;  code: an expression that does so in a cell, "" for
    what only the panel holds;  run: the run that it comes from
    """

    name: str
    opens: Callable[[], Any]
    code: str = ""
    run: Any = None


@dataclass(frozen=True)
class Photos:
    """What the members are asked about. find: gives (data, an expression for it), None for no photos
    options: keywords beside it;  first: lines in front of the expression;  about: in words
    """

    find: Callable[[], tuple[Any, str]] | None
    options: dict[str, Any]
    first: tuple[str, ...]
    about: str


class Choice:
    """The controls for members and photos; `rows` are their lines on the page.

    changed: called when something else is chosen
    """

    def __init__(self, panel: Panel, changed: Callable[[], None], say: Callable[..., None]):
        self.panel, self.session, self.changed, self.say = panel, panel.session, changed, say
        self.opened: dict[str, Any] = {}       # models by name, once they were asked
        self._added: tuple[str, ...] = ()      # names that were added here
        self._ticks: dict[str, bool] = {}      # what the reader has ticked, or has not, by name
        self._by_itself = False
        self.offered: tuple[Member, ...] = ()
        self.boxes = W.HBox()
        self.boxes.add_class("vx-ens-members")
        self.add = labelled("Add a model", W.Combobox, placeholder="type part of a name", ensure_option=False,
                            continuous_update=False, options=tuple(list_models(task=CLASSES)),
                            layout=at_most(320))
        self.about = W.HTML()
        self.source = labelled("Photos with known classes", W.Dropdown, options=SOURCES, layout=at_most(600))
        self.part = labelled("of these", W.Dropdown, options=PARTS, layout=at_most(240))
        self.folder = labelled("Folder", W.Text, continuous_update=False, layout=at_most(420),
                               placeholder=CHOICES[CLASSES].example)
        self.rows = [W.HTML("<h3>Members</h3>"), self.boxes, line([self.add]), self.about,
                     line([self.source, self.part, self.folder])]
        self._source_touched = False
        panel.when(self.add, self._take)
        panel.when(self.source, self._source_chosen)
        for control in (self.source, self.part, self.folder):
            panel.when(control, lambda: None if self._by_itself else changed())

    # --- members ---

    def draw(self) -> None:
        """Follow the ticks of the picker, the runs and the model on the screen."""
        members = self._members()
        names = tuple(member.name for member in members)
        if names != tuple(member.name for member in self.offered):
            gone = self.boxes.children
            self.boxes.children = [self._box(name) for name in names]
            close_whole(*gone)
        self.offered = members
        self._by_itself = True
        for box, member in zip(self.boxes.children, members):
            box.value = self._ticks.get(member.name, self._usual(member))
        if not self._source_touched:
            self.source.value = OWN if any(member.run is not None for member in self.ticked) else BUNDLED
        self._by_itself = False
        missing = not_here([member.name for member in self.ticked if member.name in self._names()])
        lines = [not_a_member(self.session), *runs_left_out(self.session.runs), weights_sentence(missing)]
        self.about.value = "".join(f'<div class="vx-soft">{escape(one)}</div>' for one in lines if one)
        self.folder.layout.display = "" if self.source.value == FOLDER else "none"
        self.part.layout.display = "none" if self.source.value in (BUNDLED, NONE, OWN) else ""

    @property
    def ticked(self) -> list[Member]:
        return [member for box, member in zip(self.boxes.children, self.offered) if box.value]

    def _names(self) -> tuple[str, ...]:
        """Models by name: those ticked in the picker, those that are on this computer, those added here."""
        picked = tuple(name for name in self.session.compare if task_of_name(name) in ("", CLASSES))
        return tuple(dict.fromkeys((*picked, *default_names(), *self._added)))

    def _members(self) -> tuple[Member, ...]:
        session, names = self.session, self._names()
        found = [Member(name, partial(self._open, name), literal(name)) for name in names]
        taken = {*names}
        for number, run in enumerate(session.runs):
            if hasattr(run, "model") and not reason_against(run.model):
                found.append(self._of_run(run, number, free_name(run.name, taken)))
        own = session.model
        if own is not None and not not_a_member(session) and session.model_source not in names \
                and run_behind(own, session.runs) is None:
            name = free_name(f"{session.model_name} (on the screen)", taken)
            found.append(Member(name, lambda: own))
        return tuple(found)

    def _of_run(self, run: Any, number: int, name: str) -> Member:
        from explorer.training.run.beside import copy_of_model

        over = getattr(run, "state", "finished") in ("finished", "failed")
        return Member(name, partial(copy_of_model, run), f"dash.session.runs[{number}].model" if over else "",
                      run)

    def _open(self, name: str) -> Any:
        """A model by its name, as it was published; opened once."""
        from explorer.models.create import create_model

        if name not in self.opened:
            session = self.session
            with session.lock:
                on_screen = session.model_source == name and session.labels is None \
                    and session.input_size is None
                model = session.model if on_screen else None
            self.opened[name] = model if model is not None else create_model(name, pretrained=True).eval()
        return self.opened[name]

    def _usual(self, member: Member) -> bool:
        """Whether a member is ticked before the reader says so: runs before others, since they know the same
        classes; else the picker's ticks, else what is on this computer.
        """
        learnt = sum(one.run is not None for one in self.offered) > 1
        if member.run is not None or learnt:
            return member.run is not None and learnt
        if member.name in self._added:
            return True
        return member.name in (self.session.compare or default_names())

    def _box(self, name: str) -> W.Checkbox:
        box = W.Checkbox(description=name, indent=False, layout=W.Layout(width="auto"))
        self.panel.when(box, partial(self._ticked, name, box))
        return box

    def _ticked(self, name: str, box: W.Checkbox) -> None:
        if not self._by_itself:
            self._ticks[name] = box.value
            self.changed()

    def _take(self) -> None:
        """Another model by name."""
        from explorer.widgets.checks import check_compared

        name = self.add.value.strip()
        if not name:
            return
        self.add.value = ""
        try:
            (name,) = check_compared([name])
            if task_of_name(name) not in ("", CLASSES):
                raise ValueError(f"{name} is for {task_of_name(name)}: the members here tell one class of "
                                 "several. In a cell, explorer.Ensemble([...]) joins such networks.")
        except (ValueError, t.TraitError) as error:
            self.say(str(error), wrong=True)
            return
        if name not in self._names():
            self._added = (*self._added, name)
        self._ticks[name] = True
        self.say("")
        self.changed()

    # --- photos ---

    def _source_chosen(self) -> None:
        self._source_touched = self._source_touched or not self._by_itself

    def why_not(self) -> str:
        """Why nobody can be asked now; "" where they can."""
        count = len(self.ticked)
        if count < 2:
            return "Tick one more: an ensemble takes two members."
        if count > MAX_COMPARED:
            return f"At most {MAX_COMPARED} members: untick one."
        return ""

    def photos(self) -> Photos:
        """The photos that are chosen; what opens them may raise ValueError with what to choose instead."""
        source, session = self.source.value, self.session
        if source == NONE:
            return Photos(None, {}, (), "no photos but the one on the screen")
        about = next(words for words, value in SOURCES if value == source)
        if source == BUNDLED:
            return Photos(labelled_photos, {}, ("from explorer.data.samples import labelled_photos",), about)
        runs = [member.run for member in self.ticked if member.run is not None]
        run = runs[-1] if runs else run_behind(session.model, session.runs) or session.run
        options: dict[str, Any] = {} if source == OWN or self.part.value == "val" else {"split": "all"}
        if run is not None and getattr(run.recipe, "seed", 0):
            options["seed"] = run.recipe.seed  # the photos that it held out, not others, which it learnt from
        first: tuple[str, ...] = ()
        if source == OWN and run is not None:
            first, about = (run_line(session.runs, run),), f"photos that {run.name} did not learn from"
        elif source == FOLDER:
            about = f"the photos in {self.folder.value.strip()}"
        find = partial(photos_of, run, source, self.folder.value, CHOICES[CLASSES])
        return Photos(find, options, first, about)


def labelled_photos() -> tuple[Any, str]:
    from explorer.data.samples import labelled_photos as found

    return found(), "labelled_photos()"


def free_name(name: str, taken: set[str]) -> str:
    """The name, with a number behind it where somebody else has it; taken from now on."""
    number, free = 2, name
    while free in taken:
        number, free = number + 1, f"{name} ({number})"
    taken.add(free)
    return free
