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

import errno
import os
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from explorer.arguments import checked, shown, whole, words
from explorer.display.words import megabytes
from explorer.files import DiskError, given_path, write_whole
from explorer.inspection.export.checking import difference, photo_like
from explorer.inspection.export.facts import facts, preprocessing
from explorer.inspection.export.formats import KINDS, Kind
from explorer.inspection.export.parts import Leaving, Portable, opened
from explorer.inspection.look.model import evaluating

if TYPE_CHECKING:
    from explorer.models.ensembles.given import HasModel

_one_at_a_time = threading.Lock()  # the exporter's settings are the process's


@checked(maps=words, batch_size=whole(1, 1024))
def export(
    model: nn.Module | str | HasModel, path: str | os.PathLike, *,
    maps: str | Sequence[str] | None = None, batch_size: int = 1,
) -> Path:
    """Write a network into one file that runs without explorer; gives the file's path.

    model: an explorer model, a run, or a name, created with its trained weights. Foreign modules go through
           `explorer.wrap`
    path:  ends in .onnx (ONNX; needs the packages onnx and onnxscript: pip install 'vision-explorer[live]')
           or .pt2 (torch.export; needs PyTorch alone)
    maps:  stages whose maps are results too: "all", or names of stages
    batch_size: how many photos a pass of the file takes, always

    The file takes "image" [B, C, H, W], float32, prepared photos, and gives by name "logits" [B, K] before
    softmax or sigmoid, "embedding" [B, D], and "maps.NAME" [B, C, h, w] of each stage that was asked for,
    all float32; of a network for masks "scores" [B, K, H, W]. A model without classifier has no logits, and
    one made with `features_only` gives its maps alone. Of an ensemble the members' combined scores.
    With it go explorer_version, name, licence, task, labels, outputs (what the scores mean), preprocessing
    (input_size, mean, std, interpolation, crop_pct, crop_mode), results, stages and notes: as metadata_props
    of ONNX, each a text or JSON; as explorer.json among the extra files of a .pt2.

    Before the file is put in its place it is run (ONNX by onnxruntime where it is there, else by onnx's own
    reference, which is slow) on a picture like a photo: every number within 0.1 % of that result's largest,
    and the same likeliest class. A file that `export` has written before is replaced; any other stays.
    Raises FileExistsError there, ModuleNotFoundError where a package is missing, DiskError, TypeError for
    what is no model, WeightsError, and ValueError for another ending, an unknown stage, a network that can't
    leave (detectors; an ensemble whose members see several sizes; what `explorer.optimize` made; what torch's
    exporter does not know), and where the file's numbers are not the network's.
    """
    target = given_path(path)
    kind = _kind_of(target)
    kind.prepare()
    _check_free(target, kind)
    leaving = opened(model, maps)
    prepared = preprocessing(leaving)
    with evaluating(leaving.model), _one_at_a_time, torch.inference_mode(False), torch.no_grad():
        part, photos = Portable(leaving), photo_like(prepared, batch_size)
        part.training = False  # its model's parts already are in evaluation
        expected = part(photos)
        if not all(bool(torch.isfinite(result).all()) for result in expected.values()):
            raise ValueError(f"{leaving.name} gives numbers that are none (NaN or infinite), so there is "
                             "nothing to check a file by: its weights are broken.")
        whole_file = _file_of(kind, leaving, part, photos, facts(leaving, prepared, expected))

        def write(beside: Path) -> None:
            beside.write_bytes(whole_file)
            _check(kind, beside, photos, expected, leaving.name)

        write_whole(target, write)
    return target


def _kind_of(path: Path) -> Kind:
    kind = KINDS.get(path.suffix.lower())
    if kind is None:
        raise ValueError(f"path is {shown(str(path))}: expected a file that ends in .onnx or .pt2.")
    return kind


def _check_free(path: Path, kind: Kind) -> None:
    """Raises FileExistsError where something else is, DiskError where there is no folder for the file."""
    if path.exists() or path.is_symlink():
        if not path.is_file():
            raise FileExistsError(f"'{path}' is there, and is no file: give a name that is free.")
        if path.stat().st_size and not kind.is_ours(path):
            raise FileExistsError(f"'{path}' is there, and explorer.export did not write it: give a name "
                                  "that is free, or delete it first.")
    elif not path.parent.is_dir():
        raise DiskError(path, OSError(errno.ENOENT, os.strerror(errno.ENOENT)))


def _file_of(
    kind: Kind, leaving: Leaving, part: Portable, photos: Tensor, told: Mapping[str, Any]
) -> bytes:
    """The network as the bytes of a file. Raises ValueError for one that can't leave."""
    size = sum(one.numel() * one.element_size() for one in part.state_dict().values())
    if kind.most_bytes is not None and size > kind.most_bytes:
        raise ValueError(f"{leaving.name} has {megabytes(size)} of weights, and a file of {kind.title} holds "
                         f"{megabytes(kind.most_bytes)}: give a path that ends in .pt2.")
    try:
        program = torch.export.export(part, (photos,), strict=False)
        for graph in program.graph_module.modules():
            for node in getattr(getattr(graph, "graph", None), "nodes", ()):
                node.meta.pop("stack_trace", None)  # where on this computer each line of code lies
        return kind.as_bytes(program, [*told["results"]], told)
    except MemoryError:
        raise
    except Exception as error:  # of whatever class: torch's exporter has dozens
        raise ValueError(f"{leaving.name} can't be written as {kind.title}: torch's exporter does not manage "
                         f"it ({_reason(error)}).") from error


def _check(kind: Kind, file: Path, photos: Tensor, expected: Mapping[str, Tensor], name: str) -> None:
    """Raises ValueError for a file that does not run, or gives other numbers than expected."""
    try:
        found = kind.run(file, photos, list(expected))
    except (MemoryError, OSError):
        raise
    except Exception as error:
        raise ValueError(f"{name} was written as {kind.title}, but the file does not run, so it was thrown "
                         f"away ({_reason(error)}).") from error
    if told := difference(expected, found):
        raise ValueError(f"{name} was written as {kind.title}, but the file does not say what the network "
                         f"says ({told}), so it was thrown away. Please report this model.")


def _reason(error: BaseException) -> str:
    """What went wrong at the bottom of it, in a line."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
    return (text if len(text) <= 200 else f"{text[:197]}...").rstrip(".")
