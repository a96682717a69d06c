"""The ways to draw by gradient ascent: `METHODS`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from explorer.arguments import shown
from explorer.display.words import did_you_mean
from explorer.inspection.drawing.canvas import Canvas, Pixels, Waves


@dataclass(frozen=True)
class Method:
    """A way to draw.

    title:   the field's term;  canvas: what is learnt of the picture
    rate:    of Adam, a step from noise, and (`photo_rate`) from a photo, which is to be recognised
    moved:   whether the picture is moved, turned and scaled a little in each step
    rough:   whether it is blurred and grained. (So each step asks another question, and Adam is used: L-BFGS
             needs the same one, and without grain it lowers the loss of a style in half the passes)
    steps:   the usual number of them, from noise and (`from_photo`) from a photo; None: that is not its way
    meaning: what a reader must know of such pictures, and what they do not prove;  source: the paper
    """

    name: str
    title: str
    canvas: type[Canvas]
    rate: float
    photo_rate: float
    moved: bool
    rough: bool
    steps: int | None
    from_photo: int | None
    meaning: str
    source: str


METHODS = {method.name: method for method in (
    Method(
        "features", "feature visualization", Waves, 0.1, 0.1, True, True, 256, None,
        "One of many pictures that raise this value: another seed draws another. It shows patterns that the "
        "network answers to strongly, not what it needs to see, and not how such things look.",
        "Olah, Mordvintsev and Schubert 2017, “Feature Visualization”, Distill, "
        "doi:10.23915/distill.00007"),
    Method(
        "fooling", "fooling picture", Pixels, 0.02, 0.004, False, False, 256, 40,
        "To a person this is noise, or the photo that it began with. That a network is sure of an answer "
        "does not say that it sees what people see: what is far from all photos that it learnt from gets "
        "sure answers too.",
        "Nguyen, Yosinski and Clune 2015, “Deep Neural Networks are Easily Fooled”, CVPR, the pictures "
        "by gradient ascent"),
    Method(
        "style", "style transfer", Waves, 0.1, 0.1, False, True, None, 120,
        "Content and style are words for two lists of numbers here: a stage's maps, and how its channels "
        "go together wherever they lie (Gram matrices). That the picture pleases proves nothing of the "
        "network.",
        "Gatys, Ecker and Bethge 2016, “Image Style Transfer Using Convolutional Neural Networks”, CVPR"),
)}


def find_method(name: Any) -> Method:
    """The method of that name. Raises ValueError for another, TypeError for no name."""
    if not isinstance(name, str):
        raise TypeError(f"method is {shown(name)}: expected {' or '.join(map(repr, METHODS))}.")
    if name not in METHODS:
        raise ValueError(f"Unknown method {name[:80]!r}: expected {' or '.join(map(repr, METHODS))}."
                         f"{did_you_mean(name, METHODS)}")
    return METHODS[name]
