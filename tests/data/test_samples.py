"""The bundled photos: there, unchanged, credited, and described correctly."""

from __future__ import annotations

import csv
import hashlib

import pytest
from PIL import Image

from explorer.data import assets_dir, notebooks_dir, sample_photos, sample_places, samples

PLACES = ("bccd", "nuclei")


def rows(folder: str = "photos") -> list[dict[str, str]]:
    with open(assets_dir() / folder / "photos.csv", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize(("folder", "row"), [(folder, row) for folder in samples._FOLDERS.values()
                                             for row in rows(folder)], ids=lambda each: each["file"]
                         if isinstance(each, dict) else each)
def test_each_photo_is_the_file_that_the_table_describes(folder, row):
    path = assets_dir() / folder / row["file"]
    data = path.read_bytes()
    assert hashlib.sha256(data).hexdigest() == row["sha256"]
    assert len(data) == int(row["bytes"])
    with Image.open(path) as image:
        assert f"{image.width}x{image.height}" == row["size"]


def test_no_picture_file_is_missing_from_the_table():
    files = {path.name for path in (assets_dir() / "photos").iterdir()} - {"photos.csv", "CREDITS.md"}
    assert files == {row["file"] for row in rows()}


def test_every_photo_may_be_passed_on_without_sharing_alike():
    for photo in sample_photos():
        assert photo.licence in ("CC0", "CC BY 2.0") or photo.licence.startswith("Public domain"), photo.name


def test_every_photo_is_credited_with_its_source_in_the_credit_list():
    lines = (assets_dir() / "photos" / "CREDITS.md").read_text(encoding="utf-8").splitlines()
    for photo in sample_photos():
        line = next(line for line in lines if f"`{photo.path.name}`" in line)
        assert photo.credit in line and photo.source in line and photo.title in line


@pytest.mark.parametrize("name", PLACES)
def test_photos_with_boxes_or_masks_have_them_in_the_same_order(name):
    photos, places = sample_photos(name), sample_places(name)
    assert len(photos) == len(places) == 4 and [photo.path for photo in photos] == [*places.files]
    assert places.named and places.notes == ()
    for photo, truth in places:
        assert photo.mode == "RGB"
        if name == "bccd":
            assert {*truth.labels.tolist()} == {0, 1, 2}  # each photo has all three kinds of cells
        else:
            assert truth.shape == photo.size[::-1] and {*truth.flat} == {0, 1}
    known = {"bccd": ("RBC", "WBC", "Platelets"), "nuclei": ("background", "nucleus")}
    assert places.classes == known[name]


@pytest.mark.parametrize("name", PLACES)
def test_photos_with_boxes_or_masks_may_be_passed_on_and_are_credited(name):
    for photo in sample_photos(name):
        assert photo.licence in ("CC0", "MIT") and photo.credit and photo.source.startswith("https://")
        assert photo.title and photo.imagenet_indices == ()
    licence = assets_dir() / "data" / "bccd_samples" / "LICENSE"
    assert licence.read_text(encoding="utf-8").startswith("MIT License")
    assert sum(file.stat().st_size for file in (assets_dir() / "data").glob("*_samples/**/*")) < 400_000


def test_names_that_nobody_has_are_refused_in_a_sentence():
    for call in (sample_photos, sample_places):
        with pytest.raises(ValueError, match="name is 'cats': expected one of photos, bccd, nuclei"):
            call("cats")
    with pytest.raises(ValueError, match="Nobody has said what is where in 'photos': choose 'bccd'"):
        sample_places("photos")


def test_the_photos_are_small_enough_for_a_wheel():
    assert sum(photo.path.stat().st_size for photo in sample_photos()) < 3_000_000


def test_the_table_gives_all_right_answers_of_a_photo():
    photos = {photo.name: photo for photo in sample_photos()}
    assert photos["cat_chelsea"].imagenet_indices == (281, 282, 285)
    assert photos["giraffes"].imagenet_indices == ()


def test_the_names_beside_the_indices_are_imagenets():
    from explorer.data import imagenet_labels

    labels = imagenet_labels()
    for row in rows():
        for answer in filter(None, row["imagenet1k"].split(" / ")):
            index, name = answer.split(" ", 1)
            assert labels[int(index)].lower().split()[0] == name.lower().split()[0], answer


def test_an_installed_wheel_is_preferred_to_folders_beside_the_package(tmp_path, monkeypatch):
    package = tmp_path / "explorer"
    for folder in (package / "_notebooks", tmp_path / "notebooks"):
        folder.mkdir(parents=True)
    (tmp_path / "pyproject.toml").touch()
    monkeypatch.setattr(samples, "_PACKAGE", package)
    assert notebooks_dir() == package / "_notebooks"


def test_a_checkout_has_its_folders_beside_the_package(tmp_path, monkeypatch):
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "pyproject.toml").touch()
    monkeypatch.setattr(samples, "_PACKAGE", tmp_path / "explorer")
    assert notebooks_dir() == tmp_path / "notebooks"


def test_a_folder_of_the_same_name_in_site_packages_is_not_taken_for_ours(tmp_path, monkeypatch):
    (tmp_path / "assets").mkdir()
    monkeypatch.setattr(samples, "_PACKAGE", tmp_path / "explorer")
    with pytest.raises(FileNotFoundError, match="install explorer again"):
        assets_dir()
