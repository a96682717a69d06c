"""LeViT: numbers on every code path, and what a family must do beyond them."""

from __future__ import annotations

import pytest
import torch

import explorer.models as ours
from explorer.models.backbones.levit import VARIANTS, LeViT
from explorer.models.layers.distance_attention import DistanceAttention, distance_index
from tests.models import family_checks as check
from tests.models.oracle import (
    TOLERANCE,
    drop_path_rates,
    randomise,
    relative_error,
    same_weights,
    without_initialisation,
)

timm = pytest.importorskip("timm")

TOKENS, MAPS, ONE_HEAD = "levit_128s", "levit_conv_128s", "levit_256d"
NARROW = {"embed_dim": (16, 32, 48), "depth": (1, 1, 2), "num_heads": (1, 2, 3), "key_dim": 8, "img_size": 64}


def pair(name: str, **options):
    """Ours and timm's, with weights that nobody has drawn."""
    with without_initialisation():
        return tuple(library.create_model(name, **{"img_size": 64, **options}) for library in (ours, timm))


def small(name: str, **options) -> LeViT:
    """Narrow and shallow, in evaluation mode."""
    model = ours.create_model(name, **{**NARROW, **options}).eval()
    randomise(model)
    return model


@pytest.mark.parametrize("name", [TOKENS, MAPS])
def test_unpooled_features_equal_timms(name):
    mine, theirs = pair(name, num_classes=0, global_pool="")
    same_weights(mine, theirs)
    with torch.no_grad():
        assert relative_error(mine(check.photos(64)), theirs(check.photos(64))) < TOLERANCE


def _settings(model) -> dict:
    """What a model is set to do that the shapes of its tensors don't tell."""
    attention = [module for module in model.modules() if hasattr(module, "attention_biases")]
    acts = ("Hardswish", "SiLU")
    return {
        "heads": [(module.num_heads, module.key_dim,
                   module.val_dim if hasattr(module, "val_dim") else module.value_dim)
                  for module in attention],
        "act": [type(module).__name__ for module in model.modules() if type(module).__name__ in acts],
        **check.settings(model),
    }


@pytest.mark.parametrize("name", VARIANTS)
def test_settings_that_no_shape_shows_equal_timms(name):
    with torch.device("meta"):
        mine, theirs = pair(name)
    assert _settings(mine) == _settings(theirs) and mine.distilled == hasattr(theirs, "head_dist")


def test_drop_path_rates_equal_timms():
    with torch.device("meta"):
        mine, theirs = pair(TOKENS, drop_path_rate=0.3, drop_rate=0.1)
    assert drop_path_rates(mine) == pytest.approx(drop_path_rates(theirs)) and mine.head.drop.p == 0.1


@pytest.mark.parametrize("name", [TOKENS, "levit_384_s8"])
def test_trained_weights_load_without_their_classifiers(name, tmp_path):
    source = small(name)
    torch.save(source.state_dict(), tmp_path / "weights.pth")
    for classes in (0, 5):
        mine = ours.create_model(name, checkpoint_path=tmp_path / "weights.pth", num_classes=classes,
                                 **NARROW).eval()
        with torch.no_grad():
            x = check.photos(64)
            assert torch.equal(mine.forward_features(x), source.forward_features(x))
            assert mine(x).shape == (2, classes or 48)
        assert not any(tensor.is_meta for tensor in mine.state_dict().values())


def test_weights_of_linear_layers_fit_the_same_network_of_convolutions(tmp_path):
    source = small(TOKENS)
    torch.save(source.state_dict(), tmp_path / "weights.pth")
    mine = ours.create_model(MAPS, checkpoint_path=tmp_path / "weights.pth", **NARROW).eval()
    with torch.no_grad():
        assert relative_error(mine(check.photos(64)), source(check.photos(64))) < TOLERANCE


def test_training_with_a_teacher_gives_both_answers():
    model = small(TOKENS, num_classes=3)
    model.set_distilled_training()
    x = check.photos(64)
    with torch.no_grad():
        assert isinstance(model(x), torch.Tensor)
        label, teacher = model.train()(x)
    assert label.shape == teacher.shape == (2, 3) and not torch.equal(label, teacher)
    with pytest.raises(ValueError, match="no second classifier"):
        small(ONE_HEAD).set_distilled_training()


# --- attention ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [TOKENS, MAPS])
def test_attention_can_be_looked_at(name):
    model = small(name)
    layers = [module for module in model.modules() if isinstance(module, DistanceAttention)]
    seen = []

    def keep(layer, inputs, output):
        x = inputs[0]
        mixed = layer.attention_weights(x) @ layer.queries_keys_values(x)[2]
        projected = layer.proj(_channels(mixed, x.ndim, layer))
        seen.append((layer.attention_weights(x), relative_error(output, projected)))

    for layer in layers:
        layer.register_forward_hook(keep)
    with torch.no_grad():
        model(check.photos(64))
    # 4 x 4 places; every second of them asks; 2 x 2; every second; one place alone, twice
    assert [weights.shape[2:] for weights, _ in seen] == [(16, 16), (4, 16), (4, 4), (1, 4), (1, 1), (1, 1)]
    for weights, error in seen:
        assert torch.allclose(weights.sum(-1), torch.ones(weights.shape[:-1])) and error < TOLERANCE


def _channels(mixed: torch.Tensor, ndim: int, layer) -> torch.Tensor:
    tokens = mixed.transpose(1, 2).flatten(2)
    if ndim == 3:
        return tokens
    side = layer.size[0] // layer.stride or 1
    return tokens.transpose(1, 2).unflatten(2, (side, side))


def test_distances_have_no_direction_and_every_second_place_asks():
    index = distance_index((3, 4), 1)
    assert torch.equal(index, index.T) and not index.diagonal().any()
    assert index[0, 7] == 1 * 4 + 3  # one row, three columns
    asks = distance_index((3, 4), 2)
    assert torch.equal(asks, index[[0, 2, 8, 10]])


# --- what is refused ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("options", "message"), [
    ({"depth": (1, 1)}, "must have one entry for each stage"), ({"stem_stride": 4}, "stem_stride is 4"),
    ({"global_pool": "max"}, "global_pool is 'max'"), ({"global_pool": ""}, "needs pooled features"),
    ({"num_classes": -1}, "num_classes is -1"),
])
def test_options_that_make_no_network_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        LeViT(**{**NARROW, **options})


def test_photos_of_another_size_are_refused_with_a_way_out():
    with pytest.raises(ValueError, match=r"64 x 64 pixels; got 96 x 96.*img_size=\(96, 96\)"):
        small(TOKENS)(check.photos(96))


def test_the_class_is_public():
    assert ours.LeViT is LeViT
