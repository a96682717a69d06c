"""HGNet against timm."""

from __future__ import annotations

import pytest
import torch

import explorer.models as ours
from explorer.models.backbones.hgnet import HGNet, rows
from tests.models import family_checks as check
from tests.models.oracle import drop_path_rates, without_initialisation

timm = pytest.importorskip("timm")

FIRST, SECOND, LARGE = "hgnet_tiny", "hgnetv2_b0", "hgnetv2_b4"


def pair(name, **options):
    with without_initialisation():
        return ours.create_model(name, **options), timm.create_model(name, **options)


def test_branches_are_dropped_as_often_as_timms_where_there_is_a_shortcut():
    with torch.device("meta"):
        mine, theirs = pair("hgnetv2_b5", drop_path_rate=0.3)
    wanted = {path: rate for path, rate in drop_path_rates(theirs).items() if ".blocks.0." not in path}
    assert wanted and drop_path_rates(mine) == pytest.approx(wanted)


def test_the_maps_alone_need_nothing_of_the_head():
    model = ours.create_model(SECOND, features_only=True)
    assert not any(name.startswith("model.head") for name in model.state_dict())


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
    shortcuts = [[block.has_shortcut for block in stage.blocks] for stage in model.stages]
    assert shortcuts == [[False], [False, True, True]]
