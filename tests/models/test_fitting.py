"""Which tensors of a file are a model's own, and what is said of them."""

from __future__ import annotations

import argparse
import gc
import json
import math
import warnings

import numpy as np
import pytest
import torch
from torch import nn

import explorer
from explorer.models import trained, weights
from explorer.models.blank import blank
from explorer.models.building import build
from explorer.models.catalog import FAMILIES
from explorer.models.weights.choosing import usual_table
from explorer.models.weights.loading import examine
from explorer.models.weights.report import LoadReport, WeightsError
from tests.models.oracle import randomise

NAME = "resnet10t"


@pytest.fixture(scope="module")
def source():
    model = explorer.create_model(NAME, num_classes=5)
    randomise(model)
    return model.eval()


@pytest.fixture
def saved(tmp_path):
    def save(content, name: str = "net.pth"):
        torch.save(content, tmp_path / name)
        return tmp_path / name

    return save


def behind(prefix: str, state) -> dict[str, torch.Tensor]:
    return {f"{prefix}{key}": value for key, value in state.items()}


def same(model: nn.Module, state) -> bool:
    return all(torch.equal(value, state[name]) for name, value in model.state_dict().items())


# --- checkpoints of other programs
# ---------------------------------------------------------------------------


def other(state):
    return {key: torch.zeros_like(value) for key, value in state.items()}


def lightning(state) -> dict:
    return {
        "epoch": 9,
        "global_step": 100,
        "pytorch-lightning_version": "2.2",
        "callbacks": {},
        "loops": {},
        "hyper_parameters": {"lr": 0.1},
        "state_dict": {**behind("model.", state), "criterion.weight": torch.ones(5)},
        "optimizer_states": [{"state": {}}],
    }


CHECKPOINTS = {
    "timm's script": lambda s: {
        "epoch": 3,
        "arch": NAME,
        "state_dict": other(s),
        "state_dict_ema": s,
        "metric": np.float64(81.2),
        "args": argparse.Namespace(lr=0.1),
        "optimizer": {"state": {0: {"exp_avg": torch.ones(3)}}},
    },
    "Lightning": lightning,
    "net.": lambda s: {"state_dict": behind("net.", s)},
    "backbone.": lambda s: behind("backbone.", s),
    "module.model.": lambda s: {"state_dict": behind("module.model.", s)},
    "net": lambda s: {"net": s, "acc": 93.1},
    "model_state_dict": lambda s: {"model_state_dict": s, "loss": torch.tensor(0.1)},
    "model_state": lambda s: {"model_state": behind("module.", s)},
    "DINO": lambda s: {
        "student": behind("module.backbone.", other(s)),
        "epoch": 1,
        "teacher": {**behind("backbone.", s), "head.mlp.0.weight": torch.ones(4, 4)},
    },
    "params": lambda s: {"params": other(s), "params_ema": s},
    "nested": lambda s: {"checkpoint": {"weights": s}},
    "transformers": lambda s: behind("timm_model.", s),
    "odd word": lambda s: {"flowers": s, "moments": other({"a.weight": torch.ones(3)})},
    "segmenter": lambda s: {**behind("encoder.", s), **behind("decoder.", {"conv.weight": torch.ones(3, 3)})},
}


@pytest.mark.parametrize("kind", CHECKPOINTS)
def test_a_training_checkpoint_is_understood_by_what_fits_the_model(saved, source, kind):
    """case C4: whatever its tables and prefixes are called."""
    state = source.state_dict()
    model = explorer.create_model(NAME, checkpoint_path=saved(CHECKPOINTS[kind](state)))
    assert model.num_classes == 5 and same(model, state)
    assert model.load_report.loaded == len(state)


def test_the_report_names_the_table_and_what_was_left_out(saved, source):
    """case C4: what was found is said."""
    report = explorer.create_model(NAME, checkpoint_path=saved(lightning(source.state_dict()))).load_report
    assert report.source == "the file net.pth ('state_dict' in it, names behind 'model.')"
    assert report.skipped == ["1 tensor of other parts, e.g. criterion.weight"]


