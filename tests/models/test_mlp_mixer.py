"""MLP-Mixer, ResMLP and gMLP: numbers on every code path, and what a family must do beyond them."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import explorer.models as ours
from explorer.models.backbones.mlp_mixer import VARIANTS, MlpMixer
from tests.models import family_checks as check
from tests.models.oracle import TOLERANCE, randomise, relative_error, same_weights, without_initialisation

timm = pytest.importorskip("timm")

NAME = "mixer_s32_224"
KINDS = [NAME, "gmixer_12_224", "resmlp_12_224", "gmlp_ti16_224"]


def pair(name: str, **options):
    """Ours and timm's for small photos, with weights that nobody has drawn."""
    with without_initialisation():
        return tuple(library.create_model(name, **{"img_size": 64, **options}) for library in (ours, timm))


def small(name: str = NAME, **options) -> MlpMixer:
    """Two narrow random blocks in evaluation mode, for photos of 64 x 64."""
    model = ours.create_model(name, **{"img_size": 64, "embed_dim": 32, "num_blocks": 2, **options}).eval()
    randomise(model)
    return model


@pytest.mark.parametrize("name", KINDS)
def test_a_photo_that_is_no_square_gives_timms_numbers(name):
    mine, theirs = pair(name, img_size=(32, 64), num_classes=5)
    same_weights(mine, theirs)
    x = torch.randn(2, 3, 32, 64, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        assert relative_error(mine(x), theirs(x)) < TOLERANCE
        maps = mine.forward_intermediates(x, intermediates_only=True)
        wanted = theirs.forward_intermediates(x, intermediates_only=True)
        assert relative_error(maps[-1], wanted[-1]) < TOLERANCE


def test_without_pooling_each_patch_gets_logits_as_in_timm():
    mine, theirs = pair(NAME, global_pool="", num_classes=5)
    same_weights(mine, theirs)
    with torch.no_grad():
        assert mine(check.photos(64)).shape == (2, 4, 5)
        assert relative_error(mine(check.photos(64)), theirs(check.photos(64))) < TOLERANCE
    mine.reset_classifier(3, "avg")
    assert mine(check.photos(64)).shape == (2, 3)


def _settings(model) -> dict:
    """What a model is set to do that the shapes of its tensors don't tell."""
    first = model.blocks[0]
    probe = torch.linspace(-3, 3, 13)
    return {
        "patch_size": model.stem.patch_size, "img_size": model.stem.img_size,
        "eps": [m.eps for m in model.modules() if isinstance(m, nn.LayerNorm)],
        "activation": first.mlp_channels.act(probe).tolist(),
        "scale": [first.ls1[0].item()] if hasattr(first, "ls1") else [],
    }


@pytest.mark.parametrize("name", VARIANTS)
def test_settings_that_no_shape_shows_equal_timms(name):
    mine, theirs = (_settings(model) for model in pair(name))
    assert mine.pop("activation") == pytest.approx(theirs.pop("activation"))
    assert mine == theirs


@pytest.mark.parametrize("name", KINDS)
def test_fresh_layers_are_drawn_as_timms_are(name):
    torch.manual_seed(0)
    mine, theirs = (library.create_model(name, img_size=224) for library in (ours, timm))
    for (key, own), other in zip(mine.named_parameters(), theirs.parameters(), strict=True):
        if key.startswith("blocks.0."):
            scale = max(other.std().item(), 1e-5)
            assert own.mean().item() == pytest.approx(other.mean().item(), abs=0.1 * scale), key
            assert own.std().item() == pytest.approx(other.std().item(), rel=0.1, abs=1e-5), key


@pytest.mark.parametrize("name", KINDS)
def test_a_fresh_network_gives_each_class_the_same_chance(name):
    model = ours.create_model(name, img_size=64, num_blocks=2).eval()
    with torch.no_grad():
        assert not model(check.photos(64)).any()
        vector = model.forward_head(model.forward_features(check.photos(64)), pre_logits=True)
    assert torch.isfinite(vector).all() and 0.05 < vector.std() < 2
    model.reset_classifier(3)
    assert not model.head.weight.any()


def test_every_output_depends_on_every_patch():
    for name in KINDS:
        model = small(name)
        x = check.photos(64).requires_grad_()
        model.forward_features(x)[0, 0].sum().backward()
        assert x.grad[0].abs().sum(0).unflatten(0, (-1, 16)).unflatten(2, (-1, 16)).sum((1, 3)).all(), name
        assert not x.grad[1].any()


def test_drop_path_rates_equal_timms():
    for name in KINDS:
        mine, theirs = pair(name, drop_path_rate=0.3, proj_drop_rate=0.2, drop_rate=0.1)
        rates = [[getattr(b.drop_path, "drop_prob", 0) for b in m.blocks] for m in (mine, theirs)]
        assert rates[0] == pytest.approx(rates[1]) and rates[0][0] == 0.3
        assert (mine.head_drop.p, mine.blocks[0].mlp_channels.drop1.p) == (0.1, 0.2)
        assert [m.p for m in mine.modules() if isinstance(m, nn.Dropout)] == \
            [m.p for m in theirs.modules() if isinstance(m, nn.Dropout)]


@pytest.mark.parametrize("name", KINDS)
def test_weights_for_another_number_of_patches_are_refused_in_words(name, tmp_path):
    torch.save(small(name).state_dict(), tmp_path / "weights.pth")
    side = 128 // small(name).stem.patch_size[0]
    options = {"img_size": 128, "embed_dim": 32, "num_blocks": 2}
    sentence = f"they mix {side**2 // 4} patches, this model {side**2}.*img_size"
    with pytest.raises(ours.WeightsError, match=sentence):
        ours.create_model(name, checkpoint_path=tmp_path / "weights.pth", **options)


def test_files_with_resmlps_own_names_load(tmp_path):
    source = small("resmlp_12_224")
    state = {}
    for key, value in source.state_dict().items():
        for theirs, mine in (("patch_embed.", "stem."), (".attn.", ".linear_tokens."),
                             (".mlp.", ".mlp_channels."), (".gamma_", ".ls")):
            key = key.replace(mine, theirs)
        state[key] = value.flatten() if key.endswith((".alpha", ".beta")) else value
    assert "blocks.0.gamma_1" in state and "blocks.1.attn.weight" in state
    torch.save(state, tmp_path / "weights.pth")
    options = dict(img_size=64, embed_dim=32, num_blocks=2)
    mine = ours.create_model("resmlp_12_224", checkpoint_path=tmp_path / "weights.pth", **options).eval()
    assert torch.equal(mine(check.photos(64)), source(check.photos(64)))


def test_other_poolings_are_refused():
    with pytest.raises(ValueError, match="Unknown pooling 'max'. Use one of 'avg', ''"):
        small(global_pool="max")


def test_the_class_is_public():
    assert ours.MlpMixer is MlpMixer
