"""A live page's pixels and answers are the notebook's: its scripts, run by node, against explorer's Python."""

from __future__ import annotations

import io
import json
import subprocess
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from explorer.display import draw
from explorer.display.views import script, without_notes
from explorer.display.words import number_text
from explorer.inspection.live.assembling import _program
from explorer.inspection.look.answers import top_predictions
from explorer.inspection.look.frame import laid_over
from explorer.inspection.look.stops import even
from explorer.models.outputs import Outputs
from tests.widgets.test_parts_kit import node
from tests.widgets.test_style_sheets import LIVE


def run(work: str, **given: Any) -> Any:
    """What `work`, JavaScript with these things in `given`, leaves in `found`: through JSON, so numbers are
    exact but for NaN and infinity, which come as null.
    """
    files = ["pixels", "answering", "way"]
    program = "\n".join([script("kit").replace("export ", ""), *(without_notes(LIVE / f"{f}.js") for f in files),
                         f"const given = {json.dumps(given)}; let found;", work,
                         "console.log(JSON.stringify(found));"])
    done = subprocess.run([node(), "--input-type=module", "-"], input=program, capture_output=True, text=True,
                          timeout=60)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def maps_of(shape=(12, 30, 43)) -> np.ndarray:
    maps = np.random.default_rng(3).normal(size=shape).astype(np.float32)
    maps[4] = 2.5        # a channel that is the same everywhere
    maps[7] = maps[5]    # as strong as another
    return maps


MAPS = """
    const maps = { shape: given.shape, data: Float32Array.from(given.data) };
"""


def sent(maps: np.ndarray) -> dict[str, Any]:
    return {"shape": maps.shape, "data": maps.ravel().tolist()}


def test_the_strongest_maps_are_those_of_the_notebook():
    maps = maps_of()
    order = run(MAPS + "found = byStrength(strengthsOf(maps));", **sent(maps))
    assert order == np.argsort(-draw.strength(maps), kind="stable").tolist()


def test_a_value_has_the_colour_that_it_has_in_the_notebook():
    maps = maps_of()
    work = MAPS + """
        found = given.channels.map((channel) => {
          const { values, high, wide } = shrunken(channelOf(maps, channel), maps.shape[1], maps.shape[2], 20);
          return Array.from(pictureOfCodes(codesOf(values, rangeOf(values)), wide, high, codeColours(given.name)));
        });
    """
    for name in draw.COLORMAPS[:3]:
        pictures = run(work, name=name, channels=[0, 4, 11], **sent(maps))
        for channel, picture in zip([0, 4, 11], pictures, strict=True):
            there = Image.open(io.BytesIO(bytes(picture))).convert("RGB")
            here = draw.mosaic(draw.shrunk(maps[[channel]], 20), columns=1, gap=0, colormap=name)
            assert there.size == here.size
            # the sum of a block in another order may round the other way: to the next colour, seldom
            far = np.abs(np.asarray(there, int) - np.asarray(here, int)).max(axis=2)
            assert far.max() <= 8 and (far > 0).mean() < 0.01


def test_what_is_no_number_is_magenta_and_counts_for_nothing():
    maps = maps_of()[:2, :3, :4]
    maps[0, 0, :3] = np.nan, np.inf, -np.inf
    text = json.dumps(maps.ravel().tolist())
    for odd, word in (("-Infinity", "-1e999"), ("Infinity", "1e999"), ("NaN", "null")):
        text = text.replace(odd, word)
    work = (f"const data = Float32Array.from({text}, (one) => one ?? NaN), maps = {{ shape: [2, 3, 4], data }};"
            "const values = channelOf(maps, 0);"
            "found = [Array.from(codesOf(values, rangeOf(values))), Array.from(strengthsOf(maps))];")
    codes, strengths = run(work)
    assert codes == draw.normalise(maps[:1]).ravel().tolist()
    assert strengths == pytest.approx(draw.strength(maps))


def test_a_heat_map_lies_over_the_photo_as_explain_lays_it():
    heat = np.random.default_rng(5).uniform(size=(7, 9)).astype(np.float32)
    box = (-10.5, 20.25, 150.75, 110.0)  # left, top, right, bottom; outside of the photo on one side
    edges = dict(zip(("left", "top", "right", "bottom"), box, strict=True))
    work = MAPS + "found = Array.from(laidOver(maps, { wide: 160, high: 120, ...given.edges }));"
    there = np.array(run(work, edges=edges, **sent(heat))).reshape(120, 160)
    assert there == pytest.approx(laid_over(heat / heat.max(), (160, 120), box), abs=1e-5)


@pytest.mark.parametrize("kind", ["one", "several", "yes/no", "numbers"])
def test_answers_come_in_the_notebooks_order_and_words(kind):
    width = 1 if kind == "yes/no" else 6
    raw = torch.tensor([40.0, 41.0, -3.0, 39.5, 0.0, 12345.678][-width:]) * (1 if kind == "numbers" else 0.01)
    labels = ("no", "yes") if kind == "yes/no" else tuple(f"kind {i}" for i in range(width))
    outputs = Outputs(kind, labels)
    shares = outputs.values(raw) if kind == "numbers" else outputs.probabilities(raw)
    work = """
        found = answersOf({ labels: given.labels, outputs: { kind: given.kind } }, null, given)
          .map(({ index, label, value }) => [index, label, value]);
    """
    here = [[one.index, one.label, one.text] for one in top_predictions(raw, outputs, 10)]
    assert run(work, kind=kind, labels=labels, logits=raw.tolist(), shares=shares.tolist()) == here


def test_the_heat_map_of_an_answer_is_of_its_own_score():
    work = """
        found = [weightsFor({ labels: ["no", "yes"], outputs: { kind: "yes/no" } }, 0), weightsFor({ labels: ["no", "yes"],
          outputs: { kind: "yes/no" } }, 1), weightsFor({ labels: ["a", "b", "c"], outputs: { kind: "one" } }, 2)].map((one) => [...one]);
    """
    assert run(work) == [[-1], [1], [0, 0, 1]]


def test_numbers_are_written_as_in_the_notebook():
    values = [0.0, 12.34, 12.345678, -0.5, 9999.4, 9999.6, 123456.0, 1e-4, 9.9999e-5, 1.5e20, 100.0, -3e-9]
    assert run("found = given.values.map(numberText);", values=values) == list(map(number_text, values))


def test_five_stages_are_chosen_as_the_notebook_chooses_them():
    counts = list(range(1, 30))
    assert run("found = given.counts.map((count) => evenly(count, 5));", counts=counts) == [even(n, 5) for n in counts]


def test_the_pages_scripts_are_one_module_without_a_name_twice(tmp_path):
    (tmp_path / "page.mjs").write_text(_program(), encoding="utf-8")
    done = subprocess.run([node(), "--check", str(tmp_path / "page.mjs")], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
