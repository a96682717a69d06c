"""Every layer over one photo, pointed at with the mouse and with the keys, in a real JupyterLab."""

from __future__ import annotations

DRAWN = """
import numpy as np
from PIL import Image
from explorer.widgets.parts.photo_overlay import PhotoOverlay

photo = Image.fromarray(np.tile(np.linspace(40, 220, 400, dtype=np.uint8)[None, :, None], (300, 1, 3)))
view, heard = PhotoOverlay(side=400, choices=2), []
view.on_chosen(heard.append)
view.show(photo, label="A test card")
view.boxes([[20, 40, 220, 260], [60, 80, 140, 160], [240, 30, 380, 120]], labels=["<b>cat</b>", "cat", "dog"],
           scores=[0.9, 0.625, 0.5], texts=["the large one", "", "<img src=x onerror=window.hacked=1>"])
codes = np.zeros((30, 40), int)
codes[20:, :20], codes[20:, 20:], codes[0, 0] = 1, 2, 255
view.mask(codes, names=["background", "<i>grass</i>", "water"], values=np.full((30, 40), 0.8))
view
"""
PIXEL = """(canvas, [x, y]) => [...canvas.getContext("2d").getImageData(x, y, 1, 1).data]"""


def test_boxes_are_pointed_at_chosen_and_read_with_mouse_and_keys(lab, expect):
    lab.open_cells(DRAWN)
    lab.run_all()
    page, view = lab.page, lab.outputs.locator(".vx-view")
    expect(view).to_have_attribute("data-boxes", "3")
    stage, reading = view.get_by_role("application"), view.get_by_role("status")
    tip = view.locator(".vx-view-tip")
    expect(stage).to_have_attribute(
        "aria-label", "A test card: arrows go through 3 boxes, Enter chooses, Escape lets go.")
    expect(view.locator(".vx-view-tag").first).to_have_text("<b>cat</b> 90.0 %")

    def at(x, y):  # places of the photo: a pixel of it is one of the screen
        around = stage.bounding_box()
        return around["x"] + x, around["y"] + y

    # the smaller box of two, and what lies below it; names and texts are text
    page.mouse.move(*at(100, 120))
    expect(tip).to_have_text("cat 62.5 %")
    page.mouse.move(*at(200, 240))
    expect(tip).to_have_text("<b>cat</b> 90.0 %, the large one")
    expect(reading).to_have_text("<b>cat</b> 90.0 %, the large one; water 80.0 %")
    page.mouse.click(*at(100, 120))
    page.mouse.click(*at(300, 60))
    expect(view).to_have_attribute("data-chosen", "1 2")
    lab.expect_code("print(heard, view.chosen)", "[(1,), (1, 2)] (1, 2)\n")
    page.mouse.click(*at(200, 240))  # a third one: the first goes
    expect(view).to_have_attribute("data-chosen", "2 0")
    page.mouse.move(*at(390, 290))
    page.mouse.move(*at(390, 400))
    expect(tip).to_be_hidden()
    dog, cat = "dog 50.0 %, <img src=x onerror=window.hacked=1>", "<b>cat</b> 90.0 %, the large one"
    expect(reading).to_have_text(f"{dog}; {cat}")

    # the same with the keys
    stage.focus()
    page.keyboard.press("Escape")
    expect(view).to_have_attribute("data-chosen", "")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    expect(reading).to_have_text("cat 62.5 %, 2 of 3")
    expect(reading).to_have_attribute("aria-live", "polite")
    page.keyboard.press("Enter")
    expect(view).to_have_attribute("data-chosen", "1")
    expect(reading).to_have_text("cat 62.5 %, 2 of 3, chosen")
    lab.expect_code("print(view.chosen)", "(1,)\n")

    # other boxes: what was chosen is gone on both sides; and none at all
    lab.run_code("view.boxes([[0, 0, 200, 150]] * 2)")
    expect(view).to_have_attribute("data-boxes", "2")
    expect(view).to_have_attribute("data-chosen", "")
    view.get_by_label("boxes", exact=True).uncheck()
    expect(view.locator(".vx-view-outlines")).to_be_hidden()
    lab.run_code("view.boxes(None)")
    expect(view.get_by_label("boxes", exact=True)).to_be_hidden()
    assert page.evaluate("() => window.hacked") is None
    assert page.js_errors == []


