"""What the cells of a stage are computed from, as shares of what the network reads: a frame on the photo."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from explorer.widgets.parts.flow import Reads

if TYPE_CHECKING:
    from explorer.models.contract import VisionModel

EVERYTHING = "computed from the whole picture"
WITHOUT = " (and, by numbers pooled from all places, from the rest)"


def reads_of(model: VisionModel, names: tuple[str, ...], size: Sequence[int],
             should_stop: Callable[[], bool]) -> dict[str, Reads]:
    """{name of a stage: what its cells read}, by the theoretical receptive field; without those of which it
    can't be told. One pass without numbers a stage, so a second or two for a large network.

    size: (height, width) of the input that the maps come from; of another one nothing is told
    """
    from explorer.inspection.receptive.asking import receptive_field

    found = {}
    for name in names:
        if should_stop():
            break
        try:
            field = receptive_field(model, name, 0, 0, gates=False)
        except ValueError:
            continue  # a map that does not depend on the photo, or has no places
        spans = field.fields.spans()
        if spans is None:
            continue
        height, width = field.input_size
        if (height, width) != tuple(size):
            break  # a network for boxes or masks reads each photo in its own shape
        found[name] = _reads(_shares(spans[0], width), _shares(spans[1], height), field.ungated)
    return found


def _shares(spans: Sequence[tuple[float, float]], size: int) -> tuple[tuple[float, float], ...]:
    return tuple((max(0.0, start / size), min(1.0, end / size)) for start, end in spans)


def _reads(columns: tuple[tuple[float, float], ...], rows: tuple[tuple[float, float], ...],
           ungated: bool) -> Reads:
    if all(span == (0.0, 1.0) for span in (*columns, *rows)):
        return Reads(said=EVERYTHING)
    return Reads(columns, rows, "computed from the part in the frame" + (WITHOUT if ungated else ""))
