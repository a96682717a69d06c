"""Tensors into a model: adapted where a file is of another make, examined, and put in their places."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch

from explorer.models.weights.report import LoadReport, WeightsError

if TYPE_CHECKING:
    from torch import Tensor

    from explorer.models.contract import VisionModel


def load_into(
    model: VisionModel,
    state: Mapping[str, Tensor],
    report: LoadReport,
    *,
    lacking: Sequence[str] = (),
    trained_chans: int | None = None,
) -> None:
    """Put tensors with the model's own names into it, and write down in `report` what was done.

    lacking:       names that may be missing, and are zero then
    trained_chans: channels that the file was trained on, where no config says which layer reads the photo

    A model that was built on the `meta` device makes the tensors its own; into one that has numbers they are
    copied, so that its parameters stay the same objects.
    Strict: a missing, unknown or misshapen tensor raises WeightsError with the first few names.
    """
    own = model.state_dict()
    state = _adapt_channels(model, own, state, report, trained_chans)
    adapt = getattr(model, "adapt_state_dict", None)  # e.g. position embeddings for another image size
    if adapt is not None:
        try:
            with torch.device("cpu"):  # where the tensors of the file are, whatever the caller's default is
                state = adapt(state, report)
        except ValueError as error:
            raise WeightsError(
                f"The weights from {report.source} don't fit {model.config.architecture!r}: {error}"
            ) from error
    needed = {name: value for name, value in own.items() if name in state or name not in lacking}
    check_fit(needed, state, report.source, model.config.architecture)
    examine(state, own, report)
    if any(value.is_meta for value in own.values()):
        assign(model, state, own.keys())
    else:
        model.load_state_dict(state, strict=False)  # old files lack BatchNorm's counter
    report.loaded = len(state)


def _adapt_channels(
    model: VisionModel, own: Mapping[str, Tensor], state: Mapping[str, Tensor], report: LoadReport,
    trained: int | None,
) -> dict[str, Tensor]:
    """The tensors with a first layer that reads as many channels as the model's."""
    state, first = dict(state), model.config.first_conv
    named = {f"{name}.weight" for name in ((first,) if isinstance(first, str) else first)}  # RepVGG has two
    for name, value in own.items():
        given = state.get(name)
        if given is None or min(given.ndim, value.ndim) < 2 or given.shape[1] == value.shape[1]:
            continue
        reads_the_photo = name in named or (
            given.ndim == value.ndim == 4 and (given.shape[1], value.shape[1]) == (trained, model.in_chans))
        if reads_the_photo:
            state[name] = adapt_input(given, value.shape[1])
            report.adapted.append(f"{name}: from {given.shape[1]} to {value.shape[1]} input channels")
    return state


def adapt_input(weight: Tensor, in_chans: int) -> Tensor:
    """First convolution [O, C, kh, kw] for another number of input channels.

    Trained on RGB: one channel gets the sum of the three, which answers a grey photo exactly as before; more
    repeat R, G, B and shrink by 3 / in_chans, which keeps the strength of the answer.
    Raises WeightsError for weights that were not trained on 3 channels.
    """
    trained = weight.shape[1]
    if trained == in_chans:
        return weight
    if trained != 3:
        raise WeightsError(
            f"These weights read {trained} channels, and the model {in_chans}: only weights for 3 channels "
            "can be"
            f" adapted to others. Leave in_chans out, or give in_chans={trained}."
        )
    weight = weight.float()
    if in_chans == 1:
        return weight.sum(1, keepdim=True)
    repeated = torch.cat([weight] * math.ceil(in_chans / 3), dim=1)[:, :in_chans]
    return repeated * (3 / in_chans)


