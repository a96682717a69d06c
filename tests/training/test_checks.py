"""What `finetune` can know at once is told at the call, by a sentence that names the setting, and not by
`wait()`.
"""

from __future__ import annotations

import os

import numpy as np
import pytest
import torch
from torch import nn

import explorer
from explorer import _threads
from explorer.data.datasets import Splits
from explorer.training.loop.recipe import Recipe
from explorer.training.run.finetuning import finetune
from explorer.training.run.training import threads_for
from tests.inspection.test_no_way_back import Net
from tests.training.test_finetune import SIZE, colours, painted, run, small  # noqa: F401


@pytest.fixture
def not_started(monkeypatch):
    """No thread may begin."""
    monkeypatch.setattr("explorer.training.run.run.Run.start", lambda self: pytest.fail("it has started"))


@pytest.mark.parametrize(("settings", "sentence"), [
    ({"class_weights": [1]}, "class_weights has 1 number for 3 classes.*red, green, blue"),
    ({"class_weights": [1, 2, 3, 4]}, "class_weights has 4 numbers for 3 classes"),
    ({"class_weights": [1, float("nan"), 1]}, "class_weights is .*one number from 0"),
    ({"class_weights": [1, float("inf"), 1]}, "class_weights is .*one number from 0"),
    ({"class_weights": [1, -1, 1]}, "class_weights is .*one number from 0"),
    ({"class_weights": [0, 0, 0]}, "not all of them 0"),
    ({"class_weights": "even"}, "class_weights is 'even': expected 'balanced'"),
    ({"class_weights": 1.0}, "class_weights is 1.0: expected"),
    ({"class_weights": {"red": 1, "green": 1, "blue": 1}}, "class_weights is .*in the classes' order"),
    ({"class_weights": ["a", "b", "c"]}, "class_weights is"),
    ({"class_weights": [[1, 2, 3]]}, "class_weights is"),
    ({"optimizer": "LBFGS"}, "optimizer is 'LBFGS', which goes through each batch several times.*adamw"),
    ({"optimizer": "SparseAdam"}, "optimizer is 'SparseAdam', which takes sparse gradients.*adamw"),
    ({"optimizer": None}, "optimizer is None"),
    ({"optimizer": torch.optim.Adam}, "the name of another class of torch.optim, such as 'RMSprop'"),
    ({"lr": "0.01"}, "lr is '0.01': give a number above 0"),
    ({"lr": True}, "lr is True"),
    ({"lr": [0.1]}, r"lr is \[0.1\]"),
    ({"body_lr": 0}, "body_lr is 0"),
    ({"warmup": "a"}, "warmup is 'a': give a share"),
    ({"warmup": None}, "warmup is None"),
    ({"label_smoothing": None}, "label_smoothing is None"),
    ({"ema": float("nan")}, "ema is nan"),
    ({"mixup": None}, "mixup is None"),
    ({"clip": "1"}, "clip is '1'"),
    ({"precision": "float16"}, "precision is 'float16': expected one of float32, bfloat16"),
    ({"precision": torch.bfloat16}, "precision is torch.bfloat16"),
    ({"schedule": ["cosine"]}, "schedule is"),
    ({"train": None}, "train is None"),
    ({"augment": ["light"]}, "augment is"),
    ({"cache": "no"}, "cache is 'no'"),
    ({"views": 10**6}, "views is 1000000: give a whole number from 1 to 1,000"),
    ({"epochs": 10**7}, "epochs is 10000000: give a whole number from 1 to 1,000,000"),
    ({"epochs": 2.5}, "epochs is 2.5"),
    ({"batch_size": "all"}, "batch_size is 'all'"),
    ({"seed": -1}, "seed is -1"),
    ({"device": "gpu"}, "device is 'gpu', which is not to be had here: give 'cpu'"),
    ({"device": "cuda:77"}, "device is 'cuda:77'"),
    ({"device": "meta"}, "device is 'meta'"),
    ({"device": 3.5}, "device is 3.5"),
    ({"input_size": 224}, "input_size is .channels, height, width."),
    ({"input_size": (3, 0, 32)}, "input_size is .channels, height, width."),
    ({"input_size": (224, 224)}, "input_size is .channels, height, width."),
])
def test_a_setting_that_can_not_be_is_told_at_the_call(
        colours, not_started, settings, sentence, tmp_path):  # noqa: F811
    """case C9: class_weights=[1] and others were told only by wait(), in torch's words, or not at all."""
    with pytest.raises(ValueError, match=sentence):
        run(small(), colours, run_dir=tmp_path / "run", **settings)


def test_a_gpu_that_is_not_there_is_told_at_the_call(colours, not_started, monkeypatch):  # noqa: F811
    def no_cuda(*args, **options):
        raise AssertionError("Torch not compiled with CUDA")

    monkeypatch.setattr(torch, "empty", no_cuda)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with pytest.raises(ValueError, match="device is 'cuda'.*PyTorch sees no GPU") as refused:
        finetune("resnet18", colours, device="cuda")
    assert "compiled" not in str(refused.value)


@pytest.mark.parametrize("how", ["all without", "all in inference mode"])
@pytest.mark.parametrize("train", ["all", "last_stage", "head"])
def test_a_net_that_cuts_its_scores_off_is_told_at_the_call(colours, not_started, how, train):  # noqa: F811
    """case C9: "element 0 of tensors does not require grad", told by `wait()`."""
    net = explorer.wrap(Net(how), input_size=SIZE)
    with pytest.raises(ValueError, match=f"train is '{train}', and no gradient can be "
                                         "followed.*torch.no_grad"):
        finetune(net, colours, train=train, cache=False)


