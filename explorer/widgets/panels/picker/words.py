"""What the picker writes of a model: a row of the list,
a line of the drop-down of weights, a row of the comparison.
"""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from explorer.models.card import ModelCard, TagRow, count_text, model_card
from explorer.models.names import split_door
from explorer.widgets.panels.picker.finding import LICENCES, Filters, all_cards
from explorer.widgets.parts.card import default_size, pixels, stated
from explorer.widgets.snippets import call, literal

COLUMNS = ("parameters", "macs", "top1", "year")
COLUMN_TITLES = ("parameters", "multiply-adds", "top-1", "year")


def percent(value: float | None) -> str:
    return "" if value is None else f"{value:.1f} %"


def model_line(name: str) -> str:
    """The open model in one line; of one that is not in the catalog, its name alone."""
    architecture = name.partition(".")[0]
    if not name:
        return "Choose a model"
    if architecture not in all_cards():
        return name
    try:
        card = model_card(name)
    except ValueError:  # its own weights, such as those of a run: the architecture is known all the same
        return " · ".join([name, count_text(all_cards()[architecture].parameters)])
    facts = [name, count_text(card.parameters), percent(card.config.top1)]
    return " · ".join(filter(None, facts))


def list_rows(cards: dict[str, ModelCard]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The rows of the list: name, and the numbers of COLUMNS, of which one is shown."""
    for name, card in cards.items():
        counts = count_text(card.parameters), count_text(card.macs)
        yield name, (*counts, percent(card.config.top1), str(card.family.year))


def count_line(shown: int, total: int, more: str = "", *, second: bool = False) -> str:
    """HTML below the list: how many models are listed, what the signs before a name mean, and `more`."""
    beside = "▲ beside it · " if second else ""
    signs = f'<span aria-hidden="true">■ open · {beside}✓ weights on this computer</span>'
    asks = f"<br>{escape(more)}" if more else ""
    return (f'<span class="vx-soft"><span role="status">{shown} of {total} models{asks}</span>'
            f"<br>{signs}</span>")


def tag_label(tag: TagRow) -> str:
    """One line of the drop-down of weights."""
    facts = [tag.tag or "(no tag)", percent(tag.top1), f"{tag.input_size[-1]} px", stated(tag.license)]
    return ("✓ " if tag.here else "") + ", ".join(filter(None, facts))


COMPARED = ("model", "year", "parameters", "multiply-adds", "top-1", "photo", "last stage", "licence",
            "weights")
MEASURED = "Top-1: on ImageNet's validation photos, as published with the weights, not measured here"


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


def filters_text(filters: Filters) -> str:
    """What is asked for, as a caption says it."""
    said = []
    for name in filters.active():
        value = {"licence": LICENCES.get(filters.licence)}.get(name) or getattr(filters, name)
        word = Filters.WORDS[name].removeprefix("the ")
        said.append("weights on this computer" if name == "here" else f"{word} {value!r}")
    return ", ".join(said) or "none"


def listing_lines(filters: Filters, sort: str) -> tuple[list[str], str]:
    """(imports, an expression): Python for the names that fit, in their order."""
    asked = {name: getattr(filters, name) for name in filters.active()}
    word = filters.search.strip().lower()
    plain = not word or any(c in word for c in "*?[")  # else the list begins with the names that begin so
    if plain and sort == "name" and asked.keys() <= {"search", "family", "task"}:
        asked.pop("search", "")
        return [], call("explorer.list_models", *([literal(word)] if word else []), options=asked)
    # the catalog's own filters do not know sizes, licences and what is on this computer
    sorting = {} if sort == "name" else {"sort": sort}
    found = call("find_cards", call("Filters", options=asked), options=sorting)
    imports = ["from explorer.widgets.panels.picker import Filters, find_cards"]
    return imports, f"[card.name for card in {found}]"
