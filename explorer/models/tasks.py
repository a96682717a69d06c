"""What a model answers with, classes, boxes or masks, and which function asks it. Pure Python, no torch."""

from __future__ import annotations

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


def check_name_for(wanted: str | None, name: str) -> None:
    """`check_task` for a name of the catalog; other names pass, they are known when they are opened."""
    if (family := FAMILY_OF.get(split_name(name.strip())[0])) is not None:
        check_task(wanted, family.task, name.strip())
