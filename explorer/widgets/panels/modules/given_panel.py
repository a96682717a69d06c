"""What one module gives for the photo: its maps, tokens or numbers."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from html import escape
from typing import TYPE_CHECKING, Any

import ipywidgets as W

from explorer.display.words import counted, sentence_of
from explorer.inspection.graph.nodes import INPUT, OUTPUT, Node
from explorer.widgets.jobs import Job
from explorer.widgets.panels.base import Panel
from explorer.widgets.panels.modules.guide import GIVEN
from explorer.widgets.panels.modules.small_maps import Drawable, drawable, has_places
from explorer.widgets.panels.ran import Ran, ran_on
from explorer.widgets.panels.work import Work
from explorer.widgets.parts.mosaic import FeatureMosaic
from explorer.widgets.session import Session
from explorer.widgets.snippets import call, literal

if TYPE_CHECKING:
    from explorer.inspection.graph.result import Graph
    from explorer.inspection.look.result import Look

STRONGEST = 40  # channels that are shown at first
ROOM = 260      # pixels that their pictures are high together: what is below stays in sight
ASK = "Click a module in the graph or in the tree: what it gives for this photo appears here."
UNEXPECTED = "What this module gives could not be shown ({problem})."


@dataclass(frozen=True)
class Given:
    """What a module gave. seen: the look that kept it;  shown: it as maps;  ran: what it was asked of"""

    path: str
    seen: Look
    shown: Drawable
    ran: Ran


class GivenPanel(Panel):
    title = "What it gives"
    rests = True
    draw_on = ("look",)
    guide = GIVEN
    nothing_yet = "Nothing is shown here yet: select a module first."

    def __init__(self, session: Session):
        self.path, self.node = "", None
        self.wiring: Graph | None = None
        self.given: Given | None = None
        self._asked: tuple | None = None  # the look and the path that were asked for last
        super().__init__(session)
        self.add_class("vx-given")

    def make(self) -> None:
        self.about = W.HTML()
        self.mosaic = FeatureMosaic(sort="strength", room=ROOM)
        self.work = self.line(Work, long=False, sentence=partial(sentence_of, unexpected=UNEXPECTED))
        self.every = W.Checkbox(description="all channels", value=False, indent=False,
                                layout=W.Layout(width="auto"))
        self.fill([self.about, self.work.progress, self.work.message, self.every, self.mosaic])
        self.on_choice(self.every)
        self.mosaic.observe(lambda _: self.changed(), ["sort", "scale", "colormap", "selected"])

    def choose(self, path: str, wiring: Graph | None, node: Node | None) -> None:
        """Another module is selected; "" for none.

        wiring: the network's graph, None while there is none
        node:   what it knows of the module, folded perhaps
        """
        with self.session.lock:
            self.path, self.wiring, self.node = path, wiring, node
            self._redraw()

    def draw(self) -> None:
        look, path = self.session.look, self.path
        refused = ASK if not path else "Choose a photo first." if look is None else self._refusal()
        if refused:
            self.work.drop()
            self.given = self._asked = None
            self._say(refused)
        elif self._asked is None or self._asked[0] is not look or self._asked[1] != path:
            self._asked = look, path
            self.work.say("")
            places = self.wiring is None or has_places(self.wiring.input_shape[-2:], self.node)
            self.work.start(partial(_look_at, look, self.session.model, path, ran_on(self.session), places),
                            self._show, doing=f"Looking at what {path.removeprefix('/')} gives")
        elif self.given is not None:
            self._show_maps()

    def _refusal(self) -> str:
        """Why there is nothing to show of the selected node; "" where there is."""
        node = self.node
        if self.wiring is None or self.path == INPUT:
            return ""
        if node is None:
            return (f"{escape(self.path)} is not called in this pass: either it only holds others, which are "
                    "called one by one, or this network does without it. Select a module in it.")
        if self.path == OUTPUT:
            return "These are the answers of the network: they stand above, beside the photo."
        if node.operation:
            return (f"{escape(node.name)} is an operation between modules, and has no name of its own to "
                    "look at: select what it reads, or what reads it.")
        if not isinstance(node.shape, tuple):
            given = escape(node.shape_text) or "no tensor"
            return (f"{escape(self.path)} gives {given}, and no single tensor: open it, and select a module "
                    "in it.")
        return ""

    def _say(self, text: str) -> None:
        self.about.value = f'<span class="vx-soft">{text}</span>'
        self.every.layout.display = self.mosaic.layout.display = "none"

    def _show(self, given: Given) -> None:
        self.given = given
        self._show_maps()
        self.changed()

    def _show_maps(self) -> None:
        from explorer.display.draw import strongest

        maps, node = self.given.shown.maps, self.node
        words = [self.given.shown.words]
        if node is not None and isinstance(node.shape, tuple) and node.shape[:1] not in ((1,), ()) \
                and not node.operation:
            words.append(f"It is given the photo in {node.shape[0]} pieces: this is the first.")
        if node is not None and node.times > 1:
            words.append(f"The first of the {node.times} that are folded into this box.")
        few = len(maps) <= STRONGEST
        shown = strongest(maps, None if few or self.every.value else STRONGEST)
        self._say(" ".join(filter(None, words)))
        self.every.layout.display = "none" if few else ""
        self.every.description = f"all {len(maps):,} channels"
        self.mosaic.layout.display = ""
        title = self.given.path.removeprefix("/")
        self.mosaic.show(maps[shown], title=title, total=len(maps), channels=shown)

    # --- code and figure ------------------------------------------------------------------------------

    def code(self) -> str:
        given = self.given
        if given is None:
            return ""
        if given.path == INPUT:
            return "\n".join([*given.ran.setup, "explorer.look(model, photo).input"])
        at = call("explorer.look", "model", "photo", options={"at": [given.path]})
        kept = f"seen.modules[{literal(given.path)}]"
        lines = [*given.ran.setup, f"seen = {at}"]
        if given.seen.modules[given.path].ndim != 3:
            return "\n".join([*lines, kept])
        drawn = call("seen.mosaic", literal(given.path), options=self._options())
        return "\n".join([*lines, f"{kept}.shape", drawn])

    def _options(self) -> dict[str, Any]:
        view = self.mosaic
        options = {"sort": view.sort, "scale": view.scale, "colormap": view.colormap}
        part = view.shown_channels < len(self.given.shown.maps)
        return options | ({"limit": view.shown_channels} if part else {})

    def figure(self) -> Any:
        from explorer.display.draw import mosaic

        if self.given is None:
            return None
        height, width = self.given.shown.maps.shape[1:]
        side, count = max(height, width), max(1, self.mosaic.shown_channels)
        cell = side * max(1, round(1000 / (count ** 0.5 * side)))
        return mosaic(self.given.shown.maps, cell=cell, **self._options())

    def heading(self) -> str:
        return f"{self.given.path.removeprefix('/')}: {self.given.ran.model_name}" if self.given else \
            super().heading()

    def caption(self) -> str:
        if self.given is None:
            return super().caption()
        note = self.mosaic.note
        parts = (self.given.ran.about, self.given.shown.words, f"{note[:1].upper()}{note[1:]}.")
        return " ".join(filter(None, parts))

    def forget(self) -> None:
        self.given = self._asked = self.node = self.wiring = None


def _look_at(look: Look, model: Any, path: str, ran: Ran, places: bool, _job: Job) -> Given:
    if path == INPUT:
        count = len(look.input)
        channels = {1: "grey", 3: "red, green and blue"}.get(count, counted(count, "channel"))
        said = f"What the network reads: {channels}, normalised."
        return Given(path, look, Drawable(look.input.numpy(), said), ran)
    from explorer.inspection.look.looking import look as look_at

    seen = look_at(model, look.image, at=[path])
    return Given(path, seen, drawable(seen.modules[path], places=places), ran)
