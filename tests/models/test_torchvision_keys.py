"""torchvision's checkpoints of mobile networks in ours: the same numbers, though some epsilons differ."""

from __future__ import annotations

import pytest
import torch
from torchvision import models

import explorer
from explorer.models.weights.key_maps import convert, recognise
from tests.models.oracle import TOLERANCE, randomise, relative_error, without_initialisation

PAIRS = [
    ("mobilenetv3_large_100", "mobilenet_v3_large"), ("mobilenetv3_small_100", "mobilenet_v3_small"),
    ("mobilenetv2_100", "mobilenet_v2"), ("efficientnet_b0", "efficientnet_b0"),
    ("efficientnet_b5", "efficientnet_b5"), ("efficientnetv2_s", "efficientnet_v2_s"),
]


@pytest.mark.parametrize(("name", "theirs"), PAIRS)
def test_a_checkpoint_of_torchvision_gives_its_numbers(name, theirs, tmp_path):
    with without_initialisation():
        oracle = models.get_model(theirs, weights=None, num_classes=7)
    randomise(oracle)
    path = tmp_path / "theirs.pth"
    torch.save(oracle.state_dict(), path)
    mine = explorer.create_model(name, checkpoint_path=path)
    assert mine.num_classes == 7
    x = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0)).double()
    with torch.no_grad():
        # in double precision, and so with the epsilons' difference seen if it were there
        assert relative_error(mine.double().eval()(x), oracle.double().eval()(x)) < TOLERANCE


@pytest.mark.parametrize(("name", "theirs"), [
    ("mobilenetv3_large_100", "mobilenet_v3_large"), ("efficientnet_b1", "efficientnet_b1"),
    ("efficientnet_b7", "efficientnet_b7"), ("efficientnetv2_m", "efficientnet_v2_m"),
    ("efficientnetv2_l", "efficientnet_v2_l"),
])
def test_the_keys_and_shapes_fit(name, theirs):
    with torch.device("meta"), without_initialisation():
        oracle, mine = models.get_model(theirs, weights=None), explorer.create_model(name)
    found = convert(name, oracle.state_dict(), "torchvision")
    wanted = {key: value.shape for key, value in mine.state_dict().items()
              if not key.endswith("num_batches_tracked")}
    assert {key: value.shape for key, value in found.items()} == wanted


def test_another_networks_tensors_are_refused():
    with torch.device("meta"):
        small, resnet = models.mobilenet_v3_small(), models.resnet18()
    for state in (small.state_dict(), resnet.state_dict()):
        with pytest.raises(ValueError, match="torchvision's tensors for this network"):
            convert("mobilenetv3_large_100", state, "torchvision")
        assert recognise("mobilenetv3_large_100", state, set()).keys() == state.keys()
    with torch.device("meta"):
        wide = models.mobilenet_v2(width_mult=1.4)
    sentence = r"features.0.0.weight \(48, 3, 3, 3\) does not fit conv_stem.weight"
    with pytest.raises(ValueError, match=sentence):
        convert("mobilenetv2_100", wide.state_dict(), "torchvision")
