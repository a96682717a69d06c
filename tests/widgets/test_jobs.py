"""Background jobs: the newest wish wins, what comes too late is not seen, nothing waits for ever."""

from __future__ import annotations

import subprocess
import sys
import threading
import time

import pytest

from explorer.widgets import jobs
from explorer.widgets.jobs import Line, Runner


@pytest.fixture
def runner():
    runner = Runner()
    yield runner
    runner.close()


@pytest.fixture
def line(runner):
    return Line(runner)


class Gate:
    """A job that has begun and goes on when the test lets it."""

    def __init__(self, result=None):
        self.result, self.begun, self.open = result, threading.Event(), threading.Event()

    def __call__(self, job):
        self.begun.set()
        assert self.open.wait(10)
        return self.result


def threads_but(others):
    return [thread for thread in threading.enumerate() if thread not in others]


def test_a_job_runs_in_another_thread(line):
    seen = []
    line.start(lambda job: seen.append(threading.current_thread()))
    assert line.wait(5)
    assert seen and seen[0] is not threading.current_thread()


def test_of_waiting_jobs_only_the_newest_runs(line):
    gate, started, ran = threading.Event(), threading.Event(), []

    def first(job):
        started.set()
        gate.wait(5)
        ran.append(("first", job.stale))

    line.start(first)
    assert started.wait(5)
    for number in range(5):
        line.start(lambda job, n=number: ran.append((n, job.stale)))
    gate.set()
    assert line.wait(5)
    assert ran == [("first", True), (4, False)]


def test_a_failing_job_does_not_end_the_line(line):
    ran = []
    line.start(lambda job: 1 / 0)
    assert line.wait(5)
    line.start(lambda job: ran.append(1))
    assert line.wait(5)
    assert ran == [1]


def test_wait_gives_up_after_its_timeout(line):
    gate = threading.Event()
    line.start(lambda job: gate.wait(5))
    assert line.wait(0.05) is False
    gate.set()
    assert line.wait(5)


def test_a_job_can_not_wait_for_itself(line):
    errors = []

    def job(job):
        try:
            line.wait(5)
        except RuntimeError as error:
            errors.append(str(error))

    line.start(job)
    assert line.wait(5)
    assert "from a notebook cell" in errors[0]


def test_close_ends_the_threads_and_may_be_called_twice(runner, line):
    found = []
    line.start(lambda job: found.append(threading.current_thread()))
    line.wait(5)
    runner.close()
    runner.close()
    found[0].join(5)
    assert not found[0].is_alive()
    assert line.start(lambda job: pytest.fail("it runs")).stale and line.wait(0)


def test_python_ends_cleanly_in_the_middle_of_a_job():
    code = ("import time\nfrom explorer.widgets.jobs import Line, Runner\n"
            "def job(_):\n    import torch\n    torch.randn(200, 200).inverse()\n    print('whole')\n"
            "Line(Runner()).start(job)\ntime.sleep(0.2)\n")
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert (ended.returncode, ended.stdout) == (0, "whole\n"), ended.stderr[-2000:]


def test_nothing_keeps_a_finished_job_alive(runner, line):
    import gc
    import weakref

    class Model:
        pass

    model = Model()
    alive = weakref.ref(model)
    line.start(lambda job, model=model: None)
    assert line.wait(5)
    del model
    gc.collect()
    assert alive() is None


# --- what is shown ------------------------------------------------------------------------------------------


def test_what_was_found_is_shown_under_the_lock(runner, line):
    shown = []

    def show(found):
        other = threading.Thread(target=lambda: shown.append(runner.lock.acquire(blocking=False)))
        other.start()
        other.join()
        shown.append(found)

    line.start(lambda job: 42, show)
    assert line.wait(5) and shown == [False, 42]


def test_what_comes_too_late_is_not_shown_and_not_told(line):
    gate, shown = Gate(), []
    line.told = lambda *told: shown.append(told)

    def late(job) -> None:
        gate(job)
        job.progress(1, 1)
        job.tell(shown.append, "told")

    first = line.start(late, shown.append)
    assert gate.begun.wait(5)
    line.start(lambda job: "new", shown.append)
    assert first.stale and first.ended() and not first.stopped
    gate.open.set()
    assert line.wait(5) and shown == ["new"]


def test_an_error_that_comes_too_late_is_nobodys(line):
    gate, errors = Gate(), []
    line.failed = errors.append
    line.start(lambda job: (gate(job), 1 / 0))
    assert gate.begun.wait(5)
    line.drop()
    gate.open.set()
    assert line.wait(5) and errors == []


def test_an_error_is_told_whether_it_came_while_computing_or_while_showing(line):
    errors, over = [], []
    line.failed, line.over = errors.append, lambda: over.append(line.wanted)
    line.start(lambda job: 1 / 0)
    assert line.wait(5)
    line.start(lambda job: 0, lambda found: 1 / found)
    assert line.wait(5)
    line.start(lambda job: sys.exit(3))
    assert line.wait(5)
    assert [type(error) for error in errors] == [ZeroDivisionError, ZeroDivisionError, SystemExit]
    assert over == [False, False, False]


def test_stop_shows_what_was_found_until_then(line):
    gate, shown = Gate("half"), []
    job = line.start(gate, shown.append)
    assert gate.begun.wait(5)
    line.stop()
    assert job.ended() and not job.stale
    gate.open.set()
    assert line.wait(5) and shown == ["half"]


