"""Convolution, BatchNorm and activation as one block."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from explorer.models.layers.activations import create_act
from explorer.models.layers.conv_same import create_conv2d


class BatchNormAct2d(nn.BatchNorm2d):
    """BatchNorm followed by dropout and an activation; its parameters are BatchNorm's own.

    [B, C, H, W] -> [B, C, H, W]
    """

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        *,
        momentum: float = 0.1,
        apply_act: bool = True,
        act_layer: str | type[nn.Module] | None = nn.ReLU,
        inplace: bool = True,
        drop_layer: type[nn.Module] | None = None,
    ):
        super().__init__(num_features, eps=eps, momentum=momentum)
        self.drop = drop_layer() if drop_layer is not None else nn.Identity()
        self.act = create_act(act_layer if apply_act else None, inplace=inplace)

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.drop(super().forward(x)))


class ConvNormAct(nn.Module):
    """Convolution -> BatchNorm -> activation.

    [B, in_channels, H, W] -> [B, out_channels, H/stride, W/stride]; the padding keeps the size at stride 1.
    norm_layer: another norm that brings its activation, such as `EvoNorm2dS0`.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int] = 1,
        stride: int = 1,
        padding: int | tuple[int, int] | str = "",
        dilation: int = 1,
        groups: int = 1,
        bias: bool = False,
        apply_norm: bool = True,
        apply_act: bool = True,
        act_layer: str | type[nn.Module] | None = nn.ReLU,
        drop_layer: type[nn.Module] | None = None,
        norm_layer: Callable[..., nn.Module] = BatchNormAct2d,
    ):
        super().__init__()
        self.conv = create_conv2d(
            in_channels, out_channels, kernel_size, stride=stride, padding=padding, dilation=dilation,
            groups=groups, bias=bias,
        )
        if apply_norm:
            # `bn`: the historical name that checkpoints carry
            self.bn = norm_layer(
                out_channels, apply_act=apply_act, act_layer=act_layer, drop_layer=drop_layer
            )
        else:
            self.bn = nn.Sequential()
            if drop_layer is not None:
                self.bn.add_module("drop", drop_layer())
            if apply_act:
                self.bn.add_module("act", create_act(act_layer, inplace=True))

    @property
    def in_channels(self) -> int:
        return self.conv.in_channels

    @property
    def out_channels(self) -> int:
        return self.conv.out_channels

    def forward(self, x: Tensor) -> Tensor:
        return self.bn(self.conv(x))


ConvBnAct = ConvNormAct
