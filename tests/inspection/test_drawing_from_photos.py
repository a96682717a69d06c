"""Pictures drawn from a photo: one that fools a network, style transfer; and going on after a stop."""

import numpy as np
import pytest
import torch
from PIL import Image

import explorer
from explorer.inspection.drawing.canvas import Pixels, Waves
from explorer.inspection.drawing.shaking import roughened
from explorer.inspection.drawing.style import StyleWish, gram, relative, total_variation, usual_stages
from tests.inspection.test_drawing import small


def photo(seed: int, sides: tuple[int, int] = (40, 30)) -> Image.Image:
    """Large soft blots of colour."""
    values = np.random.default_rng(seed).integers(0, 255, (5, 5, 3), dtype=np.uint8)
    return Image.fromarray(values).resize(sides, Image.Resampling.BICUBIC)


def residual() -> torch.nn.Module:
    torch.manual_seed(0)
    model = explorer.create_model("resnet10t", num_classes=2).eval()
    model.config = model.config.with_(input_size=(3, 64, 64), crop_pct=1.0)
    return model


def test_a_gram_matrix_is_the_mean_product_of_channels():
    maps = torch.randn(1, 4, 5, 6)
    rows = maps.numpy().reshape(4, 30)
    assert np.allclose(gram(maps).numpy(), np.einsum("cp,dp->cd", rows, rows) / 30, atol=1e-6)


def test_total_variation_is_the_mean_squared_step_to_the_right_and_down():
    picture = torch.rand(1, 3, 4, 5)
    values = picture.numpy().astype(np.float64)
    expected = np.mean(np.diff(values, axis=3) ** 2) + np.mean(np.diff(values, axis=2) ** 2)
    assert float(total_variation(picture)) == pytest.approx(expected, rel=1e-5)
    assert float(total_variation(torch.full((1, 3, 4, 5), 0.3))) == 0


def test_an_error_is_relative_and_a_dead_map_gives_a_finite_one():
    wanted = torch.tensor([3.0, 4.0])
    assert float(relative(torch.tensor([3.0, 9.0]), wanted)) == pytest.approx(1.0)
    assert torch.isfinite(relative(torch.ones(2), torch.zeros(2)))


@torch.no_grad()
def test_the_loss_is_made_of_its_parts_and_zero_for_the_photo_in_its_own_style():
    model, (a, b) = residual(), torch.randn(2, 1, 3, 32, 32).unbind()
    wish = StyleWish(model, a, b, "layer2", ("stem", "layer1"), weight=7.0, smooth=0.5)
    content, style, variation = wish.parts(b)
    assert float(content) > 0.01 and float(style) == pytest.approx(0, abs=1e-9)
    expected = 7 * wish.parts(a)[1] + 0.5 * total_variation(a)
    assert float(wish.value(a)) == pytest.approx(float(expected), rel=1e-5)
    assert float(variation) == pytest.approx(float(total_variation(b)))


def test_style_transfer_lowers_the_loss_in_the_form_of_the_photo():
    drawn = explorer.visualize(residual(), method="style", photo=photo(0), style=photo(1, (50, 50)), size=48,
                               steps=30)
    assert drawn.score < 0.7 * drawn.history[0] and drawn.measure == "the loss"
    assert drawn.image.size == drawn.before.size == (48, 36) and drawn.probability is None
    assert "the style of stem, layer1, layer2" in drawn.words and "vgg19" in " ".join(drawn.notes)
    assert "Gatys" in drawn._repr_html_() and "Before" in drawn._repr_html_()


def test_usual_stages_have_many_places():
    assert usual_stages(residual()) == ("layer2", ("stem", "layer1", "layer2", "layer3"))
    vit = explorer.create_model("vit_tiny_patch16_224", img_size=32, depth=4, num_classes=2)
    assert usual_stages(vit) == ("block0", ("block0", "block1"))


@pytest.mark.parametrize("given, sentence", [
    ({"style": None}, "style is None: style transfer takes two pictures"),
    ({"photo": None}, "photo is None: style transfer takes two pictures"),
    ({"target": 0}, "target is 0: style transfer has no target"),
    ({"channel": 1}, "channel is 1: style transfer has no target"),
    ({"stage": "layer9"}, "stage: .* has no stage 'layer9'. Its stages: stem"),
    ({"style_stages": ["layer1", "x"]}, "style_stages: .* has no stage 'x'"),
    ({"method": "fooling", "target": 0}, 'style is given, which method="style" alone'),
    ({"method": "features", "target": 0, "style": None}, "photo is given, and feature visualization begins")])
