"""The building blocks, one by one, against arithmetic that a student can do by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from explorer.models import layers
from explorer.models.layers import (
    BatchNormAct2d,
    BlurPool2d,
    CbamModule,
    ClassifierHead,
    Conv2dSame,
    ConvBnAct,
    ConvNormAct,
    DropBlock2d,
    DropPath,
    EcaModule,
    EvoNorm2dS0,
    GluMlp,
    GroupNorm,
    LayerNorm2d,
    SelectAdaptivePool2d,
    SEModule,
    SeparableConv2d,
    create_act,
    create_attn,
    create_classifier,
    create_conv2d,
    create_norm,
    create_norm_act,
    drop_path,
    get_norm,
)
from explorer.models.layers.channel_attention import make_divisible
from explorer.models.layers.drop import drop_path_rates
from tests.models.oracle import randomise


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


# --- the package ------------------------------------------------------------------------------------------


SECOND_NAMES = {
    "ConvBnAct": "ConvNormAct", "BlurPool": "BlurPool2d", "CBAM": "CbamModule", "DropBlock": "DropBlock2d",
    "GRN": "GlobalResponseNorm", "SeparableConv": "SeparableConv2d", "create_norm_layer": "create_norm",
    "get_norm_layer": "get_norm", "create_norm_act_layer": "create_norm_act",
}


@pytest.mark.parametrize("name", layers.__all__)
def test_every_name_in_the_lazy_table_exists(name):
    assert getattr(layers, name).__name__ == SECOND_NAMES.get(name, name)


def test_an_unknown_layer_is_answered_with_the_nearest():
    with pytest.raises(AttributeError, match="no attribute 'DropPaths'. Did you mean 'DropPath'"):
        _ = layers.DropPaths


# --- convolution, norm and activation ----------------------------------------------------------------------


def test_conv_norm_act_prints_as_in_the_article():
    block = ConvBnAct(in_channels=3, out_channels=64, kernel_size=3, stride=1, act_layer=nn.ReLU)
    lines = repr(block).splitlines()
    assert lines[:3] == [
        "ConvNormAct(",
        "  (conv): Conv2d(3, 64, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1), bias=False)",
        "  (bn): BatchNormAct2d(",
    ]
    # since the article was written, torch has put `bias` into this line
    fields = lines[3].replace("bias=True, ", "")
    assert fields == "    64, eps=1e-05, momentum=0.1, affine=True, track_running_stats=True"
    assert lines[4:] == ["    (drop): Identity()", "    (act): ReLU(inplace=True)", "  )", ")"]


def test_conv_norm_act_is_convolution_then_norm_then_activation():
    block = ConvNormAct(3, 8, 3, stride=2, act_layer="silu").eval()
    block.bn.running_mean.copy_(noise(8)), block.bn.running_var.copy_(noise(8, seed=1).abs() + 0.5)
    x = noise(2, 3, 9, 9)
    by_hand = F.conv2d(x, block.conv.weight, stride=2, padding=1)
    mean, variance = block.bn.running_mean[:, None, None], block.bn.running_var[:, None, None]
    by_hand = (by_hand - mean) / (variance + 1e-5).sqrt()
    assert torch.allclose(block(x), by_hand * torch.sigmoid(by_hand), atol=1e-6)
    assert (block.in_channels, block.out_channels) == (3, 8)


def test_conv_norm_act_without_norm_or_activation():
    x = noise(1, 3, 4, 4)
    plain = ConvNormAct(3, 4, 1, apply_norm=False, apply_act=False)
    assert torch.equal(plain(x), plain.conv(x))
    active = ConvNormAct(3, 4, 1, apply_norm=False, drop_layer=nn.Identity)
    assert torch.equal(active(x), active.conv(x).relu()) and list(active.bn._modules) == ["drop", "act"]
    silent = ConvNormAct(3, 4, 1, apply_act=False).eval()
    assert (silent(x) < 0).any()


def test_batchnorm_with_activation_has_batchnorms_own_parameters_and_drops_before_the_activation():
    assert BatchNormAct2d(4).state_dict().keys() == nn.BatchNorm2d(4).state_dict().keys()

    class Minus(nn.Module):
        def forward(self, x):
            return -x

    layer = BatchNormAct2d(4, eps=0.0, drop_layer=Minus).eval()
    x = noise(2, 4, 3, 3)
    assert torch.allclose(layer(x), (-x).relu())


# --- padding -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [5, 6, 7, 13])
@pytest.mark.parametrize("kernel", [1, 2, 3, 5])
@pytest.mark.parametrize(("stride", "dilation"), [(1, 1), (2, 1), (3, 1), (1, 2)])
def test_same_convolution_follows_tensorflows_formula(size, kernel, stride, dilation):
    """Output ceil(size / stride); of the padding that needs, the smaller half is in front."""
    weight, x = noise(1, 1, kernel, kernel), noise(1, 1, size, size, seed=1)
    layer = Conv2dSame(1, 1, kernel, stride=stride, dilation=dilation, bias=False)
    layer.weight.data = weight
    out = math.ceil(size / stride)
    span = (kernel - 1) * dilation + 1
    front = max((out - 1) * stride + span - size, 0) // 2
    by_hand = torch.zeros(out, out)
    for row in range(out):
        for column in range(out):
            for i in range(kernel):
                for j in range(kernel):
                    y, z = row * stride - front + i * dilation, column * stride - front + j * dilation
                    if 0 <= y < size and 0 <= z < size:
                        by_hand[row, column] += weight[0, 0, i, j] * x[0, 0, y, z]
    assert torch.allclose(layer(x)[0, 0], by_hand, atol=1e-5)


@pytest.mark.parametrize(("padding", "stride", "kind", "pixels"), [
    ("", 1, nn.Conv2d, 1), (None, 2, nn.Conv2d, 1), ("valid", 1, nn.Conv2d, 0), (4, 1, nn.Conv2d, 4),
    ("same", 1, nn.Conv2d, 1), ("same", 2, Conv2dSame, 0),
])
def test_the_padding_word_picks_the_convolution(padding, stride, kind, pixels):
    layer = create_conv2d(3, 4, 3, stride=stride, padding=padding)
    assert type(layer) is kind and layer.padding == (pixels, pixels) and layer.bias is None


def test_an_unknown_padding_word_is_refused():
    with pytest.raises(ValueError, match='Unknown padding \'reflect\'. Use "", "same", "valid" or a number'):
        create_conv2d(3, 4, 3, padding="reflect")


# --- activations -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "function"), [
    ("relu", F.relu), ("ReLU6", F.relu6), ("silu", F.silu), ("swish", F.silu), ("gelu", F.gelu),
    ("hard_swish", F.hardswish), ("hard_sigmoid", F.hardsigmoid), ("leaky_relu", F.leaky_relu),
    ("elu", F.elu), ("tanh", torch.tanh),
    ("mish", F.mish), ("sigmoid", torch.sigmoid), ("", lambda x: x), (None, lambda x: x), (nn.ReLU, F.relu),
])
def test_activations_come_by_name_or_class(name, function):
    x = 3 * noise(50)
    assert torch.equal(create_act(name)(x), function(x))


def test_an_activation_works_in_place_only_where_asked():
    x = noise(9)
    create_act("relu")(x)
    assert (x < 0).any()
    create_act("relu", inplace=True)(x)
    assert not (x < 0).any()


def test_an_unknown_activation_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="Unknown activation 'rellu'. Known: relu, relu6"):
        create_act("rellu")
    for wrong in (nn.ReLU(), 3):
        with pytest.raises(TypeError, match="a name or a class, such as 'relu' or nn.ReLU"):
            create_act(wrong)


# --- channel attention -------------------------------------------------------------------------------------


def test_squeeze_and_excitation_by_hand():
    layer, x = SEModule(16, rd_ratio=0.25), noise(2, 16, 3, 5)
    assert layer.fc1.out_channels == 8  # a quarter is 4, and 8 the least that hardware likes
    squeezed = x.sum((2, 3)) / 15
    hidden = (squeezed @ layer.fc1.weight[:, :, 0, 0].T + layer.fc1.bias).clamp(min=0)
    weights = 1 / (1 + torch.exp(-(hidden @ layer.fc2.weight[:, :, 0, 0].T + layer.fc2.bias)))
    assert torch.allclose(layer(x), x * weights[:, :, None, None], atol=1e-6)


def test_efficient_channel_attention_by_hand():
    layer, x = EcaModule(6), noise(2, 6, 4, 4)
    left, middle, right = layer.conv.weight[0, 0]
    means = F.pad(x.sum((2, 3)) / 16, (1, 1))
    weights = torch.sigmoid(left * means[:, :-2] + middle * means[:, 1:-1] + right * means[:, 2:])
    assert torch.allclose(layer(x), x * weights[:, :, None, None], atol=1e-6)


@pytest.mark.parametrize(("channels", "kernel"), [(16, 3), (64, 3), (256, 5), (512, 5), (2048, 7)])
def test_more_channels_get_more_neighbours(channels, kernel):
    assert EcaModule(channels).conv.kernel_size == (kernel,)


def test_an_even_number_of_neighbours_is_refused():
    with pytest.raises(ValueError, match="kernel_size is 4: a channel and its neighbours are an odd number"):
        EcaModule(16, 4)


def test_channel_attention_comes_by_name_or_class():
    assert isinstance(create_attn("se", 64), SEModule) and isinstance(create_attn(EcaModule, 64), EcaModule)
    assert create_attn("se", 64, rd_channels=5).fc1.out_channels == 5
    assert create_attn(None, 64) is None and create_attn("", 64) is None
    assert isinstance(create_attn("cbam", 64), CbamModule)
    with pytest.raises(ValueError, match="Unknown channel attention 'bam'. Known: se, eca, ese, cbam"):
        create_attn("bam", 64)


@pytest.mark.parametrize(("value", "rounded"), [(3, 8), (11, 16), (12, 16), (16.9, 16), (89, 88), (10, 16)])
def test_channels_are_rounded_to_eights_but_lose_no_tenth(value, rounded):
    assert make_divisible(value) == rounded >= 0.9 * value


def test_block_attention_by_hand():
    layer, x = CbamModule(8, rd_channels=2).eval(), noise(2, 8, 9, 9)
    first, last = (fc.weight[:, :, 0, 0].T for fc in (layer.channel.fc1, layer.channel.fc2))
    mlp = lambda v: (v @ first).clamp(min=0) @ last
    x1 = x * torch.sigmoid(mlp(x.mean((2, 3))) + mlp(x.amax((2, 3))))[:, :, None, None]
    summary = torch.stack((x1.mean(1), x1.amax(1)), dim=1)
    places = F.conv2d(summary, layer.spatial.conv.conv.weight, padding=3)
    places = places / math.sqrt(1 + 1e-5)  # a fresh BatchNorm
    assert torch.allclose(layer(x), x1 * torch.sigmoid(places), atol=1e-6)


# --- dropping squares --------------------------------------------------------------------------------------


def test_drop_block_drops_about_its_share_in_whole_squares():
    torch.manual_seed(0)
    x = torch.ones(200, 4, 20, 20)
    out = DropBlock2d(0.1, 5).train()(x)
    dropped = out == 0
    assert 0.08 < dropped.float().mean() < 0.11  # squares that overlap make it a little less
    assert abs(float(out.mean()) - 1) < 1e-5
    corners = dropped & ~F.pad(dropped, (1, 0))[..., :-1] & ~F.pad(dropped, (0, 0, 1, 0))[..., :-1, :]
    for photo, channel, y, z in corners.nonzero()[:200].tolist():
        assert dropped[photo, channel, y:y + 5, z:z + 5].any(0).all()  # nothing narrower than a square


def test_drop_block_takes_a_map_that_is_smaller_than_its_square():
    torch.manual_seed(0)
    out = DropBlock2d(0.5, 7).train()(torch.ones(500, 1, 3, 4))
    assert set(out.flatten(1)[:, [0, -1]].eq(0).float().mean(1).tolist()) >= {0.0, 1.0}


def test_drop_block_does_nothing_in_evaluation_and_refuses_what_is_no_share():
    x = noise(1, 2, 8, 8)
    assert DropBlock2d(0.9).eval()(x) is x and DropBlock2d(0.0).train()(x) is x
    with pytest.raises(ValueError, match="drop_prob is 1.5"):
        DropBlock2d(1.5)
    with pytest.raises(ValueError, match="block_size is 0"):
        DropBlock2d(0.1, 0)


# --- separable convolutions, gated networks, norms by name --------------------------------------------------


def test_a_separable_convolution_filters_then_mixes():
    layer, x = SeparableConv2d(3, 5, 3, 2, channel_multiplier=2), noise(2, 3, 8, 8)
    filtered = F.conv2d(x, layer.conv_dw.weight, stride=2, padding=1, groups=3)
    assert filtered.shape == (2, 6, 4, 4)
    mixed = torch.einsum("oc,bchw->bohw", layer.conv_pw.weight[:, :, 0, 0], filtered)
    assert torch.allclose(layer(x), mixed, atol=1e-6)
    assert (layer.in_channels, layer.out_channels) == (3, 5)
    with pytest.raises(ValueError, match="channel_multiplier is 0.5"):
        SeparableConv2d(4, 4, channel_multiplier=0.5)


def test_a_gated_network_opens_and_closes_its_other_half():
    x = noise(2, 5, 4)
    for last in (True, False):
        layer = GluMlp(4, 6, 3, act_layer="silu", gate_last=last)
        first, second = F.linear(x, layer.fc1.weight, layer.fc1.bias).chunk(2, -1)
        gated = first * F.silu(second) if last else F.silu(first) * second
        assert torch.allclose(layer(x), F.linear(gated, layer.fc2.weight, layer.fc2.bias), atol=1e-6)
    with pytest.raises(ValueError, match="hidden_features is 5"):
        GluMlp(4, 5)


def test_a_gated_network_may_start_with_its_gates_half_open():
    layer = GluMlp(4, 6)
    layer.init_weights()
    assert torch.equal(layer.fc1.bias[3:], torch.ones(3)) and layer.fc1.weight[3:].abs().max() < 1e-4


@pytest.mark.parametrize(("name", "kind"), [
    ("batchnorm", nn.BatchNorm2d), ("BatchNorm2d", nn.BatchNorm2d), ("batch_norm", nn.BatchNorm2d),
    ("groupnorm", GroupNorm), ("layernorm", nn.LayerNorm), ("layernorm2d", LayerNorm2d),
    (nn.BatchNorm2d, nn.BatchNorm2d),
])
def test_norms_come_by_name_or_class(name, kind):
    assert type(create_norm(name, 32)) is kind and create_norm(name, 32, eps=0.5).eps == 0.5
    assert get_norm(None) is None


def test_norms_come_with_their_activation():
    assert type(create_norm_act("batchnorm2d", 8)) is BatchNormAct2d
    assert type(create_norm_act("evonorms0", 32)) is EvoNorm2dS0
    x = noise(2, 32, 3, 3)
    group = create_norm_act("groupnorm1", 32, act_layer="silu")
    assert torch.allclose(group(x), F.silu(F.group_norm(x, 1)), atol=1e-6)
    alone = create_norm_act("batchnorm", 32, apply_act=False).eval()
    assert torch.equal(alone(x), nn.BatchNorm2d(32).eval()(x))


def test_an_unknown_norm_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="Unknown norm 'bathnorm'. Known: batchnorm, batchnorm2d"):
        create_norm("bathnorm", 8)
    with pytest.raises(ValueError, match="Unknown norm with an activation 'layernorm'. Known: batchnorm"):
        create_norm_act("layernorm", 8)
    with pytest.raises(TypeError, match="a name or a class, such as 'batchnorm2d' or nn.BatchNorm2d"):
        get_norm(3)


BLOCKS = """
    ConvNormAct ConvBnAct SeparableConv SeparableConvNormAct BatchNormAct2d LayerNorm2d SEModule
    EffectiveSEModule EcaModule CbamModule SplitAttention BlurPool2d SelectAdaptivePool2d ClassifierHead
    DropPath DropBlock2d PatchEmbed Attention Mlp GluMlp GlobalResponseNorm GlobalResponseNormMlp
    create_act create_norm create_norm_act create_attn create_conv2d
