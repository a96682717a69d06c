"""`finetune`: a pretrained model learns your classes.

    run = finetune("tf_efficientnet_lite0", "flowers5", epochs=5)
    run.wait().best                               # {'val_top1': 0.9..., ...}
    run.save("my flowers")
    explorer.look(run.model, "a photo.jpg")

A run whose body is frozen (`train="head"`) lets the body look at each photo once, keeps what it saw, and learns from
that: minutes become seconds. The loop itself is in `loop.py`.
"""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from explorer.data.datasets import Splits, open_data, without_broken
from explorer.data.transforms import resolve_data_config
from explorer.models.contract import VisionModel, parameter_place
from explorer.models.factory import create_model
from explorer.models.optimize import optimize
from explorer.models.surgery import freeze, parameter_groups, unfreeze
from explorer.training import checkpoint
from explorer.training.events import Event, Finished, Note, Progress, Saved, Started, Stopped, Epoch, Batch
from explorer.training.loop import State, TrainingError, train as loop
from explorer.training.recipe import Recipe, optimizer_class
from explorer.training.run import RUNS, Run
from explorer.training.sources import Classifier, FeatureSource, PhotoSource, Source, cache_features, drawn_by


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
    run_dir: str | os.PathLike | None = None,
    resume: bool = False,
    on_event: Callable[[Event], None] | None = None,
    pretrained: bool = True,
    input_size: tuple[int, int, int] | None = None,
    device: str | torch.device | None = None,
    name: str = "",
    **settings: Any,
) -> Run:
    """Teach a model the classes of a data set, in a thread of its own; returns at once.

    model:    a name, created with its trained weights (pretrained=False: from scratch), or a model, which is trained itself
    data:     whatever `explorer.data.open_data` takes: "flowers5", a folder of class folders, a pair of datasets
    epochs, train, lr, body_lr, batch_size, optimizer, schedule, augment, seed, and the further `settings`: see `Recipe`
    run_dir:  a folder for checkpoints and history;  resume: go on from what is in it
    on_event: called with each event (see `explorer.training.events`) in the run's thread
    input_size: (channels, height, width) that photos are prepared for, where not the model's own
    device:   where to train; by default where the model is, for a name the GPU if there is one

    Raises ValueError for settings that can't be, DataError for data that can't be learnt from, WeightsError where weights
    can't be had, TrainingError for a run_dir that holds another run. What goes wrong later is raised by `run.wait()`.
    """
    known = {f.name for f in fields(Recipe)}
    if unknown := sorted(set(settings) - known):
        raise TypeError(f"finetune has no setting {unknown[0]!r}. Its settings: {', '.join(sorted(known))}.")
    recipe = Recipe(epochs=epochs, train=train, lr=lr, body_lr=body_lr, batch_size=batch_size, optimizer=optimizer,
                    schedule=schedule, augment=augment, seed=seed, **settings)
    splits = open_data(data, seed=seed)
    folder = None if run_dir is None else Path(run_dir).expanduser()
    if folder is not None:
        _claim(folder, recipe, resume)
    net = model_for(model, splits, recipe, pretrained, device, input_size)
    job = Job(net, splits, recipe, folder, resume)
    run = Run(net, splits, recipe, job.events, folder=folder, name=name or (folder.name if folder else f"{net.config.architecture} on {splits.name}"),
              listeners=[on_event] if on_event else [])
    if folder is not None:
        checkpoint.write_json(folder / checkpoint.MODEL, {
            "run": run.name, "name": model if isinstance(model, str) else net.config.architecture,
            "by_name": isinstance(model, str), "pretrained": pretrained, "data": splits.name, "labels": list(splits.classes),
            "channels": input_size[0] if input_size is not None and input_size[0] != 3 else None,
            "config": net.config.as_timm(),
        })
    RUNS.add(run)
    return run.start()


def _claim(folder: Path, recipe: Recipe, resume: bool) -> None:
    """Make the folder this run's own, or see that it is. Raises TrainingError for another run's."""
    there = folder / checkpoint.RECIPE
    if resume and there.is_file():
        before = json.loads(there.read_text(encoding="utf-8"))
        differs = [key for key, value in recipe.as_dict().items() if key not in ("epochs", "threads", "save_every", "patience")
                   and json.loads(json.dumps(value)) != before.get(key)]
        if differs:
            key = differs[0]
            raise TrainingError(f"The run in '{folder}' was started with {key}={before.get(key)!r}, not {recipe.as_dict()[key]!r}: "
                                "a resumed run keeps its settings. Give the old ones, or another run_dir.")
    elif there.is_file() and (folder / checkpoint.LAST).is_file():
        raise TrainingError(f"'{folder}' holds a run already. Add resume=True to go on with it, or give another run_dir.")
    folder.mkdir(parents=True, exist_ok=True)
    checkpoint.write_json(there, recipe.as_dict())


