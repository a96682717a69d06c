"""`cluster.finetune`: the training of `explorer.finetune`, by workers that may be on several computers.

Ray Train starts the workers, joins them (gloo between CPUs, NCCL between GPUs), and starts them again where
one is lost. Each of them walks through the very loop of `explorer.training.loop.loop`;
`explorer.training.loop.workers` says how they share a batch. Worker 0 tells the events to a post box on the
notebook's side, from where they reach the run and its listeners.
"""

from __future__ import annotations

import os
import pickle
import socket
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Generator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from explorer.cluster.connection import ClusterError, connect, resolved
from explorer.cluster.desks import PostBox
from explorer.data.checks import ordered_as
from explorer.data.datasets import open_data
from explorer.data.photo_sets import Splits
from explorer.display.words import sentence_of
from explorer.files import given_path
from explorer.models.contract import VisionModel
from explorer.training.loop.errors import TrainingError
from explorer.training.loop.events import Batch, Epoch, Event, Finished, Note, Started, Stopped
from explorer.training.run import checkpoint
from explorer.training.run.finetuning import launch
from explorer.training.run.given import task_of
from explorer.training.run.kept import FOLDER, KeptWeights
from explorer.training.run.plan import Plan, make_plan
from explorer.training.run.run import Run
from explorer.training.run.training import Training

PAUSE = 0.05  # seconds between two messages of worker 0, at least: a short batch must not wait for its report
GRACE = 5.0  # seconds until a worker that can't go on, alone, ends all
LOST = 60.0  # seconds without a word after which a run that was asked to stop waits no longer


def finetune(
    model: VisionModel | str,
    data: Any,
    *,
    workers: int = 2,
    batch_size: int = 32,
    cpus_per_worker: int = 1,
    device: str | None = None,
    sync_batchnorm: bool = False,
    max_failures: int = 3,
    run_dir: str | os.PathLike | None = None,
    resume: bool = False,
    on_event: Callable[[Event], None] | None = None,
    name: str = "",
    **settings: Any,
) -> Run:
    """Teach a model the classes of a data set on a Ray cluster; returns at once. All else is as in
    `explorer.finetune`.

    batch_size: photos of ONE worker: `workers` times as many make a step. Two workers with 32 learn what one
                process learns with 64, to rounding, and `run.recipe.batch_size` says 64. What differs:
                BatchNorm that learns (unless sync_batchnorm), Mixup, CutMix and dropout, and the draws of
                augmentation, since each worker sees its own photos only. The learning rate is not changed: a
                larger batch may want a larger one.
    data:       what `explorer.finetune` takes. Workers open photos by their path: the folder is on all
                computers, or on a disk that they share
    device:     "cpu", "cuda" (a GPU for each worker), or by default "cuda" where the cluster has the GPUs
    sync_batchnorm: BatchNorm sees the photos of all workers
    max_failures: how often lost workers are replaced. Training then goes on from the last checkpoint, at most
                one epoch (or `save_every` batches) back
    run_dir:    a folder that all computers of the cluster see; needed where there are several

    Raises what `explorer.finetune` raises, ModuleNotFoundError without Ray, and ClusterError where the
    cluster is too small.
    """
    if task_of(model) != "classification":
        raise ValueError("A cluster teaches classes and numbers: boxes and masks are learnt on one computer, "
                         "with explorer.finetune.")
    if device not in (None, "cpu", "cuda"):
        raise ValueError(f"device is {device!r}: expected 'cpu', or 'cuda' for one GPU a worker.")
    ray = connect(workers, cpus=cpus_per_worker, gpus=int(device == "cuda"))
    on_gpu = device == "cuda" or (device is None and ray.cluster_resources().get("GPU", 0) >= workers)
    if run_dir is None and len({node["NodeManagerAddress"] for node in ray.nodes() if node["Alive"]}) > 1:
        raise ClusterError("The cluster has several computers: give run_dir, a folder that all of them see. "
                           "Checkpoints go there.")
    folder = None if run_dir is None else given_path(run_dir, "run_dir").resolve()
    plan = make_plan(model, data, batch_size=batch_size, run_dir=folder, resume=resume, device="cpu",
                     name=name, workers=workers, **settings)

    def work() -> _TrainingElsewhere:
        return _TrainingElsewhere(plan, data, workers=workers, cpus=cpus_per_worker, on_gpu=on_gpu,
                                  sync_batchnorm=sync_batchnorm, max_failures=max_failures)

    return launch(plan, work, [on_event] if on_event else [])


