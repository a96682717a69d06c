"""Settings are checked before anything starts; schedules are what PyTorch's are; augmentation shows the same
photo.
"""

from __future__ import annotations

import pytest
import torch
from PIL import Image

from explorer.data.images import load_image
from explorer.data.samples import sample_photos
from explorer.data.transforms import create_transform
from explorer.training.loop.augmentation import AUGMENTATIONS, create_augmentation, preview
from explorer.training.loop.recipe import Recipe, optimizer_class
from explorer.training.loop.schedules import SCHEDULES, schedule

CONFIG = {"input_size": (3, 48, 64), "interpolation": "bicubic", "mean": (0.5, 0.4, 0.3),
          "std": (0.2, 0.2, 0.2), "crop_pct": 0.9, "crop_mode": "center"}


@pytest.mark.parametrize(("setting", "value", "sentence"), [
    ("train", "body", "head, last_stage, all"),
    ("schedule", "linear", "constant, step, cosine, one_cycle"),
    ("augment", "heavy", "none, light"),
    ("optimizer", "adamww", "adamw, adam, sgd"),
    ("epochs", 0, "whole number from 1"),
    ("batch_size", 2.5, "whole number from 1"),
    ("lr", float("nan"), "above 0"),
    ("lr", -1, "above 0"),
    ("label_smoothing", 1.5, "0 to 1"),
    ("mixup", 0.2, "cache=False"),
    ("mixup", float("inf"), "0 \\(off\\) or more"),
    ("weight_decay", float("nan"), "0 \\(off\\) or more"),
    ("weight_decay", -1, "such as 0.01"),
    ("precision", "fp4", "float32, bfloat16"),
])
def test_a_setting_that_can_not_be_is_refused_with_what_can(setting, value, sentence):
    with pytest.raises(ValueError, match=sentence):
        Recipe(**{setting: value})


def test_every_optimizer_of_torch_goes_by_its_name():
    assert optimizer_class("RMSprop") is torch.optim.RMSprop
    assert optimizer_class("sgd") is torch.optim.SGD


def test_a_fresh_head_learns_ten_times_as_fast_as_the_body():
    head, body = Recipe(train="all").rates
    assert head == pytest.approx(10 * body)
    assert Recipe(train="all", lr=0.1, body_lr=0.02).rates == (0.1, 0.02)


def test_the_cosine_schedule_is_torchs():
    factor = schedule("cosine", total=20)
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=1.0)
    theirs = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=20)
    for step in range(20):
        assert factor(step) == pytest.approx(optimizer.param_groups[0]["lr"], abs=1e-6)
        optimizer.step()
        theirs.step()


def test_one_cycle_has_torchs_shape():
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=1.0)
    theirs = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=1.0, total_steps=1000,
                                                 cycle_momentum=False)
    factor = schedule("one_cycle", total=1000)
    for step in range(999):
        assert factor(step) == pytest.approx(optimizer.param_groups[0]["lr"], abs=6e-3)
        optimizer.step()
        theirs.step()


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_schedule_stays_between_0_and_1_and_warms_up_in_a_straight_line(name):
    factor = schedule(name, total=50, warmup=10)
    assert all(0 <= factor(step) <= 1 for step in range(60))
    if name != "one_cycle":
        assert [factor(step) for step in range(3)] == pytest.approx([1 / 11, 2 / 11, 3 / 11])


def test_the_step_schedule_falls_by_its_factor_at_equal_parts():
    factor = schedule("step", total=30, steps=3, gamma=0.1)
    assert [factor(step) for step in (0, 9, 10, 20, 29)] == pytest.approx([1, 1, 0.1, 0.01, 0.01])


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_an_augmented_photo_has_the_models_size_and_is_drawn_by_the_seed(name):
    photo = load_image(sample_photos()[0])
    vary = create_augmentation(name, CONFIG)
    torch.manual_seed(1)
    once = vary(photo)
    torch.manual_seed(1)
    assert once.shape == (3, 48, 64) and once.dtype == torch.float32 and type(once) is torch.Tensor
    assert torch.equal(once, vary(photo))
    if name != "none":
        assert not torch.equal(once, vary(photo))


def test_without_augmentation_a_photo_is_prepared_as_for_looking():
    photo = load_image(sample_photos()[1])
    assert torch.equal(create_augmentation("none", CONFIG)(photo), create_transform(**CONFIG)(photo))


def test_a_function_of_a_picture_is_an_augmentation_too():
    photo = Image.new("RGB", (70, 60), (255, 0, 0))
    vary = create_augmentation(lambda picture: picture.convert("L").convert("RGB"), CONFIG)
    mean, std = (torch.tensor(CONFIG[name]).view(3, 1, 1) for name in ("mean", "std"))
    grey = vary(photo) * std + mean
    assert torch.allclose(grey, grey[:1].expand(3, -1, -1), atol=1e-6)


def test_a_preview_shows_eight_variants_and_leaves_torchs_randomness_alone():
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    views = preview(load_image(sample_photos()[0]), "standard", CONFIG, seed=5)
    assert torch.equal(torch.rand(3), expected)
    assert [view.size for view in views] == [(64, 48)] * 8
    again = preview(load_image(sample_photos()[0]), "standard", CONFIG, seed=5)
    assert [v.tobytes() for v in again] == [v.tobytes() for v in views]
    assert len({view.tobytes() for view in views}) == 8


def test_a_grey_model_is_shown_grey_photos():
    config = {**CONFIG, "input_size": (1, 32, 32), "mean": (0.5,), "std": (0.5,)}
    for name in AUGMENTATIONS:
        assert create_augmentation(name, config)(load_image(sample_photos()[0])).shape == (1, 32, 32)
        assert preview(load_image(sample_photos()[0]), name, config, count=1)[0].mode == "L"
