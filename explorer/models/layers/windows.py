"""Windows on a map, for attention that stays near: cut, put together again, and who may see whom.

Maps are channels-last here, [B, H, W, C], so that a window's places are a list of tokens without a copy.
"""

from __future__ import annotations

import torch
from torch import Tensor


def window_partition(x: Tensor, window_size: tuple[int, int]) -> Tensor:
    """A map [B, H, W, C] as windows of tokens [B, H/h * W/w, h * w, C], row by row; H, W are multiples of h,
    w.
    """
    h, w = window_size
    x = x.unflatten(2, (-1, w)).unflatten(1, (-1, h))  # [B, H/h, h, W/w, w, C]
    return x.transpose(2, 3).flatten(3, 4).flatten(1, 2)


def window_reverse(windows: Tensor, window_size: tuple[int, int], size: tuple[int, int]) -> Tensor:
    """The map [B, H, W, C] of size (H, W) that `window_partition` made windows of."""
    (h, w), (height, width) = window_size, size
    x = windows.unflatten(2, (h, w)).unflatten(1, (height // h, width // w))  # [B, H/h, W/w, h, w, C]
    return x.transpose(2, 3).flatten(3, 4).flatten(1, 2)


def fit_window(window_size: int, shift: bool, size: tuple[int, int]) -> tuple[tuple[int, int],
                                                                              tuple[int, int]]:
    """(window, shift) in rows and columns for a map of that size.

    Half a window is shifted. Where the map is no larger than the window, the window is the map, and nothing
    is left to shift.
    """
    window = tuple(min(window_size, side) for side in size)
    shifts = tuple(window_size // 2 if shift and side > window_size else 0 for side in size)
    return window, shifts


def shifted_window_mask(
    size: tuple[int, int], window_size: tuple[int, int], shift: tuple[int, int]
) -> Tensor | None:
    """Which pairs of tokens in a window must not see each other, [windows, N, N]; None without a shift.

    A shift rolls the map, so that what leaves at the top comes back at the bottom: a window there holds
    places that are far from each other in the photo. size: of the map, padded to whole windows. On the CPU
    always.
    """
    if not any(shift):
        return None
    sides = []
    for length, window, moved in zip(size, window_size, shift):
        place = torch.arange(length, device="cpu")
        # 0: in windows away from the seam; in the last one, 1 in front of the seam and 2 behind it
        sides.append((place >= length - window).long() + (place >= length - moved))
    rows, columns = sides
    regions = 3 * rows[:, None] + columns  # [H, W], a number for each region
    tokens = window_partition(regions[None, :, :, None], window_size)[0, :, :, 0]  # [windows, N]
    return tokens[:, :, None] != tokens[:, None, :]


def relative_position_index(window_size: tuple[int, int]) -> Tensor:
    """For each pair of tokens in a window, the number of their offset [N, N], from 0 to (2h-1) * (2w-1) - 1.

    Offsets are (rows, columns) from the second token to the first, counted row by row from (-(h-1), -(w-1)).
    """
    h, w = window_size
    rows, columns = torch.arange(h, device="cpu"), torch.arange(w, device="cpu")
    row, column = rows.repeat_interleave(w), columns.repeat(h)  # [N] each
    down = row[:, None] - row[None, :] + h - 1
    right = column[:, None] - column[None, :] + w - 1
    return down * (2 * w - 1) + right
