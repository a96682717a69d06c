"""Doors: torchvision's and timm's models, a student's own module, and folders and hub repositories of others."""

from __future__ import annotations

import json
import pickle

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

import explorer
from explorer.models.adapters import WrappedModel, watch, wrap
from explorer.models.contract import VisionModel
from explorer.models.weights import WeightsError, known_to_timm
from tests.models.oracle import randomise, relative_error


def small_net() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(8, 16, 3, padding=1), nn.ReLU(inplace=True), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(16 * 7 * 7, 10),
    )


class TinyTransformer(nn.Module):
    def __init__(self):
        super().__init__()
        self.patches = nn.Conv2d(3, 32, 8, 8)
        self.token = nn.Parameter(torch.zeros(1, 1, 32))
        self.blocks = nn.ModuleList(nn.TransformerEncoderLayer(32, 2, 64, batch_first=True) for _ in range(3))
        self.head = nn.Linear(32, 5)

    def forward(self, x):
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat((self.token.expand(len(x), -1, -1), x), 1)
        for block in self.blocks:
            x = block(x)
        return self.head(x[:, 0])


def photo(size=(2, 3, 64, 64)) -> torch.Tensor:
    return torch.randn(size, generator=torch.Generator().manual_seed(0))


# --- a student's own module ------------------------------------------------------------------------------------


def test_a_sequential_gets_stages_a_head_and_its_size():
    net = wrap(small_net(), labels="0123456789", name="TinyVGG")
    assert isinstance(net, VisionModel)
    assert net.config.input_size == (1, 28, 28)  # 224, 96, 64 and 32 do not fit its linear layer
    assert [(s.name, s.channels, s.reduction) for s in net.stages] == [("1", 8, 1), ("4", 16, 2), ("5", 16, 4)]
    assert (net.num_classes, net.num_features, net.in_chans, net.pyramid) == (10, 784, 1, True)
    seen = explorer.look(net, explorer.sample_photos()[0])
    assert {p.label for p in seen.predictions} <= set("0123456789")
    assert {name: tuple(maps.shape) for name, maps in seen.stages.items()} == {
        "1": (8, 28, 28), "4": (16, 14, 14), "5": (16, 7, 7)}


def test_wrapping_changes_no_number_and_copies_nothing():
    module = small_net()
    net = wrap(module)
    x = photo((2, 1, 28, 28))
    assert net.module is module
    assert torch.equal(net(x), module(x))
    features = net.forward_features(x)
    assert torch.equal(net.forward_head(features), module(x))
    assert features.shape == (2, 784)
    assert wrap(net) is net


class Scaled(nn.Sequential):
    def forward(self, x):
        return 3 * super().forward(x)


@pytest.mark.parametrize("end", ["nothing", "softmax", "log softmax", "other"])
def test_look_and_predict_agree_whatever_follows_the_last_linear_layer(end):
    module = small_net()
    if end == "other":
        module = Scaled(*module)
    elif end != "nothing":
        module.append(nn.Softmax(1) if end == "softmax" else nn.LogSoftmax(1))
    net, photo = wrap(module, labels="0123456789").eval(), explorer.sample_photos()[0]
    seen = explorer.look(net, photo, topk=10)
    with torch.inference_mode():
        scores = module(seen.input[None])[0]
        assert torch.allclose(net(seen.input[None])[0], seen.logits, atol=1e-6)
    wanted = scores if end == "softmax" else scores.softmax(0)
    assert torch.allclose(seen.logits.softmax(0), wanted, atol=1e-6)
    assert [p.label for p in explorer.predict(net, photo, topk=10)] == [p.label for p in seen.predictions]
    net.reset_classifier(4)
    assert explorer.look(net, photo).logits.shape == (4,)


def test_stage_maps_are_what_hooks_see():
    module = small_net()
    net, x = wrap(module), photo((2, 1, 28, 28))
    seen = {}
    for index in (1, 4, 5):
        module[index].register_forward_hook(lambda _m, _i, out, index=index: seen.__setitem__(index, out.clone()))
    for own, other in zip(net.forward_stages(x), (1, 4, 5), strict=True):
        assert torch.equal(own, seen[other])


