"""One answer to "which photos?": whoever takes a folder sees the same ones in the same order."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import explorer
from explorer import cli
from explorer.data.collection import folder_of, is_many
from explorer.data.folders import PICTURE_SUFFIXES, find_pictures
from explorer.data.photos import collect
from explorer.widgets.gallery import gallery

NAMES = ["a.avif", "b.jfif", "p2.tga", "p10.qoi"]  # such as a browser, an old program and a camera give
ELSEWHERE = [".hidden.png", "notes.txt", "Thumbs.db", "__MACOSX/a.png"]


def model():
    torch.manual_seed(0)
    body = nn.Conv2d(3, 4, 3, 2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    net = nn.Sequential(*body, nn.Linear(4, 2))
    return explorer.wrap(net, input_size=(3, 16, 16), labels=["cat", "dog"]).eval()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "photos" / "__MACOSX").mkdir(parents=True)
    for number, name in enumerate([*NAMES, *ELSEWHERE]):
        photo = Image.new("RGB", (20, 20), (40 * number % 256, 9, 90))
        photo.save(tmp_path / "photos" / name, "PNG")  # what it is, its content says
    return tmp_path / "photos"


def compared(folder: Path) -> list[str]:
    return list(explorer.compare({"a": model(), "b": model()}, folder, measure=False).photos)


def of_the_cluster(folder: Path) -> list[str]:
    fsspec = pytest.importorskip("fsspec")
    predicting = pytest.importorskip("explorer.cluster.predicting")
    return predicting._pictures(fsspec.filesystem("file"), str(folder))


SEEN_BY = {
    "predict": lambda folder: [row.name for row in explorer.predict(model(), folder)],
    "compare": compared,
    "run_folder": lambda folder: explorer.run_folder(model(), folder, cache_dir=folder.parent / "kept").names,
    "top_photos and embed": lambda folder: collect(folder).names,
    "gallery": lambda folder: [Path(source).name for _, source in gallery(folder)],
    "cluster": of_the_cluster,
    "describe": lambda folder: [file.name for file in explorer.data.describe(folder).photos],
}


@pytest.mark.parametrize("who", SEEN_BY)
def test_everybody_finds_the_same_photos_in_the_same_order(who, folder):
    assert [Path(name).name for name in SEEN_BY[who](folder)] == NAMES


def test_the_command_line_finds_them_too(folder, monkeypatch, capsys):
    monkeypatch.setattr("explorer.models.create.create_model", lambda *_, **__: model())
    assert cli.main(["predict", str(folder)]) == 0
    out = capsys.readouterr().out
    assert [name for name in NAMES if name in out] == NAMES and not any(name in out for name in ELSEWHERE)


def test_photos_to_judge_by_are_found_by_the_same_names(folder, tmp_path):
    for kind in ("cat", "dog"):
        (tmp_path / "judged" / kind).mkdir(parents=True)
        for i, suffix in enumerate((".avif", ".jfif")):
            photo = Image.new("RGB", (20, 20), (i, 99, ord(kind[0])))
            photo.save(tmp_path / "judged" / kind / f"{i}{suffix}", "PNG")
    assert len(explorer.evaluate(model(), tmp_path / "judged", split="all")) == 4


def test_folders_in_a_folder_belong_to_it_for_everybody(folder):
    (folder / "more").mkdir()
    Image.new("RGB", (20, 20), (1, 2, 3)).save(folder / "more" / "z.webp", "PNG")
    for who in ("predict", "run_folder", "gallery", "cluster"):
        assert sorted(Path(name).name for name in SEEN_BY[who](folder)) == sorted([*NAMES, "z.webp"]), who


def test_a_picture_is_told_from_many():
    photo = Image.new("RGB", (4, 4))
    for one in (photo, "a.png", Path("a.png"), b"", np.zeros((4, 4, 3)), torch.zeros(3, 4, 4), io.BytesIO()):
        assert not is_many(one)
    paths = np.array(["a.png", "b.png"]), np.array([Path("a.png")], object)
    for many in ([photo], (photo,), iter([photo]), *paths):
        assert is_many(many)


def test_what_is_no_folder_is_left_to_whoever_opens_it(tmp_path):
    assert folder_of(tmp_path) == tmp_path
    photo = Image.new("RGB", (2, 2))
    for other in ("", "no such folder", "a\0b", "x" * 5000, "~nobody knows/x", b"x", None, photo):
        assert folder_of(other) is None


def test_there_is_one_list_of_picture_suffixes(folder):
    package = Path(explorer.__file__).parent
    texts = {path: path.read_text(encoding="utf-8") for path in package.rglob("*.py")}
    listing = [path.name for path, text in texts.items() if ".jfif" in text or '".jpeg"' in text]
    assert listing == ["folders.py"]
    assert {".avif", ".jfif"} <= PICTURE_SUFFIXES and len(find_pictures(folder)[0]) == len(NAMES)
