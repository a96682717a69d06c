"""Whether a page finds what draws widgets: the server's environment, its extensions, what is switched off."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from explorer.widgets import front_ends


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """The environment of a server that is not this kernel's; nothing lies in it, nor for the user."""
    monkeypatch.setattr(front_ends, "server", lambda: front_ends.Server(tmp_path / "hub", "a hub"))
    monkeypatch.setattr("jupyter_core.paths.jupyter_path", lambda *_: [])
    monkeypatch.setattr("jupyter_core.paths.jupyter_config_path", lambda: [str(tmp_path / "config")])
    return tmp_path / "hub"


def put(prefix: Path, name: str, version: str) -> None:
    folder = prefix / "share" / "jupyter" / "labextensions" / name
    folder.mkdir(parents=True)
    (folder / "package.json").write_text(json.dumps({"name": name, "version": version}))


def test_the_environment_that_runs_these_tests_lacks_nothing():
    assert front_ends.advice() == []
    assert front_ends.extension("anywidget", Path(sys.prefix)).there


def test_what_a_hub_lacks_is_said_with_the_python_to_install_it_by(hub):
    put(hub, "@jupyter-widgets/jupyterlab-manager", "5.0.16")
    (sentence,) = front_ends.advice()
    assert "explorer's own views" in sentence
    python = hub / ("Scripts" if os.name == "nt" else "bin") / "python"
    assert f"{python} -m pip install anywidget, then reload" in sentence
    put(hub, "anywidget", front_ends.version("anywidget"))
    assert front_ends.advice() == []


def test_another_major_version_in_the_page_is_said(hub):
    put(hub, "anywidget", front_ends.version("anywidget"))
    put(hub, "@jupyter-widgets/jupyterlab-manager", "3.1.8")  # of ipywidgets 7
    (sentence,) = front_ends.advice()
    assert "version 3.1.8" in sentence and "pip install --upgrade jupyterlab_widgets" in sentence


@pytest.mark.parametrize("off", [{"anywidget": True}, {"anywidget:plugin": True}, ["anywidget"]])
def test_an_extension_that_is_switched_off_is_said_with_the_file_that_does_it(hub, tmp_path, off):
    for name in ("anywidget", "@jupyter-widgets/jupyterlab-manager"):
        put(hub, name, {"anywidget": front_ends.version("anywidget")}.get(name, "5.0.16"))
    file = tmp_path / "config" / "labconfig" / "page_config.json"
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps({"disabledExtensions": off}))
    (sentence,) = front_ends.advice()
    assert str(file) in sentence and "labextension enable anywidget" in sentence
    file.write_text(json.dumps({"disabledExtensions": {"anywidget": False}}))
    assert front_ends.advice() == []


def test_what_is_switched_off_for_servers_of_the_kernels_environment_is_not_off_in_a_hub(hub, tmp_path,
                                                                                         monkeypatch):
    own = tmp_path / "kernel" / "etc" / "jupyter"
    (own / "labconfig").mkdir(parents=True)
    (own / "labconfig" / "page_config.json").write_text('{"disabledExtensions": {"anywidget": true}}')
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "kernel"))
    monkeypatch.setattr("jupyter_core.paths.jupyter_config_path", lambda: [str(own)])
    for prefix, there in ((hub, True), (tmp_path / "kernel", False)):
        put(prefix, "anywidget", "1")
        assert front_ends.extension("anywidget", prefix).there is there


def test_files_that_are_no_json_are_no_extensions(hub):
    put(hub, "anywidget", "1")
    for text in ("", "[1]", "{"):
        file = hub / "share" / "jupyter" / "labextensions" / "anywidget" / "package.json"
        file.write_text(text)
        assert not front_ends.extension("anywidget", hub).there


def test_a_kernel_knows_by_its_parent_which_environment_its_server_runs_in(monkeypatch):
    monkeypatch.delenv("JPY_PARENT_PID", raising=False)
    assert front_ends.server().prefix is None
    monkeypatch.setenv("JPY_PARENT_PID", "no number")
    assert front_ends.server().prefix is None
    monkeypatch.setenv("JPY_PARENT_PID", "999999999")
    assert "can't be seen" in front_ends.server().words
    if not Path("/proc/self/cmdline").is_file():
        return
    lines = {"1": ["/opt/hub/bin/python3.12", "-m", "jupyterlab"], "3": ["/usr/bin/node", "server.js"],
             "2": [str(Path(sys.prefix, "bin", "python")), "-m", "notebook"],
             "4": ["python", "-m", "jupyterlab"]}
    monkeypatch.setattr(Path, "read_bytes", lambda self: "\0".join(lines[self.parent.name]).encode())
    monkeypatch.setenv("JPY_PARENT_PID", "1")
    at = front_ends.server()
    assert at.elsewhere and at.prefix == Path("/opt/hub") and at.words.startswith("in /opt/hub, another")
    monkeypatch.setenv("JPY_PARENT_PID", "2")
    assert not front_ends.server().elsewhere and front_ends.server().prefix == Path(sys.prefix)
    monkeypatch.setenv("JPY_PARENT_PID", "3")
    assert front_ends.server().prefix is None and "node started this kernel" in front_ends.server().words
    monkeypatch.setenv("JPY_PARENT_PID", "4")
    assert front_ends.server() == front_ends.Server(None, front_ends.UNSEEN)
