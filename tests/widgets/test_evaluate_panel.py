"""The panel that judges: what can be judged, by which photos, what is shown, what a reader can do with it."""

from __future__ import annotations

import csv
import io
import threading

import pytest
import torch
from ipywidgets.widgets import widget as registry
from PIL import Image
from torch import nn

import explorer
from explorer.data.datasets import PhotoSet
from explorer.training.evaluation.evaluating import evaluate
from explorer.training.evaluation.evaluation import Evaluation
from explorer.training.run.beside import copy_at, copy_of_model
from explorer.training.run.finetuning import finetune
from explorer.training.run.loading import LoadedRun
from explorer.widgets import jobs
from explorer.widgets.jobs import Job
from explorer.widgets.panels.evaluate import cells
from explorer.widgets.panels.evaluate.judgement import Judgement
from explorer.widgets.panels.evaluate.kinds import facts_of
from explorer.widgets.panels.evaluate.panel import EvaluatePanel
from explorer.widgets.panels.evaluate.subject import run_behind
from explorer.widgets.parts.evaluation_card import (
    cell_photos,
    cell_text,
    class_rows,
    csv_text,
    headline_html,
    notes_html,
    scarce,
    surest_mistakes,
    themed_svg,
)
from tests.html import parse

from .test_parts_base import from_browser

FLOWERS = ("daisy", "dandelion", "roses", "sunflowers", "tulips")


