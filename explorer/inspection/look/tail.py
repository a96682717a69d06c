"""The end of a forward pass, kept so that heat maps of any class need no second pass.

A heat map asks: how would the score change if this stage's map changed here? The answer is a gradient, and
only the part of the network behind that map has to be remembered for it: the tail. So autograd takes no notes
up to the map. There a tensor of zeros is added to it, in place. Zeros change no number, but from there on
notes are taken, and the gradient of a score with respect to those zeros is its gradient with respect to the
map. A transformer shows its tokens as a map that is a view of them; there the zeros are added to the tokens,
and the gradient is viewed in the same way.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Collection, Sequence
from ctypes import string_at
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from explorer.inspection.look.model import model_name, not_pooled
from explorer.models.contract import Stage, VisionModel, parameter_place
from explorer.models.ensembles.ensemble import EnsembleModel
from explorer.models.ensembles.fused import FusedModel
from explorer.models.members import buffers_in, modules_in, parameters_in
from explorer.models.surgery.inside import photo_size, stage_modules
from explorer.models.watching import Turn, watching
from explorer.models.watching import walk as walk_stages

WHOLE = 4096  # numbers up to which all of a tensor tell whether it is still the same

#: Rows and columns of each stage's map when the model last ran; some networks lose places that strides don't
#: tell of.
_sizes: WeakKeyDictionary[nn.Module, dict[str, tuple[int, int]]] = WeakKeyDictionary()


def default_stage(model: VisionModel) -> str:
    """The stage whose heat map says most: the deepest whose map still has places, and places that count.

    In a transformer that reads its class token alone, nothing reads the places of the last block's map any
    more, so there it is the block before. Raises ValueError for a network without stages.
    """
    table = model.stage_table
    if not table:
        raise ValueError(f"{model_name(model)} has no stages, so there is no map to draw a heat map from. "
                         'Methods that need none: method="saliency", "integrated_gradients" or "occlusion".')
    known, asked = _sizes.get(model, {}), model
    if isinstance(model, EnsembleModel | FusedModel):  # that of the member that counts most
        asked = model.members[model.heaviest]
        table = [stage for stage in table if model.member_of_stage(stage.name)[0] is asked] or table
    height, width = photo_size(asked)[1:]
    names = [stage.name for stage in table
             if max(known.get(stage.name, (height // stage.reduction, width // stage.reduction))) > 1]
    names = names or [table[-1].name]
    network, _ = stage_modules(asked)
    if getattr(network, "global_pool", None) == "token" and names[-1] == table[-1].name and len(names) > 1:
        return names[-2]
    return names[-1]


class Tail:
    """From one stage's map to the scores: gradients with respect to the map, for any class, without a pass.

    It holds the tail's activations, and by way of them its weights. Both are let go when the model goes.
    """

    def __init__(
        self, model: VisionModel, stage: str, logits: Tensor, leaf: Tensor,
        as_map: Callable[[Tensor], Tensor],
    ):
        self.stage = stage
        self._kept: tuple[Tensor, Tensor, Callable[[Tensor], Tensor]] | None = (leaf, logits, as_map)
        this = weakref.ref(self)

        def let_go(_: Any) -> None:
            if (tail := this()) is not None:
                tail._kept = None

        self._model = weakref.ref(model, let_go)

    def gradient(
        self, target: int, score: Callable[[Tensor], Tensor] = lambda logits: logits
    ) -> Tensor | None:
        """d score[target] / d map, float32 [C, H, W] on the CPU; None where scores don't depend on the map.

        score: logits [1, W] -> one score a class [1, K]; by default the logits themselves
        """
        if self._kept is None:
            return None
        leaf, logits, as_map = self._kept
        if logits.grad_fn is None:
            return None
        with torch.inference_mode(False), torch.enable_grad():
            asked = score(logits)[0, target]
            (gradient,) = torch.autograd.grad(asked, leaf, retain_graph=True, allow_unused=True)
        return None if gradient is None else as_map(gradient)[0].to("cpu", torch.float32)


def walk(
    model: VisionModel, tensor: Tensor, *, stage: str = "", only: Collection[str] | None = None,
    at_module: bool = False, by: VisionModel | None = None,
) -> tuple[dict[str, Tensor], Tensor, Tensor, Tail | None]:
    """One pass over a photo [C, H, W]: ({stage: map [C, H, W]}, embedding [D], logits [K], tail).

    stage:     where the tail begins; "" for no tail
    only:      the stages whose maps are kept; None: all
    at_module: where the tail begins, watch the module that makes the stage's map, not the map itself. That is
               for networks that yield a copy of their map; those behind a door (explorer.wrap) always do
    by:        a faster copy that runs in the model's place (`look.faster`). Gradients through its layers are
               those of the folded weights, by torch's plain operators

    The caller has put the model into evaluation (`look.model.evaluating`). The tail is None for a model
    that gradients can't be followed through, such as one created under torch.inference_mode.
    Raises ValueError for a model that has a classifier but does not pool.
    """
    photo = tensor[None].to(**parameter_place(model))
    frozen = any(parameter.is_inference() for parameter in parameters_in(model))
    if stage and model.num_classes and not frozen:
        try:
            return _walk_with_tail(model, by or model, photo, stage, only, at_module)
        except RuntimeError:
            pass  # autograd can't follow it, as where it shows one of several views: it runs without a tail
    with torch.inference_mode():
        maps, embedding, logits, _ = _walk(model, by or model, photo, "", only, None)
    return maps, embedding, logits[0].cpu(), None


def _walk_with_tail(
    model: VisionModel, runs: VisionModel, photo: Tensor, stage: str, only: Collection[str] | None,
    at_module: bool,
) -> tuple[dict[str, Tensor], Tensor, Tensor, Tail | None]:
    row = next(row for row in model.stage_table if row.name == stage)
    with torch.inference_mode(False), torch.no_grad():
        network, _ = stage_modules(runs)
        watch = Watch(row) if at_module or network is not runs else None
        parts = {row.module: network.get_submodule(row.module)} if watch is not None else {}
        with watching(parts, after=watch):
            maps, embedding, logits, notes = _walk(model, runs, photo, stage, only, watch)
    if watch is not None and watch.leaf is not None:
        as_map = layout_of(tuple(watch.leaf.shape), maps[stage].shape)
        notes = (watch.leaf, as_map) if as_map is not None else None
    tail = Tail(model, stage, logits, *notes) if notes is not None else None
    # On its way to the CPU it waits until the device has finished, so that a clock around this is right.
    return maps, embedding, logits[0].detach().to("cpu", copy=True), tail


def _walk(
    model: VisionModel, runs: VisionModel, photo: Tensor, stage: str, only: Collection[str] | None,
    watch: Watch | None,
) -> tuple[dict[str, Tensor], Tensor, Tensor, tuple[Tensor, Callable[[Tensor], Tensor]] | None]:
    """`walk`, in whatever mode torch is in; logits are still [1, K], and with a tail a part of it.

    runs: the model itself, or the copy that runs in its place
    """
    maps, sizes, notes = {}, {}, None

    def begins(row: Stage) -> bool:
        return row.name == stage and watch is None

    def before(row: Stage) -> None:
        if begins(row):  # a view that was made while notes were off could not take part in them later
            torch.set_grad_enabled(True)

    def after(row: Stage, found: Tensor) -> None:
        nonlocal notes
        sizes[row.name] = tuple(found.shape[-2:])
        # The next layer may work in place, on this very memory: so each map is copied before that layer runs.
        if only is None or row.name in only:
            maps[row.name] = found[0].detach().clone()
        if begins(row):
            notes = begin_notes(found)

    features = walk_stages(runs, photo, before=before, after=after)
    _sizes[model] = sizes
    if runs.num_classes:
        embedding, logits = runs.forward_vector_and_logits(features)
        embedding = embedding[0]
    else:
        embedding = runs.forward_head(features, pre_logits=True)[0]
        logits = embedding.new_empty(1, 0)
    if embedding.ndim > 1:  # a model that doesn't pool: [C, H, W] or, a transformer's tokens, [N, C]
        embedding = embedding.mean((1, 2)) if embedding.ndim == 3 else embedding.mean(0)
    if logits.ndim > 2:
        raise not_pooled(logits)
    return maps, embedding.detach().clone(), logits, notes


def begin_notes(found: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]] | None:
    """Add zeros to a map, in place: what comes behind now has gradients with respect to them.

    Gives (the zeros, what turns their gradient into that of the map); None for a map of whole numbers.
    """
    if not found.is_floating_point() or found.is_inference():
        return None
    whole = found if found._base is None else found._base
    whole.detach_()  # forgets what led to it
    zeros = torch.zeros_like(whole, requires_grad=True)
    whole.add_(zeros)
    if whole is found:
        return zeros, _same
    size, stride, offset = found.size(), found.stride(), found.storage_offset() - whole.storage_offset()
    laid_out = whole.size(), whole.stride()

    def same_view(gradient: Tensor) -> Tensor:
        own = torch.empty_strided(*laid_out, dtype=gradient.dtype, device=gradient.device).copy_(gradient)
        return own.as_strided(size, stride, offset)

    return zeros, same_view


class Watch:
    """Adds zeros to what one call of a stage's module gives, and switches autograd's notes on from there."""

    def __init__(self, row: Stage):
        self.row = row
        self.leaf: Tensor | None = None

    def __call__(self, turn: Turn, _module: nn.Module, _inputs: tuple, output: Any) -> Any:
        if turn.call != self.row.call or not isinstance(output, Tensor) or not output.is_floating_point():
            return None
        torch.set_grad_enabled(True)
        self.leaf = torch.zeros_like(output, requires_grad=True)
        return output + self.leaf


def layout_of(shape: tuple[int, ...], map_shape: torch.Size) -> Callable[[Tensor], Tensor] | None:
    """What turns a module's output of `shape` into the map [1, C, H, W] known of it; None if nothing does."""
    channels, height, width = map_shape
    if shape[1:] == (channels, height, width):
        return _same
    if shape[1:] == (height, width, channels):
        return lambda output: output.permute(0, 3, 1, 2)
    if len(shape) == 3 and shape[2] == channels and shape[1] >= height * width:
        # The last tokens are the patches.
        return lambda output: output[:, -height * width:].transpose(1, 2).unflatten(2, (height, width))
    return None


