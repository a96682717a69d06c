"""A net of maps has timm's names of tensors, and takes an encoder that was saved under any of them."""

from __future__ import annotations

import math
import warnings

import pytest
import torch
from torch import nn

import explorer
from explorer.models import weights
from explorer.models.blank import blank
from explorer.models.catalog import FAMILIES
from explorer.models.features import tensors_read, timms_name
from tests.models.oracle import randomise, without_initialisation

SMALLEST = sorted(
    {
        min(family.names, key=lambda name: weights.parameter_count(name) or math.inf)
        for family in FAMILIES.values()
        if family.oracle == "timm"
    }
)


@pytest.mark.parametrize("name", SMALLEST)
def test_a_net_of_maps_has_timms_names(name):
    """case C12: each tensor that a map depends on is called as in timm's `features_only` net, and timm has no
    others.

    timm keeps a norm behind PiT's last map, which nothing reads.
    """
    timm = pytest.importorskip("timm")
    with warnings.catch_warnings(), torch.device("meta"), without_initialisation():
        warnings.simplefilter("ignore")
        theirs = set(timm.create_model(name, features_only=True).state_dict())
    with blank():
        ours = explorer.create_model(name, features_only=True)
    state = set(ours.state_dict())
    read = tensors_read(ours.model, ours.out_indices) & set(ours.model.state_dict())  # not what is worked out
    counters = {name for name in state if name.endswith("num_batches_tracked")}
    assert theirs <= state
    assert {timms_name(ours.model, name) for name in read} <= theirs
    unread = theirs - counters - {timms_name(ours.model, name) for name in read}
    assert not unread or name == "pit_ti_224"


# One name for each way to write the names: as they are, flat, "model.", "body.", and a net that timm cuts
# behind its maps.
KINDS = [
    "resnet10t",
    "convnext_zepto_rms",
    "vit_tiny_patch16_224",
    "pit_ti_224",
    "tinynet_e",
    "repvit_m0_9",
    "hgnetv2_b0",
]


def shorter(name: str) -> dict:
    return {"depth": 3} if name.startswith("vit") else {}


@pytest.fixture(scope="module", params=KINDS)
def encoders(request):
    """(name, options, timm's encoder with random weights) of each kind."""
    timm = pytest.importorskip("timm")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = timm.create_model(request.param, features_only=True, **shorter(request.param))
    randomise(theirs)
    return request.param, shorter(request.param), theirs.eval()


def same_maps(ours, theirs, name) -> bool:
    x = torch.randn(
        1,
        3,
        *([224] * 2 if ours.model.fixed_image_size else [64] * 2),
        generator=torch.Generator().manual_seed(0),
    )
    with torch.no_grad():
        mine, expected = ours.eval()(x), theirs(x)
    return len(mine) == len(expected) and all(
        torch.allclose(a, b, rtol=1e-3, atol=1e-4) for a, b in zip(mine, expected)
    )


@pytest.mark.parametrize("prefix", ["", "encoder.", "module.backbone."])
def test_an_encoder_that_timm_saved_opens_as_a_file(encoders, tmp_path, prefix):
    """case C12: `checkpoint_path`, behind a prefix of a segmenter too."""
    name, options, theirs = encoders
    state = {prefix + key: value for key, value in theirs.state_dict().items()}
    if prefix:
        state["decoder.conv.weight"] = torch.ones(3, 3)
    torch.save(state, tmp_path / "encoder.pth")
    ours = explorer.create_model(
        name, features_only=True, checkpoint_path=tmp_path / "encoder.pth", **options
    )
    assert same_maps(ours, theirs, name)


def test_an_encoder_that_timm_saved_goes_in_strictly(encoders):
    """case C12: `load_state_dict`, as a net of its own and as a part of a segmenter."""
    name, options, theirs = encoders
    ours = explorer.create_model(name, features_only=True, **options)
    ours.load_state_dict(theirs.state_dict())
    assert same_maps(ours, theirs, name)
    segmenter = nn.ModuleDict(
        {"encoder": explorer.create_model(name, features_only=True, **options), "head": nn.Linear(2, 2)}
    )
    segmenter.load_state_dict(
        {
            **{f"encoder.{key}": value for key, value in theirs.state_dict().items()},
            **{f"head.{key}": value for key, value in segmenter["head"].state_dict().items()},
        }
    )
    assert same_maps(segmenter["encoder"], theirs, name)


def test_ours_goes_into_timms(encoders):
    """case C12: and back. What no map depends on is all that timm does not know."""
    name, options, theirs = encoders
    ours = explorer.create_model(name, features_only=True, **options).eval()
    randomise(ours)
    missing, more = theirs.load_state_dict(ours.state_dict(), strict=False)
    assert not missing and not {
        timms_name(ours.model, key) for key in tensors_read(ours.model, ours.out_indices)
    }.intersection(more)
    assert same_maps(ours, theirs, name)


def test_a_file_that_explorer_wrote_before_still_loads():
    """Every name had "model." in front, whatever the family."""
    for name in ("resnet10t", "convnext_zepto_rms", "pit_ti_224"):
        source = explorer.create_model(name, features_only=True)
        old = {f"model.{key}": value for key, value in source.model.state_dict().items()}
        again = explorer.create_model(name, features_only=True)
        again.load_state_dict(old)
        assert all(torch.equal(value, again.state_dict()[key]) for key, value in source.state_dict().items())


def test_a_whole_networks_table_goes_into_its_maps(tmp_path):
    source = explorer.create_model("resnet10t", num_classes=3)
    torch.save(source.state_dict(), tmp_path / "whole.pth")
    ours = explorer.create_model("resnet10t", features_only=True, checkpoint_path=tmp_path / "whole.pth")
    assert torch.equal(ours.model.layer4[0].conv1.weight, source.layer4[0].conv1.weight)


def test_maps_of_few_stages_do_without_what_is_behind_them(tmp_path):
    """case C12: timm saves no more than the deepest map needs."""
    timm = pytest.importorskip("timm")
    theirs = timm.create_model("resnet10t", features_only=True, out_indices=(0, 2))
    torch.save(theirs.state_dict(), tmp_path / "short.pth")
    ours = explorer.create_model(
        "resnet10t", features_only=True, out_indices=(0, 2), checkpoint_path=tmp_path / "short.pth"
    )
    assert torch.equal(ours.model.layer2[0].conv1.weight, theirs.layer2[0].conv1.weight)
    with pytest.raises(weights.WeightsError, match="tensors are missing, e.g. layer3"):
        explorer.create_model(
            "resnet10t", features_only=True, out_indices=(0, 3), checkpoint_path=tmp_path / "short.pth"
        )


def test_a_tensor_that_a_map_needs_may_not_be_missing():
    ours = explorer.create_model("tinynet_e", features_only=True)
    state = ours.state_dict()
    del state["conv_head.weight"]  # behind the last map
    ours.load_state_dict(state)
    del state["blocks.0.0.conv_dw.weight"]
    with pytest.raises(RuntimeError, match="Missing key.*blocks.0.0.conv_dw.weight"):
        ours.load_state_dict(state)
