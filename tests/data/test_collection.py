"""What a folder means: classes, splits, what is left out and why, and which to give where it is unclear."""

from __future__ import annotations

import itertools
import os
import shutil
import unicodedata
from html.parser import HTMLParser

import pytest
from PIL import Image

from explorer.data import describe, folder_reader, same_files
from explorer.data.datasets import DataError, open_data
from explorer.data.folder_words import role_of
from explorer.data.folders import find_pictures

NUMBER = itertools.count(1)


def paint(path, count=2):
    """Photos in a folder, none like another."""
    path.mkdir(parents=True, exist_ok=True)
    for i in range(count):
        number = next(NUMBER)
        Image.new("RGB", (8, 8), (number % 256, number // 256 % 256, i)).save(path / f"{i}.png")


@pytest.fixture
def make(tmp_path):
    """Makes folders of two photos each: make("train/cat", "train/dog"); with a slash behind, an empty one."""

    def make(*folders):
        for folder in folders:
            if folder.endswith("/"):
                (tmp_path / folder).mkdir(parents=True)
            else:
                paint(tmp_path / folder)
        return tmp_path

    return make


# --- splits -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("train", "val"), [
    ("Train", "Test"), ("TRAIN", "VAL"), ("training", "validation"), ("trainset", "testset"),
    ("train_set", "val-set"),
    ("train-data", "dev"), ("Training Images", "holdout"), ("train2017", "val2017"), ("TrainSet", "Hold-Out"),
    ("seg_train/seg_train", "seg_test/seg_test"), ("train/images", "val/images"),
    ("images/train", "images/val"),
    ("data/data/train", "data/data/eval"),
])
def test_a_split_is_known_by_its_names_in_any_usual_spelling(make, train, val):
    """case A8: `Train/` + `Test/` beside each other are a split, not classes."""
    folder = make(*(f"{part}/{name}" for part in (train, val) for name in ("cat", "dog")))
    described, splits = describe(folder), open_data(folder)
    assert described.classes == splits.classes == ("cat", "dog") and not described.problem
    assert list(described.splits.values()) == [folder / train, folder / val]
    assert splits.folders == (train, val)
    assert (len(splits.train), len(splits.val)) == (4, 4)


@pytest.mark.parametrize(("name", "role"), [
    ("bullet_train", ("train", "bullet")), ("training wheels", ("train", "wheels")),
    ("trainer", None), ("contest", None),
    ("cat", None), ("2017", None), ("train_test", None), ("", None),
])
def test_a_name_is_a_splits_only_where_the_word_stands_alone(name, role):
    assert role_of(name) == role


@pytest.mark.parametrize("folders", [
    ("train", "bus", "car"), ("train/steam", "train/diesel", "bus", "car"), ("train", "test", "bus"),
    ("bullet_train", "steam_train"),
])
def test_a_class_that_is_called_train_is_a_class(make, folders):
    """case A9: a class folder named `train` beside `bus` and `car`."""
    described = describe(make(*folders))
    assert described.classes == tuple(sorted({folder.split("/")[0] for folder in folders}))
    assert described.splits == {} and not described.problem


def test_of_three_parts_one_is_left_for_the_end(make):
    """case A8: train, val and test."""
    folder = make(*(f"{part}/{name}" for part in ("train", "val", "test") for name in ("cat", "dog")))
    splits = open_data(folder)
    assert splits.folders == ("train", "val") and list(describe(folder).splits) == ["train", "val", "test"]
    assert any("test is left for the end: evaluate(run, " in note for note in splits.notes)


def test_a_part_without_class_folders_has_no_labels_and_is_named(make):
    """case A9: a flat `test/`, as a competition has it."""
    folder = make("train/cat", "train/dog", "test")
    splits = open_data(folder)
    assert splits.folders == ("", "") and len(splits.train) + len(splits.val) == 4
    assert any("test is left out: photos without class folders" in note for note in splits.notes)
    with pytest.raises(DataError, match="no class folders.*of which nobody says what they show"):
        open_data(folder / "test")


def test_photos_beside_the_parts_are_named(make):
    splits = open_data(make("train/cat", "train/dog", "val/cat", "val/dog", "raw/more"))
    assert any("raw is left out: beside train and val" in note
               for note in splits.notes) and len(splits.train) == 4


