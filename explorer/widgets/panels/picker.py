"""The model picker: the families by year, filters, the list, the card of one model, and the models to compare."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from html import escape
from typing import Any

import ipywidgets as W
import traitlets as t

from explorer.display.words import natural_key
from explorer.models.card import ModelCard, TagRow, count_text, model_card
from explorer.models.catalog import FAMILIES
from explorer.models.names import list_models, split_door, split_name, word_on_old_name
from explorer.models.weights.packaged import names_here
from explorer.widgets import export
from explorer.widgets.panels.base import Panel
from explorer.widgets.parts.card import card_html, default_size, pixels, stated
from explorer.widgets.parts.comparison import Comparison
from explorer.widgets.parts.model_list import ModelList
from explorer.widgets.parts.timeline import FamilyTimeline
from explorer.widgets.session import MAX_COMPARED, Session
from explorer.widgets.snippets import call, literal

log = logging.getLogger(__name__)

# --- what is there, and what fits: plain functions ------------------------------------------------------------

SIZES: dict[str, tuple[float, float]] = {  # parameters, from and below
    "under 5 M": (0, 5e6), "5 to 25 M": (5e6, 25e6), "25 to 100 M": (25e6, 100e6),
    "100 M and more": (100e6, float("inf")),
}

#: Licences that allow commercial use with nothing but a notice. Other texts set terms of their own.
PERMISSIVE = {"apache-2.0", "mit", "bsd-2-clause", "bsd-3-clause", "cc0-1.0", "cc-by-4.0"}
LICENCES = {
    "commercial": "commercial use allowed (apache-2.0, mit, bsd)",
    "non-commercial": "non-commercial only (cc-by-nc, research)",
    "own terms": "terms of its own (read them)",
    "not stated": "not stated",
}

SORTS = {"name": "name", "newest": "year", "fewest parameters": "parameters", "fewest multiply-adds": "macs",
         "highest accuracy": "top1"}
COLUMNS = ("parameters", "macs", "top1")
COLUMN_TITLES = ("params", "mult-adds", "top-1")
MOST_TABLED = 30  # rows of the exported table


@dataclass(frozen=True)
class Filters:
    """What a reader asks for; a field that is empty asks for nothing.

    search:  a wildcard pattern, or a plain word that is looked for anywhere in the name
    size, licence: keys of SIZES and LICENCES. licence and here must hold for one and the same set of weights
    """

    search: str = ""
    family: str = ""
    task: str = ""
    size: str = ""
    licence: str = ""
    here: bool = False

    WORDS = {"search": "the search", "family": "the family", "task": "the task", "size": "the size",
             "licence": "the licence", "here": "“weights here”"}

    def active(self) -> list[str]:
        """The names of the fields that ask for something."""
        return [name for name in self.WORDS if getattr(self, name)]


@cache
def all_cards() -> dict[str, ModelCard]:
    """The card of every architecture's default weights, in natural order of the names; made once, 40 µs each."""
    return {name: model_card(name) for name in list_models()}


def licence_group(licence: str | None) -> str:
    """The key of LICENCES for a licence's name as the table has it."""
    name = (licence or "").lower()
    if name in ("", "unknown"):
        return "not stated"
    if name in PERMISSIVE:
        return "commercial"
    # apple-amlr: Apple's licence for machine learning research
    if "-nc" in name or "noncommercial" in name or "non-commercial" in name or name == "apple-amlr":
        return "non-commercial"
    return "own terms"


def fitting_tags(card: ModelCard, filters: Filters) -> tuple[TagRow, ...]:
    """The sets of weights that fit `licence` and `here`, the default first. An old name means one set only."""
    meant = [tag for tag in card.tags if card.name == card.architecture or tag.tag == card.tag]
    return tuple(tag for tag in meant
                 if (not filters.licence or licence_group(tag.license) == filters.licence)
                 and (not filters.here or tag.here))


def fits(card: ModelCard, filters: Filters) -> bool:
    """Whether a model has what is asked for, but for the search, which is a matter of its name."""
    if filters.family and card.family.name != filters.family or filters.task and card.family.task != filters.task:
        return False
    if filters.size:
        low, high = SIZES[filters.size]
        if card.parameters is None or not low <= card.parameters < high:
            return False
    return not (filters.licence or filters.here) or bool(fitting_tags(card, filters))


