"""A model as a live page tells of it: its stages, what their cells read, its card, its notes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from PIL import Image

from explorer.display.colours import colour_of, hex_of
from explorer.inspection.export.parts import MAP, Leaving
from explorer.inspection.export.places import how_to_go_on
from explorer.inspection.look.stops import MOST, even, words_of
from explorer.inspection.receptive.reads import reads_of
from explorer.inspection.segment.colours import colour_of as colour_of_mask
from explorer.models.card import count_text, model_card
from explorer.models.contract import VisionModel
from explorer.models.detection.detector import Detector
from explorer.models.ensembles.ensemble import EnsembleModel
from explorer.models.ensembles.given import is_run
from explorer.models.members import parameters_in
from explorer.models.names import is_model
from explorer.models.segmentation.segmenter import Segmenter
from explorer.models.weights.table import mac_count

BILINEAR = Image.Resampling.BILINEAR
#: A model's task, as the page's scripts call it.
TASKS = {"classification": "classify", "detection": "detect", "segmentation": "segment"}


@dataclass(frozen=True)
class Entry:
    """A model in the page. graph: the bytes of its ONNX file;  facts: what the page's scripts know of it"""

    leaving: Leaving
    graph: bytes
    facts: dict[str, Any]


def model_facts(given: Any, leaving: Leaving, graph: bytes, told: Mapping[str, Any]) -> dict[str, Any]:
    """What the page's scripts know of a model, ready for JSON.

    given: the model, run or name as a person gave it;  told: what stands in the graph's own metadata
    """
    scale = {key: told[key] for key in ("number_mean", "number_std") if key in told}
    return {
        "name": leaving.name, "title": leaving.name, "task": TASKS[leaving.model.task],
        "labels": told.get("labels", []), "outputs": {"kind": told.get("outputs", ""), **scale},
        "preprocessing": {**told["preprocessing"], "rows_first": rows_first()}, "inputs": told["inputs"],
        "results": told["results"],
        "embedding": told["results"].get("embedding", [0, 0])[-1],
        "stages": _stages(leaving, told),
        "heat": told["heat"], "no_heat": told["no_heat"],
        "card": [list(row) for row in _card(given, leaving.model, told)], "notes": _notes(told),
        "bytes": len(graph), **_places(leaving.model, told),
    }


def _notes(told: Mapping[str, Any]) -> list[str]:
    """Without what only those need who go on from raw boxes: the page does that itself."""
    return [note for note in told["notes"] if "boxes" not in told or note != how_to_go_on(told["boxes"])]


@cache
def rows_first() -> bool:
    """Whether this Pillow's resize begins with the rows where many of them go and few columns do, as newer
    ones do, or always with the columns. It rounds to 8 bits in between, so the order is seen.
    """
    dice = np.random.default_rng(0)
    picture = Image.fromarray(dice.integers(0, 256, (40, 8), dtype=np.uint8))
    rows, whole = picture.resize((8, 16), BILINEAR), picture.resize((9, 16), BILINEAR)
    return rows.resize((9, 16), BILINEAR).tobytes() == whole.tobytes()


def _places(model: VisionModel, told: Mapping[str, Any]) -> dict[str, Any]:
    """Of a network for boxes or masks how boxes are chosen, and a colour for each class; null: not coloured.
    Of an ensemble the members' names.
    """
    labels = told.get("labels", [])
    if isinstance(model, Detector):
        return {"boxes": told["boxes"], "colours": [hex_of(colour_of(index)) for index in range(len(labels))]}
    if isinstance(model, Segmenter):
        return {"colours": [hex_of(colour_of_mask(index)) if index or labels[0] != "background" else None
                            for index in range(len(labels))]}
    return {"members": list(model.names)} if isinstance(model, EnsembleModel) else {}


def _stages(leaving: Leaving, told: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The stages whose maps are in the page, in network order."""
    size = told["preprocessing"]["input_size"][1:]
    reads = _reads(leaving, size)
    strides = {stage.name: stage.reduction for stage in leaving.model.stage_table}
    stops = even(len(leaving.stages), MOST)
    trained = leaving.model.load_report is not None
    places = [strides[leaving.stages[place]] for place in stops]
    words = dict(zip(stops, words_of(places, stops, len(leaving.stages), trained=trained)))
    stages = []
    for place, name in enumerate(leaving.stages):
        field = reads.get(name)
        stages.append({
            "name": name, "words": words.get(place, f"stage {place + 1} of {len(leaving.stages)}"),
            "output": f"{MAP}{name}", "shape": told["results"][f"{MAP}{name}"][1:], "stride": strides[name],
            "shown": place in words,
            "fields": field and {"columns": field.columns, "rows": field.rows, "said": field.said},
        })
    return stages


def _reads(leaving: Leaving, size: Sequence[int]) -> dict[str, Any]:
    try:
        return reads_of(leaving.model, leaving.stages, size)
    except (ValueError, RuntimeError, TypeError, NotImplementedError):  # a foreign one that can't be traced
        return {}


def _card(given: Any, model: VisionModel, told: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What a reader wants to know of the model: (a word, a text)."""
    config, rows = model.config, []
    known = config.architecture if config.architecture and is_model(config.architecture) else ""
    card = model_card(config.name if config.tag and is_model(config.name) else known) if known else None
    if card:
        family = card.family
        rows += [("family", f"{family.title}, {family.year}"), ("idea", family.idea)]
    rows.append(("parameters", count_text(sum(one.numel() for one in parameters_in(model)))))
    size = told["preprocessing"]["input_size"]
    macs = mac_count(known) if known else None
    if card and macs and tuple(size) == tuple(card.config.input_size):
        rows.append(("multiply-adds", f"{count_text(macs)} for one photo"))
    if told.get("labels"):
        rows.append(("numbers" if told["outputs"] == "numbers" else "classes", str(len(told["labels"]))))
    rows.append(("photo", f"{size[2]} x {size[1]} pixels"))
    report = model.load_report
    rows.append(("weights", _weights(given, model) if report is None else report.source or config.name))
    rows.append(("licence of the weights", config.license or "nobody said"))
    if card and config.top1 is not None and not is_run(given):
        rows.append(("accuracy", f"{config.top1:.1f} % top-1 on ImageNet (published)"))
    if card:
        rows.append(("paper", f"{card.family.paper}. {card.family.url}"))
    return rows + _learnt(given)


def _weights(given: Any, model: VisionModel) -> str:
    return "learnt by this run" if is_run(given) else "none were loaded"


def _learnt(given: Any) -> list[tuple[str, str]]:
    """What a run says of itself."""
    if not is_run(given):
        return []
    run: Any = given
    rows = [("began with", str(getattr(run, "began_with", "") or "not known"))]
    data = getattr(run, "data_name", "") or getattr(getattr(run, "data", None), "name", "")
    rows.append(("learnt from", str(data or "not known")))
    if history := getattr(run, "history", None):
        from explorer.display.words import counted

        rows.append(("epochs", counted(len(history), "epoch")))
    return rows
