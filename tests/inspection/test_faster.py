"""Faster copies: made when they pay, of the weights that a model has now, and never more of them than fit."""

from __future__ import annotations

import gc

import pytest
import torch
from torch import nn

import explorer
from explorer.inspection.look import faster
from explorer.inspection.look.faster import WORTH_AFTER, copies, stand_in
from explorer.inspection.look.looking import look_often
from explorer.inspection.look.model import evaluating
from tests.inspection.small_models import noise_photo
from tests.models.oracle import randomise, relative_error

CLOSE = 1e-5


def net(seed: int = 0, width: int = 8) -> explorer.VisionModel:
    torch.manual_seed(seed)
    layers = [nn.Conv2d(3, width, 3, 2, bias=False), nn.BatchNorm2d(width), nn.ReLU(),
              nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU(),
              nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 4)]
    model = nn.Sequential(*layers)
    randomise(model)
    return explorer.wrap(model, input_size=(3, 24, 24)).eval()


@pytest.fixture
def runs(monkeypatch) -> list[nn.Module]:
    """What really ran, look by look: the model, or its copy."""
    seen = []
    real = faster.stand_in

    def noted(model, **options):
        seen.append(real(model, **options))
        return seen[-1]

    monkeypatch.setattr("explorer.inspection.look.looking.stand_in", noted)
    return seen


def test_a_model_that_looks_a_few_times_is_copied_and_the_copy_shows_the_same(runs):
    model, photos = net(), [noise_photo(seed=seed) for seed in range(WORTH_AFTER + 2)]
    shown = [look_often(model, photo) for photo in photos]
    assert [one is model for one in runs] == [True] * WORTH_AFTER + [False] * 2
    assert runs[-1] is runs[-2] and runs[-1].optimize_report.folded == 2
    with torch.no_grad():
        plain = model.eval()(shown[-1].input[None])[0]
    assert relative_error(shown[-1].logits, plain) < CLOSE
    again = explorer.look(model, photos[-1])  # in a cell the model itself runs: the same photo, the same bits
    assert torch.equal(again.logits, plain)
    assert again.stages.keys() == shown[-1].stages.keys() and again.model_name == shown[-1].model_name
    for name, maps in again.stages.items():
        assert relative_error(shown[-1].stages[name], maps) < CLOSE
    assert relative_error(shown[-1].embedding, again.embedding) < CLOSE


def test_heat_maps_of_a_look_by_the_copy_are_the_models_own_and_cost_no_pass(runs):
    model, photo = net(), noise_photo()
    own = look_often(model, photo)
    looks = [look_often(model, photo) for _ in range(WORTH_AFTER + 1)]
    assert runs[-1] is not model
    for method in ("gradcam", "layercam"):
        wanted = explorer.explain(model, photo, method=method, look=own)
        found = explorer.explain(model, photo, method=method, look=looks[-1])
        assert found.passes == wanted.passes == 0
        assert torch.allclose(found.heatmap, wanted.heatmap, atol=1e-4)


def test_a_model_that_has_learnt_runs_itself_again(runs):
    model, photo = net(), noise_photo()
    for _ in range(WORTH_AFTER + 1):
        look_often(model, photo)
    assert runs[-1] is not model
    with torch.no_grad():
        model.module[8].bias += torch.tensor([0.0, 100.0, 0.0, 0.0])
    assert look_often(model, photo).predictions[0].index == 1 and runs[-1] is model


def test_a_model_with_hooks_runs_itself(runs):
    model, photo, heard = net(), noise_photo(), []
    for _ in range(WORTH_AFTER + 2):
        look_often(model, photo)
    handle = model.module[3].register_forward_hook(lambda *_: heard.append(1))
    look_often(model, photo)
    assert runs[-1] is model and heard == [1]
    handle.remove()
    look_often(model, photo)
    assert runs[-1] is not model


def test_the_copy_that_was_used_longest_ago_goes_first(monkeypatch):
    models = [net(seed) for seed in range(3)]

    def use(model):
        with evaluating(model):
            return stand_in(model, following=faster.WORTH_OPTIMIZING)

    before = copies()
    first = use(models[0])
    size = copies()[1] - before[1]
    assert size > 0
    monkeypatch.setattr(faster, "LIMIT", before[1] + 2 * size)
    second = use(models[1])
    assert use(models[0]) is first
    third = use(models[2])
    assert copies()[1] <= faster.LIMIT
    assert use(models[0]) is first and use(models[2]) is third
    assert use(models[1]) is not second  # made anew: it had gone


def test_a_copy_goes_with_its_model():
    gc.collect()
    before, model = copies(), net()
    with evaluating(model):
        assert stand_in(model, following=faster.WORTH_OPTIMIZING) is not model
    assert copies()[0] == before[0] + 1
    del model
    gc.collect()
    assert copies() == before


def test_a_copy_that_says_something_else_never_runs(monkeypatch, runs):
    def wrong(model):
        fast = explorer.optimize(model)
        object.__setattr__(fast.optimize_report, "error", 2e-5)
        return fast

    monkeypatch.setattr(faster, "optimize", wrong)
    model, photo = net(), noise_photo()
    for _ in range(WORTH_AFTER + 3):
        look_often(model, photo)
    assert all(one is model for one in runs)


def test_a_small_network_without_norms_is_not_copied(monkeypatch):
    monkeypatch.setattr(faster, "optimize", lambda _net: pytest.fail("there is nothing to gain"))
    model = explorer.create_model("lenet5").eval()
    with evaluating(model):
        assert stand_in(model, following=1000) is model
