"""What is asked in lessons 11 and 12: see `exercises.py`."""

from __future__ import annotations

from typing import Any

from checking import Number, Tried, called

# --- lesson 11: boxes -----------------------------------------------------------------------------------

HERE, NEAR, THERE = [0, 0, 40, 40], [5, 0, 45, 40], [100, 100, 140, 140]


def _nms_by_class(function: Any) -> str:
    far = [24, 0, 64, 40]  # overlaps NEAR by 0.36, HERE by 0.25
    tries = (([HERE, THERE], [0.9, 0.8], [0, 0], 0.5, [0, 1], "Nothing overlaps: both stay, the surer one first."),
             ([HERE, NEAR], [0.6, 0.9], [0, 0], 0.5, [1], "Of two that overlap the surer one stays."),
             ([HERE, NEAR], [0.9, 0.6], [0, 1], 0.5, [0, 1], "Boxes of two classes never throw each other out."),
             ([HERE, NEAR, far], [0.9, 0.8, 0.7], [0, 0, 0], 0.3, [0, 2],
              "A box that was thrown out throws out no other."),
             ([THERE, HERE, NEAR, NEAR], [0.2, 0.5, 0.7, 0.9], [1, 0, 0, 1], 0.5, [3, 2, 0],
              "The surest comes first, whatever its class."),
             ([], [], [], 0.5, [], "Of no boxes none stays."))
    for boxes, scores, labels, most, right, words in tries:
        found = called(function, [list(box) for box in boxes], list(scores), list(labels), most)
        found = [int(number) for number in found]
        if found != right:
            return f"For boxes {boxes} with scores {scores} and labels {labels} it gives {found}. {words}"
    return ""


def _plain_ap(function: Any) -> str:
    tries = (([True, True], 2, 1.0, "All is right, and all is found."),
             ([True, False, True], 2, (1 + 2 / 3) / 2, "The precision is 1 at the first right box, 2/3 at the "
              "second."),
             ([True], 4, 0.25, "Three things have no box: they count, as zeros."),
             ([False, False, True], 1, 1 / 3, "The one right box comes third."),
             ([False, False], 3, 0.0, "Nothing is right."), ([], 5, 0.0, "No box was shown."))
    for right, things, wanted, words in tries:
        found = float(called(function, list(right), things))
        if not abs(found - wanted) < 1e-3:
            return f"For {right} and {things} things it must give {wanted:.3f}, and it gives {found:.3f}. {words}"
    return ""


# --- the answers, as hashes, and the trials -------------------------------------------------------------

EXERCISES: dict[str, Any] = {
    "11.1": Number("e40ee601e2185924", digits=2, slips={
        "2d776959282162cb": "What both cover is counted twice in the sum of the areas: it is one area.",
        "c1cf173ff771f24d": "That is what they share, by the area of one box. It has to be the area of both together.",
        "7e537403ef0a1eb4": "That is the area that they share. What do they cover together?",
        "c917e691f2cde511": "That is the area that they cover together. Which part of it do they share?",
    }, hint="From where to where do they overlap, across and down? Draw them on squared paper."),
    "11.2": Tried(_nms_by_class),
    "11.3": Tried(_plain_ap),
}
