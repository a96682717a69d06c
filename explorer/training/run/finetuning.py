"""`finetune`: a pretrained model learns your classes.

    run = finetune("tf_efficientnet_lite0", "flowers5", epochs=5)
    run.wait().best                               # {'val_top1': 0.9..., ...}
    run.save("my flowers")
    explorer.look(run.model, "a photo.jpg")

A run whose body is frozen (`train="head"`) lets the body look at each photo once, keeps what it saw, and learns from
that: minutes become seconds. The loop itself is in `loop.py`.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from PIL import Image
from torch import Tensor, nn

from explorer._threads import thread_count
from explorer.arguments import checked, word
from explorer.data.datasets import PhotoSet, Splits, open_data, ordered_as, without_broken
from explorer.data.transforms import resolve_data_config
from explorer.display.words import counted
from explorer.files import given_path
from explorer.models.contract import VisionModel, parameter_place
from explorer.models.create import create_model
from explorer.models.outputs import KINDS, read_outputs
from explorer.models.surgery.freezing import freeze, unfreeze
from explorer.models.surgery.inside import look_through
from explorer.models.surgery.optimized import mostly_convolutions, optimize
from explorer.models.weights.report import LoadReport
from explorer.training.loop.augmentation import AUGMENTATIONS
from explorer.training.loop.events import (
    Batch,
    Epoch,
    Event,
    Finished,
    Note,
    Progress,
    Saved,
    Started,
    Stopped,
)
from explorer.training.loop.loop import NoNumber, State, TrainingError, weights_of
from explorer.training.loop.loop import train as loop
from explorer.training.loop.objective import Objective, answers_of, kind_of, width_of
from explorer.training.loop.recipe import LOSS_NAMES, TRAIN, Recipe
from explorer.training.loop.schedules import SCHEDULES
from explorer.training.loop.sources import (
    Classifier,
    FeatureSource,
    PhotoSource,
    Source,
    cache_features,
    drawn_by,
)
from explorer.training.run import checkpoint
from explorer.training.run.checks import check_data, check_learning, check_place, optimizer_for
from explorer.training.run.claim import Claim, teacher_of
from explorer.training.run.identity import ADVICE, Identity, began_as, compare, identity_of, others_file
from explorer.training.run.kept import FOLDER, KeptWeights, learning_names, put_into
from explorer.training.run.run import RUNS, Listener, Run

if TYPE_CHECKING:
    from explorer.training.loop.team import Team

log = logging.getLogger(__name__)

MOST_HISTORY_BYTES = 256 * 1024**2  # of a history file: thousands of epochs take one or two
ONCE_BYTES = 256 * 1024**2  # photos that wait, open, for the one who needs them next, at most


@checked(name=word, batch_size=None, seed=None, device=None, input_size=None, on_event=None)
def finetune(
    model: VisionModel | str,
    data: Any,
    *,
    epochs: int = 3,
    train: str = "head",
    lr: float | None = None,
    body_lr: float | None = None,
    batch_size: int = 32,
    optimizer: str = "adamw",
    schedule: str = "cosine",
    augment: str | Callable[..., Any] = "light",
    seed: int = 0,
    outputs: str | None = None,
    run_dir: str | os.PathLike | None = None,
    resume: bool = False,
    on_event: Callable[[Event], None] | None = None,
    pretrained: bool = True,
    input_size: tuple[int, int, int] | None = None,
    device: str | torch.device | None = None,
    name: str = "",
    **settings: Any,
) -> Run:
    """Teach a model the classes, or the numbers, of a data set, in a thread of its own; returns at once.

    model:    a name, created with its trained weights (pretrained=False: from scratch), or a model, which is trained itself
    data:     whatever `explorer.data.open_data` takes: "flowers5", a folder of class folders, a pair of
              datasets, a table of files and numbers or labels
    outputs:  "one" class, "yes/no" (of two classes, by one score), "several" classes at once, or "numbers",
              which are learnt standardised and told in their own unit; None: what the data has
    epochs, train, lr, body_lr, batch_size, optimizer, schedule, augment, seed, and the further `settings`: see `Recipe`
    run_dir:  a folder for checkpoints and history;  resume: go on from what is in it
    on_event: called with each event (see `explorer.training.loop.events`) in the run's thread
    input_size: (channels, height, width) that photos are prepared for, where not the model's own
    device:   where to train; by default where the model is, for a name the GPU if there is one

    Raises ValueError for settings that can't be, DataError for data that can't be learnt from, WeightsError where weights
    can't be had, TrainingError for a run_dir that holds another run and for a model that another run is teaching, DiskError
    for a run_dir that can't be written. What goes wrong later is raised by `run.wait()`.
    """
    if on_event is not None and not callable(on_event):
        raise TypeError(f"on_event is {on_event!r}: give a function of one event, such as explorer.training.print_progress().")
    plan = make_plan(model, data, epochs=epochs, train=train, lr=lr, body_lr=body_lr, batch_size=batch_size, optimizer=optimizer,
                     schedule=schedule, augment=augment, seed=seed, outputs=outputs, run_dir=run_dir,
                     resume=resume, pretrained=pretrained,
                     input_size=input_size, device=device, name=name, **settings)
    return launch(plan, lambda: Job(plan.net, plan.splits, plan.recipe, plan.folder, plan.resume).events, [on_event] if on_event else [])


@dataclass(frozen=True)
class Plan:
    """What a run was asked for, checked: it can start in this process, or in several."""

    net: VisionModel
    splits: Splits
    recipe: Recipe
    folder: Path | None
    resume: bool
    name: str
    claim: Claim


def launch(plan: Plan, work: Callable[[], Callable[[Run], Iterator[Event]]], listeners: Sequence[Listener] = (), *,
           writes: bool = True) -> Run:
    """Start a run that was planned. What it has claimed is given back when it ends, or where it can't begin.

    work: gives the function that the run's thread follows;  writes: False for all but one of several processes
    """
    try:
        run = Run(plan.net, plan.splits, plan.recipe, plan.claim.around(work()), folder=plan.folder if writes else None,
                  name=plan.name, listeners=listeners, claim=plan.claim)
        RUNS.add(run)
        return run.start()
    except BaseException:
        plan.claim.release()
        raise


def make_plan(model: VisionModel | str, data: Any, *, batch_size: int = 32, run_dir: str | os.PathLike | None = None,
              resume: bool = False, pretrained: bool = True, input_size: tuple[int, int, int] | None = None,
              device: str | torch.device | None = None, name: str = "", workers: int = 1, writes: bool = True,
              **settings: Any) -> Plan:
    """Check what `finetune` was given; raises as it says. settings: those of `Recipe`.

    workers: batch_size photos each make a step;  writes: False for all but one of several processes
    """
    known = {f.name for f in fields(Recipe)}
    if unknown := sorted(set(settings) - known):
        raise TypeError(f"finetune has no setting {unknown[0]!r}. Its settings: {', '.join(sorted(known))}.")
    recipe = Recipe(batch_size=batch_size, **settings)
    recipe = replace(recipe, batch_size=workers * recipe.batch_size)
    check_place(device, input_size)
    splits = ordered_as(labels_known(model), open_data(data, seed=recipe.seed, outputs=recipe.outputs))
    check_data(recipe, splits)
    folder = None if run_dir is None else given_path(run_dir, "run_dir")
    if isinstance(model, nn.Module):
        model = look_through(model)
    if isinstance(model, VisionModel) and (by := teacher_of(model)):  # its weights are on the move
        raise TrainingError(f"{by} is teaching this model at present. Stop it first, or give a copy of the model: "
                            "copy.deepcopy(model).")
    splits = replace(splits, notes=(*splits.notes, *exchange_notes(model, splits, kind_of(splits, recipe))))
    net, device = begun_with(model, splits, recipe, pretrained, device, input_size)
    name = name or (folder.name if folder else f"{net.config.architecture} on {splits.name}")
    goes_on = resume and folder is not None and (folder / checkpoint.LAST).is_file()
    claim = Claim(net, folder if writes else None, name=name)
    identity = None
    if claim.folder is not None:
        identity = identity_of(net, splits, recipe, input_size)
        claim.notes = _check(folder, goes_on, identity, net)
        if goes_on:
            identity = began_as(folder, identity)
        claim.check = lambda again: _check(folder, goes_on or again and (folder / checkpoint.LAST).is_file(), identity, net)
    claim.take()
    try:
        # From here on the folder and the model are this run's.
        net = made_ready(net, splits, recipe, device, input_size, named=isinstance(model, str))
        check_learning(recipe, splits, net, workers=workers)
        if identity is not None:
            claim.facts = {checkpoint.RECIPE: recipe.as_dict(), checkpoint.IDENTITY: identity.facts, checkpoint.MODEL: {
                "run": name, "name": model if isinstance(model, str) else net.config.architecture,
                "by_name": isinstance(model, str), "pretrained": pretrained, "data": splits.name, "labels": list(splits.classes),
                "channels": input_size[0] if input_size is not None and input_size[0] != 3 else None,
                "config": net.config.as_timm(),
            }}
            claim.write()
    except BaseException:
        claim.release()
        raise
    return Plan(net, splits, recipe, folder, resume, name, claim)


def _check(folder: Path, goes_on: bool, identity: Identity, net: VisionModel) -> list[str]:
    """See that the folder is free, or is this run's: sentences for the reader of the result. Only reads.

    Raises TrainingError for another run's folder, and for one with files that a run would write over.
    """
    if goes_on:
        return compare(folder, identity, net)
    if folder.exists() and not folder.is_dir():
        raise TrainingError(f"run_dir '{folder}' is a file. Give a folder, or a name that is free.")
    if (folder / checkpoint.RECIPE).is_file() and (folder / checkpoint.LAST).is_file():
        raise TrainingError(f"'{folder}' holds a run already. Add resume=True to go on with it, or give another run_dir.")
    if (strange := others_file(folder)) is not None:
        raise TrainingError(f"'{folder}' holds a {strange} that no run has written, and that a run would write over. {ADVICE}")
    return []


def labels_known(model: Any) -> Sequence[str]:
    """The names of a model's own classes, whose order its classifier has; () where it has none."""
    if not isinstance(model, VisionModel):
        return ()
    model.notice_head()
    labels = model.config.labels
    return labels if labels and len(labels) == len(read_outputs(model.config, model.num_classes)) else ()


