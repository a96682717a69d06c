"""GhostNet 1, 2 and 3 against timm, and version 3 with its branches folded away."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch

import explorer.models as ours
from explorer.models.backbones.ghostnet import GhostModule
from tests.models import family_checks as check
from tests.models.oracle import TOLERANCE, check_same_start, randomise, relative_error


def test_fresh_weights_can_be_drawn_anew():
    torch.manual_seed(0)
    model = ours.create_model("ghostnet_050", num_classes=2)
    randomise(model)
    model.init_weights()
    check_same_start(model, ours.create_model("ghostnet_050", num_classes=2))


def test_it_compiles_as_one_graph():
    model = ours.create_model("ghostnetv2_100", num_classes=2)
    model.blocks = model.blocks[:4]  # ungated and gated blocks; tracing all of them takes long
    model.conv_head = torch.nn.Conv2d(40, 1280, 1)
    check.check_compiles(model, 64)


@pytest.mark.parametrize(("options", "message"), [
    ({"version": 4}, "version is 4"), ({"drop_path_rate": 0.1}, "without stochastic depth"),
    ({"global_pool": "catavgmax"}, "one width"), ({"global_pool": ""}, "needs pooled features"),
    ({"output_stride": 16}, "can't trade stride"),
], ids=str)
def test_impossible_options_are_refused_with_a_sentence(options, message):
    with pytest.raises(ValueError, match=message):
        ours.create_model("ghostnet_050", **options)


def test_the_second_half_of_a_ghost_module_is_made_of_the_first_alone():
    module = GhostModule(4, 6, act=True)
    randomise(module)
    with torch.no_grad():
        out = module.eval()(check.photos(8, in_chans=4))
        assert out.shape == (2, 6, 8, 8)
        assert torch.equal(module.cheap_operation(out[:, :3]), out[:, 3:])


# --- version 3 without its branches -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def trained():
    """A version 3 whose every number is random, in evaluation."""
    model = ours.create_model("ghostnetv3_050", num_classes=5)
    randomise(model)
    return model.eval()


def folded(model):
    copy = deepcopy(model)
    copy.reparameterize()
    return copy


def test_the_folded_network_gives_the_same_logits_and_maps(trained):
    # random branches add up to large numbers, whose rounding grows in float32
    trained = deepcopy(trained).double()
    copy = folded(trained)
    x = check.photos(65).double()
    with torch.no_grad():
        assert relative_error(copy(x), trained(x)) < TOLERANCE
        maps = zip(copy.forward_intermediates(x)[1], trained.forward_intermediates(x)[1], strict=True)
        assert all(relative_error(own, other) < TOLERANCE for own, other in maps)


def test_no_branch_is_left_after_folding_and_parameters_are_fewer(trained):
    copy = folded(trained)
    assert [key for key in copy.state_dict() if "rpr" in key] == []
    assert sum(p.numel() for p in copy.parameters()) < 0.8 * sum(p.numel() for p in trained.parameters())


def test_folding_twice_changes_nothing_more(trained):
    copy = folded(trained)
    before = {key: value.clone() for key, value in copy.state_dict().items()}
    copy.reparameterize()
    assert copy.state_dict().keys() == before.keys()
    assert all(torch.equal(value, before[key]) for key, value in copy.state_dict().items())


@pytest.mark.parametrize("path", ["blocks.3.0", "blocks.3.0.ghost1", "blocks.2.0"])
def test_each_block_folds_by_itself(trained, path):
    block = ours.create_model("ghostnetv3_050", num_classes=5).get_submodule(path).eval()
    block.load_state_dict(trained.get_submodule(path).state_dict())
    x = torch.randn(2, 12, 9, 9, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        before = block(x)
        block.reparameterize()
        assert relative_error(block(x), before) < TOLERANCE


def test_versions_without_branches_stay_as_they_are():
    model = ours.create_model("ghostnet_050")
    before = list(model.state_dict())
    model.reparameterize()
    assert list(model.state_dict()) == before
