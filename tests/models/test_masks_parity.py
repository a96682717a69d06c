"""Networks for masks give the numbers of the libraries whose keys they have, and have as many parameters."""

from __future__ import annotations

import pytest
import segmentation_models_pytorch as smp
import torch
from pytorchcv.model_provider import get_model
from torchvision.models import segmentation as tv

from explorer.models import create_model
from explorer.models.weights import convert
from tests.models.dense_oracle import check_same_masks, parameters
from tests.models.oracle import check_same_start, without_initialisation

NOTHING = dict(weights=None, weights_backbone=None)
SMP = {"unet": smp.Unet, "unetplusplus": smp.UnetPlusPlus, "fpn": smp.FPN, "linknet": smp.Linknet,
       "deeplabv3plus": smp.DeepLabV3Plus}
HALVING_TOO = dict(backbone_options=dict(dilate_halving=True))  # how smp's own ResNets dilate


def theirs_of_smp(name: str, encoder: str) -> torch.nn.Module:
    with without_initialisation():
        return SMP[name](encoder, encoder_weights=None, classes=21)


# --- segmentation-models-pytorch ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", SMP)
def test_over_a_resnet_of_smps_own(name):
    options = HALVING_TOO if name == "deeplabv3plus" else {}
    mine = create_model(name, backbone="resnet34", num_classes=21, **options)
    sizes = [(64, 96), (65, 83)] if name == "unet" else [(64, 96)]
    check_same_masks(mine, theirs_of_smp(name, "resnet34"), name, "smp", sizes)


@pytest.mark.parametrize(("name", "backbone"), [
    ("unet", "resnet18"), ("unet", "efficientnet_b0"), ("unet", "convnext_atto"),
    ("unetplusplus", "resnet18"),
    ("fpn", "resnet18"), ("fpn", "convnext_atto"), ("linknet", "resnet18"), ("deeplabv3plus", "resnet18"),
    ("deeplabv3plus", "mobilenetv3_small_050"),
])
def test_over_a_backbone_of_timms(name, backbone):
    mine = create_model(name, backbone=backbone, num_classes=21)
    check_same_masks(mine, theirs_of_smp(name, f"tu-{backbone}"), name, "smp", [(64, 96)])


@pytest.mark.parametrize(("name", "count"), [
    ("unet_resnet50", 32_524_005), ("unet_resnet34", 24_439_269), ("unetplusplus_resnet50", 48_988_645),
    ("unetplusplus_resnet34", 26_081_509), ("deeplabv3plus_resnet50", 26_682_725),
    ("fpn_resnet50", 26_118_613), ("linknet_resnet34", 21_772_597),
    ("unet_efficientnet_b0", 5_837_601), ("deeplabv3_resnet50", 39_638_869),
    ("deeplabv3_resnet101", 58_630_997), ("deeplabv3_mobilenet_v3_large", 11_025_477),
    ("fcn_resnet50", 32_957_013), ("fcn_resnet101", 51_949_141), ("lraspp_mobilenet_v3_large", 3_221_538),
])
def test_it_has_as_many_parameters_as_is_published(name, count):
    with torch.device("meta"), without_initialisation():
        assert parameters(create_model(name)) == count


# --- torchvision --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["deeplabv3_resnet50", "fcn_resnet50", "deeplabv3_mobilenet_v3_large"])
def test_torchvisions_networks_with_their_auxiliary_head(name):
    with without_initialisation():
        theirs = getattr(tv, name)(**NOTHING, aux_loss=True)
    check_same_masks(create_model(name, aux=True), theirs, name, "torchvision", [(64, 96), (65, 83)])


def test_torchvisions_lraspp():
    theirs = tv.lraspp_mobilenet_v3_large(**NOTHING)
    mine = create_model("lraspp_mobilenet_v3_large")

    class Out(torch.nn.Module):  # theirs gives a dict though it has no auxiliary head
        def __init__(self):
            super().__init__()
            self.net = theirs

        def forward(self, x):
            return self.net(x)["out"]

        def state_dict(self, **options):
            return self.net.state_dict(**options)

    check_same_masks(mine, Out(), "lraspp_mobilenet_v3_large", "torchvision", [(64, 96), (65, 83)])


@pytest.mark.parametrize("name", [
    "deeplabv3_resnet50", "deeplabv3_resnet101", "fcn_resnet50", "fcn_resnet101",
])
def test_the_keys_are_torchvisions(name):
    with torch.device("meta"), without_initialisation():
        theirs = getattr(tv, name)(**NOTHING, aux_loss=True).state_dict()
        mine = create_model(name, aux=True).state_dict()
    assert {key: value.shape for key, value in mine.items()} == {k: v.shape for k, v in theirs.items()}


def test_a_fresh_head_starts_as_torchvisions():
    mine, theirs = create_model("deeplabv3", backbone="resnet18"), tv.deeplabv3_resnet50(**NOTHING)
    both = [torch.nn.Sequential(*list(net.classifier)[1:4]) for net in (mine, theirs)]  # of the same shapes
    check_same_start(*both)


# --- pytorchcv ----------------------------------------------------------------------------------------------


def test_the_papers_pspnet():
    theirs = get_model("pspnet_resnetd50b_voc", pretrained=False, in_size=(96, 64))
    mine = create_model("pspnet", backbone="resnet50s", num_classes=21, aux=True)
    assert parameters(mine) == parameters(theirs) == 49_081_578
    check_same_masks(mine, theirs, "pspnet", "pytorchcv", [(96, 64)])


def test_another_networks_tensors_are_refused():
    state = {"backbone.0.0.weight": torch.zeros(3, 3, 3, 3)}
    with pytest.raises(ValueError, match="does not fit conv_stem.weight"):
        convert("lraspp_mobilenet_v3_large", state, "torchvision")
