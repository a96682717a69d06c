"""Faster copies of models, which stand in for them while photos go through and no weight learns.

A copy has its norms folded and its weights laid out for the processor (`explorer.optimize`): it says the
same, but for rounding, in about half the time. Making one takes as long as a few passes, and it holds the
weights once or twice more. So it is made where many photos follow, or at the second look by the same weights,
and kept for the next time. It belongs to the weights and settings that the model had then: a model that has
learnt since, or was given other weights, gets another one. All copies together take `LIMIT` bytes at most;
the one that was used longest ago goes first.
"""

from __future__ import annotations

import itertools
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor, nn

from explorer import _teams
from explorer.inspection.look.model import evaluating
from explorer.inspection.look.tail import fingerprint
from explorer.models.contract import VisionModel, parameter_place
from explorer.models.members import modules_in
from explorer.models.surgery.optimized import unproven_copy
from explorer.models.surgery.packing import can_pack, packed_bytes

log = logging.getLogger(__name__)

WORTH_OPTIMIZING = 64    # photos from which making a faster copy of the model pays at once
WORTH_LOOKS = 2          # looks by the same weights after which it does as well: where two came, more come
WORTH_PACKING = 10**6    # weights from which laying them out pays where nothing can be folded
SAME = 1e-5              # difference of its numbers, as a share of the largest, up to which it may stand in
LIMIT = 2**30            # bytes of all copies
SMALL = 10**7            # weights up to which few photos together go sooner than many (`_small`)
FEW = 4                  # photos a core, then

Shown = tuple[np.ndarray, ...]
Run = Callable[[VisionModel, Tensor], Shown]


@dataclass(eq=False)
class _Kept:
    """What is known of a model with these weights and settings.

    refused: a copy of it can't be made, or says something else;  same: it was seen to say the same
    looks:   how often it was looked with;  size: bytes of the copy;  used: when, by `_clock`
    """

    key: tuple[Any, ...]
    copy: VisionModel | None = None
    refused: bool = False
    same: bool = False
    looks: int = 0
    size: int = 0
    used: int = 0


_kept: WeakKeyDictionary[nn.Module, _Kept] = WeakKeyDictionary()
_guard = threading.Lock()
_clock = itertools.count(1)


def stand_in(model: VisionModel) -> VisionModel:
    """The model's faster copy, made now where there is none yet; the model itself where there can be none.

    The caller has put the model into evaluation (`look.model.evaluating`), compares the copy's numbers for
    the first photos with the model's own, and calls `refuse` where they differ.
    """
    key = _key(model, fingerprint(model))
    if key is None:
        return model
    with _guard:
        kept = _known(model, key)
        kept.used = next(_clock)
    if kept.copy is None and not kept.refused:
        made = _copy_of(model)
        if made is not None and _size(made) > LIMIT:  # for this time alone
            return made
        _keep(kept, made)
    return kept.copy or model


def ready(model: VisionModel, mark: tuple[Any, ...] | None) -> VisionModel | None:
    """The copy that was seen to say what the model says with these weights; None where there is none yet.

    mark: the weights' `fingerprint`. The caller has put the model into evaluation.
    """
    if (kept := _kept.get(model)) is None or kept.copy is None or not kept.same:
        return None
    key = _key(model, mark)
    with _guard:
        if kept.key != key or not kept.same:
            return None
        kept.used = next(_clock)
        return kept.copy


def pays(model: VisionModel, mark: tuple[Any, ...] | None) -> bool:
    """Count a look by a model with these weights: whether to make a copy now, which looks to come go through.

    So it is from the second look on, where a copy can gain something and has room, for float32 on a CPU.
    """
    place = parameter_place(model)
    if mark is None or place["device"].type != "cpu" or place["dtype"] != torch.float32:
        return False
    with evaluating(model):
        key = _key(model, mark)
    if key is None:
        return False
    with _guard:
        kept = _known(model, key)
        kept.looks += 1
        worth = kept.looks >= WORTH_LOOKS or kept.copy is not None
        return worth and not kept.same and not kept.refused


