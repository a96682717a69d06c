"""What a network for boxes or masks finds in a photo, small, while it learns: pictures and words."""

from __future__ import annotations

from html import escape
from typing import Any

import numpy as np

from explorer.display import draw
from explorer.display.words import counted
from explorer.widgets.parts.photo_strip import Caption
from explorer.widgets.parts.place_card import places_picture

LARGE = 420  # pixels of the reader's own photo


def found_picture(found: Any, side: int) -> bytes:
    """A small JPEG. found: `Detections` or `Segmentation` that holds its photo"""
    if hasattr(found, "boxes"):
        from explorer.inspection.detect.drawing import draw_boxes

        small = draw.thumbnail(found.image.convert("RGB"), side)
        share = small.width / found.image.width
        if found.masks is not None:
            return draw.jpeg_bytes(draw.thumbnail(found.overlay(), side))
        boxes = found.boxes.double().numpy() * share
        return draw.jpeg_bytes(draw_boxes(small, boxes, [""] * len(boxes), found.indices.tolist()))
    return draw.jpeg_bytes(draw.thumbnail(found.overlay(), side))


def found_caption(found: Any, truth: Any, name: str) -> Caption:
    """ "5 found, 7 there", or "mIoU 61 %"."""
    if isinstance(truth, np.ndarray):
        from explorer.training.run.place_shadow import mean_overlap

        return Caption(f"mIoU {100 * mean_overlap(found, truth):.0f}\N{NO-BREAK SPACE}%", title=name)
    there = int((~truth.crowd).sum())
    return Caption(f"{len(found)} found, {there} there", title=name)


def samples_shown(shadow: Any, found: list[Any], side: int) -> tuple[list[bytes], list[Caption]]:
    """Each photo with what is there, and behind it with what was found."""
    pictures, captions = [], []
    for photo, truth, name, one in zip(shadow.photos, shadow.truth, shadow.names, found, strict=True):
        pictures += [places_picture(photo, truth), found_picture(one, side)]
        captions += [Caption("true", title=name), found_caption(one, truth, name)]
    return pictures, captions


def places_text(task: str, when: str) -> str:
    """The line above the sample photos."""
    from explorer.training.run.place_shadow import LEAST_SCORE

    boxes = f" (boxes with a score above {LEAST_SCORE:g})" if task == "detection" else ""
    return f"What it finds in photos that it does not learn from, {when}{boxes}."


def own_html(found: Any, name: str) -> str:
    """The reader's photo with what was found in it, and how much of each class."""
    from base64 import b64encode

    source = f"data:image/jpeg;base64,{b64encode(found_picture(found, LARGE)).decode('ascii')}"
    if hasattr(found, "boxes"):
        counts = {label: found.labels.count(label) for label in dict.fromkeys(found.labels)}
        said = ", ".join(f"{label} {count}" for label, count in counts.items())
        text = f"{counted(len(found), 'box', 'es')}{': ' if said else ''}{said}"
    else:
        text = ", ".join(f"{label} {100 * share:.0f} %" for label, share in found.shares.items())
    return (f'<div class="vx-epochs-found"><img alt="What it finds in your photo" src="{source}">'
            f'<p>Your photo, {escape(name)}<br><span class="vx-soft">{escape(text)}</span></p></div>')
