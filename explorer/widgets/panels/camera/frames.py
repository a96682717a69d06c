"""A frame of the camera: opened, looked at, explained; and which of many frames is looked at at all."""

from __future__ import annotations

import logging
import statistics
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np

from explorer.display.words import sentence_of

if TYPE_CHECKING:  # importing them loads torch: the dashboard is on the screen before that
    from explorer.inspection.attribution.result import Attribution
    from explorer.inspection.look.result import Look

log = logging.getLogger(__name__)

MOST_PIXELS = 2**21   # of a frame: the browser scales it to a small part of that
MOST_PICTURE = 2**23  # of a frozen one
COARSE = 64           # rows and columns of a heat map that is sent, at most: the page draws it soft
SMALLEST, LARGEST = 64, 512  # pixels of a frame's shorter side
LATELY = 0.3          # the share of a frame in what a map did lately

Item = TypeVar("Item")


class Newest(Generic[Item]):
    """The newest of what arrives, for one worker: what it has no time for is never looked at."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._item: Item | None = None
        self._at_work = False

    def put(self, item: Item) -> bool:
        """Take the place of what waits; whether a worker has to be started."""
        with self._guard:
            self._item, idle = item, not self._at_work
            self._at_work = True
            return idle

    def take(self) -> Item | None:
        """What came last; None, and the worker ends, where nothing came since."""
        with self._guard:
            item, self._item = self._item, None
            self._at_work = item is not None
            return item

    def rest(self) -> None:
        """The worker has ended early: the next item starts another."""
        with self._guard:
            self._item, self._at_work = None, False


@dataclass(frozen=True)
class Seen:
    """What a network made of one frame.

    heat:    Grad-CAM, None where there can be none;  why: then, in a sentence
    asked:   the class that it was asked for, None: the likeliest
    seconds: from the frame's bytes to this
    """

    look: Look
    heat: Attribution | None
    why: str
    asked: int | None
    seconds: float


def see(model: Any, data: bytes, target: int | None = None) -> Seen:
    """One frame: one pass, and back from the score to a stage's map.

    data: a picture file from the browser, not to be trusted;  target: the class of the heat map, None: the
    likeliest. Raises ImageError for what is no picture, or one that this model can't read.
    """
    from explorer.data.images import load_image
    from explorer.inspection.attribution.explaining import explain
    from explorer.inspection.attribution.methods import METHODS
    from explorer.inspection.look.looking import look_once

    started = time.perf_counter()
    photo = load_image(data, max_pixels=MOST_PIXELS, channels=model.in_chans)
    look = look_once(model, photo)
    heat, why = None, METHODS["gradcam"].refuses(model)
    if not why:
        try:
            heat = explain(model, look=look, method="gradcam", target=target)
        except Exception as error:  # no gradient leads through it, or anybody's backward pass fails
            log.info("no heat map of a frame", exc_info=error)
            why = sentence_of(error, unexpected="There is no heat map of this network ({problem}).")
    return Seen(look, heat, why, target, time.perf_counter() - started)


def coarse(heat: Attribution) -> np.ndarray:
    """The heat map over the frame with fewer values, [h, w] in 0..1: means of blocks."""
    from PIL import Image

    values = heat.heatmap.numpy()
    share = min(1.0, COARSE / max(values.shape))
    height, width = (max(1, round(side * share)) for side in values.shape)
    return np.asarray(Image.fromarray(values).resize((width, height), Image.Resampling.BOX))


def read_box(heat: Attribution) -> tuple[float, float, float, float]:
    """The part of the frame that the network read: left, top, right, bottom as shares of it."""
    width, height = heat.image.size
    left, top, right, bottom = heat.seen_box
    return left / width, top / height, right / width, bottom / height


def side_for(model: Any) -> int:
    """Pixels of a frame's shorter side: what the network's preprocessing scales it to."""
    from explorer.data.transforms import resolve_data_config

    config = resolve_data_config({}, model=model)
    side = max(config["input_size"][1:]) / config["crop_pct"]
    return int(min(max(round(side), SMALLEST), LARGEST))


def unfit(model: Any) -> str:
    """Why there are no live answers of a model, and what to do instead, in a sentence; "" where there are."""
    if model is None:
        return "No model is open: choose one, and it says what the camera sees."
    from explorer.inspection.look.model import model_name

    things = {"detection": ("boxes", "Detect"), "segmentation": ("masks", "Segment")}
    if model.task in things:
        what, tab = things[model.task]
        return (f"{model_name(model)} finds {what}, which takes longer than a frame: freeze one, and see the "
                f"tab {tab}. Networks that say what a photo shows answer live.")
    return ""


class Crew:
    """Whether frames go faster with all processors or with one left to the browser, which draws meanwhile:
    tried out, and again now and then. A small network on two gains by the second, a large one loses.
    """

    WARM, TRIED, AGAIN = 4, 5, 200  # frames: before the first try, of each way, until the next one

    def __init__(self) -> None:
        self._number, self._took = -self.WARM, {True: [], False: []}

    @property
    def leaves_one(self) -> bool:
        """How to look at the next frame."""
        if self._number < 2 * self.TRIED:
            return self._number % 2 == 0
        return statistics.median(self._took[True]) < statistics.median(self._took[False])

    def took(self, seconds: float) -> None:
        """What a frame took that was looked at in that way."""
        if 0 <= self._number < 2 * self.TRIED:
            self._took[self.leaves_one].append(seconds)
        self._number += 1
        if self._number == self.AGAIN:
            self._number, self._took = 0, {True: [], False: []}


class Strongest:
    """Which maps of a stage are shown while frames come: those that did most lately, each in its place as
    long as it is among them, so that the eye can follow one.
    """

    def __init__(self, count: int):
        self.count = count
        self._of: Any = None
        self._lately = np.zeros(0)
        self._places: list[int] = []

    def among(self, of: Any, strengths: np.ndarray) -> list[int]:
        """The channels, place by place. of: whose they are; another stage begins anew. strengths: [C]"""
        if of != self._of or len(strengths) != len(self._lately):
            self._of, self._lately, self._places = of, strengths, []
        self._lately = (1 - LATELY) * self._lately + LATELY * strengths
        best = [int(channel) for channel in np.argsort(-self._lately, kind="stable")[:self.count]]
        new = iter([channel for channel in best if channel not in self._places])
        kept = [channel if channel in best else next(new) for channel in self._places]
        self._places = [*kept, *new]
        return self._places
