"""`Stacked`: several models, and a small one that has learnt whom to believe about what."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from explorer.arguments import checked, word
from explorer.data.photo_sets import PhotoSet
from explorer.data.photos import Collection, collect
from explorer.display.html import (
    RichRepr,
    notes_html,
    row_html,
    sentences_html,
    table_html,
    title_html,
)
from explorer.display.words import counted, number_text, percent
from explorer.inspection.features.folders import run_folder
from explorer.inspection.look.answers import Prediction, check_topk, top_predictions
from explorer.inspection.look.many import is_one
from explorer.models.contract import VisionModel
from explorer.models.ensembles.stacked_model import StackedModel
from explorer.models.outputs import Outputs
from explorer.training.choosing.fold_runs import opened, recipe_of
from explorer.training.choosing.meta import Meta
from explorer.training.choosing.scored import Judged, figure_of, judged_by
from explorer.training.doubt.difference import differ


@dataclass(frozen=True, eq=False, repr=False)
class Stacked(RichRepr):
    """Models and their meta learner, as `stack` or `blend` has taught them. It shows itself in a notebook.

    model:       members and meta learner as one network, which goes wherever a model goes: look, explain,
                 evaluate, compare, save
    members:     name -> the model, taught
    meta:        what reads their answers (`meta.estimator` is scikit-learn's)
    out_of_fold: name -> the answers that the meta learner has learnt from: by models that had not seen the
                 photo
    alone:       name -> each member on the held-out photos;  mean: the mean of their answers there
    evaluation:  the stacked answers there. Nobody has learnt from these photos
    shares:      name -> how much of the meta learner's weight is on this member; None for an mlp
    method:      "stack" or "blend";  notes: sentences that a reader must know
    """

    model: StackedModel
    members: dict[str, VisionModel]
    meta: Meta
    out_of_fold: dict[str, Judged]
    alone: dict[str, Judged]
    mean: Judged
    evaluation: Judged
    shares: dict[str, float] | None
    method: str
    data_name: str
    learnt: int
    notes: tuple[str, ...] = ()

    @property
    def outputs(self) -> Outputs:
        """What the answers mean."""
        return self.meta.outputs

    @property
    def labels(self) -> tuple[str, ...]:
        return self.outputs.labels

    @property
    def best_member(self) -> str:
        """The member that does best by itself on the photos that were held out."""
        higher = figure_of(self.evaluation)[2]
        return (max if higher else min)(self.alone, key=lambda name: figure_of(self.alone[name])[1])

    def predict(self, images: Any, *, topk: int = 5,
                cache_dir: str | os.PathLike | None = None) -> list[Prediction] | dict[str, list[Prediction]]:
        """The likeliest classes of one photo; of several, or a folder, by name, without those that can't be
        opened.

        cache_dir: where the members' scores are kept for the next time, as `run_folder` does
        """
        check_topk(topk)
        found = collect(images)
        raw, kept = self._scores(found, cache_dir=cache_dir)
        rows = [top_predictions(row, self.outputs, topk) for row in raw]
        return rows[0] if is_one(images) else {found.names[i]: row for i, row in zip(kept, rows)}

    @checked(split=word)
    def evaluate(self, data: Any, *, split: str = "val", seed: int = 0,
                 cache_dir: str | os.PathLike | None = None,
                 on_progress: Callable[[int, int], None] | None = None) -> Judged:
        """Judge it by other photos, as `explorer.evaluate` does. split: "val", "train" or "all"

        Raises DataError for photos of other classes.
        """
        if split not in ("val", "train", "all"):
            raise ValueError(f"split is {split!r}: expected one of val, train, all.")
        alone = isinstance(data, PhotoSet)
        found = opened(data, "all", recipe_of({"seed": seed}))
        chosen = range(len(found.photos)) if alone or split == "all" else \
            range(found.cut) if split == "train" else range(found.cut, len(found.photos))
        photos = found.photos.subset(list(chosen)).with_classes(self.labels, f"'{found.name}'")
        raw, kept = self._scores(collect(photos), cache_dir=cache_dir, on_progress=on_progress)
        return judged_by(raw, self.outputs, photos.subset(kept), model_name=self.name, data_name=found.name,
                         split="all" if alone else split)

    def _scores(self, photos: Collection, *, cache_dir: str | os.PathLike | None = None,
                on_progress: Callable[[int, int], None] | None = None) -> tuple[Tensor, list[int]]:
        """(raw scores [N, K], which photos)."""
        numbered = replace(photos, labels=tuple(range(len(photos))), classes=())
        found = run_folder(self.model, numbered, cache_dir=cache_dir, on_progress=on_progress)
        assert found.labels is not None
        return torch.from_numpy(np.array(found.logits)), found.labels.tolist()

    def save(self, folder: str | Path) -> Path:
        """Write members and meta learner as one folder, which `create_model("local-dir:folder",
        pretrained=True)` opens again. Raises FileExistsError where something else is in the folder.
        """
        return self.model.save(folder)

    @property
    def name(self) -> str:
        """What it is called."""
        return f"{self.method} of {', '.join(self.members)}"

    def _text(self, result: Judged) -> str:
        name, value, higher = figure_of(result)
        return percent(value) if higher else number_text(value)

    @property
    def sentence(self) -> str:
        """The result in words; it says so where nothing was gained."""
        figure, value, higher = figure_of(self.evaluation)
        best = self.best_member
        other = figure_of(self.alone[best])[1]
        gained = value > other if higher else value < other
        told = f"better than the best member, {best}" if gained else f"no better than {best} alone"
        return (f"{self.name}: {figure} {self._text(self.evaluation)} on "
                f"{counted(len(self.evaluation), 'held-out photo')}, {told} ({self._text(self.alone[best])})")

    def __repr__(self) -> str:
        return f"Stacked({self.sentence})"

    def _repr_html_(self) -> str:
        rows = []
        for name, result in self.alone.items():
            before = self._text(self.out_of_fold[name])
            weight = percent(self.shares[name]) if self.shares else "–"
            rows.append(row_html(name, [before, self._text(result), weight]))
        rows.append(row_html("mean of their answers", ["", self._text(self.mean), ""]))
        rows.append(row_html(self.method, ["", self._text(self.evaluation), ""]))
        head = ("model", "answers learnt from", "held out", "weight")
        told = [differ(self.alone[self.best_member], self.evaluation).sentence]
        return (f"<div>{title_html(self.sentence + '.')}{notes_html(self.notes)}"
                f"{table_html(head, ''.join(rows), left=1)}{sentences_html(told)}</div>")
