"""`vision-explorer app`: what is served, to whom, and what is said; its pages are in tests/browser."""

from __future__ import annotations

import ast
import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from html import unescape
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from explorer import cli
from explorer.cli import app
from explorer.cli.serving import visitor
from explorer.data.samples import assets_dir
from tests.browser.server import heeds_ctrl_c

PHOTOS = assets_dir() / "photos"


@pytest.fixture
def served(monkeypatch, tmp_path) -> list[dict[str, Any]]:
    """What would have been served; the app says at once that it is ready, and no variable stays changed."""
    asked: list[dict[str, Any]] = []

    def serve(sockets, *, ready, **settings):
        asked.append(settings)
        ready(tmp_path)
        for one in sockets:
            one.close()

    monkeypatch.setattr("explorer.cli.serving.server.serve", serve)
    monkeypatch.setattr(app, "kernel_environment", dict)
    monkeypatch.setattr(app, "_in_background", lambda call, *given: call(*given))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    return asked


def test_the_address_is_of_this_computer_alone_and_holds_a_fresh_token(served, capsys):
    for _ in range(2):
        assert cli.main(["app", "--no-browser"]) == 0
    out, err = capsys.readouterr()
    address = r"^The dashboard is at http://127\.0\.0\.1:\d+/\?token=([\w-]{24})$"
    tokens = re.findall(address, out, re.MULTILINE)
    assert tokens == [settings["token"] for settings in served] and tokens[0] != tokens[1]
    assert err == ""


def test_a_host_that_others_reach_is_allowed_with_a_warning(served, capsys):
    assert cli.main(["app", "--host", "0.0.0.0", "--no-browser", "--visitors", "7"]) == 0
    out, err = capsys.readouterr()
    assert re.search(r"at http://(?!0\.0\.0\.0)\S+:\d+/\?token=\S{24}\nUp to 7 visitors", out)
    assert "Whoever gets this address can use the dashboard" in err and "not encrypted" in err


@pytest.mark.parametrize(("host", "said"), [("::", r"\[[\da-f:]*:[\da-f:]*\]"), ("::1", r"\[::1\]"),
                                          ("localhost", "localhost")])
def test_what_listens_to_ipv6_alone_is_named_by_an_address_of_it(host, said):
    assert re.fullmatch(said, app._reached_at(host))


def test_the_browser_gets_a_private_file_not_the_token(served, tmp_path, monkeypatch, capsys):
    opened = []
    monkeypatch.setattr("webbrowser.open", lambda address: opened.append(address) or True)
    assert cli.main(["app"]) == 0
    assert opened == [(tmp_path / "open.html").as_uri()]
    assert served[0]["token"] in (tmp_path / "open.html").read_text()
    assert "No browser" not in capsys.readouterr().out


def test_without_a_browser_the_address_is_there_to_be_opened(served, monkeypatch, capsys):
    monkeypatch.setattr("webbrowser.open", lambda address: False)
    assert cli.main(["app"]) == 0
    assert "open the address yourself" in capsys.readouterr().out


def test_the_app_answers_while_a_browser_in_the_terminal_is_open():
    shut, opened = threading.Event(), threading.Event()
    app._in_background(lambda: opened.set() or shut.wait(60))
    assert opened.wait(60) and not shut.is_set()
    shut.set()


