"""DLA: numbers for every block and root, and what a family must do beyond them."""

from __future__ import annotations

import pytest
import torch

import explorer.models as ours
from tests.models import family_checks as check
from tests.models.oracle import TOLERANCE, relative_error, same_weights

timm = pytest.importorskip("timm")

FLAT = (1, 1, 1, 2, 1, 1)  # blocks in few trees, one of them with two levels


def pair(name: str, **options):
    return ours.create_model(name, **options), timm.create_model(name, **options)


def test_without_pooling_every_place_gets_logits_as_in_timm():
    mine, theirs = pair("dla46_c", levels=FLAT, global_pool="", num_classes=5)
    same_weights(mine, theirs)
    with torch.no_grad():
        assert mine(check.photos(64)).shape == (2, 5, 2, 2)
        assert relative_error(mine(check.photos(64)), theirs(check.photos(64))) < TOLERANCE


def test_the_classifier_takes_the_vector_that_comes_before_it():
    model = ours.create_model("dla46_c", levels=FLAT).eval()
    with torch.no_grad():
        features = model.forward_features(check.photos(64))
        vector, logits = model.forward_vector_and_logits(features)
        assert vector.shape == (2, 256) and logits.shape == (2, 1000)
        assert relative_error(logits, model.forward_head(features)) < TOLERANCE
    assert model.get_classifier().in_features == 256 and model.get_classifier().out_features == 1000


@pytest.mark.parametrize(("options", "message"), [
    ({"drop_path_rate": 0.1}, "no stochastic depth"), ({"output_stride": 16}, "can't trade stride"),
], ids=str)
def test_impossible_options_are_refused_with_a_sentence(options, message):
    with pytest.raises(ValueError, match=message):
        ours.create_model("dla34", **options)
