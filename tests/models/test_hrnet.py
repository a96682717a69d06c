"""HRNet against timm, and what its training needs."""

from __future__ import annotations

import pytest
import torch

import explorer.models as ours
from explorer.models.surgery.optimized import optimize
from tests.models import family_checks as check
from tests.models.oracle import without_initialisation

SMALL = "hrnet_w18_small"


def build(library, name, **options):
    with without_initialisation():
        return library.create_model(name, **options)


@pytest.mark.parametrize("size", [33, 80, 100])
def test_photos_of_any_size_are_taken(size):
    """timm needs a multiple of 32: elsewhere its enlarged maps are a pixel too large to be added."""
    model = build(ours, SMALL).eval()
    with torch.no_grad():
        logits, maps = model(check.photos(size)), model.forward_intermediates(check.photos(size))[1]
    assert logits.shape == (2, 1000)
    assert [m.shape[-1] for m in maps] == [-(-size // stage.reduction) for stage in model.stages]


def test_what_a_small_map_finds_reaches_the_large_one():
    """One word from the smallest map, and the largest is another."""
    model = build(ours, SMALL)
    check.randomise(model)
    fuse = model.stage4[0].fuse_layers[0]
    x = check.photos(64)
    with torch.no_grad():
        before = model.eval().forward_intermediates(x, (1,), intermediates_only=True)[0]
        fuse[3][0].weight.zero_(), fuse[3][1].bias.add_(1)
        after = model.forward_intermediates(x, (1,), intermediates_only=True)[0]
    assert not torch.allclose(before, after)


def test_the_maps_alone_need_nothing_of_the_head():
    model = build(ours, SMALL, features_only=True)
    head = ("model.downsamp", "model.final", "model.classifier")
    assert not any(name.startswith(head) for name in model.state_dict())


def test_stochastic_depth_is_refused():
    with pytest.raises(ValueError, match="leave drop_path_rate at 0"):
        ours.create_model(SMALL, drop_path_rate=0.1)


def test_freezing_up_to_a_stage_freezes_what_its_map_needs():
    """The stages' names are no modules, and each map needs the whole exchange in front of it."""
    with torch.device("meta"):
        model = build(ours, SMALL)
    model.freeze("stage2")
    learning = [name for name, p in model.named_parameters() if p.requires_grad]
    free = {name.rpartition(".")[0].partition(".")[0] for name in learning}
    assert free == {"incre_modules", "downsamp_modules", "final_layer", "classifier"}
    assert not any(p.requires_grad for p in model.incre_modules[:2].parameters())
    assert all(p.requires_grad for p in model.incre_modules[2:].parameters())


def test_the_optimized_network_answers_the_same_without_norms():
    model = build(ours, SMALL, depth=1)
    check.randomise(model)
    report = optimize(model, example=check.photos(64)).optimize_report  # raises where answers differ
    assert report.norms_left == 0
