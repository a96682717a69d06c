"""`create_model`: a name in, a model out."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import explorer
import explorer.models as ours
from explorer.models.catalog import family_module
from explorer.models.features import FeatureNet
from tests.models.oracle import randomise

NAME = "resnet10t"
CHANNELS, REDUCTIONS = (64, 64, 128, 256, 512), (2, 4, 8, 16, 32)
# Networks of every make, with the side of a photo that each takes; every family's own tests try its own.
SMALL = {"resnet10t": 64, "vgg11": 64, "tinynet_e": 64, "vit_tiny_patch16_224": 224}


def photo(side: int = 64, channels: int = 3) -> torch.Tensor:
    return torch.randn(2, channels, side, side, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def timm():
    return pytest.importorskip("timm")


# --- models -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "side"), SMALL.items())
@pytest.mark.parametrize(("classes", "width"), [(None, 1000), (5, 5), (0, None)])
def test_the_number_of_classes_is_the_width_of_the_answer(name, side, classes, width):
    with torch.device("meta"):
        model = explorer.create_model(name, num_classes=classes)
        out = model.eval()(torch.empty(2, 3, side, side))
    assert model.num_classes == (1000 if classes is None else classes)
    assert out.shape == (2, width or model.head_hidden_size)


def test_timms_way_to_call_works(timm):
    for arguments, options in (
        ((NAME, False), {}), ((NAME,), {"pretrained": False, "num_classes": 7, "in_chans": 1}),
        ((NAME,), {"num_classes": 0, "global_pool": ""}),
        ((NAME,), {"num_classes": 3, "global_pool": "catavgmax"}),
        ((NAME,), {"drop_rate": 0.1, "drop_path_rate": 0.1, "checkpoint_path": "", "cache_dir": None}),
        ((NAME,), {"features_only": True, "out_indices": (1, 3), "output_stride": 8}),
    ):
        with torch.device("meta"):
            mine, theirs = ours.create_model(*arguments, **options), timm.create_model(*arguments, **options)
            x = torch.empty(2, options.get("in_chans", 3), 64, 64)
            one, other = mine.eval()(x), theirs.eval()(x)
        shapes = [[m.shape for m in (out if isinstance(out, list) else [out])] for out in (one, other)]
        assert shapes[0] == shapes[1]


def test_a_new_model_is_in_training_mode_and_has_no_report():
    model = explorer.create_model(NAME)
    assert model.training and model.load_report is None


def test_none_leaves_an_option_as_it_is_as_in_timm():
    rates = "drop_rate", "drop_path_rate"
    options = "num_classes", "in_chans", "global_pool", "output_stride", "img_size", *rates
    model = explorer.create_model(NAME, **dict.fromkeys(options))
    assert (model.num_classes, model.in_chans, model.drop_rate) == (1000, 3, 0.0)
    assert model.global_pool.pool_type == "avg"


def test_random_weights_follow_the_seed():
    states = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        states.append(explorer.create_model(NAME).conv1[0].weight)
    assert torch.equal(states[0], states[1]) and not torch.equal(states[0], states[2])


@pytest.mark.parametrize(("options", "error", "sentence"), [
    ({"in_chans": 0}, ValueError, "in_chans is 0: give 1 or more"),
    ({"num_classes": -1}, ValueError, "num_classes is -1: give 0 or more"),
    ({"num_classes": "5"}, TypeError, "num_classes is '5': give a whole number, not a str"),
    ({"num_classes": 2.5}, TypeError, "num_classes is 2.5: give a whole number"),
    ({"in_chans": True}, TypeError, "in_chans is True: give a whole number"),
    ({"drop_rate": 1.5}, ValueError, "drop_rate is 1.5: it is a probability, so give 0 to 1"),
    ({"drop_path_rate": -0.1}, ValueError, "drop_path_rate is -0.1"),
    ({"output_stride": 7}, ValueError, "output_stride is 7: ResNets offer 8, 16 and 32"),
    ({"global_pool": "mean"}, ValueError, "Unknown pooling 'mean'"),
    ({"global_pool": ""}, ValueError, "use num_classes=0 with global_pool=\"\""),
    ({"out_indices": (1,)}, ValueError, "out_indices chooses the maps of features_only=True"),
    ({"act_layer": "rellu"}, ValueError, "Unknown activation 'rellu'"),
    ({"patchsize": 8}, TypeError, "resnet10t has no option 'patchsize'. Its options: block, .*drop_path"),
], ids=str)
def test_impossible_options_are_refused_with_a_sentence(options, error, sentence):
    with pytest.raises(error, match=sentence):
        explorer.create_model(NAME, **options)


@pytest.mark.parametrize("name", SMALL)
def test_an_unknown_option_names_the_options_of_its_own_family(name):
    with pytest.raises(TypeError, match=f"{name} has no option 'colour'. Its options: .*num_classes, "):
        explorer.create_model(name, colour="red")


def test_an_error_inside_a_family_is_not_mistaken_for_an_unknown_option(monkeypatch):
    def broken(**options):
        raise TypeError("got an unexpected keyword argument 'elsewhere'")

    broken.supports_output_stride, broken.fixed_image_size = True, False
    monkeypatch.setattr(family_module(NAME), "MODEL", broken)
    with pytest.raises(TypeError, match="^got an unexpected keyword argument 'elsewhere'$"):
        explorer.create_model(NAME)


@pytest.mark.parametrize("name", ["vgg11", "vit_tiny_patch16_224"])
def test_families_without_strides_to_trade_refuse_output_stride(name):
    with pytest.raises(ValueError, match=f"{name} can't trade stride for dilation: .*=16 .*resnet"):
        explorer.create_model(name, output_stride=16)
    with torch.device("meta"):
        assert explorer.create_model(name, output_stride=32).num_classes == 1000  # what it has anyway


def test_vgg_has_no_paths_to_drop():
    with pytest.raises(ValueError, match="no residual branches to drop"):
        explorer.create_model("vgg11", drop_path_rate=0.1)


@pytest.mark.parametrize("name", [name for name in SMALL if name != "vgg11"])
def test_drop_path_is_built_in_and_acts_while_training_only(name):
    model = explorer.create_model(name, drop_path_rate=0.9, num_classes=0)
    randomise(model)  # fresh blocks start as the identity
    model.eval()
    layers = [m for m in model.modules() if type(m).__name__ == "DropPath"]
    assert layers and 0.5 < max(layer.drop_prob for layer in layers) <= 0.9
    x = photo(SMALL[name])
    with torch.no_grad():
        assert torch.equal(model(x), model(x))
        for layer in layers:
            layer.train()
        torch.manual_seed(0)
        assert not torch.equal(model(x), model(x))


def test_device_and_dtype_are_those_asked_for():
    model = explorer.create_model(NAME, dtype=torch.bfloat16)
    assert {p.dtype for p in model.parameters()} == {torch.bfloat16}
    assert model(photo().bfloat16()).dtype == torch.bfloat16
    assert all(t.is_meta for t in explorer.create_model(NAME, device="meta").state_dict().values())
    features = explorer.create_model(NAME, features_only=True, device="meta", dtype=torch.float16)
    assert {(p.is_meta, p.dtype) for p in features.parameters()} == {(True, torch.float16)}


def test_convolutional_networks_take_photos_of_any_size_whatever_img_size_says():
    model = explorer.create_model(NAME, img_size=96).eval()
    assert model(photo(40)).shape == (2, 1000)
    assert model.config.input_size == (3, 96, 96)  # photos are prepared at that size


# No transformer: torch's trunc_normal_ reads real numbers.
@pytest.mark.parametrize("name", ["resnet10t", "vgg11", "tinynet_e"])
def test_models_can_be_built_from_fake_tensors(name):
    from torch._subclasses.fake_tensor import FakeTensorMode

    with FakeTensorMode():
        model = explorer.create_model(name)
        assert model.eval()(torch.empty(1, 3, SMALL[name], SMALL[name])).shape == (1, 1000)


# --- features_only -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("indices", "stages"), [
    (None, (0, 1, 2, 3, 4)), ((1, 3), (1, 3)), ([4, 0, 2], (4, 0, 2)), ((-1,), (4,)), ((-1, 0), (4, 0)),
    (3, (2, 3, 4)), (5, (0, 1, 2, 3, 4)), ((1, 1), (1, 1)), (range(2), (0, 1)),
    ((np.int64(2),), (2,)), (np.int64(1), (4,)),
], ids=str)
def test_maps_come_in_the_order_asked_for_with_their_exact_sizes(indices, stages):
    model = explorer.create_model(NAME, features_only=True, out_indices=indices).eval()
    assert isinstance(model, FeatureNet) and model.out_indices == stages
    with torch.no_grad():
        maps = model(photo(64))
    assert [tuple(m.shape) for m in maps] == [
        (2, CHANNELS[i], 64 // REDUCTIONS[i], 64 // REDUCTIONS[i]) for i in stages
    ]
    assert model.feature_info.channels() == [CHANNELS[i] for i in stages]
    assert model.feature_info.reduction() == [REDUCTIONS[i] for i in stages]


@pytest.mark.parametrize(("indices", "error", "sentence"), [
    ((), IndexError, "out_indices is empty. Use numbers from 0 to 4"),
    ((5,), IndexError, "Stage index 5 is outside this model's 5 stages: use -5 to 4"),
    ((0, -6), IndexError, "Stage index -6 is outside"),
    (0, IndexError, "Asked for the last 0 stages; this model has 5, so give 1 to 5"),
    (6, IndexError, "the last 6"),
    (-1, IndexError, "Asked for the last -1 stages"),
    ("01", TypeError, "Stages are chosen by numbers"), (2.5, TypeError, "Stages are chosen by numbers"),
    ((1.5,), TypeError, r"got \(1.5,\)"), (True, TypeError, "got True"),
    ((None,), TypeError, "chosen by numbers"),
], ids=str)
def test_indices_that_name_no_stage_are_refused(indices, error, sentence):
    with pytest.raises(error, match=sentence):
        explorer.create_model(NAME, features_only=True, out_indices=indices)


@pytest.mark.parametrize(("name", "side"), SMALL.items())
def test_nothing_behind_the_deepest_map_runs(name, side):
    model = explorer.create_model(name, features_only=True, out_indices=(1, 0)).eval()
    stages = model.feature_info.stages
    ran = []
    for stage in stages:
        module = model.model.get_submodule(stage.module)
        module.register_forward_hook(lambda *_, stage=stage: ran.append(stage.name))
    with torch.no_grad():
        maps = model(photo(side))
    assert ran == [stage.name for stage in stages[:2]] and len(maps) == 2


@pytest.mark.parametrize(("name", "side"), SMALL.items())
def test_maps_are_what_the_named_modules_give(name, side):
    model = explorer.create_model(name, features_only=True).eval()
    outputs = {}
    for path in model.feature_info.module_name():
        def keep(_module, _inputs, output, path=path):
            outputs[path] = output.clone()  # a later in-place activation would change it
        model.model.get_submodule(path).register_forward_hook(keep)
    with torch.no_grad():
        maps = model(photo(side))
    for path, found in zip(model.feature_info.module_name(), maps, strict=True):
        wanted = outputs[path]
        if wanted.ndim == 3:  # tokens: the class token in front belongs to no place on the map
            wanted = wanted[:, 1:].transpose(1, 2).unflatten(2, found.shape[-2:])
        assert torch.equal(found, wanted)


def test_output_stride_keeps_later_maps_large():
    model = explorer.create_model(NAME, features_only=True, output_stride=8).eval()
    assert model.feature_info.reduction() == [2, 4, 8, 8, 8]
    assert [m.shape[-1] for m in model(photo(64))] == [32, 16, 8, 8, 8]


def test_a_feature_network_tells_what_the_model_behind_it_tells():
    model = explorer.create_model("tf_efficientnet_lite0", pretrained=True, features_only=True)
    assert model.config.name == "tf_efficientnet_lite0.in1k" == model.load_report.name
    assert model.pretrained_cfg["mean"] == (0.5, 0.5, 0.5)
    assert model.load_report.skipped == ["the classifier of 1000 classes: not asked for"]
    assert isinstance(model.model.get_classifier(), nn.Identity)
