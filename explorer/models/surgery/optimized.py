"""`optimize`: the same answers, sooner. A copy of a model for predicting, not for training.

While a network learns, BatchNorm behind a convolution keeps the signal at a good scale. Once it has learnt,
BatchNorm only multiplies and shifts each channel by fixed numbers, which the convolution's own weights can do
as well: the two become one (see `explorer/models/layers/reparam.py` for the arithmetic). RepVGG, MobileOne
and their like go further, and turn whole branches into one convolution.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from explorer.arguments import batch, checked, network
from explorer.models.contract import evaluation, parameter_place
from explorer.models.layers.conv_norm_act import BatchNormAct2d
from explorer.models.layers.conv_same import Conv2dSame
from explorer.models.layers.reparam import fold_batch_norm
from explorer.models.surgery.inside import backbone, look_through, photo_size
from explorer.models.surgery.packing import Packed, pack
from explorer.models.surgery.staged import Staged
from explorer.models.watching import Turn, watching

#: Largest difference of the scores, as a share of the largest score, that rounding may make.
TOLERANCE = {torch.float64: 1e-6, torch.float32: 1e-4, torch.bfloat16: 5e-2, torch.float16: 1e-2}


@dataclass(frozen=True)
class OptimizeReport:
    """What `optimize` did.

    folded:          BatchNorm layers that are now part of the convolution in front of them
    norms_left:      those that are not: they stand elsewhere, or others read the convolution's result too
    reparameterized: modules whose branches became one convolution
    parameters:      how many there were, and how many there are
    channels_last:   whether maps now lie in memory as [B, H, W, C], which many chips compute faster
    packed:          layers whose weights are laid out for the processor (`surgery.packing`), on a CPU
    error:           largest difference of the scores to the original's, as a share of the largest score;
                     NaN where it was not looked for
    """

    folded: int
    norms_left: int
    reparameterized: int
    parameters: tuple[int, int]
    channels_last: bool
    error: float
    packed: int = 0

    def __str__(self) -> str:
        before, after = self.parameters
        lines = [f"{self.folded} BatchNorm layers folded into their convolutions, {self.norms_left} left",
                 f"{self.reparameterized} modules re-parameterised", f"{before:,} parameters, now {after:,}"]
        if self.channels_last:
            lines.append("maps lie in memory channels-last")
        if self.packed:
            lines.append(f"the weights of {self.packed} layers laid out for the processor")
        return "\n".join([*lines, f"largest difference of the scores: {self.error:.1e} of the largest"])


@checked(model=network, example=batch)
def optimize(
    model: nn.Module, *, example: Tensor | None = None, channels_last: bool | None = None
) -> nn.Module:
    """A new model that predicts the same, faster; the one given stays as it is.

    example:       photos [B, C, H, W] to try it with; by default noise of the size that the model takes
    channels_last: how maps lie in memory; None: channels-last for networks that are mostly convolutions

    It is in evaluation mode, and meant to stay there: it has no norms to train with, and on a CPU its weights
    are laid out for predicting, so that training it raises RuntimeError. All that a model can do works as
    before (stages, features, heat maps, `explorer.look`), and `optimize_report` tells what was done. Its
    `state_dict` has the folded weights, without the norms, so it fits no other model: keep the original to
    train on, and to save.

    A norm is folded only where a run shows that it, and nothing else, reads the convolution's result. At last
    both models answer the same example: RuntimeError where they disagree. TypeError for what keeps no
    contract.
    """
    model, network = look_through(model), backbone(model)
    if example is None:
        example = _noise(network)
    fast = unproven_copy(model, example, channels_last=channels_last)
    error = compare(model, fast, example)
    if not error <= TOLERANCE[example.dtype]:
        raise RuntimeError(
            f"The optimized {network.config.name or type(network).__name__} does not give the original's "
            f"scores: they differ by {error:.1e} of the largest. Use the original, and please report this "
            "model."
        )
    fast.optimize_report = replace(fast.optimize_report, error=error)  # pyright: ignore[reportArgumentType]
    return fast


def unproven_copy(
    model: nn.Module, example: Tensor | None = None, *, channels_last: bool | None = None
) -> nn.Module:
    """What `optimize` gives, for a caller that compares the two models' answers itself."""
    example = _noise(backbone(model)) if example is None else example
    fast = copy.deepcopy(model).eval()
    before = count(fast)
    merges = [(part, merge) for part in fast.modules()
              if callable(merge := getattr(part, "reparameterize", None))]
    shapes = {id(part): count(part) for part, _ in merges}
    for _, merge in merges:
        merge()
    reparameterized = sum(count(part) != shapes[id(part)] for part, _ in merges if part is not backbone(fast))

    pairs = find_pairs(fast, example)
    for conv, norm in pairs:
        fold(fast, conv, norm)
    if channels_last is None:
        channels_last = mostly_convolutions(fast)
    if channels_last:
        fast = fast.to(memory_format=torch.channels_last)
    pack(fast)
    report = OptimizeReport(
        folded=len(pairs), norms_left=sum(isinstance(m, nn.BatchNorm2d) for m in fast.modules()),
        reparameterized=reparameterized, parameters=(before, count(fast)),
        channels_last=bool(channels_last), error=math.nan,
        packed=sum(isinstance(part, Packed) for part in fast.modules()),
    )
    fast.optimize_report = report  # pyright: ignore[reportArgumentType]  # torch's stub: tensors and modules
    return fast


def _noise(network: Staged) -> Tensor:
    """A photo [1, C, H, W] of noise, of the size that a network takes."""
    noise = torch.Generator().manual_seed(0)
    size = (1, *photo_size(network))
    photo = torch.randn(size, generator=noise, dtype=torch.float32, device="cpu")
    return photo.to(**parameter_place(network))


