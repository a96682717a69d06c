"""A masked region, a step of FGSM: held against the same done by hand; the model is left as it was."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image, ImageFilter
from torch import nn
from torch.nn import functional as F

import explorer
from explorer.inspection.experiments.adversarial import fgsm, fgsm_sweep
from explorer.inspection.experiments.masking import mask_region, masked_photo
from explorer.inspection.look.looking import look
from explorer.inspection.look.result import Look
from tests.html import parse
from tests.inspection.small_models import red_and_blue, told
from tests.models.oracle import randomise, relative_error

LABELS = ("red fox", "grey fox", "tench", "cock", "hen")


def tiny(in_chans: int = 3, **options):
    """A small convolutional network with random weights for photos of 24 x 24, five classes."""
    net = nn.Sequential(nn.Conv2d(in_chans, 6, 3, 2, 1), nn.BatchNorm2d(6), nn.ReLU(inplace=True),
                        nn.Conv2d(6, 8, 3, 2, 1), nn.Tanh(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
                        nn.Dropout(), nn.Linear(8, 5))
    randomise(net)
    return explorer.wrap(net, labels=LABELS, input_size=(in_chans, 24, 24), **options).eval()


@pytest.fixture(scope="module")
def model():
    return tiny()


@pytest.fixture(scope="module")
def seen(model, photo) -> Look:
    return look(model, photo)


# --- masking ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fill", ["blur", "grey", "mean"])
def test_only_the_region_changes_and_after_is_a_look_at_that_photo(model, photo, seen, fill):
    masked = mask_region(model, photo, (100, 60, 180, 200), fill=fill, look=seen)
    before, after = np.array(photo), np.array(masked.picture)
    inside = np.zeros(before.shape[:2], bool)
    inside[60:200, 100:180] = True
    assert (before[~inside] == after[~inside]).all() and (before[inside] != after[inside]).any()
    by_hand = look(model, masked.picture)
    # one of the two looks may go through a faster copy, which answers to rounding
    assert torch.allclose(masked.after.logits, by_hand.logits, rtol=1e-5, atol=1e-5)
    assert masked.before is seen


def test_the_fills_are_what_they_say(photo):
    box = (100, 60, 180, 200)
    crops = {fill: np.array(masked_photo(photo, box, fill).crop(box)) for fill in ("blur", "grey", "mean")}
    assert (crops["grey"] == 128).all()
    assert (crops["mean"] == np.rint(np.array(photo).mean((0, 1)))).all()
    whole = photo.filter(ImageFilter.GaussianBlur(140 / 6)).crop(
        box
    )  # of the whole photo, not only around the box
    assert np.abs(np.array(whole).astype(int) - crops["blur"]).max() <= 2


def test_probabilities_before_and_after_are_of_the_same_classes(model, photo, seen):
    masked = mask_region(model, photo, (0, 0, 300, 260), fill="grey", look=seen)
    assert [c.index for c in masked.changes][:len(seen.predictions)] == [p.index for p in seen.predictions]
    for change in masked.changes:
        assert change.before == pytest.approx(float(F.softmax(masked.before.logits, 0)[change.index]))
        assert change.after == pytest.approx(float(F.softmax(masked.after.logits, 0)[change.index]))
        assert change.label == LABELS[change.index]


def test_a_box_that_reaches_over_the_edge_is_cut_and_a_tiny_one_has_a_pixel(model, photo):
    assert mask_region(model, photo, (-50, 250.4, 20, 900)).box == (0, 250, 20, 260)
    assert mask_region(model, photo, (299.9, 259.9, 299.95, 259.95)).box == (299, 259, 300, 260)


def test_a_region_that_the_network_never_sees_is_said(model, photo):
    assert mask_region(model, photo, (0, 0, 10, 260)).notes  # 300 x 260: 20 pixels are cut off on the left
    assert not mask_region(model, photo, (0, 0, 30, 260)).notes


@pytest.mark.parametrize(
    "box", [(10, 10, 10, 20), (20, 10, 10, 20), (1, 2, 3), "left", None, (0, 0, float("nan"), 9)]
)
def test_what_is_no_box_is_refused(model, photo, box):
    with pytest.raises(ValueError, match=r"expected \(left, top, right, bottom\)"):
        mask_region(model, photo, box)


def test_a_box_outside_of_the_photo_is_refused(model, photo):
    with pytest.raises(ValueError, match="300 x 260"):
        mask_region(model, photo, (300, 0, 320, 20))


def test_an_unknown_fill_is_refused(model, photo):
    with pytest.raises(ValueError, match="'blur', 'grey' or 'mean'"):
        mask_region(model, photo, (0, 0, 9, 9), fill="gray")


def test_a_look_of_another_photo_or_model_is_refused(model, photo, seen, small_model):
    with pytest.raises(ValueError, match="another photo"):
        mask_region(model, photo.rotate(180), (0, 0, 9, 9), look=seen)
    with pytest.raises(ValueError, match="not of resnet18"):
        mask_region(small_model, photo, (0, 0, 9, 9), look=seen)


# --- FGSM ---------------------------------------------------------------------------------------------------


def direct_fgsm(model, seen: Look, epsilon: float, target: int, sign: int = 1) -> torch.Tensor:
    """Goodfellow's formula, on the picture that the network saw: perturbed values in 0..1, [1, C, H, W]."""
    mean, std = (torch.tensor(seen.config[key]).reshape(1, -1, 1, 1) for key in ("mean", "std"))
    pixels = torch.tensor(np.array(seen.seen), dtype=torch.float32)[None] / 255
    pixels = (pixels[..., None] if pixels.ndim == 3 else pixels).permute(0, 3, 1, 2).clone().requires_grad_()
    loss = F.cross_entropy(model((pixels - mean) / std), torch.tensor([target]))
    (gradient,) = torch.autograd.grad(loss, pixels)
    return (pixels + sign * epsilon * gradient.sign()).clamp(0, 1).detach()


