"""`doctor`: a table of what is on this computer, and a sentence where something should be changed."""

from __future__ import annotations

import platform
import shutil

import pytest
import torch

import explorer
from explorer import _memory, machine
from explorer._threads import cpu_count
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
