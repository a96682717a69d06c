"""The views of an evaluation: the matrix, photos with answers, the table.

What they send, what they take from a page.
"""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch
import traitlets
from ipywidgets.widgets.widget import _instances

from explorer.widgets.parts.confusion import ConfusionMatrix
from explorer.widgets.parts.judged_photos import Answer, JudgedPhotos
from explorer.widgets.parts.sort_table import SortTable

from .test_parts_base import from_browser, updates

NAMES = ("roses", "tulips", "<b>daisy</b>")
COUNTS = np.array([[22, 3, 0], [0, 25, 0], [1, 0, 24]])


@pytest.mark.parametrize("Part", [ConfusionMatrix, JudgedPhotos, SortTable])
def test_unknown_keywords_are_refused_and_closing_leaves_nothing(sent, Part):
    before = set(_instances)
    with pytest.raises(TypeError, match=f"{Part.__name__} does not take 'colour'"):
        Part(colour="red")
    part = Part()
    part.close()
    part.close()
    assert set(_instances) == before


@pytest.mark.parametrize("Part", [ConfusionMatrix, JudgedPhotos, SortTable])
def test_the_page_asks_nothing_of_the_network_and_reports_itself(sent, Part):
    part = Part()
    state = part.get_state()
    assert "export default" in state["_esm"] and ".vx-" in state["_css"]
    assert "://" not in state["_esm"] and "innerHTML" not in state["_esm"]
    from_browser(part, {"kind": "ready"})
    assert part.ready


# --- the matrix ---------------------------------------------------------------------------------------------


@pytest.fixture
def matrix(sent):
    matrix = ConfusionMatrix()
    matrix.picks = []
    matrix.on_pick(lambda true, predicted: matrix.picks.append((true, predicted)))
    matrix.show(NAMES, COUNTS)
    return matrix


def test_only_cells_with_photos_travel(matrix):
    table = json.loads(matrix._table)
    assert table["classes"] == list(NAMES)
    assert table["cells"] == [[0, 0, 22], [0, 1, 3], [1, 1, 25], [2, 0, 1], [2, 2, 24]]


def test_a_thousand_classes_are_small_and_begin_with_the_most_confused(sent):
    matrix, counts = ConfusionMatrix(), np.diag(np.full(1000, 50))
    matrix.show([f"class {i}" for i in range(1000)], counts)
    assert matrix.order == "confused" and len(matrix._table) < 60_000
    matrix.show(NAMES, COUNTS)
    assert matrix.order == "given"


def test_few_classes_in_use_of_a_thousand_stay_in_their_order(sent):
    matrix, counts = ConfusionMatrix(), np.zeros((1000, 1000), int)
    counts[[3, 500], [3, 3]] = 9
    matrix.show([f"class {i}" for i in range(1000)], counts)
    assert matrix.order == "given"


@pytest.mark.parametrize("wrong", [np.zeros((2, 3), int), np.zeros((3, 3)), np.zeros((2, 2), int)])
def test_anything_but_one_row_of_counts_a_class_is_refused(sent, wrong):
    with pytest.raises(ValueError, match=r"whole numbers of shape \[3, 3\]"):
        ConfusionMatrix().show(NAMES, wrong)


def test_a_tensor_will_do(sent):
    matrix = ConfusionMatrix()
    matrix.show(NAMES, torch.tensor(COUNTS))
    assert json.loads(matrix._table)["cells"][1] == [0, 1, 3]


def test_a_picked_cell_is_marked_and_told_by_index(matrix):
    from_browser(matrix, {"kind": "pick", "true": [0], "predicted": [1], "cell": [0, 1]})
    from_browser(matrix, {"kind": "pick", "true": None, "predicted": [1, 2], "cell": [-1, -2]})
    assert matrix.picks == [((0,), (1,)), (None, (1, 2))] and matrix.picked == [-1, -2]


