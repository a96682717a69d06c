"""The first layer's kernels: of one small network of every family file, the layer that really reads the
photo.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import explorer
from explorer.inspection.inside.filters import (
    first_convolution,
    first_filters,
    kernels_picture,
)
from tests.html import parse
from tests.models.samples import ONE_A_FILE, small


class Reached(Exception):
    """The photo has met the layer: the rest of the network need not run."""


@pytest.mark.parametrize("module", ONE_A_FILE)
def test_the_layer_shown_is_one_that_reads_the_photo(module):
    model, photos = small(module)
    filters = first_filters(model.eval())
    layer = model.get_submodule(filters.path)

    def stop(_, inputs):
        assert torch.equal(inputs[0], photos)
        raise Reached

    handle = layer.register_forward_pre_hook(stop)
    with pytest.raises(Reached), torch.no_grad():
        model(photos)
    handle.remove()
    assert torch.equal(filters.weights, layer.weight) and filters.shown == filters.count == layer.out_channels
    assert filters.size == tuple(layer.kernel_size)
    assert len(np.unique(np.asarray(filters.picture))) > 20


def test_each_kernel_is_scaled_about_a_grey_zero():
    weights = torch.zeros(4, 3, 2, 2)
    weights[0, 0, 0, 0], weights[0, 1, 0, 1] = 2, -1   # red up, green half down
    weights[1, 2] = -0.001                              # weak, and yet in full: blue all the way down
    weights[3] = torch.nan
    picture = np.asarray(kernels_picture(weights, cell=2, columns=2))
    assert picture.shape == (5, 5, 3)
    assert picture[0, 0].tolist() == [255, 128, 128] and picture[0, 1].tolist() == [128, 64, 128]
    assert (picture[0:2, 3:5] == [128, 128, 1]).all()
    assert (picture[3:5, 0:2] == 128).all()                # all zeros
    assert (picture[3:5, 3:5] == [255, 0, 255]).all()      # not finite: magenta
    assert (picture[2] == 0).all() and (picture[:, 2] == 0).all()


def test_small_kernels_are_enlarged_by_a_whole_factor():
    plain = np.asarray(kernels_picture(torch.randn(1, 3, 3, 3), cell=3))
    large = np.asarray(kernels_picture(torch.randn(1, 3, 3, 3), cell=25))
    assert plain.shape == (3, 3, 3) and large.shape == (24, 24, 3)


def test_other_numbers_of_channels_are_grey_and_side_by_side():
    weights = torch.randn(5, 2, 3, 3)
    picture = np.asarray(kernels_picture(weights, cell=3, columns=1))
    assert picture.shape == (5 * 4 - 1, 2 * 4 - 1, 3)
    assert (picture[..., 0] == picture[..., 1]).all() and (picture[..., 0] == picture[..., 2]).all()
    shares = weights[1] / weights[1].abs().max()  # one scale for a kernel's channels
    assert np.abs(picture[4:7, 4:7, 0] - (128 + 127 * shares[1].numpy())).max() <= 0.51


def test_a_limit_shows_fewer_and_says_so():
    filters = first_filters(small("resnet")[0], limit=3)
    assert filters.shown == 3 and filters.count > 3 and f"3 of {filters.count}" in filters.caption
    assert len(filters.weights) == filters.count


def test_a_wrapped_grey_network_is_shown_too():
    lenet = nn.Sequential(
        nn.Conv2d(1, 6, 5), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 10)
    )
    filters = first_filters(explorer.wrap(lenet, input_size=(1, 28, 28)))
    assert filters.size == (5, 5) and torch.equal(filters.weights, lenet[0].weight.detach())


def test_a_network_without_a_convolution_is_told_what_it_begins_with():
    mlp = explorer.wrap(nn.Sequential(nn.Flatten(), nn.Linear(3 * 64, 10)), input_size=(3, 8, 8))
    with pytest.raises(ValueError, match=r"no convolution .* begins with module.1 \(Linear\)"):
        first_filters(mlp)


def test_a_grouped_or_deeper_convolution_is_not_taken():
    net = nn.Sequential(nn.Conv2d(3, 3, 3, groups=3), nn.Conv2d(3, 4, 1), nn.Conv2d(4, 5, 3))
    net.in_chans = 3
    assert first_convolution(net)[0] == "1"


@pytest.mark.parametrize("options", [{"limit": 0}, {"cell": -1}, {"columns": 1.5}, {"limit": True}])
def test_senseless_sizes_are_refused(options):
    with pytest.raises(ValueError, match="whole number from 1"):
        first_filters(small("lenet")[0], **options)


def test_filters_show_themselves():
    filters = first_filters(small("resnet")[0])
    page = parse(filters._repr_html_())
    assert filters.path in repr(filters) and page.find("figcaption").text == filters.caption
    assert "grey is zero" in filters.caption
    assert "mean nothing" in page.find_all("p")[0].text  # random weights
