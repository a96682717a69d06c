"""A photo and the layers over it: what travels, and what a browser may say."""

from __future__ import annotations

import io

import numpy as np
import pytest
import traitlets
from PIL import Image

from explorer.widgets.parts.photo_overlay import (
    MAX_BOXES,
    MAX_SIDE,
    PhotoOverlay,
    checked_box,
    checked_chosen,
    palette,
)

from .test_parts_base import from_browser, updates

SIZE = (1300, 900)
BOXES = [[0, 0, 100, 50], [10, 20, 30.5, 400], [5, 5, 6, 6]]
CODES = [[0, 1, 1, 2], [0, 1, 9, -1]]
NAMES = ["background", "<b>cat</b>", "dog"]


@pytest.fixture
def view(sent):
    one = PhotoOverlay(draws=True)
    one.show(Image.new("RGB", SIZE, "teal"), label="A photo")
    yield one
    one.close()


def test_the_photo_travels_small_and_its_size_is_the_photos_own(view):
    assert (view._photo["width"], view._photo["height"]) == SIZE and view.label == "A photo"
    assert max(Image.open(io.BytesIO(view._photo["data"])).size) == MAX_SIDE


def test_a_heat_map_travels_as_one_byte_a_place(view):
    view.heat([[0, 0.5], [1, float("inf")]], label="Where it looks")
    assert view._heat["data"] == bytes([0, 128, 255, 255]) and view.label == "Where it looks"
    assert (view._heat["width"], view._heat["height"], len(view._heat["colours"])) == (2, 2, 768)
    view.heat([[float("nan"), float("-inf")]])
    assert view._heat["data"] == bytes([0, 0])
    view.heat(None)
    assert view._heat == {}


def test_a_fine_heat_map_is_averaged_to_what_is_shown(view):
    view.heat(np.tile([0.0, 1.0], (2, MAX_SIDE)))
    assert view._heat["width"] == MAX_SIDE and set(view._heat["data"]) == {128}
    view.heat(np.ones((2, 9 * MAX_SIDE)))  # far wider than high: a block is no higher than the map
    assert (view._heat["width"], view._heat["height"], set(view._heat["data"])) == (MAX_SIDE, 1, {255})


def test_a_map_in_its_own_range_says_what_its_ends_are(view):
    view.heat([[-3, 1], [float("inf"), 0]], own_range=True, colormap="viridis")
    assert view._heat["data"] == bytes([0, 255, 191, 191])
    assert (view._heat["low"], view._heat["high"]) == (-3, 1)
    view.heat([[0.2, 0.2]], own_range=True)              # a map without a range is its lowest value
    assert view._heat["data"] == bytes([0, 0])


def test_a_box_from_the_browser_is_whole_pixels_inside_the_photo_and_heard_once(view, sent):
    heard = []
    view.on_box(heard.append)
    sent.clear()
    from_browser(view, {"kind": "box", "box": [-20, 10.4, 400.6, 5000]})
    assert heard == [(0, 10, 401, 900)] and view.box == (0, 10, 401, 900)
    assert not any("box" in state for state, _ in updates(sent))  # the reader has it on the screen
    from_browser(view, {"kind": "box", "box": []})
    assert heard[-1] == () and view.box == ()


@pytest.mark.parametrize("box", [None, "box", [1, 2, 3], [1, 2, 3, "4"], [True, 0, 9, 9], [9, 0, 1, 9],
                                 [2000, 0, 3000, 9], [float("nan"), 0, 9, 9], {"left": 1}])
def test_what_is_no_box_is_not_heard(view, box):
    heard = []
    view.on_box(heard.append)
    from_browser(view, {"kind": "box", "box": box})
    assert heard == [] and view.box == ()


def test_a_box_is_not_heard_where_none_can_be_drawn(view):
    heard = []
    view.on_box(heard.append)
    view.draws = False
    from_browser(view, {"kind": "box", "box": [0, 0, 9, 9]})
    assert heard == []


def test_infinite_edges_end_at_the_photos_border():
    assert checked_box([float("-inf"), 0, float("inf"), 10**400], (30, 20)) == (0, 0, 30, 20)


