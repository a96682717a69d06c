"""Pages other than a JupyterLab that has everything: Notebook 7, and a page that can't load anywidget."""

from __future__ import annotations

import nbformat
import pytest

from tests.browser.labdriver import sticking_out

CELL = "import explorer\ndash = explorer.Dashboard()\ndash"
# shorter than a slow connection needs
SOON = "from explorer.widgets.panels.basic import noticing\nnoticing.PATIENCE = 1\n"
# JupyterLab's body is no pixel tall, and axe takes what it cuts off for hidden
SHOWN = "el => { for (let one = el; one; one = one.parentElement) one.style.overflow = 'visible'; }"
# Notebook's own, in an empty notebook too
OF_NOTEBOOK = "Cannot read properties of undefined (reading 'schema')"


def test_notebook_7_shows_the_dashboard_and_asks_nobody_else(lab, expect):
    pytest.importorskip("notebook")  # the server of the other tests has it too
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(CELL)])
    notebook.metadata["kernelspec"] = {"name": "python3", "language": "python", "display_name": "Python 3"}
    nbformat.write(notebook, lab.root / "seven.ipynb")
    page, elsewhere = lab.page, []
    page.on("request", lambda request: elsewhere.append(request.url))
    page.goto(f"{lab.url}/notebooks/seven.ipynb")
    lab.adopt("seven.ipynb")
    page.locator(".jp-CodeCell .cm-content").first.click()
    page.keyboard.press("Shift+Enter")
    view = page.locator(".vx-dashboard")
    first = view.locator(".vx-predictions li .vx-name").first
    expect(first).to_be_visible(timeout=60_000)
    view.locator(".vx-gallery").get_by_role("option", name="Espresso").click()
    expect(first).to_have_text("espresso")
    expect(view.locator(".vx-mosaic:visible")).to_have_attribute("data-channels", "16")
    page.set_viewport_size({"width": 800, "height": 900})
    scrolled = ".vx-gallery, .vx-flow-row, .vx-mosaic-box"
    assert sticking_out(view, "button, select, input, canvas, img", but=scrolled) == []
    assert [url for url in elsewhere if not url.startswith((lab.url, "data:", "blob:"))] == []
    assert [text for text in page.js_errors if text != OF_NOTEBOOK] == []


def test_a_page_without_anywidget_gets_basic_mode_within_seconds_and_looks_at_a_photo_there(lab, expect, axe):
    lab.page.route("**/extensions/anywidget/**", lambda route: route.fulfill(status=404))
    lab.open_cells(SOON + CELL)
    lab.run_all()
    view = lab.page.locator(".vx-dashboard")
    photos = view.get_by_label("Photo", exact=True)
    expect(photos).to_be_visible()
    expect(view.get_by_role("alert")).to_contain_text("pip install anywidget")
    photos.focus()
    photos.select_option("Espresso")
    expect(view.get_by_role("rowheader", name="espresso", exact=True)).to_be_visible()
    expect(view.get_by_alt_text("The photo: Espresso")).to_be_visible()
    expect(view.get_by_alt_text("Grad-CAM")).to_be_visible()
    expect(view.get_by_alt_text("blocks.0 of")).to_be_visible()
    view.evaluate(SHOWN)
    assert "\n".join(axe(lab.page)) == ""
