"""What the tab "Draw" says, and the figure to keep."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from explorer.display.words import counted, number_text, percent, seconds_text
from explorer.widgets import export
from explorer.widgets.panels.bars import bar_html
from explorer.widgets.panels.draw.asking import Wanted
from explorer.widgets.panels.draw.fields import FOOLING, STYLE
from explorer.widgets.panels.what_if.drawing import changes_html, main
from explorer.widgets.panels.work import notes_html

if TYPE_CHECKING:  # importing it loads torch
    from PIL import Image

    from explorer.inspection.drawing.drawn import DrawnPicture

SCARCE = "There is not enough memory to draw this: choose a smaller size, or a smaller model."
RANDOM = ("No weights were loaded into this model: unless it was trained here, it has random weights, and "
          "what comes are textures of its architecture, not of anything that it has learnt.")
ONLY_CHANNELS = "It finds {things} and says no class of a whole photo, so channels are drawn, not classes."


def time_text(seconds: float | None, steps: int, side: str) -> str:
    """What it will take, before it begins."""
    text = f"{counted(steps, 'step')} at {side} pixels"
    return f"{text}: about {seconds_text(seconds)}." if seconds is not None else f"{text}."


def left_text(seconds: float) -> str:
    return f"About {seconds_text(seconds)} left." if seconds >= 1 else ""


def share_text(drawn: DrawnPicture) -> str:
    """How sure the network is of the picture; "" where it was not asked."""
    return "" if drawn.probability is None else f"{percent(drawn.probability)} sure"


def facts_html(drawn: DrawnPicture, known: Sequence[str]) -> str:
    """What came of it: a sentence, what the network says, what a reader must know that is not `known` yet."""
    notes = [note for note in drawn.notes if note not in known]
    said = "".join(f"<p>{escape(text)}</p>" for text in (drawn.text, _fooled(drawn)) if text)
    return f'<div role="status">{said}</div>{answers_html(drawn)}{notes_html(notes)}'


def _fooled(drawn: DrawnPicture) -> str:
    """Whether the photo that it began with is taken for something else now."""
    was, now = drawn.before_answers, drawn.answers
    if was is None or now is None or was.outputs.numbers:
        return ""
    from explorer.inspection.look.answers import answer_of

    before, after = answer_of(*was.row), answer_of(*now.row)
    if before.label == after.label:
        return f"The answer is still {after.label} ({after.text})."
    return f"The answer was {before.label} ({before.text}); now it is {after.label} ({after.text})."


def answers_html(drawn: DrawnPicture) -> str:
    """The answers before and now where it began with a photo; else those to the picture."""
    if drawn.changes:
        return changes_html(main(drawn.changes))
    rows = "".join(f'<li><span class="vx-name">{escape(one.label)}</span>'
                   f'<span class="vx-value">{escape(one.text)}</span>'
                   f'{bar_html(one.probability) if one.value is None else ""}</li>'
                   for one in drawn.predictions)
    return f'<ol class="vx-predictions" aria-label="What the network says of it">{rows}</ol>' if rows else ""


def pictures_of(wanted: Wanted, drawn: DrawnPicture) -> list[tuple[str, Image.Image, str, str]]:
    """(key, picture, title, text) of what is shown side by side, the drawn one first."""
    width, height = drawn.image.size
    shown = [("now", drawn.image, wanted.called, f"{width} × {height} pixels")]
    if drawn.before is not None:
        shown.insert(0, ("before", drawn.before, "Before", "the photo as it began"))
    if wanted.method == FOOLING and (difference := drawn.difference) is not None:
        picture, times = difference
        shown.append(("difference", picture, "The difference",
                      f"{number_text(times)} times amplified; grey is no change"))
    return shown


def caption_of(wanted: Wanted, drawn: DrawnPicture) -> str:
    """Model, settings and outcome of one drawing, in sentences."""
    width, height = drawn.image.size
    how = [f"{drawn.method.title[0].upper()}{drawn.method.title[1:]}: {wanted.called}",
           f"{counted(drawn.steps, 'step')} at {width} × {height} pixels, seed {drawn.seed}"]
    if wanted.method == STYLE:
        how.append(f"{drawn.words}, style : content {wanted.options['style_weight']:g} : 1")
    parts = [f"{wanted.ran.about_model}.".replace("..", "."), *(f"{one}." for one in how), drawn.text]
    return " ".join([*parts, *drawn.notes])


def sheet(wanted: Wanted, drawn: DrawnPicture, kept: Sequence[tuple[str, Image.Image]]) -> Any:
    """The pictures and the curve as a matplotlib Figure; below them those that were drawn before."""
    from matplotlib.figure import Figure

    shown = [(picture, title if key != "difference" else text)
             for key, picture, title, text in pictures_of(wanted, drawn)]
    columns = max(len(shown) + 1, len(kept))
    figure = Figure(figsize=(2.7 * columns, 3.1 * (2 if kept else 1)), layout="constrained")
    places = figure.subplots(2 if kept else 1, columns, squeeze=False)
    for place in places.flat:
        place.set_axis_off()
    for row, pictures in zip(places, (shown, kept)):
        for place, (picture, title) in zip(row, pictures):
            place.imshow(picture)
            place.set_title(export.shortened(title, 34), fontsize=8, parse_math=False)
    curve = places[0][len(shown)]
    curve.set_axis_on()
    curve.plot(range(1, drawn.steps + 1), drawn.history, color=export.ACCENT, linewidth=1.4)
    curve.set(xlabel="step", title=drawn.measure)
    curve.title.set_fontsize(8)
    curve.grid(alpha=0.3)
    curve.spines[["top", "right"]].set_visible(False)
    return figure
