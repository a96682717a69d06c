"""What of a model goes into a file: a module with one input, a batch of prepared photos, and named results.

    Portable(model, stages)(photos)     # {"logits": [B, K], "embedding": [B, D], "maps.layer1": [B, C, H, W]}
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from explorer.arguments import shown
from explorer.inspection.look.model import as_model, model_name, not_pooled
from explorer.inspection.segment.segmenting import as_segmenter
from explorer.models.contract import Stage, VisionModel
from explorer.models.detection.detector import Detector
from explorer.models.detection.placing import Placement
from explorer.models.ensembles.detectors import DetectorEnsemble
from explorer.models.ensembles.ensemble import EnsembleModel
from explorer.models.ensembles.fused import FusedModel
from explorer.models.ensembles.given import is_run, network_of
from explorer.models.features import FeatureNet
from explorer.models.members import buffers_in, modules_in, parameters_in
from explorer.models.segmentation.segmenter import Segmenter
from explorer.models.surgery.inside import look_through, stages_in_words
from explorer.models.surgery.packing import Packed
from explorer.models.watching import walk

MAP = "maps."  # how the result is called that is a stage's map: "maps.layer1"


@dataclass(frozen=True)
class Leaving:
    """A network that is going to be written.

    model:     on the CPU, in float32
    name:      what it is called
    stages:    the names of those whose maps are results
    maps_only: whether these are all that it gives, as a `features_only` net does
    sizes:     of a network for boxes or masks: (height, width) of photos that its frame is to hold; () for
               the one that its weights expect
    """

    model: VisionModel
    name: str
    stages: tuple[str, ...]
    maps_only: bool
    sizes: tuple[tuple[int, int], ...] = ()


def opened(model: Any, maps: str | Sequence[str] | None) -> Leaving:
    """What a person gave as model and maps. Raises TypeError or ValueError, in a sentence, for what can't
    leave.
    """
    run = model.name if is_run(model) else ""
    given = look_through(network_of(model)) if run else model
    given = look_through(given) if isinstance(given, nn.Module) else given
    alone = isinstance(given, FeatureNet)
    network = as_model(given, task=None)
    name = run or model_name(network)
    _check_can_leave(network, name)
    if isinstance(given, FeatureNet) and maps is None:
        stages = tuple(network.stage_table[index].name for index in given.out_indices)
    else:
        stages = _chosen(network, name, maps)
    if alone and not stages:
        raise ValueError(f"maps is {shown(maps)}, and {name} was made with features_only, so maps are all "
                         "that it gives: name one at least.")
    return Leaving(_in_float32(network), name, stages, alone)


def _check_can_leave(network: VisionModel, name: str) -> None:
    if isinstance(network, Detector):
        _check_finds_boxes(network, name)
    if isinstance(network, Segmenter):
        as_segmenter(network)
    if isinstance(network, EnsembleModel | FusedModel) and not network.frames.exact:
        raise ValueError(f"The members of {name} see a photo at several sizes or crops, and an exported file "
                         "has one input: export each by itself, explorer.export(model.member(0), path).")
    if any(isinstance(part, Packed) for part in modules_in(network)):
        raise ValueError(f"{name} is a copy that explorer.optimize made, whose weights are laid out for this "
                         "processor alone: export the model that it was made of.")


def _check_finds_boxes(network: Detector, name: str) -> None:
    """Raises ValueError for a network whose boxes are not told from fixed places, or that has no classes."""
    network.check_head()
    if isinstance(network, DetectorEnsemble):
        raise ValueError(f"The members of {name} each see the photo in their own way, and an exported file "
                         "has one input: export each by itself, explorer.export(model.member(0), path).")
    if network.has_masks or getattr(network, "in_two", False):
        also = " and draws a mask for each" if network.has_masks else ""
        raise ValueError(f"{name} first proposes places, then looks at each again{also}: how many there are "
                         "depends on the photo, and an exported file has one size for all. Ask it with "
                         "explorer.detect, or export a network that finds boxes in one go, such as "
                         "retinanet_resnet50_fpn.")


def _chosen(network: VisionModel, name: str, maps: str | Sequence[str] | None) -> tuple[str, ...]:
    there = tuple(stage.name for stage in network.stage_table)
    if maps is None:
        return ()
    if isinstance(maps, str) and maps == "all":
        return there
    wanted = tuple(dict.fromkeys((maps,) if isinstance(maps, str) else maps))
    if unknown := [stage for stage in wanted if stage not in there]:
        raise ValueError(f"maps is {shown(maps)}: {name} has no stage {shown(unknown[0])}; expected 'all' or "
                         f"names of stages. {stages_in_words(there)}")
    return wanted


def _in_float32(network: VisionModel) -> VisionModel:
    """The network itself where it is on the CPU and in float32, else a copy that is."""
    tensors = [*parameters_in(network), *buffers_in(network)]
    if all(tensor.device.type == "cpu" and (tensor.dtype == torch.float32 or not tensor.is_floating_point())
           for tensor in tensors):
        return network
    return copy.deepcopy(network).to("cpu", torch.float32)


class Portable(nn.Module):
    """Prepared photos [B, C, H, W] -> {name: Tensor}, in the order in which the file has them.

    Of a network for classes or numbers "logits" [B, K], where it has a classifier, and "embedding" [B, D],
    and of an ensemble of M such "members" [B, M, K], the logits of each; of
    one for masks "scores" [B, K, H, W]; of one for boxes "boxes" [B, N, 4] and their "scores" [B, N, K]; and
    the map of each stage that is wanted, [B, C, h, w].
    """

    def __init__(self, leaving: Leaving):
        super().__init__()
        self.model, self.wanted, self.maps_only = leaving.model, leaving.stages, leaving.maps_only

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        return self.watched(image)

    def watched(
        self, image: Tensor, *, before: Callable[[Stage], Any] | None = None,
        after: Callable[[Stage, Tensor], Any] | None = None,
    ) -> dict[str, Tensor]:
        """The same, while somebody looks on from stage to stage, as in `models.watching.walk`."""
        found: dict[str, Tensor] = {}

        def keep(stage: Stage, feature_map: Tensor) -> None:
            if stage.name in self.wanted:
                found[stage.name] = feature_map.clone()  # the next layer may work in place, on this memory
            if after is not None:
                after(stage, feature_map)

        results: dict[str, Tensor] = {}
        if self.maps_only:
            names = [stage.name for stage in self.model.stage_table]
            first = max(map(names.index, self.wanted)) + 1
            walk(self.model, image, before=before, after=keep, first=first)
        elif isinstance(self.model, Detector):
            size = (image.shape[-2], image.shape[-1])
            raw = self.model.see(image, [Placement(size, size, (1.0, 1.0))], keep, before)
            results = dict(zip(("boxes", "scores"), self.model.decoded(raw, size)))
        else:
            features = walk(self.model, image, before=before, after=keep)
            results = self._answers(features, image)
        return results | {f"{MAP}{name}": found[name] for name in self.wanted}

    def _answers(self, features: Any, image: Tensor) -> dict[str, Tensor]:
        model = self.model
        if isinstance(model, Segmenter):
            return {"scores": model.enlarge(model.forward_head(features), image.shape[-2:])}
        if not model.num_classes:
            return {"embedding": _vector(model.forward_head(features, pre_logits=True))}
        embedding, logits = model.forward_vector_and_logits(features)
        if logits.ndim > 2:
            raise not_pooled(logits)
        results = {"logits": logits, "embedding": _vector(embedding)}
        if isinstance(model, EnsembleModel):
            results["members"] = torch.stack(model.scores_of_members(features), dim=1)
        return results


def _vector(embedding: Tensor) -> Tensor:
    """[B, D]; of a model that does not pool the mean over its places."""
    if embedding.ndim == 2:
        return embedding
    return embedding.mean((2, 3)) if embedding.ndim == 4 else embedding.mean(1)
