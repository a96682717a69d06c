"""EfficientFormer: numbers on every code path, and what a family must do beyond them."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import explorer.models as ours
from explorer.models.backbones.efficientformer import VARIANTS, EfficientFormer, TokenAttention
from tests.models import family_checks as check
from tests.models.oracle import (
    TOLERANCE,
    check_same_start,
    drop_path_rates,
    randomise,
    relative_error,
    same_weights,
    without_initialisation,
)

timm = pytest.importorskip("timm")

NAME = "efficientformer_l1"
NARROW = {"embed_dims": (8, 16, 24, 32), "depths": (1, 1, 1, 2), "img_size": 64}


def pair(name: str = NAME, **options):
    """Ours and timm's, with weights that nobody has drawn; timm's reads photos of 224 x 224 pixels only."""
    with without_initialisation():
        return tuple(library.create_model(name, **options) for library in (ours, timm))


def small(**options) -> EfficientFormer:
    """Narrow and shallow, in evaluation mode."""
    model = ours.create_model(NAME, **{**NARROW, **options}).eval()
    randomise(model)
    return model


def test_unpooled_features_equal_timms():
    mine, theirs = pair(embed_dims=(8, 16, 24, 32), num_classes=0, global_pool="", in_chans=4)
    same_weights(mine, theirs)
    with torch.no_grad():
        x = check.photos(224, in_chans=4)
        assert mine(x).shape == (2, 49, 32) and relative_error(mine(x), theirs(x)) < TOLERANCE


def _settings(model) -> dict:
    """What a model is set to do that the shapes of its tensors don't tell."""
    return {
        "eps": [module.eps for module in model.modules() if isinstance(module, nn.LayerNorm)],
        "heads": [(module.num_heads, module.key_dim) for module in model.modules()
                  if hasattr(module, "key_dim")],
        "acts": [type(module).__name__ for module in model.modules()
                 if isinstance(module, (nn.ReLU, nn.GELU))],
        **check.settings(model),
    }


@pytest.mark.parametrize("name", VARIANTS)
def test_settings_that_no_shape_shows_equal_timms(name):
    with torch.device("meta"):
        mine, theirs = pair(name)
    assert _settings(mine) == _settings(theirs)


def test_drop_path_rates_equal_timms():
    with torch.device("meta"):
        mine, theirs = pair("efficientformer_l3", drop_path_rate=0.3, drop_rate=0.1)
    theirs_by_order = list(drop_path_rates(theirs).values())
    assert list(drop_path_rates(mine).values()) == pytest.approx(theirs_by_order) and mine.head_drop.p == 0.1


def test_fresh_weights_are_drawn_as_timms_are():
    torch.manual_seed(0)
    mine, theirs = ours.create_model(NAME), timm.create_model(NAME)
    numbers = [model.stages[3].blocks[4].token_mixer for model in (mine, theirs)]
    assert torch.equal(numbers[0].attention_bias_idxs, numbers[1].attention_bias_idxs)
    for layer in numbers:  # whole numbers have no spread
        layer.attention_bias_idxs = layer.attention_bias_idxs.float()
    check_same_start(mine, theirs)


def test_weights_without_the_numbers_of_the_distances_load(tmp_path):
    source = small()
    state = {key: value for key, value in source.state_dict().items() if not key.endswith("idxs")}
    torch.save(state, tmp_path / "weights.pth")
    mine = ours.create_model(NAME, checkpoint_path=tmp_path / "weights.pth", **NARROW).eval()
    with torch.no_grad():
        assert torch.equal(mine(check.photos(64)), source(check.photos(64)))


def test_training_with_a_teacher_gives_both_answers():
    model = small(num_classes=3)
    model.set_distilled_training()
    with torch.no_grad():
        assert isinstance(model(check.photos(64)), torch.Tensor)
        label, teacher = model.train()(check.photos(64))
    assert label.shape == teacher.shape == (2, 3) and not torch.equal(label, teacher)


def test_attention_can_be_looked_at():
    model = small(num_vit=2)
    layers = [module for module in model.modules() if isinstance(module, TokenAttention)]
    seen = []

    def keep(layer, inputs, output):
        weights = layer.attention_weights(inputs[0])
        mixed = weights @ layer.queries_keys_values(inputs[0])[2]
        seen.append((weights, relative_error(output, layer.proj(mixed.transpose(1, 2).flatten(2)))))

    for layer in layers:
        layer.register_forward_hook(keep)
    with torch.no_grad():
        model(check.photos(64))
    assert [weights.shape for weights, _ in seen] == [(2, 8, 4, 4)] * 2
    for weights, error in seen:
        assert torch.allclose(weights.sum(-1), torch.ones(2, 8, 4)) and error < TOLERANCE


@pytest.mark.parametrize(("options", "message"), [
    ({"depths": (1, 1)}, "one entry for each of four stages"),
    ({"num_vit": 3}, "num_vit is 3: of the last 2 blocks"),
    ({"global_pool": "max"}, "global_pool is 'max'"), ({"global_pool": ""}, "needs pooled features"),
    ({"num_classes": -1}, "num_classes is -1"),
])
def test_options_that_make_no_network_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        EfficientFormer(**{**NARROW, **options})


def test_photos_of_another_size_are_refused_with_a_way_out():
    with pytest.raises(ValueError, match=r"64 x 64 pixels; got 96 x 96.*img_size=\(96, 96\)"):
        small()(check.photos(96))


def test_the_class_is_public():
    assert ours.EfficientFormer is EfficientFormer
