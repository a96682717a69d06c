"""What is in a data set, before anything learns from it: as HTML and captions; plain functions, no widget."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

from explorer.widgets.parts.photo_strip import Caption

if TYPE_CHECKING:
    from explorer.data.datasets import PhotoSet, Splits

MOST_CLASSES = 24   # bars; the rest is counted
SAMPLES = 12        # photos in the grid
MEASURED = 24       # photos that are opened for their size
CHECKED = 5000      # photos that are all opened to see whether they can be; more are checked when a run starts
FEW = 10            # photos of a class to learn from


def card_html(splits: Splits, sizes: Sequence[tuple[int, int]] = (), notes: Sequence[str] = ()) -> str:
    """Counts per class as bars, the photos' sizes, and sentences. sizes: (width, height) of some photos."""
    from explorer.data.datasets import of_what

    learnt, judged = splits.train.counts(), splits.val.counts()
    most = max([*(learnt[name] + judged[name] for name in splits.classes), 1])
    rows = "".join(
        f'<li><span class="vx-name">{escape(name)}</span><span class="vx-value">{learnt[name]} + {judged[name]}</span>'
        f'<span class="vx-track"><span class="vx-bar" style="width:{learnt[name] / most:.1%}"></span>'
        f'<span class="vx-bar vx-bar-judged" style="width:{judged[name] / most:.1%}"></span></span></li>'
        for name in splits.classes[:MOST_CLASSES])
    rest = len(splits.classes) - MOST_CLASSES
    more = f'<p class="vx-soft">and {rest} more classes</p>' if rest > 0 else ""
    learnt_in, judged_in = (f" (in {folder})" if folder else "" for folder in splits.folders)
    facts = (f"{len(splits.train)} photos to learn from{learnt_in}, {len(splits.val)} to judge "
             f"by{judged_in}, {of_what(splits.train)}")
    measure = f"; {sizes_text(sizes)}" if sizes else ""
    notes = [*splits.notes, *notes, *imbalance(learnt)]
    items = "".join(f"<li>{escape(note)}</li>" for note in notes)
    return (f'<div class="vx-data"><p><b>{escape(splits.name)}</b>: {escape(facts)}{measure}.</p>'
            f'<ul class="vx-predictions vx-counts" aria-label="Photos of each class: to learn from + to judge by">{rows}</ul>{more}'
            + (f'<ul class="vx-run-notes">{items}</ul>' if items else "") + "</div>")


def sizes_text(sizes: Sequence[tuple[int, int]]) -> str:
    """"96 × 96 pixels", or the smallest and the largest of them."""
    ordered = sorted(set(sizes), key=lambda size: size[0] * size[1])
    text = [f"{width} × {height}" for width, height in (ordered[0], ordered[-1])]
    return f"{text[0]} pixels" if len(ordered) == 1 else f"{text[0]} to {text[1]} pixels in {len(sizes)} of them"


def imbalance(counts: dict[str, int]) -> list[str]:
    """What a reader must know about how many photos the classes have."""
    notes = []
    scarce = [name for name, count in counts.items() if count < FEW]
    if scarce:
        shown = ", ".join(scarce[:5]) + (" and others" if len(scarce) > 5 else "")
        notes.append(f"Fewer than {FEW} photos to learn from: {shown}.")
    elif max(counts.values()) > 5 * min(counts.values()):
        low, high = min(counts, key=counts.__getitem__), max(counts, key=counts.__getitem__)
        notes.append(f"{high} has {counts[high] / counts[low]:.0f} times the photos of {low}: class weights may help.")
    return notes


def spread(photos: PhotoSet, count: int) -> list[int]:
    """Indices of `count` photos, taking turns among the classes."""
    groups: dict[object, list[int]] = {}
    for index, label in enumerate(photos.labels):
        groups.setdefault(label, []).append(index)
    turns = max(map(len, groups.values()), default=0)
    order = [group[turn] for turn in range(min(turns, count)) for group in groups.values() if turn < len(group)]
    return order[:count]


def label_caption(photos: PhotoSet, index: int) -> Caption:
    label = photos.labels[index]
    if photos.numbers:
        values = ", ".join(f"{name} {value:.4g}" for name, value in zip(photos.classes, label))
        return Caption(values, title=photos.names[index])
    return Caption(", ".join(photos.classes[i] for i in (label if isinstance(label, tuple) else (label,))), title=photos.names[index])


def duplicates_text(pairs: Sequence[tuple[str, str]]) -> str:
    """What `explorer.data.datasets.duplicates` found, as a sentence."""
    if not pairs:
        return "No photo is in both parts, pixel for pixel."
    shown = "; ".join(f"{learnt} = {judged}" for learnt, judged in pairs[:5])
    return (f"{len(pairs)} photo{'s are' if len(pairs) != 1 else ' is'} in both parts, and judge nothing: {shown}"
            f"{' and others' if len(pairs) > 5 else ''}.")
