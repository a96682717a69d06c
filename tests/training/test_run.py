"""A run listens: whoever does the work tells it all as events, and it keeps them, in a thread of its own."""

from __future__ import annotations

import pytest

from explorer.data.datasets import Splits
from explorer.training.loop.events import Batch, Epoch, Event, Finished, Started, Stopped
from explorer.training.loop.recipe import Recipe
from explorer.training.loop.team import Alone
from explorer.training.run.kept import KeptWeights
from explorer.training.run.run import Run
from tests.number_photos import tiny
from tests.training.test_finetune import painted


class Told:
    """Work that learns nothing: it tells what it was made of, and knows whether it was heard to the end."""

    weights_now = None

    def __init__(self, *events: Event):
        self.model, self.recipe, self.kept = tiny(3), Recipe(epochs=2), KeptWeights()
        self.data = Splits("colours", painted(6), painted(3, seed=1))
        self.told, self.closed = events, False

    def events(self, asked_to_stop):
        try:
            for event in self.told:
                yield event
                if asked_to_stop():
                    yield Stopped(0, 0, "asked")
                    return
        finally:
            self.closed = True


def started(epoch: int = 0, batch: int = 0) -> Started:
    return Started(2, 3, 3 * epoch + batch, 10, False, epoch, batch)


def batches(epoch: int, *numbers: int) -> list[Batch]:
    return [Batch(epoch, number, 3 * epoch + number, 1.0, 0.5, 0.1, 9.0) for number in numbers]


def ended(epoch: int) -> Epoch:
    return Epoch(epoch, 3 * epoch + 3, 1.0, 0.5, 1.0, 0.5, 0.1, 1.0, best=True)


END = Finished(2, 1, 0.5, 1.0)


def test_a_run_keeps_what_it_hears():
    work = Told(started(), *batches(0, 1, 2, 3), ended(0), *batches(1, 1, 2, 3), ended(1), END)
    heard = []
    run = Run(work, listeners=[heard.append]).start().wait()
    assert run.state == "finished" and heard == list(work.told)
    assert [row["epoch"] for row in run.history] == [0, 1] and run.best is run.history[1]
    assert len(run.batches) == 6 and run.data is work.data and run.kept is work.kept


def test_work_that_begins_once_more_takes_the_history_back_to_there():
    """As that of a cluster does, which has lost a worker."""
    first = [started(), *batches(0, 1, 2, 3), ended(0), *batches(1, 1, 2)]
    again = [started(1, 1), *batches(1, 2, 3), ended(1)]
    run = Run(Told(*first, *again, END)).start().wait()
    assert [row["epoch"] for row in run.history] == [0, 1]
    assert [(one.epoch, one.batch) for one in run.batches] == [(0, 1), (0, 2), (0, 3), (1, 1), (1, 2), (1, 3)]


def test_a_run_asks_its_work_to_stop_and_follows_it_to_the_end():
    work = Told(started(), *batches(0, 1, 2, 3), ended(0), END)
    run = Run(work)
    run.listen(lambda event: run.stop(wait=False) if isinstance(event, Batch) else None)
    run.start().wait()
    assert run.state == "stopped" and len(run.batches) == 1 and work.closed


def test_what_goes_wrong_in_the_work_is_raised_by_wait():
    def broken(asked_to_stop):
        yield started()
        raise ValueError("no such photo")

    work = Told()
    work.events = broken
    run = Run(work).start()
    with pytest.raises(ValueError, match="no such photo"):
        run.wait()
    assert run.state == "failed" and "no such photo" in run.notes[-1]


def test_one_process_has_everything_to_itself():
    team = Alone()
    assert team.writes and team.share(range(5)) == range(5) and (team.rank, team.world) == (0, 1)
    assert team.any(True) and not team.any(False)
