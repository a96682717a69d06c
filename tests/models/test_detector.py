"""What all detectors share: photos in and boxes out, what they refuse, candidates, placements, masks."""

from __future__ import annotations

import pytest
import torch
from torchvision.models.detection.roi_heads import paste_masks_in_image
from torchvision.models.detection.transform import GeneralizedRCNNTransform

import explorer
from explorer.models.detection.candidates import Candidates, best_pairs
from explorer.models.detection.detector import Detector
from explorer.models.detection.masks import over_photo
from explorer.models.detection.placing import fit_short_side, in_one_batch
from explorer.models.weights.shapes import head_of


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return explorer.create_model("retinanet", backbone="resnet18", num_classes=3, img_size=(64, 96)).eval()


def candidates(boxes, scores, labels) -> Candidates:
    count = len(scores)
    return Candidates(torch.tensor(boxes, dtype=torch.float32), torch.tensor(scores), torch.tensor(labels),
                      torch.zeros(count, dtype=torch.int64), torch.arange(count))


@pytest.mark.parametrize("size", [(375, 500), (481, 640), (90, 1000), (333, 333), (10, 700)])
def test_photos_are_placed_as_torchvision_places_them(size):
    photo = torch.rand(3, *size, generator=torch.Generator().manual_seed(0))
    theirs, _ = GeneralizedRCNNTransform(80, 133, [0.0] * 3, [1.0] * 3)([photo])
    mine, place = fit_short_side(photo, 80, 133)
    assert tuple(theirs.image_sizes[0]) == place.inside == tuple(mine.shape[1:])
    assert torch.allclose(in_one_batch([mine], 32), theirs.tensors, atol=1e-6)


def test_boxes_come_back_to_where_they_were_and_never_lie_outside():
    _, place = fit_short_side(torch.zeros(3, 123, 457), 80, 133)
    boxes = torch.tensor([[3.0, 4.0, 200.0, 100.0], [0.0, 0.0, 457.0, 123.0]])
    assert torch.allclose(place.out_of(place.into(boxes)), boxes, atol=1e-3)
    assert place.out_of(torch.tensor([[-5.0, -5.0, 999.0, 999.0]])).tolist() == [[0, 0, 457, 123]]


def test_it_answers_for_each_photo_in_its_own_pixels(model):
    photos = [torch.rand(3, 50, 170), torch.rand(3, 33, 20)]
    model.score_threshold = 0.001
    try:
        found = model(photos)
    finally:
        del model.score_threshold
    for photo, answer in zip(photos, found):
        assert len(answer["boxes"]) and set(answer["labels"].tolist()) <= {0, 1, 2}
        assert answer["scores"].diff().le(0).all()
        assert answer["boxes"][:, 2].max() <= photo.shape[2] and answer["boxes"][:, 3].max() <= photo.shape[1]
    assert model([]) == []


def test_a_batch_is_what_the_network_sees(model):
    x = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(model(x)["cls_logits"], model.forward_raw(x)["cls_logits"])


@pytest.mark.parametrize(("images", "error", "said"), [
    ("photo.jpg", TypeError, "not a str"), ([], None, ""), ([torch.rand(1, 3, 8, 8)], ValueError, "of shape"),
    ([torch.zeros(3, 8, 8, dtype=torch.uint8)], TypeError, "divide it by 255"),
    ([None], TypeError, "NoneType"),
    ([torch.rand(4, 8, 8)], ValueError, r"\[4, 8, 8\]"),
])
def test_what_are_no_photos_is_said_in_a_sentence(model, images, error, said):
    if error is None:
        assert model(images) == []
        return
    with pytest.raises(error, match=said):
        model(images)


