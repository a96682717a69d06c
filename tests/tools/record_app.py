"""Record the README's animated picture: the app in a real JupyterLab, as a reader uses it.

    python -m tests.tools.record_app          # writes assets/screenshots/app.webp

A photo is chosen and its maps flow, an answer tells where it comes from, one number of a map is computed, and
two classes are taught before a camera, which here plays two of the bundled photos. What is seen is what the
page showed; only the pointer, which no screenshot has, is drawn over it. Needs Chromium, as tests/browser.
"""

from __future__ import annotations

import base64
import io
import json
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL import Image

from explorer.data.samples import sample_photos
from tests.browser.labdriver import Lab
from tests.browser.server import CHROMIUM_ARGS, find_chromium, private_folders, serving

ROOT = Path(__file__).resolve().parents[2]
TARGET = ROOT / "assets" / "screenshots" / "app.webp"
WINDOW = {"width": 1180, "height": 800}
WIDTH = 880         # of the picture, in pixels
QUALITY = 62        # of WebP
MOST = 3_000_000    # bytes

POINTER = """(() => {
  const dot = document.createElement('div');
  dot.style.cssText = `position: fixed; z-index: 99999; width: 22px; height: 22px; margin: -11px 0 0 -11px;
    border-radius: 50%; background: rgba(224, 64, 32, .55); border: 2px solid white; pointer-events: none;
    box-shadow: 0 0 4px rgba(0, 0, 0, .5); left: 600px; top: 700px`;
  document.addEventListener('DOMContentLoaded', () => document.body.append(dot));
  document.addEventListener('mousemove', (event) => {
    dot.style.left = `${event.clientX}px`;
    dot.style.top = `${event.clientY}px`;
  }, true);
  for (const [kind, size] of [['mousedown', .7], ['mouseup', 1]])
    document.addEventListener(kind, () => { dot.style.transform = `scale(${size})`; }, true);
})();"""

# A camera that shows `window.played`, one of the photos given, turned by the hand that holds it.
CAMERA = """(() => {
  const canvas = Object.assign(document.createElement('canvas'), { width: 480, height: 360 });
  const pen = canvas.getContext('2d'), photos = __PHOTOS__;
  for (const name of Object.keys(photos)) {
    const image = new Image();
    image.src = photos[name];
    photos[name] = image;
  }
  window.played = Object.keys(photos)[0];
  let turn = 0;
  setInterval(() => {
    const image = photos[window.played], way = turn++ / 9;
    const scale = Math.max(480 / image.width, 360 / image.height) * (1.5 + .25 * Math.sin(way / 2));
    const [wide, high] = [image.width * scale, image.height * scale];
    pen.setTransform(1, 0, 0, 1, 240 + 40 * Math.sin(way), 180 + 20 * Math.cos(way));
    pen.rotate(.3 * Math.sin(way / 3));
    pen.drawImage(image, -wide / 2, -high / 2, wide, high);
  }, 60);
  navigator.mediaDevices.getUserMedia = async () => canvas.captureStream(15);
})();"""

OPENED = ("import os\nos.environ['XDG_DATA_HOME'] = os.path.abspath('classes')\nimport explorer\n"
          "dash = explorer.Dashboard()\ndash")


