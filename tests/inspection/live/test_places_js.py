"""Boxes and masks come out of the page's scripts as they come out of explorer; photos go in alike."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from PIL import Image

import explorer
from explorer.inspection.export.parts import Portable, opened
from explorer.inspection.export.places import box_facts, frame_of, framed, place_preprocessing, read_boxes
from explorer.inspection.live.modelled import rows_first
from explorer.inspection.look.model import evaluating
from explorer.inspection.segment.enlarging import mask_of, probability_of
from explorer.inspection.segment.segmenting import two_classes
from tests.inspection.live.node import as_json, page_script, run_script
from tests.models.oracle import randomise

SIZES = ((37, 23), (23, 37), (64, 64), (131, 200), (90, 7), (7, 90), (1, 1), (200, 20))
DETECTORS = {
    "retinanet": {"backbone": "resnet10t", "img_size": (64, 96)},
    "efficientdet_d0": {"img_size": 128},
    "yolov5n": {"img_size": 96},
    "torchvision/fcos_resnet50_fpn": {"img_size": (64, 96)},
    "torchvision/ssdlite320_mobilenet_v3_large": {},
}
FRAMES = """
import { readFileSync, writeFileSync } from "node:fs";
const photos = readFileSync("photos.bin");
let start = 0;
const places = [], outputs = ASKED.map(({ width, height, config }) => {
  const count = width * height * 4;
  const pixels = new Uint8ClampedArray(photos.buffer, photos.byteOffset + start, count);
  start += count;
  const result = prepare({ width, height, pixels }, config);
  places.push(placeOf(result, { width, height }, config.input_size));
  return Buffer.from(result.data.buffer);
});
writeFileSync("inputs.bin", Buffer.concat(outputs));
console.log(JSON.stringify(places));
"""
BOXES = """
import { readFileSync } from "node:fs";
const floats = (name) => new Float32Array(new Uint8Array(readFileSync(name)).buffer);
const raw = { boxes: { data: floats("boxes.bin") }, scores: { data: floats("scores.bin"), shape: SHAPE } };
const found = boxesOf(raw, TOLD, PLACE).filter(({ score }) => score > TOLD.score_threshold);
console.log(JSON.stringify(found));
"""
MASKS = """
import { readFileSync, writeFileSync } from "node:fs";
const data = new Float32Array(new Uint8Array(readFileSync("scores.bin")).buffer);
const scores = { data, shape: SHAPE };
const mask = maskOf(scores, INSIDE, ...SIZE);
writeFileSync("mask.bin", mask);
const shares = sharesAt(scores, INSIDE, ...SIZE, ...AT);
console.log(JSON.stringify([kindsIn(mask, LABELS), shares, maskOfRuns([3, 2, 0, 1], 3)]));
"""


def noise(width: int, height: int) -> Image.Image:
    dice = np.random.default_rng(width * 1000 + height)
    coarse = dice.integers(0, 256, (-(-height // 4), -(-width // 4), 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((width, height))


def scripts(*names: str) -> str:
    return "\n".join(page_script(name) for name in names)


def detector(name: str, classes: int = 3) -> explorer.VisionModel:
    """Random, and sure enough of itself that there is something to choose."""
    model = explorer.create_model(name, num_classes=classes, **DETECTORS[name])
    randomise(model)
    return model.eval()


def frames_both_ways(model, frame, folder):
    config = place_preprocessing(model, frame) | {"rows_first": rows_first()}
    photos = [noise(*size) for size in SIZES]
    asked = [{"width": photo.width, "height": photo.height, "config": config} for photo in photos]
    (folder / "photos.bin").write_bytes(b"".join(photo.convert("RGBA").tobytes() for photo in photos))
    script = f"const ASKED = {as_json(asked)};\n{scripts('prepare', 'frames', 'boxes')}\n{FRAMES}"
    places = json.loads(run_script(script, folder))
    found = np.frombuffer((folder / "inputs.bin").read_bytes(), np.float32).reshape(len(photos), 3, *frame)
    return photos, found, places


@pytest.mark.parametrize("name", DETECTORS)
def test_a_photo_comes_into_a_detectors_frame_as_in_python(name, tmp_path):
    model = detector(name)
    frame = frame_of(model, [(20, 30), (30, 20)])
    photos, found, places = frames_both_ways(model, frame, tmp_path)
    for photo, given, place in zip(photos, found, places, strict=True):
        wanted, where = framed(model, photo, frame)
        np.testing.assert_allclose(given, wanted[0].numpy(), atol=2e-5, err_msg=str(photo.size))
        assert (place["down"], place["across"]) == pytest.approx(where.scale)
        assert (place["top"], place["left"]) == pytest.approx(where.corner, abs=1e-9)
        assert (place["rows"], place["columns"]) == where.inside


@pytest.mark.parametrize("size", [32, (32, 64)])
def test_a_photo_comes_into_a_segmenters_frame_to_the_last_bit(size, tmp_path):
    model = explorer.create_model("unet", backbone="resnet10t", num_classes=3, img_size=size).eval()
    frame = frame_of(model, [(23, 37), (64, 64)])
    photos, found, _ = frames_both_ways(model, frame, tmp_path)
    for photo, given in zip(photos, found, strict=True):
        wanted, _ = framed(model, photo, frame)
        np.testing.assert_array_equal(given, wanted[0].numpy(), err_msg=str(photo.size))


@pytest.mark.parametrize("name", DETECTORS)
def test_raw_boxes_become_those_that_explorer_detects(name, tmp_path):
    model, photo = detector(name), noise(90, 60)
    frame = frame_of(model, [(60, 90)])
    with torch.no_grad(), evaluating(model):
        image, place = framed(model, photo, frame)
        results = Portable(opened(model, None))(image)
        told = box_facts(model, frame)
    told["score_threshold"] = float(results["scores"].flatten().sort().values[-40:][0])
    wanted = explorer.detect(model, photo, score_threshold=told["score_threshold"])
    mine = read_boxes(results["boxes"][0], results["scores"][0], told, place)
    assert len(wanted) > 1
    torch.testing.assert_close(mine.boxes, wanted.boxes, atol=1e-3, rtol=1e-5)
    for key in ("boxes", "scores"):
        (tmp_path / f"{key}.bin").write_bytes(results[key].contiguous().numpy().tobytes())
    at = {"down": place.scale[0], "across": place.scale[1], "top": place.corner[0], "left": place.corner[1],
          "rows": place.inside[0], "columns": place.inside[1], "width": photo.width, "height": photo.height}
    shape = as_json(list(results["scores"].shape))
    given = f"const SHAPE = {shape}, TOLD = {as_json(told)}, PLACE = {as_json(at)};"
    found = json.loads(run_script(f"{given}\n{page_script('boxes')}\n{BOXES}", tmp_path))
    assert [one["index"] for one in found] == wanted.indices.tolist()
    np.testing.assert_allclose([one["box"] for one in found], wanted.boxes.numpy(), atol=1e-2)
    np.testing.assert_allclose([one["score"] for one in found], wanted.scores.numpy(), atol=1e-6)


@pytest.mark.parametrize("kinds", [1, 2, 21, 300])
def test_scores_become_the_mask_that_explorer_makes(kinds, tmp_path):
    inside, size = (13, 17), (60, 45)
    dice = torch.Generator().manual_seed(kinds)
    scores = torch.randn(1, kinds, 16, 24, generator=dice)
    (tmp_path / "scores.bin").write_bytes(scores.numpy().tobytes())
    labels = [f"kind {index}" for index in range(max(kinds, 2))]
    given = (f"const SHAPE = {as_json(list(scores.shape))}, LABELS = {as_json(labels)}; "
             "const INSIDE = [17, 13], SIZE = [45, 60], AT = [31, 22];")
    told, shares, runs = json.loads(run_script(f"{given}\n{page_script('masks')}\n{MASKS}", tmp_path))
    both = two_classes(scores[0, :, :inside[0], :inside[1]])
    wanted = mask_of(both, size).numpy()
    found = np.frombuffer((tmp_path / "mask.bin").read_bytes(), np.uint8 if kinds <= 256 else np.uint16)
    assert (found.reshape(size) == wanted).mean() > 0.999
    counts = np.bincount(wanted.ravel(), minlength=len(labels))
    assert told[0]["share"] == pytest.approx(counts.max() / wanted.size, abs=1e-3)
    likely = [float(probability_of(both, size, index)[22, 31]) for index in range(len(labels))]
    assert shares == pytest.approx(likely, abs=1e-4)
    assert runs == {"0": 3, "1": 3, "2": 0}


def test_torchs_boxes_are_looked_for_among_those_of_the_browser(tmp_path):
    script = page_script("boxes") + """
const told = { candidates: ["of all", 10], levels: [2], lowest: 0.02, score_threshold: 0.3,
               iou_threshold: 0.5, most: 10, cut: "pixels" };
const model = { boxes: told, preprocessing: { input_size: [3, 10, 10] } };
const source = { width: 10, height: 10 };
const scores = { shape: [1, 2, 1], data: Float32Array.of(0.8, 0.25) };
const result = { raw: { boxes: { data: Float32Array.of(1, 1, 5, 5, 6, 6, 9, 9) }, scores },
                 crop: { left: 0, top: 0, width: 10, height: 10 }, resized: [10, 10] };
const ask = (boxes) => comparedBoxes({ boxes }, result, model, { limit: 0.01 }, source);
const near = [1, 1, 5, 5, 0.805, 0], other = [6, 6, 9, 9, 0.9, 1], faint = [0, 6, 2, 9, 0.305, 0];
console.log(JSON.stringify([near, other, faint].map((box) => ask([box]))));
"""
    near, another_class, at_the_threshold = json.loads(run_script(script, tmp_path))
    assert near == {"same": True, "difference": pytest.approx(0.005, abs=1e-6)}
    assert another_class["same"] is False
    assert at_the_threshold == {"same": True, "difference": 0}
