"""Faster copies: made when they pay, of the weights that a model has now, and never more of them than fit."""

from __future__ import annotations

import gc

import pytest
import torch
from torch import nn

import explorer
from explorer.inspection.look import faster
from explorer.inspection.look.faster import Faster, copies, stand_in
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


def use(model: explorer.VisionModel) -> nn.Module:
    with evaluating(model):
        return stand_in(model)


def test_a_copy_is_made_once_and_shows_the_same():
    model, photo = net(), noise_photo()
    copy = use(model)
    assert copy is not model and use(model) is copy and copy.optimize_report.folded == 2
    shown, wanted = explorer.look(copy, photo), explorer.look(model, photo)
    assert shown.stages.keys() == wanted.stages.keys() and shown.model_name == wanted.model_name
    pairs = [(shown.logits, wanted.logits), (shown.embedding, wanted.embedding)]
    pairs += [(shown.stages[name], maps) for name, maps in wanted.stages.items()]
    assert max(relative_error(found, true) for found, true in pairs) < CLOSE


def test_heat_maps_of_the_copy_are_the_models_own_and_cost_no_pass():
    model, photo = net(), noise_photo()
    copy = use(model)
    for method in ("gradcam", "layercam"):
        wanted = explorer.explain(model, photo, method=method, look=explorer.look(model, photo))
        found = explorer.explain(copy, photo, method=method, look=explorer.look(copy, photo))
        assert found.passes == wanted.passes == 0
        assert torch.allclose(found.heatmap, wanted.heatmap, atol=1e-4)


def test_a_model_that_has_learnt_gets_another_copy():
    model = net()
    first = use(model)
    with torch.no_grad():
        model.module[8].bias += torch.tensor([0.0, 100.0, 0.0, 0.0])
    second = use(model)
    assert second is not first and explorer.look(second, noise_photo()).predictions[0].index == 1


def test_a_model_with_hooks_runs_itself():
    model = net()
    copy = use(model)
    handle = model.module[3].register_forward_hook(lambda *_: None)
    assert use(model) is model
    handle.remove()
    assert use(model) is copy


def test_the_copy_that_was_used_longest_ago_goes_first(monkeypatch):
    models = [net(seed) for seed in range(3)]

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


def test_a_copy_that_is_larger_than_all_may_be_is_used_and_not_kept(monkeypatch):
    before, model = copies(), net()
    monkeypatch.setattr(faster, "LIMIT", 10)
    first = use(model)
    assert first is not model and use(model) is not first and copies() == before


def test_a_copy_goes_with_its_model():
    gc.collect()
    before, model = copies(), net()
    assert use(model) is not model
    assert copies()[0] == before[0] + 1
    del model
    gc.collect()
    assert copies() == before


def test_a_copy_that_says_something_else_is_let_go_of():
    model, photos = net(), torch.randn(4, 3, 24, 24)
    copy = use(model)
    with torch.no_grad():
        copy.module[8].bias += 1
    run = Faster(model, lambda net, inputs: (net(inputs).detach().numpy(),))
    found = run(photos, following=1000)
    assert run.fast is None and use(model) is model
    with torch.no_grad():
        assert torch.equal(torch.from_numpy(found[0]), model(photos))


def test_a_small_network_without_norms_is_not_copied(monkeypatch):
    monkeypatch.setattr(faster, "optimize", lambda _net: pytest.fail("there is nothing to gain"))
    model = explorer.create_model("lenet5").eval()
    assert use(model) is model
