"""Rollout is the product of attention that the paper asks for; one head's picture is its row of weights."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import explorer
from explorer.inspection.attribution.explaining import explain
from explorer.inspection.attribution.rollout import attention_of, read_attention
from explorer.inspection.look.looking import look
from explorer.models.attention import AttentionMap, attention_maps
from tests.inspection.small_models import noise_photo, tiny
from tests.models.samples import small

PHOTO = noise_photo()


@pytest.fixture(scope="module")
def vit():
    return tiny("vit")


def input_of(model) -> torch.Tensor:
    return look(model, PHOTO).input[None]


def rolled(model) -> np.ndarray:
    """The paper's equation, step by step in numpy: tokens x tokens."""
    product = None
    for layer in attention_maps(model, input_of(model)).values():
        heads = layer.weights[0].double().numpy()
        mixed = sum(heads) / len(heads) + np.eye(heads.shape[-1])
        mixed = mixed / mixed.sum(axis=1)[:, None]
        product = mixed if product is None else np.matmul(mixed, product)
    return product


def test_rollout_for_a_class_token_is_its_row_of_the_product(vit):
    found = explain(vit, PHOTO, method="rollout")
    assert np.allclose(found.raw.numpy().ravel(), rolled(vit)[0, 1:], atol=1e-6)
    assert found.target is None and found.label == "" and found.passes == 1


def test_rollout_for_a_pooled_network_is_the_mean_over_the_patches():
    model = tiny("vit", global_pool="avg")
    assert np.allclose(
        explain(model, PHOTO, method="rollout").raw.numpy().ravel(), rolled(model)[1:, 1:].mean(0), atol=1e-6
    )


def test_registers_are_not_patches():
    model = tiny("vit_relatives")
    maps = read_attention(model, input_of(model)[0])
    prefix = next(iter(maps.values())).prefix
    if any((layer.weights < 0).any() for layer in maps.values()):
        with pytest.raises(ValueError, match="negative"):
            explain(model, PHOTO, method="rollout")
    else:
        assert prefix and explain(model, PHOTO, method="rollout").raw.shape == next(iter(maps.values())).grid


def test_a_class_is_said_not_to_count(vit):
    assert "knows of no class" in explain(vit, PHOTO, method="rollout", target=1).notes[-1]


def test_a_transformer_without_a_classifier_can_be_followed_too(vit):
    import copy

    headless = copy.deepcopy(vit)
    headless.reset_classifier(0)
    assert torch.equal(
        explain(headless, PHOTO, method="rollout").raw, explain(vit, PHOTO, method="rollout").raw
    )


@pytest.mark.parametrize(("module", "words"), [
    ("swin", "attention stays in windows"), ("pit", "tokens change on the way"),
    ("levit", "tokens change on the way"),
    ("cait", "tokens change on the way"), ("resnet", "no attention layers"),
])
def test_networks_that_can_t_be_followed_are_refused_with_a_sentence(module, words):
    with pytest.raises(ValueError, match=words):
        explain(tiny(module), PHOTO, method="rollout")


@pytest.mark.parametrize("block", [0, 2, -1])
@pytest.mark.parametrize("head", [None, 0, 2])
def test_one_head_of_one_block_is_its_row_of_weights(vit, block, head):
    found = explain(vit, PHOTO, method="attention", block=block, head=head)
    weights = list(attention_maps(vit, input_of(vit)).values())[block].weights[0]
    row = weights.mean(0)[0, 1:] if head is None else weights[head, 0, 1:]
    assert torch.allclose(found.raw.flatten(), row) and found.stage == f"blocks.{block % 3}.attn"


def test_a_place_can_be_asked_where_it_looks(vit):
    found = explain(vit, PHOTO, method="attention", block=1, head=0, query=(2, 3))
    weights = list(attention_maps(vit, input_of(vit)).values())[1].weights[0, 0]
    assert torch.allclose(found.raw.flatten(), weights[1 + 2 * 4 + 3, 1:])


@pytest.mark.parametrize(("options", "words"), [
    ({"block": 3}, "Block 3 is outside of the 3 attention layers: use -3 to 2"),
    ({"head": 3}, "has 3 heads; got head 3"),
    ({"query": (4, 0)}, "4 rows and 4 columns; there is no place"),
], ids=str)
def test_a_block_head_or_place_that_there_is_not_is_named(vit, options, words):
    with pytest.raises(IndexError, match=words):
        explain(vit, PHOTO, method="attention", **options)


def test_windows_are_put_together_and_their_shift_undone():
    """Each place gets the mean that its window takes from it: here the place's own number."""
    numbers = torch.arange(64.0).view(8, 8)
    shifted = numbers.roll((-2, -2), (0, 1))
    windows = shifted.view(2, 4, 2, 4).permute(0, 2, 1, 3).reshape(4, 1, 1, 16).expand(4, 3, 16, 16)
    layer = AttentionMap("a", windows, 4, 0, (4, 4), {"size": (4, 4), "shift": (2, 2), "map_size": (8, 8)})
    assert torch.equal(attention_of({"a": layer}), numbers)


def test_a_network_of_windows_shows_its_attention():
    model = tiny("swin")
    found = explain(model, PHOTO, method="attention", block=0)
    assert found.raw.ndim == 2 and found.raw.min() > 0
    with pytest.raises(ValueError, match="stays in windows"):
        explain(model, PHOTO, method="attention", block=0, query=(0, 0))


@pytest.mark.parametrize("size", [(75, 75), (70, 100), (101, 64)])
@pytest.mark.parametrize("module", ["vit", "deit", "beit", "cait"])
def test_a_photo_that_is_no_whole_number_of_patches_has_its_maps(module, size):
    """case A17: create_model(..., img_size=480) for patches of 14: the grid is rounded down."""
    model, _ = small(module, img_size=size)
    model.config = model.config.with_(input_size=(3, *size), crop_pct=1.0, crop_mode="squash")
    patch = model.stage_table[0].reduction
    grid = (size[0] // patch, size[1] // patch)
    photo = noise_photo(size[1], size[0])
    for method in ("attention", *(["rollout"] if module != "cait" else []), "gradcam"):
        found = explain(model.eval(), photo, method=method)
        assert found.raw.shape == grid and found.heatmap.any()
        assert not found.heatmap[patch * grid[0]:].any() and not found.heatmap[:, patch * grid[1]:].any()


def test_dinov2s_patches_of_14_in_480_pixels():
    """case A17, as it was reported."""
    model = explorer.create_model("vit_small_patch14_dinov2", img_size=480, depth=2).eval()
    for method in ("attention", "rollout"):
        assert explain(model, noise_photo(480, 480), method=method).raw.shape == (34, 34)
    names = [place.name for place in explorer.top_photos(model, [noise_photo(480, 480)], "block1", 0)]
    assert len(names) == 1


def test_class_tokens_that_ask_alone_show_what_they_take():
    """case A17, neighbours: class attention has one row, and the places of all patches as columns."""
    model, photos = small("cait")
    maps = attention_maps(model, photos[:1])
    last = list(maps.values())[-1]
    assert last.weights.shape[-2:] == (1, 17) and (last.grid, last.prefix) == ((4, 4), 1)
    assert torch.equal(attention_of(maps), last.weights[0].mean(0)[0, 1:].view(4, 4))
    with pytest.raises(ValueError, match="not every place asks"):
        attention_of(maps, query=(0, 0))
