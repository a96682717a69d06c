"""Torchvision's and timm's models through their doors: their numbers, stages, weights and sentences."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import explorer
from explorer.models.weights.report import WeightsError
from explorer.models.weights.table import known_to_timm
from tests.models.oracle import randomise, relative_error


def photo(size=(2, 3, 64, 64)) -> torch.Tensor:
    return torch.randn(size, generator=torch.Generator().manual_seed(0))


# --- torchvision --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["resnet18", "squeezenet1_1", "mobilenet_v3_small"])
def test_a_torchvision_model_gives_torchvisions_numbers(name):
    from torchvision import models

    net, theirs = explorer.create_model(f"torchvision/{name}"), models.get_model(name, weights=None)
    randomise(theirs)
    net.module.load_state_dict(theirs.state_dict())
    net.eval(), theirs.eval()
    with torch.no_grad():
        assert torch.equal(net(photo()), theirs(photo()))
        features, maps = net.forward_intermediates(photo())
        assert relative_error(net.forward_head(features), theirs(photo())) < 1e-6
    assert [m.shape[1] for m in maps] == [s.channels for s in net.stages]
    assert [64 // m.shape[-1] for m in maps] == pytest.approx([s.reduction for s in net.stages], rel=0.35)
    assert net.config.labels[281] == "tabby" and net.config.crop_pct < 1


@pytest.mark.parametrize("name", ["torchvision/squeezenet1_1", "timm/resnet18", "timm/vit_tiny_patch16_224"])
@pytest.mark.parametrize("size", [96, (64, 96)])
def test_img_size_is_obeyed_behind_the_doors(name, size):
    """case A15: photos are prepared for that size, and the network is built for it if it is built for one."""
    net = explorer.create_model(name, img_size=size).eval()
    sides = (size, size) if isinstance(size, int) else size
    assert net.config.input_size == (3, *sides) and dict(net.config.build_options)["img_size"] == size
    seen = explorer.look(net, explorer.sample_photos()[0])
    assert seen.input.shape[1:] == sides
    last = net.stage_table[-1]
    expected = [side / last.reduction for side in sides]
    assert [*seen.stages[last.name].shape[1:]] == pytest.approx(expected, abs=1)


def test_an_img_size_that_can_not_be_is_refused_behind_the_doors():
    """case A15, neighbours: no size, too small a one, and weights that are for their own size alone."""
    wrong = [("x", TypeError), (2.5, TypeError), (0, ValueError), ((9, 9, 3), ValueError), (9**9, ValueError)]
    for size, kind in wrong:
        for name in ("torchvision/resnet18", "timm/resnet18"):
            with pytest.raises(kind, match="^img_size is "):
                explorer.create_model(name, img_size=size)
    with pytest.raises(ValueError, match="can't run on photos of 8 x 8"):
        explorer.create_model("torchvision/alexnet", img_size=8)
    with pytest.raises(ValueError, match="weights for vit_b_16 are for photos of their own size"):
        explorer.create_model("torchvision/vit_b_16", pretrained=True, img_size=96)
    with pytest.raises(ValueError, match="square"):
        explorer.create_model("torchvision/vit_b_16", img_size=(64, 96))
    net = explorer.create_model("torchvision/vit_b_16", img_size=32)
    assert [m.shape[-2:] for m in net.forward_stages(photo((1, 3, 32, 32)))] == [(2, 2)] * 12


def test_torchvisions_resnet50_has_the_stages_everybody_knows():
    net = explorer.create_model("torchvision/resnet50", num_classes=4)
    assert [(s.name, s.channels, s.reduction) for s in net.stages] == [
        ("relu", 64, 2), ("layer1", 256, 4), ("layer2", 512, 8), ("layer3", 1024, 16), ("layer4", 2048, 32)]
    assert net.num_classes == 4 and not net.config.labels


def test_torchvisions_swin_gives_its_maps_channels_first():
    net = explorer.create_model("torchvision/swin_t").eval()
    with torch.no_grad():
        maps = list(net.forward_stages(photo((1, 3, 224, 224))))
    assert [tuple(m.shape[1:]) for m in maps] == [(96, 56, 56), (192, 28, 28), (384, 14, 14), (768, 7, 7)]


def test_other_input_channels_adapt_the_first_convolution():
    net = explorer.create_model("torchvision/resnet18", in_chans=1)
    assert net.module.conv1.weight.shape == (64, 1, 7, 7) and net.config.input_size[0] == 1


def test_unknown_torchvision_names_and_tags_have_near_ones():
    with pytest.raises(ValueError, match="torchvision/resnet50"):
        explorer.create_model("torchvision/resnet5O")
    with pytest.raises(ValueError, match="IMAGENET1K_V1"):
        explorer.create_model("torchvision/resnet18.IMAGENET1K_V9")


def test_torchvision_weights_come_from_its_file_with_a_checksum(tmp_path, monkeypatch):
    """The file that torchvision names is looked for in its cache; a wrong one is refused, never used."""
    from torchvision import models

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    entry = models.ResNet18_Weights.DEFAULT
    (tmp_path / "checkpoints").mkdir()
    file = tmp_path / "checkpoints" / entry.url.rpartition("/")[2]
    torch.save(models.resnet18().state_dict(), file)
    with pytest.raises(WeightsError, match="SHA-256"):
        explorer.create_model("torchvision/resnet18", pretrained=True)


# --- timm ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["ghostnet_100", "levit_128s", "test_vit"])
def test_a_timm_model_gives_timms_numbers(name):
    timm = pytest.importorskip("timm")
    net, theirs = explorer.create_model(f"timm/{name}"), timm.create_model(name)
    randomise(theirs)
    net.module.load_state_dict(theirs.state_dict())
    net.eval(), theirs.eval()
    x = photo((1, *net.config.input_size))
    with torch.no_grad():
        assert torch.equal(net(x), theirs(x))
        _vector, logits = net.forward_vector_and_logits(net.forward_features(x))
        assert relative_error(logits, theirs(x)) < 1e-6
        wanted = theirs.forward_intermediates(x, intermediates_only=True)
        for own, other in zip(net.forward_stages(x), wanted, strict=True):
            assert torch.equal(own, other)
    assert [s.channels for s in net.stages] == [row["num_chs"] for row in theirs.feature_info]


def test_a_timm_model_can_be_looked_at_and_retrained():
    net = explorer.create_model("timm/test_efficientnet", num_classes=3)
    seen = explorer.look(net, explorer.sample_photos()[0])
    assert len(seen.predictions) == 3 and len(seen.stages) == len(net.stages) > 2
    net.reset_classifier(7)
    assert net(photo((1, *net.config.input_size))).shape == (1, 7)


def test_without_timm_the_door_says_how_to_open_it(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(ImportError, match=r"pip install 'vision-explorer\[timm\]'"):
        explorer.create_model("timm/ghostnet_100")


def test_timm_weights_that_are_out_of_reach_are_a_sentence():
    with pytest.raises(WeightsError, match="not on this computer"):
        explorer.create_model("timm/ghostnet_100", pretrained=True)


def test_a_name_that_only_timm_knows_says_so():
    name = min(known_to_timm())
    with pytest.raises(ValueError, match=rf"known to timm.*create_model\('timm/{name}'\)"):
        explorer.create_model(name)


def test_doors_list_their_names():
    assert "torchvision/resnet18" in explorer.list_models("torchvision/resnet*")
    assert explorer.list_models("timm/levit*")[0].startswith("timm/levit")
    trained = explorer.list_models("torchvision/resnet18*", pretrained=True)
    assert trained == ["torchvision/resnet18.IMAGENET1K_V1"]
    assert explorer.list_models("timm/levit_128s*", pretrained=True) == ["timm/levit_128s.fb_dist_in1k"]
    with pytest.raises(ValueError, match="explorer's own names"):
        explorer.list_models("timm/*", family="resnet")


def test_options_are_checked_before_a_door_opens():
    with pytest.raises(ValueError, match="num_classes is -1"):
        explorer.create_model("torchvision/resnet18", num_classes=-1)
    with pytest.raises(ValueError, match="features_only=True"):
        explorer.create_model("timm/test_vit", out_indices=(0,))


@pytest.mark.parametrize("name", ["qwen3_vit_88m_enc", "mobilenetv5_300m_enc"])
def test_an_encoder_of_timm_that_has_no_head_gives_the_mean_of_its_places_as_vector(name):
    with torch.device("meta"):  # shapes are the question; the numbers are timm's
        model = explorer.create_model(f"timm/{name}")
        features = model.forward_features(torch.zeros(2, *model.config.input_size))
        assert model.forward_head(features, pre_logits=True).shape == (2, model.num_features)
    assert isinstance(model.get_classifier(), nn.Identity)
