"""Attention maps: read off every transformer, and held against what its layers really mixed."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torch.nn import functional as F

import explorer
from explorer.data.images import ImageError
from explorer.models.attention import AttentionMap
from tests.models.oracle import randomise, relative_error
from tests.models.samples import ONE_A_FILE, empty, small

#: Names that have attention where the file's first one has none.
WITH_ATTENTION = {"metaformer": "caformer_s18", "mobilenetv4": "mobilenetv4_hybrid_medium"}
#: Attention without torch's fused function, some of it linear in the number of tokens: these families' own
#: tests hold the weights against the outputs.
UNFUSED = ("mobilevit", "efficientvit_mit", "efficientvit_msra", "levit", "edgenext", "fastvit", "visformer",
           "vit_relatives", "cait")
#: One may add up to less than 1 there; differential attention takes one map from another, and goes below 0.
NO_SHARES = ("efficientvit_mit", "vit_relatives")


@pytest.fixture
def mixed(monkeypatch) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """(values, what came out) of each fused attention that runs, [..., heads, N, C / heads]."""
    calls, fused = [], F.scaled_dot_product_attention

    def spy(query, key, value, **options):
        result = fused(query, key, value, **options)
        calls.append((value, result))
        return result

    monkeypatch.setattr(F, "scaled_dot_product_attention", spy)
    return calls


def build(module: str) -> tuple[nn.Module, torch.Tensor]:
    if module not in WITH_ATTENTION:
        return small(module)
    model = explorer.create_model(WITH_ATTENTION[module], num_classes=5)
    randomise(model)
    return model, torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))


def flat(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.flatten(0, -4) if tensor.ndim > 4 else tensor


@pytest.mark.parametrize("module", ONE_A_FILE)
def test_the_maps_are_the_weights_that_the_layers_mixed_with(module, mixed):
    nobody = empty(WITH_ATTENTION.get(module, ONE_A_FILE[module]))
    if not any(hasattr(m, "attention_weights") for m in nobody.modules()):
        sentence = "has no attention layers whose weights could be shown. Take a transformer"
        with pytest.raises(ValueError, match=sentence):
            explorer.attention_maps(nobody, torch.zeros(1, 3, 64, 64))
        return
    model, photos = build(module)
    model.train()
    maps = explorer.attention_maps(model, photos)
    assert maps and model.training
    for found in maps.values():
        weights = found.weights
        assert weights.shape[0] == 2 * found.windows and weights.ndim == 4 and not weights.requires_grad
        if module not in NO_SHARES:
            assert (weights >= 0).all() and torch.allclose(weights.sum(-1), torch.ones(()), atol=1e-5)
        if found.grid is not None:
            assert found.grid[0] * found.grid[1] + found.prefix == weights.shape[-1]
    if module not in UNFUSED:
        assert len(maps) == len(mixed)
        for found, (values, result) in zip(maps.values(), mixed):
            assert relative_error(found.weights @ flat(values), flat(result)) < 1e-5


def test_a_vision_transformer_tells_its_grid_and_its_extra_tokens():
    model = explorer.create_model("vit_tiny_patch16_224", img_size=(32, 64), depth=3)
    maps = explorer.attention_maps(model, torch.randn(2, 3, 32, 64))
    assert list(maps) == [f"blocks.{i}.attn" for i in range(3)]
    found = maps["blocks.1.attn"]
    assert isinstance(found, AttentionMap) and found.weights.shape == (2, 3, 9, 9)
    assert (found.prefix, found.grid, found.windows) == (1, (2, 4), 1)


def test_shifted_windows_come_with_their_geometry_and_their_masks():
    model = explorer.create_model("swin_tiny_patch4_window7_224", img_size=56)
    randomise(model)
    maps = explorer.attention_maps(model, torch.randn(2, 3, 56, 56))
    found = maps["layers.0.blocks.1.attn"]
    assert found.weights.shape == (8, 3, 49, 49) and found.windows == 4 and found.grid == (7, 7)
    assert found.window == {"size": (7, 7), "shift": (3, 3), "map_size": (14, 14), "padded_size": (14, 14)}
    # in the last window the seam separates places: they see nothing of each other
    assert (found.weights[3] == 0).any() and not (found.weights[0] == 0).any()


@pytest.mark.parametrize(("blocks", "numbers"), [(1, [2]), ((0, -1), [0, 2]), (None, [0, 1, 2])], ids=str)
def test_blocks_are_chosen_by_number(blocks, numbers):
    model, photos = small("vit")
    found = explorer.attention_maps(model, photos, blocks=blocks)
    assert list(found) == [f"blocks.{i}.attn" for i in numbers]


def test_a_block_that_there_is_not_is_refused():
    model, photos = small("vit")
    with pytest.raises(IndexError, match="outside this model's 3"):
        explorer.attention_maps(model, photos, blocks=[7])


def hooks_in(model: nn.Module) -> int:
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules())


def test_no_hook_is_left_behind_even_after_an_error():
    model, photos = small("vit")
    explorer.attention_maps(model, photos)
    assert hooks_in(model) == 0
    with pytest.raises(ValueError, match="reads photos of"):
        explorer.attention_maps(model, torch.randn(1, 3, 50, 50))
    assert hooks_in(model) == 0


def test_one_pass_is_enough():
    model, photos = small("deit")
    passes = []
    model.patch_embed.register_forward_hook(lambda *_: passes.append(1))
    explorer.attention_maps(model, photos)
    assert len(passes) == 1


def test_another_librarys_transformer_says_where_its_own_kind_is_found():
    blocks = nn.TransformerEncoderLayer(8, 2, 8, batch_first=True)
    patches = nn.Conv2d(3, 8, 16, 16), nn.Flatten(2), nn.Linear(196, 8), blocks
    model = explorer.wrap(nn.Sequential(*patches, nn.Flatten(), nn.Linear(64, 2)))
    sentence = "another library's model, .* Take one of explorer's own transformers"
    with pytest.raises(ValueError, match=sentence):
        explorer.attention_maps(model, torch.zeros(1, 3, 32, 32))


PHOTO = Image.new("RGB", (60, 40), (200, 90, 20))


@pytest.mark.parametrize("image", [PHOTO, np.asarray(PHOTO), torch.rand(3, 40, 60),
                                   torch.zeros(1, 3, 40, 60, dtype=torch.uint8)],
                         ids=["photo", "array", "tensor", "bytes in a batch"])
def test_a_photo_is_prepared_as_look_prepares_it(image):
    model, _ = small("vit")
    found = explorer.attention_maps(model, image, blocks=1)
    same = explorer.attention_maps(model, explorer.look(model, image).input[None], blocks=1)
    assert found.keys() == same.keys() == {"blocks.2.attn"}
    assert torch.equal(found["blocks.2.attn"].weights, same["blocks.2.attn"].weights)


def test_a_name_stands_for_its_trained_model(monkeypatch):
    model, photos = small("vit")
    asked = []
    monkeypatch.setattr("explorer.inspection.look.model.create_model",
                        lambda name, **options: asked.append((name, options)) or model)
    for given in (PHOTO, photos):
        assert list(explorer.attention_maps("vit_tiny_patch16_224", given)) == [
            f"blocks.{i}.attn" for i in range(3)]
    assert asked == [("vit_tiny_patch16_224", {"pretrained": True})] * 2


def test_what_is_no_photo_and_no_model_is_told_in_a_sentence():
    model, photos = small("vit")
    with pytest.raises(ImageError, match="There is no file 'no cat.jpg'"):
        explorer.attention_maps(model, "no cat.jpg")
    with pytest.raises(ValueError, match="Did you mean 'vit_tiny_patch16_224'"):
        explorer.attention_maps("vit_tiny_patch16_22", photos)
