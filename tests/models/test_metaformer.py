"""PoolFormer, ConvFormer and CAFormer: numbers on every code path, and what a family must do beyond them."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import explorer.models as ours
from explorer.models.backbones.metaformer import VARIANTS, MetaFormer, StarReLU
from explorer.models.layers.pool import Pooling
from explorer.models.layers.transformer import Attention
from tests.models import family_checks as check
from tests.models.oracle import TOLERANCE, randomise, relative_error, same_weights, without_initialisation

timm = pytest.importorskip("timm")

NARROW = {"depths": (1, 1, 2, 1), "dims": (32, 32, 64, 64)}


def pair(name: str, **options):
    """Ours and timm's, with weights that nobody has drawn."""
    with without_initialisation():
        return tuple(library.create_model(name, **options) for library in (ours, timm))


def small(name: str, **options) -> MetaFormer:
    """Narrow and shallow, in evaluation mode."""
    model = ours.create_model(name, **{**NARROW, **options}).eval()
    randomise(model)
    return model


def test_unpooled_features_equal_timms():
    mine, theirs = pair("caformer_s18", num_classes=0, global_pool="")
    same_weights(mine, theirs)
    with torch.no_grad():
        assert mine(check.photos(64)).shape == (2, 512, 2, 2)
        assert relative_error(mine(check.photos(64)), theirs(check.photos(64))) < TOLERANCE


def _settings(model) -> dict:
    """What a model is set to do that the shapes of its tensors don't tell."""
    norms = (nn.LayerNorm, nn.GroupNorm)
    return {
        "eps": [module.eps for module in model.modules() if isinstance(module, norms)],
        "groups": [module.num_groups for module in model.modules() if isinstance(module, nn.GroupNorm)],
        "heads": [b.token_mixer.num_heads for s in model.stages for b in s.blocks
                  if hasattr(b.token_mixer, "num_heads")],
        "pooling": sum(isinstance(module, nn.AvgPool2d) for module in model.modules()),
        "gelu": sum(isinstance(module, nn.GELU) for module in model.modules()),
        **check.settings(model),
    }


@pytest.mark.parametrize("name", VARIANTS)
def test_settings_that_no_shape_shows_equal_timms(name):
    with torch.device("meta"):
        mine, theirs = pair(name)
    assert _settings(mine) == _settings(theirs)


@pytest.mark.parametrize(("name", "start"), [("poolformer_s24", 1e-5), ("poolformer_m36", 1e-6)])
def test_the_factors_on_the_branches_start_as_timms_do(name, start):
    with without_initialisation():
        theirs = timm.create_model(name).state_dict()
    mine = ours.create_model(name, depths=(1, 1, 1, 1)).state_dict()
    scales = [key for key in mine if key.endswith("scale1.scale")]
    assert len(scales) == 4
    for key in scales:
        assert torch.equal(mine[key], theirs[key]) and mine[key][0].item() == pytest.approx(start)


def test_drop_path_rates_equal_timms():
    with torch.device("meta"):
        mine, theirs = pair("convformer_s18", drop_path_rate=0.3, proj_drop_rate=0.2, drop_rate=0.1)
    rates = [[getattr(b.drop_path1, "drop_prob", 0) for s in m.stages for b in s.blocks]
             for m in (mine, theirs)]
    assert rates[0] == pytest.approx(rates[1]) and rates[0][-1] == pytest.approx(0.3)
    assert mine.head.drop.p == 0.1 and mine.stages[0].blocks[0].mlp.drop1.p == 0.2
    assert theirs.stages[0].blocks[0].mlp.drop1.p == 0.2


def test_pooling_leaves_a_flat_map_alone():
    assert not Pooling(3)(torch.full((1, 3, 5, 4), 7.0)).any()  # also at the edges


def test_star_relu_is_a_square():
    act = StarReLU()
    with torch.no_grad():
        act.scale.fill_(2), act.bias.fill_(-1)
        assert act(torch.tensor([-3.0, 0.0, 3.0])).tolist() == [-1, -1, 17]


def test_attention_can_be_looked_at_in_the_later_stages():
    model = small("caformer_s18")
    layers = [module for module in model.modules() if isinstance(module, Attention)]
    seen = []
    layers[0].register_forward_pre_hook(lambda layer, inputs: seen.append(layer.attention_weights(inputs[0])))
    with torch.no_grad():
        model(check.photos(64))
    assert len(layers) == 3 and seen[0].shape == (2, 2, 16, 16)
    assert torch.allclose(seen[0].sum(-1), torch.ones(2, 2, 16))


@pytest.mark.parametrize("classes", [0, 5])
def test_trained_weights_load_without_their_classifier_and_its_hidden_layer(classes, tmp_path):
    source = small("convformer_s18")
    torch.save(source.state_dict(), tmp_path / "weights.pth")
    path = tmp_path / "weights.pth"
    mine = ours.create_model("convformer_s18", checkpoint_path=path, num_classes=classes, **NARROW)
    with torch.no_grad():
        features = mine.eval().forward_features(check.photos(64))
        assert torch.equal(features, source.forward_features(check.photos(64)))
        assert mine(check.photos(64)).shape == (2, classes or 64)
        vector = mine.forward_head(features, pre_logits=True)
        assert torch.equal(vector, source.forward_head(features, pre_logits=True))
    assert not any(tensor.is_meta for tensor in mine.state_dict().values())


@pytest.mark.parametrize("name", ["poolformer_s12", "convformer_s18"])
def test_a_new_classifier_keeps_its_place(name):
    model = small(name, global_pool="max").to(torch.float64)
    norm = model.head.norm.weight.clone()
    model.reset_classifier(3)
    assert {p.dtype for p in model.parameters()} == {torch.float64}
    assert model.head.global_pool.pool_type == "max"
    assert torch.equal(model.head.norm.weight, norm)
    model.to("meta").reset_classifier(4)
    assert all(p.is_meta for p in model.parameters())


def test_other_poolings_are_refused():
    with pytest.raises(ValueError, match="Unknown pooling 'catavgmax'. Use one of 'avg'"):
        small("poolformer_s12", global_pool="catavgmax")
    with pytest.raises(ValueError, match="needs pooled features"):
        small("poolformer_s12", global_pool="")


def test_the_class_is_public():
    assert ours.MetaFormer is MetaFormer
