"""What Teach says of a lesson: why it can't begin, and what it came to."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

from explorer.data.bursts import one_burst, units_of
from explorer.display.words import counted, percent

if TYPE_CHECKING:
    from explorer.data.class_shelf import ClassShelf
    from explorer.training.evaluation.evaluation import Evaluation

TWO = "Collect photos of two classes at least: then there is something to tell apart."
AGAIN = ("Each class has one burst, whose frames are nearly the same picture. Hold the button of a class "
         "once more: one burst is learnt from, and the other one tells how good it is.")
FEW_JUDGED = 30  # photos below which a score is said to be coarse


def unfit(model: Any) -> str:
    """Why a model can't learn classes here, and what to do; "" where it can."""
    if model is None:
        return "No model is open: choose one in the picker, and it learns your classes."
    from explorer.inspection.look.model import model_name

    things = {"detection": "boxes", "segmentation": "masks"}
    if model.task in things:
        return (f"{model_name(model)} finds {things[model.task]}: choose a network that says what a photo "
                "shows, and it learns your classes.")
    return ""


def why_not(shelf: ClassShelf) -> str:
    """Why nothing can be learnt from the photos yet, and what to do; "" where it can."""
    bursts = bursts_of(shelf)
    if len(bursts) < 2:
        return TWO
    return AGAIN if max(bursts.values()) < 2 else ""


def bursts_of(shelf: ClassShelf) -> dict[str, int]:
    """Bursts of each class that has photos."""
    counts = {name: len({photo.burst for photo in shelf.photos(name)}) for name in shelf.classes}
    return {name: count for name, count in counts.items() if count}


def not_judged(run: Any) -> list[str]:
    """The classes that a run has learnt from and that no photo judges."""
    learnt, judged = run.data.train.counts(), run.data.val.counts()
    return [name for name, count in learnt.items() if count and not judged[name]]


def result_html(run: Any, result: Evaluation) -> str:
    """How many photos it told right, how far that can be trusted, and what can't be known."""
    right, count = int((result.predicted == result.labels).sum()), len(result)
    bursts = len(units_of(result.names, result.files))
    said = [f"It told {right} of {counted(count, 'photo')} right ({percent(right / count)}). It has learnt "
            "from others, of other bursts."]
    if bursts < count:
        said.append(f"These are of {counted(bursts, 'burst')}, whose frames are nearly the same: so they "
                    f"judge about as coarsely as {counted(bursts, 'photo')} would.")
    elif count < FEW_JUDGED:
        said.append(f"So few judge coarsely: each is {percent(1 / count)}.")
    alone = not_judged(run)
    if alone:
        said.append(one_burst(alone))
    if right == count:
        said.append("Try it with the camera, at another place: that is the real test.")
    return "".join(f'<p role="status">{escape(one)}</p>' for one in said)