@pytest.mark.parametrize(
    ("content", "places"),
    [
        (lambda s: {"left": s, "right": other(s)}, "'left', 'right'"),
        (
            lambda s: {**behind("momentum_encoder.", s), **behind("base_encoder.", other(s))},
            "'momentum_encoder', 'base_encoder'",
        ),
    ],
    ids=["tables", "prefixes"],
)
def test_what_fits_twice_is_named_and_chosen_by_the_reader(saved, source, content, places):
    """case C4: an ambiguous file is a sentence with the way to choose."""
    path = saved(content(source.state_dict()))
    with pytest.raises(
        WeightsError, match=f"several tables that could be meant: {places}.*Say which one behind a #"
    ):
        explorer.create_model(NAME, checkpoint_path=path)
    first = places.split(", ")[0].strip("'")
    assert same(explorer.create_model(NAME, checkpoint_path=f"{path}#{first}"), source.state_dict())


def test_torchvisions_names_are_known_behind_a_prefix_too(saved):
    """case C4: a key map and a prefix together."""
    torchvision = pytest.importorskip("torchvision")
    theirs = torchvision.models.mobilenet_v2(num_classes=7, width_mult=1.0)
    randomise(theirs)
    path = saved({"state_dict": behind("model.", theirs.state_dict())})
    mine = explorer.create_model("mobilenetv2_100", checkpoint_path=path).eval()
    x = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.allclose(mine(x), theirs.eval()(x), rtol=1e-3, atol=1e-3)


def test_a_head_of_another_make_is_left_out_with_a_word(saved, source):
    """A head that its author made longer: `fc = Sequential(Dropout, Linear)`."""
    state = source.state_dict()
    state = {key: value for key, value in state.items() if not key.startswith("fc.")} | {
        "fc.1.weight": torch.ones(9, 512)
    }
    model = explorer.create_model(NAME, checkpoint_path=saved(state))
    assert model.num_classes == 0
    assert model.load_report.skipped == ["the classifier of the file, which is of another make: fc.1.weight"]


@pytest.mark.parametrize("door", ["torchvision/resnet18", "timm/resnet18"])
@pytest.mark.parametrize("asked", [None, 4])
def test_other_libraries_models_take_a_file_too(saved, door, asked):
    """case C4: the same reader behind every door."""
    if door.startswith("timm"):
        pytest.importorskip("timm")
    source = explorer.create_model(door, num_classes=5)
    randomise(source)
    state = {key.removeprefix("module."): value for key, value in source.state_dict().items()}
    model = explorer.create_model(
        door, checkpoint_path=saved({"state_dict": behind("model.", state)}), num_classes=asked
    )
    assert model.num_classes == (asked or 5)
    mine = {key.removeprefix("module."): value for key, value in model.state_dict().items()}
    assert all(torch.equal(mine[key], state[key]) for key in state if not key.startswith("fc."))
    assert torch.equal(mine["fc.weight"], state["fc.weight"]) == (asked is None)


# --- heads
# ---------------------------------------------------------------------------------------------------


def smallest(family) -> str:
    return min(family.names, key=lambda name: weights.parameter_count(name) or math.inf)


@pytest.mark.parametrize("name", sorted({smallest(family) for family in FAMILIES.values()}))
def test_every_familys_head_is_found_whole(name, monkeypatch):
    """case C3: a file with a classifier of 5 opens as it is, with 4 classes, without any, and as a net of
    maps.

    On shapes alone: which tensors are the head's is a matter of names. That makes it quick.
    """
    with blank():
        state = explorer.create_model(name, num_classes=5).state_dict()
        monkeypatch.setattr(trained, "read_checkpoint", lambda path: state)
        opened = {
            asked: explorer.create_model(name, checkpoint_path="a.pth", num_classes=asked)
            for asked in (None, 4, 0)
        }
        maps = explorer.create_model(name, checkpoint_path="a.pth", features_only=True)
    shapes = {
        asked: {key: value.shape for key, value in model.state_dict().items()}
        for asked, model in opened.items()
    }
    assert shapes[None] == {key: value.shape for key, value in state.items()}
    assert [opened[asked].num_classes for asked in (None, 4, 0)] == [5, 4, 0]
    assert [opened[asked].load_report.loaded for asked in (None, 0)] == [len(state), len(shapes[0])]
    assert shapes[4].keys() == state.keys()
    finds_boxes_too = name.startswith("yolov5")  # its last layers, which stay without classes
    assert shapes[0].keys() <= state.keys() and (shapes[0].keys() < state.keys() or finds_boxes_too)
    assert opened[None].in_chans == opened[4].in_chans == (1 if name == "lenet5" else 3)
    assert maps.load_report.loaded == len(maps.model.state_dict()) <= len(shapes[0])


