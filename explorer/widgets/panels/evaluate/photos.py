"""The photos of an evaluation: of a cell, the worst, the surest mistakes; with heat maps, and one picked."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from html import escape
from typing import TYPE_CHECKING, Any

import ipywidgets as W

from explorer.widgets.gallery import thumbnail_jpeg
from explorer.widgets.jobs import Job, Line
from explorer.widgets.panels.base import Panel
from explorer.widgets.panels.evaluate.blocks import block, controls, show_if, wide_button
from explorer.widgets.panels.evaluate.judgement import Judgement
from explorer.widgets.panels.evaluate.words import problem_text
from explorer.widgets.panels.work import busy_html, notes_html
from explorer.widgets.parts.evaluation_card import (
    WORST,
    answer_of,
    number_answer_of,
    number_photo_html,
    photo_html,
    surest_mistakes,
)
from explorer.widgets.parts.judged_photos import JudgedPhotos

if TYPE_CHECKING:
    from explorer.training.evaluation.figures import JudgedPhoto

log = logging.getLogger(__name__)

SIDE = 168        # pixels of a small photo
VIEWS = {"photo": "photo", "heat map of its answer": "predicted", "of the true class": "true"}
NUMBER_VIEWS = {"photo": "photo", "heat map of its answer": "predicted"}
WHY = {"photo": "", "predicted": "Bright: what spoke for the class that it gave (Grad-CAM).",
       "true": "Bright: what spoke for the true class (Grad-CAM)."}


class Photos:
    """Three rows of photos, by name "cell", "worst" and "surest".

    viewed:   how the worst photos are shown, and of which number their heat maps are
    picked:   the photo that the reader has pressed, None for none
    of_number: gives the number that a heat map is asked for, where there are numbers
    changed:  called when something else is shown
    """

    def __init__(self, panel: Panel, painting: Line, of_number: Callable[[], str | None],
                 changed: Callable[[], None]):
        lock = panel.session.lock
        self.painting, self.of_number, self.changed = painting, of_number, changed
        self.viewed: tuple[str, str | None] = ("photo", None)
        self.picked: JudgedPhoto | None = None
        self._judged: Judgement | None = None
        self._rows: dict[str, list[JudgedPhoto]] = {}  # what each row of photos holds
        self.cell = JudgedPhotos(label="Photos of the cell", lock=lock)
        self.worst = JudgedPhotos(label="The highest losses", lock=lock)
        self.surest = JudgedPhotos(label="The surest mistakes", lock=lock)
        self.more = wide_button("More photos", hidden=True)
        tips = ("The photos as they are", "Grad-CAM for the class it gave",
                "Grad-CAM for the class of the folder")
        self.view = W.ToggleButtons(options=[*VIEWS.items()], value="photo", tooltips=tips)
        self.view_note, self.one = W.HTML(), W.HTML()
        self.open = wide_button("Open in the dashboard", "Makes it the photo that all panels show")
        self.open_both = wide_button("Open with the judged model",
                                     "Makes photo and model those that all panels show")
        self.chosen = W.VBox([self.one, controls(self.open, self.open_both)])
        self.chosen.add_class("vx-eval-chosen")
        self.blocks = {"cell": block("Photos of the chosen cell", self.cell, self.more),
                       "worst": block("Worst photos", self.view, self.view_note, self.worst),
                       "surest": block("The surest mistakes", self.surest)}
        for name in self.blocks:
            getattr(self, name).on_pick(partial(panel.tell, self.pick, name))
        panel.when(self.view, self.change_view)

    # --- the lock is held ---

    def show(self, judged: Judgement) -> None:
        """Another evaluation: its worst photos, and the surest mistakes."""
        self._judged, self._rows, self.viewed = None, {}, ("photo", None)
        self.put_chosen("")
        several = not judged.numbers and judged.result.multi_label
        self.worst.label = "Furthest off" if judged.numbers else "The highest losses"
        views = tuple((NUMBER_VIEWS if judged.numbers else VIEWS).items())
        if self.view.options != views:
            self.view.options = views
        self.view.value = "photo"
        show_if(not several, self.view)
        show_if(not judged.numbers and not several, self.blocks["surest"])
        self._judged = judged
        worst = judged.result.worst[:WORST]
        if judged.numbers:
            note = "The photo" if len(worst) == 1 else f"The {len(worst)} photos"
            self.fill("worst", worst, f"{note} that it is furthest off for, worst first.")
            return
        self.fill("worst", worst, f"The {len(worst)} photos with the highest loss, worst first.")
        if not several:
            wrong = surest_mistakes(judged.result)
            note = "Wrong, and most sure of it." if wrong else "There are no mistakes among these photos."
            self.fill("surest", wrong, note)

    def fill(self, name: str, rows: list[JudgedPhoto], note: str) -> None:
        """Open the photos of a row soon, small, and show them."""
        self.painting.start(partial(self._open_small, self._judged, rows),
                            partial(self._show_row, name, rows, note), key=name)

    def _show_row(self, name: str, rows: list[JudgedPhoto], note: str, photos: list[Any]) -> None:
        self._rows[name] = rows
        getattr(self, name).show(photos, note=note)

    def change_view(self) -> None:
        """The worst photos as they are, or under a heat map for one of two classes."""
        if self._judged is not None and "worst" in self._rows:
            number = self.of_number() if self._judged.numbers else None
            work = partial(self._look_through, self._judged, self._rows["worst"], self.view.value, number)
            self.painting.start(work, partial(self._show_pictures, self.view.value, number), key="view")

    def _show_pictures(self, view: str, number: str | None, found: tuple[list[bytes], set[str]]) -> None:
        pictures, notes = found
        self.viewed = (view, number)
        why = WHY[view] if number is None or view == "photo" else f"Bright: what raised {number} (Grad-CAM)."
        said = f'<p class="vx-soft">{escape(why)}</p>' if why else ""
        self.worst.pictures(pictures)
        self.view_note.value = said + notes_html(sorted(notes))
        self.changed()

    def pick(self, place: str, index: int) -> None:
        """The reader has pressed a photo."""
        rows = self._rows.get(place, [])
        if self._judged is None or index >= len(rows):
            return
        self.picked = rows[index]
        words = number_photo_html if self._judged.numbers else photo_html
        self.one.value = words(self._judged.result, self.picked)
        self.put_chosen(place)
        self.changed()

    def put_chosen(self, place: str) -> None:
        """Show what is known of the picked photo below the row that it was picked from; "" nowhere."""
        for name, box in self.blocks.items():
            rest = [child for child in box.children if child is not self.chosen]
            if name == place:
                rest.insert(rest.index(getattr(self, name)) + 1, self.chosen)
            if tuple(rest) != box.children:
                box.children = rest
            if name != place:
                getattr(self, name).selected = -1

    def forget(self) -> None:
        self._judged, self.picked, self._rows = None, None, {}

    def code(self, judged: Judgement) -> list[str]:
        """Lines that give the heat maps on the worst photos; none where there are none."""
        view, number = self.viewed
        if view == "photo":
            return []
        target = f"result.index(row.{view})" if number is None else judged.result.numbers.index(number)
        return [f"heat_maps = [explorer.explain({judged.network()}, result.open_photo(row),",
                f"                              target={target})",
                f"             for row in result.worst[:{WORST}]]"]

    # --- in the background ---

    def _open_small(self, judged: Judgement, rows: list[JudgedPhoto], job: Job) -> list[Any]:
        photos = []
        for row in rows:
            if job.stale:
                break
            answer = number_answer_of(judged.result, row) if judged.numbers else answer_of(row)
            photos.append((self._small(judged.result, row), answer))
        return photos

    @staticmethod
    def _small(result: Any, row: JudgedPhoto) -> bytes:
        from PIL import Image

        from explorer.data.images import ImageError

        try:
            return thumbnail_jpeg(result.open_photo(row), SIDE)
        except (ImageError, ValueError):  # moved since, or there were only probabilities: its name stays
            return thumbnail_jpeg(Image.new("RGB", (8, 8), "grey"), SIDE)

    def _look_through(self, judged: Judgement, rows: list[JudgedPhoto], view: str, number: str | None,
                      job: Job) -> tuple[list[bytes], set[str]]:
        """(small pictures, why some are no heat maps)."""
        pictures, notes = [], set()
        for place, row in enumerate(rows, 1):
            if job.stale:
                break
            if view == "photo":
                pictures.append(self._small(judged.result, row))
                continue
            job.tell(setattr, self.view_note, "value", busy_html(f"heat map {place} of {len(rows)}"))
            try:
                pictures.append(self.heat(judged, row, view, number))
            except Exception as error:
                notes.add(problem_text(error))
                log.info("no heat map of %s: %s", row.name, error, exc_info=error)
                pictures.append(self._small(judged.result, row))
        return pictures, notes

    @staticmethod
    def heat(judged: Judgement, row: JudgedPhoto, view: str, number: str | None) -> bytes:
        """The photo under the heat map for a class, or of a number."""
        from explorer.inspection.attribution.explaining import explain

        result = judged.result
        if number is not None:
            target = result.numbers.index(number)
        else:
            target = int((result.labels if view == "true" else result.predicted)[row.index])
        shown = explain(judged.model, result.open_photo(row), method="gradcam", target=target)
        return thumbnail_jpeg(shown.overlay(), SIDE)
