"""The dashboard as a reader uses it: real clicks, keys and files in a real JupyterLab."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import explorer
from tests.browser.labdriver import ink_of

ROOT = Path(__file__).resolve().parents[2]
PHOTOS = {photo.name: photo for photo in explorer.sample_photos()}


@pytest.fixture
def dashboard(lab, expect):
    """A notebook with a dashboard of its own, ready with the first photo."""
    lab.open_cells("import explorer\ndash = explorer.Dashboard()\ndash")
    lab.run_all()
    view = lab.page.locator(".vx-dashboard")
    expect(first_prediction(view)).to_be_visible(timeout=60_000)
    return view


def first_prediction(view):
    return view.locator(".vx-predictions li .vx-name").first


def upload(view, file: Path) -> None:
    view.locator("input.vx-input-file").set_input_files(file)


def test_the_tour_from_top_to_bottom(lab, expect, tmp_path):
    """Run all, another architecture, own photo, tree node, enlarged map, a broken file; no console error."""
    lab.open(ROOT / "notebooks" / "tour.ipynb")
    lab.run_all()
    view = lab.page.locator(".vx-dashboard").first
    expect(first_prediction(view)).to_have_text("daisy")  # by what the tour has trained

    # another architecture
    view.locator(".vx-model-line").click()
    view.get_by_label("Search", exact=True).fill("*lite1")
    models = view.locator(".vx-models select")
    expect(models.locator("option")).to_have_count(2)
    models.select_option(index=1)
    expect(view.locator(".vx-card")).to_contain_text("tf_efficientnet_lite1")
    view.get_by_role("button", name="Open with trained weights").click()
    expect(view.locator(".vx-model-line")).to_contain_text("tf_efficientnet_lite1.in1k")
    expect(view.locator(".vx-mosaic-title")).to_contain_text("tf_efficientnet_lite1.in1k")

    # an own photo
    upload(view, PHOTOS["school_bus"].path)
    expect(first_prediction(view)).to_have_text("school bus")

    # a node of the module tree
    view.get_by_role("tab", name="Modules").click()
    tree = view.locator(".vx-tree")
    row = tree.locator(".vx-tree-row[data-path='blocks']")
    expect(row).to_be_visible()
    row.locator(".vx-tree-twisty").click()
    inner = tree.locator(".vx-tree-row[data-path='blocks.0']")
    expect(inner).to_be_visible()
    inner.click()
    expect(tree).to_have_attribute("data-selected", "blocks.0")
    expect(tree.locator(".vx-tree-code")).to_have_text('model.get_submodule("blocks.0")')

    # an enlarged feature map
    view.get_by_role("tab", name="Feature maps").click()
    mosaic = view.locator(".vx-mosaic:visible")  # Modules has one, too
    expect(mosaic).to_have_attribute("data-channels", "16")
    mosaic.locator(".vx-mosaic-canvas").click(position={"x": 30, "y": 30})
    expect(mosaic).to_have_attribute("data-selected", "0")
    expect(mosaic.locator(".vx-mosaic-big")).to_be_visible()
    view.locator(".vx-stages").get_by_role("button", name="blocks.6").click()
    expect(mosaic).to_have_attribute("data-channels", "320")

    # a broken file: a sentence, and what was there stays
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"\x89PNG\r\n\x1a\n" + b"no picture" * 20)
    upload(view, broken)
    expect(view.locator(".vx-input-note")).to_contain_text("'broken.png' is not a picture")
    expect(first_prediction(view)).to_have_text("school bus")
    assert lab.run_code("print(dash.session.look.predictions[0].label)") == "school bus\n"
    assert lab.page.js_errors == []


def test_a_click_on_a_bundled_photo_and_the_keyboard_choose_it(lab, dashboard, expect):
    gallery = dashboard.locator(".vx-gallery")
    expect(gallery).to_have_attribute("data-photos", str(len(PHOTOS)))
    expect(gallery).to_have_attribute("data-selected", "2")  # the first photo's own mark has arrived
    lab.run_code("import time; time.sleep(2)", wait=False)
    gallery.get_by_role("option", name="Espresso").click()
    chosen = gallery.locator("[aria-selected='true']")
    assert chosen.get_attribute("title") == "Espresso"  # before Python knows
    expect(first_prediction(dashboard)).to_have_text("espresso")
    lab.page.keyboard.press("ArrowLeft")      # moves the focus, chooses nothing
    expect(first_prediction(dashboard)).to_have_text("espresso")
    lab.page.keyboard.press("Enter")
    expect(first_prediction(dashboard)).to_have_text("cheeseburger")
    expect(gallery.get_by_role("option", name="Burger")).to_have_attribute("aria-selected", "true")
    assert lab.page.js_errors == []


def test_every_control_has_a_name_and_shows_that_it_has_the_focus(lab, dashboard, expect):
    dashboard.locator(".vx-model-line").click()
    expect(dashboard.get_by_role("listbox", name="Models")).to_be_visible()
    dashboard.get_by_label("Search", exact=True).focus()
    reached, faults = 0, []
    for _ in range(60):
        lab.page.keyboard.press("Tab")
        control = lab.page.evaluate("""() => {
            const el = document.activeElement, style = getComputedStyle(el), seen = window.seen ??= new Set();
            if (seen.has(el) || !el.closest('.vx-dashboard')) return null;
            seen.add(el);
            const text = [el.getAttribute('aria-label'), el.labels?.[0]?.innerText, el.innerText];
            const outlined = style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 1;
            return {name: text.find(Boolean) || '', html: el.outerHTML.slice(0, 90),
                    ring: el.matches('.vx-input-file') || outlined};
        }""")
        if control is None:  # out of the dashboard, or round to its first control
            break
        reached += 1
        if not (control["name"].strip() and control["ring"]):
            faults.append(control)
    assert faults == [] and reached > 15


def test_a_cell_changes_what_is_on_the_screen(lab, dashboard, expect):
    lab.run_code(f"dash.session.image = {str(PHOTOS['pizza'].path)!r}")
    expect(first_prediction(dashboard)).to_have_text("pizza")
    lab.run_code("dash.session.image = explorer.sample_photos()[8]")
    expect(dashboard.get_by_role("option", name="Espresso")).to_have_attribute("aria-selected", "true")
    lab.run_code("dash.session.model = 'tf_efficientnet_lite2'")
    expect(dashboard.locator(".vx-model-line")).to_contain_text("tf_efficientnet_lite2.in1k")
    assert lab.page.js_errors == []


def test_weights_that_are_out_of_reach_become_a_sentence_and_random_ones_say_so(lab, dashboard, expect):
    dashboard.locator(".vx-model-line").click()
    dashboard.get_by_label("Search", exact=True).fill("resnet10t")
    dashboard.get_by_role("button", name="Download trained weights and open").click()
    alert = dashboard.get_by_role("alert")
    expect(alert).to_contain_text("not on this computer")
    expect(dashboard.locator(".vx-model-line")).to_contain_text("tf_efficientnet_lite0.in1k")
    dashboard.get_by_role("button", name="Open with random weights").click()
    expect(dashboard.locator(".vx-status")).to_contain_text("random weights")
    expect(dashboard.locator(".vx-note").first).to_contain_text("mean nothing")
    expect(alert).to_have_count(0)
    assert lab.page.js_errors == []


def test_names_that_are_html_stay_text(lab, expect, tmp_path):
    evil = "<img src=x onerror=window.hacked=1>"
    lab.open_cells(
        "import explorer, torch\n"
        f"labels = [{evil!r}, '<script>window.hacked=2</script>']\n"
        "dash = explorer.Dashboard(explorer.create_model('resnet10t', num_classes=2), labels=labels)\n"
        "dash",
    )
    lab.run_all()
    view = lab.page.locator(".vx-dashboard")
    names = view.locator(".vx-predictions .vx-name")
    expect(names).to_have_count(2)
    assert set(names.all_inner_texts()) == {evil, "<script>window.hacked=2</script>"}
    hostile = tmp_path / "<b onclick=alert(1)>cat.jpg"
    hostile.write_bytes(PHOTOS["cat_tabby"].path.read_bytes())
    upload(view, hostile)
    expect(view.locator(".vx-input-note")).to_contain_text("<b onclick=alert(1)>cat.jpg")
    lab.run_code("dash.wait()")
    assert lab.page.evaluate("() => window.hacked === undefined")
    assert lab.page.js_errors == []


def test_the_dark_theme_reaches_every_panel(lab, expect):
    with lab.dark():
        lab.open_cells("import explorer\nexplorer.Dashboard()")
        lab.run_all()
        view = lab.page.locator(".vx-dashboard")
        expect(first_prediction(view)).to_be_visible(timeout=60_000)
        view.locator(".vx-model-line").click()
        selectors = (".vx-predictions .vx-name", ".vx-flow-stop", ".vx-mosaic-title", ".vx-input-zone",
                     ".vx-card", ".vx-model-line")
        for selector in (".vx-dashboard", *selectors):
            ink = ink_of(view.page.locator(selector).first)
            assert min(ink) > 140, (selector, ink)  # light letters on dark
        back = ink_of(view, "backgroundColor")
        assert max(back) < 80, back


def test_a_new_photo_travels_in_little_traffic(lab, expect):
    received = []

    def listen(socket) -> None:
        socket.on("framereceived", lambda data: received.append(len(data)))

    lab.page.on("websocket", listen)
    lab.open_cells("import explorer\ndash = explorer.Dashboard()\ndash")
    lab.run_all()
    view = lab.page.locator(".vx-dashboard")
    expect(first_prediction(view)).to_be_visible(timeout=60_000)
    lab.run_code("dash.wait()")
    received.clear()
    view.locator(".vx-gallery").get_by_role("option", name="Espresso").click()
    expect(first_prediction(view)).to_have_text("espresso")
    lab.run_code("dash.wait()")
    # one stage of 16 x 112 x 112 bytes, the crop as a JPEG, bars and steps: no base64, no whole network
    assert sum(received) < 600_000, sum(received)


def test_the_snapshot_is_plain_html_and_png(lab, dashboard, expect):
    lab.open_cells("import explorer\ndash = explorer.Dashboard()\ndash.wait()\ndash.snapshot()",
                   name="snap.ipynb")
    lab.run_all()
    saved = lab.save()
    html = "".join(saved["cells"][0]["outputs"][-1]["data"]["text/html"])
    assert "data:image/png;base64," in html and "<script" not in html
    assert re.search(r"Walker hound|beagle", html)


@pytest.fixture(scope="module")
def plain(one_lab):
    """A dashboard with all as it comes, in a page that first is narrow."""
    one_lab.page.set_viewport_size({"width": 700, "height": 900})
    one_lab.open_cells("import explorer\ndash = explorer.Dashboard()\ndash")
    one_lab.run_all()
    return one_lab


@pytest.mark.parametrize("width", [700, 1280, 1400])
def test_nothing_is_cut_off_in_a_narrow_or_wide_window(plain, expect, width):
    dashboard = plain.page.locator(".vx-dashboard")
    expect(first_prediction(dashboard)).to_be_visible(timeout=60_000)
    plain.look(width, dark=False)
    plain.page.wait_for_function("""() => {
        const el = document.querySelector('.vx-dashboard');
        return el.scrollWidth <= el.clientWidth + 1;
    }""")
    outside = dashboard.evaluate("""el => {
        const right = el.getBoundingClientRect().right;
        return [...el.querySelectorAll('button, select, input, canvas, img, summary')]
          // rows that scroll by themselves hold more than they show
          .filter(n => n.offsetParent && !n.closest('.vx-mosaic-box, .vx-gallery, .vx-flow-row'))
          .filter(n => n.getBoundingClientRect().right > right + 1)
          .map(n => n.outerHTML.slice(0, 80));
    }""")
    assert outside == []
    short = dashboard.locator(".widget-tab .lm-TabBar-tabLabel").evaluate_all(
        "all => all.filter(node => node.scrollWidth > node.clientWidth + 1).map(node => node.innerText)")
    assert short == []
