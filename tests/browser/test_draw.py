"""The Draw tab as a reader uses it: begin, watch a picture grow, stop, keep it, make it the photo."""

from __future__ import annotations


def test_a_picture_grows_stops_goes_on_and_becomes_the_photo(lab, expect):
    lab.open_cells("import explorer\ndash = explorer.Dashboard()\ndash")
    lab.run_all()
    view = lab.page.locator(".vx-dashboard")
    expect(view.locator(".vx-predictions li").first).to_be_visible(timeout=60_000)
    view.get_by_role("tab", name="Draw", exact=True).click()
    panel = view.locator(".vx-draw")
    expect(panel).to_contain_text("256 steps at 160 × 160 pixels: about")
    panel.get_by_label("Class", exact=True).fill("daisy")
    panel.get_by_label("Steps", exact=True).fill("800")
    panel.get_by_label("Steps", exact=True).press("Enter")
    panel.get_by_role("button", name="Start", exact=True).click()
    picture = panel.locator(".vx-drawing-one").first
    expect(picture.get_by_role("img", name="The picture that grows: daisy")).to_be_visible(timeout=30_000)
    expect(panel.locator(".vx-chart-curve")).to_have_count(1)
    expect(panel).to_contain_text("of 800 steps.")
    panel.get_by_role("button", name="Stop", exact=True).click()
    expect(panel).to_contain_text("Stopped after", timeout=30_000)
    expect(panel.get_by_role("button", name="Go on", exact=True)).to_be_enabled()
    expect(panel.get_by_role("list", name="What the network says of it").locator("li")).to_have_count(5)
    with lab.page.expect_download() as saved:
        picture.get_by_role("button", name="Save: daisy").click()
    assert saved.value.suggested_filename.startswith("drawn_daisy")
    picture.get_by_role("button", name="Make it the photo: daisy").click()
    expect(view.locator(".vx-flow-photo")).to_contain_text("Drawn: daisy", timeout=30_000)
    assert lab.page.js_errors == []
