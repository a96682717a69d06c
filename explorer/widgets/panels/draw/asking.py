"""What a drawing is asked for: from the controls to `explorer.visualize`, to code and to words."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from explorer.widgets.panels.draw.fields import FOOLING, PHOTO, STYLE, USUAL, Fields
from explorer.widgets.panels.photo_code import chosen_lines
from explorer.widgets.panels.ran import Ran, ran_on
from explorer.widgets.panels.what_if.drawing import class_literal
from explorer.widgets.session import Session
from explorer.widgets.snippets import call, literal, photo_lines

if TYPE_CHECKING:  # importing these loads torch
    from explorer.models.outputs import Outputs


@dataclass(frozen=True, eq=False)
class Wanted:
    """One drawing, and what was on the screen as it was asked for.

    options: keywords of `visualize` with plain values;  photo, style: the pictures beside them, or None
    steps:   how many in all;  ends: where it came to an end before it went on
    called:  what is drawn, in words, as a title
    setup:   lines that define `photo` and `style`;  given: the arguments as code
    """

    model: Any
    options: dict[str, Any]
    steps: int
    called: str
    ran: Ran
    photo: Any = None
    style: Any = None
    setup: tuple[str, ...] = ()
    given: tuple[str, ...] = ()
    ends: tuple[int, ...] = ()

    @property
    def method(self) -> str:
        return self.options["method"]

    @property
    def measure(self) -> str:
        """What the curve is of, in a word."""
        return "loss" if self.method == STYLE else "score" if "target" in self.options else "mean"

    def more(self, steps: int) -> Wanted:
        """The same, which has come to its end, with so many steps more."""
        return replace(self, steps=self.steps + steps, ends=(*self.ends, self.steps))

    def alone(self) -> Wanted:
        """The words and lines of it without what is large."""
        return replace(self, model=None, photo=None, style=None)

    def arguments(self) -> dict[str, Any]:
        """What `visualize` is called with beside the model and who hears of it."""
        pictures = {"photo": self.photo, "style": self.style}
        return {**self.options, "steps": self.steps,
                **{name: one for name, one in pictures.items() if one is not None}}

    def lines(self, taken: int) -> str:
        """The code of it. taken: how many steps were, where it was stopped."""
        stopped = [f"# on the screen it was stopped after {taken:,} of these steps"] \
            if taken < self.steps else []
        first, *others = (*self.ends, self.steps)
        calls = [call("explorer.visualize", "model", *self.given, options={"steps": first})]
        calls += [call("explorer.visualize", "model", *self.given, f"steps={steps}", "after=drawn")
                  for steps in others]
        return "\n".join(["import explorer", "", *self.ran.opening, *self.setup, *stopped,
                          *(f"drawn = {one}" for one in calls), "drawn"])


def wanted_of(session: Session, fields: Fields) -> Wanted:
    """What the controls stand for; called under the lock. Raises ValueError with what to choose instead."""
    model = session.model
    if model is None:
        raise ValueError("Choose a model first.")
    options: dict[str, Any] = {"method": fields.method.value}
    photo = style = None
    setup: list[str] = []
    given: list[str] = []
    if fields.method.value == STYLE:
        called, photo, style = _style(session, fields, options)
        setup += [*photo_lines(session), *chosen_lines([(fields.style.value, style)]), "style = photos[0]"]
        given += ["photo=photo", "style=style"]
    elif fields.of_class:
        outputs = _outputs(model)
        index = asked_class(session, fields.target.value, outputs)
        options["target"] = index
        given.append(f"target={class_literal(index, outputs.labels)}")
        called = outputs.labels[index]
    else:
        if fields.stage.value is None:
            raise ValueError("This model has no stages, so it has no channel to draw.")
        options |= {"stage": fields.stage.value, "channel": fields.channel.value}
        called = f"channel {fields.channel.value} of {fields.stage.value}"
    if fields.method.value == FOOLING and fields.begin.value == PHOTO:
        if session.image is None:
            raise ValueError("Choose a photo to begin with, or begin with noise.")
        photo = session.image
        setup += photo_lines(session)
        given.append("photo=photo")
        called = f"{session.image_name}, taken for {called}"
    if fields.size.value != USUAL:
        options["size"] = fields.size.value
    if fields.seed.value:
        options["seed"] = fields.seed.value
    plain = {name: value for name, value in options.items()
             if name != "target" and (name, value) != ("method", "features")}
    words = [f"{name}={literal(value)}" for name, value in plain.items()]
    return Wanted(model, options, fields.steps.value, called, ran_on(session), photo, style, tuple(setup),
                  (*given, *words))


def _style(session: Session, fields: Fields, options: dict[str, Any]) -> tuple[str, Any, Any]:
    """(what is drawn, the photo, the picture whose style it takes)."""
    if session.image is None:
        raise ValueError("Choose a photo first: it gives the content.")
    sources = dict(session.gallery)
    if fields.style.value not in sources:
        raise ValueError("There is no photo in the gallery whose style could be taken: add one above.")
    if not fields.textures.value or fields.scene.value is None:
        raise ValueError("Choose at least one stage for the style (several with Ctrl, ⌘ on a Mac).")
    options |= {"stage": fields.scene.value, "style_stages": list(fields.textures.value),
                "style_weight": fields.weight.value}
    called = f"{session.image_name} in the style of {fields.style.value}"
    return called, session.image, sources[fields.style.value]


def asked_class(session: Session, typed: str, outputs: Outputs) -> int:
    """The class in the field; without one that of Explain, else the likeliest of the photo, else the first.

    Raises ValueError for a class that there is not.
    """
    from explorer.inspection.look.targets import find_class

    text = typed.strip()
    if text:
        number = int(text) if text.isdecimal() and text not in outputs.labels else text
        return find_class(number, outputs.labels, outputs.noun)
    if session.asked_class in outputs.labels:
        return outputs.labels.index(session.asked_class)
    look = session.look  # still that of the model before, while another one comes
    theirs = look is not None and look.predictions and tuple(look.outputs.labels) == tuple(outputs.labels)
    return look.predictions[0].index if theirs else 0


def _outputs(model: Any) -> Outputs:
    from explorer.inspection.look.model import outputs_of

    return outputs_of(model)
