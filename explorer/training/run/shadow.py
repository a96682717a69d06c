"""A copy of a run's network that is put into the state of any epoch, or of this moment, and looked through.

    shadow = Shadow(run)
    shadow.become(run.kept.weights(2))               # as it was after epoch 2
    shadow.look(photo, "layer4", samples=True)       # Seen(samples=[8, K], photo=[K], maps=[C, H, W])

So a reader may look at epoch 2 while the run learns its twentieth.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from explorer.data.transforms import create_transform, resolve_data_config
from explorer.inspection.look.model import outputs_of
from explorer.models.contract import Stage, VisionModel, parameter_place
from explorer.models.ensembles.holding import Members
from explorer.models.watching import walk
from explorer.training.loop.features import lives_on_the_vector
from explorer.training.run.beside import network_beside
from explorer.training.run.kept import put_into

WATCHED = 8      # of the photos that a run is judged by
CHANNELS = 32    # whose maps are chosen


@dataclass
class Seen:
    """One look; None for what was not asked for."""

    samples: Tensor | None = None   # logits [B, K] of the sample photos
    photo: Tensor | None = None     # logits [K] of the reader's own photo
    maps: Tensor | None = None      # [C, H, W], its maps of the stage that was asked for


class Shadow:
    """Of one thread at a time. A run from a folder has no sample photos.

    small: what is kept of each sample photo, so that not all of it is
    pictures, truth, names: of the sample photos, which are spread over those that the run is judged by
    stages: {stage: whether its maps change while the run learns}, in network order
    """

    def __init__(self, run: Any, *, small: Callable[[Image.Image], Any] = lambda picture: None):
        self.run, self.model = run, network_beside(run).eval()
        self.outputs = outputs_of(self.model)
        for parameter in self.model.parameters():
            parameter.grad = None
        self.stages = learning_stages(run, self.model)
        self.prepare = create_transform(**resolve_data_config({}, model=self.model))
        photos = run.data.val if hasattr(run, "data") else ()
        count = min(WATCHED, len(photos))
        chosen = [i * len(photos) // count for i in range(count)]
        pairs = [photos[i] for i in chosen]
        self.pictures = [small(picture) for picture, _ in pairs]
        self.truth = [label for _, label in pairs]
        self.names = [photos.names[i] for i in chosen]
        self.samples = torch.stack([self.prepare(picture) for picture, _ in pairs]) if pairs else None
        # what a frozen body has seen: (of which photo, its vectors)
        self._vectors: dict[str, tuple[Any, Any]] = {}
        self._photo: tuple[Any, Any] = (None, None)
        self._channels: tuple[Any, Any] = (None, None)

    def become(self, weights: dict[str, Any]) -> None:
        put_into(self.model, weights)

    def look(self, image: Image.Image | None, stage: str | None, *, samples: bool) -> Seen:
        """image: the reader's photo, or None; stage: whose maps of it are wanted."""
        seen = Seen()
        with torch.inference_mode():
            if samples and self.samples is not None:
                seen.samples, _ = self._through("samples", self.samples, self.samples, None)
            if image is not None:
                if self._photo[0] is not image:
                    self._photo = image, self.prepare(image)[None]
                logits, seen.maps = self._through("photo", image, self._photo[1], stage)
                seen.photo = logits[0]
        return seen

    def channels(self, image: Any, stage: str, maps: Tensor) -> Tensor:
        """Which channels to show: the strongest at the first look, and the same ones in every other epoch."""
        if self._channels[0] != (id(image), stage):
            strength = maps.abs().mean((1, 2)).nan_to_num()
            strongest = strength.topk(min(CHANNELS, len(strength))).indices
            self._channels = (id(image), stage), strongest.sort().values
        return self._channels[1]

    def _through(self, what: str, key: Any, inputs: Tensor,
                 stage: str | None) -> tuple[Tensor, Tensor | None]:
        """(logits [B, K], the first photo's maps of a stage [C, H, W] or None) on the CPU."""
        model = self.model
        known, vectors = self._vectors.get(what, (None, None))
        if stage is None and known is key and vectors is not None:
            return model.forward_classifier(vectors).float().cpu(), None
        maps = None

        def keep(row: Stage, found: Any) -> None:
            nonlocal maps
            if row.name == stage:
                maps = found[0].float().cpu().clone()  # the next layer may work in place

        features = walk(model, inputs.to(**parameter_place(model)), after=keep)
        vectors, logits = model.forward_vector_and_logits(features)
        if self.run.recipe.train == "head" and lives_on_the_vector(model, vectors, logits):
            self._vectors[what] = key, vectors  # a frozen body says the same in every epoch
        return logits.float().cpu(), maps


def learning_stages(run: Any, model: VisionModel) -> dict[str, bool]:
    """{stage: whether its maps change while the run learns}, in network order."""
    names = [stage.name for stage in model.stage_table]
    part, last = run.recipe.train, {names[-1]} if names else set()
    if isinstance(model, Members):  # each member's
        last = {f"{name}/{own[-1]}" for name, _, own in model.stages_by_member}
    return {name: part == "all" or (part == "last_stage" and name in last) for name in names}
