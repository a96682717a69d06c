"""From a photo to the tensor a network sees: timm's names and meaning, equal to timm's to the last bit.

    config = resolve_data_config({}, model=model)         # what these weights were trained to expect
    transform = create_transform(**config)                # PIL image -> [C, H, W] float32
    preprocessing_steps(photo, config)                    # the same, step by step, to show
    crop_box(photo.size, config)                          # which part of the photo the network sees

Preprocessing is part of the weights: with another mean, crop or interpolation the same network is several
points worse, and nothing complains. So all four functions read the same config, and the last
three use the same two steps (`Resize`, `CenterCrop`), which say in plain numbers what they will do to a
photo of a given size.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, is_dataclass
from typing import Any

from explorer.data.bands import BandsToTensor, EachBand
from explorer.data.resizing import DEFAULT_CROP_PCT, Resize, evaluation_steps, known_interpolation

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
_logger = logging.getLogger(__name__)


# --- The config -----------------------------------------------------------------------------------


def resolve_data_config(
    args: Mapping[str, Any] | None = None,
    pretrained_cfg: Any = None,
    model: Any = None,
    use_test_size: bool = False,
    verbose: bool = False,
) -> dict[str, Any]:
    """Return the preprocessing a model expects: keyword arguments for `create_transform`.

    Each value comes from the first place that has it: `args` (what the caller insists on; also `img_size`,
    `in_chans` or `chans`), `pretrained_cfg` (a mapping or dataclass; by default the model's own), ImageNet's
    values. use_test_size: prefer the config's `test_input_size` and `test_crop_pct`, where published results
    were measured. verbose: log the result.

    Returns input_size (C, H, W), interpolation, mean, std, crop_pct, crop_mode. Equal to timm's, except where
    a model takes another number of channels than its config says: then input_size, mean and std follow the
    model (timm's transform fails there). Raises ValueError if there is nothing to go by or if the numbers
    contradict each other.
    """
    if args is None and pretrained_cfg is None and model is None:
        raise ValueError("resolve_data_config needs at least one of args, pretrained_cfg and model.")
    args = {key: value for key, value in (args or {}).items() if value is not None}
    facts = _as_mapping(pretrained_cfg if pretrained_cfg else getattr(model, "pretrained_cfg", None))
    if use_test_size:
        tested = {key: facts.get(f"test_{key}") for key in ("input_size", "crop_pct")}
        facts = {**facts, **{key: value for key, value in tested.items() if value}}

    def first(key: str, default: Any) -> Any:
        return args.get(key) or facts.get(key) or default

    channels = args.get("in_chans") or args.get("chans") or getattr(model, "in_chans", None)
    if "input_size" in args:
        input_size = tuple(args["input_size"])
        if len(input_size) != 3:
            raise ValueError(f"input_size is {input_size}: expected (channels, height, width).")
    elif "img_size" in args:
        input_size = (channels or 3, *height_width(args["img_size"]))
    else:
        input_size = tuple(facts.get("input_size") or (3, 224, 224))
        if channels:
            input_size = (channels, *input_size[1:])

    config = {
        "input_size": input_size,
        "interpolation": first("interpolation", "bicubic"),
        "mean": _per_channel("mean", args, facts.get("mean") or IMAGENET_MEAN, input_size[0]),
        "std": _per_channel("std", args, facts.get("std") or IMAGENET_STD, input_size[0]),
        "crop_pct": first("crop_pct", DEFAULT_CROP_PCT),
        "crop_mode": first("crop_mode", "center"),
    }
    if verbose:
        _logger.info("Preprocessing: %s", ", ".join(f"{key} {value}" for key, value in config.items()))
    return config


def resolve_model_data_config(model: Any, use_test_size: bool = False) -> dict[str, Any]:
    """The preprocessing a model expects: `resolve_data_config({}, model=model)`, under timm's other name for
    it.
    """
    return resolve_data_config({}, model=model, use_test_size=use_test_size)


def _as_mapping(facts: Any) -> Mapping[str, Any]:
    if facts is None:
        return {}
    if is_dataclass(facts):
        return asdict(facts)
    if isinstance(facts, Mapping):
        return facts
    raise ValueError(f"pretrained_cfg is a {type(facts).__name__}: expected a mapping or a dataclass.")


def _per_channel(
    name: str, args: Mapping[str, Any], published: Sequence[float], channels: int
) -> tuple[float, ...]:
    """A mean or std with one value a channel."""
    if name in args:
        values = tuple(args[name])
        if len(values) not in (1, channels):
            raise ValueError(f"{name} has {len(values)} values: expected 1 or, a channel each, {channels}.")
        return values * channels if len(values) == 1 else values
    if len(published) == channels:
        return tuple(published)
    return (sum(published) / len(published),) * channels  # a grey or many-channel twin of an RGB model


def height_width(size: int | Sequence[int]) -> tuple[int, int]:
    """224, (224, 320) or (3, 224, 320) -> (height, width)."""
    height_width = (size, size) if isinstance(size, int) else tuple(size)[-2:]
    if len(height_width) != 2 or min(height_width) < 1:
        raise ValueError(f"The size is {size}: expected 224, (height, width) or (channels, height, width).")
    return height_width


# --- The whole transform --------------------------------------------------------------------------


def create_transform(
    input_size: int | Sequence[int] = 224,
    is_training: bool = False,
    *,
    no_aug: bool = False,
    interpolation: str = "bilinear",
    mean: Sequence[float] = IMAGENET_MEAN,
    std: Sequence[float] = IMAGENET_STD,
    crop_pct: float | None = None,
    crop_mode: str | None = None,
    scale: Sequence[float] | None = None,
    ratio: Sequence[float] | None = None,
    hflip: float = 0.5,
    vflip: float = 0.0,
    color_jitter: float | Sequence[float] | None = 0.4,
    color_jitter_prob: float | None = None,
    grayscale_prob: float = 0.0,
    gaussian_blur_prob: float = 0.0,
    re_prob: float = 0.0,
    normalize: bool = True,
) -> Any:
    """Build the transform from a PIL image to a tensor [C, H, W]: a torchvision `Compose`.

    Of other than 1 or 3 channels it takes a `BandImage` of as many (see `explorer.data.bands`), for
    evaluation.

    input_size: 224, (height, width) or (channels, height, width). With one channel an RGB photo becomes grey.
    interpolation: nearest, bilinear, bicubic, lanczos, box, hamming; in training also "random" (one of
        bilinear and bicubic, drawn for each photo).
    mean, std: per channel, for pixel values in 0..1. normalize=False: uint8 in 0..255 comes out, as it is.

    Evaluation (is_training=False), equal to timm's to the last bit:
        crop_pct: the crop's side as a share of the resized photo's, by default 0.875; above 1 leaves a
            border.
        crop_mode: "center" (short side, then crop; the default), "squash" (ignore the aspect ratio),
            "border" (the whole photo, padded with the mean colour).

    Training, timm's defaults, from torchvision's own parts (random: equal in distribution):
        scale, ratio: area share and aspect ratio of the random crop, by default (0.08, 1) and (3/4, 4/3).
        hflip, vflip: probability of a flip. color_jitter: strength, or one each for brightness, contrast,
            saturation (and hue). color_jitter_prob, grayscale_prob, gaussian_blur_prob: how often.
        re_prob: probability of erasing a random rectangle. no_aug: resize to `input_size`, nothing random.

    Raises ValueError for values that are not known. Source of the meaning: timm.data.create_transform.
    """
    from torchvision import transforms as T

    size = height_width(input_size)
    with_channels = not isinstance(input_size, int) and len(input_size) == 3
    channels = input_size[0] if with_channels else len(mean)
    for name, values in (("mean", mean), ("std", std)):
        if len(values) not in (1, channels):
            raise ValueError(f"{name} has {len(values)} values: expected 1 or, a channel each, {channels}.")

    if channels not in (1, 3):
        if is_training and not no_aug or not normalize:
            raise ValueError(f"Training transforms are for photos of 1 or 3 channels, not {channels}: "
                             "finetune(augment=\"light\") knows more.")
        plain = [Resize(size, fit="exact", interpolation=known_interpolation(interpolation))] if no_aug else \
            evaluation_steps(size, interpolation, crop_pct, crop_mode, mean)
        return T.Compose([*(EachBand(step, channels) for step in plain), BandsToTensor(channels),
                          T.Normalize(tuple(mean), tuple(std))])
    steps: list[Any] = [T.Grayscale(1)] if channels == 1 else []
    if not is_training:
        steps += evaluation_steps(size, interpolation, crop_pct, crop_mode, mean)
    elif no_aug:
        steps += [Resize(size, fit="exact", interpolation=known_interpolation(interpolation))]
    else:
        steps += _random_crop(size, interpolation, scale or (0.08, 1.0), ratio or (3 / 4, 4 / 3))
        steps += [T.RandomHorizontalFlip(hflip)] if hflip else []
        steps += [T.RandomVerticalFlip(vflip)] if vflip else []
        if color_jitter:
            alike = isinstance(color_jitter, (int, float))
            strengths = (color_jitter,) * 3 if alike else tuple(color_jitter)
            if len(strengths) not in (3, 4):
                raise ValueError(f"color_jitter has {len(strengths)} values: expected 1, 3 or 4.")
            jitter = T.ColorJitter(*strengths)
            steps += [jitter if color_jitter_prob is None else T.RandomApply([jitter], p=color_jitter_prob)]
        steps += [T.RandomGrayscale(grayscale_prob)] if grayscale_prob else []
        if gaussian_blur_prob:
            steps += [T.RandomApply([T.GaussianBlur(23, sigma=(0.1, 2.0))], p=gaussian_blur_prob)]

    steps += [T.ToTensor(), T.Normalize(tuple(mean), tuple(std))] if normalize else [T.PILToTensor()]
    if is_training and re_prob:
        steps += [T.RandomErasing(re_prob, scale=(0.02, 1 / 3), ratio=(0.3, 1 / 0.3))]
    return T.Compose(steps)


def _random_crop(
    size: tuple[int, int], interpolation: str, scale: Sequence[float], ratio: Sequence[float]
) -> list[Any]:
    from torchvision import transforms as T

    names = ("bilinear", "bicubic") if interpolation == "random" else (known_interpolation(interpolation),)
    modes = [T.InterpolationMode(name) for name in names]
    crops = [T.RandomResizedCrop(size, tuple(scale), tuple(ratio), mode) for mode in modes]
    return crops if len(crops) == 1 else [T.RandomChoice(crops)]


def crop_box(image_size: tuple[int, int], config: Mapping[str, Any]) -> tuple[float, float, float, float]:
    """Which part of the photo the network sees: (left, top, right, bottom) in the photo's own pixels.

    image_size: (width, height) of the photo, as PIL's `image.size`.
    A heat map over the network's input, stretched over this box, lies in the photo's frame. Where the
    network sees a border around the photo, the box reaches outside: left or top below 0, right or bottom
    beyond the size.
    """
    resize, crop = evaluation_steps(
        height_width(config["input_size"]),
        config.get("interpolation", "bilinear"),
        config.get("crop_pct"),
        config.get("crop_mode"),
        config.get("mean", IMAGENET_MEAN),
    )
    resized = resize.output_size(image_size)
    left, top, right, bottom = crop.box(resized)
    zoom_x, zoom_y = image_size[0] / resized[0], image_size[1] / resized[1]
    return left * zoom_x, top * zoom_y, right * zoom_x, bottom * zoom_y
