"""How is this number computed: cells, layers, what lies behind, the effective field."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import explorer
from explorer.widgets.parts.number_view import NumberView
from tests.inspection.small_models import noise_photo
from tests.models.samples import net_without_maps


@pytest.fixture(scope="module")
def dash():
    dash = explorer.Dashboard()
    dash.wait()
    yield dash
    dash.close()


@pytest.fixture
def panel(dash):
    """The feature maps, with the number of a cell of the third stage."""
    panel = dash.stages
    panel.stage.value = "blocks.2"
    click(panel, 3, 5, 5)
    yield panel
    panel.number.shut()


def click(panel, channel, row, column):
    panel.mosaic._receive(None, {"kind": "cell", "channel": channel, "row": row, "column": column}, [])
    assert panel.wait(60)


def wish(panel, **message):
    panel.number.view._receive(None, message, [])
    assert panel.wait(60)


def test_a_click_on_a_cell_tells_a_sum_that_is_the_cell(panel):
    facts, maps = panel.number.view._number, panel.session.look.stages["blocks.2"]
    assert facts["value"] == pytest.approx(float(maps[3, 5, 5]), rel=1e-4)
    assert facts["computed"] == pytest.approx(facts["value"], abs=1e-5 * max(1, abs(facts["sum"])))
    products = [term["product"] for term in facts["terms"]]
    assert sorted(map(abs, products), reverse=True) == list(map(abs, products))
    assert sum(products) + facts["rest"] == pytest.approx(facts["sum"])
    first, second = (np.frombuffer(facts[name], "<f4") for name in ("first", "second"))
    assert first * second == pytest.approx(products, rel=1e-5)
    assert [step["name"] for step in facts["steps"]] == ["batch normalisation", "add"]
    assert "another branch is added" in facts["said"] and "blocks.2.1.conv_pwl" in facts["said"]


def test_a_step_takes_no_pass_and_play_keeps_the_terms_in_sight(panel, monkeypatch):
    monkeypatch.setattr("explorer.inspection.number.asking.explain_number", None)
    terms = panel.number.view.terms
    wish(panel, kind="at", row=20, column=21, keep=True)
    assert panel.number.view.terms == terms
    wish(panel, kind="at", row=20, column=21, keep=False)
    assert panel.number.view.terms != terms
    map_before = panel.number.view._layer["map"]
    wish(panel, kind="channel", channel=7)
    assert panel.number.shown.channel == 7 and panel.number.view._layer["map"] != map_before
    maps = panel.session.look.stages["blocks.2"]
    assert panel.number.shown.value == pytest.approx(float(maps[7, 20, 21]), rel=1e-4)
    wish(panel, kind="at", row=99, column=0)
    assert "28 rows" in panel.number.problem.value


def test_the_way_goes_on_to_the_convolution_behind_the_other_branch_a_layer_and_back(panel):
    number = panel.number
    term = number.view._number["terms"][0]
    wish(panel, kind="behind", term=term["place"], row=0, column=0)
    behind = number.shown
    assert behind.module == "blocks.2.1.bn2.act" and behind.channel == term["number"]
    given = np.frombuffer(number.view._number["first"], "<f4")
    assert behind.terms.kind == "depthwise convolution" and len(given) == 25
    assert number.view._layer["back"] == "blocks.2, channel 3, row 5, column 5"
    wish(panel, kind="back")
    assert (number.shown.module, number.shown.row) == ("blocks.2", 5)
    wish(panel, kind="branch", step=1)
    assert number.shown.module == "blocks.2.0.bn3"
    assert number.view._layer["layers"][:2] == ["blocks.2", "blocks.2.0.conv_pw"]
    wish(panel, kind="layer", place=1)
    assert number.shown.module == "blocks.2.0.conv_pw"
    assert number.shown.row == 10  # at the same share of a map of twice as many rows


def test_what_the_cells_read_and_how_strongly_is_shown_on_request(panel):
    layer, heat = panel.number.view._layer, panel.number.view._heat
    assert len(layer["readColumns"]) == len(layer["readRows"]) == 28 and heat == {}
    wish(panel, kind="field")
    heat = panel.number.view._heat
    assert len(heat["data"]) == heat["height"] * heat["width"] == 224 * 224
    assert "theoretical field" in heat["said"] and "by gradient" in heat["said"]
    assert max(heat["data"]) == 255 and "receptive_field" in panel.code()
    wish(panel, kind="at", row=6, column=6)
    assert panel.number.view._heat == {}  # it was of another cell


def test_a_wish_for_the_field_does_not_hold_up_the_map_that_is_on_its_way(panel):
    number = panel.number
    term = number.view._number["terms"][0]["place"]
    with panel.session.lock:  # the second press comes before the first is answered
        number.view._receive(None, {"kind": "behind", "term": term, "row": 0, "column": 0}, [])
        number.view._receive(None, {"kind": "field"}, [])
    assert panel.wait(60) and number.shown.module == "blocks.2.1.bn2.act" and number.field is None
    wish(panel, kind="at", row=7, column=8)
    assert (number.shown.row, number.shown.column) == (7, 8)


def test_a_value_that_is_no_number_has_a_repr():
    view = NumberView()
    view.show({"module": "stem", "channel": 0, "row": 1, "column": 2, "value": "NaN"})
    assert repr(view) == "NumberView(stem[0, 1, 2] = NaN)"
    view.close()


def test_the_lines_give_the_number_and_the_figure_shows_it(panel):
    names: dict = {}
    exec(panel.code(), names)
    assert names["number"].value == panel.number.shown.value
    assert "channel 3, row 5, column 5" in panel.heading() and "blocks.2.1.conv_pwl" in panel.caption()
    assert panel.exported("png")[:4] == b"\x89PNG" and b"<svg" in panel.exported("svg")
    panel.number.shut()
    assert "explain_number" not in panel.code() and "Order:" in panel.caption()


def test_another_photo_tells_the_same_cell_another_stage_or_model_tells_none(dash, panel):
    before = panel.number.shown.value
    dash.session.image = noise_photo(300, 260)
    dash.wait()
    assert panel.wait(60) and panel.number.asked.row == 5 and panel.number.shown.value != before
    panel.stage.value = "blocks.4"
    assert panel.number.shown is None and panel.number.view.layout.display == "none"
    click(panel, 0, 1, 1)
    dash.session.model = explorer.create_model("resnet10t", num_classes=2)
    dash.wait()
    assert panel.number.shown is None and panel.number.problem.value == ""
    click(panel, 0, 1, 1)
    assert [step["name"] for step in panel.number.view._number["steps"]][-1] == "ReLU"
    dash.session.open_model("tf_efficientnet_lite0")
    dash.wait()


def test_attention_shows_the_row_of_weights_over_the_photo():
    torch.manual_seed(0)
    model = explorer.create_model("vit_tiny_patch16_224", img_size=64, depth=1, num_classes=2).eval()
    dash = explorer.Dashboard(model, images=[noise_photo(64, 64)])
    dash.wait()
    panel = dash.stages
    click(panel, 3, 1, 2)
    layers = panel.number.view._layer["layers"]
    wish(panel, kind="layer", place=layers.index("blocks.0.attn"))
    mixed = panel.number.view._number["mixed"]
    weights = np.frombuffer(mixed["weights"], "<f4")
    assert mixed["grid"] == [4, 4] and len(weights) == 16 and 0 < weights.sum() < 1  # and the class token
    products = [place["product"] for place in mixed["places"]]
    assert sum(products) + mixed["rest"] == pytest.approx(mixed["total"], abs=1e-6)
    dash.close()


def test_gates_are_said_and_led_to_and_what_has_no_terms_is_said():
    torch.manual_seed(0)
    model = explorer.create_model("efficientnet_b0", num_classes=2).eval()
    model.config = model.config.with_(input_size=(3, 64, 64))
    dash = explorer.Dashboard(model, images=[noise_photo(64, 64)])
    dash.wait()
    panel, number = dash.stages, dash.stages.number
    panel.stage.value = "blocks.1"
    click(panel, 3, 1, 2)
    wish(panel, kind="behind", term=number.view._number["terms"][0]["place"], row=0, column=0)
    assert number.shown.module == "blocks.1.1.se" and "a gate multiplies it" in number.view._number["said"]
    gate = next(at for at, step in enumerate(number.view._number["steps"]) if step["other"])
    wish(panel, kind="branch", step=gate)
    assert number.shown.module == "blocks.1.1.se.gate" and number.view._number["kind"] == "convolution"
    dash.close()


def test_networks_whose_maps_are_not_told_say_so():
    model = explorer.create_model("unet", backbone="resnet18", num_classes=3).eval()
    model.config = model.config.with_(input_size=(3, 64, 64))
    dash = explorer.Dashboard(model, images=[noise_photo(64, 64)])
    dash.wait()
    click(dash.stages, 0, 1, 1)
    assert "finds boxes or masks" in dash.stages.number.problem.value
    dash.session.model = net_without_maps()
    dash.wait()
    click(dash.stages, 0, 0, 0)  # no such cell: nothing happens
    assert dash.stages.number.shown is None
    dash.close()
    click(dash.stages, 0, 0, 0)


def test_the_layers_of_an_ensembles_member_can_be_gone_to():
    torch.manual_seed(0)
    parts = {name: explorer.create_model("resnet10t", num_classes=2).eval() for name in ("a", "b")}
    for model in parts.values():
        model.config = model.config.with_(input_size=(3, 64, 64))
    dash = explorer.Dashboard(explorer.Ensemble(parts), images=[noise_photo(64, 64)])
    dash.wait()
    panel, number = dash.stages, dash.stages.number
    panel.stage.value = "b/layer1"
    click(panel, 3, 2, 2)
    layers = number.view._layer["layers"]
    assert layers[0] == "b/layer1" and all(layer.startswith("b/") for layer in layers[1:])
    wish(panel, kind="layer", place=layers.index("b/layer1.0.conv1"))
    assert number.shown.module == "b/layer1.0.conv1" and number.problem.value == ""
    assert number.view._layer["readColumns"]
    names: dict = {"dash": dash}
    exec(panel.code(), names)
    assert names["number"].value == number.shown.value
    wish(panel, kind="back")
    wish(panel, kind="behind", term=number.view._number["terms"][0]["place"], row=0, column=0)
    assert number.shown.module.startswith("b/layer1.") and number.problem.value == ""
    dash.close()


def test_a_number_that_is_none_is_shown_in_words():
    view = NumberView()
    view.show({"module": "conv", "channel": 0, "row": 1, "column": 2, "value": "NaN"})
    assert repr(view) == "NumberView(conv[0, 1, 2] = NaN)"
    view.close()


def test_the_stages_of_another_model_of_the_same_names_have_their_own_sizes():
    dash = explorer.Dashboard("lenet5", images=[noise_photo(64, 64)])
    for name, channels in (("resnet18", 64), ("resnet26", 256)):
        model = explorer.create_model(name, num_classes=2).eval()
        model.config = model.config.with_(input_size=(3, 64, 64))
        dash.session.model = model
        dash.wait()
        assert dash.stages.stage.options[1] == "layer1"
        assert dash.stages.stage.tooltips[1] == f"{channels} × 16 × 16"
    dash.close()
