"""Photos and small models for the tests of this room."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

import explorer
from tests.models.oracle import randomise


@pytest.fixture(scope="session")
def photo() -> Image.Image:
    """A photo-like picture that is neither square nor smooth: a gradient with noise, 300 x 260."""
    noise = np.random.default_rng(0).integers(0, 90, (260, 300, 3))
    ramp = np.linspace(0, 160, 300)[None, :, None] * np.array([1.0, 0.6, 0.3])
    return Image.fromarray((noise + ramp).astype(np.uint8))


@pytest.fixture
def small_model():
    """A ResNet-18 with random numbers in every parameter and statistic, 7 classes, in evaluation mode."""
    model = explorer.create_model("resnet18", num_classes=7)
    randomise(model)
    return model.eval()
