"""PiT against timm."""

from __future__ import annotations

import pytest
import torch

import explorer.models as ours
from explorer.models import attention
from explorer.models.backbones.pit import VARIANTS
from tests.models import family_checks as check
from tests.models.oracle import (
    TOLERANCE,
    check_gradients_equal,
    check_numbers,
    check_same_start,
    drop_path_rates,
    dropout_rates,
    randomise,
    relative_error,
    without_initialisation,
)

timm = pytest.importorskip("timm")

PLAIN, DISTILLED = "pit_ti_224", "pit_ti_distilled_224"
SMALL = {"img_size": 64, "depth": (1, 2, 1)}


def pair(name, **options):
    with without_initialisation():
        return ours.create_model(name, **options), timm.create_model(name, **options)


@pytest.mark.parametrize(("name", "size", "options"), [
    (PLAIN, 64, SMALL), (PLAIN, 224, {}), (DISTILLED, 64, SMALL),
    ("pit_b_224", 70, {**SMALL, "img_size": 70}),  # other patches
    (PLAIN, 71, {**SMALL, "img_size": 71, "mlp_ratio": 2}),  # pixels left over
], ids=lambda value: str(value).replace(" ", ""))
def test_numbers_equal_timms(name, size, options):
    check_numbers(*pair(name, **options), size)


@pytest.mark.parametrize("name", VARIANTS)
def test_settings_that_no_shape_shows_equal_timms(name):
    check.check_settings(name, timm)


@pytest.mark.parametrize("options", [{"in_chans": 1}, {"in_chans": 4}, {"num_classes": 5}, {"num_classes": 0}], ids=str)
@pytest.mark.parametrize("name", [PLAIN, DISTILLED])
def test_numbers_equal_timms_with_other_inputs_and_outputs(name, options):
    check.check_other_channels(*pair(name, **SMALL, **options), 64)


@pytest.mark.parametrize("name", [PLAIN, DISTILLED])
def test_one_training_step_leaves_the_same_gradients_as_timms(name):
    check_gradients_equal(*pair(name, num_classes=3, **SMALL), 64)


def test_new_networks_start_as_timms_do():
    torch.manual_seed(0)
    check_same_start(ours.create_model(PLAIN), timm.create_model(PLAIN))


def test_dropout_and_dropped_branches_equal_timms():
    rates = {"drop_rate": 0.1, "pos_drop_rate": 0.2, "proj_drop_rate": 0.3, "attn_drop_rate": 0.4,
             "drop_path_rate": 0.5}
    with torch.device("meta"):
        mine, theirs = pair(PLAIN, **rates)
    assert dropout_rates(mine) == dropout_rates(theirs)
    assert drop_path_rates(mine) == pytest.approx(drop_path_rates(theirs))


def test_while_training_a_distilled_network_gives_both_answers_when_asked():
    mine, theirs = pair(DISTILLED, num_classes=3, **SMALL)
    randomise(theirs)
    mine.load_state_dict(theirs.state_dict())
    mine.set_distilled_training(), theirs.set_distilled_training()
    x = check.photos(64)
    with torch.no_grad():
        for own, other in zip(mine.train()(x), theirs.train()(x), strict=True):
            assert relative_error(own, other) < TOLERANCE
        assert mine.eval()(x).shape == (2, 3)


def test_one_pass_gives_vector_and_logits():
    for name in (PLAIN, DISTILLED):
        model = pair(name, **SMALL)[0].eval()
        randomise(model)
        with torch.no_grad():
            features = model.forward_features(check.photos(64))
            vector, logits = model.forward_vector_and_logits(features)
            assert torch.equal(vector, model.forward_head(features, pre_logits=True))
            assert torch.equal(logits, model.forward_head(features))


def test_the_attention_of_every_block_can_be_shown():
    model = pair(DISTILLED, **SMALL)[0]
    randomise(model)
    found = attention.attention_maps(model, check.photos(64))
    assert list(found) == ["transformers.0.blocks.0.attn", "transformers.1.blocks.0.attn",
                           "transformers.1.blocks.1.attn", "transformers.2.blocks.0.attn"]
    first = next(iter(found.values()))
    assert first.weights.shape == (2, 2, 2 + 49, 2 + 49) and first.prefix == 2  # 7 x 7 places
    assert torch.allclose(first.weights.sum(-1), torch.ones(2, 2, 51), atol=1e-5)


def test_weights_for_another_size_get_their_positions_resized(tmp_path):
    trained = ours.create_model(PLAIN, **SMALL)
    torch.save(trained.state_dict(), tmp_path / "weights.pth")
    model = ours.create_model(PLAIN, checkpoint_path=tmp_path / "weights.pth", **{**SMALL, "img_size": (96, 128)})
    assert model.pos_embed.shape == (1, 64, 11, 15)
    assert model.load_report.adapted == ["pos_embed: from 7 x 7 places to 11 x 15"]
    with torch.no_grad():
        assert torch.isfinite(model.eval()(torch.randn(1, 3, 96, 128))).all()


def test_a_new_network_can_start_to_learn():
    check.check_fresh(ours.create_model(PLAIN, **SMALL), 64)


@pytest.mark.parametrize("name", [PLAIN, DISTILLED])
def test_a_gradient_reaches_every_parameter(name):
    check.check_gradients(pair(name, num_classes=2, **SMALL)[0], 64)


def test_it_compiles_without_a_graph_break():
    check.check_compiles(pair(DISTILLED, **SMALL)[0], 64)


@pytest.mark.parametrize("name", [PLAIN, DISTILLED])
def test_a_checkpoint_fills_every_tensor(name, tmp_path):
    check.check_loads(name, 64, tmp_path, **SMALL)


def test_a_new_classifier_keeps_its_place():
    model = pair(DISTILLED, **SMALL)[0].to(torch.float64)
    model.reset_classifier(3)
    assert model.head.weight.dtype == model.head_dist.weight.dtype == torch.float64
    model.to("meta").reset_classifier(4)
    assert model.head_dist.weight.is_meta and model.num_classes == 4


@pytest.mark.parametrize(("options", "words"), [
    ({"global_pool": "avg"}, "has the class token alone"), ({"img_size": 8}, "holds no patch"),
])
def test_what_it_can_not_do_is_said_at_once(options, words):
    with pytest.raises(ValueError, match=words):
        ours.create_model(PLAIN, **options)


def test_a_photo_of_another_size_is_refused_with_the_option_that_helps():
    with pytest.raises(ValueError, match=r"reads photos of 64 x 64 pixels; got 64 x 96.*img_size=\(64, 96\)"):
        pair(PLAIN, **SMALL)[0](torch.zeros(1, 3, 64, 96))
    with pytest.raises(ValueError, match="no distillation token: create one such as pit_ti_distilled_224"):
        pair(PLAIN, **SMALL)[0].set_distilled_training()
