"""A live page: one HTML file that runs a model in any browser, with its maps, without a network.

    explorer.live_page("tf_efficientnet_lite0", "lite0.html")
    explorer.live_page(run, "flowers.html", photos="my_flowers/")
    run.live_page("flowers.html")
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import nn

from explorer import __version__
from explorer.arguments import checked, flag, shown, word, words
from explorer.files import check_free, given_path, write_text
from explorer.inspection.export.formats import OnnxFile
from explorer.inspection.export.page_graph import page_file
from explorer.inspection.export.parts import Leaving, opened
from explorer.inspection.live import runtime as runtimes
from explorer.inspection.live.assembling import holds_classes, is_ours, page_text, worker_script
from explorer.inspection.live.checking import LIMITS, Report, check_entry, joined
from explorer.inspection.live.modelled import Entry, model_facts
from explorer.inspection.live.photos import PagePhoto, photos_for
from explorer.inspection.live.place_checking import check_places
from explorer.inspection.live.several import models_given, usual_photos

if TYPE_CHECKING:
    from explorer.models.ensembles.given import HasModel


@checked(maps=words, precision=word, photos=None, gpu=flag)
def live_page(
    model: nn.Module | str | HasModel | Sequence[Any], path: str | os.PathLike, *, photos: Any = None,
    maps: str | Sequence[str] = "all", precision: str = "float16", runtime: str | os.PathLike | None = None,
    gpu: bool = False,
) -> Path:
    """Write a page that runs the model in a browser, with what is inside it; gives the page's path.

    model:     an explorer model, a run, or a name, created with its trained weights; two of them in a list
               for their answers side by side
    path:      ends in .html. A page that `live_page` has written before is replaced; any other file stays,
               and so does a copy in which classes were saved
    photos:    what to try it with: a photo, a list, a folder, a bundled data set, names of bundled photos;
               of many 12. Small copies travel in the page, so give none that you would not hand on. None:
               some of explorer's own
    maps:      "all", or names of the stages whose maps can be seen, of the first model where there are two
    precision: of the weights in the page: "float16", half as large, or "float32"
    runtime:   a folder or an archive with npm's package onnxruntime-web 1.30.0; None: from the cache, where
               it is once npm has fetched it (33 MB)
    gpu:       True: the page also tries the reader's graphics card, where the browser offers it (WebGPU), and
               is 4 MB larger

    The page holds everything: it opens by a double click, offline, and its policy forbids every request.
    Before it is put in its place, each photo is asked as the page will do it: the same likeliest class as
    torch's, and shares within 0.01 (float16) or 0.0001 (float32); the figures stand in the page, which can
    ask again in the reader's own browser. Of a network for boxes these are the boxes and their scores, of one
    for masks the share of pixels that differ; it sees all photos in one frame, which holds those in the page.

    With gpu the page opens on the processor, as always, and tries the graphics card beside it: with every
    photo in the page, whose answers must be torch's within the same limits, and its maps the processor's. The
    faster of the two goes on, the page shows the speed of both, and the reader may change it; where the card
    fails, then or later, the processor answers, and the page says why.

    Raises ValueError for another ending, an unknown stage, a network that can't leave (see
    `explorer.export`), and where the page would not say what the network says; FileExistsError,
    ModuleNotFoundError where a package is missing, RuntimeMissingError where the runtime can't be had,
    ImageError for photos that can't be opened, DiskError, TypeError for what is no model.
    """
    target = given_path(path)
    _check_path(target)
    if precision not in LIMITS:
        raise ValueError(f"precision is {shown(precision)}: expected 'float16' or 'float32'.")
    OnnxFile().prepare()
    given = models_given(model)
    leavings = [opened(one, maps if not index else "all") for index, one in enumerate(given)]
    for leaving in leavings:
        _check_channels(leaving)
    pictures, left_out = photos_for(usual_photos(given[0], leavings[0]) if photos is None else photos)
    engine = runtimes.runtime_of(runtime, gpu=bool(gpu))
    entries = []
    sizes = tuple((each.picture.height, each.picture.width) for each in pictures)
    for one, leaving in zip(given, leavings):
        leaving = replace(leaving, sizes=sizes)
        graph, told = page_file(leaving, precision=precision)
        entries.append(Entry(leaving, graph, model_facts(one, leaving, graph, told)))

    title = " and ".join(leaving.name for leaving in leavings)
    reports = [Report(LIMITS[precision]) for _ in entries]
    expected = [check_entry(entry, pictures, precision, report) if entry.facts["task"] == "classify" else
                check_places(entry, pictures, report) for entry, report in zip(entries, reports)]
    report = joined(reports, [leaving.name for leaving in leavings])
    report.said += [left_out] if left_out else []
    facts = {"title": title, "precision": precision, "models": [entry.facts for entry in entries],
             "photos": _photo_facts(pictures, expected), "report": report.as_facts(), "gpu": bool(gpu),
             **_written_by()}
    blocks = {
        "vx-runtime-js": (worker_script(engine.script), "gzip"), "vx-runtime-wasm": (engine.wasm, "gzip"),
        **{f"vx-model-{index}": (entry.graph, "gzip") for index, entry in enumerate(entries)},
        **{f"vx-photo-{index}": (photo.file, photo.kind) for index, photo in enumerate(pictures)},
    }
    write_text(target, page_text(title, facts, blocks, runtimes.licence_text()))
    return target


def _written_by() -> dict[str, Any]:
    runtime = {"name": runtimes.NAME, "version": runtimes.VERSION, "licence": runtimes.LICENCE}
    return {"version": __version__, "written": time.strftime("%Y-%m-%d"), "runtime": runtime}


def _photo_facts(photos: Sequence[PagePhoto], expected: Sequence[Sequence[Any]]) -> list[dict[str, Any]]:
    """What the page says of its photos. expected: for each model what torch says of each photo"""
    return [{"name": photo.title, "title": photo.title, "credit": photo.credit, "licence": photo.licence,
             "width": photo.picture.width, "height": photo.picture.height,
             "expected": [of_model[index] for of_model in expected]} for index, photo in enumerate(photos)]


def _check_path(path: Path) -> None:
    """Raises ValueError for another ending, FileExistsError for what is not ours to replace, DiskError."""
    if path.suffix.lower() not in (".html", ".htm"):
        raise ValueError(f"path is {shown(str(path))}: expected a file that ends in .html.")
    check_free(path, is_ours, "explorer.live_page")
    if path.exists() and path.stat().st_size and holds_classes(path):
        raise FileExistsError(f"'{path}' is a copy in which somebody saved classes of their own: give a name "
                              "that is free.")


def _check_channels(leaving: Leaving) -> None:
    channels = leaving.model.in_chans
    if channels not in (1, 3):
        raise ValueError(f"{leaving.name} reads pictures of {channels} channels, and a browser has photos, "
                         "of 3: a live page can't show it anything.")
