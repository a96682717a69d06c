"""Feature maps become the right pixels."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image

from explorer.display import draw


def maps(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("name", draw.COLORMAPS)
def test_colours_are_those_of_matplotlib(name):
    matplotlib = pytest.importorskip("matplotlib")
    theirs = matplotlib.colormaps[{"grey": "gray"}.get(name, name)](np.arange(256))[:, :3] * 255
    ours = draw.colormap(name)
    assert ours.shape == (256, 3) and ours.dtype == np.uint8
    assert np.abs(ours - theirs).max() <= 8.5


def test_an_unknown_colour_map_is_answered_with_the_known_ones():
    with pytest.raises(ValueError, match="Unknown colormap 'jet'.*'viridis'.*'coolwarm'"):
        draw.colormap("jet")


def test_own_scale_spans_each_channel_from_its_lowest_to_its_highest_value():
    values = maps(3, 5, 4) * np.array([1, 10, 100])[:, None, None]
    codes = draw.normalise(values, "own")
    for code, value in zip(codes, values):
        expected = (value - value.min()) / (value.max() - value.min()) * 253
        assert np.abs(code - expected).max() <= 0.501
        assert code.min() == 0 and code.max() == 253


def test_shared_scale_spans_all_channels_together():
    values = maps(3, 5, 4) * np.array([1, 10, 100])[:, None, None]
    codes = draw.normalise(values, "shared")
    expected = (values - values.min()) / (values.max() - values.min()) * 253
    assert np.abs(codes - expected).max() <= 0.501


def test_centred_puts_zero_in_the_middle():
    codes = draw.normalise(np.array([[[-1.0, 0.0, 4.0]]]), centred=True)
    assert codes.tolist() == [[[round(3 / 8 * 253), 127, 253]]]


def test_a_constant_channel_has_the_lowest_colour_and_a_dead_one_the_middle_of_coolwarm():
    assert (draw.normalise(np.full((1, 3, 3), 5.0)) == 0).all()
    assert (draw.normalise(np.zeros((1, 3, 3)), centred=True) == 127).all()


def test_maps_of_one_value_are_compared_with_each_other():
    assert draw.normalise(np.array([0.0, 1.0, 2.0]).reshape(3, 1, 1)).ravel().tolist() == [0, 127, 253]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("scale", draw.SCALES)
def test_values_that_are_not_finite_are_marked_and_do_not_disturb_the_others(bad, scale):
    values = maps(2, 4, 4)
    clean = draw.normalise(values, scale)
    place = np.unravel_index(values[1].argsort(axis=None)[8], (4, 4))  # neither lowest nor highest
    values[1][place] = bad
    codes = draw.normalise(values, scale)
    assert codes[1][place] == draw.NOT_FINITE
    codes[1][place] = clean[1][place]
    assert (codes == clean).all()


def test_a_channel_without_any_finite_value_leaves_the_shared_scale_alone():
    values = maps(3, 4, 4) + 50
    clean = draw.normalise(values[:2], "shared")
    values[2] = np.nan
    codes = draw.normalise(values, "shared")
    assert (codes[:2] == clean).all() and (codes[2] == draw.NOT_FINITE).all()


def test_the_largest_and_the_smallest_floats_do_not_overflow():
    huge = np.array([[[-3e38, 0.0, 3e38]]], dtype=np.float32)
    tiny = np.array([[[0.0, 1e-45, 1e-40]]], dtype=np.float32)
    with np.errstate(all="raise", under="ignore"):
        assert draw.normalise(huge).ravel().tolist() == [0, 127, 253]
        assert set(draw.normalise(tiny).ravel().tolist()) <= set(range(254))


def test_the_mosaic_shows_every_channel_where_its_number_says():
    values = maps(7, 4, 6)
    picture = np.asarray(draw.mosaic(values, columns=3, gap=2, colormap="grey"))
    assert picture.shape == (3 * 6 - 2, 3 * 8 - 2, 3)
    for number, value in enumerate(values):
        row, column = divmod(number, 3)
        cell = picture[row * 6:row * 6 + 4, column * 8:column * 8 + 6, 0]
        expected = (value - value.min()) / (value.max() - value.min()) * 255
        assert np.abs(cell - expected).max() <= 1.5
    assert (picture[4:6] == draw.GAP_COLOUR).all() and (picture[12:, 8:] == draw.GAP_COLOUR).all()


def test_sorting_by_strength_puts_the_highest_mean_absolute_activation_first():
    values = np.stack([np.eye(4) * k for k in (1, -9, 4)])
    picture = draw.mosaic(values, columns=3, gap=0, sort="strength", scale="shared", colormap="grey")
    corners = np.asarray(picture)[0, ::4, 0]  # -9, 4, 1 on a scale from -9 to 4
    assert np.abs(corners - np.array([0, 255, 10 / 13 * 255])).max() <= 1.5


def test_a_limit_keeps_the_strongest_channels_in_channel_order():
    values = maps(9, 3, 3) * np.array([1, 9, 2, 8, 3, 7, 4, 6, 5])[:, None, None] ** 3
    assert draw.strongest(values, 3).tolist() == [1, 3, 5]
    assert draw.strongest(values, None).tolist() == list(range(9))
    assert draw.mosaic(values, limit=4, gap=0).size == (6, 6)


def test_strength_ignores_values_that_are_not_finite():
    values = np.array([[[1.0, -3.0]], [[np.nan, 4.0]], [[np.inf, np.nan]]])
    assert draw.strength(values).tolist() == [2.0, 4.0, 0.0]


def test_a_larger_cell_repeats_each_value():
    values = maps(1, 3, 2)
    small, large = (np.asarray(draw.mosaic(values, cell=cell)) for cell in (3, 13))
    assert large.shape == (12, 8, 3)
    assert (large == small.repeat(4, axis=0).repeat(4, axis=1)).all()


def test_a_smaller_cell_shows_the_means_of_blocks():
    values = np.arange(2 * 5 * 4, dtype=np.float32).reshape(2, 5, 4)
    means = np.stack([[[v[r:r + 2, c:c + 2].mean() for c in (0, 2)] for r in (0, 2, 4)] for v in values])
    assert np.asarray(draw.mosaic(values, cell=3)).tolist() == np.asarray(draw.mosaic(means)).tolist()


def test_not_finite_values_are_magenta_in_every_colour_map():
    values = maps(1, 2, 2)
    values[0, 0, 1] = np.nan
    for name in draw.COLORMAPS:
        assert draw.mosaic(values, colormap=name).getpixel((1, 0)) == (255, 0, 255)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.int64, torch.bool])
def test_tensors_of_any_real_type_are_drawn(dtype):
    tensor = (torch.rand(5, 4, 4) * 3).to(dtype).requires_grad_(dtype.is_floating_point)
    assert draw.mosaic(tensor).tobytes() == draw.mosaic(tensor.detach().double().numpy()).tobytes()


@pytest.mark.parametrize("wrong", [np.zeros((4, 4)), np.zeros((1, 3, 4, 4)), np.zeros((0, 4, 4)),
                                   np.zeros((1, 2, 2), complex)])
def test_another_shape_or_type_is_refused_with_a_sentence(wrong):
    with pytest.raises(ValueError, match="Expected"):
        draw.mosaic(wrong)


@pytest.mark.parametrize("option", [dict(sort="size"), dict(scale="log"), dict(gap=-1), dict(columns=0),
                                    dict(limit=0), dict(cell=0)])
def test_unknown_options_are_refused(option):
    with pytest.raises(ValueError, match=str(next(iter(option.values())))):
        draw.mosaic(maps(2, 3, 3), **option)


def test_drawing_leaves_the_maps_unchanged():
    values = maps(4, 6, 6)
    before = values.copy()
    draw.mosaic(values, sort="strength", scale="shared", cell=2, limit=3)
    assert (values == before).all()


def test_the_palette_picture_shows_the_same_as_the_mosaic():
    values = maps(10, 5, 5)
    paletted = draw.palette_mosaic(values)
    assert paletted.mode == "P" and paletted.convert("RGB").tobytes() == draw.mosaic(values).tobytes()


def test_png_bytes_hold_the_same_pixels():
    picture = draw.mosaic(maps(4, 5, 5))
    again = Image.open(io.BytesIO(draw.png_bytes(picture)))
    assert again.format == "PNG" and again.convert("RGB").tobytes() == picture.tobytes()


def test_a_thumbnail_keeps_the_aspect_ratio_and_the_original():
    picture = Image.new("RGB", (300, 100))
    assert draw.thumbnail(picture, 60).size == (60, 20)
    assert picture.size == (300, 100)
