"""`cluster.search`: the trials of `explorer.search`, also where its driver is killed and workers are lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import explorer
from explorer.cluster import connection
from explorer.cluster.connection import ClusterError
from explorer.data.photo_sets import Splits
from explorer.training.choosing.search_result import SearchResult
from explorer.training.choosing.trials import Trial
from tests.cluster.conftest import Nodes
from tests.test_sentences import WRONG, fault
from tests.training.test_finetune import ROOT, painted
from tests.training.tiny_net import HOW, tiny

pytest.importorskip("optuna")
COMMON = {"model": tiny(), "pretrained": False, **HOW}


def colours() -> Splits:
    return Splits("colours", painted(24), painted(12, seed=1))


class Deadly:
    """An augmentation that changes nothing and kills its process: every time, or where there is no file yet.
    """

    def __init__(self, name: str, file: Path | None = None):
        self.__name__, self.file = name, file

    def __call__(self, photo: Image.Image) -> Image.Image:
        if self.file is None or not self.file.exists():
            if self.file is not None:
                self.file.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return photo


def space(folder: Path) -> dict[str, list[Any]]:
    """Six combinations: two are fine, of which one loses its worker once; one loses it again and again; and
    three can't be.
    """
    return {"augment": ["none", Deadly("once", folder / "once"), Deadly("always")],
            "optimizer": ["adam", "nonsense"]}


def searched(folder: Path, **more: Any) -> SearchResult:
    from explorer import cluster

    return cluster.search(space(folder), colours(), method="grid", max_failures=1,
                          storage=folder / "search.db", **{"workers": 2, **COMMON, **more})


KILLED = """
import os, signal, sys
from pathlib import Path
from tests.cluster.test_searching import searched
def told(done, total):
    print(done, total, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
searched(Path(sys.argv[1]), workers=1, on_progress=told)
"""


@pytest.fixture(scope="module")
def story(nodes: Nodes, tmp_path_factory) -> tuple[SearchResult, list[Trial], Path]:
    """A driver that is killed as soon as a trial has ended, and another that goes on with what is left."""
    folder, told = tmp_path_factory.mktemp("searching"), []
    ended = subprocess.run([sys.executable, "-c", KILLED, str(folder)], cwd=ROOT, text=True, timeout=200,
                           capture_output=True, check=False,
                           env={**os.environ, "RAY_ADDRESS": nodes.cluster.address, "PYTHONPATH": str(ROOT)})
    assert ended.returncode == -signal.SIGKILL and " 6" in ended.stdout, ended.stderr
    found = searched(folder, on_trial=told.append)
    return found, told, folder


def figures(found: SearchResult, state: str = "finished") -> list[tuple[Any, ...]]:
    return sorted((getattr(one.settings["augment"], "__name__", "none"), one.settings["optimizer"], one.value,
                   one.loss) for one in found.trials if one.state == state)


def test_a_killed_search_goes_on_and_is_the_whole_grid(story):
    found, told, _ = story
    combinations = {row[:2] for state in ("finished", "failed") for row in figures(found, state)}
    assert len(found) == 6 == len(combinations)
    there = {one.number for one in found.trials} - {one.number for one in told}
    assert len(there) >= 1  # what the first driver has done is not done again
    assert found.best.settings["optimizer"] == "adam" and found._repr_html_()


def test_a_lost_worker_is_replaced_and_a_trial_that_always_loses_it_is_named(story):
    found, _, folder = story
    assert (folder / "once").exists()
    assert [row[:2] for row in figures(found)] == [("none", "adam"), ("once", "adam")]
    assert any("lost its worker, and was begun again" in note for note in found.notes)
    [always] = [one for one in found.trials if one.state == "failed" and one.settings["optimizer"] == "adam"]
    assert always.settings["augment"].__name__ == "always"
    assert "lost its worker 2 times" in always.error and always.error in found._repr_html_()


def test_a_trial_that_fails_is_named_by_its_own_sentence(story):
    failed = [one for one in story[0].trials if one.settings["optimizer"] == "nonsense"]
    assert len(failed) == 3 and all("optimizer is 'nonsense'" in one.error for one in failed)


def test_the_figures_are_those_of_one_process_which_takes_the_storage_over(story):
    found, _, folder = story
    here = explorer.search({"augment": ["none"], "optimizer": ["adam"]}, colours(), method="grid",
                           device="cpu", **COMMON)
    assert figures(found)[0] == figures(here)[0]
    again = explorer.search(space(folder), colours(), method="grid", storage=folder / "search.db",
                            device="cpu", **COMMON)
    assert figures(again) == figures(found) and again.best.number == found.best.number


def test_who_is_given_up_is_said_as_in_one_process_which_goes_on_where_the_cluster_was_stopped(
        nodes, tmp_path):
    from explorer import cluster

    def asked(**more):
        return {"method": "random", "trials": 7, "prune": True, "by": "loss", "seed": 3,
                **COMMON, "epochs": 4, **more}

    rates, done = {"lr": (1e-7, 0.1)}, []
    found = cluster.search(rates, colours(), workers=1, on_progress=lambda *now: done.append(now),
                           should_stop=lambda: len(done) >= 6, **asked(storage=tmp_path / "search.db"))
    assert done[-1] == (6, 7) and "6 of 7 trials have ended" in found.notes[-1]
    rest = explorer.search(rates, colours(), device="cpu", **asked(storage=tmp_path / "search.db"))
    here = explorer.search(rates, colours(), device="cpu", **asked())
    rows = [sorted((one.settings["lr"], one.state, one.value, one.history) for one in result.trials)
            for result in (rest, here)]
    assert rows[0] == rows[1] and "pruned" in {row[1] for row in rows[0]}
    ended = {one.settings["lr"]: one.history for one in found.trials if one.state != "running"}
    assert len(ended) == 6 and ended.items() <= {row[0]: row[3] for row in rows[0]}.items()


# --- sentences ----------------------------------------------------------------------------------------------


def test_what_cannot_be_sent_or_seen_is_a_sentence(nodes, tmp_path):
    import ray

    from explorer import cluster
    from explorer.cluster.trial_workers import Sent, TrialWorker
    from explorer.training.choosing.search_plan import planned

    class Locked:
        def __init__(self):
            self.guard = threading.Lock()

        def __call__(self, photo):
            return photo

    with pytest.raises(ValueError, match=r"augment can't be sent to other .*lock.*explorer.search"):
        cluster.search({"augment": ["none", Locked()]}, colours(), method="grid", workers=1, **COMMON)
    with pytest.raises(ClusterError, match=r"workers=\d+, or add nodes"):
        cluster.search({"train": ["head"]}, colours(), method="grid", workers=50, **COMMON)

    for kind, colour in (("red", (255, 0, 0)), ("blue", (0, 0, 255))):
        (tmp_path / kind).mkdir()
        for number in range(4):
            Image.new("RGB", (32, 32), colour).save(tmp_path / kind / f"{number}.png")
    plan = planned({"train": ["head"]}, tmp_path, method="grid", trials=None, model=tiny(), folds=None,
                   by="accuracy", prune=None, storage=None, keep=None, seed=0, pretrained=False, device=None,
                   should_stop=None, settings={})
    for photo in tmp_path.rglob("*.png"):
        photo.unlink()
    worker = TrialWorker(None, [ray.put(Sent.of(plan, device="cpu", threads=1))])
    with pytest.raises(ClusterError, match="png' is not there. All computers of the cluster must see"):
        worker._opened()


def test_a_setting_that_it_does_not_have_is_named_beside_its_own():
    from explorer import cluster

    with pytest.raises(TypeError, match=r"no setting 'keep'. Beside method, .*, workers, cpus_per_worker"):
        cluster.search({"train": ["head"]}, colours(), keep="best")


def test_a_wrong_argument_is_answered_before_the_cluster_is_asked(tmp_path, monkeypatch):
    from explorer import cluster

    class Reached(Exception):
        """It would connect."""

    def connect(*_, **__):
        raise Reached

    monkeypatch.setattr("explorer.cluster.searching.connect", connect)
    monkeypatch.chdir(tmp_path)
    assert connection.connect is not connect
    good = {"space": {"train": ["head"]}, "data": colours(), "workers": 1, "method": "grid", "trials": 1,
            "model": tiny(), "folds": None, "by": "accuracy", "prune": False, "storage": None,
            "timeout": 60.0, "seed": 0, "pretrained": False, "cpus_per_worker": 1,
            "device": "cpu", "max_failures": 1,
            "on_trial": None, "on_progress": None, "should_stop": None}
    faults = []
    for argument in good:
        for kind, value in WRONG.items():
            try:
                cluster.search(**{**good, argument: value})
            except Reached:
                continue
            except Exception as error:
                if what := fault("cluster.search", argument, value, error):
                    faults.append(f"{argument}={kind} {what}: {type(error).__name__}: {str(error)[:150]}")
    assert not faults, "\n".join(faults)
