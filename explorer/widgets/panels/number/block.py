"""Below the maps: how the number in a cell is computed. One pass a layer; a step to another cell is none."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from weakref import ref

import ipywidgets as W

from explorer.display import draw
from explorer.display.words import sentence_of
from explorer.inspection.receptive.reads import Reads, reads_in
from explorer.widgets.jobs import Job, Line
from explorer.widgets.panels.number.telling import field_facts, map_facts, number_facts, reads_facts, said
from explorer.widgets.panels.work import busy_html, said_html
from explorer.widgets.parts.number_view import NumberView
from explorer.widgets.session import Session
from explorer.widgets.snippets import call, literal

if TYPE_CHECKING:
    from explorer.inspection.look.result import Look
    from explorer.inspection.number.behind import Origin
    from explorer.inspection.number.explained import ExplainedNumber
    from explorer.inspection.receptive.field import ReceptiveField
    from explorer.widgets.panels.base import Panel

OWN_SHAPE = ("How a number is computed is not told for a network that finds boxes or masks: it reads each "
             "photo in its own shape.")


@dataclass(frozen=True)
class Asked:
    """A cell of a map: of a stage, or of what a module gives."""

    module: str
    channel: int
    row: int
    column: int

    @property
    def words(self) -> str:
        return f"{self.module}, channel {self.channel}, row {self.row}, column {self.column}"


class NumberBlock(W.VBox):
    """The numbers of the panel's model and photo. Methods are called under the session's lock.

    shown: the number on the screen, or None
    field: the effective field on the screen, or None
    """

    def __init__(self, panel: Panel, session: Session):
        """panel: whose tab it stands in: it may not be made yet, and is told of what changes later"""
        self.panel, self.session = panel, session
        self.shown: ExplainedNumber | None = None
        self.field: ReceptiveField | None = None
        self.stage = ""                            # whose cell was clicked
        self._look: Look | None = None             # whose numbers are shown
        self._layers: tuple[str, ...] = ()         # of the stage
        self._way: list[Asked] = []                # which numbers the reader came from
        self._reads: dict[str, Reads | None] = {}  # what the cells of a map read, of this model
        self._model: ref | None = None             # which may go while the tab rests
        self._wanted: Asked | None = None          # asked for, and not there yet
        self._facts: dict[str, Any] = {}           # the map on the screen, as the page has it
        self.view, self.problem = NumberView(lock=session.lock), W.HTML()
        self.work = Line(session.jobs, failed=self._failed)  # passes, the newest alone
        self.stepping = Line(session.jobs, failed=self._failed)
        self.reader = Line(session.jobs)
        self.own_lines = [self.work, self.stepping, self.reader]
        super().__init__([self.problem, self.view], layout=self.problem.layout)
        self.view.layout.display = "none"
        self.view.on_ask(self._wished)

    def follow(self, look: Look | None, model: Any, stage: str) -> None:
        """Another photo: the same cell of it. Another model, or another stage in front: none."""
        if (None if self._model is None else self._model()) is not model:
            self._model = None if model is None else ref(model)
            self._reads.clear()
            self.shut()
        elif look is None or self.stage and stage != self.stage:
            self.shut()
        elif look is not self._look and (asked := self._wanted or self.asked) is not None:
            self._ask(asked)
        self._look = look

    def explain(self, stage: str, channel: int, row: int, column: int) -> None:
        """A cell was clicked in the maps."""
        look = self.session.look
        if look is None:
            return
        if look.finds_places:
            self._say(OWN_SHAPE)
            return
        self._look, self.stage, self._way = look, stage, []
        self._ask(Asked(stage, channel, row, column))

    def shut(self) -> None:
        for line in self.own_lines:
            line.drop()
        self.shown = self.field = self._wanted = None
        self.stage, self._way, self._layers = "", [], ()
        self.view.layout.display = "none"
        self.view.say_busy("")
        self.view.show({})
        self.view.heat({})
        self._say("")

    @property
    def _member(self) -> str:
        """What stands before the modules' names: of an ensemble the member whose stage was clicked."""
        return self.stage[:self.stage.rfind("/") + 1] if hasattr(self.session.model, "members") else ""

    @property
    def asked(self) -> Asked | None:
        """The cell on the screen."""
        number = self.shown
        return number and Asked(number.module, number.channel, number.row, number.column)

    # --- what the reader asks for -----------------------------------------------------------------------

    def _wished(self, kind: str, given: dict[str, int], keep: bool) -> None:
        self.panel.tell(self._do, kind, given, keep)

    def _do(self, kind: str, given: dict[str, int], keep: bool) -> None:
        number = self.shown
        if kind == "shut":
            self.shut()
            self.panel.changed()
        if number is None or kind == "shut":
            return
        if kind == "at":
            self._step(given["row"], given["column"], number.channel, keep)
        elif kind == "channel":
            self._step(number.row, number.column, given["channel"], False)
        elif kind == "layer" and given["place"] <= len(self._layers):
            self._go((self.stage, *self._layers)[given["place"]])
        elif kind == "behind":
            from explorer.inspection.number.behind import input_of

            self._go_to(input_of(number, given["term"], given["row"], given["column"]))
        elif kind == "branch" and given["step"] < len(number.steps):
            from explorer.inspection.number.behind import other_branch

            self._go_to(other_branch(number.steps[given["step"]], number.remembered.photo))
        elif kind == "back" and self._way:
            self._ask(self._way.pop())
        elif kind == "field" and self._wanted is None:  # else of a number that is on its way
            self._ask_field(number)

    def _step(self, row: int, column: int, channel: int, keep: bool) -> None:
        """Another cell of the same map: no pass."""
        number = self.shown
        kept = self.view.terms if keep else ()

        def compute(job: Job) -> Any:
            found = number.at(row, column, channel=channel)
            layer = map_facts(found) if found.channel != number.channel else None
            return found, number_facts(found, keep=kept), layer

        self.stepping.start(compute, self._stepped)

    def _stepped(self, found: tuple[ExplainedNumber, dict[str, Any], dict[str, Any] | None]) -> None:
        if self.shown is None or self._wanted is not None:
            return  # another map is on its way
        self.shown, facts, layer = found
        self._forget_field()
        if layer is not None:
            self._draw_layer(map=layer)
        self.view.show(facts)
        self._say("")
        self.panel.changed()

    def _go_to(self, where: Origin | None) -> None:
        """The number behind, where a module gave it, with what came before it to go back to."""
        if where is None or not where.module or self.asked is None:
            return
        self._way.append(self.asked)
        self._ask(Asked(f"{self._member}{where.module}", where.channel, where.row, where.column))

    def _go(self, module: str) -> None:
        """Another layer of the stage, at the same share of its map's height and width."""
        if self.asked is None or module == self.asked.module:
            return
        self._way.append(self.asked)
        self._ask(replace(self.asked, module=module), within=self.shown.remembered.sizes)

    # --- passes -----------------------------------------------------------------------------------------

    def _ask(self, asked: Asked, within: tuple[int, int, int] | None = None) -> None:
        """within: the sizes of the map that the cell was asked of, where the new one may have others."""
        model, image, stage, member = self.session.model, self.session.image, self.stage, self._member
        self._wanted = asked
        self.stepping.drop()
        self.view.say_busy(f"computing {asked.module}")
        if self.shown is None:  # the view is not there yet
            self.problem.value = busy_html(f"computing {asked.module}")

        def compute(job: Job) -> Any:
            from explorer.inspection.number.asking import explain_number

            first = asked if within is None else Asked(asked.module, 0, 0, 0)
            found = explain_number(model, image, first.module, channel=first.channel, row=first.row,
                                   column=first.column)
            if within is not None:
                sizes = found.remembered.sizes
                scaled = [min(size - 1, at * size // old) for at, size, old in
                          zip((asked.row, asked.column), sizes[1:], within[1:])]
                found = found.at(*scaled, channel=min(asked.channel, sizes[0] - 1))
            layers = self._layers
            if asked.module == stage:
                layers = tuple(f"{member}{layer}" for layer in found.remembered.layers)
            return found, number_facts(found), map_facts(found), layers

        self.work.start(compute, self._show)

    def _show(self, found: Any) -> None:
        self.shown, facts, layer, self._layers = found
        self._wanted = None
        self._forget_field()
        self.view.say_busy("")
        self.view.layout.display = ""
        self._draw_layer(map=layer)
        self.view.show(facts)
        self._say("")
        self.panel.changed()
        if self.shown.module not in self._reads:
            self._find_reads(self.shown.module)

    def _draw_layer(self, **changes: dict[str, Any]) -> None:
        """The map that the number is in, with what its cells read as far as that is known."""
        self._facts |= changes
        module, look = self.shown.module, self.session.look
        self.view.layer({**self._facts["map"], "layers": [self.stage, *self._layers],
                         **reads_facts(self._reads.get(module)),
                         "back": self._way[-1].words if self._way else "",
                         "photo": draw.jpeg_bytes(look.seen), "title": self.session.image_name})

    def _failed(self, error: BaseException) -> None:
        if self._wanted is not None and self._way and self._way[-1] == self.asked:
            self._way.pop()  # the reader is still there
        self._wanted = None
        self.view.say_busy("")
        self._say(sentence_of(error))
        self.panel.changed()

    def _say(self, text: str) -> None:
        self.problem.value = said_html(text)

    # --- what a cell is computed from --------------------------------------------------------------------

    def _find_reads(self, module: str) -> None:
        """What the cells of a map read, once for each of a model's maps."""
        model = self.session.model

        def compute(job: Job) -> Reads | None:
            from explorer.inspection.receptive.asking import receptive_field

            try:
                found = receptive_field(model, module, 0, 0, gates=False)
            except ValueError:
                return None  # a map without places
            return reads_in(found.fields, found.ungated)

        def show(reads: Reads | None) -> None:
            self._reads[module] = reads
            if self.shown is not None and self.shown.module == module:
                self._draw_layer()

        self.reader.start(compute, show)

    def _ask_field(self, number: ExplainedNumber) -> None:
        """The effective field of the cell on the screen; asked for again, it goes."""
        if self.field is not None:
            self._forget_field()
            self.panel.changed()
            return
        model, image = self.session.model, self.session.image
        self.view.say_busy("following the gradient to the photo")

        def compute(job: Job) -> ReceptiveField:
            from explorer.inspection.receptive.asking import receptive_field

            return receptive_field(model, number.module, number.row, number.column, effective=True,
                                   image=image, gates=False)

        def show(found: ReceptiveField) -> None:
            self.view.say_busy("")
            if self.shown is number:
                self.field = found
                self.view.heat(field_facts(found))
                self.panel.changed()

        self.work.start(compute, show)

    def _forget_field(self) -> None:
        self.field = None
        self.view.heat({})

    # --- to keep ----------------------------------------------------------------------------------------

    def lines(self) -> list[str]:
        """The lines that give the number on the screen; none while there is none."""
        number = self.shown
        if number is None:
            return []
        place = {"channel": number.channel, "row": number.row, "column": number.column}
        module = literal(number.module)
        found = [f"number = {call('explorer.explain_number', 'model', 'photo', module, options=place)}",
                 "number  # as a table; number.products: what each term adds"]
        if self.field is not None:
            options = {"effective": True, "gates": False}
            found.append(call("explorer.receptive_field", "model", module, str(number.row),
                              str(number.column), "image=photo", options=options))
        return found

    def caption(self) -> str:
        """What the figure shows of the number."""
        text = said(self.shown)
        return f"{text} {field_facts(self.field)['said']}" if self.field is not None else text

    def release(self) -> None:
        """Let go of what is large; the panel is closed."""
        self.shown = self.field = self._look = self._model = None