def test_two_folders_for_one_part_are_not_guessed(make):
    folder = make(*(f"{part}/{name}" for part in ("train", "train2", "val") for name in ("cat", "dog")))
    with pytest.raises(DataError, match="train and train2 .* the same split. Give a pair"):
        open_data(folder)


def test_an_empty_folder_to_learn_from_is_not_replaced_by_the_other(make):
    with pytest.raises(DataError, match="train' holds no photo"):
        open_data(make("train/", "val/cat", "val/dog"))


def test_parts_to_judge_by_alone_are_nothing_to_learn_from(make):
    folder = make("val/cat", "val/dog", "test/cat", "test/dog")
    with pytest.raises(DataError, match="nothing to learn from: give a folder that has train/ too"):
        open_data(folder)
    assert list(describe(folder).splits) == ["val", "test"]


def test_a_class_that_is_not_judged_is_said_and_one_that_is_not_learnt_refused(make, tmp_path):
    assert any("val has no photos of dog" in note
               for note in open_data(make("train/cat", "train/dog", "val/cat")).notes)
    paint(tmp_path / "val" / "eel")
    with pytest.raises(DataError, match="unknown elsewhere .eel."):
        open_data(tmp_path)


def test_a_part_that_spells_a_class_otherwise_means_the_same_class(make):
    splits = open_data(make("train/School Bus", "train/cat", "val/school_bus", "val/Cat"))
    assert splits.val.counts() == {"School Bus": 2, "cat": 2}
    assert any("school_bus is taken for School Bus" in note for note in splits.notes)


# --- classes ------------------------------------------------------------------------------------------------


def test_what_is_no_class_is_left_out_with_its_reason(make, tmp_path):
    """case A9: `__MACOSX`, an empty class folder, files that are no pictures, hidden ones, broken links."""
    make("cat", "dog", "__MACOSX/cat", "cat/.ipynb_checkpoints", "eel/", ".hidden/cat", "dog/@eaDir")
    for name in ("Thumbs.db", ".DS_Store", "notes.txt", "cat/labels.csv"):
        (tmp_path / name).write_text("x")
    (tmp_path / "dog" / "gone.png").symlink_to(tmp_path / "nowhere.png")
    os.mkfifo(tmp_path / "dog" / "pipe.png")
    described, splits = describe(tmp_path), open_data(tmp_path)
    assert described.counts == {"cat": {"all": 2}, "dog": {"all": 2}} and splits.classes == ("cat", "dog")
    told = " ".join(splits.notes)
    for part in ("__MACOSX is left out: what macOS adds", "cat/.ipynb_checkpoints is left out: copies that "
                                                          "Jupyter keeps",
                 "eel is left out: it holds no photo", "no picture by name", "Thumbs.db", "notes.txt",
                 "cat/labels.csv",
                 "gone.png is left out: a link that leads nowhere", "pipe.png is left out: neither a file "
                                                                    "nor a folder",
                 ".hidden is left out: hidden", "@eaDir"):
        assert part in told, part
    assert len(find_pictures(tmp_path)[0]) == 4  # what `predict` looks at


def test_one_class_and_an_empty_one_are_nothing_to_tell_apart(make):
    """case A9: an empty class folder is no class, and a best of 100 % no result."""
    with pytest.raises(DataError, match="has one class, 'cat' .dog holds no photo.: there is nothing to "
                                        "tell apart"):
        open_data(make("cat", "dog/"))


def test_a_folder_too_deep_is_found_and_said(make):
    """case A9: a folder one level too deep."""
    splits = open_data(make("data/data/cat", "data/data/dog"))
    assert splits.classes == ("cat", "dog") and any("deeper inside, in 'data/data'" in note
                                                    for note in splits.notes)


@pytest.mark.parametrize("folders", [
    ("fold1/cat", "fold1/dog", "fold2/cat", "fold2/dog"), ("A/cat", "A/dog", "A/eel", "B/Cat", "B/dog"),
    ("fold1/cat", "fold1/dog", "fold2/cat", "fold2/dog", "extra"),
])
def test_where_the_classes_hold_the_same_folders_it_is_said_which_to_give(make, folders):
    """case A8: where all "classes" hold the same subfolders, refuse and say so."""
    folder = make(*folders)
    first = folder / folders[0].split("/")[0]
    with pytest.raises(DataError, match="all hold the same folders .cat and dog.*give one of the folders, "
                                        f"such as '{first}'"):
        open_data(folder)
    assert describe(folder).classes == () and len(describe(folder).photos) == 2 * len(folders)


