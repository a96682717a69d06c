"""What the page gets of one photo of the grid: its row, and its small picture."""

from __future__ import annotations

import io
from math import isfinite
from typing import TYPE_CHECKING

from explorer.display.words import number_text, percent
from explorer.widgets.parts.answer_grid import GridCell, GridRow

if TYPE_CHECKING:
    from PIL import Image

    from explorer.inspection.compare.facts import Disagreement

SMALL = (112, 84)  # pixels of a photo


def grid_row(row: Disagreement, most: float, furthest: float = 0.0) -> GridRow:
    """One photo as the page shows it.

    most: the largest divergence there can be, 0 where nothing has one
    furthest: of models that give numbers, the largest distance of all photos
    """
    *first, last = row.truth or ("",)
    truth = f"shows {', '.join(first)} or {last}" if first else f"shows {last}" if last else ""
    cells = tuple(GridCell(answer, "" if share is None else percent(share), right)
                  for answer, share, right in zip(row.answers, row.shares, row.right))
    if furthest:
        share = row.distance / furthest if isfinite(row.distance) else 0.0
        return GridRow(row.photo, truth, number_text(row.distance), share, cells)
    if not most:
        return GridRow(row.photo, truth, percent(row.share), row.share, cells)
    if row.bits is None:  # of an answer that is no number
        return GridRow(row.photo, truth, "–", 0.0, cells)
    return GridRow(row.photo, truth, f"{row.bits:.2f}", row.bits / most, cells)


def small_jpeg(photo: Image.Image) -> bytes:
    """The middle of a photo, small."""
    from PIL import ImageOps

    buffer = io.BytesIO()
    ImageOps.fit(photo.convert("RGB"), SMALL).save(buffer, "JPEG", quality=80)
    return buffer.getvalue()
