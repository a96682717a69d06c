"""The table of contents: every backbone explorer knows, by family. Pure Python, no torch.

A family here is an idea with a paper and a year, as a course would teach it; several ideas may share one
file of code (`module`), where they differ only in the block they stack.
"""

from __future__ import annotations

import importlib
from types import ModuleType

from explorer.models.catalog import classics, efficient, modern, plain_vit, residual, transformers
from explorer.models.catalog.family import Family

FAMILIES: dict[str, Family] = {
    family.name: family
    for chapter in (classics, residual, efficient, modern, transformers, plain_vit)
    for family in chapter.FAMILIES
}

FAMILY_OF: dict[str, Family] = {name: family for family in FAMILIES.values() for name in family.names}


def family_module(architecture: str) -> ModuleType:
    """The file that builds a known architecture, such as `explorer.models.backbones.resnet`.

    It is imported now, with torch.
    """
    return importlib.import_module(f"explorer.models.backbones.{FAMILY_OF[architecture].module}")


__all__ = ["FAMILIES", "FAMILY_OF", "Family", "family_module"]
