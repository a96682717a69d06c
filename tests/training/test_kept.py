"""What a run keeps of each epoch: bit for bit what it was, no more than it may take, and back from a folder.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from explorer.data.datasets import Splits
from explorer.training.loop.events import Epoch
from explorer.training.run.kept import KeptWeights
from explorer.training.run.loading import load_run
from explorer.training.run.register import RUNS
from explorer.training.run.waiting_photos import opened_once
from tests.training.test_finetune import colours, equal_weights, painted, run, small  # noqa: F401


def weights(number: float, size: int = 256) -> dict[str, torch.Tensor]:
    return {"fc.weight": torch.full((size,), float(number))}


def watched(model, data, **settings):
    """(the run, {epoch: a copy of what the model had when that epoch was over})."""
    seen = {}

    def listen(event):
        if isinstance(event, Epoch):
            seen[event.epoch + 1] = {key: value.clone() for key, value in model.state_dict().items()}

    return run(model, data, on_event=listen, **settings).wait(), seen


@pytest.mark.parametrize("train", ["head", "last_stage", "all"])
def test_each_epochs_model_is_what_it_was_bit_for_bit(colours, train):  # noqa: F811
    model = small()
    begin = {key: value.clone() for key, value in model.state_dict().items()}
    done, seen = watched(model, colours, epochs=3, train=train)
    assert done.checkpoints == (0, 1, 2, 3)
    for epoch, then in {0: begin, **seen}.items():
        mine = done.model_at(epoch).state_dict()
        assert mine.keys() == then.keys() and all(torch.equal(mine[key], then[key]) for key in then), epoch
    assert equal_weights(done.model_at(done.best["epoch"] + 1), done.model)


def test_a_copy_says_which_epoch_it_is_and_is_the_readers_own(colours):  # noqa: F811
    done = run(small(), colours, epochs=2, name="mine").wait()
    first, again = done.model_at(1), done.model_at(1)
    assert not first.training and first.config.tag == "mine, epoch 1"
    assert "mine, after epoch 1 of 2" in first.load_report.source
    with torch.no_grad():
        first.fc.weight.zero_()
    assert equal_weights(again, done.model_at(1)) and not equal_weights(first, again)


def test_a_head_only_run_keeps_the_classifier_and_nothing_else(colours):  # noqa: F811
    done = run(small(), colours, epochs=2).wait()
    kept = done.kept.weights(1)
    assert sorted(kept) == ["fc.bias", "fc.weight"]
    assert sum(value.nbytes for value in kept.values()) == 4 * (512 * 3 + 3)


def test_statistics_of_parts_that_learn_are_kept_and_those_of_frozen_parts_are_not(colours):  # noqa: F811
    kept = run(small(), colours, epochs=1, train="last_stage").wait().kept.weights(1)
    assert "layer4.0.bn1.running_mean" in kept and not any(key.startswith(("bn1", "layer3")) for key in kept)


def test_averaged_weights_are_what_is_kept_and_what_is_shown_while_it_learns(colours):  # noqa: F811
    now = []

    def listen(event):
        if isinstance(event, Epoch):
            now.append(next(one for one in RUNS if one.running).weights_now())

    done = run(small(), colours, epochs=2, train="all", ema=0.5, lr=0.02, on_event=listen).wait()
    assert equal_weights(done.model_at(done.best["epoch"] + 1), done.model)
    assert len(now) == 2
    assert all(torch.equal(value, done.kept.weights(2)[key]) for key, value in now[1].items())
    assert all(torch.equal(value, done.model.state_dict()[key]) for key, value in done.weights_now().items())


def test_an_epoch_that_is_not_kept_is_a_sentence(colours):  # noqa: F811
    done = run(small(), colours, epochs=1).wait()
    with pytest.raises(ValueError, match=r"no checkpoint after 7 epochs. There are: 0, 1"):
        done.model_at(7)


# --- room ---


def test_of_too_many_epochs_every_second_one_goes_and_the_first_the_best_and_the_last_stay():
    kept = KeptWeights(room=8 * 1024)  # eight of them
    for epoch in range(31):
        kept.keep(epoch, weights(epoch), best=epoch == 13)
    assert kept.checkpoints == (0, 8, 13, 16, 24, 30)
    assert all(float(kept.weights(epoch)["fc.weight"][0]) == epoch for epoch in kept.checkpoints)


def test_of_thousands_of_small_epochs_two_hundred_are_kept_at_most():
    kept = KeptWeights()
    for epoch in range(1001):
        kept.keep(epoch, weights(epoch, size=1))
    assert kept.checkpoints == tuple(range(0, 1001, 8))


def test_what_does_not_fit_twice_leaves_the_best_and_the_last():
    kept = KeptWeights(room=1024)
    for epoch in range(4):
        kept.keep(epoch, weights(epoch), best=epoch == 1)
    assert kept.checkpoints == (1, 3)


def test_a_folder_holds_three_however_large_and_names_what_is_damaged(tmp_path):
    kept = KeptWeights(tmp_path / "epochs", room=10)
    for epoch in range(6):
        kept.keep(epoch, weights(epoch), best=epoch == 2)
    assert kept.checkpoints == KeptWeights(tmp_path / "epochs").checkpoints == (0, 2, 5)
    (tmp_path / "epochs" / "0002.safetensors").write_bytes(b"cut off")
    with pytest.raises(ValueError, match="damaged"):
        kept.weights(2)


# --- folders ---


@pytest.mark.parametrize("train", ["head", "all"])
def test_a_run_dir_keeps_its_epochs_for_another_day(colours, tmp_path, train):  # noqa: F811
    done = run(small(), colours, epochs=2, train=train, run_dir=tmp_path / "run").wait()
    loaded = load_run(tmp_path / "run", model=small())
    assert loaded.checkpoints == done.checkpoints == (0, 1, 2)
    if train == "all":  # the frozen body of a model of one's own is the one that is given
        assert all(equal_weights(loaded.model_at(epoch), done.model_at(epoch)) for epoch in (0, 1, 2))
    assert torch.equal(loaded.model_at(1).fc.weight, done.model_at(1).fc.weight)


def test_a_resumed_run_keeps_what_an_unbroken_one_keeps(colours, tmp_path):  # noqa: F811
    unbroken = run(small(), colours, epochs=3, train="all", seed=2).wait()
    run(small(), colours, epochs=3, train="all", seed=2, run_dir=tmp_path / "run",
        on_event=lambda event: isinstance(event, Epoch) and event.epoch == 1 and stop()).wait()
    (tmp_path / "run" / "epochs" / "0009.safetensors").write_bytes(b"of a time that will not be")
    resumed = run(small(), colours, epochs=3, train="all", seed=2, run_dir=tmp_path / "run",
                  resume=True).wait()
    assert resumed.checkpoints == (0, 1, 2, 3)
    assert all(equal_weights(resumed.model_at(epoch), unbroken.model_at(epoch)) for epoch in range(4))


def stop():
    next(one for one in RUNS if one.running).stop(wait=False)


def test_a_saved_head_only_run_takes_its_epochs_along_and_a_large_one_does_not(
        colours, tmp_path):  # noqa: F811
    head = run(small(), colours, epochs=2).wait()
    loaded = load_run(head.save(tmp_path / "head"))
    assert loaded.checkpoints == (0, 1, 2)
    assert all(equal_weights(loaded.model_at(e), head.model_at(e)) for e in (0, 1, 2))
    everything = run(small(), colours, epochs=1, train="all").wait()
    assert load_run(everything.save(tmp_path / "head")).checkpoints == ()  # and none of the other one's


def test_a_full_disk_costs_the_epoch_and_not_the_run(colours, tmp_path, monkeypatch):  # noqa: F811
    def full(*_args, **_options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("explorer.training.run.kept.write_whole", full)
    done = run(small(), colours, epochs=1, run_dir=tmp_path / "run").wait()
    assert done.state == "finished" and done.checkpoints == () and any("could not be "
                                                                       "kept" in note for note in done.notes)


# --- photos ---


def test_photos_are_opened_once_at_a_runs_start(colours):  # noqa: F811
    opened = []

    def counted(photos):
        return replace(photos, open_one=lambda i: opened.append((len(photos), i)) or photos.open_one(i))

    run(small(), Splits("counted", counted(colours.train), counted(colours.val)), epochs=2).wait()
    assert len(opened) == len(set(opened)) == 36


def test_photos_that_would_fill_the_memory_are_opened_again():
    photos, opened = painted(6), []
    counted = replace(photos, open_one=lambda i: opened.append(i) or photos.open_one(i))
    few = opened_once(Splits("few", counted, counted), room=2 * 40 * 48 * 3).train
    pictures = [[few.open_one(i) for i in range(6)] for _ in range(2)]
    assert opened == [*range(6), 2, 3, 4, 5] and pictures[0] == pictures[1]
