"""The numbers that a model gives for photos whose numbers are known, and every figure on them.

It keeps answers and truth, and works a figure out of them when it is first asked for.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from explorer.data.photo_sets import PhotoSet
from explorer.training.evaluation.figures import WORST, Throughput


@dataclass(frozen=True)
class NumberFigures:
    """One number, in its own unit.

    mae:  the mean distance between answer and truth;  rmse: the root of the mean squared one, which large
          errors raise more
    r2:   the share of the truth's spread that the answers explain: 1 is right every time, 0 as good as giving
          the truth's mean for every photo, below 0 worse. None where there is nothing to explain: one photo,
          or the same truth for all
    bias: the mean of answer minus truth: above 0 it says too much
    guess: the MAE of giving the mean of these very photos' truth every time, to hold `mae` against
    """

    mae: float
    rmse: float
    r2: float | None
    bias: float
    guess: float


@dataclass(frozen=True)
class EstimatedPhoto:
    """One photo and what the model made of it.

    index: its place in `predicted`;  name, file: of the photo; file is "" where it has none
    true, predicted: each number, in its own unit
    error: how far off, in standard deviations (see `NumberEvaluation.errors`)
    """

    index: int
    name: str
    file: str
    true: tuple[float, ...]
    predicted: tuple[float, ...]
    error: float


@dataclass(eq=False, repr=False)
class NumberAnswers:
    """The figures of a `NumberEvaluation`, which says what its fields are and shows them."""

    numbers: tuple[str, ...]
    predicted: Tensor
    truth: Tensor
    names: tuple[str, ...]
    scale: tuple[float, ...] = ()
    files: tuple[Path, ...] = ()
    notes: tuple[str, ...] = ()
    broken: tuple[tuple[str, str], ...] = ()
    model_name: str = ""
    data_name: str = ""
    split: str = ""
    tta: bool = False
    throughput: Throughput | None = None
    data: PhotoSet | None = None  # the judged photos, to open one again

    def __post_init__(self) -> None:
        self.predicted, self.truth = (torch.as_tensor(each).double() for each in (self.predicted, self.truth))
        shape = (len(self.names), len(self.numbers))
        fits = self.predicted.shape == self.truth.shape == shape and len(self.scale) in (0, shape[1])
        if not fits or not len(self.names):
            raise ValueError(f"The parts do not fit: predicted {list(self.predicted.shape)}, truth "
                             f"{list(self.truth.shape)}, {len(self.numbers)} numbers, {len(self.names)} "
                             f"names, {len(self.scale)} scales.")
        unknown = [name for name, figures in self.per_number.items() if figures.r2 is None]
        if unknown:
            why = "of one photo" if len(self) == 1 else "the truth is the same for every photo"
            self.notes = (*self.notes, f"R² of {', '.join(unknown)} is not defined: {why}.")

    def __len__(self) -> int:
        return len(self.names)

    @property
    def residuals(self) -> Tensor:
        """Answer minus truth, in the numbers' own units, [N, K]."""
        return self.predicted - self.truth

    @cached_property
    def errors(self) -> Tensor:
        """How far off each photo is, [N]: in standard deviations (see `scale`), the mean over its numbers."""
        scale = self.truth.new_tensor(self.scale) if self.scale else self.truth.std(0, correction=0)
        return (self.residuals.abs() / torch.where(scale > 0, scale, torch.ones_like(scale))).mean(1)

    # --- figures ----------------------------------------------------------------------------------------

    @cached_property
    def per_number(self) -> dict[str, NumberFigures]:
        """The figures of each number, by its name."""
        return {name: _figures(self.predicted[:, i], self.truth[:, i]) for i, name in enumerate(self.numbers)}

    @property
    def mae(self) -> float:
        return self._mean("mae")

    @property
    def rmse(self) -> float:
        return self._mean("rmse")

    @property
    def r2(self) -> float | None:
        """None where it is not defined for one of the numbers."""
        return None if any(each.r2 is None for each in self.per_number.values()) else self._mean("r2")

    def _mean(self, figure: str) -> float:
        return sum(getattr(each, figure) for each in self.per_number.values()) / len(self.numbers)

    # --- photo by photo ---------------------------------------------------------------------------------

    @cached_property
    def rows(self) -> list[EstimatedPhoto]:
        """Every photo, in the order of the data."""
        return [self._row(i) for i in range(len(self))]

    def _row(self, index: int) -> EstimatedPhoto:
        file = str(self.files[index]) if self.files else ""
        return EstimatedPhoto(index, self.names[index], file, tuple(self.truth[index].tolist()),
                              tuple(self.predicted[index].tolist()), float(self.errors[index]))

    @cached_property
    def worst(self) -> list[EstimatedPhoto]:
        """The photos that it is furthest off for, worst first, at most 20: a table's mistakes are here too.
        """
        return [self._row(i) for i in self.errors.argsort(descending=True, stable=True)[:WORST].tolist()]

    def open_photo(self, row: EstimatedPhoto) -> Image.Image:
        """That photo, upright RGB. Raises ImageError where it is gone, ValueError where none were given."""
        if self.data is None:
            raise ValueError("This evaluation has no photos, only the numbers that they got.")
        return self.data.open_one(row.index)


def _figures(predicted: Tensor, truth: Tensor) -> NumberFigures:
    """Of one number, [N] each."""
    off, spread = predicted - truth, truth - truth.mean()
    flat = len(truth) < 2 or bool((truth == truth[0]).all())
    r2 = None if flat else 1 - float(off.square().sum() / spread.square().sum())
    mae, rmse = float(off.abs().mean()), math.sqrt(float(off.square().mean()))
    return NumberFigures(mae, rmse, r2, float(off.mean()), float(spread.abs().mean()))
