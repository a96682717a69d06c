"""Evaluation: figures held against scikit-learn and against cases made by hand; what is shown, what is
refused.
"""

from __future__ import annotations

import csv
import json
import math

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn import metrics
from torch import nn

import explorer
from explorer.data.datasets import DataError, PhotoSet, Splits
from explorer.data.images import ImageError
from explorer.inspection.look import faster
from explorer.training.evaluation import evaluating, report
from explorer.training.evaluation.evaluating import evaluate
from explorer.training.evaluation.evaluation import Evaluation
from explorer.training.evaluation.matching import match_classes
from explorer.training.run.finetuning import finetune
from tests.html import parse
from tests.models.oracle import randomise

SIZE = (3, 32, 32)
COLOURS = ("red", "green", "blue")
SHADES = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255), "black": (0, 0, 0)}


def drawn(count: int = 200, classes: int = 7, seed: int = 0, *, multi_label: bool = False) -> Evaluation:
    """Made-up answers, often right; the last class is never predicted, the one before has no photos."""
    draw = torch.Generator().manual_seed(seed)
    logits = torch.randn(count, classes, generator=draw)
    if multi_label:
        labels = (torch.rand(count, classes, generator=draw) > 0.6).long()
        probabilities = (logits + 2 * labels - 1).sigmoid()
        losses = torch.rand(count, generator=draw)
    else:
        labels = torch.randint(classes - 2, (count,), generator=draw)
        labels[:5] = classes - 1
        logits[torch.arange(count), labels] += 1.5
        logits[:, -1] -= 20
        probabilities = logits.softmax(1)
        losses = nn.functional.cross_entropy(logits, labels, reduction="none")
    names = tuple(f"photo {i}" for i in range(count))
    return Evaluation(tuple(f"kind {i}" for i in range(classes)), probabilities, labels, losses, names)


def by_hand(pairs: list[tuple[int, list[float]]], classes: tuple[str, ...] = COLOURS) -> Evaluation:
    """An evaluation of (true class, probabilities)."""
    labels = torch.tensor([label for label, _ in pairs])
    probabilities = torch.tensor([row for _, row in pairs])
    losses = -probabilities.gather(1, labels[:, None])[:, 0].log()
    return Evaluation(classes, probabilities, labels, losses, tuple(f"photo {i}" for i in range(len(pairs))))


# --- figures against scikit-learn ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def single() -> Evaluation:
    return drawn()


def test_accuracies_equal_scikit_learns(single):
    true, probabilities = single.labels.numpy(), single.probabilities.numpy()
    assert single.top1 == metrics.accuracy_score(true, probabilities.argmax(1))
    for k in (2, 3, 5):
        assert single.top(k) == metrics.top_k_accuracy_score(true, probabilities, k=k, labels=range(7))
    assert single.top5 == single.top(5)
    assert 0.3 < single.top1 < single.top(2) < single.top5 < 1


def test_the_loss_equals_scikit_learns(single):
    probabilities = single.probabilities.double() / single.probabilities.double().sum(1, keepdim=True)
    assert single.loss == pytest.approx(metrics.log_loss(single.labels, probabilities, labels=range(7)),
                                        rel=1e-5)


def test_the_confusion_matrix_has_true_rows_and_predicted_columns_as_scikit_learns(single):
    expected = metrics.confusion_matrix(single.labels, single.probabilities.argmax(1), labels=range(7))
    assert np.array_equal(single.confusion.numpy(), expected)
    assert not np.array_equal(expected, expected.T)


@pytest.mark.parametrize("multi_label", [False, True])
def test_figures_of_each_class_equal_scikit_learns_and_are_nan_where_undefined(multi_label):
    result = drawn(multi_label=multi_label)
    true, predicted = result.labels.numpy(), result.predicted.long().numpy()
    expected = metrics.precision_recall_fscore_support(true, predicted, labels=range(7), zero_division=np.nan)
    found = np.array([[f.precision, f.recall, f.f1, f.support] for f in result.per_class.values()]).T
    np.testing.assert_allclose(found, np.array(expected), rtol=1e-6)
    assert np.isnan(found).any() != multi_label and list(result.per_class) == list(result.classes)


def test_balanced_accuracy_equals_scikit_learns():
    result = by_hand([(0, [0.9, 0.1, 0]), (0, [0.6, 0.4, 0]), (0, [0.1, 0.9, 0]), (1, [0.1, 0.9, 0])])
    expected = metrics.balanced_accuracy_score(result.labels, result.predicted)
    assert result.balanced == pytest.approx(expected, rel=1e-6) and result.balanced != result.top1


