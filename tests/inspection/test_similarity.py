"""CKA: closed forms, the unbiased estimate against its definition, and two networks stage by stage."""

from __future__ import annotations

import csv
import io
import itertools
import math

import numpy as np
import pytest
import torch
from PIL import Image

import explorer
from explorer.inspection.features.similarity import StageSimilarity, cka, compare_stages, hsic, unbiased_cka
from tests.html import parse
from tests.models.oracle import randomise

random = np.random.default_rng(0)


def test_a_rotation_a_scale_and_a_shift_change_nothing():
    x = random.normal(size=(20, 6))
    rotation, _ = np.linalg.qr(random.normal(size=(6, 6)))
    assert cka(x, 3.7 * x @ rotation + 5) == pytest.approx(1)
    assert unbiased_cka(x, 3.7 * x @ rotation + 5) == pytest.approx(1)


def test_a_value_worked_out_by_hand():
    # centred, x is (-1, 0, 1) and y (1, -2, 1): they are orthogonal. z is (-1, -1, 2): x.z = 3, |x|^2 = 2,
    # |z|^2 = 6
    x, y, z = (np.array(values, dtype=float)[:, None] for values in ((0, 1, 2), (3, 0, 3), (0, 0, 3)))
    assert cka(x, y) == pytest.approx(0)
    assert cka(x, z) == pytest.approx(9 / 12)


def test_of_one_number_each_it_is_the_squared_correlation():
    x, y = random.normal(size=(30, 1)), random.normal(size=(30, 1))
    assert cka(x, x + y) == pytest.approx(np.corrcoef(x[:, 0], (x + y)[:, 0])[0, 1] ** 2)


@pytest.mark.parametrize("n", [8, 200], ids=["fewer photos than numbers", "more"])
def test_both_ways_to_compute_it_agree_with_the_formula(n):
    x, y = random.normal(size=(n, 40)), random.normal(size=(n, 25))
    y[:, :5] += x[:, :5]
    centre = np.eye(n) - 1 / n
    k, m = centre @ x @ x.T @ centre, centre @ y @ y.T @ centre
    wanted = np.trace(k @ m) / math.sqrt(np.trace(k @ k) * np.trace(m @ m))
    assert cka(torch.tensor(x), y) == pytest.approx(wanted)


def test_photos_that_are_all_alike_have_no_similarity():
    assert math.isnan(cka(np.ones((5, 3)), random.normal(size=(5, 3))))


def test_other_shapes_are_a_sentence():
    with pytest.raises(ValueError, match="x has 3 rows and y 4"):
        cka(np.zeros((3, 2)), np.zeros((4, 2)))
    with pytest.raises(ValueError, match=r"expected \[photos, numbers\]; flatten maps first"):
        cka(np.zeros((3, 2, 2)), np.zeros((3, 2)))
    with pytest.raises(ValueError, match="at least 4"):
        unbiased_cka(np.zeros((3, 2)), np.zeros((3, 2)))


def by_definition(k: np.ndarray, m: np.ndarray) -> float:
    """HSIC as a mean over all ordered choices of four different photos; Song et al. 2012, equation 4."""
    terms = [k[i, j] * (m[i, j] + m[q, r] - 2 * m[i, q])
             for i, j, q, r in itertools.permutations(range(len(k)), 4)]
    return sum(terms) / len(terms)


def test_the_unbiased_estimate_is_its_definition():
    x, y = random.normal(size=(7, 3)), random.normal(size=(7, 4))
    k, m = x @ x.T, y @ y.T
    found = hsic(torch.from_numpy(k)[None], torch.from_numpy(m)[None])
    assert float(found) == pytest.approx(by_definition(k, m))


def test_unrelated_wide_representations_are_unlike_only_without_bias():
    x, y = random.normal(size=(30, 2000)), random.normal(size=(30, 2000))
    assert cka(x, y) > 0.9  # what the unbiased estimate is for
    assert abs(unbiased_cka(x, y)) < 0.15


# --- two networks -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def nets():
    made = []
    for seed in (0, 1):
        net = explorer.create_model("lenet5", num_classes=3)
        randomise(net, seed)
        made.append(net.eval())
    return made


@pytest.fixture(scope="module")
def photos():
    ramp = np.linspace(0, 200, 40)[None, :, None]
    return [Image.fromarray((ramp * random.uniform(0.2, 1)
                             + random.integers(0, 50, (40, 40, 3))).astype(np.uint8))
            for _ in range(14)]


def maps_of(net, photos) -> list[np.ndarray]:
    """The maps of every stage, flattened, from a look at each photo."""
    looks = [explorer.look(net, photo) for photo in photos]
    return [np.stack([look.stages[stage.name].flatten().numpy() for look in looks])
            for stage in net.stage_table]


