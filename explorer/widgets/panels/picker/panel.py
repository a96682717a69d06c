"""The model picker: the families by year, filters,
the list, the card of one model, and the models to compare.
"""

from __future__ import annotations

import contextlib
import logging
from dataclasses import replace
from html import escape
from typing import Any

import ipywidgets as W
import traitlets as t

from explorer.models.card import model_card
from explorer.models.catalog import FAMILIES
from explorer.models.weights.packaged import names_here
from explorer.widgets import export
from explorer.widgets.checks import MAX_COMPARED
from explorer.widgets.panels.base import Panel
from explorer.widgets.panels.picker.finding import (
    LICENCES,
    SIZES,
    SORTS,
    Filters,
    all_cards,
    find_cards,
    fitting_tags,
    what_to_loosen,
)
from explorer.widgets.panels.picker.guide import GUIDE
from explorer.widgets.panels.picker.trained import TrainedHere
from explorer.widgets.panels.picker.words import (
    COLUMN_TITLES,
    COLUMNS,
    COMPARED,
    MEASURED,
    comparison_row,
    filters_text,
    list_rows,
    listing_lines,
    model_line,
    tag_label,
)
from explorer.widgets.panels.work import notes_html, said_html
from explorer.widgets.parts.card import card_html
from explorer.widgets.parts.comparison import Comparison
from explorer.widgets.parts.model_list import ModelList
from explorer.widgets.parts.timeline import FamilyTimeline
from explorer.widgets.session import Session
from explorer.widgets.snippets import call, literal

log = logging.getLogger(__name__)

MOST_TABLED = 30  # rows of the exported table


