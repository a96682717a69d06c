"""MixNet against timm, and what its training needs."""

from __future__ import annotations

import pytest
import torch

import explorer.models as ours
from explorer.models.backbones.mixnet import MixedConv, shares
from explorer.models.layers.conv_same import create_conv2d
from tests.models import family_checks as check
from tests.models.oracle import TOLERANCE, randomise, relative_error, without_initialisation

timm = pytest.importorskip("timm")

SMALL = "mixnet_s"


def build(library, name, **options):
    with without_initialisation():
        return library.create_model(name, **options)


@pytest.mark.parametrize(("name", "stride"), [(SMALL, 16), ("mixnet_m", 8)])
def test_traded_strides_give_timms_maps(name, stride):
    mine = build(ours, name, features_only=True, output_stride=stride).eval()
    theirs = build(timm, name, features_only=True, output_stride=stride).eval()
    randomise(theirs)
    assert mine.model.load_state_dict(theirs.state_dict(), strict=False).unexpected_keys == []
    with torch.no_grad():
        maps = mine(check.photos(64))
        assert maps[-1].shape[-1] == 64 // stride
        for own, other in zip(maps, theirs(check.photos(64)), strict=True):
            assert relative_error(own, other) < TOLERANCE


@pytest.mark.parametrize(("channels", "count", "wanted"), [
    (12, 3, [4, 4, 4]), (14, 4, [5, 3, 3, 3]), (5, 1, [5]),
])
def test_what_is_left_over_goes_to_the_first_share(channels, count, wanted):
    assert shares(channels, count) == wanted


def test_each_share_is_filtered_by_its_own_kernel():
    layer = MixedConv(4, 4, (1, 3), conv=create_conv2d, depthwise=True)
    x = torch.zeros(1, 4, 5, 5)
    x[..., 2, 2] = 1
    with torch.no_grad():
        seen = (layer(x) != 0).flatten(2).sum(-1)
    assert seen.tolist() == [[1, 1, 9, 9]]
