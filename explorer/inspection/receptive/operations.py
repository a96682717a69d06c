"""What each of torch's operations does to the reach of the numbers that it computes from.

`RULES` names operations by what they do; all that torch itself marks as done number by number is joined. Of
an operation that is not here it is said that it may read all that its operands do, and its name is noted. """

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from explorer.inspection.receptive import reach as kinds
from explorer.inspection.receptive.reach import CUT, INF, Reach

_aten = torch.ops.aten
Rule = Callable[["Call"], Any]


class Call:
    """One operation as it ran: its arguments by name, and the reach of each operand that the photo went into.
    """

    def __init__(self, func: Any, args: tuple, kwargs: dict[str, Any], out: Any,
                 find: Callable[[Any], Reach | None]):
        self.func, self.args, self.kwargs, self.out, self.find = func, args, kwargs, out, find
        names = [argument.name for argument in func._schema.arguments]
        defaults = {one.name: one.default_value for one in func._schema.arguments if one.has_default_value()}
        self.given: dict[str, Any] = {**defaults, **dict(zip(names, args)), **kwargs}

    def __getitem__(self, name: str) -> Any:
        return self.given[name]

    def reach(self, name: str) -> Reach | None:
        return self.find(self.given.get(name))

    @property
    def operands(self) -> list[Reach]:
        """Of all tensors that went in, and that the photo went into."""
        found = []
        for value in (*self.args, *self.kwargs.values()):
            for one in value if isinstance(value, (list, tuple)) else (value,):
                if (reach := self.find(one)) is not None:
                    found.append(reach)
        return found

    @property
    def shape(self) -> torch.Size:
        return (self.out if isinstance(self.out, Tensor) else self.out[0]).shape


def _row(value: Any, count: int) -> list[int]:
    """torch's way to give one number for all axes: [3] is [3, 3]."""
    numbers = [value] if isinstance(value, int) else list(value)
    return numbers * count if len(numbers) == 1 else numbers


# --- number by number ---------------------------------------------------------------------------------------


def pointwise(call: Call) -> Reach:
    return kinds.join(call.operands, call.shape)


def of_first(call: Call) -> Reach:
    """What follows its first operand alone: normalisation with known statistics, dropout."""
    return call.operands[0].to_shape(call.shape)


# --- elsewhere ----------------------------------------------------------------------------------------------


def move(call: Call) -> Any:
    """A view, a slice, a copy: the same is done to each edge."""
    (reach,) = call.operands
    own = call.func
    if own in (_aten.view.default, _aten._unsafe_view.default):
        own = _aten.reshape.default  # the edges lie in memory in another way
    kwargs = {name: value for name, value in call.kwargs.items() if name not in ("dtype", "device", "layout")}

    def done(edge: Tensor) -> Any:
        return own(*(edge if call.find(value) is reach else value for value in call.args), **kwargs)

    if isinstance(call.out, Tensor):
        return kinds.moved(reach, done)
    columns = zip(*(done(edge) for edge in reach.edges))
    return [Reach([kinds.lean(edge) for edge in column], reach.picture) for column in columns]


def copy(call: Call) -> Reach:
    return call.operands[-1].to_shape(call.shape) if call.reach("src") is not None else None


def cat(call: Call) -> Reach:
    """Concatenation; what the photo did not go into, such as a class token, reads nothing."""
    tensors = [one for one in call["tensors"] if tuple(one.shape) != (0,)]
    known = [call.find(one) for one in tensors]
    picture = call.operands[0].picture
    edges = []
    for number in range(2 * CUT):
        parts = [torch.full((1,) * one.ndim, -INF).expand(one.shape) if reach is None else reach.edges[number]
                 for one, reach in zip(tensors, known)]
        edges.append(_joined(parts, call["dim"] % tensors[0].ndim) if call.func is _aten.cat.default
                     else kinds.lean(torch.stack(parts, call["dim"])))
    return Reach(edges, picture)


def _joined(parts: Sequence[Tensor], axis: int) -> Tensor:
    """Concatenated; axes that are the same all along in each part stay so, of size 1 in memory."""
    shape = list(parts[0].shape)
    shape[axis] = sum(part.shape[axis] for part in parts)
    narrow = [kinds.small(part) for part in parts]
    sides = torch.broadcast_shapes(*[[1 if i == axis else n for i, n in enumerate(part.shape)]
                                     for part in narrow])
    if all(part.shape[axis] == 1 for part in narrow) and all(
            torch.equal(part, narrow[0]) for part in narrow[1:]):
        return narrow[0].expand(shape)
    grown = [part.expand([whole.shape[i] if i == axis else n for i, n in enumerate(sides)])
             for part, whole in zip(narrow, parts)]
    return torch.cat(grown, axis).expand(shape)


