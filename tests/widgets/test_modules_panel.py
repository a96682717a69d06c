"""The tab "Modules": the graph opens and closes, the tree follows it, a module shows its maps."""

from __future__ import annotations

import json
import threading

import numpy as np
import pytest
import torch
from torch import nn

import explorer
from explorer.inspection.graph.nodes import Node
from explorer.widgets.panels.modules.panel import ModulesPanel
from explorer.widgets.panels.modules.small_maps import drawable, gives_maps, grid_of
from explorer.widgets.parts.graph_view import GraphView
from explorer.widgets.session import Session

from .test_parts_base import from_browser

PHOTO = explorer.sample_photos()[0].path


@pytest.fixture(scope="module")
def session():
    session = Session()
    session.open_model(explorer.create_model("resnet18"))
    session.open_image(PHOTO)
    session.wait()
    yield session
    session.close()


@pytest.fixture
def panel(session):
    panel = ModulesPanel(session)
    panel.seen(True)
    assert panel.wait()
    yield panel
    panel.close()


def choose(panel, path: str) -> None:
    from_browser(panel.graph.view, {"kind": "choose", "key": "selected", "value": path})
    assert panel.wait()


def set_open(panel, path: str, opened: bool) -> None:
    from_browser(panel.graph.view, {"kind": "open", "path": path, "opened": opened})
    assert panel.wait()


def test_at_first_the_upper_level_and_one_block_with_a_skip_connection_are_drawn(panel):
    drawn, view = panel.graph.drawn, panel.graph.view
    assert {"/input", "conv1", "layer4", "/output"} <= set(view.drawn)
    skips = [wire for wire in view._drawing["wires"] if wire["skips"]]
    assert drawn.opened and skips and skips[0]["target"].endswith("/add")
    assert json.loads(json.dumps(view._drawing)) and "one pass" in view._drawing["said"]


def test_boxes_of_maps_have_a_small_picture_and_follow_the_photo(panel):
    pictured = {box["path"] for box in panel.graph.view._drawing["boxes"] if box["pictured"]}
    assert pictured == set(panel.graph.pictures) >= {"/input", "conv1", "layer4"}
    assert all(data.startswith(b"\x89PNG") for data in panel.graph.pictures.values())
    assert "fc" not in pictured and "global_pool" not in pictured


def test_a_block_opens_and_closes_with_what_is_open_in_it(panel):
    set_open(panel, "layer2", True)
    set_open(panel, "layer2.0", True)
    assert {"layer2.0.conv1", "layer2.0/add"} <= set(panel.graph.view.drawn)
    assert panel.graph.view._drawing["anchor"] == "layer2.0"
    set_open(panel, "layer2", False)
    assert "layer2" in panel.graph.view.drawn and "layer2.0" not in panel.graph.view.drawn
    set_open(panel, "layer2", True)
    assert "layer2.0.conv1" not in panel.graph.view.drawn


def test_a_click_shows_the_maps_of_any_module(panel):
    choose(panel, "conv1")
    given, seen = panel.given, panel.given.given
    assert torch.equal(torch.as_tensor(seen.shown.maps), seen.seen.modules["conv1"])
    assert given.mosaic.shown_channels == 40 and "40 of 64" in given.mosaic.note
    given.every.value = True
    assert given.mosaic.shown_channels == 64
    given.every.value = False
    assert 'explorer.look(model, photo, at=["conv1"])' in given.code()
    assert 'seen.mosaic("conv1"' in given.code()
    assert "explorer.graph(model)" in panel.graph.code()
    assert given.exported().startswith(b"\x89PNG") and "conv1" in given.heading()


def test_graph_and_tree_follow_each_other(panel):
    choose(panel, "bn1")
    assert panel.tree.selected == "bn1"
    panel.tree.selected = "layer3.0.conv2"
    assert panel.wait()
    assert "layer3.0.conv2" in panel.graph.view.drawn and panel.graph.view.selected == "layer3.0.conv2"
    assert panel.graph.view._drawing["reveal"] and panel.given.given.path == "layer3.0.conv2"
    choose(panel, "layer3.0/add")
    assert panel.tree.selected is None and "operation between modules" in panel.given.about.value
    assert panel.given.code() == "" and panel.given.figure() is None
    panel.tree.selected = ""
    assert panel.wait()
    assert panel.graph.view.selected == ""


def test_what_can_not_be_shown_is_a_sentence(panel):
    for path, said in {"/output": "answers of the network", "/input": "reads"}.items():
        choose(panel, path)
        assert said in panel.given.about.value
    assert panel.given.given.shown.maps.shape == (3, 224, 224)
    assert panel.given.code().endswith("explorer.look(model, photo).input")


def test_what_a_network_reads_is_not_always_red_green_and_blue(panel, session):
    with_colours = session.model
    session.model = explorer.create_model("resnet18", in_chans=1)
    session.wait()
    assert panel.wait()
    choose(panel, "/input")
    assert "reads: grey," in panel.given.about.value
    session.model = with_colours
    session.wait()


def test_another_photo_is_looked_at_and_another_model_drawn_anew(panel, session):
    choose(panel, "conv1")
    before, opened = panel.given.given, panel.graph.drawn.opened
    first, model = session.image, session.model
    session.open_image(explorer.sample_photos()[1].path)
    session.wait()
    assert panel.wait() and panel.given.given is not before
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3))
    session.open_model(explorer.wrap(net, input_size=(3, 32, 32)))
    session.wait()
    assert panel.wait() and "module.0" in panel.graph.view.drawn and panel.graph.view.selected == ""
    session.open_model(model)
    session.open_as(first, "first", None)
    session.wait()
    assert panel.wait() and panel.graph.drawn.opened == opened  # as it was left


