"""What a model answers with, classes, boxes or masks, and which function asks it. Pure Python, no torch."""

from __future__ import annotations

from collections.abc import Mapping

from explorer.models.catalog import FAMILY_OF
from explorer.models.names import split_name

#: task -> (what its networks find, the functions that ask them)
ASKED_BY = {
    "classification": ("classes", "explorer.look or explorer.predict"),
    "detection": ("boxes", "explorer.detect"),
    "segmentation": ("masks", "explorer.segment"),
}


def check_task(wanted: str | None, found: str, name: str) -> None:
    """Raise ValueError for a model that answers with something else than what is asked for.

    wanted: None asks for nothing
    """
    if wanted is not None and found != wanted:
        things, functions = ASKED_BY[found]
        raise ValueError(f"{name} finds {things}: ask it with {functions}. What you asked for needs a model "
                         f"that finds {ASKED_BY[wanted][0]}.")


def task_of_name(name: str) -> str:
    """What a name of the catalog answers with; "" of other names, which are known when they are opened."""
    family = FAMILY_OF.get(split_name(name.strip())[0])
    return "" if family is None else family.task


def check_name_for(wanted: str | None, name: str) -> None:
    """`check_task` for a name of the catalog; other names pass."""
    if task := task_of_name(name):
        check_task(wanted, task, name.strip())


def check_one_kind(tasks: Mapping[str, str]) -> None:
    """Raise ValueError for models that answer with different things.

    tasks: of each, by what it is called; "" of one that is not known yet
    """
    known = {name: task for name, task in tasks.items() if task}
    if len({*known.values()}) > 1:
        found = ", ".join(f"{name} finds {ASKED_BY[task][0]}" for name, task in known.items())
        raise ValueError(f"Compare takes models that answer with the same kind of thing: {found}. Compare "
                         "those of one kind; their bodies can be compared by explorer.compare_stages.")
