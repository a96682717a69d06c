import contextlib, os
import pytest
SHOTS = os.environ.get("SHOTS", "/root/ex/shots/seatab")
CELL = """
import explorer
dash = explorer.Dashboard("tf_efficientnet_lite0")
dash
"""
@pytest.mark.parametrize("width,dark", [(1400, False), (1400, True), (700, False)])
def test_look(lab, expect, width, dark):
    os.makedirs(SHOTS, exist_ok=True)
    lab.page.set_viewport_size({"width": width + (0 if width > 1000 else 0), "height": 2600})
    with lab.dark() if dark else contextlib.nullcontext():
        lab.open_cells(CELL)
        lab.page.evaluate("() => window.jupyterapp.commands.execute('application:toggle-left-area')")
        lab.run_all()
        view = lab.page.locator(".vx-dashboard")
        expect(view.locator(".vx-predictions li").first).to_be_visible(timeout=60_000)
        view.get_by_role("tab", name="Search").click()
        panel = view.locator(".vx-search")
        expect(panel.locator(".vx-data")).to_contain_text("80 photos to learn from", timeout=30_000)
        panel.screenshot(path=f"{SHOTS}/{width}{'d' if dark else ''}-a.png")
        import time; t = time.time()
        panel.get_by_role("button", name="Start", exact=True).click()
        expect(panel.locator(".vx-sorted tbody tr").nth(3)).to_be_visible(timeout=90_000)
        panel.screenshot(path=f"{SHOTS}/{width}{'d' if dark else ''}-b.png")
        expect(panel.locator(".vx-note").first).to_contain_text("8 trials", timeout=120_000)
        print("seconds", time.time() - t)
        lab.page.wait_for_timeout(1500)
        panel.screenshot(path=f"{SHOTS}/{width}{'d' if dark else ''}-c.png")
        panel.get_by_role("button", name="Open the best").click()
        expect(panel.locator(".vx-note").first).to_contain_text("All panels show", timeout=60_000)
        view.screenshot(path=f"{SHOTS}/{width}{'d' if dark else ''}-d.png")
    print(lab.page.js_errors)
