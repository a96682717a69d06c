"""On every tab, code, caption and figure are of what ran: a control that was moved since changes none.

Generated from the dashboard's table of tabs. A new tab either has a button that starts its work, and stands
in `PRESSED`, or draws at once, and stands in `AT_ONCE`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import ipywidgets as W
import pytest
from PIL import Image
from torch import nn

import explorer
from explorer.widgets.dashboard import TABS

#: {tab: (button that starts its work, controls that redraw at once, and so are part of what is shown)}
PRESSED: dict[str, tuple[str, tuple[str, ...]]] = {
    "Draw": ("start", ()),
    "Train": ("start", ()),
    "Search": ("start", ()),
    "Evaluate": ("go", ("photos.view", "charts.of_class", "charts.kind")),
    "Compare": ("compare", tuple(
        f"views.{name}" for name in ("view", "photo", "topk", "target", "stride", "x", "y"))),
    "Embeddings": ("go", ("method",)),
    "Ensemble": ("ask", ("views.combine", *(f"views.sliders.{number}" for number in range(8)))),
}
#: What these show follows the session and their controls without a button.
AT_ONCE = ("Feature maps", "Modules", "Explain", "Camera", "Teach", "Detect", "Segment", "Runs")

SIZE = (3, 32, 32)


def tiny() -> nn.Module:
    body = nn.Conv2d(3, 8, 3, 2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    return explorer.wrap(nn.Sequential(*body, nn.Linear(8, 5)), input_size=SIZE)


@pytest.fixture
def folder(tmp_path):
    """Photos of two classes, which the model's five are not."""
    for number in range(16):
        place = tmp_path / "data" / ("red" if number % 2 else "blue")
        place.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (24, 24), (number * 15, 40, 200 - 10 * number)).save(place / f"{number}.png")
    return tmp_path / "data"


@pytest.fixture
def dash(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    dash = explorer.Dashboard(tiny(), images=explorer.sample_photos()[:2])
    dash.wait()
    yield dash
    dash.close()


def open_tab(dash: Any, title: str) -> Any:
    dash.tabs.selected_index = dash.tabs.titles.index(title)
    panel = dash.tabs.children[dash.tabs.selected_index]
    assert panel.wait()
    return panel


def ask(dash: Any, title: str, panel: Any, folder: Any) -> None:
    """Set what the tab needs before its button is pressed; where there is no default that will do."""
    if title == "Train":
        panel.fields.data.value, panel.fields.epochs.value = "flowers5_nano", 1
        panel.fields.advanced["threads"].value = "1"
    if title == "Search":
        typed = {"lr": "0.001, 0.1", "weight_decay": "", "label_smoothing": "", "epochs": "1"}
        for name, text in typed.items():
            panel.fields.row(name).text.value = text
        panel.fields.trials.value = 2
    if title == "Evaluate":
        dash.session.model.config = dash.session.model.config.with_(
            labels=("daisy", "dandelion", "roses", "sunflowers", "tulips"))
        panel.data.value = "flowers5_nano"
    if title == "Compare":
        dash.session.compare = ["tf_efficientnet_lite0"]
        panel.choice.own.value = True
    if title == "Ensemble":
        panel.choice.source.value = "none"
        for box in panel.choice.boxes.children:
            box.value = box.description.endswith(("lite0", "lite1"))
    if title == "Embeddings":
        panel.data.value, panel.folder.value = "a folder", str(folder)
    assert panel.wait()


def controls(box: W.Widget) -> Iterator[W.Widget]:
    """Everything below that a reader can set."""
    for child in getattr(box, "children", ()):
        shown_only = isinstance(child, W.HTML | W.Play) or not hasattr(child, "description")
        if hasattr(child, "value") and not shown_only:
            yield child
        yield from controls(child)


def another_value(control: W.Widget) -> Any:
    """One that the control may have, and has not now; its own where there is no other."""
    now = control.value
    if isinstance(control, W.SelectMultiple):
        return control.options and ((control._options_values[0],) if not now else ())
    if hasattr(control, "_options_values"):
        return next((value for value in control._options_values if value != now), now)
    if isinstance(now, bool):
        return not now
    if hasattr(control, "max"):
        return control.min if now != control.min else control.max
    return now + 1 if isinstance(now, int | float) else f"{now}7"


def kept(panel: Any) -> tuple[str, str, bytes]:
    """What leaves the panel; the figure as pixels."""
    return panel.code(), panel.caption(), panel.exported()


@pytest.mark.parametrize("title", PRESSED)
def test_a_control_that_was_moved_after_the_run_changes_nothing_that_is_kept(dash, folder, title):
    panel = open_tab(dash, title)
    ask(dash, title, panel, folder)
    button, views = PRESSED[title]
    getattr(panel, button).click()
    assert panel.wait()
    if title == "Train":
        dash.session.run.wait(60)
        assert panel.wait()
    before = kept(panel)
    assert before[0].startswith("import ")
    redrawn = {id(find(panel, path)) for path in views}
    moved = [control for control in controls(panel) if id(control) not in redrawn]
    assert len(moved) >= 3
    for control in moved:
        control.value = another_value(control)
        assert panel.code() == before[0], control.description
        assert panel.caption() == before[1], control.description
    assert panel.wait() and kept(panel) == before


def find(panel: Any, path: str) -> Any:
    for name in path.split("."):
        panel = panel[int(name)] if name.isdigit() else getattr(panel, name)
    return panel


def test_every_tab_of_the_table_stands_in_one_of_the_two_lists():
    assert sorted([*PRESSED, *AT_ONCE]) == sorted(title for title, _ in TABS)


def test_the_lines_of_a_run_that_did_not_start_here_are_those_of_what_start_does(dash):
    panel = open_tab(dash, "Train")
    panel.fields.epochs.value = 7
    dash.session.run = explorer.finetune(tiny(), "flowers5_nano", epochs=1, threads=1, device="cpu").wait(60)
    assert "epochs=7" in panel.code() and "epochs 1" in panel.caption()


def test_of_two_runs_the_one_on_the_screen_says_how_it_learnt(dash):
    panel = open_tab(dash, "Train")
    ask(dash, "Train", panel, None)
    runs = []
    for epochs in (1, 2):
        panel.fields.epochs.value = epochs
        panel.start.click()
        assert panel.wait()
        runs.append(dash.session.run.wait(60))
    for run, epochs in ((runs[0], 1), (runs[1], 2)):
        dash.session.run = run
        assert f"epochs={epochs}" in panel.code() and f"epochs {epochs}" in panel.caption()
        assert panel.heading() == run.name
