"""What a run's network for boxes or masks finds in photos, as it was after any epoch, or is at this moment.

    shadow = PlaceShadow(run)
    shadow.become(run.kept.weights(2))            # as it was after epoch 2
    shadow.look(photo, samples=True)              # FoundPlaces(samples=[...], photo=Detections(...))
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from explorer.inspection.detect.detecting import detect_in
from explorer.inspection.segment.pixels import mean_known, pixel_counts, shares_of, totals_of
from explorer.inspection.segment.preparing import preparation
from explorer.inspection.segment.segmenting import segment_in
from explorer.training.run.beside import network_beside
from explorer.training.run.kept import put_into

WATCHED = 4        # of the photos that a run is judged by: each is a pass through the whole network
LEAST_SCORE = 0.3  # of a box that is shown, as `explorer.detect` has it


@dataclass
class FoundPlaces:
    """One look: `Detections` or `Segmentation` of each photo. samples: None where they were not asked for"""

    samples: list[Any] | None = None
    photo: Any = None


class PlaceShadow:
    """Of one thread at a time. A run from a folder has no sample photos.

    photos, truth, names: of the sample photos, which are spread over those that the run is judged by
    """

    def __init__(self, run: Any):
        self.run, self.model = run, network_beside(run).eval()
        for parameter in self.model.parameters():
            parameter.grad = None
        judged = run.data.val if hasattr(run, "data") else ()
        count = min(WATCHED, len(judged))
        chosen = [i * len(judged) // count for i in range(count)]
        pairs = [judged[i] for i in chosen]
        self.photos, self.truth = [photo for photo, _ in pairs], [places for _, places in pairs]
        self.names = [judged.names[i] for i in chosen]

    def become(self, weights: dict[str, Any]) -> None:
        put_into(self.model, weights)

    def look(self, image: Image.Image | None, *, samples: bool) -> FoundPlaces:
        """image: the reader's photo, or None."""
        found = FoundPlaces()
        if samples and self.photos:
            found.samples = [self._find(photo) for photo in self.photos]
        if image is not None:
            found.photo = self._find(image.convert("RGB"))
        return found

    def _find(self, photo: Image.Image) -> Any:
        model: Any = self.model
        if model.task == "detection":
            return detect_in(model, photo, score_threshold=LEAST_SCORE, iou_threshold=model.iou_threshold)[1]
        return segment_in(model, photo, preparation(model))[1]


def mean_overlap(found: Any, truth: np.ndarray) -> float:
    """The mean IoU of a `Segmentation` with the true mask [H, W], over the classes that either has."""
    counts = pixel_counts(found.mask.numpy(), truth, len(found.labels))
    return mean_known(shares_of(totals_of(counts))["iou"])
