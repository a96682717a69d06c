"""A live page's pixels and answers are the notebook's: its scripts in Node, against explorer."""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from explorer.display import draw
from explorer.display.words import number_text
from explorer.inspection.live.assembling import _program
from explorer.inspection.look.answers import top_predictions
from explorer.inspection.look.frame import laid_over
from explorer.inspection.look.stops import even
from explorer.models.outputs import Outputs
from tests.inspection.live import node
from tests.inspection.live.page_scripts import run_script

MAPS = "const maps = { shape: given.shape, data: Float32Array.from(given.data, (one) => one ?? NaN) };\n"

Run = Callable[..., Any]


@pytest.fixture
def run(tmp_path) -> Run:
    """run(JavaScript that returns something, what `given` holds in it) -> what it returns, through JSON."""
    files = ["pixels.js", "answering.js", "way.js"]
    return lambda work, **given: run_script(files, work, tmp_path, given)


def maps_of(shape: tuple[int, int, int] = (12, 30, 43)) -> np.ndarray:
    maps = np.random.default_rng(3).normal(size=shape).astype(np.float32)
    maps[4] = 2.5        # a channel that is the same everywhere
    maps[7] = maps[5]    # as strong as another
    return maps


def sent(maps: np.ndarray) -> dict[str, Any]:
    """Maps as `MAPS` takes them; what is no number as JSON can say it."""
    odd = {math.inf: 1e39, -math.inf: -1e39}  # too large for a float32: infinite there
    values = [None if value != value else odd.get(value, value) for value in maps.ravel().tolist()]
    return {"shape": maps.shape, "data": values}


def test_the_strongest_maps_are_those_of_the_notebook(run):
    maps = maps_of()
    order = run(MAPS + "return byStrength(strengthsOf(maps));", **sent(maps))
    assert order == np.argsort(-draw.strength(maps), kind="stable").tolist()


@pytest.mark.parametrize("name", ["viridis", "magma", "grey"])
def test_a_value_has_the_colour_that_it_has_in_the_notebook(run, name):
    maps, channels = maps_of(), [0, 4, 11]
    work = MAPS + """
        return given.channels.map((channel) => {
          const [, high, wide] = maps.shape, less = shrunken(channelOf(maps, channel), high, wide, 20);
          const codes = codesOf(less.values, rangeOf(less.values));
          return Array.from(pictureOfCodes(codes, less.wide, less.high, codeColours(given.name)));
        });
    """
    pictures = run(work, name=name, channels=channels, **sent(maps))
    for channel, picture in zip(channels, pictures, strict=True):
        there = Image.open(io.BytesIO(bytes(picture))).convert("RGB")
        here = draw.mosaic(draw.shrunk(maps[[channel]], 20), columns=1, gap=0, colormap=name)
        assert there.size == here.size
        # the sum of a block in another order may round the other way: to the next colour, seldom
        far = np.abs(np.asarray(there, int) - np.asarray(here, int)).max(axis=2)
        assert far.max() <= 8 and (far > 0).mean() < 0.01


def test_what_is_no_number_is_magenta_and_counts_for_nothing(run):
    maps = maps_of()[:2, :3, :4]
    maps[0, 0, :3] = np.nan, np.inf, -np.inf
    work = MAPS + """
        const values = channelOf(maps, 0);
        const codes = codesOf(values, rangeOf(values)), magenta = codeColours("grey")[255];
        return [Array.from(codes), Array.from(strengthsOf(maps)), magenta];
    """
    codes, strengths, magenta = run(work, **sent(maps))
    assert codes == draw.normalise(maps[:1]).ravel().tolist()
    assert strengths == pytest.approx(draw.strength(maps))
    assert magenta == 0xFFFF00FF


def test_a_heat_map_lies_over_the_photo_as_explain_lays_it(run):
    heat = np.random.default_rng(5).uniform(size=(7, 9)).astype(np.float32)
    box = (-10.5, 20.25, 150.75, 110.0)  # left, top, right, bottom; outside of the photo on one side
    edges = dict(zip(("left", "top", "right", "bottom"), box, strict=True))
    work = MAPS + "return Array.from(laidOver(maps, { wide: 160, high: 120, ...given.edges }));"
    there = np.array(run(work, edges=edges, **sent(heat))).reshape(120, 160)
    assert there == pytest.approx(laid_over(heat / heat.max(), (160, 120), box), abs=1e-5)


@pytest.mark.parametrize("kind", ["one", "several", "yes/no", "numbers"])
def test_answers_come_in_the_notebooks_order_and_words(run, kind):
    width = 1 if kind == "yes/no" else 6
    raw = torch.tensor([40.0, 41.0, -3.0, 39.5, 0.0, 12345.678][-width:]) * (1 if kind == "numbers" else 0.01)
    labels = ("no", "yes") if kind == "yes/no" else tuple(f"kind {i}" for i in range(width))
    outputs = Outputs(kind, labels)
    shares = outputs.values(raw) if kind == "numbers" else outputs.probabilities(raw)
    work = """
        const model = { labels: given.labels, outputs: { kind: given.kind } };
        return answersOf(model, null, given).map(({ index, label, value }) => [index, label, value]);
    """
    here = [[one.index, one.label, one.text] for one in top_predictions(raw, outputs, 10)]
    assert run(work, kind=kind, labels=labels, logits=raw.tolist(), shares=shares.tolist()) == here


def test_a_network_without_classes_answers_nothing_before_some_are_learnt(run):
    work = """
        const none = { labels: [], outputs: { kind: "" } };
        const result = { logits: null, shares: null, embedding: [1] };
        const learnt = { labels: ["cup", "hand"], shares: () => [0.25, 0.75] };
        const labels = answersOf(none, learnt, result).map(({ label }) => label);
        return [answersOf(none, null, result), labels];
    """
    assert run(work) == [[], ["hand", "cup"]]


def test_the_heat_map_of_an_answer_is_of_its_own_score(run):
    work = """
        const yesNo = { labels: ["no", "yes"], outputs: { kind: "yes/no" } };
        const one = { labels: ["a", "b", "c"], outputs: { kind: "one" } };
        const found = [weightsFor(yesNo, 0), weightsFor(yesNo, 1), weightsFor(one, 2)];
        return found.map((weights) => [...weights]);
    """
    assert run(work) == [[-1], [1], [0, 0, 1]]


def test_numbers_are_written_as_in_the_notebook(run):
    values = [0.0, 12.34, 12.345678, -0.5, 9999.4, 9999.6, 123456.0, 1e-4, 9.9999e-5, 1.5e20, 100.0, -3e-9]
    assert run("return given.values.map(numberText);", values=values) == list(map(number_text, values))


def test_five_stages_are_chosen_as_the_notebook_chooses_them(run):
    counts = list(range(1, 30))
    chosen = run("return given.counts.map((count) => evenly(count, 5));", counts=counts)
    assert chosen == [even(count, 5) for count in counts]


def test_the_pages_scripts_are_one_module_without_a_name_twice(tmp_path):
    (tmp_path / "page.mjs").write_text(_program(), encoding="utf-8")
    check = """
        import { spawnSync } from "node:child_process";
        console.log(String(spawnSync(process.execPath, ["--check", "page.mjs"]).stderr));
    """
    assert node.run_script(check, tmp_path).strip() == ""
