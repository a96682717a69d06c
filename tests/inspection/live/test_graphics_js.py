"""When a live page goes over to the graphics card, and when it stays: with a stand-in for one, in Node."""

from __future__ import annotations

import pytest

from tests.inspection.live.page_scripts import run_script

SCRIPTS = ["answering.js", "head.js", "engine.js", "graphics.js"]
STAYS = "The model runs on the processor, one thread: "
# Two photos of a network of two classes; `given` says what the card does otherwise than the processor.
BODY = """
    const { share = 0.75, map = 1, ms = 5, offered = true, fails = null, hangs = null, then = [] } = given;
    const result = (first, level, ms) => ({ shares: [first, 1 - first], ms, embedding: null, heat: null,
        maps: { stem: { shape: [1, 1, 2], data: Float32Array.of(0, level) } } });
    const photos = [0, 1].map(() => ({ expected: [{ top: [[0, 0.75], [1, 0.25]] }] }));
    const facts = { models: [{ outputs: { kind: "one" } }], photos, report: { limit: 0.01, tie: 0.001 } };
    let passes = 0, ended = 0, processed = 0;
    const worker = { end: () => { ended += 1; }, ask: () => {
        passes += 1;
        if (passes === hangs) return new Promise(() => {});
        return passes >= (fails ?? 99) ? Promise.reject(new Error("Device lost.\\nat line 3"))
                                       : Promise.resolve(result(share, map, ms));
    } };
    const card = makeCard(facts, 0, { offered: async () => offered, start: async () => worker, patience: 20,
        load: async () => {}, photo: async () => ({}), compare: comparedClasses,
        onProcessor: async ({ torn = false }) => {
            processed += 1;
            if (torn) throw new Error("This photo is too long.");
            return result(0.75, 1, 40);
        } });
    const settled = new Promise((done) => card.on(done));
    const first = await card.run({});
    await settled;
    const after = { said: card.said, used: card.used, passed: card.passed }, answers = [];
    for (const wish of then) {
        if (typeof wish === "boolean") card.use(wish);
        else answers.push(await card.run(wish).then((one) => one.device, (error) => error.message));
    }
    return { first: first.device, ...after, answers, ended, now: [card.used, card.said] };
"""


def tried(folder, **given):
    # the tasks that this test has no network for
    stubs = "const comparedBoxes = null, comparedMasks = null;"
    (folder / "stubs.js").write_text(stubs, encoding="utf-8")
    return run_script([str(folder / "stubs.js"), *SCRIPTS], BODY, folder, given)


def test_a_faster_card_that_says_what_torch_says_takes_over(tmp_path):
    found = tried(tmp_path, then=[{}, False, {}, True, {}])
    assert found["first"] == "on the processor, one thread" and found["used"] and found["passed"]
    said = "The graphics card was tried, and is faster: 5.0 ms a pass, where the processor, one thread, "
    assert found["said"] == said + "needs 40 ms. It gives torch's answers to the page's 2 photos."
    card, processor = "on the graphics card", "on the processor, one thread"
    assert found["answers"] == [card, processor, card] and found["ended"] == 0


def test_a_slower_card_stands_by(tmp_path):
    found = tried(tmp_path, ms=300, then=[{}, True, {}])
    assert found["passed"] and not found["used"] and "is no faster: 300 ms a pass" in found["said"]
    assert found["answers"] == ["on the processor, one thread", "on the graphics card"]


@pytest.mark.parametrize(("card", "sentence"), [
    ({"offered": False}, "this browser offers the page no graphics card (WebGPU)."),
    ({"share": 0.3}, "the graphics card gives another answer than torch to 2 of 2 photos."),
    ({"share": 0.78}, "the graphics card's answers differ from torch's by 0.03, and 0.01 is allowed."),
    ({"map": 1.5}, "the graphics card's maps differ from the processor's by 50.0 %."),
    ({"fails": 1}, "the graphics card failed (Device lost)."),
    ({"hangs": 2}, "the graphics card failed (it gave no answer within 0 seconds)."),
])
def test_any_other_card_is_left_alone_and_the_page_says_why(card, sentence, tmp_path):
    found = tried(tmp_path, **card, then=[True, {}])
    assert found["said"] == STAYS + sentence and not found["used"] and not found["passed"]
    assert found["answers"] == ["on the processor, one thread"]
    assert found["ended"] == (0 if card == {"offered": False} else 1)


def test_a_card_that_fails_later_is_put_away_and_the_pass_is_answered(tmp_path):
    found = tried(tmp_path, fails=5, then=[{}, {}, {}])  # three passes of the trial, one that is asked for
    assert found["used"] and found["now"] == [False, STAYS + "the graphics card failed (Device lost)."]
    assert found["answers"] == ["on the graphics card"] + ["on the processor, one thread"] * 2
    assert found["ended"] == 1


def test_what_is_the_photos_own_fault_is_not_the_cards(tmp_path):
    found = tried(tmp_path, fails=4, then=[{"torn": True}])
    assert found["answers"] == ["This photo is too long."] and found["now"][0] and found["ended"] == 0
