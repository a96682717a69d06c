"""`swa`: the mean of the last epochs' weights is the mean of the checkpoints, BatchNorm's statistics are
those of a fresh pass, and a stop changes nothing.
"""

from __future__ import annotations

import copy
import threading

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim.swa_utils import update_bn

import explorer
from explorer.data.photo_sets import Splits
from explorer.training.loop import averages
from explorer.training.loop.averages import renew_statistics
from explorer.training.loop.events import Batch
from explorer.training.loop.recipe import Recipe
from explorer.training.loop.schedules import held, schedule
from explorer.training.loop.sources import PhotoSource
from tests.training.test_finetune import equal_weights, painted
from tests.training.tiny_net import HOW, tiny

WAYS = {"everything": {"train": "all"}, "constant rate": {"train": "all", "schedule": "constant"},
        "cyclic": {"train": "all", "swa_rate": "cyclic", "optimizer": "sgd"},
        "cached head": {"train": "head", "rounds": 2}, "half": {"train": "all", "precision": "bfloat16"},
        "head, uncached": {"train": "head", "cache": False}}


@pytest.fixture(scope="module")
def colours() -> Splits:
    return Splits("colours", painted(24), painted(12, seed=1))


def learnt(data, net=None, **settings):
    net = tiny(drop=0.2) if net is None else net
    return explorer.finetune(net, data, device="cpu",
                             **{**HOW, "epochs": 5, "swa": 0.6, "lr": 0.02, "warmup": 0.0, **settings})


def ends_of_epochs(data, **settings):
    """A run, and the weights that it learnt with at the end of each epoch."""
    found: dict[int, dict[str, np.ndarray]] = {}
    box, known = [], threading.Event()

    def keep(event):
        known.wait()
        if isinstance(event, Batch):
            found[event.epoch] = {name: value.detach().double().numpy().copy()
                                  for name, value in box[0].model.state_dict().items()}

    box.append(learnt(data, on_event=keep, **settings))
    known.set()
    return box[0].wait(), found


@pytest.mark.parametrize("way", list(WAYS))
def test_the_weights_are_the_mean_of_the_last_epochs(way, colours):
    done, ends = ends_of_epochs(colours, **WAYS[way])
    names = [name for name, _ in done.model.named_parameters()]
    for epoch in (3, 4, 5):  # after it; the mean begins with the third
        mean = done.model_at(epoch).state_dict()
        for name in names:
            wanted = np.mean([ends[one][name] for one in range(2, epoch)], axis=0)
            np.testing.assert_allclose(mean[name].numpy(), wanted, rtol=1e-5, atol=1e-6)
    plain = done.model_at(2).state_dict()
    assert all(np.allclose(plain[name].numpy(), ends[1][name]) for name in plain)
    assert any("From epoch 3 on the mean" in note for note in done.notes)
    assert done.best["epoch"] >= 2  # of what is averaged


def test_statistics_are_those_of_one_fresh_pass(colours):
    done = learnt(colours, train="all", augment="light").wait()
    found = done.model_at(5)
    wanted = copy.deepcopy(found)
    config = explorer.data.resolve_data_config({}, model=found)
    from explorer.training.loop.objective import Objective
    from explorer.training.loop.team import Alone

    source = PhotoSource(colours.train, colours.val, config, done.recipe, Objective(done.outputs),
                         team=Alone())
    update_bn(source.batches(4), wanted)  # the augmentation of the last epoch
    norm, own = wanted.module[1], found.module[1]
    assert not torch.allclose(norm.running_var, torch.ones(16))
    assert torch.allclose(own.running_mean, norm.running_mean, atol=1e-6)
    assert torch.allclose(own.running_var, norm.running_var, atol=1e-6) and own.momentum == 0.1


def test_frozen_statistics_stay(colours):
    torch.manual_seed(0)
    net = explorer.wrap(nn.Sequential(
        nn.Conv2d(3, 4, 4, 4), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 8, 2, 2), nn.BatchNorm2d(8),
        nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3)), input_size=(3, 32, 32)).eval()
    with torch.no_grad():
        net.module[1].running_mean.uniform_()
    before = copy.deepcopy(net.state_dict())
    done = learnt(colours, net, train="last_stage").wait()
    after = done.model.state_dict()
    changed = {name for name, value in after.items() if not torch.equal(value, before[name])}
    assert "module.4.running_mean" in changed and not any(name.startswith("module.1.") for name in changed)


STOPPED = {"train": "all", "augment": "light", "swa_rate": "cyclic"}