class Film:
    """Frames of a page with the milliseconds that each is shown."""

    def __init__(self, lab: Lab):
        self.lab, self.page = lab, lab.page
        self.frames: list[Image.Image] = []
        self.shown: list[int] = []
        self.at = (600.0, 700.0)

    @property
    def view(self) -> Any:
        return self.lab.outputs.locator(".vx-dashboard")

    def shot(self, milliseconds: int) -> None:
        """One frame; where nothing has changed, the one before is shown longer."""
        image = Image.open(io.BytesIO(self.page.screenshot())).convert("RGB")
        image = image.resize((WIDTH, round(image.height * WIDTH / image.width)), Image.Resampling.LANCZOS)
        if self.frames and image == self.frames[-1]:
            self.shown[-1] += milliseconds
        else:
            self.frames.append(image)
            self.shown.append(milliseconds)

    def shots(self, count: int, every: int) -> None:
        """So many frames, taken in the time in which they are shown."""
        for _ in range(count):
            self.shot(every)
            self.page.wait_for_timeout(every)

    def go(self, place: Any, across: float = 0.5, down: float = 0.5, steps: int = 3) -> None:
        """Move the pointer to a part of the page: a share of its width and height from its upper left."""
        box = place.bounding_box()
        to = (box["x"] + across * box["width"], box["y"] + down * box["height"])
        for step in range(1, steps + 1):
            share = step / steps
            share = share * share * (3 - 2 * share)
            self.page.mouse.move(*(a + (b - a) * share for a, b in zip(self.at, to)))
            self.shot(50)
        self.at = to

    def click(self, place: Any, across: float = 0.5, down: float = 0.5) -> None:
        self.go(place, across, down)
        self.page.mouse.down()
        self.shot(80)
        self.page.mouse.up()

    def scroll_to(self, place: Any, top: int, steps: int = 2) -> None:
        """Bring a part of the page so many pixels below the window's upper edge."""
        for step in range(steps):
            place.evaluate("""(el, [top, left]) => {
                let box = el.parentElement;
                while (box && !(box.scrollHeight > box.clientHeight + 1
                       && /auto|scroll/.test(getComputedStyle(box).overflowY))) box = box.parentElement;
                box?.scrollBy(0, (el.getBoundingClientRect().top - top) / left);
            }""", [top, steps - step])
            self.shot(60)

    def save(self, path: Path) -> None:
        first, *rest = self.frames
        first.save(path, save_all=True, append_images=rest, duration=self.shown, loop=0, quality=QUALITY,
                   method=6, minimize_size=False, allow_mixed=False)


@contextmanager
def opened() -> Iterator[Lab]:
    """JupyterLab with a dashboard in it, before the window, without its side bars."""
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=30_000)
    with tempfile.TemporaryDirectory(prefix="film-") as folder, sync_playwright() as driver:
        root = Path(folder, "notebooks")
        root.mkdir()
        env = private_folders(Path(folder))
        with serving(env, root, Path(folder, "lab.log")) as server:
            browser = driver.chromium.launch(executable_path=find_chromium(), args=CHROMIUM_ARGS)
            page = browser.new_context(viewport=WINDOW, permissions=["camera"]).new_page()
            page.set_default_timeout(30_000)
            page.add_init_script(POINTER)
            page.add_init_script(CAMERA.replace("__PHOTOS__", _played("cat_tabby", "espresso")))
            lab = Lab(page, *server)
            lab.open_cells(OPENED, name="my first look.ipynb")
            lab.run_all()
            lab.run_code("dash.wait()")
            run = "(command) => window.jupyterapp.commands.execute(command)"
            for command in ("application:toggle-left-area", "notebook:hide-all-cell-code"):
                page.evaluate(run, command)
            yield lab
            lab.close()
            browser.close()


def _played(*names: str) -> str:
    photos = {photo.name: photo.path for photo in sample_photos() if photo.name in names}
    return json.dumps({name: "data:image/jpeg;base64," + base64.b64encode(photos[name].read_bytes()).decode()
                       for name in names})


def record(film: Film) -> None:
    from playwright.sync_api import expect

    view, page = film.view, film.page
    expect(view.locator(".vx-flow-stop img").last).to_be_visible()
    film.scroll_to(view, 90, steps=1)
    film.frames.clear()
    film.shown.clear()
    film.shot(600)
    _photo(film, expect)
    _why(film, expect)
    _number(film, expect)
    _teach(film, expect)
    assert page.locator(".jp-OutputArea-output[data-mime-type='application/vnd.jupyter.stderr']").count() == 0