@pytest.mark.parametrize("multi_label", [False, True])
def test_curves_and_their_areas_equal_scikit_learns(multi_label):
    result = drawn(multi_label=multi_label)
    for name, curve in result.roc.items():
        i = result.classes.index(name)
        truth = result.labels[:, i] if multi_label else result.labels == i
        x, y, _ = metrics.roc_curve(truth, result.probabilities[:, i], drop_intermediate=False)
        np.testing.assert_allclose((curve.x, curve.y), (x, y), atol=1e-6)
        assert curve.area == pytest.approx(metrics.roc_auc_score(truth, result.probabilities[:, i]), abs=1e-6)
        curve = result.pr[name]
        precision, recall, _ = metrics.precision_recall_curve(truth, result.probabilities[:, i])
        np.testing.assert_allclose((curve.x, curve.y), (recall, precision), atol=1e-6)
        expected = metrics.average_precision_score(truth, result.probabilities[:, i])
        assert curve.area == pytest.approx(expected, abs=1e-6)
    assert len(result.roc) == (7 if multi_label else 6)


def test_a_class_without_photos_has_no_curve(single):
    assert "kind 5" not in single.roc and "kind 5" not in single.pr
    with pytest.raises(KeyError, match="no photos are of that class"):
        single.roc["kind 5"]


def test_the_interval_of_top1_is_wilsons(single):
    from scipy.stats import binomtest

    right = round(single.top1 * len(single))
    expected = binomtest(right, len(single)).proportion_ci(method="wilson")
    assert single.top1_interval == pytest.approx((expected.low, expected.high), abs=1e-6)


def test_several_classes_a_photo_have_their_own_figures_and_no_others():
    result = drawn(multi_label=True)
    true, predicted = result.labels.numpy(), (result.probabilities > 0.5).numpy()
    assert result.exact_match == pytest.approx(metrics.accuracy_score(true, predicted))
    expected = metrics.average_precision_score(true, result.probabilities, average="macro")
    assert result.mean_average_precision == pytest.approx(expected, abs=1e-6)
    for figure in ("top1", "top5", "confusion", "most_confused", "top1_interval"):
        assert getattr(result, figure) is None
    assert drawn().exact_match is None and drawn().mean_average_precision is None


# --- figures by hand ----------------------------------------------------------------------------------------


def test_the_calibration_error_is_the_weighted_distance_between_confidence_and_right():
    result = by_hand([(0, [0.9, 0.1, 0.0]), (1, [0.9, 0.1, 0.0]), (2, [0.2, 0.2, 0.6]),
                      (2, [0.25, 0.15, 0.6])])
    # half of the answers with 0.9 are right, all of those with 0.6: (2 * |0.9 - 0.5| + 2 * |0.6 - 1|) / 4
    assert result.calibration.error == pytest.approx(0.4, abs=1e-6)
    filled = {round(b.low, 3): (b.count, round(b.confidence, 3), b.right) for b in result.calibration.bins
              if b.count}
    assert filled == {0.6: (2, 0.6, 1.0), 0.867: (2, 0.9, 0.5)}


def test_answers_that_are_quite_sure_are_in_the_last_bin():
    result = by_hand([(0, [1.0, 0.0, 0.0]), (1, [1.0, 0.0, 0.0]), (0, [0.95, 0.05, 0.0]),
                      (0, [0.95, 0.05, 0.0])])
    assert result.calibration.bins[-1].count == 4
    # one bin: mean confidence 0.975, three of four right
    assert result.calibration.error == pytest.approx(0.225, abs=1e-6)


def test_the_bins_add_up_to_the_error(single):
    bins = [b for b in single.calibration.bins if b.count]
    total = sum(b.count * abs(b.confidence - b.right) for b in bins) / len(single)
    assert sum(b.count for b in bins) == len(single)
    assert single.calibration.error == pytest.approx(total, abs=1e-6)


def test_top5_needs_six_classes():
    assert drawn(classes=6).top5 is not None and drawn(classes=5).top5 is None


def test_probabilities_a_rounding_error_above_one_are_not_taken_for_logits():
    rows = [(0, [1.0, 0.0, 0.0]), (1, [0.0, 1.0, 0.0]), (0, [0.4, 0.6, 0.0]), (2, [0.1, 0.2, 0.7])]
    clean, noisy = by_hand(rows), by_hand(rows)
    noisy.probabilities = clean.probabilities * (1 + 1e-6)
    assert noisy.calibration.error == pytest.approx(clean.calibration.error, abs=1e-5)
    torch.testing.assert_close(noisy.roc["red"].thresholds, clean.roc["red"].thresholds, atol=1e-5, rtol=0)


@pytest.fixture
def few() -> Evaluation:
    return by_hand([(0, [0.8, 0.1, 0.1]), (0, [0.3, 0.6, 0.1]), (0, [0.05, 0.9, 0.05]), (1, [0.1, 0.2, 0.7]),
                    (1, [0.1, 0.8, 0.1]), (2, [0.1, 0.1, 0.8])])


