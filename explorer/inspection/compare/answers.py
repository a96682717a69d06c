"""What several models said of the same photos, to be asked: predictions, agreement, maps, heat maps, costs.

Classes of different models are joined by their names; every share and every map is read from the passes that
were made.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from explorer.data.images import ImageError
from explorer.data.labels import class_key
from explorer.display.words import counted, number_text
from explorer.inspection.attribution.explaining import explain
from explorer.inspection.attribution.result import Attribution
from explorer.inspection.compare.compared import FEW, MOST_LOOKS, Compared, Progress, why
from explorer.inspection.compare.difference import (
    Difference,
    check_draws,
    difference_of_right,
    standing_of,
)
from explorer.inspection.compare.facts import ClassRow, NumberRow
from explorer.inspection.compare.joining import agreement_of, differences_of, distinct, first_answers
from explorer.inspection.look.result import Look
from explorer.models.outputs import Outputs

if TYPE_CHECKING:
    from PIL import Image

    from explorer.data.photos import Collection

log = logging.getLogger(__name__)

JUDGED = 20           # labelled photos from which on a share of right answers says something


@dataclass(eq=False, repr=False, kw_only=True)
class Answers(Compared):
    """What several models that tell classes or numbers made of the same photos; more fields in `Compared`.

    outputs:  what the scores of each model mean, with the names of its classes or numbers; None without a
              classifier
    logits:   [N, W] of each model, on the disk where there are many photos
    looks:    [model][photo], empty where there are too many photos to keep them
    truth:    the right class names of each photo, empty where nobody says
    source:   opens the photos again; None for answers that came without
    """

    outputs: tuple[Outputs | None, ...]
    logits: tuple[np.ndarray, ...]
    looks: tuple[tuple[Look, ...], ...]
    truth: tuple[frozenset[str], ...]
    source: Collection | None = field(default=None, repr=False)
    _cams: dict[tuple[int, int, str], Attribution] = field(default_factory=dict, repr=False)

    # --- answers ---

    @cached_property
    def labels(self) -> tuple[tuple[str, ...], ...]:
        """The class names of each model; none for one that gives numbers, or has no classifier."""
        return tuple(() if outputs is None or outputs.numbers else outputs.labels for outputs in self.outputs)

    @cached_property
    def top1(self) -> tuple[np.ndarray, ...]:
        """Each model's first answer to each photo: class indices int64 [N]; -1 where it tells no classes.

        Where several classes may hold at once it is the likeliest of them.
        """
        return tuple(first_answers(logits, outputs) for logits, outputs in zip(self.logits, self.outputs))

    def answer(self, model: str | int, photo: str | int = 0) -> str:
        """The name of a model's first answer, or its numbers; "" where it has no classifier."""
        i, j = self.model_index(model), self.photo_index(photo)
        outputs, index = self.outputs[i], int(self.top1[i][j])
        if outputs is not None and outputs.numbers:
            values = outputs.values(self._raw(i, j)).tolist()
            return ", ".join(f"{label} {number_text(value)}" for label, value in zip(outputs.labels, values))
        return self.labels[i][index] if index >= 0 else ""

    def probabilities(self, model: str | int, photo: str | int = 0) -> np.ndarray:
        """One photo's probabilities by one model, float32 [K]; each alone where several classes may hold.

        Empty for a model that tells no classes.
        """
        i, j = self.model_index(model), self.photo_index(photo)
        if not self.labels[i]:
            return np.empty(0, np.float32)
        return self.outputs[i].probabilities(self._raw(i, j)).numpy()

    def _raw(self, model: int, photo: int) -> Tensor:
        row = np.array(self.logits[model][photo], np.float32)  # a copy: it may be on the disk
        return torch.from_numpy(row)

    def numbers(self, photo: str | int = 0) -> list[NumberRow]:
        """The numbers that models give for a photo, one row a name; empty where all tell classes."""
        j = self.photo_index(photo)
        found: dict[str, dict[int, float]] = {}
        names: dict[str, str] = {}
        for i, outputs in enumerate(self.outputs):
            if outputs is not None and outputs.numbers:
                values = outputs.values(self._raw(i, j)).tolist()
                for key, label, value in zip(distinct(outputs.labels), outputs.labels, values):
                    found.setdefault(key, {})[i] = value
                    names.setdefault(key, label)
        return [NumberRow(names[key], tuple(map(row.get, range(len(self))))) for key, row in found.items()]

    @cached_property
    def differences(self) -> np.ndarray:
        """The mean distance of two models' numbers of one name over the photos, float64 [M, M].

        Of several numbers that both give, it is the first's. NaN where they give no number of the same name.
        Numbers agree more or less, never by chance entirely: so this stands in for `agreement`.
        """
        return differences_of(self.logits, self.outputs)

    def predictions(self, photo: str | int = 0, *, topk: int = 5) -> list[ClassRow]:
        """Every model's `topk` classes on one axis: the classes that any of them names, the likeliest first.

        The same name is the same class, whatever its number in each model.
        """
        j = self.photo_index(photo)
        found: dict[str, str] = {}
        shares = [self.probabilities(i, j) for i in range(len(self))]
        for i, share in enumerate(shares):
            for index in np.argsort(-share, kind="stable")[:topk]:
                found.setdefault(self.keys[i][index], self.labels[i][index])
        truth = self.truth[j] if self.truth else frozenset()
        rows = [ClassRow(label, tuple(self._share(i, key, shares[i]) for i in range(len(self))),
                         (class_key(label) in truth) if truth else None) for key, label in found.items()]
        return sorted(rows, key=lambda row: -max(share for share in row.shares if share is not None))

    @cached_property
    def agreement(self) -> np.ndarray:
        """Share of the photos on which two models' first answers have the same name: float64 [M, M], 0..1.

        NaN where one of them tells no classes.
        """
        return agreement_of(self.keys, self.top1)

    def picture(self, photo: str | int = 0) -> Image.Image:
        """One of the photos, as it was opened. Raises ImageError where its file is gone."""
        j = self.photo_index(photo)
        if self.looks:
            return self.looks[0][j].image
        if self.source is None:
            raise ImageError(f"{self.photos[j]} is not at hand any more.")
        return self.source.open_one(self.source.names.index(self.photos[j]))

    @cached_property
    def keys(self) -> tuple[tuple[str, ...], ...]:
        """What joins each model's classes with the others': their names; the second of one numbered."""
        return tuple(distinct(labels) for labels in self.labels)

    @cached_property
    def _places(self) -> tuple[dict[str, int], ...]:
        return tuple({key: index for index, key in enumerate(keys)} for keys in self.keys)

    def _share(self, model: int, key: str, shares: np.ndarray) -> float | None:
        index = self._places[model].get(key)
        return None if index is None else float(shares[index])

    # --- maps and heat maps ---

    @cached_property
    def strides(self) -> tuple[int, ...]:
        """The strides at which any model has a map, finest first: input pixels from place to place."""
        return tuple(sorted({stage.reduction for model in self.models for stage in model.stage_table}))

    def stage_at(self, model: str | int, stride: int) -> str:
        """The deepest stage of a model at a stride; "" where it has none there."""
        table = self.models[self.model_index(model)].stage_table
        at = [stage.name for stage in table if stage.reduction == stride]
        return at[-1] if at else ""

    def maps(self, stride: int, photo: str | int = 0) -> list[tuple[str, Tensor] | None]:
        """(stage, its map [C, H, W]) of each model at one stride, None where it has no stage there.

        Raises ValueError for a stride that no model has, or where the Looks were not kept.
        """
        self._needs_looks("Feature maps")
        if not self.strides:
            raise ValueError("None of these models has stages: none of their layers gives a map with places.")
        if stride not in self.strides:
            raise ValueError(f"No model has a map at stride {stride}. There are maps at "
                             f"{_listed(self.strides)}.")
        j = self.photo_index(photo)
        names = [self.stage_at(i, stride) for i in range(len(self))]
        return [(name, self.looks[i][j].stages[name]) if name else None for i, name in enumerate(names)]

    def cam(self, model: str | int, photo: str | int = 0, *, target: str | None = None) -> Attribution:
        """Grad-CAM of one model for one photo, from the Look that is there. target: a class name; None: its
        first answer.

        Raises ValueError for a class that the model does not know, or where the Looks were not kept.
        """
        self._needs_looks("Heat maps")
        i, j = self.model_index(model), self.photo_index(photo)
        index: Any = None
        if target:
            outputs = self.outputs[i]
            places = self._places[i] if outputs is None or not outputs.numbers else \
                {key: index for index, key in enumerate(distinct(outputs.labels))}
            index = places.get(class_key(target))
            if index is None:
                raise ValueError(f"{self.names[i]} has no class {target!r}.")
        place = (i, j, class_key(target or ""))
        if place not in self._cams:
            seen = self.looks[i][j]
            self._cams[place] = explain(self.models[i], seen.image, method="gradcam", target=index, look=seen)
        return self._cams[place]

    def cams(self, photo: str | int = 0, *, target: str | None = None, on_progress: Progress | None = None,
             should_stop: Callable[[], bool] | None = None) -> list[Attribution | str]:
        """Grad-CAM of every model for one photo; a sentence where it can't be had. Stopped, it ends early."""
        found: list[Attribution | str] = []
        for i, name in enumerate(self.names):
            if should_stop is not None and should_stop():
                break
            if on_progress is not None:
                on_progress(i, len(self), f"heat map of {name}")
            try:
                found.append(self.cam(i, photo, target=target))
            except Exception as error:
                log.info("no heat map of %s", name, exc_info=error)
                found.append(why(error))
        return found

    def _needs_looks(self, what: str) -> None:
        if not self.looks:
            raise ValueError(f"{what} need the passes themselves, which are kept for at most {FEW} photos "
                             f"and {MOST_LOOKS} passes: compare fewer photos.")

    # --- accuracy ---

    @property
    def accuracy(self) -> str:
        """The accuracy that the scatter shows unless told otherwise: "measured" where every model with a
        classifier was judged by at least 20 labelled photos, else "published"."""
        judged = [row.judged for row in self.rows if row.num_classes]
        return "measured" if judged and min(judged) >= JUDGED else "published"

    def right(self, model: str | int) -> np.ndarray:
        """Whether a model's first answer to each photo is right: 1 or 0, and NaN where that is not known, or
        is a class that the model does not know by name; float64 [N]."""
        i = self.model_index(model)
        own = [class_key(label) for label in self.labels[i]]
        known = set(own)
        return np.array([float(own[index] in truth) if truth & known else np.nan
                         for index, truth in zip(self.top1[i], self.truth)] if self.truth else
                        [np.nan] * len(self.photos))

    def differ(self, first: str | int | None = None, second: str | int | None = None, *, draws: int = 2000,
               seed: int = 0) -> Difference:
        """Whether two of the models really differ in how often they are right: McNemar's test, and bootstrap
        intervals of their accuracies, by the photos whose class both know.

        first, second: by name or number; None: the two that are right most often
        draws, seed:   of the bootstrap, as in `explorer.differ`

        Raises ValueError where no photo's class is known to both, or for one model twice.
        """
        check_draws(draws)
        given = [None if one is None else self.model_index(one) for one in (first, second)]
        free = sorted((i for i in range(len(self)) if i not in given),
                      key=lambda i: -(self.rows[i].measured or 0.0))[:given.count(None)]
        if len(free) < given.count(None):
            raise ValueError(f"Only {counted(len(self), 'model')} got through the photos: there are no two "
                             "to hold against each other.")
        rest = iter(sorted(free))
        a, b = (next(rest) if one is None else one for one in given)
        if a == b:
            raise ValueError(f"{self.names[a]} was given twice: give two of the models.")
        said = np.stack((self.right(a), self.right(b)))
        both = np.flatnonzero(~np.isnan(said).any(0))
        if not len(both):
            raise ValueError(f"There is no photo whose right class is known to both {self.names[a]} and "
                             f"{self.names[b]}: compare photos in a folder with a folder for each class, "
                             "called as the models' classes are.")
        photos = [self.photos[j] for j in both]
        return difference_of_right((self.names[a], self.names[b]), *said[:, both], (photos, photos),
                                   figure="top-1 accuracy", draws=draws, seed=seed)

    @cached_property
    def standing(self) -> tuple[str, ...]:
        """Whether the model that is right most often really is better than the others, in a sentence; () for
        fewer than 20 photos whose class is known."""
        judged = [i for i, row in enumerate(self.rows) if row.judged >= JUDGED]
        if len(judged) < 2:
            return ()
        best, *others = sorted(judged, key=lambda i: -(self.rows[i].measured or 0.0))
        pairs = [(self.names[i], self.differ(best, i)) for i in others]
        return (pairs[0][1].sentence,) if len(pairs) == 1 else (standing_of(self.names[best], pairs),)


def _listed(numbers: Iterable[int]) -> str:
    return ", ".join(map(str, numbers))
