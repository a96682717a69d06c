"""What the README tells people to type works."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from PIL import Image

import explorer
from explorer import cli
from explorer.data.samples import assets_dir
from explorer.inspection.attribution.methods import METHODS
from explorer.models.weights.places import is_here
from explorer.models.weights.table import config_for

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
LIBRARY = (ROOT / "notebooks" / "library.md").read_text(encoding="utf-8")
LITE = [f"tf_efficientnet_lite{size}" for size in range(3)]


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


def blocks(title: str, language: str, text: str = README) -> str:
    """All code of one language under a heading."""
    section = re.search(rf"^## {title}\n(.*?)(?=^## )", text, re.S | re.M)[1]
    return "\n".join(re.findall(rf"^```{language}\n(.*?)^```", section, re.S | re.M))


@pytest.mark.parametrize(("title", "text"), [("In a notebook", README), ("In your code", LIBRARY)],
                         ids=["In a notebook", "In your code"])
def test_the_python_examples_run(title, text, folder):
    command = [sys.executable, "-c", blocks(title, "python", text)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_terminal_examples_run(folder, monkeypatch, capfd):
    monkeypatch.chdir(folder)
    lines = [shlex.split(line, comments=True) for line in blocks("In a terminal", "").splitlines()]
    commands = [words[1] for words in lines]
    assert commands[:6] == ["list", "show", "predict", "compare", "finetune", "evaluate"]
    assert commands[6:] == ["tour", "course", "app"]  # don't end by themselves: test_cli, tests/browser
    for words in lines[:6]:
        code = cli.main(words[1:])
        out, err = capfd.readouterr()
        assert code == 0 and out and "Traceback" not in err, (words, err)


def test_every_link_to_a_file_leads_to_one():
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", README) if "://" not in link]
    assert len(links) >= 3
    assert [link for link in links if not (ROOT / link).is_file()] == []


def test_its_picture_moves_for_some_seconds_and_is_small():
    [path] = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", README)
    with Image.open(ROOT / path) as film:
        shown = 0
        for frame in range(film.n_frames):
            film.seek(frame)
            film.load()
            shown += film.info["duration"]
        assert film.width <= 900 and 8_000 <= shown <= 15_000
    assert (ROOT / path).stat().st_size < 3_000_000


def test_the_table_of_what_works_says_what_the_code_has():
    section = re.search(r"^## What works\n(.*?)(?=^## )", README, re.S | re.M)[1]
    rows = {line.split(" | ")[0].strip("| "): line for line in section.splitlines() if line.startswith("|")}
    tasks = {"classification": "classification", "boxes": "detection", "masks": "segmentation"}
    for row, task in tasks.items():
        models, families = len(explorer.list_models(task=task)), len(explorer.list_families(task))
        weights = len(explorer.list_models(task=task, pretrained=True))
        said = f"| {row} | {models:,} models, {families} families | {weights:,} | "
        assert rows[row].startswith(said), said
    assert f"explain ({len(METHODS)} methods)" in rows["classification"]
    assert all(is_here(*name.split(".")) for name in (*LITE, "retinanet_lite0.bccd", "unet_lite0.nuclei"))
    published = [f"{config_for(name).top1:.1f}" for name in LITE]
    assert f"{', '.join(published[:2])} and {published[2]} % on ImageNet" in rows["classification"]


def test_it_can_be_cited():
    """By the rules of the Citation File Format 1.2: which keys there must be, and which values they take."""
    import yaml

    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    more = {"type", "abstract", "version", "license", "keywords"}
    assert set(cited) - more == {"cff-version", "message", "title", "authors"}
    assert all(set(author) == {"name"} for author in cited["authors"])
    assert (cited["cff-version"], cited["type"]) == ("1.2.0", "software")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert (cited["version"], cited["license"]) == (project["version"], project["license"])
    assert "(CITATION.cff)" in README


def test_it_has_the_two_commands_that_ci_runs():
    ci = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    for name in ("tour", "test"):
        assert len(re.findall(rf"<!-- command: {name} -->\n```\n(.+)\n```", README)) == 1
        assert f"readme_command {name}" in ci
    assert os.access(ROOT / ".ci" / "run", os.X_OK)


def test_it_is_short():
    assert len(README.splitlines()) < 100
