"""Faster copies: made when they pay, of the weights that a model has now, and never more of them than fit."""

from __future__ import annotations

import gc
from weakref import WeakKeyDictionary

import pytest
import torch
from torch import nn

import explorer
from explorer.inspection.look import faster, tail
from explorer.inspection.look.faster import Faster, copies, stand_in
from explorer.inspection.look.model import evaluating
from tests.inspection.small_models import noise_photo, tiny
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
    monkeypatch.setattr(faster, "_kept", WeakKeyDictionary())  # other tests' copies would go before these
    first = use(models[0])
    size = copies()[1]
    assert size > 0
    monkeypatch.setattr(faster, "LIMIT", 2 * size)
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
    monkeypatch.setattr(faster, "unproven_copy", lambda *_: pytest.fail("there is nothing to gain"))
    model = explorer.create_model("lenet5").eval()
    assert use(model) is model


# --- looks --------------------------------------------------------------------------------------------------


def passes_of(model: nn.Module, monkeypatch) -> list[nn.Module]:
    """Who runs, pass by pass: the model, or its copy."""
    ran, real = [], tail.walk_stages

    def noted(runs, *inputs, **watchers):
        ran.append(runs)
        return real(runs, *inputs, **watchers)

    monkeypatch.setattr(tail, "walk_stages", noted)
    return ran


def test_the_second_look_makes_a_copy_and_those_after_it_are_one_pass_of_it(monkeypatch):
    model, photos, before = net(), [noise_photo(seed=seed) for seed in range(4)], copies()[0]
    ran = passes_of(model, monkeypatch)
    explorer.look(model, photos[0])
    assert ran == [model] and copies()[0] == before
    explorer.look(model, photos[1])
    assert ran[:2] == [model, model] and len(ran) == 3 and copies()[0] == before + 1
    copy, ran[:] = ran[2], []
    shown = [explorer.look(model, photo) for photo in photos]
    assert copy is not model and ran == [copy] * 4
    for look in shown:
        with torch.no_grad():
            assert relative_error(look.logits, model(look.input[None])[0]) < CLOSE


FAMILIES = ("resnet", "efficientnet", "mobilenetv3", "regnet", "convnext", "densenet", "inception_v3", "vit",
            "swin")


@pytest.mark.parametrize("module", FAMILIES)
def test_looks_through_the_copy_show_what_the_model_shows(module, monkeypatch):
    model, photo = tiny(module), noise_photo()
    monkeypatch.setattr(faster, "WORTH_PACKING", 0)
    explorer.look(model, photo)  # now it is known whose maps have places
    own = explorer.look(model, photo)
    ran = passes_of(model, monkeypatch)
    other = explorer.look(model, photo)
    assert ran and ran[0] is not model
    assert own.stages.keys() == other.stages.keys()
    pairs = [(other.logits, own.logits), (other.embedding, own.embedding)]
    pairs += [(other.stages[name], maps) for name, maps in own.stages.items()]
    assert max(relative_error(found, true) for found, true in pairs) < CLOSE
    for options in ({}, {"method": "layercam"}, {"stage": next(iter(own.stages))}):
        wanted = explorer.explain(model, photo, look=own, **options)
        found = explorer.explain(model, photo, look=other, **options)
        assert found.passes == wanted.passes == ("stage" in options)
        assert torch.allclose(found.heatmap, wanted.heatmap, atol=1e-4)


def test_a_look_after_learning_is_by_the_new_weights(monkeypatch):
    model, photo = net(), noise_photo()
    for _ in range(3):
        explorer.look(model, photo)
    with torch.no_grad():
        model.module[8].bias += torch.tensor([0.0, 100.0, 0.0, 0.0])
    ran = passes_of(model, monkeypatch)
    assert explorer.look(model, photo).predictions[0].index == 1 and ran == [model]


