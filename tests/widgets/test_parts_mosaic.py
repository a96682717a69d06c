"""The feature mosaic's wire protocol: what is sent gives the maps back, and says what was left out."""

from __future__ import annotations

import numpy as np
import pytest

from explorer.widgets.parts.mosaic import MAX_BYTES, NOT_FINITE, FeatureMosaic, quantise

from .test_parts_base import record_messages, updates


def random_maps(*shape, seed=0):
    scale = np.random.default_rng(seed).uniform(0.01, 50, (shape[0], 1, 1))
    return (np.random.default_rng(seed + 1).normal(size=shape) * scale).astype(np.float32)


def last_maps(log):
    """The last message as the browser would read it: facts and arrays."""
    state, buffers = updates(log)[-1]
    paths = next(d["buffer_paths"] for kind, d, b in reversed(log) if kind == "comm_msg" and b is buffers)
    maps = dict(state["_maps"])
    for (_, key), data in zip(paths, buffers):
        maps[key] = np.frombuffer(data, {"data": "u1", "channels": "<i4"}.get(key, "<f4"))
    maps["data"] = maps["data"].reshape(maps["count"], maps["height"], maps["width"])
    return maps


def restored(maps):
    lo, hi = (maps[key].astype(np.float64)[:, None, None] for key in ("lo", "hi"))
    return lo + maps["data"] / 254 * (hi - lo)


@pytest.fixture
def sent(monkeypatch):
    return record_messages(monkeypatch)


@pytest.fixture
def mosaic(sent):
    part = FeatureMosaic()
    sent.clear()
    return part


def test_all_that_is_shown_travels_in_one_message_of_binary_buffers(mosaic, sent):
    mosaic.show(random_maps(8, 5, 7), title="layer1")
    assert len(sent) == 1
    state, buffers = updates(sent)[0]
    assert list(state) == ["_maps"]
    assert sorted(len(b) for b in buffers) == [32, 32, 32, 32, 8 * 5 * 7]


def test_the_codes_give_the_values_back_to_half_a_step(mosaic, sent):
    maps = random_maps(16, 12, 9)
    mosaic.show(maps)
    shown = last_maps(sent)
    span = maps.max(axis=(1, 2)) - maps.min(axis=(1, 2))
    error = np.abs(restored(shown) - maps).max(axis=(1, 2)) / span
    assert error.max() < 0.51 / 254
    np.testing.assert_array_equal(shown["lo"], maps.min(axis=(1, 2)))
    np.testing.assert_array_equal(shown["hi"], maps.max(axis=(1, 2)))


@pytest.mark.parametrize("values", [[-3e38, 3e38, 0.0], [1e-20, 3e-20, 2e-20], [1e6, 1e6 + 1, 1e6 + 0.5]])
def test_extreme_ranges_are_given_back_too(values):
    maps = np.array(values, np.float32).reshape(1, 1, 3)
    codes, lo, hi = quantise(maps)
    assert codes.ravel().tolist() == [0, 254, 127]
    assert (lo[0], hi[0]) == (maps.min(), maps.max())


def test_a_flat_channel_keeps_its_value(mosaic, sent):
    mosaic.show(np.full((2, 3, 3), 4.25))
    np.testing.assert_array_equal(restored(last_maps(sent)), np.full((2, 3, 3), 4.25))


def test_values_that_are_not_finite_are_marked_counted_and_leave_the_range_alone(mosaic, sent):
    maps = random_maps(4, 6, 6)
    clean = maps.copy()
    maps[0, 1, 2], maps[1, 0, 0], maps[2, 5, 5] = np.nan, np.inf, -np.inf
    mosaic.show(maps)
    shown = last_maps(sent)
    wrong = ~np.isfinite(maps)
    np.testing.assert_array_equal(shown["data"] == NOT_FINITE, wrong)
    for c in range(4):
        rest = clean[c][~wrong[c]]
        assert (shown["lo"][c], shown["hi"][c]) == (rest.min(), rest.max())
        assert shown["strength"][c] == pytest.approx(np.abs(rest).mean(), rel=1e-6)
    assert shown["notFinite"] == 3 and "3 values not finite" in mosaic.note


def test_a_channel_with_no_finite_value_says_so_and_the_others_are_drawn(mosaic, sent):
    maps = random_maps(3, 4, 4)
    maps[1] = np.nan
    mosaic.show(maps)
    shown = last_maps(sent)
    assert np.isnan(shown["lo"][1]) and np.isnan(shown["hi"][1]) and shown["strength"][1] == 0
    assert (shown["data"][1] == NOT_FINITE).all() and (shown["data"][[0, 2]] != NOT_FINITE).all()


def test_strength_is_the_mean_absolute_activation(mosaic, sent):
    maps = np.array([[[1, -1]], [[0, 0]], [[-5, 3]]], np.float32)
    mosaic.show(maps)
    assert last_maps(sent)["strength"].tolist() == [1, 0, 4]


