"""Activations by name."""

from __future__ import annotations

from functools import partial

from torch import nn

ACTIVATIONS = {
    "relu": nn.ReLU,
    "relu6": nn.ReLU6,
    "silu": nn.SiLU,
    "swish": nn.SiLU,
    "gelu": nn.GELU,
    # a formula that is nearly the same; TensorFlow's default
    "gelu_tanh": partial(nn.GELU, approximate="tanh"),
    "hard_swish": nn.Hardswish,
    "hard_sigmoid": nn.Hardsigmoid,
    "leaky_relu": nn.LeakyReLU,
    "elu": nn.ELU,
    "mish": nn.Mish,
    "sigmoid": nn.Sigmoid,
    "tanh": nn.Tanh,
}


def create_act(act: str | type[nn.Module] | None, *, inplace: bool = False) -> nn.Module:
    """An activation from its name or class; None or "" gives the identity.

    Raises ValueError with the known names, TypeError for what is neither.
    """
    if act is None or act == "":
        return nn.Identity()
    if isinstance(act, str):
        try:
            act = ACTIVATIONS[act.lower()]
        except KeyError:
            raise ValueError(f"Unknown activation {act!r}. Known: {', '.join(ACTIVATIONS)}.") from None
    elif isinstance(act, nn.Module) or not callable(act):
        raise TypeError(f"An activation is a name or a class, such as 'relu' or nn.ReLU; got {act!r}.")
    try:
        return act(inplace=inplace)
    except TypeError:  # GELU, Sigmoid and Tanh know no in-place form
        return act()
