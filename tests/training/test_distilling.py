"""`distill`: the loss is the formula's, the teacher is asked once where it can be and never changed, and the
run is one like any other.
"""

from __future__ import annotations

import copy
import math
import threading
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

import explorer
from explorer.data.folders import DataError
from explorer.data.photo_sets import Splits
from explorer.inspection.look.own_inputs import transform_for
from explorer.models.ensembles.stacked_model import StackedModel
from explorer.models.outputs import Outputs
from explorer.training.loop.errors import TrainingError
from explorer.training.loop.events import Batch
from explorer.training.loop.objective import Objective
from explorer.training.loop.taught import Lesson, TaughtObjective, with_told
from tests.training.test_finetune import COLOURS, equal_weights, painted
from tests.training.tiny_net import HOW, SIZE, tiny

NAMES = tuple(COLOURS)
PLACE = {"device": torch.device("cpu"), "dtype": torch.float32}
ONCE = {"cached head": {"train": "head"}, "as they are": {"train": "all"}}
WAYS = {**ONCE, "each view": {"train": "all", "augment": "light"},
        "mixed": {"train": "all", "mixup": 0.4}, "head, uncached": {"train": "head", "cache": False,
                                                                    "augment": "standard"}}


def colours(labels=lambda labels: labels) -> Splits:
    train = painted(24)
    return Splits("colours", replace(train, labels=labels(train.labels)), painted(12, seed=1))


def teacher(names=NAMES, size=SIZE, seed: int = 5):
    """Weights that nobody has taught, which say something all the same; its photos are another size."""
    module = tiny(seed, classes=len(names)).module
    with torch.no_grad():
        module[-1].weight.mul_(20)
    return explorer.wrap(module, input_size=size, labels=list(names), mean=(0.4,) * 3, std=(0.3,) * 3).eval()


def student(seed: int = 0):
    return tiny(seed, drop=0.2)


def lesson(net=None, by=None, data=None, **settings):
    net, by, data = net or student(), by or teacher(), data or colours()
    return explorer.distill(net, by, data, device="cpu", **{**HOW, "lr": 0.02, **settings})


class Counted(nn.Module):
    """Counts the photos that it is asked about."""

    def __init__(self, inner: nn.Module):
        super().__init__()
        self.inner, self.asked, self.counts = inner, 0, False

    def forward(self, x):
        if self.counts:
            assert not self.training and not self.inner.training and not torch.is_grad_enabled()
            self.asked += len(x)
        return self.inner(x)


def counted(size=SIZE):
    module = Counted(teacher().module)
    model = explorer.wrap(module, input_size=size, labels=list(NAMES)).eval()
    module.counts = True
    return module, model


# --- the loss -----------------------------------------------------------------------------------------------


def softened(scores: np.ndarray, heat: float) -> np.ndarray:
    raised = np.exp(scores / heat - (scores / heat).max(1, keepdims=True))
    return raised / raised.sum(1, keepdims=True)


@pytest.mark.parametrize(("heat", "alpha"), [(4.0, 0.5), (1.0, 0.9), (7.5, 0.1), (2.0, 0.0), (2.0, 1.0)])
def test_the_loss_is_the_formulas(heat, alpha):
    draw = np.random.default_rng(0)
    ours, theirs, labels = draw.normal(size=(6, 3)), 3 * draw.normal(size=(6, 3)), draw.integers(0, 3, 6)
    plain = Objective(Outputs("one", NAMES))
    taught = TaughtObjective.of(plain, Lesson(teacher(), "it", plain.outputs, (0, 1, 2), heat, alpha), {},
                                told=True)
    targets = with_told(torch.tensor(labels), torch.tensor(theirs, dtype=torch.float32))
    passed = taught.passed(nn.Identity(), torch.tensor(ours, dtype=torch.float32), targets, PLACE)
    p, q = softened(theirs, heat), softened(ours, heat)
    divergence = (p * np.log(p / q)).sum(1).mean()
    entropy = -np.log(softened(ours, 1)[range(6), labels]).mean()
    wanted = {"labels": (1 - alpha) * entropy, "teacher": alpha * heat ** 2 * divergence}
    assert passed.loss.item() == pytest.approx(sum(wanted.values()), rel=1e-5)
    assert {name: part.item() for name, part in passed.parts.items()} == pytest.approx(
        {name: value for name, value in wanted.items() if value}, rel=1e-5)
    assert passed.figure == (ours.argmax(1) == labels).sum()


