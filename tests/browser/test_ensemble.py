"""The Ensemble tab as a class uses it: ask, drag a weight, fit, click a photo, open the ensemble."""

from __future__ import annotations


def press(panel, name: str) -> None:
    panel.get_by_role("button", name=name, exact=True).click()


def test_from_ticks_to_sliders_photos_and_the_ensemble_on_the_screen(lab, expect):
    lab.open_cells("import explorer\ndash = explorer.Dashboard()\ndash")
    lab.run_all()
    view = lab.page.locator(".vx-dashboard")
    expect(view.locator(".vx-images .vx-gallery, .vx-predictions li").first).to_be_visible(timeout=60_000)
    view.get_by_role("tab", name="Ensemble", exact=True).click()
    panel = view.locator(".vx-ens")
    expect(panel.get_by_role("checkbox")).to_have_count(3)
    panel.get_by_role("checkbox", name="tf_efficientnet_lite2").uncheck()
    press(panel, "Ask the members")
    table = panel.locator(".vx-ens-table")
    expect(table.locator("tbody tr")).to_have_count(3, timeout=120_000)
    expect(panel.locator(".vx-ens-photo .vx-predictions li")).to_have_count(5, timeout=30_000)
    # a slider by the keyboard: all moves with it
    before = table.inner_text()
    slider = panel.get_by_role("slider").first
    for _ in range(5):
        slider.press("ArrowLeft")
    expect(table).not_to_have_text(before, use_inner_text=True)
    expect(table.locator("tbody tr").first).to_contain_text("48.7 %")
    expect(panel).to_contain_text("McNemar")
    press(panel, "Fit the weights")
    expect(panel.locator(".vx-note").last).to_contain_text("a little too good", timeout=30_000)
    # a photo that the best member is right about, and the other alone is not, opens by a click
    press(panel, "Equal weights")
    slider.press("Home")
    photo = panel.locator(".vx-judged-one[data-right=false]").first
    expect(photo).to_be_visible(timeout=30_000)
    photo.click()
    expect(panel.locator(".vx-ens-photo figcaption")).not_to_have_text("Chelsea the cat", timeout=30_000)
    press(panel, "Show code")
    expect(panel.locator(".vx-tools-fold pre")).to_contain_text("explorer.Ensemble(")
    press(panel, "Open this ensemble")
    expect(lab.page.locator(".vx-model-line")).to_contain_text("ensemble of", timeout=60_000)
    expect(panel).to_contain_text("is an ensemble itself")
    assert lab.page.js_errors == []