class _TrainingElsewhere:
    """What the run beside the notebook follows: it starts the workers, hands on their events, and takes the
    weights when they are done.
    """

    weights_now = None  # those that learn are on other computers

    def __init__(self, plan: Plan, data: Any, *, workers: int, cpus: int, on_gpu: bool, sync_batchnorm: bool,
                 max_failures: int):
        self.plan, self.workers, self.cpus, self.on_gpu = plan, workers, cpus, on_gpu
        self.model, self.data, self.recipe = plan.net, plan.splits, plan.recipe
        self.kept = KeptWeights(None if plan.folder is None else plan.folder / FOLDER)
        self.sync_batchnorm, self.max_failures = sync_batchnorm, max_failures
        # A name or a folder is opened where the photos are; a data set of somebody's own travels.
        self.sent: Any = resolved(data) if isinstance(data, (str, os.PathLike)) else plan.splits
        self._temporary = None if plan.folder else tempfile.TemporaryDirectory(prefix="explorer-run-")
        self.folder = plan.folder or Path(self._temporary.name)
        if not plan.folder:
            checkpoint.write_json(self.folder / checkpoint.RECIPE, plan.recipe.as_dict())

    def events(self, asked_to_stop: Callable[[], bool]) -> Generator[Event, None, None]:
        """All events of one start, as they come."""
        ray = connect(self.workers, cpus=self.cpus, gpus=int(self.on_gpu))
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        box = ray.remote(PostBox).options(num_cpus=0, scheduling_strategy=here).remote()
        team = _TeamAtWork(lambda: self._trainer(ray, box).fit())
        try:
            failure = yield from self._handed_on(ray, box, team, asked_to_stop)
            if failure is None:
                return
            if failure:
                raise TrainingError(failure) from team.error
            if team.error:
                said = str(team.error).strip().splitlines() or [type(team.error).__name__]
                raise TrainingError(
                    f"The workers failed more than {self.max_failures} times, and were not started again. "
                    f"What was saved is in '{self.folder}'. The last words: {said[-1][:300]}") from team.error
        except ray.exceptions.RayError as reason:
            # The post box is gone, and with it this computer's part of the cluster.
            raise ClusterError(
                f"The connection to the cluster was lost ({type(reason).__name__}). What was saved is in "
                f"'{self.folder}': run.resume() goes on from there.") from reason
        finally:
            ray.kill(box)

    def _handed_on(self, ray: Any, box: Any, team: _TeamAtWork, asked_to_stop: Callable[[], bool],
                   ) -> Generator[Event, None, str | None]:
        """What the workers tell, until they have ended. Returns why they failed, where they say so, and None
        where they were waited for in vain.
        """
        told = 0.0  # when they were asked to stop, or said something after that
        while True:
            alive = team.running
            letters, failure = ray.get(box.take.remote())
            items = [item for letter in letters for item in pickle.loads(letter)]
            yield from self._told(items, team)
            if not alive and not items:
                return failure
            if asked_to_stop() and not told:
                told = time.monotonic()
                ray.get(box.ask_to_stop.remote())
            elif told and items:
                told = time.monotonic()
            elif told and time.monotonic() - told > LOST:
                yield Note(f"No worker has answered for {LOST:g} seconds: perhaps the cluster has no room "
                           f"for {self.workers} workers at present. What was saved is in '{self.folder}'.")
                yield Stopped(team.epoch, team.step, "asked")
                return None
            if not items:
                time.sleep(PAUSE)

    def _told(self, items: list[Any], team: _TeamAtWork) -> Iterator[Event]:
        """The events of a message; weights, which come before the last one, go into the model."""
        for item in items:
            if isinstance(item, dict):
                self.model.load_state_dict(item)
                self.model.eval()
                continue
            again = team.hear(item)
            if again:
                yield Note(f"A worker was lost. The others go on with a new one, from step {item.step}.")
            yield item

    def _trainer(self, ray: Any, box: Any) -> Any:
        from ray.train import FailureConfig, RunConfig, ScalingConfig
        from ray.train.torch import TorchConfig, TorchTrainer

        resources = {"CPU": self.cpus, **({"GPU": 1} if self.on_gpu else {})}
        return TorchTrainer(
            _work,
            train_loop_config={
                "box": box, "model": ray.put(self.model), "data": ray.put(self.sent), "recipe": self.recipe,
                "photos": (len(self.data.train), len(self.data.val)), "folder": str(self.folder),
                "workers": self.workers, "cpus": self.cpus, "sync_batchnorm": self.sync_batchnorm,
            },
            scaling_config=ScalingConfig(num_workers=self.workers, use_gpu=self.on_gpu,
                                         resources_per_worker=resources),
            torch_config=TorchConfig(backend="nccl" if self.on_gpu else "gloo"),
            run_config=RunConfig(name=f"explorer-{uuid.uuid4().hex[:12]}",
                                 storage_path=str(self.folder / ".ray"),
                                 failure_config=FailureConfig(max_failures=self.max_failures)),
        )