@pytest.mark.parametrize("way", list(WAYS))
def test_without_a_share_the_teacher_changes_no_bit(way):
    module, by = counted()
    done = lesson(by=by, alpha=0, **WAYS[way]).wait()
    alone = explorer.finetune(student(), colours(), device="cpu", **{**HOW, "lr": 0.02, **WAYS[way]}).wait()
    assert equal_weights(done.model, alone.model) and module.asked == 0
    assert [row["val_loss"] for row in done.history] == [row["val_loss"] for row in alone.history]


@pytest.mark.parametrize("way", list(ONCE))
def test_with_the_whole_share_wrong_labels_change_nothing(way):
    def poisoned(labels):
        return tuple((label + 1) % 3 for label in labels)

    one, other = (lesson(data=colours(labels), alpha=1, epochs=1, **WAYS[way]).wait()
                  for labels in (lambda labels: labels, poisoned))
    assert equal_weights(one.model, other.model)
    assert one.batches[0].loss == other.batches[0].loss and one.batches[0].top1 != other.batches[0].top1


@pytest.mark.parametrize("way", list(WAYS))
def test_the_parts_of_the_loss_are_told_and_add_up_to_it(way):
    done = lesson(**WAYS[way]).wait()
    for row in (*done.batches, *done.history):
        parts, loss = (row.parts, row.loss) if isinstance(row, Batch) else (row["parts"], row["loss"])
        assert set(parts) == {"labels", "teacher"} and sum(parts.values()) == pytest.approx(loss, rel=1e-4)
    assert all("val_parts" not in row for row in done.history)


def test_the_student_comes_to_say_what_the_teacher_says():
    by = explorer.finetune(tiny(3), colours(), device="cpu", **{**HOW, "epochs": 6, "lr": 0.02}).wait()
    wrong = colours(lambda labels: tuple(0 for _ in labels))
    done = lesson(by=by, data=wrong, alpha=1, train="all", epochs=12).wait()
    assert by.best["val_top1"] == 1 and done.best["val_top1"] > 0.9


# --- the teacher --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", list(WAYS))
def test_the_teacher_is_asked_once_a_photo_where_it_looks_the_same(way):
    module, by = counted(size=(3, 48, 40))
    before = copy.deepcopy(by.state_dict())
    by.train()  # as somebody has left it
    lesson(by=by, **WAYS[way]).wait()
    assert module.asked == 24 * (1 if way in ONCE else HOW["epochs"])
    assert by.training and all(torch.equal(value, before[key]) for key, value in by.state_dict().items())
    assert all(parameter.grad is None and parameter.requires_grad for parameter in by.parameters())


def test_what_it_says_of_a_view_is_what_it_says_of_the_photo():
    by = teacher(size=(3, 16, 16))
    told = Lesson(by, "it", Outputs("one", NAMES), (0, 1, 2), 4.0, 0.5)
    own = {"input_size": (3, 16, 16), "mean": (0.4,) * 3, "std": (0.3,) * 3}
    pixels = torch.rand(2, 3, 16, 16)
    seen = told.seen((pixels - 0.1) / 0.7, {"mean": (0.1,) * 3, "std": (0.7,) * 3})
    assert torch.allclose(seen, (pixels - own["mean"][0]) / own["std"][0], atol=1e-5)
    large = torch.ones(2, 3, 64, 48)
    assert told.seen(large, {"mean": (0.0,) * 3, "std": (1.0,) * 3}).shape == (2, 3, 16, 16)


@pytest.mark.parametrize("way", ["cached head", "each view"])
def test_classes_are_told_by_their_names_whatever_their_order(way):
    by = teacher()
    turned = copy.deepcopy(by.module)
    order = [2, 0, 1]
    with torch.no_grad():
        turned[-1] = nn.Linear(16, 4)
        turned[-1].weight[:3], turned[-1].bias[:3] = by.module[-1].weight[order], by.module[-1].bias[order]
    names = ["Blue", "red", "GREEN", "of no use"]
    other = explorer.wrap(turned, input_size=SIZE, labels=names, mean=(0.4,) * 3, std=(0.3,) * 3)
    one, two = (lesson(by=each, epochs=1, **WAYS[way]).wait() for each in (by, other))
    for first, second in zip(one.batches, two.batches):
        assert first.parts == pytest.approx(second.parts, rel=1e-3)


