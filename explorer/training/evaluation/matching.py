"""What a model can answer, and what is known of the photos: which of its classes, or numbers, is which."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from explorer.data.folders import DataError
from explorer.data.labels import class_key, imagenet_labels, match_names, order_note
from explorer.data.photo_sets import PhotoSet, of_what
from explorer.data.rows import Label
from explorer.display.words import counted
from explorer.inspection.look.model import outputs_of
from explorer.models.contract import VisionModel
from explorer.models.outputs import Outputs

NAMED = 5  # classes, numbers or broken photos that a sentence names each


def read_as(model: VisionModel, outputs: Outputs, photos: PhotoSet) -> tuple[Outputs, list[str]]:
    """(how the scores are read for these photos, notes)."""
    if photos.multi_label and not model.config.outputs and outputs.kind == "one":
        return replace(outputs, kind="several"), [
            "Nobody said what the model's scores mean: as the photos show several classes, each score is "
            "read as a yes or no of its own. What they mean is said where the model is wrapped."]
    if outputs.several and not photos.multi_label:
        return outputs, ["The model tells several classes at once, each with a share of its own: the "
                         "likeliest counts as its answer, and the loss is the mean over its yes-or-no "
                         "answers."]
    if photos.multi_label and not outputs.several:
        return outputs, ["The model picks one of its classes: of a photo that shows several it can be right "
                         "about one alone."]
    return outputs, []


def check_kinds(outputs: Outputs, photos: PhotoSet) -> None:
    """Raise DataError where the model gives numbers and the photos have classes, or the other way round."""
    if outputs.numbers == photos.numbers:
        return
    if outputs.numbers:
        raise DataError(f"The model gives numbers ({', '.join(outputs.labels[:NAMED])}), and the photos have "
                        f"{of_what(photos)}: give a table with a column of numbers, or a data set of "
                        "(picture, number).")
    raise DataError(f"The model tells {len(outputs)} classes, and the photos have no classes but the "
                    f"{of_what(photos)}: give photos with class names, or teach it the numbers first "
                    f"(finetune). If its scores are numbers already, say so: explorer.wrap(model, "
                    "outputs='numbers').")


def match_numbers(outputs: Outputs, photos: PhotoSet) -> tuple[tuple[str, ...], list[str]]:
    """(what the numbers are called, notes). Raises DataError where the model gives another count of them."""
    theirs, own = photos.classes, outputs.labels
    if len(theirs) != len(own):
        raise DataError(f"The model gives {counted(len(own), 'number')} "
                        f"({', '.join(own[:NAMED])}), and the photos have {of_what(photos)}: choose the "
                        "columns with read_table(..., target=...).")
    if theirs == own or not outputs.named:
        return theirs, []
    return own, [f"The numbers of the photos are called {', '.join(theirs[:NAMED])}: they are taken to be "
                 f"the model's {', '.join(own[:NAMED])}, in their order."]


def match_classes(model: VisionModel, photos: PhotoSet) -> tuple[tuple[str, ...], list[int], list[str]]:
    """(names of the model's classes, the model's index of each class of the data, notes).

    A name stands for itself, in any order, upper or lower case (`match_names`). A model that has no names
    takes the data's, in their order; data without names the model's; so does ImageNet's own folder, whose
    1000 folders have WordNet numbers. Raises DataError for classes that the model does not know.
    """
    theirs, outputs = photos.classes, outputs_of(model)
    own, named = outputs.labels, outputs.named
    in_order = list(range(len(own)))
    wordnet = len(own) == len(theirs) == 1000 and all(re.fullmatch(r"n\d{8}", name) for name in theirs)
    if wordnet and list(theirs) == sorted(theirs):
        return _distinct(own if named else imagenet_labels()), in_order, []
    if not named and len(theirs) == len(own):
        note = (f"The model has no names for its {len(own)} classes: they are taken to be the data's, in "
                "their order.")
        return _distinct(theirs), in_order, list(filter(None, (note, order_note(theirs))))
    nameless = tuple(theirs) == tuple(f"class {i}" for i in range(len(theirs)))
    if named and nameless and len(theirs) <= len(own) and None in match_names(own, theirs):
        return _distinct(own), list(range(len(theirs))), [
            f"The data has no names for its classes: they are taken to be the model's first {len(theirs)}, "
            f"in their order (label 0 is {own[0]!r})."]
    places = match_names(own, theirs)
    unknown = [name for name, place in zip(theirs, places) if place is None]
    if unknown:
        unclear = [name for name in unknown if any(class_key(name) == class_key(one) for one in own)]
        if unclear:
            raise DataError(f"Which classes of the model are meant by {', '.join(map(repr, unclear[:5]))} is "
                            "unclear: names of the model's or the data's differ in case or spaces alone, or "
                            "are there twice. Name the folders as the model's classes.")
        known = ", ".join(own[:5]) + (", ..." if len(own) > 5 else "")
        strange = ", ".join(map(repr, unknown[:5])) + (", ..." if len(unknown) > 5 else "")
        raise DataError(f"The model knows {len(own)} classes ({known}), but not {strange}. Teach it these "
                        "first (finetune), or name the folders as its classes.")
    notes = []
    if len(theirs) < len(own):
        notes.append(f"The photos are of {len(theirs)} of the model's {len(own)} classes.")
    return _distinct(own), places, notes


def _distinct(names: Sequence[str]) -> tuple[str, ...]:
    """The names, with the index behind those that occur twice: a figure by name needs one class a name."""
    count = Counter(names)
    return tuple(name if count[name] == 1 else f"{name} ({i})" for i, name in enumerate(names))


def moved(label: Label, place_of: Sequence[int]) -> int | tuple[int, ...]:
    """A photo's class, or classes, by the model's index."""
    return tuple(place_of[int(i)] for i in label) if isinstance(label, tuple) else place_of[label]
