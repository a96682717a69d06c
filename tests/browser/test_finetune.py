"""Training as a reader does it: start, watch, stop, resume, reload, use, compare; in a real JupyterLab."""

from __future__ import annotations

import pytest

from tests.browser.labdriver import ink_of, sticking_out

TINY = """
import explorer, torch
from torch import nn
torch.manual_seed(0)
layers = nn.Conv2d(3, 8, 3, 2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5)
net = explorer.wrap(nn.Sequential(*layers), input_size=(3, 48, 48))
dash = explorer.Dashboard(net)
dash
"""


@pytest.fixture
def train(lab, expect):
    """A notebook with a tiny network's dashboard, its Train tab open with the small flowers."""
    lab.open_cells(TINY)
    lab.run_all()
    return open_train(lab, expect)


def open_train(lab, expect):
    view = lab.page.locator(".vx-dashboard")
    expect(view.locator(".vx-predictions li").first).to_be_visible(timeout=60_000)
    view.get_by_role("tab", name="Train").click()
    panel = view.locator(".vx-train")
    panel.get_by_label("Data set", exact=True).select_option(index=1)
    expect(panel.locator(".vx-data")).to_contain_text("80 photos to learn from, 40 to judge by")
    return panel


def fill(panel, label: str, value: str) -> None:
    field = panel.get_by_label(label, exact=True)
    field.fill(value)
    field.press("Enter")


def points(chart) -> int:
    return int(chart.get_attribute("data-points"))


def wait_for_points(page, chart, more_than: int) -> None:
    page.wait_for_function("([el, n]) => Number(el.dataset.points) > n",
                           arg=[chart.element_handle(), more_than], timeout=60_000)


def test_a_run_is_started_watched_stopped_reloaded_resumed_and_used(lab, train, expect):
    train.get_by_label("What learns", exact=True).select_option("everything")
    fill(train, "Epochs", "100000")
    # of so many epochs it would last for ever
    lab.run_code("dash.finetune.fields.advanced['warmup'].value = '0'")
    fill(train, "Learning rate", "0.1")
    expect(train.locator(".vx-photos-one img").nth(15)).to_be_visible()
    train.get_by_role("button", name="Start", exact=True).click()
    run = train.locator(".vx-run")
    loss = run.locator(".vx-chart").first
    expect(loss.locator(".vx-chart-curve").first).to_be_visible(timeout=60_000)
    wait_for_points(lab.page, loss, 10)  # it grows without anybody asking
    expect(run.locator(".vx-photos-one")).to_have_count(8)
    assert set(run.locator(".vx-photos-sign").all_inner_texts()) <= {"✓ right", "✗ wrong"}

    # a reader reads a value, switches a curve off and the scale to logarithmic
    loss.locator("svg[role=img]").hover()
    expect(loss.locator(".vx-chart-reading")).to_contain_text("each batch")
    loss.get_by_role("button", name="validation").click()
    expect(loss.get_by_role("button", name="validation")).to_have_attribute("aria-pressed", "false")
    expect(loss.locator(".vx-chart-curve")).to_have_count(1)
    loss.get_by_label("log scale").check()
    lab.expect_code("print(dash.finetune.view.loss.log, dash.finetune.view.loss.hidden)",
                    "True ['validation']\n")

    run.get_by_role("button", name="Stop").click()
    expect(run.locator(".vx-run-line")).to_contain_text("Stopped after")
    at = int(lab.run_code("print(len(dash.session.run.batches))"))

    # a reloaded page shows the same, and goes on from there
    lab.save()
    lab.reload()
    lab.run_code("None")
    view = lab.page.locator(".vx-dashboard")
    expect(view).to_be_visible(timeout=60_000)
    run = view.locator(".vx-run")
    loss = run.locator(".vx-chart").first
    wait_for_points(lab.page, loss, at - 1)
    run.get_by_role("button", name="Resume").click()
    expect(run.locator(".vx-run-line")).to_contain_text("Epoch")
    wait_for_points(lab.page, loss, points(loss))
    run.get_by_role("button", name="Stop").click()
    expect(run.locator(".vx-run-line")).to_contain_text("Stopped after")
    assert int(lab.run_code("print(len(dash.session.run.batches))")) > at

    # back to before its first epoch: other answers, other maps, and that model in the other panels
    epochs = run.locator(".vx-epochs")
    expect(epochs.locator(".vx-mosaic-canvas")).to_be_visible()
    slider = epochs.get_by_role("slider")
    last = epochs.locator(".vx-predictions").inner_text()
    slider.focus()
    lab.page.keyboard.press("Home")
    expect(epochs).to_contain_text("Before the first epoch")
    expect(epochs).to_contain_text("that it does not learn from, before the first epoch")
    expect(epochs.locator(".vx-predictions")).not_to_have_text(last, use_inner_text=True)
    expect(loss.locator(".vx-chart-mark")).to_have_count(2)
    epochs.get_by_role("button", name="Use this checkpoint").click()
    expect(view.locator(".vx-status")).to_contain_text("my run 1, before the first epoch")

    # its model predicts in the other panels
    run.get_by_role("button", name="Use this model").click()
    expect(view.locator(".vx-status")).to_contain_text("my run 1, trained here")
    names = view.locator(".vx-answers .vx-name")
    expect(names).to_have_count(5)
    assert set(names.all_inner_texts()) == {"daisy", "dandelion", "roses", "sunflowers", "tulips"}
    assert lab.page.js_errors == []


