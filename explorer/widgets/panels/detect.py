"""Detect: the boxes that a network finds in the photo, and what the two thresholds do to them."""

from __future__ import annotations

from collections import Counter
from html import escape
from typing import TYPE_CHECKING, Any

import ipywidgets as W
import numpy as np

from explorer.display.words import counted, percent
from explorer.widgets.panels.base import Panel, labelled
from explorer.widgets.panels.work import notes_html
from explorer.widgets.parts.photo_overlay import PhotoOverlay
from explorer.widgets.snippets import call, setup_lines

if TYPE_CHECKING:
    from explorer.inspection.detect.result import Detections

MOST_RAW = 2000  # candidates that are drawn before the overlapping ones are thrown out
NO_BOXES = ("This model finds no boxes. Pick one under <b>Task</b>: detection in the list of models, or open "
            "your own: <code>dash.session.model = my_detector</code>.")
GUIDE = """
    <p><b>What you see.</b> A detector looks at thousands of possible boxes at once, from a pyramid of maps:
    fine maps for small things, coarse ones for large. Each candidate gets a score for each class. The
    <i>score</i> slider hides those below it; of boxes of one class that overlap by more than the
    <i>overlap</i> slider says (intersection over union, IoU) the best stays: that is non-maximum suppression
    (NMS). Tick <i>before NMS</i> to see the heap that it clears. Both sliders choose among what one pass
    found; the network does not run again.</p>
    <p><b>Two boxes.</b> Click two boxes: their IoU is the area that they share, divided by the area that they
    cover together. 1 is the same box, 0 no common pixel; a box counts as found from 0.5 on in most
    competitions.</p>
    <p><b>What it does not prove.</b> A score is no probability of being right, and it depends on the network:
    0.3 of one is not 0.3 of another. What overlaps a better box of its class is gone, also where there are
    two things (<a href="https://arxiv.org/abs/1705.02950">Hosang and others, 2017: Learning non-maximum
    suppression</a>).</p>"""


