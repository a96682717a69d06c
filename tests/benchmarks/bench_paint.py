"""From a click to the answer on the screen: the dashboard in a real JupyterLab in a real Chromium.

    pip install "vision-explorer[test]"     # and Chromium: apt-get install chromium
    python tests/benchmarks/bench_paint.py            # and with --boxes: the sliders over many boxes

A click on a photo, and one on "Open with trained weights". The page's own clock runs from the click to the
first frame drawn after everything in sight shows the new answer: the predictions, the photo as the network
sees it, and the feature maps. The kernel says when the click arrived and when it had told the page
everything, by the same computer's clock; medians.
"""

from __future__ import annotations

import argparse
import ast
import os
import statistics
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

MODELS = "tf_efficientnet_lite0", "tf_efficientnet_lite1"  # clicked on in turn; their weights are here

CELL = """
import resource, time
import explorer
dash = explorer.Dashboard({model!r})
arrived, told, network = [], [], []

def stamped(ask):
    def asked(*args, **options):
        arrived.append(1e3 * time.time())
        ask(*args, **options)
    return asked

def seen(change):  # the last that hears of a new look: all panels have drawn it
    if change["new"] is not None:
        told.append(1e3 * time.time())
        network.append(1e3 * (change["new"].timing["preprocess"] + change["new"].timing["forward"]))

dash.session.open_image = stamped(dash.session.open_image)
dash.session.open_model = stamped(dash.session.open_model)
dash.session.observe(seen, "look")
dash
"""

# Clicks what `target` finds in the dashboard; milliseconds until each part shows another answer, and until
# all do and a frame has been drawn. `clicked` is the moment by the computer's clock.
CLICK = """async (target) => {
  const view = document.querySelector('.vx-dashboard');
  const bars = () => view.querySelector('.vx-predictions')?.textContent;
  const photo = () => view.querySelector('.vx-panel img.widget-image')?.src;
  const maps = () => view.querySelector('.vx-mosaic').dataset.painted;
  const before = { bars: bars(), photo: photo(), maps: maps() };
  const now = { bars, photo, maps };
  const button = view.querySelector(target);
  const found = {};
  const start = performance.now();
  found.clicked = performance.timeOrigin + start;
  await new Promise((done, fail) => {
    const look = () => {
      for (const key in now)
        if (!(key in found) && now[key]() !== before[key]) found[key] = performance.now() - start;
      if (Object.keys(now).every((key) => key in found)) { watcher.disconnect(); done(); }
    };
    const watcher = new MutationObserver(look);
    watcher.observe(view, { subtree: true, childList: true, characterData: true, attributes: true });
    setTimeout(() => { watcher.disconnect(); fail(new Error('not seen: ' + JSON.stringify(found))); }, 30000);
    button.click();
  });
  await view.querySelector('.vx-panel img.widget-image').decode();
  // A frame's callbacks run before it is drawn; what they ask for in their turn runs after.
  const { port1, port2 } = new MessageChannel();
  await new Promise((done) => {
    port1.onmessage = done;
    requestAnimationFrame(() => port2.postMessage(0));
  });
  found.painted = performance.now() - start;
  return found;
}"""


BOXES = """
import explorer, torch
torch.manual_seed(0)
model = explorer.create_model("efficientdet_d0", num_classes=1)
last = model.class_net.predict.conv_pw
torch.nn.init.normal_(last.weight, std=0.3)
torch.nn.init.zeros_(last.bias)
model.most_candidates = 49_104  # all that it has
dash = explorer.Dashboard(model)
dash.wait()
dash.tabs.selected_index = list(dash.tabs.titles).index("Detect")
dash
"""

# A key on a slider; milliseconds until other boxes are drawn and the frame with them is on the screen.
SLIDE = """async ([label, key]) => {
  const panel = document.querySelector('.vx-detect'), view = panel.querySelector('.vx-view');
  const sliders = [...panel.querySelectorAll('.widget-hslider')];
  const slider = sliders.find((one) => one.textContent.includes(label));
  const handle = slider.querySelector('.noUi-handle'), before = view.dataset.drawn;
  const start = performance.now();
  handle.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true, cancelable: true }));
  await new Promise((done, fail) => {
    const watcher = new MutationObserver(() => {
      if (view.dataset.drawn !== before) { watcher.disconnect(); done(); }
    });
    watcher.observe(view, { attributes: true });
    setTimeout(() => { watcher.disconnect(); fail(new Error('nothing was drawn')); }, 30000);
  });
  const { port1, port2 } = new MessageChannel();
  await new Promise((done) => { port1.onmessage = done; requestAnimationFrame(() => port2.postMessage(0)); });
  return performance.now() - start;
}"""