@pytest.mark.parametrize("message", [
    {"true": [3], "predicted": [0], "cell": [0, 0]}, {"true": [-1], "predicted": [0], "cell": [0, 0]},
    {"true": [True], "predicted": [0], "cell": [0, 0]}, {"true": [0, 0], "predicted": None, "cell": [0, 0]},
    {"true": [], "predicted": None, "cell": [0, 0]}, {"true": "0", "predicted": None, "cell": [0, 0]},
    {"true": [0], "predicted": [1], "cell": [0, 9]}, {"true": [0], "predicted": [1], "cell": None}, {},
])
def test_a_page_cannot_pick_what_is_not_there(matrix, message):
    from_browser(matrix, {"kind": "pick", **message})
    assert matrix.picks == [] and matrix.picked == []


def test_other_counts_take_the_mark_away(matrix):
    matrix.mark(2, 0)
    assert matrix.picked == [2, 0]
    matrix.show(NAMES[:2], COUNTS[:2, :2])
    assert matrix.picked == []
    with pytest.raises(traitlets.TraitError, match="indices below 2"):
        matrix.mark(2, 0)


def test_the_reader_changes_colours_and_order_and_nothing_else(matrix):
    from_browser(matrix, {"kind": "choose", "key": "share", "value": "predicted"})
    from_browser(matrix, {"kind": "choose", "key": "order", "value": "photos"})
    from_browser(matrix, {"kind": "choose", "key": "_table", "value": "{}"})
    assert (matrix.share, matrix.order) == ("predicted", "photos") and matrix._table != "{}"


# --- photos -------------------------------------------------------------------------------------------------


@pytest.fixture
def photos(sent):
    photos = JudgedPhotos()
    photos.picks = []
    photos.on_pick(photos.picks.append)
    photos.show([(b"one", Answer("roses", "tulips", "62 % sure", False, "a.jpg")),
                 (b"three", Answer("roses", "roses", "90 % sure", True, "b.jpg"))], note="2 photos")
    return photos


def test_photos_travel_as_one_piece_with_their_answers(photos):
    assert photos._pictures == {"sizes": [3, 5], "data": b"onethree"} and photos.note == "2 photos"
    answers = [(one.true, one.said, one.right) for one in photos.answers]
    assert answers == [("roses", "tulips", False), ("roses", "roses", True)]


def test_other_pictures_of_the_same_photos_leave_the_answers(photos, sent):
    photos.pictures([b"x", b"y"])
    assert updates(sent)[-1][0].keys() == {"_pictures"} and len(photos.answers) == 2
    with pytest.raises(ValueError, match="1 pictures do not fit 2 photos"):
        photos.pictures([b"x"])


def test_a_pick_is_told_and_a_made_up_one_is_not(photos):
    for index in (1, 2, -1, True, "0", None):
        from_browser(photos, {"kind": "pick", "index": index})
    assert photos.picks == [1] and photos.selected == 1
    photos.show([])
    assert photos.selected == -1


# --- the table ----------------------------------------------------------------------------------------------


COLUMNS = [("class", "text"), ("recall", "share"), ("photos", "count")]


@pytest.fixture
def table(sent):
    table = SortTable(label="Class by class")
    table.picks = []
    table.on_pick(table.picks.append)
    table.show(COLUMNS, [["roses", 0.5, 10], ["<i>tulips</i>", math.nan, 0]], csv="class\n")
    return table


def test_values_travel_unrounded_and_undefined_ones_as_nothing(table):
    assert json.loads(table._table)["rows"] == [["roses", 0.5, 10], ["<i>tulips</i>", None, 0]]


def test_a_reader_sorts_by_a_column_that_is_there(table):
    from_browser(table, {"kind": "choose", "key": "sort", "value": [1, False]})
    assert table.sort == [1, False]
    for wrong in ([3, True], [-1, True], ["1", True], [1], [1, 1], [True, True]):
        from_browser(table, {"kind": "choose", "key": "sort", "value": wrong})
        assert table.sort == [1, False]


def test_a_row_is_picked_by_its_index(table):
    for index in (1, 2, False, "1"):
        from_browser(table, {"kind": "pick", "index": index})
    assert table.picks == [1]


def test_rows_and_kinds_that_do_not_fit_are_refused(sent):
    with pytest.raises(ValueError, match="2 values does not fit 3 columns"):
        SortTable().show(COLUMNS, [["roses", 0.5]])
    with pytest.raises(ValueError, match="of kind 'money'"):
        SortTable().show([("class", "money")], [])