def test_wishes_with_keys_of_their_own_are_all_fulfilled_one_after_the_other(line):
    gate, shown = Gate("first"), []
    line.start(gate, shown.append, key="a")
    assert gate.begun.wait(5)
    for key, found in (("b", 1), ("c", 2), ("b", 3)):
        line.start(lambda job, found=found: found, shown.append, key=key)
    gate.open.set()
    assert line.wait(5) and shown == ["first", 2, 3]


def test_the_line_is_over_when_nothing_more_is_wanted(line):
    gate, over = Gate(), []
    line.over = lambda: over.append(1)
    line.start(gate, key="a")
    assert gate.begun.wait(5)
    line.start(lambda job: None, key="b")
    gate.open.set()
    assert line.wait(5) and over == [1]


def test_progress_is_drawn_now_and_then_and_at_the_end_and_waits_for_nobody_who_draws(runner, line):
    told, gate = [], Gate()
    line.told = lambda job, done, total, what: told.append(done)
    line.start(lambda job: (gate(job), [job.progress(done, 900) for done in range(901)]))
    assert gate.begun.wait(5)
    gate.open.set()
    assert line.wait(5) and told[0] == 0 and told[-1] == 900 and len(told) < 20
    with runner.lock:
        gone_on = threading.Event()
        line.start(lambda job: (job.progress(1, 2), gone_on.set()))
        assert gone_on.wait(5) and told[-1] == 900


# --- one line and another, and their threads ----------------------------------------------------------------


def test_a_closed_line_takes_no_more_and_the_others_go_on(runner, line):
    other, gate, shown = Line(runner), Gate("late"), []
    line.start(gate, shown.append)
    assert gate.begun.wait(5)
    line.close()
    gate.open.set()
    assert line.wait(5) and line.start(lambda job: 1, shown.append).stale and shown == []
    other.start(lambda job: 2, shown.append)
    assert other.wait(5) and shown == [2]


def test_long_work_never_fills_all_threads(runner):
    before, gates = threading.enumerate(), [Gate() for _ in range(4)]
    lines = [Line(runner, long=True) for _ in gates]
    for line, gate in zip(lines, gates, strict=True):
        line.start(gate)
    assert gates[0].begun.wait(5) and gates[1].begun.wait(5)
    quick = Line(runner)
    quick.start(lambda job: None)
    assert quick.wait(5) and not gates[2].begun.is_set() and len(threads_but(before)) <= jobs.MOST
    for gate in gates:
        gate.open.set()
    assert all(line.wait(5) for line in lines) and all(gate.begun.is_set() for gate in gates)


def test_many_lines_share_few_threads_that_end_when_they_are_idle(runner, monkeypatch):
    monkeypatch.setattr(jobs, "IDLE", 0.05)
    before, done, lines = threading.enumerate(), [], [Line(runner) for _ in range(30)]
    for number, line in enumerate(lines):
        line.start(lambda job, number=number: number, done.append)
    assert all(line.wait(10) for line in lines) and sorted(done) == list(range(30))
    assert len(threads_but(before)) <= jobs.MOST
    end = time.monotonic() + 5
    while threads_but(before) and time.monotonic() < end:
        time.sleep(0.01)
    assert threads_but(before) == []
    lines[0].start(lambda job: 30, done.append)  # and others begin
    assert lines[0].wait(5) and done[-1] == 30


def test_closing_from_a_job_does_not_wait_for_itself(runner, line):
    began = time.monotonic()
    line.start(lambda job: runner.close())
    assert line.wait(5) and time.monotonic() - began < 4


def test_wishes_from_many_threads_leave_the_newest_on_the_screen(runner, line):
    """Whoever holds the lock while wishing decides what is seen in the end."""
    shown, wished = [], []

    def wish(base):
        for number in range(base, base + 200):
            with runner.lock:
                wished.append(number)
                line.start(lambda job, number=number: number, shown.append)

    everybody = [threading.Thread(target=wish, args=(base,)) for base in (0, 1000, 2000)]
    for one in everybody:
        one.start()
    for one in everybody:
        one.join()
    assert line.wait(10) and shown[-1] == wished[-1]
    places = [wished.index(number) for number in shown]
    assert places == sorted(places)


def test_who_asks_and_who_is_done_let_their_teams_rest(runner, line, monkeypatch):
    """libgomp slows all teams where there are more threads than processors (`explorer._teams`)."""
    rested = []
    monkeypatch.setattr(jobs._teams, "rest", lambda: rested.append(threading.get_ident()))
    computed = []
    line.start(lambda job: computed.append(threading.get_ident()), lambda found: None)
    assert line.wait(10)
    runner.close()
    deadline = time.monotonic() + 10
    while len(rested) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert rested == [threading.get_ident(), computed[0]]


def test_in_a_notebook_the_main_thread_rests_after_each_cell(monkeypatch):
    from IPython.core.interactiveshell import InteractiveShell

    rested = []
    monkeypatch.setattr(jobs._teams, "rest", lambda: rested.append(threading.get_ident()))
    shell = InteractiveShell()
    monkeypatch.setattr("IPython.get_ipython", lambda: shell)
    for _ in range(2):  # two dashboards
        Runner().close()
    rested.clear()
    shell.run_cell("1 + 1")
    assert rested == [threading.get_ident()]
