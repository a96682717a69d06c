"""The stops of the first screen: which stages stand between photo and answer, and what to call them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from explorer.display import draw
from explorer.widgets.parts.flow import Stop

if TYPE_CHECKING:
    from torch import Tensor

    from explorer.inspection.look.result import Look
    from explorer.models.contract import VisionModel

MOST = 5      # stops in a row: more do not fit, and a large transformer has dozens of stages
SHOWN = 4     # maps of each
LARGEST = 56  # pixels of a small map's longer side; larger ones are averaged

#: What the stages of trained convolutional networks answer to, from the first to the last: the headings of
#: Olah, Mordvintsev and Schubert, 2017, "Feature Visualization", for GoogLeNet. A rule of thumb.
KINDS = ("edges and colours", "textures", "patterns", "parts", "objects")


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


def even(count: int, most: int) -> list[int]:
    """At most `most` of the places 0..count-1, evenly spaced, with the first and the last."""
    if count <= most:
        return list(range(count))
    return [round(i * (count - 1) / (most - 1)) for i in range(most)]


def stride_of(name: str, look: Look, model: VisionModel) -> int:
    """Pixels of the network's input from one cell of a stage to the next; of a network that does not say so,
    as the sizes of photo and map give it, by the longer side.
    """
    for stage in getattr(model, "stage_table", ()):
        if name in (stage.name, stage.module):
            return stage.reduction
    return max(1, round(max(look.input.shape[-2:]) / max(look.stages[name].shape[-2:])))


def words_of(strides: Sequence[int], places: Sequence[int], count: int, *, trained: bool) -> list[str]:
    """What stands above each stop.

    Only a trained network whose maps grow coarser from stop to stop gets the words of KINDS: random weights
    know no parts, and what the blocks of a transformer answer to is not said in one word.
    """
    pyramid = len(strides) > 1 and all(a < b for a, b in zip(strides, strides[1:], strict=False))
    if trained and pyramid:
        return [KINDS[round(i * (len(KINDS) - 1) / (len(strides) - 1))] for i in range(len(strides))]
    return [f"stage {place + 1} of {count}" for place in places]


def _stop(name: str, words: str, maps: Tensor, stride: int) -> Stop:
    values = np.asarray(maps)
    strength = draw.strength(values)
    channels = [int(c) for c in np.argsort(-strength, kind="stable")[:SHOWN]]
    pictures = tuple(draw.png_bytes(draw.palette_mosaic(values[[c]], columns=1, cell=LARGEST, gap=0))
                     for c in channels)
    shape = (int(maps.shape[0]), int(maps.shape[1]), int(maps.shape[2]))
    return Stop(name, words, shape, stride, tuple(channels), pictures)
