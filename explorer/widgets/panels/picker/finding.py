"""Which models fit what a reader asks for; and, where none does, which filter stands in the way."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

from explorer.display.words import natural_key
from explorer.models.card import ModelCard, TagRow, model_card
from explorer.models.names import is_model, list_models, split_door, split_name, word_on_old_name

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
    """The card of every architecture's default weights, in natural order of the names;
    made once, 40 µs each.
    """
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
    """The sets of weights that fit `licence` and `here`, the default first.
    An old name means one set only.
    """
    meant = [tag for tag in card.tags if card.name == card.architecture or tag.tag == card.tag]
    return tuple(tag for tag in meant
                 if (not filters.licence or licence_group(tag.license) == filters.licence)
                 and (not filters.here or tag.here))


def fits(card: ModelCard, filters: Filters) -> bool:
    """Whether a model has what is asked for, but for the search, which is a matter of its name."""
    if filters.family not in ("", card.family.name) or filters.task not in ("", card.family.task):
        return False
    if filters.size:
        low, high = SIZES[filters.size]
        if card.parameters is None or not low <= card.parameters < high:
            return False
    return not (filters.licence or filters.here) or bool(fitting_tags(card, filters))


def find_cards(filters: Filters = Filters(), *, sort: str = "name") -> list[ModelCard]:
    """The models that fit, sorted by "name", "year" (newest first), "parameters", "macs" (fewest first) or
    "top1"
    (highest first); what has no such number comes last."""
    cards, word = all_cards(), filters.search.strip().lower()
    # whoever knows an old name finds the model of today, and whoever names its weights finds their model
    word = meant_by(word).partition(".")[0] or word
    pattern = word if any(c in word for c in "*?[") else f"*{word}*"
    if split_door(pattern)[0]:
        return []  # other libraries' models have no card
    found = [cards[name] for name in list_models(pattern) if name in cards and fits(cards[name], filters)]
    if sort == "name":  # list_models has sorted them; the very name that was typed comes first
        return sorted(found, key=lambda card: (card.name != word, not card.name.startswith(word)))

    def key(card: ModelCard):
        number = sort_value(card, sort)
        sign = -1 if sort in ("year", "top1") else 1
        return number is None, sign * (number or 0), natural_key(card.name)

    return sorted(found, key=key)


def meant_by(search: str) -> str:
    """The name that a search is, with its tag where it has one; an old name's present one; "" for no name."""
    name = search.strip().lower()
    if split_door(name)[0] or not is_model(name):
        return ""
    architecture, tag = split_name(name)
    return ".".join(filter(None, [architecture, tag])) if "." in name or word_on_old_name(name) else name


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
    star = " A * stands for any letters." if filters.active() == ["search"] else ""
    return f"No model fits all of this; {', '.join(best)}.{star}"
