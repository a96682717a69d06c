"""What every family must do beyond giving timm's numbers: one function for each, called by the tests."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

import explorer.models as ours
from tests.models.oracle import TOLERANCE, photos, randomise, relative_error, same_weights


def settings(model: nn.Module) -> dict[str, tuple]:
    """What no shape tells of each convolution and BatchNorm: stride, padding, dilation, groups; epsilon."""
    found: dict[str, tuple] = {}
    for name, module in model.named_modules():
        if isinstance(module, nn.Conv2d):
            found[name] = (module.stride, module.padding, module.dilation, module.groups)
        elif isinstance(module, nn.BatchNorm2d):
            found[name] = (module.eps, module.momentum)
    return found


def check_settings(name: str, timm, **options) -> None:
    """Every convolution and BatchNorm is set as in timm; on `meta`, so that the largest are checked too."""
    with torch.device("meta"):
        assert settings(ours.create_model(name, **options)) == settings(timm.create_model(name, **options))


def check_other_channels(mine: nn.Module, theirs: nn.Module, size: int) -> None:
    """A photo that is not RGB gives timm's logits."""
    same_weights(mine, theirs)
    x = photos(size, in_chans=mine.in_chans)
    with torch.no_grad():
        assert relative_error(mine(x), theirs(x)) < TOLERANCE


#: Biases in front of a softmax over all places, which they shift alike: global context's attention has one.
NO_EFFECT = ("se.conv_attn.bias", "attn.conv_attn.bias")


def check_gradients(model: nn.Module, size: int) -> None:
    """One training step: a gradient that is a number and not zero reaches every parameter.

    A unit behind a ReLU may be silent by chance, and a squeeze may have but one unit: so silent ones are
    drawn again, a few times at most.
    """
    silent = {name for name, _ in model.named_parameters() if not name.endswith(NO_EFFECT)}
    for seed in range(6):
        randomise(model, seed)
        model.train()
        model.zero_grad()
        x, answers = photos(size), torch.tensor([0, 1])
        loss = F.cross_entropy(model(x), answers)
        loss.backward()
        for name, parameter in model.named_parameters():
            assert parameter.grad is not None, f"no gradient reaches {name}"
            assert torch.isfinite(parameter.grad).all(), name
            if parameter.grad.any():
                silent.discard(name)
        if not silent:
            break
    assert sorted(silent) == []


def check_fresh(model: nn.Module, size: int) -> None:
    """A new model answers noise with finite logits of a sane size: it can start to learn."""
    model.train()
    torch.manual_seed(0)
    with torch.no_grad():
        logits = model(photos(size, count=4))
    assert torch.isfinite(logits).all()
    assert 1e-6 < logits.std() < 5


def check_compiles(model: nn.Module, size: int) -> None:
    """torch.compile takes the whole network as one graph, with the same result."""
    randomise(model)
    model.eval()
    torch._dynamo.reset()
    with torch.no_grad():
        compiled = torch.compile(model, fullgraph=True, backend="eager")
        assert relative_error(compiled(photos(size)), model(photos(size))) < TOLERANCE


def check_loads(name: str, size: int, folder, **options) -> None:
    """A saved file gives the same model back, built on `meta`: no tensor is left there."""
    before = ours.create_model(name, **options)
    randomise(before)
    path = folder / "weights.pth"
    torch.save(before.state_dict(), path)
    after = ours.create_model(name, checkpoint_path=path, **options)
    assert not any(tensor.is_meta for tensor in (*after.parameters(), *after.buffers()))
    with torch.no_grad():
        assert torch.equal(before.eval()(photos(size)), after.eval()(photos(size)))


def check_features(name: str, size: int, **options) -> None:
    """features_only: the maps have the channels and sizes that the table promises."""
    model = ours.create_model(name, features_only=True, **options).eval()
    info = model.feature_info
    with torch.no_grad():
        maps = model(photos(size))
    for feature_map, channels, reduction in zip(maps, info.channels(), info.reduction(), strict=True):
        assert feature_map.shape == (2, channels, size // reduction, size // reduction)


def check_new_classifier_keeps_its_place(model: nn.Module) -> None:
    """reset_classifier keeps dtype, mode and pooling, and on `meta` it stays on `meta`."""
    pool = pooling(model)
    model.to(torch.float64).eval()
    model.reset_classifier(3)
    assert model.num_classes == 3 and pooling(model) == pool
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float64}
    acting = (nn.Dropout, nn.modules.batchnorm._BatchNorm)  # while training, others do what they always do
    assert not any(module.training for module in model.modules() if isinstance(module, acting))
    model.to("meta").reset_classifier(4)
    assert model.num_classes == 4 and all(parameter.is_meta for parameter in model.parameters())


def pooling(model: nn.Module) -> str:
    """How a network pools, wherever it keeps that: in itself or in its head."""
    place = model if hasattr(model, "global_pool") else model.head
    return str(place.global_pool)
