"""The way back through each layer, written down in plain operators, gives autograd's numbers."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.fx.experimental.proxy_tensor import make_fx
from torch.nn import functional as F

from explorer.inspection.export.attention import PlainAttention, attention
from explorer.inspection.export.backward import backward_table
from explorer.inspection.export.heat import plainly

LAYERS = {
    "convolution": nn.Conv2d(6, 4, 3, padding=1),
    "convolution in steps, that leaves places out": nn.Conv2d(6, 4, 3, stride=3),
    "convolution in groups, with gaps": nn.Conv2d(6, 12, (3, 1), stride=(2, 1), padding=2, dilation=2,
                                                  groups=3),
    "convolution of a row": nn.Sequential(nn.Flatten(2), nn.Conv1d(6, 2, 5, stride=2)),
    "transposed convolution": nn.ConvTranspose2d(6, 4, 3, stride=2, padding=1, output_padding=1, groups=2),
    "largest of a window": nn.MaxPool2d(3, stride=2, padding=1),
    "largest, of windows that overlap the edge": nn.MaxPool2d(3, stride=2, ceil_mode=True),
    "largest of all": nn.AdaptiveMaxPool2d(1),
    "largest, of windows of several sizes": nn.AdaptiveMaxPool2d((3, 2)),
    "mean of a window": nn.AvgPool2d(2),
    "mean, with the edge as zeros": nn.AvgPool2d(3, stride=2, padding=1),
    "mean, without the edge": nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False),
    "mean, of windows that overlap the edge": nn.AvgPool2d(3, stride=2, ceil_mode=True),
    "mean, of windows of several sizes": nn.AdaptiveAvgPool2d((3, 5)),
    "resized": nn.Upsample((13, 5), mode="bilinear", align_corners=False),
    "resized, with corners in corners": nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True),
    "resized, smoothly": nn.Upsample((13, 14), mode="bicubic", align_corners=False),
    "resized, by nearest": nn.Upsample(scale_factor=3),
    "norms": nn.Sequential(nn.GroupNorm(2, 6), nn.BatchNorm2d(6).eval(), nn.LayerNorm(8)),
    "activations": nn.Sequential(nn.GELU(), nn.Hardswish(), nn.SiLU(), nn.Mish(), nn.ELU(), nn.PReLU(),
                                 nn.LeakyReLU(0.1), nn.ReLU6(), nn.Hardsigmoid(), nn.Softmax(1)),
}


@pytest.mark.parametrize("layer", LAYERS)
def test_it_is_autograds(layer):
    part, x = LAYERS[layer], torch.randn(2, 6, 9, 8)
    weights = torch.randn_like(part(x))

    def back(x: Tensor) -> Tensor:
        leaf = x.detach().requires_grad_()
        (gradient,) = torch.autograd.grad((part(leaf) * weights).sum(), leaf)
        return gradient

    record = make_fx(back, decomposition_table=backward_table())(x)
    assert not [node for node in record.graph.nodes if "backward" in str(node.target)]
    other = torch.randn_like(x)  # it holds for photos that it was not made with
    torch.testing.assert_close(record(other), back(other), rtol=1e-4, atol=1e-5)


def test_the_gradient_of_weights_is_not_to_be_had():
    weight, x = torch.randn(4, 6, 3, 3, requires_grad=True), torch.randn(1, 6, 9, 8)

    def back(x: Tensor) -> Tensor:
        return torch.autograd.grad(F.conv2d(x, weight).sum(), weight)[0]

    with pytest.raises(NotImplementedError, match="weights"):
        make_fx(back, decomposition_table=backward_table())(x)


@pytest.mark.parametrize("shape", [(5, 4), (2, 3, 5, 4), (2, 3, 2, 5, 4)])
@pytest.mark.parametrize("mask", [None, "bias", "places"])
def test_attention_of_any_shape_is_torchs(shape, mask):
    query, key, value = torch.randn(3, *shape)
    bias = None if mask is None else torch.randn(5, 5)
    if mask == "places":
        bias = torch.eye(5, dtype=torch.bool) | (torch.rand(5, 5) > 0.5)
    wanted = F.scaled_dot_product_attention(query, key, value, attn_mask=bias, scale=0.3)
    torch.testing.assert_close(attention(query, key, value, attn_mask=bias, scale=0.3), wanted)
    with PlainAttention():
        torch.testing.assert_close(F.scaled_dot_product_attention(query, key, value, bias, scale=0.3), wanted)


def test_torchs_settings_are_as_they_were():
    before = torch.backends.mha.get_fastpath_enabled(), torch.backends.cuda.flash_sdp_enabled()
    with pytest.raises(RuntimeError), plainly():
        raise RuntimeError
    assert (torch.backends.mha.get_fastpath_enabled(), torch.backends.cuda.flash_sdp_enabled()) == before
