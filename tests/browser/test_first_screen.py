"""The first screen in a real page: photo, stages, answers, a second model beside the first."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="module")
def two(one_lab):
    """Two models side by side, in a window as a teacher's laptop has it."""
    one_lab.page.set_viewport_size({"width": 1400, "height": 900})
    one_lab.open_cells("import explorer\n"
                       "models = ['tf_efficientnet_lite0', 'tf_efficientnet_lite1']\n"
                       "dash = explorer.Dashboard(models=models)\n"
                       "dash")
    one_lab.run_all()
    one_lab.run_code("dash.wait()")
    return one_lab


def view_of(lab):
    return lab.page.locator(".vx-dashboard")


def says(view, row: int):
    """The first answer of a model."""
    return view.locator(".vx-answers").nth(row).locator(".vx-name").first


def test_the_story_is_told_without_scrolling(two, expect):
    view = view_of(two)
    expect(says(view, 0)).to_have_text("Walker hound", timeout=60_000)
    expect(says(view, 1)).to_have_text("beagle")
    expect(view.locator(".vx-flow-stop")).to_have_count(10)
    top, tabs = (view.locator(place).first.evaluate("el => el.getBoundingClientRect().top")
                 for place in (".vx-head", ".widget-tab"))
    assert tabs - top < 720, "the tabs stand in the window's 900 pixels, with two models too"
    expect(view.get_by_role("img", name="What the network sees of Beagle").first).to_be_visible()
    assert two.page.js_errors == []


def test_a_stage_and_an_answer_open_what_lies_behind_them_for_both(two, expect):
    view = view_of(two)
    view.locator(".vx-flow-stop[data-stop='blocks.4']").first.click()
    expect(view.get_by_role("tab", name="Feature maps")).to_have_attribute("aria-selected", "true")
    expect(view.locator(".vx-flow-stop[aria-pressed='true']")).to_have_count(2)
    expect(view.locator(".vx-mosaic-title").first).to_contain_text("blocks.4")
    view.locator(".vx-answer").filter(has_text="beagle").first.click()
    expect(view.get_by_role("tab", name="Explain")).to_have_attribute("aria-selected", "true")
    expect(view.locator(".vx-explain").first).to_contain_text("beagle")
    two.expect_code("print([one.heat_map.target.value for one in dash.tabs.children[2].panels])",
                    "['beagle', 'beagle']\n")
    assert two.page.js_errors == []


def test_the_pointer_on_a_cell_frames_what_it_is_computed_from(two, expect):
    view = view_of(two)
    image = view.locator(".vx-flow-stop[data-stop='blocks.1'] img").first
    frame = view.locator(".vx-flow-frame").first
    image.hover(position={"x": 30, "y": 20})
    two.expect_code("print(sorted(dash.predictions.flow._reads) == sorted(dash.predictions.flow.stops))",
                    "True\n", seconds=30)
    image.hover(position={"x": 12, "y": 12})
    expect(frame).to_be_visible()
    small = frame.evaluate("el => el.getBoundingClientRect().width")
    expect(view.locator(".vx-caption").first).to_contain_text("computed from the part in the frame")
    view.locator(".vx-flow-stop[data-stop='blocks.2'] img").first.hover(position={"x": 12, "y": 12})
    assert frame.evaluate("el => el.getBoundingClientRect().width") > small
    view.locator(".vx-answers").first.hover()
    expect(frame).to_be_hidden()


def test_the_photo_is_chosen_for_both_and_one_model_is_left_when_the_other_goes(two, expect):
    view = view_of(two)
    view.locator(".vx-gallery").get_by_role("option", name="Espresso").click()
    for row in (0, 1):
        expect(says(view, row)).to_have_text("espresso")
    two.page.evaluate("() => window.jupyterapp.commands.execute('application:toggle-left-area')")
    for width in (480, 700, 1000):
        two.look(width, dark=width == 700)
        outside = view.evaluate("""el => {
            const right = el.getBoundingClientRect().right;
            return [...el.querySelectorAll('button, select, img')]
              .filter(n => n.offsetParent && !n.closest('.vx-gallery, .vx-flow-row'))
              .filter(n => n.getBoundingClientRect().right > right + 1).map(n => n.outerHTML.slice(0, 80));
        }""")
        assert outside == [], width
    view.get_by_role("button", name="tf_efficientnet_lite1").click()
    expect(view.locator(".vx-answers")).to_have_count(1)
    assert two.page.js_errors == []


def test_a_second_model_comes_changes_and_goes_and_the_tab_in_front_stays(two, expect):
    """The page turned to another tab, and stumbled over views of what was closed."""
    view = view_of(two)
    view.get_by_role("tab", name="Explain").click()
    for code, rows in (("dash.session.beside = 'tf_efficientnet_lite1'", 2),
                       ("dash.session.beside = 'tf_efficientnet_lite2'", 2),
                       ("dash.session.beside = None", 1),
                       ("dash.session.beside = 'tf_efficientnet_lite1'; dash.session.beside = None", 1)):
        two.run_code(f"{code}; dash.wait()")
        expect(view.locator(".vx-answers")).to_have_count(rows)
        expect(view.locator(".vx-explain:visible")).to_have_count(rows)
        expect(view.get_by_role("tab", name="Explain")).to_have_attribute("aria-selected", "true")
    assert two.page.js_errors == []
