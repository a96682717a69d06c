"""CIFAR-10 for somebody with a network: torchvision's own download, from a server on this computer."""

from __future__ import annotations

import functools
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest

from explorer import cli
from explorer.data.datasets import DataError, cifar10, open_data
from tests import tiny_cifar10


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *words):
        """Nothing on the screen."""


@pytest.fixture
def server(tmp_path, monkeypatch):
    """The folder of a web server with the archive in it.

    Explorer's cache and the working folder are empty.
    """
    from torchvision.datasets import CIFAR10

    shelf = tmp_path / "shelf"
    folder = tiny_cifar10.write(shelf, monkeypatch)
    tiny_cifar10.pack(folder, shelf / CIFAR10.filename, monkeypatch)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(shelf))) as web:
        threading.Thread(target=web.serve_forever, args=(0.02,), daemon=True).start()
        monkeypatch.setattr(CIFAR10, "url", f"http://127.0.0.1:{web.server_port}/{CIFAR10.filename}")
        yield shelf
        web.shutdown()


def test_it_is_downloaded_once_into_explorers_cache(server, tmp_path):
    splits = open_data("cifar10")
    assert (len(splits.train), len(splits.val)) == (tiny_cifar10.LEARNT, tiny_cifar10.JUDGED)
    assert list(splits.classes) == tiny_cifar10.NAMES
    assert (tmp_path / "cache" / "explorer" / "cifar-10-batches-py" / "test_batch").is_file()
    for archive in server.glob("*.tar.gz"):
        archive.unlink()
    assert len(open_data("cifar10").train) == tiny_cifar10.LEARNT  # nobody is asked again


def test_nothing_is_downloaded_where_that_is_not_wanted(server, tmp_path):
    with pytest.raises(DataError, match="not on this computer"):
        cifar10(download=False)
    assert not (tmp_path / "cache").exists()


def test_an_archive_that_broke_off_is_a_sentence_and_the_next_try_gets_it_whole(server, tmp_path):
    [archive] = server.glob("*.tar.gz")
    whole = archive.read_bytes()
    archive.write_bytes(whole[:len(whole) // 2])
    with pytest.raises(DataError, match="could not be downloaded"):
        open_data("cifar10")
    archive.write_bytes(whole)
    assert len(open_data("cifar10").train) == tiny_cifar10.LEARNT


def test_a_server_that_lacks_it_is_a_sentence_with_what_to_do(server, tmp_path):
    for archive in server.glob("*.tar.gz"):
        archive.unlink()
    with pytest.raises(DataError, match="Connect to the internet once, or unpack cifar-10-python"):
        open_data("cifar10")


def test_finetune_in_a_terminal_gets_it_and_learns(server, tmp_path, capsys):
    words = ["finetune", "resnet10t", "cifar10", "--from-scratch", "--size", "32", "--epochs", "1",
             "--train", "all", "--augment", "cifar", "--batch-size", "25"]
    assert cli.main(words) == 0, capsys.readouterr().err
    assert f"of {tiny_cifar10.JUDGED} photos right" in capsys.readouterr().out
