"""Occlusion is captum's, says its cost, shows its progress and keeps what is done."""

from __future__ import annotations

import pytest
import torch
from PIL import Image

import explorer
from explorer.inspection.attribution.explaining import explain
from explorer.inspection.attribution.methods import METHODS
from explorer.inspection.attribution.occlusion import places
from explorer.inspection.look.looking import look
from explorer.inspection.look.passes import Stopped
from tests.inspection.small_models import noise_photo, tiny
from tests.models.oracle import relative_error

captum = pytest.importorskip("captum.attr")
PHOTO = noise_photo()


@pytest.fixture(scope="module")
def model():
    return tiny("resnet")


@pytest.mark.parametrize(("window", "stride"), [(16, 16), (16, 8), (32, 16)])
def test_the_fall_of_the_score_is_captums(model, window, stride):
    found = explain(model, PHOTO, method="occlusion", target=3, window=window, stride=stride, batch_size=7)
    wanted = captum.Occlusion(model).attribute(
        look(model, PHOTO).input[None], (3, window, window), (3, stride, stride), baselines=0, target=3)[0, 0]
    assert found.raw.shape == (64, 64) and relative_error(found.raw, wanted.float()) < 1e-4


def test_the_last_square_reaches_the_end():
    assert places(10, 4, 3) == [0, 3, 6] and places(11, 4, 3) == [0, 3, 6, 7] and places(4, 4, 2) == [0]


def test_the_cost_is_known_before_it_starts(model):
    method = METHODS["occlusion"]
    found = explain(model, PHOTO, method="occlusion", window=16, stride=16)
    assert method.passes(model, window=16, stride=16) == 2 + 16 == found.passes
    words = method.cost(model, window=16, stride=16, seconds_per_pass=0.5)
    assert words == "18 passes, about 9 s"


def test_progress_is_told_and_a_stop_keeps_the_squares_that_are_done(model):
    steps = []
    found = explain(model, PHOTO, method="occlusion", target=3, window=16, stride=16, batch_size=4,
                    fill="black",
                    on_progress=lambda *step: steps.append(step), should_stop=lambda: len(steps) >= 4)
    assert steps == [(0, 17), (1, 17), (5, 17), (9, 17)]
    assert "Stopped early: 8 of 16 squares were covered" in found.notes[0]
    whole = explain(
        model, PHOTO, method="occlusion", target=3, window=16, stride=16, batch_size=4, fill="black"
    )
    assert torch.equal(found.raw[:32], whole.raw[:32]) and not found.raw[32:].any() and whole.raw[32:].any()
    with pytest.raises(Stopped, match="before the first square"):
        explain(model, PHOTO, method="occlusion", target=3, should_stop=lambda: True)


@pytest.mark.parametrize(("options", "words"), [
    ({"window": 0}, "window is 0: expected pixels of the network's input, a whole number from 1 to 64"),
    ({"window": 65}, "window is 65"),
    ({"window": 8, "stride": 9}, "stride is 9.*from 1 to 8, so that squares leave no gap"),
    ({"window": 8.0}, "window is 8.0"),
], ids=str)
def test_windows_that_make_no_sense_are_refused(model, options, words):
    with pytest.raises(ValueError, match=words):
        explain(model, PHOTO, method="occlusion", **options)


def test_each_batch_is_told_with_its_squares_in_the_photo_and_the_map_so_far():
    torch.manual_seed(0)
    model = explorer.wrap(explorer.create_model("resnet10t", num_classes=4).eval(), input_size=(3, 64, 64))
    photo = Image.effect_noise((100, 80), 80).convert("RGB")
    steps = []
    found = explorer.explain(model, photo, method="occlusion", window=16, stride=16, batch_size=5,
                             on_step=steps.append)
    assert [len(step.squares) for step in steps] == [5, 5, 5, 1]
    assert all(len(step.scores) == len(step.squares) for step in steps)
    assert len({step.score for step in steps}) == 1
    left, top, right, bottom = found.seen_box
    assert steps[0].squares[0][:2] == pytest.approx((left, top))
    assert steps[-1].squares[-1][2:] == pytest.approx((right, bottom))
    assert torch.equal(steps[-1].heat, found.heatmap)
    assert not torch.equal(steps[0].heat, found.heatmap)
    fallen = [step.score - score for step in steps for score in step.scores]
    by_place = found.raw[::16, ::16].flatten()  # one square covers each
    assert torch.allclose(by_place, torch.tensor(fallen), atol=1e-6)