def find_cards(filters: Filters = Filters(), *, sort: str = "name") -> list[ModelCard]:
    """The models that fit, sorted by "name", "year" (newest first), "parameters", "macs" (fewest first) or "top1"
    (highest first); what has no such number comes last."""
    cards, word = all_cards(), filters.search.strip().lower()
    word = split_name(word)[0] if word_on_old_name(word) else word  # whoever knows an old name finds the model of today
    pattern = word if any(c in word for c in "*?[") else f"*{word}*"
    if split_door(pattern)[0]:
        return []  # other libraries' models have no card
    found = [cards[name] for name in list_models(pattern) if name in cards and fits(cards[name], filters)]
    if sort == "name":
        return found  # list_models has sorted them

    def key(card: ModelCard):
        number = sort_value(card, sort)
        return (number is None, -(number or 0) if sort in ("year", "top1") else number or 0, natural_key(card.name))

    return sorted(found, key=key)


def sort_value(card: ModelCard, what: str) -> float | None:
    if what == "year":
        return card.family.year
    return card.config.top1 if what == "top1" else getattr(card, what)


def what_to_loosen(filters: Filters) -> str:
    """A sentence on which filter stands in the way, for filters that nothing fits."""
    if split_door(filters.search.strip())[0]:
        return ("Models of other libraries are opened from a cell: "
                f"dash.session.model = {filters.search.strip()!r}")
    ways = []
    for name in filters.active():
        count = len(find_cards(replace(filters, **{name: False if name == "here" else ""})))
        if count:
            ways.append((count, f"without {Filters.WORDS[name]} {count} {'do' if count > 1 else 'does'}"))
    if not ways:
        return "No model fits, and leaving out one filter does not help: clear them all."
    best = [text for _, text in sorted(ways, key=lambda way: -way[0])]
    star = " A * stands for any letters." if "search" in filters.active() and len(filters.active()) == 1 else ""
    return f"No model fits all of this; {', '.join(best)}.{star}"


# --- what is written ------------------------------------------------------------------------------------------


def percent(value: float | None) -> str:
    return "" if value is None else f"{value:.1f} %"


def list_rows(cards: dict[str, ModelCard]) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """The rows of the list: name, year, and the numbers of COLUMNS, of which one is shown."""
    for name, card in cards.items():
        numbers = count_text(card.parameters), count_text(card.macs), percent(card.config.top1)
        yield name, str(card.family.year), numbers


def tag_label(tag: TagRow) -> str:
    """One line of the drop-down of weights."""
    facts = [tag.tag or "(no tag)", percent(tag.top1), f"{tag.input_size[-1]} px", stated(tag.license)]
    return ", ".join(filter(None, facts)) + (", here" if tag.here else "")


COMPARED = ("model", "year", "parameters", "multiply-adds", "top-1", "photo", "last stage", "licence", "weights")


def comparison_row(name: str) -> list[str]:
    """A model's facts under COMPARED; of another library's model only the name is known."""
    if split_door(name)[0]:
        return [name, *[""] * (len(COMPARED) - 2), "behind a door: known when it is opened"]
    card = model_card(name)
    c, last = card.config, card.stages[-1] if card.stages else None
    macs = count_text(card.macs)
    if macs and default_size(card) != c.input_size:  # counted for the default weights, not for these
        macs += f" at {default_size(card)[-1]} px"
    return [
        name, str(card.family.year), count_text(card.parameters), macs, percent(c.top1), pixels(c.input_size),
        f"{last.channels} ch, /{last.reduction}" if last else "",
        stated(c.license) if card.published else "",
        "none published" if not card.published else "here" if card.here else "to be downloaded",
    ]


# --- the panel ------------------------------------------------------------------------------------------------


