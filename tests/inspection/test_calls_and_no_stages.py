"""Looking into a net whose layers run several times (case A4), and into one without maps (case C2)."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import explorer
from explorer.inspection.attribution.methods import METHODS
from explorer.models.features import FeatureNet
from tests.html import parse
from tests.models.oracle import randomise
from tests.models.samples import cifar_nets, net_without_maps

PAIRS = {"relu": "relu1", "pool": "pool1", "relu:2": "relu2", "pool:2": "pool2"}  # of `CifarNet` and its twin


def picture(seed: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 255, (40, 40, 3), dtype=np.uint8))


@pytest.fixture(scope="module")
def nets():
    return cifar_nets()


@pytest.fixture(scope="module")
def flat():
    return net_without_maps().eval()


# --- layers that run several times -------------------------------------------------------------------------


def test_a_look_holds_every_calls_map(nets):
    shared, apart = (explorer.look(net, picture(0)) for net in nets)
    assert [*shared.stages] == [*PAIRS]
    for name, twin in PAIRS.items():
        assert torch.equal(shared.stages[name], apart.stages[twin])
    captions = [one.text for one in parse(shared._repr_html_()).find_all("figcaption")]
    assert all(any(text.startswith(f"{name}: {len(maps)} channels") for text in captions)
               for name, maps in shared.stages.items())


@pytest.mark.parametrize("method", [name for name, each in METHODS.items() if each.needs_stage])
def test_heat_maps_are_those_of_the_call_that_was_asked_for(method, nets):
    shared, apart = nets
    seen = explorer.look(shared, picture(0))
    heats = {}
    for name, twin in PAIRS.items():
        found = explorer.explain(shared, picture(0), method=method, stage=name, target=3)
        assert found.stage == name and found.raw.shape == seen.stages[name].shape[1:]
        other = explorer.explain(apart, picture(0), method=method, stage=twin, target=3)
        again = explorer.explain(shared, None, method=method, stage=name, target=3, look=seen)
        assert torch.allclose(found.raw, other.raw, atol=1e-5)
        assert torch.allclose(found.raw, again.raw, atol=1e-5)
        heats[name] = found.heatmap
    assert not torch.allclose(heats["pool"], heats["pool:2"])
    assert explorer.explain(shared, picture(0), method=method).stage == "pool:2"


def test_guided_backpropagation_goes_through_every_call(nets):
    maps = [explorer.explain(net, picture(0), method="guided_backprop", target=3) for net in nets]
    shared, apart = (found.raw for found in maps)
    assert torch.allclose(shared, apart, atol=1e-6) and shared.any()


def test_the_tree_tells_the_shapes_of_all_calls(nets):
    tree = explorer.module_tree(nets[0])
    node = tree.find("module.pool")
    assert (node.calls, node.output_shape, node.later_shapes) == (2, (1, 6, 14, 14), ((1, 16, 5, 5),))
    assert node.shape_text == "1 × 6 × 14 × 14, then 1 × 16 × 5 × 5" and node.shape_text in tree.text()
    assert tree.find("module.relu").shape_text.endswith(", then 1 × 20")
    assert tree.flops == explorer.module_tree(nets[1]).flops


def test_channels_statistics_and_similarity_are_by_call(nets):
    shared, apart = nets
    photos = [picture(seed) for seed in range(6)]
    numbers = explorer.activations([explorer.look(shared, photo) for photo in photos[:2]])
    assert [(name, stage.channels) for name, stage in numbers.stages.items()] == [
        ("relu", 6), ("pool", 6), ("relu:2", 16), ("pool:2", 16)]
    assert explorer.pca_rgb(explorer.look(shared, photos[0])).stage == "pool:2"
    hits = explorer.top_photos(shared, photos, "pool", 2, count=1)
    assert hits[0].value == pytest.approx(explorer.top_photos(apart, photos, "pool1", 2, count=1)[0].value)
    with pytest.raises(ValueError, match="0 to 5"):
        explorer.top_photos(shared, photos, "pool", 15)
    alike = explorer.compare_stages(shared, shared, photos)
    assert alike.stages_a == tuple(PAIRS) and alike.matrix[1, 3] < 0.999
    assert alike.matrix == pytest.approx(explorer.compare_stages(apart, apart, photos).matrix, abs=1e-5)


def test_gradients_and_freezing_are_by_call(nets):
    shared, _ = cifar_nets()
    assert [row.path for row in explorer.gradient_flow(shared, picture(0))] == [
        row.path for row in explorer.gradient_flow(nets[1], picture(0))]

    def frozen() -> list[str]:
        return [name for name, p in shared.named_parameters() if not p.requires_grad and "weight" in name]

    shared.freeze("pool")
    assert frozen() == ["module.conv1.weight"]
    shared.freeze("pool:2")
    assert frozen() == ["module.conv1.weight", "module.conv2.weight"]
    with pytest.raises(ValueError, match="Did you mean 'pool:2'"):
        shared.freeze("pool:3")


def test_features_alone_and_a_model_made_faster_are_by_call(nets):
    shared, apart = cifar_nets()
    x = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    wanted = list(apart.forward_stages(x))
    for own, other in zip(explorer.optimize(shared).forward_stages(x), wanted, strict=True):
        assert torch.allclose(own, other, atol=1e-4)
    found = FeatureNet(shared, out_indices=(3, 1))(x)
    assert torch.equal(found[0], wanted[3]) and torch.equal(found[1], wanted[1])


class NormTwice(nn.Module):
    """One convolution and one norm that run twice: neither may be folded into the other."""

    def __init__(self):
        super().__init__()
        self.conv, self.bn, self.fc = nn.Conv2d(3, 3, 3, padding=1), nn.BatchNorm2d(3), nn.Linear(3, 2)

    def forward(self, x):
        return self.fc(self.bn(self.conv(self.bn(self.conv(x)).relu())).mean((2, 3)))


def test_a_norm_that_runs_twice_is_not_folded():
    net = NormTwice()
    randomise(net)
    fast = explorer.optimize(explorer.wrap(net, input_size=16).eval())
    assert fast.optimize_report.folded == 0


def test_two_nets_side_by_side_have_maps_by_call(nets):
    named = [explorer.wrap(net.module, input_size=32, name=name) for net, name in zip(nets, ("a", "b"))]
    result = explorer.compare(named, [picture(0), picture(1)])
    assert result.strides == (1, 2, 4)
    assert [name for name, _ in result.maps(4)] == ["pool:2", "pool2"]
    assert torch.equal(result.maps(4)[0][1], result.maps(4)[1][1])


# --- a net without maps ------------------------------------------------------------------------------------


def test_a_look_without_stages_shows_itself(flat):
    seen = explorer.look(flat, picture(0))
    page = parse(seen._repr_html_())
    assert seen.stages == {} and len(seen.predictions) == 5 and len(page.find("table").rows()) == 1 + 5
    with pytest.raises(ValueError, match="has no stage 'x'. It has none"):
        seen.mosaic("x")


@pytest.mark.parametrize("method", METHODS)
def test_methods_without_maps_answer_and_the_others_say_which_do(method, flat):
    options = {"occlusion": {"window": 16}, "smoothgrad": {"samples": 2}, "gradient_shap": {"samples": 2},
               "integrated_gradients": {"steps": 2}}.get(method, {})
    if METHODS[method].needs_stage:
        with pytest.raises(ValueError, match="no stages.*saliency"):
            explorer.explain(flat, picture(0), method=method)
        assert "no stages" in METHODS[method].refuses(flat)
        with pytest.raises(ValueError, match="It has none"):
            explorer.explain(flat, picture(0), method=method, stage="1")
    elif METHODS[method].group == "attention":
        with pytest.raises(ValueError, match="has no attention layers"):
            explorer.explain(flat, picture(0), method=method)
    else:
        assert explorer.explain(flat, picture(0), method=method, **options).heatmap.any()


def test_all_other_ways_of_looking_work_without_maps_or_say_why_not(flat):
    photos = [picture(seed) for seed in range(6)]
    seen = explorer.look(flat, photos[0])
    assert "0 stages" in repr(explorer.activations(seen)) and explorer.activations(seen)._repr_html_()
    assert len(explorer.gradient_flow(flat, photos[0])) == 2
    assert explorer.module_tree(flat).flops and explorer.optimize(flat).optimize_report.folded == 0
    for call, words in ((lambda: explorer.pca_rgb(seen), "no stages"),
                        (lambda: explorer.compare_stages(flat, flat, photos), "no stages"),
                        (lambda: explorer.top_photos(flat, photos, "1", 0), "It has none"),
                        (lambda: flat.freeze("layer1"), "It has none")):
        with pytest.raises(ValueError, match=words):
            call()
    flat.freeze("1")
    frozen = [name for name, p in flat.named_parameters() if not p.requires_grad]
    assert frozen == ["module.1.weight", "module.1.bias"]
    flat.unfreeze()
    assert len(explorer.parameter_groups(flat, lr=1e-3, layer_decay=0.5)) >= 2
    assert flat.group_matcher(coarse=True)["stem"]


def test_a_comparison_of_nets_without_maps_says_so_where_maps_are_asked_for(flat):
    other = explorer.wrap(net_without_maps().module, input_size=32, name="other")
    result = explorer.compare([flat, other], [picture(0), picture(1)])
    assert result.strides == () and result._repr_html_() and result.figure("agreement")
    with pytest.raises(ValueError, match="None of these models has stages"):
        result.figure("maps")
    assert all("no stages" in one for one in result.cams(0))


def test_one_stage_is_enough():
    """case C2: a net of a single convolution."""
    layers = nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2)
    net = explorer.wrap(nn.Sequential(*layers), input_size=16).eval()
    assert [(s.name, s.reduction) for s in net.stages] == [("1", 1)]
    assert explorer.look(net, picture(0))._repr_html_() and explorer.explain(net, picture(0)).stage == "1"
    assert explorer.compare_stages(net, net, [picture(seed) for seed in range(4)]).matrix.shape == (1, 1)
    assert net.group_matcher()["stem"] and explorer.parameter_groups(net, lr=1e-3, layer_decay=0.5)