@pytest.mark.parametrize("way", ["cached head", "each view"])
def test_an_ensemble_teaches(way):
    team = explorer.Ensemble({"a": teacher(), "b": teacher(size=(3, 48, 48), seed=6)})
    done = lesson(by=team, **WAYS[way]).wait()
    assert done.state == "finished" and set(done.history[-1]["parts"]) == {"labels", "teacher"}


def test_a_yes_or_no_is_taught_and_teaches():
    two = Splits("colours", *(
        replace(part, classes=NAMES[:2], labels=tuple(label % 2 for label in part.labels))
        for part in (painted(24), painted(12, seed=1))))
    by = explorer.finetune(tiny(1, classes=2), two, device="cpu", outputs="yes/no", **HOW).wait()
    done = lesson(by=by, data=two, outputs="yes/no").wait()
    assert done.model.num_classes == 1 and math.isfinite(done.history[-1]["loss"])
    assert lesson(by=done, data=two).wait().model.num_classes == 2


# --- the run ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", list(WAYS))
def test_a_stop_changes_no_bit_of_the_end(way, tmp_path):
    settings = {**WAYS[way], "epochs": 3, "rounds": 1 if way == "cached head" else None}
    whole = lesson(**settings).wait()
    known, box = threading.Event(), []

    def listener(event):
        if isinstance(event, Batch):
            known.wait()
            if len(box[0].batches) == 4:
                box[0].stop(wait=False)

    box.append(lesson(run_dir=tmp_path / "run", on_event=listener, **settings))
    known.set()
    assert box[0].wait().state == "stopped"
    on = lesson(run_dir=tmp_path / "run", resume=True, **settings).wait()
    assert equal_weights(on.model, whole.model) and len(on.history) == 3
    assert [row["loss"] for row in on.history] == [row["loss"] for row in whole.history]


def test_a_resumed_run_has_the_teacher_that_it_had(tmp_path):
    lesson(run_dir=tmp_path).wait()
    again = {"run_dir": tmp_path, "resume": True}
    lesson(**again).wait()
    for change, words in (({"by": teacher(seed=9)}, "started with the teacher "),
                          ({"temperature": 2.0}, "started with temperature=4.0, not 2.0"),
                          ({"alpha": 0.25}, "started with alpha=0.5, not 0.25")):
        with pytest.raises(TrainingError, match=words):
            lesson(**again, **change)
    with pytest.raises(TrainingError, match=r"started with the teacher .*, not none"):
        explorer.finetune(student(), colours(), device="cpu", **{**HOW, "lr": 0.02, **again})


def test_the_card_says_who_taught_and_the_saved_student_says_the_same(tmp_path):
    done = lesson(by=teacher(), name="a lesson").wait()
    folder = done.save(tmp_path / "saved")
    card = (folder / "README.md").read_text()
    assert f"- Taught by: {done.taught_by}\n" in card
    assert "temperature 4, alpha 0.5" in done.taught_by and f"Taught by {done.taught_by}." in done.notes
    opened = explorer.load_run(folder, model=student())
    assert equal_weights(opened.model, done.model)
    assert lesson(by=opened, epochs=1).wait().state == "finished"


def test_a_stop_while_the_teacher_is_asked_is_a_stop():
    box, known = [], threading.Event()

    class Stopping(Counted):
        def forward(self, x):
            if self.counts:
                known.wait()
                box[0].stop(wait=False)
            return super().forward(x)

    by = explorer.wrap(module := Stopping(teacher().module), input_size=SIZE, labels=list(NAMES))
    module.counts = True
    box.append(lesson(by=by, train="all"))
    known.set()
    assert box[0].wait().state == "stopped" and not box[0].batches


# --- sentences ----------------------------------------------------------------------------------------------


def numbers() -> Splits:
    return Splits("ages", *(
        replace(part, classes=("age",), labels=tuple((float(label),) for label in part.labels), numbers=True)
        for part in (painted(9), painted(6))))


