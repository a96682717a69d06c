"""What a network for boxes or masks finds in a photo, small, while it learns: pictures and words."""

from __future__ import annotations

from html import escape
from typing import Any

import numpy as np
from PIL import Image

from explorer.display import draw
from explorer.display.words import counted
from explorer.widgets.parts.photo_strip import Caption
from explorer.widgets.parts.place_card import SIDE, places_picture

LARGE = 420  # pixels of the reader's own photo
GAP, GREY = 4, (128, 128, 128)  # between two pictures


def found_picture(found: Any, side: int) -> Image.Image:
    """At most `side` pixels. found: `Detections` or `Segmentation` that holds its photo"""
    if not hasattr(found, "boxes") or found.masks is not None:
        return draw.thumbnail(found.overlay(), side)
    from explorer.inspection.detect.drawing import draw_boxes

    small = draw.thumbnail(found.image.convert("RGB"), side)  # names would cover what is there
    boxes = found.boxes.double().numpy() * (small.width / found.image.width)
    return draw_boxes(small, boxes, [""] * len(boxes), found.indices.tolist())


def beside(left: Image.Image, right: Image.Image) -> bytes:
    """Two pictures of one size as a JPEG."""
    both = Image.new("RGB", (left.width + GAP + right.width, left.height), GREY)
    both.paste(left, (0, 0))
    both.paste(right, (left.width + GAP, 0))
    return draw.jpeg_bytes(both)


def found_caption(found: Any, truth: Any, name: str) -> Caption:
    """ "5 found, 7 there", or "mIoU 61 %"."""
    if isinstance(truth, np.ndarray):
        from explorer.training.run.place_shadow import mean_overlap

        return Caption(f"mIoU {100 * mean_overlap(found, truth):.0f}\N{NO-BREAK SPACE}%", title=name)
    there = int((~truth.crowd).sum())
    return Caption(f"{len(found)} found, {there} there", title=name)


def samples_shown(shadow: Any, found: list[Any]) -> tuple[list[bytes], list[Caption]]:
    """Of each photo what is there, and right of it what was found."""
    pictures, captions = [], []
    for photo, truth, name, one in zip(shadow.photos, shadow.truth, shadow.names, found, strict=True):
        pictures.append(beside(places_picture(photo, truth), found_picture(one, SIDE)))
        captions.append(found_caption(one, truth, name))
    return pictures, captions


def places_text(task: str, when: str) -> str:
    """The line above the sample photos."""
    from explorer.training.run.place_shadow import LEAST_SCORE

    boxes = f", boxes with a score above {LEAST_SCORE:g}" if task == "detection" else ""
    return (f"What it finds in photos that it does not learn from, {when}. Left: what is there. Right: what "
            f"it finds{boxes}.")


def own_html(found: Any, name: str) -> str:
    """The reader's photo with what was found in it, and how much of each class."""
    source = draw.data_uri(found_picture(found, LARGE), format="JPEG")
    if hasattr(found, "boxes"):
        counts = {label: found.labels.count(label) for label in dict.fromkeys(found.labels)}
        said = ", ".join(f"{label} {count}" for label, count in counts.items())
        text = f"{counted(len(found), 'box', 'es')}: {said}" if said else "no boxes"
    else:
        text = ", ".join(f"{label} {100 * share:.0f} %" for label, share in found.shares.items())
    return (f'<div class="vx-epochs-found"><img alt="What it finds in your photo" src="{source}">'
            f'<p>Your photo, {escape(name)}<br><span class="vx-soft">{escape(text)}</span></p></div>')
