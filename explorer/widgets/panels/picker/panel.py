"""The model picker: what is asked for, the list and the chart of what fits, the card of one model, and the
models to compare.
"""

from __future__ import annotations

import contextlib
import logging
from dataclasses import replace
from html import escape
from typing import Any

import ipywidgets as W

from explorer.models.card import ModelCard, model_card
from explorer.models.weights.packaged import names_here
from explorer.widgets import export
from explorer.widgets.panels.base import Panel
from explorer.widgets.panels.picker.actions import Actions
from explorer.widgets.panels.picker.asking import Asking
from explorer.widgets.panels.picker.finding import (
    SORTS,
    Filters,
    all_cards,
    find_cards,
    fitting_tags,
    meant_by,
    what_to_loosen,
)
from explorer.widgets.panels.picker.guide import GUIDE
from explorer.widgets.panels.picker.published import drawn_text, points
from explorer.widgets.panels.picker.trained import TrainedHere
from explorer.widgets.panels.picker.words import (
    COLUMN_TITLES,
    COLUMNS,
    COMPARED,
    MEASURED,
    comparison_row,
    count_line,
    filters_text,
    list_rows,
    listing_lines,
    model_line,
    tag_label,
)
from explorer.widgets.panels.work import notes_html
from explorer.widgets.parts.card import card_html
from explorer.widgets.parts.comparison import Comparison
from explorer.widgets.parts.model_chart import ModelChart
from explorer.widgets.parts.model_list import ModelList
from explorer.widgets.session import Session
from explorer.widgets.snippets import call, literal
from explorer.widgets.wishes import name_of_model

log = logging.getLogger(__name__)

MOST_TABLED = 30  # rows of the exported table


