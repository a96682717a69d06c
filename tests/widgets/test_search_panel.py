"""The Search tab: what is tried, the trials as they come, stop and go on, and the best one opened."""

from __future__ import annotations

import json
import sys
import threading
from pathlib import Path

import pytest
import torch
from ipywidgets.widgets import widget as registry

import explorer
from explorer.training.choosing import trying
from explorer.widgets.panels.search.values import values_of
from tests.html import parse

from .test_finetune_panel import folder, small_net, tiny  # noqa: F401
from .test_parts_base import from_browser

pytest.importorskip("optuna")
pytestmark = pytest.mark.usefixtures("quick_sqlite")


@pytest.fixture
def dash():
    dash = explorer.Dashboard(tiny(), images=explorer.sample_photos()[:1])
    dash.wait()
    yield dash
    dash.close()


@pytest.fixture
def panel(dash, folder):  # noqa: F811
    """The open panel: two rates of the classifier of the network on the screen, one epoch each."""
    panel = dash.search
    dash.tabs.selected_index = dash.tabs.children.index(panel)
    panel.where.data.value, panel.where.folder.value = "a folder", str(folder)
    ask(panel, lr="0.000001, 0.1", weight_decay="", label_smoothing="", epochs="1")
    panel.fields.trials.value = 4
    assert panel.wait()
    panel.dash = dash
    return panel


def ask(panel, **typed):
    for name, value in typed.items():
        panel.fields.row(name).text.value = value


def searched(panel):
    panel.start.click()
    assert panel.wait(60)
    return panel.view


def said(place):
    return parse(place.value).text


def rows(panel):
    table = json.loads(panel.view.table._table)
    titles = [title for title, _ in table["columns"]]
    return [dict(zip(titles, row)) for row in table["rows"]]


# --- what is asked for --------------------------------------------------------------------------------------


@pytest.mark.parametrize("typed, values", [
    ("", []), (" ", []), ("0.1", [0.1]), ("0, 0.1,0.1", [0, 0.1]), ("1e-4 to 1e-1", (1e-4, 0.1)),
    ("0,5; 1", [0.5, 1]), ("0,001 to 0,1", (0.001, 0.1)), ("0.1..0.5", (0.1, 0.5)), ("0.1 - 0.5", (0.1, 0.5)),
    ("0.1–0.5", (0.1, 0.5)),
])
def test_values_are_read_as_they_are_written(typed, values):
    assert values_of("Learning rate", typed) == values


def test_what_cannot_be_is_a_sentence_before_anything_runs(panel):
    wrong = [("lr", "fast", "write a number such as 0.001"), ("lr", "0.1 to 0.01", "begins with the smaller"),
             ("lr", "0.1 to 0.1", "for one value write 0.1 alone"),
             ("lr", "-1, 0.1", "give a number above 0"),
             ("epochs", "2.5", "a whole number"), ("epochs", "0, 2", "from 1"),
             ("label_smoothing", "0, 7", "a share"), ("lr", "0.1", "there is nothing to search"),
             ("lr", "1 to <b>2", "<b>2")]
    for name, typed, sentence in wrong:
        before = panel.fields.row(name).text.value
        ask(panel, **{name: typed})
        assert sentence in parse(panel.said.value).find(role="alert").text
        panel.start.click()
        assert panel.wait() and sentence in parse(panel.work.message.value).find(role="alert").text
        assert panel.view.plan is None and panel.code().startswith("#")
        ask(panel, **{name: before})
    for control, value, sentence in ((panel.fields.trials, 0, "from 1"), (panel.fields.seed, -1, "from 0"),
                                     (panel.where.folder, " ", "Type the path of a folder")):
        before, control.value = control.value, value
        assert sentence in parse(panel.said.value).find(role="alert").text
        control.value = before
    assert panel.wait() and panel.code().startswith("import explorer")


def test_it_says_what_it_would_try_and_what_that_is_worth(panel):
    assert "All 2 combinations of learning rate" in said(panel.said)
    ask(panel, lr="0.001 to 0.1")
    assert "4 of endlessly many combinations of learning rate" in said(panel.said)
    panel.fields.method.value = "grid"
    assert "Learning rate is a range: write single values, such as 0.001, 0.1" in said(panel.said)
    assert panel.fields.trials.layout.display == "none"
    panel.fields.method.value = "random"
    panel.fields.row("augment").boxes["none"].value = True
    assert "Augmentation changes nothing where the classifier alone learns" in said(panel.said)
    panel.fields.row("train").boxes["all"].value = True
    assert "changes nothing" not in said(panel.said) and "minutes" in said(panel.said)
    panel.backbones.others.value = "resnet5O"
    assert "Did you mean 'resnet50'" in said(panel.said)
    panel.backbones.others.value = "retinanet_lite0"
    assert "finds boxes or masks" in said(panel.said)
    panel.backbones.others.value = "resnet18"
    assert "weights of resnet18 are not on this computer" in said(panel.said)


