"""A photo with a heat map and a box: what travels, and what a browser may say."""

from __future__ import annotations

import io

import numpy as np
import pytest
import traitlets
from PIL import Image

from explorer.widgets.parts.photo_view import MAX_SIDE, PhotoView, checked_box

from .test_parts_base import from_browser, updates

SIZE = (1300, 900)


@pytest.fixture
def view(sent):
    one = PhotoView(draws=True)
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
    view.heat(None)
    assert view._heat == {}


def test_a_fine_heat_map_is_averaged_to_what_is_shown(view):
    view.heat(np.tile([0.0, 1.0], (2, MAX_SIDE)))
    assert view._heat["width"] == MAX_SIDE and set(view._heat["data"]) == {128}


def test_a_box_from_the_browser_is_whole_pixels_inside_the_photo_and_heard_once(view, sent):
    heard = []
    view.on_box(heard.append)
    sent.clear()
    from_browser(view, {"kind": "box", "box": [-20, 10.4, 400.6, 5000]})
    assert heard == [(0, 10, 401, 900)] and view.box == (0, 10, 401, 900)
    assert not any("box" in state for state, _ in updates(sent))  # the reader has it on the screen
    from_browser(view, {"kind": "box", "box": []})
    assert heard[-1] == () and view.box == ()


@pytest.mark.parametrize("box", [None, "box", [1, 2, 3], [1, 2, 3, "4"], [True, 0, 9, 9], [9, 0, 1, 9], [2000, 0, 3000, 9],
                                 [float("nan"), 0, 9, 9], {"left": 1}])
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


def test_another_photo_takes_heat_frame_and_box_away(view):
    from_browser(view, {"kind": "box", "box": [0, 0, 9, 9]})
    view.heat([[1.0]])
    view.frame((0, 0, 30.5, 20))
    view.show(Image.new("L", (20, 10)))
    assert (view.box, view._heat, view._frame) == ((), {}, []) and view.label == "Photo"


def test_the_browser_sets_the_strength_within_its_limits_and_nothing_else(view):
    from_browser(view, {"kind": "choose", "key": "alpha", "value": 0.25})
    from_browser(view, {"kind": "choose", "key": "alpha", "value": 7})
    from_browser(view, {"kind": "choose", "key": "draws", "value": False})
    assert view.alpha == 0.25 and view.draws


def test_a_wrong_strength_from_python_is_refused(view):
    with pytest.raises(traitlets.TraitError):
        view.alpha = 2


def test_a_closed_view_takes_no_photo(view):
    view.close()
    view.show(Image.new("RGB", (8, 8)))
    view.heat([[1.0]])
    assert view._photo == {} and view._heat == {}
