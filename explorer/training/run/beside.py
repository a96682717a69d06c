"""Touching a run from outside while it learns: between two of its batches, and never its own network.

    between_batches(run, run.weights_now)     # never half a step
    copy_of_model(run)                        # what others may look through while the run goes on
"""

from __future__ import annotations

import copy
import threading
import weakref
from collections.abc import Callable
from typing import Any

from explorer.models.contract import VisionModel
from explorer.models.weights.report import LoadReport

_run_of: weakref.WeakKeyDictionary[VisionModel, weakref.ref[Any]] = weakref.WeakKeyDictionary()  # of copies


def between_batches(run: Any, work: Callable[[], Any]) -> Any:
    """What `work()` gives: called in the run's own thread between two batches, or at once where it rests.

    So a copy of the weights never holds half a step. Raises what `work` raises.
    """
    if not getattr(run, "running", False):
        return work()
    outcome: list[tuple[Any, BaseException | None]] = []
    begun, done = threading.Event(), threading.Event()

    def once(_event: Any) -> None:
        if begun.is_set():
            return
        begun.set()
        try:
            outcome.append((work(), None))
        except Exception as error:
            outcome.append((None, error))
        done.set()

    stop_listening = run.listen(once)
    while run.running and not done.wait(0.05):
        pass
    stop_listening()
    if not begun.is_set():  # it ended before its next event
        return work()
    done.wait()
    result, error = outcome[0]
    if error is not None:
        raise error
    return result


def copy_of_model(run: Any) -> VisionModel:
    """A copy of the run's network as it is now, under the run's name, in evaluation mode.

    A copy, because the run may go on: what others show must not change under them.
    """
    model = between_batches(run, lambda: copy.deepcopy(run.model)).eval()
    for parameter in model.parameters():
        parameter.grad = None
    model.config = model.config.with_(tag=run.name)
    model.load_report = LoadReport(source=f"{run.name}, trained here", name=model.config.name)
    _run_of[model] = weakref.ref(run)
    return model


def copy_at(run: Any, epoch: int) -> VisionModel:
    """A copy of the run's network as it was after an epoch. Raises ValueError for one that is not kept."""
    model = between_batches(run, lambda: run.model_at(epoch))
    _run_of[model] = weakref.ref(run)
    return model


def run_of_copy(model: Any) -> Any:
    """The run whose network was copied here; None for any other model, and where it is gone."""
    found = _run_of.get(model)
    return None if found is None else found()


def network_beside(run: Any) -> VisionModel:
    """A copy of the run's network, perhaps of mid-step: the weights that learn are to be set afterwards."""
    try:
        return copy.deepcopy(run.model)
    except RuntimeError:  # a network that writes into itself while it works
        return between_batches(run, lambda: copy.deepcopy(run.model))


def weights_of_now(run: Any) -> dict[str, Any]:
    """The weights that learn, as they are now, by name; of a run on other computers the newest that came."""
    if getattr(run, "weights_now", None) is not None:
        return between_batches(run, run.weights_now)
    if run.checkpoints:
        return run.kept.weights(run.checkpoints[-1])
    return run.model.state_dict()
