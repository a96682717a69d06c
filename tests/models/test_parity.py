"""Every backbone that timm has against timm: names, keys, shapes, feature tables and configurations for all of them,
numbers for every code path. Those that only torchvision has: test_torchvision.py."""

from __future__ import annotations

import pytest
import torch

import explorer.models as ours
from explorer.data import resolve_data_config
from explorer.models import weights
from explorer.models.catalog import FAMILIES, FAMILY_OF, family_module
from tests.models.oracle import (
    TOLERANCE,
    check_numbers,
    randomise,
    relative_error,
    same_weights,
    without_initialisation,
)

timm = pytest.importorskip("timm")

NAMES = [name for name, family in FAMILY_OF.items() if family.oracle == "timm"]


# Where timm's default stages are a slip: it counts one for each of five sizes, and these start at full size.
# Their sisters give all six there; ours all do.
ALL_STAGES = {"sedarknet21": {"out_indices": (0, 1, 2, 3, 4, 5)}}


def build(library, name, **options):
    """A model whose numbers nobody has drawn: the caller fills them in, or puts it on `meta`."""
    with without_initialisation():
        return library.create_model(name, **options)


@pytest.fixture(scope="module", params=NAMES)
def on_meta(request):
    """(name, our model, timm's); built once for all tests of a name, which pytest runs one after the other."""
    with torch.device("meta"):
        return request.param, build(ours, request.param), build(timm, request.param)


def test_keys_and_shapes_equal_timms(on_meta):
    _, mine, theirs = on_meta
    shapes = {key: tuple(value.shape) for key, value in mine.state_dict().items()}
    assert shapes == {key: tuple(value.shape) for key, value in theirs.state_dict().items()}
    assert mine.num_features == theirs.num_features
    assert mine.head_hidden_size == theirs.head_hidden_size
    assert mine.num_classes == theirs.num_classes
    # trainable tensors in the same order: an optimizer state saved by timm fits
    assert [k for k, _ in mine.named_parameters()] == [k for k, _ in theirs.named_parameters()]


def test_feature_table_and_default_out_indices_equal_timms(on_meta):
    name, my_model, their_model = on_meta
    table = [(row["num_chs"], row["reduction"], row["module"]) for row in my_model.feature_info]
    assert table == [(row["num_chs"], row["reduction"], row["module"]) for row in their_model.feature_info]
    with torch.device("meta"):
        mine = build(ours, name, features_only=True).feature_info
        theirs = build(timm, name, features_only=True, **ALL_STAGES.get(name, {})).feature_info
    assert mine.channels() == theirs.channels()
    assert mine.reduction() == theirs.reduction()
    assert mine.module_name() == theirs.module_name()
    assert mine.out_indices == tuple(theirs.out_indices)


@pytest.mark.parametrize("name", NAMES)
def test_data_config_equals_timms_for_every_tag(name):
    assert timm.is_model(name)
    full_names = sorted(n for n in timm.list_models(f"{name}*", pretrained=True) if n.partition(".")[0] == name)
    assert sorted(f"{name}.{tag}" for tag in weights.tags(name)) == full_names
    for full in full_names or [name]:
        theirs = timm.get_pretrained_cfg(full)
        mine = weights.config_for(*ours.factory.split_name(full))
        for test_size in (False, True):
            assert resolve_data_config({}, pretrained_cfg=mine.as_timm(), use_test_size=test_size) == \
                timm.data.resolve_data_config({}, pretrained_cfg=theirs.to_dict(), use_test_size=test_size)
        assert mine.num_classes == theirs.num_classes
        assert mine.hf_hub_id == (theirs.hf_hub_id or "")
    assert weights.config_for(name).tag == (timm.get_pretrained_cfg(name).tag or "")


@pytest.mark.parametrize("module", sorted({family.module for family in FAMILIES.values()}))
def test_catalog_and_variant_table_hold_the_same_names(module):
    listed = {name for family in FAMILIES.values() if family.module == module for name in family.names}
    assert listed == set(family_module(next(iter(listed))).VARIANTS)