@contextmanager
def notebook(cell: str = CELL.format(model=MODELS[0]), ready: str = ".vx-predictions li", *,
             more: Sequence[str] = ()):
    """A page of JupyterLab with a dashboard in it, as the browser tests have it.

    more: arguments for Chromium. `lab.traffic` and `lab.asked` fill with the bytes of each message to the
    page and from it.
    """
    from playwright.sync_api import sync_playwright

    from tests.browser.labdriver import Lab
    from tests.browser.server import CHROMIUM_ARGS, find_chromium, private_folders, serving

    chromium = find_chromium()
    if chromium is None:
        raise SystemExit("Chromium is missing: apt-get install chromium, or name one in EXPLORER_CHROMIUM")
    with ExitStack() as stack:
        base = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="explorer-bench-")))
        env = private_folders(base) | {"JUPYTER_PREFER_ENV_PATH": "1"}
        env["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
        (base / "notebooks").mkdir()
        server = stack.enter_context(serving(env, base / "notebooks", base / "lab.log"))
        driver = stack.enter_context(sync_playwright())
        browser = driver.chromium.launch(executable_path=chromium, headless=True,
                                         args=[*CHROMIUM_ARGS, *more])
        stack.callback(browser.close)
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.set_default_timeout(60_000)
        lab = Lab(page, *server)
        lab.traffic, lab.asked = [], []

        def listen(socket) -> None:
            socket.on("framereceived", lambda data: lab.traffic.append(len(data)))
            socket.on("framesent", lambda data: lab.asked.append(len(data)))
        page.on("websocket", listen)
        lab.open_cells(cell)
        stack.callback(lab.close)
        lab.run_all()
        page.locator(ready).first.wait_for()
        lab.run_code("dash.wait()")
        yield lab


def clicked(lab: Any, target: str) -> dict[str, float]:
    """One click: milliseconds by part, the messages that it brought, and the kernel's peak memory in MB."""
    lab.traffic.clear()
    found = lab.page.evaluate(CLICK, target)
    frames, size = len(lab.traffic), sum(lab.traffic)
    arrived, told, network, peak = ast.literal_eval(lab.run_code(
        "dash.wait()\n"
        "print((arrived[-1], told[-1], network[-1], resource.getrusage(resource.RUSAGE_SELF).ru_maxrss))"))
    clicked = found.pop("clicked")
    return {**found, "arrived": arrived - clicked, "told": told - clicked, "network": network,
            "messages": frames, "kilobytes": size / 1e3, "peak": peak / 1e3}


def measured(repeats: int) -> dict[str, dict[str, float]]:
    """{click: {part: median}} in milliseconds from the click.

    bars, photo, maps: when each shows the new answer; painted: all, and drawn
    arrived: when the kernel heard of the click; told: when it had told the page everything; network: of that,
    preprocessing and the pass; messages, kilobytes: what came to the page; peak: MB that the kernel has held
    """
    found: dict[str, list[dict[str, float]]] = {"photo click": [], "backbone click": []}
    with notebook() as lab:
        view = lab.page.locator(".vx-dashboard")
        photos = view.locator(".vx-gallery-photo").count()
        for number in range(repeats + 2):
            place = 1 + (number + 1) % (photos - 1)
            found["photo click"].append(clicked(lab, f".vx-gallery-photo:nth-child({place})"))
            lab.page.wait_for_timeout(300)
        view.get_by_label("Search", exact=True).fill("tf_efficientnet_lite*")
        models = view.locator(".vx-models select")
        for name in MODELS:
            models.locator(f"option[value='{name}']").wait_for(state="attached")
        for number in range(repeats + 2):
            name = MODELS[(number + 1) % 2]
            models.select_option(value=name)
            button = view.get_by_role("button", name="Open with trained weights")
            view.locator(".vx-card", has_text=name).wait_for()
            button.evaluate("(one) => { one.dataset.benchOpen = '1'; }")
            found["backbone click"].append(clicked(lab, "[data-bench-open]"))
            lab.page.wait_for_timeout(300)
    return {click: {part: statistics.median(each[part] for each in rows[2:]) for part in rows[0]}
            for click, rows in found.items()}


def slid(repeats: int) -> dict[str, float]:
    """{slider: median milliseconds from a key on it to the frame with other boxes} of 49,104 candidates."""
    found: dict[str, list[float]] = {}
    with notebook(BOXES, ".vx-detect .vx-view[data-boxes]") as lab:
        count = lab.run_code("print(int((dash.detect.shown.candidates.scores > 0.02).sum()))")
        print(f"{int(count):,} candidates")
        lab.run_code("dash.detect.score.value = 0.3")
        for mode in ("after", "before"):
            lab.run_code(f"dash.detect.mode.value = '{mode}'")
            for slider in ("Score above", "Overlap up to")[:2 if mode == "after" else 1]:
                lab.page.wait_for_timeout(500)
                found[f"{slider}, {mode} NMS"] = [
                    lab.page.evaluate(SLIDE, [slider, "ArrowLeft" if number % 2 else "ArrowRight"])
                    for number in range(repeats + 2)]
    return {name: statistics.median(times[2:]) for name, times in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--boxes", action="store_true", help="the sliders over 49,104 candidates instead")
    options = parser.parse_args()
    if options.boxes:
        print(f"ms from a key on a slider to the frame with other boxes, medians of {options.repeats}")
        for name, taken in slid(options.repeats).items():
            print(f"{name:28}{taken:8.1f}")
        return
    rows = measured(options.repeats)
    parts = list(rows["photo click"])
    print(f"ms from the click, medians of {options.repeats}")
    print(f"{'':16}" + "".join(f"{part:>11}" for part in parts))
    for click, found in rows.items():
        print(f"{click:16}" + "".join(f"{found[part]:11.1f}" for part in parts))


if __name__ == "__main__":
    main()