class DetectPanel(Panel):
    name = "Boxes"
    rests = True
    draw_on = ("look",)
    guide = GUIDE
    nothing_yet = "No boxes are shown here yet: choose a model that finds them, and a photo."

    def make(self) -> None:
        wide = W.Layout(width="min(340px, 100%)")
        self.score = labelled("Score above", W.FloatSlider, min=0.02, max=0.99, step=0.01, value=0.3,
                              readout_format=".2f", layout=wide)
        self.overlap = labelled("Overlap up to", W.FloatSlider, min=0.05, max=1.0, step=0.05, value=0.5,
                                readout_format=".2f", layout=wide)
        self.raw = W.Checkbox(description="before NMS", indent=False, layout=W.Layout(width="auto"))
        self.view = PhotoOverlay(choices=2, side=512, lock=self.session.lock)
        self.facts, self.pair, self.notes = W.HTML(), W.HTML(), W.HTML()
        self.empty = W.HTML(f'<span class="vx-soft">{NO_BOXES}</span>')
        controls = W.HBox([self.score, self.overlap, self.raw], layout=W.Layout(flex_flow="row wrap"))
        controls.add_class("vx-controls")
        row = W.Box([self.view, W.VBox([self.facts, self.pair])])
        row.add_class("vx-photo-row")
        self.body = W.VBox([self.notes, controls, row])
        self.shown: Detections | None = None
        self._photo: Any = None             # the look whose photo the page has
        self.fill([self.empty, self.body])
        self.add_class("vx-detect")
        for control in (self.score, self.overlap, self.raw):
            self.on_choice(control)
        self.view.on_chosen(lambda _: self.tell(self._tell_pair))

    def draw(self) -> None:
        look = self.session.look
        found = None if look is None else look.detections
        self.empty.layout.display = "none" if found is not None else ""
        self.body.layout.display = "" if found is not None else "none"
        if found is None:
            self.shown = self._photo = None
            self.view.clear()
            return
        if self._photo is not look:
            self._photo = look
            self.view.show(look.image, label=f"{self.session.image_name}, with boxes")
            self.notes.value = notes_html(look.notes)
        score = max(self.score.value, found.lowest)
        self.shown = found.at(score_threshold=score, iou_threshold=self.overlap.value)
        self.overlap.disabled = self.raw.value
        self._lay()
        self.facts.value = self._facts_html()
        self._tell_pair()

    def _lay(self) -> None:
        """Boxes, and masks where there are any, over the photo."""
        found = self.shown
        boxes, indices, scores = self._boxes()
        self.view.boxes(boxes, labels=[found.names[index] for index in indices.tolist()], scores=scores)
        if found.masks is None or self.raw.value or not len(found):
            self.view.mask(None)
            return
        inside = found.masks.numpy()
        codes = np.where(inside.any(0), inside.argmax(0), len(found))  # the best one is on top
        names = [f"{label} {number}" for number, label in enumerate(found.labels, start=1)]
        self.view.mask(codes, names=[*names, "background"])

    def _boxes(self) -> tuple[Any, Any, Any]:
        """(boxes [N, 4] in the photo's pixels, the class of each, its score), best first."""
        found = self.shown
        if not self.raw.value:
            return found.boxes.numpy(), found.indices, found.scores.numpy()
        every = found.candidates
        every = every.take(every.scores > found.score_threshold)
        every = every.take(every.scores.argsort(descending=True)[:MOST_RAW])
        return found.place.out_of(every.boxes).numpy(), every.labels, every.scores.numpy()

    # --- words --------------------------------------------------------------------------------------------

    def _facts_html(self) -> str:
        found = self.shown
        above = int((found.candidates.scores > found.score_threshold).sum())
        stay = "" if self.raw.value else f", {counted(len(found), 'box', 'es')} after NMS"
        lines = [f"<p>{counted(above, 'candidate')} above {percent(found.score_threshold)}{stay}.</p>"]
        if self.raw.value and above > MOST_RAW:
            lines.append(f"<p>The {MOST_RAW:,} best are drawn.</p>")
        rows = "".join(f"<tr><th scope='row'>{escape(label)}</th><td>{count}</td></tr>"
                       for label, count in Counter(found.labels).most_common())
        if rows and not self.raw.value:
            lines.append(f'<table class="vx-facts"><tbody>{rows}</tbody></table>')
        return "".join(lines)

    def _tell_pair(self) -> None:
        """The IoU of the two chosen boxes."""
        chosen = [] if self.shown is None else list(self.view.chosen)
        if len(chosen) < 2:
            self.pair.value = '<span class="vx-soft">Click two boxes: how much they overlap.</span>'
            return
        from explorer.inspection.detect.overlap import intersection_over_union

        boxes, indices, _ = self._boxes()
        one, other = (boxes[index] for index in chosen)
        names = " and ".join(f"<b>{escape(self.shown.names[int(indices[index])])}</b>" for index in chosen)
        overlap = intersection_over_union(one, other)
        told = [f"<p>{names}: IoU <b>{overlap:.2f}</b></p>"]
        if indices[chosen[0]] == indices[chosen[1]] and overlap > self.overlap.value:
            told.append('<p class="vx-soft">More than the overlap allowed: NMS keeps the better one '
                        "alone.</p>")
        self.pair.value = "".join(told)

    # --- code and figure ------------------------------------------------------------------------------------

    def code(self) -> str:
        if self.shown is None:
            return ""
        options = {"score_threshold": round(self.shown.score_threshold, 2),
                   "iou_threshold": round(self.shown.iou_threshold, 2)}
        detected = call("explorer.detect", "model", "photo", options=options)
        return "\n".join([*setup_lines(self.session), f"found = {detected}", "found.overlay()"])

    def figure(self) -> Any:
        return None if self.shown is None else self.shown.overlay()

    def caption(self) -> str:
        if self.shown is None:
            return super().caption()
        return (f"{super().caption()} Boxes with a score above {self.shown.score_threshold:.2f}; of boxes of "
                f"one class that overlap by more than {self.shown.iou_threshold:.2f} the best.")

    def forget(self) -> None:
        self.shown = self._photo = None