@pytest.mark.parametrize("go", [lambda view: view.show(Image.new("L", (20, 10))), lambda view: view.clear()])
def test_another_photo_or_none_takes_all_that_lay_over_it_away(view, go):
    view.show(Image.new("RGB", SIZE), grid=(2, 2), label="A photo")
    from_browser(view, {"kind": "box", "box": [0, 0, 9, 9]})
    from_browser(view, {"kind": "place", "place": [1, 1]})
    view.heat([[1.0]])
    view.frame((0, 0, 30.5, 20))
    view.boxes(BOXES)
    view.chosen = (1,)
    view.mask(CODES, names=NAMES)
    view.isolated = 1
    go(view)
    assert (view.box, view.place, view.chosen, view.isolated) == ((), (), (), -1)
    assert (view._heat, view._frame, view._boxes, view._mask) == ({}, [], {}, {})


def test_the_browser_sets_the_strength_within_its_limits_and_nothing_else(view):
    from_browser(view, {"kind": "choose", "key": "alpha", "value": 0.25})
    from_browser(view, {"kind": "choose", "key": "alpha", "value": 7})
    from_browser(view, {"kind": "choose", "key": "draws", "value": False})
    assert view.alpha == 0.25 and view.draws


def test_a_wrong_strength_from_python_is_refused(view):
    with pytest.raises(traitlets.TraitError):
        view.alpha = 2


def test_a_closed_view_takes_nothing(view):
    view.close()
    view.show(Image.new("RGB", (8, 8)))
    view.heat([[1.0]])
    view.boxes(BOXES)
    view.mask(CODES, names=NAMES)
    assert view._photo == {} and view._heat == {} and view._boxes == {} and view._mask == {}


# --- boxes ----------------------------------------------------------------------------------------------


def test_boxes_travel_as_numbers_and_each_name_once(view):
    view.boxes(BOXES, labels=["cat", "dog", "cat"], scores=[0.9, 0.5, 0.25], texts=["a", "", "<i>"])
    sent = view._boxes
    assert np.frombuffer(sent["edges"], np.float32).reshape(-1, 4).tolist() == BOXES
    assert (sent["names"], np.frombuffer(sent["kinds"], np.uint32).tolist()) == (["cat", "dog"], [0, 1, 0])
    assert np.frombuffer(sent["scores"], np.float32).tolist() == pytest.approx([0.9, 0.5, 0.25])
    assert sent["texts"] == ["a", "", "<i>"] and sent["colours"] == palette(2) and not sent["each"]
    view.boxes(BOXES, colours=["#ff0000", "#00ff00", "#0000ff"])
    assert view._boxes["each"] and view._boxes["names"] == [""] and view._boxes["scores"] == b""
    for none in (None, [], np.zeros((0, 4))):
        view.boxes(BOXES)
        view.boxes(none)
        assert view._boxes == {}


@pytest.mark.parametrize(("edges", "options", "words"), [
    ([[1, 2, 3]], {}, r"shape \[1, 3\]: expected \[N, 4\]"),
    ([1, 2, 3, 4], {}, r"shape \[4\]"),
    (BOXES, {"labels": ["cat"]}, "1 label for 3 boxes"),
    (BOXES, {"scores": [0.5] * 4}, "4 scores for 3 boxes"),
    (BOXES, {"texts": ["a", "b"]}, "2 texts for 3 boxes"),
    (BOXES, {"colours": ["#fff"] * 3}, "colour '#fff' is none: expected '#rrggbb'"),
    (BOXES, {"colours": ["red;background:url(//x)"] * 3}, "is none"),
    (np.zeros((MAX_BOXES + 1, 4)), {}, "100,001 boxes: a page draws up to 100,000"),
])
def test_boxes_that_do_not_fit_are_a_sentence_and_change_nothing(view, edges, options, words):
    view.boxes(BOXES)
    before = view._boxes
    with pytest.raises(ValueError, match=words):
        view.boxes(edges, **options)
    assert view._boxes is before