def try_copy(
    model: VisionModel, example: Tensor, run: Callable[[VisionModel], Shown], shown: Shown
) -> None:
    """Make a model's copy and keep it, if it shows the same (to `SAME`).

    example: photos [B, C, H, W] such as it is for;  run: what a model shows of them
    shown:   what this one showed
    """
    key = _key(model, fingerprint(model))
    with _guard:
        kept = _kept.get(model)
    if kept is None or kept.key != key:  # it has learnt meanwhile
        return
    made = kept.copy
    if made is None and 2 * _plain_bytes(model) <= LIMIT:
        made = _copy_of(model, example)
    if made is not None:
        kept.same = _same(lambda: run(made), shown)
    _keep(kept, made if kept.same else None)


def refuse(model: VisionModel) -> None:
    """Let go of a model's copy, and make no other of these weights: it said something else."""
    with _guard:
        if (kept := _kept.get(model)) is not None:
            kept.copy, kept.refused, kept.same, kept.size = None, True, False, 0


def _known(model: VisionModel, key: tuple[Any, ...]) -> _Kept:
    """What is known of a model as it is now; the guard is held."""
    kept = _kept.get(model)
    if kept is None or kept.key != key:
        kept = _kept[model] = _Kept(key)
    return kept


def _keep(kept: _Kept, made: VisionModel | None) -> None:
    """Keep a copy, and let others go that there is no room for; None: there can be none."""
    size = 0 if made is None else _size(made)
    with _guard:
        kept.copy, kept.refused, kept.size = made, made is None, size
        _make_room(kept)


def copies() -> tuple[int, int]:
    """(how many faster copies there are now, the bytes that they take)."""
    with _guard:
        sizes = [kept.size for kept in _kept.values() if kept.copy is not None]
    return len(sizes), sum(sizes)


def _make_room(newest: _Kept) -> None:
    """Let the copies go that were used longest ago, until the others fit; the guard is held."""
    others = sorted((kept for kept in _kept.values() if kept.copy is not None and kept is not newest),
                    key=lambda kept: kept.used)
    total = newest.size + sum(kept.size for kept in others)
    for kept in others:
        if total <= LIMIT:
            return
        total -= kept.size
        kept.copy, kept.same, kept.looks, kept.size = None, False, 0, 0


#: Settings of a module that a copy has to share.
_SETTINGS = frozenset({bool, int, float, str, type(None)})
_SEVERAL = frozenset({tuple, list, torch.Size})
_FUNCTIONS = frozenset({FunctionType, MethodType, BuiltinFunctionType, partial})


def _key(model: nn.Module, mark: tuple[Any, ...] | None) -> tuple[Any, ...] | None:
    """What another copy is needed for when it changes: the weights (`mark`) and the modules' settings.

    None for a model that no copy can stand in for: its tensors count no changes, or somebody has hooks in it
    or a forward, or another method, of their own, and would not hear of the copy's passes.
    """
    if mark is None:
        return None
    settings: list[Any] = []
    for part in modules_in(model):
        own = vars(part)
        if own["_forward_hooks"] or own["_forward_pre_hooks"]:
            return None
        for name, value in own.items():
            kind = type(value)
            if kind in _SETTINGS:
                settings.append(value)
            elif kind in _SEVERAL:
                settings += [value for value in value if type(value) in _SETTINGS]
            elif kind in _FUNCTIONS:
                if hasattr(type(part), name):
                    return None
                settings.append(id(value))  # the copy holds it, so no other gets this id
    return mark, settings


def _copy_of(model: VisionModel, example: Tensor | None = None) -> VisionModel | None:
    """A faster copy that says the same; None where there is none."""
    if not _can_gain(model):
        return None
    try:
        return unproven_copy(model, example)
    except (RuntimeError, ValueError, TypeError) as error:
        log.info("no faster copy: %s", error)
        return None


def _can_gain(model: nn.Module) -> bool:
    """Whether something can be folded, or enough weights laid out anew."""
    if any(isinstance(part, nn.modules.batchnorm._BatchNorm) or hasattr(part, "reparameterize")
           for part in model.modules()):
        return True
    weights = sum(parameter.numel() for parameter in model.parameters())
    return can_pack() and parameter_place(model)["device"].type == "cpu" and weights >= WORTH_PACKING