def model_for(model: VisionModel | str, splits: Splits, recipe: Recipe, pretrained: bool, device: Any,
               input_size: tuple[int, int, int] | None) -> VisionModel:
    """The model with a fresh classifier for these classes, drawn by the seed."""
    classes = len(splits.classes)
    with drawn_by(recipe.seed, -2):
        if isinstance(model, str):
            extra = {} if input_size is None or input_size[0] == 3 else {"in_chans": input_size[0]}
            net = create_model(model, pretrained=pretrained, num_classes=classes, **extra)
            device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        elif isinstance(model, VisionModel):
            net = model
            if net.num_classes != classes or (net.config.labels or splits.classes) != splits.classes:
                net.reset_classifier(classes)
        else:
            raise TypeError(f"finetune takes a model or its name, not {type(model).__name__}. Your own module: explorer.wrap(module).")
    if device is not None:
        net.to(device)
    net.config = net.config.with_(labels=splits.classes, num_classes=classes)
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
                 resume: bool = False):
        self.model, self.splits, self.recipe, self.folder = model, splits, recipe, folder
        self.resume = resume and folder is not None and (folder / checkpoint.LAST).is_file()
        self.state: State | None = None
        self.source: Source | None = None

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
            for event in loop(state, self.source, recipe, place, class_weights=self._class_weights(place["device"]),
                              asked_to_stop=lambda: run.asked_to_stop):
                if isinstance(event, Finished | Stopped):
                    yield from self._save()
                    self._take_best()
                yield event
                if isinstance(event, Epoch) or (recipe.save_every and isinstance(event, Batch) and event.batch % recipe.save_every == 0
                                                and event.batch % recipe.accumulate == 0):
                    yield from self._save()

    def prepare(self, run: Run, threads: int) -> Iterator[Event]:
        """Open the photos, cache what can be cached, and put the optimizer together."""
        before = set(self.splits.notes)
        self.splits = run.data = without_broken(self.splits)
        yield from (Note(text) for text in self.splits.notes if text not in before)
        recipe, model = self.recipe, self.model
        config = resolve_data_config({}, model=model)
        network: nn.Module = model
        if recipe.cached:
            model.eval()
            body = optimize(model)
            self.source = cache_features(
                model, body, self.splits.train, self.splits.val, config, recipe, threads=threads,
                asked_to_stop=lambda: run.asked_to_stop,
                progress=lambda done, total: run.tell(Progress("looking at each photo once", done, total)))
            del body
            if self.source is not None:
                network = Classifier(model)
            elif run.asked_to_stop:
                return
            else:
                yield Note("The classifier of this model needs more than one vector, so nothing can be cached: each epoch looks "
                           "at every photo again.")
        if self.source is None:
            self.source = PhotoSource(self.splits.train, self.splits.val, config, recipe, threads)
        self.state = State(network, self._optimizer(network))
        if recipe.ema is not None:
            from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

            self.state.average = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(recipe.ema), use_buffers=True)
        if self.resume:
            checkpoint.restore(self.folder, self.state)
            run.history[:] = past_epochs(self.folder, self.state.epoch)

    def _optimizer(self, network: nn.Module) -> torch.optim.Optimizer:
        recipe = self.recipe
        rate, body_rate = recipe.rates
        if recipe.train == "head":
            groups: Any = [{"params": [p for p in network.parameters() if p.requires_grad], "lr": rate, "weight_decay": recipe.decay}]
        else:
            groups = parameter_groups(self.model, lr=body_rate, head_lr=rate, weight_decay=recipe.decay,
                                      layer_decay=recipe.layer_decay)
            groups = [{key: group[key] for key in ("params", "lr", "weight_decay")} for group in groups]
        extra = {"momentum": 0.9, "nesterov": True} if recipe.optimizer.lower() == "sgd" else {}
        return optimizer_class(recipe.optimizer)(groups, lr=rate, **extra)

    def _class_weights(self, device: torch.device) -> torch.Tensor | None:
        wanted = self.recipe.class_weights
        if wanted is None:
            return None
        counts = torch.tensor(list(self.splits.train.counts().values()), dtype=torch.float32)
        if isinstance(wanted, str):
            if wanted != "balanced":
                raise ValueError(f"class_weights is {wanted!r}: expected 'balanced', or one number a class.")
            weights = counts.sum() / (len(counts) * counts.clamp(min=1))
        else:
            weights = torch.tensor([float(w) for w in wanted])
            if len(weights) != len(counts):
                raise ValueError(f"class_weights has {len(weights)} numbers for {len(counts)} classes.")
        return weights.to(device)

    def _save(self) -> Iterator[Event]:
        """A checkpoint, where there is a folder; a full disk is a sentence, and the run goes on."""
        if self.folder is None:
            return
        try:
            path = checkpoint.save(self.folder, self.state)
        except OSError as error:
            yield Note(f"The checkpoint could not be written ({error}). What was saved before is kept, and the run goes on: "
                       "make room on the disk.")
            return
        yield Saved(self.state.epoch, self.state.step, str(path))

    def _take_best(self) -> None:
        """The best epoch's weights into the model, for whoever uses it now; the last ones are kept to go on from."""
        state = self.state
        if state.best_weights:
            state.last_weights = {key: value.detach().clone() for key, value in state.network.state_dict().items()}
            state.network.load_state_dict(state.best_weights)
        self.model.eval()

    def _go_on(self) -> None:
        """Take the weights of the last step back, after a stop."""
        if self.state.last_weights:
            self.state.network.load_state_dict(self.state.last_weights)
            self.state.last_weights = {}


@contextmanager
def threads_for(recipe: Recipe) -> Iterator[int]:
    """Torch's threads for this thread's work: all but one, which is left to the notebook and the browser."""
    before = torch.get_num_threads()
    count = recipe.threads or max(1, before - 1)
    torch.set_num_threads(count)
    try:
        yield count
    finally:
        torch.set_num_threads(before)


def past_epochs(folder: Path, epochs: int) -> list[dict[str, Any]]:
    """The epochs that the history file knows, up to where the checkpoint is; a line that was cut off is left out."""
    rows: dict[int, dict[str, Any]] = {}
    try:
        lines = (folder / checkpoint.HISTORY).read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    for line in lines:
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if isinstance(event, dict) and event.pop("kind", "") == "epoch" and event.get("epoch", epochs) < epochs:
            rows[event["epoch"]] = event
    return [rows[epoch] for epoch in sorted(rows)]
