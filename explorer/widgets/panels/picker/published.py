"""The models whose accuracy is published, as points; and in a sentence how many those are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from explorer.models.card import ModelCard

Point = tuple[str, int | None, int | None, float, int]


def points(cards: Iterable[ModelCard]) -> Iterator[Point]:
    """(name, parameters, multiply-adds, top-1 in per cent, side of the photo in pixels) of each model that
    has a published top-1 on ImageNet: that of its default weights.
    """
    for card in cards:
        if card.config.top1 is not None:
            yield card.name, card.parameters, card.macs, card.config.top1, card.config.input_size[-1]


def drawn_text(found: Iterable[ModelCard], total: int) -> str:
    """Of the models that fit, how many are drawn."""
    cards = list(found)
    drawn = sum(card.config.top1 is not None for card in cards)
    if not cards:
        return ""
    what = "models" if len(cards) == total else "models that fit" if len(cards) > 1 else "model that fits"
    have = "have" if drawn != 1 else "has"
    return (f"{drawn} of {len(cards)} {what} {have} a published figure for ImageNet's classes; the others "
            "are not drawn. Point at one for its numbers, click it for its card; sources behind (i).")