def test_what_the_graph_exports_holds_names_shapes_and_pictures(panel):
    svg = panel.graph.exported("svg").decode()
    assert "conv1" in svg and "64 × 112 × 112" in svg and "resnet18" in svg and "<image" in svg
    assert panel.graph.exported("png").startswith(b"\x89PNG")


@pytest.mark.parametrize("message", [
    {"kind": "open"}, {"kind": "open", "path": "nowhere", "opened": True},
    {"kind": "open", "path": ["conv1"]},
    {"kind": "open", "path": "conv1", "opened": True}, {"kind": "open", "path": "layer2", "opened": "yes"},
    {"kind": "choose", "key": "selected", "value": "nowhere"},
    {"kind": "choose", "key": "selected", "value": 3},
    {"kind": "choose", "key": "_drawing", "value": {}}, {"kind": "dance"},
])
def test_strange_messages_change_nothing(panel, message):
    before = panel.graph.view._drawing
    from_browser(panel.graph.view, message)
    assert panel.wait() and panel.graph.view._drawing is before and panel.graph.view.selected != "nowhere"


def test_without_a_model_the_panel_waits():
    session = Session()
    panel = ModulesPanel(session)
    panel.seen(True)
    assert panel.wait() and panel.graph.code() == "" and panel.graph.figure() is None
    assert "Click a module" in panel.given.about.value
    panel.close()
    session.close()


def test_a_network_that_decides_by_its_numbers_is_drawn_as_it_ran():
    class Deciding(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.never, self.fc = nn.Conv2d(3, 4, 3), nn.Linear(2, 2), nn.Linear(4, 3)

        def forward(self, x):
            return self.fc(self.conv(x).mean((2, 3)) if x.mean().item() > -1e9 else self.never(x))

    session = Session()
    panel = ModulesPanel(session)
    panel.seen(True)
    session.open_model(explorer.wrap(Deciding(), input_size=(3, 32, 32)))
    session.open_image(PHOTO)
    session.wait()
    assert panel.wait() and "black photo" in panel.graph.view._drawing["said"]
    panel.tree.selected = "module.never"
    assert panel.wait() and "not called in this pass" in panel.given.about.value
    panel.close()
    session.close()


# --- what a module gave, as maps ------------------------------------------------------------------------


def test_tokens_go_back_to_their_places_and_the_rest_is_named():
    tokens = torch.arange(17 * 3.0).reshape(17, 3)
    found = drawable(tokens)
    assert found.maps.shape == (3, 4, 4) and found.maps[1, 0, 2] == tokens[3, 1]
    assert "without the 1" in found.words
    assert drawable(torch.ones(7, 3)).maps.shape == (1, 7, 3)
    assert drawable(torch.ones(5)).maps.shape == (5, 1, 1) and "vector" in drawable(torch.ones(5)).words
    assert drawable(torch.ones(2, 3, 4, 5)).maps.shape == (6, 4, 5)
    assert drawable(torch.ones(2, 3, 4), places=False).words
    assert np.array_equal(drawable(torch.eye(3)[None]).maps, np.eye(3)[None])
    assert (grid_of(197), grid_of(201), grid_of(30)) == ((14, 1), (14, 5), (5, 5))


@pytest.mark.parametrize("shape, wanted", [
    ((1, 8, 7, 7), True), ((1, 7, 7, 8), True), ((1, 8, 1, 1), False), ((1, 1000), False),
    ((1, 50, 64), True), ((64, 49, 96), False), ((1, 64, 49, 96), False), ([(1, 8, 7, 7)], False),
    (None, False),
])
def test_only_what_has_places_gets_a_small_picture(shape, wanted):
    assert gives_maps((224, 224), Node("a", "Conv2d", shape=shape)) is wanted


def test_the_view_shows_nothing_after_it_is_closed():
    view = GraphView()
    view.close()
    view.clear("gone")
    view.picture({"a": b""})
    assert view._drawing == {} and view._pictures == {}


def test_a_model_that_is_back_before_the_other_was_followed_is_the_one_that_is_drawn(monkeypatch):
    from explorer.inspection.graph import asking

    def net():
        return explorer.wrap(nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
                                           nn.Linear(4, 3)), input_size=(3, 32, 32))

    first, second, begun, held = net(), net(), threading.Event(), threading.Event()
    session = Session()
    session.open_model(first)
    session.open_image(PHOTO)
    session.wait()
    panel = ModulesPanel(session)
    panel.seen(True)
    assert panel.wait()
    own = panel.graph.drawn

    def slowly(model):
        begun.set()
        held.wait(30)
        return graph(model)

    graph = asking.graph
    monkeypatch.setattr(asking, "graph", slowly)
    session.open_model(second)
    session.wait()
    assert begun.wait(30)
    session.open_model(first)
    session.wait()
    held.set()
    assert panel.wait() and panel.graph.drawn is own
    panel.seen(False)
    session.open_model(second)
    session.wait()
    # nobody looks: what stands there is the first one's, and is given out as nobody's
    assert panel.graph.figure() is None and panel.graph.code() == ""
    panel.close()
    session.close()


def test_what_a_network_for_other_photos_reads_is_called_as_it_is():
    for channels, said in ((1, "grey"), (12, "12 channels")):
        net = nn.Sequential(nn.Conv2d(channels, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3))
        session = Session()
        session.open_model(explorer.wrap(net, input_size=(channels, 32, 32), mean=(0.5,) * channels,
                                         std=(0.5,) * channels))
        session.open_image(np.zeros((12, 40, 40), np.float32) if channels == 12 else PHOTO)
        session.wait()
        panel = ModulesPanel(session)
        panel.seen(True)
        assert panel.wait()
        choose(panel, "/input")
        assert f"reads: {said}, normalised" in panel.given.about.value
        panel.close()
        session.close()
