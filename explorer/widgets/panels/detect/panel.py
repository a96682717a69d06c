"""Detect: the boxes that a network finds in the photo, and what the two thresholds do to them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ipywidgets as W
import numpy as np

from explorer.widgets.panels.base import labelled
from explorer.widgets.panels.detect.drawing import (
    LEVELS,
    MOST_DRAWN,
    VERDICTS,
    WHITE,
    Drawn,
    anchor_and_heap,
    drawn_anchors,
    drawn_boxes,
    level_words,
    with_ghosts,
)
from explorer.widgets.panels.detect.guide import GUIDE
from explorer.widgets.panels.detect.words import (
    CLICK,
    CLICK_PLACE,
    anchors_html,
    box_html,
    counts_html,
    key_html,
    pair_html,
    positives_html,
    verdicts_html,
)
from explorer.widgets.panels.known import Known, true_boxes
from explorer.widgets.panels.offer import Offer
from explorer.widgets.panels.place_heat import PlaceHeat, heat_of_one
from explorer.widgets.panels.place_panel import PlacePanel
from explorer.widgets.panels.work import notes_html, said_html
from explorer.widgets.parts.photo_overlay import PhotoOverlay
from explorer.widgets.snippets import call, setup_lines

if TYPE_CHECKING:
    from explorer.data.places.place_set import Boxes
    from explorer.inspection.detect.judging import JudgedBoxes
    from explorer.inspection.detect.result import Detections
    from explorer.models.detection.candidates import Candidates

AFTER, BEFORE, ANCHORS = "after", "before", "anchors"
MODES = [("Boxes", AFTER), ("Before NMS", BEFORE), ("Anchors", ANCHORS)]
NO_BOXES = ("This model finds no boxes. Pick one under <b>Task</b>: detection in the list of models, or open "
            "your own: <code>dash.session.model = my_detector</code>.")


class DetectPanel(PlacePanel):
    name = "Boxes"
    guide = GUIDE
    nothing_yet = "No boxes are shown here yet: choose a model that finds them, and a photo."

    def make(self) -> None:
        self.mode = labelled("Show", W.ToggleButtons, options=MODES)
        self.score = labelled("Score above", W.FloatSlider, min=0.02, max=0.99, step=0.01, value=0.3,
                              readout_format=".2f", layout=W.Layout(width="min(340px, 100%)"))
        self.overlap = labelled("Overlap up to", W.FloatSlider, min=0.05, max=1.0, step=0.05, value=0.5,
                                readout_format=".2f", layout=W.Layout(width="min(340px, 100%)"))
        self.colours = labelled("Colours by", W.Dropdown, options=[("class", "class"), ("level", "level")],
                                layout=W.Layout(width="auto"))
        self.level = labelled("Level", W.Dropdown, options=[("all levels", -1)],
                              layout=W.Layout(width="auto"))
        self.view = PhotoOverlay(choices=2, side=512, lock=self.session.lock)
        self.facts, self.pair, self.notes = W.HTML(), W.HTML(), W.HTML()
        self.known = Known(self, "detection", self._redraw)
        self.offer = Offer(self.session, "detection", NO_BOXES)
        rows = [W.HBox([self.mode, self.colours, self.level], layout=W.Layout(flex_flow="row wrap")),
                W.HBox([self.score, self.overlap], layout=W.Layout(flex_flow="row wrap"))]
        for row in rows:
            row.add_class("vx-controls")
        self.heat = PlaceHeat(self, self.view, "Why this box", self._asked, heat_of_one, self._alone)
        beside = W.Box([self.view, W.VBox([self.facts, self.pair, self.heat.row])])
        beside.add_class("vx-photo-row")
        self.body = W.VBox([self.notes, *rows, beside, self.known.row])
        self.shown: Detections | None = None
        self.drawn = self.laid = Drawn()     # without, and with what stands behind a chosen one
        self.candidates: Candidates | None = None   # those that are drawn as boxes
        self.judged: JudgedBoxes | None = None
        self.truth: Boxes | None = None             # of the photo, by the network's classes
        self._photo: Any = None                     # the look whose photo the page has
        self.fill([self.offer.row, self.body])
        self.add_class("vx-detect")
        for control in (self.mode, self.score, self.overlap, self.colours, self.level):
            self.on_choice(control)
        self.view.on_chosen(lambda _: self.tell(self._tell_chosen))
        self.view.on_spot(lambda _: self.tell(self._pointed_out))

    # --- what is drawn ------------------------------------------------------------------------------------

    def _settings_now(self) -> tuple[Any, ...]:
        controls = (self.mode, self.score, self.overlap, self.colours, self.level)
        return (self.session.look, *(control.value for control in controls), *self.known.of_now())

    def _draw(self) -> None:
        look = self.session.look
        found = None if look is None else look.detections
        self.offer.show(found is None)
        self.body.layout.display = "" if found is not None else "none"
        if found is None:
            self.forget()
            self.view.clear()
            return
        if self._photo is not look:
            self._photo = look
            self.view.show(look.image, label=f"{self.session.image_name}, with boxes")
            self._offer_levels(found)
        self._know(found, look)
        score = max(self.score.value, found.lowest)
        self.shown = found.at(score_threshold=score, iou_threshold=self.overlap.value)
        self.overlap.disabled = self.mode.value != AFTER
        for control in (self.score, self.overlap, self.colours):
            control.layout.display = "none" if self.mode.value == ANCHORS else ""
        self.view.spots = self.mode.value == ANCHORS
        if not self.view.spots:
            self.view.spot = ()
        self.candidates = self._candidates()
        if self.mode.value == ANCHORS:
            self._draw_anchors()
        else:
            self._draw_boxes()
        self._lay(self.drawn)

    def _offer_levels(self, found: Detections) -> None:
        """The levels of this network to choose from; the choice stays where there is one of that number."""
        words = level_words(found)
        options = [("all levels", -1), *((word, level) for level, word in enumerate(words))]
        modes = MODES if words else MODES[:2]  # proposals of a first network are no anchors
        if [*self.mode.options] != modes:
            value = self.mode.value
            self.mode.options = modes
            self.mode.value = value if words or value != ANCHORS else AFTER
        self.level.layout.display = "" if len(options) > 1 else "none"
        if list(self.level.options) != options:
            with self.level.hold_trait_notifications():
                value = self.level.value
                self.level.options = options
                self.level.value = value if value in dict(options).values() else -1

    def _know(self, found: Detections, look: Any) -> None:
        """The true boxes of this photo, where they are known; else what stands in their way."""
        self.known.tell()
        self.truth, wrong = true_boxes(self.known, found, look, self.session.model)
        options = [("class", "class"), ("level", "level")]
        options += [("right or wrong", "truth")] if self.truth else []
        if list(self.colours.options) != options:
            self.colours.options = options
            self.colours.value = "truth" if self.truth else "class"
        self.notes.value = notes_html(look.notes) + said_html(wrong)

    def _candidates(self) -> Candidates:
        """Those that are drawn, best first: of the chosen level, after NMS or before."""
        found = self.shown
        every = found.chosen
        if self.mode.value == BEFORE:
            every = found.candidates
            every = every.take(every.scores > found.score_threshold)
            every = every.take(every.scores.argsort(descending=True))
        if self.level.value >= 0 and self.mode.value != ANCHORS:
            every = every.take(every.levels == self.level.value)
        return every

    def _draw_boxes(self) -> None:
        found, raw = self.shown, self.mode.value == BEFORE
        whole = self.level.value < 0 and not raw
        self.judged = None
        if self.truth is not None and whole:
            from explorer.inspection.detect.judging import judge

            self.judged = judge(found.boxes.numpy(), found.scores.numpy(), found.indices.numpy(), self.truth)
        by = self.colours.value
        few = self.candidates.take(slice(0, MOST_DRAWN))
        self.drawn = drawn_boxes(found, few, by=by, judged=self.judged)
        if self.truth is not None and by == "truth":
            left = self.judged.missed if self.judged else range(len(self.truth))
            missed = self.truth.boxes[[*left]]
            self.drawn = with_ghosts(self.drawn, [(missed, VERDICTS["missed"])])
        above = int((found.candidates.scores > found.score_threshold).sum())
        level = self.level.label if self.level.value >= 0 else ""
        facts = counts_html(found, self.candidates, self.judged, raw=raw, level=level, above=above)
        if self.judged is not None:
            facts += verdicts_html(self.judged, coloured=by == "truth")
        if by == "level":
            facts += key_html(self._level_key())
        self.facts.value = facts

    def _draw_anchors(self) -> None:
        """The true boxes, where they are known, to choose one; the anchors follow what is pointed out."""
        self.judged, self.drawn = None, Drawn()
        if self.truth is not None and len(self.truth):
            names = [self.shown.names[label] for label in self.truth.labels.tolist()]
            self.drawn = Drawn(self.truth.boxes.astype(np.float32), names, None, [WHITE] * len(names),
                               ["a true box"] * len(names))

    def _tell_anchors(self) -> None:
        """Those at the place that was clicked, or those that a training would call positive."""
        found, spot, chosen = self.shown, self.view.spot, [*self.view.chosen]
        parts, key = [], self._level_key()
        try:
            if spot:
                anchors = found.anchors_at(*spot)
                facts = anchors_html(found, anchors)
            elif self.truth is not None and len(self.truth):
                anchors = found.positives(self.truth)
                facts = positives_html(found, anchors, chosen[-1] if chosen else None, self.drawn.labels)
                anchors = anchors.of_thing(chosen[-1]) if chosen else anchors
            else:
                anchors, facts, key = None, "", []
            if anchors is not None:
                anchors = anchors if self.level.value < 0 else anchors.of_level(self.level.value)
                parts = [*zip(*drawn_anchors(anchors))]
            facts += key_html(key) + CLICK_PLACE
        except ValueError as error:  # proposals have no anchors, torchvision keeps its matching to itself
            facts = said_html(str(error)) + (CLICK_PLACE if not spot else "")
        drawn = with_ghosts(self.drawn, parts, fine=len(parts) > 60)
        self.facts.value = facts
        self.pair.value = ""
        self.heat.offer(False)
        self._ghosts(drawn)

    def _level_key(self) -> list[tuple[str, str]]:
        return [(LEVELS[level % len(LEVELS)], word.removeprefix("level ").partition(",")[0])
                for level, word in enumerate(level_words(self.shown))]

    def _lay(self, drawn: Drawn) -> None:
        """Boxes, and masks where there are any, over the photo."""
        self.view.boxes(drawn.edges, labels=drawn.labels, scores=drawn.scores, colours=drawn.colours,
                        texts=drawn.texts)
        masks = self._masks()
        if masks is None:
            self.view.mask(None)
        else:
            codes = np.where(masks.any(0), masks.argmax(0), len(masks))  # the best one is on top
            names = [f"{label} {number}" for number, label in enumerate(self.shown.labels, start=1)]
            self.view.mask(codes, names=[*names, "background"])
        self._tell_chosen()

    def _masks(self) -> np.ndarray | None:
        """Of the boxes that are drawn [N, H, W], where there are any and all of them are."""
        whole = self.mode.value == AFTER and self.level.value < 0 and len(self.shown)
        return self.shown.masks.numpy() if whole and self.shown.masks is not None else None

    # --- what is chosen -----------------------------------------------------------------------------------

    def _pointed_out(self) -> None:
        """A place was clicked: it is that, not a box, that is asked about."""
        if self.view.spot:
            self.view.chosen = ()
        self._tell_chosen()

    def _tell_chosen(self) -> None:
        """What stands behind the chosen box; the IoU of two."""
        if self.shown is None:
            return
        chosen = [*self.view.chosen]
        if self.mode.value == ANCHORS:
            if chosen:
                self.view.spot, self.view.chosen = (), tuple(chosen[-1:])
            self._tell_anchors()
            return
        drawn, told = self.drawn, CLICK if len(self.drawn.edges) else ""
        if len(chosen) == 1:
            told, parts = self._behind(chosen[0])
            drawn = with_ghosts(drawn, [(drawn.ghosts, VERDICTS["missed"]), *parts])
        elif len(chosen) == 2:
            told = pair_html(drawn, *chosen, allowed=self.overlap.value)
        self.pair.value = told
        self.heat.offer(len(chosen) == 1 and self.mode.value == AFTER)
        self._ghosts(drawn)

    def _ghosts(self, drawn: Drawn) -> None:
        self.laid = drawn
        self.view.ghosts(drawn.ghosts, colours=drawn.ghost_colours, fine=drawn.fine)
        self.changed()

    def _behind(self, number: int) -> tuple[str, list[tuple[Any, str]]]:
        """(words, dashed boxes) for one of the boxes that are drawn: its anchor, and its heap."""
        found, one = self.shown, self.candidates.take(slice(number, number + 1))
        place = self._number_of(number) if self.mode.value == AFTER else None
        anchor, heap = anchor_and_heap(found, one, place)
        parts = []
        if heap is not None:
            edges = found.place.out_of(heap.boxes[:MOST_DRAWN]).numpy()
            parts.append((edges, self.drawn.colours[number]))
        if anchor is not None:
            parts.append((anchor.boxes.numpy(), WHITE))
        return box_html(found, number, self.candidates, anchor, heap), parts

    def _asked(self) -> tuple[Any, Detections, int] | None:
        """(the look, its boxes, which of them) that a heat map is asked for."""
        chosen = self.view.chosen
        if self.shown is None or len(chosen) != 1:
            return None
        return self.session.look, self.shown, self._number_of(chosen[0])

    def _alone(self, alone: bool) -> None:
        """Beside a heat map the chosen box stands alone; a tick brings the others back."""
        self.view.outlines = not alone

    def _number_of(self, number: int) -> int:
        """The place among all that NMS leaves of one that is drawn."""
        if self.level.value < 0:
            return number
        own = (self.shown.chosen.levels == self.level.value).nonzero()[:, 0]
        return int(own[number])

    # --- code and figure ------------------------------------------------------------------------------------

    def code(self) -> str:
        if self.shown is None:
            return ""
        from explorer.widgets.panels.detect.lines import code_lines

        options = {"score_threshold": round(self.shown.score_threshold, 2),
                   "iou_threshold": round(self.shown.iou_threshold, 2)}
        detected = call("explorer.detect", "model", "photo", options=options)
        return "\n".join([*setup_lines(self.session), f"found = {detected}", *code_lines(self)])

    def figure(self) -> Any:
        if self.shown is None:
            return None
        if self.heat.found is not None:
            return self.heat.found.overlay_with_bar(self.view.alpha)
        return self.laid.picture(self.shown.image, masks=self._masks())

    def caption(self) -> str:
        if self.shown is None:
            return super().caption()
        from explorer.widgets.panels.detect.lines import caption_of

        return f"{super().caption()} {caption_of(self)}"

    def forget(self) -> None:
        self.shown = self._photo = self._settings = self.candidates = self.judged = self.truth = None
        self.drawn = self.laid = Drawn()
