"""What is asked of a network for boxes or masks, as one score: that of a box, or of a class in a region.

A box is the candidate that it was made of, a row of the raw maps and a class, before the overlapping ones
were thrown out: its score is asked for as ln(s / (1 - s)), the logit of a sigmoid. That is the class's own
logit where each class has a sigmoid, the score of objectness times class of a YOLO, and the logit against
all other classes of a softmax. In two stages the proposal stays, and the second stage is asked again.

A region is pixels of the network's frame, and its score the sum of a class's scores over them: Seg-Grad-CAM,
Vinogradova et al., "Towards Interpretable Semantic Segmentation via Gradient-weighted Class Activation
Mapping", 2020, https://arxiv.org/abs/2002.11434, equation 2.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from explorer.display.words import counted, percent
from explorer.inspection.attribution.regions import Region, class_in, in_network, outline_of
from explorer.inspection.detect.detecting import BROKEN, as_detector, photo_tensor, read_off
from explorer.inspection.detect.detecting import names_of as names_of_boxes
from explorer.inspection.detect.result import Detections
from explorer.inspection.look.frame import Box
from explorer.inspection.look.model import evaluating
from explorer.inspection.look.tail import ordinary
from explorer.inspection.look.targets import find_class
from explorer.inspection.segment.preparing import preparation
from explorer.inspection.segment.segmenting import as_segmenter
from explorer.inspection.segment.segmenting import names_of as names_of_masks
from explorer.models.contract import Stage
from explorer.models.detection.candidates import Candidates
from explorer.models.detection.detector import Detector
from explorer.models.ensembles.holding import Holding
from explorer.models.segmentation.segmenter import Segmenter
from explorer.models.watching import walk

Before = Callable[[Stage], Any]
After = Callable[[Stage, Tensor], Any]


class Question:
    """One score of one network; it is settled once it is known which.

    input:     what the network sees of the photo, float32 [C, H, W] on the CPU
    frame:     where that lies over the photo: a box in the photo's pixels
    of_levels: stages one of which is the usual one, where the first pass tells which
    target, label: the class, once the question is settled
    probability: the box's score, 0 to 1, or how likely the class is in the region on average; None: not known
                 before the next pass, which is to be over the photo
    """

    model: Detector | Segmenter
    input: Tensor
    frame: Box
    target: int
    label: str
    settled = False
    probability: float | None = None
    of_levels: tuple[str, ...] = ()

    def score(self, batch: Tensor, before: Before | None = None, after: After | None = None) -> Tensor:
        """[B, 1] for inputs [B, C, H, W], with the way back; the first pass, which is over the photo itself,
        settles the question.
        """
        raise NotImplementedError

    def usual_stage(self) -> str:
        """The stage whose map a heat map is drawn from, of a settled question."""
        raise NotImplementedError

    def caption(self) -> str:
        """What was asked, in words."""
        raise NotImplementedError


def deepest(model: Detector | Segmenter) -> str:
    """The last stage of its body; of an ensemble that of its first member."""
    if isinstance(model, Holding):
        return f"{model.names[0]}/{deepest(model.members[0])}"
    own = getattr(model.body, "stage_table", ()) if model.body_name else ()
    levels = getattr(model, "level_stages", ())
    names = [stage.name for stage in own] or [stage.name for stage in model.stage_table
                                              if stage.name not in levels]
    return (names or levels)[-1]


@dataclass(eq=False)
class BoxQuestion(Question):
    """The score of one box.

    number: which of the boxes that are found, from the best; None: the best, or the best of the class
    wanted: a class's index or name; None: that of the box
    score_threshold, iou_threshold: by which the boxes are chosen
    known:  what was found in the photo already; None: the first pass tells
    """

    model: Detector
    photo: Image.Image
    number: int | None = None
    wanted: int | str | None = None
    score_threshold: float = 0.3
    iou_threshold: float | None = None
    known: Detections | None = None

    def __post_init__(self) -> None:
        self.model = as_detector(self.model)
        with torch.inference_mode(False), torch.no_grad(), evaluating(self.model):
            batch, self.places = self.model.prepare([photo_tensor(self.photo, self.model.in_chans)])
        self.input, place = ordinary(batch[0]), self.places[0]
        (height, width), (down, across), (top, left) = self.input.shape[-2:], place.scale, place.corner
        self.frame = (-left / across, -top / down, (width - left) / across, (height - top) / down)
        self.of_levels = self.model.level_stages
        self.names = names_of_boxes(self.model)
        if self.wanted is not None:
            self.wanted = find_class(self.wanted, self.names)
        if self.known is not None:
            self._settle(self.known)

    def score(self, batch: Tensor, before: Before | None = None, after: After | None = None) -> Tensor:
        places = [self.places[0]] * len(batch)
        if self.settled:
            score = self.model.score_again(batch, places, self._asked(batch.device), after, before)
        else:
            raw = self.model.see(batch, places, after, before)
            overlap = self.model.iou_threshold if self.iou_threshold is None else self.iou_threshold
            self._settle(read_off(self.model, self.photo, raw, batch, places, iou_threshold=overlap,
                                  score_threshold=self.score_threshold))
            score = self.model.log_odds(raw, self._asked(batch.device))
        if self.probability is None:
            self.probability = float(score[0, 0].detach().sigmoid())
        return score

    def _asked(self, device: torch.device) -> Candidates:
        held = {name: None if value is None else value.to(device) for name, value in vars(self.found).items()}
        return Candidates(**held)

    @torch.inference_mode(False)  # what is made here takes part in gradients
    def _settle(self, found: Detections) -> None:
        number, several = self.number, len(found)
        if number is None:
            kinds = found.indices.tolist()
            number = 0 if self.wanted is None else kinds.index(self.wanted) if self.wanted in kinds else -1
        if BROKEN in found.notes:
            raise ValueError(BROKEN)
        if not 0 <= number < several:
            raise ValueError(self._why_none(found))
        row = found.chosen.take(torch.tensor([number]))
        own = int(row.labels[0])
        self.target = own if self.wanted is None else int(self.wanted)
        self.probability = float(row.scores[0]) if self.target == own else None
        self.label = self.names[self.target]
        self.found = replace(row, labels=torch.tensor([self.target]), masks=None)
        self.box: Box = tuple(found.boxes[number].tolist())
        self.number, self.settled = number, True

    def _why_none(self, found: Detections) -> str:
        above = f"above a score of {found.score_threshold:g}"
        best = float(found.candidates.scores.max()) if len(found.candidates) else 0.0
        lower = "A lower score threshold takes in more"
        lower += f": the best candidate has {best:.2g}." if not len(found) else "."
        if not len(found):
            return f"Nothing is found in this photo {above}, so there is no box to explain. {lower}"
        if self.number is not None:
            reach = f"they are 0 to {len(found) - 1}" if len(found) > 1 else "it is 0"
            return (f"box is {self.number!r}, and {counted(len(found), 'box', 'es')} "
                    f"{'are' if len(found) > 1 else 'is'} found {above}: {reach}, from the best. {lower}")
        kinds = ", ".join(repr(self.names[kind]) for kind in sorted(set(found.indices.tolist())))
        wanted = self.names[int(self.wanted or 0)]
        return (f"No {wanted!r} is found in this photo {above}; there are: {kinds}. "
                "Its score in the best box can be asked for: that class of box 0.")

    def usual_stage(self) -> str:
        return self.model.stage_of(self.found) or deepest(self.model)

    def caption(self) -> str:
        where = ", ".join(f"{side:.0f}" for side in self.box)
        return f"score {self.probability:.2f} of {self.label!r} in the box ({where})"

    @property
    def outline(self) -> Box:
        return self.box


@dataclass(eq=False)
class RegionQuestion(Question):
    """A class's scores, summed over a region.

    wanted: a class's index or name; None: the largest in the region that is not the background
    region: (left, top, right, bottom) or (x, y) in the photo's pixels, or a mask [H, W] over the photo;
            None: where the network finds that class
    known:  the photo's scores [K, h, w] without what was filled up, as a `Segmentation` has them; None: the
            first pass tells
    """

    model: Segmenter
    photo: Image.Image
    wanted: int | str | None = None
    region: Any = None
    known: Tensor | None = None

    def __post_init__(self) -> None:
        self.model = as_segmenter(self.model)
        with torch.inference_mode(False):
            self.input, self.inside = preparation(self.model)(self.photo)
        width, height = self.photo.size
        across, down = self.inside[1] / width, self.inside[0] / height
        self.frame = (0.0, 0.0, self.input.shape[-1] / across, self.input.shape[-2] / down)
        self.names = names_of_masks(self.model)
        if self.wanted is not None:
            self.wanted = find_class(self.wanted, self.names)
        self.asked: Region | None = None
        if self.region is not None:
            self.asked = in_network(self.region, self.photo.size, self.inside)
        if self.known is not None:
            self._settle(self.known)

    def score(self, batch: Tensor, before: Before | None = None, after: After | None = None) -> Tensor:
        size = batch.shape[-2:]
        raw = self.model.enlarge(self.model.forward_head(walk(self.model, batch, before=before, after=after)),
                                 size)
        if not self.settled:
            self._settle(raw[0].detach())
        asked = raw[:, 0] if self.model.num_classes == 1 else raw[:, self.target]
        if self.model.num_classes == 1 and not self.target:
            asked = -asked  # what speaks for the no speaks against the yes
        height, width = self.inside
        pixels = self.pixels.to(batch.device)
        return (asked[:, :height, :width].float() * pixels).sum((1, 2))[:, None]

    @torch.inference_mode(False)
    def _settle(self, scores: Tensor) -> None:
        """scores: [K, H, W] of the photo"""
        height, width = self.inside
        scores = scores[:, :height, :width].float().cpu()
        if len(scores) == 1:
            scores = torch.cat((torch.zeros_like(scores), scores))
        mask = scores.argmax(0)
        within = torch.ones_like(mask, dtype=torch.bool) if self.asked is None else self.asked.pixels
        self.target = class_in(mask[within], self.names) if self.wanted is None else int(self.wanted)
        self.label = self.names[self.target]
        if self.asked is None:
            within = mask == self.target
            if not within.any():
                there = ", ".join(repr(self.names[index]) for index in mask.unique().tolist()[:8])
                raise ValueError(f"No pixel of this photo is found to be {self.label!r}; there are: {there}. "
                                 "Its scores in a region, or at one place, can be asked for.")
        self.pixels = within
        self.probability = float(scores.softmax(0)[self.target][within].mean())
        self.settled = True

    def usual_stage(self) -> str:
        return deepest(self.model)

    def caption(self) -> str:
        many = int(self.pixels.sum())
        where = self.asked.words if self.asked is not None else "where it is found"
        pixels = counted(many, "pixel") + " of the network's input"
        said = f"scores of {self.label!r} {where} ({pixels})"
        if self.probability is None or not math.isfinite(self.probability):
            return said
        return f"{said}, {percent(self.probability)} likely on average"

    @property
    def outline(self) -> Any:
        return outline_of(self.pixels, self.photo.size) if self.asked is None else self.asked.outline
