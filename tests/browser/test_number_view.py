"""How is this number computed, in a real page: the sum is the cell, and play goes on to the next ones."""

from __future__ import annotations

WIDTHS = (1400, 1330, 1180, 1020)


def cut_off(number) -> list[str]:
    """The titles and numbers of the terms that reach past the edge of the terms, or past their own."""
    return number.locator(".vx-number-terms").evaluate("""(terms) => {
        const edge = terms.getBoundingClientRect().right + 1;
        return [...terms.querySelectorAll(".vx-number-titles > *, .vx-number-title-below, .vx-number-value")]
            .filter((el) => el.getBoundingClientRect().right > edge || el.scrollWidth > el.clientWidth + 1
                    && getComputedStyle(el).display !== "inline")
            .map((el) => `${el.textContent} at ${terms.clientWidth} of ${terms.scrollWidth}`);
    }""")


def test_a_click_on_a_cell_tells_its_sum_and_play_moves_on(lab, expect):
    lab.open_cells("import explorer\ndash = explorer.Dashboard()\ndash")
    lab.run_all()
    view = lab.outputs.locator(".vx-dashboard")
    expect(view.locator(".vx-answers .vx-name").first).to_be_visible(timeout=60_000)
    view.locator(".vx-flow-stop[data-stop='blocks.2']").click()
    view.locator(".vx-mosaic-canvas").click(position={"x": 20, "y": 20})
    big = view.locator(".vx-mosaic-big")
    big.click(position={"x": 5, "y": 5})
    number = view.locator(".vx-number")
    expect(number).to_have_attribute("data-module", "blocks.2")
    result = number.locator(".vx-number-result")
    value, computed = (float(result.get_attribute(f"data-{name}")) for name in ("value", "computed"))
    assert abs(value - computed) <= 1e-5 * max(1, abs(value))
    expect(number.locator(".vx-number-row .vx-number-link")).to_have_count(8)
    expect(number.locator(".vx-number-rest")).to_contain_text("and 232 more: sum")

    before = lab.page.viewport_size
    for width in WIDTHS:
        lab.page.set_viewport_size({"width": width, "height": 900})
        assert cut_off(number) == []
    lab.page.set_viewport_size(before)

    # what lies behind is a depthwise convolution: one term, in squares
    number.locator(".vx-number-row .vx-number-link").first.click()
    expect(number).to_have_attribute("data-module", "blocks.2.1.bn2.act")
    expect(number.locator(".vx-number-grid")).to_have_count(3)
    for width in WIDTHS:  # "adds" was cut off to "ad"
        lab.page.set_viewport_size({"width": width, "height": 900})
        assert cut_off(number) == []
    lab.page.set_viewport_size(before)
    number.get_by_role("button", name="back to blocks.2").click()
    expect(number).to_have_attribute("data-module", "blocks.2")

    mark = number.locator(".vx-number-map .vx-number-cell")
    left = mark.evaluate("el => el.style.left")
    number.get_by_role("button", name="Play").click()
    expect(number).to_have_attribute("data-column", "2")
    assert mark.evaluate("el => el.style.left") != left
    number.get_by_role("button", name="Pause").click()
    expect(number).to_have_attribute("data-playing", "false")
    number.locator(".vx-number-map").focus()
    lab.page.keyboard.press("ArrowDown")
    expect(number).to_have_attribute("data-row", "1")
    lab.page.keyboard.press("ArrowUp")
    expect(number).to_have_attribute("data-row", "0")
    column = int(number.get_attribute("data-column"))
    lab.page.keyboard.press("ArrowUp")  # at the edge nothing is asked, and the next key counts
    lab.page.keyboard.press("ArrowRight")
    expect(number).to_have_attribute("data-column", str(column + 1))

    expect(number.locator(".vx-number-said")).to_have_attribute("aria-live", "polite")

    # nobody looks: it plays no longer
    number.get_by_role("button", name="Play").click()
    lab.page.get_by_role("tab", name="Runs", exact=True).click()
    expect(number).to_have_attribute("data-playing", "false")
    lab.page.get_by_role("tab", name="Feature maps", exact=True).click()

    number.get_by_role("button", name="Effective field").click()
    expect(number).to_have_attribute("data-heat", "true")
    expect(number).to_contain_text("theoretical field")
    lab.page.keyboard.press("Escape")
    expect(number).to_be_hidden()
    assert lab.page.js_errors == []
