"""Interrupts, as the notebook's stop button and Ctrl-C send them: a run stops after its batch, and nothing
is lost.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading

import pytest

from explorer import _threads
from explorer.training.loop.errors import TrainingError
from explorer.training.loop.events import Batch
from explorer.training.run import checkpoint
from tests.training.test_finetune import ROOT, colours, run, small  # noqa: F401

BEGIN = """
    import os, signal, sys, threading, time
    from explorer.training.loop.events import Batch, Saved
    from tests.training.test_finetune import Splits, painted, run, small

    batches = []  # the threads that learnt from one each

    def interrupt_at(*steps):
        def listener(event):
            if isinstance(event, Batch):
                batches.append(threading.get_ident())
                if event.step in steps:
                    os.kill(os.getpid(), signal.SIGINT)
                    time.sleep(0.2)  # so that it arrives before the next batch
        return listener

    def begun(**settings):
        data = Splits("colours", painted(24), painted(12, seed=1))
        return run(small(), data, **{"epochs": 400, "train": "all", **settings})
"""


def ended(code: str, *arguments: object) -> subprocess.CompletedProcess:
    """A script of its own, to its end. SIGINT is as a terminal leaves it, whatever this process has made of
    it.
    """
    handled = "import signal\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n"
    program = handled + textwrap.dedent(BEGIN) + textwrap.dedent(code)
    return subprocess.run([sys.executable, "-c", program, *map(str, arguments)], cwd=ROOT,
                          capture_output=True, text=True, timeout=120,
                          env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}, check=False)


def test_an_interrupted_wait_stops_the_run_which_then_goes_on_in_one_thread():
    """case B1: in Python 3.11 an interrupted Thread.join believes that the thread is over."""
    done = ended("""
        r = begun(on_event=interrupt_at(3))
        try:
            r.wait()
        except KeyboardInterrupt:
            print("interrupted", r.state, r.running, len(batches))
        count = len(batches)
        time.sleep(0.3)
        print("quiet", len(batches) == count)
        batches.clear()
        r.resume()
        while len(batches) < 3:
            time.sleep(0.05)
        print("goes on", r.running, len(set(batches)))
        r.stop()
        print(r.state, r.running)
    """)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["interrupted stopped False 3", "quiet "
                                                                       "True", "goes on True "
                                                                               "1", "stopped False"]


def test_a_second_interrupt_while_it_stops_leaves_a_run_that_knows_that_it_runs():
    """case B1"""
    done = ended("""
        held, waiting = threading.Event(), threading.Event()

        def slow_batch(event):
            if isinstance(event, Batch):
                held.set()
                waiting.wait()

        r = begun(on_event=slow_batch)
        held.wait()
        threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
        threading.Timer(0.6, os.kill, (os.getpid(), signal.SIGINT)).start()
        try:
            r.wait()
        except KeyboardInterrupt:
            print("interrupted", r.running)
        try:
            r.resume()
        except Exception as error:
            print(error)
        waiting.set()
        print(r.wait().state, r.running)
    """)
    assert done.returncode == 0, done.stderr
    first, second, third = done.stdout.splitlines()
    assert (first, third) == ("interrupted True", "stopped False") and "is stopping" in second


# Interrupted, Python ends by the signal; where torchvision 0.29 was imported, with code 1, training or not.
@pytest.mark.parametrize(("last_words", "codes"), [
    ("r.wait()", (-signal.SIGINT, 1)), ("sys.exit(3)", (3,)), ("", (0,))])
def test_a_script_that_ends_while_it_trains_ends_cleanly_and_leaves_a_checkpoint(last_words, codes, tmp_path):
    """case B1: such a script ended with exit code 134 and torch's last words."""
    done = ended(f"""
        started = threading.Event()
        second = interrupt_at(2)

        def listener(event):
            second(event) if {last_words == "r.wait()"} else None
            if isinstance(event, Batch) and event.step == 2:
                started.set()

        r = begun(run_dir=sys.argv[1], on_event=listener)
        started.wait()
        {last_words}
    """, tmp_path / "run")
    assert done.returncode in codes, done.stderr
    assert not any(word in done.stderr for word in ("terminate", "schedule new futures", "failed"))
    assert (tmp_path / "run" / checkpoint.LAST).is_file()


def test_interrupts_while_a_script_ends_do_not_cut_the_last_batch_off(tmp_path):
    """case B1"""
    done = ended("""
        started = threading.Event()

        def listener(event):
            if isinstance(event, Batch):
                started.set()
                for _ in range(3):
                    time.sleep(0.2)
                    os.kill(os.getpid(), signal.SIGINT)

        r = begun(run_dir=sys.argv[1], on_event=listener)
        try:
            started.wait()
        except KeyboardInterrupt:
            pass
    """, tmp_path / "run")
    assert done.returncode in (0, 1, -signal.SIGINT), done.stderr
    assert "terminate" not in done.stderr and (tmp_path / "run" / checkpoint.LAST).is_file()


def test_a_panels_work_ends_before_python_does():
    """case B1: the same end for the dashboard's thread, which would otherwise be killed inside torch."""
    done = ended("""
        import torch
        from explorer.widgets.jobs import Line, Runner
        line, busy = Line(Runner()), threading.Event()

        def work(job):
            while not job.stale:
                torch.rand(300, 300) @ torch.rand(300, 300)
                busy.set()
            print("gave up", flush=True)

        line.start(work)
        busy.wait()
        threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
        try:
            line.wait()
        except KeyboardInterrupt:
            print("interrupted", line.wait(0.01))
    """)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["interrupted False", "gave up"]


def test_a_process_that_is_forked_off_does_not_wait_for_a_run_that_it_does_not_have():
    done = ended("""
        r = begun()
        child = os.fork()
        if child == 0:
            sys.exit(7)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        r.stop()
    """)
    assert done.stdout == "7\n", done.stderr


def test_a_listener_that_ends_the_program_stops_the_run(colours):  # noqa: F811
    """case B1: SystemExit in a thread ends nothing, and nobody hears of it."""
    stopped = run(small(), colours, epochs=50, train="all",
                  on_event=lambda event: isinstance(event, Batch) and sys.exit(3))
    assert stopped.wait().state == "stopped" and len(stopped.batches) == 1


def test_what_ends_the_thread_but_is_no_error_is_told_as_one(colours, monkeypatch):  # noqa: F811
    def ends(*args):
        raise SystemExit(3)

    monkeypatch.setattr("explorer.training.loop.team.learn", ends)
    with pytest.raises(TrainingError, match="SystemExit"):
        run(small(), colours, epochs=1).wait()


def test_a_run_neither_waits_for_itself_nor_resumes_itself(colours):  # noqa: F811
    said, known, box = [], threading.Event(), []

    def listener(event):
        if isinstance(event, Batch):
            known.wait()
            for call in (box[0].wait, box[0].resume):
                with pytest.raises(TrainingError) as refused:
                    call()
                said.append(str(refused.value))

    box.append(run(small(), colours, epochs=1, batch_size=24, rounds=1, on_event=listener))
    known.set()
    box[0].wait()
    assert len(said) == 2 and all("own listener" in sentence for sentence in said)


@pytest.mark.parametrize("timeout", ["soon", float("nan"), True])
def test_a_timeout_that_is_none_is_a_sentence(timeout):
    with pytest.raises(ValueError, match="timeout is"):
        _threads.wait_for(threading.Event(), timeout)
