"""Comparing models as a reader does it: tick, compare, measure, stop, look at every side, keep the files."""

from __future__ import annotations

import csv
import re

import pytest

from tests.browser.labdriver import ink_of, sticking_out

VIEWS = ("Predictions", "Heat maps", "Feature maps", "Agreement", "Table", "Accuracy and cost")


def open_compare(lab, expect):
    """A dashboard of its own with the Compare tab open; what is on it."""
    lab.open_cells("import explorer\ndash = explorer.Dashboard()\ndash")
    lab.run_all()
    view = lab.page.locator(".vx-dashboard")
    expect(view.locator(".vx-predictions li").first).to_be_visible(timeout=60_000)
    view.get_by_role("tab", name="Compare", exact=True).click()
    panel = view.locator(".vx-cmp")
    expect(panel.get_by_role("button", name="Compare", exact=True)).to_be_enabled()
    return panel


def press(panel, name: str) -> None:
    panel.get_by_role("button", name=name, exact=True).click()


def test_from_ticks_to_answers_maps_speed_and_files(lab, expect, tmp_path):
    panel = open_compare(lab, expect)
    # which models and photos
    expect(panel.locator(".vx-cmp-chip")).to_have_count(3)
    panel.get_by_title("Take tf_efficientnet_lite2 away").click()
    expect(panel.locator(".vx-cmp-chip")).to_have_count(2)
    panel.get_by_label("Add a model", exact=True).fill("resnet18")
    panel.get_by_label("Add a model", exact=True).press("Enter")
    expect(panel.locator(".vx-cmp-chip")).to_have_count(3)
    expect(panel).to_contain_text("The weights of resnet18 are not on this computer")
    panel.get_by_label("Photos", exact=True).select_option("photos of the gallery")
    ticks = panel.locator(".vx-ticked-photo[aria-selected=true]")
    expect(ticks).to_have_count(4)
    expect(ticks.first.locator("img[src]")).to_be_visible()
    # answers on one axis; a model that can't be had is named, the others go on
    press(panel, "Compare")
    expect(panel.locator(".vx-cmp-bars [role=group]").first).to_be_visible(timeout=60_000)
    expect(panel.locator(".vx-cmp-legend")).to_contain_text("tf_efficientnet_lite1")
    expect(panel.locator(".vx-note b", has_text="resnet18")).to_be_visible()
    before = panel.locator(".vx-cmp-bars").inner_text()
    panel.get_by_label("Photo", exact=True).select_option(index=2)
    expect(panel.locator(".vx-cmp-bars")).not_to_have_text(before, use_inner_text=True)
    # heat maps of a class, maps at another stride, agreement
    press(panel, "Heat maps")
    panel.get_by_label("Class", exact=True).fill("beagle")
    panel.get_by_label("Class", exact=True).press("Enter")
    expect(panel.locator(".vx-cmp-pictures figcaption").last).to_have_text("tf_efficientnet_lite1: beagle")
    press(panel, "Feature maps")
    expect(panel.locator(".vx-cmp-pictures img")).to_have_count(2)
    panel.get_by_role("slider").press("ArrowLeft")
    expect(panel.locator(".vx-cmp-pictures figcaption").first).to_contain_text("14 × 14")
    press(panel, "Agreement")
    expect(panel.locator("table td", has_text="100 %")).to_have_count(2)
    # speed: stopped, then to the end
    press(panel, "Measure speed")
    press(panel, "Stop")
    expect(panel).to_contain_text("Stopped")
    lab.run_code("measure = dash.compare.shown.result.measure\n"
                 "quick = {'warm_up': 0, 'repeats': 2, 'many': 2}\n"
                 "dash.compare.shown.result.measure = lambda **heard: measure(**quick, **heard)")
    press(panel, "Measure speed")
    expect(panel.locator(".vx-scatter canvas").first).to_be_visible(timeout=60_000)
    expect(panel).to_contain_text("Median of 2 passes")
    # a row opens its model in all panels; another photo is said
    press(panel, "Table")
    panel.locator(".vx-sorted tbody").get_by_role("button", name="tf_efficientnet_lite1").click()
    expect(lab.page.locator(".vx-model-line")).to_contain_text("tf_efficientnet_lite1.in1k", timeout=60_000)
    panel.get_by_label("Photos", exact=True).select_option("the photo on the screen")
    expect(panel).to_contain_text("Press Compare.")
    # files
    press(panel, "Agreement")
    with lab.page.expect_download() as answers:
        press(panel, "Answers as CSV")
    answers.value.save_as(tmp_path / "answers.csv")
    with open(tmp_path / "answers.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 4 and rows[2]["tf_efficientnet_lite1"] == "beagle"
    press(panel, "Table")
    expect(panel.locator(".vx-downloads button")).to_have_text(["Table as CSV", "Table as Markdown"])
    with lab.page.expect_download() as table:
        press(panel, "Table as Markdown")
    table.value.save_as(tmp_path / "table.md")
    assert "| tf_efficientnet_lite0 | 4.65 M |" in (tmp_path / "table.md").read_text(encoding="utf-8")
    bar = panel.locator("> .vx-panel-head")  # the grid above has its own
    press(bar, "Show code")
    expect(bar.locator(".vx-tools-fold pre")).to_contain_text("explorer.compare(models, photos")
    assert lab.page.js_errors == []


FEW = """
import explorer
from explorer.widgets.panels.compare import grid
grid.PATIENCE = 600  # however busy this computer is
shown = [one for one in explorer.sample_photos() if one.title in ("Beagle", "School bus", "Pizza")]
dash = explorer.Dashboard(images=shown)
dash.session.compare = ["tf_efficientnet_lite0", "tf_efficientnet_lite1"]
dash"""


def test_where_the_models_disagree_comes_by_itself_and_opens_photos(lab, expect):
    lab.open_cells(FEW.strip())
    lab.run_all()
    view = lab.page.locator(".vx-dashboard")
    expect(view.locator(".vx-predictions li").first).to_be_visible(timeout=60_000)
    view.get_by_role("tab", name="Compare", exact=True).click()
    panel = view.locator(".vx-cmp")
    rows = panel.locator(".vx-grid tbody tr")
    expect(rows).to_have_count(3, timeout=60_000)
    expect(rows.first).to_contain_text("Beagle")  # the most divided one
    expect(rows.first.locator("td").nth(1)).to_contain_text("✗ wrong")
    expect(rows.first.locator("td").nth(2)).to_contain_text("✓ right")
    expect(rows.first).to_have_attribute("data-marked", "true")  # it is the photo on the screen
    # a click, and Enter, make another photo that of all panels
    rows.last.locator("td").last.click()
    last = rows.last.locator("b").first.inner_text()
    expect(view.locator(".vx-flow-photo")).to_contain_text(last, timeout=30_000)
    expect(rows.last.locator("button")).to_have_attribute("aria-current", "true")
    rows.first.locator("button").press("Enter")
    expect(view.locator(".vx-flow-photo")).to_contain_text("Beagle", timeout=30_000)
    # another model moves nothing
    place = "el => el.getBoundingClientRect().top - el.closest('.vx-cmp').getBoundingClientRect().top"
    compare = panel.get_by_role("button", name="Compare", exact=True)
    before = compare.evaluate(place)
    panel.get_by_label("Add a model", exact=True).fill("resnet18")
    panel.get_by_label("Add a model", exact=True).press("Enter")
    status = panel.locator(".vx-apart-status")
    expect(status).to_contain_text("The weights of resnet18 are not on this computer")
    expect(status.get_by_role("button", name="Show 3 photos to 3 models")).to_be_visible()
    assert abs(compare.evaluate(place) - before) < 1
    assert lab.page.js_errors == []


@pytest.fixture(scope="module")
def compared(one_lab):
    """A comparison with measured speeds, in a page that first is narrow."""
    one_lab.page.set_viewport_size({"width": 480, "height": 900})
    one_lab.open_cells("import explorer\ndash = explorer.Dashboard()\n"
                       "dash.tabs.selected_index = dash.tabs.children.index(dash.compare)\n"
                       "dash.wait(); dash.compare.compare.click(); assert dash.compare.wait()\n"
                       "dash.compare.shown.result.measure(warm_up=0, repeats=2, many=2)\ndash")
    one_lab.page.evaluate("() => window.jupyterapp.commands.execute('application:toggle-left-area')")
    one_lab.run_all()
    return one_lab


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [480, 1400])
def test_nothing_is_cut_off_or_unreadable(compared, expect, width, dark):
    panel = compared.page.locator(".vx-cmp")
    expect(panel.locator(".vx-cmp-about p").first).to_be_visible(timeout=60_000)
    compared.look(width, dark)
    for name in VIEWS:
        press(panel, name)
        pressed = panel.get_by_role("button", name=name, exact=True)
        expect(pressed).to_have_class(re.compile(r"\bmod-active\b"))
        outside = sticking_out(panel, "button, select, input, img, p, canvas", but="[role=region]")
        assert outside == [], name
    for selector in (".vx-cmp-chip", ".vx-cmp-about p", ".vx-downloads button"):
        ink = ink_of(panel.locator(selector).first)
        assert min(ink) > 140 if dark else max(ink) < 140, (selector, ink)
    assert compared.page.js_errors == []
