"""Boxes and masks, as a reader sees them, in a real JupyterLab: sliders, two boxes, one class alone."""

from __future__ import annotations

import contextlib

FOUND = """
import explorer, torch
torch.manual_seed(0)
detector = explorer.create_model("retinanet", backbone="resnet18", num_classes=3)
last = detector.head.classification_head.cls_logits
torch.nn.init.normal_(last.weight, std=10)
torch.nn.init.constant_(last.bias, -2)
detector.config = detector.config.with_(input_size=(3, 128, 128), labels=("cat", "<b>dog</b>", "bus"))
segmenter = explorer.create_model("unet", backbone="resnet18", num_classes=3)
torch.nn.init.normal_(segmenter.segmentation_head[0].weight, std=1.0)
labels = "background", "cat", "<b>dog</b>"
segmenter.config = segmenter.config.with_(input_size=(3, 128, 128), labels=labels)
dash = explorer.Dashboard(detector)
dash.wait()
dash
"""


def test_boxes_follow_the_sliders_and_a_class_of_the_mask_is_shown_alone(lab, expect):
    lab.open_cells(FOUND)
    lab.run_all()
    page, view = lab.page, lab.page.locator(".vx-dashboard")
    expect(view).to_be_visible(timeout=60_000)
    expect(view.get_by_text("This model finds boxes: see the tab Detect.")).to_be_visible()
    view.get_by_role("tab", name="Detect").click()
    panel = view.locator(".vx-detect")
    expect(panel.get_by_text("after NMS")).to_be_visible()
    outlines = panel.locator("canvas.vx-view-outlines")
    drawn = """canvas => new Uint8Array(
        canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data.buffer)
        .some(value => value > 0)"""
    assert outlines.evaluate(drawn)

    # a higher threshold leaves fewer boxes, and no pass is asked for
    before = panel.locator(".vx-facts").inner_text()
    lab.run_code("dash.detect.score.value = 0.6")
    expect(panel.locator(".vx-facts")).not_to_have_text(before)
    slider = panel.get_by_role("slider").first
    slider.focus()
    told = panel.get_by_text("after NMS").inner_text()
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    expect(panel.get_by_text("after NMS")).not_to_have_text(told)

    # names are text; two boxes that are clicked have an IoU
    assert page.evaluate("document.querySelectorAll('.vx-facts b').length") == 0
    lab.run_code("import time; time.sleep(0.5)")  # the keys that were pressed have all arrived
    lab.run_code("dash.detect.view._on_message('chosen', {'chosen': [0, 1], 'generation': "
                 "dash.detect.view._boxes['generation']}, [])")
    expect(panel.get_by_text("IoU")).to_be_visible()

    # what stands behind a box: its anchor and its heap, dashed; and where its score comes from
    lab.run_code("dash.detect.view._on_message('chosen', {'chosen': [0], 'generation': "
                 "dash.detect.view._boxes['generation']}, [])")
    expect(panel.get_by_text("found on level P")).to_be_visible()
    expect(panel.locator(".vx-view")).not_to_have_attribute("data-ghosts", "0")
    panel.get_by_role("button", name="Why this box").click()
    expect(panel.locator(".vx-view[data-heat=yes]")).to_be_visible(timeout=60_000)

    # the anchors at a place
    panel.get_by_role("button", name="Anchors").click()
    for _ in range(5):  # a click that comes before the panel has turned to anchors is one on the boxes
        panel.locator(".vx-view-stage").click(position={"x": 100, "y": 100})
        with contextlib.suppress(AssertionError):
            expect(panel.get_by_text("45 anchors at this place")).to_be_visible(timeout=4000)
            break
    expect(panel.get_by_text("45 anchors at this place")).to_be_visible()
    expect(panel.locator(".vx-view")).to_have_attribute("data-ghosts", "45")

    panel.get_by_role("button", name="Boxes", exact=True).click()

    # a network for masks: another tab has the answer
    lab.run_code("dash.session.model = segmenter; dash.wait()")
    expect(view.get_by_text("This model finds masks: see the tab Segment.")).to_be_visible()
    view.get_by_role("tab", name="Segment").click()
    mask = view.locator(".vx-view[data-mask=yes]")
    expect(mask).to_be_visible()
    keys = mask.locator(".vx-view-key")
    expect(keys.first).to_be_visible()
    assert "<b>dog</b>" in keys.all_inner_texts()[0] + keys.all_inner_texts()[1] + keys.all_inner_texts()[-1]
    chosen = mask.locator(".vx-view-key:not([disabled])").first
    chosen.click()
    expect(chosen).to_have_attribute("aria-pressed", "true")
    lab.expect_code("print(dash.segment.view.isolated > 0)", "True\n")

    # what travels along, with the true boxes: one click
    view.get_by_role("tab", name="Detect").click()
    panel.get_by_role("button", name="Show with the blood-cell detector").click()
    expect(panel.get_by_text("right (TP)")).to_be_visible(timeout=60_000)
    lab.expect_code("print(dash.session.model_name, dash.detect.judged.count('right') > 0)",
                    "retinanet_lite0.bccd True\n")
