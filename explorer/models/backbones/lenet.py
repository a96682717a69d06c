"""LeNet-5: where it all begins.

Small filters slide over the picture and share their weights, so that a stroke is found wherever it
is; sub-sampling in between makes the exact place matter less and less. Learnt from the pixels, end
to end, it read the amounts on a tenth of all cheques in the United States. Every network in this
catalog up to the transformers is its descendant.

LeCun, Bottou, Bengio and Haffner, "Gradient-Based Learning Applied to Document Recognition",
Proceedings of the IEEE, 1998, http://yann.lecun.com/exdb/publis/pdf/lecun-98.pdf, figure 2. The
layers carry the paper's names. As in today's textbooks, four details are modern: ReLU in place of
the scaled tanh (`act_layer="tanh"` comes close), a plain mean without weights for sub-sampling, C3
connected to all maps of S2, and a linear layer for the output.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from explorer.models.contract import Stage, VisionModel, parameter_place
from explorer.models.layers.activations import create_act
from explorer.models.layers.pool import SelectAdaptivePool2d

SMALLEST = 32  # pixels; C5's 5 x 5 filters then fit exactly once


class LeNet5(VisionModel):
    """Grey picture [B, 1, H, W], at least 32 x 32, -> logits [B, num_classes].

    Digits of 28 x 28 are padded to 32 x 32, as in the paper. On a larger picture the network
    slides, as the paper describes in section VII: C5 gives a map instead of one place, and
    `global_pool` combines its places.

    act_layer: "relu", "tanh", ...
    """

    classifier_path = "output"
    # S2 and C3 have the same stride, and no padding keeps the maps in line with the picture
    pyramid = False

    def __init__(
        self,
        *,
        num_classes: int = 10,
        in_chans: int = 1,
        global_pool: str = "avg",
        act_layer: str = "relu",
        drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
    ):
        super().__init__()
        if drop_path_rate:
            raise ValueError("LeNet-5 has no residual branches to drop: leave drop_path_rate at 0.")
        self.num_classes, self.in_chans, self.drop_rate = num_classes, in_chans, drop_rate
        self.num_features = 120

        self.c1 = nn.Conv2d(in_chans, 6, 5)
        self.act1 = create_act(act_layer)
        self.s2 = nn.AvgPool2d(2)
        self.c3 = nn.Conv2d(6, 16, 5)
        self.act3 = create_act(act_layer)
        self.s4 = nn.AvgPool2d(2)
        self.c5 = nn.Conv2d(16, 120, 5)
        self.act5 = create_act(act_layer)
        self.stages = (
            Stage("C1", "act1", 6, 1),
            Stage("S2", "s2", 6, 2),
            Stage("C3", "act3", 16, 2),
            Stage("S4", "s4", 16, 4),
            Stage("C5", "act5", 120, 4),
        )
        self.global_pool = create_place_pool(global_pool)
        self.f6 = nn.Linear(120, 84)
        self.act6 = create_act(act_layer)
        self.output = nn.Linear(84, num_classes) if num_classes else nn.Identity()
        self.init_weights()

    @property
    def head_hidden_size(self) -> int:
        return 84

    def init_weights(self) -> None:
        """He initialisation; the paper draws from a uniform distribution that shrinks with the
        fan-in, too.
        """
        for module in self.modules():
            if isinstance(module, (nn.Conv2d, nn.Linear)):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                nn.init.zeros_(module.bias)

    def forward_stages(self, x: Tensor) -> Generator[Tensor, None, Tensor]:
        if min(x.shape[-2:]) < SMALLEST:
            size = f"{x.shape[-2]} x {x.shape[-1]}"
            raise ValueError(f"LeNet-5 reads pictures of at least {SMALLEST} x {SMALLEST} pixels, "
                             f"not {size}: pad them (F.pad(x, (2, 2, 2, 2)) for 28 x 28) or resize "
                             "them.")
        x = self.act1(self.c1(x))
        yield x  # C1 [B, 6, H-4, W-4]: 28 x 28 of a picture of 32 x 32
        x = self.s2(x)
        yield x  # S2 [B, 6, 14, 14]
        x = self.act3(self.c3(x))
        yield x  # C3 [B, 16, 10, 10]
        x = self.s4(x)
        yield x  # S4 [B, 16, 5, 5]
        x = self.act5(self.c5(x))
        yield x  # C5 [B, 120, 1, 1]
        return x

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        x = self.act6(self.f6(self.global_pool(x)))  # [B, 120, h, w] -> [B, 120] -> [B, 84]
        x = F.dropout(x, self.drop_rate, self.training)
        return x if pre_logits else self.output(x)

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        if global_pool is not None:
            self.global_pool = create_place_pool(global_pool)
        self.output = (nn.Linear(84, num_classes, **parameter_place(self)) if num_classes
                       else nn.Identity())
        self.num_classes = num_classes


def create_place_pool(kind: str) -> SelectAdaptivePool2d:
    """C5's map [B, 120, h, w] -> [B, 120], as F6 reads it."""
    if kind not in ("avg", "max", "avgmax"):
        raise ValueError(f"global_pool is {kind!r}: LeNet-5's layer F6 reads 120 numbers, "
                         "so use 'avg', 'max' or 'avgmax'.")
    return SelectAdaptivePool2d(kind, flatten=True)


MODEL = LeNet5

VARIANTS: dict[str, dict[str, Any]] = {"lenet5": {}}
