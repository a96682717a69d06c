"""Colours of a stage: the three directions in which the places of its map differ most, as three colours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import ipywidgets as W

from explorer.display.words import counted
from explorer.widgets.gallery import NO_PHOTOS, Gallery
from explorer.widgets.panels.inside.block import SIDE, Host, picture, pictures, side_by_side, with_imports
from explorer.widgets.panels.inside.together import StageButtons, Together
from explorer.widgets.panels.photo_code import list_lines
from explorer.widgets.panels.work import notes_html
from explorer.widgets.snippets import literal

if TYPE_CHECKING:
    from explorer.inspection.inside.components import PcaPicture
    from explorer.inspection.look.result import Look

TOGETHER = 8          # photos with common colours, the one on the screen among them
FINE = 12             # places a side: enough to recognise things by
CHANNELS = ("red", "green", "blue")
SINGLE = "This model makes no map of more than one place, so there is nothing to compare."


@dataclass(frozen=True)
class Coloured:
    """One stage of the photo on the screen, and of others of the gallery behind it.

    pictures, seen: the colours of each photo, and what the network saw of it
    notes: of the look at the photo on the screen;  problems: why photos of the gallery are missing
    """

    pictures: tuple[PcaPicture, ...]
    seen: tuple[Any, ...]
    title: str
    stage: str
    notes: tuple[str, ...]
    others: Gallery = NO_PHOTOS
    problems: tuple[str, ...] = ()

    @property
    def titles(self) -> tuple[str, ...]:
        return (self.title, *(title for title, _ in self.others))

    @property
    def shares(self) -> list[tuple[str, str]]:
        """(colour, share of the variance that it stands for)."""
        first = self.pictures[0]
        return [(name, f"{100 * share:.1f} %") for name, share in zip(CHANNELS, first.explained)]

    def together(self, joint: str) -> str:
        """" over 4 photos together", with "over" as the joint; "" for the photo on the screen alone."""
        count = len(self.pictures)
        return f" {joint} {counted(count, 'photo')} together" if count > 1 else ""


class Colours(Together):
    name, menu = "colours", "Colours of a stage"
    words, tooltip = "With the gallery's photos", "Common colours: they mean the same in all photos"
    most = TOGETHER - 1
    about = "Places of like colour look alike to the model at this depth."

    def __init__(self, panel: Host):
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
        stage, title = self.stage.value, self.session.image_name
        key = (self.panel.turn, stage, self.together)
        if look is None or stage is None or self.wanted == key:
            return

        def compute(looks: list[Look], others: Gallery, problems: tuple[str, ...]) -> Coloured:
            from explorer.inspection.inside.components import pca_rgb_many

            seen = tuple(one.seen for one in looks)
            notes = tuple(look.notes)
            return Coloured(tuple(pca_rgb_many(looks, stage)), seen, title, stage, notes, others, problems)

        self.work_at(key, look, model, compute)

    def empty(self) -> None:
        self.view.value = self.facts.value = ""

    def show(self, found: Coloured) -> None:
        self.view.value = pictures(pairs(found))
        rest = 100 * (1 - sum(found.pictures[0].explained))
        sentence = (f"Share of the variance{found.together('over')} that each colour stands for; the other "
                    f"{rest:.1f} % cannot be seen here.")
        self.facts.value = "".join([notes_html(found.notes), f"<p>{sentence}</p>", shares_html(found),
                                    notes_html(found.problems)])

    def code(self) -> str:
        found, stage = self.shown, literal(self.shown.stage)
        if not found.others:
            return "\n".join([*self.ran.setup, f"explorer.pca_rgb(explorer.look(model, photo), {stage})"])
        lines = with_imports(self.ran.setup, "from explorer.inspection.inside.components import pca_rgb_many")
        looks = "[explorer.look(model, one) for one in photos]"
        return "\n".join([*lines, *list_lines(["photo"], found.others), f"pca_rgb_many({looks}, {stage})"])

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
        shares = ", ".join(map(" ".join, found.shares))
        what = f"First three principal components of {found.stage}{found.together('of')}"
        return f"{what}; share of the variance: {shares}."


def pairs(found: Coloured) -> list[str]:
    """Each photo as the network saw it, and its colours beside it."""
    parts, alone = [], len(found.pictures) == 1
    side = SIDE if alone else SIDE // 2
    for one, seen, title in zip(found.pictures, found.seen, found.titles):
        channels, (columns, rows) = one.components.shape[1], one.picture.size
        words = f"{rows} × {columns} places, {channels} channels" if alone else ""
        alt = f"{found.stage} of {title} in colours"
        parts.append('<div class="vx-inside-pair">' + picture(seen, title, side=side, format="JPEG")
                     + picture(one.picture, words, alt=alt, side=side, crisp=True) + "</div>")
    return parts


def shares_html(found: Coloured) -> str:
    """A bar for each colour, as long as its share of the variance."""
    bars = (f'<li><span>{name}</span><i class="vx-inside-{name}" style="width:{share.replace(" ", "")}"></i>'
            f"<b>{share}</b></li>" for name, share in found.shares)
    return f'<ul class="vx-inside-shares">{"".join(bars)}</ul>'
