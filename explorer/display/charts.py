"""Charts to keep: what every matplotlib figure of ours has in common."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def no_formulas(figure: Figure) -> Figure:
    """The figure, in which a dollar is a dollar: names of classes and models are no mathematics."""
    from matplotlib.text import Text

    for text in figure.findobj(Text):
        text.set_parse_math(False)
    return figure