def test_a_transformer_reports_its_blocks():
    net = wrap(TinyTransformer(), input_size=64)
    assert [(s.name, s.channels, s.reduction) for s in net.stages] == [(f"blocks.{i}", 32, 8) for i in range(3)]
    assert not net.pyramid and net.num_features == 32
    assert [tuple(m.shape) for m in net.eval().forward_stages(photo())] == [(2, 32, 8, 8)] * 3


def test_the_classifier_can_be_exchanged_and_removed():
    net = wrap(small_net().half())
    net.reset_classifier(3)
    assert net.get_classifier().weight.dtype == torch.float16 and net.module[7].out_features == 3
    net = wrap(small_net())
    net.reset_classifier(0)
    assert net(photo((2, 1, 28, 28))).shape == (2, 784)
    with pytest.raises(ValueError, match="pooling"):
        net.reset_classifier(3, global_pool="max")


def test_training_flags_and_hooks_are_as_before():
    module = small_net()
    module[1].eval()
    flags = [m.training for m in module.modules()]
    net = wrap(module)
    list(net.forward_stages(photo((2, 1, 28, 28))))
    assert [m.training for m in module.modules()] == flags
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in module.modules())


def test_features_only_wants_a_pyramid_from_a_wrapped_module():
    net = explorer.models.FeatureNet(wrap(small_net()), (0, 2))
    assert [tuple(m.shape) for m in net(photo((1, 1, 28, 28)))] == [(1, 8, 28, 28), (1, 16, 7, 7)]


@pytest.mark.parametrize(("module", "match"), [
    (nn.Conv2d(3, 8, 3), "one row of scores"),
    (nn.Sequential(nn.Flatten(), nn.Linear(12, 3)), "Give input_size"),
    ("resnet50", "torch.nn.Module"),
])
def test_what_can_not_be_wrapped_is_named_with_the_fix(module, match):
    with pytest.raises((ValueError, TypeError), match=match):
        wrap(module)


def test_a_wrapped_module_works_in_the_dashboard():
    dash = explorer.Dashboard(small_net(), labels=list("abcdefghij"), images=[explorer.sample_photos()[0]])
    dash.wait()
    assert dash.session.model_name == "Sequential"
    assert tuple(dash.stages.stage.options) == ("1", "4", "5")
    assert {p.label for p in dash.session.look.predictions} <= set("abcdefghij")
    dash.close()


def test_a_network_of_linear_layers_only_works_too_and_says_that_it_has_no_maps():
    net = nn.Sequential(nn.Flatten(), nn.Linear(784, 32), nn.ReLU(), nn.Linear(32, 10))
    dash = explorer.Dashboard(net, input_size=(1, 28, 28), images=[explorer.sample_photos()[0]])
    dash.wait()
    assert dash.session.look.stages == {} and len(dash.session.look.predictions) == 5
    assert "no maps" in dash.stages.mosaic._maps["message"]
    dash.session.model = "tf_efficientnet_lite0"
    dash.wait()
    assert dash.stages.stage.value == "blocks.0"
    assert wrap(net, input_size=(1, 28, 28)).forward_intermediates(photo((2, 1, 28, 28)))[1] == []
    dash.close()


# --- torchvision ------------------------------------------------------------------------------------------------


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


# --- timm ---------------------------------------------------------------------------------------------------------


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
        for own, other in zip(net.forward_stages(x), theirs.forward_intermediates(x, intermediates_only=True), strict=True):
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
    assert explorer.list_models("torchvision/resnet18*", pretrained=True) == ["torchvision/resnet18.IMAGENET1K_V1"]
    assert explorer.list_models("timm/levit_128s*", pretrained=True) == ["timm/levit_128s.fb_dist_in1k"]
    with pytest.raises(ValueError, match="explorer's own names"):
        explorer.list_models("timm/*", family="resnet")