""".split()


@pytest.mark.parametrize("name", BLOCKS)
def test_the_blocks_for_networks_of_your_own_are_documented(name):
    block = getattr(layers, name)
    assert block.__doc__ and len(block.__doc__) > 60


# --- stochastic depth --------------------------------------------------------------------------------------


def test_drop_path_drops_whole_samples_and_keeps_the_mean():
    torch.manual_seed(0)
    x = torch.ones(4000, 3, 2)
    out = DropPath(0.25).train()(x)
    kept = out[:, 0, 0] > 0
    assert torch.equal(out, kept.float()[:, None, None].expand_as(out) / 0.75)
    # 4 standard deviations of a coin with p = 0.75 that is thrown 4000 times
    assert abs(kept.float().mean() - 0.75) < 4 * math.sqrt(0.25 * 0.75 / 4000)


def test_drop_path_without_scaling_only_zeroes():
    torch.manual_seed(0)
    assert set(DropPath(0.5, scale_by_keep=False).train()(torch.ones(50)).tolist()) == {0.0, 1.0}


def test_drop_path_does_nothing_in_evaluation_or_at_zero():
    x = noise(4, 3)
    assert DropPath(0.9).eval()(x) is x and drop_path(x, 0.0, training=True) is x


def test_drop_path_of_one_drops_everything_without_infinities():
    assert torch.equal(drop_path(torch.ones(5, 2), 1.0, training=True), torch.zeros(5, 2))


@pytest.mark.parametrize("rate", [-0.1, 1.5])
def test_a_rate_that_is_no_probability_is_refused(rate):
    with pytest.raises(ValueError, match=f"drop_prob is {rate}: it is a probability"):
        DropPath(rate)


def test_drop_rates_grow_evenly_from_block_to_block():
    assert drop_path_rates(0.4, (2, 3)) == [[0.0, 0.1], pytest.approx([0.2, 0.3, 0.4])]
    assert drop_path_rates(0.4, (1,)) == [[0.0]]


# --- pooling -----------------------------------------------------------------------------------------------


def pooled_by_hand(x: torch.Tensor, kind: str) -> torch.Tensor:
    rows = x.flatten(2).tolist()
    average = torch.tensor([[sum(channel) / len(channel) for channel in photo] for photo in rows])
    maximum = torch.tensor([[max(channel) for channel in photo] for photo in rows])
    return {"avg": average, "max": maximum, "avgmax": (average + maximum) / 2,
            "catavgmax": torch.cat((average, maximum), 1)}[kind]


@pytest.mark.parametrize("kind", ["avg", "max", "avgmax", "catavgmax"])
def test_pooling_by_name(kind):
    x = noise(2, 3, 4, 5)
    flat, square = SelectAdaptivePool2d(kind, flatten=True), SelectAdaptivePool2d(kind)
    by_hand = pooled_by_hand(x, kind)
    assert torch.allclose(flat(x), by_hand, atol=1e-6)
    assert torch.equal(square(x), flat(x)[:, :, None, None])
    assert flat.feat_mult() * 3 == by_hand.shape[1]
    assert torch.equal(SelectAdaptivePool2d(f"fast{kind}", flatten=True)(x), flat(x))


def test_no_pooling_leaves_the_map():
    x = noise(2, 3, 4, 5)
    assert torch.equal(SelectAdaptivePool2d("")(x), x)
    assert torch.equal(SelectAdaptivePool2d("", flatten=True)(x), x.flatten(1))


def test_an_unknown_pooling_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="Unknown pooling 'mean'. Use one of 'avg', 'max', 'avgmax', 'cat"):
        SelectAdaptivePool2d("mean")


def test_a_classifier_fits_its_pooling():
    for kind, size in (("avg", 8), ("catavgmax", 16)):
        pool, linear = create_classifier(8, 5, kind)
        assert linear.in_features == size and linear(pool(noise(2, 8, 3, 3))).shape == (2, 5)
    pool, linear = create_classifier(8, 0, "")
    assert torch.equal(linear(pool(noise(2, 8, 3, 3))), noise(2, 8, 3, 3))
    with pytest.raises(ValueError, match='needs pooled features: use num_classes=0 with global_pool=""'):
        create_classifier(8, 5, "")
    with pytest.raises(ValueError, match="num_classes is -2"):
        create_classifier(8, -2)


def test_the_classifier_head_gives_logits_or_the_vector_before_them():
    head, x = ClassifierHead(8, 5, "max").eval(), noise(2, 8, 3, 3)
    before = head(x, pre_logits=True)
    assert torch.equal(before, x.amax((2, 3))) and torch.equal(head(x), head.fc(before))


def test_the_classifier_head_drops_while_training():
    torch.manual_seed(0)
    head = ClassifierHead(1000, 5, drop_rate=0.5).train()
    assert 0.4 < (head(torch.ones(1, 1000, 1, 1), pre_logits=True) == 0).float().mean() < 0.6


# --- blur before halving -----------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [2, 3, 4, 5])
def test_blur_leaves_a_constant_map_constant(size):
    out = BlurPool2d(3, filt_size=size)(torch.full((1, 3, 8, 8), 2.5))
    assert torch.allclose(out, torch.full_like(out, 2.5))


def test_blur_halves_and_weighs_by_one_two_one():
    x = torch.zeros(1, 2, 6, 6)
    x[0, 1, 2, 2] = 16.0
    out = BlurPool2d(2)(x)
    assert out.shape == (1, 2, 3, 3) and out[0, 0].abs().sum() == 0
    assert out[0, 1].tolist() == [[0, 0, 0], [0, 4, 0], [0, 0, 0]]  # 16 * (2 / 4) * (2 / 4)
    shifted = BlurPool2d(2)(x.roll(1, dims=3))
    assert shifted[0, 1].tolist() == [[0, 0, 0], [0, 2, 2], [0, 0, 0]]  # nothing is lost between two pixels


def test_a_blur_of_one_pixel_is_refused():
    with pytest.raises(ValueError, match="filt_size is 1: a blur needs 2 or more"):
        BlurPool2d(3, filt_size=1)


# --- against timm ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "arguments", "options"), [
    ("SelectAdaptivePool2d", (), {"pool_type": "catavgmax", "flatten": True}),
    ("SelectAdaptivePool2d", (), {"pool_type": "", "flatten": True}),
    ("BlurPool2d", (8,), {"filt_size": 4}), ("BlurPool2d", (8,), {"filt_size": 5, "stride": 2}),
    ("SEModule", (8,), {"rd_ratio": 0.5}), ("EcaModule", (8,), {}), ("ConvNormAct", (8, 4, 3), {"stride": 2}),
    ("ConvNormAct", (8, 8, 3), {"groups": 8, "padding": "same", "stride": 2, "act_layer": nn.SiLU}),
    ("SeparableConv2d", (8, 4), {"stride": 2}),
    ("SeparableConvNormAct", (8, 4, 5), {"channel_multiplier": 2.0}),
    ("GlobalResponseNormMlp", (8, 16, 4), {"use_conv": True}), ("GluMlp", (8, 16, 4), {"use_conv": True}),
    ("GluMlp", (7, 16, 4), {"gate_last": False}), ("GlobalResponseNormMlp", (7, 16), {}),
    ("LayerNorm2d", (8,), {}), ("EffectiveSEModule", (8,), {}),
    ("Conv2dSame", (8, 4, 3), {"stride": 2}), ("ClassifierHead", (8, 5), {"pool_type": "avgmax"}),
], ids=str)
def test_layers_have_timms_keys_and_numbers(name, arguments, options):
    timm_layers = pytest.importorskip("timm.layers")
    mine, theirs = (getattr(library, name)(*arguments, **options) for library in (layers, timm_layers))
    randomise(theirs)
    mine.load_state_dict(theirs.state_dict())
    x = noise(2, 8, 7, 7)
    assert torch.allclose(mine.eval()(x), theirs.eval()(x), atol=1e-6)


def test_block_attention_has_timms_keys_and_numbers():
    timm_cbam = pytest.importorskip("timm.layers.cbam")
    mine, theirs = CbamModule(32), timm_cbam.CbamModule(32)
    randomise(theirs)
    mine.load_state_dict(theirs.state_dict())
    x = noise(2, 32, 7, 7)
    assert torch.allclose(mine.eval()(x), theirs.eval()(x), atol=1e-6)
