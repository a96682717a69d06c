"""Building a network of the catalog: the family's class, the variant's row, and what is wanted on top."""

from __future__ import annotations

import inspect
import re
from collections.abc import Collection
from typing import Any

import torch

from explorer.models.blank import TooLarge, blank
from explorer.models.catalog import FAMILY_OF, family_module
from explorer.models.contract import VisionModel, evaluation
from explorer.models.doors import libraries
from explorer.models.features import drop_unread
from explorer.models.names import LIBRARIES, check_name, split_door
from explorer.models.weights.report import WeightsError
from explorer.models.weights.shapes import room_for
from explorer.models.weights.table import config_for

PYRAMIDS = "resnet50, tf_efficientnet_lite0, convnext_tiny or swin_tiny_patch4_window7_224"


def build(architecture: str, /, **wanted: Any) -> VisionModel:
    """A network with random numbers. wanted: its options; None leaves one as the family has it.

    Raises ValueError for a stride that it can't have, TypeError for an option that it does not know.
    """
    module = family_module(architecture)
    given = {key: value for key, value in wanted.items() if value is not None}
    row = module.VARIANTS[architecture]
    if "backbone" in row:
        return _build_over_a_body(architecture, row, given)
    if not module.MODEL.supports_output_stride:
        stride = given.pop("output_stride", 32)
        if stride != 32:
            raise ValueError(
                f"{architecture} can't trade stride for dilation: output_stride={stride} is not possible. "
                "Families that can: resnet and its relatives, efficientnet, mobilenetv3, regnet, convnext."
            )
    if "img_size" in given and not module.MODEL.fixed_image_size:
        del given["img_size"]  # a convolutional network takes any size
    try:
        return module.MODEL(**{**row, **given})
    except TypeError as error:
        raise _unknown_option(architecture, module.MODEL, given, error) from None


def _build_over_a_body(architecture: str, row: dict[str, Any], given: dict[str, Any]) -> VisionModel:
    """A network that reads the maps of a backbone: for boxes, or for masks."""
    wanted = row | given
    name = wanted.pop("backbone")
    if "backbone" in given:  # another one than the row is about: its options are not for it
        wanted["backbone_options"] = given.get("backbone_options", {})
        dilates = family_module(check_name(name)[0]).MODEL.supports_output_stride
        wanted["output_stride"] = given.get("output_stride", wanted.get("output_stride") if dilates else None)
    model_class = family_module(architecture).MODEL
    body = create_body(
        name, in_chans=wanted.pop("in_chans", None), output_stride=wanted.pop("output_stride", None),
        drop_path_rate=wanted.pop("drop_path_rate", None), img_size=wanted.pop("img_size", None),
        **dict(wanted.pop("backbone_options", {})),  # pairs, where a saved folder says them
    )
    try:
        return model_class(body, **wanted)
    except TypeError as error:
        raise _unknown_option(architecture, model_class, wanted, error) from None


def create_body(name: str, **options: Any) -> VisionModel:
    """A backbone with random numbers, whose stages halve their maps, and without all that is behind these.

    name:    "resnet34", or with a tag, which says whose trained weights are meant
    options: as of `build`
    Raises ValueError for a name that is unknown, is no backbone, or has maps of one size only.
    """
    architecture, tag = check_name(name)
    found = FAMILY_OF[architecture]
    if found.task != "classification":
        raise ValueError(f"{architecture} is no backbone, it is made for {found.task}: give one that "
                         f"classifies, such as {PYRAMIDS}.")
    if not family_module(architecture).MODEL.pyramid:
        raise ValueError(f"{architecture} has maps of one size, and boxes and masks are found in maps that "
                         f"halve from stage to stage: give a backbone such as {PYRAMIDS}.")
    body = build(architecture, num_classes=0, **options)
    body.remove_head()
    body.config = config_for(architecture, tag)
    drop_unread(body)
    return body


def _unknown_option(
    architecture: str, model_class: type, given: Collection[str], error: TypeError
) -> TypeError:
    """The error with the options that there are, where it is about one that was given and is not known."""
    unknown = re.search(r"unexpected keyword argument '(\w+)'", str(error))
    if unknown is None or unknown[1] not in given:
        return error
    known = _options(model_class)
    return TypeError(f"{architecture} has no option {unknown[1]!r}. Its options: {known}.")


def _options(model_class: type) -> str:
    """The options of a class, and of those above it that it hands the rest to."""
    names: dict[str, None] = {}  # keeps the order
    for each in model_class.__mro__:
        parameters = inspect.signature(each.__init__).parameters.values()
        starred = [p for p in parameters if p.kind in (p.VAR_KEYWORD, p.VAR_POSITIONAL)]
        names |= {p.name: None for p in parameters if p.name not in ("self", "body") and p not in starred}
        if not any(p.kind == p.VAR_KEYWORD for p in starred):
            break
    return ", ".join(names)


def check_room(name: str, inside: str, **wanted: Any) -> None:
    """Raise WeightsError where a stranger's settings ask for a network out of all proportion to its name.

    name:   an architecture, or one of a library, "timm/resnet18";  inside: where the settings are from
    wanted: the options of the network
    """
    if split_door(name)[0] in LIBRARIES:
        return libraries.check_room(name, f"'{inside}'", None, **wanted)
    architecture, _ = check_name(name)
    try:
        with blank():
            usual = build(architecture)
        with blank(room_for(usual.state_dict())):
            build(architecture, **wanted)
    except TooLarge as error:
        raise WeightsError(f"The settings in '{inside}' ask for a {architecture} of {error}, which is "
                           "out of all proportion: they are damaged, or not to be trusted.") from None


def see_at(model: VisionModel, size: int | tuple[int, int]) -> None:
    """Have photos prepared at that size. Raises ValueError where the network can't run on them.

    Tried without numbers: a network that is not built for one size may still shrink a small map to nothing.
    """
    height, width = (size, size) if isinstance(size, int) else size
    if not type(model).fixed_image_size:
        held = (*model.named_parameters(), *model.named_buffers())
        shapes = {name: value.to("meta") for name, value in held}
        try:
            with blank(), evaluation(model), torch.no_grad():
                photo = torch.empty(1, model.in_chans, height, width)
                torch.func.functional_call(model, shapes, (photo,))
        except RuntimeError:
            side = model.config.input_size[1]
            raise ValueError(
                f"{model.config.architecture} can't run on photos of {height} x {width} pixels: give a "
                f"larger img_size, such as {side}."
            ) from None
    size = (model.config.input_size[0], height, width)
    model.config = model.config.with_(input_size=size, test_input_size=None)