def keeps_head(net: VisionModel, splits: Splits, kind: str) -> bool:
    """Whether a model's classifier is for these classes, or numbers: as many, of this kind, and of the same
    names or of none that anybody gave.
    """
    net.notice_head()
    config = net.config
    return (net.num_classes == width_of(kind, len(splits.classes)) and (config.outputs or kind) == kind
            and (config.labels or splits.classes) == splits.classes)


def exchange_notes(model: VisionModel | str, splits: Splits, kind: str) -> tuple[str, ...]:
    """What to say of a classifier that somebody made or trained, and that these classes can't use."""
    if not isinstance(model, VisionModel) or keeps_head(model, splits, kind):
        return ()
    if model.config.labels is None or not model.num_classes:  # ImageNet's is expected to go
        return ()
    before, width = model.num_classes, width_of(kind, len(splits.classes))
    noun = "numbers" if kind == "numbers" else "classes"
    why = f"one of {width}" if before != width else f"a fresh one, as its {noun} have other names"
    if before == width and (model.config.labels or splits.classes) == splits.classes:
        why = "a fresh one, as its scores meant something else"
    return (f"Your classifier of {counted(before, 'output')} was exchanged for {why}.",)


def model_for(model: VisionModel | str, splits: Splits, recipe: Recipe, pretrained: bool, device: Any,
              input_size: tuple[int, int, int] | None) -> VisionModel:
    """The model with a fresh classifier for these classes or numbers, drawn by the seed."""
    net, device = begun_with(model, splits, recipe, pretrained, device, input_size)
    return made_ready(net, splits, recipe, device, input_size, named=isinstance(model, str))


