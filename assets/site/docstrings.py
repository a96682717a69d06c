"""Explorer's docstrings as reStructuredText: a Sphinx extension.

They are written to be read as they stand, in a cell by `help` as in the file:

    model:  a name or a model;  image: anything `load_image` takes
    method: one of `METHODS`; what stands further in
            goes on

    an_example(of, four, spaces)

Lines of this kind become lists of definitions, four spaces become code, and `names` become links where there is
a page that says more.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import groupby
from typing import Any

ITEM = re.compile(r"^(?:[a-z_*]\w*)(?:, [a-z_*]\w*)*: +\S")
NEXT = re.compile(r"; {2,}(?=[a-z_]\w*(?:, [a-z_]\w*)*: )")
SPECIAL = re.compile(r"([*|\\])|_(?=\W|$)")


def restructured(lines: list[str], link: Callable[[str], str | None] = lambda name: None) -> list[str]:
    """A docstring's lines as reStructuredText.

    link: of a name in backticks the full name that it leads to; None: none
    """
    made: list[str] = []
    for filled, block in groupby(lines, key=lambda line: bool(line.strip())):
        if filled:
            made += [*_block(list(block), link), ""]
    return made


def _block(lines: list[str], link: Callable[[str], str | None]) -> Iterator[str]:
    """Of what stands between two empty lines."""
    if all(line.startswith("    ") for line in lines):
        yield from (".. code-block:: python", "", *lines)
        return
    for is_item, text in _pieces(lines):
        if is_item:
            names, words = text.split(":", 1)
            yield from (_inline(f"`{names}`", lambda name: None), f"    {_inline(words.strip(), link)}", "")
        else:
            yield from (_inline(text, link), "")


def _pieces(lines: list[str]) -> Iterator[tuple[bool, str]]:
    """Paragraphs, and items with what goes on further in, each in one line."""
    held: list[str] = []
    for line in lines:
        begins = ITEM.match(line) is not None
        ends = bool(held) and ITEM.match(held[0]) is not None and not line.startswith("    ")
        if held and (begins or ends):
            yield from _items(" ".join(held))
            held = []
        held.append(line.strip() if held else line)
    yield from _items(" ".join(held))


def _items(text: str) -> Iterator[tuple[bool, str]]:
    """Several in one line, as in "rows: how many;  columns: the same"."""
    if ITEM.match(text) is None:
        yield False, text.strip()
    else:
        yield from ((True, part.strip()) for part in NEXT.split(text))


def _inline(text: str, link: Callable[[str], str | None]) -> str:
    """Words with code in backticks; nothing else in them means anything."""
    parts = text.split("`")
    if len(parts) % 2 == 0:  # one that closes nothing
        return SPECIAL.sub(r"\\\g<0>", text).replace("`", r"\`")
    made = SPECIAL.sub(r"\\\g<0>", parts[0])
    for code, after in zip(parts[1::2], parts[2::2]):
        target = link(code.strip())
        if not code.strip():
            made += code
        elif target is None:
            made += f"``{code.strip()}``"
        else:
            made += f":py:obj:`{code.strip()} <{target}>`"
        plain = SPECIAL.sub(r"\\\g<0>", after)
        made += ("\\ " if after[:1].isalnum() else "") + plain
    return made


def setup(app: Any) -> dict[str, bool]:
    """Called by Sphinx: the names of `explorer` are what can be linked to."""
    import explorer

    app.setup_extension("sphinx.ext.autodoc")
    known = {name: f"explorer.{name}" for name in explorer.__all__}

    def rewrite(_app: Any, _what: str, _name: str, _thing: Any, _options: Any, lines: list[str]) -> None:
        lines[:] = restructured(lines, known.get)

    app.connect("autodoc-process-docstring", rewrite)
    return {"parallel_read_safe": True}