def test_options_are_checked_before_a_door_opens():
    with pytest.raises(ValueError, match="num_classes is -1"):
        explorer.create_model("torchvision/resnet18", num_classes=-1)
    with pytest.raises(ValueError, match="features_only=True"):
        explorer.create_model("timm/test_vit", out_indices=(0,))


# --- folders and hub repositories -------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path):
    model = explorer.create_model("resnet10t", num_classes=3)
    randomise(model)
    save_file(model.state_dict(), tmp_path / "model.safetensors")
    own = {"input_size": [3, 96, 96], "mean": [0.5, 0.5, 0.5], "std": [0.2, 0.2, 0.2], "crop_pct": 1.0,
           "classifier": "fc", "first_conv": "conv1.0"}
    (tmp_path / "config.json").write_text(json.dumps(
        {"architecture": "resnet10t", "num_classes": 3, "label_names": ["ant", "bee", "<cat>"], "pretrained_cfg": own}))
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


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"architecture": 5}', '{"architecture": "no_such_net"}', "\x00"])
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


def test_watch_writes_down_each_part_once_in_order():
    seen = watch(small_net(), (1, 28, 28))
    assert [call.path for call in seen.calls] == [str(i) for i in range(8)]
    assert isinstance(wrap(small_net()), WrappedModel)


@pytest.mark.parametrize("name", ["qwen3_vit_88m_enc", "mobilenetv5_300m_enc"])
def test_an_encoder_of_timm_that_has_no_head_gives_the_mean_of_its_places_as_vector(name):
    with torch.device("meta"):  # shapes are the question; the numbers are timm's
        model = explorer.create_model(f"timm/{name}")
        features = model.forward_features(torch.zeros(2, *model.config.input_size))
        assert model.forward_head(features, pre_logits=True).shape == (2, model.num_features)
    assert isinstance(model.get_classifier(), nn.Identity)


# --- what the outputs mean ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("options, error, words", [
    ({"labels": ["a"]}, ValueError, "names 1 classes, but this model has 10"), ({"labels": "cat"}, TypeError, "not one string"),
    ({"labels": 10}, TypeError, "not int"), ({"outputs": "softmax"}, ValueError, "expected one of"),
    ({"outputs": "yes/no"}, ValueError, "gives 10")])
def test_names_and_kinds_that_are_not_the_nets_are_refused(options, error, words):
    """case A7: one name for ten classes was ignored, in the Dashboard refused."""
    with pytest.raises(error, match=words):
        wrap(small_net(), **options)
    with pytest.raises(error, match=words):
        wrap(wrap(small_net()), **options)


def test_names_that_are_numbers_become_words():
    """case A7: labels=[1, ...] was an AttributeError in the HTML."""
    model = wrap(small_net(), labels=range(10))
    assert model.config.labels == tuple("0123456789")
    explorer.look(model, explorer.sample_photos()[0])._repr_html_()


def test_a_model_can_be_told_what_it_means_afterwards():
    """case A6: wrap(..., outputs=) of a model that keeps the contract already."""
    model = explorer.create_model("resnet10t", num_classes=3)
    assert wrap(model, labels=["a", "b", "c"], outputs="several") is model
    assert (model.config.outputs, model.config.labels) == ("several", ("a", "b", "c"))
    assert wrap(model).config.outputs == "several" and wrap(model, outputs="one").config.labels == ("a", "b", "c")
    with pytest.raises(ValueError, match="a single score"):
        wrap(explorer.create_model("resnet10t", num_classes=1), outputs="one")


def test_a_yes_or_no_takes_the_yes_alone():
    model = wrap(explorer.create_model("resnet10t", num_classes=1), labels=["cat"])
    assert model.config.labels == ("not cat", "cat")


def test_a_head_that_was_exchanged_inside_a_wrapped_net_is_noticed():
    """case A5: the names, the number of classes and the place of the classifier follow what stands there now."""
    net = small_net()
    model = wrap(net, labels="0123456789")
    net[7] = nn.Linear(16 * 7 * 7, 4)
    seen = explorer.look(model, explorer.sample_photos()[0])
    assert model.num_classes == 4 and {one.label for one in seen.predictions} == {f"class {i}" for i in range(4)}
