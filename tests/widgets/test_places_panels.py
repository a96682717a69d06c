"""The tabs Detect and Segment: what they draw, say and write down, and that no slider asks the network."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.ops import box_iou

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
    panel.mode.value = "before"
    above = int((panel.shown.candidates.scores > 0.25).sum())
    assert len(panel.view._boxes["edges"]) // 16 == min(above, 2000) > after
    assert panel.overlap.disabled


def test_two_boxes_that_are_clicked_have_an_iou(detector, open_tab):
    _, panel = open_tab(detector, "Detect")
    panel.score.value = 0.2
    panel.mode.value = "before"
    panel.view._on_message("chosen", {"chosen": [0, 1], "generation": panel.view._boxes["generation"]}, [])
    one, other = panel.drawn.edges[:2]
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


@pytest.fixture
def known(tmp_path):
    """A COCO file of one photo with three boxes, one of which is a crowd; and the photo's path."""
    Image.new("RGB", (160, 120), "teal").save(tmp_path / "a.png")
    rows = [[10, 20, 60, 50], [80, 30, 40, 70], [0, 0, 30, 20]]
    annotations = [{"id": number, "image_id": 1, "category_id": 1 + number % 2, "bbox": box,
                    "area": box[2] * box[3], "iscrowd": int(number == 2)} for number, box in enumerate(rows)]
    categories = [{"id": 1, "name": "cat"}, {"id": 2, "name": "<b>dog</b>"}]
    images = [{"id": 1, "file_name": "a.png", "width": 160, "height": 120}]
    record = {"images": images, "annotations": annotations, "categories": categories}
    (tmp_path / "known.json").write_text(json.dumps(record), encoding="utf-8")
    return tmp_path / "known.json", tmp_path / "a.png"


def test_true_boxes_say_what_is_right_wrong_and_missed(detector, open_tab, known):
    dash, panel = open_tab(detector, "Detect")
    record, photo = known
    panel.known.field.value = str(record)
    assert panel.wait() and "is none of them" in panel.known.said.value and panel.truth is None
    panel.known.browse.click()
    dash.wait()
    assert dash.session.image_name == "a" and panel.colours.value == "truth"
    panel.score.value = 0.99
    text = parse(panel.facts.value).text
    assert "0 right (TP), 0 wrong (FP), 2 missed (FN)" in text and "No box above 99.0 %" in text
    dashed = np.frombuffer(panel.view._ghosts["edges"], np.float32).reshape(-1, 4)
    assert dashed.tolist() == [[10, 20, 70, 70], [80, 30, 120, 100]]
    panel.score.value = 0.05
    space = {"dash": dash}
    exec(panel.code().replace("found.judged", "judged = found.judged"), space)  # our own lines
    judged = space["judged"]
    assert judged.verdicts == panel.judged.verdicts and judged.missed == panel.judged.missed
    panel.mode.value = "anchors"
    found = panel.shown.positives(panel.truth)
    assert set(found.things.tolist()) == {0, 1}  # a crowd has none
    assert f"{len(found):,} of" in parse(panel.facts.value).text
    panel.view._on_message("chosen", {"chosen": [1], "generation": panel.view._boxes["generation"]}, [])
    assert len(panel.laid.ghosts) == int((found.things == 1).sum())
    assert panel.figure().size == (160, 120)


def test_boxes_of_classes_that_the_network_does_not_know_are_a_sentence(detector, open_tab, known):
    dash, panel = open_tab(detector, "Detect")
    record, photo = known
    record.write_text(record.read_text().replace('"cat"', '"<i>horse</i>"'), encoding="utf-8")
    panel.known.give(record)
    dash.load(photo)
    dash.wait()
    assert panel.truth is None and "The network does not know" in parse(panel.notes.value).text
    assert "<i>" not in panel.notes.value and panel.colours.value == "class"


def test_a_box_that_is_clicked_says_its_level_its_anchor_and_its_heap(detector, open_tab):
    _, panel = open_tab(detector, "Detect")
    panel.score.value, panel.overlap.value = 0.2, 0.3
    panel.view._on_message("chosen", {"chosen": [0], "generation": panel.view._boxes["generation"]}, [])
    found = panel.shown
    heap = found.heap(0)
    own = int(found.indices[0])
    beside = found.candidates.take((found.candidates.labels == own) & (found.candidates.scores > 0.2))
    over = box_iou(found.chosen.boxes[:1], beside.boxes)[0] > 0.3
    assert len(heap) == int(over.sum()) - 1  # itself
    assert f"NMS threw out {len(heap):,} candidate" in parse(panel.pair.value).text
    assert "found on level P" in parse(panel.pair.value).text
    assert len(panel.view._ghosts["edges"]) // 16 == len(heap) + 1  # and the anchor
    anchor = found.anchors_at(*found.boxes[0].view(2, 2).mean(0).tolist())
    assert len(anchor) == 45  # nine at each of five levels


def test_levels_colour_and_filter_what_is_drawn(detector, open_tab):
    _, panel = open_tab(detector, "Detect")
    panel.score.value, panel.mode.value, panel.colours.value = 0.2, "before", "level"
    assert panel.level.options[1][0] == "level P3, every 8 pixels"
    for _, level in panel.level.options[1:]:
        panel.level.value = level
        few = panel.shown.candidates
        count = int(((few.levels == level) & (few.scores > 0.2)).sum())
        assert len(panel.drawn.edges) == min(count, 2000) and len(set(panel.drawn.colours)) <= 1


