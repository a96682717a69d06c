"""The file of a live page: the heat map that `explain` draws, for every question that the page can ask."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import explorer
from explorer.inspection.export import page_graph
from explorer.inspection.export.heat import Heated, asked_by, recorded
from explorer.inspection.export.page_graph import page_file
from explorer.inspection.export.parts import Portable, opened
from explorer.inspection.look.model import outputs_of
from tests.inspection.small_models import noise_photo, red_and_blue, tiny, told
from tests.models.oracle import randomise
from tests.models.samples import cifar_nets, net_without_maps

PHOTO = noise_photo()


class Page:
    """A model's file, read back as a browser does it."""

    def __init__(self, model: Any, **options: Any):
        self.whole, self.facts = page_file(opened(model, "all"), **({"precision": "float32"} | options))
        self.session = onnxruntime.InferenceSession(self.whole, providers=["CPUExecutionProvider"])
        self.inputs = {given.name: given.shape for given in self.session.get_inputs()}

    def ask(self, image: Tensor, **questions: Mapping[int, float]) -> dict[str, np.ndarray]:
        """image: [C, H, W]; questions: by input, which places of it are not zero."""
        given = {"image": image[None].numpy()}
        for name in list(self.inputs)[1:]:
            row = np.zeros(self.inputs[name], np.float32)
            for place, value in dict(questions.get(name, {})).items():
                row[0, place] = value
            given[name] = row
        names = [result.name for result in self.session.get_outputs()]
        return dict(zip(names, self.session.run(names, given)))


def shown(model: Any, photo: Any, target: int | None = None) -> np.ndarray:
    """The heat map of `explain`, in the stage's own places, the most of it as 1."""
    raw = explorer.explain(model, photo, target=target).raw.relu().numpy()
    return raw / max(float(raw.max()), 1e-30)


