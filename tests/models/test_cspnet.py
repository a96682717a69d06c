"""DarkNet and CSPNet: numbers for each kind of stage, block and stem, and what only shows while training."""

from __future__ import annotations

import pytest
import torch

import explorer.models as ours
from tests.models.oracle import TOLERANCE, relative_error, same_weights, without_initialisation

timm = pytest.importorskip("timm")


def photo(size: int = 32, chans: int = 3) -> torch.Tensor:
    return torch.randn(2, chans, size, size, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("in_chans", [1, 4])
@pytest.mark.parametrize("name", ["darknet17", "cs3darknet_focus_s"])
def test_numbers_equal_timms_with_other_photos(name, in_chans):
    mine, theirs = (lib.create_model(name, in_chans=in_chans) for lib in (ours, timm))
    same_weights(mine, theirs)
    with torch.no_grad():
        assert relative_error(mine(photo(32, in_chans)), theirs(photo(32, in_chans))) < TOLERANCE


@pytest.mark.parametrize("stride", [8, 16])
def test_an_output_stride_keeps_the_map_large_and_the_weights_fitting(stride):
    with without_initialisation():
        model = ours.create_model("cs3darknet_s", output_stride=stride)
        plain = ours.create_model("cs3darknet_s")
    assert model.stage_table[-1].reduction == stride
    same_weights(model, plain)
    with torch.no_grad():
        assert model.forward_features(photo(64)).shape[-1] == 64 // stride


@pytest.mark.parametrize("name", ["darknet17", "cspresnet50"])
def test_fresh_blocks_are_the_identity(name):
    block = ours.create_model(name).stages[0].blocks[0].eval()
    x = torch.rand(2, block.conv1.in_channels, 4, 4)  # positive, as behind an activation
    with torch.no_grad():
        assert torch.equal(block(x), x)


@pytest.mark.parametrize("name", ["darknet17", "cs3darknet_focus_s"])
def test_fresh_weights_give_logits_of_a_sane_size(name):
    torch.manual_seed(0)
    logits = ours.create_model(name)(photo(64))
    assert torch.isfinite(logits).all() and 0.01 < logits.std() < 3


def test_drop_path_rates_equal_timms():
    mine, theirs = ({k: m.drop_prob
                     for k, m in lib.create_model("cspresnet50", drop_path_rate=0.2).named_modules()
                     if hasattr(m, "drop_prob")} for lib in (ours, timm))
    assert mine == pytest.approx(theirs) and len(mine) == 12


def test_an_impossible_output_stride_is_refused():
    with pytest.raises(ValueError, match="CSPNets offer 8, 16 and 32"):
        ours.create_model("darknet17", output_stride=4)