@pytest.mark.parametrize("in_chans", [3, 1])
@pytest.mark.parametrize("target", [None, 3])
def test_fgsm_equals_the_formula_done_by_hand(photo, in_chans, target):
    model = tiny(in_chans, mean=(0.4, 0.5, 0.3)[:in_chans], std=(0.2, 0.3, 0.25)[:in_chans])
    seen = look(model, photo)
    result = fgsm(model, photo, epsilon=0.03, target=target)
    moved = direct_fgsm(model, seen, 0.03, seen.predictions[0].index if target is None else target)
    mean, std = (torch.tensor(seen.config[key]).reshape(1, -1, 1, 1) for key in ("mean", "std"))
    expected = (moved - mean) / std
    assert relative_error(result.input, expected[0]) < 1e-5
    with torch.no_grad():
        probabilities = model(expected)[0].softmax(0)
    assert [p.probability for p in result.after] == pytest.approx(
        probabilities.sort(descending=True)[0].tolist(), rel=1e-4
    )


def test_towards_a_class_steps_the_other_way(model, photo, seen):
    result = fgsm(model, photo, epsilon=0.02, towards="hen", look=seen)
    moved = direct_fgsm(model, seen, 0.02, 4, sign=-1)[0].permute(1, 2, 0)
    assert np.abs(np.array(result.picture) - 255 * moved.numpy()).max() < 0.51
    assert result.changes[0].index == 4 and result.changes[0].after > result.changes[0].before


def test_values_stay_within_0_and_1(model):
    white = Image.new("RGB", (24, 24), "white")
    result = fgsm(model, white, epsilon=0.1)
    moved = np.array(result.picture).astype(int)
    assert moved.max() == 255 and set(np.unique(moved)) <= {229, 230, 255}


def test_an_epsilon_may_be_numpys(model, photo, seen):
    assert torch.equal(fgsm(model, photo, epsilon=np.float32(0.25), look=seen).input,
                       fgsm(model, photo, epsilon=0.25, look=seen).input)


