"""From a click to the answer on the screen: the dashboard in a real JupyterLab in a real Chromium.

    pip install "vision-explorer[test]"     # and Chromium: apt-get install chromium
    python tests/benchmarks/bench_paint.py

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


@contextmanager
def notebook():
    """A page of JupyterLab with a dashboard in it, as the browser tests have it."""
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
        browser = driver.chromium.launch(executable_path=chromium, headless=True, args=CHROMIUM_ARGS)
        stack.callback(browser.close)
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.set_default_timeout(60_000)
        lab = Lab(page, *server)
        lab.traffic = []

        def listen(socket) -> None:
            socket.on("framereceived", lambda data: lab.traffic.append(len(data)))
        page.on("websocket", listen)
        lab.open_cells(CELL.format(model=MODELS[0]))
        stack.callback(lab.close)
        lab.run_all()
        page.locator(".vx-predictions li").first.wait_for()
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=9)
    options = parser.parse_args()
    rows = measured(options.repeats)
    parts = list(rows["photo click"])
    print(f"ms from the click, medians of {options.repeats}")
    print(f"{'':16}" + "".join(f"{part:>11}" for part in parts))
    for click, found in rows.items():
        print(f"{click:16}" + "".join(f"{found[part]:11.1f}" for part in parts))


if __name__ == "__main__":
    main()
