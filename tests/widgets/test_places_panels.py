"""The tabs Detect and Segment: what they draw, say and write down, and that no slider asks the network."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import explorer
from tests.html import parse
from tests.models.oracle import randomise

LABELS = ("cat", "<b>dog</b>", "=HYPERLINK()")


@pytest.fixture(scope="module")
def detector():
    torch.manual_seed(0)
    model = explorer.create_model("retinanet", backbone="resnet18", num_classes=3)
    torch.nn.init.constant_(model.head.classification_head.cls_logits.bias, -1.0)
    model.config = model.config.with_(input_size=(3, 128, 128), labels=LABELS)
    return model.eval()


@pytest.fixture(scope="module")
def segmenter():
    model = explorer.create_model("unet", backbone="resnet18", num_classes=3)
    randomise(model)
    model.config = model.config.with_(input_size=(3, 64, 64), labels=("background", *LABELS[:2]))
    return model.eval()


@pytest.fixture
def open_tab(sent):
    """Opens a dashboard on a model and a tab; closes them all in the end."""
    opened = []

    def opener(model, title):
        dash = explorer.Dashboard(model)
        opened.append(dash)
        dash.wait()
        dash.tabs.selected_index = list(dash.tabs.titles).index(title)
        return dash, dash.tabs.children[dash.tabs.selected_index]

    yield opener
    for dash in opened:
        dash.close()


def test_boxes_are_those_of_detect_and_sliders_ask_no_network(detector, open_tab):
    dash, panel = open_tab(detector, "Detect")
    counted = []
    hook = detector.backbone.register_forward_pre_hook(lambda *_: counted.append(1))
    try:
        for score, overlap in ((0.2, 0.5), (0.05, 0.9), (0.4, 0.1)):
            panel.score.value, panel.overlap.value = score, overlap
            wanted = dash.session.look.detections.at(score_threshold=score, iou_threshold=overlap)
            assert torch.equal(panel.shown.boxes, wanted.boxes)
            drawn = np.frombuffer(panel.view._boxes["edges"], np.float32).reshape(-1, 4) \
                if panel.view._boxes else np.zeros((0, 4))
            assert np.allclose(drawn, wanted.boxes.numpy())
            assert f"{len(wanted):,} box" in parse(panel.facts.value).text
    finally:
        hook.remove()
    assert not counted
    found = explorer.detect(detector, dash.session.image, score_threshold=0.4, iou_threshold=0.1)
    assert torch.allclose(found.boxes, panel.shown.boxes, atol=0.01)


def test_before_nms_all_candidates_are_drawn(detector, open_tab):
    _, panel = open_tab(detector, "Detect")
    panel.score.value = 0.25
    after = len(panel.shown)
    panel.raw.value = True
    above = int((panel.shown.candidates.scores > 0.25).sum())
    assert len(panel.view._boxes["edges"]) // 16 == min(above, 2000) > after
    assert panel.overlap.disabled


def test_two_boxes_that_are_clicked_have_an_iou(detector, open_tab):
    _, panel = open_tab(detector, "Detect")
    panel.score.value = 0.2
    panel.raw.value = True
    panel.view._on_message("chosen", {"chosen": [0, 1], "generation": panel.view._boxes["generation"]}, [])
    one, other = panel._boxes()[0][:2]
    left, top = np.maximum(one[:2], other[:2])
    right, bottom = np.minimum(one[2:], other[2:])
    shared = max(right - left, 0) * max(bottom - top, 0)
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
    assert f"IoU {shared / (sum(areas) - shared):.2f}" in parse(panel.pair.value).text


def test_names_are_text_and_the_lines_give_what_is_shown(detector, open_tab):
    dash, panel = open_tab(detector, "Detect")
    panel.score.value = 0.1
    assert "<b>dog" not in panel.facts.value
    space = {"dash": dash}
    exec(panel.code().replace("found.overlay()", ""), space)  # our own lines
    assert torch.allclose(space["found"].boxes, panel.shown.boxes, atol=0.01)
    assert panel.figure().size == dash.session.image.size
    assert "above 0.10" in panel.caption()


def test_a_mask_is_that_of_segment(segmenter, open_tab):
    dash, panel = open_tab(segmenter, "Segment")
    wanted = explorer.segment(segmenter, dash.session.image)
    assert torch.equal(panel.shown.mask, wanted.mask)
    sent = panel.view._mask
    codes = np.frombuffer(sent["data"], np.uint16).reshape(sent["height"], sent["width"])
    step = -(-max(wanted.mask.shape) // 640)
    assert np.array_equal(codes, wanted.mask.numpy()[::step, ::step])
    assert sent["names"] == ["background", *LABELS[:2]] and sent["colours"][0] == ""
    assert min(sent["values"]) >= 255 // 3 - 1  # of three classes the likeliest


def test_a_class_alone_is_in_the_lines_and_the_figure(segmenter, open_tab):
    dash, panel = open_tab(segmenter, "Segment")
    index = next(index for index in panel.shown.found if index)
    panel.view._choose("isolated", index)
    space = {"dash": dash}
    exec(panel.code(), space)  # our own lines
    assert torch.equal(space["found"].mask, panel.shown.mask)
    wanted = panel.shown.overlay(0.5, classes=[index])
    assert np.array_equal(np.asarray(panel.figure()), np.asarray(wanted))


@pytest.mark.parametrize("title", ["Detect", "Segment"])
def test_a_model_of_another_task_is_a_sentence(title, open_tab):
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(),
                              torch.nn.Linear(4, 2))
    _, panel = open_tab(net, title)
    assert panel.body.layout.display == "none" and panel.empty.layout.display == ""
    assert panel.code() == "" and panel.figure() is None
    with pytest.raises(ValueError, match="choose a model that finds"):
        panel.exported()


def test_every_tab_opens_on_such_a_model(detector, segmenter, open_tab):
    for model in (detector, segmenter):
        dash, _ = open_tab(model, "Detect")
        for index, panel in enumerate(dash.tabs.children):
            dash.tabs.selected_index = index
            assert panel.wait(60)
        assert dash.session.error == "" and "Detect" in dash.predictions.bars.value or \
            "Segment" in dash.predictions.bars.value