def test_the_worst_photos_come_first(few):
    worst = few.worst[0]
    assert (worst.name, worst.true, worst.predicted, worst.right) == ("photo 2", "red", "green", False)
    assert worst.probability == pytest.approx(0.9) and worst.loss == pytest.approx(-math.log(0.05))
    losses = [row.loss for row in few.worst]
    assert losses == sorted(losses, reverse=True) and len(losses) == 6


def test_the_most_confused_pairs_are_counted(few):
    confused = [(c.true, c.predicted, c.count) for c in few.most_confused]
    assert confused == [("red", "green", 2), ("green", "blue", 1)]
    assert few.most_confused[0].share == pytest.approx(2 / 3)


def test_a_cell_of_the_confusion_matrix_names_its_photos(few):
    assert [row.name for row in few.photos("red", "green")] == ["photo 2", "photo 1"]
    assert [row.name for row in few.photos(2, 2)] == ["photo 5"]
    assert few.photos("blue", "red") == []
    assert {row.name for row in few.photos(predicted="blue")} == {"photo 3", "photo 5"}
    assert all(len(few.photos(i, j)) == few.confusion[i, j] for i in range(3) for j in range(3))
    with pytest.raises(ValueError, match="no class 'pink': there are red, green, blue"):
        few.photos("pink", "red")


def test_parts_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="The parts do not fit"):
        Evaluation(("a", "b"), torch.rand(3, 3), torch.zeros(3).long(), torch.zeros(3), ("x", "y", "z"))


# --- a model looks at photos --------------------------------------------------------------------------------


class Eye(nn.Module):
    """Looks at the mean of each colour: what is mostly red is class 0, and so on; the left half counts
    double.
    """

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(4.0))
        self.fc = nn.Linear(3, 3, bias=False)
        self.fc.weight.data.copy_(torch.eye(3))
        self.passes = []

    def forward(self, x):
        self.passes.append((len(x), self.training, torch.is_inference_mode_enabled()))
        half = x.shape[-1] // 2
        return self.fc(self.scale * (2 * x[..., :half].mean((2, 3)) + x[..., half:].mean((2, 3))))


def eye(labels=COLOURS):
    return explorer.wrap(Eye(), labels=labels, input_size=SIZE, mean=(0.5,) * 3, std=(0.5,) * 3)


def photo(left: str, right: str | None = None) -> Image.Image:
    picture = Image.new("RGB", (32, 32), SHADES[left])
    if right is not None:
        picture.paste(SHADES[right], (16, 0, 32, 32))
    return picture


def album(pairs, classes=COLOURS) -> PhotoSet:
    """Photos of (picture, class name or names); a picture that is None can't be opened."""
    def open_one(index: int) -> Image.Image:
        if pairs[index][0] is None:
            raise ImageError(f"'{index}.jpg' is broken or cut off: download it again.")
        return pairs[index][0]

    labels = tuple(tuple(map(classes.index, name)) if isinstance(name, tuple) else classes.index(name)
                   for _, name in pairs)
    return PhotoSet(tuple(classes), labels, tuple(f"{i}.jpg" for i in range(len(pairs))), open_one)


PLAIN = [(photo("red"), "red"), (photo("green"), "green"), (photo("blue"), "green"), (photo("blue"), "blue")]


def test_each_photo_goes_through_the_model_once_and_its_flags_stay():
    model = eye()
    model.train()
    passes = next(part for part in model.modules() if isinstance(part, Eye)).passes
    passes.clear()
    seen = []
    result = evaluate(model, album(PLAIN), batch_size=3, on_progress=lambda *both: seen.append(both))
    assert passes == [(3, False, True), (1, False, True)] and seen == [(3, 4), (4, 4)]
    assert all(part.training for part in model.modules())
    assert result.top1 == 0.75
    assert result.predicted.tolist() == [0, 1, 2, 2] and result.labels.tolist() == [0, 1, 1, 2]
    assert result.throughput.photos_per_second > 0 and result.throughput.device == "cpu"
    assert not result.probabilities.is_inference() and result.probabilities.sum(1) == pytest.approx(1)


def test_probabilities_and_losses_are_those_of_the_model():
    model = eye()
    result = evaluate(model, album(PLAIN))
    for i, (picture, name) in enumerate(PLAIN):
        said = explorer.predict(model, picture, topk=3)
        assert result.probabilities[i].tolist() == pytest.approx(
            [p.probability for p in sorted(said, key=lambda p: p.index)], rel=1e-5)
        true = next(p for p in said if p.label == name)
        assert result.losses[i].item() == pytest.approx(-math.log(true.probability), rel=1e-4)


