"""Foreign checkpoints that hold the same tensors in the same order, under other names."""

from __future__ import annotations

from torch import Tensor, nn


def from_torchvision(state: dict[str, Tensor], model: nn.Module, *, norm_eps: float) -> dict[str, Tensor]:
    """torchvision's names -> those of `model`, which lists the same tensors in the same order.

    norm_eps: BatchNorm's epsilon in torchvision. BatchNorm divides by sqrt(variance + epsilon), so another
              epsilon here
    is made good by the variance: variance + theirs = (variance + theirs - ours) + ours. That is exact where
    the statistics are used; further training counts them anew.
    Raises ValueError where the tensors are not torchvision's, or another network's.
    """
    theirs = {key: value for key, value in state.items() if not key.endswith("num_batches_tracked")}
    own = {key: value for key, value in model.state_dict().items() if not key.endswith("num_batches_tracked")}
    head = f"{next(path for path, part in model.named_modules() if part is model.get_classifier())}."
    if "features.0.0.weight" not in theirs or len(theirs) != len(own):
        raise ValueError("These are not torchvision's tensors for this network. "
                         "Check that name and weights belong together.")
    mapped = {}
    for (key, place), (foreign, value) in zip(own.items(), theirs.items()):
        if value.numel() == place.numel():  # a linear layer of theirs may be a 1 x 1 convolution here
            value = value.reshape(place.shape)
        elif not key.startswith(head):  # which may have other classes
            raise ValueError(f"{foreign} {tuple(value.shape)} does not fit {key} {tuple(place.shape)}: "
                             "another network's.")
        if key.endswith("running_var"):
            value = value + (norm_eps - model.get_submodule(key.rpartition(".")[0]).eps)
        mapped[key] = value
    return mapped
