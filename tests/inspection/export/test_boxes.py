"""Networks for boxes leave with every box and score, and with what is needed to go on from there."""

from __future__ import annotations

import json

import pytest
import torch

import explorer
from explorer.inspection.export.places import framed, read_boxes
from explorer.models.detection.placing import Placement
from tests.inspection.export.test_export import assert_same, facts_of, run
from tests.inspection.live.test_places_js import DETECTORS, detector, noise


@pytest.mark.parametrize("name", DETECTORS)
def test_a_program_gives_every_box_that_the_network_decodes(name, tmp_path):
    model = detector(name)
    path = explorer.export(model, tmp_path / "boxes.pt2")
    told = facts_of(path)
    frame = tuple(told["preprocessing"]["input_size"][1:])
    photos = torch.randn(1, 3, *frame)
    found = run(path, photos)
    with torch.no_grad():
        place = Placement(frame, frame, (1.0, 1.0))
        boxes, scores = model.decoded(model.see(photos, [place]), frame)
    assert_same(found["boxes"], boxes)
    assert_same(found["scores"], scores)
    assert sum(told["boxes"]["levels"]) == boxes.shape[1]
    assert (told["task"], told["outputs"], len(told["labels"])) == ("detection", "boxes", 3)
    assert "The boxes are raw" in told["notes"][-1]


def test_from_an_onnx_file_to_the_boxes_that_explorer_detects(tmp_path):
    model, photo = detector("retinanet"), noise(96, 64)
    path = explorer.export(model, tmp_path / "boxes.onnx", maps=["p3"])
    told = facts_of(path)
    boxes = told["boxes"] if isinstance(told["boxes"], dict) else json.loads(told["boxes"])
    image, place = framed(model, photo, tuple(told["preprocessing"]["input_size"][1:]))
    found = {name: torch.as_tensor(result) for name, result in run(path, image).items()}
    assert found["maps.p3"].shape == (1, 256, 8, 12)
    wanted = explorer.detect(model, photo)
    mine = read_boxes(found["boxes"][0], found["scores"][0], boxes, place)
    assert len(mine) == len(wanted) > 0
    torch.testing.assert_close(mine.boxes, wanted.boxes, atol=1e-2, rtol=1e-4)
    assert mine.labels.tolist() == wanted.indices.tolist()


def test_a_photo_that_the_frame_does_not_hold_becomes_smaller():
    model = detector("retinanet")
    image, place = framed(model, noise(64, 96), (64, 96))
    assert image.shape[-2:] == (64, 96)
    assert place.inside == (64, 43)


@pytest.mark.parametrize(("name", "also"), [
    ("torchvision/fasterrcnn_mobilenet_v3_large_320_fpn", "looks at each again: how many"),
    ("torchvision/maskrcnn_resnet50_fpn", "draws a mask for each"),
])
def test_networks_in_two_stages_say_why_they_stay(name, also, tmp_path):
    model = explorer.create_model(name, num_classes=2)
    with pytest.raises(ValueError, match=f"{also}.*explorer.detect"):
        explorer.export(model, tmp_path / "boxes.pt2")


def test_several_detectors_stay_and_one_without_classes_does_too(tmp_path):
    model = detector("retinanet")
    with pytest.raises(ValueError, match="each see the photo in their own way"):
        explorer.export(explorer.Ensemble([model, detector("retinanet")]), tmp_path / "boxes.pt2")
    model.reset_classifier(0)
    with pytest.raises(ValueError, match="no last layer"):
        explorer.export(model, tmp_path / "boxes.pt2")
