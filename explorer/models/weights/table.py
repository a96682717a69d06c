"""The facts about every published set of weights, read without torch.

They are data: `weights.json`, rebuilt by `tests/tools/build_weights_table.py`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from explorer.models.config import ModelConfig

TABLE = os.path.join(os.path.dirname(__file__), "weights.json")


@cache
def _table() -> dict[str, Any]:
    import json  # not above, as below: a list of names needs none of it

    with open(TABLE, encoding="utf-8") as file:
        return json.load(file)


def tags(architecture: str) -> tuple[str, ...]:
    """The published tags of an architecture, the default first; empty where there are none."""
    entry = _table()["models"].get(architecture, {})
    if not entry.get("common", {}).get("has_weights", True):
        return ()
    return tuple(tag for tag, facts in entry.get("tags", {}).items() if facts.get("has_weights", True))


def published() -> tuple[str, ...]:
    """The architectures that the table has facts of."""
    return tuple(_table()["models"])


def config_for(architecture: str, tag: str = "") -> ModelConfig:
    """The configuration of `architecture.tag`; without a tag that of the default weights.

    Raises ValueError with the known tags where the tag is unknown.
    """
    from explorer.models.config import ModelConfig

    entry = _table()["models"].get(architecture, {})
    known = entry.get("tags", {})
    if tag and tag not in known:
        raise ValueError(
            f"Unknown tag {tag!r} for {architecture!r}. Known: {', '.join(filter(None, known)) or 'none'}."
        )
    if not known:
        return ModelConfig(architecture=architecture, tag=tag)
    tag = tag or next(iter(known))
    facts = {**entry.get("common", {}), **known[tag]}
    return ModelConfig.from_dict({**facts, "architecture": architecture, "tag": tag})


def known_to_timm() -> frozenset[str]:
    """Architectures that timm has and explorer does not, as of the table's version of timm."""
    return frozenset(_table().get("timm_only", ()))


def old_names() -> Mapping[str, str]:
    """Names that a model had once and timm still answers -> its name of today.

    That has the tag of the weights that were meant. Published notebooks use such names. Some are of
    architectures that explorer does not have (`known_to_timm`).
    """
    return _table().get("old_names", {})


def parameter_count(architecture: str) -> int | None:
    """Number of parameters with the default classifier; None where the table does not know."""
    return _table()["models"].get(architecture, {}).get("params")


def mac_count(architecture: str) -> int | None:
    """Multiply-adds of one photo of the default weights' input size; None where the table does not know.

    Convolutions and matrix products, those of attention too.
    """
    return _table()["models"].get(architecture, {}).get("macs")


def stage_rows(architecture: str) -> tuple[tuple[str, int, int], ...]:
    """(name, channels, reduction) of each stage, in network order; empty where the table does not know.

    The table writes [name, channels, reduction, count] for `count` equal stages whose names count on.
    """
    rows: list[tuple[str, int, int]] = []
    for name, channels, reduction, *more in _table()["models"].get(architecture, {}).get("stages", ()):
        if not more:
            rows.append((name, channels, reduction))
            continue
        number = re.search(r"\d+$", name)
        stem, first = name[:number.start()], int(number[0])
        rows += [(f"{stem}{first + i}", channels, reduction) for i in range(more[0])]
    return tuple(rows)
