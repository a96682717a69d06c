"""Colours of a stage: the three directions in which the places of its map differ most, as red, green and blue."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import ipywidgets as W

from explorer.display.words import counted
from explorer.widgets.panels.inside.block import (
    SIDE,
    list_lines,
    picture,
    pictures,
    side_by_side,
    with_imports,
)
from explorer.widgets.panels.inside.together import StageButtons, Together
from explorer.widgets.panels.work import notes_html
from explorer.widgets.snippets import literal, setup_lines

if TYPE_CHECKING:
    from explorer.inspection.inside.components import PcaPicture
    from explorer.inspection.look.looking import Look

TOGETHER = 8          # photos with common colours, the one on the screen among them
FINE = 12             # places a side: enough to recognise things by
CHANNELS = ("red", "green", "blue")
SINGLE = "This model makes no map of more than one place, so there is nothing to compare."


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
