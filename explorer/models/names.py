"""Names: `list_models`, `list_families`, `is_model`, and what a name means to `create_model`.

All of it is read from two tables, the catalog and that of the published weights, so nothing here loads torch.

    resnet50                the architecture, with its default weights
    resnet50.a1_in1k        a tag behind the dot: one set of published weights
    timm/resnet50           a door before the slash or colon: somebody else's model, see `models/doors/`
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from explorer.arguments import checked
from explorer.display.words import meant, natural_key, nearest
from explorer.models.catalog import FAMILIES, FAMILY_OF, Family
from explorer.models.catalog.detection import BEHIND_TORCHVISION
from explorer.models.weights.table import known_to_timm, old_names, tags

#: Other people's models behind the same contract, and other places for weights.
LIBRARIES = ("torchvision", "timm")
DOORS = ("torchvision/", "timm/", "hf-hub:", "local-dir:")


# --- lists ------------------------------------------------------------------------------------------------


@checked
def list_models(
    filter: str | Sequence[str] = "",
    *,
    pretrained: bool = False,
    exclude_filters: str | Sequence[str] = (),
    family: str = "",
    task: str = "",
) -> list[str]:
    """Names that `create_model` knows, in natural order.

    filter:          a wildcard pattern such as `"*resne*t*"`, or a list of them (any may match); one that
                     begins with "torchvision/" or "timm/" lists that library's names
    pretrained:      only names with published weights, one entry for each set: "resnet50.a1_in1k"
    exclude_filters: patterns whose matches are left out
    family, task:    only that family (see `list_families`) or task; an unknown one raises ValueError
    """
    library, _ = split_door(filter)
    if isinstance(filter, str) and library in LIBRARIES:
        if family or task:
            raise ValueError(f"family and task sort explorer's own names: leave them out with {filter!r}.")
        return _list_library(library, filter, pretrained, exclude_filters)
    names = [name for chosen in _choose_families(family, task) for name in chosen.names]
    if pretrained:
        names = [f"{name}.{tag}" if tag else name for name in names for tag in tags(name)]
    included, excluded = _patterns(filter), _patterns(exclude_filters)
    kept = [name for name in names if not included or _matches(name, included)]
    return sorted((name for name in kept if not _matches(name, excluded)), key=natural_key)


def _list_library(library: str, filter: str, pretrained: bool, exclude: str | Sequence[str]) -> list[str]:
    from explorer.models.doors.libraries import list_library

    found = [name for name in list_library(library, pretrained) if fnmatchcase(name, filter)]
    return sorted((name for name in found if not _matches(name, _patterns(exclude))), key=natural_key)


def list_pretrained(filter: str | Sequence[str] = "", **options: Any) -> list[str]:
    """`list_models(filter, pretrained=True, ...)`."""
    return list_models(filter, pretrained=True, **options)


@checked
def list_families(task: str = "") -> list[str]:
    """The families, by year of their paper."""
    return [family.name for family in sorted(_choose_families("", task), key=lambda f: (f.year, f.name))]


def _choose_families(family: str, task: str) -> list[Family]:
    if family and family not in FAMILIES:
        raise ValueError(f"Unknown family {family!r}.{_nearest(family, FAMILIES)} Known: "
                         f"{', '.join(FAMILIES)}.")
    tasks = {known.task for known in FAMILIES.values()}
    if task and task not in tasks:
        raise ValueError(f"Unknown task {task!r}. Known: {', '.join(sorted(tasks))}.")
    return [f for f in FAMILIES.values() if family in ("", f.name) and task in ("", f.task)]


def _patterns(filters: str | Iterable[str]) -> list[str]:
    return [p for p in ([filters] if isinstance(filters, str) else filters) if p]


def _matches(name: str, patterns: list[str]) -> bool:
    # "resnet50" finds all of its tags too, as "resnet50.*" would.
    architecture = name.partition(".")[0]
    return any(fnmatchcase(name, p) or ("." not in p and fnmatchcase(architecture, p)) for p in patterns)


# --- one name ---------------------------------------------------------------------------------------------


def split_door(name: Any) -> tuple[str, str]:
    """(door, what is behind it) of a name; ("", name) of one without a door.

    ("timm", "resnet50") of "timm/resnet50", ("hf-hub", "org/name") of "hf-hub:org/name".
    """
    if isinstance(name, str):
        name = re.sub(r"^\s*hf_hub:", "hf-hub:", name)  # timm's older spelling
        for door in DOORS:
            if name.strip().startswith(door):
                return door[:-1], name.strip().removeprefix(door)
    return "", name


def door_of(name: Any) -> tuple[str, str]:
    """`split_door`, for building: a name that only torchvision has goes through its door."""
    door, inside = split_door(name)
    if not door and isinstance(name, str) and name.strip().partition(".")[0] in BEHIND_TORCHVISION:
        return "torchvision", name.strip()
    return door, inside


def split_name(name: str) -> tuple[str, str]:
    """("resnet50", "a1_in1k") of "resnet50.a1_in1k"; of an old name, those of the present one."""
    architecture, _, tag = name.partition(".")
    today, _, tag_meant = old_names().get(architecture, architecture).partition(".")
    return today, tag or tag_meant


def is_model(name: str) -> bool:
    """Whether `create_model` knows the name; a tag, where there is one, must exist too."""
    architecture, tag = split_name(name) if isinstance(name, str) else ("", "")
    return architecture in FAMILY_OF and (not tag or tag in tags(architecture))


def word_on_old_name(name: Any) -> str:
    """A sentence with the name of today, where explorer knows this one by an old name only; else ""."""
    name = name.strip() if isinstance(name, str) else ""
    if name.partition(".")[0] not in old_names() or not is_model(name):
        return ""
    return f"{name!r} is an old name: the model is now called {'.'.join(filter(None, split_name(name)))}."


def check_name(name: str) -> tuple[str, str]:
    """(architecture, tag) of a known name.

    Raises ValueError with the nearest names for an unknown one, TypeError where it is no string.
    """
    if not isinstance(name, str):
        raise TypeError(f"A model's name is a string such as 'resnet50', not {type(name).__name__}.")
    architecture, tag = split_name(name.strip())
    if architecture not in FAMILY_OF:
        if architecture in known_to_timm():
            raise ValueError(
                f"{architecture!r} is known to timm, and not yet to explorer itself: "
                f"pip install 'vision-explorer[timm]', then create_model('timm/{name.strip()}')."
            )
        if architecture in BEHIND_TORCHVISION:
            door = f"torchvision/{name.strip()}"
            raise ValueError(f"{architecture!r} is torchvision's: create_model({door!r}).")
        hint = _nearest(architecture.lower(), [*FAMILY_OF, *BEHIND_TORCHVISION], old_names())
        raise ValueError(f"Unknown model {architecture!r}.{hint} See explorer.list_models().")
    if tag and tag not in tags(architecture):
        known = tags(architecture)
        hint = _nearest(tag, known)
        raise ValueError(f"Unknown tag {tag!r} of {architecture!r}.{hint} Known: "
                         f"{', '.join(known) or 'none'}.")
    return architecture, tag


def _nearest(word: str, known: Iterable[str], old: Mapping[str, str] = {}, count: int = 3) -> str:
    """A hint with the names most like `word`; where an old name is among them, what it is called today."""
    near = nearest(word, [*known, *(name for name in old if is_model(name))], count)
    return meant(old.get(name, name) for name in near)