def begun_with(model: VisionModel | str, splits: Splits, recipe: Recipe, pretrained: bool, device: Any,
               input_size: tuple[int, int, int] | None) -> tuple[VisionModel, Any]:
    """(the model that a run begins with, where it goes): the one that was given is not changed yet."""
    width = width_of(kind_of(splits, recipe), len(splits.classes))
    if isinstance(model, str):
        extra = {} if input_size is None or input_size[0] == 3 else {"in_chans": input_size[0]}
        with drawn_by(recipe.seed, -2):
            net = create_model(model, pretrained=pretrained, num_classes=width, **extra)
        return net, device or ("cuda" if torch.cuda.is_available() else "cpu")
    if isinstance(model, VisionModel):
        return model, device
    raise TypeError(f"finetune takes a model or its name, not {type(model).__name__}. Your own module: explorer.wrap(module).")


def made_ready(net: VisionModel, splits: Splits, recipe: Recipe, device: Any, input_size: tuple[int, int, int] | None, *,
               named: bool) -> VisionModel:
    """The model with a classifier for these classes, drawn by the seed where it is fresh, and frozen as the recipe says.

    named: it was made by its name, for these classes
    """
    kind = kind_of(splits, recipe)
    fresh = named or not keeps_head(net, splits, kind)
    with drawn_by(recipe.seed, -2):
        if fresh and not named:
            net.reset_classifier(width_of(kind, len(splits.classes)))
    if device is not None:
        net.to(device)
    # What it becomes is no published set of weights any more.
    net.config = net.config.with_(**answers_of(net, splits, kind, fresh=fresh),
                                  tag=splits.name, hf_hub_id="", url="", top1=None, top5=None)
    net.claim_head()
    if input_size is not None:
        net.config = net.config.with_(input_size=tuple(input_size), test_input_size=None)
    unfreeze(net)
    if recipe.train == "head":
        freeze(net)
    elif recipe.train == "last_stage":
        stages = net.stage_table
        if len(stages) < 2:
            raise ValueError(f"{net.config.architecture} has no stages that could be told apart: train 'head' or 'all'.")
        freeze(net, stages[-2].name)
    return net