def test_the_default_is_small_and_of_the_model_on_the_screen():
    dash = explorer.Dashboard("tf_efficientnet_lite0", images=explorer.sample_photos()[:1])
    try:
        dash.wait()
        panel = dash.search
        panel.build()
        plan = panel._plan()
        assert plan.data == "flowers5_nano" and plan.models == ("tf_efficientnet_lite0",) and plan.trials == 8
        assert plan.fixed == {"train": "head", "augment": "light", "epochs": 3, "optimizer": "adamw",
                              "schedule": "cosine"}
        assert "optimizer" not in panel.code() and "epochs=3" in panel.code()
        assert set(plan.space) == {"lr", "weight_decay", "label_smoothing"}
        dash.session.compare = ["resnet18"]
        assert [*panel.backbones.boxes][-1] == "resnet18" and not panel.backbones.boxes["resnet18"].value
        panel.backbones.boxes["resnet18"].value = True
        assert panel._plan().models == ("tf_efficientnet_lite0", "resnet18")
        assert '"model": ["tf_efficientnet_lite0", "resnet18"],' in panel.code()
    finally:
        dash.close()


# --- trials -------------------------------------------------------------------------------------------------


def test_a_search_is_a_table_a_chart_and_lines_that_give_it_again(panel):
    ask(panel, lr="0.000001, 0.1", label_smoothing="0, 0.1", epochs="2")
    panel.fields.method.value = "grid"
    told = []
    panel.view.table.observe(lambda change: told.append(rows(panel)), "_table")
    view = searched(panel)
    assert said(panel.work.message) == "4 trials: 4 done."
    found = rows(panel)
    assert [row["trial"] for row in found] == [*range(4)]
    assert {row["learning rate"] for row in found} == {1e-6, 0.1}
    best = [row for row in found if "★" in row[""]]
    assert len(best) == 1 and best[0]["top-1 accuracy"] == max(row["top-1 accuracy"] for row in found)
    assert any("running" in row[""] for state in told for row in state)  # it was told as it came
    assert view.curves.names == tuple(f"trial {number}" for number in range(4))
    assert view.curves.unit == "percent" and len(view.curves.points("trial 0")) == 2
    assert view.curves.marks[0][1] == f"best: trial {best[0]['trial']}"
    bars = parse(view.matters.value).find_all("li")
    assert bars and bars[0].text.startswith("Learning rate")
    assert "<svg" in view.lines.value and "white" not in view.lines.value
    assert panel.exported().startswith(b"\x89PNG") and "4 trials on colours (grid, seed 0)" in panel.caption()
    lines, space = panel.code(), {"dash": panel.dash}
    exec(lines, space)  # our own lines
    assert [trial.value for trial in space["found"].trials] == [trial.value for trial in view.result.trials]
    assert "storage" not in lines and view.result.best.settings == space["found"].best.settings


def test_a_press_on_a_trial_draws_its_curve_alone(panel):
    view = searched(panel)
    from_browser(view.table, {"kind": "pick", "index": 1})
    assert view.curves.hidden == ["trial 0"] and "Trial 1, learning rate" in said(view.one)
    for strange in ({"kind": "pick", "index": 7}, {"kind": "pick", "index": "1"}, {"kind": 3}):
        from_browser(view.table, strange)
    from_browser(view.table, {"kind": "choose", "key": "sort", "value": [2, False]})
    view.draw()
    assert view.table.sort == [2, False]  # what flows in leaves the reader's order
    from_browser(view.table, {"kind": "pick", "index": 1})
    assert view.curves.hidden == [] and not view.one.value


