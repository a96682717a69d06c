"""The workers of a search on a cluster: what is sent to them, what they do, and how a trial ended."""

from __future__ import annotations

import copy
import socket
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from explorer._threads import thread_count
from explorer.cluster.connection import ClusterError
from explorer.display.words import sentence_of
from explorer.models.contract import parameter_place
from explorer.training.choosing.search_plan import SearchPlan
from explorer.training.choosing.space import Choices, Space, values_of
from explorer.training.choosing.trying import BrokenOff, GivenUp, Work

PAUSE = 0.5  # seconds between two questions of a worker whether to stop


@dataclass(frozen=True)
class Sent:
    """What every worker gets: the work, the space that labels stand for, and how many threads it has."""

    work: Work
    space: Space
    threads: int

    @classmethod
    def of(cls, plan: SearchPlan, *, device: str, threads: int) -> Sent:
        """Of a plan, without what belongs to this process; networks on their way are on the CPU."""
        fixed = dict(plan.work.fixed)
        if "threads" not in plan.space:
            fixed["threads"] = fixed.get("threads") or threads
        space: Space = {name: Choices(tuple(map(_portable, one.values)), one.labels)
                        if isinstance(one, Choices) else one for name, one in plan.space.items()}
        work = replace(plan.work, model=_portable(plan.work.model), fixed=fixed, device=device,
                       should_stop=None, seen={})
        return cls(work, space, threads)


def _portable(value: Any) -> Any:
    if isinstance(value, nn.Module) and parameter_place(value)["device"].type != "cpu":
        return copy.deepcopy(value).cpu()
    return value


def why_not_sent(sent: Sent, error: Exception) -> str:
    """Which part of it can't be pickled, in a sentence."""
    from ray import cloudpickle

    parts = {"data": sent.work.data, "model": sent.work.model, **sent.work.fixed, **sent.space}
    for name, part in parts.items():
        try:
            cloudpickle.dumps(part)
        except Exception as reason:  # somebody's object, and whatever it says
            return (f"{name} can't be sent to other processes ({_first_line(reason)}): give a function, a "
                    "network or data that can be pickled. explorer.search takes it as it is.")
    return f"The search can't be sent to other processes ({_first_line(error)})."


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0][:200].rstrip(".")


@dataclass(frozen=True)
class Ended:
    """how: "finished", "given up", "broken off", "failed", or "refused": no trial can be tried by this worker
    """

    how: str
    value: float = float("nan")
    loss: float = float("nan")
    sentence: str = ""


class TrialWorker:
    """One worker (a Ray actor): labels in, how the trial ended out.

    sent: where Ray keeps what was sent, in a list: it is opened with the first trial, where a mistake is told
    """

    def __init__(self, desk: Any, sent: list[Any]):
        self.desk, self.sent = desk, sent
        self.work: Work | None = None
        self.space: Space = {}
        self.asked, self.wanted = 0.0, False

    def try_out(self, trial: int, labels: dict[str, Any]) -> Ended:
        import ray

        ray.get(self.desk.begun.remote(trial))
        try:
            work = self.work = self.work or self._opened()
        except Exception as error:  # of whatever was sent, and of a computer that nobody here has seen
            return Ended("refused", sentence=f"A worker on {socket.gethostname()} can't take the search up: "
                                             f"{sentence_of(error)}")

        def tell(value: float, loss: float) -> bool:
            return ray.get(self.desk.tell.remote(trial, value, loss))

        try:
            done = work.try_out(values_of(self.space, labels), tell)
            return Ended("finished", done.figure, done.loss)
        except GivenUp:
            return Ended("given up")
        except BrokenOff:
            return Ended("broken off")
        except ray.exceptions.RayError:  # the desk is gone, and the notebook with it
            raise
        except Exception as error:  # whatever a combination can do; the others may be fine
            return Ended("failed", sentence=sentence_of(error))

    def _opened(self) -> Work:
        """What was sent, and the photos that go with it."""
        import ray

        [sent] = ray.get(self.sent)
        torch.set_num_threads(thread_count(sent.threads, 1))
        files = sent.work.data.photos.files
        for file in (files[0], files[len(files) // 2], files[-1]) if files else ():
            if not Path(file).is_file():
                raise ClusterError(f"'{file}' is not there. All computers of the cluster must see the "
                                   "photos under the same path.")
        self.space = sent.space
        return replace(sent.work, should_stop=self._should_stop)

    def _should_stop(self) -> bool:
        import ray

        if not self.wanted and time.monotonic() - self.asked > PAUSE:
            self.asked, self.wanted = time.monotonic(), bool(ray.get(self.desk.asked_to_stop.remote()))
        return self.wanted
