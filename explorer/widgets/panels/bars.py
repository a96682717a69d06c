"""Bars of HTML for probabilities, as several panels draw them."""

from __future__ import annotations


def bar_html(share: float, name: str = "") -> str:
    """A bar as long as a share of its track; not a number: none. name: one more CSS class."""
    kind = f"vx-bar {name}".strip()
    width = f"{share if share == share else 0:.2%}"
    return f'<span class="vx-track"><span class="{kind}" style="width:{width}"></span></span>'
