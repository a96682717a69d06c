"""Paths of persons, and files that are whole or not there; on disks that are full, read-only or gone."""

from __future__ import annotations

import errno
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

import explorer
from explorer.data.datasets import cifar10, open_data
from explorer.data.images import ImageError
from explorer.files import DiskError, given_path, remove_stale, user_cache, write_text, write_whole
from explorer.inspection.features.cache import cache_size, clear_cache
from explorer.inspection.features.folders import run_folder
from explorer.models.weights.choosing import read_state_dict

ROOT = Path(__file__).resolve().parents[1]


def write(path: Path) -> None:
    path.write_text("new")


@pytest.mark.parametrize("path", ["", "  ", "a\0b", "~no_such_person_here/x"])
def test_an_empty_or_impossible_path_is_a_sentence(path):
    """case B4: Path("") is the folder one is in."""
    with pytest.raises(ValueError, match="run_dir is .*(give|Give)"):
        given_path(path, "run_dir")


@pytest.mark.parametrize("path", [None, 3, b"bytes", ["a"]])
def test_what_is_no_path_is_a_sentence(path):
    with pytest.raises(TypeError, match=f"save is a {type(path).__name__}: give a path"):
        given_path(path, "save")


def test_the_home_folder_is_meant_by_its_sign(monkeypatch, tmp_path):
    """case B4"""
    monkeypatch.setenv("HOME", str(tmp_path))
    assert given_path("~/x") == given_path(Path("~/x")) == tmp_path / "x"
    assert given_path("a/~") == Path("a/~")


@pytest.mark.parametrize(("cache", "found"), [("/elsewhere", "/elsewhere/explorer/live"),
                                            ("", "/at home/.cache/explorer/live")])
def test_the_cache_is_where_the_user_has_it_and_never_in_the_present_folder(monkeypatch, cache, found):
    monkeypatch.setenv("HOME", "/at home")
    monkeypatch.setenv("XDG_CACHE_HOME", cache)
    assert user_cache("live") == Path(found)


def test_every_file_gets_the_umasks_mode(tmp_path):
    """case B5: safetensors makes its files for their owner alone."""
    (tmp_path / "plain").write_text("")
    write_whole(tmp_path / "weights", lambda path: save_file({"a": torch.zeros(2)}, path))
    write_whole(tmp_path / "last.pt", lambda path: torch.save({"a": torch.zeros(2)}, path))
    write_text(tmp_path / "text", "ä\r\n")
    assert {path.stat().st_mode for path in tmp_path.iterdir()} == {(tmp_path / "plain").stat().st_mode}
    assert (tmp_path / "text").read_bytes() == "ä\r\n".encode()


def test_a_link_stays_one_and_a_pipe_is_written_to(tmp_path):
    (tmp_path / "far").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "far" / "file")
    write_whole(tmp_path / "link", write)
    assert (tmp_path / "link").is_symlink() and (tmp_path / "far" / "file").read_text() == "new"
    assert write_whole(Path("/dev/null"), write) is None and not Path("/dev/null").is_file()


def test_what_goes_wrong_outside_the_disk_is_not_the_disks(tmp_path):
    (tmp_path / "file").write_text("old")
    for error in (RuntimeError("a bug"), KeyError("x")):
        with pytest.raises(type(error)):
            write_whole(tmp_path / "file", lambda path, error=error: (_ for _ in ()).throw(error))
    assert [path.name for path in tmp_path.iterdir()] == ["file"] and (tmp_path / "file").read_text() == "old"


def test_a_folder_that_is_not_there_or_is_no_folder_is_a_sentence(tmp_path):
    with pytest.raises(DiskError, match="There is no folder '.*gone' to write 'x.csv' into"):
        write_text(tmp_path / "gone" / "x.csv", "")
    (tmp_path / "file").write_text("")
    with pytest.raises(DiskError, match="There is no folder"):
        write_text(tmp_path / "file" / "x.csv", "")
    with pytest.raises(DiskError, match="can't be written"):
        write_text(tmp_path, "")


SMALL_DISK = """
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
import torch, numpy
from pathlib import Path
from safetensors.torch import save_file
from explorer.files import DiskError, write_whole, write_text
# a file that may not grow: as a full disk
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
folder, big = Path(sys.argv[1]), torch.zeros(1_000_000)
ways = {"safetensors": lambda path: save_file({"a": big}, path),
        "torch": lambda path: torch.save({"a": big}, path),
        "text": lambda path: path.write_text("x" * 1_000_000),
        "numpy": lambda path: numpy.savez(path.open("wb"), big.numpy())}
for name, way in ways.items():
    (folder / name).write_text("old")
    try:
        write_whole(folder / name, way)
    except DiskError as error:
        print(name, error.errno, error, flush=True)
"""


