"""Downloads: from the hub, or from another server, each file checked by its checksum.

Every way in which it can fail (offline, no such repository, a licence to accept, a broken file) is a
WeightsError that says what to do.
"""

from __future__ import annotations

import hashlib
import os
import re
import sys
from pathlib import Path

from explorer.models.config import ModelConfig
from explorer.models.weights.packaged import ways_out
from explorer.models.weights.reading import Checkpoint, read_checkpoint
from explorer.models.weights.report import WeightsError


def hub_reference(hub_id: str) -> tuple[str, str | None]:
    """("org/name", revision) of "org/name" or "org/name@revision"."""
    repo, _, revision = hub_id.partition("@")
    return repo, revision or None


def hub_filenames(config: ModelConfig) -> tuple[str, ...]:
    """The files to ask a hub repository for, the safest first."""
    named = config.hf_hub_filename
    if not named:
        return "model.safetensors", "pytorch_model.bin"
    if named.endswith(".safetensors"):
        return (named,)
    return re.sub(r"\.(bin|pth|pt)$", ".safetensors", named), named


def download(
    config: ModelConfig, cache_dir: str | Path | None = None, filenames: tuple[str, ...] = ()
) -> Path:
    """Download the weights of `config` from the hub into its cache; the path of the file.

    filenames: other files to ask for, the first one that is there.

    Raises WeightsError: offline, no such repository, or neither of the files in it.
    """
    from huggingface_hub import constants, errors, hf_hub_download

    repo, revision = hub_reference(config.hf_hub_id)
    if constants.HF_HUB_OFFLINE:
        raise WeightsError(offline_message(config, "HF_HUB_OFFLINE is set"))
    if not reachable(constants.ENDPOINT):
        raise WeightsError(offline_message(config, "no connection to the hub"))
    filenames = filenames or hub_filenames(config)
    for filename in filenames:
        try:
            path = Path(hf_hub_download(repo, filename, revision=revision, cache_dir=cache_dir))
            check_download(path)
            return path
        except errors.LocalEntryNotFoundError as error:  # the client's word for "no connection"
            raise WeightsError(offline_message(config, "no connection to the hub")) from error
        except errors.EntryNotFoundError:
            continue
        except errors.GatedRepoError as error:
            raise WeightsError(
                f"The weights of {config.name!r} are behind a licence that each user accepts: open "
                f"https://huggingface.co/{repo}, accept it, then run `hf auth login`."
            ) from error
        except errors.RepositoryNotFoundError as error:
            raise WeightsError(
                f"The hub has no public repository {repo!r} for {config.name!r}. Choose another tag, or give "
                "the file with checkpoint_path=."
            ) from error
        except OSError as error:  # another answer of the hub, a download that broke off, a full disk
            raise WeightsError(
                f"The weights of {config.name!r} could not be downloaded: {_first_line(error)}. Try again; "
                f"if that does not help: {ways_out('use', instead_of=config.architecture)}"
            ) from error
        except Exception as error:
            # whichever HTTP client the hub's own uses (requests, httpx, ...); its errors need not be OSErrors
            if type(error).__module__.startswith(("httpx", "httpcore", "requests", "urllib3")):
                raise WeightsError(offline_message(config, _first_line(error))) from error
            raise
    raise WeightsError(
        f"The hub repository {repo!r} holds none of {', '.join(filenames)}. Choose "
        "another tag, or give the file with checkpoint_path=."
    )


def check_download(path: Path) -> None:
    """Raise WeightsError, and forget the file, unless it has the SHA-256 that the hub calls it by.

    The cache keeps a large file under its checksum, and a link with the file's own name. Small files, and
    systems without links, have no such checksum: nothing is checked then beyond the size, by the client.
    """
    blob = path.resolve()
    if re.fullmatch(r"[0-9a-f]{64}", blob.name):
        try:
            check_sha256(path, blob.name)
        except WeightsError:
            path.unlink()
            blob.unlink(missing_ok=True)
            raise


def check_sha256(path: Path, expected: str) -> None:
    """Raise WeightsError unless the file's SHA-256 begins with `expected` (hex)."""
    with path.open("rb") as file:
        actual = hashlib.file_digest(file, "sha256").hexdigest()
    if not actual.startswith(expected):
        raise WeightsError(
            f"{path.name} is damaged or not the file it should be: its SHA-256 begins with {actual[:8]}, "
            f"expected {expected[:8]}. Delete it and install or download it again."
        )


def reachable(url: str, timeout: float = 5.0) -> bool:
    """Whether a server answers at all, within `timeout` seconds.

    Asked before the hub's client is, which tries for half a minute before it gives up: too long for a class
    that is offline. Behind a proxy only the client can tell, so the answer is yes.
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


def offline_message(config: ModelConfig, reason: str) -> str:
    return (
        f"The weights of {config.name!r} are not on this computer and could not be downloaded ({reason}). "
        "Connect to the internet once and try again: they are then kept. Without a network: "
        f"{ways_out('use', instead_of=config.architecture)}"
    )


def _first_line(error: Exception) -> str:
    """The gist of an exception, for a sentence."""
    lines = str(error).strip().splitlines()
    return lines[0][:120].rstrip(".") if lines else type(error).__name__


# --- from another server ----------------------------------------------------------------------------------


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
    """Download a PyTorch file and read its tensors.

    A checksum in the file's name (`-1234abcd.pth`) is checked.

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
