"""Pictures of other bands than red, green and blue."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
import torch

import explorer
from explorer.data.bands import BandImage
from explorer.data.images import ImageError, load_image


def values(channels: int = 5, height: int = 24, width: int = 30) -> np.ndarray:
    return np.random.default_rng(0).random((channels, height, width), dtype=np.float32)


@pytest.mark.parametrize("given", [values(), values().transpose(1, 2, 0), torch.from_numpy(values()),
                                   torch.from_numpy(values())[None]],
                         ids=["CHW", "HWC", "tensor", "batch of one"])
def test_an_array_of_five_bands_is_a_picture_of_them(given):
    picture = load_image(given)
    assert (isinstance(picture, BandImage)
            and (picture.mode, picture.size, picture.shown) == ("RGB", (30, 24), (0, 1, 2)))
    np.testing.assert_array_equal(picture.values, values())
    assert load_image(picture) is picture


def test_whole_numbers_become_shares_and_floats_stay():
    assert load_image((values() * 255).astype(np.uint8)).values.max() <= 1
    assert load_image(np.full((5, 8, 8), 65535, np.uint16)).values.max() == 1
    assert load_image(values() * 7 - 3).values.min() < -2


def test_four_bands_are_a_transparent_photo_unless_somebody_says_so():
    four = values(4)
    assert not isinstance(load_image(torch.from_numpy(four)), BandImage)
    np.testing.assert_array_equal(load_image(torch.from_numpy(four), channels=4).values, four)


def test_a_network_of_four_channels_takes_them_wherever_photos_are_taken(tmp_path):
    """case C10: compare, embed and finetune open their photos without knowing who will look at them."""
    net = torch.nn.Sequential(torch.nn.Conv2d(4, 8, 3, 2), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1),
                              torch.nn.Flatten(), torch.nn.Linear(8, 2))
    model = explorer.wrap(net, input_size=(4, 24, 24)).eval()
    four = [torch.from_numpy(values(4)), values(4).transpose(1, 2, 0)]
    expected = explorer.look(model, four[0]).logits
    features = explorer.run_folder(model, four, cache_dir=tmp_path)
    np.testing.assert_allclose(features.logits, expected.expand(2, -1), rtol=1e-4, atol=1e-5)
    assert len(explorer.compare([model, model], four, measure=False, cache_dir=tmp_path).photos) == 2

    class Fields4(Fields):
        def __getitem__(self, index):
            bands, label = super().__getitem__(index)
            return bands[1:], label

    assert explorer.finetune(model, Fields4(), epochs=1, train="all").wait().history


def test_it_can_be_copied_and_sent_elsewhere():
    picture = load_image(values(), bands=(4, 2, 0))
    for twin in (copy.deepcopy(picture), pickle.loads(pickle.dumps(picture))):
        assert twin.shown == (4, 2, 0) and twin.tobytes() == picture.tobytes()
        np.testing.assert_array_equal(twin.values, picture.values)


def test_too_many_bands_or_pixels_are_refused_before_they_take_memory():
    huge = np.lib.stride_tricks.as_strided(np.zeros(1, np.float32), (3000, 4000, 5000), (0, 0, 0))
    with pytest.raises(ImageError, match="at most 1024"):
        load_image(huge)
    wide = np.lib.stride_tricks.as_strided(np.zeros(1, np.float32), (5, 20000, 20000), (0, 0, 0))
    with pytest.raises(ImageError, match="limit"):
        load_image(wide)
    deep = np.lib.stride_tricks.as_strided(np.zeros(1, np.uint8), (900, 9000, 9000), (0, 0, 0))
    with pytest.raises(ImageError, match="tiles"):
        load_image(deep)


class Fields(torch.utils.data.Dataset):
    """Two kinds of fields: the fifth band tells them apart."""

    classes = ["barley", "wheat"]

    def __len__(self):
        return 16

    def __getitem__(self, index):
        bands = values()
        bands[4] = index % 2
        return torch.from_numpy(bands), index % 2


@pytest.mark.parametrize("train", ["head", "all"])
def test_a_model_learns_from_five_bands(train):
    net = torch.nn.Sequential(torch.nn.Conv2d(5, 8, 3, 2), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1),
                              torch.nn.Flatten(), torch.nn.Linear(8, 2))
    run = explorer.finetune(explorer.wrap(net, input_size=(5, 24, 24)), Fields(), epochs=12, train=train,
                            lr=0.1).wait()
    assert run.best["val_top1"] == 1
    with pytest.raises(ValueError, match="changes colours"):
        explorer.finetune(run.model, Fields(), train="all", augment="strong").wait()
