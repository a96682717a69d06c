"""How long it would take to show photos to several models here, by what one of them was measured to take."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from explorer.models.names import split_door

TOGETHER = 4  # photos in the pass that is timed


@dataclass(frozen=True)
class Pace:
    """What was measured here, in seconds: a multiply-add of a pass, preparing a photo, and opening a model,
    for each of its parameters.
    """

    multiply_add: float
    photo: float
    parameter: float = 0.0

    def seconds(self, names: Sequence[str], own: Sequence[int | None], photos: int, opened: Collection[str]
                ) -> float | None:
        """What so many photos take; None where the multiply-adds of a model are not known.

        own: multiply-adds of models without a name;  opened: those of the names that are open already
        """
        counts = [*map(_multiply_adds, names), *own]
        if None in counts:
            return None
        a_photo = sum(count * self.multiply_add + self.photo for count in counts if count is not None)
        to_open = sum(_card(name).parameters for name in names if name not in opened)
        return photos * a_photo + self.parameter * to_open


def timed(model: Any, multiply_adds: int, look: Any, shut: str = "") -> tuple[Pace, Any]:
    """(the pace of this computer, the model that was opened for that).

    model, multiply_adds: one that is open, and those of its pass;  look: its `Look` at a photo
    shut: the name of one to open, whose weights are here; "" for none
    Of passes it is the shorter of two: the first time of anything is none to go by.
    """
    from explorer.data.transforms import create_transform
    from explorer.inspection.compare.comparing import compare
    from explorer.inspection.compare.speed import measure_speed
    from explorer.inspection.look.model import as_model
    from explorer.inspection.look.modules import module_tree

    assert compare  # what it imports is not what a photo costs: that comes before the clock runs
    opened, opening = None, 0.0
    if shut:
        started = time.perf_counter()
        opened = as_model(shut)
        opening = (time.perf_counter() - started) / max(module_tree(opened).params, 1)
    speed = measure_speed(model, batch_size=TOGETHER, warm_up=0, repeats=2)
    prepare, preparing = create_transform(**look.config), []
    for _ in range(2):
        started = time.perf_counter()
        prepare(look.image)
        preparing.append(time.perf_counter() - started)
    return Pace(min(speed.passes) / TOGETHER / multiply_adds, min(preparing), opening), opened


def _card(name: str) -> Any:
    from explorer.models.card import model_card

    return model_card(name)


def _multiply_adds(name: str) -> int | None:
    """Of a pass; None for models of other libraries, and what is not in the table."""
    return None if split_door(name)[0] else _card(name).macs
