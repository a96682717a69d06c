"""Holding our models against an independent implementation (timm)."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

TOLERANCE = 1e-5  # relative, in float32
# So many numbers are drawn for a tensor, and a larger one repeats them: the classifier of vgg has a hundred
# million. A prime, so that no row of weights and no channel begins where another did.
DRAWN = 131_071


@contextmanager
def without_initialisation() -> Iterator[None]:
    """Models built inside skip torch's and timm's initialisers, for shapes or for numbers that follow.

    On `meta` each initialiser is Python code that computes nothing, and yet most of the time goes there:
    without timm's truncated normal alone, on which its others stand, building all takes a third of the time.
    """
    names = [name for name in dir(nn.init) if name[0] != "_" and name[-1] == "_"]
    places = [(nn.init, name) for name in names]
    if timms := sys.modules.get("timm.layers.weight_init"):
        places.append((timms, "_trunc_normal_"))
    initialisers = [(module, name, getattr(module, name)) for module, name in places]
    for module, name, _ in initialisers:
        setattr(module, name, lambda tensor, *args, **options: tensor)
    try:
        yield
    finally:
        for module, name, function in initialisers:
            setattr(module, name, function)


def randomise(model: nn.Module, seed: int = 0) -> None:
    """Give every parameter and BatchNorm statistic a random value that keeps activations finite.

    Zero-initialised layers and fresh running statistics would hide mistakes.
    """
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in model.state_dict().items():  # fixed filters are in no checkpoint, and stay fixed
            if not tensor.is_floating_point():
                continue
            if name.endswith("running_var"):
                tensor.normal_(generator=generator).abs_().add_(0.5)
            elif tensor.ndim > 1:  # keep the scale of a signal that passes through
                fan_in = tensor[0].numel()
                fill(tensor, max(fan_in, 1) ** -0.5, generator)
            elif name.endswith("weight"):
                tensor.normal_(mean=1, std=0.2, generator=generator)
            else:
                tensor.normal_(std=0.2, generator=generator)


def fill(tensor: torch.Tensor, std: float, generator: torch.Generator) -> None:
    """Normal numbers of that spread, of which a large tensor repeats the first `DRAWN`."""
    if tensor.numel() <= DRAWN:
        tensor.normal_(std=std, generator=generator)
        return
    drawn = torch.empty(DRAWN, dtype=tensor.dtype).normal_(std=std, generator=generator)
    for part in tensor.view(-1).split(DRAWN):
        part.copy_(drawn[:len(part)])


def relative_error(ours: torch.Tensor, theirs: torch.Tensor) -> float:
    """Largest difference as a share of the largest value; infinite where shapes differ."""
    if ours.shape != theirs.shape:
        return float("inf")
    scale = theirs.abs().max().clamp_min(1e-12)
    return float((ours - theirs).abs().max() / scale)


def same_weights(ours: nn.Module, theirs: nn.Module, seed: int = 0) -> None:
    """Randomise `theirs` and load exactly the same numbers into `ours`; strict."""
    randomise(theirs, seed)
    ours.load_state_dict(theirs.state_dict(), strict=True)
    ours.eval(), theirs.eval()


def photos(size: int | tuple[int, int], *, in_chans: int = 3, count: int = 2, seed: int = 1) -> torch.Tensor:
    """Noise [count, in_chans, H, W], always the same; `size`: the side of a square, or (H, W)."""
    height, width = size if isinstance(size, tuple) else (size, size)
    return torch.randn(count, in_chans, height, width, generator=torch.Generator().manual_seed(seed))


def check_numbers(mine: nn.Module, theirs: nn.Module, size: int | tuple[int, int]) -> None:
    """With the same random weights, `mine` gives timm's numbers for photos of `size` pixels.

    Logits, features, the vector before the classifier, every stage's map, and all of it behind a new
    classifier. `size`: the side of a square, or (height, width).
    """
    same_weights(mine, theirs)
    x = photos(size, in_chans=mine.in_chans)
    with torch.no_grad():
        logits, features, maps = timm_numbers(theirs, x)
        own_features, own_logits = features_and_logits(mine, x)
        assert relative_error(own_features, features) < TOLERANCE
        assert relative_error(own_logits, logits) < TOLERANCE
        assert relative_error(
            mine.forward_head(features, pre_logits=True), theirs.forward_head(features, pre_logits=True)
        ) < TOLERANCE
        check_maps(mine, maps, x, features)
        check_new_classifier(mine, theirs, features)


def features_and_logits(model: nn.Module, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """What `forward_features` gives and what the model gives, in one pass: of ours and of timm's.

    A network that does not ask its own `forward_features` just once, of that very input, is asked for both,
    one after the other.
    """
    found: list[torch.Tensor] = []
    own = model.forward_features

    def keep(*args, **options) -> torch.Tensor:
        given = own(*args, **options)
        if len(args) == 1 and args[0] is x and set(options.values()) <= {None}:
            found.append(given)
        return given.clone()  # a head may work in place

    model.forward_features = keep
    try:
        logits = model(x)
    finally:
        del model.forward_features
    return (found[0] if len(found) == 1 else model.forward_features(x)), logits


def check_maps(
    mine: nn.Module, wanted: list[torch.Tensor], x: torch.Tensor, features: torch.Tensor,
) -> None:
    """forward_intermediates, for all stages; wanted, features: timm's maps and features for `x`."""
    final, maps = mine.forward_intermediates(x)
    assert relative_error(final, features) < TOLERANCE
    assert [m.shape[1] for m in maps] == [s.channels for s in mine.stage_table]
    assert len(maps) == len(wanted)
    for own, other in zip(maps, wanted):
        assert relative_error(own, other) < TOLERANCE


