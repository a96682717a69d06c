"""`optimize` of networks for boxes and masks: the same raw maps, the same boxes and masks, sooner."""

from __future__ import annotations

import pytest
import torch

import explorer
from explorer.inspection.compare.overlaps import boxes_by_class, of_all_boxes
from explorer.models.surgery.optimized import tensors_in
from tests.inspection.small_models import noise_photo
from tests.models.oracle import randomise

BODY = {"backbone": "resnet18"}
NETS = {"retinanet": BODY, "efficientdet_d0": {}, "yolov5n": {}, "unet": BODY, "deeplabv3": BODY,
        "pspnet": BODY}


@pytest.fixture(scope="module", params=NETS)
def pair(request):
    torch.manual_seed(0)
    model = explorer.create_model(request.param, num_classes=3, **NETS[request.param])
    randomise(model)
    model.config = model.config.with_(input_size=(3, 128, 128), labels=("a", "b", "c"))
    return model.eval(), explorer.optimize(model.eval())


def test_norms_are_folded_and_the_raw_maps_stay(pair):
    model, fast = pair
    report = fast.optimize_report
    # a BatchNorm of EfficientDet's heads follows a convolution that all levels share: it can't be folded
    assert report.folded and report.norms_left == (30 if "Efficient" in type(model).__name__ else 0)
    x = torch.randn(2, 3, 128, 256, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        for found, wanted in zip(tensors_in(fast(x)), tensors_in(model(x)), strict=True):
            assert float((found - wanted).abs().max() / wanted.abs().max()) < 1e-5


def test_the_answers_are_the_same(pair):
    model, fast = pair
    photo = noise_photo(100, 128)
    if model.task == "segmentation":
        wanted, found = (explorer.segment(net, photo).mask for net in pair)
        assert float((wanted != found).float().mean()) < 1e-4
        return
    wanted, found = (explorer.detect(net, photo, score_threshold=0.05, iou_threshold=1.0) for net in pair)
    # equal scores may change their order, so boxes are matched, not counted off
    agreed = of_all_boxes(boxes_by_class(wanted.boxes, wanted.labels, found.boxes, found.labels))
    assert len(wanted) and (agreed.value > 0.99 or not agreed.boxes)
    assert torch.allclose(wanted.scores, found.scores, atol=1e-4)


def test_a_detector_of_torchvision_says_why_it_cannot():
    model = explorer.create_model("torchvision/ssdlite320_mobilenet_v3_large", num_classes=3)
    with pytest.raises(TypeError, match=r"torchvision's own.*retinanet_resnet50_fpn can be optimized"):
        explorer.optimize(model.eval())
