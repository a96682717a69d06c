"""The terms that a number is the sum of, where it comes out of a convolution, a linear layer, attention or a
pooling: `terms_of`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from explorer.inspection.number.recording import Made, made

Index = tuple[int, ...]
PRODUCTS = ("linear", "mm", "addmm", "bmm", "baddbmm", "mv", "addmv")
ATTENTION = "_scaled_dot_product"
MEANS = ("mean", "avg_pool2d", "_adaptive_avg_pool2d", "sum")
LARGEST = ("max_pool2d_with_indices", "amax")


@dataclass(eq=False)
class Terms:
    """A sum of products, one term an input channel, an input, or a place.

    kind:    "convolution", "depthwise convolution", "linear layer", "attention", "product of matrices",
             "mean", "largest", or the name of another operation, whose terms are not known
    layer:   dotted path of the module that computes it
    of:      what there is a term of: "input channel", "input" or "place"
    first, second: what is multiplied, [n, h, w] each: the patch under the kernel and the kernel; for a linear
             layer inputs and weights [n, 1, 1]; for attention the weights of all places and their values
    numbers: which input channels, inputs or places those are, [n]
    bias:    what is added to the sum; 0 where there is none
    inside:  [h, w]: False where the kernel lies over the edge, where padding gives zeros
    settings: in words: kernel, stride, padding, dilation, groups
    corner:  (row, column) of the input map that the kernel's first weight lies on
    under:   (rows, columns) of the input map that the kernel's weights lie on
    source:  (what goes in, the place in it): of a linear layer that of its vector; of a convolution or a
             pooling (the photo's number, the first channel)
    """

    kind: str
    layer: str
    of: str = ""
    first: Tensor | None = None
    second: Tensor | None = None
    numbers: tuple[int, ...] = ()
    bias: float = 0.0
    inside: Tensor | None = None
    settings: str = ""
    corner: tuple[int, int] | None = None
    under: tuple[tuple[int, ...], tuple[int, ...]] | None = None
    value: float = 0.0
    source: tuple[Tensor, Index] | None = None

    @property
    def known(self) -> bool:
        """Whether the terms are here, and not their sum alone."""
        return self.first is not None

    @property
    def products(self) -> Tensor:
        """What each term gives, [n]."""
        if self.first is None or self.second is None:
            return torch.zeros(0, dtype=torch.float64)
        return (self.first * self.second).sum((1, 2))

    @property
    def total(self) -> float:
        """The sum of all terms and the bias; of "largest" the largest."""
        if not self.known:
            return self.value
        return float(self.products.max() if self.kind == "largest" else self.products.sum() + self.bias)

    @property
    def order(self) -> list[int]:
        """The terms, those that weigh most first."""
        return self.products.abs().argsort(descending=True, stable=True).tolist()


def ends(how: Made) -> bool:
    """Whether a number's way is told from here: by an operation that joins many numbers."""
    known = ("convolution", "_softmax", "_safe_softmax", *PRODUCTS, *MEANS, *LARGEST)
    return how.name in known or how.name.startswith(ATTENTION)


def terms_of(tensor: Tensor, index: Index) -> Terms:
    """The terms of one number of a tensor, in float64."""
    how = made(tensor)
    value = float(tensor[index].detach())
    if how is None:
        return Terms("the network's input", "", value=value)
    given = how.given
    if how.name == "convolution" and not given["transposed"]:
        return _convolution(how, given, index)
    if how.name in PRODUCTS:
        return _product(how, index)
    if how.name.startswith(ATTENTION):
        return _attention(how, given, index)
    if how.name in ("avg_pool2d", "max_pool2d_with_indices") and how.number == 0:
        return _pooling(how, given, index)
    to_one = how.name == "_adaptive_avg_pool2d" and tuple(tensor.shape[-2:]) == (1, 1)
    if how.name == "mean" and given.get("dim") or to_one:
        return _mean(how, given, index)
    return Terms(WORDS.get(how.name, how.name.strip("_").replace("_", " ")), how.path, value=value)


WORDS = {"convolution": "transposed convolution", "_adaptive_avg_pool2d": "mean of a part of the map",
         "_softmax": "softmax", "_safe_softmax": "softmax", "amax": "largest of a row"}


def _pair(value: Any, count: int) -> list[int]:
    numbers = [value] if isinstance(value, int) else list(value)
    return numbers * count if len(numbers) == 1 else numbers


def _under(tensor: Tensor, place: Index, kernel: list[int], stride: list[int], padding: list[int],
           dilation: list[int], empty: float = 0.0
           ) -> tuple[Tensor, Tensor, tuple[tuple[int, ...], tuple[int, ...]]]:
    """(what lies under a kernel, [C, h, w] of [C, H, W]; where that is inside; its rows and columns)."""
    starts = [at * s - p for at, s, p in zip(place, stride, padding)]
    rows, columns = ([start + k * d for k in range(size)]
                     for start, size, d in zip(starts, kernel, dilation))
    height, width = tensor.shape[-2:]
    down = torch.tensor([0 <= row < height for row in rows])
    across = torch.tensor([0 <= column < width for column in columns])
    inside = down[:, None] & across[None, :]
    patch = tensor[:, [min(max(row, 0), height - 1) for row in rows]]
    patch = patch[:, :, [min(max(column, 0), width - 1) for column in columns]].double()
    return torch.where(inside, patch, empty), inside, (tuple(rows), tuple(columns))


def _convolution(how: Made, given: dict[str, Any], index: Index) -> Terms:
    source, weight, groups = given["input"], given["weight"], given["groups"]
    if weight.ndim == 3:  # over a row: as one over a map of one row
        source, weight, index = source.unsqueeze(-2), weight.unsqueeze(-2), (*index[:2], 0, index[2])
        settings = [[usual, *_pair(given[name], 1)]
                    for name, usual in (("stride", 1), ("padding", 0), ("dilation", 1))]
    else:
        settings = [_pair(given[name], 2) for name in ("stride", "padding", "dilation")]
    stride, padding, dilation = settings
    batch, channel, *place = index
    each = weight.shape[1]
    begin = channel // (weight.shape[0] // groups) * each
    kernel = list(weight.shape[2:])
    patch, inside, under = _under(source[batch, begin:begin + each].detach().cpu(), tuple(place), kernel,
                                   stride, padding, dilation)
    words = [f"kernel {kernel[0]} x {kernel[1]}"]
    words += [f"{word} {pair[0]}" if pair[0] == pair[1] else f"{word} {pair[0]} x {pair[1]}"
              for word, pair, usual in (("stride", stride, 1), ("padding", padding, 0),
                                        ("dilation", dilation, 1)) if pair != [usual, usual]]
    words += [f"{groups} groups"] if groups > 1 else []
    bias = given["bias"]
    return Terms(
        "depthwise convolution" if groups > 1 and each == 1 else "convolution", how.path, "input channel",
        patch, weight[channel].detach().cpu().double(), tuple(range(begin, begin + each)),
        0.0 if bias is None else float(bias[channel].detach()), inside, ", ".join(words),
        (under[0][0], under[1][0]), under, source=(source, (batch, begin)))


def _pooling(how: Made, given: dict[str, Any], index: Index) -> Terms:
    source, kernel = given["self"], _pair(given["kernel_size"], 2)
    stride, padding = _pair(given["stride"] or kernel, 2), _pair(given["padding"], 2)
    largest = how.name.startswith("max")
    dilation = _pair(given.get("dilation", 1), 2)
    patch, inside, under = _under(source[index[0], index[1]:index[1] + 1].detach().cpu(), index[2:], kernel,
                                   stride, padding, dilation)
    values, share = patch[0][inside], 1.0
    if not largest:
        ends = [size + more for size, more in zip(source.shape[-2:], padding)]  # of the padding at the end
        rows, columns = (sum(at < end for at in one) for one, end in zip(under, ends))
        counts = rows * columns if given["count_include_pad"] else len(values)
        share = 1 / (given["divisor_override"] or counts)
    return Terms("largest" if largest else "mean", how.path, "place", values[:, None, None],
                 torch.full((len(values), 1, 1), share, dtype=torch.float64), tuple(range(len(values))),
                 settings=f"{kernel[0]} x {kernel[1]} places", corner=(under[0][0], under[1][0]),
                 under=under, source=(source, (index[0], index[1])))


def _mean(how: Made, given: dict[str, Any], index: Index) -> Terms:
    source = given["self"]
    axes = given.get("dim") or [-2, -1]
    axes = sorted({axis % source.ndim for axis in axes})
    kept, place = iter(index), []
    for axis in range(source.ndim):
        if axis in axes:
            place.append(slice(None))
            if len(index) == source.ndim:
                next(kept)
        else:
            place.append(next(kept))
    values = source[tuple(place)].detach().cpu().double().flatten()
    return Terms("mean", how.path, "place", values[:, None, None],
                 torch.full((len(values), 1, 1), 1 / len(values), dtype=torch.float64),
                 tuple(range(len(values))), settings=f"{len(values)} places")


def _product(how: Made, index: Index) -> Terms:
    """A row of the first matrix by a column of the second; what is added is the bias."""
    if how.name == "linear":
        return _linear(how, index)
    *added, first, second = how.operands
    *batch, row, column = index if second.ndim > 1 else (*index, 0)
    if second.ndim == 1:
        second = second[:, None]
    inputs, weights = first[(*batch, row)], second[(*batch, slice(None), column)]
    shape, place = (*first.shape[:-1], second.shape[-1]), (*batch, row, column)
    bias = float(added[0].detach().expand(shape)[place]) if added else 0.0
    kind = "linear layer" if made(second) is None or _is_weight(second) else "product of matrices"
    if _by_softmax(first):
        return Terms("attention", how.path, "place", _column(inputs), _column(weights),
                     tuple(range(len(inputs))), bias)
    return Terms(kind, how.path, "input", _column(inputs), _column(weights), tuple(range(len(inputs))), bias,
                 source=(first, (*batch, row)))


def _linear(how: Made, index: Index) -> Terms:
    """torch's own operation for a layer: the last axis by a weight [out, in]."""
    given, (*place, channel) = how.given, index
    inputs, weights = given["input"][tuple(place)], given["weight"][channel]
    bias = 0.0 if given["bias"] is None else float(given["bias"][channel].detach())
    return Terms("linear layer", how.path, "input", _column(inputs), _column(weights),
                 tuple(range(len(inputs))), bias, source=(given["input"], tuple(place)))


def _column(values: Tensor) -> Tensor:
    return values.detach().cpu().double()[:, None, None]


def _is_weight(tensor: Tensor) -> bool:
    """Whether it is a weight, perhaps turned about, and nothing that the photo went into."""
    while (how := made(tensor)) is not None:
        if len(how.operands) != 1:
            return False
        tensor = how.operands[0]
    return isinstance(tensor, torch.nn.Parameter)


def _by_softmax(tensor: Tensor) -> bool:
    """Whether a matrix of weights comes out of a softmax, perhaps by way of views."""
    while (how := made(tensor)) is not None:
        if "softmax" in how.name:
            return True
        if how.name not in ("view", "_unsafe_view", "expand", "reshape", "clone", "permute", "transpose"):
            return False
        tensor = how.operands[0]
    return False


def _attention(how: Made, given: dict[str, Any], index: Index) -> Terms:
    *head, row, column = index
    query, key, value = (given[name].detach().double().cpu() for name in ("query", "key", "value"))
    scale = given.get("scale") or query.shape[-1] ** -0.5
    scores = key[tuple(head)] @ query[(*head, row)] * scale
    mask = given.get("attn_mask", given.get("attn_bias"))
    if isinstance(mask, Tensor):
        mask = mask.detach().cpu().expand(*query.shape[:-1], key.shape[-2])[(*head, row)]
        scores = scores.masked_fill(~mask, -torch.inf) if mask.dtype == torch.bool else scores + mask
    weights = scores.softmax(0)
    values = value[(*head, slice(None), column)]
    return Terms("attention", how.path, "place", _column(weights), _column(values),
                 tuple(range(len(weights))), settings=f"head {head[-1]}")