def test_of_too_many_channels_the_strongest_are_sent_in_channel_order(mosaic, sent):
    maps = np.random.default_rng(0).normal(size=(400, 56, 56)).astype(np.float32)
    strong = np.random.default_rng(1).permutation(400)
    maps *= (strong[:, None, None] + 1)                                    # channel c has the rank strong[c]
    mosaic.show(maps)
    shown = last_maps(sent)
    count = MAX_BYTES // (56 * 56)
    assert shown["count"] == count and shown["data"].size <= MAX_BYTES
    wanted = np.flatnonzero(strong >= 400 - count)
    # neighbours in rank differ by 1/400 in scale: only the last few may swap by chance
    assert len(set(wanted) & set(shown["channels"])) >= count - 6
    assert (np.diff(shown["channels"]) > 0).all()
    assert mosaic.note == f"showing the {count} strongest of 400 channels, 56 × 56 values each"
    np.testing.assert_array_equal(shown["hi"], maps[shown["channels"]].max(axis=(1, 2)))


def test_a_selection_keeps_its_true_channel_numbers(mosaic, sent):
    mosaic.show(random_maps(3, 4, 4), channels=[7, 40, 511], total=512)
    assert last_maps(sent)["channels"].tolist() == [7, 40, 511]
    assert mosaic.note == "showing 3 of 512 channels, 4 × 4 values each"


def test_large_maps_are_averaged_in_blocks_and_say_so(mosaic, sent):
    maps = random_maps(2, 225, 130)                       # 3 x 3 blocks, the last column one wide
    mosaic.show(maps)
    shown = last_maps(sent)
    assert (shown["height"], shown["width"], shown["step"], shown["full"]) == (75, 44, 3, [225, 130])
    assert "each pixel is the mean of 3 × 3 values" in mosaic.note
    span = (shown["hi"] - shown["lo"])[:, None]
    by_hand = [[maps[c, 30:33, 60:63].mean(), maps[c, 222:225, 129:].mean()] for c in range(2)]
    got = restored(shown)[:, [10, 74], [20, 43]]
    assert (np.abs(got - by_hand) <= span / 254).all()
    np.testing.assert_allclose(shown["strength"], np.abs(maps).mean(axis=(1, 2)), rtol=1e-5)


def test_maps_of_112_a_side_are_sent_as_they_are(mosaic, sent):
    mosaic.show(random_maps(2, 112, 112))
    assert last_maps(sent)["step"] == 1 and "mean of" not in mosaic.note


def test_an_averaged_block_with_a_nan_is_marked(mosaic, sent):
    maps = random_maps(1, 224, 224)
    maps[0, 100, 101] = np.nan
    mosaic.show(maps)
    marked = np.argwhere(last_maps(sent)["data"][0] == NOT_FINITE)
    assert marked.tolist() == [[50, 50]]


@pytest.mark.parametrize("dtype", ["f2", "f8", ">f4", "i8", "u1", "?"])
def test_every_kind_of_real_number_is_taken(mosaic, sent, dtype):
    maps = np.array([[[0, 1], [1, 0]]]).astype(dtype)
    mosaic.show(maps)
    assert last_maps(sent)["data"].tolist() == [[[0, 254], [254, 0]]]


def test_one_value_a_channel_is_a_map_too(mosaic, sent):
    mosaic.show(np.arange(5, dtype=np.float32).reshape(5, 1, 1))
    assert last_maps(sent)["lo"].tolist() == [0, 1, 2, 3, 4]
    assert mosaic.note == "5 channels, one value each"


@pytest.mark.parametrize("maps, words", [
    (np.zeros((1, 3, 4, 4)), r"got \[1, 3, 4, 4\]"),
    (np.zeros((0, 4, 4)), r"got \[0, 4, 4\]"),
    (np.zeros((2, 4, 4), complex), "complex128"),
    (np.array([[["a"]]]), "real numbers"),
])
def test_what_is_no_stack_of_maps_is_refused_in_words(mosaic, maps, words):
    with pytest.raises(ValueError, match=words):
        mosaic.show(maps)


@pytest.mark.parametrize("channels", [[0], [0, 0, 1], [-1, 0, 1], [0.5, 1.5, 2.5]])
def test_channel_numbers_that_do_not_fit_are_refused(mosaic, channels):
    with pytest.raises(ValueError, match="3 different numbers"):
        mosaic.show(np.zeros((3, 2, 2)), channels=channels)


def test_a_total_smaller_than_a_channel_number_is_refused(mosaic):
    with pytest.raises(ValueError, match="total=5"):
        mosaic.show(np.zeros((1, 2, 2)), channels=[5], total=5)


def test_the_maps_given_are_not_changed(mosaic):
    maps = random_maps(2, 4, 4)
    maps[0, 0, 0] = np.nan
    before = maps.copy()
    mosaic.show(maps)
    np.testing.assert_array_equal(maps, before)


def test_a_cleared_mosaic_shows_the_message_only(mosaic, sent):
    mosaic.show(random_maps(2, 4, 4), title="x")
    mosaic.clear("Choose a <b>photo</b>.")
    state, buffers = updates(sent)[-1]
    assert state == {"_maps": {"count": 0, "message": "Choose a <b>photo</b>."}} and not buffers
    assert repr(mosaic) == "FeatureMosaic(empty)" and mosaic.note == ""


def test_the_selected_channel_outlives_the_next_photo(mosaic):
    mosaic.show(random_maps(8, 4, 4))
    mosaic.selected = 3
    mosaic.show(random_maps(8, 4, 4, seed=5))
    assert mosaic.selected == 3


def test_a_closed_mosaic_holds_no_maps_and_takes_no_more(mosaic, sent):
    mosaic.show(random_maps(2, 4, 4))
    mosaic.close()
    sent.clear()
    mosaic.show(random_maps(2, 4, 4))                                      # a worker that was still busy
    assert mosaic._maps == {} and sent == []
