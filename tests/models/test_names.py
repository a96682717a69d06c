"""The catalog's names: lists, filters, tags, and the sentence for a name that is none."""

from __future__ import annotations

import pytest
import torch

import explorer
from explorer.display.words import natural_key
from explorer.models import weights
from explorer.models.catalog import FAMILIES, FAMILY_OF
from explorer.models.names import check_name, split_name

NAME = "resnet10t"


@pytest.fixture(scope="module")
def timm():
    return pytest.importorskip("timm")


def from_timm(timm, *arguments, **options) -> list[str]:
    """What timm lists, of the names that explorer has."""
    return [name for name in timm.list_models(*arguments, **options) if name.partition(".")[0] in FAMILY_OF]


def present(*arguments, **options) -> list[str]:
    """What explorer lists, less the names that timm lacks."""
    names = explorer.list_models(*arguments, **options)
    return [name for name in names if FAMILY_OF[split_name(name)[0]].oracle == "timm"]


@pytest.mark.parametrize("filter", [
    "", "*resne*t*", "resnet*", "*50*", "resnet50", "vgg1[13]*", "vit_*_patch16_224", "*patch??_*", "none*",
    ["resnet1*", "vgg*"], ["vit_tiny*", "vit_tiny_patch16_224", "*dinov2"],
], ids=str)
@pytest.mark.parametrize("pretrained", [False, True])
def test_filters_find_what_timm_finds_in_the_same_order(timm, filter, pretrained):
    assert present(filter, pretrained=pretrained) == from_timm(timm, filter, pretrained=pretrained)


@pytest.mark.parametrize(("filter", "exclude"), [
    ("*resne*t*", "*resnext*"), ("resnet*", ["*d", "*t", "*blur*"]), ("", ["resn*", "vit*", "*ficientnet*"]),
    (["vgg*", "resnet18*"], "*_bn"), ("vgg*", "vgg*"),
], ids=str)
def test_excludes_leave_out_what_timm_leaves_out(timm, filter, exclude):
    assert present(filter, exclude_filters=exclude) == from_timm(timm, filter, exclude_filters=exclude)


@pytest.mark.parametrize(("filter", "exclude"), [
    ("vgg*", "vgg11*"), ("resnet18*", "*.fb_*"), (["vgg*", "resnet18*"], ["*_bn*", "*gluon*"]),
], ids=str)
def test_excludes_leave_out_tags_too_as_timm_does(timm, filter, exclude):
    found = explorer.list_models(filter, pretrained=True, exclude_filters=exclude)
    assert found == from_timm(timm, filter, pretrained=True, exclude_filters=exclude)


def test_a_pattern_without_a_tag_stands_for_all_tags_of_its_names():
    everything = explorer.list_models("vgg11*", pretrained=True)
    assert everything == ["vgg11.tv_in1k", "vgg11_bn.tv_in1k"]
    assert explorer.list_models("vgg11", pretrained=True) == ["vgg11.tv_in1k"]
    assert explorer.list_models("vgg11*", pretrained=True, exclude_filters="vgg11_bn") == ["vgg11.tv_in1k"]
    assert "vgg11.tv_in1k" in explorer.list_models("*.tv_in1k", pretrained=True, exclude_filters="resn*")


def test_names_come_in_natural_order():
    assert explorer.list_models("resnet?[0-9]") == ["resnet18", "resnet26", "resnet34", "resnet50"]
    assert explorer.list_models("resnet1*")[:4] == ["resnet10t", "resnet14t", "resnet18", "resnet18d"]
    assert sorted(["b10", "B9", "b", "10", "9"], key=natural_key) == ["9", "10", "b", "B9", "b10"]


def test_list_pretrained_is_a_shorter_way_to_say_so():
    assert explorer.list_pretrained("vgg*", exclude_filters="*bn") == \
        explorer.list_models("vgg*", pretrained=True, exclude_filters="*bn") != []


