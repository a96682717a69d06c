"""Other libraries' models by name, with their own weights, or with those of a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from explorer.models.blank import Room, TooLarge, blank
from explorer.models.config import options_to_keep
from explorer.models.contract import VisionModel
from explorer.models.doors.given import with_classes
from explorer.models.doors.timm import from_timm, list_timm, timm_builder
from explorer.models.doors.torchvision import from_torchvision, list_torchvision, torchvision_builder
from explorer.models.doors.torchvision_detectors import TorchvisionDetector
from explorer.models.weights.choosing import choose, own_tensors
from explorer.models.weights.loading import load_into
from explorer.models.weights.reading import Checkpoint, read_checkpoint
from explorer.models.weights.report import LoadReport, WeightsError
from explorer.models.weights.shapes import room_for
from explorer.models.weights.table import old_names


def list_library(library: str, pretrained: bool = False) -> list[str]:
    """The names behind a door, "torchvision/resnet50", or with `pretrained` its sets of weights.

    Needs the library.
    """
    return list_torchvision(pretrained) if library == "torchvision" else list_timm(pretrained)


def create_from_library(
    library: str, name: str, pretrained: bool, *, num_classes: int | None, in_chans: int, **options: Any
) -> VisionModel:
    """`create_model("torchvision/NAME")` and `create_model("timm/NAME")`.

    NAME may carry a tag behind a dot.
    """
    create = {"torchvision": from_torchvision, "timm": from_timm}[library]
    if library == "timm":
        name = old_names().get(name, name)
    path = options.pop("checkpoint_path", None) or None
    if path is None:
        model = create(name, pretrained, num_classes=num_classes, in_chans=in_chans, **options)
    elif pretrained:
        raise ValueError("Give pretrained=True or checkpoint_path=, not both.")
    else:
        found = read_checkpoint(path)
        model = _from_file(create, name, found, Path(path).name, num_classes, in_chans, options)
    model.config = model.config.with_(built_as=f"{library}/{name}", build_options=options_to_keep(options))
    return model


def _from_file(create: Any, name: str, found: Checkpoint, file: str, num_classes: int | None, in_chans: int,
               options: dict[str, Any]) -> VisionModel:
    """Another library's model with the tensors of a file, whose classifier says how many classes it has."""
    with torch.random.fork_rng(devices=[]):  # the first numbers of the network are thrown away
        model = create(name, False, num_classes=None, in_chans=in_chans, **options)
        own, head = model.state_dict(), model.get_classifier()
        prefix = "module." if all(key.startswith("module.") for key in own) else ""
        weight = getattr(head, "weight", None)
        last = next((key for key, value in model.named_parameters() if value is weight), "")
        state = choose(found, {key.removeprefix(prefix): value for key, value in own.items()}).state
        trained, classes = state.get(last.removeprefix(prefix)), model.num_classes
        if isinstance(model, TorchvisionDetector):
            classes = model.classes_in(state)
        elif trained is not None and trained.ndim and trained.shape[0] != own[last].shape[0]:
            classes = trained.shape[0]
        if classes != model.num_classes:
            model = create(name, False, num_classes=classes, in_chans=in_chans, **options)
    model.config = model.config.with_(num_classes=model.num_classes, labels=None)
    model.load_report = LoadReport(f"the file {file}", name=model.config.name)
    state = own_tensors(model, found, model.load_report)
    load_into(model, state, model.load_report, trained_chans=3)
    return with_classes(model, num_classes)


def check_room(name: str, origin: str, room: Room | None, **wanted: Any) -> None:
    """Raise WeightsError where a stranger's settings ask for a larger network than there is room for.

    room: None for what is in proportion to the network of that name as it usually is
    """
    library, _, inside = name.partition("/")
    build = timm_builder(inside) if library == "timm" else torchvision_builder(inside)
    if build is None:
        return  # the sentence for that follows
    try:
        if room is None:
            with blank():
                usual = build()
            room = room_for(usual.state_dict())
        with blank(room):
            build(**wanted)
    except TooLarge as error:
        raise WeightsError(f"The settings beside {origin} ask for a {name} of {error}, which is out of all "
                           "proportion: they are damaged, or not to be trusted.") from None
