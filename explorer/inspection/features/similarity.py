"""How alike two networks see: linear CKA between every stage of one and every stage of the other.

    alike = compare_stages("resnet18", "tf_efficientnet_lite0", "flowers5")
    alike.matrix                     # [stages of a, stages of b], from 0 (nothing in common) to 1
    alike.figure()

A stage turns n photos into n points. Linear CKA asks whether the same photos lie close to each other in both
stages: it compares the two tables of n x n inner products, so stages of different widths can be compared, and
a rotation or a common scale of one of them changes nothing.

    S. Kornblith, M. Norouzi, H. Lee, G. Hinton, Similarity of Neural Network Representations Revisited, ICML
    2019, arXiv 1905.00414; in batches, with an estimate that does not depend on their size: T. Nguyen, M.
    Raghu, S. Kornblith, Do Wide and Deep Networks Learn the Same Things?, ICLR 2021, arXiv 2010.15327
"""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from explorer.arguments import checked
from explorer.data.images import ImageError
from explorer.data.photos import collect
from explorer.data.reading import in_order
from explorer.data.tables import safe_cell
from explorer.data.transforms import create_transform
from explorer.display.charts import no_formulas
from explorer.display.html import LINE, RichRepr, notes_html, plain_table
from explorer.inspection.look.bodies import features_config
from explorer.inspection.look.model import as_model, evaluating, model_name, notes_on
from explorer.models.body import OverBody
from explorer.models.contract import VisionModel, parameter_place

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FEWEST = 4  # photos that the estimate needs: it divides by n - 3
MOST_NUMBERS = 2**27    # of one stage's maps, of a batch: half a gigabyte, and as much for their copy
MOST_AT_ONCE = 10**6    # photos in a batch


def cka(x: Any, y: Any) -> float:
    """Linear CKA of two representations of the same n photos, x [n, D1] and y [n, D2]: 0 to 1.

    All photos at once, computed in float64 (Kornblith et al. 2019, equation 5 with the linear kernel). NaN
    where the photos are all alike in one of them. Raises ValueError for other shapes. With fewer photos than
    dimensions it is biased towards 1; `unbiased_cka` is not.
    """
    x, y = _centred(x), _centred(y)
    if len(x) != len(y):
        raise ValueError(f"x has {len(x)} rows and y {len(y)}: give the same photos, in the same order, "
                         "to both.")
    if min(len(x), x.shape[1], y.shape[1]) == 0:
        raise ValueError(f"x is {list(x.shape)} and y {list(y.shape)}: "
                         "expected at least one photo and one number each.")
    if len(x) < max(x.shape[1], y.shape[1]):  # the n x n tables are the smaller ones
        a, b = x @ x.T, y @ y.T
        return _share((a * b).sum(), (a * a).sum(), (b * b).sum())
    return _share(((x.T @ y) ** 2).sum(), ((x.T @ x) ** 2).sum(), ((y.T @ y) ** 2).sum())


def unbiased_cka(x: Any, y: Any) -> float:
    """Linear CKA of x [n, D1] and y [n, D2], n from 4, with the unbiased estimate of HSIC.

    About 0 for representations that have nothing in common, however wide they are: then also a little below
    0.
    Source: Nguyen, Raghu, Kornblith 2021, equation 3.
    """
    x, y = _centred(x), _centred(y)
    if len(x) != len(y) or len(x) < FEWEST:
        raise ValueError(f"x has {len(x)} rows and y {len(y)}: expected the same photos in both, "
                         f"at least {FEWEST}.")
    grams = torch.from_numpy(np.stack([x @ x.T, y @ y.T]))
    table = hsic(grams, grams)
    return _share(float(table[0, 1]), float(table[0, 0]), float(table[1, 1]))