def test_a_full_disk_is_one_kind_of_error_whoever_writes(tmp_path):
    """case B2: safetensors and torch have errors of their own, that quote Rust and C++."""
    ended = subprocess.run([sys.executable, "-c", SMALL_DISK, str(tmp_path)], cwd=ROOT, capture_output=True,
                           text=True, check=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
    told = dict(line.split(" ", 1) for line in ended.stdout.splitlines())
    assert told.keys() == {"safetensors", "torch", "text", "numpy"}, ended.stderr
    for name, text in told.items():
        assert (text == f"{errno.EFBIG} The disk is full: "
                        f"make room for '{name}' in '{tmp_path}' (File too large).")
        assert (tmp_path / name).read_text() == "old"
    assert (len(list(tmp_path.iterdir())) == 4
            and resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY)


@pytest.mark.parametrize(("number", "sentence"), [
    (errno.ENOSPC, "The disk is full: make room"), (errno.EDQUOT, "The disk is full: make room"),
    (errno.EROFS, "give a folder in which you may write"),
    (errno.EACCES, "give a folder in which you may write"),
    (errno.EIO, "give another place")])
def test_each_of_the_disks_answers_is_a_sentence(tmp_path, number, sentence):
    """case B2"""
    def refused(path):
        path.write_text("half")
        raise OSError(number, os.strerror(number))

    with pytest.raises(DiskError, match=sentence) as told:
        write_whole(tmp_path / "x", refused)
    assert (told.value.errno == number and os.strerror(number) in str(told.value)
            and not list(tmp_path.iterdir()))


def dead_pid() -> int:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    return ended.pid


def test_only_what_dead_processes_began_is_removed(tmp_path):
    """case B5"""
    dead, alive = dead_pid(), os.getppid()
    stale = [f".last.pt.{dead}", f".last.pt.{dead}-3", f".recipe.json.{os.getpid()}", f".last.pt.{alive}-1"]
    others = [f".last.pt.{alive}", f".notes.txt.{dead}", f"last.pt.{dead}", ".last.pt.swp", "last.pt",
              f".last.pt.{dead}.bak"]
    for name in (*stale, *others):
        (tmp_path / name).write_text("")
    os.utime(tmp_path / stale[3], (0, 0))  # of long ago: the number is another process's by now
    held = []

    def in_the_middle(path):
        path.write_text("")
        remove_stale(tmp_path, r"last\.pt|recipe\.json")
        held.append(path.exists())

    write_whole(tmp_path / "recipe.json", in_the_middle)
    assert held == [True]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*others, "recipe.json"])


# --- every public function that takes a path ----------------------------------------------------------------


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return explorer.create_model("resnet10t", num_classes=3).eval()


def taking_paths(model):
    """(what, a call with a path), for all of them."""
    photo = Image.new("RGB", (32, 32))
    table = explorer.predict(model, [photo])
    comparison = explorer.compare([model, model], [photo])
    return {
        "local-dir": lambda path: explorer.create_model(f"local-dir:{path}"),
        "cache_dir": lambda path: explorer.create_model("resnet10t", cache_dir=path),
        "checkpoint": lambda path: read_state_dict(path),
        "load_run": explorer.load_run,
        "run_dir": lambda path: explorer.finetune(model, "flowers5_nano", run_dir=path),
        "data": lambda path: explorer.finetune(model, path),
        "open_data": open_data, "pair": lambda path: open_data((path, path)),
        "cifar10": lambda path: cifar10(path, download=False),
        "evaluate": lambda path: explorer.evaluate(model, path),
        "evaluate all": lambda path: explorer.evaluate(model, path, split="all"),
        "photos": lambda path: run_folder(model, path),
        "store": lambda path: run_folder(model, [photo], cache_dir=path),
        "cache_size": cache_size, "clear_cache": clear_cache,
        "embed": lambda path: explorer.embed(model, path),
        "predict": lambda path: explorer.predict(model, path),
        "look": lambda path: explorer.look(model, path),
        "compare": lambda path: explorer.compare([model, model], path),
        "predictions": table.to_csv, "comparison": comparison.to_csv,
    }


def test_no_function_takes_an_empty_path_for_the_present_folder(model, tmp_path, monkeypatch):
    """case B4"""
    monkeypatch.chdir(tmp_path)
    for name, call in taking_paths(model).items():
        with pytest.raises((ValueError, ImageError), match="''") as told:
            call("")
        home = type(told.value).__module__
        assert home == "builtins" or home.startswith("explorer."), name
    assert not list(tmp_path.iterdir())


def test_results_are_written_into_the_home_folder(model, tmp_path, monkeypatch):
    """case B4"""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "home").mkdir()
    calls = taking_paths(model)
    for name in ("predictions", "comparison"):
        calls[name](f"~/{name}.csv")
    calls["store"]("~/store")
    assert sorted(path.name for path in (tmp_path / "home").iterdir()) == ["comparison.csv",
                                                                           "predictions.csv", "store"]
    assert cache_size("~/store") > 0 and clear_cache("~/store") > 0 and cache_size("~/store") == 0
    assert [path.name for path in tmp_path.iterdir()] == ["home"]