class PickerPanel(Panel):
    title = "Model"
    draw_on = ("model_name", "busy", "compare")
    guide = """
        <p><b>What you see.</b> Every architecture that explorer can build, by family and year, with its size and, for the
        weights that are published, how often its first answer is right on ImageNet's 50,000 validation photos (top-1). That
        accuracy is what the authors of the weights state; it was not measured here.</p>
        <p><b>What it does not prove.</b> Two accuracies compare two <i>trainings</i>, not two architectures: a ResNet-50 of
        2015, trained as in 2021, gains four points
        (<a href="https://arxiv.org/abs/2110.00476">Wightman and others, 2021: ResNet strikes back</a>). Weights that saw
        other photos first, or larger ones, have an advantage that the table does not show. Few multiply-adds do not mean
        fast (<a href="https://arxiv.org/abs/1807.11164">Ma and others, 2018</a>), and the best model on ImageNet need not be
        the best on your photos (<a href="https://arxiv.org/abs/1805.08974">Kornblith and others, 2019</a>).</p>
        <p>Each family's paper is linked on its models' cards. Read a licence before you build on weights.</p>"""

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
        self.family = menu("Family", [("all families", ""), *((f"{f.title} ({f.year})", f.name) for f in by_year)])
        self.task = menu("Task", [("any task", ""), *((task, task) for task in sorted({f.task for f in by_year}))])
        self.size = menu("Size", [("any number of parameters", ""), *((size, size) for size in SIZES)])
        self.licence = menu("Licence", [("any licence", ""), *((text, key) for key, text in LICENCES.items())])
        self.here = W.Checkbox(value=False, description="weights on this computer", indent=False, layout=auto)
        self.clear = W.Button(description="Clear filters", layout=auto)
        self.models = ModelList(lock=session.lock, layout=wide)
        self.count = W.HTML(layout=wide)
        self.card = W.HTML(layout=wide, style=self.count.style)
        self.tag = menu("Weights", [])
        self.open_trained = W.Button(button_style="primary", layout=auto)
        self.open_random, self.compare = (W.Button(style=self.open_trained.style, layout=auto) for _ in range(2))
        self.fold = W.Button(description="Hide", tooltip="Hide the models, or show them", style=self.open_trained.style,
                             layout=auto)
        self.comparison = Comparison(lock=session.lock, layout=wide)

        self._opened, self._compared, self._filling = "", None, False
        cards = all_cards()
        self.timeline.show((f.name, f.title, f.year, f.tagline, len(f.names)) for f in by_year)
        self.models.load(COLUMN_TITLES, list_rows(cards))
        # one that opens without a network, until the session has a model: to know it, no library is imported
        self.models.value = next((name.partition(".")[0] for name in names_here()), None)

        menus = _box(W.Box, "vx-filters", [self.family, self.task, self.size, self.licence])
        find = _box(W.VBox, "vx-find", [self.search, self.timeline, menus,
                                        _box(W.Box, "vx-line", [self.here, self.clear])])
        pick = _box(W.VBox, "vx-pick", [self.sort, self.models, self.count, self.tag, _box(W.Box, "vx-line", [
            self.open_trained, self.open_random, self.compare])])
        show = _box(W.VBox, "vx-show", [self.card])
        self.models.add_class("vx-grow")
        for button in (self.open_trained, self.open_random, self.compare, self.clear, self.fold):
            button.add_class("vx-open")
        self.body = W.Box([find, pick, show])
        self.body.add_class("vx-picker-body")
        super().__init__(session, [self.body, self.comparison], beside=[self.fold])
        self.add_class("vx-picker")

        for control in (self.search, self.family, self.task, self.size, self.licence, self.here, self.sort):
            control.observe(self._filter, "value")
        t.link((self.timeline, "selected"), (self.family, "value"))
        self.models.observe(self._show_model, "value")
        self.tag.observe(self._show_card, "value")
        self.clear.on_click(lambda _: self._clear())
        self.open_trained.on_click(lambda _: self._open(pretrained=True))
        self.open_random.on_click(lambda _: self._open(pretrained=False))
        self.fold.on_click(lambda _: self._fold())
        self.compare.on_click(lambda _: self._toggle(self.chosen))
        self.comparison.on_remove(self._toggle)
        self.comparison.on_pick(self.select)
        self._filter()

    # --- filters and list ---

    @property
    def filters(self) -> Filters:
        """What the controls ask for."""
        return Filters(search=self.search.value, family=self.family.value, task=self.task.value, size=self.size.value,
                       licence=self.licence.value, here=self.here.value)

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

    def _fold(self) -> None:
        """Hide the models, to leave the page to the photo; or show them again."""
        hidden = self.body.layout.display == "none"
        self.body.layout.display = "" if hidden else "none"
        self.fold.description = "Hide" if hidden else "Choose another model"

    # --- the card ---

    @property
    def chosen(self) -> str:
        """The name whose card is shown: the architecture's, or that of a set of weights which is not its default."""
        name = self.models.value or ""
        card = all_cards().get(name)
        default = card is None or not card.tags or self.tag.value in (None, card.config.name)
        return name if default else self.tag.value

    def _show_model(self, _change=None) -> None:
        """Another model, or other filters: its sets of weights, of which one that fits is chosen; and the card."""
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
        """Change several controls with one redrawing at the end, which the caller does; under the session's lock."""
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
            for button in (self.open_trained, self.open_random, self.compare):
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
                    why = escape(f"{type(error).__name__}: {error}")
                    self.card.value = (f'<div class="vx-note">The card of {escape(name)} could not be drawn ({why}). '
                                       "The model can be opened all the same.</div>")
            self.open_trained.disabled = not published
            self.open_trained.description = (
                "Open" if name is None else "No trained weights are published" if not published else
                "Open with trained weights" if here else "Download trained weights and open"
            )
            self.open_random.description = "Open with random weights"
            self._show_toggle()
            self.changed()

    def _open(self, *, pretrained: bool) -> None:
        if name := self.models.value:
            self.session.open_model((self.tag.value or name) if pretrained else self.chosen, pretrained=pretrained)

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
        self.compare.description = ("Remove from compare" if ticked else
                                    f"{MAX_COMPARED} models are compared already" if full else "Add to compare")
        self.compare.disabled = not self.chosen or full and not ticked

    def _show_comparison(self) -> None:
        try:
            rows = [comparison_row(name) for name in self.session.compare]
        except Exception as error:
            log.warning("the comparison could not be drawn", exc_info=error)
            rows = [[name, *[""] * (len(COMPARED) - 1)] for name in self.session.compare]
        self.comparison.show(COMPARED, rows)

    def draw(self) -> None:
        """Follow the session: a model opened from a cell is selected here too, and a download changes its card."""
        if self._compared != self.session.compare:
            self._compared = self.session.compare
            self._show_comparison()
            self._show_toggle()
        name = self.session.model_name
        if name == self._opened:
            return
        self._opened = name
        if name.partition(".")[0] in self.models.names:
            self.select(name)
        self._show_card()

    # --- code and figure ---

    def code(self) -> str:
        """The list as it is filtered and sorted, the card, and the models to compare."""
        filters, sort = self.filters, self.sort.value
        asked = {name: getattr(filters, name) for name in filters.active()}
        lines = ["import explorer"]
        if sort == "name" and asked.keys() <= {"search", "family", "task"}:
            word = asked.pop("search", "").strip().lower()
            pattern = [literal(word if any(c in word for c in "*?[") else f"*{word}*")] if word else []
            listed = call("explorer.list_models", *pattern, options=asked)
        else:  # the catalog's own filters do not know sizes, licences and what is on this computer
            lines.append("from explorer.widgets.panels.picker import Filters, find_cards")
            sorting = {} if sort == "name" else {"sort": sort}
            listed = f"[card.name for card in {call('find_cards', call('Filters', options=asked), options=sorting)}]"
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
        filters = self.filters
        texts = {"licence": LICENCES.get(filters.licence, ""), "here": "weights on this computer"}
        asked = [f"{Filters.WORDS[name].removeprefix('the ')} {texts.get(name) or getattr(filters, name)!r}" if name != "here"
                 else texts["here"] for name in filters.active()]
        parts = [] if self.session.compare else [
            f"Filters: {', '.join(asked) or 'none'}", f"Sorted by {next(k for k, v in SORTS.items() if v == self.sort.value)}"]
        parts.append("Top-1: on ImageNet's validation photos, as published with the weights, not measured here")
        return ". ".join(parts) + "."


def _box(kind: type[W.Box], name: str, children: list[W.Widget]) -> W.Box:
    box = kind(children, layout=children[0].layout)
    box.add_class(name)
    return box