def test_an_epsilon_of_zero_changes_nothing(model, photo, seen):
    result = fgsm(model, photo, epsilon=0, look=seen)
    assert torch.equal(result.input, seen.input) and not result.fooled
    assert [p.index for p in result.after] == [p.index for p in result.before]
    assert set(np.unique(np.array(result.noise))) <= {127, 128}


def test_the_noise_picture_shows_up_down_and_grey(model, photo, seen):
    result = fgsm(model, photo, epsilon=8 / 255, look=seen)
    difference = np.array(result.picture).astype(int) - np.array(result.original)
    noise = np.array(result.noise)
    assert (noise[difference == 8] == 255).all() and (noise[difference == -8] == 0).all()
    assert (difference == 8).any() and (difference == -8).any()


def test_a_sweep_takes_one_gradient_and_equals_single_steps(model, photo, seen):
    backwards = []
    handle = model.register_full_backward_hook(lambda *_: backwards.append(1))
    sweep = fgsm_sweep(model, photo, epsilons=(0, 0.01, 0.1), look=seen)
    handle.remove()
    assert len(backwards) == 1 and [one.epsilon for one in sweep] == [0, 0.01, 0.1]
    assert torch.equal(sweep[2].input, fgsm(model, photo, epsilon=0.1, look=seen).input)
    fooled = [one for one in sweep if one.fooled]
    assert sweep.first_fooled is (fooled[0] if fooled else None)


def test_a_sweep_reports_and_stops(model, photo, seen):
    told = []
    sweep = fgsm_sweep(model, photo, epsilons=(0, 0.1, 0.2), look=seen, on_progress=lambda *n: told.append(n),
                       should_stop=lambda: len(told) == 2)
    assert len(sweep) == 2 and sweep.stopped and told == [(1, 3), (2, 3)]


def test_a_network_that_is_entirely_sure_still_gives_a_direction(photo):
    model = tiny()
    with torch.no_grad():
        model.module[-1].bias[2] = 500
    seen = look(model, photo)
    assert seen.predictions[0].probability == 1
    result = fgsm(model, photo, look=seen)
    changed = (result.input != seen.input).float().mean()
    assert changed > 0.9 and not result.notes[len(seen.notes):]


def test_a_gradient_of_zero_is_said(photo):
    model = tiny()
    with torch.no_grad():
        model.module[-1].weight.zero_()
    assert any("gradient is zero" in note for note in fgsm(model, photo).notes)


def test_the_model_is_left_as_it_was_also_in_training_and_within_inference_mode(photo):
    model = tiny().train()
    model.module[0].weight.requires_grad_(False)
    model.module[3].weight.grad = torch.ones_like(model.module[3].weight)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with torch.inference_mode():
        fgsm(model, photo)
    assert all(part.training for part in model.modules())
    assert [name for name, p in model.named_parameters() if not p.requires_grad] == ["module.0.weight"]
    assert [name for name, p in model.named_parameters() if p.grad is not None] == ["module.3.weight"]
    assert (model.module[3].weight.grad == 1).all()
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


@pytest.mark.parametrize("epsilon", [-0.1, 1.1, float("nan"), "2/255", True])
def test_an_epsilon_outside_0_to_1_is_refused(model, photo, epsilon):
    with pytest.raises(ValueError, match="expected a number in 0..1"):
        fgsm(model, photo, epsilon=epsilon)


def test_target_and_towards_at_once_are_refused(model, photo):
    with pytest.raises(ValueError, match="not both"):
        fgsm(model, photo, target=1, towards=2)


def test_a_model_without_classifier_is_refused(photo):
    model = explorer.create_model("resnet18", num_classes=0)
    with pytest.raises(ValueError, match="no classifier"):
        mask_region(model, photo, (0, 0, 9, 9))
    with pytest.raises(ValueError, match="0 classes"):
        fgsm(model, photo)


