"""The stages and the head of a foreign module, found in what its first run showed.

Where the map's size changes, a stage has ended; the last layer that gives the scores is the head.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import nn

from explorer.models.contract import Stage
from explorer.models.doors.first_run import GROWTH, Call, Watched
from explorer.models.doors.maps import Layout, has_form, map_layout, sides_of


def find_stages(watched: Watched) -> tuple[list[Stage], list[Layout]]:
    """(stages, the layout of each one's map).

    A stage is what the outermost module gives just before the map shrinks, and at the very end; a module that
    runs several times gives a stage a call. A transformer's map never shrinks: there every block is a stage.
    """
    photo = watched.input_size[1:]
    found: list[tuple[Stage, Layout, int]] = []
    for call in watched.calls:
        layout = map_layout(call.shape_out, photo)
        if not layout:
            continue
        # [C, H, W] or [H, W, C]
        channels, side = call.shape_out[0 if layout == "NCHW" else 2], max(sides_of(call.shape_out, photo))
        if found and side > found[-1][2]:
            continue  # a map that grows again is no further stage of a backbone
        if found and side == found[-1][2]:
            if call.path.count(".") > found[-1][0].module.count("."):
                continue  # the first layers inside the next stage, before that one shrinks the map
            found.pop()
        found.append((stage_of(call, channels, stride_of(call, watched)), Layout(layout), side))
    if len(found) < 2 and (blocks := find_blocks(watched)):
        return blocks
    return [stage for stage, _, _ in found], [layout for _, layout, _ in found]


def stage_of(call: Call, channels: int, reduction: int) -> Stage:
    return Stage(call.turn.name, call.path, channels, reduction, call.turn.call)


def stride_of(call: Call, watched: Watched) -> int:
    """The total stride of a map: how much larger a photo must be for one place more, where that was tried."""
    photo = watched.input_size[1:]
    side, other = max(sides_of(call.shape_out, photo)), watched.larger.get(call.turn)
    if other is not None and map_layout(other.shape_out, tuple(n + GROWTH for n in photo)):
        gained = max(sides_of(other.shape_out, tuple(n + GROWTH for n in photo))) - side
        if gained > 0 and GROWTH % gained == 0:
            return GROWTH // gained
    return reduction(max(photo), side)


def reduction(side_in: int, side: int) -> int:
    """The stride between two sides; unpadded layers lose a few pixels, so 299 to 35 is a stride of 8."""
    return side_in // side if side_in % side == 0 else 2 ** round(math.log2(side_in / side))


def is_pyramid(stages: Sequence[Stage]) -> bool:
    """Whether each stage's map is smaller than the one before."""
    return bool(stages) and len({stage.reduction for stage in stages}) == len(stages)


def find_blocks(watched: Watched) -> tuple[list[Stage], list[Layout]] | None:
    """The blocks of a transformer: the longest row of equal modules that turn tokens [N, C] into as many.

    Not a row inside of such modules: two dropouts in a block that runs twelve times are no layers.
    """
    rows: dict[tuple, list[Call]] = {}
    for call in watched.calls:
        if len(call.shape_out) == 2 and call.shape_in == call.shape_out and call.shape_out[0] > 3:
            rows.setdefault((call.path.rpartition(".")[0], call.kind, call.shape_out), []).append(call)
    rows = {key: calls for key, calls in rows.items() if len(calls) > 1}
    inside = tuple(f"{call.path}." for calls in rows.values() for call in calls)
    outer = [calls for (parent, *_), calls in rows.items() if not f"{parent}.".startswith(inside)]
    blocks = max(outer, key=len, default=[])
    if not blocks:
        return None
    tokens, channels = blocks[0].shape_out
    photo = watched.input_size[1:]
    grid = find_grid(watched.calls[:watched.calls.index(blocks[0])], tokens, photo)
    if grid is None:
        return None
    layout = Layout("NLC", grid, tokens - grid[0] * grid[1])
    return [stage_of(call, channels, patch_side(photo, grid)) for call in blocks], [layout] * len(blocks)


def find_grid(before: Sequence[Call], tokens: int, photo: tuple[int, int]) -> tuple[int, int] | None:
    """Rows and columns of patches among so many tokens: of the map that became them, or else by their number.

    before: what ran in front of the blocks. Of tokens the last ones are the patches.
    """
    maps = [call for call in before if map_layout(call.shape_out, photo)]
    grids = [sides_of(call.shape_out, photo) for call in maps]
    fitting = [grid for grid in grids if tokens / 2 <= grid[0] * grid[1] <= tokens]
    if fitting:
        return max(fitting, key=math.prod)
    for patches in range(tokens, tokens // 2, -1):
        rows = max(1, round(math.sqrt(patches * photo[0] / photo[1])))
        if patches % rows == 0 and has_form(rows, patches // rows, photo):
            return rows, patches // rows
    return None


def patch_side(photo: tuple[int, int], grid: tuple[int, int]) -> int:
    """The side of the patches of which a photo holds so many rows and columns, and perhaps a rest."""
    sides = range(1, max(photo) + 1)
    fitting = [side for side in sides if (photo[0] // side, photo[1] // side) == tuple(grid)]
    if not fitting:
        return reduction(max(photo), max(grid))
    whole = [side for side in fitting if photo[0] % side == photo[1] % side == 0]
    usual = [side for side in fitting if side & (side - 1) == 0]  # a power of two
    return (whole or usual or fitting)[-1]


def find_head(module: nn.Module, watched: Watched) -> str:
    """Path of the last linear layer, the one that gives the scores.

    "" where the scores come from elsewhere.
    """
    for call in reversed(watched.calls):
        part = module.get_submodule(call.path)
        if isinstance(part, nn.Linear) and call.shape_out == (watched.scores,):
            return call.path
    return ""
