"""RepViT against timm, with its branches and without, and its two classifiers."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch

import explorer.models as ours
from explorer.models.backbones.repvit import VARIANTS
from tests.models import family_checks as check
from tests.models.oracle import (
    TOLERANCE,
    check_gradients_equal,
    check_numbers,
    check_same_start,
    randomise,
    relative_error,
)

timm = pytest.importorskip("timm")

SMALL = (1, 2, 2, 1)


def pair(name: str, **options):
    """Our model and timm's, with few blocks."""
    return ours.create_model(name, depths=SMALL, **options), timm.create_model(name, depth=SMALL, **options)


@pytest.mark.parametrize(("name", "size"), [("repvit_m0_9", 64), ("repvit_m1", 65)])
def test_numbers_equal_timms_on_every_code_path(name, size):
    check_numbers(*pair(name), size)


@pytest.mark.parametrize("name", VARIANTS)
def test_settings_that_no_shape_shows_equal_timms(name):
    check.check_settings(name, timm)


@pytest.mark.parametrize("options", [{"in_chans": 1}, {"in_chans": 4}, {"num_classes": 5}, {"num_classes": 0},
                                     {"num_classes": 0, "global_pool": ""}], ids=str)
def test_numbers_equal_timms_with_other_inputs_and_outputs(options):
    check.check_other_channels(*pair("repvit_m0_9", **options), 64)


def test_one_training_step_leaves_the_same_gradients_as_timms():
    mine, theirs = pair("repvit_m0_9", num_classes=3)
    check_gradients_equal(mine, theirs, 128)


@pytest.mark.parametrize("name", ["repvit_m0_9", "repvit_m1"])
def test_fresh_weights_are_spread_as_timms(name):
    check_same_start(*pair(name))


def test_a_gradient_reaches_every_parameter():
    check.check_gradients(ours.create_model("repvit_m0_9", depths=SMALL, num_classes=2), 64)


def test_a_new_network_can_start_to_learn():
    check.check_fresh(ours.create_model("repvit_m0_9"), 64)


def test_it_compiles_as_one_graph():
    check.check_compiles(ours.create_model("repvit_m0_9", depths=SMALL), 64)


def test_a_saved_model_comes_back_whole(tmp_path):
    check.check_loads("repvit_m0_9", 64, tmp_path)


def test_a_saved_model_is_fitted_to_another_number_of_classes(tmp_path):
    before = ours.create_model("repvit_m0_9")
    randomise(before)
    torch.save(before.state_dict(), tmp_path / "weights.pth")
    after = ours.create_model("repvit_m0_9", checkpoint_path=tmp_path / "weights.pth", num_classes=3).eval()
    with torch.no_grad():
        assert torch.equal(after.forward_features(check.photos(64)), before.eval().forward_features(check.photos(64)))
        assert after(check.photos(64)).shape == (2, 3)


def test_maps_are_as_the_table_promises():
    check.check_features("repvit_m0_9", 64)


def test_a_new_classifier_keeps_dtype_device_and_pooling():
    model = ours.create_model("repvit_m0_9", depths=SMALL, global_pool="max").to(torch.float64).eval()
    model.reset_classifier(3)
    assert model.num_classes == 3 and model.global_pool.pool_type == "max" and not model.head.training
    assert model.get_classifier().head.l.weight.dtype == torch.float64
    model.to("meta").reset_classifier(4)
    assert model.get_classifier().head.l.weight.is_meta


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
