"""A search as a reader does it: asked for, watched, sorted, the best one opened; in a real JupyterLab."""

from __future__ import annotations

import re

from tests.browser.test_finetune import TINY, fill


def test_settings_are_searched_and_the_best_run_is_opened(lab, expect):
    lab.open_cells(TINY)
    lab.run_all()
    view = lab.page.locator(".vx-dashboard")
    expect(view.locator(".vx-predictions li").first).to_be_visible(timeout=60_000)
    view.get_by_role("tab", name="Search").click()
    panel = view.locator(".vx-search")
    expect(panel.locator(".vx-data")).to_contain_text("80 photos to learn from, 40 to judge by")
    fill(panel, "Learning rate", "fast")
    expect(panel.get_by_role("alert")).to_contain_text("write a number such as 0.001")
    fill(panel, "Learning rate", "0.00001, 0.1")
    fill(panel, "Weight decay", "")
    fill(panel, "Epochs", "2")
    fill(panel, "Label smoothing", "0, 0.1")
    panel.get_by_label("Method", exact=True).select_option("grid: every combination")
    expect(panel).to_contain_text("All 4 combinations of learning rate and label smoothing.")
    panel.get_by_role("button", name="Start", exact=True).click()
    rows = panel.locator(".vx-sorted tbody tr")
    # it is told as it goes; a trial takes a moment
    expect(rows.first).to_contain_text(re.compile("running|done"), timeout=60_000)
    expect(panel).to_contain_text("4 trials: 4 done.", timeout=90_000)
    expect(rows).to_have_count(4)
    expect(panel.locator(".vx-sorted tbody", has_text="★ best")).to_have_count(1)
    chart = panel.locator(".vx-chart").first
    expect(chart.locator(".vx-chart-curve")).to_have_count(4)
    expect(chart.locator(".vx-chart-mark")).to_contain_text("best: trial")
    expect(panel.get_by_role("list", name="How much each setting explains").locator("li")).to_have_count(2)
    expect(panel.get_by_role("img", name="Parallel coordinates")).to_be_visible()

    panel.locator(".vx-sorted").get_by_role("button", name="2", exact=True).press("Enter")
    expect(chart.locator(".vx-chart-curve")).to_have_count(1)
    expect(panel.locator(".vx-note", has_text="Trial 2, learning rate")).to_be_visible()

    panel.get_by_role("button", name="Open the best").click()
    expect(view.locator(".vx-status")).to_contain_text("on flowers5_nano, trained here", timeout=30_000)
    view.get_by_role("tab", name="Runs").click()
    expect(view.locator(".vx-runs tbody tr")).to_have_count(1)
    assert lab.page.js_errors == []
