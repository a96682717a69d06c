"""Photos that somebody collected: the neighbours' vote before anything is trained, and advice on them."""

from __future__ import annotations

import numpy as np
import pytest

import explorer
from explorer.data.datasets import open_data
from explorer.inspection.features.advice import advice_on_counts, advice_on_photos
from explorer.inspection.features.embeddings import Embeddings, vote_of
from explorer.inspection.features.judging import interval_of, parts_of, wilson
from explorer.inspection.features.probes import linear_probe
from explorer.inspection.features.votes import knn_accuracy
from tests.data.test_bursts import TWO, collected
from tests.inspection.test_embeddings import features_of


def collected_features(layout, spread=0.0, apart=1.0, dims=40):
    """{class: [frames of each burst]} -> features: a class's direction, a burst's, and a frame's."""
    random, vectors, labels, names = np.random.default_rng(0), [], [], []
    for label, (name, bursts) in enumerate(layout.items()):
        for burst, frames in enumerate(bursts, 1):
            of_burst = np.eye(dims)[label] + apart * random.normal(size=dims) / dims ** 0.5
            for frame in range(frames):
                vectors.append(of_burst + spread * random.normal(size=dims) / dims ** 0.5)
                labels.append(label)
                names.append(f"{name}/burst-{burst}-{frame + 1}.jpg")
    found = features_of(np.array(vectors), labels, tuple(layout))
    found.names = tuple(names)
    return found


def test_nearest_photos_vote_as_soon_as_two_classes_have_a_photo_each():
    features = features_of(np.array([[1.0, 0, 0], [0, 1.0, 0]]), [0, 1], ("cup", "pen"))
    vote = vote_of(features, np.array([0.9, 0.2, 0.0]), 0)
    assert vote.label == "cup" and vote.shares.sum() == pytest.approx(1) and len(vote.nearest) == 2
    weights = np.exp((np.array([0.9, 0.2]) / np.hypot(0.9, 0.2) - 1) / 0.07)
    assert vote.shares == pytest.approx(weights / weights.sum(), rel=1e-4)
    assert [one.label for one in vote.nearest] == ["cup", "pen"]
    assert "cup: 100" in vote.sentence and "<img" not in repr(vote)
    with pytest.raises(ValueError, match="all of one class"):
        vote_of(features_of(np.eye(2), [0, 0], ("cup", "pen")), np.ones(2), 0)


def test_a_photo_is_asked_about_in_one_line():
    photos = explorer.embed("tf_efficientnet_lite0", "flowers5_nano")
    photo, label = open_data("flowers5_nano").train[0]
    vote = photos.vote(photo, k=3)
    assert vote.label == photos.features.classes[label] and vote.nearest[0].distance < 1e-3
    assert vote._repr_html_().count("<img") == 4
    for wrong in ({"k": 0}, {"temperature": 0}):
        with pytest.raises(ValueError, match="number of neighbours"):
            photos.vote(photo, **wrong)


def test_a_photo_is_never_judged_by_its_own_burst():
    # bursts point anywhere: only frames of the same one could tell the class
    features = collected_features({"cup": [8] * 6, "pen": [8] * 6}, spread=0.1, apart=30.0)
    single = features_of(features.embeddings, features.labels.tolist(), features.classes)
    assert knn_accuracy(single, k=3).accuracy == 1.0
    found = knn_accuracy(features, k=3)
    assert found.accuracy < 0.9 and "not of its own burst" in found.how
    parts = parts_of(features, features.labels.numpy(), 0.2, 0)
    assert len(parts.x) + len(parts.x_val) == 96 and len(parts.x_val) == 16
    assert linear_probe(features).judged == 16


def test_an_interval_is_of_bursts_not_of_their_frames():
    features = collected_features({"cup": [8] * 6, "pen": [8] * 6}, spread=0.1)
    for found in (knn_accuracy(features, k=3), linear_probe(features), knn_accuracy(features, k=3, val=0.2)):
        bursts = found.judged // 8
        right = round(found.accuracy * found.judged)
        assert found.interval == pytest.approx(wilson(right / 8, bursts))
    assert interval_of(np.array([True, True, False]), np.array([4, 1, 7])) == wilson(2, 3)
    found = interval_of(np.ones(6, bool), np.array([0] * 5 + [1]))
    assert found == pytest.approx(wilson(36 / 26, 36 / 26))


def test_a_class_of_one_burst_judges_nothing():
    features = collected_features({"cup": [5], "pen": [5, 5]}, spread=0.2)
    found, probe = knn_accuracy(features, k=3), linear_probe(features)
    assert found.judged == 10 and "of cup there is one burst alone" in found.how
    assert probe.judged == 5 and any("cup are of one burst" in note for note in probe.notes)
    assert np.isnan(probe.per_class["cup"])
    with pytest.raises(ValueError, match="one burst"):
        linear_probe(collected_features({"cup": [5], "pen": [5]}))


def test_advice_names_the_class_and_what_to_do():
    assert advice_on_counts({"cup": 40, "pen": 30}) == []
    (said,) = advice_on_counts({"cup": 40, "pen": 12})
    assert said == ("The classes are uneven: cup has 40 photos and pen 12, so in doubt the answer is cup. "
                    "Collect more of pen.")
    few, uneven = advice_on_counts({"cup": 5, "pen": 3, "key": 20})
    assert few.startswith("cup and pen have few photos (pen: 3)") and "key has 20 photos and pen 3" in uneven
    assert advice_on_counts({"cup": 20, "pen": 0})[0].startswith("There are no photos of pen")


def test_advice_on_pictures_that_are_nearly_the_same():
    fine = collected_features({"cup": [6, 6], "pen": [6, 6]}, spread=0.5, apart=1.5)
    assert advice_on_photos(fine) == []
    still = collected_features({"cup": [6], "pen": [6, 6]}, spread=0.01)
    said = " ".join(advice_on_photos(still))
    assert "cup are of one burst" in said and "The 6 photos of cup are nearly one picture" in said
    shared = collected_features({"cup": [6, 6], "pen": [6, 6]}, spread=0.5, apart=1.5)
    shared.embeddings[14] = shared.embeddings[3]
    (said,) = advice_on_photos(shared)
    assert said == ("cup and pen have nearly the same picture (cup/burst-1-4.jpg, pen/burst-1-3.jpg): delete "
                    "it from the class that it does not belong to.")
    twice = collected_features({"cup": [6, 6, 6, 6], "pen": [6, 6]}, spread=0.5, apart=1.5)
    twice.embeddings[:6] = twice.embeddings[6:12]
    twice.embeddings[12:18] = twice.embeddings[6:12]
    (said,) = advice_on_photos(twice)
    assert said.startswith("Bursts of cup show nearly the same picture")


def test_a_network_that_sees_the_same_everywhere_is_named():
    blind = collected_features({"cup": [6, 6], "pen": [6, 6]})
    blind.embeddings[:] += 50
    (said,) = advice_on_photos(blind)
    assert "nearly the same in photos of all classes" in said


def test_advice_on_a_folder_in_one_line(tmp_path):
    photos = explorer.embed("tf_efficientnet_lite0", collected(tmp_path / "mine", TWO))
    assert any("same" in said for said in photos.advice())
    assert Embeddings(features_of(np.eye(3))).advice() == []