def count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


# --- which norms can be folded ------------------------------------------------------------------------------


class Readers(TorchFunctionMode):
    """While it is on, counts the functions that read each of some tensors and make new ones of them."""

    def __init__(self) -> None:
        super().__init__()
        self.watched: dict[int, Tensor] = {}  # the tensors are kept, so that no other gets their id
        self.readers: dict[int, int] = {}

    def watch(self, tensor: Tensor) -> None:
        self.watched[id(tensor)] = tensor
        self.readers[id(tensor)] = 0

    def __torch_function__(
        self, function: Any, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        result = function(*args, **(kwargs or {}))
        if any(True for _ in tensors_in(result)):  # not for a question such as x.shape
            for key in {id(tensor) for tensor in tensors_in((args, kwargs))} & self.readers.keys():
                self.readers[key] += 1
        return result


def tensors_in(value: Any) -> Iterator[Tensor]:
    """All tensors in nested tuples, lists and dicts."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, dict):
        yield from tensors_in(list(value.values()))
    elif isinstance(value, (tuple, list)):
        for each in value:
            yield from tensors_in(each)


def find_pairs(model: nn.Module, example: Tensor) -> list[tuple[str, str]]:
    """(convolution, norm) by path, where that norm alone reads what that convolution gives.

    Told by a run on `example`. Both must run just once. A map that the model shows (a stage's, or its result)
    is read by others too.
    """
    foldable_conv = {path: m for path, m in model.named_modules() if is_foldable_conv(m)}
    foldable_norm = {path: m for path, m in model.named_modules() if is_foldable_norm(m)}
    if not foldable_norm:
        return []
    made: dict[str, list[Tensor]] = {path: [] for path in foldable_conv}
    read: dict[str, list[Tensor]] = {path: [] for path in foldable_norm}
    mode = Readers()

    def note_result(turn: Turn, _module: nn.Module, _inputs: tuple, output: Any) -> None:
        if isinstance(output, Tensor):
            made[turn.path].append(output)
            mode.watch(output)

    def note_input(turn: Turn, _module: nn.Module, inputs: tuple, options: dict) -> None:
        read[turn.path].extend([*inputs, *options.values()][:1])

    network = backbone(model)
    with torch.no_grad(), evaluation(model), watching(foldable_conv, after=note_result), \
            watching(foldable_norm, before=note_input), mode:
        features, maps = network.forward_intermediates(example)
        shown = [features, maps] if model is not network else [features, maps, network.forward_head(features)]

    also_shown = {id(tensor) for tensor in tensors_in(shown)}
    maker = {id(tensors[0]): path for path, tensors in made.items() if len(tensors) == 1}
    pairs = []
    for path, tensors in read.items():
        key = id(tensors[0]) if len(tensors) == 1 else None
        if key in maker and mode.readers[key] == 1 and key not in also_shown:
            pairs.append((maker[key], path))
    return pairs


def is_foldable_conv(module: nn.Module) -> bool:
    """A convolution that uses its weights as they are: not one that normalises them first, for example."""
    theirs = isinstance(module, nn.Conv2d) and type(module).__name__ == "Conv2dSame"
    return theirs or type(module) in (nn.Conv2d, Conv2dSame)


def is_foldable_norm(module: nn.Module) -> bool:
    """BatchNorm with statistics and weights, alone or with an activation behind it, ours or another's."""
    known = type(module) in (nn.BatchNorm2d, BatchNormAct2d) or type(module).__name__ == "BatchNormAct2d"
    return known and isinstance(module, nn.BatchNorm2d) and module.affine and module.running_var is not None


def fold(model: nn.Module, conv_path: str, norm_path: str) -> None:
    """Let a convolution do its norm's work.

    In the norm's place stays what it had behind it: an activation, or nothing.
    """
    conv, norm = model.get_submodule(conv_path), model.get_submodule(norm_path)
    if not isinstance(conv, nn.Conv2d) or not isinstance(norm, nn.BatchNorm2d):
        raise TypeError(f"{conv_path} and {norm_path} are no convolution and its BatchNorm.")
    with torch.no_grad():
        weight, bias = fold_batch_norm(conv.weight, norm, conv.bias)
    learns = conv.weight.requires_grad
    conv.weight = nn.Parameter(weight.to(conv.weight.dtype), requires_grad=learns)
    conv.bias = nn.Parameter(bias.to(conv.weight.dtype), requires_grad=learns)
    behind = [part for part in (getattr(norm, "drop", None), getattr(norm, "act", None))
              if part is not None and not isinstance(part, nn.Identity)]
    parent, _, name = norm_path.rpartition(".")
    rest = behind[0] if len(behind) == 1 else nn.Sequential(*behind) if behind else nn.Identity()
    setattr(model.get_submodule(parent), name, rest.eval())


def mostly_convolutions(model: nn.Module) -> bool:
    """Whether more than half of the weights are in convolutions."""
    inside = sum(m.weight.numel() for m in model.modules() if isinstance(m, nn.Conv2d))
    return inside > count(model) / 2


def compare(model: nn.Module, fast: nn.Module, example: Tensor) -> float:
    """Largest difference of two models' results as a share of the largest number.

    Infinite where shapes differ.
    """
    with torch.no_grad(), evaluation(model):
        wanted, found = list(tensors_in(model(example))), list(tensors_in(fast(example)))
    error = 0.0 if len(wanted) == len(found) else float("inf")
    for one, other in zip(found, wanted):
        if one.shape != other.shape:
            return float("inf")
        scale = float(other.abs().max().clamp_min(1e-12))
        error = max(error, float((one - other).abs().max()) / scale)
    return error