@pytest.mark.parametrize(
    ("asked", "classes"),
    [({"num_classes": 4}, 4), ({}, 5), ({"num_classes": 0}, 0), ({"features_only": True}, None)],
)
@pytest.mark.parametrize(
    "name", ["efficientvit_m0", "levit_128s", "repvit_m1", "hgnetv2_b0", "efficientvit_b0"]
)
def test_a_head_with_a_norm_of_its_own_is_exchanged(saved, name, asked, classes):
    """case C3: "5 tensors are unknown, e.g. head.bn.bias"."""
    source = explorer.create_model(name, num_classes=5)
    path = saved(source.state_dict())
    model = explorer.create_model(name, checkpoint_path=path, **asked)
    assert getattr(model, "num_classes", None) == classes
    assert not any(parameter.is_meta for parameter in model.parameters())


# --- channels, and settings that say less
# -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "channels"), [(NAME, 4), ("resnet18", 1), ("cs3darknet_focus_s", 5), ("vit_tiny_patch16_224", 4)]
)
def test_a_file_for_another_number_of_channels_opens_as_it_is(saved, name, channels):
    """case C5: "only 3 can be adapted to 3"."""
    options = {"depth": 1} if name.startswith("vit") else {}
    state = explorer.create_model(name, in_chans=channels, num_classes=2, **options).state_dict()
    model = explorer.create_model(name, checkpoint_path=saved(state), **options)
    assert model.in_chans == channels and same(model, state) and model.load_report.adapted == []


@pytest.fixture
def folder(tmp_path, source):
    """folder(facts) -> a saved model's folder with this config.json."""

    def write(facts: dict):
        torch.save(source.state_dict(), tmp_path / "pytorch_model.bin")
        (tmp_path / "config.json").write_text(json.dumps(facts))
        return tmp_path

    return write


@pytest.mark.parametrize(
    "facts",
    [
        {
            "architecture": NAME,
            "num_classes": 5,
            "pretrained_cfg": {"input_size": [3, 96, 96], "mean": [0.1, 0.2, 0.3]},
        },
        {
            "architecture": NAME,
            "num_classes": 5,
            "input_size": [3, 96, 96],
            "mean": [0.1, 0.2, 0.3],
            "global_pool": "avg",
        },
        {
            "architecture": NAME,
            "num_classes": 5,
            "num_features": 512,
            "pretrained_cfg": {
                "input_size": [3, 96, 96],
                "mean": [0.1, 0.2, 0.3],
                "classifier": "",
                "first_conv": "",
            },
        },
    ],
    ids=["without the classifier's name", "flat", "empty names"],
)
@pytest.mark.parametrize("asked", [None, 4])
def test_a_folder_whose_settings_say_less_opens(folder, source, facts, asked):
    """case C5: "2 tensors are unknown"; timm's old layout was read as if it said nothing."""
    model = explorer.create_model(f"local-dir:{folder(facts)}", pretrained=True, num_classes=asked)
    assert model.num_classes == (asked or 5)
    assert model.config.input_size == (3, 96, 96) and model.config.mean == (0.1, 0.2, 0.3)
    assert torch.equal(model.conv1[0].weight, source.conv1[0].weight)


# --- unsound numbers
# ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_numbers_that_are_none_are_noted_wherever_predictions_are_shown(saved, source, value):
    """case A11: "class 8 100.0 %" without a word."""
    state = {key: tensor.clone() for key, tensor in source.state_dict().items()}
    state["conv1.0.weight"].view(-1)[0] = value
    model = explorer.create_model(NAME, checkpoint_path=saved(state)).eval()
    [note] = [note for note in explorer.look(model, explorer.sample_photos()[0]).notes if "NaN" in note]
    assert note.startswith(
        "The weights are damaged: 1 tensor holds values that are no numbers (NaN or infinite), e.g."
        " conv1.0.weight"
    )
    assert note in explorer.predict(model, [explorer.sample_photos()[0]]).notes and "NaN" in str(
        model.load_report
    )