def test_a_trial_that_fails_is_a_row_with_its_sentence_and_the_rest_goes_on(panel, monkeypatch):
    plain = trying.Work.try_out

    def try_out(work, settings, tell):
        if settings["lr"] == 0.2:
            raise MemoryError("<b>CUDA out of memory</b>")
        if settings["lr"] == 0.3:
            raise RuntimeError("<img src=x> went wrong")
        return plain(work, settings, tell)

    monkeypatch.setattr(trying.Work, "try_out", try_out)
    ask(panel, lr="0.1, 0.2, 0.3", epochs="1")
    view = searched(panel)
    why = {row["learning rate"]: row["why"] for row in rows(panel)}
    assert "not enough memory" in why[0.2] and "<img src=x> went wrong" in why[0.3] and why[0.1] == ""
    assert said(panel.work.message) == "3 trials: 1 done, 2 failed." and view.winner.settings == {"lr": 0.1}
    failed = next(row["trial"] for row in rows(panel) if row["why"])
    view._pick(failed)
    assert "failed" in said(view.one) and "<img" not in view.one.value
    ask(panel, lr="0.2, 0.3")
    searched(panel)
    assert "All 2 trials failed" in parse(panel.work.message.value).find(role="alert").text
    assert len(rows(panel)) == 2 and view.winner is None and view.use.disabled and panel.figure() is None
    assert not panel.session.learning and not panel.start.disabled


def test_a_backbone_that_cannot_be_opened_is_a_row(panel, monkeypatch):
    from explorer.models.weights.report import WeightsError

    def nowhere(*_args, **_options):
        raise WeightsError("The weights of resnet18 can't be had: there is no network.")

    monkeypatch.setattr("explorer.training.run.head.create_model", nowhere)
    ask(panel, lr="0.1", epochs="1")
    panel.backbones.others.value = "resnet18"
    view = searched(panel)
    shown = {row["backbone"]: row for row in rows(panel)}
    assert "no network" in shown["resnet18"]["why"] and view.winner.number in {0, 1}
    assert any("the" not in name and "★" in row[""] for name, row in shown.items() if name != "resnet18")
    panel.view.use.click()
    assert panel.wait() and panel.session.run.name == f"trial {view.winner.number} on colours"


def test_a_search_that_was_stopped_keeps_what_is_there_and_goes_on(panel, monkeypatch):
    plain, gate = trying.Work.try_out, threading.Event()

    def try_out(work, settings, tell):
        if settings["lr"] == 0.3 and not gate.is_set():
            panel.work.button.click()  # Stop, in the middle of the trial
        return plain(work, settings, tell)

    monkeypatch.setattr(trying.Work, "try_out", try_out)
    ask(panel, lr="0.1, 0.3, 0.2", epochs="1")
    panel.fields.method.value = "grid"
    searched(panel)
    assert "Stopped after 1 of 3 trials (1 done). What is there stays" in said(panel.work.message)
    assert [row["trial"] for row in rows(panel)] == [0]
    assert "while this dashboard is open" in said(panel.work.message)
    assert not panel.start.disabled and panel.work.button.disabled and not panel.session.learning
    gate.set()
    first = panel.view.trials[0]
    searched(panel)
    assert said(panel.work.message) == "3 trials: 3 done." and panel.view.trials[0] == first
    panel.fields.trials.value, panel.fields.folder.value = 1, ""  # of a grid all: the same search
    searched(panel)
    assert said(panel.work.message) == "3 trials: 3 done." and panel.view.trials[0] == first


def test_another_network_of_the_same_kind_is_another_search(panel, dash):
    before = panel._plan().key
    torch.manual_seed(1)
    dash.session.open_model(small_net(8))
    dash.wait()
    assert panel._plan().key != before
    dash.session.open_model(tiny())  # the same weights once more
    dash.wait()
    assert panel._plan().key == before


def test_a_stop_before_the_first_trial_has_ended_is_no_error(panel, monkeypatch):
    plain = trying.Work.try_out
    monkeypatch.setattr(trying.Work, "try_out", lambda *given: (panel.work.button.click(), plain(*given))[1])
    searched(panel)
    assert "Stopped after 0 of 2 trials" in said(panel.work.message)
    assert "alert" not in panel.work.message.value
    assert rows(panel) == [] and panel.figure() is None and panel.view.use.disabled


def test_a_search_in_a_folder_goes_on_in_another_dashboard(panel, tmp_path, folder):  # noqa: F811
    panel.fields.folder.value = str(tmp_path / "mine")
    panel.fields.trials.value = 1
    searched(panel)
    assert "storage=" in panel.code() and "mine/search.db" in panel.code() and len(rows(panel)) == 1
    other = explorer.Dashboard(tiny(), images=explorer.sample_photos()[:1])
    try:
        other.wait()
        again = other.search
        again.build()
        again.where.data.value, again.where.folder.value = "a folder", str(folder)
        ask(again, lr="0.000001, 0.1", weight_decay="", label_smoothing="", epochs="1")
        again.fields.folder.value = str(tmp_path / "mine")
        view = searched(again)
        assert len(view.trials) == 2 and view.trials[0] == panel.view.trials[0]
        ask(again, lr="0.2, 0.1")
        searched(again)
        alert = parse(again.work.message.value).find(role="alert").text
        assert "holds another search: space is not the same" in alert and "another folder" in alert
    finally:
        other.close()
    assert (tmp_path / "mine" / "best" / "run.json").is_file()


