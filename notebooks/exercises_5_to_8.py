"""What is asked in lessons 5 to 8: see `exercises.py`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from checking import Number, Tried, called, whole, words_hash

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
        if whole(found) != right:
            return f"For {losses} and a patience of {patience} it gives {found!r}. {words}"
    return ""


# --- lesson 6: CIFAR-10 -----------------------------------------------------------------------------------


def _share_right(function: Any) -> str:
    import torch
    from torch import nn

    class Net(nn.Module):
        """Says which of its three numbers is the largest; while it trains, the smallest. Watches itself."""

        def __init__(self) -> None:
            super().__init__()
            self.body, self.trained, self.graph = nn.Linear(3, 3, bias=False), False, False
            self.body.weight.data = torch.eye(3)

        def forward(self, inputs: Any) -> Any:
            self.trained |= self.training
            self.graph |= torch.is_grad_enabled()
            return self.body(-inputs if self.training else inputs)

    def batch(*numbers: tuple[int, int]) -> tuple[Any, Any]:
        """Of (what the network shall say, the true class)."""
        return torch.eye(3)[[said for said, _ in numbers]], torch.tensor([label for _, label in numbers])

    batches = [batch((0, 0), (1, 1), (2, 2), (0, 1)), batch((1, 1), (2, 0), (0, 0), (2, 2)), batch((2, 1))]
    net = Net().train()
    found = float(called(function, net, batches))
    if net.trained:
        return ("The network was still in training mode when it was asked, and says other things there: "
                "model.eval() comes first.")
    if abs(found - 6) < 1e-4:
        return "That is how many are right. Which share of all photos is it?"
    if abs(found - 0.5) < 1e-4:
        return ("Nearly: that is the mean over batches, and the last batch has one photo, the others four. "
                "Each *photo* counts alike.")
    if abs(found - 6 / 9) > 1e-4:
        return (f"Of 9 photos in three batches, 6 are right, and it gives {found:.3f}. The answer to a photo "
                "is the place of the largest number in its row: argmax(1).")
    if net.graph:
        return "Right, but it keeps all that backward() would need: put `with torch.no_grad():` around it."
    return ""


def _confusion(function: Any) -> str:
    import torch

    truth, answers = [0, 0, 1, 2, 2, 2], [0, 2, 1, 2, 2, 1]
    right = torch.tensor([[1, 0, 1, 0], [0, 1, 0, 0], [0, 1, 2, 0], [0, 0, 0, 0]])
    found = torch.as_tensor(called(function, torch.tensor(truth), torch.tensor(answers), 4))
    given = f"For the classes {truth} and the answers {answers}, of 4 classes,"
    if found.shape != right.shape:
        return f"{given} the table must have 4 rows and 4 columns; this has the shape {tuple(found.shape)}."
    if torch.equal(found.long(), right.T):
        return "Rows and columns are exchanged: a row is a true class, a column an answer."
    if torch.equal(found.long(), (right > 0).long()):
        return "It says whether a pair occurs. Count how often."
    if not torch.equal(found.double(), right.double()):
        return f"{given} it gives {found.tolist()}. Each photo adds 1 in one place: its class, its answer."
    return ""


# --- lesson 7: augmentation and overfitting ------------------------------------------------------------


def _precision_and_recall(function: Any) -> str:
    truth = ["rose", "rose", "rose", "tulip", "tulip", "daisy", "rose", "daisy"]
    answers = ["rose", "tulip", "rose", "rose", "tulip", "tulip", "tulip", "tulip"]
    tries = (("rose", 2 / 3, 2 / 4), ("tulip", 1 / 5, 1 / 2), ("daisy", 0, 0), ("lily", 0, 0))
    told = f"The classes are {', '.join(truth)}; the answers {', '.join(answers)}."
    for name, precision, recall in tries:
        try:
            pair = tuple(float(value) for value in called(function, [*truth], [*answers], name))
        except ZeroDivisionError:
            return f"{told} For {name} there is nothing to divide by: give 0 there."
        if len(pair) != 2:
            return f"Two numbers are meant, precision and recall; this gives {len(pair)}."
        if all(abs(value - right) < 1e-3 for value, right in zip(pair, (recall, precision))) and \
                precision != recall:
            return "They are exchanged. Precision: of what is called so. Recall: of what is so."
        if precision and all(abs(value - 100 * right) < 0.6 for value, right in zip(pair, (precision, recall))):
            return "Nearly: both are meant from 0 to 1, and this is in percent."
        if any(not abs(value - right) < 1e-3 for value, right in zip(pair, (precision, recall))):
            return (f"{told} For {name} it gives {pair[0]:.2f} and {pair[1]:.2f}. Count three things: how "
                    "often it is said, how often it is true, and how often it is both.")
    return ""


def _look_twice(function: Any) -> str:
    import torch

    photo = torch.zeros(3, 4, 6)
    photo[0, 0, 0], photo[1, 3, 0], photo[2, 1, 5] = 3.0, 1.0, 2.0
    before = photo.clone()

    def scores(picture: Any) -> Any:
        if tuple(picture.shape) != (3, 4, 6):
            raise ValueError(f"scores takes one photo [3, 4, 6], not {list(picture.shape)}")
        return torch.stack([picture[0, 0, 0], picture[0, 0, 5], picture[1, 0, 0], picture[2, 1, 0]])

    plain, turned, fallen = (scores(one) for one in (before, before.flip(2), before.flip(1)))
    found = torch.as_tensor(called(function, scores, photo), dtype=torch.float32)

    def is_(value: Any) -> bool:
        return found.shape == value.shape and torch.allclose(found, value, atol=1e-4)

    if not torch.equal(photo, before):
        return "Afterwards the photo itself is another: leave it as it is, flip() gives a copy."
    if found.shape != plain.shape:
        return f"One probability for each of 4 classes is meant; this has the shape {tuple(found.shape)}."
    if is_((plain + turned) / 2):
        return "That is the mean of the logits. Softmax makes probabilities of each; then take the mean."
    if is_(((plain + turned) / 2).softmax(0)):
        return ("Nearly: that is softmax of the mean of the logits. Make probabilities of each first; then "
                "take their mean.")
    if is_((plain.softmax(0) + fallen.softmax(0)) / 2):
        return "Top and bottom are exchanged. Left and right are the last dimension of [3, H, W]."
    if is_(plain.softmax(0)) or is_(turned.softmax(0)):
        return "That is one of the two alone."
    if not is_((plain.softmax(0) + turned.softmax(0)) / 2):
        return ("The numbers are not right. Softmax of the photo's logits, softmax of the mirror image's, and "
                "half of each.")
    return ""


#: What to think of where an augmentation was chosen that changes the class.
CHANGED = {
    "B": "What does *turn left* say in a mirror?",
    "D": "Write a 6 on paper and turn it round.",
    "E": "By what does anybody tell a ripe tomato from another?",
}


def _chosen(letters: Any) -> list[str]:
    """The letters from A to F that were chosen, in a string or in a list; none where there are others."""
    parts = letters if isinstance(letters, str | list | tuple | set) else ()
    if not all(isinstance(part, str) for part in parts):
        return []
    chosen = {letter for letter in "".join(parts).upper() if letter.isalpha()}
    return [] if chosen - set("ABCDEF") else sorted(chosen)


def _letters_chosen(exercise: str, right: str, doubts: Mapping[str, str], otherwise: str,
                    letters: Any) -> str:
    """Of statements A to F: the first doubt about one that was chosen wrongly, or else that one is missing.

    right: the hash of the right letters
    """
    chosen = _chosen(letters)
    if not chosen:
        return 'Letters from A to F are meant, as in "AB".'
    if words_hash(exercise, *chosen) == right:
        return ""
    doubt = next((doubts[letter] for letter in chosen if letter in doubts), "")
    return doubt or f"So far, so good. {otherwise}"


def _keeps_class(letters: Any) -> str:
    return _letters_chosen("7.3", "cd40020cf61e9574", CHANGED, "Does another one leave the class as it is?",
                           letters)


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
    return _letters_chosen("8.3", "74d7e2ae71e2dd4c", DOUBTS, "Does another one follow as well?", letters)


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
    "6.1": Number("07fe77c4c37663d7", digits=2, slips={
        "dc1db0ce42527566": "That is how likely a guess is right. The loss is minus the logarithm of it.",
        "0ef180ee88d5e447": "That is the loss for ten classes. Here are a hundred.",
        "6aa1b24c860f4ef2": "That is the logarithm to the base of 10. The loss takes the natural one, torch.log.",
        "ed4bce148555a084": "That is the logarithm to the base of 2. The loss takes the natural one, torch.log.",
    }, hint="Who guesses gives each class the same probability. The loss is -log of the right one's."),
    "6.2": Tried(_share_right),
    "6.3": Tried(_confusion),
    "7.1": Tried(_precision_and_recall),
    "7.2": Tried(_look_twice),
    "7.3": Tried(_keeps_class),
    "8.1": Tried(_share_inside),
    "8.2": Tried(_occlusion_map),
    "8.3": Tried(_follows),
}
