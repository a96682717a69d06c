"""Pruned ResNets against timm."""

from __future__ import annotations

import pytest
import torch

import explorer.models as ours
from tests.models import family_checks as check
from tests.models.oracle import TOLERANCE, relative_error, same_weights


def test_strides_can_be_traded_for_dilation_with_the_same_weights():
    fine, coarse = (ours.create_model("ecaresnet50d_pruned", output_stride=stride) for stride in (16, 32))
    same_weights(fine, coarse)
    with torch.no_grad():
        assert fine.forward_features(check.photos(64)).shape == (2, 2022, 4, 4)
        assert coarse.forward_features(check.photos(64)).shape == (2, 2022, 2, 2)
        maps, coarse_maps = (model.forward_intermediates(check.photos(64))[1] for model in (fine, coarse))
        for own, other in zip(maps[:4], coarse_maps):  # only the last stage differs
            assert relative_error(own, other) < TOLERANCE


def test_widths_for_another_number_of_blocks_are_refused():
    with pytest.raises(ValueError, match="A stage of 4 blocks needs as many pairs"):
        ours.create_model("ecaresnet50d_pruned", kept=((19, ((47, 18),) * 3), (171, ()), (1, ()), (1, ())))
