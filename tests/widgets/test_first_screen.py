"""The first screen: from the photo by its stages to the answers, and what a click on one of them opens."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch
from ipywidgets import widget
from PIL import Image
from traitlets import TraitError

import explorer
from explorer.inspection.look.stops import KINDS, even, words_of
from explorer.widgets.parts.answers import Answer, Answers
from explorer.widgets.parts.flow import Flow, Reads
from explorer.widgets.session import ExplorerError


@pytest.fixture(scope="module")
def dash():
    dash = explorer.Dashboard()
    dash.wait()
    yield dash
    dash.close()


def stops(dash) -> list[dict]:
    return dash.predictions.flow._stops["stops"]


def test_a_stop_says_what_its_stage_is_and_shows_its_strongest_maps(dash):
    look = dash.session.look
    assert [stop["name"] for stop in stops(dash)] == list(look.stages)
    for stop, maps in zip(stops(dash), look.stages.values(), strict=True):
        assert tuple(stop["shape"]) == tuple(maps.shape)
        strength = maps.abs().mean((1, 2))
        assert list(stop["channels"]) == strength.topk(4).indices.tolist()
    assert [stop["stride"] for stop in stops(dash)] == [2, 4, 8, 16, 32]
    assert [stop["words"] for stop in stops(dash)] == list(KINDS)
    packed = dash.predictions.flow._stops
    assert len(packed["sizes"]) == 20 and sum(packed["sizes"]) == len(packed["data"]) < 60_000


def test_a_click_on_a_stop_opens_its_maps_and_the_maps_mark_their_stop(dash):
    dash.predictions.flow._receive(None, {"kind": "open", "name": "blocks.4"}, [])
    assert dash.tabs.get_title(dash.tabs.selected_index) == "Feature maps"
    assert dash.stages.stage.value == "blocks.4" == dash.predictions.flow.chosen
    dash.stages.stage.value = "blocks.1"
    assert dash.predictions.flow.chosen == "blocks.1"
    dash.session.stage = "blocks.6"
    assert dash.stages.stage.value == "blocks.6"
    for strange in ("blocks.99", 7, None, ["blocks.4"]):
        dash.predictions.flow._receive(None, {"kind": "open", "name": strange}, [])
    assert dash.stages.stage.value == "blocks.6"


def test_a_click_on_an_answer_asks_where_it_comes_from(dash):
    answer = dash.session.look.predictions[1]
    dash.predictions.answers._receive(None, {"kind": "pick", "index": 1}, [])
    assert dash.tabs.get_title(dash.tabs.selected_index) == "Explain"
    assert dash.explain.wait() and dash.explain.heat_map.target.value == answer.label
    assert dash.explain.heat_map.shown.target == answer.index
    dash.explain.switch.value = "Change the photo"
    dash.predictions.answers._receive(None, {"kind": "pick", "index": 0}, [])
    assert dash.explain.switch.value == "Heat map" and dash.explain.wait()
    assert dash.explain.heat_map.shown.target == dash.session.look.predictions[0].index
    for strange in (99, -1, True, "0", None):
        dash.predictions.answers._receive(None, {"kind": "pick", "index": strange}, [])
    dash.explain.heat_map.target.value = ""
    assert dash.session.asked_class == ""


def test_what_was_asked_while_the_tab_was_out_of_sight_is_shown_when_it_opens(dash):
    dash.session.show_tab("Modules")
    dash.session.asked_class = "pizza"
    dash.session.image = explorer.sample_photos()[8]
    dash.wait()
    dash.session.show_tab("Explain")
    assert dash.explain.wait() and dash.explain.heat_map.shown.target == 963


def test_a_photo_of_ones_own_joins_the_strip_once_it_could_be_opened(dash):
    before = len(dash.session.gallery)
    dash.images.input._on_message("image", {"name": "broken.png"}, [b"nothing"])
    with pytest.raises(ExplorerError, match="not a picture"):
        dash.wait()
    assert len(dash.session.gallery) == before
    own = explorer.sample_photos()[9].path.read_bytes()
    dash.images.input._on_message("image", {"name": "me.jpg"}, [own])
    dash.wait()
    assert [title for title, _ in dash.session.gallery][before:] == ["me.jpg"]
    assert dash.images.gallery.selected == before
    dash.images.gallery._receive(None, {"kind": "pick", "index": 0}, [])
    dash.wait()
    dash.images.gallery._receive(None, {"kind": "pick", "index": before}, [])
    dash.wait()
    assert dash.session.image_name == "me.jpg" and len(dash.session.gallery) == before + 1


def test_photos_of_ones_own_with_one_name_each_have_a_place_in_the_strip():
    """All that a camera takes are called camera.jpg: the second one marked, and opened, the first."""
    data = [photo.path.read_bytes() for photo in explorer.sample_photos()[3:6]]
    dash = explorer.Dashboard(explorer.create_model("lenet5"), images=[Image.new("L", (40, 40), 90)])
    dash.wait()
    for one in (*data, data[1]):  # the last one once more
        dash.images.input._on_message("image", {"name": "<i>me.jpg"}, [one])
        dash.wait()
    titles = ["<i>me.jpg", "<i>me.jpg (2)", "<i>me.jpg (3)"]
    assert [title for title, _ in dash.session.gallery][1:] == titles
    assert dash.session.image_name == titles[1] and dash.images.gallery.selected == 2
    dash.images.input._on_message("image", {"name": "broken.png"}, [b"nothing"])
    with pytest.raises(ExplorerError, match="not a picture"):
        dash.wait()
    assert not dash.images._own
    dash.close()


def test_a_photo_for_which_there_is_no_place_is_said_to_have_none(monkeypatch):
    monkeypatch.setattr("explorer.widgets.panels.images.MAX_THUMBNAILS", 2)
    photos = [Image.new("L", (40, 40), grey) for grey in (90, 160)]
    dash = explorer.Dashboard(explorer.create_model("lenet5"), images=photos)
    dash.wait()
    own = explorer.sample_photos()[9].path.read_bytes()
    dash.images.input._on_message("image", {"name": "me.jpg"}, [own])
    dash.wait()
    assert dash.session.image_name == "me.jpg" and len(dash.session.gallery) == 2
    assert "not kept" in dash.images.input._said["text"] and dash.images.gallery.selected == -1
    dash.close()


@pytest.mark.parametrize("labels", [("7", "3", "0"), ("crane", "Crane", "cran"), ("a, b", "b", " c ")])
def test_an_answer_is_asked_about_whatever_the_classes_are_called(labels):
    torch.manual_seed(0)
    model = explorer.create_model("lenet5", num_classes=3)
    dash = explorer.Dashboard(model, labels=labels, images=[Image.new("L", (40, 40), 90)])
    dash.wait()
    for index, answer in enumerate(dash.session.look.predictions):
        dash.predictions.answers._receive(None, {"kind": "pick", "index": index}, [])
        assert dash.explain.wait() and dash.explain.heat_map.shown.target == answer.index
    dash.close()


def test_what_the_cells_of_a_former_model_read_is_not_shown_for_the_next(monkeypatch):
    asked, go_on = threading.Event(), threading.Event()

    def slow(model, names, size):
        asked.set()
        assert go_on.wait(30)
        return {name: Reads(said="of the former") for name in names}

    monkeypatch.setattr("explorer.widgets.panels.predictions.reads_of", slow)
    dash = explorer.Dashboard(explorer.create_model("lenet5"), images=[Image.new("L", (40, 40), 90)])
    dash.wait()
    flow = dash.predictions.flow
    flow._receive(None, {"kind": "reads"}, [])
    assert asked.wait(30)
    dash.session.model = explorer.create_model("lenet5", num_classes=2)
    dash.session.wait()
    assert dash.predictions._read is None
    go_on.set()
    assert dash.predictions.wait() and flow._reads == {}
    flow._receive(None, {"kind": "reads"}, [])
    assert dash.predictions.wait() and list(flow._reads) == list(flow.stops)
    dash.close()


def test_no_frame_is_drawn_for_an_input_of_another_shape(dash):
    from explorer.inspection.receptive.reads import reads_of

    model, names = dash.session.model, dash.predictions.flow.stops[:1]
    assert list(reads_of(model, names, (224, 224))) == list(names)
    assert reads_of(model, names, (224, 320)) == {}


def test_the_pointer_on_a_map_asks_once_which_part_of_the_photo_a_cell_reads(dash, monkeypatch):
    from explorer.inspection.receptive.asking import receptive_field

    panel = dash.predictions
    for _ in range(2):
        panel.flow._receive(None, {"kind": "reads"}, [])
        assert panel.wait()
    assert list(panel.flow._reads) == list(panel.flow.stops)
    reads = panel.flow._reads["blocks.1"]
    for row, column in ((0, 0), (30, 41), (55, 55)):
        (left, right), (top, bottom) = reads["columns"][column], reads["rows"][row]
        box = receptive_field(dash.session.model, "blocks.1", row, column).box
        np.testing.assert_allclose([224 * side for side in (left, top, right, bottom)], box, atol=1e-4)
    monkeypatch.setattr("explorer.widgets.panels.predictions.reads_of", None)  # not asked again
    panel.flow._receive(None, {"kind": "reads"}, [])
    assert panel.wait()


def test_stages_of_many_are_spread_and_only_a_trained_pyramid_gets_words():
    assert even(3, 5) == [0, 1, 2] and even(12, 5) == [0, 3, 6, 8, 11] and even(0, 5) == []
    assert words_of([2, 4, 8], [0, 1, 2], 3, trained=True) == [KINDS[0], KINDS[2], KINDS[4]]
    assert words_of([2, 4], [0, 1], 2, trained=False) == ["stage 1 of 2", "stage 2 of 2"]
    assert words_of([16, 16], [0, 11], 12, trained=True) == ["stage 1 of 12", "stage 12 of 12"]
    assert words_of([4], [0], 1, trained=True) == ["stage 1 of 1"]


def test_networks_without_maps_and_with_odd_ones_have_a_way_too():
    torch.manual_seed(0)
    flat = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 32 * 32, 4))
    photo = Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 40, 3), dtype=np.uint8))
    for model in (flat, explorer.create_model("vit_tiny_patch16_224", num_classes=3)):
        dash = explorer.Dashboard(model, images=[photo], input_size=(3, 32, 32) if model is flat else None)
        dash.wait()
        shown = stops(dash)
        assert len(shown) == (0 if model is flat else 5)
        if shown:
            assert shown[-1]["words"] == "stage 12 of 12"
            assert "5 of 12" in dash.predictions.flow._stops["note"]
        dash.close()


def test_the_parts_hold_what_they_are_given():
    answers, flow = Answers(), Flow()
    answers.show([Answer("<b>x</b>", "1 %", 0.01), Answer("nan", "not a number", float("nan"))])
    assert answers.rows[0].name == "<b>x</b>"
    flow.show([])
    assert flow.stops == () and "0 stops" in repr(flow)
    for part in (answers, flow):
        part.close()


def test_a_click_counts_for_the_answer_that_was_clicked_though_it_has_moved_meanwhile():
    answers, heard = Answers(), []
    answers.on_pick(heard.append)
    answers.show([Answer("cat", "60 %", 0.6), Answer("dog", "40 %", 0.4)])
    for index, name in ((0, "dog"), (1, "dog"), (0, "cow"), (0, ["cat"]), (0, None)):
        answers._receive(None, {"kind": "pick", "index": index, "name": name}, [])
    assert heard == [1, 1, 0]
    answers.close()


# --- two models side by side ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def two():
    dash = explorer.Dashboard(models=["tf_efficientnet_lite0", "tf_efficientnet_lite1"])
    dash.wait()
    yield dash
    dash.close()


def said(dash) -> list[str]:
    return [one.look.predictions[0].label for one in (dash.session, dash.second.session)]


def test_two_models_answer_side_by_side_and_follow_every_photo(two):
    assert said(two) == ["Walker hound", "beagle"]
    two.images.gallery._receive(None, {"kind": "pick", "index": 8}, [])
    two.wait()
    assert said(two) == ["espresso", "espresso"] and two.second.session.image_name == "Espresso"
    assert two.second.line.description == "tf_efficientnet_lite1.in1k · 5.42 M · 76.6 % ✕"
    two.images.gallery._receive(None, {"kind": "pick", "index": 2}, [])
    two.wait()


def test_a_click_on_one_asks_both(two):
    two.second.predictions.flow._receive(None, {"kind": "open", "name": "blocks.4"}, [])
    assert two.tabs.titles[two.tabs.selected_index] == "Feature maps"
    assert two.session.stage == two.second.session.stage == "blocks.4"
    two.predictions.answers._receive(None, {"kind": "pick", "index": 1}, [])
    pair = two.tabs.children[two.tabs.selected_index]
    assert pair.wait() and [panel.heat_map.shown.target for panel in pair.panels] == [162, 162]


def test_its_lines_give_the_second_models_answers(two):
    scope: dict = {"dash": two}
    *lines, last = two.second.predictions.code().splitlines()
    exec("\n".join(lines), scope)
    names = [one.name for one in two.second.predictions.answers.rows]
    assert [one.label for one in eval(last, scope)] == names


def test_stages_of_equal_stride_go_together_also_between_families(two):
    two.session.beside = "tf_efficientnet_lite2"
    two.wait()
    two.session.model = explorer.create_model("resnet10t", num_classes=3)
    two.wait()
    two.session.stage = "layer3"
    assert two.second.session.stage == "blocks.4"
    two.second.session.stage = "blocks.1"
    assert two.session.stage == "layer1"
    two.session.asked_class = "class 1"  # the other has no such class, and is not asked
    assert two.second.session.asked_class != "class 1"


def test_one_model_again_leaves_nothing_behind_and_a_wrong_one_is_a_sentence():
    dash = explorer.Dashboard(explorer.create_model("lenet5"), images=[Image.new("L", (40, 40), 90)])
    dash.wait()
    dash.session.beside = None
    before = set(widget._instances)
    for wrong, why in (("resnet999", "resnet"), (7, "torch.nn.Module")):
        with pytest.raises(TraitError, match=why):
            dash.session.beside = wrong
    dash.session.beside = explorer.create_model("lenet5", num_classes=2)
    dash.wait()
    assert "dash.second.session.model" in dash.second.predictions.code()
    dash.second.line.click()
    assert dash.second is None and dash.session.beside is None and set(widget._instances) == before
    dash.session.beside = "resnet10t"  # its weights are not on this computer
    with pytest.raises(ExplorerError, match="not on this computer"):
        dash.wait()
    assert "not on this computer" in dash.second.message.value
    dash.close()
    dash.close()
    with pytest.raises(ValueError, match="two models"):
        explorer.Dashboard(models=["lenet5"] * 3)
