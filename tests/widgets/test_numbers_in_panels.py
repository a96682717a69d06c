"""A run that learns numbers, on the panels of today: what they say, and that none of them breaks."""

from __future__ import annotations

import pytest

import explorer
from explorer.training.run.finetuning import finetune
from explorer.training.run.loading import load_run
from explorer.widgets.panels.learn.epoch_words import caption
from explorer.widgets.panels.learn.run_words import how_far, run_caption
from explorer.widgets.panels.runs.table import csv_text, table_of
from explorer.widgets.parts.data_card import card_html, label_caption
from tests.html import parse
from tests.number_photos import bright, splits, table, tiny


def learnt(*more, **settings):
    return finetune(tiny(), splits(*more), epochs=2, train="all", threads=1, batch_size=8, device="cpu",
                    name="levels", **settings).wait(60)


@pytest.fixture
def dash():
    dash = explorer.Dashboard(tiny(), [photo for photo, _ in bright(2)])
    dash.wait()
    yield dash
    dash.close()


def test_the_train_tab_shows_a_run_of_numbers_by_its_mean_absolute_error(dash, tmp_path):
    run = learnt()
    run.save(tmp_path / "kept")
    for one in (run, load_run(tmp_path / "kept", model=tiny())):
        dash.session.run = one
        dash.tabs.selected_index = dash.tabs.children.index(dash.finetune)
        assert dash.finetune.wait()
        view = dash.finetune.view
        assert (view.right.title, view.right.unit) == ("Mean absolute error, level", "number")
        assert view.wait()
        assert "Best: MAE" in view.progress.value and view.message.value == ""
        assert "MAE" in view.epochs.where.value
        assert "level" in view.epochs.answer.value and "%" not in view.epochs.answer.value
        assert dash.finetune.figure() is not None and "Best: MAE" in dash.finetune.caption()
    assert [len(curve) for curve in view.right._curves.values()] == [4, 4]
    dash.session.run = finetune(tiny(3), "flowers5_nano", epochs=1, train="all", threads=1, device="cpu",
                                input_size=(3, 32, 32)).wait(60)
    assert (view.right.title, view.right.unit) == ("Right answers", "percent")


def test_the_runs_and_evaluate_tabs_take_a_run_of_numbers(dash):
    run = learnt()
    dash.session.run = run
    for panel in (dash.runs, dash.evaluate):
        dash.tabs.selected_index = dash.tabs.children.index(panel)
        assert panel.wait()
    dash.evaluate.go.click()
    assert dash.evaluate.wait()
    assert dash.evaluate.message.value == "" and "mean absolute error" in dash.evaluate.head.value
    assert dash.runs.figure() is not None
    columns, rows = table_of([run])
    assert rows[0][columns.index("best MAE")].text == f"{run.best['val_mae']:.3g}"
    assert "best right" not in columns
    assert str(run.best["val_mae"]) in csv_text([run])


def test_sentences_on_a_run_of_numbers_name_its_error():
    run = learnt(outputs="numbers")
    assert how_far(run)[1].endswith(f"Best: MAE {run.best['val_mae']:.3g} in epoch {run.best['epoch'] + 1}.")
    assert f"Best: MAE {run.best['val_mae']:.3g} after epoch" in run_caption(run)
    photo, label = run.data.val[0]
    look = explorer.look(run.model, photo)
    said = caption(look.logits, label, run.outputs, "it")
    assert said.text == f"level {look.predictions[0].text}, true {label[0]:.4g}" and said.right is None
    assert not parse(card_html(splits("<img src=x>"))).find_all("img")
    assert "number level" in card_html(run.data) and label_caption(run.data.val,
                                                                   0).text == f"level {label[0]:.4g}"


