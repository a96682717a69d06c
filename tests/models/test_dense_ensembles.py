"""Detectors joined by weighted box fusion, and networks for masks by the mean of what they say of a pixel."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

import explorer
from explorer.models.ensembles.box_fusion import fuse_boxes

PHOTO = Image.fromarray(np.random.default_rng(0).integers(0, 255, (60, 90, 3), dtype=np.uint8))


def test_boxes_are_fused_as_the_papers_own_package_does():
    reference = pytest.importorskip("ensemble_boxes").weighted_boxes_fusion
    chance = np.random.default_rng(0)
    for weights in ([1, 1, 1], [3, 1, 2]):
        things = chance.uniform(0.1, 0.6, (8, 2))
        boxes, scores, labels = [], [], []
        for _ in range(3):
            corner = things + chance.normal(0, 0.02, (8, 2))
            boxes.append(np.concatenate((corner, corner + chance.uniform(0.2, 0.3, (8, 2))), 1).clip(0, 1))
            scores.append(chance.uniform(0.05, 1, 8))
            labels.append(chance.integers(0, 2, 8))
        wanted = reference([b.tolist() for b in boxes], [s.tolist() for s in scores],
                           [label.tolist() for label in labels], weights=weights, iou_thr=0.55)
        found = fuse_boxes(*([torch.tensor(one) for one in column] for column in (boxes, scores, labels)),
                           torch.tensor(weights) / sum(weights))
        assert len(found[0]) < 24
        for one, other in zip(found, wanted):
            assert np.allclose(one.numpy(), other, atol=1e-5)


def test_nothing_found_is_fused_to_nothing():
    none = [torch.zeros(0, 4)] * 2, [torch.zeros(0)] * 2, [torch.zeros(0, dtype=torch.int64)] * 2
    assert [len(part) for part in fuse_boxes(*none, torch.ones(2))] == [0, 0, 0]


def detector(seed, labels=("cell", "platelet"), size=64, **options):
    torch.manual_seed(seed)
    model = explorer.create_model("retinanet", backbone="resnet18", num_classes=len(labels), **options).eval()
    model.config = model.config.with_(labels=labels, input_size=(3, size, size))
    for parameter in model.get_classifier().parameters():
        torch.nn.init.normal_(parameter, 0, 0.3)
    return model


@pytest.fixture(scope="module")
def detectors():
    first, second = detector(0), detector(1, ("platelet", "cell"), size=96)
    return explorer.Ensemble({"first": first, "second": second}, weights=[2, 1]).eval()


def test_what_detect_says_is_the_members_boxes_fused(detectors):
    parts = [explorer.detect(model, PHOTO, score_threshold=0.3) for model in detectors.members]
    own = [(one.boxes, one.scores, torch.tensor([("cell", "platelet").index(name) for name in one.labels]))
           for one in (part.at(score_threshold=0.05) for part in parts)]
    boxes, scores, _ = fuse_boxes(*zip(*own), torch.tensor([2 / 3, 1 / 3]))
    found = explorer.detect(detectors, PHOTO, score_threshold=0.05)
    strong = found.scores > 0.3
    assert int(strong.sum()) > 3
    assert torch.allclose(found.scores[strong], scores[scores > 0.3].float()[: int(strong.sum())], atol=0.05)
    assert found.boxes.shape[1] == 4 and float(found.boxes[:, 2].max()) <= 90
    assert found.model_name == "ensemble of first and second"


def test_an_ensemble_of_one_detector_fuses_its_own_boxes_alone():
    only = detector(3)
    alone = explorer.detect(only, PHOTO)
    team = explorer.Ensemble([only]).eval()
    fused = fuse_boxes([alone.at(score_threshold=0.02).boxes], [alone.at(score_threshold=0.02).scores],
                       [alone.at(score_threshold=0.02).indices], torch.ones(1))
    found = explorer.detect(team, PHOTO, score_threshold=0.02)
    assert torch.allclose(found.scores[:20], fused[1][:20].float(), atol=1e-5)
    assert torch.allclose(found.boxes[:5], fused[0][:5].float(), atol=1e-2)


def test_a_look_has_each_detectors_stages_and_a_list_of_photos_works(detectors):
    seen = explorer.look(detectors, PHOTO)
    assert seen.detections is not None and {name.split("/")[0] for name in seen.stages} == {"first", "second"}
    with torch.no_grad():
        found = detectors([torch.rand(3, 60, 90), torch.rand(3, 40, 40)])
    assert [sorted(one) for one in found] == [["boxes", "labels", "scores"]] * 2
    assert len(explorer.detect(detectors, [PHOTO, PHOTO]).rows) == 2


def test_a_saved_ensemble_of_detectors_finds_the_same(detectors, tmp_path):
    detectors.save(tmp_path / "boxes")
    again = explorer.create_model(f"local-dir:{tmp_path / 'boxes'}", pretrained=True).eval()
    one, other = (explorer.detect(model, PHOTO) for model in (detectors, again))
    assert torch.allclose(one.boxes, other.boxes, atol=1e-3) and one.labels == other.labels


def test_what_a_fused_box_has_not_is_said(detectors):
    found = explorer.detect(detectors, PHOTO)
    with pytest.raises(ValueError, match="fuses the boxes of its members, and has no anchors of its own"):
        found.anchors_at(5, 5)
    with pytest.raises(ValueError, match=r"explain one of them, explorer.explain\(model.member\('first'\)"):
        explorer.explain(detectors, PHOTO)
    with pytest.raises(ValueError, match=f"number is {len(found)}, and {len(found)} boxes are shown"):
        found.heap(len(found))
    deepest = detectors.member("first").body_stages[-1]
    assert explorer.look(detectors, PHOTO).embedding.shape == (deepest.channels,)


def test_detectors_that_can_not_be_joined_are_named(detectors):
    with pytest.raises(ValueError, match=r"The member retinanet \(2\) finds other things.*'platelet'"):
        explorer.Ensemble([detector(0), detector(1, ("cell", "whale"))])
    with pytest.raises(ValueError, match="weighted box fusion"):
        explorer.Ensemble([detector(0)], combine="vote")
    with pytest.raises(ValueError, match="train each of its members"):
        detectors.loss([], [])
    with pytest.raises(ValueError, match="is for classification, and .* for detection"):
        explorer.Ensemble([detector(0), explorer.create_model("lenet5", num_classes=2)])


def segmenter(seed, labels=("sky", "road", "car"), size=64):
    torch.manual_seed(seed)
    model = explorer.create_model("unet", backbone="resnet18", num_classes=len(labels)).eval()
    model.config = model.config.with_(labels=labels, input_size=(3, size, size))
    model.get_classifier().weight.data *= 10
    return model


def test_masks_are_the_mean_of_the_probabilities(tmp_path):
    first, second = segmenter(0), segmenter(1, ("car", "sky", "road"))
    both = explorer.Ensemble([first, second], weights=[3, 1]).eval()
    found = explorer.segment(both, PHOTO)
    own = [explorer.segment(model, PHOTO).scores.softmax(0) for model in (first, second)]
    wanted = 0.75 * own[0] + 0.25 * own[1][[1, 2, 0]]
    assert torch.allclose(found.scores.softmax(0), wanted, atol=1e-5) and found.labels[0] == "sky"
    both.save(tmp_path / "masks")
    again = explorer.create_model(f"local-dir:{tmp_path / 'masks'}", pretrained=True).eval()
    assert torch.allclose(explorer.segment(again, PHOTO).scores, found.scores, atol=1e-4)


def test_masks_of_members_with_other_sizes_are_laid_over_each_other():
    both = explorer.Ensemble([segmenter(0), segmenter(1, size=96)]).eval()
    seen = explorer.look(both, PHOTO)
    assert seen.segmentation.mask.shape == (60, 90) and any(name.startswith("unet") for name in seen.stages)
    with torch.no_grad():
        assert both(torch.rand(2, 3, 70, 50)).shape == (2, 3, 70, 50)


def test_a_heat_map_of_an_ensemble_is_drawn_from_its_first_members_body():
    one = segmenter(0)
    found = explorer.explain(explorer.Ensemble([one, segmenter(1)]).eval(), PHOTO)
    assert found.stage == f"unet/{one.body_stages[-1].name}" and found.heatmap.max() > 0
