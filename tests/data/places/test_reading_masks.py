"""Masks out of folders and COCO's outlines: indices, colours, things, and those of another size."""

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
from explorer.data.places.place_set import IGNORED
from explorer.data.places.shapes import shape_mask


def folder_of(folder: Path, *masks: Image.Image, ending: str = "", parts: tuple[str, ...] = ("",)) -> Path:
    for part in parts:
        for below in ("images", "masks"):
            (folder / part / below).mkdir(parents=True, exist_ok=True)
        for number, mask in enumerate(masks):
            Image.new("RGB", (6, 4)).save(folder / part / "images" / f"{number}.jpg")
            mask.save(folder / part / "masks" / f"{number}{ending}.png")
    return folder


def picture(*values, dtype=np.uint8) -> Image.Image:
    pixels = np.zeros((4, 6), dtype)
    pixels.ravel()[:len(values)] = values
    return Image.fromarray(pixels)


def test_indices_are_classes_and_255_counts_neither_way(tmp_path):
    found = open_places(folder_of(tmp_path, picture(1, 2, 255), picture(3), ending="_mask"), "segmentation")
    assert found.classes == ("background", "class 1", "class 2", "class 3") and not found.train.named
    values = {tuple(mask.ravel()[:3].tolist()) for _, mask in found.part("all")}
    assert values == {(1, 2, IGNORED), (3, 0, 0)} and found.train[0][1].dtype == np.uint8


def test_a_palettes_indices_are_read_and_not_its_colours(tmp_path):
    mask = picture(1, 2)
    mask.putpalette([9, 9, 9, 200, 0, 0, 0, 200, 0])
    (tmp_path / "classes.txt").write_text("nothing\ncat\ndog\n")
    found = open_places(folder_of(tmp_path, mask, mask), "segmentation")
    assert found.classes == ("nothing", "cat", "dog") and found.train.named
    assert found.train[0][1].ravel()[:3].tolist() == [1, 2, 0]


def test_two_values_are_background_and_foreground(tmp_path):
    found = open_places(folder_of(tmp_path, picture(255), picture()), "segmentation")
    assert found.classes == ("background", "foreground")
    assert sorted(int(mask.max()) for _, mask in found.part("all")) == [0, 1]


def test_numbers_of_single_things_are_one_class(tmp_path):
    deep = picture(1, 2, 900, dtype=np.uint16)
    found = open_places(folder_of(tmp_path, deep, deep), "segmentation")
    assert len(found.classes) == 2 and found.train[0][1].ravel()[:4].tolist() == [1, 1, 1, 0]
    assert any("single thing" in note for note in found.notes)
    folder_of(tmp_path / "x", picture(1, 2, 3), picture(1))
    (tmp_path / "x" / "masks").rename(tmp_path / "x" / "instances")
    found = open_places(tmp_path / "x", "segmentation")
    assert found.classes == ("background", "foreground")


def test_colours_are_classes_in_the_order_of_their_numbers(tmp_path):
    pixels = np.zeros((4, 6, 3), np.uint8)
    pixels[0, 0], pixels[0, 1] = (0, 0, 255), (250, 10, 0)
    grey = np.zeros((4, 6, 3), np.uint8)  # of a photo without anything
    found = open_places(folder_of(tmp_path, Image.fromarray(pixels), Image.fromarray(grey)), "segmentation")
    assert found.classes == ("background", "class 1", "class 2")
    assert any("#fa0a00" in note for note in found.notes)
    assert {int(mask.max()) for _, mask in found.part("all")} == {0, 2}


def test_vocs_colours_are_read_in_its_order_with_its_border_ignored(tmp_path):
    pixels = np.zeros((4, 6, 3), np.uint8)
    pixels[0, 0], pixels[0, 1], pixels[0, 2] = (128, 0, 0), (192, 128, 128), (224, 224, 192)
    found = open_places(folder_of(tmp_path, *[Image.fromarray(pixels)] * 2), "segmentation")
    assert len(found.classes) == 21 and found.train[0][1].ravel()[:4].tolist() == [1, 15, IGNORED, 0]


def test_a_mask_of_another_size_is_an_error_of_that_photo(tmp_path):
    folder_of(tmp_path, picture(1), picture(1, 2))
    Image.new("L", (3, 3), 1).save(tmp_path / "masks" / "0.png")
    found = open_places(tmp_path, "segmentation").part("all")
    wrong = found.names.index("images/0.jpg")
    with pytest.raises(ImageError, match=r"has 3 x 3 pixels, and the photo 6 x 4"):
        found[wrong]
    assert found[1 - wrong][1].shape == (4, 6)


