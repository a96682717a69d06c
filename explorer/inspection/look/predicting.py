"""Predictions for one photo or many: a list or a folder becomes a table, a few photos in memory at a time.

    predict("tf_efficientnet_lite0", "holiday/")         # a PredictionTable, which shows itself in a notebook
"""

from __future__ import annotations

import csv
import io
import json
import math
import os
from collections import Counter
from dataclasses import asdict, dataclass, field
from html import escape
from pathlib import PurePath
from typing import Any

import numpy as np
import torch
from torch import Tensor

from explorer.arguments import checked
from explorer.data.images import ImageError
from explorer.data.tables import safe_cell
from explorer.display import draw
from explorer.files import given_path, write_text
from explorer.inspection.look.answers import Prediction, check_topk, top_predictions
from explorer.inspection.look.faster import Faster
from explorer.inspection.look.looking import photo_for
from explorer.inspection.look.many import answered, is_one, named_photos
from explorer.inspection.look.model import as_model, evaluating, model_name, notes_on, outputs_of
from explorer.inspection.look.own_inputs import transform_for
from explorer.inspection.look.table import ROWS_SHOWN, AnswerTable
from explorer.models.contract import VisionModel, parameter_place


@dataclass(frozen=True)
class PredictionRow:
    """One photo of a table.

    name:        its file name (within the folder), or "image 3" for a picture that has none
    predictions: best first; empty if the picture could not be opened
    error:       why it could not be opened, in one sentence, else ""
    """

    name: str
    predictions: list[Prediction]
    error: str = ""
    thumbnail: str = field(default="", repr=False, compare=False)  # a data URI, for the first rows


@dataclass(repr=False)
class PredictionTable(AnswerTable[PredictionRow]):
    """The predictions for several photos, in the order of the photos. Iterates over its rows.

    ignored: how many files of the folder are no pictures;  notes: as in `Look`
    """

    all_in = "to_csv() and to_json()"

    @property
    def numbers(self) -> bool:
        """Whether the model gives numbers, not classes: then every prediction has a `value`."""
        return any(p.value is not None for row in self.rows for p in row.predictions)

    def to_json(self) -> str:
        """[{"name", "predictions": [{"label", "index", "probability", "logit"}], "error"}]; null for NaN.

        Of a model that gives numbers each prediction has a "value" too, and no probability (null).
        """
        rows = [{"name": row.name, "predictions": [_finite(asdict(p)) for p in row.predictions],
                 "error": row.error or None} for row in self.rows]
        return json.dumps(rows, ensure_ascii=False, indent=1, allow_nan=False)

    def to_csv(self, path: str | os.PathLike) -> None:
        """Write a line a prediction: name, rank, label, index, probability, logit; and a line an error.

        Of a model that gives numbers: name, label, index, value, logit, all numbers of a photo one below the
        other. A name or label that a spreadsheet would take for a formula has an apostrophe in front.
        """
        file = io.StringIO(newline="")
        writer = csv.writer(file)
        numbers = self.numbers
        facts = ("rank", "label", "index", "probability", "logit")
        if numbers:
            facts = ("label", "index", "value", "logit")
        writer.writerow(["name", *facts, "error"])
        for row in self.rows:
            for rank, p in enumerate(row.predictions, start=1):
                cells = [p.index, p.value if numbers else p.probability, p.logit]
                first = [safe_cell(row.name), *(() if numbers else (rank,)), safe_cell(p.label)]
                writer.writerow([*first, *cells, ""])
            if row.error:
                writer.writerow([safe_cell(row.name), *[""] * len(facts), safe_cell(row.error)])
        write_text(given_path(path), file.getvalue())

    def _names_shown(self) -> list[str]:
        """The rows' names; of a full path the file's name alone, where that tells the rows apart."""
        paths = [PurePath(row.name) for row in self.rows]
        short = [path.name if path.is_absolute() else row.name for path, row in zip(paths, self.rows)]
        count = Counter(short)
        return [name if count[name] == 1 else row.name for name, row in zip(short, self.rows)]

    def __str__(self) -> str:
        width = min(40, max((len(row.name) for row in self.rows), default=0))
        lines = [f"{self.model_name}: {self._summary()}", *self.notes]
        return "\n".join([*lines, *(f"{row.name:<{width}}  {self._answer(row)}" for row in self.rows)])

    def _answer(self, row: PredictionRow) -> str:
        return ", ".join(f"{p.label} {p.text}" for p in row.predictions) or row.error

    def _answer_html(self, row: PredictionRow) -> str:
        if row.predictions[0].value is not None:  # none of the numbers is the best of them
            return ", ".join(f"{escape(p.label)} <b>{escape(p.text)}</b>" for p in row.predictions)
        best, *others = row.predictions
        answer = f"<b>{escape(best.label)}</b> {best.text}"
        if others:
            rest = ", ".join(f"{escape(p.label)} {p.text}" for p in others)
            answer += f"<br><span style='font-size:.85em'>{rest}</span>"
        return answer


