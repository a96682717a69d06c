"""Several networks for masks as one: the mean of what they say of each pixel."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from explorer.models.config import ModelConfig
from explorer.models.ensembles.aligning import align
from explorer.models.ensembles.combining import combine_scores
from explorer.models.ensembles.frames import Way
from explorer.models.ensembles.holding import ARCHITECTURE, Holding
from explorer.models.ensembles.members import by_name, check_channels, check_members, stages_of
from explorer.models.outputs import read_outputs
from explorer.models.segmentation.segmenter import Segmenter


class SegmenterEnsemble(Holding, Segmenter):
    """Several networks for masks as one `Segmenter`; see `explorer.Ensemble`.

    It sees the photo with the short side of the member that wants the largest, pixels in 0..1. From that each
    member's input is made: of members that want another size it is resized a second time, and what they say
    of the pixels is brought back to this size before it is averaged. Members of one size and interpolation
    see exactly what they see alone.
    """

    body_name = "members.0"
    size_multiple = 1

    def __init__(self, members: Mapping[str, Segmenter], *, combine: str = "mean", weights: Any = None):
        """Raises ValueError, with the member's name, for one that can't take part."""
        super().__init__()
        check_members(members)
        models, self.names = list(members.values()), tuple(members)
        first = models[0]
        self.alignments = [align(first, model, name, self.names[0]) for name, model in members.items()]
        self.combine = combine
        check_channels(members)
        self.members = nn.ModuleList(models)
        self.ways = [Way.of(model) for model in models]
        self.in_chans, self.num_classes = first.in_chans, first.num_classes
        self.num_features = first.num_features
        self.stages = tuple(stage for number, (name, model) in enumerate(members.items())
                            for stage in stages_of(name, number, model))
        self.register_buffer("weights", self._read(weights))
        lead = max(models, key=lambda model: min(model.config.input_size[1:])).config
        self.config = ModelConfig(
            architecture=ARCHITECTURE, num_classes=self.num_classes, labels=first.config.labels,
            outputs=first.config.outputs, input_size=lead.input_size, interpolation=lead.interpolation,
            mean=(0.0,) * first.in_chans, std=(1.0,) * first.in_chans,
            build_options=(("combine", combine), ("names", self.names)),
            members=tuple(model.config.with_(num_classes=model.num_classes) for model in models))

    def _input(self, number: int, x: Tensor) -> tuple[Tensor, tuple[int, int]]:
        """(what a member sees of photos in 0..1, the size of that part of it which is the photo)."""
        model, way = self.members[number], self.ways[number]
        if (only := model.only_size) is not None:
            scale = min(only[0] / x.shape[-2], only[1] / x.shape[-1])
        else:
            scale = min(way.size[1:]) / min(self.config.input_size[1:])
        size = tuple(max(1, round(side * scale)) for side in x.shape[-2:])
        if size != tuple(x.shape[-2:]):
            mode = "bicubic" if way.interpolation == "bicubic" else "bilinear"
            single = x.to(torch.promote_types(x.dtype, torch.float32))  # torch averages no halves
            x = F.interpolate(single, size, mode=mode, align_corners=False, antialias=True).to(x.dtype)
        high, wide = only or (-(-side // model.size_multiple) * model.size_multiple for side in size)
        return F.pad(way.normalised(x), (0, wide - size[1], 0, high - size[0])), size

    def forward_stages(self, x: Tensor) -> Generator[Tensor, None, list[Any]]:
        """Yield the maps of one member after the other; return what `forward_head` reads."""
        found = []
        for number, model in enumerate(self.members):
            own, size = self._input(number, x)
            with by_name(self.names[number]):
                features = yield from model.forward_stages(own)
            found.append((features, tuple(own.shape[-2:]), size, tuple(x.shape[-2:])))
        return found

    def forward_head(self, x: Sequence[Any], pre_logits: bool = False) -> Tensor:
        """Scores [B, num_classes, H, W] of all members together, at the size of the photo."""
        if pre_logits:
            raise ValueError("An ensemble of networks for masks has no map in front of one last layer: ask "
                             "a member, model.member(name).")
        raws = []
        for model, alignment, (features, padded, size, whole) in zip(self.members, self.alignments, x):
            scores = model.enlarge(model.forward_head(features), padded)[..., :size[0], :size[1]]
            if size != whole:
                single = scores.to(torch.promote_types(scores.dtype, torch.float32))
                scores = F.interpolate(single, whole, mode="bilinear", align_corners=False)
            raws.append(alignment(scores.movedim(1, -1)))
        outputs = read_outputs(self.config, self.num_classes)
        return combine_scores(raws, outputs, self.combine, self.weights).movedim(-1, 1)

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        """Raises ValueError: its members have the last layers."""
        raise ValueError("An ensemble of networks for masks has no last layer of its own: give its members "
                         "others, model.member(name).reset_classifier(num_classes), and make the ensemble "
                         "anew.")

    def get_classifier(self) -> nn.ModuleList:
        """The members' last layers, in a list."""
        return nn.ModuleList(model.get_classifier() for model in self.members)

    @property
    def only_size(self) -> None:
        """It takes photos of any size; its members see to theirs."""
        return None
