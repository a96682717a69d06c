"""The table of contents: every network explorer knows, by family. Pure Python, no torch.

A family here is an idea with a paper and a year, as a course would teach it; several ideas may share one
file of code (`module`), where they differ only in the block they stack.
"""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from types import ModuleType

from explorer.models.catalog import (
    classics,
    efficient,
    modern,
    plain_vit,
    residual,
    segmentation,
    transformers,
)
from explorer.models.catalog.family import TASKS, Family

FAMILIES: dict[str, Family] = {
    family.name: family
    for chapter in (classics, residual, efficient, modern, transformers, plain_vit, segmentation)
    for family in chapter.FAMILIES
}

FAMILY_OF: dict[str, Family] = {name: family for family in FAMILIES.values() for name in family.names}


def family_module(architecture: str) -> ModuleType:
    """The file that builds a known architecture, such as `explorer.models.backbones.resnet`.

    It is imported now, with torch.
    """
    family = FAMILY_OF[architecture]
    return importlib.import_module(f"explorer.models.{family.room}.{family.module}")


def family_classes() -> dict[str, tuple[str, ...]]:
    """"backbones.resnet" -> ("ResNet",) and so on: the class of each family's file, none of them imported."""
    models = Path(__file__).parents[1]
    files = sorted({(family.room, family.module) for family in FAMILIES.values()})
    return {f"{room}.{module}": class_in(models / room / f"{module}.py") for room, module in files}


def class_in(file: Path) -> tuple[str, ...]:
    """The class that a family's file calls its MODEL, as its text says; none where it is another file's."""
    text = file.read_text(encoding="utf-8")
    named = re.findall(r"^MODEL = (\w+)$", text, re.MULTILINE)
    return tuple(name for name in named if f"\nclass {name}(" in text)


__all__ = ["FAMILIES", "FAMILY_OF", "TASKS", "Family", "class_in", "family_classes", "family_module"]
