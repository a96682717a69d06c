"""RepViT against timm, with its branches and without, and its two classifiers."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch

import explorer.models as ours
from tests.models import family_checks as check
from tests.models.oracle import TOLERANCE, randomise, relative_error

SMALL = (1, 2, 2, 1)


def test_a_saved_model_is_fitted_to_another_number_of_classes(tmp_path):
    before = ours.create_model("repvit_m0_9")
    randomise(before)
    torch.save(before.state_dict(), tmp_path / "weights.pth")
    after = ours.create_model("repvit_m0_9", checkpoint_path=tmp_path / "weights.pth", num_classes=3).eval()
    with torch.no_grad():
        assert torch.equal(after.forward_features(check.photos(64)),
                           before.eval().forward_features(check.photos(64)))
        assert after(check.photos(64)).shape == (2, 3)


def test_logits_are_the_mean_of_both_classifiers_and_follow_from_the_vector():
    model = ours.create_model("repvit_m0_9", depths=SMALL, num_classes=5)
    randomise(model)
    with torch.no_grad():
        features = model.eval().forward_features(check.photos(64))
        vector, logits = model.forward_vector_and_logits(features)
        assert torch.allclose(logits, (model.head.head(vector) + model.head.head_dist(vector)) / 2)
        assert torch.equal(logits, model.forward_head(features))


@pytest.mark.parametrize(("options", "message"), [
    ({"drop_path_rate": 0.1}, "without stochastic depth"), ({"global_pool": "catavgmax"}, "one width"),
    ({"global_pool": ""}, "needs pooled features"), ({"output_stride": 16}, "can't trade stride"),
], ids=str)
def test_impossible_options_are_refused_with_a_sentence(options, message):
    with pytest.raises(ValueError, match=message):
        ours.create_model("repvit_m0_9", **options)


@pytest.mark.parametrize("name", ["repvit_m0_9", "repvit_m1"])
def test_without_its_branches_the_network_gives_the_same_logits(name):
    model = ours.create_model(name, depths=SMALL, num_classes=5)
    randomise(model)
    folded = deepcopy(model.double().eval())
    folded.reparameterize()
    once = list(folded.state_dict())
    folded.reparameterize()
    assert list(folded.state_dict()) == once and len(once) < len(model.state_dict())
    with torch.no_grad():
        x = check.photos(64).double()
        assert relative_error(folded(x), model(x)) < TOLERANCE
