"""How far each number of a tensor reaches back into the photo: a `Reach`, and how it grows.

A number in the middle of a network is computed from some pixels of the photo. The smallest rectangle that
holds them is its reach. Operations of a network only do four things to such rectangles: they move them
(views, slices, concatenation), join those of several operands (sums, products), join those under a sliding
kernel (convolution, pooling), or join all along an axis (mean, softmax, matrix product).

Rectangles are kept as eight tensors of the shape of the tensor that they tell of: top, bottom, left and
right, of which top and left are negated, so that to join is to take the maximum; once cut at the picture's
edge, and once as if layers that pad went on over the edge. -inf stands for "reads no pixel", +inf in the
second four for "reads all of them, however large the picture", NaN in them for "not known".
Source of the sliding rule: Araujo, Norris and Sim 2019, "Computing Receptive Fields of Convolutional Neural
Networks", Distill.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce

import torch
from torch import Tensor

INF = float("inf")
CUT = 4  # the first four are cut at the picture's edge
LARGE = 4096  # numbers from which on it is worth to see whether all along an axis are the same


class Reach:
    """The rectangles of one tensor's numbers; picture: (height, width) of what the network reads."""

    def __init__(self, edges: Sequence[Tensor], picture: tuple[int, int]):
        self.edges, self.picture = tuple(edges), picture

    def map(self, change: Callable[[Tensor], Tensor]) -> Reach:
        """All eight, each changed in the same way."""
        return Reach([change(edge) for edge in self.edges], self.picture)

    @property
    def shape(self) -> torch.Size:
        return self.edges[0].shape

    def to_shape(self, shape: Sequence[int]) -> Reach:
        """Spread over a larger tensor, as torch broadcasts."""
        return self.map(lambda edge: small(edge).expand(tuple(shape)))

    def is_everything(self) -> bool:
        """Whether each number reads all of the picture, however large."""
        return all(bool((small(edge) == INF).all()) for edge in self.edges[CUT:])


def of_picture(shape: Sequence[int]) -> Reach:
    """The reach of the photo itself [B, C, H, W]: each pixel is its own rectangle."""
    _, _, height, width = shape
    down = torch.arange(height, dtype=torch.float32)[:, None]
    across = torch.arange(width, dtype=torch.float32)[None, :]
    edges = [-down, down + 1, -across, across + 1]
    return Reach([edge.expand(tuple(shape)) for edge in edges * 2], (height, width))


def small(edge: Tensor) -> Tensor:
    """Without the repetitions of an axis along which all are the same: of size 1 there."""
    for axis, (size, stride) in enumerate(zip(edge.shape, edge.stride())):
        if size > 1 and stride == 0:
            edge = edge.narrow(axis, 0, 1)
    return edge


def lean(edge: Tensor) -> Tensor:
    """The same, with the axes found along which all are the same: maps mostly have one rectangle a place."""
    if edge.numel() < LARGE:
        return edge
    shape, edge = edge.shape, small(edge)
    for axis, size in enumerate(edge.shape):
        if size > 1:
            first = edge.narrow(axis, 0, 1)
            if bool(((edge == first) | (edge.isnan() & first.isnan())).all()):
                edge = first
    return edge.expand(shape)


def join(reaches: Sequence[Reach], shape: Sequence[int]) -> Reach:
    """Of numbers that are computed from one number of each: sums, products, activations."""
    columns = zip(*(reach.edges for reach in reaches))
    edges = [reduce(torch.maximum, map(small, column)).expand(tuple(shape)) for column in columns]
    return Reach(edges, reaches[0].picture)


def moved(reach: Reach, move: Callable[[Tensor], Tensor]) -> Reach:
    """Of numbers that went elsewhere. move: what was done to the tensor, done to each edge."""
    return reach.map(lambda edge: lean(move(edge)))


# --- all along an axis --------------------------------------------------------------------------------------


def along(reach: Reach, axes: Sequence[int]) -> Reach:
    """All along some axes joined; their size is 1 then.

    What came to see all of the picture by that sees all of any picture: a mean over all places, attention.
    """
    axes = [axis % len(reach.shape) for axis in axes] if axes else list(range(len(reach.shape)))
    if not len(reach.shape):
        return reach
    parts = [small(edge) for edge in reach.edges]
    joined = [part.amax(axes, keepdim=True) for part in parts]
    # whether the rectangles that were joined differed: a mean over channels alone sees no more than they did
    differ = reduce(torch.logical_or, ((part < whole).amax(axes, keepdim=True)
                                       for part, whole in zip(parts[:CUT], joined)))
    height, width = reach.picture
    wanted = (0, height, 0, width)
    covers = reduce(torch.logical_and, (edge >= limit for edge, limit in zip(joined, wanted)))
    every = differ & covers
    sizes = [1 if axis in axes else size for axis, size in enumerate(reach.shape)]
    if bool(every.any()):
        joined[CUT:] = [torch.where(every, INF, edge) for edge in joined[CUT:]]
    return Reach([edge.expand(torch.broadcast_shapes(edge.shape, sizes)) for edge in joined], reach.picture)