def test_a_cached_head_learns_behind_a_net_that_cuts_its_scores_off(colours):  # noqa: F811
    """case C9: the classifier is taught by itself."""
    assert finetune(explorer.wrap(Net("all without"), input_size=SIZE), colours, epochs=1).wait().best


def test_an_optimizer_that_this_model_can_not_have_is_told_at_the_call(colours, not_started):  # noqa: F811
    if not hasattr(torch.optim, "Muon"):
        with pytest.raises(ValueError, match="optimizer is 'Muon'"):
            run(small(), colours, optimizer="Muon")
    else:
        with pytest.raises(ValueError, match="optimizer 'Muon' can't teach this model.*adamw"):
            run(small(), colours, optimizer="Muon")


def test_a_listener_that_is_no_function_is_told_at_the_call(colours, not_started):  # noqa: F811
    with pytest.raises(TypeError, match="on_event is 'print': give a function"):
        run(small(), colours, on_event="print")


def refuses(photo):
    raise KeyError("angle")


@pytest.mark.parametrize(("augment", "sentence"), [
    (refuses, "augment=refuses failed with the photo 'photo 0' .KeyError"),
    (lambda photo: None, "augment=<lambda> gave NoneType for the photo"),
    (lambda photo: np.asarray(photo), "gave ndarray"),
    (lambda photo: photo.convert("L"), "picture of mode L .*takes 3 channels"),
    (lambda photo, box: photo, "TypeError"),
])
def test_an_augmentation_that_gives_no_picture_is_told_at_the_call(
        colours, not_started, augment, sentence):  # noqa: F811
    with pytest.raises(ValueError, match=sentence):
        run(small(), colours, augment=augment)


def test_numbers_of_numpy_are_numbers(colours):  # noqa: F811
    recipe = Recipe(epochs=np.int64(2), lr=np.float32(0.5), class_weights=np.array([1, 2, 3]),
                    seed=np.uint8(3))
    assert (type(recipe.epochs), type(recipe.lr)) == (int, float)
    assert (recipe.class_weights, recipe.seed) == ((1.0, 2.0, 3.0), 3)
    assert Recipe(class_weights=torch.ones(3)).class_weights == (1.0, 1.0, 1.0)
    assert run(small(), colours, epochs=1, class_weights=[1, 2, 0]).wait().state == "finished"


# --- one photo a batch --------------------------------------------------------------------------------------


def narrow_net():
    """BatchNorm over vectors: of one photo there is one number a channel."""
    torch.manual_seed(0)
    return explorer.wrap(nn.Sequential(nn.Conv2d(3, 4, 3, 2), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
                                       nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 3)), input_size=SIZE)


def test_one_photo_a_batch_is_told_at_the_call_where_batchnorm_learns(not_started):
    """case C9: told only by wait(), in torch's words."""
    net, data = narrow_net(), Splits("colours", painted(9), painted(6, seed=1))
    before = {key: value.clone() for key, value in net.state_dict().items()}
    with pytest.raises(ValueError, match="batch_size is 1, and this model has BatchNorm.*accumulate"):
        run(net, data, batch_size=1, train="all")
    after = net.state_dict()
    assert all(torch.equal(after[key], before[key]) for key in before)
    one = Splits("one", painted(3).subset([0]), painted(6, seed=1))
    with pytest.raises(ValueError, match="There is 1 photo to learn from, and this model has BatchNorm"):
        run(net, one, train="all")


@pytest.mark.parametrize("settings", [{"train": "head"}, {"train": "head", "cache": False}])
def test_one_photo_a_batch_is_fine_behind_a_frozen_body(settings):
    """case C9"""
    data = Splits("colours", painted(9), painted(6, seed=1))
    assert run(narrow_net(), data, batch_size=1, epochs=1, **settings).wait().state == "finished"


def test_one_photo_a_batch_is_fine_where_batchnorm_sees_many_places():
    data = Splits("colours", painted(9), painted(6, seed=1))
    net = explorer.wrap(nn.Sequential(nn.Conv2d(3, 4, 3, 2), nn.BatchNorm2d(4), nn.ReLU(),
                                      nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)),
                        input_size=SIZE)
    assert run(net, data, batch_size=1, epochs=1, train="all").wait().state == "finished"


def test_a_last_lone_photo_joins_the_batch_before():
    """case C9"""
    data = Splits("colours", painted(9), painted(6, seed=1))
    done = run(narrow_net(), data, batch_size=4, epochs=1, train="all").wait()
    assert done.state == "finished" and len(done.batches) == 2


# --- threads ------------------------------------------------------------------------------------------------


def test_more_threads_than_cores_are_not_started(colours):  # noqa: F811
    """case B7: threads=1000 ended the process with a segmentation fault."""
    before = torch.get_num_threads()
    with threads_for(Recipe(threads=1000)) as count:
        assert count == torch.get_num_threads() == _threads.cpu_count()
    assert torch.get_num_threads() == before
    assert run(small(), colours, epochs=1, threads=10**9).wait().state == "finished"


def test_the_cores_are_those_that_this_process_may_use(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: {3}, raising=False)
    assert _threads.cpu_count() == 1
    assert [_threads.thread_count(*given) for given in ((None, 0), (64, 1), (1, 5))] == [1, 1, 1]


def test_a_device_that_is_not_there_is_told_by_create_model_too():
    with pytest.raises(ValueError, match="device is 'cuda:77', which is not to be had here"):
        explorer.create_model("resnet18", device="cuda:77")


def test_a_run_says_that_it_uses_fewer_threads_than_asked_for(colours):  # noqa: F811
    done = run(small(), colours, epochs=1, threads=1000).wait()
    assert any(note.startswith("threads=1000 is more than the ") for note in done.notes)
