"""Judging a run as a reader does, in a real JupyterLab: click cells, sort, see photos and heat maps."""

from __future__ import annotations

from tests.browser.labdriver import ink_of

JUDGED = """
import explorer, torch
from torch import nn
torch.manual_seed(0)
layers = nn.Conv2d(3, 8, 3, 2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5)
net = explorer.wrap(nn.Sequential(*layers), input_size=(3, 48, 48))
run = explorer.finetune(net, "flowers5_nano", train="all", epochs=2, lr=0.05, threads=1, name="nano").wait(60)
flat = nn.Sequential(nn.Flatten(), nn.Linear(3 * 48 * 48, 5))
dash = explorer.Dashboard(explorer.wrap(flat, input_size=(3, 48, 48)))
dash.session.run = run
dash.wait()
dash
"""

LARGE = """
import numpy as np
from explorer.widgets.parts.confusion import ConfusionMatrix
draw = np.random.default_rng(0)
counts = np.diag(draw.integers(20, 50, 1000))
for i, j in draw.integers(0, 1000, (4000, 2)):
    counts[i, j] += 1
names = [f"<img src=x onerror=window.hacked={i}> {i}" for i in range(1000)]
picks, matrix = [], ConfusionMatrix()
matrix.on_pick(lambda true, predicted: picks.append((true, predicted)))
matrix.show(names, counts)
matrix
"""


