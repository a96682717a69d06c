"""Another library's model that came through a door, was trained, and saved:
built again by its library, and filled.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from explorer.models.config import ModelConfig
from explorer.models.contract import VisionModel
from explorer.models.doors.given import with_classes
from explorer.models.doors.libraries import check_room, create_from_library
from explorer.models.doors.torchvision_building import DETECTORS
from explorer.models.weights.choosing import own_tensors
from explorer.models.weights.loading import load_into
from explorer.models.weights.reading import Checkpoint
from explorer.models.weights.report import LoadReport, WeightsError
from explorer.models.weights.shapes import room_for, rows_in

#: Options of another library's network that a saved folder may ask for; others could make it open files or
#: fetch some.
SAVED_OPTIONS = ("img_size", "patch_size", "dynamic_img_size", "global_pool", "output_stride")


def open_saved(
    library: str,
    config: ModelConfig,
    state: Checkpoint | dict[str, Tensor] | None,
    origin: str,
    *,
    num_classes: int | None,
    in_chans: int | None,
    **options: Any,
) -> VisionModel:
    """The model, built again by its library, with the tensors of the file.

    config: as saved;  state: the tensors, None for random weights;  origin: where they are from
    Raises WeightsError where they don't fit or the folder asks for what it may not, ImportError without the
    library.
    """
    name = config.built_as or config.architecture
    if name.partition(".")[0] != config.architecture:
        raise WeightsError(f"{origin} names two architectures, {config.architecture[:60]!r} and "
                           f"{name[:60]!r}: it is damaged.")
    saved = dict(config.build_options)
    if strange := sorted(saved.keys() - {*SAVED_OPTIONS}):
        raise WeightsError(f"{origin} was saved from {name} built with {strange[0][:60]!r}, which only a "
                           "program can give: build it so again, then explorer.load_run(folder, model=model) "
                           "fills it.")
    given = saved | {key: value for key, value in options.items() if value is not None and key != "cache_dir"}
    trained = config.input_size[0]
    classes = config.num_classes if state is not None or num_classes is None else num_classes
    rows = rows_in(state) if state is not None and classes else ()
    # in front of boxes a layer has rows for each anchor, or one more for "nothing is here"
    boxes = name.partition("/")[2] in DETECTORS
    unknown = classes > max(rows, default=0) if boxes else classes not in rows
    if rows and unknown:
        raise WeightsError(f"{origin} knows no classifier of {classes:,} classes, as the config.json beside "
                           "it says: they don't belong together.")
    try:
        check_room(name, origin, None if state is None else room_for(state), num_classes=config.num_classes,
                   in_chans=trained, **saved)
        # its first numbers are thrown away
        with torch.random.fork_rng(devices=[], enabled=state is not None):
            model = create_from_library(library, name.partition("/")[2], False, num_classes=classes,
                                        in_chans=trained if in_chans is None else in_chans, **given)
    except ImportError as error:
        raise ImportError(f"{origin} was saved from a model of {library}. {error}") from error
    own = model.config
    if classes != config.num_classes:
        config = config.without_head()
    model.config = config.with_(
        input_size=(own.input_size[0], *config.input_size[1:]), num_classes=classes,
        classifier=own.classifier, first_conv=own.first_conv, build_options=own.build_options,
    )
    if state is None:
        return model
    model.load_report = LoadReport(origin, name=config.name)
    tensors = own_tensors(model, state, model.load_report)
    load_into(model, tensors, model.load_report, trained_chans=trained)
    return with_classes(model, num_classes)
