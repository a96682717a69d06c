"""The live camera: frames a second from the picture to the answer on the screen, in a real JupyterLab.

    pip install "vision-explorer[test]"     # and Chromium: apt-get install chromium
    python tests/benchmarks/bench_camera.py           # --models NAME ..., --seconds 8

Chromium plays a film of a bundled photo as its camera. A frame is one when its answers, its heat map and the
maps of the stage in front are on the screen. Networks without weights on this computer get random ones, which
take as long.
"""

from __future__ import annotations

import argparse
import io
import math
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tests.benchmarks.bench_paint import notebook  # noqa: E402

MODELS = "tf_efficientnet_lite0", "resnet50"

CELL = """
import explorer
name = {model!r}
here = explorer.list_models(name, pretrained=True) and name.startswith("tf_efficientnet_lite")
dash = explorer.Dashboard(name if here else explorer.create_model(name))
dash.wait()
spent = []
dash
"""

# Whoever hears of a look last has it on the way to the page.
WATCH = """
dash.tabs.selected_index = list(dash.tabs.titles).index("Camera")
show = dash.camera._show
def watched(number, data, model, seen):
    show(number, data, model, seen)
    spent.append((1e3 * seen.seconds, 1e3 * seen.look.timing["forward"]))
dash.camera._show = watched
"""


def film(path: Path, frames: int = 40) -> None:
    """A bundled photo, seen by a camera that moves a little: JPEG pictures one behind the other."""
    import explorer

    photo = next(one for one in explorer.sample_photos() if one.title == "Beagle")
    picture, data = explorer.load_image(photo), b""
    height = 0.9 * picture.height
    for k in range(frames):
        left = (picture.width - height * 4 / 3) / 2 * (1 + 0.9 * math.sin(2 * math.pi * k / frames))
        file = io.BytesIO()
        box = (left, picture.height - height, left + height * 4 / 3, picture.height)
        picture.resize((640, 480), box=box).save(file, "JPEG", quality=90)
        data += file.getvalue()
    path.write_bytes(data)


def measured(model: str, seconds: float) -> dict[str, float]:
    """What `seconds` of the camera gave, after some to get warm.

    rate: frames a second that were answered and drawn; frame: milliseconds from the camera to the screen
    python, network: milliseconds of those, medians; sent, received: kilobytes a frame
    """
    with tempfile.TemporaryDirectory() as folder:
        film(Path(folder) / "camera.mjpeg")
        more = [f"--use-file-for-fake-video-capture={folder}/camera.mjpeg"]
        with notebook(CELL.format(model=model), more=more) as lab:
            page = lab.page
            lab.run_code(WATCH)
            page.get_by_role("button", name="Start the camera").click()
            answered = "() => Number(document.querySelector('.vx-camera').dataset.answers || 0)"
            page.wait_for_function(f"() => ({answered})() > 12")
            page.wait_for_timeout(1500)
            lab.run_code("spent.clear()")
            lab.traffic.clear()
            lab.asked.clear()
            before = page.evaluate(f"() => [({answered})(), performance.now()]")
            page.wait_for_timeout(1e3 * seconds)
            after = page.evaluate(f"() => [({answered})(), performance.now()]")
            count, taken = after[0] - before[0], after[1] - before[1]
            sent, received = sum(lab.asked), sum(lab.traffic)
            python, network = map(float, lab.run_code(
                "import statistics\nprint(*(statistics.median(one) for one in zip(*spent)))").split())
    return {"rate": 1e3 * count / taken, "frame": taken / count, "python": python, "network": network,
            "sent": sent / count / 1e3, "received": received / count / 1e3}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", default=list(MODELS))
    parser.add_argument("--seconds", type=float, default=8.0)
    options = parser.parse_args()
    rows = {model: measured(model, options.seconds) for model in options.models}
    parts = list(next(iter(rows.values())))
    print(f"{'':28}" + "".join(f"{part:>10}" for part in parts) + "   (frames a second; ms; kB a frame)")
    for model, found in rows.items():
        print(f"{model:28}" + "".join(f"{found[part]:10.1f}" for part in parts))


if __name__ == "__main__":
    main()
