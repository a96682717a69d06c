"""`Run.save` writes over what it wrote before, and over nothing else; and loses nothing where it can't end.
"""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys

import pytest

import explorer
from explorer.files import DiskError
from explorer.training.run import saving
from explorer.training.run.loading import load_run
from explorer.training.run.saving import FILES
from tests.training.test_identity import ROOT, colours, contents, learn, net, same


@pytest.fixture(scope="module")
def runs():
    """Two runs that differ: in epochs, labels and network."""
    first = learn(net(), colours(), epochs=2, name="first").wait()
    second = learn(net(name="resnet10t"), colours(classes=("a", "b", "c")), epochs=1, name="second").wait()
    return first, second


@pytest.mark.parametrize(("files", "named"), [
    ({"config.json": "{}"}, "config.json"),
    ({"config.json": json.dumps({"architecture": "resnet18", "num_classes": 3,
                                 "label_names": ["a", "b", "c"], "pretrained_cfg": {}}),
      "model.safetensors": "a model of the hub", "README.md": "its card"}, "model.safetensors"),
    ({"README.md": "# My thesis"}, "README.md"), ({"run.json": '{"versions": ["other"]}'}, "run.json"),
    ({"run.json": '{"name": "a jog in the park", "km": 5}'}, "run.json"), ({".git": ""}, ".git"),
])
def test_other_peoples_files_are_not_written_over(runs, tmp_path, files, named):
    """case B3: a folder with any config.json was taken for explorer's own."""
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    before = contents(tmp_path)
    with pytest.raises(FileExistsError, match=rf"holds something else \({named}\): give another name"):
        runs[0].save(tmp_path)
    assert contents(tmp_path) == before


def test_a_card_of_ones_own_is_not_written_over(runs, tmp_path):
    """case B3"""
    folder = runs[0].save(tmp_path / "mine")
    (folder / "README.md").write_text("# What I found out, in three weeks")
    with pytest.raises(FileExistsError, match="something else"):
        runs[1].save(folder)
    (folder / "README.md").unlink()
    assert runs[1].save(folder) == folder


def test_a_save_over_ones_own_takes_its_place_wholly(runs, tmp_path):
    """case B3: weights, labels, history and kept epochs are those of the second."""
    first, second = runs
    folder = first.save(tmp_path / "mine")
    (folder / "my notes.txt").write_text("keep me")
    assert load_run(folder).checkpoints == (0, 1, 2)
    second.save(folder)
    loaded = load_run(folder)
    assert loaded.labels == ("a", "b", "c") and loaded.name == "second" and loaded.checkpoints == (0, 1)
    assert same(loaded.model.state_dict(), second.model.state_dict())
    assert sorted(path.name for path in folder.iterdir()) == sorted([*FILES, "epochs", "my notes.txt"])
    modes = {path.stat().st_mode & 0o777 for path in folder.rglob("*") if path.is_file()}
    assert len(modes) == 1  # case B5


@pytest.mark.parametrize("number", range(6))
def test_a_save_that_fails_leaves_the_earlier_one_as_it_was(runs, tmp_path, monkeypatch, number):
    """case B2: whichever file the disk has no room for."""
    folder = runs[0].save(tmp_path / "mine")
    before = contents(folder)
    real, count = os.fsync, []

    def full(handle):
        count.append(1)
        if len(count) > number:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(handle)

    monkeypatch.setattr(saving.os, "fsync", full)
    with pytest.raises(DiskError, match=f"The disk is full: make room for '.*' in '{folder}'"):
        runs[1].save(folder)
    with pytest.raises(DiskError):
        runs[1].save(tmp_path / "another")
    assert contents(folder) == before and not (tmp_path / "another").exists()


KILLED = """
import os, signal, sys
from pathlib import Path
from explorer.training.run import saving
from tests.training.test_identity import colours, learn, net
run = learn(net(), colours()).wait()
saving.write_text = lambda path, text: os.kill(os.getpid(), signal.SIGKILL)
for folder in sys.argv[1:]:
    if not (pid := os.fork()):
        run.save(Path(folder))
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
"""


def test_a_killed_save_loses_nothing_and_its_remains_go_at_the_next(runs, tmp_path):
    """case B5"""
    old, new = runs[0].save(tmp_path / "old"), tmp_path / "new"
    before = contents(old)
    subprocess.run([sys.executable, "-c", KILLED, str(old), str(new)], cwd=ROOT, check=True,
                   env={**os.environ, "PYTHONPATH": str(ROOT)})
    for folder in (old, new):
        assert [path.name.startswith(".saving.") for path in folder.glob(".*")] == [True]
    assert {name: value for name, value in contents(old).items() if not name.startswith(".")} == before
    assert load_run(old).name == "first"
    for folder in (old, new):
        runs[1].save(folder)
        assert not list(folder.glob(".*")) and load_run(folder).name == "second"


def test_the_home_folder_and_an_empty_path(runs, tmp_path, monkeypatch):
    """case B4: a folder named ~ was made, and "" was the folder one is in."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    assert runs[0].save("~/mine") == tmp_path / "home" / "mine"
    assert explorer.create_model("local-dir:~/mine", pretrained=True).num_classes == 3
    assert load_run("~/mine").name == "first"
    with pytest.raises(ValueError, match="path is ''"):
        runs[0].save("")
    assert [path.name for path in tmp_path.iterdir()] == ["home"]
