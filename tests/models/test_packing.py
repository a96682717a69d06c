"""Packed layers: the same numbers, the same state dict; never a wrong gradient."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

import explorer
from explorer.models.layers import Conv2dSame
from explorer.models.surgery import packing
from explorer.models.surgery.packing import (
    CANT_LEARN,
    PackedConv2d,
    PackedLinear,
    can_pack,
    pack,
    packed_bytes,
)
from tests.models.oracle import randomise, relative_error
from tests.models.samples import ONE_A_FILE, small

SAME = 1e-5

LAYERS = {
    "linear": (lambda: nn.Linear(6, 5), (2, 7, 6)),
    "linear without bias": (lambda: nn.Linear(6, 5, bias=False), (3, 6)),
    "one vector": (lambda: nn.Linear(6, 5), (6,)),
    "pointwise": (lambda: nn.Conv2d(6, 4, 1), (2, 6, 9, 7)),
    "stride and padding": (lambda: nn.Conv2d(6, 4, (3, 5), (2, 1), (1, 2), bias=False), (2, 6, 9, 7)),
    "dilation": (lambda: nn.Conv2d(6, 4, 3, padding=2, dilation=2), (2, 6, 9, 7)),
    "groups": (lambda: nn.Conv2d(6, 4, 3, groups=2), (2, 6, 9, 7)),
    "depthwise": (lambda: nn.Conv2d(6, 12, 3, padding=1, groups=6), (2, 6, 9, 7)),
    "SAME": (lambda: Conv2dSame(6, 4, 3, stride=2), (2, 6, 9, 8)),
    "no photo": (lambda: nn.Conv2d(6, 4, 3), (0, 6, 9, 7)),
    "no batch": (lambda: nn.Conv2d(6, 4, 3), (6, 9, 7)),
}


@pytest.fixture(autouse=True)
def _has_the_operators():
    assert can_pack(), "this torch can't pack: the tests of packing would say nothing"


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("name", LAYERS)
def test_a_packed_layer_gives_the_same_numbers(name, layout):
    make, shape = LAYERS[name]
    layer, x = make().eval(), torch.randn(shape)
    if len(shape) == 4:
        x = x.contiguous(memory_format=layout)
    packed = copy.deepcopy(layer)
    assert pack(packed) == 1 and isinstance(packed, type(layer))
    with torch.no_grad():
        wanted, found = layer(x), packed(x)
        assert found.shape == wanted.shape and (not x.numel() or relative_error(found, wanted) < SAME)
        assert torch.equal(packed(x), found)
    assert packed.state_dict().keys() == layer.state_dict().keys()
    assert all(torch.equal(value, layer.state_dict()[key]) for key, value in packed.state_dict().items())


@pytest.mark.parametrize("module", ONE_A_FILE)
def test_every_layer_of_every_family_gives_the_same_numbers(module):
    """Layer by layer, each on what really comes to it: a whole random network magnifies rounding."""
    model, photos = small(module)
    packed = copy.deepcopy(model.eval())
    errors = {}

    def compare(layer, inputs, output):
        plain = copy.deepcopy(originals[layer])
        errors[originals[layer]] = relative_error(output, plain(*inputs))

    originals = dict(zip(packed.modules(), model.modules(), strict=True))
    assert pack(packed) > 0
    layers = [layer for layer in packed.modules() if isinstance(layer, (PackedLinear, PackedConv2d))]
    hooks = [layer.register_forward_hook(compare) for layer in layers]
    with torch.no_grad():
        packed(photos)
        for hook in hooks:
            hook.remove()
        assert errors and max(errors.values()) < SAME
        assert relative_error(packed(photos), model(photos)) < 1e-3


def test_what_a_layer_does_with_its_weight_first_is_left_alone():
    class Standardised(nn.Conv2d):
        def forward(self, x):
            return nn.functional.conv2d(x, self.weight - self.weight.mean(), self.bias)

    odd = nn.Sequential(Standardised(3, 4, 3), nn.Conv2d(4, 4, 3, padding="same"),
                        nn.Conv2d(4, 4, 3, padding=1, padding_mode="reflect"), nn.Linear(4, 4).double())
    before = [type(part) for part in odd]
    assert pack(odd) == 0 and [type(part) for part in odd] == before


def test_a_changed_weight_is_laid_out_anew():
    layer, x = nn.Linear(4, 3).eval(), torch.randn(2, 4)
    pack(layer)
    with torch.no_grad():
        layer(x)
        layer.weight.mul_(2)
        assert relative_error(layer(x), nn.functional.linear(x, layer.weight, layer.bias)) < SAME
        layer.load_state_dict({"weight": torch.eye(3, 4), "bias": torch.zeros(3)})
        assert torch.allclose(layer(x), x[:, :3], atol=1e-6)


def test_a_copy_of_a_packed_model_works_and_holds_no_layout_yet():
    layer, x = nn.Conv2d(3, 4, 3).eval(), torch.randn(1, 3, 8, 8)
    pack(layer)
    with torch.no_grad():
        found = layer(x)
        assert packed_bytes(layer) == layer.weight.nbytes
        twin = copy.deepcopy(layer)
        assert twin._layout is None and torch.equal(twin(x), found)


@pytest.mark.parametrize("name", ["stride and padding", "SAME"])
def test_a_layer_that_ran_on_one_size_is_right_on_others(name):
    make, _ = LAYERS[name]
    layer = make().eval()
    packed = copy.deepcopy(layer)
    pack(packed)
    with torch.no_grad():
        for size in ((1, 6, 20, 20), (3, 6, 9, 31), (1, 6, 8, 5)):
            x = torch.randn(size)
            assert relative_error(packed(x), layer(x)) < SAME


@pytest.mark.parametrize("last", [nn.Conv2d, Conv2dSame])
def test_gradients_of_the_input_are_the_plain_ones(last):
    convolutions = nn.Conv2d(3, 4, 3), last(4, 4, 3, groups=4)
    side = 6 if last is Conv2dSame else 4
    model = nn.Sequential(*convolutions, nn.Flatten(), nn.Linear(4 * side * side, 3)).eval()
    packed, gradients = copy.deepcopy(model), []
    pack(packed)
    photo = torch.randn(1, 3, 8, 8)
    for net in (model, packed):
        x = photo.clone().requires_grad_()
        net(x)[0, 1].backward()
        gradients.append(x.grad)
    assert torch.equal(*gradients)


def test_a_packed_layer_says_that_it_cant_learn():
    layer, x = nn.Linear(4, 3).eval(), torch.randn(2, 4)
    pack(layer)
    assert not layer(x).requires_grad  # a pass without `torch.no_grad` is no training
    with pytest.raises(RuntimeError, match="can't be trained. Train the model"):
        layer.train()(x)
    layer.eval().weight.requires_grad_()
    with pytest.raises(RuntimeError) as told:
        layer(x)
    assert str(told.value) == CANT_LEARN
    with torch.no_grad():
        assert layer(x).shape == (2, 3)


def test_other_precisions_and_inference_mode():
    layer, x = nn.Linear(4, 3).eval(), torch.randn(2, 4)
    pack(layer)
    with torch.inference_mode():
        wanted = nn.functional.linear(x, layer.weight, layer.bias)
        assert relative_error(layer(x), wanted) < SAME
        for precision in (torch.float64, torch.bfloat16):
            assert layer.to(precision)(x.to(precision)).dtype == precision
        assert relative_error(layer.float()(x), wanted) < 1e-2  # rounded to bfloat16 on the way
    with torch.inference_mode():
        made_there = nn.Linear(4, 3).eval()
        pack(made_there)
        assert made_there(x).shape == (2, 3)


@pytest.mark.parametrize("missing", packing.OPERATORS)
def test_without_the_operators_nothing_is_packed(monkeypatch, missing):
    class Fewer:
        """`torch.ops.mkldnn` of another version: one operator is not there."""

        def __getattr__(self, name):
            if name == missing:
                raise AttributeError(name)
            return getattr(real, name)

    real = torch.ops.mkldnn
    monkeypatch.setattr(torch.ops, "mkldnn", Fewer())
    model = explorer.create_model("lenet5").eval()
    assert not can_pack() and pack(model) == 0
    assert not any(isinstance(part, (PackedLinear, PackedConv2d)) for part in model.modules())


def test_randomised_network_end_to_end():
    model = explorer.create_model("resnet10t")
    randomise(model)
    packed = copy.deepcopy(model.eval())
    assert pack(packed) == sum(isinstance(m, (nn.Conv2d, nn.Linear)) for m in model.modules())
    with torch.no_grad():
        photos = torch.randn(2, 3, 64, 64)
        assert relative_error(packed(photos), model(photos)) < SAME
