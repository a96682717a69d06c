"""HGNet against timm."""

from __future__ import annotations

import pytest
import torch

import explorer.models as ours
from explorer.models.backbones.hgnet import VARIANTS, HGNet, rows
from tests.models import family_checks as check
from tests.models.oracle import (
    check_gradients_equal,
    check_numbers,
    check_same_start,
    drop_path_rates,
    without_initialisation,
)

timm = pytest.importorskip("timm")

FIRST, SECOND, LARGE = "hgnet_tiny", "hgnetv2_b0", "hgnetv2_b4"


def pair(name, **options):
    with without_initialisation():
        return ours.create_model(name, **options), timm.create_model(name, **options)


@pytest.mark.parametrize(("name", "size", "options"), [
    (FIRST, 65, {}), (SECOND, 64, {}), (SECOND, 65, {"global_pool": "max"}),
    (LARGE, 32, {}),  # no learnable scales
    (SECOND, 64, {"global_pool": "avgmax", "head_hidden_size": 64}),
], ids=lambda value: str(value).replace(" ", ""))
def test_numbers_equal_timms(name, size, options):
    check_numbers(*pair(name, **options), size)


@pytest.mark.parametrize("name", VARIANTS)
def test_every_convolution_is_set_as_timms(name):
    check.check_settings(name, timm)


@pytest.mark.parametrize("options", [{"in_chans": 1}, {"in_chans": 4}, {"num_classes": 5}, {"num_classes": 0}], ids=str)
def test_numbers_equal_timms_with_other_inputs_and_outputs(options):
    check.check_other_channels(*pair(SECOND, **options), 32)


@pytest.mark.parametrize("name", [FIRST, SECOND])
def test_one_training_step_leaves_the_same_gradients_and_statistics_as_timms(name):
    check_gradients_equal(*pair(name, num_classes=3), 64)


@pytest.mark.parametrize("name", [FIRST, SECOND])
def test_new_networks_start_as_timms_do(name):
    torch.manual_seed(0)
    check_same_start(ours.create_model(name), timm.create_model(name))


def test_branches_are_dropped_as_often_as_timms_where_there_is_a_shortcut():
    with torch.device("meta"):
        mine, theirs = pair("hgnetv2_b5", drop_path_rate=0.3)
    wanted = {path: rate for path, rate in drop_path_rates(theirs).items() if ".blocks.0." not in path}
    assert wanted and drop_path_rates(mine) == pytest.approx(wanted)


@pytest.mark.parametrize("name", [FIRST, SECOND])
def test_a_new_network_can_start_to_learn(name):
    check.check_fresh(ours.create_model(name), 64)


@pytest.mark.parametrize("name", [FIRST, SECOND])
def test_a_gradient_reaches_every_parameter(name):
    check.check_gradients(pair(name, num_classes=2)[0], 64)


def test_it_compiles_without_a_graph_break():
    check.check_compiles(pair(SECOND)[0], 32)


def test_a_checkpoint_fills_every_tensor(tmp_path):
    check.check_loads(SECOND, 64, tmp_path)


@pytest.mark.parametrize("name", [FIRST, SECOND])
def test_the_maps_are_as_the_table_promises(name):
    check.check_features(name, 64)


def test_the_maps_alone_need_nothing_of_the_head():
    model = ours.create_model(SECOND, features_only=True)
    assert not any(name.startswith("model.head") for name in model.state_dict())


def test_a_new_classifier_keeps_its_place():
    model = pair(SECOND, global_pool="max")[0].to(torch.float64)
    model.reset_classifier(3)
    assert model.get_classifier().weight.dtype == torch.float64 and model.head.global_pool.pool_type == "max"
    model.to("meta").reset_classifier(4)
    assert model.get_classifier().weight.is_meta and model.num_classes == 4


def test_without_pooling_the_features_stay_a_map():
    model = pair(SECOND, num_classes=0, global_pool="")[0].eval()
    with torch.no_grad():
        assert model(check.photos(64)).shape == (2, 2048, 2, 2)


@pytest.mark.parametrize(("options", "words"), [
    ({"global_pool": ""}, "needs pooled features"), ({"global_pool": "catavgmax"}, "would double them"),
])
def test_a_pooling_that_the_head_can_not_use_is_refused(options, words):
    with pytest.raises(ValueError, match=words):
        ours.create_model(SECOND, **options)


def test_every_block_but_a_stages_first_adds_to_its_input():
    model = HGNet(stem=(8, 8), rows=rows((4, 4), (8, 16), (1, 3), 2), squeeze=True)
    assert [[block.has_shortcut for block in stage.blocks] for stage in model.stages] == [[False], [False, True, True]]