def test_photos_and_a_trained_model_are_named_by_their_whole_path(served, tmp_path, monkeypatch):
    """Each visitor's kernel runs in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "one.jpg").write_bytes((PHOTOS / "daisy.jpg").read_bytes())
    assert cli.main(["app", "--no-browser", "--photos", "mine", "--model", "mine"]) == 0
    assert served[0]["photos"] == tmp_path / "mine" and served[0]["model"] == str(tmp_path / "mine")


def test_as_many_visitors_as_the_memory_holds_share_the_processors(served, monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS")
    monkeypatch.setattr(app, "cpu_count", lambda: 8)
    assert cli.main(["app", "--no-browser", "--visitors", "3"]) == 0
    assert os.environ["OMP_NUM_THREADS"] == "2"
    assert 1 <= app._room() <= app.MOST_VISITORS


@pytest.mark.parametrize(("free", "visitors"), [(3_000_000_000, 4), (100_000_000, 1), (10**12, 40)])
def test_as_many_are_let_in_as_a_container_has_memory_for(free, visitors, monkeypatch):
    monkeypatch.setattr("explorer.machine.memory", lambda: (64 * 10**9, free, 0))
    assert app._room() == visitors


@pytest.mark.parametrize(("words", "sentence"), [
    (["--photos", "nowhere"], "There is no folder 'nowhere': --photos takes a folder with pictures."),
    (["--photos", "empty"], "The folder 'empty' holds no pictures"),
    (["--photos", ""], "''"),
    (["--model", "resnet5O"], "Unknown model 'resnet5O'. Did you mean 'resnet50'"),
    (["--model", "no/folder"], "There is no folder 'no/folder'"),
    (["--visitors", "0"], "'0' is not a number from 1 up"),
    (["--idle", "soon"], "'soon' is not a number from 1 up"),
    (["--port", "http"], "'http' is not a port"),
    (["--host", ""], "--host is empty: leave it out, or give 0.0.0.0."),
    (["--host", "..", "--port", "9"], "Nothing can be served at '..'"),
    (["--host", "192.0.2.1"], "Nothing can be served at '192.0.2.1'"),
])
def test_what_can_not_be_served_is_one_sentence(words, sentence, served, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    assert cli.main(["app", "--no-browser", *words]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and sentence in err and served == []


def test_a_port_that_is_taken_is_said_where_it_was_asked_for(served, capsys):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert cli.main(["app", "--no-browser", "--port", str(port)]) == 2
    assert capsys.readouterr().err == f"vision-explorer: Port {port} is taken: leave --port out, or give " \
                                      "another one.\n"


def test_a_missing_voila_is_said_with_the_cure(monkeypatch, capsys):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert cli.main(["app"]) == 2
    assert "-m pip install voila`" in capsys.readouterr().err


def test_the_help_says_what_a_visitor_can_do(capsys):
    assert cli.main(["app", "--help"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "No code can be sent to a kernel" in text and "name folders of this computer" in text


# --- what a visitor's kernel runs ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["plain", "'); raise SystemExit #", '"""', "line\nbreak", "a\\", "{x}"])
def test_a_name_is_data_in_the_notebook_whatever_it_holds(name, tmp_path):
    notebook = visitor.write_notebook(tmp_path, photos=Path("/photos") / name, model=name)
    [cell] = json.loads(notebook.read_text())["cells"]
    _, call = ast.parse(cell["source"]).body
    given = {word.arg: ast.literal_eval(word.value) for word in call.value.keywords}
    assert given == {"photos": str(Path("/photos") / name), "model": name, "scratch": str(tmp_path)}


