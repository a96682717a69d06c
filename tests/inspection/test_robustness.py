"""Curves and flips are held against the same perturbation done by hand, and against a model whose flip is
known.
"""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image, ImageFilter
from torch import nn

import explorer
from explorer.inspection.experiments.flips import find_flip
from explorer.inspection.experiments.robustness_curves import robustness
from explorer.inspection.experiments.spoiling import KINDS, perturb
from explorer.inspection.look.looking import look
from tests.html import parse
from tests.inspection.small_models import red_and_blue, told
from tests.inspection.test_perturb import tiny


@pytest.fixture(scope="module")
def model():
    return tiny()


class Bright(nn.Module):
    """Class "light" where the mean of the photo's values is above 0.3, else "dark"."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Conv2d(3, 1, 1)  # a network has a layer

    def forward(self, x):
        mean = x.mean((1, 2, 3))
        return torch.stack([mean - 0.3, 0.3 - mean], 1) * 50


@pytest.fixture(scope="module")
def bright():
    return explorer.wrap(
        Bright(), labels=("light", "dark"), input_size=(3, 16, 16), mean=(0, 0, 0), std=(1, 1, 1)
    ).eval()


@pytest.fixture(scope="module")
def grey() -> Image.Image:
    return Image.new("RGB", (40, 32), (204, 204, 204))  # 0.8


# --- the perturbations --------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_keeps_the_size_and_its_start_changes_nothing(photo, kind):
    known = KINDS[kind]
    original = np.array(photo)
    for value in (known.values[1], known.values[-1]):
        spoilt = perturb(photo, kind, value)
        assert spoilt.size == photo.size and spoilt.mode == "RGB" and (np.array(spoilt) != original).any()
    if kind != "jpeg":  # quality 100 is still not lossless
        assert (np.array(perturb(photo, kind, known.start)) == original).all()
    assert (np.array(photo) == original).all()


def test_rotation_is_counter_clockwise_about_the_middle(photo):
    square = photo.crop((0, 0, 260, 260))
    assert (np.array(perturb(square, "rotate", 90)) == np.rot90(np.array(square))).all()


def test_blur_is_pillows_and_brightness_a_factor(photo):
    assert perturb(photo, "blur", 2.5).tobytes() == photo.filter(ImageFilter.GaussianBlur(2.5)).tobytes()
    darker = np.array(perturb(photo, "brightness", 0.5)).astype(float)
    assert np.abs(darker - 0.5 * np.array(photo)).max() <= 1


def test_noise_has_the_stated_spread_and_a_seed(grey):
    def noise(std, seed):
        return np.array(perturb(grey.resize((300, 300)), "noise", std, seed=seed)).astype(float) - 204

    assert noise(0.02, 0).std() / 255 == pytest.approx(0.02, rel=0.03)
    assert (noise(0.05, 1) == noise(0.05, 1)).all() and (noise(0.05, 1) != noise(0.05, 2)).any()
    weak, strong = noise(0.02, 3), noise(0.04, 3)
    assert np.abs(strong - 2 * weak).max() <= 1.5  # the same draw, only stronger (and rounded)


def test_dropped_pixels_have_the_stated_share_and_stay_dropped(grey):
    few, many = (
        np.array(perturb(grey.resize((200, 200)), "drop", share))[..., 0] == 0 for share in (0.1, 0.3)
    )
    assert few.mean() == pytest.approx(0.1, abs=0.01) and many.mean() == pytest.approx(0.3, abs=0.01)
    assert many[few].all()


def test_jpeg_is_what_a_file_of_that_quality_holds(photo):
    buffer = io.BytesIO()
    photo.save(buffer, "JPEG", quality=7)
    assert (np.array(perturb(photo, "jpeg", 7)) == np.array(Image.open(buffer))).all()


@pytest.mark.parametrize("kind, value", [
    ("jpeg", 0), ("jpeg", 50.5), ("blur", -1), ("drop", 1.1), ("rotate", float("nan")), ("noise", "much"),
    ("noise", True),
])
def test_a_value_outside_its_limits_is_refused(photo, model, kind, value):
    with pytest.raises(ValueError, match=f"{kind} by .*expected a"):
        perturb(photo, kind, value)
    with pytest.raises(ValueError, match="expected a"):
        robustness(model, photo, kind, values=(value,))


def test_an_unknown_kind_is_refused(photo, model):
    with pytest.raises(ValueError, match="expected one of rotate, blur"):
        robustness(model, photo, "fog")


# --- the curve ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["rotate", "noise", "jpeg"])
def test_a_curve_equals_looking_at_each_spoilt_photo(model, photo, kind):
    seen = look(model, photo)
    values = KINDS[kind].values[1:4]
    curve = robustness(model, photo, kind, values=values, seed=5, look=seen)
    assert curve.values == tuple(map(float, values)) and curve.reference == seen.predictions[0]
    for point in curve.points:
        by_hand = look(model, perturb(photo, kind, point.value, seed=5))
        best = by_hand.predictions[0]  # of a look through a faster copy, which answers to rounding
        assert (point.best.index, point.best.label) == (best.index, best.label)
        assert point.best.logit == pytest.approx(best.logit, rel=1e-4)
        assert point.probability == pytest.approx(float(by_hand.logits.softmax(0)[seen.predictions[0].index]))
        assert point.flipped == (by_hand.predictions[0].index != seen.predictions[0].index)


def test_values_may_be_numpys(model, photo):
    assert robustness(model, photo, "blur", values=np.linspace(0, 2, 3)).values == (0, 1, 2)


def test_the_usual_blur_grows_with_the_photo(model, photo):
    radii = KINDS["blur"].scan(photo), KINDS["blur"].scan(photo.resize((600, 520)))
    assert radii[1] == pytest.approx([2 * radius for radius in radii[0]], rel=0.01)
    assert KINDS["noise"].scan(photo) == KINDS["noise"].values


def test_a_large_photo_comes_with_a_note_where_single_pixels_are_spoilt(model, photo):
    large = photo.resize((900, 780))  # the network sees 24 x 24
    assert any("smaller" in note for note in robustness(model, large, "noise", values=(0.1,)).notes)
    assert not any("smaller" in note for note in robustness(model, large, "rotate", values=(5,)).notes)


def test_progress_is_told_and_a_stop_keeps_what_is_done(model, photo):
    told = []
    curve = robustness(model, photo, "rotate", values=(0, 5, 10, 15), on_progress=lambda *n: told.append(n),
                       should_stop=lambda: len(told) == 2)
    assert told == [(1, 4), (2, 4)] and curve.values == (0, 5) and curve.stopped
    assert robustness(model, photo, "rotate", values=(0,), should_stop=lambda: False).stopped is False


def test_flags_stay_as_they_were(photo):
    model = tiny().train()
    robustness(model, photo, "blur", values=(1,))
    assert all(part.training for part in model.modules())


# --- the flip -----------------------------------------------------------------------------------------------


def test_the_flip_is_narrowed_down_to_where_it_really_is(bright, grey):
    flip = find_flip(bright, grey, "brightness", values=(1, 0.8, 0.2))  # 0.8 * factor crosses 0.3 at 0.375
    assert flip.found and flip.first_other.value < 0.375 <= flip.last_same + 0.003  # 8-bit pixels round
    assert 0 < flip.last_same - flip.first_other.value <= KINDS["brightness"].step
    assert flip.first_other.best.label == "dark" and "not tried" in flip.sentence


def test_a_flip_in_front_of_the_first_value_is_searched_from_nothing(bright, grey):
    flip = find_flip(bright, grey, "brightness", values=(0.1,), step=0.01)
    assert flip.first_other.value == pytest.approx(0.375, abs=0.015)


class Fine(nn.Module):
    """Class "fine" where neighbouring pixels differ by more than 0.05 on average, else "flat"."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Conv2d(3, 1, 1)

    def forward(self, x):
        difference = (x[..., 1:] - x[..., :-1]).abs().mean((1, 2, 3))
        return torch.stack([difference - 0.05, 0.05 - difference], 1)