@pytest.fixture(scope="module")
def whole(colours):
    """A run that nobody stops."""
    return learnt(colours, **STOPPED).wait()


@pytest.mark.parametrize("batches", [5, 8, 13])
def test_a_stop_changes_no_bit_of_the_end(batches, whole, colours, tmp_path):
    settings, known, box = STOPPED, threading.Event(), []

    def listener(event):
        if isinstance(event, Batch):
            known.wait()
            if len(box[0].batches) == batches:
                box[0].stop(wait=False)

    box.append(learnt(colours, run_dir=tmp_path, on_event=listener, **settings))
    known.set()
    assert box[0].wait().state == "stopped"
    on = learnt(colours, run_dir=tmp_path, resume=True, **settings).wait()
    assert equal_weights(on.model, whole.model) and equal_weights(on.model_at(5), whole.model_at(5))
    assert [row["val_loss"] for row in on.history] == [row["val_loss"] for row in whole.history]
    assert [row["lr"] for row in on.history] == [row["lr"] for row in whole.history]


def test_a_stop_while_the_statistics_are_taken_changes_no_bit_either(whole, colours, tmp_path, monkeypatch):
    settings, known, box, calls = STOPPED, threading.Event(), [], []

    def stopping(*given):
        known.wait()
        if len(calls) == 1:  # the second mean
            box[0].stop(wait=False)
        calls.append(1)
        return renew_statistics(*given)

    with monkeypatch.context() as patch:
        patch.setattr(averages, "renew_statistics", stopping)
        box.append(learnt(colours, run_dir=tmp_path, **settings))
        known.set()
        assert box[0].wait().state == "stopped" and len(box[0].history) == 3 and len(calls) == 2
    on = learnt(colours, run_dir=tmp_path, resume=True, **settings).wait()
    assert equal_weights(on.model_at(5), whole.model_at(5)) and equal_weights(on.model, whole.model)


def test_a_run_that_goes_on_for_more_epochs_averages_its_new_end(colours, tmp_path):
    learnt(colours, train="all", run_dir=tmp_path).wait()
    done, ends = ends_of_epochs(colours, train="all", run_dir=tmp_path, resume=True, epochs=8)
    assert done.recipe.averages_from == 3 and sorted(ends) == [5, 6, 7]
    wanted = np.mean([ends[epoch]["module.0.weight"] for epoch in (5, 6, 7)], axis=0)  # 2, 3, 4 held 2 too
    found = done.model_at(8).module[0].weight.detach().numpy()
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)


# --- the rate -----------------------------------------------------------------------------------------------


def test_the_rate_is_held_where_the_last_part_begins():
    plain = schedule("cosine", total=100, warmup=10)
    own = held(plain, 75)
    assert [own(step) for step in range(75)] == [plain(step) for step in range(75)]
    assert {own(step) for step in range(75, 100)} == {plain(75)}
    rising = held(plain, 0)  # a mean of all epochs: no warm-up is cut off
    assert [rising(step) for step in range(10)] == [plain(step) for step in range(10)] and rising(50) == 1


def test_the_cyclic_rate_is_the_papers():
    own = held(schedule("constant", total=40), 20, cycle=5)
    for i in range(1, 21):  # Izmailov et al., 3.1: i from 1, t(i) = (mod(i - 1, c) + 1) / c
        t = ((i - 1) % 5 + 1) / 5
        assert own(19 + i) == pytest.approx((1 - t) * 1 + t * 0.01)
    assert held(schedule("constant", total=4), 2, cycle=1)(3) == 1


REFUSED = {
    "ema too": ({"swa": 0.5, "ema": 0.9}, "swa and ema both average"),
    "patience too": ({"swa": 0.5, "patience": 2}, "patience"),
    "no share": ({"swa": 0.0}, "swa is 0.0: give a share"),
    "too much": ({"swa": 1.5}, "swa is 1.5: give a share"),
    "a word": ({"swa": "yes"}, "swa is 'yes': give a share"),
    "one epoch": ({"swa": 0.1}, "swa is 0.1 of 10 epochs, which is 1 to average"),
    "a rate alone": ({"swa_rate": "cyclic"}, "give swa too"),
    "another rate": ({"swa": 0.5, "swa_rate": "wild"}, "swa_rate is 'wild': expected one of constant, cyc"),
}


@pytest.mark.parametrize("case", list(REFUSED))
def test_what_cannot_be_is_refused_in_a_sentence(case):
    settings, words = REFUSED[case]
    with pytest.raises(ValueError, match=words):
        Recipe(epochs=10, **settings)
