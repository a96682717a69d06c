"""PiT against timm."""

from __future__ import annotations

import pytest
import torch

import explorer.models as ours
from explorer.models import attention
from tests.models import family_checks as check
from tests.models.oracle import (
    TOLERANCE,
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
    larger = {**SMALL, "img_size": (96, 128)}
    model = ours.create_model(PLAIN, checkpoint_path=tmp_path / "weights.pth", **larger)
    assert model.pos_embed.shape == (1, 64, 11, 15)
    assert model.load_report.adapted == ["pos_embed: from 7 x 7 places to 11 x 15"]
    with torch.no_grad():
        assert torch.isfinite(model.eval()(torch.randn(1, 3, 96, 128))).all()


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