def test_test_time_augmentation_is_the_mean_over_the_photo_and_its_mirror_image():
    model, pictures = eye(), [photo("red", "green"), photo("blue", "red")]
    result = evaluate(model, album([(p, "red") for p in pictures]), tta=True)
    for row, picture in zip(result.probabilities, pictures):
        views = [picture, picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)]
        said = [sorted(explorer.predict(model, view, topk=3), key=lambda p: p.index) for view in views]
        assert row.tolist() == pytest.approx([(a.probability + b.probability) / 2 for a, b in zip(*said)],
                                             rel=1e-4)
    assert result.tta
    assert result.losses.tolist() == pytest.approx((-result.probabilities[:, 0].log()).tolist(), rel=1e-5)
    assert evaluate(model, album([(pictures[0], "red")])).probabilities[0, 0] > result.probabilities[0, 0]


def test_a_broken_photo_is_named_and_left_out():
    photos = album([(None, "red"), *PLAIN, (None, "blue")])
    result = evaluate(eye(), photos, batch_size=2)
    assert len(result) == 4 and result.names == ("1.jpg", "2.jpg", "3.jpg", "4.jpg") and result.top1 == 0.75
    assert [name for name, _ in result.broken] == ["0.jpg", "5.jpg"]
    assert "Left out, 0.jpg: '0.jpg' is broken or cut off: download it again." in result.notes
    assert result.open_photo(result.rows[0]) is PLAIN[0][0]


def test_photos_that_are_all_broken_are_an_error():
    with pytest.raises(DataError, match="None of the 2 photos could be opened. The first: '0.jpg' is broken"):
        evaluate(eye(), album([(None, "red"), (None, "blue")]))


def test_classes_are_told_by_their_names_in_any_order_and_case():
    swapped = ("Blue", "green", "RED")
    pairs = [(photo("red"), "RED"), (photo("blue"), "Blue"), (photo("green"), "green")]
    result = evaluate(eye(), album(pairs, swapped))
    assert result.top1 == 1 and result.classes == COLOURS and result.labels.tolist() == [0, 2, 1]


def test_photos_of_a_few_of_the_models_classes_are_judged_by_all_of_them():
    result = evaluate(eye(), album([(photo("red"), "red"), (photo("blue"), "red")], ("red",)))
    assert result.top1 == 0.5 and result.confusion.tolist() == [[1, 0, 1], [0, 0, 0], [0, 0, 0]]
    assert "The photos are of 1 of the model's 3 classes." in result.notes


def test_classes_that_the_model_does_not_know_are_an_error():
    with pytest.raises(DataError, match=r"knows 3 classes \(red, green, blue\), but not 'pink'.*finetune"):
        evaluate(eye(), album([(photo("red"), "pink"), (photo("red"), "red")], ("pink", "red")))


def test_a_model_without_names_takes_the_datas_and_says_so():
    result = evaluate(eye(labels=None), album(PLAIN))
    assert result.classes == COLOURS and result.top1 == 0.75
    assert any("no names for its 3 classes" in note for note in result.notes)


def test_of_many_photos_a_faster_copy_judges_most_and_says_the_same(monkeypatch):
    net = nn.Sequential(nn.Conv2d(3, 6, 3, bias=False), nn.BatchNorm2d(6), nn.ReLU(), nn.AdaptiveAvgPool2d(1),
                        nn.Flatten(), nn.Linear(6, 3))
    randomise(net)
    model = explorer.wrap(net, input_size=(3, 8, 8), labels=COLOURS)
    photos, made = album([(photo(one), one) for one in ("red", "blue") * 6]), []
    plain = evaluate(model, photos, batch_size=4)
    monkeypatch.setattr(faster, "WORTH_OPTIMIZING", 4)
    monkeypatch.setattr(faster, "unproven_copy",
                        lambda net, _: made.append(explorer.optimize(net)) or made[-1])
    fast = evaluate(model, photos, batch_size=4)
    assert made and made[0].optimize_report.folded == 1
    torch.testing.assert_close(fast.probabilities, plain.probabilities, rtol=1e-4, atol=1e-6)


def test_the_order_of_the_names_does_not_matter():
    """case A14: a model trained elsewhere has its classes in another order."""
    turned = explorer.wrap(Eye(), labels=("Red", "green", "blue"), input_size=SIZE, mean=(0.5,) * 3,
                           std=(0.5,) * 3)
    result = evaluate(turned, album(PLAIN, ("blue", "green", "red")))
    assert result.classes == ("Red", "green", "blue") and result.labels.tolist() == [0, 1, 1, 2]
    assert result.top1 == 0.75


