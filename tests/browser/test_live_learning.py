"""The live page's camera and classes of one's own, from a file in Chromium: collect, learn, tell apart, take home."""

from __future__ import annotations

import re
import zipfile

import pytest

from tests.inspection.small_models import RedNet

HOSTILE = "</script><img src=x onerror=window.hacked=1>"
# A camera that shows what the test wants: red or blue, with a white square somewhere.
CAMERA = """
  const canvas = Object.assign(document.createElement('canvas'), { width: 320, height: 240 });
  const pen = canvas.getContext('2d');
  const pictures = { red: 'rgb(250,10,10)', blue: 'rgb(10,10,250)' };
  let shown = ['red', 0];
  const draw = () => {
    const [colour, place] = shown;
    pen.fillStyle = pictures[colour];
    pen.fillRect(0, 0, 320, 240);
    pen.fillStyle = 'white';
    pen.fillRect(60 + 60 * place, 40 + 30 * place, 70, 70);
  };
  window.turnTo = (colour, place) => { shown = [colour, place]; draw(); };
  draw();
  setInterval(draw, 50);
  navigator.mediaDevices.getUserMedia = async () => { window.stream = canvas.captureStream(20); return window.stream; };
"""
LIT = "() => window.stream.getTracks().filter((one) => one.readyState === 'live').length"
BLOCK = re.compile(r"<script[^>]*>.*?</script>", re.DOTALL)


@pytest.fixture(scope="module")
def page_file(tmp_path_factory):
    from PIL import Image

    import explorer

    photo = Image.new("RGB", (80, 64), (250, 10, 10))
    return explorer.live_page(RedNet(), tmp_path_factory.mktemp("live") / "red.html", photos=[photo])


def opened(page, file, expect):
    page.goto(file.as_uri())
    expect(page.locator("body")).to_have_attribute("data-ready", "true")


def start_camera(page, expect):
    page.get_by_role("button", name="Start the camera").click()
    expect(page.locator(".vx-cam")).to_have_attribute("data-state", "live")


def turned_to(page, expect, colour, place, answer):
    """The camera shows that, and the page has answered it so."""
    page.evaluate("(given) => window.turnTo(...given)", [colour, place])
    expect(page.locator(".vx-answer").first).to_contain_text(answer)


def collected(page, expect, number, more):
    """So many photos more for that class, by its digit."""
    photos = page.locator(".vx-class").nth(number - 1).locator(".vx-class-thumbs li")
    before = photos.count()
    page.keyboard.down(str(number))
    expect(photos.nth(before + more - 1)).to_be_visible()
    page.keyboard.up(str(number))


def test_two_classes_are_collected_learnt_told_apart_and_taken_home(page, page_file, expect, tmp_path):
    asked = []
    page.on("request", lambda one: asked.append(one.url) if not one.url.startswith(("blob:", "data:")) else None)
    page.add_init_script(CAMERA)
    opened(page, page_file, expect)
    name = page.get_by_label("Name of a new class")
    for wanted in (HOSTILE, "sea"):
        name.fill(wanted)
        name.press("Enter")
    start_camera(page, expect)
    name.blur()                                              # digits typed into a field are a name
    turned_to(page, expect, "red", 0, "red")
    collected(page, expect, 1, 3)
    turned_to(page, expect, "blue", 0, "blue")
    collected(page, expect, 2, 3)
    expect(page.get_by_label("the nearest photos (kNN)")).to_be_checked()   # they answer at once
    page.get_by_role("button", name="Learn", exact=True).click()
    score = page.locator(".vx-teach-score")
    expect(score).to_contain_text("have one burst only")
    turned_to(page, expect, "red", 2, HOSTILE)
    collected(page, expect, 1, 3)
    turned_to(page, expect, "blue", 2, "sea")
    collected(page, expect, 2, 3)
    page.get_by_role("button", name="Learn again").click()
    expect(score).to_contain_text(re.compile(r"Right on (\d+) of \1 photos \(100 %\), each judged by a head"))
    expect(page.locator(".vx-mixed td[data-kind=wrong]")).to_have_count(0)
    turned_to(page, expect, "red", 1, HOSTILE)
    expect(page.get_by_role("heading", name=f"Where “{HOSTILE}”")).to_be_visible()   # and its heat map
    turned_to(page, expect, "blue", 1, "sea")

    with page.expect_download() as kept:
        page.get_by_role("button", name="Save a copy of this page").click()
    kept.value.save_as(tmp_path / "copy.html")
    counts = page.locator(".vx-class-count").all_inner_texts()
    with page.expect_download() as packed:
        page.get_by_role("button", name="Save the photos (.zip)").click()
    packed.value.save_as(tmp_path / "classes.zip")
    with zipfile.ZipFile(tmp_path / "classes.zip") as photos:
        assert photos.testzip() is None and all(re.fullmatch(r"[^<>/]+/burst-\d+-\d+\.jpg", one) for one in photos.namelist())

    before, after = (BLOCK.findall(file.read_text(encoding="utf-8")) for file in (page_file, tmp_path / "copy.html"))
    assert [one for one, other in zip(before, after, strict=True) if one != other] \
        == ['<script type="application/json" id="vx-learnt">null</script>']
    page.get_by_role("button", name="Stop the camera").click()
    assert page.evaluate(LIT) == 0

    opened(page, tmp_path / "copy.html", expect)
    expect(page.get_by_label("the layer that was learnt")).to_be_checked()
    assert page.get_by_label("Name of class 1").input_value() == HOSTILE
    assert page.locator(".vx-class-count").all_inner_texts() == counts
    expect(page.locator(".vx-answer").first).to_contain_text(HOSTILE)       # of the page's own photo, which is red
    start_camera(page, expect)
    turned_to(page, expect, "blue", 1, "sea")
    turned_to(page, expect, "red", 1, HOSTILE)
    page.get_by_label("the model’s own classes").check()
    expect(page.locator(".vx-answer").first).to_contain_text("red")
    assert page.evaluate("window.hacked") is None and page.js_errors == []
    assert asked == [page_file.as_uri(), (tmp_path / "copy.html").as_uri()]


def test_the_camera_follows_freezes_and_is_off_when_nobody_looks(page, page_file, expect):
    opened(page, page_file, expect)
    camera = page.locator(".vx-cam")
    page.evaluate("""() => {
        const real = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
        navigator.mediaDevices.getUserMedia = async (wanted) => {
            if (window.denied) throw new DOMException('no', 'NotAllowedError');
            return window.stream = await real(wanted);
        };
        window.denied = true;
    }""")
    page.get_by_role("button", name="Start the camera").click()
    expect(camera).to_contain_text("This page may not use the camera.")
    page.evaluate("() => { window.denied = false; }")
    start_camera(page, expect)
    expect(page.get_by_role("button", name="Freeze")).to_be_focused()       # the keyboard stays with the camera
    page.wait_for_function("() => Number(document.querySelector('.vx-cam').dataset.frames) > 2")
    expect(camera).to_contain_text("ms a pass")
    page.get_by_role("button", name="Freeze").click()
    expect(camera).to_have_attribute("data-state", "off")
    expect(page.locator(".vx-flow-photo")).to_contain_text("a frame of the camera")
    assert page.evaluate(LIT) == 0
    start_camera(page, expect)
    page.evaluate("""() => {
        Object.defineProperty(document, 'hidden', { value: true, configurable: true });
        document.dispatchEvent(new Event('visibilitychange'));
    }""")
    expect(camera).to_contain_text("the page was out of sight")
    assert page.evaluate(LIT) == 0 and page.js_errors == []
