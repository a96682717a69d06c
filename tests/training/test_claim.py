"""Two runs never write in one folder, nor teach one model; and a run that is over stands in nobody's way."""

from __future__ import annotations

import copy
import gc
import os
import signal
import subprocess
import sys
import threading
import weakref
from contextlib import contextmanager
from pathlib import Path

import filelock
import pytest
import torch

import explorer
from explorer.files import DiskError
from explorer.training.loop.errors import TrainingError
from explorer.training.loop.events import Batch, Finished
from explorer.training.run import checkpoint
from explorer.training.run.claim import LOCK, teacher_of
from explorer.training.run.finetuning import finetune
from tests.training.test_identity import ROOT, SIZE, colours, learn, net, same, weights


@contextmanager
def busy(model, folder=None, **settings):
    """A run that stands still behind its first batch while the block is walked through."""
    begun, go_on = threading.Event(), threading.Event()

    def listen(event):
        if isinstance(event, Batch):
            begun.set()
            assert go_on.wait(60)

    run = learn(model, colours(), folder, on_event=listen, **{"epochs": 1, "name": "the first", **settings})
    try:
        assert begun.wait(60)
        yield run
    finally:
        go_on.set()
    run.wait()


def test_a_second_run_in_the_folder_is_refused_while_the_first_one_writes(tmp_path):
    """case B6"""
    model = net(5)
    with busy(net(), tmp_path / "r"):
        before, files = weights(model), {p.name for p in (tmp_path / "r").iterdir()}
        for resume in (False, True):
            with pytest.raises(TrainingError, match="the first is writing in .* at present. Stop it first, "
                                                    "or give another run_dir"):
                learn(model, colours(), tmp_path / "r", resume=resume)
        assert {p.name for p in (tmp_path / "r").iterdir()} == files and same(weights(model), before)
    lines = (tmp_path / "r" / checkpoint.HISTORY).read_text().splitlines()
    assert sum('"kind": "epoch"' in line for line in lines) == 1
    assert learn(net(), colours(), tmp_path / "r", resume=True, epochs=2).wait().state == "finished"


ELSEWHERE = """
import sys
from tests.training.test_identity import colours, learn, net
try:
    print(learn(net(), colours(), sys.argv[1], epochs=2).wait().state)
except Exception as error:
    print(type(error).__name__, error)
"""


def elsewhere(folder, code=ELSEWHERE):
    return subprocess.run([sys.executable, "-c", code, str(folder)], cwd=ROOT, capture_output=True, text=True,
                          check=False, env={**os.environ, "PYTHONPATH": str(ROOT)})


def test_a_second_run_of_another_process_is_refused_too(tmp_path):
    """case B6"""
    with busy(net(), tmp_path / "r"):
        assert "TrainingError Another run is writing in" in elsewhere(tmp_path / "r").stdout
    assert learn(net(), colours(), tmp_path / "r", resume=True, epochs=2).wait().state == "finished"


KILLED = """
import os, signal, sys
from explorer.files import write_whole
from explorer.training.run import checkpoint
from tests.training.test_identity import colours, learn, net
def kill(content, path):
    path.write_bytes(b"half")
    os.kill(os.getpid(), signal.SIGKILL)
def listen(event):
    if event.kind == "saved":
        checkpoint.torch.save = kill
learn(net(), colours(), sys.argv[1], epochs=2, on_event=listen).wait()
"""


def test_a_killed_process_holds_no_folder_and_its_half_files_go(tmp_path):
    """case B5 and B6"""
    folder = tmp_path / "r"
    assert elsewhere(folder, code=KILLED).returncode == -signal.SIGKILL
    assert [path.name.startswith(".last.pt.") for path in folder.glob(".*")] == [True]
    # Above the largest number there is.
    (folder / "epochs" / f".0001.safetensors.{2**22 + 1}").write_text("of an earlier kill")
    run = learn(net(), colours(), folder, resume=True, epochs=2).wait()
    assert run.state == "finished" and not list(folder.rglob(".*"))
    modes = {path.stat().st_mode & 0o777 for path in folder.rglob("*") if path.is_file()}
    assert len(modes) == 1  # case B5: the weights as all others


