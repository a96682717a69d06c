"""The Train and Runs tabs where the model finds boxes or masks."""

from __future__ import annotations

import csv
import io
import json

import pytest
from PIL import Image

import explorer
from explorer.training.run.place_shadow import PlaceShadow, mean_overlap
from explorer.widgets.panels.learn.fields import Fields
from explorer.widgets.panels.learn.run_words import curves_of, several_parts
from explorer.widgets.panels.learn.task_choices import CLASSES_ONLY
from explorer.widgets.panels.runs.table import csv_text, table_of
from tests.html import parse
from tests.training.places import SIDE, detector, painted, segmenter

MAKE = {"detection": detector, "segmentation": segmenter}


def small(task):
    model = MAKE[task]()
    model.config = model.config.with_(input_size=(3, SIDE, SIDE))
    return model


@pytest.fixture(scope="module", params=[*MAKE])
def shown(request):
    """(task, dashboard) after a run of two epochs on the bundled photos, started in the tab."""
    dash = explorer.Dashboard(small(request.param))
    dash.session.image = Image.new("RGB", (80, 60), "grey")
    dash.wait()
    panel = dash.finetune
    dash.tabs.selected_index = dash.tabs.children.index(panel)
    assert panel.wait()
    panel.fields.train.value, panel.fields.epochs.value = "all", 2
    panel.fields.advanced["threads"].value = "1"
    assert panel.wait()
    panel.start.click()
    assert panel.wait()
    assert not parse(panel.problem.value).find_all(role="alert"), panel.problem.value
    panel.session.run.wait(100)
    assert panel.view.wait()
    yield request.param, dash
    dash.close()


def test_what_is_offered_fits_the_task_and_what_is_for_classes_goes_with_a_word(shown):
    task, dash = shown
    fields, previews = dash.finetune.fields, dash.finetune.previews
    sample, kind = ("bccd", "boxes") if task == "detection" else ("nuclei", "masks")
    assert fields.data.value == sample and fields.batch_size.value == 8
    assert all(fields._named(name).layout.display == "none" for name in CLASSES_ONLY)
    assert kind in parse(fields.without.value).text
    assert not {*fields.settings()} & {*CLASSES_ONLY, "class_weights"}
    assert (fields.loss.layout.display == "none") == (task == "detection")
    card = parse(previews.card.value).text
    assert f"3 photos to learn from, 1 to judge by, {kind} of" in card and "Fewer than 10 photos" in card
    assert len(previews.samples.captions) == 3 and len(previews.variants.captions) == 4
    fields.train.value = "head"
    assert dash.finetune.wait()
    assert "Frozen: its body." in previews.learns.value and "nothing is kept" in previews.learns.value
    assert "for the head" in previews.rate_note.value
    fields.train.value = "all"
    assert dash.finetune.wait()


def test_each_part_of_the_loss_is_a_curve_and_the_figure_is_the_tasks(shown):
    task, dash = shown
    view, run = dash.finetune.view, dash.session.run
    parts = ("classification", "bbox regression") if task == "detection" else ("ce", "dice")
    assert view.parts.layout.display == ""
    assert {*view.parts.names} == {*parts, *(f"{part}, validation" for part in parts)}
    assert [len(view.parts.points(name)) for name in parts] == [len(run.batches)] * 2
    sums = [sum(values) for values in zip(*([y for _, y in view.parts.points(name)] for name in parts))]
    assert sums == pytest.approx([y for _, y in view.loss.points("each batch")], rel=1e-4)
    assert view.right.names == ("validation",) and view.right.unit == "percent"
    word = "AP50" if task == "detection" else "mIoU"
    assert f"Best: {word}" in view.progress.value and f"Best: {word}" in dash.finetune.caption()
    charts = curves_of(run)
    assert next(iter(charts)) == "loss" and {*charts["parts of the loss"]} == {*view.parts.names}
    assert len(dash.finetune.figure().axes) == 3


def test_held_out_photos_show_what_is_found_epoch_by_epoch(shown):
    task, dash = shown
    epochs, run = dash.finetune.view.epochs, dash.session.run
    (found,) = epochs.photos.captions
    assert ("there" if task == "detection" else "mIoU") in found.text
    assert "What it finds in photos that it does not learn from" in epochs.about.value
    assert "Your photo" in epochs.picture.value and epochs.mosaic.layout.display == "none"
    epochs.slider.value = 0
    assert dash.finetune.view.wait()
    assert "before the first epoch" in epochs.about.value
    if task == "segmentation":
        shadow = PlaceShadow(run)
        shadow.become(run.kept.weights(run.best["epoch"] + 1))
        judged = mean_overlap(shadow.look(None, samples=True).samples[0], shadow.truth[0])
        assert judged == pytest.approx(run.best["val_miou"], abs=0.05)  # at the photo's size, not the net's


def test_the_code_learns_the_same_run(shown):
    task, dash = shown
    panel, run = dash.finetune, dash.session.run
    names: dict = {"dash": type("Dash", (), {"session": type("Session", (), {"model": small(task)})})}
    exec(panel.code(), names)
    assert [row["val_loss"] for row in names["run"].history] == [row["val_loss"] for row in run.history]


