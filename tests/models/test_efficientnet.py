"""The EfficientNet family: the ImageNet weights that install with explorer, and what parity tests skip."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from explorer.data import assets_dir, create_transform, load_image, resolve_data_config, sample_photos
from explorer.models import weights
from explorer.models.backbones.efficientnet import EFFICIENTNET, EfficientNet, Row, SqueezeExcite
from explorer.models.create import create_model
from tests.models.oracle import relative_error

LITES = ("tf_efficientnet_lite0", "tf_efficientnet_lite1", "tf_efficientnet_lite2")
TOLERANCE = 1e-5


def packaged_file(name: str):
    return weights.PACKAGED[f"{name}.in1k"].path()


def photo_batch(name: str, model) -> torch.Tensor:
    """A bundled photo as `model` expects it: [1, 3, H, W]."""
    transform = create_transform(**resolve_data_config({}, model=model))
    return transform(load_image(assets_dir() / "photos" / name))[None]


def logits(model, x: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return model.eval()(x)


@pytest.fixture(scope="module")
def lite0():
    return create_model("tf_efficientnet_lite0", pretrained=True).eval()


# --- the weights that install with explorer ----------------------------------------------------------------


def reference(name: str) -> nn.Module:
    """The network that the weight files were made for, by the package that was made with them."""
    package = pytest.importorskip("efficientnet_lite_pytorch")
    model = package.EfficientNet.from_name(name.removeprefix("tf_").replace("_", "-"))
    model.load_state_dict(weights.read_state_dict(packaged_file(name)), strict=True)
    return model.eval()


@pytest.mark.parametrize("name", LITES)
def test_trained_logits_equal_those_of_the_reference_package(name):
    mine, theirs = create_model(name, pretrained=True), reference(name)
    side = mine.config.input_size[1]
    noise = torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(0))
    for x in (noise, photo_batch("cat_chelsea.jpg", mine)):
        assert relative_error(logits(mine, x), logits(theirs, x)) < TOLERANCE


@pytest.mark.parametrize("name", LITES)
def test_every_tensor_of_the_weight_file_is_used(name):
    raw = weights.read_state_dict(packaged_file(name))
    mapped = weights.convert(name, raw, "efficientnet-lite-pytorch")
    model = create_model(name, pretrained=True)
    assert len(mapped) == len(raw)
    assert set(mapped) == set(model.state_dict())
    assert model.load_report.loaded == len(raw)
    assert model.load_report.adapted == model.load_report.skipped == []
    kept = {id(value) for value in mapped.values()}
    assert kept == {id(value) for value in raw.values()}


@pytest.mark.parametrize("photo", ["cat_chelsea", "espresso", "palace_china"])
def test_trained_network_names_what_the_photo_shows(lite0, photo):
    right = next(p for p in sample_photos() if p.name == photo).imagenet_indices
    assert int(logits(lite0, photo_batch(f"{photo}.jpg", lite0)).argmax()) in right


def test_weights_in_the_symmetric_twin_give_other_logits(lite0):
    """Same keys, same shapes, other padding and epsilon: the file loads, the answers look plausible, and
    all logits are wrong. That is why `tf_` is part of the name."""
    twin = create_model("efficientnet_lite0", checkpoint_path=packaged_file("tf_efficientnet_lite0"))
    assert twin.load_report.loaded == lite0.load_report.loaded
    noise = torch.randn(1, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    assert relative_error(logits(twin, noise), logits(lite0, noise)) > 0.3
    photo = photo_batch("cat_chelsea.jpg", lite0)
    assert relative_error(logits(twin, photo), logits(lite0, photo)) > 0.1


def test_one_channel_model_answers_a_grey_photo_as_the_colour_model_does(lite0):
    grey = create_model("tf_efficientnet_lite0", pretrained=True, in_chans=1)
    assert grey.conv_stem.weight.shape[1] == 1
    assert grey.load_report.adapted == ["conv_stem.weight: from 3 to 1 input channels"]
    x = photo_batch("cat_chelsea.jpg", lite0).mean(1, keepdim=True)
    assert relative_error(logits(grey, x), logits(lite0, x.repeat(1, 3, 1, 1))) < TOLERANCE


def test_new_classifier_keeps_the_trained_body(lite0):
    flowers = create_model("tf_efficientnet_lite0", pretrained=True, num_classes=5).eval()
    body, trained = flowers.state_dict(), lite0.state_dict()
    differ = [key for key in trained if not torch.equal(body[key], trained[key])]
    assert differ == ["classifier.weight", "classifier.bias"]
    assert flowers.classifier.weight.shape == (5, 1280)
    assert flowers.load_report.skipped == ["the classifier of 1000 classes; the new one of 5 is untrained"]
    assert flowers.classifier.weight.std() > 0


def test_damaged_weight_file_is_refused(tmp_path, monkeypatch):
    content = bytearray(packaged_file("tf_efficientnet_lite0").read_bytes())
    content[len(content) // 2] ^= 1  # one bit
    damaged = tmp_path / "damaged.pth"
    damaged.write_bytes(content)
    monkeypatch.setattr(weights.PackagedWeights, "path", lambda self: damaged)
    with pytest.raises(weights.WeightsError, match="damaged.pth is damaged .* SHA-256"):
        create_model("tf_efficientnet_lite0", pretrained=True)


def test_weights_of_another_size_are_refused():
    with pytest.raises(weights.WeightsError, match="don't fit"):
        create_model("tf_efficientnet_lite0", checkpoint_path=packaged_file("tf_efficientnet_lite1"))


def test_key_map_names_a_tensor_it_does_not_know():
    raw = weights.read_state_dict(packaged_file("tf_efficientnet_lite1"))
    with pytest.raises(ValueError, match=r"'_blocks\.16\..*' is no tensor of 'tf_efficientnet_lite0'"):
        weights.convert("tf_efficientnet_lite0", raw, "efficientnet-lite-pytorch")


# --- the network -------------------------------------------------------------------------------------------


def test_drop_path_rates_of_residual_blocks_equal_timms():
    timm = pytest.importorskip("timm")
    mine = create_model("efficientnet_b0", drop_path_rate=0.2)
    theirs = timm.create_model("efficientnet_b0", drop_path_rate=0.2)
    compared = 0
    for own_stage, other_stage in zip(mine.blocks, theirs.blocks):
        for own, other in zip(own_stage, other_stage):
            if own.has_shortcut:
                assert own.drop_path.drop_prob == pytest.approx(other.drop_path.drop_prob)
                compared += 1
    assert compared == 9


def test_dropped_branch_leaves_the_input_while_training_only():
    block = create_model("mobilenetv2_100", drop_path_rate=0.5).blocks[1][1]
    block.drop_path.drop_prob = 1.0
    x = torch.randn(2, 24, 8, 8)
    assert torch.equal(block.train()(x), x)
    assert not torch.equal(block.eval()(x), x)


def test_dropout_before_the_classifier_acts_while_training_only():
    model = create_model("mnasnet_small", drop_rate=0.5, num_classes=0)
    features = torch.ones(1, 1280, 2, 2)
    dropped = model.train().forward_head(features)
    assert set(dropped.unique().tolist()) == {0.0, 2.0}
    assert torch.equal(model.eval().forward_head(features), torch.ones(1, 1280))


def test_initial_weights_follow_each_filters_own_fan_out():
    torch.manual_seed(0)
    model = create_model("efficientnet_b0")
    for name, fan_out in (("blocks.5.1.conv_dw", 5 * 5), ("blocks.5.1.conv_pw", 1152), ("conv_head", 1280)):
        weight = model.get_submodule(name).weight.detach()
        assert float(weight.std()) == pytest.approx(math.sqrt(2 / fan_out), rel=0.03), name
    assert float(model.classifier.weight.detach().abs().max()) == pytest.approx(1 / math.sqrt(1000), rel=0.01)
    assert not model.classifier.bias.any()


def test_squeeze_and_excitation_is_reduced_from_the_narrow_input_of_its_block():
    block = create_model("efficientnet_b0").blocks[1][0]  # 16 channels in, 96 in the middle
    assert isinstance(block.se, SqueezeExcite)
    assert block.se.conv_reduce.weight.shape == (4, 96, 1, 1)


def test_lite_has_no_squeeze_and_excitation_and_clips_at_six():
    kinds = {type(module) for module in create_model("efficientnet_lite0").modules()}
    assert SqueezeExcite not in kinds and nn.SiLU not in kinds and nn.ReLU6 in kinds


def test_compound_scaling_leaves_lites_stem_head_and_ends_alone():
    lite, full = create_model("efficientnet_lite4"), create_model("efficientnet_b4")
    assert [len(stage) for stage in lite.blocks] == [1, 4, 4, 6, 6, 8, 1]
    assert [len(stage) for stage in full.blocks] == [2, 4, 4, 6, 6, 8, 2]
    assert (lite.conv_stem.out_channels, lite.conv_head.out_channels) == (32, 1280)
    assert (full.conv_stem.out_channels, full.conv_head.out_channels) == (48, 1792)


def test_features_only_never_runs_the_head(lite0):
    seen = []
    handle = lite0.conv_head.register_forward_hook(lambda *_: seen.append("head"))
    lite0.forward_intermediates(torch.zeros(1, 3, 64, 64), intermediates_only=True, stop_early=True)
    handle.remove()
    assert seen == []


def test_a_network_of_your_own_is_a_table_of_rows():
    tiny = EfficientNet(architecture=[[Row("separable", 3, 1, 1, 8, 1)], [Row("inverted", 3, 2, 4, 16, 2)]],
                        stem=8, head=0, num_classes=3)
    assert [(stage.channels, stage.reduction) for stage in tiny.stages] == [(8, 2), (16, 4)]
    assert tiny(torch.zeros(2, 3, 32, 32)).shape == (2, 3)


@pytest.mark.parametrize(("options", "sentence"), [
    ({"output_stride": 4}, "output_stride is 4: EfficientNets and MobileNets offer 8, 16 and 32"),
    ({"keep": ("tail",)}, 'keep has tail: use "stem", "head" and "ends"'),
    ({"architecture": [[Row("separable", 3, 1, 6, 16, 1)]]}, "expand is 6"),
    ({"architecture": [[Row("cheap", 3, 1, 1, 16, 1)]]}, "Unknown block 'cheap'. Known: separable"),
])
def test_impossible_options_are_refused_with_what_is_possible(options, sentence):
    with pytest.raises(ValueError, match=sentence):
        EfficientNet(**{"architecture": EFFICIENTNET, **options})


# --- torch's own tools -------------------------------------------------------------------------------------

TOOLED = ("tf_efficientnet_lite0", "efficientnet_b0", "mobilenetv1_100")


@pytest.mark.parametrize("name", TOOLED)
def test_compiles_into_one_graph(name):
    model = create_model(name).eval()
    x = torch.randn(1, 3, 64, 64)
    compiled = torch.compile(model, fullgraph=True, backend="eager")
    assert relative_error(logits(compiled, x), logits(model, x)) < TOLERANCE


@pytest.mark.parametrize("name", TOOLED)
def test_exports_with_the_same_numbers(name):
    model = create_model(name).eval()
    x = torch.randn(2, 3, 64, 64)
    exported = torch.export.export(model, (x,)).module()
    with torch.no_grad():
        assert relative_error(exported(x), model(x)) < TOLERANCE


def test_operations_can_be_counted_without_memory_for_weights():
    with torch.device("meta"):
        model = create_model("efficientnet_b0").eval()
        with FlopCounterMode(display=False) as counter:
            assert model(torch.empty(1, 3, 224, 224)).shape == (1, 1000)
    # the paper's Table 2 says 0.39 billion multiply-adds
    assert counter.get_total_flops() / 2 / 1e9 == pytest.approx(0.39, abs=0.01)