def _photo(film: Film, expect: Any) -> None:
    """A photo is chosen: its maps flow, and a cell tells what it is computed from."""
    view = film.view
    film.click(view.locator(".vx-gallery").get_by_role("option", name="Burger"))
    film.shots(4, 70)
    expect(view.locator(".vx-answers .vx-name").first).to_have_text("cheeseburger")
    film.shot(800)
    flow = "dash.predictions.flow"
    image = view.locator(".vx-flow-stop[data-stop='blocks.2'] img").first
    film.go(image, 0.2, 0.2)  # the first time it is computed which pixels each cell reads
    film.lab.expect_code(f"print(sorted({flow}._reads) == sorted({flow}.stops))", "True\n", seconds=30)
    film.go(image, 0.6, 0.6, steps=2)
    expect(view.locator(".vx-flow-frame").first).to_be_visible()
    film.shot(250)
    film.go(view.locator(".vx-flow-stop[data-stop='blocks.4'] img").first, 0.5, 0.5)
    film.shot(600)


def _why(film: Film, expect: Any) -> None:
    """A click on an answer: where in the photo it comes from."""
    view = film.view
    film.click(view.locator(".vx-answer").first)
    expect(view.locator(".vx-explain .vx-view").first).to_have_attribute("data-heat", "yes")
    film.scroll_to(view.locator(".widget-tab").first, 90)
    film.shot(1100)


def _number(film: Film, expect: Any) -> None:
    """A stage, one of its maps, one cell of it: how the number there is computed."""
    view = film.view
    film.scroll_to(view, 90)
    film.click(view.locator(".vx-flow-stop[data-stop='blocks.2']").first)
    expect(view.locator(".vx-mosaic-title").first).to_contain_text("blocks.2")
    film.scroll_to(view.locator(".widget-tab").first, 90)
    film.click(view.locator(".vx-mosaic-canvas"), 0.12, 0.12)
    film.shot(150)
    film.click(view.locator(".vx-mosaic-big"), 0.5, 0.4)
    number = view.locator(".vx-number")
    expect(number).to_have_attribute("data-module", "blocks.2")
    film.scroll_to(number, 90)
    film.shot(500)
    film.click(number.locator(".vx-number-row .vx-number-link").first)  # behind it: patch x kernel
    expect(number.locator(".vx-number-grid")).to_have_count(3)
    film.shot(1100)


def _teach(film: Film, expect: Any) -> None:
    """Two classes before the camera, and it tells them apart."""
    page, view = film.page, film.view
    panel = view.locator(".vx-teach")
    film.scroll_to(view.locator(".widget-tab").first, 90)
    film.click(page.get_by_role("tab", name="Teach", exact=True))
    for number, name in enumerate(("cat", "cup")):
        panel.locator(".vx-shelf-card").nth(number).get_by_role("textbox").fill(name)
        page.keyboard.press("Enter")
    panel.get_by_role("button", name="Start the camera").click()
    hold = panel.locator(".vx-shelf-hold")
    expect(hold.first).to_have_attribute("aria-disabled", "false")
    film.scroll_to(panel, 90)
    film.shot(300)
    for burst in (0, 1):  # a class is judged by photos of another burst
        for number, played in enumerate(("cat_tabby", "espresso")):
            page.evaluate("(name) => { window.played = name; }", played)
            page.wait_for_timeout(400)
            if not burst:
                film.go(hold.nth(number))
            else:
                hold.nth(number).hover()
            page.mouse.down()
            if not burst:
                film.shots(5, 110)
            else:
                page.wait_for_timeout(1200)
            page.mouse.up()
            film.lab.run_code("dash.teach.wait()")
    film.click(panel.get_by_role("button", name="Learn"))
    film.shots(2, 120)
    film.go(panel, 0.8, 0.95)  # out of the way
    for played, name in (("espresso", "cup"), ("cat_tabby", "cat")):
        page.evaluate("(name) => { window.played = name; }", played)
        expect(panel.locator(".vx-camera-key")).to_contain_text(f"What it looks at: {name}")
        expect(panel.locator(".vx-teach-left .vx-answer").first).to_contain_text(name)
        film.shots(5, 150)
    film.shot(700)


def main() -> int:
    with opened() as lab:
        film = Film(lab)
        record(film)
    film.save(TARGET)
    size, seconds = TARGET.stat().st_size, sum(film.shown) / 1000
    print(f"{TARGET.relative_to(ROOT)}: {len(film.frames)} frames, {seconds:.1f} s, {size / 1e6:.2f} MB")
    return 1 if size > MOST else 0


if __name__ == "__main__":
    sys.exit(main())
