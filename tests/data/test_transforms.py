"""Preprocessing equals timm's to the last bit, and says truly what it does."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest
import timm
import timm.data
import torch
from PIL import Image
from torchvision import transforms as T

from explorer.data import (
    ImageError,
    create_transform,
    crop_box,
    network_view,
    preprocessing_steps,
    resolve_data_config,
)

MEAN, STD = (0.4, 0.5, 0.61), (0.2, 0.3, 0.25)


def photo(width: int, height: int, mode: str = "RGB") -> Image.Image:
    rng = np.random.default_rng(width * 10_000 + height)
    return Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8)).convert(mode)


def assert_equal_to_timm(image: Image.Image, **config) -> None:
    ours, theirs = create_transform(**config)(image), timm.data.create_transform(**config)(image)
    assert ours.shape == theirs.shape and ours.dtype == theirs.dtype
    assert torch.equal(ours, theirs)


# --- Evaluation: parity ----------------------------------------------------------------------------

PHOTOS = [(451, 300), (300, 451), (640, 427), (100, 80), (81, 200), (225, 224), (224, 224), (227, 301),
          (10, 300), (1000, 10), (1, 1), (443, 381), (679, 511)]


@pytest.mark.parametrize("crop_mode", [None, "center", "squash", "border"])
@pytest.mark.parametrize("crop_pct", [None, 0.9, 0.965, 1.0, 1.3])
@pytest.mark.parametrize("input_size", [(3, 224, 224), (3, 224, 320), (3, 97, 61), (64, 96), 77], ids=str)
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_evaluation_equals_timm_for_photos_of_all_shapes(input_size, crop_mode, crop_pct, interpolation):
    for size in PHOTOS:
        if crop_mode == "border" and size == (1000, 10) and input_size in (77, (64, 96), (3, 97, 61)):
            continue  # timm fails on a photo that shrinks to less than a pixel; see the test below
        assert_equal_to_timm(photo(*size), input_size=input_size, crop_mode=crop_mode, crop_pct=crop_pct,
                             interpolation=interpolation, mean=MEAN, std=STD)


@pytest.mark.parametrize("interpolation", ["nearest", "lanczos", "box", "hamming"])
@pytest.mark.parametrize("crop_mode", ["center", "squash", "border"])
def test_evaluation_equals_timm_for_rarer_interpolations(interpolation, crop_mode):
    assert_equal_to_timm(photo(451, 300), input_size=(3, 128, 160), interpolation=interpolation,
                         crop_mode=crop_mode)


def test_evaluation_equals_timm_with_nothing_but_defaults():
    assert_equal_to_timm(photo(451, 300))


def test_evaluation_equals_timm_without_normalisation():
    assert_equal_to_timm(photo(451, 300), input_size=64, normalize=False)


def test_evaluation_equals_timm_for_a_grey_photo_and_a_grey_model():
    assert_equal_to_timm(photo(40, 30, "L"), input_size=(1, 28, 28), mean=(0.5,), std=(0.5,))


@pytest.mark.parametrize("crop_mode", ["center", "border"])
def test_a_random_sweep_of_sizes_rounds_as_timm_does(crop_mode):
    rng = np.random.default_rng(0)
    for _ in range(150):
        width, height, tall, wide = rng.integers([8, 8, 16, 16], [300, 300, 120, 120]).tolist()
        assert_equal_to_timm(photo(width, height), input_size=(3, tall, wide), crop_mode=crop_mode,
                             crop_pct=float(rng.uniform(0.7, 1.2)), mean=MEAN, std=STD)


@pytest.mark.parametrize("name", ["resnet50.a1_in1k", "vit_base_patch16_224.augreg2_in21k_ft_in1k",
                                  "tf_efficientnet_lite0.in1k", "eva02_base_patch14_448.mim_in22k_ft_in1k",
                                  "vgg16.tv_in1k", "efficientnet_b4.ra2_in1k"])
@pytest.mark.parametrize("use_test_size", [False, True])
def test_published_configs_give_timms_tensor(name, use_test_size):
    facts = timm.get_pretrained_cfg(name).to_dict()
    ours = resolve_data_config({}, pretrained_cfg=facts, use_test_size=use_test_size)
    assert ours == timm.data.resolve_data_config({}, pretrained_cfg=facts, use_test_size=use_test_size)
    assert_equal_to_timm(photo(640, 427), **ours)


# --- Where timm fails ------------------------------------------------------------------------------


def test_a_photo_that_would_shrink_to_less_than_a_pixel_keeps_one():
    config = {"input_size": 77, "crop_mode": "border", "crop_pct": 1.0}
    with pytest.raises(ValueError):
        timm.data.create_transform(**config)(photo(1000, 2))
    assert create_transform(**config)(photo(1000, 2)).shape == (3, 77, 77)


def test_an_rgb_photo_becomes_grey_for_a_model_with_one_channel():
    assert create_transform((1, 28, 28), mean=(0.5,), std=(0.5,))(photo(40, 30)).shape == (1, 28, 28)


def test_an_endless_photo_is_refused_instead_of_filling_the_memory():
    with pytest.raises(ImageError, match="cut out the part"):
        create_transform(224)(Image.new("RGB", (200_000, 2)))


@pytest.mark.parametrize("options, clue", [
    ({"interpolation": "cubic"}, "bicubic"),
    ({"interpolation": "random"}, "bicubic"),
    ({"crop_mode": "corner"}, "squash"),
    ({"crop_pct": -1}, "above 0"),
    ({"mean": (0.5, 0.5)}, "mean has 2 values"),
    ({"is_training": True, "input_size": (5, 32, 32), "mean": (0.0,) * 5, "std": (1.0,) * 5}, "not 5"),
    ({"input_size": (0, 32)}, "height, width"),
    ({"is_training": True, "interpolation": "cubic"}, "bicubic"),
    ({"is_training": True, "color_jitter": (0.1, 0.2)}, "1, 3 or 4"),
])
def test_a_value_that_is_not_known_is_refused_with_those_that_are(options, clue):
    with pytest.raises(ValueError, match=clue):
        create_transform(**{"input_size": (3, 32, 32), **options})


def test_the_transform_says_what_it_does():
    text = repr(create_transform(224, interpolation="bicubic"))
    assert "Resize(256, fit='short', interpolation='bicubic')" in text
    assert "CenterCrop((224, 224))" in text and "Normalize(mean=(0.485, 0.456, 0.406)" in text


# --- Training --------------------------------------------------------------------------------------


def parts(transform) -> dict[str, object]:
    return {type(part).__name__: part for part in transform.transforms}


def test_training_has_timms_default_steps_with_timms_numbers():
    ours = parts(create_transform((3, 96, 128), True))
    theirs = parts(timm.data.create_transform((3, 96, 128), True))
    crop, their_crop = ours["RandomResizedCrop"], theirs["RandomResizedCropAndInterpolation"]
    assert tuple(crop.size) == tuple(their_crop.size) == (96, 128)
    assert tuple(crop.scale) == tuple(their_crop.scale) and tuple(crop.ratio) == tuple(their_crop.ratio)
    assert crop.interpolation.value == "bilinear"
    assert ours["RandomHorizontalFlip"].p == theirs["RandomHorizontalFlip"].p
    for name in ("brightness", "contrast", "saturation", "hue"):
        assert getattr(ours["ColorJitter"], name) == getattr(theirs["ColorJitter"], name)
    assert list(ours)[-2:] == ["ToTensor", "Normalize"]


def test_training_gives_another_tensor_each_time_and_the_same_from_the_same_seed():
    transform, image = create_transform((3, 32, 32), True), photo(100, 80)
    torch.manual_seed(0)
    first, second = transform(image), transform(image)
    torch.manual_seed(0)
    assert not torch.equal(first, second) and torch.equal(first, transform(image))


def test_the_random_crop_covers_the_same_shares_as_timms():
    import random

    def shares(transform) -> np.ndarray:
        # Red counts columns, green rows: the mean tells where the crop lies, the spread how large it is.
        x, y = np.meshgrid(np.arange(200), np.arange(200))
        image = Image.fromarray(np.stack([x, y, 0 * x], axis=2).astype(np.uint8))
        crops = torch.stack([transform(image)[:2] for _ in range(1500)])
        return np.concatenate([crops.mean((0, 2, 3)), crops.std((2, 3)).mean(0), crops.std((2, 3)).std(0)])

    torch.manual_seed(0)
    random.seed(0)
    options = {"input_size": 16, "is_training": True, "color_jitter": None, "hflip": 0.0,
               "mean": (0.0,) * 3, "std": (1.0,) * 3}
    ours, theirs = create_transform(**options), timm.data.create_transform(**options)
    np.testing.assert_allclose(shares(ours), shares(theirs), rtol=0.06)


def test_the_options_of_training_are_obeyed():
    found = parts(create_transform(
        (3, 32, 32), True, scale=(0.5, 1), ratio=(1, 1), hflip=0, vflip=0.3,
        color_jitter=(0.1, 0.2, 0.3, 0.4), grayscale_prob=0.1, re_prob=0.25))
    assert tuple(found["RandomResizedCrop"].scale) == (0.5, 1)
    assert "RandomHorizontalFlip" not in found and found["RandomVerticalFlip"].p == 0.3
    assert found["ColorJitter"].hue == (-0.4, 0.4)
    assert found["RandomGrayscale"].p == 0.1 and found["RandomErasing"].p == 0.25


def test_jitter_and_blur_can_be_made_rare():
    steps = create_transform(32, True, color_jitter_prob=0.8, gaussian_blur_prob=0.1).transforms
    assert [step.p for step in steps if isinstance(step, T.RandomApply)] == [0.8, 0.1]


def test_random_interpolation_draws_from_two():
    choice = parts(create_transform(32, True, interpolation="random"))["RandomChoice"]
    assert [crop.interpolation.value for crop in choice.transforms] == ["bilinear", "bicubic"]


def test_training_without_augmentation_equals_timm():
    assert_equal_to_timm(photo(100, 80), input_size=(3, 32, 48), is_training=True, no_aug=True)


# --- The config ------------------------------------------------------------------------------------

FACTS = {"input_size": (3, 192, 192), "test_input_size": (3, 256, 256), "interpolation": "bilinear",
         "crop_pct": 0.9, "test_crop_pct": 1.0, "crop_mode": "squash", "mean": MEAN, "std": STD}


@pytest.mark.parametrize("args", [
    {}, {"img_size": 100}, {"input_size": [3, 50, 60]}, {"interpolation": "lanczos"}, {"mean": [0.5]},
    {"mean": (0.1, 0.2, 0.3), "std": [0.1, 0.1, 0.1]}, {"crop_pct": 0.5, "crop_mode": "border"},
    {"in_chans": 1, "img_size": 28, "mean": [0.5], "std": [0.5]}, {"mean": None, "img_size": None},
], ids=str)
@pytest.mark.parametrize("facts", [FACTS, {"crop_pct": 0.8}], ids=["full", "sparse"])
@pytest.mark.parametrize("use_test_size", [False, True])
def test_a_config_is_resolved_as_timm_does(args, facts, use_test_size):
    expected = timm.data.resolve_data_config(args, pretrained_cfg=facts, use_test_size=use_test_size)
    assert resolve_data_config(args, pretrained_cfg=facts, use_test_size=use_test_size) == expected


def test_the_models_own_config_is_used():
    model = timm.create_model("resnet18", pretrained=False)
    assert resolve_data_config({}, model=model) == timm.data.resolve_data_config({}, model=model)


def test_a_config_may_be_a_dataclass_and_hold_lists():
    @dataclass
    class Facts:
        input_size: list
        crop_pct: float = 0.7

    config = resolve_data_config(pretrained_cfg=Facts([3, 10, 20]))
    assert config["input_size"] == (3, 10, 20) and config["crop_pct"] == 0.7


@pytest.mark.parametrize("args, in_chans", [({}, 1), ({"in_chans": 1}, 3), ({"img_size": 64}, 1)])
def test_a_grey_twin_of_an_rgb_model_gets_a_config_that_works(args, in_chans):
    config = resolve_data_config(args, model=SimpleNamespace(pretrained_cfg=FACTS, in_chans=in_chans))
    assert config["mean"] == pytest.approx((sum(MEAN) / 3,))
    assert config["std"] == pytest.approx((sum(STD) / 3,))
    assert create_transform(**config)(photo(40, 30)).shape[0] == 1


def test_nothing_to_go_by_is_an_error():
    with pytest.raises(ValueError, match="at least one"):
        resolve_data_config()


def test_numbers_that_contradict_each_other_are_an_error():
    with pytest.raises(ValueError, match="mean has 2 values"):
        resolve_data_config({"mean": (0.1, 0.2)})


def test_an_input_size_without_channels_is_an_error():
    with pytest.raises(ValueError, match="channels, height, width"):
        resolve_data_config({"input_size": (224, 224)})


def test_verbose_logs_the_config(caplog):
    with caplog.at_level(logging.INFO, "explorer"):
        resolve_data_config({"img_size": 32}, verbose=True)
    assert "(3, 32, 32)" in caplog.text


# --- Showing it ------------------------------------------------------------------------------------

CONFIG = {"input_size": (3, 64, 64), "interpolation": "bicubic", "mean": MEAN, "std": STD, "crop_pct": 0.8,
          "crop_mode": "center"}


def test_the_steps_tell_the_walk_of_a_photo():
    steps = preprocessing_steps(photo(160, 100), CONFIG)
    assert [step.name for step in steps] == ["photo", "resize", "crop", "tensor", "normalise"]
    assert [step.shape for step in steps[:3]] == [(100, 160, 3), (80, 128, 3), (64, 64, 3)]
    assert [step.shape for step in steps[3:]] == [(3, 64, 64), (3, 64, 64)]
    assert steps[1].sentence == "resize the short side to 80, bicubic"
    assert steps[2].sentence == "cut 64 x 64 from the middle"


def test_the_value_ranges_are_those_of_the_tensor():
    steps, tensor = preprocessing_steps(photo(160, 100), CONFIG), create_transform(**CONFIG)(photo(160, 100))
    assert steps[-1].value_range == (tensor.min().item(), tensor.max().item())
    assert steps[-2].value_range[0] >= 0 and steps[-2].value_range[1] <= 1
    assert 0 <= steps[0].value_range[0] < steps[0].value_range[1] <= 255


def test_the_network_view_is_the_tensor_before_normalisation():
    view = T.Normalize(MEAN, STD)(T.ToTensor()(network_view(photo(160, 100), CONFIG)))
    assert torch.equal(view, create_transform(**CONFIG)(photo(160, 100)))


@pytest.mark.parametrize("changes, sentences", [
    ({"crop_mode": "squash"}, ["squash to 80 x 80, bicubic", "cut 64 x 64 from the middle"]),
    ({"crop_mode": "border", "crop_pct": 1.0},
     ["resize to 64 x 40, the whole photo, bicubic", "put the middle on a canvas of 64 x 64, with a border"]),
    ({"input_size": (3, 64, 96), "crop_pct": 1.0},
     ["resize to 102 x 64, large enough for the crop, bicubic", "cut 96 x 64 from the middle"]),
])
def test_each_crop_mode_is_told_in_its_own_words(changes, sentences):
    steps = preprocessing_steps(photo(160, 100), CONFIG | changes)
    assert [step.sentence for step in steps[1:3]] == sentences


def test_a_grey_model_has_a_step_that_makes_the_photo_grey():
    config = CONFIG | {"input_size": (1, 64, 64), "mean": (0.5,), "std": (0.5,)}
    steps = preprocessing_steps(photo(160, 100), config)
    assert steps[1].name == "grey" and steps[1].shape == (100, 160, 1)


def test_a_step_shows_itself_in_one_line():
    text = repr(preprocessing_steps(photo(160, 100), CONFIG)[1])
    assert "'resize'" in text and "80 x 128 x 3" in text and "\n" not in text


@pytest.mark.parametrize("changes", [
    {}, {"crop_pct": 1.0}, {"crop_pct": 1.4}, {"crop_mode": "squash"},
    {"crop_mode": "squash", "crop_pct": 1.25}, {"crop_mode": "border"},
    {"crop_mode": "border", "crop_pct": 1.0}, {"input_size": (3, 48, 80)},
    {"input_size": (3, 80, 48), "crop_mode": "border"},
], ids=str)
@pytest.mark.parametrize("size", [(240, 150), (150, 240), (60, 50)])
def test_the_crop_box_lies_where_the_network_looks(changes, size):
    # The photo's red tells the column and its green the row: where the network sees the photo, it must see
    # the column and the row that the box promises.
    config = CONFIG | {"interpolation": "bilinear"} | changes
    width, height = size
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    image = Image.fromarray(np.stack([x, y, 255 + 0 * x], axis=2).astype(np.uint8))
    seen = np.asarray(network_view(image, config)).astype(float)  # [h, w, 3]
    left, top, right, bottom = crop_box(size, config)
    rows, columns = seen.shape[:2]
    # The centre of pixel i of n lies at (i + 0.5) / n of the box; the photo's own pixel x has it at x + 0.5.
    expected_x = left + (np.arange(columns) + 0.5) / columns * (right - left) - 0.5
    expected_y = top + (np.arange(rows) + 0.5) / rows * (bottom - top) - 0.5
    inside_x = (expected_x > 3) & (expected_x < width - 4)
    inside_y = (expected_y > 3) & (expected_y < height - 4)
    assert inside_x.any() and inside_y.any()
    block = seen[inside_y][:, inside_x]
    np.testing.assert_allclose(block[:, :, 0] - expected_x[inside_x][None, :], 0, atol=1.01)
    np.testing.assert_allclose(block[:, :, 1] - expected_y[inside_y][:, None], 0, atol=1.01)
    outside = (expected_x < -1) | (expected_x > width)
    assert (seen[:, outside, 2] < 255).all()  # the border is not the photo


def test_the_crop_box_of_a_squashed_photo_is_the_whole_photo():
    assert crop_box((300, 200), CONFIG | {"crop_mode": "squash", "crop_pct": 1.0}) == (0, 0, 300, 200)


def test_the_crop_box_of_a_bordered_photo_reaches_outside():
    left, top, right, bottom = crop_box((300, 100), CONFIG | {"crop_mode": "border", "crop_pct": 1.0})
    assert (left, right) == (0, 300) and top < -90 and bottom > 190


def test_timms_other_name_gives_the_same_config():
    from explorer.data import resolve_model_data_config
    from explorer.models import create_model

    model = create_model("resnet10t")
    assert resolve_model_data_config(model) == resolve_data_config({}, model=model)
    assert resolve_model_data_config(model, use_test_size=True)["input_size"] == (3, 224, 224)
