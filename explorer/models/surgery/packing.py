"""Weights laid out for the processor: `pack` gives the linear layers and convolutions of a model oneDNN's own
layout.

A product of matrices reads its weights block by block. oneDNN (the library behind much of torch on a CPU) is
fastest where the blocks lie in memory as it reads them; laid out once, they need not be rearranged in every
pass. torch's compiler does the same when it freezes a model, with the operators
`torch.ops.mkldnn._linear_pointwise` and `_convolution_pointwise`. They have no public name, so this is the
one file that knows them; where they are missing (other platforms, other versions of torch), `can_pack` says
so and every layer computes as it always did.

A packed layer keeps its own weight and bias, so the state dict is what it was; the layout is a second copy,
made at the first pass and made anew when the weight was changed. Such a layer can't learn, and says so where
it is trained. What asks for gradients with respect to its input, as a heat map does, goes through the plain
operator and gets the right ones.

oneDNN, "Understanding Memory Formats",
https://uxlfoundation.github.io/oneDNN/dev_guide_understanding_memory_formats.html """

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from explorer.models.layers.conv_same import Conv2dSame, same_padding

_PLAIN: tuple[str, list[float], str] = ("none", [], "")  # no activation behind the product
OPERATORS = ("_linear_pointwise", "_reorder_linear_weight",
             "_convolution_pointwise", "_reorder_convolution_weight")


def can_pack() -> bool:
    """Whether this torch, on this machine, has the operators."""
    return torch.backends.mkldnn.is_available() and all(hasattr(torch.ops.mkldnn, name) for name in OPERATORS)


class Packed(nn.Module):
    """What packed layers share: when the layout may be used, and when it has to be made anew."""

    weight: nn.Parameter
    bias: nn.Parameter | None
    #: which weight it was made of, and that weight in oneDNN's layout
    _layout: tuple[tuple[int, int], Tensor] | None = None

    def _lay_out(self, x: Tensor) -> Tensor:
        """The weight in the layout that is best for inputs like `x`; it is right for others too."""
        raise NotImplementedError

    def _ready(self, x: Tensor) -> Tensor | None:
        """The weight to use for `x`; None where the plain operator has to do it."""
        weight = self.weight
        if torch.is_grad_enabled():
            if weight.requires_grad or self.training:
                raise RuntimeError(CANT_LEARN)
            if x.requires_grad:
                return None
        if not (x.dtype == weight.dtype == torch.float32 and x.device.type == weight.device.type == "cpu"):
            return None
        # A tensor that was made in inference mode counts no changes.
        made_of = (weight.data_ptr(), 0 if weight.is_inference() else weight._version)
        if self._layout is None or self._layout[0] != made_of:
            with torch.no_grad():
                self._layout = (made_of, self._lay_out(x))
        return self._layout[1]

    def __getstate__(self) -> dict[str, Any]:
        """Copies and pickles lay their weights out again: torch can't copy oneDNN's layout."""
        return {name: value for name, value in self.__dict__.items() if name != "_layout"}


CANT_LEARN = ("This is an optimized copy, whose weights are laid out for predicting: it can't be trained. "
              "Train the model that it was made of, and optimize that one again.")


class PackedLinear(Packed, nn.Linear):
    """[..., in] -> [..., out], by a weight in oneDNN's layout."""

    def _lay_out(self, x: Tensor) -> Tensor:
        return torch.ops.mkldnn._reorder_linear_weight(self.weight.detach(), None)

    def forward(self, x: Tensor) -> Tensor:
        packed = self._ready(x)
        if packed is None:
            return F.linear(x, self.weight, self.bias)
        return torch.ops.mkldnn._linear_pointwise(x, packed, self.bias, *_PLAIN)


class PackedConv2d(Packed, nn.Conv2d):
    """[B, C, H, W] -> [B, out, H', W'], by a weight in oneDNN's layout; maps come out channels-last."""

    def _lay_out(self, x: Tensor) -> Tensor:
        # Without the size, a 1 x 1 convolution of stride 2 gets a layout that takes four times as long.
        size = list(x.shape) if len(x) else None
        padding, stride, dilation = list(self.padding), list(self.stride), list(self.dilation)
        return torch.ops.mkldnn._reorder_convolution_weight(
            self.weight.detach(), padding, stride, dilation, self.groups, size)

    def forward(self, x: Tensor) -> Tensor:
        packed = self._ready(x) if x.ndim == 4 else None
        if packed is None:
            return self._conv_forward(x, self.weight, self.bias)
        return torch.ops.mkldnn._convolution_pointwise(
            x, packed, self.bias, self.padding, self.stride, self.dilation, self.groups, *_PLAIN)


class PackedConv2dSame(PackedConv2d, Conv2dSame):
    """`Conv2dSame`, by a weight in oneDNN's layout."""

    def forward(self, x: Tensor) -> Tensor:
        (kh, kw), (sh, sw), (dh, dw) = self.kernel_size, self.stride, self.dilation
        ph, pw = same_padding(x.shape[-2], kh, sh, dh), same_padding(x.shape[-1], kw, sw, dw)
        padded = F.pad(x, (pw // 2, pw - pw // 2, ph // 2, ph - ph // 2))  # its own padding is 0
        return PackedConv2d.forward(self, padded)


#: Only layers that use their weight as it is: a subclass may normalise it first.
PACKED: dict[type[nn.Module], type[Packed]] = {
    nn.Linear: PackedLinear, nn.Conv2d: PackedConv2d, Conv2dSame: PackedConv2dSame}


def pack(model: nn.Module) -> int:
    """Turn a model's linear layers and convolutions into packed ones, in place; how many.

    Float32 layers on a CPU alone; 0 where torch has no such operators. The layers' weights learn no more.
    """
    if not can_pack():
        return 0
    found = [module for module in model.modules() if type(module) in PACKED and _packable(module)]
    for module in found:
        module.__class__ = PACKED[type(module)]
        for parameter in module.parameters(recurse=False):
            parameter.requires_grad_(False)
    return len(found)


def _packable(module: nn.Module) -> bool:
    weight = module.weight
    plain = weight.dtype == torch.float32 and weight.device.type == "cpu" and weight.numel() > 0
    if isinstance(module, nn.Conv2d):
        return plain and module.padding_mode == "zeros" and not isinstance(module.padding, str)
    return plain


def packed_bytes(model: nn.Module) -> int:
    """The memory that the layouts take once a model has run: that of the packed layers' weights once more."""
    return sum(module.weight.nbytes for module in model.modules() if isinstance(module, Packed))
