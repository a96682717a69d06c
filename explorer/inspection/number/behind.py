"""Where the numbers that a number is made of come from: their maps, and the modules that gave those.

    behind = input_of(number, term, row, column)   # which module gave the number under that weight, and where
    input_map(number, term)                        # the whole map that it lies in, and the part that is read
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from explorer.inspection.look.spots import layout_of
from explorer.inspection.number.chain import ELSEWHERE, Step, operand_behind
from explorer.inspection.number.explained import ExplainedNumber
from explorer.inspection.number.recording import given_by, made
from explorer.inspection.number.terms import Index
from explorer.models.doors.maps import Layout

Window = tuple[int, int, int, int]  # top, left, bottom, right: rows top..bottom-1 of the map


@dataclass(frozen=True)
class Origin:
    """A number of the map that a module gave, as `explain_number` takes it; module "" is the photo."""

    module: str
    channel: int
    row: int
    column: int


def origin(tensor: Tensor, index: Index, photo: tuple[int, int]) -> Origin | None:
    """The module that gave a number; None where the network computed it between two modules, where it is
    padding, or no part of a map.
    """
    while (name := given_by(tensor)) is None:
        how = made(tensor)
        before = operand_behind(how, tensor, index) if how is not None and how.name in ELSEWHERE else None
        if before is None:
            return None
        tensor, index = before
    layout = layout_of(tuple(tensor.shape), photo)
    if layout is None:
        return Origin(name, index[1], 0, 0) if tensor.ndim == 2 else None
    if layout.order == "NCHW":
        return Origin(name, *index[1:])
    if layout.order == "NHWC":
        return Origin(name, index[3], *index[1:3])
    row, column = divmod(index[1] - layout.prefix, layout.grid[1])
    return Origin(name, index[2], row, column) if row >= 0 else None


def other_branch(step: Step, photo: tuple[int, int]) -> Origin | None:
    """The module that gave what a step adds, or multiplies by; None where that is no other branch, or no
    module gave it.
    """
    return None if step.other is None else origin(*step.other, photo)


def input_of(number: ExplainedNumber, term: int, row: int = 0, column: int = 0) -> Origin | None:
    """Where the number under a weight comes from. term: a place in `terms.numbers`; row, column: in the
    kernel. None over the edge, and as `origin` says.
    """
    terms = number.terms
    if terms.source is None or not 0 <= term < len(terms.numbers):
        return None
    tensor, place = terms.source
    if terms.under is None:
        return origin(tensor, (*place, terms.numbers[term]), number.remembered.photo)
    channel = terms.numbers[term] if terms.of == "input channel" else place[1]
    if not (0 <= row < len(terms.under[0]) and 0 <= column < len(terms.under[1])):
        return None
    down, across = terms.under[0][row], terms.under[1][column]
    if not (0 <= down < tensor.shape[2] and 0 <= across < tensor.shape[3]):
        return None
    return origin(tensor, (place[0], channel, down, across), number.remembered.photo)


def input_map(number: ExplainedNumber, term: int) -> tuple[Tensor, Window] | None:
    """(the map [H, W] that a term reads, the part of it that is under the kernel); None for what has no
    places. The part may reach over the edge.
    """
    terms = number.terms
    if terms.source is None:
        return None
    tensor, place = terms.source
    if terms.under is not None:
        rows, columns = terms.under
        channel = terms.numbers[term] if terms.of == "input channel" else place[1]
        return tensor[place[0], channel].detach(), (rows[0], columns[0], rows[-1] + 1, columns[-1] + 1)
    tensor, grid = _side_by_side(tensor, number.remembered.photo)
    if grid is None:
        return None
    layout, at = grid, place[-1]
    if len(place) > 2:  # a vector for each row and column
        at = place[-2] * layout.grid[1] + at
    if at < layout.prefix:
        return None
    row, column = divmod(at - layout.prefix, layout.grid[1])
    values = tensor.detach().reshape(-1, tensor.shape[-1])[layout.prefix:, terms.numbers[term]]
    return values.reshape(layout.grid), (row, column, row + 1, column + 1)


def _side_by_side(tensor: Tensor, photo: tuple[int, int]) -> tuple[Tensor, Layout | None]:
    """The vectors that a linear layer reads, as they were before they became one list, and how they lie side
    by side; those of windows do not.
    """
    while tensor.ndim == 2 and (how := made(tensor)) is not None and how.name in ("view", "_unsafe_view"):
        tensor = how.operands[0]
    if tensor.shape[0] != 1 or tensor.ndim not in (3, 4):
        return tensor, None
    if tensor.ndim == 4:
        return tensor, Layout("NHWC", (tensor.shape[1], tensor.shape[2]))
    layout = layout_of(tuple(tensor.shape), photo)
    return tensor, layout
