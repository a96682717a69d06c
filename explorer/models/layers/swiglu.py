"""SwiGLU: an MLP whose one half opens and closes the other."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from explorer.models.layers.activations import create_act


class SwiGLU(nn.Module):
    """act(gate) * values, where act is SiLU by default, then back to the tokens' width: [..., in]
    -> [..., in].

    hidden_features: of the gate and of the values each
    norm_layer:      a norm of the product, which keeps large models stable; None: none
    align_to:        hidden_features is rounded up to a multiple of it, which suits the hardware
    `SwiGLUPacked` is the same with both halves in one matrix. Shazeer, "GLU Variants Improve Transformer",
    2020.
    """

    def __init__(self, in_features: int, hidden_features: int, *, norm_layer: Any = None, align_to: int = 1,
                 act_layer: Any = nn.SiLU, bias: bool = True, drop: float = 0.0):
        super().__init__()
        hidden_features += -hidden_features % align_to
        self.fc1_g = nn.Linear(in_features, hidden_features, bias=bias)  # the gate
        self.fc1_x = nn.Linear(in_features, hidden_features, bias=bias)  # what passes it
        self.act = create_act(act_layer)
        self.drop1 = nn.Dropout(drop)
        self.norm = nn.Identity() if norm_layer is None else norm_layer(hidden_features)
        self.fc2 = nn.Linear(hidden_features, in_features, bias=bias)
        self.drop2 = nn.Dropout(drop)

    def forward(self, x: Tensor) -> Tensor:
        x = self.drop1(self.act(self.fc1_g(x)) * self.fc1_x(x))
        return self.drop2(self.fc2(self.norm(x)))