class Steps(nn.Module):
    """A network whose last map has most kinds of layers behind it."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 4, stride=4), nn.ReLU(inplace=True))
        self.norm, self.conv = nn.GroupNorm(2, 8), nn.Conv2d(8, 8, 3, padding=1, groups=4)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.fc = nn.Linear(8 * 9, 5)

    def forward(self, x):
        x = F.gelu(self.conv(self.norm(self.stem(x))))
        tokens = x.flatten(2).transpose(1, 2)
        tokens = self.attention(tokens, tokens, tokens, need_weights=False)[0]
        x = F.max_pool2d(tokens.transpose(1, 2).unflatten(2, x.shape[-2:]), 2, padding=1)
        x = F.interpolate(F.avg_pool2d(x, 2), (3, 3), mode="bilinear", align_corners=False)
        return self.fc(F.hardswish(x).flatten(1))


def steps() -> explorer.VisionModel:
    net = Steps()
    randomise(net)
    return explorer.wrap(net, input_size=32).eval()


def vit() -> explorer.VisionModel:
    return tiny("vit", depth=2)


# --- as a graph of plain operators: a family for each way in which a map is made and read ------------------


@pytest.mark.parametrize("module", [
    "mobilenetv3", "squeezenet", "levit", "edgenext", "fastvit", "mlp_mixer", "pit", "shufflenet",
])
def test_the_record_of_a_pass_is_the_pass_and_its_heat_map_that_of_explain(module):
    model = tiny(module)
    seen, found = explorer.look(model, PHOTO), explorer.explain(model, PHOTO)
    leaving = opened(model, None)
    with torch.no_grad():
        image, part = seen.input[None], Portable(leaving)
        expected = part(image)
        source, *_ = asked_by(model, torch.rand_like(image), seen.config)
        inputs = [image, *(torch.zeros_like(expected[name]) for name in ("logits", "embedding"))]
        record = recorded(Heated(part, source, outputs_of(model)), tuple(inputs))
        given = record(*inputs)
        inputs[1][0, 3] = 1.0
        of_three = record(*inputs)["heat"]
    assert source.stage == found.stage
    for name, wanted in expected.items():
        torch.testing.assert_close(given[name], wanted, rtol=0, atol=1e-5 * float(wanted.abs().max()))
    np.testing.assert_allclose(given["heat"][0], shown(model, PHOTO), atol=1e-4)
    np.testing.assert_allclose(of_three[0], shown(model, PHOTO, 3), atol=1e-4)
    operators = {str(node.target) for node in record.record.graph.nodes}
    assert not [name for name in operators if "backward" in name or "attention" in name]


# --- as a file ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", [vit, steps, lambda: cifar_nets()[0], lambda: tiny("pit", depth=(1, 1, 1))],
                         ids=["vit", "layers of many kinds", "a pooling used twice", "a view of tokens"])
def test_the_heat_map_of_a_file_is_that_of_explain(model):
    model = model()
    page, seen = Page(model), explorer.look(model, PHOTO)
    likeliest = explorer.explain(model, PHOTO)
    found = page.ask(seen.input)
    assert page.facts["heat"]["stage"] == likeliest.stage and likeliest.stage in page.facts["heat"]["said"]
    assert page.facts["heat"]["shape"] == list(found["heat"].shape[1:]) and not page.facts["no_heat"]
    assert {name: list(given.shape) for name, given in found.items()} == page.facts["results"]
    assert {name: list(shape) for name, shape in page.inputs.items()} == page.facts["inputs"]
    np.testing.assert_allclose(found["logits"][0], seen.logits, atol=1e-4 * float(seen.logits.abs().max()))
    np.testing.assert_allclose(found["heat"][0], shown(model, PHOTO), atol=1e-4)
    for target in (0, 3):
        found = page.ask(seen.input, class_weights={target: 1.0})
        np.testing.assert_allclose(found["heat"][0], shown(model, PHOTO, target), atol=1e-4)


def test_a_direction_is_what_a_row_of_weights_would_say():
    model = tiny("lenet")
    page, seen = Page(model), explorer.look(model, PHOTO)
    row = model.get_classifier().weight[2].tolist()
    by_direction = page.ask(seen.input, direction=dict(enumerate(row)))["heat"]
    np.testing.assert_allclose(by_direction[0], shown(model, PHOTO, 2), atol=1e-4)


@pytest.mark.parametrize(("outputs", "labels", "usual"), [
    ("yes/no", ("no", "yes"), 1), ("several", ("red", "blue", "more red"), 0),
    ("numbers", ("red", "blue"), 0),
])
def test_what_is_shown_where_nobody_asks(outputs, labels, usual):
    model, photo = told(outputs, labels), red_and_blue()
    with torch.no_grad():
        model.fc.bias.zero_()
    page, seen = Page(model), explorer.look(model, photo)
    assert explorer.explain(model, photo).target == usual
    np.testing.assert_allclose(page.ask(seen.input)["heat"][0], shown(model, photo), atol=1e-4)


def test_weights_in_float16_halve_the_file_and_the_numbers_stay():
    model = vit()
    full, half = Page(model), Page(model, precision="float16")
    assert len(half.whole) < 0.55 * len(full.whole)
    photo = explorer.look(model, PHOTO).input
    wanted, found = full.ask(photo), half.ask(photo)
    for name in wanted:
        assert found[name].dtype == np.float32
        np.testing.assert_allclose(found[name], wanted[name], atol=0.01 * np.abs(wanted[name]).max())
    assert 1e-6 < half.facts["rounding"]["logits"] < 0.01 and full.facts["rounding"]["logits"] < 1e-5


# --- where there is none ------------------------------------------------------------------------------------


def undecided() -> explorer.VisionModel:
    """A network that leaves autograd on its way."""

    class Cut(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.fc = nn.Conv2d(3, 4, 3), nn.Linear(4, 3)

        def forward(self, x):
            return self.fc(self.conv(x).mean((2, 3)).detach()).detach()

    return explorer.wrap(Cut(), input_size=16).eval()


def bare() -> explorer.VisionModel:
    model = tiny("lenet")
    model.reset_classifier(0)
    return model


@pytest.mark.parametrize(("model", "why"), [
    (undecided, "No gradient leads from the scores of Cut back to the map of a stage"),
    (bare, "lenet5 has no classifier, so there is no class"),
    (net_without_maps, "has no stages, so there is no map"),
])
def test_without_a_heat_map_the_file_says_why_and_takes_the_image_alone(model, why):
    page = Page(model())
    assert why in page.facts["no_heat"] and page.facts["heat"] is None
    assert list(page.inputs) == ["image"]
    assert "heat" not in page.facts["results"]


def test_a_gradient_that_can_not_be_written_down_is_a_sentence(monkeypatch):
    def refuse(*_: Any) -> None:
        raise RuntimeError("no rule for erfinv")

    monkeypatch.setattr(page_graph, "recorded", refuse)
    page = Page(tiny("lenet"))
    assert page.facts["no_heat"] == ("The gradient of lenet5 can't be written down, so there is no heat map "
                                     "here (RuntimeError: no rule for erfinv).")
    assert list(page.inputs) == ["image"]


def test_another_heat_map_than_that_of_explain_does_not_leave(monkeypatch):
    honest = page_graph.Heated.__call__

    def lying(self: Any, *inputs: Tensor) -> dict[str, Tensor]:
        found = honest(self, *inputs)
        return found | {"heat": found["heat"].flip(-1)}

    monkeypatch.setattr(page_graph.Heated, "__call__", lying)
    page = Page(tiny("lenet"))
    assert "not what explorer.explain draws" in page.facts["no_heat"] and list(page.inputs) == ["image"]


def test_precision_is_one_of_two():
    with pytest.raises(ValueError, match="precision is 'int8': expected 'float32' or 'float16'"):
        page_file(opened(tiny("lenet"), None), precision="int8")
