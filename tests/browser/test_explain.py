"""Asking why, as a reader does, in a real JupyterLab: heat map, another class, hidden part, a look inside."""

from __future__ import annotations

ASKED = """
import explorer, torch
from torch import nn
torch.manual_seed(0)
net = nn.Sequential(nn.Conv2d(3, 8, 3, 2), nn.ReLU(), nn.Conv2d(8, 8, 3, 2), nn.ReLU(),
                    nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3))
dash = explorer.Dashboard(net, labels=["cat", "<b>dog</b>", "bus"], input_size=(3, 64, 64))
dash.wait()
dash
"""
SHOWN = "dash.explain.wait(); print(dash.explain.heat_map.shown.label)"


def test_a_heat_map_another_class_a_hidden_part_and_a_look_inside(lab, expect):
    lab.open_cells(ASKED)
    lab.run_all()
    page, view = lab.page, lab.page.locator(".vx-dashboard")
    expect(view).to_be_visible(timeout=60_000)
    view.get_by_role("tab", name="Explain").click()

    # the heat map is there by itself, drawn in colours over the photo
    heat = view.locator(".vx-explain")
    expect(heat.locator(".vx-view")).to_have_attribute("data-heat", "yes")
    colours = """canvas => {
        const pixels = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
        return new Set(pixels.data).size;
    }"""
    assert heat.locator("canvas.vx-view-heat").evaluate(colours) > 10
    first = heat.locator("canvas.vx-view-heat").evaluate("canvas => canvas.toDataURL()")

    # another class by a part of its name; its name is text; nonsense is a sentence, without the old map
    field = heat.get_by_label("Class", exact=True)
    other = "bus" if "bus" not in lab.run_code(SHOWN) else "cat"
    field.fill(other)
    field.press("Enter")
    expect(heat.locator(".vx-explain-side p b").first).to_have_text(other)
    assert heat.locator("canvas.vx-view-heat").evaluate("canvas => canvas.toDataURL()") != first
    field.fill("<img src=x onerror=window.hacked=1>")
    field.press("Enter")
    expect(heat.get_by_role("alert")).to_contain_text("None of the 3 classes")
    expect(heat.locator(".vx-view")).to_have_attribute("data-heat", "")
    field.fill("dog")
    field.press("Enter")
    expect(heat.locator(".vx-explain-side p b").first).to_have_text("<b>dog</b>")

    # a method that knows of no class: only that field goes, and the way back stays
    heat.get_by_label("Method", exact=True).select_option(label="Attention rollout (attention)")
    expect(heat.get_by_role("alert")).to_contain_text("Choose another method: Grad-CAM")
    expect(field).to_be_hidden()
    heat.get_by_label("Method", exact=True).select_option(label="Saliency (gradient at the pixels)")
    expect(heat.locator(".vx-view")).to_have_attribute("data-heat", "yes")

    # a box on the photo hides a part of it: before and now
    view.get_by_role("button", name="Change the photo").click()
    masks = view.locator(".vx-whatif-block").first
    stage = masks.get_by_role("application")
    stage.scroll_into_view_if_needed()
    around = stage.bounding_box()
    page.mouse.move(around["x"] + 20, around["y"] + 20)
    page.mouse.down()
    page.mouse.move(around["x"] + 120, around["y"] + 100, steps=4)
    page.mouse.up()
    expect(masks.get_by_role("list", name="Probabilities, before and now")).to_be_visible()
    expect(masks.get_by_role("status").last).to_contain_text("before")
    expect(masks.locator("figcaption")).to_have_text("What the model looked at")
    masked = masks.locator("figure img")
    before = masked.get_attribute("src")
    page.keyboard.press("Shift+ArrowRight")  # the keyboard goes on where the mouse was
    expect(masked).not_to_have_attribute("src", before)
    same = lab.run_code("mask = dash.explain.what_if.mask; print(mask.found.box == tuple(mask.view.box))")
    assert same.strip() == "True"

    # inside: the first filters, which need no photo
    view.get_by_role("button", name="Inside the model").click()
    inside = view.locator(".vx-inside")
    inside.get_by_label("Show", exact=True).select_option(label="First filters")
    expect(inside.locator("img").first).to_be_visible()

    assert page.evaluate("() => window.hacked") is None
    assert page.js_errors == []
