"""A run learns, can be stopped, resumed, killed and saved, and says what it does. Small nets, small photos.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import nn

import explorer
from explorer.data.datasets import PhotoSet, Splits
from explorer.training.loop import team
from explorer.training.loop.errors import TrainingError
from explorer.training.loop.events import Batch, Epoch, Finished, Started, Stopped
from explorer.training.loop.objective import Objective
from explorer.training.run import checkpoint
from explorer.training.run.finetuning import finetune
from tests.html import parse

ROOT = Path(__file__).resolve().parents[2]
SIZE = (3, 32, 32)
COLOURS = {"red": (220, 40, 40), "green": (40, 200, 60), "blue": (40, 60, 210)}


def painted(count: int, seed: int = 0) -> PhotoSet:
    """Photos of three colours with noise: a net of any kind tells them apart."""
    draw = torch.Generator().manual_seed(seed)
    labels = tuple(i % 3 for i in range(count))

    def picture(label: int) -> Image.Image:
        base = torch.tensor(list(COLOURS.values())[label]).float().view(1, 1, 3)
        noise = 60 * torch.randn(40, 48, 3, generator=draw)
        return Image.fromarray((base + noise).clamp(0, 255).byte().numpy())

    pictures = [picture(label) for label in labels]
    return PhotoSet(tuple(COLOURS), labels, tuple(f"photo {i}" for i in range(count)), lambda i: pictures[i])


@pytest.fixture
def colours() -> Splits:
    return Splits("colours", painted(24), painted(12, seed=1))


def small(**options):
    torch.manual_seed(0)
    return explorer.create_model("resnet18", num_classes=3, **options)


def run(model, data, **settings):
    return finetune(model, data, **{"input_size": SIZE, "augment": "none", "batch_size": 8, "device": "cpu",
                                    "threads": 1, **settings})


def equal_weights(a: nn.Module, b: nn.Module) -> bool:
    mine, theirs = a.state_dict(), b.state_dict()
    return mine.keys() == theirs.keys() and all(torch.equal(mine[key], theirs[key]) for key in mine)


def test_a_head_only_run_learns_from_features_seen_once_and_leaves_the_body_alone(colours):
    model = small()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    events = []
    done = run(model, colours, epochs=6, rounds=1, on_event=events.append).wait()
    changed = [key for key, value in model.state_dict().items() if not torch.equal(value, before[key])]
    assert changed == ["fc.weight", "fc.bias"]
    assert done.state == "finished" and done.best["val_top1"] == 1.0
    assert done.history[-1]["loss"] < done.history[0]["loss"]
    started = next(e for e in events if isinstance(e, Started))
    assert (started.cached, started.batches, started.learns) == (True, 3, 512 * 3 + 3)
    assert [type(e) for e in events if isinstance(e, Epoch | Finished)] == [Epoch] * 6 + [Finished]


def test_cached_features_give_the_run_that_looking_at_every_photo_anew_gives(colours):
    cached = run(small(), colours, epochs=2, seed=4, rounds=1).wait()
    anew = run(small(), colours, epochs=2, seed=4, cache=False).wait()
    assert cached.started.cached and not anew.started.cached
    for one, other in zip(cached.history, anew.history):
        for figure in ("loss", "val_loss"):
            assert one[figure] == pytest.approx(other[figure], rel=2e-4)


def test_a_classifier_that_needs_more_than_one_vector_is_not_cached_and_says_so(colours):
    torch.manual_seed(0)
    model = explorer.create_model("deit_tiny_distilled_patch16_224", num_classes=3, img_size=32, depth=1)
    done = run(model, colours, epochs=1).wait()
    assert not done.started.cached and done.history
    assert any("nothing can be cached" in note for note in done.notes)


def test_the_last_stage_learns_and_the_ones_before_do_not(colours):
    model = small()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    run(model, colours, epochs=1, train="last_stage").wait()
    changed = {key.partition(".")[0] for key, value in model.state_dict().items()
               if not torch.equal(value, before[key])}
    assert changed == {"layer4", "fc"}


def test_everything_learns_the_body_slower_than_the_head(colours):
    events = []
    done = run(small(), colours, epochs=2, train="all", lr=0.01, augment="light",
               on_event=events.append).wait()
    assert done.history[1]["loss"] < done.history[0]["loss"]
    assert {e.kind for e in events} >= {"started", "batch", "epoch", "finished"}


def test_the_same_seed_gives_the_same_numbers_and_another_one_others(colours):
    first, second, other = (run(small(), colours, epochs=1, train="all", augment="light", seed=s).wait()
                            for s in (1, 1, 2))
    assert equal_weights(first.model, second.model)
    assert [b.loss for b in first.batches] == [b.loss for b in second.batches]
    assert not equal_weights(first.model, other.model)


def test_a_run_does_not_touch_the_notebooks_own_randomness(colours):
    torch.manual_seed(11)
    expected = torch.rand(4)
    model = small()
    torch.manual_seed(11)
    run(model, colours, epochs=1, augment="light").wait()
    assert torch.equal(torch.rand(4), expected)


@pytest.mark.parametrize("train", ["head", "all"])
def test_a_stopped_run_goes_on_and_ends_in_the_weights_of_an_unbroken_one(colours, train):
    unbroken = run(small(), colours, epochs=3, train=train, augment="light", rounds=1).wait()
    model = small()
    box = []

    def listener(event):
        if isinstance(event, Batch) and event.step == 4:
            while not box:  # the call below has not returned yet
                time.sleep(0.001)
            box[0].stop(wait=False)

    box.append(finetune(model, colours, input_size=SIZE, batch_size=8, device="cpu", threads=1, epochs=3,
                        train=train, augment="light", rounds=1, on_event=listener))
    broken = box[0].wait()
    assert broken.state == "stopped" and len(broken.history) == 1
    broken.resume().wait()
    assert broken.state == "finished" and len(broken.history) == 3
    assert equal_weights(broken.model, unbroken.model)


KILLED = """
import os, signal, sys
sys.path.insert(0, {root!r})
from tests.training.test_finetune import Splits, painted, small, run
from explorer.training.loop.events import Saved
def kill(event):
    if isinstance(event, Saved) and event.step == 4:
        os.kill(os.getpid(), signal.SIGKILL)
