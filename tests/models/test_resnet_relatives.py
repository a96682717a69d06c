"""ResNeSt, Res2Net and SKNet: ResNets with a block of their own."""

from __future__ import annotations

import pytest
import torch

import explorer.models as ours
from explorer.models.layers import SelectiveKernel, SEModule, SplitAttention
from tests.models.oracle import TOLERANCE, randomise, relative_error, same_weights, without_initialisation

timm = pytest.importorskip("timm")

ONE_EACH = ("resnest14d", "res2net50_26w_4s", "skresnet18", "skresnext50_32x4d")


def photo(size: int = 32, chans: int = 3) -> torch.Tensor:
    return torch.randn(2, chans, size, size, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("in_chans", [1, 4])
@pytest.mark.parametrize("name", ["resnest14d", "skresnet18"])
def test_numbers_equal_timms_with_other_photos(name, in_chans):
    with without_initialisation():
        mine, theirs = (lib.create_model(name, in_chans=in_chans) for lib in (ours, timm))
    same_weights(mine, theirs)
    with torch.no_grad():
        assert relative_error(mine(photo(32, in_chans)), theirs(photo(32, in_chans))) < TOLERANCE


@pytest.mark.parametrize("name", ["resnest14d", "res2net50_26w_4s"])
def test_fresh_blocks_start_with_their_last_norm_at_zero(name):
    for stage in (model := ours.create_model(name)).layer1, model.layer4:
        assert all(not block.bn3.weight.any() and block.bn1.weight.all() for block in stage)


@pytest.mark.parametrize("name", ["resnest14d", "res2net50_26w_4s", "skresnet18"])
def test_fresh_weights_give_logits_of_a_sane_size(name):
    torch.manual_seed(0)
    logits = ours.create_model(name)(photo(64))
    assert torch.isfinite(logits).all() and 0.01 < logits.std() < 3


@pytest.mark.parametrize("name", ONE_EACH)
def test_every_block_may_drop_its_path(name):
    with without_initialisation():
        model = ours.create_model(name, drop_path_rate=0.2)
    rates = [m.drop_prob for m in model.modules() if hasattr(m, "drop_prob")]
    blocks = sum(len(getattr(model, f"layer{i}")) for i in (1, 2, 3, 4))
    assert rates == pytest.approx([0.2 * i / (blocks - 1) for i in range(1, blocks)])  # the first never drops
    randomise(model)
    with torch.no_grad():
        assert not torch.equal(model(photo()), model(photo()))
        model.eval()
        assert torch.equal(model(photo()), model(photo()))


def test_channel_attention_goes_behind_each_block():
    for name in ONE_EACH:
        with torch.device("meta"):
            model = ours.create_model(name, attn="se")
        assert isinstance(model.layer3[0].se, SEModule)


@pytest.mark.parametrize(("name", "options", "message"), [
    ("resnest14d", {"aa": "blur"}, "averages by itself"),
    ("res2net50_26w_4s", {"reduce_first": 2}, "averages by itself"),
    ("res2net50_26w_4s", {"scale": 1}, "2 groups of channels or more"),
    ("skresnet18", {"aa": "blur"}, "have no option 'aa'"),
    ("skresnet18", {"cardinality": 32}, "use SelectiveKernelBottleneck"),
])
def test_what_a_block_cannot_do_is_refused(name, options, message):
    with pytest.raises(ValueError, match=message):
        ours.create_model(name, **options)


# --- the two new layers -------------------------------------------------------------------------------------


def test_split_attention_ignores_maps_that_its_softmax_shuts_off():
    layer = SplitAttention(8, 16, radix=2).eval()
    randomise(layer)
    x = torch.randn(2, 8, 5, 5, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        layer.fc2.weight.zero_()
        # all of the first map, nothing of the second
        layer.fc2.bias[:16], layer.fc2.bias[16:] = 100.0, -100.0
        first = layer.act0(layer.bn0(layer.conv(x)))[:, :16]
        assert torch.allclose(layer(x), first)
        layer.fc2.bias.zero_()  # both alike
        both = layer.act0(layer.bn0(layer.conv(x)))
        assert torch.allclose(layer(x), (both[:, :16] + both[:, 16:]) / 2, atol=1e-6)


def test_a_selective_kernel_sees_three_and_five_pixels():
    layer = SelectiveKernel(8, 16).eval()
    randomise(layer)
    x = torch.randn(1, 8, 9, 9, generator=torch.Generator().manual_seed(0)).requires_grad_()
    reach = []
    for path, part in zip(layer.paths, x.chunk(2, 1)):
        [gradient] = torch.autograd.grad(path.conv(part)[0, :, 4, 4].sum(), x)
        rows = gradient.abs().sum((0, 1, 3)).nonzero().flatten()
        reach.append(int(rows.max() - rows.min()) + 1)
    assert reach == [3, 5]


def test_a_selective_kernel_refuses_halves_of_an_odd_number():
    with pytest.raises(ValueError, match="7 channels can't be split into halves"):
        SelectiveKernel(7, 16)
