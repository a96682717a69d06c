"""LeNet-5 against the figures of its paper, and a picture all the way to a digit."""

from __future__ import annotations

import pytest
import torch
from PIL import Image
from torch import nn

import explorer
import explorer.models as ours
from explorer.models.layers import SelectAdaptivePool2d


def digits(side: int = 32, count: int = 2) -> torch.Tensor:
    return torch.randn(count, 1, side, side, generator=torch.Generator().manual_seed(1))


def test_the_maps_have_the_papers_sizes():
    """Figure 2 of the paper."""
    model = ours.create_model("lenet5").eval()
    with torch.no_grad():
        found = model.forward_intermediates(digits(), intermediates_only=True)
        maps = dict(zip((stage.name for stage in model.stages), found, strict=True))
        assert model(digits()).shape == (2, 10)
        assert model.forward_head(maps["C5"], pre_logits=True).shape == (2, 84)
    assert {name: tuple(m.shape[1:]) for name, m in maps.items()} == {
        "C1": (6, 28, 28), "S2": (6, 14, 14), "C3": (16, 10, 10), "S4": (16, 5, 5), "C5": (120, 1, 1)}


def test_the_layers_have_as_many_parameters_as_in_the_paper():
    """C1, C5 and F6 as printed there; C3 reads all six maps here, and the output is linear."""
    model = ours.create_model("lenet5")
    count = {name: sum(p.numel() for p in model.get_submodule(name).parameters())
             for name in ("c1", "c3", "c5", "f6", "output")}
    assert count == {"c1": 156, "c3": 16 * (6 * 25 + 1), "c5": 48_120, "f6": 10_164, "output": 850}
    assert sum(p.numel() for p in model.parameters()) == sum(count.values()) == 61_706


def test_numbers_equal_the_same_network_written_in_torch_alone():
    model = ours.create_model("lenet5", act_layer="tanh").eval()
    plain = nn.Sequential(
        nn.Conv2d(1, 6, 5), nn.Tanh(), nn.AvgPool2d(2), nn.Conv2d(6, 16, 5), nn.Tanh(), nn.AvgPool2d(2),
        nn.Flatten(), nn.Linear(400, 120), nn.Tanh(), nn.Linear(120, 84), nn.Tanh(), nn.Linear(84, 10))
    pairs = zip(plain.state_dict().items(), model.state_dict().values(), strict=True)
    plain.load_state_dict({key: value.reshape(shaped.shape) for (key, shaped), value in pairs})
    with torch.no_grad():
        assert torch.allclose(model(digits()), plain(digits()), atol=1e-6)


def test_a_larger_picture_slides_through_as_a_row_of_small_ones():
    """Section VII: what C5 gives at one place is what it would give for the 32 x 32 pixels there alone."""
    model, x = ours.create_model("lenet5").eval(), digits(48)
    with torch.no_grad():
        features = model.forward_features(x)
        assert features.shape == (2, 120, 5, 5)
        alone = model.forward_features(x[:, :, 4:36, 8:40])  # one step is 4 pixels
    assert torch.allclose(features[:, :, 1, 2], alone[:, :, 0, 0], atol=1e-5)


def test_a_picture_too_small_is_refused_with_the_way_to_pad_it():
    sentence = r"at least 32 x 32 pixels, not 28 x 28: pad them \(F.pad\(x, \(2, 2, 2, 2\)\)"
    with pytest.raises(ValueError, match=sentence):
        ours.create_model("lenet5")(digits(28))


def test_it_learns_to_tell_two_patterns_apart():
    torch.manual_seed(0)
    x = torch.zeros(32, 1, 32, 32)
    for i in range(32):  # a stroke, upright or lying, somewhere
        place = 6 + i // 2
        x[i, 0, :, place] += i % 2
        x[i, 0, place, :] += 1 - i % 2
    y = torch.arange(32) % 2
    model = ours.create_model("lenet5", num_classes=2).train()
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(30):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()
    with torch.no_grad():
        assert (model.eval()(x).argmax(1) == y).all()


def test_the_configuration_is_for_grey_digits():
    config = ours.create_model("lenet5").config
    assert config.input_size == (1, 32, 32) and config.num_classes == 10 and config.crop_pct == 1
    assert config.labels == tuple("0123456789") and len(config.mean) == len(config.std) == 1


def test_a_colour_photo_becomes_grey_and_gets_digits_as_labels():
    model = ours.create_model("lenet5")
    seen = explorer.look(model, Image.new("RGB", (60, 40), (200, 30, 90)), topk=3)
    assert seen.input.shape == (1, 32, 32) and list(seen.stages) == ["C1", "S2", "C3", "S4", "C5"]
    assert len(seen.predictions) == 3 and all(p.label in "0123456789" for p in seen.predictions)


def test_with_other_classes_the_labels_are_numbered():
    seen = explorer.look(ours.create_model("lenet5", num_classes=4), Image.new("L", (32, 32)))
    assert sorted(p.label for p in seen.predictions) == ["class 0", "class 1", "class 2", "class 3"]


def test_colour_is_read_where_asked_for():
    model = ours.create_model("lenet5", in_chans=3)
    assert model.c1.in_channels == 3
    assert explorer.look(model, Image.new("RGB", (32, 32))).input.shape == (3, 32, 32)


def test_no_weights_are_published_and_your_own_load(tmp_path):
    with pytest.raises(ours.WeightsError, match="No weights are published for 'lenet5'"):
        ours.create_model("lenet5", pretrained=True)
    source = ours.create_model("lenet5")
    torch.save(source.state_dict(), tmp_path / "mine.pth")
    mine = ours.create_model("lenet5", checkpoint_path=tmp_path / "mine.pth")
    assert mine.num_classes == 10 and torch.equal(mine.output.weight, source.output.weight)


def test_the_pooling_is_the_shared_block():
    assert isinstance(ours.create_model("lenet5").global_pool, SelectAdaptivePool2d)


def test_a_dashboard_shows_it():
    pytest.importorskip("ipywidgets")
    dash = explorer.Dashboard(ours.create_model("lenet5"))
    try:
        dash.wait()
        assert dash.session.model_name == "lenet5" and len(dash.session.look.logits) == 10
        assert {p.label for p in dash.session.look.predictions} <= set("0123456789")
        assert dash.session.tree.params == 61_706
        dash.session.open_model("lenet5", pretrained=False)
        dash.wait()
        assert dash.session.look.labels == tuple("0123456789")
    finally:
        dash.close()
