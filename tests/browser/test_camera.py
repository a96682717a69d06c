"""The live camera in a real page, with Chromium's made-up one: answers, freezing, when it goes off."""

from __future__ import annotations

import contextlib

import pytest

from tests.browser.labdriver import sticking_out

# Every stream that a page was given; a reader who says no, while `denied` is set; a browser that is slow to
# say which cameras there are, while `held` is set.
WATCHED = """
  const real = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
  window.streams = [];
  navigator.mediaDevices.getUserMedia = async (wanted) => {
    if (window.denied) throw new DOMException('no', 'NotAllowedError');
    const stream = await real(wanted);
    window.streams.push(stream);
    return stream;
  };
  const list = navigator.mediaDevices.enumerateDevices.bind(navigator.mediaDevices);
  navigator.mediaDevices.enumerateDevices = async () => { await window.held; return list(); };
"""
LIT = ("() => window.streams.flatMap((one) => one.getTracks())"
       ".filter((one) => one.readyState === 'live').length")


@pytest.fixture(scope="module")
def looking(one_lab):
    """A dashboard with its tab Camera in front."""
    one_lab.page.add_init_script(WATCHED)
    one_lab.open_cells("import explorer\ndash = explorer.Dashboard()\ndash")
    one_lab.run_all()
    one_lab.run_code("dash.wait()")
    one_lab.page.get_by_role("tab", name="Camera").click()
    return one_lab


def camera_of(lab):
    return lab.page.locator(".vx-camera")


def start(lab, expect):
    camera = camera_of(lab)
    camera.get_by_role("button", name="Start the camera").click()
    expect(camera).to_have_attribute("data-state", "live")
    return camera


def test_a_reader_who_says_no_gets_a_sentence(looking, expect):
    looking.page.evaluate("() => { window.denied = true; }")
    camera = camera_of(looking)
    expect(camera).to_contain_text("on this computer. None is kept")
    camera.get_by_role("button", name="Start the camera").click()
    expect(camera).to_contain_text("This page may not use the camera.")
    expect(camera).to_have_attribute("data-state", "off")
    looking.page.evaluate("() => { window.denied = false; }")


def test_switched_off_while_it_starts_it_stays_off(looking, expect):
    page, camera = looking.page, camera_of(looking)
    page.evaluate("() => { window.held = new Promise((go) => { window.release = go; }); }")
    camera.get_by_role("button", name="Start the camera").click()
    page.wait_for_function(f"() => ({LIT})() === 1")
    expect(camera).to_have_attribute("data-state", "asking")
    looking.run_code("dash.camera.view.off()")
    expect(camera).to_have_attribute("data-state", "off")
    page.evaluate("() => { window.release(); return navigator.mediaDevices.enumerateDevices(); }")
    page.evaluate("() => { window.held = null; }")
    expect(camera).to_have_attribute("data-state", "off")
    assert page.evaluate(LIT) == 0


def test_answers_heat_and_maps_follow_and_a_frozen_frame_is_the_photo(looking, expect):
    page, panel = looking.page, looking.page.locator(".vx-camera-panel")
    camera = start(looking, expect)
    expect(camera.get_by_role("button", name="Freeze")).to_be_focused()  # the keyboard stays with the camera
    looking.run_code("dash.camera.view.answer(2**50, title='of another view')")  # is none of this one's
    page.wait_for_function("() => Number(document.querySelector('.vx-camera').dataset.answers) >= 5")
    expect(camera.locator(".vx-camera-key")).not_to_contain_text("another view")
    expect(panel.locator(".vx-answer")).to_have_count(5)
    expect(panel.locator(".vx-live-maps canvas")).to_have_count(12)
    expect(camera.locator(".vx-camera-key")).to_contain_text("Grad-CAM: ")
    assert page.evaluate("() => document.querySelector('.vx-camera-heat').width") == 64
    expect(camera).to_contain_text("frames a second")
    assert sticking_out(panel, "button, canvas, select, video") == []
    for _ in range(5):  # the rows change under the pointer: a reader whose click went elsewhere clicks again
        panel.locator(".vx-answer").last.click()
        with contextlib.suppress(AssertionError):
            expect(panel).to_contain_text("The heat map stays on", timeout=4000)
            break
    expect(panel).to_contain_text("The heat map stays on")
    camera.get_by_role("button", name="Freeze").click()
    expect(camera).to_have_attribute("data-state", "frozen")
    expect(camera).to_contain_text("“Camera” is the photo now")
    assert page.evaluate(LIT) == 0
    looking.run_code("dash.wait()")
    expect(page.get_by_role("img", name="What the network sees of Camera")).to_be_visible()
    looking.expect_code("print(dash.session.image_name, dash.camera.view.state)", "Camera frozen\n")


def test_it_rests_out_of_sight_and_goes_off_with_the_dashboard(looking, expect):
    page, camera = looking.page, camera_of(looking)
    camera.get_by_role("button", name="Start again").click()
    expect(camera).to_have_attribute("data-state", "live")
    page.get_by_role("tab", name="Explain").click()
    looking.expect_code("print(dash.camera.view.state)", "paused\n")
    page.get_by_role("tab", name="Camera").click()
    looking.expect_code("print(dash.camera.view.state)", "live\n")
    assert page.evaluate(LIT) == 1
    looking.run_code("dash.close()")
    page.wait_for_function(f"() => ({LIT})() === 0")
    assert page.js_errors == []