def test_a_mask_is_read_and_a_class_is_shown_alone(lab, expect):
    lab.open_cells(DRAWN)
    lab.run_all()
    page, view = lab.page, lab.outputs.locator(".vx-view")
    expect(view).to_have_attribute("data-mask", "yes")
    lab.run_code("view.boxes(None)")
    stage, reading = view.get_by_role("application"), view.get_by_role("status")
    mask = view.locator(".vx-view-mask")
    legend = view.get_by_role("group", name="Classes of the mask")
    names = legend.locator("button")
    expect(names).to_have_text(["background66.6 %", "<i>grass</i>16.7 %", "water16.7 %"])
    expect(names.first).to_be_disabled()  # it is not painted, so nothing could be shown alone

    def painted(x, y):  # whether the mask has a colour at a place of its own
        return mask.evaluate(PIXEL, [x, y])[3] == 255

    assert [painted(5, 5), painted(5, 25), painted(35, 25), painted(0, 0)] == [False, True, True, False]
    names.nth(1).press("Enter")
    expect(names.nth(1)).to_have_attribute("aria-pressed", "true")
    expect(names.nth(1)).to_be_focused()
    assert [painted(5, 25), painted(35, 25)] == [True, False]
    lab.expect_code("print(view.isolated)", "1\n")
    stage.click(position={"x": 300, "y": 250})  # water, in the photo
    expect(names.nth(2)).to_have_attribute("aria-pressed", "true")
    stage.hover(position={"x": 2, "y": 2})
    expect(reading).to_have_text("no class")

    # with the keys: the middle of the photo first, then a step to the right, into the water below
    stage.focus()
    page.keyboard.press("Escape")
    expect(names.nth(2)).to_have_attribute("aria-pressed", "false")
    page.keyboard.press("ArrowRight")
    expect(reading).to_have_text("background 80.0 %")
    for _ in range(8):
        page.keyboard.press("ArrowDown")
    expect(reading).to_have_text("water 80.0 %")
    page.keyboard.press("Enter")
    lab.expect_code("print(view.isolated)", "2\n")

    view.get_by_label("Strength of the mask").fill("0.2")
    expect(mask).to_have_css("opacity", "0.2")
    lab.expect_code("print(view.mask_alpha)", "0.2\n")
    lab.run_code("view.mask(None)")
    expect(legend).to_be_hidden()
    assert page.js_errors == []


def test_patches_are_picked_with_mouse_and_keys_and_a_map_of_them_is_read(lab, expect):
    lab.open_cells(DRAWN)
    lab.run_all()
    page, view = lab.page, lab.outputs.locator(".vx-view")
    lab.run_code("""
picked = []
view.on_place(picked.append)
view.show(photo, grid=(3, 4), label="Patches")
view.heat(np.arange(12).reshape(3, 4) / 11, colormap="viridis", own_range=True)""")
    stage, reading = view.get_by_role("application"), view.get_by_role("status")
    expect(view).to_have_attribute("data-boxes", "0")  # what lay over the photo before is gone
    expect(view).to_have_attribute("data-mask", "")
    expect(stage).to_have_attribute(
        "aria-label", "Patches: arrows pick one of 3 by 4 patches, Escape lets it go.")
    expect(reading).to_have_text("3 × 4 patches: click one, or use the arrow keys")
    stage.hover(position={"x": 390, "y": 290})
    expect(reading).to_have_text("row 2, column 3: 100 %")
    stage.click(position={"x": 150, "y": 50})
    expect(view).to_have_attribute("data-place", "0 1")
    lab.expect_code("print(picked)", "[(0, 1)]\n")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowLeft")
    expect(reading).to_have_text("row 1, column 0: 36.5 %")
    lab.expect_code("print(picked)", "[(0, 1), (1, 0)]\n")  # a held key asks once, at its end
    page.keyboard.press("Escape")
    lab.expect_code("print(view.place)", "()\n")
    view.get_by_label("Strength of the map").fill("0.3")
    view.get_by_label("patches", exact=True).uncheck()
    expect(view.locator(".vx-view-lines")).to_be_hidden()
    lab.expect_code("print(view.alpha, view.lines)", "0.3 False\n")
    assert page.js_errors == []


def test_many_boxes_are_painted_at_once(lab, expect):
    """As many candidates as EfficientDet-d0 has before its NMS: from Python's call to the screen."""
    lab.open_cells(DRAWN)
    lab.run_all()
    view = lab.outputs.locator(".vx-view")
    expect(view).to_have_attribute("data-boxes", "3")
    lab.run_code("""
generator = np.random.default_rng(0)
corners = generator.uniform(0, 250, (49_104, 2))
view.boxes(np.hstack([corners, corners + generator.uniform(5, 50, (49_104, 2))]), labels=["box"] * 49_104)""")
    expect(view).to_have_attribute("data-boxes", "49104")
    expect(view.get_by_role("status")).to_contain_text("49,104 boxes: click one, or use the keys.")
    view.get_by_role("application").hover(position={"x": 100, "y": 100})
    expect(view.locator(".vx-view-tip")).to_have_text("box")
    assert lab.page.js_errors == []
