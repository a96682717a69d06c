"""What is known of a model before it looks: its multiply-adds, and what was published of its weights."""

from __future__ import annotations

import logging

from explorer.inspection.look.modules import module_tree
from explorer.models.contract import VisionModel
from explorer.models.segmentation.segmenter import WITHOUT_AUX

log = logging.getLogger(__name__)

FIGURES = {"detection": "box AP", "segmentation": "mIoU"}  # task -> what is published of its networks


def macs_of(model: VisionModel, name: str) -> int | None:
    """Multiply-adds of one photo of the model's input size; None where they can't be counted."""
    try:
        work = module_tree(model).multiply_adds
    except ValueError as error:
        log.info("the multiply-adds of %s can't be counted", name, exc_info=error)
        return None
    return work or None


def published_of(model: VisionModel) -> float | None:
    """Per cent, as the publisher of these very weights says; None where they are others by now."""
    report, config = model.load_report, model.config
    if report is None or model.num_classes != config.num_classes:
        return None
    if {*report.adapted} - {*report.retyped} or {*report.skipped} - {WITHOUT_AUX}:
        return None
    if model.task == "classification":
        return config.top1
    return dict(config.metrics).get(FIGURES[model.task])