def test_large_numbers_are_numbers(saved, source):
    """A sum that overflows is no proof."""
    state = {**source.state_dict(), "bn1.weight": torch.full_like(source.bn1.weight, 3e38)}
    assert explorer.create_model(NAME, checkpoint_path=saved(state)).load_report.noted == []


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (torch.bool, r"truth values \(bool\)"),
        (torch.int8, r"whole numbers \(int8\)"),
        (torch.uint8, r"whole numbers \(uint8\)"),
        (torch.complex64, r"complex numbers \(complex64\)"),
        (torch.int64, r"whole numbers \(int64\)"),
    ],
)
def test_what_can_be_no_weights_is_refused(saved, source, kind, words):
    """case A11: bool, int8 and complex tables were read as if they were weights."""
    state = {
        key: value.to(kind) if value.is_floating_point() else value
        for key, value in source.state_dict().items()
    }
    with pytest.raises(WeightsError, match=f"{words} where the model has fractions, e.g. conv1.0.weight"):
        explorer.create_model(NAME, checkpoint_path=saved(state))


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float64, torch.float8_e4m3fn])
def test_other_precisions_are_converted_and_said(saved, source, kind):
    """case A11: half and double are fine."""
    state = {
        key: value.to(kind) if value.is_floating_point() else value
        for key, value in source.state_dict().items()
    }
    model = explorer.create_model(NAME, checkpoint_path=saved(state))
    assert model.conv1[0].weight.dtype == torch.float32
    [told] = model.load_report.adapted
    assert told.endswith(f"tensors hold {str(kind).removeprefix('torch.')} numbers, made float32")


def test_a_table_of_zeros_is_noted(saved, source):
    model = explorer.create_model(NAME, checkpoint_path=saved(other(source.state_dict())))
    assert model.load_report.noted == ["All weights are zero: what the model answers means nothing"]


def test_a_wrapped_library_model_is_examined_too():
    """case A11: `fill` and `load_into` see the same."""
    report = LoadReport("a test")
    examine({"w": torch.tensor([[math.nan]])}, {"w": torch.zeros(1, 1)}, report)
    assert "NaN" in report.noted[0]


# --- sizes
# ----------------------------------------------------------------------------------------------------


def built_with(**options) -> dict:
    return {
        "architecture": NAME,
        "num_classes": 5,
        "pretrained_cfg": {"build_options": [[key, value] for key, value in options.items()]},
    }


@pytest.mark.parametrize("pretrained", [True, False])
@pytest.mark.parametrize(
    "options",
    [
        {"depths": [8000, 8000, 8000, 8000]},
        {"depths": [8192, 1, 1, 1]},
        {"base_width": 8192},
        {"stem_width": 8192},
    ],
)
def test_a_network_that_outgrows_its_tensors_is_not_built(folder, options, pretrained):
    """case B8: a config.json of a few bytes took 54 s and 8 GB. The bound is on what was built, so no clock
    is asked."""
    path = folder(built_with(**options))
    with pytest.raises(WeightsError, match="ask for a resnet10t of more than|can't be built so"):
        explorer.create_model(f"local-dir:{path}", pretrained=pretrained)


@pytest.mark.parametrize("pretrained", [True, False])
def test_a_number_of_classes_that_no_tensor_has_takes_no_memory(folder, pretrained):
    """case B8: 10^6 classes in a config.json, and more than a config.json may say."""
    path = folder({"architecture": NAME, "num_classes": 1_000_000, "pretrained_cfg": {}})
    if pretrained:
        assert (
            explorer.create_model(f"local-dir:{path}", pretrained=True).num_classes == 5
        )  # as the tensors have it
    else:
        with pytest.raises(WeightsError, match="out of all proportion"):
            explorer.create_model(f"local-dir:{path}")
    path = folder({"architecture": NAME, "num_classes": 10**9, "pretrained_cfg": {}})
    with pytest.raises(WeightsError, match="num_classes can't be 1000000000"):
        explorer.create_model(f"local-dir:{path}", pretrained=pretrained)


