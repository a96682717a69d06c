"""Attention of a transformer: every head of one block, for the class token or a patch;
and how like its positions are.
"""

from __future__ import annotations

import math
from html import escape
from typing import TYPE_CHECKING, Any

import ipywidgets as W

from explorer.display.words import counted
from explorer.widgets.panels.base import labelled
from explorer.widgets.panels.inside.block import (
    Block,
    Host,
    button,
    column,
    picture,
    pictures,
    row,
    with_imports,
)
from explorer.widgets.panels.work import notes_html
from explorer.widgets.parts.photo_overlay import PhotoOverlay
from explorer.widgets.snippets import call, literal

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor

    from explorer.inspection.look.result import Look
    from explorer.models.attention import AttentionMap

HEAD = 116     # pixels of one head's picture
CELL = 12      # pixels of a place in an exported picture
MEAN, ALL = "the mean of all heads", -1


class Attention(Block):
    name, menu = "attention", "Attention"
    about = ("From which places each head of a transformer takes what it mixes. "
             "It is the same for every class.")

    def __init__(self, panel: Host):
        super().__init__(panel)
        self.block = labelled("Block", W.IntSlider, min=0, max=0, continuous_update=False,
                              layout=W.Layout(width="min(300px, 100%)"))
        self.place = labelled("Asked for", W.Text, continuous_update=False,
                              placeholder="the class token; or row, column",
                              layout=W.Layout(width="min(270px, 100%)"))
        self.token = button("Class token", tooltip="Lets the picked patch go")
        self.head = labelled("Over the photo", W.Dropdown, options=[(MEAN, ALL)],
                             layout=W.Layout(width="min(290px, 100%)"))
        self.grid = PhotoOverlay(label="The photo in patches", alpha=0.6, side=336, lock=self.session.lock)
        self.facts, self.heads, self.positions = W.HTML(), W.HTML(), W.HTML()
        self.maps: dict[str, AttentionMap] = {}
        self.model: Any = None              # that they are of
        self.number = 0                     # of the block that is drawn
        self.found: Tensor | None = None    # what is drawn, [heads, rows, columns]
        self.query: tuple[int, int] | None = None
        self._filling = False
        self._drawn: tuple | None = None    # the photo and grid that the page has
        self.controls = row(self.block, self.place, self.token)
        self.pair = row(column(self.grid, self.head), column(self.facts, self.heads, self.positions),
                        name="vx-inside-row")
        self.children = [self.controls, self.problem, self.pair]
        for control in (self.block, self.place):
            control.observe(self._changed, "value")
        self.head.observe(self._lay, "value")
        self.token.on_click(lambda _: setattr(self.place, "value", ""))
        self.grid.on_place(self._picked)
        self.empty()

    def follow(self, look: Look, model: Any) -> None:
        if self.wanted == self.panel.turn:
            return
        self.model = model

        def step(job):
            from explorer.inspection.attribution.rollout import read_attention

            return read_attention(model, look.input)

        self.panel.ask(self, self.panel.turn, step)

    def empty(self) -> None:
        self.maps, self.found, self.query, self._drawn = {}, None, None, None
        self.grid.clear()
        self.facts.value = self.heads.value = self.positions.value = ""
        for part in (self.controls, self.pair):
            part.layout.display = "none"

    def show(self, found: dict[str, AttentionMap]) -> None:
        self.maps = found
        for part in (self.controls, self.pair):
            part.layout.display = ""
        self._filling = True
        try:
            at_end = self.block.value == self.block.max
            self.block.max = len(found) - 1
            if at_end:
                self.block.value = self.block.max
        finally:
            self._filling = False
        self._draw()

    # --- what the reader asks for -----------------------------------------------------------------------

    def _changed(self, _change: Any = None) -> None:
        if not self._filling:
            with self.session.lock:
                self._draw()
                self.panel.changed()

    def _picked(self, place: tuple[int, ...]) -> None:
        self.place.value = ", ".join(map(str, place))

    def _lay(self, _change: Any = None) -> None:
        with self.session.lock:
            if self.found is not None and self.shown is not None and not self._filling:
                head = self.head.value
                chosen = self.found.mean(0) if head == ALL else self.found[head]
                self.grid.heat(chosen.numpy(), colormap="viridis", own_range=True)

    def _draw(self) -> None:
        """All heads of the chosen block from the maps that are there: no pass."""
        from explorer.inspection.attribution.rollout import attention_of

        look = self.session.look
        if self.shown is None or look is None:
            return
        self.number = self.block.value
        layer = list(self.maps.values())[self.number]
        every_place_asks = layer.weights.shape[-2] == layer.weights.shape[-1]
        spread = layer.windows == 1 and layer.grid is not None and every_place_asks
        self.found, self.query = None, None
        try:
            self.query = place_of(self.place.value) if spread else None
            import torch

            heads = layer.weights.shape[1]
            asked = {"block": self.number, "query": self.query}
            self.found = torch.stack([attention_of(self.maps, head=head, **asked) for head in range(heads)])
        except (ValueError, IndexError) as error:
            self.complain(str(error))
            self.heads.value = self.facts.value = self.positions.value = ""
            self._show_grid(look, layer.grid if spread else (0, 0), spread)
            return
        self.complain("")
        self._show_grid(look, tuple(self.found.shape[1:]), spread)
        self._filling = True
        try:
            chosen = self.head.value if self.head.value < heads else ALL
            self.head.options = [(MEAN, ALL), *((f"head {number}", number) for number in range(heads))]
            self.head.value = chosen
        finally:
            self._filling = False
        self._lay()
        self.facts.value = notes_html(look.notes) + facts_html(
            layer, self.number, len(self.maps), self.found, self.query, asker(layer, self.model))
        self.heads.value = pictures(
            picture(small_map(one), f"head {number}: up to {share(float(one.max()))}", side=HEAD, crisp=True)
            for number, one in enumerate(self.found))
        self.positions.value = self._positions_html()

    def _show_grid(self, look: Look, grid: tuple[int, int], spread: bool) -> None:
        """The photo with its patches, sent only where it is another one; the picked patch."""
        wanted = (self.panel.turn, grid)
        if self._drawn != wanted:
            seen = in_patches(look.seen, grid, self.model)
            self.grid.show(seen, grid=grid, label=f"{self.session.image_name} in patches")
            self._drawn = wanted
        self.grid.heat(None)
        self.grid.picks = spread
        self.grid.place = self.query or ()
        self.place.disabled = self.token.disabled = not spread

    # --- positions --------------------------------------------------------------------------------------

    def _position_place(self) -> tuple[int, tuple[int, int]] | None:
        """(number of the asked place, grid) where the network learnt a vector for every place; else None."""
        layer = next(iter(self.maps.values()))
        learnt = getattr(self.model, "pos_embed", None)
        if layer.windows > 1 or layer.grid is None or not hasattr(learnt, "detach") or learnt.ndim != 3:
            return None
        rows, columns = layer.grid
        if learnt.shape[1] not in (rows * columns, rows * columns + layer.prefix):
            return None
        row, column = self.query or (rows // 2, columns // 2)
        return (row * columns + column, (rows, columns)) if row < rows and column < columns else None

    def position_similarity(self) -> Tensor | None:
        """Cosine similarity of the asked place's position
        embedding (or the middle one's) with all, [rows, columns].
        """
        at = self._position_place()
        if at is None:
            return None
        import torch

        index, (rows, columns) = at
        places = self.model.pos_embed.detach()[0, -rows * columns:].float().cpu()
        return torch.nn.functional.cosine_similarity(places[index], places, dim=-1).view(rows, columns)

    def _positions_html(self) -> str:
        alike = self.position_similarity()
        if alike is None:
            return ""
        row, column = divmod(self._position_place()[0], alike.shape[1])
        lowest = f"{float(alike.min()):.2f}".replace("-", "−")
        words = "place asked for" if self.query else "place in the middle"
        drawn = picture(small_map(alike), alt="Similarity of position embeddings", side=HEAD, crisp=True)
        return ("<p><b>Learnt positions.</b> How like the position embedding of the "
                f"{words} (row {row}, column {column}) is to every other: from {lowest} to 1, "
                f"cosine similarity.</p>{pictures([drawn])}")

    # --- to keep ----------------------------------------------------------------------------------------

    def code(self) -> str:
        if self.found is None:
            return ""
        options = {"block": self.number} | ({"query": self.query} if self.query else {})
        heads = call("attention_of", "maps", "head=head", options=options)
        imports = ["from explorer.inspection.attribution.rollout import attention_of, read_attention"]
        lines = [*self.ran.setup,
                 "maps = read_attention(model, explorer.look(model, photo).input)  # one pass"]
        at = self._position_place()
        if at is not None:
            index, (rows, columns) = at
            imports.append("import torch")
            alike = f"torch.nn.functional.cosine_similarity(places[{index}], places, dim=-1)"
            lines += [f"places = model.pos_embed.detach()[0, -{rows * columns}:]",
                      f"positions = {alike}.view({rows}, {columns})"]
        return "\n".join([*with_imports(lines, *imports), f"[{heads} for head in range({len(self.found)})]"])

    def figure(self) -> Any:
        from explorer.display import draw

        if self.found is None:
            return None
        side = max(self.found.shape[1:])
        return draw.mosaic(self.found, cell=max(CELL, HEAD // side) * side, gap=4)

    def heading(self) -> str:
        return f"Attention of block {self.number}"

    def caption(self) -> str:
        if self.found is None:
            return ""
        layer = list(self.maps.values())[self.number]
        asked = f"place {literal(self.query)}" if self.query else asker(layer, self.model)
        heads = f"All {len(self.found)} heads of {layer.path}, in rows, for {asked}"
        return f"{heads}; each from its own lowest to its own highest value."

    def release(self) -> None:
        super().release()
        self.maps, self.model, self.found = {}, None, None


# --- plain functions ------------------------------------------------------------------------------------


def in_patches(seen: Image.Image, grid: tuple[int, int], model: Any) -> Image.Image:
    """What its patches cover of what the network saw: 480 pixels hold 34 patches of 14, and a rest of 4."""
    from explorer.inspection.look.frame import covered, covered_box

    width, height = seen.size
    covers = covered(grid, (height, width), sorted({stage.reduction for stage in model.stage_table}))
    return seen.crop(tuple(map(round, covered_box((0, 0, width, height), covers))))


def place_of(text: str) -> tuple[int, int] | None:
    """"3, 5" as (row, column); None for nothing. Raises ValueError for anything else."""
    text = text.strip().strip("()")
    if not text:
        return None
    parts = text.replace(",", " ").split()
    if len(parts) != 2 or not all(part.isdecimal() for part in parts):
        raise ValueError(f"The place is {text!r}: expected a row and a column from 0, such as 3, 5, "
                         "or nothing for the class token.")
    return int(parts[0]), int(parts[1])


def share(value: float) -> str:
    return f"{100 * value:.3g}\N{NO-BREAK SPACE}%" if math.isfinite(value) else "not finite"


def small_map(values: Tensor) -> Any:
    """A map as a picture of one pixel a place, from its lowest to its highest value."""
    from explorer.display import draw

    return draw.mosaic(values[None], gap=0)


def asker(layer: AttentionMap, model: Any) -> str:
    """Whose attention is shown where no place was picked."""
    if layer.windows > 1:
        return "the windows"
    if not layer.prefix:
        return "the mean over all places (there is no class token)"
    has_one = getattr(model, "has_class_token", True)
    return "the class token" if has_one else "the first register (there is no class token)"


def facts_html(layer: AttentionMap, number: int, count: int, found: Tensor, query: tuple[int, int] | None,
               otherwise: str) -> str:
    """One block in words. otherwise: who asks where no place was picked."""
    heads, rows, columns = found.shape
    text = (f"<b>{escape(layer.path)}</b>, block {number} of 0 to {count - 1}: {counted(heads, 'head')}, "
            f"{rows} × {columns} places. ")
    if layer.windows > 1:
        text += f"Attention stays in {layer.windows} windows; shown is the mean that each place's own window "
        return f"<p>{text}takes from it, so no single place can be asked.</p>"
    taken = float(found.sum((1, 2)).mean())
    who = f"the patch at row {query[0]}, column {query[1]}" if query else otherwise
    text += f"Shown is what {who} takes from each place"
    if layer.prefix and math.isfinite(taken):
        text += f"; together {share(taken)}, the rest from {counted(layer.prefix, 'token')} without a place"
    return f"<p>{text}.</p>"