class PickerPanel(Panel):
    title = "Model"
    draw_on = ("model_name", "busy", "compare", "error", "beside", "runs")
    guide = GUIDE

    def __init__(self, session: Session):
        wide, lock = W.Layout(width="auto"), session.lock  # one for all: each is a widget of its own
        self._opened, self._marked, self._filling, self._entered = "", None, False, ""
        #: The model whose card is shown; it stays where nothing fits the filters.
        self.card_of = ""
        self.asking = Asking(lock, wide, self._filter)
        self.asking.search.on_enter(lambda text: self.tell(self._enter, text))
        self.sort = W.Dropdown(options=[*SORTS.items()], description="Sort by", layout=wide,
                               style=self.asking.family.style)
        self.models = ModelList(lock=lock, layout=wide)
        self.models.add_class("vx-grow")
        self.count = W.HTML(layout=wide)
        self.tag = W.Dropdown(description="Weights", layout=wide, style=self.sort.style)
        problem = W.HTML(layout=wide, style=self.count.style)
        self.actions = Actions(session, problem, done=lambda: self.unfold(False), shown=lambda: self.unfolded)
        self.card = W.HTML(layout=wide, style=self.count.style)
        self.chart = ModelChart(lock=lock, layout=wide)
        #: One line for the open model, which a dashboard puts on top: it opens this panel, and shuts it.
        self.opener = W.Button(description="Choose a model ▾", tooltip="Choose another model",
                               layout=wide, style=self.actions.open_random.style)
        self.opener.add_class("vx-model-line")
        self.comparison = Comparison(lock=lock, layout=wide)

        cards = all_cards()
        self.models.load(COLUMN_TITLES, list_rows(cards))
        self.chart.load(points(cards.values()))
        # one that opens without a network, until the session has a model: to know it, no library is imported
        self.models.value = next((name.partition(".")[0] for name in names_here()), None)
        pick = _column("vx-pick", [self.sort, self.models, self.count, self.tag, self.actions], wide)
        show, chart = _column("vx-show", [self.card], wide), _column("vx-published", [self.chart], wide)
        self.body = W.Box([self.asking, pick, chart, show])
        self.body.add_class("vx-picker-body")
        self.trained = TrainedHere(self.actions.open_own, wide)
        super().__init__(session, [self.trained, self.body, self.comparison])
        self.add_class("vx-picker")
        self.layout.display = "none"

        self.when(self.sort, self._filter)
        self.when(self.models, self._show_model)
        self.when(self.tag, self._show_card)
        self.models.on_open(lambda name: self.tell(self._open_row, name))
        self.chart.on_pick(lambda name: self.tell(self.select, name))
        self.opener.on_click(lambda _: self.tell(self._fold))
        self.comparison.on_remove(self.actions.toggle)
        self.comparison.on_pick(self.select)
        self._filter()

    # --- the list ---

    def _filter(self) -> None:
        """Show what fits: in the list, on the timeline, in the chart."""
        with self.session.lock:
            if self._filling:
                return
            filters, sort = self.asking.filters, self.sort.value
            found = find_cards(filters, sort=sort)
            names = [card.name for card in found]
            column = COLUMNS.index(sort) if sort in COLUMNS else 0
            with self._quietly():
                keep = self.models.value or self.card_of
                value = keep if keep in names else names[0] if names else None
                self.models.show(names, column=column, value=value)
            others = found if not filters.family else find_cards(replace(filters, family=""))
            self.asking.timeline.light({card.family.name for card in others})
            self.chart.light(names)
            self.chart.note = drawn_text(found, len(all_cards()))
            self._count()
            self._show_model()
            self.changed()

    def _count(self, more: str = "", *, entered: str = "") -> None:
        """entered: the search that a second Enter would answer"""
        self._entered, shown, second = entered, len(self.models.names), bool(self._second)
        self.count.value = count_line(shown, len(all_cards()), more, second=second) if shown else \
            f'<span role="status">{escape(what_to_loosen(self.asking.filters))}</span>'

    def _enter(self, text: str) -> None:
        """Enter in the search: open the model that it names, or the only one that fits; else ask first."""
        if not text.strip() or not self.models.names:
            return
        meant = meant_by(text)
        if meant:
            self.select(meant)
        if meant or len(self.models.names) == 1 or text == self._entered:
            self.actions.open_best()
            return
        self.models.value = self.models.names[0]
        self._count(f"Enter again opens {self.models.value}, the first of them.", entered=text)

    def select(self, name: str) -> None:
        """Show the card of a model, "resnet50" or "resnet50.a1_in1k", whatever the filters hide."""
        architecture, _, tag = name.partition(".")
        if architecture not in all_cards():
            return  # from another library: it has no card
        with self.session.lock:
            if architecture not in self.models.names:
                self.asking.ask_for_nothing()
            self.models.value = architecture
            if tag and name in {value for _, value in self.tag.options}:
                self.tag.value = name

    @property
    def unfolded(self) -> bool:
        return self.layout.display != "none"

    def unfold(self, shown: bool = True) -> None:
        """Show the models to choose from, or leave the page to the photo."""
        self.layout.display = "" if shown else "none"
        self._write_line()
        if shown:
            self._tell_list()

    def _fold(self) -> None:
        """The reader wants the models, or the photo again."""
        self.unfold(not self.unfolded)
        if self.unfolded:
            self.asking.search.focus()

    def _tell_list(self) -> None:
        here = [card.name for card in find_cards(Filters(here=True))]
        opened, second = (name.partition(".")[0] for name in (self.session.model_name, self._second))
        self.models.tell(here=here, opened=opened, second=second)

    @property
    def _second(self) -> str:
        beside = self.session.beside
        return beside if isinstance(beside, str) else name_of_model(beside)

    def _write_line(self) -> None:
        """The open model in one line: its name, its size, and how good its weights are as published."""
        self.opener.description = f"{model_line(self.session.model_name)} {'▴' if self.unfolded else '▾'}"
        self.opener.tooltip = "Back to the photo" if self.unfolded else "Choose another model"

    # --- the card ---

    @property
    def chosen(self) -> str:
        """The name whose card is shown: the architecture's,
        or that of a set of weights which is not its default.
        """
        card = all_cards().get(self.card_of)
        default = card is None or not card.tags or self.tag.value in (None, card.config.name)
        return self.card_of if default else self.tag.value

    def _show_model(self) -> None:
        """Another model, or other filters: its sets of weights, of which one that fits is chosen;
        and the card. Where nothing fits, the card stays as it is.
        """
        if self._filling or self.models.value is None:
            return
        self.card_of = self.models.value
        card = all_cards()[self.card_of]
        tags = fitting_tags(card, Filters())
        fitting = [tag.name for tag in fitting_tags(card, self.asking.filters) or tags]
        preferred = [self.tag.value, card.config.name, *fitting]
        with self._quietly():
            value = next((name for name in preferred if name in fitting), None)
            self.tag.options = [(tag_label(tag), tag.name) for tag in tags]
            self.tag.value = value
        self._show_card()

    @contextlib.contextmanager
    def _quietly(self):
        """Change several controls with one redrawing at the end, which the caller does;
        under the session's lock.
        """
        before, self._filling = self._filling, True
        try:
            yield
        finally:
            self._filling = before

    def _show_card(self) -> None:
        if self._filling or not self.card_of:
            return
        name, full = self.card_of, self.tag.value
        self.tag.disabled = len(self.tag.options) < 2
        self.tag.tooltip = next((text for text, value in self.tag.options if value == full), "")
        card: ModelCard | None = None
        try:
            card = model_card(full or name)
            self.card.value = card_html(replace(card, name=name))
        except Exception as error:  # a card is a convenience: the model can be opened without it
            log.warning("the card of %s could not be drawn", name, exc_info=error)
            why = f"{type(error).__name__}: {error}"
            self.card.value = notes_html([f"The card of {name} could not be drawn ({why}). "
                                          "The model can be opened all the same."])
        self.actions.about(full or name, listed=self.chosen, here=card is not None and card.here,
                           published=bool(full) if card is None else card.published)
        self.chart.chosen = name
        self.changed()

    def _open_row(self, name: str) -> None:
        """A row was double-clicked, or Enter pressed on it."""
        self.models.value = name
        self.actions.open_best()

    # --- following the session ---

    def draw(self) -> None:
        """A model opened from a cell is selected here too, and a download changes its card."""
        self._show_marks()
        self.actions.see_what_became()
        self.trained.draw(self)
        name = self.session.model_name
        if name == self._opened:
            return
        self._opened = name
        self._write_line()
        if self.unfolded:
            self._tell_list()
        if name.partition(".")[0] in self.models.names:
            self.select(name)
        self._show_card()

    def _show_marks(self) -> None:
        """The open model, the second one and those to compare, where any of them is another one."""
        marked = (self.session.model_name, self._second, self.session.compare)
        if marked == self._marked:
            return
        before, self._marked = self._marked or ("", "", None), marked
        opened, second, compared = marked
        kinds = dict.fromkeys(compared, "compared") | {second: "second"} | {opened: "open"}
        self.chart.mark({name.partition(".")[0]: kind for name, kind in kinds.items()})
        if compared != before[2]:
            self._show_comparison()
            self.actions.show_toggle()
        if second != before[1]:
            self._count()
            if self.unfolded:
                self._tell_list()

    def _show_comparison(self) -> None:
        try:
            rows = [comparison_row(name) for name in self.session.compare]
        except Exception as error:
            log.warning("the comparison could not be drawn", exc_info=error)
            rows = [[name, *[""] * (len(COMPARED) - 1)] for name in self.session.compare]
        self.comparison.show(COMPARED, rows)

    def forget(self) -> None:
        self.actions.forget()

    # --- code and figure ---

    def code(self) -> str:
        """The list as it is filtered and sorted, the card, and the models to compare."""
        imports, listed = listing_lines(self.asking.filters, self.sort.value)
        lines = ["import explorer", *imports]
        if self.card_of:
            lines.append("from explorer.models.card import model_card")
            lines += ["", f"card = {call('model_card', literal(self.tag.value or self.card_of))}"]
        else:
            lines.append("")
        if self.session.compare:
            lines.append(f"compared = {literal([*self.session.compare])}")
        return "\n".join([*lines, listed])

    def figure(self) -> Any:
        """The models to compare as a table, or the first of the list where none is ticked."""
        rows = [comparison_row(name) for name in self._tabled()]
        return export.table_figure(COMPARED, rows, title=self.heading(), right=(2, 3, 4)) if rows else None

    def _tabled(self) -> list[str]:
        return [*self.session.compare] or list(self.models.names[:MOST_TABLED])

    def heading(self) -> str:
        if self.session.compare:
            return "Models compared"
        shown, found = len(self._tabled()), len(self.models.names)
        return f"Models: the first {shown} of {found}" if shown < found else f"Models: {found}"

    def caption(self) -> str:
        order = next(text for text, key in SORTS.items() if key == self.sort.value)
        listed = [f"Filters: {filters_text(self.asking.filters)}", f"Sorted by {order}"]
        parts = [*([] if self.session.compare else listed), MEASURED]
        return ". ".join(parts) + "."


def _column(name: str, children: list[W.Widget], layout: W.Layout) -> W.VBox:
    column = W.VBox(children, layout=layout)
    column.add_class(name)
    return column