def tiny(classes: int = 5) -> nn.Module:
    torch.manual_seed(0)
    body = nn.Conv2d(3, 8, 3, 2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    return explorer.wrap(nn.Sequential(*body, nn.Linear(8, classes)), input_size=(3, 32, 32))


def made_up(pairs, classes=("a", "b", "c"), **more) -> Evaluation:
    """An evaluation of (true class, probabilities)."""
    labels, probabilities = (torch.tensor(part) for part in zip(*pairs))
    losses = -probabilities.gather(1, labels[:, None])[:, 0].log()
    names = tuple(f"{i}.jpg" for i in range(len(pairs)))
    return Evaluation(classes, probabilities, labels, losses, names, **more)


def several_labels(count: int = 12) -> Evaluation:
    draw = torch.Generator().manual_seed(0)
    labels = (torch.rand(count, 3, generator=draw) > 0.5).long()
    photos = PhotoSet(("a", "b", "c"), tuple(tuple(row.nonzero()[:, 0].tolist()) for row in labels),
                      tuple(f"{i}.jpg" for i in range(count)), lambda i: Image.new("RGB", (8, 8)))
    probabilities, losses = torch.rand(count, 3, generator=draw), torch.rand(count, generator=draw)
    return Evaluation(("a", "b", "c"), probabilities, labels, losses, photos.names, data=photos)


@pytest.fixture(scope="module")
def run():
    """Trained a little on the small flowers: it errs often."""
    settings = {"epochs": 2, "train": "all", "lr": 0.05, "threads": 1, "seed": 3}
    return finetune(tiny(), "flowers5_nano", name="nano", **settings).wait(60)


@pytest.fixture
def dash():
    dash = explorer.Dashboard(tiny())
    dash.wait()
    yield dash
    dash.close()


def look_at(dash):
    dash.tabs.selected_index = dash.tabs.children.index(dash.evaluate)
    return dash.evaluate


@pytest.fixture
def panel(dash, run):
    """The open panel with a finished run on the screen."""
    dash.session.run = run
    return look_at(dash)


@pytest.fixture
def judged(panel):
    panel.go.click()
    assert panel.wait() and panel.message.value == ""
    return panel


def pick(part, **message):
    from_browser(part, {"kind": "pick", **message})


# --- what is judged, and by what ----------------------------------------------------------------------------


def test_the_panel_costs_nothing_until_it_is_looked_at(dash):
    before = len(registry._instances)
    assert look_at(dash).who is not None
    assert len(registry._instances) > before + 40


def test_the_run_on_the_screen_and_its_own_photos_are_chosen_by_themselves(panel):
    name, *_, where = panel.who.label.split(", ")
    assert (name, where) == ("nano", "shown under Train") and panel.data.value == "own"
    assert panel.part.value == "val"


def test_what_the_reader_has_chosen_stays_when_another_run_comes(panel, run, dash):
    panel.who.value = "model"
    other = finetune(tiny(), "flowers5_nano", epochs=1, train="all", threads=1, name="other").wait(60)
    dash.session.run = other
    assert panel.who.value == "model"
    texts = [text for text, _ in panel.who.options][1:]
    assert texts[0] == "other, started in a cell, shown under Train" and texts[1].partition(",")[0] == "nano"


def test_photos_that_the_reader_has_chosen_stay_too(dash, run):
    panel = look_at(dash)
    panel.data.value = "flowers5_nano"
    dash.session.run = run
    assert panel.data.value == "flowers5_nano" and panel.who.value == "model"


def test_its_figures_are_those_of_evaluate(judged, run):
    assert judged.shown.result.as_dict()["confusion"] == evaluate(run).as_dict()["confusion"]
    assert f"{100 * evaluate(run).top1:.1f} %" in judged.head.value
    assert "nano on flowers5_nano" in judged.head.value


def test_a_mirror_image_and_the_photos_it_learnt_from(panel, run):
    panel.tta.value, panel.part.value = True, "train"
    panel.go.click()
    panel.wait()
    expected = evaluate(run, tta=True, split="train")
    assert panel.shown.result.loss == expected.loss and len(panel.shown.result) == 80
    assert "says nothing about new ones" in panel.head.value and "mirror image" in panel.head.value
    assert "explorer.evaluate(run, tta=True, split='train')" in panel.code()


def test_a_model_without_photos_of_its_own_is_told_what_to_choose(dash):
    panel = look_at(dash)
    assert not panel.go.disabled and panel.why.value == ""
    panel.data.value = "own"
    assert panel.go.disabled and "has no photos of its own" in panel.why.value
    assert "flowers5" in panel.why.value
    panel.data.value = "flowers5"
    assert not panel.go.disabled and panel.why.value == ""


def test_before_anything_was_taught_it_says_what_comes_first(dash, run):
    panel = look_at(dash)
    assert "start a run under Train" in panel.hint.value
    dash.session.run = run
    assert panel.hint.value == ""


def test_classes_that_the_model_does_not_know_are_one_sentence_that_names_the_fix(dash, tmp_path):
    dash.session.model = tiny(3)
    dash.session.wait()
    dash.session.model.config = dash.session.model.config.with_(labels=("<b>cat</b>", "dog", "cow"))
    panel = look_at(dash)
    panel.data.value = "flowers5_nano"
    assert panel.go.disabled and "does not know the classes of these photos (daisy, " in panel.why.value
    panel.go.click()
    panel.wait()
    assert "Teach it these first (finetune)" in panel.message.value and "Train tab" in panel.message.value
    said = parse(panel.message.value)
    assert "<b>cat</b>" in said.text and not said.find_all("b")
    assert panel.body.layout.display == "none"


def test_the_copy_of_a_run_on_the_screen_is_judged_by_the_photos_its_run_held_out(dash, run):
    dash.session.run = run
    dash.session.model = copy_of_model(run)
    dash.session.wait()
    assert run_behind(dash.session.model, dash.session.runs) is run
    panel = look_at(dash)
    panel.who.value, panel.data.value = "model", "own"
    panel.go.click()
    panel.wait()
    assert panel.shown.result.loss == pytest.approx(evaluate(run).loss) and "seed=3" in panel.code()


def test_of_runs_with_one_name_the_copy_belongs_to_its_own(run):
    """A loop over seeds: each run has held out other photos."""
    other = finetune(tiny(), "flowers5_nano", name=run.name, epochs=1, threads=1, seed=4).wait(60)
    copied, runs = copy_of_model(run), (run, other)
    assert run_behind(copied, runs) is run and run_behind(copy_of_model(other), runs) is other
    assert run_behind(other.model, runs) is other and run_behind(copy_at(run, 1), runs) is run
    assert run_behind(tiny(), runs) is run_behind(None, runs) is None


def test_a_folder_with_a_broken_photo_names_it(panel, tmp_path):
    for name in FLOWERS[:2]:
        (tmp_path / name).mkdir()
        for i in range(3):
            Image.new("RGB", (20, 20), (60 * i, 90, 10)).save(tmp_path / name / f"{i}.png")
    (tmp_path / "daisy" / "torn<i>.jpg").write_bytes(b"\xff\xd8\xff\xe0\x00")
    panel.data.value, panel.part.value = "a folder", "all"
    panel.go.click()
    panel.wait()
    assert "Type the path of a folder" in panel.message.value
    panel.folder.value = str(tmp_path)
    panel.go.click()
    panel.wait()
    assert len(panel.shown.result) == 6 and "1 photo could not be opened" in panel.notes.value
    notes = parse(panel.notes.value)
    assert "torn<i>.jpg" in notes.text and not notes.find_all("i")
    assert "2 of the model's" in notes.text


def test_a_run_that_still_learns_is_judged_as_it_is_now(dash):
    run = finetune(tiny(), "flowers5_nano", epochs=10_000, train="all", threads=1, name="live")
    try:
        dash.session.run = run
        panel = look_at(dash)
        panel.go.click()
        assert panel.wait() and panel.message.value == ""
        assert run.running and len(panel.shown.result) == 40 and panel.shown.model is not run.model
        assert "'live' was not finished" in panel.code()
    finally:
        run.stop()


@pytest.fixture(scope="module")
def trained():
    dash = explorer.Dashboard()
    dash.wait()
    yield look_at(dash)
    dash.close()


def test_a_network_of_imagenet_begins_with_photos_that_it_can_name(trained):
    assert trained.data.value == "labelled" and not trained.go.disabled and trained.hint.value == ""
    assert trained.part.layout.display == "none"
    trained.go.click()
    assert trained.wait() and len(trained.shown.result) == 16 and trained.message.value == ""
    scope = {"dash": None}
    exec(trained.code(), scope)
    assert scope["result"].top1 == trained.shown.result.top1


@pytest.mark.parametrize("data", ["flowers5", "cifar10"])
def test_photos_of_classes_that_it_does_not_know_are_refused_beside_the_button(trained, data):
    trained.data.value = data
    assert trained.go.disabled and "does not know the classes of these photos" in trained.why.value
    assert trained.go.tooltip and trained.go.tooltip in parse(trained.why.value).text
    trained.data.value = "a folder"
    assert trained.go.disabled and "Type the path" in trained.why.value
    trained.folder.value = "photos"
    assert not trained.go.disabled and trained.why.value == ""
    trained.folder.value = ""


def test_a_model_that_gives_numbers_or_nothing_is_told_so(dash):
    panel = look_at(dash)
    panel.data.value = "flowers5_nano"
    config = dash.session.model.config
    dash.session.model.config = config.with_(outputs="numbers")
    panel.draw()
    assert panel.go.disabled and "gives numbers" in panel.why.value and "(CSV)" in panel.why.value
    dash.session.model.config = config
    panel.draw()
    assert not panel.go.disabled


def test_a_run_from_a_folder_is_judged_by_its_bundled_data_and_its_code_opens_the_folder(dash, run, tmp_path):
    def loaded(name, place, data):
        return LoadedRun(name, tmp_path / place, run.model, run.labels, run.recipe, data_name=data)

    dash.session.run = loaded("nano", "kept", "flowers5_nano")
    panel = look_at(dash)
    panel.go.click()
    panel.wait()
    assert panel.shown.result.loss == pytest.approx(evaluate(run).loss)
    assert f"explorer.load_run({str(tmp_path / 'kept')!r})" in panel.code()
    assert "'flowers5_nano'" in panel.code()
    dash.session.run = loaded("other", "other", "my herbs")
    panel.go.click()
    panel.wait()
    assert "opened from a folder, which holds no photos" in panel.message.value
    assert "my herbs" in panel.message.value


def test_stop_judges_what_is_done_and_says_so(panel, monkeypatch):
    halted, go_on = threading.Event(), threading.Event()
    show = Job.progress

    def slowly(job, done, total, what):
        show(job, done, total, what)
        halted.set()
        go_on.wait(20)

    monkeypatch.setattr(Job, "progress", slowly)
    monkeypatch.setattr(jobs, "GAP", 0)
    panel.go.click()
    assert halted.wait(20) and panel.go.disabled and not panel.stop.disabled
    assert "32 of 40 photos" in panel.progress.value
    panel.stop.click()
    go_on.set()
    panel.wait()
    assert len(panel.shown.result) == 32 and "Stopped after 32 of 40 photos" in panel.notes.value
    assert panel.progress.value == "" and "stopped early" in panel.code()


def test_closing_while_it_judges_ends_it(dash, run):
    dash.session.run = run
    panel = look_at(dash)
    panel.go.click()
    dash.close()
    assert panel.shown is None and panel.wait(20)


# --- what is shown ------------------------------------------------------------------------------------------


def test_the_most_confused_cell_is_open_with_its_photos(judged):
    worst = judged.shown.result.most_confused[0]
    assert judged.cells.matrix.picked == [FLOWERS.index(worst.true), FLOWERS.index(worst.predicted)]
    assert len(judged.photos.cell.answers) == worst.count
    assert {one.said for one in judged.photos.cell.answers} == {worst.predicted}
    photos = f"{worst.count} photo{'s' * (worst.count > 1)}"
    assert judged.photos.cell.note == f"{photos} of {worst.true} taken for {worst.predicted}."


def test_a_cell_a_row_and_the_others_show_their_photos(judged):
    result = judged.shown.result
    pick(judged.cells.matrix, true=[2], predicted=None, cell=[2, -1])
    judged.wait()
    assert len(judged.photos.cell.answers) == 8
    assert {one.true for one in judged.photos.cell.answers} == {"roses"}
    pick(judged.cells.matrix, true=[0, 1], predicted=[3, 4], cell=[-2, -2])
    judged.wait()
    assert len(judged.photos.cell.answers) == int(result.confusion[:2, 3:].sum())


def test_many_photos_come_a_few_at_a_time(judged, monkeypatch):
    monkeypatch.setattr(cells, "FIRST", 5)
    pick(judged.cells.matrix, true=None, predicted=None, cell=[-1, -1])
    judged.wait()
    assert len(judged.photos.cell.answers) == 5
    assert "5 with the highest loss" in judged.photos.cell.note
    assert judged.photos.more.layout.display == ""
    judged.photos.more.click()
    judged.wait()
    assert len(judged.photos.cell.answers) == 10


def test_the_worst_and_the_surest_mistakes_are_there(judged):
    result = judged.shown.result
    assert [one.name for one in judged.photos.worst.answers] == [row.name for row in result.worst[:12]]
    surest = [row.probability for row in surest_mistakes(result)]
    assert surest == sorted(surest, reverse=True)
    assert not any(one.right for one in judged.photos.surest.answers)


def test_heat_maps_lie_on_the_worst_photos_for_either_class(judged):
    before = judged.photos.worst._pictures["data"]
    seen = {}
    for view in ("predicted", "true", "photo"):
        judged.photos.view.value = view
        judged.wait()
        seen[view] = judged.photos.worst._pictures["data"]
        assert not parse(judged.photos.view_note.value).find_all(cls="vx-note")
    assert seen["photo"] == before and len({*seen.values()}) == 3


def test_a_heat_map_that_fails_is_a_sentence_and_the_photo_stays(judged, monkeypatch):
    def fails(*_):
        raise ValueError("no <stage> here")

    monkeypatch.setattr(judged.photos, "heat", fails)
    before = judged.photos.worst._pictures["data"]
    judged.photos.view.value = "true"
    judged.wait()
    assert parse(judged.photos.view_note.value).find(cls="vx-note").text.startswith("no <stage> here")
    assert judged.photos.worst._pictures["data"] == before


def test_a_class_in_the_table_opens_its_photos_and_curves(judged):
    pick(judged.cells.table, index=4)
    judged.wait()
    assert judged.charts.of_class.value == "tulips" and judged.cells.matrix.picked == [4, -1]
    assert {one.true for one in judged.photos.cell.answers} == {"tulips"}
    assert "roc curve of tulips" in judged.charts.curves.value
    judged.charts.kind.value = "pr"
    judged.wait()
    assert "pr curve of tulips" in judged.charts.curves.value and "currentColor" in judged.charts.curves.value


def test_a_picked_photo_is_described_and_becomes_the_dashboards(judged, dash):
    row = judged.shown.result.worst[3]
    pick(judged.photos.worst, index=3)
    assert row.name in judged.photos.one.value and f"taken for {row.predicted}" in judged.photos.one.value
    judged.photos.open.click()
    judged.wait()
    dash.wait()
    assert dash.session.image_name == row.name and dash.session.image.size == Image.open(row.file).size
    pick(judged.photos.surest, index=0)
    assert judged.photos.worst.selected == -1 and judged.photos.surest.selected == 0


def test_the_judged_model_can_be_opened_with_the_photo(judged, dash, run):
    pick(judged.photos.cell, index=0)
    assert judged.photos.open_both.layout.display == ""
    judged.photos.open_both.click()
    judged.wait()
    dash.wait()
    assert dash.session.model is not run.model and "nano" in dash.session.model_name
    assert dash.session.look.predictions[0].label in FLOWERS


def test_photos_of_several_classes_have_no_matrix_and_say_why(dash):
    panel = look_at(dash)
    result = several_labels()
    panel._show(facts_of(Judgement(result, dash.session.model, ())))
    panel.wait()
    assert "no matrix" in panel.cells.matrix_note.value and panel.cells.matrix._table == ""
    assert panel.photos.blocks["surest"].layout.display == "none"
    assert "mean average precision" in panel.head.value and len(panel.photos.worst.answers) == 12
    pick(panel.cells.table, index=1)
    panel.wait()
    assert len(panel.photos.cell.answers) == int(result.labels[:, 1].sum()) and panel.figure() is not None


def test_without_mistakes_and_without_photos_to_open_it_still_stands(dash):
    panel = look_at(dash)
    result = made_up([(0, [0.9, 0.05, 0.05]), (1, [0.1, 0.8, 0.1])])
    panel._show(facts_of(Judgement(result, dash.session.model, ())))
    panel.wait()
    assert panel.message.value == ""
    assert panel.photos.surest.note == "There are no mistakes among these photos."
    assert len(panel.photos.worst.answers) == 2 and len(panel.photos.worst._pictures["sizes"]) == 2


# --- to keep ------------------------------------------------------------------------------------------------


def test_nothing_is_said_before_anything_is_judged(panel):
    assert panel.code() == "" and panel.figure() is None


def test_its_code_runs_and_gives_the_same_numbers(judged, dash):
    judged.photos.view.value = "true"
    judged.wait()
    scope = {"dash": dash}
    exec(judged.code(), scope)
    assert scope["result"].loss == judged.shown.result.loss and len(scope["heat_maps"]) == 12


def test_the_code_for_the_model_on_the_screen_runs(dash):
    panel = look_at(dash)
    dash.session.model.config = dash.session.model.config.with_(labels=FLOWERS)
    panel.data.value = "flowers5_nano"
    panel.go.click()
    panel.wait()
    scope = {"dash": dash}
    exec(panel.code(), scope)
    assert scope["result"].loss == panel.shown.result.loss


def test_a_second_model_by_the_same_photos_is_held_against_the_first(judged, dash):
    first = judged.shown.result
    assert judged.against.value == "" and "differ" not in judged.code()
    judged.go.click()
    assert judged.wait() and judged.against.value == ""  # the same model once more
    dash.session.model.config = dash.session.model.config.with_(labels=FLOWERS)
    judged.who.value, judged.data.value = "model", "flowers5_nano"
    judged.go.click()
    assert judged.wait()
    found = explorer.differ(first, judged.shown.result)
    text = parse(judged.against.value).text
    assert text.startswith("Held against nano, judged before by the same photos: ") and found.sentence in text
    scope = {"dash": dash}
    exec(judged.code(), scope)
    again = explorer.differ(scope["before"], scope["result"])
    assert (again.test, again.first) == (found.test, found.first)
    judged.part.value = "train"  # other photos
    judged.go.click()
    assert judged.wait() and judged.against.value == "" and len(judged.before) == 4
    judged.forget()
    assert judged.before == []


def test_the_figure_and_its_caption_name_model_data_and_interval(judged):
    assert judged.exported("svg").startswith(b"<?xml") and judged.exported("png").startswith(b"\x89PNG")
    caption = judged.caption()
    assert "nano on flowers5_nano" in caption and "40 photos" in caption and "95 %" in caption
    assert "explorer" in caption


def test_the_guide_says_what_figures_do_not_prove():
    assert all(word in EvaluatePanel.guide for word in ("Few photos", "Duplicates", "1706.04599", "interval"))


# --- plain functions ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def small() -> Evaluation:
    return made_up([(0, [0.7, 0.2, 0.1]), (0, [0.2, 0.7, 0.1]), (1, [0.1, 0.8, 0.1]), (1, [0.5, 0.3, 0.2])],
                   classes=("<b>a</b>", "b", "c"), broken=(("x<y>.jpg", "no picture"),),
                   notes=("Left out, x<y>.jpg: no picture", "n<o>te"))


def test_names_of_classes_models_and_files_are_text(small):
    page = parse(headline_html(small) + notes_html(small) + themed_svg(small.plot_roc(["<b>a</b>"]), "<b>"))
    assert page.find("div", "vx-eval-chart").attributes["aria-label"] == "<b>"
    assert "<b>a</b>" in page.text
    assert "x<y>.jpg: no picture" in [item.text for item in page.find("details").find_all("li")]
    assert "n<o>te" in [item.text for item in page.find("ul", "vx-run-notes").find_all("li")]
    assert not page.tags & {"y", "o"} and len(page.find_all("b")) == 1  # which the panel wrote


def test_a_class_of_few_photos_is_named(small):
    assert scarce(small) == ["<b>a</b> has 2 photos: each one moves its recall by 50 points. "
                             "1 more class has fewer than 10 photos."]
    assert scarce(made_up([(0, [0.9, 0.1])] * 10, classes=("a", "b"))) == []


def test_rows_have_the_classes_that_occur_and_the_csv_leaves_undefined_empty(small):
    columns, rows, classes = class_rows(small)
    assert classes == [0, 1] and rows[0][0] == "<b>a</b>" and rows[0][-2:] == [2, 2]
    lines = list(csv.DictReader(io.StringIO(csv_text(columns, [["a", float("nan"), 0.5, 0.5, None, 0, 3]]))))
    assert lines[0]["precision"] == "" and lines[0]["ROC area"] == "" and lines[0]["answers"] == "3"


def test_several_classes_at_once_give_their_photos_highest_loss_first(small):
    rows = cell_photos(small, (0, 1), (1,))
    assert [row.index for row in rows] == [1, 2]
    assert cell_text(small, (0, 1), (1,), 2) == "2 photos of 2 other classes taken for b."
    assert cell_text(small, None, None, 4) == "All 4 photos."
    assert cell_text(small, (1,), (1,), 1) == "1 photo of b recognised."


def test_a_chart_takes_the_pages_colours(small):
    svg = themed_svg(small.plot_reliability(), "Reliability")
    assert "currentColor" in svg and "#010203" not in svg and "<?xml" not in svg
    assert "#ffffff" not in svg.split("<defs>")[0]


def test_stopping_before_the_end_judges_whole_batches_only():
    photos = PhotoSet(("a", "b"), (0, 1) * 5, tuple(f"{i}" for i in range(10)),
                      lambda i: Image.new("RGB", (32, 32), (i * 20, 0, 0)))
    done = []
    result = evaluate(tiny(2), photos, batch_size=3, on_progress=lambda *seen: done.append(seen),
                      should_stop=lambda: len(done) == 2)
    assert done == [(3, 10), (6, 10)] and len(result) == 6 and result.names == tuple("012345")
    whole = evaluate(tiny(2), photos, batch_size=3)
    assert torch.equal(result.probabilities, whole.probabilities[:6])
    assert any("Stopped after 6 of 10" in note for note in result.notes)


def test_the_overview_has_a_chart_for_each_question(small):
    assert len(small.plot().axes) == 5  # four, and a colour bar
    assert len(several_labels().plot(["a"]).axes) == 3
