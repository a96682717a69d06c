"""What every network for masks can do as any other model can, over any backbone whose maps halve."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import save_file
from torch.nn import functional as F
from torchvision.models import segmentation as tv

import explorer
from explorer.models import create_model, list_models, weights
from explorer.models.catalog import FAMILIES, family_module
from explorer.models.segmentation.parts import resized
from tests.models.family_checks import check_compiles
from tests.models.oracle import photos, randomise, without_initialisation
from tests.models.samples import ONE_A_FILE

NAMES = [name for name, family in FAMILIES.items() if family.task == "segmentation"]
WITH_AUX = ["deeplabv3", "fcn", "pspnet"]
PYRAMIDS = [name for name in ONE_A_FILE.values() if family_module(name).MODEL.pyramid]


def small(name: str, **options):
    """A network of that family over a small backbone, with random numbers."""
    with without_initialisation():
        model = create_model(name, **{"backbone": "resnet10t", "num_classes": 4} | options)
    randomise(model)
    return model.eval()


# --- scores and stages --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", [(64, 96), (65, 51)])
def test_scores_have_the_photos_size_whatever_it_is(name, size):
    model = small(name)
    with torch.no_grad():
        scores = model(photos(size))
    assert scores.shape == (2, 4, *size) and scores.isfinite().all()


@pytest.mark.parametrize("name", NAMES)
def test_stages_are_the_backbones_and_then_its_own_with_the_sizes_that_the_table_says(name):
    model = small(name)
    with torch.no_grad():
        features, maps = model.forward_intermediates(photos(64))
    body = len(model.body.stage_table)
    assert len(model.stages) > body
    for stage, found in zip(model.stages, maps, strict=True):
        assert found.shape == (2, stage.channels, 64 // stage.reduction, 64 // stage.reduction), stage.name
        assert model.get_submodule(stage.module) is not None
    assert features.shape[1] == model.num_features
    assert len({stage.name for stage in model.stages}) == len(model.stages)


@pytest.mark.parametrize("backbone", PYRAMIDS)
def test_any_pyramid_carries_a_u_net(backbone):
    model = small("unet", backbone=backbone)
    side = model.only_size or (96, 96)  # the Inceptions need 80 pixels
    with torch.no_grad():
        assert model(photos(side, in_chans=model.in_chans)).shape == (2, 4, *side)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("backbone", ["convnext_atto", "visformer_tiny", "levit_128s"])
def test_every_decoder_takes_backbones_whose_maps_begin_later(name, backbone):
    model = small(name, backbone=backbone)
    side = model.only_size or (64, 64)
    with torch.no_grad():
        assert model(photos(side)).shape == (2, 4, *side)


def test_a_backbone_without_a_pyramid_is_refused_with_one_that_has_it():
    with pytest.raises(ValueError, match="vit_tiny_patch16_224 has maps of one size.*give a backbone"):
        create_model("fpn", backbone="vit_tiny_patch16_224")


def test_strides_can_be_traded_for_dilation():
    assert [stage.reduction for stage in small("deeplabv3").stages][4] == 8
    assert [stage.reduction for stage in small("deeplabv3", output_stride=16).stages][4] == 16
    stuck = small("deeplabv3", backbone="swin_tiny_patch4_window7_224")  # can't, and was not asked to
    assert stuck.stages[3].reduction == 32
    with pytest.raises(ValueError, match="can't trade stride for dilation"):
        small("deeplabv3", backbone="swin_tiny_patch4_window7_224", output_stride=8)


def test_a_decoder_of_too_few_blocks_is_refused():
    with pytest.raises(ValueError, match="decoder_widths has 2 numbers, and this backbone needs 5"):
        small("unet", decoder_widths=(32, 16))


def test_an_option_that_there_is_not_is_answered_with_those_that_there_are():
    with pytest.raises(TypeError, match=r"linknet has no option 'depth'. Its options: num_classes, width"):
        small("linknet", depth=3)


# --- heads --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_a_fresh_last_layer(name):
    model = small(name)
    model.reset_classifier(2)
    with torch.no_grad():
        assert model(photos(64)).shape == (2, 2, 64, 64)
    model.reset_classifier(0)
    with torch.no_grad():
        assert model(photos(64)).shape[1] == model.num_features
    with pytest.raises(ValueError, match="a network for masks pools nothing"):
        model.reset_classifier(3, "avg")


@pytest.mark.parametrize("name", WITH_AUX)
def test_an_auxiliary_head_gives_scores_of_its_own(name):
    model = small(name, aux=True)
    with torch.no_grad():
        found = model(photos(64))
    assert list(found) == ["out", "aux"] and found["aux"].shape == found["out"].shape == (2, 4, 64, 64)
    model.reset_classifier(3)
    with torch.no_grad():
        assert model(photos(64))["aux"].shape == (2, 3, 64, 64)


def test_a_stride_that_the_auxiliary_head_can_not_have_is_named():
    with pytest.raises(ValueError, match="aux_stride is 64, and the backbone has maps of stride 2, 4, 8"):
        small("fcn", aux=True, aux_stride=64)


@pytest.mark.parametrize("name", NAMES)
def test_a_gradient_reaches_every_parameter(name):
    model = small(name, **({"aux": True} if name in WITH_AUX else {})).train()
    scores = model(photos(64))
    answers = torch.randint(0, 4, (2, 64, 64), generator=torch.Generator().manual_seed(0))
    found = scores.values() if isinstance(scores, dict) else [scores]
    sum(F.cross_entropy(each, answers) for each in found).backward()
    for key, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), key


# --- as any other model -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_freezing_rates_and_the_tree_of_modules(name):
    model = small(name)
    model.freeze()
    learning = [key for key, parameter in model.named_parameters() if parameter.requires_grad]
    assert learning and all(key.startswith(("segmentation_head", "classifier")) for key in learning)
    model.freeze(up_to=model.body.stage_table[-1].name)
    assert not any(parameter.requires_grad for parameter in model.body.parameters())
    model.unfreeze()
    groups = explorer.parameter_groups(model, lr=0.1, layer_decay=0.5)
    assert sum(len(group["params"]) for group in groups) == len(list(model.parameters()))
    tree = explorer.module_tree(model, (3, 64, 64))
    assert tree.params == sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize("name", NAMES)
def test_maps_alone(name):
    net = create_model(name, backbone="resnet10t", features_only=True, out_indices=(1, -1)).eval()
    with torch.no_grad():
        maps = net(photos(64))
    assert [found.shape[1] for found in maps] == net.feature_info.channels()


@pytest.mark.parametrize("name", NAMES)
def test_a_saved_file_gives_the_same_network_back(name, tmp_path):
    options = {"aux": True} if name in WITH_AUX else {}
    before = small(name, **options)
    torch.save(before.state_dict(), tmp_path / "weights.pth")
    after = create_model(name, backbone="resnet10t", checkpoint_path=tmp_path / "weights.pth", **options)
    assert after.num_classes == 4
    assert not any(tensor.is_meta for tensor in (*after.parameters(), *after.buffers()))
    with torch.no_grad():
        mine, again = before(photos(64)), after.eval()(photos(64))
    for key in mine if options else [...]:
        assert torch.equal(mine[key], again[key])


@pytest.mark.parametrize("name", NAMES)
def test_it_compiles_as_one_graph(name):
    check_compiles(small(name), 64)


# --- weights ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["deeplabv3_mobilenet_v3_large", "fcn_resnet50"])
def test_torchvisions_file_loads_with_and_without_its_auxiliary_head(name, tmp_path):
    theirs = getattr(tv, name)(weights=None, weights_backbone=None, aux_loss=True).eval()
    randomise(theirs)
    path = tmp_path / "published.pth"
    torch.save(theirs.state_dict(), path)
    with torch.no_grad():
        wanted = theirs(photos(64))
        mine = create_model(name, checkpoint_path=path).eval()
        assert torch.allclose(mine(photos(64)), wanted["out"], rtol=1e-3, atol=1e-3)
        assert "the auxiliary head" in str(mine.load_report) and "aux=True keeps it" in str(mine.load_report)
        both = create_model(name, checkpoint_path=path, aux=True).eval()
        assert torch.allclose(both(photos(64))["aux"], wanted["aux"], rtol=1e-3, atol=1e-3)
        other = create_model(name, checkpoint_path=path, num_classes=2)
    assert other.num_classes == 2 and "the classifier of 21 classes" in str(other.load_report)


def test_a_name_without_weights_takes_those_of_its_backbone():
    model = create_model("unet", backbone="tf_efficientnet_lite0", pretrained=True, num_classes=2)
    trained = create_model("tf_efficientnet_lite0", pretrained=True)
    assert torch.equal(model.encoder.conv_stem.weight, trained.conv_stem.weight)
    assert "so they are untrained" in str(model.load_report)
    assert model.config.mean == trained.config.mean


@pytest.mark.parametrize(("name", "miou", "accuracy", "digest"), [
    ("deeplabv3_resnet50", 66.4, 92.4, "cd0a2569"), ("deeplabv3_resnet101", 67.4, 92.4, "586e9e4e"),
    ("deeplabv3_mobilenet_v3_large", 60.3, 91.2, "fc3c493d"), ("fcn_resnet50", 60.5, 91.4, "1167a1af"),
    ("fcn_resnet101", 63.7, 91.9, "7ecb50ca"), ("lraspp_mobilenet_v3_large", 57.9, 91.2, "d234d4ea"),
])
def test_published_weights_say_where_they_are_and_how_good(name, miou, accuracy, digest):
    config = weights.config_for(name)
    assert config.metrics == (("mIoU", miou), ("pixel accuracy", accuracy))
    assert config.url.endswith(f"-{digest}.pth") and config.license == "bsd-3-clause"
    assert config.input_size == (3, 520, 520) and config.interpolation == "bilinear"
    assert config.labels[0] == "background" and len(config.labels) == config.num_classes == 21


def test_names_are_found_by_their_task():
    assert set(list_models(task="segmentation")) == {
        name for family in FAMILIES.values() if family.task == "segmentation" for name in family.names}
    assert "deeplabv3_resnet50.coco_voc_labels" in list_models(task="segmentation", pretrained=True)


def test_a_map_of_the_right_size_is_left_alone():
    x = torch.zeros(1, 2, 3, 4)
    assert resized(x, (3, 4)) is x


def test_a_backbone_built_for_one_size_says_so_of_the_whole(tmp_path):
    model = create_model("fpn", backbone="levit_128s", num_classes=2)
    assert model.only_size == (224, 224) and model.config.input_size == (3, 224, 224)
    smaller = create_model("fpn", backbone="swin_tiny_patch4_window7_224", img_size=112)
    assert smaller.only_size == smaller.config.input_size[1:] == (112, 112)
    assert ("img_size", 112) in smaller.config.build_options
    assert create_model("fpn", backbone="resnet10t").only_size is None


@pytest.mark.parametrize("name", ["unet", "deeplabv3", "lraspp_mobilenet_v3_large"])
def test_a_saved_folder_opens_as_the_network_that_it_was(name, tmp_path):
    options = {} if "mobilenet" in name else {"backbone": "resnet10t"}
    before = create_model(name, num_classes=2, **options)
    randomise(before)
    save_file(before.state_dict(), tmp_path / "model.safetensors")
    own = before.config.as_timm() | {"build_options": before.config.build_options}
    facts = {"architecture": name, "num_classes": 2, "label_names": ["background", "cat"],
             "pretrained_cfg": own}
    (tmp_path / "config.json").write_text(json.dumps(facts))
    after = create_model(f"local-dir:{tmp_path}", pretrained=True)
    assert after.num_classes == 2 and after.config.labels == ("background", "cat")
    with torch.no_grad():
        assert torch.equal(before.eval()(photos(64)), after.eval()(photos(64)))
