"""`cluster.search`: the trials of `explorer.search`, each by a worker that may be on another computer.

Optuna's study stays beside the notebook: what is tried next, and who is given up, is said here and nowhere
else. So a grid, a draw by a seed and a storage are those of `explorer.search`, and the one goes on where the
other ended. A worker (a Ray actor) takes a trial, tells the figure of each epoch to a desk on the notebook's
side, and hears whether to give up. It keeps the photos, and what frozen bodies have seen of them, for its
next trial. Ray Tune would bring draws, pruning and a folder of its own, and other trials than one computer.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from explorer.arguments import checked, flag, number, whole, word
from explorer.cluster.connection import ClusterError, connect, find_ray, resolved
from explorer.cluster.desks import Desk
from explorer.cluster.trial_workers import Ended, Sent, TrialWorker, why_not_sent
from explorer.models.contract import VisionModel
from explorer.training.choosing.attempts import Attempt, TrialTeller
from explorer.training.choosing.search_plan import OWN, SearchPlan, planned
from explorer.training.choosing.search_result import SearchResult
from explorer.training.choosing.trials import Trial
from explorer.training.choosing.trying import Outcome

log = logging.getLogger(__name__)

BESIDE = (*(name for name in OWN if name != "keep"), "workers", "cpus_per_worker", "max_failures")
GRACE = 5.0  # seconds that a worker has to break off its trial, until it is ended


@checked(method=word, trials=whole(1, 100_000), folds=whole(2, 1000), by=word, prune=flag,
         timeout=number(0, above=True), device=None, workers=whole(1, 100_000),
         cpus_per_worker=whole(1, 1024), max_failures=whole(0, 1000))
def search(
    space: dict[str, Any],
    data: Any,
    *,
    workers: int | None = None,
    method: str = "tpe",
    trials: int | None = None,
    model: VisionModel | str = "tf_efficientnet_lite0",
    folds: int | None = None,
    by: str = "accuracy",
    prune: bool | None = None,
    storage: str | os.PathLike | None = None,
    timeout: float | None = None,
    seed: int = 0,
    pretrained: bool = True,
    cpus_per_worker: int = 1,
    device: str | None = None,
    max_failures: int = 3,
    on_trial: Callable[[Trial], None] | None = None,
    on_progress: Callable[[int, int], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
    **settings: Any,
) -> SearchResult:
    """Try settings of `finetune` on a Ray cluster, several at a time; all else is as in `explorer.search`.

    workers: trials at a time; None: as many as the cluster has room for. "grid" and "random" try the same
             whatever it is; "tpe" knows less of the trials that run beside each other
    data:    what `explorer.search` takes. It is read here, and workers open the photos by the same paths: the
             folder is on all computers, or on a disk that they share
    storage: a file beside the notebook, also of a search by `explorer.search`; workers need not see it
    cpus_per_worker: threads of a trial, unless `threads` is among the settings
    device:  "cpu", "cuda" (a GPU for each trial), or by default "cuda" where the cluster has the GPUs
    max_failures: how often a trial is begun again when its worker, or the worker's computer, is lost. After
             that it counts as failed, and the others go on
    on_trial, on_progress, should_stop: called here, in this thread

    Raises what `explorer.search` raises, ModuleNotFoundError without Ray, ValueError for a setting that can't
    be sent to other computers, and ClusterError where the cluster is too small, a worker can't open the
    photos, or none can work.
    Source: T. Akiba et al., Optuna: A Next-generation Hyperparameter Optimization Framework, 2019, 3 (trials
            by several workers).
    """
    find_ray()
    if device not in (None, "cpu", "cuda"):
        raise ValueError(f"device is {device!r}: expected 'cpu', or 'cuda' for one GPU a trial.")
    plan = planned(space, resolved(data), method=method, trials=trials, model=model, folds=folds, by=by,
                   prune=prune, storage=storage, keep=None, seed=seed, pretrained=pretrained, device=device,
                   should_stop=should_stop, settings=settings, own=BESIDE)
    try:
        ray = connect(workers, cpus=cpus_per_worker, gpus=int(device == "cuda"))
        room = ray.cluster_resources()
        on_gpu = device == "cuda" or (device is None and room.get("GPU", 0) >= (workers or 1))
        if workers is None:
            workers = int(room["GPU"]) if on_gpu else max(1, int(room.get("CPU", 1)) // cpus_per_worker)
        sent = Sent.of(plan, device="cuda" if on_gpu else "cpu", threads=cpus_per_worker)
        with _Team(ray, plan, sent, cpus=cpus_per_worker, gpus=int(on_gpu), max_failures=max_failures,
                   tell=TrialTeller(on_trial)) as team:
            team.work(min(workers, plan.most), timeout, on_progress)
        return plan.result()
    finally:
        plan.study.close()


class _Team:
    """Workers of a cluster at a search, as this process sees them; when it is left, nobody works any more,
    and trials that came to no end are put back.
    """

    def __init__(self, ray: Any, plan: SearchPlan, sent: Sent, *, cpus: int, gpus: int, max_failures: int,
                 tell: TrialTeller):
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        self.ray, self.plan, self.tell, self.max_failures = ray, plan, tell, max_failures
        self.room = {"num_cpus": cpus, "num_gpus": gpus}
        try:
            self.sent = ray.put(sent)
        except Exception as error:  # whatever pickling somebody's object can raise
            raise ValueError(why_not_sent(sent, error)) from error
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        self.desk = ray.remote(Desk).options(num_cpus=0, scheduling_strategy=here).remote()
        self.idle: list[Any] = []
        self.busy: dict[Any, tuple[Any, Attempt]] = {}  # by what Ray will answer with
        self.losses: dict[int, int] = {}                # of workers, by trial
        self.spoken = False                             # whether any worker has said a word
        self.answers: dict[int, bool] = {}

    def __enter__(self) -> _Team:
        return self

    def __exit__(self, *_: Any) -> None:
        for _, attempt in self.busy.values():
            attempt.put_back()
        for worker in [*self.idle, *(worker for worker, _ in self.busy.values()), self.desk]:
            self._kill(worker)

    def work(self, workers: int, timeout: float | None,
             on_progress: Callable[[int, int], None] | None) -> None:
        """All trials that there are, until somebody asks to stop."""
        asked, more = None, True  # when somebody did; whether there may be another trial
        while True:
            while more and len(self.busy) < workers and not self.plan.ended(timeout):
                trial = self.plan.study.take(self.plan.most)
                if more := trial is not None:
                    self._give(Attempt(self.plan, trial, self.tell))
            if not self.busy:
                return
            if asked is None and self.plan.asked_to_stop():
                asked, more = time.monotonic(), False
                self._call(self.desk.ask_to_stop.remote())
            if asked is not None and time.monotonic() - asked > GRACE:
                return
            if self._listen():
                more = asked is None
                if on_progress is not None:
                    on_progress(*self.plan.progress())

    def _give(self, attempt: Attempt) -> None:
        """A trial to a worker that has none, or to a new one."""
        if not self.idle:
            kind = self.ray.remote(TrialWorker).options(**self.room)
            self.idle.append(kind.remote(self.desk, [self.sent]))
        worker = self.idle.pop()
        self.busy[worker.try_out.remote(attempt.number, dict(attempt.trial.params))] = worker, attempt

    def _listen(self) -> int:
        """What workers have to tell; how many trials have ended by it."""
        self._hear()
        ended = 0
        for answer in self.ray.wait([*self.busy], num_returns=len(self.busy), timeout=0)[0]:
            worker, attempt = self.busy[answer]
            try:
                result = self.ray.get(answer)
            except self.ray.exceptions.RayError as error:
                del self.busy[answer]
                self._kill(worker)  # one that only can't be reached at present would come back
                ended += self._lost(attempt, error)
            else:
                if result.how == "refused":
                    raise ClusterError(result.sentence)
                del self.busy[answer]
                self.idle.append(worker)
                self._end(attempt, result)
                ended += 1
        return ended

    def _hear(self) -> None:
        """What is at the desk; the answers wait for the next time."""
        told, self.answers = self._call(self.desk.take.remote(self.answers)), {}
        running = {attempt.number: attempt for _, attempt in self.busy.values()}
        for trial, figures in told:
            self.spoken = True
            if figures is not None and trial in running:
                self.answers[trial] = running[trial].hear(*figures)

    def _end(self, attempt: Attempt, result: Ended) -> None:
        if result.how == "finished":
            attempt.finish(Outcome(result.value, result.loss))
        elif result.how == "given up":
            attempt.prune()
        elif result.how == "broken off":
            attempt.put_back()
        else:
            attempt.fail(result.sentence)

    def _lost(self, attempt: Attempt, error: Exception) -> bool:
        """A worker is gone in the midst of a trial; whether that was the trial's end."""
        log.info("trial %d lost its worker", attempt.number, exc_info=error)
        losses = self.losses[attempt.number] = self.losses.get(attempt.number, 0) + 1
        if losses <= self.max_failures:
            note = f"Trial {attempt.number} lost its worker, and was begun again."
            self.plan.notes += [] if note in self.plan.notes else [note]
            attempt.begin()
            self._give(attempt)
            return False
        self._hear()
        if not self.spoken:
            said = str(error).strip().splitlines() or [type(error).__name__]
            attempt.put_back()
            raise ClusterError(f"No worker could begin, in {losses} attempts. The last words: "
                               f"{said[-1][:300]}")
        attempt.fail(f"It lost its worker {losses} times. A process that takes more memory than there is "
                     "ends like that: a smaller batch_size, or fewer workers at a time, take less.")
        return True

    def _kill(self, actor: Any) -> None:
        with suppress(self.ray.exceptions.RayError):  # the cluster is gone, and it too
            self.ray.kill(actor)

    def _call(self, answer: Any) -> Any:
        """The desk's answer."""
        try:
            return self.ray.get(answer)
        except self.ray.exceptions.RayError as error:
            raise ClusterError(f"The connection to the cluster was lost ({type(error).__name__}). With a "
                               "storage the same call goes on from what was tried.") from error
