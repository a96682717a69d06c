"""Code, figure and guide as a reader takes them from a panel, in a real JupyterLab."""

from __future__ import annotations

import io

from PIL import Image


def panel(view, name: str):
    """The panel whose buttons are labelled with this name."""
    group = view.page.get_by_role("group", name=f"Code, figure and guide: {name}", exact=True)
    return view.locator(".vx-tools").filter(has=group)


def test_code_is_copied_a_figure_is_saved_and_the_guide_opens_with_the_keyboard(lab, expect):
    lab.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    lab.open_cells("import explorer\ndash = explorer.Dashboard()\ndash")
    lab.run_all()
    view = lab.page.locator(".vx-dashboard")
    expect(view.locator(".vx-predictions li").first).to_be_visible(timeout=60_000)
    tools = panel(view, "Predictions")

    # the lines are shown, follow the panel, and are copied as they are
    ask = tools.get_by_role("button", name="Show code")
    ask.click()
    expect(ask).to_have_attribute("aria-expanded", "true")
    lines = tools.locator("pre")
    expect(lines).to_contain_text('model = explorer.create_model("tf_efficientnet_lite0", pretrained=True)')
    view.get_by_label("Show", exact=True).select_option("top 10")
    expect(lines).to_contain_text("topk=10")
    tools.get_by_role("button", name="Copy").click()
    expect(tools.locator(".vx-tools-live")).to_contain_text("Copied")
    copied = lab.page.evaluate("() => navigator.clipboard.readText()")
    assert copied == lines.inner_text() == lab.run_code("print(dash.predictions.code(), end='')")
    same = lab.run_code(f"exec({copied!r})\nprint(look.predictions[:5] == dash.session.look.predictions)")
    assert same == "True\n"

    # the figure is shown with its caption, and saved in two formats
    tools.get_by_role("button", name="Export figure").click()
    picture = tools.get_by_role("img")
    expect(picture).to_have_attribute("alt", lab.run_code("print(dash.predictions._to_export()[2], end='')"))
    assert lines.count() == 0 and picture.evaluate("one => one.decode().then(() => one.naturalWidth)") > 600
    with lab.page.expect_download() as download:
        tools.get_by_role("button", name="Save PNG").click()
    assert download.value.suggested_filename == "Predictions_tf_efficientnet_lite0.in1k_Beagle.png"
    with Image.open(io.BytesIO(download.value.path().read_bytes())) as saved:
        assert saved.format == "PNG" and "Beagle" in saved.text["Description"]
    with lab.page.expect_download() as download:
        tools.get_by_role("button", name="Save SVG").click()
    assert "<svg" in download.value.path().read_text(encoding="utf-8")
    expect(tools.locator(".vx-tools-live")).to_contain_text("Saved as Predictions_")

    # the page to take home is written and saved; tests/browser/test_live_page.py opens such pages
    tools.get_by_role("button", name="Live page").click()
    save = tools.get_by_role("button", name="Save tf_efficientnet_lite0.in1k.html")
    expect(save).to_be_visible(timeout=120_000)
    with lab.page.expect_download() as download:
        save.click()
    assert download.value.suggested_filename == "tf_efficientnet_lite0.in1k.html"
    page = download.value.path().read_text(encoding="utf-8")
    assert 'id="vx-model-0"' in page and page.rstrip().endswith("</html>") and len(page) < 20_000_000

    # the guide of another panel, with the keyboard alone
    tools = panel(view, "Feature maps")
    guide = tools.get_by_role("button", name="Guide: Feature maps")
    guide.focus()
    lab.page.keyboard.press("Enter")
    link = tools.locator("a").first
    expect(link).to_have_attribute("rel", "noopener noreferrer")
    expect(tools).to_contain_text("What it does not prove.")
    link.focus()
    lab.page.keyboard.press("Escape")
    expect(guide).to_be_focused()
    expect(guide).to_have_attribute("aria-expanded", "false")
    expect(tools.locator(".vx-tools-fold")).to_be_hidden()
    assert lab.page.js_errors == []


def test_where_copying_is_forbidden_the_lines_are_selected_to_copy_by_hand(lab, expect):
    lab.page.add_init_script("navigator.clipboard.writeText = () => Promise.reject(new Error('forbidden'))")
    lab.open_cells("import explorer\ndash = explorer.Dashboard(explorer.create_model('resnet10t'))\ndash")
    lab.run_all()
    view = lab.page.locator(".vx-dashboard")
    view.get_by_role("button", name="All photos").click()
    tools = panel(view, "Photo")
    tools.get_by_role("button", name="Show code").click()
    tools.get_by_role("button", name="Copy").click()
    expect(tools.locator(".vx-tools-live")).to_contain_text("Ctrl+C")
    selected = lab.page.evaluate("() => getSelection().toString()")
    assert selected.strip() == tools.locator("pre").inner_text().strip()
