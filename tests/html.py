"""HTML as a tree, so that a test holds what a reader sees and where it stands, not how it is spelt.

    page = parse(result._repr_html_())
    page.find("table").rows()                       # [["class", "share"], ["tabby cat", "97.0 %"]]
    [note.text for note in page.find_all("p", "vx-note")]
    assert "<script>" in page.text and not page.find_all("script")     # what came in is text

`parse` fails where the HTML is not well formed: a tag that is not closed in order, an attribute given twice.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser

#: Elements that stand within a word or a line.
INLINE = frozenset("a abbr b code em i kbd mark small span strong sub sup".split())
#: Elements that have no end tag, in HTML.
VOID = frozenset("area base br col embed hr img input link meta source track wbr".split())


@dataclass(eq=False)
class Element:
    """A tag with its attributes and what is in it. Entities are read: `&lt;` is `<` there."""

    tag: str
    attributes: dict[str, str] = field(default_factory=dict)
    inside: list[Element | str] = field(default_factory=list)

    def __iter__(self) -> Iterator[Element]:
        """The elements directly inside."""
        return (part for part in self.inside if isinstance(part, Element))

    def all(self) -> Iterator[Element]:
        """This element and every one in it, in the order of the page."""
        yield self
        for part in self:
            yield from part.all()

    @property
    def classes(self) -> tuple[str, ...]:
        return tuple(self.attributes.get("class", "").split())

    @property
    def style(self) -> dict[str, str]:
        """The inline style: {"color": "red"}."""
        rules = (rule.partition(":") for rule in self.attributes.get("style", "").split(";") if rule.strip())
        return {name.strip(): value.strip() for name, _, value in rules}

    @property
    def texts(self) -> list[str]:
        """Each piece of text in it, stripped, without empty ones."""
        found = []
        for part in self.inside:
            found += part.texts if isinstance(part, Element) else [" ".join(part.split())]
        return [text for text in found if text]

    @property
    def text(self) -> str:
        """All its text, with each run of spaces as one; a block (`p`, `td`, `br` ...) starts a new word."""
        return " ".join(self._spelt().split())

    def _spelt(self) -> str:
        inside = "".join(part._spelt() if isinstance(part, Element) else part for part in self.inside)
        return inside if self.tag in INLINE else f" {inside} "

    @property
    def tags(self) -> set[str]:
        """The names of all tags inside it."""
        return {element.tag for part in self for element in part.all()}

    @property
    def attribute_names(self) -> set[str]:
        """The names of all attributes in it, its own included: no `onerror` among them."""
        return {name for element in self.all() for name in element.attributes}

    def find_all(self, tag: str | None = None, cls: str | None = None, **attributes: str) -> list[Element]:
        """The elements in it with that tag, that class and those attributes (`_` is `-` in their names)."""
        wanted = {name.strip("_").replace("_", "-"): value for name, value in attributes.items()}
        return [element for part in self for element in part.all()
                if tag in (None, element.tag) and (cls is None or cls in element.classes)
                and all(element.attributes.get(name) == value for name, value in wanted.items())]

    def find(self, tag: str | None = None, cls: str | None = None, **attributes: str) -> Element:
        """The only such element. Fails where there is none, or more than one."""
        found = self.find_all(tag, cls, **attributes)
        wanted = f"<{tag or '*'} class={cls} {attributes}>"
        assert len(found) == 1, f"{len(found)} of {wanted} in: {self.text[:500]}"
        return found[0]

    def says(self, text: str, **attributes: str) -> bool:
        """Whether a reader meets this text, in an element with these attributes where any are given."""
        places = self.find_all(**attributes) if attributes else [self]
        return any(text in place.text for place in places)

    def rows(self) -> list[list[str]]:
        """The texts of a table's cells, a list a row; titles of columns and rows are cells too."""
        return [[cell.text for cell in row if cell.tag in ("td", "th")] for row in self.find_all("tr")]


class _Builder(HTMLParser):
    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.root = Element("")
        self.open = [self.root]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), f"<{tag}> has an attribute twice: {names}"
        element = Element(tag, {name: value or "" for name, value in attrs})
        self.open[-1].inside.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)  # <path .../> of an SVG closes itself
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert tag == self.open[-1].tag, f"</{tag}> closes <{self.open[-1].tag}>"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        self.open[-1].inside.append(data)


def parse(html: str) -> Element:
    """The tree of some HTML, under a root without a name. Fails where its tags are not closed in order."""
    builder = _Builder()
    builder.feed(html)
    builder.close()
    still_open = [element.tag for element in builder.open[1:]]
    assert not still_open, f"not closed: {still_open}"
    return builder.root
