"""What `create_model` was asked for: its options in one record, checked before anything is built."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING, Any

from explorer.files import given_path
from explorer.models.doors.settings import MOST_CLASSES, MOST_SIDE

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Request:
    """The arguments of `create_model`, whose docstring says what each means.

    `own` are the family's options.
    """

    name: str
    pretrained: bool = False
    num_classes: int | None = None
    in_chans: int | None = None
    features_only: bool = False
    out_indices: int | Sequence[int] | None = None
    output_stride: int | None = None
    global_pool: str | None = None
    drop_rate: float | None = 0.0
    drop_path_rate: float | None = 0.0
    img_size: int | tuple[int, int] | None = None
    checkpoint_path: str | Path | None = None
    cache_dir: str | Path | None = None
    device: str | torch.device | None = None
    dtype: torch.dtype | None = None
    own: Mapping[str, Any] = field(default_factory=dict)

    @property
    def network_options(self) -> dict[str, Any]:
        """What the body of a network is built with, None where nothing is asked for.

        `in_chans` stands apart.
        """
        return dict(output_stride=self.output_stride, global_pool=self.global_pool, drop_rate=self.drop_rate,
                    drop_path_rate=self.drop_path_rate, img_size=self.img_size, **self.own)

    def check_one_source(self) -> None:
        """Raise ValueError where two sets of weights are asked for."""
        if self.pretrained and self.checkpoint_path is not None:
            raise ValueError("Give pretrained=True or checkpoint_path=, not both.")


def parse(request: Request) -> Request:
    """The request as it is meant. Raises TypeError or ValueError for options that can't be, in a sentence."""
    if request.num_classes is not None:
        _check_count("num_classes", request.num_classes, 0, MOST_CLASSES)
    if request.in_chans is not None:
        _check_count("in_chans", request.in_chans, 1, MOST_SIDE)
    for option in ("drop_rate", "drop_path_rate"):
        rate = getattr(request, option)
        if rate is not None and not 0 <= rate <= 1:  # None is timm's "as usual"
            raise ValueError(f"{option} is {rate}: it is a probability, so give 0 to 1.")
    if request.out_indices is not None and not request.features_only:
        raise ValueError("out_indices chooses the maps of features_only=True; add it, or leave out_indices "
                         "out.")
    if request.device is not None:
        from explorer.models.contract import check_device

        check_device(request.device)
    pool = request.global_pool
    cache_dir = None if request.cache_dir is None else given_path(request.cache_dir, "cache_dir")
    if pool is not None and not isinstance(pool, str):
        raise TypeError(f"global_pool is {pool!r}: give a word such as 'avg', not a {type(pool).__name__}.")
    return replace(
        request, img_size=_check_img_size(request.img_size), cache_dir=cache_dir,
        checkpoint_path=request.checkpoint_path or None,  # "" is timm's "none"
    )


def _check_count(option: str, value: Any, least: int, most: int) -> None:
    """Raise TypeError or ValueError unless `value` is a whole number from `least` to `most`."""
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(f"{option} is {value!r}: give a whole number, not a {type(value).__name__}.")
    if value < least:
        raise ValueError(f"{option} is {value}: give {least} or more.")
    if value > most:
        raise ValueError(f"{option} is {value}: give {most:,} at most.")


def _check_img_size(size: Any) -> int | tuple[int, int] | None:
    """A side or (height, width) in pixels. Raises TypeError or ValueError for anything else."""
    if size is None:
        return None
    sides = tuple(size) if isinstance(size, (tuple, list)) else (size,)
    if any(isinstance(side, bool) or not isinstance(side, Integral) for side in sides):
        raise TypeError(f"img_size is {size!r}: give the side of the photo in whole pixels, or (height, "
                        "width).")
    if len(sides) != (2 if isinstance(size, (tuple, list)) else 1):
        raise ValueError(f"img_size is {size!r}: give one side in pixels, or (height, width).")
    if not all(1 <= side <= MOST_SIDE for side in sides):
        raise ValueError(f"img_size is {size!r}: a side is from 1 to {MOST_SIDE} pixels.")
    return tuple(map(int, sides)) if len(sides) == 2 else int(sides[0])
