"""What a run strives for where something lies in a photo: boxes, by their network's own loss and the average
precision; masks, by losses of pixels and the mean IoU.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from explorer.data.folders import DataError
from explorer.data.places.place_set import Boxes
from explorer.inspection.segment.pixels import mean_known, pixel_counts, shares_of, totals_of
from explorer.models.contract import evaluation
from explorer.models.segmentation.losses import mask_loss
from explorer.models.surgery.inside import look_through
from explorer.training.evaluation.box_answers import BoxAnswers
from explorer.training.evaluation.place_figures import FoundBoxes
from explorer.training.loop.aim import Aim, Batches, Judged, Passed
from explorer.training.loop.measures import AP50, MIOU, Measure

MASK_LOSS = "ce+dice"


@dataclass(frozen=True)
class PlaceAim(Aim):
    """What boxes and masks share. classes: their names, in the order of the model's"""

    classes: tuple[str, ...]
    same_in_pieces = False  # a loss is a mean over the boxes, or the pixels, of a batch

    def better(self, figure: float, loss: float, than: tuple[float, float]) -> bool:
        return (figure, -loss) > (than[0], -than[1])

    def figures(self, value: float, prefix: str = "") -> dict[str, float | None]:
        return {f"{prefix}top1": None, **({f"{prefix}{self.measure.key}": value} if prefix else {})}


class BoxAim(PlaceAim):
    """Of boxes: the parts of `Detector.loss`, and the mean average precision at IoU 0.5.

    Inputs are photos [C, H, W] in 0..1, targets a dict of each: `boxes` [N, 4] in its pixels, `labels` [N],
    `crowd` [N], which are not learnt and count neither as found nor as missed, `areas` [N]; of a network that
    learns masks too `masks` [N, H, W] of 0 and 1.
    """

    @property
    def measure(self) -> Measure:
        return AP50

    def through(self, network: nn.Module, inputs: Sequence[Tensor], targets: Sequence[dict[str, Tensor]],
                place: dict[str, Any]) -> dict[str, Tensor]:
        """The parts of its loss, which a detector gives while it learns."""
        return network(inputs, [learnt(target) for target in targets])

    def passed(self, network: nn.Module, inputs: Sequence[Tensor], targets: Sequence[dict[str, Tensor]],
               place: dict[str, Any]) -> Passed:
        parts = self.through(network, inputs, targets, place)
        return Passed(torch.stack([*parts.values()]).sum(), parts=parts)

    def judged(self, network: Any, batches: Batches, place: dict[str, Any]) -> Judged:
        sums: dict[str, float] = {}
        found: list[FoundBoxes] = []
        truth: list[Boxes] = []
        inner: Any = look_through(network)  # averaged weights come in a wrapper
        with evaluation(network), torch.inference_mode():
            for photos, targets in batches:
                parts, told = inner.loss_and_found(photos, [learnt(target) for target in targets])
                for name, value in parts.items():
                    sums[name] = sums.get(name, 0.0) + value.item() * len(photos)
                found += [FoundBoxes(one["boxes"].double().cpu().numpy(),
                                     one["scores"].double().cpu().numpy(), one["labels"].cpu().numpy())
                          for one in told]
                truth += [Boxes(*(target[key].numpy() for key in ("boxes", "labels", "crowd", "areas")))
                          for target in targets]
        parts = {name: value / len(truth) for name, value in sums.items()}
        loss = sum(parts.values())
        if not np.isfinite(loss) or not all(np.isfinite(one.scores).all() for one in found):
            return Judged(float("nan"), 0.0, parts)  # its weights are broken, and have no figure
        return Judged(loss, BoxAnswers(self.classes, found, truth).ap50 or 0.0, parts)


def learnt(target: dict[str, Tensor]) -> dict[str, Tensor]:
    """The boxes of one photo that are learnt: not those of crowds, nor, where masks are learnt too, those
    whose mask is empty.
    """
    kept = ~target["crowd"]
    if (masks := target.get("masks")) is not None:
        kept = kept & (masks.flatten(1) > 0).any(1)
    told = {"boxes": target["boxes"][kept].float(), "labels": target["labels"][kept]}
    return told if masks is None else {**told, "masks": masks[kept]}


@dataclass(frozen=True)
class MaskAim(PlaceAim):
    """Of masks: the parts of `mask_loss`, and the mean IoU over the classes that there are.

    Inputs are photos [B, C, H, W] as the network takes them, targets int64 [B, H, W] of class indices, 255
    where nothing counts. Both figures are taken at the size that the network sees.
    loss: as `mask_loss` takes it
    """

    loss: str = MASK_LOSS

    @property
    def measure(self) -> Measure:
        return MIOU

    def passed(self, network: nn.Module, inputs: Tensor, targets: Tensor, place: dict[str, Any]) -> Passed:
        parts = mask_loss(network(inputs.to(**place)), targets.to(place["device"]), loss=self.loss)
        return Passed(torch.stack([*parts.values()]).sum(), parts=parts)

    def judged(self, network: nn.Module, batches: Batches, place: dict[str, Any]) -> Judged:
        sums: dict[str, float] = {}
        size, count = len(self.classes), 0
        confusion = np.zeros((size, size), np.int64)
        with evaluation(network), torch.inference_mode():
            for photos, masks in batches:
                scores = network(photos.to(**place))
                parts = mask_loss(scores, masks.to(place["device"]), loss=self.loss)
                for name, value in parts.items():
                    sums[name] = sums.get(name, 0.0) + value.item() * len(photos)
                told = (scores["out"] if isinstance(scores, dict) else scores).argmax(1)
                confusion += pixel_counts(told.cpu().numpy(), masks.numpy(), size)
                count += len(photos)
        if not confusion.any():
            raise DataError("In the photos to judge by no pixel counts (all of their masks are 255): give "
                            "masks that say what is where.")
        parts = {name: value / count for name, value in sums.items()}
        return Judged(sum(parts.values()), mean_known(shares_of(totals_of(confusion))["iou"]), parts)
