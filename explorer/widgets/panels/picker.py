"""The model picker: search, read the card, open."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

import ipywidgets as W

from explorer.models import weights
from explorer.models.catalog import FAMILIES, FAMILY_OF, Family
from explorer.models.config import ModelConfig
from explorer.models.factory import list_models, natural_key, split_door, split_name
from explorer.widgets.panels.base import Panel
from explorer.widgets.session import Session

SORTS = {"name": "name", "year": "year", "fewest parameters": "parameters"}


@dataclass(frozen=True)
class Entry:
    """What the list and the card say of one architecture."""

    name: str
    family: Family
    parameters: int | None
    config: ModelConfig

    @property
    def published(self) -> bool:
        """Whether there are trained weights for it anywhere."""
        return bool(weights.tags(self.config.architecture))

    @property
    def here(self) -> bool:
        """Whether its trained weights are on this computer."""
        return weights.is_here(self.config.architecture, self.config.tag)


def entry(name: str) -> Entry:
    architecture, tag = split_name(name)  # an old name stands for one set of weights
    config = weights.config_for(architecture, tag)
    return Entry(name, FAMILY_OF[architecture], weights.parameter_count(architecture), config)


def find_entries(search: str = "", *, family: str = "", here: bool = False, sort: str = "name") -> list[Entry]:
    """The architectures that fit, sorted by "name", "year" or "parameters".

    search: a wildcard pattern, or a plain word that is looked for anywhere in the name.
    """
    word = search.strip().lower()
    pattern = word if any(c in word for c in "*?[") else f"*{word}*"
    if split_door(pattern)[0]:
        return []  # other libraries' models have no card: they are opened from a cell
    found = [entry(name) for name in list_models(pattern, family=family)]
    if here:
        found = [e for e in found if e.here]
    keys = {
        "name": lambda e: natural_key(e.name),
        "year": lambda e: (e.family.year, natural_key(e.name)),
        "parameters": lambda e: (e.parameters is None, e.parameters or 0, natural_key(e.name)),
    }
    return sorted(found, key=keys[sort])


def millions(count: int | None) -> str:
    return "" if count is None else f"{count / 1e6:.1f} M"


def list_line(e: Entry) -> str:
    """Year, parameters and name in columns; no-break spaces, since a list box swallows the others."""
    return f"{e.family.year}  {millions(e.parameters):>8}  {e.name}".replace(" ", "\u00a0")


def card_html(e: Entry) -> str:
    """The card of one architecture."""
    c = e.config
    size = " × ".join(map(str, c.input_size[1:]))
    rows = [("family", f"{escape(e.family.title)}, {e.family.year}"),
            ("parameters", millions(e.parameters) or "not known"),
            ("photo size", f"{size} pixels, crop {c.crop_pct:.3g}, {escape(c.interpolation)}")]
    if c.top1 is not None:
        rows.append(("accuracy", f"{c.top1:.1f} % top-1 on ImageNet (published)"))
    if e.published:
        licence = f", {escape(c.license)}" if c.license else ""
        rows.append(("weights", f"{escape(c.name)}{licence}: {'on this computer' if e.here else 'to be downloaded'}"))
    else:
        rows.append(("weights", "none published"))
    link = f'<a href="{escape(e.family.url)}" target="_blank" rel="noopener">{escape(e.family.paper)}</a>'
    rows.append(("paper", link))
    facts = "".join(f"<dt>{k}</dt><dd>{v}</dd>" for k, v in rows)
    return f'<div class="vx-card"><b>{escape(e.name)}</b><br>{escape(e.family.idea)}<dl>{facts}</dl></div>'


class PickerPanel(Panel):
    title = "Model"
    draw_on = ("model_name", "busy")

    def __init__(self, session: Session):
        wide = W.Layout(width="auto")
        self.search = W.Text(placeholder="resnet, *lite*, vit_*_224 …", description="Search", layout=wide,
                             continuous_update=True)
        families = [("all families", "")] + [
            (f"{f.title} ({f.year})", f.name) for f in sorted(FAMILIES.values(), key=lambda f: (f.year, f.title))
        ]
        self.family = W.Dropdown(options=families, description="Family", layout=wide)
        self.sort = W.Dropdown(options=[*SORTS.items()], description="Sort by", layout=wide)
        self.here = W.Checkbox(value=False, description="only with weights on this computer", indent=False,
                               layout=W.Layout(width="auto"))
        self.models = W.Select(rows=7, description="Models", layout=wide)  # read out, not shown: the style hides it
        self.models.add_class("vx-models")
        self.count = W.HTML()
        self.card = W.HTML()
        self.open_trained = W.Button(button_style="primary")
        self.open_random = W.Button()
        for button in (self.open_trained, self.open_random):
            button.add_class("vx-open")
        for control in (self.search, self.family, self.sort):
            control.style.description_width = "52px"
        self._opened, self._total = "", len(list_models())
        super().__init__(session, [self.search, self.family, self.sort, self.here, self.models, self.count, self.card,
                                   W.VBox([self.open_trained, self.open_random])])
        for control in (self.search, self.family, self.sort, self.here):
            control.observe(self._filter, "value")
        self.models.observe(self._show_card, "value")
        self.open_trained.on_click(lambda _: self._open(pretrained=True))
        self.open_random.on_click(lambda _: self._open(pretrained=False))
        self._filter()

    def _filter(self, _change=None) -> None:
        found = find_entries(self.search.value, family=self.family.value, here=self.here.value, sort=self.sort.value)
        keep = self.models.value
        with self.session.lock:
            self.models.options = [(list_line(e), e.name) for e in found]
            names = {e.name for e in found}
            self.models.value = keep if keep in names else (found[0].name if found else None)
        self.count.value = (f'<span class="vx-soft">{len(found)} of {self._total} models</span>' if found else
                            "No model fits. A * stands for any letters: try <code>*resne*t*</code>.")
        self._show_card()

    def _show_card(self, _change=None) -> None:
        name = self.models.value
        for button in (self.open_trained, self.open_random):
            button.disabled = name is None
        if name is None:
            self.card.value = ""
            self.open_trained.description, self.open_random.description = "Open", "Open with random weights"
            return
        e = entry(name)
        self.card.value = card_html(e)
        self.open_trained.disabled = not e.published
        self.open_trained.description = (
            "No trained weights are published" if not e.published else
            "Open with trained weights" if e.here else "Download trained weights and open"
        )
        self.open_random.description = "Open with random weights"

    def _open(self, *, pretrained: bool) -> None:
        if self.models.value:
            self.session.open_model(self.models.value, pretrained=pretrained)

    def draw(self) -> None:
        """Follow the session: a model opened from a cell is selected here too, and a download changes its card."""
        name = self.session.model_name
        if name == self._opened:
            return
        self._opened = name
        architecture = name.partition(".")[0]
        if architecture in {value for _, value in self.models.options} and self.models.value != architecture:
            self.models.value = architecture
        else:
            self._show_card()
