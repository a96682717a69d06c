"""Photos that are collected class by class: on the disk at once, whole or not at all, nobody else's lost."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest
from PIL import Image

from explorer.data import shelf_files, shelf_homes
from explorer.data.bursts import bursts_of
from explorer.data.class_shelf import ClassShelf
from explorer.data.collection import describe
from explorer.data.errors import ImageError
from explorer.data.folder_names import folder_name, free_name
from explorer.data.folders import DataError
from explorer.data.images import load_image
from explorer.files import DiskError


def picture(shade: int = 0, format: str = "JPEG") -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (40, 30), (shade, 80, 120)).save(file, format)
    return file.getvalue()


@pytest.fixture(autouse=True)
def homes(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "share"))
    monkeypatch.setattr(shelf_homes, "_used", set())


@pytest.fixture
def shelf(tmp_path):
    shelf = ClassShelf(tmp_path / "home")
    shelf.add_class("mug")
    shelf.add_class("pen")
    return shelf


def files_in(folder: Path) -> list[str]:
    return sorted(str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file())


# --- names --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("given, name", [
    ("my mug", "my mug"), ("../../etc", "-..-etc"), ("a/b\\c", "a-b-c"), (".hidden", "hidden"),
    ("...", "Class"),
    ("CON", "class CON"), ("nul.txt", "class nul.txt"), ("x" * 500, "x" * 60), ("a\0b\nc\td", "ab c d"),
    ("é" * 300, "é" * 60), ("🐈" * 300, "🐈" * 45), ("<b>&'\"", "-b-&'-"), ("\udcff", "-"),
    ("Thumbs.db", "class Thumbs.db"), ("e\u0301", "é"), ("a.", "a"), ("", "Class"), ("a. . .", "a"),
    (". .b", "b"), ("com¹", "class com¹"), ("CONOUT$", "class CONOUT$"), ("con .txt", "class con .txt"),
])
def test_any_name_becomes_one_that_a_folder_may_have(given, name, tmp_path):
    found = folder_name(given)
    assert found == name and (tmp_path / found).parent == tmp_path
    (tmp_path / found).mkdir()
    assert folder_name(found) == found


@pytest.mark.parametrize("name", ["Train", "val", "test", "images", "Masks"])
def test_a_name_that_means_another_thing_among_folders_of_photos_is_refused(name):
    with pytest.raises(ValueError, match="can't be called"):
        folder_name(name)
    assert folder_name(f"{name} of toys")


def test_a_number_stands_behind_a_name_that_is_taken():
    assert free_name("Class", ["class", "Class 2"]) == "Class 3" and free_name("a", []) == "a"


# --- collecting ---------------------------------------------------------------------------------------------


def test_each_photo_is_on_the_disk_at_once_and_its_name_tells_its_burst(shelf):
    burst = shelf.new_burst()
    for _ in range(2):
        shelf.add("mug", picture(), burst)
    shelf.add("pen", picture(9, "PNG"))
    names = ["mug/burst-0001-001.jpg", "mug/burst-0001-002.jpg", "pen/burst-0002-001.jpg"]
    assert files_in(shelf.folder) == names and all(map(shelf_files.is_ours, paths(shelf)))
    assert shelf.counts == {"mug": 2, "pen": 1} and describe(shelf.folder).counts["mug"] == {"all": 2}
    assert [photo.burst for photo in shelf.photos("mug")] == [1, 1]
    assert load_image(shelf.photos("mug")[0].path).tobytes() == load_image(picture()).tobytes()


def paths(shelf) -> list[Path]:
    return [photo.path for name in shelf.classes for photo in shelf.photos(name)]


@pytest.mark.parametrize("data", [b"", b"\xff\xd8\xff", b"GIF89a", picture()[:200]])
def test_what_is_no_picture_changes_nothing(shelf, data):
    with pytest.raises(ImageError):
        shelf.add("mug", data)
    assert not shelf.folder.exists() and len(shelf) == 0


def test_a_file_that_is_there_is_never_overwritten(shelf):
    (shelf.folder / "mug").mkdir(parents=True)
    theirs = shelf.folder / "mug" / "burst-0001-001.jpg"
    theirs.write_bytes(b"theirs")
    photo = shelf.add("mug", picture())
    assert theirs.read_bytes() == b"theirs" and photo.path.name == "burst-0001-002.jpg"


def test_a_write_that_fails_leaves_neither_a_file_nor_a_photo(shelf, monkeypatch):
    def full(number):
        raise OSError(28, "No space left on device")

    shelf.add("mug", picture())
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DiskError, match="disk is full"):
        shelf.add("mug", picture())
    assert files_in(shelf.folder) == ["mug/burst-0001-001.jpg"] and len(shelf) == 1


def test_a_disk_without_hard_links_will_do(shelf, monkeypatch):
    monkeypatch.setattr(os, "link", lambda *given, **options: (_ for _ in ()).throw(OSError(1, "no links")))
    shelf.add("mug", picture())
    assert files_in(shelf.folder) == ["mug/burst-0001-001.jpg"]


def test_nothing_is_written_behind_a_link(shelf, tmp_path):
    shelf.folder.mkdir()
    (tmp_path / "elsewhere").mkdir()
    (shelf.folder / "mug").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ValueError, match="link"):
        shelf.add("mug", picture())
    assert files_in(tmp_path / "elsewhere") == []


def test_there_is_an_end_to_photos_and_classes(shelf, monkeypatch):
    monkeypatch.setattr("explorer.data.class_shelf.MOST_PHOTOS", 1)
    monkeypatch.setattr("explorer.data.class_shelf.MOST_CLASSES", 2)
    shelf.add("mug", picture())
    with pytest.raises(ValueError, match="the most"):
        shelf.add("mug", picture())
    with pytest.raises(ValueError, match="the most"):
        shelf.add_class()


# --- classes ------------------------------------------------------------------------------------------------


def test_a_class_gets_another_name_with_its_folder(shelf):
    shelf.add("mug", picture())
    assert shelf.rename_class("mug", "a/mug") == "a-mug"
    assert files_in(shelf.folder) == ["a-mug/burst-0001-001.jpg"]
    assert shelf.rename_class("a-mug", "A-Mug") == "A-Mug" and paths(shelf)[0].is_file()
    for taken in ("PEN", "pen "):
        with pytest.raises(ValueError, match="already"):
            shelf.rename_class("A-Mug", taken)
    (shelf.folder / "spoon").mkdir()
    with pytest.raises(ValueError, match="already"):
        shelf.rename_class("A-Mug", "spoon")
    assert shelf.classes == ("A-Mug", "pen") and shelf.add_class() == "Class 2"


def test_what_was_removed_last_comes_back_in_its_place(shelf):
    keys = [shelf.add("mug", picture(shade)).key for shade in (0, 100, 200)]
    shelf.remove(keys[1])
    assert shelf.counts["mug"] == 2 and "A photo of “mug”" in shelf.removed
    assert shelf.undo() == "mug" and [photo.key for photo in shelf.photos("mug")] == keys
    shelf.remove_class("mug")
    assert shelf.classes == ("pen",) and "with 3 photos" in shelf.removed and describe(shelf.folder).problem
    shelf.undo()
    assert shelf.classes == ("mug", "pen") and not shelf.removed
    assert all(path.is_file() for path in paths(shelf))
    assert files_in(shelf.folder) == [f"mug/burst-000{number}-001.jpg" for number in (1, 2, 3)]


def test_a_class_that_can_not_be_removed_whole_stays_whole(shelf, monkeypatch):
    for _ in range(3):
        shelf.add("mug", picture())
    real, calls = os.replace, []

    def breaks(source, target):
        calls.append(source)
        if len(calls) == 2:
            raise OSError(13, "Permission denied")
        real(source, target)

    monkeypatch.setattr(os, "replace", breaks)
    with pytest.raises(DiskError):
        shelf.remove_class("mug")
    assert shelf.counts["mug"] == 3 and all(path.is_file() for path in paths(shelf)) and not shelf.removed


def test_only_what_was_collected_here_is_ever_removed(shelf):
    mine = shelf.add("mug", picture())
    theirs = shelf.folder / "mug" / "phone.jpg"
    theirs.write_bytes(picture(5))
    with pytest.raises(ValueError, match="not collected here"):
        shelf.remove_class("mug")
    other = ClassShelf(shelf.folder)
    other.load(shelf.folder)
    key = next(photo.key for photo in other.photos("mug") if not photo.own)
    with pytest.raises(ValueError, match="phone.jpg was not collected here"):
        other.remove(key)
    with pytest.raises(ValueError, match="not collected here"):
        other.remove_class("mug")
    assert theirs.read_bytes() == picture(5) and mine.path.is_file()


def test_undo_brings_a_photo_back_whose_name_another_one_has_by_now(shelf):
    burst = shelf.new_burst()
    first, second = shelf.add("mug", picture(), burst), shelf.add("mug", picture(100), burst)
    shelf.remove(second.key)
    assert shelf.add("mug", picture(200), burst).path.name == second.path.name
    assert shelf.undo() == "mug" and shelf.counts["mug"] == 3 and len({*paths(shelf)}) == 3
    kept = next(photo for photo in shelf.photos("mug") if photo.key == second.key)
    assert load_image(kept.path).tobytes() == load_image(picture(100)).tobytes() and first.path.is_file()


def test_undo_that_fails_changes_nothing_and_works_later(shelf, monkeypatch):
    for _ in range(2):
        shelf.add("mug", picture())
    shelf.remove_class("mug")
    real, calls = os.rename, []

    def breaks(source, target):
        calls.append(source)
        if len(calls) == 2:
            raise OSError(30, "Read-only file system")
        real(source, target)

    monkeypatch.setattr(os, "rename", breaks)
    with pytest.raises(DiskError):
        shelf.undo()
    assert shelf.classes == ("pen",) and shelf.removed
    assert shelf.undo() == "mug" and shelf.counts == {"mug": 2, "pen": 0}
    assert all(path.is_file() for path in paths(shelf))


def test_two_that_collect_into_one_folder_take_nothing_from_each_other(shelf):
    for shade in (9, 99):
        shelf.add("pen", picture(shade))
    shelf.remove(shelf.photos("pen")[0].key)
    other = ClassShelf(shelf.folder)
    other.load(shelf.folder)
    other.remove(other.photos("pen")[0].key)
    other.forget_removed()
    shelf.undo()
    assert shelf.photos("pen")[0].path.is_file() and files_in(shelf.folder) == ["pen/burst-0001-001.jpg"]


def test_nothing_is_removed_into_a_folder_of_somebody_else(shelf, tmp_path):
    photo = shelf.add("mug", picture())
    theirs = tmp_path / "theirs" / f"{photo.key}.jpg"
    theirs.parent.mkdir()
    theirs.write_bytes(b"theirs")
    (shelf.folder / ".removed").symlink_to(theirs.parent)
    shelf.remove(photo.key)
    assert theirs.read_bytes() == b"theirs"


def test_a_folder_is_opened_while_another_one_writes_into_it(shelf, monkeypatch):
    shelf.add("mug", picture())
    real = os.fsync

    def meanwhile(number):
        real(number)
        ClassShelf(shelf.folder).load(shelf.folder)

    monkeypatch.setattr(os, "fsync", meanwhile)
    assert shelf.add("mug", picture()).path.is_file()


def test_what_a_computer_keeps_in_a_folder_does_not_keep_a_class(shelf):
    shelf.add("mug", picture())
    (shelf.folder / "mug" / ".DS_Store").write_bytes(b"x")
    shelf.remove_class("mug")
    assert shelf.classes == ("pen",) and files_in(shelf.folder / "mug") == [".DS_Store"]
    assert shelf.undo() == "mug" and paths(shelf)[0].is_file()


def test_undo_knows_a_class_by_the_name_that_it_had(shelf):
    shelf.add("mug", picture())
    shelf.remove_class("mug")
    shelf.add_class("mug")
    shelf.rename_class("mug", "cup")
    assert shelf.undo() == "mug" and shelf.counts == {"mug": 1, "pen": 0, "cup": 0}


# --- folders ------------------------------------------------------------------------------------------------


def test_it_is_saved_whole_and_collects_on_there(shelf, tmp_path):
    shelf.folder = shelf_homes.new_home()
    shelf.add("mug", picture())
    before = shelf.folder
    (tmp_path / "deep" / ".mine.99999999-3").mkdir(parents=True)
    (tmp_path / "deep" / ".mine.99999999-3" / "a.jpg").write_bytes(b"")  # of a kernel that died at that
    assert shelf.save(tmp_path / "deep" / "mine") == tmp_path / "deep" / "mine"
    assert not before.exists()
    shelf.add("pen", picture())
    assert files_in(tmp_path / "deep") == ["mine/mug/burst-0001-001.jpg", "mine/pen/burst-0002-001.jpg"]
    assert shelf.save(tmp_path / "deep" / "mine") == tmp_path / "deep" / "mine"


def test_a_folder_that_holds_anything_is_not_saved_into(shelf, tmp_path):
    with pytest.raises(ValueError, match="no photo to save"):
        shelf.save(tmp_path / "mine")
    shelf.add("mug", picture())
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    with pytest.raises(ValueError, match="nothing in it is overwritten"):
        shelf.save(tmp_path / "mine")
    assert files_in(tmp_path / "mine") == ["letter.txt"] and paths(shelf)[0].is_file()
    (tmp_path / "link").symlink_to(tmp_path / "mine")
    (tmp_path / "empty").mkdir()
    (tmp_path / "beside").symlink_to(tmp_path / "empty")
    for link in ("link", "beside"):
        with pytest.raises(ValueError, match="is there already"):
            shelf.save(tmp_path / link)


def test_saving_that_fails_leaves_everything_as_it_was(shelf, tmp_path, monkeypatch):
    for name in ("mug", "pen"):
        shelf.add(name, picture())
    before = paths(shelf)
    calls = []

    def breaks(source, target, **options):
        calls.append(target)
        if len(calls) == 2:
            raise OSError(28, "No space left on device")
        Path(target).write_bytes(Path(source).read_bytes())

    monkeypatch.setattr("explorer.data.shelf_files.shutil.copyfile", breaks)
    with pytest.raises(DiskError, match="disk is full"):
        shelf.save(tmp_path / "mine")
    assert paths(shelf) == before and all(path.is_file() for path in before)
    assert sorted(os.listdir(tmp_path)) == ["home"]


def test_a_folder_that_a_phone_filled_is_opened_and_collected_into(tmp_path):
    for place in ("cats/IMG_2.JPG", "cats/IMG_10.JPG", "dogs/x.png", "dogs/old/y.jpg", "loose.jpg",
                  "cats/notes.txt", "cats/burst-0007-001.jpg", ".git/z.jpg"):
        (tmp_path / "pets" / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "pets" / place).write_bytes(picture())
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "s.jpg").write_bytes(picture())
    (tmp_path / "pets" / "birds").symlink_to(tmp_path / "secret")
    (tmp_path / "pets" / "cats" / "t.jpg").symlink_to(tmp_path / "secret" / "s.jpg")
    shelf = ClassShelf(tmp_path / "home")
    shelf.load(tmp_path / "pets")
    names = [photo.path.name for photo in shelf.photos("cats")]
    assert names == ["burst-0007-001.jpg", "IMG_2.JPG", "IMG_10.JPG"]
    assert shelf.counts == {"cats": 3, "dogs": 1} and not any(photo.own for photo in shelf.photos("cats"))
    assert len({photo.burst for name in shelf.classes for photo in shelf.photos(name)}) == 4
    said = " ".join(shelf.left_out)
    assert all(word in said for word in ("birds", "loose.jpg", "dogs/old", "cats/t.jpg"))
    assert ".git" not in said
    assert shelf.add("dogs", picture()).path == tmp_path / "pets" / "dogs" / "burst-0011-001.jpg"
    with pytest.raises(DataError):
        shelf.load(tmp_path / "nowhere")
    (tmp_path / "split" / "train" / "cats").mkdir(parents=True)
    (tmp_path / "split" / "notes").mkdir()
    with pytest.raises(DataError, match="folders in folders.*such as '.*train'"):
        shelf.load(tmp_path / "split")
    assert shelf.classes == ("cats", "dogs")


def test_photos_that_somebody_deleted_do_not_keep_the_others_from_being_saved(shelf, tmp_path):
    for shade in (0, 100):
        shelf.add("mug", picture(shade))
    paths(shelf)[0].unlink()
    shelf.save(tmp_path / "mine")
    assert files_in(tmp_path / "mine") == ["mug/burst-0002-001.jpg"] and shelf.counts["mug"] == 1
    paths(shelf)[0].unlink()
    with pytest.raises(ValueError, match="no photo to save"):
        shelf.save(tmp_path / "other")


def test_a_shelf_and_a_split_read_the_same_bursts(tmp_path):
    (tmp_path / "mine" / "mug").mkdir(parents=True)
    names = ["burst-0-1.jpg", "burst-0-2.jpg", "burst-20261130145937-01.jpg", "burst-20261130145937-02.jpg",
             "Burst-7-1.JPG", "burst-7-2.png", "mug.jpg", "burst-1.jpg"]
    for name in names:
        (tmp_path / "mine" / "mug" / name).write_bytes(picture())
    shelf = ClassShelf(tmp_path / "home")
    shelf.load(tmp_path / "mine")
    bursts = [photo.burst for photo in shelf.photos("mug")]
    numbers = bursts_of([str(photo.path) for photo in shelf.photos("mug")])
    assert len(set(bursts)) == len(set(numbers)) == len(set(zip(bursts, numbers))) == 5
    assert shelf.new_burst() > max(bursts) and bursts_of([f"burst-{'9' * 5000}-1.jpg"]) == [0]


# --- after a kernel has died --------------------------------------------------------------------------------


def test_what_a_dead_kernel_left_is_offered_and_what_a_living_one_uses_is_not(monkeypatch):
    assert shelf_homes.last_home() is None
    home = shelf_homes.new_home()
    shelf = ClassShelf(home)
    shelf.add_class("mug")
    shelf.add("mug", picture())
    assert shelf_homes.last_home() is None and shelf_homes.new_home() != home
    shelf_homes.leave_home(home)
    found = shelf_homes.last_home()
    assert (found.folder, found.classes, found.photos) == (home, 1, 1)
    other = home.rename(home.with_name(f"2031-01-01-000000-{os.getppid()}"))  # of one that lives
    assert shelf_homes.last_home() is None
    assert other.is_dir()


def test_a_working_folder_that_is_still_read_is_deleted_by_who_comes_later(tmp_path):
    home = shelf_homes.new_home()
    shelf = ClassShelf(home)
    shelf.add_class("mug")
    shelf.add("mug", picture())
    shelf.save(tmp_path / "mine", still_read=True)
    assert (home / "mug" / "burst-0001-001.jpg").is_file()
    assert shelf_homes.last_home() is None and home.is_dir()
    shelf_homes.leave_home(home)  # as when this process is over
    assert shelf_homes.last_home() is None and not home.exists()


def test_a_working_folder_is_deleted_with_what_explorer_wrote_and_nothing_else():
    home = shelf_homes.new_home()
    shelf = ClassShelf(home)
    for name in ("mug", "pen"):
        shelf.add_class(name)
        shelf.add(name, picture())
    (home / "mug" / "letter.txt").write_text("dear")
    shelf_homes.discard_home(home)
    assert files_in(home) == ["mug/letter.txt"]