def _same(output: Tensor) -> Tensor:
    return output


def fingerprint(model: nn.Module) -> tuple[Any, ...] | None:
    """What is another one once a model was trained, given new weights or other layers, or told what its
    scores mean.

    Which layers and tensors it has, how often each tensor was changed, and some of its numbers (`_samples`):
    torch does not count what is written by way of `.data` or numpy, as in `p.data -= lr * p.grad`. One number
    written in such a way in the middle of a large weight stays unseen.
    None for tensors that don't count their changes (those created under torch.inference_mode).
    """
    tensors = [*parameters_in(model), *buffers_in(model)]
    if any(tensor.is_inference() for tensor in tensors):
        return None
    config = getattr(model, "config", None)
    meaning = tuple(getattr(config, name, None) for name in ("outputs", "number_mean", "number_std"))
    changes = tuple((tensor.data_ptr(), tensor._version) for tensor in tensors)
    return tuple(map(type, modules_in(model))), changes, _samples(tensors), meaning


def _samples(tensors: Sequence[Tensor]) -> tuple[int, ...]:
    """Hashes of each small tensor whole, and of a large one's first row and first column.

    So a change of a bias, a norm, a whole filter or a whole input channel is seen, whoever wrote it.
    """
    hashes, columns = [], []
    with torch.inference_mode():
        for tensor in tensors:
            if not (numbers := tensor.numel()) or tensor.is_meta:
                continue
            large = numbers > WHOLE and tensor.ndim > 1
            if tensor.device.type == "cpu" and tensor.layout is torch.strided and _fills_its_memory(tensor):
                # Read from memory: many times quicker than by indexing, and each look asks.
                row = numbers // len(tensor) if large else numbers
                hashes.append(hash(string_at(tensor.data_ptr(), row * tensor.element_size())))
                if large:
                    columns.append(tensor.as_strided((len(tensor),), (tensor.stride(0),)))
            elif large:
                columns += [tensor[0].to_dense().reshape(-1),
                            tensor.select(-1, 0).to_dense().reshape(len(tensor), -1)[:, 0]]
            else:
                columns.append(tensor.to_dense().reshape(-1))
        kinds = {(column.device, column.dtype) for column in columns}
        for kind in sorted(kinds, key=str):
            same = torch.cat([column for column in columns if (column.device, column.dtype) == kind])
            hashes.append(hash(same.cpu().view(torch.uint8).numpy().tobytes()))
    return tuple(hashes)


def _fills_its_memory(tensor: Tensor) -> bool:
    """Whether its numbers, row by row, lie side by side in memory, each row's in whatever order."""
    if tensor.is_contiguous():
        return bool(tensor.data_ptr())
    return tensor.ndim == 4 and tensor.is_contiguous(memory_format=torch.channels_last)


def ordinary(tensor: Tensor) -> Tensor:
    """In float32 on the CPU, and free to be trained on: not one that was made in torch.inference_mode."""
    with torch.inference_mode(False):
        tensor = tensor.to(device="cpu", dtype=torch.float32)
        return tensor.clone() if tensor.is_inference() else tensor
