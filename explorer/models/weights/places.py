"""The places that published weights come from, asked in this order:

    a Python package   the ImageNet weights of `tf_efficientnet_lite0/1/2` install with explorer; two small
                       networks for boxes and masks come in explorer's own (`shipped/`)
    the hub's cache    what was downloaded before
    the hub            huggingface.co, safetensors first; the older pickle format only with
                       `weights_only=True`. Weights that only torchvision has come from its own server
"""

from __future__ import annotations

from pathlib import Path

from explorer.models.config import ModelConfig
from explorer.models.weights.choosing import read_state_dict
from explorer.models.weights.downloading import (
    check_sha256,
    download,
    download_url,
    hub_filenames,
    hub_reference,
    offline_message,
    reachable,
    url_target,
)
from explorer.models.weights.key_maps import convert
from explorer.models.weights.packaged import PACKAGED, ways_out
from explorer.models.weights.reading import Checkpoint, read_checkpoint
from explorer.models.weights.report import WeightsError
from explorer.models.weights.table import config_for, published, tags


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
            raise WeightsError(offline_message(config, f"no connection to {config.url}"))
        return download_url(config.url, cache_dir), config.url
    name = config.name.removesuffix(".untrained")  # the table's word for a name without weights
    raise WeightsError(f"No weights are published for {name!r}. {ways_out(instead_of=config.architecture)}")


def in_cache(config: ModelConfig, cache_dir: str | Path | None = None) -> Path | None:
    """The downloaded file of these weights, or None; asks no network.

    In the hub's cache, or in torch's, where they are not on the hub.
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


def downloaded() -> dict[str, int]:
    """Full name -> bytes on the disk of all published weights that were downloaded; asks no network."""
    found = {}
    for architecture in published():
        for tag in tags(architecture):
            config = config_for(architecture, tag)
            if config.name not in PACKAGED and (path := in_cache(config)) is not None:
                found[config.name] = path.stat().st_size
    return found