def test_a_yes_or_no_under_a_photo_has_the_share_that_predict_gives():
    rows = [(photo, int(level > 127)) for photo, level in bright(20)]
    run = finetune(tiny(), rows, outputs="yes/no", epochs=1, train="all", threads=1, device="cpu").wait(60)
    photo, label = run.data.val[0]
    look = explorer.look(run.model, photo)
    best = look.predictions[0]
    said = caption(look.logits, label, run.outputs)
    assert said.text.startswith(f"{best.label} {100 * best.probability:.0f}")
    assert said.right == (best.index == label)


def judged(dash, run):
    dash.session.run = run
    dash.tabs.selected_index = dash.tabs.children.index(dash.evaluate)
    assert dash.evaluate.wait()
    dash.evaluate.go.click()
    assert dash.evaluate.wait()
    return dash.evaluate


def test_the_evaluate_tab_shows_figures_chart_and_worst_photos_of_numbers(dash):
    run = learnt()
    panel = judged(dash, run)
    result = explorer.evaluate(run)
    head, curve = parse(panel.head.value), parse(panel.charts.curves.value)
    assert panel.message.value == "" and head.find_all("dd")[0].text == f"{result.mae:.4g}"
    assert "RMSE" in head.text and "R²" in head.text
    assert curve.find("svg") and not curve.find_all("script")
    assert panel.cells.matrix_pair.layout.display == panel.charts.reliability_block.layout.display == "none"
    first, worst = panel.photos.worst.answers[0], result.worst[0]
    assert (first.true, first.right) == (f"{worst.true[0]:.4g}", None) and first.sure.startswith("off by ")
    panel.photos.pick("worst", 0)
    assert f"level {worst.predicted[0]:.4g}, true {worst.true[0]:.4g}" in panel.photos.one.value
    before = panel.photos.worst._pictures["data"]
    panel.photos.view.value = "predicted"
    assert panel.wait() and panel.photos.worst._pictures["data"] != before
    assert "what raised level" in panel.photos.view_note.value and panel.message.value == ""
    assert panel.figure() is not None and "MAE" in panel.caption()
    names = {"dash": dash}
    exec(panel.code(), names)
    assert names["result"].mae == pytest.approx(result.mae) and len(names["heat_maps"]) == 12


def test_the_evaluate_tab_goes_from_numbers_to_classes_and_back(dash):
    classes = finetune(tiny(3), "flowers5_nano", epochs=1, train="all", threads=1, device="cpu",
                       input_size=(3, 32, 32)).wait(60)
    panel = judged(dash, learnt())
    panel = judged(dash, classes)
    assert panel.message.value == "" and panel.cells.matrix_pair.layout.display == ""
    assert parse(panel.cells.table_block.children[0].value).find("h3").text == "Class by class"
    assert "of the true class" in dict(panel.photos.view.options)
    panel = judged(dash, learnt("weight"))
    assert panel.message.value == "" and panel.charts.of_class.options == ("level", "weight")
    panel.cells.table._on_message("pick", {"index": 1}, [])
    assert panel.charts.of_class.value == "weight" and panel.wait()
    assert "true weight" in panel.charts.curves.value


def test_the_evaluate_tab_says_in_a_sentence_that_classes_do_not_fit_numbers(dash):
    panel = judged(dash, learnt())
    kept = panel.head.value
    panel.data.value = "flowers5_nano"
    panel.go.click()
    assert panel.wait()
    assert "The model gives numbers (level)" in parse(panel.message.value).find(role="alert").text
    assert panel.head.value == kept


def test_names_of_numbers_and_photos_are_escaped_on_the_evaluate_tab(dash):
    panel = judged(dash, learnt("<img src=x onerror=alert(1)>"))
    panel.charts.of_class.value = "<img src=x onerror=alert(1)>"
    panel.photos.view.value = "predicted"
    panel.photos.pick("worst", 0)
    assert panel.wait()
    photos = panel.photos
    for line in (panel.head, panel.notes, photos.one, panel.charts.curves, photos.view_note, panel.message):
        assert not parse(line.value).find_all("img")


