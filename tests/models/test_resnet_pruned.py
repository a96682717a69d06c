"""Pruned ResNets against timm."""

from __future__ import annotations

import pytest
import torch

import explorer.models as ours
from explorer.models.backbones.resnet_pruned import VARIANTS
from tests.models import family_checks as check
from tests.models.oracle import TOLERANCE, check_numbers, relative_error, same_weights

timm = pytest.importorskip("timm")


def pair(name: str, **options):
    return ours.create_model(name, **options), timm.create_model(name, **options)


@pytest.mark.parametrize(("name", "size"), [("ecaresnet50d_pruned", 65), ("ecaresnet101d_pruned", 32)])
def test_numbers_equal_timms(name, size):
    check_numbers(*pair(name), size)


@pytest.mark.parametrize("name", VARIANTS)
def test_settings_that_no_shape_shows_equal_timms(name):
    check.check_settings(name, timm)


@pytest.mark.parametrize("options", [{"in_chans": 1}, {"in_chans": 4}, {"num_classes": 5}, {"num_classes": 0}],
                         ids=str)
def test_numbers_equal_timms_with_other_inputs_and_outputs(options):
    check.check_other_channels(*pair("ecaresnet50d_pruned", **options), 32)


def test_strides_can_be_traded_for_dilation_with_the_same_weights():
    fine, coarse = (ours.create_model("ecaresnet50d_pruned", output_stride=stride) for stride in (16, 32))
    same_weights(fine, coarse)
    with torch.no_grad():
        assert fine.forward_features(check.photos(64)).shape == (2, 2022, 4, 4)
        assert coarse.forward_features(check.photos(64)).shape == (2, 2022, 2, 2)
        maps, coarse_maps = (model.forward_intermediates(check.photos(64))[1] for model in (fine, coarse))
        for own, other in zip(maps[:4], coarse_maps):  # only the last stage differs
            assert relative_error(own, other) < TOLERANCE


def test_a_gradient_reaches_every_parameter():
    check.check_gradients(ours.create_model("ecaresnet50d_pruned", num_classes=2), 64)


def test_a_new_network_can_start_to_learn():
    check.check_fresh(ours.create_model("ecaresnet50d_pruned"), 64)


def test_it_compiles_as_one_graph():
    check.check_compiles(ours.create_model("ecaresnet50d_pruned"), 32)


def test_a_saved_model_comes_back_whole(tmp_path):
    check.check_loads("ecaresnet50d_pruned", 32, tmp_path)


def test_maps_are_as_the_table_promises():
    check.check_features("ecaresnet50d_pruned", 64)


def test_a_new_classifier_keeps_dtype_device_and_pooling():
    check.check_new_classifier_keeps_its_place(ours.create_model("ecaresnet50d_pruned", global_pool="max"))


def test_widths_for_another_number_of_blocks_are_refused():
    with pytest.raises(ValueError, match="A stage of 4 blocks needs as many pairs"):
        ours.create_model("ecaresnet50d_pruned", kept=((19, ((47, 18),) * 3), (171, ()), (1, ()), (1, ())))
