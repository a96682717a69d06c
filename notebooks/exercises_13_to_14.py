"""What is asked in lessons 13 and 14: see `exercises.py`."""

from __future__ import annotations

from typing import Any

from checking import NoFunction, Number, Tried, called, whole

# --- lesson 13: choosing a backbone ---------------------------------------------------------------------

#: name, milliseconds, megabytes, top-1; and what a row that is off the front, or on it, may be taken for
CANDIDATES = (
    ([("a", 10, 20, 70.0), ("b", 20, 40, 80.0)], "ab", "Dearer and better: neither beats the other."),
    ([("a", 10, 20, 70.0), ("b", 20, 40, 70.0)], "a", "As good and dearer: b is off."),
    ([("slow", 30, 5, 75.0), ("large", 10, 50, 75.0), ("both", 30, 50, 75.0)], ("slow", "large"),
     "What is small may be slow: sorted by one cost alone, the other is forgotten."),
    ([("a", 10, 20, 70.0), ("a2", 10, 20, 70.0)], ("a", "a2"), "Of two equal rows neither is better."),
    ([("z", 30, 30, 90.0), ("y", 20, 30, 80.0), ("x", 10, 30, 70.0)], "zyx", "The order is the list's."),
    ([("a", 20, 20, 80.0), ("b", 10, 20, 80.0), ("c", 20, 10, 80.0), ("d", 10, 10, 79.9)], "bcd",
     "Better in one and equal in the others is enough to beat a row."),
    ([("one", 1, 1, 1.0)], ("one",), "Whoever is alone is on the front."),
)


def _on_the_front(function: Any) -> str:
    for rows, right, words in CANDIDATES:
        found = called(function, list(rows))
        if not isinstance(found, list | tuple):
            return f"What is meant is a list of names, and it gives {found!r:.80}."
        if not all(isinstance(name, str) for name in found):
            return f"What is meant is a list of names, each the first of its row, and it gives {found!r:.80}."
        if list(found) != list(right):
            return f"For {rows} it gives {found!r}. {words} What is meant is a list of names."
    return ""


#: seconds, photos in a batch, passes to warm up, photos a second
PASSES = (
    ([0.5, 0.5, 0.5], 1, 0, 2, "In a second two such passes fit."),
    ([0.5, 0.5, 0.5], 8, 0, 16, "A pass has a whole batch of photos."),
    ([9.0, 3.0, 4.0, 0.5, 0.5], 1, 3, 2, "The first passes are to warm up: they don't count."),
    ([0.4, 0.1, 0.2, 0.5, 0.3], 3, 0, 10, "The median is the middle one of the sorted."),
    ([0.5, 0.5, 7.0, 0.5, 0.5], 1, 0, 2, "One pass was disturbed: that moves a mean, not the median."),
    ([7.0, 0.1, 0.3], 2, 1, 10, "Divide by the median of the seconds. Of an even number it is half way between the two in the middle."),
)


def _photos_per_second(function: Any) -> str:
    for seconds, batch, warm_up, right, words in PASSES:
        found = float(called(function, list(seconds), batch, warm_up))
        if not abs(found - right) < 1e-6 * right:
            return (f"For {seconds}, {batch} photos in a pass and {warm_up} passes to warm up it gives "
                    f"{found:.4g}, and it should be {right}. {words}")
    return ""


# --- lesson 14: your own network ------------------------------------------------------------------------

#: channels in, channels out, stride, the sides of a map that goes in and of the one that comes out
BLOCKS = ((6, 6, 1, (9, 5), (9, 5)), (6, 10, 1, (8, 8), (8, 8)), (6, 6, 2, (8, 6), (4, 3)),
          (4, 8, 2, (7, 9), (4, 5)))


