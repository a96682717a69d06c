"""DLA: numbers for every block and root, and what a family must do beyond them."""

from __future__ import annotations

import pytest
import torch

import explorer.models as ours
from explorer.models.backbones.dla import VARIANTS
from tests.models import family_checks as check
from tests.models.oracle import TOLERANCE, check_numbers, relative_error, same_weights

timm = pytest.importorskip("timm")

FLAT = (1, 1, 1, 2, 1, 1)  # blocks in few trees, one of them with two levels


def pair(name: str, **options):
    return ours.create_model(name, **options), timm.create_model(name, **options)


@pytest.mark.parametrize(("name", "size", "options"), [
    ("dla34", 64, {"levels": FLAT}), ("dla34", 32, {}),  # basic blocks
    ("dla46_c", 64, {}), ("dla46x_c", 64, {"levels": FLAT}),  # bottlenecks, with groups; input and output as wide
    ("dla60_res2net", 64, {"levels": FLAT}), ("dla60_res2next", 64, {"levels": FLAT}),
    ("dla102", 64, {"levels": FLAT}),                    # roots with a shortcut
    ("dla46_c", 64, {"levels": (2, 2, 2, 3, 1, 1)}),      # the first two stages and trees of other heights
    ("dla46_c", 64, {"levels": FLAT, "global_pool": "catavgmax"}),
], ids=str)
def test_numbers_equal_timms_on_every_code_path(name, size, options):
    check_numbers(*pair(name, **options), size)


@pytest.mark.parametrize("name", VARIANTS)
def test_settings_that_no_shape_shows_equal_timms(name):
    check.check_settings(name, timm)


@pytest.mark.parametrize("in_chans", [1, 4])
def test_numbers_equal_timms_for_photos_that_are_not_rgb(in_chans):
    check.check_other_channels(*pair("dla46_c", levels=FLAT, in_chans=in_chans), 32)


def test_without_pooling_every_place_gets_logits_as_in_timm():
    mine, theirs = pair("dla46_c", levels=FLAT, global_pool="", num_classes=5)
    same_weights(mine, theirs)
    with torch.no_grad():
        assert mine(check.photos(64)).shape == (2, 5, 2, 2)
        assert relative_error(mine(check.photos(64)), theirs(check.photos(64))) < TOLERANCE


def test_the_classifier_takes_the_vector_that_comes_before_it():
    model = ours.create_model("dla46_c", levels=FLAT).eval()
    with torch.no_grad():
        features = model.forward_features(check.photos(64))
        vector, logits = model.forward_vector_and_logits(features)
        assert vector.shape == (2, 256) and logits.shape == (2, 1000)
        assert relative_error(logits, model.forward_head(features)) < TOLERANCE
    assert model.get_classifier().in_features == 256 and model.get_classifier().out_features == 1000


@pytest.mark.parametrize("name", ["dla34", "dla102", "dla60_res2net"])
def test_a_gradient_reaches_every_parameter(name):
    check.check_gradients(ours.create_model(name, levels=FLAT, num_classes=5), 64)


def test_fresh_weights_give_sane_logits():
    check.check_fresh(ours.create_model("dla60"), 64)


def test_it_compiles_as_one_graph():
    check.check_compiles(ours.create_model("dla60_res2net", levels=FLAT), 64)


def test_a_saved_model_comes_back_whole(tmp_path):
    check.check_loads("dla46_c", 64, tmp_path)


def test_maps_are_as_the_table_promises():
    check.check_features("dla46_c", 64, levels=FLAT)


def test_a_new_classifier_keeps_dtype_device_and_pooling():
    check.check_new_classifier_keeps_its_place(ours.create_model("dla46_c", levels=FLAT, global_pool="max"))


@pytest.mark.parametrize(("options", "message"), [
    ({"drop_path_rate": 0.1}, "no stochastic depth"), ({"output_stride": 16}, "can't trade stride"),
], ids=str)
def test_impossible_options_are_refused_with_a_sentence(options, message):
    with pytest.raises(ValueError, match=message):
        ours.create_model("dla34", **options)
