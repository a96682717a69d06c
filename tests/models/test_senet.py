"""The first SENets against timm, and what their training needs."""

from __future__ import annotations

import pytest
import torch

import explorer.models as ours
from tests.models import family_checks as check
from tests.models.oracle import check_gradients_equal, check_numbers, check_same_start, without_initialisation

timm = pytest.importorskip("timm")

SMALL = "legacy_seresnet18"


def build(library, name, **options):
    with without_initialisation():
        return library.create_model(name, **options)


@pytest.mark.parametrize(("name", "size", "options"), [
    (SMALL, 65, {}),                                   # basic block; an odd map, so that the pooling's edge counts
    (SMALL, 64, {"global_pool": "catavgmax"}), (SMALL, 64, {"global_pool": "max"}),
    ("legacy_seresnet50", 64, {}),                     # the first convolution halves
    ("legacy_seresnext26_32x4d", 64, {}),              # groups
    ("legacy_senet154", 33, {}),                       # three convolutions in the stem, 3 x 3 on shortcuts
], ids=lambda value: str(value).replace(" ", ""))
def test_numbers_equal_timms(name, size, options):
    check_numbers(build(ours, name, **options), build(timm, name, **options), size)


@pytest.mark.parametrize("name", ours.list_models(family="senet_legacy"))
def test_every_convolution_is_set_as_timms(name):
    check.check_settings(name, timm)


@pytest.mark.parametrize("options", [{"in_chans": 1}, {"in_chans": 4}, {"num_classes": 5}, {"num_classes": 0},
                                     {"num_classes": 0, "global_pool": ""}], ids=str)
def test_numbers_equal_timms_with_other_inputs_and_outputs(options):
    check.check_other_channels(build(ours, SMALL, **options), build(timm, SMALL, **options), 64)


def test_one_training_step_leaves_the_same_gradients_and_statistics_as_timms():
    # timm drops a fifth of the vector unless it is told otherwise; ours drops what is asked for
    check_gradients_equal(build(ours, SMALL, num_classes=3), build(timm, SMALL, num_classes=3, drop_rate=0.0), 64)


def test_new_networks_start_as_timms_do():
    check_same_start(ours.create_model(SMALL), timm.create_model(SMALL))


def test_a_new_network_can_start_to_learn():
    check.check_fresh(ours.create_model(SMALL), 64)


def test_a_gradient_reaches_every_parameter():
    check.check_gradients(build(ours, "legacy_seresnext26_32x4d", num_classes=2), 64)


def test_it_compiles_without_a_graph_break():
    check.check_compiles(build(ours, SMALL), 64)


def test_a_checkpoint_fills_every_tensor(tmp_path):
    check.check_loads(SMALL, 64, tmp_path)


def test_the_maps_are_as_the_table_promises():
    check.check_features("legacy_seresnext26_32x4d", 64)


def test_a_new_classifier_keeps_its_place():
    check.check_new_classifier_keeps_its_place(build(ours, SMALL, global_pool="max"))


def test_dropout_works_in_front_of_the_classifier_while_training_only():
    model = ours.create_model(SMALL, drop_rate=1.0, num_classes=3)
    features = torch.ones(2, 512, 2, 2)
    assert torch.equal(model.train().forward_head(features), model.last_linear.bias.expand(2, 3))
    assert not torch.equal(model.eval().forward_head(features), model.last_linear.bias.expand(2, 3))


def test_strides_are_not_traded():
    with pytest.raises(ValueError, match="can't trade stride for dilation"):
        ours.create_model(SMALL, output_stride=16)


def test_stochastic_depth_is_refused():
    with pytest.raises(ValueError, match="leave drop_path_rate at 0"):
        ours.create_model(SMALL, drop_path_rate=0.1)
