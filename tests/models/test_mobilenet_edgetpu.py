"""MobileNetEdgeTPU against timm, and what its training needs."""

from __future__ import annotations

import pytest
import torch

import explorer.models as ours
from tests.models import family_checks as check
from tests.models.oracle import drop_path_rates, without_initialisation

FIRST, SECOND = "mobilenet_edgetpu_100", "mobilenet_edgetpu_v2_xs"


def build(library, name, **options):
    with without_initialisation():
        return library.create_model(name, **options)


def test_a_block_without_shortcut_is_never_dropped():
    with torch.device("meta"):
        rates = drop_path_rates(build(ours, FIRST, drop_path_rate=0.3))
    assert "blocks.4.0.drop_path" not in rates
    assert rates["blocks.4.1.drop_path"] == pytest.approx(0.3 * 14 / 22)


def test_the_maps_are_as_the_table_promises():
    check.check_features(SECOND, 64)
    check.check_features(FIRST, 64, output_stride=16)


def test_an_unknown_option_is_named_beside_those_there_are():
    with pytest.raises(TypeError, match="stem_kernel.*architecture"):
        ours.create_model(FIRST, stem_size=5)
