"""The live page's views, from a file in Chromium: answers, maps and heat as in the notebook."""

from __future__ import annotations

import io
import re

import numpy as np
import pytest
import torch
from PIL import Image

from tests.browser.conftest import fresh_page
from tests.inspection.small_models import tiny

HOSTILE = "</script><b onmouseover=alert(1)>tabby"
LABELS = (HOSTILE, "beagle", "school bus", "daisy", "kind 4", "kind 5", "kind 6", "kind 7")
RULES = {"runOnly": ["wcag2a", "wcag2aa"], "resultTypes": ["violations", "incomplete", "passes"]}
# The brightness of the heat map's pixels, row by row.
HEAT = """() => {
  const heat = document.querySelectorAll('.vx-live-layer')[1];
  const { data } = heat.getContext('2d').getImageData(0, 0, heat.width, heat.height);
  const sum = (_, i) => data[4 * i] + data[4 * i + 1] + data[4 * i + 2];
  return { wide: heat.width, high: heat.height, sums: Array.from({ length: data.length / 4 }, sum) };
}"""


def photo(name: str) -> Image.Image:
    import explorer

    found = next(one for one in explorer.sample_photos() if name in one.name)
    picture = Image.open(found).convert("RGB")
    picture.thumbnail((300, 300))
    return picture


@pytest.fixture(scope="module")
def net():
    torch.manual_seed(5)
    model = tiny("resnet")
    model.reset_classifier(len(LABELS))
    torch.nn.init.normal_(model.get_submodule("fc").weight, std=0.3)
    model.config = model.config.with_(labels=LABELS, input_size=(3, 96, 96))
    return model


@pytest.fixture(scope="module")
def page_file(net, tmp_path_factory):
    import explorer

    pictures = [photo("beagle"), photo("school_bus"), photo("daisy")]
    file = tmp_path_factory.mktemp("live") / "net.html"
    return explorer.live_page(net, file, photos=pictures, precision="float32")


@pytest.fixture(scope="module")
def live(browser, page_file):
    """The page, opened once for all tests of this file that change little."""
    with fresh_page(browser) as page:
        page.asked = []
        page.on("request", lambda one: page.asked.append(one.url))
        page.goto(page_file.as_uri())
        page.locator(".vx-flow-stop").first.wait_for()
        yield page


@pytest.fixture
def there(live, page_file):
    """What torch says of the first photo, which is in front."""
    live.locator(".vx-live-photo:not([data-own])").first.click()
    live.locator("#vx-area-heat h2", has_text="%").wait_for()
    return Image.open(io.BytesIO(first_photo(page_file))).convert("RGB")


def first_photo(page_file) -> bytes:
    import base64

    letters = re.search(r'id="vx-photo-0"[^>]*>([^<]*)<', page_file.read_text(encoding="utf-8"))[1]
    return base64.b64decode(letters)


def rows(live) -> list[list[str]]:
    return [one.inner_text().split("\n") for one in live.locator(".vx-answers").first.locator("li").all()]


def test_answers_maps_and_heat_are_those_of_the_notebook(live, net, there, expect):
    import explorer
    from explorer.display.draw import strength

    look = explorer.look(net, there, topk=5)
    names = live.locator(".vx-answers").first.locator(".vx-name")
    expect(names).to_have_text([one.label for one in look.predictions])
    shown = [float(value.removesuffix(" %")) for _, value in rows(live)]
    assert shown == pytest.approx([100 * one.probability for one in look.predictions], abs=0.11)
    aloud = live.locator("#vx-area-answers [role=status]")  # for whoever sees no list
    expect(aloud).to_have_text(", ".join(rows(live)[0]))

    name, maps = list(look.stages.items())[-1]
    strongest = np.argsort(-strength(maps.numpy()), kind="stable")[:4]
    pictures = live.locator(f'[data-stop="{name}"] img')
    assert [one.get_attribute("title") for one in pictures.all()] == [f"Channel {one}" for one in strongest]
    live.locator(".vx-live-sheet").hover(position={"x": 2, "y": 2})
    value = maps[strongest[0], 0, 0].item()
    told = live.locator(".vx-live-reading").inner_text()
    said = re.search(r"map (\d+): value (\S+) at row 0, column 0", told)
    assert int(said[1]) == strongest[0] and float(said[2]) == pytest.approx(value, rel=0.01, abs=1e-3)

    heat = live.evaluate(HEAT)
    expected = explorer.explain(net, there).picture().resize((heat["wide"], heat["high"]))
    brightness = np.asarray(expected, float).sum(axis=2).ravel()
    assert np.corrcoef(brightness, heat["sums"])[0, 1] > 0.99


