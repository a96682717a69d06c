"""Pictures drawn by optimisation: what is wished for rises, the same way by the same seed, on any network."""

import threading

import pytest
import torch
from torch import nn

import explorer
from explorer.inspection.drawing.canvas import Pixels, Waves, colours
from explorer.inspection.drawing.shaking import shaken


def small(outputs: str | None = None, classes: int = 3, channels: int = 3) -> nn.Module:
    torch.manual_seed(0)
    body = nn.Sequential(nn.Conv2d(channels, 8, 3, 2, 1), nn.ReLU(inplace=True), nn.Conv2d(8, 12, 3, 2, 1),
                         nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(12, classes))
    for layer in body[::2][:2]:
        layer.weight.data *= 5  # torch's own start answers to hardly anything
    return explorer.wrap(body, input_size=(channels, 32, 32), outputs=outputs)


def prefers_red(bias: float = 0.0) -> nn.Module:
    """A network whose only convolution is for red, against green and blue, with a ReLU behind it."""
    conv = nn.Conv2d(3, 1, 1)
    conv.weight.data[:] = torch.tensor([1.0, -1.0, -1.0]).view(1, 3, 1, 1)
    conv.bias.data[:] = bias
    body = nn.Sequential(conv, nn.ReLU(), nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(16, 2))
    return explorer.wrap(body, input_size=(3, 32, 32), mean=(0.0,) * 3, std=(1.0,) * 3)


@pytest.mark.parametrize("given", [
    {"target": "class 1"}, {"stage": "module.2", "channel": 5}, {"stage": "module.4", "channel": 5},
    {"stage": "module.0", "channel": 3, "size": 48}, {"target": 0, "method": "fooling"}])
def test_what_is_wished_for_rises(given):
    drawn = explorer.visualize(small(), steps=30, **given)
    assert sum(drawn.history[-5:]) / 5 > sum(drawn.history[:5]) / 5 and drawn.score > drawn.history[0]
    assert drawn.image.size == (given.get("size", 32),) * 2 and drawn.steps == 30 and not drawn.stopped


def test_a_stage_of_a_model_by_name_and_a_class_with_its_share():
    torch.manual_seed(0)
    model = explorer.create_model("resnet10t", num_classes=2).eval()
    found = explorer.visualize(model, stage="layer1", channel=3, steps=4, size=64)
    assert found.words == "channel 3 of layer1" and found.probability is None
    model.config = model.config.with_(input_size=(3, 64, 64), crop_pct=1.0)
    found = explorer.visualize(model, target=1, steps=12)
    assert found.image.size == (64, 64)
    shares = {one.index: one.probability for one in explorer.look(model, found.image).predictions}
    assert found.probability == pytest.approx(shares[1], abs=1e-3)
    assert any("No weights were loaded" in note for note in found.notes)


@pytest.mark.parametrize("name, options", [
    ("vit_tiny_patch16_224", {"img_size": 32, "depth": 1}),
    ("swin_tiny_patch4_window7_224", {"img_size": 56, "depths": (1, 1, 1, 1)})])
def test_transformers_are_drawn_at_the_size_that_they_are_built_for(name, options):
    torch.manual_seed(0)
    model = explorer.create_model(name, num_classes=2, **options).eval()
    drawn = explorer.visualize(model, target=1, steps=3)
    assert drawn.image.size == (options["img_size"],) * 2
    block = model.stage_table[0].name
    assert explorer.visualize(model, stage=block, channel=2, steps=3).steps == 3
    with pytest.raises(ValueError, match="reads pictures of .* alone: leave size out"):
        explorer.visualize(model, target=1, size=64)


@pytest.mark.parametrize("outputs, classes, target, words", [
    ("several", 3, 2, "the class"), ("yes/no", 1, "no", "the class 'no'"), ("numbers", 2, 1, "the number")])
def test_all_kinds_of_outputs(outputs, classes, target, words):
    drawn = explorer.visualize(small(outputs, classes), target=target, steps=20)
    assert drawn.words.startswith(words) and drawn.score > drawn.history[0]
    assert (drawn.probability is None) == (outputs == "numbers")


@pytest.mark.parametrize("channels", [1, 5])
def test_pictures_of_other_channels(channels):
    drawn = explorer.visualize(small(channels=channels), target=0, steps=5)
    assert drawn.image.size == (32, 32) and drawn.pixels.shape == (channels, 32, 32)
    assert drawn._repr_html_()


def test_the_same_seed_draws_the_same_picture():
    first, again, other = (explorer.visualize(small(), target=0, steps=6, seed=seed) for seed in (3, 3, 4))
    assert torch.equal(first.pixels, again.pixels) and first.history == again.history
    assert not torch.equal(first.pixels, other.pixels)


def test_torchs_own_random_numbers_stay_as_they_are():
    model = small()
    torch.manual_seed(5)
    before = torch.get_rng_state()
    explorer.visualize(model, target=0, steps=2)
    assert torch.equal(torch.get_rng_state(), before)


def test_it_is_heard_and_stops_when_asked_to():
    heard, pictures = [], []
    drawn = explorer.visualize(small(), target=0, steps=50, on_progress=lambda *said: heard.append(said),
                               on_picture=pictures.append, should_stop=lambda: len(heard) == 3)
    assert heard == [(1, 50), (2, 50), (3, 50)] and drawn.steps == 3 and drawn.stopped
    assert [one.size for one in pictures] == [(32, 32)] * 3
    assert "Stopped after 3 steps of 50." in drawn.notes


