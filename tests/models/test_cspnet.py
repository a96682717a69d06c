"""DarkNet and CSPNet: numbers for each kind of stage, block and stem, and what only shows while training."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import explorer.models as ours
from tests.models.oracle import (
    TOLERANCE,
    check_numbers,
    randomise,
    relative_error,
    same_weights,
    without_initialisation,
)

timm = pytest.importorskip("timm")


def photo(size: int = 32, chans: int = 3) -> torch.Tensor:
    return torch.randn(2, chans, size, size, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(("name", "size", "options"), [
    ("darknet17", 33, {}),                                 # plain stages, odd size
    ("sedarknet21", 32, {}),
    ("cspdarknet53", 32, {}),                              # cross stages, another shape in the first
    ("cspresnet50", 64, {}),                               # bottleneck blocks, max pool behind the stem
    ("cspresnet50d", 33, {}), ("cspresnext50", 32, {}),    # deep stem; groups
    ("cs3darknet_s", 33, {}), ("cs3darknet_focus_s", 65, {}),  # three convolutions around the blocks
    ("cs3sedarknet_xdw", 32, {}),                          # depthwise in the last two stages
    ("cs3se_edgenet_x", 32, {}),                           # 3 x 3 first
    ("darknet17", 33, {"output_stride": 8}),
    ("darknetaa53", 32, {"output_stride": 16}),            # average and 1 x 1 in place of strides
    ("cspresnet50", 64, {"output_stride": 8}), ("cs3darknet_s", 64, {"output_stride": 16}),
], ids=str)
def test_numbers_equal_timms(name, size, options):
    with without_initialisation():
        mine, theirs = ours.create_model(name, **options), timm.create_model(name, **options)
    check_numbers(mine, theirs, size)


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
        model, plain = ours.create_model("cs3darknet_s", output_stride=stride), ours.create_model("cs3darknet_s")
    assert model.stage_table[-1].reduction == stride
    same_weights(model, plain)
    with torch.no_grad():
        assert model.forward_features(photo(64)).shape[-1] == 64 // stride


@pytest.mark.parametrize("name", ["sedarknet21", "cspresnet50", "cs3darknet_s"])
def test_a_training_step_reaches_every_parameter(name):
    model = ours.create_model(name, num_classes=5)
    randomise(model)  # fresh blocks are the identity, and give their own layers no gradient
    nn.functional.cross_entropy(model(photo(64)), torch.tensor([0, 3])).backward()
    assert [key for key, p in model.named_parameters() if p.grad is None or not p.grad.any()] == []


@pytest.mark.parametrize("name", ["darknet17", "cspresnet50"])
def test_fresh_blocks_are_the_identity(name):
    block = ours.create_model(name).stages[0].blocks[0].eval()
    x = torch.rand(2, block.conv1.in_channels, 4, 4)  # positive, as behind an activation
    with torch.no_grad():
        assert torch.equal(block(x), x)


def test_compiles_without_a_graph_break():
    model = ours.create_model("cs3darknet_s").eval()
    with torch.no_grad():
        assert torch.allclose(torch.compile(model, fullgraph=True, backend="eager")(photo()), model(photo()))


@pytest.mark.parametrize("name", ["darknet17", "cs3darknet_focus_s"])
def test_fresh_weights_give_logits_of_a_sane_size(name):
    torch.manual_seed(0)
    logits = ours.create_model(name)(photo(64))
    assert torch.isfinite(logits).all() and 0.01 < logits.std() < 3


def test_drop_path_rates_equal_timms():
    mine, theirs = ({k: m.drop_prob for k, m in lib.create_model("cspresnet50", drop_path_rate=0.2).named_modules()
                     if hasattr(m, "drop_prob")} for lib in (ours, timm))
    assert mine == pytest.approx(theirs) and len(mine) == 12


def test_trained_tensors_leave_nothing_on_meta(tmp_path):
    saved = ours.create_model("cs3darknet_s", num_classes=4).eval()
    torch.save(saved.state_dict(), tmp_path / "weights.pth")
    model = ours.create_model("cs3darknet_s", checkpoint_path=tmp_path / "weights.pth").eval()
    assert not any(tensor.is_meta for tensor in (*model.parameters(), *model.buffers()))
    with torch.no_grad():
        assert torch.equal(model(photo()), saved(photo()))


def test_an_impossible_output_stride_is_refused():
    with pytest.raises(ValueError, match="CSPNets offer 8, 16 and 32"):
        ours.create_model("darknet17", output_stride=4)