def test_numbers_in_names_are_a_note_where_the_model_has_no_names():
    """case A14: classes by name order against a model trained elsewhere (`class_2`, `class_10`)."""
    numbered = PhotoSet(("kind_1", "kind_10", "kind_2"), (0,), ("a",), lambda i: photo("red"))
    notes = match_classes(eye(labels=None), numbered)[2]
    assert any("'kind_10' comes before 'kind_2'" in note and "explorer.wrap(model, labels=[...])" in note
               for note in notes)
    padded = PhotoSet(("A_01", "b_02", "b_10"), (0,), ("a",), lambda i: photo("red"))
    assert len(match_classes(eye(labels=None), padded)[2]) == 1
    assert match_classes(eye(labels=("kind_2", "kind_10", "kind_1")), numbered)[1:] == ([2, 1, 0], [])


def test_data_without_names_goes_by_the_models_order_and_says_so():
    """case A14: a dataset that has lost its names."""
    nameless = album([(photo("red"), "class 0"), (photo("green"), "class 1")], ("class 0", "class 1"))
    result = evaluate(eye(), nameless)
    assert result.classes == COLOURS and result.top1 == 1.0
    assert any("no names for its classes" in note and "label 0 is 'red'" in note for note in result.notes)


def test_names_that_could_be_two_classes_are_not_guessed():
    with pytest.raises(DataError, match="meant by 'RED' is unclear"):
        match_classes(eye(labels=("red", "Red", "blue")),
                      PhotoSet(("RED",), (0,), ("a",), lambda i: photo("red")))


def painted_folder(root, *parts):
    for part in parts:
        for name in COLOURS:
            (root / part / name).mkdir(parents=True)
            for i in range(3):
                shade = tuple(c and c - i - len(part) for c in SHADES[name])
                Image.new("RGB", (32, 32), shade).save(root / part / name / f"{i}.png")
    return root


def test_a_folder_is_judged_as_it_is_described(tmp_path):
    """case A8: `Train/` + `Test/`; to judge, there need be nothing to learn from."""
    both = painted_folder(tmp_path / "both", "Train", "Test")
    (both / "__MACOSX" / "red").mkdir(parents=True)
    result = evaluate(eye(), both)
    assert (len(result.names), result.split, result.top1) == (9, "val", 1.0)
    assert result.names[0] == "blue/0.png"
    assert any("__MACOSX is left out" in note for note in result.notes)
    whole = evaluate(eye(), both, split="all")
    assert (len(whole.names), whole.split, whole.names[0]) == (18, "all", "Train/blue/0.png")
    alone = painted_folder(tmp_path / "alone", "val", "test")
    assert len(evaluate(eye(), alone).names) == 9
    with pytest.raises(DataError, match="nothing to learn from"):
        evaluate(eye(), alone, split="train")


def test_imagenets_own_folder_names_stand_for_its_classes_in_order():
    model = explorer.wrap(nn.Sequential(nn.Flatten(), nn.Linear(12, 1000)), input_size=(3, 2, 2))
    folders = tuple(f"n{10000000 + 7 * i}" for i in range(1000))
    photos = PhotoSet(folders, (0, 999), ("a", "b"), lambda i: photo("red"))
    classes, place_of, _ = match_classes(model, photos)
    assert (classes[0], classes[999], place_of) == ("tench", "toilet tissue", list(range(1000)))


def test_two_classes_of_one_name_get_their_numbers():
    model = eye(labels=("crane", "crane", "dove"))
    classes, _, _ = match_classes(model, PhotoSet(("dove",), (0,), ("a",), lambda i: photo("red")))
    assert classes == ("crane (0)", "crane (1)", "dove")


def test_several_classes_a_photo_are_judged_one_by_one():
    pairs = [(photo("red"), ("red",)), (photo("red", "green"), ("red", "green")), (photo("black"), ())]
    model = eye()
    result = evaluate(model, album(pairs))
    logits = torch.tensor([[p.logit for p in sorted(explorer.predict(model, picture, topk=3),
                                                    key=lambda p: p.index)] for picture, _ in pairs])
    truth = torch.tensor([[1.0, 0, 0], [1, 1, 0], [0, 0, 0]])
    expected = nn.functional.binary_cross_entropy_with_logits(logits, truth)
    assert result.loss == pytest.approx(expected.item(), rel=1e-5)
    torch.testing.assert_close(result.probabilities, logits.sigmoid(), rtol=1e-4, atol=1e-6)
    assert result.labels.tolist() == truth.long().tolist()
    assert result.rows[1].true == "red, green" and result.rows[2].true == "none of them"
    assert 0 < result.exact_match <= 1 and result.top1 is None


def test_a_model_whose_scores_are_no_numbers_is_an_error():
    model = eye()
    model.get_classifier().weight.data.fill_(math.nan)
    with pytest.raises(ValueError, match="not finite for 4 of 4 photos, such as '0.jpg'"):
        evaluate(model, album(PLAIN))