run(small(), Splits("colours", painted(24), painted(12, seed=1)), epochs=3, train="all", augment="light",
    save_every=1, run_dir={folder!r},
    ema=0.5, on_event=kill).wait()
"""


@pytest.mark.skipif(os.name == "nt", reason="no SIGKILL on Windows")
def test_a_killed_run_resumes_and_ends_in_the_weights_of_an_unbroken_one(colours, tmp_path):
    folder = tmp_path / "killed"
    code = KILLED.format(root=str(ROOT), folder=str(folder))
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True,
                           env={**os.environ, "OMP_NUM_THREADS": "1"}, check=False)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    settings = {"epochs": 3, "train": "all", "augment": "light", "save_every": 1, "ema": 0.5}
    resumed = run(small(), colours, run_dir=folder, resume=True, **settings).wait()
    unbroken = run(small(), colours, **settings).wait()
    assert resumed.started.step == 4
    assert equal_weights(resumed.model, unbroken.model)
    assert [row["val_loss"] for row in resumed.history] == [row["val_loss"] for row in unbroken.history]


def test_a_folder_with_a_run_is_not_overwritten_and_a_resumed_run_keeps_its_settings(colours, tmp_path):
    run(small(), colours, epochs=1, run_dir=tmp_path / "one").wait()
    with pytest.raises(TrainingError, match="resume=True"):
        run(small(), colours, epochs=1, run_dir=tmp_path / "one")
    with pytest.raises(TrainingError, match="batch_size=8, not 4"):
        run(small(), colours, epochs=2, run_dir=tmp_path / "one", resume=True, batch_size=4)
    longer = run(small(), colours, epochs=2, run_dir=tmp_path / "one", resume=True).wait()
    assert [row["epoch"] for row in longer.history] == [0, 1]


def test_a_damaged_checkpoint_is_a_sentence(colours, tmp_path):
    run(small(), colours, epochs=1, run_dir=tmp_path / "one").wait()
    (tmp_path / "one" / checkpoint.LAST).write_bytes(b"PK\x03\x04 cut off")
    with pytest.raises(TrainingError, match="damaged"):
        run(small(), colours, epochs=2, run_dir=tmp_path / "one", resume=True).wait()


def test_a_full_disk_costs_the_checkpoint_and_not_the_run(colours, tmp_path, monkeypatch):
    def full(*args, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint.torch, "save", full)
    done = run(small(), colours, epochs=1, run_dir=tmp_path / "one").wait()
    assert done.state == "finished"
    assert any("No space left" in note for note in done.notes)


def test_a_checkpoint_is_whole_at_every_moment(tmp_path):
    target = tmp_path / "last.pt"
    target.write_text("old")

    def broken(beside):
        beside.write_text("half")
        raise OSError("cable pulled")

    with pytest.raises(OSError, match="cable"):
        checkpoint.write_whole(target, broken)
    assert target.read_text() == "old" and [p.name for p in tmp_path.iterdir()] == ["last.pt"]


def test_a_loss_that_is_no_number_stops_the_run_with_a_sentence(colours):
    with pytest.raises(TrainingError, match="tenth of the learning rate"):
        run(small(), colours, epochs=2, train="all", lr=1e30, optimizer="sgd", schedule="constant",
            warmup=0.0).wait()


def test_a_run_that_fails_leaves_the_best_epochs_weights_in_the_model(colours, monkeypatch):
    true_learn, seen = team.learn, []

    def fails_in_the_second_epoch(network, *args):
        seen.append(1)
        loss, *rest = true_learn(network, *args)
        return (float("nan") if len(seen) > 4 else loss), *rest

    monkeypatch.setattr(team, "learn", fails_in_the_second_epoch)
    failed = run(small(), colours, epochs=3, train="all", seed=5)
    with pytest.raises(TrainingError, match="epoch 2"):
        failed.wait()
    monkeypatch.setattr(team, "learn", true_learn)
    one_epoch = run(small(), colours, epochs=3, train="all", seed=5)
    one_epoch.listen(lambda event: isinstance(event, Epoch) and one_epoch.stop(wait=False))
    one_epoch.wait()
    assert len(failed.history) == 1 and failed.state == "failed"
    assert equal_weights(failed.model, one_epoch.model)


def test_too_little_memory_splits_the_batch_and_gives_the_same_gradients(colours, monkeypatch):
    whole = run(small(), colours, epochs=1, seed=2, cache=False).wait()
    true_loss = Objective.loss

    def only_four_at_once(objective, raw, *args, **options):
        if len(raw) > 4:
            raise torch.OutOfMemoryError("CUDA out of memory (pretended)")
        return true_loss(objective, raw, *args, **options)

    monkeypatch.setattr(Objective, "loss", only_four_at_once)
    monkeypatch.setattr(team, "judge", lambda *args: (0.0, 0.5))
    split = run(small(), colours, epochs=1, seed=2, cache=False).wait()
    assert any("2 pieces" in note for note in split.notes)
    for mine, theirs in zip(split.model.parameters(), whole.model.parameters()):
        assert torch.allclose(mine, theirs, atol=1e-5)


def test_accumulated_batches_make_one_step(colours):
    plain = {"epochs": 1, "optimizer": "sgd", "schedule": "constant", "warmup": 0.0, "rounds": 1}
    large = run(small(), colours, batch_size=8, **plain).wait()
    parts = run(small(), colours, batch_size=4, accumulate=2, **plain).wait()
    assert large.batches[-1].step == parts.batches[-1].step == 3
    for mine, theirs in zip(parts.model.parameters(), large.model.parameters()):
        assert torch.allclose(mine, theirs, atol=1e-5)


def test_patience_ends_a_run_that_gets_no_better(colours):
    events = []
    done = run(small(), colours, epochs=50, lr=1e-9, patience=2, on_event=events.append).wait()
    assert done.state == "stopped" and len(done.history) < 50
    assert next(e for e in events if isinstance(e, Stopped)).reason == "no better"


def test_mixup_clip_smoothing_weights_and_other_optimizers_learn(colours):
    done = run(small(), colours, epochs=1, train="last_stage", mixup=0.2, cutmix=0.2, clip=1.0,
               label_smoothing=0.1, class_weights="balanced", optimizer="RMSprop", schedule="one_cycle",
               precision="bfloat16").wait()
    assert done.state == "finished"


def test_photos_with_several_classes_learn_a_yes_or_no_each():
    plain = painted(12)
    rows = tuple((label, 2) if label != 2 else (2,) for label in plain.labels)
    several = PhotoSet(plain.classes, rows, plain.names, plain.open_one)
    done = run(small(), Splits("several", several, several), epochs=30).wait()
    assert done.best["val_top1"] > 0.9  # the share of right yes-or-no answers


def test_a_model_that_knows_the_classes_in_another_order_keeps_its_classifier(colours):
    """case A14: names as sets equal, in another order: the names decide."""
    model = small()
    model.config = model.config.with_(labels=("blue", "Green", "red"))
    before = model.fc.weight.detach().clone()
    done = run(model, colours, epochs=1, lr=1e-9, body_lr=1e-9).wait()
    assert done.model.config.labels == ("blue", "Green", "red") == done.data.classes
    assert torch.allclose(model.fc.weight, before, atol=1e-5)
    assert done.data.train.labels[:3] == (2, 1, 0)  # red, green, blue


def test_a_run_saves_a_folder_that_opens_again_with_its_labels(colours, tmp_path):
    done = run(small(), colours, epochs=1).wait()
    folder = done.save(tmp_path / "my colours")
    again = explorer.create_model(f"local-dir:{folder}", pretrained=True).eval()
    assert equal_weights(again, done.model)
    seen = explorer.look(again, colours.val[0][0])
    assert {p.label for p in seen.predictions} == set(COLOURS)
    assert seen.input.shape == SIZE
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert "red, green, blue" in card and "resnet18" in card
    assert json.loads((folder / "run.json").read_text(encoding="utf-8"))["recipe"]["epochs"] == 1


def test_a_grey_net_saves_a_folder_that_opens_as_it_is(colours, tmp_path):
    done = run(small(in_chans=1), colours, epochs=1, input_size=(1, 32, 32)).wait()
    again = explorer.create_model(f"local-dir:{done.save(tmp_path / 'grey')}", pretrained=True)
    assert again.in_chans == 1 and equal_weights(again, done.model)


def test_a_trained_model_says_what_it_learnt_and_not_that_its_classifier_is_fresh(colours):
    done = run(small(), colours, epochs=1, name="my run").wait()
    seen = explorer.look(done.model, colours.val[0][0])
    assert seen.notes == () and seen.model_name == "resnet18.colours"
    assert "my run" in done.model.load_report.source and done.began_with == "random weights"


def test_a_folder_with_something_else_in_it_is_not_written_into(colours, tmp_path):
    (tmp_path / "thesis.txt").write_text("do not lose me")
    done = run(small(), colours, epochs=1).wait()
    with pytest.raises(FileExistsError, match="something else"):
        done.save(tmp_path)


def test_html_in_a_class_name_stays_text(colours, tmp_path):
    evil = tuple("<script>alert(1)</script>" if name == "red" else name for name in COLOURS)
    data = Splits("<b>", *(PhotoSet(evil, p.labels, p.names, p.open_one)
                           for p in (colours.train, colours.val)))
    done = run(small(), data, epochs=1, name="<i>x</i>").wait()
    page = parse(done._repr_html_())
    assert not page.tags & {"script", "i"} and "<i>x</i>" in page.text


def test_a_broken_photo_is_named_and_the_run_goes_on(tmp_path):
    for name, colour in COLOURS.items():
        (tmp_path / name).mkdir()
        for i in range(4):
            Image.new("RGB", (30, 30), colour).save(tmp_path / name / f"{i}.png")
    (tmp_path / "red" / "torn.jpg").write_bytes(b"\xff\xd8\xff\xe0\x00")
    done = run(small(), tmp_path, epochs=1).wait()
    assert any("red/torn.jpg" in note for note in done.notes)


def test_what_goes_wrong_in_the_thread_is_raised_by_wait_and_a_bad_listener_is_not(colours):
    def bad_listener(event):
        raise RuntimeError("mine")

    assert run(small(), colours, epochs=1, on_event=bad_listener).wait().state == "finished"
    with pytest.raises(TypeError, match="no setting 'learning_rate'"):
        run(small(), colours, learning_rate=0.1)
    with pytest.raises(TypeError, match="explorer.wrap"):
        run(nn.Linear(3, 3), colours)


def test_a_students_own_net_learns_through_wrap(colours):
    net = nn.Sequential(nn.Conv2d(3, 8, 3, 2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
                        nn.Linear(8, 3))
    done = run(explorer.wrap(net, input_size=SIZE), colours, epochs=8, train="all", lr=0.05,
               body_lr=0.05).wait()
    assert done.best["val_top1"] > 0.6


def test_a_run_can_be_waited_for_only_so_long_and_stops_within_a_batch(colours):
    slow = run(small(), colours, epochs=500, train="all")
    with pytest.raises(TimeoutError, match="still runs"):
        slow.wait(timeout=0.2)
    slow.stop()
    assert slow.state == "stopped" and not slow.running


@pytest.mark.parametrize("train", ["all", "head"])
def test_a_net_without_maps_learns(train, colours):
    """case C2: Flatten -> Linear -> ReLU -> Linear; there is no last stage to train alone, which is said."""
    layers = nn.Flatten(), nn.Linear(3 * 32 * 32, 16), nn.ReLU(), nn.Linear(16, 3)
    net = explorer.wrap(nn.Sequential(*layers), input_size=32)
    done = run(net, colours, train=train, epochs=1, layer_decay=0.7 if train == "all" else None)
    done.wait()
    assert len(done.history) == 1
    with pytest.raises(ValueError, match="no stages that could be told apart"):
        run(net, colours, train="last_stage", epochs=1)


def test_torchs_wrappers_are_looked_through_when_they_learn(colours):
    """case A10: the model inside learns; what is no model is told to be wrapped."""
    inner = small()
    done = run(nn.DataParallel(inner), colours, train="head", epochs=200)
    with pytest.raises(TrainingError, match="is teaching this model"):
        run(nn.DataParallel(inner), colours, train="head", epochs=1)
    done.stop()
    done.wait()
    assert done.model is inner
    judged = [explorer.evaluate(model, colours.val).top1 for model in (inner, nn.DataParallel(inner))]
    assert judged[0] == judged[1]
    with pytest.raises(TypeError, match="explorer.wrap"):
        run(nn.DataParallel(nn.Linear(2, 2)), colours, epochs=1)


# --- what the outputs mean ----------------------------------------------------------------------------------


def test_a_hand_made_head_of_as_many_classes_is_kept(colours):
    """case A5: finetune threw it away."""
    model = small()
    model.fc = head = nn.Linear(512, 3)
    done = run(model, colours, epochs=1).wait()
    assert done.model.fc is head and not any("exchanged" in note for note in done.notes)
    assert done.model.config.labels == colours.classes


def test_a_head_that_the_classes_cannot_use_is_exchanged_and_named(colours):
    """case A5: what somebody made is not thrown away without a word."""
    model = small()
    model.fc = nn.Linear(512, 7)
    notes = run(model, colours, epochs=1).wait().notes
    assert "Your classifier of 7 outputs was exchanged for one of 3." in notes
    named = small()
    named.config = named.config.with_(labels=("a", "b", "c"), num_classes=3)
    assert any("its classes have other names" in note for note in run(named, colours, epochs=1).wait().notes)


def test_a_run_with_several_classes_a_photo_says_so_wherever_its_model_is_shown(tmp_path):
    """case A6: kept by multi-label runs, in the saved folder and in the run's own."""
    plain = painted(12)
    rows = tuple((label, 2) if label != 2 else (2,) for label in plain.labels)
    several = PhotoSet(plain.classes, rows, plain.names, plain.open_one)
    done = run(small(), Splits("several", several, several), epochs=1, train="all",
               run_dir=tmp_path / "run").wait()
    folder = done.save(tmp_path / "saved")
    saved = explorer.create_model(f"local-dir:{folder}", pretrained=True).eval()
    models = [done.model, done.model_at(1), saved,
              explorer.load_run(folder).model, explorer.load_run(tmp_path / "run").model]
    for model in models:
        seen = explorer.look(model, plain[0][0])
        assert seen.outputs.several and seen.labels == plain.classes
        expected = seen.logits.sigmoid().sort(descending=True).values.tolist()
        assert [p.probability for p in seen.predictions] == pytest.approx(expected)
    other = explorer.create_model(f"local-dir:{folder}", pretrained=True, num_classes=5)
    assert other.config.outputs == "" and other.config.labels == ()


def test_a_model_of_several_classes_that_learns_one_of_them_is_one_of_several(colours):
    model = explorer.wrap(small(), labels=colours.classes, outputs="several")
    done = run(model, colours, epochs=1).wait()
    assert explorer.look(done.model, colours.val[0][0]).outputs.kind == "one"


def test_numbers_come_back_from_a_saved_folder_in_their_own_unit(colours, tmp_path):
    done = run(small(), colours, epochs=1).wait()
    done.model.config = done.model.config.with_(outputs="numbers", number_mean=(1.0, 2.0, 3.0),
                                                number_std=(10.0, 1.0, 0.5))
    before = explorer.look(done.model, colours.val[0][0])
    again = explorer.look(explorer.load_run(done.save(tmp_path / "numbers")).model, colours.val[0][0])
    values, expected = ([one.value for one in seen.predictions] for seen in (again, before))
    assert values == pytest.approx(expected, rel=1e-4)
    assert again.outputs.mean == (1.0, 2.0, 3.0)
