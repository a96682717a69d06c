"""What a run is, is compared before it goes on: nothing is written, and no model changed, for another one."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from PIL import Image, ImageOps
from torch import nn
from torchvision.transforms import v2

import explorer
from explorer.data.datasets import PhotoSet, Splits, open_data
from explorer.training.__main__ import main
from explorer.training.loop.errors import TrainingError
from explorer.training.loop.events import Batch
from explorer.training.run import checkpoint
from explorer.training.run.finetuning import finetune
from explorer.training.run.fingerprints import of_function, of_photos, of_tensors
from explorer.training.run.loading import load_run

ROOT = Path(__file__).resolve().parents[2]
SIZE = (3, 32, 32)
COLOURS = {"red": (220, 40, 40), "green": (40, 200, 60), "blue": (40, 60, 210)}
ADVICE = r"Give another run_dir, or empty this one\."


def photos(count: int, seed: int, classes=tuple(COLOURS)) -> PhotoSet:
    draw = torch.Generator().manual_seed(seed)
    colours = [torch.tensor(colour).view(1, 1, 3) for colour in COLOURS.values()]
    noisy = [colours[i % 3] + 40 * torch.randn(24, 28, 3, generator=draw) for i in range(count)]
    pictures = [Image.fromarray(photo.clamp(0, 255).byte().numpy()) for photo in noisy]
    return PhotoSet(classes, tuple(i % 3 for i in range(count)), tuple(f"photo {i}" for i in range(count)),
                    lambda i: pictures[i])


def colours(seed: int = 0, classes=tuple(COLOURS)) -> Splits:
    return Splits("colours", photos(12, seed, classes), photos(6, seed + 100, classes))


def net(seed: int = 0, name: str = "resnet18", **options):
    torch.manual_seed(seed)
    return explorer.create_model(name, **{"num_classes": 3, **options})


def learn(model, data, folder=None, *, resume=False, **settings):
    return finetune(model, data, run_dir=folder, resume=resume,
                    **{"input_size": SIZE, "augment": "none", "batch_size": 4, "threads": 1, "epochs": 1,
                       "device": "cpu", **settings})


def contents(folder: Path) -> dict[str, str]:
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(folder.rglob("*")) if path.is_file()}


def weights(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def flip(photo):
    return photo


first_flip = flip


def flip(photo):  # another one of the same name
    return ImageOps.mirror(photo)


@pytest.fixture(scope="module")
def begun(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "one"
    learn(net(), colours(), folder, augment=first_flip).wait()
    return folder


def refused(folder, sentence, model=None, data=None, **settings):
    """The folder is byte for byte as it was and still opens, and the caller's model is as it was."""
    model = net() if model is None else model
    before = contents(folder)
    untouched = None if isinstance(model, str) else (weights(model), model.config,
                                                     [p.requires_grad for p in model.parameters()])
    with pytest.raises(TrainingError, match=sentence) as told:
        learn(model, colours() if data is None else data, folder, resume=True,
              **{"augment": first_flip, "epochs": 2, **settings})
    assert str(told.value).endswith("Give another run_dir, or empty this one.")
    assert contents(folder) == before
    if untouched is not None:
        assert same(weights(model), untouched[0]) and model.config == untouched[1]
        assert [p.requires_grad for p in model.parameters()] == untouched[2]
    return str(told.value)


def test_a_run_of_another_model_does_not_go_on(begun):
    """case A1: two relatives whose classifiers are of one size."""
    refused(begun, "started with the model resnet18, not resnet34", net(name="resnet34"))
    refused(begun, "the model resnet18, not tf_efficientnet_lite0", "tf_efficientnet_lite0")
    refused(begun, "the model resnet18, not resnet18d", net(name="resnet18d"))


def test_a_refused_run_can_still_be_opened(begun):
    """case A3: model.json and recipe.json used to be written first."""
    refused(begun, "not lenet5", explorer.create_model("lenet5", num_classes=3, in_chans=3),
            input_size=(3, 32, 32))
    loaded = load_run(begun, model=net())
    assert loaded.model.config.architecture == "resnet18" and len(loaded.history) == 1


