"""MIT's EfficientViT against timm, and what its training and its attention need."""

from __future__ import annotations

import pytest
import torch

import explorer.models as ours
from explorer.models.backbones.efficientvit_mit import LiteMLA
from tests.models import family_checks as check
from tests.models.oracle import (
    TOLERANCE,
    check_gradients_equal,
    check_numbers,
    check_same_start,
    randomise,
    relative_error,
    without_initialisation,
)

timm = pytest.importorskip("timm")

SMALL = "efficientvit_b0"


def build(library, name, **options):
    with without_initialisation():
        return library.create_model(name, **options)


@pytest.mark.parametrize(("name", "size", "options"), [
    (SMALL, 97, {}), (SMALL, 64, {"global_pool": "max"}), (SMALL, 64, {"global_pool": "avgmax"}),
    ("efficientvit_b1", 64, {}),                # stages of several blocks
    ("efficientvit_b2", 64, {}),                # larger heads
    ("efficientvit_l1", 64, {}),                # full convolutions, attention in the last stage only
], ids=lambda value: str(value).replace(" ", ""))
def test_numbers_equal_timms(name, size, options):
    check_numbers(build(ours, name, **options), build(timm, name, **options), size)


@pytest.mark.parametrize("name", ours.list_models(family="efficientvit_mit"))
def test_every_convolution_is_set_as_timms(name):
    check.check_settings(name, timm)


@pytest.mark.parametrize("options", [{"in_chans": 1}, {"in_chans": 4}, {"num_classes": 5}, {"num_classes": 0}], ids=str)
def test_numbers_equal_timms_with_other_inputs_and_outputs(options):
    check.check_other_channels(build(ours, SMALL, **options), build(timm, SMALL, **options), 64)


def test_one_training_step_leaves_the_same_gradients_and_statistics_as_timms():
    check_gradients_equal(build(ours, SMALL, num_classes=3), build(timm, SMALL, num_classes=3), 64)


def test_new_networks_start_as_timms_do():
    check_same_start(ours.create_model(SMALL), timm.create_model(SMALL))


def test_a_new_network_can_start_to_learn():
    check.check_fresh(ours.create_model(SMALL), 64)


def test_a_gradient_reaches_every_parameter():
    check.check_gradients(build(ours, SMALL, num_classes=2), 64)


def test_it_compiles_without_a_graph_break():
    check.check_compiles(build(ours, SMALL), 64)


def test_a_checkpoint_fills_every_tensor(tmp_path):
    check.check_loads(SMALL, 64, tmp_path)


def test_the_maps_are_as_the_table_promises():
    check.check_features(SMALL, 64)


def test_the_maps_alone_need_nothing_of_the_head():
    assert not any(name.startswith("model.head") for name in build(ours, SMALL, features_only=True).state_dict())


def test_a_new_classifier_keeps_its_place():
    check.check_new_classifier_keeps_its_place(build(ours, SMALL, global_pool="max"))


def test_the_pooling_may_change_with_the_classifier():
    model = ours.create_model(SMALL).eval()
    features = check.photos(4, in_chans=128)
    with torch.no_grad():
        before = model.forward_head(features, pre_logits=True)
        model.reset_classifier(1000, "max")
        assert not torch.allclose(model.forward_head(features, pre_logits=True), before)


@pytest.mark.parametrize("size", [(3, 5), (6, 6)])
def test_attention_weights_give_the_same_result_as_forward(size):
    layer = LiteMLA(16, head_dim=8, norm_eps=1e-5)
    randomise(layer)
    layer.eval()
    x = torch.randn(2, 16, *size, generator=torch.Generator().manual_seed(0))
    places = size[0] * size[1]
    with torch.no_grad():
        matrix, (_, _, value) = layer.attention_weights(x), layer.queries_keys_values(x)
        assert matrix.shape == (2, 4, places, places) and (matrix >= 0).all()
        assert (matrix.sum(-1) <= 1 + 1e-5).all() and float(matrix.sum(-1).median()) > 0.99
        mixed = (matrix @ value).transpose(2, 3).reshape(2, 32, *size)  # [B, heads, places, 8] -> channels
        assert relative_error(layer.proj(mixed), layer(x)) < TOLERANCE


def test_attention_takes_half_precision():
    """The sums over all places are taken in single precision, as they may pass 65504."""
    layer = LiteMLA(16, head_dim=8, norm_eps=1e-5).eval()
    x = 300 * torch.rand(1, 16, 16, 16, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        exact = layer(x)
        rough = layer.half()(x.half())
    assert rough.dtype == torch.float16 and torch.isfinite(rough).all()
    assert relative_error(rough.float(), exact) < 0.02


def test_dropout_works_inside_the_head():
    model = ours.create_model(SMALL, drop_rate=1.0, num_classes=3).train()
    logits = model.forward_head(check.photos(4, in_chans=128))
    assert torch.equal(logits, model.get_classifier().bias.expand(2, 3))


@pytest.mark.parametrize(("options", "message"), [
    ({"global_pool": ""}, "avgmax"), ({"global_pool": "catavgmax"}, "one number a channel"),
    ({"output_stride": 16}, "can't trade stride"), ({"drop_path_rate": 0.1}, "leave drop_path_rate at 0"),
    ({"head_dim": 5}, "no whole number of heads"),
], ids=str)
def test_what_cannot_be_built_is_said(options, message):
    with pytest.raises(ValueError, match=message):
        ours.create_model(SMALL, **options)
