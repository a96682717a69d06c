"""`ModelConfig`: the facts that belong to a set of weights. Pure Python, no torch.

Preprocessing is part of the weights: the same photo, normalised with another mean, loses points of
accuracy without any error. So input size, mean, std, crop and interpolation live in one record with the
weights' origin, labels and licence, and everything that prepares a photo reads that record.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class ModelConfig:
    """What a set of weights expects, and where it comes from.

    input_size:    (C, H, W) in pixels that the weights were trained or fine-tuned for
    mean, std:     per channel, for pixel values in 0..1
    interpolation: "bilinear" or "bicubic": how the photo is resized
    crop_pct:      the crop's side as a share of the resized short side
    crop_mode:     "center", "squash" (ignore the aspect ratio) or "border" (pad)
    num_classes:   size of the trained classifier; 0 where there is none
    labels:        class names in index order, None for the standard names of that many classes, () for none
    outputs:       what the scores mean, one of `explorer.models.outputs.KINDS`; "" is one of the classes
    number_mean, number_std: of outputs "numbers": what a score of 0 stands for in the number's own unit, and
                   a step of 1
    metrics:       ((what was measured, its value), ...) where it is not accuracy: ("box AP", 36.4)
    built_as:      the name that another library built the network by, with its tag: "timm/resnet50.a1_in1k"
    build_options: ((option, value), ...) that `create_model` was given beyond the name, such as
                   ("img_size", 96), or that published weights need; None stands for a value that no file can
                   hold
    members:       of an ensemble: the configs of its members, in their order
    """

    architecture: str = ""
    tag: str = ""
    input_size: tuple[int, int, int] = (3, 224, 224)
    test_input_size: tuple[int, int, int] | None = None
    min_input_size: tuple[int, int, int] | None = None
    fixed_input_size: bool = False
    interpolation: str = "bilinear"
    crop_pct: float = 0.875
    test_crop_pct: float | None = None
    crop_mode: str = "center"
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD
    num_classes: int = 1000
    pool_size: tuple[int, int] | None = None
    first_conv: str | tuple[str, ...] = ""
    classifier: str | tuple[str, ...] = ""
    labels: tuple[str, ...] | None = None
    outputs: str = ""
    number_mean: tuple[float, ...] = ()
    number_std: tuple[float, ...] = ()
    license: str = ""
    hf_hub_id: str = ""
    hf_hub_filename: str = ""
    url: str = ""
    origin_url: str = ""
    paper_ids: str = ""
    notes: str = ""
    top1: float | None = None
    top5: float | None = None
    metrics: tuple[tuple[str, float], ...] = ()
    built_as: str = ""
    build_options: tuple[tuple[str, Any], ...] = ()
    members: tuple[ModelConfig, ...] = ()

    @property
    def name(self) -> str:
        """The full name, e.g. "resnet50.a1_in1k"."""
        return f"{self.architecture}.{self.tag}" if self.tag else self.architecture

    def of_a_file(self) -> ModelConfig:
        """For weights that somebody else trained: how photos are prepared stays, what was published goes."""
        return self.with_(tag="", hf_hub_id="", hf_hub_filename="", url="", origin_url="", license="",
                          paper_ids="", notes="", top1=None, top5=None, metrics=())

    def with_(self, **changes: Any) -> ModelConfig:
        """A copy with some fields changed; unknown fields raise TypeError."""
        return replace(self, **changes)

    def without_head(self) -> ModelConfig:
        """A copy for a fresh classifier: names and meaning of the scores belong to the former one."""
        return self.with_(labels=(), outputs="", number_mean=(), number_std=())

    def as_timm(self) -> dict[str, Any]:
        """The same facts as timm's `pretrained_cfg` dict: empty fields are left out."""
        always = ("input_size", "interpolation", "crop_pct", "crop_mode", "mean", "std", "num_classes",
                  "fixed_input_size", "first_conv", "classifier", "architecture", "pool_size")
        facts = {f.name: getattr(self, f.name) for f in fields(self)}
        facts["members"] = [{**member.as_timm(), "labels": member.labels} for member in self.members]
        return {k: v for k, v in facts.items() if k in always or v not in (None, "", (), [])}

    @classmethod
    def from_dict(cls, facts: dict[str, Any]) -> ModelConfig:
        """Build from a plain dict (JSON lists become tuples); keys we have no use for are ignored."""
        known = {f.name for f in fields(cls)}
        tidy = {k: _tuples(v) for k, v in facts.items() if k in known}
        if "members" in tidy:
            tidy["members"] = tuple(cls.from_dict({**each, "members": ()}) for each in tidy["members"])
        return cls(**tidy)


def _tuples(value: Any) -> Any:
    """JSON's lists as tuples, at any depth."""
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def options_to_keep(options: dict[str, Any]) -> tuple[tuple[str, Any], ...]:
    """The options of `create_model` that a saved model needs to be built again: `ModelConfig.build_options`.

    Rates of dropout are no part of a trained network; None stands for a value that JSON does not know.
    """
    def plain(value: Any) -> Any:
        if isinstance(value, (list, tuple)):
            found = tuple(map(plain, value))
            return None if None in found else found
        if isinstance(value, Mapping):  # of the backbone of a network for boxes or masks
            return plain(tuple(value.items()))
        return value if isinstance(value, (bool, int, float, str)) else None

    left_out = {"drop_rate", "drop_path_rate", "in_chans", "cache_dir", "checkpoint_path"}
    return tuple((key, plain(value)) for key, value in options.items()
                 if value is not None and key not in left_out and (key, value) != ("output_stride", 32))


def check_input_size(size: Any) -> tuple[int, int, int] | None:
    """(channels, height, width) as whole numbers. Raises ValueError for anything else."""
    if size is None:
        return None
    try:
        channels, height, width = (operator.index(n) for n in size)
    except (TypeError, ValueError):
        channels = height = width = 0
    if min(channels, height, width) < 1:
        expected = "(channels, height, width) in pixels, such as (3, 224, 224)"
        raise ValueError(f"input_size is {expected}, not {size!r}.")
    return channels, height, width
