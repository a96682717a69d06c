"""Teach the networks for boxes and masks that come along with explorer, and write down how.

    python -m tests.tools.teach_shipped nuclei FOLDER    # train/ and val/, in each images/ and masks/
    python -m tests.tools.teach_shipped bccd FOLDER      # train.json, val.json, test.json and images/

Into `explorer/models/weights/shipped/` go the weights, in half precision, and beside them what they learnt
from, by which settings, and how good the file itself is on photos that were held out. Then

    python tests/tools/build_weights_table.py unet_lite0 retinanet_lite0

puts these facts into the table of weights, and the checksum belongs into `weights/packaged.py`. One thread,
so that a laptop does it too.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

import explorer
from explorer.data.places.opening import open_places
from explorer.data.places.place_set import PlaceSet, PlaceSplits, held_out
from explorer.models.contract import VisionModel

HOME = Path(explorer.__file__).parent / "models" / "weights" / "shipped"
BODY = "tf_efficientnet_lite0"
SEED = 0


@dataclass(frozen=True)
class Lesson:
    """What is taught: the architecture, its size of photo (height, width), the settings of `finetune`.

    source, licence: of the photos;  found_in: what is found in them, for a sentence
    """

    architecture: str
    tag: str
    task: str
    size: tuple[int, int]
    source: str
    licence: str
    found_in: str
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return f"{self.architecture}.{self.tag}"


LESSONS = {
    "nuclei": Lesson(
        "unet_lite0", "nuclei", "segmentation", (256, 256), licence="CC0",
        source="2018 Data Science Bowl, BBBC038 of the Broad Bioimage Benchmark Collection, "
               "https://bbbc.broadinstitute.org/BBBC038: 120 of its photos",
        found_in="nuclei of cells, in fluorescence and in stained tissue",
        settings=dict(epochs=12, train="all", lr=2e-3, body_lr=5e-4, batch_size=4, augment="standard",
                      loss="ce+dice")),
    "bccd": Lesson(
        "retinanet_lite0", "bccd", "detection", (240, 320), licence="MIT",
        source="BCCD, https://github.com/Shenggan/BCCD_Dataset, made smaller to 400 x 300 pixels",
        found_in="red and white blood cells and platelets",
        settings=dict(epochs=8, train="all", lr=2e-3, body_lr=5e-4, batch_size=8, augment="light")),
}


def photos_of(lesson: Lesson, folder: Path) -> tuple[PlaceSplits, PlaceSet, str]:
    """(photos to learn from and to choose the best epoch by, held-out ones, how they were split)."""
    if lesson.task == "detection":
        train, val, test = (open_places(folder / f"{part}.json", "detection")
                            for part in ("train", "val", "test"))
        said = "as BCCD has it: train.json to learn from, val.json to choose by, test.json held out"
        return PlaceSplits(lesson.tag, train, val), test, said
    both = open_places(folder, "segmentation")
    train, test = (replace(part, classes=("background", "nucleus"), named=True)
                   for part in (both.train, both.val))
    said = f"val/ held out; of train/ a fifth to choose by, drawn by seed {SEED}"
    return held_out(lesson.tag, train, 0.2, SEED), test, said


def untaught(lesson: Lesson) -> VisionModel:
    """The network with ImageNet's weights in its backbone, and random ones behind it."""
    torch.manual_seed(SEED)
    model = explorer.create_model(lesson.architecture, pretrained=True, backbone=BODY)
    return seeing(model, lesson)


def seeing(model: VisionModel, lesson: Lesson) -> VisionModel:
    model.config = model.config.with_(input_size=(3, *lesson.size))
    return model


def opened(lesson: Lesson, file: Path, classes: Sequence[str]) -> VisionModel:
    """The network with the weights of a file, prepared as it was taught."""
    model = explorer.create_model(lesson.architecture, checkpoint_path=file, num_classes=len(classes))
    body = explorer.create_model(BODY).config
    model.config = model.config.with_(input_size=(3, *lesson.size), labels=tuple(classes), mean=body.mean,
                                      std=body.std, interpolation=body.interpolation)
    return model.eval()