class Job:
    """What a run's thread does: prepare, then follow the loop, and save on the way."""

    def __init__(self, model: VisionModel, splits: Splits, recipe: Recipe, folder: Path | None = None,
                 resume: bool = False, team: Team | None = None):
        self.model, self.splits, self.recipe, self.folder, self.team = model, splits, recipe, folder, team
        self.resume = resume and folder is not None and (folder / checkpoint.LAST).is_file()
        self.state: State | None = None
        self.objective: Objective | None = None
        self.source: Source | None = None
        self.names: dict[str, str] = {}  # of what learns, in the network and in the model

    def events(self, run: Run) -> Iterator[Event]:
        """All events of one start: a run that was stopped and is started again goes on where it was."""
        with threads_for(self.recipe) as threads:
            if self.state is None:
                yield from self.prepare(run, threads)
            else:
                self._go_on()
            if self.state is None:  # asked to stop while preparing
                yield Stopped(0, 0, "asked")
                return
            state, recipe = self.state, self.recipe
            yield Started(recipe.epochs, len(self.source), state.step,
                          sum(p.numel() for p in state.network.parameters() if p.requires_grad),
                          isinstance(self.source, FeatureSource))
            place = parameter_place(self.model)
            try:
                for event in loop(state, self.source, recipe, place, objective=self.objective,
                                  asked_to_stop=lambda: self._asked_to_stop(run), team=self.team):
                    if isinstance(event, Epoch):  # before anybody hears of it: whoever does may ask for it
                        yield from self._keep(run, event.epoch + 1, best=event.best)
                    if isinstance(event, Finished | Stopped):
                        yield from self._save()
                        state.put_gradients_aside()
                        self._take_best(run)
                    yield event
                    due = isinstance(event, Batch) and recipe.save_every and event.batch % recipe.save_every == 0
                    if isinstance(event, Epoch) or due:
                        yield from self._save()
            except Exception as error:  # such as a loss that is no number: what was learnt before it is not lost
                state.put_gradients_aside()
                self._take_best(run)
                if isinstance(error, NoNumber) and not state.best_weights:
                    yield Note(self._begin_again(run))
                raise
            if run.state == "finished":  # nothing goes on from here: photos and last weights may go
                self.source.close()
                self.source, state.last_weights = None, {}

    def prepare(self, run: Run, threads: int) -> Iterator[Event]:
        """Open the photos, cache what can be cached, and put the optimizer together."""
        began = time.perf_counter()
        before = set(self.splits.notes)
        if self.recipe.threads is not None and threads < self.recipe.threads:
            yield Note(f"threads={self.recipe.threads} is more than the {counted(threads, 'core')} that there are here, "
                       "which are used.")
        try:
            self.splits = run.data = without_broken(opened_once(
                self.splits, asked_to_stop=lambda: self.team is None and run.asked_to_stop))
        except AskedToStop:
            return
        yield from (Note(text) for text in self.splits.notes if text not in before)
        recipe, model = self.recipe, self.model
        self.objective = Objective(read_outputs(model.config, model.num_classes), recipe.loss or "mse",
                                   recipe.label_smoothing,
                                   self.class_weights(parameter_place(model)["device"]))
        config = resolve_data_config({}, model=model)
        network: nn.Module = model
        if recipe.cached:
            model.eval()
            try:
                body = optimize(model)
            except (RuntimeError, ValueError) as error:  # a body that can't be made faster sees the same
                log.info("%s is not optimized: %s", model.config.name, error)
                body = model
            self.source = cache_features(
                model, body, self.splits.train, self.splits.val, config, recipe, self.objective, threads=threads,
                asked_to_stop=lambda: self._asked_to_stop(run),
                progress=lambda done, total: run.tell(Progress("looking at each photo once", done, total)), team=self.team)
            del body
            if self.source is not None:
                network = Classifier(model)
                if recipe.view_count == 1 and recipe.augment != "none":
                    yield Note("The body is frozen, so it looked at each photo once, as it is, and every epoch learns from what it "
                               "saw. Augmented photos join in with views=2 or more, at that multiple of the time.")
            elif self._asked_to_stop(run):
                return
            else:
                yield Note("The classifier of this model needs more than one vector, so nothing can be cached: each epoch looks "
                           "at every photo again.")
        if self.source is None:
            if mostly_convolutions(model):  # twice as fast on a CPU; the numbers are the same
                model.to(memory_format=torch.channels_last)
            self.source = PhotoSource(self.splits.train, self.splits.val, config, recipe, self.objective,
                                      threads, self.team)
        self.state = State(network, optimizer_for(model, network, recipe))
        if recipe.ema is not None:
            from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

            self.state.average = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(recipe.ema), use_buffers=True)
        self.names = learning_names(model, network)
        run.weights_now = lambda: self._weights(run)
        if self.folder is not None and run.folder is None:  # one of several workers: the run that is watched is elsewhere
            run.kept = KeptWeights(self.folder / FOLDER)
        self.state.take_gradients_back()  # none: what a caller's own backward pass has left is no part of the first step
        if self.resume:
            checkpoint.restore(self.folder, self.state)
            run.history[:] = past_epochs(self.folder, self.state.epoch)
        if self.team is None or not self.team.rank:
            run.kept.forget(behind=self.state.epoch if self.resume else -1)
            run.kept.best = self.state.best_epoch + 1 or None
        if not self.resume:
            yield from self._keep(run, 0)
        self.state.seconds += time.perf_counter() - began

    def class_weights(self, device: torch.device) -> torch.Tensor | None:
        wanted = self.recipe.class_weights
        if wanted is None:
            return None
        if isinstance(wanted, str):  # "balanced"
            counts = torch.tensor(list(self.splits.train.counts().values()), dtype=torch.float32)
            return (counts.sum() / (len(counts) * counts.clamp(min=1))).to(device)
        return torch.tensor(wanted, device=device)

    def _asked_to_stop(self, run: Run) -> bool:
        """Those who learn together stop together."""
        return run.asked_to_stop if self.team is None else self.team.any(run.asked_to_stop)

    def _save(self) -> Iterator[Event]:
        """A checkpoint, where there is a folder; a full disk is a sentence, and the run goes on."""
        if self.folder is None:
            return
        if self.team is not None:
            self.team.average_statistics(self.state)
            if self.team.rank:
                return
        try:
            path = checkpoint.save(self.folder, self.state)
        except OSError as error:
            yield Note(f"The checkpoint could not be written, and the run goes on; what was saved before is kept. {error}")
            return
        yield Saved(self.state.epoch, self.state.step, str(path))

    def _weights(self, run: Run) -> dict[str, Tensor]:
        """A copy of what learns, as it is judged, on the CPU and named as in the model."""
        found = weights_of(self.state) if run.state == "running" else self.state.network.state_dict()
        return {self.names[key]: found[key].detach().to("cpu", copy=True) for key in self.names}

    def _keep(self, run: Run, epoch: int, *, best: bool = False) -> Iterator[Event]:
        """The weights after `epoch` epochs, to come back to; a full disk is a sentence, and the run goes on."""
        if self.team is not None and self.team.rank:
            return
        if best:  # these are held anyway, for the end
            weights = {self.names[key]: self.state.best_weights[key] for key in self.names}
        else:
            weights = self._weights(run)
        try:
            run.kept.keep(epoch, weights, best=best)
        except OSError as error:
            yield Note(f"The weights after epoch {epoch} could not be kept to come back to, and the run goes on. {error}")

    def _take_best(self, run: Run) -> None:
        """The best epoch's weights into the model, for whoever uses it now; the last ones are kept to go on from."""
        state = self.state
        if state.best_weights:
            state.last_weights = {key: value.detach().clone() for key, value in state.network.state_dict().items()}
            state.network.load_state_dict(state.best_weights)
            # whoever looks at it now reads what it has become, not that its classifier was fresh
            model = self.model
            model.load_report = LoadReport(f"the run {run.name}, epoch {state.best_epoch + 1} of {self.recipe.epochs}",
                                           loaded=len(model.state_dict()))
        self.model.eval()

    def _begin_again(self, run: Run) -> str:
        """The weights before the first epoch into a model whose own are broken; a sentence that says so."""
        try:
            put_into(self.model, run.kept.weights(0))
        except ValueError:  # too large to be kept beside those that learn
            return "The model's weights are broken, and those that it began with were not kept: create it again."
        return "The model has the weights again that it began with."

    def _go_on(self) -> None:
        """Take the weights of the last step back, after a stop."""
        if self.state.last_weights:
            self.state.network.load_state_dict(self.state.last_weights)
            self.state.last_weights = {}
        self.state.take_gradients_back()


