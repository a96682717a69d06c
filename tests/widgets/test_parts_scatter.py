"""Points on a plane: what travels, and what a reader's wish does."""

from __future__ import annotations

import struct

import pytest
import traitlets

from explorer.widgets.parts.scatter import Scatter


@pytest.fixture
def scatter(sent):
    one = Scatter(title="Map", pictures=True)
    one.show([0, 1.5, float("nan")], [1, 2, 3], labels=["a", "<b>", "c"], groups=[0, 1, 1],
             group_names=["cats", "dogs"], line=[1, 0])
    yield one
    one.close()


def ask(scatter, kind, index, generation=1) -> None:
    scatter._receive(scatter, {"kind": kind, "index": index, "generation": generation}, [])


def test_points_travel_as_numbers_in_binary(scatter, sent):
    data, buffers = next((d, b) for _, d, b in sent if "_points" in d.get("state", {}) and b)
    paths = {path[-1]: bytes(buffer) for path, buffer in zip(data["buffer_paths"], buffers)}
    assert struct.unpack("<3f", paths["y"]) == (1, 2, 3)
    assert struct.unpack("<3H", paths["groups"]) == (0, 1, 1)
    assert data["state"]["_points"]["labels"] == ["a", "<b>", "c"]
    assert data["state"]["_points"]["line"] == [1, 0]
    assert len(scatter) == 3


def test_a_pick_reaches_the_callback_and_a_wrong_one_does_not(scatter):
    picked = []
    scatter.on_pick(picked.append)
    for index in (1, 3, -1, "1", True, None, 1.0):
        ask(scatter, "pick", index)
    assert picked == [1] and scatter.selected == 1


def test_a_wish_for_a_point_that_is_gone_is_not_heard(scatter):
    heard = []
    scatter.on_pick(heard.append)
    scatter.on_hover(heard.append)
    scatter.show([5, 6], [7, 8], labels=["x", "y"])
    ask(scatter, "hover", 0, generation=1)
    assert heard == []
    ask(scatter, "hover", 0, generation=2)
    assert heard == [0]


def test_a_picture_travels_alone_when_it_is_wanted(scatter, sent):
    sent.clear()
    scatter.on_hover(lambda index: scatter.picture(index, b"jpeg"))
    ask(scatter, "hover", 2)
    (_, data, buffers), = sent
    assert data["content"] == {"kind": "picture", "index": 2, "generation": 1}
    assert [bytes(buffer) for buffer in buffers] == [b"jpeg"]


def test_new_points_choose_nothing_and_hide_nothing(scatter):
    scatter.mark(1, [0, 2])
    scatter._receive(scatter, {"kind": "choose", "key": "hidden", "value": ["dogs"]}, [])
    assert (scatter.selected, scatter.marked, scatter.hidden) == (1, [0, 2], ["dogs"])
    scatter.show([0], [0], labels=["one"])
    assert (scatter.selected, scatter.marked, scatter.hidden) == (-1, [], [])


def test_the_browser_may_set_nothing_else(scatter):
    scatter._receive(scatter, {"kind": "choose", "key": "title", "value": "hacked"}, [])
    assert scatter.title == "Map"


@pytest.mark.parametrize(("change", "words"), [
    ({"labels": ["a"]}, "1 labels do not fit 2 points"),
    ({"groups": [0]}, "1 groups do not fit 2 points"),
    ({"groups": [0, 2], "group_names": ["x", "y"]}, "A group has the number 2: there are 0 to 1"),
    ({"shapes": ["circle", "cube"]}, "Unknown shape 'cube'"),
    ({"line": [2]}, "there are 0 to 1"),
])
def test_lists_that_do_not_fit_are_a_sentence(scatter, change, words):
    with pytest.raises(ValueError, match=words):
        scatter.show([0, 1], [0, 1], **{"labels": ["a", "b"], **change})
    assert len(scatter) == 3


def test_a_unit_that_is_none_is_refused(sent):
    with pytest.raises(traitlets.TraitError):
        Scatter(x_unit="metres")


def test_closing_lets_go_and_later_calls_do_nothing(sent):
    scatter = Scatter()
    scatter.close()
    scatter.close()
    scatter.show([0], [0], labels=["a"])
    scatter.picture(0, b"x")
    assert len(scatter) == 0
