"""What a notebook shows of a dashboard whose kernel has gone."""

from __future__ import annotations

import re


def test_a_dead_dashboard_says_so_and_a_saved_notebook_shows_its_picture(lab, expect):
    lab.open_cells("import explorer\n"
                   "explorer.Dashboard(explorer.create_model('resnet10t', num_classes=3))")
    lab.run_all()
    dashboard = lab.outputs.locator(".vx-dashboard")
    expect(dashboard.locator(".vx-answers")).to_be_visible()
    picture = lab.outputs.locator(".vx-saved")
    expect(picture.locator("figure")).to_have_count(6)
    expect(picture).to_be_hidden()          # the living dashboard is what is looked at

    lab.restart_kernel()
    expect(dashboard).to_have_class(re.compile("jupyter-widgets-disconnected"))
    said = dashboard.evaluate("el => getComputedStyle(el, '::before').content")
    assert "Run its cell again" in said

    lab.save()
    lab.reload()                            # another page, which knows nothing of the dashboard
    expect(picture).to_be_visible()
    expect(picture).to_contain_text("Run this cell to use it")
    # neither an error nor "Loading widget..."
    expect(lab.outputs.get_by_text("widget", exact=False)).to_be_hidden()