def check_fit(own: Mapping[str, Tensor], state: Mapping[str, Tensor], source: str, architecture: str) -> None:
    """Raise WeightsError with the first few names unless `state` has the tensors of `own`, and no others."""
    missing = sorted(k for k in own if k not in state and not k.endswith("num_batches_tracked"))
    unknown = sorted(k for k in state if k not in own)
    wrong = [
        f"{k} {tuple(state[k].shape)}, expected {tuple(own[k].shape)}"
        for k in own
        if k in state and state[k].shape != own[k].shape
    ]
    for title, names in (("missing", missing), ("unknown", unknown), ("of another shape", wrong)):
        if names:
            raise WeightsError(
                f"The weights from {source} don't fit {architecture!r}: {len(names)} tensors are {title}, "
                f"e.g. {'; '.join(names[:3])}. Check that the name and the weights belong together."
            )


def examine(state: Mapping[str, Tensor], own: Mapping[str, Tensor], report: LoadReport) -> None:
    """Note in `report` what a reader of the answers must know of these tensors, which fit `own`.

    Raises WeightsError for tensors that can't be weights: complex numbers, and whole numbers or truth values
    where the model has fractions.
    """
    strange: dict[str, list[str]] = {}
    broken, kinds, matrices, empty = [], Counter(), 0, 0
    for name, given in state.items():
        value = given.detach()
        if name not in own or not own[name].is_floating_point():
            continue
        if not value.is_floating_point():
            strange.setdefault(str(value.dtype).removeprefix("torch."), []).append(name)
            continue
        if value.dtype != own[name].dtype:
            kinds[value.dtype, own[name].dtype] += 1
        if value.is_meta or not value.numel():
            continue
        numbers = value.to(own[name].dtype)
        total = numbers.sum().item()  # one pass: a sum that is finite has finite terms only
        if not math.isfinite(total) and not numbers.isfinite().all():
            broken.append(name)
        if numbers.ndim > 1:
            matrices += 1
            empty += total == 0 and not bool(numbers.any())
    for kind, names in strange.items():
        numbers = "complex numbers" if "complex" in kind else "whole numbers"
        what = "truth values (bool)" if kind == "bool" else f"{numbers} ({kind})"
        raise WeightsError(
            f"The weights from {report.source} can't be used: {counted(len(names))} {what} where the model"
            f" has fractions, e.g. {names[0]}. Quantised or packed weights must be unpacked first: save"
            " float32."
        )
    report.retyped = [
        f"{counted(count)} {_kind(there)} numbers, made {_kind(here)}"
        for (there, here), count in kinds.items()
    ]
    report.adapted += report.retyped
    if broken:
        report.noted.append(
            f"The weights are damaged: {counted(len(broken))} values that are no numbers (NaN or infinite), "
            f"e.g. {broken[0]}. What the model answers means nothing"
        )
    if matrices and empty == matrices:
        report.noted.append("All weights are zero: what the model answers means nothing")


def counted(count: int) -> str:
    return f"{count} tensor holds" if count == 1 else f"{count} tensors hold"


def _kind(dtype: Any) -> str:
    return str(dtype).removeprefix("torch.")


def assign(model: VisionModel, state: Mapping[str, Tensor], names: Collection[str]) -> None:
    """Make the tensors of `state` the model's own, without a copy of random weights in between.

    names: those of the model's own state dict
    They go to torch's default device, as the parameters of a new model do.
    """
    place = torch.get_default_device()

    def ready(name: str, target: Tensor) -> Tensor:
        value = state.get(name)
        if value is None:  # old checkpoints lack BatchNorm's counter
            value = torch.zeros(target.shape, dtype=target.dtype)
        # detach: a file may hold frozen parameters, and a new model's learn
        return value.detach().to(device=place, dtype=target.dtype).contiguous()

    # What `load_state_dict(assign=True)` does, sooner: the names are known to fit.
    for path, module in model.named_modules():
        prefix = f"{path}." if path else ""
        for table in (module._parameters, module._buffers):  # its own, as torch's `Module._apply` fills them
            for name, target in table.items():
                if target is None or prefix + name not in names:  # worked out from the shapes, in no file
                    continue
                found = ready(prefix + name, target)
                learns = target.requires_grad
                table[name] = torch.nn.Parameter(found, learns) if table is module._parameters else found
