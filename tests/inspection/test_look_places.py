"""`look` at a photo with a network for boxes or masks: one pass, its answer and every stage's maps."""

from __future__ import annotations

import pytest
import torch

import explorer
from explorer.inspection.look.looking import look_once
from explorer.models.contract import evaluation
from tests.models.oracle import randomise

PHOTO = explorer.sample_photos()[0]
DETECTORS = {"retinanet": {"backbone": "resnet18"}, "efficientdet": {"backbone": "resnet18"}, "yolov5n": {}}
SEGMENTERS = {"unet": {"backbone": "resnet18"}, "deeplabv3": {"backbone": "resnet18"}}


def small(name: str, options: dict) -> torch.nn.Module:
    """A network with random numbers that answers for photos of 128 pixels."""
    model = explorer.create_model(name, num_classes=3, **options)
    randomise(model)
    model.config = model.config.with_(input_size=(3, 128, 128), labels=("a", "b", "c"))
    return model.eval()


def passes(model: torch.nn.Module) -> list[int]:
    """Counts the passes of its first layer while a test runs."""
    counted: list[int] = []
    first = next(part for part in model.modules() if isinstance(part, torch.nn.Conv2d))
    first.register_forward_hook(lambda *_: counted.append(1))
    return counted


@pytest.mark.parametrize(("name", "options"), DETECTORS.items(), ids=str)
def test_boxes_and_maps_come_of_one_pass(name, options):
    model = small(name, options)
    alone = explorer.detect(model, PHOTO)
    counted = passes(model)
    seen = explorer.look(model, PHOTO)
    assert len(counted) == 1
    assert torch.equal(seen.detections.boxes, alone.boxes)
    assert torch.equal(seen.detections.scores, alone.scores)
    assert seen.segmentation is None and seen.finds_places and not seen.predictions
    assert [*seen.stages] == [stage.name for stage in model.stage_table]
    for stage in model.stage_table:
        assert seen.stages[stage.name].shape[0] == stage.channels
        rows = seen.input.shape[-2] / stage.reduction
        assert abs(seen.stages[stage.name].shape[1] - rows) <= 1
    assert seen.embedding.ndim == 1 and len(seen.embedding)
    assert "<img" in seen._repr_html_()


@pytest.mark.parametrize(("name", "options"), SEGMENTERS.items(), ids=str)
def test_a_mask_and_maps_come_of_one_pass(name, options):
    model = small(name, options)
    alone = explorer.segment(model, PHOTO)
    counted = passes(model)
    seen = explorer.look(model, PHOTO)
    assert len(counted) == 1
    assert torch.equal(seen.segmentation.mask, alone.mask)
    assert seen.detections is None and seen.finds_places
    assert [*seen.stages] == [stage.name for stage in model.stage_table]
    assert "<img" in seen._repr_html_()


def test_its_maps_are_those_of_the_network_itself():
    model = small("unet", SEGMENTERS["unet"])
    seen = look_once(model, explorer.load_image(PHOTO))
    with torch.no_grad(), evaluation(model):
        _, maps = model.forward_intermediates(seen.input[None])
    for found, wanted in zip(seen.stages.values(), maps, strict=True):
        assert torch.allclose(found, wanted[0], atol=1e-5)


def test_a_mask_needs_a_last_layer():
    model = small("unet", SEGMENTERS["unet"])
    model.reset_classifier(0)
    with pytest.raises(ValueError, match="reset_classifier"):
        explorer.look(model, PHOTO)