def test_the_advice_for_a_refused_run_works_at_once(begun, tmp_path):
    """case A3: "use resume=False" used to lead to "holds a run already"."""
    refused(begun, ADVICE, net(name="resnet18d"))
    assert learn(net(name="resnet18d"), colours(), tmp_path / "another").wait().state == "finished"
    emptied = tmp_path / "emptied"
    learn(net(), colours(), emptied).wait()
    for path in sorted(emptied.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    other = learn(net(name="resnet18d"), colours(), emptied, resume=True).wait()
    assert other.model.config.architecture == "resnet18d"


def test_other_weights_of_the_same_model_are_told_apart(begun):
    """case A1: a frozen body is not in the checkpoint."""
    refused(begun, r"weights from random weights \(\w{8}\), not from random weights \(\w{8}\)", net(seed=1))
    changed = net()
    with torch.no_grad():
        changed.layer4[1].conv2.weight[3, 2, 1, 1] += 1e-3
    refused(begun, "with weights from", changed)


def test_other_labels_and_other_photos_are_told_apart(begun):
    """case A2: as many classes with other names; other photos under the same names."""
    assert "cat" in refused(begun, r"the labels red, green, blue \(3\), not red, cat, blue \(3\)",
                            data=colours(classes=("red", "cat", "blue")))
    refused(begun, "the photos of 'colours'", data=colours(seed=5))
    more = Splits("colours", photos(13, 0), photos(6, 100))
    refused(begun, "photos to learn from 12, not 13", data=more)


def test_another_input_size_and_another_normalisation_are_told_apart(begun):
    """case A2."""
    refused(begun, r"input_size=\[3, 32, 32\], not \[3, 64, 64\]", input_size=(3, 64, 64))
    other = net()
    other.config = other.config.with_(mean=(0.5, 0.5, 0.5))
    refused(begun, r"mean=\[0.485, 0.456, 0.406\], not \[0.5, 0.5, 0.5\]", other)


def test_another_function_of_the_same_name_is_told_apart(begun):
    """case A2."""
    refused(begun, r"augment .*flip \(\w{8}\), not .*flip \(\w{8}\)", augment=flip)
    refused(begun, r"augment .*flip \(\w{8}\), not light", augment="light")


def test_several_differences_are_named_together(begun):
    text = refused(begun, "the model "
                          "resnet18", net(name="resnet34"), colours(classes=("a", "b", "c")), seed=3)
    assert "labels" in text and "seed" in text


def small(seed: int = 0):
    return net(seed, "mobilenetv3_small_050")


def stopped(model, data, folder, step: int, **settings):
    """A run in `folder` that was stopped behind so many steps."""
    box = []

    def listen(event):
        if isinstance(event, Batch) and event.step == step:
            while not box:  # the call below has not returned yet
                time.sleep(0.001)
            box[0].stop(wait=False)

    box.append(learn(model, data, folder, on_event=listen, **settings))
    assert box[0].wait().state == "stopped"
    return box[0]


@pytest.mark.parametrize("train", ["head", "all"])
def test_a_run_that_is_the_same_goes_on_and_ends_as_an_unbroken_one(tmp_path, train):
    settings = {"epochs": 3, "augment": flip, "train": train}
    unbroken = learn(small(), colours(), **settings).wait()
    stopped(small(), colours(), tmp_path, 4, **settings)
    done = learn(small(), colours(), tmp_path, resume=True, **settings).wait()
    assert done.started.step == 4 and done.state == "finished"
    assert same(done.model.state_dict(), unbroken.model.state_dict())
    assert not [note for note in done.notes if "explorer" in note or "random weights" in note]


@pytest.mark.parametrize("train", ["head", "all"])
def test_a_model_that_the_run_has_taught_goes_on_in_memory_and_from_its_folder(tmp_path, train):
    settings = {"epochs": 4, "train": train}
    unbroken = learn(small(), colours(), **settings).wait()
    first = stopped(small(), colours(), tmp_path, 4, **settings)
    # The very object, which has learnt.
    second = stopped(first.model, colours(), tmp_path, 7, resume=True, **settings)
    assert second.started.step == 4
    opened = load_run(tmp_path, model=small()).model
    third = stopped(opened, colours(), tmp_path, 10, resume=True, **settings)
    assert third.started.step == 7
    last = learn(small(), colours(), tmp_path, resume=True, **settings).wait()  # and from what it began with
    assert last.started.step == 10 and same(last.model.state_dict(), unbroken.model.state_dict())


def test_random_weights_that_the_checkpoint_replaces_are_a_note(tmp_path):
    """A net from scratch begins with others in each process; a run that teaches all of it can go on all the
    same.
    """
    settings = {"epochs": 2, "train": "all"}
    unbroken = learn(small(), colours(), **settings).wait()
    stopped(small(), colours(), tmp_path, 4, **settings)
    done = learn(small(9), colours(), tmp_path, resume=True, **settings).wait()
    assert same(done.model.state_dict(), unbroken.model.state_dict())
    assert any("other random weights" in note for note in done.notes)


def test_more_epochs_and_another_thread_count_may_be_given(tmp_path):
    learn(net(), colours(), tmp_path).wait()
    longer = learn(net(), colours(), tmp_path, resume=True, epochs=2, threads=2, save_every=2,
                   patience=5).wait()
    assert [row["epoch"] for row in longer.history] == [0, 1]


def test_the_same_photos_in_another_folder_are_the_same(tmp_path):
    for place in ("here", "there"):
        for name, colour in COLOURS.items():
            (tmp_path / place / name).mkdir(parents=True)
            for i in range(4):
                photo = Image.new("RGB", (30, 30), tuple(c - 5 * i for c in colour))
                photo.save(tmp_path / place / name / f"{i}.png")
    learn(net(), tmp_path / "here", tmp_path / "run").wait()
    resumed = learn(net(), tmp_path / "there", tmp_path / "run", resume=True, epochs=2)
    assert resumed.wait().state == "finished"
    Image.new("RGB", (30, 30), (1, 2, 3)).save(tmp_path / "there" / "red" / "0.png")
    with pytest.raises(TrainingError, match="the photos of 'here'"):
        learn(net(), tmp_path / "there", tmp_path / "run", resume=True, epochs=3)


# --- folders that say less, or nothing that can be used -----------------------------------------------------


@pytest.fixture
def run_dir(tmp_path):
    folder = tmp_path / "one"
    learn(net(), colours(), folder).wait()
    return folder


def test_a_folder_of_an_earlier_explorer_goes_on_and_says_what_is_not_known(run_dir):
    (run_dir / checkpoint.IDENTITY).unlink()
    settings = {"augment": "none"}
    refused(run_dir, "the model resnet18, not resnet18d", net(name="resnet18d"), **settings)
    refused(run_dir, "the labels red, green, blue", data=colours(classes=("a", "b", "c")), **settings)
    refused(run_dir, "input_size", input_size=(3, 64, 64), **settings)
    refused(run_dir, "augment='none', not 'light'", augment="light")
    done = learn(net(), colours(), run_dir, resume=True, epochs=2).wait()
    assert any("earlier explorer" in note and "can't be compared" in note for note in done.notes)
    assert len(done.history) == 2 and (run_dir / checkpoint.IDENTITY).is_file()


@pytest.mark.parametrize(("name", "content"),
                         [(checkpoint.LAST, b"PK\x03\x04 cut off"),
                          (checkpoint.IDENTITY, b'{"format": 1, "mod'), (checkpoint.RECIPE, b"[]"),
                          (checkpoint.IDENTITY, b"[" * 100_000),
                          (checkpoint.IDENTITY, b'{"model": 5, "data": [], "augment": "x", "weights": 7}'),
                          (checkpoint.LAST, None), (checkpoint.RECIPE, None)],
                         ids=["cut checkpoint", "cut identity", "no table", "deep", "strange", "none",
                              "no recipe"])
def test_a_damaged_folder_is_a_sentence_and_stays_as_it_is(run_dir, name, content):
    if content is None:
        content = b""
        (run_dir / name).unlink()
        if name == checkpoint.LAST:  # nothing to go on from: it begins
            assert learn(net(), colours(), run_dir, resume=True).wait().started.step == 0
            return
    else:
        (run_dir / name).write_bytes(content)
    refused(run_dir, "damaged|was started with|no recipe.json", augment="none")


def test_a_folder_with_other_peoples_files_is_not_written_into(tmp_path):
    """case B3, for run_dir: a cookery program's recipe.json, another trainer's last.pt, a saved model."""
    for name, content in (("recipe.json", '{"eggs": '
                                          '3}'), ("model.json", "[]"), ("last.pt", "another trainer's"),
                          ("config.json", "{}"), ("identity.json", "no json")):
        folder = tmp_path / name.partition(".")[0]
        folder.mkdir()
        (folder / name).write_text(content)
        before = contents(folder)
        for resume in (False, True):
            with pytest.raises(TrainingError, match=f"{name}.*{ADVICE}"):
                learn(net(), colours(), folder, resume=resume)
        assert contents(folder) == before
    with pytest.raises(TrainingError, match="is a file"):
        learn(net(), colours(), folder / name)


# --- the other doors ----------------------------------------------------------------------------------------


def test_a_stopped_run_does_not_go_on_where_another_one_has(tmp_path):
    """case A1, by Run.resume: its folder, or its model, has gone on without it."""
    first = stopped(net(), colours(), tmp_path / "run", 4, epochs=3)
    learn(net(), colours(), tmp_path / "run", resume=True, epochs=3).wait()
    before = contents(tmp_path / "run")
    with pytest.raises(TrainingError, match="Another run has gone on in .*resume=True"):
        first.resume()
    assert contents(tmp_path / "run") == before

    second = stopped(net(), colours(), None, 4, epochs=3, name="second")
    learn(second.model, colours(), epochs=1, name="third").wait()
    with pytest.raises(TrainingError, match="third has taught the model of second since"):
        second.resume()


def test_a_run_whose_folder_was_emptied_writes_it_anew(tmp_path):
    folder = tmp_path / "run"
    run = stopped(net(), colours(), folder, 4, epochs=3)
    shutil.rmtree(folder)
    run.resume().wait()
    assert load_run(folder, model=net()).model is not None


def test_the_module_refuses_another_run(tmp_path, capsys):
    """case A1: python -m explorer.training."""
    words = ["flowers5_nano", "--epochs", "1", "--from-scratch", "--input-size", "3", "32", "32", "--run-dir",
             str(tmp_path / "r"), "--device", "cpu"]
    assert main(["resnet10t", *words]) == 0
    before = contents(tmp_path / "r")
    assert main(["resnet14t", *words, "--resume"]) == 1
    assert "the model resnet10t, not resnet14t" in capsys.readouterr().err
    assert contents(tmp_path / "r") == before


# --- fingerprints -------------------------------------------------------------------------------------------


def turned(angle):
    def turn(photo):
        return photo.rotate(angle)

    return turn


class Tilt:
    def __init__(self, angle):
        self.angle, self.generator = angle, torch.Generator()

    def __call__(self, photo):
        return photo.rotate(self.angle + torch.rand(1, generator=self.generator).item())

    def method(self, photo):
        return self(photo)


class Blank(nn.Module):
    def __init__(self, value):
        super().__init__()
        self.value = value

    def forward(self, photo):
        return photo.point(lambda _: self.value)


MIRROR = v2.RandomHorizontalFlip(p=0.5)


def by_global(photo):
    return MIRROR(photo)


EACH = {
    "first flip": first_flip, "flip": flip, "10": turned(10), "20": turned(20), "tilt": Tilt(10),
    "tilt more": Tilt(20),
    "method": Tilt(10).method, "partial": functools.partial(ImageOps.solarize, threshold=10),
    "partial 20": functools.partial(ImageOps.solarize, threshold=20),
    "mirror": ImageOps.mirror, "upside down": ImageOps.flip,
    "compose": v2.Compose([v2.RandomHorizontalFlip(0.5)]),
    "compose 0.6": v2.Compose([v2.RandomHorizontalFlip(0.6)]),
    "module": Blank(1), "module 2": Blank(2), "lambda": lambda photo: photo,
    "lambda in set": lambda photo: photo if photo.mode in {"RGB", "L", "CMYK", "RGBA"} else None,
    "global": by_global, "crop": v2.RandomResizedCrop(32, (0.5, 1.0)),
    "crop 0.6": v2.RandomResizedCrop(32, (0.6, 1.0)), "defaults": lambda photo, times=2: photo,
    "defaults 3": lambda photo, times=3: photo, "choice": v2.RandomChoice([v2.Grayscale(3), v2.Identity()]),
}


def test_functions_are_told_apart_by_what_they_do():
    prints = {name: of_function(function) for name, function in EACH.items()}
    assert len(set(prints.values())) == len(EACH), prints


def test_a_value_of_the_module_belongs_to_the_function(monkeypatch):
    before = of_function(by_global)
    monkeypatch.setitem(globals(), "MIRROR", v2.RandomHorizontalFlip(p=1.0))
    assert of_function(by_global) != before


def test_a_function_that_was_used_is_still_the_same():
    seen = []

    def noted(photo):
        seen.append(photo.size)
        return photo

    place = Path("a") / "b"

    def looks(photo):
        return photo if place.exists() or hash(place) else str(place)

    for function in (noted, looks, Tilt(5), Blank(3), MIRROR):
        before = of_function(function)
        function(Image.new("RGB", (8, 8)))
        assert of_function(function) == before


def test_fingerprints_are_the_same_in_another_process():
    code = ("import json; from tests.training import test_identity as t;"
            "print(json.dumps([t.of_tensors(t.net().state_dict()), t.of_photos(t.colours().train),"
            "t.of_photos(t.open_data('flowers5_nano').train), {n: t.of_function(f) for n, f in "
            "t.EACH.items()}]))")
    told = [subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True,
                           env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": seed}).stdout
            for seed in ("1", "2")]
    assert told[0] == told[1]
    here = [of_tensors(net().state_dict()), of_photos(colours().train),
            of_photos(open_data("flowers5_nano").train),
            {name: of_function(function) for name, function in EACH.items()}]
    assert json.loads(told[0]) == here


def test_weights_are_known_wherever_and_however_they_lie():
    model = net()
    known = of_tensors(model.state_dict())
    assert of_tensors(model.to(memory_format=torch.channels_last).state_dict()) == known
    assert of_tensors(model.half().state_dict()) != known


def test_photos_that_are_other_ones_each_time_are_known_by_name():
    draw = torch.Generator().manual_seed(0)
    noisy = PhotoSet(("a", "b"), (0, 1), ("x", "y"),
                     lambda i: Image.fromarray(torch.randint(256, (8, 8, 3), generator=draw).byte().numpy()))
    assert of_photos(noisy) == of_photos(noisy)
