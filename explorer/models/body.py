"""Bodies: backbones whose maps other networks read, to find boxes or masks in them."""

from __future__ import annotations

import math
from collections.abc import Generator, Iterable, Sequence
from dataclasses import replace

from torch import Tensor

from explorer.models.contract import Stage, VisionModel


class OverBody(VisionModel):
    """A network over a backbone: `take_body` puts it in, and its stages come first."""

    supports_output_stride = True
    #: The attribute that holds the backbone, dots allowed, as checkpoints call it; "" of a network that has
    #: none of its own and is its own body.
    body_name: str = "backbone"
    #: Why there are no weights for any part of it, and what to do; "" where a backbone has some.
    untrained_because: str = ""

    def take_body(self, body: VisionModel) -> tuple[Stage, ...]:
        """Put the backbone in, a model without head; its stages, named as this network's."""
        owner, _, name = self.body_name.rpartition(".")
        self.get_submodule(owner).add_module(name, body)
        self.in_chans, self.fixed_image_size = body.in_chans, body.fixed_image_size
        self.size_multiple = math.lcm(self.size_multiple, body.size_multiple)
        return stages_behind(self.body_name, body)

    @property
    def body(self) -> VisionModel:
        """The backbone."""
        return self.get_submodule(self.body_name)

    @property
    def body_paths(self) -> tuple[str, ...]:
        """Paths of the modules that are the backbone: what was trained before, and what freezing the body
        leaves alone.
        """
        return (self.body_name,)

    @property
    def body_stages(self) -> tuple[Stage, ...]:
        """Those of its stages that are its backbone's, which come first; all of a network that has none. Of
        an ensemble those of its first member's.
        """
        if isinstance(self.body, OverBody) and self.body is not self:
            return self.stage_table[:len(self.body.body_stages)]
        inside = tuple(f"{path}." if path else "" for path in self.body_paths)
        return tuple(stage for stage in self.stage_table if f"{stage.module}.".startswith(inside))

    @property
    def only_size(self) -> tuple[int, int] | None:
        """(height, width) of the only photo that it takes, in pixels, where its backbone is built for one."""
        if not getattr(self.body, "fixed_image_size", False):
            return None
        for part in (self.body, getattr(self.body, "patch_embed", None)):
            if size := getattr(part, "img_size", None):
                return (size, size) if isinstance(size, int) else tuple(size)
        return tuple(self.body.config.input_size[1:])


def levels_of(body: VisionModel, strides: Iterable[int]) -> dict[int, int]:
    """Stride in pixels -> the index of the deepest stage whose maps have it; strides that none has are
    left out: levels_of(body, (2, 4, 8)) is {4: 1, 8: 2} for one whose stem has maps of stride 4.

    Where output_stride turned strides into dilation, several stages share one, and the deepest counts.
    """
    found = {stage.reduction: index for index, stage in enumerate(body.stage_table)}
    return {stride: found[stride] for stride in strides if stride in found}


def stages_behind(prefix: str, body: VisionModel) -> tuple[Stage, ...]:
    """The body's stages as those of a network that has the body in its attribute `prefix`."""
    return tuple(replace(stage, module=f"{prefix}.{stage.module}") for stage in body.stage_table)


def walk_body(body: VisionModel, x: Tensor, wanted: Sequence[int]) -> Generator[Tensor, None, list[Tensor]]:
    """Yield the map of every stage of the body, as `forward_stages` does; return those of `wanted`, in that
    order.
    """
    kept: dict[int, Tensor] = {}
    for index, found in zip(range(len(body.stage_table)), body.forward_stages(x)):  # no further
        if index in wanted:
            kept[index] = found
        yield found
    return [kept[index] for index in wanted]
