"""Microsoft's EfficientViT against timm, and what its training, its attention and other photo sizes need."""

from __future__ import annotations

import pytest
import torch

import explorer.models as ours
from explorer.models.backbones.efficientvit_msra import CascadedGroupAttention, distances
from tests.models import family_checks as check
from tests.models.oracle import TOLERANCE, randomise, relative_error, same_weights, without_initialisation

timm = pytest.importorskip("timm")

SMALL = "efficientvit_m0"


def build(library, name, **options):
    with without_initialisation():
        return library.create_model(name, **options)


def test_a_new_classifier_learns_and_predicts_as_the_network_does():
    model = ours.create_model(SMALL).eval()
    model.reset_classifier(3)
    assert not model.head.training and not model.head.bn.training
    model.train().reset_classifier(4)
    assert model.head.training and model.head.bn.training


def test_the_logits_follow_from_the_vector_in_front_of_the_norm():
    model = ours.create_model(SMALL, num_classes=4).eval()
    randomise(model)
    features = check.photos(2, in_chans=192)
    with torch.no_grad():
        vector, logits = model.forward_vector_and_logits(features)
        assert torch.equal(vector, features.mean((2, 3)))
        assert torch.equal(logits, model.forward_head(features))


def test_the_photos_size_is_noted():
    assert ours.create_model(SMALL, img_size=192).config.input_size == (3, 192, 192)


@pytest.mark.parametrize("img_size", [192, 448])
def test_trained_biases_fit_windows_of_other_sizes(tmp_path, img_size):
    source = ours.create_model(SMALL, num_classes=3)
    randomise(source)
    torch.save(source.state_dict(), tmp_path / "weights.pth")
    model = ours.create_model(SMALL, checkpoint_path=tmp_path / "weights.pth", img_size=img_size)
    old, new = (m.stages[2].blocks[0].mixer.m.attn.attention_biases.unflatten(1, (s, s))
                for m, s in ((source, 4), (model, 3 if img_size == 192 else 7)))
    assert torch.equal(new[:, :3, :3], old[:, :3, :3])
    if img_size == 448:
        assert torch.equal(new[:, 6, 6], old[:, 3, 3]) and torch.equal(new[:, 5, 1], old[:, 3, 1])
    assert any("windows of 4 x 4 places" in line for line in model.load_report.adapted)
    with torch.no_grad():
        assert torch.isfinite(model.eval()(check.photos(64))).all()


def test_windows_do_not_see_each_other():
    model = ours.create_model(SMALL)
    randomise(model)
    mixer = model.eval().stages[0].blocks[0].mixer
    x = check.photos(14, in_chans=64, count=1)
    changed = x.clone()
    changed[..., 7:, 7:] += 1  # the last of four windows
    with torch.no_grad():
        difference = (mixer(changed) - mixer(x)).abs().amax((0, 1)) > 1e-6
    assert difference[7:, 7:].all() and int(difference.sum()) == 49


def test_attention_weights_are_those_that_forward_uses():
    layer = CascadedGroupAttention(12, kernels=(3, 1), key_dim=4, size=3)
    randomise(layer)
    x = check.photos(3, in_chans=12)
    with torch.no_grad():
        matrix, result = layer.eval().attention_weights(x), 0
        assert matrix.shape == (2, 2, 9, 9)
        assert torch.allclose(matrix.sum(-1), torch.ones(2, 2, 9), atol=1e-6)
        results = []
        for i, share in enumerate(x.chunk(2, dim=1)):  # each head reads its share and the result before it
            value = layer.qkvs[i](share + result)[:, 8:].flatten(2)
            result = (matrix[:, i] @ value.transpose(1, 2)).transpose(1, 2).unflatten(2, (3, 3))
            results.append(result)
        assert relative_error(layer.proj(torch.cat(results, dim=1)), layer(x)) < TOLERANCE


def test_distances_are_counted_in_rows_and_columns_without_direction():
    table = distances(3)
    assert table[0].tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8]
    assert torch.equal(table, table.T) and table[4].tolist() == [4, 3, 4, 1, 0, 1, 4, 3, 4]


def test_a_photo_that_is_no_square_is_taken():
    mine, theirs = build(ours, SMALL), build(timm, SMALL)
    same_weights(mine, theirs)
    x = torch.randn(2, 3, 160, 240, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert relative_error(mine(x), theirs(x)) < TOLERANCE


@pytest.mark.parametrize(("options", "message"), [
    ({"global_pool": ""}, "num_classes=0"), ({"output_stride": 16}, "can't trade stride"),
    ({"drop_path_rate": 0.1}, "leave drop_path_rate at 0"),
    ({"widths": (64, 126, 192)}, "can't be shared by 4 heads"),
], ids=str)
def test_what_cannot_be_built_is_said(options, message):
    with pytest.raises(ValueError, match=message):
        ours.create_model(SMALL, **options)
