"""The page that a reader takes home: the model in front as one file, written in the background, saved by the
browser.

    def to_take_home(self):                     # of a panel: what the page runs, or a sentence why none can
        return home_of(run)
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from explorer.display.words import megabytes, sentence_of
from explorer.widgets import export
from explorer.widgets.jobs import Job, Line
from explorer.widgets.panels.learn.started import KEPT
from explorer.widgets.parts.panel_tools import PanelTools

log = logging.getLogger(__name__)
SAID = ("One file that runs this model, its maps and its heat maps in any browser, without a network and "
        "without Python: open it with a double click, or give it to somebody. With photos of your own, in a "
        "cell: "
        'explorer.live_page(model, "page.html", photos="my_photos/")')


@dataclass(frozen=True)
class Home:
    """model: gives a copy of it, since it is traced while others ask the one on the screen; in the background
    name:  of the file, without its ending
    """

    model: Callable[[], Any]
    name: str


def home_of(run: Any) -> Home:
    """The network of a run, as it is when the page is written; of one in a folder, what the folder holds.

    Writing raises ValueError where the network is gone.
    """
    def network() -> Any:
        from explorer.training.run.beside import copy_of_model

        return copy_of_model(with_network(run))

    return Home(network, export.file_name(run.name))


def with_network(run: Any) -> Any:
    """The run itself, or what its folder holds. Raises ValueError where its network is gone."""
    from explorer.training.run.loading import load_run

    if hasattr(run, "model"):
        return run
    if run.folder is None:
        raise ValueError(f"The network of {run.name} is not kept any more: of runs that cells started, the "
                         f"last {KEPT} are. In a cell that still has it, it can be saved in a folder.")
    return load_run(run.folder)


class TakingHome:
    """The button "Live page" of a panel's bar.

    line:  where the page is written
    asked: what is to be taken, or a sentence on why nothing can; called under the panel's lock
    """

    def __init__(self, line: Line, tools: PanelTools, asked: Callable[[], Home | str]):
        self.line, self.tools, self.asked = line, tools, asked

    def start(self) -> None:
        """Write the page of what is in front now; a newer wish takes its place."""
        found = self.asked()
        if isinstance(found, str):
            self.tools.answer("page", {"text": found})
        else:
            self.line.start(partial(self._write, found), lambda sent: self.tools.answer("page", *sent))

    def _write(self, home: Home, _job: Job) -> tuple[dict[str, Any], bytes] | tuple[dict[str, Any]]:
        """What the page shows, and the file's bytes where there are any; in the background."""
        from explorer.inspection.live.page import live_page

        try:
            model = home.model()
            with tempfile.TemporaryDirectory() as folder:
                data = live_page(model, Path(folder) / "page.html").read_bytes()
        except Exception as error:
            expected = isinstance(error, (ValueError, ImportError, OSError, RuntimeError))
            log.log(logging.INFO if expected else logging.ERROR, "no page of %s", home.name,
                    exc_info=not expected)
            return {"text": sentence_of(error, unexpected="The page could not be written ({problem}).")},
        return {"text": SAID, "name": f"{home.name}.html", "size": megabytes(len(data))}, data
