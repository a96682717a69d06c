"""Small pictures of collected photos: for the cards, and some of each class as a figure to keep."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from explorer.data.class_shelf import ShelfPhoto
from explorer.display.words import counted
from explorer.widgets.gallery import thumbnail_jpeg

log = logging.getLogger(__name__)

SIDE = 72        # pixels
IN_A_ROW = 10    # photos of a class in the figure
MOST_ROWS = 12   # classes in it

thumbnail = partial(thumbnail_jpeg, side=SIDE)


def small_pictures(photos: Iterable[ShelfPhoto]) -> dict[int, bytes]:
    """The bytes of a small JPEG of each photo by its key, of those that can be opened."""
    found = {}
    for photo in photos:
        try:
            found[photo.key] = thumbnail(photo.path)
        except Exception as error:  # it came with a folder, and is no picture
            log.info("no small picture of %s", photo.path, exc_info=error)
    return found


def sheet_of(classes: Mapping[str, Sequence[ShelfPhoto]]) -> Any:
    """A Figure: a row a class, of photos all along the way."""
    import numpy as np
    from matplotlib.figure import Figure
    from PIL import Image

    from explorer.display.charts import no_formulas

    rows = [(name, photos) for name, photos in classes.items() if photos][:MOST_ROWS]
    figure = Figure(figsize=(7.2, 0.4 + len(rows)), layout="constrained")
    for (name, photos), axes in zip(rows, figure.subplots(len(rows), 1, squeeze=False)[:, 0]):
        count = min(len(photos), IN_A_ROW)
        chosen = [photos[round(place)] for place in np.linspace(0, len(photos) - 1, count)]
        strip = Image.new("RGB", (IN_A_ROW * SIDE, SIDE), "white")
        for place, data in enumerate(small_pictures(chosen).values()):
            strip.paste(Image.open(io.BytesIO(data)), (place * SIDE, 0))
        axes.imshow(strip)
        axes.set_title(f"{name}: {counted(len(photos), 'photo')}", loc="left", fontsize=9)
        axes.axis("off")
    return no_formulas(figure)