def hsic(a: Tensor, b: Tensor) -> Tensor:
    """Unbiased HSIC of every pair of Gram matrices: a [S, n, n], b [T, n, n] -> [S, T]. n from 4.

    HSIC_1 of L. Song et al., Feature Selection via Dependence Maximization, JMLR 2012, equation 5.
    """
    n = a.shape[-1]
    off = 1 - torch.eye(n, dtype=a.dtype)
    a, b = a * off, b * off
    rows_a, rows_b = a.sum(-1), b.sum(-1)  # [S, n], [T, n]
    trace = a.flatten(1) @ b.flatten(1).T
    sums = rows_a.sum(-1)[:, None] * rows_b.sum(-1)[None] / ((n - 1) * (n - 2))
    return (trace + sums - 2 / (n - 2) * (rows_a @ rows_b.T)) / (n * (n - 3))


def _centred(values: Any) -> np.ndarray:
    values = values.detach().cpu().numpy() if isinstance(values, Tensor) else np.asarray(values)
    if values.dtype.kind not in "fiub":
        raise TypeError(f"A representation holds {values.dtype.name}: expected numbers, [photos, numbers].")
    if values.ndim != 2:
        raise ValueError(f"A representation has shape {list(values.shape)}: expected [photos, numbers]; "
                         "flatten maps first.")
    values = values.astype(np.float64)
    return values - values.mean(0) if len(values) else values


def _share(both: float, first: float, second: float) -> float:
    """HSIC as a share of what it could be at most; NaN where one side has no variance."""
    return float(both / np.sqrt(first * second)) if first > 0 and second > 0 else float("nan")


# --- two networks -------------------------------------------------------------------------------------------


@dataclass(eq=False, repr=False)
class StageSimilarity(RichRepr):
    """Linear CKA of every stage of one network with every stage of another.

    matrix: [S, T] float64, rows are a's stages;  stages_a, stages_b: their names, in network order
    photos: how many were compared;  batch_size: of the estimate;  complete: False where it was stopped before
            the last photo
    problems: [(name, why)] of photos that could not be opened
    """

    name_a: str
    name_b: str
    stages_a: tuple[str, ...]
    stages_b: tuple[str, ...]
    matrix: np.ndarray
    photos: int
    batch_size: int
    seconds: float
    complete: bool = True
    problems: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()

    def best(self) -> list[tuple[str, str, float]]:
        """For each stage of a: the stage of b that is most like it, and how much."""
        return [(name, self.stages_b[int(np.nanargmax(row))], float(np.nanmax(row))) if np.isfinite(row).any()
                else (name, "", float("nan")) for name, row in zip(self.stages_a, self.matrix)]

    @property
    def caption(self) -> str:
        return (f"Linear CKA, estimated without bias in batches of {self.batch_size}, "
                f"over {self.photos:,} photos"
                + ("" if self.complete else " (stopped before the last one)"))

    def figure(self) -> Figure:
        """The matrix as a picture, the first stages at the lower left."""
        from matplotlib.figure import Figure

        rows, columns = self.matrix.shape
        size = max(3.6, 0.34 * columns + 2.4), max(3.2, 0.34 * rows + 1.8)
        figure = Figure(figsize=(min(size[0], 14), min(size[1], 14)), layout="constrained")
        self.plot(figure.subplots())
        return no_formulas(figure)

    def plot(self, axes: Axes) -> None:
        """Draw the matrix, with its scale, into a part of a figure."""
        rows, columns = self.matrix.shape
        picture = axes.imshow(self.matrix, origin="lower", cmap="magma", vmin=0, vmax=1, aspect="auto")
        axes.set_xticks(range(columns), self.stages_b, rotation=60, ha="right", rotation_mode="anchor",
                        fontsize=8)
        axes.set_yticks(range(rows), self.stages_a, fontsize=8)
        axes.set_xlabel(self.name_b)
        axes.set_ylabel(self.name_a)
        axes.set_title(f"Similarity of stages\n{self.caption}", fontsize=9)
        if rows * columns <= 200:
            for (row, column), value in np.ndenumerate(self.matrix):
                if np.isfinite(value):
                    axes.text(column, row, f"{value:.2f}", ha="center", va="center", fontsize=7,
                              color="black" if value > 0.6 else "white")
        axes.figure.colorbar(picture, ax=axes, label="CKA")

    def to_csv(self) -> str:
        """The matrix as a table: a row for each stage of a."""
        file = io.StringIO()
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["stage", *map(safe_cell, self.stages_b)])
        for name, row in zip(self.stages_a, self.matrix):
            writer.writerow([safe_cell(name), *(f"{value:.6f}" for value in row)])
        return file.getvalue()

    def __repr__(self) -> str:
        rows, columns = self.matrix.shape
        return f"StageSimilarity({self.name_a!r}, {self.name_b!r}, {rows} x {columns} stages)"

    def _repr_html_(self) -> str:
        """The matrix as an HTML table, shaded; the numbers are text."""
        cell = "padding:2px 7px;text-align:right;font-variant-numeric:tabular-nums"
        head = "".join(f"<th scope='col' style='{cell};font-weight:normal'>{escape(name)}</th>"
                       for name in self.stages_b)
        body = []
        for name, row in zip(self.stages_a[::-1], self.matrix[::-1]):
            tints = np.clip(np.nan_to_num(row), 0, 1) * 0.85
            cells = "".join(f"<td style='{cell};background:rgba(74,143,217,{tint:.2f})'>{value:.2f}</td>"
                            for value, tint in zip(row, tints))
            first = f"<th scope='row' style='{cell};font-weight:normal'>{escape(name)}</th>"
            body.append(f"<tr>{first}{cells}</tr>")
        said = (f"Rows: <b>{escape(self.name_a)}</b>, the last stage on top; columns: "
                f"<b>{escape(self.name_b)}</b>. {escape(self.caption)}.")
        return (f"<div><p style='{LINE}'>{said}</p>{notes_html(self.notes)}<div style='overflow-x:auto'>"
                f"{plain_table(f'<th></th>{head}', ''.join(body))}</div></div>")