def test_a_click_on_a_box_is_heard_and_one_on_boxes_that_are_gone_is_not(view, sent):
    heard = []
    view.on_chosen(heard.append)
    view.boxes(BOXES)
    sent.clear()
    from_browser(view, {"kind": "chosen", "chosen": [2], "generation": 1})
    assert heard == [(2,)] and view.chosen == (2,) and updates(sent) == []
    view.boxes(BOXES[:2])
    assert view.chosen == ()
    from_browser(view, {"kind": "chosen", "chosen": [1], "generation": 1})
    from_browser(view, {"kind": "chosen", "chosen": [2], "generation": 2})
    assert heard == [(2,)] and view.chosen == ()


def test_only_so_many_boxes_can_be_chosen():
    assert checked_chosen([0, 2], 3, 2) == (0, 2) and checked_chosen([], 0, 0) == ()
    for wrong in ([0, 1, 2], [3], [1, 1], [True], ["0"], [0.5], None, {"0": 1}, [float("nan")]):
        assert checked_chosen(wrong, 3, 2) is None


# --- mask -----------------------------------------------------------------------------------------------


def test_a_mask_travels_as_numbers_with_its_shares_and_what_has_no_name_is_unpainted(view):
    view.mask(np.array(CODES), names=NAMES, values=np.full((2, 4), 0.5))
    sent = view._mask
    codes = np.frombuffer(sent["data"], np.uint16).reshape(2, 4)
    assert codes.tolist() == [[0, 1, 1, 2], [0, 1, 65535, 65535]]
    assert sent["shares"] == [2 / 8, 3 / 8, 1 / 8] and sent["values"] == bytes([128] * 8)
    assert sent["colours"] == ["", *palette(3)[1:]]      # the background stays the photo
    view.mask(np.array([[True, False]]), names=["no", "yes"], colours=["", "#00ff00"])
    assert np.frombuffer(view._mask["data"], np.uint16).tolist() == [1, 0] and "values" not in view._mask
    view.mask(None)
    view.frame(None)
    assert view._mask == {} and view._frame == []


def test_a_fine_mask_keeps_every_second_place_and_counts_them_all(view):
    codes = np.zeros((2, 2 * MAX_SIDE), int)
    codes[:, -1] = 1
    view.mask(codes, names=["sky", "sea"])
    assert (view._mask["width"], view._mask["height"]) == (MAX_SIDE, 1)
    assert view._mask["shares"][1] == 1 / 1280


@pytest.mark.parametrize(("codes", "options", "words"), [
    ([[0.5]], {"names": ["a"]}, "holds float64: expected .* whole numbers"),
    ([0, 1], {"names": ["a"]}, r"shape \[2\]"),
    (np.zeros((0, 3), int), {"names": ["a"]}, r"shape \[0, 3\]"),
    ([[0]], {}, "has 0 names: give one for each class"),
    ([[0]], {"names": ["a"], "values": [[1, 1]]}, r"values have the shape \[1, 2\] and the mask \[1, 1\]"),
    ([[0]], {"names": ["a"], "colours": ["", ""]}, "2 colours for 1 name"),
    ([[0]], {"names": ["a"], "colours": ["blue"]}, "colour 'blue' is none"),
])
def test_a_mask_that_does_not_fit_is_a_sentence_and_changes_nothing(view, codes, options, words):
    view.mask(CODES, names=NAMES)
    before = view._mask
    with pytest.raises(ValueError, match=words):
        view.mask(codes, **options)
    assert view._mask is before


def test_a_class_shown_alone_stays_so_while_the_names_are_the_same(view, sent):
    view.mask(CODES, names=NAMES)
    sent.clear()
    from_browser(view, {"kind": "choose", "key": "isolated", "value": 2})
    assert view.isolated == 2 and updates(sent) == []
    from_browser(view, {"kind": "choose", "key": "isolated", "value": 3})
    assert view.isolated == 2
    view.mask([[1]], names=NAMES)
    assert view.isolated == 2
    view.mask([[1]], names=["a", "b", "c"])
    assert view.isolated == -1


def test_colours_are_always_the_same_and_never_twice_among_many():
    assert palette(40) == palette(60)[:40] and len(set(palette(150))) == 150
