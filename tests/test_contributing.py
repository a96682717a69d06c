"""The recipes of CONTRIBUTING.md hold as they stand: its family is built from the text and used."""

from __future__ import annotations

import re
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest
import torch

import explorer
import explorer.models
from explorer.models.catalog import FAMILIES, FAMILY_OF, class_in
from explorer.models.catalog.family import family

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def recipe() -> tuple[str, str]:
    """(the file, the row) of the family in the recipe."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    chapter = text.partition("## Add a family")[2].partition("\n## ")[0]
    file, row = re.findall(r"```python\n(.+?)```", chapter, re.DOTALL)
    return file, row


@pytest.fixture
def plainnet(recipe, monkeypatch):
    """The family as if its file and its row were there."""
    file, row = recipe
    place = "explorer.models.backbones.plainnet"
    module = ModuleType(place)
    monkeypatch.setitem(sys.modules, place, module)
    exec(compile(file, "plainnet.py", "exec"), module.__dict__)
    entry = eval(row, {"family": family})
    monkeypatch.setitem(FAMILIES, entry.name, entry)
    for name in entry.names:
        monkeypatch.setitem(FAMILY_OF, name, entry)
    return module


def test_a_family_is_a_file_and_a_row(plainnet):
    assert explorer.list_models("plainnet*") == sorted(plainnet.VARIANTS)
    model = explorer.create_model("plainnet_small", num_classes=4).eval()
    x = torch.randn(2, 3, 64, 48)
    assert model(x).shape == (2, 4)
    assert [map_.shape[1] for map_ in model.forward_stages(x)] == [16, 32, 64, 128]
    maps = explorer.create_model("plainnet_small", features_only=True).eval()
    assert maps.feature_info.reduction() == [2, 4, 8, 16] and [m.shape[-1] for m in maps(x)] == [24, 12, 6, 3]
    model.reset_classifier(7, "max")
    assert model(x).shape == (2, 7) and model.get_classifier().out_features == 7
    model.reset_classifier(0)
    assert model(x).shape == (2, model.num_features)


def test_its_class_is_found_in_its_file_without_importing_it(recipe, tmp_path):
    (tmp_path / "plainnet.py").write_text(recipe[0], encoding="utf-8")
    assert class_in(tmp_path / "plainnet.py") == ("PlainNet",)


@pytest.mark.parametrize("family", FAMILIES.values(), ids=list(FAMILIES))
def test_every_familys_class_is_a_name_of_explorers_models(family):
    module = import_module(f"explorer.models.{family.room}.{family.module}")
    name = module.MODEL.__name__
    assert getattr(explorer.models, name) is module.MODEL and name in dir(explorer.models)


def test_an_unknown_class_is_answered_with_the_nearest():
    with pytest.raises(AttributeError, match="no attribute 'ResNett'. Did you mean 'ResNet'?"):
        _ = explorer.models.ResNett


def test_it_is_looked_into_like_any_other(plainnet):
    model = explorer.create_model("plainnet_tiny", num_classes=3).eval()
    photo = explorer.sample_photos()[0]
    look = explorer.look(model, photo)
    assert list(look.stages) == ["stage1", "stage2", "stage3"] and len(look.predictions) == 3
    heatmap = explorer.explain(model, photo).heatmap
    assert 0 <= heatmap.min() <= heatmap.max() <= 1


def test_what_the_recipes_name_is_there():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    file, folder = r"(?:explorer|tests|parts)/[\w./]+?\.(?:py|js)", r"(?:explorer|tests)/[\w/]+/"
    paths = set(re.findall(f"`({file}|{folder})`", text))
    paths.discard("explorer/models/backbones/plainnet.py")
    starts = ROOT, ROOT / "explorer/widgets"
    missing = [path for path in paths if not any((start / path).exists() for start in starts)]
    assert len(paths) > 8 and missing == []