def test_tables_of_positions_have_a_bound_too(tmp_path):
    """case B8: attention tables grow with the fourth power of the photo's side, and are worked out on the
    CPU."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        source = explorer.create_model("levit_128s", num_classes=2)
    torch.save(source.state_dict(), tmp_path / "pytorch_model.bin")
    (tmp_path / "config.json").write_text(
        json.dumps(
            {
                "architecture": "levit_128s",
                "num_classes": 2,
                "pretrained_cfg": {"build_options": [["img_size", 8192]]},
            }
        )
    )
    for pretrained in (True, False):
        with pytest.raises(WeightsError, match="of more than .* numbers at once"):
            explorer.create_model(f"local-dir:{tmp_path}", pretrained=pretrained)


def test_a_librarys_network_has_the_same_bound(tmp_path):
    """case B8: through timm's door."""
    pytest.importorskip("timm")
    facts = {
        "built_as": "timm/vit_tiny_patch16_224",
        "build_options": [["img_size", 8192], ["patch_size", 1]],
    }
    torch.save({"head.weight": torch.zeros(5, 192)}, tmp_path / "pytorch_model.bin")
    (tmp_path / "config.json").write_text(
        json.dumps({"architecture": "timm/vit_tiny_patch16_224", "num_classes": 5, "pretrained_cfg": facts})
    )
    for pretrained in (True, False):
        with pytest.raises(WeightsError, match="ask for a timm/vit_tiny_patch16_224 of more than"):
            explorer.create_model(f"local-dir:{tmp_path}", pretrained=pretrained)


@pytest.mark.parametrize(
    "options", [{"num_classes": 10**9}, {"in_chans": 10**9}, {"img_size": 10**9}, {"img_size": (224, 10**9)}]
)
def test_a_number_out_of_all_proportion_is_a_sentence(options):
    """case B8: torch's allocator answered."""
    with pytest.raises(ValueError, match="is .*1000000000.*(at most|from 1 to 8192)"):
        explorer.create_model("vit_tiny_patch16_224", **options)


def test_an_empty_table_is_no_models_and_ends():
    """It was searched for a prefix that all of its names share, for ever."""
    own = explorer.create_model("tinynet_e").state_dict()
    assert weights.choose({}, own, "tinynet_e").state == {} and usual_table({}).state == {}


def one_name_of_each_file() -> list[str]:
    return list({family.module: family.names[0] for family in FAMILIES.values()}.values())


@pytest.mark.parametrize("name", one_name_of_each_file())
def test_a_network_that_sheds_its_head_is_one_that_was_built_without(name):
    with blank():
        built, shed = build(name, num_classes=0), build(name, num_classes=1009)
        shed.reset_classifier(0)
    plain = (bool, int, float, str)
    said = [(str(model), [(key, value.shape) for key, value in model.state_dict().items()],
             {key: value for key, value in vars(model).items() if isinstance(value, plain)})
            for model in (built, shed)]
    assert (said[0] == said[1]) == shed.sheds_its_head


def test_without_torchs_own_context_a_blank_network_is_the_same(monkeypatch):
    with blank():
        usual = build("resnet18", num_classes=5)
    monkeypatch.setattr("explorer.models.blank.DeviceContext", None)
    with blank():
        found = build("resnet18", num_classes=5)
    assert all(value.is_meta for value in (*usual.state_dict().values(), *found.state_dict().values()))
    assert str(usual) == str(found)


@pytest.mark.parametrize("was_on", [True, False])
def test_the_search_for_garbage_is_as_it_was_after_a_creation_that_fails(was_on, saved):
    before = gc.isenabled()
    try:
        (gc.enable if was_on else gc.disable)()
        with pytest.raises(explorer.WeightsError):
            explorer.create_model("resnet50", checkpoint_path=saved({"x": torch.zeros(1)}))
        assert gc.isenabled() == was_on
    finally:
        (gc.enable if before else gc.disable)()
