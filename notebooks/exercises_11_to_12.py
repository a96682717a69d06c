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


# --- lesson 12: masks -----------------------------------------------------------------------------------


def _class_iou(function: Any) -> str:
    import torch

    small = [[1, 1], [0, 0]], [[1, 0], [0, 0]]
    tries = ((*small, 1, 1 / 2, "One pixel is called so by both, one by one of them."),
             (*small, 0, 2 / 3, "It is another class of the same masks."),
             ([[1, 1], [0, 1]], [[1, 255], [0, 255]], 1, 1.0,
              "Where the truth is 255, what was said counts nowhere."),
             ([[2, 2, 2], [1, 0, 0]], [[2, 1, 2], [2, 255, 0]], 2, 1 / 2, "There may be more classes than two."),
             ([[2, 1], [0, 0]], [[1, 1], [0, 2]], 2, 0.0, "They share no pixel."),
             ([[0, 0], [0, 1]], [[0, 0], [0, 255]], 1, 0.0, "No pixel that counts is of this class: 0 is meant."))
    for said, truth, index, right, words in tries:
        found = float(called(function, torch.tensor(said), torch.tensor(truth), index))
        if not abs(found - right) < 1e-4:
            return (f"Of class {index}, said {said} and true {truth}, it must give {right:.3f}, and it gives "
                    f"{found:.3f}. {words}")
    return ""


def _count_large(function: Any) -> str:
    import torch

    mask = torch.tensor([[1, 1, 0, 0, 0, 1], [1, 1, 0, 0, 0, 0], [0, 0, 0, 1, 0, 0], [0, 0, 0, 0, 1, 0],
                         [0, 1, 0, 0, 0, 0]])  # pieces of 4, 2, 1 and 1 pixels
    tries = ((mask, 5, 0, "All pieces are smaller, and background is no piece."),
             (mask, 4, 1, "A piece of just so many counts."),
             (mask, 1, 4, "Pixels that touch at a corner belong together, and a single one is a piece."),
             (mask, 2, 2, "One piece has four pixels, one has two."),
             (torch.ones(4, 4, dtype=torch.int64), 16, 1, "Here all of it is one piece."),
             (torch.zeros(4, 4, dtype=torch.int64), 1, 0, "Here is nothing."))
    for picture, smallest, right, words in tries:
        found = called(function, picture.clone(), smallest)
        if isinstance(found, bool) or int(found) != right:
            return (f"Of {picture.tolist()}, pieces of at least {smallest}, it gives {found!r}. {words}")
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
    "12.1": Tried(_class_iou),
    "12.2": Tried(_count_large),
    "12.3": Number("cc885fd0a28f5bd8", slips={
        "bddc7053899fe25d": "That is the map from below alone. What lies beside it?",
        "176212ff461d4901": "That is the map across the bridge alone. What comes from below?",
        "119aa2e7597af141": "Which size have both maps, when they lie beside each other?",
        "bf81bd98d0c6e559": "The map from below is doubled before the other is set beside it.",
        "219f11316bfcf46a": "The photo of section 4 is 256 x 256. This one is wider.",
        "7eac7f2a8f9a9216": "One step too far: `up2` ends at 1/4 of the photo.",
    }, hint="Channels times height times width: which channels lie side by side, and at which part of the photo?"),
}