def test_two_runs_lie_over_each_other_and_the_keyboard_reads_them(lab, train, expect):
    fill(train, "Epochs", "3")
    for number, rate in enumerate(("0.001", "0.1"), 1):
        fill(train, "Learning rate", rate)
        train.get_by_role("button", name="Start", exact=True).click()
        expect(train.locator(".vx-run-line")).to_contain_text(f"my run {number}", timeout=60_000)
        expect(train.locator(".vx-run-line")).to_contain_text("Finished: 3 epochs", timeout=60_000)
    view = lab.page.locator(".vx-dashboard")
    view.get_by_role("tab", name="Runs").click()
    runs = view.locator(".vx-runs")
    expect(runs.locator("tbody tr")).to_have_count(2)
    expect(runs.locator("tbody tr").first.locator(".vx-runs-differs")).to_have_text("0.001")
    chart = runs.locator(".vx-chart").first
    expect(chart.locator(".vx-chart-curve")).to_have_count(2)
    plot = chart.locator("svg[role=img]")
    assert "my run 2: 3 points" in plot.get_attribute("aria-label")
    plot.focus()
    lab.page.keyboard.press("Home")
    expect(chart.locator(".vx-chart-reading")).to_contain_text("epoch 1: my run 1")
    lab.page.keyboard.press("ArrowRight")
    expect(chart.locator(".vx-chart-reading")).to_contain_text("epoch 2: my run 1")
    runs.get_by_label("Draw the curves of my run 1").uncheck()
    expect(chart.locator(".vx-chart-curve")).to_have_count(1)
    with lab.page.expect_download() as download:
        runs.get_by_role("button", name="Download CSV").click()
    assert download.value.path().read_text().startswith("run,model,data,state")
    assert lab.page.js_errors == []


def test_a_run_of_a_cell_appears_beside_the_settings_and_is_stopped_there(lab, train, expect):
    lab.page.set_viewport_size({"width": 1400, "height": 900})
    settings = "train='all', epochs=10**5, name='of a cell'"
    lab.run_code(f"import copy\nrun = explorer.finetune(copy.deepcopy(net), 'flowers5_nano', {settings})")
    line, start = train.locator(".vx-run-line"), train.get_by_role("button", name="Start", exact=True)
    expect(line).to_contain_text("of a cell")
    expect(line).to_contain_text("started in a cell")
    expect(start).to_be_disabled()
    loss = train.locator(".vx-run .vx-chart").first
    wait_for_points(lab.page, loss, 2)
    field = train.get_by_label("Batch size", exact=True)
    assert loss.bounding_box()["x"] > field.bounding_box()["x"] + field.bounding_box()["width"]
    train.locator(".vx-run").get_by_role("button", name="Stop").click()
    expect(line).to_contain_text("Stopped after")
    expect(start).to_be_enabled()
    lab.page.set_viewport_size({"width": 700, "height": 900})
    below = "([a, b]) => a.getBoundingClientRect().top > b.getBoundingClientRect().bottom"
    lab.page.wait_for_function(below, arg=[loss.element_handle(), field.element_handle()])
    view = lab.page.locator(".vx-dashboard")
    view.get_by_role("tab", name="Runs").click()
    expect(view.locator(".vx-runs-note")).to_have_text("started in a cell")
    assert lab.page.js_errors == []


