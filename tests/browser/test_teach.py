"""Teach in a real page, with Chromium's made-up camera: two classes collected, removed, saved, opened."""

from __future__ import annotations

import io
import re

import pytest
from PIL import Image

from tests.browser.labdriver import sticking_out

OPENED = """import os
os.environ['XDG_DATA_HOME'] = os.path.abspath('data')
import explorer
dash = explorer.Dashboard()
dash"""

# A folder of class folders as a reader drops it: `DataTransfer` can hold files, but no folders.
DROP = """(root, [files, over]) => {
  const entry = (name, one) => (typeof one === 'string' ? fileEntry(name, one) : folderEntry(name, one));
  const fileEntry = (name, data) => ({ name, isFile: true, file: (done) => done(
    new File([Uint8Array.from(atob(data), (c) => c.charCodeAt(0))], name, { type: 'image/png' })) });
  const folderEntry = (name, inside) => ({ name, isFile: false, createReader: () => {
    let rest = Object.entries(inside).map(([called, one]) => entry(called, one));
    return { readEntries: (done) => { const some = rest; rest = []; done(some); } };
  } });
  const event = new DragEvent('drop', { bubbles: true, cancelable: true });
  const items = Object.entries(files).map(([name, one]) => ({ webkitGetAsEntry: () => entry(name, one) }));
  Object.defineProperty(event, 'dataTransfer', { value: { items, files: [] } });
  root.querySelector(over).dispatchEvent(event);
}"""


def png(shade: int) -> str:
    import base64

    file = io.BytesIO()
    Image.new("RGB", (40, 30), (shade, 90, 60)).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


@pytest.fixture(scope="module")
def teaching(one_lab):
    """A dashboard with its tab Teach in front."""
    one_lab.open_cells(OPENED)
    one_lab.run_all()
    one_lab.run_code("dash.wait()")
    one_lab.page.get_by_role("tab", name="Teach").click()
    return one_lab


def card_of(lab, name):
    return lab.page.locator(f".vx-shelf-card[data-name='{name}']")


def counts(lab) -> str:
    return lab.run_code("dash.teach.wait(); print(*dash.teach.shelf.counts.values())")


def test_a_held_digit_and_a_held_button_collect_frames(teaching, expect):
    page, panel = teaching.page, teaching.page.locator(".vx-teach")
    one, two = card_of(teaching, "Class 1"), card_of(teaching, "Class 2")
    two.get_by_role("button", name=re.compile("Hold to collect")).press("Enter")
    expect(panel.locator(".vx-shelf-note")).to_contain_text("Start the camera first")
    panel.get_by_role("button", name="Start the camera").click()
    expect(one.locator(".vx-shelf-hold")).to_have_attribute("aria-disabled", "false")
    page.keyboard.down("1")  # the keyboard is with the camera
    expect(one.locator(".vx-shelf-photo").nth(2)).to_be_visible()
    page.keyboard.up("1")
    two.get_by_role("button", name=re.compile("Hold to collect")).hover()
    page.mouse.down()
    expect(two).to_have_attribute("data-held", "true")
    expect(two.locator(".vx-shelf-photo").nth(1)).to_be_visible()
    page.mouse.up()
    expect(two).not_to_have_attribute("data-held", "true")
    page.keyboard.press("2")  # a tap is one photo, and a burst of its own
    bursts = "{one.burst for one in dash.teach.shelf.photos('Class 2')}"
    teaching.expect_code(f"dash.teach.wait(); print(len({bursts}))", "2\n")
    first, second = map(int, counts(teaching).split())
    expect(one.locator(".vx-shelf-photo img[src]")).to_have_count(first)
    expect(two.locator(".vx-shelf-count")).to_have_text(f"{second} photos")
    assert sticking_out(panel, "button, input, video, img") == []
    assert teaching.page.evaluate("() => document.querySelectorAll('.jp-Cell').length") == 1  # no command ran


def test_photos_are_removed_and_come_back_and_a_class_gets_a_name(teaching, expect):
    page, panel, one = teaching.page, teaching.page.locator(".vx-teach"), card_of(teaching, "Class 1")
    before = one.locator(".vx-shelf-photo").count()
    one.locator(".vx-shelf-photo").first.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Delete")
    expect(one.locator(".vx-shelf-photo")).to_have_count(before - 1)
    panel.get_by_role("button", name="Undo").click()
    expect(one.locator(".vx-shelf-photo")).to_have_count(before)
    one.locator(".vx-shelf-photo").first.hover()
    one.locator(".vx-shelf-x").first.click()
    expect(one.locator(".vx-shelf-photo")).to_have_count(before - 1)
    one.get_by_role("textbox").fill("my <b>mug</b>")
    page.keyboard.press("Enter")
    mug = card_of(teaching, "my -b-mug-b-")  # as a folder may be called
    expect(mug.locator(".vx-shelf-photo img[src]")).to_have_count(before - 1)
    mug.get_by_role("textbox").fill("Class 2")
    page.keyboard.press("Enter")
    expect(panel.locator(".vx-shelf-note")).to_contain_text("already")
    expect(mug.get_by_role("textbox")).to_have_value("my -b-mug-b-")


def test_a_dropped_folder_of_class_folders_makes_classes(teaching, expect):
    panel = teaching.page.locator(".vx-teach")
    pets = {"cats": {"a.png": png(10), "b.png": png(90)}, "dogs": {"c.png": png(200)}, "x.png": png(1)}
    panel.locator(".vx-shelf").evaluate(DROP, [{"pets": pets}, ".vx-shelf-bar"])
    expect(panel.locator(".vx-shelf-note")).to_contain_text("3 photos were added. 1 other file was left out.")
    expect(card_of(teaching, "cats").locator(".vx-shelf-photo img[src]")).to_have_count(2)
    card_of(teaching, "dogs").locator("input[type=file]").set_input_files(
        [{"name": "d.png", "mimeType": "image/png", "buffer": b"no picture"}])
    expect(panel.locator(".vx-shelf-note")).to_contain_text("This browser can't open d.png")


def test_a_kernel_that_ended_leaves_them_and_a_saved_folder_is_opened_again(teaching, expect):
    page, panel = teaching.page, teaching.page.locator(".vx-teach")
    photos, before = page.locator(".vx-shelf-photo img[src]"), sorted(counts(teaching).split())
    teaching.restart_kernel()
    teaching.run_all()
    teaching.run_code("dash.wait()")
    page.get_by_role("tab", name="Teach").click()
    expect(panel.locator(".vx-shelf-offer")).to_contain_text("and did not save them")
    panel.get_by_role("button", name="Open them").click()
    expect(photos).to_have_count(sum(map(int, before)))
    panel.get_by_role("textbox", name="Folder").fill("my_classes")
    panel.get_by_role("button", name="Save in this folder").click()
    expect(panel.locator(".vx-shelf-note")).to_contain_text("Saved in")
    expect(panel.locator(".vx-shelf-home")).to_contain_text("my_classes")
    teaching.run_code("dash.teach.load('my_classes')")
    expect(panel.locator(".vx-shelf-note")).to_contain_text("are here")
    expect(photos).to_have_count(sum(map(int, before)))
    assert sorted(counts(teaching).split()) == before
    assert page.js_errors == []
