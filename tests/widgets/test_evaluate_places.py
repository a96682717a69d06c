"""The panel that judges, of models that find boxes or masks: its figures, its photos, what can be chosen."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import explorer
from explorer.data.places.place_set import Boxes
from explorer.training.evaluation.box_evaluation import DetectionEvaluation
from explorer.training.evaluation.mask_evaluation import MaskEvaluation
from explorer.training.evaluation.place_figures import FoundBoxes
from explorer.training.run.beside import copy_of_model
from explorer.training.run.finetuning import finetune
from explorer.widgets.panels.evaluate.judgement import Judgement
from explorer.widgets.panels.evaluate.kinds import facts_of, kind_of
from explorer.widgets.panels.evaluate.photo_choices import FOLDER, OWN
from explorer.widgets.panels.evaluate.place_words import cell_words
from tests.html import parse
from tests.models.oracle import randomise

from .test_parts_base import from_browser

NAMES = ("cat", "<b>dog</b>")
PHOTOS = 5


@pytest.fixture(scope="module")
def coco(tmp_path_factory):
    """A COCO file of small photos with a box or two each, none in the last; their names are no HTML."""
    draw, folder, things = np.random.default_rng(0), tmp_path_factory.mktemp("coco"), []
    for photo in range(PHOTOS):
        pixels = draw.integers(0, 255, (60, 80, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"<i>{photo}.png")
        for place in range(photo % 3 if photo < PHOTOS - 1 else 0):
            left, top = 5 + 30 * place, 8 + 4 * photo
            things.append({"id": len(things) + 1, "image_id": photo, "category_id": 1 + (photo + place) % 2,
                           "bbox": [left, top, 25, 30], "area": 750, "iscrowd": 0, "segmentation": [
                               [left, top, left + 25, top, left + 25, top + 30, left, top + 30]]})
    images = [{"id": i, "file_name": f"<i>{i}.png", "width": 80, "height": 60} for i in range(PHOTOS)]
    file = folder / "things.json"
    file.write_text(json.dumps({"images": images, "annotations": things,
                                "categories": [{"id": 1, "name": NAMES[0]}, {"id": 2, "name": NAMES[1]}]}))
    return file


@pytest.fixture(scope="module")
def detector():
    torch.manual_seed(0)
    model = explorer.create_model("retinanet", backbone="lcnet_050", num_classes=2)
    nn.init.constant_(model.head.classification_head.cls_logits.bias, -1.0)
    model.config = model.config.with_(input_size=(3, 96, 96), labels=NAMES)
    model.max_boxes = 40
    return model.eval()


@pytest.fixture(scope="module")
def segmenter():
    model = explorer.create_model("unet", backbone="lcnet_050", num_classes=3)
    randomise(model)
    model.config = model.config.with_(input_size=(3, 64, 64), labels=("background", *NAMES))
    return model.eval()


@pytest.fixture
def open_on(sent):
    """Opens a dashboard on a model, with the Evaluate tab in front."""
    opened = []

    def opener(model):
        dash = explorer.Dashboard(model)
        opened.append(dash)
        dash.wait()
        dash.tabs.selected_index = dash.tabs.children.index(dash.evaluate)
        return dash, dash.evaluate

    yield opener
    for dash in opened:
        dash.close()


def judge(panel, data):
    panel.data.value, panel.folder.value = FOLDER, str(data)
    panel.go.click()
    assert panel.wait(60) and panel.message.value == ""
    return next(blocks for blocks in panel.kinds.values() if panel.below.children == tuple(blocks.body))


def table_of(part):
    return json.loads(part._table)


def test_boxes_are_judged_with_the_figures_of_evaluate(detector, open_on, coco):
    dash, panel = open_on(detector)
    shown = judge(panel, coco)
    result = explorer.evaluate(detector, coco)
    head = parse(panel.head.value).text
    assert panel.shown.result.map == result.map and f"{PHOTOS}" in head and "mAP" in head
    matrix = table_of(shown.matrix)
    assert matrix["classes"] == [*NAMES, "background"]
    assert {tuple(cell) for cell in matrix["cells"]} == \
        {(i, j, int(n)) for (i, j), n in np.ndenumerate(result.confusion) if n}
    rows = {row[0]: row for row in table_of(shown.table)["rows"]}
    assert rows["cat"][1] == result.per_class["cat"].ap and rows["cat"][-1] == result.per_class["cat"].boxes
    assert table_of(shown.sizes)["rows"][0][2] == result.per_size["medium"]
    assert shown.of_class.index == 0
    assert "vx-eval-chart" in shown.curve.value and "<b>dog" not in shown.curve.value
    assert [one.name for one in shown.photos.rows["worst"].answers] == [row.name for row in result.worst]
    assert "mAP" in panel.caption() and panel.exported("png")[1:4] == b"PNG"
    space = {"dash": dash}
    exec(panel.code(), space)  # our own lines
    assert space["result"].as_dict()["confusion"] == panel.shown.result.as_dict()["confusion"]


def test_the_score_slider_counts_anew_and_asks_no_network(detector, open_on, coco):
    dash, panel = open_on(detector)
    shown = judge(panel, coco)
    counted = []
    hook = detector.register_forward_pre_hook(lambda *_: counted.append(1))
    try:
        shown.score.value = 0.05
        panel.wait()
    finally:
        hook.remove()
    wanted = panel.shown.result.at(score=0.05)
    assert not counted and shown.at.result.score == 0.05
    assert sum(cell[2] for cell in table_of(shown.matrix)["cells"]) == int(wanted.confusion.sum())
    assert f"{int(wanted.confusion[:, :-1].sum()):,} boxes count" in parse(shown.figures.value).text
    assert "result = result.at(score=0.05)" in panel.code() and "5.0 % and more" in panel.caption()
    pick = {"kind": "pick", "true": None, "predicted": [2], "cell": [-1, 2]}
    from_browser(shown.matrix, pick)  # what nobody found
    panel.wait()
    names = [one.name for one in shown.photos.rows["cell"].answers]
    assert names == [row.name for row in wanted.photos(None, "background")]
    space = {"dash": dash}
    exec(panel.code(), space)
    assert "result.photos(None, 'background')" in panel.code()
    from_browser(shown.table, {"kind": "pick", "index": 1})
    panel.wait()
    assert shown.of_class.label == NAMES[1] and shown.matrix.picked == [1, -1]


def test_a_picked_photo_opens_in_the_tab_of_its_task(detector, segmenter, open_on, coco):
    for model, tab in ((detector, "Detect"), (segmenter, "Segment")):
        dash, panel = open_on(model)
        shown = judge(panel, coco)
        from_browser(shown.photos.rows["worst"], {"kind": "pick", "index": 1})
        panel.wait()
        row = shown.photos.picked
        assert shown.photos.large.value.startswith("<img") and "<i>" not in shown.photos.large.value
        shown.photos.open.click()
        panel.wait()
        dash.wait()
        assert dash.session.image_name == row.name
        assert dash.tabs.titles[dash.tabs.selected_index] == tab


def test_masks_are_judged_with_the_figures_of_evaluate(segmenter, open_on, coco):
    dash, panel = open_on(segmenter)
    shown = judge(panel, coco)
    result = panel.shown.result
    assert result.as_dict()["confusion"] == explorer.evaluate(segmenter, coco).as_dict()["confusion"]
    assert "mIoU" in parse(panel.head.value).text and shown.matrix.shares and not shown.matrix.opens
    assert [row[0] for row in table_of(shown.table)["rows"]] == ["background", *NAMES]
    worst = [one.name for one in shown.photos.rows["worst"].answers]
    assert worst == [row.name for row in result.worst]
    from_browser(shown.table, {"kind": "pick", "index": 2})
    panel.wait()
    assert [one.name for one in shown.photos.rows["worst"].answers] == \
        [row.name for row in result.worst_of(NAMES[1])]
    space = {"dash": dash}
    exec(panel.code(), space)
    assert panel.figure() is not None and "mIoU" in panel.caption()


def test_another_kind_of_result_takes_the_place_of_the_one_before(detector, segmenter, open_on, coco):
    dash, panel = open_on(detector)
    boxes = judge(panel, coco)
    dash.session.model = segmenter
    dash.wait()
    assert boxes.photos.open.description == "Open in Detect, with the judged model"
    masks = judge(panel, coco)
    assert masks is not boxes and panel.below.children == tuple(masks.body)
    assert masks.photos.open.description == "Open in Segment"


def classes_run():
    body = nn.Conv2d(3, 8, 3, 2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    model = explorer.wrap(nn.Sequential(*body, nn.Linear(8, 5)), input_size=(3, 32, 32))
    return finetune(model, "flowers5_nano", epochs=1, train="all", threads=1, name="nano").wait(60)


def test_a_run_of_classes_does_not_take_the_detectors_place(detector, open_on, coco):
    run = classes_run()  # alive, so that the dashboard takes it up
    dash, panel = open_on(detector)
    assert dash.session.run is run and panel.who.value == "model" and panel.data.value == FOLDER
    assert panel.tta.layout.display == "none" and panel.folder.layout.display == ""
    assert "boxes" in panel.folder.placeholder
    assert all(one.layout.display != "none" for one in (panel.who, panel.data, panel.part, panel.go))
    panel.who.value = "run 0"
    assert "flowers5" in dict(panel.data.options).values() and panel.tta.layout.display == ""
    panel.who.value = "model"
    assert {*dict(panel.data.options).values()} == {FOLDER, OWN, "bccd"}


def test_photos_that_come_with_explorer_are_chosen_for_a_model_that_knows_their_classes(open_on):
    model = explorer.create_model("unet", backbone="lcnet_050", num_classes=2).eval()
    model.config = model.config.with_(input_size=(3, 64, 64), labels=("background", "nucleus"))
    dash, panel = open_on(model)
    assert panel.data.value == "nuclei"
    panel.go.click()
    assert panel.wait(60) and len(panel.shown.result) == 4
    space = {"dash": dash}
    exec(panel.code(), space)  # our own lines
    assert space["result"].miou == panel.shown.result.miou


def test_what_is_missing_is_one_sentence(detector, open_on, coco, tmp_path):
    _, panel = open_on(detector)
    for data, folder, sentence in ((FOLDER, "", "Type the path of a COCO file"),
                                   (FOLDER, str(tmp_path), "holds no boxes"),
                                   (FOLDER, str(tmp_path / "<b>"), "There is no folder"),
                                   (OWN, "", "did not learn here")):
        panel.data.value, panel.folder.value = data, folder
        panel.go.click()
        panel.wait()
        said = parse(panel.message.value)
        assert sentence in said.text and not said.find_all("b")
    content = json.loads(coco.read_text())
    content["categories"][0]["name"] = "cow"
    (coco.parent / "other.json").write_text(json.dumps(content))
    panel.data.value, panel.folder.value = FOLDER, str(coco.parent / "other.json")
    panel.go.click()
    panel.wait()
    assert "but not 'cow'" in panel.message.value or "not &#x27;cow&#x27;" in panel.message.value
    assert panel.body.layout.display == "none"


def test_a_cell_is_said_in_words():
    said = [cell_words(*pair, "background", 2) for pair in (
        ("cat", "background"), ("background", "cat"), ("cat", "dog"), ("cat", "cat"), (None, "background"),
        ("cat", None), (None, None))]
    assert said == ["2 photos with cat that was missed.", "2 photos with a box of cat where nothing is.",
                    "2 photos with cat taken for dog.", "2 photos with cat that was found.",
                    "2 photos with something that was missed.", "2 photos with cat.",
                    "2 photos with a thing or a box."]


def test_results_without_any_figure_still_stand(open_on, detector, segmenter):
    """No box anywhere, photos that can't be opened any more; masks of which no pixel counts."""
    dash, panel = open_on(detector)
    none = Boxes(np.zeros((0, 4)), np.zeros(0, np.int64), np.zeros(0, bool), np.zeros(0))
    nothing = FoundBoxes(np.zeros((0, 4)), np.zeros(0), np.zeros(0, np.int64))
    boxes = DetectionEvaluation(("background", "b"), [nothing] * 2, [none] * 2)
    masks = MaskEvaluation(("a", "b"), np.zeros((2, 2), np.int64), np.zeros((2, 3, 2), np.int64))
    for result in (boxes, masks):
        panel._show(facts_of(Judgement(result, detector, ())))
        panel.wait()
        assert panel.message.value == "" and panel.figure() is not None and panel.caption()
    shown = panel.kinds[kind_of(boxes)]
    assert "none in these photos" in shown.curve.value
    assert table_of(shown.matrix)["classes"] == ["background", "b", "nothing"]
    assert len(shown.photos.rows["worst"].answers) == 2


def test_a_run_of_masks_is_judged_by_the_photos_it_held_out(open_on, coco):
    model = explorer.create_model("unet", backbone="lcnet_050", num_classes=3, img_size=64)
    run = finetune(model, str(coco), epochs=1, train="all", threads=1, batch_size=2, name="cells").wait(60)
    dash, panel = open_on(copy_of_model(run))
    assert panel.who.label == "cells, started in a cell, shown under Train" and panel.data.value == OWN
    panel.go.click()
    assert panel.wait(60) and panel.message.value == ""
    assert panel.shown.result.names == run.data.val.names
    space = {"dash": dash}
    exec(panel.code(), space)  # our own lines
    assert space["result"].miou == panel.shown.result.miou
    panel.who.value = "model"  # the copy, whose run is known
    panel.go.click()
    assert panel.wait(60) and panel.shown.result.names == run.data.val.names
