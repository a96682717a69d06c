"""What a detector found in one photo: `Detections`, which show themselves in a notebook."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from html import escape
from typing import Any

from PIL import Image
from torch import Tensor

from explorer.arguments import checked, number
from explorer.display import draw
from explorer.display.html import RichRepr, notes_html, picture_html, side_by_side_html, title_html
from explorer.display.words import counted, percent
from explorer.inspection.detect.anchoring import Anchors, anchors_at, heap_of, positive_anchors
from explorer.inspection.detect.drawing import colour_of, draw_boxes
from explorer.inspection.detect.judging import JudgedBoxes, as_truth, judge
from explorer.inspection.detect.records import coco_record
from explorer.models.detection.candidates import Candidates
from explorer.models.detection.detector import Detector
from explorer.models.detection.masks import over_photo
from explorer.models.detection.placing import Placement

LOWEST = 0.02  # score of the candidates that are kept: below that there are hundreds of thousands
SHOWN = 12  # boxes named beside the photo in a notebook


@dataclass(eq=False, repr=False)
class Detections(RichRepr):
    """The things found in one photo, best first: N of them. All tensors are on the CPU.

    model_name: e.g. "retinanet_resnet50_fpn.tv_coco"
    image:      the photo, None in a table;  size: its (width, height) in pixels
    candidates: all that the network thought possible, in its own pixels; `place` says where the photo lies in
                them
    names:      of all classes
    score_threshold, iou_threshold, limit: by which the boxes were chosen among the candidates
    lowest:     the score above which candidates were kept
    frame:      (height, width) of what the network saw;  levels: of each level of its pyramid the anchors
                [n, 4] in its pixels; () in a table
    timing:     seconds for "preprocess" and "forward"; the "device"
    notes:      sentences that a reader of the boxes must know, e.g. that the weights are random
    """

    model_name: str
    image: Image.Image | None
    size: tuple[int, int]
    candidates: Candidates
    place: Placement
    names: tuple[str, ...]
    score_threshold: float
    iou_threshold: float
    lowest: float
    limit: int
    kind: type[Detector]
    frame: tuple[int, int] = (0, 0)
    levels: tuple[Tensor, ...] = ()
    timing: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    #: What is left without overlaps, by IoU threshold: the same for `at`'s other scores.
    _kept: dict[float, Candidates] = field(default_factory=dict)

    # --- what was found -----------------------------------------------------------------------------------

    @cached_property
    def chosen(self) -> Candidates:
        """The candidates that are shown, in the network's pixels.

        A box is thrown out by better ones alone, so that a higher score threshold takes the first of those
        that a lower one leaves.
        """
        kept = self._kept.get(self.iou_threshold)
        if kept is None:
            kept = self.kind.select(self.candidates, score_threshold=self.lowest,
                                    iou_threshold=self.iou_threshold, limit=self.limit)
            self._kept[self.iou_threshold] = kept
        return kept.take(kept.scores > self.score_threshold)

    @cached_property
    def boxes(self) -> Tensor:
        """[N, 4] left, top, right, bottom in the photo's own pixels."""
        return self.place.out_of(self.chosen.boxes)

    @property
    def scores(self) -> Tensor:
        """[N], 0 to 1, descending."""
        return self.chosen.scores

    @property
    def indices(self) -> Tensor:
        """[N], the index of each one's class."""
        return self.chosen.labels

    @property
    def labels(self) -> list[str]:
        """The name of each one's class."""
        return [self.names[index] for index in self.indices.tolist()]

    @property
    def in_words(self) -> str:
        """How many of each class: "3 person, 1 dog"."""
        counts = Counter(self.labels).most_common()
        return ", ".join(f"{count} {label}" for label, count in counts) or "nothing"

    @cached_property
    def masks(self) -> Tensor | None:
        """[N, H, W], yes or no for each of the photo's pixels; None for a network that finds boxes alone."""
        if self.chosen.masks is None:
            return None
        width, height = self.size
        return over_photo(self.chosen.masks, self.boxes, (height, width)) > 0.5

    def __len__(self) -> int:
        return len(self.chosen)

    # --- without a pass -----------------------------------------------------------------------------------

    @checked(score_threshold=number(0, 1), iou_threshold=number(0, 1))
    def at(self, *, score_threshold: float | None = None, iou_threshold: float | None = None) -> Detections:
        """The same pass with other thresholds, chosen anew among its candidates; the network does not run.

        None leaves one as it is. Masks were made for the 100 best candidates alone, and boxes without one are
        not shown. Raises ValueError for a score below that of the candidates that were kept.
        """
        score = self.score_threshold if score_threshold is None else float(score_threshold)
        overlap = self.iou_threshold if iou_threshold is None else float(iou_threshold)
        if score < self.lowest:
            raise ValueError(f"score_threshold is {score:g}, and candidates were kept from a score of "
                             f"{self.lowest:g} on: call detect with that score_threshold.")
        return replace(self, score_threshold=score, iou_threshold=overlap)

    def without_photo(self) -> Detections:
        """The boxes that are shown and no more, for a table of many photos."""
        return replace(self, image=None, candidates=self.chosen, lowest=self.score_threshold, levels=(),
                       _kept={})

    # --- behind the boxes ---------------------------------------------------------------------------------

    def heap(self, number: int) -> Candidates:
        """The candidates that non-maximum suppression threw out for the box of that number, best first; in
        the network's pixels. See `heap_of`.
        """
        return heap_of(self, number)

    def anchors_at(self, x: float, y: float) -> Anchors:
        """The anchors at the place of each level's map that is nearest to a place of the photo, in pixels.
        See `anchors_at`.
        """
        return anchors_at(self, x, y)

    def positives(self, truth: Any, *, classes: Sequence[str] | None = None) -> Anchors:
        """The anchors that a training would ask to find these boxes. See `positive_anchors`."""
        return positive_anchors(self, as_truth(truth, self.names, classes))

    def judged(self, truth: Any, *, classes: Sequence[str] | None = None) -> JudgedBoxes:
        """The boxes that are shown beside those that are known to be there: right, wrong or missed.

        truth:   the `Boxes` of a `PlaceSet`, or (boxes [M, 4] xyxy in the photo's pixels, labels [M])
        classes: names of the truth's labels, where they are not the network's own
        Raises ValueError for what are no boxes, and for classes that the network does not know.
        """
        return judge(self.boxes.numpy(), self.scores.numpy(), self.indices.numpy(),
                     as_truth(truth, self.names, classes))

    # --- pictures and files -------------------------------------------------------------------------------

    def overlay(self, image: Image.Image | None = None) -> Image.Image:
        """The photo with boxes, names, scores and masks drawn over it.

        image: the photo, where the boxes are of a table, which holds none
        """
        photo = image if image is not None else self.image
        if photo is None:
            raise ValueError("A table holds no photos: give this one's, as in "
                             "overlay(explorer.load_image(path)).")
        if photo.size != self.size:
            width, height = self.size
            raise ValueError(f"The boxes are of a photo of {width} x {height} pixels; this one has "
                             f"{photo.width} x {photo.height}.")
        captions = [f"{label} {percent(score)}" for label, score in zip(self.labels, self.scores.tolist())]
        return draw_boxes(photo.convert("RGB"), self.boxes.numpy(), captions, self.indices.tolist(),
                          masks=None if self.masks is None else self.masks.numpy())

    def thumbnail(self) -> str:
        """A small overlay as an address that an HTML page can hold."""
        return draw.data_uri(draw.thumbnail(self.overlay(), 96), format="JPEG")

    def to_json(self) -> str:
        """[{"label", "index", "score", "box": [left, top, right, bottom]}], best first."""
        return json.dumps(self.as_rows(), ensure_ascii=False, indent=1)

    def as_rows(self) -> list[dict[str, Any]]:
        """A dict a box, best first, as in `to_json`."""
        rows = zip(self.labels, self.indices.tolist(), self.scores.tolist(), self.boxes.tolist())
        return [{"label": label, "index": index, "score": score, "box": box}
                for label, index, score, box in rows]

    def to_coco(self, file_name: str = "") -> dict[str, Any]:
        """COCO's dict of images, annotations and categories, with a score each: what its tools read."""
        return coco_record([(file_name, self)], self.names)

    def __repr__(self) -> str:
        best = ", ".join(f"{label} {percent(score)}"
                         for label, score in zip(self.labels[:3], self.scores.tolist()))
        more = f", and {len(self) - 3} more" if len(self) > 3 else ""
        boxes = counted(len(self), "box", "es")
        return f"Detections({self.model_name!r}, {boxes}: {best or 'nothing'}{more})"

    def _repr_html_(self) -> str:
        """The photo with its boxes and a list of them as plain HTML, without script."""
        facts = f"{self.model_name}, {counted(len(self), 'thing')} above {percent(self.score_threshold)}"
        if self.timing:
            facts += f", {1000 * self.timing['forward']:.0f} ms on {self.timing['device']}"
        rows = []
        answers = zip(self.labels[:SHOWN], self.indices.tolist(), self.scores.tolist())
        for label, index, score in answers:
            dot = f"<span style='color:rgb{colour_of(index)}'>&#9632;</span>"
            rows.append(f"<tr><td style='padding:2px 8px;text-align:left'>{dot} {escape(label)}</td>"
                        f"<td style='padding:2px 8px;text-align:right'>{percent(score)}</td></tr>")
        more = f"<p>… and {len(self) - SHOWN} more</p>" if len(self) > SHOWN else ""
        listed = f"<table style='border-collapse:collapse'><tbody>{''.join(rows)}</tbody></table>{more}"
        if not rows:
            listed = "<p>Nothing above that score; found.at(score_threshold=0.1) shows what is less sure.</p>"
        picture, caption = "", f"{self.size[0]} x {self.size[1]} pixels"
        if self.image is not None:
            picture = picture_html(draw.thumbnail(self.overlay(), 480), caption, format="JPEG")
        return (f"<div>{title_html(facts)}{notes_html(self.notes)}"
                f"{side_by_side_html(f'{picture}<div>{listed}</div>')}</div>")
