"""What is asked in lessons 1 to 4: see `exercises.py`."""

from __future__ import annotations

from typing import Any

from checking import Number, Tried, Words, called, whole

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
        return "They add up to 1, but are not those of softmax. Do you take e to the power of each logit?"
    if not torch.allclose(called(function, hard), torch.softmax(hard, 0), atol=1e-5):
        return ("Right for small logits. For one of 1000 it fails: e to the power of 1000 is infinite. Softmax "
                "stays the same where one number is subtracted from all logits: which one makes the largest "
                "harmless?")
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
        if whole(found) != side:
            return f"For {layers} it gives {found!r}. {words}"
    return ""


# --- lesson 3: feature maps and filters -----------------------------------------------------------------


def _level_edges(kernel: Any) -> str:
    import torch
    from torch.nn.functional import conv2d

    weights = torch.as_tensor(kernel, dtype=torch.float32)
    if weights.shape != (3, 3):
        return f"Three rows of three numbers are meant, and this has the shape {tuple(weights.shape)}."
    bright, dark = torch.full((3, 8), 7.0), torch.full((3, 8), 2.0)
    level = torch.cat([bright, dark])

    def strongest(picture: torch.Tensor) -> tuple[float, float]:
        found = conv2d(picture[None, None], weights[None, None])
        return float(found.max()), float(found.min())

    if max(map(abs, strongest(torch.full((6, 6), 5.0)))) > 1e-4:
        return "On a plain surface it does not give 0. What must its nine numbers add up to?"
    if max(map(abs, strongest(level.T))) > 1e-4:
        return "It answers to upright edges too. What must each of its columns add up to?"
    if strongest(level)[0] <= 1e-4 or strongest(level)[1] < -1e-4:
        return "Where bright is above and dark below, it gives no positive number. Turn something round."
    return ""


#: size, kernel, stride, padding, and the side of what comes out
SIDES = (
    (5, 3, 1, 0, 3, "A kernel of 3 can stand at 3 places in a row of 5."),
    (5, 3, 1, 1, 5, "Padding makes the row longer on both sides."),
    (224, 7, 2, 3, 112, "A stride of 2 uses every second place."),
    (224, 3, 2, 0, 111, "A place that is reached only in part does not count."),
    (56, 1, 2, 0, 28, "A kernel of 1 can stand everywhere."),
    (32, 5, 3, 2, 11, "Places are counted from the first one on, which is always used."),
)


def _side(function: Any) -> str:
    for size, kernel, stride, padding, side, words in SIDES:
        found = called(function, size, kernel, stride, padding)
        if whole(found) != side:
            return (f"For size {size}, kernel {kernel}, stride {stride} and padding {padding} it gives "
                    f"{found!r}. {words} A side is a whole number.")
    return ""


# --- lesson 4: features and neighbours ------------------------------------------------------------------


def _cosine(function: Any) -> str:
    import torch

    a, b = torch.tensor([3.0, 4.0, 0.0]), torch.tensor([4.0, 3.0, 0.0])
    tries = ((a, a, 1.0, "A vector and itself"), (a, 10 * a, 1.0, "A vector and one ten times as long"),
             (a, -a, -1.0, "A vector and its opposite"),
             (a, torch.tensor([0.0, 0.0, 2.0]), 0.0, "Two vectors at a right angle"),
             (a, b, 0.96, "(3, 4, 0) and (4, 3, 0)"))
    for first, second, right, words in tries:
        found = float(called(function, first, second))
        if not abs(found - right) < 1e-4:
            return f"{words} must give {right:g}, and it gives {found:.4g}."
    return ""


def _nearest(function: Any) -> str:
    import torch

    vectors = torch.tensor([[1.0, 0.0], [30.0, 40.0], [0.0, 0.1], [-1.0, 0.2]])
    classes = [7, 3, 5, 9]
    tries = (([0.9, 0.1], 7, "nearly parallel to the first photo"),
             ([0.3, 0.4], 3, "parallel to the second, which is 100 times as long"),
             ([0.1, 5.0], 5, "nearly parallel to the third, which is short"),
             ([-2.0, 0.3], 9, "nearly parallel to the fourth"))
    for query, right, words in tries:
        found = called(function, vectors, classes, torch.tensor(query))
        if int(found) != right:
            return (f"For {query} it gives {found!r}. That photo is {words}: the angle alone "
                    "counts, and the answer is a class, not a place.")
    return ""


# --- the answers, as hashes, and the trials ---------------------------------------------------------------

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
        "0094360eb3ff7bcf": "There, branches are stacked. Here is one chain, and what joins it.",
        "463255f11d51bed1": "The other way round: that goes wide in the middle, and its 3 x 3 has groups.",
        "47953c2274db9c56": "A ConvNeXt looks around with 7 x 7, and has groups.",
        "e6048758cbcfab67": "A chain without anything that skips is VGG. What does the line `add` read?",
        "79a3a61bb2c44a05": "Its 3 x 3 has groups: here each kernel reads all channels (64 x 64 x 9 = 36,864).",
        "6c0ded9382cbdb15": "That may well be: the family's name is shorter.",
    }, hint="Which line has two inputs, and what does it do with them?"),
    "3.1": Number("11ee399989441bcc", slips={
        "f73e3446b64be284": "Look at the signs: the middle of the kernel is negative.",
        "bce3c8ac5d386e9f": "That is the four neighbours: 5 times -4 belongs to the sum as well.",
        "2badb4e76c42f097": "The middle counts with a minus.",
        "f27fa522866ae57a": "The corners of the kernel are 0: they count nothing.",
    }, hint="Nine products, most of them 0."),
    "3.2": Tried(_level_edges),
    "3.3": Tried(_side),
    "4.1": Tried(_cosine),
    "4.2": Number("59229714b6eb90c4", slips={
        "582f6ee09f9427ad": "Nearly: each class has a bias, too.",
        "14b18a0ba9c95970": "A bias belongs to a class, not to a number of the embedding.",
        "bf748bde3a9fd335": "Each class has a weight for each of the 768 numbers.",
    }, hint="A weight for each number and class, and a bias for each class."),
    "4.3": Tried(_nearest),
}