@pytest.mark.parametrize(("settings", "sentence"), [
    ({"split": "test"}, "split is 'test': expected one of val, train, "
                        "all"), ({"batch_size": 0}, "batch_size is 0"),
    ({"topk": 0}, "topk is 0"),
])
def test_wrong_settings_are_sentences(settings, sentence):
    with pytest.raises(ValueError, match=sentence):
        evaluate(eye(), album(PLAIN), **settings)


def test_a_model_without_data_or_classifier_is_an_error():
    with pytest.raises(DataError, match="Give the photos to judge the model by"):
        evaluate(eye())
    with pytest.raises(ValueError, match="no classifier"):
        evaluate(explorer.create_model("resnet18", num_classes=0), album(PLAIN))


# --- which photos -------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path):
    """Ten photos of each of two colours, without train/ and val/."""
    for name in ("red", "blue"):
        (tmp_path / name).mkdir()
        for i in range(10):
            photo(name).save(tmp_path / name / f"{i}.png")
    (tmp_path / "red" / "9.png").write_bytes(b"\x89PNG nothing more")
    return tmp_path


def test_of_a_folder_the_held_out_photos_are_judged_or_the_others_or_all(folder):
    judged = {split: set(evaluate(eye(), folder, split=split, seed=3).names)
              for split in ("val", "train", "all")}
    assert len(judged["val"] | judged["train"]) == 19 and not judged["val"] & judged["train"]
    assert judged["all"] == judged["val"] | judged["train"] and 3 <= len(judged["val"]) <= 4
    assert judged["val"] != set(evaluate(eye(), folder, split="val", seed=4).names)


def test_files_are_named_for_whoever_wants_to_open_them(folder):
    result = evaluate(eye(), folder, split="all")
    assert all(str(folder) in row.file and row.file.endswith(row.name.split("/")[-1]) for row in result.rows)


def test_a_dataset_is_judged_whole():
    class Pairs:
        classes, targets = list(COLOURS), [0, 1, 2]

        def __len__(self):
            return 3

        def __getitem__(self, i):
            return photo(COLOURS[i]), i

    assert evaluate(eye(), Pairs()).top1 == 1 and len(evaluate(eye(), Pairs())) == 3


def test_both_parts_are_judged_one_behind_the_other():
    splits = Splits("mine", album(PLAIN[:3]), album(PLAIN[3:]))
    result = evaluate(eye(), splits, split="all")
    assert len(result) == 4 and result.data_name == "mine" and result.labels.tolist() == [0, 1, 1, 2]
    assert result.open_photo(result.rows[3]) is PLAIN[3][0]


@pytest.fixture(scope="module")
def finished():
    """A run over two epochs, and its data."""
    torch.manual_seed(0)
    model = explorer.create_model("mobilenetv3_small_050", num_classes=3)
    pairs = [(photo(name), name) for name in COLOURS for _ in range(4)]
    return finetune(model, Splits("colours", album(pairs), album(pairs[::4])), epochs=2, input_size=SIZE,
                    seed=5, threads=1, augment="none", device="cpu").wait()


def test_a_run_is_judged_by_its_held_out_photos_as_its_loop_did(finished):
    result = evaluate(finished)
    assert result.data_name == "colours" and len(result) == 3 and result.model_name == finished.name
    assert result.top1 == pytest.approx(finished.best["val_top1"], abs=1e-6)
    assert result.loss == pytest.approx(finished.best["val_loss"], rel=1e-3)


def test_a_run_holds_out_the_photos_of_a_folder_by_its_own_seed(finished, folder, monkeypatch):
    monkeypatch.setattr(evaluating, "ask_all", lambda net, photos, *rest: (_ for _ in ()).throw(Seen(photos)))

    def names(model, **settings):
        with pytest.raises(Seen) as caught:
            evaluate(model, folder, **settings)
        return caught.value.args[0].names

    assert names(finished) == names(finished.model, seed=5) == names(finished, seed=5)
    assert names(finished) != names(finished, seed=6)


class Seen(Exception):
    """Carries what would have been judged."""


def test_a_run_that_still_learns_is_not_judged(finished, monkeypatch):
    monkeypatch.setattr(type(finished), "running", True)
    with pytest.raises(ValueError, match="still learns: wait for it"):
        evaluate(finished)


# --- to keep and to look at ---------------------------------------------------------------------------------


