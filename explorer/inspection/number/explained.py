"""How a number is computed, which shows itself in a notebook: `ExplainedNumber`."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from html import escape

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from explorer.arguments import checked, whole
from explorer.display.html import (
    BLUE,
    LINE,
    ORANGE,
    RichRepr,
    bar_html,
    cell_html,
    cells_html,
    name_html,
    notes_html,
    table_html,
    title_html,
)
from explorer.inspection.number.chain import Step, trail
from explorer.inspection.number.terms import Terms
from explorer.models.doors.maps import Layout

SHOWN = 6  # terms in a notebook, the strongest
GREY, OUTSIDE = (128, 128, 128), (60, 60, 60)
SIDE = 66  # pixels of a patch's picture, about


@dataclass(frozen=True, eq=False)
class Remembered:
    """The map that was asked for, which remembers how it was made, and how it lies in memory.

    photo:  (height, width) of the network's input
    layers: of a stage, the layers that it is made of, in the order in which they ran
    """

    tensor: Tensor
    layout: Layout | None
    photo: tuple[int, int]
    layers: tuple[str, ...] = ()

    def index(self, channel: int, row: int, column: int) -> tuple[int, ...]:
        if self.layout is None:
            return 0, channel
        if self.layout.order == "NCHW":
            return 0, channel, row, column
        if self.layout.order == "NHWC":
            return 0, row, column, channel
        return 0, self.layout.prefix + row * self.layout.grid[1] + column, channel

    @property
    def sizes(self) -> tuple[int, int, int]:
        """(channels, rows, columns)."""
        axis = 1 if self.layout is None or self.layout.order == "NCHW" else -1
        rows, columns = self.layout.grid if self.layout else (1, 1)
        return self.tensor.shape[axis], rows, columns


@dataclass(eq=False, repr=False)
class ExplainedNumber(RichRepr):
    """How one number of a map is computed.

    model_name, module: what was asked;  channel, row, column: of the number, from 0
    value:    the number, as the network computed it
    terms:    the sum that it comes from: patch, kernel, their products, the bias (`number.terms.Terms`)
    steps:    what is done to that sum, in order: normalisation, activation, the other branch
    computed: what terms and steps give, in float64: `value` but for rounding
    mixed:    of a linear layer behind attention: the row of weights, and the values that it mixes, of the
              input that weighs most; else None
    notes:    sentences that a reader must know
    """

    model_name: str
    module: str
    channel: int
    row: int
    column: int
    value: float
    terms: Terms
    steps: tuple[Step, ...]
    computed: float
    remembered: Remembered = field(repr=False)
    mixed: Terms | None = None
    notes: tuple[str, ...] = ()

    @checked(row=whole(0), column=whole(0), channel=whole(0))
    def at(self, row: int, column: int, *, channel: int | None = None) -> ExplainedNumber:
        """Another number of the same map, without another pass; channel None: of the same channel."""
        channel = self.channel if channel is None else channel
        return explained(self.model_name, self.module, self.remembered, channel, row, column, self.notes)

    @property
    def agrees(self) -> bool:
        """Whether `computed` is `value` but for rounding. It is not where the network has done something in
        between that is not told, such as to write over a part of a map.
        """
        if not (math.isfinite(self.value) and math.isfinite(self.computed)):
            return True
        passed = [self.value, float(self.terms.products.abs().sum()), *(step.value for step in self.steps)]
        dtype = self.remembered.tensor.dtype
        rounding = max(1e-3, torch.finfo(dtype).eps ** 0.5 if dtype.is_floating_point else 0)
        return abs(self.computed - self.value) <= rounding * max(map(abs, passed))

    @property
    def apart(self) -> str:
        """What to say where it is not; "" where it is."""
        return "" if self.agrees else (
            f"This gives {self.computed:.6g}, and the number is {self.value:.6g}: the network does something "
            "in between that is not told here.")

    @property
    def products(self) -> list[tuple[int, float]]:
        """(input channel, input or place; what it adds to the sum), those that weigh most first."""
        products = self.terms.products.tolist()
        return [(self.terms.numbers[i], products[i]) for i in self.terms.order]

    @property
    def formula(self) -> str:
        """In a line: the sum, the bias, what is done to it, the number."""
        terms = self.terms
        if not terms.known:
            first = f"{terms.value:.6g} ({terms.kind})"
        elif terms.kind == "largest":
            first = f"{terms.total:.6g}, the largest of {len(terms.numbers)} {terms.of}s"
        else:
            first = f"{terms.total - terms.bias:.6g}, the sum of {_counted(terms)}"
            first += f", + {terms.bias:.6g} (bias)" if terms.bias else ""
        return " → ".join([first, *(f"{step.text} = {step.value:.6g}" for step in self.steps)])

    def picture(self, limit: int = SHOWN) -> Image.Image:
        """A row a term, the strongest first: what lies under the kernel, the kernel, their product.

        Blue adds, orange takes away, grey is zero, dark lies over the edge. Each column has one scale.
        """
        if self.terms.first is None or self.terms.second is None:
            raise ValueError(f"A {self.terms.kind} has no terms to draw: its value is {self.value:.6g}.")
        rows = self.terms.order[:limit]
        first, second = self.terms.first[rows].numpy(), self.terms.second[rows].numpy()
        columns = [_coloured(values) for values in (first, second, first * second)]
        if self.terms.inside is not None:
            columns[0][:, ~self.terms.inside.numpy()] = OUTSIDE
        return Image.fromarray(_arranged(columns))

    def __repr__(self) -> str:
        place = f"{self.module}[{self.channel}, {self.row}, {self.column}]"
        return f"ExplainedNumber({place} = {self.value:.6g}: {self.formula})"

    def _repr_html_(self) -> str:
        terms = self.terms
        place = f"{self.module}: channel {self.channel}"
        if self.remembered.layout is not None:
            place += f", row {self.row}, column {self.column}"
        place += f" is {self.value:.6g}"
        facts = f"It comes from {_named(terms)}."
        if terms.corner is not None and terms.inside is not None:
            first = "The kernel" if terms.inside.numel() == 1 else "The kernel's first weight"
            facts += f" {first} lies on row {terms.corner[0]}, column {terms.corner[1]}."
        notes = notes_html([*self.notes, *filter(None, [self.apart])])
        return (f"<div>{title_html(f'{self.model_name}, {place}')}<p style='{LINE}'>{escape(facts)}</p>"
                f"{notes}{_terms_html(terms)}{_steps_html(self)}{_mixed_html(self)}</div>")


def explained(model_name: str, module: str, remembered: Remembered, channel: int, row: int, column: int,
              notes: tuple[str, ...] = ()) -> ExplainedNumber:
    """Raises ValueError for a number that the map has not."""
    for word, given, count in zip(("channel", "row", "column"), (channel, row, column), remembered.sizes):
        if given >= count:
            raise ValueError(f"{word} is {given}: {module} has {count} {word}{'s' * (count != 1)}, "
                             "counted from 0.")
    index = remembered.index(channel, row, column)
    terms, steps, computed = trail(remembered.tensor, index)
    return ExplainedNumber(model_name, module, channel, row, column, float(remembered.tensor[index]), terms,
                           tuple(steps), computed, remembered, _mixed(terms), notes)


def _mixed(terms: Terms) -> Terms | None:
    """The attention behind the input of a linear layer that weighs most, if it comes out of one."""
    if terms.kind != "linear layer" or terms.source is None:
        return None
    tensor, place = terms.source
    behind, steps, _ = trail(tensor, (*place, terms.numbers[terms.order[0]]))
    return behind if behind.kind == "attention" and not steps else None


# --- what is shown ------------------------------------------------------------------------------------------


def _counted(terms: Terms) -> str:
    count = len(terms.numbers)
    return f"{count} {terms.of}{'s' * (count != 1)}"


def _named(terms: Terms) -> str:
    """"the convolution layer1.0.conv1 (kernel 3 x 3, padding 1)"."""
    settings = f" ({terms.settings})" if terms.settings else ""
    return f"the {terms.kind}{f' {terms.layer}' if terms.layer else ''}{settings}"


def _mixed_html(number: ExplainedNumber) -> str:
    if number.mixed is None:
        return ""
    text = (f"Input {number.products[0][0]}, which weighs most, is itself mixed by {_named(number.mixed)}: "
            "each place's weight, from the softmax, times its value.")
    return f"<p style='{LINE}'>{escape(text)}</p>{_terms_html(number.mixed)}"


def _terms_html(terms: Terms) -> str:
    if not terms.known or terms.first is None or terms.second is None:
        return ""
    order = terms.order[:SHOWN]
    products, largest = terms.products, float(terms.products.abs().max()) or 1.0
    drawn = terms.first.shape[1] * terms.first.shape[2] > 1
    words = ("under the kernel", "kernel", "product") if drawn else \
        ("weight", "value") if terms.kind == "attention" else ("value", "weight")
    rows = ""
    pictures = [_coloured(values[order].numpy())
                for values in (terms.first, terms.second, terms.first * terms.second)] if drawn else []
    if drawn and terms.inside is not None:
        pictures[0][:, ~terms.inside.numpy()] = OUTSIDE
    for place, index in enumerate(order):
        product = float(products[index])
        if drawn:
            cells = "".join(cell_html(_picture(column[place], word)) for column, word in zip(pictures, words))
        else:
            cells = cells_html([f"{float(one[index, 0, 0]):.4g}" for one in (terms.first, terms.second)])
        bar = bar_html(abs(product) / largest, BLUE if product >= 0 else ORANGE)
        rows += (f"<tr>{name_html(f'{terms.of} {terms.numbers[index]}')}{cells}"
                 f"{cells_html([f'{product:+.4g}'])}{cell_html(bar, style='width:8em')}</tr>")
    count = len(terms.numbers)
    caption = f"The {len(order)} strongest of {_counted(terms)}" if count > len(order) else _counted(terms)
    legend = f"Blue adds, orange takes away{', grey is zero' if drawn else ''}"
    if drawn and terms.inside is not None and not bool(terms.inside.all()):
        legend += ", dark is padding"
    titles = ("", *words, "adds", "")
    return (f"{table_html(titles, rows, caption=caption, left=1 + len(words) * drawn)}"
            f"<p style='{LINE};font-size:.85em'>{legend}.</p>")


def _steps_html(number: ExplainedNumber) -> str:
    terms, rows = number.terms, []
    if terms.known and terms.kind != "largest":
        rows.append((f"sum over {_counted(terms)}", "", terms.total - terms.bias))
        if terms.bias:
            rows.append(("bias", f"+ {terms.bias:.6g}", terms.total))
    else:
        rows.append((terms.kind, "", terms.total))
    rows += [(step.name, step.text * (step.text != step.name), step.value) for step in number.steps]
    lines = "".join(f"<tr>{name_html(name)}{cells_html([text, f'{value:.6g}'], left=1)}</tr>"
                    for name, text, value in rows)
    return table_html(("step", "", "gives"), lines, left=2)


def _coloured(values: np.ndarray) -> np.ndarray:
    """Numbers [n, h, w] as colours [n, h, w, 3]: all on one scale, the largest in full blue or orange."""
    finite = np.nan_to_num(values)
    share = finite / (np.abs(finite).max() or 1.0)
    ends = [np.array([int(colour[i:i + 2], 16) for i in (1, 3, 5)], np.float64) for colour in (BLUE, ORANGE)]
    full = np.where((share >= 0)[..., None], ends[0], ends[1])
    strength = np.sqrt(np.abs(share))[..., None]  # so that small ones are seen too
    return np.rint(np.array(GREY) * (1 - strength) + full * strength).astype(np.uint8)


def _enlarged(tile: np.ndarray) -> np.ndarray:
    zoom = max(1, SIDE // max(tile.shape[:2]))
    return tile.repeat(zoom, 0).repeat(zoom, 1)


def _picture(tile: np.ndarray, word: str) -> str:
    from explorer.display.draw import data_uri

    return f"<img alt='{escape(word)}' src='{data_uri(Image.fromarray(_enlarged(tile)))}'>"


def _arranged(columns: list[np.ndarray], gap: int = 6) -> np.ndarray:
    """Columns of tiles [n, h, w, 3] as one picture, with white between them."""
    tiles = [[_enlarged(tile) for tile in column] for column in columns]
    height, width = tiles[0][0].shape[:2]
    count = len(tiles[0])
    canvas = np.full((count * (height + gap) - gap, len(columns) * (width + gap) - gap, 3), 255, np.uint8)
    for x, column in enumerate(tiles):
        for y, tile in enumerate(column):
            top, left = y * (height + gap), x * (width + gap)
            canvas[top:top + height, left:left + width] = tile
    return canvas
