"""ConvMixer: numbers, training, and what its table of stages says."""

from __future__ import annotations

import pytest
import torch

import explorer.models as ours
from tests.models import family_checks as check
from tests.models.oracle import check_numbers

timm = pytest.importorskip("timm")

NAME = "convmixer_1024_20_ks9_p14"
FLAT = {"dim": 32, "depth": 2}  # in ours; timm's entries fix both


@pytest.mark.parametrize(("name", "size"), [
    (NAME, 33),                 # pixels left over behind the last patch
    ("convmixer_768_32", 21),   # ReLU
])
def test_numbers_equal_timms(name, size):
    check_numbers(ours.create_model(name), timm.create_model(name), size)


@pytest.mark.parametrize("in_chans", [1, 4])
def test_numbers_equal_timms_for_other_photos(in_chans):
    check.check_other_channels(*(lib.create_model(NAME, in_chans=in_chans) for lib in (ours, timm)), 28)


@pytest.mark.parametrize("name", ["convmixer_768_32", NAME, "convmixer_1536_20"])
def test_settings_that_no_shape_shows_equal_timms(name):
    def settings(model):
        first = model.blocks[0][0].fn
        return model.stem[0].stride, type(model.stem[1]), type(first[1]), type(model.blocks[-1][2]), first[0].padding

    with torch.device("meta"):
        assert settings(ours.create_model(name)) == settings(timm.create_model(name))


def test_a_gradient_reaches_every_parameter():
    check.check_gradients(ours.create_model(NAME, num_classes=5, **FLAT), 56)


def test_fresh_weights_answer_sensibly():
    check.check_fresh(ours.create_model(NAME), 56)


def test_it_compiles_into_one_graph():
    check.check_compiles(ours.create_model(NAME, **FLAT), 56)


def test_a_saved_file_loads(tmp_path):
    check.check_loads(NAME, 56, tmp_path, **FLAT)


def test_every_block_is_a_stage_of_one_size():
    check.check_features("convmixer_1536_20", 56, **FLAT)
    model = ours.create_model(NAME, **FLAT)
    assert not model.pyramid and {stage.reduction for stage in model.stages} == {14}
    assert ours.create_model(NAME, features_only=True, dim=16).out_indices == (17, 18, 19)


def test_a_new_classifier_keeps_dtype_pooling_and_device():
    check.check_new_classifier_keeps_its_place(ours.create_model(NAME, global_pool="catavgmax", **FLAT))


def test_stochastic_depth_is_refused():
    with pytest.raises(ValueError, match="without stochastic depth"):
        ours.create_model(NAME, drop_path_rate=0.1)