def test_a_split_inside_of_each_class_is_said(make):
    with pytest.raises(DataError, match="Put the split outside: train/cat, val/cat"):
        open_data(make("cat/train", "cat/val", "dog/train", "dog/val"))


def test_folders_inside_of_a_class_are_of_that_class_and_said(make):
    described = describe(make("cat/indoor", "cat", "dog/images"))
    assert described.counts == {"cat": {"all": 4}, "dog": {"all": 2}}
    assert any("of that class: cat/indoor and dog/images" in note for note in described.notes)


def test_photos_beside_the_class_folders_have_no_class(make, tmp_path):
    make("cat", "dog")
    Image.new("RGB", (8, 8)).save(tmp_path / "loose.png")
    assert any("loose.png is left out: beside the class folders" in note
               for note in open_data(tmp_path).notes)
    assert len(describe(tmp_path).photos) == 5


def test_names_that_look_alike_are_one_class_and_case_makes_two(make):
    composed, apart = unicodedata.normalize("NFC", "café"), unicodedata.normalize("NFD", "café")
    described = describe(make(composed, apart, "tea", "tea ", "A", "a"))
    assert described.counts == {"A": {"all": 2}, "a": {"all": 2}, composed: {"all": 4}, "tea": {"all": 4}}
    assert any("A and a are two classes here" in note for note in described.notes)
    assert any("are one class: " in note and "tea" in note for note in described.notes)


def test_links_are_followed_once(make, tmp_path):
    make("pets/cat", "elsewhere/dog")
    pets = tmp_path / "pets"
    (pets / "dog").symlink_to(tmp_path / "elsewhere" / "dog")
    (pets / "again").symlink_to(pets / "cat")
    (pets / "cat" / "loop").symlink_to(pets)
    (pets / "cat" / "self").symlink_to(pets / "cat" / "self")
    described = describe(pets)
    assert described.counts == {"cat": {"all": 2}, "dog": {"all": 2}}
    told = " ".join(described.sentences)
    assert "a link to a folder that is read already" in told
    assert "cat/self is left out: a link that leads nowhere" in told


