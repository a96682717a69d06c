"""Global context: the places that count speak for the whole map."""

from __future__ import annotations

from torch import Tensor, nn

from explorer.models.layers.activations import create_act
from explorer.models.layers.channel_attention import make_divisible
from explorer.models.layers.norm import LayerNorm2d


class ContextMlp(nn.Module):
    """Two 1 x 1 convolutions with a LayerNorm between them: [B, C, 1, 1] -> [B, C, 1, 1]."""

    def __init__(self, channels: int, hidden: int, *, act_layer: str = "relu"):
        super().__init__()
        self.fc1 = nn.Conv2d(channels, hidden, 1)
        self.norm = LayerNorm2d(hidden)
        self.act = create_act(act_layer)
        self.fc2 = nn.Conv2d(hidden, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(self.act(self.norm(self.fc1(x))))


class GlobalContext(nn.Module):
    """Each place hears a summary of the whole map: [B, C, H, W] -> [B, C, H, W].

    The map itself says which places count (a softmax over all of them); their weighted mean goes through a
    small MLP. What comes out is added everywhere, or weighs the channels with `scale`, as
    squeeze-and-excitation does.
    hidden: width of the MLP; None: an eighth of the channels. Cao et al., "GCNet", 2019.
    """

    def __init__(self, channels: int, hidden: int | None = None, *, scale: bool = False,
                 act_layer: str = "relu"):
        super().__init__()
        hidden = make_divisible(channels / 8, 1, round_limit=0.0) if hidden is None else hidden
        self.conv_attn = nn.Conv2d(channels, 1, 1)
        self.scale = scale
        # two names, as checkpoints have them
        self.add_module("mlp_scale" if scale else "mlp_add",
                        ContextMlp(channels, hidden, act_layer=act_layer))

    @property
    def mlp(self) -> ContextMlp:
        return self.mlp_scale if self.scale else self.mlp_add

    def init_weights(self) -> None:
        """He initialisation of the question; the answer starts at zero: nothing is added, or all weighs the
        same.
        """
        nn.init.kaiming_normal_(self.conv_attn.weight, mode="fan_in", nonlinearity="relu")
        nn.init.zeros_(self.mlp.fc2.weight)

    def forward(self, x: Tensor) -> Tensor:
        weights = self.conv_attn(x).flatten(2).softmax(-1)  # [B, 1, H * W]
        context = x.flatten(2) @ weights.transpose(1, 2)  # [B, C, H * W] @ [B, H * W, 1] -> [B, C, 1]
        answer = self.mlp(context[..., None])  # [B, C, 1, 1]
        return x * answer.sigmoid() if self.scale else x + answer
