"""What is in a data set of boxes or masks, before anything learns from it: HTML and pictures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape
from typing import Any

import numpy as np
from PIL import Image

from explorer.display import draw
from explorer.display.words import counted
from explorer.widgets.parts.data_card import MOST_CLASSES, notes_html, sizes_text
from explorer.widgets.parts.photo_strip import Caption

SAMPLES = 6       # photos that are shown
FEW_PHOTOS = 10   # to learn from
FEW_BOXES = 10    # of a class to learn from
SIDE = 192        # pixels of a small photo with what is in it
MASK = 0.55       # opacity


def place_card_html(splits: Any, sizes: Sequence[tuple[int, int]], notes: Sequence[str] = ()) -> str:
    """Photos, boxes of each class as bars or the classes of masks, and sentences. sizes: of some photos"""
    kind, classes = splits.train.kind, splits.classes
    measure = f"; {sizes_text(sizes)}" if sizes else ""
    facts = (f"{counted(len(splits.train), 'photo')} to learn from, {len(splits.val)} to judge by, {kind} of "
             f"{counted(len(classes), 'class', 'es')}")
    head = f"<p><b>{escape(splits.name)}</b>: {escape(facts)}{measure}.</p>"
    said = [*splits.notes, *notes]
    if len(splits.train) < FEW_PHOTOS:
        said.append(f"Fewer than {FEW_PHOTOS} photos to learn from: enough to see how it works, no more.")
    learnt, judged = splits.train.counts(), splits.val.counts()
    if not learnt:
        names = ", ".join(map(escape, classes[:MOST_CLASSES]))
        more = f" and {len(classes) - MOST_CLASSES} more" if len(classes) > MOST_CLASSES else ""
        return f'<div class="vx-data">{head}<p class="vx-soft">{names}{more}</p>{notes_html(said)}</div>'
    most = max([*(learnt[name] + judged[name] for name in classes), 1])
    rows = "".join(
        f'<li><span class="vx-name">{escape(name)}</span>'
        f'<span class="vx-value">{learnt[name]} + {judged[name]}</span>'
        f'<span class="vx-track"><span class="vx-bar" style="width:{learnt[name] / most:.1%}"></span>'
        f'<span class="vx-bar vx-bar-judged" style="width:{judged[name] / most:.1%}"></span></span></li>'
        for name in classes[:MOST_CLASSES])
    rest = len(classes) - MOST_CLASSES
    more = f'<p class="vx-soft">and {rest} more classes</p>' if rest > 0 else ""
    scarce = [name for name in classes if learnt[name] < FEW_BOXES]
    if scarce:
        shown = ", ".join(scarce[:5]) + (" and others" if len(scarce) > 5 else "")
        said.append(f"Fewer than {FEW_BOXES} boxes to learn from: {shown}.")
    label = "Boxes of each class: to learn from + to judge by"
    bars = f'<ul class="vx-predictions vx-counts" aria-label="{label}">{rows}</ul>'
    return f'<div class="vx-data">{head}{bars}{more}{notes_html(said)}</div>'


def places_jpeg(photo: Image.Image, places: Any) -> bytes:
    return draw.jpeg_bytes(places_picture(photo, places))


def places_picture(photo: Image.Image, places: Any) -> Image.Image:
    """A photo of at most `SIDE` pixels with its boxes, or its mask's colours, over it."""
    from explorer.inspection.detect.drawing import draw_boxes
    from explorer.inspection.segment.colours import colour_of, tinted
    from explorer.training.run.small_photos import smaller

    small, there = smaller(photo.convert("RGB"), places, lambda one: draw.thumbnail(one, SIDE))
    if isinstance(there, np.ndarray):
        shown = {int(index): colour_of(int(index)) for index in np.unique(there) if 0 < index < 255}
        return tinted(small, there, shown, MASK)
    return draw_boxes(small, there.boxes, [""] * len(there), there.labels.tolist())


def places_caption(places: Any, name: str = "") -> Caption:
    """ "12 boxes", or the share of the photo that is not the first class, the background."""
    if isinstance(places, np.ndarray):
        known = places[places != 255]
        share = float((known > 0).mean()) if known.size else 0.0
        return Caption(f"{100 * share:.0f}\N{NO-BREAK SPACE}% masked", title=name)
    return Caption(counted(int((~places.crowd).sum()), "box", "es"), title=name)


def measured(splits: Any, stale: Callable[[], bool]) -> tuple[str, list[tuple[bytes, Caption]]] | None:
    """(the card, some photos with what is in them); None where nobody waits for it any more."""
    from explorer.data.errors import ImageError

    shown, sizes, notes = [], [], []
    photos = splits.train
    count = min(SAMPLES, len(photos))
    for index in (i * len(photos) // count for i in range(count)):
        if stale():
            return None
        try:
            photo, places = photos[index]
        except ImageError as error:  # the run leaves it out, too
            notes.append(f"{photos.names[index]}: {error}")
            continue
        sizes.append(photo.size)
        shown.append((places_jpeg(photo, places), places_caption(places, photos.names[index])))
    return place_card_html(splits, sizes, notes), shown


def varied(splits: Any, augment: str, seed: int, count: int) -> list[bytes]:
    """One photo with what is in it as an epoch may see it, `count` times. Raises ImageError."""
    from explorer.data.places.augment import Augmented
    from explorer.training.loop.order import drawn_by

    photo, places = splits.train[0]
    vary, pictures = Augmented(augment), []
    for number in range(count):
        with drawn_by(seed, -5, number):
            pictures.append(places_jpeg(*vary(photo.copy(), places)))
    return pictures
