"""The live page's camera and classes of one's own in Chromium: collect, learn, tell apart, take home."""

from __future__ import annotations

import re
import zipfile

import pytest

from tests.browser.server import CHROMIUM_ARGS, find_chromium
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
  navigator.mediaDevices.getUserMedia = async () => (window.stream = canvas.captureStream(20));
"""
LIT = "() => window.stream.getTracks().filter((one) => one.readyState === 'live').length"
RULES = {"runOnly": ["wcag2a", "wcag2aa"], "resultTypes": ["violations", "incomplete", "passes"]}
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


# Lets a key go in the moment in which so many photos are there: a class that got more would be the likelier.
LET_GO = """([place, count, key]) => new MutationObserver((_, seen) => {
  const photos = document.querySelectorAll('.vx-class')[place].querySelectorAll('.vx-class-thumbs > *');
  if (photos.length < count) return;
  seen.disconnect();
  document.body.dispatchEvent(new KeyboardEvent('keyup', { key, code: 'Digit' + key, bubbles: true }));
}).observe(document.body, { childList: true, subtree: true })"""


def collected(page, expect, number, more):
    """So many photos more for that class, by its digit."""
    photos = page.locator(".vx-class").nth(number - 1).locator(".vx-class-thumbs > *")
    before = photos.count()
    page.evaluate(LET_GO, [number - 1, before + more, str(number)])
    page.keyboard.down(str(number))
    expect(photos.nth(before + more - 1)).to_be_visible()
    page.keyboard.up(str(number))


def test_two_classes_are_collected_learnt_told_apart_and_taken_home(page, page_file, expect, tmp_path):
    asked = []
    page.on("request", lambda one: asked.append(one.url))
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
        assert photos.testzip() is None
        assert all(re.fullmatch(r"[^<>/]+/burst-\d+-\d+\.jpg", one) for one in photos.namelist())

    files = page_file, tmp_path / "copy.html"
    before, after = (BLOCK.findall(file.read_text(encoding="utf-8")) for file in files)
    assert [one for one, other in zip(before, after, strict=True) if one != other] \
        == ['<script type="application/json" id="vx-learnt">null</script>']
    page.get_by_role("button", name="Stop the camera").click()
    assert page.evaluate(LIT) == 0

    opened(page, tmp_path / "copy.html", expect)
    expect(page.get_by_label("the layer that was learnt")).to_be_checked()
    assert page.get_by_label("Name of class 1").input_value() == HOSTILE
    assert page.locator(".vx-class-count").all_inner_texts() == counts
    expect(page.locator(".vx-answer").first).to_contain_text(HOSTILE)  # of the page's own photo, red
    start_camera(page, expect)
    turned_to(page, expect, "blue", 1, "sea")
    turned_to(page, expect, "red", 1, HOSTILE)
    page.get_by_label("the model’s own classes").check()
    expect(page.locator(".vx-answer").first).to_contain_text("red")
    assert page.evaluate("window.hacked") is None and page.js_errors == []
    fetched = [one for one in asked if not one.startswith(("blob:", "data:"))]
    assert fetched == [file.as_uri() for file in files]


def test_a_camera_that_is_asked_for_stays_while_the_photo_in_front_is_answered_again(page, page_file, expect):
    """What is learnt in a copy asks about the page's photo once more, perhaps behind a quick click."""
    page.add_init_script(CAMERA + """
      const asked = navigator.mediaDevices.getUserMedia;
      const allowed = new Promise((done) => { window.allow = done; });
      navigator.mediaDevices.getUserMedia = async () => { await allowed; return asked(); };
    """)
    opened(page, page_file, expect)
    page.get_by_role("button", name="Start the camera").click()
    page.locator(".vx-answer").last.click()
    expect(page.locator(".vx-answer").last).to_have_attribute("aria-pressed", "true")
    page.evaluate("window.allow()")
    expect(page.locator(".vx-cam")).to_have_attribute("data-state", "live")


@pytest.fixture
def filmed(browser, tmp_path):
    """A page whose camera plays a film of ours: red, and nothing else."""
    from tests.browser.conftest import fresh_page

    film = tmp_path / "red.y4m"  # YUV4MPEG2: luma, then two chromas of half the size
    planes = (81, 320 * 240), (90, 160 * 120), (240, 160 * 120)
    picture = b"".join(bytes([value]) * count for value, count in planes)
    film.write_bytes(b"YUV4MPEG2 W320 H240 F20:1 Ip A1:1 C420mpeg2\n" + (b"FRAME\n" + picture) * 4)
    args = [*CHROMIUM_ARGS, f"--use-file-for-fake-video-capture={film}"]
    other = browser.browser_type.launch(executable_path=find_chromium(), headless=True, args=args)
    with fresh_page(other) as page:
        yield page
    other.close()


