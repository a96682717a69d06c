"""DeiT: what the general parity tests do not reach."""

from __future__ import annotations

import pytest
import torch

import explorer
import explorer.models as ours
from explorer.models import weights
from explorer.models.backbones.deit import VARIANTS
from tests.models.oracle import TOLERANCE, randomise, relative_error, same_weights
from tests.models.test_vit import _settings, photo

timm = pytest.importorskip("timm")

NAME = "deit_tiny_distilled_patch16_224"
SMALL = {"img_size": 32, "depth": 2}


def small(name: str = NAME, **options):
    """Two random blocks in evaluation mode, for photos of 32 x 32."""
    model = ours.create_model(name, **{**SMALL, **options}).eval()
    randomise(model)
    return model


@pytest.mark.parametrize("name", VARIANTS)
def test_settings_that_no_shape_shows_equal_timms(name):
    narrow = {"embed_dim": 4 * VARIANTS[name]["num_heads"], "depth": 1}
    mine, theirs = _settings(ours.create_model(name, **narrow)), _settings(timm.create_model(name, **narrow))
    for key in mine:
        if key in ("layer scale", "activation"):
            assert mine[key] == pytest.approx(theirs[key], rel=1e-6)
        else:
            assert mine[key] == theirs[key], key


def test_training_gives_the_mean_and_with_a_teacher_both_answers_as_timm_does():
    mine, theirs = ours.create_model(NAME, **SMALL), timm.create_model(NAME, **SMALL)
    same_weights(mine, theirs)
    mine.train(), theirs.train()
    with torch.no_grad():
        mean = mine(photo())
        assert relative_error(mean, theirs(photo())) < TOLERANCE
        mine.set_distilled_training(), theirs.set_distilled_training()
        for own, other in zip(mine(photo()), theirs(photo()), strict=True):
            assert own.shape == (2, 1000) and relative_error(own, other) < TOLERANCE
        assert relative_error(sum(mine(photo())) / 2, mean) < TOLERANCE
        assert relative_error(mine.eval()(photo()), mean) < TOLERANCE
        assert torch.is_tensor(mine.eval()(photo()))


def test_a_model_without_a_teacher_gives_no_second_answer():
    with pytest.raises(ValueError, match="no distillation token.*deit_tiny_distilled_patch16_224"):
        small("deit_tiny_patch16_224").set_distilled_training()


def test_patches_can_not_be_pooled_in_place_of_the_two_tokens():
    with pytest.raises(ValueError, match="global_pool is 'avg'.*distillation tokens"):
        ours.create_model(NAME, global_pool="avg", **SMALL)
    with pytest.raises(ValueError, match="global_pool is 'avg'"):
        small().reset_classifier(3, "avg")


def test_vector_and_logits_come_together_though_one_does_not_follow_from_the_other():
    model = small()
    with torch.no_grad():
        features = model.forward_features(photo())
        vector, logits = model.forward_vector_and_logits(features)
        assert torch.equal(vector, features[:, :2].mean(1)) and torch.equal(logits, model(photo()))
        with pytest.raises(ValueError, match="two classifiers for two tokens"):
            model.forward_classifier(vector)


def test_looking_at_a_distilled_model_shows_what_it_predicts():
    from PIL import Image

    model = small()
    seen = explorer.look(model, Image.new("RGB", (40, 50), (200, 30, 90)))
    with torch.no_grad():
        assert relative_error(seen.logits, model(seen.input[None])[0]) < TOLERANCE


def test_both_classifiers_are_new_together():
    model = small()
    model.reset_classifier(4)
    assert [layer.out_features for layer in model.get_classifier()] == [4, 4]
    model.reset_classifier(0)
    assert model(photo()).shape == (2, 192)


@pytest.mark.parametrize("classes", [None, 5, 0])
def test_trained_weights_load_with_both_classifiers_or_without_either(tmp_path, classes):
    source = small(num_classes=7)
    torch.save(source.state_dict(), tmp_path / "weights.pth")
    mine = ours.create_model(NAME, checkpoint_path=tmp_path / "weights.pth", num_classes=classes,
                             **SMALL).eval()
    assert not any(tensor.is_meta for tensor in mine.state_dict().values())
    with torch.no_grad():
        if classes is None:
            assert torch.equal(mine(photo()), source(photo()))
        else:
            assert torch.equal(mine.forward_features(photo()), source.forward_features(photo()))
            assert mine(photo()).shape == (2, classes or 192)


def test_weights_for_another_size_keep_the_positions_of_both_tokens(tmp_path):
    source = small(img_size=64)
    torch.save(source.state_dict(), tmp_path / "weights.pth")
    path = tmp_path / "weights.pth"
    mine = ours.create_model(NAME, checkpoint_path=path, img_size=96, depth=2).eval()
    overlay = {"file": str(path)}
    theirs = timm.create_model(NAME, pretrained=True, pretrained_cfg_overlay=overlay, img_size=96, depth=2)
    assert torch.equal(mine.pos_embed[:, :2], source.pos_embed[:, :2])
    with torch.no_grad():
        assert relative_error(mine(photo(96)), theirs.eval()(photo(96))) < 1e-4


def test_files_with_deit3s_own_names_load(tmp_path):
    source = small("deit3_small_patch16_224")
    state = {key.replace(".ls1.gamma", ".gamma_1").replace(".ls2.gamma", ".gamma_2"): value
             for key, value in source.state_dict().items()}
    assert "blocks.0.gamma_1" in state
    torch.save({"model": state}, tmp_path / "weights.pth")
    mine = ours.create_model("deit3_small_patch16_224", checkpoint_path=tmp_path / "weights.pth",
                             **SMALL).eval()
    assert torch.equal(mine(photo()), source(photo()))
    assert weights.convert("deit3_small_patch16_224", state, "facebook").keys() == source.state_dict().keys()


def test_fresh_weights_give_moderate_logits():
    model = ours.create_model(NAME, **SMALL).eval()
    with torch.no_grad():
        assert 0.01 < model(photo()).std() < 2
    assert model.dist_token.std().item() == pytest.approx(0.02, rel=0.3) and not model.head_dist.bias.any()


def test_an_unknown_option_is_answered_with_all_options():
    with pytest.raises(TypeError, match="no option 'colour'.*distilled.*patch_size"):
        ours.create_model(NAME, colour="red")
