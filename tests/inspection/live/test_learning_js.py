"""What the live page learns with, in JavaScript: the head, the nearest photos, bursts, warnings."""

from __future__ import annotations

import numpy as np
import pytest

from explorer.inspection.live.assembling import PAGE
from tests.inspection.live.page_scripts import run_script

TRAIN = """
    const embeddings = given.x.map((row) => Float32Array.from(row));
    const learnt = await trainHead(embeddings, given.y, given.classes, given.options);
    const head = linearHead(given.labels, learnt);
    return { shares: given.asked.map((row) => [...head.shares(Float32Array.from(row))]), steps: learnt.steps,
             sizes: head.weights.map((row) => row.length), bias: head.bias.length };
"""


def clusters(classes: int, each: int, size: int, seed: int = 0, spread: float = 3.0):
    """Embeddings of classes that overlap: numbers of very different sizes, and one that never changes."""
    draw = np.random.default_rng(seed)
    centres = draw.normal(size=(classes, size))
    y = np.repeat(np.arange(classes), each)
    x = (centres[y] + spread * draw.normal(size=(len(y), size))) * draw.uniform(0.01, 20, size) + 5
    x[:, 0] = 7
    return x.astype(np.float32), y


@pytest.mark.parametrize(("classes", "each", "size", "C"),
                         [(2, 4, 30, 0.1), (5, 20, 64, 0.1), (3, 60, 12, 2.0)])
def test_the_head_is_the_logistic_regression_of_scikit_learn(tmp_path, classes, each, size, C):
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    x, y = clusters(classes, each, size)
    asked, _ = clusters(classes, 10, size, seed=1)
    given = {"x": x.tolist(), "y": y.tolist(), "classes": classes, "labels": list("abcde"[:classes]),
             "asked": asked.tolist(), "options": {"strength": C}}
    ours = run_script(["learning.js"], TRAIN, tmp_path, given)

    scaled = StandardScaler().fit(x.astype(np.float64))
    theirs = LogisticRegression(C=C, tol=1e-8, max_iter=5000).fit(scaled.transform(x), y)
    expected = theirs.predict_proba(scaled.transform(asked))
    assert np.abs(np.array(ours["shares"]) - expected).max() < 1e-3
    assert ours["sizes"] == [size] * classes and ours["bias"] == classes


def test_learning_stops_when_it_is_asked_to(tmp_path):
    x, y = clusters(2, 5, 10)
    body = """
        const embeddings = given.x.map((row) => Float32Array.from(row));
        const learnt = await trainHead(embeddings, given.y, 2, { stopped: () => true });
        return learnt === null;
    """
    assert run_script(["learning.js"], body, tmp_path, {"x": x.tolist(), "y": y.tolist()})


def test_the_nearest_photos_answer_from_one_photo_a_class_on(tmp_path):
    body = """
        const units = [[1, 0], [0.9, 0.1], [0, 1]].map((row) => Float32Array.from(row));
        const two = nearestHead(["cup", "hand"], [units[0], units[2]], [0, 1]);
        const three = nearestHead(["cup", "hand"], units, [0, 0, 1]);
        const asked = (head, x, y) => [...head.shares(Float32Array.of(x, y))];
        return { two: [asked(two, 5, 1), asked(two, 1, 5), two.asked], three: asked(three, 1, 1.5),
                 towards: [...two.weights[0]],
                 count: [nearestCount([1, 40]), nearestCount([3, 3]), nearestCount([2, 9])] };
    """
    found = run_script(["learning.js"], body, tmp_path)
    assert found["two"] == [[1, 0], [0, 1], 1] and found["three"] == [0, 1]
    assert found["towards"] == [1, -1] and found["count"] == [1, 5, 3]


