"""What a run strives for, held against torch's own losses and against figures worked out by hand."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from explorer.data.datasets import DataError, PhotoSet, Splits
from explorer.models.outputs import Outputs
from explorer.training.loop.measures import MAE, TOP1, best_text, measure_in, measure_of
from explorer.training.loop.objective import Objective, kind_of, scale_of, turned, width_of
from explorer.training.loop.recipe import Recipe

NUMBERS = Outputs("numbers", ("age", "price"), mean=(40.0, 1000.0), std=(10.0, 200.0))
YES_NO = Outputs("yes/no", ("no", "yes"))


def photos(*labels, classes=("a", "b"), numbers=False) -> PhotoSet:
    return PhotoSet(classes, labels, tuple(map(str, range(len(labels)))), lambda i: None, numbers=numbers)


def test_numbers_are_standardised_and_their_error_is_told_in_their_own_unit():
    objective = Objective(NUMBERS)
    targets = objective.targets([(50.0, 1000.0), (30.0, 800.0)])
    assert targets.tolist() == [[1.0, 0.0], [-1.0, -1.0]] and targets.dtype == torch.float32
    raw = torch.tensor([[1.0, 0.5], [0.0, -1.0]])
    # The sum over photos of their mean errors.
    assert objective.figure(raw, targets) == (0 + 100) / 2 + (10 + 0) / 2
    assert NUMBERS.values(raw).tolist() == [[50.0, 1100.0], [40.0, 800.0]]
    assert objective.measure is MAE and objective.figures(3.0, "val_") == {"val_top1": None, "val_mae": 3.0}


@pytest.mark.parametrize(("name", "by_hand"), [
    ("mse", lambda off: off.square()), ("l1", torch.abs),
    ("huber", lambda off: torch.where(off.abs() < 1, off.square() / 2, off.abs() - 0.5))])
def test_losses_of_numbers_are_those_of_their_formula(name, by_hand):
    draw = torch.Generator().manual_seed(0)
    raw, targets = torch.randn(5, 2, generator=draw), 2 * torch.randn(5, 2, generator=draw)
    expected = by_hand(raw - targets).mean().item()
    assert Objective(NUMBERS, name).loss(raw, targets).item() == pytest.approx(expected, rel=1e-6)


def test_large_numbers_close_together_keep_their_differences():
    """Seconds since 1970 are larger than a float32 can count one by one."""
    outputs = Outputs("numbers", ("time",), mean=(1.7e9,), std=(2.0,))
    assert Objective(outputs).targets([(1.7e9 + 1,), (1.7e9 + 2,)]).flatten().tolist() == [0.5, 1.0]


def test_a_yes_or_no_is_learnt_by_the_binary_cross_entropy():
    draw = torch.Generator().manual_seed(0)
    raw, yes = torch.randn(6, 1, generator=draw), torch.tensor([0, 1, 1, 0, 1, 0])
    for smoothing in (0.0, 0.2):
        expected = F.binary_cross_entropy_with_logits(raw[:, 0], yes * (1 - smoothing) + smoothing / 2)
        assert Objective(YES_NO, label_smoothing=smoothing).loss(raw,
                                                                 yes).item() == pytest.approx(expected.item(),
                                                                                              rel=1e-6)
    assert Objective(YES_NO).figure(raw, yes) == ((raw[:, 0] > 0) == yes.bool()).sum()
    weighted = Objective(YES_NO, class_weights=torch.tensor([1.0, 3.0]))
    by_photo = F.binary_cross_entropy_with_logits(raw[:, 0], yes.float(), reduction="none")
    weight = torch.tensor([1.0, 3.0])[yes]
    assert weighted.loss(raw, yes).item() == pytest.approx(((by_photo * weight).sum() / weight.sum()).item(),
                                                           rel=1e-6)
    assert weighted.loss(raw, yes, judged=True).item() == pytest.approx(by_photo.mean().item(), rel=1e-6)
    assert weighted.weight(yes) == 12.0


def test_mixed_photos_of_a_yes_or_no_count_by_their_shares():
    raw, shares = torch.tensor([[2.0]]), torch.tensor([[0.3, 0.7]])
    expected = -(0.7 * F.logsigmoid(raw) + 0.3 * F.logsigmoid(-raw)).item()
    assert Objective(YES_NO).loss(raw, shares).item() == pytest.approx(expected, rel=1e-6)
    assert Objective(YES_NO).figure(raw, shares) == 1.0


def test_classes_and_several_classes_stay_what_they_were():
    draw = torch.Generator().manual_seed(0)
    raw = torch.randn(4, 3, generator=draw)
    one, several = Objective(Outputs("one", ("a", "b", "c"))), Objective(Outputs("several", ("a", "b", "c")))
    labels = one.targets([0, 2, 1, 1])
    assert torch.equal(one.loss(raw, labels), F.cross_entropy(raw, labels)) and one.measure is TOP1
    rows = several.targets([(0, 1), (), (2,), 1])  # one class alone may be given by its index
    assert rows.tolist() == [[1, 1, 0], [0, 0, 0], [0, 0, 1], [0, 1, 0]]
    assert torch.equal(several.loss(raw, rows), F.binary_cross_entropy_with_logits(raw, rows))


def test_the_best_epoch_has_most_right_answers_and_of_numbers_the_lowest_loss():
    one, numbers = Objective(Outputs("one", ("a", "b"))), Objective(NUMBERS)
    assert one.better(0.9, 0.5, (0.8, 0.1)) and not one.better(0.8, 0.2, (0.8, 0.1))
    assert one.better(0.8, 0.05, (0.8, 0.1))
    assert numbers.better(9.0, 0.1, (5.0, 0.2)) and not numbers.better(1.0, 0.3, (5.0, 0.2))
    assert numbers.better(9.0, 99.0, (-1.0, float("inf")))


def test_the_scale_is_that_of_the_photos_and_1_for_a_number_that_never_changes():
    two = photos((1.0, 7.1), (3.0, 7.1), classes=("a", "b"), numbers=True)
    assert scale_of(two) == ((2.0, 7.1), (1.0, 1.0))
    mean, std = scale_of(photos((0.1,), (0.1,), (0.1,), classes=("a",), numbers=True))
    assert std == (1.0,) and mean == pytest.approx((0.1,))


def test_a_last_layer_that_is_turned_says_the_same():
    torch.manual_seed(0)
    head, x = nn.Linear(4, 2), torch.randn(3, 4)
    before = head(x)
    assert turned(head, NUMBERS.mean, NUMBERS.std)
    assert torch.allclose(NUMBERS.values(head(x)), before, atol=1e-3)
    assert not turned(nn.Sequential(head), NUMBERS.mean, NUMBERS.std)
    assert not turned(nn.Linear(4, 2, bias=False), (0, 0), (1, 1))


@pytest.mark.parametrize(("labels", "settings", "sentence"), [
    ({"numbers": False}, {"outputs": "numbers"}, "outputs='numbers' does not fit 'it', which has 2 classes: "
                                                 "give a table"),
    ({"numbers": True}, {"outputs": "one"}, "outputs='one' does not fit 'it', which has numbers a, b"),
    ({"numbers": True}, {"outputs": "yes/no"}, "does not fit"),
    ({"numbers": True}, {"mixup": 0.2, "train": "all"}, "mixup is for classes, and 'it' has numbers a, b"),
    ({"numbers": True}, {"cutmix": 0.2, "train": "all"}, "cutmix is for classes"),
    ({"numbers": True}, {"label_smoothing": 0.1}, "label_smoothing is for classes"),
    ({"numbers": True}, {"class_weights": "balanced"}, "class_weights is for classes"),
    ({"numbers": False}, {"loss": "l1"}, "loss='l1' is for numbers, and 'it' has 2 classes"),
    ({"numbers": False, "classes": ("a", "b", "c")}, {"outputs": "yes/no"}, "tells two classes apart, and "
                                                                            "'it' has 3"),
])
def test_what_the_data_can_not_be_learnt_as_is_a_sentence(labels, settings, sentence):
    part = photos((1.0, 2.0), **labels) if labels["numbers"] else photos(0, 1, **labels)
    with pytest.raises(ValueError, match=sentence):
        kind_of(Splits("it", part, part), Recipe(**settings))


def test_several_classes_at_once_are_not_one_class():
    part = photos((0, 1), (1,))
    assert kind_of(Splits("it", part, part), Recipe()) == "several"
    with pytest.raises(DataError, match="photos of 'it' have several at once"):
        kind_of(Splits("it", part, part), Recipe(outputs="one"))
    single = photos(0, 1)
    assert kind_of(Splits("it", single, single), Recipe(outputs="several")) == "several"
    assert (width_of("yes/no", 2), width_of("one", 2), width_of("numbers", 1)) == (1, 2, 1)


def test_a_recipe_knows_its_losses_and_outputs():
    with pytest.raises(ValueError, match="loss is 'mae': expected one of mse, l1, huber"):
        Recipe(loss="mae")
    with pytest.raises(ValueError, match="outputs is 'number': expected one of 'one', 'yes/no', 'several', "
                                         "'numbers'"):
        Recipe(outputs="number")


def test_a_measure_says_its_figure_and_is_told_by_the_history():
    assert (TOP1.text(0.9333), TOP1.says(0.5), TOP1.judged) == ("93.3 %", "50.0 % right", "val_top1")
    assert (MAE.text(0.41234), MAE.says(12345.6)) == ("0.412", "MAE 1.23e+04")
    assert (MAE.text(None), MAE.text(float("nan"))) == ("–", "–")
    row = {"val_mae": 2.0, "mae": 1.0}
    assert measure_in(row) is MAE and measure_in({"val_top1": 1.0}) is TOP1
    assert measure_of(SimpleNamespace(history=[row])) is MAE
    assert measure_of(SimpleNamespace(history=[])) is TOP1
    assert best_text(SimpleNamespace(history=[row], best=row)) == "MAE 2"
