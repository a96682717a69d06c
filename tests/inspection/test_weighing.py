"""`fit_weights` by photos with one class, several, or numbers; and what is said of broken scores."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

import explorer
from explorer.data.folders import DataError
from explorer.data.photo_sets import PhotoSet, Splits
from explorer.inspection.weighing.answers import member_answers
from explorer.models.ensembles.fitting import slope_left
from tests.training.test_finetune import COLOURS, painted

NAMES = tuple(COLOURS)


def eye(channels=(0, 1, 2), *, noise=0.0, seed=0, labels=NAMES, **wrapping):
    """It sees how much of red, green and blue a photo has, through some noise."""
    torch.manual_seed(seed)
    module = nn.Sequential(nn.Conv2d(3, 3, 1, bias=False), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
                           nn.Linear(3, len(labels)))
    mixing = torch.eye(3)[list(channels)] + noise * torch.randn(3, 3)
    module[0].weight.data = mixing.reshape(3, 3, 1, 1)
    module[3].weight.data = 3 * torch.eye(3)[[NAMES.index(name) for name in labels]] if labels[0] in NAMES \
        else torch.ones(1, 3)
    module[3].bias.data.zero_()
    return explorer.wrap(module, input_size=(3, 16, 16), labels=labels, name=f"eye {seed}", **wrapping).eval()


def several(count=24) -> PhotoSet:
    found = painted(count)
    labels = tuple((label,) if i % 4 else (0, 1) for i, label in enumerate(found.labels))
    return replace(found, labels=labels)


def numbers(count=24) -> PhotoSet:
    found = painted(count)
    return PhotoSet(("hue",), tuple((100.0 + 50 * label,) for label in found.labels), found.names,
                    found.open_one, numbers=True)


def best_of(said, weights, how="mean"):
    return slope_left(torch.tensor(weights), list(said.logits), said.targets, said.outputs, how)


@pytest.mark.parametrize("how", ["mean", "logits"])
def test_weights_are_fitted_by_photos_with_several_classes(how, tmp_path):
    team = explorer.Ensemble([eye(noise=0.3, seed=seed, outputs="several") for seed in range(3)], combine=how)
    found = explorer.fit_weights(team, several(), cache_dir=tmp_path)
    said = found.answers
    assert said.truth.shape == (24, 3) and said.truth[0].tolist() == [1, 1, 0]
    assert best_of(said, [*found.weights.values()], how) < 1e-6
    assert found.after[1] <= min(found.before[1], *said.losses) + 1e-12
    judged = explorer.evaluate(team, several())
    assert judged.loss == pytest.approx(found.after[1], abs=1e-5)
    assert judged.exact_match == pytest.approx(found.after[0]) and "all classes right" in repr(found)
    by_score = explorer.fit_weights(team, several(), by="score", cache_dir=tmp_path)
    assert sum(by_score.weights.values()) == pytest.approx(1)


def test_a_photo_of_one_class_tells_members_of_several_classes_too(tmp_path):
    team = explorer.Ensemble([eye(noise=0.3, seed=seed, outputs="several") for seed in range(2)])
    found = explorer.fit_weights(team, painted(12), cache_dir=tmp_path)
    judged = explorer.evaluate(team, painted(12))
    assert found.after == (pytest.approx(judged.top1), pytest.approx(judged.loss, abs=1e-5))


@pytest.mark.parametrize("combine", ["mean", "vote"])
def test_weights_are_fitted_by_numbers_in_whatever_unit(combine, tmp_path):
    members = [eye(noise=0.4, seed=seed, labels=("hue",), outputs="numbers") for seed in range(3)]
    for member, (mean, std) in zip(members, ((120.0, 40.0), (150.0, 20.0), (90.0, 60.0))):
        member.config = member.config.with_(number_mean=(mean,), number_std=(std,))
    team = explorer.Ensemble(members, combine=combine)
    found = explorer.fit_weights(team, numbers(), cache_dir=tmp_path)
    said = found.answers
    assert best_of(said, [*found.weights.values()]) < 1e-6
    each = np.stack([explorer.evaluate(member, numbers()).predicted[:, 0] for member in members])
    truth = np.array(numbers().labels)[:, 0]
    tries = np.random.default_rng(0).dirichlet(np.ones(3), 500)  # in the numbers' own unit
    reached = ((np.array([*found.weights.values()]) @ each - truth) ** 2).mean()
    assert reached <= ((tries @ each - truth) ** 2).mean(1).min() + 1e-6
    judged = explorer.evaluate(team, numbers())
    assert judged.mae == pytest.approx(found.after[0], rel=1e-5) and "mean absolute error" in repr(found)
    with pytest.raises(ValueError, match="give numbers, which are not right or wrong"):
        said.accuracy()
    inverse = 1 / ((each - truth) ** 2).mean(1)
    by_score = explorer.fit_weights(team, numbers(), by="score", cache_dir=tmp_path)
    assert [*by_score.weights.values()] == pytest.approx((inverse / inverse.sum()).tolist(), rel=1e-4)


def test_a_table_of_numbers_is_read_by_the_members_names(tmp_path):
    photos = numbers(6)
    for i in range(6):
        photos.open_one(i).save(tmp_path / f"{i}.png")
    rows = [f"{i}.png,{7 * i},{photos.labels[i][0]}" for i in range(6)]
    (tmp_path / "them.csv").write_text("\n".join(["file,other,hue", *rows]))
    team = explorer.Ensemble([eye(seed=seed, labels=("hue",), outputs="numbers") for seed in range(2)])
    said = member_answers(team, tmp_path / "them.csv", cache_dir=tmp_path / "cache")
    assert said.truth[:, 0].tolist() == [label[0] for label in photos.labels]


@pytest.mark.parametrize("data, outputs, says", [
    (lambda: numbers(), "several", "tell several classes at once.*photos are of numbers"),
    (lambda: several(), "one", "one of the classes.*photos are of several classes"),
    (lambda: painted(6), "numbers", "give numbers .*photos have 3 classes"),
    (lambda: Splits("both", several(4), several(4)), "one", "photos are of several classes"),
])
def test_photos_that_tell_of_something_else_are_refused(data, outputs, says):
    labels = ("hue",) if outputs == "numbers" else NAMES
    team = explorer.Ensemble([eye(seed=seed, outputs=outputs, labels=labels) for seed in range(2)])
    with pytest.raises(DataError, match=says):
        explorer.fit_weights(team, data())


def test_the_result_of_evaluate_is_no_photos_but_has_some(tmp_path):
    team, photos = explorer.Ensemble([eye(noise=0.3, seed=seed) for seed in range(2)]), painted(6)
    judged = explorer.evaluate(team, photos)
    for call in (lambda: explorer.fit_weights(team, judged), lambda: explorer.evaluate(team, judged),
                 lambda: explorer.run_folder(team, judged), lambda: explorer.finetune(eye(), judged)):
        with pytest.raises(DataError, match="not Evaluation, which holds some: give its .data"):
            call()
    assert len(explorer.fit_weights(team, judged.data, cache_dir=tmp_path).answers) == 6


def test_one_photo_is_one_photo(tmp_path):
    team = explorer.Ensemble([eye(noise=0.3, seed=seed) for seed in range(2)])
    found = explorer.fit_weights(team, Splits("both", painted(3), painted(1)), cache_dir=tmp_path)
    assert found.notes[0] == "By the 1 photo of the val part." and found.notes[1].startswith("1 photo. The")


def test_a_photo_that_is_broken_is_left_out_of_the_truth_too(tmp_path):
    photos = several(6)

    def open_one(i):
        if i == 2:
            raise explorer.ImageError("cut off")
        return photos.open_one(i)

    team = explorer.Ensemble([eye(seed=seed, outputs="several") for seed in range(2)])
    said = member_answers(team, replace(photos, open_one=open_one), cache_dir=tmp_path)
    assert len(said) == 5 and said.truth[0].tolist() == [1, 1, 0] and said.truth[2].tolist() == [1, 0, 0]
    assert any("photo 2" in note and "cut off" in note for note in said.notes)


def test_a_member_whose_scores_are_no_numbers_is_named(tmp_path):
    broken = eye(seed=1)
    broken.module[3].weight.data[0, 0] = float("nan")
    team = explorer.Ensemble([eye(), broken])
    with pytest.raises(ValueError, match="The member eye 1 gives scores that are no numbers .*6 of 6 photos"):
        explorer.fit_weights(team, painted(6), cache_dir=tmp_path)


def test_a_greedy_soup_of_models_that_give_numbers_takes_the_ones_with_less_error():
    good, twin, bad = (eye(noise=noise, seed=7, labels=("hue",), outputs="numbers")
                       for noise in (0.1, 0.1, 3))
    for model in (good, twin, bad):
        model.config = model.config.with_(number_mean=(150.0,), number_std=(40.0,))
    made = explorer.soup({"bad": bad, "good": good, "twin": twin}, data=numbers())
    assert "bad left out; mean absolute error" in made.load_report.noted[0]