def test_settings_that_cant_be_are_a_sentence_beside_them(lab, train, expect):
    fill(train, "Learning rate", "fast")
    expect(train.get_by_role("alert")).to_contain_text("write a number such as 0.001")
    fill(train, "Learning rate", "")
    expect(train.get_by_role("alert")).to_have_count(0)
    assert lab.page.js_errors == []


@pytest.fixture(scope="module")
def trained(one_lab):
    """A finished run with the advanced settings open, in a page that first is narrow."""
    from playwright.sync_api import expect  # here, so that the file can be read where playwright is missing

    one_lab.page.set_viewport_size({"width": 420, "height": 900})
    one_lab.open_cells(TINY)
    one_lab.page.evaluate("() => window.jupyterapp.commands.execute('application:toggle-left-area')")
    one_lab.run_all()
    panel = open_train(one_lab, expect)
    fill(panel, "Epochs", "2")
    panel.get_by_role("button", name="Start", exact=True).click()
    expect(panel.locator(".vx-run-line")).to_contain_text("Finished", timeout=60_000)
    panel.get_by_text("Advanced").click()
    return one_lab


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [420, 700, 1400])
def test_nothing_of_the_training_is_cut_off_or_unreadable(trained, expect, width, dark):
    panel = trained.page.locator(".vx-train")
    expect(panel.get_by_label("Patience", exact=True)).to_be_visible()
    trained.look(width, dark)
    outside = sticking_out(panel, "button, select, input, svg, img, p, li")
    assert outside == []
    words = panel.locator(".vx-run button:visible, .vx-fields .widget-checkbox, .vx-fields .widget-label")
    short = words.evaluate_all(
        "all => all.filter(node => node.scrollWidth > node.clientWidth + 1).map(node => node.innerText)")
    assert short == []
    for selector in (".vx-chart-title", ".vx-chart-text text", ".vx-data", ".vx-photos-sign",
                     ".vx-run-line"):
        paint = "fill" if "text text" in selector else "color"
        ink = ink_of(panel.locator(selector).first, paint)
        assert min(ink) > 120 if dark else max(ink) < 140, (selector, ink)
    assert trained.page.js_errors == []


def test_names_that_are_html_stay_text_in_the_chart(lab, expect):
    lab.open_cells(
        "from explorer.widgets.parts.live_chart import LiveChart\n"
        "chart = LiveChart(title='<img src=x onerror=window.hacked=1>', x_label='<b>x</b>')\n"
        "chart.push(1, {'<script>window.hacked=2</script>': 1.0, 'b': 2.0})\n"
        "chart.marks = [(1, '<i>m</i>')]\nchart")
    lab.run_all()
    view = lab.outputs.locator(".vx-chart")
    expect(view.locator(".vx-chart-key").first).to_have_text("<script>window.hacked=2</script>")
    expect(view.locator(".vx-chart-title")).to_have_text("<img src=x onerror=window.hacked=1>")
    assert lab.page.evaluate("() => window.hacked === undefined")
    # far more points than pixels arrive whole, and are drawn
    lab.run_code("for i in range(20000):\n    chart.push(i, {'b': (i * 7919 % 1000) / 1000})\nchart.flush()")
    wait_for_points(lab.page, view, 4000)
    assert int(lab.run_code("print(sum(len(chart.points(n)) for n in chart.names))")) == points(view)
    assert lab.page.js_errors == []
