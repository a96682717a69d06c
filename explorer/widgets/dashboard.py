"""Dashboard: lays the panels out around one session; holds no logic of its own."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

import ipywidgets as W

from explorer.widgets.export import page_html, snapshot_html
from explorer.widgets.panels.images import ImagesPanel, gallery
from explorer.widgets.panels.modules import ModulesPanel
from explorer.widgets.panels.picker import PickerPanel
from explorer.widgets.panels.predictions import PredictionsPanel
from explorer.widgets.panels.stages import StagesPanel
from explorer.widgets.session import Session, check_model

STYLE = Path(__file__).with_name("style.css")


class Dashboard(W.VBox):
    """The app: pick a model, choose a photo, see what happens inside.

        dash = explorer.Dashboard()                     # in the last line of a cell it shows itself
        dash.session.model = "tf_efficientnet_lite2"    # all that a click can do, a cell can do
        dash.session.image = "my photo.jpg"
        dash.wait()
        dash.session.look.predictions

    model:      a name, opened with its trained weights, or a model that you built
    images:     the gallery: a folder or a list of photos; without it the bundled ones
    labels:     class names in index order, where the model has none of its own
    input_size: (channels, height, width) in pixels, where the model's own is not what you want

    Raises ValueError for an unknown model or a folder without photos. What goes wrong later is a sentence in the
    status line; `wait()` raises it.
    """

    def __init__(self, model: Any = "tf_efficientnet_lite0", images: Any = None, *,
                 labels: Sequence[str] | None = None, input_size: Sequence[int] | None = None):
        model, photos = check_model(model), gallery(images)  # refused before anything is built
        self.session = Session(labels=tuple(labels) if labels is not None else None,
                               input_size=tuple(input_size) if input_size is not None else None)
        self.picker = PickerPanel(self.session)
        self.images = ImagesPanel(self.session, photos)
        self.predictions = PredictionsPanel(self.session)
        self.stages = StagesPanel(self.session)
        self.modules = ModulesPanel(self.session)
        self.status = W.HTML()
        self.message = W.HTML()

        head = W.VBox([W.HTML("<h2>explorer</h2>"), self.status])
        head.add_class("vx-head")
        side = W.VBox([self.picker, self.images])
        tabs = W.Tab([self.stages, self.modules], titles=("Feature maps", "Modules"))
        main = W.VBox([self.predictions, tabs])
        side.add_class("vx-side")
        main.add_class("vx-main")
        columns = W.HBox([side, main])
        columns.add_class("vx-columns")
        super().__init__([W.HTML(f"<style>{STYLE.read_text(encoding='utf-8')}</style>"), head, self.message, columns])
        self.add_class("vx-dashboard")
        self._closed = False

        self.session.observe(self._show_status, ["busy", "look", "model_name"])
        self.session.observe(self._show_error, ["error"])
        self._show_status()
        self.session.open_model(model)
        if self.images.photos:
            title, source = self.images.photos[0]
            self.session.open_image(source, title)

    # --- what a cell can do -----------------------------------------------------------------------------

    def wait(self, timeout: float | None = 120) -> None:
        """Block until what was asked for is on the screen. Raises ExplorerError with the reason if it can't be done."""
        self.session.wait(timeout)

    def load(self, source: Any) -> None:
        """Show another photo: anything that explorer.load_image takes. Raises TraitError if it is no picture."""
        self.session.image = source

    def snapshot(self):
        """The present state as plain HTML and PNG, for a notebook that is read where no kernel runs (GitHub)."""
        from IPython.display import HTML

        return HTML(snapshot_html(self.session))

    def export_html(self, path: str | Path) -> Path:
        """Write the present state as a page of its own; the path of the file."""
        path = Path(path)
        path.write_text(page_html(self.session), encoding="utf-8")
        return path

    def close(self) -> None:
        """End the background thread, free the model and remove every widget. May be called twice."""
        if getattr(self, "_closed", True):  # closed before, or never finished
            return
        self._closed = True
        self.session.close()
        _close_all(self)
        self.layout.close()
        super().close()

    def __repr__(self) -> str:
        return f"Dashboard({self.session.model_name or 'no model yet'}, {self.session.image_name or 'no photo yet'})"

    # --- status ------------------------------------------------------------------------------------------

    def _show_status(self, _change=None) -> None:
        session, parts = self.session, []
        if session.busy:
            parts.append(f'<span class="vx-busy">{escape(session.busy)} …</span>')
        if session.model_name:
            parts.append(f"<span><b>{escape(session.model_name)}</b></span>")
            report = session.model.load_report
            parts.append(f"<span>{escape(f'weights from {report.source}' if report else 'random weights')}</span>")
        if session.look is not None:
            timing = session.look.timing
            threads = f", {timing['threads']} threads" if "threads" in timing else ""
            milliseconds = f"{timing['forward'] * 1000:.0f} ms"
            parts.append(f"<span>{escape(timing['device'])}{threads}: one pass {milliseconds}</span>")
        self.status.value = f'<div class="vx-status" role="status" aria-live="polite">{"".join(parts)}</div>'

    def _show_error(self, _change=None) -> None:
        error = self.session.error
        self.message.value = f'<div class="vx-error" role="alert">{escape(error)}</div>' if error else ""


def _close_all(box: W.Box) -> None:
    """Close everything in a box, the innermost first; ipywidgets keeps layouts and styles alive otherwise."""
    for child in box.children:
        if isinstance(child, W.Box):
            _close_all(child)
        child.close()
        for helper in (getattr(child, "layout", None), getattr(child, "style", None)):
            if isinstance(helper, W.Widget):
                helper.close()
