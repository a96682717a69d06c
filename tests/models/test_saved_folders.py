"""Folders and hub repositories of others: their configuration and weights, of architectures that we know."""

from __future__ import annotations

import json
import pickle

import pytest
import torch
from safetensors.torch import save_file

import explorer
from explorer.models.weights.report import WeightsError
from tests.models.oracle import randomise


def photo(size=(2, 3, 64, 64)) -> torch.Tensor:
    return torch.randn(size, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def folder(tmp_path):
    model = explorer.create_model("resnet10t", num_classes=3)
    randomise(model)
    save_file(model.state_dict(), tmp_path / "model.safetensors")
    own = {"input_size": [3, 96, 96], "mean": [0.5, 0.5, 0.5], "std": [0.2, 0.2, 0.2], "crop_pct": 1.0,
           "classifier": "fc", "first_conv": "conv1.0"}
    facts = {"architecture": "resnet10t", "num_classes": 3, "label_names": ["ant", "bee", "<cat>"],
             "pretrained_cfg": own}
    (tmp_path / "config.json").write_text(json.dumps(facts))
    return tmp_path, model.eval()


def test_a_saved_folder_opens_with_its_labels_and_preprocessing(folder):
    path, model = folder
    net = explorer.create_model(f"local-dir:{path}", pretrained=True).eval()
    assert net.config.labels == ("ant", "bee", "<cat>") and net.config.input_size == (3, 96, 96)
    assert net.config.std == (0.2, 0.2, 0.2)
    assert torch.equal(net(photo()), model(photo()))
    assert "model.safetensors" in str(net.load_report)


def test_a_saved_folder_adapts_head_and_channels_like_published_weights(folder):
    net = explorer.create_model(f"local-dir:{folder[0]}", pretrained=True, num_classes=5, in_chans=1)
    assert net.num_classes == 5 and net.conv1[0].weight.shape[1] == 1
    assert net.load_report.adapted and net.load_report.skipped


@pytest.mark.parametrize("content", [
    "", "[]", "{}", '{"architecture": 5}', '{"architecture": "no_such_net"}', "\x00",
])
def test_a_folder_with_a_broken_config_is_a_sentence(folder, content):
    (folder[0] / "config.json").write_text(content)
    with pytest.raises((WeightsError, ValueError)) as caught:
        explorer.create_model(f"local-dir:{folder[0]}", pretrained=True)
    assert len(str(caught.value)) > 30


def test_a_folder_with_a_pickle_does_not_run_it(folder, tmp_path):
    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "hacked"), "w"))

    (folder[0] / "model.safetensors").unlink()
    (folder[0] / "pytorch_model.bin").write_bytes(pickle.dumps(Evil()))
    with pytest.raises(WeightsError, match="can't be read as weights"):
        explorer.create_model(f"local-dir:{folder[0]}", pretrained=True)
    assert not (tmp_path / "hacked").exists()


def test_a_missing_folder_is_a_sentence():
    with pytest.raises(WeightsError, match=r"no config\.json"):
        explorer.create_model("local-dir:/no/such/folder", pretrained=True)


def test_a_hub_repository_out_of_reach_is_a_sentence():
    with pytest.raises(WeightsError, match="somebody/something"):
        explorer.create_model("hf-hub:somebody/something", pretrained=True)
