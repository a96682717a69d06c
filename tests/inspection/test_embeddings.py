"""Neighbours and maps of photos."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch
from PIL import Image

import explorer
from explorer.inspection.features.embeddings import Embeddings, embed
from explorer.inspection.features.result import Features
from explorer.inspection.features.vectors import cosine_distances
from tests.html import parse
from tests.models.oracle import randomise


def features_of(vectors, labels=None, classes=()) -> Features:
    """Features with these vectors; photo i is a flat picture of brightness i."""
    vectors = np.asarray(vectors, dtype=np.float32)
    return Features("a model", tuple(f"photo {i}" for i in range(len(vectors))), (None,) * len(vectors),
                    None if labels is None else torch.tensor(labels), tuple(classes), None, vectors,
                    vectors[:, :0], (), [], 0,
                    True, 0.1, _open=lambda i: Image.new("RGB", (8, 8), (i, i, i)))


@pytest.fixture
def groups():
    """Three groups of twelve around three directions in 30 dimensions, with noise."""
    random = np.random.default_rng(0)
    centres = 5 * np.eye(3, 30)
    return features_of(np.repeat(centres, 12, 0) + random.normal(size=(36, 30)) * 0.6,
                       np.repeat([0, 1, 2], 12).tolist(), "abc")


def test_the_cosine_distance_is_one_minus_the_cosine():
    found = cosine_distances(np.array([2.0, 0]), np.array([[5.0, 0], [0, 3], [-1, 0], [1, 1]]))
    np.testing.assert_allclose(found, [0, 1, 2, 1 - 2 ** -0.5], atol=1e-6)


def test_blocks_of_vectors_change_nothing(monkeypatch):
    vectors = np.random.default_rng(0).normal(size=(11, 5))
    whole = cosine_distances(vectors[0], vectors)
    monkeypatch.setattr("explorer.inspection.features.vectors.BLOCK", 3)
    np.testing.assert_allclose(cosine_distances(vectors[0], vectors), whole, rtol=1e-6)


def test_the_nearest_photos_come_in_the_order_of_their_angles():
    angles = np.radians([0, 50, 10, 90, -20])
    photos = Embeddings(features_of(np.stack([np.cos(angles), np.sin(angles)], 1), [0, 0, 1, 1, 0],
                                    ["near", "far"]))
    found = photos.nearest(0, 3)
    assert [one.index for one in found] == [2, 4, 1]  # itself is left out
    assert found[0].distance == pytest.approx(1 - np.cos(np.radians(10)), abs=1e-6)
    assert (found[0].label, found[0].name) == ("far", "photo 2")
    assert len(photos.nearest(-1, 99)) == 4


def test_a_photo_from_elsewhere_is_looked_at_with_the_same_model(tmp_path):
    net = explorer.create_model("lenet5", num_classes=3)
    randomise(net)
    random = np.random.default_rng(0)
    pictures = [Image.fromarray(random.integers(0, 255, (34, 34, 3), dtype=np.uint8)) for _ in range(5)]
    photos = embed(net.eval(), pictures, cache_dir=tmp_path)
    found = photos.nearest(pictures[3].copy(), count=2)
    assert found[0].index == 3 and found[0].distance == pytest.approx(0, abs=1e-5)
    vector = explorer.look(net, pictures[3]).embedding.numpy()
    assert found[1].distance == pytest.approx(np.sort(cosine_distances(vector, photos.vectors))[1], abs=1e-5)


def test_what_cant_be_asked_is_a_sentence(groups):
    photos = Embeddings(groups)
    with pytest.raises(IndexError, match="use 0 to 35"):
        photos.nearest(36)
    with pytest.raises(ValueError, match="expected how many photos"):
        photos.nearest(0, 0)
    with pytest.raises(ValueError, match="make them with explorer.embed"):
        photos.nearest(Image.new("RGB", (8, 8)))
    with pytest.raises(ValueError, match="expected one of pca, tsne, umap"):
        photos.map2d("lda")
    with pytest.raises(ValueError, match="too few for a map"):
        Embeddings(features_of(np.eye(3))).map2d()
    with pytest.raises(ValueError, match="not finite"):
        Embeddings(features_of(np.full((5, 2), np.nan))).map2d()


def test_pca_is_the_singular_value_decomposition(groups):
    found = Embeddings(groups).map2d()
    centred = groups.embeddings.astype(float) - groups.embeddings.mean(0)
    u, s, _ = np.linalg.svd(centred, full_matrices=False)
    np.testing.assert_allclose(np.abs(found.points), np.abs(u[:, :2] * s[:2]), rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(found.explained, s[:2] ** 2 / (s ** 2).sum(), rtol=1e-4)


def test_photos_that_are_all_alike_lie_on_one_point():
    found = Embeddings(features_of(np.full((5, 4), 0.3))).map2d()
    assert not found.points.any() and found.explained == (0, 0)


@pytest.mark.parametrize("method", ["pca", "tsne"])
def test_a_map_keeps_groups_together_and_a_seed_repeats_it(groups, method):
    photos = Embeddings(groups)
    points = photos.map2d(method, seed=3).points
    np.testing.assert_array_equal(points, photos.map2d(method, seed=3).points)
    assert points.shape == (36, 2) and points.dtype == np.float32
    distances = np.linalg.norm(points[:, None] - points[None], axis=-1)
    np.fill_diagonal(distances, np.inf)
    assert (groups.labels.numpy()[distances.argmin(1)] == groups.labels.numpy()).mean() == 1


def test_umap_gets_the_unit_vectors_and_the_seed(groups, monkeypatch):
    asked = {}

    class UMAP:  # in its place: the real one compiles itself for half a minute
        def __init__(self, **options):
            asked.update(options)

        def fit_transform(self, vectors):
            asked["length"] = np.linalg.norm(vectors, axis=1)
            return vectors[:, :2]

    monkeypatch.setitem(sys.modules, "umap", type(sys)("umap"))
    sys.modules["umap"].UMAP = UMAP
    found = Embeddings(groups).map2d("umap", seed=7)
    assert asked["random_state"] == 7 and asked["metric"] == "cosine" and found.title == "UMAP"
    np.testing.assert_allclose(asked["length"], 1, rtol=1e-5)


def test_a_photo_that_has_gone_has_neighbours_still_and_no_picture(groups):
    def gone(_index):
        raise explorer.ImageError("There is no file.")

    groups._open = gone
    found = Embeddings(groups).nearest(0, 3)
    assert len(found) == 3 and not parse(found._repr_html_()).find_all("img")


def test_without_umap_there_is_a_line_to_install_it(groups, monkeypatch):
    monkeypatch.setitem(sys.modules, "umap", None)
    with pytest.raises(ImportError, match="pip install umap-learn"):
        Embeddings(groups).map2d("umap")


def test_a_map_is_a_figure_with_the_classes_in_its_legend(groups):
    axes = Embeddings(groups).map2d().figure().axes[0]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["a", "b", "c"]
    assert "PC 1" in axes.get_xlabel() and "a model" in axes.get_title()


def test_neighbours_show_themselves_with_names_as_text(groups):
    groups.names = ("<b>", *groups.names[1:])
    groups.labels = None
    photos = Embeddings(groups)
    page = parse(photos.nearest(1, 35)._repr_html_())
    assert len(page.find_all("img")) == 36 and "<b>" in page.text and "b" not in page.tags
