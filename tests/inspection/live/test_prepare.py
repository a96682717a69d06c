"""A photo becomes the same numbers in the page as in Python, to the last bit."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest
from PIL import Image

from explorer.data.samples import sample_photos
from explorer.data.transforms import create_transform, crop_box
from explorer.inspection.live.modelled import rows_first
from tests.inspection.live.node import as_json, page_script, run_script

IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
SIZES = ((37, 23), (23, 37), (64, 64), (200, 131), (131, 200), (400, 9), (9, 400), (5, 1), (1, 5), (1, 1),
         (73, 72))
READER = """
import { readFileSync, writeFileSync } from "node:fs";
const photos = readFileSync("photos.bin"), crops = [];
let start = 0;
const outputs = ASKED.map(({ width, height, config }) => {
  const count = width * height * 4;
  const pixels = new Uint8ClampedArray(photos.buffer, photos.byteOffset + start, count);
  start += count;
  const { data, crop } = prepare({ width, height, pixels }, config);
  crops.push(crop);
  return Buffer.from(data.buffer);
});
writeFileSync("inputs.bin", Buffer.concat(outputs));
console.log(JSON.stringify(crops));
"""


def noise(width: int, height: int) -> Image.Image:
    dice = np.random.default_rng(width * 1000 + height)
    return Image.fromarray(dice.integers(0, 256, (height, width, 3), dtype=np.uint8))


def both_ways(asked, folder):
    """[(what the page's prepare gives, its crop, what explorer's transform gives)] of [(photo, config)]."""
    rows = [{"width": photo.width, "height": photo.height, "config": {**config, "rows_first": rows_first()}}
            for photo, config in asked]
    (folder / "photos.bin").write_bytes(b"".join(photo.convert("RGBA").tobytes() for photo, _ in asked))
    script = f"const ASKED = {as_json(rows)};\n{page_script('prepare')}\n{READER}"
    crops = json.loads(run_script(script, folder))
    found = np.frombuffer((folder / "inputs.bin").read_bytes(), np.float32)
    start, pairs = 0, []
    for (photo, config), crop in zip(asked, crops, strict=True):
        wanted = create_transform(**config)(photo).numpy()
        given = found[start:start + wanted.size].reshape(wanted.shape)
        start += wanted.size
        pairs.append((given, crop, wanted))
    assert start == len(found)
    return pairs


def config(size=(3, 32, 32), interpolation="bicubic", crop_pct=0.875, crop_mode="center", **more):
    return {"input_size": size, "interpolation": interpolation, "crop_pct": crop_pct, "crop_mode": crop_mode,
            **IMAGENET, **more}


@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear", "nearest", "lanczos", "box", "hamming"])
def test_every_size_in_every_interpolation_is_equal_to_the_last_bit(interpolation, tmp_path):
    modes = itertools.product(((3, 32, 32), (3, 24, 40)), ("center", "squash", "border"), (0.875, 1.0))
    configs = [config(size, interpolation, share, mode) for size, mode, share in modes]
    asked = [(noise(*size), each) for size in SIZES for each in configs]
    for (photo, each), (given, _, wanted) in zip(asked, both_ways(asked, tmp_path), strict=True):
        np.testing.assert_array_equal(given, wanted, err_msg=f"{photo.size} {each}")


def test_a_share_above_one_leaves_a_border_and_grey_is_grey(tmp_path):
    grey = config((1, 28, 28), mean=(0.1307,), std=(0.3081,))
    asked = [(noise(*size), each) for size in SIZES
             for each in (config(crop_pct=1.3), config((3, 20, 30), crop_pct=1.15), grey)]
    for (photo, each), (given, _, wanted) in zip(asked, both_ways(asked, tmp_path), strict=True):
        np.testing.assert_array_equal(given, wanted, err_msg=f"{photo.size} {each}")


def test_real_photos_at_the_sizes_of_real_networks(tmp_path):
    photos = [Image.open(photo.path).convert("RGB") for photo in sample_photos()[:3]]
    configs = [config((3, 224, 224)), config((3, 299, 299), "bilinear", 0.95),
               config((3, 240, 240), crop_pct=0.9)]
    asked = [(photo, each) for photo in photos for each in configs]
    for given, _, wanted in both_ways(asked, tmp_path):
        np.testing.assert_array_equal(given, wanted)


def test_the_part_that_the_network_sees_is_told_in_the_photos_own_pixels(tmp_path):
    asked = [(noise(*size), each) for size in SIZES[:7] for each in (config(), config(crop_mode="border"))]
    for (photo, each), (_, crop, _) in zip(asked, both_ways(asked, tmp_path), strict=True):
        left, top, right, bottom = crop_box(photo.size, each)
        found = [crop["left"], crop["top"], crop["width"], crop["height"]]
        assert found == pytest.approx([left, top, right - left, bottom - top])
