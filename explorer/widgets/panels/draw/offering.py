"""What is offered to be drawn: the controls follow the model, the photos, and what is in front elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from explorer.widgets.panels.draw import words
from explorer.widgets.panels.draw.fields import (
    CHANNEL,
    CLASS,
    MOST_NAMES,
    SIDES,
    STYLE,
    USUAL,
    Fields,
    exchange,
)
from explorer.widgets.panels.inside.channel import strongest_channel
from explorer.widgets.session import Session

if TYPE_CHECKING:  # importing it loads torch
    from explorer.models.outputs import Outputs


class Offer:
    """filling: whether the controls are being exchanged, which is no wish of the reader's"""

    def __init__(self, session: Session, fields: Fields):
        self.session, self.fields = session, fields
        self.filling = False
        self._followed: tuple[Any, ...] = ()  # (stage, channel, class) of the session that they follow
        fields.steps.value = fields.usual_steps

    # --- following the session ------------------------------------------------------------------------------

    def take_model(self) -> None:
        """The stages, classes and sizes of another model."""
        model, fields = self.session.model, self.fields
        self.filling = True
        try:
            stages = [stage.name for stage in model.stage_table] if model is not None else []
            exchange(fields.stage, stages, stages[-1] if stages else None)
            self._take_channels()
            exchange(fields.scene, stages, None)
            fields.textures.options = stages
            self._usual_stages(model, stages)
            labels = self.labels
            fields.target.options = tuple(dict.fromkeys(labels)) if len(labels) <= MOST_NAMES else ()
            noun = self.outputs.noun if labels else "class"
            kinds = [(f"a {noun}", CLASS)] if labels else []
            exchange(fields.what, [*kinds, ("a channel", CHANNEL)], CLASS if labels else CHANNEL)
            fields.target.description = noun.capitalize()
            sides = SIDES if model is not None and any_size(model) else ()
            exchange(fields.size, [("usual", USUAL), *((f"{side} pixels", side) for side in sides)], USUAL)
        finally:
            self.filling = False

    def follow(self) -> None:
        """The photos of the gallery, and what is in front in other tabs."""
        self.filling = True
        try:
            self._take_photos()
            self._take_asked()
        finally:
            self.filling = False

    def _usual_stages(self, model: Any, stages: list[str]) -> None:
        from explorer.inspection.drawing.style import usual_stages

        if stages:
            scene, textures = usual_stages(model)
            self.fields.scene.value, self.fields.textures.value = scene, textures

    def _take_photos(self) -> None:
        titles = [title for title, _ in self.session.gallery]
        others = [title for title in titles if title != self.session.image_name]
        usual = next((title for title in others if title.startswith("Dahlia")), others[0] if others else None)
        exchange(self.fields.style, titles, usual)

    def _take_asked(self) -> None:
        """Take over the stage and the channel in front, and the class that heat maps are about."""
        session, fields = self.session, self.fields
        stage, channel, asked = now = session.stage, session.channel, session.asked_class
        before = self._followed or ("", -1, "")
        self._followed = now
        if stage and stage != before[0] and stage in fields.stage.options:
            fields.stage.value = stage
            self._take_channels()
        if channel >= 0 and (stage, channel) != before[:2] and channel <= fields.channel.max \
                and fields.stage.value == stage:
            fields.channel.value, fields.what.value = channel, CHANNEL
        if asked != before[2] and fields.target.value and asked in self.labels:
            fields.target.value = asked

    def _take_channels(self) -> None:
        """As many channels as the stage has; the one that is strongest on this photo, till another is chosen.
        """
        model, look, name = self.session.model, self.session.look, self.fields.stage.value
        stage = next((one for one in model.stage_table if one.name == name), None) if model else None
        if stage is None:
            return
        self.fields.channel.max = stage.channels - 1
        if look is not None and name in look.stages:
            self.fields.channel.value = min(strongest_channel(look.stages[name]), stage.channels - 1)

    # --- following the reader -------------------------------------------------------------------------------

    def other_stage(self) -> None:
        """The reader has chosen a stage: it has channels of its own."""
        if not self.filling:
            self.filling = True
            self._take_channels()
            self.filling = False

    def other_method(self) -> None:
        """The reader has chosen a method, or what it begins with: it has a usual number of steps."""
        if not self.filling:
            self.fields.steps.value = self.fields.usual_steps

    # --- what can be drawn ----------------------------------------------------------------------------------

    @property
    def outputs(self) -> Outputs:
        """What the model's numbers stand for."""
        from explorer.inspection.look.model import outputs_of

        return outputs_of(self.session.model)

    @property
    def labels(self) -> tuple[str, ...]:
        """The classes or numbers that can be drawn."""
        model = self.session.model
        if model is None or model.task != "classification" or not model.num_classes:
            return ()
        return self.outputs.labels

    def side(self) -> tuple[str, int]:
        """(the size in words, its pixels) of what would be drawn."""
        from explorer.inspection.drawing.asking import usual_sides

        like = self.session.image if self.fields.method.value == STYLE else None
        height, width = usual_sides(self.session.model, self.fields.size.value or None, like)
        return f"{width} × {height}", width * height

    def to_know(self) -> list[str]:
        """What a reader must know of the model before it begins."""
        from explorer.inspection.drawing.style import size_note
        from explorer.models.tasks import ASKED_BY

        model, said = self.session.model, []
        if model.load_report is None:
            said.append(words.RANDOM)
        if model.task != "classification":
            said.append(words.ONLY_CHANNELS.format(things=ASKED_BY[model.task][0]))
        if self.fields.method.value == STYLE:
            said += size_note(model)
        return said


def any_size(model: Any) -> bool:
    """Whether a network reads pictures of any size."""
    from explorer.inspection.drawing.asking import usual_sides

    try:
        usual_sides(model, SIDES[0], None)
    except ValueError:
        return False
    return True
