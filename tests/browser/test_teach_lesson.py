"""Teach's lesson in a real page, with a camera that plays two pictures: collect, learn, live answers."""

from __future__ import annotations

import pytest

from tests.browser.labdriver import sticking_out

# A camera whose picture is `window.played`: stripes, discs or neither, each frame a little shifted, as held.
CAMERA = """
  const canvas = Object.assign(document.createElement('canvas'), { width: 320, height: 240 });
  const pen = canvas.getContext('2d'), fill = (colour) => { pen.fillStyle = colour; };
  const grid = (x, one) => { for (let k = 0; k < 12; k++) one(x + 80 * (k % 4), 80 * Math.floor(k / 4)); };
  const pictures = {
    stripes: (x) => {
      fill('#e8c060'); pen.fillRect(0, 0, 320, 240); fill('#401808');
      for (let k = 0; k < 8; k++) pen.fillRect(x + 40 * k, 0, 18, 240);
    },
    discs: (x) => {
      fill('#205090'); pen.fillRect(0, 0, 320, 240); fill('#60e070');
      grid(x, (left, top) => { pen.beginPath(); pen.arc(left + 30, top + 40, 28, 0, 7); pen.fill(); });
    },
    squares: (x) => {
      fill('#f0f0f0'); pen.fillRect(0, 0, 320, 240); fill('#d02020');
      grid(x, (left, top) => pen.fillRect(left + 20, top + 15, 30, 30));
    },
  };
  window.played = 'stripes';
  let turn = 0;
  setInterval(() => pictures[window.played](3 * (turn++ % 5)), 60);
  window.streams = [];
  navigator.mediaDevices.getUserMedia = async () => {
    window.streams.push(canvas.captureStream(15));
    return window.streams.at(-1);
  };
"""
LIT = ("() => window.streams.flatMap((one) => one.getTracks())"
       ".filter((one) => one.readyState === 'live').length")
ANSWERED = "(count) => Number(document.querySelector('.vx-teach .vx-camera').dataset.answers) > count"
OPENED = """import os
os.environ['XDG_DATA_HOME'] = os.path.abspath('lesson data')
import explorer
dash = explorer.Dashboard()
dash"""


@pytest.fixture(scope="module")
def teaching(one_lab):
    """A dashboard with its tab Teach in front and the camera on."""
    one_lab.page.add_init_script(CAMERA)
    one_lab.open_cells(OPENED)
    one_lab.run_all()
    one_lab.run_code("dash.wait()")
    one_lab.page.get_by_role("tab", name="Teach").click()
    one_lab.page.locator(".vx-teach").get_by_role("button", name="Start the camera").click()
    return one_lab


# Whether the page's video shows it by now: its mean colour tells.
SHOWS = """(picture) => {
  const canvas = Object.assign(document.createElement('canvas'), { width: 16, height: 12 });
  const pen = canvas.getContext('2d');
  pen.drawImage(document.querySelector('.vx-teach video'), 0, 0, 16, 12);
  const pixels = pen.getImageData(0, 0, 16, 12).data, mean = [0, 0, 0];
  pixels.forEach((value, k) => { if (k % 4 < 3) mean[k % 4] += value / 192; });
  return picture === (mean[2] > 160 ? 'squares' : mean[0] > mean[1] ? 'stripes' : 'discs');
}"""


def play(lab, picture: str) -> None:
    """Show the camera a picture; afterwards no frame of the one before is under way."""
    lab.page.evaluate("(picture) => { window.played = picture; }", picture)
    lab.page.wait_for_function(SHOWS, arg=picture)
    lab.run_code("dash.teach.wait()")


def collect(lab, expect, digit: str, photos: int) -> None:
    """Hold a class's digit until it has so many photos more."""
    page, card = lab.page, lab.page.locator(".vx-shelf-card").nth(int(digit) - 1)
    before = card.locator(".vx-shelf-photo").count()
    page.keyboard.down(digit)
    expect(card.locator(".vx-shelf-photo").nth(before + photos - 1)).to_be_visible()
    page.keyboard.up(digit)
    lab.run_code("dash.teach.wait()")


def first_answer(lab):
    return lab.page.locator(".vx-teach-left .vx-answer").first


def test_two_classes_are_told_apart_by_the_nearest_photos_and_then_by_what_was_learnt(teaching, expect):
    panel = teaching.page.locator(".vx-teach")
    learn = panel.get_by_role("button", name="Learn")
    expect(panel.locator(".vx-shelf-hold").first).to_have_attribute("aria-disabled", "false")
    for digit, picture in (("1", "stripes"), ("2", "discs")):
        play(teaching, picture)
        collect(teaching, expect, digit, 3)
        expect(learn).to_be_disabled()
    expect(first_answer(teaching)).to_contain_text("Class 2")  # nothing was trained
    expect(panel.get_by_label("The nearest photos")).to_contain_text("Class 2")
    expect(panel).to_contain_text("Hold the button of a class once more")
    for digit, picture in (("2", "discs"), ("1", "stripes")):
        play(teaching, picture)
        collect(teaching, expect, digit, 3)
    learn.click()
    expect(panel).to_contain_text("photos right (100.0 %)")
    expect(panel.locator(".vx-camera-key")).to_contain_text("What it looks at: Class 1")
    expect(first_answer(teaching)).to_contain_text("Class 1")
    play(teaching, "discs")
    expect(first_answer(teaching)).to_contain_text("Class 2")
    assert sticking_out(panel, "button, input, video, img, canvas, select") == []


def test_a_picture_that_it_errs_on_is_added_and_counts_when_it_learns_again(teaching, expect):
    page, panel = teaching.page, teaching.page.locator(".vx-teach")
    card = page.locator(".vx-shelf-card").first
    before = card.locator(".vx-shelf-photo").count()
    play(teaching, "squares")
    seen = int(page.locator(".vx-teach .vx-camera").get_attribute("data-answers"))
    page.wait_for_function(ANSWERED, arg=seen + 2)
    panel.locator(".vx-teach-left").get_by_role("button", name="Class 1", exact=True).click()
    expect(card.locator(".vx-shelf-photo")).to_have_count(before + 1)
    expect(panel).to_contain_text("The picture is a photo of “Class 1” now.")
    panel.get_by_role("button", name="Learn again").click()
    # what it then answers is chance: the picture may be among those that judge
    teaching.expect_code("dash.teach.wait(); print(len(dash.session.runs), dash.session.run.state)",
                         "2 finished\n")
    teaching.expect_code("sizes = [len(run.data.train) + len(run.data.val) for run in dash.session.runs]\n"
                         "print(sizes[1] - sizes[0])", "1\n")


def test_its_network_is_shown_in_all_tabs_and_nothing_is_on_when_it_is_closed(teaching, expect):
    page, panel = teaching.page, teaching.page.locator(".vx-teach")
    panel.get_by_role("button", name="Show it in all tabs").click()
    teaching.expect_code("dash.wait(); print(*dash.session.model.config.labels)", "Class 1 Class 2\n")
    assert page.evaluate(LIT) == 1
    teaching.run_code("dash.close()")
    page.wait_for_function(f"() => ({LIT})() === 0")
    assert page.js_errors == []
