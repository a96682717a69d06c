"""The table of runs: what differs, what was best, curves over each other, and runs from a folder."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace

import pytest
import torch
from ipywidgets.widgets import widget as registry

import explorer
from explorer.training.run.finetuning import finetune
from explorer.training.run.past import past_runs
from explorer.training.run.register import RUNS
from explorer.widgets.panels.runs.table import csv_text, distinct_names, table_of
from explorer.widgets.parts.run_table import Cell, RunTable
from tests.html import parse

from .test_finetune_panel import folder, tiny  # noqa: F401
from .test_parts_base import from_browser, updates


def learn(data, name, **settings):
    usual = {"epochs": 2, "train": "all", "threads": 1, "batch_size": 8}
    return finetune(tiny(), data, **usual | settings, name=name).wait(60)


@pytest.fixture
def two(folder):  # noqa: F811
    return [learn(folder, "slow", lr=1e-6), learn(folder, "quick", lr=0.05, epochs=4, mixup=0.2)]


@pytest.fixture
def dash():
    dash = explorer.Dashboard(tiny())
    dash.wait()
    yield dash
    dash.close()


@pytest.fixture
def panel(dash, two):
    panel = dash.runs
    dash.tabs.selected_index = dash.tabs.children.index(panel)
    for run in two:
        dash.session.run = run
    return panel


def test_charts_stand_there_only_with_runs(dash, folder):  # noqa: F811
    panel = dash.runs
    dash.tabs.selected_index = dash.tabs.children.index(panel)
    assert panel.charts.layout.display == "none" and panel.empty.layout.display == ""
    run = learn(folder, "of a cell")
    assert panel.shown == [run]
    assert panel.charts.layout.display == "" and panel.empty.layout.display == "none"


def test_settings_that_differ_are_marked_and_others_are_not(two):
    columns, rows = table_of(two)
    marked = {column for column, cell in zip(columns, rows[0]) if cell.differs}
    assert {"lr", "mixup"} <= marked
    assert not marked & {"seed", "optimizer", "model", "data", "state", "cutmix"}
    assert "cutmix" not in columns and "seed" in columns
    assert len(columns) == len(set(columns)) and "epochs" in marked
    best = [cell.best for cell in (row[columns.index("best right")] for row in rows)]
    assert best == [False, True]


def test_what_differs_comes_first_and_the_epochs_once(two):
    columns, rows = table_of(two)
    assert columns[:6] == ["run", "epochs", "lr", "mixup", "state", "best right"]
    assert columns.count("epochs") == 1 and columns[-2:] == ["augment", "seed"]
    texts = [[cell.text for cell in row[1:4]] for row in rows]
    assert texts == [["2 of 2", "1e-06", "0"], ["4 of 4", "0.05", "0.2"]]
    two[1].history.pop()  # one that was stopped: no other setting
    two[1].recipe = replace(two[1].recipe, epochs=2)
    two[0].history.pop()
    columns, rows = table_of(two)
    assert not rows[0][columns.index("epochs")].differs and columns[1] == "lr"


def test_short_names_have_the_fields_term_below(panel):
    shown = json.loads(panel.table._table)
    terms = dict(zip(shown["columns"], shown["terms"]))
    assert terms["lr"] == "learning rate" and terms["loss there"] == "validation loss"
    assert terms["best right"] == "top-1, validation" and terms["seed"] == ""


def test_one_run_has_nothing_to_differ_from(two):
    _, rows = table_of(two[:1])
    assert not any(cell.differs or cell.best for cell in rows[0])


def test_the_csv_holds_every_setting_and_figure(two):
    rows = list(csv.DictReader(io.StringIO(csv_text(two))))
    assert [row["run"] for row in rows] == ["slow", "quick"]
    assert float(rows[1]["best right"]) == two[1].best["val_top1"] and rows[1]["mixup"] == "0.2"
    assert rows[1]["epochs"] == "4 of 4"


def test_a_recommended_rate_is_written_out(two):
    run = two[0]
    run.recipe = replace(run.recipe, lr=None)
    assert next(csv.DictReader(io.StringIO(csv_text([run]))))["lr"] == "0.003"


def test_names_with_commas_and_quotes_survive_the_csv(two):
    two[0].name = 'a, "b"\nc'
    assert next(csv.DictReader(io.StringIO(csv_text(two))))["run"] == 'a, "b"\nc'


def test_ticked_runs_lie_over_each_other(panel, two):
    assert panel.table.ticked == [0, 1]
    assert panel.right.names == panel.loss.names == ("slow", "quick")
    xs, ys = zip(*panel.loss.points("quick"))
    assert xs == (1, 2, 3, 4) and ys == pytest.approx([row["val_loss"] for row in two[1].history])
    from_browser(panel.table, {"kind": "choose", "key": "ticked", "value": [1]})
    assert panel.right.hidden == panel.loss.hidden == ["slow"]
    assert panel.right.names == ("slow", "quick")  # it keeps its colour


def test_a_curve_switched_in_a_legend_is_a_tick(panel):
    from_browser(panel.loss, {"kind": "choose", "key": "hidden", "value": ["quick"]})
    assert panel.table.ticked == [0] and panel.right.hidden == ["quick"]
    from_browser(panel.right, {"kind": "choose", "key": "hidden", "value": []})
    assert panel.table.ticked == [0, 1] and panel.loss.hidden == []


def test_a_further_run_joins_and_the_ticks_stay(panel, dash, folder):  # noqa: F811
    from_browser(panel.table, {"kind": "choose", "key": "ticked", "value": [1]})
    dash.session.run = learn(folder, "third")
    assert panel.table.ticked == [1, 2] and panel.right.hidden == ["slow"] and panel.right.names[2] == "third"


def test_a_run_that_learns_grows_in_the_chart(panel, dash, folder):  # noqa: F811
    run = finetune(tiny(), folder, epochs=3, train="all", threads=1, name="live")
    dash.session.run = run
    run.wait(60)
    assert len(panel.right.points("live")) == 3
    columns, _ = table_of(panel.shown)
    assert '"finished"' in panel.table._table and "state" in columns


def test_a_runs_model_becomes_the_dashboards(panel, dash, two):
    from_browser(panel.table, {"kind": "use", "index": 1})
    assert panel.wait()
    dash.wait()
    assert dash.session.model_name.endswith("quick")
    assert all(torch.equal(a, b) for a, b in zip(dash.session.model.parameters(), two[1].model.parameters()))


def test_a_run_is_shown_under_train(panel, dash, two):
    assert dash.session.run is two[1]
    from_browser(panel.table, {"kind": "show", "index": 0})
    assert panel.wait() and dash.session.run is two[0]


def test_runs_of_a_folder_join_the_table_and_open(
        panel, dash, two, tmp_path, folder, monkeypatch):  # noqa: F811
    monkeypatch.setattr(RUNS, "tell", lambda run: None)  # they are of another process, as it were
    model = explorer.create_model("resnet10t", num_classes=3)
    saved = finetune(model, folder, epochs=1, input_size=(3, 32, 32), threads=1, name="kept").wait(60)
    saved.save(tmp_path / "runs" / "kept")
    learn(folder, "half", run_dir=tmp_path / "runs" / "half")
    (tmp_path / "runs" / "holiday").mkdir()
    panel.folder.value = str(tmp_path / "runs")
    assert [run.name for run in panel.shown] == ["slow", "quick", "half", "kept"]
    assert panel.shown[3].history == saved.history and len(panel.shown[2].history) == 2
    from_browser(panel.table, {"kind": "use", "index": 3})
    assert panel.wait()
    dash.wait()
    assert "kept" in dash.session.model_name and dash.session.model.config.architecture == "resnet10t"
    panel.folder.value = ""
    assert len(panel.shown) == 2


def test_a_folder_that_is_not_there_is_a_sentence(panel, tmp_path):
    panel.folder.value = str(tmp_path / "nowhere")
    assert "There is no folder" in parse(panel.message.value).find(role="alert").text
    with pytest.raises(ValueError, match="no folder"):
        past_runs(tmp_path / "nowhere")


def test_a_damaged_history_costs_that_run_only(two, tmp_path):
    two[1].save(tmp_path / "good")
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "run.json").write_text('{"recipe": {"epochs": -3}}')
    assert [run.name for run in past_runs(tmp_path)] == ["quick"]


def test_equal_names_are_told_apart(two):
    two[1].name = "slow"
    assert distinct_names(two) == ["slow (1)", "slow (2)"]


def test_the_panel_costs_nothing_until_it_is_looked_at_and_leaves_nothing(two):
    before = set(registry._instances)
    dash = explorer.Dashboard(tiny())
    dash.wait()
    assert dash.runs.table is None
    dash.runs.build()
    assert len(dash.runs.shown) == 2
    dash.close()
    assert set(registry._instances) == before
    assert not any(run._listeners for run in two)


# --- the table's protocol ---


@pytest.fixture
def table(sent):
    table = RunTable()
    rows = [[Cell("a"), Cell("1", differs=True)], [Cell("b"), Cell("2", differs=True)]]
    table.show(["run", "lr"], rows, csv="run,lr\n")
    sent.clear()
    return table


def test_a_tick_reaches_python_and_one_of_no_row_does_not(table, sent):
    from_browser(table, {"kind": "choose", "key": "ticked", "value": [1, 0, 1]})
    assert table.ticked == [0, 1]
    from_browser(table, {"kind": "choose", "key": "ticked", "value": [7]})
    assert table.ticked == [0, 1] and updates(sent)[-1] == ({"ticked": [0, 1]}, [])


def test_buttons_call_back_and_rows_that_are_not_there_do_not(table):
    seen = []
    table.on_action(lambda what, index: seen.append((what, index)))
    for message in ({"kind": "use", "index": 1}, {"kind": "use", "index": 2}, {"kind": "show", "index": True},
                    {"kind": "show", "index": 0}, {"kind": "delete", "index": 0}):
        from_browser(table, message)
    assert seen == [("use", 1), ("show", 0)]


def test_fewer_rows_lose_their_ticks(table):
    table.ticked = [0, 1]
    table.show(["run"], [[Cell("a")]])
    assert table.ticked == [0]


def test_a_row_of_another_length_is_refused(table):
    with pytest.raises(ValueError, match="does not fit"):
        table.show(["run", "lr"], [[Cell("a")]])
