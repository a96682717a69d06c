"""The networks for boxes and masks that come along with explorer: whole, described, and as good as told."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest

import explorer
from explorer.data import sample_places
from explorer.models import weights
from explorer.models.card import model_card
from explorer.models.weights.report import WeightsError

FOLDER = Path(weights.__file__).parent / "shipped"
#: name -> (task, photos that it has not learnt from, what is measured there, and what it reaches at least)
SHIPPED = {
    "unet_lite0.nuclei": ("segmentation", "nuclei", lambda found: found.per_class["nucleus"].iou, 0.7),
    "retinanet_lite0.bccd": ("detection", "bccd", lambda found: found.ap50, 0.7),
}


@pytest.fixture(scope="module")
def models():
    return {name: explorer.create_model(name, pretrained=True).eval() for name in SHIPPED}


def facts(name: str) -> dict:
    return json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))


def test_the_folder_holds_these_and_no_others():
    assert {file.name for file in FOLDER.iterdir()} == {f"{name}.{ending}" for name in SHIPPED
                                                         for ending in ("json", "safetensors")}


@pytest.mark.parametrize("name", SHIPPED)
def test_the_file_is_small_and_the_one_that_was_measured(name):
    told, file = facts(name), FOLDER / f"{name}.safetensors"
    assert file.stat().st_size == told["bytes"] < 10_000_000
    checksum = hashlib.sha256(file.read_bytes()).hexdigest()
    assert checksum == told["sha256"] == weights.PACKAGED[name].sha256
    assert weights.PACKAGED[name].path() == file and weights.is_here(*name.split("."))


@pytest.mark.parametrize("name", SHIPPED)
def test_beside_it_stands_how_it_was_made_and_how_good_it_is(name):
    told = facts(name)
    assert told["name"] == name and told["command"].startswith("python -m tests.tools.teach_shipped ")
    assert told["seed"] == 0 and told["settings"]["epochs"] > 1 and told["threads"] == 1
    assert told["data"]["licence"] in ("CC0", "MIT") and "https://" in told["data"]["source"]
    assert all(told["data"][part] > 0 for part in ("to learn from", "to choose by", "held out"))
    assert told["cpu seconds"] > 60 and "torch" in told["machine"] and told["finds"]
    assert all(0 < value <= 100 for _, value in told["scores on the held-out photos, %"])


@pytest.mark.parametrize("name", SHIPPED)
def test_it_is_a_name_of_the_catalog_with_its_card(name):
    task = SHIPPED[name][0]
    assert name in explorer.list_models(pretrained=True, task=task) and weights.names_here(task) == [name]
    card, told, model = model_card(name), facts(name), explorer.create_model(name)
    assert card.parameters == sum(p.numel() for p in model.parameters())
    assert card.here and card.config.labels == tuple(told["labels"]) and card.config.license == "apache-2.0"
    assert card.config.metrics == tuple(map(tuple, told["scores on the held-out photos, %"]))
    text = " ".join(card.as_text(400).split())
    names, licence = ", ".join(told["labels"]), told["data"]["licence"]
    for part in (card.measured, names, licence, "come along with explorer"):
        assert part in text
    read = card.as_dict()
    assert read["metrics"] == dict(card.config.metrics) and read["labels"] == told["labels"]


@pytest.mark.parametrize("name", SHIPPED)
def test_it_finds_on_other_photos_what_it_says(name, models):
    task, photos, measured, least = SHIPPED[name]
    model = models[name]
    assert model.task == task and model.load_report.source == "the package explorer"
    assert model.config.labels == tuple(facts(name)["labels"])
    assert measured(explorer.evaluate(model, sample_places(photos))) > least


def test_its_name_alone_is_enough_to_ask_it():
    found = explorer.detect("retinanet_lite0.bccd", explorer.sample_photos("bccd")[0])
    assert {*found.labels} == {"RBC", "WBC", "Platelets"}
    seen = explorer.segment("unet_lite0.nuclei", explorer.sample_photos("nuclei")[0])
    assert seen.labels == ("background", "nucleus")
    assert 0.02 < (seen.mask == 1).float().mean() < 0.5


def test_others_can_begin_where_it_ended(models):
    model = explorer.create_model("retinanet_lite0.bccd", pretrained=True, num_classes=5)
    assert model.num_classes == 5 and "the new one of 5 is untrained" in str(model.load_report)
    ours, theirs = model.body.conv_stem.weight, models["retinanet_lite0.bccd"].body.conv_stem.weight
    assert (ours == theirs).all()


@pytest.mark.parametrize(("name", "place", "instead"), [
    ("retinanet_resnet50_fpn", "download.pytorch.org/models/retinanet_resnet50_fpn_coco",
     "retinanet_lite0.bccd"),
    ("tf_efficientdet_lite0", "github.com/rwightman/efficientdet-pytorch", "retinanet_lite0.bccd"),
    ("deeplabv3_resnet50", "download.pytorch.org/models/deeplabv3_resnet50_coco", "unet_lite0.nuclei"),
])
def test_where_cocos_weights_cant_be_had_a_sentence_says_where_they_are_and_what_is_here(
        name, place, instead, monkeypatch, tmp_path):
    monkeypatch.setattr("explorer.models.weights.places.reachable", lambda url: False)
    with pytest.raises(WeightsError) as caught:
        explorer.create_model(name, pretrained=True, cache_dir=tmp_path)
    assert place in str(caught.value) and f"weights are installed ({instead})" in str(caught.value)
    assert os.listdir(tmp_path) == []
