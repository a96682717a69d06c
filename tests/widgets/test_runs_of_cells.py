"""A run that a cell begins, in the dashboards that are open: shown, marked, and nothing kept alive by it."""

from __future__ import annotations

import gc
import json
import threading
import weakref

import pytest

import explorer
from explorer.training.run.finetuning import finetune
from explorer.training.run.register import RUNS
from explorer.widgets.panels.learn import started
from explorer.widgets.panels.learn.started import in_a_cell

from .test_finetune_panel import folder, panel, start, tiny  # noqa: F401
from .test_parts_base import from_browser


def learn(data, name="of a cell", **settings):
    usual = {"epochs": 1, "train": "all", "threads": 1, "batch_size": 8}
    return finetune(tiny(), data, **usual | settings, name=name)


@pytest.fixture
def dash():
    dash = opened()
    yield dash
    for run in dash.session.runs:
        if getattr(run, "running", False):
            run.stop()
    dash.close()


def opened():
    """A dashboard whose panels have all been looked at."""
    dash = explorer.Dashboard(tiny())
    dash.wait()
    for one in (dash.finetune, dash.runs, dash.evaluate):
        one.build()
    return dash


def rows(dash):
    """(name, what stands below it) of each row of Runs."""
    return [(row[0]["text"], row[0]["note"]) for row in json.loads(dash.runs.table._table)["rows"]]


def test_it_appears_in_runs_train_evaluate_and_the_picker_marked_as_of_a_cell(dash, folder):  # noqa: F811
    run = learn(folder).wait(60)
    assert dash.session.run is run
    assert rows(dash) == [("of a cell", "started in a cell")]
    assert "of a cell</b>" in dash.finetune.view.progress.value
    assert "started in a cell" in dash.finetune.view.progress.value
    assert ("of a cell, started in a cell, shown under Train", "run 0") in dash.evaluate.who.options
    assert dash.picker.trained.choose.options == (("of a cell: Sequential, started in a cell", 0),)
    dash.picker.unfold()
    dash.picker.trained.open_it.click()
    assert dash.picker.wait()
    dash.wait()
    assert dash.session.model_name.endswith("of a cell") and dash.picker.layout.display == "none"


def test_the_picker_has_no_menu_of_runs_before_there_is_one(dash):
    assert dash.picker.trained.children == ()


def test_one_that_a_thread_begins_appears_in_every_open_dashboard(dash, folder):  # noqa: F811
    other, box = opened(), []
    thread = threading.Thread(target=lambda: box.append(learn(folder, epochs=100_000)))
    thread.start()
    thread.join(60)
    run, = box
    try:
        assert dash.session.run is other.session.run is run
        assert dash.finetune.start.disabled and other.finetune.start.disabled
    finally:
        run.stop()
        other.close()
    assert not dash.finetune.start.disabled


def test_it_does_not_take_the_place_of_one_that_still_learns(dash, panel, folder):  # noqa: F811
    panel.fields.epochs.value = 100_000
    own = start(panel)
    run = learn(folder).wait(60)
    assert dash.session.run is own and dash.session.runs == (own, run)
    assert not in_a_cell(own) and in_a_cell(run)


def test_what_a_reader_starts_is_known_to_other_dashboards_and_not_marked(dash, panel):  # noqa: F811
    other = opened()
    run = start(panel).wait(60)
    assert other.session.runs == (run,) and other.session.run is None
    assert rows(other) == rows(dash) == [(run.name, "")]
    other.close()


def test_a_dashboard_opened_later_marks_it_too(folder):  # noqa: F811
    run = learn(folder).wait(60)
    dash = opened()
    assert dash.session.run is run and rows(dash) == [("of a cell", "started in a cell")]
    dash.close()


def test_a_closed_dashboard_hears_of_none_and_is_not_kept(folder, caplog):  # noqa: F811
    dash = opened()
    run = learn(folder).wait(60)
    session, seen = weakref.ref(dash.session), dash.session
    dash.close()
    assert RUNS._watchers == []
    learn(folder, "later").wait(60)
    assert seen.runs == () and not caplog.records
    del dash, seen
    gc.collect()
    assert session() is None and run._listeners == []


def test_of_many_the_last_keep_their_networks_and_the_others_their_curves(
        dash, folder, monkeypatch):  # noqa: F811
    monkeypatch.setattr(started, "KEPT", 2)
    networks = []
    for number in range(5):
        run = learn(folder, f"run {number}").wait(60)
        networks.append(weakref.ref(run.model))
    assert dash.finetune.wait() and dash.runs.wait()
    del run
    gc.collect()
    assert [network() is None for network in networks] == [True, True, False, False, False]
    assert rows(dash) == [(f"run {number}", "started in a cell") for number in range(5)]
    assert dash.runs.right.names == tuple(f"run {number}" for number in range(5))
    assert [value for _, value in dash.evaluate.who.options] == ["model", "run 4", "run 3", "run 2"]
    offered = [said.partition(":")[0] for said, _ in dash.picker.trained.choose.options]
    assert offered == ["run 4", "run 3", "run 2"]
    from_browser(dash.runs.table, {"kind": "use", "index": 0})
    assert dash.runs.wait() and "network of run 0 is not kept any more" in dash.runs.message.value
    assert dash.runs.code() and "run 0" in dash.runs.caption()


def test_a_run_that_is_here_is_not_listed_once_more_from_its_folder(dash, folder, tmp_path):  # noqa: F811
    learn(folder, "half", run_dir=tmp_path / "runs" / "half").wait(60)
    learn(folder, "saved").wait(60).save(tmp_path / "runs" / "saved")
    dash.runs.folder.value = str(tmp_path / "runs")
    assert [name for name, _ in rows(dash)] == ["half", "saved"]


def test_one_that_could_not_start_is_in_no_dashboard(folder, monkeypatch):  # noqa: F811
    def no_room(thread):
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch, pytest.raises(RuntimeError, match="new thread") as told:
        patch.setattr(threading.Thread, "start", no_room)
        learn(folder)
    dash = opened()  # the error holds the run
    assert told.value is not None and dash.session.run is None and dash.session.runs == ()
    dash.close()


def test_of_many_that_were_there_before_a_dashboard_the_last_keep_their_networks(
        folder, monkeypatch):  # noqa: F811
    monkeypatch.setattr(started, "KEPT", 1)
    runs = [learn(folder, f"run {number}").wait(60) for number in range(4)]
    dash = opened()
    assert [hasattr(run, "model") for run in dash.session.runs] == [False, False, True, True]
    assert dash.session.runs[2:] == tuple(runs[2:]) and dash.session.run is runs[3]
    assert [name for name, _ in rows(dash)] == [run.name for run in runs]
    dash.close()


def test_a_row_whose_network_is_let_go_of_stays_without_its_tick(dash, folder, monkeypatch):  # noqa: F811
    monkeypatch.setattr(started, "KEPT", 1)
    for number in range(2):
        learn(folder, f"run {number}").wait(60)
    dash.runs.table.ticked = [1]
    learn(folder, "run 2").wait(60)
    assert not hasattr(dash.session.runs[0], "model") and dash.runs.table.ticked == [1, 2]