def test_photos_without_mask_are_named_and_blurred_masks_are_refused(tmp_path):
    folder = folder_of(tmp_path, picture(1), picture(1))
    Image.new("RGB", (6, 4)).save(folder / "images" / "alone.jpg")
    assert any("alone.jpg is left out: a photo without a mask" in note
               for note in open_places(folder, "segmentation").notes)
    noise = np.random.default_rng(0).integers(0, 255, (40, 60, 3), dtype=np.uint8)
    folder_of(tmp_path / "x", *[Image.fromarray(noise)] * 2)
    with pytest.raises(DataError, match="JPEG blurs them"):
        open_places(tmp_path / "x", "segmentation")


def test_train_and_val_are_read_alike(tmp_path):
    folder_of(tmp_path, picture(1, 2), picture(3), parts=("train", "val"))
    found = open_places(tmp_path, "segmentation")
    assert len(found.train) == len(found.val) == 2 and found.val.classes == found.train.classes
    picture(7).save(tmp_path / "val" / "masks" / "0.png")
    with pytest.raises(ImageError, match="none of the classes'"):
        open_places(tmp_path, "segmentation").val[0]


# --- COCO's outlines ----------------------------------------------------------------------------------------


def test_run_lengths_packed_and_plain_are_pycocotools_own():
    from pycocotools import mask as oracle

    draw = np.random.default_rng(0)
    for size in ((7, 5), (64, 33), (1, 1), (300, 200)):
        truth = draw.random(size[::-1]) < 0.3
        packed = oracle.encode(np.asfortranarray(truth.astype(np.uint8)))
        shape = {"size": packed["size"], "counts": packed["counts"].decode()}
        np.testing.assert_array_equal(shape_mask(shape, size), truth)
    smooth = np.zeros((200, 300), np.uint8)
    smooth[50:150, 20:280] = 1
    packed = oracle.encode(np.asfortranarray(smooth))
    np.testing.assert_array_equal(shape_mask({"size": [200, 300], "counts": packed["counts"].decode()},
                                             (300, 200)), smooth.astype(bool))


@pytest.mark.parametrize("polygon", [
    [10.5, 5.2, 60.1, 12.7, 50.3, 44.4, 20.0, 40.9], [1, 1, 5, 1, 5, 5, 1, 5], [-7, -3, 90, 20, 30, 70],
], ids=["slanted", "whole numbers", "over the edge"])
def test_polygons_have_the_very_pixels_of_pycocotools(polygon):
    from pycocotools import mask as oracle

    truth = oracle.decode(oracle.merge(oracle.frPyObjects([polygon], 50, 80))).astype(bool)
    np.testing.assert_array_equal(shape_mask([polygon], (80, 50)), truth)


def test_an_outline_that_goes_round_and_round_is_none():
    assert shape_mask([[0, 0, 1e5, 0, 1e5, 1e5, 0, 1e5] * 20_000], (600, 400)) is None


@pytest.mark.parametrize("shape", [None, [], [[1, 2]], [["a"] * 6], [[float("nan")] * 6], {"size": [4, 6]},
                                   {"size": [4, 6], "counts": [10**9, 5]},
                                   {"size": [4, 6], "counts": "\x00~"},
                                   {"size": [400, 600], "counts": [240000]},
                                   {"size": [4, 6], "counts": [-1, 25]},
                                   {"size": [4, 6], "counts": "o" * 100}, [[1e300] * 6]])
def test_an_outline_that_cant_be_meant_is_none(shape):
    assert shape_mask(shape, (6, 4)) is None


def test_coco_things_are_painted_small_over_large_and_crowds_count_neither_way(tmp_path):
    Image.new("RGB", (6, 4)).save(tmp_path / "a.png")
    rect = lambda x0, y0, x1, y1: [[x0, y0, x1, y0, x1, y1, x0, y1]]
    thing = lambda kind, shape, **more: {"image_id": 1, "category_id": kind, "segmentation": shape, **more}
    runs = {"size": [4, 6], "counts": [20, 4]}  # the last column
    content = {"images": [{"id": 1, "file_name": "a.png", "width": 6, "height": 4}],
               "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
               "annotations": [thing(2, rect(0, 0, 1.4, 1.4)), thing(1, rect(0, 0, 4, 4)),
                               thing(1, runs, iscrowd=1, bbox=[5, 0, 1, 4])]}
    (tmp_path / "x.json").write_text(json.dumps(content))
    found = open_places(tmp_path / "x.json", "segmentation")
    mask = found[0][1]
    assert found.classes == ("background", "cat", "dog")
    assert mask[0, 0] == 2 and mask[3, 2] == 1 and mask[1, 4] == 0 and (mask[:, 5] == IGNORED).all()


def test_a_data_set_of_photos_and_masks(tmp_path):
    mask = torch.tensor([[0, 1], [2, 255]], dtype=torch.uint8)
    found = open_places([(torch.zeros(3, 2, 2), mask), (torch.zeros(3, 2, 2), mask * 0)], "segmentation")
    assert found.classes == ("background", "class 1", "class 2") and found[0][1].tolist() == mask.tolist()
    with pytest.raises(DataError, match="masks, and boxes are wanted"):
        open_places(found, "detection")
