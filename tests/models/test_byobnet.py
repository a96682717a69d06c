"""GERNet, RegNetZ and the hand-made ResNets against timm."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import explorer.models as ours
from explorer.models.backbones.byobnet import ByobNet, GlobalContext, Row
from explorer.models.layers import BilinearTransform
from tests.models import family_checks as check
from tests.models.oracle import drop_path_rates, randomise, without_initialisation

timm = pytest.importorskip("timm")

# Small networks with all of it.
BASIC, BOTTLE = Row("basic", 2, 16), Row("bottle", 2, 32, 2, 0.5, 8)
SMALL = {
    "relu": dict(rows=(BASIC, Row("edge", 1, 24), BOTTLE, Row("bottle", 2, 32, 1, 2, 1)), attn="gc",
                 num_features=40),
    "bat": dict(rows=(BOTTLE, BOTTLE), stem=((8, 1), (16, 1)), attn="bat"),
    "linear": dict(rows=(BOTTLE, BOTTLE, BOTTLE), stem=((8, 2), (12, 1), (16, 2)), attn="se_wide",
                   expand_in=True, linear=True, act_layer="silu"),
    "extra": dict(rows=(Row("bottle", 2, 16, 1, 0.5), BOTTLE, BOTTLE, BOTTLE),
                  stem=((8, 2), (12, 1), (16, 1)), stem_plain=2, stem_pool=True, extra_conv=True, attn="eca"),
}


def pair(name, **options):
    with without_initialisation():
        return ours.create_model(name, **options), timm.create_model(name, **options)


@pytest.fixture(params=SMALL)
def small(request):
    return ByobNet(num_classes=5, **SMALL[request.param])


# --- against timm -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "output_stride"), [
    ("resnet51q", 16), ("resnet61q", 16), ("regnetz_d8", 16), ("regnetz_d8", 8),
])
def test_dilations_equal_timms(name, output_stride):
    check.check_settings(name, timm, output_stride=output_stride)


@pytest.mark.parametrize("name", ["gernet_s", "resnet61q", "regnetz_b16"])
def test_dropped_branches_equal_timms_where_there_is_a_shortcut(name):
    with torch.device("meta"):
        mine, theirs = pair(name, drop_path_rate=0.3)
    rates, shortcuts = drop_path_rates(mine), dict(mine.named_modules())
    wanted = {path: rate for path, rate in drop_path_rates(theirs).items()
              if shortcuts[path.removesuffix(".drop_path")].shortcut is not None}
    assert wanted and rates == pytest.approx(wanted)


# --- parts --------------------------------------------------------------------------------------------------


def test_global_context_adds_the_same_to_every_place():
    layer, x = GlobalContext(16), torch.randn(2, 16, 5, 3)
    randomise(layer)
    with torch.no_grad():
        added = layer(x) - x
    assert added.abs().max() > 0.01
    assert torch.allclose(added, added[..., :1, :1].expand_as(added), atol=1e-5)


def test_bilinear_attention_mixes_rows_and_columns_with_matrices_made_from_the_map():
    layer, x = BilinearTransform(4, size=2, groups=2).eval(), torch.randn(1, 4, 2, 2)
    randomise(layer)
    with torch.no_grad():
        p, q = layer.matrices(x)
        mixed = torch.cat([p[0, i // 2] @ x[0, i] @ q[0, i // 2] for i in range(4)]).view(1, 4, 2, 2)
        assert torch.allclose(p.sum(3), torch.ones(1, 2, 2)) and torch.allclose(q.sum(2), torch.ones(1, 2, 2))
        assert torch.allclose(layer(x), layer.conv2(mixed), atol=1e-6)


def test_bilinear_attention_says_which_photos_it_takes():
    model = pair("bat_resnext26ts")[0]
    with pytest.raises(ValueError, match="A map of 4 x 4 can't be cut into 8 x 8.*256 x 256"):
        model.eval()(torch.randn(1, 3, 64, 64))


def test_dilation_keeps_the_parameters_so_that_trained_weights_fit():
    for name in ("gernet_m", "resnet33ts", "regnetz_d8"):  # gernet_m: timm adds a convolution there
        with torch.device("meta"):
            plain, dilated = ours.create_model(name), ours.create_model(name, output_stride=8)
        assert list(plain.state_dict()) == list(dilated.state_dict())


def test_unknown_options_are_refused():
    with pytest.raises(ValueError, match="output_stride is 4: these networks offer 8, 16 and 32"):
        ours.create_model("gernet_s", output_stride=4)
    with pytest.raises(ValueError, match="Unknown channel attention 'cbam'. Known: '', 'se'"):
        ours.create_model("gernet_s", attn="cbam")


# --- as a family --------------------------------------------------------------------------------------------


def test_every_parameter_gets_a_gradient(small):
    check.check_gradients(small, 64)


def test_it_compiles_into_one_graph():
    check.check_compiles(ByobNet(num_classes=5, **SMALL["relu"]), 64)


def test_a_new_classifier_keeps_its_place(small):
    small.reset_classifier(5, "max")
    small.to(torch.float64).reset_classifier(3)
    assert small.get_classifier().weight.dtype == torch.float64 and small.head.global_pool.pool_type == "max"
    small.to("meta").reset_classifier(4)
    assert small.get_classifier().weight.is_meta


def test_new_blocks_with_a_shortcut_pass_their_input_on():
    model = ByobNet(num_classes=5, rows=(Row("bottle", 2, 32, 1),), stem=((32, 2),)).eval()
    x = torch.randn(1, 32, 4, 4).abs()
    with torch.no_grad():
        assert torch.equal(model.stages[0][1](x), nn.functional.relu(x))


def test_the_class_is_public():
    assert ours.ByobNet is ByobNet
