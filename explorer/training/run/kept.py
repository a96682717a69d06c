"""What a run keeps of each epoch, so that one can go back and look: the weights that learn, and nothing else.

    run.checkpoints                # (0, 1, 2, 3): after how many epochs; 0 is before the first
    run.model_at(1)                # a copy of the model as it was then

A frozen body is the same after every epoch: a head-only run keeps a few kB an epoch. What grows too large is
thinned: every second epoch goes, then every second of those that are left; the first, the best and the last
stay.
"""

from __future__ import annotations

import copy
import re
import threading
from pathlib import Path

from torch import Tensor, nn

from explorer.files import make_folder, write_whole
from explorer.models.contract import VisionModel
from explorer.models.outputs import Outputs, read_outputs
from explorer.models.weights.report import LoadReport

MEMORY_BYTES = 256 * 1024**2  # of one run without a folder
DISK_BYTES = 1024**3          # of one run_dir
SAVED_BYTES = 16 * 1024**2    # that `Run.save` puts beside the model
MOST = 200                    # epochs, however small
FOLDER = "epochs"             # below a run_dir, and below what `Run.save` wrote
OURS = r"[0-9]{4,9}\.safetensors"  # the names of the files in it


def learning_names(model: VisionModel, network: nn.Module) -> dict[str, str]:
    """{name in `network`: name in `model`} of what learning changes: trainable weights, and buffers of parts
    that learn.

    network: `model` itself, or the part of it that learns behind a frozen body
    """
    training = {id(part): part.training for part in network.modules()}
    network.train()  # frozen BatchNorm layers stay in evaluation: their statistics do not change
    kept = network.state_dict(keep_vars=True)
    weights = network.named_parameters(remove_duplicate=False)
    found = [name for name, weight in weights if weight.requires_grad and name in kept]
    for path, part in network.named_modules():
        buffers = [f"{path}.{key}".lstrip(".") for key in part._buffers if part.training]
        found += [name for name in buffers if name in kept]
        part.training = training[id(part)]
    if network is model:
        return {name: name for name in found}
    names = {id(value): name for name, value in model.state_dict(keep_vars=True).items()}
    return {name: names[id(kept[name])] for name in found}


class KeptWeights:
    """The weights that learn by epoch, named as in the model: in memory, or in a folder as one safetensors
    file an epoch.

    room: bytes that all of them may take, which are `MOST` at most. In memory the best epoch is not counted,
          since the run holds it anyway; a folder takes three epochs at least. May be read while another
          thread keeps.
    largest: bytes of a file that is still read, for a folder that somebody else may have filled
    """

    def __init__(self, folder: Path | None = None, *, room: int | None = None, largest: int | None = None):
        self.folder, self.largest = folder, largest
        self.room = room if room is not None else MEMORY_BYTES if folder is None else DISK_BYTES
        self.best: int | None = None  # the epoch that is never let go
        self._guard = threading.Lock()
        self._held: dict[int, dict[str, Tensor]] = {}
        self._step = 1  # every so many epochs is kept

    @property
    def checkpoints(self) -> tuple[int, ...]:
        with self._guard:
            return tuple(sorted(self._epochs()))

    def keep(self, epoch: int, weights: dict[str, Tensor], *, best: bool = False) -> None:
        """Keep weights that nobody changes any more as those after `epoch` epochs. Raises DiskError for a
        full disk.
        """
        if self.folder is not None:
            from safetensors.torch import save_file

            make_folder(self.folder)
            tensors = {name: value.contiguous() for name, value in weights.items()}
            write_whole(self._path(epoch), lambda path: save_file(tensors, path, metadata={"format": "pt"}))
        with self._guard:
            if self.folder is None:
                self._held[epoch] = weights
            self.best = epoch if best else self.best
            self._thin(epoch)

    def weights(self, epoch: int) -> dict[str, Tensor]:
        """What learns, as it was after `epoch` epochs. Raises ValueError for one that is not kept."""
        there = self.checkpoints
        held = self._held.get(epoch)  # asked once: the thread that keeps may let go of it any time
        if held is not None:
            return held
        if self.folder is None or epoch not in there:
            raise ValueError(f"There is no checkpoint after {epoch} epochs. There are: "
                             f"{', '.join(map(str, there)) or 'none'}. (0 is before the first.)")
        from safetensors.torch import load_file

        path = self._path(epoch)
        try:
            fits = self.largest is None or path.stat().st_size <= self.largest
            found = load_file(path) if fits else {}
        except Exception as error:  # whatever a damaged file can raise
            raise ValueError(f"The checkpoint '{path}' can't be read ({type(error).__name__}): it is "
                             "damaged, or was taken away.") from error
        if not fits:
            raise ValueError(f"The checkpoint '{path}' is larger than the model: it is of another one, or "
                             "damaged.")
        return found

    def forget(self, *, behind: int) -> None:
        """Drop the epochs after `behind`: a resumed run makes them anew."""
        with self._guard:
            for epoch in [epoch for epoch in self._epochs() if epoch > behind]:
                self._drop(epoch)

    # --- where they are, and how much ---

    def _path(self, epoch: int) -> Path:
        return self.folder / f"{epoch:04d}.safetensors"

    def _epochs(self) -> list[int]:
        if self.folder is None:
            return list(self._held)
        found = (path for path in self.folder.glob("*.safetensors")
                 if re.fullmatch(r"[0-9]{4,9}", path.stem) and path.is_file())
        return [epoch for path in found if self._path(epoch := int(path.stem)) == path]

    def _thin(self, last: int) -> None:
        """Let go of what is too much: every second epoch, then every second of the rest; at last the first,
        then the last.
        """
        always = (0, last, self.best)
        self._drop_between(always)
        while self._too_much() and any(epoch not in always for epoch in self._epochs()):
            self._step *= 2
            self._drop_between(always)
        for epoch in (0, last):
            if self._too_much() and epoch in self._epochs() and epoch != self.best:
                self._drop(epoch)

    def _too_much(self) -> bool:
        if len(self._epochs()) > MOST:
            return True
        if self.folder is not None:
            sizes = [self._path(epoch).stat().st_size for epoch in self._epochs()]
            return sum(sizes) > max(self.room, 3 * max(sizes, default=0))
        counted = [held for epoch, held in self._held.items() if epoch != self.best]
        return sum(value.nbytes for held in counted for value in held.values()) > self.room

    def _drop_between(self, always: tuple[int | None, ...]) -> None:
        for epoch in self._epochs():
            if epoch % self._step and epoch not in always:
                self._drop(epoch)

    def _drop(self, epoch: int) -> None:
        if self.folder is None:
            del self._held[epoch]
        else:
            self._path(epoch).unlink(missing_ok=True)