@pytest.fixture
def kernel(tmp_path, monkeypatch):
    """This process, as if it were a visitor's kernel: its folder and variables come back."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_DATA_HOME", "before")
    monkeypatch.setattr(visitor, "atexit", SimpleNamespace(register=lambda *_, **__: None))
    return tmp_path


def test_a_visitor_works_and_collects_in_a_folder_of_the_own(kernel):
    from explorer.data.shelf_homes import homes_root

    given = {"photos": str(PHOTOS), "model": "tf_efficientnet_lite0", "scratch": str(kernel)}
    for _ in range(2):
        visitor.open_dashboard(**given).close()
    one, other = sorted(kernel.iterdir())
    assert Path.cwd() in (one, other) and homes_root().is_relative_to(Path.cwd())


def test_a_visitor_sees_a_sentence_where_there_is_no_dashboard(kernel):
    (kernel / "empty").mkdir()
    shown = visitor.open_dashboard(photos=str(kernel / "empty"), model="resnet18", scratch=str(kernel))
    assert "holds no pictures" in unescape(shown.data) and "Traceback" not in shown.data


# --- the server ---------------------------------------------------------------------------------------------


def settled(**changed: Any) -> Any:
    """The server with its settings, not started."""
    from explorer.cli.serving.server import _app

    settings = {"notebook": Path("/nowhere/explorer.ipynb"), "token": "t" * 24, "visitors": 3, "idle": 30,
                "debug": False}
    return _app(**settings | changed)


def test_no_traceback_no_source_and_no_template_of_a_visitors_choice_is_shown():
    page = settled().config.VoilaConfiguration
    assert (page.show_tracebacks, page.strip_sources, page.file_allowlist) == (False, True, [])
    assert page.allow_template_override == page.allow_theme_override == "NO"


def test_idle_kernels_end_even_where_a_page_is_open():
    kernels = settled(idle=5).config.MappingKernelManager
    assert (kernels.cull_idle_timeout, kernels.cull_connected) == (300, True)
    assert 0 < kernels.cull_interval <= 60


def test_what_parts_may_send_fits_into_a_message():
    from explorer.cli.serving.server import LARGEST_MESSAGE
    from explorer.widgets.parts.camera import LARGEST_PICTURE
    from explorer.widgets.parts.class_shelf import LARGEST_PHOTO

    assert max(LARGEST_PICTURE, LARGEST_PHOTO) < LARGEST_MESSAGE
    assert settled().tornado_settings["websocket_max_message_size"] == LARGEST_MESSAGE


def test_those_who_arrive_count_before_their_kernel_is_there():
    server = settled(visitors=2)
    server.kernel_manager = type("Kernels", (), {"list_kernel_ids": lambda self: ["one"]})()
    assert server.has_room()
    server.arriving = 1
    assert not server.has_room()


def run(coroutine: Coroutine[Any, Any, None]) -> None:
    """To its end, in a thread: a browser of other tests has an event loop in this one."""
    with ThreadPoolExecutor(1) as one:
        one.submit(asyncio.run, coroutine).result()


class Kernels(set):
    """The ids of those that run."""

    def list_kernel_ids(self):
        return list(self)

    async def shutdown_kernel(self, kernel):
        self.remove(kernel)


@pytest.mark.parametrize(("leaves", "waits"), [(True, 0), (False, 300)])
def test_who_leaves_before_the_page_is_there_gives_the_place_back(leaves, waits, monkeypatch):
    from explorer.cli.serving import pages

    server, later = settled(visitors=2), []
    server.kernel_manager, server.seen = Kernels({"seen"}), {"seen"}
    monkeypatch.setattr(pages.tornado.ioloop.IOLoop, "current", lambda: SimpleNamespace(
        call_later=lambda seconds, call, *given: later.append((seconds, call, given))))

    async def generate(path):
        server.kernel_manager.add("new")
        yield "<!doctype html>"
        page._left = leaves
        yield '<script id="jupyter-config-data">{"kernelId": "new"}</script>'

    page = SimpleNamespace(settings={"voila": server}, xsrf_token="", get_generator=generate, _left=False,
                           current_user="somebody", write=lambda html: None, flush=lambda: None)
    run(pages.Page.get.__wrapped__(page))
    [(seconds, call, given)] = later
    assert (seconds, server.arriving) == (waits, 0)
    for kernel in (*given, "seen", "gone long ago"):
        run(call(kernel))
    assert server.kernel_manager == {"seen"}


@pytest.mark.parametrize(("given", "right"), [("t" * 24, True), ("t" * 23, False), ("", False), ("ü", False)])
def test_a_token_is_right_as_a_whole_or_wrong(given, right):
    from explorer.cli.serving.pages import Token

    asked = type("Handler", (), {"get_argument": lambda self, name, default=None: given,
                                 "request": type("Request", (), {"headers": {}})()})()
    assert Token(token="t" * 24).get_token(asked) == ("t" * 24 if right else None)


@pytest.mark.parametrize("host", ["127.0.0.1:8866", "[::1]:80"])
def test_the_policy_names_the_server(host):
    from explorer.cli.serving.pages import only_this_server

    assert f"connect-src 'self' data: blob: ws://{host} wss://{host};" in only_this_server(host)


def test_nothing_is_smuggled_into_the_policy_as_a_host():
    from explorer.cli.serving.pages import only_this_server

    assert "script-src *" not in only_this_server("x; script-src *")


def test_who_is_asked_to_end_while_the_app_starts_leaves_no_folder(tmp_path, monkeypatch):
    from explorer.cli.serving import server

    def start(notebook, *_):
        assert notebook.is_file() and tmp_path in notebook.parents
        signal.getsignal(signal.SIGTERM)(signal.SIGTERM, None)

    monkeypatch.setattr(server, "_app", start)
    monkeypatch.setattr(server.tempfile, "tempdir", str(tmp_path))
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt):
        server.serve([], token="", photos=None, model="", visitors=1, idle=1, ready=lambda private: None)
    assert list(tmp_path.iterdir()) == [] and signal.getsignal(signal.SIGTERM) is before


@pytest.mark.skipif(os.name == "nt", reason="Windows sends no Ctrl-C to one process")
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_ctrl_c_ends_the_app_and_leaves_nothing(name, tmp_path, jupyter_env):
    log = tmp_path / "log"
    with log.open("w") as out:
        process = subprocess.Popen([sys.executable, "-m", "explorer", "app", "--no-browser"], stdout=out,
                                   stderr=subprocess.STDOUT, env={**jupyter_env, "TMPDIR": str(tmp_path)},
                                   preexec_fn=heeds_ctrl_c)
    try:
        while not (said := re.search(r"http\S+/\?token=(\S+)\n.*\n", log.read_text())):
            assert process.poll() is None, log.read_text()
            time.sleep(0.05)
        [private] = tmp_path.glob("vision-explorer-app-*")
        assert private.stat().st_mode & 0o77 == 0
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(said[0].split("?")[0], timeout=30)
        assert refused.value.code == 403
        process.send_signal(getattr(signal, name))
        assert process.wait(30) == 0
    finally:
        process.kill()
    assert not private.exists() and len(log.read_text().splitlines()) == 2