# --- under a sliding kernel ---------------------------------------------------------------------------------


def slide(reach: Reach, sizes: Sequence[int], kernel: Sequence[int], stride: Sequence[int],
          padding: Sequence[int], dilation: Sequence[int]) -> Reach:
    """Of numbers that a kernel reads as it slides over the last axes.

    sizes: rows and columns of what comes out; the other arguments are torch's, a number an axis
    """
    edges = list(reach.edges)
    count = len(sizes)
    for axis, (size, k, s, p, d) in enumerate(zip(sizes, kernel, stride, padding, dilation), start=-count):
        if (k, s, p, size) == (1, 1, 0, reach.shape[axis]):
            continue
        edges = [_slide(edge, axis, size, k, s, p, d, beyond=number >= CUT)
                 for number, edge in enumerate(edges)]
    return Reach(edges, reach.picture)


def _slide(edge: Tensor, axis: int, size: int, kernel: int, stride: int, padding: int, dilation: int, *,
           beyond: bool) -> Tensor:
    """One edge along one axis. beyond: padding goes on as the rows before it do; else it reads nothing."""
    length = edge.shape[axis]
    narrow, shape = small(edge), list(edge.shape)
    shape[axis] = size
    if narrow.shape[axis] == 1 and length > 1:  # the same in each row, and so under each place of the kernel
        return narrow.expand(shape)
    needed = (size - 1) * stride + (kernel - 1) * dilation + 1
    padded = pad(narrow, axis, padding, needed - length - padding, beyond=beyond)
    windows = padded.unfold(axis, (kernel - 1) * dilation + 1, stride)[..., ::dilation]
    return windows.amax(-1).expand(shape)


def pad(edge: Tensor, axis: int, before: int, after: int, *, beyond: bool) -> Tensor:
    """More rows, or fewer for a negative number, at both ends of an axis."""
    length = edge.shape[axis]
    if before < 0 or after < 0:
        edge = edge.narrow(axis, max(0, -before), length + min(0, before) + min(0, after))
    parts = [edge]
    if before > 0:
        parts.insert(0, _more(edge, axis, before, 0, beyond=beyond))
    if after > 0:
        parts.append(_more(edge, axis, after, -1, beyond=beyond))
    return torch.cat(parts, axis) if len(parts) > 1 else edge


def _more(edge: Tensor, axis: int, count: int, end: int, *, beyond: bool) -> Tensor:
    """`count` rows before the first (end 0) or behind the last (end -1)."""
    last = edge.select(axis, end).unsqueeze(axis)
    shape = list(edge.shape)
    shape[axis] = count
    if not beyond:
        return torch.full(shape, -INF)
    if edge.shape[axis] < 2:  # how far apart rows are can't be told from one
        return torch.where(last.isinf(), last, float("nan")).expand(shape)
    step = last - edge.select(axis, 1 if end == 0 else -2).unsqueeze(axis)
    number = torch.arange(count, 0, -1) if end == 0 else torch.arange(1, count + 1)
    number = number.view([-1 if i == axis % edge.ndim else 1 for i in range(edge.ndim)])
    return torch.where(last.isinf(), last, last + number * step)


def chosen(reach: Reach, axis: int, rows: Sequence[Sequence[int]]) -> Reach:
    """Of rows each of which is mixed of some: rows[i] are those of row i (adaptive pooling, resizing)."""
    most = max(map(len, rows))
    index = torch.tensor([[*row, *[row[0]] * (most - len(row))] for row in rows])  # [out, most]

    def mix(edge: Tensor) -> Tensor:
        narrow = small(edge)
        if narrow.shape[axis] == 1 and edge.shape[axis] > 1:
            shape = list(edge.shape)
            shape[axis] = len(rows)
            return narrow.expand(shape)
        return reduce(torch.maximum, (edge.index_select(axis, column) for column in index.T))

    return reach.map(mix)


def by_group(reach: Reach, groups: int, out_channels: int) -> Reach:
    """Of a convolution's channels: each reads all of its group's. The channels are axis 1."""
    def joined(edge: Tensor) -> Tensor:
        narrow, channels = small(edge), edge.shape[1]
        if narrow.shape[1] == 1 or groups == 1:
            narrow = narrow.amax(1, keepdim=True)
        else:
            narrow = edge.unflatten(1, (groups, channels // groups)).amax(2)
            narrow = narrow.repeat_interleave(out_channels // groups, 1)
        return narrow.expand(edge.shape[0], out_channels, *edge.shape[2:])

    return reach.map(joined)


def everything_of(reaches: Sequence[Reach], shape: Sequence[int]) -> Reach:
    """What is known of an operation that nobody has described here: it may read all that its operands do."""
    whole = [along(reach, ()).map(lambda edge: edge.reshape(())) for reach in reaches]
    joined = join(whole, ())
    edges = [*joined.edges[:CUT], *(torch.full((), INF) for _ in joined.edges[CUT:])]
    return Reach([edge.expand(tuple(shape)) for edge in edges], joined.picture)

