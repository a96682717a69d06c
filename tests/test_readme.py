"""What the README tells people to type works."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from explorer import cli
from explorer.data.samples import assets_dir

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.fixture
def folder(tmp_path) -> Path:
    """What the examples speak of: a photo, a folder of photos, and one of class folders."""
    photos = assets_dir() / "photos"
    shutil.copy(photos / "cat_chelsea.jpg", tmp_path / "photo.jpg")
    (tmp_path / "my_photos").mkdir()
    for name in ("daisy.jpg", "pizza.jpg"):
        shutil.copy(photos / name, tmp_path / "my_photos")
    for name in ("daisy", "tulips"):
        source = assets_dir() / "data" / "flowers5_nano" / "val" / name
        shutil.copytree(source, tmp_path / "my_flowers" / name)
    photos = sorted(tmp_path.glob("my_flowers/*/*"))
    rows = [f"{photo.relative_to(tmp_path).as_posix()},{age}" for age, photo in enumerate(photos)]
    (tmp_path / "ages.csv").write_text("\n".join(["file,age", *rows]))
    return tmp_path


def blocks(title: str, language: str) -> str:
    """All code of one language under a heading."""
    section = re.search(rf"^## {title}\n(.*?)(?=^## )", README, re.S | re.M)[1]
    return "\n".join(re.findall(rf"^```{language}\n(.*?)^```", section, re.S | re.M))


@pytest.mark.parametrize("title", ["In a notebook", "In your code"])
def test_the_python_examples_run(title, folder):
    command = [sys.executable, "-c", blocks(title, "python")]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_terminal_examples_run(folder, monkeypatch, capfd):
    monkeypatch.chdir(folder)
    lines = [shlex.split(line, comments=True) for line in blocks("In a terminal", "").splitlines()]
    commands = [words[1] for words in lines]
    assert commands == ["list", "show", "predict", "compare", "finetune", "evaluate", "tour"]
    for words in lines[:-1]:  # the tour does not end by itself; test_cli opens it
        code = cli.main(words[1:])
        out, err = capfd.readouterr()
        assert code == 0 and out and "Traceback" not in err, (words, err)


def test_every_link_to_a_file_leads_to_one():
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", README) if "://" not in link]
    assert len(links) >= 3
    assert [link for link in links if not (ROOT / link).is_file()] == []


def test_it_has_the_two_commands_that_ci_runs():
    ci = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    for name in ("tour", "test"):
        assert len(re.findall(rf"<!-- command: {name} -->\n```\n(.+)\n```", README)) == 1
        assert f"readme_command {name}" in ci
    assert os.access(ROOT / ".ci" / "run", os.X_OK)


def test_it_is_short():
    assert len(README.splitlines()) < 100