@pytest.mark.parametrize("module", ["resnet", "vgg", "efficientnet", "vision_transformer"])
def test_no_variant_of_timm_is_missing(module):
    names = timm.list_models(module=module, exclude_filters="test_*")
    assert names and [name for name in names if name not in FAMILY_OF] == []


# One name (and options) for every code path of a family file, at the smallest size it takes.
PATHS = [
    ("resnet18", 33, {}),                                     # basic block, plain stem; odd size
    ("resnet26", 64, {}),                                     # bottleneck
    ("resnet10t", 64, {}),                                    # tiered stem, averaging shortcut
    ("resnet14t", 65, {}),                                    # ... bottleneck, odd size (ceil_mode)
    ("resnet50c", 32, {}), ("resnet50s", 32, {}),
    ("resnet50_gn", 64, {}),                                  # GroupNorm
    ("wide_resnet50_2", 32, {}), ("resnext50_32x4d", 32, {}),
    ("seresnet18", 64, {}), ("seresnext26d_32x4d", 64, {}), ("seresnet50t", 32, {}),
    ("senet154", 32, {}),                                     # 3 x 3 shortcut, reduced first convolution
    ("ecaresnet26t", 64, {}), ("ecaresnetlight", 32, {}),
    ("resnetblur18", 64, {}), ("resnetblur50", 64, {}), ("resnetaa34d", 64, {}), ("resnetaa50", 64, {}),
    ("seresnetaa50d", 64, {}), ("resnetrs50", 64, {}),
    ("resnet18", 64, {"output_stride": 16}), ("resnet26", 64, {"output_stride": 8}),
    ("resnet26d", 64, {"output_stride": 8}), ("senet154", 32, {"output_stride": 16}),
    ("resnetblur50", 64, {"output_stride": 16}), ("resnetaa50", 64, {"output_stride": 8}),
    ("resnet18", 64, {"global_pool": "catavgmax"}), ("resnet18", 64, {"global_pool": "avgmax"}),
    ("resnet18", 64, {"global_pool": "max"}),
    ("vgg11", 256, {}), ("vgg11_bn", 64, {}),                 # the head slides; the map is stretched for it
    ("mobilenetv1_100", 65, {}), ("mobilenetv1_100h", 64, {}),  # no shortcuts; without and with a head convolution
    ("mobilenetv2_035", 65, {}), ("mobilenetv2_110d", 64, {}), ("mobilenetv2_140", 32, {}),
    ("mnasnet_050", 64, {}), ("mnasnet_small", 65, {}),       # some stages with squeeze-and-excitation
    ("semnasnet_050", 64, {}),
    ("fbnetc_100", 64, {}), ("spnasnet_100", 65, {}),         # several rows in a stage
    ("efficientnet_b0", 64, {}), ("efficientnet_b0", 65, {}),
    ("tf_efficientnet_b0", 64, {}), ("tf_efficientnet_b0", 65, {}),  # "same" padding, even and odd
    ("efficientnet_b1", 32, {}),                              # a first stage of two blocks
    ("efficientnet_lite0", 64, {}), ("tf_efficientnet_lite0", 64, {}), ("tf_efficientnet_lite0", 65, {}),
    ("efficientnet_es", 65, {}), ("tf_efficientnet_es", 64, {}),  # full convolutions in the block
    ("efficientnet_em", 64, {}),                              # ... a first stage of two blocks without shortcut
    ("tinynet_e", 64, {}),
    ("efficientnet_b0", 64, {"output_stride": 16}), ("efficientnet_b0", 65, {"output_stride": 8}),
    ("tf_efficientnet_lite0", 65, {"output_stride": 16}), ("tf_efficientnet_b0", 64, {"output_stride": 8}),
    ("mobilenetv1_100", 64, {"output_stride": 8}), ("efficientnet_es", 64, {"output_stride": 8}),
    ("fbnetc_100", 64, {"output_stride": 8}), ("mobilenetv2_035", 64, {"output_stride": 8}),
    ("mobilenetv2_050", 64, {"global_pool": "catavgmax"}),
    ("vit_tiny_patch16_224", 224, {}),                        # class token
    ("vit_tiny_patch16_224", 32, {"img_size": 32, "depth": 2, "global_pool": "avg"}),
    ("vit_tiny_patch16_224", 32, {"img_size": 32, "depth": 2, "global_pool": "max"}),
    ("vit_tiny_patch16_224", 32, {"img_size": 32, "depth": 2, "global_pool": "avgmax"}),
    ("vit_tiny_patch16_224", 48, {"img_size": 32, "depth": 2, "dynamic_img_size": True}),
    ("vit_tiny_patch16_224", 37, {"img_size": 37, "depth": 2, "patch_size": (8, 16)}),  # pixels left over
    ("vit_tiny_patch16_224", 32, {"img_size": 32, "depth": 2, "reg_tokens": 3, "qk_norm": True, "pre_norm": True,
                                  "init_values": 0.1, "fc_norm": True, "proj_bias": False, "qkv_bias": False}),
    ("vit_tiny_patch16_224", 32, {"img_size": 32, "depth": 2, "reg_tokens": 2, "no_embed_class": True,
                                  "final_norm": False, "pool_include_prefix": True, "global_pool": "avg"}),
    ("vit_base_patch16_gap_224", 32, {"img_size": 32, "depth": 2, "embed_dim": 64}),
    ("vit_medium_patch16_gap_240", 32, {"img_size": 32, "depth": 2, "embed_dim": 64}),  # no bias, LayerScale
    ("vit_small_patch14_dinov2", 28, {"img_size": 28, "depth": 2}),
    ("vit_giant_patch14_dinov2", 28, {"img_size": 28, "depth": 2, "embed_dim": 48, "num_heads": 2}),  # SwiGLU
    ("vit_small_patch14_reg4_dinov2", 28, {"img_size": 28, "depth": 2}),
    ("vit_medium_patch16_reg4_gap_256", 32, {"img_size": 32, "depth": 2, "embed_dim": 64}),
    ("vit_base_patch16_clip_quickgelu_224", 32, {"img_size": 32, "depth": 2}),
    ("vit_so150m2_patch16_reg1_gap_256", 32, {"img_size": 32, "depth": 2}),
    ("vit_so400m_patch16_siglip_gap_256", 32, {"img_size": 32, "depth": 1}),
    ("flexivit_small", 32, {"img_size": 32, "depth": 2}),
]