def test_a_photo_is_looked_at_once_for_both_tabs(detector, segmenter, open_tab):
    for model, title in ((detector, "Detect"), (segmenter, "Segment")):
        dash, panel = open_tab(model, title)
        passes = []
        first = next(layer for layer in model.body.modules() if isinstance(layer, torch.nn.Conv2d))
        hook = first.register_forward_pre_hook(lambda *_, passes=passes: passes.append(1))
        try:
            dash.session.open_image(*reversed(dash.session.gallery[1]))
            dash.wait()
            assert panel.wait() and panel.shown.image is dash.session.image
            panel.mode.value = panel.mode.options[-1][1]
            panel.code(), panel.figure()
        finally:
            hook.remove()
        assert len(passes) == 1


def test_a_true_mask_gives_the_iou_and_where_it_differs(segmenter, open_tab, tmp_path):
    dash, panel = open_tab(segmenter, "Segment")
    said = panel.shown.mask.numpy()
    truth = said.copy()
    truth[:, :40] = 1
    truth[:5] = 255
    panel.known.give(truth)
    counted = truth != 255
    either = {index: ((said == index) | (truth == index)) & counted for index in range(3)}
    ious = {index: ((said == index) & (truth == index)).sum() / places.sum()
            for index, places in either.items() if places.any()}
    assert panel.judged.ious == pytest.approx(ious)
    assert f"Mean IoU {np.mean([*ious.values()]):.3f}" in parse(panel.facts.value).text
    assert "<b>dog" not in panel.facts.value
    panel.mode.value = "truth"
    codes = np.frombuffer(panel.view._mask["data"], np.uint16)
    assert set(np.unique(codes)) <= {0, 1, 2, 3, 4, 5} and panel.figure().size == dash.session.image.size
    Image.fromarray(truth).save(tmp_path / "mask.png")
    panel.known.field.value = str(tmp_path / "mask.png")
    assert panel.wait() and panel.judged.ious == pytest.approx(ious)
    for wrong, words in (("/nowhere.png", "nowhere.png"), ("/nowhere", "nowhere")):
        panel.known.field.value = wrong
        assert panel.wait() and words in parse(panel.known.work.message.value).text
    panel.known.give(np.zeros((3, 4), int))
    assert "has 4 x 3 pixels" in panel.notes.value and panel.judged is None


def test_the_probability_of_a_class_is_shown_everywhere(segmenter, open_tab):
    dash, panel = open_tab(segmenter, "Segment")
    panel.mode.value, panel.label.value = "probability", 1
    wanted = explorer.segment(segmenter, dash.session.image).probabilities(1)
    heat = panel.view._heat
    values = np.frombuffer(heat["data"], np.uint8).reshape(heat["height"], heat["width"]) / 255
    assert abs(float(values.mean()) - float(wanted.mean())) < 0.01
    assert panel.view._mask["reads"] == LABELS[0] and 'probabilities("cat")' in panel.code()


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
    assert panel.body.layout.display == "none" and panel.offer.row.layout.display == ""
    assert panel.code() == "" and panel.figure() is None
    with pytest.raises(ValueError, match="choose a model that finds"):
        panel.exported()


def test_every_tab_opens_on_such_a_model(detector, segmenter, open_tab):
    for model in (detector, segmenter):
        dash, _ = open_tab(model, "Detect")
        for index, panel in enumerate(dash.tabs.children):
            dash.tabs.selected_index = index
            assert panel.wait(60)
        said = dash.predictions.meaning.value
        assert dash.session.error == "" and ("Detect" in said or "Segment" in said)


def test_why_this_box_and_this_class_are_heat_maps_that_the_lines_give_again(detector, segmenter, open_tab):
    dash, panel = open_tab(detector, "Detect")
    panel.score.value = 0.2
    assert panel.heat.row.layout.display == "none"
    panel.view._on_message("chosen", {"chosen": [1], "generation": panel.view._boxes["generation"]}, [])
    panel.heat.button.click()
    assert panel.wait() and panel.view._heat and "in the box" in panel.heat.words.value
    space = {"dash": dash}
    exec(panel.code().replace("heat_of_box(look,", "again = heat_of_box(look,"), space)  # our own lines
    assert torch.allclose(space["again"].heatmap, panel.heat.found.heatmap, atol=1e-4)
    assert "<b>dog" not in panel.heat.words.value
    figure, (width, height) = panel.figure(), dash.session.image.size  # the bar of its colours is below
    assert figure.width == width and figure.height > height
    for title in ("Modules", "Detect"):  # it is there still for who comes back
        dash.tabs.selected_index = list(dash.tabs.titles).index(title)
    assert panel.view.chosen == (1,) and panel.view._heat
    panel.score.value = 0.25
    assert panel.heat.found is None and not panel.view._heat

    dash, panel = open_tab(segmenter, "Segment")
    panel.region.value = True
    panel.view._on_message("box", {"box": [10, 10, 60, 80]}, [])
    panel.heat.button.click()
    assert panel.wait() and panel.view._heat
    space = {"dash": dash}
    exec(panel.code().replace("explorer.explain", "again = explorer.explain"), space)  # our own lines
    assert torch.allclose(space["again"].heatmap, panel.heat.found.heatmap, atol=1e-4)
    panel.mode.value = "probability"
    assert panel.heat.found is None


@pytest.mark.parametrize("title", ["Detect", "Segment"])
def test_one_click_shows_what_travels_along(title, open_tab):
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(),
                              torch.nn.Linear(4, 2))
    dash, panel = open_tab(net, title)
    assert "Show with the" in panel.offer.button.description
    panel.offer.button.click()
    dash.wait()
    assert panel.offer.row.layout.display == "none" and len(dash.session.gallery) == 4
    if title == "Detect":
        assert panel.judged.count("right") > len(panel.judged.truth) / 2 and panel.colours.value == "truth"
    else:
        assert panel.judged.miou > 0.8
    space = {"dash": dash}
    exec(panel.code(), space)  # our own lines
    assert "sample_photos" in panel.code() or "photo =" in panel.code()