def test_a_taught_model_is_used_and_a_saved_run_opens_under_runs(shown, tmp_path):
    task, dash = shown
    panel, runs = dash.finetune, dash.runs
    before = dash.session.model
    panel.view.use.click()
    assert panel.view.wait()
    dash.wait()
    assert dash.session.model is not before and panel.fields.task == task
    assert dash.session.model.config.labels == dash.session.run.labels
    panel.view.path.value = str(tmp_path / "runs" / "mine")
    panel.view.save.click()
    assert panel.view.wait()
    dash.tabs.selected_index = dash.tabs.children.index(runs)
    assert runs.wait()
    runs.folder.value = str(tmp_path / "runs")
    assert len(runs.shown) == 2
    word = "AP50" if task == "detection" else "mIoU"
    columns, rows = table_of(runs.shown)
    assert f"best {word}" in columns and "best right" not in columns
    assert rows[0][columns.index(f"best {word}")].text.endswith(" %")
    assert {row[f"best {word}"] for row in csv.DictReader(io.StringIO(csv_text(runs.shown)))} == {
        str(dash.session.run.best[f"val_{word.lower()}"])}
    chart = runs.boxes if task == "detection" else runs.masks
    assert chart.layout.display == "" and runs.right.layout.display == "none" and len(chart.names) == 2
    runs._act("show", 1)
    assert runs.wait()
    assert panel.wait()
    assert panel.view.wait()
    assert "is shown under Train" in runs.message.value and len(panel.view.parts.names) == 4


def test_another_task_brings_its_own_choices_and_keeps_what_was_set():
    fields = Fields()
    fields.data.value, fields.epochs.value = "flowers5_nano", 7
    fields.advanced["mixup"].value, fields.batch_size.value = "0.2", 16
    fields.follow("segmentation")
    assert fields.loss.layout.display == "" and fields.batch_size.value == 16
    fields.loss.value = "focal+dice"
    assert fields.recipe().loss == "focal+dice" and "mixup" not in fields.settings()
    fields.follow("detection")
    assert fields.data.value == "bccd" and "loss" not in fields.settings()
    fields.follow("classification")
    assert (fields.data.value, fields.epochs.value, fields.settings()["mixup"]) == ("flowers5_nano", 7, 0.2)
    assert fields.loss.layout.display == "none" and not fields.without.value


def coco(folder, boxes, photos=3):
    """A COCO file beside grey photos. boxes: (photo, [x, y, width, height])"""
    folder.mkdir()
    images = []
    for index in range(photos):
        Image.new("RGB", (64, 48), "grey").save(folder / f"{index}.png")
        images.append({"id": index, "file_name": f"{index}.png", "width": 64, "height": 48})
    things = [{"id": i, "image_id": photo, "category_id": 1, "bbox": box, "area": 1, "iscrowd": 0}
              for i, (photo, box) in enumerate(boxes)]
    file = folder / "boxes.json"
    file.write_text(json.dumps({"images": images, "annotations": things,
                                "categories": [{"id": 1, "name": "<b>cell</b>"}, {"id": 2, "name": "none"}]}))
    return file


def test_wrong_data_is_a_sentence(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "bare").mkdir()
    given = {str(tmp_path / "nowhere"): "nowhere", str(tmp_path / "empty"): "holds no boxes",
             "": "Type the path",
             str(coco(tmp_path / "one", [(0, [1, 1, 9, 9])], photos=1)): "1 usable photo",
             str(coco(tmp_path / "none", [])): "no box that counts"}
    dash = explorer.Dashboard(small("detection"))
    dash.wait()
    panel = dash.finetune
    dash.tabs.selected_index = dash.tabs.children.index(panel)
    panel.fields.data.value = "a folder"
    for path, sentence in given.items():
        panel.fields.folder.value = path
        assert panel.wait()
        panel.start.click()
        assert panel.wait()
        alert = parse(panel.problem.value).find(role="alert").text
        assert sentence in alert and "Traceback" not in alert, (path, alert)
        assert panel.session.run is None and not panel.start.disabled
    file = coco(tmp_path / "many", [(i, [1, 1, 30, 30]) for i in range(3)])
    panel.fields.folder.value = str(file)
    assert panel.wait()
    assert "<b>cell</b>" in parse(panel.previews.card.value).text  # a name, not HTML
    panel.fields.folder.value, panel.fields.scratch.value = str(file), True
    assert panel.wait()
    panel.start.click()
    assert panel.wait()
    assert "from scratch" in parse(panel.problem.value).find(role="alert").text
    dash.close()


def test_a_rate_is_found_for_boxes():
    dash = explorer.Dashboard(small("detection"))
    dash.wait()
    panel = dash.finetune
    dash.tabs.selected_index = dash.tabs.children.index(panel)
    panel.fields.train.value, panel.fields.augment.value = "all", "none"
    assert panel.wait()
    panel.finder.find.click()
    assert panel.wait()
    assert "one batch each of 3 photos" in panel.finder.note.value, panel.finder.note.value
    assert len(panel.finder.chart.points("loss, smoothed")) > 5
    dash.close()


def test_a_loss_in_one_piece_has_no_chart_of_parts():
    data = painted(4, 0, "segmentation"), painted(2, 1, "segmentation")
    run = explorer.finetune(segmenter(), data, epochs=1, loss="ce", input_size=(3, SIDE, SIDE)).wait(60)
    assert several_parts(run.history) == [] and "parts of the loss" not in curves_of(run)
