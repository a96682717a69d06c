"""`features_only`: a backbone without its head, whose forward gives the maps of chosen stages.

Its state dict has timm's names, which differ by family: an encoder that was saved there loads here, and back.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from explorer.models.contract import FeatureInfo, VisionModel, evaluation, resolve_indices
from explorer.models.weights.choosing import choose
from explorer.models.weights.report import WeightsError


class FeatureNet(nn.Module):
    """Photo [B, C, H, W] -> list of maps, one for each stage in `out_indices`, in that order.

    Nothing is pruned, rewritten or hooked: it walks the model's own `forward_stages` and stops
    behind the deepest stage that is wanted.

    Its state dict has the names that timm gives such a net, "model.blocks.0..." or "stages_0.blocks..." or as
    in the whole net; `load_state_dict` takes each of them for any family, behind a prefix too, and does
    without tensors that no wanted map depends on.
    """

    def __init__(self, model: VisionModel, out_indices: int | Sequence[int] | None = None):
        """out_indices: non-negative or negative, in any order; an int n means the last n stages."""
        super().__init__()
        if out_indices is None:
            out_indices = model.default_out_indices
        indices = resolve_indices(out_indices, len(model.stage_table))
        model.remove_head()
        self.model = model
        self.feature_info = FeatureInfo(model.stage_table, indices)
        self.register_state_dict_post_hook(_give_timms_names)
        self.register_load_state_dict_pre_hook(_take_any_names)

    @property
    def out_indices(self) -> tuple[int, ...]:
        return self.feature_info.out_indices

    @property
    def config(self):
        return self.model.config

    @property
    def pretrained_cfg(self):
        return self.model.pretrained_cfg

    @property
    def load_report(self):
        return self.model.load_report

    def forward(self, x: Tensor) -> list[Tensor]:
        return self.model.forward_intermediates(x, self.out_indices, intermediates_only=True, stop_early=True)


# --- names of tensors ------------------------------------------------------------------------------------


def timms_name(model: VisionModel, name: str) -> str:
    """What timm calls a tensor of `model` in a `features_only` net: see `VisionModel.feature_names`."""
    if not model.feature_names.endswith("_"):
        return model.feature_names + name
    first = name.partition(".")[0]
    sequence = isinstance(getattr(model, first, None), nn.Sequential)
    return name.replace(".", "_", 1) if sequence and model.feature_names in ("_", f"{first}_") else name


def _give_timms_names(net: FeatureNet, state: dict[str, Tensor], prefix: str, _metadata: Any) -> None:
    own = f"{prefix}model."
    for name in [name for name in state if name.startswith(own)]:
        state[prefix + timms_name(net.model, name.removeprefix(own))] = state.pop(name)


def _take_any_names(net: FeatureNet, state: dict[str, Tensor], prefix: str, *_more: Any) -> None:
    own = net.model.state_dict()
    given = {name.removeprefix(prefix): state.pop(name) for name in list(state) if name.startswith(prefix)}
    try:
        choice = choose(given, own)
        given = choice.state | {name: given[name] for name in choice.others}
    except WeightsError:
        pass  # nothing of it is known: torch names what is missing
    state.update(
        {f"{prefix}model.{name}" if name in own else prefix + name: value for name, value in given.items()}
    )
    if missing := [name for name in own if f"{prefix}model.{name}" not in state]:
        needed = tensors_read(net.model, net.out_indices)
        state.update({f"{prefix}model.{name}": own[name] for name in missing if name not in needed})


# --- what the maps depend on -----------------------------------------------------------------------------


class _Reads(TorchFunctionMode):
    """Writes down which of the named tensors are handed to any function of torch."""

    def __init__(self, names: dict[int, str]):
        super().__init__()
        self.names, self.read = names, set()

    def __torch_function__(
        self, func: Any, types: Any, args: tuple = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        self._note(args)
        self._note((kwargs or {}).values())
        return func(*args, **(kwargs or {}))

    def _note(self, values: Iterable[Any]) -> None:
        for value in values:
            if isinstance(value, Tensor):
                self.read.add(self.names.get(id(value), ""))
            elif isinstance(value, (list, tuple)):
                self._note(value)


def tensors_read(model: VisionModel, out_indices: int | Sequence[int] | None = None) -> set[str]:
    """Names of the tensors that the maps of these stages depend on, told by a run without numbers."""
    held = dict(model.named_parameters()) | dict(model.named_buffers())
    shapes = {name: torch.empty_like(value, device="meta") for name, value in held.items()}
    names = {id(value): name for name, value in shapes.items()}
    built_for = next((part.img_size for part in (model, getattr(model, "patch_embed", None))
                      if getattr(part, "img_size", None)), None)
    side = built_for or model.config.input_size[1:]
    photo = torch.empty(2, model.in_chans, *((side, side) if isinstance(side, int) else side), device="meta")
    walk = _Maps(model, out_indices)
    with evaluation(model), torch.no_grad(), _Reads(names) as reads:
        torch.func.functional_call(walk, {f"model.{name}": value for name, value in shapes.items()}, (photo,))
    return reads.read - {""}


def drop_unread(model: VisionModel) -> None:
    """Take away the layers that no stage's map depends on, such as a last convolution in front of a head."""
    read, gone = tensors_read(model), ""
    for path, module in [*model.named_modules()]:
        own = [name for name, _ in (*module.named_parameters(path), *module.named_buffers(path))]
        if path and own and read.isdisjoint(own) and not (gone and path.startswith(gone)):
            owner, _, name = path.rpartition(".")
            setattr(model.get_submodule(owner), name, nn.Identity())
            gone = f"{path}."


class _Maps(nn.Module):
    def __init__(self, model: VisionModel, out_indices: int | Sequence[int] | None):
        super().__init__()
        self.model, self.out_indices = model, out_indices

    def forward(self, x: Tensor) -> list[Tensor]:
        return self.model.forward_intermediates(x, self.out_indices, intermediates_only=True, stop_early=True)
