"""MobileNetEdgeTPU against timm, and what its training needs."""

from __future__ import annotations

import pytest
import torch

import explorer.models as ours
from tests.models import family_checks as check
from tests.models.oracle import (
    check_gradients_equal,
    check_numbers,
    check_same_start,
    drop_path_rates,
    without_initialisation,
)

timm = pytest.importorskip("timm")

FIRST, SECOND = "mobilenet_edgetpu_100", "mobilenet_edgetpu_v2_xs"


def build(library, name, **options):
    with without_initialisation():
        return library.create_model(name, **options)


@pytest.mark.parametrize(("name", "size", "options"), [
    (FIRST, 65, {}), (FIRST, 64, {"global_pool": "max"}),  # a stage whose first block has no shortcut
    (SECOND, 64, {}),                                      # groups
    ("mobilenet_edgetpu_v2_s", 65, {}),                    # larger filters in the stem
    ("mobilenet_edgetpu_v2_l", 32, {}),                    # ... and larger groups
], ids=lambda value: str(value).replace(" ", ""))
def test_numbers_equal_timms(name, size, options):
    check_numbers(build(ours, name, **options), build(timm, name, **options), size)


@pytest.mark.parametrize("name", ours.list_models(family="mobilenet_edgetpu"))
def test_every_convolution_is_set_as_timms(name):
    check.check_settings(name, timm)


@pytest.mark.parametrize("options", [{"in_chans": 1}, {"in_chans": 4}, {"num_classes": 5}, {"num_classes": 0}], ids=str)
def test_numbers_equal_timms_with_other_inputs_and_outputs(options):
    name = "mobilenet_edgetpu_v2_s"
    check.check_other_channels(build(ours, name, **options), build(timm, name, **options), 32)


def test_one_training_step_leaves_the_same_gradients_and_statistics_as_timms():
    check_gradients_equal(build(ours, SECOND, num_classes=3), build(timm, SECOND, num_classes=3), 64)


@pytest.mark.parametrize("name", [FIRST, "mobilenet_edgetpu_v2_s"])
def test_new_networks_start_as_timms_do(name):
    check_same_start(ours.create_model(name), timm.create_model(name))


def test_a_new_network_can_start_to_learn():
    check.check_fresh(ours.create_model(SECOND), 64)


def test_a_gradient_reaches_every_parameter():
    check.check_gradients(build(ours, SECOND, num_classes=2), 64)


def test_a_block_without_shortcut_is_never_dropped():
    with torch.device("meta"):
        rates = drop_path_rates(build(ours, FIRST, drop_path_rate=0.3))
    assert "blocks.4.0.drop_path" not in rates and rates["blocks.4.1.drop_path"] == pytest.approx(0.3 * 14 / 22)


def test_it_compiles_without_a_graph_break():
    check.check_compiles(build(ours, SECOND), 32)


def test_a_checkpoint_fills_every_tensor(tmp_path):
    check.check_loads(SECOND, 64, tmp_path)


def test_the_maps_are_as_the_table_promises():
    check.check_features(SECOND, 64)
    check.check_features(FIRST, 64, output_stride=16)


def test_an_unknown_option_is_named_beside_those_there_are():
    with pytest.raises(TypeError, match="stem_kernel.*architecture"):
        ours.create_model(FIRST, stem_size=5)
