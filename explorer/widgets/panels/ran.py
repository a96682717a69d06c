"""What was on the screen when a job began: whatever is said of its result later is said of that."""

from __future__ import annotations

from dataclasses import dataclass

from explorer.widgets import export
from explorer.widgets.session import Session
from explorer.widgets.snippets import model_lines, setup_lines


@dataclass(frozen=True)
class Ran:
    """Lines and words for the model and the photo of a job.

    setup, opening: lines that define `model` and `photo`, and those for `model` alone
    about, about_model: both in the words of a caption, and the model alone
    model_name, image_name: what they are called
    """

    setup: tuple[str, ...] = ()
    opening: tuple[str, ...] = ()
    about: str = ""
    about_model: str = ""
    model_name: str = ""
    image_name: str = ""


def ran_on(session: Session) -> Ran:
    """What is on the screen now; called under the session's lock, as the job is started."""
    return Ran(tuple(setup_lines(session)), tuple(model_lines(session)), export.caption_of(session),
               export.caption_of(session, photo=False), session.model_name, session.image_name)
