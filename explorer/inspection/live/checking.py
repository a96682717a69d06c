"""Does the page say what torch says? Asked with every photo that is in it, before it takes its place."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from explorer.data.transforms import create_transform
from explorer.display.words import counted
from explorer.inspection.export.formats import OnnxFile
from explorer.inspection.export.parts import MAP, Portable
from explorer.inspection.live.modelled import Entry
from explorer.inspection.live.photos import PagePhoto
from explorer.inspection.look.model import evaluating, outputs_of
from explorer.inspection.look.predicting import predict
from explorer.models.outputs import Outputs

TOP = 5  # answers of a photo that travel in the page
#: precision -> the largest difference of a share (0..1) from torch's; classes within a tenth of it are
#: equally likely. Of numbers it is counted in their own spread.
LIMITS = {"float16": 1e-2, "float32": 1e-4}
MOST_OF_A_MAP = {"float16": 0.05, "float32": 1e-3}  # of its largest number, for a network without answers


@dataclass
class Report:
    """What was found. largest_map: of all maps, as a share of that map's largest number"""

    limit: float
    photos: int = 0
    same_top: int = 0
    largest_difference: float = 0.0
    largest_map: float = 0.0
    said: list[str] = field(default_factory=list)

    def as_facts(self) -> dict[str, Any]:
        return {"photos": self.photos, "same_top": self.same_top, "limit": self.limit,
                "tie": self.limit / 10, "largest_difference": self.largest_difference,
                "largest_map": self.largest_map,
                "said": self.said}


def joined(reports: Sequence[Report], names: Sequence[str]) -> Report:
    """One report of those of all models in a page; of several each sentence begins with the model's name."""
    whole = Report(reports[0].limit)
    for report, name in zip(reports, names):
        whole.photos += report.photos
        whole.same_top += report.same_top
        whole.largest_difference = max(whole.largest_difference, report.largest_difference)
        whole.largest_map = max(whole.largest_map, report.largest_map)
        whole.said += [f"{name}: {said}" for said in report.said] if len(reports) > 1 else report.said
    return whole


def check_entry(
    entry: Entry, photos: Sequence[PagePhoto], precision: str, report: Report
) -> list[dict[str, Any]]:
    """What torch says of each photo; into `report`, how far the page's network is from that.

    Raises ValueError where it is too far.
    """
    leaving, config = entry.leaving, dict(entry.facts["preprocessing"])
    del config["rows_first"]
    transform, names = create_transform(**config), list(entry.facts["results"])
    others = {name: shape for name, shape in entry.facts["inputs"].items() if name != "image"}
    nothing_asked = {name: torch.zeros(shape) for name, shape in others.items()}
    expected = []
    with tempfile.TemporaryDirectory(prefix="explorer-live-") as folder:
        file = Path(folder, "net.onnx")
        file.write_bytes(entry.graph)
        run = OnnxFile().runner(file)
        for photo in photos:
            image = transform(photo.picture)[None]
            with evaluating(leaving.model), torch.no_grad():
                wanted = Portable(leaving)(image)
            found = run({"image": image, **nothing_asked}, names)
            compare_maps(wanted, found, report)
            expected.append(_compare_answers(entry, photo, found, report))
    _say(entry, report, precision)
    return expected


def compare_maps(wanted: dict[str, Tensor], found: dict[str, Tensor], report: Report) -> None:
    for name, values in wanted.items():
        if name.startswith(MAP):
            most = float(values.abs().max()) or 1.0
            report.largest_map = max(report.largest_map, float((found[name] - values).abs().max()) / most)


def _compare_answers(
    entry: Entry, photo: PagePhoto, found: dict[str, Tensor], report: Report
) -> dict[str, Any]:
    report.photos += 1
    if "logits" not in found:
        report.same_top += 1
        return {"top": []}
    model = entry.leaving.model
    outputs = outputs_of(model)
    told: Any = predict(model, photo.picture, topk=min(TOP, len(outputs)))
    numbers = outputs.numbers
    top = [(one.index, one.value if numbers else one.probability) for one in told][:TOP]
    shares = (outputs.values if numbers else outputs.probabilities)(found["logits"].double())[0]
    difference = max(abs(float(shares[index]) - value) / _spread(outputs, index, value)
                     for index, value in top)
    best = float(shares.max()) - float(shares[top[0][0]])
    same = numbers or best <= report.limit / 10
    report.same_top += same
    report.largest_difference = max(report.largest_difference, difference)
    if not same or not difference <= report.limit:  # NaN is no agreement
        what = f"the likeliest class of “{photo.title}” is “{outputs.labels[int(shares.argmax())]}”, not " \
               f"“{outputs.labels[top[0][0]]}”" if not same else \
               f"an answer to “{photo.title}” differs by {difference:.2g}, and {report.limit:g} is allowed"
        raise ValueError(f"{entry.leaving.name} would not say in a browser what it says here, so the page "
                         f"was not written: {what}.{advice(report)}")
    return {"top": [[int(index), float(value)] for index, value in top]}


def _spread(outputs: Outputs, index: int, value: float) -> float:
    """What a difference is counted in: a share is one; a number has its own unit."""
    if not outputs.numbers:
        return 1.0
    return outputs.std[index] if outputs.std else max(1.0, abs(value))


def advice(report: Report) -> str:
    return " Take precision='float32', which keeps the weights as they are." if report.limit > 1e-3 else ""


def _say(entry: Entry, report: Report, precision: str) -> None:
    name, most = entry.leaving.name, MOST_OF_A_MAP[precision]
    photos = counted(report.photos, "photo")
    if not entry.facts["labels"]:
        if not report.largest_map <= most:
            raise ValueError(f"{name} would not give in a browser what it gives here, so the page was not "
                             f"written: a map differs by {report.largest_map:.1%} of its largest number."
                             f"{advice(report)}")
        report.said.append(f"{photos}, prepared as this page does it, went through the network in this page "
                           "and through PyTorch.")
    elif entry.facts["outputs"]["kind"] == "numbers":
        report.said.append(f"Of {photos} the network in this page gave the numbers that PyTorch gives: the "
                           f"largest difference is {report.largest_difference:.1g} of a number's spread.")
    else:
        report.said.append(f"Of {photos} the network in this page gave the likeliest class that PyTorch "
                           "gives; the largest difference of a share is "
                           f"{100 * report.largest_difference:.2g} percentage points.")
    if report.largest_map:
        report.said.append(f"The maps differ from PyTorch's by {100 * report.largest_map:.2g} % of the "
                           "largest number of a map at most.")
