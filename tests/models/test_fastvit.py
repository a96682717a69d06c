"""FastViT against timm, and its branches folded into one convolution."""

from __future__ import annotations

import copy

import pytest
import torch

import explorer.models as ours
from explorer.models.backbones.fastvit import ConditionalPosition, FastViT, MapAttention, RepMixer
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

# One name for each code path; narrow and shallow networks of that kind, in both libraries' words.
KINDS = {"fastvit_t8": 4, "fastvit_sa12": 4, "fastvit_mci0": 4, "fastvit_mci3": 5}


def small(name, **options):
    with without_initialisation():
        model = ours.create_model(name, depths=(1,) * KINDS[name], width=32, **options)
    randomise(model)
    return model.eval()


def pair(name, **options):
    depths, widths = (1,) * KINDS[name], tuple(32 * 2**i for i in range(KINDS[name]))
    with without_initialisation():
        theirs = timm.create_model(name, layers=depths, embed_dims=widths, **options)
    return small(name, **options), theirs


def outputs(model, x):
    with torch.no_grad():
        return [model(x), model.forward_features(x), *model.forward_intermediates(x, intermediates_only=True)]


# --- against timm -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pool", ["max", "avgmax", "catavgmax"])
def test_other_poolings_equal_timms(pool):
    mine, theirs = pair("fastvit_sa12", global_pool=pool)
    same_weights(mine, theirs)
    x = check.photos(64)
    with torch.no_grad():
        assert relative_error(mine(x), theirs(x)) < 1e-5


def test_dropout_rates_equal_timms():
    options = dict(drop_path_rate=0.3, proj_drop_rate=0.2, drop_rate=0.1)
    with torch.device("meta"):
        mine, theirs = (library.create_model("fastvit_sa12", **options) for library in (ours, timm))
    assert drop_path_rates(mine) == pytest.approx(drop_path_rates(theirs))
    assert dropout_rates(mine) == dropout_rates(theirs)


# --- folding ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", KINDS)
def test_a_folded_network_is_timms_folded_network(name):
    mine, theirs = pair(name)
    same_weights(mine, theirs)
    mine.reparameterize()
    theirs = timm.utils.reparameterize_model(theirs)
    assert list(mine.state_dict()) == list(theirs.state_dict())
    for (key, own), other in zip(mine.state_dict().items(), theirs.state_dict().values()):
        assert relative_error(own, other) < 1e-5, key
    assert check.settings(mine) == check.settings(theirs)


@pytest.mark.parametrize("name", KINDS)
def test_a_folded_network_gives_the_same_answers(name):
    model, x = small(name), check.photos(128)
    before = outputs(model, x)
    model.reparameterize()
    for now, then in zip(outputs(model, x), before, strict=True):
        assert relative_error(now, then) < 1e-4


@pytest.mark.parametrize("parts_first", [True, False])
def test_parts_can_be_folded_in_any_order(parts_first):
    mixer, x = RepMixer(8).eval(), torch.randn(2, 8, 6, 6)
    randomise(mixer)
    with torch.no_grad():
        before = mixer(x)
        for part in sorted(mixer.modules(), key=lambda part: (part is mixer) == parts_first):
            if hasattr(part, "reparameterize"):
                part.reparameterize()
        assert relative_error(mixer(x), before) < 1e-5
    assert [name for name, _ in mixer.named_parameters()] == ["reparam_conv.weight", "reparam_conv.bias"]


def test_folding_twice_changes_nothing():
    model = small("fastvit_sa12")
    model.reparameterize()
    state = copy.deepcopy(model.state_dict())
    model.reparameterize()
    assert list(model.state_dict()) == list(state)
    assert all(torch.equal(now, state[key]) for key, now in model.state_dict().items())


def test_a_file_of_a_folded_network_loads_after_folding():
    model, fresh = small("fastvit_sa12"), ours.create_model("fastvit_sa12", depths=(1,) * 4, width=32).eval()
    model.reparameterize()
    fresh.reparameterize()
    fresh.load_state_dict(model.state_dict(), strict=True)
    assert torch.equal(fresh(check.photos(64)), model(check.photos(64)))


def test_a_folded_network_keeps_dtype_mode_and_what_is_frozen():
    model = small("fastvit_sa12").to(torch.float64)
    model.stages[0].requires_grad_(False)
    model.reparameterize()
    assert {p.dtype for p in model.parameters()} == {torch.float64}
    assert not any(part.training for part in model.modules())
    assert not any(p.requires_grad for p in model.stages[0].parameters())
    assert all(p.requires_grad for p in model.stages[1].parameters())


def test_networks_fold_on_meta():
    model = small("fastvit_mci0").to("meta")
    model.reparameterize()
    assert all(tensor.is_meta for tensor in model.state_dict().values())


def test_positions_fold_their_shortcut():
    position, x = ConditionalPosition(4), torch.randn(2, 4, 9, 5)
    with torch.no_grad():
        before = position(x)
        position.reparameterize()
        assert relative_error(position(x), before) < 1e-5


# --- as a family --------------------------------------------------------------------------------------------


def test_features_are_four_maps_where_nobody_says_which():
    model = ours.create_model("fastvit_mci3", features_only=True, depths=(1,) * 5, width=32)
    assert model.feature_info.reduction() == [4, 8, 16, 32]


def test_attention_can_be_looked_at():
    model = small("fastvit_sa12")
    layers = [part for part in model.modules() if isinstance(part, MapAttention)]
    seen = []
    layers[0].register_forward_pre_hook(lambda layer, inputs: seen.append(layer.attention_weights(inputs[0])))
    with torch.no_grad():
        model(check.photos(96))
    assert len(layers) == 1 and seen[0].shape == (2, 8, 9, 9)
    assert torch.allclose(seen[0].sum(-1), torch.ones(2, 8, 9))


def test_a_new_classifier_keeps_its_place():
    model = small("fastvit_sa12").to(torch.float64)
    model.reset_classifier(5, "max")
    model.reset_classifier(3)
    assert model.get_classifier().weight.dtype == torch.float64 and model.head.global_pool.pool_type == "max"
    model.to("meta").reset_classifier(4)
    assert model.get_classifier().weight.is_meta


def test_the_class_is_public():
    assert ours.FastViT is FastViT
