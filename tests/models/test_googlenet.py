"""GoogLeNet's side classifiers."""

from __future__ import annotations

import pytest
import torch

import explorer.models as ours
from explorer.models.backbones.googlenet import GoogLeNetOutputs
from tests.models.oracle import TOLERANCE, randomise, relative_error, same_weights

torchvision = pytest.importorskip("torchvision")

QUIET = {"aux_drop_rate": 0.0}  # no random numbers


def photo() -> torch.Tensor:
    return torch.randn(4, 3, 64, 64, generator=torch.Generator().manual_seed(1))


def theirs(**options):
    return torchvision.models.googlenet(init_weights=False, dropout=0.0, dropout_aux=0.0, **options)


def test_side_classifiers_have_torchvisions_names_and_order():
    with torch.device("meta"):
        mine = ours.create_model("googlenet", aux_logits=True)
        other = theirs(aux_logits=True)
    table = [[(key, value.shape) for key, value in model.state_dict().items()] for model in (mine, other)]
    assert table[0] == table[1]


def test_all_three_answers_equal_torchvisions_in_training():
    mine, other = ours.create_model("googlenet", aux_logits=True, **QUIET), theirs(aux_logits=True)
    same_weights(mine, other)
    mine.train(), other.train()
    with torch.no_grad():
        own, wanted = mine(photo()), other(photo())
    assert isinstance(own, GoogLeNetOutputs) and own._fields == wanted._fields
    for one, another in zip(own, wanted, strict=True):
        assert relative_error(one, another) < TOLERANCE


def test_evaluation_gives_the_logits_alone():
    mine, other = ours.create_model("googlenet", aux_logits=True), theirs(aux_logits=True)
    same_weights(mine, other)
    with torch.no_grad():
        assert relative_error(mine(photo()), other(photo())) < TOLERANCE


def test_without_the_option_training_gives_the_logits_alone():
    assert ours.create_model("googlenet", num_classes=3).train()(photo()).shape == (4, 3)


def test_every_parameter_learns_from_the_three_losses_together():
    model = ours.create_model("googlenet", aux_logits=True, num_classes=3).train()
    out = model(photo())
    (out.logits + 0.3 * (out.aux_logits1 + out.aux_logits2)).square().mean().backward()
    assert [key for key, p in model.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_a_new_classifier_renews_the_side_classifiers_too():
    model = ours.create_model("googlenet", aux_logits=True, dtype=torch.float64).train()
    model.reset_classifier(5)
    assert [tuple(t.shape) for t in model(photo().double())] == [(4, 5)] * 3
    model.reset_classifier(0)
    assert model(photo().double()).shape == (4, 1024)


@pytest.fixture
def published(tmp_path):
    """A file as torchvision publishes it: with the side classifiers."""
    source = theirs(aux_logits=True)
    randomise(source)
    torch.save(source.state_dict(), tmp_path / "googlenet.pth")
    return source.eval(), tmp_path / "googlenet.pth"


def test_trained_side_classifiers_are_left_out_with_a_word_or_loaded_where_wanted(published):
    source, path = published
    plain = ours.create_model("googlenet", checkpoint_path=path)
    sentence = "the side classifiers aux1 and aux2: used only while GoogLeNet learns"
    assert plain.load_report.skipped == [sentence]
    mine = ours.create_model("googlenet", checkpoint_path=path, aux_logits=True)
    assert torch.equal(mine.aux2.fc2.weight, source.aux2.fc2.weight) and mine.load_report.skipped == []


def test_for_other_classes_the_bodies_of_the_side_classifiers_are_kept(published):
    source, path = published
    mine = ours.create_model("googlenet", checkpoint_path=path, aux_logits=True, num_classes=5)
    assert torch.equal(mine.aux1.fc1.weight, source.aux1.fc1.weight)
    assert mine.aux1.fc2.weight.shape == (5, 1024) and not mine.aux1.fc2.weight.is_meta
    assert "the last layers of the side classifiers: untrained now" in mine.load_report.skipped


def test_pixels_in_minus_one_to_one_are_what_torchvision_makes_inside():
    mine, other = ours.create_model("googlenet"), theirs(aux_logits=False, transform_input=True)
    same_weights(mine, other)
    pixels = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(3))
    mean, std = (torch.tensor(v)[:, None, None] for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    own_mean, own_std = (torch.tensor(v)[:, None, None] for v in (mine.config.mean, mine.config.std))
    with torch.no_grad():
        assert relative_error(mine((pixels - own_mean) / own_std), other((pixels - mean) / std)) < TOLERANCE
