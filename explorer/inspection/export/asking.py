"""The network as one file for other programs, checked against torch before it is put in its place.

    explorer.export("tf_efficientnet_lite0", "lite0.onnx")               # for ONNX Runtime, and much else
    explorer.export(run, "flowers.pt2", maps=["blocks.4", "blocks.6"])   # for PyTorch, without explorer

    session = onnxruntime.InferenceSession("lite0.onnx")
    facts = session.get_modelmeta().custom_metadata_map                  # labels, preprocessing, licence, ...
    logits, embedding = session.run(None, {"image": photos})

    extra = {"explorer.json": ""}
    net = torch.export.load("flowers.pt2", extra_files=extra).module()   # json.loads(extra["explorer.json"])
    net(photos)["maps.blocks.4"]
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from torch import nn

from explorer.arguments import checked, shown, whole, word, words
from explorer.files import check_free, given_path, write_whole
from explorer.inspection.export.checking import photo_like
from explorer.inspection.export.facts import facts, preprocessing
from explorer.inspection.export.formats import KINDS, Kind
from explorer.inspection.export.narrowing import check_precision
from explorer.inspection.export.parts import opened
from explorer.inspection.export.writing import answers, check, file_of, leaving_torch

if TYPE_CHECKING:
    from explorer.models.ensembles.given import HasModel


def _one_or_any(name: str, value: object) -> None:
    if value is not None:
        whole(1, 1024)(name, value)


@checked(maps=words, batch_size=_one_or_any, precision=word)
def export(
    model: nn.Module | str | HasModel, path: str | os.PathLike, *,
    maps: str | Sequence[str] | None = None, batch_size: int | None = 1, precision: str = "float32",
) -> Path:
    """Write a network into one file that runs without explorer; gives the file's path.

    model: an explorer model, a run, or a name, created with its trained weights. Foreign modules go through
           `explorer.wrap`
    path:  ends in .onnx (ONNX; needs the packages onnx and onnxscript: pip install 'vision-explorer[live]')
           or .pt2 (torch.export; needs PyTorch alone)
    maps:  stages whose maps are results too: "all", or names of stages
    batch_size: how many photos a pass of the file takes, always; None: as many as it is given
    precision: in which the weights lie in the file: "float32", or "float16", which halves it and moves the
           logits by about a thousandth. The arithmetic is float32 in both

    The file takes "image" [B, C, H, W], float32, prepared photos, and gives by name "logits" [B, K] before
    softmax or sigmoid, "embedding" [B, D], and "maps.NAME" [B, C, h, w] of each stage that was asked for,
    all float32; of a network for masks "scores" [B, K, H, W]; of one for boxes the raw ones of every place
    that it answers for, "boxes" [B, N, 4] (left, top, right, bottom in pixels of the input) and "scores"
    [B, N, K], 0 to 1: how those that count are chosen among them is told in "boxes" and in the last note. A
    model without classifier has no logits, and one made with `features_only` gives its maps alone. Of an
    ensemble the members' combined scores, and of classifiers "members" [B, M, K], each one's own logits.
    With it go explorer_version, name, licence, task, labels, outputs (what the scores mean), preprocessing
    (input_size, mean, std, interpolation, crop_pct, crop_mode), results, stages and notes: as metadata_props
    of ONNX, each a text or JSON; as explorer.json among the extra files of a .pt2.

    Before the file is put in its place it is run (ONNX by onnxruntime where it is there, else by onnx's own
    reference, which is slow) on a picture like a photo: every number within 0.1 % of that result's largest
    (3 % with float16), and the same likeliest class. A file that `export` has written before is replaced; any
    other stays.
    Raises FileExistsError there, ModuleNotFoundError where a package is missing, DiskError, TypeError for
    what is no model, WeightsError, and ValueError for another ending or precision, an unknown stage, a
    network that can't leave (one for boxes in two stages, as Mask R-CNN; an ensemble whose members see
    several sizes; what `explorer.optimize` made; what torch's exporter does not know), and where the file's
    numbers are not the network's.
    """
    check_precision(precision)
    target = given_path(path)
    kind = _kind_of(target)
    kind.prepare()
    check_free(target, kind.is_ours, "explorer.export")
    leaving = opened(model, maps)
    prepared = preprocessing(leaving)
    with leaving_torch(leaving) as part:
        inputs = {"image": photo_like(prepared, batch_size or 2)}
        expected = answers(part, inputs["image"], leaving.name)
        told = facts(leaving, prepared, expected)
        if batch_size is None:
            told["results"] = {name: [None, *shape[1:]] for name, shape in told["results"].items()}
        whole_file = file_of(kind, leaving.name, part, inputs, told, precision,
                             any_number=batch_size is None)

        def write(beside: Path) -> None:
            beside.write_bytes(whole_file)
            check(kind, beside, inputs, expected, leaving.name, precision)
            if batch_size is None:  # one was none of those that it was written with
                one = {name: given[:1] for name, given in inputs.items()}
                first = {name: found[:1] for name, found in expected.items()}
                check(kind, beside, one, first, leaving.name, precision)

        write_whole(target, write)
    return target


def _kind_of(path: Path) -> Kind:
    kind = KINDS.get(path.suffix.lower())
    if kind is None:
        raise ValueError(f"path is {shown(str(path))}: expected a file that ends in .onnx or .pt2.")
    return kind
