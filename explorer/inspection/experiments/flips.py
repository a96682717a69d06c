"""The strength at which a model changes its mind: a scan, and then halving between two neighbours.

    find_flip("tf_efficientnet_lite0", "cat.jpg", "blur")         # where the answer changes, narrowed down
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from explorer.arguments import checked
from explorer.display.html import picture_html
from explorer.inspection.experiments.before import look_before
from explorer.inspection.experiments.robustness_curves import AtStrength, Point, RobustnessCurve, robustness
from explorer.inspection.experiments.spoiling import known_kind
from explorer.inspection.look.answers import said
from explorer.inspection.look.model import as_model
from explorer.inspection.look.result import Look
from explorer.models.contract import VisionModel

NO_FLIP = ("This model gives numbers: they change little by little, so there is no answer that could flip. "
           "explorer.robustness shows how they change.")


@dataclass(frozen=True, eq=False, repr=False)
class Flip:
    """Where a model changes its answer, on one scan.

    found:       whether any value of the scan gave another answer
    last_same:   the last strength known to give the first answer; None: even the weakest gave another
    first_other: the Point with the other answer nearest to it; None where nothing was found
    curve:       the scan;  passes: how many strengths were tried in all
    """

    curve: RobustnessCurve
    last_same: float | None
    first_other: Point | None
    passes: int

    @property
    def found(self) -> bool:
        return self.first_other is not None

    @property
    def sentence(self) -> str:
        """What was found, and what that proves."""
        kind, first = self.curve.kind, self.curve.reference.label
        if self.first_other is None:
            rest = " (it was stopped before its end)" if self.curve.stopped else ""
            return (f"{kind.title}: no value of this scan changes the answer {first!r}{rest}. Values between "
                    "those that were tried may.")
        other, value = self.first_other.best.label, self.first_other.value
        if self.last_same is None:
            return (f"{kind.title}: already {value:g}, the weakest that was tried, turns {first!r} into "
                    f"{other!r}.")
        return (f"{kind.title}: {first!r} at {self.last_same:.4g}, {other!r} at {value:.4g} ({kind.unit}). "
                "It is the first change found on this scan: a smaller one may hide between values that were "
                "not tried.")

    def __repr__(self) -> str:
        return f"Flip({self.sentence})"

    def _repr_html_(self) -> str:
        picture = ""
        if self.first_other is not None:
            point = self.first_other
            caption = f"{point.value:.4g}: {point.best.label} {point.best.text}"
            picture = picture_html(point.picture, caption, format="JPEG")
        return f"<div><p><b>{escape(self.sentence)}</b></p>{picture}{self.curve._repr_html_()}</div>"


@checked
def find_flip(
    model: VisionModel | str,
    image: Any,
    kind: str,
    *,
    values: Sequence[float] | None = None,
    step: float | None = None,
    seed: int = 0,
    look: Look | None = None,
    curve: RobustnessCurve | None = None,
    should_stop: Callable[[], bool] | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> Flip:
    """The strength at which a model changes its answer: a scan, and then halving between the two neighbours.

    values: the scan, as in `robustness`; the search is between the last value with the first answer and the
            first with another one
    step:   how closely to narrow it down; None: the kind's own (`KINDS`), never less than 1 for whole numbers
    curve:  a scan of this model at this photo that was already made: saves its passes (its kind and seed
            count)

    It is the first change found on that scan and not a proof that no smaller one exists: answers may change
    back and forth. on_progress counts the values of the scan and then the halvings; should_stop() -> True
    ends with what is known.
    Raises ValueError as `robustness` does, for a step that is not above zero, and for a model that gives
    numbers: they change little by little, and no answer flips.
    """
    known = known_kind(kind)
    if step is not None and not (isinstance(step, (int, float)) and 0 < step < math.inf):
        raise ValueError(f"step is {step!r}: expected a number above zero ({known.unit}).")
    if curve is not None and not isinstance(curve, RobustnessCurve):
        raise TypeError(f"curve is a {type(curve).__name__}: expected what explorer.robustness gives, "
                        "or None.")
    if curve is not None and curve.kind.name != kind:
        raise ValueError(f"The given curve is about {curve.kind.name}, not {kind}.")
    model = as_model(model)
    before = look_before(model, image, look)
    if before.outputs.numbers:
        raise ValueError(NO_FLIP)
    if curve is None:
        curve = robustness(model, before.image, kind, values=values, seed=seed, look=before,
                           should_stop=should_stop, on_progress=on_progress)
    probe = AtStrength(model, before, known, curve.seed)
    if curve.model_name != before.model_name or said(curve.reference) != said(probe.reference):
        raise ValueError(f"The given curve is of {curve.model_name} and the answer "
                         f"{curve.reference.label!r}: not of this model at this photo.")
    if known.whole:
        step = max(1.0, step or 0)
    elif step is None:
        step = known.step * (min(before.image.size) / 224 if known.in_pixels else 1)

    at = next((i for i, point in enumerate(curve.points) if point.flipped), None)
    passes = len(curve.points)
    if at is None:
        return Flip(curve, None, None, passes)
    other = curve.points[at]
    if at:
        same = curve.points[at - 1].value
    elif other.value != known.start and not known.whole:
        same = known.start  # changes nothing, so gives the first answer
    else:
        return Flip(curve, None, other, passes)
    halvings = max(0, math.ceil(math.log2(abs(other.value - same) / step)))
    for done in range(1, halvings + 1):
        middle = (same + other.value) / 2
        middle = round(middle) if known.whole else middle
        if middle in (same, other.value) or should_stop and should_stop():
            break
        point = probe(middle)
        passes += 1
        same, other = (same, point) if point.flipped else (middle, other)
        if on_progress:
            on_progress(len(curve.points) + done, len(curve.points) + halvings)
    return Flip(curve, float(same), other, passes)
