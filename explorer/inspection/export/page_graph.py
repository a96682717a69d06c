"""The network of a live page: one ONNX file that also gives the heat map for whatever class is asked for.

    whole_file, told = page_file(opened(model, "all"), precision="float16")

    inputs   image [1, C, H, W], class_weights [1, W], direction [1, D]
    results  those of `explorer.export`, and heat [1, h, w], 0 to 1

The heat map is the one that `explorer.explain` draws where nobody says how, for the score
<class_weights, logits> + <direction, embedding>; both all zero: for the likeliest class. A network whose heat
map can't leave takes its image alone, and gives no heat.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from explorer.display.words import counted
from explorer.inspection.attribution.cams import grad_cam
from explorer.inspection.export.checking import difference, photo_like
from explorer.inspection.export.facts import facts, preprocessing
from explorer.inspection.export.formats import OnnxFile
from explorer.inspection.export.heat import HEAT, Heated, asked_by, recorded, scaled
from explorer.inspection.export.narrowing import check_precision, narrowed
from explorer.inspection.export.parts import Leaving, Portable
from explorer.inspection.export.writing import answers, check, file_of, leaving_torch, reason
from explorer.inspection.look.model import outputs_of
from explorer.models.detection.detector import Detector
from explorer.models.segmentation.segmenter import Segmenter

Questions = list[tuple[dict[str, Tensor], dict[str, Tensor]]]  # (inputs, what comes out), by name


def page_file(leaving: Leaving, *, precision: str = "float16") -> tuple[bytes, dict[str, Any]]:
    """(the bytes of the ONNX file, what is known of it: the facts of `explorer.export`, and these).

    inputs:  {name: shape}
    heat:    {stage, shape: [h, w], said} or None;  no_heat: why there is none, in a sentence, else ""
    rounding: {result: the largest difference to torch in float32, as a share of its largest number}

    precision: in which the weights lie in the file, "float32" or "float16"

    Checked as `explorer.export` does, and the heat map against `explorer.explain`, for the likeliest class,
    for another one, and for a direction. Raises ModuleNotFoundError where a package is missing, and
    ValueError for a network that can't leave.
    """
    check_precision(precision)
    kind = OnnxFile()
    kind.prepare()
    prepared = preprocessing(leaving)
    with leaving_torch(leaving) as part, tempfile.TemporaryDirectory() as folder:
        image = photo_like(prepared, 1)
        expected = answers(part, image, leaving.name)
        told = facts(leaving, prepared, expected)
        plain: Questions = [({"image": image}, expected)]
        graph, questions, heat, why = _with_heat(leaving, part, image, expected, prepared)
        path, written = Path(folder) / "page.onnx", b""
        if graph is not None:
            try:
                written = _written(kind, leaving.name, graph, questions, told, heat, "", precision, path)
            except ValueError as error:
                why = f"The heat map of {leaving.name} can't leave torch: {error}"
        if not written:
            questions, heat = plain, None
            written = _written(kind, leaving.name, part, plain, told, None, why, precision, path)
        inputs, results = questions[0]
        found = kind.run(path, inputs, list(results))
    rounding = {name: _share(found[name], wanted) for name, wanted in results.items()}
    return written, _page_facts(told, questions, heat, why if heat is None else "") | {"rounding": rounding}


def _page_facts(
    told: Mapping[str, Any], questions: Questions, heat: dict[str, Any] | None, why: str
) -> dict[str, Any]:
    shapes = ({name: list(tensor.shape) for name, tensor in side.items()} for side in questions[0])
    inputs, results = shapes
    return {**told, "inputs": inputs, "results": results, "heat": heat, "no_heat": why}


def _written(
    kind: OnnxFile, name: str, part: nn.Module, questions: Questions, told: Mapping[str, Any],
    heat: dict[str, Any] | None, why: str, precision: str, path: Path,
) -> bytes:
    known = _page_facts(told, questions, heat, why)
    whole = file_of(kind, name, part, questions[0][0], known, "float32")
    path.write_bytes(whole)
    for inputs, expected in questions:
        check(kind, path, inputs, expected, name, "float32")
    if precision == "float16":  # of the rounded weights the heat map is right, since it was of these
        whole = narrowed(whole)
        path.write_bytes(whole)
        for inputs, expected in questions:
            answer = {result: wanted for result, wanted in expected.items() if result != HEAT}
            check(kind, path, inputs, answer, name, precision)
    return whole


def _with_heat(
    leaving: Leaving, part: Portable, image: Tensor, expected: dict[str, Tensor], prepared: dict[str, Any]
) -> tuple[nn.Module | None, Questions, dict[str, Any] | None, str]:
    """(the graph, questions to check it by, the facts of the heat map, "") or (None, [], None, why not)."""
    model, name = leaving.model, leaving.name
    if isinstance(model, Detector | Segmenter):
        finds = "boxes" if isinstance(model, Detector) else "masks"
        return None, [], None, f"{name} finds {finds}: its answer already says where."
    if leaving.maps_only or not model.num_classes:
        return None, [], None, f"{name} has no classifier, so there is no class to draw a heat map for."
    if not model.stage_table:
        return None, [], None, f"{name} has no stages, so there is no map to draw a heat map from."
    try:
        source, map_, gradient = asked_by(model, image, prepared)
    except ValueError:
        return None, [], None, (f"No gradient leads from the scores of {name} back to the map of a stage, so "
                                "there is no heat map here. In Python explorer.explain draws one with "
                                'method="occlusion".')
    cam, heated = grad_cam(map_, gradient)[None], Heated(part, source, outputs_of(model))
    no_class, no_direction = (torch.zeros_like(expected[name]) for name in ("logits", "embedding"))
    dice = torch.Generator().manual_seed(0)
    against = -heated.usual(expected["logits"])
    asked = [(image, no_class, no_direction), (image, against, no_direction),
             (image, no_class, torch.randn(no_direction.shape, generator=dice))]
    try:
        results = [heated(*inputs) for inputs in asked]
        for result, wanted in zip(results, (cam, -cam)):  # of one of them some is above zero
            if off := difference(expected | {HEAT: scaled(wanted)}, result):
                raise ValueError(f"it is not what explorer.explain draws, {off}")
        graph = recorded(heated, asked[0])
    except MemoryError:
        raise
    except Exception as error:  # of whatever class: torch's tracer has dozens
        why = f"The gradient of {name} can't be written down, so there is no heat map here ({reason(error)})."
        return None, [], None, why
    names = ("image", "class_weights", "direction")
    questions = [(dict(zip(names, inputs)), found) for inputs, found in zip(asked, results)]
    height, width = cam.shape[1:]
    said = (f"Grad-CAM, drawn from the {counted(height * width, 'place')} ({height} × {width}) of the map of "
            f"{source.stage}: where the evidence lies that this stage uses.")
    heat = {"stage": source.stage, "shape": [height, width], "said": " ".join((said, *source.notes))}
    return graph, questions, heat, ""


def _share(found: Tensor, wanted: Tensor) -> float:
    return float((found.float() - wanted).abs().max() / wanted.abs().max().clamp_min(1e-30))
