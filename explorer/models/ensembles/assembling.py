"""Members in, an ensemble out: of the kind that their task asks for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from explorer.models.contract import VisionModel
from explorer.models.ensembles.detectors import DetectorEnsemble
from explorer.models.ensembles.ensemble import EnsembleModel
from explorer.models.ensembles.members import check_members
from explorer.models.ensembles.segmenters import SegmenterEnsemble

KINDS: Mapping[str, Any] = {
    "classification": EnsembleModel, "detection": DetectorEnsemble, "segmentation": SegmenterEnsemble,
}


def assemble(members: Mapping[str, VisionModel], *, combine: str, weights: Any) -> VisionModel:
    """The ensemble of these members. Raises ValueError, with its name, for one that can't take part."""
    check_members(members)
    first = next(iter(members.values()))
    return KINDS[first.task](members, combine=combine, weights=weights)
