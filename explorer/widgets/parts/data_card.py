"""What is in a data set, before anything learns from it: as HTML and captions; plain functions, no widget."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

from explorer.widgets.parts.photo_strip import Caption

if TYPE_CHECKING:
    from explorer.data.photo_sets import PhotoSet, Splits

MOST_CLASSES = 24   # bars; the rest is counted
SAMPLES = 12        # photos in the grid
MEASURED = 24       # photos that are opened for their size
CHECKED = 5000      # photos that are all opened to see whether they can be; of more, when a run starts
FEW = 10            # photos of a class to learn from


def card_html(splits: Splits, sizes: Sequence[tuple[int, int]] = (), notes: Sequence[str] = ()) -> str:
    """Counts per class as bars, the photos' sizes, and sentences. sizes: (width, height) of some photos."""
    facts = _facts_html(splits, sizes)
    if splits.train.numbers:
        said = notes_html([*splits.notes, *notes])
        return f'<div class="vx-data">{facts}{numbers_html(splits)}{said}</div>'
    learnt, judged = splits.train.counts(), splits.val.counts()
    most = max([*(learnt[name] + judged[name] for name in splits.classes), 1])
    rows = "".join(
        f'<li><span class="vx-name">{escape(name)}</span>'
        f'<span class="vx-value">{learnt[name]} + {judged[name]}</span>'
        f'<span class="vx-track"><span class="vx-bar" style="width:{learnt[name] / most:.1%}"></span>'
        f'<span class="vx-bar vx-bar-judged" style="width:{judged[name] / most:.1%}"></span></span></li>'
        for name in splits.classes[:MOST_CLASSES])
    rest = len(splits.classes) - MOST_CLASSES
    more = f'<p class="vx-soft">and {rest} more classes</p>' if rest > 0 else ""
    notes = [*splits.notes, *notes, *imbalance(learnt)]
    label = "Photos of each class: to learn from + to judge by"
    bars = f'<ul class="vx-predictions vx-counts" aria-label="{label}">{rows}</ul>'
    bars += '<p class="vx-soft">Dark: training, to learn from. Pale: validation, to judge by.</p>'
    return f'<div class="vx-data">{facts}{bars}{more}{notes_html(notes)}</div>'


def _facts_html(splits: Splits, sizes: Sequence[tuple[int, int]]) -> str:
    from explorer.data.photo_sets import of_what

    usual = tuple(splits.folders) == ("train", "val")  # what anybody expects needs no word
    learnt_in, judged_in = (f" (in {folder})" if folder and not usual else "" for folder in splits.folders)
    facts = (f"{len(splits.train)} photos to learn from{learnt_in}, {len(splits.val)} to judge "
             f"by{judged_in}, {of_what(splits.train)}")
    measure = f"; {sizes_text(sizes)}" if sizes else ""
    return f"<p><b>{escape(splits.name)}</b>: {escape(facts)}{measure}.</p>"


def notes_html(notes: Sequence[str]) -> str:
    items = "".join(f"<li>{escape(note)}</li>" for note in notes)
    return f'<ul class="vx-run-notes">{items}</ul>' if items else ""


def numbers_html(splits: Splits) -> str:
    """A table: of each number its range and mean, in both parts.
    Few photos, and a part beyond the other, are said.
    """
    from explorer.display.words import number_text

    lines, said = [], []
    for i, name in enumerate(splits.classes[:MOST_CLASSES]):
        cells, ends = "", []
        for part in (splits.train, splits.val):
            values = [label[i] for label in part.labels]
            low, high = (min(values), max(values)) if values else (0.0, 0.0)
            mean = sum(values) / max(len(values), 1)
            ends.append((low, high))
            range_text = f"{number_text(low)} to {number_text(high)}" if values else "–"
            cells += f"<td>{range_text}</td><td>{number_text(mean) if values else '–'}</td>"
        lines.append(f'<tr><th scope="row">{escape(name)}</th>{cells}</tr>')
        (low, high), judged = ends
        if len(splits.train) and len(splits.val) and (judged[0] < low or judged[1] > high):
            said.append(f"Some photos to judge by have a {name} beyond those to learn from: a model seldom "
                        "gets beyond what it has seen.")
    rest = len(splits.classes) - MOST_CLASSES
    more = f'<p class="vx-soft">and {rest} more numbers</p>' if rest > 0 else ""
    if len(splits.train) < FEW:
        said.insert(0, f"Fewer than {FEW} photos to learn from.")
    titles = ("number", "to learn from", "mean", "to judge by", "mean")
    head = "".join(f'<th scope="col">{title}</th>' for title in titles)
    return ('<table class="vx-numbers" aria-label="Range and mean of each number">'
            f'<thead><tr>{head}</tr></thead><tbody>{"".join(lines)}</tbody></table>{more}'
            f"{notes_html(said[:5])}")


def sizes_text(sizes: Sequence[tuple[int, int]]) -> str:
    """"96 × 96 pixels", or the smallest and the largest of them."""
    ordered = sorted(set(sizes), key=lambda size: size[0] * size[1])
    text = [f"{width} × {height}" for width, height in (ordered[0], ordered[-1])]
    if len(ordered) == 1:
        return f"{text[0]} pixels"
    return f"from {text[0]} to {text[1]} pixels (of {len(sizes)} that were looked at)"


def imbalance(counts: dict[str, int]) -> list[str]:
    """What a reader must know about how many photos the classes have."""
    notes = []
    scarce = [name for name, count in counts.items() if count < FEW]
    if scarce:
        shown = ", ".join(scarce[:5]) + (" and others" if len(scarce) > 5 else "")
        notes.append(f"Fewer than {FEW} photos to learn from: {shown}.")
    elif max(counts.values()) > 5 * min(counts.values()):
        low, high = min(counts, key=counts.__getitem__), max(counts, key=counts.__getitem__)
        times = f"{counts[high] / counts[low]:.0f} times"
        notes.append(f"{high} has {times} the photos of {low}: class weights may help.")
    return notes


def spread(photos: PhotoSet, count: int) -> list[int]:
    """Indices of `count` photos, taking turns among the classes;
    of numbers from the lowest to the highest first one.
    """
    if photos.numbers:
        order = sorted(range(len(photos)), key=lambda index: photos.labels[index])
        count = min(count, len(order))
        return [order[round(i * (len(order) - 1) / max(count - 1, 1))] for i in range(count)]
    groups: dict[object, list[int]] = {}
    for index, label in enumerate(photos.labels):
        groups.setdefault(label, []).append(index)
    turns = max(map(len, groups.values()), default=0)
    order = [group[turn] for turn in range(min(turns, count)) for group in groups.values()
             if turn < len(group)]
    return order[:count]


def label_caption(photos: PhotoSet, index: int) -> Caption:
    label = photos.labels[index]
    if photos.numbers:
        values = ", ".join(f"{name} {value:.4g}" for name, value in zip(photos.classes, label))
        return Caption(values, title=photos.names[index])
    labels = label if isinstance(label, tuple) else (label,)
    return Caption(", ".join(photos.classes[i] for i in labels), title=photos.names[index])


def duplicates_text(pairs: Sequence[tuple[str, str]]) -> str:
    """What `explorer.data.checks.duplicates` found, as a sentence."""
    if not pairs:
        return "No photo is in both parts, pixel for pixel."
    shown = "; ".join(f"{learnt} = {judged}" for learnt, judged in pairs[:5])
    more = " and others" if len(pairs) > 5 else ""
    count = f"{len(pairs)} photo{'s are' if len(pairs) != 1 else ' is'}"
    return f"{count} in both parts, and judge nothing: {shown}{more}."
