"""CLIP's ResNets against timm."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import explorer.models as ours
from explorer.models.backbones.clip_resnet import AttentionPool, ClipResNet
from explorer.models.layers.pool import ClassifierHead
from tests.models import family_checks as check
from tests.models.oracle import (
    drop_path_rates,
    dropout_rates,
    randomise,
    relative_error,
    same_weights,
    without_initialisation,
)

timm = pytest.importorskip("timm")

KINDS = ["resnet50_clip", "resnet50_clip_gap", "resnet50_mlp"]
NARROW = dict(depths=(1, 2, 1, 1), width=16)


def pair(name, **options):
    with without_initialisation():
        return ours.create_model(name, **options), timm.create_model(name, **options)


def small(name, **options):
    with without_initialisation():
        model = ours.create_model(name, **{"num_classes": 5, **NARROW, **options})
    randomise(model)
    return model.eval()


def test_attention_at_its_own_size_equals_timms():
    theirs = timm.create_model("resnet50_clip").head
    mine = AttentionPool(2048, 1024, (7, 7), 0.0)
    same_weights(mine, theirs)
    x = torch.randn(2, 2048, 7, 7, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        assert relative_error(mine(x), theirs(x)) < 1e-5


@pytest.mark.parametrize("name", ["resnet50_clip", "resnet50_mlp"])
def test_dropout_rates_equal_timms(name):
    with torch.device("meta"):
        mine, theirs = pair(name, drop_path_rate=0.3, drop_rate=0.2)
    assert drop_path_rates(mine) == pytest.approx(drop_path_rates(theirs))
    assert dropout_rates(mine) == dropout_rates(theirs)


def test_features_have_the_sizes_that_the_table_promises_and_no_head():
    check.check_features("resnet50_clip", 64, **NARROW)
    model = ours.create_model("resnet50_clip", features_only=True, **NARROW).model
    assert isinstance(model.head, ClassifierHead) and isinstance(model.head.fc, nn.Identity)


@pytest.mark.parametrize("name", KINDS)
def test_a_new_classifier_keeps_its_place_and_what_is_in_front_of_it(name):
    model = small(name).to(torch.float64)
    before = {key: value for key, value in model.state_dict().items()
              if not key.startswith(("head.fc", "head.proj"))}
    model.reset_classifier(3)
    assert model.get_classifier().weight.dtype == torch.float64
    assert all(torch.equal(value, model.state_dict()[key]) for key, value in before.items())
    model.to("meta").reset_classifier(4)
    assert model.get_classifier().weight.is_meta


@pytest.mark.parametrize(("name", "pool"), [
    ("resnet50_clip", "avg"), ("resnet50_mlp", "max"), ("resnet50_clip_gap", "attn"),
])
def test_another_kind_of_head_is_refused_in_a_finished_model(name, pool):
    with pytest.raises(ValueError, match=f"global_pool='{pool}' would be another head"):
        small(name).reset_classifier(3, pool)


def test_the_hidden_layer_needs_a_plain_pooling():
    with pytest.raises(ValueError, match="This head pools by .* got 'catavgmax'"):
        small("resnet50_mlp", global_pool="catavgmax")


def test_the_class_is_public():
    assert ours.ClipResNet is ClipResNet