def test_an_answer_or_any_other_class_has_its_heat_map_on_a_click(live, there, expect):
    title, before = live.locator("#vx-area-heat h2"), live.evaluate(HEAT)["sums"]
    second = rows(live)[1][0]
    live.locator(".vx-answers").first.locator("button").nth(1).click()
    expect(title).to_contain_text(f"Where “{second}” (")
    assert live.evaluate(HEAT)["sums"] != before
    field = live.get_by_label("Find a class")
    field.fill("TABBY")
    expect(live.locator(".vx-answers").nth(1).locator(".vx-name")).to_have_text([HOSTILE])
    field.press("Enter")
    expect(title).to_contain_text(f"Where “{HOSTILE}” (")
    field.fill("no such class")
    expect(live.get_by_text("No class has this in its name.")).to_be_visible()
    field.fill("")
    live.get_by_role("button", name="Heat map for the likeliest answer again").click()
    expect(title).to_contain_text(rows(live)[0][0])


def test_every_map_of_a_stage_is_there_drawn_where_it_is_seen_and_walked_by_keys(live, there, expect):
    area, sheet = live.locator("#vx-area-stage"), live.locator(".vx-live-sheet")
    live.locator(".vx-flow-stop").last.focus()
    live.keyboard.press("Enter")
    expect(area).to_contain_text("512 maps")
    drawn, total = map(int, area.get_attribute("data-maps").split(" of "))
    assert total == 512 and 0 < drawn < 512
    sheet.focus()
    option = sheet.get_by_role("option")
    live.keyboard.press("End")
    expect(option).to_have_attribute("aria-posinset", "512")
    live.keyboard.press("Enter")
    expect(area.locator("h3")).to_have_text(re.compile(r"Map \d+"))
    wanted = area.locator("h3").inner_text()
    expect(option).to_have_attribute("aria-label", re.compile(rf"{wanted.lower()}: range .* to .*; strength"))
    live.locator(".vx-live-big").hover()
    expect(live.locator(".vx-live-side p")).to_contain_text(re.compile(r"value \S+ at row \d+, column \d+"))
    live.locator(".vx-live-big").focus()  # without a mouse: from cell to cell, and no further than the last
    for _ in range(3):
        live.keyboard.press("ArrowRight")
    expect(live.locator(".vx-live-side p")).to_have_text(re.compile(r"value \S+ at row 1, column 2"))
    sheet.focus()
    live.keyboard.press("Escape")
    expect(live.locator(".vx-live-side")).to_be_hidden()
    area.get_by_label("Order").select_option("channel")
    live.keyboard.press("Tab")
    sheet.focus()
    live.keyboard.press("Home")
    expect(option).to_have_attribute("aria-label", re.compile("map 0: "))
    area.get_by_label("Colours").select_option("grey")
    area.get_by_label("Stage").select_option(index=0)
    expect(live.locator(".vx-flow-stop").first).to_have_attribute("aria-pressed", "true")


def test_the_part_of_the_photo_that_a_cell_reads_is_framed(live, there, expect):
    live.locator("#vx-area-stage").get_by_label("Stage").select_option(index=1)
    frame = live.locator(".vx-live-frame")
    live.locator(".vx-live-sheet").hover(position={"x": 30, "y": 30})
    expect(frame).to_be_visible()
    inside, around = frame.bounding_box(), live.locator(".vx-live-photo-stage").bounding_box()
    assert 0 < inside["width"] < around["width"] / 2
    live.locator("h1").hover()
    expect(frame).to_be_hidden()


def test_on_a_phone_a_touch_shows_what_a_cell_reads_beside_its_map(browser, page_file, expect):
    context = browser.new_context(viewport={"width": 390, "height": 800}, has_touch=True, is_mobile=True)
    page = context.new_page()
    page.goto(page_file.as_uri())
    expect(page.locator(".vx-live-sheet")).to_be_visible()
    page.locator("#vx-area-stage").get_by_label("Stage").select_option(index=1)
    page.locator(".vx-live-sheet").tap(position={"x": 12, "y": 12})
    frame = page.locator(".vx-live-where-frame")
    expect(frame).to_be_visible()
    whole, first = page.locator(".vx-live-where").bounding_box(), frame.bounding_box()
    assert 0 < first["width"] < whole["width"] / 2 and whole["width"] > 100
    page.locator(".vx-live-big").tap(position={"x": 250, "y": 250})
    expect(page.locator(".vx-live-side p")).to_contain_text("value")
    assert frame.bounding_box()["x"] > first["x"]
    context.close()


def test_a_page_that_the_browser_itself_has_saved_opens_as_it_was(live, there, page, tmp_path, expect):
    (tmp_path / "saved.html").write_text(live.content(), encoding="utf-8")  # with all that is drawn
    page.goto((tmp_path / "saved.html").as_uri())
    expect(page.locator("body")).to_have_attribute("data-ready", "true")
    expect(page.locator("#vx-live-opening")).to_be_hidden()
    expect(page.locator(".vx-live-photo")).to_have_count(3)
    expect(page.locator(".vx-answers[aria-label^=Predictions] .vx-answer")).to_have_count(5)
    expect(page.locator(".vx-flow")).to_have_count(1)
    expect(page.locator("h1")).to_have_count(1)