class AskedToStop(Exception):
    """In the middle of the look at all photos."""


def opened_once(splits: Splits, *, room: int = ONCE_BYTES, asked_to_stop: Callable[[], bool] = lambda: False) -> Splits:
    """The same photos, of which each one's first opening serves the second too, while those that wait take `room` bytes.

    The look for broken photos opens all of them; the first that learns from one, or caches it, then need not do so again.
    asked_to_stop: once it says True, the first opening of a photo raises AskedToStop
    """
    shared = _Room(room)

    def part(photos: PhotoSet) -> PhotoSet:
        return replace(photos, open_one=_OpenedOnce(photos.open_one, shared, asked_to_stop))

    return replace(splits, train=part(splits.train), val=part(splits.val))


class _Room:
    """Bytes that photos may take which wait, open. A copy has all of them: no photo waits there."""

    def __init__(self, size: int):
        self.size = self.left = size
        self.guard = threading.Lock()

    def __reduce__(self):
        return _Room, (self.size,)


class _OpenedOnce:
    """Opens photos; the first opening of each is kept for the second. A copy begins with none, and is not stopped."""

    def __init__(self, open_one: Callable[[int], Image.Image], room: _Room,
                 asked_to_stop: Callable[[], bool] = lambda: False):
        self.open_one, self.room, self.asked_to_stop = open_one, room, asked_to_stop
        self.waiting: dict[int, Image.Image] = {}
        self.seen: set[int] = set()

    def __reduce__(self):
        return _OpenedOnce, (self.open_one, self.room)

    def __call__(self, index: int) -> Image.Image:
        room = self.room
        with room.guard:
            photo = self.waiting.pop(index, None)
            if photo is not None:
                room.left += _bytes_of(photo)
                return photo
        if index not in self.seen and self.asked_to_stop():
            raise AskedToStop
        photo = self.open_one(index)
        with room.guard:
            if index not in self.seen and _bytes_of(photo) <= room.left:
                self.waiting[index] = photo
                room.left -= _bytes_of(photo)
            self.seen.add(index)
        return photo


