"""Linear probe and neighbours' vote, against a direct computation."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from explorer.inspection.features import probes as probe
from explorer.inspection.features import votes
from explorer.inspection.features.judging import draw_photos, stratified, wilson
from explorer.inspection.features.probes import linear_probe
from explorer.inspection.features.votes import knn_accuracy
from tests.html import parse
from tests.inspection.test_embeddings import features_of


@pytest.fixture
def groups():
    """Twenty photos of each of three classes that overlap, in 10 dimensions of unlike scales."""
    random = np.random.default_rng(1)
    labels = np.repeat([0, 1, 2], 20)
    vectors = (2 * np.eye(3, 10)[labels] + random.normal(size=(60, 10))) * np.logspace(-2, 2, 10)
    return features_of(vectors, labels.tolist(), ["ant", "bee", "cat"])


def split(features, places):
    """The features with these photos as their own val part."""
    features.held_out = torch.zeros(len(features), dtype=torch.bool)
    features.held_out[places] = True
    return features


def by_gradient(x, y, x_val, strength: float) -> np.ndarray:
    """Softmax regression with the penalty |w|^2 / (2 C), by Newton-like steps of torch's LBFGS: the predicted
    classes.
    """
    x, y, x_val = torch.tensor(x), torch.tensor(y), torch.tensor(x_val)
    weight = torch.zeros(x.shape[1], 3, dtype=torch.float64, requires_grad=True)
    bias = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([weight, bias], max_iter=500, line_search_fn="strong_wolfe",
                                  tolerance_grad=1e-9)

    def closure():
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(x @ weight + bias, y, reduction="sum")
        loss = loss + weight.square().sum() / (2 * strength)
        loss.backward()
        return loss

    optimizer.step(closure)
    return (x_val @ weight + bias).argmax(1).detach().numpy()


def test_the_probe_is_a_softmax_regression_on_standardised_features(groups):
    split(groups, slice(None, None, 4))
    held = groups.held_out.numpy()
    x, y = groups.embeddings.astype(float), groups.labels.numpy()
    mean, spread = x[~held].mean(0), x[~held].std(0)
    wanted = by_gradient((x[~held] - mean) / spread, y[~held], (x[held] - mean) / spread, 0.05)
    found = linear_probe(groups, C=0.05)
    np.testing.assert_array_equal(found.predicted, wanted)
    assert found.accuracy == (wanted == y[held]).mean() and 0.4 < found.accuracy < 1
    assert (found.learnt, found.judged, found.how) == (45, 15, "judged by the folder's own val part")


def test_fewer_photos_than_numbers_change_nothing_in_the_regression():
    random = np.random.default_rng(2)
    labels = np.repeat([0, 1, 2], 8)
    vectors = 0.5 * np.eye(3, 90)[labels] + random.normal(size=(24, 90))
    found = linear_probe(split(features_of(vectors, labels.tolist(), "abc"), slice(None, None, 3)), C=0.1)
    x, y, held = vectors.astype(np.float32).astype(float), labels, np.arange(24) % 3 == 0
    mean, spread = x[~held].mean(0), x[~held].std(0)
    wanted = by_gradient((x[~held] - mean) / spread, y[~held], (x[held] - mean) / spread, 0.1)
    np.testing.assert_array_equal(found.predicted, wanted)


def test_confusion_and_shares_of_the_classes_add_up(groups):
    found = linear_probe(groups, val=0.3, seed=5)
    assert found.confusion.sum() == found.judged == 18 and list(found.confusion.sum(1)) == [6, 6, 6]
    assert found.accuracy == found.confusion.diagonal().sum() / 18
    assert found.per_class == {name: found.confusion[i, i] / 6 for i, name in enumerate(groups.classes)}


def test_a_seed_repeats_the_split_and_another_changes_it(groups):
    same = [linear_probe(groups, seed=1).predicted.tolist() for _ in range(2)]
    assert same[0] == same[1]
    one, other = (stratified(groups.labels.numpy(), 0.2, seed).tolist() for seed in (1, 2))
    assert one != other


def test_the_split_takes_the_same_share_of_each_class_and_never_all():
    labels = np.array([0] * 10 + [1] * 2 + [2])
    kept = labels[stratified(labels, 0.5, 0)]
    assert np.bincount(kept, minlength=3).tolist() == [5, 1, 0]
    assert np.bincount(labels[stratified(labels, 0.99, 0)], minlength=3).tolist() == [9, 1, 0]


def test_features_of_another_folder_may_judge(groups):
    other = features_of(groups.embeddings[::3], groups.labels[::3].tolist(), groups.classes)
    found = linear_probe(groups, val=other, C=10.0)
    assert (found.learnt, found.judged) == (60, 20)
    with pytest.raises(ValueError, match="other classes or vectors of another length"):
        linear_probe(groups, val=features_of(groups.embeddings[::3, :4], groups.labels[::3].tolist(),
                                             groups.classes))


def test_the_strength_is_the_best_on_a_quarter_set_aside(groups):
    x, y = groups.embeddings.astype(float), groups.labels.numpy()
    x = (x - x.mean(0)) / x.std(0)
    aside = stratified(y, 0.25, 0)
    rest = np.setdiff1d(np.arange(60), aside)
    right = [(by_gradient(x[rest], y[rest], x[aside], c) == y[aside]).mean() for c in probe.STRENGTHS]
    assert probe._best_strength(x, y, 0) == probe.STRENGTHS[int(np.argmax(right))]
    # five photos of each are too few to choose by
    assert probe._best_strength(x[::4], y[::4], 0) == probe.USUAL_STRENGTH


def test_the_label_budget_draws_so_many_photos_of_each_class(groups):
    split(groups, slice(None, None, 4))
    steps = []
    found = linear_probe(groups, labels_per_class=[5, 1, 40], draws=3,
                         on_progress=lambda done, total: steps.append((done, total)))
    assert [(point.labels_per_class, len(point.accuracies)) for point in found.budget] == [(1, 3), (5, 3)]
    assert steps[0] == (1, 7) and steps[-1] == (7, 7)
    assert "40 labels a class, since one class has only 15 photos" in found.notes[0]
    # one of its points, worked out directly
    held = groups.held_out.numpy()
    x, y = groups.embeddings.astype(float), groups.labels.numpy()
    mean, spread = x[~held].mean(0), x[~held].std(0)
    some = draw_photos(y[~held], 5, (0, 5, 2))
    assert np.bincount(y[~held][some]).tolist() == [5, 5, 5] and len(set(some.tolist())) == 15
    wanted = by_gradient(((x[~held] - mean) / spread)[some], y[~held][some], (x[held] - mean) / spread, 0.1)
    assert found.budget[1].accuracies[2] == (wanted == y[held]).mean()


def test_the_curve_can_be_stopped(groups):
    count = []
    found = linear_probe(groups, labels_per_class=[1, 2, 5], draws=4,
                         should_stop=lambda: count.append(1) or len(count) == 4)
    assert [len(point.accuracies) for point in found.budget] == [3] and found.accuracy > 0


def directly(bank, y, query, k: int, temperature: float, classes: int) -> int:
    """The weighted vote for one photo, as the paper writes it."""
    cosines = [float(np.dot(query, one) / np.linalg.norm(query) / np.linalg.norm(one)) for one in bank]
    votes = [0.0] * classes
    for place in sorted(range(len(bank)), key=lambda i: -cosines[i])[:k]:
        votes[y[place]] += math.exp(cosines[place] / temperature)
    return int(np.argmax(votes))


def test_the_neighbours_vote_is_the_papers_leave_one_out(groups):
    x, y = groups.embeddings.astype(float), groups.labels.numpy()
    found = knn_accuracy(groups, k=7)
    wanted = [directly(np.delete(x, i, 0), np.delete(y, i), x[i], 7, 0.07, 3) for i in range(60)]
    assert found.predicted.tolist() == wanted and found.accuracy == (np.array(wanted) == y).mean()
    assert found.how == "each photo judged by all others"


def test_the_neighbours_vote_uses_the_folders_own_parts(groups):
    split(groups, slice(None, None, 4))
    held = groups.held_out.numpy()
    x, y = groups.embeddings.astype(float), groups.labels.numpy()
    found = knn_accuracy(groups, k=5, temperature=0.5)
    assert found.predicted.tolist() == [directly(x[~held], y[~held], q, 5, 0.5, 3) for q in x[held]]
    assert found.judged == 15


def test_more_neighbours_than_photos_are_all_photos_and_blocks_change_nothing(groups, monkeypatch):
    assert knn_accuracy(groups, k=500).k == 59
    whole = knn_accuracy(groups, k=7).predicted
    monkeypatch.setattr(votes, "BLOCK", 11)
    np.testing.assert_array_equal(knn_accuracy(groups, k=7).predicted, whole)


def test_wilsons_interval_is_the_published_one():
    # R. G. Newcombe, Statistics in Medicine 17, 1998, table I: 81 of 263, and 0 of 20
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=1e-4)
    assert wilson(0, 20) == pytest.approx((0, 0.1611), abs=1e-4)


@pytest.mark.parametrize(("change", "words"), [
    ({"labels": None}, "no labels"),
    ({"labels": torch.zeros(60, dtype=torch.long)}, "all of one class"),
])
def test_photos_that_cant_be_told_apart_are_a_sentence(groups, change, words):
    for name, value in change.items():
        setattr(groups, name, value)
    for measure in (linear_probe, knn_accuracy):
        with pytest.raises(ValueError, match=words):
            measure(groups)


def test_settings_that_cant_be_are_a_sentence(groups):
    with pytest.raises(ValueError, match="a share between 0 and 1"):
        linear_probe(groups, val=1.5)
    with pytest.raises(ValueError, match="expected numbers of photos, from 1"):
        linear_probe(groups, labels_per_class=[0])
    with pytest.raises(ValueError, match="neighbours from 1"):
        knn_accuracy(groups, k=0)
    with pytest.raises(ValueError, match="leave-one-out"):
        knn_accuracy(groups, val="all")
    with pytest.raises(ValueError, match="explorer.run_folder"):
        linear_probe("flowers5")


def test_it_shows_itself_with_the_curve_and_names_as_text(groups):
    groups.classes = ("<b>", "bee", "cat")
    found = linear_probe(groups, labels_per_class=[2, 4])
    classes, curve = (table.rows() for table in parse(found._repr_html_()).find_all("table"))
    assert [row[0] for row in classes] == ["<b>", "bee", "cat"]
    assert [row[0] for row in curve] == ["2 a class", "4 a class"]
    axes = found.figure().axes[0]
    assert axes.get_xlabel() == "labelled photos of each class"
    assert [text.get_text() for text in axes.get_xticklabels()] == ["2", "4"]
