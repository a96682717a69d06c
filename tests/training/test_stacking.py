"""`stack` and `blend`: what the meta learner reads is honest, and what it makes of it is scikit-learn's."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

import explorer
from explorer.data.photo_sets import PhotoSet, Splits
from explorer.models.outputs import Outputs
from explorer.training.choosing import stacking
from explorer.training.choosing.meta import Meta, features_of
from explorer.training.loop.errors import TrainingError
from tests.html import parse
from tests.training.test_finetune import painted
from tests.training.tiny_net import HOW, tiny

MODELS = {"small": 0, "other": 1}


def colours(labels=lambda labels: labels) -> Splits:
    train, val = painted(30), painted(12, seed=1)
    return Splits("colours", replace(train, labels=labels(train.labels)), val)


def stacked(how=None, data=None, models=None, **settings):
    models = {name: tiny(seed) for name, seed in MODELS.items()} if models is None else models
    method = explorer.stack if how is None else how
    if method is explorer.stack:
        settings = {"folds": 3, **settings}
    return method(models, colours() if data is None else data, device="cpu", pretrained=False,
                  **{**HOW, "rounds": 1, "epochs": 1, "lr": 0.02, **settings})


@pytest.fixture(scope="module")
def found():
    return stacked()


# --- no leak ------------------------------------------------------------------------------------------------


def test_a_blend_holds_out_whole_bursts_where_there_are_few():
    train = painted(40)
    names = tuple(f"{label}/burst-{i // 10}-{i}.png" for i, label in enumerate(train.labels))
    result = stacked(explorer.blend, replace(colours(), train=replace(train, names=names)))
    held = set(result.out_of_fold["small"].names)
    bursts = {name.rpartition("-")[0] for name in held}
    assert held == {name for name in names if name.rpartition("-")[0] in bursts} and len(held) < 40


@pytest.mark.parametrize("method", ["stack", "blend"])
def test_poisoned_labels_change_nothing_about_the_answers_that_are_learnt_from(method, monkeypatch):
    parts = [list(range(0, 10)), list(range(10, 20)), list(range(20, 30))]
    monkeypatch.setattr(stacking, "fold_parts", lambda photos, folds, seed: (parts, []))
    way = getattr(explorer, method)
    clean = stacked(way)
    poisoned = stacked(way, colours(lambda labels: tuple((label + 1) % 3 if i < 10 else label
                                                         for i, label in enumerate(labels))))
    for name in MODELS:
        first, second = (one.out_of_fold[name] for one in (clean, poisoned))
        place = [first.names.index(f"photo {i}") for i in range(10)]
        assert torch.equal(first.probabilities[place], second.probabilities[place])
        assert not torch.equal(first.labels[place], second.labels[place])
    # the meta learner does learn from these labels, and what it makes of the held-out photos differs
    assert not torch.equal(clean.evaluation.probabilities, poisoned.evaluation.probabilities)


def test_labels_of_the_held_out_photos_change_no_answer(found):
    data = colours()
    other = replace(data, val=replace(data.val, labels=tuple((label + 1) % 3 for label in data.val.labels)))
    poisoned = stacked(data=other)
    assert torch.equal(found.evaluation.probabilities, poisoned.evaluation.probabilities)
    assert found.evaluation.top1 > poisoned.evaluation.top1


# --- what it makes of it ------------------------------------------------------------------------------------


def test_the_meta_learner_is_a_logistic_regression_on_log_probabilities(found):
    assert len(next(iter(found.out_of_fold.values()))) == 30 and found.learnt == 30
    answers = torch.stack([one.probabilities for one in found.out_of_fold.values()]).double()
    held = torch.stack([one.probabilities for one in found.alone.values()]).double()
    x, z = (one.log().permute(1, 0, 2).flatten(1).numpy() for one in (answers, held))
    scaler = StandardScaler().fit(x)
    labels = next(iter(found.out_of_fold.values())).labels.numpy()
    oracle = LogisticRegression(C=1.0, max_iter=1000).fit(scaler.transform(x), labels)
    expected = torch.from_numpy(oracle.predict_proba(scaler.transform(z))).float()
    assert torch.allclose(found.evaluation.probabilities, expected, atol=1e-4)
    assert torch.allclose(found.mean.probabilities, held.mean(0).float(), atol=1e-6)
    assert sum(found.shares.values()) == pytest.approx(1) and set(found.shares) == set(MODELS)


def test_it_answers_photos_as_it_was_judged(found, tmp_path):
    again = found.evaluate(colours(), cache_dir=tmp_path)
    assert torch.allclose(again.probabilities, found.evaluation.probabilities, atol=1e-4)
    photo = painted(12, seed=1).open_one(0)
    [first, *rest] = found.predict(photo, topk=2, cache_dir=tmp_path)
    likeliest = float(again.probabilities[0].max())
    assert len(rest) == 1 and first.probability == pytest.approx(likeliest, abs=1e-4)
    assert list(found.predict([photo, photo], cache_dir=tmp_path)) == ["image 1", "image 2"]
    with pytest.raises(ValueError, match="unknown elsewhere"):
        found.evaluate(replace(painted(6), classes=("red", "green", "pink")), cache_dir=tmp_path)


def test_members_with_classes_in_another_order_fit():
    turned = tiny(1)
    turned.config = turned.config.with_(labels=("blue", "red", "green"))
    both = stacked(models={"a": tiny(), "turned": turned}, epochs=6)
    assert both.members["turned"].config.labels == ("blue", "red", "green")
    assert both.alone["turned"].classes == ("blue", "red", "green")
    assert both.evaluation.classes == ("red", "green", "blue") and both.evaluation.top1 > 0.8
    parse(both._repr_html_())


@pytest.mark.parametrize("meta", ["logistic", "mlp"])
def test_several_classes_and_numbers_are_stacked_too(meta, tmp_path):
    data = colours()

    def of(change) -> Splits:
        return Splits("changed", change(data.train), change(data.val))

    rows = of(lambda part: replace(part, labels=tuple((0, 1) if i == 2 else (i,) for i in part.labels)))
    several = stacked(data=rows, meta=meta, epochs=4)
    assert several.evaluation.multi_label and several.evaluation.exact_match > 0.3
    numbers = of(lambda part: PhotoSet(("hue",), tuple((100.0 + 50 * i,) for i in part.labels), part.names,
                                       part.open_one, numbers=True))
    told = stacked(explorer.blend, numbers, meta=meta, epochs=8)
    assert told.evaluation.mae < 60 and told.method == "blend" and told.learnt == 6
    for one, judged in ((several, rows), (told, numbers)):
        parse(one._repr_html_())
        assert len(one.evaluate(judged, cache_dir=tmp_path)) == 12
    assert (told.shares is None) == (meta == "mlp")


def test_a_class_that_the_meta_learner_has_not_seen_gets_next_to_nothing():
    outputs = Outputs("one", ("a", "b", "c"))
    x = features_of(torch.rand(2, 20, 3), outputs)
    raw = Meta("logistic", outputs, 0).fit(x, np.arange(20) % 2).scores(x)
    assert raw.shape == (20, 3) and (raw[:, 2].exp() < 1e-9).all()
    assert torch.allclose(raw.exp().sum(1), torch.ones(20, dtype=torch.float64))


# --- what goes wrong, and what it says ----------------------------------------------------------------------


def test_a_member_that_fails_is_named():
    with pytest.raises(TrainingError, match="Member other of models: Fold 1 of 3: .*loss became"):
        broken = tiny(1)
        with torch.no_grad():
            broken.get_classifier().weight.fill_(float("nan"))
        stacked(models={"small": tiny(), "other": broken})
    with pytest.raises(ValueError, match="one member, small: give two"):
        stacked(models={"small": tiny()})
    with pytest.raises(ValueError, match="expected one of logistic, mlp"):
        stacked(meta="forest")
    with pytest.raises(ValueError, match="member team is an ensemble itself"):  # before any is taught
        stacked(models={"small": "no such name", "team": explorer.Ensemble([tiny(0), tiny(1)])})
    with pytest.raises(TrainingError, match="Stopped before"):
        stacked(should_stop=lambda: True)


@pytest.mark.parametrize("setting, meant", [("cv", "folds"), ("learning_rate", "lr"), ("epoch", "epochs")])
def test_a_word_of_another_library_is_answered_by_that_of_this_one(setting, meant):
    expected = f"no setting '{setting}'. Did you mean '{meant}'. Beside folds, meta"
    with pytest.raises(TypeError, match=expected):
        explorer.stack(["resnet18", "resnet34"], (), **{setting: 5})


def test_it_shows_itself_and_tells_how_far_it_is(found):
    page = parse(found._repr_html_())
    assert ["mean of their answers", "", page.find("table").rows()[3][2], ""] in page.find("table").rows()
    assert "McNemar" in page.text or "same" in page.text
    told = []
    stacked(on_progress=lambda done, total: told.append((done, total)))
    assert told == [(i, 8) for i in range(1, 9)]
    told.clear()
    stacked(explorer.blend, on_progress=lambda done, total: told.append((done, total)))
    assert told == [(1, 2), (2, 2)]
