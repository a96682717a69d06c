"""Inception v3: numbers, its second classifier that is left out, and its old name."""

from __future__ import annotations

import warnings

import pytest
import torch

import explorer
import explorer.models as ours
from explorer.models import weights
from tests.models import family_checks as check
from tests.models.oracle import TOLERANCE, randomise, relative_error

timm = pytest.importorskip("timm")

SIDE = 75  # the smallest photo that leaves a pixel behind all unpadded layers


def test_the_papers_photo_gives_the_papers_sizes():
    with torch.device("meta"):
        model = ours.create_model("inception_v3", features_only=True).eval()
        maps = model(torch.empty(1, 3, 299, 299))
    sizes = [(64, 147, 147), (192, 71, 71), (288, 35, 35), (768, 17, 17), (2048, 8, 8)]
    assert [tuple(m.shape[1:]) for m in maps] == sizes


@pytest.fixture(scope="module")
def torchvisions():
    torchvision = pytest.importorskip("torchvision")
    model = torchvision.models.inception_v3(weights=None, init_weights=False, transform_input=False).eval()
    randomise(model)
    return model


def test_torchvisions_weights_give_torchvisions_numbers(torchvisions):
    mine = ours.create_model("inception_v3").eval()
    mine.load_state_dict(weights.convert("inception_v3", torchvisions.state_dict(), "torchvision"))
    with torch.no_grad():
        assert relative_error(mine(check.photos(SIDE)), torchvisions(check.photos(SIDE))) < TOLERANCE


def test_a_file_with_the_second_classifier_loads_and_the_report_says_so(torchvisions, tmp_path):
    path = tmp_path / "tv.pth"
    torch.save(torchvisions.state_dict(), path)
    model = ours.create_model("inception_v3", checkpoint_path=path).eval()
    left_out = sum(key.startswith("AuxLogits.") for key in torchvisions.state_dict())
    sentence = f"AuxLogits: {left_out} tensors of the second classifier, for training"
    assert model.load_report.skipped == [sentence]
    with torch.no_grad():
        assert relative_error(model(check.photos(SIDE)), torchvisions(check.photos(SIDE))) < TOLERANCE


def test_a_file_without_the_second_classifier_skips_nothing(tmp_path):
    torch.save(ours.create_model("inception_v3").state_dict(), tmp_path / "plain.pth")
    assert not ours.create_model("inception_v3", checkpoint_path=tmp_path / "plain.pth").load_report.skipped


def test_drop_path_is_refused_with_a_sentence():
    with pytest.raises(ValueError, match="no residual branches"):
        ours.create_model("inception_v3", drop_path_rate=0.1)


# --- the old name -------------------------------------------------------------------------------------------


def test_the_old_name_gives_the_model_and_the_configuration_that_timm_gives():
    with torch.device("meta"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mine, theirs = ours.create_model("adv_inception_v3"), timm.create_model("adv_inception_v3")
    assert isinstance(mine, ours.InceptionV3) and mine.config.name == "inception_v3.tf_adv_in1k"
    config, wanted = mine.config, theirs.pretrained_cfg
    assert (config.tag, config.mean) == (wanted["tag"], wanted["mean"])
    assert config.hf_hub_id == wanted["hf_hub_id"]


def test_the_old_name_is_known_and_not_listed():
    assert explorer.is_model("adv_inception_v3")
    for chosen in (explorer.list_models("*inception_v3"), explorer.list_models(family="inception_v3")):
        assert chosen == ["inception_v3"]
    assert explorer.list_models("*v3*.tf_adv_in*", pretrained=True) == ["inception_v3.tf_adv_in1k"]


def test_the_old_name_is_answered_with_the_present_one():
    sentence = "'adv_inception_v3' is an old name: .* inception_v3.tf_adv_in1k"
    with pytest.warns(DeprecationWarning, match=sentence):
        ours.create_model("adv_inception_v3")
    with warnings.catch_warnings():
        warnings.simplefilter("error", DeprecationWarning)
        ours.create_model("inception_v3.tf_adv_in1k")
