"""look(model, photo, at=[...]): what chosen modules give is kept, of the very pass that the look is of."""

import pytest
import torch
from PIL import Image
from torch import nn

import explorer

PHOTO = Image.effect_noise((40, 40), 80).convert("RGB")


@pytest.fixture(scope="module")
def net() -> nn.Module:
    torch.manual_seed(0)
    relu = nn.ReLU(inplace=True)
    module = nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), nn.BatchNorm2d(4), relu, nn.Conv2d(4, 6, 3, 1, 1), relu,
                           nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 3))
    return explorer.wrap(module, input_size=(3, 32, 32)).eval()


def test_maps_and_vectors_are_those_that_the_modules_give(net):
    names = ["module.0", "module.1", "module.2:2", "module.6"]
    for _ in range(3):  # a faster copy, which folds the norm, is ready for the third look
        seen = explorer.look(net, PHOTO, at=names)
        explorer.look(net, PHOTO)
    first = net.module[0](seen.input[None])
    assert list(seen.modules) == names
    assert torch.allclose(seen.modules["module.0"], first[0], atol=1e-6)
    assert torch.allclose(seen.modules["module.1"], net.module[1](first)[0], atol=1e-6)  # as before the ReLU
    assert seen.modules["module.1"].min() < 0 and seen.modules["module.2:2"].shape == (6, 16, 16)
    assert torch.allclose(net.module[7](seen.modules["module.6"]), seen.logits, atol=1e-5)
    assert seen.mosaic("module.1").width and "module.1:" in seen._repr_html_()
    assert not any(module._forward_hooks for module in net.modules())


def test_maps_with_channels_last_are_turned_and_tokens_stay():
    swin = explorer.create_model("swin_tiny_patch4_window7_224", depths=(1, 1, 1, 1), embed_dim=24).eval()
    seen = explorer.look(swin, PHOTO, at="layers.0")
    assert torch.equal(seen.modules["layers.0"], seen.stages["layers0"])
    vit = explorer.create_model("vit_tiny_patch16_224", img_size=32, depth=1).eval()
    assert explorer.look(vit, PHOTO, at=["blocks.0.norm1"]).modules["blocks.0.norm1"].shape == (5, 192)


def test_detectors_and_ensembles_keep_theirs_too(net):
    detector = explorer.create_model("retinanet", backbone="resnet18", num_classes=2, img_size=64).eval()
    path = next(name for name, part in detector.named_modules() if isinstance(part, nn.Conv2d))
    assert explorer.look(detector, PHOTO, at=path).modules[path].ndim == 3
    both = explorer.Ensemble({"a": net, "b": net})
    path = next(name for name, part in both.named_modules() if isinstance(part, nn.Conv2d))
    assert explorer.look(both, PHOTO, at=path).modules[path].shape == (4, 16, 16)


def test_a_name_of_no_module_is_answered_by_the_nearest(net):
    for name, words in (("module.O", "Did you mean"), ("module.3:2", "does not run so often")):
        with pytest.raises(ValueError, match=words):
            explorer.look(net, PHOTO, at=name)


def test_a_map_with_as_many_channels_as_rows_lies_as_it_does_in_a_wide_photo():
    unet = explorer.create_model("unet", backbone="resnet18", num_classes=3).eval()
    seen = explorer.look(unet, PHOTO.resize((451, 300)), at=["encoder.act1", "encoder.maxpool"])
    first, pooled = seen.modules["encoder.act1"], seen.modules["encoder.maxpool"]
    assert pooled.shape[0] == pooled.shape[1] != pooled.shape[2]
    assert torch.equal(unet.encoder.maxpool(first[None])[0], pooled)
