"""What a person says of a model behind a door: the size of its photos, their mean and std, its classes.

Checked here.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from numbers import Integral, Real
from typing import Any, overload

import numpy as np
from torch import Tensor, nn

from explorer.display.words import counted
from explorer.models.config import ModelConfig
from explorer.models.contract import VisionModel

MOST_NUMBERS = 2**26  # in a photo: 256 MB of memory


@overload
def size_given(input_size: None, module: nn.Module) -> None: ...


@overload
def size_given(input_size: int | Sequence[int], module: nn.Module) -> tuple[int, int, int]: ...


def size_given(input_size: Any, module: nn.Module) -> tuple[int, int, int] | None:
    """`input_size` as (C, H, W), None as it is.

    Raises TypeError for what are no whole numbers, ValueError for impossible ones.
    """
    if input_size is None:
        return None
    expected = "give (channels, height, width), or one side in pixels"
    one_side = isinstance(input_size, Integral)
    if not one_side and (isinstance(input_size, (str, bytes)) or not isinstance(input_size, Iterable)):
        raise TypeError(f"input_size is {short(input_size)}: {expected}.")
    sizes = [in_channels(module), input_size, input_size] if one_side else list(islice(input_size, 4))
    if any(isinstance(n, bool) or not isinstance(n, Integral) for n in sizes):
        raise TypeError(f"input_size is {short(input_size)}: {expected}, as whole numbers.")
    if len(sizes) != 3:
        raise ValueError(f"input_size is {short(input_size)}: {expected}.")
    if min(sizes) < 1 or math.prod(map(int, sizes)) > MOST_NUMBERS:
        raise ValueError(f"input_size is {short(input_size)}: {expected}, each from 1 and all together at "
                         f"most {MOST_NUMBERS:,} numbers.")
    channels, height, width = map(int, sizes)
    return channels, height, width


def photo_sides(img_size: Any) -> tuple[int, int] | None:
    """`img_size` as (height, width), None as it is. Raises TypeError or ValueError for what is no size."""
    if img_size is None:
        return None
    sides = (img_size, img_size) if isinstance(img_size, Integral) else img_size
    expected = f"img_size is {short(img_size)}: give one side in pixels, or (height, width)"
    whole = isinstance(sides, (tuple, list)) and all(isinstance(n, Integral) for n in sides)
    if not whole or any(isinstance(n, bool) for n in sides):
        raise TypeError(f"{expected}, as whole numbers.")
    if len(sides) != 2 or min(sides) < 1 or 3 * math.prod(map(int, sides)) > MOST_NUMBERS:
        raise ValueError(f"{expected}, from 1 and at most {MOST_NUMBERS // 3:,} pixels together.")
    return int(sides[0]), int(sides[1])


def channel_numbers(what: str, values: Any, channels: int) -> tuple[float, ...]:
    """A mean or std as one finite number a channel, a std above 0; TypeError or ValueError for others."""
    expected = f"expected {counted(channels, 'number')}, one a channel, for pixels in 0..1"
    numbers = values.tolist() if isinstance(values, (Tensor, np.ndarray)) else values
    if isinstance(numbers, (str, bytes)) or not isinstance(numbers, Iterable):
        raise TypeError(f"{what} is {short(values)}: {expected}.")
    numbers = list(islice(numbers, channels + 1))
    if any(isinstance(n, bool) or not isinstance(n, Real) for n in numbers):
        raise TypeError(f"{what} is {short(values)}: {expected}.")
    if len(numbers) != channels or not all(map(math.isfinite, numbers)):
        raise ValueError(f"{what} is {short(values)}: {expected}.")
    if what == "std" and min(numbers) <= 0:
        raise ValueError(f"std is {short(values)}: pixels are divided by it, so give numbers above 0.")
    return tuple(map(float, numbers))


def short(value: Any) -> str:
    """A wrong value in an error sentence."""
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else f"{text[:57]}..."


def in_channels(module: nn.Module) -> int:
    """How many channels a photo has for a module: what its first convolution reads, or else 3."""
    return next((m.in_channels for m in module.modules() if isinstance(m, nn.Conv2d)), 3)


@contextmanager
def running_at(config: ModelConfig) -> Iterator[None]:
    """What a network says of a photo of that size, if it can't take one, as a sentence on the size."""
    try:
        yield
    except (RuntimeError, IndexError, AssertionError, ValueError) as error:
        reason = (str(error).splitlines() or [""])[0][:200]
        height, width = config.input_size[1:]
        raise ValueError(f"{config.architecture} can't run on photos of {height} x {width} pixels: give a "
                         f"larger size, or leave it out ({reason}).") from error


def with_classes(model: VisionModel, num_classes: int | None) -> VisionModel:
    """The model with a fresh classifier, where another number of classes is wanted."""
    if num_classes is None or num_classes == model.num_classes:
        return model
    if model.load_report is not None:
        found = f"the classifier of {model.num_classes} classes"
        fresh = f"; the new one of {num_classes} is untrained" if num_classes else ": not asked for"
        model.load_report.skipped.append(found + fresh)
    model.reset_classifier(num_classes)
    model.config = model.config.without_head().with_(labels=None)  # told apart by the count of the weights
    model.claim_head()
    return model