def test_a_second_run_of_the_model_is_refused_before_it_is_changed():
    """case B6: torch's words were "modified by an inplace operation"."""
    model = net()
    with busy(model):
        assert teacher_of(model) == "the first"
        layer = model.get_classifier()
        for other in (model, explorer.wrap(model),
                      explorer.wrap(torch.nn.Sequential(model, torch.nn.Linear(3, 4)))):
            told = r"the first is teaching this model at present. .*copy.deepcopy\(model\)"
            with pytest.raises(TrainingError, match=told):
                learn(other, colours(classes=("a", "b", "c")))
        assert model.get_classifier() is layer
    assert teacher_of(model) == ""
    assert learn(model, colours()).wait().state == "finished"


def test_a_run_that_has_stopped_failed_or_not_begun_holds_nothing(tmp_path):
    """case B6: no false refusal."""
    model, folder = net(), tmp_path / "r"
    with pytest.raises(ValueError, match="class_weights"):
        learn(model, colours(), folder, class_weights=[1.0, 2.0]).wait()
    with pytest.raises(ValueError, match="no stages|stages"):
        learn(explorer.wrap(torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 32 * 32, 3))),
              colours(), folder, train="last_stage").wait()
    assert teacher_of(model) == ""
    run = learn(model, colours(), folder, epochs=400)
    run.stop()
    assert run.state == "stopped"
    again = learn(model, colours(), folder, resume=True, epochs=400)
    again.stop()
    again.resume()
    again.stop()
    assert again.state == "stopped"
    assert learn(net(), colours(), folder, resume=True, epochs=400).stop().state == "stopped"


def test_whoever_hears_of_the_end_may_begin_at_once(tmp_path):
    """case B6: from a listener, too."""
    model, following = net(), []

    def listen(event):
        if isinstance(event, Finished):
            following.append(finetune(model, colours(), input_size=SIZE, augment="none", epochs=2, threads=1,
                                      batch_size=4, run_dir=tmp_path / "r", resume=True))

    learn(model, colours(), tmp_path / "r", on_event=listen).wait()
    assert following[0].wait().state == "finished"


def test_a_thread_that_cant_start_leaves_model_and_folder_free(tmp_path, monkeypatch):
    def refused(self):
        raise RuntimeError("can't start new thread")

    model = net()
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refused)
        with pytest.raises(RuntimeError, match="thread"):
            learn(model, colours(), tmp_path / "r")
    assert learn(model, colours(), tmp_path / "r").wait().state == "finished"


def test_a_child_process_is_not_held_up_by_its_parents_run(tmp_path):
    """case B6: a fork takes the list of runs along, and none of the runs."""
    model = net()
    with busy(model, tmp_path / "r"):
        pid = os.fork()
        if not pid:
            os._exit(0 if teacher_of(model) == "" else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        assert teacher_of(model) == "the first"
        with pytest.raises(filelock.Timeout):  # the child's end gave nothing back
            filelock.FileLock(tmp_path / "r" / LOCK).acquire(timeout=0)
    assert learn(model, colours(), tmp_path / "r", resume=True).wait().state == "finished"


def test_a_copy_learns_beside_its_model():
    model = net()
    with busy(model):
        assert learn(copy.deepcopy(model), colours()).wait().state == "finished"


def test_a_network_that_was_taught_is_free_once_nobody_holds_it():
    """The list of who taught what held each network for good."""
    model = net()
    run, there = learn(model, colours()).wait(), weakref.ref(model)
    del model, run
    gc.collect()
    assert there() is None


def test_a_disk_without_locks_is_a_note(tmp_path, monkeypatch):
    def unknown(self, *args, **options):
        raise NotImplementedError("FileSystem does not appear to support flock")

    monkeypatch.setattr(filelock.FileLock, "acquire", unknown)
    done = learn(net(), colours(), tmp_path / "r").wait()
    assert any("knows no locks" in note for note in done.notes)


def test_a_folder_that_may_not_be_written_is_a_sentence(tmp_path, monkeypatch):
    """case B2: said at the call."""
    def refused(self, *args, **options):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", refused)
    with pytest.raises(DiskError, match="give a folder in which you may write"):
        learn(net(), colours(), tmp_path / "r")


