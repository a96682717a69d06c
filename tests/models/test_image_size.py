"""`img_size`: obeyed by every family, or refused in a sentence."""

from __future__ import annotations

import pytest
import torch

import explorer
from explorer.data import resolve_data_config
from explorer.models.backbones.vit import VisionTransformer


@pytest.mark.parametrize(("name", "size", "sides"), [
    ("resnet18", 480, (480, 480)), ("resnet18", (96, 160), (96, 160)), ("resnet18", [64, 64], (64, 64)),
    ("vgg11", 96, (96, 96)), ("vit_tiny_patch16_224", 96, (96, 96)), ("timm/mnasnet_small", 96, (96, 96)),
    ("timm/vit_tiny_patch16_224", 64, (64, 64)),
])
def test_photos_are_prepared_at_the_size_that_was_asked_for(name, size, sides):
    """case A15: a convolutional network ignored it, and photos stayed 224."""
    model = explorer.create_model(name, img_size=size)
    assert model.config.input_size == (3, *sides)
    assert resolve_data_config({}, model=model)["input_size"] == (3, *sides)
    assert resolve_data_config({}, model=model, use_test_size=True)["input_size"] == (3, *sides)
    assert explorer.look(model.eval(), explorer.sample_photos()[0]).input.shape == (3, *sides)


def test_a_saved_model_keeps_the_size(tmp_path):
    model = explorer.create_model("resnet18", img_size=96)
    assert "img_size" not in dict(model.config.build_options)  # nothing is built for it
    assert explorer.create_model("resnet18", img_size=96, features_only=True).config.input_size == (3, 96, 96)


@pytest.mark.parametrize(("size", "kind", "words"), [
    (0, ValueError, "img_size is 0: a side is from 1 to 8192"), (-3, ValueError, "is -3"),
    (100_000, ValueError, "is 100000"), ("224", TypeError, "img_size is '224': give the side"),
    (224.5, TypeError, "whole pixels"), (True, TypeError, "is True"),
    ((3, 224, 224), ValueError, "one side in pixels, or"), ((), ValueError, "one side"),
    ((224, None), TypeError, "whole pixels"),
])
@pytest.mark.parametrize("name", ["resnet18", "vit_tiny_patch16_224", "timm/mnasnet_small"])
def test_what_is_no_size_is_refused(name, size, kind, words):
    with torch.device("meta"), pytest.raises(kind, match=words):
        explorer.create_model(name, img_size=size)


@pytest.mark.parametrize(("name", "size"), [("inception_v3", 64), ("alexnet", 40), ("squeezenet1_1", 10),
                                          ("timm/inception_v3", 32)])
def test_a_network_that_shrinks_a_small_photo_to_nothing_says_so(name, size):
    with pytest.raises(ValueError, match=f"can't run on photos of {size} x {size} pixels: give a larger"):
        explorer.create_model(name, img_size=size)


def test_options_that_timm_does_not_take_are_a_sentence():
    with pytest.raises(TypeError, match="timm/mnasnet_small has no option 'nonsense'"):
        explorer.create_model("timm/mnasnet_small", nonsense=3)
    with pytest.raises(ValueError, match="timm/vgg11 can't be built with output_stride=8"):
        explorer.create_model("timm/vgg11", output_stride=8)
    with pytest.raises(TypeError, match="global_pool is 3: give a word"):
        explorer.create_model("resnet18", global_pool=3)


def test_what_is_left_over_of_patches_that_do_not_divide_the_photo_is_not_read_as_in_timm():
    timm = pytest.importorskip("timm")
    sizes = {"img_size": 64, "patch_size": 15, "embed_dim": 8, "depth": 1, "num_heads": 2, "num_classes": 3}
    theirs = timm.models.VisionTransformer(**sizes).eval()
    mine = VisionTransformer(**sizes).eval()
    mine.load_state_dict(theirs.state_dict())
    photo = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    rest = photo.clone()
    rest[..., 60:, :] = rest[..., 60:] = 9  # four patches of 15 are 60
    with torch.no_grad():
        assert mine.patch_embed.grid_size == theirs.patch_embed.grid_size == (4, 4)
        assert torch.allclose(mine(photo), theirs(photo), atol=1e-5)
        assert torch.equal(mine(photo), mine(rest))
