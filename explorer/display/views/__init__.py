"""Scripts and style sheets that the notebook's views and a live page share: what a browser draws.

    script("kit")    # the text of kit.js, without its notes
    sheet("flow")    # that of flow.css
    SHARED_STYLE     # sizes and colours, then what all views share
"""

from __future__ import annotations

import re
from pathlib import Path

HERE = Path(__file__).parent


def without_notes(file: Path) -> str:
    """A script or a style sheet as it travels, once for each view: its notes stay here."""
    text = re.sub(r"/\*.*?\*/", "", file.read_text(encoding="utf-8"), flags=re.DOTALL)
    lines = (line.strip() for line in text.splitlines())
    return "\n".join(line for line in lines if line and not line.startswith("//"))


def script(name: str) -> str:
    """The JavaScript of that name in this folder, without its notes."""
    return without_notes(HERE / f"{name}.js")


def sheet(name: str) -> str:
    """The CSS of that name in this folder, without its notes."""
    return without_notes(HERE / f"{name}.css")


SHARED_STYLE = "\n".join(map(sheet, ("tokens", "kit")))
