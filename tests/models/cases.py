"""The table that the families' tests are generated from (`test_families.py`): one row a network.

    case("densenet161", 32, why="another growth", **DENSENET)
    case("cait_xxs24_224", 48, "numbers inputs step gradients compiles", **CAIT)

A row holds names (one or several), the smallest side of a photo that shows what it is there for, what is held
of it (`CHECKS`), the reason, and the options that keep it small. A family has a row for each path through its
code: each block, stem, head, stride and pooling that its variants or options choose between. Its chapter is
one of `cases_attention.py`, `cases_convolutional.py` and `cases_mobile.py`; what a family has of its own
stays in its own file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import nn

import explorer.models as ours
from explorer.models.catalog import family_module
from tests.models.oracle import without_initialisation

#: What can be held of a network.
CHECKS: Mapping[str, str] = {
    "numbers": "timm's numbers: logits, features, vector, all maps, and behind a new classifier",
    "inputs": "timm's numbers for photos of 1 and 4 channels, for 5 classes, and without a classifier",
    "unpooled": "timm's numbers without pooling and classifier",
    "step": "a training step leaves timm's gradients and BatchNorm statistics",
    "start": "fresh weights are the same constants as timm's, or drawn with the same spread",
    "gradients": "a training step reaches every parameter",
    "fresh": "fresh weights give logits of a sane size",
    "compiles": "torch.compile takes it as one graph",
    "saved": "a saved file gives the same network back",
    "maps": "features_only gives maps as the table of stages promises",
    "head": "reset_classifier keeps dtype, device, mode and pooling",
}

#: What timm's constructors call some of our options: {family file: {ours: timm's}}.
TIMM_SAYS: Mapping[str, Mapping[str, str]] = {
    "densenet": {"depths": "block_config"}, "fastvit": {"depths": "layers"}, "hiera": {"depths": "stages"},
    "repvit": {"depths": "depth"}, "resnetv2": {"depths": "layers"},
}


@dataclass(frozen=True)
class Case:
    """A network, and what is held of it.

    size: side of its photos or (height, width); None if it sees none.
    """

    name: str
    size: int | tuple[int, int] | None
    checks: tuple[str, ...]
    why: str
    options: Mapping[str, Any]

    def __str__(self) -> str:
        options = ",".join(f"{key}={value}" for key, value in self.options.items()).replace(" ", "")
        return "-".join(filter(None, (self.name, str(self.size or ""), options)))

    def ours(self, **more: Any) -> nn.Module:
        """Our network, with fresh weights."""
        return ours.create_model(self.name, **{**self.options, **more})

    def theirs(self, **more: Any) -> nn.Module:
        """timm's, with fresh weights."""
        import timm

        module = family_module(self.name)
        file = module.__name__.rpartition(".")[2]
        says = TIMM_SAYS.get(file, {})
        options = {says.get(key, key): value for key, value in {**self.options, **more}.items()}
        name = self.name
        if file == "fastvit" and "width" in options:
            width = options.pop("width")
            options["embed_dims"] = tuple(width * 2**i for i in range(len(options["layers"])))
        if file == "resnetv2" and name.endswith("_bit"):  # its entries fix the depth; the parts fit another's
            layers = timm.layers
            options |= {"width_factor": module.VARIANTS[name].get("width_factor", 1), "stem_type": "fixed",
                        "norm_layer": partial(layers.GroupNormAct, num_groups=32),
                        "conv_layer": partial(layers.StdConv2d, eps=1e-8)}
            name = "resnetv2_50"
        return timm.create_model(name, **options)

    def pair(self, **more: Any) -> tuple[nn.Module, nn.Module]:
        """Ours and timm's, with weights that nobody has drawn: the caller fills them in."""
        with without_initialisation():
            return self.ours(**more), self.theirs(**more)


def case(
    names: str, size: int | tuple[int, int] | None, checks: str = "numbers", why: str = "", **options: Any,
) -> list[Case]:
    """A row: one case for each of `names`. Raises ValueError for a check that there is not."""
    wanted = tuple(checks.split())
    if unknown := set(wanted) - set(CHECKS):
        raise ValueError(f"{names}: no checks called {sorted(unknown)}. There are: {', '.join(CHECKS)}.")
    return [Case(name, size, wanted, why, options) for name in names.split()]


def table(**families: list[list[Case]]) -> dict[str, tuple[Case, ...]]:
    """Family file -> its cases, of rows a family."""
    return {file: tuple(each for row in rows for each in row) for file, rows in families.items()}