# --- the best, and beside others ----------------------------------------------------------------------------


def test_the_best_run_is_opened_and_stands_among_the_others(panel, dash):
    assert panel.view.use.disabled
    view = searched(panel)
    assert not view.use.disabled
    for _ in range(2):
        view.use.click()
        assert panel.wait()
        dash.wait()
    [run] = dash.session.runs
    assert run.name == f"trial {view.winner.number} on colours" and dash.session.run is run
    assert run.best["val_top1"] == view.winner.value and run.recipe.lr == view.winner.settings["lr"]
    assert panel.backbones.boxes[""].value and "was trained here" in said(panel.said)
    assert dash.session.model_name.endswith(run.name) and dash.session.model.config.labels == run.labels
    dash.tabs.selected_index = dash.tabs.children.index(dash.runs)
    assert dash.runs.shown == [run] and dash.finetune.wait()


def test_one_training_at_a_time(panel, dash, folder, monkeypatch):  # noqa: F811
    train = dash.finetune
    train.build()
    train.fields.data.value, train.fields.folder.value = "a folder", str(folder)
    plain, gate, begun = trying.Work.try_out, threading.Event(), threading.Event()

    def try_out(*given):
        begun.set()
        assert gate.wait(30)
        return plain(*given)

    monkeypatch.setattr(trying.Work, "try_out", try_out)
    panel.start.click()
    assert begun.wait(30)
    train.start.click()
    assert "The search is trying settings. Stop it first" in train.problem.value and not dash.session.runs
    panel.start.click()  # twice
    gate.set()
    assert panel.wait(60) and len(panel.view.trials) == 2
    train.fields.epochs.value, train.fields.train.value = 5000, "all"
    train.start.click()
    assert train.starting.wait(60)
    searched(panel)
    assert "my run 1 is learning. Stop it first" in said(panel.work.message)
    dash.session.run.stop()
    searched(panel)
    assert said(panel.work.message) == "2 trials: 2 done."


def test_without_optuna_it_says_what_to_install(dash, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    panel = dash.search
    panel.build()
    assert "pip install 'vision-explorer[search]'" in said(panel.optuna)
    searched(panel)
    assert "pip install 'vision-explorer[search]'" in parse(panel.work.message.value).find(role="alert").text
    monkeypatch.undo()
    panel._look_for_optuna()
    assert panel.optuna.value == "" and not panel.start.disabled


def test_numbers_are_searched_by_their_error(dash, tmp_path, folder):  # noqa: F811
    files = sorted(folder.rglob("*.png"))
    lines = [f"{file},{number % 5}" for number, file in enumerate(files)]
    (tmp_path / "ages.csv").write_text("\n".join(["file,age", *lines]))
    panel = dash.search
    panel.build()
    panel.where.data.value, panel.where.folder.value = "a folder", str(tmp_path / "ages.csv")
    ask(panel, lr="0.001, 0.1", weight_decay="", label_smoothing="", epochs="1")
    view = searched(panel)
    assert "mean absolute error" in said(view.best) and view.curves.unit == "number", panel.work.message.value
    assert view.winner.value == min(row["mean absolute error"] for row in rows(panel))


def test_a_network_for_boxes_leaves_the_search_to_others(dash):
    dash.session.open_model("retinanet_lite0.bccd")
    dash.wait()
    panel = dash.search
    panel.build()
    assert "finds boxes, which a search does not try" in said(panel.said)
    assert panel._plan().models == ("tf_efficientnet_lite0",)
    assert 'model="tf_efficientnet_lite0"' in panel.code()


def test_closing_in_the_middle_leaves_nothing(folder, monkeypatch):  # noqa: F811
    before = set(registry._instances)
    dash = explorer.Dashboard(tiny(), images=explorer.sample_photos()[:1])
    dash.wait()
    panel = dash.search
    panel.build()
    panel.where.data.value, panel.where.folder.value = "a folder", str(folder)
    ask(panel, lr="0.1, 0.2", weight_decay="", label_smoothing="", epochs="100000")
    begun = threading.Event()
    plain = trying.Work.try_out
    monkeypatch.setattr(trying.Work, "try_out", lambda *given: (begun.set(), plain(*given))[1])
    panel.start.click()
    assert begun.wait(30)
    [place] = panel._places.values()
    dash.close()
    assert panel.work.wait(30)
    assert set(registry._instances) == before
    assert not Path(place.name).exists()
