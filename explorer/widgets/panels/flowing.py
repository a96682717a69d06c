"""The stops of the first screen: which stages stand between photo and answer, and what to call them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from explorer.display import draw
from explorer.inspection.look.stops import MOST, even, words_of
from explorer.widgets.parts.flow import Stop

if TYPE_CHECKING:
    from torch import Tensor

    from explorer.inspection.look.result import Look
    from explorer.models.contract import VisionModel

SHOWN = 4     # maps of each
LARGEST = 56  # pixels of a small map's longer side; larger ones are averaged


def stops_of(look: Look, model: VisionModel) -> tuple[list[Stop], str]:
    """(the stops, a line below them) for a look of this model."""
    names = list(look.stages)
    places = even(len(names), MOST)
    strides = [stride_of(name, look, model) for name in names]
    trained = getattr(model, "load_report", None) is not None
    words = words_of([strides[place] for place in places], places, len(names), trained=trained)
    stops = [_stop(names[place], word, look.stages[names[place]], strides[place])
             for place, word in zip(places, words, strict=True)]
    left_out = len(names) - len(stops)
    return stops, f"{len(stops)} of {len(names)} stages; the others: Feature maps." if left_out else ""


def stride_of(name: str, look: Look, model: VisionModel) -> int:
    """Pixels of the network's input from one cell of a stage to the next; of a network that does not say so,
    as the sizes of photo and map give it, by the longer side.
    """
    for stage in getattr(model, "stage_table", ()):
        if name in (stage.name, stage.module):
            return stage.reduction
    return max(1, round(max(look.input.shape[-2:]) / max(look.stages[name].shape[-2:])))


def _stop(name: str, words: str, maps: Tensor, stride: int) -> Stop:
    values = np.asarray(maps)
    strength = draw.strength(values)
    channels = [int(c) for c in np.argsort(-strength, kind="stable")[:SHOWN]]
    pictures = tuple(draw.png_bytes(draw.palette_mosaic(values[[c]], columns=1, cell=LARGEST, gap=0))
                     for c in channels)
    shape = (int(maps.shape[0]), int(maps.shape[1]), int(maps.shape[2]))
    return Stop(name, words, shape, stride, tuple(channels), pictures)
