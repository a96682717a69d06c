"""The background worker: newest request wins, nothing waits for ever."""

from __future__ import annotations

import subprocess
import sys
import threading

import pytest

from explorer.widgets.worker import Worker


@pytest.fixture
def worker():
    worker = Worker()
    yield worker
    worker.close()


def test_a_job_runs_in_another_thread(worker):
    seen = []
    worker.submit(lambda ticket: seen.append(threading.current_thread()))
    assert worker.wait(5)
    assert seen and seen[0] is not threading.current_thread()


def test_of_waiting_jobs_only_the_newest_runs(worker):
    gate, started, ran = threading.Event(), threading.Event(), []

    def first(ticket):
        started.set()
        gate.wait(5)
        ran.append(("first", ticket.stale))

    worker.submit(first)
    assert started.wait(5)
    for number in range(5):
        worker.submit(lambda ticket, n=number: ran.append((n, ticket.stale)))
    gate.set()
    assert worker.wait(5)
    assert ran == [("first", True), (4, False)]


def test_a_failing_job_does_not_end_the_worker(worker):
    ran = []
    worker.submit(lambda ticket: 1 / 0)
    assert worker.wait(5)
    worker.submit(lambda ticket: ran.append(1))
    assert worker.wait(5)
    assert ran == [1]


def test_wait_gives_up_after_its_timeout(worker):
    gate = threading.Event()
    worker.submit(lambda ticket: gate.wait(5))
    assert worker.wait(0.05) is False
    gate.set()
    assert worker.wait(5)


def test_a_job_can_not_wait_for_itself(worker):
    errors = []

    def job(ticket):
        try:
            worker.wait(5)
        except RuntimeError as error:
            errors.append(str(error))

    worker.submit(job)
    assert worker.wait(5)
    assert "from a notebook cell" in errors[0]


def test_close_ends_the_thread_and_may_be_called_twice():
    worker, threads = Worker(), []
    worker.submit(lambda ticket: threads.append(threading.current_thread()))
    worker.wait(5)
    worker.close()
    worker.close()
    threads[0].join(5)
    assert not threads[0].is_alive()
    with pytest.raises(RuntimeError, match="closed"):
        worker.submit(lambda ticket: None)


def test_python_ends_cleanly_in_the_middle_of_a_job():
    code = ("import time\nfrom explorer.widgets.worker import Worker\n"
            "def job(ticket):\n    import torch\n    torch.randn(200, 200).inverse()\n    print('whole')\n"
            "Worker().submit(job)\ntime.sleep(0.2)\n")
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert (ended.returncode, ended.stdout) == (0, "whole\n"), ended.stderr[-2000:]


def test_the_worker_does_not_keep_a_finished_job_alive(worker):
    import gc
    import weakref

    class Model:
        pass

    model = Model()
    alive = weakref.ref(model)
    worker.submit(lambda ticket, model=model: None)
    assert worker.wait(5)
    del model
    gc.collect()
    assert alive() is None
