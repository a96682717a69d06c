"""A run that was stopped goes on as if it had not been: bit for bit, from memory and from its folder,
wherever the stop fell.
"""

from __future__ import annotations

import random
import threading

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import explorer
from explorer.data.datasets import PhotoSet, Splits
from explorer.training.loop.errors import TrainingError
from explorer.training.loop.events import Batch, Saved
from explorer.training.run import checkpoint
from tests.training.test_finetune import SIZE, colours, equal_weights, run  # noqa: F401


def own_net() -> explorer.models.VisionModel:
    """Normalisation that learns statistics, and dropout: what may differ after a stop, if anything does."""
    torch.manual_seed(3)
    return explorer.wrap(nn.Sequential(nn.Conv2d(3, 6, 3, 2), nn.BatchNorm2d(6), nn.ReLU(),
                                       nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.3),
                                       nn.Linear(6, 3)), input_size=SIZE, labels=list(COLOURS))


COLOURS = ("red", "green", "blue")


def learnt(data, **settings):
    return run(own_net(), data, **{"epochs": 3, "train": "all", "batch_size": 4, "augment": "light",
                                   "seed": 7, **settings})


def stopped_at(batches: int, data, **settings):
    """A run that was asked to stop behind so many batches, and has."""
    known, box = threading.Event(), []

    def listener(event):
        if isinstance(event, Batch):
            known.wait()
            if len(box[0].batches) == batches:
                box[0].stop(wait=False)

    box.append(learnt(data, on_event=listener, **settings))
    known.set()
    assert box[0].wait().state == "stopped" and len(box[0].batches) == batches
    return box[0]


def noisy(photo: Image.Image) -> Image.Image:
    """An augmentation as people write them: by Python's and numpy's own randomness."""
    pixels = np.asarray(photo).astype(float) * random.uniform(0.5, 1)
    pixels += np.random.normal(0, 20, (photo.height, photo.width, 3))
    return Image.fromarray(pixels.clip(0, 255).astype("uint8"))


WAYS = {
    "inside a step": {"accumulate": 4},
    "averaged weights": {"accumulate": 4, "ema": 0.6},
    "mixed photos": {"accumulate": 4, "mixup": 0.4, "cutmix": 0.4},
    "sgd, clipped": {"accumulate": 4, "optimizer": "sgd", "clip": 0.1},
    "a rate for each layer": {"accumulate": 4, "layer_decay": 0.5, "schedule": "one_cycle"},
    "whole steps": {},
    "an augmentation of one's own": {"augment": noisy, "accumulate": 3},
    "the head alone": {"train": "head", "accumulate": 4},
    "the head alone, uncached": {"train": "head", "cache": False, "accumulate": 4},
}


@pytest.mark.parametrize("batches", [2, 7], ids=["epoch 1", "epoch 2"])
@pytest.mark.parametrize("way", list(WAYS))
def test_a_stop_changes_no_bit_of_the_end(way, batches, colours, tmp_path):  # noqa: F811
    """case A16: gradients that a step had gathered were lost with the process."""
    settings = WAYS[way]
    unbroken = learnt(colours, **settings).wait()
    folder = tmp_path / "run"
    in_memory = stopped_at(batches, colours, run_dir=folder, **settings)
    content = torch.load(folder / checkpoint.LAST, weights_only=True)
    assert bool(content["gradients"]) == (batches % settings.get("accumulate", 1) != 0)
    elsewhere = tmp_path / "copy"
    elsewhere.mkdir()
    for file in folder.iterdir():
        if file.is_file():
            (elsewhere / file.name).write_bytes(file.read_bytes())
    again = learnt(colours, run_dir=elsewhere, resume=True, **settings).wait()
    assert equal_weights(again.model, unbroken.model)
    in_memory.resume().wait()
    assert equal_weights(in_memory.model, unbroken.model)
    figures = ("loss", "val_loss", "top1", "val_top1", "lr")
    for rows in zip(unbroken.history, again.history, in_memory.history, strict=True):
        assert len({tuple(row[name] for name in figures) for row in rows}) == 1


def test_a_checkpoint_inside_a_step_goes_on_too(colours, tmp_path):  # noqa: F811
    """case A16: save_every need not be a multiple of accumulate."""
    settings = {"accumulate": 4, "save_every": 1}
    unbroken = learnt(colours, **settings).wait()
    kept = {}

    def listener(event):
        if isinstance(event, Saved) and event.step == 1 and "last" not in kept:
            content = torch.load(event.path, weights_only=True)
            if content["batch"] == 5:
                kept["last"] = content

    learnt(colours, run_dir=tmp_path / "run", on_event=listener, **settings).wait()
    torch.save(kept["last"], tmp_path / "run" / checkpoint.LAST)
    again = learnt(colours, run_dir=tmp_path / "run", resume=True, **settings).wait()
    assert equal_weights(again.model, unbroken.model)


