"""The files of a run_dir while the disk is full: what was written stays, the run goes on, and says so."""

from __future__ import annotations

import errno
import json
import os

import pytest

from explorer.training.run import checkpoint
from explorer.training.run.checkpoint import past_epochs
from explorer.training.run.loading import load_run
from tests.training.test_identity import colours, learn, net


def test_lines_behind_one_that_was_cut_off_are_whole(tmp_path):
    path = tmp_path / checkpoint.HISTORY
    checkpoint.append_lines(path, ["one"])
    with path.open("a") as file:
        file.write('{"cut of')
    checkpoint.append_lines(path, ["two", "three"])
    checkpoint.append_lines(path, ["four"])
    assert path.read_text() == 'one\n{"cut of\ntwo\nthree\nfour\n'


@pytest.fixture
def disk(monkeypatch):
    """A disk of which a set of names says what it has no room for."""
    full: set[str] = set()
    real_append, real_whole = checkpoint.append_lines, os.replace
    said = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def append(path, lines):
        if "history" in full:
            raise said
        real_append(path, lines)

    def replace(source, target):
        if any(word in str(target) for word in full):
            raise said
        real_whole(source, target)

    monkeypatch.setattr(checkpoint, "append_lines", append)
    monkeypatch.setattr(os, "replace", replace)
    return full


@pytest.mark.parametrize("what", ["history", "last.pt", "epochs"])
def test_each_file_that_a_full_disk_refuses_is_a_note_and_the_run_goes_on(tmp_path, disk, what):
    """case B2: safetensors' own error used to end the run."""
    disk.add(what)
    done = learn(net(), colours(), tmp_path / "r", epochs=2).wait()
    assert done.state == "finished" and len(done.history) == 2
    assert any("the run goes on" in note and "The disk is full: make room" in note for note in done.notes)
    assert not list((tmp_path / "r").rglob(".*"))


def test_lines_of_the_history_wait_for_room(tmp_path, disk):
    """case B2"""
    def listen(event):
        if event.kind == "epoch" and event.epoch < 2:
            (disk.add, disk.discard)[event.epoch]("history")

    done = learn(net(), colours(), tmp_path / "r", epochs=3, on_event=listen).wait()
    assert sum("The history could not be written" in note for note in done.notes) == 1
    lines = [json.loads(line) for line in (tmp_path / "r" / checkpoint.HISTORY).read_text().splitlines()]
    assert [line["epoch"] for line in lines if line["kind"] == "epoch"] == [0, 1, 2]
    assert past_epochs(tmp_path / "r", 3) == done.history


def test_a_run_dir_that_is_full_from_the_start_is_a_sentence_at_the_call(tmp_path, disk):
    """case B2"""
    disk.add("recipe.json")
    with pytest.raises(OSError, match="The disk is full: make room for 'recipe.json'"):
        learn(net(), colours(), tmp_path / "r")
    disk.clear()
    assert learn(net(), colours(), tmp_path / "r").wait().state == "finished"
    assert len(load_run(tmp_path / "r", model=net()).history) == 1
