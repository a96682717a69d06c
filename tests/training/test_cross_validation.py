"""`cross_validate`: folds that are alike, answers that nothing has leaked into, and what it says of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

import explorer
from explorer.data.photo_sets import FromFiles, PhotoSet, Splits
from explorer.training.choosing.fold_runs import asked, fold_runs
from explorer.training.choosing.folds import fold_parts
from explorer.training.loop.errors import TrainingError
from tests.html import parse
from tests.training.test_finetune import painted
from tests.training.tiny_net import HOW, SIZE, tiny


def validated(model, data, **settings):
    return explorer.cross_validate(model, data, **{"folds": 3, "input_size": SIZE, "device": "cpu", **HOW,
                                                   **settings})


def labelled(labels, classes=("a", "b", "c"), **facts) -> PhotoSet:
    blank = Image.new("RGB", (32, 32))
    return PhotoSet(tuple(classes), tuple(labels), tuple(f"{i}.png" for i in range(len(labels))),
                    lambda i: blank, **facts)


@pytest.fixture(scope="module")
def colours() -> PhotoSet:
    return painted(30)


@pytest.fixture(scope="module")
def found(colours):
    return validated(tiny(), Splits("colours", colours, painted(6, seed=3)))


# --- folds --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("folds", [2, 5])
def test_every_photo_is_judged_once_and_every_fold_has_its_share_of_each_class(folds):
    random = np.random.default_rng(0)
    labels = random.choice(3, 103, p=[0.7, 0.2, 0.1]).tolist()
    parts, notes = fold_parts(labelled(labels), folds, seed=1)
    assert sorted(i for part in parts for i in part) == list(range(103)) and notes == []
    assert max(map(len, parts)) - min(map(len, parts)) <= 2
    for kind in range(3):
        counts = [sum(labels[i] == kind for i in part) for part in parts]
        assert max(counts) - min(counts) <= 1
    assert fold_parts(labelled(labels), folds, seed=1)[0] == parts
    assert fold_parts(labelled(labels), folds, seed=2)[0] != parts


def test_each_of_several_classes_and_the_whole_range_of_numbers_are_in_every_fold():
    random = np.random.default_rng(0)
    rows = [tuple(np.flatnonzero(random.random(3) < (0.5, 0.2, 0.1)).tolist()) for _ in range(90)]
    parts, _ = fold_parts(labelled(rows), 3, seed=0)
    for kind in range(3):
        counts = [sum(kind in rows[i] for i in part) for part in parts]
        assert max(counts) - min(counts) <= 1, counts
    numbers = [(float(value),) for value in random.exponential(1, 90)]
    parts, _ = fold_parts(labelled(numbers, ("age",), numbers=True), 3, seed=0)
    medians = [np.median([numbers[i][0] for i in part]) for part in parts]
    assert max(medians) - min(medians) < 0.35 and {len(part) for part in parts} == {30}


def test_files_with_the_same_contents_stay_in_one_fold(tmp_path):
    for i in range(12):
        Image.new("RGB", (8, 8), (i // 3 * 40, 0, 0)).save(tmp_path / f"{i}.png")
    files = tuple(tmp_path / f"{i}.png" for i in range(12))
    photos = PhotoSet(("a", "b"), (0, 1) * 6, tuple(map(str, range(12))), FromFiles(files), files)
    parts, notes = fold_parts(photos, 4, seed=0)
    assert sorted(sorted(part) for part in parts) == [[0, 1, 2], [3, 4, 5], [6, 7, 8], [9, 10, 11]]
    assert notes == ["12 files have the same contents as another one: each such group is in one fold."]


def test_a_rare_class_is_named_and_too_few_photos_are_refused():
    parts, notes = fold_parts(labelled([0] * 10 + [1]), 3, seed=0)
    assert "fewer photos than folds of b" in notes[0] and sum(map(len, parts)) == 11
    with pytest.raises(ValueError, match="3 photos can't be judged in 2 folds"):
        fold_parts(labelled([0, 1, 0]), 2, seed=0)


# --- no leak ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("train", ["head", "all"])
def test_poisoned_labels_of_a_fold_change_nothing_about_the_answers_to_it(train):
    photos = painted(18)
    parts = [list(range(0, 6)), list(range(6, 12)), list(range(12, 18))]
    settings = {**HOW, "train": train, "epochs": 3, "seed": 0}

    def answers(data: PhotoSet) -> list[torch.Tensor]:
        it = asked(tiny(), data, "colours", pretrained=False, input_size=SIZE, device="cpu",
                   settings=settings)
        return [run.result.probabilities for run in fold_runs(it, parts)]

    poisoned = replace(photos, labels=tuple((label + 1) % 3 if i < 6 else label
                                            for i, label in enumerate(photos.labels)))
    clean, other = answers(photos), answers(poisoned)
    assert torch.equal(clean[0], other[0])
    assert not torch.equal(clean[1], other[1]) and not torch.equal(clean[2], other[2])


def test_early_stopping_would_leak_and_is_refused(colours):
    with pytest.raises(ValueError, match="patience=1 would let the judged photos choose"):
        validated(tiny(), colours, patience=1)


def test_a_classifier_that_knows_the_classes_is_warned_of(colours):
    taught = explorer.finetune(tiny(), Splits("colours", colours, colours), input_size=SIZE, device="cpu",
                               **HOW).wait().model
    assert any("too good" in note for note in validated(taught, colours, folds=2).notes)


# --- figures ------------------------------------------------------------------------------------------------


def test_mean_spread_and_out_of_fold_answers_are_those_of_the_folds(found):
    assert len(found.folds) == 3 and sum(len(fold.result) for fold in found.folds) == 36
    assert found.values == [fold.result.top1 for fold in found.folds]
    assert found.mean == pytest.approx(np.mean(found.values))
    assert found.spread == pytest.approx(np.std(found.values, ddof=1))
    whole = found.evaluation
    assert len(whole) == 36 and whole.split == "out-of-fold" and whole.confusion.sum() == 36
    assert [*whole.names[:30]] == [f"photo {i}" for i in range(30)]
    right = sum(round(fold.result.top1 * len(fold.result)) for fold in found.folds)
    assert whole.top1 == pytest.approx(right / 36) and whole.top1 > 0.9
    losses = [fold.result.loss for fold in found.folds]
    sizes = [len(fold.result) for fold in found.folds]
    assert whole.loss == pytest.approx(np.average(losses, weights=sizes), rel=1e-5)


def test_vectors_seen_once_give_the_folds_that_looking_in_every_fold_gives(colours, found):
    anew = validated(tiny(), Splits("colours", colours, painted(6, seed=3)), cache=False, epochs=2)
    once = validated(tiny(), Splits("colours", colours, painted(6, seed=3)), rounds=1)
    assert torch.allclose(anew.evaluation.probabilities, once.evaluation.probabilities, atol=2e-3)
    again = validated(tiny(), Splits("colours", colours, painted(6, seed=3)))
    assert torch.equal(again.evaluation.probabilities, found.evaluation.probabilities)


def test_the_model_stays_as_it_was_and_refit_gives_one_that_knows_all(colours):
    model = tiny()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    done = validated(model, colours, folds=2, refit=True, repeats=2)
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert len(done.folds) == 4 and {fold.repeat for fold in done.folds} == {1, 2}
    assert len(done.evaluation) == 30
    assert explorer.evaluate(done.model, colours).top1 > 0.9 and done.model.config.labels == colours.classes


def test_photos_with_several_classes_and_with_numbers(colours):
    rows = replace(colours, labels=tuple((0, 1) if label == 2 else (label,) for label in colours.labels))
    several = validated(tiny(), rows, folds=2)
    assert several.figure == "share with all classes right" and several.evaluation.multi_label
    numbers = replace(colours, classes=("hue",), numbers=True,
                      labels=tuple((100.0 + 50 * label,) for label in colours.labels))
    told = validated(tiny(), numbers, folds=2, epochs=6)
    assert told.figure == "mean absolute error" and 0 < told.mean < 40
    assert told.evaluation.predicted.mean() == pytest.approx(150, abs=30)
    for one in (several, told):
        parse(one._repr_html_())
        assert one.plot()._repr_png_().startswith(b"\x89PNG")
    with pytest.raises(ValueError, match="Label errors are found among classes"):
        told.label_errors()


def test_it_tells_how_far_it_is_and_stops_with_the_folds_that_are_whole(colours):
    told = []
    full = validated(tiny(), colours, on_progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (36, 36) and [done for done, _ in told] == sorted(done for done, _ in told)
    assert len(full.folds) == 3
    heard = []
    part = validated(tiny(), colours, on_progress=lambda done, total: heard.append(done),
                     should_stop=lambda: bool(heard) and heard[-1] >= 33)
    assert len(part.folds) == 1 and len(part.evaluation) == 10 and "Stopped after 1 of 3" in part.notes[-1]
    with pytest.raises(TrainingError, match="Stopped before the first fold"):
        validated(tiny(), colours, should_stop=lambda: True)


def test_a_fold_whose_run_fails_is_named(colours):
    with pytest.raises(TrainingError, match="Fold 1 of 3: .*loss became"):
        validated(tiny(), colours, lr=1e30, train="all", epochs=3)


def test_a_broken_photo_is_left_out_and_named(tmp_path):
    for name, colour in (("red", (200, 0, 0)), ("blue", (0, 0, 200))):
        (tmp_path / name).mkdir()
        for i in range(4):
            Image.new("RGB", (32, 32), tuple(min(c + 5 * i, 255) for c in colour)).save(
                tmp_path / name / f"{i}.png")
    (tmp_path / "red" / "broken.png").write_bytes(b"no photo")
    done = validated(tiny(), tmp_path, folds=2)
    assert len(done.evaluation) == 8 and any("broken.png" in note for note in done.notes)


def test_it_shows_itself_and_can_be_kept(found, tmp_path):
    page = parse(found._repr_html_())
    assert "give or take" in page.text and len(page.find_all("table")) == 2 and "epochs=2" in page.text
    assert found.plot()._repr_png_().startswith(b"\x89PNG")
    found.to_csv(tmp_path / "folds.csv")
    assert len((tmp_path / "folds.csv").read_text().splitlines()) == 4
    assert found.label_errors().photos == 36