def test_one_batch_of_all_photos_is_the_unbiased_formula(nets, photos):
    found = compare_stages(*nets, photos, batch_size=len(photos))
    wanted = [[unbiased_cka(x, y) for y in maps_of(nets[1], photos)] for x in maps_of(nets[0], photos)]
    np.testing.assert_allclose(found.matrix, wanted, rtol=1e-4, atol=1e-5)
    assert found.stages_a == tuple(stage.name for stage in nets[0].stage_table) and found.photos == 14


def test_batches_are_averaged_before_the_share_is_taken(nets, photos):
    found = compare_stages(*nets, photos, batch_size=5)  # 5, 5, and the last 4

    parts = [slice(0, 5), slice(5, 10), slice(10, 14)]

    def estimate(x, y, part) -> float:
        grams = [torch.from_numpy(rows @ rows.T)[None]
                 for rows in (v[part].astype(float) - v[part].astype(float).mean(0) for v in (x, y))]
        return float(hsic(*grams))

    def tables(xs, ys):
        return np.mean([[[estimate(x, y, part) for y in ys] for x in xs] for part in parts], axis=0)

    a, b = maps_of(nets[0], photos), maps_of(nets[1], photos)
    wanted = tables(a, b) / np.sqrt(np.diag(tables(a, a))[:, None] * np.diag(tables(b, b)))
    np.testing.assert_allclose(found.matrix, wanted, rtol=1e-4, atol=1e-5)


def test_a_network_is_most_like_itself(nets, photos):
    found = compare_stages(nets[0], nets[0], photos)
    np.testing.assert_allclose(np.diag(found.matrix), 1, rtol=1e-6)
    np.testing.assert_allclose(found.matrix, found.matrix.T, rtol=1e-6)
    assert [(a, b) for a, b, _ in found.best()] == [(name, name) for name in found.stages_a]


def test_networks_of_other_sizes_each_prepare_the_photos_their_way(nets, photos):
    other = explorer.create_model("resnet18", num_classes=2).eval()
    other.config = other.config.with_(input_size=(3, 64, 64))
    found = compare_stages(nets[0], other, photos[:6])
    assert found.matrix.shape == (len(nets[0].stage_table), len(other.stage_table))
    assert np.isfinite(found.matrix).all()


def test_stopping_gives_the_estimate_so_far(nets, photos):
    seen = []
    found = compare_stages(*nets, photos, batch_size=4,
                           on_progress=lambda done, total: seen.append((done, total)),
                           should_stop=lambda: len(seen) == 2)
    assert seen == [(4, 14), (8, 14)] and found.photos == 8 and not found.complete
    np.testing.assert_allclose(found.matrix, compare_stages(*nets, photos[:8], batch_size=4).matrix)


def test_a_limit_spreads_over_all_photos(nets, photos):
    found = compare_stages(*nets, photos, limit=7)
    np.testing.assert_allclose(found.matrix, compare_stages(*nets, photos[::2]).matrix)
    assert found.photos == 7
    with pytest.raises(ValueError, match="limit is 3"):
        compare_stages(*nets, photos, limit=3)


def test_a_broken_photo_is_named_and_too_few_are_a_sentence(nets, photos, tmp_path):
    (tmp_path / "broken.jpg").write_bytes(b"text")
    found = compare_stages(*nets, [*photos[:5], tmp_path / "broken.jpg"])
    assert found.photos == 5 and found.problems[0][0] == "broken.jpg"
    with pytest.raises(ValueError, match="needs at least 4"):
        compare_stages(*nets, photos[:3])
    with pytest.raises(ValueError, match="at least 4 photos in a batch"):
        compare_stages(*nets, photos, batch_size=2)


def test_it_shows_itself_as_a_table_and_as_a_figure(nets, photos):
    found = compare_stages(*nets, photos[:5])
    found.stages_a = ("<i>", *found.stages_a[1:])
    page = parse(found._repr_html_())
    rows = page.find("table").rows()
    assert rows[0] == ["", *found.stages_b] and [row[0] for row in rows[1:]] == [*found.stages_a[::-1]]
    assert "i" not in page.tags
    axes = found.figure().axes[0]
    assert axes.get_xlabel() == found.name_b and len(axes.get_yticks()) == len(found.stages_a)
    assert found.to_csv().splitlines()[0].split(",")[1:] == list(found.stages_b)


def test_names_of_stages_are_cells_and_no_formulas():
    found = StageSimilarity.__new__(StageSimilarity)
    object.__setattr__(found, "stages_a", ("=1+1", "b,c"))
    object.__setattr__(found, "stages_b", ("x",))
    object.__setattr__(found, "matrix", np.array([[1.0], [0.5]]))
    rows = list(csv.reader(io.StringIO(found.to_csv())))
    assert rows == [["stage", "x"], ["'=1+1", "1.000000"], ["b,c", "0.500000"]]