def scores(model: VisionModel, photos: PlaceSet) -> list[tuple[str, float]]:
    """What is measured on these photos, in per cent."""
    found = explorer.evaluate(model, photos)
    if model.task == "detection":
        rows = [("box AP50", found.ap50), ("box AP", found.map)]
        rows += [(f"{name} AP50", one.ap50) for name, one in found.per_class.items()]
    else:
        rows = [(f"{name} IoU", one.iou) for name, one in found.per_class.items()][1:]
        rows += [("mIoU", found.miou), ("pixel accuracy", found.accuracy)]
    return [(name, round(100 * float(value), 1)) for name, value in rows]


class Clock:
    """CPU seconds of a run, those of the pieces before it too, where it was broken off and went on; it prints
    how the run gets on.

    run_dir: of the run; None: it is done in one piece
    """

    def __init__(self, run_dir: Path | None):
        self.file = None if run_dir is None else run_dir.with_name(f"{run_dir.name}.seconds")
        self.before = float(self.file.read_text()) if self.file is not None and self.file.is_file() else 0.0
        self.begun, self.show = time.process_time(), explorer.training.print_progress()

    @property
    def seconds(self) -> float:
        return self.before + time.process_time() - self.begun

    def __call__(self, event: Any) -> None:
        self.show(event)
        if event.kind == "saved" and self.file is not None:
            self.file.write_text(f"{self.seconds:.1f}")


def teach(
    which: str, folder: Path, home: Path, run_dir: Path | None = None, **changes: Any
) -> dict[str, Any]:
    """Teach, save and measure; the facts that are written beside the weights."""
    lesson = LESSONS[which]
    settings = lesson.settings | changes
    splits, test, said = photos_of(lesson, folder)
    clock = Clock(run_dir)
    run = explorer.finetune(untaught(lesson), splits, seed=SEED, threads=1, device="cpu", run_dir=run_dir,
                            resume=run_dir is not None and run_dir.is_dir(),
                            on_event=clock, **settings)
    run.wait()
    worked = clock.seconds
    home.mkdir(parents=True, exist_ok=True)
    file = home / f"{lesson.name}.safetensors"
    tensors = {name: value.half() if value.is_floating_point() else value
               for name, value in run.model.state_dict().items()
               if not name.endswith("num_batches_tracked")}
    save_file({name: value.contiguous() for name, value in tensors.items()}, file)
    model = opened(lesson, file, splits.classes)
    facts = {
        "name": lesson.name,
        "file": file.name, "bytes": file.stat().st_size,
        "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
        "finds": lesson.found_in,
        "command": f"python -m tests.tools.teach_shipped {which} FOLDER",
        "seed": SEED, "settings": settings, "input_size": model.config.input_size,
        "mean": model.config.mean, "std": model.config.std, "interpolation": model.config.interpolation,
        "labels": splits.classes,
        "data": {"source": lesson.source, "licence": lesson.licence, "split": said,
                 "to learn from": len(splits.train), "to choose by": len(splits.val), "held out": len(test)},
        "backbone": f"{BODY}.in1k, apache-2.0",
        "scores on the held-out photos, %": scores(model, test),
        "best epoch": run.best["epoch"] + 1, "cpu seconds": round(worked), "threads": 1,
        "machine": f"one thread of a {os.cpu_count()}-core {platform.machine()} CPU, torch "
                   f"{torch.__version__.partition('+')[0]}",
    }
    text = json.dumps(facts, indent=1, ensure_ascii=False)
    (home / f"{lesson.name}.json").write_text(text + "\n", encoding="utf-8")
    return facts


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("which", choices=LESSONS)
    parser.add_argument("folder", type=Path, help="the photos, with boxes or masks")
    parser.add_argument("--epochs", type=int, help="another number than the lesson's, to try")
    parser.add_argument("--run-dir", type=Path, help="keep the run there, and go on from what is in it")
    parser.add_argument("--to", type=Path, default=HOME, help="where to write (default: into explorer)")
    args = parser.parse_args(argv)
    changes = {"epochs": args.epochs} if args.epochs else {}
    facts = teach(args.which, args.folder, args.to, args.run_dir, **changes)
    print(json.dumps(facts, indent=1, ensure_ascii=False))
    return 0


if __name__ == "__main__":
    sys.exit(main())