@checked
def compare_stages(
    model_a: VisionModel | str, model_b: VisionModel | str, photos: Any, *, batch_size: int = 32,
    limit: int | None = None,
    on_progress: Callable[[int, int], None] | None = None, should_stop: Callable[[], bool] | None = None,
) -> StageSimilarity:
    """Linear CKA between all stages of two networks, over photos that each of them prepares in its own way.

    model_a, model_b: explorer models or names; the same twice shows how a network changes from stage to stage
    photos:      as in `run_folder`; at least 4 that can be opened
    batch_size:  photos of one estimate, 4 or more. HSIC is estimated without bias in each batch and averaged
                 over batches of about the same size (Nguyen et al. 2021), so one batch of photos is in memory
                 at a time
    limit:       at most so many photos, spread evenly over the others; a hundred or two give nearly the
                 numbers of all
    on_progress, should_stop: called after every batch, on_progress with (photos done, photos in all); True
                 from should_stop ends it, with the estimate of the photos so far

    The whole maps are compared, not their means. Raises ValueError for fewer than 4 photos, or a batch_size
    below 4.
    """
    if batch_size < FEWEST:
        raise ValueError(f"batch_size is {batch_size!r}: the estimate needs at least {FEWEST} photos in a "
                         "batch.")
    if limit is not None and limit < FEWEST:
        raise ValueError(f"limit is {limit!r}: the estimate needs at least {FEWEST} photos.")
    started = time.perf_counter()
    models = [as_model(model_a, task=None)]
    models.append(models[0] if model_b is model_a else as_model(model_b, task=None))
    for model in models:
        if not model.stage_table:
            raise ValueError(f"{model_name(model)} has no stages whose maps could be compared. Its vectors "
                             "can be: explorer.cka(a.vectors, b.vectors) for a and b from explorer.embed.")
    photos = collect(photos)
    count = min(len(photos), limit or len(photos))
    places = [number * len(photos) // count for number in range(count)]
    configs = [features_config(model) for model in models]
    transforms = [create_transform(**config) for config in configs]
    batch_size = min(batch_size, *map(_at_once, models, configs))
    if models[0] is models[1]:
        transforms = transforms[:1]

    def prepared(number: int) -> list[Tensor] | str:  # in a thread
        try:
            photo = photos.open_one(places[number])
            return [transform(photo) for transform in transforms]
        except (ImageError, OSError) as error:
            return str(error)

    sums, weight, problems, done, complete = None, 0, [], 0, True
    waiting: list[list[Tensor]] = []
    for number, opened in enumerate(in_order(prepared, range(count), ahead=batch_size + 8)):
        if isinstance(opened, str):
            problems.append((photos.names[places[number]], opened))
        else:
            waiting.append(opened)
        last = number + 1 == count
        # The last batch joins the one before it where it is too small to be estimated alone.
        few_left = count - number - 1 < FEWEST
        if last or (len(waiting) >= batch_size and not few_left):
            if len(waiting) >= FEWEST:
                grams = [_grams(model, torch.stack([one[min(side, len(one) - 1)] for one in waiting]))
                         for side, model in enumerate(models[:len(transforms)])]
                a, b = grams[0], grams[-1]
                new = [hsic(a, b), hsic(a, a).diagonal(), hsic(b, b).diagonal()]
                sums = new if sums is None else [old + more for old, more in zip(sums, new)]
                weight, done = weight + 1, done + len(waiting)
                waiting = []
            if on_progress is not None:
                on_progress(number + 1, count)
            if not last and should_stop is not None and should_stop():
                complete = False
                break
    if sums is None:
        raise ValueError(f"{done + len(waiting)} of {count} photos could be opened: the similarity of stages "
                         f"needs at least {FEWEST}.")
    both, first, second = (total.numpy() / weight for total in sums)
    scale = np.sqrt(np.maximum(first, 0)[:, None] * np.maximum(second, 0)[None])
    matrix = np.divide(both, scale, out=np.full_like(both, np.nan), where=scale > 0)
    notes = [f"{model_name(model)}: {note}" for model in dict.fromkeys(models) for note in notes_on(model)]
    stages_a, stages_b = (tuple(stage.name for stage in model.stage_table) for model in models)
    return StageSimilarity(
        model_name(models[0]), model_name(models[1]), stages_a, stages_b, matrix, done, batch_size,
        time.perf_counter() - started, complete, tuple(problems), tuple(notes),
    )


def _at_once(model: VisionModel, config: dict[str, Any]) -> int:
    """How many photos' maps of one stage, and a copy of them, may be in memory; of networks for boxes or
    masks, whose photos are large, fewer.
    """
    if not isinstance(model, OverBody):
        return MOST_AT_ONCE
    height, width = config["input_size"][1:]
    largest = max(stage.channels * (height // stage.reduction) * (width // stage.reduction)
                  for stage in model.stage_table)
    return max(FEWEST, MOST_NUMBERS // largest)


def _grams(model: VisionModel, batch: Tensor) -> Tensor:
    """Photos [B, C, H, W] -> inner products of every stage's maps, [S, B, B] float64, one stage at a time."""
    grams = []
    with evaluating(model), torch.inference_mode():
        walk = model.forward_stages(batch.to(**parameter_place(model)))
        for _ in model.stage_table:
            rows = next(walk).flatten(1).float()  # [B, C*h*w]
            # CKA does not change with the mean; without it the small differences keep their digits
            rows = rows - rows.mean(0)
            grams.append((rows @ rows.T).double().cpu())
        walk.close()
    return torch.stack(grams)


__all__ = ["StageSimilarity", "cka", "compare_stages", "hsic", "unbiased_cka"]
