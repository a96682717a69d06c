"""DenseNet: numbers on every code path, and what a family must do beyond them."""

from __future__ import annotations

import pytest
import torch

import explorer.models as ours
from explorer.models import weights
from explorer.models.backbones.densenet import VARIANTS
from tests.models import family_checks as check
from tests.models.oracle import TOLERANCE, check_numbers, randomise, relative_error

timm = pytest.importorskip("timm")

SHALLOW = (1, 2, 1, 1)  # timm calls it block_config


def pair(name: str, **options):
    mine = ours.create_model(name, depths=SHALLOW, **options)
    return mine, timm.create_model(name, block_config=SHALLOW, **options)


@pytest.mark.parametrize(("name", "size", "options"), [
    ("densenet121", 64, {}), ("densenet121", 65, {}),
    ("densenet161", 32, {}),                          # another growth
    ("densenet264d", 64, {}),                         # deep stem
    ("densenetblur121d", 64, {}), ("densenetblur121d", 65, {}),  # blur behind it
    ("densenet121", 64, {"global_pool": "catavgmax"}),
], ids=str)
def test_numbers_equal_timms_on_every_code_path(name, size, options):
    check_numbers(*pair(name, **options), size)


def test_numbers_equal_timms_at_full_depth():
    check_numbers(ours.create_model("densenet121"), timm.create_model("densenet121"), 32)


@pytest.mark.parametrize("name", VARIANTS)
def test_settings_that_no_shape_shows_equal_timms(name):
    check.check_settings(name, timm)


@pytest.mark.parametrize("in_chans", [1, 4])
def test_numbers_equal_timms_for_photos_that_are_not_rgb(in_chans):
    check.check_other_channels(*pair("densenet121", in_chans=in_chans), 32)


def test_dropout_inside_the_layers_equals_timms_in_place_and_rate():
    mine, theirs = pair("densenet121", proj_drop_rate=1.0, num_classes=5)
    mine.load_state_dict(theirs.state_dict())
    x = check.photos(64)
    with torch.no_grad():  # everything a layer adds is dropped, so that chance has no say
        assert relative_error(mine.train()(x), theirs.train()(x)) < TOLERANCE
        assert relative_error(mine.eval()(x), theirs.eval()(x)) < TOLERANCE


@pytest.mark.parametrize("old_names", [False, True], ids=["state_dict", "published file"])
def test_torchvisions_weights_give_torchvisions_numbers(old_names):
    torchvision = pytest.importorskip("torchvision")
    theirs = torchvision.models.densenet121(weights=None).eval()
    randomise(theirs)
    state = theirs.state_dict()
    if old_names:  # as the files on its server say it
        for part in ("norm", "conv"):
            for number in "12":
                state = {k.replace(f".{part}{number}.", f".{part}.{number}.") if "denselayer" in k else k: v
                         for k, v in state.items()}
        assert "features.denseblock1.denselayer1.norm.1.weight" in state
    mine = ours.create_model("densenet121").eval()
    mine.load_state_dict(weights.convert("densenet121", state, "torchvision"))
    with torch.no_grad():
        assert relative_error(mine(check.photos(64)), theirs(check.photos(64))) < TOLERANCE


@pytest.mark.parametrize("name", ["densenet121", "densenetblur121d"])
def test_a_gradient_reaches_every_parameter(name):
    check.check_gradients(ours.create_model(name, depths=SHALLOW, num_classes=5), 64)


def test_fresh_weights_give_sane_logits():
    check.check_fresh(ours.create_model("densenet121"), 64)


def test_it_compiles_as_one_graph():
    check.check_compiles(ours.create_model("densenetblur121d", depths=SHALLOW), 64)


def test_a_saved_model_comes_back_whole(tmp_path):
    check.check_loads("densenetblur121d", 32, tmp_path, depths=SHALLOW)


def test_maps_are_as_the_table_promises():
    check.check_features("densenet121", 64, depths=SHALLOW)


def test_a_new_classifier_keeps_dtype_device_and_pooling():
    check.check_new_classifier_keeps_its_place(ours.create_model("densenet121", depths=SHALLOW, global_pool="max"))


@pytest.mark.parametrize(("options", "message"), [
    ({"stem": "wide"}, "stem is 'wide'"), ({"aa": "avg"}, "aa is 'avg'"),
    ({"drop_path_rate": 0.1}, "no residual branches"), ({"output_stride": 16}, "can't trade stride"),
], ids=str)
def test_impossible_options_are_refused_with_a_sentence(options, message):
    with pytest.raises(ValueError, match=message):
        ours.create_model("densenet121", **options)
