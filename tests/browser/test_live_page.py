"""A live page of a real network, from a file in Chromium, offline: it says what explorer says, alone."""

from __future__ import annotations

import base64
import io
import json
import re

import numpy as np
import pytest
from PIL import Image

from tests.browser.conftest import fresh_page

# One photo of the page, asked of its engine: numbers as lists, which a test can read.
ASK = """async ({ photo, wish }) => {
  const result = await explorerEngine.run(0, await explorerEngine.photo(photo), wish);
  const plain = ({ shape, data }) => ({ shape, data: Array.from(data) });
  const maps = Object.fromEntries(Object.entries(result.maps).map(([name, map]) => [name, plain(map)]));
  return { shares: result.shares, embedding: Array.from(result.embedding), maps, heat: plain(result.heat),
           crop: result.crop };
}"""


@pytest.fixture(scope="module")
def model():
    import explorer

    return explorer.create_model("tf_efficientnet_lite0", pretrained=True).eval()


@pytest.fixture(scope="module")
def page_file(model, tmp_path_factory):
    import explorer

    photos = ["dog_beagle", "school_bus"]
    return explorer.live_page(model, tmp_path_factory.mktemp("live") / "lite0.html", photos=photos)


@pytest.fixture(scope="module")
def pictures(page_file) -> list[Image.Image]:
    """The photos as they are in the page."""
    letters = re.findall(r'id="vx-photo-\d+"[^>]*>([^<]*)<', page_file.read_text(encoding="utf-8"))
    return [Image.open(io.BytesIO(base64.b64decode(one))).convert("RGB") for one in letters]


@pytest.fixture(scope="module")
def live(browser, page_file):
    """The page without a network, opened once for the tests that change nothing in it."""
    with fresh_page(browser) as page:
        page.context.set_offline(True)
        page.asked = []
        page.on("request", lambda one: page.asked.append(one.url))
        page.goto(page_file.as_uri())
        page.locator("body[data-ready=true]").wait_for(state="attached", timeout=60_000)
        yield page


def array(told) -> np.ndarray:
    return np.array(told["data"], np.float32).reshape(told["shape"])


@pytest.mark.parametrize("photo", [0, 1])
def test_answers_maps_and_heat_are_those_that_explorer_gives(photo, live, model, pictures):
    import explorer

    found = live.evaluate(ASK, {"photo": photo, "wish": {}})
    look = explorer.look(model, pictures[photo], topk=5)
    assert int(np.argmax(found["shares"])) == look.predictions[0].index
    for one in look.predictions:
        assert found["shares"][one.index] == pytest.approx(one.probability, abs=0.01)
    for name, wanted in look.stages.items():
        given = array(found["maps"][name])
        assert np.abs(given - wanted.numpy()).max() < 5e-3 * float(wanted.abs().max())  # weights in float16
    left, top, wide, high = (round(found["crop"][side]) for side in ("left", "top", "width", "height"))
    heat = np.asarray(explorer.explain(model, pictures[photo]).heatmap)[top:top + high, left:left + wide]
    given = Image.fromarray(array(found["heat"])).resize(heat.shape[::-1], Image.Resampling.BILINEAR)
    assert np.corrcoef(np.asarray(given).ravel(), heat.ravel())[0, 1] > 0.999


def test_the_heat_map_of_another_class_is_one_more_pass(live, model, pictures):
    weights = [0.0] * 1000
    weights[779] = 1.0
    bus = array(live.evaluate(ASK, {"photo": 0, "wish": {"classWeights": weights, "maps": False}})["heat"])
    own = array(live.evaluate(ASK, {"photo": 0, "wish": {"maps": False}})["heat"])
    assert np.abs(bus - own).max() > 0.2


def test_the_page_asks_its_own_photos_in_this_browser_and_nobody_else(live, page_file):
    report = live.evaluate("() => explorerEngine.check()")
    facts = json.loads(re.search(r'id="vx-facts">(.*?)</script>', page_file.read_text(encoding="utf-8"))[1])
    assert report["passed"] and report["photos"] == report["same_top"] == 2
    assert report["largest_difference"] == pytest.approx(facts["report"]["largest_difference"], abs=2e-4)
    assert {url.split(":")[0] for url in live.asked} <= {"file", "blob", "data"}
    assert [url for url in live.asked if url.startswith("file:")] == [page_file.as_uri()]
    assert not live.js_errors


def test_the_policy_holds_whatever_a_script_tries(live):
    tried = live.evaluate("""async () => {
      const refused = [];
      document.addEventListener('securitypolicyviolation', (event) => refused.push(event.effectiveDirective));
      await fetch('https://example.org/').catch(() => {});
      new Image().src = 'https://example.org/a.png';
      await new Promise((done) => setTimeout(done, 50));
      return refused;
    }""")
    assert {"connect-src", "img-src"} <= set(tried)
    live.js_errors.clear()  # of the two refusals


def test_of_many_camera_frames_the_newest_is_answered(live):
    answered = live.evaluate("""async () => {
      const frame = await explorerEngine.photo(0);
      const asked = [0, 1, 2, 3].map(() => explorerEngine.latest(0, frame, { maps: false }));
      return (await Promise.all(asked)).map((one) => one !== null);
    }""")
    assert answered == [True, False, False, True]


@pytest.mark.parametrize(("lacking", "sentence"), [
    ("WebAssembly.validate = () => false", "has no SIMD"),
    ("delete globalThis.WebAssembly", "has no WebAssembly"),
    ("delete globalThis.DecompressionStream", "can't unpack what the page carries"),
])
def test_an_old_browser_gets_a_sentence(lacking, sentence, page, page_file, expect):
    page.add_init_script(lacking)
    page.goto(page_file.as_uri())
    expect(page.locator("body")).to_contain_text(sentence)


def test_a_page_that_is_not_whole_says_so(page, page_file, tmp_path, expect):
    whole = page_file.read_text(encoding="utf-8")
    letters = re.search(r'(id="vx-model-0"[^>]*>)([^<]*)<', whole)
    middle = letters.start(2) + len(letters[2]) // 8 * 4
    (tmp_path / "cut.html").write_text(whole[:middle] + whole[letters.end(2):], encoding="utf-8")
    page.goto((tmp_path / "cut.html").as_uri())
    expect(page.locator("body")).to_contain_text("its part vx-model-0 can't be unpacked", timeout=60_000)