REFUSED = {
    "temperature": (lambda: lesson(temperature=0), ValueError, "temperature is 0: expected a number above"),
    "alpha": (lambda: lesson(alpha=1.5), ValueError, "alpha is 1.5: expected a number from 0 to 1"),
    "no teacher": (lambda: lesson(by=7), TypeError, "teacher is a int"),
    "unnamed": (lambda: lesson(by=tiny()), DataError, "Nobody said what the classes of the teacher"),
    "other classes": (lambda: lesson(by=teacher(("red", "green", "black"))), DataError,
                      "does not know 'blue'"),
    "twice": (lambda: lesson(by=teacher(("red", "Red", "green", "blue"))), DataError, "two classes called"),
    "several": (lambda: lesson(outputs="several"), ValueError, "give one that tells several classes at once"),
    "numbers": (lambda: lesson(data=numbers()), ValueError, "give one that gives numbers"),
    "sigmoids": (lambda: lesson(by=explorer.wrap(tiny().module, input_size=SIZE, labels=list(NAMES),
                                                 outputs="several")), ValueError, "gives several classes"),
    "views": (lambda: lesson(views=2), ValueError, "views varies photos"),
    "a detector": (lambda: lesson(net="retinanet"), ValueError, "The student is for detection"),
    "a detector teaches": (lambda: lesson(by="retinanet"), ValueError, "is for detection"),
    "no head": (lambda: lesson(by=explorer.create_model("resnet18", num_classes=0)), ValueError,
                "has no classifier"),
    "a setting": (lambda: lesson(hints="features"), TypeError, "distill has no setting 'hints'"),
    "T": (lambda: lesson(T=4), TypeError, "distill has no setting 'T'. Did you mean 'temperature'"),
    "no such name": (lambda: lesson(by="resnet5O"), ValueError,
                     "The teacher 'resnet5O' can't be had. .*Did you mean 'resnet50'"),
    "no weights": (lambda: lesson(by="no_weights"), explorer.WeightsError,
                   "The teacher 'no_weights' can't be had. .*no network"),
    "channels": (lambda: lesson(input_size=(3, 32, 32), by=explorer.wrap(
        nn.Sequential(nn.Conv2d(1, 3, 4), nn.AdaptiveAvgPool2d(1), nn.Flatten()), input_size=(1, 32, 32),
        labels=list(NAMES))), ValueError, "both see the same photos"),
}


@pytest.mark.parametrize("case", list(REFUSED))
def test_what_cannot_be_is_refused_in_a_sentence(case, monkeypatch):
    from explorer.training.run import teachers

    def nowhere(name, **_options):
        if name != "no_weights":
            return explorer.create_model(name)
        raise explorer.WeightsError("They are not on this computer, and there is no network.")

    monkeypatch.setattr(teachers, "create_model", nowhere)
    call, kind, words = REFUSED[case]
    with pytest.raises(kind, match=words):
        call()


def test_a_student_is_not_its_own_teacher():
    net = teacher()
    for by in (net, explorer.Ensemble([net, teacher(seed=6)])):
        with pytest.raises(ValueError, match="share weights"):
            lesson(net=net, by=by)
    assert lesson(net=copy.deepcopy(net), by=net, epochs=1).wait().state == "finished"


def test_a_stack_teaches_under_its_name():
    from tests.training.test_stacked_model import taught

    meta, _ = taught("logistic", "one")
    members = {"a": teacher(), "b": teacher(NAMES[::-1], size=(3, 48, 48), seed=6)}
    stack = StackedModel(members, meta=meta.head(), labels=NAMES).eval()
    done = lesson(by=SimpleNamespace(name="my stack", model=stack), epochs=1).wait()
    assert done.taught_by.startswith("my stack (") and done.state == "finished"
    photo = colours().train.open_one(0)
    inputs = transform_for(stack)(photo)[None]
    said = Lesson(stack, "", Outputs("one", NAMES), (0, 1, 2), 1.0, 1.0).scores(inputs)
    wanted = explorer.look(stack, photo).probabilities
    assert torch.allclose(said.softmax(1)[0], wanted, atol=1e-5)


def test_a_teacher_whose_scores_are_no_numbers_is_named():
    by = teacher()
    with torch.no_grad():
        by.module[-1].bias.fill_(math.nan)
    with pytest.raises(ValueError, match="not finite"):
        lesson(by=by).wait()