@pytest.mark.parametrize(
    "target, words", [("fox", "2 classes match"), ("zebra", "None of the 5"), (5, "0 to 4")]
)
def test_an_unclear_class_is_refused(model, photo, target, words):
    for option in ("target", "towards"):
        with pytest.raises(ValueError, match=words):
            fgsm(model, photo, **{option: target})


def test_a_look_from_before_the_model_was_trained_is_not_believed(photo):
    model = tiny()
    old = look(model, photo)
    with torch.no_grad():
        model.module[-1].bias += torch.tensor([0.0, 5, 0, 0, 0])
    masked = mask_region(model, photo, (0, 0, 99, 99), look=old)
    # one of the two looks may go through a faster copy, which answers to rounding
    assert torch.allclose(masked.before.logits, look(model, photo).logits, rtol=1e-5, atol=1e-5)


# --- how they show themselves -------------------------------------------------------------------------------


def test_results_show_themselves_with_escaped_names(photo):
    model = tiny()
    hostile = explorer.wrap(model.module, labels=["<script>", *LABELS[1:]], input_size=(3, 24, 24)).eval()
    shown = [mask_region(hostile, photo, (0, 0, 99, 99)), fgsm(hostile, photo, target=0),
             fgsm_sweep(hostile, photo, epsilons=(0, 0.1), target=0)]
    for result in shown:
        page = parse(result._repr_html_())
        assert "<script>" in page.text and "script" not in page.tags
    assert [repr(result).split("(")[0] for result in shown] == ["MaskedLook", "Perturbed", "PerturbedSweep"]


# --- what the scores mean -----------------------------------------------------------------------------------


@pytest.mark.parametrize("outputs, labels", [("yes/no", ("not red", "red")), ("several", ("red", "blue"))])
def test_a_push_lowers_the_class_and_raises_the_one_it_goes_towards(outputs, labels):
    """case A6: a single score has a decision that can change."""
    model, picture = told(outputs, labels), red_and_blue()
    for name in labels:
        away, towards = (
            fgsm(model, picture, target=name, epsilon=0.05),
            fgsm(model, picture, towards=name, epsilon=0.05),
        )
        assert away.changes[0].label == towards.changes[0].label == name
        assert away.changes[0].after < away.changes[0].before < towards.changes[0].after


def test_of_several_classes_a_push_fools_where_its_own_yes_becomes_a_no():
    model = told("several", ("red", "blue"))
    with torch.no_grad():
        model.fc.bias.fill_(-0.14)  # both are just a yes
    one = fgsm(model, red_and_blue(), target="blue", epsilon=0.1)
    assert one.fooled and [answer.label for answer in one.answers] == ["blue", "not blue"]
    assert not fgsm(model, red_and_blue(), target="blue", epsilon=0).fooled


def test_a_number_is_pushed_down_or_up_and_decides_nothing():
    model = told("numbers", ("redness", "<i>"), number_mean=(50.0, 0.0), number_std=(10.0, 1.0))
    down, up = (
        fgsm(model, red_and_blue(), epsilon=0.05),
        fgsm(model, red_and_blue(), towards="redness", epsilon=0.05),
    )
    assert down.changes[0].after < down.changes[0].before < up.changes[0].after and down.changes[0].number
    assert not down.fooled and "%" not in repr(down) and "i" not in parse(down._repr_html_()).tags
    sweep = fgsm_sweep(model, red_and_blue(), epsilons=(0, 0.05))
    assert sweep.first_fooled is None and "%" not in parse(sweep._repr_html_()).text
    assert "'redness'" in repr(sweep)
    masked = mask_region(model, red_and_blue(), (8, 8, 24, 24), fill="grey")
    assert masked.changes[0].after < masked.changes[0].before
    assert "%" not in parse(masked._repr_html_()).text


def test_a_look_of_another_meaning_is_looked_at_again():
    model = told("yes/no", ("not red", "red"))
    seen = explorer.look(model, red_and_blue())
    model.config = model.config.with_(outputs="numbers", labels=("redness",))
    assert fgsm(model, red_and_blue(), look=seen).changes[0].number