def test_a_folder_that_can_not_be_read_is_named(make, monkeypatch):
    folder, scandir = make("cat", "dog", "eel"), os.scandir

    def guarded(path):
        if os.fspath(path).endswith("eel"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", guarded)
    assert "eel is left out: can't be read (Permission denied)." in describe(folder).sentences
    with pytest.raises(DataError, match="can't be read: Permission denied"):
        describe(folder / "eel")


def test_a_name_that_is_no_text_is_shown_all_the_same(make, tmp_path):
    make("cat", "dog")
    bad = os.fsencode(tmp_path / "cat") + b"/\xff\xfe.png"
    shutil.copy(tmp_path / "cat" / "0.png", bad)
    splits = open_data(tmp_path)
    assert len(splits.train) + len(splits.val) == 5
    (describe(tmp_path)._repr_html_() + " ".join(splits.train.names + splits.val.names)).encode("utf-8")


# --- the same photo twice -----------------------------------------------------------------------------------


def test_a_photo_in_both_parts_or_of_two_classes_is_said(make, tmp_path):
    make("train/cat", "train/dog", "val/cat", "val/dog")
    shutil.copy(tmp_path / "train" / "cat" / "0.png", tmp_path / "val" / "cat" / "copy.png")
    shutil.copy(tmp_path / "train" / "cat" / "1.png", tmp_path / "train" / "dog" / "copy.png")
    told = " ".join(open_data(tmp_path).notes)
    assert ("in more than one part, byte for byte; such a photo judges nothing: "
            "train/cat/0.png = val/c") in told
    assert "of more than one class, byte for byte; one of them is wrong: train/cat/1.png = train/dog/" in told


def test_a_photo_that_is_there_twice_may_land_on_both_sides(make, tmp_path):
    make("cat", "dog")
    shutil.copy(tmp_path / "cat" / "0.png", tmp_path / "cat" / "copy.png")
    assert any("more than once, byte for byte" in note for note in open_data(tmp_path).notes)


def test_no_more_files_are_compared_than_announced(make, tmp_path, monkeypatch):
    for i in range(4):
        (tmp_path / "cat").mkdir(exist_ok=True)
        (tmp_path / "cat" / f"{i}.png").write_bytes(b"same size")
    make("dog")
    for module in (same_files, folder_reader):
        monkeypatch.setattr(module, "MOST_COMPARED", 3)
    described = describe(tmp_path)
    assert any("looked at for 3 files" in note for note in described.notes)
    assert not any("byte for byte" in note for note in described.notes)


# --- what is no folder --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "sentence"), [
    ("pets.zip", "is an archive: unpack it"), ("cat.png", "is a file: give a folder"),
    ("nowhere", "There is no folder"), ("http://x.org/photos", "is a web address: download"),
    ("", "is '': give a path"), ("a\0b", "give a path"),
    ("~nobody-of-that-name/x", "no such user"), ("x" * 5000, "is too long|There is no folder"),
])
def test_what_is_no_folder_is_a_sentence(tmp_path, monkeypatch, name, sentence):
    """case A9: a zip file, or a file, instead of a folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pets.zip").write_bytes(b"PK")
    (tmp_path / "cat.png").write_bytes(b"x")
    for function in (describe, open_data):
        with pytest.raises(ValueError, match=sentence):
            function(name)


def test_other_things_than_paths_are_refused():
    with pytest.raises(TypeError, match="folder is a NoneType: give a path"):
        describe(None)


def test_an_empty_folder_says_what_is_there_instead(tmp_path):
    (tmp_path / "pets.zip").write_bytes(b"PK")
    with pytest.raises(DataError, match="holds no photos and no class folders .pets.zip is left out: no "
                                        "picture by name"):
        open_data(tmp_path)


# --- how it shows itself ------------------------------------------------------------------------------------


def test_the_description_shows_itself_as_tables_without_script(make, tmp_path):
    make("train/<script>alert(1)<", "train/dog", "val/dog", "val/eel/")
    (tmp_path / "<img src=x onerror=alert(1)>.txt").write_text("x")
    described = describe(tmp_path)
    tags = []
    parser = HTMLParser()
    parser.handle_starttag = lambda tag, _: tags.append(tag)
    parser.feed(described._repr_html_())
    assert {"table", "td", "th"} < set(tags) and not {"script", "img"} & set(tags)
    assert "train: 4 in train, val: 2 in val, 2 left out" in repr(described)
    assert "is left out: no picture by name." in described._repr_mimebundle_()["text/plain"]


def test_many_classes_and_files_stay_a_short_table(make, tmp_path):
    for i in range(40):
        paint(tmp_path / f"class{i}", 1)
        (tmp_path / f"class{i}" / "note.txt").write_text("x")
    html = describe(tmp_path)._repr_html_()
    assert "and 16 more classes" in html and "and 35 more" in html and html.count("<tr>") == 1 + 24 + 1 + 1


# --- photos with boxes or masks ---


@pytest.mark.parametrize("where", ["", "train/", "data/"])
def test_photos_with_masks_are_no_classes(make, where):
    folder = make(*(f"{where}{name}" for name in ("images", "masks", "instances")))
    if where == "train/":
        make("val/images", "val/masks")
    described = describe(folder)
    assert "holds photos with masks (images/, masks/, instances/), no classes" in described.problem
    assert not described.classes and "such as unet" in described.problem
    with pytest.raises(DataError, match="no classes"):
        open_data(folder)


def test_masks_may_be_called_with_a_word_behind_and_one_may_be_missing(make):
    folder = make("imgs", "masks")
    paint(folder / "imgs", 3)
    for i in range(2):
        (folder / "masks" / f"{i}.png").rename(folder / "masks" / f"{i}_mask.png")
    assert "holds photos with masks (imgs/, masks/), no classes" in describe(folder).problem


def test_classes_that_are_called_images_and_masks_stay_classes(make):
    folder = make("images", "masks")
    (folder / "masks" / "1.png").rename(folder / "masks" / "carnival.png")
    assert describe(folder).classes == ("images", "masks") and not describe(folder).problem


def test_a_coco_file_beside_its_photos_is_named(make):
    folder = make("images")
    (folder / "train.json").write_text('{"images": [], "annotations": [], "categories": []}')
    assert "holds photos with boxes or masks (images/, train.json), no classes" in describe(folder).problem
