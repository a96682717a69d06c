"""The picker as a reader uses it: timeline, filters, weights, ticks, in a real JupyterLab."""

from __future__ import annotations

import pytest

from explorer.models.catalog import FAMILIES
from explorer.widgets.panels.picker.finding import all_cards
from tests.browser.labdriver import ink_of, sticking_out


@pytest.fixture
def view(lab, expect):
    """A notebook with a dashboard of its own, ready with the first photo."""
    lab.open_cells("import explorer\ndash = explorer.Dashboard()\ndash")
    lab.run_all()
    view = lab.page.locator(".vx-dashboard")
    expect(view.locator(".vx-predictions li").first).to_be_visible(timeout=60_000)
    view.locator(".vx-model-line").click()
    expect(view.locator(".vx-picker")).to_be_visible()
    return view


def count(lab, what: str) -> int:
    """How many the notebook's own explorer knows: `list_models` or `list_families`."""
    return int(lab.run_code(f"print(len(explorer.{what}()))"))


def listed(view):
    return view.locator(".vx-models option")


def search(view, expect, name: str) -> None:
    """Type a name and choose it in the list."""
    view.get_by_label("Search", exact=True).fill(name)
    expect(view.locator(f".vx-models option[value='{name}']")).to_have_count(1)
    view.locator(".vx-models select").select_option(name)
    expect(view.locator(".vx-card-name b")).to_have_text(name)


def test_from_a_family_to_its_weights_to_a_comparison(lab, view, expect):
    lab.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    # a family of the timeline
    dots = view.locator(".vx-timeline-dot")
    expect(dots).to_have_count(count(lab, "list_families"))
    expect(listed(view)).to_have_count(count(lab, "list_models"))
    resnet = view.locator(".vx-timeline-dot[data-family='resnet']")
    resnet.hover()
    expect(view.locator(".vx-timeline-caption")).to_contain_text(FAMILIES["resnet"].tagline)
    resnet.click()
    expect(listed(view)).to_have_count(len(FAMILIES["resnet"].names))
    expect(resnet).to_have_attribute("aria-pressed", "true")
    expect(view.get_by_label("Family", exact=True)).to_have_value("ResNet (2015)")
    resnet.click()
    expect(listed(view)).to_have_count(count(lab, "list_models"))

    # other weights of one model
    search(view, expect, "resnet50")
    view.get_by_label("Weights", exact=True).select_option(label=next(
        text for text in view.get_by_label("Weights", exact=True).locator("option").all_inner_texts()
        if text.startswith("tv_in1k")))
    expect(view.locator(".vx-card")).to_contain_text("resnet50.tv_in1k")
    view.get_by_role("button", name="Open with random weights").click()
    expect(view.locator(".vx-status")).to_contain_text("random weights")
    expect(view.locator(".vx-picker")).to_be_hidden()  # back to the photo
    view.locator(".vx-model-line").click()
    expect(view.locator(".vx-card")).to_contain_text("resnet50.tv_in1k")  # it stays chosen

    # two ticks
    view.get_by_role("button", name="Add to compare").click()
    search(view, expect, "resnet18")
    view.get_by_role("button", name="Add to compare").click()
    compare = view.locator(".vx-compare")
    expect(compare.locator("tbody tr")).to_have_count(2)
    expect(compare.locator("tbody th")).to_have_text(["resnet50.tv_in1k", "resnet18"])
    assert lab.run_code("print(dash.session.compare)") == "('resnet50.tv_in1k', 'resnet18')\n"
    compare.get_by_role("button", name="Copy as Markdown").click()
    expect(compare.locator(".vx-compare-live")).to_contain_text("Copied")
    copied = lab.page.evaluate("() => navigator.clipboard.readText()")
    assert copied.startswith("| model | year |") and "| resnet50.tv_in1k | 2015 |" in copied

    # a chip leads back to its card, its × takes it away, a cell brings it again
    compare.get_by_role("button", name="resnet50.tv_in1k", exact=True).click()
    expect(view.locator(".vx-card")).to_contain_text("resnet50.tv_in1k")
    compare.get_by_role("button", name="Remove resnet50.tv_in1k").click()
    expect(compare.locator("tbody tr")).to_have_count(1)
    lab.run_code("dash.session.compare = []")
    expect(compare).to_be_hidden()
    assert lab.page.js_errors == []


def test_the_timeline_works_with_the_keyboard(lab, view, expect):
    years = sorted({family.year for family in FAMILIES.values()})
    dots = view.locator(".vx-timeline-dot")
    assert dots.evaluate_all("all => all.filter((dot) => dot.tabIndex === 0).length") == 1  # one stop for Tab
    dots.first.focus()
    lab.page.keyboard.press("ArrowRight")
    focused = lab.page.evaluate("() => document.activeElement.dataset.family")
    assert FAMILIES[focused].year == years[1]
    lab.page.keyboard.press("Enter")
    expect(listed(view)).to_have_count(len(FAMILIES[focused].names))
    lab.page.keyboard.press("End")
    assert FAMILIES[lab.page.evaluate("() => document.activeElement.dataset.family")].year == years[-1]
    lab.page.keyboard.press("Escape")
    expect(listed(view)).to_have_count(count(lab, "list_models"))
    assert lab.page.js_errors == []


