"""`doctor`: a table of what is on this computer, and a sentence where something should be changed."""

from __future__ import annotations

import platform
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

import explorer
from explorer import _memory, machine
from explorer._threads import cpu_count
from explorer.models.weights import places
from explorer.widgets import front_ends
from tests.html import parse


def test_it_names_the_versions_and_what_is_on():
    found = explorer.doctor()
    assert found["explorer"] == explorer.__version__ and torch.__version__.startswith(found["torch"])
    assert found["Python"].startswith(platform.python_version())
    assert found["processors"].startswith(f"{cpu_count()} for this process")
    assert "torch" in str(found) and found["weights laid out for the processor"].startswith("on")


def test_it_shows_itself_as_a_table():
    found = explorer.doctor()
    rows = parse(found._repr_html_()).find("table").rows()
    assert rows[0] == ["asked", "found"]
    assert rows[1:] == [[finding.about, finding.found] for finding in found.findings]


def test_a_package_that_is_missing_is_said(monkeypatch):
    monkeypatch.setattr(machine, "PACKAGES", ("no-such-package",))
    assert explorer.doctor()["no-such-package"] == "not installed"


def test_it_says_what_an_exported_file_and_a_live_page_need(monkeypatch):
    monkeypatch.setattr(shutil, "which", {"node": "/there/node"}.get)
    found = explorer.doctor()
    assert all(found[package][0].isdigit() for package in ("onnx", "onnxscript", "onnxruntime"))
    assert (found["node"], found["npm"].startswith("not on the path")) == ("/there/node", True)


def test_a_row_that_is_not_there_is_answered_with_those_that_are():
    with pytest.raises(KeyError, match="There is no row 'weather'. Rows: explorer, Python"):
        explorer.doctor()["weather"]


def test_more_threads_than_processors_get_an_advice(monkeypatch):
    assert explorer.doctor().advice == ()
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3 * cpu_count())
    found = explorer.doctor()
    assert len(found.advice) == 1 and f"OMP_NUM_THREADS={cpu_count()}" in found.advice[0]
    assert found.advice[0] in str(found) and found.advice[0] in parse(found._repr_html_()).text


def test_what_is_switched_off_says_so(monkeypatch):
    monkeypatch.setenv("EXPLORER_FAST", "0")
    found = explorer.doctor()
    assert found["idle teams rest"] == found["memory for the next pass"] == "off: EXPLORER_FAST=0 is set"


@pytest.mark.skipif(not _memory.possible(), reason="memory is kept on Linux with glibc alone")
def test_it_says_whether_memory_is_kept_now():
    assert "while a dashboard is open" in explorer.doctor()["memory for the next pass"]
    with _memory.kept():
        assert explorer.doctor()["memory for the next pass"] == "kept now"


def test_it_says_whether_a_page_finds_what_draws_widgets(monkeypatch):
    found = explorer.doctor()
    assert found["jupyterlab_widgets"][0].isdigit()
    assert found["a page's part of anywidget"].startswith("anywidget ")
    monkeypatch.setattr(front_ends, "folders", lambda prefix: [])
    found = explorer.doctor()
    assert found["a page's part of anywidget"] == found["a page's part of ipywidgets"] == "not found"
    for name, sentence in zip(("jupyterlab_widgets", "anywidget"), found.advice, strict=True):
        assert f"{name}, then reload the page" in sentence


def test_memory_is_what_a_container_may_use(monkeypatch, tmp_path):
    if machine.memory() is None:
        assert explorer.doctor()["memory"] == "not known on this system"
        return
    total, free, held = machine.memory()
    assert total > free > 0 and total > held > 10e6
    (tmp_path / "most").write_text("1000000000\n")
    (tmp_path / "used").write_text("900000000\n")
    monkeypatch.setattr(machine, "CONTAINERS", ((str(tmp_path / "most"), str(tmp_path / "used")),))
    assert machine.memory()[:2] == (10**9, 10**8)
    found = explorer.doctor()
    assert found["memory"].startswith("1.00 GB, 100 MB of it free; this process holds ")
    assert found.advice == ("Only 100 MB of memory are free: shut down the kernels of other notebooks, or "
                            "choose a smaller model.",)
    (tmp_path / "memory.stat").write_text("file 300000000\ninactive_file 50000000\n")
    assert machine.memory()[1] == 15 * 10**7  # copies of files make room when it is needed
    (tmp_path / "most").write_text("max\n")
    assert machine.memory()[0] == total


def test_it_names_the_weights_that_are_here_with_their_sizes(monkeypatch, tmp_path):
    found = explorer.doctor()
    assert "tf_efficientnet_lite0.in1k 18.8 MB" in found["weights that came along"]
    files = {"resnet18.a1_in1k": tmp_path / "w"}
    monkeypatch.setattr(places, "in_cache", lambda config: files.get(config.name))
    (tmp_path / "w").write_bytes(b"0" * 1_500_000)
    assert explorer.doctor()["weights downloaded"] == "resnet18.a1_in1k 1.5 MB"


def test_a_full_disk_gets_an_advice(monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=20_000_000))
    found = explorer.doctor()
    assert found["downloads go to"].endswith("20 MB free there")
    assert len(found.advice) == 1 and "HF_HOME" in found.advice[0]


def test_what_can_not_be_found_out_is_a_row_and_the_others_follow(monkeypatch):
    def forbidden(*_):
        raise PermissionError(13, "Permission denied", "/kept")

    monkeypatch.setattr("explorer.inspection.features.cache.cache_size", forbidden)
    found = explorer.doctor()
    assert found["features kept"].startswith("can't be found out: ") and "/kept" in found["features kept"]
    assert "free there" in found["downloads go to"]


def test_a_user_without_a_home_is_told_to_name_one(monkeypatch):
    def unknown(*_):
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    for way in ("home", "expanduser"):
        monkeypatch.setattr(Path, way, unknown)
    found = explorer.doctor()
    assert found["home folder"] == "none is known" and any("set HOME" in advice for advice in found.advice)
    assert found["explorer"] == explorer.__version__ and "processors" in str(found)


def test_a_package_that_was_removed_in_part_is_said_with_the_cure(monkeypatch):
    monkeypatch.setattr(machine.importlib.metadata, "version", lambda package: None)
    found = explorer.doctor()
    assert found["torch"] == "installed in part" and "--no-deps torch" in "".join(found.advice)
    assert "installed in part" in found._repr_html_()


def test_strange_settings_of_pages_switch_nothing_off(monkeypatch):
    monkeypatch.setattr(front_ends, "_read", lambda file: {"disabledExtensions": [{}, 3, None]})
    assert front_ends.extension("anywidget", Path("/nowhere")).off is None