@pytest.mark.parametrize(("target", "said"), [
    ({"boxes": [[4.0, 4, 4, 9]], "labels": [0]}, "no area"),
    ({"boxes": [[1.0, 1, 4, 9]], "labels": [3]}, "0 to 2"),
    ({"boxes": [[1.0, 1, 4, 9]], "labels": [0, 1]}, "number 0 has"),
])
def test_boxes_that_can_t_be_learnt_are_said_in_a_sentence(model, target, said):
    held = {"boxes": torch.tensor(target["boxes"]), "labels": torch.tensor(target["labels"])}
    with pytest.raises(ValueError, match=said):
        model.loss([torch.rand(3, 20, 20)], [held])
    with pytest.raises(ValueError, match="2 photos and 1 targets"):
        model.loss([torch.rand(3, 20, 20)] * 2, [held])


def test_the_best_of_each_heap_stays_class_by_class():
    found = candidates([[0, 0, 10, 10], [1, 0, 11, 10], [1, 0, 11, 10], [50, 50, 60, 60]],
                       [0.5, 0.9, 0.8, 0.1], [1, 1, 2, 1])
    kept = Detector.select(found, score_threshold=0.2, iou_threshold=0.5)
    assert kept.anchors.tolist() == [1, 2]
    assert Detector.select(found, score_threshold=0.0, iou_threshold=1.0).anchors.tolist() == [1, 2, 0, 3]
    assert len(Detector.select(found, score_threshold=0.0, iou_threshold=1.0, limit=2)) == 2


def test_the_best_pairs_of_place_and_class():
    logits = torch.randn(50, 7, generator=torch.Generator().manual_seed(0))
    scores, places, classes = best_pairs(logits, 0.5, 20)
    wanted = logits.sigmoid().flatten().sort(descending=True).values[:20]
    assert torch.allclose(scores, wanted) and torch.allclose(logits[places, classes].sigmoid(), scores)
    few, _, _ = best_pairs(logits, 0.9, 1000)
    assert len(few) == int((logits.sigmoid() > 0.9).sum()) and (few > 0.9).all()


def test_masks_are_laid_over_the_photo_as_torchvision_lays_them():
    generator = torch.Generator().manual_seed(0)
    masks = torch.rand(3, 28, 28, generator=generator)
    boxes = torch.tensor([[3.4, 5.1, 40.9, 30.2], [-4.0, 20.0, 9.0, 49.0], [55.2, 1.0, 59.9, 3.3]])
    wanted = paste_masks_in_image(masks[:, None], boxes, (48, 60))[:, 0]
    assert torch.allclose(over_photo(masks, boxes, (48, 60)), wanted, atol=1e-6)
    assert over_photo(masks[:0], boxes[:0], (48, 60)).shape == (0, 48, 60)


def test_a_head_may_have_several_rows_a_class_and_others_beside():
    def state(rows: int) -> dict[str, torch.Tensor]:
        return {"body.weight": torch.empty(8, 3, device="meta"),
                "last.weight": torch.empty(rows, 8, device="meta")}

    head = head_of(state(15), state(3 * (5 + 1009)), 1009)
    assert head.classes(state(3 * (5 + 80))) == 80 and head.classes(state(256)) == 0
    assert head_of({"body.weight": torch.empty(8, 3)}, state(9 * 1009), 1009).classes(state(27)) == 3


def test_the_head_is_exchanged_and_taken_away(model):
    own = explorer.create_model("retinanet", backbone="resnet18", num_classes=3).double()
    own.reset_classifier(7)
    assert own.num_classes == 7 and own.get_classifier().weight.shape[:1] == (63,)
    assert own.get_classifier().weight.dtype == torch.float64
    own.get_classifier()
    own.head["classification_head"].cls_logits = torch.nn.Conv2d(256, 18, 3, padding=1).double()
    assert own.notice_head() and own.num_classes == 2
    own.reset_classifier(0)
    assert len(own.forward_raw(torch.randn(1, 3, 64, 64).double())) == 5
    with pytest.raises(ValueError, match="pools nothing"):
        own.reset_classifier(3, "avg")