def test_filters_without_a_result_say_which_one_to_loosen(lab, view, expect):
    view.get_by_label("Search", exact=True).fill("vgg")
    view.get_by_label("Size", exact=True).select_option("under 5 M")
    expect(view.locator(".vx-pick")).to_contain_text("without the size")
    expect(view.locator(".vx-card-name b")).to_have_text("vgg11")  # the last one stays, and can be opened
    expect(view.get_by_role("button", name="Open with random weights")).to_be_enabled()
    view.get_by_role("button", name="Clear filters").click()
    expect(listed(view)).to_have_count(count(lab, "list_models"))
    view.get_by_label("Sort by", exact=True).select_option("highest accuracy")
    expect(view.locator(".vx-models-head")).to_contain_text("top-1")
    view.get_by_role("checkbox", name="weights on this computer").check()
    expect(view.locator(".vx-models option[value='tf_efficientnet_lite2']")).to_have_count(1)
    assert lab.page.js_errors == []


def test_the_search_and_the_published_models_with_the_keyboard_alone(lab, view, expect):
    press, chart = lab.page.keyboard.press, view.locator(".vx-chart-models")
    known = {name: card for name, card in all_cards().items() if card.config.top1 is not None}
    expect(chart).to_have_attribute("data-lit", str(len(known)))

    # Enter in the search asks where several models fit; the arrow down leads to them; the chart follows
    field = view.get_by_label("Search", exact=True)
    expect(field).to_be_focused()  # as the models come out
    lab.page.keyboard.type("convnext_t")
    press("Enter")
    expect(view.locator(".vx-pick")).to_contain_text("Enter again opens convnext_tiny, the first")
    expect(chart).to_have_attribute("data-lit", str(sum("convnext_t" in name for name in known)))
    expect(chart).to_have_attribute("data-chosen", "convnext_tiny")
    press("ArrowDown")
    expect(view.locator(".vx-models select")).to_be_focused()
    field.fill("no such model")
    expect(listed(view)).to_have_count(0)
    expect(view.locator(".vx-card-name b")).to_have_text("convnext_tiny")

    # from point to point, and its card
    field.fill("vgg")
    expect(chart).to_have_attribute("data-lit", str(sum("vgg" in name for name in known)))
    chart.locator("canvas").last.focus()
    press("End")
    largest = max((name for name in known if "vgg" in name), key=lambda name: known[name].parameters)
    expect(chart).to_have_attribute("data-cursor", largest)
    said = f"{largest}, {known[largest].config.top1:.1f} % top-1"
    expect(chart.get_by_role("status")).to_contain_text(said)
    press("ArrowLeft")
    expect(chart).not_to_have_attribute("data-cursor", largest)
    press("Enter")
    expect(view.locator(".vx-card-name b")).to_have_text(chart.get_attribute("data-cursor"))
    # the switch of another dashboard on this page is another one, though each view has its script for itself
    assert len(chart.get_by_label("multiply-adds").get_attribute("name")) > len("vx-models-") + 6
    chart.get_by_label("multiply-adds").press("Space")
    expect(chart).to_have_attribute("data-axis", "macs")

    # the very name and Enter: it opens, with a sign in the list
    field.focus()
    press("Control+A")
    lab.page.keyboard.type("tf_efficientnet_lite1")
    press("Enter")
    expect(view.locator(".vx-model-line")).to_contain_text("tf_efficientnet_lite1.in1k", timeout=60_000)
    expect(view.locator(".vx-picker")).to_be_hidden()
    view.locator(".vx-model-line").press("Enter")
    row = view.locator(".vx-models option[value='tf_efficientnet_lite1']")
    expect(row).to_have_attribute("title", "tf_efficientnet_lite1, open, weights on this computer")
    assert lab.page.js_errors == []


@pytest.fixture(scope="module")
def ticked(one_lab):
    """The picker with three models ticked, in a page that first is narrow."""
    one_lab.page.set_viewport_size({"width": 420, "height": 900})
    one_lab.open_cells("import explorer\ndash = explorer.Dashboard()\ndash.session.compare = "
                       "['resnet50', 'vit_base_patch16_224', 'tf_efficientnet_lite0']\ndash")
    one_lab.page.evaluate("() => window.jupyterapp.commands.execute('application:toggle-left-area')")
    one_lab.run_all()
    one_lab.page.locator(".vx-model-line").click()
    return one_lab


# Of the opaque pixels of a canvas, the darkest and the brightest.
LIGHTNESS = """(canvas) => {
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height), found = [255, 0];
  for (let k = 0; k < data.length; k += 4) if (data[k + 3] > 200) {
    const light = (data[k] + data[k + 1] + data[k + 2]) / 3;
    found[0] = Math.min(found[0], light);
    found[1] = Math.max(found[1], light);
  }
  return found;
}"""


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [420, 700, 1400])
def test_nothing_of_the_picker_is_cut_off_or_unreadable(ticked, expect, width, dark):
    view = ticked.page.locator(".vx-dashboard")
    expect(view.locator(".vx-timeline-dot").first).to_be_visible(timeout=60_000)
    expect(view.locator(".vx-compare tbody tr")).to_have_count(3)
    expect(view.locator(".vx-drawing svg")).to_be_visible()
    ticked.look(width, dark)
    outside = sticking_out(view.locator(".vx-picker"), "button, select, input, svg, summary, p, dd")
    assert outside == []
    for selector in (".vx-timeline-label", ".vx-models select", ".vx-card dd", ".vx-drawing-text text",
                     ".vx-compare td", ".vx-chip-name"):
        paint = "fill" if "text" in selector else "color"
        ink = ink_of(view.locator(selector).first, paint)
        assert min(ink) > 140 if dark else max(ink) < 140, (selector, ink)
    wanted = "brightest > 200" if dark else "darkest < 60"  # the words at its axes, once they are painted anew
    script = f"(one) => {{ const [darkest, brightest] = ({LIGHTNESS})(one); return {wanted}; }}"
    ticked.page.wait_for_function(script, arg=view.locator(".vx-chart-models canvas").first.element_handle())
    assert ticked.page.js_errors == []
