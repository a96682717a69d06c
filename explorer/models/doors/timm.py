"""timm's models behind explorer's contract: create_model("timm/resnet50d.ra2_in1k").

timm need not be installed, and only this file imports it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator
from functools import partial
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from explorer.models.config import ModelConfig
from explorer.models.contract import Stage, VisionModel, evaluation, parameter_place
from explorer.models.doors.first_run import watch
from explorer.models.doors.given import photo_sides, running_at
from explorer.models.doors.stages import is_pyramid
from explorer.models.doors.wrapped import WrappedModel
from explorer.models.weights.downloading import download
from explorer.models.weights.places import in_cache
from explorer.models.weights.report import LoadReport


class TimmModel(VisionModel):
    """A timm model behind the contract: it tells its own stages. The model itself is `.module`."""

    def __init__(self, module: nn.Module, config: ModelConfig):
        super().__init__()
        self.module = module
        rows = [(row["module"], row["num_chs"], row["reduction"]) for row in module.feature_info]
        self.stages = tuple(Stage(path, path, channels, stride) for path, channels, stride in rows)
        self.pyramid = is_pyramid(self.stages)
        self.num_classes, self.num_features = module.num_classes, module.num_features
        self.in_chans = config.input_size[0]
        self.config = config

    @property
    def head_hidden_size(self) -> int:
        return getattr(self.module, "head_hidden_size", self.num_features)

    def forward(self, x: Tensor) -> Tensor:
        return self.module(x)

    def forward_features(self, x: Tensor) -> Tensor:
        return self.module.forward_features(x)

    def forward_stages(self, x: Tensor) -> Generator[Tensor, None, Tensor]:
        features, maps = self.module.forward_intermediates(x)
        yield from maps
        return features

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        if self.num_classes:
            return self.module.forward_head(x, pre_logits=pre_logits)
        try:
            return self.module.forward_head(x)
        except NotImplementedError:
            # The eyes of a language model: timm gives them no pooling, so it is the mean here. Of tokens or
            # [B, H, W, C] channels are the last, of [B, C, H, W] the first.
            channels = x.ndim - 1 if x.shape[-1] == self.num_features else 1
            return x.movedim(channels, -1).flatten(1, -2).mean(1)

    def forward_vector_and_logits(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Some of timm's heads have two classifiers: so each result comes from timm's own function."""
        return self.forward_head(x, pre_logits=True), self.forward_head(x)

    def get_classifier(self) -> nn.Module:
        return self.module.get_classifier() if self.num_classes else nn.Identity()

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        place = parameter_place(self)
        self.module.reset_classifier(num_classes, *(() if global_pool is None else (global_pool,)))
        self.module.to(**place)
        self.num_classes = num_classes


def timm_installed() -> ModuleType:
    """timm; ImportError with what to do where it is not installed."""
    try:
        import timm
    except ImportError as error:
        raise ImportError("timm is not installed. Install it with: pip install 'vision-explorer[timm]', then "
                          "try again."
                          ) from error
    return timm


def list_timm(pretrained: bool = False) -> list[str]:
    """"timm/resnet50" and so on, or with `pretrained` each set of weights, with its tag."""
    return [f"timm/{name}" for name in timm_installed().list_models(pretrained=pretrained)]


def timm_builder(name: str) -> Callable[..., nn.Module] | None:
    """What builds that network with random numbers; None for a name that timm does not know."""
    timm = timm_installed()
    return partial(timm.create_model, name) if timm.is_model(name) else None


def from_timm(name: str, pretrained: bool, *, num_classes: int | None, in_chans: int,
              cache_dir: str | None = None, **options: Any) -> VisionModel:
    """A model of an installed timm, with its own weights and preprocessing."""
    timm = timm_installed()
    if not timm.is_model(name):
        raise ValueError(f"timm {timm.__version__} has no model {name!r}. See "
                         "explorer.list_models('timm/*').")
    sides = photo_sides(options.get("img_size"))
    given = {key: value for key, value in options.items() if value is not None and value != 0.0}
    if num_classes is not None:
        given["num_classes"] = num_classes
    cfg = timm.get_pretrained_cfg(name)
    config = ModelConfig.from_dict(cfg.to_dict()) if cfg is not None else ModelConfig()
    config = config.with_(architecture=f"timm/{name.partition('.')[0]}")
    if pretrained and config.hf_hub_id:  # fetched first, so that being offline is a sentence, at once
        in_cache(config, cache_dir) or download(config, cache_dir)
        given["cache_dir"] = cache_dir
    module = _build_with_timm(name, pretrained, in_chans, given)
    size = sides or tuple(module.pretrained_cfg.get("input_size", config.input_size))[1:]
    # a fresh head's classes have no names
    labels = config.labels if module.num_classes == config.num_classes else ()
    config = config.with_(input_size=(in_chans, *size), num_classes=module.num_classes, labels=labels)
    if sides is not None:
        config = config.with_(test_input_size=None)
    with running_at(config):
        if tells_its_stages(module, config.input_size):
            model = TimmModel(module, config)
        else:
            model = WrappedModel(module, watch(module, config.input_size), config)
    if pretrained:
        model.load_report = LoadReport(f"timm's {cfg.hf_hub_id or cfg.url}", name=config.name,
                                       loaded=len(module.state_dict()))
    return model


def _build_with_timm(name: str, pretrained: bool, in_chans: int, given: dict[str, Any]) -> nn.Module:
    """timm's model; raises TypeError or ValueError with a sentence for options that it does not take."""
    try:
        return timm_installed().create_model(name, pretrained=pretrained, in_chans=in_chans, **given)
    except TypeError as error:
        unknown = re.search(r"unexpected keyword argument '(\w+)'", str(error))
        if unknown is None or unknown[1] not in given:
            raise
        if unknown[1] != "img_size":
            raise TypeError(f"timm/{name} has no option {unknown[1]!r}: leave it out.") from None
        # a convolutional network takes photos of any size
        rest = {key: value for key, value in given.items() if key != "img_size"}
        return _build_with_timm(name, pretrained, in_chans, rest)
    except AssertionError as error:
        asked = ", ".join(f"{key}={value!r}" for key, value in given.items() if key != "cache_dir")
        why = f" ({error})" if str(error) else ""
        raise ValueError(f"timm/{name} can't be built with {asked or 'these options'}{why}: leave out what "
                         "it can't do.") from None


def tells_its_stages(module: nn.Module, input_size: tuple[int, int, int]) -> bool:
    """Whether timm's `forward_intermediates` gives one map for each row of the model's feature table."""
    rows = getattr(module, "feature_info", None)
    if not rows or not hasattr(module, "forward_intermediates"):
        return False
    x = torch.zeros(1, *input_size, **parameter_place(module))
    with evaluation(module), torch.no_grad():
        maps = module.forward_intermediates(x, intermediates_only=True)
    return [m.shape[1] for m in maps] == [row["num_chs"] for row in rows]
