"""The menu of lessons in a real page: by keyboard, and what it leaves where it is."""

from __future__ import annotations

import pytest

from tests.browser.labdriver import sticking_out

PLACES = """el => [...el.querySelectorAll('.vx-head > *, .vx-rows > *')]
  .map((one) => one.getBoundingClientRect()).map(({left, top}) => [left, top])"""


@pytest.fixture(scope="module")
def shown(one_lab):
    one_lab.open_cells("import explorer\ndash = explorer.Dashboard()\ndash")
    one_lab.run_all()
    one_lab.run_code("dash.wait()")
    return one_lab


def test_a_lesson_is_chosen_by_keyboard_and_closed_again(shown, expect):
    view = shown.page.locator(".vx-dashboard")
    menu = view.get_by_role("combobox", name="Lesson", exact=True)
    view.get_by_role("button", name="+ second model").focus()
    shown.page.keyboard.press("Tab")
    expect(menu).to_be_focused()
    before = view.evaluate(PLACES)
    shown.page.keyboard.press("Space")  # opens it, and moves nothing
    assert view.evaluate(PLACES) == before
    shown.page.keyboard.type("fool")
    shown.page.keyboard.press("Enter")
    note, block = view.locator(".vx-lesson"), view.locator(".vx-whatif-block").first
    expect(note).to_contain_text("Move epsilon up and down", timeout=60_000)
    expect(note).to_contain_text("takes the tripod for a harmonica")
    expect(block).to_contain_text("now it is harmonica", timeout=60_000)
    expect(view.get_by_role("tab", name="Explain")).to_have_attribute("aria-selected", "true")
    expect(menu).to_be_focused()
    shown.page.keyboard.press("Tab")
    expect(note.get_by_role("button", name="Close; all stays as it is")).to_be_focused()
    shown.page.keyboard.press("Enter")
    expect(note).to_have_count(0)
    expect(menu).to_have_value("none")
    expect(menu).to_be_focused()
    expect(block).to_contain_text("now it is harmonica")
    assert shown.page.js_errors == []


def test_the_sentences_of_a_lesson_stay_inside_on_a_narrow_page_in_both_themes(shown, expect):
    shown.run_code("dash.lesson = 'two that disagree'\ndash.wait()")
    view = shown.page.locator(".vx-dashboard")
    expect(view.locator(".vx-lesson")).to_contain_text("neither has learnt of dahlias")
    for width, dark in ((700, False), (700, True)):
        shown.look(width, dark)
        assert sticking_out(view, ".vx-head *, .vx-lesson, .vx-lesson *", but="option") == []
    assert shown.page.js_errors == []
