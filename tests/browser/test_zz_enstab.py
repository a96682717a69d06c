import contextlib
import pytest

@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [1400, 700])
def test_look(lab, expect, width, dark):
    lab.page.set_viewport_size({"width": width, "height": 1000})
    with lab.dark() if dark else contextlib.nullcontext():
        lab.open_cells("import explorer\ndash = explorer.Dashboard()\ndash.wait()\n"
                       "dash.tabs.selected_index = dash.tabs.children.index(dash.ensemble)\n"
                       "dash.ensemble.ask.click(); assert dash.ensemble.wait()\n"
                       "dash.ensemble.views.sliders[1].value = .3; assert dash.ensemble.wait()\ndash")
        lab.page.evaluate("() => window.jupyterapp.commands.execute('application:toggle-left-area')")
        lab.run_all()
        panel = lab.page.locator(".vx-ens")
        expect(panel.locator(".vx-ens-table").first).to_be_visible(timeout=120_000)
        lab.page.wait_for_timeout(1500)
        panel.screenshot(path=f"/root/ex/shots/enstab_{width}_{'dark' if dark else 'light'}.png")
        print(lab.page.js_errors)
