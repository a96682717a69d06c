"""The embeddings panel and its scatter as a reader uses them, in a real JupyterLab."""

from __future__ import annotations

import contextlib

import pytest

from tests.browser.labdriver import ink_of, sticking_out

TINY = """
import os, tempfile
os.environ["XDG_CACHE_HOME"] = tempfile.mkdtemp()
import explorer, torch
from torch import nn
torch.manual_seed(0)
layers = nn.Conv2d(3, 8, 3, 2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5)
net = explorer.wrap(nn.Sequential(*layers), input_size=(3, 48, 48))
dash = explorer.Dashboard(net)
dash
"""

PLANE = """
from explorer.widgets.parts.scatter import Scatter
plane = Scatter(title='<img src=x onerror=window.hacked=1>', x_label='photos a second', y_label='top-1',
                y_unit='percent', log_x=True, names=True)
plane.show([10, 100, 1000, 0], [0.9, 0.8, 0.5, 0.1],
           labels=['<script>window.hacked=2</script>', 'b', 'c', 'nowhere'],
           groups=[0, 1, 1, 0], group_names=['<i>one</i>', 'two'], sizes=[20, 8, 4, 4], line=[0, 1, 2])
picked = []
plane.on_pick(picked.append)
plane
"""


def fact(scatter, name: str) -> str:
    return scatter.get_attribute(f"data-{name}")


@pytest.mark.parametrize(("width", "dark"), [(1400, False), (700, True)], ids=["wide", "narrow and dark"])
def test_photos_are_embedded_looked_at_chosen_opened_and_probed(lab, expect, width, dark):
    page = lab.page
    page.set_viewport_size({"width": width, "height": 1000})
    with lab.dark() if dark else contextlib.nullcontext():
        lab.open_cells(TINY)
        page.evaluate("() => window.jupyterapp.commands.execute('application:toggle-left-area')")
        lab.run_all()
    view = page.locator(".vx-dashboard")
    expect(view.locator(".vx-predictions li").first).to_be_visible(timeout=60_000)
    view.get_by_role("tab", name="Embeddings").click()
    panel = view.locator(".vx-embeddings")
    scatter = panel.locator(".vx-scatter").first
    expect(scatter).to_contain_text("Press Embed")

    panel.get_by_role("button", name="Embed", exact=True).click()
    expect(scatter).to_have_attribute("data-points", "500", timeout=60_000)
    expect(scatter.locator(".vx-scatter-key")).to_have_text(["daisy", "dandelion", "roses", "sunflowers",
                                                             "tulips"])

    # the keyboard walks and chooses; a picture comes, and the nearest photos
    plot = scatter.locator("canvas[role=application]")
    plot.focus()
    for key in ("Home", "ArrowRight", "ArrowRight"):
        page.keyboard.press(key)
    expect(scatter.locator(".vx-scatter-tip img")).to_be_visible()
    page.keyboard.press("Enter")
    expect(panel.locator(".vx-photos-one img")).to_have_count(9)
    selected = lab.run_code("print(dash.embeddings.scatter.selected)").strip()
    assert fact(scatter, "selected") == fact(scatter, "cursor") == selected

    # zoom in, and back; a class goes away and its points with it
    page.keyboard.press("+")
    expect(scatter).to_have_attribute("data-zoom", "1.40")
    assert int(fact(scatter, "visible")) < 500
    page.keyboard.press("0")
    expect(scatter).to_have_attribute("data-visible", "500")
    scatter.get_by_role("button", name="roses").click()
    expect(scatter).to_have_attribute("data-visible", "400")
    lab.expect_code("print(dash.embeddings.scatter.hidden)", "['roses']\n")

    # the mouse chooses the point it lies on
    place = plot.evaluate("""el => {
        el.scrollIntoView({block: 'center'});
        const {left, top, width, height} = el.getBoundingClientRect();
        return [left, top, width, height];
    }""")
    for share in range(5, 95, 3):  # along the diagonal until there is one
        page.mouse.move(place[0] + place[2] * share / 100, place[1] + place[3] * (0.2 + 0.006 * share))
        if fact(scatter, "cursor") != "-1" and scatter.locator(".vx-scatter-tip").is_visible():
            break
    page.mouse.down()
    page.mouse.up()
    chosen = fact(scatter, "cursor")
    expect(scatter).to_have_attribute("data-selected", chosen)
    name = lab.run_code(f"print(dash.embeddings.shown.photos.features.names[{chosen}])").strip()
    nearest = panel.locator(".vx-embed-block", has_text="Nearest photos")
    expect(nearest.locator("b").first).to_have_text(name)
    panel.get_by_role("button", name="Open in the dashboard").click()
    expect(view.locator(".vx-caption").first).to_contain_text(name.rpartition("/")[2])

    panel.get_by_role("button", name="Probe", exact=True).click()
    expect(panel).to_contain_text("nearest neighbours:", timeout=60_000)
    curve = panel.locator(".vx-scatter").nth(1)
    # six numbers of labels, five draws and a mean each, and all
    expect(curve).to_have_attribute("data-points", "37")
    panel.get_by_role("button", name="Show code").click()
    expect(view).to_contain_text('photos = explorer.embed(model, "flowers5")')

    outside = sticking_out(panel, "button, select, input, canvas, img, p")
    assert outside == []
    for selector in (".vx-scatter-title", ".vx-scatter-key", ".vx-photos-one figcaption"):
        ink = ink_of(panel.locator(selector).first)
        assert min(ink) > 120 if dark else max(ink) < 140, (selector, ink)
    assert page.js_errors == []


def test_names_are_text_and_a_point_outside_a_logarithmic_axis_is_not_drawn(lab, expect):
    lab.open_cells(PLANE)
    lab.run_all()
    scatter = lab.outputs.locator(".vx-scatter")
    expect(scatter).to_have_attribute("data-visible", "3")
    expect(scatter.locator(".vx-scatter-title")).to_have_text("<img src=x onerror=window.hacked=1>")
    expect(scatter.locator(".vx-scatter-key").first).to_have_text("<i>one</i>")
    scatter.locator("canvas[role=application]").focus()
    lab.page.keyboard.press("Home")
    expect(scatter.locator(".vx-scatter-tip b")).to_have_text("<script>window.hacked=2</script>")
    expect(scatter.locator(".vx-scatter-reading")).to_contain_text("photos a second 10, top-1 90.0 %")
    lab.page.keyboard.press("End")
    lab.page.keyboard.press("Enter")
    expect(scatter).to_have_attribute("data-selected", "2")
    lab.expect_code("print(picked)", "[2]\n")
    # other points: nothing chosen, and the picture of the plane is theirs
    lab.run_code("plane.show([1, 2], [0.1, 0.2], labels=['x', 'y'])")
    expect(scatter).to_have_attribute("data-points", "2")
    expect(scatter).to_have_attribute("data-selected", "-1")
    assert lab.page.evaluate("() => window.hacked === undefined")
    assert lab.page.js_errors == []