def test_photos_of_a_burst_are_judged_together_and_by_no_head_that_learnt_one_of_them(tmp_path):
    body = """
        const greys = (seed) => Uint8Array.from({ length: 256 }, (_, k) => (k * (seed + 3) * 37) % 251);
        const photo = (burst, seed) => ({ burst, greys: greys(seed) });
        const cup = { name: "cup", photos: [photo(1, 1), photo(1, 2), photo(2, 3), photo(3, 4)] };
        const hand = { name: "hand", photos: [photo(4, 5), photo(5, 6), photo(5, 7)] };
        // three holds of one picture
        const same = { name: "same", photos: [photo(6, 8), photo(7, 8), photo(8, 8)] };
        return { split: splitByBursts([cup, hand]), why: splitByBursts([cup, same]).why,
                 groups: groupsOf(same.photos),
                 parts: splitByBursts([cup, { ...hand, photos: hand.photos.slice(0, 1) }]).parts };
    """
    found = run_script(["learning.js"], body, tmp_path)
    of = found["split"]["of"]
    assert found["split"]["parts"] == 2 and of[0] == of[1] and of[5] == of[6]
    assert set(of[:4]) == {0, 1} == set(of[4:])
    assert "“same” has one burst only" in found["why"]
    assert found["groups"] == [0, 0, 0] and found["parts"] == 0


def test_judging_counts_every_photo_once_and_names_what_is_mixed_up(tmp_path):
    draw = np.random.default_rng(0)
    x = draw.normal(size=(24, 8)).astype(np.float32)
    x[:12, 0] += 6
    x[20:, 0] += 6                                       # four of the second class look like the first
    body = """
        const embeddings = given.map((row) => Float32Array.from(row));
        const targets = given.map((_, n) => (n < 12 ? 0 : 1));
        const found = await judged(embeddings, targets, 2, { parts: 3, of: targets.map((_, n) => n % 3) });
        return { ...found, said: judgedWords(found, ["cup", "hand"]) };
    """
    found = run_script(["learning.js"], body, tmp_path, x.tolist())
    table = np.array(found["table"])
    assert table.sum() == 24 == found["count"] and table.sum(1).tolist() == [12, 12]
    assert found["right"] == table.trace() and table[1, 0] > table[0, 1]
    assert f"“hand” taken for “cup” ({table[1, 0]})" in found["said"]
    assert "no photo of its burst" in found["said"]


def test_warnings_name_uneven_classes_same_pictures_and_twins_in_two_classes(tmp_path):
    body = """
        const greys = (seed) => Uint8Array.from({ length: 256 }, (_, k) => (k * (seed + 3) * 37) % 251);
        const photos = (count, from, step) =>
            Array.from({ length: count }, (_, n) => ({ burst: n, greys: greys(from + n * step) }));
        const of = (a, b) => warningsOf([{ name: "a", photos: photos(...a) },
                                         { name: "b", photos: photos(...b) }]);
        return [of([12, 1, 1], [3, 40, 1]), of([8, 1, 0], [8, 40, 1]),
                of([3, 1, 1], [3, 1, 1]), of([6, 1, 1], [6, 40, 1])];
    """
    uneven, alike, twins, none = run_script(["learning.js"], body, tmp_path)
    assert len(uneven) == 1 and uneven[0].startswith("Uneven: “a” has 12 photos, “b” 3.")
    assert len(alike) == 1 and alike[0].startswith("7 of 8 photos of “a” show almost the same picture")
    assert len(twins) == 1 and "“a” and “b”" in twins[0] and none == []


def test_greys_are_means_of_a_pictures_cells(tmp_path):
    body = """
        const pixels = new Uint8ClampedArray(4 * 32 * 16);
        for (let k = 0; k < 32 * 16; k++) pixels.fill(k % 32 < 16 ? 200 : 10, 4 * k, 4 * k + 3);
        const found = greysOf({ width: 32, height: 16, pixels });
        const brighter = (by) => almostSame(found, found.map((one) => one + by));
        return [found[0], found[7], found[8], found[255], brighter(3), brighter(5)];
    """
    assert run_script(["learning.js"], body, tmp_path) == [200, 200, 10, 10, True, False]


def test_the_scripts_hold_no_address_and_write_no_html():
    for name in ("camera.js", "class_card.js", "collect.js", "learning.js", "saving.js", "teaching.js"):
        text = (PAGE / name).read_text(encoding="utf-8")
        assert "://" not in text and "innerHTML" not in text and "insertAdjacentHTML" not in text
