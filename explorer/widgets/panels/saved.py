"""What a saved notebook shows of a dashboard where no kernel runs: its picture, and what to do to use it.

    the widget                        alive: the dashboard; dead: nothing
    a text/html output below it       alive: hidden; dead: the picture

The picture is renewed when what the dashboard shows has rested a while. It can't be in the output of the
widget: pages draw that anew when it changes, and JupyterLab shows only an error in place of a dead widget.
"""

from __future__ import annotations

import logging
import threading
import uuid
from collections.abc import Callable, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from explorer.display import draw
from explorer.display.html import side_by_side_html, title_html
from explorer.widgets.panels.flowing import Stop, stops_of

if TYPE_CHECKING:
    from explorer.inspection.look.result import Look
    from explorer.widgets.session import Session

log = logging.getLogger(__name__)

REST = 2.0  # seconds without a change after which the picture is renewed
PHOTO = 176  # pixels of the photo's longer side
MAP = 48     # pixels of a small map's side

DEAD = "A picture of explorer's dashboard. Run this cell to use it."
EMPTY = "explorer's dashboard was here. Run this cell to use it."

# Where a dashboard is alive its picture is hidden: in the same output of JupyterLab, Notebook and Voilà, in
# the same cell of VS Code, in the same frame of Colab. Where it is dead, the error in its place is: the one
# output of JupyterLab's that is a panel.
STYLE = """<style>
.jp-OutputArea:has(.vx-dashboard) .vx-saved, .output_container:has(.vx-dashboard) .vx-saved,
body:not(:has(.jp-OutputArea, .output_container)):has(.vx-dashboard) .vx-saved { display: none }
.jp-OutputArea:has(.vx-saved):not(:has(.vx-dashboard))
  .jp-OutputArea-child:has(> .lm-Panel.jp-OutputArea-output):not(:has(.lm-Panel .jupyter-widgets))
  { display: none }
</style>"""


class Saved:
    """The output below a dashboard that holds its picture, renewed while the dashboard lives.

    sessions: gives those of the models that the dashboard shows, the first one's first
    above:    gives HTML that stands above the picture
    """

    def __init__(self, sessions: Callable[[], Sequence[Session]], above: Callable[[], str] = str):
        self._sessions, self._above, self._id, self._closed = sessions, above, "", False
        self._html, self._timer = "", None
        self._lock = threading.Lock()

    def show(self, bundle: dict[str, Any]) -> None:
        """Show the widget, whose mime bundle is given, and the picture below it; in a cell.

        Once it is closed there is no other picture: the one that stands in the notebook stays.
        """
        from IPython.display import display

        display(bundle, raw=True)
        if in_a_notebook() and not self._closed:
            self._id, self._html = self._id or f"explorer-{uuid.uuid4().hex}", self._picture()
            display({"text/html": self._html, "text/plain": ""}, raw=True, display_id=self._id)

    def later(self, _change: Any = None) -> None:
        """Renew the picture once nothing has changed for a while; from any thread."""
        with self._lock:
            if not self._id or self._closed:
                return
            if self._timer is not None:
                self._timer.cancel()
            self._timer = threading.Timer(REST, self.renew)
            self._timer.daemon = True
            self._timer.start()

    def at_first(self) -> None:
        """Draw the picture now where there is none yet: a notebook that is run to its end, as nbconvert does,
        never rests.
        """
        if self._id and "<img" not in self._html:
            self.renew()

    def renew(self) -> None:
        """Draw the picture anew, and send it where it has changed."""
        try:
            html = self._picture()
            with self._lock:
                if self._closed or html == self._html:
                    return
                self._html = html
            send_again({"text/html": html, "text/plain": ""}, self._id)
        except Exception:
            log.exception("the picture for the saved notebook could not be renewed")

    def close(self) -> None:
        """End waiting; the picture that was sent stays in the notebook."""
        with self._lock:
            self._closed = True
            if self._timer is not None:
                self._timer.cancel()

    def _picture(self) -> str:
        """Of what is shown now; where that can't be drawn, words: the dashboard is shown all the same."""
        sessions = self._sessions()
        try:
            with sessions[0].lock:
                return saved_html(*sessions, above=self._above())
        except Exception:
            log.exception("the picture for the saved notebook could not be drawn")
            return saved_html()


def in_a_notebook() -> bool:
    """Whether there is a page that draws what is displayed: not so in a terminal."""
    from IPython import get_ipython

    return getattr(get_ipython(), "kernel", None) is not None


def send_again(bundle: dict[str, str], display_id: str) -> None:
    """Put a mime bundle in the place of the one displayed under that id; from any thread."""
    from IPython.display import display

    display(bundle, raw=True, display_id=display_id, update=True)


def saved_html(*sessions: Session, above: str = "") -> str:
    """The picture of one model, or of two below each other: photo, stages, answers. Of none: words alone.
    above: HTML that stands above it
    """
    rows = "".join(_row(session.model_name, session.look, session.model, session.image_name)
                   for session in sessions if session.look is not None)
    said = f"<p style='margin:.3em 0;opacity:.8'>{escape(DEAD if rows else EMPTY)}</p>"
    return f"{STYLE}<div class='vx-saved'>{said}{above if rows else ''}{rows}</div>"


def _row(name: str, look: Look, model: Any, photo: str) -> str:
    found = look.segmentation if look.detections is None else look.detections  # of which there may be none
    seen = draw.thumbnail(look.seen if found is None else found.overlay(), PHOTO)
    stops, note = stops_of(look, model)
    pictures = [_figure(draw.data_uri(seen, format="JPEG"), photo, f"the photo {photo}")]
    pictures += [_stop(stop, look) for stop in stops]
    answers = "<br>".join(f"<b>{escape(one.text)}</b> {escape(one.label)}" for one in look.predictions[:5])
    if found is not None:
        answers = escape(found.in_words)
    return f"{title_html(name)}{side_by_side_html(''.join([*pictures, f'<div>{answers}</div>']))}"


def _stop(stop: Stop, look: Look) -> str:
    maps = np.asarray(look.stages[stop.name])[list(stop.channels)]
    sprite = draw.palette_mosaic(maps, columns=2, cell=MAP)
    sprite = sprite.resize((2 * MAP, round(2 * MAP * sprite.height / sprite.width)), 0)
    shape = " × ".join(map(str, stop.shape))
    return _figure(draw.data_uri(sprite), f"{stop.words}\n{stop.name}\n{shape}",
                   f"the strongest maps of {stop.name}")


def _figure(address: str, text: str, alt: str) -> str:
    lines = "<br>".join(map(escape, text.split("\n")))
    return (f"<figure style='margin:0'><img alt='{escape(alt)}' src='{address}'>"
            f"<figcaption style='font-size:.8em'>{lines}</figcaption></figure>")
