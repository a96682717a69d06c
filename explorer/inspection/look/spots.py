"""One cell of a stage's or a module's map: which module gives it, and where in that the cell lies."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from explorer.display.words import did_you_mean
from explorer.inspection.look.model import model_name
from explorer.models.contract import VisionModel
from explorer.models.doors.maps import Layout, has_form, map_layout
from explorer.models.ensembles.ensemble import EnsembleModel
from explorer.models.ensembles.fused import FusedModel
from explorer.models.surgery.inside import stages_in_words
from explorer.models.watching import Turn, walk, watching


@dataclass(frozen=True)
class Source:
    """Where a map comes from: a stage, or what a module of the network gives in one of its calls."""

    model: VisionModel
    name: str
    stage: int | None = None  # the number of the stage; None for a module
    path: str = ""
    call: int = 1

    def run(self, network: nn.Module, photo: Tensor, read: Callable[[Tensor], Any]) -> Any:
        """What `read(tensor)` gives of the map as it comes; the rest of the network may run too.

        network: the model, or a twin of it. None where the module was not run or gives no tensor.
        """
        found: list[Any] = []
        if self.stage is not None:
            walk(network, photo, first=self.stage + 1,
                 after=lambda stage, tensor: found.append(read(tensor)) if stage.name == self.name else None)
            return found[0] if found else None

        def after(turn: Turn, _module: nn.Module, _inputs: tuple, output: Any) -> None:
            tensor = first_tensor(output)
            if turn.call == self.call and tensor is not None and not found:
                found.append(read(tensor))

        with watching({self.path: network.get_submodule(self.path)}, after=after):
            network(photo)
        return found[0] if found else None


def first_tensor(output: Any) -> Tensor | None:
    """What a module gives, or the first tensor of several."""
    if isinstance(output, Tensor):
        return output
    if isinstance(output, dict):
        output = list(output.values())
    return next((one for one in output if isinstance(one, Tensor)), None) \
        if isinstance(output, (list, tuple)) else None


def find_source(model: VisionModel, name: Any, *, argument: str = "stage") -> Source:
    """The stage of that name, else the module at that dotted path ("pool:2": its second call).

    argument: what the caller calls that
    Of an ensemble the stage is asked of the member that has it, and so is a module of one, "member/path".
    Raises ValueError, with the nearest name.
    """
    if not isinstance(name, str):
        raise TypeError(f"{argument} is a {type(name).__name__}: expected a stage's name or the dotted path "
                        f"of a module. {stages_in_words([stage.name for stage in model.stage_table])}")
    for number, stage in enumerate(model.stage_table):
        if stage.name == name:
            if isinstance(model, EnsembleModel | FusedModel):
                member, _ = model.member_of_stage(name)
                return find_source(member, name.partition("/")[2])
            return Source(model, name, number)
    who, slash, rest = name.partition("/")
    if slash and isinstance(model, EnsembleModel | FusedModel) and who in model.names:
        return find_source(model.member(who), rest, argument=argument)
    path, _, call = name.partition(":")
    paths = [known for known, _ in model.named_modules() if known]
    if path not in paths or call and (not call.isdecimal() or int(call) < 1):
        hint = did_you_mean(name, [*(stage.name for stage in model.stage_table), *paths])
        raise ValueError(f"{model_name(model)} has no stage and no module {name[:80]!r}.{hint} "
                         f"{stages_in_words([stage.name for stage in model.stage_table])}")
    return Source(model, name, path=path, call=int(call or 1))


def channel_of(tensor: Tensor, layout: Layout | None, channel: int) -> Tensor:
    """One channel of a map, at all its places: [B, ...]. layout None: of a vector [B, C]."""
    if layout is None or layout.order == "NCHW":
        return tensor[:, channel]
    return tensor[:, layout.prefix:, channel] if layout.order == "NLC" else tensor[..., channel]


def layout_of(shape: tuple[int, ...], photo: tuple[int, int]) -> Layout | None:
    """How a map of one photo lies in memory: [B, C, H, W], [B, H, W, C], or tokens [B, N, C] of which the
    last are the patches. None for what has no places. photo: (height, width) of the network's input. """
    if len(shape) == 4:
        order = map_layout(shape[1:], photo)
        if not order:  # 1 x 1, or of another form than the photo: what most networks give
            order = "NHWC" if shape[1] == shape[2] != shape[3] and shape[2] > 1 else "NCHW"
        rows, columns = shape[2:] if order == "NCHW" else shape[1:3]
        return Layout(order, (rows, columns))
    if len(shape) == 3:
        for prefix in range(min(9, shape[1])):  # a class token, a second one, registers
            for rows in range(1, shape[1] - prefix + 1):
                columns, rest = divmod(shape[1] - prefix, rows)
                if not rest and has_form(rows, columns, photo) and rows * columns > 1:
                    return Layout("NLC", (rows, columns), prefix)
    return None


def cell_of(layout: Layout, row: int, column: int) -> tuple[Any, ...]:
    """What picks a cell's channels out of a map: `tensor[cell_of(...)]` is [B, C]."""
    if layout.order == "NCHW":
        return slice(None), slice(None), row, column
    if layout.order == "NHWC":
        return slice(None), row, column
    return slice(None), layout.prefix + row * layout.grid[1] + column