def test_whole_numbers_are_narrowed_down_to_one():
    fine = explorer.wrap(
        Fine(), labels=("fine", "flat"), input_size=(3, 64, 64), mean=(0, 0, 0), std=(1, 1, 1)
    ).eval()
    speckled = np.random.default_rng(0).integers(0, 2, (64, 64, 1)) * 40 + np.full((64, 64, 3), 100)
    photo = Image.fromarray(speckled.astype(np.uint8))
    flip = find_flip(fine, photo, "jpeg", values=(100, 1))  # quality 1 wipes all of it away
    same, other = int(flip.last_same), int(flip.first_other.value)
    assert 1 < other < same < 100 and same - other == 1
    assert [look(fine, perturb(photo, "jpeg", q)).predictions[0].label for q in (same, other)] == [
        "fine",
        "flat",
    ]


def test_nothing_found_is_said_and_not_made_up(bright, grey):
    flip = find_flip(bright, grey, "rotate", values=(0, 45))
    assert not flip.found and flip.last_same is None and "no value of this scan" in flip.sentence


def test_a_given_scan_is_not_run_again(bright, grey):
    curve = robustness(bright, grey, "brightness", values=(1, 0.8, 0.2))
    calls = []
    handle = bright.module.register_forward_hook(lambda *_: calls.append(1))
    flip = find_flip(bright, grey, "brightness", curve=curve, step=0.1, look=look(bright, grey))
    handle.remove()
    assert len(calls) == 1 + flip.passes - 3 == 4  # the look, and three halvings of 0.6


