"""Boxes out of COCO's, YOLO's and VOC's files: right in the photo's pixels, and safe with hostile files."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from explorer.data.errors import ImageError
from explorer.data.folders import DataError
from explorer.data.places.opening import open_places
from explorer.data.places.place_set import PlaceSet, PlaceSplits


def photo(path: Path, size: tuple[int, int] = (40, 30)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (200, 100, 50)).save(path)
    return path


def box(image: int, category: int, bbox, **more) -> dict:
    return {"id": 1, "image_id": image, "category_id": category, "bbox": bbox, **more}


def coco(folder: Path, annotations: list, *, images: list | None = None,
         categories: list | None = None) -> Path:
    photo(folder / "images" / "a.png")
    photo(folder / "images" / "b.png")
    content = {
        "images": images or [{"id": 7, "file_name": "a.png", "width": 40, "height": 30},
                             {"id": 3, "file_name": "images/b.png", "width": 40, "height": 30}],
        "annotations": annotations,
        "categories": categories or [{"id": 9, "name": "dog"}, {"id": 2, "name": "cat"}]}
    file = folder / "things.json"
    file.write_text(json.dumps(content))
    return file


def test_a_coco_files_boxes_have_corners_and_classes_in_the_order_of_their_ids(tmp_path):
    file = coco(tmp_path, [box(7, 9, [1, 2, 10, 5]), box(7, 2, [0, 0, 4, 4], iscrowd=1, area=3.5)])
    found = open_places(file, "detection")
    assert isinstance(found, PlaceSet) and found.classes == ("cat", "dog")
    assert found.names == ("a.png", "images/b.png")
    opened, boxes = found[0]
    assert opened.size == (40, 30)
    assert boxes.boxes.tolist() == [[1, 2, 11, 7], [0, 0, 4, 4]] and boxes.labels.tolist() == [1, 0]
    assert boxes.crowd.tolist() == [False, True] and boxes.areas.tolist() == [50, 3.5]
    assert len(found[1][1]) == 0 and found[1][1].boxes.shape == (0, 4)  # an empty photo
    assert found.counts() == {"cat": 0, "dog": 1}


def test_ids_out_of_tables_and_sizes_that_nobody_states_are_understood(tmp_path):
    images = [{"id": 7.0, "file_name": "a.png"}, {"id": "x", "file_name": "b.png", "width": "40"}]
    file = coco(tmp_path, [box(7, 9.0, [30, 20, 50, 50]), box("x", 2, [1, 1, 2, 2])], images=images)
    found = open_places(file, "detection")
    assert found.sizes == ((40, 30), (40, 30)) and found[0][1].boxes.tolist() == [[30, 20, 40, 30]]
    assert len(found[1][1]) == 1
    outline = box(7, 9, [1, 1, 4, 4], segmentation=[[1, 1, 5, 1, 5, 5, 1, 5]])
    masks = open_places(coco(tmp_path, [outline], images=images), "segmentation")
    assert len(masks) == 2 and (masks[0][1][1:5, 1:5] == 2).all()


def test_categories_of_one_name_are_one_class_and_other_classes_of_one_name_are_refused(tmp_path):
    same = [{"id": 0, "name": "cell"}, {"id": 1, "name": "cell"}, {"id": 2, "name": "dog"}]
    found = open_places(coco(tmp_path, [box(7, 0, [1, 1, 5, 5]), box(7, 1, [9, 9, 5, 5])], categories=same),
                        "detection")
    assert found.classes == ("cell", "dog") and found.counts() == {"cell": 2, "dog": 0}
    with pytest.raises(DataError, match="Two of the 2 classes are called 'x'"):
        PlaceSet(("x", "x"), (), lambda index: Image.new("RGB", (1, 1)))


def test_a_file_whose_entries_cant_be_used_says_why(tmp_path):
    file = coco(tmp_path, [], images=[{"file_name": "a.png"}])
    with pytest.raises(DataError, match="image 1 of the file is left out: an entry without id"):
        open_places(file, "detection")
    with pytest.raises(DataError, match=r"have the shape \[3\]: expected \[N, 4\]"):
        open_places([(Image.new("RGB", (9, 9)), {"boxes": torch.ones(3), "labels": torch.ones(1)})],
                    "detection")


def test_boxes_over_the_edge_are_cut_off_and_those_that_cant_be_meant_are_left_out_by_name(tmp_path):
    file = coco(tmp_path, [box(7, 9, [-5, 10, 10, 50]), box(7, 9, [100, 100, 5, 5]), box(7, 9, [3, 3, 0, 5]),
                           box(7, 44, [1, 1, 5, 5]), box(99, 9, [1, 1, 5, 5]), box(3, 9, [1, "x", 5, 5]),
                           box(3, 9, [float("nan"), 1, 5, 5]), "nonsense"])
    found = open_places(file, "detection")
    assert found[0][1].boxes.tolist() == [[0, 10, 5, 30]] and len(found[1][1]) == 0
    notes = " ".join(found.notes)
    for words in ("box outside its photo", "without any area", "class that the file does not name",
                  "photo that is not there", "not four numbers", "no annotation of COCO's", "cut off there"):
        assert words in notes


@pytest.mark.parametrize("name", ["../secret.png", "/etc/secret.png", "a/../../secret.png", "..\\secret.png",
                                  "C:\\secret.png", "~/secret.png", "a.png\0", "a.txt", "missing.png"])
def test_a_file_name_that_leads_out_of_the_folder_is_left_out(tmp_path, name):
    photo(tmp_path / "secret.png")
    file = coco(tmp_path / "data", [], images=[{"id": 1, "file_name": name}, {"id": 2, "file_name": "a.png"}])
    found = open_places(file, "detection")
    assert found.names == ("a.png",) and "left out" in found.notes[0]


@pytest.mark.parametrize("text", ["[" * 100_000, "{}", "[]", "nothing", '{"images": 3}', "\xff"])
def test_what_is_no_coco_file_is_refused_in_a_sentence(tmp_path, text):
    file = tmp_path / "x.json"
    file.write_bytes(text.encode("latin-1"))
    with pytest.raises(DataError, match="x.json"):
        open_places(file, "detection")


def test_a_huge_json_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr("explorer.data.places.coco.MOST_BYTES", 100)
    with pytest.raises(DataError, match="split it by photos"):
        open_places(coco(tmp_path, []), "detection")


def test_categories_that_cant_be_told_apart_are_refused(tmp_path):
    twice = [{"id": 1, "name": "cat"}, {"id": 1, "name": "dog"}]
    with pytest.raises(DataError, match="can't be told apart"):
        open_places(coco(tmp_path, [], categories=twice), "detection")


def test_a_photo_of_another_size_than_its_boxes_is_an_error_of_that_photo(tmp_path):
    found = open_places(coco(tmp_path, [box(7, 9, [1, 2, 10, 5])]), "detection")
    photo(tmp_path / "images" / "a.png", (20, 15))
    with pytest.raises(ImageError, match=r"20 x 15 pixels, and what is known of it is for 40 x 30"):
        found[0]
    found[1]


def test_a_coco_folder_has_its_splits_and_else_some_photos_are_held_out(tmp_path):
    coco(tmp_path / "one", [])
    held = open_places(tmp_path / "one", "detection")
    assert isinstance(held, PlaceSplits) and len(held.train) == len(held.val) == 1
    assert "drawn by seed 0" in held.notes[-1]
    for split in ("train", "val"):
        file = coco(tmp_path / "two", [])
        (tmp_path / "two" / "annotations").mkdir(exist_ok=True)
        file.rename(tmp_path / "two" / "annotations" / f"instances_{split}2017.json")
    two = open_places(tmp_path / "two", "detection")
    assert len(two.train) == len(two.val) == 2 and len(two.part("all")) == 4
    assert two.part("all")[3][0].size == (40, 30)


# --- YOLO ---------------------------------------------------------------------------------------------------


def yolo(folder: Path, lines: str, yaml: str = "names: [cat, dog]\n") -> Path:
    for split in ("train", "val"):
        photo(folder / "images" / split / "a.png")
        (folder / "labels" / split).mkdir(parents=True)
        (folder / "labels" / split / "a.txt").write_text(lines)
    photo(folder / "images" / "train" / "empty.png")
    if yaml:
        (folder / "data.yaml").write_text(yaml)
    return folder


@pytest.mark.parametrize("yaml", ["names: [cat, dog]\n", "names: {0: cat, 1: dog}\ntrain: ../../elsewhere\n"])
def test_yolos_shares_become_pixels_and_outlines_become_boxes(tmp_path, yaml):
    found = open_places(yolo(tmp_path, "1 0.5 0.5 0.5 0.2\n0 0.1 0.1 0.5 0.1 0.3 0.4\n", yaml), "detection")
    assert found.classes == ("cat", "dog") and len(found.train) == 2 and len(found.val) == 1
    np.testing.assert_allclose(found.train[0][1].boxes, [[10, 12, 30, 18], [4, 3, 20, 12]])
    assert found.train[0][1].labels.tolist() == [1, 0] and len(found.train[1][1]) == 0
    assert any("without a text file" in note for note in found.notes)


def test_a_yolo_folder_without_names_numbers_its_classes(tmp_path):
    found = open_places(yolo(tmp_path, "2 0.5 0.5 0.5 0.2\n", ""), "detection")
    assert found.classes == ("class 0", "class 1", "class 2") and not found.train.named


def test_lines_that_cant_be_meant_are_left_out(tmp_path):
    lines = "9 .5 .5 .1 .1\n0 .5 .5\nword\n0 nan .5 .1 .1\n0.5 .5 .5 .1 .1\n0 .5 .5 .2 .2\n-1 .5 .5 .1 .1\n"
    found = open_places(yolo(tmp_path, lines), "detection")
    assert len(found.val[0][1]) == 1 and any("line 1 of a.png" in note for note in found.val.notes)


@pytest.mark.parametrize("yaml", ["names: !!python/object/apply:os.system [echo]\n", "names: [a\n",
                                  "[" * 5000])
def test_a_hostile_yaml_runs_nothing_and_is_refused(tmp_path, yaml):
    with pytest.raises(DataError, match=r"data\.yaml"):
        open_places(yolo(tmp_path, "0 .5 .5 .1 .1\n", yaml), "detection")


# --- VOC ----------------------------------------------------------------------------------------------------

OBJECT = ("<object><name>{}</name><difficult>{}</difficult><bndbox><xmin>{}</xmin><ymin>{}</ymin>"
          "<xmax>{}</xmax><ymax>{}</ymax></bndbox></object>")


def voc(folder: Path, first: str, second: str = "") -> Path:
    (folder / "Annotations").mkdir(parents=True)
    for name, text in (("a", first), ("b", second or f"<annotation>{OBJECT.format('dog', 0, 1, 1, 40, 30)}"
                                                     "</annotation>")):
        photo(folder / "JPEGImages" / f"{name}.png")
        (folder / "Annotations" / f"{name}.xml").write_text(text)
    return folder


def test_vocs_pixels_count_from_one_and_what_is_difficult_does_not_count(tmp_path):
    text = "<annotation><filename>../../x.png</filename>" + OBJECT.format("cat", 0, 1, 1, 40, 30) + \
        OBJECT.format("dog", 1, 5, 6, 10, 12) + "<object><name>cat</name></object></annotation>"
    folder = voc(tmp_path, text)
    (folder / "ImageSets" / "Main").mkdir(parents=True)
    (folder / "ImageSets" / "Main" / "train.txt").write_text("a\n")
    (folder / "ImageSets" / "Main" / "val.txt").write_text("b\n../../c\n")
    found = open_places(folder, "detection")
    assert found.classes == ("cat", "dog") and len(found.train) == len(found.val) == 1
    boxes = found.train[0][1]
    assert boxes.boxes.tolist() == [[0, 0, 40, 30], [4, 5, 10, 12]] and boxes.crowd.tolist() == [False, True]
    assert any("without a name or four numbers" in note for note in found.notes)


@pytest.mark.parametrize("text", [
    '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><annotation>&x;</annotation>',
    '<!DOCTYPE a [<!ENTITY x "aaaa"><!ENTITY y "&x;&x;&x;">]><annotation>&y;</annotation>',
    '<?xml version="1.0"?><!DOCTYPE a SYSTEM "http://example.invalid/a.dtd"><annotation/>', "<annotation>",
    "",
])
def test_hostile_or_broken_xml_is_left_out(tmp_path, text):
    folder = voc(tmp_path / "x", text)
    photo(folder / "JPEGImages" / "c.png")
    (folder / "Annotations" / "c.xml").write_text((folder / "Annotations" / "b.xml").read_text())
    found = open_places(folder, "detection")
    assert sorted(found.train.names + found.val.names) == ["JPEGImages/b.png", "JPEGImages/c.png"]
    assert any(note.startswith("a is left out") for note in found.notes)


# --- data sets ----------------------------------------------------------------------------------------------


def test_a_data_set_of_photos_and_dicts_is_read_by_index(tmp_path):
    from torchvision import tv_tensors

    image = torch.zeros(3, 30, 40)
    boxes = tv_tensors.BoundingBoxes(torch.tensor([[1, 2, 10, 5.0]]), format="XYWH", canvas_size=(30, 40))
    data = [(image, {"boxes": boxes, "labels": torch.tensor([1])}),
            (image, {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.int64)}),
            (image, {"boxes": torch.tensor([[1.0, 1, 9, 9]]), "labels": torch.tensor([0]),
                     "iscrowd": torch.tensor([1])})]
    found = open_places(data, "detection")
    assert found.classes == ("class 0", "class 1") and not found.named and len(found) == 3
    assert found[0][1].boxes.tolist() == [[1, 2, 11, 7]] and len(found[1][1]) == 0 and found[2][1].crowd.all()


@pytest.mark.parametrize("target", [{"boxes": [[0, 0, 1, 1]], "labels": [0, 1]},
                                    {"boxes": [[0, 0, float("inf"), 1]], "labels": [0]},
                                    {"boxes": [[0, 0, 1, 1]], "labels": [-1]}, {"boxes": "x", "labels": "y"}])
def test_targets_that_cant_be_meant_are_refused(target):
    with pytest.raises(DataError, match=r"expected"):
        open_places([(torch.zeros(3, 30, 40), target)] * 3, "detection")


def test_torchvisions_own_data_sets_of_boxes_are_read(tmp_path):
    from torchvision.datasets import CocoDetection

    file = coco(tmp_path, [box(7, 9, [1, 2, 10, 5], iscrowd=0, area=50)],
                images=[{"id": 7, "file_name": "a.png", "width": 40, "height": 30}])
    found = open_places(CocoDetection(str(tmp_path / "images"), str(file)), "detection")
    assert found.classes == ("cat", "dog") and found[0][1].boxes.tolist() == [[1, 2, 11, 7]]
    assert found[0][1].labels.tolist() == [1]


def test_a_folder_that_may_not_be_read_is_said(tmp_path, monkeypatch):
    def refuse(self):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(DataError, match="can't be read: Permission denied"):
        open_places(tmp_path, "detection")


def test_what_holds_no_boxes_is_refused_in_a_sentence(tmp_path):
    photo(tmp_path / "a.png")
    with pytest.raises(DataError, match="holds no boxes: expected COCO's JSON"):
        open_places(tmp_path, "detection")
    with pytest.raises(DataError, match="holds no masks"):
        open_places(tmp_path, "segmentation")
    for strange in (None, 3, [], [1, 2, 3], object()):
        with pytest.raises(DataError):
            open_places(strange, "detection")