def test_a_channel_that_prefers_red_gives_red():
    for method in ("features", "fooling"):
        drawn = explorer.visualize(prefers_red(), stage="module.0", channel=0, steps=150, method=method)
        red, green, blue = drawn.pixels.mean((1, 2)).tolist()
        assert red > 1.8 * max(green, blue)


def test_noise_that_moves_nothing_grows_until_it_does():
    drawn = explorer.visualize(prefers_red(bias=0.2), stage="module.1", channel=0, steps=80)
    assert drawn.history[0] == 0 and drawn.score > 0.1
    with pytest.raises(ValueError, match="mean of channel 0 of module.1 is moved by nothing.*dead"):
        explorer.visualize(prefers_red(bias=-9), stage="module.1", channel=0, steps=80)


def test_the_model_is_left_as_it_was():
    model = small().train()
    model.module[0].eval()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    explorer.visualize(model, target=0, steps=2)
    assert model.training and model.module[2].training and not model.module[0].training
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert all(one.grad is None and one.requires_grad for one in model.parameters())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_a_caller_without_gradients_and_another_thread_may_ask():
    model, found = small(), []
    with torch.inference_mode():
        found.append(explorer.visualize(model, target=0, steps=3))
    thread = threading.Thread(target=lambda: found.append(explorer.visualize(model, target=0, steps=3)))
    thread.start()
    thread.join()
    assert torch.equal(found[0].pixels, found[1].pixels)


def test_weights_without_a_way_back_or_without_numbers_are_told():
    with torch.inference_mode():
        frozen = small()
    with pytest.raises(ValueError, match="No gradient can be followed.*explorer.top_photos"):
        explorer.visualize(frozen, target=0)
    broken = small()
    broken.module[0].weight.data[0] = float("nan")
    with pytest.raises(ValueError, match="The score of the class 'class 0' is no number"):
        explorer.visualize(broken, target=0)


@pytest.mark.parametrize("given, sentence", [
    ({}, "target is None: say which class"), ({"target": 0, "stage": "module.0"}, "not both"),
    ({"stage": "module.0"}, "channel is None: say which"), ({"channel": 2}, "say of which stage"),
    ({"stage": "module.0", "channel": 8}, "module.0 has 8 channels.*0 to 7"),
    ({"stage": "module.9", "channel": 0}, "no stage and no module 'module.9'"),
    ({"target": "cat"}, "None of the 3 classes"),
    ({"target": 0, "method": "fool"}, "Unknown method 'fool'.*Did you mean 'fooling'")])
def test_what_can_not_be_drawn_is_told(given, sentence):
    with pytest.raises(ValueError, match=sentence):
        explorer.visualize(small(), steps=1, **given)


def test_networks_for_boxes_and_masks_are_asked_for_stages():
    detector = explorer.create_model("retinanet", backbone="resnet18", num_classes=2, img_size=64).eval()
    masks = explorer.create_model("lraspp", backbone="mobilenetv3_small_050", num_classes=2).eval()
    for model, finds in ((detector, "boxes"), (masks, "masks")):
        with pytest.raises(ValueError, match=f"finds {finds}.*give stage= and channel="):
            explorer.visualize(model, target=0)
        drawn = explorer.visualize(model, stage=model.stage_table[0].name, channel=0, steps=2, size=64)
        assert drawn.image.size == (64, 64)


def test_an_ensemble_and_one_of_its_stages():
    parts = {"a": small(), "b": small()}
    both = explorer.Ensemble(parts)
    assert explorer.visualize(both, target=0, steps=3).steps == 3
    drawn = explorer.visualize(both, stage=both.stage_table[0].name, channel=1, steps=3)
    assert drawn.steps == 3


def test_shaking_keeps_the_shape_and_a_plain_picture_as_it_is():
    generator = torch.Generator().manual_seed(0)
    plain = torch.full((1, 3, 20, 30), 0.3)
    for _ in range(5):
        moved = shaken(plain, generator)
        assert moved.shape == plain.shape and torch.allclose(moved, plain, atol=1e-6)
    picture = torch.rand(1, 3, 20, 30, generator=generator)
    assert not torch.allclose(shaken(picture, generator), picture, atol=1e-2)


@pytest.mark.parametrize("kind", [Waves, Pixels])
@pytest.mark.parametrize("shape", [(3, 17, 24), (1, 16, 15)])
def test_a_canvas_is_a_picture_of_any_shape_and_begins_almost_grey(kind, shape):
    picture = kind(shape, torch.Generator().manual_seed(0)).picture().detach()
    assert picture.shape == (1, *shape) and float((picture - 0.5).abs().max()) < 0.1


def test_colours_are_independent_axes():
    axes = colours(3)
    product = axes.T @ axes
    assert torch.allclose(product, torch.diag(product.diag()), atol=1e-2) and float(product[0, 0]) > 0.99


def test_it_shows_and_saves_itself(tmp_path):
    drawn = explorer.visualize(small(), target=0, steps=3)
    html = drawn._repr_html_()
    assert "drawn for the class &#x27;class 0&#x27;" in html and "polyline" in html and "Olah" in html
    assert "another seed draws another" in html and "DrawnPicture(" in repr(drawn)
    path = drawn.save(tmp_path / "it.png")
    assert path.stat().st_size > 100
    with pytest.raises(ValueError, match="picture is saved as a .png"):
        drawn.save(tmp_path / "it.txt")
