"""`distill(features=...)`: hints and attention are the papers' formulas, stages go together by name or by
stride, and what learns beside the student is in the checkpoint and nowhere else.
"""

from __future__ import annotations

import threading
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

import explorer
from explorer.data.photo_sets import Splits
from explorer.training.loop.errors import TrainingError
from explorer.training.loop.events import Batch
from explorer.training.loop.hints import FeatureLoss, Pair
from explorer.training.run import checkpoint, lessons
from tests.training.test_finetune import COLOURS, equal_weights, painted
from tests.training.tiny_net import HOW, SIZE

NAMES = tuple(COLOURS)
PLACE = {"device": torch.device("cpu"), "dtype": torch.float32}
KINDS = ("hints", "attention")


def net(seed: int = 0, width: int = 4, *, strides=(2, 2, 2), size=SIZE, labels=NAMES, drop=0.1,
        **options):
    """Three stages, whose last layers work in place."""
    torch.manual_seed(seed)
    layers, channels = [], 3
    for number, stride in enumerate(strides, 1):
        layers += [nn.Conv2d(channels, number * width, 3, stride, 1), nn.BatchNorm2d(number * width),
                   nn.ReLU(inplace=True)]
        channels = number * width
    module = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(drop),
                           nn.Linear(channels, len(labels)))
    return explorer.wrap(module, input_size=size, labels=list(labels), **options).eval()


@pytest.fixture(scope="module")
def colours() -> Splits:
    return Splits("colours", painted(24), painted(12, seed=1))


def lesson(data, by=None, student=None, **settings):
    by = net(5, 6) if by is None else by
    student = net() if student is None else student
    return explorer.distill(student, by, data, device="cpu",
                            **{**HOW, "train": "all", "lr": 0.02, "features": "attention", **settings})


# --- the loss -----------------------------------------------------------------------------------------------


