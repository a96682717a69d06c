"""The lines that give what the tab Detect shows, and its caption; `panel` is the `DetectPanel`."""

from __future__ import annotations

from typing import Any

from explorer.display.words import counted
from explorer.widgets.snippets import call


def code_lines(panel: Any) -> list[str]:
    """Those behind `found = explorer.detect(...)`."""
    mode, lines = panel.mode.value, []
    if mode == "before":
        lines.append("every = found.candidates  # before NMS, in the network's pixels")
        lines.append("every.take(every.scores > found.score_threshold)")
        if panel.level.value >= 0:
            lines.insert(1, f"every = every.take(every.levels == {panel.level.value})")
        return lines
    if mode == "anchors" and panel.view.spot:
        x, y = panel.view.spot
        return [f"found.anchors_at({x}, {y})"]
    known, classes = ([], "")
    if panel.truth is not None:
        known, classes = panel.known.lines(panel.session.model)
    if mode == "anchors":
        shown = known and len(panel.laid.ghosts)
        return [*known, f"found.positives(known{classes})"] if shown else ["found.levels"]
    if panel.heat.asked is not None:
        return [*heat_lines(panel)]
    if len(panel.view.chosen) == 1 and panel.level.value < 0:
        lines.append(f"found.heap({panel.view.chosen[0]})")
    if known:
        lines += [*known, f"found.judged(known{classes})"]
    return [*lines, "found.overlay()"]


def heat_lines(panel: Any) -> list[str]:
    _, found, number = panel.heat.asked
    options = {"score_threshold": round(found.score_threshold, 2),
               "iou_threshold": round(found.iou_threshold, 2)}
    return ["from explorer.inspection.attribution.places import heat_of_box",
            "look = explorer.look(model, photo)", f"found = {call('look.detections.at', options=options)}",
            f"heat_of_box(look, {number}, found=found)"]


def caption_of(panel: Any) -> str:
    """The settings behind the figure, in sentences."""
    found, mode = panel.shown, panel.mode.value
    if panel.heat.found is not None:
        return f"{panel.heat.found.caption}."
    if mode == "anchors":
        if panel.view.spot:
            return f"The {counted(len(panel.laid.ghosts), 'anchor')} at {panel.view.spot} of the photo."
        return "The anchors that a training would ask to find the true boxes." if panel.truth else "Anchors."
    if mode == "before":
        text = f"Candidates with a score above {found.score_threshold:.2f}, before non-maximum suppression."
    else:
        text = (f"Boxes with a score above {found.score_threshold:.2f}; of boxes of one class that overlap "
                f"by more than {found.iou_threshold:.2f} the best.")
    if panel.level.value >= 0:
        text += f" Those on {panel.level.label} alone."
    if panel.judged is not None:
        wrong = panel.judged.count("wrong") + panel.judged.count("another class")
        text += (f" {panel.judged.count('right')} right, {wrong} wrong, {len(panel.judged.missed)} missed "
                 "(dashed), by an overlap of 0.5.")
    return text
