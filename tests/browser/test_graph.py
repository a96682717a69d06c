"""The Modules tab: the graph opens by click and keyboard, and a click on a module shows its maps."""

from __future__ import annotations

from tests.browser.labdriver import sticking_out


def test_the_graph_opens_and_a_module_shows_its_maps(lab, expect):
    lab.open_cells("import explorer\ndash = explorer.Dashboard()\ndash.tabs.selected_index = 1\ndash")
    lab.run_all()
    panel = lab.outputs.locator(".vx-modules")
    graph, maps = panel.locator(".vx-graph"), panel.locator(".vx-mosaic")

    def node(path: str):
        return graph.locator(f'[data-path="{path}"]')

    expect(node("blocks.1.1/add")).to_be_visible()  # an example is open, with its skip connection
    expect(graph.locator(".vx-graph-skips").first).to_be_attached()
    expect(node("conv_stem").locator("image")).to_be_attached()

    node("blocks.2").locator(".vx-graph-sign").click()
    expect(node("blocks.2.0")).to_be_visible()
    node("blocks.2").press("Escape")
    expect(node("blocks.2.0")).to_have_count(0)

    node("blocks.0").locator(".vx-graph-name").click()
    expect(maps).to_have_attribute("data-channels", "16")
    expect(panel.locator(".vx-tree")).to_have_attribute("data-selected", "blocks.0")
    node("blocks.0").press("ArrowUp")
    expect(node("bn1")).to_be_focused()
    node("bn1").press("ArrowUp")
    node("conv_stem").press("Enter")
    expect(maps).to_have_attribute("data-channels", "32")
    expect(node("conv_stem")).to_have_attribute("aria-selected", "true")

    panel.get_by_role("searchbox").fill("blocks.4.1.conv_dw")
    panel.locator('.vx-tree-row[data-path="blocks.4.1.conv_dw"]').click()
    expect(node("blocks.4.1.conv_dw")).to_have_attribute("aria-selected", "true")
    graph.scroll_into_view_if_needed()
    expect(node("blocks.4.1.conv_dw")).to_be_in_viewport()
    for width in (1280, 700):
        lab.page.set_viewport_size({"width": width, "height": 900})
        assert sticking_out(panel, ".vx-graph-bar, .vx-graph-stage, .vx-mosaic, .vx-tree") == []
    assert lab.page.js_errors == []