def _residual(function: Any) -> str:
    import torch
    from torch import nn

    if isinstance(function, nn.Module):  # one can be called, too
        raise NoFunction("A function is meant: its name, without brackets. This is a network.")
    for before, after, stride, sides, smaller in BLOCKS:
        block = called(function, before, after, stride)
        asked = f"residual({before}, {after}, {stride})"
        if not isinstance(block, nn.Module):
            return f"{asked} gives {block!r:.60}: a block, an object of a class of nn.Module, is meant."
        given = torch.rand(2, before, *sides)
        with torch.no_grad():
            found = block.eval()(given)
        if tuple(found.shape) != (2, after, *smaller):
            return (f"{asked} makes {list(given.shape)} into {list(found.shape)}; meant is "
                    f"{[2, after, *smaller]}. Padding keeps the sides, and the stride divides them, rounded "
                    "up.")
        kernels = [tuple(module.kernel_size) for module in block.modules() if isinstance(module, nn.Conv2d)]
        if kernels.count((3, 3)) != 2:
            return f"{asked} has {kernels.count((3, 3))} convolutions of 3 x 3 in it, and two are meant."
        equal = before == after and stride == 1
        if equal and (1, 1) in kernels:
            return f"{asked} has a convolution of 1 x 1, which equal shapes don't need: add the input as it is."
        for module in block.modules():  # all of the branch is silent now
            if isinstance(module, nn.Conv2d) and tuple(module.kernel_size) == (3, 3):
                for parameter in module.parameters():
                    nn.init.zeros_(parameter)
        with torch.no_grad():
            found = block(given)
        if equal and not torch.allclose(found, given, atol=1e-4):
            return (f"With convolutions that give 0, {asked} must give back what went in (here all of it is "
                    "positive). Is the input added, behind the second convolution and its norm?")
        if not equal and not found.abs().max() > 1e-4:
            return f"With convolutions of 3 x 3 that give 0, {asked} gives 0: where does the input go around?"
    return ""


#: side, strides, channels, numbers behind the flattening
FLAT = (
    (64, [2, 2, 2], 64, 4096, "8 x 8 places, 64 channels each."),
    (32, [1, 1], 8, 8192, "With padding 1 a kernel of 3 x 3 and a stride of 1 keep the side."),
    (224, [2, 2, 2, 2, 2], 512, 25088, "Strides come one after the other: 112, 56, 28 ..."),
    (30, [2, 2, 2], 8, 128, "30, 15, 8, 4: what is left of an odd side is rounded up."),
    (100, [3, 3], 10, 1440, "100, 34, 12: a kernel can stand at the first place, and at each third one."),
    (7, [], 3, 147, "Without a layer the map is the photo."),
)


def _in_features(function: Any) -> str:
    for side, strides, channels, right, words in FLAT:
        found = called(function, side, list(strides), channels)
        if whole(found) != right:
            return (f"For a side of {side}, strides {strides} and {channels} channels it gives {found!r}. "
                    f"{words} A whole number is meant.")
    return ""


# --- the answers, as hashes, and the trials ---------------------------------------------------------------

EXERCISES: dict[str, Any] = {
    "13.1": Tried(_on_the_front),
    "13.2": Tried(_photos_per_second),
    "13.3": Number("59365889d322ef8b", digits=3, slips={
        "4321cda722857582": "That is one side. B might have lost as clearly: as uneven, either way.",
        "e460850fd4f651d4": "That is 4 of 16 exactly. 3, 2, 1 and 0 would be even more uneven.",
        "c3e82db0734926fe": "That is by chi-squared, for many photos. Here are 16: count the throws of the coin.",
        "ea96c32ce3028627": "Are 154 and 162 the photos that count? They include those that both are right about.",
    }, hint="How many is A alone right about, and how many B? The function of section 9 takes these two."),
    "14.1": Number("3de9619cd3792408", slips={
        "7f301c2ff7fabad8": "That is one of the two convolutions, with its norm.",
        "e3721c6e2bf9bf1b": "That is the convolutions alone: each has a norm behind it.",
        "15819a79eaa763b0": "These convolutions have no biases: the norm's shift is as good.",
        "b6733ef529eacee0": "Running averages are counted while learning, not learnt: they are no parameters.",
        "48aef59e6f60741b": "A norm has two numbers for each channel.",
    }, hint="Each kernel is 3 x 3, reads 32 channels, and there are 32 of them; then the norm. And twice."),
    "14.2": Tried(_residual),
    "14.3": Tried(_in_features),
}