def _size(copy: nn.Module) -> int:
    """Bytes of its weights, and of those that its first pass lays out as well."""
    return _plain_bytes(copy) + packed_bytes(copy)


def _plain_bytes(model: nn.Module) -> int:
    return sum(tensor.nbytes for tensor in (*model.parameters(), *model.buffers()))


class Faster:
    """The model to run batches through, and the run: itself or, where many photos follow, a faster copy.

    The copy stands in only where the first photos show that its numbers are the same (to `SAME`).
    run: the pass; it is called in evaluation mode and without gradients
    """

    def __init__(self, model: VisionModel, run: Run):
        self.model, self.fast, self._run, self._asked = model, None, run, False
        self._small = _small(model)
        self.side_by_side = side_by_side(model)

    def __call__(self, batch: Tensor, *, following: int = 0) -> tuple[np.ndarray, ...]:
        """What `run` gives for photos [B, C, H, W]. following: how many photos may come after these."""
        if self.fast is None and not self._asked and following >= WORTH_OPTIMIZING:
            self._asked = True
            with evaluating(self.model):
                self.fast = self._checked(stand_in(self.model), batch[:2])
        return self._one_pass(self.fast or self.model, batch)

    def in_a_helper(self, batch: Tensor) -> tuple[np.ndarray, ...] | None:
        """The same by a thread that computes alone, as others do at the same time; None where the caller has
        to do it: there is no copy yet, or it is no model for that (`side_by_side`).
        """
        if self.fast is None or not self.side_by_side:
            return None
        with torch.inference_mode():  # a copy is always in evaluation mode
            return self._run(self.fast, batch)

    def _one_pass(self, net: VisionModel, batch: Tensor) -> tuple[np.ndarray, ...]:
        size = FEW * torch.get_num_threads() if self._small else len(batch)
        with evaluating(net), torch.inference_mode():
            results = [self._run(net, part) for part in batch.split(size)]
        return results[0] if len(results) == 1 else tuple(map(np.concatenate, zip(*results)))

    def _checked(self, fast: VisionModel, few: Tensor) -> VisionModel | None:
        """The copy, if its numbers for a few photos are the model's."""
        if fast is self.model:
            return None
        if _same(lambda: self._one_pass(fast, few), self._one_pass(self.model, few)):
            return fast
        refuse(self.model)
        return None


def _same(run: Callable[[], Shown], wanted: Shown) -> bool:
    """Whether a copy's run gives these numbers, to `SAME`."""
    try:
        return all(far(one, other) <= SAME for one, other in zip(run(), wanted, strict=True))
    except (RuntimeError, ValueError, TypeError) as error:
        log.info("the faster copy fails: %s", error)
        return False


def side_by_side(model: VisionModel, threads: int | None = None) -> bool:
    """Whether so many threads may run its copy, each by itself, and gain by that; None: as many as torch has.

    Only explorer's own networks are known to write nothing down while they run.
    """
    threads = torch.get_num_threads() if threads is None else threads
    ours = type(model).__module__.startswith("explorer.models.backbones.")
    return threads > 1 and ours and _small(model) and _teams.active()


def _small(model: VisionModel) -> bool:
    """Whether it is a small network on a CPU. Such a one waits for its maps, and those of a few photos stay
    in a core's own cache; in a large one each product of weights serves all photos of a batch.
    """
    weights = sum(parameter.numel() for parameter in model.parameters())
    return weights <= SMALL and parameter_place(model)["device"].type == "cpu"


def far(one: np.ndarray, other: np.ndarray) -> float:
    """Largest difference as a share of the largest number; infinite for another shape or NaN on one side."""
    if one.shape != other.shape or not np.array_equal(np.isfinite(one), np.isfinite(other)):
        return float("inf")
    scale = max(float(np.abs(other[np.isfinite(other)]).max(initial=0.0)), 1e-12)
    return float(np.abs(np.where(np.isfinite(one), one - other, 0)).max(initial=0.0)) / scale
