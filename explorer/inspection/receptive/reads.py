"""What the cells of a stage are computed from, as shares of what the network reads: a frame on the photo."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from explorer.inspection.receptive.field import Fields
    from explorer.models.contract import VisionModel

EVERYTHING = "computed from the whole picture"
WITHOUT = " (and, by numbers pooled from all places, from the rest)"


@dataclass(frozen=True)
class Reads:
    """Which part of what the network reads the cells of a stage are computed from.

    columns: (from, to) of each column, rows: of each row, as shares of the picture's width and height;
    both empty where every cell reads everything. said: a word on it
    """

    columns: tuple[tuple[float, float], ...] = ()
    rows: tuple[tuple[float, float], ...] = ()
    said: str = ""


def reads_of(model: VisionModel, names: Sequence[str], size: Sequence[int]) -> dict[str, Reads]:
    """{name of a stage: what its cells read}, by the theoretical receptive field; without those of which it
    can't be told. One pass without numbers for all of them.

    size: (height, width) of the input that the maps come from; of another one nothing is told
    """
    from explorer.inspection.receptive.asking import fields_of_stages

    found = {}
    for name, (fields, ungated) in fields_of_stages(model, names).items():
        if fields.input_size != tuple(size):
            break  # a network for boxes or masks reads each photo in its own shape
        reads = reads_in(fields, ungated)
        if reads is not None:
            found[name] = reads
    return found


def reads_in(fields: Fields, ungated: bool) -> Reads | None:
    """What the cells of one map read; None where one column, or one row, does not stand for all cells.

    ungated: whether numbers that are pooled from all places were left out
    """
    spans = fields.spans()
    if spans is None:
        return None
    height, width = fields.input_size
    return _reads(_shares(spans[0], width), _shares(spans[1], height), ungated)


def _shares(spans: Sequence[tuple[float, float]], size: int) -> tuple[tuple[float, float], ...]:
    return tuple((max(0.0, start / size), min(1.0, end / size)) for start, end in spans)


def _reads(columns: tuple[tuple[float, float], ...], rows: tuple[tuple[float, float], ...],
           ungated: bool) -> Reads:
    if all(span == (0.0, 1.0) for span in (*columns, *rows)):
        return Reads(said=EVERYTHING)
    return Reads(columns, rows, "computed from the part in the frame" + (WITHOUT if ungated else ""))
