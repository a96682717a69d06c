"""Names of yesterday that published notebooks use: each is answered as timm does, with a word on today's."""

from __future__ import annotations

import json
import warnings

import pytest
import torch
from safetensors.torch import save_file

import explorer
from explorer.models import weights
from explorer.models.card import model_card
from explorer.models.names import check_name, split_name
from tests.tools.build_weights_table import old_names

timm = pytest.importorskip("timm")
OURS = sorted(name for name in old_names() if explorer.is_model(name))


def test_the_table_has_every_old_name_of_timms_registry():
    """case C7: xception, vit_base_patch16_224_in21k, convnext_tiny_in22ft1k and 206 more were unknown."""
    from timm.models import get_deprecated_models

    assert dict(weights.old_names()) == old_names()
    assert set(old_names()) == {name for name, today in get_deprecated_models().items() if today}
    assert len(OURS) > 160
    assert {"xception", "vit_base_patch16_224_in21k", "convnext_tiny_in22ft1k"} <= set(OURS)


def answered_by(create, name: str, **options) -> tuple[str, str]:
    with torch.device("meta"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = create(name, **options)
    facts = model.pretrained_cfg
    return facts["architecture"], facts.get("tag", "")


@pytest.mark.parametrize("name", OURS)
def test_an_old_name_means_what_timm_means_by_it(name):
    """case C7: the architecture, and the tag, whose label says which weights were meant."""
    architecture, tag = split_name(name)
    today = timm.models.get_deprecated_models()[name]
    assert architecture == today.partition(".")[0] and check_name(name) == (architecture, tag)
    published = timm.get_pretrained_cfg(today if not today.endswith(".sam") else f"{today}_in1k")
    config = weights.config_for(architecture, tag)
    wanted = published.tag or "", published.num_classes, published.mean
    assert (config.tag, config.num_classes, config.mean) == wanted
    assert model_card(name).name == name and architecture in explorer.list_models(architecture)
    assert name not in explorer.list_models()


@pytest.mark.parametrize("name", ["convnext_tiny_in22ft1k", "efficientnet_b2a", "mnasnet_a1", "regnetz_040h"])
def test_an_old_name_builds_what_timm_builds(name):
    assert answered_by(explorer.create_model, name) == answered_by(timm.create_model, name)


def test_the_model_is_given_with_a_word_on_its_name_of_today():
    for name, today in (("vit_tiny_patch16_224_in21k", "vit_tiny_patch16_224.augreg_in21k"),
                        ("efficientnet_b2a", "efficientnet_b2")):
        sentence = f"'{name}' is an old name: the model is now called {today}."
        with torch.device("meta"), pytest.warns(DeprecationWarning, match=sentence):
            explorer.create_model(name)
    assert "is an old name" in " ".join(model_card("xception").as_text().split())
    assert "old name" not in model_card("resnet50").as_text()


def test_the_word_points_at_the_line_that_gave_the_name():
    """Python shows such a word only to the one whose own line it is about."""
    with torch.device("meta"), pytest.warns(DeprecationWarning) as said:
        explorer.create_model("efficientnet_b2a")
    assert [warning.filename for warning in said] == [__file__]


def test_an_old_name_may_carry_a_tag_as_in_timm():
    name = "vit_base_patch16_224_in21k.augreg_in1k"
    assert answered_by(explorer.create_model, name) == answered_by(timm.create_model, name)


def test_an_old_name_of_a_family_that_only_timm_has_says_so():
    assert not explorer.is_model("jx_nest_base")
    with pytest.raises(ValueError, match=r"is known to timm.*create_model\('timm/jx_nest_base'\)"):
        explorer.create_model("jx_nest_base")


def test_a_typing_error_in_an_old_name_is_answered_with_todays():
    with pytest.raises(ValueError, match="'convnext_tiny.fb_in22k_ft_in1k'"):
        explorer.create_model("convnext_tiny_in22ftik")


def test_timms_door_knows_old_names_too():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = explorer.create_model("timm/mnasnet_b1", num_classes=2)
    assert model.config.architecture == "timm/mnasnet_100" and model.config.built_as == "timm/mnasnet_100"


def test_a_folder_whose_config_holds_an_old_name_opens(tmp_path):
    model = explorer.create_model("semnasnet_100", num_classes=3)
    save_file(model.state_dict(), tmp_path / "model.safetensors")
    facts = {"architecture": "mnasnet_a1", "num_classes": 3,
             "pretrained_cfg": {"classifier": "classifier", "first_conv": "conv_stem"}}
    (tmp_path / "config.json").write_text(json.dumps(facts))
    opened = explorer.create_model(f"local-dir:{tmp_path}", pretrained=True)
    assert opened.config.architecture == "semnasnet_100" and opened.num_classes == 3
    assert torch.equal(opened.conv_stem.weight, model.conv_stem.weight)