def test_the_runs_tab_marks_the_lowest_error_and_shows_runs_of_both_kinds(dash):
    runs = [learnt(seed=0), learnt(seed=1, lr=1e-5)]
    columns, rows = table_of(runs)
    place = columns.index("best MAE")
    errors = [run.best["val_mae"] for run in runs]
    assert [row[place].best for row in rows] == [error == min(errors) for error in errors]
    classes = finetune(tiny(3), "flowers5_nano", epochs=1, train="all", threads=1, device="cpu",
                       input_size=(3, 32, 32)).wait(60)
    columns, rows = table_of([*runs, classes])
    assert rows[2][columns.index("best MAE")].text == rows[0][columns.index("best right")].text == "–"
    for run in (*runs, classes):
        dash.session.run = run
    dash.tabs.selected_index = dash.tabs.children.index(dash.runs)
    assert dash.runs.wait()
    panel = dash.runs
    ours = [panel.shown.index(run) for run in (*runs, classes)]
    panel.table.ticked = sorted(ours)
    names = {"dash": dash}
    exec(panel.code(), names)
    for figure in (panel.figure(), names["figure"]):
        assert [axes.get_ylabel() for axes in figure.axes] == [
            "right answers, validation", "mean absolute error, validation", "loss, validation"]
        assert [sum(len(line.get_xdata()) > 0 for line in axes.lines) for axes in figure.axes] == [1, 2, 3]
    assert panel.right.layout.display == panel.off.layout.display == ""


def test_a_table_of_numbers_is_shown_and_learnt_on_the_train_tab(dash, tmp_path):
    path = table(tmp_path / "a <b>table", [*bright(20), (bright(1)[0][0], float("nan"))])
    dash.tabs.selected_index = dash.tabs.children.index(dash.finetune)
    panel = dash.finetune
    assert panel.wait()
    panel.fields.data.value, panel.fields.folder.value = "a folder", str(path)
    assert panel.wait()
    assert "number level" in panel.previews.card.value and "to judge by" in panel.previews.card.value
    card = parse(panel.previews.card.value)
    assert card.find_all("td") and "to learn from" in card.text and "4 of 20 photos" in card.text
    assert len(panel.previews.samples.captions) == 12
    assert panel.previews.samples.captions[0].text.startswith("level ")
    assert panel.fields.loss.layout.display == "" and panel.problem.value == ""
    panel.fields.epochs.value, panel.fields.loss.value, panel.fields.train.value = 1, "l1", "all"
    assert panel.wait()
    code = panel.code()
    assert 'loss="l1"' in code and str(path) in code
    panel.start.click()
    assert panel.wait() and dash.session.run.wait(60)
    assert panel.view.right.title == "Mean absolute error, level" and "Best: MAE" in panel.view.progress.value
    names = {"dash": dash}
    exec(code, names)
    last = dash.session.run.history[-1]
    assert names["run"].history[-1]["val_mae"] == pytest.approx(last["val_mae"], rel=1e-3)
    panel.fields.data.value = "flowers5_nano"
    assert panel.wait() and panel.fields.loss.layout.display == "none"
    assert "loss" not in panel.fields.settings()


@pytest.mark.parametrize("text", ["", "file,level\n", "file,level\ngone.png,1\n", "one\ntwo\n"])
def test_a_table_that_can_not_be_read_is_a_sentence_on_the_train_tab(dash, tmp_path, text):
    path = tmp_path / "broken.csv"
    path.write_text(text, encoding="utf-8")
    dash.tabs.selected_index = dash.tabs.children.index(dash.finetune)
    panel = dash.finetune
    assert panel.wait()
    panel.fields.data.value, panel.fields.folder.value = "a folder", str(path)
    panel.start.click()
    assert panel.wait()
    assert parse(panel.previews.card.value).find(cls="vx-note").text
    assert parse(panel.problem.value).find(role="alert").text
    assert "Traceback" not in panel.problem.value + panel.previews.card.value and not panel.start.disabled
