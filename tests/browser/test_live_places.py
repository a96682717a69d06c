"""The live page draws boxes and masks, and two models side by side, from a file in Chromium."""

from __future__ import annotations

import base64
import json
import re
import struct

import pytest

TOLD = "(index) => explorerEngine.facts.photos[index].expected[0]"
CHECKED = """async () => {
  const { passed, same_top, rows } = await explorerEngine.check();
  return [passed, same_top, rows.length];
}"""
EMPTY = '<script type="application/json" id="vx-learnt">null</script>'
# The second model is never unpacked.
SLOW = """Object.defineProperty(globalThis, "explorerEngine", { set(engine) {
  const { run } = engine;
  engine.run = (index, ...more) => (index ? new Promise(() => {}) : run(index, ...more));
} });"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("live")


def opened(page, file, expect):
    """The page in the browser; gives what it asked for that is not in itself."""
    asked = []
    page.on("request", lambda one: None if one.url.startswith(("blob:", "data:")) else asked.append(one.url))
    page.goto(file.as_uri())
    expect(page.locator("body")).to_have_attribute("data-ready", "true")
    return asked


def test_the_boxes_are_explorers_and_another_threshold_needs_no_pass(page, folder, expect):
    import explorer

    name, photos = "retinanet_lite0.bccd", explorer.sample_photos("bccd")[:2]
    asked = opened(page, explorer.live_page(name, folder / "boxes.html", photos=photos, maps="p3"), expect)
    wanted = explorer.detect(name, photos[0])
    area = page.locator("#vx-area-places")
    expect(area.locator(".vx-view")).to_have_attribute("data-boxes", str(len(wanted)))
    expect(area.locator(".vx-live-words")).to_have_text(wanted.in_words)
    assert page.evaluate(CHECKED) == [True, 2, 2]
    told = page.evaluate(TOLD, 0)["boxes"]
    for box, own in zip(told, wanted.boxes.tolist(), strict=True):
        assert box[:4] == pytest.approx(own, abs=0.01)
    fewer = wanted.at(score_threshold=0.59)
    area.get_by_label("Score above").fill("0.59")
    expect(area.locator(".vx-view")).to_have_attribute("data-boxes", str(len(fewer)))
    expect(area.locator(".vx-live-words")).to_have_text(fewer.in_words)
    assert len(asked) == 1  # the file itself


def test_the_mask_is_explorers_and_the_class_under_the_pointer_is_named(page, folder, expect):
    import explorer

    name, photos = "unet_lite0.nuclei", explorer.sample_photos("nuclei")[2:]
    opened(page, explorer.live_page(name, folder / "masks.html", photos=photos, maps="up4"), expect)
    page.locator(".vx-live-photo").nth(1).click()
    wanted = explorer.segment(name, photos[1])  # 320 x 256, as the page's frame
    area = page.locator("#vx-area-places")
    expect(area.locator(".vx-live-words")).to_have_text(wanted.in_words)
    expect(area.locator(".vx-view-legend")).to_contain_text("nucleus")
    assert page.evaluate(CHECKED) == [True, 2, 2]
    area.locator(".vx-view-stage").hover(position={"x": 5, "y": 5})
    expect(area.locator(".vx-view-reading")).to_contain_text(wanted.labels[int(wanted.mask[2, 2])])


def test_two_models_stand_side_by_side_and_change_places(page, folder, expect):
    import explorer
    from tests.inspection.small_models import RedNet

    pair = explorer.Ensemble({"one": RedNet(), "other": RedNet()})
    photo = explorer.sample_photos()[0]
    opened(page, explorer.live_page([RedNet(), pair], folder / "two.html", photos=[photo]), expect)
    beside = page.locator("#vx-area-beside")
    expect(beside.get_by_role("status")).to_contain_text("Both say")
    expect(beside.locator(".vx-flow")).to_be_visible()
    expect(beside.get_by_text("What the members say")).to_be_hidden()
    beside.get_by_role("button", name="Put the second model in front").click()
    expect(beside.get_by_text("What the members say")).to_be_visible()
    expect(beside.locator("[aria-label='Answers of the member other'] .vx-answer")).to_have_count(2)
    assert page.evaluate(CHECKED) == [True, 2, 2]


def test_a_page_with_much_that_was_learnt_on_its_second_model_comes_back(page, folder, expect):
    from PIL import Image

    import explorer
    from tests.inspection.small_models import RedNet

    photo = explorer.sample_photos()[0]
    file = explorer.live_page([RedNet(), RedNet()], folder / "twins.html", photos=[photo])
    names, floats = ["W" * 79 + "a", "W" * 79 + "b"], base64.b64encode(struct.pack("<2f", 1, 2)).decode()
    one = {"name": "x", "greys": "", "jpeg": "", "thumb": "", "embeddings": [["0", floats], ["1", floats]]}
    photos = [{**one, "burst": burst} for burst in range(499)]
    classes = [{"name": names[0], "photos": photos}, {"name": names[1], "photos": photos[:1]}]
    head = {"labels": names, "weights": [floats, floats], "bias": floats, "model": 1, "said": "",
            "table": None}
    text = file.read_text(encoding="utf-8")
    assert text.count(EMPTY) == 1
    learnt = json.dumps({"format": 1, "classes": classes, "head": head})
    file.write_text(text.replace(EMPTY, EMPTY.replace("null", learnt)), encoding="utf-8")
    page.add_init_script(SLOW)
    opened(page, file, expect)
    beside = page.locator("#vx-area-beside")
    expect(beside.get_by_role("status")).to_have_text(re.compile("is being unpacked"))
    expect(page.locator("#vx-area-heat h2")).to_contain_text("WWW")
    page.set_viewport_size({"width": 390, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    pictures = [folder / f"{number}.png" for number in range(3)]
    for picture in pictures:
        Image.new("RGB", (8, 8), "red").save(picture)
    page.locator(".vx-class input[type=file]").first.set_input_files(pictures)
    expect(page.locator(".vx-collect-note")).to_have_text(re.compile(
        "^1 photo came to .* 2 more were left: 500 photos of a class are the most that this page takes"))
    beside.get_by_role("button", name="Put the second model in front").click()
    expect(page.get_by_label("the layer that was learnt")).to_be_checked()