def timm_numbers(
    model: nn.Module, x: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor, list[torch.Tensor]]:
    """(logits, features, all stages' maps, NCHW) of a timm model: the maps that its table's modules give.

    Its own walk gives those of networks whose modules give tokens or channels last, or whose table has none.
    """
    indices = tuple(range(len(model.feature_info)))
    modules = dict(model.named_modules())
    stages = [modules.get(row["module"]) for row in model.feature_info]
    outputs: dict[int, torch.Tensor] = {}
    stem = type(getattr(model, "stem", None)).__name__
    channels_last = hasattr(model, "patch_embed") or stem == "PatchEmbed"
    hooks = []
    if None not in stages and not channels_last:
        for i, stage in enumerate(stages):
            def keep(_module, _inputs, output, i=i):
                if output.ndim == 4:
                    outputs[i] = output.clone()  # a later in-place activation would change it
            hooks.append(stage.register_forward_hook(keep))
    features, logits = features_and_logits(model, x)
    for hook in hooks:
        hook.remove()
    if len(outputs) == len(indices):
        return logits, features, [outputs[i] for i in indices]
    return logits, features, model.forward_intermediates(x, indices=indices, intermediates_only=True)


def check_new_classifier(mine: nn.Module, theirs: nn.Module, features: torch.Tensor) -> None:
    """After reset_classifier the numbers are still the same, for `features` [2, ...] in front of the head."""
    mine.reset_classifier(7), theirs.reset_classifier(7)
    mine.load_state_dict(theirs.state_dict(), strict=True)
    logits = mine.eval().forward_head(features)
    assert mine.num_classes == 7 and logits.shape == (2, 7) and logits.any()
    assert relative_error(logits, theirs.eval().forward_head(features)) < TOLERANCE
    mine.reset_classifier(0), theirs.reset_classifier(0)
    assert mine.num_classes == 0
    vector = theirs.eval().forward_head(features)
    assert relative_error(mine.eval().forward_head(features), vector) < TOLERANCE


# --- training -----------------------------------------------------------------------------------------------


def check_same_start(mine: nn.Module, theirs: nn.Module) -> None:
    """Fresh models: each tensor is the same constant in both, or drawn with the same mean and spread."""
    for (name, own), other in zip(mine.state_dict().items(), theirs.state_dict().values(), strict=True):
        if other.min() == other.max():
            assert torch.equal(own, other), name
        else:
            # the spread of n numbers is known to about 1 / sqrt(2 n); both are drawn
            assert abs(float(own.std() / other.std()) - 1) < 6 / own.numel() ** 0.5 + 0.01, name
            assert abs(float(own.mean() - other.mean())) < 7 * float(other.std()) / own.numel() ** 0.5, name


def check_gradients_equal(mine: nn.Module, theirs: nn.Module, size: int) -> None:
    """One step in training mode: the same gradients, and the same statistics in every BatchNorm."""
    same_weights(mine, theirs)
    # in double precision: BatchNorm over four small photos magnifies every rounding
    x = torch.randn(4, 3, size, size, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for model in (mine, theirs):
        model.double().train()(x).square().mean().backward()
    # a shift in front of the next BatchNorm changes nothing: what is left of its gradient is rounding
    rounding = 1e-12 * max(float(parameter.grad.abs().max()) for parameter in theirs.parameters())
    for (key, own), other in zip(mine.named_parameters(), theirs.parameters(), strict=True):
        nothing = max(float(own.grad.abs().max()), float(other.grad.abs().max())) < rounding
        assert nothing or relative_error(own.grad, other.grad) < TOLERANCE, key
    for (key, own), other in zip(mine.named_buffers(), theirs.buffers(), strict=True):
        assert relative_error(own.double(), other.double()) < TOLERANCE, key


def drop_path_rates(model: nn.Module) -> dict[str, float]:
    """How often the branch behind each path is dropped, where it ever is; of our models and of timm's."""
    return {path: module.drop_prob for path, module in model.named_modules()
            if type(module).__name__ == "DropPath" and module.drop_prob}


def dropout_rates(model: nn.Module) -> dict[str, float]:
    """The share that each dropout layer drops, by path."""
    return {path: module.p for path, module in model.named_modules() if isinstance(module, nn.Dropout)}
