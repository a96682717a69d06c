"""Networks that autograd can't follow to the photo: every method that needs a gradient says so, in one
sentence.
"""

from __future__ import annotations

import pytest
import torch
from PIL import Image
from torch import nn

import explorer
from explorer.inspection.attribution.methods import METHODS
from explorer.inspection.experiments.adversarial import fgsm
from explorer.inspection.inside.flow import gradient_flow

SIZE = (3, 32, 32)
SENTENCE = "No gradient can be followed through this model to the photo.*torch.no_grad"


class Net(nn.Module):
    """A body and a head; `how` says what its author did to save memory."""

    def __init__(self, how: str):
        super().__init__()
        torch.manual_seed(0)
        self.how = how
        self.body = nn.Sequential(nn.Conv2d(3, 6, 3, 2), nn.ReLU(), nn.Conv2d(6, 8, 3, 2), nn.ReLU())
        self.pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.head = nn.Linear(8, 4)

    def forward(self, x):
        if self.how == "all without":
            with torch.no_grad():
                return self.head(self.pool(self.body(x)))
        if self.how == "all in inference mode":
            with torch.inference_mode():
                return self.head(self.pool(self.body(x)))
        if self.how == "body without":
            with torch.no_grad():
                features = self.body(x)
            return self.head(self.pool(features))
        if self.how == "body in inference mode":
            with torch.inference_mode():
                features = self.body(x)
            return self.head(self.pool(features))
        if self.how == "detached":
            return self.head(self.pool(self.body(x)).detach())
        return self.head(self.pool(self.body(x)))


HOWS = ("all without", "all in inference mode", "body without", "body in inference mode", "detached")


def photo() -> Image.Image:
    torch.manual_seed(1)
    return Image.fromarray((255 * torch.rand(40, 40, 3)).byte().numpy())


def net(how: str):
    return explorer.wrap(Net(how), input_size=SIZE)


OF_PIXELS = [name for name, method in METHODS.items() if method.needs_gradient and method.group != "cam"]


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("method", OF_PIXELS)
def test_a_heat_map_of_pixels_says_that_there_is_no_way_back(how, method):
    """case C9: saliency through a net with no_grad inside: torch's text."""
    with pytest.raises(ValueError, match=SENTENCE + '.*method="occlusion"'):
        explorer.explain(net(how), photo(), method=method)


@pytest.mark.parametrize("how", HOWS)
def test_an_adversarial_example_says_that_there_is_no_way_back(how):
    """case C9: fgsm too."""
    with pytest.raises(ValueError, match=SENTENCE):
        fgsm(net(how), photo(), epsilon=0.01)


@pytest.mark.parametrize("how", HOWS)
def test_a_picture_by_optimisation_says_that_there_is_no_way_back(how):
    with pytest.raises(ValueError, match=SENTENCE + ".*drawn by that gradient"):
        explorer.visualize(net(how), target=0, steps=2)


@pytest.mark.parametrize("how", HOWS)
def test_the_other_methods_answer_or_say_why_not(how):
    """case C9: whatever has a gradient of its own, and what needs none."""
    for method in METHODS:
        if method in OF_PIXELS:
            continue
        try:
            explorer.explain(net(how), photo(), method=method)
        except ValueError as error:
            assert "grad_fn" not in str(error) and "nference tensor" not in str(error), (method, error)
    assert explorer.explain(net(how), photo(), method="occlusion").heatmap.shape == (40, 40)


def test_the_gradients_of_layers_say_where_none_arrives():
    """case C9"""
    for how in ("all without", "all in inference mode"):
        with pytest.raises(ValueError, match=SENTENCE):
            gradient_flow(net(how), photo())
    for how in ("body without", "body in inference mode", "detached"):
        assert any(
            "No gradient reaches module.body.0, module.body.2" in note
            for note in gradient_flow(net(how), photo()).notes
        )
    assert not any("No gradient" in note for note in gradient_flow(net("as usual"), photo()).notes)


def test_a_network_that_can_be_followed_is():
    for method in OF_PIXELS:
        assert explorer.explain(net("as usual"), photo(), method=method).heatmap.shape == (40, 40)