def test_what_style_transfer_can_not_do_is_told(given, sentence):
    options = {"method": "style", "photo": photo(0), "style": photo(1), "steps": 1, "size": 32} | given
    with pytest.raises(ValueError, match=sentence):
        explorer.visualize(residual(), **options)
    with pytest.raises(TypeError, match="style_stages is a list of the names of stages"):
        explorer.visualize(residual(), method="style", photo=photo(0), style=photo(1), style_stages="stem")


def test_a_photo_is_changed_little_and_taken_for_something_else():
    model, picture = small(), photo(3, (32, 32))
    before = explorer.look(model, picture).predictions[0]
    target = next(index for index in range(3) if index != before.index)
    drawn = explorer.visualize(model, target=target, method="fooling", photo=picture, steps=80)
    change = np.abs(np.asarray(drawn.image, int) - np.asarray(drawn.before, int))
    assert change.max() < 30 and np.abs(np.asarray(drawn.before, int) - np.asarray(picture, int)).max() <= 1
    asked = drawn.changes[0]
    assert asked.index == target and asked.after > asked.before and drawn.probability == asked.after
    difference, times = drawn.difference
    assert times == pytest.approx(0.5 * 255 / change.max(), rel=1e-3)
    values = np.asarray(difference, int)
    assert values.min() <= 1 or values.max() >= 254
    html = drawn._repr_html_()
    assert "times amplified; grey is none" in html and "before" in html


@pytest.mark.parametrize("channels", [1, 5])
def test_photos_of_other_channels_are_begun_with(channels):
    rng, model = np.random.default_rng(0), small(channels=channels)
    one, other = (photo(seed) if channels == 1 else rng.random((5, 40, 40), dtype=np.float32)
                  for seed in (3, 4))
    drawn = explorer.visualize(model, target=0, method="fooling", photo=one, steps=3)
    seen = explorer.visualize(model, method="style", photo=one, style=other, steps=3, size=32)
    assert drawn.pixels.shape == (channels, 32, 32) and len(seen.pixels) == channels
    assert drawn.changes and (drawn.difference is None) == (channels == 5) and drawn._repr_html_()
    if channels == 5:
        with pytest.raises(ValueError, match="photo has bands of .* drawn in 0 to 1"):
            explorer.visualize(model, target=0, method="fooling", photo=3 * one, steps=3)
        with pytest.raises(ValueError, match="This model reads 5 channels"):
            explorer.visualize(model, target=0, method="fooling", photo=photo(3), steps=3)


def test_a_drawing_that_was_stopped_goes_on_to_the_same_picture():
    model = small()
    whole = explorer.visualize(model, target=0, steps=12)
    values: list[float] = []
    half = explorer.visualize(model, target=0, steps=12, on_value=values.append,
                              should_stop=lambda: len(values) == 5)
    assert half.stopped and tuple(values) == half.history == whole.history[:5]
    first = half.pixels.clone()
    on = explorer.visualize(model, target=0, steps=12, after=half)
    assert torch.equal(on.pixels, whole.pixels) and on.history == whole.history and not on.stopped
    again = explorer.visualize(model, target=0, steps=12, after=half)  # it was not written into
    assert torch.equal(again.pixels, whole.pixels) and torch.equal(half.pixels, first)


def test_only_the_same_drawing_goes_on():
    model = small()
    drawn = explorer.visualize(model, target=0, steps=2)
    with pytest.raises(ValueError, match="only the same drawing can go on"):
        explorer.visualize(model, target=1, steps=4, after=drawn)
    with pytest.raises(ValueError, match="has taken 2 already"):
        explorer.visualize(model, target=0, steps=2, after=drawn)
    with pytest.raises(TypeError, match="expected what visualize gave before"):
        explorer.visualize(model, target=0, steps=4, after="that one")


@pytest.mark.parametrize("kind", [Waves, Pixels])
@pytest.mark.parametrize("shape", [(3, 18, 24), (1, 16, 15)])
def test_a_canvas_begins_with_the_photo_that_it_is_given(kind, shape):
    pixels = torch.rand(shape).clamp(0.02, 0.98)
    picture = kind(shape, torch.Generator(), pixels).picture()[0]
    assert torch.allclose(picture, pixels, atol=1e-3)


def test_grain_is_small_and_drawn_from_the_generator():
    plain = torch.full((1, 3, 20, 30), 0.3)
    one, same, other = (roughened(plain, torch.Generator().manual_seed(seed)) for seed in (0, 0, 1))
    assert torch.equal(one, same) and not torch.equal(one, other)
    assert 0.03 < float((one - plain).std()) < 0.07 and abs(float((one - plain).mean())) < 0.01
