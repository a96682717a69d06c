"""Torchvision's models behind explorer's contract: create_model("torchvision/resnet50", pretrained=True).

Its detectors too: see `torchvision_building`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from explorer.display.words import meant, nearest
from explorer.models.config import ModelConfig
from explorer.models.contract import VisionModel
from explorer.models.doors.first_run import watch
from explorer.models.doors.given import photo_sides, running_at, with_classes
from explorer.models.doors.torchvision_building import DETECTORS, create_detector, detector_builder
from explorer.models.doors.wrapped import WrappedModel
from explorer.models.weights.choosing import usual_table
from explorer.models.weights.downloading import download_url
from explorer.models.weights.loading import adapt_input
from explorer.models.weights.report import LoadReport


def list_torchvision(pretrained: bool = False) -> list[str]:
    """"torchvision/resnet50" and so on, or with `pretrained` each set of weights, with its tag."""
    from torchvision import models

    names = [*models.list_models(module=models), *sorted(DETECTORS)]
    if pretrained:
        names = [f"{name}.{entry.name}" for name in names for entry in models.get_model_weights(name)]
    return [f"torchvision/{name}" for name in names]


def torchvision_builder(name: str) -> Callable[..., nn.Module] | None:
    """What builds that network with random numbers; None for a name that torchvision does not know."""
    from torchvision import models

    architecture = name.partition(".")[0]
    if architecture in DETECTORS:
        whole = detector_builder(architecture)

        def build_detector(**wanted: Any) -> nn.Module:
            classes = wanted.get("num_classes")
            return whole() if classes is None else whole(classes + 1)  # one for "nothing is here", at most

        return build_detector
    if architecture not in models.list_models(module=models):
        return None

    def build(**wanted: Any) -> nn.Module:  # it has no other options that a file could ask for
        classes = {key: value for key, value in wanted.items() if key == "num_classes"}
        return models.get_model(architecture, weights=None, **classes)

    return build


def from_torchvision(name: str, pretrained: bool, *, num_classes: int | None, in_chans: int,
                     cache_dir: str | None = None, **options: Any) -> VisionModel:
    """A torchvision model, with its own weights, labels and preprocessing. NAME.TAG: e.g. "IMAGENET1K_V1"."""
    from torchvision import models

    architecture, _, tag = name.partition(".")
    known = [*models.list_models(module=models), *DETECTORS]
    if architecture not in known:
        hint = meant(f"torchvision/{name}" for name in nearest(architecture, known, 3))
        raise ValueError(f"torchvision has no classifier {architecture!r}.{hint}")
    size = photo_sides(options.pop("img_size", None))
    published = models.get_model_weights(architecture)
    if tag and tag not in published.__members__:
        raise ValueError(f"Unknown tag {tag!r} of torchvision/{architecture}. Known: "
                         f"{', '.join(published.__members__)}.")
    entry = published[tag] if tag else published.DEFAULT
    if architecture in DETECTORS:
        _plain(options, architecture)  # it takes none of them
        return create_detector(architecture, entry, pretrained, num_classes=num_classes, in_chans=in_chans,
                               cache_dir=cache_dir, size=size)
    config = _torchvision_config(architecture, entry)
    if size is not None and size != config.input_size[1:]:
        options |= _torchvision_size(architecture, size, pretrained)
        config = config.with_(input_size=(3, *size))
    report = None
    with torch.random.fork_rng(devices=[], enabled=pretrained):
        plain = _plain(options, architecture)
        module = models.get_model(architecture, weights=None, num_classes=config.num_classes, **plain)
    if pretrained:
        found = download_url(entry.url, cache_dir)  # kept where torchvision keeps it; read as tensors only
        state = usual_table(found).state
        module.load_state_dict({k: v for k, v in state.items() if k in module.state_dict()}, strict=True)
        report = LoadReport(f"torchvision's {entry}", name=config.name, loaded=len(state))
    if in_chans != 3:
        first = _adapt_first_conv(module, in_chans)
        config = config.with_(input_size=(in_chans, *config.input_size[1:]))
        if report:
            report.adapted.append(f"{first}: from 3 to {in_chans} input channels")
    with running_at(config):
        model = WrappedModel(module, watch(module, config.input_size), config)
    model.load_report = report
    return with_classes(model, num_classes)


def _torchvision_size(architecture: str, size: tuple[int, int], pretrained: bool) -> dict[str, Any]:
    """The options by which torchvision builds a network for photos of another size; most run on any.

    Raises ValueError where its trained weights are for their own size alone, or where only squares are taken.
    """
    option = next((option for family, option in (("vit_", "image_size"), ("maxvit", "input_size"))
                   if architecture.startswith(family)), None)
    if option is None:
        return {}
    if pretrained:
        raise ValueError(f"torchvision's weights for {architecture} are for photos of their own size: leave "
                         "img_size away, or take explorer's own transformer, which fits its weights.")
    if option == "image_size" and size[0] != size[1]:
        raise ValueError(f"img_size is {size}, but torchvision's {architecture} takes squares: give a side.")
    return {option: size[0] if option == "image_size" else size}


def _plain(options: dict[str, Any], architecture: str) -> dict[str, Any]:
    """The options that were given, without explorer's own that a foreign model does not know."""
    given = {key: value for key, value in options.items() if value not in (None, 0.0)}
    for key in ("output_stride", "global_pool", "drop_path_rate"):
        if key in given:
            raise ValueError(f"{key} can't be set through the door for {architecture}: leave it out.")
    if "drop_rate" in given:
        given["dropout"] = given.pop("drop_rate")
    return given


def _torchvision_config(architecture: str, entry: Any) -> ModelConfig:
    """What torchvision says of a set of weights, in our words."""
    preset, meta = entry.transforms(), entry.meta
    side, resized = preset.crop_size[0], preset.resize_size[0]
    metrics = meta.get("_metrics", {}).get("ImageNet-1K", {})
    return ModelConfig(
        architecture=f"torchvision/{architecture}", tag=entry.name, url=entry.url, license="bsd-3-clause",
        input_size=(3, side, side), crop_pct=side / resized, interpolation=preset.interpolation.value,
        mean=tuple(preset.mean), std=tuple(preset.std),
        num_classes=len(meta["categories"]), labels=tuple(meta["categories"]),
        top1=metrics.get("acc@1"), top5=metrics.get("acc@5"),
    )


def _adapt_first_conv(module: nn.Module, in_chans: int) -> str:
    """Give the first convolution another number of input channels; its path."""
    path, old = next((p, m) for p, m in module.named_modules() if isinstance(m, nn.Conv2d))
    new = nn.Conv2d(in_chans, old.out_channels, old.kernel_size, old.stride, old.padding, old.dilation,
                    old.groups, bias=old.bias is not None, padding_mode=old.padding_mode)
    with torch.no_grad():
        new.weight.copy_(adapt_input(old.weight, in_chans))
        if old.bias is not None:
            new.bias.copy_(old.bias)
    parent, _, name = path.rpartition(".")
    setattr(module.get_submodule(parent), name, new)
    return path
