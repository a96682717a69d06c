"""Every backbone of timm's against timm: names, keys, shapes, settings, feature tables and configurations.

Numbers for every code path: test_families.py. Those that only torchvision has: test_torchvision.py.
"""

from __future__ import annotations

import pytest
import torch

import explorer.models as ours
from explorer.data import resolve_data_config
from explorer.models import weights
from explorer.models.catalog import FAMILIES, FAMILY_OF, family_module
from tests.models.family_checks import settings
from tests.models.oracle import TOLERANCE, randomise, relative_error, without_initialisation

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
    """(name, our model, timm's): built once for all tests of a name, which pytest runs one after another."""
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


def test_every_convolution_and_norm_is_set_as_timms(on_meta):
    name, mine, theirs = on_meta
    found, wanted = settings(mine), settings(theirs)
    # their "same" padding comes at run time: timm's layers name one they don't use
    if name.startswith("dm_nfnet"):
        found, wanted = ({path: (stride, *rest) for path, (stride, _, *rest) in set_.items()}
                         for set_ in (found, wanted))
    assert found == wanted


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
    trained = timm.list_models(f"{name}*", pretrained=True)
    full_names = sorted(full for full in trained if full.partition(".")[0] == name)
    assert sorted(f"{name}.{tag}" for tag in weights.tags(name)) == full_names
    for full in full_names or [name]:
        theirs = timm.get_pretrained_cfg(full)
        mine = weights.config_for(name, full.partition(".")[2])
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


@pytest.mark.parametrize(("name", "size"), [
    ("resnet10t", 64), ("resnetrs50", 64), ("vgg11_bn", 64), ("tinynet_e", 65), ("tf_efficientnet_lite0", 65),
    ("vit_tiny_patch16_224", 224),
])
def test_feature_networks_give_timms_maps(name, size):
    mine, theirs = build(ours, name, features_only=True).eval(), build(timm, name, features_only=True).eval()
    randomise(theirs)
    # timm's wrappers write the path of a layer in three ways
    state = {key.removeprefix("model.").replace("features_", "features."): value
             for key, value in theirs.state_dict().items()}
    assert mine.model.load_state_dict(state, strict=False).unexpected_keys == []
    x = torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(4))
    with torch.no_grad():
        for own, other in zip(mine(x), theirs(x), strict=True):
            assert relative_error(own, other) < TOLERANCE
