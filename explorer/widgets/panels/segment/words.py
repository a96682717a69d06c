"""What the tab Segment says of a mask beside the one that is known."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from explorer.display.words import percent

if TYPE_CHECKING:
    from explorer.inspection.segment.judging import JudgedMask

MOST_ROWS = 30


def probability_html(label: str) -> str:
    return (f"<p>How likely each place is a part of <b>{escape(label)}</b>: bright is likely. Point at one "
            "for the number.</p>")


def judged_html(judged: JudgedMask) -> str:
    """IoU of each class and their mean; names of classes are untrusted text."""
    if judged.miou is None:
        return "<p>No pixel of the true mask counts.</p>"
    ious = sorted(judged.ious.items(), key=lambda row: row[1])
    rows = "".join(f"<tr><th scope='row'>{escape(judged.labels[index])}</th><td>{iou:.3f}</td></tr>"
                   for index, iou in ious[:MOST_ROWS])
    more = f"<p>The {MOST_ROWS} lowest of {len(ious)} classes.</p>" if len(ious) > MOST_ROWS else ""
    return (f"<p>Mean IoU <b>{judged.miou:.3f}</b>; {percent(judged.accuracy)} of the pixels are right.</p>"
            f'<table class="vx-facts" aria-label="Intersection over union of each class"><tbody>'
            f"<tr><th scope='col'>class</th><td>IoU</td></tr>{rows}</tbody></table>{more}")
