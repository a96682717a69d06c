"""Small networks for each place or token by itself, beyond the plain `Mlp` of `transformer.py`."""

from __future__ import annotations

from functools import partial

from torch import Tensor, nn

from explorer.models.layers.activations import create_act
from explorer.models.layers.norm import GlobalResponseNorm


def create_linear(in_features: int, out_features: int, *, use_conv: bool, bias: bool = True) -> nn.Module:
    """What mixes the last axis [..., in], or with `use_conv` the channels of a map [B, in, H, W]."""
    return (nn.Conv2d(in_features, out_features, 1, bias=bias) if use_conv
            else nn.Linear(in_features, out_features, bias))


class GluMlp(nn.Module):
    """An MLP whose one half opens and closes the other: [..., in] -> [..., out]; maps [B, in, H, W] with
    `use_conv`.

    hidden_features: of both halves together, so an even number
    act_layer:       of the gate; a sigmoid is the original, SiLU makes SwiGLU
    gate_last:       whether the second half is the gate
    Dauphin et al., "Language Modeling with Gated Convolutional Networks", 2016; Shazeer, "GLU Variants
    Improve Transformer", 2020.
    """

    def __init__(
        self, in_features: int, hidden_features: int | None = None, out_features: int | None = None, *,
        act_layer: str | type[nn.Module] = nn.Sigmoid, bias: bool = True, drop: float = 0.0,
        use_conv: bool = False, gate_last: bool = True,
    ):
        super().__init__()
        hidden_features = hidden_features or in_features
        if hidden_features % 2:
            raise ValueError(f"hidden_features is {hidden_features}: two halves need an even number.")
        linear = partial(create_linear, use_conv=use_conv, bias=bias)
        self.channel_axis, self.gate_last = 1 if use_conv else -1, gate_last
        self.fc1 = linear(in_features, hidden_features)
        self.act = create_act(act_layer)
        self.drop1 = nn.Dropout(drop)
        self.norm = nn.Identity()  # the place of one, for subclasses
        self.fc2 = linear(hidden_features // 2, out_features or in_features)
        self.drop2 = nn.Dropout(drop)

    def init_weights(self) -> None:
        """Start with all gates half open: the gate's part of `fc1` at almost zero, its bias at one."""
        half = self.fc1.weight.shape[0] // 2
        gate = slice(half, None) if self.gate_last else slice(0, half)
        nn.init.normal_(self.fc1.weight.data[gate], std=1e-6)
        if self.fc1.bias is not None:
            nn.init.ones_(self.fc1.bias.data[gate])

    def forward(self, x: Tensor) -> Tensor:
        first, second = self.fc1(x).chunk(2, dim=self.channel_axis)
        x = first * self.act(second) if self.gate_last else self.act(first) * second
        return self.drop2(self.fc2(self.norm(self.drop1(x))))


class GlobalResponseNormMlp(nn.Module):
    """An MLP that lets channels compete in its middle: maps [B, H, W, in] -> [B, H, W, out].

    With `use_conv` maps are [B, in, H, W]. Woo et al., "ConvNeXt V2", 2023, section 3.2.
    """

    def __init__(
        self, in_features: int, hidden_features: int | None = None, out_features: int | None = None, *,
        act_layer: str | type[nn.Module] = nn.GELU, bias: bool = True, drop: float = 0.0,
        use_conv: bool = False,
    ):
        super().__init__()
        hidden_features = hidden_features or in_features
        linear = partial(create_linear, use_conv=use_conv, bias=bias)
        self.fc1 = linear(in_features, hidden_features)
        self.act = create_act(act_layer)
        self.drop1 = nn.Dropout(drop)
        self.grn = GlobalResponseNorm(hidden_features, channels_last=not use_conv)
        self.fc2 = linear(hidden_features, out_features or in_features)
        self.drop2 = nn.Dropout(drop)

    def forward(self, x: Tensor) -> Tensor:
        return self.drop2(self.fc2(self.grn(self.drop1(self.act(self.fc1(x))))))
