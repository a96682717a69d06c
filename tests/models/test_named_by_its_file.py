"""Weights of one's own are called by where they came from, and claim nothing of the published ones."""

from __future__ import annotations

import json

import pytest
import torch

import explorer
from explorer.inspection.compare.comparing import compare
from explorer.inspection.look.model import model_name
from explorer.models import weights

NAME = "tinynet_e"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A file of one's own weights, and a folder of a saved model with the same."""
    folder = tmp_path_factory.mktemp("own") / "my-net"
    folder.mkdir()
    state = explorer.create_model(NAME).state_dict()
    for place in (folder / "pytorch_model.bin", folder.parent / "mine.pth"):
        torch.save(state, place)
    facts = {"architecture": NAME, "num_classes": 1000,
             "pretrained_cfg": {"first_conv": "conv_stem", "classifier": "classifier"}}
    (folder / "config.json").write_text(json.dumps(facts))
    return folder


def test_a_model_from_a_file_is_called_by_the_file(folder):
    """case A13: it was called by the published weights' name everywhere."""
    model = explorer.create_model(NAME, checkpoint_path=folder.parent / "mine.pth").eval()
    called = f"{NAME} (mine.pth)"
    photo = explorer.sample_photos()[0]
    assert model_name(model) == model.load_report.name == called
    assert explorer.look(model, photo).model_name == explorer.predict(model, [photo]).model_name == called
    published = weights.config_for(NAME)
    assert published.license and published.hf_hub_id and published.top1
    config = model.config
    assert (config.name, config.license, config.hf_hub_id, config.url) == (NAME, "", "", "")
    assert (config.top1, config.top5) == (None, None)
    kept = config.mean, config.input_size, config.crop_pct
    assert kept == (published.mean, published.input_size, published.crop_pct)
    assert all(row.published is None for row in compare([model, model], [photo]).rows)


@pytest.mark.parametrize("classes", [0, 4])
def test_so_is_one_with_another_head(folder, classes):
    model = explorer.create_model(NAME, checkpoint_path=folder.parent / "mine.pth", num_classes=classes)
    assert model_name(model) == f"{NAME} (mine.pth)"


def test_a_saved_folder_is_called_by_its_folder(folder):
    for given in (folder, f"{folder}/"):
        model = explorer.create_model(f"local-dir:{given}", pretrained=True)
        assert model_name(model) == f"{NAME} (my-net)" and model.config.name == NAME


def test_published_weights_keep_their_name_and_random_ones_have_none():
    trained = explorer.create_model("tf_efficientnet_lite0", pretrained=True)
    assert model_name(trained) == "tf_efficientnet_lite0.in1k"
    assert model_name(explorer.create_model(NAME)) == NAME
