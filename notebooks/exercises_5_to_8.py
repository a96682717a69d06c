"""What is asked in lessons 5 to 8: see `exercises.py`."""

from __future__ import annotations

from typing import Any

from checking import Number, Tried, called, words_hash

# --- lesson 5: transfer learning ------------------------------------------------------------------------


def _let_learn(function: Any) -> str:
    from collections import OrderedDict

    from torch import nn

    sizes = {"stem": 2, "stage4": 3, "stage40": 4, "head": 5}
    for names in (["head"], ["stage4", "head"], ["stem", "stage40"], []):
        net = nn.Sequential(OrderedDict((name, nn.Linear(1, size)) for name, size in sizes.items()))
        net.stem.requires_grad_(False)
        found = called(function, net, list(names))
        given = f"For {names} of a network of {', '.join(sizes)}"
        learns = [name for name, part in net.named_children() for p in part.parameters() if p.requires_grad]
        if learns != [name for name in sizes if name in names for _ in ("weight", "bias")]:
            return (f"{given} these learn: {', '.join(dict.fromkeys(learns)) or 'none'}. What was frozen "
                    "before must learn where it is named, what is not named must not; and `stage4` is all "
                    "before the point, not how `stage40` begins.")
        if found != sum(2 * sizes[name] for name in names):  # as many biases as weights
            return f"{given} it gives {found!r}: count numbers, not tensors. A tensor knows its `numel()`."
    return ""


def _kept_epoch(function: Any) -> str:
    tries = (([0.9, 0.7, 0.6, 0.5], 2, 3, "It gets better to the end: the last one is kept."),
             ([0.9, 0.7, 0.8, 0.6, 0.5], 2, 4, "One epoch that is no better does not end it yet."),
             ([0.9, 0.7, 0.8, 0.75, 0.1], 2, 1, "It ended after two in a row that were no better: nobody has "
              "seen the last one."),
             ([0.5, 0.6, 0.4, 0.45, 0.42, 0.41, 0.3], 3, 2, "The row is counted anew from each best one."),
             ([0.9, 0.7, 0.7, 0.7, 0.2], 2, 1, "As good as the best is not better."),
             ([0.8], 1, 0, "A single epoch is kept."))
    for losses, patience, right, words in tries:
        found = called(function, list(losses), patience)
        if isinstance(found, bool) or not isinstance(found, int) or found != right:
            return f"For {losses} and a patience of {patience} it gives {found!r}. {words}"
    return ""


# --- lesson 8: why did it say that ----------------------------------------------------------------------


def _share_inside(function: Any) -> str:
    import torch

    heat = torch.arange(24.0).view(4, 6)
    tries = (((0, 0, 6, 4), 1, "A box around all of the map"),
             ((2, 1, 5, 3), 72 / 276, "Columns 2, 3, 4 of rows 1 and 2"),
             ((5, 0, 6, 4), 56 / 276, "The last column, all four rows"),
             ((0, 3, 2, 4), 37 / 276, "Two places of the last row"))
    for box, right, words in tries:
        found = float(called(function, heat.clone(), box))
        if not abs(found - right) < 1e-4:
            return (f"{words}, the box {box} of a map of 4 rows and 6 columns, must give {right:.3f}, and it "
                    f"gives {found:.3f}. A row of a tensor is what lies at one height.")
    if float(called(function, torch.zeros(4, 6), (1, 1, 3, 3))) != 0:
        return "Right, but for a map that is zero everywhere: there it must give 0."
    return ""


def _occlusion_map(function: Any) -> str:
    import torch

    photo = torch.arange(1.0, 289.0).view(3, 8, 12)
    before = photo.clone()

    def score(picture: Any) -> float:
        if tuple(picture.shape) != (3, 8, 12):
            raise ValueError(f"score takes the whole photo [3, 8, 12], not {list(picture.shape)}")
        return float(picture[:, 5, 9].sum() - 2 * picture[:, 1, 2].sum())

    right = torch.zeros(2, 3)
    right[1, 2], right[0, 0] = before[:, 5, 9].sum(), -2 * before[:, 1, 2].sum()
    found = torch.as_tensor(called(function, score, photo, 4), dtype=torch.float32)
    if not torch.equal(photo, before):
        return "Afterwards the photo itself has been covered: cover a copy, photo.clone(), of it each time."
    if found.shape != right.shape:
        return ("A photo of 8 rows and 12 columns, in squares of 4, must give a map of the shape (2, 3), and "
                f"this has {tuple(found.shape)}.")
    if torch.allclose(found, -right, atol=1e-2):
        return "The other way round: where covering makes the score smaller, the map shall be positive."
    if not torch.allclose(found, right, atol=1e-2):
        return ("The numbers are not right. Each is the score of the photo as it is, less its score with one "
                "square, all three colours of it, set to 0.")
    return ""


#: What to think of where a statement was chosen that does not follow.
DOUBTS = {
    "A": "A map says where, and not what was made of it: the camel's light was on the horse, too.",
    "B": "Is it not the experiment that tells whether an answer changes?",
    "D": "Dark places add little to this one sum. Does that say what happens without them?",
    "E": "For which classes can you ask for a map? The teapot had one.",
}


def _follows(letters: Any) -> str:
    given = letters if isinstance(letters, str) else "".join(letters)
    chosen = sorted({letter for letter in given.upper() if letter.isalpha()})
    if not chosen or set(chosen) - set("ABCDEF"):
        return 'Letters from A to F are meant, as in "AB".'
    if words_hash("8.3", *chosen) == "74d7e2ae71e2dd4c":
        return ""
    doubt = next((DOUBTS[letter] for letter in chosen if letter in DOUBTS), "")
    return doubt or "So far, so good. Does another one follow as well?"


# --- the answers, as hashes, and the trials ---------------------------------------------------------------

EXERCISES: dict[str, Any] = {
    "5.1": Number("102faeb5584d9b57", slips={
        "52fe10fb45b3041c": "The old head is gone: its numbers no longer count.",
        "d88a77e637d84cd1": "Nearly: both heads have biases, too.",
        "6efdebd2467cabbb": "That is the new head alone. The body is still there.",
        "243d3ab10834ed55": "That is the body alone. The new head is missing.",
    }, hint="Take the old head away, then add the new one; each has a weight for each pair, and biases."),
    "5.2": Tried(_let_learn),
    "5.3": Tried(_kept_epoch),
    "8.1": Tried(_share_inside),
    "8.2": Tried(_occlusion_map),
    "8.3": Tried(_follows),
}
