"""A photo at one strength of a kind of spoiling, and what the model says to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from explorer.display import draw
from explorer.widgets.panels.what_if.drawing import SIDE

if TYPE_CHECKING:  # importing these loads torch
    from PIL import Image

    from explorer.inspection.experiments.changes import Change
    from explorer.inspection.look.answers import Prediction
    from explorer.inspection.look.result import Look

TOP = 3  # classes shown of a spoilt photo


@dataclass(frozen=True)
class Spoilt:
    """The photo at one strength: picture,
    what became of the probabilities or numbers, the answer before and now.
    """

    picture: Image.Image
    changes: tuple[Change, ...]
    was: Prediction
    now: Prediction


def spoil(model: Any, look: Look, kind: str, value: float) -> Spoilt:
    """The photo of a look at one strength, and what the model says to it: one pass."""
    from explorer.inspection.experiments.before import look_before
    from explorer.inspection.experiments.changes import changes_of
    from explorer.inspection.experiments.spoiling import KINDS, perturb
    from explorer.inspection.look.answers import answer_of, top_predictions
    from explorer.inspection.look.looking import look as look_at

    before = look_before(model, look.image, look)
    outputs = before.outputs
    was = answer_of(before.logits, outputs)
    photo = perturb(before.image, kind, value)
    known = KINDS[kind]
    untouched = value == known.start and not known.whole
    after = before if untouched else look_at(model, photo, topk=TOP)
    best = top_predictions(after.logits, outputs, TOP)
    changes = changes_of(before.logits, after.logits, outputs, [was.index, *(one.index for one in best)])
    return Spoilt(draw.thumbnail(photo, SIDE), changes, was, answer_of(after.logits, outputs, was.index))
