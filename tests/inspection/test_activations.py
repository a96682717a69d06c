"""Statistics of maps, the flow of gradients, a channel's strongest photos, each against the same by hand."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torch.nn import functional as F

import explorer
from explorer.data.datasets import PhotoSet
from explorer.data.images import load_image
from explorer.inspection.inside.channel_photos import top_photos
from explorer.inspection.inside.flow import gradient_flow
from explorer.inspection.inside.statistics import activations
from explorer.inspection.look.looking import look
from tests.html import parse
from tests.inspection.small_models import red_and_blue, told
from tests.inspection.test_perturb import LABELS, tiny
from tests.models.oracle import randomise


@pytest.fixture(scope="module")
def model():
    return tiny()


@pytest.fixture(scope="module")
def seen(model, photo):
    return look(model, photo)


def with_maps(seen, **stages):
    """The same look with other maps."""
    return dataclasses.replace(seen, stages=stages)


# --- histograms and dead channels ---------------------------------------------------------------------------


def test_statistics_equal_numpys_for_every_stage(seen):
    found = activations(seen)
    assert list(found.stages) == list(seen.stages) and found.photos == 1
    for name, maps in seen.stages.items():
        stage, values = found[name], maps.double().numpy()
        counts, edges = np.histogram(values, 64)
        assert stage.edges == pytest.approx(edges) and stage.counts.sum() == values.size == stage.values
        assert np.abs(stage.counts - counts).sum() <= 4  # values on a border
        assert stage.mean == pytest.approx(values.mean()) and stage.std == pytest.approx(values.std())
        assert stage.zeros == pytest.approx((values == 0).mean())
        assert (stage.channels, stage.nans, stage.infinities) == (len(values), 0, 0)


def test_a_channel_is_dead_only_where_it_is_nowhere_above_zero_in_any_photo(seen):
    one = torch.full((4, 2, 2), -1.0)
    other = one.clone()
    one[1, 0, 0], other[2, 1, 1] = 0.1, 3.0
    one[3] = 0
    looks = [with_maps(seen, relu=maps) for maps in (one, other)]
    assert activations(looks[0])["relu"].dead == (0, 2, 3)
    assert activations(looks[1])["relu"].dead == (0, 1, 3)
    assert activations(looks)["relu"].dead == (0, 3)


def test_several_photos_are_taken_together(seen):
    one, other = torch.randn(3, 4, 4), torch.randn(3, 4, 4) * 5 + 2
    found = activations([with_maps(seen, a=one), with_maps(seen, a=other)])
    values = torch.cat([one, other]).double().numpy()
    assert found["a"].mean == pytest.approx(values.mean()) and found["a"].std == pytest.approx(values.std())
    assert (found["a"].counts == np.histogram(values, 64)[0]).all() and found.photos == 2


def test_values_that_are_not_finite_are_counted_and_left_out(seen):
    maps = torch.tensor([[[1.0, torch.nan]], [[torch.inf, -torch.inf]], [[torch.nan, -1.0]], [[0.0, 3.0]]])
    found = activations(with_maps(seen, a=maps))
    stage = found["a"]
    assert (stage.nans, stage.infinities, stage.values) == (2, 2, 8) and found.not_finite == 4
    assert stage.mean == pytest.approx(np.mean([1, -1, 0, 3])) and stage.counts.sum() == 4
    assert stage.zeros == 1 / 8
    assert stage.dead == ()  # a channel with a NaN is broken, not silent
    nothing = activations(with_maps(seen, a=torch.full((2, 1, 1), torch.nan)))["a"]
    assert np.isnan(nothing.mean) and nothing.counts.sum() == 0


def test_a_stage_of_equal_values_has_one_bar(seen):
    stage = activations(with_maps(seen, a=torch.full((2, 3, 3), 7.0)))["a"]
    assert sorted(stage.counts)[-2:] == [0, 18] and stage.std == 0 and stage.edges[0] < 7 < stage.edges[-1]


def test_looks_of_different_models_are_refused(seen, photo):
    other = look(explorer.wrap(nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten()),
                               input_size=(3, 24, 24)).eval(), photo)
    with pytest.raises(ValueError, match="different models"):
        activations([seen, other])
    with pytest.raises(ValueError, match="takes a Look"):
        activations([])
    with pytest.raises(KeyError, match="Its stages"):
        activations(seen)["layer9"]


# --- gradient flow ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", [None, "cock"])
def test_gradients_equal_those_of_a_backward_pass(photo, target):
    model = tiny()
    seen = look(model, photo)
    flow = gradient_flow(model, photo, target=target)
    index = seen.predictions[0].index if target is None else LABELS.index(target)
    loss = F.cross_entropy(model(seen.input[None]), torch.tensor([index]))
    loss.backward()
    assert flow.loss == pytest.approx(loss.item()) and (flow.target, flow.label) == (index, LABELS[index])
    assert [layer.path for layer in flow] == ["module.0", "module.1", "module.3", "module.8"]
    for layer in flow:
        own = model.get_submodule(layer.path)
        gradients = torch.cat([p.grad.flatten() for p in own.parameters()])
        assert layer.mean_abs == pytest.approx(float(gradients.abs().mean()), rel=1e-4)
        assert layer.parameters == len(gradients) and layer.kind == type(own).__name__


def test_layers_stand_in_the_order_in_which_the_photo_meets_them(photo):
    class Backwards(nn.Module):
        def __init__(self):
            super().__init__()
            self.last, self.first = nn.Linear(4, 3), nn.Conv2d(3, 4, 3)
            self.shift = nn.Parameter(torch.zeros(3))  # of the network itself

        def forward(self, x):
            return self.last(self.first(x).mean((2, 3))) + self.shift

    flow = gradient_flow(explorer.wrap(Backwards(), input_size=(3, 16, 16)).eval(), photo)
    assert [layer.path for layer in flow] == ["module", "module.first", "module.last"]


def test_a_transformers_own_parameters_are_among_the_layers(photo):
    model = explorer.create_model("vit_tiny_patch16_224", depth=1, num_classes=3, img_size=32).eval()
    randomise(model)
    flow = gradient_flow(model, photo)
    names = {name.rpartition(".")[0] for name, _ in model.named_parameters()}
    assert {layer.path for layer in flow} == names
    assert flow[0].path == "" and flow[0].parameters == model.cls_token.numel() + model.pos_embed.numel()
    assert all(layer.mean_abs > 0 for layer in flow)


def test_the_models_gradients_and_flags_stay_as_they_were(photo):
    model = tiny().train()
    model.module[0].weight.requires_grad_(False)
    model.module[0].bias.requires_grad_(False)
    model.module[3].weight.grad = torch.ones_like(model.module[3].weight)
    parameters = {name: id(p) for name, p in model.named_parameters()}
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with torch.inference_mode():
        flow = gradient_flow(model, photo)
    assert flow[0].frozen and flow[0].mean_abs > 0 and not flow[1].frozen
    assert all(part.training for part in model.modules())
    assert {name: id(p) for name, p in model.named_parameters()} == parameters
    assert {n for n, p in model.named_parameters() if not p.requires_grad} == {
        "module.0.weight",
        "module.0.bias",
    }
    assert [n for n, p in model.named_parameters() if p.grad is not None] == ["module.3.weight"]
    assert (model.module[3].weight.grad == 1).all()
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert not any(part._forward_pre_hooks for part in model.modules())


def test_a_layer_that_takes_no_part_has_no_gradient(photo):
    class Unused(nn.Module):
        def __init__(self):
            super().__init__()
            self.used, self.idle = nn.Conv2d(3, 4, 3), nn.Linear(2, 2)

        def forward(self, x):
            return self.used(x).mean((2, 3))

    rows = {
        r.path: r.mean_abs
        for r in gradient_flow(explorer.wrap(Unused(), input_size=(3, 16, 16)).eval(), photo)
    }
    assert rows["module.idle"] == 0 and rows["module.used"] > 0


def test_a_model_that_is_entirely_sure_has_no_gradient_and_says_so(photo):
    model = tiny()
    with torch.no_grad():
        model.module[-1].bias[2] = 1000
    flow = gradient_flow(model, photo)
    assert all(layer.mean_abs == 0 for layer in flow) and "gradient is zero" in flow.notes[-1]
    assert any(layer.mean_abs > 0 for layer in gradient_flow(model, photo, target="hen"))


def test_gradient_flow_without_classifier_is_refused(photo):
    with pytest.raises(ValueError, match="no classifier"):
        gradient_flow(explorer.create_model("resnet18", num_classes=0), photo)


# --- the strongest photos of a channel ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory, photo):
    """Seven photos of unlike shapes in which red spots lie somewhere, and a file that is broken."""
    folder = tmp_path_factory.mktemp("photos")
    for number, (x, y) in enumerate([(60, 40), (10, 90), (100, 20), (50, 50), (150, 60), (80, 10), (30, 70)]):
        picture = Image.new("RGB", (200, 100 + 10 * number), (0, 0, 0))
        picture.paste((40 + 30 * number, 0, 0), (x, y, x + 24, y + 24))
        picture.save(folder / f"photo{number}.png")
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n no picture")
    return folder


@pytest.fixture(scope="module")
def red():
    """One stage, of which channel 1 is the amount of red; what comes behind it must not run."""
    net = nn.Sequential(nn.Conv2d(3, 2, 4, 4), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    with torch.no_grad():
        net[0].weight.zero_(), net[0].bias.zero_()
        net[0].weight[1, 0] = 1 / 16
    return explorer.wrap(net, input_size=(3, 64, 64), mean=(0, 0, 0), std=(1, 1, 1)).eval()


def test_the_strongest_photos_come_first_and_equal_those_by_hand(red, folder):
    stage = red.stage_table[0].name
    top = top_photos(red, folder, stage, 1, count=3, batch_size=2)
    by_hand = {file.name: float(look(red, file).stages[stage][1].max()) for file in folder.glob("photo*.png")}
    strongest = sorted(by_hand, key=by_hand.get, reverse=True)[:3]
    assert [one.name for one in top] == strongest
    assert [one.value for one in top] == pytest.approx([by_hand[name] for name in strongest], rel=1e-5)
    assert top.seen == 7 and [name for name, _ in top.problems] == ["broken.png"] and not top.stopped
    assert top[0].file == folder / top[0].name


def test_the_place_lies_on_the_spot_in_the_photos_own_frame(red, folder):
    top = top_photos(red, folder, red.stage_table[0].name, 1, count=9)
    spots = {f"photo{n}.png": spot for n, spot in enumerate(
        [(60, 40), (10, 90), (100, 20), (50, 50), (150, 60), (80, 10), (30, 70)])}
    assert len(top) == 7
    for one in top:
        (x, y), (left, upper) = one.place, spots[one.name]
        if one.value > 0.1:  # a spot may lie in the margin that is cut off
            assert left - 6 <= x <= left + 30 and upper - 6 <= y <= upper + 30
        assert 0 <= one.box[0] <= one.box[2] <= one.size[0] and 0 <= one.box[1] <= one.box[3] <= one.size[1]
    assert sum(one.value > 0.1 for one in top) >= 5
    assert top[0].marked(100).size == (100, round(100 * top[0].size[1] / top[0].size[0]))


def test_the_network_runs_only_as_far_as_the_stage_and_once_a_photo(folder):
    net = explorer.create_model("resnet10t", num_classes=3)
    ran = []
    net.layer1.register_forward_hook(lambda *_: ran.append("behind the stage"))
    net.conv1.register_forward_hook(lambda m, args, _: ran.append(len(args[0])))
    files = sorted(folder.glob("photo*.png"))
    top_photos(net, files, net.stage_table[0].name, 0, batch_size=3)
    assert ran == [3, 3, 1]


def test_all_that_holds_photos_is_taken(red, folder):
    stage = red.stage_table[0].name
    files = sorted(folder.glob("photo*.png"))
    pictures = [Image.open(file) for file in files]
    labelled = PhotoSet(("a",), (0,) * 7, tuple("abcdefg"), lambda i: load_image(files[i]))
    from_files, from_pictures, from_set = (
        top_photos(red, photos, stage, 1) for photos in (files, pictures, labelled)
    )
    assert [p.value for p in from_files] == [p.value for p in from_pictures] == [p.value for p in from_set]
    number = files.index(from_files[0].file)
    assert (from_pictures[0].name, from_pictures[0].file) == (f"image {number + 1}", None)
    assert from_set[0].name == "abcdefg"[number]


def test_of_equal_photos_the_first_is_kept(red, photo):
    top = top_photos(red, [photo] * 4, red.stage_table[0].name, 1, count=2, batch_size=1)
    assert [one.name for one in top] == ["image 1", "image 2"]


def test_progress_is_told_and_a_stop_keeps_what_was_found(red, folder):
    told = []
    top = top_photos(
        red,
        folder,
        red.stage_table[0].name,
        1,
        batch_size=3,
        on_progress=lambda *n: told.append(n),
        should_stop=lambda: len(told) == 2,
    )
    assert told == [(3, 8), (6, 8)] and top.stopped and len(top) == 5  # the broken one is the first
    assert "stopped" in top.caption


def test_a_photo_on_which_the_channel_is_not_a_number_is_named(folder):
    net = tiny()
    with torch.no_grad():
        net.module[0].bias[2] = torch.nan
    stage = net.stage_table[0].name
    top = top_photos(net, sorted(folder.glob("photo*.png"))[:2], stage, 2)
    assert len(top) == 0
    assert [why for _, why in top.problems] == ["The channel is not a number anywhere on this photo."] * 2


@pytest.mark.parametrize("stage, channel, options, words", [
    ("layer9", 0, {}, "no stage 'layer9'. Its stages"), (None, 2, {}, "give 0 to 1"),
    (None, -1, {}, "give 0 to 1"),
    (None, "red", {}, "no channel 'red'"), (None, 0, {"count": 0}, "count is 0"),
    (None, 0, {"batch_size": 2.0}, "batch_size"),
])
def test_a_stage_channel_or_number_that_is_not_there_is_refused(red, folder, stage, channel, options, words):
    with pytest.raises(ValueError, match=words):
        top_photos(red, folder, stage or red.stage_table[0].name, channel, **options)


def test_no_photos_are_refused(red, tmp_path):
    with pytest.raises(ValueError, match="no photos"):
        top_photos(red, tmp_path, red.stage_table[0].name, 0)


def test_results_show_themselves_with_escaped_names(photo, tmp_path):
    net = explorer.wrap(tiny().module, labels=["<b>x", *LABELS[1:]], input_size=(3, 24, 24)).eval()
    hostile = tmp_path / "<img src=x>.png"
    photo.save(hostile)
    top = top_photos(net, [hostile], net.stage_table[0].name, 0)
    flow = gradient_flow(net, photo, target=0)
    [picture] = parse(top._repr_html_()).find_all("img")
    assert picture.attributes["alt"].endswith(": <img src=x>.png")
    page = parse(flow._repr_html_())
    assert "<b>x" in page.find_all("p")[0].text
    assert [bold.text for bold in page.find_all("b")] == [flow.model_name]
    shown = activations(look(net, photo))
    assert len(parse(shown._repr_html_()).find_all("svg")) == len(shown.stages)
    assert [repr(one).split("(")[0] for one in (top, flow, shown)] == [
        "TopPhotos",
        "GradientFlow",
        "Activations",
    ]


def test_the_gradient_of_a_yes_or_no_and_of_a_number_is_their_own():
    yes = told("yes/no", ("not red", "red"))
    seen = explorer.look(yes, red_and_blue())
    for index in (0, 1):
        assert gradient_flow(yes, red_and_blue(), target=index).loss == pytest.approx(
            -math.log(float(seen.probabilities[index])), rel=1e-4
        )
    number = gradient_flow(
        told("numbers", ("redness",), number_mean=(50.0,), number_std=(10.0,)), red_and_blue()
    )
    assert number.number and number.what == "redness" and number.loss > 50
    assert "log p" not in parse(number._repr_html_()).text
