"""DenseNet: numbers on every code path, and what a family must do beyond them."""

from __future__ import annotations

import pytest
import torch

import explorer.models as ours
from explorer.models import weights
from tests.models import family_checks as check
from tests.models.oracle import TOLERANCE, randomise, relative_error

timm = pytest.importorskip("timm")

SHALLOW = (1, 2, 1, 1)  # timm calls it block_config


def pair(name: str, **options):
    mine = ours.create_model(name, depths=SHALLOW, **options)
    return mine, timm.create_model(name, block_config=SHALLOW, **options)


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


@pytest.mark.parametrize(("options", "message"), [
    ({"stem": "wide"}, "stem is 'wide'"), ({"aa": "avg"}, "aa is 'avg'"),
    ({"drop_path_rate": 0.1}, "no residual branches"), ({"output_stride": 16}, "can't trade stride"),
], ids=str)
def test_impossible_options_are_refused_with_a_sentence(options, message):
    with pytest.raises(ValueError, match=message):
        ours.create_model("densenet121", **options)