def test_what_was_done_to_the_gradients_before_a_start_and_in_between_is_no_part_of_it(colours):  # noqa: F811
    """case A16: a backward pass of the reader's own, in a cell."""
    unbroken = learnt(colours, accumulate=4).wait()

    def backward(model):
        model(torch.ones(2, *SIZE)).sum().backward()

    broken = stopped_at(2, colours, accumulate=4)
    assert all(p.grad is None for p in broken.model.parameters())
    backward(broken.model.eval())
    assert equal_weights(broken.resume().wait().model, unbroken.model)

    model = own_net().eval()
    backward(model)
    other = run(model, colours, epochs=3, train="all", batch_size=4, seed=7, augment="light",
                accumulate=4).wait()
    assert equal_weights(other.model, unbroken.model)


def test_a_batch_that_failed_is_learnt_from_once(colours, monkeypatch):  # noqa: F811
    """A run that failed, for example by a data set that was out of reach, goes on in memory without a bit of
    difference.
    """
    from explorer.training.loop.objective import Objective

    unbroken = learnt(colours, accumulate=4, augment="none").wait()
    true_figure, calls = Objective.figure, []

    def fails_once(*args):
        calls.append(1)
        if len(calls) == 3:  # behind the backward pass of the third batch
            raise ConnectionError("cable pulled")
        return true_figure(*args)

    monkeypatch.setattr(Objective, "figure", fails_once)
    failed = learnt(colours, accumulate=4, augment="none")
    with pytest.raises(ConnectionError):
        failed.wait()
    failed.resume().wait()
    for mine, theirs in zip(failed.model.parameters(), unbroken.model.parameters()):
        assert torch.equal(mine, theirs)  # the statistics of BatchNorm have seen that batch twice


def test_a_run_that_looks_at_its_photos_for_the_first_time_stops_within_a_few():
    opened, known, box = [], threading.Event(), []

    def open_one(index: int) -> Image.Image:
        known.wait()
        opened.append(index)
        box[0].stop(wait=False)
        return Image.new("RGB", (40, 40), (index, 0, 0))

    photos = PhotoSet(COLOURS, tuple(i % 3 for i in range(200)), tuple(map(str, range(200))), open_one)
    box.append(learnt(Splits("many", photos, photos)))
    known.set()
    assert box[0].wait().state == "stopped" and len(opened) < 20
    known.clear()


# --- a validation loss that is no number --------------------------------------------------------------------


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_validation_loss_that_is_no_number_fails_the_run_and_the_best_epoch_stays(
        colours, monkeypatch, tmp_path, value):  # noqa: F811
    """case A12: such a run was "finished", its broken epoch the best one."""
    from explorer.training.loop import team

    true_judge, calls = team.judge, []

    def judge(*args):
        calls.append(1)
        return (value, 1.0) if len(calls) == 2 else true_judge(*args)

    monkeypatch.setattr(team, "judge", judge)
    failed = learnt(colours, run_dir=tmp_path / "run")
    with pytest.raises(TrainingError, match=f"validation loss became {value} in epoch 2.*weights of epoch "
                                            "1.*tenth"):
        failed.wait()
    assert failed.state == "failed" and len(failed.history) == 1 and failed.best["epoch"] == 0
    at_one = failed.model_at(1)
    assert equal_weights(failed.model, at_one)
    assert "NaN" not in (tmp_path / "run" / checkpoint.HISTORY).read_text()
    assert equal_weights(explorer.load_run(tmp_path / "run", model=own_net()).model, at_one)


@pytest.mark.parametrize("settings", [{}, {"ema": 0.9}], ids=["plain", "ema"])
def test_steps_that_are_far_too_large_fail_and_leave_the_model_as_it_was(colours, settings):  # noqa: F811
    """case A12: lr=1e20 with BatchNorm ended as "finished, best 50.0 %", in a model of NaN."""
    model = own_net()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    failed = run(model, colours, **{"epochs": 2, "train": "all", "optimizer": "sgd", "batch_size": 24,
                                    "lr": 1e38, "body_lr": 1e38, "schedule": "constant", "warmup": 0.0,
                                    **settings})
    with pytest.raises(TrainingError, match="tenth of the learning rate"):
        failed.wait()
    assert failed.best is None and any("that it began with" in note for note in failed.notes)
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items()
               if "num_batches" not in key)