def _bytes_of(photo: Image.Image) -> int:
    return photo.width * photo.height * len(photo.getbands())


@contextmanager
def threads_for(recipe: Recipe) -> Iterator[int]:
    """Torch's threads for this thread's work: all but one, which is left to the notebook and the browser."""
    before = torch.get_num_threads()
    count = thread_count(recipe.threads, before - 1)
    torch.set_num_threads(count)
    try:
        yield count
    finally:
        torch.set_num_threads(before)


def past_epochs(folder: Path, epochs: int) -> list[dict[str, Any]]:
    """The epochs that the history file knows, up to where the checkpoint is; a line that was cut off is left out."""
    rows: dict[int, dict[str, Any]] = {}
    path = folder / checkpoint.HISTORY
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.stat().st_size < MOST_HISTORY_BYTES else []
    except OSError:
        return []
    for line in lines:
        try:
            event = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if not isinstance(event, dict) or event.pop("kind", "") != "epoch":
            continue
        if type(epoch := event.get("epoch")) is int and epoch < epochs:
            rows[epoch] = event
    return [rows[epoch] for epoch in sorted(rows)]


def main(arguments: Sequence[str] | None = None) -> int:
    """`python -m explorer.training.run.finetuning MODEL DATA ...`, alone or under torchrun; the exit code.

        torchrun --nproc-per-node 2 -m explorer.training.run.finetuning resnet50 photos/ --train all --batch-size 64

    Under torchrun every process learns from its share: `--batch-size` photos each make one step.
    """
    import argparse

    parser = argparse.ArgumentParser(prog="python -m explorer.training.run.finetuning", description="A model learns your classes.")
    parser.add_argument("model", help="a name, such as resnet50")
    parser.add_argument("data", help="a folder of class folders, a table of files and numbers or labels, "
                                     "flowers5 or cifar10")
    parser.add_argument("--outputs", choices=list(KINDS), help="what the answers are; by default what the "
                                                               "data has")
    parser.add_argument("--loss", choices=LOSS_NAMES, help="of numbers; by default mse")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--train", choices=list(TRAIN), default="head")
    parser.add_argument("--lr", type=float, help="learning rate of the classifier")
    parser.add_argument("--body-lr", type=float, help="learning rate of the body")
    parser.add_argument("--batch-size", type=int, default=32, help="photos of one process")
    parser.add_argument("--accumulate", type=int, default=1, help="batches that make one step")
    parser.add_argument("--optimizer", default="adamw")
    parser.add_argument("--schedule", choices=SCHEDULES, default="cosine")
    parser.add_argument("--augment", choices=list(AUGMENTATIONS), default="light")
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--save-every", type=int, help="a checkpoint after so many batches too")
    parser.add_argument("--input-size", type=int, nargs=3, metavar=("C", "H", "W"))
    parser.add_argument("--from-scratch", dest="pretrained", action="store_false", help="without trained weights")
    parser.add_argument("--run-dir", help="a folder for checkpoints and history, which all processes see")
    parser.add_argument("--resume", action="store_true", help="go on from what is in --run-dir")
    parser.add_argument("--device", help="cpu, or cuda; by default the GPU if there is one")
    parser.add_argument("--sync-batchnorm", action="store_true", help="BatchNorm sees the photos of all processes")
    parser.add_argument("--save", metavar="FOLDER", help="write the trained model here")
    options = vars(parser.parse_args(arguments))
    save, sync = options.pop("save"), options.pop("sync_batchnorm")
    options["input_size"] = options["input_size"] and tuple(options["input_size"])

    def show(event: Event) -> None:
        if isinstance(event, Epoch):
            figure = getattr(event, event.measure.judged)
            print(f"epoch {event.epoch + 1}: loss {event.loss:.4f}, judged: loss {event.val_loss:.4f}, "
                  f"{event.measure.says(figure)} ({event.seconds:.0f} s)", flush=True)
        elif isinstance(event, Note):
            print(event.text, flush=True)

    try:
        with joined(options, sync) as team:
            plan = make_plan(**options, workers=team.world if team else 1, writes=team is None or team.rank == 0)
            tells = team is None or team.rank == 0
            run = launch(plan, lambda: Job(plan.net, plan.splits, plan.recipe, plan.folder, plan.resume, team).events,
                         [show] if tells else [], writes=tells)
            run.wait()
            if save and tells:
                print(f"Saved in '{run.save(save)}'.", flush=True)
    except (ValueError, TypeError, TrainingError, OSError) as error:
        print(f"{parser.prog}: {error}", file=sys.stderr, flush=True)
        return 1
    return 0


@contextmanager
def joined(options: dict[str, Any], sync_batchnorm: bool) -> Iterator[Team | None]:
    """The team that torchrun has started, for the `with` block; None for a process alone. Each takes a GPU of its own."""
    if int(os.environ.get("WORLD_SIZE", 1)) == 1:
        yield None
        return
    import torch.distributed as dist

    from explorer.training.loop.team import Team

    on_gpu = options["device"] != "cpu" and torch.cuda.device_count() >= int(os.environ["LOCAL_WORLD_SIZE"])
    if on_gpu:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    options["device"] = f"cuda:{os.environ['LOCAL_RANK']}" if on_gpu else "cpu"
    dist.init_process_group("nccl" if on_gpu else "gloo")
    try:
        yield Team(sync_batchnorm=sync_batchnorm, device=options["device"])
        dist.barrier()  # nobody leaves while another one still speaks
    finally:
        dist.destroy_process_group()


if __name__ == "__main__":
    sys.exit(main())
