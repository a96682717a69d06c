"""Every tab of the dashboard with the networks for boxes and masks that come along, and their heat maps."""

from __future__ import annotations

import ipywidgets as W
import pytest
import torch

import explorer
from explorer.inspection.attribution.methods import METHODS
from tests.html import parse

SHIPPED = {"retinanet_lite0.bccd": "bccd", "unet_lite0.nuclei": "nuclei"}


@pytest.fixture(params=SHIPPED)
def dash(request, sent):
    made = explorer.Dashboard(request.param, explorer.sample_photos(SHIPPED[request.param]))
    made.wait()
    yield made
    made.close()


def go_to(dash, title):
    dash.tabs.selected_index = list(dash.tabs.titles).index(title)
    panel = dash.tabs.children[dash.tabs.selected_index]
    assert panel.wait(60)
    return panel


def failures(widget):
    """What stands on the screen that says that something failed."""
    if widget.layout is not None and widget.layout.display == "none":
        return []
    found = [child for child in getattr(widget, "children", ()) if hasattr(child, "layout")]
    own = widget.value if isinstance(widget, W.HTML) else ""
    bad = [own] if "did not work" in own or 'role="alert"' in own else []
    return bad + [text for child in found for text in failures(child)]


def test_no_tab_fails(dash):
    for title in dash.tabs.titles:
        panel = go_to(dash, title)
        for part in getattr(panel, "panels", {"": panel}):
            if part:
                panel.switch.value = part
                assert panel.wait(60)
            assert not failures(panel), (title, part)
    inside = dash.explain.inside
    dash.explain.seen(True)
    for _, name in inside.view.options:
        inside.view.value = name
        assert inside.wait(60)
        assert name == "attention" or not failures(inside), name  # which says that there is none
    inside.view.value = "gradients"
    assert "choose a model that finds classes" in inside.block.problem.value and inside.block.go.disabled
    assert "and what is tried here follows" in dash.explain.what_if.empty.value
    assert not dash.session.error and not dash.message.value


def test_a_heat_map_is_there_at_once_and_the_lines_give_it_again(dash):
    panel, look = go_to(dash, "Explain").heat_map, dash.session.look
    boxes = look.detections is not None
    found = panel.shown
    assert panel.method.value == found.method == ("layercam" if boxes else "gradcam")
    assert found.asked in parse(panel.facts.value).text and found.caption in panel.caption()
    assert "method=" not in panel.code()
    figure = panel.figure()  # the bar of its colours is below
    assert figure.width == look.image.width and figure.height > look.image.height
    panel.target.value = panel.target.options[2 if boxes else 1]
    assert panel.wait() and panel.shown is not found
    assert (panel.shown.number == 2) if boxes else (panel.shown.target == 1)
    assert bool(panel.view._boxes) == boxes
    space = {"dash": dash}
    exec(panel.code(), space)  # our own lines
    assert torch.allclose(space["found"].heatmap, panel.shown.heatmap, atol=1e-4)
    for beside in ("classes", "methods"):
        panel.beside.value = beside
        assert panel.wait(60) and len(panel.strip.captions) > 1 and not failures(panel)


def test_what_can_not_be_asked_is_a_sentence(dash):
    panel = go_to(dash, "Explain").heat_map
    for name, method in METHODS.items():
        if method.group == "attention":
            panel.method.value = name
            assert panel.wait() and "no boxes and no regions" in panel.problem.value and not panel.view._boxes
    panel.method.value = "saliency"
    assert panel.wait() and panel.shown.method == "saliency" and not failures(panel)
    sentences = {"no such thing": "None of the"}
    if dash.session.look.detections is not None:
        sentences |= {"box 900": "from the best", "box 0: <b>cat</b> 12 %": "choose one of its boxes"}
    for text, sentence in sentences.items():
        panel.target.value = text
        assert panel.wait() and sentence in panel.problem.value and "<b>cat" not in panel.problem.value


def test_another_photo_has_other_boxes_and_another_model_its_own_method(dash):
    panel, session = go_to(dash, "Explain").heat_map, dash.session
    panel.target.value = panel.target.options[0]
    session.open_image(*reversed(session.gallery[1]))
    session.wait()
    assert panel.wait() and panel.shown is not None and not failures(panel)
    if session.look.detections is not None:
        assert panel.target.value in ("", panel.target.options[0])
    session.open_model("resnet10t", pretrained=False)
    session.wait()
    assert panel.wait() and panel.shown.method == panel.method.value == "gradcam"
    assert panel.target.description == "Class" and not panel.view._boxes and not failures(panel)
