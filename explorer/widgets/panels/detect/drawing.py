"""What is drawn over the photo: boxes, and dashed ones beside them, as numbers, names and colours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from explorer.display.words import percent

if TYPE_CHECKING:
    from PIL import Image

    from explorer.inspection.detect.anchoring import Anchors
    from explorer.inspection.detect.judging import JudgedBoxes
    from explorer.inspection.detect.result import Detections
    from explorer.models.detection.candidates import Candidates

MOST_DRAWN = 2000   # boxes at a time: a page draws them in a few milliseconds, and a reader sees no more
WHITE = "#ffffff"
LEVELS = ("#f0e442", "#56b4e9", "#e69f00", "#00b386", "#e07fb4", "#9b8cff", "#ff5c39")  # from the finest
VERDICTS = {"right": "#12d18e", "another class": "#d68bff", "wrong": "#ff8126", "on a crowd": "#b5b5b5",
            "missed": "#ffe14d"}


@dataclass(frozen=True, eq=False)
class Drawn:
    """edges [N, 4] in the photo's pixels, best first, with names, scores, colours and words of each;
    ghosts [M, 4] are dashed, and nobody can point at them; fine: as hairlines
    """

    edges: np.ndarray = field(default_factory=lambda: np.zeros((0, 4), np.float32))
    labels: Sequence[str] = ()
    scores: np.ndarray | None = None
    colours: Sequence[str] = ()
    texts: Sequence[str] = ()
    ghosts: np.ndarray = field(default_factory=lambda: np.zeros((0, 4), np.float32))
    ghost_colours: Sequence[str] = ()
    fine: bool = False

    def picture(self, photo: Image.Image, masks: np.ndarray | None = None) -> Image.Image:
        """The photo with all of it, in its own size."""
        from explorer.inspection.detect.drawing import draw_boxes, draw_dashed

        rgb = [_rgb(colour) for colour in self.colours]
        captions = [*self.labels] if self.scores is None else [
            f"{label} {percent(score)}" for label, score in zip(self.labels, self.scores.tolist())]
        if len(captions) > MOST_DRAWN // 20:  # they would cover the photo
            captions = [""] * len(captions)
        dashed = [_rgb(colour) for colour in self.ghost_colours] or [_rgb(WHITE)] * len(self.ghosts)
        beneath = draw_dashed(photo.convert("RGB"), self.ghosts, dashed, fine=self.fine)
        return draw_boxes(beneath, self.edges, captions, rgb,
                          masks=masks)


def drawn_boxes(
    found: Detections, chosen: Candidates, *, by: str, judged: JudgedBoxes | None = None
) -> Drawn:
    """Boxes of candidates, coloured by "class", "level" or "truth".

    judged: what became of each, where the true boxes are known and it is after NMS
    """
    edges = found.place.out_of(chosen.boxes).numpy()
    kinds = chosen.labels.tolist()
    words = level_words(found)
    levels = chosen.levels.tolist()
    texts = [words[level] if 0 <= level < len(words) else "" for level in levels]
    if judged is not None:
        texts = [", ".join(filter(None, (verdict_words(judged, box), text)))
                 for box, text in enumerate(texts)]
    if by == "level":
        colours = [LEVELS[level % len(LEVELS)] if level >= 0 else WHITE for level in levels]
    elif by == "truth" and judged is not None:
        colours = [VERDICTS[verdict] for verdict in judged.verdicts]
    else:
        colours = [class_colour(kind) for kind in kinds]
    return Drawn(edges, [found.names[kind] for kind in kinds], chosen.scores.numpy(), colours, texts)


def verdict_words(judged: JudgedBoxes, box: int) -> str:
    verdict, thing = judged.verdicts[box], judged.things[box]
    over = f" (IoU {judged.ious[box]:.2f})" if thing >= 0 else ""
    return {"another class": "a thing of another class"}.get(verdict, verdict) + over


def level_words(found: Detections) -> list[str]:
    """"level P3, every 8 pixels" of each level; [] where boxes start from proposals."""
    from explorer.inspection.detect.anchoring import has_levels, level_names, level_steps

    if not has_levels(found):
        return []
    return [f"{name if name.startswith('level') else f'level {name}'}, every {step} pixels"
            for name, step in zip(level_names(found), level_steps(found))]


def drawn_anchors(anchors: Anchors, *, by_thing: bool = False) -> tuple[np.ndarray, list[str]]:
    """(boxes, colours by level, or by the true box that they have to find)."""
    marks = anchors.things if by_thing else anchors.levels
    return (anchors.boxes.numpy().astype(np.float32),
            [LEVELS[int(mark) % len(LEVELS)] for mark in marks.tolist()])


def class_colour(index: int) -> str:
    """As `Detections.overlay` has it."""
    from explorer.display.colours import colour_of, hex_of

    return hex_of(colour_of(index))


def _rgb(colour: str) -> tuple[int, int, int]:
    red, green, blue = (int(colour[at:at + 2], 16) for at in (1, 3, 5))
    return red, green, blue


def with_ghosts(drawn: Drawn, parts: Sequence[tuple[Any, str]], *, fine: bool = False) -> Drawn:
    """The same with dashed boxes: (boxes [n, 4], their colour) of each part."""
    from dataclasses import replace

    parts = [(np.asarray(boxes, np.float32).reshape(-1, 4), colour) for boxes, colour in parts]
    if not any(len(boxes) for boxes, _ in parts):
        return drawn
    return replace(drawn, ghosts=np.concatenate([boxes for boxes, _ in parts]), fine=fine,
                   ghost_colours=[colour for boxes, colour in parts for _ in range(len(boxes))])


def anchor_and_heap(
    found: Detections, one: Candidates, number: int | None
) -> tuple[Anchors | None, Candidates | None]:
    """(what a box was made of, the candidates that NMS threw out for it); None where nobody knows.

    number: of the box among all that NMS leaves; None before NMS
    """
    from explorer.inspection.detect.anchoring import anchors_of

    return anchors_of(found, one) if found.levels else None, None if number is None else found.heap(number)
