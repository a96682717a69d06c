"""The live page on a graphics card (WebGPU): Chromium's SwiftShader, which is one to every page that asks."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from tests.browser.conftest import fresh_page
from tests.browser.server import CHROMIUM_ARGS, find_chromium

ASK = """async () => {
  const { device, shares, maps } = await explorerEngine.run(0, await explorerEngine.photo(0));
  return { device, shares, maps: Object.values(maps).map(({ data }) => Array.from(data)) };
}"""
MOST = 60_000  # ms: a processor that plays a graphics card takes seconds for its first pass


def photo() -> Image.Image:
    values = np.random.default_rng(0).integers(0, 256, (40, 48, 3), dtype=np.uint8)
    return Image.fromarray(values).resize((24, 24), Image.Resampling.BILINEAR)


@pytest.fixture(scope="module")
def net():
    import explorer

    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(3, 4, 3, 2), nn.ReLU(), nn.Conv2d(4, 8, 3, 2), nn.ReLU(),
                           nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3))
    return explorer.wrap(module, input_size=(3, 24, 24), labels=["a", "b", "c"]).eval()


@pytest.fixture(scope="module")
def page_file(net, tmp_path_factory):
    import explorer

    file = tmp_path_factory.mktemp("live") / "graphics.html"
    return explorer.live_page(net, file, photos=photo(), precision="float32", gpu=True)


@pytest.fixture
def with_a_card(browser):
    """A Chromium that has one."""
    flags = ["--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader"]
    args = [one for one in CHROMIUM_ARGS if one != "--disable-gpu"] + flags
    own = browser.browser_type.launch(executable_path=find_chromium(), headless=True, args=args)
    yield own
    own.close()


def test_the_card_is_tried_and_says_what_explorer_says(net, with_a_card, page_file, expect):
    import explorer

    with fresh_page(with_a_card) as page:
        page.context.set_offline(True)
        page.goto(page_file.as_uri())
        line, speed = page.locator(".vx-live-device"), page.locator(".vx-live-status")
        expect(line).to_contain_text("It gives torch's answers to the page's 1 photo", timeout=MOST)
        change = line.locator("button")
        if change.text_content() == "Use the graphics card":  # it is the slower one
            change.click()
        expect(speed).to_contain_text("ms a pass on the graphics card", timeout=MOST)
        found, look = page.evaluate(ASK), explorer.look(net, photo(), topk=3)
        assert found["device"] == "on the graphics card"
        for one in look.predictions:
            assert found["shares"][one.index] == pytest.approx(one.probability, abs=1e-4)
        assert len(found["maps"]) == len(look.stages) > 0
        for given, wanted in zip(found["maps"], look.stages.values()):
            np.testing.assert_allclose(given, wanted.numpy().ravel(), atol=1e-3 * float(wanted.abs().max()))
        assert page.evaluate("() => explorerEngine.check()")["passed"]
        page.evaluate("() => explorerEngine.cards[0].end()")  # it is lost
        assert page.evaluate(ASK)["device"] == "on the processor, one thread"
        expect(line).to_contain_text("the graphics card failed")
        expect(change).to_be_hidden()
        assert not page.js_errors


def test_a_browser_without_a_card_says_so(page, page_file, expect):
    page.goto(page_file.as_uri())
    line = page.locator(".vx-live-device")
    expect(line).to_contain_text("this browser offers the page no graphics card", timeout=MOST)
    assert page.evaluate(ASK)["device"] == "on the processor, one thread"
    assert not page.js_errors
