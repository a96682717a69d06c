"""Boxes and masks go along with the photo: each pixel keeps its class, each thing its box."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import v2

from explorer.data.places.augment import PLACE_AUGMENTATIONS, Augmented, RandomPart, RandomShift
from explorer.data.places.place_set import IGNORED, Boxes
from explorer.data.places.shapes import runs_of, shape_mask
from explorer.training.loop.augmentation import AUGMENTATIONS
from explorer.training.loop.order import drawn_by

COLOURS = np.array([(0, 0, 0), (255, 0, 0), (0, 255, 0), (0, 0, 255)], np.uint8)
PLACES = ((1, (10, 8, 30, 28)), (2, (40, 20, 58, 44)), (3, (4, 40, 20, 56)))  # class, box: right, bottom open
GEOMETRY = ("light", "cifar")


@pytest.fixture(scope="module")
def scene():
    """(a photo of 64 x 60 pixels with three coloured things, its boxes, its mask)."""
    mask = np.zeros((60, 64), np.uint8)
    for label, (left, top, right, bottom) in PLACES:
        mask[top:bottom, left:right] = label
    rows = np.array([box for _, box in PLACES], np.float64)
    areas = np.array([100.0, 432.0, 256.0])  # of the first, a quarter of its box
    boxes = Boxes(rows, np.array([1, 2, 3]), np.array([False, True, False]), areas)
    return Image.fromarray(COLOURS[mask]), boxes, mask



def test_the_names_are_those_of_photos_with_classes():
    assert [*PLACE_AUGMENTATIONS] == [*AUGMENTATIONS]


@pytest.mark.parametrize("augment", GEOMETRY)
def test_each_pixel_of_a_mask_lies_on_its_colour(scene, augment):
    photo, _, mask = scene
    vary = Augmented(augment)
    seen = set()
    for seed in range(20):
        with drawn_by(seed):
            moved, found = vary(photo, mask)
        assert found.shape == moved.size[::-1] and found.dtype == np.uint8
        counted = found != IGNORED
        np.testing.assert_array_equal(np.asarray(moved)[counted], COLOURS[found[counted]])
        seen.add(moved.tobytes())
    assert len(seen) > 15


@pytest.mark.parametrize("augment", [*GEOMETRY, RandomPart(0.1, 0.5)])
def test_a_box_lies_around_its_colour(scene, augment):
    photo, boxes, _ = scene
    vary = Augmented(augment)
    gone = 0
    for seed in range(20):
        with drawn_by(seed):
            moved, found = vary(photo, boxes)
        pixels = np.asarray(moved)
        gone += 3 - len(found)
        for box, label in zip(found.boxes, found.labels):
            down, across = np.nonzero((pixels == COLOURS[label]).all(-1))
            assert box.tolist() == [across.min(), down.min(), across.max() + 1, down.max() + 1]
        for label in {1, 2, 3} - {*found.labels.tolist()}:
            assert not (pixels == COLOURS[label]).all(-1).any()
    assert isinstance(augment, str) or gone > 10


@pytest.mark.parametrize("augment", PLACE_AUGMENTATIONS)
def test_all_names_keep_flags_classes_and_boxes_together(scene, augment):
    photo, boxes, mask = scene
    for seed in range(10):
        with drawn_by(seed):
            moved, found = Augmented(augment)(photo, boxes)
        assert moved.mode == "RGB" and len(found.boxes) == len(found.crowd) == len(found.areas) == len(found)
        assert (found.boxes >= 0).all() and (found.boxes <= [*moved.size, *moved.size]).all()
        assert all(crowd for crowd, label in zip(found.crowd, found.labels) if label == 2)
        with drawn_by(seed):
            same, mask_found = Augmented(augment)(photo, mask)
        assert same.tobytes() == moved.tobytes()  # one draw for both, whatever lies in the photo
        assert {*np.unique(mask_found)} <= {0, 1, 2, 3, IGNORED}


@pytest.mark.parametrize("augment", [*GEOMETRY, RandomPart(0.1, 0.5)])
def test_outlines_lie_on_their_things_and_one_without_stays_so(scene, augment):
    photo, boxes, mask = scene
    outlined = replace(boxes, shapes=(runs_of(mask == 1), None, runs_of(mask == 3)))
    for seed in range(8):
        with drawn_by(seed):
            moved, found = Augmented(augment, outlines=True)(photo, outlined)
        assert len(found.shapes) == len(found)
        for label, shape in zip(found.labels, found.shapes):
            if label == 2:
                assert shape is None
                continue
            colour = (np.asarray(moved) == COLOURS[label]).all(-1)
            np.testing.assert_array_equal(shape_mask(shape, moved.size), colour)
        with drawn_by(seed):
            assert Augmented(augment)(photo, outlined)[1].shapes is None  # not asked for


def test_none_gives_what_it_was_given(scene):
    photo, boxes, mask = scene
    assert Augmented("none")(photo, boxes) == (photo, boxes)
    assert Augmented("none")(photo, mask) == (photo, mask)


def test_a_sliver_counts_neither_way_and_a_measured_area_shrinks_as_the_box(scene):
    photo, boxes, _ = scene

    class Cut(v2.Transform):
        def transform(self, inpt, params):
            return v2.functional.crop(inpt, 0, 20, 60, 44)

    _, found = Augmented(Cut())(photo, boxes)
    assert found.labels.tolist() == [1, 2]
    assert found.boxes[0].tolist() == [0, 8, 10, 28] and found.areas.tolist() == [50, 432]

    steps = RandomShift(0.0)
    steps.make_params = lambda flat_inputs: {"translate": [-29, 0]}
    _, found = Augmented(steps)(photo, boxes)
    assert found.labels.tolist() == [1, 2] and found.crowd.tolist() == [True, True]  # 1 of 20 columns is seen


def test_what_does_not_count_stays_so_and_so_does_room_at_the_border(scene):
    photo, _, mask = scene
    mask = mask.copy()
    mask[:20] = IGNORED
    _, found = Augmented(v2.Pad(8))(photo, mask)
    assert (found[8:68, 8:72] == mask).all()
    assert (found[:8] == IGNORED).all() and (found[:, 72:] == IGNORED).all()
    _, found = Augmented(v2.Pad(8, fill=255))(photo, mask)
    assert (found[8:68, 8:72] == mask).all() and (found[:8] == IGNORED).all()
    torch.manual_seed(0)
    moved, found = Augmented(v2.RandomRotation((40, 40)))(photo, np.full((60, 64), 3, np.uint8))
    assert {*np.unique(found)} == {3, IGNORED} and found[0, 0] == IGNORED


def test_a_transform_of_ones_own_may_resize_and_give_a_tensor(scene):
    photo, boxes, mask = scene
    own = v2.Compose([v2.ToImage(), v2.Resize((120, 128)), v2.ToDtype(torch.float32, scale=True)])
    moved, found = Augmented(own)(photo, boxes)
    assert moved.size == (128, 120) and moved.mode == "RGB"
    np.testing.assert_allclose(found.boxes, boxes.boxes * 2)
    np.testing.assert_allclose(found.areas, boxes.areas * 4)
    moved, found = Augmented(own)(photo, mask)
    np.testing.assert_array_equal(found, mask.repeat(2, 0).repeat(2, 1))


def test_boxes_that_a_transform_leaves_out_take_their_flags_along(scene):
    photo, boxes, _ = scene
    own = v2.SanitizeBoundingBoxes(min_size=18, labels_getter=lambda inputs: inputs[1]["rows"])
    _, found = Augmented(own)(photo, boxes)
    assert found.labels.tolist() == [1, 2] and found.crowd.tolist() == [False, True]
    with pytest.raises(ValueError, match="made 2 boxes of 3: it has to leave out a box's row with it"):
        Augmented(v2.SanitizeBoundingBoxes(min_size=18, labels_getter=None))(photo, boxes)


def test_a_photo_without_boxes_and_one_of_a_single_pixel_pass(scene):
    photo, boxes, _ = scene
    none = Boxes(np.zeros((0, 4)), np.zeros(0, np.int64), np.zeros(0, bool), np.zeros(0))
    tiny = Boxes(np.array([[0.0, 0, 1, 1]]), np.zeros(1, np.int64), np.zeros(1, bool), np.ones(1))
    for augment in PLACE_AUGMENTATIONS:
        assert len(Augmented(augment)(photo, none)[1]) == 0
        moved, found = Augmented(augment)(photo.crop((0, 0, 1, 1)), tiny)
        assert moved.size == (1, 1) and len(found) == 1


def test_what_cannot_be_meant_is_refused_in_a_sentence(scene):
    photo, boxes, _ = scene
    with pytest.raises(ValueError, match="Unknown augmentation 'lihgt'. Known: none, light, standard"):
        Augmented("lihgt")
    with pytest.raises(TypeError, match="augment is a int: give one of none"):
        Augmented(3)
    with pytest.raises(ValueError, match="could not take a photo with boxes .* give a transform of torch"):
        Augmented(lambda photo: photo)(photo, boxes)
    with pytest.raises(ValueError, match="leave normalising to the network"):
        Augmented(v2.Compose([v2.ToImage(), v2.ToDtype(torch.float32, scale=True),
                              v2.Normalize([0.5], [0.1])]))(photo, boxes)
