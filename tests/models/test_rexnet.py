"""ReXNet against timm, and its channels along a straight line."""

from __future__ import annotations

import pytest
import torch

import explorer.models as ours
from explorer.models.backbones.rexnet import LinearBottleneck
from tests.models import family_checks as check
from tests.models.oracle import drop_path_rates, randomise

timm = pytest.importorskip("timm")


def pair(name: str, **options):
    return ours.create_model(name, **options), timm.create_model(name, **options)


def test_drop_path_rates_equal_timms():
    mine, theirs = pair("rexnet_100", drop_path_rate=0.3)
    assert drop_path_rates(mine) == pytest.approx(drop_path_rates(theirs))
    assert max(drop_path_rates(mine).values()) == pytest.approx(0.3)


def test_it_compiles_as_one_graph():
    model = ours.create_model("rexnet_100", global_pool="", num_classes=0)
    model.features = model.features[:5]  # every kind of block; tracing all of them takes long
    check.check_compiles(model, 64)


def test_channels_grow_by_the_same_number_from_block_to_block():
    model = ours.create_model("rexnet_100")
    widths = [block.conv_pwl.out_channels for block in model.features[:-1]]
    assert (widths[0], widths[-1]) == (16, 185)
    assert {after - before for before, after in zip(widths, widths[1:])} == {11, 12}  # 11.25, rounded


def test_the_shortcut_adds_the_input_to_the_first_channels_and_leaves_the_new_ones():
    block = LinearBottleneck(4, 24, 6, stride=1, se=0, drop_path=0.0)
    randomise(block)
    x = check.photos(8, in_chans=4)
    with torch.no_grad():
        summed = block.eval()(x)
        block.use_shortcut = False
        alone = block(x)
    assert torch.equal(summed[:, 4:], alone[:, 4:]) and torch.equal(summed[:, :4], alone[:, :4] + x)