class PickerPanel(Panel):
    title = "Model"
    draw_on = ("model_name", "busy", "compare", "error", "runs")
    guide = GUIDE

    def __init__(self, session: Session):
        # One layout and one style for many controls: each would be a widget of its own, and cost as much.
        wide, auto = W.Layout(width="auto"), W.Layout(width="auto")
        aligned = {"description_width": "54px"}
        self.sort = W.Dropdown(options=[*SORTS.items()], description="Sort by", layout=wide, style=aligned)

        def menu(label: str, options) -> W.Dropdown:
            return W.Dropdown(options=options, description=label, layout=wide, style=self.sort.style)

        self.search = W.Text(placeholder="resnet, *lite*, vit_*_224 …", description="Search", layout=wide,
                             continuous_update=True, style=aligned)
        self.timeline = FamilyTimeline(lock=session.lock, layout=wide)
        by_year = sorted(FAMILIES.values(), key=lambda f: (f.year, f.title))
        families = ((f"{f.title} ({f.year})", f.name) for f in by_year)
        tasks = sorted({f.task for f in by_year})
        licences = ((text, key) for key, text in LICENCES.items())
        self.family = menu("Family", [("all families", ""), *families])
        self.task = menu("Task", [("any task", ""), *zip(tasks, tasks)])
        self.size = menu("Size", [("any number of parameters", ""), *((size, size) for size in SIZES)])
        self.licence = menu("Licence", [("any licence", ""), *licences])
        self.here = W.Checkbox(value=False, description="weights on this computer", indent=False, layout=auto)
        self.clear = W.Button(description="Clear filters", layout=auto)
        self.models = ModelList(lock=session.lock, layout=wide)
        self.count = W.HTML(layout=wide)
        self.card = W.HTML(layout=wide, style=self.count.style)
        self.tag = menu("Weights", [])
        self.open_trained = W.Button(button_style="primary", layout=auto)
        style = self.open_trained.style
        self.open_random, self.compare = (W.Button(style=style, layout=auto) for _ in range(2))
        self.put_beside = W.Button(description="Put beside the first", style=style, layout=auto,
                                   tooltip="A second model, with trained weights: both follow every photo")
        #: One line for the open model, which a dashboard puts on top: it opens this panel, and shuts it.
        self.opener = W.Button(description="Choose a model ▾", tooltip="Choose another model", style=style,
                             layout=auto)
        self.opener.add_class("vx-model-line")
        self.comparison = Comparison(lock=session.lock, layout=wide)

        self._opened, self._compared, self._filling = "", None, False
        self._asked, self._before = False, None  # a model was asked for here, in place of that one
        self.problem = W.HTML(layout=wide, style=self.count.style)  # why it could not be opened
        cards = all_cards()
        self.timeline.show((f.name, f.title, f.year, f.tagline, len(f.names)) for f in by_year)
        self.models.load(COLUMN_TITLES, list_rows(cards))
        # one that opens without a network, until the session has a model: to know it, no library is imported
        self.models.value = next((name.partition(".")[0] for name in names_here()), None)

        menus = _box(W.Box, "vx-filters", [self.family, self.task, self.size, self.licence])
        find = _box(W.VBox, "vx-find", [self.search, self.timeline, menus,
                                        _box(W.Box, "vx-line", [self.here, self.clear])])
        pick = _box(W.VBox, "vx-pick", [self.sort, self.models, self.count, self.tag, _box(W.Box, "vx-line", [
            self.open_trained, self.open_random, self.put_beside, self.compare]), self.problem])
        show = _box(W.VBox, "vx-show", [self.card])
        self.models.add_class("vx-grow")
        for button in (self.open_trained, self.open_random, self.put_beside, self.compare, self.clear):
            button.add_class("vx-open")
        self.body = W.Box([find, pick, show])
        self.body.add_class("vx-picker-body")
        self.trained = TrainedHere(self._open_own, auto)
        super().__init__(session, [self.trained, self.body, self.comparison])
        self.add_class("vx-picker")
        self.layout.display = "none"

        for control in (self.search, self.family, self.task, self.size, self.licence, self.here, self.sort):
            control.observe(self._filter, "value")
        t.link((self.timeline, "selected"), (self.family, "value"))
        self.models.observe(self._show_model, "value")
        self.models.on_open(lambda name: self.tell(self._open_row, name))
        self.tag.observe(self._show_card, "value")
        self.clear.on_click(lambda _: self._clear())
        self.open_trained.on_click(lambda _: self._open(pretrained=True))
        self.open_random.on_click(lambda _: self._open(pretrained=False))
        self.opener.on_click(lambda _: self.tell(self.unfold, self.layout.display == "none"))
        self.put_beside.on_click(lambda _: self.tell(self._put_beside))
        self.compare.on_click(lambda _: self._toggle(self.chosen))
        self.comparison.on_remove(self._toggle)
        self.comparison.on_pick(self.select)
        self._filter()

    # --- filters and list ---

    @property
    def filters(self) -> Filters:
        """What the controls ask for."""
        return Filters(search=self.search.value, family=self.family.value, task=self.task.value,
                       size=self.size.value, licence=self.licence.value, here=self.here.value)

    def _filter(self, _change=None) -> None:
        with self.session.lock:
            if self._filling:
                return
            filters, sort = self.filters, self.sort.value
            found = find_cards(filters, sort=sort)
            names = [card.name for card in found]
            keep = self.models.value
            column = COLUMNS.index(sort) if sort in COLUMNS else 0
            value = keep if keep in names else names[0] if names else None
            with self._quietly():
                self.models.show(names, column=column, value=value)
            others = found if not filters.family else find_cards(replace(filters, family=""))
            self.timeline.light({card.family.name for card in others})
            total = len(all_cards())
            self.count.value = (
                f'<span class="vx-soft" role="status">{len(found)} of {total} models</span>' if found else
                f'<span role="status">{escape(what_to_loosen(filters))}</span>'
            )
            self.clear.disabled = not filters.active()
            self._show_model()
            self.changed()

    def _clear(self) -> None:
        """Ask for nothing; one new list, not one for each control."""
        with self.session.lock:
            with self._quietly():
                for control in (self.search, self.family, self.task, self.size, self.licence):
                    control.value = ""
                self.here.value = False
            self._filter()

    def select(self, name: str) -> None:
        """Show the card of a model, "resnet50" or "resnet50.a1_in1k", whatever the filters hide."""
        architecture, _, tag = name.partition(".")
        if architecture not in all_cards():
            return  # from another library: it has no card
        with self.session.lock:
            if architecture not in self.models.names:
                self._clear()
            self.models.value = architecture
            if tag and name in {value for _, value in self.tag.options}:
                self.tag.value = name

    def unfold(self, shown: bool = True) -> None:
        """Show the models to choose from, or leave the page to the photo."""
        self.layout.display = "" if shown else "none"
        self._write_line()
        if shown:
            self._tell_list()

    def _tell_list(self) -> None:
        here = [card.name for card in find_cards(Filters(here=True))]
        self.models.tell(here=here, opened=self.session.model_name.partition(".")[0])

    def _write_line(self) -> None:
        """The open model in one line: its name, its size, and how good its weights are as published."""
        shown = self.layout.display != "none"
        self.opener.description = f"{model_line(self.session.model_name)} {'▴' if shown else '▾'}"
        self.opener.tooltip = "Back to the photo" if shown else "Choose another model"

    # --- the card ---

    @property
    def chosen(self) -> str:
        """The name whose card is shown: the architecture's,
        or that of a set of weights which is not its default.
        """
        name = self.models.value or ""
        card = all_cards().get(name)
        default = card is None or not card.tags or self.tag.value in (None, card.config.name)
        return name if default else self.tag.value

    def _show_model(self, _change=None) -> None:
        """Another model, or other filters: its sets of weights, of which one that fits is chosen;
        and the card.
        """
        with self.session.lock:
            if self._filling:
                return
            card = all_cards().get(self.models.value or "")
            tags = fitting_tags(card, Filters()) if card else ()
            fitting = [tag.name for tag in (fitting_tags(card, self.filters) if card else ()) or tags]
            preferred = [self.tag.value, card.config.name if card else None, *fitting]
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

    def _show_card(self, _change=None) -> None:
        with self.session.lock:
            if self._filling:
                return
            name, full = self.models.value, self.tag.value
            for button in (self.open_trained, self.open_random, self.put_beside, self.compare):
                button.disabled = name is None
            self.tag.disabled = len(self.tag.options) < 2
            published = here = False
            if name is None:
                self.card.value = ""
            else:
                try:
                    card = model_card(full or name)
                    published, here = card.published, card.here
                    self.card.value = card_html(replace(card, name=name))
                except Exception as error:  # a card is a convenience: the model can be opened without it
                    log.warning("the card of %s could not be drawn", name, exc_info=error)
                    published = bool(full)
                    why = f"{type(error).__name__}: {error}"
                    self.card.value = notes_html([f"The card of {name} could not be drawn ({why}). "
                                                  "The model can be opened all the same."])
            self.open_trained.disabled = self.put_beside.disabled = not published
            self.open_trained.description = (
                "Open" if name is None else "No trained weights are published" if not published else
                "Open with trained weights" if here else "Download trained weights and open"
            )
            self.open_random.description = "Open with random weights"
            self._show_toggle()
            self.changed()

    def _open_row(self, name: str) -> None:
        """A row was double-clicked, or Enter pressed on it: with its weights, where some are published."""
        self.models.value = name
        self._open(pretrained=not self.open_trained.disabled)

    def _open(self, *, pretrained: bool) -> None:
        if name := self.models.value:
            wanted = (self.tag.value or name) if pretrained else self.chosen
            with self.session.lock:
                self._asked, self._before = True, self.session.model
                self.session.open_model(wanted, pretrained=pretrained)

    def _open_own(self, model: Any) -> None:
        """A network that was trained here."""
        with self.session.lock:
            self._asked, self._before = True, self.session.model
            self.session.open_model(model)

    def _put_beside(self) -> None:
        name = self.tag.value or self.models.value
        if name == self.session.beside:  # once more, after it could not be opened
            self.session.beside = None
        self.session.beside = name
        self.unfold(False)

    # --- comparing ---

    def _toggle(self, name: str) -> None:
        if not name:
            return
        try:
            self.session.toggle_compare(name)
        except t.TraitError as error:  # full, by now
            self.count.value = f'<span role="status">{escape(str(error))}</span>'

    def _show_toggle(self) -> None:
        ticked, full = self.chosen in self.session.compare, len(self.session.compare) >= MAX_COMPARED
        self.compare.icon = "check" if ticked else ""
        add = f"{MAX_COMPARED} models are compared already" if full else "Add to compare"
        self.compare.description = "Remove from compare" if ticked else add
        self.compare.disabled = not self.chosen or full and not ticked

    def _show_comparison(self) -> None:
        try:
            rows = [comparison_row(name) for name in self.session.compare]
        except Exception as error:
            log.warning("the comparison could not be drawn", exc_info=error)
            rows = [[name, *[""] * (len(COMPARED) - 1)] for name in self.session.compare]
        self.comparison.show(COMPARED, rows)

    def draw(self) -> None:
        """Follow the session: a model opened from a cell is selected here too,
        and a download changes its card.
        """
        if self._compared != self.session.compare:
            self._compared = self.session.compare
            self._show_comparison()
            self._show_toggle()
        self._see_what_became()
        self.trained.draw(self)
        name = self.session.model_name
        if name == self._opened:
            return
        self._opened = name
        self._write_line()
        if self.layout.display != "none":
            self._tell_list()
        if name.partition(".")[0] in self.models.names:
            self.select(name)
        self._show_card()

    def _see_what_became(self) -> None:
        """Where what was asked for here is there: back to the photo; or say by the buttons why it is not."""
        wrong = self.session.error
        if not wrong:
            self.problem.value = ""
        there = self.session.model is not self._before
        if self._asked and (wrong or there):
            self._asked, self._before = False, None
            if there:
                self.unfold(False)
            elif self.layout.display != "none":
                self.problem.value = said_html(wrong, wrong=True)

    def forget(self) -> None:
        self._before = None

    # --- code and figure ---

    def code(self) -> str:
        """The list as it is filtered and sorted, the card, and the models to compare."""
        imports, listed = listing_lines(self.filters, self.sort.value)
        lines = ["import explorer", *imports]
        if name := self.models.value:
            lines.append("from explorer.models.card import model_card")
            lines += ["", f"card = {call('model_card', literal(self.tag.value or name))}"]
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
        listed = [f"Filters: {filters_text(self.filters)}", f"Sorted by {order}"]
        parts = [*([] if self.session.compare else listed), MEASURED]
        return ". ".join(parts) + "."


def _box(kind: type[W.Box], name: str, children: list[W.Widget]) -> W.Box:
    box = kind(children, layout=children[0].layout)
    box.add_class(name)
    return box