@pytest.mark.parametrize("multi_label", [False, True])
def test_all_figures_are_plain_json_without_nan(multi_label):
    result = drawn(multi_label=multi_label)
    facts = json.loads(json.dumps(result.as_dict(), allow_nan=False))
    assert facts["photos"] == 200 and facts["top1"] == result.top1
    assert facts["exact_match"] == result.exact_match
    assert len(facts["worst"]) == 20 and len(facts["calibration"]["bins"]) == 15
    assert facts["per_class"]["kind 0"]["roc_area"] == result.roc["kind 0"].area
    assert (facts["per_class"]["kind 5"]["roc_area"] is None) != multi_label
    assert facts["confusion"] == (None if multi_label else result.confusion.tolist())


def test_another_k_is_among_the_figures(single):
    assert single.as_dict().keys() & {"top3", "top5"} == {"top5"}
    single.topk = 3
    assert single.as_dict()["top3"] == single.top(3)
    assert f"top-3 {report.percent(single.top(3))}" in repr(single)
    single.topk = 5


def test_a_csv_has_a_line_for_each_photo(few, tmp_path):
    few.to_csv(tmp_path / "photos.csv")
    with open(tmp_path / "photos.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["name"] for row in rows] == list(few.names)
    assert [int(row["right"]) for row in rows] == [1, 0, 0, 0, 1, 1]
    assert (rows[1]["true"], rows[1]["predicted"]) == ("red", "green")
    assert float(rows[1]["probability"]) == pytest.approx(0.6)


def test_the_short_form_is_one_line(few):
    few.model_name, few.data_name = "eye", "colours"
    assert repr(few) == "Evaluation('eye', 'colours', 6 photos, top-1 50.0 %, loss 1.080)"


def test_the_text_names_classes_confusions_and_worst_photos(few):
    lines = str(few).splitlines()
    assert any(line.split() == ["red", "100.0", "%", "33.3", "%", "50.0", "%", "0.667", "3"]
               for line in lines)
    assert any(line.split()[:3] == ["red", "green", "2"] for line in lines)
    assert any("photo 2" in line and "3.00" in line for line in lines)


def test_html_has_no_script_and_escapes_names():
    evil = "<script>alert(1)</script>"
    result = by_hand([(0, [0.1, 0.9, 0.0]), (1, [0.2, 0.8, 0.0])], (evil, "b", "c"))
    result.model_name = result.data_name = evil
    result.names, result.notes = (evil, "x"), (evil,)
    page = parse(result._repr_html_())
    assert "script" not in page.tags and page.text.count(evil) > 6
    # The page's own text colour, light or dark.
    assert not any("color" in element.style for element in page.all())


def test_html_shows_the_matrix_as_a_table_and_many_classes_as_a_picture(few):
    page = parse(report.confusion_html(few))
    table = page.find("table").rows()
    assert table == [["", *COLOURS], ["red", "1", "2", "·"], ["green", "·", "1", "1"],
                     ["blue", "·", "·", "1"]]
    assert not page.find_all("img")
    many = parse(report.confusion_html(drawn(classes=40)))
    picture = many.find("img").attributes
    assert not many.find_all("table") and picture["src"].startswith("data:image/png")
    assert "40 classes" in many.text + picture["alt"]


def test_html_shows_the_worst_photos_and_survives_those_that_are_gone():
    gone = []

    def open_one(index: int) -> Image.Image:
        if gone:
            raise ImageError("gone")
        return photo("red")

    photos = PhotoSet(COLOURS, (0, 1), ("first.jpg", "second.jpg"), open_one)
    result = evaluate(eye(), photos)
    shown = parse(result._repr_html_()).find_all("img")
    assert [one.attributes["src"].partition(",")[0] for one in shown] == ["data:image/jpeg;base64"] * 2
    gone.append(True)
    page = parse(result._repr_html_())
    captions = [one.text for one in page.find_all("figcaption")]
    assert not page.find_all("img") and any(one.startswith("second.jpg") for one in captions)


def test_charts_are_figures_that_show_themselves_without_pyplot(single):
    for chart in (single.plot_confusion(), single.plot_reliability(), single.plot_roc(),
                  single.plot_pr(["kind 1"])):
        assert chart._repr_png_().startswith(b"\x89PNG")
    axes = single.plot_pr(["kind 1"]).axes[0]
    assert [line.get_label() for line in axes.lines] == [f"kind 1 ({single.pr['kind 1'].area:.3f})"]
    numbers = {text.get_text() for text in single.plot_confusion().axes[0].texts}
    assert numbers == {str(count) for count in single.confusion.flatten().tolist() if count}


def test_class_names_in_charts_are_no_formulas():
    result = by_hand([(0, [0.9, 0.1, 0.0]), (1, [0.2, 0.8, 0.0])], ("$5", "x_$^{", "c"))
    assert result.plot_confusion()._repr_png_() and result.plot_roc()._repr_png_()


def test_several_classes_a_photo_are_shown_without_a_matrix():
    result = drawn(multi_label=True)
    assert "mean average precision" in repr(result)
    assert "were taken for" not in parse(result._repr_html_()).text
    with pytest.raises(ValueError, match="no confusion matrix"):
        result.plot_confusion()
    assert result.plot_roc()._repr_png_() and str(result)


def test_many_classes_show_the_weakest(monkeypatch):
    result = drawn(count=400, classes=40)
    shown = report.weakest(result)
    assert len(shown) == report.ROWS
    assert result.per_class[shown[0]].f1 == min(f.f1 for f in result.per_class.values() if f.support)
    table = parse(report.per_class_html(result))
    assert "the 25 weakest of 40" in table.find("caption").text and len(table.find_all("tr")) == 26


# --- what the scores mean -----------------------------------------------------------------------------------


def logits_for(model, pairs) -> torch.Tensor:
    """Raw scores [N, W] of the pictures."""
    return torch.stack([explorer.look(model, picture).logits for picture, _ in pairs])


def test_a_model_of_several_classes_is_judged_by_its_likeliest_on_photos_of_one():
    """case A6: no softmax over its sigmoids."""
    model = explorer.wrap(eye(), outputs="several")
    result = evaluate(model, album(PLAIN))
    logits = logits_for(model, PLAIN)
    torch.testing.assert_close(result.probabilities, logits.sigmoid(), rtol=1e-4, atol=1e-6)
    truth = torch.nn.functional.one_hot(torch.tensor([COLOURS.index(name) for _, name in PLAIN]),
                                        len(COLOURS)).float()
    expected = nn.functional.binary_cross_entropy_with_logits(logits, truth)
    assert result.loss == pytest.approx(expected.item(), rel=1e-4) and result.top1 == 0.75
    assert any("likeliest counts as its answer" in note for note in result.notes)


def test_a_model_of_one_class_is_judged_by_its_shares_on_photos_of_several():
    """case A6: one that says "one of K" is not read as K sigmoids; one that says nothing is, with a note."""
    pairs = [(photo("red"), ("red",)), (photo("red", "green"), ("red", "green"))]
    model = explorer.wrap(eye(), outputs="one")
    result = evaluate(model, album(pairs))
    shares = logits_for(model, pairs).softmax(1)
    torch.testing.assert_close(result.probabilities, shares, rtol=1e-4, atol=1e-6)
    truth = torch.tensor([[1.0, 0, 0], [1, 1, 0]])
    assert result.loss == pytest.approx(nn.functional.binary_cross_entropy(shares, truth).item(), rel=1e-3)
    assert any("right about one alone" in note for note in result.notes)
    assert any("Nobody said what the model's scores "
               "mean" in note for note in evaluate(eye(), album(pairs)).notes)


def test_a_yes_or_no_has_two_classes_from_one_score():
    """case A6: a net with [B, 1] could not be judged at all."""
    class Red(nn.Module):
        def __init__(self):
            super().__init__()
            self.pool, self.fc = nn.AdaptiveAvgPool2d(1), nn.Linear(3, 1)
            with torch.no_grad():
                self.fc.weight.copy_(torch.tensor([[4.0, -4, -4]]))
                self.fc.bias.zero_()

        def forward(self, x):
            return self.fc(self.pool(x).flatten(1))

    pairs = [(photo("red"), "red"), (photo("green"), "other"), (photo("blue"), "other"),
             (photo("blue"), "red")]
    model = explorer.wrap(Red(), labels=["other", "red"], outputs="yes/no", input_size=SIZE, mean=(0.5,) * 3,
                          std=(0.5,) * 3)
    for classes in (("other", "red"), ("red", "other")):  # told by name, in whatever order
        result = evaluate(model, album(pairs, classes))
        assert result.top1 == 0.75 and result.classes == ("other", "red")
    yes = logits_for(model, pairs).sigmoid()
    torch.testing.assert_close(result.probabilities, torch.cat((1 - yes, yes), 1), rtol=1e-4, atol=1e-6)
    truth = torch.tensor([[1.0], [0], [0], [1]])
    assert result.loss == pytest.approx(nn.functional.binary_cross_entropy(yes, truth).item(), rel=1e-4)
    twice = evaluate(model, album(pairs, ("other", "red")), tta=True)
    torch.testing.assert_close(twice.probabilities, result.probabilities, rtol=1e-3, atol=1e-5)


def test_a_yes_or_no_without_names_takes_those_of_the_data():
    model = explorer.create_model("resnet10t", num_classes=1)
    model.config = model.config.with_(input_size=SIZE)
    result = evaluate(model, album([(photo("red"), "red"), (photo("green"), "green")], ("green", "red")))
    assert result.classes == ("green", "red") and result.probabilities.shape == (2, 2)
