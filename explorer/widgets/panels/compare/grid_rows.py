"""What the page gets of one photo of the grid: its row, and its small picture."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from explorer.display.words import percent
from explorer.widgets.parts.answer_grid import GridCell, GridRow

if TYPE_CHECKING:
    from PIL import Image

    from explorer.inspection.compare.facts import Disagreement

SMALL = (112, 84)  # pixels of a photo


def grid_row(row: Disagreement, most: float) -> GridRow:
    """One photo as the page shows it."""
    *first, last = row.truth or ("",)
    truth = f"shows {', '.join(first)} or {last}" if first else f"shows {last}" if last else ""
    cells = tuple(GridCell(answer, "" if share is None else percent(share), right)
                  for answer, share, right in zip(row.answers, row.shares, row.right))
    if row.bits is None:
        return GridRow(row.photo, truth, percent(row.share), row.share, cells)
    return GridRow(row.photo, truth, f"{row.bits:.2f}", row.bits / most if most else 0.0, cells)


def small_jpeg(photo: Image.Image) -> bytes:
    """The middle of a photo, small."""
    from PIL import ImageOps

    buffer = io.BytesIO()
    ImageOps.fit(photo.convert("RGB"), SMALL).save(buffer, "JPEG", quality=80)
    return buffer.getvalue()
