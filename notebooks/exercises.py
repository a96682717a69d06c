"""The exercises of the course: `check` says whether an answer is right, and gives none away.

    from exercises import check
    answer = ...
    check("1.1", answer)        # Exercise 1.1: not answered yet. Put your answer in place of the three dots.

The right answers are here as hashes alone, and as functions that try an answer out: see `checking.py`. They
are worked out, with reasons, in `solutions.ipynb`.
"""

from __future__ import annotations

from typing import Any

from checking import OPEN, RIGHT, WRONG, Checked, NotYet, Number, Tried, Words, called

DOTS = "Put your answer in place of the three dots."


# --- lesson 1: what a model sees ------------------------------------------------------------------------


def _softmax(function: Any) -> str:
    import torch

    mild, hard = torch.tensor([0.5, 2.0, -1.0, 0.0]), torch.tensor([1000.0, 998.0, -5.0])
    found = called(function, mild)
    if not isinstance(found, torch.Tensor) or found.shape != mild.shape:
        return "Four logits must give a tensor of four probabilities."
    if abs(float(found.sum()) - 1) > 1e-4:
        return f"The probabilities of four classes add up to {float(found.sum()):.3f}, not to 1."
    if not torch.allclose(found, torch.softmax(mild, 0), atol=1e-5):
        return "They add up to 1, but they are not those of softmax. Do you take e to the power of each logit?"
    if not torch.allclose(called(function, hard), torch.softmax(hard, 0), atol=1e-5):
        return ("Right for small logits. For one of 1000 it fails: e to the power of 1000 is infinite. Softmax stays "
                "the same where one number is subtracted from all logits: which one makes the largest harmless?")
    return ""


def _teddy(box: Any) -> str:
    import explorer

    photo = explorer.load_image(explorer.sample_photos()[5])
    left, top, right, bottom = (int(edge) for edge in box)
    if min(left, top) < 0 or right > photo.width or bottom > photo.height:
        return f"The box must lie in the photo, which is {photo.width} x {photo.height} pixels."
    if right - left < 150 or bottom - top < 150:
        return "The box must be at least 150 pixels wide, and as high."
    first = explorer.look("tf_efficientnet_lite0", photo.crop((left, top, right, bottom))).predictions[0]
    if first.label == "teddy" and first.probability > 0.5:
        return ""
    return f"For this part of the photo the first answer is {first.label}, with {first.probability:.0%}."


# --- lesson 2: from LeNet to ConvNeXt -------------------------------------------------------------------

#: kernels and strides, and the side of the receptive field
FIELDS = (
    ([(3, 1)], 3, "One layer of 3 x 3 sees 3 pixels."),
    ([(3, 1), (3, 1)], 5, "Two layers of 3 x 3 see 5 pixels: the second widens the field by 2."),
    ([(3, 2), (3, 1)], 7, "Behind a stride of 2 the places of the map are 2 pixels apart."),
    ([(3, 1), (3, 2)], 5, "A layer's own stride matters for the layers behind it, not for itself."),
    ([(7, 2), (3, 2), (3, 1), (3, 1)], 27, "Strides multiply: behind two of 2 a step is 4 pixels."),
    ([(1, 1), (5, 3), (2, 1)], 8, "A kernel of 1 x 1 widens nothing; one of 2 x 2 does, by a single step."),
)


def _field(function: Any) -> str:
    for layers, side, words in FIELDS:
        found = called(function, list(layers))
        if not isinstance(found, int) or found != side:
            return f"For {layers} it gives {found!r}. {words}"
    return ""


# --- all of them ----------------------------------------------------------------------------------------

EXERCISES: dict[str, Any] = {
    "1.1": Number("e1a9f1394c2d2b74", slips={
        "b11e6ac4812ec85e": "That is one photo: a batch has 32.",
        "2d36b600ad7f7d2b": "Are there not three colours?",
        "ee2da3d866cc028f": "That is for 224 pixels a side, this network reads 299.",
    }, hint="Photos times colours times height times width."),
    "1.2": Tried(_softmax),
    "1.3": Tried(_teddy),
    "2.1": Number("f38c09cf2bec5456", slips={
        "79dbd84ea1bed88d": "Nearly: each of the channels that come out has a bias too.",
        "c682386ed72d5dda": "The biases belong to the channels that come out, not to those that go in.",
        "115765d09d9a2f24": "That is one input channel: each kernel reads all 48.",
        "67246c1761810ae2": "5 x 5 is 25.",
    }, hint="Kernel height times width times channels in times channels out, and the biases."),
    "2.2": Tried(_field),
    "2.3": Words("5b03d6ac2eea974f", slips={
        "a6ec835ecd05d7a0": "A DenseNet stacks maps, it does not add them.",
        "0094360eb3ff7bcf": "There, branches stand side by side, and are stacked. Here is one chain, and what joins it.",
        "463255f11d51bed1": "Nearly the other way round: that goes wide in the middle, and its 3 x 3 has groups.",
        "47953c2274db9c56": "A ConvNeXt looks around with 7 x 7, and has groups.",
        "e6048758cbcfab67": "A chain without anything that skips is VGG. What does the line `add` read?",
        "79a3a61bb2c44a05": "Its 3 x 3 has groups: here all 64 channels are read by each kernel (64 x 64 x 9 = 36,864).",
        "6c0ded9382cbdb15": "That may well be: the family's name is shorter.",
    }, hint="Which line has two inputs, and what does it do with them?"),
}


def check(exercise: str, answer: Any = ...) -> Checked:
    """Whether an answer to the exercise with this number, such as "1.1", is right. Never raises."""
    asked = EXERCISES.get(exercise) if isinstance(exercise, str) else None
    if asked is None:
        return Checked(str(exercise), WRONG, f"There is no such exercise. There are: {', '.join(EXERCISES)}.")
    if answer is ... or answer is None:
        return Checked(exercise, OPEN, DOTS)
    try:
        right, words = asked.judge(exercise, answer)
    except NotYet:
        return Checked(exercise, OPEN, DOTS)
    except Exception as error:  # of a student's function, or of an answer of a strange kind
        return Checked(exercise, WRONG, f"Trying it out ended with {type(error).__name__}: {error}")
    return Checked(exercise, RIGHT if right else WRONG, words)
