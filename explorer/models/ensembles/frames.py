"""What each member sees of a photo, where all are given the same one.

Weights come with a preprocessing of their own: input size, crop, interpolation, mean and deviation. Members
that agree on all of it share one `Way`. An ensemble takes its photos in two forms:

    in its frame   [B, C, H, W]    one picture, from which each member's input is made on tensors
    packed         [B, C1 + C2, H, W]   each way's own input, made from the photo, one behind the other

Packed, a member sees exactly what it sees alone, to the last bit; `explorer.look`, `predict`, `evaluate` and
`run_folder` go that way. In the frame it does so too where the members have one size, crop and interpolation
(the mean and deviation may differ); else its input is resized a second time, and its scores differ a little.
That is the way of whatever changes pixels: saliency, occlusion, FGSM.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from explorer.models.config import ModelConfig
from explorer.models.contract import VisionModel

GREY = (0.299, 0.587, 0.114)  # of red, green and blue (ITU-R 601-2), as Pillow makes a photo grey


@dataclass(frozen=True)
class Way:
    """A preprocessing. size: (C, H, W);  mean, std: one a channel;  the rest as in `ModelConfig`."""

    size: tuple[int, int, int]
    interpolation: str
    crop_pct: float
    crop_mode: str
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @classmethod
    def of(cls, model: VisionModel) -> Way:
        """The way of a model's photos."""
        config = model.config
        size = (model.in_chans, *config.input_size[1:])
        return cls(size, config.interpolation, config.crop_pct, config.crop_mode,
                   _by_channel(config.mean, size[0]), _by_channel(config.std, size[0]))

    @property
    def geometry(self) -> tuple[object, ...]:
        """What must be the same for two inputs to differ in their numbers' scale alone."""
        return self.size, self.interpolation, self.crop_pct, self.crop_mode

    def normalised(self, x: Tensor) -> Tensor:
        """Pixels in 0..1 [..., C, H, W], less the mean, by the deviation: as torchvision does it."""
        mean, std = (x.new_tensor(values)[:, None, None] for values in (self.mean, self.std))
        return (x - mean) / std


def _by_channel(values: Sequence[float], channels: int) -> tuple[float, ...]:
    if len(values) == channels:
        return tuple(values)
    return (sum(values) / len(values),) * channels  # a grey or many-channel twin of an RGB model


class Frames:
    """The ways of an ensemble's members, and the frame that they share.

    ways:   each once;  way_of: for each member the number of its way
    config: the frame, as a `ModelConfig` says it
    exact:  whether each member's input in the frame is that from the photo
    """

    def __init__(self, members: Mapping[str, VisionModel]):
        """Raises ValueError, with the member's name, for one that reads other pictures than photos of all."""
        own = [Way.of(model) for model in members.values()]
        channels = max(way.size[0] for way in own)
        for name, way in zip(members, own):
            if way.size[0] != channels and (way.size[0], channels) != (1, 3):
                raise ValueError(f"The member {name} reads pictures of {way.size[0]} channels, and another "
                                 f"one of {channels}: members see the same photo.")
        self.ways = list(dict.fromkeys(own))
        self.way_of = tuple(self.ways.index(way) for way in own)
        self.exact = len({way.geometry for way in self.ways}) == 1
        self.config = self._frame()

    def _frame(self) -> ModelConfig:
        """The largest picture that any way sees; pixels in 0..1 where the ways have several scales."""
        def pixels(way: Way) -> float:
            return min(way.size[1:]) / way.crop_pct

        lead = max(self.ways, key=lambda way: (way.size[0], pixels(way)))
        crop = max(way.crop_pct for way in self.ways)
        height, width = (round(side * crop / lead.crop_pct) for side in lead.size[1:])
        config = ModelConfig(input_size=(lead.size[0], height, width), interpolation=lead.interpolation,
                             crop_pct=crop, crop_mode=lead.crop_mode, mean=lead.mean, std=lead.std)
        if len(self.ways) > 1:
            config = config.with_(mean=(0.0,) * lead.size[0], std=(1.0,) * lead.size[0])
        return config

    @property
    def channels(self) -> int:
        """Of a photo in the frame."""
        return self.config.input_size[0]

    @property
    def packed_channels(self) -> int:
        return sum(way.size[0] for way in self.ways)

    def pack(self, inputs: Sequence[Tensor]) -> Tensor:
        """Each way's own input [C, h, w] -> all of them, [C1 + C2, H, W]; zeros where one is smaller."""
        height, width = (max(way.size[side] for way in self.ways) for side in (1, 2))
        return torch.cat([F.pad(each, (0, width - each.shape[-1], 0, height - each.shape[-2]))
                          for each in inputs])

    def unpack(self, x: Tensor) -> list[Tensor]:
        """Photos, packed or in the frame -> the input of each way, [B, C, h, w].

        Raises ValueError for another number of channels.
        """
        if self.is_packed(x):
            parts = x.split([way.size[0] for way in self.ways], dim=1)
            return [part[..., :way.size[1], :way.size[2]] for part, way in zip(parts, self.ways)]
        if x.ndim != 4 or x.shape[1] != self.channels:
            raise ValueError(f"An ensemble takes photos [B, {self.channels}, {self.config.input_size[1]}, "
                             f"{self.config.input_size[2]}]; this is a tensor {list(x.shape)}.")
        return [x] if len(self.ways) == 1 else [self._in(way, x) for way in self.ways]

    def is_packed(self, x: Tensor) -> bool:
        return len(self.ways) > 1 and x.ndim == 4 and x.shape[1] == self.packed_channels

    def mirrored(self, x: Tensor) -> Tensor:
        """Photos with left and right exchanged; packed, each way's input by itself."""
        if not self.is_packed(x):
            return x.flip(-1)
        return torch.stack([self.pack([part.flip(-1) for part in parts])
                            for parts in zip(*self.unpack(x))])

    def _in(self, way: Way, x: Tensor) -> Tensor:
        """Photos in the frame, pixels in 0..1 -> the input of a way: the middle that it sees, at its size."""
        if way.size[0] == 1 and x.shape[1] == 3:
            x = (x * x.new_tensor(GREY)[:, None, None]).sum(1, keepdim=True)
        if self.exact:
            return way.normalised(x)
        if way.crop_mode == self.config.crop_mode == "center":
            sides = [min(side, max(1, round(side * way.crop_pct / self.config.crop_pct)))
                     for side in x.shape[-2:]]
            top, left = ((whole - side) // 2 for whole, side in zip(x.shape[-2:], sides))
            x = x[..., top:top + sides[0], left:left + sides[1]]
        if tuple(x.shape[-2:]) != way.size[1:]:
            mode = "bicubic" if way.interpolation == "bicubic" else "bilinear"
            single = x.to(torch.promote_types(x.dtype, torch.float32))  # torch averages no halves
            sized = F.interpolate(single, way.size[1:], mode=mode, align_corners=False, antialias=True)
            x = sized.clamp(0, 1).to(x.dtype) if not x.requires_grad else sized.to(x.dtype)
        return way.normalised(x)
