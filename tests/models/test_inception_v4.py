"""Inception v4 and Inception-ResNet v2: numbers, and what a family must do beyond them."""

from __future__ import annotations

import pytest
import torch

import explorer.models as ours
from explorer.models.layers.inception import InceptionPaths, inception_conv
from tests.models import family_checks as check
from tests.models.oracle import check_numbers

timm = pytest.importorskip("timm")

NAMES = ["inception_v4", "inception_resnet_v2"]
SIDE = 75  # the smallest photo that leaves a pixel behind all unpadded layers


@pytest.mark.parametrize("name", NAMES)
def test_numbers_equal_timms(name):
    options = {"global_pool": "catavgmax"}
    check_numbers(ours.create_model(name, **options), timm.create_model(name, **options), 100)


@pytest.mark.parametrize("name", NAMES)
def test_settings_that_no_shape_shows_equal_timms(name):
    check.check_settings(name, timm)


@pytest.mark.parametrize("in_chans", [1, 4])
@pytest.mark.parametrize("name", NAMES)
def test_numbers_equal_timms_for_photos_that_are_not_rgb(name, in_chans):
    options = {"in_chans": in_chans}
    check.check_other_channels(ours.create_model(name, **options), timm.create_model(name, **options), SIDE)


@pytest.mark.parametrize("name", NAMES)
def test_the_papers_photo_gives_the_papers_sizes(name):
    with torch.device("meta"):
        maps = ours.create_model(name, features_only=True)(torch.empty(1, 3, 299, 299))
    assert [m.shape[-1] for m in maps] == [147, 73 if name == "inception_v4" else 71, 35, 17, 8]


def small(name: str, **options):
    return ours.create_model(name, **options, **({} if name == "inception_v4" else {"depths": (1, 1, 1)}))


@pytest.mark.parametrize("name", NAMES)
def test_a_gradient_reaches_every_parameter(name):
    check.check_gradients(small(name, num_classes=5), 107)


@pytest.mark.parametrize("name", NAMES)
def test_fresh_weights_give_sane_logits(name):
    check.check_fresh(ours.create_model(name), 107)


def test_it_compiles_as_one_graph():
    check.check_compiles(small("inception_resnet_v2"), SIDE)


@pytest.mark.parametrize("name", NAMES)
def test_a_saved_model_comes_back_whole(name, tmp_path):
    check.check_loads(name, SIDE, tmp_path)


@pytest.mark.parametrize("name", NAMES)
def test_a_new_classifier_keeps_dtype_device_and_pooling(name):
    check.check_new_classifier_keeps_its_place(small(name, global_pool="max"))


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
