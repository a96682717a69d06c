"""Which stages stand between photo and answer where all do not fit, and what to call them."""

from __future__ import annotations

from collections.abc import Sequence

MOST = 5  # stops in a row: more do not fit, and a large transformer has dozens of stages

#: What the stages of trained convolutional networks answer to, from the first to the last: the headings of
#: Olah, Mordvintsev and Schubert, 2017, "Feature Visualization", for GoogLeNet. A rule of thumb.
KINDS = ("edges and colours", "textures", "patterns", "parts", "objects")


def even(count: int, most: int) -> list[int]:
    """At most `most` of the places 0..count-1, evenly spaced, with the first and the last."""
    if count <= most:
        return list(range(count))
    return [round(i * (count - 1) / (most - 1)) for i in range(most)]


def words_of(strides: Sequence[int], places: Sequence[int], count: int, *, trained: bool) -> list[str]:
    """What stands above each stop.

    Only a trained network whose maps grow coarser from stop to stop gets the words of KINDS: random weights
    know no parts, and what the blocks of a transformer answer to is not said in one word.
    """
    pyramid = len(strides) > 1 and all(a < b for a, b in zip(strides, strides[1:], strict=False))
    if trained and pyramid:
        return [KINDS[round(i * (len(KINDS) - 1) / (len(strides) - 1))] for i in range(len(strides))]
    return [f"stage {place + 1} of {count}" for place in places]