def pooled(maps: np.ndarray, height: int, width: int) -> np.ndarray:
    """[B, C, H, W] at a size that it is a multiple of: the mean of each area."""
    batch, channels, tall, wide = maps.shape
    return maps.reshape(batch, channels, height, tall // height, width, wide // width).mean((3, 5))


def attended(maps: np.ndarray, height: int, width: int) -> np.ndarray:
    rows = pooled((maps ** 2).sum(1, keepdims=True), height, width).reshape(len(maps), -1)
    return rows / np.sqrt((rows ** 2).sum(1, keepdims=True))


def drawn(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def told(loss: FeatureLoss, *maps: np.ndarray) -> torch.Tensor:
    return torch.cat([loss._row(torch.tensor(each), pair) for each, pair in zip(maps, loss.pairs)], 1)


PAIRS = (Pair("a", "A", (3, 8, 8), (5, 8, 8)), Pair("b", "B", (4, 8, 4), (2, 4, 8)))
OURS, THEIRS = (drawn(6, 3, 8, 8), drawn(6, 4, 8, 4)), (drawn(6, 5, 8, 8, seed=1), drawn(6, 2, 4, 8, seed=2))
SIZES = ((8, 8), (4, 4))


def test_attention_is_the_formulas():
    loss = FeatureLoss("attention", PAIRS, 2.5, seed=0, place=PLACE)
    maps = {pair.student: torch.tensor(each) for pair, each in zip(PAIRS, OURS)}
    found = loss(maps, told(loss, *THEIRS))
    wanted = sum(((attended(one, *size) - attended(other, *size)) ** 2).sum(1).mean()
                 for one, other, size in zip(OURS, THEIRS, SIZES))
    assert found.item() == pytest.approx(2.5 * wanted, rel=1e-5) and not list(loss.parameters())
    assert loss(maps, told(loss, *OURS)).item() == pytest.approx(0, abs=1e-10)


def test_hints_are_the_formulas():
    loss = FeatureLoss("hints", PAIRS, 0.5, seed=3, place=PLACE)
    maps = {pair.student: torch.tensor(each) for pair, each in zip(PAIRS, OURS)}
    wanted = 0.0
    for one, other, size, layer in zip(OURS, THEIRS, SIZES, loss.regressors):
        weight, bias = layer.weight.detach().numpy()[:, :, 0, 0], layer.bias.detach().numpy()
        regressed = np.einsum("oc,bchw->bohw", weight, one) + bias[:, None, None]
        wanted += ((pooled(regressed, *size) - pooled(other, *size)) ** 2).mean()
    assert loss(maps, told(loss, *THEIRS)).item() == pytest.approx(0.5 * wanted, rel=1e-5)
    again = FeatureLoss("hints", PAIRS, 0.5, seed=3, place=PLACE)
    assert equal_weights(loss, again)


@pytest.mark.parametrize(("kind", "alpha"), [("hints", 0.5), ("attention", 0.0), ("attention", 1.0)])
def test_the_parts_are_told_and_add_up(kind, alpha, colours):
    done = lesson(colours, features=kind, alpha=alpha).wait()
    wanted = {"labels", "teacher", kind} - ({"teacher"} if not alpha else {"labels"} if alpha == 1 else set())
    for row in (*done.batches, *done.history):
        parts, loss = (row.parts, row.loss) if isinstance(row, Batch) else (row["parts"], row["loss"])
        assert set(parts) == wanted and sum(parts.values()) == pytest.approx(loss, rel=1e-4)
    assert not any("val_parts" in row for row in done.history)


@pytest.mark.parametrize("kind", KINDS)
def test_the_student_comes_to_have_the_teachers_maps(kind, colours):
    done = lesson(colours, features=kind, alpha=0, beta=100, epochs=6, lr=0.02, body_lr=0.02).wait()
    first, last = (done.history[number]["parts"][kind] for number in (0, -1))
    assert last < first / 2


def test_in_the_first_batch_the_parts_are_those_of_the_two_networks(colours):
    """Through the whole run: views, sizes, layers that work in place."""
    by, student = net(5, 6, size=(3, 48, 48), mean=(0.4,) * 3, std=(0.3,) * 3), net()
    config = explorer.data.resolve_data_config({}, model=student)
    photos = torch.stack([explorer.data.create_transform(**config)(colours.train.open_one(i))
                          for i in range(24)])
    from explorer.training.loop.taught import Lesson

    view = Lesson(by, "", None, (), 4.0, 0.0).seen(photos, config)
    with torch.no_grad():
        ours = [one.numpy().copy() for one in _maps(student.train().module[:-3], photos)]
        theirs = [one.numpy().copy() for one in _maps(by.module[:-3], view)]
    done = lesson(colours, by, net(), alpha=0, batch_size=24, epochs=1, beta=1).wait()
    wanted = 0.0
    for one, other in zip(ours, theirs):
        size = tuple(one.shape[-2:])
        area = torch.nn.functional.adaptive_avg_pool2d
        rows = [area(torch.tensor((each ** 2).sum(1, keepdims=True)), size).flatten(1).numpy()
                for each in (one, other)]
        rows = [row / np.sqrt((row ** 2).sum(1, keepdims=True)) for row in rows]
        wanted += ((rows[0] - rows[1]) ** 2).sum(1).mean()
    assert done.batches[0].parts["attention"] == pytest.approx(wanted, rel=1e-4)


def _maps(layers, x):
    for layer in layers:
        x = layer(x)
        if isinstance(layer, nn.ReLU):
            yield x.clone()


# --- which stages -------------------------------------------------------------------------------------------


def pairs_of(done) -> str:
    return next(note for note in done.notes if note.startswith("Stages that learn")).partition(": ")[2]


CHOSEN = {
    "attention, by stride": ({}, "2 from 2, 5 from 5, 8 from 8."),
    "hints, the middle": ({"features": "hints"}, "5 from 5."),
    "named": ({"stages": {"8": "5"}}, "8 from 5."),
    "two for one": ({"stages": {"8": ["5", "8"]}}, "8 from 5, 8 from 8."),
    "last stage": ({"train": "last_stage"}, "8 from 8."),
    "other strides": ({"by": net(5, 6, strides=(4, 2, 1))}, "5 from 2, 8 from 8."),
    "an ensemble": ({"by": explorer.Ensemble({"a": net(5, 6), "b": net(6, 3, size=(3, 48, 48))})},
                    "2 from a/2, 5 from a/5, 8 from a/8, 2 from b/2, 5 from b/5, 8 from b/8."),
    "a member, by name": ({"by": explorer.Ensemble({"a": net(5), "b": net(6)}), "features": "hints",
                           "stages": {"5": "b/5"}}, "5 from b/5."),
    "one that knows no classes": ({"by": net(5, 6, labels=("a", "b")), "alpha": 0},
                                  "2 from 2, 5 from 5, 8 from 8."),
    "smaller maps": ({"by": net(5, 6, size=(3, 24, 20)), "features": "hints"}, "5 from 5."),
    "varied photos": ({"augment": "light", "features": "hints"}, "5 from 5."),
    "mixed photos": ({"mixup": 0.4}, "2 from 2, 5 from 5, 8 from 8."),
}


@pytest.mark.parametrize("case", list(CHOSEN))
def test_stages_go_together(case, colours):
    settings, wanted = CHOSEN[case]
    done = lesson(colours, epochs=1, **settings).wait()
    assert pairs_of(done) == wanted and done.state == "finished"


REFUSED = {
    "a word": ({"features": "maps"}, "features is 'maps': expected one of hints, attention"),
    "frozen": ({"train": "head"}, "train='head' leaves the body as it is"),
    "stages alone": ({"features": None, "stages": {"2": "2"}}, "give features too"),
    "beta alone": ({"features": None, "beta": 2.0}, "give features too"),
    "no weight": ({"beta": 0}, "beta is 0: expected a number above zero"),
    "no such stage": ({"stages": {"layer1": "2"}}, "student has no stage 'layer1'. Its stages: 2, 5, 8"),
    "no such stage of the teacher": ({"stages": {"2": "9"}}, "has no stage '9'. Its stages: 2, 5, 8"),
    "a frozen one": ({"stages": {"2": "2"}, "train": "last_stage"}, "'2' of the student does not learn"),
    "no pairs": ({"stages": {}}, "stages is {}: expected"),
    "a list": ({"stages": "2"}, "stages is '2': expected"),
    "numbers": ({"stages": {2: 2}}, "by their names"),
    "none": ({"stages": {"2": []}}, "by their names"),
    "no common stride": ({"by": net(5, strides=(16, 1, 1))},
                         "have the strides 2, 4, 8, and those of the teacher .* 16: none go together"),
    "no common stride of a member": (
        {"by": explorer.Ensemble({"a": net(6), "b": net(5, strides=(16, 1, 1))})},
        "of the member b of the teacher"),
    "one place": ({"student": net(size=(3, 32, 8)), "by": net(5, size=(3, 8, 32)), "stages": {"8": "8"}},
                  "have one place in common"),
    "one place, by stride": ({"student": net(size=(3, 32, 8)), "by": net(5, size=(3, 8, 32)),
                              "train": "last_stage"}, "'8' and '8' have one place in common"),
}


@pytest.mark.parametrize("case", list(REFUSED))
def test_what_cannot_be_is_refused_in_a_sentence(case, colours):
    settings, words = REFUSED[case]
    with pytest.raises(ValueError, match=words):
        lesson(colours, **settings)


# --- the run ------------------------------------------------------------------------------------------------


WAYS = {"hints, kept": {"features": "hints"}, "hints, each view": {"features": "hints", "augment": "light"},
        "hints, inside a step": {"features": "hints", "accumulate": 2, "clip": 0.5, "ema": 0.5},
        "attention": {"optimizer": "sgd", "stages": {"5": "5"}},
        "hints, mean of epochs": {"features": "hints", "swa": 0.7}}


@pytest.mark.parametrize("way", list(WAYS))
def test_a_stop_changes_no_bit_of_the_end(way, colours, tmp_path):
    settings = {**WAYS[way], "epochs": 3}
    whole, known, box = lesson(colours, **settings).wait(), threading.Event(), []

    def listener(event):
        if isinstance(event, Batch):
            known.wait()
            if len(box[0].batches) == 4:
                box[0].stop(wait=False)

    box.append(lesson(colours, run_dir=tmp_path, on_event=listener, **settings))
    known.set()
    assert box[0].wait().state == "stopped"
    content = torch.load(tmp_path / checkpoint.LAST, weights_only=True)
    hints = settings.get("features") == "hints"
    assert (content["beside"] is not None) == hints
    assert any(name.startswith("beside:") for name in content["gradients"]) == ("accumulate" in settings)
    on = lesson(colours, run_dir=tmp_path, resume=True, **settings).wait()
    assert equal_weights(on.model, whole.model)
    assert [row["loss"] for row in on.history] == [row["loss"] for row in whole.history]


def test_the_saved_student_is_the_student_alone(colours, tmp_path):
    student = net()
    names = set(student.state_dict())
    done = lesson(colours, student=student, features="hints").wait()
    assert set(done.model.state_dict()) == names
    opened = explorer.load_run(done.save(tmp_path / "saved"), model=net())
    assert equal_weights(opened.model, done.model)
    assert "alpha 0.5, hints 1)" in done.taught_by
    assert f"- Taught by: {done.taught_by}\n" in (tmp_path / "saved" / "README.md").read_text()


def test_regressors_learn(colours, monkeypatch):
    made = []
    monkeypatch.setattr("explorer.training.run.distilling.FeatureLoss",
                        lambda *given, **more: made.append(FeatureLoss(*given, **more)) or made[-1])
    lesson(colours, features="hints").wait()
    fresh = FeatureLoss(made[0].kind, made[0].pairs, 1.0, seed=0, place=PLACE)
    assert not torch.equal(made[0].regressors[0].weight, fresh.regressors[0].weight)


def test_a_resumed_run_learns_from_the_maps_that_it_learnt_from(colours, tmp_path):
    lesson(colours, run_dir=tmp_path, stages={"5": "5"}).wait()
    for change, words in (({"features": "hints"}, "started with features=attention, not hints"),
                          ({"stages": None}, "started with stages="),
                          ({"beta": 2.0}, "started with beta=10.0, not 2.0"),
                          ({"features": None, "stages": None}, "started with features=attention, not none")):
        with pytest.raises(TrainingError, match=words):
            lesson(colours, **{"run_dir": tmp_path, "resume": True, "stages": {"5": "5"}, **change})


def test_the_teacher_looks_again_where_its_maps_are_too_much_to_keep(colours, monkeypatch):
    kept = lesson(colours, features="hints").wait()
    monkeypatch.setattr(lessons, "ROOM", 1000)
    again = lesson(colours, features="hints").wait()
    assert any("takes 0 MB for all photos, more than" in note for note in again.notes)
    assert not any("for all photos" in note for note in kept.notes)
    for one, two in zip(kept.batches, again.batches):
        assert one.parts == pytest.approx(two.parts, rel=1e-3)


def test_the_teacher_stays_as_it_is(colours):
    by = net(5, 6)
    before = {name: value.clone() for name, value in by.state_dict().items()}
    lesson(colours, by.train(), features="hints", augment="light").wait()
    assert all(torch.equal(value, before[name]) for name, value in by.state_dict().items())
    assert by.training and all(p.grad is None for p in by.parameters())


def test_a_student_that_knows_the_classes_in_another_order_learns_from_the_right_ones(colours):
    """The teacher's scores were laid in the order of the data, which the run brings into the student's."""
    one, other = net(0, drop=0.0), net(0, drop=0.0, labels=NAMES[::-1])
    with torch.no_grad():
        for name in ("weight", "bias"):
            last = getattr(other.module[-1], name)
            last.copy_(last.flip(0).clone())
    first, second = (lesson(colours, student=each, features=None, epochs=1).wait() for each in (one, other))
    assert first.labels == NAMES and second.labels == NAMES[::-1]
    for mine, theirs in zip(first.batches, second.batches):
        assert mine.parts == pytest.approx(theirs.parts, rel=1e-4)


# --- several classes, and numbers ---------------------------------------------------------------------------


def several() -> Splits:
    return Splits("colours", *(
        replace(part, labels=tuple((label, (label + 1) % 3) for label in part.labels))
        for part in (painted(24), painted(12, seed=1))))


def numbers(names=("age", "size")) -> Splits:
    def told(labels):
        return tuple((100.0 * label, 7.0 - label) for label in labels)

    return Splits("ages", *(replace(part, classes=names, numbers=True, labels=told(part.labels))
                            for part in (painted(24), painted(12, seed=1))))


ONCE = {"cached head": {"train": "head"}, "as they are": {"train": "all"},
        "each view": {"train": "all", "augment": "light"}, "with maps": {"features": "attention"}}


@pytest.mark.parametrize("way", list(ONCE))
def test_several_classes_are_the_cross_entropy_with_the_teachers_sigmoids(way):
    by = net(5, 6, outputs="several")
    done = lesson(several(), by, **{"features": None, "epochs": 1, "batch_size": 24, **ONCE[way]}).wait()
    more = {"attention"} if way == "with maps" else set()
    assert set(done.batches[0].parts) == {"labels", "teacher"} | more
    from explorer.training.loop.objective import Objective
    from explorer.training.loop.taught import Lesson

    raw, theirs = drawn(5, 3), 3 * drawn(5, 3, seed=1)
    p, q = (1 / (1 + np.exp(-each / 2.0)) for each in (raw, theirs))
    entropy = -(q * np.log(p) + (1 - q) * np.log(1 - p)).mean()
    told = Lesson(by, "", done.outputs, (0, 1, 2), 2.0, 0.5).loss(torch.tensor(raw), torch.tensor(theirs))
    assert told.item() == pytest.approx(4 * entropy, rel=1e-5) and Objective(done.outputs).outputs.several


def test_a_student_of_several_classes_comes_nearer_to_what_the_teacher_says():
    by = explorer.finetune(net(3, 8), several(), device="cpu", **{**HOW, "train": "all"}).wait()
    done = lesson(several(), by, net(0, 8), features=None, alpha=1, epochs=3, lr=0.05).wait()
    first, last = (done.history[number]["parts"]["teacher"] for number in (0, -1))
    assert last < first


@pytest.mark.parametrize("way", list(ONCE))
def test_numbers_are_learnt_from_the_teachers_whatever_its_unit_and_order(way):
    """The teacher has them in the other order, and standardised by other photos."""
    data, turned = numbers(), numbers()
    turned = Splits("ages", *(replace(part, classes=("size", "age"), labels=tuple(
        (two, one / 2) for one, two in part.labels)) for part in (turned.train, turned.val)))
    by = explorer.finetune(net(3, 8), turned, device="cpu", **{**HOW, "train": "all", "epochs": 1}).wait()
    settings = {"features": None, "alpha": 1.0, "epochs": 1, "batch_size": 24, "rounds": 1, **ONCE[way]}
    done = lesson(data, by, net(0, 8, drop=0.0), **settings).wait()
    part = done.batches[0].parts["teacher"]
    assert np.isfinite(part) and done.outputs.numbers
    if way == "as they are":
        prepare = explorer.data.create_transform(**explorer.data.resolve_data_config({}, model=by.model))
        photos = torch.stack([prepare(data.train.open_one(i)) for i in range(24)])
        with torch.no_grad():
            raw = by.model.eval()(photos).double().numpy()
        own = (raw * by.outputs.std + by.outputs.mean)[:, ::-1]
        wanted = (own - np.array(done.outputs.mean)) / np.array(done.outputs.std)
        assert "temperature" not in done.taught_by
        start = done.model_at(0).train()  # as it was before the first batch
        with torch.no_grad():
            ours = start(photos).numpy()
        assert part == pytest.approx(((ours - wanted) ** 2).mean(), rel=1e-4)
