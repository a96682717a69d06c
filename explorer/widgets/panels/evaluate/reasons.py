"""Why a model can't be judged by the photos that are chosen, where that is known before they are opened."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from explorer.widgets.panels.evaluate.photo_choices import FOLDER, LABELLED, OWN, SAMPLES, PhotoChoices
from explorer.widgets.panels.evaluate.subject import photos_of, run_behind
from explorer.widgets.session import Session

NO_MODEL = "There is no model yet: open one in the picker."
NO_CLASSIFIER = "This model has no classifier, so there is nothing to judge."
NUMBERS = ("This model gives numbers, and these photos have classes: choose '{own}', and give a table (CSV) "
           "with the true numbers.")
UNKNOWN = ("{model} does not know the classes of these photos ({classes}): teach it these under Train, or "
           "choose other photos.")
CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


def why_not(session: Session, run: Any, photos: str, folder: str, choices: PhotoChoices) -> str:
    """A sentence where judging would fail for sure; "" where it may go well. No photo is opened for that.

    run: None for the model on the screen;  photos, folder: as `subject_of` takes them
    """
    model = session.model if run is None else run.model
    if model is None:
        return NO_MODEL
    if photos in (OWN, FOLDER):
        try:
            photos_of(run if run is not None else run_behind(model, session.runs), photos, folder, choices)
        except ValueError as error:
            return str(error)
        return ""
    if photos in SAMPLES or not hasattr(model, "config"):
        return ""
    return _unknown_classes(model, session.model_name if run is None else run.name, photos, choices)


def _unknown_classes(model: Any, called: str, photos: str, choices: PhotoChoices) -> str:
    """Whether a model could name what is in a bundled set, by the rules of `evaluate`."""
    from explorer.data.labels import match_names
    from explorer.inspection.look.model import outputs_of

    if not model.num_classes:
        return NO_CLASSIFIER
    outputs, theirs = outputs_of(model), classes_of(photos)
    if outputs.numbers:
        return NUMBERS.format(own=choices.of_ones_own)
    if not outputs.named and len(outputs.labels) == len(theirs):
        return ""  # taken to be the data's, in their order
    if None not in match_names(outputs.labels, theirs):
        return ""
    return UNKNOWN.format(model=called, classes=_some(theirs))


def knows(model: Any, photos: str) -> bool:
    """Whether a model names all classes of a bundled set."""
    from explorer.data.labels import match_names
    from explorer.inspection.look.model import outputs_of

    if not getattr(model, "num_classes", 0):
        return False
    outputs = outputs_of(model)
    return not outputs.numbers and None not in match_names(outputs.labels, classes_of(photos))


@cache
def classes_of(photos: str) -> tuple[str, ...]:
    """The classes of photos that are named in the menu, without opening any."""
    if photos == LABELLED:
        from explorer.data.samples import labelled_photos

        return labelled_photos().classes
    if photos == "cifar10":
        return CIFAR10
    from explorer.data.datasets import open_data

    return tuple(open_data(photos).train.classes)


def _some(classes: Sequence[str], most: int = 5) -> str:
    return ", ".join(classes[:most]) + (", …" if len(classes) > most else "")
