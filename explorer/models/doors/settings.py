"""The `config.json` that lies beside somebody's weights, in a folder or on the hub: read, and checked.

Anybody may have written it, so nothing in it is believed before it was looked at.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal, overload

from explorer.files import given_path
from explorer.models.config import ModelConfig
from explorer.models.outputs import can_be
from explorer.models.weights.downloading import download
from explorer.models.weights.report import WeightsError
from explorer.models.weights.table import config_for

# What a config.json from elsewhere may ask for, at most.
MOST_CONFIG_BYTES, MOST_SIDE, MOST_CLASSES = 64 * 1024**2, 8192, 1_000_000


@overload
def open_door(
    door: Literal["local-dir"], inside: str, cache_dir: str | Path | None = None
) -> tuple[ModelConfig, Path]: ...


@overload
def open_door(
    door: str, inside: str, cache_dir: str | Path | None = None
) -> tuple[ModelConfig, Path | None]: ...


def open_door(door: str, inside: str, cache_dir: str | Path | None = None) -> tuple[ModelConfig, Path | None]:
    """(configuration, weight file) of "local-dir:folder" or "hf-hub:org/name", whose file comes later: None.

    Both hold timm's `config.json`: architecture, number of classes, label names, `pretrained_cfg`.
    Raises WeightsError where it is missing or does not say which architecture.
    """
    if door == "hf-hub":
        repository = ModelConfig(hf_hub_id=inside, architecture=inside)
        file = download(repository, cache_dir, ("config.json",))
        return read_config(file, inside).with_(hf_hub_id=inside), None
    folder = given_path(inside, "the folder behind local-dir:")
    if not (folder / "config.json").is_file():
        raise WeightsError(f"There is no config.json in '{folder}'. Give the folder of a saved model.")
    names = ("model.safetensors", "pytorch_model.bin")
    found = next((folder / name for name in names if (folder / name).is_file()), None)
    if found is None:
        raise WeightsError(f"There are no weights in '{folder}': expected {' or '.join(names)}.")
    return read_config(folder / "config.json", inside), found


def read_config(path: Path, name: str) -> ModelConfig:
    """timm's `config.json` as a ModelConfig. Raises WeightsError for anything else:
    it may be a stranger's.
    """
    try:
        if path.stat().st_size > MOST_CONFIG_BYTES:
            raise ValueError(f"it is larger than {MOST_CONFIG_BYTES // 1024**2} MB")
        facts = json.loads(path.read_text(encoding="utf-8"))
        own = facts.get("pretrained_cfg") or facts  # timm's old layout has it flat
        architecture, labels = str(facts["architecture"]), facts.get("label_names")
        not_its = {"tag": "", "hf_hub_id": "", "url": "", "labels": None}
        config = ModelConfig.from_dict({**own, "architecture": architecture, **not_its})
        if isinstance(facts.get("num_classes"), int):
            config = config.with_(num_classes=facts["num_classes"])
        count = 2 if config.outputs == "yes/no" else config.num_classes
        if isinstance(labels, list) and len(labels) == count:
            config = config.with_(labels=tuple(map(str, labels)))
        if not config.members:
            known = config_for(architecture)  # where a file does not say which layers are first and last
            config = config.with_(first_conv=config.first_conv or known.first_conv,
                                  classifier=config.classifier or known.classifier)
        for one in (config, *config.members):
            check_config(one)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise WeightsError(f"The config.json of '{name}' does not describe a model ({type(error).__name__}: "
                           f"{error}).") from error
    return config


def check_config(config: ModelConfig) -> None:
    """Raise ValueError for facts that can't be: of another type, or out of all proportion."""
    def whole(value: Any, least: int, most: int) -> bool:
        return type(value) is int and least <= value <= most

    def size(value: Any) -> bool:
        return isinstance(value, tuple) and len(value) == 3 and all(whole(n, 1, MOST_SIDE) for n in value)

    def numbers(value: Any, low: float, high: float) -> bool:
        return isinstance(value, tuple) and 0 < len(value) <= MOST_SIDE and all(
            type(n) in (int, float) and low <= n <= high for n in value)

    def plain(value: Any) -> bool:
        if isinstance(value, tuple):
            return len(value) <= 64 and all(map(plain, value))
        number = isinstance(value, (int, float)) and abs(value) <= MOST_SIDE
        return value is None or isinstance(value, str) or number

    def names(value: Any) -> bool:
        several = isinstance(value, tuple) and all(isinstance(one, str) for one in value)
        return several or isinstance(value, str)

    def scale(value: Any, low: float) -> bool:
        fits = config.outputs == "numbers" and numbers(value, low, 1e30) and len(value) == config.num_classes
        return value == () or fits

    def option(value: Any) -> bool:
        pair = isinstance(value, tuple) and len(value) == 2
        return pair and isinstance(value[0], str) and plain(value[1])

    texts = ("interpolation", "crop_mode", "license", "hf_hub_filename", "origin_url", "built_as")
    right = {
        "outputs": config.outputs == "" or can_be(config.outputs, config.num_classes),
        "number_mean": scale(config.number_mean, -1e30),
        "number_std": scale(config.number_std, 1e-30) and len(config.number_std) == len(config.number_mean),
        "input_size": size(config.input_size),
        "test_input_size": config.test_input_size is None or size(config.test_input_size),
        "min_input_size": config.min_input_size is None or size(config.min_input_size),
        "num_classes": whole(config.num_classes, 0, MOST_CLASSES),
        "mean": numbers(config.mean, -1e6, 1e6),
        "std": numbers(config.std, 1e-9, 1e6),
        "crop_pct": numbers((config.crop_pct,), 0.01, 10),
        "test_crop_pct": config.test_crop_pct is None or numbers((config.test_crop_pct,), 0.01, 10),
        **{key: names(getattr(config, key)) for key in ("first_conv", "classifier")},
        **{key: isinstance(getattr(config, key), str) for key in texts},
        "labels": config.labels is None or (isinstance(config.labels, tuple) and names(config.labels)),
        "architecture": isinstance(config.architecture, str) and 0 < len(config.architecture) <= 200,
        "members": len(config.members) <= 64,
        "build_options": isinstance(config.build_options, tuple) and all(map(option, config.build_options)),
    }
    for key, fine in right.items():
        if not fine:
            raise ValueError(f"{key} can't be {str(getattr(config, key))[:60]}")
