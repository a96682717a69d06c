"""Does the file say what the network says? Asked on a picture like a photo, before it takes its place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

#: Largest difference of a result, as a share of its largest number, that rounding may make: of sums in
#: float32, and of weights that lie in the file as float16.
TOLERANCE = {"float32": 1e-3, "float16": 3e-2}
#: A heat map is divided by its own largest number, which may be what little was left of much: for a class
#: that nothing speaks for, rounding is a larger share of it.
OF_HEAT = 5


def photo_like(prepared: Mapping[str, Any], batch_size: int) -> Tensor:
    """Prepared photos [B, C, H, W] of nothing in particular: smooth patches of colour with grain, seeded.

    prepared: `input_size`, `mean` and `std`, as of `explorer.data.resolve_data_config`
    """
    channels, height, width = prepared["input_size"]
    dice = torch.Generator("cpu").manual_seed(0)
    place = {"dtype": torch.float32, "device": "cpu"}
    patches = torch.rand(batch_size, channels, 8, 8, generator=dice, **place)
    smooth = F.interpolate(patches, (height, width), mode="bilinear", align_corners=False)
    grain = torch.rand(batch_size, channels, height, width, generator=dice, **place) - 0.5
    mean, std = (torch.tensor(prepared[name], **place)[:, None, None] for name in ("mean", "std"))
    return ((smooth + 0.2 * grain).clamp(0, 1) - mean) / std


def difference(
    expected: Mapping[str, Tensor], found: Mapping[str, Tensor], precision: str = "float32"
) -> str:
    """Where a file gives other numbers than the network, in words; "" where it doesn't.

    Each result may be off by `TOLERANCE[precision]` of its largest number, and the likeliest class must be
    the same, or as likely within that.
    """
    for name, wanted in expected.items():
        given = found.get(name)
        if given is None or given.shape != wanted.shape:
            shape = None if given is None else list(given.shape)
            return f"its {name} is {shape}, not {list(wanted.shape)}"
        limit = TOLERANCE[precision] * max(float(wanted.abs().max()), 1e-3)
        limit *= OF_HEAT if name == "heat" and precision == "float16" else 1
        error = float((given.float() - wanted).abs().max())
        if not error <= limit:  # NaN is no agreement
            return f"its {name} differ by {error:.2g}, and the largest is {float(wanted.abs().max()):.2g}"
        if name == "logits":
            top, theirs = wanted.argmax(-1), given.argmax(-1)
            lost = wanted.gather(-1, top[:, None]) - wanted.gather(-1, theirs[:, None])
            if float(lost.max()) > limit:
                return f"its likeliest class is {int(theirs[0])}, not {int(top[0])}"
    return ""
