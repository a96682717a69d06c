"""What a dashboard leaves behind: nothing, however it ends.

Counted in ipywidgets' registry and among the threads.
"""

from __future__ import annotations

import gc
import threading
import weakref

import ipywidgets as W
import pytest
from ipywidgets.widgets import widget as registry

import explorer
from explorer import _memory
from explorer.widgets.lifetime import close_whole, this_cell
from explorer.widgets.panels.stages import StagesPanel

PHOTOS = explorer.sample_photos()


class Shell:
    """What IPython answers in a kernel: the request that is being worked on."""

    def __init__(self):
        self.cell, self.runs = None, 0

    def run(self, cell: str | None) -> None:
        self.cell, self.runs = cell, self.runs + 1

    def get_parent(self) -> dict:
        return {"header": {"msg_id": f"run {self.runs}"},
                "metadata": {} if self.cell is None else {"cellId": self.cell}}


@pytest.fixture
def shell(monkeypatch):
    shell = Shell()
    monkeypatch.setattr("IPython.get_ipython", lambda: shell)
    return shell


def dashboard():
    dash = explorer.Dashboard(explorer.create_model("resnet10t", num_classes=3), images=[PHOTOS[0]])
    dash.wait()
    return dash


def test_a_dashboard_whose_tabs_were_all_used_leaves_nothing():
    """case B9: 11 widgets stayed after close()."""
    before, threads = set(registry._instances), set(threading.enumerate())
    dash = dashboard()
    for index, panel in enumerate(dash.tabs.children):
        dash.tabs.selected_index = index
        if hasattr(panel, "wait"):
            panel.wait(30)
    for method in ("occlusion", "smoothgrad", "gradcam"):  # each brings fields of its own
        dash.explain.panels[dash.explain.switch.value].method.value = method
    dash.session.compare = ["tf_efficientnet_lite0", "tf_efficientnet_lite1"]
    dash.session.compare = ()
    assert len(registry._instances) - len(before) > 400
    dead, session = weakref.ref(dash), weakref.ref(dash.session)
    dash.close()
    dash.close()
    assert set(registry._instances) == before
    for thread in set(threading.enumerate()) - threads:
        thread.join(5)
    assert set(threading.enumerate()) <= threads
    del dash, panel
    gc.collect()
    assert dead() is None and session() is None


@pytest.mark.skipif(not _memory.possible(), reason="memory is kept on Linux with glibc alone")
def test_memory_is_kept_for_the_next_pass_while_a_dashboard_is_open():
    assert not _memory.active()
    one, two = explorer.Dashboard("lenet5"), explorer.Dashboard("lenet5")
    one.close()
    one.close()
    assert _memory.active()
    two.close()
    assert not _memory.active()


def test_a_cell_that_runs_again_closes_the_dashboard_that_it_made_before(shell):
    """case B9: 310 widgets, 3 threads and 45 MB stayed each time."""
    before = set(registry._instances)
    shell.run("a")
    first = dashboard()
    count, threads = len(registry._instances), threading.active_count()
    for _ in range(2):
        shell.run("a")
        second = dashboard()
        assert first._closed and not second._closed
        assert len(registry._instances) == count and threading.active_count() <= threads + 1
        first = second
    second.close()
    assert set(registry._instances) == before


def test_dashboards_of_two_cells_and_of_one_run_of_a_cell_live_side_by_side(shell):
    """case B9"""
    shell.run("a")
    first, beside = dashboard(), dashboard()
    shell.run("b")
    other = dashboard()
    shell.run(None)  # from a button, or a page that does not say which cell it is
    nobodys = dashboard(), dashboard()
    made = (first, beside, other, *nobodys)
    assert not any(dash._closed for dash in made)
    shell.run("a")
    again = dashboard()
    assert [dash._closed for dash in made] == [True, True, False, False, False]
    for dash in (*made, again):
        dash.close()


def test_a_dashboard_that_is_refused_leaves_the_one_before(shell):
    shell.run("a")
    first = dashboard()
    shell.run("a")
    with pytest.raises(ValueError):
        explorer.Dashboard("resnet5O")
    assert not first._closed
    first.close()


@pytest.mark.parametrize("answer", [None, {}, {"metadata": None}, {"metadata": {"cellId": "a"}},
                                    {"header": {"msg_id": "1"}, "metadata": []}])
def test_where_nobody_says_which_cell_runs_there_is_none(monkeypatch, answer):
    shell = Shell()
    shell.get_parent = lambda: answer
    monkeypatch.setattr("IPython.get_ipython", lambda: shell)
    assert this_cell() is None
    monkeypatch.setattr("IPython.get_ipython", lambda: None)
    assert this_cell() is None


def test_what_hangs_on_a_widget_is_closed_with_it():
    before = set(registry._instances)
    apart = W.Button(description="in no box")
    box = W.VBox([W.HBox([W.IntSlider()]), W.HTML()], layout=W.Layout(width="auto"))
    box.kept = {"apart": [apart], "again": (box,)}
    close_whole(box)
    assert set(registry._instances) == before


def test_tabs_that_rest_let_go_of_the_model_before():
    dash = explorer.Dashboard(explorer.create_model("resnet10t", num_classes=3), images=[PHOTOS[0]])
    dash.wait()
    for title in ("Modules", "Feature maps", "Draw"):
        dash.tabs.selected_index = dash.tabs.titles.index(title)
    dash.modules.wait()
    dash.draw.fields.steps.value = 2
    dash.draw.start.click()
    assert dash.draw.wait(60) and dash.draw.drawn is not None
    dash.stages.number.explain("layer1", 0, 1, 1)
    assert dash.stages.wait(60)
    dash.tabs.selected_index = dash.tabs.titles.index("Camera")
    before = weakref.ref(dash.session.model)
    dash.session.model = explorer.create_model("lenet5", num_classes=3)
    dash.wait()
    gc.collect()
    assert before() is None
    dash.close()


def test_a_closed_panel_is_collected_by_whatever_thread_without_waiting_for_a_lock(session):
    """A thread that was just starting collected one while the thread that waited for it held the lock."""
    panel = StagesPanel(session)
    panel.close()
    collecting = threading.Thread(target=panel.__del__, daemon=True)
    with session.lock:
        collecting.start()
        collecting.join(20)
        assert not collecting.is_alive()
