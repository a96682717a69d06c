"""ConvMixer: numbers, training, and what its table of stages says."""

from __future__ import annotations

import pytest
import torch

import explorer.models as ours
from tests.models import family_checks as check

timm = pytest.importorskip("timm")

NAME = "convmixer_1024_20_ks9_p14"
FLAT = {"dim": 32, "depth": 2}  # in ours; timm's entries fix both


@pytest.mark.parametrize("name", ["convmixer_768_32", NAME, "convmixer_1536_20"])
def test_settings_that_no_shape_shows_equal_timms(name):
    def settings(model):
        first = model.blocks[0][0].fn
        return (model.stem[0].stride, type(model.stem[1]), type(first[1]), type(model.blocks[-1][2]),
                first[0].padding)

    with torch.device("meta"):
        assert settings(ours.create_model(name)) == settings(timm.create_model(name))


def test_every_block_is_a_stage_of_one_size():
    check.check_features("convmixer_1536_20", 56, **FLAT)
    model = ours.create_model(NAME, **FLAT)
    assert not model.pyramid and {stage.reduction for stage in model.stages} == {14}
    assert ours.create_model(NAME, features_only=True, dim=16).out_indices == (17, 18, 19)


def test_stochastic_depth_is_refused():
    with pytest.raises(ValueError, match="without stochastic depth"):
        ours.create_model(NAME, drop_path_rate=0.1)
