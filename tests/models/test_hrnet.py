"""HRNet against timm, and what its training needs."""

from __future__ import annotations

import pytest
import torch

import explorer.models as ours
from explorer.models.surgery.optimized import optimize
from tests.models import family_checks as check
from tests.models.oracle import (
    TOLERANCE,
    check_gradients_equal,
    check_new_classifier,
    check_same_start,
    relative_error,
    same_weights,
    without_initialisation,
)

timm = pytest.importorskip("timm")

SMALL = "hrnet_w18_small"


def build(library, name, **options):
    with without_initialisation():
        return library.create_model(name, **options)


@pytest.mark.parametrize(("name", "size", "options"), [
    (SMALL, 96, {}), (SMALL, 64, {"global_pool": "catavgmax"}), (SMALL, 32, {"global_pool": "max"}),
    ("hrnet_w18_small_v2", 64, {}),     # several exchanges in a stage
    ("hrnet_w18_ssld", 32, {}),         # a head without biases
], ids=lambda value: str(value).replace(" ", ""))
def test_numbers_equal_timms(name, size, options):
    mine, theirs = build(ours, name, **options), build(timm, name, **options)
    same_weights(mine, theirs)
    with torch.no_grad():
        features = theirs.forward_features(check.photos(size))
        final, maps = mine.forward_intermediates(check.photos(size))
        # timm's table names no modules here: its own walk gives the maps
        wanted = theirs.forward_intermediates(check.photos(size), intermediates_only=True)
        assert relative_error(final, features) < TOLERANCE
        assert [m.shape[1] for m in maps] == [64, 128, 256, 512, 1024]
        assert all(relative_error(own, other) < TOLERANCE for own, other in zip(maps, wanted, strict=True))
        assert relative_error(mine(check.photos(size)), theirs(check.photos(size))) < TOLERANCE
        assert relative_error(
            mine.forward_head(features, pre_logits=True), theirs.forward_head(features, pre_logits=True)
        ) < TOLERANCE
        check_new_classifier(mine, theirs, features)


@pytest.mark.parametrize("name", ours.list_models(family="hrnet"))
def test_every_convolution_is_set_as_timms(name):
    check.check_settings(name, timm)


@pytest.mark.parametrize("options", [{"in_chans": 1}, {"in_chans": 4}, {"num_classes": 5}, {"num_classes": 0},
                                     {"num_classes": 0, "global_pool": ""}], ids=str)
def test_numbers_equal_timms_with_other_inputs_and_outputs(options):
    check.check_other_channels(build(ours, SMALL, **options), build(timm, SMALL, **options), 32)


def test_one_training_step_leaves_the_same_gradients_and_statistics_as_timms():
    check_gradients_equal(build(ours, SMALL, num_classes=3), build(timm, SMALL, num_classes=3), 64)


def test_new_networks_start_as_timms_do():
    check_same_start(ours.create_model(SMALL), timm.create_model(SMALL))


def test_a_new_network_can_start_to_learn():
    check.check_fresh(ours.create_model(SMALL), 64)


def test_a_gradient_reaches_every_parameter():
    check.check_gradients(build(ours, SMALL, num_classes=2), 64)


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


def test_it_compiles_without_a_graph_break():
    check.check_compiles(build(ours, SMALL, depth=1), 32)


def test_a_checkpoint_fills_every_tensor(tmp_path):
    check.check_loads(SMALL, 64, tmp_path)


def test_the_maps_are_as_the_table_promises():
    check.check_features(SMALL, 64)


def test_the_maps_alone_need_nothing_of_the_head():
    model = build(ours, SMALL, features_only=True)
    head = ("model.downsamp", "model.final", "model.classifier")
    assert not any(name.startswith(head) for name in model.state_dict())


def test_a_new_classifier_keeps_its_place():
    check.check_new_classifier_keeps_its_place(build(ours, SMALL, global_pool="max"))


def test_stochastic_depth_is_refused():
    with pytest.raises(ValueError, match="leave drop_path_rate at 0"):
        ours.create_model(SMALL, drop_path_rate=0.1)


def test_freezing_up_to_a_stage_freezes_what_its_map_needs():
    """The stages' names are no modules, and each map needs the whole exchange in front of it."""
    with torch.device("meta"):
        model = build(ours, SMALL)
    model.freeze("stage2")
    free = {name.rpartition(".")[0].partition(".")[0] for name, p in model.named_parameters() if p.requires_grad}
    assert free == {"incre_modules", "downsamp_modules", "final_layer", "classifier"}
    assert not any(p.requires_grad for p in model.incre_modules[:2].parameters())
    assert all(p.requires_grad for p in model.incre_modules[2:].parameters())


def test_the_optimized_network_answers_the_same_without_norms():
    model = build(ours, SMALL, depth=1)
    check.randomise(model)
    report = optimize(model, example=check.photos(64)).optimize_report  # raises where answers differ
    assert report.norms_left == 0