def test_a_look_after_a_setting_was_changed_is_by_the_new_one():
    model, photo = net(), noise_photo()
    for _ in range(3):
        first = explorer.look(model, photo)
    model.module[3].dilation = model.module[3].padding = (2, 2)
    second = explorer.look(model, photo)
    assert not torch.allclose(first.logits, second.logits)
    with torch.no_grad():
        assert torch.equal(second.logits, model(second.input[None])[0])


def test_a_look_by_a_model_with_hooks_or_a_forward_of_ones_own_runs_the_model():
    model, photo, heard = net(), noise_photo(), []
    for _ in range(3):
        explorer.look(model, photo)
    handle = model.module[3].register_forward_hook(lambda *_: heard.append("hook"))
    explorer.look(model, photo)
    assert heard == ["hook"]
    handle.remove()
    layer, plain = model.module[2], model.module[2].forward
    layer.forward = lambda x: heard.append("own") or plain(x)
    explorer.look(model, photo)
    assert heard == ["hook", "own"]


def test_double_precision_and_inference_tensors_look_without_a_copy(monkeypatch):
    monkeypatch.setattr(faster, "unproven_copy", lambda *_: pytest.fail("not for looks"))
    with torch.inference_mode():
        frozen = net()
    for model in (net().double(), frozen):
        for _ in range(3):
            seen = explorer.look(model, noise_photo())
        assert len(seen.predictions) == 4


def test_a_look_does_not_go_through_a_copy_that_shows_something_else(monkeypatch):
    model, photo = net(), noise_photo()

    def wrong(*given):
        copy = explorer.optimize(model)
        with torch.no_grad():
            copy.module[8].bias += 1
        return copy

    monkeypatch.setattr(faster, "unproven_copy", wrong)
    looks = [explorer.look(model, photo) for _ in range(4)]
    assert all(torch.equal(look.logits, looks[0].logits) for look in looks)


def test_a_model_too_large_for_a_copy_looks_for_itself(monkeypatch):
    monkeypatch.setattr(faster, "LIMIT", 10)
    monkeypatch.setattr(faster, "unproven_copy", lambda *_: pytest.fail("there is no room"))
    model, photo = net(), noise_photo()
    looks = [explorer.look(model, photo) for _ in range(3)]
    assert torch.equal(looks[0].logits, looks[2].logits)


def zero_a_filter(model):
    model.module[3].weight.data[5] = 0


def zero_an_input_channel(model):
    model.module[3].weight.detach().numpy()[:, 5] = 0


def shift_a_mean(model):
    model.module[4].running_mean.data += 1


def raise_a_bias(model):
    model.module[8].bias.data[3] += 5


@pytest.mark.parametrize("change", [zero_a_filter, zero_an_input_channel, shift_a_mean, raise_a_bias])
def test_a_look_after_a_change_that_torch_does_not_count_is_by_the_new_numbers(change):
    model, photo = net(width=40), noise_photo()  # 40 * 40 * 9 weights: not all of them are read each time
    for _ in range(3):
        first = explorer.look(model, photo)
    assert copies()[0]
    change(model)
    second = explorer.look(model, photo)
    assert not torch.allclose(first.logits, second.logits)
    with torch.no_grad():
        assert torch.equal(second.logits, model(second.input[None])[0])


def test_a_look_by_a_model_with_a_method_of_ones_own_runs_the_model():
    model, photo = net(), noise_photo()
    for _ in range(3):
        first = explorer.look(model, photo)
    said = model.forward_vector_and_logits
    model.forward_vector_and_logits = lambda features: tuple(2 * found for found in said(features))
    assert torch.allclose(explorer.look(model, photo).logits, 2 * first.logits, atol=1e-5)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("place", [(7,), (slice(None), 7), (7, 7), (0, 9, 2, 2), (9, 0)])
def test_what_tells_weights_apart_sees_rows_and_columns(place, layout):
    weight = torch.ones(32, 64, 3, 3).contiguous(memory_format=layout)
    before = tail._samples([weight, torch.arange(7)])
    assert before == tail._samples([weight.clone(), torch.arange(7)])
    weight[place] = 2
    assert (tail._samples([weight, torch.arange(7)]) != before) == (place != (7, 7))