def test_a_network_without_classes_shows_its_maps_and_takes_those_of_the_reader(page, tmp_path, expect):
    import explorer

    model = tiny("resnet")
    model.reset_classifier(0)
    model.config = model.config.without_head().with_(input_size=(3, 96, 96))
    page.goto(explorer.live_page(model, tmp_path / "maps.html", photos=[photo("daisy")]).as_uri())
    expect(page.locator("#vx-area-stage")).to_contain_text("512 maps")
    expect(page.locator("#vx-area-heat h2")).to_have_text("The photo")
    expect(page.locator("#vx-live-say")).to_be_empty()
    expect(page.get_by_role("button", name="Check in this browser")).to_be_hidden()  # it answers nothing
    assert page.evaluate("explorerEngine.check().then(({ rows }) => rows)") == []
    for name in ("cup", "hand"):
        page.get_by_label("Name of a new class").fill(name)
        page.get_by_role("button", name="Add a class").click()
        page.get_by_role("button", name=f"Add the photo in front to {name}").click()
    expect(page.locator(".vx-answer")).to_have_count(2)
    assert page.js_errors == []


def test_photos_of_ones_own_are_taken_and_what_is_none_is_told_in_a_sentence(live, expect):
    field, told = live.locator("#vx-area-photos input[type=file]"), live.locator("#vx-live-say")

    def file(name, content, kind="image/jpeg"):
        return {"name": name, "mimeType": kind, "buffer": content}

    field.set_input_files([file("<img src=x>.png", b""), file("notes.txt", b"no picture", "text/plain")])
    expect(told).to_have_text("“<img src=x>.png” is empty: give a JPEG, PNG or WebP. “notes.txt” is no "
                              "picture that this browser can open: give a JPEG, PNG or WebP.")
    large, content = Image.new("RGB", (3000, 90), "teal"), io.BytesIO()
    turned = large.getexif()
    turned[0x0112] = 6  # a phone that was held upright
    large.save(content, "JPEG", exif=turned)
    field.set_input_files([file("<b>tall</b>.jpg", content.getvalue())])
    expect(live.locator(".vx-flow-photo figcaption")).to_contain_text("<b>tall</b>.jpg")
    expect(told).to_be_empty()
    smaller = "made smaller first: 61 × 2048 pixels of 90 × 3000."
    expect(live.locator(".vx-live-credit")).to_contain_text(smaller)
    size = "document.querySelector('.vx-live-layer')"
    assert live.evaluate(f"{size}.height") == 1024 and live.evaluate(f"{size}.width") in (30, 31)
    expect(live.locator(".vx-live-photo").first).to_have_attribute("aria-pressed", "true")
    live.locator(".vx-live-photo").first.focus()
    live.keyboard.press("ArrowRight")
    live.keyboard.press("Enter")
    expect(live.locator(".vx-live-credit")).not_to_contain_text("your own")
    content = io.BytesIO()
    Image.new("RGB", (8, 8), "teal").save(content, "PNG")
    names = ["what a browser opens.heic", *(f"{number}.png" for number in range(13))]
    field.set_input_files([file(name, content.getvalue(), "image/png") for name in names])
    expect(told).to_have_text("Of 14 files the first 12 were taken: more do not fit here.")
    live.evaluate("""() => {
        const { run } = explorerEngine, once = async () => {
            explorerEngine.run = run;
            throw new Error("too thin");
        };
        explorerEngine.run = once;
    }""")
    live.locator(".vx-live-photo").nth(1).click()
    expect(told).to_have_text("too thin")
    live.locator(".vx-live-photo").nth(2).click()
    expect(told).to_be_empty()  # it was about the other photo


def test_the_page_is_checked_once_more_in_this_browser_and_asks_no_network(live, expect):
    live.get_by_role("button", name="Check in this browser").click()
    told = "✓ In this browser: 3 of 3 photos the same answer as torch"
    expect(live.locator(".vx-live-check")).to_contain_text(told)
    assert [url for url in live.asked if not url.startswith(("blob:", "data:"))] == live.asked[:1]
    assert live.js_errors == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_is_readable_at_every_width_and_for_a_screen_reader(live, there, expect, scheme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    live.emulate_media(color_scheme=scheme)
    expect(live.locator("body")).to_have_attribute("data-jp-theme-light", str(scheme == "light").lower())
    for width in (400, 700, 1920, 1400):
        live.set_viewport_size({"width": width, "height": 900})
        assert live.evaluate("document.documentElement.scrollWidth") == width
    found = axe.run(live, None, RULES).response
    wrong = [f"{rule['id']}: {node['html'][:160]}: {node['failureSummary']}"
             for rule in (*found["violations"], *found["incomplete"]) for node in rule["nodes"]]
    assert wrong == [] and len(found["passes"]) > 15
    assert live.evaluate("[...document.querySelectorAll('*')].every((one) => one.tabIndex <= 0)")


def test_a_browser_that_cannot_is_told_in_a_sentence(page, page_file, expect):
    page.add_init_script("delete window.DecompressionStream")
    page.goto(page_file.as_uri())
    expect(page.get_by_role("alert")).to_contain_text("This browser can't unpack what the page carries")
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    assert page.js_errors == []


def test_a_page_without_scripts_says_so(browser, page_file):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(page_file.as_uri())
    words = page.locator("noscript p")  # playwright looks for no text in there
    assert words.is_visible() and "Allow JavaScript for this file" in words.inner_text()
    context.close()
