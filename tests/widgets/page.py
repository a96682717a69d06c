"""HTML as a reader meets it: the text, and the elements with their attributes.

Tests ask these, not the markup.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser

ENDLESS = {"br", "hr", "img", "input", "meta", "link", "path", "rect", "circle", "line"}


@dataclass
class Element:
    tag: str
    attributes: dict[str, str]
    pieces: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        return words("".join(self.pieces))

    @property
    def classes(self) -> set[str]:
        return set(self.attributes.get("class", "").split())


class Page(HTMLParser):
    """What some HTML holds. text: what is read;  elements: in their order, each with the text inside."""

    def __init__(self, html: str):
        super().__init__()
        self.elements: list[Element] = []
        self._open: list[Element] = []
        self._pieces: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        made = Element(tag, {name: value or "" for name, value in attrs})
        self.elements.append(made)
        self._space()
        if tag not in ENDLESS:
            self._open.append(made)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(Element(tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        self._space()
        while self._open and self._open.pop().tag != tag:
            pass

    def handle_data(self, data: str) -> None:
        self._pieces.append(data)
        for one in self._open:
            one.pieces.append(data)

    def _space(self) -> None:
        for pieces in (self._pieces, *(one.pieces for one in self._open)):
            pieces.append(" ")

    @property
    def text(self) -> str:
        return words("".join(self._pieces))

    def all(self, tag: str = "", *, role: str = "", name: str = "") -> list[Element]:
        """Elements with this tag, role and CSS class, as far as these are given."""
        return [one for one in self.elements if tag in ("", one.tag)
                and role in ("", one.attributes.get("role")) and (not name or name in one.classes)]

    def says(self, text: str, *, role: str = "") -> bool:
        """Whether a reader meets this text, in an element of this role where one is given."""
        if not role:
            return text in self.text
        return any(text in one.text for one in self.all(role=role))


def words(text: str) -> str:
    return " ".join(text.split())