def test_a_scan_of_another_kind_or_a_senseless_step_is_refused(bright, grey):
    curve = robustness(bright, grey, "rotate", values=(0,))
    with pytest.raises(ValueError, match="about rotate, not blur"):
        find_flip(bright, grey, "blur", curve=curve)
    with pytest.raises(ValueError, match="above zero"):
        find_flip(bright, grey, "blur", step=0)
    with pytest.raises(ValueError, match="above zero"):
        find_flip(bright, grey, "blur", step=float("inf"))


def test_the_search_tells_its_progress_and_stops(bright, grey):
    told = []
    flip = find_flip(
        bright,
        grey,
        "brightness",
        values=(1, 0.2),
        step=0.001,
        on_progress=lambda *n: told.append(n),
        should_stop=lambda: len(told) >= 4,
    )
    assert told[:2] == [(1, 2), (2, 2)] and told[2:] == [(3, 12), (4, 12)]
    assert flip.found and flip.passes == 4


def test_curve_and_flip_show_themselves(grey):
    hostile = explorer.wrap(
        Bright(), labels=("<b>light", "<b>dark"), input_size=(3, 16, 16), mean=(0, 0, 0), std=(1, 1, 1)
    )
    flip = find_flip(hostile, grey, "brightness", values=(1, 0.2))
    for shown in (flip, flip.curve):
        page = parse(shown._repr_html_())
        assert "<b>light" in page.text and "<b>dark" in page.text
        assert not any(bold.text in ("light", "dark") for bold in page.find_all("b"))
    assert "RobustnessCurve" in repr(flip.curve) and "dark" in repr(flip)


# --- what the scores mean -----------------------------------------------------------------------------------


def test_of_several_classes_the_flip_is_that_of_the_likeliest():
    model = told("several", ("red", "blue"))
    with torch.no_grad():
        model.fc.bias.copy_(torch.tensor([-0.1, -0.12]))  # red is a yes until it is darkened
    flip = find_flip(model, red_and_blue(), "brightness", values=(1, 0.8, 0.4))
    assert flip.found and flip.curve.reference.label == "red" and flip.first_other.best.label == "not red"
    assert "'red'" in flip.sentence and "'not red'" in flip.sentence
    assert flip.curve.probabilities[0] > 0.5 > flip.curve.probabilities[-1]


def test_a_yes_flips_to_a_no():
    model = told("yes/no", ("not red", "red"))
    with torch.no_grad():
        model.fc.bias.fill_(-0.1)
    flip = find_flip(model, red_and_blue(), "brightness", values=(1, 0.8, 0.4))
    assert (flip.curve.reference.label, flip.first_other.best.label) == ("red", "not red")


def test_numbers_have_a_curve_and_no_flip():
    model = told("numbers", ("redness",), number_mean=(50.0,), number_std=(10.0,))
    curve = robustness(model, red_and_blue(), "brightness", values=(1, 0.8, 0.4))
    assert curve.numbers[0] > curve.numbers[-1] and curve.first_flip is None
    assert all(p != p for p in curve.probabilities)
    page = parse(curve._repr_html_())
    assert page.find("table").rows() == [["brightness", "redness"],
                                         *([f"{p.value:g}", p.best.text] for p in curve.points)]
    assert "%" not in page.text and f"from {curve.points[0].best.text}" in repr(curve)
    with pytest.raises(ValueError, match="no answer that could flip"):
        find_flip(model, red_and_blue(), "brightness")