def test_the_camera_answers_freezes_and_is_off_when_nobody_looks(filmed, page_file, expect):
    page = filmed
    opened(page, page_file, expect)
    camera = page.locator(".vx-cam")
    page.evaluate("""() => {
        window.denied = true;
        const real = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
        navigator.mediaDevices.getUserMedia = async (wanted) => {
            if (window.denied) throw new DOMException('no', 'NotAllowedError');
            return window.stream = await real(wanted);
        };
    }""")
    page.get_by_role("button", name="Start the camera").click()
    expect(camera).to_contain_text("This page may not use the camera.")
    page.evaluate("() => { window.denied = false; }")
    start_camera(page, expect)
    expect(page.get_by_role("button", name="Freeze")).to_be_focused()  # the keyboard stays here
    page.wait_for_function("() => Number(document.querySelector('.vx-cam').dataset.frames) > 2")
    expect(camera).to_contain_text("ms a pass")
    expect(page.locator(".vx-answer").first).to_contain_text("red")
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


def test_photos_come_from_files_and_a_zip_and_what_was_removed_comes_back(page, page_file, expect, tmp_path):
    def picture(name, colour):
        from PIL import Image

        Image.new("RGB", (70, 90), colour).save(tmp_path / name)
        return tmp_path / name

    (tmp_path / "broken.png").write_bytes(b"no picture")
    blue, dark = picture("a.png", (10, 10, 250)), picture("b.jpg", (10, 10, 120))
    opened(page, page_file, expect)
    note, counts = page.locator(".vx-collect-note"), page.locator(".vx-class-count")
    page.get_by_label("Name of a new class").fill("blue")
    page.get_by_role("button", name="Add a class").click()
    page.get_by_role("button", name="Add a class").click()              # a name of its own
    expect(page.get_by_label("Name of class 2")).to_have_value("class 2")
    card = page.locator(".vx-class").first
    card.locator("input[type=file]").set_input_files([blue, tmp_path / "broken.png", dark])
    expect(note).to_contain_text("2 photos came to “blue”. “broken.png” is no picture")
    page.get_by_role("button", name="Add the photo in front to class 2").click()
    expect(page.locator(".vx-answer").first).to_contain_text("class 2")  # nearest: itself
    page.get_by_label("Name of class 2").fill("fire")
    page.get_by_label("Name of class 2").press("Enter")
    expect(page.locator(".vx-answer").first).to_contain_text("fire")
    photo = card.locator(".vx-class-thumbs > *").first
    photo.focus()
    photo.press("ArrowRight")
    expect(page.get_by_role("button", name="Remove photo 2 of blue")).to_be_focused()
    page.keyboard.press("Delete")
    expect(counts.first).to_have_text("1 photo")
    page.get_by_role("button", name="Undo").click()
    expect(counts.first).to_have_text("2 photos")
    page.get_by_role("button", name="Delete the class fire").click()
    expect(page.locator(".vx-class")).to_have_count(1)
    expect(page.locator(".vx-answer").first).to_contain_text("red")      # the model's own class
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_label("Name of class 2")).to_have_value("fire")
    drop = """(card) => {
        const data = new DataTransfer();
        data.items.add(new File(['no picture'], 'notes.png', { type: 'image/png' }));
        card.dispatchEvent(new DragEvent('drop', { dataTransfer: data, bubbles: true, cancelable: true }));
    }"""
    card.evaluate(drop)
    expect(note).to_contain_text("“notes.png” is no picture")
    with zipfile.ZipFile(tmp_path / "more.zip", "w", zipfile.ZIP_DEFLATED) as packed:
        packed.write(dark, "mine/blue/burst-4-1.jpg")
        packed.write(blue, "mine/<b>new/x.png")
    page.locator(".vx-saving input[type=file]").set_input_files(tmp_path / "more.zip")
    expect(page.get_by_label("Name of class 3")).to_have_value("<b>new")
    expect(page.locator(".vx-saving-note")).to_contain_text("2 classes came from more.zip.")
    assert counts.all_inner_texts() == ["3 photos", "1 photo", "1 photo"] and page.js_errors == []
    for width in (400, 700, 1280):
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate("document.documentElement.scrollWidth") == width
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    found = axe.run(page, {"include": [["#vx-area-learn"]]}, RULES).response
    assert [rule["id"] for rule in (*found["violations"], *found["incomplete"])] == []
    assert len(found["passes"]) > 8
    with zipfile.ZipFile(tmp_path / "many.zip", "w") as packed:
        for number in range(20):
            packed.write(blue, f"kind {number}/x.png")
    page.locator(".vx-saving input[type=file]").set_input_files(tmp_path / "many.zip")
    expect(page.locator(".vx-saving-note")).to_have_text(
        "17 classes came from many.zip. 3 other folders did not: 20 classes are the most that this page "
        "takes.")
    expect(page.locator(".vx-class")).to_have_count(20)
