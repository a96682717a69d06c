"""Torchvision's detectors through the door: the same boxes, masks and losses as without it."""

from __future__ import annotations

import pytest
import torch

import explorer
from explorer.models.detection.detector import Detector
from explorer.models.doors import torchvision_building
from explorer.models.doors.torchvision_building import DETECTORS
from explorer.models.weights.reading import Checkpoint
from tests.models.detection_oracle import check_found, photos, targets
from tests.models.oracle import randomise
from tests.models.test_retinanet import published

KINDS = ["ssdlite320_mobilenet_v3_large", "fcos_resnet50_fpn", "maskrcnn_resnet50_fpn"]


@pytest.fixture(scope="module", params=KINDS)
def model(request):
    """Through the door by its bare name, for small photos, with random numbers."""
    torch.manual_seed(0)
    size = None if request.param.startswith("ssd") else (96, 160)
    found = explorer.create_model(request.param, img_size=size).eval()
    randomise(found.module)
    if size:
        found.module.transform.min_size, found.module.transform.max_size = (96,), 160
    return found


def with_masks(photo, target):
    masks = torch.zeros(len(target["boxes"]), *photo.shape[1:], dtype=torch.uint8)
    for mask, (left, top, right, bottom) in zip(masks, target["boxes"].int().tolist()):
        mask[top:bottom, left:right] = 1
    return {**target, "masks": masks}


def test_boxes_and_masks_equal_torchvisions_own(model):
    with torch.no_grad():
        mine, theirs = model(photos()), model.module(photos())
    check_found(mine, theirs, swapped=2)
    if model.has_masks:
        for ours, other in zip(mine, theirs):
            assert ours["masks"].shape == other["masks"].shape
            same = torch.tensor([ours["masks"][0].sub(mask).abs().max() < 1e-3 for mask in other["masks"]])
            assert same.any()


def test_its_loss_is_torchvisions_and_no_layer_changes_its_mode(model):
    truth = [with_masks(photo, target) for photo, target in zip(photos(), targets())]
    torch.manual_seed(0)
    found = model.loss(photos(), truth)
    assert not any(part.training for part in model.modules())
    parts = [p for p in (model.module, getattr(model.module, "rpn", None),
                         getattr(model.module, "roi_heads", None)) if p is not None]
    for part in parts:
        part.training = True
    torch.manual_seed(0)
    wanted = model.module(photos(), truth)
    for part in parts:
        part.training = False
    assert found.keys() == wanted.keys()
    assert all(torch.allclose(found[key], wanted[key]) for key in wanted)


def test_a_fresh_head_counts_things_from_zero(model):
    model.reset_classifier(3)
    assert model.num_classes == 3 and model.columns == 3 + model.counts_nothing
    assert model.counts_nothing == (not model.config.architecture.endswith("fcos_resnet50_fpn"))
    model.score_threshold = 0.0
    with torch.no_grad():
        labels = {label for found in model(photos()) for label in found["labels"].tolist()}
    assert labels and labels <= {0, 1, 2}
    truth = [with_masks(p, {**t, "labels": t["labels"].clamp(max=2)}) for p, t in zip(photos(), targets())]
    assert all(torch.isfinite(part) for part in model.loss(photos(), truth).values())


def test_published_weights_are_loaded_as_they_were_trained(monkeypatch):
    theirs, file = published()  # with the names of before
    monkeypatch.setattr(torchvision_building, "download_url", lambda url, folder: Checkpoint("a", {"": file}))
    model = explorer.create_model("torchvision/retinanet_resnet50_fpn", pretrained=True, img_size=(64, 96))
    with torch.no_grad():
        check_found(model.eval()(photos()), theirs(photos()), swapped=2)
    fresh = explorer.create_model("torchvision/retinanet_resnet50_fpn", pretrained=True, num_classes=3)
    assert "91 classes" in fresh.load_report.skipped[0] and fresh.num_classes == 3


def test_every_name_is_listed_and_its_own_name_alone_will_do():
    listed = explorer.list_models("torchvision/*")
    assert {f"torchvision/{name}" for name in DETECTORS} <= set(listed)
    assert explorer.create_model("retinanet_resnet50_fpn").body.stages  # ours, without the door
    with pytest.raises(ValueError, match="maskrcnn_resnet50_fpn"):
        explorer.create_model("maskrcnn_resnet50")


def test_stages_are_those_of_its_backbone_and_its_pyramid():
    model = explorer.create_model("torchvision/fasterrcnn_mobilenet_v3_large_fpn", num_classes=2).eval()
    assert isinstance(model, Detector) and model.config.labels == () or model.config.labels is None
    names = [stage.name for stage in model.stages]
    assert len(names) == len(set(names)) and names[-2].startswith("p")
    with torch.no_grad():
        _, maps = model.forward_intermediates(torch.randn(1, 3, 128, 160))
    assert [m.shape[1] for m in maps] == [stage.channels for stage in model.stages]


@pytest.mark.parametrize("name", ["ssdlite320_mobilenet_v3_large", "fasterrcnn_mobilenet_v3_large_fpn"])
def test_a_file_says_how_many_classes_it_is_for(name, tmp_path):
    trained = explorer.create_model(name, num_classes=4)
    torch.save(trained.module.state_dict(), tmp_path / "mine.pth")
    again = explorer.create_model(name, checkpoint_path=tmp_path / "mine.pth")
    assert again.num_classes == 4 and again.counts_nothing == 1
    held = again.state_dict()
    assert all(torch.equal(value, held[key]) for key, value in trained.state_dict().items())


def test_layers_have_an_order_for_rates_and_checkpointing():
    for name in ("fasterrcnn_mobilenet_v3_large_fpn", "ssdlite320_mobilenet_v3_large"):
        model = explorer.create_model(name, num_classes=2)
        assert len(explorer.parameter_groups(model, lr=0.1, layer_decay=0.5)) > 5
        explorer.freeze(model, model.stages[1].name)
        assert any(p.requires_grad for p in model.parameters())
        assert not next(model.parameters()).requires_grad
    assert explorer.module_tree(model, (3, 320, 320)).flops > 1e8


def test_what_it_can_t_do_is_said_in_a_sentence():
    with pytest.raises(ValueError, match="leave img_size out"):
        explorer.create_model("ssd300_vgg16", img_size=200)
    with pytest.raises(ValueError, match="3 channels"):
        explorer.create_model("ssdlite320_mobilenet_v3_large", in_chans=1)


def test_what_needs_its_head_alone_is_refused_in_a_sentence():
    model = explorer.create_model("torchvision/ssdlite320_mobilenet_v3_large", num_classes=2)
    with pytest.raises(TypeError, match="explorer.detect"):
        explorer.optimize(model)
