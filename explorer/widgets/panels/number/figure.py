"""A number and the sum that it comes from as a chart to keep: patches, kernels, products, steps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from explorer.display.html import BLUE, ORANGE
from explorer.widgets import export

if TYPE_CHECKING:
    from explorer.inspection.number.explained import ExplainedNumber
    from explorer.inspection.number.terms import Terms
    from explorer.inspection.receptive.field import ReceptiveField

ROWS = 5  # terms


def number_figure(number: ExplainedNumber, field: ReceptiveField | None, *, title: str) -> Any:
    """A matplotlib Figure: what weighs most at the left, the steps at the right, below them the effective
    field where it is on the screen.
    """
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import PowerNorm
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10.5, 6.4), layout="constrained")
    left, right = figure.subfigures(1, 2, width_ratios=(5, 3))
    terms = number.terms
    if terms.first is not None and terms.first.shape[1] * terms.first.shape[2] > 1:
        _patches(left, terms)
    else:
        _bars(left, terms if terms.known else None)
    places = right.subplots(2 if field is not None else 1, 1, squeeze=False)[:, 0]
    places[0].set_axis_off()
    steps = "\n\n".join([*number.formula.split(" → "), f"the cell: {number.value:.6g}"])
    places[0].text(0, 1, steps, va="top", fontsize=9, wrap=True, parse_math=False,
                   transform=places[0].transAxes)
    if field is not None:
        places[1].imshow(field.overlay())
        places[1].set_axis_off()
        places[1].set_title("effective field (heat), theoretical field (frame)", fontsize=8)
        scale = right.colorbar(ScalarMappable(PowerNorm(0.5, 0, 1), "magma"), ax=places[1], shrink=0.7)
        scale.set_label("share of the strongest pixel", fontsize=7)
    return export.titled(figure, title)


def _patches(part: Any, terms: Terms) -> None:
    """A row a term: what lies under the kernel, the kernel, their product; each column on one scale."""
    from matplotlib.colors import LinearSegmentedColormap

    colours = LinearSegmentedColormap.from_list("adds", [ORANGE, "#f2f2f2", BLUE])
    rows = terms.order[:ROWS]
    first, second = (np.asarray(values)[rows] for values in (terms.first, terms.second))
    products = terms.products.tolist()
    places = part.subplots(len(rows), 3, squeeze=False)
    for column, (values, word) in enumerate(zip((first, second, first * second),
                                                ("under the kernel", "kernel", "product"))):
        most = float(np.abs(np.nan_to_num(values)).max()) or 1.0
        places[0, column].set_title(word, fontsize=9)
        for place, index, one in zip(places[:, column], rows, values):
            place.imshow(one, cmap=colours, vmin=-most, vmax=most)
            place.set(xticks=(), yticks=())
            if one.size <= 25:
                for (y, x), value in np.ndenumerate(one):
                    place.text(x, y, f"{value:.2g}", ha="center", va="center", fontsize=6)
            if column == 0:
                place.set_ylabel(f"{terms.of}\n{terms.numbers[index]}", fontsize=7)
            if column == 2:
                place.set_xlabel(f"adds {products[index]:+.4g}", fontsize=7)


def _bars(part: Any, terms: Terms | None) -> None:
    """What each of the strongest terms adds; nothing where they are not known."""
    place = part.subplots()
    if terms is None:
        place.set_axis_off()
        return
    rows = terms.order[:4 * ROWS]
    values = [float(terms.products[i]) for i in rows]
    place.barh(range(len(rows)), values, color=[BLUE if value >= 0 else ORANGE for value in values])
    place.set_yticks(range(len(rows)), [f"{terms.of} {terms.numbers[i]}" for i in rows], fontsize=7)
    place.invert_yaxis()
    place.set_xlabel(f"adds to the sum ({len(rows)} of {len(terms.numbers)} terms)", fontsize=8)
    place.spines[["top", "right"]].set_visible(False)