def constant_pad(call: Call) -> Reach:
    reach, amounts = call.reach("self"), call["pad"]
    edges = list(reach.edges)
    for number, (before, after) in enumerate(zip(amounts[::2], amounts[1::2])):
        axis = -1 - number
        edges = [kinds.lean(kinds.pad(edge, axis, before, after, beyond=index >= CUT))
                 for index, edge in enumerate(edges)] if before or after else edges
    return Reach(edges, reach.picture)


# --- under a kernel -----------------------------------------------------------------------------------------


def convolution(call: Call) -> Reach | None:
    reach, weight = call.reach("input"), call["weight"]
    if reach is None:
        return None
    count = weight.ndim - 2
    kernel, stride = weight.shape[2:], _row(call["stride"], count)
    padding, dilation = _row(call["padding"], count), _row(call["dilation"], count)
    reach = kinds.by_group(reach, call["groups"], call.shape[1])
    if call["transposed"]:
        return _transposed(reach, call.shape[2:], kernel, stride, padding, dilation)
    return kinds.slide(reach, call.shape[2:], kernel, stride, padding, dilation)


def _transposed(reach: Reach, sizes: Sequence[int], kernel: Sequence[int], stride: Sequence[int],
                padding: Sequence[int], dilation: Sequence[int]) -> Reach:
    """Row i of what comes out is mixed of the rows j with i = j * stride - padding + k * dilation."""
    settings = zip(sizes, kernel, stride, padding, dilation)
    for axis, (size, k, s, p, d) in enumerate(settings, start=-len(sizes)):
        length = reach.shape[axis]
        rows = [[j for j in range(length) if 0 <= i + p - j * s <= (k - 1) * d and (i + p - j * s) % d == 0]
                for i in range(size)]
        reach = kinds.chosen(reach, axis, [row or [min(i // s, length - 1)] for i, row in enumerate(rows)])
    return reach


def pooling(call: Call) -> Any:
    reach, kernel = call.reach("self"), call["kernel_size"]
    sizes = call.shape[len(call.shape) - len(kernel):]
    count = len(sizes)
    found = kinds.slide(reach, sizes, _row(kernel, count), _row(call["stride"] or kernel, count),
                        _row(call["padding"], count), _row(call.given.get("dilation", 1), count))
    return found if isinstance(call.out, Tensor) else [found, found]


def adaptive(call: Call) -> Any:
    """Row i of `count` is of the rows from i / count to (i + 1) / count of the map."""
    reach, count = call.reach("self"), len(call["output_size"])
    sizes = call.shape[-count:]
    if all(size == 1 for size in sizes):
        found = kinds.along(reach, [-axis - 1 for axis in range(count)])
    else:
        found = reach
        for axis, size in enumerate(sizes, start=-count):
            length = reach.shape[axis]
            found = kinds.chosen(found, axis, [
                range(i * length // size, -(-(i + 1) * length // size)) for i in range(size)])
    return found if isinstance(call.out, Tensor) else [found, found]


def resize(call: Call) -> Reach:
    """Interpolation: a row is mixed of its two neighbours (nearest: one, bicubic: four; more with antialias).
    """
    reach, name = call.reach("self"), call.func._opname
    for axis in (-2, -1):
        length, size = reach.shape[axis], call.shape[axis]
        reach = kinds.chosen(reach, axis, [_neighbours(name, i, length, size, bool(call.given.get(
            "align_corners"))) for i in range(size)])
    return reach


def _neighbours(name: str, row: int, length: int, size: int, corners: bool) -> list[int]:
    if "nearest" in name:
        return [min(row * length // size, length - 1)]
    if name.endswith("_aa") and length > size:  # made smaller without steps: all that lies below counts
        scale = length / size
        middle, wide = (row + 0.5) * scale + 0.5, scale * (2 if "bicubic" in name else 1)
        return list(range(max(math.floor(middle - wide), 0), min(math.floor(middle + wide), length)))
    at = row * (length - 1) / max(size - 1, 1) if corners else (row + 0.5) * length / size - 0.5
    if "bilinear" in name:
        at = max(at, 0.0)
    low, around = math.floor(at), (-1, 0, 1, 2) if "bicubic" in name else (0, 1)
    wanted = [0] if at == low else around
    return sorted({min(max(low + step, 0), length - 1) for step in wanted})


# --- all along an axis --------------------------------------------------------------------------------------


def reduction(call: Call) -> Any:
    """Mean, sum, largest, variance ... along some axes."""
    reach = call.reach("self")
    axes = call.given.get("dim")
    axes = [] if axes is None else [axes] if isinstance(axes, int) else list(axes)
    found = kinds.along(reach, axes)
    found = found.map(lambda edge: edge.reshape(call.shape) if edge.numel() == math.prod(call.shape)
                      else edge)
    return found if isinstance(call.out, Tensor) else [found] * len(call.out)


def spread(call: Call) -> Reach:
    """Softmax: each along an axis reads all of that axis."""
    return kinds.along(call.reach("self"), [call["dim"]]).to_shape(call.shape)


def layer_norm(call: Call) -> list[Reach | None]:
    reach = call.reach("input")
    found = kinds.along(reach, [-axis - 1 for axis in range(len(call["normalized_shape"]))])
    return [found.to_shape(call.shape), None, None]


def group_norm(call: Call) -> list[Reach | None]:
    """The statistics are of all places of a group's channels."""
    reach = call.reach("input")
    groups, shape = call["group"], call.shape
    apart = reach.map(lambda edge: edge.reshape(shape[0], groups, shape[1] // groups, -1))
    found = kinds.along(apart, [2, 3]).to_shape((shape[0], groups, shape[1] // groups, math.prod(shape[2:])))
    return [found.map(lambda edge: kinds.lean(edge.reshape(shape))), None, None]


def by_own_statistics(given: dict[str, Any]) -> bool:
    """Whether batch normalisation takes mean and variance of what it reads, as instance normalisation does.

    given: its arguments by their names
    """
    return given.get("running_mean") is None or bool(given.get("training"))


def batch_norm(call: Call) -> list[Reach | None]:
    """Number by number; by its own statistics all places of a channel count."""
    reach = call.operands[0]
    if by_own_statistics(call.given):
        reach = kinds.along(reach, [axis for axis in range(len(reach.shape)) if axis != 1])
    return [reach.to_shape(call.shape)]


def product(call: Call) -> Reach:
    """A product of matrices: a number reads all of a row of the first, and all of a column of the second."""
    *_, first, second = [value for value in call.args if isinstance(value, Tensor)][:3]
    added = call.reach("self") if len([v for v in call.args if isinstance(v, Tensor)]) == 3 else None
    parts = [] if added is None else [added.to_shape(call.shape)]
    for operand, axis in ((first, -1), (second, -2 if second.ndim > 1 else -1)):
        if (reach := call.find(operand)) is not None:
            parts.append(kinds.along(reach, [axis]))
    return kinds.join([part if part.shape != () and len(part.shape) == len(call.shape)
                       else part.map(lambda edge: edge.reshape((1,) * len(call.shape))) for part in parts],
                      call.shape)


def attention(call: Call) -> Any:
    """Scaled dot products: a row reads its query, all keys and all values."""
    parts = []
    for name, axes in (("query", [-1]), ("key", [-2, -1]), ("value", [-2])):
        if (reach := call.reach(name)) is not None:
            parts.append(kinds.along(reach, axes))
    found = kinds.join(parts, call.shape)
    return found if isinstance(call.out, Tensor) else [found, *[None] * (len(call.out) - 1)]


def _table() -> dict[str, Rule]:
    words = {
        pointwise: "where masked_fill lerp addcmul addcdiv dropout threshold rsub",
        of_first: "native_dropout bernoulli _to_copy clone contiguous detach alias lift_fresh zeros_like "
                  "celu prelu _prelu_kernel",
        move: "view _unsafe_view reshape permute transpose t expand slice select unsqueeze squeeze split "
              "split_with_sizes unbind flip roll pixel_shuffle pixel_unshuffle repeat index_select numpy_T "
              "narrow chunk movedim swapaxes flatten unflatten mT reflection_pad2d replication_pad2d "
              "diagonal channel_shuffle native_channel_shuffle unfold",
        cat: "cat stack", constant_pad: "constant_pad_nd", copy: "copy_",
        convolution: "convolution", resize: "upsample_nearest2d upsample_bilinear2d upsample_bicubic2d "
                                            "_upsample_bilinear2d_aa _upsample_bicubic2d_aa",
        pooling: "max_pool2d_with_indices max_pool2d avg_pool2d max_pool1d avg_pool1d",
        adaptive: "_adaptive_avg_pool2d adaptive_avg_pool2d adaptive_max_pool2d",
        reduction: "mean sum amax amin max min var var_mean std std_mean prod linalg_vector_norm norm "
                   "logsumexp argmax any all",
        spread: "_softmax softmax _log_softmax _safe_softmax",
        batch_norm: "native_batch_norm _native_batch_norm_legit_no_training cudnn_batch_norm "
                    "_batch_norm_with_update _native_batch_norm_legit",
        layer_norm: "native_layer_norm", group_norm: "native_group_norm",
        product: "mm bmm addmm baddbmm mv addmv",
        attention: "_scaled_dot_product_flash_attention_for_cpu _scaled_dot_product_flash_attention "
                   "_scaled_dot_product_efficient_attention _scaled_dot_product_attention_math "
                   "scaled_dot_product_attention _scaled_dot_product_fused_attention_overrideable "
                   "_scaled_dot_product_attention_math_for_mps",
    }
    return {f"aten::{word}": rule for rule, names in words.items() for word in names.split()}


RULES = _table()


def rule_for(func: Any) -> Rule | None:
    """How an operation joins what it reads; None for one that nobody has described."""
    name = func._schema.name
    if rule := RULES.get(name):
        return rule
    if torch.Tag.pointwise in func.tags or name.removesuffix("_") in RULES and RULES[
            name.removesuffix("_")] is pointwise:
        return pointwise
    return None
