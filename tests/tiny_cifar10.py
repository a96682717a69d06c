"""A CIFAR-10 of a few photos, in the original's files and layout, for tests.

The real one is 170 MB. torchvision opens its files only where their MD5 is the published one: here the small
files' own sums are published in their place, so that every check is made as it is for the real ones.
"""

from __future__ import annotations

import hashlib
import pickle
import tarfile
from pathlib import Path

import numpy as np
import pytest

NAMES = "airplane automobile bird cat deer dog frog horse ship truck".split()
BATCHES = [f"data_batch_{i}" for i in range(1, 6)]
LEARNT, JUDGED = 5 * len(NAMES), len(NAMES)  # photos: each file has one of each class


def write(root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write `root/cifar-10-batches-py`, whose sums torchvision then takes for the published ones; its path.

    Each class has a colour of its own, with noise: there is something to learn.
    """
    from torchvision.datasets import CIFAR10

    folder = root / CIFAR10.base_folder
    folder.mkdir(parents=True)
    draw = np.random.default_rng(0)
    colours = draw.integers(30, 226, (len(NAMES), 3, 1))
    sums = {}
    for name in [*BATCHES, "test_batch"]:
        noise = draw.integers(-30, 31, (len(NAMES), 3, 32 * 32))
        photos = (colours + noise).astype(np.uint8).reshape(len(NAMES), 3072)
        sums[name] = _write(folder / name, {"data": photos, "labels": list(range(len(NAMES)))})
    facts = _write(folder / "batches.meta", {"label_names": NAMES})
    monkeypatch.setattr(CIFAR10, "train_list", [[name, sums[name]] for name in BATCHES])
    monkeypatch.setattr(CIFAR10, "test_list", [["test_batch", sums["test_batch"]]])
    monkeypatch.setattr(CIFAR10, "meta", {**CIFAR10.meta, "md5": facts})
    return folder


def _write(path: Path, content: dict) -> str:
    path.write_bytes(pickle.dumps(content))
    return _md5(path)


def _md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()


def pack(folder: Path, archive: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The archive that people download, of a folder from `write`; its sum is the published one too."""
    from torchvision.datasets import CIFAR10

    with tarfile.open(archive, "w:gz") as tar:
        tar.add(folder, folder.name)
    monkeypatch.setattr(CIFAR10, "tgz_md5", _md5(archive))
    return archive
