"""Inception v4 and Inception-ResNet v2: numbers, and what a family must do beyond them."""

from __future__ import annotations

import pytest
import torch

import explorer.models as ours
from explorer.models.layers.inception import InceptionPaths, inception_conv

NAMES = ["inception_v4", "inception_resnet_v2"]


@pytest.mark.parametrize("name", NAMES)
def test_the_papers_photo_gives_the_papers_sizes(name):
    with torch.device("meta"):
        maps = ours.create_model(name, features_only=True)(torch.empty(1, 3, 299, 299))
    assert [m.shape[-1] for m in maps] == [147, 73 if name == "inception_v4" else 71, 35, 17, 8]


@pytest.mark.parametrize("name", NAMES)
def test_drop_path_is_refused_with_a_sentence(name):
    with pytest.raises(ValueError, match="leave drop_path_rate at 0"):
        ours.create_model(name, drop_path_rate=0.1)


# --- the parts ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("how", "side"), [("keep", 15), ("cut", 13), ("halve", 7)])
def test_a_convolution_keeps_cuts_or_halves_the_map(how, side):
    assert inception_conv(3, 4, 3, how).eval()(torch.zeros(1, 3, 15, 15)).shape == (1, 4, side, side)


def test_a_kernel_that_is_no_square_keeps_the_size():
    assert inception_conv(3, 4, (1, 7)).eval()(torch.zeros(1, 3, 5, 9)).shape == (1, 4, 5, 9)


def test_paths_are_stacked_in_order_and_counted():
    paths = InceptionPaths(2, one=[(3, 1)], two=["avg", (4, 1), (5, 3)], pool=["max"]).eval()
    assert paths.out_chans == 3 + 5 + 2
    mean = InceptionPaths(2, same=["avg"])(torch.ones(1, 2, 4, 4))
    assert torch.equal(mean, torch.ones(1, 2, 4, 4))  # the border is not averaged with the padding