class HasCheckpoints:
    """What a run and a run from a folder share: `name`, `model`, `recipe` and `kept` are theirs."""

    kept: KeptWeights

    @property
    def outputs(self) -> Outputs:
        """What the model's answers mean: one class, a yes or no, several classes, or numbers."""
        return read_outputs(self.model.config, self.model.num_classes)

    @property
    def checkpoints(self) -> tuple[int, ...]:
        """After how many epochs the weights can be had again; 0 is before the first. Empty where none were
        kept.
        """
        return self.kept.checkpoints

    def model_at(self, epoch: int) -> VisionModel:
        """A copy of the model as it was after `epoch` epochs (0: before the first), in evaluation mode.

        The averaged weights, where the run has such (ema, swa). Raises ValueError for an epoch that is not in
        `checkpoints`.
        """
        weights = self.kept.weights(epoch)  # before anything is copied
        model = copy.deepcopy(self.model).eval()
        put_into(model, weights)
        name_epoch(model, self.name, epoch, self.recipe.epochs)
        return model


def put_into(model: nn.Module, weights: dict[str, Tensor]) -> None:
    """Make a copy of a run's model what it was when it had these `weights`. Raises ValueError where they
    don't fit.
    """
    if not weights:
        raise ValueError("The checkpoint is empty: it is damaged, or of another model.")
    try:
        strange = model.load_state_dict(weights, strict=False).unexpected_keys
    except RuntimeError as error:  # other shapes
        strange = str(error).splitlines()[-1:]
    if strange:
        raise ValueError(f"The checkpoint is of another model: {strange[0].strip()} does not fit.")


def name_epoch(model: VisionModel, run: str, epoch: int, epochs: int) -> None:
    """Let a copy say which state of which run it has."""
    for parameter in model.parameters():
        parameter.grad = None
    model.config = model.config.with_(tag=f"{run}, epoch {epoch}")
    when = f"after epoch {epoch} of {epochs}" if epoch else "before the first epoch"
    model.load_report = LoadReport(f"{run}, {when}", name=model.config.name, loaded=len(model.state_dict()))


def save_epochs(kept: KeptWeights, folder: Path) -> None:
    """Put the kept epochs beside a saved model, in a folder that has none yet, where all of them together are
    small.
    """
    saved = KeptWeights(folder / FOLDER, room=2 * SAVED_BYTES)
    epochs = kept.checkpoints
    each = sum(value.nbytes for value in kept.weights(epochs[0]).values()) if epochs else 0
    if len(epochs) * each <= SAVED_BYTES:
        for epoch in epochs:
            saved.keep(epoch, kept.weights(epoch))
