"""What a head's raw scores mean: probabilities, evidence, numbers against torch's losses; kinds and names."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from explorer.models.config import ModelConfig
from explorer.models.outputs import Outputs, check_kind, check_labels, read_outputs

RAW = torch.tensor([[2.0, -1.0, 0.5], [0.0, 0.0, 0.0], [-40.0, 40.0, 3.0]])
ONE, SEVERAL = Outputs("one", ("a", "b", "c")), Outputs("several", ("a", "b", "c"))
YES = Outputs("yes/no", ("no", "yes"))
NUMBERS = Outputs("numbers", ("x", "y", "z"), mean=(10.0, 0.0, -1.0), std=(2.0, 1.0, 5.0))


def test_one_of_several_classes_is_a_softmax():
    torch.testing.assert_close(ONE.probabilities(RAW), RAW.softmax(1))
    assert ONE.likeliest(RAW).tolist() == [0, 0, 1] and len(ONE) == ONE.width == 3


def test_several_classes_at_once_stand_alone():
    """case A6: sigmoids are not squeezed by a softmax once more."""
    torch.testing.assert_close(SEVERAL.probabilities(RAW), RAW.sigmoid())
    assert SEVERAL.probabilities(RAW)[0].sum() > 1.5


def test_a_yes_or_no_has_two_classes_from_one_score():
    """case A6: a single score is no "class 0, 100 %"."""
    raw = torch.tensor([[1.5], [-3.0]])
    torch.testing.assert_close(YES.probabilities(raw), torch.cat((1 - raw.sigmoid(), raw.sigmoid()), 1))
    assert YES.evidence(raw).tolist() == [[-1.5, 1.5], [3.0, -3.0]]
    assert YES.likeliest(raw).tolist() == [1, 0] and len(YES) == 2 and YES.width == 1


def test_numbers_are_given_in_their_own_unit_and_have_no_probability():
    assert NUMBERS.values(RAW)[0].tolist() == [14.0, -1.0, 1.5]
    assert NUMBERS.evidence(RAW)[0].tolist() == [14.0, -1.0, 1.5]
    assert NUMBERS.likeliest(RAW).tolist() == [0, 0, 0]
    assert Outputs("numbers", ("x", "y", "z")).values(RAW).equal(RAW)
    with pytest.raises(ValueError, match="no probability"):
        NUMBERS.probabilities(RAW)
    with pytest.raises(ValueError, match="classes"):
        ONE.values(RAW)


@pytest.mark.parametrize("outputs, raw", [(ONE, RAW), (SEVERAL, RAW), (YES, RAW[:, :1])])
def test_the_contrary_and_the_odds_belong_to_the_probability(outputs, raw):
    raw = raw.double()
    p = outputs.probabilities(raw)
    torch.testing.assert_close(outputs.log_contraries(raw[:2]), (1 - p[:2]).log())
    for index in range(len(outputs)):
        odds = p[:2, index] / (1 - p[:2, index])
        torch.testing.assert_close(outputs.log_odds(raw[:2], index), odds.log())
    assert outputs.log_probabilities(raw).isfinite().all() and outputs.log_contraries(raw).isfinite().all()


def test_losses_that_need_logarithms_are_torchs():
    truth = torch.tensor([[1.0, 0, 1], [0, 1, 0], [0, 1, 1]])
    found = -(truth * SEVERAL.log_probabilities(RAW) + (1 - truth) * SEVERAL.log_contraries(RAW)).mean()
    torch.testing.assert_close(found, F.binary_cross_entropy_with_logits(RAW, truth))


@pytest.mark.parametrize("kind, width, words", [
    ("softmax", 3, "expected one of 'one', 'yes/no', 'several', 'numbers'"), (1, 3, "outputs is 1"),
    ("yes/no", 3, "gives 3"), ("one", 1, "a single score"), ("One", 3, "outputs is 'One'"),
    (["one"], 3, "expected one of")])
def test_a_kind_that_cannot_be_is_refused_with_what_can(kind, width, words):
    with pytest.raises(ValueError, match=words):
        check_kind(kind, width)


@pytest.mark.parametrize("labels, width, kind, expected", [
    ([1, 2, 3], 3, "one", ("1", "2", "3")), ("012", 3, "one", ("0", "1", "2")),
    (["cat"], 1, "yes/no", ("not cat", "cat")), (["dog", "cat"], 1, "yes/no", ("dog", "cat")),
    (range(2), 2, "several", ("0", "1")), (["age"], 1, "numbers", ("age",)), (None, 5, "one", None)])
def test_names_become_words(labels, width, kind, expected):
    """case A7: numbers become words."""
    assert check_labels(labels, width, kind) == expected


@pytest.mark.parametrize("labels, width, kind, error, words", [
    (["a"], 5, "one", ValueError, "names 1 classes, but this model has 5"),
    ("cat", 5, "one", TypeError, "not one string"),
    (5, 5, "one", TypeError, "not int"), ({"a": 1}, 1, "one", TypeError, "not dict"),
    (b"ab", 2, "one", TypeError, "not bytes"), (["a", "b", "c"], 1, "yes/no", ValueError, "give two"),
    ([], 3, "several", ValueError, "names 0 classes")])
def test_names_that_are_not_the_heads_are_refused(labels, width, kind, error, words):
    """case A7: as the Dashboard refuses them."""
    with pytest.raises(error, match=words):
        check_labels(labels, width, kind)


def test_only_a_head_of_standard_names_gets_them():
    """case A5: five outputs are not called after five fishes, nor a thousand of one's own after ImageNet."""
    standard = tuple(f"standard {i}" for i in range(4))
    config = ModelConfig(num_classes=4)
    assert read_outputs(config, 4, standard).labels == standard
    numbered = Outputs("one", ("class 0", "class 1", "class 2", "class 3"), False)
    assert read_outputs(config.with_(labels=()), 4, standard) == numbered
    assert not read_outputs(config.with_(num_classes=1000), 4, standard).named
    assert not read_outputs(config, 3, standard).named
    assert not read_outputs(config.with_(labels=("a", "b")), 4, standard).named


def test_a_single_score_is_a_yes_or_no_unless_it_is_called_a_number():
    config = ModelConfig(labels=(), num_classes=1)
    assert read_outputs(config, 1).kind == "yes/no" and read_outputs(config, 1).labels == ("no", "yes")
    assert read_outputs(config.with_(outputs="numbers"), 1).labels == ("number",)
    one = config.with_(outputs="numbers", number_mean=(3.0,), number_std=(2.0,))
    assert read_outputs(one, 1).values(torch.tensor([1.0])) == 5
    two = config.with_(outputs="numbers", number_mean=(3.0, 1.0), number_std=(2.0, 1.0))
    assert read_outputs(two, 1).std == ()


def test_each_kind_says_what_a_reader_must_know():
    assert ONE.meaning == "" and "don't add up to 100 %" in SEVERAL.meaning and "“yes”" in YES.meaning
    assert "own unit" in NUMBERS.meaning and (ONE.noun, NUMBERS.noun) == ("class", "number")
    assert [one.squash for one in (ONE, SEVERAL, YES, NUMBERS)] == ["softmax", "sigmoid", "sigmoid", ""]
