"""What a heat map can be asked about, by what a model finds: a class or number; a box; a class of a mask."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from explorer.display.words import percent

if TYPE_CHECKING:
    from explorer.inspection.look.result import Look

MOST_NAMES = 2000   # classes that are offered while a name is typed
MOST_BOXES = 100    # boxes that are offered; any other is asked for by its number
BESIDE = 5          # boxes or classes that stand beside each other, at most
A_BOX = re.compile(r"box (\d{1,9})(:.*)?", re.IGNORECASE)


@dataclass(frozen=True)
class Subjects:
    """title, placeholder: of the field;  names: what it offers;  several: what may stand beside a heat map"""

    title: str
    placeholder: str
    names: tuple[str, ...]
    several: str


def subjects_of(look: Look) -> Subjects:
    """What the field for the class offers for a look."""
    labels = tuple(dict.fromkeys(labels_of(look)))
    labels = labels if len(labels) <= MOST_NAMES else ()
    if look.detections is not None:
        boxes = tuple(box_name(look, number) for number in range(min(len(look.detections), MOST_BOXES)))
        return Subjects("Box", "the best; or choose one, or type a class", (*boxes, *labels),
                        "the best boxes")
    if look.segmentation is not None:
        return Subjects("Class", "the largest; or type a name", labels, "the largest classes")
    usual = "the first" if look.outputs.numbers else "the likeliest"
    return Subjects(look.outputs.noun.capitalize(), f"{usual}; or type a name", labels,
                    "the likeliest classes")


def labels_of(look: Look) -> tuple[str, ...]:
    """The names of all classes or numbers that can be asked for, in index order."""
    if look.detections is not None:
        return look.detections.names
    return look.labels if look.segmentation is None else look.segmentation.labels


def box_name(look: Look, number: int) -> str:
    """What a box is called where one is chosen; the best is box 0, as `explain` counts."""
    found = look.detections
    return f"box {number}: {found.labels[number]} {percent(float(found.scores[number]))}"


def asked_by(text: str, look: Look) -> dict[str, Any]:
    """The arguments of `explain` for what stands in the field; {} for nothing.

    Raises ValueError for a class that there is not, or that is not clear, and for a box of another photo.
    """
    from explorer.inspection.look.targets import find_class

    text = text.strip()
    if not text:
        return {}
    a_box = A_BOX.fullmatch(text) if look.detections is not None else None
    if a_box is not None and text not in labels_of(look):
        number = int(a_box[1])
        if a_box[2] and (number >= len(look.detections) or text != box_name(look, number)):
            raise ValueError(f"This photo has no {text!r}: choose one of its boxes.")
        return {"box": number}
    labels = labels_of(look)
    chosen = int(text) if text.isdecimal() and text not in labels else text  # a class may be called "7"
    return {"target": find_class(chosen, labels, look.outputs.noun)}


def beside_each_other(look: Look) -> list[tuple[dict[str, Any], str]]:
    """(arguments of `explain`, what it is called) of the likeliest classes, the best boxes, the largest
    classes of a mask.
    """
    if look.detections is not None:
        several = range(min(len(look.detections), BESIDE))
        return [({"box": number}, box_name(look, number)) for number in several]
    if look.segmentation is not None:
        found = look.segmentation
        shares = found.counts / found.counts.sum()
        return [({"target": index}, f"{found.labels[index]} {percent(float(shares[index]))} of the pixels")
                for index in found.found[:BESIDE]]
    return [({"target": guess.index}, f"{guess.label} {guess.text}") for guess in look.predictions]