def test_a_run_is_judged_and_a_click_on_a_cell_shows_its_photos(lab, expect):
    lab.open_cells(JUDGED)
    lab.run_all()
    view = lab.page.locator(".vx-dashboard")
    expect(view).to_be_visible(timeout=60_000)
    view.get_by_role("tab", name="Evaluate").click()
    panel = view.locator(".vx-eval")
    panel.get_by_role("button", name="Evaluate", exact=True).click()
    matrix = panel.locator(".vx-confusion")
    expect(matrix.get_by_role("gridcell")).to_have_count(25, timeout=60_000)
    expect(panel.locator(".vx-eval-head")).to_contain_text("40 photos: with ever more photos like these")
    expect(panel.locator(".vx-eval-chart svg")).to_have_count(2)

    # a cell says what it counts, in words, and shows its photos when it is clicked
    cells = matrix.get_by_role("gridcell")
    counts = [int(cell.get_attribute("data-count")) for cell in cells.all()]
    assert sum(counts) == 40
    wrong = max((place for place in range(25) if place // 5 != place % 5), key=counts.__getitem__)
    cell, names = cells.nth(wrong), ("daisy", "dandelion", "roses", "sunflowers", "tulips")
    true, taken = names[wrong // 5], names[wrong % 5]
    cell.hover()
    reading = f"{counts[wrong]} of 8 {true} taken for {taken}"
    expect(matrix.locator(".vx-confusion-reading")).to_contain_text(reading)
    cell.click()
    photos = panel.get_by_role("listbox", name="Photos of the cell")
    expect(photos.get_by_role("option")).to_have_count(counts[wrong])
    expect(photos.get_by_role("option").first).to_contain_text(f"is {true}")
    picture = photos.locator("img").first
    lab.page.wait_for_function("img => img.complete && img.naturalWidth > 20", arg=picture.element_handle())

    # the keyboard reaches every cell and heading
    lab.page.keyboard.press("Home")
    lab.page.keyboard.press("Enter")
    expect(photos.get_by_role("option")).to_have_count(8)
    expect(matrix.get_by_role("rowheader", name=true)).to_have_attribute("aria-selected", "true")
    lab.page.keyboard.press("ArrowRight")
    expect(matrix.locator(".vx-confusion-reading")).to_contain_text(f"of 8 {true}")

    # the table sorts, and takes a class to its photos and its curve
    table = panel.locator(".vx-sorted")
    table.get_by_role("button", name="recall").click()
    recalls = [float(text.split()[0]) for text in table.locator("tbody td:nth-child(3)").all_inner_texts()]
    assert recalls == sorted(recalls)
    table.get_by_role("button", name="tulips", exact=True).click()
    expect(panel.get_by_role("img", name="roc curve of tulips")).to_be_visible()

    # heat maps, and a photo that becomes the dashboard's
    before = panel.get_by_role("listbox", name="The highest losses").locator("img").first.get_attribute("src")
    panel.get_by_role("button", name="heat map of its answer").click()
    expect(panel).to_contain_text("what spoke for the class that it gave")
    worst = panel.get_by_role("listbox", name="The highest losses").get_by_role("option").first
    assert worst.locator("img").get_attribute("src") != before
    name = worst.get_attribute("title")
    worst.click()
    panel.get_by_role("button", name="Open in the dashboard").click()
    expect(view.locator(".vx-caption")).to_contain_text(name)

    # the page never grows sideways
    lab.page.set_viewport_size({"width": 700, "height": 900})
    outside = panel.evaluate("""root => [...root.querySelectorAll('*')].filter(node => {
        if (node.closest('.vx-confusion-scroll, .vx-sorted-scroll')) return false;
        const box = node.getBoundingClientRect();
        return box.width && box.right > root.getBoundingClientRect().right + 1;
    }).map(node => node.outerHTML.slice(0, 90))""")
    assert outside == []
    assert lab.page.js_errors == []


def test_a_thousand_classes_come_in_pages_and_no_photo_is_hidden(lab, expect):
    with lab.dark():
        lab.open_cells(LARGE)
        lab.run_all()
        matrix = lab.outputs.locator(".vx-confusion")
        expect(matrix).to_have_attribute("data-classes", "24")
        assert lab.page.evaluate("() => window.hacked === undefined")
        total = int(lab.run_code("print(counts.sum())"))
        cells = "all => all.reduce((sum, cell) => sum + Number(cell.dataset.count), 0)"
        assert matrix.locator("[role=gridcell]").evaluate_all(cells) == total
        matrix.get_by_role("button", name="Next classes").click()
        expect(matrix.locator(".vx-confusion-pager")).to_contain_text("25 to 48 of 1000 classes")
        assert matrix.locator("[role=gridcell]").evaluate_all(cells) == total

        # the last column: taken for a class that is not on this page
        row = matrix.locator("tbody tr").first.locator("[role=gridcell]")
        row.last.click()
        found = lab.run_code("(true, predicted), = picks\n"
                             "print(len(true), len(predicted), counts[list(true)][:, list(predicted)].sum())")
        assert found == f"1 976 {row.last.get_attribute('data-count')}\n"

        ink = ink_of(matrix)
        assert min(ink) > 120
    assert lab.page.js_errors == []


PLACES = """
import explorer, torch
torch.manual_seed(0)
model = explorer.create_model("retinanet", backbone="resnet18", num_classes=3)
torch.nn.init.constant_(model.head.classification_head.cls_logits.bias, -1)
model.config = model.config.with_(input_size=(3, 128, 128), labels=("RBC", "WBC", "Platelets"))
dash = explorer.Dashboard(model)
dash.wait()
dash
"""


def test_boxes_are_judged_and_a_photo_opens_in_detect(lab, expect):
    lab.open_cells(PLACES)
    lab.run_all()
    view = lab.page.locator(".vx-dashboard")
    expect(view).to_be_visible(timeout=60_000)
    view.get_by_role("tab", name="Evaluate").click()
    panel = view.locator(".vx-eval")
    expect(panel.get_by_label("by photos")).to_have_value("blood cells: four photos with boxes, bundled")
    panel.get_by_role("button", name="Evaluate").click()
    expect(panel.locator(".vx-eval-head").first).to_contain_text("mAP", timeout=60_000)
    matrix = panel.get_by_role("grid")
    expect(matrix.get_by_role("columnheader").last).to_have_text("background")
    missed = matrix.get_by_role("gridcell").nth(3)  # RBC without a box
    missed.click()
    cell = panel.get_by_role("listbox", name="Photos of the chosen cell").get_by_role("option")
    expect(cell).to_have_count(4)

    # the score slider counts anew
    slider = panel.get_by_role("slider")
    before = panel.locator(".vx-eval-head").nth(1).inner_text()
    slider.focus()
    lab.page.keyboard.press("Home")
    expect(panel.locator(".vx-eval-head").nth(1)).not_to_have_text(before)

    photo = panel.get_by_role("listbox", name="Worst photos").get_by_role("option").first
    expect(photo).to_contain_text("right")
    photo.click()
    expect(panel.locator(".vx-eval-large")).to_be_visible()
    panel.get_by_role("button", name="Open in Detect").click()
    expect(view.get_by_role("tab", name="Detect")).to_have_attribute("aria-selected", "true")
    lab.expect_code("print([*dash.evaluate.kinds.values()][-1].photos.picked.name == "
                    "dash.session.image_name)", "True\n")
