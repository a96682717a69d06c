"""Heat maps lie where the network looked: the crop and the resize are undone."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F

from explorer.data.transforms import create_transform, crop_box
from explorer.inspection.look.frame import covered, seen_box, to_photo_frame

CONFIG = {"input_size": (3, 64, 64), "mean": (0.5, 0.5, 0.5)}


def stretched(values: np.ndarray, size: tuple[int, int], config) -> torch.Tensor:
    """The same by torch's grid_sample: the independent way."""
    width, height = size
    left, top, right, bottom = crop_box(size, config)
    x = (torch.arange(width) + 0.5 - left) / (right - left) * 2 - 1
    y = (torch.arange(height) + 0.5 - top) / (bottom - top) * 2 - 1
    grid = torch.stack(torch.meshgrid(x, y, indexing="xy"), -1)[None]
    found = F.grid_sample(
        torch.from_numpy(values)[None, None], grid, padding_mode="border", align_corners=False
    )[0, 0]
    return found * (grid.abs() <= 1).all(-1)[0]


@pytest.mark.parametrize("mode", ["center", "squash", "border"])
@pytest.mark.parametrize("crop_pct", [0.875, 1.0, 1.2])
@pytest.mark.parametrize("size", [(301, 180), (130, 211), (64, 64)], ids=str)
def test_a_coarse_map_is_stretched_over_what_the_network_saw(mode, crop_pct, size):
    config = {**CONFIG, "crop_mode": mode, "crop_pct": crop_pct}
    values = np.random.default_rng(0).random((7, 5)).astype(np.float32)
    found = to_photo_frame(values, size, config)
    assert found.dtype == np.float32 and found.shape == size[::-1]
    assert np.allclose(found, stretched(values, size, config), atol=1e-5)


@pytest.mark.parametrize("mode", ["center", "squash", "border"])
def test_what_the_transform_puts_somewhere_comes_back_from_there(mode):
    config = {**CONFIG, "crop_mode": mode, "crop_pct": 0.8, "std": (1, 1, 1)}
    photo = Image.new("L", (240, 150))
    photo.paste(255, (150, 60, 170, 80))
    network_sees = create_transform(**config)(photo.convert("RGB"))[0].numpy() + 0.5
    back = to_photo_frame(network_sees, photo.size, config)
    middle = [
        float((back * at).sum() / back.sum())
        for at in np.meshgrid(np.arange(240) + 0.5, np.arange(150) + 0.5)
    ]
    # The border that the network saw is grey, 0.5, and part of the mean; elsewhere all is black but the
    # square.
    assert middle == pytest.approx([160, 70], abs=1.5) or mode == "border"
    assert np.unravel_index(back.argmax(), back.shape) == pytest.approx((70, 160), abs=9)


def test_a_map_finer_than_the_photo_is_averaged_not_picked_from():
    values = np.zeros((64, 64), np.float32)
    values[::2] = 1
    found = to_photo_frame(values, (16, 16), {**CONFIG, "crop_pct": 1.0})
    assert np.allclose(found, 0.5, atol=0.1)


def test_a_constant_stays_a_constant_inside_and_is_zero_outside():
    found = to_photo_frame(np.ones((3, 3), np.float32), (100, 50), {**CONFIG, "crop_pct": 1.0})
    assert np.allclose(found[:, 25:75], 1) and not found[:, :25].any() and not found[:, 75:].any()


def test_the_seen_box_never_leaves_the_photo():
    assert seen_box((100, 50), {**CONFIG, "crop_pct": 1.0}) == (25, 0, 75, 50)
    assert seen_box((100, 50), {**CONFIG, "crop_pct": 1.0, "crop_mode": "border"}) == (0, 0, 100, 50)


def test_a_rest_that_no_patch_covers_is_left_dark():
    """case A17: 480 pixels hold 34 patches of 14, and 4 pixels are in none; padded maps leave nothing out."""
    assert covered((34, 34), (480, 480), [14]) == (476 / 480, 476 / 480)
    assert covered((34, 22), (480, 310), [14, 32]) == (476 / 480, 308 / 310)
    for grid, side, strides in ((15, 480, [32]), (8, 225, [32]), (9, 224, [])):
        assert covered((grid, grid), (side, side), strides) == (1, 1)
    found = to_photo_frame(np.ones((3, 3), np.float32), (100, 100), {**CONFIG, "crop_pct": 1.0}, (0.9, 0.6))
    assert np.allclose(found[:90, :60], 1) and not found[90:].any() and not found[:, 60:].any()