class _TeamAtWork:
    """Ray Train at work, in a thread of its own, and how far the workers are.

    error: what it ended with;  epoch, step: how far
    """

    def __init__(self, work: Callable[[], Any]):
        self.error: BaseException | None = None
        self.starts = self.epoch = self.step = 0
        self._thread = threading.Thread(target=self._follow, args=(work,), name="explorer-ray-train",
                                        daemon=True)
        self._thread.start()

    def _follow(self, work: Callable[[], Any]) -> None:
        try:
            work()
        except BaseException as reason:  # told by the run, in its own thread
            self.error = reason

    @property
    def running(self) -> bool:
        return self._thread.is_alive()

    def hear(self, event: Event) -> bool:
        """Note how far they are; whether they begin once more, since one was lost."""
        self.step = getattr(event, "step", self.step)
        if isinstance(event, Epoch):
            self.epoch = event.epoch + 1
        if isinstance(event, Started):
            self.epoch, self.starts = event.epoch, self.starts + 1
        return isinstance(event, Started) and self.starts > 1


def _work(config: dict[str, Any]) -> None:
    """What each worker does; Ray Train has joined them already."""
    import ray
    from ray.train.torch import get_device

    from explorer.training.loop.workers import Workers

    box = config["box"]
    if ray.get(box.failed.remote()):
        return  # Ray starts all workers again, whatever happened; what would fail again is not tried again
    try:
        team = Workers(sync_batchnorm=config["sync_batchnorm"], device=get_device())
        folder, where = Path(config["folder"]), socket.gethostname()
        if not (folder / checkpoint.RECIPE).is_file():
            raise TrainingError(f"'{folder}' is not on {where}: give a run_dir that all computers of the "
                                "cluster see.")
        data, recipe = ray.get(config["data"]), config["recipe"]
        splits = data
        if not isinstance(data, Splits):
            splits = open_data(data, seed=recipe.seed, outputs=recipe.outputs)
        if (len(splits.train), len(splits.val)) != config["photos"]:
            train, val = config["photos"]
            raise TrainingError(f"'{data}' has other photos on {where}: {len(splits.train)} and "
                                f"{len(splits.val)}, not {train} and {val}. All computers must see the same "
                                "folder.")
        net = ray.get(config["model"]).to(get_device())
        # As in the notebook: the classifier goes by that order.
        splits = ordered_as(net.config.labels, splits)
        recipe = replace(recipe, threads=recipe.threads or config["cpus"])
        run = Run(Training(net, splits, recipe, folder, resume=True, team=team))
        if team.writes:
            run.listen(_Reporter(ray, box, run))
        run.start().wait()
    except (TrainingError, ValueError, TypeError) as error:
        ray.get(box.fail.remote(sentence_of(error)))
        end = time.monotonic() + GRACE
        while ray.get(box.failed.remote()) < config["workers"]:  # most of what goes wrong goes wrong for all
            if time.monotonic() > end:
                raise  # so that the others don't wait for this one
            time.sleep(PAUSE)


class _Reporter:
    """Worker 0's listener: brings the events to the post box, with the weights before the last one."""

    def __init__(self, ray: Any, box: Any, run: Run):
        self.ray, self.box, self.run = ray, box, run
        self.items: list[Any] = []
        self.last = 0.0

    def __call__(self, event: Event) -> None:
        if isinstance(event, Finished | Stopped):
            weights = self.run.model.state_dict()
            self.items.append({key: value.detach().cpu() for key, value in weights.items()})
        self.items.append(event)
        if isinstance(event, Batch) and time.monotonic() - self.last < PAUSE:
            return
        try:
            wanted = self.ray.get(self.box.exchange.remote(pickle.dumps(self.items)))
        except self.ray.exceptions.RayError:  # the notebook is gone, and nobody would ever stop this
            wanted = True
        if wanted:
            self.run.stop(wait=False)
        self.items, self.last = [], time.monotonic()
