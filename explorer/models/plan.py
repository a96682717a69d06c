"""What a request means: which network of the catalog is built, how, and whose weights go into it."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from explorer.models.catalog import FAMILY_OF
from explorer.models.config import ModelConfig
from explorer.models.names import check_name, word_on_old_name
from explorer.models.request import Request
from explorer.models.weights.report import WeightsError
from explorer.models.weights.table import config_for, tags


@dataclass(frozen=True)
class Plan:
    """A network of the catalog that is to be built.

    config:      preprocessing, labels, and where its weights are from
    num_classes: size of the logits; None: as the weights have it
    options:     what the network is built with; None leaves one as the family has it
    pretrained:  whether it gets the weights that `config` names;  checkpoint: the file whose weights it gets
                 instead
    maps:        the `out_indices` of a `features_only` net, which does without tensors that none of them
                 needs; False for a whole model
    inside:      what stands behind the door, "org/name" or a folder; "" without a door
    whose:       what weights that are not published are called by: the file, the folder, the repository
    """

    architecture: str
    config: ModelConfig
    num_classes: int | None
    options: dict[str, Any]
    pretrained: bool
    checkpoint: str | Path | None
    maps: int | Sequence[int] | bool | None
    cache_dir: str | Path | None
    inside: str = ""
    whose: str = ""

    @property
    def is_trained(self) -> bool:
        return self.pretrained or self.checkpoint is not None

    @property
    def trains_its_body(self) -> bool:
        """Whether its backbone alone gets trained weights: the whole network has none, or has another one."""
        if not self.pretrained or FAMILY_OF[self.architecture].task == "classification":
            return False
        return "backbone" in self.options or not tags(self.architecture)

    @property
    def saved_options(self) -> dict[str, Any]:
        """What the weights' network was built with."""
        return dict(self.config.build_options)

    @contextmanager
    def says_what_was_saved(self) -> Iterator[None]:
        """Name the folder whose own options can't be built: the caller did not give them."""
        try:
            yield
        except Exception as error:
            if not self.saved_options or not self.inside or isinstance(error, WeightsError):
                raise
            asked = ", ".join(f"{key}={value!r}" for key, value in self.saved_options.items())[:200]
            raise WeightsError(f"'{self.inside}' was saved from {self.architecture} built with {asked}, "
                               f"and it can't be built so here: {error}") from error


def plan_by_name(request: Request, *, stacklevel: int) -> Plan:
    """Of a name of the catalog: with published weights, with those of a file, or with random ones.

    stacklevel: how many calls up the person is who gave the name, for a warning that it is an old one
    """
    architecture, tag = check_name(request.name)
    if word := word_on_old_name(request.name):
        warnings.warn(word, DeprecationWarning, stacklevel=stacklevel + 1)
    request.check_one_source()
    config = config_for(architecture, tag)
    if request.checkpoint_path is not None:
        config = config.of_a_file()
    elif "backbone" in request.own:  # nobody has published that one: its backbone's weights alone
        config = config.of_a_file().with_(build_options=())
    elif not request.pretrained:
        config = config.with_(build_options=())  # what the published weights need
    whose = "" if request.checkpoint_path is None else Path(request.checkpoint_path).name
    return _plan(request, architecture, config, whose=whose)


def plan_behind_a_door(
    request: Request, door: str, inside: str, config: ModelConfig, found: Path | None
) -> Plan:
    """Of somebody's own configuration and weights, of an architecture that we know.

    config: as its config.json says;  found: the file of weights beside it, None where it is fetched later
    Raises WeightsError for a folder whose network no name gives.
    """
    architecture = _saved_name(config.architecture, door, inside)
    request.check_one_source()
    in_chans = request.in_chans
    if in_chans is None and config.input_size[0] != 3:
        in_chans = config.input_size[0]  # as its weights have it
    is_local = door == "local-dir"
    checkpoint = found if is_local and request.pretrained else request.checkpoint_path
    whose = inside.rstrip("/\\").replace("\\", "/").rpartition("/")[2] if is_local else inside
    return _plan(request, architecture, config.with_(architecture=architecture), in_chans=in_chans,
                 checkpoint=checkpoint, inside=inside, whose=whose)


def _plan(request: Request, architecture: str, config: ModelConfig, *, in_chans: int | None = None,
          checkpoint: str | Path | None = None, inside: str = "", whose: str = "") -> Plan:
    options = {"in_chans": request.in_chans if in_chans is None else in_chans, **request.network_options}
    # what a saved network was built with, unless something else is wanted now
    saved = dict(config.build_options)
    options |= {key: value for key, value in saved.items() if options.get(key) is None}
    if strange := [key for key in saved if options[key] is None]:
        raise WeightsError(f"The network in '{inside}' was built with a {strange[0][:60]!r} of its own, "
                           f"which no file holds. {_fill_it(inside)}")
    checkpoint = request.checkpoint_path if checkpoint is None else checkpoint
    num_classes = 0 if request.features_only else request.num_classes  # maps need no head
    return Plan(
        architecture, config, num_classes, options,
        pretrained=request.pretrained and checkpoint is None, checkpoint=checkpoint,
        maps=request.out_indices if request.features_only else False, cache_dir=request.cache_dir,
        inside=inside, whose=whose,
    )


def _saved_name(name: str, door: str, inside: str) -> str:
    """The architecture that a saved model names.

    Raises WeightsError for a folder whose network no name gives, with the way to open it all the same.
    """
    try:
        return check_name(name)[0]
    except ValueError as error:
        if door == "hf-hub":
            raise
        raise WeightsError(f"{error} If it was built by hand: {_fill_it(inside)}") from error


def _fill_it(folder: str) -> str:
    return (f"build it again as it was, for example model = explorer.wrap(my_module), and "
            f"explorer.load_run({folder!r}, model=model) puts the saved weights into it.")