@checked
def predict(
    model: VisionModel | str, images: Any, *, topk: int = 5, batch_size: int = 32
) -> list[Prediction] | PredictionTable:
    """Classify one photo, or many; or say the numbers that a model gives for them.

    model:      an explorer model with a classifier, or a name, created with its trained weights
    images:     anything `load_image` takes -> list of the `topk` best predictions, or of all its numbers;
                a list (or another iterable) of these, or a folder -> `PredictionTable`. A folder is searched
                with its subfolders for picture files, in natural order; a picture that can't be opened
                becomes a row that says why
    batch_size: photos that go through the network together; about twice as many are in memory at a time

    Threads open photos while the network looks at others. Of many photos a faster copy of the model sees
    most, whose numbers are the same but for rounding (see `explorer.optimize`); if that is a small one on a
    CPU, each thread runs a few photos by itself.

    Raises ImageError if the one photo is no picture, WeightsError where weights can't be had, ValueError for
    a model without classifier.
    """
    check_topk(topk)
    model = as_model(model)
    if not model.num_classes:
        raise ValueError("This model has no classifier (num_classes=0), so there is nothing to predict. "
                         "Its features are in look(model, image).embedding.")
    transform, outputs = transform_for(model), outputs_of(model)

    if is_one(images):
        tensor = transform(photo_for(model, images))
        with evaluating(model), torch.inference_mode():
            found = _scores(model, tensor[None])[0][0]
        return top_predictions(torch.from_numpy(found), outputs, topk)

    table = PredictionTable(model_name(model))
    named, total, table.ignored = named_photos(images)

    def opened(item: tuple[int, tuple[str, Any]]) -> tuple[PredictionRow, Tensor | None]:  # in a thread
        number, (name, image) = item
        try:
            photo = photo_for(model, image)
            tensor = transform(photo)
        except ImageError as error:
            return PredictionRow(name, [], str(error)), None
        small = draw.data_uri(draw.thumbnail(photo, 64), format="JPEG") if number < ROWS_SHOWN else ""
        return PredictionRow(name, [], thumbnail=small), tensor

    broken: Tensor | None = None  # scores of a photo that are no numbers
    scores = Faster(model, _scores)
    for group in answered(scores, opened, enumerate(named), batch_size=batch_size, total=total):
        for row, found in group:
            if found is not None:
                answer = torch.from_numpy(found[0])
                row.predictions.extend(top_predictions(answer, outputs, topk))
                if not torch.isfinite(answer).all():
                    broken = answer
        table.rows += [row for row, _ in group]
    table.notes = notes_on(model, broken)
    return table


def _scores(model: VisionModel, batch: Tensor) -> tuple[np.ndarray]:
    """Photos [B, C, H, W] -> (raw scores [B, K],), float32."""
    return (model(batch.to(**parameter_place(model))).float().cpu().numpy(),)


def _finite(facts: dict[str, Any]) -> dict[str, Any]:
    """Facts of a prediction for JSON, which knows no NaN; a class has no value."""
    return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in facts.items()
            if not (k == "value" and v is None)}
