"""`search`: which combinations are tried, and that nothing is lost with a process, nor stopped by a failure.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

import explorer
from explorer.data.photo_sets import Splits
from explorer.training.choosing.space import Choices, drawn, grid_of, space_of
from explorer.training.loop.errors import TrainingError
from tests.html import parse
from tests.training.test_finetune import painted
from tests.training.tiny_net import HOW, tiny

pytest.importorskip("optuna")
pytestmark = pytest.mark.usefixtures("quick_sqlite")
ROOT = Path(__file__).resolve().parents[2]
GRID = {"lr": [1e-6, 0.1], "optimizer": ["adam", "sgd", "adamw"]}


def colours() -> Splits:
    return Splits("colours", painted(24), painted(12, seed=1))


def searched(space=GRID, data=None, **settings):
    data = colours() if data is None else data
    return explorer.search(space, data, **{"model": tiny(), "method": "grid", "device": "cpu",
                                           "pretrained": False, **HOW, **settings})


def combinations(found, names=("lr", "optimizer")):
    return sorted(tuple(trial.settings[name] for name in names) for trial in found.trials)


# --- what is tried ------------------------------------------------------------------------------------------


def test_a_grid_is_every_combination_once():
    found = searched()
    assert combinations(found) == sorted((lr, name) for lr in GRID["lr"] for name in GRID["optimizer"])
    assert {trial.state for trial in found.trials} == {"finished"}
    assert found.best.settings["lr"] == 0.1 and found.best.value == max(one.value for one in found.trials)
    assert found.importance["lr"] > 0.5 and sum(found.importance.values()) == pytest.approx(1)
    assert len(searched(trials=2).trials) == 2


def test_a_random_search_is_the_same_by_its_seed_and_goes_on_where_a_shorter_one_ended():
    space = {"lr": (1e-4, 1e-1), "epochs": (1, 2)}
    first, again, other = (searched(space, method="random", trials=3, seed=seed) for seed in (4, 4, 5))
    names = ("lr", "epochs")
    assert combinations(first, names) == combinations(again, names) != combinations(other, names)
    assert [one.value for one in first.trials] == [one.value for one in again.trials]
    rows = drawn(space_of(space), 40, seed=4)
    assert rows[:3] == drawn(space_of(space), 3, seed=4)
    rates = np.log10([row["lr"] for row in rows])
    assert -4 <= rates.min() < -3.5 and -1.5 < rates.max() <= -1  # a factor of 1000 is drawn logarithmically
    assert {row["epochs"] for row in rows} == {1, 2}


def test_a_small_space_is_not_tried_twice():
    assert len(drawn(space_of({"train": ["head", "all"]}), 10, seed=0)) == 2
    found = searched({"train": ["head", "all"]}, method="random", trials=10)
    assert len(found) == 2 and "fewer than the 10 trials" in found.notes[-1]


def test_tpe_learns_from_the_trials_before():
    found = searched({"lr": (1e-6, 1e-1)}, method="tpe", trials=14, by="loss", prune=False, epochs=1)
    by_number = sorted(found.trials, key=lambda one: one.number)
    late = np.log10([one.settings["lr"] for one in by_number[10:]])
    assert np.median(late) > -2.5 and found.figure == "validation loss" and not found.higher
    assert found.best.value == min(one.value for one in found.trials)


def test_a_trial_that_falls_behind_is_given_up_early():
    space = {"lr": [0.1, 0.09, 0.08, 0.07, 0.06, 1e-7]}
    found = searched(space, prune=True, by="loss", epochs=4)
    [slow] = [one for one in found.trials if one.settings["lr"] == 1e-7]
    assert slow.state == "pruned" and 1 <= len(slow.history) < 4
    assert {one.state for one in found.trials} == {"finished", "pruned"}
    halved = searched(space, method="halving", trials=6, by="loss", epochs=4, seed=1)
    assert "pruned" in {one.state for one in halved.trials}
    assert halved.trials[0].state == "finished"


def test_folds_judge_every_photo_and_functions_and_models_are_choices_too():
    def quiet(photo):
        return photo

    found = searched({"augment": ["none", quiet], "train": ["all"]}, folds=2, epochs=1)
    assert [len(one.history) for one in found.trials] == [2, 2]
    assert {one.settings["augment"] for one in found.trials} == {"none", quiet}
    assert found.best_settings["train"] == "all" and "model" in found.best_settings
    with pytest.raises(ValueError, match="patience would let"):
        searched(folds=2, patience=1)


# --- what goes wrong ----------------------------------------------------------------------------------------


def test_a_trial_that_fails_is_named_and_the_rest_goes_on():
    found = searched({"lr": [0.1, -1.0], "optimizer": ["adam", "nonsense"]})
    failed = [one for one in found.trials if one.state == "failed"]
    assert len(failed) == 3 and found.best.settings == {"lr": 0.1, "optimizer": "adam"}
    assert any("optimizer is 'nonsense'" in one.error for one in failed)
    page = parse(found._repr_html_())
    assert "failed" in page.text and "lr is -1.0" in page.text
    with pytest.raises(TrainingError, match="All 2 trials failed. The first: lr is"):
        searched({"lr": [-1.0, -2.0]})
    with pytest.raises(TrainingError, match="^The only trial failed: lr is"):
        searched({"lr": [-1.0]})


@pytest.mark.parametrize("space, said", [
    ({}, "expected a dict of settings"), ({"learning_rate": [1]}, "no setting of finetune"),
    ({"lr": 0.1}, "give a list of choices"), ({"lr": (0.1, 0.01)}, "the second is larger"),
    ({"lr": []}, "one choice at least"), ({"lr": [0.1, 0.1]}, "each once"), ({"lr": (0.1, 0.2)}, "grid"),
])
def test_a_space_that_cannot_be_searched_is_answered_by_a_sentence(space, said):
    with pytest.raises(ValueError, match=said):
        searched(space)


def test_without_optuna_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'vision-explorer\[search\]'"):
        searched()


def test_a_grid_has_an_order_and_an_end():
    rows = grid_of({"a": Choices((1, 2), (1, 2)), "b": Choices((3, 4), (3, 4))})
    assert rows == [{"a": 1, "b": 3}, {"a": 1, "b": 4}, {"a": 2, "b": 3}, {"a": 2, "b": 4}]
    with pytest.raises(ValueError, match="1,000,000 combinations"):
        many = tuple(range(100))
        grid_of({name: Choices(many, many) for name in "abc"})


# --- what stays ---------------------------------------------------------------------------------------------

WORKER = """
import os, signal, sys, time
sys.path.insert(0, {root!r})
from tests.training.test_search import searched
def told(trial):
    print(trial.number, trial.state, flush=True)
    if {kill} and trial.number == 2 and trial.history:
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep({pause})
searched(storage={file!r}, on_trial=told)
"""


@pytest.mark.skipif(os.name == "nt", reason="no SIGKILL on Windows")
def test_a_killed_search_goes_on_in_two_processes_that_try_every_combination_once(tmp_path):
    file = tmp_path / "search.db"
    code = WORKER.format(root=str(ROOT), file=str(file), kill=True, pause=0)
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True,
                           timeout=200)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    code = WORKER.format(root=str(ROOT), file=str(file), kill=False, pause=0.5)
    with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True) as other:
        first, told = other.stdout.readline(), []  # it has begun a trial
        found = searched(storage=file, on_trial=told.append)
        theirs = [first, *other.stdout]
        assert other.wait(timeout=200) == 0
    found = searched(storage=file, on_trial=told.append)  # nothing is left to try
    plain = searched()
    assert combinations(found) == combinations(plain) and len(found) == 6
    assert {trial.state for trial in found.trials} == {"finished"}
    assert sorted(one.value for one in found.trials) == sorted(one.value for one in plain.trials)
    own, other_ones = {one.number for one in told}, {int(line.split()[0]) for line in theirs}
    assert not own & other_ones and not {0, 1, 2} & (own | other_ones)  # two were done, one was put back
    assert own and other_ones
    assert [path.name for path in tmp_path.iterdir() if "lock" in path.name] in ([], ["search.db.lock"])


def test_a_stopped_search_says_so_and_goes_on(tmp_path):
    file, told = tmp_path / "new" / "search.db", []
    found = searched(storage=file, on_trial=told.append, should_stop=lambda: len(told) > 6)
    assert 1 <= len(found) < 6 and "of 6 trials have ended" in found.notes[-1]
    heard = []
    whole = searched(storage=file, on_progress=lambda done, total: heard.append((done, total)))
    assert len(whole) == 6 and heard[-1] == (6, 6) and heard[0][0] == len(found) + 1
    with pytest.raises(TrainingError, match="Stopped before the first trial"):
        searched(should_stop=lambda: True)


def test_the_best_trials_run_is_kept_and_opens(tmp_path):
    heard, storage, keep = [], tmp_path / "search.db", tmp_path / "best"
    asked = {"method": "random", "storage": storage, "keep": keep, "on_result": heard.append}
    space = {"lr": [1e-6, 0.1, 0.01]}
    short = searched(space, trials=1, **asked)
    [trial] = short.trials
    kept = explorer.load_run(keep, model=tiny())
    assert kept.best["val_top1"] == trial.value and kept.name == "trial 0 on colours"
    found = searched(space, trials=3, **asked)
    assert [len(one.trials) for one in heard] == [1, 1, 2, 3]  # what was there comes first
    assert heard[-1].trials == found.trials and heard[1].best == trial
    kept = explorer.load_run(keep, model=tiny())
    assert kept.best["val_top1"] == found.best.value and kept.name == f"trial {found.best.number} on colours"
    assert tuple(row["val_top1"] for row in kept.history) == found.best.history and not found.notes
    judged = explorer.evaluate(kept.model, colours().val)
    assert judged.top1 == found.best.value


def test_a_run_that_cannot_be_kept_costs_a_note_and_no_trial(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("explorer.training.choosing.attempts.save_run", full)
        found = searched({"train": ["head"]}, keep=tmp_path / "best", storage=tmp_path / "search.db")
    assert found.best.state == "finished" and "could not be kept" in found.notes[-1]
    assert any("finetune(data=data" in note for note in found.notes)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="holds something else"):
        searched(keep=tmp_path / "mine")
    with pytest.raises(ValueError, match="several runs"):
        searched(keep=tmp_path / "best", folds=2)


def test_another_search_and_another_file_are_refused(tmp_path):
    file = tmp_path / "search.db"
    searched({"train": ["head"]}, storage=file)
    with pytest.raises(TrainingError, match="holds another search: space is not the same"):
        searched({"train": ["all"]}, storage=file)
    (tmp_path / "notes.txt").write_text("no study, but some words of mine")
    with pytest.raises(TrainingError, match="something else than the file of a search"):
        searched(storage=tmp_path / "notes.txt")
    with pytest.raises(TrainingError, match="something else"):
        searched(storage=tmp_path)
    with closing(sqlite3.connect(tmp_path / "others.db")) as others:
        others.execute("create table history (url text)")
        others.commit()
    with pytest.raises(TrainingError, match="somebody's data base"):
        searched(storage=tmp_path / "others.db")
    assert (tmp_path / "notes.txt").read_text() == "no study, but some words of mine"


def test_it_shows_itself_and_can_be_kept(tmp_path):
    def fails(trial):
        raise RuntimeError("a chart that broke")

    found = searched(on_trial=fails, on_result=fails)
    page = parse(found._repr_html_())
    assert "6 trials (6 finished)" in page.text and len(page.find_all("table")) == 2
    for chart in (found.plot(), found.plot_history(), found.plot_importance()):
        assert chart._repr_png_().startswith(b"\x89PNG")
    found.to_csv(tmp_path / "trials.csv")
    lines = (tmp_path / "trials.csv").read_text().splitlines()
    assert len(lines) == 7 and lines[0] == "trial,state,top-1 accuracy,loss,seconds,lr,optimizer,error"
    run = explorer.finetune(data=colours(), device="cpu", **found.best_settings).wait()
    assert run.best["val_top1"] == found.best.value
    with pytest.raises(ValueError, match="4 finished trials"):
        searched({"train": ["head"]}).plot_importance()