@pytest.mark.parametrize(("name", "size", "options"), PATHS, ids=lambda value: str(value).replace(" ", ""))
def test_numbers_equal_timms_on_every_code_path(name, size, options):
    check_numbers(build(ours, name, **options), build(timm, name, **options), size)


@pytest.mark.parametrize(("name", "size"), [
    ("resnet10t", 64), ("resnetrs50", 64), ("vgg11_bn", 64), ("tinynet_e", 65), ("tf_efficientnet_lite0", 65),
    ("vit_tiny_patch16_224", 224),
])
def test_feature_networks_give_timms_maps(name, size):
    mine, theirs = build(ours, name, features_only=True).eval(), build(timm, name, features_only=True).eval()
    randomise(theirs)
    # timm's wrappers write the path of a layer in three ways
    state = {key.removeprefix("model.").replace("features_", "features."): v for key, v in theirs.state_dict().items()}
    assert mine.model.load_state_dict(state, strict=False).unexpected_keys == []
    x = torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(4))
    with torch.no_grad():
        for own, other in zip(mine(x), theirs(x), strict=True):
            assert relative_error(own, other) < TOLERANCE


@pytest.mark.parametrize(("name", "size"), [
    ("resnet18", 32), ("resnet26d", 32), ("vgg11", 32), ("efficientnet_b0", 32), ("tf_efficientnet_lite0", 32),
    ("vit_tiny_patch16_224", 224),
])
@pytest.mark.parametrize("options", [{"in_chans": 1}, {"in_chans": 4}, {"num_classes": 0}, {"num_classes": 5}], ids=str)
def test_numbers_equal_timms_with_other_inputs_and_outputs(name, size, options):
    mine, theirs = build(ours, name, **options), build(timm, name, **options)
    same_weights(mine, theirs)
    x = torch.randn(2, options.get("in_chans", 3), size, size, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        assert relative_error(mine(x), theirs(x)) < TOLERANCE
