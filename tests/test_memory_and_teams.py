"""What concerns the whole process: memory that is kept, teams that rest. Each in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LINUX = sys.platform == "linux"
FAULTS = """
import resource, torch
from explorer import _memory
def faults(passes=20):  # of tensors of 40 MiB, which are made and let go
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(passes):
        torch.ones(10 * 2**20).add_(1)
    return (resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) / passes
faults()
"""
TEAMS = """
import os, threading, torch
from explorer import _teams
def compute():
    torch.ones(2000, 2000).add_(1)
    return len(os.listdir("/proc/self/task"))
torch.set_num_threads(2)
"""


def said(program: str, **environment: str) -> list[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "2", **environment}
    run = subprocess.run([sys.executable, "-c", program], cwd=ROOT, env=environment, text=True,
                         capture_output=True, timeout=120)
    assert run.returncode == 0, run.stderr
    return run.stdout.split()


@pytest.mark.skipif(not LINUX, reason="glibc is a library of Linux")
def test_kept_memory_is_not_fetched_again():
    before, kept, after = map(float, said(FAULTS + """
print(faults())
with _memory.kept(), _memory.kept():
    assert _memory.active() and _memory.possible()
    faults()
    print(faults())
assert not _memory.active()
print(faults())
_memory.give_back()  # once too often
"""))
    assert before > 1000 > 10 > kept
    assert after > 1000


@pytest.mark.skipif(not LINUX, reason="glibc is a library of Linux")
def test_memory_goes_back_when_the_last_user_has_ended():
    held, after = map(int, said(FAULTS + """
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096 // 2**20
_memory.keep()
_memory.keep()
many = [torch.ones(4 * 2**20) for _ in range(10)]  # 160 MiB
del many
_memory.give_back()
print(resident())
_memory.give_back()
print(resident())
"""))
    assert held - after > 100


def test_nothing_is_kept_where_it_is_switched_off():
    assert said(FAULTS + """
_memory.keep()
print(_memory.active(), _memory.possible(), faults() > 1000)
""", EXPLORER_FAST="0")[:2] == ["False", "False"]


@pytest.mark.skipif(not LINUX, reason="counts the threads that Linux lists")
def test_a_thread_that_rests_gives_its_team_back_and_has_it_again():
    first, rested, again = map(int, said(TEAMS + """
print(compute())
_teams.rest()
print(len(os.listdir("/proc/self/task")))
print(compute())
"""))
    assert rested == first - 1 and again == first


@pytest.mark.skipif(not LINUX, reason="counts the threads that Linux lists")
def test_a_thread_that_computes_alone_has_no_team_and_changes_nobody_else():
    before, beside, own, main, later = map(int, said(TEAMS + """
found = []
def alone():
    _teams.alone()
    found.append(compute())
    found.append(torch.get_num_threads())
def another():
    compute()
    found.append(torch.get_num_threads())
print(len(os.listdir("/proc/self/task")))
for work in (alone, another):
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
print(found[0], found[1], torch.get_num_threads(), found[2])
"""))
    assert beside == before + 1  # itself
    assert (own, main, later) == (1, 2, 2)


def test_teams_are_left_alone_where_it_is_switched_off_and_before_torch():
    assert said("""
import sys
from explorer import _teams
_teams.rest(); _teams.alone()
print("torch" in sys.modules, _teams.active())
""") == ["False", "False"]
    assert said(TEAMS + """
print(compute())
_teams.rest()
print(len(os.listdir("/proc/self/task")), _teams.active())
""", EXPLORER_FAST="0")[2] == "False"
