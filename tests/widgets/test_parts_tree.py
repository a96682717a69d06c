"""The module tree's wire protocol: one message for thousands of modules, paths as torch has them."""

from __future__ import annotations

import json

import numpy as np
import pytest
import traitlets

from explorer.widgets.parts.tree import ModuleTree

from .test_parts_base import from_browser, record_messages, updates

ROWS = [
    ["resnet", -1, "ResNet", 1000, 1000, "1 × 10", 5_000],
    ["layer4", 0, "Sequential", 900, 0, "1 × 512 × 7 × 7", 4_000],
    ["1", 1, "Bottleneck", 800, 0, "1 × 512 × 7 × 7", 3_000],
    ["conv2", 2, "Conv2d", 700, 0, "1 × 512 × 7 × 7", None],
    ["fc", 0, "Linear", 100, 100, "", 1_000],
]


@pytest.fixture
def sent(monkeypatch):
    return record_messages(monkeypatch)


@pytest.fixture
def tree(sent):
    part = ModuleTree()
    part.show(ROWS, title="resnet")
    return part


def test_thousands_of_modules_travel_as_one_message(sent):
    tree = ModuleTree()
    sent.clear()
    model = ["model", -1, "M", 9, 9, "", None]
    tree.show([model] + [[f"m{i}", i // 3, "Conv2d", 9, 9, "1 × 8", 7] for i in range(3000)])
    assert len(sent) == 1
    text = updates(sent)[0][0]["_tree"]
    assert len(json.loads(text)["rows"]) == 3001 and len(text) < 150_000


def test_the_rows_arrive_as_given(tree):
    assert json.loads(tree._tree) == {"title": "resnet", "rows": ROWS}


@pytest.mark.parametrize("path", ["", "layer4", "layer4.1", "layer4.1.conv2", "fc", None])
def test_every_module_can_be_selected_by_its_dotted_path(tree, path):
    tree.selected = "fc"
    tree.selected = path
    assert tree.selected == path


def test_an_unknown_path_is_refused_with_the_nearest_one(tree):
    with pytest.raises(traitlets.TraitError, match="'layer4.1.conv3'.*Did you mean 'layer4.1.conv2'"):
        tree.selected = "layer4.1.conv3"
    assert tree.selected is None


def test_the_reader_selects_by_message(tree, sent):
    seen = []
    tree.observe(lambda change: seen.append(change.new), names="selected")
    sent.clear()
    from_browser(tree, {"kind": "choose", "key": "selected", "value": "layer4.1"})
    assert seen == ["layer4.1"] and sent == []


def test_a_selection_that_the_next_model_lacks_is_dropped_and_one_it_has_is_kept(tree):
    tree.selected = "layer4.1"
    tree.show(ROWS)
    assert tree.selected == "layer4.1"
    tree.show([["vit", -1, "ViT", 5, 5, "", None]])
    assert tree.selected is None


def test_hostile_names_travel_as_plain_text(sent):
    evil = "<img src=x onerror=alert(1)>"
    tree = ModuleTree()
    tree.show([[evil, -1, evil, 1, 1, evil, None], ["\"'\\\n</script>", 0, "K", 1, 1, "", None]], title=evil)
    got = json.loads(tree._tree)
    assert got["title"] == got["rows"][0][0] == got["rows"][0][2] == evil
    assert got["rows"][1][0] == "\"'\\\n</script>"
    assert "innerHTML" not in tree._esm and "insertAdjacentHTML" not in tree._esm


def test_numbers_of_other_libraries_become_plain_ones(sent):
    tree = ModuleTree()
    tree.show([["m", np.int64(-1), "K", np.int64(2**40), np.int64(3), "", np.float64(7)]])
    assert json.loads(tree._tree)["rows"] == [["m", -1, "K", 2**40, 3, "", 7]]


@pytest.mark.parametrize("rows, words", [
    ([["a", -1, "K", 1, 1, ""]], "Row 0 has 6 fields; expected 7: name, parent"),
    ([["a", 0, "K", 1, 1, "", None]], "Row 0 .'a'. has the parent 0"),
    ([ROWS[0], ["b", 2, "K", 1, 1, "", None], ["c", 0, "K", 1, 1, "", None]], "Row 1 .'b'. has the parent 2"),
    ([ROWS[0], ["b", -1, "K", 1, 1, "", None]], "Row 1 .'b'. has the parent -1"),
])
def test_rows_that_are_no_tree_are_refused_in_words(sent, rows, words):
    with pytest.raises(ValueError, match=words):
        ModuleTree().show(rows)


def test_an_empty_list_clears_the_tree(tree):
    tree.selected = "fc"
    tree.show([])
    assert tree.selected is None and repr(tree) == "ModuleTree(empty)"


def test_the_repr_names_the_model_and_counts(tree):
    assert repr(tree) == "ModuleTree('resnet', 5 modules)"


def test_a_closed_tree_takes_no_more(tree, sent):
    tree.close()
    sent.clear()
    tree.show(ROWS)
    assert sent == [] and tree._tree == ""