def test_a_family_narrows_the_list_and_an_unknown_one_raises():
    assert explorer.list_models(family="wide_resnet") == ["wide_resnet50_2", "wide_resnet101_2"]
    assert explorer.list_models("*101*", family="wide_resnet") == ["wide_resnet101_2"]
    with pytest.raises(ValueError, match="Unknown family 'resnets'. Did you mean 'resnet'.*Known: .*vgg, "):
        explorer.list_models(family="resnets")


def test_a_task_narrows_the_list_and_an_unknown_one_raises():
    classifiers = {name for name, family in FAMILY_OF.items() if family.task == "classification"}
    assert classifiers <= set(explorer.list_models(task="classification")) <= set(explorer.list_models())
    with pytest.raises(ValueError, match="Unknown task 'cooking'. Known: .*classification"):
        explorer.list_models(task="cooking")
    with pytest.raises(ValueError, match="Unknown task"):
        explorer.list_families(task="cooking")


def test_families_come_by_year():
    names = explorer.list_families()
    years = [FAMILIES[name].year for name in names]
    assert years == sorted(years) and set(names) == set(FAMILIES)


def test_no_name_belongs_to_two_families():
    assert sum(len(family.names) for family in FAMILIES.values()) == len(FAMILY_OF)


@pytest.mark.parametrize(("name", "known"), [
    ("resnet50", True), ("resnet50.a1_in1k", True), ("tf_efficientnet_lite0.in1k", True), ("resnet5O", False),
    ("ResNet50", False), ("resnet50.a9", False), ("resnet200", True), ("resnet200.untrained", False),
    ("", False), (None, False), (50, False),
])
def test_is_model(name, known):
    assert explorer.is_model(name) is known


@pytest.mark.parametrize(("name", "sentence"), [
    ("resnet5O", "Unknown model 'resnet5O'. Did you mean 'resnet50'.*list_models"),
    ("ResNet-50", "Did you mean 'resnet50'"), ("vit_base_patch16", "Did you mean 'vit_base_patch"),
    ("tim/resnet18", "Did you mean .*resnet18"),
    ("qqqqqq", r"^Unknown model 'qqqqqq'. See explorer.list_models\(\).$"),
    ("resnet50.a1_in1", "Unknown tag 'a1_in1' of 'resnet50'. Did you mean 'a1_in1k'.*Known: a1_in1k, "),
    ("resnet200.a1_in1k", "Unknown tag 'a1_in1k' of 'resnet200'. Known: none"),
])
def test_an_unknown_name_is_answered_with_the_nearest(name, sentence):
    with pytest.raises(ValueError, match=sentence):
        explorer.create_model(name)


@pytest.mark.parametrize("name", [None, 50, ["resnet50"], b"resnet50"], ids=str)
def test_a_name_that_is_no_string_is_refused(name):
    with pytest.raises(TypeError, match="A model's name is a string such as 'resnet50', not"):
        explorer.create_model(name)


def test_a_name_is_split_at_its_first_dot():
    assert split_name("resnet50.a1_in1k") == ("resnet50", "a1_in1k")
    assert split_name("resnet50") == ("resnet50", "")
    assert check_name(" resnet50.a1_in1k ") == ("resnet50", "a1_in1k")


def test_tags_have_the_default_first_and_belong_to_the_configuration():
    tags = weights.tags("resnet50")
    assert tags[0] == "a1_in1k" and weights.tags("resnet200") == () and weights.tags("no_such") == ()
    assert weights.config_for("resnet50").tag == tags[0]
    assert explorer.create_model("resnet18").config.name == "resnet18.a1_in1k"
    with torch.device("meta"):
        model = explorer.create_model("resnet18.tv_in1k")
    assert model.config.tag == "tv_in1k" and model.pretrained_cfg["interpolation"] == "bilinear"


def test_the_table_counts_parameters_as_the_models_have_them():
    for name in (NAME, "vgg11", "tinynet_e", "vit_tiny_patch16_224"):
        with torch.device("meta"):
            count = sum(p.numel() for p in explorer.create_model(name).parameters())
        assert weights.parameter_count(name) == count


def test_listing_loads_no_torch():
    import subprocess
    import sys

    code = "import explorer, sys; explorer.list_models('*50*', pretrained=True); explorer.is_model('x'); " \
           "sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0
