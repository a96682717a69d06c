"""The first SENets against timm, and what their training needs."""

from __future__ import annotations

import pytest
import torch

import explorer.models as ours

SMALL = "legacy_seresnet18"


def test_dropout_works_in_front_of_the_classifier_while_training_only():
    model = ours.create_model(SMALL, drop_rate=1.0, num_classes=3)
    features = torch.ones(2, 512, 2, 2)
    assert torch.equal(model.train().forward_head(features), model.last_linear.bias.expand(2, 3))
    assert not torch.equal(model.eval().forward_head(features), model.last_linear.bias.expand(2, 3))


def test_strides_are_not_traded():
    with pytest.raises(ValueError, match="can't trade stride for dilation"):
        ours.create_model(SMALL, output_stride=16)


def test_stochastic_depth_is_refused():
    with pytest.raises(ValueError, match="leave drop_path_rate at 0"):
        ours.create_model(SMALL, drop_path_rate=0.1)
